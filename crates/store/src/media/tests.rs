//! Small files made by hand, and hostile ones.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn read_bytes(name: &str, bytes: &[u8]) -> Media {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    read(&file, name.as_bytes())
}

/// A box of an MP4 file.
fn mp4_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [length.to_be_bytes().as_slice(), kind, body].concat()
}

fn mp4() -> Vec<u8> {
    // 90.5 s at 1,000 ticks a second.
    let mut mvhd = vec![0; 100];
    mvhd[12..16].copy_from_slice(&1_000_u32.to_be_bytes());
    mvhd[16..20].copy_from_slice(&90_500_u32.to_be_bytes());
    let mut tkhd = vec![0; 84];
    tkhd[3] = 7;
    tkhd[12..16].copy_from_slice(&1_u32.to_be_bytes());
    tkhd[20..24].copy_from_slice(&90_500_u32.to_be_bytes());
    tkhd[76..80].copy_from_slice(&(1_280_u32 << 16).to_be_bytes());
    tkhd[80..84].copy_from_slice(&(720_u32 << 16).to_be_bytes());
    let mut hdlr = vec![0; 25];
    hdlr[8..12].copy_from_slice(b"vide");
    let mut mdhd = vec![0; 24];
    mdhd[12..16].copy_from_slice(&1_000_u32.to_be_bytes());
    mdhd[16..20].copy_from_slice(&90_500_u32.to_be_bytes());
    let mdia = [mp4_box(b"mdhd", &mdhd), mp4_box(b"hdlr", &hdlr)].concat();
    let trak = [mp4_box(b"tkhd", &tkhd), mp4_box(b"mdia", &mdia)].concat();
    let moov = [mp4_box(b"mvhd", &mvhd), mp4_box(b"trak", &trak)].concat();
    [
        mp4_box(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41"),
        mp4_box(b"moov", &moov),
        mp4_box(b"mdat", &[0; 64]),
    ]
    .concat()
}

/// An element of a Matroska file.
fn ebml(id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = 0x4000 | u16::try_from(body.len()).unwrap();
    [id, length.to_be_bytes().as_slice(), body].concat()
}

fn webm() -> Vec<u8> {
    let head = [
        ebml(&[0x42, 0x86], &[1]),
        ebml(&[0x42, 0xf7], &[1]),
        ebml(&[0x42, 0xf2], &[4]),
        ebml(&[0x42, 0xf3], &[8]),
        ebml(&[0x42, 0x82], b"webm"),
        ebml(&[0x42, 0x87], &[4]),
        ebml(&[0x42, 0x85], &[2]),
    ]
    .concat();
    let info = [
        ebml(&[0x2a, 0xd7, 0xb1], &1_000_000_u32.to_be_bytes()),
        ebml(&[0x44, 0x89], &61_000_f64.to_be_bytes()),
        ebml(&[0x4d, 0x80], b"t"),
        ebml(&[0x57, 0x41], b"t"),
    ]
    .concat();
    let video = [
        ebml(&[0xb0], &640_u16.to_be_bytes()),
        ebml(&[0xba], &480_u16.to_be_bytes()),
    ]
    .concat();
    let track = [
        ebml(&[0xd7], &[1]),
        ebml(&[0x73, 0xc5], &[1]),
        ebml(&[0x83], &[1]),
        ebml(&[0x86], b"V_VP9"),
        ebml(&[0xe0], &video),
    ]
    .concat();
    let segment = [
        ebml(&[0x15, 0x49, 0xa9, 0x66], &info),
        ebml(&[0x16, 0x54, 0xae, 0x6b], &ebml(&[0xae], &track)),
    ]
    .concat();
    [
        ebml(&[0x1a, 0x45, 0xdf, 0xa3], &head),
        ebml(&[0x18, 0x53, 0x80, 0x67], &segment),
    ]
    .concat()
}

fn flac(comments: &[&str]) -> Vec<u8> {
    // 44,100 Hz, two channels, 16 bits, 44,100 * 125 samples.
    let mut info = vec![0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0];
    let packed = (44_100_u64 << 44) | (1 << 41) | (15 << 36) | (44_100 * 125);
    info.extend(packed.to_be_bytes());
    info.extend([0; 16]);
    let mut tags = 0_u32.to_le_bytes().to_vec();
    tags.extend(u32::try_from(comments.len()).unwrap().to_le_bytes());
    for comment in comments {
        tags.extend(u32::try_from(comment.len()).unwrap().to_le_bytes());
        tags.extend(comment.as_bytes());
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..].to_vec();
    [
        b"fLaC\0".to_vec(),
        length(&info),
        info.clone(),
        vec![0x84],
        length(&tags),
        tags.clone(),
        vec![0xff, 0xf8, 0, 0],
    ]
    .concat()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn music_has_title_artist_album_and_time() {
    let bytes = flac(&["TITLE=Waterloo", "ARTIST=ABBA\u{202e}", "ALBUM= The\nbest "]);
    let expected = Media {
        title: Some("Waterloo".to_owned()),
        artist: Some("ABBA".to_owned()),
        album: Some("The best".to_owned()),
        duration_seconds: Some(125),
        dimensions: None,
    };
    assert_eq!(read_bytes("a.FLAC", &bytes), expected);
    // What it is called decides whether it is looked at.
    assert_eq!(read_bytes("a.txt", &bytes), Media::default());
    assert_eq!(read_bytes("flac", &bytes), Media::default());
}

#[test]
fn films_have_time_and_picture() {
    let mp4 = read_bytes("a.mp4", &mp4());
    assert_eq!(mp4.duration_seconds, Some(90));
    assert_eq!(
        mp4.dimensions,
        Some(Dimensions {
            width: 1_280,
            height: 720
        })
    );
    for name in ["a.webm", "a.mkv"] {
        let webm = read_bytes(name, &webm());
        assert_eq!(webm.duration_seconds, Some(61), "{name}");
        assert_eq!(
            webm.dimensions,
            Some(Dimensions {
                width: 640,
                height: 480
            }),
            "{name}"
        );
    }
}

#[test]
fn pictures_have_their_size() {
    let expected = Some(Dimensions {
        width: 1_920,
        height: 1_080,
    });
    assert_eq!(read_bytes("a.png", &png(1_920, 1_080)).dimensions, expected);
    assert_eq!(read_bytes("a.png", &png(0, 5)), Media::default());
}

#[test]
fn long_texts_are_cut_to_what_an_entry_may_hold() {
    let title = format!("TITLE={}", "ü".repeat(5_000));
    let media = read_bytes("a.flac", &flac(&[&title]));
    assert_eq!(
        media.title.map(|title| title.len()),
        Some(FileEntry::TEXT_BYTES_MAX)
    );
}

#[test]
fn a_reader_gives_out_so_much_and_no_more() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; 100]).unwrap();
    let bounded = |left, until| Bounded {
        file: &file,
        position: 0,
        left,
        until,
    };
    let later = Instant::now() + TIME_MAX;
    let mut bytes = Vec::new();
    assert!(bounded(60, later).read_to_end(&mut bytes).is_err());
    assert_eq!(bytes.len(), 60);
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert!(bounded(1_000, past).read_to_end(&mut bytes).is_err());
    assert!(bounded(1_000, later).seek(SeekFrom::Current(-1)).is_err());
    assert_eq!(bounded(1_000, later).seek(SeekFrom::End(-1)).unwrap(), 99);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Cut and flipped files cost their metadata and nothing else.
    #[test]
    fn hostile_files_do_no_harm(
        which in 0_usize..4,
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let (name, mut bytes) = [
            ("a.mp4", mp4()),
            ("a.mkv", webm()),
            ("a.flac", flac(&["TITLE=x", "ARTIST=y"])),
            ("a.png", png(10, 10)),
        ][which].clone();
        for (place, value) in &flips {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let media = read_bytes(name, &bytes);
        prop_assert!(media.texts().all(|text| text.len() <= FileEntry::TEXT_BYTES_MAX));
    }
}
