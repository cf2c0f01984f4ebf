//! From matching entries to ranked rows.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;

use gannet_base::{ContentId, Hit, Row};

use crate::query::{Closeness, EntryTokens, Expression};

use super::holders::SpeedClass;
use super::search::Candidate;
use super::slots::NONE;
use super::work::Work;
use super::{Index, Page, Rows};

/// A row before its hits are written out. The fields stand in the order in
/// which they count, after closeness; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    holders: u32,
    speed: SpeedClass,
    /// The smallest number of an entry: what came first, roughly.
    entry: Reverse<u32>,
    /// The number of its group of candidates.
    group: u32,
}

impl Index {
    /// Groups candidates by content, ranks, cuts out a page. `unlisted`: how
    /// many rows there are besides, all behind those of the candidates.
    pub(super) fn rows(
        &self,
        mut reader: Reader<'_>,
        mut candidates: Vec<Candidate>,
        unlisted: usize,
        page: Page,
        work: &Work,
    ) -> Rows {
        let mut groups: Vec<Range<usize>> = Vec::with_capacity(candidates.len());
        let mut keys: Vec<Key> = Vec::with_capacity(candidates.len());
        for group in candidates.chunk_by(|a, b| a.content == b.content) {
            keys.push(self.key(group, keys.len()));
            let from = groups.last().map_or(0, |last| last.end);
            groups.push(from..from + group.len());
        }
        let total = u64::try_from(keys.len() + unlisted).expect("a length fits 64 bits");
        let limit = page.limit.min(self.config.rows_max) as usize;
        let start = (page.offset as usize).min(keys.len());
        let end = start.saturating_add(limit).min(keys.len());
        let best = reader.best(keys, &groups, &mut candidates, end);
        let hits = page.hits_per_row.min(self.config.hits_per_row_max) as usize;
        let mut rows = Vec::with_capacity(end - start);
        for group in best.into_iter().take(end).skip(start) {
            let group = &mut candidates[groups[group as usize].clone()];
            group.iter_mut().for_each(|candidate| {
                reader.closeness(candidate);
            });
            rows.push(self.row(group, hits));
        }
        Rows {
            rows,
            total,
            complete: !work.is_exhausted() && !reader.exhausted,
        }
    }

    fn key(&self, group: &[Candidate], number: usize) -> Key {
        let content = self.contents.content(group[0].content);
        let class = |one: &Candidate| self.holders.class(self.slots.holder(one.entry));
        let first = group.iter().map(|one| one.entry).min();
        Key {
            holders: content.holders,
            speed: group.iter().map(class).max().unwrap_or(0),
            entry: Reverse(first.unwrap_or(NONE)),
            group: u32::try_from(number).expect("no more groups than entries"),
        }
    }

    /// Writes out the row of some entries of one content: its best hits.
    pub(super) fn row(&self, group: &mut [Candidate], hits_max: usize) -> Row {
        let content = self.contents.content(group[0].content);
        if group.len() == 1 {
            let hit = |one: &Candidate| Hit {
                publication: self.publication(one.entry),
            };
            return Row {
                content: content.id,
                holders: content.holders,
                hits: group.iter().take(hits_max).map(hit).collect(),
            };
        }
        group.sort_unstable_by(|a, b| self.compare_hits(a, b));
        let mut hits: Vec<Hit> = Vec::with_capacity(group.len().min(hits_max));
        let mut named = BTreeSet::new();
        for candidate in group {
            if hits.len() == hits_max {
                break;
            }
            if named.insert(self.slots.holder(candidate.entry)) {
                hits.push(Hit {
                    publication: self.publication(candidate.entry),
                });
            }
        }
        Row {
            content: content.id,
            holders: content.holders,
            hits,
        }
    }

    fn compare_hits(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let of = |candidate: &Candidate| {
            let holder = self.slots.holder(candidate.entry);
            (
                Reverse((candidate.closeness, self.holders.speed(holder))),
                self.holders.holder(holder).id,
            )
        };
        of(a)
            .cmp(&of(b))
            .then_with(|| self.compare_paths(a.entry, b.entry))
    }

    /// By the bytes of the whole path.
    pub(super) fn compare_paths(&self, a: u32, b: u32) -> Ordering {
        let bytes = |entry| {
            let folder = self.folders.text(self.slots.slot(entry).folder);
            let slash = if folder.is_empty() { "" } else { "/" };
            [folder, slash, self.slots.texts(entry).0]
                .into_iter()
                .flat_map(str::bytes)
        };
        bytes(a).cmp(bytes(b))
    }

    /// Who has a content, fastest first, each holder once, under the first of
    /// its paths; nothing if nobody is known. Of very many holders only some
    /// are looked at.
    pub fn holders(&self, content: ContentId, limit: usize) -> Option<Row> {
        let number = self.contents.find(content)?;
        let looked_at = self.config.work_per_query_max / crate::Config::WORK_PER_READING;
        let mut group = Vec::new();
        let mut entry = self.contents.content(number).first;
        for _ in 0..looked_at.max(1) {
            if entry == NONE {
                break;
            }
            group.push(Candidate {
                entry,
                content: number,
                closeness: None,
            });
            entry = self.slots.slot(entry).next;
        }
        Some(self.row(&mut group, limit))
    }
}

/// Finds out how close candidates are, as late and as seldom as possible:
/// cutting an entry into words is the dearest part of a search.
pub(super) struct Reader<'a> {
    index: &'a Index,
    expression: &'a Expression,
    tokens: EntryTokens,
    left: usize,
    exhausted: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(index: &'a Index, expression: &'a Expression) -> Self {
        Self {
            index,
            expression,
            tokens: EntryTokens::default(),
            left: index.config.readings_per_ranking_max,
            exhausted: false,
        }
    }

    /// The groups that make the best rows, at least `end` of them if there are.
    ///
    /// Closeness counts most, but is looked at last: keys come in the order of
    /// all the rest, and as soon as `end` of them are as close as can be, no
    /// other can come before those.
    fn best(
        &mut self,
        keys: Vec<Key>,
        groups: &[Range<usize>],
        candidates: &mut [Candidate],
        end: usize,
    ) -> Vec<u32> {
        let mut rest = BinaryHeap::from(keys);
        let mut read: Vec<(Option<Closeness>, u32)> = Vec::with_capacity(end);
        let mut closest = 0;
        while closest < end
            && !(self.exhausted && read.len() >= end)
            && let Some(Key { group, .. }) = rest.pop()
        {
            let mut closeness = None;
            for candidate in &mut candidates[groups[group as usize].clone()] {
                closeness = closeness.max(self.closeness(candidate));
                if closeness == Some(Closeness::InOrder) {
                    closest += 1;
                    break;
                }
            }
            read.push((closeness, group));
        }
        // Stable: among equally close ones the order stays.
        read.sort_by_key(|(closeness, _)| Reverse(*closeness));
        read.into_iter().map(|(_, group)| group).collect()
    }

    /// Nothing if it is not known and there is no work left to find out.
    pub(super) fn closeness(&mut self, candidate: &mut Candidate) -> Option<Closeness> {
        if candidate.closeness.is_none() {
            match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    self.index.read(candidate.entry, &mut self.tokens);
                    candidate.closeness = Some(self.expression.closeness_of(&self.tokens));
                }
                None => self.exhausted = true,
            }
        }
        candidate.closeness
    }
}
