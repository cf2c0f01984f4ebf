//! The people above the cores: they share, ask, answer, and keep count.

use std::time::Duration;

use gannet_base::{Row, Timestamp};
use gannet_overlay::flood::{
    Coverage, Ending, Flood, FloodCommand, FloodEvent, FloodMessage, FloodOutcome, Question,
    RequestId, SearchId,
};

use super::super::flood_wire;
use super::library::{Library, Matches};
use crate::{App, node_of};

/// Questions whose matches are remembered; searches under way are fewer.
const RECENT_MAX: usize = 512;
/// Kinds of messages.
const KINDS: usize = 10;

/// Everybody.
#[derive(Debug)]
pub(in crate::lab) struct Crowd {
    pub(in crate::lab) library: Library,
    pub(in crate::lab) trials: Vec<Trial>,
    /// How many of them are neither over nor abandoned.
    pub(in crate::lab) running: usize,
    /// Whether messages count: not while the network is being made.
    pub(in crate::lab) counting: bool,
    pub(in crate::lab) tally: Tally,
    /// Messages that searches caused, by who handled them.
    pub(in crate::lab) load: Vec<u32>,
    /// Answers that are none: no match, or not their holder's.
    pub(in crate::lab) wrong: u64,
    /// Peers that are up, where peers come and go.
    pub(in crate::lab) up: Vec<bool>,
    recent: Vec<(SearchId, Matches)>,
    /// Where in `recent` the last question was; questions come in bunches.
    last: usize,
}

/// Messages and bytes by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::lab) struct Tally {
    pub(in crate::lab) messages: [u64; KINDS],
    pub(in crate::lab) bytes: [u64; KINDS],
}

/// One search.
#[derive(Debug)]
pub(in crate::lab) struct Trial {
    pub(in crate::lab) searcher: u32,
    pub(in crate::lab) file: u32,
    pub(in crate::lab) began: Timestamp,
    /// Peers that had the file and were up when it began, the searcher not
    /// counted.
    pub(in crate::lab) alive: u32,
    /// Time until the first answer, and its hops.
    pub(in crate::lab) first: Option<(Duration, u8)>,
    /// Peers that were found to have it.
    pub(in crate::lab) found: Vec<u32>,
    pub(in crate::lab) outcome: Option<FloodOutcome>,
    /// Whether the searcher itself went away meanwhile.
    pub(in crate::lab) abandoned: bool,
}

impl Trial {
    /// Whether it claims that nobody has what somebody has.
    pub(in crate::lab) fn denies(&self) -> bool {
        let outcome = self.outcome.as_ref();
        self.found.is_empty()
            && self.alive > 0
            && outcome.is_some_and(|outcome| {
                outcome.ending == Ending::Everybody
                    && outcome.coverage.is_whole()
                    && outcome.coverage != Coverage::default()
            })
    }
}

impl Crowd {
    pub(in crate::lab) fn new(library: Library, nodes: u32) -> Self {
        let nodes = index(nodes);
        Self {
            library,
            trials: Vec::new(),
            running: 0,
            counting: false,
            tally: Tally::default(),
            load: vec![0; nodes],
            wrong: 0,
            up: vec![true; nodes],
            recent: Vec::new(),
            last: 0,
        }
    }

    /// Notes a search for a file, which begins now; returns its number.
    pub(in crate::lab) fn begin(&mut self, now: Timestamp, searcher: u32, file: u32) -> RequestId {
        let alive = self.library.holders(file).iter();
        let alive = alive.filter(|node| **node != searcher && self.up[index(**node)]);
        self.running += 1;
        self.trials.push(Trial {
            searcher,
            file,
            began: now,
            alive: u32::try_from(alive.count()).expect("at most all peers"),
            first: None,
            found: Vec::new(),
            outcome: None,
            abandoned: false,
        });
        RequestId::try_from(self.trials.len() - 1).expect("they are in a list")
    }

    /// A peer is down, with all its searches.
    pub(in crate::lab) fn on_crash(&mut self, node: u32) {
        self.up[index(node)] = false;
        // Searches last seconds: only the last ones can be under way.
        for trial in self.trials.iter_mut().rev().take(RECENT_MAX) {
            if trial.searcher == node && trial.outcome.is_none() && !trial.abandoned {
                trial.abandoned = true;
                self.running -= 1;
            }
        }
    }

    /// What matches the question of this search.
    fn matches(&mut self, search: SearchId, question: &Question) -> &Matches {
        let is_it = |(other, _): &(SearchId, Matches)| *other == search;
        if !self.recent.get(self.last).is_some_and(is_it) {
            self.last = match self.recent.iter().rposition(is_it) {
                Some(place) => place,
                None => {
                    if self.recent.len() == RECENT_MAX {
                        self.recent.drain(..RECENT_MAX / 2);
                    }
                    self.recent.push((search, self.library.matches(question)));
                    self.recent.len() - 1
                }
            };
        }
        &self.recent[self.last].1
    }

    fn on_asked(&mut self, node: u32, search: SearchId, question: &Question) -> Vec<Row> {
        self.matches(search, question);
        let (_, matches) = &self.recent[self.last];
        self.library.rows(node, matches)
    }

    fn on_rows(&mut self, now: Timestamp, id: RequestId, hops: u8, rows: &[Row]) {
        let Some(trial) = self
            .trials
            .get_mut(usize::try_from(id).unwrap_or(usize::MAX))
        else {
            self.wrong += 1;
            return;
        };
        for hit in rows.iter().flat_map(|row| &row.hits) {
            let file = self.library.file_of(hit.entry().content);
            let holder = node_of(hit.holder());
            let (Some(holder), Some(file)) = (holder, file) else {
                self.wrong += 1;
                continue;
            };
            // Queries are such that only one file matches.
            if file != trial.file || !self.library.holds(holder, file) {
                self.wrong += 1;
                continue;
            }
            if trial.first.is_none() {
                trial.first = Some((now - trial.began, hops));
            }
            if !trial.found.contains(&holder) {
                trial.found.push(holder);
            }
        }
    }
}

impl App<Flood> for Crowd {
    fn on_event(
        &mut self,
        now: Timestamp,
        node: u32,
        event: FloodEvent,
        commands: &mut Vec<FloodCommand>,
    ) {
        match event {
            FloodEvent::Asked {
                search, question, ..
            } => {
                let rows = self.on_asked(node, search, &question);
                if !rows.is_empty() {
                    commands.push(FloodCommand::Answer { search, rows });
                }
            }
            FloodEvent::Rows { id, hops, rows, .. } => self.on_rows(now, id, hops, &rows),
            FloodEvent::Ended { id, outcome } => {
                let place = usize::try_from(id).unwrap_or(usize::MAX);
                let trial = self.trials.get_mut(place);
                if let Some(trial) = trial.filter(|trial| !trial.abandoned) {
                    self.running -= usize::from(trial.outcome.is_none());
                    trial.outcome = Some(outcome);
                }
            }
            _ => {}
        }
    }

    fn size(&self, message: &FloodMessage) -> u32 {
        flood_wire::size(message)
    }

    fn kind(&self, message: &FloodMessage) -> u8 {
        flood_wire::kind(message)
    }

    fn on_message(&mut self, _: Timestamp, _: u32, to: u32, message: &FloodMessage) {
        if !self.counting {
            return;
        }
        let kind = usize::from(flood_wire::kind(message));
        self.tally.messages[kind] += 1;
        self.tally.bytes[kind] += u64::from(flood_wire::size(message));
        if flood_wire::is_of_searches(message) {
            self.load[index(to)] += 1;
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("pointers have at least 32 bits")
}
