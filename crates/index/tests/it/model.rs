//! The slow, obvious index: a list.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use gannet_base::{ContentId, Hit, PeerId, Publication, Row, WallTime};
use gannet_index::{Expression, Holdings, Page, Rows};

/// What an index without limits does.
#[derive(Debug, Default)]
pub(crate) struct Model {
    list: Vec<Publication>,
    speeds: BTreeMap<PeerId, u64>,
}

impl Model {
    /// Whether it is new.
    pub(crate) fn insert(&mut self, publication: &Publication) -> bool {
        let key = |one: &Publication| (one.holder, one.entry.content, one.entry.path.clone());
        let before = self.list.len();
        self.list.retain(|old| key(old) != key(publication));
        let new = self.list.len() == before;
        self.list.push(publication.clone());
        new
    }

    /// Whether the very same entry is there.
    pub(crate) fn renew(&mut self, publication: &Publication) -> bool {
        let is_same = |old: &Publication| {
            (old.holder, &old.entry) == (publication.holder, &publication.entry)
        };
        let found = self.list.iter().position(is_same);
        if let Some(at) = found {
            self.list[at] = publication.clone();
        }
        found.is_some()
    }

    /// Of one that is known to be new: without looking.
    pub(crate) fn insert_new(&mut self, publication: &Publication) {
        self.list.push(publication.clone());
    }

    pub(crate) fn remove(&mut self, holder: PeerId, content: ContentId, path: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|old| {
            old.holder != holder || old.entry.content != content || old.entry.path != path
        });
        self.list.len() < before
    }

    pub(crate) fn remove_holder(&mut self, holder: PeerId) -> usize {
        self.speeds.remove(&holder);
        let before = self.list.len();
        self.list.retain(|old| old.holder != holder);
        before - self.list.len()
    }

    pub(crate) fn set_speed(&mut self, holder: PeerId, speed: u64) {
        self.speeds.insert(holder, speed);
    }

    pub(crate) fn expire(&mut self, now: WallTime) -> usize {
        let before = self.list.len();
        let slack = Publication::CLOCK_SLACK_SECONDS;
        self.list
            .retain(|old| old.expires.plus_seconds(slack) >= now);
        before - self.list.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn holders_len(&self) -> usize {
        self.list
            .iter()
            .map(|one| one.holder)
            .collect::<BTreeSet<_>>()
            .len()
    }

    pub(crate) fn contents_len(&self) -> usize {
        self.list
            .iter()
            .map(|one| one.entry.content)
            .collect::<BTreeSet<_>>()
            .len()
    }

    fn speed(&self, holder: PeerId) -> u64 {
        self.speeds.get(&holder).copied().unwrap_or(0)
    }

    /// All that matches, best first, each row with what it ranks by: rows that
    /// are equal in it may come in any order.
    fn ranked(
        &self,
        expression: &Expression,
        hits_per_row: u32,
    ) -> Vec<(impl Ord + Copy + Debug + use<>, Row)> {
        let mut holders: BTreeMap<ContentId, BTreeSet<PeerId>> = BTreeMap::new();
        let mut groups: BTreeMap<ContentId, Vec<_>> = BTreeMap::new();
        for one in &self.list {
            let content = one.entry.content;
            holders.entry(content).or_default().insert(one.holder);
            if let Some(closeness) = expression.closeness(&one.entry) {
                assert!(expression.matches(&one.entry));
                groups.entry(content).or_default().push((closeness, one));
            }
        }
        let mut rows: Vec<_> = groups
            .into_iter()
            .map(|(content, hits)| {
                let closest = hits.iter().map(|(closeness, _)| *closeness).max();
                let speed = hits.iter().map(|(_, one)| self.speed(one.holder)).max();
                let highest_bit = speed.and_then(u64::checked_ilog2);
                let row = self.row(content, hits, holders[&content].len(), hits_per_row);
                (Reverse((closest, row.holders, highest_bit)), row)
            })
            .collect();
        rows.sort_by_key(|(rank, _)| *rank);
        rows
    }

    /// Whether these are right and complete answers.
    #[track_caller]
    pub(crate) fn check(&self, expression: &Expression, answers: &[(Page, Rows)]) {
        let Some((Page { hits_per_row, .. }, _)) = answers.first() else {
            return;
        };
        let ranked = self.ranked(expression, *hits_per_row);
        let by_content: BTreeMap<_, _> = ranked.iter().map(|one| (one.1.content, one)).collect();
        for (page, found) in answers {
            assert_eq!((found.total, found.complete), (ranked.len() as u64, true));
            let expected = ranked.iter().skip(page.offset as usize);
            let expected = expected.take(page.limit as usize);
            assert_eq!(found.rows.len(), expected.len());
            let mut seen = BTreeSet::new();
            for (row, (rank, _)) in found.rows.iter().zip(expected) {
                let (own_rank, own) = by_content[&row.content];
                assert_eq!((own_rank, own), (rank, row));
                assert!(seen.insert(row.content), "one row for each content");
            }
        }
    }

    fn row<C: Ord + Copy>(
        &self,
        content: ContentId,
        mut hits: Vec<(C, &Publication)>,
        holders: usize,
        limit: u32,
    ) -> Row {
        hits.sort_by_key(|(closeness, one)| {
            let best = Reverse((*closeness, self.speed(one.holder)));
            (best, one.holder, one.entry.path.clone())
        });
        let mut seen = BTreeSet::new();
        hits.retain(|(_, one)| seen.insert(one.holder));
        let hits = hits.into_iter().take(limit as usize);
        Row {
            content,
            holders: u32::try_from(holders).unwrap(),
            hits: hits
                .map(|(_, one)| Hit {
                    publication: one.clone(),
                })
                .collect(),
        }
    }

    pub(crate) fn holders(&self, content: ContentId, limit: u32) -> Option<Row> {
        let all = self.list.iter().filter(|one| one.entry.content == content);
        let hits: Vec<_> = all.map(|one| ((), one)).collect();
        let holders: BTreeSet<PeerId> = hits.iter().map(|(_, one)| one.holder).collect();
        (!hits.is_empty()).then(|| self.row(content, hits, holders.len(), limit))
    }

    pub(crate) fn holdings(&self, holder: PeerId, offset: usize, limit: usize) -> Holdings {
        let own = self.list.iter().filter(|one| one.holder == holder);
        let mut own: Vec<Publication> = own.cloned().collect();
        own.sort_by_key(|one| (one.entry.path.clone(), one.entry.content));
        let total = own.len() as u64;
        Holdings {
            publications: own.into_iter().skip(offset).take(limit).collect(),
            total,
        }
    }
}
