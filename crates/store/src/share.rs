//! Shares: the folders and files that the user has chosen.
//!
//! The list lies in a file of its own, so that losing the catalogue costs a
//! re-scan and not the user's choices.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use gannet_base::{FileEntry, sanitise_line};
use serde::{Deserialize, Serialize};

use crate::ShareError;
use crate::backend::{RealDisk, bytes_path, path_bytes, replace};
use crate::catalogue::{DOWNLOADS_SHARE, FileRecord, ShareId};
use crate::deny;
use crate::sealed::{seal, unseal};

const VERSION: u32 = 1;

/// Longest name of a share, bytes. Paths of entries start with it.
// Guess: longer ones leave too little of the 1,024 bytes of a path.
const NAME_BYTES_MAX: usize = 128;

/// Whether a share can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareState {
    /// It is there.
    Available,
    /// It was not there when it was last looked at (unmounted, unreadable);
    /// its entries are withdrawn until it is back.
    Unavailable {
        /// Why, in words.
        reason: String,
    },
}

/// One shared folder or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareInfo {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its name: first component of the paths of its entries. Unique.
    pub name: String,
    /// Files shared now.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// Whether it can be served.
    pub state: ShareState,
}

/// What a share is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ShareKind {
    /// A folder with all that is in it.
    Folder,
    /// One file.
    File,
    /// The finished downloads, one by one; not all of the download folder.
    Downloads,
}

/// A share as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) id: ShareId,
    pub(crate) kind: ShareKind,
    pub(crate) name: String,
    root: Vec<u8>,
    /// Inode of the root when it was last seen: an unmounted folder is another
    /// one, and empty.
    pub(crate) root_ino: u64,
    pub(crate) unavailable: Option<String>,
}

impl Share {
    pub(crate) fn root(&self) -> PathBuf {
        bytes_path(&self.root)
    }

    /// The path on disk of a path below the root.
    pub(crate) fn full(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() {
            self.root()
        } else {
            self.root().join(bytes_path(path))
        }
    }

    /// The path below the root of a path on disk; None if it is not inside.
    pub(crate) fn relative(&self, path: &Path) -> Option<Vec<u8>> {
        path.strip_prefix(self.root()).ok().map(path_bytes)
    }
}

/// All shares, as they lie in their file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// Number of the next share.
    next: ShareId,
    pub(crate) list: Vec<Share>,
}

impl Shares {
    /// Reads the list; an empty one if there is none. A damaged one is an
    /// error: guessing what the user wants to publish is not for a program.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => unseal(VERSION, &bytes)
                .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        replace(&RealDisk, path, &seal(VERSION, self))
    }

    /// Adds a share under a name of its own.
    pub(crate) fn add(&mut self, root: &Path, kind: ShareKind, root_ino: u64) -> Share {
        let id = if kind == ShareKind::Downloads {
            DOWNLOADS_SHARE
        } else {
            self.next += 1;
            self.next
        };
        let share = Share {
            id,
            kind,
            name: self.free_name(root),
            root: path_bytes(root),
            root_ino,
            unavailable: None,
        };
        // Finished downloads come last.
        let place = self.list.partition_point(|other| other.id < id);
        self.list.insert(place, share.clone());
        share
    }

    fn free_name(&self, root: &Path) -> String {
        let base = root
            .file_name()
            .map(|name| sanitise_line(&name.to_string_lossy()).replace('/', "_"))
            .filter(|name| !matches!(name.as_str(), "" | "." | ".."))
            .unwrap_or_else(|| "files".to_owned());
        let base = shorten(&base, NAME_BYTES_MAX);
        let taken = |name: &str| {
            let folded = name.to_lowercase();
            self.list
                .iter()
                .any(|share| share.name.to_lowercase() == folded)
        };
        let mut name = base.to_owned();
        let mut n = 2;
        while taken(&name) {
            name = format!("{base} ({n})");
            n += 1;
        }
        name
    }

    pub(crate) fn get(&self, id: ShareId) -> Option<&Share> {
        self.list.iter().find(|share| share.id == id)
    }

    /// The innermost share of folders and files that `path` lies in.
    pub(crate) fn holding(&self, path: &Path) -> Option<&Share> {
        self.list
            .iter()
            .filter(|share| share.kind != ShareKind::Downloads && path.starts_with(share.root()))
            .max_by_key(|share| share.root.len())
    }

    pub(crate) fn names(&self) -> BTreeMap<ShareId, String> {
        self.list
            .iter()
            .map(|share| (share.id, share.name.clone()))
            .collect()
    }
}

fn shorten(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What others see of a file.
pub(crate) fn entry(share: &str, path: &[u8], record: FileRecord) -> FileEntry {
    FileEntry {
        content: record.content,
        size: record.stamp.size,
        path: display_path(share, path),
        media: record.media,
    }
}

/// The path that others see: the share's name, then the path below it. Bytes
/// that are not UTF-8 are shown as `�`; of a path that is too long, the middle
/// is left out.
pub(crate) fn display_path(share: &str, path: &[u8]) -> String {
    if path.is_empty() {
        return share.to_owned();
    }
    let path = String::from_utf8_lossy(path);
    let full = format!("{share}/{path}");
    if full.len() <= FileEntry::PATH_BYTES_MAX {
        return full;
    }
    let name = path.rsplit('/').next().unwrap_or(&path);
    format!("{share}/…/{name}")
}

/// Checks whether a path may become a share. Returns it in its final form,
/// with its kind and inode.
pub(crate) fn check_root(
    path: &Path,
    forced: bool,
    data_dir: &Path,
) -> Result<(PathBuf, ShareKind, u64), ShareError> {
    let missing_or = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ShareError::Missing {
            path: path.to_owned(),
        },
        _ => ShareError::Unreadable {
            path: path.to_owned(),
            source: error,
        },
    };
    let root = path.canonicalize().map_err(missing_or)?;
    let stat = fs::symlink_metadata(&root).map_err(missing_or)?;
    let kind = if stat.is_dir() {
        fs::read_dir(&root).map_err(missing_or)?;
        ShareKind::Folder
    } else if stat.is_file() {
        fs::File::open(&root).map_err(missing_or)?;
        ShareKind::File
    } else {
        return Err(ShareError::NotAFile { path: root });
    };
    refuse_denied(&root, kind, data_dir)?;
    if let (Some(what), false) = (too_wide(&root), forced) {
        return Err(ShareError::TooWide { path: root, what });
    }
    Ok((root, kind, stat.ino()))
}

fn refuse_denied(root: &Path, kind: ShareKind, data_dir: &Path) -> Result<(), ShareError> {
    let denied = |reason| ShareError::Denied {
        path: root.to_owned(),
        reason,
    };
    if root.starts_with(data_dir) {
        return Err(denied("it is gannet's own data directory"));
    }
    // A hidden folder or file is shared when it is named outright.
    let mut names: Vec<_> = root
        .components()
        .map(|part| path_bytes(part.as_ref()))
        .collect();
    let last = names.pop().unwrap_or_default();
    let reason = match kind {
        ShareKind::File => deny::file(&last, true),
        _ => deny::folder(&last, true),
    };
    let above = names.iter().find_map(|name| deny::folder(name, true));
    reason
        .or(above)
        .map_or(Ok(()), |deny::Denied(reason)| Err(denied(reason)))
}

/// Folders that hold other people's homes or the system.
const SYSTEM: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/private",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/System",
    "/Library",
    "/Users",
    "/Applications",
    "/Volumes",
    "/mnt",
    "/media",
];

fn too_wide(root: &Path) -> Option<&'static str> {
    if root == Path::new("/") {
        return Some("the whole file system");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.and_then(|home| home.canonicalize().ok());
    if home.as_deref() == Some(root) {
        return Some("your home folder");
    }
    if home.is_some_and(|home| home.starts_with(root)) {
        return Some("a folder that holds your home folder");
    }
    SYSTEM
        .iter()
        .any(|system| root == Path::new(system))
        .then_some("a system folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_whatever_the_folders_are_called() {
        let mut shares = Shares::default();
        let roots = [
            "/a/Music",
            "/b/Music",
            "/c/music",
            "/",
            "/d/x\u{202e}y",
            "/e/x\u{202e}y",
        ];
        let names: Vec<_> = roots
            .iter()
            .map(|root| shares.add(Path::new(root), ShareKind::Folder, 0).name)
            .collect();
        assert_eq!(
            names,
            ["Music", "Music (2)", "music (3)", "files", "xy", "xy (2)"]
        );
        let ids: Vec<_> = shares.list.iter().map(|share| share.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn numbers_are_never_used_again() {
        let mut shares = Shares::default();
        shares.add(Path::new("/a"), ShareKind::Folder, 0);
        shares.list.clear();
        assert_eq!(shares.add(Path::new("/b"), ShareKind::Folder, 0).id, 2);
    }

    #[test]
    fn paths_that_others_see_are_valid_entries() {
        let record = FileRecord {
            content: gannet_base::ContentId::of(b""),
            stamp: crate::catalogue::Stamp {
                dev: 0,
                ino: 1,
                size: 0,
                mtime_ns: 0,
            },
            media: gannet_base::Media::default(),
        };
        let deep = vec!["d".repeat(200); 20].join("/") + "/" + &"n".repeat(255);
        let wild = [b"\xff".repeat(255), b"x".to_vec()].concat();
        for (path, expected) in [
            (b"a/b.txt".to_vec(), "S/a/b.txt".to_owned()),
            (Vec::new(), "S".to_owned()),
            (b"\xffa".to_vec(), "S/\u{fffd}a".to_owned()),
            (deep.into_bytes(), format!("S/…/{}", "n".repeat(255))),
            (wild, format!("S/{}x", "\u{fffd}".repeat(255))),
        ] {
            let entry = entry("S", &path, record.clone());
            assert_eq!(entry.path, expected);
            assert_eq!(entry.validate(), Ok(()));
        }
    }

    #[test]
    fn wide_and_secret_roots_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().canonicalize().unwrap().join("data");
        let secret = dir.path().join("x/.ssh/keys");
        let hidden = dir.path().join(".music");
        for made in [&data, &secret, &hidden] {
            fs::create_dir_all(made).unwrap();
        }
        let key = dir.path().join("x/server.pem");
        fs::write(&key, b"k").unwrap();
        for wide in ["/", "/usr", "/etc"] {
            let refused = check_root(Path::new(wide), false, &data).unwrap_err();
            assert!(matches!(refused, ShareError::TooWide { .. }), "{refused}");
            assert!(check_root(Path::new(wide), true, &data).is_ok());
        }
        for denied in [&secret, &key, &data] {
            let refused = check_root(denied, true, &data).unwrap_err();
            assert!(matches!(refused, ShareError::Denied { .. }), "{refused}");
        }
        assert!(check_root(&hidden, false, &data).is_ok());
        let missing = check_root(&dir.path().join("nothing"), false, &data).unwrap_err();
        assert!(matches!(missing, ShareError::Missing { .. }), "{missing}");
        let special = check_root(Path::new("/dev/null"), false, &data).unwrap_err();
        assert!(matches!(special, ShareError::NotAFile { .. }), "{special}");
    }

    #[test]
    fn the_list_survives_and_damage_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shares");
        assert_eq!(Shares::load(&path).unwrap(), Shares::default());
        let mut shares = Shares::default();
        shares.add(Path::new("/a"), ShareKind::Folder, 5);
        shares.add(Path::new("/d"), ShareKind::Downloads, 6);
        shares.add(Path::new("/b"), ShareKind::File, 7);
        shares.save(&path).unwrap();
        assert_eq!(Shares::load(&path).unwrap(), shares);
        assert_eq!(shares.list[2].kind, ShareKind::Downloads);
        fs::write(&path, b"nonsense").unwrap();
        assert!(Shares::load(&path).is_err());
    }
}
