//! What one can do to a world.

use gannet_base::{Core, Link, Timestamp};

use super::happening::{self, Happening};
use super::net::Net;
use super::{App, Node, Stats, World, index};
use crate::faults::Partition;
use crate::{Bandwidth, Cut, Faults, LinkModel, peer_id};

impl<C, A> World<C, A>
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    /// A world without peers, at time zero.
    pub fn new(seed: u64, model: LinkModel, app: A) -> Self {
        Self {
            nodes: Vec::new(),
            net: Net::new(seed, model),
            app,
            commands: Vec::new(),
            held: std::collections::BTreeMap::new(),
        }
    }

    /// Adds a peer and returns its number. Its core should know itself as
    /// [`peer_id`] of that number, which is how many peers there are before.
    ///
    /// # Panics
    ///
    /// After 2^32 peers.
    pub fn add(&mut self, core: C) -> u32 {
        let node = self.net.nodes;
        self.net.nodes = node.checked_add(1).expect("no memory holds as many peers");
        self.net.wires.add_node();
        self.nodes.push(Node {
            core: Some(core),
            wake: Timestamp::MAX,
            paused: false,
        });
        self.react(node, self.net.now);
        node
    }

    /// How many peers there are, those that are down included.
    pub fn nodes(&self) -> u32 {
        self.net.nodes
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.net.now
    }

    /// A peer's core; nothing while the peer is down.
    pub fn core(&self, node: u32) -> Option<&C> {
        self.nodes.get(index(node))?.core.as_ref()
    }

    /// A peer's core, to prepare what no message brings; nothing while the peer
    /// is down. What the core wants done is done with the next thing that
    /// happens to it.
    pub fn core_mut(&mut self, node: u32) -> Option<&mut C> {
        self.nodes.get_mut(index(node))?.core.as_mut()
    }

    /// What is above the cores.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// What is above the cores.
    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// The app, at the end.
    pub fn into_app(self) -> A {
        self.app
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.net.stats
    }

    /// A hash over every event so far: time, ends and kind.
    pub fn fingerprint(&self) -> u64 {
        self.net.fingerprint.value()
    }

    /// How many things are pending.
    pub fn pending(&self) -> usize {
        self.net.queue.len()
    }

    /// The messages that are on their way: from whom, to whom. Some may never arrive,
    /// if their link breaks before.
    pub fn in_flight(&self) -> impl Iterator<Item = (u32, u32, &C::Message)> {
        let held = self.held.values().flatten();
        self.net
            .queue
            .iter()
            .chain(held)
            .filter_map(Happening::message)
    }

    /// Gives a core a command now. Without effect while the peer is down; held
    /// while it is paused.
    pub fn command(&mut self, node: u32, command: C::Command) {
        let now = self.net.now;
        let Some(entry) = self.nodes.get_mut(index(node)) else {
            return;
        };
        if entry.paused {
            self.command_at(now, node, command);
        } else if let Some(core) = &mut entry.core {
            self.net.count(node, node, happening::COMMAND);
            core.handle_command(now, command);
            self.react(node, now);
        }
    }

    /// Gives a core a command at its time, or now if that is over.
    pub fn command_at(&mut self, at: Timestamp, node: u32, command: C::Command) {
        let happening = Happening::Command {
            to: node,
            command: Box::new(command),
        };
        self.net.queue.push(at.max(self.net.now), happening);
    }

    /// Links two peers at once, without a dial; both hear [`Link::Up`].
    pub fn connect(&mut self, a: u32, b: u32) {
        let alive = |node: u32| self.core(node).is_some();
        if a != b && alive(a) && alive(b) && self.net.connect(a, b) {
            self.tell(a, peer_id(b), Link::Up);
            self.tell(b, peer_id(a), Link::Up);
        }
    }

    /// The peers to which this one has links, in no particular but always the
    /// same order. None in [`Mode::Open`](crate::Mode::Open).
    pub fn linked(&self, node: u32) -> impl Iterator<Item = u32> {
        self.net.wires.peers(node)
    }

    /// Does everything that is due until then, and comes to that time.
    pub fn run_until(&mut self, at: Timestamp) {
        while self.advance(at) {}
        self.net.now = self.net.now.max(at);
    }

    /// Runs until nothing is pending: true; or until that time: false.
    pub fn run_until_idle(&mut self, limit: Timestamp) -> bool {
        while self.advance(limit) {}
        if self.net.queue.is_empty() {
            return true;
        }
        self.net.now = self.net.now.max(limit);
        false
    }

    /// Runs as long as `wanted` holds of the app, which is asked after each
    /// event; false if the time came first, or nothing was left to happen.
    pub fn run_while(&mut self, limit: Timestamp, mut wanted: impl FnMut(&A) -> bool) -> bool {
        while wanted(&self.app) {
            if !self.advance(limit) {
                if !self.net.queue.is_empty() {
                    self.net.now = self.net.now.max(limit);
                }
                return false;
            }
        }
        true
    }

    /// A peer dies in the middle of everything. The others notice late.
    /// Returns its core: what of it survives is the caller's to say.
    pub fn crash(&mut self, node: u32) -> Option<C> {
        let entry = self.nodes.get_mut(index(node))?;
        let core = entry.core.take()?;
        entry.wake = Timestamp::MAX;
        entry.paused = false;
        self.held.remove(&node);
        self.net.break_links(node);
        Some(core)
    }

    /// A peer that is down comes back with this core: a new one if it lost its
    /// disk. One that is up crashes first.
    pub fn restart(&mut self, node: u32, core: C) {
        self.crash(node);
        if let Some(entry) = self.nodes.get_mut(index(node)) {
            entry.core = Some(core);
            self.react(node, self.net.now);
        }
    }

    /// Stops a peer without ending it, or lets it go on. What comes meanwhile
    /// waits for it. Its links stay.
    pub fn pause(&mut self, node: u32, paused: bool) {
        let Some(entry) = self.nodes.get_mut(index(node)) else {
            return;
        };
        if entry.core.is_none() || std::mem::replace(&mut entry.paused, paused) == paused {
            return;
        }
        if !paused {
            for happening in self.held.remove(&node).unwrap_or_default() {
                self.net.queue.push(self.net.now, happening);
            }
            self.react(node, self.net.now);
        }
    }

    /// Whether a peer is up and not paused.
    pub fn is_running(&self, node: u32) -> bool {
        let node = self.nodes.get(index(node));
        node.is_some_and(|node| node.core.is_some() && !node.paused)
    }

    /// Cuts these peers off from all others, in addition to what is cut
    /// already. Messages are lost when they are sent; links across the cut break
    /// when that is noticed.
    pub fn partition(&mut self, inside: impl IntoIterator<Item = u32>, cut: Cut) {
        self.net.partitions.push(Partition::new(inside, cut));
        self.net.sever_links();
    }

    /// Ends all partitions.
    pub fn heal(&mut self) {
        self.net.partitions.clear();
    }

    /// What goes wrong with messages from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.net.model.faults = faults;
    }

    /// A bandwidth of its own for a peer.
    pub fn set_bandwidth(&mut self, node: u32, bandwidth: Bandwidth) {
        self.net.pipes.set(node, bandwidth);
    }
}
