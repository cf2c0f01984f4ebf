//! The searches that a user may come back to: numbers, rows so far, and who is
//! told of changes.
//!
//! Pure bookkeeping: [`gannet_overlay::locate`] decides what the rows are.

use std::collections::VecDeque;

use gannet_overlay::locate::LocatedRow;
use tokio::sync::mpsc;

use crate::api::{FoundBy, SearchEnd, SearchRow, SearchState, SearchUpdate, SourceInfo};

/// Most searches remembered.
// Guess: a user goes back one or two; programs keep their own.
const SEARCHES_MAX: usize = 16;
/// Most searches that run at once.
// Guess: ends come within seconds.
pub(crate) const RUNNING_MAX: usize = 12;

const _: () = assert!(
    RUNNING_MAX < SEARCHES_MAX,
    "a running search must not be forgotten"
);

struct Running {
    state: SearchState,
    updates: mpsc::Sender<SearchUpdate>,
    /// Never the latest one: nobody has it in mind.
    is_aside: bool,
}

/// All searches that are remembered, oldest first.
#[derive(Default)]
pub(crate) struct Searches {
    searches: VecDeque<Running>,
    next: u64,
}

impl Searches {
    pub(crate) fn running(&self) -> usize {
        self.searches
            .iter()
            .filter(|search| search.state.end.is_none())
            .count()
    }

    /// A new search; `rows_max` bounds what will be sent.
    pub(crate) fn start(
        &mut self,
        query: &str,
        rows_max: usize,
    ) -> (u64, mpsc::Receiver<SearchUpdate>) {
        if self.searches.len() == SEARCHES_MAX {
            let is_over = |search: &Running| search.state.end.is_some();
            let mut all = self.searches.iter();
            let aside = all.position(|search| search.is_aside && is_over(search));
            let over = aside.or_else(|| self.searches.iter().position(is_over));
            self.searches.remove(over.unwrap_or(0));
        }
        self.next += 1;
        // Rows repeat when more sources turn up; a reader that is slower than
        // that misses repetitions and can ask for the state.
        let (updates, receiver) = mpsc::channel(2 * rows_max + 16);
        let id = self.next;
        self.searches.push_back(Running {
            state: SearchState {
                id,
                query: query.to_owned(),
                rows: Vec::new(),
                end: None,
            },
            updates,
            is_aside: false,
        });
        (id, receiver)
    }

    /// Makes a search one that is never the latest, and that is forgotten first.
    pub(crate) fn set_aside(&mut self, id: u64) {
        if let Some(search) = self.find(id) {
            search.is_aside = true;
        }
    }

    fn find(&mut self, id: u64) -> Option<&mut Running> {
        self.searches
            .iter_mut()
            .find(|search| search.state.id == id)
    }

    /// The state of a search, of the latest if `id` is `None`.
    pub(crate) fn state(&self, id: Option<u64>) -> Option<&SearchState> {
        match id {
            Some(id) => self.searches.iter().find(|search| search.state.id == id),
            None => self.searches.iter().rfind(|search| !search.is_aside),
        }
        .map(|search| &search.state)
    }

    /// A row is new or has changed. `have`: whether this peer shares it itself.
    pub(crate) fn on_row(&mut self, id: u64, row: &LocatedRow, have: bool) {
        let Some(search) = self.find(id) else { return };
        let row = search_row(row, have);
        let rows = &mut search.state.rows;
        match rows.binary_search_by_key(&row.number, |known| known.number) {
            Ok(at) => rows[at] = row.clone(),
            Err(at) => rows.insert(at, row.clone()),
        }
        // A full queue means a reader that has fallen behind: see `start`.
        let _ = search.updates.try_send(SearchUpdate::Row(row));
    }

    pub(crate) fn on_end(&mut self, id: u64, end: SearchEnd) {
        let Some(search) = self.find(id) else { return };
        search.state.end = Some(end.clone());
        let _ = search.updates.try_send(SearchUpdate::End(end));
        // Whoever missed the end sees the channel close and asks for the state.
        search.updates = mpsc::channel(1).0;
    }
}

fn search_row(row: &LocatedRow, have: bool) -> SearchRow {
    let entry = &row.entry;
    let sources = row.sources.iter().map(|source| SourceInfo {
        peer: source.peer,
        path: source.path.clone(),
    });
    let found_by = row.found_by.iter().map(|found| FoundBy {
        overlay: found.overlay.name().to_owned(),
        via: found.via,
        hops: found.hops.into(),
        milliseconds: u64::try_from(found.after.as_millis()).unwrap_or(u64::MAX),
    });
    SearchRow {
        number: row.position.saturating_add(1),
        content: entry.content,
        name: entry.name().to_owned(),
        size: entry.size,
        kind: entry.kind(),
        media: entry.media.clone(),
        holders: row.holders,
        sources: sources.collect(),
        found_by: found_by.collect(),
        have,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gannet_base::{ContentId, FileEntry, Media, PeerId};
    use gannet_overlay::locate::{self, Overlay, Source};

    use super::*;

    fn located(position: u32, sources: u8) -> LocatedRow {
        let peer = |n| PeerId::from_bytes([n; 32]);
        LocatedRow {
            position,
            entry: FileEntry {
                content: ContentId::of(&position.to_le_bytes()),
                size: 7,
                path: "share/x".to_owned(),
                media: Media::default(),
            },
            holders: sources.into(),
            sources: (0..sources)
                .map(|n| Source {
                    peer: peer(n),
                    path: "share/x".to_owned(),
                })
                .collect(),
            found_by: vec![locate::FoundBy {
                overlay: Overlay::Flood,
                via: peer(1),
                hops: 3,
                after: Duration::from_millis(5),
            }],
        }
    }

    #[test]
    fn rows_are_kept_by_number_and_told() {
        let mut searches = Searches::default();
        let (id, mut updates) = searches.start("x", 10);
        for row in [located(0, 1), located(1, 1), located(0, 2)] {
            searches.on_row(id, &row, true);
        }
        searches.on_end(id, SearchEnd::default());
        let state = searches.state(None).unwrap();
        let shown: Vec<(u32, usize)> = state
            .rows
            .iter()
            .map(|row| (row.number, row.sources.len()))
            .collect();
        assert_eq!(shown, [(1, 2), (2, 1)]);
        let found = &state.rows[0].found_by[0];
        assert_eq!((found.overlay.as_str(), found.hops), ("flood", 3));
        assert!(state.rows[0].have && state.end.is_some());
        let told = std::iter::from_fn(|| updates.try_recv().ok());
        let ends: Vec<bool> = told
            .map(|update| matches!(update, SearchUpdate::End(_)))
            .collect();
        assert_eq!(ends, [false, false, false, true]);
    }

    #[test]
    fn what_is_set_aside_is_not_the_latest_and_goes_first() {
        let mut searches = Searches::default();
        let (mine, _) = searches.start("mine", 1);
        searches.on_end(mine, SearchEnd::default());
        for _ in 0..40 {
            let (id, _) = searches.start("x", 1);
            searches.set_aside(id);
            searches.on_end(id, SearchEnd::default());
        }
        let latest = searches.state(None).map(|state| state.id);
        assert_eq!(latest, Some(mine));
    }

    #[test]
    fn old_searches_are_forgotten_running_ones_are_not() {
        let mut searches = Searches::default();
        let (running, _keep) = searches.start("first", 1);
        for _ in 0..40 {
            let (id, _) = searches.start("x", 1);
            searches.on_end(id, SearchEnd::default());
        }
        assert!(searches.state(Some(running)).is_some());
        assert_eq!(searches.searches.len(), SEARCHES_MAX);
        assert_eq!(searches.running(), 1);
    }
}
