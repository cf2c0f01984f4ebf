//! What several words have in common in one chunk.
//!
//! **Problem.** Most of a search is passing over lists of a few thousand
//! numbers. Whether the next one is in the other list too cannot be foretold,
//! so a branch on it costs more than all the rest.
//!
//! **How.** Every number is written, but the place to write to only moves on
//! behind one that stays. Of a list that is not much longer than the other,
//! every number is marked in a table of one byte each, which also tells the
//! word's [`Places`]; in a much longer one, numbers are looked for.

use super::chunk::{Bitmap, Low, Places, for_each_bit, has_bit};
use super::postings::{Posting, View};
use super::work::Work;

/// So many times as long as the other, a list is not gone through.
// Guess: looking for a number costs as much as marking so many.
pub(super) const MUCH_LONGER: usize = 24;

/// A number in a list of one chunk.
pub(super) trait Listed {
    fn low(&self) -> u16;
    fn places(&self) -> Places;
}

impl Listed for Posting {
    fn low(&self) -> u16 {
        Posting::low(self)
    }

    fn places(&self) -> Places {
        self.places
    }
}

impl Listed for Low {
    fn low(&self) -> u16 {
        Low::low(self)
    }

    fn places(&self) -> Places {
        self.places
    }
}

/// One byte for each number of a chunk, all of them zero between uses.
#[derive(Debug, Default)]
pub(super) struct Marks(Option<Box<[u8; 1 << 16]>>);

impl Marks {
    pub(super) fn table(&mut self) -> &mut [u8; 1 << 16] {
        self.0.get_or_insert_with(|| {
            let table = vec![0; 1 << 16].into_boxed_slice();
            table.try_into().expect("made of this length")
        })
    }
}

/// The numbers of one chunk that all views have. A buffer to be used again.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Ascending.
    pub(super) lows: Vec<u16>,
    /// For each view that is a list, where its word stands in those; for a
    /// bitmap, nothing.
    pub(super) columns: Vec<Vec<Places>>,
    marks: Marks,
    /// Which stay.
    kept: Vec<u16>,
}

impl Common {
    /// Takes what is in all of these, not all of them bitmaps. Whether the work
    /// sufficed.
    pub(super) fn fill(&mut self, views: &[View<'_>], work: &mut Work) -> bool {
        self.clear(views.len());
        let Some((driver, shortest)) = shortest_list(views) else {
            return false;
        };
        match shortest {
            View::Ids(ids) => self.fill_from(ids, driver, views, work),
            View::Lows(list) => self.fill_from(&list.lows, driver, views, work),
            View::Dense(_) => false,
        }
    }

    fn clear(&mut self, views: usize) {
        self.columns.resize_with(views, Vec::new);
        self.columns.iter_mut().for_each(Vec::clear);
        self.lows.clear();
    }

    /// Finds out where the words stand in the numbers, which all views have.
    pub(super) fn look_up_all(&mut self, views: &[View<'_>]) {
        self.columns.resize_with(views.len(), Vec::new);
        self.columns.iter_mut().for_each(Vec::clear);
        for (place, view) in views.iter().enumerate() {
            self.look_up(*view, place);
        }
    }

    /// Takes the numbers of a bitmap, which all views have. Whether the work
    /// sufficed.
    pub(super) fn fill_bits(&mut self, views: &[View<'_>], bits: &Bitmap, work: &mut Work) -> bool {
        self.clear(views.len());
        let driver = match shortest_list(views) {
            None => {
                for_each_bit(bits, |low| self.lows.push(low));
                return work.spend_len(self.lows.len());
            }
            Some((_, shortest)) if !work.spend_len(shortest.len()) => return false,
            Some((driver, View::Ids(ids))) => {
                self.begin(ids, driver, |low| has_bit(bits, low));
                driver
            }
            Some((driver, View::Lows(list))) => {
                self.begin(&list.lows, driver, |low| has_bit(bits, low));
                driver
            }
            Some((_, View::Dense(_))) => return false,
        };
        for (place, view) in views.iter().enumerate() {
            if place != driver {
                self.look_up(*view, place);
            }
        }
        work.spend_len(self.lows.len())
    }

    /// Where the word of this view stands in the numbers, all of which it has.
    fn look_up(&mut self, view: View<'_>, place: usize) {
        match view {
            View::Ids(ids) => self.look_up_in(ids, place),
            View::Lows(list) => self.look_up_in(&list.lows, place),
            View::Dense(_) => {}
        }
    }

    fn look_up_in<T: Listed>(&mut self, list: &[T], place: usize) {
        let column = &mut self.columns[place];
        if list.len() / MUCH_LONGER > self.lows.len() {
            let mut at = 0;
            column.extend(self.lows.iter().filter_map(|low| {
                at = gallop(list, at, *low, &T::low);
                list.get(at).map(T::places)
            }));
            return;
        }
        let table = self.marks.table();
        mark(table, list);
        let places = self.lows.iter();
        column.extend(places.map(|low| Places::of_mark(table[usize::from(*low)])));
        unmark(table, list);
    }

    fn fill_from<T: Listed>(
        &mut self,
        list: &[T],
        driver: usize,
        views: &[View<'_>],
        work: &mut Work,
    ) -> bool {
        let mut others = (0..views.len()).filter(|place| *place != driver);
        if !work.spend_len(list.len()) {
            return false;
        }
        match others.next().map(|place| (place, views[place])) {
            None => self.begin(list, driver, |_| true),
            Some((_, View::Dense(dense))) => {
                self.begin(list, driver, |low| has_bit(&dense.all.words, low));
            }
            Some((place, View::Ids(ids))) => self.begin_beside(list, driver, ids, place),
            Some((place, View::Lows(other))) => {
                self.begin_beside(list, driver, &other.lows, place);
            }
        }
        for place in others {
            if !work.spend_len(self.lows.len()) {
                return false;
            }
            match views[place] {
                View::Dense(dense) => self.retain(|low| has_bit(&dense.all.words, low)),
                View::Ids(ids) => self.retain_listed(ids, place),
                View::Lows(list) => self.retain_listed(&list.lows, place),
            }
        }
        views.len() == 1 || work.spend_len(self.lows.len())
    }

    /// Takes those of a list that pass the test.
    fn begin<T: Listed>(&mut self, list: &[T], place: usize, mut test: impl FnMut(u16) -> bool) {
        let (lows, column) = (&mut self.lows, &mut self.columns[place]);
        lows.resize(list.len(), 0);
        column.resize(list.len(), Places::NONE);
        let mut end = 0;
        for item in list {
            let low = item.low();
            lows[end] = low;
            column[end] = item.places();
            end += usize::from(test(low));
        }
        lows.truncate(end);
        column.truncate(end);
    }

    /// Takes what a list and a longer one have in common.
    fn begin_beside<T: Listed, U: Listed>(
        &mut self,
        list: &[T],
        place: usize,
        longer: &[U],
        longer_place: usize,
    ) {
        if longer.len() / MUCH_LONGER > list.len() {
            let mut column = std::mem::take(&mut self.columns[longer_place]);
            let mut at = 0;
            self.begin(list, place, |low| {
                at = gallop(longer, at, low, &U::low);
                let found = longer.get(at).filter(|other| other.low() == low);
                column.extend(found.map(U::places));
                found.is_some()
            });
            self.columns[longer_place] = column;
            return;
        }
        let mut marks = std::mem::take(&mut self.marks);
        let table = marks.table();
        mark(table, longer);
        self.begin(list, place, |low| table[usize::from(low)] != 0);
        let places = self.lows.iter();
        let places = places.map(|low| Places::of_mark(table[usize::from(*low)]));
        self.columns[longer_place].extend(places);
        unmark(table, longer);
        self.marks = marks;
    }

    /// Keeps what is in a list too.
    fn retain_listed<U: Listed>(&mut self, list: &[U], place: usize) {
        let mut at = 0;
        let mut column = std::mem::take(&mut self.columns[place]);
        self.retain(|low| {
            at = gallop(list, at, low, &U::low);
            let found = list.get(at).filter(|other| other.low() == low);
            column.extend(found.map(U::places));
            found.is_some()
        });
        self.columns[place] = column;
    }

    /// Keeps what passes the test.
    pub(super) fn retain(&mut self, mut test: impl FnMut(u16) -> bool) {
        let mut kept = std::mem::take(&mut self.kept);
        choose(&self.lows, &mut kept, &mut test);
        self.keep(&kept);
        self.kept = kept;
    }

    fn keep(&mut self, kept: &[u16]) {
        if kept.len() == self.lows.len() {
            return;
        }
        pick(&mut self.lows, kept);
        for column in self.columns.iter_mut().filter(|column| !column.is_empty()) {
            pick(column, kept);
        }
    }

    /// Moves what passes the test into `other`.
    pub(super) fn split(&mut self, other: &mut Self, test: impl Fn(u16) -> bool) {
        let mut kept = std::mem::take(&mut self.kept);
        choose(&self.lows, &mut other.kept, &mut |low| test(low));
        other.columns.resize_with(self.columns.len(), Vec::new);
        copy(&self.lows, &other.kept, &mut other.lows);
        for (from, to) in self.columns.iter().zip(&mut other.columns) {
            let chosen = if from.is_empty() {
                &[][..]
            } else {
                &other.kept
            };
            copy(from, chosen, to);
        }
        if !other.kept.is_empty() {
            choose(&self.lows, &mut kept, &mut |low| !test(low));
            self.keep(&kept);
        }
        self.kept = kept;
    }
}

fn shortest_list<'a>(views: &[View<'a>]) -> Option<(usize, View<'a>)> {
    let views = views.iter().copied().enumerate();
    let lists = views.filter(|(_, view)| !matches!(view, View::Dense(_)));
    lists.min_by_key(|(_, view)| view.len())
}

fn mark<T: Listed>(table: &mut [u8; 1 << 16], list: &[T]) {
    for item in list {
        table[usize::from(item.low())] = item.places().mark();
    }
}

fn unmark<T: Listed>(table: &mut [u8; 1 << 16], list: &[T]) {
    for item in list {
        table[usize::from(item.low())] = 0;
    }
}

/// The places in the list of what passes the test.
fn choose(lows: &[u16], chosen: &mut Vec<u16>, test: &mut impl FnMut(u16) -> bool) {
    chosen.resize(lows.len(), 0);
    let mut end = 0;
    for (place, low) in (0..=u16::MAX).zip(lows) {
        chosen[end] = place;
        end += usize::from(test(*low));
    }
    chosen.truncate(end);
}

/// Keeps what stands at these places, which ascend.
fn pick<T: Copy>(list: &mut Vec<T>, places: &[u16]) {
    for (to, from) in places.iter().enumerate() {
        list[to] = list[usize::from(*from)];
    }
    list.truncate(places.len());
}

fn copy<T: Copy>(list: &[T], places: &[u16], into: &mut Vec<T>) {
    into.clear();
    into.extend(places.iter().map(|place| list[usize::from(*place)]));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::super::chunk::Chunk;
    use super::*;

    type Model = BTreeMap<u16, Places>;

    fn chunk(model: &Model) -> Chunk {
        let lows = model.iter();
        Chunk::of(lows.map(|(low, places)| Low::new(*low, *places)).collect())
    }

    fn view(chunk: &Chunk) -> View<'_> {
        match chunk {
            Chunk::List(list) => View::Lows(list),
            Chunk::Dense(dense) => View::Dense(dense),
        }
    }

    fn model(below: u16, len: usize) -> impl Strategy<Value = Model> {
        let places = (0..20_usize, 0..4_usize).prop_map(|(first, more)| {
            // First and last place.
            Places::new(first, first + more)
        });
        btree_map(0..below, places, 1..len)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Of lists of like and of very unlike lengths, and of a bitmap.
        #[test]
        fn what_is_common_is_what_all_have(
            models in (model(300, 200), model(9_000, 3_000), model(300, 20)),
            bits in any::<bool>(),
            splitter in 1..9_u16,
        ) {
            let (a, mut b, c) = models;
            if bits {
                b = (0..6_000).map(|low| (low, Places::new(0, usize::from(low) % 20))).collect();
            }
            let models = [a, b, c];
            let chunks = models.each_ref().map(chunk);
            let views: Vec<View<'_>> = chunks.iter().map(view).collect();
            let all = models[0].keys().copied();
            let all: Vec<u16> = all.filter(|low| models.iter().all(|m| m.contains_key(low))).collect();

            let mut common = Common::default();
            let mut beside = Common::default();
            let mut work = Work::new(u64::MAX);
            for _ in 0..2 {
                prop_assert!(common.fill(&views, &mut work));
                prop_assert_eq!(&common.lows, &all);
                common.split(&mut beside, |low| low % splitter == 0);
                for (part, is_beside) in [(&common, false), (&beside, true)] {
                    let lows = all.iter().copied();
                    let lows: Vec<u16> =
                        lows.filter(|low| (low % splitter == 0) == is_beside).collect();
                    prop_assert_eq!(&part.lows, &lows);
                    for ((view, column), model) in views.iter().zip(&part.columns).zip(&models) {
                        let places: Vec<Places> = match view {
                            View::Dense(_) => Vec::new(),
                            _ => lows.iter().map(|low| model[low]).collect(),
                        };
                        prop_assert_eq!(column, &places);
                    }
                }
                let looked_up = {
                    common.lows.clone_from(&all);
                    common.look_up_all(&views);
                    common.columns.clone()
                };
                prop_assert!(common.fill(&views, &mut work));
                prop_assert_eq!(&common.columns, &looked_up);
            }
            let table = common.marks.table();
            prop_assert!(table.iter().all(|mark| *mark == 0));
        }
    }
}
