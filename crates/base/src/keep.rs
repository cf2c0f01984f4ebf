//! The wish that a file be kept by others, signed by who wishes it, and its end.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::wire::SignatureBytes;
use crate::{ContentId, FileEntry, GROUP_BYTES, GroupRange, InvalidEntry, PeerId, WallTime};

const ORDER_DOMAIN: &[u8] = b"gannet/1 keep\0";
const RELEASE_DOMAIN: &[u8] = b"gannet/1 release\0";

/// Bytes in a block, the unit in which files are kept; the last one of a file may
/// be shorter.
// Guess: a thousand groups; small enough to even out, large enough that a
// terabyte is a list that fits into memory.
pub const BLOCK_BYTES: u64 = 16 * 1024 * 1024;

const BLOCK_GROUPS: u64 = BLOCK_BYTES / GROUP_BYTES;

/// Part of a file that is kept: which content, and which of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// The content.
    pub content: ContentId,
    /// Which block, from 0.
    pub index: u32,
}

impl BlockId {
    /// How many blocks a content of `size` bytes has; an empty one has one. More
    /// than fit into a `u32` count as the most that do.
    pub fn count(size: u64) -> u32 {
        u32::try_from(size.div_ceil(BLOCK_BYTES).max(1)).unwrap_or(u32::MAX)
    }

    /// Its groups in a content of `size` bytes; empty if that has no such block.
    pub fn groups(self, size: u64) -> GroupRange {
        let start = u64::from(self.index) * BLOCK_GROUPS;
        GroupRange::new(start, start + BLOCK_GROUPS).intersection(GroupRange::whole(size))
    }

    /// Its length in bytes in a content of `size` bytes.
    pub fn bytes(self, size: u64) -> u64 {
        let range = self.groups(size).bytes(size);
        range.end - range.start
    }
}

/// Why an order or a release is not to be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeep {
    /// The entry breaks a rule of its own.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// The file is larger than [`KeepOrder::SIZE_MAX`].
    #[error(
        "the file has {size} bytes, at most {} can be kept",
        KeepOrder::SIZE_MAX
    )]
    Size {
        /// Its length in bytes.
        size: u64,
    },
    /// No copies, or more than [`KeepOrder::COPIES_MAX`].
    #[error("{copies} copies: from 1 to {} are possible", KeepOrder::COPIES_MAX)]
    Copies {
        /// How many were asked for.
        copies: u8,
    },
    /// It ends before it begins, or lives longer than
    /// [`KeepOrder::LIFE_SECONDS_MAX`].
    #[error("it ends before it begins, or lives too long")]
    Life,
    /// It was signed in the future.
    #[error("it was signed in the future")]
    Early,
    /// It is past its time.
    #[error("it has expired")]
    Expired,
    /// The signature is not the keeper's: somebody else invented or changed it.
    #[error("the signature is not the keeper's")]
    Signature,
}

/// A keeper's wish: "keep this file, so many copies, until then".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepOrder {
    /// The file.
    pub entry: FileEntry,
    /// How many peers are to hold each block.
    pub copies: u8,
    /// When it was signed. Of two orders of one keeper for one content the later
    /// counts.
    pub issued: WallTime,
    /// When it ends by itself.
    pub expires: WallTime,
    /// Who wishes it, and who alone may release it.
    pub keeper: PeerId,
    /// Ed25519 signature of the keeper.
    pub signature: SignatureBytes,
}

impl KeepOrder {
    /// Longest life.
    // Guess: a year; who still wants it then says so.
    pub const LIFE_SECONDS_MAX: u64 = 366 * 24 * 3600;
    /// How far two machines' calendars may differ.
    // Guess: as for publications.
    pub const CLOCK_SLACK_SECONDS: u64 = 3600;
    /// Most copies.
    // Guess: four times the usual.
    pub const COPIES_MAX: u8 = 32;
    /// Copies if the user says nothing.
    // Measured: `gannet lab keep`: with half of the peers away at any time and one
    // departure in a hundred for good, nothing was lost in a month of 60-minute
    // sessions; a block can be fetched at once in more than 999 of 1,000 moments.
    pub const COPIES_DEFAULT: u8 = 8;
    /// Largest file, bytes.
    pub const SIZE_MAX: u64 = 65_536 * BLOCK_BYTES;

    /// Signs an order with the keeper's key. About 15 µs. It is not checked: see
    /// [`KeepOrder::verify`].
    pub fn sign(
        entry: FileEntry,
        copies: u8,
        (issued, expires): (WallTime, WallTime),
        key: &SigningKey,
    ) -> Self {
        let mut order = Self {
            entry,
            copies,
            issued,
            expires,
            keeper: PeerId::from_bytes(key.verifying_key().to_bytes()),
            signature: SignatureBytes([0; 64]),
        };
        order.signature = SignatureBytes(key.sign(&order.signed_bytes()).to_bytes());
        order
    }

    /// Checks what needs no calendar and no signature: bounds.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), InvalidKeep> {
        self.entry.validate()?;
        if self.entry.size > Self::SIZE_MAX {
            let size = self.entry.size;
            return Err(InvalidKeep::Size { size });
        }
        if !(1..=Self::COPIES_MAX).contains(&self.copies) {
            let copies = self.copies;
            return Err(InvalidKeep::Copies { copies });
        }
        let (issued, expires) = (
            self.issued.as_unix_seconds(),
            self.expires.as_unix_seconds(),
        );
        let life = expires.checked_sub(issued);
        match life {
            Some(life) if life <= Self::LIFE_SECONDS_MAX => Ok(()),
            _ => Err(InvalidKeep::Life),
        }
    }

    /// Checks bounds and signature, whatever the time. About 40 µs.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn verify_signed(&self) -> Result<(), InvalidKeep> {
        self.check()?;
        verify(self.keeper, &self.signed_bytes(), self.signature)
    }

    /// Checks everything. About 40 µs.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn verify(&self, now: WallTime) -> Result<(), InvalidKeep> {
        self.check()?;
        let slack = Self::CLOCK_SLACK_SECONDS;
        if self.expires.plus_seconds(slack) < now {
            return Err(InvalidKeep::Expired);
        }
        if self.issued > now.plus_seconds(slack) {
            return Err(InvalidKeep::Early);
        }
        verify(self.keeper, &self.signed_bytes(), self.signature)
    }

    /// How many blocks the file has.
    pub fn blocks(&self) -> u32 {
        BlockId::count(self.entry.size)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = ORDER_DOMAIN.to_vec();
        bytes.extend_from_slice(self.keeper.as_bytes());
        bytes.push(self.copies);
        bytes.extend_from_slice(&self.issued.as_unix_seconds().to_le_bytes());
        bytes.extend_from_slice(&self.expires.as_unix_seconds().to_le_bytes());
        postcard::to_extend(&self.entry, bytes).expect("an entry is plain data, which encodes")
    }
}

/// A keeper's word that its orders for a content are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRelease {
    /// The content.
    pub content: ContentId,
    /// Whose orders.
    pub keeper: PeerId,
    /// Orders signed up to this moment end; a later one stands.
    pub issued: WallTime,
    /// Ed25519 signature of the keeper.
    pub signature: SignatureBytes,
}

impl KeepRelease {
    /// Signs a release with the keeper's key. About 15 µs.
    pub fn sign(content: ContentId, issued: WallTime, key: &SigningKey) -> Self {
        let mut release = Self {
            content,
            keeper: PeerId::from_bytes(key.verifying_key().to_bytes()),
            issued,
            signature: SignatureBytes([0; 64]),
        };
        release.signature = SignatureBytes(key.sign(&release.signed_bytes()).to_bytes());
        release
    }

    /// Checks the signature. About 40 µs.
    ///
    /// # Errors
    ///
    /// [`InvalidKeep::Signature`].
    pub fn verify(&self) -> Result<(), InvalidKeep> {
        verify(self.keeper, &self.signed_bytes(), self.signature)
    }

    /// Whether it ends this order.
    pub fn ends(&self, order: &KeepOrder) -> bool {
        self.content == order.entry.content
            && self.keeper == order.keeper
            && self.issued >= order.issued
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = RELEASE_DOMAIN.to_vec();
        bytes.extend_from_slice(self.keeper.as_bytes());
        bytes.extend_from_slice(self.content.as_bytes());
        bytes.extend_from_slice(&self.issued.as_unix_seconds().to_le_bytes());
        bytes
    }
}

fn verify(keeper: PeerId, bytes: &[u8], signature: SignatureBytes) -> Result<(), InvalidKeep> {
    let key = VerifyingKey::from_bytes(keeper.as_bytes()).map_err(|_| InvalidKeep::Signature)?;
    key.verify_strict(bytes, &Signature::from_bytes(&signature.0))
        .map_err(|_| InvalidKeep::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Media;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_seconds(seconds)
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    fn order(size: u64, copies: u8, issued: u64, expires: u64) -> KeepOrder {
        let entry = FileEntry {
            content: ContentId::of(b"x"),
            size,
            path: "shared/x".to_owned(),
            media: Media::default(),
        };
        KeepOrder::sign(entry, copies, (at(issued), at(expires)), &key())
    }

    #[test]
    fn only_the_keeper_can_order() {
        let good = order(1, 8, 1_000_000, 1_000_000 + DAY);
        assert_eq!(good.verify(at(1_000_100)), Ok(()));
        let changes: [fn(&mut KeepOrder); 5] = [
            |order| order.entry.size = 2,
            |order| order.copies = 9,
            |order| order.expires = order.expires.plus_seconds(1),
            |order| order.issued = order.issued.plus_seconds(1),
            |order| order.keeper = PeerId::from_bytes([9; 32]),
        ];
        for change in changes {
            let mut forged = good.clone();
            change(&mut forged);
            assert_eq!(forged.verify_signed(), Err(InvalidKeep::Signature));
        }
    }

    #[test]
    fn bounds() {
        #[track_caller]
        fn check(order: &KeepOrder, now: u64, expected: Result<(), InvalidKeep>) {
            assert_eq!(order.verify(at(now)), expected);
        }
        let now = 1_000 * DAY;
        check(&order(1, 8, now, now + 366 * DAY), now, Ok(()));
        check(
            &order(1, 8, now, now + 367 * DAY),
            now,
            Err(InvalidKeep::Life),
        );
        check(&order(1, 8, now, now - 1), now, Err(InvalidKeep::Life));
        check(
            &order(1, 8, now, now + DAY),
            now + 2 * DAY,
            Err(InvalidKeep::Expired),
        );
        check(
            &order(1, 8, now, now + DAY),
            now - DAY,
            Err(InvalidKeep::Early),
        );
        check(
            &order(1, 0, now, now),
            now,
            Err(InvalidKeep::Copies { copies: 0 }),
        );
        check(
            &order(1, 33, now, now),
            now,
            Err(InvalidKeep::Copies { copies: 33 }),
        );
        let size = KeepOrder::SIZE_MAX + 1;
        check(
            &order(size, 8, now, now),
            now,
            Err(InvalidKeep::Size { size }),
        );
    }

    #[test]
    fn a_release_ends_what_was_before_it() {
        let (old, new) = (order(1, 8, 100, 200), order(1, 8, 300, 400));
        let release = KeepRelease::sign(old.entry.content, at(200), &key());
        assert_eq!(release.verify(), Ok(()));
        assert!(release.ends(&old) && !release.ends(&new));
        let other = SigningKey::from_bytes(&[4; 32]);
        let foreign = KeepRelease::sign(old.entry.content, at(200), &other);
        assert!(!foreign.ends(&old));
        let mut forged = release;
        forged.issued = at(500);
        assert_eq!(forged.verify(), Err(InvalidKeep::Signature));
    }

    #[test]
    fn blocks_cover_a_file() {
        for (size, count) in [
            (0, 1),
            (1, 1),
            (BLOCK_BYTES, 1),
            (BLOCK_BYTES + 1, 2),
            (KeepOrder::SIZE_MAX, 65_536),
        ] {
            assert_eq!(BlockId::count(size), count);
            let content = ContentId::of(b"x");
            let block = |index| BlockId { content, index };
            let last = block(count - 1);
            assert_eq!(last.groups(size).end, GroupRange::whole(size).end);
            assert_eq!(
                u64::from(count - 1) * BLOCK_BYTES + last.bytes(size),
                size,
                "{size}"
            );
            assert!(block(count).groups(size).is_empty());
            assert_eq!(block(count).bytes(size), 0);
        }
    }
}
