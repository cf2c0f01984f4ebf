//! Streams of server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gannet_node::api::{NodeEvent, SearchRow, SearchUpdate};
use hyper::StatusCode;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::App;
use super::problem::Refusal;
use super::searches::{Feed, Finish};

/// How often a silent stream says that it is alive.
// Source: HTML standard, section 9.2.7, advises 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The right to one more stream.
pub(super) fn permit(app: &App) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many streams of events are open; close one";
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail)
    })
}

type Item = Result<Event, axum::Error>;

struct SearchFollower {
    feed: Arc<Feed>,
    watch: watch::Receiver<u64>,
    seen: u64,
    rows: VecDeque<SearchRow>,
    finish: Option<Finish>,
    started: bool,
    closing: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl SearchFollower {
    async fn next(&mut self) -> Option<Item> {
        if !std::mem::replace(&mut self.started, true) {
            let id = json!({ "id": self.feed.id });
            return Some(Event::default().event("started").json_data(id));
        }
        loop {
            if let Some(row) = self.rows.pop_front() {
                let row = SearchUpdate::Row(row);
                return Some(Event::default().event("row").json_data(row));
            }
            match self.finish.take() {
                Some(Finish::Ended(end)) => {
                    // Nothing follows.
                    self.finish = Some(Finish::Lost);
                    let end = SearchUpdate::End(end);
                    return Some(Event::default().event("end").json_data(end));
                }
                Some(Finish::Lost) => return None,
                None => {}
            }
            let news = self.watch.wait_for(|&version| version > self.seen);
            tokio::select! {
                // An error cannot be: the feed is held here.
                _ = news => {}
                () = self.closing.cancelled() => return None,
            }
            (self.rows, self.finish, self.seen) = self.feed.since(self.seen);
        }
    }
}

/// A search: `started`, a `row` for each that is new or has changed, `end`.
pub(super) fn search(app: &App, feed: Arc<Feed>, permit: OwnedSemaphorePermit) -> Response {
    let follower = SearchFollower {
        watch: feed.watch(),
        feed,
        seen: 0,
        rows: VecDeque::new(),
        finish: None,
        started: false,
        closing: app.closing.clone(),
        _permit: permit,
    };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((event, follower))
    });
    answer(events)
}

/// What happens at the node: `event` for each, `missed` if the reader was too
/// slow for some.
pub(super) fn events(
    app: &App,
    events: broadcast::Receiver<NodeEvent>,
    permit: OwnedSemaphorePermit,
) -> Response {
    let start = (events, app.closing.clone(), permit);
    let events = stream::unfold(start, async |(mut events, closing, permit)| {
        let event = tokio::select! {
            event = events.recv() => event,
            () = closing.cancelled() => return None,
        };
        let event: Item = match event {
            Ok(event) => Event::default().event("event").json_data(event),
            Err(RecvError::Lagged(missed)) => {
                let missed = json!({ "events": missed });
                Event::default().event("missed").json_data(missed)
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, (events, closing, permit)))
    });
    answer(events)
}

/// The answer that such a stream is.
pub(super) fn answer(events: impl stream::Stream<Item = Item> + Send + 'static) -> Response {
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
