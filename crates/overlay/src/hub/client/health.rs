//! Whether a hub is alive and right: keep-alives and canaries.

use std::time::Duration;

use gannet_base::{PeerId, Row, Timestamp};
use rand_core::Rng as _;

use super::batches::Canary;
use super::{DownReason, HubClient};
use crate::hub::message::{HubCounts, HubMessage, Standing};

/// A hub that did well for so many keep-alives is forgiven.
const FORGIVEN_AFTER: u32 = 4;
/// Least time between two keep-alives, however short a hub's lease is.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The rounds of questions to one hub.
#[derive(Debug, Default)]
pub(super) struct Keepalive {
    next_at: Timestamp,
    ping: Option<Ping>,
    /// The number of the canary under way.
    canary: Option<u64>,
}

#[derive(Debug)]
struct Ping {
    nonce: u64,
    since: Timestamp,
    attempts: u32,
    resend_at: Timestamp,
    /// What was known when it was first sent: an answer knows no less.
    known: Known,
}

/// The least that an honest answer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) acked: u32,
}

impl Keepalive {
    pub(super) fn next_deadline(&self) -> Timestamp {
        match &self.ping {
            Some(ping) => ping.resend_at,
            None => self.next_at,
        }
    }

    /// Starts a new round at the next timeout.
    pub(super) fn ask_now(&mut self, now: Timestamp) {
        self.ping = None;
        self.next_at = now;
    }

    /// Starts a new round at the next timeout, unless one is under way.
    pub(super) fn ask_soon(&mut self, now: Timestamp) {
        self.next_at = self.next_at.min(now);
    }
}

impl HubClient {
    /// Time between two rounds at a hub.
    fn keepalive_interval(&self, hub: PeerId) -> Duration {
        let lease = self.hubs.get(&hub).map_or(0, |s| s.limits.lease_seconds);
        let quarter = Duration::from_secs(u64::from(lease)) / 4;
        quarter.clamp(
            INTERVAL_MIN.min(self.config.keepalive_interval),
            self.config.keepalive_interval,
        )
    }

    /// The time of the next round: up to an eighth early, so that clients do
    /// not keep step.
    fn next_round(&mut self, now: Timestamp, hub: PeerId) -> Timestamp {
        let interval = self.keepalive_interval(hub);
        let eighth = u64::try_from(interval.as_micros() / 8).unwrap_or(0);
        let early = Duration::from_micros(self.rng.next_u64() % eighth.max(1));
        now + (interval - early)
    }

    pub(super) fn start_keepalive(&mut self, now: Timestamp, hub: PeerId) {
        let next_at = self.next_round(now, hub);
        if let Some(state) = self.hubs.get_mut(&hub) {
            state.keepalive.ping = None;
            state.keepalive.next_at = next_at;
        }
    }

    /// Asks every hub at once; also tells them what is announced.
    pub(super) fn keep_alive_all(&mut self, now: Timestamp) {
        let live: Vec<PeerId> = self
            .hubs
            .iter_mut()
            .filter(|(_, state)| state.is_live())
            .map(|(hub, state)| {
                state.keepalive.ask_now(now);
                *hub
            })
            .collect();
        for hub in live {
            self.on_health_timeout(now, hub);
        }
    }

    pub(super) fn on_health_timeout(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get(&hub).filter(|state| state.is_live()) else {
            return;
        };
        if now < state.keepalive.next_deadline() {
            return;
        }
        let under_way = state.keepalive.ping.as_ref();
        match under_way.map(|ping| (ping.attempts, now - ping.since)) {
            Some((_, unanswered)) if unanswered >= self.config.silence_max => {
                self.on_down(now, hub, DownReason::Silent { unanswered });
            }
            Some((attempts, _)) => self.ping_again(now, hub, attempts),
            None => {
                self.ping_first(now, hub);
                self.ask_canary(now, hub);
            }
        }
    }

    fn ping_first(&mut self, now: Timestamp, hub: PeerId) {
        let nonce = self.rng.next_u64();
        let resend_at = now + self.question_pause(hub, 0);
        if let Some(state) = self.hubs.get_mut(&hub) {
            state.keepalive.ping = Some(Ping {
                nonce,
                since: now,
                attempts: 1,
                resend_at,
                known: Known {
                    number: state.registration.number,
                    acked: state.registration.acked,
                },
            });
            self.send_ping(hub, nonce);
        }
    }

    fn ping_again(&mut self, now: Timestamp, hub: PeerId, attempts: u32) {
        let resend_at = now + self.question_pause(hub, attempts);
        let state = self.hubs.get_mut(&hub);
        if let Some(ping) = state.and_then(|state| state.keepalive.ping.as_mut()) {
            ping.attempts += 1;
            ping.resend_at = resend_at;
            let nonce = ping.nonce;
            self.send_ping(hub, nonce);
        }
    }

    fn send_ping(&mut self, hub: PeerId, nonce: u64) {
        let message = HubMessage::Ping {
            nonce,
            announcement: self.announcement.clone(),
        };
        self.send(hub, message);
    }

    pub(super) fn on_pong(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        nonce: u64,
        standing: Standing,
        counts: HubCounts,
    ) {
        let next_at = self.next_round(now, hub);
        let Some(state) = self.hubs.get_mut(&hub).filter(|state| state.is_live()) else {
            return;
        };
        let Some(ping) = state.keepalive.ping.take_if(|ping| ping.nonce == nonce) else {
            return;
        };
        state.keepalive.next_at = next_at;
        state.counts = counts;
        state.answered_at = Some(now);
        if ping.attempts == 1 {
            state.canary_rtt = Some(now - ping.since);
        }
        let forgiven_at = state.live_since + self.config.keepalive_interval * FORGIVEN_AFTER;
        if state.keepalive.canary.is_none() && now >= forgiven_at {
            state.failures = 0;
            state.strikes = 0;
        }
        self.on_standing(now, hub, standing, ping.known);
    }

    /// Asks for one of our own entries, in the words of any other question.
    fn ask_canary(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(&hub) else {
            return;
        };
        if state.keepalive.canary.is_some() {
            return;
        }
        let Some(canary) = state.registration.canary(&self.log, &mut self.rng) else {
            return;
        };
        let number = state.registration.number;
        let request = self.ask_for_canary(now, hub, canary, number);
        if let Some(state) = self.hubs.get_mut(&hub) {
            state.keepalive.canary = Some(request);
        }
    }

    /// The hub answered a canary, with `rows`.
    pub(super) fn on_canary_answer(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        (canary, number, asked_at): (Canary, u64, Timestamp),
        rows: &[Row],
    ) {
        self.end_canary(hub);
        let Some(state) = self.hubs.get_mut(&hub) else {
            return;
        };
        // Withdrawn or registered anew meanwhile: no answer would be wrong.
        if state.registration.number != number || !canary.stands(&self.log) {
            return;
        }
        let own = self.own;
        let named = rows
            .iter()
            .flat_map(|row| &row.hits)
            .any(|hit| own == Some(hit.holder()));
        // The content has more holders than a message names.
        let cut_short = rows.iter().any(|row| {
            let named = u32::try_from(row.hits.len()).unwrap_or(u32::MAX);
            row.holders > named && named > 0
        });
        if named {
            state.canary_rtt = Some(now - asked_at);
            state.answered_at = Some(now);
        } else if !cut_short {
            self.on_down(now, hub, DownReason::WrongAnswer);
        }
    }

    /// The canary under way is done with, whatever came of it.
    pub(super) fn end_canary(&mut self, hub: PeerId) {
        if let Some(state) = self.hubs.get_mut(&hub) {
            state.keepalive.canary = None;
        }
    }
}
