//! The seam between the routes and the node.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gannet_base::{ContentId, PeerAddress, PeerId};
use gannet_node::api::{
    BrowsePage, DownloadInfo, DownloadRequest, HeldFile, KeepRequest, KeptFile, LinkInfo,
    NodeEvent, PeerInfo, Refused, RingMap, SearchState, SearchUpdate, SelfTest, Settings,
    SettingsChange, ShareInfo, SharedFiles, Status, UploadInfo,
};
use gannet_node::{
    BrowseError, DownloadError, KeepError, LinkError, Node, SearchError, SettingsError, ShareError,
    Stopped, View, ViewError,
};
use tokio::sync::{broadcast, mpsc};

/// An answer on its way.
pub type Answer<'a, T> = BoxFuture<'a, T>;

/// A content that is being read: [`View`], behind an object-safe trait.
#[expect(missing_docs, reason = "each is the method of `View` with its name")]
pub trait Reading: Send {
    fn name(&self) -> &str;
    fn size(&self) -> u64;
    fn read(&mut self, offset: u64) -> Answer<'_, Result<Bytes, ViewError>>;
}

impl Reading for View {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn size(&self) -> u64 {
        Self::size(self)
    }

    fn read(&mut self, offset: u64) -> Answer<'_, Result<Bytes, ViewError>> {
        Box::pin(Self::read(self, offset))
    }
}

/// What the API asks of a peer: the methods of [`Node`], one to one, behind an
/// object-safe trait. See there for what each does.
#[expect(missing_docs, reason = "each is the method of `Node` with its name")]
pub trait Peer: Send + Sync + 'static {
    fn peer_id(&self) -> PeerId;
    fn data_dir(&self) -> &Path;
    fn status(&self) -> Answer<'_, Result<Status, Stopped>>;
    fn search<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>>;
    fn search_state(&self, id: Option<u64>) -> Answer<'_, Result<Option<SearchState>, Stopped>>;
    fn download(&self, request: DownloadRequest)
    -> Answer<'_, Result<DownloadInfo, DownloadError>>;
    fn downloads(&self) -> Answer<'_, Result<Vec<DownloadInfo>, Stopped>>;
    fn pause(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>>;
    fn resume(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>>;
    fn cancel(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>>;
    fn uploads(&self) -> Answer<'_, Result<Vec<UploadInfo>, Stopped>>;
    fn peers(&self) -> Answer<'_, Result<Vec<PeerInfo>, Stopped>>;
    fn browse<'a>(
        &'a self,
        peer: &'a PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Answer<'a, Result<BrowsePage, BrowseError>>;
    fn shares(&self) -> Answer<'_, Result<Vec<ShareInfo>, Stopped>>;
    fn share_add(&self, path: PathBuf, force: bool) -> Answer<'_, Result<ShareInfo, ShareError>>;
    fn share_remove(&self, path: PathBuf) -> Answer<'_, Result<ShareInfo, ShareError>>;
    fn link(&self, path: PathBuf) -> Answer<'_, Result<LinkInfo, LinkError>>;
    fn keep(&self, request: KeepRequest) -> Answer<'_, Result<KeptFile, KeepError>>;
    fn kept(&self) -> Answer<'_, Result<Vec<KeptFile>, Stopped>>;
    fn unkeep(&self, content: ContentId) -> Answer<'_, Result<KeptFile, KeepError>>;
    fn held(&self) -> Answer<'_, Result<Vec<HeldFile>, Stopped>>;
    fn refuse(&self, what: Refused) -> Answer<'_, Result<(), KeepError>>;
    fn allow(&self, what: Refused) -> Answer<'_, Result<(), KeepError>>;
    fn refused(&self) -> Answer<'_, Result<Vec<Refused>, Stopped>>;
    fn events(&self) -> broadcast::Receiver<NodeEvent>;
    fn shutdown(&self) -> Answer<'_, ()>;
    fn stopped(&self) -> Answer<'_, ()>;
    fn search_aside<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>>;
    fn settings(&self) -> Answer<'_, Result<Settings, Stopped>>;
    fn change_settings(
        &self,
        change: SettingsChange,
    ) -> Answer<'_, Result<Settings, SettingsError>>;
    fn prioritise(
        &self,
        number: u32,
        priority: u8,
    ) -> Answer<'_, Result<DownloadInfo, DownloadError>>;
    fn shared_files(&self, offset: u64, limit: u32) -> Answer<'_, Result<SharedFiles, Stopped>>;
    fn ring_map(&self) -> Answer<'_, Result<RingMap, Stopped>>;
    fn self_test(&self) -> Answer<'_, Result<SelfTest, Stopped>>;
    fn view(
        &self,
        content: ContentId,
        offset: u64,
    ) -> Answer<'_, Result<Box<dyn Reading>, ViewError>>;
}

impl Peer for Node {
    fn peer_id(&self) -> PeerId {
        Node::peer_id(self)
    }

    fn data_dir(&self) -> &Path {
        Node::data_dir(self)
    }

    fn status(&self) -> Answer<'_, Result<Status, Stopped>> {
        Box::pin(Node::status(self))
    }

    fn search<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>> {
        Box::pin(Node::search(self, query, limit))
    }

    fn search_state(&self, id: Option<u64>) -> Answer<'_, Result<Option<SearchState>, Stopped>> {
        Box::pin(Node::search_state(self, id))
    }

    fn download(
        &self,
        request: DownloadRequest,
    ) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        Box::pin(Node::download(self, request))
    }

    fn downloads(&self) -> Answer<'_, Result<Vec<DownloadInfo>, Stopped>> {
        Box::pin(Node::downloads(self))
    }

    fn pause(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        Box::pin(Node::pause(self, number))
    }

    fn resume(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        Box::pin(Node::resume(self, number))
    }

    fn cancel(&self, number: u32) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        Box::pin(Node::cancel(self, number))
    }

    fn uploads(&self) -> Answer<'_, Result<Vec<UploadInfo>, Stopped>> {
        Box::pin(Node::uploads(self))
    }

    fn peers(&self) -> Answer<'_, Result<Vec<PeerInfo>, Stopped>> {
        Box::pin(Node::peers(self))
    }

    fn browse<'a>(
        &'a self,
        peer: &'a PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Answer<'a, Result<BrowsePage, BrowseError>> {
        Box::pin(Node::browse(self, peer, offset, limit))
    }

    fn shares(&self) -> Answer<'_, Result<Vec<ShareInfo>, Stopped>> {
        Box::pin(Node::shares(self))
    }

    fn share_add(&self, path: PathBuf, force: bool) -> Answer<'_, Result<ShareInfo, ShareError>> {
        Box::pin(Node::share_add(self, path, force))
    }

    fn share_remove(&self, path: PathBuf) -> Answer<'_, Result<ShareInfo, ShareError>> {
        Box::pin(Node::share_remove(self, path))
    }

    fn link(&self, path: PathBuf) -> Answer<'_, Result<LinkInfo, LinkError>> {
        Box::pin(Node::link(self, path))
    }

    fn keep(&self, request: KeepRequest) -> Answer<'_, Result<KeptFile, KeepError>> {
        Box::pin(Node::keep(self, request))
    }

    fn kept(&self) -> Answer<'_, Result<Vec<KeptFile>, Stopped>> {
        Box::pin(Node::kept(self))
    }

    fn unkeep(&self, content: ContentId) -> Answer<'_, Result<KeptFile, KeepError>> {
        Box::pin(Node::unkeep(self, content))
    }

    fn held(&self) -> Answer<'_, Result<Vec<HeldFile>, Stopped>> {
        Box::pin(Node::held(self))
    }

    fn refuse(&self, what: Refused) -> Answer<'_, Result<(), KeepError>> {
        Box::pin(Node::refuse(self, what))
    }

    fn allow(&self, what: Refused) -> Answer<'_, Result<(), KeepError>> {
        Box::pin(Node::allow(self, what))
    }

    fn refused(&self) -> Answer<'_, Result<Vec<Refused>, Stopped>> {
        Box::pin(Node::refused(self))
    }

    fn events(&self) -> broadcast::Receiver<NodeEvent> {
        Node::events(self)
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        Box::pin(Node::shutdown(self))
    }

    fn stopped(&self) -> Answer<'_, ()> {
        Box::pin(Node::stopped(self))
    }

    fn search_aside<'a>(
        &'a self,
        query: &'a str,
        limit: u32,
    ) -> Answer<'a, Result<(u64, mpsc::Receiver<SearchUpdate>), SearchError>> {
        Box::pin(Node::search_aside(self, query, limit))
    }

    fn settings(&self) -> Answer<'_, Result<Settings, Stopped>> {
        Box::pin(Node::settings(self))
    }

    fn change_settings(
        &self,
        change: SettingsChange,
    ) -> Answer<'_, Result<Settings, SettingsError>> {
        Box::pin(Node::change_settings(self, change))
    }

    fn prioritise(
        &self,
        number: u32,
        priority: u8,
    ) -> Answer<'_, Result<DownloadInfo, DownloadError>> {
        Box::pin(Node::prioritise(self, number, priority))
    }

    fn shared_files(&self, offset: u64, limit: u32) -> Answer<'_, Result<SharedFiles, Stopped>> {
        Box::pin(Node::shared_files(self, offset, limit))
    }

    fn ring_map(&self) -> Answer<'_, Result<RingMap, Stopped>> {
        Box::pin(Node::ring_map(self))
    }

    fn self_test(&self) -> Answer<'_, Result<SelfTest, Stopped>> {
        Box::pin(Node::self_test(self))
    }

    fn view(
        &self,
        content: ContentId,
        offset: u64,
    ) -> Answer<'_, Result<Box<dyn Reading>, ViewError>> {
        Box::pin(async move {
            let view = Node::view(self, content, offset).await?;
            Ok(Box::new(view) as Box<dyn Reading>)
        })
    }
}
