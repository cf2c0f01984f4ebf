//! Which words are known to be split, so that nobody need ask the node that
//! holds such a word's own key.

use std::collections::BTreeMap;

use gannet_base::Timestamp;

use super::Config;
use super::message::{HINTS_MAX, Hint};
use super::record::{Shard, Word};

/// Words told of with an answer beyond those that it is about.
// Guess: a hundred bytes; after ten answers the commonest hundred words are known.
const GOSSIP_MAX: usize = 8;

#[derive(Debug)]
struct Known {
    bits: u8,
    count: u32,
    until: Timestamp,
    /// It is not only hearsay.
    is_proven: bool,
}

/// Words known to be split. Learnt from those that publish and search, who tell a few
/// with every answer; wrong ones are noticed where they lead to, and only what has
/// proven right is passed on: else all would ask the few nodes that hold the own keys
/// of the commonest words.
#[derive(Debug, Default)]
pub(super) struct Hints {
    words: BTreeMap<Word, Known>,
}

impl Hints {
    /// Bits and entries of a split word; nothing if it is not known to be split.
    pub(super) fn find(&self, now: Timestamp, word: &Word) -> Option<(u8, u32)> {
        let known = self.words.get(word).filter(|known| known.until > now)?;
        Some((known.bits, known.count))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// A word is split, as who has its own key says.
    pub(super) fn learn(&mut self, now: Timestamp, config: &Config, hint: Hint) {
        self.put(now, config, hint, true);
    }

    /// A word is split, as somebody says.
    pub(super) fn hear(&mut self, now: Timestamp, config: &Config, hint: Hint) {
        match self.find(now, &hint.word) {
            None => self.put(now, config, hint, false),
            // A list grows by one bit at a time: more cannot be talked into it.
            Some((bits, _)) if hint.bits > bits => self.move_to(&hint.word, bits + 1),
            Some(_) => {}
        }
    }

    /// It led to a part that is whole: others are about as deep.
    pub(super) fn prove(&mut self, word: &Word, part: Shard) {
        if let Some(known) = self.words.get_mut(word) {
            known.is_proven = true;
        }
        self.move_to(word, part.bits());
    }

    /// A part is itself in parts.
    pub(super) fn deepen(&mut self, word: &Word, part: Shard) {
        let known = self.words.get(word).map(|known| known.bits);
        if known.is_some_and(|bits| bits <= part.bits()) {
            self.move_to(word, part.bits() + 1);
        }
    }

    /// There is no such part: the list is not split so far there, and may have fewer entries.
    pub(super) fn lift(&mut self, word: &Word, part: Shard) {
        if let Some(known) = self.words.get_mut(word) {
            known.count = 0;
        }
        self.move_to(word, part.bits().saturating_sub(1));
    }

    fn move_to(&mut self, word: &Word, bits: u8) {
        if bits == 0 {
            self.words.remove(word);
        } else if let Some(known) = self.words.get_mut(word) {
            known.bits = bits.min(Shard::BITS_MAX);
        }
    }

    fn put(&mut self, now: Timestamp, config: &Config, hint: Hint, is_proven: bool) {
        if hint.bits == 0 || config.hints_max == 0 {
            return;
        }
        if self.words.len() >= config.hints_max && !self.words.contains_key(&hint.word) {
            // The shortest list is the least harm.
            let least = self.words.iter().min_by_key(|(_, known)| {
                let is_over = known.until <= now;
                (!is_over, known.bits, known.count)
            });
            if let Some(word) = least.map(|(word, _)| word.clone()) {
                self.words.remove(&word);
            }
        }
        let known = Known {
            bits: hint.bits.min(Shard::BITS_MAX),
            count: hint.count,
            until: now + config.hint_life,
            is_proven,
        };
        self.words.insert(hint.word, known);
    }

    /// It is not.
    pub(super) fn forget(&mut self, word: &Word) {
        self.words.remove(word);
    }

    /// What is known of some words, for others; each word once.
    pub(super) fn of<'a>(&self, now: Timestamp, words: impl Iterator<Item = &'a str>) -> Vec<Hint> {
        let mut hints: Vec<Hint> = Vec::new();
        if self.words.is_empty() {
            return hints;
        }
        for text in words {
            if hints.len() >= HINTS_MAX {
                break;
            }
            let word = Word::from(text);
            if hints.iter().any(|hint| hint.word == word) {
                continue;
            }
            let known = self.words.get(&word);
            if let Some(known) = known.filter(|known| known.until > now && known.is_proven) {
                let (bits, count) = (known.bits, known.count);
                hints.push(Hint { word, bits, count });
            }
        }
        hints
    }

    /// Adds some, chosen by a number, for whoever may need them. Half are of the commonest:
    /// else those who do not know of them would be a burden for who has their own keys.
    pub(super) fn gossip(&self, now: Timestamp, from: usize, hints: &mut Vec<Hint>) {
        let proven = self.words.iter();
        let proven = proven.filter(|(_, known)| known.until > now && known.is_proven);
        let proven: Vec<(&Word, &Known)> = proven.collect();
        let mut common = proven.clone();
        common.sort_by_key(|(_, known)| std::cmp::Reverse((known.bits, known.count)));
        common.truncate(GOSSIP_MAX);
        let some = |all: &Vec<(&Word, &Known)>| from % all.len().max(1);
        let (first, other) = (some(&common), some(&proven));
        let common = common.iter().cycle().skip(first).take(common.len());
        let others = proven.iter().cycle().skip(other).take(proven.len());
        let both = common
            .take(GOSSIP_MAX / 2)
            .chain(others.take(GOSSIP_MAX / 2));
        for &(word, known) in both {
            if hints.len() < HINTS_MAX && hints.iter().all(|hint| hint.word != *word) {
                hints.push(Hint {
                    word: word.clone(),
                    bits: known.bits,
                    count: known.count,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_follows_what_is_met() {
        let (mut hints, config) = (Hints::default(), Config::default());
        let (word, now) = (Word::from("potter"), Timestamp::from_secs(1));
        let hint = |bits: u8| Hint {
            word: word.clone(),
            bits,
            count: 900,
        };
        let part = |bits: u8| Shard::of(gannet_base::ContentId::of(b"x"), bits);
        let bits = |hints: &Hints| hints.find(now, &word).map(|(bits, _)| bits);
        hints.deepen(&word, part(3));
        assert_eq!(bits(&hints), None, "of what is not known nothing is learnt");
        hints.hear(now, &config, hint(2));
        assert_eq!(bits(&hints), Some(2));
        hints.hear(now, &config, hint(9));
        assert_eq!(bits(&hints), Some(3), "not talked into more");
        hints.hear(now, &config, hint(1));
        assert_eq!(bits(&hints), Some(3));
        hints.deepen(&word, part(2));
        assert_eq!(bits(&hints), Some(3), "it knew");
        hints.deepen(&word, part(3));
        assert_eq!(bits(&hints), Some(4));
        assert!(hints.of(now, ["potter"].into_iter()).is_empty(), "hearsay");
        hints.prove(&word, part(5));
        assert_eq!(hints.of(now, ["potter"].into_iter()), [hint(5)]);
        hints.lift(&word, part(2));
        assert_eq!(bits(&hints), Some(1));
        let found = hints.find(now, &word);
        assert_eq!(found, Some((1, 0)), "nor are there as many entries");
        hints.lift(&word, part(1));
        assert_eq!((bits(&hints), hints.len()), (None, 0));
    }

    #[test]
    fn the_commonest_words_are_told_of_more_than_others() {
        let (mut hints, config) = (Hints::default(), Config::default());
        let now = Timestamp::from_secs(1);
        for n in 0..100_u8 {
            let bits = if n % 12 == 0 { 7 } else { 1 };
            let word = Word::from(format!("word{n}").as_str());
            hints.learn(
                now,
                &config,
                Hint {
                    word,
                    bits,
                    count: 200,
                },
            );
        }
        for from in 0..50 {
            let mut told = Vec::new();
            hints.gossip(now, from, &mut told);
            let common = told.iter().filter(|hint| hint.bits == 7).count();
            assert!(common >= GOSSIP_MAX / 2, "{told:?}");
            assert!(told.len() > GOSSIP_MAX / 2, "and others");
        }
    }
}
