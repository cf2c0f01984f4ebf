//! The directory of outboards of shared files.
//!
//! An outboard is made under a temporary name and renamed when its content is
//! known. Nothing is synced: an outboard that power loss has damaged does not
//! verify, and its file is then hashed again.
//!
//! **Invariant.** The outboard of a content that the catalogue holds, or soon
//! will, is not deleted: contents are pinned from before their outboard gets
//! its name until their record is committed, and [`Outboards::sweep`] looks at
//! pins and catalogue under the lock.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gannet_base::{ContentId, GROUP_BYTES};

use crate::outboard::{outboard_bytes, outboard_path};

const TEMPORARY: &str = "tmp-";

#[derive(Debug)]
pub(crate) struct Outboards {
    dir: PathBuf,
    counter: AtomicU64,
    pins: Mutex<BTreeMap<ContentId, u32>>,
}

/// An outboard that is being made; deleted unless it is placed.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) file: File,
    path: PathBuf,
}

impl Temporary {
    /// Where it lies, for it to be moved elsewhere in the data directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already if it was placed.
        let _ = fs::remove_file(&self.path);
    }
}

impl Outboards {
    /// The directory, made if it is missing, cleared of temporary files.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            dir,
            counter: AtomicU64::new(0),
            pins: Mutex::new(BTreeMap::new()),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn temporary(&self) -> io::Result<Temporary> {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{TEMPORARY}{n}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Temporary { file, path })
    }

    /// Gives an outboard its name, and pins it.
    pub(crate) fn place(&self, temporary: &Temporary, content: ContentId) -> io::Result<()> {
        self.place_file(&temporary.path, content)
    }

    /// As [`Outboards::place`], for an outboard that was made elsewhere in the
    /// data directory.
    pub(crate) fn place_file(&self, from: &Path, content: ContentId) -> io::Result<()> {
        self.pin(content);
        let placed = fs::rename(from, outboard_path(&self.dir, content));
        if placed.is_err() {
            self.unpin(content);
        }
        placed
    }

    pub(crate) fn pin(&self, content: ContentId) {
        *self.lock().entry(content).or_insert(0) += 1;
    }

    pub(crate) fn unpin(&self, content: ContentId) {
        let mut pins = self.lock();
        if let Some(count) = pins.get_mut(&content) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&content);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ContentId, u32>> {
        self.pins.lock().expect("no holder of pins panicked")
    }

    /// Opens the outboard of a content; `None` if the content needs none.
    pub(crate) fn get(&self, content: ContentId, size: u64) -> io::Result<Option<File>> {
        if size <= GROUP_BYTES {
            return Ok(None);
        }
        let file = File::open(outboard_path(&self.dir, content))?;
        if file.metadata()?.len() != outboard_bytes(size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(file))
    }

    /// Deletes the outboards of these contents, but for those that `holds`
    /// says are needed.
    pub(crate) fn sweep<E>(
        &self,
        contents: impl IntoIterator<Item = ContentId>,
        holds: impl Fn(ContentId) -> Result<bool, E>,
    ) -> Result<(), E> {
        let pins = self.lock();
        for content in contents {
            if pins.contains_key(&content) || holds(content)? {
                continue;
            }
            let path = outboard_path(&self.dir, content);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "an outboard was not deleted");
            }
        }
        Ok(())
    }

    /// Contents that have an outboard here.
    pub(crate) fn contents(&self) -> io::Result<Vec<ContentId>> {
        let mut contents = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".obao"));
            contents.extend(id.and_then(|id| id.parse::<ContentId>().ok()));
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_and_held_outboards_are_not_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let outboards = Outboards::open(dir.path().join("o")).unwrap();
        let ids = [b"a", b"b", b"c"].map(|name| ContentId::of(name));
        for id in ids {
            let temporary = outboards.temporary().unwrap();
            outboards.place(&temporary, id).unwrap();
        }
        outboards.unpin(ids[1]);
        outboards.unpin(ids[2]);
        let holds = |id| Ok::<_, io::Error>(id == ids[1]);
        outboards
            .sweep(outboards.contents().unwrap(), holds)
            .unwrap();
        let mut left = outboards.contents().unwrap();
        left.sort();
        let mut expected = vec![ids[0], ids[1]];
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn what_was_not_placed_is_gone_after_opening() {
        let dir = tempfile::tempdir().unwrap();
        let outboards = Outboards::open(dir.path().to_owned()).unwrap();
        std::mem::forget(outboards.temporary().unwrap());
        drop(outboards.temporary().unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Outboards::open(dir.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
