//! Publishing: a walk along the ring, over all keys that own files are listed
//! under, again and again.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{ContentId, Publication, Timestamp};

use super::around::Way;
use super::errand::{Done, For, Todo};
use super::own::{OwnId, places};
use super::{Hint, Mode, Place, Position, Record, RecordId, Refusal, Shard, Store, Waiting, Word};
use crate::flood::jittered;

/// Times that a pause doubles.
const RETRIES_DOUBLED: u32 = 8;
/// Own files, and records of others, that a word is looked for in.
const SAMPLE: usize = 64;
/// How many different contents of those must have a word for it to count as common.
pub(super) const COMMON: usize = 4;
/// Times that a part of a list may be missing before it is begun.
const MISSING_MAX: u8 = 4;

/// A list that own files are to be in.
#[derive(Debug)]
struct Job {
    place: Place,
    /// Own files; some may be gone.
    files: BTreeSet<OwnId>,
    due: Timestamp,
    is_flying: bool,
    was_taken: bool,
    failures: u32,
    missing: u8,
}

/// What is to be published when.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    jobs: BTreeMap<Position, Job>,
    due: BTreeSet<(Timestamp, Position)>,
    /// Walks under way: lookups, and errands with their jobs.
    lookups: usize,
    errands: BTreeMap<u64, Vec<Position>>,
}

impl Publishing {
    /// How many lists.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Such lists that nobody has taken yet.
    pub(super) fn pending(&self, is_meant: impl Fn(&Place) -> bool) -> usize {
        let pending = |job: &&Job| !job.was_taken && is_meant(&job.place);
        self.jobs.values().filter(pending).count()
    }

    fn is_busy(&self, max: usize) -> bool {
        self.lookups + self.errands.len() >= max.max(1)
    }

    fn add(&mut self, place: &Place, content: ContentId, file: OwnId, due: Timestamp) -> &mut Job {
        let key = place.key(content);
        let job = self.jobs.entry(key).or_insert_with(|| Job {
            place: place.clone(),
            files: BTreeSet::new(),
            due,
            is_flying: false,
            was_taken: false,
            failures: 0,
            missing: 0,
        });
        job.files.insert(file);
        job.was_taken = false;
        if !job.is_flying {
            self.due.remove(&(job.due, key));
            job.due = job.due.min(due);
            self.due.insert((job.due, key));
        } else {
            job.due = due;
        }
        job
    }

    fn take_off(&mut self, key: Position) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&key).filter(|job| !job.is_flying)?;
        self.due.remove(&(job.due, key));
        job.is_flying = true;
        // Due again for what comes meanwhile.
        job.due = Timestamp::MAX;
        Some(job)
    }

    fn land(&mut self, key: Position, due: Timestamp) {
        if let Some(job) = self.jobs.get_mut(&key) {
            job.is_flying = false;
            job.due = job.due.min(due);
            self.due.insert((job.due, key));
        }
    }

    fn drop_job(&mut self, key: Position) {
        if let Some(job) = self.jobs.remove(&key) {
            self.due.remove(&(job.due, key));
        }
    }
}

impl Store {
    /// Publishes these from now on.
    pub(crate) fn publish(&mut self, now: Timestamp, publications: Vec<Publication>) {
        for publication in publications {
            if publication.holder != self.me {
                continue;
            }
            let record = Record::new(publication, self.addresses.clone());
            let content = record.entry().content;
            let places = places(&record, self.config.words_per_entry_max);
            let Some(file) = self.own.put(record, self.config.own_max) else {
                continue;
            };
            for place in places {
                let place = self.where_now(now, place, content);
                // What everybody has is known to be split by the time.
                let wait = match &place {
                    Place::Word(word, Shard::ROOT) if self.is_common(word) => {
                        self.config.common_delay
                    }
                    _ => std::time::Duration::ZERO,
                };
                self.publishing.add(&place, content, file, now + wait);
            }
        }
        self.walk(now);
    }

    /// There are others by now: what nobody but this peer has taken is published to
    /// them.
    pub(super) fn publish_again(&mut self, now: Timestamp) {
        let keys: Vec<Position> = self.publishing.jobs.keys().copied().collect();
        for key in keys {
            let Some(job) = self.publishing.jobs.get_mut(&key) else {
                continue;
            };
            job.was_taken = false;
            let old = std::mem::replace(&mut job.due, now);
            if !job.is_flying {
                self.publishing.due.remove(&(old, key));
                self.publishing.due.insert((now, key));
            }
        }
    }

    /// Publishes these no more.
    pub(crate) fn withdraw(&mut self, entries: &[(ContentId, String)]) {
        for (content, path) in entries {
            self.own
                .remove(*content, RecordId::of(self.me, *content, path));
        }
    }

    /// How many of some contents, own and others', have a word. Copies of one content count
    /// once, and what is listed here under the word itself does not count: in that list
    /// everything has it, however rare it is.
    pub(super) fn frequency(&self, word: &Word) -> usize {
        let hash = super::record::word_hash(word.text());
        let from = self.known.nodes.first().map(|node| node.me.position);
        let others = self.shelf.sample(from.unwrap_or_default(), SAMPLE);
        let is_other = |key: &Position| {
            let place = self.shelf.place(*key);
            !matches!(place, Some(Place::Word(listed, _)) if listed == word)
        };
        let others = others.filter(|(key, _)| is_other(key));
        let both = self
            .own
            .sample(SAMPLE)
            .chain(others.map(|(_, record)| record));
        let with_word = both.filter(|record| record.may_have(hash));
        let contents: BTreeSet<ContentId> =
            with_word.map(|record| record.entry().content).collect();
        contents.len()
    }

    fn is_common(&self, word: &Word) -> bool {
        self.frequency(word) >= COMMON
    }

    /// The part of the list, if the word is known to be split.
    fn where_now(&self, now: Timestamp, place: Place, content: ContentId) -> Place {
        match place {
            Place::Word(word, Shard::ROOT) => {
                let hint = self.hints.find(now, &word);
                let shard = hint.map_or(Shard::ROOT, |(bits, _)| Shard::of(content, bits));
                Place::Word(word, shard)
            }
            place => place,
        }
    }

    pub(super) fn on_timeout_publish(&mut self, now: Timestamp) {
        if self.publishing_due().is_some_and(|due| due <= now) {
            self.walk(now);
        }
    }

    pub(super) fn publishing_due(&self) -> Option<Timestamp> {
        if self.publishing.is_busy(self.config.publish_parallel) {
            return None;
        }
        self.publishing.due.first().map(|(due, _)| *due)
    }

    /// Starts as many walks as may be under way.
    fn walk(&mut self, now: Timestamp) {
        while !self.publishing.is_busy(self.config.publish_parallel) {
            let first = self.publishing.due.first().copied();
            let Some((_, key)) = first.filter(|(due, _)| *due <= now) else {
                return;
            };
            if let Some(way) = self.known.way(now, &self.config, key) {
                self.publish_region(now, key, way);
                continue;
            }
            if self.publishing.take_off(key).is_none() {
                return;
            }
            self.publishing.lookups += 1;
            self.locate(key, Waiting::Publish(key));
        }
    }

    pub(super) fn on_publish_way(&mut self, now: Timestamp, key: Position, way: Option<Way>) {
        self.publishing.lookups = self.publishing.lookups.saturating_sub(1);
        match way {
            Some(way) => {
                self.publishing.land(key, now);
                self.publish_region(now, key, way);
            }
            None => self.publish_later(now, key),
        }
        self.walk(now);
    }

    fn publish_later(&mut self, now: Timestamp, key: Position) {
        let doubled = self.publishing.jobs.get_mut(&key).map_or(0, |job| {
            job.failures = job.failures.saturating_add(1);
            (job.failures - 1).min(RETRIES_DOUBLED)
        });
        let pause = self.config.retry_pause * (1 << doubled);
        let pause = jittered(&mut self.rng, pause);
        self.publishing.land(key, now + pause);
    }

    /// Everything that falls to the same owner and is due, or nearly, goes there.
    fn publish_region(&mut self, now: Timestamp, key: Position, way: Way) {
        let soon = now + self.config.republish_interval / 4;
        let mut keys: Vec<Position> = Vec::new();
        for span in super::shelf::spans(way.from, way.to) {
            let jobs = self.publishing.jobs.range(span.first.0..=span.last.0);
            let due = jobs.filter(|(_, job)| !job.is_flying && job.due <= soon);
            keys.extend(due.map(|(key, _)| *key));
        }
        let (mut todo, mut creates) = (Vec::new(), false);
        let mut taken_off = Vec::new();
        for key in keys {
            let Some(job) = self.publishing.take_off(key) else {
                continue;
            };
            job.files.retain(|file| self.own.find(*file).is_some());
            if job.files.is_empty() {
                self.publishing.drop_job(key);
                continue;
            }
            creates |= job.missing >= MISSING_MAX;
            for record in job.files.iter().filter_map(|file| self.own.find(*file)) {
                todo.push(Todo {
                    place: job.place.clone(),
                    record: record.clone(),
                    age_s: 0,
                });
            }
            taken_off.push(key);
        }
        if todo.is_empty() {
            return;
        }
        let mode = if creates { Mode::Create } else { Mode::Publish };
        // It may be over before its number is known here.
        self.publishing.errands.insert(0, taken_off.clone());
        let id = self.start_errand(
            now,
            (For::Publish, mode),
            (key, Some(way)),
            todo,
            Vec::new(),
        );
        if let Some(jobs) = self.publishing.errands.remove(&0) {
            self.publishing.errands.insert(id, jobs);
        }
    }

    pub(super) fn on_published(&mut self, now: Timestamp, id: u64, done: Done) {
        let errands = &mut self.publishing.errands;
        let jobs = errands.remove(&id).or_else(|| errands.remove(&0));
        let failed: BTreeSet<Position> = done.left.iter().map(Todo::key).collect();
        let mut full: BTreeSet<Position> = BTreeSet::new();
        for (todo, why) in done.refused {
            self.on_not_published(now, &todo, why, &mut full);
        }
        for key in jobs.unwrap_or_default() {
            if failed.contains(&key) || full.contains(&key) {
                self.publish_later(now, key);
                continue;
            }
            let interval = self.config.republish_interval;
            let Some(job) = self.publishing.jobs.get_mut(&key) else {
                continue;
            };
            if job.files.is_empty() {
                self.publishing.drop_job(key);
                continue;
            }
            job.failures = 0;
            if let Place::Word(word, shard) = &job.place
                && *shard != Shard::ROOT
            {
                self.hints.prove(word, *shard);
            }
            job.was_taken = job.due == Timestamp::MAX;
            // Between seven eighths and all of it.
            let part = interval / 4;
            let next = now + (interval - part) + jittered(&mut self.rng, part);
            self.publishing.land(key, next);
        }
        self.walk(now);
    }

    fn on_not_published(
        &mut self,
        now: Timestamp,
        todo: &Todo,
        why: Refusal,
        full: &mut BTreeSet<Position>,
    ) {
        let key = todo.key();
        let content = todo.record.entry().content;
        let Place::Word(word, shard) = &todo.place else {
            full.insert(key);
            return;
        };
        match why {
            Refusal::Split { bits } if bits > shard.bits() => {
                let (word, count) = (word.clone(), 0);
                let hint = Hint { word, bits, count };
                let known = self.hints.find(now, &hint.word);
                if *shard != Shard::ROOT {
                    self.hints.deepen(&hint.word, *shard);
                } else if known.is_none_or(|(known, _)| known < bits) {
                    self.hints.learn(now, &self.config, hint);
                }
                self.move_file(now, todo, Shard::of(content, bits), 0);
            }
            Refusal::NoShard => {
                self.hints.lift(word, *shard);
                let missing = self.publishing.jobs.get(&key).map_or(0, |job| job.missing);
                if missing < MISSING_MAX {
                    // Mostly the list is whole one bit further up; else who has the
                    // word's own key knows.
                    let above = shard.parent().filter(|_| missing == 0);
                    let above = above.unwrap_or(Shard::ROOT);
                    self.move_file(now, todo, above, missing + 1);
                } else {
                    full.insert(key);
                }
            }
            _ => {
                full.insert(key);
            }
        }
    }

    /// An own file belongs to another part of the list.
    fn move_file(&mut self, now: Timestamp, todo: &Todo, shard: Shard, missing: u8) {
        let Place::Word(word, _) = &todo.place else {
            return;
        };
        let key = todo.key();
        let Some(file) = self.own.number(&todo.record) else {
            return;
        };
        let Some(job) = self.publishing.jobs.get_mut(&key) else {
            return;
        };
        let old_missing = job.missing;
        job.files.remove(&file);
        let place = Place::Word(word.clone(), shard);
        let content = todo.record.entry().content;
        let job = self.publishing.add(&place, content, file, now);
        job.missing = job.missing.max(missing).max(old_missing);
    }
}
