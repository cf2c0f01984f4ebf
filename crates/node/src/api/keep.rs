//! Files that others keep for this peer, and what it keeps for them.

use std::path::PathBuf;

use gannet_base::{ContentId, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which file others are to keep. This peer must share it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum ToKeep {
    /// A file on the disk, in a shared folder.
    Path {
        /// Its absolute path.
        #[schema(value_type = String)]
        path: PathBuf,
    },
    /// A row of a search; the latest search if `search` is `None`.
    Row {
        /// The search's number.
        search: Option<u64>,
        /// The row's number.
        number: u32,
    },
    /// A `gannet:` link.
    Link {
        /// The link's text.
        link: String,
    },
}

/// A wish that others keep a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRequest {
    /// Which.
    pub file: ToKeep,
    /// How many peers are to hold each part of it, 1 to 32; 8 if `None`.
    #[serde(default)]
    pub copies: Option<u8>,
    /// For how many days, 1 to 366; 30 if `None`.
    #[serde(default)]
    pub days: Option<u32>,
}

/// One of this peer's files that others keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeptFile {
    /// The content.
    #[schema(value_type = super::schema::ContentId)]
    pub content: ContentId,
    /// What it is called.
    pub name: String,
    /// Its path, as others see it.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Copies wanted of every part.
    pub copies: u8,
    /// Copies of the part that has fewest, as last heard: those that are here, those
    /// on their way and those that are expected back.
    pub copies_kept: u8,
    /// The same, of those that are complete and at peers that are online.
    pub copies_online: u8,
    /// How many there can be: as many as wanted, or as there are other peers on the
    /// ring.
    pub copies_possible: u8,
    /// Its parts, of 16 MiB.
    pub blocks: u32,
    /// Parts with as many copies as wanted.
    pub blocks_kept: u32,
    /// Why peers refuse to hold it, in plain words, if copies are missing for that.
    pub refused: Option<String>,
    /// When it ends, in seconds since 1970.
    pub expires_unix_seconds: u64,
    /// Seconds until then; 0 if it is over.
    pub seconds_left: u64,
}

impl KeptFile {
    /// Whether there are as many copies now as there can be.
    pub fn is_placed(&self) -> bool {
        self.copies_online >= self.copies_possible
    }
}

/// Whose wish it is that a file is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldOrder {
    /// Who.
    #[schema(value_type = super::schema::PeerId)]
    pub keeper: PeerId,
    /// Copies wanted.
    pub copies: u8,
    /// When it ends, in seconds since 1970.
    pub expires_unix_seconds: u64,
    /// Seconds until then; 0 if it is over.
    pub seconds_left: u64,
}

/// A file of which this peer holds parts for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldFile {
    /// The content.
    #[schema(value_type = super::schema::ContentId)]
    pub content: ContentId,
    /// What its keeper calls it: a text from a stranger.
    pub name: String,
    /// Its path there: a text from a stranger.
    pub path: String,
    /// Length of the whole file in bytes, as its keeper says until a part is here.
    pub size: u64,
    /// Its parts, of 16 MiB.
    pub blocks: u32,
    /// Of these, those that are here.
    pub blocks_held: u32,
    /// Those that are being fetched.
    pub blocks_coming: u32,
    /// What these take of the granted space, bytes.
    pub bytes: u64,
    /// Whose wish it is.
    pub orders: Vec<HeldOrder>,
}

/// What this peer's owner does not want to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Refused {
    /// A content.
    Content {
        /// Which.
        #[schema(value_type = super::schema::ContentId)]
        content: ContentId,
    },
    /// Anything that this peer wants kept.
    Keeper {
        /// Who.
        #[schema(value_type = super::schema::PeerId)]
        keeper: PeerId,
    },
}

/// What is kept, in sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeepingInfo {
    /// Space granted to others, bytes.
    pub grant_bytes: u64,
    /// Bytes of it that are taken, what is being fetched included.
    pub held_bytes: u64,
    /// Parts of files held for others, those being fetched included.
    pub held_blocks: u64,
    /// Own files that others keep.
    pub kept_files: u64,
    /// Parts of files whose copies this peer looks after.
    pub looked_after: u64,
    /// Copies of others that turned out not to be there, since the start.
    pub disbelieved: u64,
}
