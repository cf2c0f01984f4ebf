//! The digest over a registration's batches, and how long things encode.

use gannet_base::{FileEntry, Publication};

use super::message::Change;

/// The digest of a registration with no batch yet.
pub(crate) fn start(registration: u64) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"gannet/1 hub registration\0");
    hasher.update(&registration.to_le_bytes());
    truncate(&hasher)
}

/// The digest after one more batch.
///
/// Built from the fields and not from the encoding, so that a batch that could
/// not be encoded has one too. A put's signature covers its size and media.
pub(crate) fn extend(chain: [u8; 16], changes: &[Change]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&chain);
    let mut number = |value: u64, text: &[u8]| {
        hasher.update(&value.to_le_bytes());
        hasher.update(text);
    };
    for change in changes {
        let (kind, content, path) = match change {
            Change::Put { entry, .. } => (1, &entry.content, &entry.path),
            Change::Remove { content, path } => (2, content, path),
        };
        number(kind, content.as_bytes());
        number(path.len() as u64, path.as_bytes());
        if let Change::Put {
            entry,
            expires,
            signature,
        } = change
        {
            number(entry.size, &[]);
            number(expires.as_unix_seconds(), &signature.0);
        }
    }
    truncate(&hasher)
}

fn truncate(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

/// Upper bound of a publication's encoding, bytes.
pub(crate) fn publication_bytes(publication: &Publication) -> usize {
    // Holder, expiry, signature.
    entry_bytes(&publication.entry) + 32 + 10 + 64
}

/// Upper bound of a change's encoding, bytes.
pub(crate) fn change_bytes(change: &Change) -> usize {
    match change {
        Change::Put { entry, .. } => entry_bytes(entry) + 1 + 10 + 64,
        Change::Remove { path, .. } => path.len() + 1 + 32 + 5,
    }
}

fn entry_bytes(entry: &FileEntry) -> usize {
    // Content, size, path's length; media: three options with lengths, a
    // duration, two dimensions.
    let texts = entry.media.texts().map(str::len).sum::<usize>();
    32 + 10 + 5 + entry.path.len() + texts + 3 * 6 + 6 + 11
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::{SignatureBytes, encode};
    use gannet_base::{ContentId, Dimensions, Media, WallTime};

    use super::*;
    use crate::hub::HubMessage;

    fn put(path: &str, expires: u64) -> Change {
        Change::Put {
            entry: FileEntry {
                content: ContentId::of(path.as_bytes()),
                size: u64::MAX,
                path: path.to_owned(),
                media: Media {
                    title: Some("t".repeat(256)),
                    artist: Some("a".repeat(256)),
                    album: Some("b".repeat(256)),
                    duration_seconds: Some(u32::MAX),
                    dimensions: Some(Dimensions {
                        width: u32::MAX,
                        height: u32::MAX,
                    }),
                },
            },
            expires: WallTime::from_unix_seconds(expires),
            signature: SignatureBytes([7; 64]),
        }
    }

    #[test]
    fn the_chain_tells_histories_apart() {
        let (a, b) = (put("a", 1), put("b", 1));
        let start_1 = start(1);
        assert_ne!(start_1, start(2));
        let both = extend(start_1, &[a.clone(), b.clone()]);
        assert_ne!(both, extend(start_1, &[b.clone(), a.clone()]));
        assert_ne!(
            both,
            extend(extend(start_1, &[a]), std::slice::from_ref(&b))
        );
        let removed = Change::Remove {
            content: ContentId::of(b"b"),
            path: "b".to_owned(),
        };
        assert_ne!(extend(start_1, &[b]), extend(start_1, &[removed]));
    }

    #[test]
    fn sizes_are_upper_bounds_and_not_far_off() {
        for change in [
            put(&"p".repeat(1_024), u64::MAX),
            Change::Remove {
                content: ContentId::of(b"b"),
                path: "b".repeat(1_024),
            },
        ] {
            let message = |changes| HubMessage::Batch {
                epoch: u64::MAX,
                registration: u64::MAX,
                sequence: u32::MAX,
                changes,
            };
            let bound = change_bytes(&change);
            let empty = encode(&message(vec![])).len();
            let exact = encode(&message(vec![change])).len() - empty;
            assert!((exact..exact + 48).contains(&bound), "{exact} {bound}");
        }
    }
}
