//! Queries of nothing but whole words: counted exactly, ranked exactly.
//!
//! **Problem.** `usr share` matches most of what there is. Looking at each
//! match takes a second; looking at some misses the best.
//!
//! **How.** Matches are counted without being looked at: words that are common
//! are bitmaps. Of a content with one entry only the best few of each
//! [`Closeness`] are kept, and as soon as no later one can be better, matches
//! are only counted. Entries whose content has others are gathered all: they
//! must be grouped, and widely held contents are among them.
//!
//! **Invariant.** While the work suffices, the count is exact and the rows are
//! the best.

use crate::query::{Closeness, Expression};

use super::best::Best;
use super::bits::ones;
use super::chunk::{Bitmap, CHUNK_WORDS, Dense, PartSet, count, for_each_bit, has_bit, low_at};
use super::holders::SpeedClass;
use super::intersect::{BITMAP_WORK, common_lows};
use super::order::{Order, Track, common, follow, pairs, suspects};
use super::postings::{Postings, View, join};
use super::rank::Reader;
use super::search::Candidate;
use super::work::Work;
use super::{Index, Page, Rows};

/// Price of an entry whose content has others.
// Guess: finding its group and its holder is some cache misses.
const SHARED_WORK: u64 = 30;
/// Price of comparing an entry with the best.
const VISIT_WORK: u64 = 1;
/// Entries that are followed through the words at a time.
const BATCH: usize = 512;
/// So many of each chunk first: mostly that is enough.
const FRONT: usize = 64;

struct Scan<'a, 'r> {
    index: &'a Index,
    reader: &'r mut Reader<'a>,
    work: &'r mut Work,
    /// No holder is faster.
    fastest: SpeedClass,
    in_order: Best,
    whole: Best,
    shared: Vec<Candidate>,
    /// How many contents with one entry match.
    singles: usize,
    /// Whether the first matches of a chunk are worth following by themselves.
    is_fruitful: bool,
    tracks: Vec<Track>,
}

impl Index {
    /// The page of a query of these words, in their order.
    pub(super) fn search_plain(
        &self,
        expression: &Expression,
        words: &[&Postings],
        page: Page,
    ) -> Rows {
        let mut work = Work::new(self.config.work_per_query_max);
        let mut reader = Reader::new(self, expression);
        let wanted = page.limit.min(self.config.rows_max) as usize;
        let wanted = (page.offset as usize).saturating_add(wanted);
        let end = wanted.min(self.config.ranked_per_query_max);
        let mut scan = Scan {
            index: self,
            reader: &mut reader,
            work: &mut work,
            fastest: self.holders.fastest_class(),
            in_order: Best::new(end),
            whole: Best::new(end),
            shared: Vec::new(),
            singles: 0,
            is_fruitful: true,
            tracks: Vec::new(),
        };
        scan.run(words);
        let Scan {
            in_order,
            whole,
            mut shared,
            singles,
            ..
        } = scan;
        shared.sort_unstable_by_key(|candidate| (candidate.content, candidate.entry));
        let mut listed = 0;
        let enough = in_order.len() >= end;
        let kept = [
            (in_order, Closeness::InOrder, true),
            (whole, Closeness::Whole, !enough),
        ];
        for (best, closeness, _) in kept.into_iter().filter(|(.., used)| *used) {
            listed += best.len();
            shared.extend(best.into_entries().map(|entry| Candidate {
                entry,
                content: self.slots.slot(entry).content,
                closeness: Some(closeness),
            }));
        }
        let unlisted = singles - listed.min(singles);
        if wanted > end && unlisted > 0 {
            work.give_up();
        }
        self.rows(reader, shared, unlisted, page, &work)
    }
}

impl Scan<'_, '_> {
    fn run(&mut self, words: &[&Postings]) {
        let Some(driver) = words.iter().min_by_key(|postings| postings.len()) else {
            return;
        };
        let mut lows = Vec::new();
        let mut views = Vec::with_capacity(words.len());
        let mut from = 0;
        while let Some(number) = driver.next_chunk(from) {
            views.clear();
            views.extend(words.iter().map_while(|postings| postings.view(number)));
            if views.len() == words.len() {
                let dense = views.iter().map_while(View::dense);
                let sufficed = match dense.collect::<Vec<_>>() {
                    dense if dense.len() == views.len() => self.dense(number, &views, &dense),
                    _ => {
                        common_lows(&views, &mut lows, self.work)
                            && self.listed(number, &views, &mut lows)
                    }
                };
                if !sufficed {
                    return;
                }
            }
            match number.checked_add(1) {
                Some(next) => from = next,
                None => return,
            }
        }
    }

    /// The matches of a chunk as a list. Whether the work sufficed.
    fn listed(&mut self, number: u16, views: &[View<'_>], lows: &mut Vec<u16>) -> bool {
        let [waiting, gone] = self.index.graves.chunk(number);
        let shared = self.index.contents.shared().chunk(number);
        let has = |words: &[u64], low: u16| {
            let word = words.get(usize::from(low) / 64);
            word.is_some_and(|word| word >> (low % 64) & 1 == 1)
        };
        let mut grouped = Vec::new();
        if !waiting.is_empty() || !gone.is_empty() {
            lows.retain(|&low| !has(waiting, low) && !has(gone, low));
        }
        lows.retain(|&low| {
            let is_shared = has(shared, low);
            if is_shared {
                grouped.push(low);
            }
            !is_shared
        });
        self.singles += lows.len();
        self.group(number, views, &grouped) && self.visit_all(number, views, lows)
    }

    /// Gathers entries whose content has others.
    fn group(&mut self, number: u16, views: &[View<'_>], lows: &[u16]) -> bool {
        let mut tracks = std::mem::take(&mut self.tracks);
        follow(views, lows, &mut tracks);
        let mut sufficed = true;
        for (low, track) in lows.iter().zip(&tracks) {
            sufficed = self.work.spend(SHARED_WORK);
            if !sufficed {
                break;
            }
            let entry = join(number, *low);
            self.shared.push(Candidate {
                entry,
                content: self.index.slots.slot(entry).content,
                closeness: match track.order() {
                    Order::Yes => Some(Closeness::InOrder),
                    Order::No => Some(Closeness::Whole),
                    Order::Unknown => None,
                },
            });
        }
        self.tracks = tracks;
        sufficed
    }

    /// Shows single entries to the best, until no later one can be better.
    fn visit_all(&mut self, number: u16, views: &[View<'_>], lows: &[u16]) -> bool {
        let front = if self.is_fruitful { FRONT } else { 0 };
        let (front, rest) = lows.split_at(lows.len().min(front));
        let before = self.in_order.len();
        if !self.follow_all(number, views, front) || rest.is_empty() {
            return !self.work.is_exhausted();
        }
        self.is_fruitful &= self.in_order.len() > before;
        if !self.in_order.takes(self.fastest, join(number, rest[0])) {
            return true;
        }
        if rest.len() <= FRONT || self.in_order.is_full() || !self.work.spend_len(rest.len() / 2) {
            return self.follow_all(number, views, rest);
        }
        let Some(suspects) = suspects(views, rest) else {
            return self.follow_all(number, views, rest);
        };
        if !self.follow_all(number, views, &suspects) {
            return false;
        }
        let mut at = 0;
        for &low in rest {
            at += usize::from(suspects.get(at).is_some_and(|suspect| *suspect < low));
            let entry = join(number, low);
            if !self.whole.takes(self.fastest, entry) {
                break;
            }
            if suspects.get(at) != Some(&low) {
                self.visit(entry, Order::No);
            }
        }
        !self.work.is_exhausted()
    }

    /// Likewise, each that is of a holder fast enough followed through the words.
    fn follow_all(&mut self, number: u16, views: &[View<'_>], lows: &[u16]) -> bool {
        let mut tracks = std::mem::take(&mut self.tracks);
        let mut kept = Vec::new();
        let mut sufficed = true;
        for batch in lows.chunks(BATCH) {
            if !self.in_order.takes(self.fastest, join(number, batch[0])) {
                break;
            }
            let mut batch = batch;
            if self.in_order.is_full() {
                let takes = |low: &&u16| {
                    let entry = join(number, **low);
                    self.in_order.takes(self.class(entry), entry)
                };
                kept.clear();
                kept.extend(batch.iter().filter(takes));
                batch = &kept;
            }
            sufficed = self.work.spend_len(BATCH / 4 + batch.len() * views.len());
            if !sufficed {
                break;
            }
            follow(views, batch, &mut tracks);
            for (low, track) in batch.iter().zip(&tracks) {
                self.visit(join(number, *low), track.order());
            }
        }
        self.tracks = tracks;
        sufficed
    }

    fn class(&self, entry: u32) -> SpeedClass {
        self.index.holders.class(self.index.slots.holder(entry))
    }

    fn visit(&mut self, entry: u32, order: Order) {
        let best = if order == Order::No {
            &self.whole
        } else {
            &self.in_order
        };
        if !best.takes(self.fastest, entry) || !self.work.spend(VISIT_WORK) {
            return;
        }
        let slots = &self.index.slots;
        let class = self.class(entry);
        let in_order = match order {
            Order::Yes => true,
            Order::No => false,
            Order::Unknown if !self.in_order.takes(class, entry) => return,
            Order::Unknown => {
                let mut candidate = Candidate {
                    entry,
                    content: slots.slot(entry).content,
                    closeness: None,
                };
                self.reader.closeness(&mut candidate) == Some(Closeness::InOrder)
            }
        };
        let best = if in_order {
            &mut self.in_order
        } else {
            &mut self.whole
        };
        best.offer(class, entry);
    }

    /// The matches of a chunk in which all words are bitmaps.
    fn dense(&mut self, number: u16, views: &[View<'_>], dense: &[&Dense]) -> bool {
        if !self.work.spend_len(BITMAP_WORK * (dense.len() + 3)) {
            return false;
        }
        let mut common = dense[0].all.words;
        for other in &dense[1..] {
            let pairs = common.iter_mut().zip(&other.all.words);
            pairs.for_each(|(word, other)| *word &= other);
        }
        for gone in self.index.graves.chunk(number) {
            let pairs = common.iter_mut().zip(gone);
            pairs.for_each(|(word, gone)| *word &= !gone);
        }
        let mut lows = Vec::new();
        let shared = self.index.contents.shared().chunk(number);
        for (place, (word, shared)) in common.iter_mut().zip(shared).enumerate() {
            lows.extend(ones(*word & shared).map(|bit| low_at(place, bit)));
            *word &= !shared;
        }
        self.singles += count(&common);
        if !self.group(number, views, &lows) {
            return false;
        }
        if !self.in_order.takes(self.fastest, join(number, 0)) {
            return true;
        }
        match dense {
            [_] => self.visit_bits(number, &common, |_, _| Order::Yes),
            [a, b] => return self.visit_pair(number, &common, a, b),
            _ => {
                lows.clear();
                for_each_bit(&common, |low| lows.push(low));
                return self.visit_all(number, views, &lows);
            }
        }
        !self.work.is_exhausted()
    }

    fn visit_pair(&mut self, number: u16, common: &Bitmap, a: &Dense, b: &Dense) -> bool {
        let mut found = [[0; CHUNK_WORDS]; 2];
        for (order, found) in [Order::Yes, Order::Unknown].into_iter().zip(&mut found) {
            for (a, b) in pairs(a, b, order) {
                if !self.work.spend_len(add_common(a, b, found)) {
                    return false;
                }
            }
        }
        let [ordered, unsure] = found;
        let mut rest = *common;
        let mut worth = *common;
        for place in 0..CHUNK_WORDS {
            worth[place] &= ordered[place] | unsure[place];
            rest[place] &= !worth[place];
        }
        self.visit_bits(number, &worth, |place, bit| {
            if ordered[place] >> bit & 1 == 1 {
                Order::Yes
            } else {
                Order::Unknown
            }
        });
        if self.in_order.takes(self.fastest, join(number, u16::MAX)) {
            self.visit_bits(number, &rest, |_, _| Order::No);
        }
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

impl<'a> View<'a> {
    fn dense(&self) -> Option<&'a Dense> {
        match self {
            Self::Dense(dense) => Some(dense),
            _ => None,
        }
    }
}

/// Adds what two sets have in common. Returns the work that it was.
fn add_common(a: &PartSet, b: &PartSet, found: &mut Bitmap) -> usize {
    match (a, b) {
        (PartSet::Bits(a), PartSet::Bits(b)) => {
            let pairs = a.words.iter().zip(&b.words);
            let found = found.iter_mut().zip(pairs);
            found.for_each(|(found, (a, b))| *found |= a & b);
            BITMAP_WORK
        }
        (PartSet::List(lows), PartSet::Bits(bits)) | (PartSet::Bits(bits), PartSet::List(lows)) => {
            let common = lows.iter().filter(|low| has_bit(&bits.words, **low));
            common.for_each(|low| set(found, *low));
            lows.len() / 2
        }
        (PartSet::List(a), PartSet::List(b)) => {
            let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
            common(short, long).for_each(|place| set(found, long[place]));
            short.len() * 5
        }
    }
}

fn set(found: &mut Bitmap, low: u16) {
    found[usize::from(low) / 64] |= 1 << (low % 64);
}
