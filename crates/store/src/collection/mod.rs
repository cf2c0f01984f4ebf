//! Collections: folders that are linked to, served and fetched as a whole.
//!
//! **Problem.** A folder of ten thousand small files is ten thousand contents;
//! asking for each takes longer than sending it.
//!
//! **How.** A [`Manifest`] lists the folder's files and puts the small ones
//! together into *packs*. The manifest and the packs are contents like any
//! other: found, fetched from many sources and verified as every file is. Who
//! has the files has the packs too, without storing them: a pack is read from
//! its members wherever they lie.
//!
//! **Non-goals.** Folders that stay in step: a manifest is what a folder was
//! when the link was made.
//!
//! **Invariant.** No member is given its final name before its bytes were
//! checked against its own content id; the folder gets its name when all of it
//! is there.

mod manifest;

#[doc(hidden)]
pub use self::manifest::fuzz;
pub use self::manifest::{InvalidManifest, Manifest, ManifestFile, Part};
