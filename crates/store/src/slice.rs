//! Slices: some groups of a content with the hash pairs that prove them.
//!
//! The encoding is that of `bao_tree` for a range of chunks with blocks of
//! 16 KiB and no size header: the tree in pre-order, a pair for every node that
//! has groups of the slice, the bytes for every group of the slice.
//!
//! **Invariant.** Decoding checks every byte before it hands out the first;
//! encoding checks every byte before the caller sees it.

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, groups_in};

use crate::outboard::{GROUP_LEN, Node, PAIR_BYTES, PAIR_BYTES_64, group_hash, parent_hash};

/// Most groups of one slice: bounds the memory of a read or a write.
// Guess: 4 MiB, four times what the swarm asks for.
pub const SLICE_GROUPS_MAX: u64 = 256;

/// One piece of an encoded slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The pair of `node`; which of its children have groups of the slice.
    Parent { node: Node, left: bool, right: bool },
    /// The bytes of a group.
    Leaf { group: u64 },
}

/// Whether `slice` may be asked of a content of `size` bytes.
pub(crate) fn is_slice_of(slice: GroupRange, size: u64) -> bool {
    !slice.is_empty() && slice.end <= groups_in(size) && slice.len() <= SLICE_GROUPS_MAX
}

/// The pieces of a slice in order. The slice [is one of](is_slice_of) the size.
pub(crate) fn steps(size: u64, slice: GroupRange) -> Vec<Step> {
    let mut steps = Vec::with_capacity(2 * usize::try_from(slice.len()).unwrap_or(0) + 64);
    // Depth first with a stack: at most one pending right child per level.
    let mut pending = vec![Node::root(size)];
    while let Some(node) = pending.pop() {
        if node.groups == 1 {
            steps.push(Step::Leaf { group: node.first });
            continue;
        }
        let (l, r) = node.children();
        let wanted = |child: Node| child.first < slice.end && slice.start < child.end();
        let (left, right) = (wanted(l), wanted(r));
        steps.push(Step::Parent { node, left, right });
        if right {
            pending.push(r);
        }
        if left {
            pending.push(l);
        }
    }
    steps
}

/// How many bytes the encoding of these steps has.
pub(crate) fn encoded_bytes(size: u64, slice: GroupRange, steps: &[Step]) -> u64 {
    let leaves = slice.len();
    let parents = steps.len() as u64 - leaves;
    let data = slice.bytes(size);
    parents * PAIR_BYTES_64 + (data.end - data.start)
}

/// How many bytes this group of a content of `size` bytes has.
pub(crate) fn group_len(size: u64, group: u64) -> usize {
    let left = size.saturating_sub(group * GROUP_BYTES);
    usize::try_from(left).map_or(GROUP_LEN, |left| left.min(GROUP_LEN))
}

/// Bytes that do not verify; the coordinates say what was checked first and
/// failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The pair of the node with these groups.
    Pair { first: u64 },
    /// The bytes of this group.
    Group { group: u64 },
}

impl Mismatch {
    /// First group that is concerned, within the slice.
    pub(crate) fn group(self, slice: GroupRange) -> u64 {
        match self {
            Self::Pair { first } => first.max(slice.start),
            Self::Group { group } => group,
        }
    }
}

/// A slice taken apart; it borrows from its encoding.
#[derive(Debug)]
pub(crate) struct Verified<'a> {
    /// The bytes of each group, in order.
    pub(crate) groups: Vec<&'a [u8]>,
    /// Number in the outboard and bytes of each pair, in order.
    pub(crate) pairs: Vec<(u64, &'a [u8; PAIR_BYTES])>,
}

/// Checks an encoded slice, whose length fits its steps, against the content
/// id.
pub(crate) fn verify<'a>(
    content: ContentId,
    size: u64,
    slice: GroupRange,
    steps: &[Step],
    encoded: &'a [u8],
) -> Result<Verified<'a>, Mismatch> {
    debug_assert_eq!(encoded.len() as u64, encoded_bytes(size, slice, steps));
    let leaves = usize::try_from(slice.len()).expect("a slice is short");
    let mut verified = Verified {
        groups: Vec::with_capacity(leaves),
        pairs: Vec::with_capacity(steps.len() - leaves),
    };
    let root = Node::root(size);
    // Hashes that the pieces to come must have.
    let mut expected = vec![*content.as_bytes()];
    let mut rest = encoded;
    for step in steps {
        let hash = expected
            .pop()
            .expect("every step but the first was announced by a pair");
        match *step {
            Step::Parent { node, left, right } => {
                let (pair, after) = rest
                    .split_first_chunk::<PAIR_BYTES>()
                    .expect("the length was checked");
                rest = after;
                if parent_hash(pair, node == root) != hash {
                    return Err(Mismatch::Pair { first: node.first });
                }
                verified.pairs.push((node.pair, pair));
                push_children(&mut expected, pair, left, right);
            }
            Step::Leaf { group } => {
                let (bytes, after) = rest.split_at(group_len(size, group));
                rest = after;
                if group_hash(group, bytes, root.groups == 1) != hash {
                    return Err(Mismatch::Group { group });
                }
                verified.groups.push(bytes);
            }
        }
    }
    Ok(verified)
}

fn push_children(expected: &mut Vec<[u8; 32]>, pair: &[u8; PAIR_BYTES], left: bool, right: bool) {
    let half = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).expect("half of 64 bytes is 32");
    if right {
        expected.push(half(&pair[32..]));
    }
    if left {
        expected.push(half(&pair[..32]));
    }
}

#[cfg(test)]
pub(crate) mod tests;
