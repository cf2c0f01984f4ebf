//! The client: what the command line holds of a peer that runs elsewhere.

mod error;
mod exchange;
mod sse;
mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId};
use gannet_node::api::{
    BrowsePage, DownloadInfo, DownloadRequest, HeldFile, KeepRequest, KeptFile, LinkInfo, PeerInfo,
    Refused, SearchState, ShareInfo, Status, UploadInfo,
};
use hyper::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::PAGE_ITEMS_MAX;
use crate::token::ApiFile;
use crate::{API_VERSION, Page};

pub use error::ClientError;
use exchange::Exchange;
pub use sse::{StreamError, fuzz_sse};
pub use stream::{EventStream, SearchStream};

/// How long a client waits.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For a connection and an ordinary answer. Too low: a peer busy with its
    /// disk looks dead; too high: a dead one keeps the user waiting.
    pub answer: Duration,
    /// For a page of another peer's shares, which takes dialling it.
    pub browse: Duration,
    /// For a link, which takes hashing a file that is not known yet.
    pub link: Duration,
    /// For the peer to stop in good order.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Guess: a user's patience.
            answer: Duration::from_secs(10),
            // Guess: dialling gives up within 30 s.
            browse: Duration::from_secs(60),
            // Guess: 1 TB at 300 MB/s.
            link: Duration::from_secs(3600),
            // Guess: longer than a goodbye to hubs and the commit of downloads.
            shutdown: Duration::from_secs(60),
        }
    }
}

/// What the list of searches says of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchSummary {
    /// Its number.
    pub id: u64,
    /// The words.
    pub query: String,
    /// How many rows it has so far.
    pub rows: usize,
    /// Whether it is over.
    pub ended: bool,
}

/// What `POST /searches` takes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchBody {
    /// The words.
    pub(crate) query: String,
    /// Most rows.
    #[serde(default = "SearchBody::limit")]
    #[schema(default = 100)]
    pub(crate) limit: u32,
    /// Keeps it from being the latest search, for who asks again and again.
    #[serde(default)]
    #[schema(default = false)]
    pub(crate) aside: bool,
}

impl SearchBody {
    // Guess: some screens full.
    fn limit() -> u32 {
        100
    }
}

/// What `POST /searches` answers, and the first event of a streamed search.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Started {
    /// The search's number.
    pub(crate) id: u64,
}

/// What `POST /shares` and `POST /links` take.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PathBody {
    /// An absolute path.
    #[schema(value_type = String)]
    pub(crate) path: PathBuf,
    /// Shares a folder that nobody should share without a second thought.
    #[serde(default)]
    #[schema(default = false)]
    pub(crate) force: bool,
}

/// What `GET /api/v1` answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct About {
    /// The version of the API.
    pub(crate) version: u32,
    /// Program and version.
    pub(crate) agent: String,
    /// The peer's id.
    pub(crate) peer: String,
    /// The process that it runs in.
    pub(crate) pid: u32,
}

/// What `POST /session` takes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeBody {
    /// What stands behind `#` in the link.
    pub(crate) code: String,
}

/// What `POST /session/link` answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionLink {
    /// The link.
    pub(crate) link: String,
    /// For how many seconds it works.
    pub(crate) expires_seconds: u64,
}

/// What is answered when there is nothing to say.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Done {}

/// A running peer in another process. Every method is that of
/// [`gannet_node::Node`] with the same name, and what the peer refuses comes
/// back as [`ClientError::Problem`] in the peer's own words.
///
/// Each call is a connection of its own, so calls may run at the same time.
#[derive(Debug, Clone)]
pub struct Client {
    exchange: Exchange,
    timeouts: Timeouts,
    peer: PeerId,
    pid: u32,
}

impl Client {
    /// Finds the peer that runs on `data_dir` and checks that it answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] if there is none; others if there is one that
    /// cannot be spoken with.
    pub async fn connect(data_dir: &Path) -> Result<Self, ClientError> {
        Self::connect_with(data_dir, Timeouts::default()).await
    }

    /// [`Client::connect`] with another patience.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn connect_with(data_dir: &Path, timeouts: Timeouts) -> Result<Self, ClientError> {
        let file = ApiFile::read(data_dir).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ClientError::NotRunning {
                data_dir: data_dir.to_owned(),
            },
            _ => ClientError::File {
                path: ApiFile::path(data_dir),
                source,
            },
        })?;
        let (peer, pid) = (file.peer, file.pid);
        let client = Self {
            exchange: Exchange::new(file, data_dir.to_owned(), timeouts.answer),
            timeouts,
            peer,
            pid,
        };
        client.check_version().await?;
        Ok(client)
    }

    async fn check_version(&self) -> Result<(), ClientError> {
        let version = |found: String| ClientError::Version {
            path: self.exchange.api_file(),
            found,
        };
        let about: About = match self.read("").await {
            Err(ClientError::Nonsense { .. }) => return Err(version("unknown".to_owned())),
            Err(ClientError::Problem(problem)) if problem.status == 404 => {
                return Err(version(problem.detail));
            }
            other => other?,
        };
        if about.version != API_VERSION {
            return Err(version(about.version.to_string()));
        }
        Ok(())
    }

    /// Who the peer is.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// The process that it runs in.
    pub fn process_id(&self) -> u32 {
        self.pid
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// If it says no or nothing; so for all that follow.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.read("/status").await
    }

    /// Starts a search for at most `limit` rows and returns its number; its
    /// rows are in [`Client::search_state`].
    pub async fn search(&self, query: &str, limit: u32) -> Result<u64, ClientError> {
        let body = SearchBody {
            query: query.to_owned(),
            limit,
            aside: false,
        };
        let started: Started = self.write("/searches", &body).await?;
        Ok(started.id)
    }

    /// Starts a search for at most `limit` rows and follows it to its end.
    /// Dropping the stream does not end the search.
    pub async fn search_stream(
        &self,
        query: &str,
        limit: u32,
    ) -> Result<SearchStream, ClientError> {
        let body = SearchBody {
            query: query.to_owned(),
            limit,
            aside: false,
        };
        let body = exchange::json(&body)?;
        let events = self
            .exchange
            .stream(Method::POST, "/searches", body)
            .await?;
        SearchStream::start(events, self.timeouts.answer).await
    }

    /// Follows a search that was started before: what it has, then what comes.
    pub async fn search_follow(&self, id: u64) -> Result<SearchStream, ClientError> {
        let path = format!("/searches/{id}/events");
        let events = self.exchange.stream(Method::GET, &path, None).await?;
        SearchStream::start(events, self.timeouts.answer).await
    }

    /// A search as far as it has come, the latest one if `id` is `None`; `None`
    /// if there is no such search.
    pub async fn search_state(&self, id: Option<u64>) -> Result<Option<SearchState>, ClientError> {
        let path = match id {
            Some(id) => format!("/searches/{id}"),
            None => "/searches/latest".to_owned(),
        };
        match self.read(&path).await {
            Ok(state) => Ok(Some(state)),
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The searches that the peer still knows, the latest first.
    pub async fn searches(&self) -> Result<Vec<SearchSummary>, ClientError> {
        self.read("/searches").await
    }

    /// Starts a download, or returns the one that is already running.
    pub async fn download(&self, request: DownloadRequest) -> Result<DownloadInfo, ClientError> {
        self.write("/downloads", &request).await
    }

    /// All downloads by number.
    pub async fn downloads(&self) -> Result<Vec<DownloadInfo>, ClientError> {
        self.list("/downloads").await
    }

    /// Pauses a download; it keeps what it has.
    pub async fn pause(&self, number: u32) -> Result<DownloadInfo, ClientError> {
        self.act(&format!("/downloads/{number}/pause")).await
    }

    /// Lets a paused or failed download go on.
    pub async fn resume(&self, number: u32) -> Result<DownloadInfo, ClientError> {
        self.act(&format!("/downloads/{number}/resume")).await
    }

    /// Gives a download up and deletes what it has.
    pub async fn cancel(&self, number: u32) -> Result<DownloadInfo, ClientError> {
        self.act(&format!("/downloads/{number}/cancel")).await
    }

    /// Whom the peer serves, and who waits.
    pub async fn uploads(&self) -> Result<Vec<UploadInfo>, ClientError> {
        self.list("/uploads").await
    }

    /// Who is connected.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, ClientError> {
        self.list("/peers").await
    }

    /// A page of what another peer shares, at most `limit` entries from
    /// `offset` on.
    pub async fn browse(
        &self,
        peer: &PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Result<BrowsePage, ClientError> {
        let peer = exchange::escape(&peer.to_string());
        let path = format!("/peers/browse?peer={peer}&offset={offset}&limit={limit}");
        self.exchange
            .json(Method::GET, &path, None, self.timeouts.browse)
            .await
    }

    /// The shared folders.
    pub async fn shares(&self) -> Result<Vec<ShareInfo>, ClientError> {
        self.list("/shares").await
    }

    /// Shares a folder from now on. A relative path is relative to this
    /// process, not to the peer's.
    pub async fn share_add(&self, path: &Path, force: bool) -> Result<ShareInfo, ClientError> {
        let path = exchange::absolute(path)?;
        self.write("/shares", &PathBody { path, force }).await
    }

    /// Shares a folder no more. A relative path is relative to this process.
    pub async fn share_remove(&self, path: &Path) -> Result<ShareInfo, ClientError> {
        let path = exchange::absolute(path)?;
        let text = path.to_str().ok_or_else(|| ClientError::Unsendable {
            reason: format!("{} is not Unicode", path.display()),
        })?;
        self.delete(&format!("/shares?path={}", exchange::escape(text)))
            .await
    }

    /// A link to a shared file; may take as long as hashing it takes. A
    /// relative path is relative to this process.
    pub async fn link(&self, path: &Path) -> Result<LinkInfo, ClientError> {
        let body = PathBody {
            path: exchange::absolute(path)?,
            force: false,
        };
        let body = exchange::json(&body)?;
        self.exchange
            .json(Method::POST, "/links", body, self.timeouts.link)
            .await
    }

    /// Has others keep a file that the peer shares; may take as long as hashing it
    /// takes. Paths must be absolute.
    pub async fn keep(&self, request: &KeepRequest) -> Result<KeptFile, ClientError> {
        let body = exchange::json(request)?;
        self.exchange
            .json(Method::POST, "/kept", body, self.timeouts.link)
            .await
    }

    /// The files that others keep for the peer.
    pub async fn kept(&self) -> Result<Vec<KeptFile>, ClientError> {
        self.list("/kept").await
    }

    /// Has others keep a file no more.
    pub async fn unkeep(&self, content: ContentId) -> Result<KeptFile, ClientError> {
        self.delete(&format!("/kept?content={content}")).await
    }

    /// What the peer holds for others.
    pub async fn held(&self) -> Result<Vec<HeldFile>, ClientError> {
        self.list("/held").await
    }

    /// Has the peer hold a content, or anything of a peer, for nobody.
    pub async fn refuse(&self, what: Refused) -> Result<(), ClientError> {
        let _: Done = self.write("/held/refused", &what).await?;
        Ok(())
    }

    /// Takes a refusal back.
    pub async fn allow(&self, what: Refused) -> Result<(), ClientError> {
        let which = match what {
            Refused::Content { content } => format!("content={content}"),
            Refused::Keeper { keeper } => format!("keeper={keeper}"),
        };
        let _: Done = self.delete(&format!("/held/refused?{which}")).await?;
        Ok(())
    }

    /// What the peer refuses to hold.
    pub async fn refused(&self) -> Result<Vec<Refused>, ClientError> {
        self.list("/held/refused").await
    }

    /// A link that lets one browser in, once and within an hour.
    pub async fn browser_link(&self) -> Result<String, ClientError> {
        let link: SessionLink = self.act("/session/link").await?;
        Ok(link.link)
    }

    /// What happens from now on, until the peer stops or the stream is dropped.
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        let events = self.exchange.stream(Method::GET, "/events", None).await?;
        Ok(EventStream::new(events))
    }

    /// Stops the peer in good order and returns when it has stopped.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        let shutdown = self.timeouts.shutdown;
        self.exchange
            .json::<Done>(Method::POST, "/shutdown", None, shutdown)
            .await?;
        Ok(())
    }

    /// A whole list, page by page. What is added or taken away meanwhile may be
    /// there twice or be missing.
    async fn list<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        loop {
            let path = format!("{path}?offset={}&limit={PAGE_ITEMS_MAX}", items.len());
            let page: Page<T> = self.read(&path).await?;
            let is_last = page.items.is_empty();
            items.extend(page.items);
            if is_last || u64::try_from(items.len()).unwrap_or(u64::MAX) >= page.total {
                return Ok(items);
            }
        }
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.timeouts.answer;
        self.exchange.json(Method::GET, path, None, answer).await
    }

    async fn delete<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.timeouts.answer;
        self.exchange.json(Method::DELETE, path, None, answer).await
    }

    async fn act<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.timeouts.answer;
        self.exchange.json(Method::POST, path, None, answer).await
    }

    async fn write<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let (body, answer) = (exchange::json(body)?, self.timeouts.answer);
        self.exchange.json(Method::POST, path, body, answer).await
    }
}
