//! What the bodies of the cores' fuzz targets share: bytes become choices, and
//! choices become peers, files and messages.
//!
//! A core's own `fuzz` module adds what only its messages have. Choices come
//! from few possibilities, so that different inputs speak of the same things.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;

use gannet_base::wire::{Decoded, SignatureBytes, WireMessage, decode};
use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, Query, WallTime};

/// Reads choices off the input; zeros when it is used up.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether all the input is used up.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Small numbers mostly, extreme ones now and then.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u32::MAX.into(),
            253 => 1 << 40,
            small => u64::from(small % 16),
        }
    }

    /// As [`number`](Self::number), but what does not fit is as large as fits.
    pub(crate) fn short(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// A piece of the input as it is, of up to 255 bytes.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    pub(crate) fn one_of<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        let place = usize::from(self.byte()) % among.len().max(1);
        among.get(place).cloned()
    }

    /// A message that is only bytes, if they are one.
    pub(crate) fn raw<M: WireMessage>(&mut self) -> Option<M> {
        match decode(self.piece()) {
            Ok(Decoded::Message(message)) => Some(message),
            Ok(Decoded::Unknown { .. }) | Err(_) => None,
        }
    }

    /// One of so many others; the peer itself is usually the one of zeros.
    pub(crate) fn peer(&mut self, count: u8) -> PeerId {
        PeerId::from_bytes([1 + self.below(count); 32])
    }

    pub(crate) fn content(&mut self) -> ContentId {
        ContentId::from_bytes([self.below(12); 32])
    }

    /// Up to eight places.
    pub(crate) fn addresses(&mut self) -> Vec<SocketAddr> {
        let count = self.below(9);
        (0..count).map(|n| ([10, 0, 0, n], 4_000).into()).collect()
    }

    /// Long ones now and then.
    pub(crate) fn path(&mut self) -> String {
        match self.byte() {
            240.. => "long/".to_owned() + &"word ".repeat(190) + "end",
            n => format!("folder/word {}", n % 12),
        }
    }

    /// What a publication says, right or wrong; the signature is never good.
    pub(crate) fn publication(&mut self, holder: PeerId) -> Publication {
        Publication {
            entry: FileEntry {
                content: self.content(),
                size: self.number(),
                path: self.path(),
                media: Media::default(),
            },
            holder,
            expires: WallTime::from_unix_seconds(self.number()),
            signature: SignatureBytes([self.byte(); 64]),
        }
    }

    /// Most find some of the [paths](Self::path).
    pub(crate) fn query(&mut self) -> Query {
        let texts = [
            "word",
            "folder word",
            "\"word 3\" -a",
            "-word",
            "wor*",
            "hash:x",
            "type:audio",
        ];
        let text = self.one_of(&texts).unwrap_or_default();
        Query::new(text).expect("the texts above are queries")
    }
}

/// What kinds of things were said and done, by the names of their variants.
#[derive(Debug, Default)]
pub(crate) struct Kinds(BTreeSet<String>);

impl Kinds {
    /// Notes one of a kind.
    pub(crate) fn note(&mut self, what: &impl Debug) {
        let text = format!("{what:?}");
        let kind = text.split(|c: char| !c.is_alphanumeric()).next();
        self.0.insert(kind.unwrap_or_default().to_owned());
    }
}

#[cfg(test)]
pub(crate) mod random {
    use gannet_base::seeded_rng;
    use rand_core::Rng as _;

    use super::Kinds;

    impl Kinds {
        /// Notes what others have noted.
        pub(crate) fn extend(&mut self, other: Kinds) {
            self.0.extend(other.0);
        }

        /// Fails if something never happened.
        #[track_caller]
        pub(crate) fn check_all(&self, wanted: &[&str]) {
            let missing: Vec<_> = wanted
                .iter()
                .filter(|kind| !self.0.contains(**kind))
                .collect();
            assert!(
                missing.is_empty(),
                "{missing:?} never happened, only {:?}",
                self.0
            );
        }
    }

    /// Random bytes, fewer than so many.
    pub(crate) fn input(seed: u64, bytes_max: u64) -> Vec<u8> {
        let mut rng = seeded_rng(seed);
        let length = usize::try_from(rng.next_u64() % bytes_max).expect("small");
        let mut input = vec![0; length];
        rng.fill_bytes(&mut input);
        input
    }
}
