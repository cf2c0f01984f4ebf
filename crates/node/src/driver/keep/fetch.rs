//! Fetching what is to be kept: with a download core of its own, so that it never
//! meets what the user fetches.
//!
//! One thing it must share with the user's downloads: peers take one stream for each
//! content. So while the user fetches a content, what is to be kept of it waits, and is
//! then taken from the user's copy.

use std::time::Duration;

use gannet_base::{BlockId, ContentId, Core as _, FileEntry, Output, PeerAddress, PeerId};
use gannet_overlay::dht::keep::KeepCommand;
use gannet_store::Download;
use gannet_swarm::{DownloadCommand, DownloadEvent, TransferMessage};

use super::super::Driver;
use super::super::links::Wanting;
use crate::fetch::FetchHandle;
use crate::keeping::{Job, Part, Stage};
use crate::report::{Committed, FetchNews, Purpose, Whose};

/// How long a block may take. The overlay believes in it for an hour.
const FETCH_MAX: Duration = Duration::from_secs(50 * 60);
/// How long nothing may come of a content before its blocks are given up.
// Guess: somebody else may have better luck, and holds the place meanwhile.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);
/// Ticks between tries to go on with what waits for a download of the user's.
const WAIT_TICKS: u64 = 5;

impl Driver {
    /// The core wants a block.
    pub(super) fn on_keep_fetch(
        &mut self,
        block: BlockId,
        entry: &FileEntry,
        from: Vec<PeerAddress>,
    ) {
        let now = self.now();
        let content = block.content;
        let part = self.keeping.part(now, entry);
        if part.entry.size != entry.size {
            // The size that was believed before was not proven.
            part.entry = entry.clone();
        }
        part.blocks
            .insert(block.index, Stage::Fetching { since: now });
        part.moved_at = now;
        tracing::debug!(
            content = %content.short(), index = block.index, sources = from.len(), "to be kept"
        );
        for source in from {
            let peer = source.peer;
            if peer != self.peer {
                self.net.add_addresses(source);
                self.add_kept_sources(content, vec![peer]);
            }
        }
        if self
            .keeping
            .parts
            .get(&content)
            .is_some_and(|part| part.is_running)
        {
            self.want_part(content);
        } else {
            self.open_part(content);
        }
    }

    pub(in super::super) fn add_kept_sources(&mut self, content: ContentId, peers: Vec<PeerId>) {
        for peer in peers {
            let own = self.peer;
            let Some(part) = self.keeping.parts.get_mut(&content) else {
                return;
            };
            if peer != own && (part.add_source(peer) || part.sources.contains(&peer)) {
                self.kept_download(DownloadCommand::AddSource { content, peer });
            }
        }
    }

    /// Has a part opened, and filled with what is here already.
    fn open_part(&mut self, content: ContentId) {
        let Some(part) = self.keeping.parts.get(&content) else {
            return;
        };
        let groups = part.groups();
        let bytes = groups.bytes(part.entry.size);
        let number = part.number;
        self.keeping.disk.send(Job::Open {
            content,
            number,
            groups,
            bytes,
        });
    }

    pub(super) fn on_part_opened(
        &mut self,
        content: ContentId,
        number: u64,
        result: Result<Download, String>,
    ) {
        let Some(part) = self.keeping.current(content, number) else {
            return;
        };
        match result {
            Ok(download) => {
                part.download = Some(download);
                self.settle_part(content);
                self.start_part(content);
            }
            Err(error) => {
                tracing::warn!(content = %content.short(), error, "cannot be kept");
                self.fail_part(content);
            }
        }
    }

    /// Gives up all blocks of a content that are still to come.
    fn fail_part(&mut self, content: ContentId) {
        let part = self.keeping.parts.get(&content);
        for index in part.map(Part::fetching).unwrap_or_default() {
            self.lose_block(BlockId { content, index }, false);
        }
        self.settle_part(content);
    }

    /// Commits what is complete, and ends when nothing is missing.
    fn settle_part(&mut self, content: ContentId) {
        let Some(part) = self.keeping.parts.get_mut(&content) else {
            return;
        };
        let Some(download) = part.download.clone() else {
            return;
        };
        if download.size().is_some_and(|size| size != part.entry.size) {
            tracing::warn!(content = %content.short(), "its size is not what its keeper says");
            part.download = None;
            self.fail_part(content);
            return;
        }
        let have = download.have();
        let complete = part.fetching().into_iter();
        let complete: Vec<u32> = complete
            .filter(|index| part.is_covered(*index, &have))
            .collect();
        for index in &complete {
            part.blocks.insert(*index, Stage::Saving);
        }
        let (is_whole, number) = (part.is_whole(), part.number);
        if !complete.is_empty() {
            self.keeping.disk.send(Job::Commit {
                download,
                number,
                blocks: complete,
            });
        }
        if is_whole {
            self.stop_fetching_part(content);
            // What was asked for before something was dropped may have come since.
            self.retain(content);
        }
    }

    /// Fetches what is missing, unless the user fetches the same content.
    fn start_part(&mut self, content: ContentId) {
        let waits = self.is_downloading(content);
        let part = self.keeping.parts.get_mut(&content);
        let Some(part) = part.filter(|part| !part.is_running && !waits) else {
            return;
        };
        let Some(download) = part.download.clone() else {
            return;
        };
        if part.fetching().is_empty() {
            return;
        }
        part.is_running = true;
        let start = DownloadCommand::Start {
            content,
            size_hint: Some(part.entry.size),
            size: download.size(),
            have: download.have(),
            priority: 0,
        };
        let sources: Vec<PeerId> = part.sources.iter().copied().collect();
        self.kept_download(start);
        self.want_part(content);
        for peer in sources {
            self.kept_download(DownloadCommand::AddSource { content, peer });
        }
    }

    /// Tells the download core what of a content is wanted.
    pub(super) fn want_part(&mut self, content: ContentId) {
        let part = self.keeping.parts.get(&content);
        if let Some(part) = part.filter(|part| part.is_running) {
            let groups = Some(part.groups());
            self.kept_download(DownloadCommand::Want { content, groups });
        }
    }

    /// Ends the fetching of a content, whatever is missing.
    pub(super) fn stop_fetching_part(&mut self, content: ContentId) {
        if let Some(part) = self.keeping.parts.get_mut(&content) {
            part.download = None;
            if std::mem::take(&mut part.is_running) {
                self.pause_part(content);
            }
        }
    }

    fn pause_part(&mut self, content: ContentId) {
        self.kept_download(DownloadCommand::Cancel { content });
        self.keeping
            .streams
            .retain(|(_, other), _| *other != content);
    }

    /// The user fetches a content from now on: what is to be kept of it waits.
    pub(in super::super) fn yield_part(&mut self, content: ContentId) {
        let part = self.keeping.parts.get_mut(&content);
        if part.is_some_and(|part| std::mem::take(&mut part.is_running)) {
            self.pause_part(content);
        }
    }

    /// Blocks are on the disk. They count when it is remembered, too, that they are to
    /// be there: after a crash they would be deleted otherwise.
    pub(super) fn on_committed(&mut self, committed: Committed) {
        if self.is_kept_saved() {
            self.hold_committed(committed);
        } else {
            self.keeping.committed.push(committed);
        }
    }

    pub(super) fn hold_committed(&mut self, committed: Committed) {
        let Committed {
            content,
            number,
            blocks,
            result,
        } = committed;
        let Some(part) = self.keeping.current(content, number) else {
            return;
        };
        if let Err(error) = &result {
            tracing::warn!(content = %content.short(), error, "cannot be kept");
        }
        let have = part.download.as_ref().map(Download::have);
        let have = have.filter(|_| result.is_ok()).unwrap_or_default();
        for index in blocks {
            let block = BlockId { content, index };
            let Some(part) = self.keeping.current(content, number) else {
                return;
            };
            if part.blocks.get(&index) != Some(&Stage::Saving) {
                continue;
            }
            if part.is_covered(index, &have) {
                part.blocks.insert(index, Stage::Here);
                tracing::debug!(content = %content.short(), index, "kept");
                self.keep_command(KeepCommand::Held(block));
            } else {
                self.lose_block(block, false);
            }
        }
        self.tell_growth(content);
        self.settle_part(content);
    }

    /// Once a second: what does not come is given up, what waited goes on.
    pub(super) fn tick_parts(&mut self) {
        let now = self.now();
        let parts = self.keeping.parts.iter();
        let busy: Vec<ContentId> = parts
            .filter(|(_, part)| !part.is_whole())
            .map(|(content, _)| *content)
            .collect();
        for content in busy {
            let Some(part) = self.keeping.parts.get(&content) else {
                continue;
            };
            let overdue = part.overdue(now, FETCH_MAX, IDLE_MAX);
            let waits = !part.is_running && part.download.is_some();
            for index in overdue {
                tracing::info!(content = %content.short(), index, "does not come");
                self.lose_block(BlockId { content, index }, false);
            }
            if waits && self.ticks.is_multiple_of(WAIT_TICKS) && !self.is_downloading(content) {
                self.open_part(content);
            }
            self.settle_part(content);
        }
    }

    pub(in super::super) fn on_kept_output(
        &mut self,
        output: Output<TransferMessage, DownloadEvent>,
    ) {
        match output {
            Output::Send { to, message } => self.send_for_kept(to, message),
            Output::Dial { peer } => self.dial(Wanting::Kept, peer),
            Output::Disconnect { peer } => self.hang_up(Wanting::Kept, peer),
            Output::Event(DownloadEvent::Close { content, peer }) => {
                self.keeping.streams.remove(&(peer, content));
            }
            Output::Event(DownloadEvent::NeedSources { content, .. }) => {
                self.ask_for(Purpose::KeptSources(content), content);
            }
            Output::Event(DownloadEvent::SourceDropped {
                content,
                peer,
                reason,
                ..
            }) => {
                tracing::debug!(
                    peer = %peer.short(), content = %content.short(), ?reason, "source of a kept part dropped"
                );
            }
            // What is complete is seen when it is stored.
            Output::Event(_) => {}
        }
    }

    fn send_for_kept(&mut self, peer: PeerId, message: TransferMessage) {
        let content = message.content();
        let key = (peer, content);
        let part = self.keeping.parts.get(&content);
        if let Some(handle) = self.keeping.streams.get(&key) {
            if handle.send(message) {
                return;
            }
            self.keeping.streams.remove(&key);
        } else if matches!(message, TransferMessage::Ask { .. })
            && let Some(download) = part.and_then(|part| part.download.clone())
        {
            self.tally.next_stream += 1;
            let stream = self.tally.next_stream;
            let whose = (Whose::Kept, download);
            let handle = FetchHandle::open(self.fetch.clone(), peer, whose, stream);
            if handle.send(message) {
                self.keeping.streams.insert(key, handle);
                return;
            }
        }
        self.kept_download(DownloadCommand::StreamClosed { content, peer });
    }

    pub(in super::super) fn on_kept_news(
        &mut self,
        content: ContentId,
        peer: PeerId,
        stream: u64,
        news: FetchNews,
    ) {
        let now = self.now();
        let current = self.keeping.streams.get(&(peer, content));
        let is_current = current.is_some_and(|handle| handle.stream == stream);
        let is_stored = matches!(news, FetchNews::Stored { .. });
        match &news {
            FetchNews::Stored { groups, .. } => {
                if let Some(part) = self.keeping.parts.get_mut(&content) {
                    part.moved_at = now;
                    self.tally.received(groups.bytes(part.entry.size));
                }
            }
            _ if !is_current => return,
            FetchNews::Corrupt { .. } => {
                tracing::warn!(peer = %peer.short(), content = %content.short(), "sent wrong bytes");
            }
            FetchNews::DiskFull { .. } => {
                tracing::warn!(content = %content.short(), "the disk is full: it is not kept");
                self.fail_part(content);
                return;
            }
            FetchNews::Closed => drop(self.keeping.streams.remove(&(peer, content))),
            FetchNews::Message(_) | FetchNews::Received(_) | FetchNews::NotStored { .. } => {}
        }
        // What an older stream wrote counts too, but as nobody's answer.
        let peer = if is_current { peer } else { self.peer };
        match news.into_command(content, peer) {
            Ok(command) => self.kept_download(command),
            Err(message) => self.keeping.downloads.handle_message(now, peer, message),
        }
        if is_stored {
            self.settle_part(content);
        }
    }

    /// The user wants a file of which parts are kept here: those are taken first. Until
    /// then it does not run. Returns whether there are any.
    pub(in super::super) fn lend_kept(&mut self, download: &Download) -> bool {
        let has_any = self.keeping.has_any(download.content());
        if has_any {
            self.keeping.disk.send(Job::Lend(download.clone()));
        }
        has_any
    }

    /// The user's download has what was kept: the rest is fetched.
    pub(super) fn on_lent(&mut self, content: ContentId) {
        let Some(item) = self.list.items.get_mut(&content) else {
            return;
        };
        let Some(download) = &item.download else {
            return;
        };
        item.have = download.have();
        item.size = download.size();
        let sources = std::mem::take(&mut item.sources);
        let is_paused = download.record().state == gannet_store::DownloadState::Paused;
        self.start_fetching(content, None);
        if is_paused {
            let now = self.now();
            self.downloads
                .handle_command(now, DownloadCommand::Pause { content });
        }
        self.add_sources(content, sources);
        self.finish_or_go_on(content);
    }
}
