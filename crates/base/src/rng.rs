//! Seeded randomness. Every core gets its own generator, forked from its
//! parent's, so that the same seed gives the same run.

pub use rand_chacha::ChaCha8Rng as Rng;
use std::ops::{Deref, DerefMut};

use rand_core::{Rng as _, SeedableRng as _};

/// The generator with this seed.
pub fn seeded_rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// A generator of its own for a child, derived from `parent`'s next output.
pub fn fork_rng(parent: &mut Rng) -> Rng {
    let mut seed = [0; 32];
    parent.fill_bytes(&mut seed);
    Rng::from_seed(seed)
}

/// A generator at rest: its seed, and how far it has come. An eighth of the
/// memory, for those of whom there may be very many and who draw seldom; each
/// [`wake`](Self::wake) that draws costs a tenth of a microsecond more.
#[derive(Debug, Clone)]
pub struct RestingRng {
    seed: [u8; 32],
    /// Words of 32 bits drawn so far.
    position: u64,
}

impl RestingRng {
    /// Goes on where `rng` is; draws the same numbers.
    pub fn new(rng: &Rng) -> Self {
        Self {
            seed: rng.get_seed(),
            position: drawn(rng),
        }
    }

    /// The generator itself, to draw from.
    pub fn wake(&mut self) -> AwakeRng<'_> {
        let mut rng = Rng::from_seed(self.seed);
        rng.set_word_pos(u128::from(self.position));
        AwakeRng { rng, at_rest: self }
    }
}

/// A [`RestingRng`] being drawn from. Goes back to rest when it is dropped.
#[derive(Debug)]
pub struct AwakeRng<'a> {
    rng: Rng,
    at_rest: &'a mut RestingRng,
}

impl Deref for AwakeRng<'_> {
    type Target = Rng;

    fn deref(&self) -> &Rng {
        &self.rng
    }
}

impl DerefMut for AwakeRng<'_> {
    fn deref_mut(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

impl Drop for AwakeRng<'_> {
    fn drop(&mut self) {
        self.at_rest.position = drawn(&self.rng);
    }
}

fn drawn(rng: &Rng) -> u64 {
    u64::try_from(rng.get_word_pos()).expect("nobody draws 2^64 words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_changes_no_number() {
        let mut never = seeded_rng(3);
        never.next_u32();
        let mut resting = RestingRng::new(&never);
        for round in 0..200 {
            let mut awake = resting.wake();
            for _ in 0..round % 7 {
                assert_eq!(awake.next_u64(), never.next_u64());
            }
            assert_eq!(awake.next_u32(), never.next_u32());
        }
    }

    #[test]
    fn forks_differ_and_repeat() {
        let mut parent = seeded_rng(1);
        let (mut a, mut b) = (fork_rng(&mut parent), fork_rng(&mut parent));
        assert_ne!(a.next_u64(), b.next_u64());
        let mut again = fork_rng(&mut seeded_rng(1));
        again.next_u64();
        assert_eq!(a.next_u64(), again.next_u64());
    }
}
