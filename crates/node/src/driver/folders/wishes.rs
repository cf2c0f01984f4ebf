//! What the user asks of folders.

use gannet_base::ContentId;
use gannet_base::Core as _;
use gannet_store::{CollectionDownload, CollectionError};
use gannet_swarm::DownloadCommand;

use super::Folder;
use crate::api::DownloadInfo;
use crate::driver::Driver;
use crate::driver::downloads::DOWNLOADS_MAX;
use crate::error::DownloadError;
use crate::handle::{Change, Reply};
use crate::report::{FolderNews, Report, Wish};

impl Driver {
    /// Starts the download of a folder, or lets the one that is there go on.
    pub(in crate::driver) fn download_folder(
        &mut self,
        wish: Wish,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    ) {
        let id = wish.content;
        if let Some(waiting) = self.folders.ending.get_mut(&id) {
            waiting.push((wish, reply));
            return;
        }
        if let Some(folder) = self.folders.list.get_mut(&id) {
            match folder.path.clone() {
                Some(path) if path.exists() => {
                    drop(reply.send(Err(DownloadError::AlreadyHave { path })));
                    return;
                }
                // It was finished and the user has removed it since: again.
                Some(_) => drop(self.folders.list.remove(&id)),
                None => {
                    self.add_folder_sources(wish);
                    self.resume_folder(id);
                    drop(reply.send(self.folder_after(id)));
                    return;
                }
            }
        }
        if self.folders.list.len() + self.list.items.len() >= DOWNLOADS_MAX {
            let max = DOWNLOADS_MAX;
            drop(reply.send(Err(DownloadError::TooMany { max })));
            return;
        }
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = store.create_collection(id, &wish.name);
            let news = FolderNews::Created {
                wish,
                result,
                reply,
            };
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Folder(news));
        });
    }

    pub(super) fn on_folder_created(
        &mut self,
        wish: Wish,
        result: Result<CollectionDownload, CollectionError>,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    ) {
        let id = wish.content;
        let answer = match result {
            Ok(download) => match download.finished() {
                Some(path) => Err(DownloadError::AlreadyHave { path }),
                None => {
                    if !self.folders.list.contains_key(&id) {
                        let number = self.list.number();
                        let mut folder = Folder::new(number, download, false, self.clock.now());
                        folder.size_hint = wish.size_hint;
                        self.folders.list.insert(id, folder);
                    }
                    self.add_folder_sources(wish);
                    self.resume_folder(id);
                    self.folder_after(id)
                }
            },
            Err(error) => Err(DownloadError::Store(error.to_string())),
        };
        drop(reply.send(answer));
    }

    fn folder_after(&mut self, id: ContentId) -> Result<DownloadInfo, DownloadError> {
        self.gather(id);
        self.drain();
        self.folder_info(id)
            .ok_or_else(|| DownloadError::Store("it ended at once".to_owned()))
    }

    fn add_folder_sources(&mut self, wish: Wish) {
        let Some(folder) = self.folders.list.get_mut(&wish.content) else {
            return;
        };
        let mut peers = Vec::new();
        for source in wish.sources {
            if source.peer == self.peer {
                continue;
            }
            peers.push(source.peer);
            folder.note_source(source.peer);
            if !source.addresses.is_empty() {
                self.net.add_user_addresses(source);
            }
        }
        let running: Vec<ContentId> = folder.running.keys().copied().collect();
        for content in running {
            self.add_sources(content, peers.clone());
        }
    }

    pub(in crate::driver) fn find_folder(&self, number: u32) -> Option<ContentId> {
        let mut folders = self.folders.list.iter();
        let found = folders.find(|(_, folder)| folder.number == number);
        found.map(|(id, _)| *id)
    }

    pub(in crate::driver) fn change_folder(
        &mut self,
        id: ContentId,
        change: Change,
    ) -> Result<DownloadInfo, DownloadError> {
        let before = self.folder_info(id);
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return Err(DownloadError::UnknownDownload { number: 0 });
        };
        let number = folder.number;
        if change == Change::Cancel {
            self.forget_folder(id);
            return before.ok_or(DownloadError::UnknownDownload { number });
        }
        if folder.path.is_some() {
            return Err(DownloadError::Over {
                number,
                state: "complete",
            });
        }
        match change {
            Change::Pause => self.pause_folder(id),
            _ => self.resume_folder(id),
        }
        self.folder_after(id)
    }

    fn pause_folder(&mut self, id: ContentId) {
        let now = self.now();
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        folder.gather.pause();
        for content in folder.running.keys() {
            let content = *content;
            self.downloads
                .handle_command(now, DownloadCommand::Pause { content });
        }
        self.save_pause(id, true);
    }

    fn resume_folder(&mut self, id: ContentId) {
        let now = self.now();
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        let was_paused = folder.gather.is_paused();
        folder.gather.resume();
        folder.ended = None;
        for content in folder.running.keys() {
            let content = *content;
            self.downloads
                .handle_command(now, DownloadCommand::Resume { content });
        }
        if was_paused {
            self.save_pause(id, false);
        }
    }

    fn save_pause(&self, id: ContentId, paused: bool) {
        let Some(folder) = self.folders.list.get(&id) else {
            return;
        };
        let download = folder.download.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = download.set_paused(paused) {
                tracing::warn!(%error, "the pause is not remembered");
            }
        });
    }

    /// Gives a folder up and deletes what it has; a finished one stays.
    fn forget_folder(&mut self, id: ContentId) {
        let Some(folder) = self.folders.list.get(&id) else {
            return;
        };
        let contents: Vec<ContentId> = folder.running.keys().copied().collect();
        for content in contents {
            self.drop_part(content);
        }
        if let Some(folder) = self.folders.list.remove(&id)
            && folder.path.is_none()
        {
            self.discard(folder.download);
        }
    }

    pub(in crate::driver) fn prioritise_folder(
        &mut self,
        id: ContentId,
        priority: u8,
    ) -> Option<DownloadInfo> {
        let now = self.now();
        let folder = self.folders.list.get_mut(&id)?;
        folder.priority = priority;
        folder.dirty = true;
        for content in folder.running.keys() {
            let content = *content;
            if let Some(item) = self.list.items.get_mut(&content) {
                item.priority = priority;
            }
            let command = DownloadCommand::Prioritise { content, priority };
            self.downloads.handle_command(now, command);
        }
        self.folder_info(id)
    }
}
