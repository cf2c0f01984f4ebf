//! Entries signed by who holds them, so that an index can serve but not invent
//! them.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::wire::SignatureBytes;
use crate::{FileEntry, InvalidEntry, PeerId, WallTime};

const DOMAIN: &[u8] = b"gannet/1 publication\0";

/// Why a publication is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublication {
    /// The entry breaks a rule of its own.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// The signature is not the holder's for this entry and expiry: somebody
    /// in between invented or changed it.
    #[error("the signature is not the holder's")]
    Signature,
    /// It is past its time.
    #[error("it has expired")]
    Expired,
    /// It expires further ahead than [`Publication::LIFE_SECONDS_MAX`].
    #[error("it claims to live too long")]
    Life,
}

/// A holder's statement: "I have this file, until then".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The file.
    pub entry: FileEntry,
    /// Who has it.
    pub holder: PeerId,
    /// When the statement ends by itself. Leases end much sooner: this bounds
    /// how long a copy that strayed can be served.
    pub expires: WallTime,
    /// Ed25519 signature of the holder.
    pub signature: SignatureBytes,
}

impl Publication {
    /// Longest life ahead.
    // Guess: a week; holders sign anew when half of it is over.
    pub const LIFE_SECONDS_MAX: u64 = 7 * 24 * 3600;
    /// How far two machines' calendars may differ.
    // Guess: an hour covers a wrong time zone's worst neighbour, summer time.
    pub const CLOCK_SLACK_SECONDS: u64 = 3600;

    /// Signs a statement with the holder's key. About 15 µs.
    pub fn sign(entry: FileEntry, expires: WallTime, key: &SigningKey) -> Self {
        let holder = PeerId::from_bytes(key.verifying_key().to_bytes());
        let signature = key.sign(&signed_bytes(&entry, holder, expires)).to_bytes();
        Self {
            entry,
            holder,
            expires,
            signature: SignatureBytes(signature),
        }
    }

    /// Checks everything. About 40 µs.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks.
    pub fn verify(&self, now: WallTime) -> Result<(), InvalidPublication> {
        self.entry.validate()?;
        let now = now.as_unix_seconds();
        let expires = self.expires.as_unix_seconds();
        if expires.saturating_add(Self::CLOCK_SLACK_SECONDS) < now {
            return Err(InvalidPublication::Expired);
        }
        if expires > now.saturating_add(Self::LIFE_SECONDS_MAX + Self::CLOCK_SLACK_SECONDS) {
            return Err(InvalidPublication::Life);
        }
        let key = VerifyingKey::from_bytes(self.holder.as_bytes())
            .map_err(|_| InvalidPublication::Signature)?;
        let signature = Signature::from_bytes(&self.signature.0);
        key.verify_strict(
            &signed_bytes(&self.entry, self.holder, self.expires),
            &signature,
        )
        .map_err(|_| InvalidPublication::Signature)
    }
}

fn signed_bytes(entry: &FileEntry, holder: PeerId, expires: WallTime) -> Vec<u8> {
    let mut bytes = DOMAIN.to_vec();
    bytes.extend_from_slice(holder.as_bytes());
    bytes.extend_from_slice(&expires.as_unix_seconds().to_le_bytes());
    postcard::to_extend(entry, bytes).expect("an entry is plain data, which always encodes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentId, Media};

    fn published(expires: u64) -> Publication {
        let entry = FileEntry {
            content: ContentId::of(b"x"),
            size: 1,
            path: "shared/x".to_owned(),
            media: Media::default(),
        };
        let key = SigningKey::from_bytes(&[3; 32]);
        Publication::sign(entry, WallTime::from_unix_seconds(expires), &key)
    }

    #[test]
    fn only_the_holder_can_say_it() {
        let now = WallTime::from_unix_seconds(1_000_000);
        let good = published(1_000_100);
        assert_eq!(good.verify(now), Ok(()));

        let mut forged = good.clone();
        forged.entry.size = 2;
        assert_eq!(forged.verify(now), Err(InvalidPublication::Signature));
        let mut stolen = good.clone();
        stolen.holder = PeerId::from_bytes([9; 32]);
        assert_eq!(stolen.verify(now), Err(InvalidPublication::Signature));
        let mut stretched = good;
        stretched.expires = WallTime::from_unix_seconds(1_000_200);
        assert_eq!(stretched.verify(now), Err(InvalidPublication::Signature));
    }

    #[test]
    fn its_life_is_bounded_both_ways() {
        let now = WallTime::from_unix_seconds(10_000_000);
        assert_eq!(
            published(9_000_000).verify(now),
            Err(InvalidPublication::Expired)
        );
        assert_eq!(
            published(11_000_000).verify(now),
            Err(InvalidPublication::Life)
        );
        assert_eq!(
            published(u64::MAX).verify(now),
            Err(InvalidPublication::Life)
        );
    }
}
