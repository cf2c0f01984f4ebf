//! Which word's list a search reads. Every match is in the list of each word that all
//! matches have, so one of them is enough, and the shortest costs least.
//!
//! Lists that are not known to be in parts are asked for themselves: first that of the
//! word that seems rarest, which is mostly whole and answers everything. If it is not,
//! those of the others are asked for at once: one after the other they would take a good
//! part of the time that a search has. If all are in parts, the one with the fewest is
//! read, part by part.

use std::cmp::Reverse;

use gannet_base::{Rng, Timestamp};

use super::legs::{Outcome, shuffle};
use super::publish::COMMON;
use super::search::OwnSearch;
use super::{Hint, Place, Shard, Store, Word};
use crate::dht::api::RequestId;

/// Words whose own lists are asked for at once, when the first did not answer everything.
// Guess: queries have a few words.
const ROOTS_MAX: usize = 2;
/// A list with so few parts (2^bits) is read rather than that another one is asked for.
const FEW_BITS: u8 = 2;
/// Parts that are read at first where the number of parts is certain.
// Guess: what they say comes a round trip sooner than if one were asked first.
const FIRST_PARTS: usize = 4;
/// Times that a search turns to another word.
// Guess: each of some words is known wrongly once or twice.
const TURNS_MAX: u8 = 8;

/// Which word's list is read, of one alternative of a query.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Words not tried yet, each with how common it seems; the rarest last.
    words: Vec<(usize, Word)>,
    /// Words whose own lists were asked for.
    roots_begun: usize,
    /// Those that did not answer everything.
    roots_ended: usize,
    /// Of these, those that are split.
    fresh: Vec<Word>,
    /// A list that was whole was read: it has all answers.
    is_answered: bool,
    /// Words that are split, but for the one that is read in parts: bits, and entries. What
    /// has most parts costs most.
    split: Vec<(u8, u32, Word)>,
    turns: u8,
    /// Entries of the one that is read in parts, as far as is known.
    total: u32,
    /// It was asked for in this search, so that is as things are.
    is_fresh: bool,
    met: Met,
}

impl Choice {
    /// How many parts are read at first: one, lest what is known of them is wrong and they are
    /// read for nothing; more of a list that has just been asked for in a search for several
    /// words, of which few entries have all.
    pub(super) fn first_parts(&self) -> usize {
        if self.is_fresh && self.roots_begun > 1 {
            FIRST_PARTS
        } else {
            1
        }
    }

    /// The next word whose own list is worth asking for: not if another one is known to be in
    /// a few parts only, nor if the word seems to be so common that its list is in parts as
    /// well: else everybody would ask the few nodes that have the own keys of such words.
    fn next_root(&mut self, part_max: u32) -> Option<Word> {
        let is_short = |(_, count, word): &(u8, u32, Word)| {
            self.fresh.contains(word) && likely_depth(*count, part_max) <= FEW_BITS
        };
        if self.split.iter().any(is_short) {
            return None;
        }
        let (common, _) = self.words.last()?;
        if *common >= COMMON && !self.split.is_empty() {
            return None;
        }
        self.words.pop().map(|(_, word)| word)
    }
}

/// What was met at one depth of a list in parts, to tell how many entries others there have.
#[derive(Debug, Default)]
struct Met {
    bits: u8,
    /// How many were met, and their entries.
    parts: u64,
    entries: u64,
}

/// What is known of a list counts as much as so many of its parts: those that are met in
/// parts themselves have more entries than the others.
const KNOWN_COUNTS: u64 = 2;

impl Met {
    /// One more, with so many entries. Whether the others as deep are likely to have more than
    /// they may: as far as is known there are `total` in the whole list, 0 if nothing is.
    fn add(&mut self, part: Shard, count: u32, (total, part_max): (u32, u32)) -> bool {
        let bits = part.bits();
        if self.bits != bits {
            let known = match u64::from(total) >> bits {
                0 => u64::from(part_max),
                mean => mean,
            };
            *self = Self {
                bits,
                parts: KNOWN_COUNTS,
                entries: known * KNOWN_COUNTS,
            };
        }
        self.parts += 1;
        self.entries += u64::from(count);
        self.entries > likely_max(part_max) * self.parts
    }
}

impl OwnSearch {
    /// A list in parts turns out to have more of them than was known. Whether the search
    /// turns to another word's: one that seems to have fewer, while nothing has been read.
    // Measured: with 2,000 peers, many who had known for long that the commonest words are
    // in two parts read the hundreds that they were in by then.
    fn turns(&mut self, word: &Word, (bits, count): (u8, u32), part_max: u32) -> bool {
        let choice = &mut self.choice;
        let has_fewer = |other: &(u8, u32, Word)| depth(other, part_max) < bits;
        let is_begun = self.parts_read > 0 || !self.legs.is_empty();
        if is_begun || choice.turns >= TURNS_MAX || !choice.split.iter().any(has_fewer) {
            return false;
        }
        choice.turns += 1;
        choice.split.push((bits, count, word.clone()));
        self.parts.clear();
        self.visited.clear();
        self.divided.clear();
        true
    }

    /// A part of a list is in parts itself: those are read in its place, and where others as
    /// deep are likely to be in parts too, theirs at once.
    fn divide(
        &mut self,
        rng: &mut Rng,
        (word, part): (&Word, Shard),
        (bits, count): (u8, u32),
        part_max: u32,
    ) {
        self.divided.insert(part);
        // A part that was visited before this one was lost.
        let mut parts = part.parts(bits);
        self.is_partial |= parts.any(|part| self.visited.contains(&part));
        let mut deeper: Vec<(Word, Shard)> = Vec::new();
        let below = |part: Shard| part.parts(bits).map(|part| (word.clone(), part));
        deeper.extend(below(part));
        let known = (self.choice.total, part_max);
        if self.choice.met.add(part, count, known) {
            for (word, other) in std::mem::take(&mut self.parts) {
                if other.bits() == part.bits() {
                    deeper.extend(below(other));
                } else {
                    self.parts.push_back((word, other));
                }
            }
            shuffle(rng, &mut deeper);
        }
        self.parts.extend(deeper);
    }
}

impl Store {
    /// Entries that a part of a list has at most.
    fn part_max(&self) -> u32 {
        self.config.part_max.min(self.config.list_max)
    }

    /// Every match has these words, or is of another alternative.
    pub(super) fn begin_words(&mut self, now: Timestamp, id: RequestId, words: Vec<Word>) {
        let mut split = Vec::new();
        let mut guesses: Vec<(usize, Reverse<usize>, Word)> = Vec::new();
        for word in words {
            match self.hints.find(now, &word) {
                Some((bits, count)) => split.push((bits, count, word)),
                None => {
                    let length = Reverse(word.text().chars().count());
                    guesses.push((self.frequency(&word), length, word));
                }
            }
        }
        guesses.sort_unstable();
        let words = guesses.into_iter().rev();
        let words = words.map(|(common, _, word)| (common, word));
        if let Some(search) = self.searches.get_mut(&id) {
            search.choice = Choice {
                words: words.collect(),
                split,
                ..Choice::default()
            };
        }
        self.next_word(now, id);
    }

    /// Asks for the lists of the next words, or reads the parts of a split one.
    fn next_word(&mut self, now: Timestamp, id: RequestId) {
        let part_max = self.part_max();
        loop {
            let Some(search) = self.searches.get_mut(&id) else {
                return;
            };
            let choice = &mut search.choice;
            let most = if choice.roots_ended == 0 {
                1
            } else {
                ROOTS_MAX
            };
            if choice.is_answered || search.legs.len() >= most {
                return;
            }
            let Some(word) = choice.next_root(part_max) else {
                break;
            };
            choice.roots_begun += 1;
            let place = Place::Word(word.clone(), Shard::ROOT);
            // It may be over at once, with all that follows.
            self.start_leg(now, id, (place, Shard::ROOT.key(&word)));
        }
        self.choose_split(id);
    }

    /// Of the words that are split, if all are, the one with the fewest parts.
    fn choose_split(&mut self, id: RequestId) {
        let part_max = self.part_max();
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        if !search.legs.is_empty() || !search.parts.is_empty() {
            return;
        }
        let choice = &mut search.choice;
        let key = |place: &usize| {
            let known = &choice.split[*place];
            (depth(known, part_max), known)
        };
        let Some(best) = (0..choice.split.len()).min_by_key(key) else {
            // Of no word anybody was sure to have all.
            search.is_partial = true;
            return;
        };
        let known = choice.split.swap_remove(best);
        let bits = known.0.max(likely_depth(known.1, part_max));
        let word = known.2;
        choice.total = known.1;
        choice.is_fresh = choice.fresh.contains(&word);
        choice.met = Met::default();
        let mut parts: Vec<Shard> = Shard::ROOT.parts(bits).collect();
        shuffle(&mut self.rng, &mut parts);
        search.parts = parts.into_iter().map(|part| (word.clone(), part)).collect();
    }

    /// A list was read as far as it could be.
    pub(super) fn on_leg_done(
        &mut self,
        now: Timestamp,
        id: RequestId,
        place: &Place,
        outcome: Outcome,
    ) {
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let Place::Word(word, shard) = place else {
            search.is_partial |= outcome != Outcome::Read;
            return;
        };
        if *shard == Shard::ROOT && !search.visited.contains(shard) {
            self.on_root_done(now, id, word, outcome);
        } else {
            self.on_part_done(now, id, (word, *shard), outcome);
        }
    }

    /// The list of a word that was asked for as a whole.
    fn on_root_done(&mut self, now: Timestamp, id: RequestId, word: &Word, outcome: Outcome) {
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        search.choice.roots_ended += 1;
        match outcome {
            Outcome::Read => {
                // It answers all that there is to ask.
                search.choice.is_answered = true;
                let others = std::mem::take(&mut search.legs);
                self.give_up_legs(others);
                return;
            }
            Outcome::Split { bits, count } => {
                let (bits, word) = (bits.max(1), word.clone());
                search.choice.split.push((bits, count, word.clone()));
                search.choice.fresh.push(word.clone());
                let hint = Hint { word, bits, count };
                self.hints.learn(now, &self.config, hint);
            }
            // The list of another word may have everything.
            Outcome::NoShard | Outcome::Unsure | Outcome::Failed => {}
        }
        self.next_word(now, id);
    }

    /// A part of the list that is read in parts.
    fn on_part_done(
        &mut self,
        now: Timestamp,
        id: RequestId,
        (word, shard): (&Word, Shard),
        outcome: Outcome,
    ) {
        let part_max = self.part_max();
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        match outcome {
            Outcome::Read => {
                search.parts_read += 1;
                // As parts are: of those that were just split, and those that soon will be.
                let known = (search.choice.total, part_max);
                search.choice.met.add(shard, part_max / 4 * 3, known);
                self.hints.prove(word, shard);
            }
            Outcome::Split { bits, count } => {
                let bits = bits.max(shard.bits() + likely_depth(count, part_max).max(1));
                self.hints.deepen(word, shard);
                if search.turns(word, (bits, 0), part_max) {
                    self.next_word(now, id);
                } else {
                    search.divide(&mut self.rng, (word, shard), (bits, count), part_max);
                }
            }
            Outcome::NoShard => {
                // It is whole further up, or was lost.
                match shard.parent() {
                    Some(parent) if search.divided.contains(&parent) => search.is_partial = true,
                    Some(parent) if !search.visited.contains(&parent) => {
                        let is_below = |part: Shard| part.ancestor(parent.bits()) == parent;
                        search.parts.retain(|(_, part)| !is_below(*part));
                        search.parts.push_front((word.clone(), parent));
                    }
                    Some(_) => {}
                    None => search.is_partial = true,
                }
                self.hints.lift(word, shard);
            }
            Outcome::Unsure | Outcome::Failed => search.is_partial = true,
        }
    }
}

/// In how many parts a list is at least, as bits. What is known of it may be from its beginning,
/// when it had more entries than its parts can hold.
// Measured: with `likely_depth` in its place the busiest of 10,000 peers serves 3.3 times
// the mean, not 3.1 times (`search_speed 10000 6000 10 dht 0`).
fn depth((bits, count, _): &(u8, u32, Word), part_max: u32) -> u8 {
    let parts = count / part_max.max(1);
    let bits_at_least = parts.checked_ilog2().unwrap_or(0);
    bits_at_least
        .max((*bits).into())
        .try_into()
        .unwrap_or(*bits)
}

/// Entries that a part of a list may have on average, if most are to be whole: what one part
/// may have, and a fifth.
// With ten copies of each content, as in the laboratory, two of three parts are too long from
// there on; asking for what is in parts costs one question, for what is whole further up one
// and a half.
fn likely_max(part_max: u32) -> u64 {
    u64::from(part_max) * 6 / 5
}

/// In how many parts a list with so many entries mostly is, as bits.
fn likely_depth(count: u32, part_max: u32) -> u8 {
    let fits = |bits: &u8| u64::from(count) >> *bits <= likely_max(part_max);
    let least = (0..Shard::BITS_MAX).find(fits);
    least.unwrap_or(Shard::BITS_MAX)
}

#[cfg(test)]
mod tests;
