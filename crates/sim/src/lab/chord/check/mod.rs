//! Every ring that can come of the overlay's rules, tried out.
//!
//! From each ideal ring of r + 1 members in a space of a few places, every join,
//! failure, and step of an operation that may be next is taken, in every order,
//! until nothing new comes; in each state everything that must hold is looked
//! at. The steps are those of the overlay itself.
//!
//! Source: Zave 2017, section 6, which does the same with a model in Alloy.

mod model;

use std::hash::{BuildHasherDefault, Hasher};

use serde::Serialize;

use self::model::{Flaws, Model, PLACES_MAX, Pending, State, Step};
use super::super::index;
use super::oracle::{Property, violations};
use crate::Impossible;
use crate::fingerprint::mixed;

/// Most states; more are not looked at.
// Guess: 6 GB of them.
const STATES_MAX: usize = 100_000_000;
/// Most states in which something is wrong; no more are looked for.
const WRONG_MAX: usize = 1_000;
/// Those that are told, with the steps that lead there.
const TOLD_MAX: usize = 4;

/// Which rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Places in the space.
    pub ids: u8,
    /// The length r of successor lists.
    pub successors: u8,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            ids: 5,
            successors: 2,
        }
    }
}

/// What was tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Places in the space.
    pub ids: u8,
    /// The length r of successor lists.
    pub successors: u8,
    /// Rings that differ, where a node has one thing pending at a time, as in the
    /// publication's model.
    pub states: u64,
    /// Steps that were taken from them.
    pub transitions: u64,
    /// The same where a node keeps the second half of a stabilisation and a
    /// candidate for its predecessor beside one another, as the overlay does.
    pub running_states: u64,
    /// Steps that were taken from those.
    pub running_transitions: u64,
    /// States of either kind in which something did not hold.
    pub violations: u64,
    /// Some of them, with the fewest steps that lead there.
    pub told: Vec<String>,
    /// Whether every state was looked at: there were not too many.
    pub exhausted: bool,
}

/// Tries everything out.
///
/// # Errors
///
/// If there are too few places for a ring, or so many that they are not packed.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    let model = |pending| Model {
        places: params.ids,
        r: params.successors,
        pending,
        flaws: Flaws::default(),
    };
    if params.successors < 2 {
        let possible = "at least 2: with one successor no failure is survived";
        return Err(Impossible::new("--successors", params.successors, possible));
    }
    if !model(Pending::Both).fits() {
        let possible = format!(
            "at most {PLACES_MAX} places, and fewer with longer lists: places times \
             (3 times the successors, and 10) is at most 128"
        );
        return Err(Impossible::new("--ids", params.ids, possible));
    }
    if params.ids <= params.successors {
        let possible = format!("more than the {} --successors", params.successors);
        return Err(Impossible::new("--ids", params.ids, possible));
    }
    let one = Explored::all(model(Pending::One));
    let both = Explored::all(model(Pending::Both));
    let told = one.told().chain(both.told()).collect();
    Ok(Report {
        ids: params.ids,
        successors: params.successors,
        states: one.states.len() as u64,
        transitions: one.transitions,
        running_states: both.states.len() as u64,
        running_transitions: both.transitions,
        violations: (one.wrong.len() + both.wrong.len()) as u64,
        told,
        exhausted: one.is_exhausted() && both.is_exhausted(),
    })
}

/// Mixes the two halves of a state: no stranger chooses states.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mixed(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u128(&mut self, number: u128) {
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).expect("masked");
        self.0 = mixed(half(number) ^ mixed(half(number >> 64)));
    }
}

type Seen = hashbrown::HashSet<State, BuildHasherDefault<Mixer>>; // tidy: allow(its hasher is fixed, and nothing goes through it)

/// From where a start was found.
const NOWHERE: u32 = u32::MAX;

/// All states that were found, in order of the fewest steps to them.
struct Explored {
    model: Model,
    seen: Seen,
    states: Vec<State>,
    /// For each, from which one it was found.
    from: Vec<u32>,
    /// Those before this one were looked at.
    looked: usize,
    transitions: u64,
    /// Those in which something did not hold.
    wrong: Vec<usize>,
}

impl Explored {
    /// The ideal rings.
    fn new(model: Model) -> Self {
        let mut explored = Self {
            model,
            seen: Seen::default(),
            states: Vec::new(),
            from: Vec::new(),
            looked: 0,
            transitions: 0,
            wrong: Vec::new(),
        };
        for start in model.starts() {
            explored.meet(start, NOWHERE);
        }
        explored
    }

    /// Goes on until nothing new comes, or something is wrong in enough states.
    fn all(model: Model) -> Self {
        let mut explored = Self::new(model);
        while explored.states.len() <= STATES_MAX && explored.wrong.len() < WRONG_MAX {
            let Some((place, broken)) = explored.advance() else {
                break;
            };
            if !broken.is_empty() {
                explored.wrong.push(place);
            }
        }
        explored
    }

    /// Whether every state was looked at.
    fn is_exhausted(&self) -> bool {
        self.looked == self.states.len()
    }

    /// Takes the next state: which it is, and what does not hold in it. Nothing if
    /// there are no more.
    fn advance(&mut self) -> Option<(usize, Vec<Property>)> {
        let place = self.looked;
        let state = *self.states.get(place)?;
        self.looked += 1;
        let model = self.model;
        let from = u32::try_from(place).expect("there are fewer states");
        model.steps(state, |_, after| {
            self.transitions += 1;
            self.meet(after, from);
        });
        let members = model.members(state);
        Some((place, violations(&members, usize::from(model.r) + 1)))
    }

    fn meet(&mut self, state: State, from: u32) {
        if self.seen.insert(state) {
            self.states.push(state);
            self.from.push(from);
        }
    }

    /// Some of what is wrong, and the way there.
    fn told(&self) -> impl Iterator<Item = String> {
        self.wrong
            .iter()
            .take(TOLD_MAX)
            .map(|place| self.tell(*place))
    }

    fn tell(&self, place: usize) -> String {
        let members = self.model.members(self.states[place]);
        let broken = violations(&members, usize::from(self.model.r) + 1);
        let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
        let steps: Vec<String> = self.way(place).iter().map(ToString::to_string).collect();
        format!("{} after: {}", broken.join(", "), steps.join("; "))
    }

    /// The steps that lead to a state.
    fn way(&self, mut place: usize) -> Vec<Step> {
        let mut way = Vec::new();
        while self.from[place] != NOWHERE {
            let before = index(self.from[place]);
            let mut taken = None;
            self.model.steps(self.states[before], |step, after| {
                if after == self.states[place] {
                    taken.get_or_insert(step);
                }
            });
            way.extend(taken);
            place = before;
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(places: u8, flaws: Flaws) -> Model {
        Model {
            places,
            r: 2,
            pending: Pending::One,
            flaws,
        }
    }

    #[test]
    fn four_places_are_tried_out() {
        let report = run(&Params {
            ids: 4,
            successors: 2,
        })
        .unwrap();
        assert_eq!(report.told, Vec::<String>::new());
        assert_eq!(report.violations, 0);
        assert!(report.exhausted);
        assert_eq!((report.states, report.transitions), (2_577, 12_224));
        assert!(report.running_states > report.states, "{report:?}");
    }

    #[test]
    fn what_is_no_ring_is_impossible() {
        for (ids, successors) in [(2, 2), (8, 2), (5, 1), (7, 4), (0, 0)] {
            assert!(
                run(&Params { ids, successors }).is_err(),
                "{ids} {successors}"
            );
        }
    }

    /// The fewest steps after which the members are not one ordered ring that
    /// everybody leads to.
    #[track_caller]
    fn breaks(flaws: Flaws) -> usize {
        const RING: [Property; 4] = [
            Property::AtLeastOneRing,
            Property::AtMostOneRing,
            Property::OrderedRing,
            Property::ConnectedAppendages,
        ];
        let mut explored = Explored::new(model(5, flaws));
        while let Some((place, broken)) = explored.advance() {
            if broken.iter().any(|property| RING.contains(property)) {
                assert!(explored.tell(place).contains(" after: "));
                return explored.way(place).len();
            }
        }
        panic!("nothing breaks in {} states", explored.states.len());
    }

    /// What the checker says nothing of, it would have found: rings that do not
    /// begin with r + 1 members, more failures than the proof allows, and joins as
    /// first published, all break.
    #[test]
    fn flaws_are_found() {
        for start in [1, 2] {
            let few = breaks(Flaws {
                start: Some(start),
                ..Flaws::default()
            });
            assert!(few <= 11, "{few} steps from {start}");
        }
        let failures = breaks(Flaws {
            principals_fail: true,
            ..Flaws::default()
        });
        assert!(failures <= 10, "{failures} steps");
        let bare = breaks(Flaws {
            bare_join: true,
            ..Flaws::default()
        });
        assert!(bare <= 10, "{bare} steps");
    }
}
