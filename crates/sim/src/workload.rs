//! What peers share and ask for.
//!
//! **Problem.** A few things are asked for often and most rarely, and names
//! share their common words: a uniform workload flatters every search.
//!
//! **Goals.** Popularity after Zipf, drawn exactly and at the same cost for any
//! number of things; file names whose words are as unevenly common, each name
//! different.

use gannet_base::Rng;

use crate::draw::{self, place, unit};

/// Zipf's law: the thing of rank i (from 0) is drawn in proportion to
/// (i + 1)^-exponent. A draw takes the same time however many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Zipf {
    exponent: f64,
    /// The sum of all weights.
    total: f64,
    /// For each place: how much of it belongs to it.
    own: Vec<f64>,
    /// For each place: whom the rest of it belongs to.
    other: Vec<u32>,
}

impl Zipf {
    /// Zipf's law over so many ranks; exponent 0 makes all equally likely.
    ///
    /// # Panics
    ///
    /// If there is no rank, or the exponent is negative or no number.
    // Source: Vose, A linear algorithm for generating random numbers with a
    // given distribution, IEEE TSE 17 (1991).
    pub fn new(ranks: u32, exponent: f64) -> Self {
        assert!(ranks > 0 && exponent >= 0.0, "{ranks} ranks, {exponent}");
        let weights: Vec<f64> = (1..=ranks)
            .map(|rank| f64::from(rank).powf(-exponent))
            .collect();
        // Small ones first: no digits are lost.
        let total: f64 = weights.iter().rev().sum();
        let mut own: Vec<f64> = weights
            .iter()
            .map(|weight| weight * f64::from(ranks) / total)
            .collect();
        let mut other: Vec<u32> = (0..ranks).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..ranks).partition(|rank| own[*rank as usize] < 1.0);
        while let (Some(less), Some(more)) = (small.pop(), large.last().copied()) {
            other[less as usize] = more;
            own[more as usize] -= 1.0 - own[less as usize];
            if own[more as usize] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        // What is left over is whole but for rounding.
        for rank in small.into_iter().chain(large) {
            own[rank as usize] = 1.0;
        }
        Self {
            exponent,
            total,
            own,
            other,
        }
    }

    /// A rank, from 0.
    pub fn sample(&self, rng: &mut Rng) -> u32 {
        let place = place(rng, self.own.len());
        if unit(rng) < self.own[place] {
            u32::try_from(place).expect("there are at most 2^32 ranks")
        } else {
            self.other[place]
        }
    }

    /// The share of the draws that this rank gets; 0 if there is no such rank.
    pub fn share(&self, rank: u32) -> f64 {
        if (rank as usize) < self.own.len() {
            (f64::from(rank) + 1.0).powf(-self.exponent) / self.total
        } else {
            0.0
        }
    }
}

/// How many copies each of `files` files has: `mean` on average, rounded so
/// that the sum is right, at least one each.
///
/// Copies follow popularity as a power of it: `exponent` 0 spreads them
/// evenly, 1 in proportion to popularity (as owners make them), 0.5 by its
/// square root (which costs searches least).
// Source: Cohen and Shenker, Replication strategies, SIGCOMM 2002.
pub fn copies(popularity: &Zipf, files: u32, mean: f64, exponent: f64) -> Vec<u32> {
    let weights: Vec<f64> = (0..files)
        .map(|file| popularity.share(file).powf(exponent))
        .collect();
    let weight: f64 = weights.iter().rev().sum();
    let total = f64::from(files) * mean.max(1.0);
    // One each, and the rest by weight; what rounding leaves is carried on.
    let rest = total - f64::from(files);
    let mut carried = 0.0;
    weights
        .iter()
        .map(|part| {
            let wanted = rest * part / weight + carried;
            let given = wanted.round().max(0.0);
            carried = wanted - given;
            u32::try_from(draw::whole(given)).map_or(u32::MAX, |given| given.saturating_add(1))
        })
        .collect()
}

/// The word of this rank in an invented language: pronounceable, lower case,
/// each rank a different one, common words short.
pub fn word(rank: u32) -> String {
    const CONSONANTS: [char; 16] = [
        'b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z',
    ];
    const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
    // Numbers in base 80, one syllable a digit, at least two syllables.
    let mut rest = rank as usize;
    let mut word = String::new();
    while rest > 0 || word.len() < 4 {
        let digit = rest % 80;
        rest /= 80;
        word.push(CONSONANTS[digit / 5]);
        word.push(VOWELS[digit % 5]);
    }
    word
}

/// Makes file names of words whose commonness follows Zipf.
#[derive(Debug, Clone)]
pub struct Names {
    words: Zipf,
}

impl Names {
    /// Names from a vocabulary of so many words, whose ranks follow Zipf with
    /// this exponent.
    ///
    /// # Panics
    ///
    /// As [`Zipf::new`].
    pub fn new(words: u32, exponent: f64) -> Self {
        Self {
            words: Zipf::new(words, exponent),
        }
    }

    /// A path: a folder of one word, then three words and the file's number,
    /// which makes it the only one: `goba/dute lika fuma 17.mp3`.
    pub fn file_name(&self, file: u32, rng: &mut Rng) -> String {
        let mut next = || word(self.words.sample(rng));
        let (artist, one, two, three) = (next(), next(), next(), next());
        format!("{artist}/{one} {two} {three} {file}.mp3")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gannet_base::seeded_rng;
    use proptest::prelude::*;

    use super::*;
    use crate::stats;

    #[test]
    fn popularity_follows_zipf() {
        for exponent in [0.0, 0.82, 1.0, 1.2, 2.4] {
            let zipf = Zipf::new(1_000, exponent);
            let total: f64 = (0..1_000).map(|rank| zipf.share(rank)).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            assert_eq!(zipf.share(1_000), 0.0);
            let mut rng = seeded_rng(3);
            let mut counts = vec![0_u64; 1_000];
            let draws: u64 = 200_000;
            for _ in 0..draws {
                counts[zipf.sample(&mut rng) as usize] += 1;
            }
            for rank in [0_u32, 1, 9, 99, 999] {
                let (found, share) = (counts[rank as usize], zipf.share(rank));
                let found = stats::share(found, draws);
                // Five standard deviations, and one draw.
                let room = 5.0 * (share / 200_000.0).sqrt() + 5e-6;
                assert!(
                    (found - share).abs() < room,
                    "{exponent} {rank}: {found} {share}"
                );
            }
        }
        // Tsoumakos and Roussopoulos: with 0.82 the top tenth of 100 objects
        // gets some 30 per cent or more.
        let zipf = Zipf::new(100, 0.82);
        let head: f64 = (0..10).map(|rank| zipf.share(rank)).sum();
        assert!((0.3..0.5).contains(&head), "{head}");
    }

    /// The table gives every rank exactly its share.
    #[test]
    fn the_table_is_exact() {
        for exponent in [0.0, 0.5, 1.0, 3.0] {
            let zipf = Zipf::new(257, exponent);
            let mut mass = vec![0.0; 257];
            for (place, own) in zipf.own.iter().enumerate() {
                mass[place] += own / 257.0;
                mass[zipf.other[place] as usize] += (1.0 - own) / 257.0;
            }
            for (rank, mass) in (0_u32..).zip(mass) {
                assert!((mass - zipf.share(rank)).abs() < 1e-12, "{rank}");
            }
        }
    }

    #[test]
    fn words_and_names_are_different() {
        let words: BTreeSet<String> = (0..100_000).map(word).collect();
        assert_eq!(words.len(), 100_000);
        assert!(words.iter().all(|word| (4..=8).contains(&word.len())));
        let names = Names::new(1_000, 1.0);
        let mut rng = seeded_rng(4);
        let all: BTreeSet<String> = (0..1_000).map(|n| names.file_name(n, &mut rng)).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.iter().all(|name| name.ends_with(".mp3")));
    }

    proptest! {
        #[test]
        fn copies_add_up(
            files in 1_u32..300,
            mean in 1.0_f64..50.0,
            exponent in prop::sample::select(vec![0.0, 0.5, 1.0]),
        ) {
            let copies = copies(&Zipf::new(files, 0.9), files, mean, exponent);
            let total: u32 = copies.iter().sum();
            prop_assert!((f64::from(total) - f64::from(files) * mean).abs() <= 1.0);
            prop_assert!(copies.iter().all(|copies| *copies >= 1));
            let falls = copies.windows(2).all(|two| two[0] + 1 >= two[1]);
            prop_assert!(falls, "{:?}", copies);
        }
    }
}
