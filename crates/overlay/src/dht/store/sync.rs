//! Comparing with others what is held, and exchanging what differs.
//!
//! The owner of a stretch of the ring compares with each of those that hold its
//! replicas: sums over the stretch; if they differ, sums over its parts, and so on
//! down to short lists of numbers. Then it gives what the other lacks and fetches
//! what it lacks itself. All state is the asker's; the other only answers.
//!
//! Whoever answers says what it is to the stretch, and whether it has everything of
//! it: so owners know whether they have (`custody`), and those who bring records
//! that belong to others know whether they brought them to the right one (`strays`).
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
use super::strays::{Bringing, Strays};
use super::{
    Contact, Difference, Item, Load, Mark, Mode, Position, RecordId, Span, Spot, Standing, Store,
    StoreMessage, Summed, Vouch,
};
use crate::flood::jittered;

/// Messages of one comparison beyond which it is given up.
// Guess: a million records of which all differ need some 4,000.
const ROUNDS_MAX: u32 = 10_000;
/// Comparisons at once.
pub(super) const SESSIONS_MAX: usize = 16;
/// Times that the pause doubles after which an owner compares again that is not
/// known to have everything.
const DOUBLED_MAX: u32 = 5;

/// Why two nodes compare.
#[derive(Debug)]
pub(super) enum Why {
    /// This peer owns the stretch, and the other holds replicas.
    Copies,
    /// The other owns it, and this one brings what it has of it.
    Stray(Bringing),
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Contact,
    pub(super) why: Why,
    pub(super) from: Position,
    pub(super) to: Position,
    salt: u64,
    pub(super) todo: Vec<Span>,
    request: Option<u64>,
    pushes: Vec<Todo>,
    marks: Vec<Mark>,
    wants: VecDeque<Spot>,
    /// Errands under way with what the other lacks.
    pub(super) errands: usize,
    /// One of them failed.
    pub(super) has_failed: bool,
    /// The other has no room for some of what it lacked.
    pub(super) is_full: bool,
    rounds: u32,
    /// The least that the other said of itself.
    vouch: Vouch,
}

impl Session {
    /// What it brings, if it does.
    pub(super) fn bringing(&mut self) -> Option<&mut Bringing> {
        match &mut self.why {
            Why::Stray(bringing) => Some(bringing),
            Why::Copies => None,
        }
    }
}

/// Comparisons, and when there will be more.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    pub(super) sessions: BTreeMap<u64, Session>,
    sync_at: Option<Timestamp>,
    /// Comparisons in a row after which not everything was known to be here.
    tries: u32,
    pub(super) strays: Strays,
}

impl Store {
    /// The neighbourhood changed: compare when it has settled.
    pub(super) fn on_change(&mut self, now: Timestamp) {
        if !self.known.has_others() || self.known.is_still {
            self.syncing.sync_at = None;
            return;
        }
        self.syncing.tries = 0;
        self.syncing.strays.try_again();
        self.sync_by(now, self.config.settle_delay);
        self.stray_by(now, self.config.settle_delay * 2);
    }

    fn sync_by(&mut self, now: Timestamp, wait: Duration) {
        let at = now + self.jittered(wait);
        let due = self.syncing.sync_at;
        self.syncing.sync_at = Some(due.map_or(at, |due| due.min(at)));
    }

    /// Between three and five quarters of it.
    pub(super) fn jittered(&mut self, duration: Duration) -> Duration {
        jittered(&mut self.rng, duration) + duration / 4
    }

    pub(super) fn sync_due(&self) -> Option<Timestamp> {
        let strays = self.syncing.strays.due();
        [self.syncing.sync_at, strays].into_iter().flatten().min()
    }

    pub(super) fn on_timeout_sync(&mut self, now: Timestamp) {
        if self.syncing.sync_at.is_some_and(|at| at <= now) {
            self.syncing.sync_at = None;
            self.sync_with(now, self.config.copies);
            let mut wait = self.config.sync_interval;
            if self.custody.is_open(now, &self.config) {
                let tries = self.syncing.tries;
                wait = wait.min(self.config.settle_delay * (2 << tries.min(DOUBLED_MAX)));
                self.syncing.tries = tries.saturating_add(1);
            }
            if !self.known.is_still {
                self.sync_by(now, wait);
            }
        }
        self.on_timeout_strays(now);
    }

    /// One that holds copies did not take some in time.
    pub(super) fn on_copies_lost(&mut self, now: Timestamp, peer: PeerId) {
        self.sync_by(now, self.config.settle_delay);
        self.on_copies_refused(peer);
    }

    /// One that holds copies lacks some: it is not to say that it has all.
    pub(super) fn on_copies_refused(&mut self, peer: PeerId) {
        for (from, to) in self.custody.on_copies_lost(peer) {
            let mut nodes = self.known.nodes.iter();
            let node = nodes.find(|node| node.me.position == to);
            let replica = node.and_then(|node| {
                let mut after = node.successors.iter();
                after.find(|replica| replica.peer == peer).cloned()
            });
            if let Some(replica) = replica {
                self.send(replica, StoreMessage::Lapsed { from, to });
            }
        }
    }

    /// Compares all own stretches with all that hold replicas of them; where nobody
    /// vouched for them yet, with more: those who held them before may be farther
    /// away.
    fn sync_with(&mut self, now: Timestamp, copies: usize) {
        let mut due = Vec::new();
        let tries = usize::try_from(self.syncing.tries).unwrap_or(usize::MAX);
        for node in &self.known.nodes {
            let copies = match self.custody.wants(now, node.me.position) {
                None => copies,
                Some(false) => copies.saturating_add(tries),
                Some(true) => usize::MAX,
            };
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
        self.syncing.strays.stop();
        self.sync_with(now, self.config.copies + 1);
    }

    /// False if there are too many already, or the same.
    pub(super) fn start_session(
        &mut self,
        now: Timestamp,
        why: Why,
        peer: Contact,
        (from, to): (Position, Position),
    ) -> bool {
        let same =
            |session: &Session| session.peer == peer && (session.from, session.to) == (from, to);
        let sessions = &self.syncing.sessions;
        if sessions.len() >= SESSIONS_MAX || sessions.values().any(same) || peer.peer == self.me {
            return false;
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
            errands: 0,
            has_failed: false,
            is_full: false,
            rounds: 0,
            vouch: Vouch::Yes,
        };
        let id = self.id();
        self.syncing.sessions.insert(id, session);
        self.step_session(now, id);
        true
    }

    /// The next thing to do of a comparison.
    pub(super) fn step_session(&mut self, now: Timestamp, id: u64) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        if session.request.is_some() || session.errands > 0 {
            return;
        }
        session.rounds += 1;
        if session.rounds > ROUNDS_MAX {
            self.end_session(now, id, false);
            return;
        }
        let peer = session.peer.clone();
        if !session.pushes.is_empty() || !session.marks.is_empty() {
            session.errands += 1;
            let todo = std::mem::take(&mut session.pushes);
            let marks = std::mem::take(&mut session.marks);
            let mode = match session.why {
                Why::Copies => Mode::Copy,
                Why::Stray(_) => Mode::Create,
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
            if !self.goes_over_it_again(id) {
                self.end_session(now, id, true);
            } else {
                self.step_session(now, id);
            }
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
        let stretches: Vec<Span> = spans.iter().map(|summed| summed.span).collect();
        let standing = self.standing(now, from, &stretches);
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
            standing,
        };
        self.reply(from, message);
    }

    /// What this peer is to stretches that another one asks about.
    fn standing(&self, now: Timestamp, asker: PeerId, spans: &[Span]) -> Standing {
        let owner = |span: &Span| {
            let (first, last) = (span.first.0, span.last.0);
            self.known.nodes.iter().find(|node| {
                let before = node.predecessor.as_ref();
                let start = before.map_or(node.me.position, |node| node.position);
                let is_in_order = start.distance_to(first) <= start.distance_to(last);
                node.owns(first) && node.owns(last) && is_in_order
            })
        };
        let copies = self.config.copies;
        let has_copy = |span: &Span| {
            owner(span).is_some_and(|node| {
                let replicas = node.replicas(copies);
                replicas.iter().any(|replica| replica.peer == asker)
            })
        };
        Standing {
            is_owner: spans.iter().all(|span| owner(span).is_some()),
            is_replica: spans.iter().all(has_copy),
            vouch: self.custody.vouch(now, &self.config, spans),
        }
    }

    pub(super) fn on_compared(
        &mut self,
        now: Timestamp,
        id: u64,
        (differences, left): (Vec<Difference>, Vec<Span>),
        standing: Standing,
    ) {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return;
        };
        session.request = None;
        session.todo.extend(left);
        session.vouch = session.vouch.min(standing.vouch);
        if let Why::Stray(bringing) = &mut session.why
            && !bringing.is_welcome(standing)
        {
            self.on_wrong_owner(now, id);
            return;
        }
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
                    // Who brings records needs none, but for notes on where they belong.
                    let is_bringing = matches!(session.why, Why::Stray(_));
                    let wanted = wanted
                        .filter(|(spot, version)| newer(spot, **version, &ours))
                        .filter(|(spot, _)| !is_bringing || spot.1 == RecordId(0));
                    session.wants.extend(wanted.map(|(spot, _)| *spot));
                    let lacked = ours.iter();
                    let lacked = lacked.filter(|(spot, version)| newer(spot, **version, &theirs));
                    lacking.extend(lacked.map(|(spot, _)| *spot));
                }
            }
        }
        if let Why::Stray(bringing) = &mut session.why {
            bringing.lacks(&mut lacking);
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
        self.take_load(now, from, (Mode::Copy, 0), (load, true, true));
        self.step_session(now, id);
    }

    /// A comparison is over.
    pub(super) fn end_session(&mut self, now: Timestamp, id: u64, is_whole: bool) {
        let Some(session) = self.syncing.sessions.remove(&id) else {
            return;
        };
        if !is_whole {
            match session.why {
                Why::Copies => {
                    let stretch = (session.from, session.to);
                    self.on_copies_compared(now, &session.peer, stretch, (None, false));
                }
                Why::Stray(_) => self.on_not_brought(now),
            }
            return;
        }
        self.counters.compared += 1;
        match session.why {
            Why::Copies => {
                let outcome = (Some(session.vouch), session.is_full);
                self.on_copies_compared(now, &session.peer, (session.from, session.to), outcome);
            }
            Why::Stray(bringing) => {
                self.on_brought(now, session.peer, (session.from, session.to), bringing);
            }
        }
    }
}

/// A stretch of the ring.
pub(super) type Spanned = (Position, Position);
