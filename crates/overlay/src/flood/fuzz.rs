//! Bodies of the fuzz targets: any bytes are fine, nothing panics, nothing
//! outgrows its limits, and everything that was asked ends.

mod say;
mod talk;

use std::collections::BTreeSet;

use gannet_base::wire::fuzz_decode;

use super::message::{FloodMessage, PATCH_BYTES_MAX, Patch, TABLE_BITS};
use super::table::{Incoming, Table};
use crate::fuzz::Choices;

/// How many others there are.
const PEERS: u8 = 8;

/// Decodes `input` as a message.
pub fn flood_message(input: &[u8]) {
    fuzz_decode::<FloodMessage>(input);
}

/// A conversation of a peer of small limits with others.
pub fn flood(input: &[u8]) {
    talk::talk(input);
}

/// Patches of one table: what is known afterwards is what a set of slots would
/// be, or nothing.
pub fn flood_table(input: &[u8]) {
    patch(input);
}

/// How many patches were taken, and how many left a table to be asked.
fn patch(input: &[u8]) -> [u32; 2] {
    let mut choices = Choices::new(input);
    let mut incoming = Incoming::default();
    let mut model = Model::default();
    let mut counts = [0; 2];
    while !choices.is_empty() {
        let patch = choices.patch(model.next);
        let taken = incoming.apply(&patch).is_ok();
        assert!(incoming.bytes() <= 2 * Table::BYTES_MAX);
        model.apply(&patch, taken);
        counts[0] += u32::from(taken);
        assert!(model.known || incoming.whole().is_none());
        if let Some(table) = incoming.whole() {
            counts[1] += 1;
            assert!(patch.last);
            assert!(table.slots().eq(model.slots.iter().copied()));
            assert!(!table.is_crowded());
            let end = 1 << table.bits();
            assert!(model.slots.last().is_none_or(|last| *last < end));
        }
    }
    counts
}

impl Choices<'_> {
    fn patch(&mut self, next: u32) -> Patch {
        let kind = self.byte();
        let mut flips = self.piece().to_vec();
        if kind & 0x80 != 0 {
            // Long ones, which random input does not have.
            let times = 1 + usize::from(self.byte()) * 2;
            flips = flips.repeat(times);
            flips.truncate(PATCH_BYTES_MAX);
        }
        Patch {
            sequence: if kind & 0x1c == 0 { self.short() } else { next },
            reset: match kind & 3 {
                0 => Some(self.below(32)),
                1 => Some(*TABLE_BITS.start() + self.below(14)),
                _ => None,
            },
            last: kind & 0x20 == 0,
            flips,
        }
    }
}

/// Slots as a set, flipped one by one.
#[derive(Default)]
struct Model {
    slots: BTreeSet<u32>,
    /// Whether a reset began it and nothing was lost since.
    known: bool,
    next: u32,
}

impl Model {
    fn apply(&mut self, patch: &Patch, taken: bool) {
        if patch.reset.is_some() {
            self.slots.clear();
            self.known = true;
        }
        self.known &= taken && (patch.reset.is_some() || patch.sequence == self.next);
        self.next = if taken {
            patch.sequence.wrapping_add(1)
        } else {
            0
        };
        if self.known {
            for slot in slots_of(&patch.flips) {
                if !self.slots.remove(&slot) {
                    self.slots.insert(slot);
                }
            }
        }
    }
}

/// What the flips of a good patch are, bit by bit.
fn slots_of(flips: &[u8]) -> Vec<u32> {
    let Some((k, bytes)) = flips.split_first() else {
        return Vec::new();
    };
    let header = 1 + bytes.iter().take_while(|byte| **byte >= 0x80).count();
    let (header, rest) = bytes.split_at(header);
    let mut slot = header
        .iter()
        .rev()
        .fold(0, |slot, byte| slot << 7 | u32::from(byte & 0x7f));
    let mut bits = rest
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
    let mut slots = vec![slot];
    while let Some(zeros) = bits.position(|bit| bit == 1) {
        let low = bits.by_ref().take((*k).into()).zip(0..);
        let low: u32 = low.map(|(bit, place)| u32::from(bit) << place).sum();
        slot += 1 + (u32::try_from(zeros).unwrap_or(u32::MAX) << k) + low;
        slots.push(slot);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{Kinds, random};

    fn random(seed: u64, bytes_max: u64) -> Vec<u8> {
        let mut input = random::input(seed, bytes_max);
        // Small numbers are variants, lengths and parameters of the code.
        if seed.is_multiple_of(2) {
            input.iter_mut().for_each(|byte| *byte %= 12);
        }
        input
    }

    #[test]
    fn flood_smoke() {
        let mut kinds = Kinds::default();
        for seed in 0..600 {
            kinds.extend(talk::talk(&random(seed, 4_000)));
        }
        kinds.check_all(&[
            // Said.
            "Ask",
            "Busy",
            "Bye",
            "Hello",
            "Hits",
            "Ping",
            "Pong",
            "Report",
            "Table",
            "Welcome",
            // Told.
            "Addresses",
            "Asked",
            "Ended",
            "NeighbourDown",
            "NeighbourUp",
            "Rows",
            // Ends of searches.
            "Enough",
            "Everybody",
            "Horizon",
            "NoNeighbours",
            "Partial",
            "TooMany",
            // And of neighbours.
            "Left",
            "Lost",
            "Misbehaved",
            "Silent",
            "Surplus",
        ]);
    }

    #[test]
    fn flood_message_smoke() {
        for seed in 0..2_000 {
            flood_message(&random(seed, 300));
        }
    }

    #[test]
    fn flood_table_smoke() {
        let mut counts = [0; 2];
        for seed in 0..1_000 {
            let [taken, known] = patch(&random(seed, 500));
            counts[0] += taken;
            counts[1] += known;
        }
        assert!(counts[0] > 3_000 && counts[1] > 300, "{counts:?}");
    }
}
