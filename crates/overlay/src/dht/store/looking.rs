//! Looking at the parts of a split list, and at what an own part is part of.

use gannet_base::{PeerId, Timestamp};

use super::around::Way;
use super::errand::For;
use super::requests::Purpose;
use super::shards::{FOLD_PART, Halves, Look, Seen, Why};
use super::{ListState, Mark, Mode, Position, Shard, Store, StoreMessage, Waiting, Word};

impl Store {
    pub(super) fn look_at(&mut self, now: Timestamp, look: Look) {
        let key = look.key();
        match self.known.way(now, &self.config, key) {
            Some(way) => self.on_poll_way(now, look, Some(way)),
            None => self.locate(key, Waiting::Poll(look)),
        }
    }

    pub(super) fn on_poll_way(&mut self, now: Timestamp, look: Look, way: Option<Way>) {
        let Some(owner) = way.and_then(|way| way.owners.into_iter().next()) else {
            self.on_seen(now, look, Seen::Nothing);
            return;
        };
        if look.why == Why::Half
            && let Some((halves, place)) = self.halves(&look)
        {
            halves.owners[place] = Some(owner.clone());
        }
        if owner.peer == self.me {
            let state = self.state_of(look.key(), look.shard);
            self.shelf.hear_of(look.key(), now);
            self.on_seen(now, look, Seen::State(state));
            return;
        }
        let (word, shard) = (look.word.clone(), look.shard);
        let message = |request| StoreMessage::Poll {
            request,
            word,
            shard,
        };
        self.request(now, &owner, Purpose::Poll(look), message);
    }

    fn halves(&mut self, look: &Look) -> Option<(&mut Halves, usize)> {
        let parent = look.shard.parent()?;
        let place = usize::from(parent.halves()?[1] == look.shard);
        let halves = self.shards.looking.get_mut(&parent.key(&look.word))?;
        Some((halves, place))
    }

    pub(super) fn state_of(&self, key: Position, shard: Shard) -> Option<(ListState, u32)> {
        let count = self.shelf.count(key);
        match self.shelf.mark(key) {
            Some(mark) if mark.state == ListState::Whole => Some((ListState::Whole, count)),
            Some(mark) => Some((mark.state, mark.count)),
            None if shard == Shard::ROOT || count > 0 => Some((ListState::Whole, count)),
            None => None,
        }
    }

    pub(super) fn on_poll(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        (word, shard): (&Word, Shard),
    ) {
        let key = shard.key(word);
        if !self.known.holds(key) || !self.may_ask(now, from) {
            return;
        }
        let state = self.state_of(key, shard);
        self.shelf.hear_of(key, now);
        let message = StoreMessage::Polled {
            request,
            state: state.map(|(state, _)| state),
            count: state.map_or(0, |(_, count)| count),
        };
        self.reply(from, message);
    }

    /// What somebody says of a list; nothing if it does not answer.
    pub(super) fn on_polled(
        &mut self,
        now: Timestamp,
        look: Look,
        state: Option<Option<(ListState, u32)>>,
    ) {
        let seen = state.map_or(Seen::Nothing, Seen::State);
        self.on_seen(now, look, seen);
    }

    fn on_seen(&mut self, now: Timestamp, look: Look, seen: Seen) {
        match look.why {
            Why::Half => {
                if let Some((halves, place)) = self.halves(&look) {
                    halves.seen[place] = Some(seen);
                }
                if let Some(parent) = look.shard.parent() {
                    self.on_halves(now, parent.key(&look.word));
                }
            }
            Why::Claim => {
                let exists = matches!(seen, Seen::State(Some((state, count)))
                    if state != ListState::Gone && count > 0);
                if let (true, Some(parent)) = (exists, look.shard.parent()) {
                    self.split(now, parent.key(&look.word));
                }
            }
            Why::Ancestor(of) => self.on_ancestor(now, look, of, &seen),
        }
    }

    /// Both halves have been looked at, or cannot be.
    fn on_halves(&mut self, now: Timestamp, key: Position) {
        let is_done = |halves: &Halves| halves.seen.iter().all(Option::is_some);
        if !self.shards.looking.get(&key).is_some_and(is_done) {
            return;
        }
        let Some(halves) = self.shards.looking.remove(&key) else {
            return;
        };
        let Some(mut mark) = self.shelf.mark(key).cloned() else {
            return;
        };
        let (ListState::Split { .. }, Some(shards)) = (mark.state, mark.shard.halves()) else {
            return;
        };
        self.shelf.hear_of(key, now);
        let (mut bits, mut count, mut all_whole) = (Shard::BITS_MAX, 0_u32, true);
        for (shard, seen) in shards.into_iter().zip(halves.seen.into_iter().flatten()) {
            let Seen::State(state) = seen else {
                // Not now.
                return;
            };
            let depth = match state {
                Some((ListState::Split { bits }, _)) => {
                    all_whole = false;
                    bits
                }
                Some((ListState::Whole, _)) => shard.bits(),
                Some((ListState::Gone, _)) | None => {
                    self.restore(now, &mark, shard);
                    shard.bits()
                }
            };
            bits = bits.min(depth);
            count = count.saturating_add(state.map_or(0, |(_, count)| count));
        }
        if all_whole && count <= self.config.list_max / FOLD_PART {
            self.fold(now, mark, count, halves.owners);
            return;
        }
        let state = ListState::Split { bits };
        if (mark.state, mark.count) != (state, count) {
            if mark.state != state {
                self.look_soon(now);
            }
            (mark.state, mark.count) = (state, count);
            self.shelf.put_mark(now, mark.clone());
            self.on_mark(now, &mark);
            self.pass_on_mark(now, mark);
        }
    }

    /// A half is lost: it begins anew.
    fn restore(&mut self, now: Timestamp, parent: &Mark, shard: Shard) {
        let mark = Mark {
            word: parent.word.clone(),
            shard,
            epoch: parent.epoch,
            state: ListState::Whole,
            count: 0,
        };
        let key = shard.key(&parent.word);
        let owner = (For::Parts(0), Mode::Create);
        self.start_errand(now, owner, (key, None), Vec::new(), vec![mark]);
    }
}
