//! The committing end of a scan, in the caller's thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gannet_base::ContentId;

use super::control::ScanControl;
use super::{PROBLEMS_MAX, ScanSummary, ShareChange, Step};
use crate::ScanError;
use crate::catalogue::{Change, Effect, ShareId};
use crate::store::Inner;

/// Most changes in one commit.
// Guess: bounds the memory of a transaction.
const BATCH_MAX: usize = 4_096;

/// Most changes that the sink is told of at once.
// Guess: a few hundred kilobytes.
const TOLD_MAX: usize = 1_024;

/// How long results may wait for more before they are committed.
// Guess: the eye calls it at once.
const IDLE: Duration = Duration::from_millis(50);

pub(super) struct Committer<'a> {
    store: &'a Inner,
    control: &'a ScanControl,
    sink: &'a mut dyn FnMut(Vec<ShareChange>),
    batch: Vec<Change>,
    /// Contents to unpin when the batch is committed.
    pinned: Vec<ContentId>,
    since: Option<Instant>,
    orphans: Vec<ContentId>,
    summary: ScanSummary,
}

impl<'a> Committer<'a> {
    pub(super) fn new(
        store: &'a Inner,
        control: &'a ScanControl,
        sink: &'a mut dyn FnMut(Vec<ShareChange>),
    ) -> Self {
        Self {
            store,
            control,
            sink,
            batch: Vec::new(),
            pinned: Vec::new(),
            since: None,
            orphans: Vec::new(),
            summary: ScanSummary::default(),
        }
    }

    /// Commits until all senders are done.
    pub(super) fn run(mut self, steps: &Receiver<Step>) -> Result<ScanSummary, ScanError> {
        let outcome = self.receive(steps).and_then(|()| self.commit());
        // What was not committed stays pinned by nobody.
        for content in std::mem::take(&mut self.pinned) {
            self.store.outboards.unpin(content);
        }
        outcome?;
        let orphans = std::mem::take(&mut self.orphans);
        let snapshot = self.store.catalogue.snapshot()?;
        self.store
            .outboards
            .sweep(orphans, |content| snapshot.holds(content))?;
        let progress = self.control.progress();
        self.summary.seen = progress.files_seen;
        self.summary.hashed = progress.files_hashed;
        self.summary.bytes_hashed = progress.bytes_hashed;
        self.summary.skipped = progress.skipped;
        Ok(self.summary)
    }

    fn receive(&mut self, steps: &Receiver<Step>) -> Result<(), ScanError> {
        let longest = Duration::from_millis(self.store.config.commit_every_millis);
        loop {
            let wait = match self.since {
                None => Duration::from_secs(3_600),
                Some(since) => IDLE.min(longest.saturating_sub(since.elapsed())),
            };
            match steps.recv_timeout(wait) {
                Ok(step) => self.take(step)?,
                Err(RecvTimeoutError::Timeout) => self.commit()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let due = self.since.is_some_and(|since| since.elapsed() >= longest);
            if due || self.batch.len() >= BATCH_MAX {
                self.commit()?;
            }
        }
    }

    fn take(&mut self, step: Step) -> Result<(), ScanError> {
        match step {
            Step::Change(change) => self.batch.push(change),
            Step::Pinned(place, record) => {
                self.pinned.push(record.content);
                self.batch.push(Change::Put(place, record));
            }
            Step::Lost(share, reason) => {
                self.commit()?;
                self.lost(share, reason)?;
            }
            Step::Back(share, root_ino) => {
                self.commit()?;
                self.back(share, root_ino)?;
            }
            Step::Problem(problem) => {
                tracing::debug!(problem, "not shared");
                if self.summary.problems.len() < PROBLEMS_MAX {
                    self.summary.problems.push(problem);
                }
            }
            Step::Failed(error) => return Err(error),
        }
        if !self.batch.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), ScanError> {
        self.since = None;
        let applied = self.store.catalogue.apply(&self.batch)?;
        self.batch.clear();
        for content in self.pinned.drain(..) {
            self.store.outboards.unpin(content);
        }
        self.orphans.extend(applied.orphans);
        for effects in applied.effects.chunks(TOLD_MAX) {
            self.tell(effects);
        }
        Ok(())
    }

    fn tell(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Added(..) => self.summary.added += 1,
                Effect::Removed(..) => self.summary.removed += 1,
            }
        }
        let shown = effects.iter().filter_map(|effect| self.store.shown(effect));
        let changes: Vec<ShareChange> = shown.collect();
        if !changes.is_empty() {
            (self.sink)(changes);
        }
    }

    /// The share's entries are withdrawn; its records are kept for when it is
    /// back.
    fn lost(&mut self, share: ShareId, reason: String) -> Result<(), ScanError> {
        tracing::warn!(share, reason, "a share is not available");
        let was_available = self.store.set_unavailable(share, Some(reason), None)?;
        if was_available {
            self.tell_all(share, Effect::Removed)?;
        }
        Ok(())
    }

    fn back(&mut self, share: ShareId, root_ino: u64) -> Result<(), ScanError> {
        let was_available = self.store.set_unavailable(share, None, Some(root_ino))?;
        if !was_available {
            self.tell_all(share, Effect::Added)?;
        }
        Ok(())
    }

    fn tell_all(
        &mut self,
        share: ShareId,
        effect: fn(crate::catalogue::Place, crate::catalogue::FileRecord) -> Effect,
    ) -> Result<(), ScanError> {
        let snapshot = self.store.catalogue.snapshot()?;
        let mut effects = Vec::new();
        for item in snapshot.share(share)? {
            if let (place, Some(record)) = item? {
                effects.push(effect(place, record));
            }
            if effects.len() == TOLD_MAX {
                self.tell(&effects);
                effects.clear();
            }
        }
        self.tell(&effects);
        Ok(())
    }
}
