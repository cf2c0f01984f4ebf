//! The records that this peer holds for others, in the order of their keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use gannet_base::{PeerId, Timestamp};

use super::message::{ListState, Mark, PARTS_MAX, Span, Spot, Summary, Summed};
use super::record::{Place, Record, RecordId};
use crate::dht::Position;

/// A record in a list.
#[derive(Debug, Clone)]
pub(super) struct Posting {
    pub(super) record: Record,
    /// When it ends unless its publisher renews it.
    pub(super) until: Timestamp,
}

/// A list that has entries.
#[derive(Debug)]
pub(super) struct List {
    pub(super) place: Place,
    pub(super) count: u32,
}

/// A mark, and what only this peer knows of the list.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) mark: Mark,
    /// When somebody last cared for it.
    pub(super) heard: Timestamp,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It was not there.
    New,
    /// It replaced an older one, or its publisher renewed it.
    Renewed,
    /// It was there already.
    Known,
}

/// Records by key and number, the lists that they form, and notes on lists.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    postings: BTreeMap<Spot, Posting>,
    lists: BTreeMap<Position, List>,
    marks: BTreeMap<Position, Kept>,
    holders: BTreeMap<PeerId, u32>,
    bytes: usize,
}

const FIRST: RecordId = RecordId(0);
const LAST: RecordId = RecordId(u128::MAX);

impl Shelf {
    /// How many postings.
    pub(super) fn len(&self) -> usize {
        self.postings.len()
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many lists.
    pub(super) fn lists_len(&self) -> usize {
        self.lists.len()
    }

    /// The longest list.
    pub(super) fn longest(&self) -> u32 {
        self.lists
            .values()
            .map(|list| list.count)
            .max()
            .unwrap_or(0)
    }

    /// Whether there is nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.postings.is_empty() && self.marks.is_empty()
    }

    /// How many postings of a holder.
    pub(super) fn of_holder(&self, holder: PeerId) -> u32 {
        self.holders.get(&holder).copied().unwrap_or(0)
    }

    /// How many entries a list has.
    pub(super) fn count(&self, key: Position) -> u32 {
        self.lists.get(&key).map_or(0, |list| list.count)
    }

    /// What a list is.
    pub(super) fn place(&self, key: Position) -> Option<&Place> {
        self.lists.get(&key).map(|list| &list.place)
    }

    /// All lists that have entries.
    pub(super) fn lists(&self) -> impl Iterator<Item = (Position, &List)> {
        self.lists.iter().map(|(key, list)| (*key, list))
    }

    /// The entries of a list.
    pub(super) fn list(&self, key: Position) -> impl Iterator<Item = &Posting> {
        let range = (key, FIRST)..=(key, LAST);
        self.postings.range(range).map(|(_, posting)| posting)
    }

    /// A record.
    pub(super) fn posting(&self, spot: Spot) -> Option<&Posting> {
        self.postings.get(&spot)
    }

    /// Some records from somewhere on, with their keys: whatever is nearest.
    pub(super) fn sample(
        &self,
        from: Position,
        count: usize,
    ) -> impl Iterator<Item = (Position, &Record)> {
        let behind = self.postings.range((from, FIRST)..);
        let before = self.postings.range(..(from, FIRST));
        let both = behind.chain(before).take(count);
        both.map(|((key, _), posting)| (*key, &posting.record))
    }

    /// Puts a record into a list.
    pub(super) fn put(&mut self, place: &Place, posting: Posting) -> Put {
        let record = &posting.record;
        let spot = (place.key(record.entry().content), record.id());
        let bytes = record.wire_bytes();
        if let Some(old) = self.postings.get_mut(&spot) {
            if old.record.version() > record.version() {
                return Put::Known;
            }
            let is_newer = old.record.version() < record.version();
            if !is_newer && old.until >= posting.until {
                return Put::Known;
            }
            self.bytes = self.bytes + bytes - old.record.wire_bytes();
            let until = old.until.max(posting.until);
            *old = Posting { until, ..posting };
            return Put::Renewed;
        }
        *self.holders.entry(record.holder()).or_default() += 1;
        self.bytes += bytes;
        let list = self.lists.entry(spot.0).or_insert_with(|| List {
            place: place.clone(),
            count: 0,
        });
        list.count += 1;
        self.postings.insert(spot, posting);
        Put::New
    }

    /// Takes a record out of a list.
    pub(super) fn remove(&mut self, spot: Spot) -> Option<Posting> {
        let posting = self.postings.remove(&spot)?;
        self.forget(spot.0, &posting.record);
        Some(posting)
    }

    fn forget(&mut self, key: Position, record: &Record) {
        self.bytes -= record.wire_bytes();
        let holder = record.holder();
        if let Some(count) = self.holders.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(&holder);
            }
        }
        if let Some(list) = self.lists.get_mut(&key) {
            list.count -= 1;
            if list.count == 0 {
                self.lists.remove(&key);
            }
        }
    }

    /// Empties a list.
    pub(super) fn clear(&mut self, key: Position) {
        let range = (key, FIRST)..=(key, LAST);
        let spots: Vec<Spot> = self.postings.range(range).map(|(spot, _)| *spot).collect();
        for spot in spots {
            self.remove(spot);
        }
    }

    /// Takes out everything that is over.
    pub(super) fn sweep(&mut self, is_over: impl Fn(&Posting) -> bool) -> usize {
        let over = self.postings.iter().filter(|(_, posting)| is_over(posting));
        let spots: Vec<Spot> = over.map(|(spot, _)| *spot).collect();
        for spot in &spots {
            self.remove(*spot);
        }
        spots.len()
    }

    /// What is known of a list.
    pub(super) fn mark(&self, key: Position) -> Option<&Mark> {
        self.marks.get(&key).map(|kept| &kept.mark)
    }

    /// Which of several notes on a list is the one held here.
    pub(super) fn mark_version(&self, key: Position) -> Option<u64> {
        self.mark(key).map(mark_version)
    }

    /// All notes.
    pub(super) fn marks(&self) -> impl Iterator<Item = (Position, &Kept)> {
        self.marks.iter().map(|(key, kept)| (*key, kept))
    }

    /// Somebody cares for a list.
    pub(super) fn hear_of(&mut self, key: Position, now: Timestamp) {
        if let Some(kept) = self.marks.get_mut(&key) {
            kept.heard = now;
        }
    }

    /// Takes note of a list, if that is news. A list that is not whole has no
    /// entries.
    pub(super) fn put_mark(&mut self, now: Timestamp, mark: Mark) -> bool {
        let key = mark.shard.key(&mark.word);
        if let Some(kept) = self.marks.get_mut(&key) {
            let (old, new) = (mark_version(&kept.mark), mark_version(&mark));
            if new < old {
                return false;
            }
            kept.heard = now;
            if kept.mark == mark {
                return false;
            }
            let is_change = new > old;
            kept.mark = mark;
            if is_change && kept.mark.state != ListState::Whole {
                self.clear(key);
            }
            return is_change;
        }
        if mark.state != ListState::Whole {
            self.clear(key);
        }
        self.marks.insert(key, Kept { mark, heard: now });
        true
    }

    /// Forgets notes.
    pub(super) fn drop_mark(&mut self, key: Position) {
        self.marks.remove(&key);
    }

    /// How many notes.
    pub(super) fn marks_len(&self) -> usize {
        self.marks.len()
    }

    /// Everything in a stretch, with its version.
    pub(super) fn items(&self, span: Span) -> impl Iterator<Item = (Spot, u64)> {
        let is_empty = span.first > span.last;
        // An empty stretch must not become a range, which would panic.
        let last = if is_empty { span.first } else { span.last };
        let bounds = (Bound::Included(span.first), Bound::Included(last));
        let postings = self.postings.range(bounds);
        let postings = postings.map(|(spot, posting)| (*spot, posting.record.version()));
        let marks = self.marks.range(span.first.0..=last.0);
        let marks = marks.map(|(key, kept)| ((*key, FIRST), mark_version(&kept.mark)));
        let within = move |item: &(Spot, u64)| !is_empty && span.first <= item.0 && item.0 <= last;
        postings.chain(marks).filter(within)
    }

    /// A stretch summed up.
    pub(super) fn summary(&self, span: Span, salt: u64) -> Summary {
        let mut summary = Summary::default();
        for (spot, version) in self.items(span) {
            summary.count = summary.count.saturating_add(1);
            summary.digest = summary.digest.wrapping_add(item_hash(spot, version, salt));
        }
        summary
    }

    /// A stretch in parts of about as many records each, summed up.
    pub(super) fn parts(&self, span: Span, salt: u64) -> Vec<Summed> {
        let mut items: Vec<(Spot, u64)> = self.items(span).collect();
        items.sort_unstable();
        let size = items.len().div_ceil(PARTS_MAX).max(1);
        let chunks: Vec<&[(Spot, u64)]> = items.chunks(size).collect();
        let mut first = span.first;
        let mut parts = Vec::with_capacity(chunks.len());
        for (place, chunk) in chunks.iter().enumerate() {
            let next = chunks.get(place + 1).and_then(|chunk| chunk.first());
            let last = next.map_or(span.last, |(spot, _)| before(*spot));
            let mut summary = Summary::default();
            for (spot, version) in *chunk {
                summary.count += 1;
                summary.digest = summary
                    .digest
                    .wrapping_add(item_hash(*spot, *version, salt));
            }
            let span = Span { first, last };
            parts.push(Summed { span, summary });
            if let Some((spot, _)) = next {
                first = *spot;
            }
        }
        parts
    }
}

/// Of two notes on one list the one with the greater version is right.
pub(super) fn mark_version(mark: &Mark) -> u64 {
    let state = match mark.state {
        ListState::Whole => 0,
        ListState::Gone => 1,
        ListState::Split { .. } => 2,
    };
    u64::from(mark.epoch) * 4 + state
}

/// The spot before this one.
fn before((Position(key), RecordId(id)): Spot) -> Spot {
    if id > 0 {
        (Position(key), RecordId(id - 1))
    } else {
        (Position(key.saturating_sub(1)), LAST)
    }
}

/// The stretches that positions from `from` (exclusive) on to `to` (inclusive)
/// are, going round; all, if both are the same.
pub(super) fn spans(from: Position, to: Position) -> Vec<Span> {
    let span = |first: u128, last: u128| Span {
        first: (Position(first), FIRST),
        last: (Position(last), LAST),
    };
    if from == to {
        return vec![span(0, u128::MAX)];
    }
    let first = from.plus(1);
    if first <= to {
        vec![span(first.0, to.0)]
    } else {
        vec![span(first.0, u128::MAX), span(0, to.0)]
    }
}

/// Mixes what tells records apart. Sums of it are salted anew for each
/// comparison, so nobody can choose records that cancel out.
// Source: splitmix64, the finaliser.
pub(super) fn item_hash((key, id): Spot, version: u64, salt: u64) -> u64 {
    let halves = |n: u128| {
        let low = u64::try_from(n & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(n >> 64).unwrap_or(0);
        (low, high)
    };
    let ((a, b), (c, d)) = (halves(key.0), halves(id.0));
    [a, b, c, d, version].into_iter().fold(salt, |hash, part| {
        let mut hash = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    })
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::SignatureBytes;
    use gannet_base::{ContentId, FileEntry, Media, Publication, WallTime};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn record(n: u8, holder: u8, expires: u64) -> Record {
        let publication = Publication {
            entry: FileEntry {
                content: ContentId::of(&[n]),
                size: 1,
                path: format!("x/file {n}.txt"),
                media: Media::default(),
            },
            holder: PeerId::from_bytes([holder; 32]),
            expires: WallTime::from_unix_seconds(expires),
            signature: SignatureBytes([0; 64]),
        };
        Record::new(publication, Vec::new())
    }

    fn place(n: u8) -> Place {
        match n % 3 {
            0 => Place::Sources,
            1 => Place::Word("file".into(), crate::dht::store::Shard::ROOT),
            _ => Place::Word("txt".into(), crate::dht::store::Shard::ROOT),
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8, u8, u8, u64),
        Remove(usize),
        Clear(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..20_u8, 0..3_u8, 0..3_u8, 1..4_u64).prop_map(|(n, h, p, e)| Step::Put(n, h, p, e)),
            2 => any::<usize>().prop_map(Step::Remove),
            1 => any::<usize>().prop_map(Step::Clear),
        ]
    }

    fn run(steps: &[Step]) -> (Shelf, BTreeMap<Spot, (PeerId, u64)>) {
        let (mut shelf, mut model) = (Shelf::default(), BTreeMap::new());
        for step in steps {
            let spot_at = |place: usize, model: &BTreeMap<Spot, (PeerId, u64)>| {
                let count = model.len().max(1);
                model.keys().nth(place % count).copied()
            };
            match *step {
                Step::Put(n, holder, at, expires) => {
                    let (record, place) = (record(n, holder, expires), place(at));
                    let spot = (place.key(record.entry().content), record.id());
                    let until = Timestamp::from_secs(1);
                    let put = shelf.put(
                        &place,
                        Posting {
                            record: record.clone(),
                            until,
                        },
                    );
                    let new = (record.holder(), expires);
                    match model.insert(spot, new) {
                        None => assert_eq!(put, Put::New),
                        Some(old) if old.1 < expires => assert_eq!(put, Put::Renewed),
                        Some(old) => {
                            assert_eq!(put, Put::Known);
                            model.insert(spot, old);
                        }
                    }
                }
                Step::Remove(place) => {
                    if let Some(spot) = spot_at(place, &model) {
                        model.remove(&spot);
                        assert!(shelf.remove(spot).is_some());
                    }
                }
                Step::Clear(place) => {
                    if let Some((key, _)) = spot_at(place, &model) {
                        model.retain(|spot, _| spot.0 != key);
                        shelf.clear(key);
                    }
                }
            }
        }
        (shelf, model)
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_plain_map(steps in vec(step(), 0..80)) {
            let (shelf, model) = run(&steps);
            prop_assert_eq!(shelf.len(), model.len());
            for key in model.keys().map(|spot| spot.0) {
                let count = model.keys().filter(|spot| spot.0 == key).count();
                prop_assert_eq!(usize::try_from(shelf.count(key)).unwrap(), count);
                prop_assert_eq!(shelf.list(key).count(), count);
            }
            let keys: std::collections::BTreeSet<Position> =
                model.keys().map(|spot| spot.0).collect();
            prop_assert_eq!(shelf.lists_len(), keys.len());
            for holder in 0..3 {
                let holder = PeerId::from_bytes([holder; 32]);
                let count = model.values().filter(|(of, _)| *of == holder).count();
                prop_assert_eq!(usize::try_from(shelf.of_holder(holder)).unwrap(), count);
            }
            if model.is_empty() {
                prop_assert_eq!(shelf.bytes(), 0);
            }
        }

        /// Parts lie end to end, and add up to the whole; the same records give the
        /// same sums, others almost never.
        #[test]
        fn parts_add_up(
            steps in vec(step(), 0..80),
            others in vec(step(), 0..80),
            (from, to, salt) in any::<(u128, u128, u64)>(),
        ) {
            let ((shelf, model), (other, other_model)) = (run(&steps), run(&others));
            let versions = |model: &BTreeMap<Spot, (PeerId, u64)>, span: Span| {
                let within = model.range(span.first..=span.last);
                within.map(|(spot, (_, version))| (*spot, *version)).collect::<Vec<_>>()
            };
            for span in spans(Position(from), Position(to)) {
                let whole = shelf.summary(span, salt);
                let same = versions(&model, span) == versions(&other_model, span);
                prop_assert_eq!(whole == other.summary(span, salt), same);
                let parts = shelf.parts(span, salt);
                prop_assert!(parts.len() <= PARTS_MAX);
                let sum = parts.iter().fold(Summary::default(), |sum, part| Summary {
                    count: sum.count + part.summary.count,
                    digest: sum.digest.wrapping_add(part.summary.digest),
                });
                prop_assert_eq!(sum, whole);
                let mut next = Some(span.first);
                for part in &parts {
                    prop_assert_eq!(Some(part.span.first), next);
                    prop_assert_eq!(shelf.summary(part.span, salt), part.summary);
                    next = shelf.items(span).map(|(spot, _)| spot).filter(|spot| *spot > part.span.last).min();
                }
                prop_assert!(parts.last().is_none_or(|part| part.span.last == span.last));
            }
        }
    }
}
