//! Comparing with others what is held, and exchanging what differs.
//!
//! The owner of a stretch of the ring compares with each of those that hold its
//! replicas: sums over the stretch; if they differ, sums over its parts, and so on
//! down to short lists of numbers. Then it gives what the other lacks and fetches
//! what it lacks itself. All state is the asker's; the other only answers.
//!
//! What is held here and no owner speaks for was this peer's before rings merged
//! or nodes came: it is compared with the owner in the same way, and then let go.
// Source: Meyer, Range-Based Set Reconciliation (2023), section 3.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};
use rand_core::Rng as _;

use super::around::Way;
use super::errand::{For, Todo};
use super::message::{ITEMS_MAX, LISTED_ALL_MAX, LISTED_MAX, LOAD_BYTES_MAX, MARKS_MAX, SPANS_MAX};
use super::requests::Purpose;
use super::shelf::{Posting, spans};
use super::{
    Contact, Difference, Item, Load, Mark, Mode, Position, RecordId, Span, Spot, Store,
    StoreMessage, Summed, Waiting,
};
use crate::flood::jittered;

/// Messages of one comparison beyond which it is given up.
// Guess: a million records of which all differ need some 4,000.
const ROUNDS_MAX: u32 = 10_000;
/// Virtual nodes of a peer that are tried to find one of its own.
const VIRTUAL_NODES_MAX: u8 = 64;
/// Comparisons at once.
const SESSIONS_MAX: usize = 16;

/// Why two nodes compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// This peer owns the stretch, and the other holds replicas.
    Copies,
    /// The other owns it.
    Stray,
}

/// A comparison under way.
#[derive(Debug)]
struct Session {
    peer: Contact,
    why: Why,
    from: Position,
    to: Position,
    salt: u64,
    todo: Vec<Span>,
    request: Option<u64>,
    pushes: Vec<Todo>,
    marks: Vec<Mark>,
    wants: VecDeque<Spot>,
    /// Fetched in this round.
    is_pushing: bool,
    rounds: u32,
}

/// Comparisons, and when there will be more.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    sessions: BTreeMap<u64, Session>,
    sync_at: Option<Timestamp>,
    stray_at: Option<Timestamp>,
    /// Whether the way to a stray record is being looked up.
    is_looking: bool,
    /// Where the search for stray records goes on.
    stray_from: Position,
}

impl Store {
    /// The neighbourhood changed: compare when it has settled.
    pub(super) fn on_change(&mut self, now: Timestamp) {
        if !self.known.has_others() || self.known.is_still {
            self.syncing.sync_at = None;
            return;
        }
        let settled = now + jittered(&mut self.rng, self.config.settle_delay * 2);
        let due = self.syncing.sync_at;
        self.syncing.sync_at = Some(due.map_or(settled, |due| due.min(settled)));
        if self.syncing.stray_at.is_none() {
            self.stray_later(now);
        }
    }

    fn stray_later(&mut self, now: Timestamp) {
        let wait = self.jittered(self.config.stray_interval);
        self.syncing.stray_at = Some(now + wait);
    }

    /// Between three and five quarters of it.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        jittered(&mut self.rng, duration) + duration / 4
    }

    pub(super) fn sync_due(&self) -> Option<Timestamp> {
        let stray = self.syncing.stray_at.filter(|_| !self.syncing.is_looking);
        [self.syncing.sync_at, stray].into_iter().flatten().min()
    }

    pub(super) fn on_timeout_sync(&mut self, now: Timestamp) {
        if self.syncing.sync_at.is_some_and(|at| at <= now) {
            let wait = self.jittered(self.config.sync_interval);
            self.syncing.sync_at = Some(now + wait);
            self.sync_with(now, self.config.copies);
        }
        if self.syncing.stray_at.is_some_and(|at| at <= now) && !self.syncing.is_looking {
            self.stray_later(now);
            self.look_for_strays(now);
        }
    }

    /// Compares all own stretches with all that hold replicas of them.
    fn sync_with(&mut self, now: Timestamp, copies: usize) {
        let mut due = Vec::new();
        for node in &self.known.nodes {
            if let Some(before) = &node.predecessor {
                for replica in node.replicas(copies) {
                    due.push((replica, before.position, node.me.position));
                }
            }
        }
        for (peer, from, to) in due {
            self.start_session(now, Why::Copies, peer, (from, to));
        }
    }

    /// This peer goes: one node more than usual gets a copy of what it owns.
    pub(crate) fn leave(&mut self, now: Timestamp) {
        self.syncing.sync_at = None;
        self.syncing.stray_at = None;
        self.sync_with(now, self.config.copies + 1);
    }

    fn start_session(
        &mut self,
        now: Timestamp,
        why: Why,
        peer: Contact,
        (from, to): (Position, Position),
    ) {
        let same =
            |session: &Session| session.peer == peer && (session.from, session.to) == (from, to);
        let sessions = &self.syncing.sessions;
        if sessions.len() >= SESSIONS_MAX || sessions.values().any(same) || peer.peer == self.me {
            return;
        }
        let session = Session {
            peer,
            why,
            from,
            to,
            salt: self.rng.next_u64(),
            todo: spans(from, to),
            request: None,
            pushes: Vec::new(),
            marks: Vec::new(),
            wants: VecDeque::new(),
            is_pushing: false,
            rounds: 0,
        };
        let id = self.id();
        self.syncing.sessions.insert(id, session);
        self.step_session(now, id);
    }

    /// The next thing to do of a comparison.
    fn step_session(&mut self, now: Timestamp, id: u64) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        if session.request.is_some() || session.is_pushing {
            return;
        }
        session.rounds += 1;
        if session.rounds > ROUNDS_MAX {
            self.end_session(now, id, false);
            return;
        }
        let peer = session.peer.clone();
        if !session.pushes.is_empty() || !session.marks.is_empty() {
            session.is_pushing = true;
            let todo = std::mem::take(&mut session.pushes);
            let marks = std::mem::take(&mut session.marks);
            let mode = match session.why {
                Why::Copies => Mode::Copy,
                Why::Stray => Mode::Create,
            };
            let (from, to) = (session.from, session.to);
            let owners = vec![peer];
            let way = Way { from, to, owners };
            self.start_errand(now, (For::Session(id), mode), (to, Some(way)), todo, marks);
        } else if !session.wants.is_empty() {
            let count = session.wants.len().min(ITEMS_MAX);
            let spots: Vec<Spot> = session.wants.iter().take(count).copied().collect();
            let message = |request| StoreMessage::Fetch { request, spots };
            let request = self.request(now, &peer, Purpose::Fetch(id), message);
            self.note_request(id, request);
        } else if session.todo.is_empty() {
            self.end_session(now, id, true);
        } else {
            let salt = session.salt;
            let count = session.todo.len().min(SPANS_MAX);
            let at = session.todo.len() - count;
            let spans = session.todo.split_off(at);
            let summed = |span| Summed {
                span,
                summary: self.shelf.summary(span, salt),
            };
            let spans = spans.into_iter().map(summed).collect();
            let message = |request| StoreMessage::Compare {
                request,
                salt,
                spans,
            };
            let request = self.request(now, &peer, Purpose::Compare(id), message);
            self.note_request(id, request);
        }
    }

    fn note_request(&mut self, id: u64, request: u64) {
        if let Some(session) = self.syncing.sessions.get_mut(&id) {
            session.request = Some(request);
        }
    }

    /// Answers a comparison.
    pub(super) fn on_compare(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        (salt, spans): (u64, Vec<Summed>),
    ) {
        if !self.may_ask(now, from) {
            return;
        }
        let (mut differences, mut left, mut listed) = (Vec::new(), Vec::new(), 0);
        for Summed { span, summary } in spans {
            let own = self.shelf.summary(span, salt);
            if own == summary {
                continue;
            }
            let count = usize::try_from(own.count).unwrap_or(usize::MAX);
            if count > LISTED_MAX {
                differences.push(Difference::Parts(self.shelf.parts(span, salt)));
            } else if listed + count > LISTED_ALL_MAX {
                left.push(span);
            } else {
                listed += count;
                let items = self.shelf.items(span);
                let records = items.map(|((key, id), version)| (key, id, version));
                let records = records.collect();
                differences.push(Difference::Listing { span, records });
            }
        }
        let message = StoreMessage::Compared {
            request,
            differences,
            left,
        };
        self.reply(from, message);
    }

    pub(super) fn on_compared(
        &mut self,
        now: Timestamp,
        id: u64,
        differences: Vec<Difference>,
        left: Vec<Span>,
    ) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        session.request = None;
        session.todo.extend(left);
        let (salt, mut lacking) = (session.salt, Vec::new());
        for difference in differences {
            match difference {
                Difference::Parts(parts) => {
                    let differs =
                        |part: &Summed| self.shelf.summary(part.span, salt) != part.summary;
                    let parts = parts.into_iter().filter(differs);
                    session.todo.extend(parts.map(|part| part.span));
                }
                Difference::Listing { span, records } => {
                    let theirs: BTreeMap<Spot, u64> = records
                        .into_iter()
                        .map(|(key, id, version)| ((key, id), version))
                        .collect();
                    let ours: BTreeMap<Spot, u64> = self.shelf.items(span).collect();
                    let newer = |spot: &Spot, version: u64, than: &BTreeMap<Spot, u64>| {
                        than.get(spot).is_none_or(|other| *other < version)
                    };
                    let wanted = theirs.iter();
                    let wanted = wanted.filter(|(spot, version)| newer(spot, **version, &ours));
                    session.wants.extend(wanted.map(|(spot, _)| *spot));
                    let lacked = ours.iter();
                    let lacked = lacked.filter(|(spot, version)| newer(spot, **version, &theirs));
                    lacking.extend(lacked.map(|(spot, _)| *spot));
                }
            }
        }
        let (pushes, marks) = self.pushed(now, &lacking);
        if let Some(session) = self.syncing.sessions.get_mut(&id) {
            session.pushes = pushes;
            session.marks = marks;
        }
        self.step_session(now, id);
    }

    fn pushed(&self, now: Timestamp, spots: &[Spot]) -> (Vec<Todo>, Vec<Mark>) {
        let (mut todo, mut marks) = (Vec::new(), Vec::new());
        for spot in spots {
            if spot.1 == RecordId(0) {
                marks.extend(self.shelf.mark(spot.0).cloned());
            } else if let (Some(posting), Some(place)) =
                (self.shelf.posting(*spot), self.shelf.place(spot.0))
                && !self.is_over(now, posting)
            {
                todo.push(Todo {
                    place: place.clone(),
                    record: posting.record.clone(),
                    age_s: self.age_s(now, posting),
                });
            }
        }
        (todo, marks)
    }

    /// Seconds since the publisher renewed it.
    pub(super) fn age_s(&self, now: Timestamp, posting: &Posting) -> u32 {
        let left = posting.until - now;
        let age = self.config.lease.saturating_sub(left);
        u32::try_from(age.as_secs()).unwrap_or(u32::MAX)
    }

    /// Hands out records that another node lacks.
    pub(super) fn on_fetch(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        spots: Vec<Spot>,
    ) {
        if !self.may_ask(now, from) {
            return;
        }
        let (todo, mut marks) = self.pushed(now, &spots);
        marks.truncate(MARKS_MAX);
        let mut load = Load {
            items: Vec::new(),
            marks,
        };
        let mut bytes = 0;
        for todo in todo {
            bytes += todo.record.wire_bytes() + todo.place.wire_bytes();
            if bytes > LOAD_BYTES_MAX && !load.items.is_empty() {
                break;
            }
            load.items.push(Item {
                record: todo.record,
                age_s: todo.age_s,
                places: vec![todo.place],
            });
        }
        let message = StoreMessage::Fetched {
            request,
            load: Box::new(load),
        };
        self.reply(from, message);
    }

    pub(super) fn on_fetched(&mut self, now: Timestamp, from: PeerId, id: u64, load: Load) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        session.request = None;
        let mut got: BTreeSet<Spot> = BTreeSet::new();
        for item in &load.items {
            let content = item.record.entry().content;
            let places = item.places.iter();
            got.extend(places.map(|place| (place.key(content), item.record.id())));
        }
        let marks = load.marks.iter();
        got.extend(marks.map(|mark| (mark.shard.key(&mark.word), RecordId(0))));
        let count = session.wants.len().min(ITEMS_MAX);
        let asked: Vec<Spot> = session.wants.drain(..count).collect();
        // What came is done, and the rest is asked for again; if nothing came,
        // there is no more.
        if asked.iter().any(|spot| got.contains(spot)) {
            let rest = asked.into_iter().filter(|spot| !got.contains(spot));
            session.wants.extend(rest);
        }
        // Nobody may slip in what was not asked for as something else.
        self.take_load(now, from, Mode::Copy, (load, true, true));
        self.step_session(now, id);
    }

    pub(super) fn on_pushed(&mut self, now: Timestamp, id: u64, is_whole: bool) {
        if let Some(session) = self.syncing.sessions.get_mut(&id) {
            session.is_pushing = false;
            if is_whole {
                self.step_session(now, id);
            } else {
                self.end_session(now, id, false);
            }
        }
    }

    /// A comparison is over.
    pub(super) fn end_session(&mut self, now: Timestamp, id: u64, is_whole: bool) {
        let Some(session) = self.syncing.sessions.remove(&id) else {
            return;
        };
        if !is_whole {
            return;
        }
        self.counters.compared += 1;
        let (from, to) = (session.from, session.to);
        match session.why {
            Why::Copies => {
                self.known.agree(now, from, to);
                self.send(session.peer, StoreMessage::Agreed { from, to });
            }
            Why::Stray => {
                self.let_go(now, (from, to));
                self.look_for_strays(now);
            }
        }
    }

    /// The owner of a stretch says that this peer has what it has.
    pub(super) fn on_agreed(&mut self, now: Timestamp, from: PeerId, (start, to): Spanned) {
        // It can only speak for its own, and that ends where it is.
        let ends_there = (0..VIRTUAL_NODES_MAX).any(|index| Position::of_peer(from, index) == to);
        if ends_there {
            self.known.agree(now, start, to);
        }
    }

    fn is_stray(&self, now: Timestamp, key: Position) -> bool {
        !self.known.owns(key) && !self.known.is_agreed(now, &self.config, key)
    }

    /// Brings what nobody speaks for to its owner.
    fn look_for_strays(&mut self, now: Timestamp) {
        if self.known.nodes.is_empty() || self.syncing.is_looking {
            return;
        }
        let from = self.syncing.stray_from;
        let keys = self.shelf.lists().map(|(key, _)| key);
        let marked = self.shelf.marks().map(|(key, _)| key);
        let stray = keys.chain(marked).filter(|key| self.is_stray(now, *key));
        let Some(key) = stray.min_by_key(|key| from.distance_to(*key)) else {
            return;
        };
        match self.known.way(now, &self.config, key) {
            Some(way) => self.go_stray_way(now, way),
            None => {
                self.syncing.is_looking = true;
                self.locate(key, Waiting::Stray(key));
            }
        }
    }

    pub(super) fn on_stray_way(&mut self, now: Timestamp, way: Option<Way>) {
        self.syncing.is_looking = false;
        if let Some(way) = way {
            self.go_stray_way(now, way);
        }
    }

    fn go_stray_way(&mut self, now: Timestamp, way: Way) {
        self.syncing.stray_from = way.to.plus(1);
        let mut owners = way.owners.into_iter();
        let is_copy = owners.clone().any(|owner| owner.peer == self.me);
        if let Some(owner) = owners.next().filter(|_| !is_copy) {
            self.start_session(now, Why::Stray, owner, (way.from, way.to));
        }
    }

    /// The owner has it all.
    fn let_go(&mut self, now: Timestamp, (from, to): Spanned) {
        let mut keys = BTreeSet::new();
        for span in spans(from, to) {
            keys.extend(self.shelf.items(span).map(|((key, _), _)| key));
        }
        for key in keys {
            if self.is_stray(now, key) {
                self.shelf.clear(key);
                self.shelf.drop_mark(key);
            }
        }
    }
}

/// A stretch of the ring.
type Spanned = (Position, Position);
