//! Bringing records to who is responsible for them: one message at a time, to the
//! next owner if one fails.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::Timestamp;

use super::around::Way;
use super::message::{ITEMS_MAX, LOAD_BYTES_MAX, MARKS_MAX, PLACES_MAX};
use super::requests::Purpose;
use super::{
    Contact, Item, Load, Mark, Mode, Place, Position, Record, Refusal, Refused, Store,
    StoreMessage, Waiting,
};

/// Times that a busy owner is tried again.
const BUSY_MAX: u32 = 20;
/// Pause before that.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// Times that the way is asked for again because an owner says it is none.
const LOST_MAX: u32 = 2;

/// A record to be listed somewhere.
#[derive(Debug, Clone)]
pub(super) struct Todo {
    pub(super) place: Place,
    pub(super) record: Record,
    pub(super) age_s: u32,
}

impl Todo {
    pub(super) fn key(&self) -> Position {
        self.place.key(self.record.entry().content)
    }
}

/// Whose errand it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Own records.
    Publish,
    /// A list that is being split.
    Split(Position),
    /// A list that is given up.
    Fold(Position),
    /// What a comparison showed to be missing.
    Session(u64),
    /// The same, into parts of lists that are split; 0 if there was no comparison.
    Parts(u64),
}

/// Records on their way to one place.
#[derive(Debug)]
pub(super) struct Errand {
    /// A key of the region.
    pub(super) key: Position,
    pub(super) owner: For,
    mode: Mode,
    owners: Vec<Contact>,
    at: usize,
    todo: VecDeque<Todo>,
    marks: Vec<Mark>,
    /// What was sent and is not answered.
    flying: Vec<Vec<Todo>>,
    request: Option<u64>,
    refused: Vec<(Todo, Refusal)>,
    taken: u64,
    busy: u32,
    lost: u32,
    pub(super) resume_at: Option<Timestamp>,
}

/// How an errand ended.
#[derive(Debug)]
pub(super) struct Done {
    /// Whether everything was answered.
    pub(super) is_whole: bool,
    /// What was not taken.
    pub(super) refused: Vec<(Todo, Refusal)>,
    /// What nobody answered to.
    pub(super) left: Vec<Todo>,
}

impl Store {
    /// Begins an errand; without a way, that is asked for first.
    pub(super) fn start_errand(
        &mut self,
        now: Timestamp,
        (owner, mode): (For, Mode),
        (key, way): (Position, Option<Way>),
        mut todo: Vec<Todo>,
        marks: Vec<Mark>,
    ) -> u64 {
        // What is of one record goes together.
        todo.sort_by_key(|todo| todo.record.id());
        let id = self.id();
        let errand = Errand {
            key,
            owner,
            mode,
            owners: way.map(|way| way.owners).unwrap_or_default(),
            at: 0,
            todo: todo.into(),
            marks,
            flying: Vec::new(),
            request: None,
            refused: Vec::new(),
            taken: 0,
            busy: 0,
            lost: 0,
            resume_at: None,
        };
        let is_known = !errand.owners.is_empty();
        self.errands.insert(id, errand);
        if is_known {
            self.drive_errand(now, id);
        } else {
            self.find_errand_way(now, id);
        }
        id
    }

    fn find_errand_way(&mut self, now: Timestamp, id: u64) {
        let Some(errand) = self.errands.get(&id) else {
            return;
        };
        let key = errand.key;
        match self.known.way(now, &self.config, key) {
            Some(way) => self.on_errand_way(now, id, Some(way)),
            None => self.locate(key, Waiting::Errand(id)),
        }
    }

    pub(super) fn on_errand_way(&mut self, now: Timestamp, id: u64, way: Option<Way>) {
        let Some(errand) = self.errands.get_mut(&id) else {
            return;
        };
        match way {
            Some(way) => {
                errand.owners = way.owners;
                errand.at = 0;
                self.drive_errand(now, id);
            }
            None => self.end_errand(now, id),
        }
    }

    /// Sends the next load, or ends.
    fn drive_errand(&mut self, now: Timestamp, id: u64) {
        loop {
            let Some(errand) = self.errands.get_mut(&id) else {
                return;
            };
            let has_work = !errand.todo.is_empty() || !errand.marks.is_empty();
            let Some(to) = errand.owners.get(errand.at).cloned().filter(|_| has_work) else {
                self.end_errand(now, id);
                return;
            };
            let (mode, load) = (errand.mode, errand.next_load());
            if to.peer == self.me {
                match self.take_own_load(now, mode, load, id) {
                    Some(refused) if self.note_stored(now, id, &refused) => continue,
                    // It goes on when there are copies, or is over.
                    _ => return,
                }
            }
            let message = |request| StoreMessage::Store {
                request,
                mode,
                load: Box::new(load),
            };
            let request = self.request(now, &to, Purpose::Errand(id), message);
            if let Some(errand) = self.errands.get_mut(&id) {
                errand.request = Some(request);
            }
            return;
        }
    }

    pub(super) fn on_stored(&mut self, now: Timestamp, id: u64, refused: &[Refused]) {
        if self.note_stored(now, id, refused) {
            self.drive_errand(now, id);
        }
    }

    /// Takes note of an answer. False if the errand is to wait, or is over.
    fn note_stored(&mut self, now: Timestamp, id: u64, refused: &[Refused]) -> bool {
        let pause = self.jittered(BUSY_PAUSE);
        let Some(errand) = self.errands.get_mut(&id) else {
            return false;
        };
        errand.request = None;
        let (mut is_busy, mut is_lost) = (false, false);
        for (item, todos) in std::mem::take(&mut errand.flying).into_iter().enumerate() {
            for (place, todo) in todos.into_iter().enumerate() {
                let is_it = |one: &&Refused| {
                    usize::from(one.item) == item && usize::from(one.place) == place
                };
                match refused.iter().find(is_it).map(|one| one.why) {
                    None => errand.taken += 1,
                    Some(Refusal::Busy) => {
                        is_busy = true;
                        errand.todo.push_back(todo);
                    }
                    Some(Refusal::NotMine) => {
                        is_lost = true;
                        errand.todo.push_back(todo);
                    }
                    Some(why) => errand.refused.push((todo, why)),
                }
            }
        }
        if is_lost {
            let peer = errand.owners.get(errand.at).map(|owner| owner.peer);
            errand.lost += 1;
            let give_up = errand.lost > LOST_MAX;
            errand.owners.clear();
            peer.into_iter().for_each(|peer| self.known.doubt(peer));
            if give_up {
                self.end_errand(now, id);
            } else {
                self.find_errand_way(now, id);
            }
            return false;
        }
        if is_busy {
            errand.busy += 1;
            if errand.busy > BUSY_MAX {
                self.end_errand(now, id);
            } else {
                errand.resume_at = Some(now + pause);
            }
            return false;
        }
        true
    }

    /// The owner does not answer: the next one.
    pub(super) fn on_errand_failed(&mut self, now: Timestamp, id: u64) {
        if let Some(errand) = self.errands.get_mut(&id) {
            errand.request = None;
            let flown = std::mem::take(&mut errand.flying);
            for todo in flown.into_iter().flatten().rev() {
                errand.todo.push_front(todo);
            }
            errand.at += 1;
            self.drive_errand(now, id);
        }
    }

    pub(super) fn on_timeout_errands(&mut self, now: Timestamp) {
        let due = |errand: &Errand| errand.resume_at.is_some_and(|at| at <= now);
        let due: Vec<u64> = self
            .errands
            .iter()
            .filter(|(_, errand)| due(errand))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(errand) = self.errands.get_mut(&id) {
                errand.resume_at = None;
            }
            self.drive_errand(now, id);
        }
    }

    fn end_errand(&mut self, now: Timestamp, id: u64) {
        let Some(errand) = self.errands.remove(&id) else {
            return;
        };
        if let Some(request) = errand.request {
            self.requests.cancel(request);
        }
        let mut left: Vec<Todo> = errand.flying.into_iter().flatten().collect();
        left.extend(errand.todo);
        let done = Done {
            is_whole: left.is_empty() && errand.marks.is_empty(),
            refused: errand.refused,
            left,
        };
        match errand.owner {
            For::Publish => {
                self.counters.published += errand.taken;
                self.on_published(now, id, done);
            }
            For::Split(key) => self.on_split_errand(now, key, id, done),
            For::Fold(key) => self.on_fold_errand(now, key, &done),
            For::Session(session) => {
                self.counters.repaired += errand.taken;
                self.on_pushed(now, session, done);
            }
            For::Parts(session) => {
                self.counters.repaired += errand.taken;
                self.on_parted(now, session, done);
            }
        }
    }
}

impl Errand {
    /// As much as fits into a message.
    fn next_load(&mut self) -> Load {
        let mut load = Load::default();
        let marks = self.marks.len().min(MARKS_MAX);
        load.marks.extend(self.marks.drain(..marks));
        let (mut bytes, mut postings) = (0, 0);
        while let Some(todo) = self.todo.front() {
            let place = todo.place.wire_bytes();
            let last = load.items.last_mut();
            let same =
                last.filter(|item| item.record == todo.record && item.places.len() < PLACES_MAX);
            let more = place + same.as_ref().map_or(todo.record.wire_bytes(), |_| 0);
            if postings >= ITEMS_MAX || (postings > 0 && bytes + more > LOAD_BYTES_MAX) {
                break;
            }
            bytes += more;
            postings += 1;
            match same {
                Some(item) => {
                    item.places.push(todo.place.clone());
                    if let (Some(todo), Some(flying)) =
                        (self.todo.pop_front(), self.flying.last_mut())
                    {
                        flying.push(todo);
                    }
                }
                None => {
                    load.items.push(Item {
                        record: todo.record.clone(),
                        age_s: todo.age_s,
                        places: vec![todo.place.clone()],
                    });
                    self.flying
                        .extend(self.todo.pop_front().map(|todo| vec![todo]));
                }
            }
        }
        load
    }
}
