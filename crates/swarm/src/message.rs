//! What fetcher and source say to each other on a transfer stream.
//!
//! One stream carries one content between two peers. The fetcher sends
//! [`Ask`](TransferMessage::Ask) and waits for
//! [`Ready`](TransferMessage::Ready); then it sends requests, and the source
//! answers each exactly once: with a [`Slice`](TransferMessage::Slice) and its
//! bytes, in the order of the requests, or with a
//! [`SliceRefused`](TransferMessage::SliceRefused) as soon as it knows. A
//! [`Queued`](TransferMessage::Queued) or a
//! [`Refused`](TransferMessage::Refused) voids what was not answered before.

use gannet_base::wire::{Malformed, WireMessage};
use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, groups_in};
use serde::{Deserialize, Serialize};

/// Largest content that is fetched or served, bytes: 1 PiB. A larger claim is
/// a lie.
// Guess: far above any file, far below where sums of sizes overflow.
pub const SIZE_BYTES_MAX: u64 = 1 << 50;

/// Most groups in one slice: 4 MiB.
// Guess: four times the largest slice that this version asks for.
pub(crate) const SLICE_GROUPS_MAX: u64 = 256;

/// Most runs in a set of groups on the wire.
// Derived: a run is at most 20 bytes of postcard, so 2,048 fit a frame.
pub(crate) const HAVE_RUNS_MAX: usize = 2_048;

/// What a source has of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Have {
    /// Every group.
    Whole,
    /// These groups: the source is itself fetching the content.
    Some(GroupSet),
}

impl Have {
    /// What can be said on the wire about holding `groups` of a content of
    /// `size` bytes: if they lie in too many pieces, only the longest.
    pub fn of(groups: &GroupSet, size: u64) -> Self {
        if groups.is_whole(size) {
            Self::Whole
        } else {
            Self::Some(longest_runs(groups))
        }
    }

    /// Whether all of `range` is there.
    pub fn contains_range(&self, range: GroupRange) -> bool {
        match self {
            Self::Whole => true,
            Self::Some(groups) => groups.contains_range(range),
        }
    }
}

/// `groups`, or its longest runs if it has more than fit a message.
pub(crate) fn longest_runs(groups: &GroupSet) -> GroupSet {
    if groups.runs().len() <= HAVE_RUNS_MAX {
        return groups.clone();
    }
    let mut runs = groups.runs().to_vec();
    runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    runs.truncate(HAVE_RUNS_MAX);
    runs.into_iter().collect()
}

/// Why a source will not serve a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RefusedReason {
    /// It does not share it. Ask others.
    NotShared,
    /// Its queue is full, or the asker has its share of the queue. Try later.
    QueueFull,
    /// It took the slot back, or is shutting down. Try later.
    Busy,
    /// Its file changed on disk, so it is another content now.
    Changed,
}

/// A message on a transfer stream; every one names its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferMessage {
    /// Fetcher: may I have an upload slot for this? Repeated by a fetcher in
    /// the queue to hear its position again.
    Ask {
        /// Which content.
        content: ContentId,
    },
    /// Fetcher, once `Ready`: send this slice.
    Request {
        /// Which content.
        content: ContentId,
        /// Which groups; not empty.
        slice: GroupRange,
    },
    /// Fetcher: I want nothing more of this content.
    Leave {
        /// Which content.
        content: ContentId,
    },
    /// Source: you have a slot.
    Ready {
        /// Which content.
        content: ContentId,
        /// Its size in bytes. A claim, until the last group is verified.
        size: u64,
        /// What the source has of it.
        have: Have,
    },
    /// Source: you are in the queue. Sent again when the position changes.
    Queued {
        /// Which content.
        content: ContentId,
        /// Place in the queue; 1 is next.
        position: u32,
    },
    /// Source that has not everything: this is what it has now.
    Have {
        /// Which content.
        content: ContentId,
        /// All that it has, not only what is new.
        groups: GroupSet,
    },
    /// Source: the slice follows. The only message with bytes behind it.
    Slice {
        /// Which content.
        content: ContentId,
        /// Which groups, exactly as requested.
        slice: GroupRange,
        /// How many raw bytes follow on the stream: proof and data.
        bytes: u32,
    },
    /// Source: this slice will not come, by cancellation or because the source
    /// has not got it.
    SliceRefused {
        /// Which content.
        content: ContentId,
        /// Which groups, exactly as requested.
        slice: GroupRange,
    },
    /// Source: nothing (more) of this content from me.
    Refused {
        /// Which content.
        content: ContentId,
        /// Why.
        reason: RefusedReason,
    },
    /// Fetcher: this request is not needed any more. Answered like every
    /// request, with `SliceRefused` if its bytes have not started to flow.
    Cancel {
        /// Which content.
        content: ContentId,
        /// Which groups, exactly as requested.
        slice: GroupRange,
    },
    /// Source: others have asked me for these since I last said so. A hint:
    /// whoever asks for something else first will get these from the others.
    Given {
        /// Which content.
        content: ContentId,
        /// Only what is new.
        groups: GroupSet,
    },
}

impl TransferMessage {
    /// The content that it is about.
    pub const fn content(&self) -> ContentId {
        match self {
            Self::Ask { content }
            | Self::Request { content, .. }
            | Self::Leave { content }
            | Self::Ready { content, .. }
            | Self::Queued { content, .. }
            | Self::Have { content, .. }
            | Self::Slice { content, .. }
            | Self::SliceRefused { content, .. }
            | Self::Refused { content, .. }
            | Self::Cancel { content, .. }
            | Self::Given { content, .. } => *content,
        }
    }
}

impl WireMessage for TransferMessage {
    const VARIANTS: u32 = 11;
    const BYTES_MAX: usize = 48 * 1024;

    fn validate(&self) -> Result<(), Malformed> {
        let runs = |groups: &GroupSet| {
            Malformed::unless(groups.runs().len() <= HAVE_RUNS_MAX, "runs of groups")
        };
        match self {
            Self::Request { slice, .. }
            | Self::Slice { slice, .. }
            | Self::SliceRefused { slice, .. }
            | Self::Cancel { slice, .. } => Malformed::unless(
                !slice.is_empty() && slice.len() <= SLICE_GROUPS_MAX,
                "groups of a slice",
            ),
            Self::Ready {
                have: Have::Some(groups),
                ..
            }
            | Self::Have { groups, .. }
            | Self::Given { groups, .. } => runs(groups),
            Self::Ask { .. }
            | Self::Leave { .. }
            | Self::Ready { .. }
            | Self::Queued { .. }
            | Self::Refused { .. } => Ok(()),
        }
    }
}

/// Most bytes that the encoding (proof and data) of `slice` can have in a
/// content of `size` bytes: more than that behind a header is an attack.
pub fn slice_bytes_max(slice: GroupRange, size: u64) -> u64 {
    let data = slice.bytes(size);
    // A parent is two hashes. A binary tree over n leaves has n - 1 parents,
    // and two paths lead from the slice's ends up to the root.
    let height = u64::from(u64::BITS - groups_in(size).leading_zeros());
    let parents = slice.len().saturating_add(2 * height);
    (data.end - data.start).saturating_add(parents.saturating_mul(64))
}

const _: () = assert!(
    SLICE_GROUPS_MAX * (GROUP_BYTES + 64) + 128 * 64 <= u32::MAX as u64,
    "the length behind a header fits its field"
);

#[cfg(test)]
mod tests {
    use gannet_base::wire::{Decoded, decode, encode};
    use proptest::prelude::*;

    use super::*;

    fn content() -> ContentId {
        ContentId::from_bytes([3; 32])
    }

    #[test]
    fn the_longest_messages_fit_their_limit() {
        let far = u64::MAX - 4 * HAVE_RUNS_MAX as u64;
        let groups: GroupSet = (0..HAVE_RUNS_MAX as u64)
            .map(|n| GroupRange::new(far + 2 * n, far + 2 * n + 1))
            .collect();
        let message = TransferMessage::Ready {
            content: content(),
            size: u64::MAX,
            have: Have::Some(groups.clone()),
        };
        assert_eq!(decode(&encode(&message)), Ok(Decoded::Message(message)));
        let mut more = groups;
        more.insert(GroupRange::new(0, 1));
        let message = TransferMessage::Have {
            content: content(),
            groups: more,
        };
        assert_eq!(
            decode::<TransferMessage>(&encode(&message)),
            Err(Malformed::Bounds {
                field: "runs of groups"
            })
        );
    }

    #[test]
    fn slices_are_neither_empty_nor_huge() {
        for (end, good) in [
            (5, false),
            (4, false),
            (6, true),
            (5 + SLICE_GROUPS_MAX, true),
            (6 + SLICE_GROUPS_MAX, false),
            (u64::MAX, false),
        ] {
            let message = TransferMessage::Request {
                content: content(),
                slice: GroupRange::new(5, end),
            };
            assert_eq!(message.validate().is_ok(), good, "5..{end}");
        }
    }

    #[test]
    fn too_many_pieces_are_told_as_the_longest() {
        let scattered: GroupSet = (0..10_000)
            .map(|n| GroupRange::new(n * 100, n * 100 + 1 + n % 50))
            .collect();
        let Have::Some(told) = Have::of(&scattered, 1 << 40) else {
            panic!("not whole")
        };
        assert_eq!(told.runs().len(), HAVE_RUNS_MAX);
        assert!(told.runs().iter().all(|run| run.len() > 39));
        assert_eq!(told.difference(&scattered), GroupSet::new());
        assert_eq!(Have::of(&GroupSet::whole(5), 5), Have::Whole);
    }

    #[test]
    fn every_variant_is_counted() {
        let last = TransferMessage::Given {
            content: content(),
            groups: GroupSet::new(),
        };
        assert_eq!(
            u32::from(encode(&last)[0]) + 1,
            TransferMessage::VARIANTS,
            "the number is the last variant's and one"
        );
    }

    proptest! {
        #[test]
        fn the_bound_on_an_encoding_holds_for_full_trees(groups in 1_u64..5_000, start in 0_u64..5_000, len in 1_u64..64) {
            // Count the parents above the slice in a left-complete tree, level by level.
            let start = start % groups;
            let end = (start + len).min(groups);
            let (mut first, mut last, mut width, mut parents) = (start, end - 1, groups, 0);
            while width > 1 {
                (first, last, width) = (first / 2, last / 2, width.div_ceil(2));
                parents += last - first + 1;
            }
            let size = groups * GROUP_BYTES;
            let slice = GroupRange::new(start, end);
            prop_assert!(slice_bytes_max(slice, size) >= slice.len() * GROUP_BYTES + 64 * parents);
        }
    }
}
