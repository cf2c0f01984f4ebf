//! A small deterministic world: any [`Core`] under loss, duplication,
//! reordering, partitions, crashes and deaf queues, in virtual time.
//!
//! Everything that happens is an entry of one queue ordered by time and by
//! number, and every choice comes from one seed: the same seed gives the same
//! run. Every panic message names the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::time::Duration;

use gannet_base::{Core, Link, Output, PeerId, Rng, Timestamp, pump, seeded_rng};
use rand_core::Rng as _;

/// What links do to messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Per mille of messages lost.
    pub(crate) loss: u64,
    /// Per mille of messages delivered twice.
    pub(crate) duplication: u64,
    /// Per mille of messages held up by ten times the latency.
    pub(crate) reordering: u64,
    /// Least time a message takes.
    pub(crate) latency: Duration,
    /// Per cent of it that are added at most.
    pub(crate) jitter: usize,
    /// Messages that a link's send queue holds; more are dropped.
    pub(crate) queue: usize,
    /// Time that a link needs to put one message on its way.
    pub(crate) gap: Duration,
    /// How long the other end takes to notice a crash.
    pub(crate) notice: Duration,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
        latency: Duration::from_millis(20),
        jitter: 50,
        queue: 64,
        gap: Duration::from_micros(100),
        notice: Duration::from_secs(2),
    };

    pub(crate) const HEAVY: Self = Self {
        loss: 150,
        duplication: 100,
        reordering: 150,
        ..Self::NONE
    };
}

enum Happening<M> {
    Message {
        from: PeerId,
        to: PeerId,
        link: u64,
        message: M,
    },
    Link {
        to: PeerId,
        peer: PeerId,
        link: Link,
    },
    Connect {
        from: PeerId,
        to: PeerId,
    },
}

struct Node<C> {
    core: Option<C>,
    mute: bool,
    asleep: bool,
}

/// The world. `C` is often an enum of the kinds of nodes.
pub(crate) struct World<C: Core> {
    pub(crate) seed: u64,
    pub(crate) now: Timestamp,
    pub(crate) faults: Faults,
    pub(crate) rng: Rng,
    /// Events since they were taken last.
    pub(crate) events: Vec<(Timestamp, PeerId, C::Event)>,
    /// What happened, if it is kept.
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) sent: u64,
    pub(crate) dropped_by_queues: u64,
    /// Links (smaller end first) that are so many times as slow as the others.
    pub(crate) slow: BTreeMap<(PeerId, PeerId), u32>,
    nodes: BTreeMap<PeerId, Node<C>>,
    happenings: BTreeMap<(Timestamp, u64), Happening<C::Message>>,
    next: u64,
    /// Linked pairs (smaller first) and the number of their connection.
    links: BTreeMap<(PeerId, PeerId), u64>,
    cut: BTreeSet<(PeerId, PeerId)>,
    departures: BTreeMap<(PeerId, PeerId), VecDeque<Timestamp>>,
    spins: u32,
}

/// The id of node `n`.
pub(crate) fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}

impl<C: Core> World<C>
where
    C::Message: Clone + Debug,
    C::Event: Debug,
{
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            seed,
            now: Timestamp::ZERO,
            faults,
            rng: seeded_rng(seed),
            events: Vec::new(),
            trace: None,
            sent: 0,
            dropped_by_queues: 0,
            slow: BTreeMap::new(),
            nodes: BTreeMap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            departures: BTreeMap::new(),
            spins: 0,
        }
    }

    /// Puts a node into the world, or a new one in the place of a crashed one.
    pub(crate) fn start(&mut self, id: PeerId, core: C) {
        let node = Node {
            core: Some(core),
            mute: false,
            asleep: false,
        };
        self.nodes.insert(id, node);
    }

    /// Ends a node with everything it knew.
    pub(crate) fn crash(&mut self, id: PeerId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.core = None;
        }
        let notice = self.faults.notice;
        self.unlink_all(id, notice);
    }

    pub(crate) fn is_up(&self, id: PeerId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.core.is_some())
    }

    /// A mute node hears everything and is not heard.
    pub(crate) fn set_mute(&mut self, id: PeerId, mute: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.mute = mute;
        }
    }

    /// A sleeping node is not run; what arrives is lost. Its links live.
    pub(crate) fn set_asleep(&mut self, id: PeerId, asleep: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.asleep = asleep;
        }
    }

    /// Cuts or mends the way between two nodes. A link on it breaks, and both
    /// notice.
    pub(crate) fn set_cut(&mut self, a: PeerId, b: PeerId, is_cut: bool) {
        if !is_cut {
            self.cut.remove(&pair(a, b));
            return;
        }
        self.cut.insert(pair(a, b));
        if self.links.remove(&pair(a, b)).is_some() {
            let notice = self.faults.notice;
            self.push_link(notice, a, b, Link::Down);
            self.push_link(notice, b, a, Link::Down);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        let quiet = Faults {
            loss: 0,
            duplication: 0,
            reordering: 0,
            ..self.faults
        };
        self.faults = quiet;
        for node in self.nodes.values_mut() {
            node.mute = false;
            node.asleep = false;
        }
    }

    pub(crate) fn core(&self, id: PeerId) -> &C {
        let node = self.nodes.get(&id).and_then(|node| node.core.as_ref());
        node.expect("the node is up")
    }

    pub(crate) fn command(&mut self, id: PeerId, command: C::Command) {
        let now = self.now;
        self.run(id, |core| core.handle_command(now, command));
    }

    /// For tests that change what a node knows of its surroundings.
    pub(crate) fn core_mut(&mut self, id: PeerId) -> &mut C {
        let node = self.nodes.get_mut(&id).and_then(|node| node.core.as_mut());
        node.expect("the node is up")
    }

    /// A message out of thin air, from `from`.
    pub(crate) fn inject(&mut self, from: PeerId, to: PeerId, message: C::Message) {
        let now = self.now;
        self.run(to, |core| core.handle_message(now, from, message));
    }

    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.rng.next_u64() % 1_000 < chance
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("it fits");
        usize::try_from(self.rng.next_u64() % bound).expect("it fits")
    }

    /// Runs everything due up to `until`.
    pub(crate) fn run_until(&mut self, until: Timestamp) {
        while self.step(until) {}
        self.now = until;
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Runs until `holds`; how long that took. Looks after everything that
    /// happens.
    ///
    /// Panics when it does not hold within `patience`.
    #[track_caller]
    pub(crate) fn run_until_holds(
        &mut self,
        what: &str,
        patience: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        let (began, until) = (self.now, self.now + patience);
        while !holds(self) {
            if !self.step(until) {
                panic!("seed {}: not within {patience:?}: {what}", self.seed);
            }
        }
        self.now - began
    }

    /// Does the next thing, if it is due by `until`.
    fn step(&mut self, until: Timestamp) -> bool {
        let happening = self.happenings.keys().next().copied();
        let deadline = self
            .nodes
            .iter()
            .filter(|(_, node)| !node.asleep)
            .filter_map(|(id, node)| Some((node.core.as_ref()?.next_deadline()?, *id)))
            .min();
        let timer_first = match (happening, deadline) {
            (Some((at, _)), Some((due, _))) => due < at,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return false,
        };
        let due = match (timer_first, happening, deadline) {
            (true, _, Some((due, _))) => due,
            (_, Some((at, _)), _) => at,
            _ => return false,
        };
        if due > until {
            return false;
        }
        self.spins = if due > self.now { 0 } else { self.spins + 1 };
        assert!(
            self.spins < 100_000,
            "seed {}: time stands still",
            self.seed
        );
        self.now = self.now.max(due);
        let now = self.now;
        match (timer_first, happening, deadline) {
            (true, _, Some((_, id))) => self.run(id, |core| core.handle_timeout(now)),
            (_, Some(key), _) => {
                if let Some(happening) = self.happenings.remove(&key) {
                    self.happen(happening);
                }
            }
            _ => {}
        }
        true
    }

    fn happen(&mut self, happening: Happening<C::Message>) {
        let now = self.now;
        match happening {
            Happening::Message {
                from,
                to,
                link,
                message,
            } => {
                if self.links.get(&pair(from, to)) == Some(&link) {
                    self.note(|| format!("{from:?} -> {to:?}: {message:?}"));
                    self.run(to, |core| core.handle_message(now, from, message));
                }
            }
            Happening::Link { to, peer, link } => {
                let linked = self.links.contains_key(&pair(to, peer));
                if linked == (link == Link::Up) {
                    self.note(|| format!("{to:?}: {peer:?} {link:?}"));
                    self.run(to, |core| core.handle_link(now, peer, link));
                }
            }
            Happening::Connect { from, to } => self.on_connect(from, to),
        }
    }

    fn on_connect(&mut self, from: PeerId, to: PeerId) {
        let possible = self.is_up(from) && self.is_up(to) && !self.cut.contains(&pair(from, to));
        if !possible {
            self.push_link(Duration::from_secs(1), from, to, Link::Unreachable);
            return;
        }
        self.next += 1;
        let number = self.next;
        self.links.entry(pair(from, to)).or_insert(number);
        self.push_link(Duration::ZERO, from, to, Link::Up);
        self.push_link(Duration::ZERO, to, from, Link::Up);
    }

    fn run(&mut self, id: PeerId, input: impl FnOnce(&mut C)) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let mute = node.mute;
        let Some(core) = node.core.as_mut().filter(|_| !node.asleep) else {
            return;
        };
        input(core);
        let mut outputs = Vec::new();
        pump(core, |output| outputs.push(output));
        for output in outputs {
            match output {
                Output::Send { to, message } if !mute => self.send(id, to, message),
                Output::Send { .. } => {}
                Output::Dial { peer } => {
                    let latency = self.faults.latency * 2;
                    self.push(latency, Happening::Connect { from: id, to: peer });
                }
                Output::Disconnect { peer } => {
                    if self.links.remove(&pair(id, peer)).is_some() {
                        let latency = self.faults.latency;
                        self.push_link(latency, peer, id, Link::Down);
                    }
                }
                Output::Event(event) => {
                    self.note(|| format!("{id:?}: {event:?}"));
                    self.events.push((self.now, id, event));
                }
            }
        }
    }

    fn send(&mut self, from: PeerId, to: PeerId, message: C::Message) {
        self.sent += 1;
        let Some(link) = self.links.get(&pair(from, to)).copied() else {
            return;
        };
        let (now, faults) = (self.now, self.faults);
        let departures = self.departures.entry((from, to)).or_default();
        while departures.front().is_some_and(|at| *at <= now) {
            departures.pop_front();
        }
        if departures.len() >= faults.queue {
            self.dropped_by_queues += 1;
            return;
        }
        let departure = departures.back().copied().unwrap_or(now).max(now) + faults.gap;
        departures.push_back(departure);
        if self.per_mille(faults.loss) {
            return;
        }
        let copies = if self.per_mille(faults.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut latency = faults.latency;
            let added = self.below(faults.jitter.max(1));
            latency += latency * u32::try_from(added).expect("small") / 100;
            latency *= self.slow.get(&pair(from, to)).copied().unwrap_or(1);
            if self.per_mille(faults.reordering) {
                latency *= 10;
            }
            let message = message.clone();
            let happening = Happening::Message {
                from,
                to,
                link,
                message,
            };
            self.push((departure - now) + latency, happening);
        }
    }

    fn unlink_all(&mut self, id: PeerId, notice: Duration) {
        let linked: Vec<(PeerId, PeerId)> = self
            .links
            .keys()
            .filter(|(a, b)| *a == id || *b == id)
            .copied()
            .collect();
        for (a, b) in linked {
            self.links.remove(&(a, b));
            let other = if a == id { b } else { a };
            self.push_link(notice, other, id, Link::Down);
        }
    }

    fn push_link(&mut self, after: Duration, to: PeerId, peer: PeerId, link: Link) {
        self.push(after, Happening::Link { to, peer, link });
    }

    fn push(&mut self, after: Duration, happening: Happening<C::Message>) {
        self.next += 1;
        self.happenings
            .insert((self.now + after, self.next), happening);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now} {}", line()));
        }
    }
}
