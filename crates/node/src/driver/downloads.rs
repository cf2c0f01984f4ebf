//! The list of downloads: numbers, names, what the user is told, what survives
//! a restart.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gannet_base::{ContentId, Core as _, GroupRange, GroupSet, PeerAddress, PeerId, Timestamp};
use gannet_store::{Download, DownloadRecord};
use gannet_swarm::{self as swarm, DownloadCommand};

use super::Driver;
use super::fetching::waiting_text;
use super::page::pieces;
use super::sources::Looks;
use crate::api::{DownloadInfo, DownloadSource, DownloadState, NodeEvent};
use crate::report::Report;

/// Most downloads, finished ones of this run included.
// Guess: Soulseek clients queue some thousands.
pub(crate) const DOWNLOADS_MAX: usize = 10_000;
/// Sources kept over a restart.
// Source: the store keeps at most 64.
pub(super) const SOURCES_KEPT_MAX: usize = 64;

/// One download.
pub(crate) struct Item {
    /// 0 for a part of a folder, which is shown with the folder.
    pub(super) number: u32,
    /// The folder that it is the manifest or a part of.
    pub(super) part_of: Option<ContentId>,
    pub(super) name: String,
    /// `None` when it is over.
    pub(super) download: Option<Download>,
    pub(super) size: Option<u64>,
    pub(super) have: GroupSet,
    pub(super) received_bytes: u64,
    pub(super) state: DownloadState,
    pub(super) reason: Option<String>,
    /// What it waits for, while it does.
    pub(super) why: Option<swarm::WaitReason>,
    pub(super) path: Option<PathBuf>,
    /// As the user wishes.
    pub(super) priority: u8,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    /// Written since the last checkpoint.
    pub(super) dirty: bool,
    /// A checkpoint is under way.
    pub(super) saving: bool,
    /// Registered as a source of what is here.
    pub(super) published: Option<String>,
    /// Why each source was last dropped.
    pub(super) dropped: BTreeMap<PeerId, String>,
    /// Whom the overlays asked when sources were last looked for.
    pub(super) asked: Option<String>,
    /// When more sources are looked for.
    pub(super) looks: Looks,
    /// Who sent what, once it is over.
    pub(super) senders: Vec<DownloadSource>,
    /// Everything that was ever a source, to start with after a restart.
    pub(super) sources: Vec<PeerId>,
}

/// All downloads.
#[derive(Default)]
pub(crate) struct DownloadList {
    pub(super) items: BTreeMap<ContentId, Item>,
    next_number: u32,
}

impl DownloadList {
    pub(super) fn find(&self, number: u32) -> Option<ContentId> {
        let mut shown = self.items.iter().filter(|(_, item)| item.part_of.is_none());
        let found = shown.find(|(_, item)| item.number == number);
        found.map(|(content, _)| *content)
    }

    pub(super) fn add(&mut self, content: ContentId, now: Timestamp, record: &DownloadRecord) {
        let number = self.number();
        self.insert(content, now, record, number);
    }

    /// The number of the next download.
    pub(super) fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    /// The manifest or a part of a folder.
    pub(super) fn add_part(
        &mut self,
        folder: ContentId,
        content: ContentId,
        now: Timestamp,
        download: Download,
    ) {
        self.insert(content, now, &download.record(), 0);
        if let Some(item) = self.items.get_mut(&content) {
            item.part_of = Some(folder);
            item.have = download.have();
            item.size = download.size();
            item.download = Some(download);
        }
    }

    fn insert(&mut self, content: ContentId, now: Timestamp, record: &DownloadRecord, number: u32) {
        let item = Item {
            number,
            part_of: None,
            name: record.name.clone(),
            download: None,
            size: record.size,
            have: record.have.clone(),
            received_bytes: 0,
            state: DownloadState::Waiting,
            reason: None,
            why: None,
            path: None,
            priority: record.priority,
            started: now,
            ended: None,
            dirty: false,
            saving: false,
            published: None,
            dropped: BTreeMap::new(),
            asked: None,
            looks: Looks::new(now),
            senders: Vec::new(),
            sources: Vec::new(),
        };
        self.items.insert(content, item);
    }
}

impl Driver {
    /// What became of looking for sources: whom the overlays asked.
    pub(super) fn on_asked(&mut self, content: ContentId, asked: &str) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        item.asked = Some(if asked.is_empty() {
            "there is nobody to ask for more; start with --hub or --peer".to_owned()
        } else {
            asked.to_owned()
        });
        if let Some(why) = item.why.filter(|_| item.state == DownloadState::Waiting) {
            let reason = waiting_text(why, item.asked.as_deref());
            self.set_state(content, DownloadState::Waiting, Some(reason));
        }
    }

    /// Goes on with what earlier runs left.
    pub(super) fn begin_downloads(&mut self) {
        let records = match self.store.downloads() {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, "earlier downloads cannot be read");
                return;
            }
        };
        let now = self.now();
        for record in records {
            self.list.add(record.content, now, &record);
            self.go_on(&record);
        }
    }

    fn go_on(&mut self, record: &DownloadRecord) {
        let content = record.content;
        let now = self.now();
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let paused = match &record.state {
            gannet_store::DownloadState::Finished { path } => {
                item.state = DownloadState::Complete;
                item.path = Some(path.clone());
                item.ended = Some(now);
                return;
            }
            gannet_store::DownloadState::Paused => true,
            gannet_store::DownloadState::Active => false,
        };
        match self.store.download(content) {
            Ok(download) => {
                // More than the record says, if an earlier run was killed.
                item.have = download.have();
                item.size = download.size();
                item.download = Some(download);
            }
            Err(error) => {
                item.state = DownloadState::Failed;
                item.reason = Some(error.to_string());
                return;
            }
        }
        item.sources = record.sources.iter().map(|source| source.peer).collect();
        self.start_fetching(content, record.size);
        if paused {
            self.downloads
                .handle_command(now, DownloadCommand::Pause { content });
        }
        for source in &record.sources {
            self.add_source_at(content, source.clone());
        }
        let item = self.list.items.get(&content);
        let is_whole = |item: &Item| item.size.is_some_and(|size| item.have.is_whole(size));
        if item.is_some_and(is_whole) {
            self.finish(content);
        }
    }

    pub(super) fn start_fetching(&mut self, content: ContentId, size_hint: Option<u64>) {
        self.yield_part(content);
        let Some(item) = self.list.items.get(&content) else {
            return;
        };
        let command = DownloadCommand::Start {
            content,
            size_hint,
            size: item.size,
            have: item.have.clone(),
            priority: item.priority,
        };
        self.downloads.handle_command(self.clock.now(), command);
        if item.size.is_some() && !item.have.is_empty() {
            self.publish_partial(content);
        }
    }

    /// A source and where it was seen.
    pub(super) fn add_source_at(&mut self, content: ContentId, source: PeerAddress) {
        let peer = source.peer;
        if peer != self.peer {
            self.net.add_addresses(source);
            self.add_sources(content, vec![peer]);
        }
    }

    pub(super) fn add_sources(&mut self, content: ContentId, peers: Vec<PeerId>) {
        let now = self.now();
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        if item.download.is_none() {
            return;
        }
        for peer in peers {
            if peer == self.peer {
                continue;
            }
            if item.sources.len() < SOURCES_KEPT_MAX && !item.sources.contains(&peer) {
                item.sources.push(peer);
            }
            self.downloads
                .handle_command(now, DownloadCommand::AddSource { content, peer });
        }
    }

    /// Once a second: what is written is made to last, a full disk is looked at
    /// again.
    pub(super) fn tick_downloads(&mut self) {
        self.look_for_sources();
        let contents: Vec<ContentId> = self.list.items.keys().copied().collect();
        for content in contents {
            let Some(item) = self.list.items.get_mut(&content) else {
                continue;
            };
            let Some(download) = item.download.clone() else {
                continue;
            };
            if item.state == DownloadState::DiskFull && self.ticks.is_multiple_of(ROOM_TICKS) {
                self.look_for_room(content, &download);
            } else if item.dirty && !item.saving {
                (item.dirty, item.saving) = (false, true);
                self.save(content, download);
            }
        }
    }

    fn save(&self, content: ContentId, download: Download) {
        let sources = self.source_addresses(content);
        let item = self.list.items.get(&content);
        let priority = item.map_or(0, |item| item.priority);
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = download
                .checkpoint()
                .and_then(|()| download.remember(&sources, priority));
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Checkpoint { content, result });
        });
    }

    fn source_addresses(&self, content: ContentId) -> Vec<PeerAddress> {
        let sources = self
            .list
            .items
            .get(&content)
            .map(|item| item.sources.as_slice());
        let address = |peer: &PeerId| PeerAddress {
            peer: *peer,
            addresses: {
                let mut addresses = self.net.known_addresses(*peer);
                addresses.truncate(PeerAddress::ADDRESSES_MAX);
                addresses
            },
        };
        sources.unwrap_or_default().iter().map(address).collect()
    }

    pub(super) fn on_checkpoint(
        &mut self,
        content: ContentId,
        result: Result<(), gannet_store::DownloadError>,
    ) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        item.saving = false;
        let Err(error) = result else { return };
        item.dirty = true;
        tracing::warn!(content = %content.short(), %error, "checkpoint failed");
        self.start_over_if_shrunk(content);
        if matches!(error, gannet_store::DownloadError::DiskFull) {
            self.on_disk_full(content);
        }
    }

    /// If the disk lost what it had taken, the core must count again from what
    /// is committed.
    pub(super) fn start_over_if_shrunk(&mut self, content: ContentId) {
        let now = self.now();
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let Some(download) = &item.download else {
            return;
        };
        let have = download.have();
        if item.have.difference(&have).is_empty() {
            return;
        }
        item.have = have;
        let sources = item.sources.clone();
        self.downloads
            .handle_command(now, DownloadCommand::Cancel { content });
        self.start_fetching(content, None);
        self.add_sources(content, sources);
    }

    pub(super) fn on_disk_full(&mut self, content: ContentId) {
        let now = self.now();
        self.downloads
            .handle_command(now, DownloadCommand::DiskFull { content });
        let reason = format!(
            "the disk with {} is full; make room, it goes on by itself",
            self.config.download_dir.display()
        );
        self.set_state(content, DownloadState::DiskFull, Some(reason));
    }

    fn look_for_room(&self, content: ContentId, download: &Download) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        let left = download
            .size()
            .map(|size| size - download.have().bytes(size));
        self.tasks.spawn_blocking(move || {
            // Not at the first free byte: it would be full again at once.
            let needed = left.unwrap_or(ROOM_BYTES_MIN).clamp(1, ROOM_BYTES_MIN);
            let room = store.free_bytes().is_ok_and(|free| free >= needed);
            let _ = reports.blocking_send(Report::Room { content, room });
        });
    }

    pub(super) fn on_room(&mut self, content: ContentId, room: bool) {
        if room {
            let now = self.now();
            self.downloads
                .handle_command(now, DownloadCommand::DiskOk { content });
            self.set_state(content, DownloadState::Waiting, None);
            // It may have been full when all that was missing was the name.
            self.finish_or_go_on(content);
        }
    }

    /// Notes a state and tells of it if it is another than before.
    pub(super) fn set_state(
        &mut self,
        content: ContentId,
        state: DownloadState,
        reason: Option<String>,
    ) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let changed = item.state != state || item.reason != reason;
        item.state = state;
        item.reason.clone_from(&reason);
        let number = item.number;
        if let Some(folder) = item.part_of {
            self.refresh_folder(folder);
            return;
        }
        if changed && state != DownloadState::Complete {
            self.tell(NodeEvent::DownloadChanged {
                number,
                state,
                reason,
            });
        }
    }

    /// What everything that is running has written, committed: for the end.
    pub(super) fn save_downloads(&self) -> impl FnOnce() + Send + 'static {
        let running: Vec<(Download, Vec<PeerAddress>, u8)> = self
            .list
            .items
            .iter()
            .filter_map(|(content, item)| {
                let sources = self.source_addresses(*content);
                Some((item.download.clone()?, sources, item.priority))
            })
            .collect();
        move || {
            for (download, sources, priority) in running {
                let saved = download
                    .checkpoint()
                    .and_then(|()| download.remember(&sources, priority));
                if let Err(error) = saved {
                    tracing::warn!(content = %download.content().short(), %error, "not saved");
                }
            }
        }
    }

    /// The sources of a download for display: as they are, or as they were.
    pub(super) fn sources_of(&self, content: ContentId) -> Vec<DownloadSource> {
        let now = self.now();
        let Some(item) = self.list.items.get(&content) else {
            return Vec::new();
        };
        match self.downloads.status(now, content) {
            Some(status) => {
                let sources = status.sources.iter();
                sources
                    .map(|source| describe_source(now, item, source))
                    .collect()
            }
            None => item.senders.clone(),
        }
    }

    /// A download for display.
    pub(super) fn info(&self, content: ContentId) -> Option<DownloadInfo> {
        let now = self.now();
        let item = self.list.items.get(&content)?;
        let status = self.downloads.status(now, content);
        let rate = status
            .as_ref()
            .map_or(0, |status| status.rate_bytes_per_second);
        let have_bytes = match (item.state, item.size) {
            (DownloadState::Complete, Some(size)) => size,
            (_, Some(size)) => item.have.bytes(size),
            (_, None) => 0,
        };
        let left = item.size.map(|size| size.saturating_sub(have_bytes));
        Some(DownloadInfo {
            number: item.number,
            content,
            name: item.name.clone(),
            size: item.size,
            have_bytes,
            received_bytes: item.received_bytes,
            files: None,
            pieces: item
                .size
                .map_or_else(String::new, |size| pieces(&item.have, size)),
            priority: item.priority,
            state: item.state,
            reason: item.reason.clone(),
            bytes_per_second: rate,
            seconds_left: left.filter(|_| rate > 0).map(|left| left.div_ceil(rate)),
            sources: self.sources_of(content),
            path: item.path.clone(),
            elapsed_ms: u64::try_from((item.ended.unwrap_or(now) - item.started).as_millis())
                .unwrap_or(u64::MAX),
        })
    }
}

/// Ticks between looks at a full disk.
const ROOM_TICKS: u64 = 3;
/// Room that a download waits for, unless less is left of it.
// Guess: some slices of every source.
const ROOM_BYTES_MIN: u64 = 16 * 1024 * 1024;

fn describe_source(now: Timestamp, item: &Item, source: &swarm::SourceStatus) -> DownloadSource {
    use swarm::SourceState;
    let (state, queue_position) = match source.state {
        SourceState::Spare => ("spare", None),
        SourceState::BackOff { .. } => ("resting", None),
        SourceState::Dialing => ("dialing", None),
        SourceState::Asked => ("asked", None),
        SourceState::Queued { position } => ("queued", Some(position)),
        SourceState::Ready if source.in_flight_bytes > 0 => ("sending", None),
        SourceState::Ready => ("ready", None),
        SourceState::Snubbed => ("stalled", None),
        SourceState::Banned => ("banned", None),
    };
    let again = match source.state {
        SourceState::BackOff { until } => {
            let seconds = (until - now).as_secs() + 1;
            Some(format!("again in {seconds} s"))
        }
        _ => None,
    };
    let shows_reason = matches!(
        source.state,
        SourceState::BackOff { .. } | SourceState::Banned | SourceState::Snubbed
    );
    let dropped = item
        .dropped
        .get(&source.peer)
        .filter(|_| shows_reason)
        .cloned();
    DownloadSource {
        peer: source.peer,
        state: state.to_owned(),
        queue_position,
        bytes_per_second: source.rate_bytes_per_second,
        bytes: source.bytes,
        reason: match (dropped, again) {
            (Some(dropped), Some(again)) => Some(format!("{dropped}; {again}")),
            (dropped, again) => dropped.or(again),
        },
    }
}

/// All groups of a content, for marking it whole.
pub(super) fn all_of(size: u64) -> GroupSet {
    GroupSet::from(GroupRange::whole(size))
}
