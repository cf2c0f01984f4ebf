//! The scanner: a thread of its own that reads the catalogue, looks through the
//! shares, hashes what is new and signs what is registered with others.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;

use ed25519_dalek::SigningKey;
use gannet_base::{FileEntry, Publication, WallTime};
use gannet_store::{ScanControl, ScanError, ScanSummary, ShareChange, Store};
use tokio::sync::mpsc;

use crate::api::ScanProgress;
use crate::clock::wall_time;
use crate::report::SharedChange;

/// Orders waiting for the scanner: beyond, one scan of everything stands for
/// all of them.
const ORDERS_MAX: usize = 64;
/// Findings waiting for the driver; the scanner waits before it has more.
pub(crate) const FINDINGS_MAX: usize = 4;
/// Files in one finding.
// Measured: two milliseconds of the driver's time.
const FILES_AT_ONCE: usize = 1_024;

/// What the scanner is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Report everything that the catalogue has, not signed.
    Load,
    /// Sign what the catalogue has, as much of it as anybody takes.
    Sign,
    /// Look through all shares.
    Scan,
    /// Look only at these.
    ScanPaths(Vec<PathBuf>),
}

/// What the scanner tells the driver, many files at a time and in order.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The catalogue has these.
    Loaded(Vec<FileEntry>),
    /// That was all that it has.
    LoadEnd,
    /// Files that were there before are signed anew.
    Signed(Vec<Publication>),
    /// What is shared changed.
    Changed(Vec<SharedChange>),
    /// A scan of everything is over.
    Scanned(Result<ScanSummary, ScanError>),
}

/// A life for publications: hubs drop what has expired, so they are signed anew
/// when half of it is over.
pub(crate) fn sign(entry: FileEntry, key: &SigningKey) -> Publication {
    sign_at(wall_time(), entry, key)
}

/// As [`sign`], at this time.
pub(crate) fn sign_at(now: WallTime, entry: FileEntry, key: &SigningKey) -> Publication {
    Publication::sign(entry, now.plus_seconds(Publication::LIFE_SECONDS_MAX), key)
}

/// Changes of the shares as the driver hears of them, what is new signed.
pub(crate) fn signed(changes: Vec<ShareChange>, key: &SigningKey) -> Vec<SharedChange> {
    let signed = changes.into_iter().map(|change| match change {
        ShareChange::Added(entry) => SharedChange::Published(Box::new(sign(entry, key))),
        ShareChange::Removed { content, path } => SharedChange::Withdrawn(content, path),
    });
    signed.collect()
}

/// The driver's hold on the scanner. Dropping it stops the thread soon, without
/// waiting.
#[derive(Debug)]
pub(crate) struct Scanner {
    orders: Option<blocking::SyncSender<Order>>,
    current: Arc<Mutex<Option<Arc<ScanControl>>>>,
    /// Scans of everything that were ordered and are not over.
    scans: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Scanner {
    /// Starts the thread. It signs no more than `signed_max` files: what the
    /// overlay with most room takes.
    pub(crate) fn start(
        store: Store,
        key: SigningKey,
        signed_max: usize,
        findings: mpsc::Sender<Finding>,
    ) -> Self {
        let (orders, queue) = blocking::sync_channel(ORDERS_MAX);
        let current = Arc::new(Mutex::new(None));
        let scans = Arc::new(AtomicUsize::new(0));
        let (shared, counted) = (Arc::clone(&current), Arc::clone(&scans));
        let thread = std::thread::Builder::new()
            .name("gannet-scanner".to_owned())
            .spawn(move || {
                let mut work = Work {
                    store,
                    key,
                    signed: 0,
                    signed_max,
                    findings,
                    current: shared,
                    scans: counted,
                };
                while let Ok(order) = queue.recv() {
                    work.perform(order);
                }
            })
            .ok();
        Self {
            orders: Some(orders),
            current,
            scans,
            thread,
        }
    }

    /// Queues an order. When too many wait, it is dropped: one of the waiting
    /// ones is then as good, because the driver asks for a full scan after
    /// losing track.
    #[must_use]
    pub(crate) fn order(&self, order: Order) -> bool {
        let Some(orders) = &self.orders else {
            return false;
        };
        let is_scan = matches!(order, Order::Scan);
        if is_scan {
            self.scans.fetch_add(1, Ordering::Relaxed);
        }
        let is_queued = orders.try_send(order).is_ok();
        if is_scan && !is_queued {
            self.scans.fetch_sub(1, Ordering::Relaxed);
        }
        is_queued
    }

    /// How far the scan is that runs now, or is about to.
    pub(crate) fn progress(&self) -> Option<ScanProgress> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(control) = &*current else {
            let is_due = self.scans.load(Ordering::Relaxed) > 0;
            return is_due.then(ScanProgress::default);
        };
        let progress = control.progress();
        Some(ScanProgress {
            files_seen: progress.files_seen,
            files_hashed: progress.files_hashed,
            bytes_hashed: progress.bytes_hashed,
            bytes_left: progress.bytes_to_hash.saturating_sub(progress.bytes_hashed),
        })
    }

    /// Ends the running scan soon and the thread after it; what is hashed is
    /// kept. To be waited for off the driver's task.
    pub(crate) fn stop(&mut self) -> Option<JoinHandle<()>> {
        self.orders = None;
        if let Some(control) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            control.cancel();
        }
        self.thread.take()
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

struct Work {
    store: Store,
    key: SigningKey,
    /// How many files were signed since all were last gone through.
    signed: usize,
    signed_max: usize,
    findings: mpsc::Sender<Finding>,
    current: Arc<Mutex<Option<Arc<ScanControl>>>>,
    scans: Arc<AtomicUsize>,
}

impl Work {
    fn perform(&mut self, order: Order) {
        match order {
            Order::Load => {
                self.go_through(usize::MAX, |files, _| Finding::Loaded(files));
                self.tell(Finding::LoadEnd);
            }
            Order::Sign => {
                self.signed = self.go_through(self.signed_max, |files, key| {
                    let signed = files.into_iter().map(|file| sign(file, key));
                    Finding::Signed(signed.collect())
                });
            }
            Order::Scan => {
                let summary = self.under_control(|store, control, sink| store.scan(control, sink));
                self.tell(Finding::Scanned(summary));
                self.scans.fetch_sub(1, Ordering::Relaxed);
            }
            Order::ScanPaths(paths) => {
                let summary = self
                    .under_control(|store, control, sink| store.scan_paths(&paths, control, sink));
                if let Err(error) = summary {
                    tracing::warn!(%error, "changed files could not be looked at");
                }
            }
        }
    }

    /// Whether there is still somebody to tell.
    fn tell(&self, finding: Finding) -> bool {
        self.findings.blocking_send(finding).is_ok()
    }

    /// Reports the first `max` files that the catalogue has. How many they were.
    fn go_through(
        &self,
        max: usize,
        finding: impl Fn(Vec<FileEntry>, &SigningKey) -> Finding,
    ) -> usize {
        let mut entries = match self.store.entries() {
            Ok(entries) => entries.take(max),
            Err(error) => {
                tracing::error!(%error, "the catalogue cannot be read");
                return 0;
            }
        };
        let mut count = 0;
        loop {
            let files: Vec<FileEntry> = entries.by_ref().take(FILES_AT_ONCE).collect();
            count += files.len();
            if files.is_empty() || !self.tell(finding(files, &self.key)) {
                return count;
            }
        }
    }

    fn under_control<T>(
        &mut self,
        scan: impl FnOnce(&Store, &ScanControl, &mut dyn FnMut(Vec<ShareChange>)) -> T,
    ) -> T {
        let control = Arc::new(ScanControl::new());
        let current = Arc::clone(&self.current);
        let hold = |value| *current.lock().unwrap_or_else(PoisonError::into_inner) = value;
        hold(Some(Arc::clone(&control)));
        let store = self.store.clone();
        let result = scan(&store, &control, &mut |changes| {
            let changes = changes.into_iter().map(|change| self.shared(change));
            let finding = Finding::Changed(changes.collect());
            self.tell(finding);
        });
        hold(None);
        result
    }

    /// A change as others are told of it: signed, unless there are more than
    /// anybody takes.
    fn shared(&mut self, change: ShareChange) -> SharedChange {
        match change {
            ShareChange::Added(entry) if self.signed < self.signed_max => {
                self.signed += 1;
                SharedChange::Published(Box::new(sign(entry, &self.key)))
            }
            ShareChange::Added(entry) => SharedChange::Found(Box::new(entry)),
            ShareChange::Removed { content, path } => SharedChange::Withdrawn(content, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gannet_store::StoreConfig;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
        scanner: Scanner,
        findings: mpsc::Receiver<Finding>,
    }

    impl World {
        fn start(dir: tempfile::TempDir, signed_max: usize) -> Self {
            let (data, downloads) = (dir.path().join("data"), dir.path().join("downloads"));
            let store = Store::open(StoreConfig::new(data, downloads)).unwrap();
            let shared = dir.path().join("shared");
            std::fs::create_dir_all(&shared).unwrap();
            // Shared already at a later start.
            let _ = store.add_share(&shared, true);
            let (sender, findings) = mpsc::channel(FINDINGS_MAX);
            let key = SigningKey::from_bytes(&[3; 32]);
            Self {
                dir,
                scanner: Scanner::start(store, key, signed_max, sender),
                findings,
            }
        }

        fn write(&self, name: &str) {
            std::fs::write(self.dir.path().join("shared").join(name), name).unwrap();
        }

        fn next(&mut self) -> Finding {
            self.findings.blocking_recv().expect("the scanner lives")
        }

        /// What a scan changes, as `+path` (signed), `~path` and `-path`.
        fn scan(&mut self) -> Vec<String> {
            assert!(self.scanner.order(Order::Scan));
            let is_due = self.scanner.progress().is_some();
            assert!(is_due || !self.findings.is_empty(), "it is due, or over");
            let mut seen = Vec::new();
            loop {
                match self.next() {
                    Finding::Changed(changes) => seen.extend(changes.iter().map(words)),
                    Finding::Scanned(summary) => {
                        summary.unwrap();
                        seen.sort();
                        return seen;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }

        /// As after the end of the process.
        fn restart(mut self, signed_max: usize) -> Self {
            self.scanner.stop().unwrap().join().unwrap();
            let Self { dir, .. } = self;
            Self::start(dir, signed_max)
        }
    }

    fn words(change: &SharedChange) -> String {
        match change {
            SharedChange::Published(one) => {
                assert_eq!(one.verify(wall_time()), Ok(()));
                format!("+{}", one.entry.path)
            }
            SharedChange::Found(entry) => format!("~{}", entry.path),
            SharedChange::Withdrawn(_, path) => format!("-{path}"),
        }
    }

    #[test]
    fn what_was_shared_before_comes_first_whole_and_in_order() {
        let mut world = World::start(tempfile::tempdir().unwrap(), usize::MAX);
        let count = FILES_AT_ONCE + 7;
        (0..count).for_each(|n| world.write(&format!("{n:05}")));
        assert_eq!(world.scan().len(), count);
        let mut world = world.restart(FILES_AT_ONCE + 1);
        std::fs::remove_file(world.dir.path().join("shared/00003")).unwrap();
        world.write("new");
        assert!(world.scanner.order(Order::Load));
        assert!(world.scanner.order(Order::Sign));
        let mut loaded = Vec::new();
        loop {
            match world.next() {
                Finding::Loaded(files) => loaded.extend(files),
                Finding::LoadEnd => break,
                other => panic!("{other:?}"),
            }
        }
        let paths: Vec<_> = loaded.iter().map(|entry| entry.path.clone()).collect();
        let expected: Vec<_> = (0..count).map(|n| format!("shared/{n:05}")).collect();
        assert_eq!(paths, expected);
        let mut signed = Vec::new();
        while signed.len() <= FILES_AT_ONCE {
            match world.next() {
                Finding::Signed(publications) => signed.extend(publications),
                other => panic!("{other:?}"),
            }
        }
        let entries: Vec<_> = signed.iter().map(|one| one.entry.clone()).collect();
        assert_eq!(entries, loaded[..=FILES_AT_ONCE], "no more than are taken");
        assert_eq!(signed[0].verify(wall_time()), Ok(()));
        // Nobody takes the new one: it is not signed.
        assert_eq!(world.scan(), ["-shared/00003", "~shared/new"]);
    }

    #[test]
    fn only_so_many_are_signed() {
        let mut world = World::start(tempfile::tempdir().unwrap(), 1);
        world.write("a");
        assert_eq!(world.scan(), ["+shared/a"]);
        world.write("b");
        assert_eq!(world.scan(), ["~shared/b"]);
        assert!(
            world
                .scanner
                .order(Order::ScanPaths(vec![Path::new("/nowhere").to_owned()]))
        );
        assert_eq!(world.scan(), Vec::<String>::new());
    }
}
