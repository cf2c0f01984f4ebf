use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gannet_base::{ContentId, GroupRange, groups_in};
use tempfile::TempDir;

use crate::{
    Collection, CollectionDownload, CollectionError, Coverage, Download, DownloadState, LinkError,
    PartBegun, SLICE_GROUPS_MAX, Store, StoreConfig,
};

struct Peer {
    dir: TempDir,
    store: Store,
}

impl Peer {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        Self { dir, store }
    }

    fn again(self) -> Self {
        let Self { dir, store } = self;
        drop(store);
        let store = open(dir.path());
        Self { dir, store }
    }

    fn shared(&self) -> PathBuf {
        self.dir.path().join("share")
    }

    fn downloads(&self) -> PathBuf {
        self.dir.path().join("downloads")
    }

    fn link(&self, path: &str) -> Collection {
        self.try_link(path).unwrap()
    }

    fn try_link(&self, path: &str) -> Result<Collection, LinkError> {
        self.store
            .link_folder(&self.dir.path().join(path), &mut |_| {})
    }
}

fn open(dir: &Path) -> Store {
    fs::create_dir_all(dir.join("downloads")).unwrap();
    Store::open(StoreConfig::new(dir.join("data"), dir.join("downloads"))).unwrap()
}

/// Bytes that differ by seed.
fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|n| u8::try_from((n * 31 + seed * 7 + n / 251) % 251).unwrap())
        .collect()
}

/// A peer that shares a folder with files of all kinds of sizes.
fn sharer() -> Peer {
    let peer = Peer::new();
    let files: [(&str, usize); 8] = [
        ("empty", 0),
        ("a/one", 1),
        ("a/group", 16_384),
        ("a/more", 16_385),
        ("a/b/medium", 200_000),
        ("a/b/large", 700_000),
        ("z/none", 0),
        ("z/last.txt", 5_000),
    ];
    for (n, (path, size)) in files.into_iter().enumerate() {
        let path = peer.shared().join("Top").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(size, n)).unwrap();
    }
    peer.store.add_share(&peer.shared(), false).unwrap();
    peer
}

/// Fetches what `from` has of it.
fn fetch(from: &Store, download: &Download) {
    let reader = from.open_content(download.content()).unwrap();
    let (size, mut slice) = (reader.size(), Vec::new());
    let groups = groups_in(size);
    let have = match reader.have() {
        Coverage::Whole => GroupRange::new(0, groups).into(),
        Coverage::Groups(groups) => groups,
    };
    let last = GroupRange::new(groups - 1, groups);
    let rest = have.runs().iter().flat_map(|run| {
        (run.start..run.end)
            .step_by(usize::try_from(SLICE_GROUPS_MAX).unwrap())
            .map(|start| GroupRange::new(start, run.end.min(start + SLICE_GROUPS_MAX)))
    });
    for range in [last].into_iter().chain(rest) {
        if have.contains_range(range) {
            reader.read_slice(range, &mut slice).unwrap();
            download.write_slice(size, range, &slice).unwrap();
        }
    }
}

fn begin(from: &Store, to: &Store, id: ContentId) -> CollectionDownload {
    let download = to.create_collection(id, "../from a link").unwrap();
    fetch(from, &download.begin_manifest().unwrap());
    download.take_manifest().unwrap();
    download
}

/// Fetches a part, unless it was here; whether it was fetched.
fn take_part(from: &Store, download: &CollectionDownload, number: usize) -> bool {
    match download.begin_part(number).unwrap() {
        PartBegun::Stored => false,
        PartBegun::Fetch(part) => {
            fetch(from, &part);
            download.store_part(number).unwrap();
            true
        }
    }
}

fn parts(download: &CollectionDownload) -> usize {
    download.manifest().unwrap().parts().len()
}

fn adopt(download: &CollectionDownload) -> usize {
    let mut told = 0;
    let stop = AtomicBool::new(false);
    assert!(
        download
            .adopt(&stop, &mut |changes| told += changes.len())
            .unwrap()
    );
    told
}

/// All files below a folder.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = tree(&path).into_iter();
            files.extend(below.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_folder_goes_from_one_to_the_next_and_on() {
    let alice = sharer();
    let top = alice.link("share/Top");
    assert_eq!(top.name, "Top");
    assert_eq!((top.files, top.bytes), (8, 937_770));
    assert_eq!(top.contents.len(), 2, "a manifest and a pack");
    assert_eq!(alice.link("share/Top"), top, "unchanged");
    let alice = alice.again();
    assert_eq!(
        alice.store.collections().unwrap()[0].served,
        Some(top.clone())
    );
    assert_eq!(alice.link("share/Top"), top, "after a restart");

    let bob = Peer::new();
    let download = begin(&alice.store, &bob.store, top.id);
    assert_eq!(download.name(), "Top");
    for number in 0..parts(&download) {
        assert!(take_part(&alice.store, &download, number));
    }
    fs::create_dir(bob.downloads().join("Top")).unwrap();
    let path = download.finish().unwrap();
    assert_eq!(path, bob.downloads().join("Top (2)"));
    assert_eq!(tree(&path), tree(&alice.shared().join("Top")));
    assert_eq!(download.finish().unwrap(), path, "again");
    assert_eq!(adopt(&download), 8);
    assert_eq!(tree(&bob.dir.path().join("data/parts")).len(), 0);
    assert_eq!(tree(&bob.downloads().join(".gannet-partial")).len(), 0);
    drop(download);

    // He is a source of all of it, after a restart too.
    let bob = bob.again();
    let record = bob.store.collections().unwrap().remove(0);
    assert_eq!(record.served.as_ref(), Some(&top));
    assert!(!record.to_adopt);
    assert_eq!(
        record.state,
        Some(DownloadState::Finished { path: path.clone() })
    );
    let linked = bob.link("downloads/Top (2)/a");
    assert_eq!((linked.name.as_str(), linked.files), ("a", 5));
    let carol = Peer::new();
    let download = begin(&bob.store, &carol.store, top.id);
    for number in 0..parts(&download) {
        assert!(take_part(&bob.store, &download, number));
    }
    assert_eq!(tree(&download.finish().unwrap()), tree(&path));
}

#[test]
fn what_is_stored_is_not_fetched_again() {
    let alice = sharer();
    let top = alice.link("share/Top");
    let bob = Peer::new();
    let download = begin(&alice.store, &bob.store, top.id);
    assert!(take_part(&alice.store, &download, 0));
    drop(download);
    let bob = bob.again();
    let record = bob.store.collections().unwrap().remove(0);
    assert_eq!(record.state, Some(DownloadState::Active));
    let download = bob.store.create_collection(top.id, "x").unwrap();
    assert_eq!(download.name(), "Top", "the manifest was kept");
    assert!(!take_part(&alice.store, &download, 0));
    assert!(take_part(&alice.store, &download, 1));
    let path = download.finish().unwrap();

    // Stopped while it was taken in, it is taken in the next time.
    let stop = AtomicBool::new(true);
    assert!(!download.adopt(&stop, &mut |_| {}).unwrap());
    drop(download);
    let bob = bob.again();
    assert!(bob.store.collections().unwrap()[0].to_adopt);
    let download = bob.store.create_collection(top.id, "x").unwrap();
    assert_eq!(download.finished(), Some(path));
    assert_eq!(adopt(&download), 8);
}

#[test]
fn what_is_here_under_another_name_is_not_fetched() {
    let alice = sharer();
    let bob = sharer();
    bob.link("share/Top");
    let top = alice.link("share");
    assert_ne!(bob.link("share/Top").id, top.id);
    let download = begin(&alice.store, &bob.store, top.id);
    for number in 0..parts(&download) {
        assert!(!take_part(&alice.store, &download, number));
    }
    let path = download.finish().unwrap();
    assert_eq!(tree(&path), tree(&alice.shared()));
    adopt(&download);
    fs::remove_dir_all(bob.shared()).unwrap();
    let pack = bob.store.open_content(top.contents[1].0).unwrap();
    assert_eq!(pack.have(), Coverage::Whole, "served from the copy");
}

#[test]
fn a_changed_file_is_not_served_and_the_rest_is() {
    let alice = sharer();
    let top = alice.link("share/Top");
    let (pack, size) = top.contents[1];
    let reader = alice.store.open_content(pack).unwrap();
    // 1 + 16,384 + 16,385 bytes are before it, and 5,000 behind.
    fs::write(alice.shared().join("Top/a/b/medium"), bytes(200_000, 99)).unwrap();
    let mut out = Vec::new();
    let all = GroupRange::new(0, groups_in(size));
    let read = reader.read_slice(all, &mut out);
    assert!(
        matches!(read, Err(crate::ReadError::Changed { .. })),
        "{read:?}"
    );
    assert!(out.is_empty());
    let reader = alice.store.open_content(pack).unwrap();
    let Coverage::Groups(have) = reader.have() else {
        panic!("a member is missing")
    };
    // The members in the order of their paths: a/b/medium, a/group, a/more…
    assert!(!have.contains(0) && have.contains(groups_in(size) - 1));
    let last = GroupRange::new(13, groups_in(size));
    reader.read_slice(last, &mut out).unwrap();
    assert!(matches!(
        reader.read_slice(all, &mut out),
        Err(crate::ReadError::NotYet { .. })
    ));
    let changed = alice.link("share/Top");
    assert_ne!(changed.id, top.id);
    let pack = alice.store.open_content(changed.contents[1].0).unwrap();
    assert_eq!(pack.have(), Coverage::Whole);
}

#[test]
fn a_list_that_lies_is_noticed() {
    let alice = sharer();
    let top = alice.link("share/Top");
    let manifest = fs::read(
        alice
            .dir
            .path()
            .join(format!("data/collections/{}/manifest", top.id)),
    )
    .unwrap();
    let last = ContentId::of(&bytes(5_000, 7));
    let at = manifest
        .windows(32)
        .position(|window| window == last.as_bytes())
        .unwrap();
    let mut lie = manifest;
    lie[at] ^= 1;
    fs::write(alice.shared().join("lie"), &lie).unwrap();
    fs::write(alice.shared().join("no list"), b"hello").unwrap();
    let entry = |name: &str| {
        let path = alice.shared().join(name);
        alice.store.link_target(&path).unwrap().content
    };

    let bob = Peer::new();
    let download = begin(&alice.store, &bob.store, entry("lie"));
    let PartBegun::Fetch(part) = download.begin_part(0).unwrap() else {
        panic!("it is not here")
    };
    fetch(&alice.store, &part);
    let refused = download.store_part(0).unwrap_err();
    assert!(
        matches!(&refused, CollectionError::Wrong { path } if path == "z/last.txt"),
        "{refused}"
    );
    download.discard().unwrap();
    assert_eq!(tree(&bob.dir.path().join("data/parts")).len(), 0);
    assert_eq!(
        fs::read_dir(bob.downloads().join(".gannet-partial"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(bob.store.collections().unwrap(), []);

    let download = bob.store.create_collection(entry("no list"), "x").unwrap();
    fetch(&alice.store, &download.begin_manifest().unwrap());
    let refused = download.take_manifest().unwrap_err();
    assert!(
        refused.to_string().contains("not the list of a folder"),
        "{refused}"
    );
}

#[test]
fn what_is_no_shared_folder_has_no_link() {
    let alice = sharer();
    fs::create_dir_all(alice.dir.path().join("private/x")).unwrap();
    fs::create_dir_all(alice.shared().join("hollow")).unwrap();
    let refused = alice.try_link("private").unwrap_err();
    assert!(matches!(refused, LinkError::NotShared { .. }), "{refused}");
    let refused = alice.try_link("downloads").unwrap_err();
    assert!(matches!(refused, LinkError::NotShared { .. }), "{refused}");
    let refused = alice.try_link("share/hollow").unwrap_err();
    assert!(
        refused.to_string().contains("no file in the folder"),
        "{refused}"
    );
    let refused = alice.try_link("share/nothing").unwrap_err();
    assert!(matches!(refused, LinkError::Unreadable { .. }), "{refused}");
}

#[test]
fn a_rename_that_was_interrupted_is_found_done() {
    let alice = sharer();
    let top = alice.link("share/Top/z");
    let bob = Peer::new();
    let download = begin(&alice.store, &bob.store, top.id);
    take_part(&alice.store, &download, 0);
    let path = download.finish().unwrap();
    // As if the record of the end had not been written.
    download
        .commit(|record| {
            let name = "z".to_owned();
            let id = crate::backend::Disk::id(&crate::backend::RealDisk, &path).unwrap();
            record.finished = None;
            record.finishing = Some(crate::download::Finishing { name, id });
        })
        .unwrap();
    drop(download);
    let bob = bob.again();
    let download = bob.store.create_collection(top.id, "x").unwrap();
    assert_eq!(download.finish().unwrap(), path);
    assert_eq!(tree(&path), tree(&alice.shared().join("Top/z")));
}
