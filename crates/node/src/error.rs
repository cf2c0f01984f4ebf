//! What can go wrong when a node is asked for something, in words that say what
//! to do next.

use std::net::SocketAddr;
use std::path::PathBuf;

use gannet_base::{ContentId, InvalidKeep, ParseLinkError, PeerId};

/// The node has stopped, so it cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer has stopped")]
pub struct Stopped;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another node runs on the data directory: stop it or name another with
    /// `--data-dir`.
    #[error("another Gannet (process {pid}) is using {}; stop it, or use another --data-dir", data_dir.display())]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The other's process id; 0 if unknown.
        pid: u32,
    },
    /// The data directory was written by a later version.
    #[error(
        "{} was written by a newer Gannet (format {found}, this one knows {known}); \
         use that version, or another --data-dir", data_dir.display()
    )]
    NewerVersion {
        /// The data directory.
        data_dir: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The files in the data directory cannot be used.
    #[error("cannot use the data directory {}: {reason}", data_dir.display())]
    DataDir {
        /// The data directory.
        data_dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The port is taken.
    #[error(
        "cannot listen on {address}: it is in use; choose another with --listen, or port 0 for any"
    )]
    AddressInUse {
        /// Which address.
        address: SocketAddr,
    },
    /// The network could not be opened.
    #[error("cannot open the network: {reason}")]
    Network {
        /// What was said.
        reason: String,
    },
    /// The secret file is missing, empty or unreadable.
    #[error("cannot read the network secret from {}: {reason}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder to be shared is not usable.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// Why a search did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The query is not one; the text says why.
    #[error("{0}")]
    Query(String),
    /// Too many searches run at once.
    #[error("{running} searches are running already; wait for one to end")]
    TooMany {
        /// How many.
        running: usize,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a download was not started or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// There was no such search.
    #[error("there is no search to take row {number} from; run `gannet search` first")]
    UnknownSearch {
        /// The row that was wanted.
        number: u32,
    },
    /// The search has no such row.
    #[error("the search for \"{query}\" has no row {number}, it has {rows}")]
    UnknownRow {
        /// The row that was wanted.
        number: u32,
        /// The search's words.
        query: String,
        /// How many rows it has.
        rows: usize,
    },
    /// There is no download of that number.
    #[error("there is no download {number}; `gannet downloads` lists them")]
    UnknownDownload {
        /// The number.
        number: u32,
    },
    /// The link is not one.
    #[error("this is not a link to a file: {0}")]
    Link(#[from] ParseLinkError),
    /// The content is shared or downloaded already.
    #[error("you have this file already: {}", path.display())]
    AlreadyHave {
        /// Where.
        path: PathBuf,
    },
    /// It is coming already, as a part of a folder.
    #[error("it is coming as a part of download {number}, {name}")]
    PartOf {
        /// The number of the folder's download.
        number: u32,
        /// The folder.
        name: String,
    },
    /// It is finished or has failed, so it cannot be paused or resumed.
    #[error("download {number} is {state}: nothing to change")]
    Over {
        /// The number.
        number: u32,
        /// What it is.
        state: &'static str,
    },
    /// Too many downloads.
    #[error("there are {max} downloads already; cancel or finish some")]
    TooMany {
        /// The most there may be.
        max: usize,
    },
    /// The download's files cannot be made.
    #[error("cannot start the download: {0}")]
    Store(String),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a folder cannot be shared or unshared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The store refused; the text says why and what to do.
    #[error("cannot share {}: {reason}", path.display())]
    Refused {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is not shared.
    #[error("{} is not a shared folder; `gannet share list` shows them", path.display())]
    NotShared {
        /// The folder.
        path: PathBuf,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a peer's shares cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrowseError {
    /// The peer could not be reached.
    #[error("cannot reach {}: {reason}", peer.short())]
    Unreachable {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: String,
    },
    /// It answered with something else than a list.
    #[error("{} gave an answer that makes no sense", peer.short())]
    Nonsense {
        /// Who.
        peer: PeerId,
    },
    /// It does not let others browse, or shares nothing.
    #[error("{} does not let its files be listed", peer.short())]
    Refused {
        /// Who.
        peer: PeerId,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why there is no link to a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is a folder that cannot be linked to as a whole.
    #[error("{reason}")]
    Folder {
        /// Which, and why, in words.
        reason: String,
    },
    /// It is not in a shared folder.
    #[error("{} is not in a shared folder; share its folder first with `gannet share add`", path.display())]
    NotShared {
        /// The file.
        path: PathBuf,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a file is not kept by others, or what is held for them not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The dht overlay is switched off.
    #[error(
        "files are kept by the peers of a ring, and the dht overlay is switched off; start with \
         --overlay hub,supernode,dht,flood, or put that into `overlays` of the configuration"
    )]
    Off,
    /// This peer has no place on the ring.
    #[error(
        "this peer has no place on the ring, so others cannot fetch the file from it; set \
         `member = true` in the section `dht` of the configuration"
    )]
    NoPlace,
    /// The file is not one that this peer shares.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// There was no such search.
    #[error("there is no search to take row {number} from; run `gannet search` first")]
    UnknownSearch {
        /// The row that was wanted.
        number: u32,
    },
    /// The search has no such row.
    #[error("the search for \"{query}\" has no row {number}, it has {rows}")]
    UnknownRow {
        /// The row that was wanted.
        number: u32,
        /// The search's words.
        query: String,
        /// How many rows it has.
        rows: usize,
    },
    /// The text is no link.
    #[error("this is not a link to a file: {0}")]
    NoLink(#[from] ParseLinkError),
    /// This peer does not have the file.
    #[error(
        "this peer does not share {name}, and only what it shares can be kept by others: get it \
         first with `gannet get`"
    )]
    NotHere {
        /// What it is called, or its id.
        name: String,
    },
    /// So many copies, or so many days, are not possible; the text says what is.
    #[error("{0}")]
    Bounds(String),
    /// The file cannot be kept, as it is too large or has an impossible name.
    #[error("this file cannot be kept: {0}")]
    Order(#[from] InvalidKeep),
    /// Too many files are kept already.
    #[error("others keep {max} files for this peer already; release some with `gannet unkeep`")]
    TooMany {
        /// The most there may be.
        max: usize,
    },
    /// It is not kept.
    #[error("{} is not kept by others; `gannet kept` lists what is", content.short())]
    NotKept {
        /// The content.
        content: ContentId,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
