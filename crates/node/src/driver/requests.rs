//! What a handle asks for.

use std::path::PathBuf;

use gannet_base::{ContentId, Core as _, FileEntry, GannetLink, LinkKind, PeerAddress, Query};
use gannet_index::Expression;
use gannet_overlay::locate::LocateCommand;
use gannet_swarm::DownloadCommand;

use super::Driver;
use super::downloads::DOWNLOADS_MAX;
use crate::api::{DownloadInfo, DownloadRequest, DownloadState};
use crate::browse::PAGE_ENTRIES_MAX;
use crate::error::{DownloadError, SearchError};
use crate::handle::{Change, Reply, Request, Started};
use crate::report::{Purpose, Report, Wish};
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
                let items = self.list.items.iter();
                let shown = items.filter(|(_, item)| item.part_of.is_none());
                let files = shown.filter_map(|(content, _)| self.info(*content));
                let folders = self.folders.list.keys();
                let folders = folders.filter_map(|id| self.folder_info(*id));
                let mut infos: Vec<DownloadInfo> = files.chain(folders).collect();
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
            Request::Keeping(request) => self.handle_keeping(request),
            Request::Page(request) => self.handle_page_request(request),
            Request::Shutdown => self.stopping = true,
        }
    }

    pub(super) fn search(&mut self, text: &str, limit: u32) -> Result<Started, SearchError> {
        let query = Query::new(text).map_err(|error| SearchError::Query(error.to_string()))?;
        Expression::parse(&query).map_err(|error| SearchError::Query(error.to_string()))?;
        let running = self.searches.running();
        if running >= RUNNING_MAX {
            return Err(SearchError::TooMany { running });
        }
        let limit = limit.clamp(1, ROWS_MAX);
        let (search, updates) = self.searches.start(query.text(), limit as usize);
        self.ask_overlays(Purpose::Search(search), |id| LocateCommand::Search {
            id,
            query,
            rows_max: limit,
        });
        Ok((search, updates))
    }

    fn download(
        &mut self,
        request: &DownloadRequest,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    ) {
        let wish = match self.wish(request) {
            Ok((wish, LinkKind::File)) => wish,
            Ok((wish, LinkKind::Folder)) => {
                self.download_folder(wish, reply);
                return;
            }
            Err(error) => {
                drop(reply.send(Err(error)));
                return;
            }
        };
        match self.is_known(wish.content) {
            Ok(true) => {
                let content = wish.content;
                self.downloads
                    .handle_command(self.clock.now(), DownloadCommand::Resume { content });
                self.add_wished_sources(wish);
                drop(reply.send(self.after_begin(content)));
            }
            Ok(false) => {
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
    fn wish(&self, request: &DownloadRequest) -> Result<(Wish, LinkKind), DownloadError> {
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
                let wish = Wish {
                    content: row.content,
                    name: row.name.clone(),
                    size_hint: Some(row.size),
                    sources: row.sources.iter().map(|known| source(known.peer)).collect(),
                };
                Ok((wish, LinkKind::File))
            }
            DownloadRequest::Link { link } => {
                let link: GannetLink = link.parse()?;
                let wish = Wish {
                    content: link.content,
                    name: link.name.unwrap_or_else(|| link.content.to_string()),
                    size_hint: link.size,
                    sources: link.peers,
                };
                Ok((wish, link.kind))
            }
        }
    }

    /// Whether a content is being downloaded.
    fn is_known(&mut self, content: ContentId) -> Result<bool, DownloadError> {
        let folder = self.list.items.get(&content).and_then(|item| item.part_of);
        if let Some(folder) = folder.and_then(|id| self.folder_info(id)) {
            return Err(DownloadError::PartOf {
                number: folder.number,
                name: folder.name,
            });
        }
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
                    let is_lent = self.lend_kept(&download);
                    if let Some(item) = self.list.items.get_mut(&content) {
                        item.download = Some(download);
                    }
                    if !is_lent {
                        self.start_fetching(content, wish.size_hint);
                    }
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
        if let Some(folder) = self.find_folder(number) {
            return self.change_folder(folder, change);
        }
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
    pub(super) fn finish_or_go_on(&mut self, content: ContentId) {
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
}
