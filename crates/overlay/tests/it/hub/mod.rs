//! Hubs and their clients.

mod chaos;
mod liars;
mod scenarios;

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, Core, FileEntry, Link, Media, Output, PeerId, Publication, Query, Rng, Row,
    Timestamp, WallTime, seeded_rng,
};
use gannet_overlay::hub::{
    ClientConfig, HubClient, HubClientCommand, HubClientEvent, HubMessage, HubOutcome, HubServer,
    HubServerCommand, HubServerEvent, ServerConfig,
};

use crate::harness::{Faults, World};

/// Changes what a lying hub says.
pub(crate) type Twist = fn(&mut Rng, HubMessage) -> HubMessage;

/// Either side.
pub(crate) enum Either {
    Hub(Box<HubServer>),
    /// A hub that works, behind a mouth that lies.
    Liar(Box<HubServer>, Twist, Box<Rng>),
    Peer(Box<HubClient>),
}

#[derive(Debug, Clone)]
pub(crate) enum Order {
    Hub(HubServerCommand),
    Peer(HubClientCommand),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    Hub(HubServerEvent),
    Peer(HubClientEvent),
}

impl Either {
    pub(crate) fn hub(&self) -> &HubServer {
        match self {
            Self::Hub(hub) | Self::Liar(hub, ..) => hub,
            Self::Peer(_) => panic!("it is a peer"),
        }
    }

    pub(crate) fn peer(&self) -> &HubClient {
        match self {
            Self::Peer(peer) => peer,
            Self::Hub(_) | Self::Liar(..) => panic!("it is a hub"),
        }
    }
}

impl Core for Either {
    type Message = HubMessage;
    type Command = Order;
    type Event = News;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: HubMessage) {
        // What goes over a wire must fit it.
        gannet_base::wire::encode(&message);
        match self {
            Self::Hub(hub) | Self::Liar(hub, ..) => hub.handle_message(now, from, message),
            Self::Peer(peer) => peer.handle_message(now, from, message),
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: Order) {
        match (self, command) {
            (Self::Hub(hub) | Self::Liar(hub, ..), Order::Hub(command)) => {
                hub.handle_command(now, command);
            }
            (Self::Peer(peer), Order::Peer(command)) => peer.handle_command(now, command),
            _ => panic!("the order is for the other kind"),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        match self {
            Self::Hub(hub) | Self::Liar(hub, ..) => {
                hub.handle_link(now, peer, link);
                if link == Link::Up {
                    let addresses = vec![address_of(peer)];
                    hub.handle_command(now, HubServerCommand::Seen { peer, addresses });
                }
            }
            Self::Peer(client) => client.handle_link(now, peer, link),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Hub(hub) | Self::Liar(hub, ..) => hub.handle_timeout(now),
            Self::Peer(peer) => peer.handle_timeout(now),
        }
    }

    fn poll_output(&mut self) -> Option<Output<HubMessage, News>> {
        fn lift<E>(output: Output<HubMessage, E>, news: fn(E) -> News) -> Output<HubMessage, News> {
            match output {
                Output::Send { to, message } => Output::Send { to, message },
                Output::Dial { peer } => Output::Dial { peer },
                Output::Disconnect { peer } => Output::Disconnect { peer },
                Output::Event(event) => Output::Event(news(event)),
            }
        }
        match self {
            Self::Hub(hub) => hub.poll_output().map(|output| lift(output, News::Hub)),
            Self::Peer(peer) => peer.poll_output().map(|output| lift(output, News::Peer)),
            Self::Liar(hub, twist, rng) => match hub.poll_output()? {
                Output::Send { to, message } => Some(Output::Send {
                    to,
                    message: twist(rng, message),
                }),
                other => Some(lift(other, News::Hub)),
            },
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Hub(hub) | Self::Liar(hub, ..) => hub.next_deadline(),
            Self::Peer(peer) => peer.next_deadline(),
        }
    }
}

pub(crate) type Town = World<Either>;

/// The calendar's time at the start of a run.
pub(crate) const START: WallTime = WallTime::from_unix_seconds(1_800_000_000);

pub(crate) fn address_of(peer: PeerId) -> SocketAddr {
    SocketAddr::from(([93, 184, 216, peer.as_bytes()[0]], 40_000))
}

/// A file as `holder` publishes it; the cores do not look at signatures.
pub(crate) fn publication(holder: PeerId, path: &str) -> Publication {
    Publication {
        entry: FileEntry {
            content: ContentId::of(path.as_bytes()),
            size: 1,
            path: path.to_owned(),
            media: Media::default(),
        },
        holder,
        expires: START.plus_seconds(6 * 24 * 3600),
        signature: SignatureBytes([holder.as_bytes()[0]; 64]),
    }
}

pub(crate) fn query(text: &str) -> Query {
    Query::new(text).expect("the test's query is one")
}

pub(crate) fn start_hub(town: &mut Town, id: PeerId, config: ServerConfig) {
    let seed = town.rng_seed();
    let hub = HubServer::new(config, seeded_rng(seed));
    town.start(id, Either::Hub(Box::new(hub)));
    let passed = (town.now - Timestamp::ZERO).as_secs();
    let time = HubServerCommand::WallTime(START.plus_seconds(passed));
    town.command(id, Order::Hub(time));
}

pub(crate) fn start_liar(town: &mut Town, id: PeerId, twist: Twist) {
    let seed = town.rng_seed();
    let hub = HubServer::new(ServerConfig::default(), seeded_rng(seed));
    let rng = Box::new(seeded_rng(seed ^ 1));
    town.start(id, Either::Liar(Box::new(hub), twist, rng));
}

pub(crate) fn start_peer(town: &mut Town, id: PeerId, config: ClientConfig, hubs: &[PeerId]) {
    let seed = town.rng_seed();
    let peer = HubClient::new(config, seeded_rng(seed));
    town.start(id, Either::Peer(Box::new(peer)));
    town.command(id, Order::Peer(HubClientCommand::Hubs(hubs.to_vec())));
}

impl Town {
    fn rng_seed(&mut self) -> u64 {
        use rand_core::Rng as _;
        self.rng.next_u64()
    }

    pub(crate) fn order(&mut self, peer: PeerId, command: HubClientCommand) {
        self.command(peer, Order::Peer(command));
    }

    pub(crate) fn publish(&mut self, peer: PeerId, paths: &[&str]) {
        let publications = paths.iter().map(|path| publication(peer, path)).collect();
        self.order(peer, HubClientCommand::Publish(publications));
    }

    /// The events of `peer` since the last time, in order.
    pub(crate) fn take_events(&mut self, peer: PeerId) -> Vec<HubClientEvent> {
        let mut taken = Vec::new();
        self.events.retain(|(_, id, news)| match news {
            News::Peer(event) if *id == peer => {
                taken.push(event.clone());
                false
            }
            _ => true,
        });
        taken
    }

    /// Searches and waits for the end: rows in the order they came, and what
    /// the hubs made of it.
    pub(crate) fn search(
        &mut self,
        peer: PeerId,
        text: &str,
        limit: u32,
    ) -> (Vec<Row>, Vec<HubOutcome>) {
        let id = self.rng_seed();
        let query = query(text);
        self.order(peer, HubClientCommand::Search { id, query, limit });
        self.await_answer(peer, id)
    }

    pub(crate) fn await_answer(
        &mut self,
        peer: PeerId,
        wanted: u64,
    ) -> (Vec<Row>, Vec<HubOutcome>) {
        let ended = |town: &mut Self| {
            town.events.iter().any(|(_, who, news)| {
                *who == peer
                    && matches!(news, News::Peer(HubClientEvent::Ended { id, .. }) if *id == wanted)
            })
        };
        self.run_until_holds("a search ends", Duration::from_secs(30), ended);
        let (mut found, mut outcomes) = (Vec::new(), Vec::new());
        for event in self.take_events(peer) {
            match event {
                HubClientEvent::Rows { id, rows, .. } if id == wanted => found.extend(rows),
                HubClientEvent::Ended { id, asked } if id == wanted => outcomes = asked,
                _ => {}
            }
        }
        (found, outcomes)
    }

    /// Whether every one of `hubs` has all that `peer` published.
    pub(crate) fn is_registered(&self, peer: PeerId, hubs: &[PeerId]) -> bool {
        let client = self.core(peer).peer();
        let status = client.status();
        hubs.iter().all(|hub| {
            status.iter().any(|state| {
                state.hub == *hub
                    && state.connected
                    && state.unregistered == 0
                    && state.registered == client.published()
            })
        })
    }

    #[track_caller]
    pub(crate) fn await_registered(
        &mut self,
        peer: PeerId,
        hubs: &[PeerId],
        patience: Duration,
    ) -> Duration {
        self.run_until_holds("everything is registered", patience, |town| {
            town.is_registered(peer, hubs)
        })
    }
}

pub(crate) fn town(seed: u64, faults: Faults) -> Town {
    World::new(seed, faults)
}
