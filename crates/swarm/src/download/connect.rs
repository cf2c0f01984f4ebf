//! Sources come, are asked, queue, fail, are tried again, or are banned.

use std::time::Duration;

use gannet_base::{GroupRange, GroupSet, Output, PeerId, Timestamp};
use rand_core::Rng as _;

use super::event::{DownloadEvent, DropReason};
use super::shared::{Shared, Timer};
use super::size::is_possible;
use super::source::{Phase, Preference, Source};
use super::transfer::Download;
use crate::message::{Have, RefusedReason, TransferMessage};
use crate::runs::difference;

/// Failures before a source may be forgotten for a new one.
// Guess: past the first few quick retries.
const FAILURES_EXPENDABLE: u32 = 3;

/// How many times sooner a source is tried again that does not share the
/// content: one that starts to fetch when we do has its first group in an
/// instant.
// Guess: half a second at first, by default.
const NOT_SHARED_SOONER: u32 = 4;

impl Download {
    /// A peer may have it.
    pub(super) fn add_source(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        if let Some(source) = self.sources.get(&peer) {
            if let Phase::BackOff { until } = source.phase {
                // Somebody vouches for it anew: try soon, but no faster than the first retry.
                let soon = (now + cx.config.retry_min).min(until);
                self.set_phase(peer, Phase::BackOff { until: soon });
                self.arm_source(cx, now, peer);
            }
            return;
        }
        if self.sources.len() >= cx.config.sources_known_max && !self.forget_worst(cx) {
            return;
        }
        self.source_seq += 1;
        let named = (now, cx.rng.next_u64());
        let source = Source::new(self.source_seq, named, now);
        self.sources.insert(peer, source);
        self.counts.spare += 1;
    }

    /// Makes room for a new source. Banned ones are remembered unless they are
    /// the majority.
    fn forget_worst(&mut self, cx: &mut Shared) -> bool {
        let expendable = |source: &Source| {
            matches!(source.phase, Phase::BackOff { .. }) && source.failures >= FAILURES_EXPENDABLE
        };
        let failed = self.sources.iter().filter(|(_, source)| expendable(source));
        let failed = failed
            .max_by_key(|(_, source)| source.failures)
            .map(|(peer, _)| *peer);
        let banned = || {
            let banned = self
                .sources
                .iter()
                .filter(|(_, source)| source.phase == Phase::Banned);
            let oldest = banned.clone().min_by_key(|(_, source)| source.seq);
            oldest
                .filter(|_| banned.count() > cx.config.sources_known_max / 2)
                .map(|(peer, _)| *peer)
        };
        let Some(peer) = failed.or_else(banned) else {
            return false;
        };
        self.sources.remove(&peer);
        cx.timers.disarm(Timer::Source(self.content, peer));
        true
    }

    /// Connects to spare sources while there is room.
    pub(super) fn connect(&mut self, cx: &mut Shared, now: Timestamp) {
        self.yielding = false;
        while self.counts.spare > 0 && self.has_place(&cx.config, now) {
            if !self.busy && cx.busy >= cx.config.downloads_active_max {
                self.yielding = true;
                cx.yielding = true;
                return;
            }
            let spare = self
                .sources
                .iter()
                .filter(|(_, source)| source.phase == Phase::Spare);
            let preference = |(peer, source): (&PeerId, &Source)| -> Preference {
                (
                    source.failures,
                    !cx.links.contains(peer),
                    source.named,
                    *peer,
                )
            };
            let Some((.., peer)) = spare.map(preference).min() else {
                return;
            };
            self.start_source(cx, now, peer);
            self.count_busy(cx);
        }
    }

    /// Keeps [`Shared::busy`] true.
    pub(super) fn count_busy(&mut self, cx: &mut Shared) {
        let busy = self.counts.connecting + self.counts.ready > 0;
        match (self.busy, busy) {
            (false, true) => cx.busy += 1,
            (true, false) => cx.busy -= 1,
            _ => {}
        }
        self.busy = busy;
    }

    fn start_source(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let corrupt = cx.corrupt_contents(now, peer);
        if corrupt >= cx.config.corrupt_contents_max {
            self.ban(cx, now, peer, DropReason::Distrusted);
            return;
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            source.distrusted = corrupt > 0;
        }
        if cx.links.contains(&peer) {
            self.send_ask(cx, now, peer);
            return;
        }
        if cx.dialing.insert(peer) {
            cx.outbox.push_back(Output::Dial { peer });
        }
        self.set_phase(peer, Phase::Dialing { since: now });
        self.arm_source(cx, now, peer);
    }

    fn send_ask(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let content = self.content;
        self.set_phase(peer, Phase::Asked { since: now });
        cx.send(peer, TransferMessage::Ask { content });
        self.arm_source(cx, now, peer);
    }

    /// The link to `peer` is up.
    pub(super) fn on_link_up(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let Some(source) = self.sources.get(&peer) else {
            return;
        };
        match source.phase {
            Phase::Dialing { .. } => self.send_ask(cx, now, peer),
            Phase::BackOff { .. } if source.last_drop == Some(DropReason::Unreachable) => {
                self.set_phase(peer, Phase::Spare);
            }
            _ => {}
        }
    }

    /// The link to `peer` went, or could not be made.
    pub(super) fn on_link_lost(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        unreachable: bool,
    ) {
        let phase = self.sources.get(&peer).map(|source| source.phase);
        let dialing = matches!(phase, Some(Phase::Dialing { .. }));
        if dialing || self.sources.get(&peer).is_some_and(Source::has_stream) {
            let reason = if unreachable {
                DropReason::Unreachable
            } else {
                DropReason::Lost
            };
            self.lose(cx, now, peer, reason);
        }
    }

    /// The source grants a slot.
    pub(super) fn on_ready(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        size: u64,
        have: Have,
    ) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        match source.phase {
            Phase::Asked { since } => source.saw_round_trip(now - since),
            Phase::Queued { .. } => {}
            _ => return,
        }
        source.size = Some(size);
        let proven = self.proven.as_ref().map(|proven| proven.size);
        if !is_possible(size) || proven.is_some_and(|proven| proven != size) {
            self.ban(cx, now, peer, DropReason::WrongSize { claimed: size });
            return;
        }
        if !fits(&have, size) {
            self.ban(cx, now, peer, DropReason::Protocol);
            return;
        }
        let source = self
            .sources
            .get_mut(&peer)
            .expect("it was there a moment ago");
        source.have = have;
        source.have_next = None;
        source.have_taken = now;
        source.cursor = None;
        source.exhausted = None;
        source.snubbed = None;
        source.snubs = 0;
        source.refusals = 0;
        source.progress = now;
        source.useful = (now, 0);
        self.set_phase(peer, Phase::Ready { since: now });
        self.count_have(peer);
        self.fill(cx, now, peer);
    }

    /// The source puts us in its queue.
    pub(super) fn on_queued(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        position: u32,
    ) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        match source.phase {
            Phase::Asked { since } => source.saw_round_trip(now - since),
            Phase::Queued { .. } => {}
            Phase::Ready { .. } => {
                // It took the slot back: what was asked will not come.
                self.discount_have(peer);
                self.release_all(cx, now, peer);
            }
            _ => return,
        }
        let position = position.max(1);
        self.set_phase(
            peer,
            Phase::Queued {
                position,
                heard: now,
                refreshed: None,
            },
        );
        self.arm_source(cx, now, peer);
    }

    /// The source refuses.
    pub(super) fn on_refused(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        reason: RefusedReason,
    ) {
        if self.sources.get(&peer).is_some_and(Source::has_stream) {
            self.fail(cx, now, peer, DropReason::Refused(reason));
        }
    }

    /// A partial source tells what it has now.
    pub(super) fn on_have(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        groups: GroupSet,
    ) {
        let Some(source) = self
            .sources
            .get_mut(&peer)
            .filter(|source| source.is_ready())
        else {
            return;
        };
        source.have_next = Some(groups);
        if now >= source.have_due(&cx.config) {
            self.take_have(cx, now, peer);
        }
        self.arm_source(cx, now, peer);
    }

    /// Takes in what a partial source said last.
    pub(super) fn take_have(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let (Some(groups), Some(size)) = (source.have_next.take(), source.size) else {
            return;
        };
        source.have_taken = now;
        let have = Have::Some(groups);
        if !fits(&have, size) {
            self.ban(cx, now, peer, DropReason::Protocol);
            return;
        }
        self.replace_have(peer, have);
        self.fill(cx, now, peer);
    }

    /// The source has not got `range` after all.
    pub(super) fn lacks(&mut self, peer: PeerId, range: GroupRange) {
        let Some(source) = self.sources.get(&peer) else {
            return;
        };
        let mut groups = match &source.have {
            Have::Whole => GroupSet::whole(source.size.unwrap_or(0)),
            Have::Some(groups) => groups.clone(),
        };
        groups.remove(range);
        self.replace_have(peer, Have::Some(groups));
    }

    /// Only what changed is counted anew: a source that grows by a run costs a
    /// run.
    fn replace_have(&mut self, peer: PeerId, have: Have) {
        let (Some(proven), Some(source)) = (&mut self.proven, self.sources.get_mut(&peer)) else {
            if let Some(source) = self.sources.get_mut(&peer) {
                source.have = have;
            }
            return;
        };
        source.exhausted = None;
        let old = std::mem::replace(&mut source.have, have);
        if let (true, Have::Some(old), Have::Some(new)) = (source.counted, &old, &source.have) {
            proven.plan.gain(&difference(new, old));
            proven.plan.lose(&difference(old, new));
            return;
        }
        self.count_have(peer);
    }

    /// Gives a source up until it is tried again. If it has a stream, that is
    /// closed.
    pub(super) fn fail(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        reason: DropReason,
    ) {
        self.close_stream(cx, now, peer);
        let content = self.content;
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        source.failures += 1;
        source.last_drop = Some(reason);
        if source.failures >= cx.config.failures_max {
            self.set_phase(peer, Phase::Banned);
            self.sources.remove(&peer);
            cx.timers.disarm(Timer::Source(content, peer));
            cx.event(DownloadEvent::SourceDropped {
                content,
                peer,
                reason,
                retry_at: None,
            });
            return;
        }
        let doubled = cx
            .config
            .retry_min
            .saturating_mul(1 << (source.failures - 1).min(16));
        let wait = match reason {
            // Not a matter of seconds.
            DropReason::Refused(RefusedReason::Changed) => cx.config.retry_max,
            // It may be about to fetch it, as we are.
            DropReason::Refused(RefusedReason::NotShared) => {
                (doubled / NOT_SHARED_SOONER).min(cx.config.retry_max)
            }
            _ => doubled.min(cx.config.retry_max),
        };
        let until = now + cx.jitter(wait);
        self.set_phase(peer, Phase::BackOff { until });
        cx.event(DownloadEvent::SourceDropped {
            content,
            peer,
            reason,
            retry_at: Some(until),
        });
        self.arm_source(cx, now, peer);
    }

    /// The stream or the link is gone: nothing can be said any more.
    pub(super) fn lose(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        reason: DropReason,
    ) {
        self.discount_have(peer);
        self.release_all(cx, now, peer);
        // Without a stream, `fail` has nothing to close.
        self.set_phase(peer, Phase::Spare);
        self.fail(cx, now, peer, reason);
    }

    /// Gives a source up for good.
    pub(super) fn ban(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        reason: DropReason,
    ) {
        self.close_stream(cx, now, peer);
        let content = self.content;
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        source.last_drop = Some(reason);
        self.set_phase(peer, Phase::Banned);
        cx.timers.disarm(Timer::Source(content, peer));
        cx.event(DownloadEvent::SourceDropped {
            content,
            peer,
            reason,
            retry_at: None,
        });
    }

    /// Something of this source may be due.
    pub(super) fn on_source_timer(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let Some(source) = self.sources.get(&peer) else {
            return;
        };
        match source.phase {
            Phase::BackOff { until } if now >= until => self.set_phase(peer, Phase::Spare),
            Phase::Dialing { since } if now >= since + dial_patience(cx) => {
                cx.dialing.remove(&peer);
                self.fail(cx, now, peer, DropReason::Unreachable);
            }
            Phase::Asked { since } if now >= since + cx.config.stall_max => {
                self.fail(cx, now, peer, DropReason::Silent);
            }
            Phase::Queued {
                refreshed: Some(at),
                ..
            } if now >= at + cx.config.stall_max => {
                self.fail(cx, now, peer, DropReason::Silent);
            }
            Phase::Queued {
                position,
                heard,
                refreshed: None,
            } if now >= heard + cx.config.queue_refresh => {
                let content = self.content;
                cx.send(peer, TransferMessage::Ask { content });
                self.set_phase(
                    peer,
                    Phase::Queued {
                        position,
                        heard,
                        refreshed: Some(now),
                    },
                );
            }
            Phase::Ready { .. } => self.watch_source(cx, now, peer),
            _ => {}
        }
        self.arm_source(cx, now, peer);
    }

    /// Wakes for what is due next of this source.
    pub(super) fn arm_source(&self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let Some(source) = self.sources.get(&peer) else {
            return;
        };
        let config = &cx.config;
        let at = match source.phase {
            Phase::Spare | Phase::Banned => return,
            Phase::BackOff { until } => until,
            Phase::Dialing { since } => since + dial_patience(cx),
            Phase::Asked { since } => since + config.stall_max,
            Phase::Queued {
                refreshed: Some(at),
                ..
            } => at + config.stall_max,
            Phase::Queued { heard, .. } => heard + config.queue_refresh,
            Phase::Ready { .. } => source.due_at(config, now),
        };
        // News may have become due when the source became idle.
        cx.timers
            .arm(Timer::Source(self.content, peer), at.max(now));
    }
}

/// How long a dial may go unanswered: the driver's own limit should strike
/// first.
fn dial_patience(cx: &Shared) -> Duration {
    cx.config.stall_max.saturating_mul(3)
}

/// Whether a set has no groups beyond the content's end.
fn fits(have: &Have, size: u64) -> bool {
    match have {
        Have::Whole => true,
        Have::Some(groups) => {
            let last = groups.runs().last();
            last.is_none_or(|run| run.end <= GroupRange::whole(size).end)
        }
    }
}
