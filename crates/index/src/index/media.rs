//! Media kept as a piece of text: small, and nothing for the most entries.
//!
//! A head of characters that stand for numbers (flags, lengths, duration,
//! dimensions), then the texts. Numbers are written with 2,048 digits, two
//! bytes each at most.

use gannet_base::{Dimensions, Media};

const DIGIT_BITS: u32 = 11;

const TITLE: u32 = 1;
const ARTIST: u32 = 2;
const ALBUM: u32 = 4;
const DURATION: u32 = 8;
const DIMENSIONS: u32 = 16;

fn push_digit(text: &mut String, digit: u32) {
    text.push(char::from_u32(digit & ((1 << DIGIT_BITS) - 1)).expect("below the surrogates"));
}

fn push_number(text: &mut String, number: u32) {
    for place in 0..3 {
        push_digit(text, number >> (place * DIGIT_BITS));
    }
}

/// Appends the media part.
pub(super) fn write(text: &mut String, media: &Media) {
    let texts = [
        (TITLE, &media.title),
        (ARTIST, &media.artist),
        (ALBUM, &media.album),
    ];
    let mut flags = 0;
    for (flag, part) in texts {
        flags |= if part.is_some() { flag } else { 0 };
    }
    flags |= if media.duration_seconds.is_some() {
        DURATION
    } else {
        0
    };
    flags |= if media.dimensions.is_some() {
        DIMENSIONS
    } else {
        0
    };
    push_digit(text, flags);
    for part in texts.into_iter().filter_map(|(_, part)| part.as_ref()) {
        push_digit(
            text,
            u32::try_from(part.len()).expect("a valid entry's texts are short"),
        );
    }
    if let Some(duration) = media.duration_seconds {
        push_number(text, duration);
    }
    if let Some(Dimensions { width, height }) = media.dimensions {
        push_number(text, width);
        push_number(text, height);
    }
    for part in texts.into_iter().filter_map(|(_, part)| part.as_ref()) {
        text.push_str(part);
    }
}

/// A media part, its texts not copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MediaView<'a> {
    /// Title, artist, album.
    pub(super) texts: [Option<&'a str>; 3],
    duration_seconds: Option<u32>,
    dimensions: Option<Dimensions>,
}

impl<'a> MediaView<'a> {
    /// Reads what [`write`] wrote; nothing for an empty text.
    pub(super) fn read(text: &'a str) -> Self {
        let mut head = text.chars();
        let Some(flags) = head.next().map(u32::from) else {
            return Self::default();
        };
        let mut digit = || head.next().map_or(0, u32::from);
        let mut lengths = [0, 0, 0];
        for (flag, length) in [TITLE, ARTIST, ALBUM].into_iter().zip(&mut lengths) {
            *length = if flags & flag != 0 {
                digit() as usize
            } else {
                0
            };
        }
        let mut number = || digit() | digit() << DIGIT_BITS | digit() << (2 * DIGIT_BITS);
        let duration_seconds = (flags & DURATION != 0).then(&mut number);
        let dimensions = (flags & DIMENSIONS != 0).then(|| Dimensions {
            width: number(),
            height: number(),
        });
        let mut rest = head.as_str();
        let mut texts = [None; 3];
        for (place, flag) in [TITLE, ARTIST, ALBUM].into_iter().enumerate() {
            if flags & flag != 0 {
                let (part, behind) = rest.split_at(lengths[place]);
                texts[place] = Some(part);
                rest = behind;
            }
        }
        Self {
            texts,
            duration_seconds,
            dimensions,
        }
    }

    pub(super) fn to_media(self) -> Media {
        let [title, artist, album] = self.texts.map(|text| text.map(str::to_owned));
        Media {
            title,
            artist,
            album,
            duration_seconds: self.duration_seconds,
            dimensions: self.dimensions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_media_comes_back() {
        let texts = [
            None,
            Some(String::new()),
            Some("é".repeat(128)),
            Some("Abba".to_owned()),
        ];
        let durations = [None, Some(0), Some(2_047), Some(2_048), Some(u32::MAX)];
        let sizes = [
            None,
            Some(Dimensions {
                width: u32::MAX,
                height: 1 << 22,
            }),
        ];
        let mut tried = 0;
        for (title, artist) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))) {
            for (duration_seconds, dimensions) in durations
                .into_iter()
                .flat_map(|a| sizes.map(move |b| (a, b)))
            {
                let media = Media {
                    title: title.clone(),
                    artist: artist.clone(),
                    album: title.clone(),
                    duration_seconds,
                    dimensions,
                };
                let mut text = String::new();
                write(&mut text, &media);
                assert_eq!(MediaView::read(&text).to_media(), media);
                tried += 1;
            }
        }
        assert_eq!(tried, 160);
        assert_eq!(MediaView::read("").to_media(), Media::default());
    }
}
