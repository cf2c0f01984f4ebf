//! Opening the catalogue, whatever state it is in.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use redb::Database;

use super::{CONTENTS, COUNTS, Catalogue, FILES, INODES};
use crate::{CatalogueError, OpenError};

/// A catalogue, and where a corrupt one before it was moved to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) catalogue: Catalogue,
    pub(crate) moved_to: Option<PathBuf>,
}

impl Catalogue {
    /// Opens the catalogue at `path`, or makes one. A corrupt one is moved
    /// aside and replaced by an empty one.
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Opened, OpenError> {
        let (database, moved_to) = match open_database(path, cache_bytes) {
            Ok(database) => (database, None),
            Err(error) if is_corrupt(&error) => {
                let aside = move_aside(path).map_err(|source| OpenError::Io {
                    path: path.to_owned(),
                    source,
                })?;
                tracing::warn!(%error, aside = %aside.display(), "the catalogue was corrupt");
                (open_database(path, cache_bytes)?, Some(aside))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Opened {
            catalogue: Self {
                path: path.to_owned(),
                cache_bytes,
                database: RwLock::new(Some(database)),
            },
            moved_to,
        })
    }
}

/// Opens the database and checks all of it: a later read of a bad page would
/// panic. Costs a read of the file.
pub(super) fn open_database(path: &Path, cache_bytes: usize) -> Result<Database, CatalogueError> {
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<_, CatalogueError> {
        let mut database = Database::builder()
            .set_cache_size(cache_bytes)
            .set_check_integrity_on_open(true)
            .create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(FILES)?;
        transaction.open_table(CONTENTS)?;
        transaction.open_table(INODES)?;
        transaction.open_table(COUNTS)?;
        transaction.commit()?;
        compact(&mut database, path)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(redb::Error::Corrupted("opening it panicked".to_owned()).into()))
}

/// From this size on a catalogue is worth compacting.
// Guess: below it nobody minds.
const COMPACT_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// Gives back the space of a catalogue that is mostly air, as it is after a
/// long first scan in many commits.
fn compact(database: &mut Database, path: &Path) -> Result<(), CatalogueError> {
    let length = fs::metadata(path).map_or(0, |stat| stat.len());
    if length < COMPACT_BYTES_MIN {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    let stored = transaction.stats()?.stored_bytes();
    transaction.abort()?;
    if stored.saturating_mul(4) < length {
        database
            .compact()
            .map_err(|error| CatalogueError::from(redb::Error::from(error)))?;
    }
    Ok(())
}

fn is_corrupt(error: &CatalogueError) -> bool {
    let CatalogueError::Database(error) = error else {
        return false;
    };
    match &**error {
        redb::Error::Io(io) => matches!(
            io.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ),
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::ValueTooLarge(_)
        | redb::Error::RepairAborted => true,
        _ => false,
    }
}

/// Gives a corrupt catalogue another name, so that it can be looked at. The
/// last one is kept, not a heap of them.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("redb.corrupt");
    fs::rename(path, &aside)?;
    Ok(aside)
}
