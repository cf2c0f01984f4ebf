//! The manifest: what is in a folder, as one document.
//!
//! Its files in the order of their paths, each with its size and content.
//! Files below [`PACKED_BYTES`] are put together, in that order, into packs:
//! contents whose bytes are those of their members one after the other. Which
//! file is in which pack follows from the sizes alone; the manifest says only
//! what each pack hashes to.
//!
//! **Invariant.** There is no [`Manifest`] that is not fit to be unpacked on
//! any operating system: whoever makes one and whoever decodes one go through
//! the same checks.

use std::collections::HashMap;
use std::ops::Range;

use gannet_base::ContentId;

use crate::names::sanitise_name;

/// What a manifest begins with; the number is the version.
const MAGIC: &[u8; 16] = b"gannet folder 1\n";

/// Files smaller than this many bytes are packed. Part of the format.
// Guess: asking for a content of its own costs about as much as this many bytes.
pub(crate) const PACKED_BYTES: u64 = 512 * 1024;
/// Most bytes of a pack. Part of the format.
// Guess: large enough for a long run of slices, small enough to be unpacked while the
// next one comes.
pub(crate) const PACK_BYTES_MAX: u64 = 16 * 1024 * 1024;

const _: () = assert!(PACKED_BYTES <= PACK_BYTES_MAX);

/// A list of files that is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// It does not begin as a manifest does: the link is to something else.
    #[error("it is not the list of a folder")]
    Magic,
    /// It ends early, goes on after its end, or is not in its one form.
    #[error("the list of the folder is damaged")]
    Damaged,
    /// It is too long to be one.
    #[error("the list of the folder is too long: more than {max} bytes")]
    TooLong {
        /// The most it may have.
        max: u64,
    },
    /// There is nothing in the folder.
    #[error("there is no file in the folder")]
    Empty,
    /// There is too much in the folder.
    #[error("there are {files} files in the folder, more than {max}")]
    TooMany {
        /// How many there are.
        files: u64,
        /// The most there may be.
        max: u64,
    },
    /// A name that is not safe everywhere: `..`, a reserved one, too long…
    #[error("the folder has a file of an unsafe name: {path:?}")]
    Name {
        /// The path.
        path: String,
    },
    /// Files are not in the order of their paths, or one is there twice.
    #[error("the list of the folder is out of order at {path:?}")]
    Order {
        /// The first path that is out of order.
        path: String,
    },
    /// Two paths that are one where capitals do not count, or a file that is a
    /// folder too.
    #[error("{path:?} is in the folder twice where capitals do not count")]
    Clash {
        /// The second of them.
        path: String,
    },
    /// Sizes that no disk holds, or that do not fit the packs.
    #[error("the sizes in the list of the folder do not add up")]
    Sizes,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its path within the folder, `/` between the components.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// What is in it.
    pub content: ContentId,
}

/// What is fetched as one content: a pack, or a file that is large enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The content.
    pub content: ContentId,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it is a pack.
    pub is_pack: bool,
    /// Its files: a range of [`Manifest::order`].
    files: Range<usize>,
}

/// A list of the files of a folder, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    name: String,
    files: Vec<ManifestFile>,
    packs: Vec<ContentId>,
    bytes: u64,
    /// Indices of the files, those of each part together.
    order: Vec<usize>,
    parts: Vec<Part>,
}

impl Manifest {
    /// Most bytes of an encoded manifest.
    // Derived: a million files with paths of a usual length.
    pub const BYTES_MAX: u64 = 128 * 1024 * 1024;
    /// Most files of a folder.
    // Guess: what a person calls one thing; bounds the memory to some 200 MB.
    pub const FILES_MAX: usize = 1_000_000;
    /// Longest path within the folder, bytes.
    // Guess: as much as the path of an entry.
    pub const PATH_BYTES_MAX: usize = 1_024;
    /// Most components of a path.
    // Derived: as deep as shares are looked into.
    pub const DEPTH_MAX: usize = 64;

    /// A manifest of these files. `packs` are the contents of the packs that
    /// [`pack_plan`] makes of them, in order.
    ///
    /// # Errors
    ///
    /// See [`InvalidManifest`].
    pub(crate) fn new(
        name: String,
        files: Vec<ManifestFile>,
        packs: Vec<ContentId>,
    ) -> Result<Self, InvalidManifest> {
        if files.is_empty() {
            return Err(InvalidManifest::Empty);
        }
        check_count(files.len() as u64)?;
        if !is_safe(&name) {
            return Err(InvalidManifest::Name { path: name });
        }
        let bytes = check_files(&files)?;
        let (order, parts) = parts(&files, &packs)?;
        let manifest = Self {
            name,
            files,
            packs,
            bytes,
            order,
            parts,
        };
        if manifest.encoded_bytes() > Self::BYTES_MAX {
            return Err(InvalidManifest::TooLong {
                max: Self::BYTES_MAX,
            });
        }
        Ok(manifest)
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files in the order of their paths.
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is to be fetched: packs first, then the other files but the empty
    /// ones.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The files of a part in order; of a pack, as they lie in it.
    pub fn files_of(&self, part: &Part) -> impl Iterator<Item = &ManifestFile> {
        self.order[part.files.clone()]
            .iter()
            .map(|n| &self.files[*n])
    }

    /// The encoding, whose hash is the folder's id.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = encode_files(&self.name, &self.files);
        for pack in &self.packs {
            bytes.extend_from_slice(pack.as_bytes());
        }
        bytes
    }

    fn encoded_bytes(&self) -> u64 {
        let files: usize = self.files.iter().map(|file| file.path.len() + 47).sum();
        (files + self.packs.len() * 32 + self.name.len() + 64) as u64
    }

    /// Reads a manifest from anybody.
    ///
    /// # Errors
    ///
    /// See [`InvalidManifest`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        if bytes.len() as u64 > Self::BYTES_MAX {
            return Err(InvalidManifest::TooLong {
                max: Self::BYTES_MAX,
            });
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(InvalidManifest::Magic)?;
        let ((name, count), mut rest): ((&str, u64), _) = take(rest)?;
        check_count(count)?;
        let mut files = Vec::new();
        for _ in 0..count {
            let ((path, size, content), after): ((&str, u64, [u8; 32]), _) = take(rest)?;
            rest = after;
            files.push(ManifestFile {
                path: path.to_owned(),
                size,
                content: ContentId::from_bytes(content),
            });
        }
        let (packs, []) = rest.as_chunks::<32>() else {
            return Err(InvalidManifest::Damaged);
        };
        let packs = packs.iter().map(|id| ContentId::from_bytes(*id)).collect();
        let manifest = Self::new(name.to_owned(), files, packs)?;
        // A number can be written in more than one way: only one is the form.
        if manifest.encode() == bytes {
            Ok(manifest)
        } else {
            Err(InvalidManifest::Damaged)
        }
    }
}

fn take<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), InvalidManifest> {
    postcard::take_from_bytes(bytes).map_err(|_| InvalidManifest::Damaged)
}

fn check_count(files: u64) -> Result<(), InvalidManifest> {
    if files > Manifest::FILES_MAX as u64 {
        return Err(InvalidManifest::TooMany {
            files,
            max: Manifest::FILES_MAX as u64,
        });
    }
    Ok(())
}

/// The encoding up to the packs: two folders with the same files begin alike.
pub(crate) fn encode_files(name: &str, files: &[ManifestFile]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let always = "plain data always encodes";
    bytes = postcard::to_extend(&(name, files.len() as u64), bytes).expect(always);
    for file in files {
        let record = (file.path.as_str(), file.size, file.content.as_bytes());
        bytes = postcard::to_extend(&record, bytes).expect(always);
    }
    bytes
}

/// Which files go into which pack: ranges of the first list, which has the
/// indices of all packed files in order.
pub(crate) fn pack_plan(files: &[ManifestFile]) -> (Vec<usize>, Vec<Range<usize>>) {
    let packed: Vec<usize> = (0..files.len())
        .filter(|n| (1..PACKED_BYTES).contains(&files[*n].size))
        .collect();
    let mut plan = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (n, file) in packed.iter().enumerate() {
        let size = files[*file].size;
        if bytes + size > PACK_BYTES_MAX {
            plan.push(start..n);
            (start, bytes) = (n, 0);
        }
        bytes += size;
    }
    if start < packed.len() {
        plan.push(start..packed.len());
    }
    (packed, plan)
}

fn parts(
    files: &[ManifestFile],
    packs: &[ContentId],
) -> Result<(Vec<usize>, Vec<Part>), InvalidManifest> {
    let (mut order, plan) = pack_plan(files);
    if plan.len() != packs.len() {
        return Err(InvalidManifest::Sizes);
    }
    let mut parts = Vec::with_capacity(plan.len());
    for (range, content) in plan.into_iter().zip(packs) {
        let members = order[range.clone()].iter().map(|n| &files[*n]);
        let size = members.map(|file| file.size).sum();
        parts.push(Part {
            content: *content,
            size,
            is_pack: true,
            files: range,
        });
    }
    for (n, file) in files.iter().enumerate() {
        if file.size >= PACKED_BYTES {
            parts.push(Part {
                content: file.content,
                size: file.size,
                is_pack: false,
                files: order.len()..order.len() + 1,
            });
            order.push(n);
        }
    }
    Ok((order, parts))
}

/// Whether a name can be a component of a path, on any system.
fn is_safe(name: &str) -> bool {
    sanitise_name(name) == name
}

/// A name as a system sees it for which capitals do not count.
pub(crate) fn fold(name: &str) -> String {
    // First up, then down: some letters have two small forms.
    name.to_uppercase().to_lowercase()
}

/// Checks paths and sizes; returns the bytes of all together.
fn check_files(files: &[ManifestFile]) -> Result<u64, InvalidManifest> {
    let mut tree = Tree::default();
    let mut bytes = 0_u64;
    let mut before: Option<&str> = None;
    let empty = ContentId::of(b"");
    for file in files {
        if before.is_some_and(|before| before >= file.path.as_str()) {
            return Err(InvalidManifest::Order {
                path: file.path.clone(),
            });
        }
        before = Some(&file.path);
        tree.add(&file.path)?;
        let sum = bytes.checked_add(file.size);
        // What a file system can address.
        bytes = sum
            .filter(|sum| *sum <= i64::MAX.unsigned_abs())
            .ok_or(InvalidManifest::Sizes)?;
        if (file.size == 0) != (file.content == empty) {
            return Err(InvalidManifest::Sizes);
        }
    }
    Ok(bytes)
}

/// The paths seen so far, as a system sees them for which capitals do not
/// count.
#[derive(Default)]
struct Tree<'a> {
    /// What bears each folded path: a file, or the folder of this very path.
    taken: HashMap<String, Option<&'a str>>,
    /// The last folder that was found good, most files being in the same as
    /// the one before.
    last: Option<&'a str>,
}

impl<'a> Tree<'a> {
    fn add(&mut self, path: &'a str) -> Result<(), InvalidManifest> {
        let unsafe_name = || InvalidManifest::Name {
            path: path.chars().take(Manifest::PATH_BYTES_MAX).collect(),
        };
        let clash = || InvalidManifest::Clash {
            path: path.to_owned(),
        };
        if path.len() > Manifest::PATH_BYTES_MAX {
            return Err(unsafe_name());
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !is_safe(name) || folder.split('/').count() >= Manifest::DEPTH_MAX {
            return Err(unsafe_name());
        }
        if self.last != Some(folder) && !folder.is_empty() {
            let ends = folder.match_indices('/').map(|(end, _)| end);
            let mut start = 0;
            for end in ends.chain([folder.len()]) {
                if !is_safe(&folder[start..end]) {
                    return Err(unsafe_name());
                }
                start = end + 1;
                let above = &folder[..end];
                match self.taken.insert(fold(above), Some(above)) {
                    None => {}
                    Some(Some(same)) if same == above => {}
                    Some(_) => return Err(clash()),
                }
            }
        }
        self.last = Some(folder);
        match self.taken.insert(fold(path), None) {
            None => Ok(()),
            Some(_) => Err(clash()),
        }
    }
}

/// Body of the fuzz target `manifest`: any bytes decode or are refused, what
/// decodes is encoded as it was, and every file but an empty one is in one
/// part.
pub(crate) fn fuzz(input: &[u8]) {
    check_decoded(input);
    // Behind a right beginning, the rest is looked at.
    check_decoded(&[MAGIC, input].concat());
}

fn check_decoded(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else {
        return;
    };
    assert_eq!(manifest.encode(), bytes);
    let mut bytes = 0;
    let mut seen = 0;
    for part in manifest.parts() {
        let sizes: u64 = manifest.files_of(part).map(|file| file.size).sum();
        assert_eq!(sizes, part.size);
        bytes += sizes;
        seen += manifest.files_of(part).count();
    }
    assert_eq!(bytes, manifest.bytes());
    let filled = manifest.files().iter().filter(|file| file.size > 0);
    assert_eq!(seen, filled.count());
    for file in manifest.files() {
        assert!(!file.path.starts_with('/') && !file.path.contains(['\\', '\0']));
        let mut parts = file.path.split('/');
        assert!(parts.all(|part| !matches!(part, "" | "." | "..")));
    }
}

#[cfg(test)]
mod tests;
