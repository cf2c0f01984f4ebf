use proptest::prelude::*;

use super::*;

fn file(path: &str, size: u64) -> ManifestFile {
    let content = if size == 0 {
        ContentId::of(b"")
    } else {
        ContentId::of(path.as_bytes())
    };
    ManifestFile {
        path: path.to_owned(),
        size,
        content,
    }
}

fn manifest(files: Vec<ManifestFile>) -> Result<Manifest, InvalidManifest> {
    let (_, plan) = pack_plan(&files);
    let packs = (0..plan.len())
        .map(|n| ContentId::of(n.to_string().as_bytes()))
        .collect();
    Manifest::new("Folder".to_owned(), files, packs)
}

/// As a hostile peer would write it: nothing is checked.
fn wild(files: &[ManifestFile], packs: usize) -> Result<Manifest, InvalidManifest> {
    let mut bytes = encode_files("Folder", files);
    bytes.extend(vec![7; packs * 32]);
    Manifest::decode(&bytes)
}

#[track_caller]
fn check(paths: &[&str], expected: fn(&InvalidManifest) -> bool) {
    let files: Vec<_> = paths.iter().map(|path| file(path, 1)).collect();
    let refused = wild(&files, 1).unwrap_err();
    assert!(expected(&refused), "{paths:?}: {refused}");
    assert!(!refused.to_string().is_empty());
}

#[test]
fn what_a_hostile_peer_lists_is_refused() {
    use InvalidManifest as I;
    let long = "n".repeat(300);
    let deep = ["d"; 65].join("/");
    let far = vec!["d".repeat(200); 6].join("/");
    for path in [
        "..",
        "../x",
        "a/../x",
        "a/./x",
        "/etc/passwd",
        "a//b",
        "a/",
        "",
        ".",
        "NUL",
        "a/con.txt",
        "a\\b",
        "c:x",
        "a/ b",
        "a. ",
        ".hidden",
        "a/\u{202e}b",
        "a\0b",
        "a\nb",
        "desktop.ini",
        "e\u{301}",
        long.as_str(),
        deep.as_str(),
        far.as_str(),
    ] {
        check(&[path], |refused| matches!(refused, I::Name { .. }));
    }
    check(&["a", "a"], |refused| matches!(refused, I::Order { .. }));
    check(&["b", "a"], |refused| matches!(refused, I::Order { .. }));
    check(&["A", "a"], |refused| matches!(refused, I::Clash { .. }));
    check(&["A/x", "a/y"], |refused| {
        matches!(refused, I::Clash { .. })
    });
    check(&["a", "a/b"], |refused| matches!(refused, I::Clash { .. }));
    check(&["A/b", "a"], |refused| matches!(refused, I::Clash { .. }));
    check(&["a/É", "a/é"], |refused| {
        matches!(refused, I::Clash { .. })
    });
    check(&[], |refused| matches!(refused, I::Empty));
}

#[test]
fn sizes_must_add_up() {
    let check = |files: &[ManifestFile], packs| {
        assert_eq!(wild(files, packs), Err(InvalidManifest::Sizes), "{files:?}");
    };
    check(&[file("a", u64::MAX), file("b", 1)], 1);
    check(&[file("a", u64::MAX)], 0);
    check(&[file("a", 1)], 0);
    check(&[file("a", 1)], 2);
    check(&[file("a", PACKED_BYTES)], 1);
    let mut lie = file("a", 0);
    lie.content = ContentId::of(b"something");
    check(&[lie], 0);
    let mut lie = file("a", 1);
    lie.content = ContentId::of(b"");
    check(&[lie], 1);
    assert!(wild(&[file("a", 1), file("b", PACKED_BYTES)], 1).is_ok());
}

#[test]
fn too_many_are_refused_before_they_are_read() {
    let head = postcard::to_stdvec(&("Folder", 10_000_000_u64)).unwrap();
    let refused = Manifest::decode(&[MAGIC.as_slice(), &head].concat());
    let max = Manifest::FILES_MAX as u64;
    let files = 10_000_000;
    assert_eq!(refused, Err(InvalidManifest::TooMany { files, max }));
    let other = Manifest::decode(b"\x89PNG");
    assert_eq!(other, Err(InvalidManifest::Magic));
    for name in ["..", "a/b", "", "CON"] {
        let bytes = encode_files(name, &[file("a", 0)]);
        let refused = Manifest::decode(&bytes);
        let name = name.to_owned();
        assert_eq!(refused, Err(InvalidManifest::Name { path: name }));
    }
}

#[test]
fn numbers_have_one_form() {
    let bytes = encode_files("F", &[file("a", 0)]);
    let good = Manifest::decode(&bytes).unwrap();
    assert_eq!((good.name(), good.bytes(), good.parts()), ("F", 0, &[][..]));
    // The count as two bytes where one does.
    let at = MAGIC.len() + 2;
    assert_eq!(bytes[at], 1);
    let mut padded = bytes.clone();
    padded[at] = 0x81;
    padded.insert(at + 1, 0);
    assert_eq!(Manifest::decode(&padded), Err(InvalidManifest::Damaged));
    assert_eq!(
        Manifest::decode(&bytes[..bytes.len() - 1]),
        Err(InvalidManifest::Damaged)
    );
    let more = [bytes, vec![0]].concat();
    assert_eq!(Manifest::decode(&more), Err(InvalidManifest::Damaged));
}

#[test]
fn small_files_are_packed_in_order_and_large_ones_are_not() {
    let half = PACKED_BYTES - 1;
    let mut files: Vec<_> = (0..40).map(|n| file(&format!("{n:02}"), half)).collect();
    files.insert(5, file("04 large", PACKED_BYTES));
    files.insert(6, file("04 none", 0));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = manifest(files).unwrap();
    let sizes: Vec<_> = manifest
        .parts()
        .iter()
        .map(|part| (part.is_pack, manifest.files_of(part).count()))
        .collect();
    assert_eq!(sizes, [(true, 32), (true, 8), (false, 1)]);
    assert!(manifest.parts()[0].size <= PACK_BYTES_MAX);
}

#[test]
fn the_format_stays() {
    let files = vec![file("a/b.txt", 3), file("c", 0)];
    let bytes = manifest(files).unwrap().encode();
    let mut expected = b"gannet folder 1\n\x06Folder\x02\x07a/b.txt\x03".to_vec();
    expected.extend(ContentId::of(b"a/b.txt").as_bytes());
    expected.extend(b"\x01c\0");
    expected.extend(ContentId::of(b"").as_bytes());
    expected.extend(ContentId::of(b"0").as_bytes());
    assert_eq!(bytes, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_made_is_read_again(
        paths in prop::collection::btree_set("[a-c]{1,2}(/[a-cA-C]{1,2}){0,2}", 1..20),
        sizes in prop::collection::vec(0..2 * PACKED_BYTES, 20),
    ) {
        let files: Vec<_> = paths.iter().zip(sizes).map(|(path, size)| file(path, size)).collect();
        match manifest(files.clone()) {
            Ok(manifest) => {
                let bytes = manifest.encode();
                prop_assert!(bytes.len() as u64 <= manifest.encoded_bytes());
                prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
                fuzz(&bytes);
            }
            Err(refused) => {
                // Slow and obvious: some two paths, or a path and a folder of
                // another, are one when capitals do not count.
                let mut above: Vec<(String, String)> = Vec::new();
                for file in &files {
                    let parts: Vec<_> = file.path.split('/').collect();
                    for n in 1..=parts.len() {
                        let mark = if n == parts.len() { "file" } else { "folder" };
                        let path = parts[..n].join("/");
                        above.push((path.to_lowercase(), format!("{mark} {path}")));
                    }
                }
                let clashes = above.iter().any(|(folded, what)| {
                    above.iter().any(|other| other.0 == *folded && other.1 != *what)
                });
                prop_assert!(clashes, "{}", refused);
            }
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(input in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&input);
    }
}
