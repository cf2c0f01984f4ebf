//! How the types of `gannet-base`, which knows nothing of OpenAPI, look in
//! JSON. The tests of the API hold its answers against this.

#![expect(dead_code, reason = "only what is derived of them is used")]

use utoipa::ToSchema;

/// A peer: its public key, 64 hexadecimal digits.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub(crate) struct PeerId(String);

/// A content: the BLAKE3 hash of its bytes, 64 hexadecimal digits.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub(crate) struct ContentId(String);

/// Where a peer is: its id, `@` and its addresses with commas between them; or
/// only its id.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}(@.+)?$")]
pub(crate) struct PeerAddress(String);

/// What kind of thing a file is, judged by its extension.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum FileKind {
    Audio,
    Video,
    Image,
    Document,
    Archive,
    Program,
    Other,
}

/// Width and height in pixels.
#[derive(ToSchema)]
pub(crate) struct Dimensions {
    /// Pixels from left to right.
    width: u32,
    /// Pixels from top to bottom.
    height: u32,
}

/// What was read out of an audio, video or image file: texts of strangers.
#[derive(ToSchema)]
pub(crate) struct Media {
    /// The work's title.
    title: Option<String>,
    /// Who made it.
    artist: Option<String>,
    /// The collection that it belongs to.
    album: Option<String>,
    /// Playing time in whole seconds, rounded down.
    duration_seconds: Option<u32>,
    /// Size of the picture.
    dimensions: Option<Dimensions>,
}

/// One file that somebody shares: what it is and what it is called there.
#[derive(ToSchema)]
pub(crate) struct FileEntry {
    /// The BLAKE3 hash of its bytes.
    content: ContentId,
    /// Its length in bytes.
    size: u64,
    /// Where it lies, relative to what is shared: a text of a stranger.
    path: String,
    /// What was read out of it.
    media: Media,
}
