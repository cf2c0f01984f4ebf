//! Every download moves, or says what it waits for, or is complete.

use std::time::Duration;

use gannet_base::Timestamp;

use super::config::DownloadsConfig;
use super::event::{DownloadEvent, DownloadState, DropReason, WaitReason};
use super::fill::STEAL_INTERVAL;
use super::shared::{Shared, Timer};
use super::source::Phase;
use super::transfer::Download;

/// What was last said about a download, and when it last moved.
#[derive(Debug)]
pub(super) struct Watch {
    progress: Timestamp,
    state: Option<DownloadState>,
    /// When more sources are called for next, and the wait after that.
    need: Option<(Timestamp, Duration)>,
    told: Timestamp,
    untold: bool,
}

impl Watch {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            progress: now,
            state: None,
            need: None,
            told: Timestamp::ZERO,
            untold: false,
        }
    }

    /// Groups came, or it was started again.
    pub(super) fn on_progress(&mut self, now: Timestamp) {
        self.progress = now;
        self.untold = true;
    }
}

impl Download {
    /// How it stands.
    pub(super) fn state(&self, config: &DownloadsConfig, now: Timestamp) -> DownloadState {
        if self.complete {
            DownloadState::Complete
        } else if self.paused {
            DownloadState::Paused
        } else if self.disk_full {
            DownloadState::Waiting(WaitReason::DiskFull)
        } else if self.claims.is_empty() && self.trials.is_empty() {
            DownloadState::Waiting(self.why_idle())
        } else if now < self.watch.progress + config.stall_max {
            DownloadState::Active
        } else {
            let owing = self.sources.values().filter(|source| source.is_flowing());
            let arrived = owing.clone().all(|source| source.sending().is_none());
            let reason = if arrived {
                WaitReason::Writing
            } else {
                WaitReason::Stalled
            };
            DownloadState::Waiting(reason)
        }
    }

    /// Why nothing is in flight.
    fn why_idle(&self) -> WaitReason {
        let any =
            |matches: fn(Phase) -> bool| self.sources.values().any(|source| matches(source.phase));
        if self.sources.is_empty() {
            return WaitReason::NoSources;
        }
        if self.yielding {
            return WaitReason::Turn;
        }
        if self
            .sources
            .values()
            .any(|source| source.is_ready() && source.snubbed.is_some())
        {
            return WaitReason::Stalled;
        }
        if self.counts.ready > 0 {
            return if self.starved {
                WaitReason::Turn
            } else {
                WaitReason::NothingOffered
            };
        }
        if self.counts.connecting + self.counts.spare > 0 {
            return WaitReason::Connecting;
        }
        if self.counts.queued > 0 {
            return WaitReason::Queued;
        }
        if !any(|phase| matches!(phase, Phase::BackOff { .. })) {
            return WaitReason::Banned;
        }
        let unreachable = self.sources.values().all(|source| {
            source.phase == Phase::Banned
                || matches!(
                    source.last_drop,
                    Some(DropReason::Unreachable | DropReason::Lost)
                )
        });
        if unreachable {
            WaitReason::Unreachable
        } else {
            WaitReason::Refused
        }
    }

    /// Says what changed, and wakes for what is due next.
    pub(super) fn observe(&mut self, cx: &mut Shared, now: Timestamp) {
        let content = self.content;
        let state = self.state(&cx.config, now);
        if self.watch.state != Some(state) {
            if state == DownloadState::Active {
                self.meter.start(now);
            } else {
                self.meter.stop(now);
            }
            self.watch.state = Some(state);
            cx.event(DownloadEvent::StateChanged { content, state });
            self.watch.need = first_need(state, cx, now);
        }
        if let (DownloadState::Waiting(why), Some((at, wait))) = (state, self.watch.need)
            && now >= at
        {
            cx.event(DownloadEvent::NeedSources { content, why });
            let wait = wait.max(cx.config.need_sources_min);
            let doubled = (wait * 2).min(cx.config.need_sources_max);
            self.watch.need = Some((now + wait, doubled));
        }
        if let Some(proven) = self.proven.as_ref().filter(|_| self.watch.untold)
            && now >= self.watch.told + cx.config.progress_interval
        {
            self.watch.told = now;
            self.watch.untold = false;
            let (have_bytes, size) = (proven.have_bytes, proven.size);
            cx.event(DownloadEvent::Progress {
                content,
                have_bytes,
                size,
            });
        }
        self.arm_download(cx, now, state);
    }

    fn arm_download(&self, cx: &mut Shared, now: Timestamp, state: DownloadState) {
        let need = self.watch.need.map(|(at, _)| at);
        let active = state == DownloadState::Active;
        let stalled = active.then(|| self.watch.progress + cx.config.stall_max);
        let idle = active && self.has_idle(cx, now);
        let help = idle.then(|| now + STEAL_INTERVAL);
        let untold = self.watch.untold && self.proven.is_some() && active;
        let tell = untold.then(|| self.watch.told + cx.config.progress_interval);
        let hedge = self.hedge_at(cx).filter(|_| active);
        let place = self.place_due(now);
        let due = [need, stalled, help, tell, hedge, place]
            .into_iter()
            .flatten()
            .min();
        if let Some(at) = due {
            cx.timers.arm(Timer::Download(self.content), at);
        }
    }
}

/// When to call for more sources in a new state.
fn first_need(state: DownloadState, cx: &Shared, now: Timestamp) -> Option<(Timestamp, Duration)> {
    let DownloadState::Waiting(why) = state else {
        return None;
    };
    match why {
        WaitReason::Turn | WaitReason::DiskFull | WaitReason::Writing => None,
        WaitReason::Connecting | WaitReason::Queued => {
            Some((now + cx.config.need_sources_min, Duration::ZERO))
        }
        WaitReason::NoSources
        | WaitReason::Unreachable
        | WaitReason::Refused
        | WaitReason::Banned
        | WaitReason::NothingOffered
        | WaitReason::Stalled => Some((now, Duration::ZERO)),
    }
}
