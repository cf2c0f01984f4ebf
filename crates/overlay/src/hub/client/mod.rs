//! The peer's side.

mod api;
mod batches;
mod connection;
mod health;
mod hubs;
mod log;
mod registration;
mod searches;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use gannet_base::wire::WireMessage as _;
use gannet_base::{Core, Link, Output, PeerAddress, PeerId, RestingRng, Rng, Timestamp};
use rand_core::Rng as _;

pub use api::{
    DownReason, HubClientCommand, HubClientEvent, HubOutcome, HubPhase, HubState, Outcome,
    RequestId,
};

use super::config::ClientConfig;
use super::message::{Announcement, HubMessage};
use crate::rare_map::RareMap;
use connection::Hub;
use hubs::Hubs;
use log::Log;
use searches::{Ask, Search};

/// A peer's dealings with its hubs, as a [`Core`].
///
/// * getters: [`status`](Self::status), [`published`](Self::published),
///   [`is_live`](Self::is_live), [`registered`](Self::registered);
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link), [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), [`next_deadline`](Core::next_deadline).
///
/// It registers with every named hub and asks all of them at once, so that any
/// one of them is enough.
///
/// ```
/// use gannet_base::{Core as _, Output, PeerId, Query, Timestamp, pump, seeded_rng};
/// use gannet_overlay::hub::{ClientConfig, HubClient, HubClientCommand, HubClientEvent};
///
/// let mut client = HubClient::new(ClientConfig::default(), seeded_rng(7));
/// let hub = PeerId::from_bytes([9; 32]);
/// client.handle_command(Timestamp::ZERO, HubClientCommand::Hubs(vec![hub]));
/// assert_eq!(client.poll_output(), Some(Output::Dial { peer: hub }));
///
/// let query = Query::new("harry potter")?;
/// let search = HubClientCommand::Search { id: 1, query, limit: 20 };
/// client.handle_command(Timestamp::ZERO, search);
/// // The search waits for the connection, but not for ever.
/// client.handle_timeout(Timestamp::from_secs(60));
/// let mut ended = false;
/// pump(&mut client, |output| {
///     ended |= matches!(output, Output::Event(HubClientEvent::Ended { id: 1, .. }));
/// });
/// assert!(ended);
/// # Ok::<(), gannet_base::InvalidQuery>(())
/// ```
#[derive(Debug)]
pub struct HubClient {
    config: Arc<ClientConfig>,
    rng: RestingRng,
    hubs: Hubs,
    log: Log,
    /// This peer, known from what it publishes.
    own: Option<PeerId>,
    announcement: Announcement,
    searches: RareMap<RequestId, Search>,
    /// Questions under way, by their number on the wire.
    asks: RareMap<u64, Box<Ask>>,
    next_request: u64,
    outbox: VecDeque<Output<HubMessage, HubClientEvent>>,
}

impl HubClient {
    /// A client with no hub and nothing published. `rng` must differ between
    /// two starts: what cannot be guessed is drawn from it. Many clients of one
    /// process may share their configuration.
    pub fn new(config: impl Into<Arc<ClientConfig>>, mut rng: Rng) -> Self {
        Self {
            next_request: rng.next_u64(),
            config: config.into(),
            rng: RestingRng::new(&rng),
            hubs: Hubs::default(),
            log: Log::default(),
            own: None,
            announcement: Announcement::default(),
            searches: RareMap::default(),
            asks: RareMap::default(),
            outbox: VecDeque::new(),
        }
    }

    /// How many entries are published.
    pub fn published(&self) -> usize {
        self.log.len()
    }

    /// Whether a hub has welcomed this peer and was not left since.
    pub fn is_live(&self, hub: PeerId) -> bool {
        self.hubs.get(hub).is_some_and(Hub::is_live)
    }

    /// How many entries of this peer a hub has, by its own word; 0 if it is not
    /// one of those used.
    pub fn registered(&self, hub: PeerId) -> usize {
        let state = self.hubs.get(hub);
        let registration = state.and_then(|state| state.registration.as_ref());
        let entries = registration.map_or(0, |one| one.entries);
        usize::try_from(entries).unwrap_or(usize::MAX)
    }

    /// How it stands with every hub, in the order of their ids. Costs time in
    /// proportion to the changes that are not registered yet.
    pub fn status(&self) -> Vec<HubState> {
        self.hubs
            .iter()
            .map(|(hub, state)| state.status(hub, &self.log))
            .collect()
    }

    fn send(&mut self, to: PeerId, message: HubMessage) {
        self.outbox.push_back(Output::Send { to, message });
    }

    fn event(&mut self, event: HubClientEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// What `handle_*` does first: notices that this machine slept. Everything
    /// is then asked anew before anybody is blamed for silence: the answers may
    /// lie unread.
    fn on_time(&mut self, now: Timestamp) {
        let overdue = self.next_deadline().map(|due| now - due);
        if overdue.is_some_and(|late| late > self.config.pause_min) {
            self.on_pause_connections(now);
            self.on_pause_searches(now);
        }
    }

    fn on_announce(
        &mut self,
        now: Timestamp,
        mut addresses: Vec<std::net::SocketAddr>,
        upload_bytes_per_second: Option<u64>,
    ) {
        addresses.truncate(PeerAddress::ADDRESSES_MAX);
        let announcement = Announcement {
            addresses,
            upload_bytes_per_second,
        };
        if announcement != self.announcement {
            self.announcement = announcement;
            self.keep_alive_all(now);
        }
    }

    /// Gives back what memory was needed for what is over: most clients have
    /// nothing to do most of the time, and there may be very many.
    fn rest(&mut self) {
        if self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
    }

    fn on_leave(&mut self, now: Timestamp) {
        let hubs: Vec<PeerId> = self.hubs.ids().collect();
        for hub in hubs {
            self.say_goodbye(now, hub);
        }
    }
}

impl Core for HubClient {
    type Message = HubMessage;
    type Command = HubClientCommand;
    type Event = HubClientEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: HubMessage) {
        self.on_time(now);
        if !self.hubs.contains(from) {
            return;
        }
        if message.validate().is_err() {
            self.on_strike(now, from);
            return;
        }
        match message {
            HubMessage::Welcome {
                nonce,
                limits,
                standing,
                counts,
            } => self.on_welcome(now, from, nonce, limits, standing, counts),
            HubMessage::Pong {
                nonce,
                standing,
                counts,
            } => self.on_pong(now, from, nonce, standing, counts),
            HubMessage::Ack {
                standing,
                early,
                wait_ms,
                refusal,
            } => self.on_ack(now, from, standing, (early, wait_ms, refusal)),
            HubMessage::Rows {
                request,
                offset,
                rows,
                addresses,
                total,
                next,
            } => self.on_rows(now, from, request, offset, (rows, addresses, total, next)),
            HubMessage::Refused {
                request: Some(request),
                refusal,
            } => self.on_question_refused(now, from, request, refusal),
            HubMessage::Refused {
                request: None,
                refusal,
            } => self.on_refused(now, from, refusal),
            HubMessage::Lapsed => self.on_lapsed(now, from),
            // Meant for a hub: one may be running beside this client.
            HubMessage::Hello { .. }
            | HubMessage::Ping { .. }
            | HubMessage::Batch { .. }
            | HubMessage::Search { .. }
            | HubMessage::Sources { .. }
            | HubMessage::Goodbye { .. } => {}
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: HubClientCommand) {
        self.on_time(now);
        match command {
            HubClientCommand::Hubs(hubs) => self.on_hubs(now, hubs),
            HubClientCommand::Announce {
                addresses,
                upload_bytes_per_second,
            } => self.on_announce(now, addresses, upload_bytes_per_second),
            HubClientCommand::Publish(publications) => self.on_publish(now, publications),
            HubClientCommand::Withdraw(entries) => self.on_withdraw(now, entries),
            HubClientCommand::Search { id, query, limit } => {
                self.on_search(now, id, query, limit);
            }
            HubClientCommand::Sources { id, content } => self.on_sources(now, id, content),
            HubClientCommand::Cancel { id } => self.on_cancel(id),
            HubClientCommand::Forged { hub } => self.on_strike(now, hub),
            HubClientCommand::Check => self.keep_alive_all(now),
            HubClientCommand::Leave => self.on_leave(now),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.on_time(now);
        match link {
            Link::Up => self.on_link_up(now, peer),
            Link::Down => self.on_link_down(now, peer),
            Link::Unreachable => self.on_unreachable(now, peer),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.on_time(now);
        let hubs: Vec<PeerId> = self.hubs.ids().collect();
        for hub in hubs {
            self.on_connection_timeout(now, hub);
            self.on_health_timeout(now, hub);
            self.on_registration_timeout(now, hub);
        }
        self.on_searches_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<HubMessage, HubClientEvent>> {
        let output = self.outbox.pop_front();
        if output.is_none() {
            self.rest();
        }
        output
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let hubs = self.hubs.iter().filter_map(|(_, hub)| hub.next_deadline());
        let asks = self.asks.values().map(|ask| ask.resend_at);
        let searches = self.searches.values().map(|search| search.deadline);
        hubs.chain(asks).chain(searches).min()
    }
}
