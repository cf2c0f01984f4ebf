//! Own searches: which lists to read, and when it is enough.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gannet_base::{ContentId, Hit, PeerAddress, PeerId, Query, Row, Timestamp};
use gannet_index::Expression;

use super::legs::Leg;
use super::words::Choice;
use super::{LookupCost, Place, Position, Record, RecordId, Shard, Store, Word};
use crate::dht::api::{DhtEvent, DhtOutcome, Ending, RequestId};
use crate::flood::Wanted;

/// Own files that a search tells of at most.
const OWN_ROWS_MAX: usize = 1_000;

/// A search under way.
#[derive(Debug)]
pub(super) struct OwnSearch {
    pub(super) content: Option<ContentId>,
    pub(super) query: Option<Query>,
    pub(super) expression: Option<Expression>,
    enough: usize,
    /// Contents found, or holders of the content.
    found: BTreeSet<[u8; 32]>,
    told: BTreeSet<RecordId>,
    /// Which word's list is read.
    pub(super) choice: Choice,
    /// Words of each alternative that is not looked up yet.
    alternatives: Vec<Vec<Word>>,
    /// Something of an earlier alternative was missed.
    was_partial: bool,
    /// Who was asked how often.
    asked: BTreeMap<PeerId, u32>,
    answered: BTreeSet<PeerId>,
    /// Parts of the list of the word that is read in parts.
    pub(super) parts: VecDeque<(Word, Shard)>,
    pub(super) visited: BTreeSet<Shard>,
    /// Of these, those that are in parts.
    pub(super) divided: BTreeSet<Shard>,
    /// How many were whole, and were read.
    pub(super) parts_read: usize,
    pub(super) legs: BTreeMap<Position, Leg>,
    started: Timestamp,
    deadline: Timestamp,
    pub(super) is_partial: bool,
    outcome: DhtOutcome,
}

impl OwnSearch {
    /// A lookup is over.
    pub(super) fn on_cost(&mut self, cost: LookupCost) {
        self.outcome.hops = self.outcome.hops.max(cost.hops);
        self.outcome.messages = self.outcome.messages.saturating_add(cost.messages);
    }

    /// Another peer is asked.
    pub(super) fn on_asked(&mut self, peer: PeerId) {
        *self.asked.entry(peer).or_default() += 1;
        self.on_message();
    }

    fn on_message(&mut self) {
        self.outcome.messages = self.outcome.messages.saturating_add(1);
    }

    /// How often a peer was asked so far.
    pub(super) fn asked(&self, peer: PeerId) -> u32 {
        self.asked.get(&peer).copied().unwrap_or(0)
    }

    /// Another peer answered.
    pub(super) fn on_answered(&mut self, peer: PeerId) {
        self.answered.insert(peer);
        self.on_message();
    }

    pub(super) fn is_enough(&self) -> bool {
        self.found.len() >= self.enough
    }

    /// How many more entries are worth asking for, with some for repetitions.
    pub(super) fn page(&self) -> u16 {
        let missing = self.enough.saturating_sub(self.found.len());
        u16::try_from(missing.saturating_mul(2).clamp(16, 256)).unwrap_or(256)
    }

    /// How many parts of a list are worth reading at once: a few mostly have enough, and
    /// what was found in those read so far tells how many more it takes. Half of these, and
    /// one more for each that was asked for, which tells at least of parts.
    fn parallel(&self) -> usize {
        let missing = self.enough.saturating_sub(self.found.len());
        let wanted = missing.saturating_mul(self.parts_read) / (self.found.len() * 2).max(1);
        let first = if self.parts_read == 0 {
            self.choice.first_parts()
        } else {
            1
        };
        let over = self.visited.len().saturating_sub(self.legs.len());
        wanted.max(first).max(over + 1)
    }

    pub(super) fn hops(&self) -> u8 {
        self.outcome.hops
    }
}

impl Store {
    /// Looks for something.
    pub(crate) fn search(&mut self, now: Timestamp, id: RequestId, wanted: Wanted, enough: u32) {
        self.cancel(id);
        let enough = usize::try_from(enough.max(1)).unwrap_or(usize::MAX);
        let mut search = new_search(now, wanted, enough);
        search.deadline = now + self.config.search_timeout;
        if self.searches.len() >= self.config.searches_max {
            self.tell_end(now, id, &search, Ending::TooMany);
            return;
        }
        self.searches.insert(id, search);
        self.tell_own(now, id);
        self.begin_search(now, id);
    }

    /// Forgets a search.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if let Some(search) = self.searches.remove(&id) {
            self.give_up_legs(search.legs);
        }
    }

    /// What these lists say is not wanted any more.
    pub(super) fn give_up_legs(&mut self, legs: BTreeMap<Position, Leg>) {
        let readers = legs.into_values().flat_map(|leg| leg.readers);
        for request in readers.filter_map(|reader| reader.request) {
            self.requests.cancel(request);
        }
    }

    /// What this peer itself has.
    fn tell_own(&mut self, now: Timestamp, id: RequestId) {
        let Some(search) = self.searches.get(&id) else {
            return;
        };
        let mut records: Vec<Record> = match (&search.expression, search.content) {
            (Some(expression), _) => self.own.matching(expression),
            (None, Some(content)) => self.own.of(content).cloned().collect(),
            (None, None) => Vec::new(),
        };
        records.truncate(OWN_ROWS_MAX);
        self.tell(now, id, self.me, records);
    }

    /// Tells the layer above of records, verified, that it was not told of before.
    /// False if some were forged, or do not match.
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        id: RequestId,
        via: PeerId,
        records: Vec<Record>,
    ) -> bool {
        let wall = self.wall_time(now);
        let checks = self.config.checks_signatures && via != self.me;
        let Some(search) = self.searches.get_mut(&id) else {
            return true;
        };
        let (mut fresh, mut is_honest) = (Vec::new(), true);
        for record in records {
            if search.told.contains(&record.id()) {
                continue;
            }
            let publication = record.publication();
            if wall.is_some_and(|wall| publication.expires < wall) {
                // Calendars differ.
                continue;
            }
            let entry = &publication.entry;
            let of_content = search
                .content
                .is_none_or(|content| entry.content == content);
            let matches = search
                .expression
                .as_ref()
                .is_none_or(|words| words.matches(entry));
            let is_signed = || {
                publication
                    .verify(wall.unwrap_or(publication.expires))
                    .is_ok()
            };
            if !of_content || !matches || (checks && !is_signed()) {
                is_honest = false;
                continue;
            }
            search.told.insert(record.id());
            // A search by words is for contents, one for a content for holders.
            let thing = match search.query {
                None => *record.holder().as_bytes(),
                Some(_) => *entry.content.as_bytes(),
            };
            search.found.insert(thing);
            fresh.push(record);
        }
        if !fresh.is_empty() {
            let hops = if via == self.me { 0 } else { search.hops() };
            let (rows, addresses) = rows_of(fresh);
            self.event(DhtEvent::Rows {
                id,
                via,
                hops,
                rows,
                addresses,
            });
        }
        is_honest
    }

    fn begin_search(&mut self, now: Timestamp, id: RequestId) {
        let Some(search) = self.searches.get(&id) else {
            return;
        };
        if let Some(content) = search.content {
            let place = Place::Sources;
            self.start_leg(now, id, (place, Position::of_content(content)));
            self.after_leg(now, id);
            return;
        }
        let Some(expression) = &search.expression else {
            // Nobody understands the query.
            self.end_search(now, id, Ending::Everything);
            return;
        };
        let mut words: Vec<Word> = expression.required_words().map(Word::from).collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            let alternatives = expression.alternative_words().unwrap_or_default();
            let to_words = |texts: Vec<&str>| texts.into_iter().map(Word::from).collect();
            let alternatives: Vec<Vec<Word>> = alternatives.into_iter().map(to_words).collect();
            if alternatives.is_empty() {
                self.end_search(now, id, Ending::NoWord);
                return;
            }
            if let Some(search) = self.searches.get_mut(&id) {
                search.alternatives = alternatives;
            }
        } else {
            self.begin_words(now, id, words);
        }
        self.after_leg(now, id);
    }

    /// Starts what may be started, and ends what is over.
    pub(super) fn after_leg(&mut self, now: Timestamp, id: RequestId) {
        loop {
            let Some(search) = self.searches.get_mut(&id) else {
                return;
            };
            if search.is_enough() {
                self.end_search(now, id, Ending::Enough);
                return;
            }
            let parallel = self.config.shards_parallel.max(1).min(search.parallel());
            if search.legs.len() >= parallel {
                return;
            }
            if search.visited.len() >= self.config.shards_per_search_max {
                search.is_partial |= !search.parts.is_empty();
                search.parts.clear();
            }
            if let Some((word, part)) = search.parts.pop_front() {
                if search.visited.insert(part) {
                    let key = part.key(&word);
                    self.start_leg(now, id, (Place::Word(word, part), key));
                }
                continue;
            }
            if !search.legs.is_empty() {
                return;
            }
            if let Some(words) = search.alternatives.pop() {
                search.was_partial |= std::mem::take(&mut search.is_partial);
                search.visited.clear();
                search.divided.clear();
                search.parts_read = 0;
                self.begin_words(now, id, words);
                continue;
            }
            let was_asked = search.outcome.messages > 0;
            let is_partial = search.is_partial || search.was_partial;
            let ending = match (was_asked, is_partial) {
                (false, _) if !self.known.has_others() => Ending::Alone,
                (_, true) => Ending::Partial,
                (_, false) => Ending::Everything,
            };
            self.end_search(now, id, ending);
            return;
        }
    }

    pub(super) fn on_timeout_searches(&mut self, now: Timestamp) {
        let late = self.searches.iter();
        let late = late.filter(|(_, search)| search.deadline <= now);
        let late: Vec<RequestId> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.end_search(now, id, Ending::Partial);
        }
    }

    pub(super) fn searches_due(&self) -> Option<Timestamp> {
        self.searches.values().map(|search| search.deadline).min()
    }

    fn end_search(&mut self, now: Timestamp, id: RequestId, ending: Ending) {
        let Some(mut search) = self.searches.remove(&id) else {
            return;
        };
        self.give_up_legs(std::mem::take(&mut search.legs));
        self.tell_end(now, id, &search, ending);
    }

    fn tell_end(&mut self, now: Timestamp, id: RequestId, search: &OwnSearch, ending: Ending) {
        let count = |peers: usize| u32::try_from(peers).unwrap_or(u32::MAX);
        let outcome = DhtOutcome {
            ending,
            asked: count(search.asked.len()),
            answered: count(search.answered.len()),
            elapsed: now - search.started,
            ..search.outcome
        };
        self.event(DhtEvent::Ended { id, outcome });
    }
}

fn new_search(now: Timestamp, wanted: Wanted, enough: usize) -> OwnSearch {
    let (query, content) = match wanted {
        Wanted::Words(query) => (Some(query), None),
        Wanted::Content(content) => (None, Some(content)),
    };
    let expression = query
        .as_ref()
        .and_then(|query| Expression::parse(query).ok());
    let content = content.or_else(|| expression.as_ref()?.required_content());
    OwnSearch {
        content,
        query,
        expression,
        enough,
        found: BTreeSet::new(),
        told: BTreeSet::new(),
        choice: Choice::default(),
        alternatives: Vec::new(),
        was_partial: false,
        asked: BTreeMap::new(),
        answered: BTreeSet::new(),
        parts: VecDeque::new(),
        visited: BTreeSet::new(),
        divided: BTreeSet::new(),
        parts_read: 0,
        legs: BTreeMap::new(),
        started: now,
        deadline: now,
        is_partial: false,
        outcome: DhtOutcome {
            ending: Ending::Everything,
            asked: 0,
            answered: 0,
            hops: 0,
            messages: 0,
            elapsed: std::time::Duration::ZERO,
        },
    }
}

/// Records as rows: by content, in the order of the first of each; a holder with
/// a content under two paths has two rows.
fn rows_of(records: Vec<Record>) -> (Vec<Row>, Vec<PeerAddress>) {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: BTreeMap<ContentId, Vec<usize>> = BTreeMap::new();
    let mut addresses: BTreeMap<PeerId, PeerAddress> = BTreeMap::new();
    for record in records {
        let (content, holder) = (record.entry().content, record.holder());
        if !record.addresses().is_empty() {
            addresses.entry(holder).or_insert_with(|| PeerAddress {
                peer: holder,
                addresses: record.addresses().to_vec(),
            });
        }
        let hit = Hit {
            publication: record.publication().clone(),
        };
        let of_content = places.entry(content).or_default();
        let has = |row: &Row| row.hits.iter().any(|hit| hit.holder() == holder);
        match of_content.iter().find(|place| !has(&rows[**place])) {
            Some(place) => {
                rows[*place].hits.push(hit);
                rows[*place].holders += 1;
            }
            None => {
                of_content.push(rows.len());
                rows.push(Row {
                    content,
                    holders: 1,
                    hits: vec![hit],
                });
            }
        }
    }
    (rows, addresses.into_values().collect())
}

#[cfg(test)]
mod tests;
