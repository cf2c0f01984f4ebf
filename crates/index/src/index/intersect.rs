//! Sets of entries: what is in all of some, what is in any of some.

use super::bits::ones;
use super::postings::{CHUNK_WORDS, LIST_MAX, Postings, View, join};
use super::work::Work;

/// Price of passing over the bitmaps of one chunk.
const BITMAP_WORK: usize = CHUNK_WORDS / 8;

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
    let lists = views
        .iter()
        .enumerate()
        .filter(|(_, view)| !matches!(view, View::Bits(..)));
    let Some((driver, shortest)) = lists.min_by_key(|(_, view)| view.len()) else {
        return intersect_bitmaps(views, work, visit);
    };
    scratch.clear();
    match shortest {
        View::Ids(ids) => scratch.extend(ids.iter().map(low_of)),
        View::Lows(lows) => scratch.extend_from_slice(lows),
        View::Bits(..) => {}
    }
    for (place, view) in views.iter().enumerate() {
        if !work.spend_len(scratch.len()) {
            return false;
        }
        match view {
            _ if place == driver => {}
            View::Ids(ids) => keep_common(scratch, ids, low_of),
            View::Lows(lows) => keep_common(scratch, lows, |low| *low),
            View::Bits(_, words) => scratch.retain(|&low| has_bit(words, low)),
        }
    }
    scratch.iter().all(|&low| visit(work, low))
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
            View::Bits(_, words) => common & words[place],
            View::Ids(_) | View::Lows(_) => 0,
        });
        for bit in ones(common) {
            let low = place * 64 + bit as usize;
            if !visit(work, u16::try_from(low).expect("a chunk has 65,536 places")) {
                return false;
            }
        }
    }
    true
}

fn low_of(id: &u32) -> u16 {
    super::postings::split(*id).1
}

fn has_bit(words: &[u64; CHUNK_WORDS], low: u16) -> bool {
    words[usize::from(low) / 64] >> (low % 64) & 1 == 1
}

impl View<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Lows(lows) => lows.len(),
            Self::Bits(len, _) => *len,
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Self::Ids(ids) => ids.binary_search_by_key(&low, low_of).is_ok(),
            Self::Lows(lows) => lows.binary_search(&low).is_ok(),
            Self::Bits(_, words) => has_bit(words, low),
        }
    }
}

/// Keeps what is in the other list too; both ascend. Gallops through the
/// other, so that a short list costs little beside a long one.
fn keep_common<T>(kept: &mut Vec<u16>, other: &[T], low: impl Fn(&T) -> u16) {
    let mut at = 0;
    kept.retain(|&wanted| {
        let mut step = 1;
        while other.get(at + step).is_some_and(|item| low(item) < wanted) {
            at += step;
            step *= 2;
        }
        let end = (at + step + 1).min(other.len());
        at += other[at..end].partition_point(|item| low(item) < wanted);
        other.get(at).is_some_and(|item| low(item) == wanted)
    });
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
