//! The searches of this node: answers verified, merged by content, numbered.
//!
//! Pure bookkeeping; the driver feeds it and forwards what it returns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gannet_base::{ContentId, Hit, PeerId, Row, Timestamp, WallTime};
use tokio::sync::mpsc;

use crate::api::{Asked, FoundBy, SearchEnd, SearchRow, SearchState, SearchUpdate, SourceInfo};

/// Most searches remembered.
// Guess: a user goes back one or two; programs keep their own.
const SEARCHES_MAX: usize = 16;
/// Most searches that run at once.
// Guess: ends come within seconds.
pub(crate) const RUNNING_MAX: usize = 12;
/// Most sources kept in a row.
// Guess: more than a download uses at once (32), with some to spare.
const SOURCES_PER_ROW_MAX: usize = 64;
/// Most overlays and answerers named in a row.
const FOUND_BY_MAX: usize = 8;

const _: () = assert!(
    RUNNING_MAX < SEARCHES_MAX,
    "a running search must not be forgotten"
);

/// Answers whose signatures have been checked.
#[derive(Debug)]
pub(crate) struct CheckedRows {
    /// Rows without the hits that were wrong.
    pub(crate) rows: Vec<Row>,
    /// How many hits were wrong.
    pub(crate) dropped: u64,
}

/// Checks what a hub answered: every hit signed by its holder, in date, and of
/// its row's content. About 40 µs a hit: not for the driver's own task.
pub(crate) fn check_rows(rows: Vec<Row>, now: WallTime) -> CheckedRows {
    let mut dropped = 0;
    let rows = rows
        .into_iter()
        .filter_map(|mut row| {
            let before = row.hits.len();
            let content = row.content;
            row.hits.retain(|hit| {
                hit.entry().content == content && hit.publication.verify(now).is_ok()
            });
            dropped += u64::try_from(before - row.hits.len()).unwrap_or(u64::MAX);
            (!row.hits.is_empty()).then_some(row)
        })
        .collect();
    CheckedRows { rows, dropped }
}

struct Running {
    state: SearchState,
    by_content: BTreeMap<ContentId, usize>,
    updates: mpsc::Sender<SearchUpdate>,
    started: Timestamp,
    rows_max: usize,
    dropped: u64,
    /// Answers that are still being checked.
    checking: usize,
    /// The end, held back until those are in.
    end: Option<(Vec<Asked>, u64)>,
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

    /// A new search; `rows_max` bounds what is kept and sent.
    pub(crate) fn start(
        &mut self,
        now: Timestamp,
        query: &str,
        rows_max: usize,
    ) -> (u64, mpsc::Receiver<SearchUpdate>) {
        if self.searches.len() == SEARCHES_MAX {
            let over = self
                .searches
                .iter()
                .position(|search| search.state.end.is_some());
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
            by_content: BTreeMap::new(),
            updates,
            started: now,
            rows_max,
            dropped: 0,
            checking: 0,
            end: None,
        });
        (id, receiver)
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
            None => self.searches.back(),
        }
        .map(|search| &search.state)
    }

    /// Answers came in and are being checked: the search must not end before.
    pub(crate) fn on_checking(&mut self, id: u64) {
        if let Some(search) = self.find(id) {
            search.checking += 1;
        }
    }

    /// Checked answers of one answerer. `have` tells what this peer has itself.
    pub(crate) fn on_rows(
        &mut self,
        now: Timestamp,
        id: u64,
        via: PeerId,
        checked: CheckedRows,
        have: impl Fn(ContentId) -> bool,
    ) {
        let Some(search) = self.find(id) else { return };
        search.checking = search.checking.saturating_sub(1);
        search.dropped += checked.dropped;
        let milliseconds = u64::try_from((now - search.started).as_millis()).unwrap_or(u64::MAX);
        for row in checked.rows {
            let have = have(row.content);
            search.merge(
                row,
                FoundBy {
                    overlay: "hub".to_owned(),
                    via,
                    hops: 1,
                    milliseconds,
                },
                have,
            );
        }
        search.finish();
    }

    /// Everybody has answered or will not: the search ends when the answers
    /// that are being checked are in.
    pub(crate) fn on_end(&mut self, id: u64, asked: Vec<Asked>, total: u64) {
        let Some(search) = self.find(id) else { return };
        search.end = Some((asked, total));
        search.finish();
    }
}

impl Running {
    fn merge(&mut self, row: Row, found_by: FoundBy, have: bool) {
        let position = match self.by_content.get(&row.content) {
            Some(position) => *position,
            None if self.state.rows.len() >= self.rows_max => return,
            None => {
                let Some(hit) = row.hits.first() else { return };
                self.by_content.insert(row.content, self.state.rows.len());
                let number = u32::try_from(self.state.rows.len() + 1).unwrap_or(u32::MAX);
                self.state.rows.push(new_row(number, hit, have));
                self.state.rows.len() - 1
            }
        };
        let known = &mut self.state.rows[position];
        let mut peers: BTreeSet<PeerId> = known.sources.iter().map(|source| source.peer).collect();
        for hit in &row.hits {
            if known.sources.len() < SOURCES_PER_ROW_MAX && peers.insert(hit.holder()) {
                let path = hit.entry().path.clone();
                known.sources.push(SourceInfo {
                    peer: hit.holder(),
                    path,
                });
            }
        }
        let named = u32::try_from(known.sources.len()).unwrap_or(u32::MAX);
        known.holders = known.holders.max(row.holders).max(named);
        if known.found_by.len() < FOUND_BY_MAX
            && !known.found_by.iter().any(|found| found.via == found_by.via)
        {
            known.found_by.push(found_by);
        }
        // A full queue means a reader that has fallen behind: see `start`.
        let _ = self.updates.try_send(SearchUpdate::Row(known.clone()));
    }

    fn finish(&mut self) {
        if self.checking > 0 || self.state.end.is_some() {
            return;
        }
        let Some((asked, total)) = self.end.take() else {
            return;
        };
        let rows = self.state.rows.len();
        let explanation = explain(rows, self.dropped, &asked);
        let total = total.max(u64::try_from(rows).unwrap_or(u64::MAX));
        let end = SearchEnd {
            asked,
            total,
            dropped: self.dropped,
            explanation,
        };
        self.state.end = Some(end.clone());
        let _ = self.updates.try_send(SearchUpdate::End(end));
        // Whoever missed the end sees the channel close and asks for the state.
        self.updates = mpsc::channel(1).0;
    }
}

fn new_row(number: u32, hit: &Hit, have: bool) -> SearchRow {
    let entry = hit.entry();
    SearchRow {
        number,
        content: entry.content,
        name: entry.name().to_owned(),
        size: entry.size,
        kind: entry.kind(),
        media: entry.media.clone(),
        holders: 0,
        sources: Vec::new(),
        found_by: Vec::new(),
        have,
    }
}

/// Whether nobody has it, or nobody could be asked: users must be able to tell
/// the two apart.
fn explain(rows: usize, dropped: u64, asked: &[Asked]) -> String {
    let answered = asked.iter().filter(|asked| asked.answered).count();
    let mut text = match (rows, asked.len(), answered) {
        (0, 0, _) => {
            "I could not ask anybody: no hub is named. Start with --hub PEER@ADDRESS.".to_owned()
        }
        (0, n, 0) => format!("I could not ask: none of the {} answered.", count(n, "hub")),
        (0, n, a) if a == n => format!("Nobody has it: asked {}, all answered.", count(n, "hub")),
        (0, n, a) => format!(
            "Found nothing, but only {a} of {} answered.",
            count(n, "hub")
        ),
        (r, n, a) => format!("{} from {a} of {}.", count(r, "row"), count(n, "hub")),
    };
    if dropped > 0 {
        text.push_str(&format!(
            " {} dropped: not signed by the peer they name.",
            count(usize::try_from(dropped).unwrap_or(usize::MAX), "answer")
        ));
    }
    text
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use gannet_base::{FileEntry, Media, Publication};

    use super::*;

    const NOW: WallTime = WallTime::from_unix_seconds(1_000_000);

    fn hit(key: u8, name: &str) -> Hit {
        let entry = FileEntry {
            content: ContentId::of(name.as_bytes()),
            size: 7,
            path: format!("share/{name}"),
            media: Media::default(),
        };
        let key = SigningKey::from_bytes(&[key; 32]);
        Hit {
            publication: Publication::sign(entry, NOW.plus_seconds(60), &key),
        }
    }

    fn row(name: &str, keys: &[u8]) -> Row {
        Row {
            content: ContentId::of(name.as_bytes()),
            holders: u32::try_from(keys.len()).unwrap(),
            hits: keys.iter().map(|key| hit(*key, name)).collect(),
        }
    }

    fn hub(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn asked(n: u8, answered: bool) -> Asked {
        Asked {
            overlay: "hub".to_owned(),
            peer: hub(n),
            answered,
            outcome: String::new(),
            milliseconds: 1,
        }
    }

    #[test]
    fn two_hubs_make_one_row_with_all_sources() {
        let mut searches = Searches::default();
        let (id, mut updates) = searches.start(Timestamp::ZERO, "x", 10);
        for (hub_n, keys) in [(1, &[1, 2][..]), (2, &[2, 3][..])] {
            searches.on_checking(id);
            let checked = check_rows(vec![row("x", keys)], NOW);
            searches.on_rows(Timestamp::from_millis(5), id, hub(hub_n), checked, |_| {
                false
            });
        }
        searches.on_end(id, vec![asked(1, true), asked(2, true)], 1);
        let state = searches.state(None).unwrap();
        assert_eq!(state.rows.len(), 1);
        assert_eq!(state.rows[0].sources.len(), 3);
        assert_eq!(state.rows[0].found_by.len(), 2);
        assert_eq!(
            state.end.as_ref().unwrap().explanation,
            "1 row from 2 of 2 hubs."
        );
        let kinds: Vec<bool> = std::iter::from_fn(|| updates.try_recv().ok())
            .map(|update| matches!(update, SearchUpdate::End(_)))
            .collect();
        assert_eq!(kinds, [false, false, true]);
    }

    #[test]
    fn what_the_holder_did_not_sign_is_dropped_and_said() {
        let mut forged = row("x", &[1, 2]);
        forged.hits[0].publication.entry.size = 8;
        let mut swapped = row("y", &[3]);
        swapped.content = ContentId::of(b"z");
        let checked = check_rows(vec![forged, swapped], NOW);
        assert_eq!((checked.rows.len(), checked.dropped), (1, 2));
        assert_eq!(checked.rows[0].hits.len(), 1);
    }

    #[test]
    fn the_end_waits_for_answers_that_are_being_checked() {
        let mut searches = Searches::default();
        let (id, _updates) = searches.start(Timestamp::ZERO, "x", 10);
        searches.on_checking(id);
        searches.on_end(id, vec![asked(1, true)], 1);
        assert!(searches.state(Some(id)).unwrap().end.is_none());
        let checked = check_rows(vec![row("x", &[1])], NOW);
        searches.on_rows(Timestamp::ZERO, id, hub(1), checked, |_| true);
        let state = searches.state(Some(id)).unwrap();
        assert!(state.end.is_some() && state.rows[0].have);
    }

    #[test]
    fn nobody_has_it_is_not_could_not_ask() {
        let cases = [
            (vec![], "could not ask anybody"),
            (vec![asked(1, false)], "I could not ask"),
            (vec![asked(1, true)], "Nobody has it"),
            (
                vec![asked(1, true), asked(2, false)],
                "only 1 of 2 hubs answered",
            ),
        ];
        for (asked, words) in cases {
            let text = explain(0, 0, &asked);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn old_searches_are_forgotten_running_ones_are_not() {
        let mut searches = Searches::default();
        let (running, _keep) = searches.start(Timestamp::ZERO, "first", 1);
        for _ in 0..40 {
            let (id, _) = searches.start(Timestamp::ZERO, "x", 1);
            searches.on_end(id, Vec::new(), 0);
        }
        assert!(searches.state(Some(running)).is_some());
        assert_eq!(searches.searches.len(), SEARCHES_MAX);
        assert_eq!(searches.running(), 1);
    }
}
