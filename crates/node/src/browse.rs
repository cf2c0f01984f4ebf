//! Listing what another peer shares: one question, one answer of a few frames.

use gannet_base::wire::{self, Decoded, Malformed, WireMessage};
use gannet_base::{FileEntry, PeerId};
use gannet_net::{Net, Reply, RequestError, RequestKind};
use serde::{Deserialize, Serialize};

use crate::api::BrowsePage;
use crate::error::BrowseError;

/// Most entries of one page.
// Guess: some screens full; 500 of the longest entries are 800 KiB.
pub(crate) const PAGE_ENTRIES_MAX: u32 = 500;
/// Most entries of one frame; further bounded by its bytes.
const FRAME_ENTRIES_MAX: usize = 500;

/// The question and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BrowseMessage {
    /// What do you share, from this position on in path order?
    Ask {
        /// Entries to pass over.
        offset: u64,
        /// Most entries wanted.
        limit: u32,
    },
    /// Part of the answer; all parts name the same total.
    Part {
        /// How many entries there are in all.
        total: u64,
        /// Some of them, in order.
        entries: Vec<FileEntry>,
    },
}

impl WireMessage for BrowseMessage {
    const VARIANTS: u32 = 2;
    const BYTES_MAX: usize = wire::FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Ask { limit, .. } => Malformed::unless(*limit <= PAGE_ENTRIES_MAX, "limit"),
            Self::Part { entries, .. } => {
                Malformed::unless(entries.len() <= FRAME_ENTRIES_MAX, "entries")?;
                let valid = entries.iter().all(|entry| entry.validate().is_ok());
                Malformed::unless(valid, "entry")
            }
        }
    }
}

/// Body of the fuzz target `browse_message`.
#[doc(hidden)]
pub fn fuzz(input: &[u8]) {
    wire::fuzz_decode::<BrowseMessage>(input);
}

/// What a question asks for; `None` if it is none.
pub(crate) fn parse_ask(body: &[u8]) -> Option<(u64, u32)> {
    match wire::decode(body) {
        Ok(Decoded::Message(BrowseMessage::Ask { offset, limit })) => Some((offset, limit)),
        _ => None,
    }
}

/// Sends a page in frames that each fit.
pub(crate) async fn answer(mut reply: Reply, total: u64, entries: Vec<FileEntry>) {
    for part in split(total, entries) {
        if reply.send(&wire::encode(&part)).await.is_err() {
            return;
        }
    }
    reply.finish();
}

fn split(total: u64, entries: Vec<FileEntry>) -> Vec<BrowseMessage> {
    // Room for the fields around the entries, generously.
    const FRAME_ROOM: usize = wire::FRAME_BYTES_MAX - 64;
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        // Id, size, path, and the media texts, each with its length: an upper
        // bound of the encoding.
        let media: usize = entry.media.texts().map(|text| text.len() + 4).sum();
        let size = 32 + 10 + entry.path.len() + 4 + media + 32;
        if bytes + size > FRAME_ROOM || part.len() == FRAME_ENTRIES_MAX {
            parts.push(BrowseMessage::Part {
                total,
                entries: std::mem::take(&mut part),
            });
            bytes = 0;
        }
        bytes += size;
        part.push(entry);
    }
    parts.push(BrowseMessage::Part {
        total,
        entries: part,
    });
    parts
}

/// Asks a connected peer for a page.
pub(crate) async fn ask(
    net: &Net,
    peer: PeerId,
    offset: u64,
    limit: u32,
) -> Result<BrowsePage, BrowseError> {
    let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
    let question = wire::encode(&BrowseMessage::Ask { offset, limit });
    let frames = async {
        net.request(peer, RequestKind::BROWSE, &question)
            .await?
            .collect()
            .await
    };
    let frames = frames.await.map_err(|error| match error {
        RequestError::Refused => BrowseError::Refused { peer },
        RequestError::Excess | RequestError::TooLong { .. } => BrowseError::Nonsense { peer },
        RequestError::NotConnected | RequestError::TimedOut | RequestError::Lost => {
            BrowseError::Unreachable {
                peer,
                reason: error.to_string(),
            }
        }
    })?;
    let mut page = BrowsePage {
        peer,
        entries: Vec::new(),
        total: 0,
    };
    for frame in frames {
        match wire::decode(&frame) {
            Ok(Decoded::Message(BrowseMessage::Part { total, entries }))
                if page.entries.len() + entries.len() <= PAGE_ENTRIES_MAX as usize =>
            {
                page.total = total;
                page.entries.extend(entries);
            }
            Ok(Decoded::Unknown { .. }) => {}
            _ => return Err(BrowseError::Nonsense { peer }),
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use gannet_base::{ContentId, Media};

    use super::*;

    #[test]
    fn the_longest_page_is_cut_into_frames_that_fit() {
        let text = || Some("é".repeat(128));
        let media = Media {
            title: text(),
            artist: text(),
            album: text(),
            duration_seconds: Some(u32::MAX),
            dimensions: Some(gannet_base::Dimensions {
                width: u32::MAX,
                height: u32::MAX,
            }),
        };
        let entry = FileEntry {
            content: ContentId::of(b""),
            size: u64::MAX,
            path: "p".repeat(FileEntry::PATH_BYTES_MAX),
            media,
        };
        let entries = vec![entry; PAGE_ENTRIES_MAX as usize];
        let mut back = Vec::new();
        for part in split(7, entries.clone()) {
            let bytes = wire::encode(&part);
            let Ok(Decoded::Message(BrowseMessage::Part { total: 7, entries })) =
                wire::decode(&bytes)
            else {
                panic!("a part does not decode")
            };
            back.extend(entries);
        }
        assert_eq!(back, entries);
        assert_eq!(split(0, Vec::new()).len(), 1, "an empty page is a page");
    }

    #[test]
    fn questions_are_bounded() {
        let ask = |limit| wire::encode(&BrowseMessage::Ask { offset: 3, limit });
        assert_eq!(
            parse_ask(&ask(PAGE_ENTRIES_MAX)),
            Some((3, PAGE_ENTRIES_MAX))
        );
        assert_eq!(parse_ask(&ask(PAGE_ENTRIES_MAX + 1)), None);
        assert_eq!(parse_ask(b"what?"), None);
    }
}
