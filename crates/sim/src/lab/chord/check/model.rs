//! A whole ring in one number, and every step that may come next.
//!
//! The steps themselves are those of [`rules`](gannet_overlay::dht::ring::rules), which
//! the overlay runs; here is only which of them may happen when, and the packing.

use std::fmt;

use gannet_overlay::dht::Position;
use gannet_overlay::dht::ring::rules::{Next, Node, Pointers};

use super::super::oracle::Member;

/// A node of a space that has so few places that they can be tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) at: u8,
    places: u8,
}

impl Node for Id {
    fn position(&self) -> Position {
        Position(self.at.into())
    }

    fn padding_after(&self) -> Self {
        Self {
            at: (self.at + 1) % self.places,
            ..*self
        }
    }
}

/// Deviations from the protocol, each of which must break it. For tests of the
/// checker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flaws {
    /// How many members there are at first, in place of r + 1.
    pub(super) start: Option<u8>,
    /// The last r + 1 members that nobody skips may fail too.
    pub(super) principals_fail: bool,
    /// A newcomer learns the head of the list only, and lists are not padded, as
    /// in the first publication.
    pub(super) bare_join: bool,
}

/// What may be pending at a node at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// The second half of a stabilisation and a candidate: as the overlay runs.
    Both,
    /// The later of the two; the other is forgotten, as in the model of the
    /// publication.
    One,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The first joins right after the second.
    Join(u8, u8),
    /// It asks its first successor.
    AskSuccessor(u8),
    /// It asks the node between that one and itself.
    AskSaved(u8),
    /// It looks at who may be its predecessor.
    Rectify(u8),
    /// It dies.
    Fail(u8),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(node, via) => write!(f, "{node} joins after {via}"),
            Self::AskSuccessor(node) => write!(f, "{node} asks its successor"),
            Self::AskSaved(node) => write!(f, "{node} asks the one between"),
            Self::Rectify(node) => write!(f, "{node} rectifies"),
            Self::Fail(node) => write!(f, "{node} fails"),
        }
    }
}

/// Which rings there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    pub(super) places: u8,
    pub(super) r: u8,
    pub(super) pending: Pending,
    pub(super) flaws: Flaws,
}

/// A ring: for each place so many bits, all zero where nobody is.
pub(super) type State = u128;

/// Bits of a place's number.
const ID_BITS: u32 = 3;
/// The number that stands for nobody.
const NOBODY: u8 = 7;
/// Most places: as many as have numbers beside that of nobody.
pub(super) const PLACES_MAX: u8 = NOBODY;

impl Model {
    /// Bits of a member: that it is one, its list, its predecessor, the saved one
    /// and the candidate.
    fn member_bits(self) -> u32 {
        1 + ID_BITS * (u32::from(self.r) + 3)
    }

    /// Whether states fit their number.
    pub(super) fn fits(self) -> bool {
        self.places <= PLACES_MAX && self.member_bits() * u32::from(self.places) <= State::BITS
    }

    pub(super) fn id(self, at: u8) -> Id {
        Id {
            at,
            places: self.places,
        }
    }

    /// Every ideal ring of as many members as there are at first.
    pub(super) fn starts(self) -> Vec<State> {
        let count = self.flaws.start.unwrap_or(self.r + 1);
        let sets = (0_u32..1 << self.places).filter(|set| set.count_ones() == u32::from(count));
        sets.map(|set| {
            let members: Vec<Id> = (0..self.places)
                .filter(|at| set >> at & 1 == 1)
                .map(|at| self.id(at))
                .collect();
            (0..members.len()).fold(0, |state, place| {
                let mut pointers = Pointers::ideal(&members, place, usize::from(self.r));
                if pointers.successors.len() > members.len() || members.len() == 1 {
                    // The publication's ring of few lists its members over again.
                    let round = members.iter().cycle().skip(place + 1);
                    pointers.successors = round.take(usize::from(self.r)).copied().collect();
                }
                self.with(state, &pointers)
            })
        })
        .collect()
    }

    /// The state in which this node is as said.
    fn with(self, state: State, pointers: &Pointers<Id>) -> State {
        let mut bits: State = 1;
        let mut shift = 1;
        let mut put = |at: u8| {
            bits |= State::from(at) << shift;
            shift += ID_BITS;
        };
        for place in 0..usize::from(self.r) {
            put(pointers.successors.get(place).map_or(NOBODY, |id| id.at));
        }
        put(pointers.predecessor.at);
        put(pointers.saved.map_or(NOBODY, |id| id.at));
        put(pointers.candidate.map_or(NOBODY, |id| id.at));
        self.without(state, pointers.me.at)
            | bits << (self.member_bits() * u32::from(pointers.me.at))
    }

    /// The state in which nobody is at a place.
    fn without(self, state: State, at: u8) -> State {
        let mask: State = (1 << self.member_bits()) - 1;
        state & !(mask << (self.member_bits() * u32::from(at)))
    }

    /// Whether somebody is at a place.
    pub(super) fn lives(self, state: State, at: u8) -> bool {
        state >> (self.member_bits() * u32::from(at)) & 1 == 1
    }

    /// The node at a place.
    pub(super) fn member(self, state: State, at: u8) -> Option<Pointers<Id>> {
        let bits = state >> (self.member_bits() * u32::from(at));
        if bits & 1 == 0 {
            return None;
        }
        let mut shift = 1;
        let mut take = || {
            let number = u8::try_from(bits >> shift & 7).expect("three bits");
            shift += ID_BITS;
            (number != NOBODY).then(|| self.id(number))
        };
        let mut successors = Vec::with_capacity(usize::from(self.r));
        successors.extend((0..self.r).filter_map(|_| take()));
        Some(Pointers {
            me: self.id(at),
            successors,
            predecessor: take().expect("everybody has one"),
            saved: take(),
            candidate: take(),
        })
    }

    /// Everybody, for the checks.
    pub(super) fn members(self, state: State) -> Vec<Member> {
        (0..self.places)
            .filter_map(|at| self.member(state, at))
            .map(|pointers| Member {
                at: pointers.me.position(),
                successors: pointers.successors.iter().map(Node::position).collect(),
                predecessor: Some(pointers.predecessor.position()),
            })
            .collect()
    }

    /// Does a step of an operation; the state after it.
    fn stabilise(self, state: State, mut node: Pointers<Id>, target: Id, first: bool) -> State {
        let answer = self.member(state, target.at);
        let old = node.successors.clone();
        if self.flaws.bare_join {
            // The rules take the length of the list for r.
            node.successors.resize(usize::from(self.r), self.id(0));
        }
        let next = match (&answer, first) {
            (Some(answer), true) => node.on_successor_answer(answer.view()),
            (Some(answer), false) => node.on_saved_answer(answer.view()),
            (None, true) => node.on_successor_dead(),
            (None, false) => node.on_saved_dead(),
        };
        if self.flaws.bare_join {
            node.successors = match (&answer, first) {
                (Some(answer), _) => {
                    let list = std::iter::once(target).chain(answer.successors.iter().copied());
                    list.take(usize::from(self.r)).collect()
                }
                (None, true) => old[1..].to_vec(),
                (None, false) => old,
            };
        }
        let me = node.me;
        let state = self.with(state, &node);
        match next {
            Next::Notify(_) => match node.successors.first() {
                Some(to) => self.notify(state, *to, me),
                None => state,
            },
            Next::Ask(_) => state,
        }
    }

    /// Lost if nobody is there.
    fn notify(self, state: State, to: Id, from: Id) -> State {
        let Some(mut node) = self.member(state, to.at) else {
            return state;
        };
        match self.pending {
            Pending::Both => node.on_notify(from),
            Pending::One if to != from => {
                node.saved = None;
                node.candidate = Some(from);
            }
            Pending::One => {}
        }
        self.with(state, &node)
    }

    /// Every step that may be next, and the state after it.
    pub(super) fn steps(self, state: State, mut next: impl FnMut(Step, State)) {
        let nodes: Vec<Option<Pointers<Id>>> =
            (0..self.places).map(|at| self.member(state, at)).collect();
        for at in 0..self.places {
            let Some(node) = &nodes[usize::from(at)] else {
                for member in nodes.iter().flatten() {
                    if member.may_precede(&self.id(at)) {
                        let joined = self.join(self.id(at), member);
                        next(Step::Join(at, member.me.at), self.with(state, &joined));
                    }
                }
                continue;
            };
            let is_free = self.pending == Pending::Both || node.candidate.is_none();
            if let Some(first) = node.successors.first()
                && node.may_stabilise()
                && is_free
            {
                let after = self.stabilise(state, node.clone(), *first, true);
                next(Step::AskSuccessor(at), after);
            }
            if let Some(saved) = node.saved {
                let after = self.stabilise(state, node.clone(), saved, false);
                next(Step::AskSaved(at), after);
            }
            if node.candidate.is_some() {
                let mut after = node.clone();
                let lives = self.lives(state, node.predecessor.at);
                after.rectify(lives);
                next(Step::Rectify(at), self.with(state, &after));
            }
            let after = self.without(state, at);
            if self.may_fail(&nodes, at) {
                next(Step::Fail(at), after);
            }
        }
    }

    fn join(self, newcomer: Id, member: &Pointers<Id>) -> Pointers<Id> {
        let mut joined = Pointers::joined(newcomer, member.view());
        if self.flaws.bare_join {
            joined.successors.truncate(1);
        }
        joined
    }

    /// What the proof assumes of failures: nobody loses its last live successor
    /// by one, and r + 1 members stay that nobody skips.
    fn may_fail(self, nodes: &[Option<Pointers<Id>>], at: u8) -> bool {
        let lives = |id: &Id| id.at != at && nodes[usize::from(id.at)].is_some();
        let others = nodes.iter().flatten().filter(|node| node.me.at != at);
        if !others
            .into_iter()
            .all(|node| node.successors.iter().any(lives))
        {
            return false;
        }
        let principals = nodes
            .iter()
            .flatten()
            .filter(|node| is_principal(nodes, node.me));
        let (mut count, mut is_one) = (0, false);
        for principal in principals {
            count += 1;
            is_one |= principal.me.at == at;
        }
        self.flaws.principals_fail || !is_one || count != usize::from(self.r) + 1
    }
}

/// Whether nobody's list skips this one.
fn is_principal(nodes: &[Option<Pointers<Id>>], who: Id) -> bool {
    let at = who.position();
    nodes.iter().flatten().all(|node| {
        let mut before = node.me.position();
        node.successors.iter().all(|entry| {
            let here = std::mem::replace(&mut before, entry.position());
            !at.is_between(here, entry.position())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_packed_and_unpacked() {
        let model = Model {
            places: 5,
            r: 2,
            pending: Pending::Both,
            flaws: Flaws::default(),
        };
        let starts = model.starts();
        assert_eq!(starts.len(), 10, "three of five");
        for start in starts {
            let mut seen = 0;
            model.steps(start, |step, after| {
                seen += 1;
                for at in 0..5 {
                    if let Some(node) = model.member(after, at) {
                        assert_eq!(model.with(after, &node), after, "{step:?}");
                    }
                }
            });
            // Two may join, each of three may ask its successor, nobody may fail.
            assert_eq!(seen, 5);
        }
    }
}
