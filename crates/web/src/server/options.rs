//! How an API is served, and why it is not.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 is any.
    pub listen: SocketAddr,
    /// Allows [`ServeOptions::listen`] to be other than loopback. There is no
    /// TLS: everybody on the way can read the token, and with it do everything.
    pub allow_remote: bool,
    /// Host names under which the API may be asked besides `localhost` and the
    /// address itself, without port. A name that somebody else controls opens
    /// the API to pages in the user's browser.
    pub hosts: Vec<String>,
    /// What callers may use.
    pub limits: Limits,
}

impl From<SocketAddr> for ServeOptions {
    /// Everything else as it should be.
    fn from(listen: SocketAddr) -> Self {
        Self {
            listen,
            allow_remote: false,
            hosts: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What callers may use of the API.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long the head of a request may take, and how long a connection may
    /// idle. Too low: slow machines fail; too high: a slow sender keeps its
    /// connection longer.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a caller may leave what is written to it unread.
    pub write_timeout: Duration,
    /// Most connections. At the limit the oldest one that has never shown the
    /// token makes room. Too high: files run out.
    pub connections_max: usize,
    /// Most streams of events, which stay open.
    pub streams_max: usize,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// Wrong tokens a minute that are answered with 401; more get 429. The
    /// right token always works.
    pub failures_per_minute: u32,
    /// How long closing waits for answers on their way.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Guess: a local caller sends its head at once.
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            // Source: Syncthing closes after 15 s; this stays below it.
            write_timeout: Duration::from_secs(10),
            // Guess: a page, a few command lines and scripts use some tens; the
            // rest is for bursts, and a quarter of the files that systems allow.
            connections_max: 256,
            streams_max: 16,
            // Guess: the longest path and the longest query are a tenth of it.
            body_bytes_max: 64 << 10,
            failures_per_minute: 10,
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there: choose another port, or 0 for any.
    #[error(
        "cannot listen for the API on {address}: it is in use by another program; choose another \
         with --api-listen, or port 0 for any"
    )]
    AddressInUse {
        /// Which address.
        address: SocketAddr,
    },
    /// The address is not loopback and nobody said that it may be.
    #[error(
        "the API would be reachable from other machines on {address}, unencrypted; listen on \
         127.0.0.1"
    )]
    NotLoopback {
        /// Which address.
        address: SocketAddr,
    },
    /// The system does not let this process listen there: a port below 1024, or
    /// an address that no interface has.
    #[error("cannot listen for the API on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file for the token cannot be written: the data directory is read-only
    /// or full.
    #[error("cannot write {}: {source}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no random bytes for the token.
    #[error("the system gives no random numbers: {source}")]
    Random {
        /// What it said.
        source: getrandom::Error,
    },
}
