//! Questions to the overlays: what they are for, and the answers on their way.
//!
//! `Locate` says which overlay to ask; answers are verified off the driver's
//! task before it hears of them, and an overlay's end waits for its answers.

use std::collections::BTreeMap;
use std::convert::Infallible;

use gannet_base::{ContentId, Core as _, Output, PeerAddress, PeerId, Row};
use gannet_overlay::dht::{DhtCommand, DhtOutcome};
use gannet_overlay::flood::{FloodCommand, Wanted};
use gannet_overlay::hub::{HubClientCommand, HubOutcome, Outcome};
use gannet_overlay::locate::{
    Ask, Explanation, LocateCommand, LocateEvent, LocateId, LocatedRow, Overlay, OverlayOutcome,
    Part, PartEnd, Reach,
};
use gannet_overlay::supernode::{SupernodeCommand, SupernodeOutcome};

use super::Driver;
use crate::api::{Asked, DhtReach, FloodReach, OverlayEnd, SearchEnd, SupernodeReach};
use crate::clock::wall_time;
use crate::report::{Purpose, Report};
use crate::verify::{CheckedRows, check_rows};

/// The questions that are out; `Locate` bounds how many.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: BTreeMap<LocateId, Open>,
    next: LocateId,
}

#[derive(Debug)]
struct Open {
    purpose: Purpose,
    /// Answers that are being verified.
    checking: BTreeMap<Overlay, usize>,
    /// Ends that wait for those.
    ended: BTreeMap<Overlay, OverlayOutcome>,
}

impl Questions {
    /// A number for a question.
    fn open(&mut self, purpose: Purpose) -> LocateId {
        self.next += 1;
        let open = Open {
            purpose,
            checking: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        self.open.insert(self.next, open);
        self.next
    }

    fn purpose(&self, id: LocateId) -> Option<Purpose> {
        self.open.get(&id).map(|open| open.purpose)
    }

    /// Whether somebody is asked this already.
    fn asks(&self, purpose: Purpose) -> bool {
        self.open.values().any(|open| open.purpose == purpose)
    }

    fn on_checking(&mut self, id: LocateId, overlay: Overlay) -> bool {
        let open = self.open.get_mut(&id);
        open.is_some_and(|open| {
            *open.checking.entry(overlay).or_default() += 1;
            true
        })
    }

    /// An answer is verified; the overlay's end, if it waited only for that.
    fn on_checked(&mut self, id: LocateId, overlay: Overlay) -> Option<OverlayOutcome> {
        let open = self.open.get_mut(&id)?;
        let left = open.checking.get_mut(&overlay)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        open.checking.remove(&overlay);
        open.ended.remove(&overlay)
    }

    /// An overlay is done: its end, unless answers are still being verified.
    fn on_ended(
        &mut self,
        id: LocateId,
        overlay: Overlay,
        outcome: OverlayOutcome,
    ) -> Option<OverlayOutcome> {
        let open = self.open.get_mut(&id)?;
        if open.checking.contains_key(&overlay) {
            open.ended.insert(overlay, outcome);
            return None;
        }
        Some(outcome)
    }
}

impl Driver {
    /// Asks all overlays that are switched on.
    pub(super) fn ask_overlays(
        &mut self,
        purpose: Purpose,
        command: impl FnOnce(LocateId) -> LocateCommand,
    ) {
        let id = self.questions.open(purpose);
        self.locate.handle_command(self.clock.now(), command(id));
    }

    /// Asks who else has a content, unless that is being asked.
    pub(super) fn ask_for_sources(&mut self, content: ContentId) {
        self.ask_for(Purpose::Sources(content), content);
    }

    /// Asks who has a content, unless that is being asked for this purpose.
    pub(super) fn ask_for(&mut self, purpose: Purpose, content: ContentId) {
        if !self.questions.asks(purpose) {
            self.ask_overlays(purpose, |id| LocateCommand::Sources { id, content });
        }
    }

    pub(super) fn on_locate_output(&mut self, output: Output<Infallible, LocateEvent>) {
        let event = match output {
            Output::Send { message, .. } => match message {},
            // It needs no links.
            Output::Dial { .. } | Output::Disconnect { .. } => return,
            Output::Event(event) => event,
        };
        match event {
            LocateEvent::Ask { id, overlay, ask } => self.ask_overlay(id, overlay, ask),
            LocateEvent::Forget { id, overlay } => self.forget_question(id, overlay),
            LocateEvent::Row { id, row } => self.on_row(id, &row),
            LocateEvent::Ended { id, explanation } => self.on_located(id, &explanation),
        }
    }

    fn ask_overlay(&mut self, id: LocateId, overlay: Overlay, ask: Ask) {
        let now = self.now();
        match (overlay, ask) {
            (Overlay::Hub, _) if self.config.hubs.is_empty() => {
                self.on_overlay_ended(id, overlay, OverlayOutcome::Unused);
            }
            (
                Overlay::Hub,
                Ask::Words {
                    query, rows_max, ..
                },
            ) => {
                let limit = rows_max;
                let command = HubClientCommand::Search { id, query, limit };
                self.hub_client.handle_command(now, command);
            }
            (Overlay::Hub, Ask::Holders { content, .. }) => {
                let command = HubClientCommand::Sources { id, content };
                self.hub_client.handle_command(now, command);
            }
            (Overlay::Supernode, Ask::Words { query, enough, .. }) => {
                self.ask_supernodes(id, Wanted::Words(query), enough);
            }
            (Overlay::Supernode, Ask::Holders { content, enough }) => {
                self.ask_supernodes(id, Wanted::Content(content), enough);
            }
            (Overlay::Dht, Ask::Words { query, enough, .. }) => {
                self.ask_ring(id, Wanted::Words(query), enough);
            }
            (Overlay::Dht, Ask::Holders { content, enough }) => {
                self.ask_ring(id, Wanted::Content(content), enough);
            }
            (Overlay::Flood, Ask::Words { query, enough, .. }) => {
                self.ask_neighbours(id, Wanted::Words(query), enough);
            }
            (Overlay::Flood, Ask::Holders { content, enough }) => {
                self.ask_neighbours(id, Wanted::Content(content), enough);
            }
        }
    }

    fn forget_question(&mut self, id: LocateId, overlay: Overlay) {
        let now = self.now();
        match overlay {
            Overlay::Hub => self
                .hub_client
                .handle_command(now, HubClientCommand::Cancel { id }),
            Overlay::Supernode => self.forget_at_supernodes(id),
            Overlay::Dht => self.forget_on_ring(id),
            Overlay::Flood => {
                self.forget_waiting(id);
                self.flood_command(FloodCommand::Cancel { id });
            }
        }
    }

    /// Answers of strangers: verified first, off the driver's task.
    pub(super) fn on_unverified(
        &mut self,
        id: LocateId,
        overlay: Overlay,
        (via, hops): (PeerId, u8),
        rows: Vec<Row>,
        addresses: Vec<PeerAddress>,
    ) {
        if !self.questions.on_checking(id, overlay) {
            return;
        }
        for address in addresses {
            if address.peer != self.peer {
                self.net.add_addresses(address);
            }
        }
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let checked = check_rows(rows, wall_time());
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Rows {
                id,
                overlay,
                via,
                hops,
                checked,
            });
        });
    }

    pub(super) fn on_verified(
        &mut self,
        id: LocateId,
        overlay: Overlay,
        (via, hops): (PeerId, u8),
        checked: CheckedRows,
    ) {
        let now = self.now();
        // One message, one mistake, however many of its hits are wrong.
        if checked.dropped > 0 {
            match overlay {
                Overlay::Hub => self
                    .hub_client
                    .handle_command(now, HubClientCommand::Forged { hub: via }),
                Overlay::Supernode => {
                    self.supernode_command(SupernodeCommand::Forged { via, hops });
                }
                Overlay::Dht => self.dht_command(DhtCommand::Forged { via }),
                Overlay::Flood => self.flood_command(FloodCommand::Forged { via, hops }),
            }
        }
        if overlay == Overlay::Supernode && via != self.peer {
            self.named.note(&checked.rows, (via, hops));
        }
        if let Some(Purpose::Findable(test)) = self.questions.purpose(id) {
            self.on_findable_rows(test, overlay, &checked.rows);
        }
        let rows = LocateCommand::Rows {
            id,
            overlay,
            via,
            hops,
            rows: checked.rows,
            forged: checked.dropped,
        };
        self.locate.handle_command(now, rows);
        if let Some(outcome) = self.questions.on_checked(id, overlay) {
            self.tell_ended(id, overlay, outcome);
        }
    }

    /// An overlay is done with a question.
    pub(super) fn on_overlay_ended(
        &mut self,
        id: LocateId,
        overlay: Overlay,
        outcome: OverlayOutcome,
    ) {
        if let Some(outcome) = self.questions.on_ended(id, overlay, outcome) {
            self.tell_ended(id, overlay, outcome);
        }
    }

    fn tell_ended(&mut self, id: LocateId, overlay: Overlay, outcome: OverlayOutcome) {
        let command = LocateCommand::Ended {
            id,
            overlay,
            outcome,
        };
        self.locate.handle_command(self.clock.now(), command);
    }

    fn on_row(&mut self, id: LocateId, row: &LocatedRow) {
        match self.questions.purpose(id) {
            Some(Purpose::Search(search)) => {
                let have = self.own.holders(row.entry.content, 1).is_some();
                self.searches.on_row(search, row, have);
            }
            Some(Purpose::Sources(content)) => {
                let peers = row.sources.iter().map(|source| source.peer).collect();
                self.add_sources(content, peers);
            }
            Some(Purpose::KeptSources(content)) => {
                let peers = row.sources.iter().map(|source| source.peer).collect();
                self.add_kept_sources(content, peers);
            }
            Some(Purpose::Findable(_)) | None => {}
        }
    }

    fn on_located(&mut self, id: LocateId, explanation: &Explanation) {
        let Some(open) = self.questions.open.remove(&id) else {
            return;
        };
        match open.purpose {
            Purpose::Search(search) => {
                let end = self.search_end(explanation);
                self.searches.on_end(search, end);
            }
            Purpose::Sources(content) => self.on_asked(content, &explanation.asked()),
            Purpose::KeptSources(_) => {}
            Purpose::Findable(test) => self.on_findable_end(test, explanation),
        }
    }

    fn search_end(&self, explanation: &Explanation) -> SearchEnd {
        let hubs = explanation.parts.iter().filter_map(|part| match &part.end {
            PartEnd::Told(OverlayOutcome::Hub(hubs)) => Some(hubs),
            _ => None,
        });
        let used = explanation.parts.iter();
        let mut used = used.filter(|part| part.reach() != Reach::Unused).peekable();
        SearchEnd {
            asked: hubs.flatten().map(|hub| self.describe(hub)).collect(),
            overlays: explanation.parts.iter().map(overlay_end).collect(),
            complete: used.peek().is_some() && used.all(|part| part.reach() == Reach::Whole),
            total: explanation.total,
            dropped: explanation.dropped(),
            explanation: explanation.sentence(),
        }
    }

    fn describe(&self, asked: &HubOutcome) -> Asked {
        let (answered, outcome) = match &asked.outcome {
            Outcome::Answered { total } => (true, format!("answered: {total} in all")),
            Outcome::Refused { reason } => (false, format!("refused: {reason}")),
            Outcome::NoAnswer => (false, "did not answer".to_owned()),
            Outcome::NotConnected => (false, self.hub_problem(asked.hub, "is not connected")),
        };
        Asked {
            overlay: Overlay::Hub.name().to_owned(),
            peer: asked.hub,
            answered,
            outcome,
            milliseconds: u64::try_from(asked.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn supernode_reach(outcome: &SupernodeOutcome) -> SupernodeReach {
    let coverage = &outcome.answered.coverage;
    SupernodeReach {
        own: outcome.asked,
        own_rows: outcome.answered.own_rows,
        asked: coverage.asked,
        ruled_out: coverage.ruled_out,
        beyond: coverage.beyond,
        refused: coverage.refused,
        silent: coverage.silent,
        rounds: outcome.answered.rounds,
        hops_max: outcome.answered.ttl.into(),
    }
}

fn dht_reach(outcome: &DhtOutcome) -> DhtReach {
    DhtReach {
        asked: outcome.asked,
        answered: outcome.answered,
        hops_max: outcome.hops.into(),
        messages: outcome.messages,
    }
}

fn overlay_end(part: &Part) -> OverlayEnd {
    let reach = part.reach();
    let flood = match &part.end {
        PartEnd::Told(OverlayOutcome::Flood(flood)) => Some(FloodReach {
            asked: flood.coverage.asked,
            ruled_out: flood.coverage.ruled_out,
            beyond: flood.coverage.beyond,
            refused: flood.coverage.refused,
            silent: flood.coverage.silent,
            rounds: flood.rounds,
            hops_max: flood.ttl.into(),
            neighbours: flood.neighbours,
        }),
        _ => None,
    };
    let supernode = match &part.end {
        PartEnd::Told(OverlayOutcome::Supernode(outcome)) => Some(supernode_reach(outcome)),
        _ => None,
    };
    let dht = match &part.end {
        PartEnd::Told(OverlayOutcome::Dht(outcome)) => Some(dht_reach(outcome)),
        _ => None,
    };
    OverlayEnd {
        overlay: part.overlay.name().to_owned(),
        used: reach != Reach::Unused,
        complete: reach == Reach::Whole,
        outcome: part.phrase(),
        found: part.found,
        dropped: part.forged.saturating_add(part.unmatched),
        flood,
        supernode,
        dht,
        milliseconds: u64::try_from(part.elapsed.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_waits_for_answers_that_are_being_verified() {
        let mut questions = Questions::default();
        let id = questions.open(Purpose::Search(1));
        let end = || OverlayOutcome::Hub(Vec::new());
        assert!(questions.on_checking(id, Overlay::Hub));
        assert!(questions.on_checking(id, Overlay::Hub));
        assert_eq!(questions.on_ended(id, Overlay::Hub, end()), None);
        let other = questions.on_ended(id, Overlay::Flood, OverlayOutcome::Unused);
        assert_eq!(other, Some(OverlayOutcome::Unused));
        assert_eq!(questions.on_checked(id, Overlay::Hub), None);
        assert_eq!(questions.on_checked(id, Overlay::Hub), Some(end()));
        assert_eq!(questions.on_ended(id, Overlay::Hub, end()), Some(end()));
        assert!(!questions.on_checking(id + 1, Overlay::Hub));
    }
}
