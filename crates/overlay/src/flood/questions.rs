//! Questions of others: seen once, answered once, passed on as far as they may
//! go, reported on.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::Flood;
use super::api::FloodEvent;
use super::message::{Ask, Coverage, FloodMessage, SearchId};
use super::opens::Open;
use super::seen::{Back, NOT_OPEN, ORIGIN, Seen};
use super::slots::{Slot, SlotMask, SlotSet};

/// What became of the copies of a question.
pub(super) struct Passed {
    /// To whom they went.
    pub(super) sent: SlotSet,
    /// Neighbours whose tables rule a match out.
    pub(super) ruled_out: u32,
}

/// What was known of a question when another copy came.
struct Earlier {
    open: u32,
    round: u8,
}

impl Flood {
    /// The one rule of forwarding: a copy is passed on if it is of a later round
    /// than every copy before it, or may go further than those of its round; and
    /// answered if it is the first.
    pub(super) fn on_ask(&mut self, now: Timestamp, from: Slot, peer: PeerId, mut ask: Ask) {
        if ask.ttl == 0 {
            self.strike(now, from);
            return;
        }
        let ttl_told = ask.ttl;
        let limit = self.config.ttl_max;
        ask.hops = ask.hops.min(limit);
        ask.ttl = ask.ttl.min(limit - ask.hops).max(1);
        let back = Back {
            slot: from,
            serial: self.neighbours.joined(),
        };
        let revisit = self.config.revisit;
        let earlier = match self.seen.find(ask.search) {
            None => None,
            Some(seen) => {
                // A later round counts whatever its TTL: links may have gone since,
                // and the way here have become longer.
                let later = ask.round > seen.round;
                let wider = revisit && ask.round == seen.round && ask.ttl > seen.ttl;
                let further = seen.back.slot != ORIGIN && (later || wider);
                if !further {
                    self.counters.duplicates += 1;
                    self.report(peer, &ask, ttl_told, Coverage::default());
                    return;
                }
                Some(Earlier {
                    open: seen.open,
                    round: seen.round,
                })
            }
        };
        if !self.admit(now, from) {
            let refused = Coverage {
                refused: 1,
                ..Coverage::default()
            };
            self.report(peer, &ask, ttl_told, refused);
            return;
        }
        self.counters.questions += 1;
        self.take_up(now, back, ask, ttl_told, earlier);
    }

    fn take_up(
        &mut self,
        now: Timestamp,
        back: Back,
        ask: Ask,
        ttl_told: u8,
        earlier: Option<Earlier>,
    ) {
        let mut coverage = match earlier {
            Some(earlier) => {
                if ask.again && ask.round > earlier.round {
                    self.outbox.event(self.asked(&ask));
                }
                self.supersede(&earlier, ask.round)
            }
            None => {
                self.see_first(now, back, &ask);
                Coverage {
                    asked: 1,
                    ..Coverage::default()
                }
            }
        };
        let (search, round, ttl, report) = (ask.search, ask.round, ask.ttl, ask.report);
        let mut others = self.neighbours.live().clone();
        others.remove(back.slot);
        let mut sent = SlotSet::default();
        if ttl > 1 {
            let copy = Ask {
                ttl: ttl - 1,
                hops: ask.hops + 1,
                ..ask
            };
            let passed = self.pass_on(others, copy);
            coverage.ruled_out = passed.ruled_out;
            sent = passed.sent;
        } else {
            coverage.beyond = others.len();
        }
        let mut open = NOT_OPEN;
        if report {
            // The own answer, if there is one, goes before the report.
            let wait = if sent.is_empty() {
                Duration::ZERO
            } else {
                self.config.hop_wait * u32::from(ttl)
            };
            open = self.open(Open {
                search,
                waiting: sent.clone(),
                due: now + wait,
                back,
                coverage,
                round,
                ttl: ttl_told,
                ttl_sent: ttl.saturating_sub(1),
            });
        }
        if let Some(seen) = self.seen.find(search) {
            seen.asked.add(&sent);
            seen.back = back;
            seen.open = open;
            seen.ttl = ttl;
            seen.round = round;
        }
    }

    /// The question is new: it is remembered, and this peer looks at its files.
    fn see_first(&mut self, now: Timestamp, back: Back, ask: &Ask) {
        let seen = Seen {
            search: ask.search,
            asked: SlotMask::default(),
            back,
            open: NOT_OPEN,
            rows: 0,
            ttl: ask.ttl,
            round: ask.round,
        };
        let (life, seen_max) = (self.config.seen_life, self.config.seen_max);
        self.seen.insert(now, life, seen_max, seen);
        self.outbox.event(self.asked(ask));
    }

    fn asked(&self, ask: &Ask) -> FloodEvent {
        FloodEvent::Asked {
            search: ask.search,
            question: ask.question.clone(),
            rows_max: self.config.rows_per_answer,
        }
    }

    /// A copy that may go further takes the place of a lesser one, whose sender
    /// has nothing more to expect. What is still to be reported of the past: who
    /// was asked, each once a round, and what was answered.
    fn supersede(&mut self, earlier: &Earlier, round: u8) -> Coverage {
        let lesser = self.close(earlier.open);
        let (asked, answers) = match &lesser {
            Some(lesser) if lesser.round == round => {
                (lesser.coverage.asked, lesser.coverage.answers)
            }
            None if earlier.round == round => (0, 0),
            _ => (1, 0),
        };
        if let Some(lesser) = lesser {
            self.report_on(&lesser, Coverage::default());
        }
        Coverage {
            asked,
            answers,
            ..Coverage::default()
        }
    }

    /// Sends copies; on the last hop only to whom may have a match.
    pub(super) fn pass_on(&mut self, mut to: SlotSet, copy: Ask) -> Passed {
        let mut ruled_out = 0;
        if copy.ttl == 1 && self.config.tables {
            for slot in to.iter() {
                let table = self.neighbours.at(slot).and_then(|n| n.knowledge.table());
                if table.is_some_and(|table| !table.may_hold(copy.question.keys())) {
                    to.remove(slot);
                    ruled_out += 1;
                }
            }
        }
        self.counters.copies += u64::from(to.len());
        self.counters.ruled_out += u64::from(ruled_out);
        if !to.is_empty() {
            self.outbox.copies(copy, to.clone(), &self.neighbours);
        }
        Passed {
            sent: to,
            ruled_out,
        }
    }

    /// Whether a question of this neighbour is within its budget.
    fn admit(&mut self, now: Timestamp, from: Slot) -> bool {
        let Some(neighbour) = self.neighbours.at_mut(from) else {
            return false;
        };
        neighbour.questions_in = neighbour.questions_in.saturating_add(1);
        let Some(budget) = &mut self.budget else {
            return true;
        };
        let admitted = neighbour
            .place
            .is_some_and(|place| budget.admit(now, place));
        if !admitted {
            neighbour.refused_in = neighbour.refused_in.saturating_add(1);
            self.counters.refused += 1;
            self.on_refused(now, from);
        }
        admitted
    }

    /// Awaits reports, if there is room; its index.
    pub(super) fn open(&mut self, open: Open) -> u32 {
        if self.opens.len() < self.config.open_max || open.is_own() {
            return self.opens.push(open);
        }
        let mut coverage = open.coverage;
        coverage.silent = coverage.silent.saturating_add(open.waiting.len());
        self.report_on(&open, coverage);
        NOT_OPEN
    }

    /// Awaits no report any more.
    pub(super) fn close(&mut self, index: u32) -> Option<Open> {
        if index == NOT_OPEN {
            return None;
        }
        let (open, moved) = self.opens.remove(index)?;
        if let Some(seen) = moved.and_then(|moved| self.seen.find(moved)) {
            seen.open = index;
        }
        if let Some(seen) = self.seen.find(open.search) {
            seen.open = NOT_OPEN;
        }
        Some(open)
    }

    /// Where the report on a search is awaited. One's own is found though it has
    /// been forgotten as a question.
    fn open_of(&mut self, search: SearchId) -> u32 {
        match self.seen.find(search) {
            Some(seen) => seen.open,
            None if self.searches.is_own(search) => {
                let open = self.opens.position(|open| open.search == search);
                open.unwrap_or(NOT_OPEN)
            }
            None => NOT_OPEN,
        }
    }

    pub(super) fn on_report(
        &mut self,
        now: Timestamp,
        from: Slot,
        (search, round, ttl): (SearchId, u8, u8),
        coverage: Coverage,
    ) {
        let index = self.open_of(search);
        let awaited = self
            .opens
            .at_mut(index)
            .filter(|open| open.search == search && open.round == round);
        let Some(open) = awaited.filter(|open| open.waiting.contains(from)) else {
            self.counters.reports_unasked += 1;
            return;
        };
        self.counters.reports += 1;
        if ttl != open.ttl_sent {
            // To a lesser copy, before the one that replaced it: whom that one
            // does not count again was asked all the same.
            open.coverage.add(Coverage {
                asked: coverage.asked,
                answers: coverage.answers,
                ..Coverage::default()
            });
            return;
        }
        open.waiting.remove(from);
        open.coverage.add(coverage);
        if open.waiting.is_empty() {
            self.finish(now, index);
        }
    }

    /// The peer's own answer has been given.
    pub(super) fn on_answered(&mut self, now: Timestamp, index: u32) {
        let open = self.opens.at_mut(index);
        if open.is_some_and(|open| open.waiting.is_empty() && !open.is_own()) {
            self.finish(now, index);
        }
    }

    /// All reports are in, or no more are awaited.
    pub(super) fn finish(&mut self, now: Timestamp, index: u32) {
        if let Some(open) = self.close(index) {
            self.conclude(now, open);
        }
    }

    /// Who has not reported by now is silent; that is what came of it.
    fn conclude(&mut self, now: Timestamp, open: Open) {
        let mut coverage = open.coverage;
        coverage.silent = coverage.silent.saturating_add(open.waiting.len());
        if open.is_own() {
            self.on_round_over(now, open.search, coverage);
        } else {
            self.report_on(&open, coverage);
        }
    }

    pub(super) fn on_timeout_opens(&mut self, now: Timestamp) {
        if self.opens.due().is_none_or(|due| due > now) {
            return;
        }
        let (mut over, mut end) = (Vec::new(), u32::MAX);
        while let Some(index) = self.opens.last_before(end, |open| open.due <= now) {
            over.extend(self.close(index));
            end = index;
        }
        self.opens.find_due();
        for open in over {
            self.conclude(now, open);
        }
    }

    /// Reports of a neighbour that is gone will not come, and nobody waits for
    /// those that it wanted.
    pub(super) fn on_gone_opens(&mut self, now: Timestamp, gone: Slot) {
        for open in self.opens.iter_mut() {
            if open.waiting.remove(gone) {
                open.coverage.silent = open.coverage.silent.saturating_add(1);
                if open.waiting.is_empty() {
                    open.due = now;
                }
            }
        }
        let mut end = u32::MAX;
        while let Some(index) = self.opens.last_before(end, |open| open.back.slot == gone) {
            self.close(index);
            end = index;
        }
        self.opens.find_due();
        self.on_timeout_opens(now);
    }

    fn report_on(&mut self, open: &Open, coverage: Coverage) {
        let message = FloodMessage::Report {
            search: open.search,
            round: open.round,
            ttl: open.ttl,
            coverage,
        };
        if let Some(to) = self.neighbours.behind(open.back) {
            self.outbox.send(to, message);
        }
    }

    fn report(&mut self, to: PeerId, ask: &Ask, ttl_told: u8, coverage: Coverage) {
        if !ask.report {
            return;
        }
        let message = FloodMessage::Report {
            search: ask.search,
            round: ask.round,
            ttl: ttl_told,
            coverage,
        };
        self.outbox.send(to, message);
    }
}
