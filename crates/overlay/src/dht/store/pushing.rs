//! What becomes of records that a comparison showed another node to lack.
//!
//! Some of its lists are split by now: what they have no room for belongs into the
//! parts, which may be split themselves, and is brought there.

use std::collections::BTreeMap;

use gannet_base::Timestamp;

use super::errand::{Done, For, Todo};
use super::strays::Bringing;
use super::sync::Session;
use super::{Mode, Place, Position, Refusal, Shard, Store};

/// Records by the part of a list that they go into.
type Parts = BTreeMap<Position, Vec<Todo>>;

impl Store {
    /// What the other lacked was sent.
    pub(super) fn on_pushed(&mut self, now: Timestamp, id: u64, done: Done) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        session.has_failed |= !done.is_whole;
        session.is_full |= done.refused.iter().any(|(_, why)| *why == Refusal::Full);
        let parts = into_parts(session.bringing(), done);
        // Who brings records waits for what the parts say of them.
        let is_bringing = session.bringing().is_some();
        self.bring_into_parts(now, if is_bringing { id } else { 0 }, parts);
        self.on_errand_over(now, id);
    }

    /// Owners of parts of split lists have answered; number 0 is that of no comparison.
    pub(super) fn on_parted(&mut self, now: Timestamp, id: u64, done: Done) {
        let session = self.syncing.sessions.get_mut(&id);
        let parts = into_parts(session.and_then(Session::bringing), done);
        self.bring_into_parts(now, id, parts);
        self.on_errand_over(now, id);
    }

    fn bring_into_parts(&mut self, now: Timestamp, id: u64, parts: Parts) {
        if let Some(session) = self.syncing.sessions.get_mut(&id) {
            session.errands += parts.len();
        }
        for (part, todo) in parts {
            let owner = (For::Parts(id), Mode::Create);
            self.start_errand(now, owner, (part, None), todo, Vec::new());
        }
    }

    fn on_errand_over(&mut self, now: Timestamp, id: u64) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        session.errands = session.errands.saturating_sub(1);
        match (session.errands, session.has_failed) {
            (0, false) => self.step_session(now, id),
            (0, true) => self.end_session(now, id, false),
            _ => {}
        }
    }
}

/// What was refused because a list is split, by the parts that it goes into.
fn into_parts(mut bringing: Option<&mut Bringing>, done: Done) -> Parts {
    let mut parts = Parts::new();
    for (todo, why) in done.refused {
        match (why, &todo.place) {
            (Refusal::Split { bits }, Place::Word(word, shard)) if bits > shard.bits() => {
                if let Some(bringing) = &mut bringing {
                    bringing.moves((todo.key(), todo.record.id()));
                }
                let part = Shard::of(todo.record.entry().content, bits);
                let place = Place::Word(word.clone(), part);
                let todo = Todo { place, ..todo };
                parts.entry(todo.key()).or_default().push(todo);
            }
            _ => {
                if let Some(bringing) = &mut bringing {
                    bringing.stays(&todo);
                }
            }
        }
    }
    if let Some(bringing) = bringing {
        done.left.iter().for_each(|todo| bringing.stays(todo));
    }
    parts
}
