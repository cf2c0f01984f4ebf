//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;

use gannet_base::{ContentId, GroupRange};

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another running program has this data directory. Stop it, or give this
    /// one another data directory.
    #[error("the data directory {path} is in use by another gannet{}", pid_text(*.pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Process id of the holder, if it could be read.
        pid: Option<u32>,
    },
    /// The data directory was written by a later version of this program. Use
    /// that version, or another data directory.
    #[error(
        "the data directory {path} has format {found}, this version of gannet knows formats up to {known}"
    )]
    NewerVersion {
        /// The data directory.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// The version stamp of the data directory is not one. Probably it is not
    /// a data directory of gannet: give another.
    #[error("{path} is not a version stamp of gannet: is this its data directory?")]
    Stamp {
        /// The stamp file.
        path: PathBuf,
    },
    /// A directory or file of the data directory cannot be made, read or
    /// written. Check that the place exists, is writable and has room.
    #[error("cannot use {path}: {source}")]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The catalogue could not be opened, for another reason than corruption
    /// (a corrupt one is moved aside and built anew).
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

/// The catalogue could not be read or written: usually a full or failing disk.
/// What was committed before is still there.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The disk is full. Make room; the operation can then be repeated.
    #[error("the disk of the data directory is full")]
    DiskFull,
    /// The database failed.
    #[error("the catalogue failed: {0}")]
    Database(#[source] Box<redb::Error>),
}

/// Why a folder or file is not shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is nothing at this path.
    #[error("{path} does not exist")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path cannot be read: check its permissions.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is neither a folder nor a regular file.
    #[error("{path} is neither a folder nor a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is shared already.
    #[error("{path} is shared already, as {name}")]
    AlreadyShared {
        /// The path.
        path: PathBuf,
        /// The share's name.
        name: String,
    },
    /// It is the root, a home folder or a system folder: sharing it would
    /// publish keys, mail and passwords. Share a folder inside it, or force.
    #[error(
        "{path} is {what}: sharing it would publish private files; share a folder inside it instead"
    )]
    TooWide {
        /// The path.
        path: PathBuf,
        /// What it is, in words.
        what: &'static str,
    },
    /// The deny-list forbids it: it holds keys, passwords or gannet's own
    /// state.
    #[error("{path} is never shared: {reason}")]
    Denied {
        /// The path.
        path: PathBuf,
        /// Why, in words.
        reason: &'static str,
    },
    /// Nothing is shared under this path.
    #[error("{path} is not shared")]
    NotShared {
        /// The path.
        path: PathBuf,
    },
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why a scan stopped early. What it had committed is kept; the next scan goes
/// on from there.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// An outboard could not be written: usually the disk of the data
    /// directory is full.
    #[error("cannot write {path}: {source}")]
    Outboard {
        /// The outboard.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why shares are not watched. They are still re-scanned when asked.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system's limit of watches is used up. On Linux raise
    /// `fs.inotify.max_user_watches`.
    #[error(
        "the system cannot watch that many folders (on Linux raise fs.inotify.max_user_watches)"
    )]
    TooMany,
    /// Watching failed.
    #[error("cannot watch {path}: {reason}")]
    Failed {
        /// The share.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why there is no link for a file.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The file lies in no shared folder, or the deny-list keeps it out.
    /// Share it or its folder first.
    #[error("{path} is not shared: share it or its folder first")]
    NotShared {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read, or changed while it was hashed.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder that cannot be linked to as a whole: empty, or too large.
    #[error("cannot make a link to {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: crate::InvalidManifest,
    },
    /// Its outboard or its catalogue record could not be written.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why a slice cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No shared file and no partial download has this content.
    #[error("{} is not shared", .content.short())]
    NotShared {
        /// The content.
        content: ContentId,
    },
    /// The file differs from what was hashed. It has been withdrawn, and the
    /// listener told; the next scan hashes it again.
    #[error("the file of {} has changed", .content.short())]
    Changed {
        /// The content that it was.
        content: ContentId,
    },
    /// The slice is empty, ends after the content, or is longer than
    /// [`SLICE_GROUPS_MAX`](crate::SLICE_GROUPS_MAX).
    #[error("groups {}..{} are not a slice of a content of {size} bytes", .slice.start, .slice.end)]
    OutOfRange {
        /// The slice.
        slice: GroupRange,
        /// The content's size in bytes.
        size: u64,
    },
    /// The partial download lacks some of these groups.
    #[error("groups {}..{} are not here yet", .slice.start, .slice.end)]
    NotYet {
        /// The slice.
        slice: GroupRange,
    },
    /// The disk failed. The file stays shared: the next read may succeed.
    #[error("cannot read the file of {}: {source}", .content.short())]
    Io {
        /// The content.
        content: ContentId,
        /// What the system said.
        source: io::Error,
    },
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why a slice was not written. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bytes do not verify against the content id: the source lied or is
    /// broken.
    #[error("the bytes are not those of the content, first seen at group {group}")]
    Corrupt {
        /// First group whose bytes, or whose proof, are wrong.
        group: u64,
    },
    /// Fewer bytes than the slice has.
    #[error("the slice ended after {bytes} bytes, {expected} were due")]
    Truncated {
        /// Bytes that came.
        bytes: u64,
        /// Bytes that the slice's encoding has.
        expected: u64,
    },
    /// More bytes than the slice has.
    #[error("the slice had {bytes} bytes, {expected} were due")]
    TooLong {
        /// Bytes that came.
        bytes: u64,
        /// Bytes that the slice's encoding has.
        expected: u64,
    },
    /// The claimed size differs from the one that is proven.
    #[error("a size of {claimed} bytes was claimed, {proven} is proven")]
    SizeMismatch {
        /// Bytes, as claimed.
        claimed: u64,
        /// Bytes, as proven.
        proven: u64,
    },
    /// The size is not proven yet, and only a slice with the last group can
    /// prove it.
    #[error("the size is not proven yet: the last group must come first")]
    SizeUnproven,
    /// The slice is empty, ends after the content, or is too long.
    #[error("groups {}..{} are not a slice of a content of {size} bytes", .slice.start, .slice.end)]
    OutOfRange {
        /// The slice.
        slice: GroupRange,
        /// The claimed size in bytes.
        size: u64,
    },
    /// The disk is full. What was written before is kept; write again when
    /// there is room.
    #[error("the disk of the download folder is full")]
    DiskFull,
    /// The disk failed.
    #[error("cannot write {path}: {source}")]
    Io {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The download was finished or cancelled meanwhile.
    #[error("the download is over")]
    Over,
}

/// Why a download could not be made, kept or finished.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is no download of this content.
    #[error("there is no download of {}", .content.short())]
    Unknown {
        /// The content.
        content: ContentId,
    },
    /// Groups are missing still.
    #[error("{missing} groups are missing still")]
    Incomplete {
        /// How many; all, if the size is not proven.
        missing: u64,
    },
    /// The disk is full. Everything committed is kept; try again when there is
    /// room.
    #[error("the disk is full")]
    DiskFull,
    /// The disk refused to keep what was written since the last checkpoint:
    /// those groups are no longer counted as there and must be fetched again.
    #[error("the disk lost what was written to {path}: {source}")]
    SyncFailed {
        /// The partial file or its outboard.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk failed.
    #[error("cannot use {path}: {source}")]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The catalogue failed; the file itself is complete in the download
    /// folder.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why the download of a folder does not go on.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// The list of the folder is none, or one that nobody may follow. Asking
    /// again brings the same.
    #[error("the link leads to nothing that can be fetched: {0}")]
    Manifest(#[from] crate::InvalidManifest),
    /// The list names other bytes for a file than it is made of. Whoever made
    /// the link lies or has a broken disk.
    #[error("the list of the folder is wrong: {path:?} is something else than it says")]
    Wrong {
        /// The file.
        path: String,
    },
    /// A download of it failed, or the disk.
    #[error(transparent)]
    Download(#[from] DownloadError),
}

/// Why groups were not copied from one place to another.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// They could not be read: fetch them from others.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// They could not be made to survive.
    #[error(transparent)]
    Download(#[from] DownloadError),
}
