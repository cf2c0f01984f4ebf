//! Downloads: the fetching side.
//!
//! One file per concern: `connect` (sources come and go), `size` (proving it),
//! `fellows` (how many sources are enough), `plan` (which groups are wanted),
//! `given` (what its sources gave to others), `fill` (who is asked), `slices`
//! (what becomes of requests), `claims` and `transfer` (the books), `watchdog`
//! (what is said about it).

mod claims;
mod config;
mod connect;
mod event;
mod fellows;
mod fill;
mod given;
mod invariants;
mod plan;
mod shared;
mod size;
mod slices;
mod source;
mod transfer;
mod watchdog;

#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use gannet_base::{ContentId, Core, GroupRange, Link, Output, PeerId, Rng, Timestamp};

use crate::message::TransferMessage;
use shared::{Shared, Timer};
use source::Source;
use transfer::Download;

pub use config::DownloadsConfig;
pub use event::{
    DownloadCommand, DownloadEvent, DownloadState, DownloadStatus, DropReason, Expected,
    SourceState, SourceStatus, WaitReason,
};

/// All downloads of one peer: which slice is asked of which source next.
///
/// Getters: [`status`](Self::status), [`contents`](Self::contents),
/// [`expected`](Self::expected). Inputs, outputs and timers as in [`Core`].
///
/// The driver keeps one transfer stream per peer and content. It opens one when
/// an [`Ask`](TransferMessage::Ask) is sent and none is open, delivers what
/// comes on it, and closes it on [`DownloadEvent::Close`]; after that, or after
/// reporting [`DownloadCommand::StreamClosed`], it delivers nothing more of it.
/// For each [`Slice`](TransferMessage::Slice) header it asks
/// [`expected`](Self::expected) first, then hands the message in, reads the
/// bytes (reporting [`DownloadCommand::Received`]), gives them to the store,
/// and reports what came of it: [`DownloadCommand::Stored`],
/// [`DownloadCommand::Corrupt`] or [`DownloadCommand::NotStored`].
///
/// The links in [`handle_link`](Core::handle_link) are all that the driver has,
/// also those that somebody else asked for.
#[derive(Debug)]
pub struct Downloads {
    shared: Shared,
    downloads: BTreeMap<ContentId, Download>,
    started: u64,
}

impl Downloads {
    /// No downloads yet.
    pub fn new(config: DownloadsConfig, rng: Rng) -> Self {
        Self {
            shared: Shared::new(config, rng),
            downloads: BTreeMap::new(),
            started: 0,
        }
    }

    /// How a download stands; `None` if it was never started or was cancelled.
    /// Costs a copy of its sets and sources.
    pub fn status(&self, now: Timestamp, content: ContentId) -> Option<DownloadStatus> {
        let download = self.downloads.get(&content)?;
        Some(download.status(&self.shared.config, now))
    }

    /// The contents of all downloads that were started and not cancelled, in
    /// order of id. Complete ones stay until they are cancelled.
    pub fn contents(&self) -> impl Iterator<Item = ContentId> + '_ {
        self.downloads.keys().copied()
    }

    /// What to do with a [`TransferMessage::Slice`] header from `peer`: `None`
    /// if nobody asked for it (hand the message in and read no further).
    pub fn expected(
        &self,
        content: ContentId,
        peer: PeerId,
        slice: GroupRange,
    ) -> Option<Expected> {
        self.downloads.get(&content)?.expected(peer, slice)
    }

    fn with(
        &mut self,
        now: Timestamp,
        content: ContentId,
        act: impl FnOnce(&mut Download, &mut Shared),
    ) {
        let Some(download) = self.downloads.get_mut(&content) else {
            return;
        };
        act(download, &mut self.shared);
        download.settle(&mut self.shared, now);
        self.serve_waiting(now);
    }

    /// Gives room that became free to downloads that wait for it.
    fn serve_waiting(&mut self, now: Timestamp) {
        while self.shared.in_flight_bytes < self.shared.config.in_flight_bytes_max
            && let Some(content) = self.shared.starved.pop_front()
        {
            if let Some(download) = self.downloads.get_mut(&content) {
                download.starved = false;
                download.dirty = true;
                download.served = true;
                download.settle(&mut self.shared, now);
                download.served = false;
            }
        }
        while self.shared.yielding && self.shared.busy < self.shared.config.downloads_active_max {
            let waiting = self.downloads.values().filter(|download| download.yielding);
            let first =
                waiting.min_by_key(|download| (std::cmp::Reverse(download.priority), download.seq));
            let Some(content) = first.map(|download| download.content) else {
                self.shared.yielding = false;
                return;
            };
            if let Some(download) = self.downloads.get_mut(&content) {
                download.settle(&mut self.shared, now);
            }
        }
    }

    fn with_peer(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        mut act: impl FnMut(&mut Download, &mut Shared),
    ) {
        let contents: Vec<_> = self
            .downloads
            .values()
            .filter(|download| download.sources.contains_key(&peer))
            .map(|download| download.content)
            .collect();
        for content in contents {
            self.with(now, content, &mut act);
        }
    }

    fn on_start(&mut self, now: Timestamp, start: Start) {
        if self.downloads.contains_key(&start.content) {
            return;
        }
        self.started += 1;
        let mut download = Download::new(start.content, self.started, now);
        download.priority = start.priority;
        download.size_hint = start.size_hint;
        download.resumed = start.have;
        if let Some(size) = start.size.filter(|size| size::is_possible(*size)) {
            download.prove(&mut self.shared, now, size);
        }
        self.downloads.insert(start.content, download);
        self.with(now, start.content, |_, _| {});
    }

    fn on_cancel(&mut self, now: Timestamp, content: ContentId) {
        self.with(now, content, |download, cx| {
            download.paused = true;
            download.leave_all(cx, now);
        });
        if let Some(download) = self.downloads.remove(&content) {
            self.shared.timers.disarm(Timer::Download(content));
            for peer in download.sources.keys() {
                self.shared.timers.disarm(Timer::Source(content, *peer));
            }
        }
    }

    fn on_corrupt(&mut self, now: Timestamp, content: ContentId, peer: PeerId, slice: GroupRange) {
        if !self.downloads.contains_key(&content) {
            return;
        }
        self.shared.distrust(now, peer, content);
        self.with(now, content, |download, cx| {
            download.ban(cx, now, peer, DropReason::Corrupt { slice });
        });
        let all =
            self.shared.corrupt_contents(now, peer) >= self.shared.config.corrupt_contents_max;
        self.with_peer(now, peer, |download, cx| {
            let source = download.sources.get_mut(&peer);
            let Some(source) = source.filter(|source| source.phase != source::Phase::Banned) else {
                return;
            };
            source.distrusted = true;
            if all {
                download.ban(cx, now, peer, DropReason::Distrusted);
            }
        });
    }

    /// What became of bytes and streams.
    fn on_report(&mut self, now: Timestamp, report: DownloadCommand) {
        use DownloadCommand as C;
        match report {
            C::Received {
                content,
                peer,
                bytes,
            } => self.with(now, content, |download, cx| {
                download.on_received(cx, now, peer, bytes);
            }),
            C::Stored {
                content,
                peer,
                slice,
                groups,
            } => self.with(now, content, |download, cx| {
                download.on_stored(cx, now, peer, slice, &groups);
            }),
            C::NotStored {
                content,
                peer,
                slice,
            } => self.with(now, content, |download, cx| {
                download.on_not_stored(cx, now, peer, slice);
            }),
            C::Corrupt {
                content,
                peer,
                slice,
            } => self.on_corrupt(now, content, peer, slice),
            C::StreamClosed { content, peer } => self.with(now, content, |download, cx| {
                if download.sources.get(&peer).is_some_and(Source::has_stream) {
                    download.lose(cx, now, peer, DropReason::Lost);
                }
            }),
            // The rest are wishes, not reports.
            _ => {}
        }
    }

    fn on_stop(&mut self, now: Timestamp, content: ContentId, stop: impl FnOnce(&mut Download)) {
        self.with(now, content, |download, cx| {
            stop(download);
            download.yielding = false;
            if !download.is_running() {
                download.leave_all(cx, now);
            }
            download.watch.on_progress(now);
            download.dirty = true;
        });
    }
}

/// [`DownloadCommand::Start`].
struct Start {
    content: ContentId,
    size_hint: Option<u64>,
    size: Option<u64>,
    have: gannet_base::GroupSet,
    priority: u8,
}

impl Core for Downloads {
    type Message = TransferMessage;
    type Command = DownloadCommand;
    type Event = DownloadEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: TransferMessage) {
        let content = message.content();
        self.with(now, content, |download, cx| match message {
            TransferMessage::Ready { size, have, .. } => {
                download.on_ready(cx, now, from, size, have);
            }
            TransferMessage::Queued { position, .. } => download.on_queued(cx, now, from, position),
            TransferMessage::Have { groups, .. } => download.on_have(cx, now, from, groups),
            TransferMessage::Given { groups, .. } => download.on_given(from, &groups),
            TransferMessage::Slice { slice, bytes, .. } => {
                download.on_slice(cx, now, from, slice, bytes.into());
            }
            TransferMessage::SliceRefused { slice, .. } => {
                download.on_slice_refused(cx, now, from, slice);
            }
            TransferMessage::Refused { reason, .. } => download.on_refused(cx, now, from, reason),
            // What fetchers say; a source that says it to us is ignored.
            TransferMessage::Ask { .. }
            | TransferMessage::Request { .. }
            | TransferMessage::Leave { .. }
            | TransferMessage::Cancel { .. } => {}
        });
    }

    fn handle_command(&mut self, now: Timestamp, command: DownloadCommand) {
        use DownloadCommand as C;
        match command {
            C::Start {
                content,
                size_hint,
                size,
                have,
                priority,
            } => self.on_start(
                now,
                Start {
                    content,
                    size_hint,
                    size,
                    have,
                    priority,
                },
            ),
            C::AddSource { content, peer } => {
                self.with(now, content, |download, cx| {
                    download.add_source(cx, now, peer);
                });
            }
            C::Pause { content } => self.on_stop(now, content, |download| download.paused = true),
            C::Resume { content } => self.on_stop(now, content, |download| download.paused = false),
            C::DiskFull { content } => {
                self.on_stop(now, content, |download| download.disk_full = true);
            }
            C::DiskOk { content } => {
                self.on_stop(now, content, |download| download.disk_full = false);
            }
            C::Cancel { content } => self.on_cancel(now, content),
            C::Want { content, groups } => {
                self.with(now, content, |download, _| download.on_want(groups));
            }
            C::Watch {
                content,
                first_group,
            } => {
                self.with(now, content, |download, _| download.watching = first_group);
            }
            C::Prioritise { content, priority } => {
                self.with(now, content, |download, _| download.priority = priority);
            }
            C::Received { .. }
            | C::Stored { .. }
            | C::NotStored { .. }
            | C::Corrupt { .. }
            | C::StreamClosed { .. } => self.on_report(now, command),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.shared.dialing.remove(&peer);
        match link {
            Link::Up => {
                self.shared.links.insert(peer);
                self.with_peer(now, peer, |download, cx| download.on_link_up(cx, now, peer));
            }
            Link::Down | Link::Unreachable => {
                self.shared.links.remove(&peer);
                let unreachable = link == Link::Unreachable;
                self.with_peer(now, peer, |download, cx| {
                    download.on_link_lost(cx, now, peer, unreachable);
                });
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.shared.timers.pop_due(now) {
            match timer {
                Timer::Download(content) => {
                    self.with(now, content, |download, _| download.dirty = true);
                }
                Timer::Source(content, peer) => {
                    self.with(now, content, |download, cx| {
                        download.on_source_timer(cx, now, peer);
                    });
                }
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<TransferMessage, DownloadEvent>> {
        self.shared.outbox.pop_front()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.shared.timers.next()
    }
}
