//! Maintenance: one operation at a time, each of which asks one node and then takes
//! one step of [`rules`](super::rules).
//!
//! While a node waits for an answer that will change its pointers it does not tell
//! of them: who asks gets `Busy` at once, and the answer after the step. That makes
//! a step atomic, as the proof wants it. Where everybody on the ring waits for the
//! next one, the one whose successor lies beyond the circle's beginning gives way.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::contact::{Contact, Entry};
use super::message::{Card, RingBody, State};
use super::requests::Reason;
use super::rules::{Next, Node as _, View, between};
use super::{Mode, Ring};

/// Questions that wait for the end of an operation; others are only told `Busy`.
// Guess: the predecessor, some newcomers, some that merge.
const QUESTIONS_MAX: usize = 16;
/// Times that an answer may be put off.
const PATIENCE: u8 = 20;
/// Operations that another node vouched for a silent one, after which that does not
/// count any more: it may live, but not for this node.
const DOUBTS_MAX: u8 = 4;
/// Pause after giving way, or after a hint.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `StabilizeFromSuccessor`.
    Successor,
    /// `StabilizeFromPredecessor`.
    Saved,
    /// `Rectify`.
    Rectify,
    /// A node of a ring that was apart.
    Merge,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) target: Contact,
    misses: u8,
    put_off: u8,
    /// What another node says.
    vouched: Option<bool>,
}

/// What waits for the end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) peer: PeerId,
    pub(super) index: u8,
    pub(super) nonce: u32,
    /// It wants to join.
    pub(super) newcomer: Option<Contact>,
}

/// Who answers, and what it says, as the rules want it.
pub(super) struct Heard {
    node: Entry,
    predecessor: Entry,
    successors: Vec<Entry>,
}

impl Heard {
    pub(super) fn new(from: Contact, state: State) -> Self {
        let node = Entry::Node(from);
        Self {
            predecessor: state.predecessor.map_or_else(|| node.clone(), Entry::Node),
            successors: state.successors,
            node,
        }
    }

    pub(super) fn view(&self) -> View<'_, Entry> {
        View {
            node: &self.node,
            predecessor: &self.predecessor,
            successors: &self.successors,
        }
    }
}

impl Ring {
    pub(super) fn on_timeout_stabilise(&mut self, now: Timestamp) {
        if self.timers.stabilise > now {
            return;
        }
        self.timers.stabilise = now + self.stabilise_pause();
        if matches!(self.mode, Mode::Ring) && self.operation.is_none() {
            self.begin_stabilise(now);
        }
    }

    /// Soon, but not at once: others are told the same.
    pub(super) fn stabilise_soon(&mut self, now: Timestamp) {
        if self.config.ring.is_maintained {
            let at = now + self.below(SHORT_PAUSE);
            self.timers.stabilise = self.timers.stabilise.min(at);
        }
    }

    pub(super) fn stabilise_now(&mut self, now: Timestamp) {
        if self.config.ring.is_maintained && self.operation.is_none() {
            self.begin_stabilise(now);
        }
    }

    fn begin_stabilise(&mut self, now: Timestamp) {
        self.was_rectified = false;
        for _ in 0..self.replicas() {
            match self.pointers.successors[0].clone() {
                Entry::Node(node) if !self.has_left(now, &node) => {
                    let is_gone = self.is_gone(now, &node);
                    self.begin(now, Kind::Successor, node);
                    if is_gone && let Some(operation) = &mut self.operation {
                        // It may be back in its place since: one question says so.
                        operation.misses = self.config.ring.misses.max(1) - 1;
                    }
                    return;
                }
                _ => self.drop_successor(),
            }
        }
        if self.successors().next().is_none() {
            self.on_lost(now);
        }
    }

    fn drop_successor(&mut self) {
        let _ = self.pointers.on_successor_dead();
        self.touch();
        self.tell_before();
    }

    /// The list changed: the node before this one has a copy of it.
    fn tell_before(&mut self) {
        if let Some(before) = self.predecessor().cloned()
            && !self.is_suspect(&before)
        {
            self.send(&before, RingBody::Hint);
        }
    }

    pub(super) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Begins an operation: asks its node. There must be none under way.
    pub(super) fn begin(&mut self, now: Timestamp, kind: Kind, target: Contact) {
        self.operation = Some(Box::new(Operation {
            kind,
            target,
            misses: 0,
            put_off: 0,
            vouched: None,
        }));
        self.ask_target(now);
    }

    fn ask_target(&mut self, now: Timestamp) {
        let Some(operation) = &self.operation else {
            return;
        };
        let (kind, target) = (operation.kind, operation.target.clone());
        self.ask(now, &target, Reason::Operation, |nonce| match kind {
            Kind::Rectify => RingBody::Ping { nonce, digest: 0 },
            Kind::Successor | Kind::Saved | Kind::Merge => RingBody::Ask { nonce },
        });
    }

    /// The operation's node was silent once more.
    pub(super) fn on_miss(&mut self, now: Timestamp) {
        let misses_max = self.config.ring.misses.max(1);
        let Some(operation) = &mut self.operation else {
            return;
        };
        operation.misses = operation.misses.saturating_add(1);
        let (misses, target) = (operation.misses, operation.target.clone());
        if misses < misses_max {
            if misses + 1 == misses_max {
                self.ask_another(now, &target);
            }
            self.ask_target(now);
        } else {
            self.judge(now);
        }
    }

    /// Whether the operation's node is dead, once it was silent often enough and
    /// whoever was asked about it has answered.
    pub(super) fn judge(&mut self, now: Timestamp) {
        let misses_max = self.config.ring.misses.max(1);
        let Some(operation) = &self.operation else {
            return;
        };
        let is_open = self.requests.any(|open| open.reason == Reason::Probe);
        if operation.misses < misses_max || is_open {
            return;
        }
        let vouched = operation.vouched == Some(true);
        if operation.kind == Kind::Merge {
            self.end_operation(now);
        } else if vouched && self.doubts < DOUBTS_MAX {
            self.doubts += 1;
            self.end_operation(now);
        } else {
            self.on_target_dead(now);
        }
    }

    /// Asks a node whether the silent one answers it.
    fn ask_another(&mut self, now: Timestamp, target: &Contact) {
        let near = self.successors().chain(self.predecessor());
        let others: Vec<Contact> = near
            .filter(|node| node.peer != target.peer && node.peer != self.me.peer)
            .take(4)
            .cloned()
            .collect();
        if others.is_empty() {
            return;
        }
        let helper = &others[self.pick(others.len())];
        let node = Box::new(target.clone());
        self.ask(now, helper, Reason::Probe, |nonce| RingBody::Probe {
            nonce,
            node,
        });
    }

    /// Somebody wants to know whether a node answers.
    pub(super) fn on_probe(
        &mut self,
        now: Timestamp,
        (peer, index): (PeerId, u8),
        (nonce, node): (u32, &Contact),
    ) {
        let near = self.successors().chain(self.predecessor());
        let known = near.into_iter().find(|known| *known == node).cloned();
        let is_for =
            |reason: &Reason| matches!(reason, Reason::ProbeFor(asker, ..) if *asker == peer);
        let is_asking = self.requests.any(|open| is_for(&open.reason));
        let Some(node) = known.filter(|_| !is_asking) else {
            let answers = None;
            self.reply(peer, index, RingBody::Probed { nonce, answers });
            return;
        };
        let digest = 0;
        let reason = Reason::ProbeFor(peer, index, nonce);
        self.ask(now, &node, reason, |nonce| RingBody::Ping { nonce, digest });
    }

    pub(super) fn on_probed(
        &mut self,
        now: Timestamp,
        sender: (PeerId, u8),
        (nonce, answers): (u32, Option<bool>),
    ) {
        let Some(request) = self.requests.take(now, nonce, sender) else {
            return;
        };
        if request.reason == Reason::Probe
            && let Some(operation) = &mut self.operation
        {
            operation.vouched = answers;
            self.judge(now);
        }
    }

    pub(super) fn on_busy(&mut self, now: Timestamp, sender: (PeerId, u8), nonce: u32) {
        let due = now + self.config.ring.request_timeout;
        if self.requests.extend(nonce, sender, due) != Some(&Reason::Operation) {
            return;
        }
        let Some(operation) = &mut self.operation else {
            return;
        };
        operation.put_off += 1;
        // It lives, whatever it is busy with: a chain of the dead takes it long.
        operation.misses = 0;
        operation.vouched = None;
        let wraps = operation.target.position < self.me.position;
        if operation.put_off > PATIENCE || (wraps && !self.questions.is_empty()) {
            self.counters.gave_way += 1;
            self.end_operation(now);
            self.stabilise_soon(now);
        }
    }

    /// The operation's node answered.
    pub(super) fn on_operation_answer(&mut self, now: Timestamp, from: Contact, state: State) {
        let Some(kind) = self.operation.as_ref().map(|operation| operation.kind) else {
            return;
        };
        self.doubts = 0;
        self.is_alive(from.peer, from.index);
        self.meet(now, &from);
        let before = self.pointers.successors.clone();
        let is_round = self.comes_round(&state);
        let heard = Heard::new(from, state);
        let next = match kind {
            Kind::Successor => Some(self.pointers.on_successor_answer(heard.view())),
            Kind::Saved => Some(self.pointers.on_saved_answer(heard.view())),
            Kind::Merge => self.pointers.merge(heard.view()),
            Kind::Rectify => None,
        };
        if self.pointers.successors != before {
            self.touch();
            self.tell_before();
            if self.pointers.successors[0] != before[0] {
                // There may be more between this node and the new one.
                self.stabilise_soon(now);
            }
        }
        if is_round && next.is_some() {
            self.operation = None;
            self.become_small(now);
            return;
        }
        self.go_on(now, next);
    }

    /// Whether the list that is about to be taken over ends at this node: there are
    /// at most r others.
    fn comes_round(&self, state: &State) -> bool {
        let r = self.replicas();
        let mut nodes = state.successors.iter().take(r - 1);
        nodes.any(|entry| entry.node().is_some_and(|node| *node == self.me))
    }

    fn go_on(&mut self, now: Timestamp, next: Option<Next<Entry>>) {
        match next {
            Some(Next::Ask(Entry::Node(saved))) if !self.is_gone(now, &saved) => {
                self.begin(now, Kind::Saved, saved);
            }
            Some(Next::Ask(_)) => {
                let next = self.pointers.on_saved_dead();
                self.go_on(now, Some(next));
            }
            Some(Next::Notify(Entry::Node(node))) => {
                let card = self.card();
                self.send(&node, RingBody::Notify(Box::new(card)));
                self.end_operation(now);
            }
            Some(Next::Notify(Entry::Padding(_))) | None => self.end_operation(now),
        }
    }

    fn card(&self) -> Card {
        let before = self.predecessor().map(|node| node.position);
        let known = self.predecessors.iter().copied().skip(1);
        let r = self.replicas();
        let nearest = before.into_iter().chain(known);
        Card {
            addresses: self.me.addresses.to_vec(),
            predecessors: nearest.take(r.saturating_sub(1)).collect(),
        }
    }

    /// The operation's node is dead, for certain.
    pub(super) fn on_target_dead(&mut self, now: Timestamp) {
        let Some(operation) = self.operation.take() else {
            return;
        };
        let Operation { kind, target, .. } = *operation;
        self.doubts = 0;
        self.counters.buried += 1;
        self.bury(now, &target);
        match kind {
            Kind::Successor => {
                // Looks at the next one at once, with the old one's questions answered.
                self.drop_successor();
                self.end_operation(now);
                if self.operation.is_none() && matches!(self.mode, Mode::Ring) {
                    self.begin_stabilise(now);
                }
            }
            Kind::Saved => {
                let next = self.pointers.on_saved_dead();
                self.go_on(now, Some(next));
            }
            Kind::Rectify => {
                self.rectify(now, false);
                self.end_operation(now);
            }
            Kind::Merge => self.end_operation(now),
        }
    }

    /// Nothing is under way any more: answers what waited, looks at who may be the
    /// predecessor.
    pub(super) fn end_operation(&mut self, now: Timestamp) {
        if self.operation.take().is_some() {
            self.requests
                .forget(|reason| matches!(reason, Reason::Operation | Reason::Probe));
        }
        // Given up halfway: nothing was adopted, so nothing is lost.
        self.pointers.saved = None;
        for question in std::mem::take(&mut self.questions) {
            self.answer(now, &question);
        }
        self.look_at_candidate(now);
    }

    fn look_at_candidate(&mut self, now: Timestamp) {
        if self.operation.is_some() || self.pointers.candidate.is_none() {
            return;
        }
        if !self.pointers.is_predecessor_in_doubt() {
            self.rectify(now, true);
            return;
        }
        let Some(before) = self.predecessor().cloned() else {
            self.rectify(now, false);
            return;
        };
        if self.is_gone(now, &before) {
            self.rectify(now, false);
        } else if !self.was_rectified {
            // Once between two stabilisations: else those who notify starve them.
            self.was_rectified = true;
            self.begin(now, Kind::Rectify, before);
        }
    }

    /// The step itself.
    pub(super) fn rectify(&mut self, now: Timestamp, predecessor_lives: bool) {
        let before = self.predecessor().cloned();
        if !self.pointers.rectify(predecessor_lives) {
            return;
        }
        self.touch();
        let nearer = self.pointers.predecessor.clone();
        if let Some(before) = before
            && !self.is_gone(now, &before)
            && between(&Entry::Node(before.clone()), &nearer, &self.pointers.me)
        {
            self.send(&before, RingBody::Hint);
        }
    }

    /// The predecessor's ping was answered. `digest` is 0 if it is on a ring.
    pub(super) fn on_predecessor_lives(&mut self, now: Timestamp, digest: u64) {
        if digest != 0 && now - self.ring_since >= self.patience() {
            // It lives, and has no place on this ring any more.
            self.on_target_dead(now);
            return;
        }
        self.doubts = 0;
        self.rectify(now, true);
        self.end_operation(now);
    }

    /// Somebody may be the predecessor.
    pub(super) fn on_notify(&mut self, now: Timestamp, (peer, index): (PeerId, u8), card: Card) {
        if !matches!(self.mode, Mode::Ring) {
            return;
        }
        let is_known = self.predecessor().is_some_and(|node| node.is(peer, index));
        if !is_known {
            let from = Contact::new(peer, index).with_addresses(&card.addresses);
            self.revive(&from);
            self.meet(now, &from);
            self.pointers.on_notify(Entry::Node(from));
            self.look_at_candidate(now);
        }
        if self.predecessor().is_some_and(|node| node.is(peer, index)) {
            self.learn_predecessors(&card);
        }
    }

    fn learn_predecessors(&mut self, card: &Card) {
        let here = self.me.position;
        let first = self.pointers.predecessor.position();
        let mut listed = vec![first];
        for position in &card.predecessors {
            let last = listed.last().copied().unwrap_or(first);
            if listed.len() >= self.replicas() || !position.is_between(here, last) {
                break;
            }
            listed.push(*position);
        }
        if self.predecessors != listed {
            self.predecessors = listed;
            self.touch();
        }
    }

    pub(super) fn on_hint(&mut self, now: Timestamp, (peer, index): (PeerId, u8)) {
        let is_ours = self
            .successors()
            .next()
            .is_some_and(|node| node.is(peer, index));
        if is_ours && now - self.hinted_at >= SHORT_PAUSE {
            self.hinted_at = now;
            self.stabilise_soon(now);
        }
    }

    /// A question about the own state.
    pub(super) fn on_ask(&mut self, now: Timestamp, (peer, index): (PeerId, u8), nonce: u32) {
        let question = Question {
            peer,
            index,
            nonce,
            newcomer: None,
        };
        self.meet_sender(now, (peer, index));
        self.answer_in_turn(now, question);
    }

    pub(super) fn answer_in_turn(&mut self, now: Timestamp, question: Question) {
        if self.operation.is_none() {
            self.answer(now, &question);
            return;
        }
        let nonce = question.nonce;
        self.reply(question.peer, question.index, RingBody::Busy { nonce });
        let is_asked =
            |known: &Question| known.peer == question.peer && known.index == question.index;
        self.questions.retain(|known| !is_asked(known));
        if self.questions.len() < QUESTIONS_MAX {
            self.questions.push(question);
        }
    }

    fn answer(&mut self, now: Timestamp, question: &Question) {
        let (peer, index, nonce) = (question.peer, question.index, question.nonce);
        let can = match &question.newcomer {
            Some(newcomer) => self.can_admit(newcomer),
            None => match &self.mode {
                Mode::Ring => true,
                Mode::Small(_) => self.is_about_to_follow(now, (peer, index)),
                Mode::Client | Mode::Left => false,
            },
        };
        let body = if can {
            let state = Box::new(self.state());
            RingBody::State { nonce, state }
        } else {
            RingBody::Refused { nonce }
        };
        self.reply(peer, index, body);
    }

    /// A question of somebody's lookup: answered at once.
    pub(super) fn on_look(&mut self, (peer, index): (PeerId, u8), nonce: u32) {
        let body = if self.is_member() {
            let state = Box::new(self.state());
            RingBody::State { nonce, state }
        } else {
            RingBody::Refused { nonce }
        };
        self.reply(peer, index, body);
    }
}
