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
use super::chunk::{Bitmap, has_bit};
use super::common::{Common, Marks};
use super::holders::SpeedClass;
use super::intersect::Walk;
use super::order::{Order, Track, follow, suspects};
use super::pair::Ordered;
use super::pool::Buffers;
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
pub(super) const FRONT: usize = 32;

/// A search on its way through the chunks.
pub(super) struct Scan<'a, 'r> {
    pub(super) index: &'a Index,
    reader: &'r mut Reader<'a>,
    pub(super) work: &'r mut Work,
    /// No holder is faster.
    pub(super) fastest: SpeedClass,
    pub(super) in_order: Best,
    pub(super) whole: Best,
    shared: Vec<Candidate>,
    /// How many contents with one entry match.
    pub(super) singles: usize,
    /// Whether the first matches of a chunk are worth following by themselves.
    pub(super) is_fruitful: bool,
    tracks: Vec<Track>,
    pub(super) marks: Marks,
    pub(super) ordered: Option<Box<Ordered>>,
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
        let mut buffers = self.pool.take();
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
            tracks: std::mem::take(&mut buffers.tracks),
            marks: std::mem::take(&mut buffers.marks),
            ordered: buffers.ordered.take(),
        };
        scan.run(words, &mut buffers);
        let Scan {
            in_order,
            whole,
            mut shared,
            singles,
            tracks,
            marks,
            ordered,
            ..
        } = scan;
        (buffers.tracks, buffers.marks, buffers.ordered) = (tracks, marks, ordered);
        self.pool.put_back(buffers);
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
    fn run(&mut self, words: &[&Postings], buffers: &mut Buffers) {
        let Buffers {
            common,
            beside,
            singles,
            ..
        } = buffers;
        let Some(mut chunks) = Walk::new(words) else {
            return;
        };
        let mut views = Vec::with_capacity(words.len());
        let mut bitmaps = Vec::with_capacity(words.len());
        while let Some(number) = chunks.next(&mut views) {
            bitmaps.clear();
            bitmaps.extend(views.iter().map_while(View::bitmap));
            let sufficed = if bitmaps.len() == views.len() {
                self.counted(number, &views, &bitmaps, common, singles)
            } else {
                common.fill(&views, self.work) && self.listed(number, &views, common, beside)
            };
            if !sufficed {
                return;
            }
        }
    }

    /// The matches of a chunk as a list. Whether the work sufficed.
    fn listed(
        &mut self,
        number: u16,
        views: &[View<'_>],
        common: &mut Common,
        beside: &mut Common,
    ) -> bool {
        let [waiting, gone] = self.index.graves.chunk(number);
        let shared = self.index.contents.shared().chunk(number);
        let has = |words: Option<&Bitmap>, low| words.is_some_and(|words| has_bit(words, low));
        if waiting.is_some() || gone.is_some() {
            common.split(beside, |low| {
                has(shared, low) | has(waiting, low) | has(gone, low)
            });
            beside.retain(|low| !has(waiting, low) && !has(gone, low));
        } else if let Some(shared) = shared {
            common.split(beside, |low| has_bit(shared, low));
        } else {
            beside.lows.clear();
        }
        self.singles += common.lows.len();
        self.group(number, views, beside) && self.visit_all(number, views, common)
    }

    /// Gathers entries whose content has others.
    pub(super) fn group(&mut self, number: u16, views: &[View<'_>], common: &Common) -> bool {
        let mut tracks = std::mem::take(&mut self.tracks);
        let all: Vec<u16> = (0..=u16::MAX).take(common.lows.len()).collect();
        follow(views, common, &all, &mut tracks);
        let mut sufficed = true;
        for (low, track) in common.lows.iter().zip(&tracks) {
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
    fn visit_all(&mut self, number: u16, views: &[View<'_>], common: &Common) -> bool {
        let len = common.lows.len();
        let front = if self.is_fruitful { FRONT.min(len) } else { 0 };
        self.visit_front(number, views, common, front)
            && self.visit_rest(number, views, common, front)
    }

    /// The first ones of a chunk.
    pub(super) fn visit_front(
        &mut self,
        number: u16,
        views: &[View<'_>],
        common: &Common,
        front: usize,
    ) -> bool {
        let chosen: Vec<u16> = (0..=u16::MAX).take(front).collect();
        let before = self.in_order.len();
        if !self.follow_all(number, views, common, &chosen) {
            return false;
        }
        self.is_fruitful &= front < FRONT || self.in_order.len() > before;
        !self.work.is_exhausted()
    }

    /// Those from the place `from` on.
    pub(super) fn visit_rest(
        &mut self,
        number: u16,
        views: &[View<'_>],
        common: &Common,
        from: usize,
    ) -> bool {
        let Some(&first) = common.lows.get(from) else {
            return true;
        };
        if !self.in_order.takes(self.fastest, join(number, first)) {
            return true;
        }
        let rest = common.lows.len() - from;
        let suspects = if rest <= FRONT || self.in_order.is_full() {
            None
        } else if !self.work.spend_len(rest / 2) {
            return false;
        } else {
            suspects(views, common, from)
        };
        let Some(suspects) = suspects else {
            let chosen: Vec<u16> = (0..=u16::MAX).skip(from).take(rest).collect();
            return self.follow_all(number, views, common, &chosen);
        };
        if !self.follow_all(number, views, common, &suspects) {
            return false;
        }
        let mut at = 0;
        for (place, low) in (0..=u16::MAX).zip(&common.lows).skip(from) {
            at += usize::from(suspects.get(at).is_some_and(|suspect| *suspect < place));
            let entry = join(number, *low);
            if !self.whole.takes(self.fastest, entry) {
                break;
            }
            if suspects.get(at) != Some(&place) {
                self.visit(entry, Order::No);
            }
        }
        !self.work.is_exhausted()
    }

    /// Likewise those at these places, each that is of a holder fast enough
    /// followed through the words.
    fn follow_all(
        &mut self,
        number: u16,
        views: &[View<'_>],
        common: &Common,
        chosen: &[u16],
    ) -> bool {
        let mut tracks = std::mem::take(&mut self.tracks);
        let mut kept = Vec::new();
        let mut sufficed = true;
        let entry = |place: u16| join(number, common.lows[usize::from(place)]);
        for batch in chosen.chunks(BATCH) {
            if !self.in_order.takes(self.fastest, entry(batch[0])) {
                break;
            }
            let mut batch = batch;
            if self.in_order.is_full() {
                let takes = |place: &&u16| {
                    let entry = entry(**place);
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
            follow(views, common, batch, &mut tracks);
            for (place, track) in batch.iter().zip(&tracks) {
                self.visit(entry(*place), track.order());
            }
        }
        self.tracks = tracks;
        sufficed
    }

    fn class(&self, entry: u32) -> SpeedClass {
        self.index.holders.class(self.index.slots.holder(entry))
    }

    pub(super) fn visit(&mut self, entry: u32, order: Order) {
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
}
