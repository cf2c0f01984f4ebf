//! One leaf: registers its files, and asks as often as its budget allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use gannet_base::wire::{self, Decoded};
use gannet_base::{Core as _, Link, Output, Query, Rng, Timestamp, pump, seeded_rng};
use gannet_net::{Channel, Dialed, Net, NetConfig, NetEvent};
use gannet_node::NodeConfig;
use gannet_overlay::flood::Wanted;
use gannet_overlay::supernode::{
    Config, Ending, RoleWish, Supernode, SupernodeCommand, SupernodeEvent, SupernodeMessage,
};
use rand_core::Rng as _;
use tokio::sync::watch;

use crate::common::{Common, Round, wall_time};
use crate::words::{below, word};

/// Time between two searches of one leaf: its budget for long.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Searches of one leaf that wait for their answers.
const OUTSTANDING: usize = 4;

/// A leaf: the core and the network, without the rest of a node.
struct Leaf {
    common: Arc<Common>,
    net: Net,
    core: Supernode,
    rng: Rng,
    began: Instant,
    round: Round,
    next_ask: Instant,
    next_id: u64,
    outstanding: BTreeMap<u64, Instant>,
}

/// Lives as a leaf, and asks in the rounds that are for it, until the program
/// ends.
pub(crate) async fn leaf(common: Arc<Common>, number: u64, mut rounds: watch::Receiver<Round>) {
    let mut rng = seeded_rng(number ^ 0x6c65_6166 << 32);
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let mut config = NetConfig::new(secret, NodeConfig::DEFAULT_NETWORK);
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.local_discovery = false;
    let (net, mut events) = Net::bind(config).await.expect("a socket");
    let core = Config {
        role: RoleWish::Forbid,
        ..Config::default()
    };
    let core = Supernode::new(net.peer_id(), core, seeded_rng(rng.next_u64()));
    let shared = common.clone();
    let permit = shared.registering.acquire().await.expect("never closed");
    let mut permit = Some(permit);
    let mut leaf = Leaf {
        common,
        net,
        core,
        rng,
        began: Instant::now(),
        round: Round::Quiet,
        next_ask: Instant::now(),
        next_id: 0,
        outstanding: BTreeMap::new(),
    };
    leaf.begin(number, &SigningKey::from_bytes(&secret));
    loop {
        leaf.drain();
        let wake = tokio::time::Instant::from_std(leaf.wake());
        tokio::select! {
            event = events.recv() => leaf.handle_net(event.expect("the network is there")),
            changed = rounds.changed() => {
                changed.expect("the measurement goes on");
                leaf.on_round(*rounds.borrow_and_update());
            }
            () = tokio::time::sleep_until(wake) => leaf.handle_timeout(),
        }
        if permit.is_some() && leaf.is_registered() {
            permit = None;
        }
    }
}

impl Leaf {
    fn now(&self) -> Timestamp {
        let micros = self.began.elapsed().as_micros();
        Timestamp::from_micros(u64::try_from(micros).expect("not so long"))
    }

    fn command(&mut self, command: SupernodeCommand) {
        self.core.handle_command(self.now(), command);
    }

    fn begin(&mut self, number: u64, key: &SigningKey) {
        let publications = self.common.publications(number, key);
        let supernode = self.common.supernode.clone();
        self.net.add_user_addresses(supernode.clone());
        self.command(SupernodeCommand::WallTime(wall_time()));
        self.command(SupernodeCommand::Announce {
            addresses: self.net.addresses(),
            upload_bytes_per_second: None,
        });
        self.command(SupernodeCommand::Publish(publications));
        self.command(SupernodeCommand::Bootstrap(vec![supernode]));
    }

    fn is_registered(&self) -> bool {
        let homes = self.core.status(self.now()).homes;
        let all = usize::try_from(self.common.files).expect("some thousand");
        homes.iter().any(|home| home.registered >= all)
    }

    /// When something is due, a search too unless enough of them wait.
    fn wake(&self) -> Instant {
        let latest = Instant::now() + Duration::from_secs(60);
        let core = self.core.next_deadline();
        let core = core.map_or(latest, |due| self.began + (due - Timestamp::ZERO));
        let may_ask = self.round != Round::Quiet && self.outstanding.len() < OUTSTANDING;
        let ask = if may_ask { self.next_ask } else { latest };
        core.min(ask).min(latest)
    }

    fn on_round(&mut self, round: Round) {
        self.round = round;
        let micros = below(&mut self.rng, 100_000) as u64;
        self.next_ask = Instant::now() + Duration::from_micros(micros);
    }

    fn handle_timeout(&mut self) {
        self.core.handle_timeout(self.now());
        let now = Instant::now();
        let is_due = self.round != Round::Quiet && now >= self.next_ask;
        if is_due && self.outstanding.len() < OUTSTANDING {
            // Some of what it is behind is made up for: the budget allows it.
            self.next_ask = (self.next_ask + ASK_EVERY).max(now - 4 * ASK_EVERY);
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Instant) {
        let file = self.rng.next_u64() % self.common.all_files;
        let mut words = self.common.vocabulary.file(file);
        if self.round == Round::Rarest {
            words.sort_unstable_by_key(|rank| std::cmp::Reverse(*rank));
        }
        let text = format!("{} {}", word(words[0]), word(words[1]));
        let wanted = Wanted::Words(Query::new(&text).expect("two words"));
        let id = self.next_id;
        self.next_id += 1;
        self.outstanding.insert(id, now);
        let enough = 1;
        self.command(SupernodeCommand::Search { id, wanted, enough });
    }

    fn handle_net(&mut self, event: NetEvent) {
        let now = self.now();
        match event {
            NetEvent::Up { peer, remote, .. } => {
                let addresses = remote;
                self.command(SupernodeCommand::Seen { peer, addresses });
                self.core.handle_link(now, peer, Link::Up);
            }
            NetEvent::Down { peer, reason } => {
                eprintln!("a leaf lost its link: {reason}");
                self.core.handle_link(now, peer, Link::Down);
            }
            NetEvent::Unreachable { peer, reason } => {
                eprintln!("a leaf did not reach the supernode: {reason}");
                self.core.handle_link(now, peer, Link::Unreachable);
            }
            NetEvent::Message { peer, body, .. } => {
                self.common.tally(|tally| tally.bytes += body.len() as u64);
                let message = wire::decode::<SupernodeMessage>(&body).expect("well formed");
                if let Decoded::Message(message) = message {
                    self.core.handle_message(now, peer, message);
                }
            }
            NetEvent::Transfer { .. } | NetEvent::Request { .. } | NetEvent::Found(_) => {}
        }
    }

    fn drain(&mut self) {
        let mut outputs = Vec::new();
        loop {
            pump(&mut self.core, |output| outputs.push(output));
            if outputs.is_empty() {
                return;
            }
            for output in outputs.drain(..) {
                match output {
                    Output::Send { to, message } => {
                        let body = Bytes::from(wire::encode(&message));
                        if let Err(error) = self.net.send(to, Channel::Supernode, body) {
                            eprintln!("a leaf's message was lost: {error}");
                        }
                    }
                    Output::Dial { peer } => {
                        if self.net.dial(peer) == Dialed::Connected {
                            self.core.handle_link(self.now(), peer, Link::Up);
                        }
                    }
                    Output::Disconnect { peer } => self.net.disconnect(peer),
                    Output::Event(event) => self.on_event(event),
                }
            }
        }
    }

    fn on_event(&mut self, event: SupernodeEvent) {
        match event {
            SupernodeEvent::Rows { rows, .. } => {
                self.common.tally(|tally| tally.rows += rows.len() as u64);
            }
            SupernodeEvent::Ended { id, outcome } => {
                let asked_at = self.outstanding.remove(&id).expect("it was asked");
                let micros = u32::try_from(asked_at.elapsed().as_micros()).unwrap_or(u32::MAX);
                let has_rows = outcome.answered.own_rows > 0;
                self.common.tally(|tally| match outcome.ending {
                    Ending::Enough if has_rows => {
                        tally.answered += 1;
                        tally.micros.push(micros);
                    }
                    Ending::TooMany => tally.refused += 1,
                    _ => tally.otherwise += 1,
                });
            }
            SupernodeEvent::Lost { reason, .. } => eprintln!("a leaf lost its place: {reason:?}"),
            SupernodeEvent::RegistrationRefused {
                entries, reason, ..
            } => panic!("{entries} entries were refused: {reason:?}"),
            SupernodeEvent::PublishRefused { entries } => panic!("{entries} entries are wrong"),
            SupernodeEvent::Addresses(address) => self.net.add_addresses(address),
            _ => {}
        }
    }
}
