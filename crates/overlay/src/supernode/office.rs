//! What a supernode does for its leaves and for those who knock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Core as _, PeerAddress, PeerId, Timestamp};

use super::answering::Answering;
use super::dialback::DialBacks;
use super::message::{HEIRS_MAX, PEERS_LISTED_MAX, Place, Roster, Score, SupernodeMessage, Wish};
use super::score::fitness;
use super::tier::Tier;
use super::{Supernode, SupernodeEvent};
use crate::flood::{Flood, FloodMessage};
use crate::hub::{Bucket, Budget, HubMessage, HubServer, Refusal};

/// How long a place that was granted is kept.
const RESERVED_FOR: Duration = Duration::from_secs(5);
/// How long news for the leaves is collected.
const NEWS_AFTER: Duration = Duration::from_secs(5);
/// Most places kept at once.
const RESERVED_MAX: usize = 256;

/// What is known of a leaf besides its entries.
#[derive(Debug)]
pub(super) struct LeafCard {
    pub(super) since: Timestamp,
    pub(super) is_primary: bool,
    /// What it said, and when.
    pub(super) score: Score,
    pub(super) said_at: Timestamp,
    /// Whether others could dial it, as they say.
    pub(super) reachable: Option<bool>,
    pub(super) dialled_back_at: Option<Timestamp>,
    /// Not to be asked to serve before.
    pub(super) declined_until: Timestamp,
    pub(super) searches: Bucket,
}

impl LeafCard {
    /// What is believed of it now.
    pub(super) fn believed(&self, now: Timestamp) -> Score {
        let tenure = now - self.since;
        let said_for = u32::try_from((now - self.said_at).as_secs()).unwrap_or(u32::MAX);
        let score = Score {
            uptime_s: self.score.uptime_s.saturating_add(said_for),
            ..self.score
        };
        score.believed(tenure, self.reachable == Some(true))
    }
}

/// A neighbour's load, as it says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NeighbourLoad {
    /// Leaves, per cent of its places; nothing before it said so.
    pub(super) share: Option<u8>,
    pub(super) score: Score,
}

/// Everything that only a supernode has.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) hub: HubServer,
    pub(super) flood: Flood,
    pub(super) leaves: BTreeMap<PeerId, LeafCard>,
    pub(super) neighbours: BTreeMap<PeerId, NeighbourLoad>,
    /// Places that were granted and are not taken yet.
    reserved: Vec<(Timestamp, PeerId)>,
    knocks: Bucket,
    pub(super) tier: Tier,
    pub(super) answering: Answering,
    pub(super) dial_backs: DialBacks,
    pub(super) roster_at: Timestamp,
    /// What leaves were told last.
    roster: Arc<Roster>,
    /// What of the index the routing table is made of.
    pub(super) keys_revision: Option<u64>,
    pub(super) keys_at: Timestamp,
}

impl Office {
    pub(super) fn new(
        now: Timestamp,
        config: &super::Config,
        (hub, flood): (HubServer, Flood),
        tier: Tier,
    ) -> Self {
        Self {
            hub,
            flood,
            leaves: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            reserved: Vec::new(),
            knocks: Bucket::new(config.knocks_per_second, config.knocks_per_second * 2, now),
            tier,
            answering: Answering::default(),
            dial_backs: DialBacks::new(now, config),
            roster_at: now + config.roster_interval,
            roster: Arc::default(),
            keys_revision: None,
            keys_at: now,
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        [
            self.hub.next_deadline(),
            self.flood.next_deadline(),
            Some(self.tier.due()),
            Some(self.roster_at),
            self.dial_backs.due(),
            self.answering.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Leaves and places that are kept.
    fn taken(&mut self, now: Timestamp) -> usize {
        let hub = &self.hub;
        self.reserved
            .retain(|(until, peer)| *until > now && !hub.is_here(*peer));
        self.leaves.len() + self.reserved.len()
    }

    /// Leaves, per cent of the places.
    pub(super) fn share(&self, leaves_max: u16) -> u8 {
        let share = self.leaves.len() * 100 / usize::from(leaves_max.max(1));
        u8::try_from(share).unwrap_or(u8::MAX)
    }

    /// The leaves that could take this peer's place, those that ask it before
    /// those that keep it as their backup, the fittest first.
    fn heirs(&self, now: Timestamp, me: PeerId) -> Vec<PeerAddress> {
        let mut fit: Vec<_> = self
            .leaves
            .iter()
            .filter(|(_, card)| card.score.willing && card.reachable != Some(false))
            .map(|(peer, card)| {
                let fitness = fitness(card.believed(now), me, *peer);
                (card.is_primary, fitness, *peer)
            })
            .collect();
        fit.sort_unstable_by(|a, b| b.cmp(a));
        fit.truncate(HEIRS_MAX);
        fit.into_iter()
            .map(|(_, _, peer)| PeerAddress {
                peer,
                addresses: self.hub.addresses_of(peer),
            })
            .collect()
    }
}

impl Supernode {
    /// Somebody asks for a place, or for others who may have one.
    pub(super) fn on_knock(
        &mut self,
        now: Timestamp,
        from: PeerId,
        nonce: u64,
        (wish, insists): (Wish, bool),
    ) {
        if let Wish::Heir { of } = wish {
            self.on_claim(now, of);
        }
        let allowed = match &mut self.office {
            Some(office) => office.knocks.take(now, 1).is_ok(),
            None => self.knocks_as_leaf.take(now, 1).is_ok(),
        };
        if !allowed {
            self.counters.dropped += 1;
            return;
        }
        self.counters.knocks_answered += 1;
        let room = self.grant(now, from, wish, insists);
        let supernodes = if self.office.is_some() {
            self.list(now, from)
        } else {
            self.list_as_leaf(now, from)
        };
        let place = Place {
            nonce,
            is_supernode: self.office.is_some() && !self.is_standing_down(),
            room,
            needed: self.is_small(now),
            supernodes,
        };
        self.send(from, SupernodeMessage::Place(Box::new(place)));
    }

    /// Whether there is a place, which is then kept.
    fn grant(&mut self, now: Timestamp, from: PeerId, wish: Wish, insists: bool) -> bool {
        let is_closed = self.busy || self.is_standing_down();
        let places = usize::from(self.config.leaves_max);
        let backup_share = usize::from(self.config.backup_share.min(100));
        let Some(office) = &mut self.office else {
            return false;
        };
        let allowed = match wish {
            Wish::List => return false,
            Wish::Backup => places * backup_share / 100,
            Wish::Primary | Wish::Heir { .. } => places,
        };
        let taken = office.taken(now);
        // Others have more room: loads even out.
        let referral = places * usize::from(self.config.referral_share) / 100;
        let has_roomy = self.book.has_roomy(now, self.config.fresh);
        if taken >= referral && has_roomy && !insists && !is_closed {
            self.counters.referred = self.counters.referred.saturating_add(1);
            return false;
        }
        let is_full = taken >= allowed || office.reserved.len() >= RESERVED_MAX;
        if is_closed || (is_full && self.config.shedding) {
            self.counters.refused = self.counters.refused.saturating_add(1);
            if wish != Wish::Backup {
                office.tier.note_refused(now);
            }
            return false;
        }
        office.reserved.retain(|(_, peer)| *peer != from);
        office.reserved.push((now + RESERVED_FOR, from));
        true
    }

    /// Supernodes for others, those with room first.
    pub(super) fn list(&mut self, now: Timestamp, to: PeerId) -> Vec<PeerAddress> {
        let config = self.config.clone();
        let many = (PEERS_LISTED_MAX, to);
        self.book.list(now, &config, &mut self.rng.wake(), many)
    }

    /// The same from a leaf: its own ones first, which live.
    fn list_as_leaf(&mut self, now: Timestamp, to: PeerId) -> Vec<PeerAddress> {
        let homes = self.homes.iter().filter(|home| home.is_live);
        let mut listed: Vec<PeerAddress> = homes
            .filter(|home| home.peer != to)
            .map(|home| PeerAddress {
                peer: home.peer,
                addresses: self.wires.seen(home.peer).to_vec(),
            })
            .collect();
        let others = self.list(now, to);
        let is_home = |other: &PeerAddress| self.is_home(other.peer);
        listed.extend(others.into_iter().filter(|other| !is_home(other)));
        listed.truncate(PEERS_LISTED_MAX);
        listed
    }

    /// A leaf says what it is.
    pub(super) fn on_card(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (is_primary, score): (bool, Score),
    ) {
        let Some(office) = &mut self.office else {
            return;
        };
        let Some(card) = office.leaves.get_mut(&from) else {
            self.counters.dropped += 1;
            return;
        };
        let is_news = card.said_at == card.since || card.is_primary != is_primary;
        card.is_primary = is_primary;
        card.score = score;
        card.said_at = now;
        if is_news {
            // Who may be an heir is news for the others, soon.
            if office.leaves.len() <= 2 * HEIRS_MAX {
                office.roster_at = office.roster_at.min(now + NEWS_AFTER);
            }
            self.dial_back_if_new(now, from);
            self.send_roster(now, from);
        }
    }

    /// Registered at this supernode.
    pub(super) fn on_leaf_joined(&mut self, now: Timestamp, peer: PeerId) {
        let config = &self.config;
        let searches = Bucket::new(config.searches_per_second, config.searches_burst, now);
        let Some(office) = &mut self.office else {
            return;
        };
        if peer == self.me {
            return;
        }
        office.reserved.retain(|(_, reserved)| *reserved != peer);
        office.leaves.insert(
            peer,
            LeafCard {
                since: now,
                is_primary: false,
                score: Score::default(),
                said_at: now,
                reachable: None,
                dialled_back_at: None,
                declined_until: Timestamp::ZERO,
                searches,
            },
        );
        self.event(SupernodeEvent::LeafUp { peer });
        if self.is_standing_down() {
            self.send(peer, SupernodeMessage::Move);
        }
    }

    pub(super) fn on_leaf_left(&mut self, peer: PeerId) {
        if let Some(office) = &mut self.office
            && office.leaves.remove(&peer).is_some()
        {
            office.tier.on_leaf_left(peer);
            self.event(SupernodeEvent::LeafDown { peer });
        }
    }

    /// Tells a leaf what the others were told, as long as the heirs are the same.
    fn send_roster(&mut self, now: Timestamp, to: PeerId) {
        let Some(office) = &self.office else {
            return;
        };
        let heirs = office.heirs(now, self.me);
        let same = Some(&office.roster).filter(|roster| roster.heirs == heirs);
        let roster = match same {
            Some(roster) => roster.clone(),
            None => self.new_roster(now, heirs),
        };
        self.send(to, SupernodeMessage::Roster(roster));
    }

    /// Tells all leaves again.
    pub(super) fn send_rosters(&mut self, now: Timestamp) {
        let Some(office) = &self.office else {
            return;
        };
        let heirs = office.heirs(now, self.me);
        let leaves: Vec<PeerId> = office.leaves.keys().copied().collect();
        let roster = self.new_roster(now, heirs);
        for to in leaves {
            self.send(to, SupernodeMessage::Roster(roster.clone()));
        }
    }

    fn new_roster(&mut self, now: Timestamp, heirs: Vec<PeerAddress>) -> Arc<Roster> {
        let supernodes = self.list(now, self.me);
        let roster = Arc::new(Roster { heirs, supernodes });
        if let Some(office) = &mut self.office {
            office.roster = roster.clone();
        }
        roster
    }

    /// A leaf is asked what only supernodes do: it says so, and tells of some.
    pub(super) fn refuse_as_leaf(&mut self, now: Timestamp, from: PeerId, message: Asked) {
        if self.knocks_as_leaf.take(now, 1).is_err() {
            self.counters.dropped += 1;
            return;
        }
        match message {
            Asked::Hello => {
                let refusal = Refusal {
                    budget: Budget::Closing,
                    max: 0,
                    retry_after_ms: 0,
                };
                let request = None;
                let message = HubMessage::Refused { request, refusal };
                self.send(from, SupernodeMessage::Hub(message));
            }
            Asked::Link => {
                let peers = self.list_as_leaf(now, from);
                let message = FloodMessage::Busy { peers };
                self.send(from, SupernodeMessage::Flood(message));
            }
        }
    }
}

/// What a leaf may be asked by mistake.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// To have a leaf.
    Hello,
    /// To be a neighbour.
    Link,
}
