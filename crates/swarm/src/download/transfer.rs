//! One download: what is here, what is in flight, and the books between them.

use std::collections::BTreeMap;

use gannet_base::{ContentId, GroupRange, GroupSet, PeerId, Timestamp, groups_in};

use super::claims::Claims;
use super::event::{DownloadEvent, DownloadState, DownloadStatus, DropReason, SourceStatus};
use super::plan::{Plan, Want};
use super::shared::Shared;
use super::size::Trials;
use super::source::{Phase, Source};
use super::watchdog::Watch;
use crate::message::{Have, TransferMessage};
use crate::rate::RateMeter;
use crate::runs::Runs;

/// How many sources are in which phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) spare: usize,
    pub(super) connecting: usize,
    pub(super) queued: usize,
    pub(super) ready: usize,
}

impl Counts {
    fn of(&mut self, phase: Phase) -> Option<&mut usize> {
        match phase {
            Phase::Spare => Some(&mut self.spare),
            Phase::Dialing { .. } | Phase::Asked { .. } => Some(&mut self.connecting),
            Phase::Queued { .. } => Some(&mut self.queued),
            Phase::Ready { .. } => Some(&mut self.ready),
            Phase::BackOff { .. } | Phase::Banned => None,
        }
    }
}

/// What is known once the size is.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) size: u64,
    pub(super) have: Runs,
    pub(super) have_bytes: u64,
    pub(super) plan: Plan,
}

#[derive(Debug)]
pub(super) struct Download {
    pub(super) content: ContentId,
    pub(super) priority: u8,
    /// Order in which downloads were started.
    pub(super) seq: u64,
    pub(super) size_hint: Option<u64>,
    /// Verified in an earlier run; waits for the size to be proven.
    pub(super) resumed: GroupSet,
    /// Only these groups are fetched; all if `None`.
    pub(super) wanted: Option<GroupSet>,
    pub(super) proven: Option<Proven>,
    pub(super) trials: Trials,
    pub(super) claims: Claims,
    pub(super) sources: BTreeMap<PeerId, Source>,
    pub(super) counts: Counts,
    pub(super) source_seq: u64,
    pub(super) paused: bool,
    pub(super) disk_full: bool,
    pub(super) complete: bool,
    /// More important downloads are running.
    pub(super) yielding: bool,
    /// Counted in [`Shared::busy`].
    pub(super) busy: bool,
    pub(super) watching: Option<u64>,
    /// Groups became open, or a source has more: everybody may be asked.
    pub(super) dirty: bool,
    /// The global limit kept it from asking.
    pub(super) starved: bool,
    /// It is its turn under the global limit.
    pub(super) served: bool,
    pub(super) duplicate_bytes: u64,
    pub(super) meter: RateMeter,
    pub(super) watch: Watch,
}

impl Download {
    pub(super) fn new(content: ContentId, seq: u64, now: Timestamp) -> Self {
        Self {
            content,
            priority: 0,
            seq,
            size_hint: None,
            resumed: GroupSet::new(),
            wanted: None,
            proven: None,
            trials: Trials::default(),
            claims: Claims::default(),
            sources: BTreeMap::new(),
            counts: Counts::default(),
            source_seq: 0,
            paused: false,
            disk_full: false,
            complete: false,
            yielding: false,
            busy: false,
            watching: None,
            dirty: false,
            starved: false,
            served: false,
            duplicate_bytes: 0,
            meter: RateMeter::default(),
            watch: Watch::new(now),
        }
    }

    /// Wants to connect and fetch.
    pub(super) fn is_running(&self) -> bool {
        !self.paused && !self.disk_full && !self.complete
    }

    /// After anything happened: does what follows from it.
    pub(super) fn settle(&mut self, cx: &mut Shared, now: Timestamp) {
        if !self.complete && self.has_all_wanted() {
            self.complete = true;
            self.leave_all(cx, now);
            let content = self.content;
            cx.event(DownloadEvent::Complete { content });
        }
        if self.is_running() {
            self.connect(cx, now);
            self.prove_size(cx, now);
            if self.dirty {
                self.fill_all(cx, now);
            }
        }
        self.count_busy(cx);
        self.observe(cx, now);
    }

    fn has_all_wanted(&self) -> bool {
        let Some(proven) = &self.proven else {
            return false;
        };
        match &self.wanted {
            None => proven.have.len() == groups_in(proven.size),
            Some(_) => self.gaps(GroupRange::whole(proven.size)).is_empty(),
        }
    }

    /// The runs of `range` that are wanted and not here; none before the size is
    /// proven.
    fn gaps(&self, range: GroupRange) -> Vec<GroupRange> {
        let Some(proven) = &self.proven else {
            return Vec::new();
        };
        match &self.wanted {
            None => proven.have.gaps(range),
            Some(wanted) => {
                let wanted = wanted.intersection(&range.into());
                let gaps = wanted.runs().iter().map(|run| proven.have.gaps(*run));
                gaps.flatten().collect()
            }
        }
    }

    /// Only these groups are wanted from now on; all if `None`.
    pub(super) fn on_want(&mut self, groups: Option<GroupSet>) {
        self.wanted = groups;
        let Some(size) = self.proven.as_ref().map(|proven| proven.size) else {
            return;
        };
        let whole = GroupRange::whole(size);
        let asked: GroupSet = self.claims.iter().map(|claim| claim.range).collect();
        let gaps: GroupSet = self.gaps(whole).into_iter().collect();
        self.complete &= gaps.is_empty();
        if let Some(proven) = &mut self.proven {
            proven.plan.close(whole);
            for gap in gaps.difference(&asked).runs() {
                proven.plan.open(*gap);
            }
        }
        self.dirty = true;
    }

    pub(super) fn set_phase(&mut self, peer: PeerId, phase: Phase) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let old = std::mem::replace(&mut source.phase, phase);
        if let Some(count) = self.counts.of(old) {
            *count -= 1;
        }
        if let Some(count) = self.counts.of(phase) {
            *count += 1;
        }
    }

    /// The size is `size`: everything that is not here is open.
    pub(super) fn prove(&mut self, cx: &mut Shared, now: Timestamp, size: u64) {
        let whole = GroupRange::whole(size);
        let mut proven = Proven {
            size,
            have: self
                .resumed
                .intersection(&whole.into())
                .runs()
                .iter()
                .copied()
                .collect(),
            have_bytes: 0,
            plan: Plan::new(groups_in(size)),
        };
        self.resumed = GroupSet::new();
        proven.have_bytes = proven.have.to_set().bytes(size);
        self.proven = Some(proven);
        let gaps = self.gaps(whole);
        if let Some(proven) = &mut self.proven {
            gaps.into_iter().for_each(|gap| proven.plan.open(gap));
        }
        self.dirty = true;
        self.watch.on_progress(now);
        let wrong = |source: &Source| source.size.is_some_and(|claimed| claimed != size);
        let peers: Vec<_> = self.sources.keys().copied().collect();
        for peer in peers {
            let Some(source) = self.sources.get(&peer).filter(|source| source.is_ready()) else {
                continue;
            };
            if wrong(source) {
                let claimed = source.size.unwrap_or(0);
                self.ban(cx, now, peer, DropReason::WrongSize { claimed });
            } else {
                self.count_have(peer);
            }
        }
    }

    /// Counts what a partial source has, and what a source gave to others, into
    /// the availability.
    pub(super) fn count_have(&mut self, peer: PeerId) {
        let (Some(proven), Some(source)) = (&mut self.proven, self.sources.get_mut(&peer)) else {
            return;
        };
        if let (false, Have::Some(groups)) = (source.counted, &source.have) {
            proven.plan.gain(groups);
            source.counted = true;
        }
        if !std::mem::replace(&mut source.given_counted, true) {
            proven.plan.gain(&source.given.to_set());
        }
    }

    /// Takes both out again, and forgets what was given.
    pub(super) fn discount_have(&mut self, peer: PeerId) {
        let (Some(proven), Some(source)) = (&mut self.proven, self.sources.get_mut(&peer)) else {
            return;
        };
        if let (true, Have::Some(groups)) = (source.counted, &source.have) {
            proven.plan.lose(groups);
        }
        source.counted = false;
        let given = std::mem::take(&mut source.given);
        if std::mem::replace(&mut source.given_counted, false) {
            proven.plan.lose(&given.to_set());
        }
    }

    /// `groups` are verified and written. Whoever else was asked for them need
    /// not send them. Returns how many bytes are new.
    pub(super) fn credit(&mut self, cx: &mut Shared, now: Timestamp, groups: &GroupSet) -> u64 {
        let Some(size) = self.proven.as_ref().map(|proven| proven.size) else {
            return 0;
        };
        let mut fresh = 0;
        for run in groups.runs() {
            let run = run.intersection(GroupRange::whole(size));
            if run.is_empty() {
                continue;
            }
            if let Some(proven) = &mut self.proven {
                for gap in proven.have.gaps(run) {
                    let bytes = gap.bytes(size);
                    fresh += bytes.end - bytes.start;
                }
                proven.have.insert(run);
                proven.plan.close(run);
            }
            for claim in self.claims.take_overlapping(run) {
                for holder in claim.holders {
                    self.abandon(cx, now, holder, claim.range);
                }
                self.reopen(claim.range);
            }
        }
        let bytes = groups.bytes(size);
        self.duplicate_bytes = self
            .duplicate_bytes
            .saturating_add(bytes.saturating_sub(fresh));
        if let Some(proven) = &mut self.proven {
            proven.have_bytes += fresh;
        }
        if fresh > 0 {
            self.meter.add(now, fresh);
            self.watch.on_progress(now);
        }
        fresh
    }

    /// What of `range` is not here is open again. Nobody may hold it.
    pub(super) fn reopen(&mut self, range: GroupRange) {
        let gaps = self.gaps(range);
        if let Some(proven) = &mut self.proven {
            gaps.into_iter().for_each(|gap| proven.plan.open(gap));
            self.dirty = true;
        }
    }

    /// `peer` will not bring `range`: somebody else has to, unless somebody
    /// else is at it.
    pub(super) fn release(&mut self, peer: PeerId, range: GroupRange) {
        if self.claims.release(range, peer) {
            self.reopen(range);
        }
        self.trials.remove(peer);
    }

    /// The answer of `peer` to its request is not needed any more. It stays in
    /// the books until it is answered.
    pub(super) fn abandon(
        &mut self,
        cx: &mut Shared,
        _: Timestamp,
        peer: PeerId,
        range: GroupRange,
    ) {
        let content = self.content;
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let wanted =
            |request: &&mut super::source::Request| request.range == range && request.wanted;
        if let Some(request) = source.requests.iter_mut().find(wanted) {
            request.wanted = false;
            cx.in_flight_bytes -= request.bytes;
            if request.announced.is_none() {
                cx.send(
                    peer,
                    TransferMessage::Cancel {
                        content,
                        slice: range,
                    },
                );
            }
        }
    }

    /// Gives up all requests of `peer`, answered or not: its stream is gone.
    pub(super) fn release_all(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let requests = std::mem::take(&mut source.requests);
        source.in_flight_bytes = 0;
        source.meter.stop(now);
        source.snubbed = None;
        source.have_next = None;
        for request in requests {
            if request.wanted {
                cx.in_flight_bytes -= request.bytes;
            }
            self.release(peer, request.range);
        }
        self.trials.remove(peer);
    }

    /// Leaves every source; what they were asked for is open again.
    pub(super) fn leave_all(&mut self, cx: &mut Shared, now: Timestamp) {
        let peers: Vec<_> = self.sources.keys().copied().collect();
        for peer in peers {
            let left = self.sources.get(&peer).is_some_and(Source::has_stream);
            self.close_stream(cx, now, peer);
            let dialing = self.sources.get(&peer).map(|source| source.phase);
            if left || matches!(dialing, Some(Phase::Dialing { .. })) {
                self.set_phase(peer, Phase::Spare);
            }
        }
    }

    /// Says goodbye, if there is a stream to say it on, and forgets what was
    /// asked.
    pub(super) fn close_stream(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let content = self.content;
        if self.sources.get(&peer).is_some_and(Source::has_stream) {
            cx.send(peer, TransferMessage::Leave { content });
            cx.event(DownloadEvent::Close { content, peer });
        }
        self.discount_have(peer);
        self.release_all(cx, now, peer);
    }

    pub(super) fn want(&self, source: &Source) -> Want {
        match self.watching {
            Some(first) => Want::InOrder(first),
            None => Want::Rarest(source.cursor),
        }
    }

    pub(super) fn have_bytes(&self) -> u64 {
        self.proven.as_ref().map_or(0, |proven| proven.have_bytes)
    }

    pub(super) fn status(&self, config: &super::DownloadsConfig, now: Timestamp) -> DownloadStatus {
        let rate = |meter: &RateMeter| meter.rate(now).unwrap_or(0);
        let sources = self.sources.iter().map(|(peer, source)| SourceStatus {
            peer: *peer,
            state: source.state(),
            rate_bytes_per_second: if source.requests.is_empty() {
                0
            } else {
                rate(&source.meter)
            },
            bytes: source.bytes,
            in_flight_bytes: source.in_flight_bytes,
        });
        let state = self.state(config, now);
        let have = match &self.proven {
            Some(proven) => proven.have.to_set(),
            None => self.resumed.clone(),
        };
        DownloadStatus {
            state,
            size: self.proven.as_ref().map(|proven| proven.size),
            have_bytes: self.have_bytes(),
            have,
            rate_bytes_per_second: if state == DownloadState::Active {
                rate(&self.meter)
            } else {
                0
            },
            duplicate_bytes: self.duplicate_bytes,
            sources: sources.collect(),
        }
    }
}
