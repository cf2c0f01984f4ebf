//! Cores with nothing between them: what one sends another takes at once, no
//! timer is ever due, and who is dead is known as soon as it is dialled. For
//! lookups in a network that stands still: a million nodes fit.

use std::collections::{BTreeSet, VecDeque};

use gannet_base::{Core, Link, Output, PeerId, Timestamp};
use gannet_overlay::dht::ring::{Contact, RingBody, RingMessage, Step};
use gannet_overlay::dht::{Dht, DhtCommand, DhtEvent, DhtMessage, Located, LookupCost, Position};

use super::super::index;
use crate::{Fingerprint, node_of, peer_id};

/// Most inputs that one lookup may cause: more, and it goes round in circles.
// Guess: far more than any way is long.
const INPUTS_MAX: usize = 100_000;

/// What a core is given.
enum Input {
    Message(u32, Box<DhtMessage>),
    Link(u32, Link),
    /// Somebody who does not exist cannot be reached.
    Nobody(PeerId),
}

/// How a lookup went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked {
    /// Where it led; nothing if it failed, or did not end.
    pub(super) found: Option<Located>,
    pub(super) cost: LookupCost,
}

/// Peers with consecutive numbers.
pub(super) struct Bare {
    /// The number of the first.
    first: u32,
    /// Nothing where one is dead.
    cores: Vec<Option<Dht>>,
    now: Timestamp,
    queue: VecDeque<(u32, Input)>,
    ended: Option<Looked>,
    /// Who answers every question for a way with itself.
    liars: BTreeSet<u32>,
    /// Inputs so far.
    pub(super) events: u64,
    fingerprint: Fingerprint,
}

impl Bare {
    /// Nobody yet; who is added has the number `first`, and so on.
    pub(super) fn new(first: u32, capacity: usize) -> Self {
        Self {
            first,
            cores: Vec::with_capacity(capacity),
            now: Timestamp::from_secs(1),
            queue: VecDeque::new(),
            ended: None,
            liars: BTreeSet::new(),
            events: 0,
            fingerprint: Fingerprint::default(),
        }
    }

    /// Adds the next peer.
    pub(super) fn add(&mut self, mut core: Dht) {
        quieten(&mut core);
        self.cores.push(Some(core));
    }

    /// A peer dies.
    pub(super) fn kill(&mut self, peer: u32) {
        if let Some(core) = self.slot(peer) {
            *core = None;
        }
    }

    /// A peer says that every key is its own, from now on.
    pub(super) fn corrupt(&mut self, peer: u32) {
        self.liars.insert(peer);
    }

    pub(super) fn is_liar(&self, peer: u32) -> bool {
        self.liars.contains(&peer)
    }

    /// A peer becomes as new.
    pub(super) fn renew(&mut self, peer: u32, mut core: Dht) {
        quieten(&mut core);
        if let Some(slot) = self.slot(peer) {
            *slot = Some(core);
        }
    }

    fn slot(&mut self, peer: u32) -> Option<&mut Option<Dht>> {
        let place = index(peer.checked_sub(self.first)?);
        self.cores.get_mut(place)
    }

    fn core(&mut self, peer: u32) -> Option<&mut Dht> {
        self.slot(peer)?.as_mut()
    }

    /// Everything that happened, as one number.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    /// Lets a peer look for a key, until nothing more comes of it.
    pub(super) fn lookup(&mut self, peer: u32, key: Position, paths: u8) -> Looked {
        self.now = Timestamp::from_micros(self.now.as_micros() + 1);
        let now = self.now;
        self.ended = None;
        if let Some(core) = self.core(peer) {
            core.handle_command(now, DhtCommand::Lookup { id: 0, key, paths });
        }
        self.perform(peer);
        for _ in 0..INPUTS_MAX {
            let Some((to, input)) = self.queue.pop_front() else {
                break;
            };
            self.give(to, input);
        }
        self.queue.clear();
        self.ended.take().unwrap_or(Looked {
            found: None,
            cost: LookupCost::default(),
        })
    }

    fn give(&mut self, to: u32, input: Input) {
        let now = self.now;
        self.events += 1;
        if self.core(to).is_none() {
            return;
        }
        let lie = match &input {
            Input::Message(from, message) if self.is_liar(to) => lie(to, *from, message),
            _ => None,
        };
        if let Some(lie) = lie {
            self.queue.push_back(lie);
            return;
        }
        let Some(core) = self.core(to) else {
            return;
        };
        let (from, kind) = match input {
            Input::Message(from, message) => {
                core.handle_message(now, peer_id(from), *message);
                (from, 0)
            }
            Input::Link(from, link) => {
                core.handle_link(now, peer_id(from), link);
                (from, 1)
            }
            Input::Nobody(peer) => {
                core.handle_link(now, peer, Link::Unreachable);
                (u32::MAX, 2)
            }
        };
        let ends = u64::from(from) << 32 | u64::from(to);
        self.fingerprint.add(ends, kind);
        self.perform(to);
    }

    /// Does what a core wants done.
    fn perform(&mut self, peer: u32) {
        let mut wanted = Vec::new();
        if let Some(core) = self.core(peer) {
            while let Some(output) = core.poll_output() {
                wanted.push(output);
            }
        }
        for output in wanted {
            match output {
                Output::Send { to, message } => {
                    if let Some(to) = node_of(to) {
                        let input = Input::Message(peer, Box::new(message));
                        self.queue.push_back((to, input));
                    }
                }
                Output::Dial { peer: to } => self.dial(peer, to),
                Output::Disconnect { peer: to } => {
                    if let Some(to) = node_of(to) {
                        self.queue.push_back((to, Input::Link(peer, Link::Down)));
                    }
                }
                Output::Event(DhtEvent::Located { found, cost, .. }) => {
                    self.ended = Some(Looked { found, cost });
                }
                Output::Event(_) => {}
            }
        }
    }

    fn dial(&mut self, from: u32, to: PeerId) {
        let Some(number) = node_of(to) else {
            self.queue.push_back((from, Input::Nobody(to)));
            return;
        };
        if self.core(number).is_some() {
            self.queue.push_back((number, Input::Link(from, Link::Up)));
            self.queue.push_back((from, Input::Link(number, Link::Up)));
        } else {
            self.queue
                .push_back((from, Input::Link(number, Link::Unreachable)));
        }
    }
}

/// The answer of one that says that every key is its own.
fn lie(liar: u32, asker: u32, message: &DhtMessage) -> Option<(u32, Input)> {
    let DhtMessage::Ring(message) = message else {
        return None;
    };
    let RingBody::Find { nonce, .. } = message.body else {
        return None;
    };
    let step = Box::new(Step {
        closer: Vec::new(),
        owners: vec![Contact::new(peer_id(liar), message.to)],
    });
    let answer = DhtMessage::Ring(RingMessage {
        from: message.to,
        to: message.from,
        body: RingBody::Step { nonce, step },
    });
    Some((asker, Input::Message(liar, Box::new(answer))))
}

/// What a new core says of itself is of no interest.
fn quieten(core: &mut Dht) {
    while core.poll_output().is_some() {}
}
