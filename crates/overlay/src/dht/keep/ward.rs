//! A block that this node is responsible for, and who holds it.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::config::Config;
use super::message::{MATES_LISTED_MAX, Mate, Role, SOURCES_LISTED_MAX, tag_of};
use super::tally::{Sight, Tally, is_expected};
use crate::dht::position::Position;
use crate::dht::ring::Contact;

/// Most holders of one block that are remembered.
// Derived: twice the most copies.
const HOLDERS_MAX: usize = 64;
/// Most keepers of one block that are remembered as sources.
const KEEPERS_MAX: usize = 4;
/// Most peers that refused a block and are remembered for it.
const REFUSED_MAX: usize = 64;
/// How long after a claim the ring is believed more than the claim.
// Guess: a newcomer is in everybody's successor list by then.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(120);

/// How far a holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was offered the block.
    Offered,
    /// It said that it will fetch it, or that it does.
    Fetching,
    /// It has it.
    Here,
}

/// Who holds a block, or will.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) at: PeerAddress,
    pub(super) position: Position,
    pub(super) stage: Stage,
    /// When it came to this stage.
    pub(super) since: Timestamp,
    pub(super) heard: Timestamp,
    pub(super) returns: u8,
    /// It could not be reached since it was heard.
    pub(super) unreachable: bool,
    /// Since when it has been away, as far as was noticed.
    pub(super) away_since: Option<Timestamp>,
    /// When it proved that it has it.
    pub(super) proved: Option<Timestamp>,
}

/// A block, and who holds it.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) key: Position,
    pub(super) holders: Vec<Holder>,
    /// Keepers, who are sources: where, when heard, whether they wait for copies.
    pub(super) keepers: Vec<(PeerAddress, Timestamp)>,
    /// Holders that this node was told of and that have not claimed, by tag.
    unmet: BTreeMap<[u8; 8], Unmet>,
    /// Everybody has had time to claim.
    warm: bool,
    /// Who refused it, until when that is remembered, and whether it said that it had
    /// the block and had not.
    pub(super) refused: Vec<(PeerId, Timestamp, bool)>,
    /// When this node became responsible for it.
    pub(super) learned: Timestamp,
    /// Its keeper has seen no copy yet: there is nobody to wait for.
    pub(super) fresh: bool,
    /// Since when too few copies are online.
    pub(super) thin_since: Option<Timestamp>,
    pub(super) refusal: Option<super::api::RefusalReason>,
}

/// What the ring shows: those after this node, as far as it sees.
pub(super) struct Horizon<'a> {
    pub(super) me: PeerId,
    pub(super) position: Position,
    pub(super) successors: &'a [Contact],
}

impl Horizon<'_> {
    /// Whether the ring shows that a peer is not there: it would be among the
    /// successors if it were.
    fn shows_gone(&self, holder: &Holder) -> bool {
        let Some(last) = self.successors.last() else {
            return false;
        };
        holder.at.peer != self.me
            && holder.position.is_between(self.position, last.position)
            && !self
                .successors
                .iter()
                .any(|near| near.peer == holder.at.peer)
    }
}

impl Ward {
    pub(super) fn new(key: Position, now: Timestamp) -> Self {
        Self {
            key,
            holders: Vec::new(),
            keepers: Vec::new(),
            unmet: BTreeMap::new(),
            warm: false,
            refused: Vec::new(),
            learned: now,
            fresh: false,
            thin_since: None,
            refusal: None,
        }
    }

    /// Whether everybody has had time to claim.
    pub(super) fn is_warm(&self) -> bool {
        self.warm || self.fresh
    }

    pub(super) fn holder(&mut self, peer: PeerId) -> Option<&mut Holder> {
        self.holders
            .iter_mut()
            .find(|holder| holder.at.peer == peer)
    }

    /// A peer says what it has of the block, or is to have. Returns whether that is
    /// news.
    pub(super) fn hear(
        &mut self,
        now: Timestamp,
        at: &PeerAddress,
        returns: u8,
        stage: Stage,
    ) -> bool {
        let mut refused = self.refused.iter();
        if refused.any(|(peer, until, lied)| *lied && *peer == at.peer && now < *until) {
            return false;
        }
        if let Some(holder) = self.holder(at.peer) {
            holder.heard = now;
            holder.returns = returns;
            holder.unreachable = false;
            holder.away_since = None;
            if !at.addresses.is_empty() {
                holder.at.addresses.clone_from(&at.addresses);
            }
            let news = holder.stage != stage;
            if news {
                (holder.stage, holder.since) = (stage, now);
            }
            return news;
        }
        if self.holders.len() >= HOLDERS_MAX && !self.forget_one() {
            return false;
        }
        self.refused.retain(|(peer, ..)| *peer != at.peer);
        if stage == Stage::Here {
            self.unmet.remove(&tag_of(at.peer));
        }
        self.holders.push(Holder {
            at: at.clone(),
            position: Position::of_peer(at.peer, 0),
            stage,
            since: now,
            heard: now,
            returns,
            unreachable: false,
            away_since: None,
            proved: None,
        });
        true
    }

    /// Forgets who was silent longest, if anybody was.
    fn forget_one(&mut self) -> bool {
        let oldest = self.holders.iter().enumerate();
        let oldest = oldest.min_by_key(|(_, holder)| (!holder.unreachable, holder.heard));
        let Some(place) = oldest.map(|(place, _)| place) else {
            return false;
        };
        self.holders.swap_remove(place);
        true
    }

    /// A keeper claims it. Returns whether it waits for first copies.
    pub(super) fn hear_keeper(&mut self, now: Timestamp, at: &PeerAddress, fresh: bool) -> bool {
        self.keepers.retain(|(known, _)| known.peer != at.peer);
        self.keepers.truncate(KEEPERS_MAX - 1);
        self.keepers.insert(0, (at.clone(), now));
        let news = fresh && self.holders.is_empty() && !self.fresh;
        self.fresh |= news;
        news
    }

    pub(super) fn refuse(&mut self, peer: PeerId, until: Timestamp, lied: bool) {
        self.holders.retain(|holder| holder.at.peer != peer);
        self.refused.retain(|(other, ..)| *other != peer);
        self.refused.truncate(REFUSED_MAX - 1);
        self.refused.insert(0, (peer, until, lied));
    }

    pub(super) fn lose_contact(&mut self, peer: PeerId) -> bool {
        self.keepers.retain(|(known, _)| known.peer != peer);
        match self.holder(peer) {
            Some(holder) => {
                holder.unreachable = true;
                true
            }
            None => false,
        }
    }

    pub(super) fn sight(
        holder: &Holder,
        now: Timestamp,
        horizon: &Horizon<'_>,
        config: &Config,
    ) -> Sight {
        let silent = now - holder.heard;
        let patience = match holder.stage {
            Stage::Offered => config.answer_max,
            Stage::Fetching => config.silent_after.min(config.fetch_max),
            Stage::Here => config.silent_after,
        };
        let late = match holder.stage {
            Stage::Fetching => now - holder.since > config.fetch_max,
            Stage::Offered | Stage::Here => false,
        };
        let gone = silent > SETTLED && horizon.shows_gone(holder);
        let me = holder.at.peer == horizon.me;
        Sight {
            has: holder.stage == Stage::Here,
            away: holder
                .away_since
                .map_or(std::time::Duration::ZERO, |since| now - since),
            online: me || (!holder.unreachable && !gone && !late && silent <= patience),
            returns: holder.returns,
        }
    }

    pub(super) fn tally(
        &self,
        now: Timestamp,
        copies: u8,
        horizon: &Horizon<'_>,
        config: &Config,
    ) -> Tally {
        let sights = self.holders.iter();
        let sights = sights.map(|holder| Self::sight(holder, now, horizon, config));
        let unmet = self.unmet.values().map(|unmet| unmet.sight(now));
        Tally::of(copies, sights.chain(unmet), config)
    }

    /// How many copies are to be made now.
    pub(super) fn wanted(&mut self, now: Timestamp, tally: Tally, config: &Config) -> usize {
        if tally.thin() == 0 {
            self.thin_since = None;
        } else if self.thin_since.is_none() {
            self.thin_since = Some(now);
        }
        if !self.warm {
            return 0;
        }
        if tally.missing() == 0 {
            self.fresh = false;
        }
        let patience = if self.fresh {
            std::time::Duration::ZERO
        } else {
            tally.patience(config)
        };
        let bears = self.thin_since.is_none_or(|since| now - since < patience);
        let thin = if bears { 0 } else { tally.thin() };
        tally.missing().max(thin)
    }

    /// Whether a candidate need not be asked: it holds the block, or does not want
    /// to.
    pub(super) fn is_settled(&self, peer: PeerId, now: Timestamp) -> bool {
        self.holders.iter().any(|holder| holder.at.peer == peer)
            || self
                .refused
                .iter()
                .any(|(other, until, _)| *other == peer && now < *until)
    }

    /// Who has it or parts of it, and may be asked for it.
    pub(super) fn sources(
        &self,
        now: Timestamp,
        horizon: &Horizon<'_>,
        config: &Config,
    ) -> Vec<PeerAddress> {
        let mut holders: Vec<_> = self
            .holders
            .iter()
            .map(|holder| (Self::sight(holder, now, horizon, config), holder))
            .filter(|(sight, holder)| sight.online && holder.stage != Stage::Offered)
            .collect();
        holders.sort_by_key(|(sight, _)| !sight.has);
        let has = holders.iter().any(|(sight, _)| sight.has);
        let keepers = self.keepers.iter().map(|(at, _)| at);
        let keepers: Vec<_> = keepers.cloned().collect();
        if !has && keepers.is_empty() {
            return Vec::new();
        }
        let holders = holders.into_iter().map(|(_, holder)| holder.at.clone());
        let mut sources: Vec<PeerAddress> = Vec::new();
        for source in holders.chain(keepers) {
            if !sources.iter().any(|known| known.peer == source.peer) {
                sources.push(source);
            }
        }
        sources.truncate(SOURCES_LISTED_MAX);
        sources
    }

    /// Whether this holder's copy is one more than is needed: others that are online
    /// lie nearer.
    pub(super) fn is_spare(
        &self,
        peer: PeerId,
        (now, tally): (Timestamp, Tally),
        horizon: &Horizon<'_>,
        config: &Config,
    ) -> bool {
        if !tally.is_ample() {
            return false;
        }
        let Some(own) = self.holders.iter().find(|holder| holder.at.peer == peer) else {
            return false;
        };
        let far = |holder: &Holder| self.key.distance_to(holder.position);
        let nearer = self.holders.iter().filter(|holder| {
            let sight = Self::sight(holder, now, horizon, config);
            sight.online && sight.has && far(holder) < far(own)
        });
        nearer.count() >= tally.copies
    }

    /// Notes who is away, and forgets who is not expected back.
    pub(super) fn clean(&mut self, now: Timestamp, horizon: &Horizon<'_>, config: &Config) {
        self.refused.retain(|(_, until, _)| now < *until);
        let two = config.keeper_interval * 2;
        self.keepers.retain(|(_, heard)| now - *heard <= two);
        self.holders.retain_mut(|holder| {
            let sight = Self::sight(holder, now, horizon, config);
            if !sight.online && holder.away_since.is_none() {
                holder.away_since = Some(now);
            }
            sight.online || (sight.has && is_expected(sight, config))
        });
        if !self.warm && (self.fresh || now - self.learned >= config.warm_up) {
            self.warm = true;
            // What most of those who are here were told is believed.
            let here = self
                .holders
                .iter()
                .map(|holder| holder.stage == Stage::Here);
            let here = here.filter(|here| *here).count();
            self.unmet.retain(|_, unmet| 2 * unmet.by.len() >= here);
        }
        if self.warm {
            self.unmet
                .retain(|_, unmet| is_expected(unmet.sight(now), config));
        }
    }

    /// A holder says who else has the block. Only a node that is new to the block
    /// listens; later it sees for itself.
    pub(super) fn hear_mates(&mut self, now: Timestamp, from: PeerId, mates: &[Mate]) {
        if self.warm {
            return;
        }
        for told in mates {
            let known = self.holders.iter();
            let mut known = known.map(|holder| tag_of(holder.at.peer));
            let room = self.unmet.len() < HOLDERS_MAX || self.unmet.contains_key(&told.tag);
            if !room || known.any(|tag| tag == told.tag) {
                continue;
            }
            let unmet = self.unmet.entry(told.tag).or_default();
            if unmet.by.len() < HOLDERS_MAX {
                unmet.by.insert(tag_of(from));
            }
            unmet.returns = unmet.returns.max(told.returns);
            let before = u64::from(told.minutes) * 60;
            unmet.before = Some(unmet.before.map_or(before, |known| known.min(before)));
            unmet.told = now;
        }
    }

    /// Who has it, whether here or expected back; nothing while this node does not
    /// know yet.
    pub(super) fn mates(
        &self,
        now: Timestamp,
        horizon: &Horizon<'_>,
        config: &Config,
    ) -> Option<Vec<Mate>> {
        if !self.warm {
            return None;
        }
        let tell = |tag: [u8; 8], sight: Sight| Mate {
            tag,
            returns: sight.returns,
            minutes: u16::try_from(sight.away.as_secs() / 60).unwrap_or(u16::MAX),
        };
        let met = self.holders.iter().filter_map(|holder| {
            let sight = Self::sight(holder, now, horizon, config);
            sight.has.then(|| tell(tag_of(holder.at.peer), sight))
        });
        let unmet = self.unmet.iter();
        let unmet = unmet.map(|(tag, unmet)| tell(*tag, unmet.sight(now)));
        Some(met.chain(unmet).take(MATES_LISTED_MAX).collect())
    }
}

/// A holder that this node has only been told of.
#[derive(Debug, Default)]
struct Unmet {
    returns: u8,
    /// How long it had been away, seconds, when it was told of.
    before: Option<u64>,
    told: Timestamp,
    /// By whom.
    by: BTreeSet<[u8; 8]>,
}

impl Unmet {
    fn sight(&self, now: Timestamp) -> Sight {
        Sight {
            has: true,
            online: false,
            away: now - self.told + std::time::Duration::from_secs(self.before.unwrap_or(0)),
            returns: self.returns,
        }
    }
}

/// What a claim says of the claimer's stage; nothing for keepers.
pub(super) fn stage_of(role: Role) -> Option<Stage> {
    match role {
        Role::Holds => Some(Stage::Here),
        Role::Fetches => Some(Stage::Fetching),
        Role::Keeps { .. } => None,
    }
}
