//! Reading one list: at two of those that hold copies, at more where they differ
//! or fail.

use std::collections::VecDeque;

use gannet_base::{PeerId, Rng, Timestamp};

use super::around::Way;
use super::requests::Purpose;
use super::{
    Ask, Contact, Cursor, Found, LookupCost, Place, Position, Shard, Store, StoreMessage, Waiting,
};
use crate::dht::api::RequestId;
use crate::flood::below;

/// One of those that are asked.
#[derive(Debug)]
pub(super) struct Reader {
    owner: Contact,
    pub(super) request: Option<u64>,
    /// Whether it is asked for entries, or only for a sum.
    reads: bool,
    after: Option<Cursor>,
    pages: u32,
    state: ReaderState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    Asked,
    /// It told how many entries match, their digest, and whether it is sure.
    Told(u32, u64, bool),
    /// The list is not there as it was asked for.
    Elsewhere,
    Failed,
}

/// A list that a search reads.
#[derive(Debug)]
pub(super) struct Leg {
    place: Place,
    /// Those that hold it and were not asked yet.
    owners: VecDeque<Contact>,
    /// Who is responsible for it: the others get copies from it.
    first: Option<PeerId>,
    pub(super) readers: Vec<Reader>,
    split: Option<(u8, u32)>,
    is_missing: bool,
    /// Whether those that hold it were looked up for this very search.
    is_located: bool,
    is_relocated: bool,
}

/// How the reading of a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was read.
    Read,
    /// It was read, by nobody who is sure to have it all.
    Unsure,
    /// It is in parts.
    Split {
        /// Bits of the least deep part.
        bits: u8,
        /// Entries in all parts.
        count: u32,
    },
    /// There is no such part.
    NoShard,
    /// Nobody answered.
    Failed,
}

/// Puts them into a random order.
// Source: Fisher and Yates.
pub(super) fn shuffle<T>(rng: &mut Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let other = below(rng, last + 1);
        items.swap(last, other);
    }
}

/// One of some, each as likely as its share says; nothing if there is none.
fn drawn(rng: &mut Rng, shares: &[u64]) -> Option<usize> {
    let sum: u64 = shares.iter().sum();
    let mut at = below(rng, usize::try_from(sum).unwrap_or(usize::MAX).max(1)) as u64;
    shares.iter().position(|share| {
        let is_it = at < *share;
        at = at.saturating_sub(*share);
        is_it
    })
}

impl Store {
    pub(super) fn start_leg(
        &mut self,
        now: Timestamp,
        id: RequestId,
        (place, key): (Place, Position),
    ) {
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let leg = Leg {
            place,
            owners: VecDeque::new(),
            first: None,
            readers: Vec::new(),
            split: None,
            is_missing: false,
            is_located: false,
            is_relocated: false,
        };
        search.legs.insert(key, leg);
        self.find_leg_way(now, (id, key));
    }

    fn find_leg_way(&mut self, now: Timestamp, (id, key): (RequestId, Position)) {
        match self.known.way(now, &self.config, key) {
            Some(way) => self.go_leg_way(now, (id, key), Some(way), LookupCost::default()),
            None => self.locate(key, Waiting::Leg(id, key)),
        }
    }

    pub(super) fn on_leg_way(
        &mut self,
        now: Timestamp,
        leg: (RequestId, Position),
        way: Option<Way>,
        cost: LookupCost,
    ) {
        if let Some(leg) = self.leg(leg.0, leg.1) {
            leg.is_located = true;
        }
        self.go_leg_way(now, leg, way, cost);
        self.after_leg(now, leg.0);
    }

    fn go_leg_way(
        &mut self,
        now: Timestamp,
        (id, key): (RequestId, Position),
        way: Option<Way>,
        cost: LookupCost,
    ) {
        let first = way.as_ref().and_then(|way| way.owners.first());
        let first = first.map(|owner| owner.peer);
        let mut owners = way.map_or_else(Vec::new, |way| self.shuffled(way));
        let is_sure = self.is_sure(now, key);
        // This peer first, if it has the list; liars last; of the others those that were
        // asked for fewer parts: some hold many parts of a word that is everywhere.
        let search = self.searches.get(&id);
        owners.sort_by_cached_key(|owner| {
            let is_me = owner.peer == self.me;
            let asked = search.map_or(0, |search| search.asked(owner.peer));
            let is_liar = self.is_liar(now, owner.peer);
            (!(is_me && is_sure), is_liar, is_me, asked)
        });
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        search.on_cost(cost);
        if let Some(leg) = search.legs.get_mut(&key) {
            leg.owners = owners.into();
            leg.first = first;
            self.step_leg(now, (id, key));
        }
    }

    /// The owners in a random order, in which those come later that have more to answer.
    fn shuffled(&mut self, way: Way) -> Vec<Contact> {
        let mut shares = match self.known.spacing() {
            Some(spacing) => way.shares(spacing, self.config.copies),
            None => vec![1; way.owners.len()],
        };
        let (mut left, mut owners) = (way.owners, Vec::new());
        while let Some(place) = drawn(&mut self.rng, &shares) {
            shares.remove(place);
            owners.push(left.remove(place));
        }
        owners
    }

    /// Asks one more.
    fn ask_next(&mut self, now: Timestamp, (id, key): (RequestId, Position)) {
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let Some(leg) = search.legs.get_mut(&key) else {
            return;
        };
        let Some(owner) = leg.owners.pop_front() else {
            return;
        };
        let open = |reader: &&Reader| reader.state != ReaderState::Failed;
        let reads = leg.readers.iter().filter(open).all(|reader| !reader.reads);
        leg.readers.push(Reader {
            owner,
            request: None,
            reads,
            after: None,
            pages: 0,
            state: ReaderState::Asked,
        });
        let number = leg.readers.len() - 1;
        self.ask_reader(now, (id, key), number);
    }

    fn ask_reader(&mut self, now: Timestamp, (id, key): (RequestId, Position), number: usize) {
        let me = self.me;
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let limit = search.page();
        let (query, content) = (search.query.clone(), search.content);
        let Some(leg) = search.legs.get_mut(&key) else {
            return;
        };
        let Some(reader) = leg.readers.get_mut(number) else {
            return;
        };
        reader.pages += 1;
        reader.state = ReaderState::Asked;
        let owner = reader.owner.clone();
        let ask = Ask {
            content: content.filter(|_| leg.place == Place::Sources),
            place: leg.place.clone(),
            query,
            after: reader.after,
            limit: if reader.reads { limit } else { 0 },
        };
        if owner.peer != me {
            search.on_asked(owner.peer);
        } else {
            let found = self.look(now, &ask);
            self.take_answer(now, me, (id, key), found);
            return;
        }
        let message = |request| StoreMessage::Search {
            request,
            ask: Box::new(ask),
        };
        let request = self.request(now, &owner, Purpose::Leg(id, key), message);
        if let Some(reader) = self.reader(id, key, owner.peer) {
            reader.request = Some(request);
        }
    }

    fn reader(&mut self, id: RequestId, key: Position, peer: PeerId) -> Option<&mut Reader> {
        let leg = self.searches.get_mut(&id)?.legs.get_mut(&key)?;
        let is_it = |reader: &&mut Reader| reader.owner.peer == peer;
        leg.readers.iter_mut().find(is_it)
    }

    pub(super) fn on_answer(
        &mut self,
        now: Timestamp,
        from: PeerId,
        leg: (RequestId, Position),
        found: Found,
    ) {
        self.take_answer(now, from, leg, found);
        self.after_leg(now, leg.0);
    }

    fn take_answer(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (id, key): (RequestId, Position),
        found: Found,
    ) {
        let Some(reader) = self.reader(id, key, from) else {
            return;
        };
        reader.request = None;
        let reads = reader.reads;
        if from != self.me
            && let Some(search) = self.searches.get_mut(&id)
        {
            search.on_answered(from);
        }
        let state = match found {
            Found::Entries {
                records,
                next,
                total,
                digest,
                is_sure,
                ..
            } => {
                if self.tell(now, id, from, records) {
                    let more = next.filter(|_| reads);
                    if self.goes_on(id, key, from, more) {
                        return self.ask_more(now, (id, key), from);
                    }
                    ReaderState::Told(total, digest, is_sure)
                } else {
                    self.on_forged(now, from);
                    ReaderState::Failed
                }
            }
            Found::Split { bits, count } => {
                if let Some(leg) = self.leg(id, key) {
                    leg.split = leg.split.max(Some((bits, count)));
                }
                ReaderState::Elsewhere
            }
            Found::NoShard => {
                if let Some(leg) = self.leg(id, key) {
                    leg.is_missing = true;
                }
                ReaderState::Elsewhere
            }
            Found::NotMine => {
                self.known.doubt(from);
                ReaderState::Failed
            }
            Found::Busy => ReaderState::Failed,
        };
        if let Some(reader) = self.reader(id, key, from) {
            reader.state = state;
        }
        self.step_leg(now, (id, key));
    }

    fn leg(&mut self, id: RequestId, key: Position) -> Option<&mut Leg> {
        self.searches.get_mut(&id)?.legs.get_mut(&key)
    }

    /// Whether there is another page, and it is wanted.
    fn goes_on(
        &mut self,
        id: RequestId,
        key: Position,
        peer: PeerId,
        next: Option<Cursor>,
    ) -> bool {
        let pages_max = self.config.pages_per_list_max;
        let is_enough = self
            .searches
            .get(&id)
            .is_none_or(|search| search.is_enough());
        let Some(reader) = self.reader(id, key, peer) else {
            return false;
        };
        let is_on = next > reader.after && reader.pages < pages_max && !is_enough;
        if is_on {
            reader.after = next;
        }
        is_on
    }

    fn ask_more(&mut self, now: Timestamp, (id, key): (RequestId, Position), peer: PeerId) {
        let number = self.leg(id, key).and_then(|leg| {
            let mut readers = leg.readers.iter();
            readers.position(|reader| reader.owner.peer == peer)
        });
        if let Some(number) = number {
            self.ask_reader(now, (id, key), number);
        }
    }

    pub(super) fn on_reader_failed(
        &mut self,
        now: Timestamp,
        (id, key): (RequestId, Position),
        peer: PeerId,
    ) {
        if let Some(reader) = self.reader(id, key, peer) {
            reader.request = None;
            reader.state = ReaderState::Failed;
            self.step_leg(now, (id, key));
            self.after_leg(now, id);
        }
    }

    /// Asks who is to be asked next, or ends the leg.
    fn step_leg(&mut self, now: Timestamp, (id, key): (RequestId, Position)) {
        loop {
            let readers = self.config.readers.max(1);
            let Some(leg) = self.leg(id, key) else {
                return;
            };
            match leg.next(readers) {
                Next::Ask => self.ask_next(now, (id, key)),
                Next::AskFirst(place) => {
                    leg.owners.swap(0, place);
                    self.ask_next(now, (id, key));
                }
                Next::Read(number) => {
                    leg.readers[number].reads = true;
                    return self.ask_reader(now, (id, key), number);
                }
                Next::Wait => return,
                Next::Locate => {
                    leg.is_relocated = true;
                    let peers: Vec<PeerId> =
                        leg.readers.drain(..).map(|one| one.owner.peer).collect();
                    peers.into_iter().for_each(|peer| self.known.doubt(peer));
                    return self.locate(key, Waiting::Leg(id, key));
                }
                Next::End(outcome) => {
                    let leg = self
                        .searches
                        .get_mut(&id)
                        .and_then(|search| search.legs.remove(&key));
                    if let Some(leg) = leg {
                        self.on_leg_done(now, id, &leg.place, outcome);
                    }
                    return;
                }
            }
        }
    }
}

/// What a leg needs.
enum Next {
    Ask,
    /// Who is responsible, at this place of those not asked yet.
    AskFirst(usize),
    Read(usize),
    Wait,
    Locate,
    End(Outcome),
}

impl Leg {
    /// Where among those not asked yet the one is who is responsible, if nobody has
    /// anything: what was published a moment ago is there first. Parts of common words
    /// are many, and not asked for so.
    fn unasked_first(&self) -> Option<usize> {
        let has_any = |reader: &Reader| matches!(reader.state, ReaderState::Told(1.., ..));
        let is_part = matches!(&self.place, Place::Word(_, shard) if *shard != Shard::ROOT);
        if is_part || self.readers.iter().any(has_any) {
            return None;
        }
        let mut owners = self.owners.iter();
        owners.position(|owner| Some(owner.peer) == self.first)
    }

    fn next(&self, readers_wanted: usize) -> Next {
        let failed = |reader: &&Reader| reader.state == ReaderState::Failed;
        let open = self.readers.len() - self.readers.iter().filter(failed).count();
        if open < readers_wanted && !self.owners.is_empty() {
            return Next::Ask;
        }
        let asked = |reader: &Reader| reader.state == ReaderState::Asked;
        if self.readers.iter().any(asked) {
            return Next::Wait;
        }
        let told = |reader: &Reader| match reader.state {
            ReaderState::Told(total, digest, is_sure) => Some((total, digest, is_sure)),
            _ => None,
        };
        let read = self.readers.iter().filter(|reader| reader.reads);
        let read: Vec<u64> = read.filter_map(told).map(|(_, digest, _)| digest).collect();
        let differs = |reader: &Reader| {
            let other = told(reader).filter(|_| !reader.reads);
            other.is_some_and(|(total, digest, _)| total > 0 && !read.contains(&digest))
        };
        if let Some(number) = self.readers.iter().position(differs) {
            return Next::Read(number);
        }
        let mut told = self.readers.iter().filter_map(told);
        let is_told = told.clone().next().is_some();
        let is_sure = told.any(|(.., is_sure)| is_sure);
        if is_told && !is_sure && !self.owners.is_empty() {
            return Next::Ask;
        }
        if let Some((bits, count)) = self.split {
            return Next::End(Outcome::Split { bits, count });
        }
        if is_told && let Some(place) = self.unasked_first() {
            return Next::AskFirst(place);
        }
        Next::End(match (is_told, is_sure) {
            (true, true) => Outcome::Read,
            // Those that hold it now may be others than those remembered.
            (true, false) if !(self.is_located || self.is_relocated) => return Next::Locate,
            (true, false) => Outcome::Unsure,
            (false, _) if self.is_missing => Outcome::NoShard,
            (false, _) if !self.is_relocated => return Next::Locate,
            (false, _) => Outcome::Failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_drawn_as_often_as_its_share_says() {
        let mut rng = gannet_base::seeded_rng(1);
        let mut counts = [0_u32; 3];
        for _ in 0..6_000 {
            counts[drawn(&mut rng, &[100, 0, 200]).unwrap()] += 1;
        }
        assert!(
            (1_900..2_100).contains(&counts[0]) && counts[1] == 0,
            "{counts:?}"
        );
        assert_eq!(drawn(&mut rng, &[]), None);
    }
}
