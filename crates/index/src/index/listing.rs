//! What an index has, for summaries of it.

use gannet_base::ContentId;

use super::Index;

impl Index {
    /// Every word that some entry has, in no meaningful order. Words of entries
    /// that have just gone may be among them until the index has cleaned up.
    /// Costs little more than reading them.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.texts()
    }

    /// Every content that some entry has, in no meaningful order.
    pub fn contents(&self) -> impl Iterator<Item = ContentId> {
        self.contents.ids()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gannet_base::wire::SignatureBytes;
    use gannet_base::{FileEntry, Media, PeerId, Publication, WallTime};

    use super::*;
    use crate::Config;

    #[test]
    fn words_and_contents_come_and_go_with_entries() {
        let holder = PeerId::from_bytes([1; 32]);
        let mut index = Index::new(Config::default());
        for path in ["Music/Abba Waterloo.flac", "Music/Abba Fernando.flac"] {
            let entry = FileEntry {
                content: ContentId::of(path.as_bytes()),
                size: 1,
                path: path.to_owned(),
                media: Media::default(),
            };
            let _ = index.insert(&Publication {
                entry,
                holder,
                expires: WallTime::from_unix_seconds(1),
                signature: SignatureBytes([0; 64]),
            });
        }
        let words: BTreeSet<&str> = index.words().collect();
        let expected = ["abba", "fernando", "flac", "music", "waterloo"];
        assert_eq!(words, BTreeSet::from(expected));
        assert_eq!(index.words().count(), 5);
        let gone = ContentId::of(b"Music/Abba Fernando.flac");
        assert!(index.contents().any(|content| content == gone));
        index.remove(holder, gone, "Music/Abba Fernando.flac");
        let left: Vec<ContentId> = index.contents().collect();
        assert_eq!(left, [ContentId::of(b"Music/Abba Waterloo.flac")]);
    }
}
