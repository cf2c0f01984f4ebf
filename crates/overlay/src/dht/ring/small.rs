//! A network of at most r + 1 nodes: everybody knows everybody, and the pointers
//! are what they ideally are. When there are more, and all agree who is there, they
//! are a ring.
//!
//! The proof wants a ring to begin with r + 1 nodes in ideal order; grown from one
//! by joining, it can break. A peer that is told of nobody is such a network too,
//! and a newcomer one that has not met the others yet.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::contact::{Contact, Entry};
use super::message::{MEMBERS_MAX, Members, RingBody};
use super::requests::Reason;
use super::rules::Pointers;
use super::{Mode, Ring};

/// Peers greeted at once.
const GREETED_MAX: usize = 4;

#[derive(Debug)]
struct Member {
    contact: Contact,
    misses: u8,
    /// The last that was heard of it: it knows the same members.
    agrees: bool,
    /// It is on a ring already, since when.
    on_ring: Option<Timestamp>,
}

/// The others, by place on the ring.
#[derive(Debug, Default)]
pub(super) struct Small {
    members: Vec<Member>,
    tries: u8,
    /// Since when there are enough for a ring, though not all agree.
    enough_since: Option<Timestamp>,
    /// When somebody last said that it is on a ring, who was none of these.
    ring_heard_at: Option<Timestamp>,
    /// Since when this node looks for a place on a ring.
    pub(super) joining_since: Option<Timestamp>,
}

impl Small {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn has(&self, peer: PeerId, index: u8) -> bool {
        self.members
            .iter()
            .any(|known| known.contact.is(peer, index))
    }

    fn at(&mut self, peer: PeerId, index: u8) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|known| known.contact.is(peer, index))
    }
}

impl Ring {
    /// All others of a network too small for a ring are these.
    pub(super) fn settle_small(&mut self, others: Vec<Contact>) {
        let members = others.into_iter().map(|contact| Member {
            contact,
            misses: 0,
            agrees: true,
            on_ring: None,
        });
        let small = Small {
            members: members.collect(),
            ..Small::default()
        };
        self.mode = Mode::Small(Box::new(small));
        self.point();
    }

    /// The ring has shrunk: all that are left know each other.
    pub(super) fn become_small(&mut self, now: Timestamp) {
        let near = self.successors().chain(self.predecessor()).cloned();
        let mut others: Vec<Contact> = Vec::new();
        for contact in near {
            if contact != self.me && !others.contains(&contact) && !self.is_gone(now, &contact) {
                others.push(contact);
            }
        }
        self.settle_small(others);
        self.timers.stabilise = now;
        // There may be others that are out of sight of this ring.
        self.timers.greet = now + self.spread(self.config.ring.merge_interval);
        self.end_operation(now);
    }

    /// All successors are gone: a newcomer again, who knows some peers.
    pub(super) fn on_lost(&mut self, now: Timestamp) {
        self.counters.lost += 1;
        self.settle_small(Vec::new());
        self.timers.greet = now;
        self.end_operation(now);
    }

    /// Puts the pointers where they ideally are.
    fn point(&mut self) {
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        small.members.sort_by_key(|known| known.contact.position);
        let place = small
            .members
            .partition_point(|known| known.contact.position < self.me.position);
        let mut nodes: Vec<Entry> = small
            .members
            .iter()
            .map(|known| Entry::Node(known.contact.clone()))
            .collect();
        nodes.insert(place, Entry::Node(self.me.clone()));
        let r = self.replicas();
        self.pointers = Pointers::ideal(&nodes, place, r);
        let count = nodes.len();
        let before = (1..count).map(|step| &nodes[(place + count - step) % count]);
        self.predecessors = before.take(r).map(super::rules::Node::position).collect();
        self.touch();
    }

    /// What tells sets of members apart; never 0.
    fn digest(&self) -> u64 {
        let Mode::Small(small) = &self.mode else {
            return 0;
        };
        let all = small.members.iter().map(|known| known.contact.position);
        let sum = all
            .chain([self.me.position])
            .fold(0_u128, |sum, place| sum.wrapping_add(place.0));
        u64::try_from(sum >> 64).unwrap_or(0).max(1)
    }

    pub(super) fn on_timeout_small(&mut self, now: Timestamp) {
        if !matches!(self.mode, Mode::Small(_)) {
            if !matches!(self.mode, Mode::Client) || self.timers.greet > now {
                return;
            }
            self.timers.greet = Timestamp::MAX;
            return;
        }
        if self.timers.greet <= now {
            self.greet_seeds(now);
        }
        if self.timers.stabilise <= now {
            self.timers.stabilise = now + self.stabilise_pause();
            self.ping_members(now);
        }
        self.grow_up(now);
    }

    /// Says hello to some that are not members: while alone often, else now and then.
    fn greet_seeds(&mut self, now: Timestamp) {
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        small.tries = small.tries.saturating_add(1);
        let tries = small.tries;
        let is_alone = small.members.is_empty();
        let mut strangers: Vec<Contact> = Vec::new();
        let passive = self.passive.iter().map(|passive| &passive.contact);
        for contact in self.seeds.iter().chain(passive).chain(&self.book) {
            let known = small.has(contact.peer, contact.index) || *contact == self.me;
            if !known && !strangers.contains(contact) {
                strangers.push(contact.clone());
            }
        }
        for _ in 0..GREETED_MAX.min(strangers.len()) {
            let chosen = self.pick(strangers.len());
            let stranger = strangers.swap_remove(chosen);
            self.greet(now, &stranger);
        }
        let pause = self.config.ring.merge_interval;
        let pause = if is_alone {
            pause / 4 * u32::from(tries.min(4))
        } else {
            pause
        };
        self.timers.greet = now + self.spread(pause);
    }

    fn greet(&mut self, now: Timestamp, to: &Contact) {
        let is_asked = self
            .requests
            .any(|open| open.reason == Reason::Greet && open.to == *to);
        if !is_asked {
            let members = self.members(true);
            self.ask(now, to, Reason::Greet, |nonce| {
                RingBody::Members(Box::new(Members { nonce, ..members }))
            });
        }
    }

    /// Who is there, as far as is known.
    fn members(&self, wants_answer: bool) -> Members {
        let members = match &self.mode {
            Mode::Small(small) => {
                let all = small.members.iter().take(MEMBERS_MAX);
                all.map(|known| known.contact.clone()).collect()
            }
            _ => Vec::new(),
        };
        Members {
            nonce: 0,
            wants_answer,
            is_small: self.is_small(),
            addresses: self.me.addresses.to_vec(),
            members,
        }
    }

    fn ping_members(&mut self, now: Timestamp) {
        let Mode::Small(small) = &self.mode else {
            return;
        };
        let all: Vec<Contact> = small
            .members
            .iter()
            .map(|known| known.contact.clone())
            .collect();
        for contact in all {
            self.ping_member(now, &contact);
        }
    }

    fn ping_member(&mut self, now: Timestamp, to: &Contact) {
        let is_asked = self
            .requests
            .any(|open| open.reason == Reason::Member && open.to == *to);
        if !is_asked {
            let digest = self.digest();
            self.ask(now, to, Reason::Member, |nonce| RingBody::Ping {
                nonce,
                digest,
            });
        }
    }

    pub(super) fn on_member_miss(&mut self, now: Timestamp, to: &Contact) {
        let misses_max = self.config.ring.misses.max(1);
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        let Some(member) = small.at(to.peer, to.index) else {
            return;
        };
        member.misses += 1;
        if member.misses < misses_max {
            self.ping_member(now, to);
            return;
        }
        self.counters.buried += 1;
        self.bury(now, to);
        self.lose_member(now, to);
    }

    /// One is not there any more.
    pub(super) fn lose_member(&mut self, now: Timestamp, gone: &Contact) {
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        let before = small.members.len();
        small.members.retain(|known| known.contact != *gone);
        if small.members.len() != before {
            self.on_members_changed(now);
        }
    }

    fn on_members_changed(&mut self, now: Timestamp) {
        if let Mode::Small(small) = &mut self.mode {
            small
                .members
                .iter_mut()
                .for_each(|known| known.agrees = false);
            if small.members.is_empty() {
                small.tries = 0;
                self.timers.greet = now;
            }
        }
        self.point();
        // Whoever has been told too little says so in its answer.
        self.stabilise_soon(now);
    }

    pub(super) fn on_ping(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        (nonce, digest): (u32, u64),
    ) {
        let answer = self.digest();
        if !matches!(self.mode, Mode::Left) {
            let digest = answer;
            self.reply(peer, index, RingBody::Pong { nonce, digest });
        }
        self.compare(now, (peer, index), digest);
    }

    pub(super) fn on_pong(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        (nonce, digest): (u32, u64),
    ) {
        let Some(request) = self.requests.take(now, nonce, (peer, index)) else {
            return;
        };
        match request.reason {
            Reason::Operation => self.on_predecessor_lives(now, digest),
            Reason::ProbeFor(asker, index, nonce) => {
                let answers = Some(true);
                self.reply(asker, index, RingBody::Probed { nonce, answers });
            }
            Reason::Member => {
                if let Mode::Small(small) = &mut self.mode
                    && let Some(member) = small.at(peer, index)
                {
                    member.misses = 0;
                }
                self.compare(now, (peer, index), digest);
            }
            _ => {}
        }
    }

    /// What another knows, compared with what is known here.
    fn compare(&mut self, now: Timestamp, (peer, index): (PeerId, u8), digest: u64) {
        let ours = self.digest();
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        let Some(member) = small.at(peer, index) else {
            if digest != 0 {
                self.greet(now, &Contact::new(peer, index));
            }
            return;
        };
        if digest == 0 {
            // If it agreed before it went, its ring is of these very nodes.
            member.on_ring.get_or_insert(now);
        } else {
            member.agrees = digest == ours;
            member.on_ring = None;
        }
        if digest != ours {
            let contact = member.contact.clone();
            self.greet(now, &contact);
        }
        self.grow_up(now);
    }

    /// Somebody says who is there.
    pub(super) fn on_members(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        told: Members,
    ) {
        let is_answer = !told.wants_answer
            && self
                .requests
                .take(now, told.nonce, (peer, index))
                .is_some_and(|request| request.reason == Reason::Greet);
        if told.wants_answer && !matches!(self.mode, Mode::Left) {
            let members = self.members(false);
            let nonce = told.nonce;
            let answer = Members { nonce, ..members };
            self.reply(peer, index, RingBody::Members(Box::new(answer)));
        }
        if index == super::CLIENT || !(is_answer || told.wants_answer) {
            return;
        }
        let from = Contact::new(peer, index).with_addresses(&told.addresses);
        if from == self.me {
            return;
        }
        self.revive(&from);
        self.meet(now, &from);
        match (&mut self.mode, told.is_small) {
            (Mode::Small(_), true) => self.on_small_heard(now, &from, told.members),
            (Mode::Small(small), false) => match small.at(peer, index) {
                Some(member) => {
                    member.on_ring.get_or_insert(now);
                    self.grow_up(now);
                }
                None => self.on_ring_heard(now, from),
            },
            _ => {}
        }
    }

    /// There is a ring already, and one is enough: the others here are told of it as
    /// well, so that they join it too.
    fn on_ring_heard(&mut self, now: Timestamp, via: Contact) {
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        if small.ring_heard_at.replace(now).is_none() {
            let members = small.members.iter().map(|known| known.contact.clone());
            for member in members.collect::<Vec<_>>() {
                let node = Box::new(via.clone());
                self.send(&member, RingBody::Meet { node });
            }
        }
        self.begin_joining(now, via);
    }

    /// Whether there is another ring, to be joined and not to be repeated.
    fn knows_ring(&self, now: Timestamp) -> bool {
        let heard = match &self.mode {
            Mode::Small(small) => small.ring_heard_at,
            _ => None,
        };
        heard.is_some_and(|at| now - at < self.patience())
    }

    /// A node of a small network: one of ours from now on, with whom it knows once
    /// they are heard from.
    fn on_small_heard(&mut self, now: Timestamp, from: &Contact, told: Vec<Contact>) {
        if let Some(joining) = self.joining.as_deref()
            && self.knows_ring(now)
        {
            let node = Box::new(joining.via.clone());
            self.send(from, RingBody::Meet { node });
            return;
        }
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        match small.at(from.peer, from.index) {
            Some(member) => {
                member.misses = 0;
                member.on_ring = None;
                member.contact.set_addresses(&from.addresses);
            }
            None => {
                if small.members.len() >= MEMBERS_MAX {
                    return;
                }
                small.members.push(Member {
                    contact: from.clone(),
                    misses: 0,
                    agrees: false,
                    on_ring: None,
                });
                self.on_members_changed(now);
            }
        }
        for contact in told {
            let Mode::Small(small) = &self.mode else {
                return;
            };
            let is_known = small.has(contact.peer, contact.index) || contact == self.me;
            if !is_known && !self.is_gone(now, &contact) {
                self.greet(now, &contact);
            }
        }
    }

    /// There is somebody on a ring, as others have heard.
    pub(super) fn meet_ring(&mut self, now: Timestamp, node: &Contact) {
        let Mode::Small(small) = &self.mode else {
            return;
        };
        if !small.has(node.peer, node.index) && *node != self.me && !self.is_gone(now, node) {
            self.greet(now, node);
        }
    }

    /// Time in which all members of a small network come to be a ring, if they do.
    pub(super) fn patience(&self) -> Duration {
        self.config.ring.stabilise_max * 2
    }

    /// Whether this member has gone ahead to be a ring with all the others. Whoever is
    /// left behind for good is none of that ring: its lists would be taken for those
    /// of a ring that has shrunk. So is whoever has looked for a place on one for long:
    /// where many do, those on the ring take each other for small again and again.
    pub(super) fn is_about_to_follow(&self, now: Timestamp, (peer, index): (PeerId, u8)) -> bool {
        let Mode::Small(small) = &self.mode else {
            return false;
        };
        let mut members = small.members.iter();
        let asker = members.find(|known| known.contact.is(peer, index));
        let is_early = |known: &Member| {
            known
                .on_ring
                .is_none_or(|since| now - since < self.patience())
        };
        let is_early_itself = small
            .joining_since
            .is_none_or(|since| now - since < self.patience());
        let is_whole = small.members.len() >= self.replicas();
        is_whole && is_early_itself && asker.is_some_and(is_early)
    }

    /// A ring, as soon as there are enough for one and all agree who is there.
    fn grow_up(&mut self, now: Timestamp) {
        let r = self.replicas();
        let patience = self.patience();
        let is_only_one = !self.knows_ring(now);
        let Mode::Small(small) = &mut self.mode else {
            return;
        };
        // Members that have been on a ring for long will not come back.
        let is_settled = |at: Timestamp| now - at >= patience;
        let settled = small
            .members
            .iter()
            .find(|known| known.on_ring.is_some_and(is_settled));
        let on_ring = small.members.iter().find(|known| known.on_ring.is_some());
        let enough = small.members.len() >= r;
        let agreed = small
            .members
            .iter()
            .all(|known| known.agrees && known.misses == 0);
        if !enough {
            small.enough_since = None;
        }
        let since = enough.then(|| *small.enough_since.get_or_insert(now));
        let is_crowded = small.members.len() >= MEMBERS_MAX
            || since.is_some_and(|since| now - since >= patience);
        if enough && (agreed || is_crowded) && is_only_one {
            self.become_ring(now);
            return;
        }
        if let Some(via) = settled.or(on_ring.filter(|_| enough)) {
            let via = via.contact.clone();
            self.begin_joining(now, via);
        }
    }

    /// The pointers are what they ideally are already.
    fn become_ring(&mut self, now: Timestamp) {
        let everybody = match std::mem::replace(&mut self.mode, Mode::Ring) {
            Mode::Small(small) => small.members,
            _ => Vec::new(),
        };
        self.requests
            .forget(|reason| matches!(reason, Reason::Member | Reason::Greet));
        for member in everybody {
            self.meet(now, &member.contact);
        }
        self.on_ring_entered(now);
    }
}
