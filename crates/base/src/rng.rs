//! Seeded randomness. Every core gets its own generator, forked from its
//! parent's, so that the same seed gives the same run.

pub use rand_chacha::ChaCha8Rng as Rng;
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

#[cfg(test)]
mod tests {
    use super::*;

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
