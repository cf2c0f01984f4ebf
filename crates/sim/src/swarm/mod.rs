//! A swarm of peers that fetch one content from each other.
//!
//! **Problem.** Whether many peers together fetch as fast as their lines
//! allow, and whether all of them finish when some vanish, is a property of no
//! single core.
//!
//! **Goals.** Every peer is the two cores of `swarm`, with a driver that does
//! what the node's driver does: streams, serving in order, news of what came.
//! Below it lie lines with a rate up and a rate down, shared fairly by packets,
//! and latency between every two peers.
//!
//! **Non-goals.** Finding sources (a tracker names random others), bytes, and
//! anything that a transport does beyond a window per stream.
//!
//! **Invariant.** A peer serves only what it has; a run that breaks this counts
//! it in [`Outcome::wrong`].

mod config;
mod driver;
mod line;
mod outcome;
mod peer;
mod stream;
mod tracker;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use gannet_base::{
    ContentId, Core as _, GroupSet, Link, PeerId, Rng, Timestamp, fork_rng, seeded_rng,
};
use gannet_swarm::{DownloadCommand, TransferMessage, UploadCommand};

use outcome::Tally;
use peer::Peer;
use stream::Packet;

use crate::draw::below;
use crate::peer_id;

pub use config::SwarmConfig;
pub use outcome::{Finish, Outcome};

/// The one content.
const CONTENT: ContentId = ContentId::from_bytes([0xc0; 32]);

/// What happens at a time.
#[derive(Debug)]
enum Event {
    /// A peer starts to fetch.
    Start { node: u32 },
    /// A message from a fetcher, on its stream.
    ToSource {
        from: u32,
        to: u32,
        stream: u64,
        message: TransferMessage,
    },
    /// The fetcher has said its last word on a stream.
    FetcherGone { from: u32, to: u32, stream: u64 },
    /// The packet that `node` was sending is out.
    Sent { node: u32 },
    /// A packet is at the receiver's line.
    Arrived(Packet),
    /// It has come through.
    Received(Packet),
    /// Something of a core may be due.
    Wake { node: u32 },
    /// News of a link.
    Linked { node: u32, peer: u32, link: Link },
    /// A dial arrives, or would.
    Dialled { from: u32, to: u32 },
    /// The tracker's answer.
    Told { node: u32 },
    /// The peer crashes, for good.
    Crash { node: u32 },
}

impl Event {
    /// For the fingerprint: kind, and two numbers.
    fn print(&self) -> (u64, u64, u64) {
        match self {
            Self::Start { node } => (1, u64::from(*node), 0),
            Self::ToSource { from, to, .. } => (2, u64::from(*from), u64::from(*to)),
            Self::FetcherGone { from, to, .. } => (3, u64::from(*from), u64::from(*to)),
            Self::Sent { node } => (4, u64::from(*node), 0),
            Self::Arrived(packet) => (5, packet.stream, u64::from(packet.bytes)),
            Self::Received(packet) => (6, packet.stream, u64::from(packet.bytes)),
            Self::Wake { node } => (7, u64::from(*node), 0),
            Self::Linked { node, peer, .. } => (8, u64::from(*node), u64::from(*peer)),
            Self::Dialled { from, to } => (9, u64::from(*from), u64::from(*to)),
            Self::Told { node } => (10, u64::from(*node), 0),
            Self::Crash { node } => (11, u64::from(*node), 0),
        }
    }
}

/// An event in its place: earliest first, then in the order of scheduling.
#[derive(Debug)]
struct Due {
    at: Timestamp,
    seq: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A swarm in virtual time.
///
/// Build it with [`Swarm::new`], run it with [`Swarm::run`].
#[derive(Debug)]
pub struct Swarm {
    config: SwarmConfig,
    now: Timestamp,
    queue: BinaryHeap<Reverse<Due>>,
    seq: u64,
    nodes: Vec<Peer>,
    /// Whom the tracker names: seeds, and who has a part.
    announced: Vec<u32>,
    streams: u64,
    rng: Rng,
    tally: Tally,
}

impl Swarm {
    /// Seeds are the first nodes; all others start within
    /// [`SwarmConfig::start_spread`].
    pub fn new(config: SwarmConfig) -> Self {
        let mut rng = seeded_rng(config.seed);
        let nodes = config.seeds + config.peers;
        let nodes: Vec<_> = (0..nodes)
            .map(|node| Peer::new(&config, node, fork_rng(&mut rng)))
            .collect();
        let mut swarm = Self {
            now: Timestamp::ZERO,
            queue: BinaryHeap::new(),
            seq: 0,
            nodes,
            announced: (0..config.seeds).collect(),
            streams: 0,
            rng,
            tally: Tally::default(),
            config,
        };
        swarm.schedule_starts();
        swarm.schedule_crashes();
        swarm
    }

    /// Runs until every living fetcher is done, or nothing more can come of it.
    pub fn run(mut self) -> Outcome {
        let end = Timestamp::ZERO + self.config.patience();
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > end || self.is_over() {
                break;
            }
            self.now = due.at;
            self.tally.count(due.at, due.event.print());
            self.on_event(due.event);
        }
        self.outcome()
    }

    fn is_over(&self) -> bool {
        self.tally.unfinished == 0
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.seq += 1;
        let seq = self.seq;
        self.queue.push(Reverse(Due { at, seq, event }));
    }

    fn schedule_starts(&mut self) {
        let spread = micros(self.config.start_spread).max(1);
        for node in self.config.seeds..self.config.seeds + self.config.peers {
            let at = Timestamp::from_micros(below(&mut self.rng, spread));
            self.schedule(at, Event::Start { node });
            self.tally.unfinished += 1;
        }
    }

    /// The given shares of fetchers and seeds, at random times in the first
    /// half of what the fetching takes at best.
    fn schedule_crashes(&mut self) {
        let (seeds, peers) = (self.config.seeds, self.config.peers);
        let half = (micros(self.config.ideal()) / 2).max(1);
        let doomed_seeds = SwarmConfig::doomed(seeds, self.config.die_seeds);
        let doomed_peers = SwarmConfig::doomed(peers, self.config.die);
        let mut doomed = self.sample((0..seeds).collect(), index(doomed_seeds));
        doomed.extend(self.sample((seeds..seeds + peers).collect(), index(doomed_peers)));
        for node in doomed {
            let at = Timestamp::from_micros(below(&mut self.rng, half));
            self.schedule(at, Event::Crash { node });
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Start { node } => self.on_start(node),
            Event::ToSource {
                from,
                to,
                stream,
                message,
            } => self.on_to_source(from, to, stream, message),
            Event::FetcherGone { from, to, stream } => self.on_fetcher_gone(from, to, stream),
            Event::Sent { node } => self.on_sent(node),
            Event::Arrived(packet) => self.on_arrived(packet),
            Event::Received(packet) => self.on_received(packet),
            Event::Wake { node } => self.on_wake(node),
            Event::Linked { node, peer, link } => self.on_linked(node, peer, link),
            Event::Dialled { from, to } => self.on_dialled(from, to),
            Event::Told { node } => self.on_told(node),
            Event::Crash { node } => self.on_crash(node),
        }
    }

    fn node(&self, node: u32) -> &Peer {
        &self.nodes[index(node)]
    }

    fn node_mut(&mut self, node: u32) -> &mut Peer {
        &mut self.nodes[index(node)]
    }

    fn on_start(&mut self, node: u32) {
        let now = self.now;
        let peer = self.node_mut(node);
        if !peer.alive {
            return;
        }
        let command = DownloadCommand::Start {
            content: CONTENT,
            size_hint: None,
            size: None,
            have: GroupSet::new(),
            priority: 0,
        };
        peer.downloads.handle_command(now, command);
        self.name_all(node);
        self.drain(node);
    }

    fn on_wake(&mut self, node: u32) {
        let now = self.now;
        let peer = self.node_mut(node);
        if !peer.alive || peer.wake_at != Some(now) {
            return;
        }
        peer.wake_at = None;
        peer.downloads.handle_timeout(now);
        peer.uploads.handle_timeout(now);
        self.drain(node);
    }

    fn on_dialled(&mut self, from: u32, to: u32) {
        if !self.node(to).alive {
            // Nobody says no: the dial runs into its limit.
            let at = self.now + self.config.dial_timeout;
            let link = Link::Unreachable;
            self.schedule(
                at,
                Event::Linked {
                    node: from,
                    peer: to,
                    link,
                },
            );
            return;
        }
        self.node_mut(to).links.insert(from);
        let link = Link::Up;
        self.schedule(
            self.now,
            Event::Linked {
                node: to,
                peer: from,
                link,
            },
        );
        let at = self.now + self.latency(from, to);
        self.schedule(
            at,
            Event::Linked {
                node: from,
                peer: to,
                link,
            },
        );
    }

    fn on_linked(&mut self, node: u32, other: u32, link: Link) {
        let (now, id) = (self.now, peer_id(other));
        if link != Link::Up {
            self.forget_streams(node, other);
        }
        let peer = self.node_mut(node);
        if !peer.alive {
            return;
        }
        if link == Link::Up {
            peer.links.insert(other);
        } else {
            peer.links.remove(&other);
        }
        peer.downloads.handle_link(now, id, link);
        peer.uploads.handle_link(now, id, link);
        self.drain(node);
    }

    /// The peer is gone without a word; those with links notice by its silence.
    fn on_crash(&mut self, node: u32) {
        let at = self.now + self.config.silence;
        let peer = self.node_mut(node);
        peer.alive = false;
        let unfinished = !peer.is_seed && peer.finished.is_none();
        let links = std::mem::take(&mut peer.links);
        if unfinished {
            self.tally.unfinished -= 1;
        }
        self.announced.retain(|announced| *announced != node);
        for other in links {
            let link = Link::Down;
            self.schedule(
                at,
                Event::Linked {
                    node: other,
                    peer: node,
                    link,
                },
            );
        }
    }

    fn on_to_source(&mut self, from: u32, to: u32, stream: u64, message: TransferMessage) {
        let (now, fetcher) = (self.now, peer_id(from));
        let peer = self.node_mut(to);
        if !peer.alive {
            return;
        }
        let known = peer.serving.get(&from).copied();
        if known.is_none_or(|known| known < stream) {
            if known.is_some() {
                // A second stream takes the place of the first.
                let command = UploadCommand::StreamClosed {
                    to: fetcher,
                    content: CONTENT,
                };
                peer.uploads.handle_command(now, command);
            }
            peer.open(from, stream);
        } else if known != Some(stream) {
            return;
        }
        peer.uploads.handle_message(now, fetcher, message);
        self.drain(to);
    }

    fn on_fetcher_gone(&mut self, from: u32, to: u32, stream: u64) {
        let now = self.now;
        let peer = self.node_mut(to);
        if !peer.alive {
            return;
        }
        peer.streams.remove(&stream);
        if peer.serving.get(&from) == Some(&stream) {
            peer.serving.remove(&from);
            let command = UploadCommand::StreamClosed {
                to: peer_id(from),
                content: CONTENT,
            };
            peer.uploads.handle_command(now, command);
        }
        self.drain(to);
    }

    /// One way, between two nodes: fixed, so that streams stay in order.
    fn latency(&self, a: u32, b: u32) -> Duration {
        self.node(a).access + self.node(b).access
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn index(node: u32) -> usize {
    usize::try_from(node).expect("a number of nodes fits memory")
}

/// The node with this id: cores name only peers that they were told of.
fn node_of(peer: PeerId) -> u32 {
    crate::node_of(peer).expect("every peer of a swarm has a number")
}
