//! Whether a hub is alive and right: keep-alives and canaries.

use std::num::NonZeroU32;
use std::time::Duration;

use gannet_base::{PeerId, Row, Timestamp};
use rand_core::Rng as _;

use super::log::Revision;
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
    /// Boxed: most of the time there is none.
    ping: Option<Box<Ping>>,
    /// Whether a canary is under way.
    has_canary: bool,
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

/// How long an answer took, in a quarter of the memory: microseconds, up to an hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rtt(NonZeroU32);

impl Rtt {
    pub(super) fn of(took: Duration) -> Self {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN))
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_micros(self.0.get().into())
    }
}

/// The least that an honest answer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

    /// Starts a new round at the next timeout: whatever was asked before counts
    /// for nothing.
    pub(super) fn ask_now(&mut self, now: Timestamp) {
        self.ping = None;
        self.next_at = now;
    }

    /// Starts a new round at the next timeout, unless one is under way.
    pub(super) fn ask_soon(&mut self, now: Timestamp) {
        self.next_at = self.next_at.min(now);
    }

    /// As [`ask_soon`](Self::ask_soon); a round under way asks once more, and
    /// goes on counting from its first question.
    fn ask_again(&mut self, now: Timestamp) {
        match &mut self.ping {
            Some(ping) => ping.resend_at = now,
            None => self.ask_soon(now),
        }
    }
}

impl HubClient {
    /// Time between two rounds at a hub.
    fn keepalive_interval(&self, hub: PeerId) -> Duration {
        let lease = self.hubs.get(hub).map_or(0, |s| s.limits.lease_seconds);
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
        let early = Duration::from_micros(self.rng.wake().next_u64() % eighth.max(1));
        now + (interval - early)
    }

    pub(super) fn start_keepalive(&mut self, now: Timestamp, hub: PeerId) {
        let next_at = self.next_round(now, hub);
        if let Some(state) = self.hubs.get_mut(hub) {
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
                state.keepalive.ask_again(now);
                hub
            })
            .collect();
        for hub in live {
            self.on_health_timeout(now, hub);
        }
    }

    pub(super) fn on_health_timeout(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get(hub).filter(|state| state.is_live()) else {
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
        let nonce = self.rng.wake().next_u64();
        let resend_at = now + self.question_pause(hub, 0).min(self.config.silence_max);
        if let Some(state) = self.hubs.get_mut(hub) {
            let registration = state.registration.as_ref();
            let known = registration.map_or(Known::default(), |one| Known {
                number: one.number,
                acked: one.acked,
            });
            state.keepalive.ping = Some(Box::new(Ping {
                nonce,
                since: now,
                attempts: 1,
                resend_at,
                known,
            }));
            self.send_ping(hub, nonce);
        }
    }

    fn ping_again(&mut self, now: Timestamp, hub: PeerId, attempts: u32) {
        let resend_at = now + self.question_pause(hub, attempts);
        let state = self.hubs.get_mut(hub);
        if let Some(ping) = state.and_then(|state| state.keepalive.ping.as_mut()) {
            ping.attempts += 1;
            // Not later than the moment at which it counts as silent.
            ping.resend_at = resend_at.min(ping.since + self.config.silence_max);
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
        let Some(state) = self.hubs.get_mut(hub).filter(|state| state.is_live()) else {
            return;
        };
        let Some(ping) = state.keepalive.ping.take_if(|ping| ping.nonce == nonce) else {
            return;
        };
        state.keepalive.next_at = next_at;
        state.counts = counts;
        state.answered_at = Some(now);
        if ping.attempts == 1 {
            state.canary_rtt = Some(Rtt::of(now - ping.since));
        }
        let forgiven_at = state.live_since + self.config.keepalive_interval * FORGIVEN_AFTER;
        if !state.keepalive.has_canary && now >= forgiven_at {
            state.failures = 0;
            state.strikes = 0;
        }
        self.on_standing(now, hub, standing, ping.known);
    }

    /// Asks for one of our own entries, in the words of any other question.
    fn ask_canary(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        if state.keepalive.has_canary {
            return;
        }
        let Some(registration) = &mut state.registration else {
            return;
        };
        let Some((canary, content)) = registration.canary(&self.log, &mut self.rng.wake()) else {
            return;
        };
        let number = registration.number;
        self.ask_for_canary(now, hub, (canary, number), content);
        if let Some(state) = self.hubs.get_mut(hub) {
            state.keepalive.has_canary = true;
        }
    }

    /// The hub answered a canary, with `rows`.
    pub(super) fn on_canary_answer(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        (canary, number, asked_at): (Revision, u64, Timestamp),
        rows: &[Row],
    ) {
        self.end_canary(hub);
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        // Withdrawn or registered anew meanwhile: no answer would be wrong.
        let current = state.registration.as_ref().map(|one| one.number);
        if current != Some(number) || self.log.published(canary).is_none() {
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
            state.canary_rtt = Some(Rtt::of(now - asked_at));
            state.answered_at = Some(now);
        } else if !cut_short {
            self.on_down(now, hub, DownReason::WrongAnswer);
        }
    }

    /// The canary under way is done with, whatever came of it.
    pub(super) fn end_canary(&mut self, hub: PeerId) {
        if let Some(state) = self.hubs.get_mut(hub) {
            state.keepalive.has_canary = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::SignatureBytes;
    use gannet_base::{
        ContentId, Core as _, FileEntry, Link, Media, Output, Publication, WallTime, pump,
        seeded_rng,
    };

    use super::*;
    use crate::hub::{ClientConfig, HubClientCommand, HubClientEvent, HubServer, ServerConfig};

    const HUB: PeerId = PeerId::from_bytes([201; 32]);
    const PEER: PeerId = PeerId::from_bytes([1; 32]);

    /// A client and its hub, next to each other; the hub may die.
    struct Pair {
        now: Timestamp,
        client: HubClient,
        hub: HubServer,
        alive: bool,
        pings: usize,
        down: Option<(Timestamp, DownReason)>,
    }

    impl Pair {
        /// Welcomed, with so many entries.
        fn new(seed: u64, entries: u8) -> Self {
            let config = ClientConfig {
                keepalive_interval: Duration::from_secs(5),
                answer_timeout: Duration::from_secs(1),
                silence_max: Duration::from_secs(3),
                dial_timeout: Duration::from_secs(3),
                ..ClientConfig::default()
            };
            let mut pair = Self {
                now: Timestamp::ZERO,
                client: HubClient::new(config, seeded_rng(seed)),
                hub: HubServer::new(ServerConfig::default(), seeded_rng(seed)),
                alive: true,
                pings: 0,
                down: None,
            };
            let publications = (0..entries).map(|n| Publication {
                entry: FileEntry {
                    content: ContentId::of(&[n]),
                    size: 1,
                    path: format!("file {n}"),
                    media: Media::default(),
                },
                holder: PEER,
                expires: WallTime::from_unix_seconds(1_000_000),
                signature: SignatureBytes([0; 64]),
            });
            pair.order(HubClientCommand::Publish(publications.collect()));
            pair.order(HubClientCommand::Hubs(vec![HUB]));
            pair.client.handle_link(pair.now, HUB, Link::Up);
            pair.settle();
            assert!(pair.client.is_live(HUB));
            assert_eq!(pair.client.registered(HUB), usize::from(entries));
            pair
        }

        fn order(&mut self, command: HubClientCommand) {
            self.client.handle_command(self.now, command);
            self.settle();
        }

        /// Carries messages until there are none.
        fn settle(&mut self) {
            loop {
                let (mut to_hub, mut to_client) = (Vec::new(), Vec::new());
                pump(&mut self.client, |output| match output {
                    Output::Send { message, .. } => to_hub.push(message),
                    Output::Event(HubClientEvent::HubDown { reason, .. }) => {
                        self.down = Some((self.now, reason));
                    }
                    _ => {}
                });
                let is_ping = |message: &&HubMessage| matches!(message, HubMessage::Ping { .. });
                self.pings += to_hub.iter().filter(is_ping).count();
                if to_hub.is_empty() {
                    return;
                }
                for message in to_hub.into_iter().filter(|_| self.alive) {
                    self.hub.handle_message(self.now, PEER, message);
                }
                pump(&mut self.hub, |output| {
                    if let Output::Send { message, .. } = output {
                        to_client.push(message);
                    }
                });
                for message in to_client {
                    self.client.handle_message(self.now, HUB, message);
                }
            }
        }

        /// Until then, or until the hub is left.
        fn run(&mut self, until: Timestamp) {
            while let Some(due) = self.client.next_deadline()
                && due <= until
                && self.down.is_none()
            {
                self.now = due;
                self.client.handle_timeout(due);
                self.settle();
            }
            if self.down.is_none() {
                self.now = until;
            }
        }
    }

    /// The hub dies, and is asked for so long after, if at all. How long the
    /// client takes from then on.
    fn detection(seed: u64, entries: u8, check_after: Option<Duration>) -> Duration {
        let mut pair = Pair::new(seed, entries);
        pair.run(Timestamp::from_secs(20) + Duration::from_millis(seed * 137));
        assert_eq!(pair.down, None);
        pair.alive = false;
        let mut from = pair.now;
        if let Some(after) = check_after {
            pair.run(pair.now + after);
            from = pair.now;
            pair.order(HubClientCommand::Check);
        }
        pair.run(from + Duration::from_secs(60));
        match pair.down {
            Some((at, DownReason::Silent { .. })) => at - from,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_hub_that_dies_is_noticed_in_time() {
        let mut longest = Duration::ZERO;
        for seed in 0..60 {
            for entries in [0, 3] {
                longest = longest.max(detection(seed, entries, None));
            }
        }
        assert!(longest <= Duration::from_millis(8_500), "{longest:?}");
        assert!(longest > Duration::from_secs(7), "the bound is tight");
    }

    #[test]
    fn who_has_reason_to_doubt_it_knows_sooner() {
        for seed in 0..60 {
            for entries in [0, 3] {
                let after = Duration::from_millis(seed * 71 % 2_900);
                let took = detection(seed, entries, Some(after));
                assert!(took <= Duration::from_millis(3_500), "{took:?}");
            }
        }
    }

    #[test]
    fn doubts_do_not_prolong_a_silence() {
        let mut pair = Pair::new(1, 1);
        pair.alive = false;
        pair.order(HubClientCommand::Check);
        let from = pair.now;
        while pair.down.is_none() {
            pair.run(pair.now + Duration::from_millis(100));
            pair.order(HubClientCommand::Check);
            assert!(pair.now - from < Duration::from_secs(10), "it must end");
        }
        let (at, _) = pair.down.unwrap();
        assert_eq!(at - from, Duration::from_secs(3));
    }

    #[test]
    fn a_check_asks_at_once_and_a_living_hub_stays() {
        let mut pair = Pair::new(1, 1);
        for asked in 1..20 {
            pair.order(HubClientCommand::Check);
            assert_eq!(pair.pings, asked);
        }
        pair.run(pair.now + Duration::from_secs(60));
        assert_eq!(pair.down, None);
        assert!((19 + 12..19 + 16).contains(&pair.pings), "{}", pair.pings);
        pair.order(HubClientCommand::Leave);
        assert!(!pair.client.is_live(HUB));
        assert_eq!(pair.client.registered(HUB), 0);
    }
}
