//! Sets of entries: what is in all of some, what is in any of some.

use super::bits::ones;
use super::chunk::{CHUNK_WORDS, Low, has_bit, low_at};
use super::postings::{LIST_MAX, Posting, Postings, View, join};
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
    let Some(driver) = lists.iter().min_by_key(|list| list.len()) else {
        return;
    };
    let mut scratch = Vec::new();
    let mut views = Vec::with_capacity(lists.len());
    let mut without = Vec::with_capacity(excluded.len());
    let mut from = 0;
    while let Some(number) = driver.next_chunk(from) {
        views.clear();
        views.extend(lists.iter().map_while(|list| list.view(number)));
        if views.len() == lists.len() {
            without.clear();
            without.extend(excluded.iter().filter_map(|list| list.view(number)));
            let mut found = |work: &mut Work, low| {
                without.iter().any(|view| view.contains(low)) || visit(work, join(number, low))
            };
            if !intersect_chunk(&views, &mut scratch, work, &mut found) {
                return;
            }
        }
        match number.checked_add(1) {
            Some(next) => from = next,
            None => return,
        }
    }
}

/// One chunk of it. Whether to go on.
fn intersect_chunk(
    views: &[View<'_>],
    scratch: &mut Vec<u16>,
    work: &mut Work,
    visit: &mut impl FnMut(&mut Work, u16) -> bool,
) -> bool {
    if views.iter().all(|view| matches!(view, View::Dense(_))) {
        return intersect_bitmaps(views, work, visit);
    }
    if !common_lows(views, scratch, work) {
        return false;
    }
    scratch.iter().all(|&low| visit(work, low))
}

/// What is in all of these, not all of them bitmaps. Whether the work sufficed.
pub(super) fn common_lows(views: &[View<'_>], scratch: &mut Vec<u16>, work: &mut Work) -> bool {
    let lists = views
        .iter()
        .enumerate()
        .filter(|(_, view)| !matches!(view, View::Dense(_)));
    let Some((driver, shortest)) = lists.min_by_key(|(_, view)| view.len()) else {
        return false;
    };
    scratch.clear();
    match shortest {
        View::Ids(ids) => scratch.extend(ids.iter().map(Posting::low)),
        View::Lows(lows) => scratch.extend(lows.iter().map(Low::low)),
        View::Dense(_) => {}
    }
    for (place, view) in views.iter().enumerate() {
        if !work.spend_len(scratch.len()) {
            return false;
        }
        match view {
            _ if place == driver => {}
            View::Ids(ids) => keep_common(scratch, ids, Posting::low),
            View::Lows(lows) => keep_common(scratch, lows, Low::low),
            View::Dense(dense) => scratch.retain(|&low| has_bit(&dense.all.words, low)),
        }
    }
    true
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
        let common = views.iter().fold(u64::MAX, |common, view| match view {
            View::Dense(dense) => common & dense.all.words[place],
            View::Ids(_) | View::Lows(_) => 0,
        });
        for bit in ones(common) {
            if !visit(work, low_at(place, bit)) {
                return false;
            }
        }
    }
    true
}

impl View<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Lows(lows) => lows.len(),
            Self::Dense(dense) => dense.all.len,
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Self::Ids(ids) => ids.binary_search_by_key(&low, Posting::low).is_ok(),
            Self::Lows(lows) => lows.binary_search_by_key(&low, Low::low).is_ok(),
            Self::Dense(dense) => has_bit(&dense.all.words, low),
        }
    }
}

/// Keeps what is in the other list too; both ascend.
fn keep_common<T>(kept: &mut Vec<u16>, other: &[T], low: impl Fn(&T) -> u16) {
    let mut at = 0;
    kept.retain(|&wanted| {
        at = gallop(other, at, wanted, &low);
        other.get(at).is_some_and(|item| low(item) == wanted)
    });
}

/// The first place from `at` on that is not before `wanted`, in growing steps,
/// so that a short list costs little beside a long one.
#[inline]
pub(super) fn gallop<T>(other: &[T], at: usize, wanted: u16, low: &impl Fn(&T) -> u16) -> usize {
    let mut at = at;
    // Mostly it is one of the next few.
    let near = (at + 8).min(other.len());
    while at < near {
        if low(&other[at]) >= wanted {
            return at;
        }
        at += 1;
    }
    let mut step = 8;
    while other.get(at + step).is_some_and(|item| low(item) < wanted) {
        at += step;
        step *= 2;
    }
    let end = (at + step + 1).min(other.len());
    at + other[at..end].partition_point(|item| low(item) < wanted)
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
