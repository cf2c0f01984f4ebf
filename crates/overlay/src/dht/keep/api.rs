//! What the layer above asks of the keeping of files, and what it is told.

use gannet_base::{
    BlockId, ContentId, FileEntry, GroupRange, GroupSet, KeepOrder, KeepRelease, PeerAddress,
    PeerId,
};
use serde::{Deserialize, Serialize};

/// What the layer above asks for, or reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepCommand {
    /// How much space this peer grants others. If less than is used, what came
    /// last is dropped.
    Grant {
        /// Bytes of content; 0: nothing is held.
        bytes: u64,
    },
    /// Keep this file of this peer's at others. Replaces an older order for the same
    /// content. The order must be signed by this peer, and the file be shared by it
    /// until the copies are made.
    Keep(Box<KeepOrder>),
    /// Keep it no more. The release must be signed by this peer.
    Unkeep(Box<KeepRelease>),
    /// A block that was to be fetched is here, verified and on the disk, and the
    /// content has the size that its entry says.
    Held(BlockId),
    /// A block could not be fetched: its sources are gone, the disk is full, or the
    /// content has another size.
    FetchFailed(BlockId),
    /// A block that was here is not any more, or its bytes have changed.
    Lost(BlockId),
    /// Do not hold this. What is held of it is dropped.
    Refuse(Refusal),
    /// Hold it again if asked.
    Allow(Refusal),
    /// At the start: what was remembered, and what of it was found on the disk.
    Restore {
        /// As saved on [`KeepEvent::Changed`].
        saved: Box<KeepSaved>,
        /// The blocks of it that are on the disk.
        here: Vec<BlockId>,
    },
    /// The answer to [`KeepEvent::Prove`].
    Proof {
        /// The event's number.
        id: u64,
        /// See [`proof`](super::proof); nothing if the bytes cannot be read.
        proof: Option<[u8; 32]>,
    },
}

/// What the layer above is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepEvent {
    /// Fetch this part of a content, keep it, and serve it; answered by
    /// [`KeepCommand::Held`] or [`KeepCommand::FetchFailed`].
    Fetch {
        /// Which block.
        block: BlockId,
        /// The file's entry, as its keeper signed it.
        entry: Box<FileEntry>,
        /// The groups of the block, and the content's last one, which proves the size.
        groups: GroupSet,
        /// Who has it, or parts of it.
        from: Vec<PeerAddress>,
    },
    /// Stop fetching this part, delete what is here of it, and serve it no more.
    Drop {
        /// Which block.
        block: BlockId,
        /// Its groups; the content's last one stays while other blocks of it are held.
        groups: GroupSet,
        /// Why.
        reason: DropReason,
    },
    /// Blocks of this content are here: publish this peer as a source.
    Serve(Box<FileEntry>),
    /// None are any more: withdraw that.
    Withdraw(Box<FileEntry>),
    /// How an own file is kept has changed.
    Status(KeepStatus),
    /// What is to be remembered has changed: save it soon.
    Changed,
    /// Read these groups of a content that is here, and answer with
    /// [`KeepCommand::Proof`].
    Prove {
        /// To be echoed.
        id: u64,
        /// Which content.
        content: ContentId,
        /// Its groups.
        groups: GroupRange,
        /// For [`proof`](super::proof).
        nonce: u64,
        /// For [`proof`](super::proof): this peer, or the one that is checked.
        prover: PeerId,
    },
}

/// Why a block is not held any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DropReason {
    /// The order's time is over.
    Expired,
    /// Its keeper released it.
    Released,
    /// This peer's owner does not want it.
    Refused,
    /// Less space is granted than before.
    Grant,
    /// There are enough other copies, and the space was needed.
    Spare,
    /// It was not on the disk at the start, or only in part.
    Incomplete,
}

/// What this peer's owner does not want to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// A content.
    Content(ContentId),
    /// Anything of this keeper.
    Keeper(PeerId),
}

/// Why a peer does not take a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RefusalReason {
    /// It grants no space.
    NoGrant,
    /// The space is full.
    Full,
    /// This keeper has its share of the space.
    KeeperShare,
    /// Its owner does not want the content, or anything of the keeper.
    Unwanted,
    /// The order is not signed, has expired, or has not begun.
    Order,
    /// The keeper has released it.
    Released,
    /// The block belongs to another part of the ring.
    Far,
    /// It has enough to do.
    Busy,
}

/// How an own file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepStatus {
    /// Which.
    pub content: ContentId,
    /// Copies wanted.
    pub copies: u8,
    /// Its blocks.
    pub blocks: u32,
    /// Of these, how many have as many copies as wanted; those being fetched, and
    /// those of peers that are expected back, count.
    pub blocks_kept: u32,
    /// Copies of the block that has fewest.
    pub copies_min: u8,
    /// The same, of those that are online and complete.
    pub online_min: u8,
    /// Why peers refuse, if copies are missing for that.
    pub refused: Option<RefusalReason>,
}

/// A block that is held for others, for this peer's owner to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldInfo {
    /// Which.
    pub block: BlockId,
    /// What its keepers call the file.
    pub entry: FileEntry,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it is here; if not, it is being fetched.
    pub is_here: bool,
    /// Whose wish it is, and until when.
    pub orders: Vec<KeepOrder>,
}

/// An own file that others keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptInfo {
    /// The order.
    pub order: KeepOrder,
    /// How it is kept, as last heard.
    pub status: KeepStatus,
}

/// What survives the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeepSaved {
    /// How often this peer has come back with what it held.
    pub returns: u8,
    /// Orders for what it holds.
    pub orders: Vec<KeepOrder>,
    /// The blocks that it holds, or is fetching.
    pub blocks: Vec<BlockId>,
    /// Own orders.
    pub kept: Vec<KeepOrder>,
    /// Releases, until when each is remembered, and the blocks in question.
    pub releases: Vec<(KeepRelease, gannet_base::WallTime, Vec<u32>)>,
    /// What its owner does not want.
    pub refusals: Vec<Refusal>,
}
