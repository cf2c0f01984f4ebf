//! Entries in and out.

use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, FileEntry, PeerId, Publication, WallTime};

use crate::Config;
use crate::query::EntryTokens;
use crate::query::matching::path_pieces;

use super::chunk::Places;
use super::contents::Contents;
use super::folders::Folders;
use super::hash::Hasher;
use super::holders::Holders;
use super::pool::Pool;
use super::slots::{NONE, Slots};
use super::sweep::Graves;
use super::words::Words;
use super::{Holdings, Index, Inserted, Refusal};

impl Index {
    /// An empty index.
    pub fn new(config: Config) -> Self {
        let hasher = Hasher::new(config.hash_seed);
        Self {
            config,
            words: Words::new(hasher),
            slots: Slots::default(),
            folders: Folders::new(hasher),
            contents: Contents::new(hasher),
            holders: Holders::new(hasher),
            graves: Graves::default(),
            pool: Pool::default(),
            tokens: EntryTokens::default(),
            len: 0,
        }
    }

    /// Takes a publication, which may be anything that a stranger sends, but
    /// whose signature is the caller's to check. An entry is the same if
    /// holder, content and path are. A few microseconds.
    pub fn insert(&mut self, publication: &Publication) -> Inserted {
        let entry = &publication.entry;
        if let Err(error) = entry.validate() {
            return Inserted::Refused(error.into());
        }
        let known = self.known(publication.holder, entry.content);
        let copies = known.map_or_else(Vec::new, |head| self.copies(head));
        let same = copies
            .iter()
            .copied()
            .find(|copy| self.has_path(*copy, &entry.path));
        if let Some(old) = same {
            let charge = self.charge(old);
            if self.says_the_same(old, entry) {
                self.slots.renew(old, publication);
                return Inserted::Renewed;
            }
            if let Err(refusal) = self.admit(publication, charge, 0) {
                return Inserted::Refused(refusal);
            }
            self.delete(old);
            self.add(publication);
            return Inserted::Renewed;
        }
        match self.admit(publication, 0, copies.len()) {
            Ok(()) => {
                self.add(publication);
                Inserted::New
            }
            Err(refusal) => Inserted::Refused(refusal),
        }
    }

    /// Takes a later signature and expiry of an entry that is here. Whether it
    /// is, as this publication has it.
    pub fn renew(&mut self, publication: &Publication) -> bool {
        let entry = &publication.entry;
        let head = self.known(publication.holder, entry.content);
        let copies = head.map_or_else(Vec::new, |head| self.copies(head));
        let mut copies = copies.into_iter();
        let same = copies.find(|copy| self.has_path(*copy, &entry.path));
        let Some(old) = same.filter(|old| self.says_the_same(*old, entry)) else {
            return false;
        };
        self.slots.renew(old, publication);
        true
    }

    /// Whether size and media are those of an entry.
    fn says_the_same(&self, old: u32, entry: &FileEntry) -> bool {
        let (_, media) = self.slots.texts(old);
        media.to_media() == entry.media && self.slots.slot(old).size == entry.size
    }

    /// Makes room for so many entries of a holder, so that taking them in does
    /// not copy what is there again and again.
    pub fn reserve(&mut self, holder: PeerId, entries: usize) {
        let entries = entries.min(self.config.entries_max);
        self.contents.reserve(entries);
        self.words.reserve(entries);
        let holder = self.holders.intern(holder);
        self.holders.reserve(&self.slots, holder, entries);
    }

    /// The first of a holder's entries with this content.
    fn known(&self, holder: PeerId, content: ContentId) -> Option<u32> {
        let holder = self.holders.find(holder)?;
        let content = self.contents.find(content)?;
        self.holders.head(&self.slots, holder, content)
    }

    /// That entry and the holder's others with the same content.
    fn copies(&self, head: u32) -> Vec<u32> {
        let holder = self.slots.holder(head);
        let next = |entry: &u32| {
            let next = self.slots.slot(*entry).next;
            (next != NONE && self.slots.holder(next) == holder).then_some(next)
        };
        std::iter::successors(Some(head), next).collect()
    }

    fn has_path(&self, entry: u32, path: &str) -> bool {
        let [folder, name] = path_pieces(path);
        let (own, _) = self.slots.texts(entry);
        own == name && self.folders.text(self.slots.slot(entry).folder) == folder
    }

    /// Whether there is room for a publication if an entry of the same holder
    /// charged with `replaced` (0: none) goes.
    fn admit(
        &self,
        publication: &Publication,
        replaced: usize,
        copies: usize,
    ) -> Result<(), Refusal> {
        let config = &self.config;
        let goes = usize::from(replaced > 0);
        let (entries, bytes) = match self.holders.find(publication.holder) {
            Some(number) => {
                let holder = self.holders.holder(number);
                (holder.entries - goes, holder.bytes - replaced)
            }
            None if self.holders.len() >= config.holders_max => {
                return Err(Refusal::Holders {
                    max: config.holders_max,
                });
            }
            None => (0, 0),
        };
        if self.len - goes >= config.entries_max {
            return Err(Refusal::Full {
                max: config.entries_max,
            });
        }
        if entries >= config.entries_per_holder_max {
            return Err(Refusal::HolderEntries {
                max: config.entries_per_holder_max,
            });
        }
        if bytes + Config::charge(&publication.entry) > config.bytes_per_holder_max {
            return Err(Refusal::HolderBytes {
                max: config.bytes_per_holder_max,
            });
        }
        if copies >= config.names_per_content_max {
            return Err(Refusal::Names {
                max: config.names_per_content_max,
            });
        }
        Ok(())
    }

    /// Adds an entry that is valid, new and admitted.
    fn add(&mut self, publication: &Publication) {
        let FileEntry { content, path, .. } = &publication.entry;
        let [folder, name] = path_pieces(path);
        let holder = self.holders.intern(publication.holder);
        let known = self.contents.find(*content);
        let beside = known.and_then(|known| self.holders.head(&self.slots, holder, known));
        let content = known.unwrap_or_else(|| self.contents.add(*content));
        let folder_number = self.folders.enter(folder);
        let entry = self
            .slots
            .add(publication, name, content, holder, folder_number);
        self.contents.link(&mut self.slots, entry, beside);
        let charge = Config::charge(&publication.entry);
        self.holders
            .add(&self.slots, entry, charge, beside.is_none());

        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.fill_from(&publication.entry);
        let mut words: Vec<(&str, usize)> = tokens.iter().zip(0..).collect();
        words.sort_unstable();
        for same in words.chunk_by(|(a, _), (b, _)| a == b) {
            let (word, first) = same[0];
            let last = same.last().map_or(first, |(_, last)| *last);
            self.words.post(word, entry, Places::new(first, last));
        }
        self.tokens = tokens;
        self.len += 1;
        self.advance_sweep(1);
    }

    /// Deletes one entry.
    fn delete(&mut self, entry: u32) {
        let charge = self.charge(entry);
        self.holders.remove(&self.slots, entry, charge);
        self.detach(entry);
        self.advance_sweep(1);
    }

    /// Takes an entry out of everything but its holder's table and the postings.
    fn detach(&mut self, entry: u32) {
        self.contents.unlink(&mut self.slots, entry);
        self.folders.leave(self.slots.slot(entry).folder);
        self.slots.forget_texts(entry);
        self.slots.disown(entry);
        self.bury(entry);
        self.len -= 1;
    }

    fn charge(&self, entry: u32) -> usize {
        let (name, media) = self.slots.texts(entry);
        let folder = self.folders.text(self.slots.slot(entry).folder);
        let slash = usize::from(!folder.is_empty());
        let texts = media.texts.into_iter().flatten().map(str::len).sum();
        Config::charge_for(folder.len() + slash + name.len(), texts)
    }

    /// Gives back everything when the last entry is gone.
    fn reset_if_empty(&mut self) {
        if self.len == 0 && self.slots.made() > 0 {
            let hasher = Hasher::new(self.config.hash_seed);
            self.words = Words::new(hasher);
            self.slots = Slots::default();
            self.folders = Folders::new(hasher);
            self.contents = Contents::new(hasher);
            self.graves = Graves::default();
        }
    }

    /// Forgets one entry. Whether it was there.
    pub fn remove(&mut self, holder: PeerId, content: ContentId, path: &str) -> bool {
        let head = self.known(holder, content);
        let copies = head.map_or_else(Vec::new, |head| self.copies(head));
        let found = copies.into_iter().find(|copy| self.has_path(*copy, path));
        if let Some(entry) = found {
            self.delete(entry);
            self.forget_idle(holder);
            self.reset_if_empty();
        }
        found.is_some()
    }

    /// A holder without entries stays only if its speed is known.
    fn forget_idle(&mut self, holder: PeerId) {
        if let Some(number) = self.holders.find(holder) {
            let holder = self.holders.holder(number);
            if holder.entries == 0 && holder.speed.is_none() {
                self.holders.forget(number);
            }
        }
    }

    /// Forgets a holder with all its entries and its speed. How many entries
    /// they were. Well under a microsecond an entry.
    pub fn remove_holder(&mut self, holder: PeerId) -> usize {
        let Some(number) = self.holders.find(holder) else {
            return 0;
        };
        let entries = self.holders.entries(&self.slots, number);
        entries.iter().for_each(|entry| self.detach(*entry));
        self.holders.forget(number);
        self.advance_sweep(entries.len());
        self.reset_if_empty();
        entries.len()
    }

    /// Forgets entries that have expired, with the slack of
    /// [`Publication::CLOCK_SLACK_SECONDS`]. How many they were. Nearly free
    /// when there are none.
    pub fn expire(&mut self, now: WallTime) -> usize {
        let slack = Publication::CLOCK_SLACK_SECONDS;
        let expired = self
            .slots
            .expiring_before(now.as_unix_seconds().saturating_sub(slack));
        for &entry in &expired {
            let holder = self.holders.holder(self.slots.holder(entry)).id;
            self.delete(entry);
            self.forget_idle(holder);
        }
        self.reset_if_empty();
        expired.len()
    }

    /// Notes the speed that a holder announces: a tie-breaker in ranking. It
    /// may come before its entries and stays without them, until
    /// [`Index::remove_holder`]. Ignored from a new holder when there are
    /// [`Config::holders_max`].
    pub fn set_speed(&mut self, holder: PeerId, bytes_per_second: u64) {
        let known = self.holders.find(holder);
        if known.is_some() || self.holders.len() < self.config.holders_max {
            let number = self.holders.intern(holder);
            self.holders.set_speed(number, bytes_per_second);
        }
    }

    /// Some of a holder's entries, `limit` of them from the `offset`-th on.
    /// Time grows with all that it has.
    pub fn holdings(&self, holder: PeerId, offset: usize, limit: usize) -> Holdings {
        let Some(number) = self.holders.find(holder) else {
            return Holdings::default();
        };
        let mut entries = self.holders.entries(&self.slots, number);
        let total = u64::try_from(entries.len()).expect("a length fits 64 bits");
        let id = |entry: u32| self.contents.content(self.slots.slot(entry).content).id;
        let order = |a: &u32, b: &u32| self.compare_paths(*a, *b).then_with(|| id(*a).cmp(&id(*b)));
        let end = offset.saturating_add(limit).min(entries.len());
        if end > 0 && end < entries.len() {
            entries.select_nth_unstable_by(end - 1, order);
        }
        entries.truncate(end);
        entries.sort_unstable_by(order);
        let publications = entries
            .iter()
            .skip(offset)
            .map(|entry| self.publication(*entry));
        Holdings {
            publications: publications.collect(),
            total,
        }
    }

    /// What the holder published, byte for byte.
    pub(super) fn publication(&self, entry: u32) -> Publication {
        let slot = self.slots.slot(entry);
        let (name, media) = self.slots.texts(entry);
        let folder = self.folders.text(slot.folder);
        let mut path = String::with_capacity(folder.len() + 1 + name.len());
        path.push_str(folder);
        if !folder.is_empty() {
            path.push('/');
        }
        path.push_str(name);
        Publication {
            entry: FileEntry {
                content: self.contents.content(slot.content).id,
                size: slot.size,
                path,
                media: media.to_media(),
            },
            holder: self.holders.holder(self.slots.holder(entry)).id,
            expires: WallTime::from_unix_seconds(slot.expires),
            signature: SignatureBytes(self.slots.signature(entry)),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries a holder has.
    pub fn holder_len(&self, holder: PeerId) -> usize {
        let number = self.holders.find(holder);
        number.map_or(0, |number| self.holders.holder(number).entries)
    }

    /// How many holders have entries.
    pub fn holders_len(&self) -> usize {
        self.holders.sharing()
    }

    /// How many contents there are.
    pub fn contents_len(&self) -> usize {
        self.contents.len()
    }

    /// How many different words there are, those of entries that were
    /// forgotten lately included.
    pub fn words_len(&self) -> usize {
        self.words.len()
    }

    /// How many bytes of memory the index takes, without what the allocator
    /// adds. Walks the dictionary: some milliseconds for a million entries.
    pub fn memory_bytes(&self) -> usize {
        self.words.memory_bytes()
            + self.slots.memory_bytes()
            + self.folders.memory_bytes()
            + self.contents.memory_bytes()
            + self.holders.memory_bytes()
            + self.graves.memory_bytes()
    }
}
