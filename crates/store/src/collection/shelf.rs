//! The collections that are known here: manifests, and the outboards of their
//! packs.
//!
//! Each has a folder `collections/<id>/` in the data directory, with
//! `manifest`, its outboard, an outboard for each pack that can be served, and
//! the record of [its download](super::fetch). The manifest is written last:
//! what lacks it was not finished.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use gannet_base::{ContentId, GROUP_BYTES};

use super::Manifest;
use super::fetch::RECORD;
use crate::backend::{RealDisk, RealFile, replace};
use crate::hash::{Pace, hash_file};
use crate::outboard::{outboard_bytes, outboard_path};

/// Most collections that are known.
// Guess: links that somebody may still have; their manifests are read at the start.
pub(crate) const COLLECTIONS_MAX: usize = 256;

const MANIFEST: &str = "manifest";

#[derive(Debug)]
pub(crate) struct Shelf {
    dir: PathBuf,
    /// The collections that have a content as their manifest or a pack.
    index: Mutex<BTreeMap<ContentId, BTreeSet<ContentId>>>,
    /// The one that was used last.
    last: Mutex<Option<(ContentId, Arc<Manifest>)>>,
}

/// What a content of a collection is.
#[derive(Debug)]
pub(crate) enum Shelved {
    /// The manifest, and its outboard if it needs one.
    Manifest(RealFile, u64),
    /// A pack of it.
    Pack(Arc<Manifest>, usize),
}

/// Hashes as fast as it goes: what is hashed is short and was just written.
struct Unhindered;

impl Pace for Unhindered {
    fn take(&self, _bytes: u64) -> bool {
        true
    }
}

impl Shelf {
    /// Looks what is there; removes what nobody finished.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        let shelf = Self {
            dir,
            index: Mutex::default(),
            last: Mutex::default(),
        };
        for id in shelf.ids()? {
            let folder = shelf.folder(id);
            let has = |name| folder.join(name).exists();
            if has(MANIFEST) {
                shelf.note(id, id);
                contents_of(&folder)?
                    .into_iter()
                    .for_each(|pack| shelf.note(pack, id));
            } else if !has(RECORD) {
                fs::remove_dir_all(&folder)?;
            }
        }
        Ok(shelf)
    }

    /// All collections that have a folder.
    pub(crate) fn ids(&self) -> io::Result<Vec<ContentId>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            ids.extend(
                name.to_str()
                    .and_then(|name| name.parse::<ContentId>().ok()),
            );
        }
        ids.sort_unstable();
        Ok(ids)
    }

    pub(crate) fn folder(&self, id: ContentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// Where the outboard of a pack, or of the manifest, lies.
    pub(crate) fn outboard(&self, id: ContentId, content: ContentId) -> PathBuf {
        outboard_path(&self.folder(id), content)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContentId, BTreeSet<ContentId>>> {
        self.index.lock().expect("no holder panicked")
    }

    fn note(&self, content: ContentId, id: ContentId) {
        self.lock().entry(content).or_default().insert(id);
    }

    /// Makes the folder of a collection.
    pub(crate) fn make(&self, id: ContentId) -> io::Result<PathBuf> {
        let folder = self.folder(id);
        use crate::backend::Disk as _;
        RealDisk.create_dir(&folder)?;
        Ok(folder)
    }

    /// Takes a manifest in, whose packs have their outboards in the folder
    /// already or get them later.
    pub(crate) fn put(&self, id: ContentId, bytes: &[u8]) -> io::Result<()> {
        let folder = self.make(id)?;
        let path = folder.join(MANIFEST);
        replace(&RealDisk, &path, bytes)?;
        let size = bytes.len() as u64;
        if size > GROUP_BYTES {
            let outboard = outboard_path(&folder, id);
            let file = File::create(&outboard)?;
            let hashed = hash_file(&File::open(&path)?, size, Some(&file), None, &Unhindered);
            hashed.map_err(|_| io::Error::other("the manifest cannot be hashed"))?;
        }
        self.note(id, id);
        for pack in contents_of(&folder)? {
            self.note(pack, id);
        }
        Ok(())
    }

    /// A pack of a collection got its outboard.
    pub(crate) fn put_pack(&self, id: ContentId, pack: ContentId) {
        self.note(pack, id);
    }

    /// The manifest of a collection; an error also if it is damaged.
    pub(crate) fn manifest(&self, id: ContentId) -> io::Result<Arc<Manifest>> {
        let mut last = self.last.lock().expect("no holder panicked");
        if let Some((known, manifest)) = &*last
            && *known == id
        {
            return Ok(Arc::clone(manifest));
        }
        let bytes = fs::read(self.folder(id).join(MANIFEST))?;
        if ContentId::of(&bytes) != id {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let manifest = Manifest::decode(&bytes).map_err(io::Error::other)?;
        let manifest = Arc::new(manifest);
        *last = Some((id, Arc::clone(&manifest)));
        Ok(manifest)
    }

    /// The collection whose manifest begins with these bytes and has `packs`
    /// contents behind them: the folder has not changed since.
    pub(crate) fn find(&self, files: &[u8], packs: usize) -> Option<ContentId> {
        let ids: Vec<ContentId> = self.lock().values().flatten().copied().collect();
        let ids: BTreeSet<ContentId> = ids.into_iter().collect();
        let length = (files.len() + packs * 32) as u64;
        ids.into_iter().find(|id| {
            let path = self.folder(*id).join(MANIFEST);
            fs::metadata(&path).is_ok_and(|stat| stat.len() == length)
                && fs::read(&path).is_ok_and(|bytes| bytes.starts_with(files))
                && self.is_served(*id)
        })
    }

    /// Whether all packs have their outboards.
    fn is_served(&self, id: ContentId) -> bool {
        self.manifest(id).is_ok_and(|manifest| {
            let packs = manifest.parts().iter().filter(|part| part.is_pack);
            let index = self.lock();
            packs
                .map(|part| index.get(&part.content))
                .all(|held| held.is_some_and(|ids| ids.contains(&id)))
        })
    }

    /// What a content is in each of the collections that have it.
    pub(crate) fn look_up(&self, content: ContentId) -> Vec<(ContentId, Shelved)> {
        let ids = self.lock().get(&content).cloned().unwrap_or_default();
        ids.into_iter()
            .filter_map(|id| Some((id, self.shelved(id, content)?)))
            .collect()
    }

    fn shelved(&self, id: ContentId, content: ContentId) -> Option<Shelved> {
        if id == content {
            let file = File::open(self.folder(id).join(MANIFEST)).ok()?;
            let size = file.metadata().ok()?.len();
            return Some(Shelved::Manifest(RealFile(file), size));
        }
        let manifest = self.manifest(id).ok()?;
        let is_it = |part: &super::Part| part.is_pack && part.content == content;
        let number = manifest.parts().iter().position(is_it)?;
        Some(Shelved::Pack(manifest, number))
    }

    /// The outboard of a manifest or a pack; `None` if it needs none.
    pub(crate) fn open_outboard(
        &self,
        id: ContentId,
        content: ContentId,
        size: u64,
    ) -> io::Result<Option<RealFile>> {
        if size <= GROUP_BYTES {
            return Ok(None);
        }
        let file = File::open(self.outboard(id, content))?;
        if file.metadata()?.len() != outboard_bytes(size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(RealFile(file)))
    }

    /// Serves a manifest or a pack of a collection no more: it is damaged.
    pub(crate) fn withdraw(&self, id: ContentId, content: ContentId) {
        let mut index = self.lock();
        if let Some(ids) = index.get_mut(&content) {
            ids.remove(&id);
        }
        // Gone already, if something else deleted it.
        let _ = fs::remove_file(self.outboard(id, content));
        if id == content {
            let _ = fs::remove_file(self.folder(id).join(MANIFEST));
        }
    }

    /// Forgets a collection.
    pub(crate) fn remove(&self, id: ContentId) -> io::Result<()> {
        self.lock().retain(|_, ids| {
            ids.remove(&id);
            !ids.is_empty()
        });
        match fs::remove_dir_all(self.folder(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes room for one more: of those that are not being fetched, the
    /// oldest goes.
    pub(crate) fn make_room(&self, is_fetched: impl Fn(ContentId) -> bool) -> io::Result<()> {
        let ids = self.ids()?;
        if ids.len() < COLLECTIONS_MAX {
            return Ok(());
        }
        let age = |id: &ContentId| {
            let path = self.folder(*id).join(MANIFEST);
            fs::metadata(path).and_then(|stat| stat.modified()).ok()
        };
        let idle = ids.into_iter().filter(|id| !is_fetched(*id));
        match idle.min_by_key(age) {
            Some(oldest) => self.remove(oldest),
            None => Ok(()),
        }
    }
}

/// The contents that have an outboard in a folder.
fn contents_of(folder: &Path) -> io::Result<Vec<ContentId>> {
    let mut contents = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".obao"));
        contents.extend(id.and_then(|id| id.parse::<ContentId>().ok()));
    }
    Ok(contents)
}
