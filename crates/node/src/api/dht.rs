//! How a peer stands on the ring.

use gannet_base::PeerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::KeepingInfo;

/// How a peer takes part in the dht overlay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtInfo {
    /// Whether it has found a ring with others.
    pub joined: bool,
    /// Whether it has a place on it, and keeps lists for others; else it only
    /// publishes and searches.
    pub is_member: bool,
    /// Where it is on the ring: 32 hexadecimal digits.
    pub position: String,
    /// The peer before it.
    #[schema(value_type = Option<super::schema::PeerId>)]
    pub predecessor: Option<PeerId>,
    /// The peers after it, the next one first.
    #[schema(value_type = Vec<super::schema::PeerId>)]
    pub successors: Vec<PeerId>,
    /// How many of those it wants, if there are so many peers.
    pub successors_target: u32,
    /// Other peers that it knows of.
    pub known_peers: u64,
    /// How many peers the ring has, as the distances to those nearby tell.
    pub peers_estimated: u64,
    /// Entries that it lists for others; one that is in several lists counts in
    /// each.
    pub entries: u64,
    /// Their bytes.
    pub entry_bytes: u64,
    /// Files of its own that are listed on the ring, or about to be.
    pub published: u64,
    /// Lists that these are to be in and are not yet.
    pub pending: u64,
    /// Questions for lists that it has answered since the start.
    pub answered: u64,
    /// What it keeps for others, and others for it.
    pub keeping: KeepingInfo,
    /// Why nobody can be asked this way, in plain words.
    pub problem: Option<String>,
}

/// How far a search came on the ring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtReach {
    /// Peers that were asked for what they list.
    pub asked: u32,
    /// Those of them that answered.
    pub answered: u32,
    /// Hops of the longest way to one of them.
    pub hops_max: u32,
    /// Messages sent for it, and answers to them.
    pub messages: u32,
}
