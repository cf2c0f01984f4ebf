//! Own searches.

use std::collections::BTreeMap;

use gannet_base::{Row, Timestamp};
use rand_core::Rng as _;

use super::Flood;
use super::api::{Ending, FloodEvent, FloodOutcome, RequestId, Strategy};
use super::message::{Ask, Coverage, Hits, SearchId, rows_weight};
use super::opens::Open;
use super::question::{Question, Wanted};
use super::seen::{Back, NOT_OPEN, ORIGIN, Seen};
use super::slots::{Slot, SlotMask, SlotSet};
use super::strategy::{Next, Plan, Standing};

/// Results that are told apart, for one search.
// Guess: whoever wants more gets what comes in one round.
const FOUND_MAX: u32 = 10_000;
/// Rounds of one search: they are counted in a byte.
const ROUNDS_MAX: u8 = 250;

/// An own search.
#[derive(Debug)]
pub(crate) struct Search {
    id: RequestId,
    search: SearchId,
    question: Question,
    enough: u32,
    plan: Plan,
    began: Timestamp,
    /// The round under way, or the next one.
    round: u8,
    /// TTL of the last round, and the largest.
    ttl: u8,
    ttl_largest: u8,
    /// Who was sent it.
    asked: SlotSet,
    /// Neighbours that had joined when it was sent last.
    serial: u32,
    /// The round that reached most; of rounds to some neighbours each, their sum.
    coverage: Coverage,
    /// Whether the last round went to some neighbours only.
    partly: bool,
    /// Different results, and through whom they came.
    found: BTreeMap<[u8; 32], Slot>,
    rows: u32,
    /// Rows that arrived in the round under way.
    arrived: u32,
    /// Whether answers may have been lost so far.
    doubt: bool,
    /// When to look at what was found, or when the round is over if no reports
    /// are wanted.
    due: Option<Timestamp>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    list: Vec<Search>,
    due: Option<Timestamp>,
}

impl Searches {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    pub(crate) fn is_own(&self, search: SearchId) -> bool {
        self.list.iter().any(|own| own.search == search)
    }

    fn position(&self, search: SearchId) -> Option<usize> {
        self.list.iter().position(|own| own.search == search)
    }

    fn find_due(&mut self) {
        self.due = self.list.iter().filter_map(|own| own.due).min();
    }

    /// A slot is somebody else's from now on.
    pub(crate) fn on_gone(&mut self, gone: Slot) {
        for own in &mut self.list {
            own.asked.remove(gone);
        }
    }

    /// What came through a liar does not count.
    pub(crate) fn forget_from(&mut self, liar: Slot) {
        for own in &mut self.list {
            own.found.retain(|_, via| *via != liar);
        }
    }
}

impl Search {
    fn found(&self) -> u32 {
        u32::try_from(self.found.len()).unwrap_or(u32::MAX)
    }

    fn note_coverage(&mut self, coverage: Coverage) {
        if self.partly {
            self.coverage.add(coverage);
        } else if coverage.asked >= self.coverage.asked {
            self.coverage = coverage;
        }
    }

    /// Remembers what is new in these rows.
    fn note(&mut self, rows: &[Row], via: Slot) {
        let most = usize::try_from(self.enough).unwrap_or(usize::MAX);
        for row in rows {
            let is_content = matches!(self.question.wanted(), Wanted::Content(_));
            let holders = row.hits.iter().filter(|_| is_content);
            let holders = holders.map(|hit| *hit.holder().as_bytes());
            let content = (!is_content).then(|| *row.content.as_bytes());
            for found in holders.chain(content) {
                if self.found.len() < most {
                    self.found.entry(found).or_insert(via);
                }
            }
        }
    }
}

impl Flood {
    pub(super) fn on_search(
        &mut self,
        now: Timestamp,
        id: RequestId,
        wanted: Wanted,
        enough: u32,
        strategy: Option<Strategy>,
    ) {
        self.on_cancel(id);
        let mut search = SearchId(self.rng.next_u64());
        while self.seen.find(search).is_some() || self.searches.is_own(search) {
            search = SearchId(self.rng.next_u64());
        }
        let enough = enough.clamp(1, FOUND_MAX);
        let strategy = strategy.as_ref().unwrap_or(&self.config.strategy);
        let own = Search {
            id,
            search,
            question: Question::from(wanted),
            enough,
            plan: Plan::new(strategy, &self.config, enough),
            began: now,
            round: 0,
            ttl: 0,
            ttl_largest: 0,
            asked: SlotSet::default(),
            serial: 0,
            coverage: Coverage::default(),
            partly: false,
            found: BTreeMap::new(),
            rows: 0,
            arrived: 0,
            doubt: false,
            due: None,
        };
        if self.searches.len() >= self.config.searches_max {
            self.tell_ended(now, &own, Ending::TooMany);
            return;
        }
        self.counters.searches += 1;
        self.searches.list.push(own);
        self.go_on(now, search, None);
    }

    pub(super) fn on_cancel(&mut self, id: RequestId) {
        while let Some(index) = self.searches.list.iter().position(|own| own.id == id) {
            self.drop_search(index);
        }
    }

    /// The round's reports are in, or its time is up.
    pub(super) fn on_round_over(&mut self, now: Timestamp, search: SearchId, coverage: Coverage) {
        self.go_on(now, search, Some(coverage));
    }

    /// Decides what the search does next, and does it, until there is something
    /// to wait for.
    fn go_on(&mut self, now: Timestamp, search: SearchId, mut coverage: Option<Coverage>) {
        loop {
            let Some(index) = self.searches.position(search) else {
                return;
            };
            let live = self.neighbours.live().clone();
            let own = &mut self.searches.list[index];
            if let Some(coverage) = &mut coverage {
                if std::mem::take(&mut own.arrived) < coverage.answers {
                    // Something between here and there swallowed them.
                    coverage.silent = coverage.silent.saturating_add(1);
                }
                own.note_coverage(*coverage);
                own.doubt |= coverage.silent > 0 || coverage.refused > 0;
            }
            own.partly = false;
            let unasked = live.iter().filter(|slot| !own.asked.contains(*slot));
            let standing = Standing {
                found: own.found(),
                enough: own.enough,
                unasked: unasked.count(),
                links: live.iter().count(),
                known: self.joining.book.len(),
                coverage: coverage.filter(|_| self.config.reports),
            };
            let next = match own.plan.next(standing) {
                Next::All { .. } | Next::Some { .. } if live.is_empty() && own.round == 0 => {
                    Next::End(Ending::NoNeighbours)
                }
                Next::All { .. } | Next::Some { .. }
                    if live.is_empty() || own.round >= ROUNDS_MAX =>
                {
                    Next::End(Ending::Partial)
                }
                next => next,
            };
            let (ttl, to) = match next {
                Next::End(ending) => {
                    self.end(now, index, ending);
                    return;
                }
                Next::All { ttl } => (ttl, live),
                Next::Some { ttl, count } => {
                    own.partly = true;
                    (ttl, self.choose_unasked(index, count))
                }
            };
            match self.send_round(now, index, ttl, to) {
                Some(over) => coverage = Some(over),
                None => return,
            }
        }
    }

    /// So many neighbours at random of those that were not asked yet.
    fn choose_unasked(&mut self, index: usize, count: usize) -> SlotSet {
        let asked = &self.searches.list[index].asked;
        let live = self.neighbours.live().iter();
        let mut unasked: Vec<Slot> = live.filter(|slot| !asked.contains(*slot)).collect();
        let mut chosen = SlotSet::default();
        for _ in 0..count.min(unasked.len()) {
            let place = below(&mut self.rng, unasked.len());
            chosen.insert(unasked.swap_remove(place));
        }
        chosen
    }

    /// Sends the question out. What came of it, if that is known at once.
    fn send_round(
        &mut self,
        now: Timestamp,
        index: usize,
        ttl: u8,
        to: SlotSet,
    ) -> Option<Coverage> {
        let reports = self.config.reports;
        let own = &mut self.searches.list[index];
        let (search, round) = (own.search, own.round);
        own.ttl = ttl;
        own.ttl_largest = own.ttl_largest.max(ttl);
        own.round += 1;
        own.due = None;
        // Who is ruled out by its table on a last hop has been asked as well.
        own.asked.add(&to);
        own.serial = self.neighbours.joined();
        let ask = Ask {
            search,
            round,
            ttl,
            hops: 0,
            report: reports,
            again: own.doubt,
            question: own.question.clone(),
        };
        let passed = self.pass_on(to, ask);
        let coverage = Coverage {
            ruled_out: passed.ruled_out,
            ..Coverage::default()
        };
        let back = Back {
            slot: ORIGIN,
            serial: 0,
        };
        self.see_own(now, search, round, back);
        if passed.sent.is_empty() {
            return Some(coverage);
        }
        let due = now + self.config.hop_wait * u32::from(ttl.saturating_add(1));
        if reports {
            let open = self.open(Open {
                search,
                waiting: passed.sent,
                due,
                back,
                coverage,
                round,
                ttl,
                ttl_sent: ttl,
            });
            if let Some(seen) = self.seen.find(search) {
                seen.open = open;
            }
        } else {
            self.searches.list[index].due = Some(due);
        }
        self.searches.find_due();
        None
    }

    /// An own question that comes back is known, and goes nowhere.
    fn see_own(&mut self, now: Timestamp, search: SearchId, round: u8, back: Back) {
        if let Some(seen) = self.seen.find(search) {
            let open = seen.open;
            self.close(open);
            return;
        }
        let seen = Seen {
            search,
            asked: SlotMask::default(),
            back,
            open: NOT_OPEN,
            rows: 0,
            ttl: u8::MAX,
            round,
        };
        let (life, seen_max) = (self.config.seen_life, self.config.seen_max);
        self.seen.insert(now, life, seen_max, seen);
    }

    /// Hits for an own search; whether they were.
    pub(super) fn on_own_hits(
        &mut self,
        now: Timestamp,
        from: Slot,
        search: SearchId,
        hits: &mut Hits,
    ) -> bool {
        let Some(index) = self.searches.position(search) else {
            return false;
        };
        let Some(neighbour) = self.neighbours.at(from) else {
            return false;
        };
        let (via, serial) = (neighbour.peer, neighbour.serial);
        let own = &self.searches.list[index];
        if !own.asked.contains(from) || serial > own.serial {
            return false;
        }
        let count = u32::try_from(hits.rows.len()).unwrap_or(u32::MAX);
        let rows = own.rows.saturating_add(u32::from(rows_weight(&hits.rows)));
        let own = &mut self.searches.list[index];
        own.arrived = own.arrived.saturating_add(count);
        if rows > u32::from(self.config.rows_per_search) || hits.hops >= self.config.ttl_max {
            self.counters.hits_dropped += 1;
            return true;
        }
        self.note_seen_address(from, hits);
        let own = &mut self.searches.list[index];
        own.rows = rows;
        own.note(&hits.rows, from);
        if own.found() >= own.enough {
            // Not at once: the layer above first says whether they are forged.
            own.due = Some(now);
            self.searches.find_due();
        }
        let id = self.searches.list[index].id;
        self.counters.hits_taken += 1;
        self.outbox.event(FloodEvent::Rows {
            id,
            via,
            hops: hits.hops + 1,
            rows: std::mem::take(&mut hits.rows),
            addresses: std::mem::take(&mut hits.addresses),
        });
        true
    }

    pub(super) fn on_timeout_searches(&mut self, now: Timestamp) {
        if self.searches.due.is_none_or(|due| due > now) {
            return;
        }
        let is_due = |own: &&mut Search| own.due.is_some_and(|due| due <= now);
        let mut over = Vec::new();
        for own in self.searches.list.iter_mut().filter(is_due) {
            own.due = None;
            let enough = own.found() >= own.enough;
            // With reports, there is nothing else to be due for.
            if enough || !self.config.reports {
                over.push(own.search);
            }
        }
        for search in over {
            self.go_on(now, search, None);
        }
        self.searches.find_due();
    }

    fn end(&mut self, now: Timestamp, index: usize, ending: Ending) {
        let own = self.drop_search(index);
        self.tell_ended(now, &own, ending);
    }

    fn drop_search(&mut self, index: usize) -> Search {
        let mut own = self.searches.list.remove(index);
        let open = match self.seen.find(own.search) {
            Some(seen) => {
                // Late hits are expected from these.
                seen.asked.add(&own.asked);
                seen.back.serial = own.serial;
                seen.open
            }
            None => {
                let open = self.opens.position(|open| open.search == own.search);
                open.unwrap_or(NOT_OPEN)
            }
        };
        if let Some(open) = self.close(open) {
            own.note_coverage(open.coverage);
        }
        if self.searches.list.is_empty() {
            self.searches.list = Vec::new();
        }
        self.searches.find_due();
        own
    }

    fn tell_ended(&mut self, now: Timestamp, own: &Search, ending: Ending) {
        self.outbox.event(FloodEvent::Ended {
            id: own.id,
            outcome: FloodOutcome {
                ending,
                rounds: u32::from(own.round),
                ttl: own.ttl_largest,
                neighbours: own.asked.len(),
                coverage: own.coverage,
                elapsed: now - own.began,
            },
        });
    }
}

/// A random number below `bound`, which is not 0.
pub(crate) fn below(rng: &mut gannet_base::Rng, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(rng.next_u64() % bound).unwrap_or(0)
}
