//! Following lists that only tell how they are now.
//!
//! A stream looks at its list again when its reader has taken everything and a
//! pause is over, so a slow reader misses states in between and never the last,
//! and keeps no queue. What happens at the node ends the pause: figures come at
//! leisure, a change of state at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use gannet_node::Stopped;
use gannet_node::api::NodeEvent;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, sleep_until};

use super::{App, sse};

/// How often downloads are looked at.
// Measured: `.ci/browser --slowed`: a page then takes 1.5 to 2.3 % of two cores while a
// fast download runs.
pub(super) const DOWNLOADS_INTERVAL: Duration = Duration::from_secs(1);
/// How often peers are looked at.
// Guess: figures that change faster cannot be read.
pub(super) const PEERS_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest pause, whatever happens.
// Guess: less than a person notices, and hundreds of changes are still one look.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What a reader was told, and what is still to be said.
struct Follower<K, T> {
    told: BTreeMap<K, T>,
    news: VecDeque<News<K, T>>,
    is_listed: bool,
    pace: Pace,
    app: Arc<App>,
    _permit: OwnedSemaphorePermit,
}

/// When it is time to look again.
struct Pace {
    last: Instant,
    next: Instant,
    events: broadcast::Receiver<NodeEvent>,
}

impl Pace {
    fn new(events: broadcast::Receiver<NodeEvent>) -> Self {
        let last = Instant::now();
        Self {
            last,
            next: last,
            events,
        }
    }

    /// Waits until the next look is due: sooner if something happens that `shows`.
    async fn wait(&mut self, shows: impl Fn(&NodeEvent) -> bool) {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.next) => return,
                event = self.events.recv() => match event {
                    Ok(event) if !shows(&event) => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        self.next = self.next.min(self.last + PAUSE_MIN);
                    }
                    Err(RecvError::Closed) => return sleep_until(self.next).await,
                },
            }
        }
    }

    /// Notes a look now.
    fn looked(&mut self, interval: Duration) {
        self.last = Instant::now();
        self.next = self.last + interval;
    }
}

#[derive(Debug, PartialEq)]
enum News<K, T> {
    Item(T),
    Gone(K),
    Listed(usize),
}

/// What has become of a list since it was told.
fn news<K: Ord + Copy, T: PartialEq + Clone>(
    told: &mut BTreeMap<K, T>,
    list: Vec<T>,
    key: impl Fn(&T) -> K,
) -> VecDeque<News<K, T>> {
    let now: BTreeMap<_, _> = list.into_iter().map(|item| (key(&item), item)).collect();
    let gone = told.keys().filter(|key| !now.contains_key(key));
    let mut news: VecDeque<_> = gone.map(|&key| News::Gone(key)).collect();
    let changed = now.iter().filter(|(key, item)| told.get(key) != Some(item));
    news.extend(changed.map(|(_, item)| News::Item(item.clone())));
    *told = now;
    news
}

/// The stream of a list: `item`, `gone`, and `listed` once after the first look.
/// It is looked at after each interval, and when something happens that `shows` in it.
pub(super) fn follow<K, T, L>(
    app: &Arc<App>,
    permit: OwnedSemaphorePermit,
    interval: Duration,
    shows: impl Fn(&NodeEvent) -> bool + Copy + Send + Sync + 'static,
    list: impl Fn(Arc<App>) -> L + Copy + Send + 'static,
    key: impl Fn(&T) -> K + Copy + Send + 'static,
) -> Response
where
    K: Ord + Copy + Serialize + Send + 'static,
    T: PartialEq + Clone + Serialize + Send + 'static,
    L: Future<Output = Result<Vec<T>, Stopped>> + Send,
{
    let follower = Follower {
        told: BTreeMap::new(),
        news: VecDeque::new(),
        is_listed: false,
        pace: Pace::new(app.peer.events()),
        app: Arc::clone(app),
        _permit: permit,
    };
    sse::answer(stream::unfold(follower, move |mut follower| async move {
        while follower.news.is_empty() {
            let app = Arc::clone(&follower.app);
            tokio::select! {
                () = follower.pace.wait(shows) => {}
                () = app.closing.cancelled() => return None,
            }
            follower.pace.looked(interval);
            let now = list(app).await.ok()?;
            follower.news = news(&mut follower.told, now, key);
            if !std::mem::replace(&mut follower.is_listed, true) {
                let count = follower.told.len();
                follower.news.push_back(News::Listed(count));
            }
        }
        let event = match follower.news.pop_front()? {
            News::Item(item) => Event::default().event("item").json_data(item),
            News::Gone(key) => Event::default()
                .event("gone")
                .json_data(json!({ "key": key })),
            News::Listed(count) => {
                let count = json!({ "count": count });
                Event::default().event("listed").json_data(count)
            }
        };
        Some((event, follower))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_is_looked_at_at_once_and_not_too_often() {
        let interval = Duration::from_secs(1);
        let teller = broadcast::Sender::new(4);
        let mut pace = Pace::new(teller.subscribe());
        let mut start = Instant::now();
        let shows = |event: &NodeEvent| matches!(event, NodeEvent::RingJoined);
        let mut waited = async |told: &[NodeEvent]| {
            for event in told {
                teller.send(event.clone()).unwrap();
            }
            pace.wait(shows).await;
            pace.looked(interval);
            std::mem::replace(&mut start, Instant::now()).elapsed()
        };
        let (joined, lost) = (NodeEvent::RingJoined, NodeEvent::RingLost);
        assert_eq!(waited(&[]).await, Duration::ZERO, "the first look");
        assert_eq!(waited(&[]).await, interval);
        assert_eq!(waited(std::slice::from_ref(&lost)).await, interval);
        assert_eq!(waited(&[lost, joined.clone()]).await, PAUSE_MIN);
        assert_eq!(
            waited(&vec![joined; 9]).await,
            PAUSE_MIN,
            "too many to hear all"
        );
        drop(teller);
        pace.wait(shows).await;
        assert_eq!(start.elapsed(), interval, "nothing can happen any more");
    }

    #[test]
    fn only_what_has_changed_is_news() {
        let mut told = BTreeMap::new();
        let mut look = |list: &[(u8, char)]| Vec::from(news(&mut told, list.to_vec(), |one| one.0));
        assert_eq!(
            look(&[(1, 'a'), (2, 'b')]),
            [News::Item((1, 'a')), News::Item((2, 'b'))]
        );
        assert_eq!(look(&[(2, 'b'), (1, 'a')]), []);
        assert_eq!(
            look(&[(3, 'c'), (2, 'x')]),
            [News::Gone(1), News::Item((2, 'x')), News::Item((3, 'c'))]
        );
        assert_eq!(look(&[]), [News::Gone(2), News::Gone(3)]);
    }
}
