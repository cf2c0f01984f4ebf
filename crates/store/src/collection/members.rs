//! Reading a pack from its members, wherever they lie.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet};

use crate::CatalogueError;
use crate::backend::{ReadAt, read_exact};
use crate::catalogue::{FileRecord, Place, ShareId, Snapshot};
use crate::open::Root;
use crate::store::Inner;

/// The members of a pack side by side. None of them is held open: a pack may
/// have more members than a process may have files.
#[derive(Debug)]
pub(crate) struct Members {
    roots: BTreeMap<ShareId, Root>,
    list: Vec<Member>,
    size: u64,
}

#[derive(Debug)]
struct Member {
    /// Offset of its first byte in the pack.
    start: u64,
    size: u64,
    /// Where it lies; None if no shared file has its content.
    at: Option<(Place, FileRecord)>,
}

impl Members {
    /// The members of these contents and sizes, in order; none is empty.
    pub(crate) fn find(
        store: &Inner,
        snapshot: &Snapshot,
        files: impl Iterator<Item = (ContentId, u64)>,
    ) -> Result<Self, CatalogueError> {
        let mut members = Self::new();
        for (content, size) in files {
            let mut at = None;
            for place in snapshot.places(content)? {
                if let Some(record) = snapshot.record(&place)?
                    && record.stamp.size == size
                    && members.has_root(store, place.share)
                {
                    at = Some((place, record));
                    break;
                }
            }
            members.push(size, at);
        }
        Ok(members)
    }

    /// Members that lie at these places.
    pub(crate) fn at<'a>(
        store: &Inner,
        files: impl Iterator<Item = &'a (Place, FileRecord)>,
    ) -> Self {
        let mut members = Self::new();
        for (place, record) in files {
            let is_there = members.has_root(store, place.share);
            let at = is_there.then(|| (place.clone(), record.clone()));
            members.push(record.stamp.size, at);
        }
        members
    }

    fn new() -> Self {
        Self {
            roots: BTreeMap::new(),
            list: Vec::new(),
            size: 0,
        }
    }

    fn push(&mut self, size: u64, at: Option<(Place, FileRecord)>) {
        let start = self.size;
        self.size += size;
        self.list.push(Member { start, size, at });
    }

    /// Opens the root of a share, unless it is open already.
    fn has_root(&mut self, store: &Inner, share: ShareId) -> bool {
        if self.roots.contains_key(&share) {
            return true;
        }
        let found = store.with_shares(|shares| shares.get(share).cloned());
        let root = found
            .filter(|share| share.unavailable.is_none())
            .and_then(|share| Root::open(&share).ok());
        match root {
            Some(root) => self.roots.insert(share, root).is_none(),
            None => false,
        }
    }

    /// Bytes of all of them.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The groups of which all members are there.
    pub(crate) fn have(&self) -> GroupSet {
        let mut have = GroupSet::whole(self.size);
        for member in self.list.iter().filter(|member| member.at.is_none()) {
            let last = member.start + member.size - 1;
            have.remove(GroupRange::new(
                member.start / GROUP_BYTES,
                last / GROUP_BYTES + 1,
            ));
        }
        have
    }

    /// The members in these groups that are not what they were.
    pub(crate) fn changed(&self, slice: GroupRange) -> Vec<(Place, FileRecord)> {
        let bytes = slice.bytes(self.size);
        let concerned = self
            .list
            .iter()
            .filter(|member| member.start < bytes.end && bytes.start < member.start + member.size);
        let mut changed = Vec::new();
        for member in concerned {
            let Some((place, record)) = &member.at else {
                continue;
            };
            let size = usize::try_from(member.size).expect("members of packs are small");
            let mut bytes = vec![0; size];
            let read = read_exact(self, &mut bytes, member.start);
            if read.is_err() || ContentId::of(&bytes) != record.content {
                changed.push((place.clone(), record.clone()));
            }
        }
        changed
    }
}

impl ReadAt for Members {
    /// Reads from one member at most.
    fn read_some(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let after = self.list.partition_point(|member| member.start <= offset);
        let Some(member) = after.checked_sub(1).and_then(|n| self.list.get(n)) else {
            return Ok(0);
        };
        let within = offset - member.start;
        if within >= member.size {
            return Ok(0);
        }
        let missing = || io::Error::new(io::ErrorKind::UnexpectedEof, "a file of the pack changed");
        let (place, record) = member.at.as_ref().ok_or_else(missing)?;
        let root = self.roots.get(&place.share).ok_or_else(missing)?;
        let open = root.open_file(&place.path)?;
        if open.stamp != record.stamp {
            return Err(missing());
        }
        let read = rustix::io::preadv(&open.file, buffers, within)?;
        // Of a file that grows this very moment more may come; what is too much
        // is overwritten by what belongs there.
        Ok(read.min(usize::try_from(member.size - within).unwrap_or(usize::MAX)))
    }
}
