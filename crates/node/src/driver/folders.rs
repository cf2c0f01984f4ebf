//! Downloads of folders: what [`Gather`] wants done, and what became of it.
//!
//! The manifest and the parts of a folder are items of the list of downloads
//! like any other, which nobody sees: they are shown together as one.

mod share;
mod shown;
mod wishes;

pub(super) use self::share::{COLLECTED_PATH, publish};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gannet_base::{ContentId, Core as _, PeerAddress, PeerId, Timestamp};
use gannet_store::{CollectionDownload, CollectionError, Download, DownloadError, PartBegun};
use gannet_swarm::DownloadCommand;

use super::Driver;
use super::downloads::SOURCES_KEPT_MAX;
use crate::api::{DownloadInfo, DownloadState, NodeEvent};
use crate::gather::{Begun, Gather, Phase, Step, Trouble};
use crate::handle::Reply;
use crate::report::{FolderNews, Report, StepDone, Wish};

/// Ticks between looks at a full disk.
const ROOM_TICKS: u64 = 3;
/// Room that a folder waits for.
// Guess: a pack.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;

/// All downloads of folders.
#[derive(Default)]
pub(crate) struct Folders {
    pub(super) list: BTreeMap<ContentId, Folder>,
    /// What takes long is to stop.
    stop: Arc<AtomicBool>,
    /// Folders that are being deleted, and who wants them again already.
    ending: BTreeMap<ContentId, Vec<(Wish, WishReply)>>,
}

/// How who wished for a folder hears of it.
type WishReply = Reply<Result<DownloadInfo, crate::DownloadError>>;

/// The download of one folder.
pub(super) struct Folder {
    pub(super) number: u32,
    download: CollectionDownload,
    gather: Gather,
    /// What is being fetched, and which part it is: none is the manifest.
    running: BTreeMap<ContentId, Option<usize>>,
    /// Who had some of it, to be asked for the rest.
    sources: BTreeSet<PeerId>,
    /// What the link says of the size.
    size_hint: Option<u64>,
    /// Bytes of the files that are in place.
    stored_bytes: u64,
    /// As told last.
    state: DownloadState,
    reason: Option<String>,
    path: Option<PathBuf>,
    priority: u8,
    started: Timestamp,
    ended: Option<Timestamp>,
    /// Of the parts that are over: bytes that came, and from whom.
    received_bytes: u64,
    senders: BTreeMap<PeerId, u64>,
    /// What of this run is remembered has changed.
    dirty: bool,
    /// Its files are to be shared.
    to_adopt: bool,
}

impl Folder {
    fn new(number: u32, download: CollectionDownload, paused: bool, now: Timestamp) -> Self {
        let manifest = download.manifest();
        let parts = manifest.as_deref().map(|manifest| manifest.parts());
        let stored: Option<Vec<bool>> =
            parts.map(|parts| (0..parts.len()).map(|n| download.is_stored(n)).collect());
        let stored_bytes = parts.into_iter().flatten().enumerate();
        let stored_bytes = stored_bytes
            .filter(|(n, _)| download.is_stored(*n))
            .map(|(_, part)| part.size)
            .sum();
        Self {
            number,
            gather: Gather::new(stored, paused),
            download,
            running: BTreeMap::new(),
            sources: BTreeSet::new(),
            size_hint: None,
            stored_bytes,
            state: DownloadState::Waiting,
            reason: None,
            path: None,
            priority: 0,
            started: now,
            ended: None,
            received_bytes: 0,
            senders: BTreeMap::new(),
            dirty: false,
            to_adopt: false,
        }
    }

    fn part_size(&self, part: usize) -> u64 {
        let manifest = self.download.manifest();
        manifest.map_or(0, |manifest| manifest.parts()[part].size)
    }

    fn note_source(&mut self, peer: PeerId) {
        if self.sources.len() < SOURCES_KEPT_MAX && self.sources.insert(peer) {
            self.dirty = true;
        }
    }
}

impl Driver {
    pub(super) fn end_folders(&self) -> impl FnOnce() + Send + 'static {
        self.folders.stop.store(true, Ordering::Relaxed);
        let dirty = self.folders.list.values().filter(|folder| folder.dirty);
        let dirty: Vec<_> = dirty
            .map(|folder| {
                let sources = self.addresses_of(&folder.sources);
                (folder.download.clone(), sources, folder.priority)
            })
            .collect();
        move || {
            for (download, sources, priority) in dirty {
                if download.finished().is_none()
                    && let Err(error) = download.remember(&sources, priority)
                {
                    tracing::warn!(%error, "the sources of a folder are not remembered");
                }
            }
        }
    }

    fn addresses_of(&self, peers: &BTreeSet<PeerId>) -> Vec<PeerAddress> {
        let address = |peer: &PeerId| {
            let mut addresses = self.net.known_addresses(*peer);
            addresses.truncate(PeerAddress::ADDRESSES_MAX);
            PeerAddress {
                peer: *peer,
                addresses,
            }
        };
        peers.iter().map(address).collect()
    }

    pub(super) fn on_folder_news(&mut self, news: FolderNews) {
        match news {
            FolderNews::Known { record, download } => self.on_known_folder(record, download),
            FolderNews::Created {
                wish,
                result,
                reply,
            } => self.on_folder_created(wish, result, reply),
            FolderNews::Done {
                download,
                number,
                step,
                result,
            } => self.on_step_done(download, number, step, *result),
            FolderNews::Room { id, room } => {
                if let Some(folder) = self.folders.list.get_mut(&id)
                    && room
                {
                    folder.gather.on_room();
                    self.gather(id);
                }
            }
            FolderNews::Discarded(id) => {
                for (wish, reply) in self.folders.ending.remove(&id).unwrap_or_default() {
                    self.download_folder(wish, reply);
                }
            }
            FolderNews::Served(publications) => {
                for publication in &publications {
                    let _ = self.partial.insert(publication);
                }
                self.on_own_changed();
                self.announce_changes(publications, Vec::new());
            }
        }
    }

    /// Does what is to be done for a folder.
    pub(super) fn gather(&mut self, id: ContentId) {
        if let Some(folder) = self.folders.list.get(&id)
            && matches!(folder.gather.phase(), Phase::Failed(_))
        {
            let running: Vec<ContentId> = folder.running.keys().copied().collect();
            for content in running {
                self.drop_part(content);
            }
        }
        while let Some(folder) = self.folders.list.get_mut(&id)
            && folder.path.is_none()
            && let Some(step) = folder.gather.poll()
        {
            let content = match step {
                Step::BeginManifest => Some(id),
                Step::Begin(part) => {
                    let manifest = folder.download.manifest();
                    manifest.map(|manifest| manifest.parts()[part].content)
                }
                _ => None,
            };
            // Another download of the same content, perhaps the user's own, comes
            // first: what it brings is taken then.
            let is_taken = content.is_some_and(|content| self.list.items.contains_key(&content));
            match step {
                Step::Begin(part) if is_taken => folder.gather.on_begun(part, Begun::Blocked),
                Step::BeginManifest if is_taken => {
                    folder.gather.on_trouble(step, Trouble::Incomplete);
                }
                step => self.do_step(id, step),
            }
        }
        self.refresh_folder(id);
    }

    fn do_step(&self, id: ContentId, step: Step) {
        let Some(folder) = self.folders.list.get(&id) else {
            return;
        };
        let (download, number) = (folder.download.clone(), folder.number);
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = match step {
                Step::BeginManifest => download
                    .begin_manifest()
                    .map(StepDone::Fetch)
                    .map_err(CollectionError::from),
                Step::TakeManifest => download.take_manifest().map(|_| StepDone::Done),
                Step::Begin(part) => download.begin_part(part).map(|begun| match begun {
                    PartBegun::Stored => StepDone::Done,
                    PartBegun::Fetch(download) => StepDone::Fetch(download),
                }),
                Step::Store(part) => download.store_part(part).map(|()| StepDone::Done),
                Step::Finish => download.finish().map(StepDone::Finished),
            };
            let news = FolderNews::Done {
                download,
                number,
                step,
                result: Box::new(result),
            };
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Folder(news));
        });
    }

    fn on_step_done(
        &mut self,
        download: CollectionDownload,
        number: u32,
        step: Step,
        result: Result<StepDone, CollectionError>,
    ) {
        let id = download.id();
        let known = self.folders.list.get_mut(&id);
        let Some(folder) = known.filter(|folder| folder.number == number) else {
            // It was given up meanwhile: what the step made goes as well.
            if !self.folders.list.contains_key(&id) {
                self.discard(download);
            }
            return;
        };
        match (step, result) {
            (Step::BeginManifest, Ok(StepDone::Fetch(part))) => self.fetch_part(id, None, part),
            (Step::Begin(number), Ok(StepDone::Fetch(part))) => {
                self.fetch_part(id, Some(number), part);
            }
            (Step::TakeManifest, Ok(_)) => {
                if let Some(manifest) = download.manifest() {
                    let parts = 0..manifest.parts().len();
                    let stored = parts.map(|part| download.is_stored(part)).collect();
                    folder.gather.on_manifest(stored);
                }
                self.drop_part(id);
            }
            (Step::Begin(number), Ok(_)) => {
                folder.stored_bytes += folder.part_size(number);
                folder.gather.on_begun(number, Begun::Stored);
            }
            (Step::Store(number), Ok(_)) => {
                folder.stored_bytes += folder.part_size(number);
                folder.gather.on_stored(number);
                let running = folder.running.iter();
                let content = running.clone().find(|(_, part)| **part == Some(number));
                if let Some(content) = content.map(|(content, _)| *content) {
                    self.drop_part(content);
                }
            }
            (Step::Finish, Ok(StepDone::Finished(path))) => self.on_folder_finished(id, path),
            (step, Ok(_)) => tracing::error!(?step, "a step of a folder came to nothing"),
            (step, Err(error)) => self.on_step_failed(id, step, &error),
        }
        self.gather(id);
    }

    fn on_step_failed(&mut self, id: ContentId, step: Step, error: &CollectionError) {
        tracing::warn!(id = %id.short(), ?step, %error, "a folder does not go on");
        let trouble = match error {
            CollectionError::Download(DownloadError::DiskFull) => Trouble::DiskFull,
            CollectionError::Download(DownloadError::Incomplete { .. }) => Trouble::Incomplete,
            error => Trouble::Failed(error.to_string()),
        };
        let content = match step {
            Step::TakeManifest => Some(None),
            Step::Store(part) => Some(Some(part)),
            _ => None,
        };
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        if trouble == Trouble::Incomplete
            && let Some(which) = content
            && let Some((content, _)) = folder.running.iter().find(|(_, part)| **part == which)
        {
            // What is there is counted again when it is begun again.
            let content = *content;
            self.drop_part(content);
        }
        if let Some(folder) = self.folders.list.get_mut(&id) {
            folder.gather.on_trouble(step, trouble);
        }
    }

    /// A manifest or a part is to be fetched from now on.
    fn fetch_part(&mut self, id: ContentId, part: Option<usize>, download: Download) {
        let now = self.now();
        let content = download.content();
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        if folder.gather.is_over() {
            return;
        }
        if self.list.items.contains_key(&content) {
            match part {
                Some(part) => folder.gather.on_begun(part, Begun::Blocked),
                None => folder
                    .gather
                    .on_trouble(Step::BeginManifest, Trouble::Incomplete),
            }
            return;
        }
        if let Some(part) = part {
            folder.gather.on_begun(part, Begun::Fetching);
        }
        let size = part.map(|part| folder.part_size(part));
        let is_whole = download
            .size()
            .is_some_and(|size| download.have().is_whole(size));
        let (paused, priority) = (folder.gather.is_paused(), folder.priority);
        let sources: Vec<PeerId> = folder.sources.iter().copied().collect();
        folder.running.insert(content, part);
        self.list.add_part(id, content, now, download);
        if let Some(item) = self.list.items.get_mut(&content) {
            item.priority = priority;
        }
        if is_whole {
            self.on_part_fetched(id, content);
            return;
        }
        self.start_fetching(content, size);
        if paused {
            self.downloads
                .handle_command(now, DownloadCommand::Pause { content });
        }
        self.add_sources(content, sources);
    }

    /// All bytes of a manifest or a part are here.
    pub(super) fn on_part_fetched(&mut self, id: ContentId, content: ContentId) {
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        match folder.running.get(&content) {
            Some(Some(part)) => folder.gather.on_fetched(*part),
            Some(None) => folder.gather.on_manifest_fetched(),
            None => return,
        }
        self.gather(id);
    }

    /// The size of a part is proven: another one than the manifest says is a
    /// lie, and a manifest has its bounds.
    pub(super) fn check_part_size(&mut self, id: ContentId, content: ContentId, size: u64) {
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        let reason = match folder.running.get(&content) {
            Some(Some(part)) if folder.part_size(*part) != size => {
                "the sizes in the list of the folder do not add up"
            }
            Some(None) if size > gannet_store::Manifest::BYTES_MAX => {
                "the link leads to something that is too large to be the list of a folder"
            }
            _ => return,
        };
        let trouble = Trouble::Failed(reason.to_owned());
        let step = folder.running.get(&content).copied().flatten();
        let step = step.map_or(Step::BeginManifest, Step::Begin);
        folder.gather.on_trouble(step, trouble);
        self.gather(id);
    }

    /// A part is in place, or given up: nothing of it is fetched any more.
    fn drop_part(&mut self, content: ContentId) {
        let now = self.now();
        let senders = self.sources_of(content);
        self.withdraw_partial(content);
        self.downloads
            .handle_command(now, DownloadCommand::Cancel { content });
        self.tally.streams.retain(|(_, other), _| *other != content);
        let Some(item) = self.list.items.remove(&content) else {
            return;
        };
        let folder = item.part_of.and_then(|id| self.folders.list.get_mut(&id));
        if let Some(folder) = folder {
            folder.running.remove(&content);
            folder.received_bytes += item.received_bytes;
            for sender in senders {
                *folder.senders.entry(sender.peer).or_default() += sender.bytes;
            }
        }
        self.reopen(content);
    }

    /// Who has sent some of a part is asked for the others.
    pub(super) fn on_folder_source(&mut self, content: ContentId, peer: PeerId) {
        let item = self.list.items.get(&content);
        if let Some(id) = item.and_then(|item| item.part_of)
            && let Some(folder) = self.folders.list.get_mut(&id)
        {
            folder.note_source(peer);
        }
    }

    fn on_folder_finished(&mut self, id: ContentId, path: PathBuf) {
        let now = self.now();
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        folder.gather.on_finished();
        folder.path = Some(path.clone());
        folder.ended = Some(now);
        folder.state = DownloadState::Complete;
        folder.reason = None;
        folder.to_adopt = true;
        let number = folder.number;
        self.tell(NodeEvent::DownloadComplete {
            number,
            content: id,
            path,
        });
    }

    /// Once a second: what waited is tried again, what is over is shared.
    pub(super) fn tick_folders(&mut self) {
        let ids: Vec<ContentId> = self.folders.list.keys().copied().collect();
        for id in ids {
            let Some(folder) = self.folders.list.get_mut(&id) else {
                continue;
            };
            if std::mem::take(&mut folder.to_adopt) {
                let download = folder.download.clone();
                self.adopt(download);
                continue;
            }
            if folder.path.is_some() {
                continue;
            }
            if folder.gather.is_full() && self.ticks.is_multiple_of(ROOM_TICKS) {
                self.look_for_folder_room(id);
            }
            self.remember_sources(id);
            if let Some(folder) = self.folders.list.get_mut(&id) {
                folder.gather.on_tick();
            }
            self.gather(id);
        }
    }

    fn remember_sources(&mut self, id: ContentId) {
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        if !std::mem::take(&mut folder.dirty) {
            return;
        }
        let (download, priority) = (folder.download.clone(), folder.priority);
        let sources = folder.sources.clone();
        let sources = self.addresses_of(&sources);
        self.tasks.spawn_blocking(move || {
            if download.finished().is_none()
                && let Err(error) = download.remember(&sources, priority)
            {
                tracing::warn!(%error, "the sources of a folder are not remembered");
            }
        });
    }

    fn look_for_folder_room(&self, id: ContentId) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let room = store.free_bytes().is_ok_and(|free| free >= ROOM_BYTES);
            let _ = reports.blocking_send(Report::Folder(FolderNews::Room { id, room }));
        });
    }

    /// Deletes what there is of a folder that is not finished.
    fn discard(&mut self, download: CollectionDownload) {
        let id = download.id();
        self.folders.ending.entry(id).or_default();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = download.discard() {
                tracing::warn!(%error, "a folder that was given up is not all deleted");
            }
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Folder(FolderNews::Discarded(id)));
        });
    }
}
