//! What can be had here for the sake of folders, and the files of those that
//! are finished.

use std::sync::Arc;

use gannet_base::{ContentId, FileEntry, Media};
use gannet_store::{Collection, CollectionDownload, CollectionRecord, DownloadState as Kept};

use super::Folder;
use crate::api::DownloadState;
use crate::driver::Driver;
use crate::report::{FolderNews, Report};
use crate::scanner::{sign, signed};

/// The path of manifests and packs where they are published. It has no word in
/// it: they are found by their content, and by nobody who searches.
pub(in crate::driver) const COLLECTED_PATH: &str = "…";

impl Driver {
    /// Tells anew what can be had here for the sake of folders: publications end.
    pub(in crate::driver) fn renew_folders(&self) {
        let store = self.store.clone();
        let (key, reports) = (self.key.clone(), self.reports.clone());
        self.tasks.spawn_blocking(move || {
            let records = store.collections().unwrap_or_default();
            for collection in records.iter().filter_map(|record| record.served.as_ref()) {
                publish(collection, &key, &reports);
            }
        });
    }

    /// Goes on with what earlier runs left, and tells what can be had here.
    pub(in crate::driver) fn begin_folders(&self) {
        let store = self.store.clone();
        let (key, reports) = (self.key.clone(), self.reports.clone());
        self.tasks.spawn_blocking(move || {
            let records = match store.collections() {
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(%error, "the folders of earlier runs cannot be read");
                    return;
                }
            };
            for record in records {
                if let Some(collection) = &record.served {
                    publish(collection, &key, &reports);
                }
                let begun = (record.state.is_some() && !is_over(&record))
                    .then(|| store.create_collection(record.id, &record.name));
                match begun {
                    Some(Ok(download)) => {
                        let news = FolderNews::Known { record, download };
                        // The driver is gone only when everything is.
                        let _ = reports.blocking_send(Report::Folder(news));
                    }
                    Some(Err(error)) => tracing::warn!(%error, "a folder is not gone on with"),
                    None => {}
                }
            }
        });
    }

    pub(super) fn on_known_folder(
        &mut self,
        record: CollectionRecord,
        download: CollectionDownload,
    ) {
        let id = record.id;
        if self.folders.list.contains_key(&id) {
            return;
        }
        let paused = record.state == Some(Kept::Paused);
        let number = self.list.number();
        let mut folder = Folder::new(number, download, paused, self.clock.now());
        folder.priority = record.priority;
        folder.sources = record.sources.iter().map(|source| source.peer).collect();
        if record.to_adopt {
            folder.path = folder.download.finished();
            folder.state = DownloadState::Complete;
            folder.ended = Some(folder.started);
            folder.to_adopt = true;
        }
        for source in record.sources {
            self.net.add_addresses(source);
        }
        self.folders.list.insert(id, folder);
        self.gather(id);
    }

    /// Its files are shared from now on, in batches: nobody waits for it.
    pub(super) fn adopt(&self, download: CollectionDownload) {
        let (key, reports) = (self.key.clone(), self.reports.clone());
        let stop = Arc::clone(&self.folders.stop);
        let store = self.store.clone();
        self.tasks.spawn_blocking(move || {
            let adopted = download.adopt(&stop, &mut |changes| {
                // The driver is gone only when everything is.
                let _ = reports.blocking_send(Report::Shares(signed(changes, &key)));
            });
            match adopted {
                Ok(true) => {
                    let records = store.collections().unwrap_or_default();
                    let id = download.id();
                    let record = records.into_iter().find(|record| record.id == id);
                    if let Some(collection) = record.and_then(|record| record.served) {
                        publish(&collection, &key, &reports);
                    }
                }
                // It goes on at the next start.
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a fetched folder is not shared"),
            }
        });
    }
}

fn is_over(record: &CollectionRecord) -> bool {
    let finished = matches!(record.state, Some(Kept::Finished { .. }));
    finished && !record.to_adopt
}

/// Tells that the manifest and the packs of a folder can be had here.
pub(in crate::driver) fn publish(
    collection: &Collection,
    key: &ed25519_dalek::SigningKey,
    reports: &tokio::sync::mpsc::Sender<Report>,
) {
    let entry = |(content, size): &(ContentId, u64)| FileEntry {
        content: *content,
        size: *size,
        path: COLLECTED_PATH.to_owned(),
        media: Media::default(),
    };
    let entries = collection.contents.iter().map(entry);
    let publications = entries.map(|entry| sign(entry, key)).collect();
    // The driver is gone only when everything is.
    let _ = reports.blocking_send(Report::Folder(FolderNews::Served(publications)));
}
