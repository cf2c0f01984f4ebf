//! What this peer shares, as a log of the latest change to each entry.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use gannet_base::{ContentId, FileEntry, Publication};

/// Place of a change in the log; later changes have larger ones. 0 is before
/// the first.
pub(super) type Revision = u64;

/// Names an entry in few bytes: digest of content and path. Two entries of one
/// peer never meet by accident, and it could only cheat itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKey([u8; 16]);

impl EntryKey {
    pub(super) fn of(content: ContentId, path: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(content.as_bytes());
        hasher.update(path.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }
}

/// The latest that happened to an entry.
#[derive(Debug)]
pub(super) enum Latest {
    Published(Box<Publication>),
    Withdrawn(Box<(ContentId, String)>),
}

/// Every entry's latest change, in order. Replaying the log from any revision
/// brings a hub that had all before it up to date.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Boxed: of very many simulated peers, most share nothing.
    entries: Option<Box<Entries>>,
    latest: Revision,
    /// Withdrawals up to here may have been forgotten: hubs that are not past
    /// it must start over.
    floor: Revision,
}

#[derive(Debug, Default)]
struct Entries {
    changes: BTreeMap<Revision, Latest>,
    by_entry: BTreeMap<EntryKey, Revision>,
    /// Revisions of withdrawals, all of them in `changes` too.
    withdrawn: BTreeSet<Revision>,
}

impl Log {
    /// How many entries are published.
    pub(super) fn len(&self) -> usize {
        let entries = self.entries.as_ref();
        entries.map_or(0, |entries| entries.changes.len() - entries.withdrawn.len())
    }

    pub(super) fn latest(&self) -> Revision {
        self.latest
    }

    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    /// When the entry was published last, if it is published now.
    pub(super) fn published_at(&self, key: EntryKey) -> Option<Revision> {
        let entries = self.entries.as_ref()?;
        let revision = entries.by_entry.get(&key)?;
        (!entries.withdrawn.contains(revision)).then_some(*revision)
    }

    /// What was published then, if nothing happened to it since.
    pub(super) fn published(&self, revision: Revision) -> Option<&Publication> {
        match self.entries.as_ref()?.changes.get(&revision)? {
            Latest::Published(publication) => Some(publication),
            Latest::Withdrawn(_) => None,
        }
    }

    pub(super) fn has(&self, key: EntryKey) -> bool {
        self.published_at(key).is_some()
    }

    pub(super) fn has_entry(&self, entry: &FileEntry) -> bool {
        self.has(EntryKey::of(entry.content, &entry.path))
    }

    /// The changes after `revision`, oldest first.
    pub(super) fn after(&self, revision: Revision) -> impl Iterator<Item = (Revision, &Latest)> {
        let later = (Bound::Excluded(revision), Bound::Unbounded);
        let entries = self.entries.iter();
        entries
            .flat_map(move |entries| entries.changes.range(later))
            .map(|(revision, latest)| (*revision, latest))
    }

    /// Notes a publication. False if it says nothing new.
    pub(super) fn publish(&mut self, publication: Publication) -> bool {
        let entry = &publication.entry;
        let key = EntryKey::of(entry.content, &entry.path);
        if let Some(entries) = &self.entries
            && let Some(revision) = entries.by_entry.get(&key)
            && let Some(Latest::Published(old)) = entries.changes.get(revision)
            && **old == publication
        {
            return false;
        }
        self.note(key, Latest::Published(Box::new(publication)));
        true
    }

    /// Notes a withdrawal; `remembered_max` of them are kept. False if the
    /// entry was not published.
    pub(super) fn withdraw(
        &mut self,
        content: ContentId,
        path: String,
        remembered_max: usize,
    ) -> bool {
        let key = EntryKey::of(content, &path);
        if !self.has(key) {
            return false;
        }
        let revision = self.note(key, Latest::Withdrawn(Box::new((content, path))));
        let withdrawn = &mut self.entries.get_or_insert_default().withdrawn;
        withdrawn.insert(revision);
        let mut excess = Vec::new();
        while withdrawn.len() > remembered_max {
            excess.extend(withdrawn.pop_first());
        }
        for revision in excess {
            self.forget(revision);
        }
        true
    }

    /// Forgets withdrawals that every hub has heard of: those up to
    /// `revision`.
    pub(super) fn forget_withdrawn(&mut self, revision: Revision) {
        while let Some(entries) = &mut self.entries
            && let Some(first) = entries.withdrawn.first().copied()
            && first <= revision
        {
            entries.withdrawn.remove(&first);
            self.forget(first);
        }
    }

    fn forget(&mut self, revision: Revision) {
        self.floor = revision;
        let Some(entries) = &mut self.entries else {
            return;
        };
        if let Some(Latest::Withdrawn(gone)) = entries.changes.remove(&revision) {
            entries.by_entry.remove(&EntryKey::of(gone.0, &gone.1));
        }
        if entries.changes.is_empty() {
            self.entries = None;
        }
    }

    fn note(&mut self, key: EntryKey, latest: Latest) -> Revision {
        self.latest += 1;
        let entries = self.entries.get_or_insert_default();
        if let Some(before) = entries.by_entry.insert(key, self.latest) {
            entries.changes.remove(&before);
            entries.withdrawn.remove(&before);
        }
        entries.changes.insert(self.latest, latest);
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::SignatureBytes;
    use gannet_base::{Media, PeerId, WallTime};
    use proptest::prelude::*;

    use super::*;

    fn publication(name: &str, expires: u64) -> Publication {
        Publication {
            entry: FileEntry {
                content: ContentId::of(name.as_bytes()),
                size: 1,
                path: name.to_owned(),
                media: Media::default(),
            },
            holder: PeerId::from_bytes([1; 32]),
            expires: WallTime::from_unix_seconds(expires),
            signature: SignatureBytes([0; 64]),
        }
    }

    fn withdraw(log: &mut Log, name: &str, remembered_max: usize) -> bool {
        log.withdraw(
            ContentId::of(name.as_bytes()),
            name.to_owned(),
            remembered_max,
        )
    }

    #[test]
    fn only_the_latest_change_of_an_entry_is_kept() {
        let mut log = Log::default();
        assert!(log.publish(publication("a", 1)));
        assert!(!log.publish(publication("a", 1)));
        assert!(log.publish(publication("b", 1)));
        assert!(log.publish(publication("a", 2)));
        assert_eq!((log.len(), log.latest()), (2, 3));
        let order: Vec<Revision> = log.after(0).map(|(revision, _)| revision).collect();
        assert_eq!(order, [2, 3]);
        assert!(withdraw(&mut log, "b", 10));
        assert!(!withdraw(&mut log, "b", 10));
        assert_eq!((log.len(), log.latest()), (1, 4));
        assert!(log.publish(publication("b", 1)));
        assert_eq!((log.len(), log.after(3).count()), (2, 1));
        assert_eq!(log.floor(), 0);
    }

    #[test]
    fn forgotten_withdrawals_raise_the_floor() {
        let mut log = Log::default();
        for name in ["a", "b", "c"] {
            log.publish(publication(name, 1));
        }
        for name in ["a", "b", "c"] {
            withdraw(&mut log, name, 2);
        }
        assert_eq!((log.len(), log.floor()), (0, 4));
        log.forget_withdrawn(5);
        assert_eq!((log.after(0).count(), log.floor()), (1, 5));
        assert!(log.publish(publication("a", 1)), "it can come back");
    }

    #[derive(Debug, Clone)]
    enum Act {
        Publish(u8, u64),
        Withdraw(u8),
        /// A hub hears everything so far.
        Listen,
        /// Withdrawals that it has heard of are forgotten.
        Tidy,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => (0..8_u8, 0..3_u64).prop_map(|(name, expires)| Act::Publish(name, expires)),
            3 => (0..8_u8).prop_map(Act::Withdraw),
            1 => Just(Act::Listen),
            1 => Just(Act::Tidy),
        ];
        proptest::collection::vec(act, 0..60)
    }

    proptest! {
        /// Whatever a hub had heard, replaying what came after brings it to
        /// what is published now, unless the log says that it cannot.
        #[test]
        fn replaying_the_log_brings_a_hub_up_to_date(acts in acts(), remembered_max in 0..4_usize) {
            let mut log = Log::default();
            let (mut now, mut hub) = (BTreeMap::new(), BTreeMap::new());
            let mut heard = 0;
            for act in acts {
                match act {
                    Act::Publish(name, expires) => {
                        let name = name.to_string();
                        log.publish(publication(&name, expires));
                        now.insert(name, expires);
                    }
                    Act::Withdraw(name) => {
                        let name = name.to_string();
                        let was_there = now.remove(&name).is_some();
                        prop_assert_eq!(withdraw(&mut log, &name, remembered_max), was_there);
                    }
                    Act::Listen => {
                        heard = log.latest();
                        hub = now.clone();
                    }
                    Act::Tidy => log.forget_withdrawn(heard),
                }
                prop_assert_eq!(log.len(), now.len());
                if let Some(entries) = &log.entries {
                    prop_assert!(entries.withdrawn.len() <= remembered_max);
                    prop_assert_eq!(entries.by_entry.len(), entries.changes.len());
                }
            }
            if heard >= log.floor() {
                for (_, latest) in log.after(heard) {
                    match latest {
                        Latest::Published(one) => {
                            hub.insert(one.entry.path.clone(), one.expires.as_unix_seconds());
                        }
                        Latest::Withdrawn(gone) => {
                            let path = &gone.1;
                            hub.remove(path);
                        }
                    }
                }
                prop_assert_eq!(hub, now);
            }
        }
    }
}
