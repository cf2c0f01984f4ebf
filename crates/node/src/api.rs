//! What a node says of itself: plain values, made to be shown, sent as JSON and
//! read back.

mod dht;
mod event;
mod keep;
mod page;
mod schema;
mod supernode;

use std::net::SocketAddr;
use std::path::PathBuf;

use gannet_base::{ContentId, FileEntry, FileKind, Media, PeerAddress, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use dht::{DhtInfo, DhtReach};
pub use event::NodeEvent;
pub use keep::{HeldFile, HeldOrder, KeepRequest, KeepingInfo, KeptFile, Refused, ToKeep};
pub use page::{
    Check, Pointer, RingMap, RingPlace, SelfTest, Settings, SettingsChange, SharedFile,
    SharedFiles, Verdict,
};
pub use supernode::{HomeInfo, Role, SupernodeInfo, SupernodeReach, Tie};

/// The answer to "is it working?".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Who this peer is.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// What others type after `--peer` or `--hub` to reach it.
    #[schema(value_type = schema::PeerAddress)]
    pub address: PeerAddress,
    /// Program and version.
    pub agent: String,
    /// The network's name.
    pub network: String,
    /// Whether the network has a secret.
    pub private: bool,
    /// Seconds since the node started.
    pub uptime_seconds: u64,
    /// Where its own files are.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// Where finished downloads land.
    #[schema(value_type = String)]
    pub download_dir: PathBuf,
    /// The hubs that it was told to use, in that order.
    pub hubs: Vec<HubInfo>,
    /// What it serves as a hub; `None` if it is none.
    pub hub: Option<HubServerInfo>,
    /// Names of the overlays that are switched on.
    pub overlays: Vec<String>,
    /// How it is connected to neighbours; `None` if flood is switched off.
    pub flood: Option<FloodInfo>,
    /// How it takes part in the supernode overlay; `None` if that is switched
    /// off.
    pub supernode: Option<SupernodeInfo>,
    /// How it takes part in the dht overlay; `None` if that is switched off.
    pub dht: Option<DhtInfo>,
    /// What it shares.
    pub shares: SharesSummary,
    /// What moves.
    pub traffic: Traffic,
    /// How many peers are connected.
    pub peers_connected: u32,
    /// What is wrong now, in plain words with what to do; empty when all is
    /// well.
    pub problems: Vec<String>,
}

/// One hub, seen by a peer that uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HubInfo {
    /// Which hub.
    #[schema(value_type = schema::PeerId)]
    pub hub: PeerId,
    /// Whether it is connected and answers.
    pub connected: bool,
    /// How many of this peer's files it has registered.
    pub registered: u64,
    /// How long its last keep-alive took, in milliseconds.
    pub answer_ms: Option<u64>,
    /// Why it is not connected, in plain words.
    pub problem: Option<String>,
}

/// How a peer is connected to neighbours that pass questions on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FloodInfo {
    /// Neighbours that it has.
    pub neighbours: u32,
    /// Neighbours that it wants.
    pub neighbours_target: u32,
    /// Other peers that it knows of, to take the place of neighbours that go.
    pub known_peers: u64,
    /// Questions of others that it has looked into its files for.
    pub questions: u64,
    /// Why there are no neighbours, in plain words.
    pub problem: Option<String>,
}

/// What a hub holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HubServerInfo {
    /// Registered peers.
    pub peers: u64,
    /// Registered entries.
    pub entries: u64,
    /// Different contents among them.
    pub contents: u64,
    /// Searches answered since the start.
    pub searches: u64,
}

/// What a peer shares, in sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharesSummary {
    /// Shared folders.
    pub folders: u32,
    /// Shared files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them searches find, while those that were shared before
    /// this peer started are not all found yet.
    pub ready: Option<u64>,
    /// How far hashing is, while it goes on.
    pub scanning: Option<ScanProgress>,
}

/// How far a scan is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanProgress {
    /// Files looked at so far.
    pub files_seen: u64,
    /// Files hashed so far.
    pub files_hashed: u64,
    /// Bytes hashed so far.
    pub bytes_hashed: u64,
    /// Bytes still known to be hashed.
    pub bytes_left: u64,
}

/// What moves through a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Downloads that are receiving.
    pub downloads_active: u32,
    /// Peers that are being served.
    pub uploads_active: u32,
    /// Peers that wait to be served.
    pub uploads_queued: u32,
    /// Content bytes a second coming in.
    pub down_bytes_per_second: u64,
    /// Content bytes a second going out.
    pub up_bytes_per_second: u64,
    /// Content bytes received and verified since the start.
    pub received_bytes: u64,
    /// Content bytes sent since the start.
    pub sent_bytes: u64,
    /// Transfers that go by TCP now, either direction.
    pub tcp_transfers: u32,
    /// Bytes of transfers received by TCP since the start: content and hashes.
    pub tcp_received_bytes: u64,
    /// The same, sent.
    pub tcp_sent_bytes: u64,
    /// TCP connections for transfers that could not be made, or broke.
    pub tcp_failures: u64,
    /// TCP connections turned away: of nobody who was expected.
    pub tcp_refusals: u64,
}

/// One shared folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareInfo {
    /// Where it is.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// What others see as the first part of its paths.
    pub name: String,
    /// Files shared from it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why it cannot be read now, in plain words.
    pub problem: Option<String>,
}

/// Which overlay found something, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundBy {
    /// The overlay's name: `hub`, `supernode`, `dht` or `flood`.
    pub overlay: String,
    /// The peer that the answer came from: the hub, the peer of the ring that
    /// lists it, or the supernode or neighbour that it came through.
    #[schema(value_type = schema::PeerId)]
    pub via: PeerId,
    /// Hops from the searcher to the answerer, as it says.
    pub hops: u32,
    /// Milliseconds from the question to the answer.
    pub milliseconds: u64,
}

/// One source of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceInfo {
    /// Who has it.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// What it is called there.
    pub path: String,
}

/// One row of a search: a content and who has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchRow {
    /// Its number in the list, from 1; what `gannet get N` takes. Numbers are
    /// given in the order of first appearance and stay.
    pub number: u32,
    /// The content.
    #[schema(value_type = schema::ContentId)]
    pub content: ContentId,
    /// What most sources call it: a display text from strangers.
    pub name: String,
    /// Length in bytes, as the sources say.
    pub size: u64,
    /// What kind of thing it is.
    #[schema(value_type = schema::FileKind)]
    pub kind: FileKind,
    /// What was read out of it.
    #[schema(value_type = schema::Media)]
    pub media: Media,
    /// How many peers have it.
    pub holders: u32,
    /// Some of them.
    pub sources: Vec<SourceInfo>,
    /// Who found it.
    pub found_by: Vec<FoundBy>,
    /// Whether this peer shares it already.
    pub have: bool,
}

/// What became of asking one hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Asked {
    /// The overlay's name: `hub`.
    pub overlay: String,
    /// Which hub.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// Whether an answer came.
    pub answered: bool,
    /// What it said or why it said nothing, in plain words.
    pub outcome: String,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// What one overlay did in a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OverlayEnd {
    /// Its name.
    pub overlay: String,
    /// Whether it has anybody to ask here: a hub that is named, a peer that is
    /// known.
    pub used: bool,
    /// Whether everybody that it can reach was asked and answered.
    pub complete: bool,
    /// Whom it asked and what became of it, in plain words.
    pub outcome: String,
    /// Different contents that it found.
    pub found: u32,
    /// Answers dropped because nobody had signed or nobody had asked for them.
    pub dropped: u64,
    /// How far a flood came.
    pub flood: Option<FloodReach>,
    /// How far it came through supernodes.
    pub supernode: Option<SupernodeReach>,
    /// How far it came on the ring.
    pub dht: Option<DhtReach>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// How far a flood came. Figures beyond the neighbours are claims of strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloodReach {
    /// Peers that looked at their files.
    pub asked: u32,
    /// Links not used because the peer behind them cannot have a match.
    pub ruled_out: u32,
    /// Links not used because the question had gone far enough.
    pub beyond: u32,
    /// Questions refused because a peer had too many.
    pub refused: u32,
    /// Peers that did not report in time, or were lost.
    pub silent: u32,
    /// How many times the question went out, each time further.
    pub rounds: u32,
    /// Most hops that it was allowed.
    pub hops_max: u32,
    /// Neighbours that it was sent to.
    pub neighbours: u32,
}

/// How a search ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchEnd {
    /// What became of asking each hub.
    pub asked: Vec<Asked>,
    /// What every overlay did that is switched on.
    pub overlays: Vec<OverlayEnd>,
    /// Whether everybody who can be asked was asked and answered: without rows,
    /// nobody has it.
    pub complete: bool,
    /// How many contents match in all, as the answerers say; rows may be fewer.
    pub total: u64,
    /// Answers dropped because their signature was wrong or nobody had asked for
    /// them.
    pub dropped: u64,
    /// The end in one plain sentence: "nobody has it", "I could not ask"…
    pub explanation: String,
}

/// A search as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchState {
    /// Its number.
    pub id: u64,
    /// The words.
    pub query: String,
    /// The rows, by number.
    pub rows: Vec<SearchRow>,
    /// How it ended; `None` while it runs.
    pub end: Option<SearchEnd>,
}

/// One step of a running search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum SearchUpdate {
    /// A row is new, or has changed: it replaces the one with its number.
    Row(SearchRow),
    /// The search is over.
    End(SearchEnd),
}

/// What to download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum DownloadRequest {
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

/// What a download is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DownloadState {
    /// Bytes are coming or about to.
    Active,
    /// It waits for something that `reason` names.
    Waiting,
    /// The user paused it.
    Paused,
    /// The disk is full; it goes on by itself when there is room.
    DiskFull,
    /// All bytes are there, verified, under their final name.
    Complete,
    /// It cannot go on; `reason` says why.
    Failed,
}

/// One download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownloadInfo {
    /// Its number, from 1; what `gannet downloads pause N` takes.
    pub number: u32,
    /// The content.
    #[schema(value_type = schema::ContentId)]
    pub content: ContentId,
    /// What it will be called.
    pub name: String,
    /// Length in bytes, once known; of a folder, of all its files together.
    pub size: Option<u64>,
    /// If it is a folder: how many files are in it; 0 while that is not known.
    pub files: Option<u64>,
    /// Verified bytes on the disk.
    pub have_bytes: u64,
    /// Verified bytes that came from others in this run: a resumed part does not
    /// count, what came twice counts twice.
    pub received_bytes: u64,
    /// How much of each 64th of it is here: 64 hexadecimal digits from 0 (nothing)
    /// to f (all). Nothing while the length is not known.
    pub pieces: String,
    /// Which goes first while more want to run than may: higher before lower.
    pub priority: u8,
    /// What it is doing.
    pub state: DownloadState,
    /// Why it is in that state, in plain words, where that is not plain.
    pub reason: Option<String>,
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Seconds left at that speed.
    pub seconds_left: Option<u64>,
    /// Its sources.
    pub sources: Vec<DownloadSource>,
    /// Where the finished file is.
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
    /// Milliseconds from the start of this run to its end, or to now.
    pub elapsed_ms: u64,
}

/// One source of a download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownloadSource {
    /// Who.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// What it is doing, in a word or two: `sending`, `queued`, `dialing`,
    /// `dropped`…
    pub state: String,
    /// Place in its queue, 1 = next.
    pub queue_position: Option<u32>,
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Verified bytes that it has sent.
    pub bytes: u64,
    /// Why it was dropped or waits, in plain words.
    pub reason: Option<String>,
}

/// One peer that this node serves, or that waits to be served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UploadInfo {
    /// Whom.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// What.
    #[schema(value_type = schema::ContentId)]
    pub content: ContentId,
    /// What it is called here.
    pub name: String,
    /// Place in the queue, 1 = next; `None` if it has a slot.
    pub queue_position: Option<u32>,
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// One connected peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfo {
    /// Who.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// Where, if directly connected.
    #[schema(value_type = Option<String>)]
    pub address: Option<SocketAddr>,
    /// Whether the bytes go through a relay.
    pub relayed: bool,
    /// Program and version that it announced: a text from a stranger.
    pub agent: String,
    /// Round trip in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// Bytes sent to it, all told.
    pub sent_bytes: u64,
    /// Bytes received from it, all told.
    pub received_bytes: u64,
    /// Seconds since it connected.
    pub connected_seconds: u64,
    /// Whether it is one of this node's hubs.
    pub is_hub: bool,
    /// Whether it is one of this node's neighbours.
    pub is_neighbour: bool,
    /// Whether it is just before or after this node on the ring.
    pub is_ring_neighbour: bool,
    /// What it is to this node in the supernode overlay, if anything.
    pub tie: Option<Tie>,
}

/// A page of what a peer shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BrowsePage {
    /// Whose.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// Entries in path order.
    #[schema(value_type = Vec<schema::FileEntry>)]
    pub entries: Vec<FileEntry>,
    /// How many it shares in all.
    pub total: u64,
}

/// A link to one of this peer's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkInfo {
    /// The link, to be given to others.
    pub link: String,
    /// The content.
    #[schema(value_type = schema::ContentId)]
    pub content: ContentId,
    /// Length in bytes; of a folder, of all its files together.
    pub size: u64,
    /// If it is a folder: how many files are in it.
    pub files: Option<u64>,
    /// Whether the file lies in a shared folder: if not, the link leads to
    /// nothing that this peer serves.
    pub shared: bool,
}
