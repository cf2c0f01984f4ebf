//! What the catalogue holds: keys and values of its tables.

use gannet_base::{ContentId, Media};
use serde::{Deserialize, Serialize};

/// Number of a share; never used again for another one.
pub(crate) type ShareId = u32;

/// The share of finished downloads.
pub(crate) const DOWNLOADS_SHARE: ShareId = u32::MAX;

/// What tells whether a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Device, or 0 for that of the share's root: device numbers change when
    /// a disk is plugged in again, and that alone must not cost a new hash.
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// Time of the last change of the bytes, nanoseconds since 1970.
    pub(crate) mtime_ns: i64,
}

/// A file that is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) content: ContentId,
    pub(crate) stamp: Stamp,
    pub(crate) media: Media,
}

impl FileRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("records are plain data, which always encodes")
    }

    /// None for bytes that are not a record: the file is then hashed again.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (record, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        let texts_fit = record
            .media
            .texts()
            .all(|text| text.len() <= gannet_base::FileEntry::TEXT_BYTES_MAX);
        (rest.is_empty() && texts_fit).then_some(record)
    }
}

/// Where a file is: its share, and its path below the share's root as bytes
/// with `/` between the components; empty for a share that is a single file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) share: ShareId,
    pub(crate) path: Vec<u8>,
}

const SHARE_BYTES: usize = 4;
const CONTENT_BYTES: usize = 32;

impl Place {
    pub(crate) fn new(share: ShareId, path: impl Into<Vec<u8>>) -> Self {
        Self {
            share,
            path: path.into(),
        }
    }

    /// Key in the table of files.
    pub(super) fn key(&self) -> Vec<u8> {
        file_key(self.share, &self.path)
    }

    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let (share, path) = key.split_first_chunk::<SHARE_BYTES>()?;
        Some(Self::new(u32::from_be_bytes(*share), path))
    }

    /// Key in the table of contents.
    pub(super) fn content_key(&self, content: ContentId) -> Vec<u8> {
        let mut key = content.as_bytes().to_vec();
        key.extend_from_slice(&self.key());
        key
    }

    pub(super) fn from_content_key(key: &[u8]) -> Option<Self> {
        Self::from_key(key.get(CONTENT_BYTES..)?)
    }

    /// Key in the table of inodes.
    pub(super) fn inode_key(&self, stamp: &Stamp) -> Vec<u8> {
        inode_key(self.share, stamp.dev, stamp.ino)
    }
}

pub(super) fn file_key(share: ShareId, path: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(SHARE_BYTES + path.len());
    key.extend_from_slice(&share.to_be_bytes());
    key.extend_from_slice(path);
    key
}

pub(super) fn inode_key(share: ShareId, dev: u64, ino: u64) -> Vec<u8> {
    let mut key = share.to_be_bytes().to_vec();
    key.extend_from_slice(&dev.to_be_bytes());
    key.extend_from_slice(&ino.to_be_bytes());
    key
}

/// A run of keys of the table of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// First key.
    pub(super) start: Vec<u8>,
    /// First key that is not in it; none if it goes to the end of the table.
    pub(super) end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Everything below a folder, `path/…`; a whole share if `path` is empty.
    pub(crate) fn below(share: ShareId, path: &[u8]) -> Self {
        if path.is_empty() {
            return Self {
                start: file_key(share, &[]),
                end: share.checked_add(1).map(|next| file_key(next, &[])),
            };
        }
        Self {
            start: file_key(share, &[path, b"/"].concat()),
            end: Some(file_key(share, &[path, &[b'/' + 1]].concat())),
        }
    }

    /// The file at a path alone.
    pub(crate) fn exact(share: ShareId, path: &[u8]) -> Self {
        Self {
            start: file_key(share, path),
            end: Some(file_key(share, &[path, &[0]].concat())),
        }
    }

    /// The part from a path on.
    pub(crate) fn from(&self, share: ShareId, path: &[u8]) -> Self {
        Self {
            start: file_key(share, path).max(self.start.clone()),
            end: self.end.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_parts() {
        let place = Place::new(7, b"a/b\xff".as_slice());
        assert_eq!(Place::from_key(&place.key()), Some(place.clone()));
        let key = place.content_key(ContentId::of(b"x"));
        assert_eq!(Place::from_content_key(&key), Some(place));
        assert_eq!(Place::from_key(b"abc"), None);
        assert_eq!(Place::from_content_key(b"abc"), None);
    }

    #[test]
    fn below_is_the_folder_and_nothing_beside_it() {
        let KeyRange { start, end } = KeyRange::below(1, b"a");
        let end = end.unwrap();
        let inside = |path: &[u8]| {
            let key = file_key(1, path);
            start <= key && key < end
        };
        assert!(inside(b"a/b") && inside(b"a/\xff\xff") && inside(b"a/"));
        assert!(!inside(b"a") && !inside(b"a-b") && !inside(b"a0") && !inside(b"ab/c"));
        assert_eq!(KeyRange::below(DOWNLOADS_SHARE, b"").end, None);
        let exact = KeyRange::exact(1, b"a");
        assert!(exact.start == file_key(1, b"a") && exact.end.unwrap() < file_key(1, b"a-"));
    }

    #[test]
    fn the_format_stays() {
        let record = FileRecord {
            content: ContentId::from_bytes([1; 32]),
            stamp: Stamp {
                dev: 0,
                ino: 300,
                size: 5,
                mtime_ns: -1,
            },
            media: Media {
                title: Some("t".to_owned()),
                ..Media::default()
            },
        };
        let bytes = record.encode();
        let mut expected = vec![1; 32];
        expected.extend([0, 0xac, 0x02, 5, 1, 1, 1, b't', 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
        assert_eq!(FileRecord::decode(&bytes), Some(record));
        assert_eq!(FileRecord::decode(&bytes[..bytes.len() - 1]), None);
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(FileRecord::decode(&longer), None);
    }
}
