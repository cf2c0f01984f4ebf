//! How a peer stands between supernodes and leaves.

use gannet_base::PeerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RoleWish;

/// Which of the two tiers a peer is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It registers its files at supernodes and asks them.
    #[default]
    Leaf,
    /// Leaves register at it; it asks other supernodes.
    Supernode,
}

impl Role {
    /// Its name, as users see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Supernode => "supernode",
        }
    }
}

/// What another peer is to this one in the two tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tie {
    /// The supernode that this leaf asks.
    Primary,
    /// The supernode that it asks when the other one is gone.
    Backup,
    /// A leaf that is registered here.
    Leaf,
    /// A supernode that is linked to this one.
    Link,
}

/// One of a leaf's supernodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HomeInfo {
    /// Which.
    #[schema(value_type = super::schema::PeerId)]
    pub supernode: PeerId,
    /// Whether it is the one that is asked; the other one is the backup.
    pub is_primary: bool,
    /// Whether it has welcomed this peer and answers.
    pub is_live: bool,
    /// How many of this peer's files it has registered.
    pub registered: u64,
}

/// How a peer takes part in the supernode overlay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupernodeInfo {
    /// Its role now.
    pub role: Role,
    /// Which role it may have.
    pub wish: RoleWish,
    /// A leaf's supernodes, the primary first; at most two.
    pub homes: Vec<HomeInfo>,
    /// For how many seconds this leaf has had no supernode, if it has none.
    pub unassigned_seconds: Option<u64>,
    /// Leaves that are registered here.
    pub leaves: u32,
    /// How many there may be.
    pub leaves_max: u32,
    /// Links to other supernodes.
    pub links: u32,
    /// Links that it wants, if there are so many supernodes.
    pub links_target: u32,
    /// Supernodes that it knows of.
    pub known_supernodes: u64,
    /// Files in its index: its own and those of its leaves.
    pub entries: u64,
    /// Searches of leaves taken since the start.
    pub leaf_searches: u64,
    /// Whether somebody has proven that it can be reached.
    pub is_reachable: bool,
    /// Whether it takes no more leaves because this machine is busy.
    pub is_busy: bool,
    /// Times that it became a supernode.
    pub promotions: u64,
    /// Those of them that it was elected to, because a supernode had died.
    pub elections: u64,
    /// Times that it stood down.
    pub demotions: u64,
    /// Supernodes of its own that it has lost.
    pub lost: u64,
    /// Why nobody can be asked this way, in plain words.
    pub problem: Option<String>,
}

/// How far a search through supernodes came. Figures beyond the own supernode
/// are claims of strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupernodeReach {
    /// Supernodes of its own that this leaf asked, one after the other; 0 if it
    /// is a supernode itself.
    pub own: u32,
    /// Rows that the first of all indexes had: the own supernode's, or this
    /// supernode's.
    pub own_rows: u32,
    /// Other supernodes that looked into their indexes.
    pub asked: u32,
    /// Links not used because the supernode behind them cannot have a match.
    pub ruled_out: u32,
    /// Links not used because the question had gone far enough.
    pub beyond: u32,
    /// Questions refused because a supernode had too many.
    pub refused: u32,
    /// Supernodes that did not report in time, or were lost.
    pub silent: u32,
    /// How many times the question went out, each time further.
    pub rounds: u32,
    /// Most hops among supernodes that it was allowed.
    pub hops_max: u32,
}
