//! Who is asked for what: filling windows, and moving slices from sources that
//! would be late to sources that are idle.

use std::time::Duration;

use gannet_base::{GROUP_BYTES, GroupRange, PeerId, Timestamp};

use super::claims::{Claim, Claims};
use super::shared::Shared;
use super::source::Source;
use super::transfer::Download;
use crate::message::TransferMessage;

/// How often idle sources look whether they could help.
// Guess: a small part of the time that a stall takes to be noticed.
pub(super) const STEAL_INTERVAL: Duration = Duration::from_millis(100);

/// A request is moved before the end if that brings it home at least this much
/// earlier …
// Measured: with the rules of the end instead, a swarm sends 8 % twice.
const STEAL_GAIN_EARLY: Duration = Duration::from_secs(1);

/// … and as many times the time that it takes then.
// Measured: without it, a swarm of slow lines sends 10 % twice.
const STEAL_TIMES_EARLY: u32 = 4;

/// So many requests of a source are with its driver already, and come whether
/// they are cancelled or not.
// Derived: `UploadsConfig::serves_per_stream_max` by default.
const HANDED_OVER: usize = 2;

/// Duplicates that are fine in a content of any size, bytes.
// Guess: four groups.
const DUPLICATE_BYTES_FREE: u64 = 4 * GROUP_BYTES;

impl Download {
    /// Asks everybody who has room, fastest first.
    pub(super) fn fill_all(&mut self, cx: &mut Shared, now: Timestamp) {
        self.dirty = false;
        let mut peers: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.has_room(&cx.config, now))
            .map(|(peer, source)| (std::cmp::Reverse(source.meter.rate(now)), *peer))
            .collect();
        peers.sort_unstable();
        for (_, peer) in peers {
            self.fill(cx, now, peer);
        }
    }

    /// Asks `peer` for as much as it has room for.
    pub(super) fn fill(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        if !self.is_running() || self.proven.is_none() {
            return;
        }
        while self
            .sources
            .get(&peer)
            .is_some_and(|source| source.has_room(&cx.config, now))
        {
            // Who waits for room under the global limit goes first.
            let others = !cx.starved.is_empty() && !self.served;
            if others || cx.in_flight_bytes >= cx.config.in_flight_bytes_max {
                if !self.starved {
                    self.starved = true;
                    cx.starved.push_back(self.content);
                }
                break;
            }
            if !self.ask_open(cx, now, peer) && !self.steal(cx, now, peer) {
                break;
            }
        }
        self.arm_source(cx, now, peer);
    }

    /// Asks `peer` for an open slice.
    fn ask_open(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) -> bool {
        let helpers = u64::try_from(self.counts.ready).unwrap_or(u64::MAX).max(1);
        let Some(source) = self.sources.get(&peer) else {
            return false;
        };
        let want = self.want(source);
        let Some(proven) = &mut self.proven else {
            return false;
        };
        if source.exhausted == Some(proven.plan.openings()) {
            return false;
        }
        // Towards the end smaller slices, so that all finish together.
        let share = (proven.plan.open_groups() / (2 * helpers)).max(1);
        let groups_max = source.slice_groups(&cx.config, now).min(1 << share.ilog2());
        let Some(slice) = proven
            .plan
            .pick(&source.have, want, groups_max, &mut cx.rng)
        else {
            let openings = proven.plan.openings();
            if let Some(source) = self.sources.get_mut(&peer) {
                source.exhausted = Some(openings);
            }
            return false;
        };
        proven.plan.close(slice);
        self.claims.add(slice, peer);
        self.request(cx, now, peer, slice);
        true
    }

    fn request(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId, slice: GroupRange) {
        let (content, size) = (
            self.content,
            self.proven.as_ref().map_or(0, |proven| proven.size),
        );
        if let Some(source) = self.sources.get_mut(&peer) {
            let bytes = slice.bytes(size);
            source.ask(now, slice, bytes.end - bytes.start);
            source.cursor = Some(slice.end);
            cx.in_flight_bytes += bytes.end - bytes.start;
            cx.send(peer, TransferMessage::Request { content, slice });
        }
    }

    /// Nothing is open for `thief`: is a slice of somebody else's that it would
    /// bring home much earlier? A slice whose bytes have not started to flow is
    /// moved; one whose bytes flow is asked for twice, within the budget for
    /// duplicates, and the first to arrive wins.
    fn steal(&mut self, cx: &mut Shared, now: Timestamp, thief: PeerId) -> bool {
        let Some((claim, loser, flowing)) = self.latest_claim(cx, now, thief) else {
            return false;
        };
        self.claims.add_holder(claim.range, thief);
        self.request(cx, now, thief, claim.range);
        if !flowing {
            self.claims.release(claim.range, loser);
            self.abandon(cx, now, loser, claim.range);
        }
        true
    }

    /// The claim that would be late by most without `thief`, its holder, and
    /// whether its bytes flow already.
    fn latest_claim(
        &self,
        cx: &Shared,
        now: Timestamp,
        thief: PeerId,
    ) -> Option<(Claim, PeerId, bool)> {
        let source = self.sources.get(&thief)?;
        // While groups are open that this source lacks, the end is not near: what
        // is in flight elsewhere is moved only if that is as good as stuck.
        let open = self
            .proven
            .as_ref()
            .is_some_and(|proven| proven.plan.open_groups() > 0);
        let open = open && self.watching.is_none();
        let mut best: Option<(Duration, Claim, PeerId, bool)> = None;
        for (claim, holder, start, finish) in self.expected_finishes(now) {
            if claim.holders.len() >= Claims::HOLDERS_MAX
                || claim.holders.contains(&thief)
                || !source.have.contains_range(claim.range)
            {
                continue;
            }
            let bytes = self.range_bytes(claim.range);
            let mine = source.finish_if_asked(now, bytes);
            let gain = finish - mine;
            // Noticeably sooner than otherwise, or it is not worth a message.
            let least = if open {
                STEAL_GAIN_EARLY.max((mine - now) * STEAL_TIMES_EARLY)
            } else {
                cx.config.steal_gain_min.max((mine - now) / 4)
            };
            if gain < least {
                continue;
            }
            let holding = self.sources.get(&holder)?;
            let flowing = start <= now + holding.round_trip();
            if flowing && !self.may_duplicate(cx, bytes) {
                continue;
            }
            if best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                best = Some((gain, claim.clone(), holder, flowing));
            }
        }
        best.map(|(_, claim, holder, flowing)| (claim, holder, flowing))
    }

    /// Claims with their first holder, and when it will start and finish them.
    fn expected_finishes(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&Claim, PeerId, Timestamp, Timestamp)> {
        let mut times = std::collections::BTreeMap::new();
        for (peer, source) in &self.sources {
            let coming = source.finish_times(now);
            let coming = coming.filter(|(request, ..)| !request.arrived());
            // Bytes that are here need no thief.
            for (before, (request, start, finish)) in coming.enumerate() {
                if request.wanted {
                    let flowing = request.announced.is_some() || before < HANDED_OVER;
                    let start = if flowing { now } else { start };
                    times.insert((request.range.start, *peer), (start, finish));
                }
            }
        }
        self.claims.iter().filter_map(move |claim| {
            let holder = *claim.holders.first()?;
            let (start, finish) = *times.get(&(claim.range.start, holder))?;
            Some((claim, holder, start, finish))
        })
    }

    fn range_bytes(&self, range: GroupRange) -> u64 {
        let size = self.proven.as_ref().map_or(0, |proven| proven.size);
        let bytes = range.bytes(size);
        bytes.end - bytes.start
    }

    /// Whether `bytes` may come twice, with all that may come twice already.
    fn may_duplicate(&self, cx: &Shared, bytes: u64) -> bool {
        let size = self.proven.as_ref().map_or(0, |proven| proven.size);
        let budget = size / 1_000 * cx.config.duplicate_permille_max;
        let twice = self.claims.iter().filter(|claim| claim.holders.len() > 1);
        let pending: u64 = twice.map(|claim| self.range_bytes(claim.range)).sum();
        self.duplicate_bytes + pending + bytes <= budget.max(DUPLICATE_BYTES_FREE)
    }

    /// Whether somebody is idle while somebody else has requests.
    pub(super) fn has_idle(&self, cx: &Shared, now: Timestamp) -> bool {
        !self.claims.is_empty()
            && self
                .sources
                .values()
                .any(|source: &Source| source.has_room(&cx.config, now))
    }
}
