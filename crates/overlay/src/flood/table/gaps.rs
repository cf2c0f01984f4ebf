//! Growing numbers as bytes: the gaps between them in a Golomb-Rice code.
//!
//! ```text
//! byte 0      k, the bits of each gap that are written as they are
//! bytes 1..   the first number, seven bits a byte, lowest first (LEB128)
//! bits        for each further number n behind m, with g = n - m - 1:
//!             g >> k zeros, a one, then the k low bits of g, lowest first;
//!             a byte is filled from its lowest bit; the last byte is filled up
//!             with zeros
//! ```
//!
//! No bytes are no numbers. No length is written down, so none can be claimed:
//! each number costs at least a bit. With the k that suits, random sets of
//! slots take about 3 % more than the information in them, and hardly ever
//! more than a bitmap would.
// Source: Golomb 1966; Rice and Plaunt 1971.

use super::PatchError;

/// Largest k.
const K_MAX: u8 = 24;
/// Bytes before the bits, at most.
const HEADER_BYTES_MAX: usize = 1 + 5;

/// The k that suits `count` numbers out of `range`.
pub(super) fn suiting(count: u32, range: u32) -> u8 {
    // The best k is the logarithm of ln 2 times the mean gap, rounded down.
    let mean = u64::from(range) * 693 / (1_000 * u64::from(count.max(1)));
    let k = mean.max(1).ilog2();
    u8::try_from(k).unwrap_or(K_MAX).min(K_MAX)
}

/// Writes numbers, which grow, until they are used up or the next one would not
/// fit; says which one that was.
pub(super) fn encode(
    mut numbers: impl Iterator<Item = u32>,
    k: u8,
    bytes_max: usize,
) -> (Vec<u8>, Option<u32>) {
    let Some(mut last) = numbers.next() else {
        return (Vec::new(), None);
    };
    let mut writer = Writer {
        bytes: vec![k],
        open: 0,
        open_bits: 0,
    };
    writer.varint(last);
    let bits_max = 8 * u64::try_from(bytes_max.max(HEADER_BYTES_MAX)).unwrap_or(u64::MAX);
    for number in numbers {
        let gap = number - last - 1;
        let bits = u64::from(gap >> k) + 1 + u64::from(k);
        if writer.bits() + bits > bits_max {
            return (writer.finish(), Some(number));
        }
        writer.zeros(gap >> k);
        writer.low_bits(u64::from(gap & ((1 << k) - 1)) << 1 | 1, u32::from(k) + 1);
        last = number;
    }
    (writer.finish(), None)
}

/// Reads what [`encode`] writes: numbers that grow and are all below `end`, no
/// more than there are bits.
pub(super) fn decode(bytes: &[u8], end: u32) -> Result<Vec<u32>, PatchError> {
    let Some((k, bytes)) = bytes.split_first() else {
        return Ok(Vec::new());
    };
    let k = u32::from(*k);
    if k > u32::from(K_MAX) {
        return Err(PatchError::Code);
    }
    let (first, bytes) = varint(bytes)?;
    let mut last = below(first, end)?;
    let mut numbers = vec![last];
    let mut reader = Reader::new(bytes);
    while let Some(zeros) = reader.zeros()? {
        let low = reader.low_bits(k)?;
        let gap = u64::from(zeros) << k | u64::from(low);
        last = below(u64::from(last) + 1 + gap, end)?;
        numbers.push(last);
    }
    Ok(numbers)
}

fn below(number: u64, end: u32) -> Result<u32, PatchError> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number < end)
        .ok_or(PatchError::Position { slots: end })
}

/// A number of at most five bytes, and what comes behind it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), PatchError> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(HEADER_BYTES_MAX - 1) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[place + 1..]));
        }
    }
    Err(PatchError::Code)
}

struct Writer {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    open: u64,
    /// How many: below 8 between calls.
    open_bits: u32,
}

impl Writer {
    fn varint(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn bits(&self) -> u64 {
        8 * u64::try_from(self.bytes.len()).unwrap_or(u64::MAX) + u64::from(self.open_bits)
    }

    fn zeros(&mut self, mut count: u32) {
        while count > 0 {
            let some = count.min(32);
            self.low_bits(0, some);
            count -= some;
        }
    }

    /// At most 32 bits, the lowest first.
    fn low_bits(&mut self, bits: u64, count: u32) {
        self.open |= bits << self.open_bits;
        self.open_bits += count;
        while self.open_bits >= 8 {
            self.bytes.push(self.open.to_le_bytes()[0]);
            self.open >>= 8;
            self.open_bits -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.open_bits > 0 {
            self.bytes.push(self.open.to_le_bytes()[0]);
        }
        self.bytes
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Bits that were read but not used, the lowest first; zero behind them.
    open: u64,
    open_bits: u32,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            open: 0,
            open_bits: 0,
        }
    }

    /// Reads on until at least 32 bits are there, or the end.
    fn fill(&mut self) {
        while self.open_bits <= 56 {
            let Some((byte, rest)) = self.bytes.split_first() else {
                return;
            };
            self.open |= u64::from(*byte) << self.open_bits;
            self.open_bits += 8;
            self.bytes = rest;
        }
    }

    /// Zeros before the next one; nothing at the end.
    fn zeros(&mut self) -> Result<Option<u32>, PatchError> {
        let mut zeros = 0;
        loop {
            self.fill();
            if self.open != 0 {
                let some = self.open.trailing_zeros();
                self.skip(some + 1);
                return Ok(Some(zeros + some));
            }
            zeros += self.open_bits;
            self.open_bits = 0;
            if self.bytes.is_empty() {
                // Only the last byte is filled up.
                return if zeros < 8 {
                    Ok(None)
                } else {
                    Err(PatchError::Code)
                };
            }
        }
    }

    fn low_bits(&mut self, count: u32) -> Result<u32, PatchError> {
        self.fill();
        if self.open_bits < count {
            return Err(PatchError::Code);
        }
        let bits = self.open & ((1 << count) - 1);
        self.skip(count);
        Ok(u32::try_from(bits).expect("at most 24 bits are asked for"))
    }

    fn skip(&mut self, count: u32) {
        self.open = self.open.checked_shr(count).unwrap_or(0);
        self.open_bits -= count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(numbers: &[u32], k: u8, bytes_max: usize) {
        let mut decoded = Vec::new();
        let mut from = 0;
        loop {
            let rest = numbers.iter().copied().filter(|number| *number >= from);
            let (bytes, next) = encode(rest, k, bytes_max);
            assert!(bytes.len() <= bytes_max, "{} bytes", bytes.len());
            decoded.extend(decode(&bytes, u32::MAX).expect("what was encoded decodes"));
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(decoded, numbers);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(
            numbers in prop::collection::btree_set(0..100_000_u32, 0..300),
            k in 4..=K_MAX,
        ) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            round_trip(&numbers, k, 40_000);
        }

        #[test]
        fn a_limit_splits(
            numbers in prop::collection::btree_set(0..3_000_u32, 0..300),
            k in 0..=K_MAX,
            bytes_max in 6..60_usize,
        ) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            round_trip(&numbers, k, bytes_max);
        }

        #[test]
        fn nonsense_decodes_to_growing_numbers_or_fails(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            end in 1..100_000_u32,
        ) {
            if let Ok(numbers) = decode(&bytes, end) {
                prop_assert!(numbers.len() <= 8 * bytes.len());
                prop_assert!(numbers.is_sorted_by(|one, next| one < next));
                prop_assert!(numbers.last().is_none_or(|last| *last < end));
            }
        }
    }

    #[test]
    fn as_the_format_says() {
        assert_eq!(encode([].into_iter(), 3, 100), (vec![], None));
        assert_eq!(
            encode([300].into_iter(), 3, 100),
            (vec![3, 0xac, 0x02], None)
        );
        // Gaps 0 and 13 with k = 3: `1 000`, then `0 1 101`, low bits first.
        let (bytes, _) = encode([5, 6, 20].into_iter(), 3, 100);
        assert_eq!(bytes, [3, 5, 0b0110_0001, 0b1]);
        assert_eq!(decode(&bytes, 21), Ok(vec![5, 6, 20]));
        assert_eq!(decode(&bytes, 20), Err(PatchError::Position { slots: 20 }));
    }

    #[test]
    fn bad_codes_are_told() {
        let code = Err(PatchError::Code);
        assert_eq!(decode(&[25, 0], 100), code, "k too large");
        assert_eq!(decode(&[3], 100), code, "no first number");
        assert_eq!(decode(&[3, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 100), code);
        assert_eq!(decode(&[3, 0, 0], 100), code, "a byte too many");
        assert_eq!(
            decode(&[9, 0, 0b1000_0000], 1_000),
            code,
            "low bits are missing"
        );
        assert!(decode(&[0, 0xff, 0xff, 0xff, 0xff, 0x7f], 100).is_err());
    }

    /// All slots of the largest table in one patch would be 2^18 bits.
    #[test]
    fn many_zeros_are_no_work() {
        let mut bytes = vec![24, 0];
        bytes.resize(32_000, 0);
        bytes.push(0b1000_0000);
        bytes.extend([0, 0, 0]);
        assert_eq!(
            decode(&bytes, 1 << 21),
            Err(PatchError::Position { slots: 1 << 21 })
        );
    }
}
