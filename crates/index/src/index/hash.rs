//! The hash of the tables.
//!
//! Words, folders and content ids come from strangers, who could choose them
//! so that they collide if they knew the hash; so it is keyed with
//! [`Config::hash_seed`](crate::Config::hash_seed). Nothing is ever done in the
//! order of a table, so the key changes no result.

/// A keyed hash: folded multiplication, eight bytes at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher {
    start: u64,
    factor: u64,
}

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        // Two numbers out of one: splitmix64.
        let step = |number: u64| {
            let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        let golden = 0x9e37_79b9_7f4a_7c15_u64;
        let first = seed.wrapping_add(golden);
        Self {
            start: step(first),
            factor: step(first.wrapping_add(golden)) | 1,
        }
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> u64 {
        let mut state = self.start ^ u64::try_from(bytes.len()).expect("a length fits 64 bits");
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            state = self.fold(state ^ u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.fold(self.fold(state ^ u64::from_le_bytes(last)))
    }

    pub(super) fn number(self, number: u32) -> u64 {
        self.fold(self.start ^ u64::from(number))
    }

    fn fold(self, state: u64) -> u64 {
        let product = u128::from(state) * u128::from(self.factor);
        let high = u64::try_from(product >> 64).expect("shifted into 64 bits");
        let low = u64::try_from(product & u128::from(u64::MAX)).expect("masked to 64 bits");
        high ^ low
    }
}
