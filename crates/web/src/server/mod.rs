//! The server.

mod accept;
mod assets;
mod changes;
mod extract;
mod guard;
mod metrics;
mod openapi;
mod options;
mod pages;
mod problem;
mod range;
mod routes;
mod searches;
mod sessions;
mod sse;
mod timed_io;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Peer;
use crate::token::{self, ApiFile, METRICS_TOKEN_FILE, Token};

use guard::{Guard, Keys};
use metrics::Counts;
pub use openapi::openapi_json;
pub use options::{Limits, ServeError, ServeOptions};
pub(crate) use pages::PAGE_ITEMS_MAX;
use searches::Searches;
use sessions::Sessions;

/// What all routes share.
struct App {
    peer: Arc<dyn Peer>,
    guard: Guard,
    limits: Limits,
    searches: Arc<Searches>,
    sessions: Arc<Sessions>,
    streams: Arc<Semaphore>,
    counts: Arc<Counts>,
    file: ApiFile,
    closing: CancellationToken,
}

/// A served API. It closes by itself when the peer stops, and when this is
/// dropped.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    token_path: PathBuf,
    data_dir: PathBuf,
    file: ApiFile,
    sessions: Arc<Sessions>,
    closing: CancellationToken,
    task: JoinHandle<()>,
}

/// Serves the API of `peer`, as a rule a [`gannet_node::Node`], and writes
/// `api.json` into its data directory. Returns when callers are answered.
///
/// # Errors
///
/// Whatever keeps it from being served; nothing is left running then.
pub async fn serve<P: Peer>(
    peer: P,
    options: impl Into<ServeOptions>,
) -> Result<ApiServer, ServeError> {
    serve_dyn(Arc::new(peer), options.into()).await
}

async fn serve_dyn(peer: Arc<dyn Peer>, options: ServeOptions) -> Result<ApiServer, ServeError> {
    let ServeOptions {
        listen,
        allow_remote,
        hosts,
        limits,
    } = options;
    if !allow_remote && !guard::is_loopback(listen.ip()) {
        return Err(ServeError::NotLoopback { address: listen });
    }
    let listen_error = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address: listen },
        _ => ServeError::Listen {
            address: listen,
            source,
        },
    };
    let listener = bind(listen).map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let token = Token::random().map_err(|source| ServeError::Random { source })?;
    let file = ApiFile {
        address: reachable(address),
        token: token.clone(),
        pid: std::process::id(),
        peer: peer.peer_id(),
    };
    let data_dir = peer.data_dir().to_owned();
    let metrics_token =
        token::metrics_token(&data_dir).map_err(|source| ServeError::TokenFile {
            path: data_dir.join(METRICS_TOKEN_FILE),
            source,
        })?;
    let token_path = file
        .write(&data_dir)
        .map_err(|source| ServeError::TokenFile {
            path: ApiFile::path(&data_dir),
            source,
        })?;
    let closing = CancellationToken::new();
    let sessions = Arc::new(Sessions::new(file.address));
    let keys = Keys {
        token,
        metrics_token,
        sessions: Arc::clone(&sessions),
    };
    let counts = Arc::new(Counts::default());
    let app = Arc::new(App {
        guard: Guard::new(address, &hosts, keys, &limits),
        searches: Arc::new(Searches::new(Arc::clone(&counts))),
        sessions: Arc::clone(&sessions),
        streams: Arc::new(Semaphore::new(limits.streams_max)),
        counts,
        file: file.clone(),
        closing: closing.clone(),
        limits,
        peer,
    });
    let router = routes::router(Arc::clone(&app));
    let task = tokio::spawn(accept::run(listener, app, router));
    tracing::info!(%address, "the API listens");
    Ok(ApiServer {
        address,
        token_path,
        data_dir,
        file,
        sessions,
        closing,
        task,
    })
}

/// Connections that wait to be taken. With too few, the system forgets some of a
/// burst and does not tell whoever made them.
// Source: net.core.somaxconn of Linux since 5.4, which bounds it.
const BACKLOG: u32 = 4_096;

fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = match listen {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A peer that is restarted gets its port again at once. Elsewhere the option
    // would let two programs have one port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Where this machine reaches what listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    address
}

impl ApiServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with address and token.
    pub fn token_path(&self) -> &Path {
        &self.token_path
    }

    /// A link that lets one browser in, once and within an hour. It goes to the
    /// user and into no log.
    ///
    /// # Errors
    ///
    /// [`ServeError::Random`] if the system gives no random bytes.
    pub fn browser_link(&self) -> Result<String, ServeError> {
        let link = self.sessions.link(Instant::now());
        link.map_err(|source| ServeError::Random { source })
    }

    /// Stops listening, removes `api.json`, ends streams, lets other answers
    /// finish for at most [`Limits::close_timeout`], and returns when all
    /// connections are closed. The peer runs on.
    pub async fn close(mut self) {
        self.closing.cancel();
        // An error is a panic of the task, which has closed everything too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.closing.cancel();
        // The runtime may end before the task does it.
        self.file.remove(&self.data_dir);
    }
}
