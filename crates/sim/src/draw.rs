//! Draws from a seeded generator: uniform numbers, and lists shuffled.

use gannet_base::Rng;
use rand_core::Rng as _;

/// A number from 0 (included) to 1 (excluded), a multiple of 2^-53.
pub fn unit(rng: &mut Rng) -> f64 {
    // 53 bits fit an f64 exactly.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are kept")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / 9_007_199_254_740_992.0
}

/// A number above 0 and at most 1, fit for a logarithm.
pub fn unit_above_zero(rng: &mut Rng) -> f64 {
    1.0 - unit(rng)
}

/// A whole number below `bound`, each equally likely.
///
/// # Panics
///
/// If `bound` is 0.
pub fn below(rng: &mut Rng, bound: u64) -> u64 {
    assert!(bound > 0, "there is no number below 0");
    // Lemire's method: multiply, and reject the few that would be too likely.
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        let low = product & u128::from(u64::MAX);
        if low >= u128::from(threshold) {
            return u64::try_from(product >> 64).expect("the upper half has 64 bits");
        }
    }
}

/// As [`below`], for places in a list of `length`.
///
/// # Panics
///
/// If `length` is 0.
pub fn place(rng: &mut Rng, length: usize) -> usize {
    let place = below(rng, length as u64);
    usize::try_from(place).expect("it is below a usize")
}

/// Puts a list into a random order, each equally likely.
pub fn shuffle<T>(rng: &mut Rng, list: &mut [T]) {
    for end in (1..list.len()).rev() {
        list.swap(end, place(rng, end + 1));
    }
}

/// The whole number nearest to `value`; 0 for what is negative or no number,
/// the largest for what is too large.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, which is what is said above"
)]
pub fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;

    #[test]
    fn every_number_is_equally_likely() {
        let mut rng = seeded_rng(1);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[place(&mut rng, 7)] += 1;
        }
        // Six times the standard deviation of about 93.
        assert!(
            counts.iter().all(|c| c.abs_diff(10_000) < 560),
            "{counts:?}"
        );
        assert_eq!(below(&mut rng, 1), 0);
        let mean = (0..10_000).map(|_| unit(&mut rng)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..1_000).all(|_| unit_above_zero(&mut rng) > 0.0));
    }

    #[test]
    fn a_shuffled_list_has_the_same_things_anywhere() {
        let mut rng = seeded_rng(2);
        let mut firsts = [0_u32; 5];
        for _ in 0..5_000 {
            let mut list = [0, 1, 2, 3, 4];
            shuffle(&mut rng, &mut list);
            firsts[list[0]] += 1;
            list.sort_unstable();
            assert_eq!(list, [0, 1, 2, 3, 4]);
        }
        assert!(firsts.iter().all(|c| c.abs_diff(1_000) < 180), "{firsts:?}");
    }

    #[test]
    fn rounding_saturates() {
        for (value, number) in [(2.5, 3), (-1.0, 0), (f64::NAN, 0), (1e30, u64::MAX)] {
            assert_eq!(whole(value), number, "{value}");
        }
    }
}
