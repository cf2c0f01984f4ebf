//! Nodes in temporary directories, and waiting with a deadline.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId};
use gannet_node::api::{DownloadInfo, DownloadRequest, DownloadState, SearchRow, SearchUpdate};
use gannet_node::{BulkRoad, Node, NodeConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longest that anything may take: a loaded machine is slow, a hang is for ever.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// A node and its folders; both go when it is dropped.
pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) dir: TempDir,
}

pub(crate) fn config(dir: &Path) -> NodeConfig {
    let mut config = NodeConfig::new(dir.join("data"));
    config.download_dir = dir.join("downloads");
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.local_discovery = false;
    config.bulk_road = road();
    config
}

tokio::task_local! {
    /// By which road the nodes of a test are to send.
    pub(crate) static ROAD: BulkRoad;
}

/// The road of this test, the default unless it runs [`on_both_roads`].
pub(crate) fn road() -> BulkRoad {
    ROAD.try_with(|road| *road).unwrap_or_default()
}

/// Makes two tests of each of these functions: everything by QUIC, and
/// everything by TCP.
macro_rules! on_both_roads {
    ($($name:ident,)*) => {
        mod by_quic {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let test = super::$name();
                    crate::support::ROAD.scope(gannet_node::BulkRoad::Quic, test).await;
                }
            )*
        }
        mod by_tcp {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let test = super::$name();
                    crate::support::ROAD.scope(gannet_node::BulkRoad::Tcp, test).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_roads;

pub(crate) fn temp_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("gannet-test")
        .tempdir()
        .unwrap()
}

/// Starts a node, after `change` had its way with the configuration.
pub(crate) async fn start(change: impl FnOnce(&mut NodeConfig)) -> Peer {
    let dir = temp_dir();
    let mut config = config(dir.path());
    change(&mut config);
    let node = Node::start(config).await.expect("the node starts");
    Peer { node, dir }
}

pub(crate) async fn hub() -> Peer {
    start(|config| config.hub_server = true).await
}

/// A peer with a runtime of its own: it can hang and die as a process does,
/// without a word to anybody.
pub(crate) struct Island {
    pub(crate) peer: Peer,
    runtime: Option<Runtime>,
}

impl Island {
    /// It shares these files; `change` has its way with the configuration.
    pub(crate) async fn start(
        files: &[(&str, Vec<u8>)],
        change: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let (dir, config) = with_files(files, change);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let node = runtime.spawn(Node::start(config)).await.unwrap();
        let node = node.expect("the node starts");
        let peer = Peer { node, dir };
        Self {
            peer,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.peer.node.peer_id()
    }

    /// It answers nothing any more, until it is killed.
    pub(crate) fn hang(&self) -> mpsc::Sender<()> {
        let (go_on, hung) = mpsc::channel::<()>();
        if let Some(runtime) = &self.runtime {
            // Its only thread waits here.
            runtime.spawn(async move { hung.recv().unwrap_or_default() });
        }
        go_on
    }
}

/// As by `kill -9`: nobody is told.
impl Drop for Island {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Peer {
    pub(crate) async fn address(&self) -> PeerAddress {
        self.node.status().await.unwrap().address
    }

    /// The folder that it shares.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
    }
}

/// The place and the configuration of a peer that shares these files, after
/// `change` had its way.
pub(crate) fn with_files(
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> (TempDir, NodeConfig) {
    let dir = temp_dir();
    let shared = dir.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    for (name, bytes) in files {
        std::fs::write(shared.join(name), bytes).unwrap();
    }
    let mut config = config(dir.path());
    config.shares = vec![shared];
    change(&mut config);
    (dir, config)
}

/// Waits until so many files are shared, all hashed.
pub(crate) async fn shares(peer: &Peer, files: usize) {
    until("the files are shared", async || {
        let status = peer.node.status().await.unwrap();
        let is_all = status.shares.files >= files as u64;
        (is_all && status.shares.scanning.is_none()).then_some(())
    })
    .await;
}

/// A download of this row of the latest search.
pub(crate) fn row(number: u32) -> DownloadRequest {
    DownloadRequest::Row {
        search: None,
        number,
    }
}

/// Searches until something is found: others may not have heard yet of what
/// has just been shared.
pub(crate) async fn found(peer: &Peer, words: &str) -> (Vec<SearchRow>, String) {
    until(&format!("{words} is found"), async || {
        let (rows, explanation) = search(peer, words).await;
        (!rows.is_empty()).then_some((rows, explanation))
    })
    .await
}

/// A peer that shares these files at this hub, registered.
pub(crate) async fn sharer(hub: &Peer, files: &[(&str, Vec<u8>)]) -> Peer {
    sharer_with(hub, files, |_| {}).await
}

pub(crate) async fn sharer_with(
    hub: &Peer,
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> Peer {
    let address = hub.address().await;
    let (dir, config) = with_files(files, |config| {
        config.hubs = vec![address];
        change(config);
    });
    let node = Node::start(config).await.expect("the node starts");
    let peer = Peer { node, dir };
    let wanted = files.len() as u64;
    until("it is registered", async || {
        let status = peer.node.status().await.unwrap();
        status
            .hubs
            .iter()
            .any(|hub| hub.registered >= wanted)
            .then_some(())
    })
    .await;
    peer
}

/// Waits until `look` finds something; fails at the deadline.
#[track_caller]
pub(crate) fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let what = what.to_owned();
    async move {
        let waiting = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await; // tidy: allow(polling with a deadline)
            }
        };
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("in vain: {what}"),
        }
    }
}

/// All rows of a search, and its end.
pub(crate) async fn search(peer: &Peer, words: &str) -> (Vec<SearchRow>, String) {
    let (id, mut updates) = peer.node.search(words, 100).await.unwrap();
    let ended = async {
        while let Some(update) = updates.recv().await {
            if matches!(update, SearchUpdate::End(_)) {
                break;
            }
        }
        peer.node.search_state(Some(id)).await.unwrap().unwrap()
    };
    let state = tokio::time::timeout(DEADLINE, ended)
        .await
        .expect("the search ends");
    (state.rows, state.end.unwrap().explanation)
}

/// Waits until a download is in this state.
pub(crate) async fn download_is(peer: &Peer, number: u32, state: DownloadState) -> DownloadInfo {
    until(&format!("download {number} is {state:?}"), async || {
        let downloads = peer.node.downloads().await.unwrap();
        let info = downloads.into_iter().find(|info| info.number == number)?;
        if info.state == DownloadState::Failed && state != DownloadState::Failed {
            panic!("it failed: {:?}", info.reason);
        }
        (info.state == state).then_some(info)
    })
    .await
}

/// Bytes that do not compress and differ by seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}
