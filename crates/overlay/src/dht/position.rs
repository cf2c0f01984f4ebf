//! Places on the ring.

use std::fmt;

use gannet_base::{ContentId, PeerId};
use serde::{Deserialize, Serialize};

/// A place on the circle of 2^128 identifiers, where peers and keys live.
///
/// Always the hash of something, so nobody chooses it: the first 16 bytes, big
/// endian, of BLAKE3 in its mode for deriving keys, with a context of its own for
/// each kind of thing. 128 bits are enough that no two of a billion meet
/// by chance, and half as much to keep as the whole hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position(pub u128);

impl Position {
    /// Where a peer is; `index` tells its virtual nodes apart.
    pub fn of_peer(peer: PeerId, index: u8) -> Self {
        let mut bytes = [0; 33];
        bytes[..32].copy_from_slice(peer.as_bytes());
        bytes[32] = index;
        Self::derive("gannet dht peer 1", &bytes)
    }

    /// Where the sources of a content are listed.
    pub fn of_content(content: ContentId) -> Self {
        Self::derive("gannet dht content 1", content.as_bytes())
    }

    /// Where the entries with a word are listed, as the tokenizer gives it;
    /// `shard` tells the parts of a long list apart.
    pub fn of_word(word: &str, shard: u16) -> Self {
        let mut bytes = word.as_bytes().to_vec();
        bytes.extend_from_slice(&shard.to_be_bytes());
        Self::derive("gannet dht word 1", &bytes)
    }

    /// Where a block of a kept file belongs.
    pub fn of_block(content: ContentId, block: u32) -> Self {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(content.as_bytes());
        bytes[32..].copy_from_slice(&block.to_be_bytes());
        Self::derive("gannet dht block 1", &bytes)
    }

    fn derive(context: &str, bytes: &[u8]) -> Self {
        let hash = blake3::derive_key(context, bytes);
        let (head, _) = hash.split_at(16);
        let mut first = [0; 16];
        first.copy_from_slice(head);
        Self(u128::from_be_bytes(first))
    }

    /// Steps clockwise from here to there: 0 only for the same place.
    pub const fn distance_to(self, to: Self) -> u128 {
        to.0.wrapping_sub(self.0)
    }

    /// So many steps further.
    pub const fn plus(self, steps: u128) -> Self {
        Self(self.0.wrapping_add(steps))
    }

    /// Whether this lies strictly between two others, going clockwise from `a` to
    /// `b`. Where those are the same, that is everywhere but there.
    // Source: Zave 2017, section 3: between.
    pub const fn is_between(self, a: Self, b: Self) -> bool {
        let (here, end) = (a.distance_to(self), a.distance_to(b));
        here != 0 && (end == 0 || here < end)
    }

    /// Whether a node here whose predecessor is at `predecessor` is responsible
    /// for `key`: keys belong to the first node at or after them.
    // Source: Stoica et al., Chord, section IV-B: successor(k).
    pub const fn owns(self, predecessor: Self, key: Self) -> bool {
        self.0 == key.0 || key.is_between(predecessor, self)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({:08x})", self.0 >> 96)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(steps: u128) -> Position {
        Position(steps)
    }

    #[test]
    fn between_goes_round() {
        assert!(at(5).is_between(at(1), at(9)));
        assert!(!at(1).is_between(at(1), at(9)) && !at(9).is_between(at(1), at(9)));
        assert!(at(1).is_between(at(9), at(5)) && !at(7).is_between(at(9), at(5)));
        assert!(at(1).is_between(at(5), at(5)) && !at(5).is_between(at(5), at(5)));
        assert!(at(0).is_between(at(u128::MAX), at(1)));
    }

    #[test]
    fn a_key_belongs_to_the_first_node_at_or_after_it() {
        assert!(at(9).owns(at(1), at(9)) && at(9).owns(at(1), at(2)));
        assert!(!at(9).owns(at(1), at(1)) && !at(9).owns(at(1), at(10)));
        assert!(at(3).owns(at(3), at(77)), "alone, it owns everything");
    }

    #[test]
    fn kinds_of_things_do_not_meet() {
        let bytes = [7; 32];
        let (content, peer) = (ContentId::from_bytes(bytes), PeerId::from_bytes(bytes));
        let mut places = vec![
            Position::of_content(content),
            Position::of_peer(peer, 0),
            Position::of_peer(peer, 1),
            Position::of_block(content, 0),
            Position::of_word("potter", 0),
            Position::of_word("potter", 1),
        ];
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 6);
    }
}
