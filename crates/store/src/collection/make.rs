//! Making the manifest of a folder, and the packs behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gannet_base::ContentId;

use super::manifest::{encode_files, fold, pack_plan};
use super::members::Members;
use super::{InvalidManifest, Manifest, ManifestFile};
use crate::backend::{bytes_path, path_bytes};
use crate::catalogue::{FileRecord, KeyRange, Place};
use crate::hash::{HashError, hash_bytes};
use crate::names::{numbered, sanitise_name, split_extension};
use crate::outboard::outboard_path;
use crate::scan::Paced;
use crate::share::ShareKind;
use crate::store::Inner;
use crate::{LinkError, ScanControl, ShareChange};

/// A collection that this peer serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The content of its manifest.
    pub id: ContentId,
    /// The folder's name.
    pub name: String,
    /// How many files are in it.
    pub files: usize,
    /// Their bytes together.
    pub bytes: u64,
    /// Contents that are there for its sake, with their lengths in bytes: the
    /// manifest first, then the packs.
    pub contents: Vec<(ContentId, u64)>,
}

impl Collection {
    pub(super) fn of(id: ContentId, manifest_bytes: u64, manifest: &Manifest) -> Self {
        let packs = manifest.parts().iter().filter(|part| part.is_pack);
        let packs = packs.map(|part| (part.content, part.size));
        Self {
            id,
            name: manifest.name().to_owned(),
            files: manifest.files().len(),
            bytes: manifest.bytes(),
            contents: [(id, manifest_bytes)].into_iter().chain(packs).collect(),
        }
    }
}

/// Longest stem of a name that gets a number.
// Derived: with the longest extension and number it is no longer than names may be.
const STEM_BYTES_MAX: usize = 200;

/// Files by their paths below the folder.
type Found = BTreeMap<Vec<u8>, (Place, FileRecord)>;

impl Inner {
    /// See [`Store::link_folder`](crate::Store::link_folder).
    pub(crate) fn link_folder(
        &self,
        path: &Path,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<Collection, LinkError> {
        let unreadable = |source| LinkError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let full = path.canonicalize().map_err(unreadable)?;
        self.scan_paths(std::slice::from_ref(&full), &ScanControl::new(), sink)?;
        let found = self
            .files_below(&full)?
            .ok_or_else(|| LinkError::NotShared {
                path: path.to_owned(),
            })?;
        let unfit = |source| LinkError::Folder {
            path: path.to_owned(),
            source,
        };
        if found.len() > Manifest::FILES_MAX {
            return Err(unfit(InvalidManifest::TooMany {
                files: found.len() as u64,
                max: Manifest::FILES_MAX as u64,
            }));
        }
        let name = full.file_name().unwrap_or_default().to_string_lossy();
        let name = sanitise_name(&name);
        let (files, places) = named(found);
        let (packed, plan) = pack_plan(&files);
        let head = encode_files(&name, &files);
        if let Some(known) = self.shelf.find(&head, plan.len()) {
            let manifest = self.shelf.manifest(known).map_err(unreadable)?;
            return Ok(Collection::of(
                known,
                (head.len() + plan.len() * 32) as u64,
                &manifest,
            ));
        }
        let mut packs = Vec::with_capacity(plan.len());
        for range in plan {
            let members = packed[range].iter().map(|n| &places[*n]);
            packs.push(self.hash_pack(members).map_err(unreadable)?);
        }
        let contents = packs.iter().map(|(content, _)| *content).collect();
        let manifest = Manifest::new(name, files, contents).map_err(unfit)?;
        let bytes = manifest.encode();
        let id = ContentId::of(&bytes);
        self.shelve(id, &bytes, &packs).map_err(unreadable)?;
        Ok(Collection::of(id, bytes.len() as u64, &manifest))
    }

    fn shelve(
        &self,
        id: ContentId,
        bytes: &[u8],
        packs: &[(ContentId, crate::outboards::Temporary)],
    ) -> io::Result<()> {
        self.shelf.make_room(|id| self.is_fetching(id))?;
        let folder = self.shelf.make(id)?;
        for (content, outboard) in packs {
            std::fs::rename(outboard.path(), outboard_path(&folder, *content))?;
        }
        self.shelf.put(id, bytes)
    }

    fn hash_pack<'a>(
        &self,
        files: impl Iterator<Item = &'a (Place, FileRecord)>,
    ) -> io::Result<(ContentId, crate::outboards::Temporary)> {
        let members = Members::at(self, files);
        let outboard = self.outboards.temporary()?;
        let file: &File = &outboard.file;
        let (control, stop) = (ScanControl::new(), AtomicBool::new(false));
        let pace = Paced::new(&control, &stop, self.config.scan_bytes_per_second);
        let pool = Some(self.pool());
        let content = hash_bytes(&members, members.size(), Some(file), pool, &pace);
        match content {
            Ok(content) => Ok((content, outboard)),
            Err(HashError::Read(error) | HashError::Outboard(error)) => Err(error),
            Err(HashError::Stopped) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// The shared files below a folder; None if no share has the folder.
    fn files_below(&self, full: &Path) -> Result<Option<Found>, LinkError> {
        let shares = self.with_shares(|shares| shares.list.clone());
        let available = shares.iter().filter(|share| share.unavailable.is_none());
        let snapshot = self.catalogue.snapshot()?;
        let mut found = Found::new();
        let mut is_shared = false;
        for share in available {
            let root = share.root();
            let (range, before) = if let Some(below) = share.relative(full) {
                if share.kind == ShareKind::File {
                    continue;
                }
                is_shared |= share.kind == ShareKind::Folder;
                (KeyRange::below(share.id, &below), None)
            } else if let Ok(within) = root.strip_prefix(full) {
                (KeyRange::below(share.id, &[]), Some(path_bytes(within)))
            } else {
                continue;
            };
            for item in snapshot.range(&range)? {
                let (place, Some(record)) = item? else {
                    continue;
                };
                let path = match &before {
                    Some(before) if place.path.is_empty() => before.clone(),
                    Some(before) => [before.as_slice(), b"/", &place.path].concat(),
                    None => {
                        let path = root.join(bytes_path(&place.path));
                        path.strip_prefix(full).map(path_bytes).unwrap_or_default()
                    }
                };
                is_shared |= share.kind == ShareKind::Downloads;
                found.insert(path, (place, record));
            }
        }
        Ok(is_shared.then_some(found))
    }
}

/// Gives every file a path that is fit for any system, as close to its own as
/// can be: names are made safe, and numbered where two would be one.
fn named(found: Found) -> (Vec<ManifestFile>, Vec<(Place, FileRecord)>) {
    let mut tree = Names::default();
    let mut files: Vec<_> = found
        .into_iter()
        .map(|(path, (place, record))| {
            let file = ManifestFile {
                path: tree.path(&path),
                size: record.stamp.size,
                content: record.content,
            };
            (file, (place, record))
        })
        .collect();
    files.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    files.into_iter().unzip()
}

#[derive(Default)]
struct Names {
    /// The safe path of each folder.
    folders: HashMap<Vec<u8>, String>,
    /// Folded safe paths that are taken.
    taken: BTreeSet<String>,
}

impl Names {
    fn path(&mut self, path: &[u8]) -> String {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (self.folder(&path[..slash]), &path[slash + 1..]),
            None => (String::new(), path),
        };
        self.free(&above, name)
    }

    fn folder(&mut self, path: &[u8]) -> String {
        if let Some(known) = self.folders.get(path) {
            return known.clone();
        }
        let made = self.path(path);
        self.folders.insert(path.to_vec(), made.clone());
        made
    }

    fn free(&mut self, above: &str, name: &[u8]) -> String {
        let name = sanitise_name(&String::from_utf8_lossy(name));
        let join = |name: &str| match above {
            "" => name.to_owned(),
            above => format!("{above}/{name}"),
        };
        let path = join(&name);
        if self.taken.insert(fold(&path)) {
            return path;
        }
        let (stem, extension) = split_extension(&name);
        let mut end = stem.len().min(STEM_BYTES_MAX);
        while !stem.is_char_boundary(end) {
            end -= 1;
        }
        let short = format!("{}{extension}", &stem[..end]);
        let mut n = 2;
        loop {
            let path = join(&sanitise_name(&numbered(&short, n)));
            if self.taken.insert(fold(&path)) {
                return path;
            }
            n += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_or_made_safe_and_never_one() {
        let mut names = Names::default();
        let mut check = |path: &[u8], expected: &str| assert_eq!(names.path(path), expected);
        check(b"A/x.txt", "A/x.txt");
        check(b"A/X.TXT", "A/X (2).TXT");
        check(b"a/x.txt", "a (2)/x.txt");
        check(b"a/y", "a (2)/y");
        check(b"A/sub/z", "A/sub/z");
        check(b"b:c", "b_c");
        check(b"b?c", "b_c (2)");
        check(b"\xff", "_");
        check(b"aux/nul.txt", "_aux/_nul.txt");
        let long = "n".repeat(240);
        check(long.as_bytes(), &long);
        check(
            long.to_uppercase().as_bytes(),
            &format!("{} (2)", "N".repeat(200)),
        );
    }
}
