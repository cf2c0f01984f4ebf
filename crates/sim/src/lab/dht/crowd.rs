//! What is above the cores: it hears what they tell, and counts.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_base::Timestamp;
use gannet_overlay::dht::store::StoreMessage;
use gannet_overlay::dht::{Dht, DhtCommand, DhtEvent, DhtMessage, DhtOutcome, Ending};
use gannet_overlay::flood::{self, Coverage, FloodOutcome};

use super::super::index;
use super::super::library::Library;
use super::super::people::{People, Purpose};
use super::wire;
use crate::App;

/// How long messages of a search may come after its end.
// Guess: longer than any message takes.
const LATE: Duration = Duration::from_secs(5);

/// Everybody.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) people: People,
    /// The last search of each searcher, and when it ended.
    last: BTreeMap<u32, (u64, Option<Timestamp>)>,
    /// Questions for entries of lists, by who was asked.
    pub(super) lists_served: Vec<u32>,
}

impl Crowd {
    pub(super) fn new(library: Library, nodes: u32) -> Self {
        Self {
            people: People::new(library, nodes),
            last: BTreeMap::new(),
            lists_served: vec![0; index(nodes)],
        }
    }

    /// From now on messages and searches count.
    pub(super) fn begin_counting(&mut self) {
        self.people.begin_counting();
        self.lists_served.fill(0);
    }

    /// A search for a file begins, which these files match; its number.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        searcher: u32,
        file: u32,
        sought: (Vec<u32>, u32),
    ) -> u64 {
        let id = self.people.begin_for(now, searcher, file, sought);
        self.last.insert(searcher, (id, None));
        id
    }

    fn on_ended(&mut self, now: Timestamp, node: u32, id: u64, ended: &DhtOutcome) {
        if let Some((last, at)) = self.last.get_mut(&node)
            && *last == id
        {
            *at = Some(now);
        }
        self.people.on_ended(id, outcome(ended));
    }

    /// The search that a searcher's message belongs to, if there is one.
    fn search_of(&self, now: Timestamp, searcher: u32) -> Option<u64> {
        let (id, ended) = self.last.get(&searcher)?;
        ended.is_none_or(|at| now - at < LATE).then_some(*id)
    }
}

/// How a search ended, in the terms of the flood overlay.
fn outcome(outcome: &DhtOutcome) -> FloodOutcome {
    FloodOutcome {
        ending: match outcome.ending {
            Ending::Enough => flood::Ending::Enough,
            Ending::Everything => flood::Ending::Everybody,
            Ending::Partial => flood::Ending::Partial,
            Ending::Alone => flood::Ending::NoNeighbours,
            Ending::NoWord => flood::Ending::Horizon,
            Ending::TooMany => flood::Ending::TooMany,
        },
        rounds: 1,
        ttl: outcome.hops,
        neighbours: outcome.asked,
        coverage: Coverage {
            asked: outcome.answered,
            silent: outcome.asked.saturating_sub(outcome.answered),
            ..Coverage::default()
        },
        elapsed: outcome.elapsed,
    }
}

impl App<Dht> for Crowd {
    fn on_event(&mut self, now: Timestamp, node: u32, event: DhtEvent, _: &mut Vec<DhtCommand>) {
        match event {
            DhtEvent::Rows { id, hops, rows, .. } => self.people.on_rows(now, id, hops, &rows),
            DhtEvent::Ended { id, outcome } => self.on_ended(now, node, id, &outcome),
            _ => {}
        }
    }

    fn size(&self, _: &DhtMessage) -> u32 {
        // Bandwidth is without limit here.
        0
    }

    fn kind(&self, message: &DhtMessage) -> u8 {
        wire::kind(message)
    }

    fn on_message(&mut self, now: Timestamp, from: u32, to: u32, message: &DhtMessage) {
        if !self.people.counting {
            return;
        }
        let wanted = wire::purpose(message);
        let searcher = match wanted {
            Purpose::Question => Some(from),
            Purpose::Answer => Some(to),
            Purpose::Report | Purpose::Upkeep => None,
        };
        let search = searcher.and_then(|searcher| self.search_of(now, searcher));
        let purpose = search.map_or(Purpose::Upkeep, |_| wanted);
        self.people.count(to, purpose, wire::size(message));
        if matches!(message, DhtMessage::Store(StoreMessage::Search { .. })) {
            self.lists_served[index(to)] += 1;
        }
        if let Some(id) = search {
            self.people.count_for(id);
        }
    }
}
