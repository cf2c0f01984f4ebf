//! Keys of routing tables: the published query-routing hash.

use gannet_base::{ContentId, FileEntry};

/// The multiplier of the hash.
// Source: Rohrs, "Query Routing for the Gnutella Network".
const MULTIPLIER: u32 = 0x4F1B_BCDC;

/// The key of a word, as the tokenizer makes words: XOR of its little-endian
/// 32-bit words, times the multiplier. The upper bits are its slot in a table.
pub fn word_key(word: &str) -> u32 {
    key(word.as_bytes())
}

/// The key of a content.
pub fn content_key(content: ContentId) -> u32 {
    key(content.as_bytes())
}

fn key(bytes: &[u8]) -> u32 {
    let folded = bytes.chunks(4).fold(0, |folded, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        folded ^ u32::from_le_bytes(word)
    });
    folded.wrapping_mul(MULTIPLIER)
}

/// Adds the keys of everything that an entry can be found by.
pub fn entry_keys(entry: &FileEntry, out: &mut Vec<u32>) {
    let mut tokens = gannet_index::tokenize(&entry.path);
    for text in entry.media.texts() {
        tokens.push_text(text);
    }
    out.extend(tokens.iter().map(word_key));
    out.push(content_key(entry.content));
}
