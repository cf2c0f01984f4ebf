//! One registration at one hub: the log cut into batches, sent again until
//! acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{ContentId, Rng, Timestamp};
use rand_core::Rng as _;

use super::log::{EntryKey, Latest, Log, Revision};
use crate::hub::chain;
use crate::hub::config::BATCH_BYTES_LIMIT;
use crate::hub::message::{BATCH_CHANGES_MAX, Change, HubMessage, Refusal, Standing};

/// Entries remembered as questions whose right answer is known.
const CANARIES_MAX: usize = 32;
/// Entries remembered of one batch.
const CANARIES_PER_BATCH: usize = 8;
/// Longest pause before a batch is sent again, and longest that a hub may ask
/// for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What batches look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Batches under way at most.
    pub(super) window: usize,
    /// Bytes of a batch.
    pub(super) batch_bytes: usize,
    /// Entries that the hub takes.
    pub(super) entries_max: usize,
    /// Least pause before a batch is sent again.
    pub(super) resend_min: Duration,
}

/// A hub's word does not fit what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mismatch;

/// A batch that is not acknowledged.
#[derive(Debug)]
struct Flight {
    changes: Vec<Change>,
    puts: usize,
    /// The last of the changes.
    until: Revision,
    chain_after: [u8; 16],
    /// When it was sent last; `None` if it is to be sent (again).
    sent_at: Option<Timestamp>,
    sends: u32,
}

/// A pass over the log at one hub.
#[derive(Debug, Default)]
pub(super) struct Registration {
    pub(super) epoch: u64,
    pub(super) number: u64,
    /// Batches acknowledged, and the digest over them.
    pub(super) acked: u32,
    chain: [u8; 16],
    /// What the hub had of us at its latest acknowledgement.
    pub(super) entries: u32,
    pub(super) refused: u32,
    /// Entries that were not even sent, because the hub takes no more.
    pub(super) held_back: u32,
    pub(super) refusal: Option<Refusal>,
    /// Everything up to here is in batches.
    pub(super) cursor: Revision,
    /// Withdrawals up to here concern nothing of this registration.
    began_after: Revision,
    pub(super) began_len: usize,
    in_flight: VecDeque<Flight>,
    window: usize,
    resend_at: Option<Timestamp>,
    backoff: u32,
    /// How often batches were sent again since there was any progress.
    pub(super) stalls: u32,
    hold_until: Timestamp,
    /// Round trip of a batch: a high estimate to give one up by, a low one to
    /// believe that it is missing by.
    batch_rtt: Duration,
    batch_rtt_low: Duration,
    /// Entries that the hub took for certain, as far as nothing happened to them
    /// since.
    canaries: Vec<Revision>,
}

impl Registration {
    /// Everything in the log, after one that had a lower number, if there was one.
    pub(super) fn begin(before: Option<&Self>, epoch: u64, number: u64, log: &Log) -> Self {
        let begun = Self {
            epoch,
            number,
            chain: chain::start(number),
            began_after: log.latest(),
            began_len: log.len(),
            window: 1,
            ..Self::default()
        };
        match before {
            Some(before) => Self {
                batch_rtt: before.batch_rtt,
                batch_rtt_low: before.batch_rtt_low,
                hold_until: before.hold_until,
                ..begun
            },
            None => begun,
        }
    }

    /// Whether withdrawals that concern this registration were forgotten
    /// before they were sent.
    pub(super) fn missed_withdrawals(&self, log: &Log) -> bool {
        self.cursor.max(self.began_after) < log.floor()
    }

    pub(super) fn is_caught_up(&self, log: &Log) -> bool {
        self.in_flight.is_empty() && log.after(self.cursor).next().is_none()
    }

    /// How many entries the hub does not have, because it takes no more.
    pub(super) fn missing(&self) -> u32 {
        self.refused.saturating_add(self.held_back)
    }

    /// How many changes wait for an acknowledgement.
    pub(super) fn outstanding(&self, log: &Log) -> usize {
        let in_flight: usize = self.in_flight.iter().map(|one| one.changes.len()).sum();
        in_flight + log.after(self.cursor).count()
    }

    /// Takes in how the hub says this registration stands. True if batches
    /// were acknowledged by it. A standing that is older than what is known
    /// says nothing.
    pub(super) fn advance(
        &mut self,
        now: Timestamp,
        standing: &Standing,
        log: &Log,
        rng: &mut Rng,
    ) -> Result<bool, Mismatch> {
        let Some(more) = standing.next.checked_sub(self.acked) else {
            return Ok(false);
        };
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        let chain = match more {
            0 => self.chain,
            _ => self.in_flight.get(more - 1).ok_or(Mismatch)?.chain_after,
        };
        if chain != standing.chain {
            return Err(Mismatch);
        }
        if more == 0 {
            return Ok(false);
        }
        let all_taken = standing.refused == self.refused;
        if !all_taken {
            self.canaries.clear();
        }
        for flight in self.in_flight.drain(..more) {
            match flight.sent_at {
                // Of one sent twice nobody knows which was acknowledged.
                Some(sent_at) if flight.sends == 1 => {
                    let sample = now - sent_at;
                    self.batch_rtt = sample.max((self.batch_rtt * 7 + sample) / 8);
                    let low = match self.batch_rtt_low {
                        Duration::ZERO => sample,
                        low => low,
                    };
                    self.batch_rtt_low = sample.min((low * 7 + sample) / 8);
                    self.backoff = 0;
                }
                _ => {}
            }
            if all_taken {
                remember(&mut self.canaries, &flight, log, rng);
            }
        }
        self.acked = standing.next;
        self.chain = chain;
        self.entries = standing.entries;
        self.refused = standing.refused;
        self.window = self.window.saturating_add(more);
        self.stalls = 0;
        self.resend_at = None;
        Ok(true)
    }

    /// The hub misses a batch, unless that one was sent again so lately that
    /// it cannot have arrived.
    pub(super) fn on_gap(&mut self, now: Timestamp, resend_min: Duration) {
        let least = match self.batch_rtt_low {
            Duration::ZERO => resend_min,
            known => known,
        };
        let waited = |flight: &Flight| flight.sent_at.is_some_and(|at| now - at >= least);
        if self.in_flight.front().is_some_and(waited) {
            self.window /= 2;
            self.send_again();
        }
    }

    /// The hub wants a rest.
    pub(super) fn hold(&mut self, now: Timestamp, wait_ms: u32) {
        let wait = Duration::from_millis(u64::from(wait_ms)).min(PAUSE_MAX);
        self.hold_until = now + wait;
        self.send_again();
    }

    /// Whatever was sent may not have arrived.
    pub(super) fn send_again(&mut self) {
        for flight in &mut self.in_flight {
            flight.sent_at = None;
        }
        self.resend_at = None;
    }

    /// Has what is under way sent at the next timeout.
    pub(super) fn wake(&mut self, now: Timestamp) {
        if !self.in_flight.is_empty() {
            self.resend_at = Some(now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.resend_at
    }

    /// Sends again what was not acknowledged in time. The caller calls
    /// [`fill`](Self::fill) afterwards.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if self.resend_at.is_none_or(|due| now < due) {
            return;
        }
        // The end of a rest is no loss.
        if self.in_flight.iter().any(|flight| flight.sent_at.is_some()) {
            self.stalls += 1;
            self.backoff = (self.backoff + 1).min(16);
            self.window = 1;
        }
        self.send_again();
    }

    /// What is to be sent now.
    pub(super) fn fill(&mut self, now: Timestamp, log: &Log, shape: Shape) -> Vec<HubMessage> {
        let mut messages = Vec::new();
        if now < self.hold_until {
            self.resend_at = Some(self.hold_until);
            return messages;
        }
        self.window = self.window.clamp(1, shape.window.max(1));
        for place in 0..self.window {
            if place == self.in_flight.len() {
                match self.cut(log, shape) {
                    Some(flight) => self.in_flight.push_back(flight),
                    None => break,
                }
            }
            let sequence =
                u32::try_from(place).map_or(u32::MAX, |place| self.acked.saturating_add(place));
            let (epoch, registration) = (self.epoch, self.number);
            let Some(flight) = self.in_flight.get_mut(place) else {
                break;
            };
            if flight.sent_at.is_none() {
                messages.push(HubMessage::Batch {
                    epoch,
                    registration,
                    sequence,
                    changes: flight.changes.clone(),
                });
                flight.sends += 1;
                flight.sent_at = Some(now);
            }
        }
        if self.in_flight.is_empty() {
            self.in_flight = VecDeque::new();
            self.resend_at = None;
        } else if self.resend_at.is_none() {
            self.resend_at = Some(now + self.pause(shape));
        }
        messages
    }

    fn pause(&self, shape: Shape) -> Duration {
        let first = shape.resend_min.max(self.batch_rtt * 3);
        (first * (1 << self.backoff.min(10))).min(PAUSE_MAX)
    }

    /// The next batch, if there is anything to tell. A registration's first
    /// may be empty: it makes the hub forget the one before.
    fn cut(&mut self, log: &Log, shape: Shape) -> Option<Flight> {
        let first = self.acked == 0 && self.in_flight.is_empty();
        let full = log.len() > shape.entries_max;
        let taken = usize::try_from(self.entries).unwrap_or(usize::MAX);
        let under_way: usize = self.in_flight.iter().map(|flight| flight.puts).sum();
        let bytes_max = shape.batch_bytes.min(BATCH_BYTES_LIMIT);
        let (mut bytes, mut puts) = (0, 0);
        let mut changes = Vec::new();
        for (revision, latest) in log.after(self.cursor) {
            let change = match latest {
                Latest::Withdrawn(_) if revision <= self.began_after => None,
                Latest::Withdrawn(gone) => Some(Change::Remove {
                    content: gone.0,
                    path: gone.1.clone(),
                }),
                Latest::Published(_) if full && taken + under_way + puts >= shape.entries_max => {
                    self.held_back = self.held_back.saturating_add(1);
                    None
                }
                Latest::Published(publication) => Some(Change::put(publication)),
            };
            if let Some(change) = change {
                let more = chain::change_bytes(&change);
                let ends = bytes + more > bytes_max && !changes.is_empty();
                if ends || changes.len() == BATCH_CHANGES_MAX {
                    break;
                }
                bytes += more;
                puts += usize::from(matches!(change, Change::Put { .. }));
                changes.push(change);
            }
            self.cursor = revision;
        }
        if changes.is_empty() && !first {
            return None;
        }
        let before = self
            .in_flight
            .back()
            .map_or(self.chain, |last| last.chain_after);
        Some(Flight {
            chain_after: chain::extend(before, &changes),
            puts,
            until: self.cursor,
            changes,
            sent_at: None,
            sends: 0,
        })
    }

    /// An entry that the hub must know, if there is one.
    pub(super) fn canary(&mut self, log: &Log, rng: &mut Rng) -> Option<(Revision, ContentId)> {
        self.canaries
            .retain(|canary| log.published(*canary).is_some());
        let canary = pick(self.canaries.len(), rng).map(|place| self.canaries[place])?;
        Some((canary, log.published(canary)?.entry.content))
    }
}

fn remember(canaries: &mut Vec<Revision>, flight: &Flight, log: &Log, rng: &mut Rng) {
    for _ in 0..CANARIES_PER_BATCH.min(flight.changes.len()) {
        let place = pick(flight.changes.len(), rng).unwrap_or(0);
        let Some(Change::Put { entry, .. }) = flight.changes.get(place) else {
            continue;
        };
        let key = EntryKey::of(entry.content, &entry.path);
        // Changed since the batch was cut: another batch will tell.
        let Some(canary) = log.published_at(key).filter(|at| *at <= flight.until) else {
            continue;
        };
        if canaries.contains(&canary) {
            continue;
        }
        if canaries.len() < CANARIES_MAX {
            canaries.push(canary);
        } else if let Some(place) = pick(CANARIES_MAX, rng) {
            canaries[place] = canary;
        }
    }
}

/// A place among `count`, at random.
fn pick(count: usize, rng: &mut Rng) -> Option<usize> {
    let draw = rng.next_u64();
    let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
    usize::try_from(draw % count).ok()
}
