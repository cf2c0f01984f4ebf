//! The slow, obvious index: a list.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

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

    pub(crate) fn search(&self, expression: &Expression, page: Page) -> Rows {
        let mut groups: BTreeMap<ContentId, Vec<_>> = BTreeMap::new();
        for one in &self.list {
            if !expression.matches(&one.entry) {
                continue;
            }
            if let Some(closeness) = expression.closeness(&one.entry) {
                groups
                    .entry(one.entry.content)
                    .or_default()
                    .push((closeness, one));
            }
        }
        let total = groups.len() as u64;
        let mut rows: Vec<_> = groups
            .into_iter()
            .map(|(content, hits)| {
                let closest = hits.iter().map(|(closeness, _)| *closeness).max();
                let speed = hits.iter().map(|(_, one)| self.speed(one.holder)).max();
                let row = self.row(content, hits, page.hits_per_row as usize);
                (Reverse((closest, row.holders, speed)), content, row)
            })
            .collect();
        rows.sort_by_key(|(best, content, _)| (*best, *content));
        let rows = rows.into_iter().map(|(_, _, row)| row);
        let rows = rows
            .skip(page.offset as usize)
            .take(page.limit as usize)
            .collect();
        Rows {
            rows,
            total,
            complete: true,
        }
    }

    fn row<C: Ord + Copy>(
        &self,
        content: ContentId,
        mut hits: Vec<(C, &Publication)>,
        limit: usize,
    ) -> Row {
        hits.sort_by_key(|(closeness, one)| {
            let best = Reverse((*closeness, self.speed(one.holder)));
            (best, one.holder, one.entry.path.clone())
        });
        let mut seen = BTreeSet::new();
        hits.retain(|(_, one)| seen.insert(one.holder));
        let all = self.list.iter().filter(|one| one.entry.content == content);
        let holders: BTreeSet<PeerId> = all.map(|one| one.holder).collect();
        let hits = hits.into_iter().take(limit);
        Row {
            content,
            holders: u32::try_from(holders.len()).unwrap(),
            hits: hits
                .map(|(_, one)| Hit {
                    publication: one.clone(),
                })
                .collect(),
        }
    }

    pub(crate) fn holders(&self, content: ContentId, limit: usize) -> Option<Row> {
        let all = self.list.iter().filter(|one| one.entry.content == content);
        let hits: Vec<_> = all.map(|one| ((), one)).collect();
        (!hits.is_empty()).then(|| self.row(content, hits, limit))
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
