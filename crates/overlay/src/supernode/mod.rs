//! Finding in two tiers: each peer is a supernode, or a leaf of two of them.
//!
//! **Problem.** A hub can die, and a flood asks everybody. KaZaA let ordinary
//! peers be the hubs of others; that network came down when too many of them
//! went at once and the rest gave up under the load, as Skype's did in 2010.
//!
//! **Goals.** Nobody appoints supernodes and nothing depends on any one of
//! them: a leaf keeps a warm backup, knows whom to turn to next, and can take
//! its supernode's place; supernodes refuse what they cannot carry, and never
//! stop for it. A search asks the own supernode's index, then as many others as
//! it takes.
//!
//! **Non-goals.** Transfers; trust in answers: whether a publication is its
//! holder's, and matches, is for the layer above to verify.
//!
//! **Invariant.** A leaf belongs to whom it registers at: to at most two, and
//! to nobody by any other's word.
//!
//! # What it is made of
//!
//! Registration is that of [`hub`](crate::hub): a [`HubClient`] that names this
//! peer's supernodes as its hubs, and on a supernode a
//! [`HubServer`](crate::hub::HubServer). Links and questions among supernodes are
//! those of [`flood`]: a [`Flood`](flood::Flood) whose routing table is made of
//! what all leaves share. A supernode's own files are registered at itself. Here is what is left:
//! who is what (`tier`), where a leaf is placed (`seek`, `homes`), whom a
//! search is asked at (`asking`, `answering`), who can be reached (`dialback`).

mod addresses;
mod answering;
mod api;
mod asking;
mod book;
mod config;
mod dialback;
#[doc(hidden)]
pub mod fuzz;
mod homes;
mod message;
mod office;
mod parts;
mod rosters;
mod score;
mod seek;
mod status;
#[cfg(test)]
mod tests;
mod tier;
mod wires;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{
    Core, Link, Output, PeerAddress, PeerId, RestingRng, Rng, Timestamp, WallTime, fork_rng,
};
use rand_core::Rng as _;

use crate::flood;
use crate::hub::{Bucket, HubClient, HubClientCommand, HubMessage};
use crate::rare_map::RareMap;
use addresses::Addresses;
use asking::OwnSearch;
use book::Book;
use homes::Home;
use office::{Asked, Office};
use score::Facts;
use seek::Seek;
use wires::Wires;

pub use api::{
    Ending, LossReason, RequestId, Role, SupernodeCommand, SupernodeEvent, SupernodeOutcome,
};
pub use config::{Config, RoleWish};
pub use message::{Answered, Machine, Place, Roster, Score, SupernodeMessage, Wish};
use status::Tally;
pub use status::{Counters, HomeInfo, SupernodeStatus};

/// Knocks and mistaken greetings that a leaf answers a second.
// Guess: it is asked only by those with old lists.
const LEAF_ANSWERS_PER_SECOND: u32 = 20;

/// A peer of the supernode overlay, as a [`Core`].
///
/// * getters: [`role`](Self::role), [`homes`](Self::homes),
///   [`leaves`](Self::leaves), [`status`](Self::status),
///   [`remembered`](Self::remembered);
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link), [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), [`next_deadline`](Core::next_deadline).
///
/// ```
/// use gannet_base::{Core as _, PeerId, Timestamp, pump, seeded_rng};
/// use gannet_overlay::supernode::{Config, Role, Supernode};
///
/// let me = PeerId::from_bytes([1; 32]);
/// let mut peer = Supernode::new(me, Config::default(), seeded_rng(7));
/// // It is told of nobody: it begins a network of its own.
/// while peer.role() == Role::Leaf {
///     let due = peer.next_deadline().expect("it will not wait for ever");
///     peer.handle_timeout(due);
///     pump(&mut peer, |output| drop(output));
/// }
/// assert_eq!(peer.leaves().count(), 0);
/// ```
#[derive(Debug)]
pub struct Supernode {
    config: Arc<Config>,
    me: PeerId,
    rng: RestingRng,
    client: HubClient,
    /// As a supernode.
    office: Option<Box<Office>>,
    wires: Wires,
    book: Book,
    facts: Facts,
    addresses: Addresses,
    calendar: Option<(WallTime, Timestamp)>,
    /// As a leaf: the primary, the backup.
    homes: Vec<Home>,
    /// Supernodes of this leaf that went lately, and when.
    gone: Vec<(PeerId, Timestamp)>,
    seek: Seek,
    asking: RareMap<RequestId, OwnSearch>,
    next_request: u64,
    knocks_as_leaf: Bucket,
    busy: bool,
    demotions: u32,
    counters: Tally,
    outbox: VecDeque<Output<SupernodeMessage, SupernodeEvent>>,
}

impl Supernode {
    /// A peer with no files that knows nobody. `rng` must differ between two
    /// starts: what cannot be guessed is drawn from it. Many peers of one
    /// process may share their configuration.
    pub fn new(me: PeerId, config: impl Into<Arc<Config>>, mut rng: Rng) -> Self {
        let config = config.into();
        let client = HubClient::new(config.client.clone(), fork_rng(&mut rng));
        Self {
            client,
            office: None,
            wires: Wires::default(),
            book: Book::new(config.leaf_known_max),
            facts: Facts::new(config.role != RoleWish::Forbid),
            addresses: Addresses::default(),
            calendar: None,
            homes: Vec::new(),
            gone: Vec::new(),
            seek: Seek::default(),
            asking: RareMap::default(),
            next_request: rng.next_u64(),
            knocks_as_leaf: Bucket::new(
                LEAF_ANSWERS_PER_SECOND,
                LEAF_ANSWERS_PER_SECOND,
                Timestamp::ZERO,
            ),
            busy: false,
            demotions: 0,
            counters: Tally::default(),
            outbox: VecDeque::new(),
            config,
            me,
            rng: RestingRng::new(&rng),
        }
    }

    fn send(&mut self, to: PeerId, message: SupernodeMessage) {
        self.output(Output::Send { to, message });
    }

    fn event(&mut self, event: SupernodeEvent) {
        self.output(Output::Event(event));
    }

    fn output(&mut self, output: Output<SupernodeMessage, SupernodeEvent>) {
        self.outbox.push_back(output);
    }

    /// What every input does first.
    fn begin(&mut self, now: Timestamp) {
        if self.facts.started.is_none() {
            self.facts.started = Some(now);
            self.event(SupernodeEvent::Role(Role::Leaf));
            self.begin_seek(now);
        }
    }

    fn wall_time(&self, now: Timestamp) -> Option<WallTime> {
        let (time, told_at) = self.calendar?;
        Some(time.plus_seconds((now - told_at).as_secs()))
    }

    fn on_hub_message(&mut self, now: Timestamp, from: PeerId, message: HubMessage) {
        if !message.is_for_hub() {
            self.client.handle_message(now, from, message);
        } else if let Some(office) = &mut self.office {
            office.hub.handle_message(now, from, message);
        } else if matches!(message, HubMessage::Hello { .. }) {
            self.refuse_as_leaf(now, from, Asked::Hello);
        }
    }

    fn on_flood_message(&mut self, now: Timestamp, from: PeerId, message: flood::FloodMessage) {
        if let Some(office) = &mut self.office {
            office.flood.handle_message(now, from, message);
        } else if matches!(message, flood::FloodMessage::Hello { .. }) {
            self.refuse_as_leaf(now, from, Asked::Link);
        }
    }

    /// Messages of this overlay's own, besides those about searches.
    fn on_own_message(&mut self, now: Timestamp, from: PeerId, message: SupernodeMessage) {
        match message {
            SupernodeMessage::Knock {
                nonce,
                wish,
                insists,
            } => self.on_knock(now, from, nonce, (wish, insists)),
            SupernodeMessage::Place(place) => self.on_place(now, from, *place),
            SupernodeMessage::Card { is_primary, score } => {
                self.on_card(now, from, (is_primary, score));
            }
            SupernodeMessage::Roster(roster) => self.on_roster(now, from, roster),
            SupernodeMessage::Promote => self.on_promote(now, from),
            SupernodeMessage::Decline => self.on_decline(now, from),
            SupernodeMessage::Move => self.on_move(now, from),
            SupernodeMessage::Load {
                leaves,
                leaves_max,
                score,
            } => self.on_load(now, from, (leaves, leaves_max), score),
            SupernodeMessage::DialBack { peer } => self.on_dial_back(now, from, peer),
            SupernodeMessage::Reached => self.on_reached(now, from),
            SupernodeMessage::DialledBack { peer, reached } => {
                self.on_dialled_back(from, peer, reached);
            }
            _ => {}
        }
    }

    fn on_leave(&mut self, now: Timestamp) {
        self.flood_command(now, flood::FloodCommand::Leave);
        if let Some(office) = &mut self.office {
            let close = crate::hub::HubServerCommand::Close;
            office.hub.handle_command(now, close);
        }
        self.client.handle_command(now, HubClientCommand::Leave);
    }

    fn on_announce(&mut self, now: Timestamp, addresses: Vec<SocketAddr>, upload: Option<u64>) {
        let kept = addresses.iter().take(PeerAddress::ADDRESSES_MAX);
        self.addresses = kept.copied().collect();
        self.flood_command(now, flood::FloodCommand::Announce(addresses.clone()));
        let command = HubClientCommand::Announce {
            addresses,
            upload_bytes_per_second: upload,
        };
        self.client.handle_command(now, command);
    }

    fn on_forged(&mut self, now: Timestamp, via: PeerId, hops: u8) {
        if self.office.is_some() {
            self.flood_command(now, flood::FloodCommand::Forged { via, hops });
        } else {
            self.on_dead_source(now, via, hops);
        }
    }
}

impl Core for Supernode {
    type Message = SupernodeMessage;
    type Command = SupernodeCommand;
    type Event = SupernodeEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: SupernodeMessage) {
        self.begin(now);
        match message {
            SupernodeMessage::Hub(message) => self.on_hub_message(now, from, message),
            SupernodeMessage::Flood(message) => self.on_flood_message(now, from, message),
            SupernodeMessage::Search {
                request,
                wanted,
                enough,
            } => self.on_leaf_search(now, from, request, (wanted, enough)),
            SupernodeMessage::Cancel { request } => self.on_leaf_cancel(now, from, request),
            SupernodeMessage::Rows { request, hits } => self.on_rows(from, request, *hits),
            SupernodeMessage::Ended {
                request,
                ending,
                answered,
            } => self.on_ended(now, from, request, (ending, *answered)),
            message => self.on_own_message(now, from, message),
        }
        self.settle(now);
    }

    fn handle_command(&mut self, now: Timestamp, command: SupernodeCommand) {
        self.begin(now);
        match command {
            SupernodeCommand::Bootstrap(peers) => self.on_bootstrap(now, &peers),
            SupernodeCommand::Announce {
                addresses,
                upload_bytes_per_second,
            } => self.on_announce(now, addresses, upload_bytes_per_second),
            SupernodeCommand::Machine(machine) => self.facts.machine = machine,
            SupernodeCommand::Seen { peer, addresses } => self.on_seen(now, peer, addresses),
            SupernodeCommand::WallTime(time) => self.on_wall_time(now, time),
            SupernodeCommand::Busy(busy) => self.busy = busy,
            SupernodeCommand::Publish(publications) => {
                let command = HubClientCommand::Publish(publications);
                self.client.handle_command(now, command);
            }
            SupernodeCommand::Withdraw(entries) => {
                let command = HubClientCommand::Withdraw(entries);
                self.client.handle_command(now, command);
            }
            SupernodeCommand::Search { id, wanted, enough } => {
                self.on_search(now, id, wanted, enough);
            }
            SupernodeCommand::Cancel { id } => self.on_cancel(now, id),
            SupernodeCommand::Forged { via, hops } => self.on_forged(now, via, hops),
            SupernodeCommand::DeadSource { via, hops } => self.on_dead_source(now, via, hops),
            SupernodeCommand::Leave => self.on_leave(now),
        }
        self.settle(now);
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.begin(now);
        self.on_link(now, peer, link);
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.begin(now);
        self.client.handle_timeout(now);
        if let Some(office) = &mut self.office {
            office.hub.handle_timeout(now);
            office.flood.handle_timeout(now);
        }
        self.settle(now);
        self.on_timeout_seek(now);
        self.on_timeout_tier(now);
        self.on_timeout_dial_backs(now);
        self.on_timeout_asking(now);
        self.on_timeout_answering(now);
        self.give_up_idle(now);
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<Output<SupernodeMessage, SupernodeEvent>> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > 0 {
            // Memory that a leaf hardly ever needs.
            self.outbox = VecDeque::new();
            self.seek.rest();
        }
        next
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if self.facts.started.is_none() {
            return Some(Timestamp::ZERO);
        }
        [
            self.client.next_deadline(),
            self.office.as_ref().and_then(|office| office.due()),
            self.seek.due(),
            self.asking_due(),
            self.wires.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
