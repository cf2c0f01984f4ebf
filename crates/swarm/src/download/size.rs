//! Proving the size before anything is reserved or fetched in earnest.
//!
//! A size is a claim until the last group verifies against the content id at
//! that size. So the last group is fetched alone (a small content whole) from
//! one source at the size which that source claims. A wrong claim cannot
//! verify, and is pinned on the peer. A silent source is not waited for: after
//! a while another is tried beside it.

use gannet_base::{GROUP_BYTES, GroupRange, GroupSet, PeerId, Timestamp, groups_in};

use super::event::DownloadEvent;
use super::shared::Shared;
use super::transfer::Download;
use crate::message::{SIZE_BYTES_MAX, TransferMessage};

/// A source that is proving its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) peer: PeerId,
    pub(super) size: u64,
    pub(super) slice: GroupRange,
    pub(super) since: Timestamp,
}

/// Proofs of size under way; at most
/// [`size_trials_max`](super::DownloadsConfig::size_trials_max).
#[derive(Debug, Default)]
pub(super) struct Trials {
    under_way: Vec<Trial>,
}

impl Trials {
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn of(&self, peer: PeerId) -> Option<&Trial> {
        self.under_way.iter().find(|trial| trial.peer == peer)
    }

    pub(super) fn remove(&mut self, peer: PeerId) {
        self.under_way.retain(|trial| trial.peer != peer);
    }
}

/// Whether a content of this size can be.
pub(super) fn is_possible(size: u64) -> bool {
    size <= SIZE_BYTES_MAX
}

impl Download {
    /// Starts proofs of size as needed.
    pub(super) fn prove_size(&mut self, cx: &mut Shared, now: Timestamp) {
        if self.proven.is_some() || !self.is_running() || !self.trial_due(cx, now) {
            return;
        }
        // As many again as are under way: the silent are soon outnumbered.
        let most = cx
            .config
            .size_trials_max
            .saturating_sub(self.trials.under_way.len());
        let first = self.trials.is_empty();
        for _ in 0..self.trials.under_way.len().clamp(1, most.max(1)) {
            let Some(peer) = self.best_for_trial() else {
                return;
            };
            let Some(source) = self.sources.get_mut(&peer) else {
                return;
            };
            let size = source.size.unwrap_or(0);
            let last = groups_in(size) - 1;
            let small = last < cx.config.slice_groups_initial;
            let whole = small && first && source.have.contains_range(GroupRange::whole(size));
            let slice = GroupRange::new(if whole { 0 } else { last }, last + 1);
            let bytes = slice.bytes(size);
            let bytes = bytes.end - bytes.start;
            source.ask(now, slice, bytes);
            cx.in_flight_bytes += bytes;
            self.trials.under_way.push(Trial {
                peer,
                size,
                slice,
                since: now,
            });
            let content = self.content;
            cx.send(peer, TransferMessage::Request { content, slice });
            self.arm_source(cx, now, peer);
        }
    }

    /// When the next proof is to be started beside those under way.
    pub(super) fn hedge_at(&self, cx: &Shared) -> Option<Timestamp> {
        let room = self.trials.under_way.len() < cx.config.size_trials_max;
        let another = self.proven.is_none() && room && self.best_for_trial().is_some();
        let latest = self
            .trials
            .under_way
            .iter()
            .filter(|_| another)
            .map(|trial| {
                let source = self.sources.get(&trial.peer);
                let answer = source.map_or(cx.config.size_hedge, |source| 4 * source.round_trip());
                trial.since + answer.clamp(cx.config.size_hedge / 4, cx.config.size_hedge)
            });
        latest.max()
    }

    fn trial_due(&self, cx: &Shared, now: Timestamp) -> bool {
        self.trials.is_empty() || self.hedge_at(cx).is_some_and(|at| now >= at)
    }

    /// The source whose claim is likeliest: what the finder said, then what
    /// most claim, then the nearest.
    fn best_for_trial(&self) -> Option<PeerId> {
        let able = |source: &super::source::Source| {
            let last = groups_in(source.size?) - 1;
            let able = source.is_flowing()
                && source.requests.is_empty()
                && source.have.contains_range(GroupRange::new(last, last + 1));
            able.then_some(source.size)?
        };
        let claims: Vec<u64> = self.sources.values().filter_map(able).collect();
        let candidates = self
            .sources
            .iter()
            .filter(|(peer, _)| self.trials.of(**peer).is_none());
        let ranked = candidates.filter_map(|(peer, source)| {
            let size = able(source)?;
            let agreeing = claims.iter().filter(|claim| **claim == size).count();
            let hinted = self.size_hint == Some(size);
            Some((
                !hinted,
                source.distrusted,
                std::cmp::Reverse(agreeing),
                source.round_trip(),
                *peer,
            ))
        });
        ranked.min().map(|(.., peer)| peer)
    }

    /// Groups of a trial verified: is the size proven?
    pub(super) fn on_trial_stored(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        groups: &GroupSet,
    ) {
        let Some(trial) = self.trials.of(peer).cloned() else {
            return;
        };
        if self.proven.is_some() || !groups.contains(groups_in(trial.size) - 1) {
            return;
        }
        let others: Vec<Trial> = std::mem::take(&mut self.trials.under_way);
        for other in others {
            self.abandon(cx, now, other.peer, other.slice);
        }
        self.prove(cx, now, trial.size);
        let (content, size) = (self.content, trial.size);
        cx.event(DownloadEvent::SizeProven { content, size });
    }
}

const _: () = assert!(
    SIZE_BYTES_MAX / GROUP_BYTES < u64::MAX / 2,
    "group indices add safely"
);
