//! Watching shares: telling soon that something may have changed. What really
//! changed is for the scan to find out, so events may be merged, coarse, or
//! wrong, and only a lost one costs anything (a wait until the next full scan).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode};

use crate::{StoreEvent, WatchError};

/// How long it must be quiet before changes are told: a file that is being
/// written is not worth hashing yet.
// Guess: longer than the pause between two writes, shorter than patience.
const QUIET: Duration = Duration::from_millis(500);
/// Longest wait for quiet.
// Guess: a folder that never rests is looked at all the same.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Most paths that are kept track of.
// Guess: beyond it, walking everything is as cheap.
const PATHS_MAX: usize = 4_096;

/// Watches the shares until it is dropped.
pub struct Watcher {
    /// Dropped first: that ends the thread.
    inner: Option<RecommendedWatcher>,
    thread: Option<JoinHandle<()>>,
    problems: Vec<String>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl Watcher {
    pub(crate) fn new(
        roots: Vec<PathBuf>,
        tell: impl Fn(StoreEvent) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let failed = |path: PathBuf| {
            move |error: notify::Error| match error.kind {
                ErrorKind::MaxFilesWatch => WatchError::TooMany,
                _ => WatchError::Failed {
                    path,
                    reason: error.to_string(),
                },
            }
        };
        let (sender, receiver) = channel();
        let config = Config::default().with_follow_symlinks(false);
        let mut inner: RecommendedWatcher = notify::Watcher::new(
            // The thread is gone only when the watcher is.
            move |event| drop(sender.send(event)),
            config,
        )
        .map_err(failed(PathBuf::new()))?;
        let mut problems = Vec::new();
        for root in roots {
            let watched = notify::Watcher::watch(&mut inner, &root, RecursiveMode::Recursive);
            match watched.map_err(failed(root)) {
                Ok(()) => {}
                Err(WatchError::TooMany) => return Err(WatchError::TooMany),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || debounce(&receiver, &tell))
            .map_err(|error| WatchError::Failed {
                path: PathBuf::new(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            inner: Some(inner),
            thread: Some(thread),
            problems,
        })
    }

    /// Shares that could not be watched whole, in words; they are still
    /// scanned when asked.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.inner.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Collects what happens and tells it when it is quiet.
fn debounce(events: &Receiver<notify::Result<Event>>, tell: &dyn Fn(StoreEvent)) {
    while let Ok(first) = events.recv() {
        let mut dirty = Dirty::default();
        dirty.add(first);
        let started = Instant::now();
        let ended = loop {
            let wait = QUIET.min(WAIT_MAX.saturating_sub(started.elapsed()));
            match events.recv_timeout(wait) {
                Ok(event) if started.elapsed() < WAIT_MAX => dirty.add(event),
                Ok(event) => {
                    dirty.add(event);
                    break false;
                }
                Err(RecvTimeoutError::Timeout) => break false,
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        if let Some(event) = dirty.event() {
            tell(event);
        }
        if ended {
            return;
        }
    }
}

#[derive(Debug, Default)]
struct Dirty {
    paths: BTreeSet<PathBuf>,
    all: bool,
}

impl Dirty {
    fn add(&mut self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "watching");
                self.all = true;
                return;
            }
        };
        self.all |= event.need_rescan();
        let written = AccessKind::Close(AccessMode::Write);
        match event.kind {
            EventKind::Access(access) if access != written => return,
            _ => {}
        }
        self.paths.extend(event.paths);
        if self.paths.len() > PATHS_MAX {
            self.all = true;
            self.paths.clear();
        }
    }

    fn event(self) -> Option<StoreEvent> {
        if self.all {
            return Some(StoreEvent::AllDirty);
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        // In this order a folder comes before what is in it.
        for path in self.paths {
            if !paths.iter().any(|above| path.starts_with(above)) {
                paths.push(path);
            }
        }
        (!paths.is_empty()).then_some(StoreEvent::Dirty(paths))
    }
}

#[cfg(test)]
mod tests {

    use notify::event::{CreateKind, Flag};

    use super::*;

    fn created(path: &str) -> notify::Result<Event> {
        Ok(Event::new(EventKind::Create(CreateKind::Any)).add_path(PathBuf::from(path)))
    }

    #[test]
    fn what_lies_in_a_dirty_folder_is_not_told_apart() {
        let mut dirty = Dirty::default();
        for path in ["/a/b/c", "/a/b", "/a/bc", "/a/b/d/e"] {
            dirty.add(created(path));
        }
        let read = EventKind::Access(AccessKind::Read);
        dirty.add(Ok(Event::new(read).add_path(PathBuf::from("/z"))));
        let paths = ["/a/b", "/a/bc"].map(PathBuf::from).to_vec();
        assert_eq!(dirty.event(), Some(StoreEvent::Dirty(paths)));
        assert_eq!(Dirty::default().event(), None);
    }

    #[test]
    fn too_much_and_lost_events_make_everything_dirty() {
        let mut many = Dirty::default();
        (0..5_000).for_each(|n| many.add(created(&format!("/{n}"))));
        assert_eq!(many.event(), Some(StoreEvent::AllDirty));
        let mut lost = Dirty::default();
        lost.add(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert_eq!(lost.event(), Some(StoreEvent::AllDirty));
    }

    #[test]
    fn a_new_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (sender, receiver) = channel();
        let watcher = Watcher::new(vec![dir.path().to_owned()], move |event| {
            drop(sender.send(event));
        })
        .unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), b"x").unwrap();
        let told = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        let sub = dir.path().join("sub");
        assert!(
            matches!(&told, StoreEvent::Dirty(paths) if paths.iter().any(|path| sub.starts_with(path))),
            "{told:?}"
        );
        drop(watcher);
        assert!(receiver.recv_timeout(Duration::from_secs(30)).is_err());
    }
}
