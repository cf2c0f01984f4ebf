//! The catalogue: which files are shared, what they hash to.
//!
//! Tables: files by place; places by content; places by inode, so that a file
//! that was moved is not hashed again; counts per share. All four change in
//! one transaction, so `kill -9` leaves them in agreement. It can always be
//! built anew by scanning: a corrupt one is moved aside.

mod open;
mod records;
mod snapshot;

use std::path::PathBuf;
use std::sync::{RwLock, RwLockReadGuard};

use gannet_base::ContentId;
use redb::{Database, ReadableTable as _, TableDefinition, WriteTransaction};

pub(crate) use self::records::{DOWNLOADS_SHARE, FileRecord, KeyRange, Place, ShareId, Stamp};
pub use self::snapshot::Entries;
pub(crate) use self::snapshot::Snapshot;
use crate::CatalogueError;
use crate::backend::is_disk_full;

const FILES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("files");
const CONTENTS: TableDefinition<'static, &[u8], ()> = TableDefinition::new("contents");
const INODES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("inodes");
const COUNTS: TableDefinition<'static, u32, (u64, u64)> = TableDefinition::new("counts");

impl From<redb::Error> for CatalogueError {
    fn from(error: redb::Error) -> Self {
        match &error {
            redb::Error::Io(io) if is_disk_full(io) => Self::DiskFull,
            _ => Self::Database(Box::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($name:ident),*) => {$(
        impl From<redb::$name> for CatalogueError {
            fn from(error: redb::$name) -> Self {
                Self::from(redb::Error::from(error))
            }
        }
    )*};
}

from_redb!(
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError
);

/// A change to one file's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file at this place has this record.
    Put(Place, FileRecord),
    /// There is no shared file at this place; if a record is given, only
    /// provided that it is still the one there.
    Remove(Place, Option<FileRecord>),
}

/// What a change came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Added(Place, FileRecord),
    Removed(Place, FileRecord),
}

/// What some changes came to.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// In the order of the changes.
    pub(crate) effects: Vec<Effect>,
    /// Contents that no file has any more.
    pub(crate) orphans: Vec<ContentId>,
}

#[derive(Debug)]
pub(crate) struct Catalogue {
    path: PathBuf,
    cache_bytes: usize,
    /// None after an error of the disk, until it can be opened again: the
    /// database refuses to go on after one.
    database: RwLock<Option<Database>>,
}

impl Catalogue {
    /// Runs something on the database, opening it again if it had failed.
    fn run<T>(
        &self,
        action: impl Fn(&Database) -> Result<T, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        let first = match &*self.read() {
            Some(database) => action(database),
            None => Err(redb::Error::PreviousIo.into()),
        };
        match first {
            Err(CatalogueError::Database(error)) if matches!(*error, redb::Error::PreviousIo) => {}
            other => return other,
        }
        let mut slot = self
            .database
            .write()
            .expect("no holder of the catalogue panicked");
        *slot = None;
        let database = open::open_database(&self.path, self.cache_bytes)?;
        action(slot.insert(database))
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database
            .read()
            .expect("no holder of the catalogue panicked")
    }

    /// What the catalogue holds now; later changes are not seen.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, CatalogueError> {
        self.run(Snapshot::new)
    }

    /// Makes changes, all or none; they survive power loss when this returns.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<Applied, CatalogueError> {
        if changes.is_empty() {
            return Ok(Applied::default());
        }
        self.run(|database| {
            let transaction = database.begin_write()?;
            let mut applied = Applied::default();
            for change in changes {
                apply_one(&transaction, change, &mut applied.effects)?;
            }
            applied.orphans = orphans(&transaction, &applied.effects)?;
            transaction.commit()?;
            Ok(applied)
        })
    }

    /// Files and bytes of a share.
    pub(crate) fn counts(&self, share: ShareId) -> Result<(u64, u64), CatalogueError> {
        self.snapshot()?.counts(share)
    }
}

fn apply_one(
    transaction: &WriteTransaction,
    change: &Change,
    effects: &mut Vec<Effect>,
) -> Result<(), CatalogueError> {
    let (place, new) = match change {
        Change::Put(place, record) => (place, Some(record)),
        Change::Remove(place, _) => (place, None),
    };
    let key = place.key();
    let mut files = transaction.open_table(FILES)?;
    let old = files
        .get(key.as_slice())?
        .and_then(|bytes| FileRecord::decode(bytes.value()));
    match change {
        Change::Remove(_, Some(expected)) if old.as_ref() != Some(expected) => return Ok(()),
        _ => {}
    }
    match new {
        Some(record) => drop(files.insert(key.as_slice(), record.encode().as_slice())?),
        None => drop(files.remove(key.as_slice())?),
    }
    if let Some(old) = &old {
        forget(transaction, place, old)?;
    }
    if let Some(new) = new {
        remember(transaction, place, new)?;
    }
    let same = |old: &FileRecord, new: &FileRecord| {
        (old.content, old.stamp.size, &old.media) == (new.content, new.stamp.size, &new.media)
    };
    match (old, new) {
        // Nothing that a stranger sees has changed.
        (Some(old), Some(new)) if same(&old, new) => {}
        (old, new) => {
            effects.extend(old.map(|old| Effect::Removed(place.clone(), old)));
            effects.extend(new.map(|new| Effect::Added(place.clone(), new.clone())));
        }
    }
    Ok(())
}

fn forget(
    transaction: &WriteTransaction,
    place: &Place,
    old: &FileRecord,
) -> Result<(), CatalogueError> {
    let mut contents = transaction.open_table(CONTENTS)?;
    contents.remove(place.content_key(old.content).as_slice())?;
    let mut inodes = transaction.open_table(INODES)?;
    let inode = place.inode_key(&old.stamp);
    // The file may be known under another name already.
    let mine = inodes
        .get(inode.as_slice())?
        .is_some_and(|path| path.value() == place.path);
    if mine {
        inodes.remove(inode.as_slice())?;
    }
    count(transaction, place.share, |(files, bytes)| {
        (
            files.saturating_sub(1),
            bytes.saturating_sub(old.stamp.size),
        )
    })
}

fn remember(
    transaction: &WriteTransaction,
    place: &Place,
    new: &FileRecord,
) -> Result<(), CatalogueError> {
    let mut contents = transaction.open_table(CONTENTS)?;
    contents.insert(place.content_key(new.content).as_slice(), ())?;
    let mut inodes = transaction.open_table(INODES)?;
    inodes.insert(
        place.inode_key(&new.stamp).as_slice(),
        place.path.as_slice(),
    )?;
    count(transaction, place.share, |(files, bytes)| {
        (files + 1, bytes.saturating_add(new.stamp.size))
    })
}

fn count(
    transaction: &WriteTransaction,
    share: ShareId,
    change: impl FnOnce((u64, u64)) -> (u64, u64),
) -> Result<(), CatalogueError> {
    let mut counts = transaction.open_table(COUNTS)?;
    let old = counts.get(share)?.map_or((0, 0), |count| count.value());
    counts.insert(share, change(old))?;
    Ok(())
}

fn orphans(
    transaction: &WriteTransaction,
    effects: &[Effect],
) -> Result<Vec<ContentId>, CatalogueError> {
    let contents = transaction.open_table(CONTENTS)?;
    let mut orphans = Vec::new();
    for effect in effects {
        let Effect::Removed(_, record) = effect else {
            continue;
        };
        let from = record.content.as_bytes().as_slice();
        let next = contents.range(from..)?.next().transpose()?;
        let held = next.is_some_and(|(key, _)| key.value().starts_with(from));
        if !held {
            orphans.push(record.content);
        }
    }
    Ok(orphans)
}

#[cfg(test)]
mod tests;
