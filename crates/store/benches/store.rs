//! Speed of the store: hashing a folder of large files, re-scanning many small
//! ones, encoding and decoding slices.
//!
//! `cargo bench -p gannet-store [-- DIR [MIB]]`: DIR is where the files are
//! made (default: a temporary directory), MIB the size of each of the four
//! large ones (default 512). If the program `b3sum` is in the path, or named
//! by the variable `B3SUM`, it hashes the same files for comparison.

use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gannet_base::{ContentId, GroupRange, groups_in};
use gannet_store::{ScanControl, ShareChange, Store, StoreConfig};

/// Files of the re-scan.
const SMALL_FILES: usize = 100_000;
/// Groups of a slice, as the swarm asks for them.
const SLICE_GROUPS: u64 = 64;

/// Tells a child process to say how much memory a store at rest takes.
const AT_REST: &str = "GANNET_BENCH_AT_REST";

fn main() {
    if let Some(dir) = std::env::var_os(AT_REST) {
        return at_rest(Path::new(&dir));
    }
    // Cargo passes `--bench`.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let parent = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let mib: usize = arguments
        .next()
        .map_or(512, |mib| mib.parse().expect("MIB is a number"));
    let dir = parent.join(format!("gannet-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("the directory can be made");
    large_files(&dir, mib);
    slices(&dir, mib);
    small_files(&dir);
    // In a process of its own, which has done nothing else.
    let program = std::env::current_exe().expect("this program has a path");
    let child = Command::new(program).env(AT_REST, &dir).status();
    assert!(child.expect("it starts").success());
    fs::remove_dir_all(&dir).expect("the directory can be removed");
}

fn open(dir: &Path, name: &str) -> Store {
    let config = StoreConfig::new(dir.join(name), dir.join("downloads"));
    Store::open(config).expect("the store opens")
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn rate(bytes: u64, time: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / time.as_secs_f64())
}

fn fill(path: &Path, mib: usize, seed: u8) {
    let mut file = fs::File::create(path).expect("the file can be made");
    let mut stream = blake3::Hasher::new().update(&[seed]).finalize_xof();
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..mib {
        stream.fill(&mut bytes);
        file.write_all(&bytes).expect("there is room");
    }
}

/// The best of a few runs: what the machine can do when left alone.
fn best(mut run: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| run()).min().expect("five runs")
}

fn large_files(dir: &Path, mib: usize) {
    let share = dir.join("large");
    fs::create_dir_all(&share).expect("the directory can be made");
    let paths: Vec<_> = (0..4_u8).map(|n| share.join(format!("{n}.bin"))).collect();
    for (n, path) in (0_u8..).zip(&paths) {
        fill(path, mib, n);
    }
    let bytes = (4 * (mib as u64)) << 20;
    let mut run = 0;
    let mut peer = Duration::MAX;
    let ours = best(|| {
        run += 1;
        // Side by side, so that both feel the same neighbours.
        peer = peer.min(b3sum(&paths));
        let store = open(dir, &format!("data-large-{run}"));
        store.add_share(&share, true).expect("it can be shared");
        let start = Instant::now();
        let summary = store
            .scan(&ScanControl::new(), &mut |_| {})
            .expect("the scan works");
        let took = start.elapsed();
        assert_eq!((summary.added, summary.bytes_hashed), (4, bytes));
        took
    });
    say(&format!(
        "hash and outboard of 4 files of {mib} MiB: {}",
        rate(bytes, ours)
    ));
    if peer < Duration::MAX {
        let ratio = peer.as_secs_f64() / ours.as_secs_f64();
        say(&format!(
            "b3sum, same files:                        {} (ours is {ratio:.2} of it)",
            rate(bytes, peer)
        ));
    }
}

/// How long `b3sum` takes; forever if it is not there.
fn b3sum(paths: &[PathBuf]) -> Duration {
    let program = std::env::var_os("B3SUM").unwrap_or_else(|| "b3sum".into());
    let start = Instant::now();
    let status = Command::new(program)
        .args(paths)
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => start.elapsed(),
        _ => Duration::MAX,
    }
}

fn slices(dir: &Path, mib: usize) {
    let store = open(dir, "data-large-1");
    let entry = store
        .entries()
        .expect("the catalogue reads")
        .next()
        .expect("four files");
    let reader = store.open_content(entry.content).expect("it is shared");
    let size = (mib as u64) << 20;
    let slices: Vec<_> = (0..groups_in(size))
        .step_by(64)
        .map(|start| GroupRange::new(start, (start + SLICE_GROUPS).min(groups_in(size))))
        .collect();
    let mut encoded = Vec::new();
    let encode = best(|| {
        let start = Instant::now();
        for slice in &slices {
            encoded.clear();
            reader
                .read_slice(*slice, &mut encoded)
                .expect("it verifies");
            black_box(&encoded);
        }
        start.elapsed()
    });
    say(&format!(
        "read, verify and encode slices of 1 MiB, one thread: {}",
        rate(size, encode)
    ));

    let all: Vec<Vec<u8>> = slices
        .iter()
        .map(|slice| {
            let mut encoded = Vec::new();
            reader
                .read_slice(*slice, &mut encoded)
                .expect("it verifies");
            encoded
        })
        .collect();
    let mut run = 0;
    let decode = best(|| {
        run += 1;
        let store = open(dir, &format!("data-decode-{run}"));
        let download = store
            .create_download(entry.content, "copy")
            .expect("it starts");
        download.set_size(size).expect("there is room");
        let start = Instant::now();
        for (slice, encoded) in slices.iter().zip(&all) {
            download
                .write_slice(size, *slice, encoded)
                .expect("it verifies");
        }
        let took = start.elapsed();
        store.forget_download(entry.content).expect("it is there");
        took
    });
    say(&format!(
        "verify and write slices of 1 MiB, one thread:        {}",
        rate(size, decode)
    ));
    let bytes = fs::read(dir.join("large/0.bin")).expect("it is there");
    let plain = best(|| {
        let start = Instant::now();
        black_box(ContentId::of(&bytes));
        start.elapsed()
    });
    say(&format!(
        "BLAKE3 alone, bytes in memory, one thread:           {}",
        rate(size, plain)
    ));
}

fn small_files(dir: &Path) {
    let share = dir.join("small");
    for folder in 0..SMALL_FILES / 1_000 {
        let folder_path = share.join(format!("folder {folder}"));
        fs::create_dir_all(&folder_path).expect("the directory can be made");
        for file in 0..1_000 {
            let text = format!("file {file} of folder {folder}");
            fs::write(folder_path.join(format!("{file}.txt")), text).expect("there is room");
        }
    }
    let store = open(dir, "data-small");
    store.add_share(&share, true).expect("it can be shared");
    let mut added = 0;
    let start = Instant::now();
    store
        .scan(&ScanControl::new(), &mut |changes| {
            let is_added = |change: &&ShareChange| matches!(change, ShareChange::Added(_));
            added += changes.iter().filter(is_added).count();
        })
        .expect("the scan works");
    say(&format!(
        "first scan of {added} small files: {:.2} s",
        start.elapsed().as_secs_f64()
    ));
    let again = best(|| {
        let start = Instant::now();
        let summary = store
            .scan(&ScanControl::new(), &mut |_| {})
            .expect("the scan works");
        assert_eq!((summary.seen, summary.hashed), (SMALL_FILES as u64, 0));
        start.elapsed()
    });
    say(&format!(
        "scan of the same, unchanged:      {:.2} s",
        again.as_secs_f64()
    ));
    let catalogue =
        fs::metadata(dir.join("data-small/catalogue.redb")).map_or(0, |stat| stat.len());
    say(&format!(
        "catalogue on disk: {} bytes a file",
        catalogue / SMALL_FILES as u64
    ));
    drop(store);
    let start = Instant::now();
    drop(open(dir, "data-small"));
    say(&format!(
        "opening it again: {:.2} s",
        start.elapsed().as_secs_f64()
    ));
}

/// Memory of a process with 10,000 shared files, hashed by an earlier one.
fn at_rest(dir: &Path) {
    let before = resident();
    let store = open(dir, "data-rest");
    let mut shared = store.entries().expect("the catalogue reads").count();
    if shared == 0 {
        for folder in 0..10 {
            let path = dir.join(format!("small/folder {folder}"));
            store.add_share(&path, true).expect("it can be shared");
        }
        store
            .scan(&ScanControl::new(), &mut |changes| shared += changes.len())
            .expect("the scan works");
        drop(store);
        let program = std::env::current_exe().expect("this program has a path");
        let child = Command::new(program).env(AT_REST, dir).status();
        assert!(child.expect("it starts").success());
        return;
    }
    let _watcher = store.watch().expect("the folders can be watched");
    say(&format!(
        "memory at rest, {shared} files shared and watched: {} KiB, {before} KiB of them the bare process",
        resident()
    ));
}

/// Resident memory of this process, KiB; 0 where the system does not say.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
