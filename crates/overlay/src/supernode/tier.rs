//! Roles: becoming a supernode, and standing down.
//!
//! **Promotion.** A supernode whose places fill up asks the fittest of its
//! leaves to become supernodes; so does one that knows too few others. Nobody
//! counts the network: forty neighbours' loads are a sample of it. Besides, a
//! leaf becomes one when it is elected (see `seek`), or finds nobody.
//!
//! **Standing down.** Where the loads here and around are low, whoever is the
//! least fit of its neighbourhood tells its leaves to look for other places,
//! serves on while they do, and becomes a leaf.

use std::time::Duration;

use gannet_base::{Core as _, PeerAddress, PeerId, Timestamp};
use rand_core::Rng as _;

use super::config::RoleWish;
use super::message::{Score, SupernodeMessage};
use super::office::{NeighbourLoad, Office};
use super::score::fitness;
use super::{Role, Supernode, SupernodeEvent};
use crate::flood::{DownReason, Flood, FloodCommand, jittered};
use crate::hub::{HubClientCommand, HubServer, HubServerCommand};

/// How long a leaf that was asked to serve may take to do so.
const PROMOTION_WAIT: Duration = Duration::from_secs(5);
/// How long a leaf that declined is not asked again.
const DECLINED_FOR: Duration = Duration::from_secs(300);
/// Refusals count for so long.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// A supernode this young does not judge by its few links.
const YOUNG: Duration = Duration::from_secs(60);
/// Least time between two summaries of the leaves' entries for the routing
/// table.
// Guess: of 300,000 entries it takes some ten milliseconds.
const KEYS_INTERVAL: Duration = Duration::from_secs(3);
/// Leaves asked in one tick by a supernode that has to refuse others, per mille.
// Guess: the network doubles in some seconds, and hardly overshoots.
const REFUSING: u32 = 400;
/// Neighbours lost within `TROUBLED_FOR` that make a calamity.
// Guess: of forty, with sessions of an hour, two go in as long.
const LOSSES: usize = 8;
/// Supernodes of a leaf that went within `TROUBLED_FOR` and make one: both.
pub(super) const CALAMITY: usize = 2;
/// How long nobody stands down after one.
const TROUBLED_FOR: Duration = Duration::from_secs(180);
/// Most doublings of the tenure.
const TENURE_DOUBLINGS_MAX: u32 = 6;

/// Why a peer becomes a supernode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is set so.
    Forced,
    /// It found nobody.
    Alone,
    /// There are fewer supernodes than a network of two tiers has.
    Needed,
    /// Its supernode asked it to.
    Asked,
    /// Its supernode is gone, and it is the heir.
    Elected,
}

/// A supernode's view of how many there should be.
#[derive(Debug)]
pub(super) struct Tier {
    since: Timestamp,
    /// The network was small when it began.
    born_small: bool,
    at: Timestamp,
    load_at: Timestamp,
    /// Leaves that were asked to serve, and until when.
    asked: Vec<(Timestamp, PeerId)>,
    refused_at: Option<Timestamp>,
    standing_down: Option<Timestamp>,
    /// When neighbours were lost, the last few times.
    losses: [Timestamp; LOSSES],
}

impl Tier {
    fn new(now: Timestamp, born_small: bool) -> Self {
        Self {
            since: now,
            born_small,
            at: now,
            load_at: now,
            asked: Vec::new(),
            refused_at: None,
            standing_down: None,
            losses: [Timestamp::ZERO; LOSSES],
        }
    }

    /// Whether many were lost at once not long ago: leaves may still look for
    /// places.
    pub(super) fn is_troubled(&self, now: Timestamp) -> bool {
        self.losses
            .iter()
            .all(|at| *at > Timestamp::ZERO && now - *at < TROUBLED_FOR)
    }

    fn note_loss(&mut self, now: Timestamp) {
        self.losses.rotate_right(1);
        self.losses[0] = now;
        if self.is_troubled(now) {
            // It is needed after all.
            self.standing_down = None;
        }
    }

    /// It begins in the middle of a calamity.
    fn begin_troubled(&mut self, now: Timestamp) {
        self.losses = [now; LOSSES];
    }

    pub(super) fn due(&self) -> Timestamp {
        let next = self.at.min(self.load_at);
        self.standing_down.map_or(next, |at| at.min(next))
    }

    pub(super) fn note_refused(&mut self, now: Timestamp) {
        self.refused_at = Some(now);
    }

    pub(super) fn on_leaf_left(&mut self, peer: PeerId) {
        self.asked.retain(|(_, asked)| *asked != peer);
    }
}

impl Supernode {
    /// Whether this peer may become a supernode.
    pub(super) fn can_serve(&self) -> bool {
        self.config.role != RoleWish::Forbid && self.office.is_none()
    }

    pub(super) fn is_standing_down(&self) -> bool {
        let office = self.office.as_ref();
        office.is_some_and(|office| office.tier.standing_down.is_some())
    }

    /// Whether there are too few supernodes for two tiers, as far as can be
    /// seen from here.
    pub(super) fn is_small(&self, now: Timestamp) -> bool {
        let Some(office) = &self.office else {
            return false;
        };
        let is_young = !office.tier.born_small && now - office.tier.since < YOUNG;
        if is_young || office.tier.is_troubled(now) {
            return false;
        }
        self.supernodes_known(office) + 1 < usize::from(self.config.supernodes_min)
    }

    fn supernodes_known(&self, office: &Office) -> usize {
        let known = office.flood.promising_peers();
        known.max(office.neighbours.len())
    }

    /// Becomes a supernode.
    pub(super) fn promote(&mut self, now: Timestamp, why: Why) {
        if self.office.is_some() {
            return;
        }
        let config = self.config.clone();
        let mut server = config.server.clone();
        // This peer registers at itself too.
        server.peers_max = usize::from(config.leaves_max) + 1;
        let mut hub = HubServer::new(server, gannet_base::fork_rng(&mut self.rng.wake()));
        if let Some(time) = self.wall_time(now) {
            hub.handle_command(now, HubServerCommand::WallTime(time));
        }
        let rng = gannet_base::fork_rng(&mut self.rng.wake());
        let flood = Flood::new(self.me, config.flood.clone(), rng);
        let born_small = matches!(why, Why::Alone | Why::Needed | Why::Forced);
        let mut tier = Tier::new(now, born_small);
        tier.at = now + self.spread(config.tier_interval);
        tier.load_at = now + Duration::from_secs(1);
        let is_calamity = self.gone_lately(now, TROUBLED_FOR) >= CALAMITY;
        if is_calamity {
            tier.begin_troubled(now);
        }
        let office = Office::new(now, &config, (hub, flood), tier);
        self.office = Some(Box::new(office));
        self.book.resize(now, config.known_max);
        self.counters.promotions += 1;
        self.counters.elections += u32::from(why == Why::Elected);
        for (peer, addresses) in self.wires.sightings() {
            self.tell_seen(now, peer, addresses);
        }
        // Who was registered with this peer may have taken the same step. And its
        // supernodes named more than a leaf's book has: where most are dead, some of
        // very many must live for this one not to begin a network of its own. For the
        // same reason it asks also those that the user named: leaves live, and say who
        // theirs are.
        let heirs = self.seek.rosters.heirs();
        let mut told = heirs.map_or_else(Vec::new, |(_, heirs)| heirs.to_vec());
        told.extend(self.seek.rosters.supernodes().cloned());
        if is_calamity {
            told.extend(self.book.named_ones());
        }
        for home in std::mem::take(&mut self.homes) {
            self.heard(now, home.peer);
            self.wires
                .release(now, home.peer, super::wires::User::Client);
        }
        self.end_seek(now);
        self.announce_flood(now);
        let known = self.book.supernodes(now).into_iter().chain(told);
        self.bootstrap_flood(now, known.collect());
        self.name_homes(now);
        self.event(SupernodeEvent::Role(Role::Supernode));
        self.searches_to_office(now);
    }

    fn announce_flood(&mut self, now: Timestamp) {
        let addresses = self.addresses.to_vec();
        self.flood_command(now, FloodCommand::Announce(addresses));
    }

    pub(super) fn bootstrap_flood(&mut self, now: Timestamp, peers: Vec<PeerAddress>) {
        self.flood_command(now, FloodCommand::Bootstrap(peers));
    }

    /// The supernode asks for it.
    pub(super) fn on_promote(&mut self, now: Timestamp, from: PeerId) {
        if !self.is_home(from) {
            self.counters.dropped += 1;
        } else if self.can_serve() && self.facts.willing {
            self.promote(now, Why::Asked);
        } else {
            self.send(from, SupernodeMessage::Decline);
        }
    }

    pub(super) fn on_decline(&mut self, now: Timestamp, from: PeerId) {
        if let Some(office) = &mut self.office {
            office.tier.asked.retain(|(_, asked)| *asked != from);
            if let Some(card) = office.leaves.get_mut(&from) {
                card.declined_until = now + DECLINED_FOR;
            }
        }
    }

    pub(super) fn on_timeout_tier(&mut self, now: Timestamp) {
        let Some(office) = &mut self.office else {
            return;
        };
        if office.tier.standing_down.is_some_and(|at| at <= now) {
            self.demote(now);
            return;
        }
        let tick = office.tier.at <= now;
        let load = office.tier.load_at <= now;
        let roster = office.roster_at <= now;
        let next = now + jittered(&mut self.rng.wake(), self.config.tier_interval);
        if tick {
            office.tier.at = next;
            self.update_keys(now);
            self.ask_leaves_to_serve(now);
        }
        if load {
            self.tell_load(now);
            self.consider_standing_down(now);
        }
        if roster && let Some(office) = &mut self.office {
            office.roster_at = now + self.config.roster_interval;
            self.send_rosters(now);
        }
    }

    /// What the leaves share, for the routing table.
    fn update_keys(&mut self, now: Timestamp) {
        let Some(office) = &mut self.office else {
            return;
        };
        let revision = Some(office.hub.revision());
        if office.keys_revision != revision && now >= office.keys_at {
            office.keys_revision = revision;
            office.keys_at = now + KEYS_INTERVAL;
            let keys = office.hub.keys();
            office.flood.handle_command(now, FloodCommand::Keys(keys));
        }
    }

    fn tell_load(&mut self, now: Timestamp) {
        let interval = self.spread(self.config.load_interval);
        let score = self.facts.score(now);
        let Some(office) = &mut self.office else {
            return;
        };
        office.tier.load_at = now + interval;
        let leaves = u16::try_from(office.leaves.len()).unwrap_or(u16::MAX);
        let leaves_max = self.config.leaves_max;
        let to: Vec<PeerId> = office.neighbours.keys().copied().collect();
        for to in to {
            let message = SupernodeMessage::Load {
                leaves,
                leaves_max,
                score,
            };
            self.send(to, message);
        }
    }

    pub(super) fn on_load(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (leaves, leaves_max): (u16, u16),
        score: Score,
    ) {
        let Some(office) = &mut self.office else {
            return;
        };
        let Some(neighbour) = office.neighbours.get_mut(&from) else {
            self.counters.dropped += 1;
            return;
        };
        let share = u32::from(leaves) * 100 / u32::from(leaves_max.max(1));
        let share = u8::try_from(share).unwrap_or(u8::MAX);
        *neighbour = NeighbourLoad {
            share: Some(share),
            score,
        };
        self.heard(now, from);
        if share >= self.config.referral_share {
            self.book.is_full(now, from);
        }
    }

    /// The mean load here and around, and how many it is of.
    fn mean_load(&self, office: &Office) -> (u32, usize) {
        let own = u32::from(office.share(self.config.leaves_max));
        let shares = office.neighbours.values().filter_map(|load| load.share);
        let (sum, count) = shares.fold((own, 1_u32), |(sum, count), share| {
            (sum + u32::from(share), count + 1)
        });
        (sum / count, office.neighbours.len())
    }

    /// How many more supernodes there should be for each that there is, in one
    /// tick, per mille: everybody around sees about the same and acts at the
    /// same time.
    fn shortage(&self, now: Timestamp) -> u32 {
        let Some(office) = &self.office else {
            return 0;
        };
        if office.tier.standing_down.is_some() {
            return 0;
        }
        if self.is_small(now) {
            let others = self.supernodes_known(office);
            let missing = usize::from(self.config.supernodes_min).saturating_sub(others);
            let each = missing * 1_000 / (others + 1);
            return u32::try_from(each).unwrap_or(u32::MAX);
        }
        let promote_share = u32::from(self.config.promote_share).max(1);
        let (mean, _) = self.mean_load(office);
        if mean < promote_share {
            return 0;
        }
        let refused_at = office.tier.refused_at;
        if refused_at.is_some_and(|at| now - at < REFUSED_FOR) {
            return REFUSING;
        }
        // Loads are told less often than they are looked at.
        let wanted = promote_share * 5 / 6;
        let excess = mean.saturating_sub(wanted) * 1_000 / wanted.max(1);
        let ticks =
            self.config.load_interval.as_millis() / self.config.tier_interval.as_millis().max(1);
        excess / u32::try_from(ticks.max(1)).unwrap_or(u32::MAX)
    }

    /// Asks the fittest leaves to be supernodes, if more are needed.
    fn ask_leaves_to_serve(&mut self, now: Timestamp) {
        let shortage = self.shortage(now);
        if self.rng.wake().next_u32() % 1_000 >= shortage {
            return;
        }
        let count = 1 + usize::from(shortage > 1_000);
        let me = self.me;
        let Some(office) = &self.office else {
            return;
        };
        let asked: Vec<PeerId> = office.tier.asked.iter().map(|(_, peer)| *peer).collect();
        let mut fit: Vec<_> = office
            .leaves
            .iter()
            .filter(|(peer, card)| {
                card.is_primary
                    && card.score.willing
                    && card.reachable != Some(false)
                    && card.declined_until <= now
                    && !asked.contains(peer)
            })
            .map(|(peer, card)| (fitness(card.believed(now), me, *peer), *peer))
            .collect();
        fit.sort_unstable_by(|a, b| b.cmp(a));
        let Some(office) = &mut self.office else {
            return;
        };
        office.tier.asked.retain(|(until, _)| *until > now);
        let most = self.config.promotions_max.min(count);
        let free = most.saturating_sub(office.tier.asked.len());
        let chosen: Vec<PeerId> = fit.into_iter().take(free).map(|(_, peer)| peer).collect();
        for peer in chosen {
            if let Some(office) = &mut self.office {
                office.tier.asked.push((now + PROMOTION_WAIT, peer));
            }
            self.send(peer, SupernodeMessage::Promote);
        }
    }

    /// Whether there are more supernodes than needed and this is the least fit
    /// of those around.
    fn consider_standing_down(&mut self, now: Timestamp) {
        let Some(office) = &self.office else {
            return;
        };
        let doublings = self.demotions.min(TENURE_DOUBLINGS_MAX);
        let tenure = self.config.tenure_min * (1 << doublings);
        let is_settled = now - office.tier.since >= tenure
            && office.tier.standing_down.is_none()
            && office.tier.asked.is_empty()
            && !office.tier.is_troubled(now)
            && office.tier.refused_at.is_none_or(|at| now - at >= tenure);
        let (mean, count) = self.mean_load(office);
        let many = usize::from(self.config.supernodes_min) * 6 / 5;
        let limit = u32::from(self.config.demote_share);
        let own = u32::from(office.share(self.config.leaves_max));
        let is_idle = mean < limit && own < 2 * limit;
        if self.config.role == RoleWish::Force || !is_settled || !is_idle || count < many {
            return;
        }
        let mine = fitness(self.facts.score(now), PeerId::from_bytes([0; 32]), self.me);
        // Of those who are as idle.
        let none = PeerId::from_bytes([0; 32]);
        let weakest = office.neighbours.iter().all(|(peer, load)| {
            let is_idle = load.share.is_some_and(|share| u32::from(share) < 2 * limit);
            !is_idle || fitness(load.score, none, *peer) > mine
        });
        if weakest {
            self.stand_down(now);
        }
    }

    fn stand_down(&mut self, now: Timestamp) {
        let until = now + self.config.stand_down;
        let Some(office) = &mut self.office else {
            return;
        };
        office.tier.standing_down = Some(until);
        let leaves: Vec<PeerId> = office.leaves.keys().copied().collect();
        for leaf in leaves {
            self.send(leaf, SupernodeMessage::Move);
        }
    }

    /// Becomes a leaf.
    pub(super) fn demote(&mut self, now: Timestamp) {
        if let Some(office) = &mut self.office {
            office.hub.handle_command(now, HubServerCommand::Close);
        }
        self.flood_command(now, FloodCommand::Leave);
        self.client
            .handle_command(now, HubClientCommand::Hubs(Vec::new()));
        self.settle(now);
        let Some(office) = self.office.take() else {
            return;
        };
        let neighbours: Vec<PeerId> = office.neighbours.keys().copied().collect();
        self.searches_from_office(&office);
        drop(office);
        self.book.resize(now, self.config.leaf_known_max);
        for peer in neighbours {
            self.heard(now, peer);
            self.on_neighbour_down(now, peer, DownReason::Left);
        }
        self.demotions += 1;
        self.counters.demotions += 1;
        self.event(SupernodeEvent::Role(Role::Leaf));
        self.begin_seek_again(now);
        self.ask_waiting(now);
    }

    pub(super) fn on_neighbour_up(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(office) = &mut self.office {
            office.neighbours.insert(peer, NeighbourLoad::default());
        }
        self.heard(now, peer);
        self.wires.note(peer, super::wires::User::Flood);
        self.event(SupernodeEvent::NeighbourUp { peer });
    }

    pub(super) fn on_neighbour_down(&mut self, now: Timestamp, peer: PeerId, reason: DownReason) {
        if let Some(office) = &mut self.office {
            office.neighbours.remove(&peer);
        }
        match reason {
            DownReason::Lost | DownReason::Silent => {
                self.book.failed(now, &mut self.rng.wake(), peer);
                if let Some(office) = &mut self.office {
                    office.tier.note_loss(now);
                }
            }
            DownReason::Misbehaved => self.book.ban(now, &self.config, peer),
            DownReason::Left | DownReason::Surplus => {}
        }
        self.wires.release(now, peer, super::wires::User::Flood);
        self.event(SupernodeEvent::NeighbourDown { peer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_down_stays_when_many_others_go() {
        let now = Timestamp::from_secs(1_000);
        let mut tier = Tier::new(now, false);
        tier.standing_down = Some(now + Duration::from_secs(10));
        for n in 1..LOSSES {
            tier.note_loss(now);
            assert!(tier.standing_down.is_some(), "{n} go now and then");
        }
        tier.note_loss(now);
        assert!(tier.is_troubled(now) && tier.standing_down.is_none());
        assert!(!tier.is_troubled(now + TROUBLED_FOR));
    }
}
