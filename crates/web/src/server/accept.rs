//! The accept loop: few connections, short patience, no busy loop.
//!
//! `axum::serve` gives hyper no timer, so a caller that sends its head byte by
//! byte would keep its connection for ever; hence a loop of our own.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use super::guard::Trusted;
use super::metrics::{Counts, count};
use super::routes::HEADERS;
use super::timed_io::TimedIo;
use crate::Problem;

/// Most bytes of a request's head.
// Source: nginx and Apache are at 8 KiB a line and some tens of KiB in all.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a request.
// Guess: browsers send about twenty.
const HEADERS_MAX: usize = 64;
/// The first and the longest wait after a failed accept.
// Guess: files come back when a connection or a transfer ends.
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
/// How long a connection is left alone before it makes room. Too low: a burst of
/// connections cuts an honest caller before its head is read; too high: it waits
/// longer behind the burst.
// Measured: at 50 ms `examples/slow_sockets.rs` still cuts its honest caller now
// and then on a machine with ten other programs at work.
const GRACE: Duration = Duration::from_millis(200);

/// What those hear who find no room: too early for the routes to say it.
fn full_house() -> String {
    let body = "{\"type\":\"urn:gannet:problem:too-many-connections\",\
        \"title\":\"Service Unavailable\",\"status\":503,\
        \"detail\":\"the API has as many connections as it takes; close one\"}";
    let headers = HEADERS.map(|(name, value)| format!("{name}: {value}\r\n"));
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\nconnection: close\r\n{}\
         content-length: {}\r\n\r\n{body}",
        Problem::MEDIA_TYPE,
        headers.concat(),
        body.len(),
    )
}

/// The connections that are open, in the order in which they came.
#[derive(Debug, Default)]
struct Connections {
    open: Mutex<Open>,
    /// Told when one of them ends.
    left: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    trusted: Arc<Trusted>,
    cut: CancellationToken,
    since: Instant,
}

/// What there is for one more connection.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    /// A place; somebody may have been cut for it.
    Free { has_cut: bool },
    /// Perhaps a place at that time.
    Later(Instant),
    /// None: all have shown the token.
    Full,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no panic holds this lock")
    }

    /// Makes room among at most `max`: the oldest connection that has never
    /// shown the token is cut if it has been here for `grace`.
    fn room(&self, max: usize, grace: Duration, now: Instant) -> Room {
        let mut open = self.lock();
        if open.by_number.len() < max {
            return Room::Free { has_cut: false };
        }
        let oldest = open.by_number.iter().find(|(_, one)| !one.trusted.is());
        let Some((&number, oldest)) = oldest else {
            return Room::Full;
        };
        let ripe = oldest.since + grace;
        if ripe > now {
            return Room::Later(ripe);
        }
        if let Some(oldest) = open.by_number.remove(&number) {
            oldest.cut.cancel();
        }
        Room::Free { has_cut: true }
    }

    /// Waits for a place; `false` if there is none, and whether somebody was cut
    /// for it.
    async fn wait_for_room(&self, max: usize) -> (bool, bool) {
        loop {
            let left = self.left.notified();
            match self.room(max, GRACE, Instant::now()) {
                Room::Free { has_cut } => return (true, has_cut),
                Room::Full => return (false, true),
                Room::Later(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = left => {}
                },
            }
        }
    }

    fn add(&self, trusted: Arc<Trusted>, cut: CancellationToken) -> u64 {
        let mut open = self.lock();
        open.next += 1;
        let number = open.next;
        let connection = Connection {
            trusted,
            cut,
            since: Instant::now(),
        };
        open.by_number.insert(number, connection);
        number
    }
}

/// Takes a connection off the list when its task ends, even by a panic.
struct Leave(Arc<Connections>, u64, Arc<Counts>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.lock().by_number.remove(&self.1);
        self.2.connections_open.fetch_sub(1, Ordering::Relaxed);
        self.0.left.notify_one();
    }
}

/// Serves until `app.closing`, then lets answers on their way finish.
pub(super) async fn run(listener: TcpListener, app: Arc<App>, router: Router) {
    let tasks = TaskTracker::new();
    let kill = CancellationToken::new();
    let connections = Arc::new(Connections::default());
    let accepting = accept_all(&listener, &app, &router, &connections, &tasks, &kill);
    tokio::select! {
        () = accepting => {}
        () = app.closing.cancelled() => {}
        () = app.peer.stopped() => app.closing.cancel(),
    }
    drop(listener);
    app.file.remove(app.peer.data_dir());
    tasks.close();
    // Those that are late are cut.
    let _ = timeout(app.limits.close_timeout, tasks.wait()).await;
    kill.cancel();
    tasks.wait().await;
}

async fn accept_all(
    listener: &TcpListener,
    app: &Arc<App>,
    router: &Router,
    connections: &Arc<Connections>,
    tasks: &TaskTracker,
    kill: &CancellationToken,
) {
    let mut pause = ACCEPT_PAUSE[0];
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_callers(&error) => continue,
            Err(error) => {
                // No files left (EMFILE, ENFILE), as a rule.
                tracing::warn!(%error, ?pause, "the API cannot take a connection");
                connections.room(0, Duration::ZERO, Instant::now());
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE[1]);
                continue;
            }
        };
        pause = ACCEPT_PAUSE[0];
        let (has_room, has_cut) = connections.wait_for_room(app.limits.connections_max).await;
        if has_cut {
            count(&app.counts.connections_cut);
        }
        if !has_room {
            // What the socket's buffer does not take is not worth waiting for.
            let _ = stream.try_write(full_house().as_bytes());
            continue;
        }
        count(&app.counts.connections);
        count(&app.counts.connections_open);
        let (trusted, cut) = (Arc::new(Trusted::default()), kill.child_token());
        let leave = Leave(
            Arc::clone(connections),
            connections.add(Arc::clone(&trusted), cut.clone()),
            Arc::clone(&app.counts),
        );
        let (app, router) = (Arc::clone(app), router.clone());
        tasks.spawn(async move {
            let _leave = leave;
            serve_one(stream, &app, router, trusted, cut).await;
        });
    }
}

/// Whether it is the connection that failed and not the accepting.
fn is_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn serve_one(
    stream: TcpStream,
    app: &App,
    router: Router,
    trusted: Arc<Trusted>,
    cut: CancellationToken,
) {
    // Only speed depends on it.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&trusted));
        router.call(request)
    });
    let io = TokioIo::new(TimedIo::new(stream, app.limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
        () = app.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_full_house_is_whole() {
        let text = full_house();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, 503);
    }

    #[test]
    fn the_oldest_stranger_makes_room() {
        let connections = Connections::default();
        let cuts = [(); 3].map(|()| CancellationToken::new());
        let trusted = [(); 3].map(|()| Arc::new(Trusted::default()));
        for (trusted, cut) in trusted.iter().zip(&cuts) {
            connections.add(Arc::clone(trusted), cut.clone());
        }
        trusted[0].set();
        let now = Instant::now() + GRACE;
        let room = |max| connections.room(max, GRACE, now);
        assert_eq!(room(4), Room::Free { has_cut: false });
        let early = connections.room(3, GRACE, now - GRACE);
        assert!(matches!(early, Room::Later(at) if at <= now), "{early:?}");
        assert_eq!(cuts.clone().map(|cut| cut.is_cancelled()), [false; 3]);
        assert_eq!(room(3), Room::Free { has_cut: true });
        assert_eq!(
            cuts.clone().map(|cut| cut.is_cancelled()),
            [false, true, false]
        );
        assert_eq!(room(3), Room::Free { has_cut: false });
        assert_eq!(room(2), Room::Free { has_cut: true });
        assert_eq!(room(1), Room::Full, "who has the token stays");
        assert!(!cuts[0].is_cancelled());
    }
}
