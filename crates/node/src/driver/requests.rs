//! What a handle asks for.

use std::path::{Path, PathBuf};

use gannet_base::{ContentId, Core as _, FileEntry, GannetLink, PeerAddress, Query};
use gannet_index::Expression;
use gannet_overlay::hub::HubClientCommand;
use gannet_store::{ScanSummary, StoreEvent};
use gannet_swarm::DownloadCommand;

use super::Driver;
use super::downloads::DOWNLOADS_MAX;
use crate::api::{DownloadInfo, DownloadRequest, DownloadState, LinkInfo, NodeEvent, ShareInfo};
use crate::browse::PAGE_ENTRIES_MAX;
use crate::error::{DownloadError, LinkError, SearchError, ShareError};
use crate::handle::{Change, Reply, Request, Started};
use crate::report::{Purpose, Report, SharedChange, Wish};
use crate::scanner::Order;
use crate::searches::RUNNING_MAX;

/// Most rows of a search.
// Guess: more than anybody reads; a program pages.
const ROWS_MAX: u32 = 1_000;

impl Driver {
    /// Answers a request, now or from a task. Whoever asked may have gone:
    /// answers that nobody takes are dropped.
    pub(super) fn handle_request(&mut self, request: Request) {
        match request {
            Request::Status(reply) => drop(reply.send(self.status())),
            Request::Search {
                query,
                limit,
                reply,
            } => {
                drop(reply.send(self.search(&query, limit)));
            }
            Request::SearchState { id, reply } => {
                drop(reply.send(self.searches.state(id).cloned()));
            }
            Request::Download { request, reply } => self.download(&request, reply),
            Request::Downloads(reply) => {
                let contents = self.list.items.keys();
                let mut infos: Vec<DownloadInfo> =
                    contents.filter_map(|content| self.info(*content)).collect();
                infos.sort_by_key(|info| info.number);
                drop(reply.send(infos));
            }
            Request::Change {
                number,
                change,
                reply,
            } => {
                drop(reply.send(self.change_download(number, change)));
            }
            Request::Uploads(reply) => drop(reply.send(self.upload_infos())),
            Request::Peers(reply) => drop(reply.send(self.peer_infos())),
            Request::Browse {
                peer,
                offset,
                limit,
                reply,
            } => {
                let id = peer.peer;
                self.net.add_user_addresses(peer);
                self.browse(id, offset, limit, reply);
            }
            Request::Shares(reply) => self.list_shares(reply),
            Request::ShareAdd { path, force, reply } => self.add_share(path, force, reply),
            Request::ShareRemove { path, reply } => self.remove_share(path, reply),
            Request::Link { path, reply } => self.link(path, reply),
            Request::Shutdown => self.stopping = true,
        }
    }

    fn search(&mut self, text: &str, limit: u32) -> Result<Started, SearchError> {
        let query = Query::new(text).map_err(|error| SearchError::Query(error.to_string()))?;
        Expression::parse(&query).map_err(|error| SearchError::Query(error.to_string()))?;
        let running = self.searches.running();
        if running >= RUNNING_MAX {
            return Err(SearchError::TooMany { running });
        }
        let limit = limit.clamp(1, ROWS_MAX);
        let now = self.now();
        let (search, updates) = self.searches.start(now, query.text(), limit as usize);
        match self.questions.ask(Purpose::Search(search)) {
            Some(id) => {
                let command = HubClientCommand::Search { id, query, limit };
                self.hub_client.handle_command(now, command);
            }
            None => self.searches.on_end(search, Vec::new(), 0),
        }
        Ok((search, updates))
    }

    fn download(
        &mut self,
        request: &DownloadRequest,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    ) {
        let begun = self.wish(request).and_then(|wish| {
            let known = self.is_known(wish.content)?;
            Ok((wish, known))
        });
        match begun {
            Ok((wish, true)) => {
                let content = wish.content;
                self.downloads
                    .handle_command(self.clock.now(), DownloadCommand::Resume { content });
                self.add_wished_sources(wish);
                drop(reply.send(self.after_begin(content)));
            }
            Ok((wish, false)) => {
                let store = self.store.clone();
                let reports = self.reports.clone();
                self.tasks.spawn_blocking(move || {
                    let result = store.create_download(wish.content, &wish.name);
                    // The driver is gone only when everything is.
                    let _ = reports.blocking_send(Report::Created {
                        wish,
                        result,
                        reply,
                    });
                });
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// What is to be downloaded, and from whom.
    fn wish(&self, request: &DownloadRequest) -> Result<Wish, DownloadError> {
        match request {
            DownloadRequest::Row { search, number } => {
                let unknown = DownloadError::UnknownSearch { number: *number };
                let state = self.searches.state(*search).ok_or(unknown)?;
                let row = state
                    .rows
                    .iter()
                    .find(|row| row.number == *number)
                    .ok_or_else(|| DownloadError::UnknownRow {
                        number: *number,
                        query: state.query.clone(),
                        rows: state.rows.len(),
                    })?;
                let source = |peer| PeerAddress {
                    peer,
                    addresses: Vec::new(),
                };
                Ok(Wish {
                    content: row.content,
                    name: row.name.clone(),
                    size_hint: Some(row.size),
                    sources: row.sources.iter().map(|known| source(known.peer)).collect(),
                })
            }
            DownloadRequest::Link { link } => {
                let link: GannetLink = link.parse()?;
                Ok(Wish {
                    content: link.content,
                    name: link.name.unwrap_or_else(|| link.content.to_string()),
                    size_hint: link.size,
                    sources: link.peers,
                })
            }
        }
    }

    /// Whether a content is being downloaded.
    fn is_known(&mut self, content: ContentId) -> Result<bool, DownloadError> {
        match self.list.items.get(&content).map(|item| item.path.clone()) {
            Some(Some(path)) if path.exists() => return Err(DownloadError::AlreadyHave { path }),
            // It was finished and the user has removed it since: again.
            Some(Some(_)) => self.forget(content),
            Some(None) => return Ok(true),
            None => {}
        }
        if let Some(row) = self.own.holders(content, 1)
            && let Some(hit) = row.hits.first()
        {
            return Err(DownloadError::AlreadyHave {
                path: PathBuf::from(&hit.entry().path),
            });
        }
        if self.list.items.len() >= DOWNLOADS_MAX {
            return Err(DownloadError::TooMany { max: DOWNLOADS_MAX });
        }
        Ok(false)
    }

    pub(super) fn on_created(
        &mut self,
        wish: Wish,
        result: Result<gannet_store::Download, gannet_store::DownloadError>,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    ) {
        let content = wish.content;
        let answer = match result {
            Ok(download) => {
                // Asked for twice at once: the first to come has made it.
                if !self.list.items.contains_key(&content) {
                    let now = self.now();
                    self.list.add(content, now, &download.record());
                    if let Some(item) = self.list.items.get_mut(&content) {
                        item.download = Some(download);
                    }
                    self.start_fetching(content, wish.size_hint);
                }
                self.add_wished_sources(wish);
                self.after_begin(content)
            }
            Err(error) => Err(DownloadError::Store(error.to_string())),
        };
        drop(reply.send(answer));
    }

    fn add_wished_sources(&mut self, wish: Wish) {
        let (content, sources) = (wish.content, wish.sources);
        let peers = sources.iter().map(|source| source.peer).collect();
        for source in sources {
            if source.peer != self.peer && !source.addresses.is_empty() {
                self.net.add_user_addresses(source);
            }
        }
        self.add_sources(content, peers);
    }

    fn after_begin(&mut self, content: ContentId) -> Result<DownloadInfo, DownloadError> {
        self.drain();
        self.info(content)
            .ok_or_else(|| DownloadError::Store("it ended at once".to_owned()))
    }

    fn change_download(
        &mut self,
        number: u32,
        change: Change,
    ) -> Result<DownloadInfo, DownloadError> {
        let unknown = DownloadError::UnknownDownload { number };
        let content = self.list.find(number).ok_or_else(|| unknown.clone())?;
        let info = self.info(content).ok_or(unknown)?;
        let now = self.now();
        if change == Change::Cancel {
            self.forget(content);
            return Ok(info);
        }
        if info.state == DownloadState::Complete {
            return Err(DownloadError::Over {
                number,
                state: "complete",
            });
        }
        let pause = change == Change::Pause;
        if let Some(item) = self.list.items.get_mut(&content) {
            if let Some(download) = item.download.clone() {
                let set = move || download.set_paused(pause);
                self.tasks.spawn_blocking(move || {
                    if let Err(error) = set() {
                        tracing::warn!(%error, "the pause is not remembered");
                    }
                });
            }
            if item.state == DownloadState::Failed && !pause {
                item.ended = None;
                self.finish_or_go_on(content);
            }
        }
        let command = if pause {
            DownloadCommand::Pause { content }
        } else {
            DownloadCommand::Resume { content }
        };
        self.downloads.handle_command(now, command);
        self.after_begin(content)
    }

    /// A failed download is tried again from where it failed.
    fn finish_or_go_on(&mut self, content: ContentId) {
        let Some(item) = self.list.items.get(&content) else {
            return;
        };
        if item.size.is_some_and(|size| item.have.is_whole(size)) {
            self.finish(content);
        }
    }

    /// Ends a download and deletes what it has; a finished file stays.
    fn forget(&mut self, content: ContentId) {
        self.withdraw_partial(content);
        self.downloads
            .handle_command(self.clock.now(), DownloadCommand::Cancel { content });
        self.tally.streams.retain(|(_, other), _| *other != content);
        let finished = self
            .list
            .items
            .remove(&content)
            .is_some_and(|item| item.path.is_some());
        if !finished {
            self.withdraw_content(content);
        }
        let store = self.store.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = store.forget_download(content) {
                tracing::warn!(content = %content.short(), %error, "not forgotten");
            }
        });
    }

    /// The own entries in path order, for those who browse.
    pub(super) fn own_entries(&self, offset: u64, limit: u32) -> (u64, Vec<FileEntry>) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let limit = limit.min(PAGE_ENTRIES_MAX) as usize;
        let holdings = self.own.holdings(self.peer, offset, limit);
        let entries = holdings
            .publications
            .into_iter()
            .map(|publication| publication.entry);
        (holdings.total, entries.collect())
    }

    fn list_shares(&self, reply: Reply<Vec<ShareInfo>>) {
        let store = self.store.clone();
        self.tasks.spawn_blocking(move || {
            let shares = store.shares().unwrap_or_else(|error| {
                tracing::error!(%error, "the shares cannot be listed");
                Vec::new()
            });
            drop(reply.send(shares.into_iter().map(share_info).collect()));
        });
    }

    fn add_share(&self, path: PathBuf, force: bool, reply: Reply<Result<ShareInfo, ShareError>>) {
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

    fn remove_share(&self, path: PathBuf, reply: Reply<Result<ShareInfo, ShareError>>) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let removed = store.remove_share(&path, &mut |change| {
                if let gannet_store::ShareChange::Removed { content, path } = change {
                    let change = SharedChange::Withdrawn(content, path);
                    let _ = reports.blocking_send(Report::Share(change));
                }
            });
            let answer = removed.map(share_info).map_err(|error| match error {
                gannet_store::ShareError::NotShared { .. } => ShareError::NotShared { path },
                error => refused(path, &error),
            });
            drop(reply.send(answer));
        });
    }

    fn link(&self, path: PathBuf, reply: Reply<Result<LinkInfo, LinkError>>) {
        let store = self.store.clone();
        let address = self.address.clone();
        self.tasks.spawn_blocking(move || {
            let entry = store
                .link_target(&path)
                .map_err(|error| link_error(path, &error));
            drop(reply.send(entry.map(|entry| link_info(&entry, address))));
        });
    }

    pub(super) fn begin_shares(&mut self) {
        self.watch();
        let Some(scanner) = &self.scanner else { return };
        // Both fit: the queue is empty.
        let _ = scanner.order(Order::Publish);
        let _ = scanner.order(Order::Scan);
    }

    /// Watches what is shared now, if shares are looked after at all.
    fn watch(&mut self) {
        if self.scanner.is_none() {
            return;
        }
        match self.store.watch() {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "changes of shared files are noticed at scans only");
                self.watcher = None;
            }
        }
    }

    pub(super) fn on_store_event(&mut self, event: StoreEvent) {
        let order = match event {
            StoreEvent::Withdrawn { content, path } => {
                let (mut published, mut withdrawn) = (Vec::new(), Vec::new());
                let change = SharedChange::Withdrawn(content, path);
                self.collect_change(change, &mut published, &mut withdrawn);
                self.announce_changes(published, withdrawn);
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

fn link_info(entry: &FileEntry, address: PeerAddress) -> LinkInfo {
    let link = GannetLink {
        content: entry.content,
        name: Some(Path::new(entry.name()).display().to_string()),
        size: Some(entry.size),
        peers: vec![address],
    };
    LinkInfo {
        link: link.to_string(),
        content: entry.content,
        size: entry.size,
        shared: true,
    }
}
