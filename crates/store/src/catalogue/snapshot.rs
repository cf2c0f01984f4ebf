//! Reading the catalogue.

use std::collections::BTreeMap;
use std::ops::Bound;

use gannet_base::{ContentId, FileEntry};
use redb::{Database, Range, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _};

use super::records::{KeyRange, file_key, inode_key};
use super::{CONTENTS, COUNTS, FILES, FileRecord, INODES, Place, ShareId, Stamp};
use crate::CatalogueError;

/// The catalogue as it was at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    files: ReadOnlyTable<&'static [u8], &'static [u8]>,
    contents: ReadOnlyTable<&'static [u8], ()>,
    inodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    counts: ReadOnlyTable<u32, (u64, u64)>,
}

impl Snapshot {
    pub(super) fn new(database: &Database) -> Result<Self, CatalogueError> {
        let transaction = database.begin_read()?;
        Ok(Self {
            files: transaction.open_table(FILES)?,
            contents: transaction.open_table(CONTENTS)?,
            inodes: transaction.open_table(INODES)?,
            counts: transaction.open_table(COUNTS)?,
        })
    }

    /// The record at a place.
    pub(crate) fn record(&self, place: &Place) -> Result<Option<FileRecord>, CatalogueError> {
        let key = file_key(place.share, &place.path);
        let bytes = self.files.get(key.as_slice())?;
        Ok(bytes.and_then(|bytes| FileRecord::decode(bytes.value())))
    }

    /// The record of a file that is the one with this stamp under another name
    /// of the share.
    pub(crate) fn moved(
        &self,
        share: ShareId,
        stamp: &Stamp,
    ) -> Result<Option<FileRecord>, CatalogueError> {
        let key = inode_key(share, stamp.dev, stamp.ino);
        let Some(path) = self.inodes.get(key.as_slice())? else {
            return Ok(None);
        };
        let record = self.record(&Place::new(share, path.value()))?;
        Ok(record.filter(|record| record.stamp == *stamp))
    }

    /// Where this content lies.
    pub(crate) fn places(&self, content: ContentId) -> Result<Vec<Place>, CatalogueError> {
        let from = content.as_bytes().as_slice();
        let mut places = Vec::new();
        for item in self.contents.range(from..)? {
            let (key, ()) = item.map(|(key, _)| (key, ()))?;
            if !key.value().starts_with(from) {
                break;
            }
            places.extend(Place::from_content_key(key.value()));
        }
        Ok(places)
    }

    /// Whether any file has this content.
    pub(crate) fn holds(&self, content: ContentId) -> Result<bool, CatalogueError> {
        let from = content.as_bytes().as_slice();
        let first = self.contents.range(from..)?.next().transpose()?;
        Ok(first.is_some_and(|(key, _)| key.value().starts_with(from)))
    }

    /// Files in the order of their paths' bytes.
    pub(crate) fn range(&self, range: &KeyRange) -> Result<Records, CatalogueError> {
        let end = range
            .end
            .as_deref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let start = Bound::Included(range.start.as_slice());
        Ok(Records {
            range: self.files.range::<&[u8]>((start, end))?,
        })
    }

    /// Files of a share.
    pub(crate) fn share(&self, share: ShareId) -> Result<Records, CatalogueError> {
        self.range(&KeyRange::below(share, &[]))
    }

    /// Shares that have records.
    pub(crate) fn shares(&self) -> Result<Vec<ShareId>, CatalogueError> {
        let mut shares = Vec::new();
        for item in self.counts.iter()? {
            let (share, counts) = item?;
            if counts.value().0 > 0 {
                shares.push(share.value());
            }
        }
        Ok(shares)
    }

    pub(crate) fn counts(&self, share: ShareId) -> Result<(u64, u64), CatalogueError> {
        Ok(self
            .counts
            .get(share)?
            .map_or((0, 0), |counts| counts.value()))
    }
}

/// Files in order. A record that does not decode comes as `None`.
pub(crate) struct Records {
    range: Range<'static, &'static [u8], &'static [u8]>,
}

impl Iterator for Records {
    type Item = Result<(Place, Option<FileRecord>), CatalogueError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, value) = match self.range.next()? {
                Ok(item) => item,
                Err(error) => return Some(Err(error.into())),
            };
            if let Some(place) = Place::from_key(key.value()) {
                return Some(Ok((place, FileRecord::decode(value.value()))));
            }
        }
    }
}

/// Everything that is shared, one entry per path, in path order within each
/// share. What changes meanwhile is not seen. Ends early, with a line in the
/// log, if the catalogue fails.
pub struct Entries {
    records: Records,
    names: BTreeMap<ShareId, String>,
}

impl Entries {
    pub(crate) fn new(
        snapshot: &Snapshot,
        names: BTreeMap<ShareId, String>,
    ) -> Result<Self, CatalogueError> {
        let range = snapshot.files.range::<&[u8]>(..)?;
        Ok(Self {
            records: Records { range },
            names,
        })
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("shares", &self.names)
            .finish_non_exhaustive()
    }
}

impl Iterator for Entries {
    type Item = FileEntry;

    fn next(&mut self) -> Option<FileEntry> {
        loop {
            match self.records.next()? {
                Ok((place, Some(record))) => {
                    if let Some(name) = self.names.get(&place.share) {
                        return Some(crate::share::entry(name, &place.path, record));
                    }
                }
                Ok((_, None)) => {}
                Err(error) => {
                    tracing::warn!(%error, "the catalogue could not be read to its end");
                    return None;
                }
            }
        }
    }
}
