//! Tables against sets, on their way and when strangers send them.

use std::collections::BTreeSet;
use std::sync::Arc;

use gannet_base::seeded_rng;
use proptest::prelude::*;

use super::*;
use crate::flood::message::{PATCH_BYTES_MAX, Patch, TABLE_BITS};

fn random_keys(seed: u64, count: usize) -> Vec<u32> {
    let mut rng = seeded_rng(seed);
    (0..count).map(|_| rng.next_u32()).collect()
}

/// The model: a set of slots.
fn model(keys: &[u32], bits: u8) -> BTreeSet<u32> {
    keys.iter().map(|key| key >> (32 - bits)).collect()
}

/// All patches of an outgoing table.
fn drain(outgoing: &mut Outgoing) -> Vec<Patch> {
    let patches: Vec<Patch> = std::iter::from_fn(|| outgoing.next_patch()).collect();
    assert!(outgoing.is_done());
    patches
}

fn apply_all(incoming: &mut Incoming, patches: &[Patch]) {
    for patch in patches {
        assert!(patch.flips.len() <= PATCH_BYTES_MAX);
        assert_eq!(incoming.apply(patch), Ok(()));
        assert!(incoming.bytes() <= 2 * Table::BYTES_MAX);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn a_table_is_the_set_of_the_slots_of_its_keys(
        keys in prop::collection::vec(any::<u32>(), 0..600),
        asked in prop::collection::vec(any::<u32>(), 0..600),
        bits in 8..=21_u8,
    ) {
        let table = Table::with_bits(&keys, bits);
        let model = model(&keys, bits);
        prop_assert!(table.positions(0).eq(model.iter().copied()));
        prop_assert_eq!(table.len() as usize, model.len());
        prop_assert!(keys.chunks(3).all(|some| table.may_hold(some)));
        for key in asked {
            prop_assert_eq!(table.may_hold(&[key]), model.contains(&(key >> (32 - bits))));
            let from = key >> (32 - bits);
            prop_assert!(table.positions(from).eq(model.range(from..).copied()));
        }
    }

    #[test]
    fn flips_turn_slots_over(
        rounds in prop::collection::vec(
            prop::collection::btree_set(0..4_096_u32, 0..300), 1..8),
    ) {
        let mut table = Table::empty(12);
        let mut model = BTreeSet::new();
        for flips in rounds {
            model = &model ^ &flips;
            table.flip(&flips.into_iter().collect::<Vec<_>>());
            prop_assert!(table.positions(0).eq(model.iter().copied()));
            prop_assert_eq!(table.len() as usize, model.len());
            let same = Table::of_slots(model.iter().copied().collect(), 12);
            prop_assert_eq!(&table, &same, "however it came to be");
        }
    }

    #[test]
    fn a_neighbour_has_the_same_table_after_every_change(
        changes in prop::collection::vec((any::<u64>(), 0..2_000_usize, 0..50_usize), 1..12),
    ) {
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        let mut keys: Vec<u32> = Vec::new();
        let mut table: Option<Arc<Table>> = None;
        for (seed, lost, won) in changes {
            keys.drain(..keys.len().min(lost / 40));
            keys.extend(random_keys(seed, won * if seed % 5 == 0 { 40 } else { 1 }));
            let next = Arc::new(Table::succeeding(table.as_deref(), &keys, TABLE_BITS));
            outgoing.aim(Arc::clone(&next));
            apply_all(&mut incoming, &drain(&mut outgoing));
            prop_assert_eq!(incoming.whole(), Some(next.as_ref()));
            table = Some(next);
        }
    }

    #[test]
    fn what_strangers_send_is_bounded(
        patches in prop::collection::vec(
            (0..4_u32, prop::option::weighted(0.3, 6..24_u8), any::<bool>(),
             prop::collection::vec(any::<u8>(), 0..80)), 1..20),
    ) {
        let mut incoming = Incoming::default();
        let mut bytes = 0;
        for (sequence, reset, last, flips) in patches {
            bytes = if reset.is_some() { 0 } else { bytes } + flips.len();
            let _ = incoming.apply(&Patch { sequence, reset, last, flips });
            // A bit is at most one slot of four bytes; lists grow by doubling.
            prop_assert!(incoming.bytes() <= 8 * 4 * bytes + 32);
        }
    }
}

#[test]
fn sizes_leave_seven_of_eight_slots_empty() {
    for count in [0, 1, 10, 32, 33, 40, 1_000, 12_000, 100_000] {
        let table = Table::of_keys(&random_keys(1, count), TABLE_BITS);
        assert!(table.fill() <= 0.125, "{count} keys: {}", table.fill());
        let wasteful = table.bits() > *TABLE_BITS.start() && table.fill() < 0.055;
        assert!(!wasteful, "{count} keys: {}", table.fill());
    }
    let million = Table::of_keys(&random_keys(1, 1_000_000), TABLE_BITS);
    assert_eq!(million.bits(), 21);
    assert!(!million.is_crowded());
    assert!(million.bytes() <= Table::BYTES_MAX);
}

#[test]
fn a_small_peer_has_a_small_table() {
    let table = Table::of_keys(&random_keys(7, 40), TABLE_BITS);
    let all = size_of::<Incoming>() + table.bytes();
    assert!(all <= 200, "{all} bytes");
    let mut outgoing = Outgoing::default();
    outgoing.aim(Arc::new(table));
    let patches = drain(&mut outgoing);
    assert!(
        patches.len() == 1 && patches[0].flips.len() < 40,
        "under a byte for each key"
    );
}

#[test]
fn a_peer_with_nothing_is_never_asked() {
    let empty = Table::of_keys(&[], TABLE_BITS);
    assert!(!empty.may_hold(&[]) && !empty.may_hold(&[7]));
    let some = Table::of_keys(&[7], TABLE_BITS);
    assert!(some.may_hold(&[]), "nothing can be ruled out without keys");
}

/// The published table: 65,536 slots, 12,000 keys.
#[test]
fn false_positives_are_as_predicted() {
    let (slots, count) = (65_536.0, 12_000);
    let table = Table::with_bits(&random_keys(3, count), 16);
    let predicted = 1.0 - (-(count as f64) / slots).exp();
    let close = |measured: f64, expected: f64| (measured / expected - 1.0).abs() < 0.03;
    assert!((predicted - 0.167).abs() < 0.0005, "the published 16.7 %");
    assert!(close(table.fill(), predicted), "{}", table.fill());
    let asked = random_keys(4, 400_000);
    for words in [1_usize, 2] {
        let passed = asked
            .chunks(words)
            .filter(|keys| table.may_hold(keys))
            .count();
        let measured = passed as f64 / (asked.len() / words) as f64;
        let expected = predicted.powf(words as f64);
        assert!(
            close(measured, expected),
            "{words} words: {measured}, not {expected}"
        );
    }
    assert!(
        (predicted * predicted - 0.028).abs() < 0.0005,
        "the published 2.8 %"
    );
    // 12 to 13 KB as published; a bitmap is 8 KiB, its information 5.3.
    let mut outgoing = Outgoing::default();
    outgoing.aim(Arc::new(table));
    let bytes: usize = drain(&mut outgoing)
        .iter()
        .map(|patch| patch.flips.len())
        .sum();
    assert!(bytes < 5_600, "{bytes} bytes");
}

#[test]
fn a_small_change_is_a_small_patch() {
    let mut keys = random_keys(5, 10_000);
    let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
    let first = Arc::new(Table::of_keys(&keys, TABLE_BITS));
    outgoing.aim(Arc::clone(&first));
    apply_all(&mut incoming, &drain(&mut outgoing));
    keys.extend(random_keys(6, 20));
    let second = Arc::new(Table::succeeding(Some(&first), &keys, TABLE_BITS));
    outgoing.aim(Arc::clone(&second));
    let patches = drain(&mut outgoing);
    let bytes = patches[0].flips.len();
    assert!(patches.len() == 1 && bytes < 50, "{bytes} bytes");
    assert_eq!(patches[0].reset, None);
    apply_all(&mut incoming, &patches);
    assert_eq!(incoming.whole(), Some(second.as_ref()));
    outgoing.aim(Arc::new(Table::with_bits(&keys, second.bits())));
    assert_eq!(outgoing.next_patch(), None, "it has that already");
    outgoing.aim(Arc::new(Table::empty(second.bits())));
    let patches = drain(&mut outgoing);
    assert_eq!(patches[0].reset, Some(second.bits()), "a reset is smaller");
}

#[test]
fn a_huge_table_crosses_in_pieces() {
    let table = Arc::new(Table::of_keys(&random_keys(8, 1_000_000), TABLE_BITS));
    let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
    outgoing.aim(Arc::clone(&table));
    let mut pieces = 0;
    let mut bytes = 0;
    // What is wanted meanwhile waits until this one is through.
    let later = Arc::new(Table::empty(21));
    while let Some(patch) = outgoing.next_patch() {
        pieces += 1;
        bytes += patch.flips.len();
        assert_eq!(incoming.apply(&patch), Ok(()));
        if patch.last {
            break;
        }
        outgoing.aim(Arc::clone(&later));
        assert_eq!(incoming.whole(), None, "a part rules nothing out");
    }
    assert_eq!(incoming.whole(), Some(table.as_ref()));
    assert!((8..=9).contains(&pieces), "{pieces} pieces");
    assert!(
        bytes <= (1 << 18) + 8 * pieces,
        "{bytes}: a bitmap and headers"
    );
    apply_all(&mut incoming, &drain(&mut outgoing));
    assert_eq!(incoming.whole(), Some(later.as_ref()));
}

#[test]
fn a_lost_patch_loses_the_table_until_it_is_sent_anew() {
    let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
    let mut keys = random_keys(9, 100);
    let mut missed = 0;
    for round in 0..100 {
        keys.extend(random_keys(100 + round, 1));
        outgoing.aim(Arc::new(Table::with_bits(&keys, 12)));
        let patches = drain(&mut outgoing);
        if round != 5 {
            apply_all(&mut incoming, &patches);
        }
        missed += usize::from(incoming.whole().is_none());
    }
    assert!(
        (20..=33).contains(&missed),
        "{missed} rounds without a table"
    );
    assert_eq!(incoming.whole(), Some(&Table::with_bits(&keys, 12)));
}

#[test]
fn a_table_that_matches_everything_is_none() {
    let all: Vec<u32> = (0..256).map(|slot| slot << 24).collect();
    let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
    outgoing.aim(Arc::new(Table::with_bits(&all, 8)));
    apply_all(&mut incoming, &drain(&mut outgoing));
    assert_eq!(incoming.whole(), None);
    outgoing.aim(Arc::new(Table::with_bits(&all[..128], 8)));
    apply_all(&mut incoming, &drain(&mut outgoing));
    assert_eq!(
        incoming.whole().map(Table::len),
        Some(128),
        "half is worth asking"
    );
}

#[test]
fn broken_patches_are_told_and_the_table_lost() {
    #[track_caller]
    fn check(reset: Option<u8>, flips: &[u8], expected: PatchError) {
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        outgoing.aim(Arc::new(Table::of_keys(&[1, 2, 3], TABLE_BITS)));
        apply_all(&mut incoming, &drain(&mut outgoing));
        let patch = Patch {
            sequence: 1,
            reset,
            last: true,
            flips: flips.to_vec(),
        };
        assert_eq!(incoming.apply(&patch), Err(expected));
        assert_eq!((incoming.whole(), incoming.bytes()), (None, 0));
    }
    check(Some(7), &[], PatchError::Bits { bits: 7 });
    check(Some(255), &[], PatchError::Bits { bits: 255 });
    check(
        None,
        &[3, 0xff, 0xff, 3],
        PatchError::Position { slots: 256 },
    );
    check(
        Some(9),
        &[3, 0xff, 0xff, 3],
        PatchError::Position { slots: 512 },
    );
    check(None, &[99, 1], PatchError::Code);
    let bytes = PATCH_BYTES_MAX + 1;
    check(None, &vec![0; bytes], PatchError::TooLong { bytes });
}

/// As many flips as a patch can claim: one for each bit, again and again.
#[test]
fn the_longest_patches_stay_within_bounds() {
    let mut flips = vec![0, 0];
    flips.resize(PATCH_BYTES_MAX, 0xff);
    let mut incoming = Incoming::default();
    for sequence in 0..10 {
        let reset = (sequence == 0).then_some(21);
        let patch = Patch {
            sequence,
            reset,
            last: true,
            flips: flips.clone(),
        };
        assert_eq!(incoming.apply(&patch), Ok(()));
        assert!(incoming.bytes() <= Table::BYTES_MAX);
    }
    assert_eq!(
        incoming.whole().map(Table::len),
        Some(0),
        "an even number of times"
    );
}
