//! The matches of a chunk in which all words of a query have bitmaps.

use super::bits::ones;
use super::chunk::{Bitmap, CHUNK_WORDS, low_at};
use super::common::Common;
use super::dense::Dense;
use super::intersect::BITMAP_WORK;
use super::order::Order;
use super::pair::Ordered;
use super::plain::{FRONT, Scan};
use super::postings::{View, join};

/// If so many times the matches stand at rare places, matches are followed one
/// by one.
// Guess: following one costs as much as passing over so many.
const MUCH_REST: usize = 8;

impl Scan<'_, '_> {
    /// The matches of a chunk in which all words have bitmaps.
    pub(super) fn counted(
        &mut self,
        number: u16,
        views: &[View<'_>],
        bitmaps: &[&Bitmap],
        buffer: &mut Common,
        found: &mut Bitmap,
    ) -> bool {
        if !self.work.spend_len(BITMAP_WORK * (bitmaps.len() + 3)) {
            return false;
        }
        let gone = self.index.graves.chunk(number);
        let shared = self.index.contents.shared().chunk(number);
        buffer.lows.clear();
        let singles = split_bits(bitmaps, gone, shared, found, &mut buffer.lows);
        buffer.look_up_all(views);
        self.singles += singles;
        if !self.group(number, views, buffer) {
            return false;
        }
        if singles == 0 || !self.in_order.takes(self.fastest, join(number, 0)) {
            return true;
        }
        self.visit_common(number, views, found, singles, buffer)
    }

    /// Shows single entries to the best: all of a bitmap, or the first few if
    /// that is enough.
    fn visit_common(
        &mut self,
        number: u16,
        views: &[View<'_>],
        common: &Bitmap,
        len: usize,
        buffer: &mut Common,
    ) -> bool {
        if views.len() == 1 {
            self.visit_bits(number, common, |_, _| Order::Yes);
            return !self.work.is_exhausted();
        }
        let mut front = 0;
        if self.is_fruitful {
            front = FRONT.min(len);
            let words = common.iter().enumerate();
            let lows =
                words.flat_map(|(place, word)| ones(*word).map(move |bit| low_at(place, bit)));
            buffer.lows.clear();
            buffer.lows.extend(lows.take(front));
            buffer.look_up_all(views);
            if !self.visit_front(number, views, buffer, front) {
                return false;
            }
            let last = buffer.lows.last().map_or(0, |low| join(number, *low));
            if front == len || !self.in_order.takes(self.fastest, last) {
                return true;
            }
        }
        if let [View::Dense(a), View::Dense(b)] = views
            && len >= (a.rest.len() + b.rest.len()) / MUCH_REST
        {
            let seen = buffer.lows[..front].last().copied();
            return self.visit_pair(number, common, seen, a, b);
        }
        buffer.fill_bits(views, common, self.work) && self.visit_rest(number, views, buffer, front)
    }

    /// Those of two common words behind `seen`.
    fn visit_pair(
        &mut self,
        number: u16,
        common: &Bitmap,
        seen: Option<u16>,
        a: &Dense,
        b: &Dense,
    ) -> bool {
        let mut ordered = self
            .ordered
            .take()
            .unwrap_or_else(|| Box::new(Ordered::new()));
        let work = ordered.fill(a, b, &mut self.marks);
        if !self.work.spend_len(work) {
            return false;
        }
        let Ordered { yes, unknown } = &mut *ordered;
        // From here on, `unknown` is what is worth a visit, `yes` or not.
        let seen = seen.map_or(0, |low| usize::from(low) + 1);
        let mut rest = [0; CHUNK_WORDS];
        for (place, word) in common.iter().enumerate() {
            let ahead = match seen.saturating_sub(place * 64) {
                0 => u64::MAX,
                bits @ 1..64 => u64::MAX << bits,
                _ => 0,
            };
            unknown[place] = word & ahead & (yes[place] | unknown[place]);
            rest[place] = word & ahead & !unknown[place];
        }
        self.visit_bits(number, unknown, |place, bit| {
            if yes[place] >> bit & 1 == 1 {
                Order::Yes
            } else {
                Order::Unknown
            }
        });
        if self.in_order.takes(self.fastest, join(number, u16::MAX)) {
            self.visit_bits(number, &rest, |_, _| Order::No);
        }
        self.ordered = Some(ordered);
        !self.work.is_exhausted()
    }

    fn visit_bits(&mut self, number: u16, bits: &Bitmap, order: impl Fn(usize, u32) -> Order) {
        for (place, word) in bits.iter().enumerate() {
            for bit in ones(*word) {
                let entry = join(number, low_at(place, bit));
                let order = order(place, bit);
                let best = if order == Order::No {
                    &self.whole
                } else {
                    &self.in_order
                };
                if !best.takes(self.fastest, entry) {
                    return;
                }
                self.visit(entry, order);
            }
        }
    }
}

/// What all bitmaps have in common, without what is gone: into `singles` without
/// what is shared, which goes into `lows`. Returns how many singles there are.
fn split_bits(
    bitmaps: &[&Bitmap],
    gone: [Option<&Bitmap>; 2],
    shared: Option<&Bitmap>,
    singles: &mut Bitmap,
    lows: &mut Vec<u16>,
) -> usize {
    // Eight words at a time: so many are worked on at once.
    type Block = [u64; 8];
    let blocks = |bitmap: &'_ Bitmap, at: usize| -> Block { bitmap.as_chunks().0[at] };
    let mut len = 0;
    for (at, found) in singles.as_chunks_mut().0.iter_mut().enumerate() {
        let mut words: Block = [u64::MAX; 8];
        for bitmap in bitmaps {
            let pairs = words.iter_mut().zip(blocks(bitmap, at));
            pairs.for_each(|(word, other)| *word &= other);
        }
        for gone in gone.into_iter().flatten() {
            let pairs = words.iter_mut().zip(blocks(gone, at));
            pairs.for_each(|(word, gone)| *word &= !gone);
        }
        if let Some(shared) = shared {
            let mut both = blocks(shared, at);
            let pairs = both.iter_mut().zip(&words);
            pairs.for_each(|(shared, word)| *shared &= word);
            if both.iter().fold(0, |any, word| any | word) != 0 {
                for (place, (word, both)) in (at * 8..).zip(words.iter_mut().zip(both)) {
                    lows.extend(ones(both).map(|bit| low_at(place, bit)));
                    *word &= !both;
                }
            }
        }
        *found = words;
        len += words
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum::<u64>();
    }
    usize::try_from(len).expect("at most 65,536")
}
