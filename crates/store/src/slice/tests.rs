//! Against `bao_tree`, byte for byte.

use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::{DecodeResponseIter, encode_ranges_validated};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use proptest::prelude::*;

use super::*;

const BLOCK: BlockSize = BlockSize::from_chunk_log(4);

/// Sizes by regime.
pub(crate) const SIZES: [u64; 14] = [
    0,
    1,
    1_023,
    1_024,
    1_025,
    16_383,
    16_384,
    16_385,
    32_768,
    32_769,
    5 * 16_384,
    7 * 16_384 + 1,
    64 * 16_384 - 1,
    65 * 16_384 + 1_025,
];

pub(crate) fn bytes(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    blake3::Hasher::new()
        .update(b"test bytes")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn chunks(slice: GroupRange) -> ChunkRanges {
    ChunkRanges::from(ChunkNum(slice.start * 16)..ChunkNum(slice.end * 16))
}

/// A content and its tree, as bao-tree has it.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) data: std::sync::Arc<Vec<u8>>,
    outboard: std::sync::Arc<PreOrderMemOutboard>,
}

impl Reference {
    pub(crate) fn new(data: Vec<u8>) -> Self {
        Self {
            outboard: PreOrderMemOutboard::create(&data, BLOCK).into(),
            data: data.into(),
        }
    }

    /// The slice as bao-tree encodes it.
    pub(crate) fn slice(&self, slice: GroupRange) -> Vec<u8> {
        let mut encoded = Vec::new();
        let data = self.data.as_slice();
        encode_ranges_validated(data, &*self.outboard, &chunks(slice), &mut encoded).unwrap();
        encoded
    }
}

fn reference(data: &[u8], slice: GroupRange) -> Vec<u8> {
    Reference::new(data.to_vec()).slice(slice)
}

fn check(size: u64, slice: GroupRange) {
    let data = bytes(size);
    let content = ContentId::of(&data);
    let encoded = reference(&data, slice);
    let steps = steps(size, slice);
    assert_eq!(encoded.len() as u64, encoded_bytes(size, slice, &steps));
    let verified = verify(content, size, slice, &steps, &encoded).unwrap();
    let range = slice.bytes(size);
    let (start, end) = (
        usize::try_from(range.start).unwrap(),
        usize::try_from(range.end).unwrap(),
    );
    assert_eq!(
        verified.groups.concat(),
        data[start..end],
        "{size} {slice:?}"
    );
    let tree = BaoTree::new(size, BLOCK);
    let ranges = chunks(slice);
    let root = blake3::Hash::from_bytes(*content.as_bytes());
    let theirs = DecodeResponseIter::new(root, tree, encoded.as_slice(), &ranges).count();
    assert_eq!(theirs, steps.len());
}

#[test]
fn every_slice_of_small_trees_is_that_of_bao_tree() {
    for groups in 1..=9_u64 {
        for size in [groups * GROUP_BYTES, groups * GROUP_BYTES - 1_500] {
            for start in 0..groups {
                for end in start + 1..=groups {
                    check(size, GroupRange::new(start, end));
                }
            }
        }
    }
}

#[test]
fn whole_contents_of_every_regime() {
    for size in SIZES {
        check(size, GroupRange::whole(size));
        let last = groups_in(size);
        check(size, GroupRange::new(last - 1, last));
    }
}

#[test]
fn every_kind_of_flipped_byte_is_pinned() {
    let size = 13 * GROUP_BYTES + 77;
    let data = bytes(size);
    let content = ContentId::of(&data);
    for slice in [
        GroupRange::new(0, 14),
        GroupRange::new(5, 9),
        GroupRange::new(13, 14),
    ] {
        let good = reference(&data, slice);
        let steps = steps(size, slice);
        let (mut offset, mut flips) = (0, 0);
        for step in &steps {
            let (length, first) = match step {
                Step::Parent { node, .. } => (PAIR_BYTES, node.first.max(slice.start)),
                Step::Leaf { group } => (group_len(size, *group), *group),
            };
            for place in [0, 1, length / 2, length - 1] {
                let mut bad = good.clone();
                bad[offset + place] ^= 1 << (place % 8);
                let found = verify(content, size, slice, &steps, &bad).unwrap_err();
                assert_eq!(found.group(slice), first, "{step:?} byte {place}");
                flips += 1;
            }
            offset += length;
        }
        assert_eq!(offset, good.len());
        assert_eq!(flips, 4 * steps.len());
    }
}

#[test]
fn a_wrong_size_never_verifies_with_its_last_group() {
    let size = 6 * GROUP_BYTES + 100;
    let data = bytes(size);
    let content = ContentId::of(&data);
    let mut longer = data.clone();
    longer.resize(16 * 16_384, 0);
    for claimed in [
        1,
        100,
        16_384,
        6 * 16_384,
        size - 1,
        size + 1,
        7 * 16_384,
        9 * 16_384,
    ] {
        let last = groups_in(claimed);
        let slice = GroupRange::new(last - 1, last);
        let prefix = &longer[..usize::try_from(claimed).unwrap()];
        let encoded = reference(prefix, slice);
        let steps = steps(claimed, slice);
        assert!(
            verify(content, claimed, slice, &steps, &encoded).is_err(),
            "{claimed}"
        );
        // The true pairs and bytes, cut to the claimed shape, do not fit either.
        let mut cut = reference(&data, GroupRange::new(6, 7));
        cut.resize(
            usize::try_from(encoded_bytes(claimed, slice, &steps)).unwrap(),
            0,
        );
        assert!(
            verify(content, claimed, slice, &steps, &cut).is_err(),
            "{claimed}"
        );
    }
}

#[test]
fn what_is_a_slice() {
    let size = 1_000 * GROUP_BYTES;
    let cases = [
        (0, 1, true),
        (999, 1_000, true),
        (0, 256, true),
        (0, 257, false),
        (1_000, 1_001, false),
        (5, 5, false),
        (6, 5, false),
        (0, u64::MAX, false),
        (u64::MAX - 1, u64::MAX, false),
    ];
    for (start, end, expected) in cases {
        assert_eq!(
            is_slice_of(GroupRange::new(start, end), size),
            expected,
            "{start}..{end}"
        );
    }
    assert!(is_slice_of(GroupRange::new(0, 1), 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_slice_of_any_size(size in 0_u64..3_000_000, a in any::<u64>(), n in 1_u64..40) {
        let groups = groups_in(size);
        let start = a % groups;
        check(size, GroupRange::new(start, (start + n).min(groups)));
    }

    #[test]
    fn steps_stay_few_in_huge_trees(size in 1_u64..u64::MAX / 2, a in any::<u64>()) {
        let groups = groups_in(size);
        let slice = GroupRange::new(a % groups, a % groups + 1);
        prop_assert!(steps(size, slice).len() <= 64);
    }
}
