//! Scans of real folders.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gannet_base::{ContentId, GroupRange};

use super::*;
use crate::{ReadError, ShareState, Store, StoreConfig, StoreEvent};

mod changing;

/// No lines.
const NONE: [&str; 0] = [];

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self { dir, store: None };
        let mut config = world.config();
        change(&mut config);
        world.store = Some(Store::open(config).unwrap());
        fs::create_dir(world.path("share")).unwrap();
        world
    }

    fn config(&self) -> StoreConfig {
        let mut config = StoreConfig::new(self.path("data"), self.path("downloads"));
        config.threads = 2;
        config
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> ContentId {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        ContentId::of(bytes)
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn share(&self, path: &str) {
        self.store().add_share(&self.path(path), true).unwrap();
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Store::open(self.config()).unwrap());
    }

    /// Scans; the changes as `+path` and `-path`, sorted.
    fn scan(&self) -> (Vec<String>, ScanSummary) {
        changes(|sink| self.store().scan(&ScanControl::new(), sink).unwrap())
    }

    fn scan_paths(&self, paths: &[&str]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|path| self.path(path)).collect();
        let control = ScanControl::new();
        changes(|sink| self.store().scan_paths(&paths, &control, sink).unwrap()).0
    }

    fn entries(&self) -> Vec<String> {
        let mut paths: Vec<_> = self
            .store()
            .entries()
            .unwrap()
            .map(|entry| entry.path)
            .collect();
        paths.sort();
        paths
    }

    fn read(&self, content: ContentId) -> Result<Vec<u8>, ReadError> {
        let reader = self.store().open_content(content)?;
        let mut bytes = Vec::new();
        reader.read_data(GroupRange::whole(reader.size()), &mut bytes)?;
        Ok(bytes)
    }
}

fn changes<T>(run: impl FnOnce(&mut dyn FnMut(Vec<ShareChange>)) -> T) -> (Vec<String>, T) {
    let mut seen = Vec::new();
    let result = run(&mut |changes| {
        seen.extend(changes.into_iter().map(|change| match change {
            ShareChange::Added(entry) => format!("+{}", entry.path),
            ShareChange::Removed { path, .. } => format!("-{path}"),
        }));
    });
    seen.sort();
    (seen, result)
}

fn big(seed: u8) -> Vec<u8> {
    let mut bytes = crate::slice::tests::bytes(100_000);
    bytes[0] = seed;
    bytes
}

#[test]
fn new_changed_moved_and_removed_files() {
    let world = World::new();
    world.share("share");
    let a = world.write("share/a.txt", b"aaa");
    let b = world.write("share/sub/b.bin", &big(1));
    world.write("share/sub/deeper/c", b"");
    let (seen, summary) = world.scan();
    assert_eq!(
        seen,
        ["+share/a.txt", "+share/sub/b.bin", "+share/sub/deeper/c"]
    );
    assert_eq!((summary.added, summary.hashed, summary.seen), (3, 3, 3));
    assert_eq!(
        world.entries(),
        ["share/a.txt", "share/sub/b.bin", "share/sub/deeper/c"]
    );
    assert_eq!(world.read(a).unwrap(), b"aaa");
    assert_eq!(world.read(b).unwrap(), big(1));

    let (seen, summary) = world.scan();
    assert_eq!((seen.len(), summary.hashed, summary.seen), (0, 0, 3));

    world.write("share/a.txt", b"bbbb");
    fs::rename(world.path("share/sub/b.bin"), world.path("share/z.bin")).unwrap();
    fs::remove_dir_all(world.path("share/sub/deeper")).unwrap();
    let (seen, summary) = world.scan();
    let expected = [
        "+share/a.txt",
        "+share/z.bin",
        "-share/a.txt",
        "-share/sub/b.bin",
        "-share/sub/deeper/c",
    ];
    assert_eq!(seen, expected);
    assert_eq!(summary.hashed, 1, "a moved file is not hashed again");
    assert_eq!(world.read(b).unwrap(), big(1));
    assert!(matches!(world.read(a), Err(ReadError::NotShared { .. })));
    let (_, summary) = world.scan();
    assert_eq!((summary.added, summary.removed, summary.hashed), (0, 0, 0));
}

#[test]
fn order_of_names_does_not_confuse_folders_and_files() {
    let world = World::new();
    world.share("share");
    let names = [
        "a", "a-b", "a.txt", "a0", "b/x", "b-c/x", "b.d/x", "b0/x", "ab/c/d", "ab/c.d",
    ];
    for name in names {
        world.write(&format!("share/{name}"), name.as_bytes());
    }
    assert_eq!(world.scan().0.len(), names.len());
    let (seen, summary) = world.scan();
    assert_eq!((seen, summary.seen), (Vec::new(), names.len() as u64));
    // A file becomes a folder and the other way round.
    fs::remove_file(world.path("share/a")).unwrap();
    world.write("share/a/inside", b"1");
    fs::remove_dir_all(world.path("share/b")).unwrap();
    world.write("share/b", b"2");
    assert_eq!(
        world.scan().0,
        ["+share/a/inside", "+share/b", "-share/a", "-share/b/x"]
    );
    assert_eq!(world.scan().0.len(), 0);
}

#[test]
fn what_is_never_shared() {
    let world = World::new();
    world.write("share/good.txt", b"good");
    let secret = world.write("outside/secret.txt", b"secret");
    for name in [
        ".hidden",
        ".ssh/id_rsa",
        "keys/id_rsa",
        "server.pem",
        "x.part",
        ".env",
        "~$a.doc",
        ".git/config",
        ".gannet-partial/x.part",
    ] {
        world.write(&format!("share/{name}"), b"private");
    }
    symlink(
        world.path("outside/secret.txt"),
        world.path("share/link.txt"),
    )
    .unwrap();
    symlink(world.path("outside"), world.path("share/linked")).unwrap();
    symlink(world.path("share"), world.path("share/loop")).unwrap();
    let pipe = world.path("share/pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    world.share("share");
    let (seen, summary) = world.scan();
    assert_eq!(seen, ["+share/good.txt"]);
    assert!(summary.skipped >= 12, "{summary:?}");
    assert!(matches!(
        world.read(secret),
        Err(ReadError::NotShared { .. })
    ));
    assert_eq!(
        world.scan_paths(&["share/link.txt", "share/linked/secret.txt", "share/.env"]),
        NONE
    );
    let link = world.store().link_target(&world.path("share/server.pem"));
    assert!(link.is_err(), "{link:?}");
}

#[test]
fn the_data_directory_is_not_shared_even_inside_a_share() {
    let world = World::new();
    world.write("visible.txt", b"v");
    world.store().add_share(&world.path(""), true).unwrap();
    assert_eq!(world.scan().0.len(), 1);
}

#[test]
fn hidden_files_are_shared_on_request() {
    let world = World::with(|config| config.share_hidden = true);
    world.share("share");
    world.write("share/.hidden", b"1");
    world.write("share/.ssh/key", b"2");
    assert_eq!(world.scan().0, ["+share/.hidden"]);
}

#[test]
fn outboards_of_files_that_are_gone_are_deleted() {
    let world = World::new();
    world.share("share");
    let id = world.write("share/f.bin", &big(3));
    world.write("share/g.bin", &big(3));
    world.scan();
    let outboard = world.path(&format!("data/outboards/{id}.obao"));
    fs::remove_file(world.path("share/f.bin")).unwrap();
    world.scan();
    assert!(outboard.exists(), "another file has the content");
    fs::remove_file(world.path("share/g.bin")).unwrap();
    world.scan();
    assert!(!outboard.exists());
}

#[test]
fn shares_inside_shares_give_each_file_one_entry() {
    let world = World::new();
    world.write("share/top.txt", b"1");
    let inner = world.write("share/inner/x.bin", &big(1));
    world.share("share");
    assert_eq!(world.scan().0, ["+share/inner/x.bin", "+share/top.txt"]);
    world.share("share/inner");
    let (seen, summary) = world.scan();
    assert_eq!(seen, ["+inner/x.bin", "-share/inner/x.bin"]);
    assert_eq!(summary.hashed, 0);
    assert_eq!(world.entries(), ["inner/x.bin", "share/top.txt"]);
    assert_eq!(world.read(inner).unwrap(), big(1));
    let (seen, _) = changes(|sink| {
        world
            .store()
            .remove_share(&world.path("share/inner"), sink)
            .unwrap()
    });
    assert_eq!(seen, ["-inner/x.bin"]);
    assert_eq!(world.scan().0, ["+share/inner/x.bin"]);
}

#[test]
fn shares_of_the_same_name_and_single_files() {
    let world = World::new();
    world.write("a/Music/x", b"1");
    world.write("b/Music/x", b"2");
    let single = world.write("single.bin", &big(9));
    for path in ["a/Music", "b/Music", "single.bin"] {
        world.share(path);
    }
    assert_eq!(world.scan().0, ["+Music (2)/x", "+Music/x", "+single.bin"]);
    assert_eq!(world.read(single).unwrap(), big(9));
    let infos = world.store().shares().unwrap();
    let counts: Vec<_> = infos.iter().map(|info| (info.files, info.bytes)).collect();
    assert_eq!(counts, [(1, 1), (1, 1), (1, 100_000)]);
    let again = world.store().add_share(&world.path("a/../a/Music"), false);
    assert!(
        matches!(again, Err(crate::ShareError::AlreadyShared { .. })),
        "{again:?}"
    );
    fs::remove_file(world.path("single.bin")).unwrap();
    assert_eq!(world.scan().0, ["-single.bin"]);
    world.write("single.bin", &big(8));
    assert_eq!(
        world
            .scan()
            .0
            .iter()
            .filter(|line| line.starts_with('+'))
            .count(),
        2
    );
}

#[test]
fn an_unreadable_folder_is_a_problem_and_not_the_end() {
    let world = World::new();
    world.write("share/closed/a", b"1");
    world.write("share/open", b"2");
    world.share("share");
    let closed = world.path("share/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    let (seen, summary) = world.scan();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(seen.contains(&"+share/open".to_owned()));
    // The superuser reads it all the same.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(summary.problems.len(), 1, "{summary:?}");
        assert_eq!(seen.len(), 1);
    }
}

#[test]
fn deep_trees_end_somewhere() {
    let world = World::with(|config| config.depth_max = 3);
    world.share("share");
    world.write("share/1/2/3/in", b"1");
    world.write("share/1/2/3/4/out", b"2");
    assert_eq!(world.scan().0, ["+share/1/2/3/in"]);
}

#[test]
fn too_many_files_are_left_out() {
    let world = World::with(|config| config.files_max = 5);
    world.share("share");
    for n in 0..8 {
        world.write(&format!("share/{n}"), b"x");
    }
    assert_eq!(world.scan().0.len(), 5);
}

#[test]
fn names_that_are_not_utf8_are_served() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    world.share("share");
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.bin");
    fs::write(world.path("share").join(name), big(4)).unwrap();
    assert_eq!(world.scan().0, ["+share/\u{fffd}\u{fffd}.bin"]);
    assert_eq!(world.read(ContentId::of(&big(4))).unwrap(), big(4));
    assert_eq!(world.scan().0.len(), 0);
}

#[test]
fn parts_of_shares_are_scanned_alone() {
    let world = World::new();
    world.share("share");
    for name in ["a", "sub/b", "sub/c", "sub-x", "other/d"] {
        world.write(&format!("share/{name}"), name.as_bytes());
    }
    assert_eq!(
        world.scan_paths(&["share/sub"]),
        ["+share/sub/b", "+share/sub/c"]
    );
    assert_eq!(
        world.scan_paths(&["share/a", "share/sub-x", "nowhere"]),
        ["+share/a", "+share/sub-x"]
    );
    fs::remove_dir_all(world.path("share/sub")).unwrap();
    world.write("share/a", b"changed");
    assert_eq!(
        world.scan_paths(&["share/sub/b", "share/a"]),
        ["+share/a", "-share/a", "-share/sub/b"]
    );
    assert_eq!(world.scan_paths(&["share/sub"]), ["-share/sub/c"]);
    assert_eq!(world.scan_paths(&["share"]), ["+share/other/d"]);
    assert_eq!(world.scan().0.len(), 0);
}

#[test]
fn a_cancelled_scan_goes_on_where_it_was() {
    let mut world = World::with(|config| config.commit_every_millis = 0);
    world.share("share");
    for n in 0..20_u8 {
        // Large ones are hashed one by one.
        let mut bytes = vec![n; 9 << 20];
        bytes[0] = n;
        world.write(&format!("share/{n:02}"), &bytes);
    }
    let control = ScanControl::new();
    let mut added = 0;
    let summary = world
        .store()
        .scan(&control, &mut |changes| {
            let is_added = |change: &&ShareChange| matches!(change, ShareChange::Added(_));
            added += changes.iter().filter(is_added).count();
            control.cancel();
        })
        .unwrap();
    assert!(summary.cancelled);
    assert!((1..20).contains(&added), "{added}");
    assert_eq!(world.entries().len(), added);
    world.reopen();
    let (seen, summary) = world.scan();
    assert_eq!(seen.len() + added, 20);
    assert_eq!(summary.hashed, seen.len() as u64);
}

#[test]
fn searching_works_while_hashing_goes_on() {
    let world = World::with(|config| {
        config.commit_every_millis = 0;
        // Half a second's work, however busy the machine is.
        config.scan_bytes_per_second = Some(100 << 20);
    });
    world.share("share");
    for n in 0..6_u8 {
        world.write(&format!("share/{n}"), &vec![n; 9 << 20]);
    }
    let mut seen = 0;
    let mut early = 0;
    let control = ScanControl::new();
    world
        .store()
        .scan(&control, &mut |changes| {
            for change in changes {
                seen += 1;
                let ShareChange::Added(entry) = change else {
                    panic!("{change:?}")
                };
                // What the sink is told can be served at once.
                world.store().open_content(entry.content).unwrap();
                early += usize::from(control.progress().files_hashed < 6);
            }
        })
        .unwrap();
    assert_eq!(seen, 6);
    assert!(
        early > 0,
        "the first file was told before the last was hashed"
    );
}

#[test]
fn a_link_hashes_on_demand() {
    let world = World::new();
    world.share("share");
    let id = world.write("share/f.bin", &big(7));
    let path = world.path("share/f.bin");
    let entry = world.store().link_target(&path).unwrap();
    assert_eq!((entry.content, entry.path.as_str()), (id, "share/f.bin"));
    assert_eq!(world.read(id).unwrap(), big(7));
    assert_eq!(world.scan().1.hashed, 0);
    world.write("outside", b"o");
    for (path, what) in [("outside", "not shared"), ("share/nothing", "cannot read")] {
        let error = world.store().link_target(&world.path(path)).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
