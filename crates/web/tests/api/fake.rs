//! A peer that remembers what it was asked and answers the same every time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gannet_base::{ContentId, FileEntry, PeerAddress, PeerId};
use gannet_node::api::{
    BrowsePage, Check, DownloadInfo, DownloadRequest, HeldFile, KeepRequest, KeptFile, LinkInfo,
    NodeEvent, PeerInfo, Pointer, Refused, RingMap, RingPlace, SearchState, SearchUpdate, SelfTest,
    Settings, SettingsChange, ShareInfo, SharedFile, SharedFiles, Status, UploadInfo, Verdict,
};
use gannet_node::{
    BrowseError, DownloadError, KeepError, LinkError, SearchError, SettingsError, ShareError,
    Stopped, ViewError,
};
use gannet_web::{Answer, ApiServer, Client, Limits, Peer, Reading, ServeOptions, serve};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, watch};

use crate::samples::{connected, content, download, held, kept, media, peer_id, status, upload};

/// Longer than anything here takes; a test that reaches it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    data_dir: TempDir,
    calls: Mutex<Vec<String>>,
    events: broadcast::Sender<NodeEvent>,
    stopped: watch::Sender<bool>,
    searches: Mutex<BTreeMap<u64, (SearchState, mpsc::Sender<SearchUpdate>)>>,
    shares: Mutex<Vec<ShareInfo>>,
    downloads: Mutex<u32>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            data_dir: tempfile::tempdir().unwrap(),
            calls: Mutex::default(),
            events: broadcast::Sender::new(8),
            stopped: watch::Sender::new(false),
            searches: Mutex::default(),
            shares: Mutex::default(),
            downloads: Mutex::new(1),
        }))
    }

    /// Serves it with these limits on any port.
    pub(crate) async fn serve(&self, limits: Limits) -> ApiServer {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ServeOptions {
            limits,
            ..listen.into()
        };
        serve(self.clone(), options).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.data_dir()).await.unwrap()
    }

    /// What it was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }

    fn note(&self, call: impl Into<String>) {
        self.0.calls.lock().unwrap().push(call.into());
    }

    /// Moves a search on.
    pub(crate) async fn update(&self, id: u64, update: SearchUpdate) {
        let sender = {
            let mut searches = self.0.searches.lock().unwrap();
            let (state, sender) = searches.get_mut(&id).unwrap();
            match update.clone() {
                SearchUpdate::Row(row) => {
                    state.rows.retain(|other| other.number != row.number);
                    state.rows.push(row);
                }
                SearchUpdate::End(end) => state.end = Some(end),
            }
            sender.clone()
        };
        // Nobody may listen.
        let _ = sender.send(update).await;
    }

    pub(crate) fn tell(&self, event: NodeEvent) -> usize {
        self.0.events.send(event).unwrap_or(0)
    }

    pub(crate) fn fill_shares(&self, shares: Vec<ShareInfo>) {
        *self.0.shares.lock().unwrap() = shares;
    }

    /// Has downloads 1 to `count` from now on.
    pub(crate) fn have_downloads(&self, count: u32) {
        *self.0.downloads.lock().unwrap() = count;
    }

    fn change(&self, what: &str, number: u32) -> Result<DownloadInfo, DownloadError> {
        self.note(format!("{what} {number}"));
        match number {
            1 => Ok(download(number)),
            2 => Err(DownloadError::Over {
                number,
                state: "complete",
            }),
            _ => Err(DownloadError::UnknownDownload { number }),
        }
    }

    fn share(path: PathBuf) -> ShareInfo {
        ShareInfo {
            path,
            name: "music".to_owned(),
            files: 1,
            bytes: 2,
            problem: None,
        }
    }
}

fn now<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Peer for Fake {
    fn peer_id(&self) -> PeerId {
        peer_id()
    }

    fn data_dir(&self) -> &Path {
        self.0.data_dir.path()
    }

    fn status(&self) -> Answer<'_, Result<Status, Stopped>> {
        self.note("status");
        now(Ok(status(self.data_dir())))
    }

    fn search<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>> {
        self.note(format!("search {query} {limit}"));
        if query.starts_with('-') {
            let text = "a search needs a word to look for";
            return now(Err(SearchError::Query(text.to_owned())));
        }
        let mut searches = self.0.searches.lock().unwrap();
        let id = u64::try_from(searches.len()).unwrap() + 1;
        let (sender, receiver) = mpsc::channel(64);
        let state = SearchState {
            id,
            query: query.to_owned(),
            rows: Vec::new(),
            end: None,
        };
        searches.insert(id, (state, sender));
        now(Ok((id, receiver)))
    }

    fn search_state(&self, id: Option<u64>) -> Answer<'_, Result<Option<SearchState>, Stopped>> {
        self.note(format!("search_state {id:?}"));
        let searches = self.0.searches.lock().unwrap();
        let id = id.or_else(|| searches.keys().last().copied());
        let found = id.and_then(|id| searches.get(&id));
        now(Ok(found.map(|(state, _)| state.clone())))
    }

    fn download(
        &self,
        request: DownloadRequest,
    ) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        self.note(format!("download {request:?}"));
        now(match request {
            DownloadRequest::Row { number, .. } => Err(DownloadError::UnknownSearch { number }),
            DownloadRequest::Link { .. } => Ok(download(1)),
        })
    }

    fn downloads(&self) -> Answer<'_, Result<Vec<DownloadInfo>, Stopped>> {
        self.note("downloads");
        let count = *self.0.downloads.lock().unwrap();
        now(Ok((1..=count).map(download).collect()))
    }

    fn pause(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        now(self.change("pause", number))
    }

    fn resume(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        now(self.change("resume", number))
    }

    fn cancel(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        now(self.change("cancel", number))
    }

    fn uploads(&self) -> Answer<'_, Result<Vec<UploadInfo>, Stopped>> {
        self.note("uploads");
        now(Ok(vec![upload()]))
    }

    fn peers(&self) -> Answer<'_, Result<Vec<PeerInfo>, Stopped>> {
        self.note("peers");
        now(Ok(vec![connected()]))
    }

    fn browse<'a>(
        &'a self,
        peer: &'a PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Answer<'a, Result<BrowsePage, BrowseError>> {
        self.note(format!("browse {} {offset} {limit}", peer.addresses.len()));
        if offset > 100 {
            let peer = peer.peer;
            return now(Err(BrowseError::Nonsense { peer }));
        }
        now(Ok(BrowsePage {
            peer: peer.peer,
            entries: vec![FileEntry {
                content: content(),
                size: 3,
                path: "music/x".to_owned(),
                media: media(),
            }],
            total: 1,
        }))
    }

    fn shares(&self) -> Answer<'_, Result<Vec<ShareInfo>, Stopped>> {
        self.note("shares");
        now(Ok(self.0.shares.lock().unwrap().clone()))
    }

    fn share_add(&self, path: PathBuf, force: bool) -> Answer<'_, Result<ShareInfo, ShareError>> {
        self.note(format!("share_add {} {force}", path.display()));
        now(Ok(Self::share(path)))
    }

    fn share_remove(&self, path: PathBuf) -> Answer<'_, Result<ShareInfo, ShareError>> {
        self.note(format!("share_remove {}", path.display()));
        if path.ends_with("unknown") {
            return now(Err(ShareError::NotShared { path }));
        }
        now(Ok(Self::share(path)))
    }

    fn link(&self, path: PathBuf) -> Answer<'_, Result<LinkInfo, LinkError>> {
        self.note(format!("link {}", path.display()));
        now(Ok(LinkInfo {
            link: "gannet:x".to_owned(),
            content: content(),
            size: 1,
            files: None,
            shared: true,
        }))
    }

    fn keep(&self, request: KeepRequest) -> Answer<'_, Result<KeptFile, KeepError>> {
        self.note(format!("keep {request:?}"));
        now(Ok(kept()))
    }

    fn kept(&self) -> Answer<'_, Result<Vec<KeptFile>, Stopped>> {
        self.note("kept");
        now(Ok(vec![kept()]))
    }

    fn unkeep(&self, content: ContentId) -> Answer<'_, Result<KeptFile, KeepError>> {
        self.note(format!("unkeep {content}"));
        now(if content == kept().content {
            Ok(kept())
        } else {
            Err(KeepError::NotKept { content })
        })
    }

    fn held(&self) -> Answer<'_, Result<Vec<HeldFile>, Stopped>> {
        self.note("held");
        now(Ok(vec![held()]))
    }

    fn refuse(&self, what: Refused) -> Answer<'_, Result<(), KeepError>> {
        self.note(format!("refuse {what:?}"));
        now(Ok(()))
    }

    fn allow(&self, what: Refused) -> Answer<'_, Result<(), KeepError>> {
        self.note(format!("allow {what:?}"));
        now(Ok(()))
    }

    fn refused(&self) -> Answer<'_, Result<Vec<Refused>, Stopped>> {
        self.note("refused");
        let (content, keeper) = (content(), peer_id());
        now(Ok(vec![
            Refused::Content { content },
            Refused::Keeper { keeper },
        ]))
    }

    fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.note("events");
        self.0.events.subscribe()
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        self.note("shutdown");
        self.0.stopped.send_replace(true);
        now(())
    }

    fn stopped(&self) -> Answer<'_, ()> {
        let mut stopped = self.0.stopped.subscribe();
        Box::pin(async move {
            stopped.wait_for(|stopped| *stopped).await.unwrap();
        })
    }

    fn search_aside<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>> {
        self.note("aside");
        self.search(query, limit)
    }

    fn settings(&self) -> Answer<'_, Result<Settings, Stopped>> {
        self.note("settings");
        now(Ok(Settings {
            hubs: vec![PeerAddress {
                peer: peer_id(),
                addresses: Vec::new(),
            }],
            ..Settings::default()
        }))
    }

    fn change_settings(
        &self,
        change: SettingsChange,
    ) -> Answer<'_, Result<Settings, SettingsError>> {
        self.note(format!("change_settings {change:?}"));
        now(match change.upload_slots {
            Some(found @ 101..) => Err(SettingsError::Range {
                name: "upload_slots",
                min: 1,
                max: 100,
                found: found.into(),
            }),
            _ => Ok(Settings::default()),
        })
    }

    fn prioritise(
        &self,
        number: u32,
        priority: u8,
    ) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        now(self.change(&format!("prioritise {priority}"), number))
    }

    fn shared_files(&self, offset: u64, limit: u32) -> Answer<'_, Result<SharedFiles, Stopped>> {
        self.note(format!("shared_files {offset} {limit}"));
        now(Ok(SharedFiles {
            files: vec![SharedFile {
                entry: FileEntry {
                    content: content(),
                    size: 3,
                    path: "music/x".to_owned(),
                    media: media(),
                },
                link: "gannet:x".to_owned(),
            }],
            total: 1,
        }))
    }

    fn ring_map(&self) -> Answer<'_, Result<RingMap, Stopped>> {
        self.note("ring_map");
        let places = [Pointer::Predecessor, Pointer::Successor, Pointer::Finger];
        let place = |pointer| RingPlace {
            peer: peer_id(),
            position: "0".repeat(32),
            pointer,
        };
        now(Ok(RingMap {
            position: Some("f".repeat(32)),
            places: places.map(place).into(),
        }))
    }

    fn self_test(&self) -> Answer<'_, Result<SelfTest, Stopped>> {
        self.note("self_test");
        let verdicts = [Verdict::Yes, Verdict::Partly, Verdict::No];
        let check = |verdict| Check {
            question: "Am I?".to_owned(),
            verdict,
            answer: "Perhaps.".to_owned(),
        };
        now(Ok(SelfTest {
            checks: verdicts.map(check).into(),
        }))
    }

    fn view(
        &self,
        wanted: ContentId,
        offset: u64,
    ) -> Answer<'_, Result<Box<dyn Reading>, ViewError>> {
        self.note(format!("view {offset}"));
        if wanted != content() {
            return now(Err(ViewError::Unknown { content: wanted }));
        }
        now(Ok(Box::new(Text) as Box<dyn Reading>))
    }
}

/// What every content is.
pub(crate) const TEXT: &str = "<script>alert(1)</script> and a little more";

struct Text;

impl Reading for Text {
    fn name(&self) -> &str {
        "a \"name\"\n.html"
    }

    fn size(&self) -> u64 {
        TEXT.len() as u64
    }

    // Three bytes at a time.
    fn read(&mut self, offset: u64) -> Answer<'_, Result<Bytes, ViewError>> {
        let start = usize::try_from(offset).unwrap();
        let end = TEXT.len().min(start + 3);
        now(Ok(Bytes::from_static(&TEXT.as_bytes()[start..end])))
    }
}
