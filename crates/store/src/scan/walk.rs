//! Walking a share beside its records.
//!
//! Folders are opened through their parent's descriptor and never through a
//! link, so a share cannot lead out of itself, not even while somebody is
//! swapping folders for links.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use super::control::add;
use super::cursor::{Cursor, Known};
use super::{Candidate, Found, ScanControl, Scope, Step};
use crate::catalogue::{Change, FileRecord, Place, ShareId, Stamp};
use crate::open::{Root, nanos};
use crate::share::{Share, ShareKind};
use crate::store::Inner;
use crate::{CatalogueError, deny};

/// Why the walk ended early.
pub(super) enum Stop {
    /// Cancelled, or nobody listens any more.
    Stopped,
    Catalogue(CatalogueError),
}

impl From<CatalogueError> for Stop {
    fn from(error: CatalogueError) -> Self {
        Self::Catalogue(error)
    }
}

pub(super) struct Walker<'a> {
    store: &'a Inner,
    control: &'a ScanControl,
    stop: &'a AtomicBool,
    out: &'a SyncSender<Found>,
}

/// One share that is being walked.
struct Walk<'a, 'b> {
    walker: &'b Walker<'a>,
    share: &'b Share,
    root: Arc<Root>,
    cursor: Cursor<'a>,
    /// Folders and files that are not entered: device and inode.
    excluded: Vec<(u64, u64)>,
    /// Shares on the same device, whose files may have moved here.
    neighbours: Vec<ShareId>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        store: &'a Inner,
        control: &'a ScanControl,
        stop: &'a AtomicBool,
        out: &'a SyncSender<Found>,
    ) -> Self {
        Self {
            store,
            control,
            stop,
            out,
        }
    }

    fn send(&self, found: Found) -> Result<(), Stop> {
        if self.control.is_cancelled() || self.stop.load(Ordering::Relaxed) {
            return Err(Stop::Stopped);
        }
        self.out.send(found).map_err(|_| Stop::Stopped)
    }

    fn step(&self, step: Step) -> Result<(), Stop> {
        self.send(Found::Ready(step))
    }

    fn gone(&self, place: Place) -> Result<(), Stop> {
        self.step(Step::Change(Change::Remove(place, None)))
    }

    fn problem(&self, share: &Share, path: &[u8], error: &io::Error) -> Result<(), Stop> {
        let full = share.full(path);
        self.step(Step::Problem(format!("{}: {error}", full.display())))
    }

    fn skip(&self) {
        add(&self.control.skipped, 1);
    }

    /// Looks at one scope.
    pub(super) fn scope(&self, scope: &Scope) -> Result<(), Stop> {
        let share = &scope.share;
        if share.kind == ShareKind::Downloads {
            return self.downloads(share);
        }
        let root = match Root::open(share) {
            Ok(root) => Arc::new(root),
            Err(error) => return self.lost(share, &error.to_string()),
        };
        if share.kind == ShareKind::Folder {
            if root.ino != share.root_ino && self.is_unmounted(share, &root)? {
                return self.lost(share, "it is empty: is its disk mounted?");
            }
            if share.unavailable.is_some() || root.ino != share.root_ino {
                self.step(Step::Back(share.id, root.ino))?;
            }
        } else if root.open_file(&[]).is_err() {
            return self.lost(share, "the file is gone or cannot be read");
        } else if share.unavailable.is_some() {
            self.step(Step::Back(share.id, share.root_ino))?;
        }
        let catalogue = &self.store.catalogue;
        let below = Cursor::below(catalogue, share.id, &scope.path)?;
        let mut walk = Walk {
            walker: self,
            share,
            excluded: self.excluded(share),
            neighbours: self.neighbours(root.dev),
            root,
            cursor: below,
        };
        if scope.path.is_empty() {
            walk.start()?;
        } else {
            let exact = Cursor::exact(catalogue, share.id, &scope.path)?;
            walk.start_at(&scope.path, exact)?;
        }
        walk.cursor.finish(|place| self.gone(place))
    }

    fn lost(&self, share: &Share, reason: &str) -> Result<(), Stop> {
        if share.unavailable.as_deref() == Some(reason) {
            return Ok(());
        }
        self.step(Step::Lost(share.id, reason.to_owned()))
    }

    /// Whether the root is another folder than before, an empty one, although
    /// there were files: what a mount point looks like without its disk.
    fn is_unmounted(&self, share: &Share, root: &Root) -> Result<bool, Stop> {
        let (files, _) = self.store.catalogue.counts(share.id)?;
        let empty = Dir::read_from(root.dir()).is_ok_and(|entries| {
            entries
                .flatten()
                .all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."))
        });
        Ok(files > 0 && empty)
    }

    /// Other shares' roots, and the data directory.
    fn excluded(&self, share: &Share) -> Vec<(u64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let own = share.root();
        let others = self.store.with_shares(|shares| {
            let others = shares.list.iter();
            others
                .filter(|other| other.id != share.id && other.kind != ShareKind::Downloads)
                .map(Share::root)
                .filter(|root| root.starts_with(&own))
                .collect::<Vec<_>>()
        });
        others
            .iter()
            .map(std::path::PathBuf::as_path)
            .chain([self.store.data_dir.as_path()])
            .filter_map(|path| std::fs::symlink_metadata(path).ok())
            .map(|stat| (stat.dev(), stat.ino()))
            .collect()
    }

    fn neighbours(&self, dev: u64) -> Vec<ShareId> {
        let shares = self.store.with_shares(|shares| shares.list.clone());
        shares
            .iter()
            .filter(|share| Root::open(share).is_ok_and(|root| root.dev == dev))
            .map(|share| share.id)
            .collect()
    }

    /// Finished downloads are looked at one by one; the folder is not walked.
    fn downloads(&self, share: &Share) -> Result<(), Stop> {
        let root = match Root::open(share) {
            Ok(root) => root,
            Err(error) => return self.lost(share, &error.to_string()),
        };
        if share.unavailable.is_some() {
            self.step(Step::Back(share.id, share.root_ino))?;
        }
        let snapshot = self.store.catalogue.snapshot()?;
        for item in snapshot.share(share.id)? {
            let (place, record) = item?;
            add(&self.control.files_seen, 1);
            let now = root.open_file(&place.path);
            let unchanged = match (&now, &record) {
                (Ok(now), Some(record)) => now.stamp == record.stamp,
                _ => false,
            };
            // Inside another share it is found there.
            let full = share.full(&place.path);
            let elsewhere = self
                .store
                .share_of(&full)
                .is_some_and(|(holder, _)| holder.id != share.id);
            if !unchanged || elsewhere {
                self.gone(place)?;
            }
        }
        Ok(())
    }
}

/// What lies at a path.
enum Target {
    Nothing,
    Folder {
        parent: OwnedFd,
        name: Vec<u8>,
        depth: usize,
    },
    File(Stamp),
}

impl<'a> Walk<'a, '_> {
    /// Looks at the whole share.
    fn start(&mut self) -> Result<(), Stop> {
        if self.share.kind == ShareKind::Folder {
            let dir = match self.root.open_dir(&[]) {
                Ok(dir) => dir,
                Err(error) => return self.walker.problem(self.share, &[], &error),
            };
            return self.folder(&dir, &mut Vec::new(), 0);
        }
        match self.root.open_file(&[]) {
            Ok(open) => self.file(&[], open.stamp),
            Err(error) => self.walker.problem(self.share, &[], &error),
        }
    }

    /// Looks at `path`, whose own record `exact` has, and below it. What is not
    /// there now is passed as gone.
    fn start_at(&mut self, path: &[u8], exact: Cursor<'a>) -> Result<(), Stop> {
        let walker = self.walker;
        match self.target(path) {
            Target::Nothing => exact.finish(|place| walker.gone(place)),
            Target::Folder {
                parent,
                name,
                depth,
            } => {
                exact.finish(|place| walker.gone(place))?;
                let above = path.len() - name.len();
                let mut at = path[..above.saturating_sub(1)].to_vec();
                self.enter(&parent, &name, &mut at, depth)
            }
            Target::File(stamp) => {
                let below = std::mem::replace(&mut self.cursor, exact);
                let looked = self.file(path, stamp);
                let exact = std::mem::replace(&mut self.cursor, below);
                looked?;
                exact.finish(|place| walker.gone(place))
            }
        }
    }

    /// What lies at `path` now, if it may be shared.
    fn target(&self, path: &[u8]) -> Target {
        let hidden = self.walker.store.config.share_hidden;
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let mut parts = above.split(|byte| *byte == b'/');
        if parts.any(|part| deny::folder(part, hidden).is_some()) {
            return Target::Nothing;
        }
        let Ok(parent) = self.root.open_dir(above) else {
            return Target::Nothing;
        };
        let Ok(stat) = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Target::Nothing;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if deny::folder(name, hidden).is_none() => Target::Folder {
                parent,
                name: name.to_vec(),
                depth: path.iter().filter(|byte| **byte == b'/').count(),
            },
            FileType::RegularFile if deny::file(name, hidden).is_none() => {
                Target::File(self.stamp(&stat))
            }
            _ => {
                self.walker.skip();
                Target::Nothing
            }
        }
    }

    /// Walks a folder that is open.
    fn folder(&mut self, dir: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<(), Stop> {
        let children = match self.children(dir) {
            Ok(children) => children,
            Err(error) => return self.unreadable(path, &error),
        };
        for child in children {
            let length = path.len();
            if child.is_dir() {
                self.enter(dir, child.name(), path, depth)?;
            } else {
                push(path, child.name());
                match statat(dir, child.name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                        self.file(path, self.stamp(&stat))?;
                    }
                    // Gone or swapped since the folder was read.
                    _ => self.walker.skip(),
                }
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn enter(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth >= self.walker.store.config.depth_max {
            self.walker.skip();
            return Ok(());
        }
        push(path, name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entered = openat(dir, name, flags, Mode::empty())
            .and_then(|dir| rustix::fs::fstat(&dir).map(|stat| (dir, stat)));
        match entered {
            Ok((_, stat)) if self.excluded.contains(&(stat.st_dev, stat.st_ino)) => {
                self.walker.skip();
                Ok(())
            }
            Ok((dir, _)) => self.folder(&dir, path, depth + 1),
            Err(error) => self.unreadable(path, &error.into()),
        }
    }

    /// A folder that cannot be read: its files cannot be served either, unless
    /// it is we who have no descriptors or memory left.
    fn unreadable(&mut self, path: &[u8], error: &io::Error) -> Result<(), Stop> {
        use rustix::io::Errno;
        let ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(|errno| errno.raw_os_error());
        if error
            .raw_os_error()
            .is_some_and(|errno| ours.contains(&errno))
        {
            let walker = self.walker;
            self.cursor.skip_below(path, |place| walker.gone(place))?;
        }
        self.walker.problem(self.share, path, error)
    }

    /// Names in a folder, in the order in which their paths sort.
    fn children(&self, dir: &OwnedFd) -> io::Result<Vec<Child>> {
        let hidden = self.walker.store.config.share_hidden;
        let mut children = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let denied = match self.kind(dir, entry.file_name(), entry.file_type()) {
                FileType::Directory => deny::folder(name, hidden).map_or(Some(true), |_| None),
                FileType::RegularFile => deny::file(name, hidden).map_or(Some(false), |_| None),
                _ => None,
            };
            match denied {
                Some(is_dir) => children.push(Child::new(name, is_dir)),
                None => self.walker.skip(),
            }
        }
        children.sort_unstable();
        Ok(children)
    }

    /// Some file systems do not say in the folder what an entry is.
    fn kind(&self, dir: &OwnedFd, name: &CStr, said: FileType) -> FileType {
        if said != FileType::Unknown {
            return said;
        }
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_or(FileType::Unknown, |stat| {
            FileType::from_raw_mode(stat.st_mode)
        })
    }

    fn stamp(&self, stat: &rustix::fs::Stat) -> Stamp {
        Stamp {
            dev: if stat.st_dev == self.root.dev {
                0
            } else {
                stat.st_dev
            },
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanos(
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
        }
    }

    /// Compares a file with its record.
    fn file(&mut self, path: &[u8], stamp: Stamp) -> Result<(), Stop> {
        let walker = self.walker;
        let is_share =
            |excluded: &(u64, u64)| excluded.1 == stamp.ino && excluded.0 == self.root.dev;
        if !path.is_empty() && stamp.dev == 0 && self.excluded.iter().any(is_share) {
            walker.skip();
            return Ok(());
        }
        let seen = walker.control.files_seen.fetch_add(1, Ordering::Relaxed);
        if seen >= walker.store.config.files_max {
            walker.skip();
            return Ok(());
        }
        let place = Place::new(self.share.id, path);
        match self.cursor.move_to(path, |place| walker.gone(place))? {
            Known::Record(Some(record)) if record.stamp == stamp => return Ok(()),
            Known::Record(_) => walker.gone(place.clone())?,
            Known::No => {
                if let Some(record) = self.moved(&stamp)? {
                    return walker.step(Step::Pinned(place, record));
                }
            }
        }
        add(&walker.control.files_to_hash, 1);
        add(&walker.control.bytes_to_hash, stamp.size);
        walker.send(Found::Hash(Candidate {
            full: self.share.full(path),
            place,
            stamp,
            root: Arc::clone(&self.root),
        }))
    }

    /// The record of the same file under an earlier name, if its outboard is
    /// still there. Its content is pinned.
    fn moved(&self, stamp: &Stamp) -> Result<Option<FileRecord>, Stop> {
        let Some(record) = self.cursor.moved(&self.neighbours, stamp)? else {
            return Ok(None);
        };
        let outboards = &self.walker.store.outboards;
        outboards.pin(record.content);
        if outboards.get(record.content, record.stamp.size).is_ok() {
            return Ok(Some(record));
        }
        outboards.unpin(record.content);
        Ok(None)
    }
}

fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// A name in a folder; a folder's ends with `/`, so that names sort as the
/// paths below them do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Child(Vec<u8>);

impl Child {
    fn new(name: &[u8], is_dir: bool) -> Self {
        let mut key = name.to_vec();
        if is_dir {
            key.push(b'/');
        }
        Self(key)
    }

    fn is_dir(&self) -> bool {
        self.0.ends_with(b"/")
    }

    fn name(&self) -> &[u8] {
        self.0.strip_suffix(b"/").unwrap_or(&self.0)
    }
}
