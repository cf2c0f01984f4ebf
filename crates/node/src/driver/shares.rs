//! What is shared: adding, removing, noticing changes, links.

use std::path::{Path, PathBuf};

use gannet_base::{FileEntry, GannetLink, LinkKind, PeerAddress};
use gannet_store::{Collection, ScanSummary, ShareChange, StoreEvent, WatchError, Watcher};

use super::Driver;
use super::folders::publish;
use crate::api::{LinkInfo, NodeEvent, ShareInfo};
use crate::error::{LinkError, ShareError};
use crate::handle::Reply;
use crate::report::{Report, SharedChange};
use crate::scanner::{Order, sign, signed};

impl Driver {
    pub(super) fn list_shares(&self, reply: Reply<Vec<ShareInfo>>) {
        let store = self.store.clone();
        self.tasks.spawn_blocking(move || {
            let shares = store.shares().unwrap_or_else(|error| {
                tracing::error!(%error, "the shares cannot be listed");
                Vec::new()
            });
            drop(reply.send(shares.into_iter().map(share_info).collect()));
        });
    }

    pub(super) fn add_share(
        &self,
        path: PathBuf,
        force: bool,
        reply: Reply<Result<ShareInfo, ShareError>>,
    ) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let added = store.add_share(&path, force);
            if let Ok(share) = &added {
                // As if the store had noticed: watching and scanning follow.
                let noticed = StoreEvent::Dirty(vec![share.path.clone()]);
                let _ = reports.blocking_send(Report::Store(noticed));
            }
            drop(reply.send(added.map(share_info).map_err(|error| refused(path, &error))));
        });
    }

    pub(super) fn remove_share(&self, path: PathBuf, reply: Reply<Result<ShareInfo, ShareError>>) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let removed = store.remove_share(&path, &mut |changes| {
                let gone = changes.into_iter().filter_map(|change| match change {
                    ShareChange::Removed { content, path } => {
                        Some(SharedChange::Withdrawn(content, path))
                    }
                    ShareChange::Added(_) => None,
                });
                let _ = reports.blocking_send(Report::Shares(gone.collect()));
            });
            let answer = removed.map(share_info).map_err(|error| match error {
                gannet_store::ShareError::NotShared { .. } => ShareError::NotShared { path },
                error => refused(path, &error),
            });
            drop(reply.send(answer));
        });
    }

    pub(super) fn link(&self, path: PathBuf, reply: Reply<Result<LinkInfo, LinkError>>) {
        let store = self.store.clone();
        let address = self.address.clone();
        let (key, reports) = (self.key.clone(), self.reports.clone());
        self.tasks.spawn_blocking(move || {
            if path.is_dir() {
                let linked = store.link_folder(&path, &mut |changes| {
                    let _ = reports.blocking_send(Report::Shares(signed(changes, &key)));
                });
                let answer = linked.as_ref().map(|folder| folder_link(folder, address));
                drop(reply.send(answer.map_err(|error| link_error(path, error))));
                if let Ok(folder) = &linked {
                    publish(folder, &key, &reports);
                }
                return;
            }
            let entry = match store.link_target(&path) {
                Ok(entry) => entry,
                Err(error) => {
                    drop(reply.send(Err(link_error(path, &error))));
                    return;
                }
            };
            drop(reply.send(Ok(link_info(&entry, address))));
            // It may have been hashed just now: who follows the link may want to
            // find it by its words next.
            let change = SharedChange::Published(Box::new(sign(entry, &key)));
            let _ = reports.blocking_send(Report::Shares(vec![change]));
        });
    }

    /// Watches what is shared now, if shares are looked after at all. Setting up
    /// takes a system call a folder: not for the driver's task.
    pub(super) fn watch(&self) {
        if self.scanner.is_none() {
            return;
        }
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Watching(store.watch()));
        });
    }

    pub(super) fn on_watching(&mut self, watcher: Result<Watcher, WatchError>) {
        match watcher {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "changes of shared files are noticed at scans only");
                self.watcher = None;
            }
        }
        self.begin_scan();
    }

    pub(super) fn on_store_event(&mut self, event: StoreEvent) {
        let order = match event {
            StoreEvent::Withdrawn { content, path } => {
                self.on_shares(vec![SharedChange::Withdrawn(content, path)]);
                return;
            }
            StoreEvent::Dirty(paths) => {
                if self.is_new_share(&paths) {
                    self.watch();
                }
                Order::ScanPaths(paths)
            }
            StoreEvent::AllDirty => Order::Scan,
        };
        let Some(scanner) = &self.scanner else { return };
        if !scanner.order(order) {
            // Too much waits: one look at everything makes up for it, later.
            self.tally.scan_missed = true;
        }
    }

    fn is_new_share(&self, paths: &[PathBuf]) -> bool {
        let shares = self.store.shares().unwrap_or_default();
        paths
            .iter()
            .any(|path| shares.iter().any(|share| share.path == *path))
    }

    pub(super) fn on_scanned(&mut self, summary: Result<ScanSummary, gannet_store::ScanError>) {
        match summary {
            Ok(summary) => {
                for problem in &summary.problems {
                    tracing::warn!(problem, "not shared");
                }
                self.tally.scan_problem = None;
                self.tally.on_shares_changed(&self.store);
                let (files, bytes) = self.tally.shared;
                if !summary.cancelled {
                    self.tell(NodeEvent::ScanFinished { files, bytes });
                }
            }
            Err(error) => {
                tracing::error!(%error, "the shares could not be looked through");
                self.tally.scan_problem = Some(error.to_string());
            }
        }
    }
}

fn share_info(share: gannet_store::ShareInfo) -> ShareInfo {
    ShareInfo {
        path: share.path,
        name: share.name,
        files: share.files,
        bytes: share.bytes,
        problem: match share.state {
            gannet_store::ShareState::Available => None,
            gannet_store::ShareState::Unavailable { reason } => Some(reason),
        },
    }
}

/// The store's refusal in the node's words.
pub(crate) fn refused(path: PathBuf, error: &gannet_store::ShareError) -> ShareError {
    ShareError::Refused {
        path,
        reason: error.to_string(),
    }
}

fn link_error(path: PathBuf, error: &gannet_store::LinkError) -> LinkError {
    match error {
        gannet_store::LinkError::NotShared { .. } => LinkError::NotShared { path },
        gannet_store::LinkError::Folder { .. } => LinkError::Folder {
            reason: error.to_string(),
        },
        error => LinkError::Unreadable {
            path,
            reason: plain_reason(error),
        },
    }
}

fn plain_reason(error: &gannet_store::LinkError) -> String {
    match error {
        gannet_store::LinkError::Unreadable { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

pub(super) fn link_info(entry: &FileEntry, address: PeerAddress) -> LinkInfo {
    let link = GannetLink {
        content: entry.content,
        kind: LinkKind::File,
        name: Some(Path::new(entry.name()).display().to_string()),
        size: Some(entry.size),
        peers: vec![address],
    };
    LinkInfo {
        link: link.to_string(),
        content: entry.content,
        size: entry.size,
        files: None,
        shared: true,
    }
}

fn folder_link(folder: &Collection, address: PeerAddress) -> LinkInfo {
    let link = GannetLink {
        content: folder.id,
        kind: LinkKind::Folder,
        name: Some(folder.name.clone()),
        size: Some(folder.bytes),
        peers: vec![address],
    };
    LinkInfo {
        link: link.to_string(),
        content: folder.id,
        size: folder.bytes,
        files: Some(folder.files as u64),
        shared: true,
    }
}
