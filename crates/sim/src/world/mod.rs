//! The world: cores of one kind, what lies between them, and time.
//!
//! **Problem.** `node` drives a core over real connections; here hundreds of
//! thousands of the very same cores are driven in virtual time.
//!
//! **Goals.** Everything that happens is an entry of one [`Calendar`]; every
//! choice comes from one seed; every kind of fault can be had, and by name. A
//! core sees nothing that a real driver would not show it.
//!
//! **Non-goals.** Packets: a message travels whole, and its bytes cost time
//! only where bandwidth is limited.
//!
//! **Invariant.** The same calls on a world with the same seed have the same
//! [`World::fingerprint`].

mod api;
mod dialling;
mod happening;
mod net;
mod pipes;
#[cfg(test)]
mod tests;
mod wires;

use std::collections::BTreeMap;

use gannet_base::{Core, Link, Output, PeerId, Timestamp};
use serde::Serialize;

use self::happening::{Happening, News};
use self::net::Net;
use crate::{node_of, peer_id};

/// What is above the cores: shares, users, checkers. One for all peers.
pub trait App<C: Core> {
    /// Takes what a core tells. Commands put into `commands` are given to the
    /// same core at once, in order.
    fn on_event(
        &mut self,
        now: Timestamp,
        node: u32,
        event: C::Event,
        commands: &mut Vec<C::Command>,
    );

    /// How many bytes the message has on the wire, its frame included.
    fn size(&self, message: &C::Message) -> u32;

    /// A number for the message's kind, for the fingerprint.
    fn kind(&self, message: &C::Message) -> u8 {
        let _ = message;
        0
    }

    /// Sees every message just before its receiver does: to count and to check.
    fn on_message(&mut self, now: Timestamp, from: u32, to: u32, message: &C::Message) {
        let _ = (now, from, to, message);
    }

    /// Sees a core after each thing that was done to it: to check.
    fn after(&mut self, now: Timestamp, node: u32, core: &C) {
        let _ = (now, node, core);
    }

    /// Sees every dial that arrives at a peer that is up: to count.
    fn on_dialled(&mut self, now: Timestamp, from: u32, to: u32) {
        let _ = (now, from, to);
    }
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Inputs that cores were given: messages, wakes, news of links, commands.
    pub events: u64,
    /// Messages put on their way.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that arrived; duplicated ones count twice.
    pub delivered: u64,
    /// Messages lost by [`Faults::loss`](crate::Faults::loss).
    pub lost: u64,
    /// Messages lost at a partition.
    pub cut: u64,
    /// Messages dropped because too many bytes waited for bandwidth.
    pub overflowed: u64,
    /// Messages to peers that were down, or along links that were.
    pub unheard: u64,
}

struct Node<C> {
    /// Nothing while the peer is down.
    core: Option<C>,
    /// When the one wake that counts is due; others are stale.
    wake: Timestamp,
    paused: bool,
}

/// Peers, links, time. Peers are numbered from 0 in the order in which they
/// are added.
///
/// * Peers: [`add`](Self::add), [`core`](Self::core),
///   [`command`](Self::command), [`connect`](Self::connect).
/// * Time: [`run_until`](Self::run_until),
///   [`run_until_idle`](Self::run_until_idle), [`run_while`](Self::run_while).
/// * Faults: [`crash`](Self::crash), [`restart`](Self::restart),
///   [`pause`](Self::pause), [`partition`](Self::partition),
///   [`heal`](Self::heal), [`set_faults`](Self::set_faults),
///   [`set_bandwidth`](Self::set_bandwidth).
/// * What came of it: [`stats`](Self::stats),
///   [`fingerprint`](Self::fingerprint), [`app`](Self::app).
pub struct World<C: Core, A: App<C>> {
    nodes: Vec<Node<C>>,
    net: Net<C>,
    app: A,
    /// A buffer to be used again.
    commands: Vec<C::Command>,
    /// What waits for peers that are paused.
    held: BTreeMap<u32, Vec<Happening<C>>>,
}

impl<C: Core, A: App<C>> std::fmt::Debug for World<C, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.net.now)
            .field("nodes", &self.nodes.len())
            .field("stats", &self.net.stats)
            .finish_non_exhaustive()
    }
}

impl<C, A> World<C, A>
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    /// Does the next thing that is due by `limit`; false if there is none.
    fn advance(&mut self, limit: Timestamp) -> bool {
        let nodes = &self.nodes;
        // Peers lie all over the memory. Looking at those who are next, all in
        // one go, fetches them side by side and not one after the other.
        // Measured: a fifth faster with a hundred thousand peers.
        let look = |happening: &Happening<C>| {
            if let Some(node) = nodes.get(index(happening.to())) {
                std::hint::black_box(node.wake);
            }
        };
        let Some((at, happening)) = self.net.queue.pop_until_with(limit, look) else {
            return false;
        };
        self.net.now = at;
        let to = happening.to();
        let Some(node) = self.nodes.get_mut(index(to)) else {
            return true;
        };
        if let Happening::Wake { .. } = happening {
            if node.wake == at {
                self.on_wake(to);
            }
        } else if node.paused {
            self.held.entry(to).or_default().push(happening);
        } else {
            self.perform(happening);
        }
        true
    }

    fn on_wake(&mut self, to: u32) {
        let now = self.net.now;
        let node = &mut self.nodes[index(to)];
        node.wake = Timestamp::MAX;
        if node.paused {
            return;
        }
        let Some(core) = &mut node.core else {
            return;
        };
        // The deadline may have moved since.
        if core.next_deadline().is_some_and(|due| due <= now) {
            self.net.count(to, to, happening::WAKE);
            core.handle_timeout(now);
            // A core that is not content with what it did must not stop time.
            let later = Timestamp::from_micros(now.as_micros().saturating_add(1));
            self.react(to, later);
        } else {
            self.rest(to, now);
        }
    }

    fn perform(&mut self, happening: Happening<C>) {
        match happening {
            Happening::Message {
                from,
                to,
                epoch,
                message,
            } => self.on_message(from, to, epoch, message),
            Happening::Queued {
                from,
                to,
                epoch,
                message,
            } => self.on_arrival(from, to, epoch, message),
            Happening::Command { to, command } => {
                if let Some(core) = &mut self.nodes[index(to)].core {
                    self.net.count(to, to, happening::COMMAND);
                    core.handle_command(self.net.now, *command);
                    self.react(to, self.net.now);
                }
            }
            Happening::News {
                to,
                peer,
                epoch,
                news,
            } => {
                if self.nodes[index(to)].core.is_some() {
                    if matches!(news, News::Dialled) {
                        self.app.on_dialled(self.net.now, peer, to);
                    }
                    for link in self.net.on_news(to, peer, epoch, news) {
                        self.tell(to, peer_id(peer), link);
                    }
                } else if matches!(news, News::Dialled) {
                    self.net.on_dial_lost(peer, to, epoch);
                }
            }
            Happening::Nobody { to, peer } => self.tell(to, peer, Link::Unreachable),
            Happening::Wake { .. } => {}
        }
    }

    /// A message has come whose bytes have yet to pass the receiver's line.
    fn on_arrival(&mut self, from: u32, to: u32, epoch: u32, message: C::Message) {
        let now = self.net.now;
        let size = self.app.size(&message);
        match self.net.pipes.receive(to, now, size) {
            Some(at) if at > now => {
                let happening = Happening::Message {
                    from,
                    to,
                    epoch,
                    message,
                };
                self.net.queue.push(at, happening);
            }
            Some(_) => self.on_message(from, to, epoch, message),
            None => self.net.stats.overflowed += 1,
        }
    }

    fn on_message(&mut self, from: u32, to: u32, epoch: u32, message: C::Message) {
        let now = self.net.now;
        let Some(core) = &mut self.nodes[index(to)].core else {
            self.net.stats.unheard += 1;
            return;
        };
        if !self.net.carries(from, to, epoch) {
            self.net.stats.unheard += 1;
            return;
        }
        self.net.stats.delivered += 1;
        let kind = u16::from(self.app.kind(&message));
        self.net.count(from, to, happening::MESSAGE + kind);
        self.app.on_message(now, from, to, &message);
        core.handle_message(now, peer_id(from), message);
        self.react(to, now);
    }

    /// Tells a core news of a link.
    fn tell(&mut self, to: u32, peer: PeerId, link: Link) {
        if let Some(core) = &mut self.nodes[index(to)].core {
            let from = node_of(peer).unwrap_or(u32::MAX);
            self.net.count(from, to, happening::link_kind(link));
            core.handle_link(self.net.now, peer, link);
            self.react(to, self.net.now);
        }
    }

    /// Performs what a core wants done, then sees when it wants to be woken,
    /// which is not before `earliest`.
    fn react(&mut self, to: u32, earliest: Timestamp) {
        let Self {
            nodes,
            net,
            app,
            commands,
            ..
        } = self;
        let Some(core) = &mut nodes[index(to)].core else {
            return;
        };
        while let Some(output) = core.poll_output() {
            match output {
                Output::Send { to: peer, message } => net.send(app, to, peer, message),
                Output::Dial { peer } => net.dial(to, peer),
                Output::Disconnect { peer } => net.disconnect(to, peer),
                Output::Event(event) => {
                    app.on_event(net.now, to, event, commands);
                    for command in commands.drain(..) {
                        core.handle_command(net.now, command);
                    }
                }
            }
        }
        app.after(net.now, to, core);
        self.rest(to, earliest);
    }

    fn rest(&mut self, to: u32, earliest: Timestamp) {
        let node = &mut self.nodes[index(to)];
        let Some(deadline) = node.core.as_ref().and_then(Core::next_deadline) else {
            return;
        };
        let deadline = deadline.max(earliest);
        if deadline < node.wake {
            node.wake = deadline;
            self.net.queue.push(deadline, Happening::Wake { to });
        }
    }
}

/// A peer's place in a list.
fn index(node: u32) -> usize {
    usize::try_from(node).expect("pointers have at least 32 bits")
}
