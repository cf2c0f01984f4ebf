//! Lists that are whole again: the halves bring back what they have.

use gannet_base::{PeerId, Timestamp};

use super::errand::{Done, For, Todo};
use super::shards::{CHANGES_MAX, Look, Moving, RETRY_PAUSE, Seen, Why};
use super::{
    Contact, ListState, Mark, Mode, Place, Position, Refusal, Shard, Store, StoreMessage, Word,
};

impl Store {
    /// The list is whole again.
    pub(super) fn fold(
        &mut self,
        now: Timestamp,
        mut mark: Mark,
        count: u32,
        owners: [Option<Contact>; 2],
    ) {
        self.counters.folds += 1;
        mark.state = ListState::Whole;
        mark.count = count;
        mark.epoch = mark.epoch.saturating_add(1);
        self.shelf.put_mark(now, mark.clone());
        self.shards.gather(now, mark.shard.key(&mark.word));
        self.hints.forget(&mark.word);
        let (word, halves) = (mark.word.clone(), mark.shard.halves());
        self.pass_on_mark(now, mark);
        for (shard, owner) in halves.into_iter().flatten().zip(owners) {
            match owner {
                Some(owner) if owner.peer == self.me => {
                    self.on_fold(now, self.me, word.clone(), shard);
                }
                Some(owner) => {
                    let word = word.clone();
                    self.send(owner, StoreMessage::Fold { word, shard });
                }
                None => {}
            }
        }
    }

    pub(super) fn on_fold(&mut self, now: Timestamp, from: PeerId, word: Word, shard: Shard) {
        let key = shard.key(&word);
        let is_there = self
            .state_of(key, shard)
            .is_some_and(|(state, _)| state == ListState::Whole);
        let may = from == self.me || self.may_ask(now, from);
        if let (true, true, true, Some(parent)) =
            (is_there, may, self.known.owns(key), shard.parent())
        {
            let why = Why::Ancestor(shard);
            let shard = parent;
            self.look_at(now, Look { word, shard, why });
        }
    }

    /// What an own part of a list is part of, or was.
    pub(super) fn on_ancestor(&mut self, now: Timestamp, look: Look, of: Shard, seen: &Seen) {
        let Seen::State(state) = seen else {
            return;
        };
        let (above, word) = (look.shard, look.word);
        let key = of.key(&word);
        match (state.map(|(state, _)| state), above.parent()) {
            (Some(ListState::Whole), _) => self.give_up(now, key, above, Mode::Publish),
            (Some(ListState::Split { .. }), _) => {
                let below = of.ancestor(above.bits() + 1);
                if below == of {
                    self.shelf.hear_of(key, now);
                } else {
                    self.give_up(now, key, below, Mode::Create);
                }
            }
            (_, None) => self.give_up(now, key, Shard::ROOT, Mode::Publish),
            (_, Some(shard)) => {
                let why = Why::Ancestor(of);
                self.look_at(now, Look { word, shard, why });
            }
        }
    }

    /// Brings all entries of an own part into another list.
    fn give_up(&mut self, now: Timestamp, key: Position, into: Shard, mode: Mode) {
        let shards = &self.shards;
        let is_moving = shards.splitting.contains_key(&key) || shards.folding.contains_key(&key);
        if !is_moving && shards.folding.len() < CHANGES_MAX {
            let moving = (Moving::default(), into, mode);
            self.shards.folding.insert(key, moving);
            self.give_up_more(now, key);
        }
    }

    fn give_up_more(&mut self, now: Timestamp, key: Position) {
        let todo = self.not_moved(now, key, false);
        let Some((word, _)) = self.list_of(key) else {
            self.shards.folding.remove(&key);
            return;
        };
        let Some((_, into, mode)) = self.shards.folding.get(&key) else {
            return;
        };
        let (into, mode) = (*into, *mode);
        if todo.is_empty() {
            self.shards.folding.remove(&key);
            self.flip_gone(now, key);
            return;
        }
        let place = Place::Word(word.clone(), into);
        let moved = |todo: Todo| Todo {
            place: place.clone(),
            ..todo
        };
        let todo = todo.into_iter().map(moved).collect();
        let to = (into.key(&word), None);
        self.start_errand(now, (For::Fold(key), mode), to, todo, Vec::new());
    }

    pub(super) fn on_fold_errand(&mut self, now: Timestamp, key: Position, done: &Done) {
        let moved = |(_, why): &(Todo, Refusal)| matches!(why, Refusal::Invalid | Refusal::Full);
        if done.is_whole && done.refused.iter().all(moved) {
            self.give_up_more(now, key);
        } else {
            self.shards.folding.remove(&key);
            self.shards.by(now + RETRY_PAUSE);
        }
    }

    fn flip_gone(&mut self, now: Timestamp, key: Position) {
        if let Some((word, shard)) = self.list_of(key) {
            let mark = Mark {
                word,
                shard,
                epoch: self
                    .shelf
                    .mark(key)
                    .map_or(0, |mark| mark.epoch)
                    .saturating_add(1),
                state: ListState::Gone,
                count: 0,
            };
            self.shelf.put_mark(now, mark.clone());
            self.pass_on_mark(now, mark);
        }
    }
}
