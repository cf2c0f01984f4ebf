//! One number that stands for everything that happened.

/// A running hash over events. The order matters; a single difference changes
/// it. Not meant to withstand anybody who wants two runs to look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Adds an event of two words.
    pub fn add(&mut self, first: u64, second: u64) {
        // Source: the multiplier of FxHash, with a turn between the words.
        const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
        self.0 = (self.0.rotate_left(5) ^ first).wrapping_mul(FACTOR);
        self.0 = (self.0.rotate_left(5) ^ second).wrapping_mul(FACTOR);
    }

    /// The hash so far.
    pub fn value(self) -> u64 {
        mixed(self.0)
    }
}

/// Spreads the bits of a number over all of them; one to one.
// Source: the finisher of splitmix64 (Steele, Lea, Flood 2014).
pub(crate) const fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_every_bit_count() {
        let of = |events: &[(u64, u64)]| {
            let mut print = Fingerprint::default();
            for (first, second) in events {
                print.add(*first, *second);
            }
            print.value()
        };
        let value = of(&[(1, 2), (3, 4)]);
        assert_eq!(value, of(&[(1, 2), (3, 4)]));
        for other in [
            of(&[(3, 4), (1, 2)]),
            of(&[(1, 2), (3, 5)]),
            of(&[(1, 2)]),
            of(&[(1, 2), (3, 4), (0, 0)]),
        ] {
            assert_ne!(value, other);
        }
    }
}
