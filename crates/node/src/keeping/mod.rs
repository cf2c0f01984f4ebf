//! What this peer keeps for others, as far as it has to do with files: which parts of
//! which contents, what is being fetched of them, and what is remembered of it.
//!
//! **Problem.** The overlay decides which blocks of which files are to be here; the
//! store has them; they come from other peers; and nothing of it may meet what the
//! user downloads.
//!
//! **How.** A download core of its own fetches parts, with streams of its own. Disk
//! work is done by one thread (`disk`), in order: what is dropped and then wanted again
//! is deleted before it is made anew. What is remembered is one file (`saved`).
//!
//! **Invariant.** A block is told to be here when its bytes have been verified and are
//! on the disk, and the content has the size that its keeper signed.

mod disk;
mod saved;

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{
    BlockId, ContentId, FileEntry, GroupRange, GroupSet, PeerId, Timestamp, groups_in,
};
use gannet_store::Download;
use gannet_swarm::Downloads;

pub(crate) use disk::{Disk, DiskContext, Job};
pub(crate) use saved::{Restored, restore};

use crate::driver::Streams;
use crate::report::Committed;

/// Most sources of one content that are used.
// Guess: an offer names twelve, the overlays some more.
const SOURCES_MAX: usize = 64;
/// The first part of the paths under which kept files are listed.
const KEPT_SHARE: &str = "Kept";

/// How far a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being fetched, or waits for the user's own download of the content.
    Fetching {
        /// Since when.
        since: Timestamp,
    },
    /// All of it is here, and is being committed.
    Saving,
    /// It is here.
    Here,
}

/// What is kept, or to be kept, of one content.
#[derive(Debug)]
pub(crate) struct Part {
    /// Told apart from an earlier part of the same content.
    pub(crate) number: u64,
    /// The file, as its keeper signed it.
    pub(crate) entry: FileEntry,
    pub(crate) blocks: BTreeMap<u32, Stage>,
    /// The open part, while something of it is missing.
    pub(crate) download: Option<Download>,
    /// Whether the download core has it.
    pub(crate) is_running: bool,
    /// Whoever may have it.
    pub(crate) sources: BTreeSet<PeerId>,
    /// When something last came of it.
    pub(crate) moved_at: Timestamp,
}

impl Part {
    fn id(&self, index: u32) -> BlockId {
        let content = self.entry.content;
        BlockId { content, index }
    }

    /// The groups of one block, and the last one, which proves the size.
    fn groups_of(&self, index: u32) -> [GroupRange; 2] {
        let size = self.entry.size;
        let groups = groups_in(size);
        let last = GroupRange::new(groups - 1, groups);
        [self.id(index).groups(size), last]
    }

    /// What is to be here of the content.
    pub(crate) fn groups(&self) -> GroupSet {
        let indices = self.blocks.keys();
        indices.flat_map(|index| self.groups_of(*index)).collect()
    }

    /// Whether a block is among these groups, with the proof of the size.
    pub(crate) fn is_covered(&self, index: u32, have: &GroupSet) -> bool {
        let mut groups = self.groups_of(index).into_iter();
        groups.all(|range| have.contains_range(range))
    }

    /// The blocks at a stage.
    pub(crate) fn at(&self, wanted: impl Fn(Stage) -> bool) -> Vec<u32> {
        let blocks = self.blocks.iter();
        let blocks = blocks.filter(|(_, stage)| wanted(**stage));
        blocks.map(|(index, _)| *index).collect()
    }

    /// The blocks that are still to come.
    pub(crate) fn fetching(&self) -> Vec<u32> {
        self.at(|stage| matches!(stage, Stage::Fetching { .. }))
    }

    /// Whether all blocks that are wanted are here.
    pub(crate) fn is_whole(&self) -> bool {
        self.blocks.values().all(|stage| *stage == Stage::Here)
    }

    pub(crate) fn add_source(&mut self, peer: PeerId) -> bool {
        self.sources.len() < SOURCES_MAX && self.sources.insert(peer)
    }

    /// The blocks that were waited for in vain: since too long, or with nothing coming.
    pub(crate) fn overdue(
        &self,
        now: Timestamp,
        most: std::time::Duration,
        idle: std::time::Duration,
    ) -> Vec<u32> {
        let is_idle = now - self.moved_at > idle;
        self.at(|stage| match stage {
            Stage::Fetching { since } => now - since > most || (is_idle && now - since > idle),
            Stage::Saving | Stage::Here => false,
        })
    }
}

/// What others are told of a kept content.
#[derive(Debug)]
pub(crate) struct Listed {
    /// As it is published.
    pub(crate) entry: FileEntry,
    pub(crate) signed_at: Timestamp,
}

/// Everything that is kept here for others.
pub(crate) struct Keeping {
    /// Fetches parts; apart from what the user fetches.
    pub(crate) downloads: Downloads,
    pub(crate) streams: Streams,
    pub(crate) parts: BTreeMap<ContentId, Part>,
    /// The contents that this peer is published for.
    pub(crate) listed: BTreeMap<ContentId, Listed>,
    pub(crate) disk: Disk,
    /// What was found at the start, until the core has been told.
    pub(crate) restored: Option<Restored>,
    /// What is to be remembered has changed since it was last written.
    pub(crate) is_stale: bool,
    pub(crate) is_saving: bool,
    /// Answers to users that wait for that: as many as there are questions at once.
    pub(crate) unanswered: Vec<Box<dyn FnOnce() + Send>>,
    /// Blocks on the disk that wait for that: at most as many as are held.
    pub(crate) committed: Vec<Committed>,
    parts_made: u64,
}

impl Keeping {
    pub(crate) fn new(downloads: Downloads, disk: Disk, restored: Restored) -> Self {
        Self {
            downloads,
            streams: Streams::default(),
            parts: BTreeMap::new(),
            listed: BTreeMap::new(),
            disk,
            restored: Some(restored),
            is_stale: false,
            is_saving: false,
            unanswered: Vec::new(),
            committed: Vec::new(),
            parts_made: 0,
        }
    }

    /// The part of a content, made if there is none.
    pub(crate) fn part(&mut self, now: Timestamp, entry: &FileEntry) -> &mut Part {
        let made = &mut self.parts_made;
        self.parts.entry(entry.content).or_insert_with(|| {
            *made += 1;
            Part {
                number: *made,
                entry: entry.clone(),
                blocks: BTreeMap::new(),
                download: None,
                is_running: false,
                sources: BTreeSet::new(),
                moved_at: now,
            }
        })
    }

    /// The part that a report is about, unless it has gone since.
    pub(crate) fn current(&mut self, content: ContentId, number: u64) -> Option<&mut Part> {
        let part = self.parts.get_mut(&content);
        part.filter(|part| part.number == number)
    }

    /// Whether some block of a content is complete here.
    pub(crate) fn has_any(&self, content: ContentId) -> bool {
        let part = self.parts.get(&content);
        part.is_some_and(|part| part.blocks.values().any(|stage| *stage == Stage::Here))
    }
}

/// The entry under which a kept file is listed: apart from what the user shares, and
/// found by the same words.
pub(crate) fn listed_entry(entry: &FileEntry) -> FileEntry {
    let mut listed = entry.clone();
    listed.path = format!("{KEPT_SHARE}/{}", entry.path);
    if listed.validate().is_err() {
        listed.path = format!("{KEPT_SHARE}/{}", entry.name());
    }
    if listed.validate().is_err() {
        listed.path.clone_from(&entry.path);
    }
    listed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gannet_base::{BLOCK_BYTES, Media};

    use super::*;

    fn part(blocks: &[(u32, Stage)]) -> Part {
        let entry = FileEntry {
            content: ContentId::of(b"x"),
            size: 2 * BLOCK_BYTES + 50_000,
            path: "films/x".to_owned(),
            media: Media::default(),
        };
        Part {
            number: 1,
            entry,
            blocks: blocks.iter().copied().collect(),
            download: None,
            is_running: false,
            sources: BTreeSet::new(),
            moved_at: Timestamp::from_secs(100),
        }
    }

    fn since(seconds: u64) -> Stage {
        let since = Timestamp::from_secs(seconds);
        Stage::Fetching { since }
    }

    #[test]
    fn a_block_is_covered_with_the_proof_of_the_size_only() {
        let part = part(&[(0, Stage::Here), (1, since(0))]);
        let last = GroupRange::new(2_051, 2_052);
        let mut have = GroupSet::from(GroupRange::new(0, 1_024));
        assert!(!part.is_covered(0, &have), "the size is not proven");
        have.insert(last);
        assert!(part.is_covered(0, &have) && !part.is_covered(1, &have));
        let all: GroupSet = [GroupRange::new(0, 2_048), last].into_iter().collect();
        assert_eq!(part.groups(), all);
        assert_eq!(part.fetching(), [1]);
        assert!(!part.is_whole());
    }

    #[test]
    fn what_does_not_come_is_given_up() {
        let part = part(&[(0, Stage::Saving), (1, since(90)), (2, since(150))]);
        let overdue = |now| {
            let now = Timestamp::from_secs(now);
            part.overdue(now, Duration::from_secs(500), Duration::from_secs(100))
        };
        assert!(overdue(190).is_empty(), "something came not long ago");
        assert_eq!(overdue(201), [1], "the other was asked for later");
        assert_eq!(overdue(300), [1, 2]);
    }

    #[test]
    fn kept_files_are_listed_apart() {
        let mut entry = part(&[]).entry;
        assert_eq!(listed_entry(&entry).path, "Kept/films/x");
        entry.path = format!("a/{}", ["b"; 600].join("/"));
        let listed = listed_entry(&entry);
        assert!(listed.validate().is_ok() || entry.validate().is_err());
    }
}
