//! Who shares and asks, whatever the overlay, and what is counted of it.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{Row, Timestamp};
use gannet_overlay::flood::{Coverage, Ending, FloodOutcome};

use super::index;
use super::library::Library;
use crate::node_of;

/// Searches that can be under way: they last seconds.
const RECENT_MAX: usize = 512;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab) enum Purpose {
    /// A question on its way.
    Question,
    /// An answer on its way back.
    Answer,
    /// How far a question came.
    Report,
    /// Everything else.
    Upkeep,
}

/// Messages and bytes by purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::lab) struct Tally {
    messages: [u64; 4],
    bytes: [u64; 4],
}

impl Tally {
    /// Messages for this.
    pub(in crate::lab) fn messages(&self, purpose: Purpose) -> u64 {
        self.messages[place(purpose)]
    }

    /// Messages, and their bytes, that searches cause.
    pub(in crate::lab) fn of_searches(&self) -> (u64, u64) {
        let upkeep = place(Purpose::Upkeep);
        let messages = self.messages[..upkeep].iter().sum();
        (messages, self.bytes[..upkeep].iter().sum())
    }
}

/// Upkeep is the last.
fn place(purpose: Purpose) -> usize {
    match purpose {
        Purpose::Question => 0,
        Purpose::Answer => 1,
        Purpose::Report => 2,
        Purpose::Upkeep => 3,
    }
}

/// Everybody.
#[derive(Debug)]
pub(in crate::lab) struct People {
    pub(in crate::lab) library: Library,
    pub(in crate::lab) trials: Vec<Trial>,
    /// The first of them that counts.
    first: usize,
    /// How many of them are neither over nor abandoned.
    pub(in crate::lab) running: usize,
    /// Whether messages count: not while the network is being made.
    pub(in crate::lab) counting: bool,
    pub(in crate::lab) tally: Tally,
    /// Messages that searches caused, by who handled them.
    pub(in crate::lab) load: Vec<u32>,
    /// Questions of these, by who was asked.
    pub(in crate::lab) served: Vec<u32>,
    /// Answers that are none: no match, or not their holder's.
    pub(in crate::lab) wrong: u64,
    /// Peers that are up, where peers come and go.
    pub(in crate::lab) up: Vec<bool>,
}

/// One search.
#[derive(Debug, Clone)]
pub(in crate::lab) struct Trial {
    pub(in crate::lab) searcher: u32,
    pub(in crate::lab) file: u32,
    /// All files that match, ascending; several are forgotten when it is over.
    files: Vec<u32>,
    /// How many different ones are there to be found, and how many of them are
    /// enough.
    pub(in crate::lab) available: u32,
    pub(in crate::lab) enough: u32,
    /// Those that were found.
    pub(in crate::lab) contents: BTreeSet<u32>,
    pub(in crate::lab) began: Timestamp,
    /// Peers that had the file and were up when it began, the searcher not
    /// counted.
    pub(in crate::lab) alive: u32,
    /// Time until the first answer, and its hops.
    pub(in crate::lab) first: Option<(Duration, u8)>,
    /// Messages, where each is known to be of a search.
    pub(in crate::lab) messages: Option<u32>,
    /// Peers that were found to have the file.
    pub(in crate::lab) found: Vec<u32>,
    /// How it ended; of every overlay in the terms of the flood overlay.
    pub(in crate::lab) outcome: Option<FloodOutcome>,
    /// Whether the searcher itself went away meanwhile.
    pub(in crate::lab) abandoned: bool,
}

impl Trial {
    fn forget_files(&mut self) {
        if self.files.len() > 1 {
            self.files = Vec::new();
        }
    }

    fn contents_found(&self) -> u32 {
        u32::try_from(self.contents.len()).expect("at most all files")
    }

    /// Whether it found as much as was wanted, or all there is.
    pub(in crate::lab) fn is_recalled(&self) -> bool {
        self.contents_found() >= self.available.min(self.enough)
    }

    /// Whether it claims that nobody has more, though somebody has.
    pub(in crate::lab) fn denies(&self) -> bool {
        let outcome = self.outcome.as_ref();
        self.contents_found() < self.available
            && outcome.is_some_and(|outcome| {
                outcome.ending == Ending::Everybody
                    && outcome.coverage.is_whole()
                    && outcome.coverage != Coverage::default()
            })
    }
}

impl People {
    pub(in crate::lab) fn new(library: Library, nodes: u32) -> Self {
        let nodes = index(nodes);
        Self {
            library,
            trials: Vec::new(),
            first: 0,
            running: 0,
            counting: false,
            tally: Tally::default(),
            load: vec![0; nodes],
            served: vec![0; nodes],
            wrong: 0,
            up: vec![true; nodes],
        }
    }

    /// Notes a search for a file, which begins now; returns its number.
    pub(in crate::lab) fn begin(&mut self, now: Timestamp, searcher: u32, file: u32) -> u64 {
        self.begin_for(now, searcher, file, (vec![file], 1))
    }

    fn alive(&self, file: u32, searcher: u32) -> usize {
        let alive = self.library.holders(file).iter();
        let alive = alive.filter(|node| **node != searcher && self.up[index(**node)]);
        alive.count()
    }

    /// The same for a query that these files match, of which so many are enough.
    pub(in crate::lab) fn begin_for(
        &mut self,
        now: Timestamp,
        searcher: u32,
        file: u32,
        (files, enough): (Vec<u32>, u32),
    ) -> u64 {
        let alive = self.alive(file, searcher);
        let is_there = |other: &&u32| {
            // What the searcher itself has it is told of as well.
            self.alive(**other, searcher) > 0
                || (**other != file && self.library.holds(searcher, **other))
        };
        let available = files.iter().filter(is_there).count();
        self.running += 1;
        self.trials.push(Trial {
            searcher,
            file,
            available: u32::try_from(available).expect("at most all files"),
            files,
            enough,
            contents: BTreeSet::new(),
            began: now,
            alive: u32::try_from(alive).expect("at most all peers"),
            first: None,
            messages: None,
            found: Vec::new(),
            outcome: None,
            abandoned: false,
        });
        self.trials.len() as u64 - 1
    }

    /// The search of this number.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(in crate::lab) fn trial(&self, id: u64) -> &Trial {
        &self.trials[usize::try_from(id).expect("it is in a list")]
    }

    /// From now on messages and searches count, and no earlier ones.
    pub(in crate::lab) fn begin_counting(&mut self) {
        self.counting = true;
        self.first = self.trials.len();
        self.tally = Tally::default();
        self.load.fill(0);
        self.served.fill(0);
    }

    /// The searches that count.
    pub(in crate::lab) fn counted(&self) -> &[Trial] {
        &self.trials[self.first..]
    }

    /// A peer is down, with all its searches.
    pub(in crate::lab) fn on_crash(&mut self, node: u32) {
        self.up[index(node)] = false;
        for trial in self.trials.iter_mut().rev().take(RECENT_MAX) {
            if trial.searcher == node && trial.outcome.is_none() && !trial.abandoned {
                trial.abandoned = true;
                trial.forget_files();
                self.running -= 1;
            }
        }
    }

    /// A message that counts came to a peer.
    pub(in crate::lab) fn count(&mut self, to: u32, purpose: Purpose, bytes: u32) {
        let kind = place(purpose);
        self.tally.messages[kind] += 1;
        self.tally.bytes[kind] += u64::from(bytes);
        if purpose != Purpose::Upkeep {
            self.load[index(to)] += 1;
        }
        if purpose == Purpose::Question {
            self.served[index(to)] += 1;
        }
    }

    /// The message that was counted last is of this search.
    pub(in crate::lab) fn count_for(&mut self, id: u64) {
        if let Some(trial) = trial(&mut self.trials, id) {
            *trial.messages.get_or_insert(0) += 1;
        }
    }

    /// Answers to a search: each is held against who has what.
    pub(in crate::lab) fn on_rows(&mut self, now: Timestamp, id: u64, hops: u8, rows: &[Row]) {
        let Some(trial) = trial(&mut self.trials, id) else {
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
            let is_match = trial.files.is_empty() || trial.files.binary_search(&file).is_ok();
            if !is_match || !self.library.holds(holder, file) {
                self.wrong += 1;
                continue;
            }
            trial.contents.insert(file);
            if trial.first.is_none() {
                trial.first = Some((now - trial.began, hops));
            }
            if file == trial.file && !trial.found.contains(&holder) {
                trial.found.push(holder);
            }
        }
    }

    /// A search is over.
    pub(in crate::lab) fn on_ended(&mut self, id: u64, outcome: FloodOutcome) {
        let trial = trial(&mut self.trials, id);
        if let Some(trial) = trial.filter(|trial| !trial.abandoned) {
            self.running -= usize::from(trial.outcome.is_none());
            trial.outcome = Some(outcome);
            trial.forget_files();
        }
    }
}

fn trial(trials: &mut [Trial], id: u64) -> Option<&mut Trial> {
    trials.get_mut(usize::try_from(id).ok()?)
}
