//! What holders, keepers and responsible nodes say to each other.

use std::net::SocketAddr;

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed, WireMessage};
use gannet_base::{BlockId, ContentId, KeepOrder, KeepRelease, PeerAddress, PeerId, WallTime};
use serde::{Deserialize, Serialize};

use super::api::RefusalReason;
use crate::dht::position::Position;

/// Most blocks in one message.
// Derived: with the list headers at their most, 20 KiB.
pub const BLOCKS_LISTED_MAX: usize = 2_048;
/// Most lists of blocks in one message.
pub const LISTS_MAX: usize = 256;
/// Most orders in one message; each has at most 2.1 KiB.
pub const ORDERS_LISTED_MAX: usize = 16;
/// Most orders for one content, of different keepers.
// Guess: a file that four keep is kept.
pub const ORDERS_OF_CONTENT_MAX: usize = 4;
/// Most other holders of one block in a message.
// Derived: as many as the most copies.
pub const MATES_LISTED_MAX: usize = 32;
/// Most other holders in a message.
// Derived: 12 bytes each, within half a frame.
pub const MATES_TOTAL_MAX: usize = 2_048;
/// Most sources named with an offer.
// Guess: a block comes from a few.
pub const SOURCES_LISTED_MAX: usize = 12;

/// Some blocks of one content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// The content.
    pub content: ContentId,
    /// Indices of its blocks.
    pub blocks: Vec<u32>,
}

/// What a claimer is to the blocks that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Has them.
    Holds,
    /// Is fetching them, or waits for its turn.
    Fetches,
    /// Wants them kept, and has them itself.
    Keeps {
        /// It has not heard of any copy yet: nobody needs to be waited for.
        fresh: bool,
    },
}

/// Another holder of a block, as told by a node that was responsible for it: enough to
/// count it when it is away, and to know it when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mate {
    /// The first bytes of its peer id.
    pub tag: [u8; 8],
    /// How often it has come back before.
    pub returns: u8,
    /// How long it has been away, minutes; 0 if it is there.
    pub minutes: u16,
}

/// The tag of a peer in [`Mate`].
pub(super) fn tag_of(peer: PeerId) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&peer.as_bytes()[..8]);
    tag
}

/// Holders, by the block's index.
pub type MateLists = Vec<(u32, Vec<Mate>)>;

/// Blocks of one content that a peer claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimList {
    /// Which.
    pub list: BlockList,
    /// As what.
    pub role: Role,
    /// A digest of the orders for the content that the claimer knows.
    pub stamp: u64,
    /// Other holders of the blocks, as the last responsible node told.
    pub mates: MateLists,
}

/// How a block is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Copies {
    /// Holders that are online and have it.
    pub online: u8,
    /// These, those that are fetching it, and those that are expected back.
    pub kept: u8,
    /// Why the last one that was asked refused, while copies are missing.
    pub refused: Option<RefusalReason>,
}

/// What [`Kept files`](super) are about on the wire. A claim is answered by
/// [`Noted`](Self::Noted), an offer by [`Answer`](Self::Answer), a challenge by
/// [`Proof`](Self::Proof).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepMessage {
    /// To the responsible node: these blocks I have, or want kept.
    Claim {
        /// The sender's clock.
        at: Option<WallTime>,
        /// How often the sender has come back with what it held.
        returns: u8,
        /// It follows orders that were asked for; not to be asked for again.
        again: bool,
        /// Where the sender can be reached, as it believes.
        addresses: Vec<SocketAddr>,
        /// The blocks.
        lists: Vec<ClaimList>,
    },
    /// To a claimer.
    Noted {
        /// The sender's clock.
        at: Option<WallTime>,
        /// Send me your orders for these, and claim them again.
        unknown: Vec<BlockList>,
        /// I am not responsible for these.
        elsewhere: Vec<BlockList>,
        /// More than enough copies of these: give them up when you need the room.
        spare: Vec<BlockList>,
        /// Other holders of these: to be told to the next responsible node.
        mates: Vec<(ContentId, MateLists)>,
        /// To a keeper: how each block is kept.
        copies: Vec<(ContentId, Vec<(u32, Copies)>)>,
    },
    /// Orders that the receiver asked for, or lacks.
    Orders(Vec<KeepOrder>),
    /// To a node that is to hold blocks of one content.
    Offer {
        /// Who wants it: at least one.
        orders: Vec<KeepOrder>,
        /// Which blocks.
        blocks: Vec<u32>,
        /// Who has them, or parts of them.
        sources: Vec<PeerAddress>,
    },
    /// To the node that offered.
    Answer {
        /// The content.
        content: ContentId,
        /// Blocks that the sender will hold.
        taken: Vec<u32>,
        /// Blocks that it will not, and why.
        refused: Vec<(u32, RefusalReason)>,
    },
    /// To the responsible node: I hold these no more.
    Dropped(Vec<BlockList>),
    /// To a claimer: I am not responsible for these any more, claim them elsewhere.
    Moved(Vec<BlockList>),
    /// The keeper wants the content kept no more.
    Release {
        /// Its word.
        release: KeepRelease,
        /// Blocks that the receiver may hold or be responsible for.
        blocks: Vec<u32>,
    },
    /// Prove that you have this block.
    Challenge {
        /// Chosen at random; decides which part is asked for.
        nonce: u64,
        /// Which block.
        block: BlockId,
    },
    /// The sender has become responsible for these keys: who holds some claims them
    /// again, wherever the ring says.
    Call {
        /// The keys after this one,
        after: Position,
        /// up to this one.
        upto: Position,
    },
    /// The answer to a challenge.
    Proof {
        /// The challenge's number.
        nonce: u64,
        /// See [`proof`](super::proof); nothing if the block is not there.
        proof: Option<[u8; 32]>,
    },
}

impl WireMessage for KeepMessage {
    const VARIANTS: u32 = 11;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Claim {
                addresses, lists, ..
            } => {
                let few = addresses.len() <= PeerAddress::ADDRESSES_MAX;
                Malformed::unless(few, "addresses")?;
                are_few_mates(lists.iter().map(|claim| &claim.mates))?;
                are_few(lists.iter().map(|claim| claim.list.blocks.len()))
            }
            Self::Noted {
                unknown,
                elsewhere,
                spare,
                mates,
                copies,
                ..
            } => {
                are_few_mates(mates.iter().map(|(_, mates)| mates))?;
                let lists = [unknown, elsewhere, spare];
                let lists = lists.into_iter().flatten().map(|list| list.blocks.len());
                are_few(lists.chain(copies.iter().map(|(_, blocks)| blocks.len())))
            }
            Self::Orders(orders) => Malformed::unless(orders.len() <= ORDERS_LISTED_MAX, "orders"),
            Self::Offer {
                orders,
                blocks,
                sources,
            } => {
                let few = (1..=ORDERS_OF_CONTENT_MAX).contains(&orders.len());
                Malformed::unless(few, "orders")?;
                let content = orders.first().map(|order| order.entry.content);
                let one = orders
                    .iter()
                    .all(|order| Some(order.entry.content) == content);
                Malformed::unless(one, "orders")?;
                Malformed::unless(sources.len() <= SOURCES_LISTED_MAX, "sources")?;
                are_few([blocks.len()])
            }
            Self::Answer { taken, refused, .. } => are_few([taken.len() + refused.len()]),
            Self::Dropped(lists) | Self::Moved(lists) => {
                are_few(lists.iter().map(|list| list.blocks.len()))
            }
            Self::Release { blocks, .. } => are_few([blocks.len()]),
            Self::Challenge { .. } | Self::Call { .. } | Self::Proof { .. } => Ok(()),
        }
    }
}

fn are_few(lists: impl IntoIterator<Item = usize>) -> Result<(), Malformed> {
    let (mut count, mut blocks) = (0_usize, 0_usize);
    for list in lists {
        count += 1;
        blocks = blocks.saturating_add(list);
    }
    // An answer has a list more for each thing that it says of a content.
    Malformed::unless(count <= 4 * LISTS_MAX, "lists")?;
    Malformed::unless(blocks <= BLOCKS_LISTED_MAX, "blocks")
}

fn are_few_mates<'a>(lists: impl Iterator<Item = &'a MateLists>) -> Result<(), Malformed> {
    let (mut blocks, mut total) = (0_usize, 0_usize);
    for list in lists {
        blocks += list.len();
        for (_, mates) in list {
            Malformed::unless(mates.len() <= MATES_LISTED_MAX, "mates")?;
            total += mates.len();
        }
    }
    Malformed::unless(blocks <= BLOCKS_LISTED_MAX, "mates")?;
    Malformed::unless(total <= MATES_TOTAL_MAX, "mates")
}

/// Puts blocks into lists of one content each, and these into messages that are
/// short enough.
pub(super) fn listed(blocks: impl IntoIterator<Item = BlockId>) -> Vec<Vec<BlockList>> {
    let mut messages: Vec<Vec<BlockList>> = Vec::new();
    let mut room = 0;
    for block in blocks {
        if room == 0 {
            messages.push(Vec::new());
            room = BLOCKS_LISTED_MAX;
        }
        let Some(lists) = messages.last_mut() else {
            break;
        };
        match lists
            .last_mut()
            .filter(|list| list.content == block.content)
        {
            Some(list) => list.blocks.push(block.index),
            None => lists.push(BlockList {
                content: block.content,
                blocks: vec![block.index],
            }),
        }
        room -= 1;
        if messages
            .last()
            .is_some_and(|lists| lists.len() >= LISTS_MAX)
        {
            room = 0;
        }
    }
    messages
}

/// The blocks in lists.
pub(super) fn blocks_of(lists: &[BlockList]) -> impl Iterator<Item = BlockId> + '_ {
    lists.iter().flat_map(|list| {
        let content = list.content;
        let blocks = list.blocks.iter();
        blocks.map(move |index| BlockId {
            content,
            index: *index,
        })
    })
}
