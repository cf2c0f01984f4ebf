//! What a peer says of one file that it shares.

use serde::{Deserialize, Serialize};

use crate::ContentId;

/// What kind of thing a file is, judged by its extension.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Still pictures.
    Image,
    /// Text, tables, books.
    Document,
    /// Packed collections and disk images.
    Archive,
    /// Programs and packages of programs.
    Program,
    /// Anything else.
    #[default]
    Other,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Audio,
        Self::Video,
        Self::Image,
        Self::Document,
        Self::Archive,
        Self::Program,
        Self::Other,
    ];

    /// The kind's name, as in `type:audio`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Image => "image",
            Self::Document => "document",
            Self::Archive => "archive",
            Self::Program => "program",
            Self::Other => "other",
        }
    }

    /// The kind with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The kind of files with this extension (no dot, any case).
    pub fn of_extension(extension: &str) -> Self {
        const TABLE: [(FileKind, &[&str]); 6] = [
            (
                FileKind::Audio,
                &[
                    "aac", "aif", "aiff", "ape", "flac", "m4a", "m4b", "mid", "midi", "mka", "mp2",
                    "mp3", "mpc", "oga", "ogg", "opus", "spx", "wav", "wma", "wv",
                ],
            ),
            (
                FileKind::Video,
                &[
                    "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv",
                    "ts", "vob", "webm", "wmv",
                ],
            ),
            (
                FileKind::Image,
                &[
                    "avif", "bmp", "gif", "heic", "heif", "ico", "jpeg", "jpg", "jxl", "png",
                    "psd", "raw", "svg", "tif", "tiff", "webp",
                ],
            ),
            (
                FileKind::Document,
                &[
                    "azw3", "csv", "djvu", "doc", "docx", "epub", "htm", "html", "md", "mobi",
                    "odp", "ods", "odt", "pdf", "ppt", "pptx", "ps", "rst", "rtf", "tex", "txt",
                    "xls", "xlsx",
                ],
            ),
            (
                FileKind::Archive,
                &[
                    "7z", "bz2", "cab", "gz", "img", "iso", "lz", "lz4", "lzma", "rar", "tar",
                    "tgz", "txz", "xz", "zip", "zst",
                ],
            ),
            (
                FileKind::Program,
                &[
                    "apk", "appimage", "bat", "bin", "deb", "dll", "dmg", "exe", "flatpak", "jar",
                    "msi", "pkg", "rpm", "sh", "snap", "so", "wasm",
                ],
            ),
        ];
        let extension = extension.to_ascii_lowercase();
        TABLE
            .into_iter()
            .find(|(_, extensions)| extensions.contains(&extension.as_str()))
            .map_or(Self::Other, |(kind, _)| kind)
    }
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dimensions {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

/// What was read out of an audio, video or image file. All of it comes from
/// the file, so all of it is untrusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Media {
    /// The work's title.
    pub title: Option<String>,
    /// Who made it.
    pub artist: Option<String>,
    /// The collection that it belongs to.
    pub album: Option<String>,
    /// Playing time in whole seconds, rounded down.
    pub duration_seconds: Option<u32>,
    /// Size of the picture.
    pub dimensions: Option<Dimensions>,
}

impl Media {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Title, artist and album: the parts that words can match.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.title, &self.artist, &self.album]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// Why an entry is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// The path is empty, or starts or ends with a slash, or has an empty, `.`
    /// or `..` component.
    #[error("the path is empty or has an empty, `.` or `..` component")]
    Path,
    /// The path is longer than [`FileEntry::PATH_BYTES_MAX`].
    #[error(
        "the path has {bytes} bytes, at most {} are allowed",
        FileEntry::PATH_BYTES_MAX
    )]
    PathLength {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A text of the media part is longer than [`FileEntry::TEXT_BYTES_MAX`].
    #[error(
        "a title, artist or album has {bytes} bytes, at most {} are allowed",
        FileEntry::TEXT_BYTES_MAX
    )]
    TextLength {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// One file that somebody shares: what it is and what it is called there.
///
/// Two peers may give the same content different paths; each then has an entry
/// of its own, with the same `content` and `size`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileEntry {
    /// The BLAKE3 hash of its bytes.
    pub content: ContentId,
    /// Its length in bytes.
    pub size: u64,
    /// Where it lies, relative to what is shared, `/` between the components,
    /// the name of the shared folder first: `Music/Abba/Waterloo.flac`. A
    /// display text from a stranger, never a place to write to.
    pub path: String,
    /// What was read out of it; empty for most kinds.
    pub media: Media,
}

impl FileEntry {
    /// Longest path, bytes of UTF-8.
    // Source: PATH_MAX of Linux is 4,096; entries travel in frames of 64 KiB, so a quarter of it.
    pub const PATH_BYTES_MAX: usize = 1_024;
    /// Longest title, artist or album, bytes of UTF-8.
    // Guess: longer ones are advertisements.
    pub const TEXT_BYTES_MAX: usize = 256;

    /// The file's name: the last component of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The part of the name after the last dot, if there is one that does not
    /// start the name and is not its end.
    pub fn extension(&self) -> Option<&str> {
        match self.name().rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => Some(extension),
            _ => None,
        }
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> FileKind {
        self.extension()
            .map_or(FileKind::Other, FileKind::of_extension)
    }

    /// Whether the entry may be indexed, sent or shown.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks. Control characters and the like are
    /// allowed: see [`Escaped`](crate::Escaped) for showing them.
    pub fn validate(&self) -> Result<(), InvalidEntry> {
        if self.path.len() > Self::PATH_BYTES_MAX {
            return Err(InvalidEntry::PathLength {
                bytes: self.path.len(),
            });
        }
        if self
            .path
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(InvalidEntry::Path);
        }
        match self
            .media
            .texts()
            .find(|text| text.len() > Self::TEXT_BYTES_MAX)
        {
            Some(text) => Err(InvalidEntry::TextLength { bytes: text.len() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> FileEntry {
        FileEntry {
            content: ContentId::of(b""),
            size: 0,
            path: path.to_owned(),
            media: Media::default(),
        }
    }

    #[test]
    fn name_extension_and_kind() {
        let cases = [
            ("a/b/Song.FLAC", "Song.FLAC", Some("FLAC"), FileKind::Audio),
            ("README", "README", None, FileKind::Other),
            (".bashrc", ".bashrc", None, FileKind::Other),
            (
                "x/archive.tar.gz",
                "archive.tar.gz",
                Some("gz"),
                FileKind::Archive,
            ),
            ("x/ends.", "ends.", None, FileKind::Other),
        ];
        for (path, name, extension, kind) in cases {
            let entry = entry(path);
            assert_eq!(entry.name(), name);
            assert_eq!(entry.extension(), extension);
            assert_eq!(entry.kind(), kind);
        }
    }

    #[test]
    fn hostile_entries_are_invalid() {
        for path in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a"] {
            assert_eq!(entry(path).validate(), Err(InvalidEntry::Path), "{path:?}");
        }
        assert_eq!(
            entry(&"a".repeat(1_025)).validate(),
            Err(InvalidEntry::PathLength { bytes: 1_025 })
        );
        let mut long = entry("a");
        long.media.artist = Some("b".repeat(257));
        assert_eq!(
            long.validate(),
            Err(InvalidEntry::TextLength { bytes: 257 })
        );
        assert_eq!(entry("a/..b/c..").validate(), Ok(()));
    }

    #[test]
    fn every_kind_has_its_name() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::from_name(&kind.name().to_uppercase()), Some(kind));
        }
    }
}
