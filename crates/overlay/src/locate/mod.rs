//! Searches over all overlays at once.
//!
//! **Problem.** Each overlay finds in its own way, in its own time, and may
//! fail; the user wants one list, at once.
//!
//! **Goals.** Every overlay that is switched on is asked; the first row is
//! told as soon as any of them has it; rows are merged by content, each saying
//! who found it; the end says whom was asked and what could not be asked.
//!
//! **Non-goals.** Verifying signatures (whoever drives this does), and how the
//! overlays search.
//!
//! **Invariant.** A search that was begun ends, once, whatever the overlays do;
//! every hit in its rows matches what was asked for.

mod api;
mod config;
mod explain;
mod merge;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use gannet_base::{ContentId, Core, Link, Output, PeerId, Query, Row, Timestamp};
use gannet_index::Expression;

pub use api::{
    Ask, FoundBy, LocateCommand, LocateEvent, LocateId, LocatedRow, Overlay, OverlayOutcome,
    ParseOverlayError, Source,
};
pub use config::Config;
pub use explain::{Explanation, Part, PartEnd, Reach, Verdict};

use crate::hub::Outcome;
use merge::{Goal, Merged};

/// Runs searches over several overlays.
///
/// * Getters: [`len`](Locate::len), [`is_empty`](Locate::is_empty).
/// * Commands: [`LocateCommand::Overlays`], then [`LocateCommand::Search`],
///   [`LocateCommand::Sources`], [`LocateCommand::Cancel`]; from the overlays,
///   [`LocateCommand::Rows`] and [`LocateCommand::Ended`] for every
///   [`LocateEvent::Ask`] that was not followed by [`LocateEvent::Forget`].
/// * It has no messages and needs no links; the run loop is that of every
///   [`Core`].
#[derive(Debug)]
pub struct Locate {
    config: Config,
    overlays: BTreeSet<Overlay>,
    searches: BTreeMap<LocateId, Search>,
    outbox: VecDeque<Output<Infallible, LocateEvent>>,
}

/// One search under way.
#[derive(Debug)]
struct Search {
    started: Timestamp,
    deadline: Timestamp,
    enough: usize,
    merged: Merged,
    parts: BTreeMap<Overlay, Share>,
}

/// One overlay's share of a search.
#[derive(Debug, Default)]
struct Share {
    end: Option<(PartEnd, Duration)>,
    contents: BTreeSet<ContentId>,
    forged: u64,
    unmatched: u64,
}

impl Locate {
    /// No overlay is switched on yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            overlays: BTreeSet::new(),
            searches: BTreeMap::new(),
            outbox: VecDeque::new(),
        }
    }

    /// How many searches and questions for sources are under way.
    pub fn len(&self) -> usize {
        self.searches.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.searches.is_empty()
    }

    fn event(&mut self, event: LocateEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    fn on_search(&mut self, now: Timestamp, id: LocateId, query: Query, rows_max: u32) {
        let rows_max = rows_max.clamp(1, self.config.rows_max.max(1));
        let enough = self.config.enough.clamp(1, rows_max);
        let Ok(expression) = Expression::parse(&query) else {
            // The layer above lets no such query through.
            self.refuse(id);
            return;
        };
        let ask = Ask::Words {
            query,
            rows_max,
            enough,
        };
        let merged = Merged::new(Goal::Matches(expression), rows_max as usize);
        self.start(now, id, merged, enough, &ask);
    }

    fn on_sources(&mut self, now: Timestamp, id: LocateId, content: ContentId) {
        let enough = self.config.holders_enough.max(1);
        let ask = Ask::Holders { content, enough };
        let merged = Merged::new(Goal::Holders(content), 1);
        self.start(now, id, merged, enough, &ask);
    }

    fn start(&mut self, now: Timestamp, id: LocateId, merged: Merged, enough: u32, ask: &Ask) {
        self.on_cancel(id);
        if self.searches.len() >= self.config.searches_max {
            self.refuse(id);
            return;
        }
        let overlays: Vec<Overlay> = self.overlays.iter().copied().collect();
        let parts = overlays.iter().map(|overlay| (*overlay, Share::default()));
        let search = Search {
            started: now,
            deadline: now + self.config.patience,
            enough: enough as usize,
            merged,
            parts: parts.collect(),
        };
        self.searches.insert(id, search);
        for overlay in overlays {
            let ask = ask.clone();
            self.event(LocateEvent::Ask { id, overlay, ask });
        }
        self.end_if_over(now, id);
    }

    /// Ends a search that was not begun.
    fn refuse(&mut self, id: LocateId) {
        let explanation = Explanation {
            rows: 0,
            total: 0,
            parts: Vec::new(),
            elapsed: Duration::ZERO,
        };
        self.event(LocateEvent::Ended { id, explanation });
    }

    fn on_cancel(&mut self, id: LocateId) {
        let Some(search) = self.searches.remove(&id) else {
            return;
        };
        for overlay in search.running() {
            self.event(LocateEvent::Forget { id, overlay });
        }
    }

    fn on_rows(
        &mut self,
        now: Timestamp,
        id: LocateId,
        found: (Overlay, PeerId, u8),
        rows: Vec<Row>,
        forged: u64,
    ) {
        let (overlay, via, hops) = found;
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let Some(share) = search.parts.get_mut(&overlay) else {
            return;
        };
        // What comes after its end is late, and counts all the same.
        let found_by = FoundBy {
            overlay,
            via,
            hops,
            after: now - search.started,
        };
        let taken = search.merged.take(&self.config, rows, found_by);
        share.forged = share.forged.saturating_add(forged);
        share.unmatched = share.unmatched.saturating_add(taken.unmatched);
        let room = (self.config.rows_max as usize).saturating_sub(share.contents.len());
        share.contents.extend(taken.contents.into_iter().take(room));
        for position in taken.changed {
            let row = Box::new(search.merged.row(position).clone());
            let row = LocateEvent::Row { id, row };
            self.outbox.push_back(Output::Event(row));
        }
        self.end_if_over(now, id);
    }

    fn on_ended(
        &mut self,
        now: Timestamp,
        id: LocateId,
        overlay: Overlay,
        outcome: OverlayOutcome,
    ) {
        if let Some(search) = self.searches.get_mut(&id) {
            let elapsed = now - search.started;
            if let Some(share) = search.parts.get_mut(&overlay)
                && share.end.is_none()
            {
                share.end = Some((PartEnd::Told(outcome), elapsed));
            }
            self.end_if_over(now, id);
        }
    }

    /// Ends a search whose overlays are all done, or which has enough from those
    /// that are done and waits only for such as would go on widening.
    fn end_if_over(&mut self, now: Timestamp, id: LocateId) {
        let Some(search) = self.searches.get(&id) else {
            return;
        };
        let running = search.running();
        if running.is_empty() || (search.has_enough() && running.into_iter().all(Overlay::widens)) {
            self.end(now, id, &PartEnd::Enough);
        }
    }

    /// Ends a search; overlays that are not done are stopped, for this reason.
    fn end(&mut self, now: Timestamp, id: LocateId, reason: &PartEnd) {
        let Some(mut search) = self.searches.remove(&id) else {
            return;
        };
        let elapsed = now - search.started;
        for overlay in search.running() {
            self.event(LocateEvent::Forget { id, overlay });
            if let Some(share) = search.parts.get_mut(&overlay) {
                share.end = Some((reason.clone(), elapsed));
            }
        }
        let explanation = search.explain(elapsed);
        self.event(LocateEvent::Ended { id, explanation });
    }
}

impl Search {
    /// The overlays that are not done.
    fn running(&self) -> Vec<Overlay> {
        let running = self.parts.iter().filter(|(_, share)| share.end.is_none());
        running.map(|(overlay, _)| *overlay).collect()
    }

    /// Whether enough was found, not only by overlays that are still at it: those
    /// know themselves when to stop, and then say how far they came.
    fn has_enough(&self) -> bool {
        let done = |share: &Share| share.end.is_some() && !share.contents.is_empty();
        self.merged.found() >= self.enough && self.parts.values().any(done)
    }

    fn explain(self, elapsed: Duration) -> Explanation {
        let rows = u32::try_from(self.merged.len()).unwrap_or(u32::MAX);
        let parts: Vec<Part> = self
            .parts
            .into_iter()
            .filter_map(|(overlay, share)| {
                let (end, elapsed) = share.end?;
                Some(Part {
                    overlay,
                    end,
                    found: u32::try_from(share.contents.len()).unwrap_or(u32::MAX),
                    forged: share.forged,
                    unmatched: share.unmatched,
                    elapsed,
                })
            })
            .collect();
        let total = parts.iter().map(total_of).fold(rows.into(), u64::max);
        Explanation {
            rows,
            total,
            parts,
            elapsed,
        }
    }
}

/// How many contents match, as the answerers of one overlay say.
fn total_of(part: &Part) -> u64 {
    let PartEnd::Told(OverlayOutcome::Hub(hubs)) = &part.end else {
        return part.found.into();
    };
    let totals = hubs.iter().map(|hub| match hub.outcome {
        Outcome::Answered { total } => total,
        Outcome::Refused { .. } | Outcome::NoAnswer | Outcome::NotConnected => 0,
    });
    totals.fold(part.found.into(), u64::max)
}

impl Core for Locate {
    type Message = Infallible;
    type Command = LocateCommand;
    type Event = LocateEvent;

    fn handle_message(&mut self, _: Timestamp, _: PeerId, message: Infallible) {
        match message {}
    }

    fn handle_command(&mut self, now: Timestamp, command: LocateCommand) {
        match command {
            LocateCommand::Overlays(overlays) => self.overlays = overlays.into_iter().collect(),
            LocateCommand::Search {
                id,
                query,
                rows_max,
            } => self.on_search(now, id, query, rows_max),
            LocateCommand::Sources { id, content } => self.on_sources(now, id, content),
            LocateCommand::Cancel { id } => self.on_cancel(id),
            LocateCommand::Rows {
                id,
                overlay,
                via,
                hops,
                rows,
                forged,
            } => self.on_rows(now, id, (overlay, via, hops), rows, forged),
            LocateCommand::Ended {
                id,
                overlay,
                outcome,
            } => self.on_ended(now, id, overlay, outcome),
        }
    }

    fn handle_link(&mut self, _: Timestamp, _: PeerId, _: Link) {}

    fn handle_timeout(&mut self, now: Timestamp) {
        let late = self.searches.iter().filter(|(_, s)| s.deadline <= now);
        let late: Vec<LocateId> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.end(now, id, &PartEnd::Late);
        }
    }

    fn poll_output(&mut self) -> Option<Output<Infallible, LocateEvent>> {
        self.outbox.pop_front()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.searches.values().map(|search| search.deadline).min()
    }
}

#[cfg(test)]
mod tests;
