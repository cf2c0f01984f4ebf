//! The download core: what it wants done, and what became of it.

use std::collections::BTreeMap;

use gannet_base::{ContentId, Core as _, FileEntry, Media, Output, PeerId};
use gannet_store::Finished;
use gannet_swarm::{
    self as swarm, DownloadCommand, DownloadEvent, DropReason, Have, RefusedReason,
    TransferMessage, UploadCommand, WaitReason,
};

use super::Driver;
use super::downloads::all_of;
use super::folders::COLLECTED_PATH;
use super::links::Wanting;
use crate::api::{DownloadState, NodeEvent};
use crate::fetch::FetchHandle;
use crate::report::{FetchNews, Report, SharedChange, Whose};
use crate::scanner::sign;

/// Most dropped sources of one download whose reasons are remembered.
// Guess: more than a list shows.
const DROPPED_MAX: usize = 256;
/// The first part of the paths of downloads that are shared while they run.
const PARTIAL_SHARE: &str = "Downloads";

/// The streams that fetch.
pub(crate) type Streams = BTreeMap<(PeerId, ContentId), FetchHandle>;

impl Driver {
    pub(super) fn on_download_output(&mut self, output: Output<TransferMessage, DownloadEvent>) {
        match output {
            Output::Send { to, message } => self.send_to_source(to, message),
            Output::Dial { peer } => self.dial(Wanting::Downloads, peer),
            Output::Disconnect { peer } => self.hang_up(Wanting::Downloads, peer),
            Output::Event(event) => self.on_download_event(event),
        }
    }

    /// Messages go on the stream of their peer and content; the first one, an
    /// `Ask`, opens it.
    fn send_to_source(&mut self, peer: PeerId, message: TransferMessage) {
        let content = message.content();
        let key = (peer, content);
        if let Some(handle) = self.tally.streams.get(&key) {
            if handle.send(message) {
                return;
            }
            self.tally.streams.remove(&key);
        } else if matches!(message, TransferMessage::Ask { .. })
            && let Some(download) = self
                .list
                .items
                .get(&content)
                .and_then(|item| item.download.clone())
        {
            self.tally.next_stream += 1;
            let stream = self.tally.next_stream;
            let whose = (Whose::Own, download);
            let handle = FetchHandle::open(self.fetch.clone(), peer, whose, stream);
            if handle.send(message) {
                self.tally.streams.insert(key, handle);
                return;
            }
        }
        let closed = DownloadCommand::StreamClosed { content, peer };
        self.downloads.handle_command(self.clock.now(), closed);
    }

    pub(super) fn drop_streams(&mut self, peer: PeerId) {
        self.tally.streams.retain(|(other, _), _| *other != peer);
        self.keeping.streams.retain(|(other, _), _| *other != peer);
        self.drop_serving(peer);
    }

    pub(super) fn on_fetch_news(
        &mut self,
        content: ContentId,
        peer: PeerId,
        stream: u64,
        news: FetchNews,
    ) {
        let current = self.tally.streams.get(&(peer, content));
        let is_current = current.is_some_and(|handle| handle.stream == stream);
        match &news {
            FetchNews::Stored { groups, .. } => {
                self.on_stored(content, groups);
                if is_current {
                    self.on_good_source(content, peer);
                    self.on_folder_source(content, peer);
                }
            }
            // The core has given this stream up and may be on the next one.
            _ if !is_current => return,
            FetchNews::NotStored {
                problem: Some(problem),
                ..
            } => tracing::warn!(content = %content.short(), problem, "not written"),
            FetchNews::Corrupt { .. } => {
                tracing::warn!(peer = %peer.short(), content = %content.short(), "sent wrong bytes");
            }
            FetchNews::DiskFull { .. } => self.on_disk_full(content),
            FetchNews::Closed => drop(self.tally.streams.remove(&(peer, content))),
            FetchNews::Message(_) | FetchNews::Received(_) | FetchNews::NotStored { .. } => {}
        }
        // What an older stream wrote counts all the same, but as nobody's answer.
        let peer = if is_current { peer } else { self.peer };
        let now = self.now();
        match news.into_command(content, peer) {
            Ok(command) => self.downloads.handle_command(now, command),
            Err(message) => self.downloads.handle_message(now, peer, message),
        }
    }

    fn on_stored(&mut self, content: ContentId, groups: &gannet_base::GroupSet) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let Some(download) = &item.download else {
            return;
        };
        item.dirty = true;
        if item.size.is_none() {
            item.size = download.size();
        }
        for run in groups.runs() {
            item.have.insert(*run);
        }
        let Some(size) = item.size else { return };
        let bytes = groups.bytes(size);
        item.received_bytes += bytes;
        self.tally.received(bytes);
        let groups = groups.clone();
        let gained = UploadCommand::Gained { content, groups };
        self.uploads.handle_command(self.clock.now(), gained);
    }

    fn on_download_event(&mut self, event: DownloadEvent) {
        match event {
            DownloadEvent::SizeProven { content, size } => self.on_size_proven(content, size),
            // What has come is told as it comes: see `on_stored`.
            DownloadEvent::Progress { .. } => {}
            DownloadEvent::Complete { content } => self.finish(content),
            DownloadEvent::StateChanged { content, state } => {
                self.on_state_changed(content, state);
            }
            DownloadEvent::NeedSources { content, why } => self.on_need_sources(content, why),
            DownloadEvent::SourceDropped {
                content,
                peer,
                reason,
                ..
            } => {
                self.on_source_dropped(content, peer, reason);
            }
            DownloadEvent::Close { content, peer } => {
                // Dropping the handle lets what is queued go out first.
                self.tally.streams.remove(&(peer, content));
            }
        }
    }

    /// The store has reserved the space already: it proved the size by writing
    /// the last group.
    fn on_size_proven(&mut self, content: ContentId, size: u64) {
        if let Some(item) = self.list.items.get_mut(&content) {
            item.size = Some(size);
            if let Some(folder) = item.part_of {
                self.check_part_size(folder, content, size);
            }
            self.publish_partial(content);
        }
    }

    /// While it runs, this peer is a source of what it has got.
    pub(super) fn publish_partial(&mut self, content: ContentId) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let Some(size) = item.size.filter(|_| item.published.is_none()) else {
            return;
        };
        let path = match item.part_of {
            Some(_) => COLLECTED_PATH.to_owned(),
            None => format!("{PARTIAL_SHARE}/{}", item.name),
        };
        let entry = FileEntry {
            content,
            size,
            path: path.clone(),
            media: Media::default(),
        };
        if entry.validate().is_err() {
            return;
        }
        item.published = Some(path);
        let publication = sign(entry, &self.key);
        let _ = self.partial.insert(&publication);
        self.on_own_changed();
        self.announce_changes(vec![publication], Vec::new());
    }

    pub(super) fn withdraw_partial(&mut self, content: ContentId) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        if let Some(path) = item.published.take() {
            self.partial.remove(self.peer, content, &path);
            self.on_own_changed();
            self.announce_changes(Vec::new(), vec![(content, path)]);
        }
    }

    /// All groups are there: the file gets its name, off the driver's task.
    pub(super) fn finish(&mut self, content: ContentId) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        if let Some(folder) = item.part_of {
            self.on_part_fetched(folder, content);
            return;
        }
        if item.saving && item.ended.is_some() {
            return;
        }
        let Some(download) = item.download.clone() else {
            return;
        };
        item.saving = true;
        item.ended = Some(self.clock.now());
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = download.checkpoint().and_then(|()| download.finish());
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Finished { content, result });
        });
    }

    pub(super) fn on_finished(
        &mut self,
        content: ContentId,
        result: Result<Finished, gannet_store::DownloadError>,
    ) {
        let now = self.now();
        let senders = self.sources_of(content);
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        item.saving = false;
        match result {
            Ok(finished) => {
                item.download = None;
                item.senders = senders;
                item.path = Some(finished.path.clone());
                item.size = Some(finished.entry.size);
                item.have = all_of(finished.entry.size);
                let number = item.number;
                self.downloads
                    .handle_command(now, DownloadCommand::Cancel { content });
                self.tally.streams.retain(|(_, other), _| *other != content);
                self.set_state(content, DownloadState::Complete, None);
                self.offer_growth(content, Have::Whole);
                self.reopen(content);
                self.withdraw_partial(content);
                let publication = Box::new(sign(finished.entry, &self.key));
                self.on_shares(vec![SharedChange::Published(publication)]);
                self.tell(NodeEvent::DownloadComplete {
                    number,
                    content,
                    path: finished.path,
                });
            }
            Err(gannet_store::DownloadError::DiskFull) => self.on_disk_full(content),
            Err(gannet_store::DownloadError::Incomplete { missing }) => {
                item.ended = None;
                tracing::warn!(content = %content.short(), missing, "not complete after all");
                self.start_over_if_shrunk(content);
            }
            Err(error) => {
                item.ended = None;
                let reason = format!("the finished file could not be put in place: {error}");
                self.set_state(content, DownloadState::Failed, Some(reason));
            }
        }
    }

    fn on_state_changed(&mut self, content: ContentId, state: swarm::DownloadState) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        item.why = match state {
            swarm::DownloadState::Waiting(why) => Some(why),
            _ => None,
        };
        let (state, reason) = match state {
            swarm::DownloadState::Active => (DownloadState::Active, None),
            swarm::DownloadState::Paused => (DownloadState::Paused, None),
            swarm::DownloadState::Waiting(WaitReason::DiskFull) => return,
            swarm::DownloadState::Waiting(why) => (
                DownloadState::Waiting,
                Some(waiting_text(why, item.asked.as_deref())),
            ),
            // Complete only once the file has its name: see `on_finished`.
            swarm::DownloadState::Complete => (DownloadState::Active, None),
        };
        self.set_state(content, state, reason);
    }

    /// The overlays are asked by content id.
    fn on_need_sources(&mut self, content: ContentId, why: WaitReason) {
        tracing::debug!(content = %content.short(), ?why, "needs sources");
        self.ask_for_sources(content);
    }

    fn on_source_dropped(&mut self, content: ContentId, peer: PeerId, reason: DropReason) {
        let unreachable = matches!(reason, DropReason::Unreachable);
        let failure = self.links.failures.get(&peer).filter(|_| unreachable);
        let text = match failure {
            Some(failure) => format!("unreachable: {failure}"),
            None => drop_text(&reason),
        };
        tracing::debug!(peer = %peer.short(), content = %content.short(), text, "source dropped");
        self.hold_to_account(content, peer, reason);
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        if item.dropped.len() >= DROPPED_MAX {
            item.dropped.pop_first();
        }
        item.dropped.insert(peer, text);
        item.look_soon(self.clock.now());
        let number = item.number;
        if matches!(
            reason,
            DropReason::Corrupt { .. } | DropReason::WrongSize { .. }
        ) {
            self.tell(NodeEvent::SourceBanned { number, peer });
        }
    }
}

/// Why a download waits, and what was tried.
pub(super) fn waiting_text(why: WaitReason, asked: Option<&str>) -> String {
    let text = match why {
        WaitReason::Turn => "waits for its turn",
        WaitReason::NoSources => "nobody is known to have it",
        WaitReason::Connecting => "connecting to sources",
        WaitReason::Queued => "in the queues of its sources",
        WaitReason::Unreachable => "no source can be reached now",
        WaitReason::Refused => "its sources refuse for now",
        WaitReason::Banned => "all sources sent wrong bytes",
        WaitReason::NothingOffered => "the sources have nothing of what is missing",
        WaitReason::Stalled => "the sources have stopped sending",
        WaitReason::Writing => "writing",
        WaitReason::DiskFull => "the disk is full",
    };
    let names_whom = matches!(
        why,
        WaitReason::NoSources
            | WaitReason::Unreachable
            | WaitReason::Refused
            | WaitReason::Banned
            | WaitReason::NothingOffered
    );
    match asked.filter(|_| names_whom) {
        Some(asked) => format!("{text}; {asked}"),
        None => text.to_owned(),
    }
}

fn drop_text(reason: &DropReason) -> String {
    match reason {
        DropReason::Unreachable => "unreachable".to_owned(),
        DropReason::Lost => "the connection broke".to_owned(),
        DropReason::Silent => "does not answer".to_owned(),
        DropReason::Stalled => "stopped sending".to_owned(),
        DropReason::TooSlow => "too slow to be of use".to_owned(),
        DropReason::Refused(RefusedReason::NotShared) => "does not share it (any more)".to_owned(),
        DropReason::Refused(RefusedReason::QueueFull) => "its queue is full".to_owned(),
        DropReason::Refused(RefusedReason::Busy) => "busy".to_owned(),
        DropReason::Refused(RefusedReason::Changed) => "its file has changed".to_owned(),
        DropReason::Corrupt { .. } => "sent wrong bytes".to_owned(),
        DropReason::WrongSize { claimed } => format!("claims a wrong size of {claimed} bytes"),
        DropReason::Protocol => "broke the protocol".to_owned(),
        DropReason::Distrusted => "sent wrong bytes before".to_owned(),
        DropReason::GivenUp => "failed too often".to_owned(),
    }
}
