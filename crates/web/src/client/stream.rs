//! Streams of events, typed.

use std::time::Duration;

use gannet_node::api::{NodeEvent, SearchUpdate};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::time::timeout;

use super::exchange::broken;
use super::sse::{SseEvent, SseParser};
use super::{ClientError, Started};

/// The peer writes a line at least every 15 s; twice that and a little more is
/// silence.
const SILENCE: Duration = Duration::from_secs(40);

/// Events out of an answer's body.
#[derive(Debug)]
struct Events {
    body: Incoming,
    parser: SseParser,
}

impl Events {
    /// The next event; `None` at the end. Cancel safe.
    async fn next(&mut self) -> Result<Option<SseEvent>, ClientError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let frame = match timeout(SILENCE, self.body.frame()).await {
                Err(_) => return Err(ClientError::TimedOut { after: SILENCE }),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(broken)?,
            };
            if let Some(bytes) = frame.data_ref() {
                self.parser.push(bytes).map_err(nonsense)?;
            }
        }
    }
}

fn nonsense(error: impl std::fmt::Display) -> ClientError {
    ClientError::Nonsense {
        reason: error.to_string(),
    }
}

fn read<'a, T: Deserialize<'a>>(event: &'a SseEvent) -> Result<T, ClientError> {
    serde_json::from_str(&event.data).map_err(nonsense)
}

/// A search that is being followed.
#[derive(Debug)]
pub struct SearchStream {
    events: Events,
    id: u64,
    ended: bool,
}

impl SearchStream {
    pub(super) async fn start(body: Incoming, patience: Duration) -> Result<Self, ClientError> {
        let mut events = Events {
            body,
            parser: SseParser::default(),
        };
        let first = timeout(patience, events.next())
            .await
            .map_err(|_| ClientError::TimedOut { after: patience })??
            .filter(|event| event.name == "started")
            .ok_or_else(|| nonsense("the search has no number"))?;
        let Started { id } = read(&first)?;
        Ok(Self {
            events,
            id,
            ended: false,
        })
    }

    /// The search's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The next update; `None` after [`SearchUpdate::End`]. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`] if the peer stops before the search ends.
    pub async fn next(&mut self) -> Result<Option<SearchUpdate>, ClientError> {
        while !self.ended {
            let event = self.events.next().await?;
            let event = event.ok_or_else(|| broken("it ended before the search did"))?;
            if matches!(event.name.as_str(), "row" | "end") {
                let update = read(&event)?;
                self.ended = matches!(update, SearchUpdate::End(_));
                return Ok(Some(update));
            }
        }
        Ok(None)
    }
}

/// What happens at a peer.
#[derive(Debug)]
pub struct EventStream {
    events: Events,
}

impl EventStream {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            events: Events {
                body,
                parser: SseParser::default(),
            },
        }
    }

    /// The next event; `None` when the peer has stopped. A reader that is too
    /// slow loses the oldest. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<NodeEvent>, ClientError> {
        while let Some(event) = self.events.next().await? {
            if event.name == "event" {
                return Ok(Some(read(&event)?));
            }
        }
        Ok(None)
    }
}
