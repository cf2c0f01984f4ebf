//! Which stretches of the ring this peer has everything of: what allows it to say
//! that an answer is all there is.
//!
//! Whoever becomes the owner of a stretch has not, until it has compared with those
//! that hold its copies, and until somebody vouched for the stretch who had
//! everything of it: a former owner, or one that held a copy for one. What a peer had
//! everything of while it was alone counts only among others that were alone a
//! moment ago, once all of them have compared. If nobody can vouch (all copies are
//! lost, or are elsewhere after rings merged), time has to do.
//!
//! An owner's word that this peer's copy is whole holds for the ring in which it was
//! given, and some minutes: it is renewed with each comparison, and taken back when
//! somebody came before the owner or between the two.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::Config;
use super::around::Around;
use super::message::{Span, Vouch};
use crate::dht::Position;

/// How long having been alone counts.
// Guess: the time that a handful of peers that are started together need to meet.
const ALONE_FOR: Duration = Duration::from_secs(30);
/// Comparisons that fail before one does without.
const FAILURES_MAX: u8 = 2;
/// Stretches of others that are remembered.
const LENT_MAX: usize = 64;
/// Comparisons between which an owner's word that a copy is whole holds.
const ROUNDS: u32 = 4;

/// How it stands with another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not compared yet; so many attempts failed.
    Open(u8),
    /// Compared; what the other said of itself.
    Compared(Vouch),
}

/// A stretch that an own node is responsible for.
#[derive(Debug)]
struct Own {
    from: Position,
    to: Position,
    since: Timestamp,
    is_vouched: bool,
    /// Those who hold its copies, and others that must be compared with.
    peers: Vec<(PeerId, Standing)>,
    /// What of the neighbourhood matters here.
    replicas: Vec<PeerId>,
    before: Vec<Position>,
}

impl Own {
    fn is_trusted(&self, now: Timestamp, config: &Config) -> bool {
        self.is_vouched || now - self.since >= config.doubt_for
    }

    fn is_sure(&self, now: Timestamp, config: &Config) -> bool {
        let is_done = |(_, standing): &(PeerId, Standing)| match standing {
            Standing::Open(failures) => *failures >= FAILURES_MAX,
            Standing::Compared(_) => true,
        };
        self.is_trusted(now, config) && self.peers.iter().all(is_done)
    }
}

/// A stretch of which this peer has everything though it is another's.
#[derive(Debug, Clone, Copy)]
struct Lent {
    from: Position,
    to: Position,
    until: Timestamp,
    /// Nothing has changed around here since.
    is_current: bool,
}

/// What this peer has everything of.
#[derive(Debug, Default)]
pub(super) struct Custody {
    own: Vec<Own>,
    lent: Vec<Lent>,
    /// Until when it counts that this peer was alone.
    alone_until: Option<Timestamp>,
    /// Its first stretches are whole as they are.
    is_founder: bool,
}

fn has(from: Position, to: Position, key: Position) -> bool {
    to.owns(from, key)
}

/// Whether a stretch has all of another one.
fn has_all((from, to): (Position, Position), (start, end): (Position, Position)) -> bool {
    let (room, before) = (from.distance_to(to), from.distance_to(start));
    let size = start.distance_to(end);
    // Where both ends are the same it is the whole circle.
    room == 0 || (size > 0 && before < room && size <= room - before)
}

impl Custody {
    /// The network begins as it is.
    pub(super) fn found(&mut self) {
        self.is_founder = true;
    }

    /// The ring around changed; whether that matters for what is held.
    pub(super) fn update(&mut self, now: Timestamp, config: &Config, nodes: &[Around]) -> bool {
        let mut is_changed = self.own.len() != nodes.len();
        let was_alone = self.alone_until == Some(Timestamp::MAX);
        let is_alone = !nodes.is_empty() && nodes.iter().all(Around::is_alone);
        if is_alone {
            self.alone_until = Some(Timestamp::MAX);
        } else if was_alone {
            self.alone_until = Some(now + ALONE_FOR);
        }
        let old = std::mem::take(&mut self.own);
        for node in nodes {
            let (own, is_new) = self.own_of(now, config, node, (&old, was_alone));
            is_changed |= is_new;
            self.own.push(own);
        }
        for gone in &old {
            if !self.own.iter().any(|own| own.to == gone.to) {
                self.lend(now, config, gone, (gone.from, gone.to));
            }
        }
        if is_changed {
            let grace = now + config.sync_interval;
            for lent in &mut self.lent {
                lent.is_current = false;
                let holds = |node: &Around| node.is_holder(lent.to, config.copies);
                if !nodes.iter().any(|node| holds(node) == Some(true)) {
                    lent.until = lent.until.min(grace);
                }
            }
        }
        self.lent.retain(|lent| lent.until > now);
        self.is_founder &= nodes.is_empty();
        is_changed
    }

    fn own_of(
        &mut self,
        now: Timestamp,
        config: &Config,
        node: &Around,
        (all, was_alone): (&[Own], bool),
    ) -> (Own, bool) {
        let to = node.me.position;
        let from = node
            .predecessor
            .as_ref()
            .map_or(to, |before| before.position);
        let is_alone = node.is_alone();
        let old = all.iter().find(|own| own.to == to);
        let mut own = Own {
            from,
            to,
            since: now,
            is_vouched: is_alone || (old.is_none() && self.is_founder),
            peers: Vec::new(),
            replicas: peers_of(&node.replicas(config.copies)),
            before: node.before.clone(),
        };
        let Some(old) = old else {
            own.require(is_alone, self.is_among_newcomers(now), node);
            return (own, true);
        };
        let same = (from, &own.replicas, &own.before) == (old.from, &old.replicas, &old.before);
        if !is_alone && !was_alone {
            let has_more = !has_all((old.from, old.to), (from, to));
            own.is_vouched = old.is_vouched && (!has_more || self.has_lent(now, (from, old.from)));
            if !has_more && from != old.from {
                self.lend(now, config, old, (old.from, from));
            }
            if own.is_vouched == old.is_vouched {
                own.since = old.since;
            }
        }
        own.peers.clone_from(&old.peers);
        own.require(is_alone, self.is_among_newcomers(now), node);
        (own, !same)
    }

    /// An own stretch is another's from now on.
    fn lend(
        &mut self,
        now: Timestamp,
        config: &Config,
        own: &Own,
        (from, to): (Position, Position),
    ) {
        if own.is_trusted(now, config) {
            self.remember(Lent {
                from,
                to,
                until: now + config.sync_interval,
                is_current: false,
            });
        }
    }

    fn remember(&mut self, lent: Lent) {
        let same = |old: &Lent| (old.from, old.to) == (lent.from, lent.to);
        self.lent.retain(|old| !same(old));
        if self.lent.len() >= LENT_MAX {
            self.lent.remove(0);
        }
        self.lent.push(lent);
    }

    /// What the owner of a stretch said of it holds no more.
    pub(super) fn on_lapsed(&mut self, (from, to): (Position, Position)) {
        let lapsed = |at: Position| has(from, to, at);
        for lent in std::mem::take(&mut self.lent) {
            let (start, end) = (lent.from, lent.to);
            let is_apart = !lapsed(start.plus(1)) && !has(start, end, from.plus(1));
            if is_apart {
                self.lent.push(lent);
                continue;
            }
            // What is left before, and what behind.
            let before = (!lapsed(start.plus(1))).then_some((start, from));
            let behind = (!lapsed(end)).then_some((to, end));
            let left = before.into_iter().chain(behind);
            self.lent
                .extend(left.map(|(from, to)| Lent { from, to, ..lent }));
        }
        self.lent.truncate(LENT_MAX);
    }

    fn is_among_newcomers(&self, now: Timestamp) -> bool {
        self.alone_until.is_some_and(|until| now < until)
    }

    /// Whether some own stretch is not known to be whole.
    pub(super) fn is_open(&self, now: Timestamp, config: &Config) -> bool {
        self.own.iter().any(|own| !own.is_sure(now, config))
    }

    /// Whether nobody has vouched for the stretch of the own node there, and whether
    /// everybody has to be asked.
    pub(super) fn wants(&self, now: Timestamp, to: Position) -> Option<bool> {
        let own = self.own.iter().find(|own| own.to == to)?;
        (!own.is_vouched).then(|| self.is_among_newcomers(now))
    }

    /// The owner of a stretch says that this peer has all of it.
    pub(super) fn on_agreed(
        &mut self,
        now: Timestamp,
        config: &Config,
        (from, to): (Position, Position),
    ) {
        self.remember(Lent {
            from,
            to,
            until: now + config.sync_interval * ROUNDS,
            is_current: true,
        });
    }

    /// A comparison over an own stretch came to its end. Whether it is whole now, and
    /// was not.
    pub(super) fn on_compared(
        &mut self,
        now: Timestamp,
        config: &Config,
        (peer, to): (PeerId, Position),
        vouch: Option<Vouch>,
    ) -> bool {
        let is_young = self.is_among_newcomers(now);
        let Some(own) = self.own.iter_mut().find(|own| own.to == to) else {
            return false;
        };
        let was_sure = own.is_sure(now, config);
        let found = own.peers.iter_mut().find(|(known, _)| *known == peer);
        if let Some((_, standing)) = found {
            *standing = match (vouch, *standing) {
                (Some(vouch), _) => Standing::Compared(vouch),
                (None, Standing::Open(failures)) => Standing::Open(failures.saturating_add(1)),
                (None, compared) => compared,
            };
        }
        let is_settled = |(_, standing): &(PeerId, Standing)| {
            matches!(standing, Standing::Compared(Vouch::Alone | Vouch::Yes))
        };
        own.is_vouched |= vouch == Some(Vouch::Yes);
        own.is_vouched |= is_young && !own.peers.is_empty() && own.peers.iter().all(is_settled);
        !was_sure && own.is_sure(now, config)
    }

    /// One that holds copies lacks something until it is compared with again. The stretches
    /// that it is to be told so of.
    pub(super) fn on_copies_lost(&mut self, peer: PeerId) -> Vec<(Position, Position)> {
        let mut told = Vec::new();
        for own in self
            .own
            .iter_mut()
            .filter(|own| own.replicas.contains(&peer))
        {
            let found = own.peers.iter_mut().find(|(known, _)| *known == peer);
            match found.map(|(_, standing)| standing) {
                Some(standing @ Standing::Compared(_)) => *standing = Standing::Open(FAILURES_MAX),
                // An earlier owner may have said that it has all.
                Some(Standing::Open(failures)) if *failures < FAILURES_MAX => {}
                _ => continue,
            }
            told.push((own.from, own.to));
        }
        told
    }

    /// Somebody who had everything of a stretch has brought it. Whether an own one is
    /// whole now, and was not.
    pub(super) fn on_vouched(
        &mut self,
        now: Timestamp,
        config: &Config,
        (from, to): (Position, Position),
    ) -> bool {
        let mut is_new = false;
        for own in &mut self.own {
            if has_all((from, to), (own.from, own.to)) {
                let was_sure = own.is_sure(now, config);
                own.is_vouched = true;
                is_new |= !was_sure && own.is_sure(now, config);
            }
        }
        is_new
    }

    /// Own stretches that are whole, each with those who have been compared with.
    pub(super) fn whole(
        &self,
        now: Timestamp,
        config: &Config,
    ) -> impl Iterator<Item = (Position, Position, Vec<PeerId>)> {
        let sure = self.own.iter().filter(move |own| own.is_sure(now, config));
        sure.map(|own| {
            let compared = own.peers.iter().filter(|(peer, standing)| {
                matches!(standing, Standing::Compared(_)) && own.replicas.contains(peer)
            });
            (own.from, own.to, compared.map(|(peer, _)| *peer).collect())
        })
    }

    /// Whether everything is here that is under a key of its own, or whose owner said
    /// so. `is_holder`: this peer still is one that has copies of it.
    pub(super) fn is_sure(
        &self,
        now: Timestamp,
        config: &Config,
        (key, is_holder): (Position, bool),
    ) -> bool {
        let mut own = self.own.iter();
        if let Some(own) = own.find(|own| has(own.from, own.to, key)) {
            return own.is_sure(now, config);
        }
        let holds = |lent: &Lent| lent.until > now && (lent.is_current || is_holder);
        let mut lent = self.lent.iter();
        lent.any(|lent| holds(lent) && has(lent.from, lent.to, key))
    }

    /// What this peer may say of a stretch to its owner.
    pub(super) fn vouch(&self, now: Timestamp, config: &Config, spans: &[Span]) -> Vouch {
        let all = spans.iter().all(|span| {
            let before = Position(span.first.0.0.wrapping_sub(1));
            self.has_had(now, config, (before, span.last.0))
        });
        if all {
            Vouch::Yes
        } else if self.is_among_newcomers(now) {
            Vouch::Alone
        } else {
            Vouch::No
        }
    }

    /// Whether this peer had everything of a stretch until a moment ago.
    pub(super) fn has_had(
        &self,
        now: Timestamp,
        config: &Config,
        stretch: (Position, Position),
    ) -> bool {
        self.covers(now, stretch, |own| own.is_trusted(now, config))
    }

    fn has_lent(&self, now: Timestamp, stretch: (Position, Position)) -> bool {
        self.covers(now, stretch, |_| false)
    }

    fn covers(
        &self,
        now: Timestamp,
        (from, to): (Position, Position),
        counts: impl Fn(&Own) -> bool,
    ) -> bool {
        let own = self.own.iter().filter(|own| counts(own));
        let own = own.map(|own| (own.from, own.to));
        let lent = self.lent.iter().filter(|lent| lent.until > now);
        let all: Vec<(Position, Position)> =
            own.chain(lent.map(|lent| (lent.from, lent.to))).collect();
        let mut start = from;
        for _ in 0..=all.len() {
            if all.iter().any(|part| has_all(*part, (start, to))) {
                return true;
            }
            // As far as any of them goes on from here.
            let next = start.plus(1);
            let on = all.iter().filter(|(from, to)| has(*from, *to, next));
            let Some(end) = on
                .map(|(_, end)| *end)
                .max_by_key(|end| start.distance_to(*end))
            else {
                return false;
            };
            if start != to && start.distance_to(end) >= start.distance_to(to) {
                return true;
            }
            start = end;
        }
        false
    }
}

impl Own {
    /// Who has to be compared with: whoever has copies; among newcomers everybody.
    fn require(&mut self, is_alone: bool, is_young: bool, node: &Around) {
        let mut wanted = self.replicas.clone();
        if is_young && !self.is_vouched {
            for other in &node.successors {
                if other.peer != node.me.peer && !wanted.contains(&other.peer) {
                    wanted.push(other.peer);
                }
            }
        }
        if is_alone {
            wanted.clear();
        }
        self.peers.retain(|(peer, _)| wanted.contains(peer));
        for peer in wanted {
            if !self.peers.iter().any(|(known, _)| *known == peer) {
                self.peers.push((peer, Standing::Open(0)));
            }
        }
    }
}

fn peers_of(nodes: &[crate::dht::ring::Contact]) -> Vec<PeerId> {
    nodes.iter().map(|node| node.peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(5);

    fn stretch(from: u128, to: u128) -> (Position, Position) {
        (Position(from), Position(to))
    }

    /// Which of some positions are sure once a part of what was agreed has lapsed.
    fn left(agreed: (u128, u128), lapsed: (u128, u128)) -> Vec<u128> {
        let (config, mut custody) = (Config::default(), Custody::default());
        custody.on_agreed(NOW, &config, stretch(agreed.0, agreed.1));
        custody.on_lapsed(stretch(lapsed.0, lapsed.1));
        let is_sure = |at: &u128| custody.is_sure(NOW, &config, (Position(*at), true));
        let tried = [100, 101, 150, 200, 201, 250, 300, 301, 350, 400, 401];
        tried.into_iter().filter(is_sure).collect()
    }

    #[test]
    fn what_lapsed_is_cut_out() {
        let all = [101, 150, 200, 201, 250, 300, 301, 350, 400];
        assert_eq!(left((100, 400), (500, 600)), all);
        assert_eq!(left((100, 400), (400, 500)), all);
        assert_eq!(left((100, 400), (200, 300)), [101, 150, 200, 301, 350, 400]);
        assert_eq!(left((100, 400), (50, 200)), [201, 250, 300, 301, 350, 400]);
        assert_eq!(left((100, 400), (300, 100)), [101, 150, 200, 201, 250, 300]);
        assert_eq!(left((100, 400), (100, 400)), [0; 0]);
        assert_eq!(left((100, 400), (400, 300)), [301, 350, 400]);
        // The whole circle, as one who is alone has it.
        assert_eq!(left((100, 400), (7, 7)), [0; 0]);
        assert_eq!(left((7, 7), (100, 400)), [100, 401]);
    }

    #[test]
    fn whoever_cuts_it_into_pieces_there_are_few() {
        let (config, mut custody) = (Config::default(), Custody::default());
        custody.on_agreed(NOW, &config, stretch(0, 1_000_000));
        for at in 1..1_000 {
            custody.on_lapsed(stretch(at * 100, at * 100 + 10));
        }
        assert_eq!(custody.lent.len(), LENT_MAX);
        let is_sure = |at| custody.is_sure(NOW, &config, (Position(at), true));
        assert!(is_sure(100) && !is_sure(105) && is_sure(111));
    }
}
