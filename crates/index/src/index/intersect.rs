//! Sets of entries: what is in all of some, what is in any of some.

use super::bits::ones;
use super::chunk::{Bitmap, CHUNK_WORDS, Low, has_bit, low_at};
use super::common::Common;
use super::postings::{Cursor, LIST_MAX, Posting, Postings, View, join};
use super::work::Work;

/// Price of passing over the bitmaps of one chunk.
pub(super) const BITMAP_WORK: usize = CHUNK_WORDS / 8;

/// Visits the numbers that are in all of `lists` and in none of `excluded`,
/// ascending, until the visitor says no or the work runs out. At least one list.
pub(super) fn intersect(
    lists: &[&Postings],
    excluded: &[&Postings],
    work: &mut Work,
    mut visit: impl FnMut(&mut Work, u32) -> bool,
) {
    let Some(mut chunks) = Walk::new(lists) else {
        return;
    };
    let mut excluded: Vec<Cursor<'_>> = excluded.iter().map(|list| list.cursor()).collect();
    let mut common = Common::default();
    let mut without = Vec::with_capacity(excluded.len());
    let mut views = Vec::with_capacity(lists.len());
    while let Some(number) = chunks.next(&mut views) {
        without.clear();
        let all = excluded.iter_mut();
        without.extend(all.filter_map(|cursor| cursor.view(number)));
        let mut found = |work: &mut Work, low| {
            without.iter().any(|view| view.contains(low)) || visit(work, join(number, low))
        };
        if !intersect_chunk(&views, &mut common, work, &mut found) {
            return;
        }
    }
}

/// Goes through the chunks in which all of some words occur.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The one with the fewest numbers.
    driver: usize,
}

impl<'a> Walk<'a> {
    /// Nothing without words.
    pub(super) fn new(lists: &[&'a Postings]) -> Option<Self> {
        let driver = (0..lists.len()).min_by_key(|place| lists[*place].len())?;
        let cursors = lists.iter().map(|list| list.cursor()).collect();
        Some(Self { cursors, driver })
    }

    /// The next chunk, and into `views` what each word has there.
    pub(super) fn next(&mut self, views: &mut Vec<View<'a>>) -> Option<u16> {
        loop {
            let number = self.cursors[self.driver].next_chunk()?;
            views.clear();
            let found = self.cursors.iter_mut();
            views.extend(found.filter_map(|cursor| cursor.view(number)));
            if views.len() == self.cursors.len() {
                return Some(number);
            }
        }
    }
}

/// One chunk of it. Whether to go on.
fn intersect_chunk(
    views: &[View<'_>],
    common: &mut Common,
    work: &mut Work,
    visit: &mut impl FnMut(&mut Work, u16) -> bool,
) -> bool {
    if views.iter().all(|view| view.bitmap().is_some()) {
        return intersect_bitmaps(views, work, visit);
    }
    common.fill(views, work) && common.lows.iter().all(|&low| visit(work, low))
}

fn intersect_bitmaps(
    views: &[View<'_>],
    work: &mut Work,
    visit: &mut impl FnMut(&mut Work, u16) -> bool,
) -> bool {
    if !work.spend_len(BITMAP_WORK * views.len()) {
        return false;
    }
    for place in 0..CHUNK_WORDS {
        let common = views.iter().fold(u64::MAX, |common, view| {
            common & view.bitmap().map_or(0, |words| words[place])
        });
        for bit in ones(common) {
            if !visit(work, low_at(place, bit)) {
                return false;
            }
        }
    }
    true
}

impl<'a> View<'a> {
    /// The same numbers as a bitmap, if there is one.
    pub(super) fn bitmap(&self) -> Option<&'a Bitmap> {
        match self {
            Self::Ids(_) => None,
            Self::Lows(list) => list.bits.as_deref(),
            Self::Dense(dense) => Some(&dense.all.words),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Lows(list) => list.lows.len(),
            Self::Dense(dense) => dense.all.len,
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Self::Ids(ids) => ids.binary_search_by_key(&low, Posting::low).is_ok(),
            Self::Lows(list) => list.lows.binary_search_by_key(&low, Low::low).is_ok(),
            Self::Dense(dense) => has_bit(&dense.all.words, low),
        }
    }
}

/// What is in any of some sets, gathered number by number.
#[derive(Debug, Default)]
pub(super) struct Union {
    ids: Vec<u32>,
    /// From [`LIST_MAX`] on: one bit a number.
    bits: Option<Vec<u64>>,
}

impl Union {
    pub(super) fn insert(&mut self, id: u32) {
        match &mut self.bits {
            Some(words) => set_bit(words, id),
            None => {
                self.ids.push(id);
                if self.ids.len() > LIST_MAX {
                    let mut words = Vec::new();
                    self.ids.drain(..).for_each(|id| set_bit(&mut words, id));
                    self.bits = Some(words);
                }
            }
        }
    }

    pub(super) fn into_postings(self) -> Postings {
        match self.bits {
            Some(words) => Postings::from_bits(&words),
            None => Postings::from_ids(self.ids),
        }
    }
}

fn set_bit(words: &mut Vec<u64>, id: u32) {
    let id = id as usize;
    if id / 64 >= words.len() {
        words.resize((id / 64 + 1).next_multiple_of(CHUNK_WORDS), 0);
    }
    words[id / 64] |= 1 << (id % 64);
}
