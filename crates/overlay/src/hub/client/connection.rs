//! Coming to a hub, and leaving it.

use std::time::Duration;

use gannet_base::{Output, PeerId, Rng, Timestamp};
use rand_core::Rng as _;

use super::batches::Registration;
use super::health::{Keepalive, Rtt};
use super::log::Log;
use super::{DownReason, HubClient, HubClientEvent, HubPhase, HubState};
use crate::hub::message::{HubCounts, HubMessage, Limits, Refusal, Standing};

/// Least time between two greetings of a hub that says it has forgotten us.
const GREETING_INTERVAL: Duration = Duration::from_secs(1);

/// How far we are with a hub.
#[derive(Debug)]
pub(super) enum Phase {
    Resting { until: Timestamp },
    Dialing { until: Timestamp },
    Greeting(Box<Greeting>),
    Live,
}

#[derive(Debug)]
pub(super) struct Greeting {
    nonce: u64,
    attempts: u32,
    since: Timestamp,
    resend_at: Timestamp,
    /// It was live before and has forgotten us.
    again: bool,
}

/// What is known of a hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) phase: Phase,
    linked: bool,
    greeted_at: Option<Timestamp>,
    pub(super) live_since: Timestamp,
    /// Times left since it last did well for a while.
    pub(super) failures: u32,
    pub(super) strikes: u32,
    pub(super) limits: Limits,
    pub(super) counts: HubCounts,
    pub(super) keepalive: Keepalive,
    /// What was begun at it, if anything was.
    pub(super) registration: Option<Box<Registration>>,
    /// Its epoch and our registration there, by its latest word; a new one's
    /// number is above it.
    pub(super) epoch: u64,
    pub(super) number: u64,
    /// None before the first registration.
    pub(super) notices: Option<Box<super::registration::Notices>>,
    pub(super) canary_rtt: Option<Rtt>,
    pub(super) answered_at: Option<Timestamp>,
    /// Boxed: those in use have mostly never been left.
    last_down: Option<Box<DownReason>>,
}

impl Hub {
    fn new(dial_until: Timestamp) -> Self {
        Self {
            phase: Phase::Dialing { until: dial_until },
            linked: false,
            greeted_at: None,
            live_since: Timestamp::ZERO,
            failures: 0,
            strikes: 0,
            limits: Limits::default(),
            counts: HubCounts::default(),
            keepalive: Keepalive::default(),
            registration: None,
            epoch: 0,
            number: 0,
            notices: None,
            canary_rtt: None,
            answered_at: None,
            last_down: None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Resting { until } | Phase::Dialing { until } => Some(*until),
            Phase::Greeting(greeting) => Some(greeting.resend_at),
            Phase::Live => {
                let keepalive = self.keepalive.next_deadline();
                let registration = self.registration.as_ref();
                let registration = registration.and_then(|one| one.next_deadline());
                Some(registration.map_or(keepalive, |due| due.min(keepalive)))
            }
        }
    }

    pub(super) fn status(&self, hub: PeerId, log: &Log) -> HubState {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let registration = self.registration.as_deref();
        let refused = registration.map_or(0, Registration::missing);
        HubState {
            hub,
            phase: match self.phase {
                Phase::Resting { until } => HubPhase::Resting { until },
                Phase::Dialing { .. } => HubPhase::Dialing,
                Phase::Greeting(_) => HubPhase::Greeting,
                Phase::Live => HubPhase::Live,
            },
            connected: self.is_live(),
            registered: count(registration.map_or(0, |one| one.entries)),
            unregistered: registration.map_or(log.after(0).count(), |one| one.outstanding(log)),
            refused: count(refused),
            canary_rtt: self.canary_rtt.map(Rtt::duration),
            answered_at: self.answered_at,
            last_down: self.last_down.as_deref().copied(),
            counts: self.counts,
        }
    }
}

impl HubClient {
    pub(super) fn on_hubs(&mut self, now: Timestamp, named: Vec<PeerId>) {
        let mut wanted: Vec<PeerId> = Vec::new();
        for hub in named {
            if wanted.len() < self.config.hubs_max && !wanted.contains(&hub) {
                wanted.push(hub);
            }
        }
        let dropped: Vec<PeerId> = self
            .hubs
            .ids()
            .filter(|hub| !wanted.contains(hub))
            .collect();
        for hub in dropped {
            self.say_goodbye(now, hub);
        }
        for hub in wanted {
            if !self.hubs.contains(hub) {
                let until = now + self.config.dial_timeout;
                self.hubs.add(hub, Hub::new(until));
                self.outbox.push_back(Output::Dial { peer: hub });
            }
        }
        self.tidy_log();
    }

    /// Leaves a hub for good. The link stays: others may use it, and giving it
    /// up at once could overtake the goodbye.
    pub(super) fn say_goodbye(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.remove(hub) else {
            return;
        };
        if state.linked {
            let begun = state.registration.map(|one| (one.epoch, one.number));
            let (epoch, registration) = begun.unwrap_or((state.epoch, 0));
            let message = HubMessage::Goodbye {
                epoch,
                registration,
            };
            self.send(hub, message);
        }
        self.on_hub_gone(now, hub);
    }

    pub(super) fn on_link_up(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        state.linked = true;
        let welcome = match state.phase {
            Phase::Dialing { .. } => true,
            // It came to us by itself: no need to wait, unless it was left for
            // what it did.
            Phase::Resting { .. } => matches!(
                state.last_down.as_deref(),
                None | Some(DownReason::Unreachable | DownReason::LinkLost)
            ),
            Phase::Greeting(_) | Phase::Live => false,
        };
        if welcome {
            self.greet(now, hub, false);
        }
    }

    pub(super) fn on_link_down(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        state.linked = false;
        match state.phase {
            Phase::Resting { .. } => {}
            Phase::Dialing { .. } => self.on_down(now, hub, DownReason::Unreachable),
            Phase::Greeting(_) | Phase::Live => self.on_down(now, hub, DownReason::LinkLost),
        }
    }

    pub(super) fn on_unreachable(&mut self, now: Timestamp, hub: PeerId) {
        let dialing = |state: &Hub| matches!(state.phase, Phase::Dialing { .. });
        if self.hubs.get(hub).is_some_and(dialing) {
            self.on_down(now, hub, DownReason::Unreachable);
        }
    }

    fn greet(&mut self, now: Timestamp, hub: PeerId, again: bool) {
        let nonce = self.rng.wake().next_u64();
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        // A hub that keeps saying that it forgot us is not to keep us busy.
        let earliest = state.greeted_at.map(|at| at + GREETING_INTERVAL);
        state.phase = Phase::Greeting(Box::new(Greeting {
            nonce,
            attempts: 0,
            since: now,
            resend_at: earliest.map_or(now, |earliest| earliest.max(now)),
            again,
        }));
        self.on_greeting_timeout(now, hub);
    }

    fn on_greeting_timeout(&mut self, now: Timestamp, hub: PeerId) {
        let attempts = match self.hubs.get(hub).map(|state| &state.phase) {
            Some(Phase::Greeting(greeting)) => greeting.attempts,
            _ => return,
        };
        let pause = self.question_pause(hub, attempts);
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        let Phase::Greeting(greeting) = &mut state.phase else {
            return;
        };
        if now < greeting.resend_at {
            return;
        }
        let unanswered = now - greeting.since;
        if unanswered >= self.config.silence_max {
            let reason = if greeting.again {
                DownReason::Silent { unanswered }
            } else {
                DownReason::NoWelcome
            };
            self.on_down(now, hub, reason);
            return;
        }
        greeting.attempts += 1;
        greeting.resend_at = (now + pause).min(greeting.since + self.config.silence_max);
        state.greeted_at = Some(now);
        let message = HubMessage::Hello {
            nonce: greeting.nonce,
            announcement: self.announcement.clone(),
        };
        self.send(hub, message);
    }

    pub(super) fn on_welcome(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        nonce: u64,
        limits: Limits,
        standing: Standing,
        counts: HubCounts,
    ) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        let Phase::Greeting(greeting) = &state.phase else {
            return;
        };
        if greeting.nonce != nonce {
            return;
        }
        let again = greeting.again;
        if greeting.attempts == 1 {
            state.canary_rtt = Some(Rtt::of(now - greeting.since));
        }
        state.answered_at = Some(now);
        state.phase = Phase::Live;
        state.limits = limits;
        state.counts = counts;
        if !again {
            state.live_since = now;
            self.event(HubClientEvent::HubUp { hub });
        }
        self.start_keepalive(now, hub);
        self.on_first_standing(now, hub, standing);
        self.ask_waiting(now, hub);
    }

    pub(super) fn on_lapsed(&mut self, now: Timestamp, hub: PeerId) {
        if self.hubs.get(hub).is_some_and(Hub::is_live) {
            self.greet(now, hub, true);
        }
    }

    pub(super) fn on_refused(&mut self, now: Timestamp, hub: PeerId, refusal: Refusal) {
        let listening = |state: &Hub| matches!(state.phase, Phase::Greeting(_) | Phase::Live);
        if self.hubs.get(hub).is_some_and(listening) {
            self.on_down(now, hub, DownReason::Refused(refusal));
        }
    }

    /// The hub did something that makes no sense. Once may be an accident.
    pub(super) fn on_strike(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        state.strikes += 1;
        let resting = matches!(state.phase, Phase::Resting { .. });
        if state.strikes >= self.config.strikes_max && !resting {
            self.on_down(now, hub, DownReason::Nonsense);
        }
    }

    /// Leaves a hub for now.
    pub(super) fn on_down(&mut self, now: Timestamp, hub: PeerId, reason: DownReason) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        let retry_after = match reason {
            DownReason::Refused(refusal) => refusal.retry_after().min(self.config.backoff_max),
            _ => Duration::ZERO,
        };
        let bounds = (self.config.backoff_min, self.config.backoff_max);
        let delay = retry_after + backoff(bounds, state.failures, &mut self.rng.wake());
        state.failures = state.failures.saturating_add(1);
        state.strikes = 0;
        state.phase = Phase::Resting { until: now + delay };
        state.last_down = Some(Box::new(reason));
        state.keepalive = Keepalive::default();
        if let Some(registration) = &mut state.registration {
            registration.send_again();
        }
        if matches!(
            reason,
            DownReason::WrongAnswer | DownReason::Nonsense | DownReason::Stalled
        ) {
            // Nothing that it says of earlier registrations is to be believed.
            state.registration = None;
            (state.epoch, state.number) = (0, 0);
        }
        if std::mem::take(&mut state.linked) {
            self.outbox.push_back(Output::Disconnect { peer: hub });
        }
        self.event(HubClientEvent::HubDown { hub, reason });
        self.on_hub_gone(now, hub);
    }

    pub(super) fn on_connection_timeout(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        match state.phase {
            Phase::Resting { until } if until <= now => {
                if state.linked {
                    self.greet(now, hub, false);
                } else {
                    let until = now + self.config.dial_timeout;
                    state.phase = Phase::Dialing { until };
                    self.outbox.push_back(Output::Dial { peer: hub });
                }
            }
            Phase::Dialing { until } if until <= now => {
                self.on_down(now, hub, DownReason::Unreachable);
            }
            Phase::Greeting(_) => self.on_greeting_timeout(now, hub),
            Phase::Resting { .. } | Phase::Dialing { .. } | Phase::Live => {}
        }
    }

    pub(super) fn on_pause_connections(&mut self, now: Timestamp) {
        for (_, state) in self.hubs.iter_mut() {
            match &mut state.phase {
                Phase::Resting { until } => *until = now.max(*until),
                Phase::Dialing { until } => *until = now + self.config.dial_timeout,
                Phase::Greeting(greeting) => {
                    greeting.attempts = 0;
                    greeting.since = now;
                    greeting.resend_at = now;
                }
                Phase::Live => {
                    state.keepalive.ask_now(now);
                    if let Some(registration) = &mut state.registration {
                        registration.send_again();
                        registration.wake(now);
                    }
                }
            }
        }
    }
}

/// A random delay below a bound that doubles with each failure. Full jitter:
/// those who lost the same hub at the same moment come back spread out.
fn backoff((min, max): (Duration, Duration), failures: u32, rng: &mut Rng) -> Duration {
    let bound = min.saturating_mul(1 << failures.min(20)).min(max);
    let bound = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.next_u64() % bound.max(1))
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;

    #[test]
    fn the_backoff_is_spread_and_bounded() {
        let bounds = (Duration::from_secs(1), Duration::from_secs(300));
        let mut rng = seeded_rng(5);
        let mut mean = |failures| {
            let total: Duration = (0..1_000)
                .map(|_| {
                    let delay = backoff(bounds, failures, &mut rng);
                    assert!(delay < bounds.1);
                    delay
                })
                .sum();
            total.as_millis() / 1_000
        };
        assert!((450..550).contains(&mean(0)));
        assert!((3_600..4_400).contains(&mean(3)));
        assert!((140_000..160_000).contains(&mean(1_000)));
    }
}
