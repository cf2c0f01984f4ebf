//! The hub itself.

mod api;
mod directory;
mod leases;
mod queries;
mod registration;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::wire::WireMessage as _;
use gannet_base::{Core, Link, Output, PeerAddress, PeerId, Rng, Timestamp, WallTime};
use gannet_index::Index;
use rand_core::Rng as _;

pub use api::{HubServerCommand, HubServerEvent, HubStatus, LeftReason};

use super::address::is_private;
use super::bucket::Bucket;
use super::config::ServerConfig;
use super::message::{
    Announcement, Budget, HubCounts, HubMessage, Limits, ROW_HITS_MAX, Refusal, Standing,
};
use queries::Question;

/// Refusals of one peer are told to the layer above this far apart.
const REFUSAL_EVENT_INTERVAL: Duration = Duration::from_secs(60);
/// A peer whose messages were dropped for so many seconds' worth loses its
/// link.
const FLOOD_SECONDS: u64 = 10;

/// Outputs for which memory is kept while there are none: a crowd that is
/// answered at once needs far more than what comes after.
const OUTBOX_KEPT: usize = 16;

/// A directory of what peers share, as a [`Core`].
///
/// * getters: [`status`](Self::status), [`epoch`](Self::epoch),
///   [`is_here`](Self::is_here), [`registered`](Self::registered),
///   [`entries_of`](Self::entries_of), [`keys`](Self::keys),
///   [`revision`](Self::revision);
/// * asked and told directly, by what it is a part of:
///   [`look_up`](Self::look_up), [`dismiss`](Self::dismiss);
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link), [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), [`next_deadline`](Core::next_deadline).
///
/// It never dials. Tell it the calendar's time at the start and now and then,
/// and every linked peer's observed addresses.
///
/// ```
/// use gannet_base::{Core as _, Timestamp, WallTime, pump, seeded_rng};
/// use gannet_overlay::hub::{HubServer, HubServerCommand, ServerConfig};
///
/// let mut hub = HubServer::new(ServerConfig::default(), seeded_rng(7));
/// let time = WallTime::from_unix_seconds(1_800_000_000);
/// hub.handle_command(Timestamp::ZERO, HubServerCommand::WallTime(time));
/// pump(&mut hub, |output| drop(output)); // sends, disconnects, events
/// assert_eq!(hub.status().peers, 0);
/// ```
#[derive(Debug)]
pub struct HubServer {
    config: Arc<ServerConfig>,
    rng: Rng,
    epoch: u64,
    index: Index,
    /// Grows whenever the index changes.
    revision: u64,
    /// Boxed: a map has room for more than it holds.
    sessions: BTreeMap<PeerId, Box<Session>>,
    /// Every session once, by when it ends.
    leases: BTreeSet<(Timestamp, PeerId)>,
    /// Sessions with waiting questions, by when the first can be answered.
    waiting: BTreeSet<(Timestamp, PeerId)>,
    /// Observed addresses of linked peers, welcomed or not.
    seen: BTreeMap<PeerId, Box<[SocketAddr]>>,
    calendar: Option<(WallTime, Timestamp)>,
    expiry_at: Timestamp,
    closing: bool,
    counters: Counters,
    outbox: VecDeque<Output<HubMessage, HubServerEvent>>,
}

#[derive(Debug, Default)]
struct Counters {
    searches: u64,
    refused: u64,
    dropped: u64,
    malformed: u64,
}

/// One peer that was welcomed.
#[derive(Debug)]
struct Session {
    linked: bool,
    lease_until: Timestamp,
    /// What it says of its own network.
    addresses: Box<[SocketAddr]>,
    /// 0 if it does not say.
    upload_bytes_per_second: u64,
    standing: Standing,
    queries: Bucket,
    messages: Bucket,
    registering: Bucket,
    /// Messages dropped, less those that were not since.
    dropped: u32,
    /// The next one first; a list, as it is short and mostly empty.
    questions: Vec<Question>,
    questions_due: Timestamp,
    refusal_told_at: Option<Timestamp>,
}

impl HubServer {
    /// A hub with nothing registered. `rng` must differ between two starts:
    /// the epoch is drawn from it. Many hubs of one process may share their
    /// configuration.
    pub fn new(config: impl Into<Arc<ServerConfig>>, mut rng: Rng) -> Self {
        let config = config.into();
        let index = Index::new(gannet_index::Config {
            entries_max: config.entries_max,
            holders_max: config.peers_max,
            entries_per_holder_max: config.entries_per_peer_max,
            bytes_per_holder_max: config.bytes_per_peer_max,
            work_per_query_max: config.work_per_query_max,
            hits_per_row_max: u32::try_from(ROW_HITS_MAX).unwrap_or(u32::MAX),
            hash_seed: rng.next_u64(),
            ..gannet_index::Config::default()
        });
        Self {
            epoch: rng.next_u64(),
            index,
            revision: 0,
            sessions: BTreeMap::new(),
            leases: BTreeSet::new(),
            waiting: BTreeSet::new(),
            seen: BTreeMap::new(),
            calendar: None,
            expiry_at: Timestamp::ZERO + config.expiry_interval,
            closing: false,
            counters: Counters::default(),
            outbox: VecDeque::new(),
            config,
            rng,
        }
    }

    /// The number that tells this start from others.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The figures now.
    pub fn status(&self) -> HubStatus {
        HubStatus {
            peers: self.sessions.len(),
            holders: self.index.holders_len(),
            entries: self.index.len(),
            contents: self.index.contents_len(),
            bytes: self.index.memory_bytes(),
            searches: self.counters.searches,
            pending: self.sessions.values().map(|s| s.questions.len()).sum(),
            refused: self.counters.refused,
            dropped: self.counters.dropped,
            malformed: self.counters.malformed,
        }
    }

    fn send(&mut self, to: PeerId, message: HubMessage) {
        self.outbox.push_back(Output::Send { to, message });
    }

    fn event(&mut self, event: HubServerEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    fn counts(&self) -> HubCounts {
        HubCounts {
            peers: u32::try_from(self.sessions.len()).unwrap_or(u32::MAX),
            entries: self.index.len() as u64,
            contents: self.index.contents_len() as u64,
        }
    }

    fn limits(&self) -> Limits {
        let config = &self.config;
        Limits {
            lease_seconds: u32::try_from(config.lease.as_secs()).unwrap_or(u32::MAX),
            entries_max: u32::try_from(config.entries_per_peer_max).unwrap_or(u32::MAX),
            queries_per_second: config.queries_per_second,
            window_batches: config.window_batches,
        }
    }

    /// The calendar's time, carried on from when it was last told.
    fn wall_time(&self, now: Timestamp) -> Option<WallTime> {
        let (time, told_at) = self.calendar?;
        Some(time.plus_seconds((now - told_at).as_secs()))
    }

    /// A wait with as much again at random, so that the refused do not come
    /// back together.
    fn retry_after_ms(&mut self) -> u32 {
        let least = if self.closing {
            self.config.retry_after_close
        } else {
            self.config.retry_after
        };
        let least = u32::try_from(least.as_millis()).unwrap_or(u32::MAX / 2);
        least.saturating_add(self.rng.next_u32() % least.max(1))
    }

    /// Counts a refusal and tells of it, but not too often.
    fn on_refusal(&mut self, now: Timestamp, peer: PeerId, reason: Refusal) {
        self.counters.refused += 1;
        let Some(session) = self.sessions.get_mut(&peer) else {
            self.event(HubServerEvent::Refused { peer, reason });
            return;
        };
        let quiet = session
            .refusal_told_at
            .is_some_and(|told_at| now - told_at < REFUSAL_EVENT_INTERVAL);
        if !quiet {
            session.refusal_told_at = Some(now);
            self.event(HubServerEvent::Refused { peer, reason });
        }
    }

    fn on_hello(&mut self, now: Timestamp, peer: PeerId, nonce: u64, announcement: Announcement) {
        if !self.sessions.contains_key(&peer) {
            if self.closing || self.sessions.len() >= self.config.peers_max {
                self.refuse_peer(now, peer);
                return;
            }
            self.join(now, peer);
            self.event(HubServerEvent::Joined { peer });
        }
        let standing = self.on_announcement(peer, announcement);
        let message = HubMessage::Welcome {
            nonce,
            limits: self.limits(),
            standing,
            counts: self.counts(),
        };
        self.send(peer, message);
    }

    /// The link stays: giving it up at once could overtake the refusal, and
    /// the refused leave by themselves.
    fn refuse_peer(&mut self, now: Timestamp, peer: PeerId) {
        let reason = Refusal {
            budget: if self.closing {
                Budget::Closing
            } else {
                Budget::Peers
            },
            max: self.config.peers_max as u64,
            retry_after_ms: self.retry_after_ms(),
        };
        self.on_refusal(now, peer, reason);
        let message = HubMessage::Refused {
            request: None,
            refusal: reason,
        };
        self.send(peer, message);
    }

    fn on_ping(&mut self, peer: PeerId, nonce: u64, announcement: Announcement) {
        let standing = self.on_announcement(peer, announcement);
        let message = HubMessage::Pong {
            nonce,
            standing,
            counts: self.counts(),
        };
        self.send(peer, message);
    }

    fn on_announcement(&mut self, peer: PeerId, mut announcement: Announcement) -> Standing {
        announcement.addresses.retain(is_private);
        if let Some(session) = self.sessions.get_mut(&peer) {
            if *session.addresses != *announcement.addresses {
                session.addresses = announcement.addresses.into_boxed_slice();
            }
            session.upload_bytes_per_second = announcement.upload_bytes_per_second.unwrap_or(0);
        }
        self.set_speed(peer);
        self.standing(peer)
    }

    /// Tells the index how fast a holder is; it remembers holders only.
    fn set_speed(&mut self, peer: PeerId) {
        if let Some(session) = self.sessions.get(&peer)
            && session.standing.entries > 0
        {
            self.index.set_speed(peer, session.upload_bytes_per_second);
        }
    }

    fn on_close(&mut self, now: Timestamp) {
        self.closing = true;
        let peers: Vec<PeerId> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.refuse_peer(now, peer);
        }
    }

    fn on_seen(&mut self, peer: PeerId, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(PeerAddress::ADDRESSES_MAX);
        // Room for those on their way in; who finds none is told of again
        // when it moves or reconnects.
        let seen_max = self.config.peers_max.saturating_mul(2).max(64);
        if self.seen.len() < seen_max || self.seen.contains_key(&peer) {
            self.seen.insert(peer, addresses.into_boxed_slice());
        }
    }

    /// Whether a message of a welcomed peer is to be read. Batches and
    /// questions that are accepted have budgets of their own.
    fn admit(&mut self, now: Timestamp, peer: PeerId) -> bool {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return true;
        };
        if session.messages.take(now, 1).is_ok() {
            session.dropped = session.dropped.saturating_sub(1);
            return true;
        }
        session.dropped = session.dropped.saturating_add(1);
        self.counters.dropped += 1;
        let dropped = u64::from(session.dropped);
        if dropped >= u64::from(self.config.messages_per_second) * FLOOD_SECONDS {
            session.dropped = 0;
            self.outbox.push_back(Output::Disconnect { peer });
            self.event(HubServerEvent::Flooding { peer, dropped });
            // No news of a link that one gave up: what `Down` would do.
            self.on_link_down(now, peer);
        }
        false
    }

    /// What `handle_*` does first: notices that the machine slept.
    fn on_time(&mut self, now: Timestamp) {
        let overdue = self.leases.first().map(|(due, _)| now - *due);
        if overdue.is_some_and(|late| late > self.config.pause_min) {
            self.on_pause(now);
        }
    }
}

impl Core for HubServer {
    type Message = HubMessage;
    type Command = HubServerCommand;
    type Event = HubServerEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: HubMessage) {
        self.on_time(now);
        if !self.admit(now, from) {
            return;
        }
        if message.validate().is_err() || !message.is_for_hub() {
            self.counters.malformed += 1;
            return;
        }
        if !matches!(message, HubMessage::Hello { .. }) && !self.sessions.contains_key(&from) {
            self.send(from, HubMessage::Lapsed);
            return;
        }
        self.renew(now, from);
        match message {
            HubMessage::Hello {
                nonce,
                announcement,
            } => self.on_hello(now, from, nonce, announcement),
            HubMessage::Ping {
                nonce,
                announcement,
            } => self.on_ping(from, nonce, announcement),
            HubMessage::Batch {
                epoch,
                registration,
                sequence,
                changes,
            } => self.on_batch(now, from, (epoch, registration, sequence), changes),
            HubMessage::Search {
                request,
                query,
                offset,
                limit,
            } => self.on_question(now, from, Question::search(request, query, offset, limit)),
            HubMessage::Sources { request, content } => {
                self.on_question(now, from, Question::sources(request, content));
            }
            HubMessage::Goodbye {
                epoch,
                registration,
            } => self.on_goodbye(from, epoch, registration),
            HubMessage::Welcome { .. }
            | HubMessage::Pong { .. }
            | HubMessage::Ack { .. }
            | HubMessage::Rows { .. }
            | HubMessage::Refused { .. }
            | HubMessage::Lapsed => {}
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: HubServerCommand) {
        self.on_time(now);
        match command {
            HubServerCommand::Seen { peer, addresses } => self.on_seen(peer, addresses),
            HubServerCommand::WallTime(time) => self.calendar = Some((time, now)),
            HubServerCommand::Close => self.on_close(now),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.on_time(now);
        match link {
            // A stranger says hello before anything is remembered of it.
            Link::Up => {
                if let Some(session) = self.sessions.get_mut(&peer) {
                    session.linked = true;
                }
            }
            Link::Down | Link::Unreachable => self.on_link_down(now, peer),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.on_time(now);
        self.end_leases(now);
        self.answer_waiting(now);
        self.expire(now);
    }

    fn poll_output(&mut self) -> Option<Output<HubMessage, HubServerEvent>> {
        let output = self.outbox.pop_front();
        if output.is_none() && self.outbox.capacity() > OUTBOX_KEPT {
            self.outbox = VecDeque::new();
        }
        output
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let lease = self.leases.first().map(|(due, _)| *due);
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let expiry = (!self.index.is_empty() && self.calendar.is_some()).then_some(self.expiry_at);
        [lease, waiting, expiry].into_iter().flatten().min()
    }
}
