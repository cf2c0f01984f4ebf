//! Outboards: the hash pairs of a content's BLAKE3 tree down to groups.
//!
//! A content of `n` groups has `n - 1` pairs of 32-byte hashes, stored in
//! pre-order without a header: the pair of a node, then its left subtree, then
//! its right one. This is the layout of `bao_tree`'s pre-order outboard with
//! blocks of 16 KiB. A subtree is one run of bytes, whose place is known as
//! soon as the content's size is.
//!
//! **Invariant.** Nothing here trusts an outboard: whoever reads a pair checks
//! it against the hash that its parent gave for it.

use std::path::{Path, PathBuf};

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode};
use gannet_base::{ContentId, GROUP_BYTES, groups_in};

/// Bytes of one pair.
pub(crate) const PAIR_BYTES: usize = 64;
/// [`PAIR_BYTES`] for offsets.
pub(crate) const PAIR_BYTES_64: u64 = 64;
/// [`GROUP_BYTES`] for lengths in memory.
pub(crate) const GROUP_LEN: usize = 16 * 1024;
const _: () = assert!(GROUP_LEN as u64 == GROUP_BYTES);

/// How many bytes the outboard of a content of `size` bytes has.
pub(crate) const fn outboard_bytes(size: u64) -> u64 {
    (groups_in(size) - 1) * PAIR_BYTES_64
}

/// Where the outboard of a content lies in the directory of outboards.
pub(crate) fn outboard_path(dir: &Path, content: ContentId) -> PathBuf {
    dir.join(format!("{content}.obao"))
}

/// A subtree: `groups` groups from `first` on; the pair of its top, if it has
/// more than one group, is pair number `pair` of the outboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) first: u64,
    pub(crate) groups: u64,
    pub(crate) pair: u64,
}

impl Node {
    /// The whole tree.
    pub(crate) const fn root(size: u64) -> Self {
        Self {
            first: 0,
            groups: groups_in(size),
            pair: 0,
        }
    }

    /// One past its last group.
    pub(crate) const fn end(self) -> u64 {
        self.first + self.groups
    }

    /// Its children; the left one has the largest power of two of groups that
    /// leaves something to the right one. The node has at least two groups.
    pub(crate) fn children(self) -> (Self, Self) {
        debug_assert!(self.groups >= 2, "a leaf has no children");
        let left = self.groups.next_power_of_two() / 2;
        (
            Self {
                first: self.first,
                groups: left,
                pair: self.pair + 1,
            },
            Self {
                first: self.first + left,
                groups: self.groups - left,
                pair: self.pair + left,
            },
        )
    }
}

/// The hash of a pair's node.
pub(crate) fn parent_hash(pair: &[u8; PAIR_BYTES], is_root: bool) -> ChainingValue {
    let (left, right) = pair.split_at(32);
    let left = left.try_into().expect("half of 64 bytes is 32");
    let right = right.try_into().expect("half of 64 bytes is 32");
    if is_root {
        *blake3::hazmat::merge_subtrees_root(left, right, Mode::Hash).as_bytes()
    } else {
        blake3::hazmat::merge_subtrees_non_root(left, right, Mode::Hash)
    }
}

/// The hash of a group's bytes.
pub(crate) fn group_hash(group: u64, bytes: &[u8], is_root: bool) -> ChainingValue {
    debug_assert!(bytes.len() <= GROUP_LEN);
    if is_root {
        return *blake3::hash(bytes).as_bytes();
    }
    blake3::Hasher::new()
        .set_input_offset(group * GROUP_BYTES)
        .update(bytes)
        .finalize_non_root()
}

/// Two hashes side by side.
pub(crate) fn join(left: ChainingValue, right: ChainingValue) -> [u8; PAIR_BYTES] {
    let mut pair = [0; PAIR_BYTES];
    pair[..32].copy_from_slice(&left);
    pair[32..].copy_from_slice(&right);
    pair
}

#[cfg(test)]
mod tests {
    use bao_tree::{BaoTree, BlockSize};

    use super::*;

    fn visit(node: Node, pairs: &mut Vec<(u64, u64)>) {
        if node.groups < 2 {
            return;
        }
        let (left, right) = node.children();
        // bao-tree numbers a node by the chunk in its middle.
        pairs.push((node.pair, right.first));
        visit(left, pairs);
        visit(right, pairs);
    }

    #[test]
    fn places_are_those_of_bao_tree() {
        for groups in 1..=130_u64 {
            let size = groups * GROUP_BYTES - 5;
            let tree = BaoTree::new(size, BlockSize::from_chunk_log(4));
            assert_eq!(tree.outboard_size(), outboard_bytes(size));
            let mut ours = Vec::new();
            visit(Node::root(size), &mut ours);
            let reference: Vec<_> = tree
                .pre_order_nodes_iter()
                .filter_map(|node| Some((tree.pre_order_offset(node)?, node.mid().0 / 16)))
                .collect();
            assert_eq!(ours, reference, "{groups} groups");
        }
    }
}
