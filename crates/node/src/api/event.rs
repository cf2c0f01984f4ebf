//! What happens at a node, as it is told.

use std::path::PathBuf;

use gannet_base::{ContentId, PeerAddress, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DownloadState, Role, schema};

/// Something worth telling at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NodeEvent {
    /// A hub accepted this peer.
    HubUp {
        /// Which.
        #[schema(value_type = schema::PeerId)]
        hub: PeerId,
    },
    /// A hub was lost.
    HubDown {
        /// Which.
        #[schema(value_type = schema::PeerId)]
        hub: PeerId,
        /// Why, in plain words.
        reason: String,
    },
    /// A neighbour was won.
    NeighbourUp {
        /// Who.
        #[schema(value_type = schema::PeerId)]
        peer: PeerId,
    },
    /// A neighbour was lost.
    NeighbourDown {
        /// Who.
        #[schema(value_type = schema::PeerId)]
        peer: PeerId,
        /// Why, in plain words.
        reason: String,
    },
    /// This peer is in another tier now. Told at the start too.
    RoleChanged {
        /// Its role.
        role: Role,
    },
    /// A supernode has this peer as a leaf now.
    SupernodeUp {
        /// Which.
        #[schema(value_type = schema::PeerId)]
        supernode: PeerId,
        /// Whether it is the one that is asked; the other one is the backup.
        is_primary: bool,
    },
    /// A supernode is no longer this leaf's.
    SupernodeDown {
        /// Which.
        #[schema(value_type = schema::PeerId)]
        supernode: PeerId,
        /// Why, in plain words.
        reason: String,
    },
    /// This peer is on a ring with others now.
    RingJoined,
    /// It is on no ring with others any more.
    RingLost,
    /// All shares have been looked through.
    ScanFinished {
        /// Shared files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A download is finished.
    DownloadComplete {
        /// Its number.
        number: u32,
        /// The content.
        #[schema(value_type = schema::ContentId)]
        content: ContentId,
        /// Where the file is.
        #[schema(value_type = String)]
        path: PathBuf,
    },
    /// A download changed its state in another way.
    DownloadChanged {
        /// Its number.
        number: u32,
        /// What it is doing now.
        state: DownloadState,
        /// Why, in plain words.
        reason: Option<String>,
    },
    /// How others keep one of this peer's files has changed.
    KeptChanged {
        /// The content.
        #[schema(value_type = schema::ContentId)]
        content: ContentId,
        /// What it is called.
        name: String,
        /// Copies wanted.
        copies: u8,
        /// Copies of the part that has fewest.
        copies_kept: u8,
        /// The same, of those that are complete and online.
        copies_online: u8,
    },
    /// A source sent bytes that do not verify.
    SourceBanned {
        /// The download's number.
        number: u32,
        /// Who.
        #[schema(value_type = schema::PeerId)]
        peer: PeerId,
    },
    /// The node's addresses changed.
    AddressChanged {
        /// What others use now.
        #[schema(value_type = schema::PeerAddress)]
        address: PeerAddress,
    },
}
