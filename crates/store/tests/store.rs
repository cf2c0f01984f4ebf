//! The store from outside: opening, whole journeys, and processes that are
//! killed.
// Helpers of tests may fail like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, groups_in};
use gannet_store::{
    Coverage, DownloadError, DownloadState, OpenError, ReadError, ScanControl, ShareChange, Store,
    StoreConfig, StoreEvent,
};

/// Says to a child process which part of a test it plays, and where.
const CHILD: &str = "GANNET_STORE_TEST_DIR";

fn config(dir: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(dir.join("data"), dir.join("downloads"));
    config.threads = 2;
    config
}

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn scan(store: &Store) -> usize {
    let mut changes = 0;
    store
        .scan(&ScanControl::new(), &mut |batch| changes += batch.len())
        .unwrap();
    changes
}

fn slices(size: u64) -> Vec<GroupRange> {
    let groups = groups_in(size);
    let all = (0..groups).step_by(4);
    all.map(|start| GroupRange::new(start, (start + 4).min(groups)))
        .collect()
}

/// A store with one shared file, and another store beside it.
struct Pair {
    _dirs: [tempfile::TempDir; 2],
    source: Store,
    sink: Store,
    sink_dir: PathBuf,
    data: Vec<u8>,
    content: ContentId,
}

impl Pair {
    fn new(size: usize) -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let data = bytes(size, 1);
        let share = dirs[0].path().join("share");
        fs::create_dir(&share).unwrap();
        fs::write(share.join("file.bin"), &data).unwrap();
        let source = Store::open(config(dirs[0].path())).unwrap();
        source.add_share(&share, true).unwrap();
        assert_eq!(scan(&source), 1);
        Self {
            source,
            sink: Store::open(config(dirs[1].path())).unwrap(),
            sink_dir: dirs[1].path().canonicalize().unwrap(),
            content: ContentId::of(&data),
            data,
            _dirs: dirs,
        }
    }

    fn size(&self) -> u64 {
        self.data.len() as u64
    }
}

#[test]
fn a_file_goes_from_store_to_store_and_on_to_a_third() {
    for size in [0, 1, 16_384, 16_385, 1_000_003] {
        let pair = Pair::new(size);
        let reader = pair.source.open_content(pair.content).unwrap();
        assert_eq!(
            (reader.size(), reader.have()),
            (pair.size(), Coverage::Whole)
        );
        let download = pair
            .sink
            .create_download(pair.content, "../../x/CON.bin")
            .unwrap();
        assert!(matches!(
            pair.sink.open_content(pair.content),
            Err(ReadError::NotShared { .. })
        ));
        let mut encoded = Vec::new();
        for slice in slices(pair.size()).into_iter().rev() {
            encoded.clear();
            reader.read_slice(slice, &mut encoded).unwrap();
            download.write_slice(pair.size(), slice, &encoded).unwrap();
            // What has arrived is served at once, and byte for byte the same.
            let partial = pair.sink.open_content(pair.content).unwrap();
            let mut again = Vec::new();
            partial.read_slice(slice, &mut again).unwrap();
            assert_eq!(again, encoded);
            if let Coverage::Groups(have) = partial.have() {
                assert_eq!(have, download.have());
                let lacking = GroupRange::new(0, 1);
                let read = partial.read_slice(lacking, &mut again);
                assert!(matches!(read, Err(ReadError::NotYet { .. })), "{read:?}");
            }
        }
        let early = pair.sink.open_content(pair.content).unwrap();
        let finished = download.finish().unwrap();
        assert_eq!(finished.path, pair.sink_dir.join("downloads/_CON.bin"));
        assert_eq!(finished.entry.path, "downloads/_CON.bin");
        assert_eq!(fs::read(&finished.path).unwrap(), pair.data);
        // It is shared now, without being hashed again.
        let mut data = Vec::new();
        for slice in slices(pair.size()) {
            let shared = pair.sink.open_content(pair.content).unwrap();
            shared.read_data(slice, &mut data).unwrap();
        }
        assert_eq!(data, pair.data);
        assert!(
            early
                .read_slice(GroupRange::new(0, 1), &mut Vec::new())
                .is_ok()
        );
        assert_eq!(
            pair.sink.entries().unwrap().collect::<Vec<_>>(),
            [finished.entry]
        );
        assert_eq!(scan(&pair.sink), 0);
        let records = pair.sink.downloads().unwrap();
        assert_eq!(
            records[0].state,
            DownloadState::Finished {
                path: finished.path.clone()
            }
        );
        pair.sink.forget_download(pair.content).unwrap();
        assert!(pair.sink.downloads().unwrap().is_empty());
        assert!(finished.path.exists());
        fs::remove_file(&finished.path).unwrap();
        assert_eq!(scan(&pair.sink), 1);
        assert_eq!(pair.sink.entries().unwrap().count(), 0);
    }
}

#[test]
fn downloads_are_remembered_and_can_be_cancelled() {
    let mut pair = Pair::new(500_000);
    let reader = pair.source.open_content(pair.content).unwrap();
    let last = *slices(pair.size()).last().unwrap();
    let mut encoded = Vec::new();
    reader.read_slice(last, &mut encoded).unwrap();
    let download = pair.sink.create_download(pair.content, "x.bin").unwrap();
    download.write_slice(pair.size(), last, &encoded).unwrap();
    download.set_paused(true).unwrap();
    download.checkpoint().unwrap();
    let peer = format!("{}@127.0.0.1:5", "ab".repeat(32)).parse().unwrap();
    download.remember(&[peer], 3).unwrap();
    let record = download.record();
    drop(download);
    let elsewhere = Store::open(config(&pair.sink_dir.join("other"))).unwrap();
    pair.sink = elsewhere;
    let again = Store::open(config(&pair.sink_dir)).unwrap();
    assert_eq!(again.downloads().unwrap(), std::slice::from_ref(&record));
    assert_eq!(
        (record.state, record.sources.len()),
        (DownloadState::Paused, 1)
    );
    assert_eq!(record.have, GroupSet::from(last));
    let resumed = again.download(pair.content).unwrap();
    assert_eq!(
        (resumed.size(), resumed.have()),
        (Some(pair.size()), last.into())
    );
    let part = pair
        .sink_dir
        .join(format!("downloads/.gannet-partial/{}.part", pair.content));
    assert_eq!(fs::metadata(&part).unwrap().len(), pair.size());
    again.forget_download(pair.content).unwrap();
    assert!(!part.exists());
    let gone = again.download(pair.content).unwrap_err();
    assert!(matches!(gone, DownloadError::Unknown { .. }), "{gone}");
}

#[test]
fn nothing_is_written_outside_and_nothing_is_replaced() {
    let pair = Pair::new(20_000);
    let downloads = pair.sink_dir.join("downloads");
    fs::create_dir_all(&downloads).unwrap();
    let canary = pair.sink_dir.join("canary");
    fs::write(&canary, b"canary").unwrap();
    // A link where the file would go: it must not be written through.
    std::os::unix::fs::symlink(&canary, downloads.join("canary")).unwrap();
    let reader = pair.source.open_content(pair.content).unwrap();
    let mut encoded = Vec::new();
    reader
        .read_slice(GroupRange::whole(pair.size()), &mut encoded)
        .unwrap();
    for (name, expected) in [
        ("../canary", "canary (2)"),
        ("/etc/passwd", "passwd"),
        ("canary", "canary (3)"),
        (".bashrc", "_bashrc"),
    ] {
        let download = pair.sink.create_download(pair.content, name).unwrap();
        download
            .write_slice(pair.size(), GroupRange::whole(pair.size()), &encoded)
            .unwrap();
        assert_eq!(download.finish().unwrap().path, downloads.join(expected));
    }
    assert_eq!(fs::read(&canary).unwrap(), b"canary");
    let mut outside: Vec<_> = fs::read_dir(&pair.sink_dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    outside.sort();
    assert_eq!(outside, ["canary", "data", "downloads"]);
}

#[test]
fn a_data_directory_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path())).unwrap();
    let second = Store::open(config(dir.path())).unwrap_err();
    assert!(
        matches!(second, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{second}"
    );
    drop(store);
    // A change of it needs a step in `upgrade`.
    let stamp = dir.path().join("data/version");
    assert_eq!(fs::read_to_string(&stamp).unwrap(), "gannet-store 2\n");
    fs::write(&stamp, "gannet-store 3\n").unwrap();
    let newer = Store::open(config(dir.path())).unwrap_err();
    assert!(
        matches!(
            newer,
            OpenError::NewerVersion {
                found: 3,
                known: 2,
                ..
            }
        ),
        "{newer}"
    );
    for nonsense in [
        "",
        "gannet-store x\n",
        "something else\n",
        "gannet-store 0\n",
    ] {
        fs::write(&stamp, nonsense).unwrap();
        let refused = Store::open(config(dir.path())).unwrap_err();
        assert!(
            matches!(refused, OpenError::Stamp { .. }),
            "{nonsense:?}: {refused}"
        );
    }
    let mut unusable = config(dir.path());
    fs::write(dir.path().join("file"), b"").unwrap();
    unusable.data_dir = dir.path().join("file/data");
    let refused = Store::open(unusable).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
}

#[test]
fn a_watched_folder_tells_and_the_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().canonicalize().unwrap().join("share");
    fs::create_dir(&share).unwrap();
    let store = Store::open(config(dir.path())).unwrap();
    store.add_share(&share, true).unwrap();
    let (sender, events) = mpsc::channel();
    store.listen(move |event| drop(sender.send(event)));
    let _watcher = store.watch().unwrap();
    fs::create_dir(share.join("sub")).unwrap();
    fs::write(share.join("sub/new.txt"), b"new").unwrap();
    let mut found = Vec::new();
    while found.is_empty() {
        let event = events
            .recv_timeout(Duration::from_secs(60))
            .expect("it is told");
        let StoreEvent::Dirty(paths) = event else {
            panic!("{event:?}")
        };
        let control = ScanControl::new();
        let mut sink = |changes: Vec<ShareChange>| found.extend(changes);
        store.scan_paths(&paths, &control, &mut sink).unwrap();
    }
    assert!(
        matches!(&found[..], [ShareChange::Added(entry)] if entry.path == "share/sub/new.txt"),
        "{found:?}"
    );
}

/// Runs this test in a child process, and kills it when it has said `lines`
/// lines.
fn kill_after(test: &str, dir: &Path, lines: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let counted = said
        .map_while(Result::ok)
        .filter(|line| line.starts_with("step"));
    let count = counted.take(lines).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count, lines, "the child said less than expected");
}

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

fn step(n: u64) {
    let mut out = std::io::stdout();
    writeln!(out, "step {n}").unwrap();
    out.flush().unwrap();
}

#[test]
fn a_scan_that_is_killed_keeps_what_it_had_told() {
    if let Some(dir) = child_dir() {
        let mut config = config(&dir);
        config.commit_every_millis = 0;
        let store = Store::open(config).unwrap();
        let mut told = 0;
        store
            .scan(&ScanControl::new(), &mut |changes| {
                for _ in changes {
                    told += 1;
                    step(told);
                }
            })
            .unwrap();
        // The parent kills; it must not run out of lines.
        (0..1_000).for_each(step);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().join("share");
    fs::create_dir(&share).unwrap();
    for n in 0..60_u8 {
        fs::write(share.join(format!("{n:02}")), bytes(300_000, n)).unwrap();
    }
    drop({
        let store = Store::open(config(dir.path())).unwrap();
        store.add_share(&share, true).unwrap();
        store
    });
    for round in 1..=8 {
        kill_after(
            "a_scan_that_is_killed_keeps_what_it_had_told",
            dir.path(),
            round * 3,
        );
        let store = Store::open(config(dir.path())).unwrap();
        assert!(store.warnings().is_empty(), "{:?}", store.warnings());
        let entries: Vec<_> = store.entries().unwrap().collect();
        assert!(
            entries.len() >= round.min(1),
            "round {round}: {}",
            entries.len()
        );
        // Every table agrees with the files.
        for entry in &entries {
            let reader = store.open_content(entry.content).unwrap();
            let mut data = Vec::new();
            reader
                .read_data(GroupRange::whole(reader.size()), &mut data)
                .unwrap();
            assert_eq!(ContentId::of(&data), entry.content);
        }
        let info = &store.shares().unwrap()[0];
        assert_eq!(info.files, entries.len() as u64);
    }
    let store = Store::open(config(dir.path())).unwrap();
    let before = store.entries().unwrap().count();
    let summary = store.scan(&ScanControl::new(), &mut |_| {}).unwrap();
    assert_eq!(
        before as u64 + summary.hashed,
        60,
        "what was told is not hashed again"
    );
}

/// Fetches what is missing, with a checkpoint and a line after each slice.
fn fetch_step_by_step(dir: &Path, content: ContentId, size: u64) {
    let source = Store::open(config(&dir.join("source"))).unwrap();
    let reader = source.open_content(content).unwrap();
    let sink = Store::open(config(&dir.join("sink"))).unwrap();
    let download = sink.create_download(content, "x.bin").unwrap();
    let missing = GroupSet::whole(size).difference(&download.have());
    let mut encoded = Vec::new();
    for slice in slices(size).into_iter().rev() {
        if missing.intersection(&slice.into()).is_empty() {
            continue;
        }
        encoded.clear();
        reader.read_slice(slice, &mut encoded).unwrap();
        download.write_slice(size, slice, &encoded).unwrap();
        download.checkpoint().unwrap();
        step(slice.start);
    }
    (0..1_000).for_each(step);
}

#[test]
fn a_download_that_is_killed_keeps_every_checkpoint() {
    const SIZE: usize = 4_000_000;
    let data = bytes(SIZE, 9);
    let content = ContentId::of(&data);
    let size = SIZE as u64;
    if let Some(dir) = child_dir() {
        return fetch_step_by_step(&dir, content, size);
    }
    let dir = tempfile::tempdir().unwrap();
    let share = dir.path().join("share");
    fs::create_dir(&share).unwrap();
    fs::write(share.join("x"), &data).unwrap();
    fs::create_dir(dir.path().join("source")).unwrap();
    drop({
        let source = Store::open(config(&dir.path().join("source"))).unwrap();
        source.add_share(&share, true).unwrap();
        scan(&source);
        source
    });
    let sink = config(&dir.path().join("sink"));
    let mut checkpoints = 0;
    for round in 1..=6 {
        kill_after(
            "a_download_that_is_killed_keeps_every_checkpoint",
            dir.path(),
            round,
        );
        checkpoints += round as u64;
        let store = Store::open(sink.clone()).unwrap();
        let download = store.download(content).unwrap();
        let have = download.have();
        assert!(
            have.len() >= 4 * (checkpoints - 1),
            "round {round}: {have:?}"
        );
        let reader = store.open_content(content).unwrap();
        for run in have.runs() {
            let mut bytes = Vec::new();
            reader.read_data(*run, &mut bytes).unwrap();
            let start = usize::try_from(run.start * GROUP_BYTES).unwrap();
            assert_eq!(bytes, data[start..start + bytes.len()]);
        }
    }
    let source = Store::open(config(&dir.path().join("source"))).unwrap();
    let reader = source.open_content(content).unwrap();
    let store = Store::open(sink).unwrap();
    let download = store.download(content).unwrap();
    let missing = GroupSet::whole(size).difference(&download.have());
    for slice in slices(size) {
        if !missing.intersection(&slice.into()).is_empty() {
            let mut encoded = Vec::new();
            reader.read_slice(slice, &mut encoded).unwrap();
            download.write_slice(size, slice, &encoded).unwrap();
        }
    }
    assert_eq!(fs::read(download.finish().unwrap().path).unwrap(), data);
}

#[test]
fn a_part_is_kept_apart_from_downloads_and_takes_only_its_room() {
    use std::os::unix::fs::MetadataExt as _;
    let mut pair = Pair::new(40_000_000);
    let size = pair.data.len() as u64;
    let last = groups_in(size) - 1;
    let part: GroupSet = [
        GroupRange::new(1_024, 2_048),
        GroupRange::new(last, last + 1),
    ]
    .into_iter()
    .collect();
    let reader = pair.source.open_content(pair.content).unwrap();
    let kept = pair.sink.keep_part(pair.content).unwrap();
    kept.copy_from(&reader, &part).unwrap();
    assert_eq!((kept.have(), kept.size()), (part.clone(), Some(size)));
    // A download of the same content knows nothing of it.
    let download = pair.sink.create_download(pair.content, "film").unwrap();
    assert!(download.have().is_empty());
    drop(download);

    // Another run: it is there, is served, and takes little room.
    drop(kept);
    pair.sink = {
        let other = tempfile::tempdir().unwrap();
        drop(std::mem::replace(
            &mut pair.sink,
            Store::open(config(other.path())).unwrap(),
        ));
        Store::open(config(&pair.sink_dir)).unwrap()
    };
    let records = pair.sink.kept_parts().unwrap();
    assert_eq!((records.len(), &records[0].have), (1, &part));
    let served = pair.sink.open_content(pair.content).unwrap();
    assert_eq!(served.have(), Coverage::Groups(part.clone()));
    let mut bytes = Vec::new();
    served
        .read_data(GroupRange::new(1_030, 1_032), &mut bytes)
        .unwrap();
    let start = usize::try_from(1_030 * GROUP_BYTES).unwrap();
    assert_eq!(bytes, pair.data[start..start + bytes.len()]);
    let path = pair
        .sink_dir
        .join("data/kept/.gannet-partial")
        .join(format!("{}.part", pair.content));
    let taken = || fs::metadata(&path).unwrap().blocks() * 512;
    let before = taken();
    assert!(before < size * 3 / 4, "{before} of {size} bytes are taken");

    // Some of it goes, then all.
    let some = GroupSet::from(GroupRange::new(1_024, 1_500));
    let rest = part.difference(&some);
    pair.sink.retain_part(pair.content, &rest).unwrap();
    assert_eq!(
        pair.sink.open_part(pair.content).unwrap().have(),
        Coverage::Groups(rest)
    );
    assert!(taken() < before, "room was given back");
    let error = served
        .read_data(GroupRange::new(1_024, 1_025), &mut bytes)
        .unwrap_err();
    assert!(matches!(error, ReadError::NotYet { .. }), "{error}");
    served
        .read_data(GroupRange::new(1_500, 1_501), &mut bytes)
        .unwrap();
    let none = GroupSet::new();
    pair.sink.retain_part(pair.content, &none).unwrap();
    assert_eq!(pair.sink.kept_parts().unwrap(), []);
    assert!(!path.exists());
    let error = pair.sink.retain_part(pair.content, &none).unwrap_err();
    assert!(matches!(error, DownloadError::Unknown { .. }), "{error}");
}
