//! What can be read out of audio, video and image files: title, artist, album,
//! playing time, size of the picture.
//!
//! Parsers of media formats are where hostile files strike. They get a reader
//! that stops after so many bytes and so much time, and a panic of theirs costs
//! the metadata and nothing else. They run while scanning, never on what a
//! stranger has just sent.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use gannet_base::{Dimensions, FileEntry, FileKind, Media, sanitise_line};
use lofty::config::{ParseOptions, ParsingMode};
use lofty::file::{AudioFile as _, TaggedFileExt as _};
use lofty::probe::Probe;
use lofty::tag::Accessor as _;

/// Most bytes that are read of one file.
// Guess: tags with a cover picture are some MiB.
const READ_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest time that one file takes.
// Guess: a sleeping disk wakes up in it.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What the file says of itself; nothing for kinds without metadata, and for
/// files that do not parse. `name` is its name, for the kind.
pub(crate) fn read(file: &File, name: &[u8]) -> Media {
    let name = String::from_utf8_lossy(name);
    let Some((_, extension)) = name.rsplit_once('.') else {
        return Media::default();
    };
    let kind = FileKind::of_extension(extension);
    let parse: fn(Bounded<'_>, &str) -> Option<Media> = match kind {
        FileKind::Audio => audio,
        FileKind::Image => image,
        FileKind::Video => video,
        _ => return Media::default(),
    };
    let bounded = Bounded {
        file,
        position: 0,
        left: READ_BYTES_MAX,
        until: Instant::now() + TIME_MAX,
    };
    let parsed = catch_unwind(AssertUnwindSafe(|| parse(bounded, extension)));
    parsed.ok().flatten().unwrap_or_default()
}

fn audio(file: Bounded<'_>, extension: &str) -> Option<Media> {
    let options = ParseOptions::new()
        .read_cover_art(false)
        .parsing_mode(ParsingMode::Relaxed);
    let mut probe = Probe::new(BufReader::new(file)).options(options);
    if let Some(kind) = lofty::file::FileType::from_ext(extension) {
        probe = probe.set_file_type(kind);
    }
    let tagged = probe.guess_file_type().ok()?.read().ok()?;
    let duration = tagged.properties().duration().as_secs();
    let mut media = Media {
        duration_seconds: u32::try_from(duration).ok().filter(|seconds| *seconds > 0),
        ..Media::default()
    };
    for tag in tagged.primary_tag().into_iter().chain(tagged.tags()) {
        media.title = media.title.or_else(|| text(tag.title()));
        media.artist = media.artist.or_else(|| text(tag.artist()));
        media.album = media.album.or_else(|| text(tag.album()));
    }
    Some(media)
}

fn image(file: Bounded<'_>, _extension: &str) -> Option<Media> {
    let size = imagesize::reader_size(BufReader::new(file)).ok()?;
    Some(Media {
        dimensions: dimensions(size.width, size.height),
        ..Media::default()
    })
}

/// Playing time and picture from one library; title and artist, which films in
/// MP4 have as music has, from the other.
fn video(file: Bounded<'_>, extension: &str) -> Option<Media> {
    use nom_exif::{MediaParser, MediaSource, TrackInfoTag};
    let source = MediaSource::seekable(file.again()).ok()?;
    let track = MediaParser::new().parse_track(source).ok()?;
    let number = |tag| track.get(tag).and_then(|value| value.as_u32());
    let millis = track
        .get(TrackInfoTag::DurationMs)
        .and_then(|value| value.as_u64());
    let tagged = audio(file, extension).unwrap_or_default();
    let seconds = millis.and_then(|millis| u32::try_from(millis / 1_000).ok());
    Some(Media {
        duration_seconds: seconds
            .filter(|seconds| *seconds > 0)
            .or(tagged.duration_seconds),
        dimensions: number(TrackInfoTag::Width)
            .zip(number(TrackInfoTag::Height))
            .and_then(|(width, height)| dimensions(width, height)),
        ..tagged
    })
}

fn dimensions<T: TryInto<u32>>(width: T, height: T) -> Option<Dimensions> {
    let (width, height) = (width.try_into().ok()?, height.try_into().ok()?);
    (width > 0 && height > 0).then_some(Dimensions { width, height })
}

/// A tag's text as one line within the limits of an entry.
fn text(value: Option<impl AsRef<str>>) -> Option<String> {
    let value = value?;
    // Bounded before it is looked at closely.
    let raw: String = value
        .as_ref()
        .chars()
        .take(FileEntry::TEXT_BYTES_MAX)
        .collect();
    let mut line = sanitise_line(&raw);
    while line.len() > FileEntry::TEXT_BYTES_MAX {
        line.pop();
    }
    let line = line.trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

/// A file that gives out so much and no more.
#[derive(Debug)]
struct Bounded<'a> {
    file: &'a File,
    position: u64,
    left: u64,
    until: Instant,
}

impl Bounded<'_> {
    /// The same file from its start, for another parser.
    fn again(&self) -> Self {
        Self {
            position: 0,
            ..*self
        }
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || Instant::now() > self.until {
            return Err(io::Error::other("too much to read"));
        }
        let most = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let n = rustix::io::pread(self.file, &mut bytes[..most], self.position)?;
        self.position += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (self.file.metadata()?.len(), by),
        };
        self.position = from
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
