//! The scanner: a thread of its own that looks through the shares, hashes what
//! is new and signs what is shared.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread::JoinHandle;

use ed25519_dalek::SigningKey;
use gannet_base::{FileEntry, Publication};
use gannet_store::{ScanControl, ShareChange, Store};
use tokio::sync::mpsc;

use crate::api::ScanProgress;
use crate::clock::wall_time;
use crate::report::{Report, SharedChange};

/// Orders waiting for the scanner: beyond, one scan of everything stands for
/// all of them.
const ORDERS_MAX: usize = 64;

/// What the scanner is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Sign and report everything that the catalogue has.
    Publish,
    /// Look through all shares.
    Scan,
    /// Look only at these.
    ScanPaths(Vec<PathBuf>),
}

/// A life for publications: hubs drop what has expired, so they are signed anew
/// when half of it is over.
pub(crate) fn sign(entry: FileEntry, key: &SigningKey) -> Publication {
    Publication::sign(
        entry,
        wall_time().plus_seconds(Publication::LIFE_SECONDS_MAX),
        key,
    )
}

/// A change of the shares as the driver hears of it.
pub(crate) fn signed(change: ShareChange, key: &SigningKey) -> SharedChange {
    match change {
        ShareChange::Added(entry) => SharedChange::Published(Box::new(sign(entry, key))),
        ShareChange::Removed { content, path } => SharedChange::Withdrawn(content, path),
    }
}

/// The driver's hold on the scanner. Dropping it stops the thread soon, without
/// waiting.
#[derive(Debug)]
pub(crate) struct Scanner {
    orders: Option<blocking::SyncSender<Order>>,
    current: Arc<Mutex<Option<Arc<ScanControl>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Scanner {
    pub(crate) fn start(store: Store, key: SigningKey, reports: mpsc::Sender<Report>) -> Self {
        let (orders, queue) = blocking::sync_channel(ORDERS_MAX);
        let current = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&current);
        let thread = std::thread::Builder::new()
            .name("gannet-scanner".to_owned())
            .spawn(move || {
                let work = Work {
                    store,
                    key,
                    reports,
                    current: shared,
                };
                while let Ok(order) = queue.recv() {
                    work.perform(order);
                }
            })
            .ok();
        Self {
            orders: Some(orders),
            current,
            thread,
        }
    }

    /// Queues an order. When too many wait, it is dropped: one of the waiting
    /// ones is then as good, because the driver asks for a full scan after
    /// losing track.
    #[must_use]
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders
            .as_ref()
            .is_some_and(|orders| orders.try_send(order).is_ok())
    }

    /// How far the scan is that runs now.
    pub(crate) fn progress(&self) -> Option<ScanProgress> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = current.as_ref()?.progress();
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
    reports: mpsc::Sender<Report>,
    current: Arc<Mutex<Option<Arc<ScanControl>>>>,
}

impl Work {
    fn perform(&self, order: Order) {
        match order {
            Order::Publish => match self.store.entries() {
                Ok(entries) => {
                    for entry in entries {
                        self.report(Report::Share(SharedChange::Published(Box::new(sign(
                            entry, &self.key,
                        )))));
                    }
                }
                Err(error) => tracing::error!(%error, "the catalogue cannot be read"),
            },
            Order::Scan => {
                let summary = self.under_control(|control, sink| self.store.scan(control, sink));
                self.report(Report::Scanned(summary));
            }
            Order::ScanPaths(paths) => {
                let summary = self
                    .under_control(|control, sink| self.store.scan_paths(&paths, control, sink));
                if let Err(error) = summary {
                    tracing::warn!(%error, "changed files could not be looked at");
                }
            }
        }
    }

    fn report(&self, report: Report) {
        // The driver is gone only when everything is.
        let _ = self.reports.blocking_send(report);
    }

    fn under_control<T>(
        &self,
        scan: impl FnOnce(&ScanControl, &mut dyn FnMut(ShareChange)) -> T,
    ) -> T {
        let control = Arc::new(ScanControl::new());
        let hold = |value| *self.current.lock().unwrap_or_else(PoisonError::into_inner) = value;
        hold(Some(Arc::clone(&control)));
        let result = scan(&control, &mut |change| {
            self.report(Report::Share(signed(change, &self.key)));
        });
        hold(None);
        result
    }
}
