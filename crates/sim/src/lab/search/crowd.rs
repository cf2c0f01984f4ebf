//! The flood peers' own part: what matches a question, looked up outside them.

use gannet_base::{Row, Timestamp};
use gannet_overlay::flood::{Flood, FloodCommand, FloodEvent, FloodMessage, Question, SearchId};

use super::super::flood_wire;
use super::super::library::{Library, Matches};
use super::super::people::People;
use crate::App;

/// Questions whose matches are remembered; searches under way are fewer.
const RECENT_MAX: usize = 512;

/// Everybody.
#[derive(Debug)]
pub(in crate::lab) struct Crowd {
    pub(in crate::lab) people: People,
    recent: Vec<(SearchId, Matches)>,
    /// Where in `recent` the last question was; questions come in bunches.
    last: usize,
}

impl Crowd {
    pub(in crate::lab) fn new(library: Library, nodes: u32) -> Self {
        Self {
            people: People::new(library, nodes),
            recent: Vec::new(),
            last: 0,
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
                    let matches = self.people.library.matches(question);
                    self.recent.push((search, matches));
                    self.recent.len() - 1
                }
            };
        }
        &self.recent[self.last].1
    }

    fn on_asked(&mut self, node: u32, search: SearchId, question: &Question) -> Vec<Row> {
        self.matches(search, question);
        let (_, matches) = &self.recent[self.last];
        self.people.library.rows(node, matches)
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
                    commands.push(FloodCommand::Answer {
                        search,
                        rows,
                        addresses: Vec::new(),
                    });
                }
            }
            FloodEvent::Rows { id, hops, rows, .. } => self.people.on_rows(now, id, hops, &rows),
            FloodEvent::Ended { id, outcome } => self.people.on_ended(id, outcome),
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
        if self.people.counting {
            let purpose = flood_wire::purpose(message);
            self.people.count(to, purpose, flood_wire::size(message));
        }
    }
}
