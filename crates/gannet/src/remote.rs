//! The peer that a command talks to: one that runs in another process, or one
//! of this process's own.

use std::future::Future;
use std::path::PathBuf;

use gannet_base::{ContentId, PeerAddress};
use gannet_node::api::{
    BrowsePage, DownloadInfo, DownloadRequest, HeldFile, KeepRequest, KeptFile, LinkInfo, PeerInfo,
    Refused, SearchState, ShareInfo, Status, UploadInfo,
};
use gannet_node::{DownloadError, Node, NodeConfig, Overrides};
use gannet_web::{Client, ClientError, Problem, SearchStream};

use crate::cli::Target;
use crate::commands::downloads::Change;
use crate::exit::{Exit, Failure};

/// A peer that runs in another process. Its methods are those of [`Client`],
/// with failures that say what to do.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    client: Client,
}

/// The data directory that a command means: flag or environment, else what the
/// user's configuration says, else the default.
pub(crate) fn data_dir(target: &Target) -> Result<PathBuf, Failure> {
    match &target.data_dir {
        Some(dir) => Ok(dir.clone()),
        None => {
            let environment = |name: &str| std::env::var(name).ok();
            Ok(NodeConfig::resolve(None, environment, Overrides::default())?.data_dir)
        }
    }
}

impl Remote {
    /// The peer that runs on the data directory.
    ///
    /// # Errors
    ///
    /// [`Exit::NoPeer`] if there is none.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        Self::find(target).await?.ok_or_else(|| {
            let place = match data_dir(target) {
                Ok(dir) => format!(" on {}", dir.display()),
                Err(_) => String::new(),
            };
            Failure::new(Exit::NoPeer, format_args!("no peer is running{place}"))
                .next("start one with `gannet up FOLDER`, or name its place with --data-dir")
        })
    }

    /// The peer that runs on the data directory, if one does.
    pub(crate) async fn find(target: &Target) -> Result<Option<Self>, Failure> {
        match Client::connect(&data_dir(target)?).await {
            Ok(client) => Ok(Some(Self { client })),
            Err(ClientError::NotRunning { .. }) => Ok(None),
            Err(other) => Err(failure(other)),
        }
    }

    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        told(self.client.status()).await
    }

    pub(crate) async fn browser_link(&self) -> Result<String, Failure> {
        told(self.client.browser_link()).await
    }

    pub(crate) async fn search(&self, words: &str, limit: u32) -> Result<Search, Failure> {
        let stream = told(self.client.search_stream(words, limit)).await?;
        Ok(Search { stream })
    }

    pub(crate) async fn search_state(
        &self,
        id: Option<u64>,
    ) -> Result<Option<SearchState>, Failure> {
        told(self.client.search_state(id)).await
    }

    pub(crate) async fn downloads(&self) -> Result<Vec<DownloadInfo>, Failure> {
        told(self.client.downloads()).await
    }

    pub(crate) async fn change(
        &self,
        number: u32,
        change: Change,
    ) -> Result<DownloadInfo, Failure> {
        match change {
            Change::Pause => told(self.client.pause(number)).await,
            Change::Resume => told(self.client.resume(number)).await,
            Change::Cancel => told(self.client.cancel(number)).await,
        }
    }

    pub(crate) async fn uploads(&self) -> Result<Vec<UploadInfo>, Failure> {
        told(self.client.uploads()).await
    }

    pub(crate) async fn peers(&self) -> Result<Vec<PeerInfo>, Failure> {
        told(self.client.peers()).await
    }

    pub(crate) async fn browse(
        &self,
        peer: &PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Result<BrowsePage, Failure> {
        told(self.client.browse(peer, offset, limit)).await
    }

    pub(crate) async fn shares(&self) -> Result<Vec<ShareInfo>, Failure> {
        told(self.client.shares()).await
    }

    pub(crate) async fn share_add(&self, path: PathBuf, force: bool) -> Result<ShareInfo, Failure> {
        told(self.client.share_add(&path, force)).await
    }

    pub(crate) async fn share_remove(&self, path: PathBuf) -> Result<ShareInfo, Failure> {
        told(self.client.share_remove(&path)).await
    }

    pub(crate) async fn link(&self, path: PathBuf) -> Result<LinkInfo, Failure> {
        told(self.client.link(&path)).await
    }

    pub(crate) async fn keep(&self, request: &KeepRequest) -> Result<KeptFile, Failure> {
        told(self.client.keep(request)).await
    }

    pub(crate) async fn kept(&self) -> Result<Vec<KeptFile>, Failure> {
        told(self.client.kept()).await
    }

    pub(crate) async fn unkeep(&self, content: ContentId) -> Result<KeptFile, Failure> {
        told(self.client.unkeep(content)).await
    }

    pub(crate) async fn held(&self) -> Result<Vec<HeldFile>, Failure> {
        told(self.client.held()).await
    }

    pub(crate) async fn refuse(&self, what: Refused) -> Result<(), Failure> {
        told(self.client.refuse(what)).await
    }

    pub(crate) async fn allow(&self, what: Refused) -> Result<(), Failure> {
        told(self.client.allow(what)).await
    }

    pub(crate) async fn refused(&self) -> Result<Vec<Refused>, Failure> {
        told(self.client.refused()).await
    }

    /// Asks the peer to stop and waits until it has.
    pub(crate) async fn stop(&self) -> Result<(), Failure> {
        told(self.client.shutdown()).await
    }
}

/// A search that runs in another process.
#[derive(Debug)]
pub(crate) struct Search {
    stream: SearchStream,
}

impl Search {
    pub(crate) fn id(&self) -> u64 {
        self.stream.id()
    }

    /// The next step; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<gannet_node::api::SearchUpdate>, Failure> {
        told(self.stream.next()).await
    }
}

async fn told<T>(answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, Failure> {
    answer.await.map_err(failure)
}

/// What a refusal means for the exit code, and what to do about it.
fn failure(error: ClientError) -> Failure {
    match &error {
        ClientError::NotRunning { .. } => Failure::new(Exit::NoPeer, "the peer has stopped")
            .next("start it again with `gannet up`"),
        ClientError::Broken { .. } => Failure::new(Exit::NoPeer, &error)
            .next("see with `gannet status` whether it still runs"),
        ClientError::TimedOut { .. } => {
            Failure::new(Exit::Incomplete, &error).next("its machine may be busy; try again")
        }
        ClientError::Problem(problem) => {
            let exit = match kind(problem) {
                "query" | "link" | "bounds" => Exit::Usage,
                "stopped" => Exit::NoPeer,
                _ => Exit::Failed,
            };
            Failure::new(exit, &problem.detail)
        }
        _ => Failure::failed(&error),
    }
}

/// The part of a problem's type that programs go by.
fn kind(problem: &Problem) -> &str {
    problem
        .kind
        .strip_prefix(Problem::KIND_PREFIX)
        .unwrap_or(&problem.kind)
}

/// A peer to download with.
#[derive(Debug)]
pub(crate) enum Running {
    /// In this process, for this download only.
    Here(Node),
    /// In another process, which goes on when this command ends.
    There(Box<Remote>),
}

/// What became of the wish to download something.
#[derive(Debug)]
pub(crate) enum Started {
    /// It runs.
    Running(Box<DownloadInfo>),
    /// There is nothing to do; the text says why.
    Have(String),
}

impl Running {
    /// Whether there is somebody to ask, and every overlay in use can be asked:
    /// all hubs that are named, some supernode, some neighbour and a ring where
    /// others are known.
    pub(crate) async fn all_answer(&self) -> Result<bool, Failure> {
        let status = match self {
            Self::Here(node) => node.status().await?,
            Self::There(remote) => remote.status().await?,
        };
        let flood = status.flood.unwrap_or_default();
        let supernode = status.supernode.unwrap_or_default();
        let has_neighbours = flood.neighbours > 0;
        let has_supernodes = supernode.links > 0
            || supernode.leaves > 0
            || supernode.homes.iter().any(|home| home.is_live);
        let hubs_answer = status.hubs.iter().all(|hub| hub.connected);
        let flood_answers = has_neighbours || flood.known_peers == 0;
        let supernodes_answer = has_supernodes || supernode.known_supernodes == 0;
        let ring = status.dht.unwrap_or_default();
        let ring_answers = ring.joined || ring.known_peers == 0;
        let somebody = has_neighbours || has_supernodes || ring.joined || !status.hubs.is_empty();
        Ok(somebody && hubs_answer && flood_answers && supernodes_answer && ring_answers)
    }

    pub(crate) async fn downloads(&self) -> Result<Vec<DownloadInfo>, Failure> {
        match self {
            Self::Here(node) => Ok(node.downloads().await?),
            Self::There(remote) => remote.downloads().await,
        }
    }

    pub(crate) async fn download(&self, request: DownloadRequest) -> Result<Started, Failure> {
        match self {
            Self::Here(node) => match node.download(request).await {
                Ok(download) => Ok(Started::Running(Box::new(download))),
                Err(have @ DownloadError::AlreadyHave { .. }) => {
                    Ok(Started::Have(have.to_string()))
                }
                Err(other) => Err(other.into()),
            },
            Self::There(remote) => match remote.client.download(request).await {
                Ok(download) => Ok(Started::Running(Box::new(download))),
                Err(ClientError::Problem(problem)) if kind(&problem) == "already-have" => {
                    Ok(Started::Have(problem.detail))
                }
                Err(other) => Err(failure(other)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str) -> ClientError {
        ClientError::Problem(Problem {
            kind: format!("{}{kind}", Problem::KIND_PREFIX),
            title: "Bad Request".to_owned(),
            status: 400,
            detail: "the reason".to_owned(),
        })
    }

    #[test]
    fn refusals_have_their_exit_codes() {
        let cases = [
            (problem("query"), Exit::Usage),
            (problem("link"), Exit::Usage),
            (problem("unknown-row"), Exit::Failed),
            (problem("stopped"), Exit::NoPeer),
            (
                ClientError::Broken {
                    reason: "reset".to_owned(),
                },
                Exit::NoPeer,
            ),
        ];
        for (error, exit) in cases {
            let failure = failure(error);
            assert_eq!(failure.exit, exit, "{failure}");
            assert!(!failure.message.is_empty());
        }
    }

    #[tokio::test]
    async fn with_no_peer_it_says_how_to_start_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target {
            data_dir: Some(dir.path().to_owned()),
        };
        let failure = Remote::connect(&target).await.unwrap_err();
        assert_eq!(failure.exit, Exit::NoPeer);
        assert!(
            failure.to_string().contains("gannet up FOLDER"),
            "{failure}"
        );
    }
}
