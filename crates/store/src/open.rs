//! Opening what others may be changing under our eyes: below a share's root,
//! without following a link anywhere on the way.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Mode, OFlags, openat};

use crate::catalogue::Stamp;
use crate::share::{Share, ShareKind};

/// `O_NONBLOCK`: a pipe must not hold us up. `O_NOCTTY`: a terminal neither.
fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY
}

/// A share's root, held open.
#[derive(Debug)]
pub(crate) struct Root {
    /// The folder; for a share of one file, the folder that holds it.
    dir: OwnedFd,
    /// Name of the one file.
    only: Option<Vec<u8>>,
    /// The folder's device and inode.
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl Root {
    /// Opens the root of a share.
    pub(crate) fn open(share: &Share) -> io::Result<Self> {
        let root = share.root();
        let (path, only) = match share.kind {
            ShareKind::File => {
                let name = root
                    .file_name()
                    .map(|name| crate::backend::path_bytes(name.as_ref()));
                (root.parent().unwrap_or(&root).to_owned(), name)
            }
            _ => (root, None),
        };
        let dir = openat(
            rustix::fs::CWD,
            &path,
            flags() | OFlags::DIRECTORY,
            Mode::empty(),
        )?;
        let stat = rustix::fs::fstat(&dir)?;
        Ok(Self {
            dir,
            only,
            dev: stat.st_dev,
            ino: stat.st_ino,
        })
    }

    pub(crate) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Opens a regular file below the root. `path` is empty for a share of one
    /// file.
    pub(crate) fn open_file(&self, path: &[u8]) -> io::Result<OpenFile> {
        let path = self.path(path);
        let file = File::from(open_beneath(&self.dir, path, flags())?);
        let mut open = OpenFile {
            file,
            stamp: Stamp {
                dev: 0,
                ino: 0,
                size: 0,
                mtime_ns: 0,
            },
            root_dev: self.dev,
        };
        open.stamp = open.stamp_now()?;
        Ok(open)
    }

    /// Opens a folder below the root; the root itself if `path` is empty.
    pub(crate) fn open_dir(&self, path: &[u8]) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return self.dir.try_clone();
        }
        open_beneath(&self.dir, path, flags() | OFlags::DIRECTORY)
    }

    fn path<'a>(&'a self, path: &'a [u8]) -> &'a [u8] {
        match &self.only {
            Some(name) if path.is_empty() => name,
            _ => path,
        }
    }
}

/// An open regular file of a share.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// As it was when it was opened.
    pub(crate) stamp: Stamp,
    root_dev: u64,
}

impl OpenFile {
    /// What the file is now.
    pub(crate) fn stamp_now(&self) -> io::Result<Stamp> {
        stamp_of(&self.file, self.root_dev)
    }
}

/// What an open file is now; an error if it is not a regular one.
pub(crate) fn stamp_of(file: &File, root_dev: u64) -> io::Result<Stamp> {
    let stat = file.metadata()?;
    if !stat.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    Ok(Stamp {
        dev: if stat.dev() == root_dev {
            0
        } else {
            stat.dev()
        },
        ino: stat.ino(),
        size: stat.size(),
        mtime_ns: nanos(stat.mtime(), stat.mtime_nsec()),
    })
}

/// Nanoseconds since 1970; saturates in the year 2262.
pub(crate) fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(target_os = "linux")]
fn open_beneath(dir: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // The kernel asks to try again when a rename crosses its way.
    for _ in 0..16 {
        match openat2(dir, path, flags, Mode::empty(), resolve) {
            Ok(fd) => return Ok(fd),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // An old kernel, or a sandbox that does not know the call.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    open_step_by_step(dir, path, flags)
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(dir: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    open_step_by_step(dir, path, flags)
}

/// Opens each folder on the way by itself, none of them through a link.
fn open_step_by_step(dir: &OwnedFd, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        if matches!(part, b"" | b"." | b"..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let wanted = match parts.peek() {
            Some(_) => flags | OFlags::DIRECTORY,
            None => flags,
        };
        let from = at.as_ref().map_or_else(|| dir.as_fd(), AsFd::as_fd);
        at = Some(openat(from, part, wanted, Mode::empty())?);
    }
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::share::Shares;

    type Opens = fn(&OwnedFd, &[u8], OFlags) -> io::Result<OwnedFd>;

    #[test]
    fn nothing_outside_and_nothing_special_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (share, outside) = (dir.path().join("share"), dir.path().join("outside"));
        std::fs::create_dir_all(share.join("sub")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), b"s").unwrap();
        std::fs::write(share.join("sub/good"), b"g").unwrap();
        symlink(outside.join("secret"), share.join("link")).unwrap();
        symlink(&outside, share.join("linked-dir")).unwrap();
        symlink("good", share.join("sub/inner-link")).unwrap();
        let root = openat(
            rustix::fs::CWD,
            &share,
            flags() | OFlags::DIRECTORY,
            Mode::empty(),
        )
        .unwrap();
        for opens in [open_beneath as Opens, open_step_by_step] {
            assert!(opens(&root, b"sub/good", flags()).is_ok());
            for bad in [
                "link",
                "linked-dir/secret",
                "sub/inner-link",
                "../outside/secret",
                "sub/../../outside/secret",
                "/etc/passwd",
                "",
                "nothing",
            ] {
                assert!(opens(&root, bad.as_bytes(), flags()).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn pipes_and_folders_are_not_files() {
        let dir = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), Mode::RWXU).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::fs::write(dir.path().join("file"), b"1").unwrap();
        let share = Shares::default().add(dir.path(), ShareKind::Folder, 0);
        let root = Root::open(&share).unwrap();
        assert_eq!(root.open_file(b"file").unwrap().stamp.size, 1);
        assert!(root.open_file(b"pipe").is_err());
        assert!(root.open_file(b"folder").is_err());
        let only = Shares::default().add(&dir.path().join("file"), ShareKind::File, 0);
        let only = Root::open(&only).unwrap();
        assert_eq!(only.open_file(b"").unwrap().stamp.size, 1);
        let gone = Shares::default().add(Path::new("/nowhere/at all"), ShareKind::Folder, 0);
        assert!(Root::open(&gone).is_err());
    }
}
