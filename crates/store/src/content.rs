//! Reading a content, checked on the way out.

use std::io;
use std::sync::Arc;

use gannet_base::{ContentId, GroupRange, GroupSet, groups_in};

use crate::ReadError;
use crate::backend::{DiskFile, RealFile};
use crate::catalogue::{FileRecord, Place};
use crate::collection::Members;
use crate::download::Partial;
use crate::gather::gather;
use crate::open::stamp_of;
use crate::slice::{Step, is_slice_of, steps, verify};
use crate::store::{Inner, is_ours};

/// How much of a content is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Whole,
    /// These groups of a partial download; they grow while it runs.
    Groups(GroupSet),
}

/// An open content: a shared file or a partial download. Keep it for as long
/// as slices of it are asked for; it holds two file descriptors. Reads take
/// `&self` and may run in several threads at once.
#[derive(Debug)]
pub struct ContentReader {
    content: ContentId,
    size: u64,
    source: Source,
    store: Arc<Inner>,
}

#[derive(Debug)]
enum Source {
    Shared(Box<Shared>),
    Collected(Box<Collected>),
    Partial(Arc<Partial>),
}

/// A content that is there for the sake of a folder that is linked to.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Of which collection.
    id: ContentId,
    data: CollectedData,
    outboard: Option<RealFile>,
    size: u64,
    /// The groups whose members are there.
    pub(crate) have: GroupSet,
}

/// Where its bytes are.
#[derive(Debug)]
pub(crate) enum CollectedData {
    Manifest(RealFile),
    Pack(Members),
}

impl Collected {
    pub(crate) fn new(
        id: ContentId,
        data: CollectedData,
        outboard: Option<RealFile>,
        size: u64,
    ) -> Self {
        let have = match &data {
            CollectedData::Manifest(_) => GroupSet::whole(size),
            // The shelf's word on the size is the manifest's.
            CollectedData::Pack(members) => members.have(),
        };
        Self {
            id,
            data,
            outboard,
            size,
            have,
        }
    }

    fn gather(&self, slice: GroupRange, steps: &[Step], out: &mut Vec<u8>) -> io::Result<()> {
        let outboard = self.outboard.as_ref().map(|file| file as &dyn DiskFile);
        match &self.data {
            CollectedData::Manifest(file) => gather(file, outboard, self.size, slice, steps, out),
            CollectedData::Pack(members) => gather(members, outboard, self.size, slice, steps, out),
        }
    }

    /// Withdraws the members that are other files now; if there are none, what
    /// is kept of the collection itself is damaged.
    fn changed(&self, store: &Inner, content: ContentId, slice: GroupRange) {
        if let CollectedData::Pack(members) = &self.data {
            let changed = members.changed(slice);
            for (place, record) in &changed {
                store.withdraw(place, record);
            }
            if !changed.is_empty() {
                return;
            }
        }
        tracing::warn!(id = %self.id, %content, "damaged, so not served; link to the folder again");
        store.shelf.withdraw(self.id, content);
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) record: FileRecord,
    pub(crate) file: RealFile,
    pub(crate) root_dev: u64,
    pub(crate) outboard: Option<RealFile>,
}

impl Shared {
    fn is_unchanged(&self) -> bool {
        stamp_of(&self.file.0, self.root_dev).is_ok_and(|stamp| stamp == self.record.stamp)
    }
}

impl ContentReader {
    pub(crate) fn shared(shared: Shared, store: Arc<Inner>) -> Self {
        Self {
            content: shared.record.content,
            size: shared.record.stamp.size,
            source: Source::Shared(Box::new(shared)),
            store,
        }
    }

    pub(crate) fn collected(content: ContentId, collected: Collected, store: Arc<Inner>) -> Self {
        Self {
            content,
            size: collected.size,
            source: Source::Collected(Box::new(collected)),
            store,
        }
    }

    /// None while the size of the download is not known.
    pub(crate) fn partial(partial: Arc<Partial>, store: Arc<Inner>) -> Option<Self> {
        Some(Self {
            content: partial.content(),
            size: partial.size()?,
            source: Source::Partial(partial),
            store,
        })
    }

    /// Which content it is.
    pub fn content(&self) -> ContentId {
        self.content
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is a pack or the manifest of a folder. A pack of which a file
    /// has changed can be read but for that file: open it again.
    pub fn is_collected(&self) -> bool {
        matches!(self.source, Source::Collected(_))
    }

    /// How much of it can be read now. A finished download stays readable
    /// through the reader that was opened before.
    pub fn have(&self) -> Coverage {
        match &self.source {
            Source::Shared(_) => Coverage::Whole,
            Source::Collected(collected) => self.coverage(collected.have.clone()),
            Source::Partial(partial) => self.coverage(partial.have()),
        }
    }

    fn coverage(&self, have: GroupSet) -> Coverage {
        if have.len() == groups_in(self.size) {
            Coverage::Whole
        } else {
            Coverage::Groups(have)
        }
    }

    /// Makes `out` the encoding of `slice`: hash pairs and data in pre-order,
    /// without a size header. Every byte has been checked against the content
    /// id. Costs one read and one hash of the slice, and less for an `out` that
    /// has been filled before. On error `out` is empty.
    ///
    /// # Errors
    ///
    /// [`ReadError::Changed`] if the file is no longer what was hashed: it has
    /// then been withdrawn and the listener told. [`ReadError::NotYet`] if the
    /// partial download lacks groups of the slice.
    pub fn read_slice(&self, slice: GroupRange, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let read = self.read_checked(slice, out);
        if read.is_err() {
            out.clear();
        }
        read
    }

    /// Appends the checked bytes of `slice`, without hash pairs, to `out`.
    ///
    /// # Errors
    ///
    /// As [`ContentReader::read_slice`].
    pub fn read_data(&self, slice: GroupRange, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut encoded = Vec::new();
        self.read_slice(slice, &mut encoded)?;
        let mut rest = encoded.as_slice();
        for step in steps(self.size, slice) {
            let length = match step {
                Step::Parent { .. } => crate::outboard::PAIR_BYTES,
                Step::Leaf { group } => crate::slice::group_len(self.size, group),
            };
            let (piece, after) = rest.split_at(length);
            rest = after;
            if matches!(step, Step::Leaf { .. }) {
                out.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    fn read_checked(&self, slice: GroupRange, out: &mut Vec<u8>) -> Result<(), ReadError> {
        if !is_slice_of(slice, self.size) {
            return Err(ReadError::OutOfRange {
                slice,
                size: self.size,
            });
        }
        let steps = steps(self.size, slice);
        self.read_steps(slice, &steps, out)?;
        self.check(slice, &steps, out)
    }

    fn read_steps(
        &self,
        slice: GroupRange,
        steps: &[Step],
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let read = match &self.source {
            Source::Partial(partial) if !partial.has(slice) => {
                return Err(ReadError::NotYet { slice });
            }
            Source::Partial(partial) => partial.gather(slice, steps, out),
            Source::Collected(collected) if !collected.have.contains_range(slice) => {
                return Err(ReadError::NotYet { slice });
            }
            Source::Collected(collected) => match collected.gather(slice, steps, out) {
                Err(error) if !is_ours(&error) => return Err(self.changed(slice)),
                gathered => gathered,
            },
            Source::Shared(shared) => {
                if !shared.is_unchanged() {
                    return Err(self.changed(slice));
                }
                let outboard = shared.outboard.as_ref().map(|file| file as &dyn DiskFile);
                gather(&shared.file, outboard, self.size, slice, steps, out)
            }
        };
        match read {
            Ok(()) => Ok(()),
            // Shorter than it was.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.changed(slice)),
            Err(source) => Err(ReadError::Io {
                content: self.content,
                source,
            }),
        }
    }

    fn check(&self, slice: GroupRange, steps: &[Step], encoded: &[u8]) -> Result<(), ReadError> {
        let verified = verify(self.content, self.size, slice, steps, encoded);
        let unchanged = match &self.source {
            Source::Shared(shared) => shared.is_unchanged(),
            Source::Partial(_) | Source::Collected(_) => true,
        };
        if verified.is_ok() && unchanged {
            Ok(())
        } else {
            Err(self.changed(slice))
        }
    }

    /// Withdraws what turned out to be different.
    fn changed(&self, slice: GroupRange) -> ReadError {
        match &self.source {
            Source::Shared(shared) => self.store.withdraw(&shared.place, &shared.record),
            Source::Collected(collected) => collected.changed(&self.store, self.content, slice),
            Source::Partial(partial) => partial.doubt(slice),
        }
        ReadError::Changed {
            content: self.content,
        }
    }
}
