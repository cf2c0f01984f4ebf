//! What is stored: a signed entry, and the places where it is listed.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{ContentId, FileEntry, PeerAddress, PeerId, Publication};
use gannet_index::Tokens;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dht::Position;

/// A record's number: a hash of holder, content and path, so that a later
/// publication of the same takes its place. Never 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct RecordId(pub u128);

/// A signed entry with where its holder can be reached, as it says; cheap to
/// clone.
#[derive(Clone)]
pub struct Record(Arc<Inner>);

struct Inner {
    publication: Publication,
    addresses: Vec<SocketAddr>,
    id: RecordId,
    /// Hashes of its words, sorted: rules most entries out before they are cut
    /// into words.
    words: Box<[u32]>,
}

impl Record {
    /// A record; addresses beyond [`PeerAddress::ADDRESSES_MAX`] are cut.
    pub fn new(publication: Publication, mut addresses: Vec<SocketAddr>) -> Self {
        addresses.truncate(PeerAddress::ADDRESSES_MAX);
        let mut words: Vec<u32> = Tokens::of_entry(&publication.entry)
            .iter()
            .map(word_hash)
            .collect();
        words.sort_unstable();
        words.dedup();
        Self(Arc::new(Inner {
            id: RecordId::of(
                publication.holder,
                publication.entry.content,
                &publication.entry.path,
            ),
            publication,
            addresses,
            words: words.into_boxed_slice(),
        }))
    }

    /// What was signed.
    pub fn publication(&self) -> &Publication {
        &self.0.publication
    }

    /// The file.
    pub fn entry(&self) -> &FileEntry {
        &self.0.publication.entry
    }

    /// Who has it.
    pub fn holder(&self) -> PeerId {
        self.0.publication.holder
    }

    /// Where the holder can be reached, as it says.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// Its number.
    pub fn id(&self) -> RecordId {
        self.0.id
    }

    /// Seconds since 1970 at which it ends: of two with the same number the later
    /// one counts.
    pub(super) fn version(&self) -> u64 {
        self.0.publication.expires.as_unix_seconds()
    }

    /// Whether the entry has a word with this hash: almost always that word.
    pub(super) fn may_have(&self, hash: u32) -> bool {
        self.0.words.binary_search(&hash).is_ok()
    }

    /// Whether the entry has this word.
    pub(super) fn has(&self, word: &str) -> bool {
        let is_same = |found: &str| found == word;
        self.may_have(word_hash(word)) && Tokens::of_entry(self.entry()).iter().any(is_same)
    }

    /// Most bytes that it takes in a message, places not counted.
    pub(super) fn wire_bytes(&self) -> usize {
        let entry = self.entry();
        let texts: usize = entry.media.texts().map(|text| text.len() + 3).sum();
        200 + entry.path.len() + texts + 22 * self.0.addresses.len()
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let (this, other) = (&*self.0, &*other.0);
        this.publication == other.publication && this.addresses == other.addresses
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Record({}, {})",
            self.entry().path,
            self.holder().short()
        )
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0.publication, &self.0.addresses).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (publication, addresses) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(publication, addresses))
    }
}

impl RecordId {
    /// The number of what a holder publishes of a content under a path.
    pub fn of(holder: PeerId, content: ContentId, path: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(holder.as_bytes());
        hasher.update(content.as_bytes());
        hasher.update(path.as_bytes());
        let hash = hasher.finalize();
        let (head, _) = hash.as_bytes().split_at(16);
        let mut first = [0; 16];
        first.copy_from_slice(head);
        Self(u128::from_be_bytes(first).max(1))
    }
}

/// The hash of a word in [`Record`].
// Source: FNV-1a, 32 bits.
pub(super) fn word_hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A word as the tokenizer gives it; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Arc<str>);

impl Word {
    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it can be one.
    pub(super) fn is_valid(&self) -> bool {
        // A run of pairs may go a few bytes over.
        !self.0.is_empty() && self.0.len() <= Tokens::WORD_BYTES_MAX + 8
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A part of a word's list: entries whose content ids begin with certain bits.
/// Numbered as in a heap: the whole list is 1, the halves of n are 2n and 2n + 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(u16);

impl Shard {
    /// The whole list.
    pub const ROOT: Self = Self(1);
    /// Most bits.
    // Guess: 4,096 parts of 1,000 entries each.
    pub const BITS_MAX: u8 = 12;

    /// The part for a content when there are 2^bits.
    pub fn of(content: ContentId, bits: u8) -> Self {
        let [first, second, ..] = *content.as_bytes();
        let head = u32::from(u16::from_be_bytes([first, second]));
        let bits = bits.min(Self::BITS_MAX);
        let number = (0x1_0000 | head) >> (16 - bits);
        Self(u16::try_from(number).unwrap_or(1))
    }

    /// How many bits decide.
    pub fn bits(self) -> u8 {
        u8::try_from(self.0.max(1).ilog2()).unwrap_or(0)
    }

    /// The part that this one is half of.
    pub fn parent(self) -> Option<Self> {
        (self.0 > 1).then_some(Self(self.0 / 2))
    }

    /// The ancestor with so many bits; itself, if it has no more.
    pub(super) fn ancestor(self, bits: u8) -> Self {
        Self(self.0 >> self.bits().saturating_sub(bits))
    }

    /// Its halves; nothing at the end.
    pub fn halves(self) -> Option<[Self; 2]> {
        (self.bits() < Self::BITS_MAX).then_some([Self(self.0 * 2), Self(self.0 * 2 + 1)])
    }

    /// All parts of this one when there are 2^bits in all; itself, if it has as
    /// many bits.
    pub(super) fn parts(self, bits: u8) -> impl Iterator<Item = Self> {
        let deeper = bits.min(Self::BITS_MAX).saturating_sub(self.bits());
        let first = self.0 << deeper;
        (first..first + (1 << deeper)).map(Self)
    }

    /// Whether an entry of this content belongs here.
    pub fn holds(self, content: ContentId) -> bool {
        Self::of(content, self.bits()) == self
    }

    /// The number in a key; the whole list has 0.
    fn number(self) -> u16 {
        if self == Self::ROOT { 0 } else { self.0 }
    }

    pub(super) fn is_valid(self) -> bool {
        self.0 > 0 && self.bits() <= Self::BITS_MAX
    }

    /// The key of this part of a word's list.
    pub fn key(self, word: &Word) -> Position {
        Position::of_word(word.text(), self.number())
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        let prefix = self.0 - (1 << bits);
        write!(f, "{prefix:b}/{bits}")
    }
}

/// A list that a record can be in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// Under its content: the sources.
    Sources,
    /// Under one of its words.
    Word(Word, Shard),
}

impl Place {
    /// The key, for records of this content.
    pub fn key(&self, content: ContentId) -> Position {
        match self {
            Self::Sources => Position::of_content(content),
            Self::Word(word, shard) => shard.key(word),
        }
    }

    /// Whether the record belongs there.
    pub(super) fn suits(&self, record: &Record, is_exact: bool) -> bool {
        match self {
            Self::Sources => true,
            Self::Word(word, shard) => {
                shard.holds(record.entry().content)
                    && if is_exact {
                        record.has(word.text())
                    } else {
                        record.may_have(word_hash(word.text()))
                    }
            }
        }
    }

    /// Bytes that it takes in a message.
    pub(super) fn wire_bytes(&self) -> usize {
        match self {
            Self::Sources => 1,
            Self::Word(word, _) => 6 + word.text().len(),
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        match self {
            Self::Sources => true,
            Self::Word(word, shard) => word.is_valid() && shard.is_valid(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_a_heap() {
        let content = ContentId::from_bytes([0b1011_0000; 32]);
        assert_eq!(Shard::of(content, 0), Shard::ROOT);
        let third = Shard::of(content, 3);
        assert_eq!(
            (third.bits(), format!("{third:?}")),
            (3, "101/3".to_owned())
        );
        assert_eq!(third.parent(), Some(Shard::of(content, 2)));
        assert_eq!(third.ancestor(1), Shard::of(content, 1));
        let halves = third.halves().expect("far from the end");
        assert_eq!(halves.map(|half| half.holds(content)), [false, true]);
        let parts: Vec<Shard> = Shard::ROOT.parts(2).collect();
        assert_eq!(parts.len(), 4);
        assert_eq!(parts.iter().filter(|part| part.holds(content)).count(), 1);
        assert!(third.parts(1).eq([third]), "no way up");
        assert_eq!(Shard::of(content, 200).bits(), Shard::BITS_MAX);
        assert!(Shard::of(content, Shard::BITS_MAX).halves().is_none());
        assert!(!Shard(0).is_valid() && !Shard(0x2000).is_valid());
    }

    #[test]
    fn the_whole_list_is_under_the_words_own_key() {
        let word = Word::from("potter");
        assert_eq!(Shard::ROOT.key(&word), Position::of_word("potter", 0));
        let [half, _] = Shard::ROOT.halves().expect("it has some");
        assert_eq!(half.key(&word), Position::of_word("potter", 2));
    }
}
