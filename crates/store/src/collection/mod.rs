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
//! **Invariant.** No file of a folder is written whose bytes were not checked
//! against its own content id; the folder gets its name when all of it is
//! there.

mod adopt;
mod fetch;
mod make;
mod manifest;
mod members;
mod record;
mod shelf;
mod unpack;

pub(crate) use self::fetch::Open as OpenCollections;
pub use self::fetch::{CollectionDownload, CollectionRecord, PartBegun};
pub use self::make::Collection;
pub(crate) use self::manifest::fuzz;
pub use self::manifest::{InvalidManifest, Manifest, ManifestFile, Part};
pub(crate) use self::members::Members;
pub(crate) use self::shelf::{Shelf, Shelved};

#[cfg(test)]
mod tests;
