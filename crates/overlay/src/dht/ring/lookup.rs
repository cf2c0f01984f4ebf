//! One lookup: whom to ask next, and what to make of the answers. No messages, no
//! timers.

mod confirm;

use std::time::Duration;

use gannet_base::Timestamp;

use super::contact::Contact;
use super::message::Step;
use super::{Found, Suspicion};
use crate::dht::api::LookupCost;
use crate::dht::position::Position;
use confirm::Confirming;

/// Most nodes that one lookup considers.
// Guess: a hundred hops.
const CANDIDATES_MAX: usize = 256;
/// Questions after which a lookup settles for what it has.
// Guess: half of a large network is dead, and a third lies.
const MESSAGES_MAX: u32 = 400;
/// Nodes that led nowhere after which a way ends, if there are others.
const DEAD_ENDS_MAX: u8 = 3;
/// Claims found wanting below one node, after which everything it told is.
const BLAME_MAX: u8 = 2;

/// Whom a lookup is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The layer above, and its number.
    Caller(u64),
    /// The finger with this number.
    Finger(u8),
    /// A place to join.
    Join,
    /// The first node after this one, in the ring of another.
    After,
    /// Where this node of another ring belongs in this one.
    Place(Box<Contact>),
}

#[derive(Debug)]
struct Candidate {
    contact: Contact,
    depth: u8,
    path: u8,
    /// Which candidate told of it.
    teller: Option<usize>,
    is_asked: bool,
    is_failed: bool,
    blame: u8,
    answer: Option<Box<Answer>>,
}

impl Candidate {
    fn new(contact: Contact, (depth, path, teller): (u8, u8, Option<usize>)) -> Self {
        Self {
            contact,
            depth,
            path,
            teller,
            is_asked: false,
            is_failed: false,
            blame: 0,
            answer: None,
        }
    }
}

#[derive(Debug)]
struct Answer {
    /// The farthest from the key of those that it told of.
    floor: Position,
    /// There may be more before that.
    has_more: bool,
    owners: Vec<Contact>,
}

/// Where one way ended.
#[derive(Debug, Clone)]
struct Claim {
    predecessor: Contact,
    depth: u8,
    owners: Vec<Contact>,
}

#[derive(Debug, Default)]
struct Path {
    claim: Option<Claim>,
    /// The best of the claims found wanting.
    doubtful: Option<Claim>,
    is_done: bool,
    hedge_at: Option<Timestamp>,
    /// Nodes that led nowhere.
    dead_ends: u8,
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The way to the key: the candidate's number, who it is, and the bound.
    Find(usize, Contact, Position),
    /// What it knows of its place.
    Look(Contact),
}

#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) number: u32,
    pub(super) purpose: Purpose,
    pub(super) key: Position,
    pub(super) started: Timestamp,
    pub(super) cost: LookupCost,
    confirms: bool,
    /// An answer with so many owners is the last.
    enough: usize,
    /// Chooses among nodes that will do equally.
    draw: usize,
    candidates: Vec<Candidate>,
    paths: Vec<Path>,
    confirming: Option<Box<Confirming>>,
}

impl Lookup {
    pub(super) fn new(
        (number, purpose): (u32, Purpose),
        key: Position,
        now: Timestamp,
        (paths, confirms): (u8, bool),
    ) -> Self {
        Self {
            number,
            purpose,
            key,
            started: now,
            cost: LookupCost::default(),
            confirms: confirms || paths > 1,
            enough: usize::MAX,
            draw: 0,
            candidates: Vec::new(),
            paths: (0..paths.max(1)).map(|_| Path::default()).collect(),
            confirming: None,
        }
    }

    /// Who tells of so many nodes from the owner on is near enough: what lies between
    /// itself and the key it tells of as well. A lookup that confirms its owner, as one of
    /// several ways does, goes on to the end. Any number `draw` chooses whom to ask of those
    /// who will do equally.
    pub(super) fn settle_for(&mut self, owners: usize, draw: usize) {
        if !self.confirms {
            (self.enough, self.draw) = (owners.max(1), draw);
        }
    }

    /// Begins with what the asking node knows itself, if it is one: it is the first
    /// step of every way, and can be asked for more.
    pub(super) fn begin(&mut self, me: Option<&Contact>, step: Step) {
        let ways = u8::try_from(self.paths.len()).unwrap_or(u8::MAX);
        let farthest = step.closer.last().map_or(self.key, |last| last.position);
        for path in 0..ways {
            if let Some(me) = me {
                self.candidates.push(Candidate {
                    answer: Some(Box::new(Answer {
                        floor: farthest,
                        has_more: !step.closer.is_empty(),
                        owners: step.owners.clone(),
                    })),
                    ..Candidate::new(me.clone(), (0, path, None))
                });
            }
        }
        for (contact, path) in step.closer.into_iter().zip((0..ways).cycle()) {
            self.add(contact, (1, path, None));
        }
    }

    fn add(&mut self, contact: Contact, (depth, path, teller): (u8, u8, Option<usize>)) {
        let is_known = |known: &Candidate| known.contact == contact;
        if self.candidates.len() < CANDIDATES_MAX && !self.candidates.iter().any(is_known) {
            let candidate = Candidate::new(contact, (depth, path, teller));
            self.candidates.push(candidate);
        }
    }

    fn left(&self, contact: &Contact) -> u128 {
        contact.position.distance_to(self.key)
    }

    /// The nearest to the key on a way, of those that are so.
    fn nearest(&self, path: usize, is_so: impl Fn(&Candidate) -> bool) -> Option<usize> {
        let all = self.candidates.iter().enumerate();
        let ours = all.filter(|(_, known)| {
            usize::from(known.path) == path && !known.is_failed && is_so(known)
        });
        ours.min_by_key(|(_, known)| self.left(&known.contact))
            .map(|(place, _)| place)
    }

    /// What to send next, until there is nothing more for now.
    pub(super) fn next(
        &mut self,
        now: Timestamp,
        (alpha, hedge_after): (usize, Duration),
        suspicion: &Suspicion,
    ) -> Option<Ask> {
        if let Some(confirming) = &mut self.confirming {
            return confirming.next().map(Ask::Look);
        }
        let is_spent = self.cost.messages >= MESSAGES_MAX;
        for path in 0..self.paths.len() {
            self.paths[path].is_done |= is_spent;
            while !self.paths[path].is_done {
                let in_flight = self
                    .candidates
                    .iter()
                    .filter(|known| usize::from(known.path) == path && known.is_asked)
                    .count();
                let is_late = self.paths[path].hedge_at.is_some_and(|at| at <= now);
                if in_flight >= alpha.max(1) && !is_late {
                    break;
                }
                if let Some(ask) = self.choose(path, in_flight > 0) {
                    self.paths[path].hedge_at = Some(now + hedge_after);
                    return Some(ask);
                }
                if in_flight > 0 {
                    self.paths[path].hedge_at = None;
                    break;
                }
                if !self.paths[path].is_done {
                    self.end_path(path, suspicion);
                }
            }
        }
        if self.paths.iter().all(|path| path.is_done) {
            return self.confirm();
        }
        None
    }

    /// The next to be asked on a way; nothing if it has to wait, or is at its end.
    fn choose(&mut self, path: usize, is_waiting: bool) -> Option<Ask> {
        loop {
            let answered = self.nearest(path, |known| known.answer.is_some() && !known.is_asked);
            let fresh = self.nearest(path, |known| known.answer.is_none() && !known.is_asked);
            let reached = answered.map(|place| self.left(&self.candidates[place].contact));
            let is_closer = |left: u128| reached.is_none_or(|reached| left < reached);
            let owners = answered.and_then(|place| self.candidates[place].answer.as_deref());
            let is_near = owners.is_some_and(|answer| answer.owners.len() >= self.enough);
            if is_near {
                return None;
            }
            if let Some(place) = fresh
                && is_closer(self.left(&self.candidates[place].contact))
            {
                let place = self.one_of_the_last(answered, place);
                self.candidates[place].is_asked = true;
                let contact = self.candidates[place].contact.clone();
                return Some(Ask::Find(place, contact, self.key));
            }
            let place = answered.filter(|_| !is_waiting)?;
            let known = &mut self.candidates[place];
            let answer = known.answer.as_deref()?;
            if answer.has_more {
                known.is_asked = true;
                return Some(Ask::Find(place, known.contact.clone(), answer.floor));
            }
            if !answer.owners.is_empty() {
                return None;
            }
            // It knows nobody that lives between itself and the key, nor beyond; or the
            // other ways have them all.
            known.is_failed = true;
            self.paths[path].dead_ends = self.paths[path].dead_ends.saturating_add(1);
            if self.paths.len() > 1 && self.paths[path].dead_ends >= DEAD_ENDS_MAX {
                self.paths[path].is_done = true;
                return None;
            }
        }
    }

    /// In place of the nearest, one of those that the last one to answer told of, if that one
    /// also told of owners: then these are all nodes up to the key, and each of them knows
    /// more owners. The nearest are asked by everybody where the gap behind them is wide.
    fn one_of_the_last(&self, answered: Option<usize>, nearest: usize) -> usize {
        let has_owners = |place: &usize| {
            let answer = self.candidates[*place].answer.as_deref();
            answer.is_some_and(|answer| !answer.owners.is_empty())
        };
        let teller = answered.filter(|place| self.enough < usize::MAX && has_owners(place));
        if teller.is_none() || self.candidates[nearest].teller != teller {
            return nearest;
        }
        let is_open = |known: &Candidate| {
            known.teller == teller && known.answer.is_none() && !known.is_asked && !known.is_failed
        };
        let all = self.candidates.iter().enumerate();
        let last: Vec<usize> = all
            .filter(|(_, known)| is_open(known))
            .map(|(place, _)| place)
            .collect();
        let drawn = last.get(self.draw % last.len().max(1));
        drawn.copied().unwrap_or(nearest)
    }

    /// Nothing is left to be asked on this way.
    fn end_path(&mut self, path: usize, suspicion: &Suspicion) {
        let Some(place) = self.nearest(path, |known| known.answer.is_some()) else {
            let way = &mut self.paths[path];
            way.claim = way.doubtful.take();
            way.is_done = true;
            return;
        };
        let known = &self.candidates[place];
        let claim = Claim {
            predecessor: known.contact.clone(),
            depth: known.depth,
            owners: known
                .answer
                .as_ref()
                .map_or_else(Vec::new, |answer| answer.owners.clone()),
        };
        if suspicion.is_wanting(self.key, &claim.owners) {
            self.doubt(path, place, claim);
        } else {
            self.paths[path].claim = Some(claim);
            self.paths[path].is_done = true;
        }
    }

    /// A claim leaves out too many nodes: whoever made it is gone round.
    fn doubt(&mut self, path: usize, place: usize, claim: Claim) {
        let after = |claim: &Claim| {
            let first = claim.owners.first();
            first.map(|owner| self.key.distance_to(owner.position))
        };
        let kept = &self.paths[path].doubtful;
        if kept.as_ref().is_none_or(|kept| after(&claim) < after(kept)) {
            self.paths[path].doubtful = Some(claim);
        }
        self.candidates[place].is_failed = true;
        self.fail_told_by(place);
        let mut teller = self.candidates[place].teller;
        while let Some(above) = teller {
            self.candidates[above].blame += 1;
            if self.candidates[above].blame < BLAME_MAX {
                break;
            }
            self.candidates[above].is_failed = true;
            self.fail_told_by(above);
            teller = self.candidates[above].teller;
        }
    }

    fn fail_told_by(&mut self, teller: usize) {
        // Whoever was told of comes later in the list.
        for place in teller + 1..self.candidates.len() {
            let above = self.candidates[place].teller;
            if above.is_some_and(|above| above == teller) && !self.candidates[place].is_asked {
                self.candidates[place].is_failed = true;
            }
        }
    }

    /// An answer came.
    pub(super) fn on_step(&mut self, place: usize, step: Step) {
        let key = self.key;
        let Some(known) = self.candidates.get_mut(place) else {
            return;
        };
        known.is_asked = false;
        let here = known.contact.position;
        let (depth, path) = (known.depth.saturating_add(1), known.path);
        let before = known.answer.take().map_or(key, |answer| answer.floor);
        let mut floor = before;
        let mut told = Vec::new();
        for contact in step.closer {
            // Strictly closer, or it is a way to nowhere.
            if contact.position.is_between(here, before) {
                if contact.position.is_between(here, floor) {
                    floor = contact.position;
                }
                told.push(contact);
            }
        }
        let mut owners: Vec<Contact> = Vec::new();
        for owner in step.owners {
            let after = key.distance_to(owner.position);
            let in_order = owners
                .last()
                .is_none_or(|last| key.distance_to(last.position) < after);
            if !in_order {
                break;
            }
            owners.push(owner);
        }
        for contact in &told {
            self.add(contact.clone(), (depth, path, Some(place)));
        }
        // What lies farther is of use only if what lies nearer failed on this way, and
        // is not on another one.
        let ours = |known: &Candidate| known.path == path && told.contains(&known.contact);
        let has_more = self.candidates.len() < CANDIDATES_MAX && self.candidates.iter().any(ours);
        self.candidates[place].answer = Some(Box::new(Answer {
            floor,
            has_more,
            owners,
        }));
    }

    /// No answer came, or a refusal.
    pub(super) fn on_failed(&mut self, place: usize, is_silent: bool) {
        self.cost.timeouts = self.cost.timeouts.saturating_add(u16::from(is_silent));
        if let Some(known) = self.candidates.get_mut(place) {
            known.is_asked = false;
            known.is_failed = true;
        }
    }

    /// When another node is to be asked as well.
    pub(super) fn hedge_at(&self) -> Option<Timestamp> {
        let open = self.paths.iter().filter(|path| !path.is_done);
        open.filter_map(|path| path.hedge_at).min()
    }

    /// Whether there is nothing left to ask or to wait for.
    pub(super) fn is_over(&self) -> bool {
        match &self.confirming {
            Some(confirming) => confirming.is_over(),
            None => !self.confirms && self.paths.iter().all(|path| path.is_done),
        }
    }

    /// Where it led.
    pub(super) fn result(&mut self, now: Timestamp) -> Option<Found> {
        self.cost.elapsed = now - self.started;
        let claims = self.paths.iter_mut().filter_map(|path| {
            let claim = path.claim.take().or(path.doubtful.take());
            claim.filter(|claim| !claim.owners.is_empty())
        });
        let claims: Vec<Claim> = claims.collect();
        let confirmed = self.confirming.take().and_then(|known| known.best);
        let owner = match &confirmed {
            Some((owner, _)) => owner.clone(),
            None if self.confirms => return None,
            None => claims.first()?.owners[0].clone(),
        };
        let names = |claim: &&Claim| claim.owners.contains(&owner);
        let key = self.key;
        let best = claims
            .iter()
            .filter(names)
            .min_by_key(|claim| claim.predecessor.position.distance_to(key))
            .or(claims.first())?;
        let agreeing = claims.iter().filter(|claim| claim.owners[0] == owner);
        let agreeing = u8::try_from(agreeing.count()).unwrap_or(u8::MAX);
        self.cost.hops = best.depth;
        let told = best.owners.iter().skip_while(|known| **known != owner);
        let mut owners: Vec<Contact> = told.cloned().collect();
        if let Some((owner, after)) = confirmed
            && owners.len() <= after.len()
        {
            owners = std::iter::once(owner).chain(after).collect();
        }
        keep_in_order(key, &mut owners);
        // Whoever answered may be farther back than the last one before the key: that
        // one was silent, or was not believed.
        let from = best.predecessor.position;
        let told = self.candidates.iter().map(|known| known.contact.position);
        let nearer = told.filter(|told| told.is_between(from, key));
        let from = nearer.min_by_key(|told| told.distance_to(key));
        Some(Found {
            predecessor: best.predecessor.clone(),
            from: from.unwrap_or(best.predecessor.position),
            owners,
            agreeing,
        })
    }

    /// Gives up: what is known so far is all.
    pub(super) fn give_up(&mut self) {
        self.paths.iter_mut().for_each(|path| path.is_done = true);
        self.confirming.get_or_insert_default().give_up();
        self.confirms = true;
    }

    /// What every message adds.
    pub(super) fn count_message(&mut self) {
        self.cost.messages += 1;
    }
}

/// Cuts a list off where it comes round to the key.
pub(super) fn keep_in_order(key: Position, owners: &mut Vec<Contact>) {
    let after = |owner: &Contact| key.distance_to(owner.position);
    let mut steps = owners.windows(2);
    if let Some(turn) = steps.position(|pair| after(&pair[0]) >= after(&pair[1])) {
        owners.truncate(turn + 1);
    }
}

#[cfg(test)]
mod tests;
