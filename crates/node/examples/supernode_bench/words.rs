//! What the files are called.

use gannet_base::{Rng, seeded_rng};
use rand_core::Rng as _;

/// Different words of all paths.
const WORDS: usize = 8_000;
/// The word of rank n is drawn in proportion to n to the minus this.
const ZIPF: f64 = 0.8;

/// The words of all paths, and how they are drawn.
pub(crate) struct Vocabulary {
    sums: Vec<f64>,
}

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=u32::try_from(WORDS).expect("some thousand"))
            .map(|rank| {
                sum += f64::from(rank).powf(-ZIPF);
                sum
            })
            .collect();
        Self { sums }
    }

    /// The rank of a word.
    fn draw(&self, rng: &mut Rng) -> usize {
        let all = self.sums[WORDS - 1];
        let at = f64::from(rng.next_u32()) / f64::from(u32::MAX) * all;
        self.sums.partition_point(|sum| *sum < at).min(WORDS - 1)
    }

    /// The words of a file: two to five different ones, by rank.
    pub(crate) fn file(&self, number: u64) -> Vec<usize> {
        let mut rng = seeded_rng(number);
        let count = 2 + below(&mut rng, 4);
        let mut words = Vec::new();
        while words.len() < count {
            let word = self.draw(&mut rng);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

pub(crate) fn below(rng: &mut Rng, bound: usize) -> usize {
    let number = rng.next_u64() % bound as u64;
    usize::try_from(number).expect("less than the bound")
}

/// A word that can be spoken: two syllables of its own and one that many share.
pub(crate) fn word(rank: usize) -> String {
    let syllable = |number: usize| {
        let consonant = b"bcdfghjklmnprstvwxyz"[number % 20];
        let vowel = b"aeiou"[number / 20 % 5];
        [char::from(consonant), char::from(vowel)]
    };
    let parts = [rank % 100, rank / 100, rank % 7];
    parts.into_iter().flat_map(syllable).collect()
}

pub(crate) fn path(words: &[usize]) -> String {
    const KINDS: [(&str, &str); 5] = [
        ("Music", "flac"),
        ("Films", "mkv"),
        ("Books", "epub"),
        ("Pictures", "jpg"),
        ("Software", "zip"),
    ];
    let (folder, extension) = KINDS[words[0] % KINDS.len()];
    let words: Vec<String> = words.iter().map(|rank| word(*rank)).collect();
    // Longer names have a folder for the first two.
    let (above, name) = words.split_at(if words.len() > 3 { 2 } else { 0 });
    let above = if above.is_empty() {
        String::new()
    } else {
        above.join(" ") + "/"
    };
    format!("{folder}/{above}{}.{extension}", name.join(" "))
}
