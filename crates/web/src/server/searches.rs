//! Following searches.
//!
//! The node tells a search's steps once, to one receiver. A feed takes them all
//! at once and keeps them, so that any number of streams, slow ones too, can
//! follow without the node waiting for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gannet_node::Stopped;
use gannet_node::api::{SearchEnd, SearchRow, SearchState, SearchUpdate};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::metrics::{Counts, count};
use crate::Peer;

/// How many searches are listed; the node keeps as many.
const RECENT_MAX: usize = 16;
/// How often a search is looked at whose receiver somebody else has.
// Guess: below what a user notices, above what the node notices.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How a search ended for those who follow it.
#[derive(Debug, Clone)]
pub(super) enum Finish {
    Ended(SearchEnd),
    /// The node has stopped or forgotten it.
    Lost,
}

/// The rows of one search, each with the version in which it last changed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) id: u64,
    kept: Mutex<Kept>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: BTreeMap<u32, (u64, SearchRow)>,
    finish: Option<Finish>,
}

impl Feed {
    fn new(id: u64) -> Self {
        Self {
            id,
            kept: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic holds this lock")
    }

    /// Tells when there is something new.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Rows that changed after version `seen`, the end if it has come, and the
    /// version now.
    pub(super) fn since(&self, seen: u64) -> (VecDeque<SearchRow>, Option<Finish>, u64) {
        let kept = self.lock();
        let changed = kept.rows.values().filter(|(version, _)| *version > seen);
        let rows = changed.map(|(_, row)| row.clone()).collect();
        (rows, kept.finish.clone(), *self.version.borrow())
    }

    /// Takes rows and, perhaps, the end. The version changes under the lock, so
    /// that [`Feed::since`] sees both or neither.
    fn take(&self, rows: impl IntoIterator<Item = SearchRow>, finish: Option<Finish>) {
        let mut kept = self.lock();
        let version = *self.version.borrow() + 1;
        for row in rows {
            let known = kept.rows.get(&row.number);
            if known.is_none_or(|(_, known)| *known != row) {
                kept.rows.insert(row.number, (version, row));
            }
        }
        kept.finish = finish;
        self.version.send_replace(version);
    }
}

/// The searches of a node that somebody follows or may list.
#[derive(Debug)]
pub(super) struct Searches {
    known: Mutex<Known>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Known {
    recent: VecDeque<u64>,
    /// Running ones: as many as the node lets run.
    live: BTreeMap<u64, Arc<Feed>>,
}

impl Searches {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self {
            known: Mutex::default(),
            counts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic holds this lock")
    }

    /// Numbers of searches that were asked for here, the latest first.
    pub(super) fn recent(&self) -> Vec<u64> {
        self.lock().recent.iter().copied().collect()
    }

    /// Follows a search that was started this moment.
    pub(super) fn start(
        self: &Arc<Self>,
        peer: &Arc<dyn Peer>,
        id: u64,
        updates: mpsc::Receiver<SearchUpdate>,
    ) -> Arc<Feed> {
        self.add(peer, Feed::new(id), Some(updates))
    }

    /// The feed of a search that runs or is over; `None` if the node does not
    /// know it.
    pub(super) async fn open(
        self: &Arc<Self>,
        peer: &Arc<dyn Peer>,
        id: u64,
    ) -> Result<Option<Arc<Feed>>, Stopped> {
        if let Some(feed) = self.lock().live.get(&id) {
            return Ok(Some(Arc::clone(feed)));
        }
        let Some(state) = peer.search_state(Some(id)).await? else {
            return Ok(None);
        };
        let feed = Feed::new(id);
        let ended = state.end.is_some();
        take_state(&feed, state);
        Ok(Some(if ended {
            Arc::new(feed)
        } else {
            self.add(peer, feed, None)
        }))
    }

    fn add(
        self: &Arc<Self>,
        peer: &Arc<dyn Peer>,
        feed: Feed,
        updates: Option<mpsc::Receiver<SearchUpdate>>,
    ) -> Arc<Feed> {
        let id = feed.id;
        let mut known = self.lock();
        if let Some(there) = known.live.get(&id) {
            return Arc::clone(there);
        }
        let feed = Arc::new(feed);
        known.live.insert(id, Arc::clone(&feed));
        known.recent.retain(|&other| other != id);
        known.recent.push_front(id);
        known.recent.truncate(RECENT_MAX);
        let (searches, peer, followed) = (Arc::clone(self), Arc::clone(peer), Arc::clone(&feed));
        tokio::spawn(async move {
            if updates.is_some() {
                count(&searches.counts.searches);
            }
            follow(&followed, &*peer, updates, &searches.counts).await;
            searches.lock().live.remove(&id);
        });
        feed
    }
}

fn take_state(feed: &Feed, state: SearchState) {
    feed.take(state.rows, state.end.map(Finish::Ended));
}

/// Takes the updates as they come; then looks until the search is over, which
/// also finds what an overrun receiver has missed.
async fn follow(
    feed: &Feed,
    peer: &dyn Peer,
    updates: Option<mpsc::Receiver<SearchUpdate>>,
    counts: &Counts,
) {
    if let Some(mut updates) = updates {
        let (start, mut is_empty) = (Instant::now(), true);
        while let Some(SearchUpdate::Row(row)) = updates.recv().await {
            if std::mem::replace(&mut is_empty, false) {
                counts.first_row.note(start.elapsed());
            }
            feed.take([row], None);
        }
        counts.search.note(start.elapsed());
        if is_empty {
            count(&counts.searches_empty);
        }
    }
    loop {
        match peer.search_state(Some(feed.id)).await {
            Ok(Some(state)) => {
                let ended = state.end.is_some();
                take_state(feed, state);
                if ended {
                    return;
                }
            }
            Ok(None) | Err(Stopped) => return feed.take([], Some(Finish::Lost)),
        }
        sleep(LOOK_INTERVAL).await;
    }
}
