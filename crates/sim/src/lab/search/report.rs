//! What came of all searches together.

use std::time::Duration;

use gannet_overlay::flood::Ending;
use serde::Serialize;

use super::super::people::{People, Purpose, Trial};
use crate::lab::EventHash;
use crate::stats;

/// What came of all searches together. "Per query" is per search that did not
/// lose its searcher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which overlay.
    pub overlay: &'static str,
    /// Peers.
    pub nodes: u32,
    /// Neighbours of a peer at the end, in a structured network its links, on average
    /// over those that are up.
    pub degree_mean: f64,
    /// Files.
    pub files: u32,
    /// The share of the files whose names have the commonest word.
    pub commonest_word_share: f64,
    /// Searches that count.
    pub queries: u64,
    /// Searches whose searcher went away; they do not count.
    pub abandoned: u64,
    /// The share of the searches that found as many files as were enough, or all
    /// that match; of those for which somebody who was up had one.
    pub recall: f64,
    /// The share of the copies of the file whose name was typed, on peers that were up, that was found;
    /// on average.
    pub copies_found_share: f64,
    /// Messages that a search causes: questions, answers, reports.
    pub messages_per_query: f64,
    /// Messages that half of the searches do not exceed; nothing where messages are
    /// not told apart by search.
    pub messages_p50: Option<f64>,
    /// Questions of these.
    pub asks_per_query: f64,
    /// Answers of these.
    pub hits_per_query: f64,
    /// Reports of these.
    pub reports_per_query: f64,
    /// Bytes that a search causes.
    pub bytes_per_query: f64,
    /// Milliseconds until the first answer, of half of those that were
    /// answered; nothing if none was.
    pub first_hit_ms_p50: Option<f64>,
    /// The same of 99 of 100.
    pub first_hit_ms_p99: Option<f64>,
    /// Milliseconds until the end, of half of those that ended.
    pub end_ms_p50: Option<f64>,
    /// The same of 99 of 100.
    pub end_ms_p99: Option<f64>,
    /// Hops to who answered first.
    pub hops_mean: f64,
    /// How many times the question went out.
    pub rounds_mean: f64,
    /// Peers that say they looked, in the round that reached most.
    pub asked_mean: f64,
    /// Messages of all searches together that half of the peers handled.
    pub load_p50: u32,
    /// The same of 99 of 100.
    pub load_p99: u32,
    /// The same of all.
    pub load_max: u32,
    /// The most of a peer, in means.
    pub load_max_over_mean: f64,
    /// Questions of all searches together that came to a peer, on average.
    pub served_mean: f64,
    /// What 99 of 100 peers do not exceed, in means.
    pub served_p99_over_mean: f64,
    /// The most of a peer, in means.
    pub served_max_over_mean: f64,
    /// In the structured network: questions of these for entries of lists, the rest
    /// being for the way; on average.
    pub lists_served_mean: Option<f64>,
    /// What 99 of 100 peers do not exceed of those, in means.
    pub lists_served_p99_over_mean: Option<f64>,
    /// The most of a peer, in means.
    pub lists_served_max_over_mean: Option<f64>,
    /// There: entries that a peer holds for others, each list counted, on average.
    pub held_mean: Option<f64>,
    /// The most of a peer, in means.
    pub held_max_over_mean: Option<f64>,
    /// Messages of other kinds, for each peer and minute.
    pub maintenance_messages_per_peer_minute: f64,
    /// How searches ended.
    pub ended: Endings,
    /// Answers that match nothing or are not their holder's: always 0.
    pub wrong: u64,
    /// Searches that said that this is all, though somebody has more.
    pub denied: u64,
    /// Virtual seconds from the first search to the end.
    pub seconds: f64,
    /// Things that happened, making the network included.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// How many searches ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Endings {
    /// Enough was found.
    pub enough: u64,
    /// Everybody was asked.
    pub everybody: u64,
    /// The strategy ends there.
    pub horizon: u64,
    /// Some did not answer.
    pub partial: u64,
    /// There was nobody to ask.
    pub no_neighbours: u64,
    /// Too many searches.
    pub too_many: u64,
    /// Not at all: always 0.
    pub never: u64,
}

impl Endings {
    fn add(&mut self, ending: Option<Ending>) {
        let count = match ending {
            Some(Ending::Enough) => &mut self.enough,
            Some(Ending::Everybody) => &mut self.everybody,
            Some(Ending::Horizon) => &mut self.horizon,
            Some(Ending::Partial) => &mut self.partial,
            Some(Ending::NoNeighbours) => &mut self.no_neighbours,
            Some(Ending::TooMany) => &mut self.too_many,
            None => &mut self.never,
        };
        *count += 1;
    }
}

/// Sums of what searches came to.
#[derive(Debug, Default)]
struct Sums {
    queries: u64,
    messages: Vec<u32>,
    /// Of which somebody had a file that matches.
    possible: u64,
    /// Of which somebody else had the file itself.
    alive: u64,
    recalled: u64,
    copies: f64,
    hops: u64,
    rounds: u64,
    asked: u64,
    firsts: Vec<f64>,
    ends: Vec<f64>,
    ended: Endings,
    denied: u64,
}

impl Sums {
    fn add(&mut self, trial: &Trial) {
        self.queries += 1;
        self.messages.extend(trial.messages);
        if trial.available > 0 {
            self.possible += 1;
            self.recalled += u64::from(trial.is_recalled());
        }
        if trial.alive > 0 {
            self.alive += 1;
            let found = trial.found.len() as u64;
            // Who came up later may be found too.
            self.copies += stats::share(found, u64::from(trial.alive)).min(1.0);
        }
        if let Some((after, hops)) = trial.first {
            self.firsts.push(millis(after));
            self.hops += u64::from(hops);
        }
        self.ended.add(trial.outcome.map(|outcome| outcome.ending));
        self.denied += u64::from(trial.denies());
        if let Some(outcome) = &trial.outcome {
            self.ends.push(millis(outcome.elapsed));
            self.rounds += u64::from(outcome.rounds);
            self.asked += u64::from(outcome.coverage.asked);
        }
    }
}

/// How a burden is spread over peers.
struct Spread {
    ascending: Vec<u32>,
    mean: f64,
}

impl Spread {
    fn of(each: &[u32]) -> Self {
        let mut ascending = each.to_vec();
        ascending.sort_unstable();
        let sum = each.iter().copied().map(u64::from).sum();
        let mean = stats::share(sum, each.len() as u64);
        Self { ascending, mean }
    }

    /// What this share of the peers does not exceed.
    fn at(&self, per_cent: f64) -> u32 {
        stats::percentile(&self.ascending, per_cent).unwrap_or(0)
    }

    /// The same in means; 0 if there is no burden.
    fn in_means(&self, per_cent: f64) -> f64 {
        if self.mean > 0.0 {
            f64::from(self.at(per_cent)) / self.mean
        } else {
            0.0
        }
    }
}

/// What else is told of a run.
pub(in crate::lab) struct Run {
    /// Which overlay.
    pub(in crate::lab) overlay: &'static str,
    pub(in crate::lab) nodes: u32,
    pub(in crate::lab) files: u32,
    /// Neighbours of a peer, on average.
    pub(in crate::lab) degree_mean: f64,
    /// Lists, where there are any.
    pub(in crate::lab) listed: Option<Listed>,
    /// From the first search to the end.
    pub(in crate::lab) took: Duration,
    pub(in crate::lab) events: u64,
    pub(in crate::lab) event_hash: EventHash,
}

/// Who lists what for whom.
pub(in crate::lab) struct Listed {
    /// Questions for entries that came to each peer.
    pub(in crate::lab) served: Vec<u32>,
    /// Entries that each peer holds.
    pub(in crate::lab) held: Vec<u32>,
}

pub(in crate::lab) fn of(people: &People, run: &Run) -> Report {
    let mut sums = Sums::default();
    let all = people.counted();
    let counted = all.iter().filter(|trial| !trial.abandoned);
    counted.for_each(|trial| sums.add(trial));
    sums.firsts.sort_by(f64::total_cmp);
    sums.ends.sort_by(f64::total_cmp);
    sums.messages.sort_unstable();
    let tally = people.tally;
    let (messages, bytes) = tally.of_searches();
    let others = tally.messages(Purpose::Upkeep);
    let per_query = |count: u64| stats::share(count, sums.queries);
    let load = Spread::of(&people.load);
    let served = Spread::of(&people.served);
    let lists = run.listed.as_ref();
    let (held, lists) = (
        lists.map(|lists| Spread::of(&lists.held)),
        lists.map(|lists| Spread::of(&lists.served)),
    );
    let minutes = run.took.as_secs_f64() / 60.0 * f64::from(run.nodes);
    Report {
        overlay: run.overlay,
        nodes: run.nodes,
        degree_mean: run.degree_mean,
        files: run.files,
        commonest_word_share: people.library.commonest_word_share(),
        queries: sums.queries,
        abandoned: all.len() as u64 - sums.queries,
        recall: stats::share(sums.recalled, sums.possible),
        copies_found_share: stats::ratio(sums.copies, sums.alive),
        messages_per_query: per_query(messages),
        messages_p50: stats::percentile(&sums.messages, 50.0).map(f64::from),
        asks_per_query: per_query(tally.messages(Purpose::Question)),
        hits_per_query: per_query(tally.messages(Purpose::Answer)),
        reports_per_query: per_query(tally.messages(Purpose::Report)),
        bytes_per_query: per_query(bytes),
        first_hit_ms_p50: stats::percentile(&sums.firsts, 50.0),
        first_hit_ms_p99: stats::percentile(&sums.firsts, 99.0),
        end_ms_p50: stats::percentile(&sums.ends, 50.0),
        end_ms_p99: stats::percentile(&sums.ends, 99.0),
        hops_mean: stats::share(sums.hops, sums.firsts.len() as u64),
        rounds_mean: per_query(sums.rounds),
        asked_mean: per_query(sums.asked),
        load_p50: load.at(50.0),
        load_p99: load.at(99.0),
        load_max: load.at(100.0),
        load_max_over_mean: load.in_means(100.0),
        served_mean: served.mean,
        served_p99_over_mean: served.in_means(99.0),
        served_max_over_mean: served.in_means(100.0),
        lists_served_mean: lists.as_ref().map(|lists| lists.mean),
        lists_served_p99_over_mean: lists.as_ref().map(|lists| lists.in_means(99.0)),
        lists_served_max_over_mean: lists.as_ref().map(|lists| lists.in_means(100.0)),
        held_mean: held.as_ref().map(|held| held.mean),
        held_max_over_mean: held.as_ref().map(|held| held.in_means(100.0)),
        maintenance_messages_per_peer_minute: if minutes > 0.0 {
            stats::share(others, 1) / minutes
        } else {
            0.0
        },
        ended: sums.ended,
        wrong: people.wrong,
        denied: sums.denied,
        seconds: run.took.as_secs_f64(),
        events: run.events,
        event_hash: run.event_hash,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
