//! Lists that are too long are split in two, and halves that are short come
//! together again.
//!
//! The owner of a list gives each half to its owner, and only then says that the
//! list is split: nothing is out of sight meanwhile. Later it looks at the halves
//! now and then, so it knows how many entries there are in all and how deep one must
//! go; if there are few, it says that the list is whole again, and the owners of the
//! halves, having seen for themselves that it is, bring back what they have. A half
//! that nobody looks at any more finds out by itself where it belongs.
//!
//! Notes on lists are believed from the owner, and from whoever was asked for them.
//! From others they are a reason to look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::Timestamp;

use super::errand::{Done, For, Todo};
use super::{
    Contact, Hint, ListState, Mark, Mode, Place, Position, RecordId, Refusal, Shard, Store, Word,
};

/// Lists being split or given up at once.
pub(super) const CHANGES_MAX: usize = 8;
/// A list is whole again below this part of what splits it.
pub(super) const FOLD_PART: u32 = 4;
/// Looks that are missed before a half wonders whether it is one.
const MISSED_MAX: u32 = 4;
/// How long a list that is whole again is not believed to be.
// Guess: its parts need a look and some messages.
const GATHERING_FOR: Duration = Duration::from_secs(30);
/// Lists of which that is remembered.
const GATHERING_MAX: usize = 1_024;
/// Into how many parts the time between two looks is cut while lists change: lists
/// that grow fast are in many parts soon.
const CHANGING_PART: u32 = 8;
/// Pause after a failed change.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// Why one looks at a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is half of an own one.
    Half,
    /// This own one is part of it, or was.
    Ancestor(Shard),
    /// Somebody says that the own list that it is half of is split.
    Claim,
}

/// A look at a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) word: Word,
    pub(super) shard: Shard,
    pub(super) why: Why,
}

impl Look {
    /// The key of the list.
    pub(super) fn key(&self) -> Position {
        self.shard.key(&self.word)
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// Nobody answered.
    Nothing,
    /// This, with entries in all parts.
    State(Option<(ListState, u32)>),
}

/// A list that is being moved elsewhere.
#[derive(Debug, Default)]
pub(super) struct Moving {
    sent: BTreeSet<(RecordId, u64)>,
    errands: usize,
    has_failed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Halves {
    pub(super) seen: [Option<Seen>; 2],
    pub(super) owners: [Option<Contact>; 2],
}

/// Lists that change.
#[derive(Debug, Default)]
pub(super) struct Shards {
    pub(super) splitting: BTreeMap<Position, Moving>,
    pub(super) folding: BTreeMap<Position, (Moving, Shard, Mode)>,
    pub(super) looking: BTreeMap<Position, Halves>,
    /// Lists that are whole again, and until when their parts may still bring entries.
    gathering: BTreeMap<Position, Timestamp>,
    at: Option<Timestamp>,
}

impl Shards {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.at
    }

    /// A list is whole again, as soon as its parts have brought what they have.
    pub(super) fn gather(&mut self, now: Timestamp, key: Position) {
        if self.gathering.len() >= GATHERING_MAX {
            self.gathering.retain(|_, until| *until > now);
        }
        if self.gathering.len() < GATHERING_MAX {
            self.gathering.insert(key, now + GATHERING_FOR);
        }
    }

    /// Whether entries of a list may still be with its parts.
    pub(super) fn is_gathering(&self, now: Timestamp, key: Position) -> bool {
        self.gathering.get(&key).is_some_and(|until| *until > now)
    }

    pub(super) fn by(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |due| due.min(at)));
    }
}

impl Store {
    pub(super) fn list_of(&self, key: Position) -> Option<(Word, Shard)> {
        match (self.shelf.mark(key), self.shelf.place(key)) {
            (Some(mark), _) => Some((mark.word.clone(), mark.shard)),
            (None, Some(Place::Word(word, shard))) => Some((word.clone(), *shard)),
            (None, _) => None,
        }
    }

    /// A list has one entry more.
    pub(super) fn on_grown(&mut self, now: Timestamp, key: Position) {
        if self.is_long(key, self.shelf.count(key)) {
            self.split(now, key);
        }
    }

    /// Whether a list has more entries than it may have.
    fn is_long(&self, key: Position, count: u32) -> bool {
        let (whole_max, part_max) = (self.config.list_max, self.config.part_max);
        let is_part = || {
            self.list_of(key)
                .is_some_and(|(_, shard)| shard != Shard::ROOT)
        };
        count > whole_max || (count > part_max && is_part())
    }

    /// There is a note on a list that was not there.
    pub(super) fn on_mark(&mut self, now: Timestamp, mark: &Mark) {
        self.shards.by(now + self.config.shard_interval);
        if let ListState::Split { bits } = mark.state {
            let (word, count) = (mark.word.clone(), mark.count);
            if mark.shard == Shard::ROOT {
                self.hints
                    .learn(now, &self.config, Hint { word, bits, count });
            }
        }
    }

    /// Lists change: they are looked at soon.
    pub(super) fn look_soon(&mut self, now: Timestamp) {
        self.shards
            .by(now + self.config.shard_interval / CHANGING_PART);
    }

    /// Splits an own list.
    pub(super) fn split(&mut self, now: Timestamp, key: Position) {
        let is_split = self
            .shelf
            .mark(key)
            .is_some_and(|mark| mark.state != ListState::Whole);
        let can = self
            .list_of(key)
            .is_some_and(|(_, shard)| shard.halves().is_some());
        let shards = &self.shards;
        let changes = shards.splitting.len() + shards.folding.len();
        let is_moving = shards.splitting.contains_key(&key) || shards.folding.contains_key(&key);
        if is_split
            || is_moving
            || !can
            || changes >= CHANGES_MAX
            || !self.known.owns(key)
            || !self.known.is_large(self.config.copies)
        {
            return;
        }
        self.shards.splitting.insert(key, Moving::default());
        self.split_more(now, key, true);
    }

    /// What is not with the halves yet goes there; when all is, the list is split.
    fn split_more(&mut self, now: Timestamp, key: Position, is_first: bool) {
        let list = self.list_of(key);
        let Some(((word, shard), halves)) =
            list.and_then(|list| Some((list.clone(), list.1.halves()?)))
        else {
            self.shards.splitting.remove(&key);
            return;
        };
        let todo = self.not_moved(now, key, true);
        if todo.is_empty() && !is_first {
            self.shards.splitting.remove(&key);
            self.flip_split(now, key, (word, shard));
            return;
        }
        let mut parts: [Vec<Todo>; 2] = Default::default();
        for todo in todo {
            let second = usize::from(halves[1].holds(todo.record.entry().content));
            let place = Place::Word(word.clone(), halves[second]);
            parts[second].push(Todo { place, ..todo });
        }
        let epoch = self
            .shelf
            .mark(key)
            .map_or(0, |mark| mark.epoch)
            .saturating_add(1);
        let loads: Vec<(Shard, Vec<Todo>)> = halves
            .into_iter()
            .zip(parts)
            .filter(|(_, todo)| is_first || !todo.is_empty())
            .collect();
        if let Some(moving) = self.shards.splitting.get_mut(&key) {
            moving.errands += loads.len();
        }
        for (half, todo) in loads {
            let mark = Mark {
                word: word.clone(),
                shard: half,
                epoch,
                state: ListState::Whole,
                count: 0,
            };
            let marks = if is_first { vec![mark] } else { Vec::new() };
            let to = (half.key(&word), None);
            self.start_errand(now, (For::Split(key), Mode::Create), to, todo, marks);
        }
    }

    /// Entries that were not sent since they changed; notes that they are now.
    pub(super) fn not_moved(&mut self, now: Timestamp, key: Position, is_split: bool) -> Vec<Todo> {
        let postings: Vec<_> = self
            .shelf
            .list(key)
            .filter(|posting| !self.is_over(now, posting))
            .map(|posting| (posting.record.clone(), self.age_s(now, posting)))
            .collect();
        let place = self.shelf.place(key).cloned();
        let shards = &mut self.shards;
        let moving = if is_split {
            shards.splitting.get_mut(&key)
        } else {
            shards.folding.get_mut(&key).map(|(moving, ..)| moving)
        };
        let (Some(moving), Some(place)) = (moving, place) else {
            return Vec::new();
        };
        let mut todo = Vec::new();
        for (record, age_s) in postings {
            if moving.sent.insert((record.id(), record.version())) {
                let place = place.clone();
                todo.push(Todo {
                    place,
                    record,
                    age_s,
                });
            }
        }
        todo
    }

    pub(super) fn on_split_errand(&mut self, now: Timestamp, key: Position, _: u64, done: Done) {
        // A half that is split itself says so.
        let mut deeper: BTreeMap<Position, Vec<Todo>> = BTreeMap::new();
        for (todo, why) in done.refused {
            if let (Refusal::Split { bits }, Place::Word(word, shard)) = (why, &todo.place)
                && bits > shard.bits()
            {
                let shard = Shard::of(todo.record.entry().content, bits);
                let place = Place::Word(word.clone(), shard);
                let todo = Todo { place, ..todo };
                deeper.entry(todo.key()).or_default().push(todo);
            }
        }
        let Some(moving) = self.shards.splitting.get_mut(&key) else {
            return;
        };
        moving.errands += deeper.len();
        moving.errands -= 1;
        moving.has_failed |= !done.is_whole;
        let (is_over, has_failed) = (moving.errands == 0, moving.has_failed);
        for (part, todo) in deeper {
            let owner = (For::Split(key), Mode::Create);
            self.start_errand(now, owner, (part, None), todo, Vec::new());
        }
        if is_over && has_failed {
            self.shards.splitting.remove(&key);
            self.shards.by(now + RETRY_PAUSE);
        } else if is_over {
            self.split_more(now, key, false);
        }
    }

    fn flip_split(&mut self, now: Timestamp, key: Position, (word, shard): (Word, Shard)) {
        let old = self.shelf.mark(key);
        let mark = Mark {
            word,
            shard,
            epoch: old.map_or(0, |mark| mark.epoch).saturating_add(1),
            state: ListState::Split {
                bits: shard.bits() + 1,
            },
            count: self.shelf.count(key),
        };
        self.counters.splits += 1;
        self.shelf.put_mark(now, mark.clone());
        self.on_mark(now, &mark);
        self.look_soon(now);
        self.pass_on_mark(now, mark);
    }

    /// Believes a note, without losing what is in the list.
    pub(super) fn adopt(&mut self, now: Timestamp, mark: Mark) -> bool {
        let key = mark.shard.key(&mark.word);
        if let ListState::Split { bits } = mark.state
            && self.known.owns(key)
            && self.shelf.count(key) > 0
        {
            let mut parts: BTreeMap<Position, Vec<Todo>> = BTreeMap::new();
            for posting in self.shelf.list(key) {
                let shard = Shard::of(posting.record.entry().content, bits);
                let todo = Todo {
                    place: Place::Word(mark.word.clone(), shard),
                    record: posting.record.clone(),
                    age_s: self.age_s(now, posting),
                };
                parts.entry(todo.key()).or_default().push(todo);
            }
            for (part, todo) in parts {
                let owner = (For::Parts(0), Mode::Create);
                self.start_errand(now, owner, (part, None), todo, Vec::new());
            }
        }
        let was_split = self
            .shelf
            .mark(key)
            .is_some_and(|mark| mark.state != ListState::Whole);
        let is_news = self.shelf.put_mark(now, mark.clone());
        if is_news {
            if was_split && mark.state == ListState::Whole {
                self.shards.gather(now, key);
            }
            self.on_mark(now, &mark);
        }
        is_news
    }

    /// Somebody says that an own list is split: looks whether there are halves.
    pub(super) fn on_claim(&mut self, now: Timestamp, mark: &Mark) {
        let key = mark.shard.key(&mark.word);
        let knows = self
            .shelf
            .mark(key)
            .is_some_and(|mark| mark.state != ListState::Whole);
        if let (false, true, Some([half, _])) = (knows, self.known.owns(key), mark.shard.halves()) {
            let (word, why) = (mark.word.clone(), Why::Claim);
            let shard = half;
            self.look_at(now, Look { word, shard, why });
        }
    }

    pub(super) fn on_timeout_shards(&mut self, now: Timestamp) {
        if self.shards.at.is_none_or(|at| at > now) {
            return;
        }
        self.shards.at = None;
        let interval = self.config.shard_interval;
        let mut looks = Vec::new();
        for (key, kept) in self.shelf.marks().filter(|(key, _)| self.known.owns(*key)) {
            let mark = &kept.mark;
            match (mark.state, mark.shard.halves(), mark.shard.parent()) {
                (ListState::Split { .. }, Some(halves), _) => {
                    looks.extend(halves.map(|shard| (key, shard, Why::Half)));
                }
                (ListState::Whole, _, Some(parent)) if now - kept.heard > interval * MISSED_MAX => {
                    looks.push((key, parent, Why::Ancestor(mark.shard)));
                }
                _ => {}
            }
        }
        for (key, shard, why) in looks {
            if why == Why::Half {
                let is_second = shard
                    .parent()
                    .and_then(Shard::halves)
                    .map(|both| both[1] == shard);
                if is_second == Some(false) {
                    self.shards.looking.insert(key, Halves::default());
                }
            }
            if let Some((word, _)) = self.list_of(key) {
                self.look_at(now, Look { word, shard, why });
            }
        }
        let long = self.shelf.lists();
        let long = long.filter(|(key, list)| self.is_long(*key, list.count));
        let long: Vec<Position> = long.map(|(key, _)| key).collect();
        for key in &long {
            self.split(now, *key);
        }
        if self.shelf.marks_len() > 0 || !long.is_empty() {
            let wait = self.jittered(interval);
            self.shards.by(now + wait);
        }
    }
}
