//! Where a word occurs: a sorted set of entry numbers in one of three forms,
//! each with the word's [`Places`] in the entry.
//!
//! Most words occur once or twice: those numbers lie in the word's record
//! itself. Up to [`LIST_MAX`] they are a plain list. Beyond, they are cut into
//! chunks of 65,536 numbers, and each chunk is a list of 16-bit numbers or a
//! bitmap, whichever is smaller (the layout of Roaring bitmaps, Lemire et al.
//! 2016). So an insertion in the middle moves at most a few kilobytes, and
//! words that nearly every path has cost a quarter of a byte an entry.

use super::bits::Bits;
use super::chunk::{Bitmap, Chunk, List, Low, Places, insert_sorted, shrink};
use super::dense::Dense;

/// Numbers that fit the record.
const FEW_MAX: usize = 3;
/// Longest plain list.
pub(super) const LIST_MAX: usize = 4_096;

#[derive(Debug, Clone)]
pub(super) enum Postings {
    Few { len: u8, list: [Posting; FEW_MAX] },
    List(Vec<Posting>),
    Chunks(Box<Chunks>),
}

/// A number, in bytes so that nothing is lost to alignment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    id: [u8; 4],
    pub(super) places: Places,
}

impl Posting {
    fn new(id: u32, places: Places) -> Self {
        Self {
            id: id.to_le_bytes(),
            places,
        }
    }

    pub(super) fn id(&self) -> u32 {
        u32::from_le_bytes(self.id)
    }

    pub(super) fn low(&self) -> u16 {
        u16::from_le_bytes([self.id[0], self.id[1]])
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    len: usize,
    /// By number.
    list: Vec<(u16, Chunk)>,
}

/// What a word has in one chunk; never empty.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// Whole numbers, all of this chunk.
    Ids(&'a [Posting]),
    /// Their lower halves.
    Lows(&'a List),
    Dense(&'a Dense),
}

/// Goes through the chunks of a word.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cursor<'a> {
    /// What is left of a plain list.
    List(&'a [Posting]),
    /// What is left of the chunks.
    Chunks(&'a [(u16, Chunk)]),
}

impl<'a> Cursor<'a> {
    /// The next chunk in which there is something.
    pub(super) fn next_chunk(&self) -> Option<u16> {
        match self {
            Self::List(list) => list.first().map(|posting| split(posting.id()).0),
            Self::Chunks(chunks) => chunks.first().map(|(number, _)| *number),
        }
    }

    /// What lies in this chunk; goes on behind it.
    pub(super) fn view(&mut self, number: u16) -> Option<View<'a>> {
        match self {
            Self::List(list) => {
                let start = place_of(list, join(number, 0));
                let (ids, rest) = list[start..].split_at(match number.checked_add(1) {
                    Some(next) => place_of(&list[start..], join(next, 0)),
                    None => list.len() - start,
                });
                *list = rest;
                (!ids.is_empty()).then_some(View::Ids(ids))
            }
            Self::Chunks(chunks) => {
                let place = chunks.iter().take_while(|(other, _)| *other < number);
                *chunks = &chunks[place.count()..];
                let (found, rest) = chunks.split_first()?;
                if found.0 != number {
                    return None;
                }
                *chunks = rest;
                Some(match &found.1 {
                    Chunk::List(lows) => View::Lows(lows),
                    Chunk::Dense(dense) => View::Dense(dense),
                })
            }
        }
    }
}

/// The first place at which a number is not below this one.
fn place_of(list: &[Posting], id: u32) -> usize {
    match (list.first(), list.last()) {
        (Some(first), _) if first.id() >= id => 0,
        (_, Some(last)) if last.id() < id => list.len(),
        _ => list.partition_point(|posting| posting.id() < id),
    }
}

/// The chunk that a number lies in, and its place there.
pub(super) fn split(id: u32) -> (u16, u16) {
    let [a, b, c, d] = id.to_le_bytes();
    (u16::from_le_bytes([c, d]), u16::from_le_bytes([a, b]))
}

/// The number at this place of this chunk.
pub(super) fn join(number: u16, low: u16) -> u32 {
    u32::from(number) << 16 | u32::from(low)
}

impl Postings {
    pub(super) const EMPTY: Self = Self::Few {
        len: 0,
        list: [Posting {
            id: [0; 4],
            places: Places::NONE,
        }; FEW_MAX],
    };

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::List(list) => list.len(),
            Self::Chunks(chunks) => chunks.len,
        }
    }

    /// The set of these numbers, in any order, some perhaps twice, without
    /// places.
    pub(super) fn from_ids(mut ids: Vec<u32>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let postings = ids.into_iter().map(|id| Posting::new(id, Places::NONE));
        Self::from_list(postings.collect())
    }

    fn from_list(list: Vec<Posting>) -> Self {
        if list.len() <= LIST_MAX {
            Self::List(list)
        } else {
            Self::Chunks(Box::new(Chunks::of(&list)))
        }
    }

    /// The set of the numbers whose bits are set, in whole chunks, without
    /// places.
    pub(super) fn from_bits(words: &[u64]) -> Self {
        let mut chunks = Chunks::default();
        for (number, part) in (0..=u16::MAX).zip(words.as_chunks().0) {
            let part: &Bitmap = part;
            if part.iter().any(|word| *word != 0) {
                let chunk = Chunk::of_bitmap(part);
                chunks.len += chunk.len();
                chunks.list.push((number, chunk));
            }
        }
        Self::Chunks(Box::new(chunks))
    }

    /// Adds a number that is not in the set.
    pub(super) fn insert(&mut self, id: u32, places: Places) {
        let posting = Posting::new(id, places);
        match self {
            Self::Few { len, list } => {
                let filled = usize::from(*len);
                if filled == FEW_MAX {
                    let mut longer = Vec::with_capacity(FEW_MAX * 2);
                    longer.extend_from_slice(list);
                    insert_sorted(&mut longer, posting, Posting::id);
                    *self = Self::List(longer);
                } else {
                    let place = list[..filled].partition_point(|other| other.id() < id);
                    list.copy_within(place..filled, place + 1);
                    list[place] = posting;
                    *len += 1;
                }
            }
            Self::List(list) => {
                insert_sorted(list, posting, Posting::id);
                if list.len() > LIST_MAX {
                    *self = Self::Chunks(Box::new(Chunks::of(list)));
                }
            }
            Self::Chunks(chunks) => chunks.insert(id, places),
        }
    }

    /// Takes out the numbers that are in the other set: of few, all at once; of
    /// many, those of the first chunk from `from` on. Returns the work that it
    /// was, in numbers, and the chunk to go on with.
    pub(super) fn sweep(&mut self, from: u16, gone: &Bits) -> (usize, Option<u16>) {
        let work = match self {
            Self::Few { len, list } => {
                let mut kept = 0;
                for place in 0..usize::from(*len) {
                    if !gone.contains(list[place].id()) {
                        list[kept] = list[place];
                        kept += 1;
                    }
                }
                *len = u8::try_from(kept).expect("few");
                kept
            }
            Self::List(list) => {
                let before = list.len();
                list.retain(|posting| !gone.contains(posting.id()));
                if list.len() <= FEW_MAX {
                    let mut few = [Posting::new(0, Places::NONE); FEW_MAX];
                    few[..list.len()].copy_from_slice(list);
                    let len = u8::try_from(list.len()).expect("few");
                    *self = Self::Few { len, list: few };
                } else if list.len() < before {
                    shrink(list);
                }
                before * 2
            }
            Self::Chunks(chunks) => {
                let (work, next) = chunks.sweep(from, gone);
                if next.is_none() && chunks.len <= LIST_MAX / 2 {
                    *self = Self::List(chunks.to_list());
                }
                return (work, next);
            }
        };
        (work, None)
    }

    /// From its beginning.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        match self {
            Self::Few { len, list } => Cursor::List(&list[..usize::from(*len)]),
            Self::List(list) => Cursor::List(list),
            Self::Chunks(chunks) => Cursor::Chunks(&chunks.list),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::List(list) => list.capacity() * size_of::<Posting>(),
            Self::Chunks(chunks) => {
                let each = chunks.list.iter().map(|(_, chunk)| chunk.memory_bytes());
                each.sum::<usize>() + chunks.list.capacity() * size_of::<(u16, Chunk)>()
            }
        }
    }
}

impl Chunks {
    /// From ascending numbers.
    fn of(list: &[Posting]) -> Self {
        let number = |posting: &Posting| split(posting.id()).0;
        let chunks = list.chunk_by(|a, b| number(a) == number(b)).map(|part| {
            let lows = part.iter().map(|one| Low::new(one.low(), one.places));
            (number(&part[0]), Chunk::of(lows.collect()))
        });
        Self {
            len: list.len(),
            list: chunks.collect(),
        }
    }

    fn to_list(&self) -> Vec<Posting> {
        let mut list = Vec::with_capacity(self.len);
        for (number, chunk) in &self.list {
            let lows = chunk.to_list().into_iter();
            list.extend(lows.map(|low| Posting::new(join(*number, low.low()), low.places)));
        }
        list
    }

    fn insert(&mut self, id: u32, places: Places) {
        let (number, low) = split(id);
        let place = self.list.partition_point(|(other, _)| *other < number);
        if self
            .list
            .get(place)
            .is_none_or(|(other, _)| *other != number)
        {
            self.list
                .insert(place, (number, Chunk::List(List::default())));
        }
        self.list[place].1.insert(low, places);
        self.len += 1;
    }

    fn sweep(&mut self, from: u16, gone: &Bits) -> (usize, Option<u16>) {
        let place = self.list.partition_point(|(number, _)| *number < from);
        let Some((number, chunk)) = self.list.get_mut(place) else {
            return (0, None);
        };
        let number = *number;
        let before = chunk.len();
        let work = gone.chunk(number).map_or(0, |gone| chunk.sweep(gone));
        self.len -= before - chunk.len();
        if chunk.len() == 0 {
            self.list.remove(place);
        }
        (work, number.checked_add(1))
    }
}
