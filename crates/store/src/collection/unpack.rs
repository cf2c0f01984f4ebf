//! Taking parts apart into the staging folder.
//!
//! One sync covers all files of a pack: ten thousand of their own would take
//! longer than fetching them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::path::Path;

use gannet_base::{ContentId, GroupRange, groups_in};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::fetch::CollectionDownload;
use super::{ManifestFile, Part};
use crate::backend::{ReadAt, parent, read_exact};
use crate::download::failed;
use crate::outboard::outboard_path;
use crate::slice::SLICE_GROUPS_MAX;
use crate::store::Inner;
use crate::{CollectionError, ContentReader, Coverage, DownloadError};

/// Bytes in memory.
struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn read_some(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut rest = self.0.get(at..).unwrap_or_default();
        let mut read = 0;
        for buffer in buffers {
            read += rest.read(buffer)?;
        }
        Ok(read)
    }
}

thread_local! {
    /// Each thread's buffer for one member.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl CollectionDownload {
    /// Puts the files of a part, whose download is complete, into the staging
    /// folder, and deletes the download. Each file is checked against its own
    /// content id first.
    ///
    /// # Errors
    ///
    /// [`CollectionError::Wrong`] if a file is another than the manifest says.
    ///
    /// # Panics
    ///
    /// If there is no such part.
    pub fn store_part(&self, number: usize) -> Result<(), CollectionError> {
        let part = self.part(number);
        let partial = self.store.parts.get(part.content)?;
        let data = partial.whole()?;
        if partial.size() != Some(part.size) {
            return Err(crate::InvalidManifest::Sizes.into());
        }
        let outboard = self.store.parts.outboard(part.content);
        if part.is_pack {
            self.unpack(&part, data)?;
            self.keep_outboard(&part, &outboard)?;
        } else {
            partial.checkpoint()?;
            let to = self.place_of(&part)?;
            fs::rename(partial.part_path(), &to).map_err(|error| failed(&to, error))?;
            let placed = self.store.outboards.place_file(&outboard, part.content);
            placed.map_err(|error| failed(&outboard, error))?;
            // If a scan sweeps it before the file is in the catalogue, it is made
            // anew.
            self.store.outboards.unpin(part.content);
        }
        self.note_stored(number)?;
        self.store.forget_part(part.content)?;
        Ok(())
    }

    /// Takes a part from what is here under another name. False if it is not.
    pub(super) fn copy_part(&self, number: usize) -> Result<bool, CollectionError> {
        let part = self.part(number);
        if self.store.parts.get(part.content).is_ok() {
            // It was begun, and may be complete.
            return Ok(false);
        }
        let Ok(reader) = Inner::open_content(&self.store, part.content) else {
            return Ok(false);
        };
        if reader.have() != Coverage::Whole || reader.size() != part.size {
            return Ok(false);
        }
        let copied = if part.is_pack {
            self.copy_pack(&part, &reader)
        } else {
            self.copy_file(&part, &reader)
        };
        match copied? {
            false => Ok(false),
            true => self.note_stored(number).map(|()| true).map_err(Into::into),
        }
    }

    fn copy_pack(&self, part: &Part, reader: &ContentReader) -> Result<bool, CollectionError> {
        let mut bytes = Vec::new();
        for slice in slices(part.size) {
            if reader.read_data(slice, &mut bytes).is_err() {
                return Ok(false);
            }
        }
        self.unpack(part, &Bytes(&bytes))?;
        let shelf = &self.store.shelf;
        let to = shelf.outboard(self.id(), part.content);
        let known = shelf.look_up(part.content);
        for (other, _) in known {
            let from = shelf.outboard(other, part.content);
            if from != to && fs::copy(&from, &to).is_ok() {
                shelf.put_pack(self.id(), part.content);
                break;
            }
        }
        Ok(true)
    }

    fn copy_file(&self, part: &Part, reader: &ContentReader) -> Result<bool, CollectionError> {
        let to = self.place_of(part)?;
        let mut file = create(&to).map_err(|error| failed(&to, error))?;
        let mut bytes = Vec::new();
        for slice in slices(part.size) {
            bytes.clear();
            if reader.read_data(slice, &mut bytes).is_err() {
                return Ok(false);
            }
            file.write_all(&bytes).map_err(|error| failed(&to, error))?;
        }
        file.sync_data().map_err(|error| failed(&to, error))?;
        Ok(true)
    }

    /// Where the one file of a part goes; its folder is made.
    fn place_of(&self, part: &Part) -> Result<std::path::PathBuf, CollectionError> {
        let manifest = self.manifest().expect("parts are of a manifest");
        let file = manifest.files_of(part).next();
        let file = file.expect("a part that is no pack has one file");
        let to = self.staging().join(&file.path);
        let dir = parent(&to);
        fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        Ok(to)
    }

    /// The pack can be served from its members from now on.
    fn keep_outboard(&self, part: &Part, outboard: &Path) -> Result<(), DownloadError> {
        let shelf = &self.store.shelf;
        let to = outboard_path(&shelf.folder(self.id()), part.content);
        fs::rename(outboard, &to).map_err(|error| failed(&to, error))?;
        shelf.put_pack(self.id(), part.content);
        Ok(())
    }

    fn unpack(&self, part: &Part, data: &(impl ReadAt + ?Sized)) -> Result<(), CollectionError> {
        let manifest = self.manifest().expect("parts are of a manifest");
        let staging = self.staging();
        let mut members = Vec::new();
        let mut offset = 0;
        for file in manifest.files_of(part) {
            members.push((offset, file));
            offset += file.size;
        }
        make_folders(&staging, members.iter().map(|(_, file)| *file))?;
        self.store.pool().install(|| {
            members
                .par_iter()
                .try_for_each(|(offset, file)| unpack_one(&staging, data, *offset, file))
        })?;
        sync_below(&staging).map_err(|error| failed(&staging, error))?;
        Ok(())
    }

    /// Makes the files that have no bytes, and so are in no part.
    pub(super) fn make_empty_files(&self, staging: &Path) -> Result<(), CollectionError> {
        let manifest = self.manifest().expect("what is finished has a manifest");
        let empty = manifest.files().iter().filter(|file| file.size == 0);
        let empty: Vec<_> = empty.collect();
        if empty.is_empty() {
            return Ok(());
        }
        make_folders(staging, empty.iter().copied())?;
        for file in empty {
            let to = staging.join(&file.path);
            create(&to).map_err(|error| failed(&to, error))?;
        }
        sync_below(staging).map_err(|error| failed(staging, error))?;
        Ok(())
    }
}

fn unpack_one(
    staging: &Path,
    data: &(impl ReadAt + ?Sized),
    offset: u64,
    file: &ManifestFile,
) -> Result<(), CollectionError> {
    let to = staging.join(&file.path);
    BUFFER.with_borrow_mut(|buffer| {
        let size = usize::try_from(file.size).expect("members of packs are small");
        buffer.resize(size, 0);
        read_exact(data, buffer, offset).map_err(|error| failed(&to, error))?;
        if ContentId::of(buffer) != file.content {
            return Err(CollectionError::Wrong {
                path: file.path.clone(),
            });
        }
        let written = create(&to).and_then(|mut file| file.write_all(buffer));
        written.map_err(|error| failed(&to, error).into())
    })
}

fn make_folders<'a>(
    staging: &Path,
    files: impl Iterator<Item = &'a ManifestFile>,
) -> Result<(), DownloadError> {
    let folders: BTreeSet<&str> = files
        .map(|file| file.path.rsplit_once('/').map_or("", |(above, _)| above))
        .collect();
    for folder in folders {
        let dir = staging.join(folder);
        fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
    }
    Ok(())
}

/// A new file; what an interrupted run left of it is removed.
fn create(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        created => created,
    }
}

fn slices(size: u64) -> impl Iterator<Item = GroupRange> {
    let groups = groups_in(size);
    let step = usize::try_from(SLICE_GROUPS_MAX).expect("slices are short");
    (0..groups)
        .step_by(step)
        .map(move |start| GroupRange::new(start, groups.min(start + SLICE_GROUPS_MAX)))
}

/// Makes everything below a folder survive power loss.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_below(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Makes everything survive power loss: there is nothing smaller that covers a
/// whole tree.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_below(_dir: &Path) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
