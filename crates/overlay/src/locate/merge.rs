//! Answers of all overlays put together: one row for each content.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{ContentId, PeerId, Row};
use gannet_index::Expression;

use super::api::{FoundBy, LocatedRow, Source};
use super::config::Config;

/// What a search is for.
#[derive(Debug)]
pub(super) enum Goal {
    /// Files that match.
    Matches(Expression),
    /// Holders of a content.
    Holders(ContentId),
}

impl Goal {
    /// Takes out the hits that nobody asked for; how many.
    fn clean(&self, row: &mut Row) -> u64 {
        let before = row.hits.len();
        let content = row.content;
        row.hits.retain(|hit| {
            hit.entry().content == content
                && match self {
                    Self::Matches(expression) => expression.matches(hit.entry()),
                    Self::Holders(wanted) => content == *wanted,
                }
        });
        u64::try_from(before - row.hits.len()).unwrap_or(u64::MAX)
    }
}

/// The rows of a search.
#[derive(Debug)]
pub(super) struct Merged {
    goal: Goal,
    rows_max: usize,
    rows: Vec<LocatedRow>,
    by_content: BTreeMap<ContentId, usize>,
}

/// What came of one answer.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Positions of the rows that are new or have changed, ascending.
    pub(super) changed: BTreeSet<usize>,
    /// The contents that matched.
    pub(super) contents: BTreeSet<ContentId>,
    /// Hits that nobody had asked for.
    pub(super) unmatched: u64,
}

impl Merged {
    pub(super) fn new(goal: Goal, rows_max: usize) -> Self {
        Self {
            goal,
            rows_max,
            rows: Vec::new(),
            by_content: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, position: usize) -> &LocatedRow {
        &self.rows[position]
    }

    /// How much of what is wanted was found: contents, or holders of the one.
    pub(super) fn found(&self) -> usize {
        match self.goal {
            Goal::Matches(_) => self.rows.len(),
            Goal::Holders(_) => self.rows.first().map_or(0, |row| row.sources.len()),
        }
    }

    /// Takes in one answer.
    pub(super) fn take(&mut self, config: &Config, rows: Vec<Row>, found_by: FoundBy) -> Taken {
        let mut taken = Taken::default();
        for mut row in rows {
            taken.unmatched += self.goal.clean(&mut row);
            if row.hits.is_empty() {
                continue;
            }
            taken.contents.insert(row.content);
            if let Some(position) = self.merge(config, &row, found_by) {
                taken.changed.insert(position);
            }
        }
        taken
    }

    /// The position of the row if it is new or has changed.
    fn merge(&mut self, config: &Config, row: &Row, found_by: FoundBy) -> Option<usize> {
        let position = match self.by_content.get(&row.content) {
            Some(position) => *position,
            None => self.begin(row)?,
        };
        let known = &mut self.rows[position];
        let before = (known.holders, known.sources.len(), known.found_by.len());
        let mut peers: BTreeSet<PeerId> = known.sources.iter().map(|source| source.peer).collect();
        for hit in &row.hits {
            if known.sources.len() < config.sources_per_row_max && peers.insert(hit.holder()) {
                let path = hit.entry().path.clone();
                known.sources.push(Source {
                    peer: hit.holder(),
                    path,
                });
            }
        }
        let named = u32::try_from(known.sources.len()).unwrap_or(u32::MAX);
        known.holders = known.holders.max(row.holders).max(named);
        let is_nearer = note_finder(&mut known.found_by, config.found_by_max, found_by);
        let after = (known.holders, known.sources.len(), known.found_by.len());
        if before.1 != after.1 {
            known.entry.path = usual_path(&known.sources).to_owned();
        }
        (before != after || is_nearer).then_some(position)
    }

    fn begin(&mut self, row: &Row) -> Option<usize> {
        let position = self.rows.len();
        let hit = row.hits.first().filter(|_| position < self.rows_max)?;
        self.by_content.insert(row.content, position);
        self.rows.push(LocatedRow {
            position: u32::try_from(position).unwrap_or(u32::MAX),
            entry: hit.entry().clone(),
            holders: 0,
            sources: Vec::new(),
            found_by: Vec::new(),
        });
        Some(position)
    }
}

/// Notes who found a row. Answers that came through the same peer are one
/// finder: whether it turns out to be nearer than it was.
fn note_finder(finders: &mut Vec<FoundBy>, max: usize, by: FoundBy) -> bool {
    let of_overlay = |found: &&mut FoundBy| found.overlay == by.overlay;
    let mut same = finders.iter_mut().filter(of_overlay);
    if let Some(known) = same.find(|found| found.via == by.via) {
        let is_nearer = by.hops < known.hops;
        known.hops = known.hops.min(by.hops);
        return is_nearer;
    }
    let others = finders.iter().filter(|found| found.overlay == by.overlay);
    if others.count() < max {
        finders.push(by);
    }
    false
}

/// The path of the first source that calls it what most call it.
fn usual_path(sources: &[Source]) -> &str {
    fn name(path: &str) -> &str {
        path.rsplit('/').next().unwrap_or(path)
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        *counts.entry(name(&source.path)).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(0);
    sources
        .iter()
        .map(|source| source.path.as_str())
        .find(|path| counts.get(name(path)) == Some(&most))
        .unwrap_or_default()
}
