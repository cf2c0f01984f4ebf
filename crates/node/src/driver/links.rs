//! Links: which peers are connected, who wants them so, and the peers that the
//! user named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gannet_base::wire::{self, Decoded, Malformed};
use gannet_base::{Core as _, Link, PeerId, Timestamp};
use gannet_net::{Channel, Dialed, NetEvent, RequestKind};
use gannet_overlay::dht::{DhtCommand, DhtMessage};
use gannet_overlay::flood::{FloodCommand, FloodMessage};
use gannet_overlay::hub::{HubMessage, HubServerCommand};
use gannet_overlay::supernode::{SupernodeCommand, SupernodeMessage};

use super::Driver;
use crate::api::BrowsePage;
use crate::browse;
use crate::error::BrowseError;
use crate::handle::Reply;

/// Which part of the node wants a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanting {
    HubClient,
    HubServer,
    Flood,
    Supernode,
    Dht,
    Downloads,
    /// Fetching what is kept for others.
    Kept,
    Uploads,
    /// The user named the peer, or asked for its files.
    User,
}

/// First pause before a named peer is dialled again; doubles up to
/// [`REDIAL_MAX`].
// Guess: a restart takes a few seconds.
const REDIAL_MIN: Duration = Duration::from_secs(2);
/// Longest such pause.
// Guess: a named peer that is off for the night is found within a minute.
const REDIAL_MAX: Duration = Duration::from_secs(60);
/// Most failed dials remembered.
// Guess: the sources of some downloads.
const FAILURES_MAX: usize = 1_000;
/// Most questions waiting for one peer's link.
const WAITING_MAX: usize = 16;

/// A question to a peer that is being connected to.
struct Waiting {
    offset: u64,
    limit: u32,
    reply: Reply<Result<BrowsePage, BrowseError>>,
}

/// Ticks between looks for links that nobody needs.
const IDLE_TICKS: u64 = 30;
/// How long a link that this peer dialled may be of no use before it is given
/// up. The side that dialled decides: the other cannot know what it is for.
// Guess: long enough to start the next file from the same source.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a link may be sent on without a byte coming back: QUIC acknowledges
/// within the round trip. Its own idle timeout is half a minute, in which
/// questions would go to the dead.
// Guess: longer than a machine under load or a change of network takes.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// The last time that a link was seen to be answered: bytes received and sent
/// by then.
struct Heard {
    received_bytes: u64,
    sent_bytes: u64,
    at: Timestamp,
}

/// What is known of links.
#[derive(Default)]
pub(crate) struct Links {
    up: BTreeSet<PeerId>,
    wanted: BTreeMap<PeerId, BTreeSet<Wanting>>,
    named: BTreeMap<PeerId, Named>,
    waiting: BTreeMap<PeerId, Vec<Waiting>>,
    /// Since when links were seen to be of no use.
    idle_since: BTreeMap<PeerId, Timestamp>,
    /// When links were last seen to be answered.
    heard: BTreeMap<PeerId, Heard>,
    /// Why the last dial of a peer failed, for those who ask.
    pub(super) failures: BTreeMap<PeerId, String>,
    /// Messages that broke the protocol, since the start.
    pub(super) malformed: u64,
    /// Messages of unknown variants, since the start.
    pub(super) unknown: u64,
}

struct Named {
    pause: Duration,
    dial_at: Option<Timestamp>,
}

impl Links {
    fn note_failure(&mut self, peer: PeerId, reason: String) {
        if self.failures.len() >= FAILURES_MAX {
            self.failures.pop_first();
        }
        self.failures.insert(peer, reason);
    }

    pub(super) fn is_up(&self, peer: PeerId) -> bool {
        self.up.contains(&peer)
    }
}

impl Driver {
    pub(super) fn begin_links(&mut self) {
        for address in self.config.peers.clone() {
            if address.peer == self.peer {
                continue;
            }
            self.net.add_user_addresses(address.clone());
            let named = Named {
                pause: REDIAL_MIN,
                dial_at: None,
            };
            self.links.named.insert(address.peer, named);
            self.dial(Wanting::User, address.peer);
        }
    }

    /// Dials for one part of the node. If the link is there already, that part
    /// is told so at once.
    pub(super) fn dial(&mut self, wanting: Wanting, peer: PeerId) {
        self.links.wanted.entry(peer).or_default().insert(wanting);
        match self.net.dial(peer) {
            // An event that says so may still be on its way; then all are told.
            Dialed::Connected if self.links.is_up(peer) => self.tell_link(wanting, peer, Link::Up),
            Dialed::Connected | Dialed::Started => {}
        }
    }

    /// One part of the node gives a link up; it is closed when no other wants
    /// it.
    pub(super) fn hang_up(&mut self, wanting: Wanting, peer: PeerId) {
        let Some(wanted) = self.links.wanted.get_mut(&peer) else {
            // Nobody here dialled: the peer did. A core that disconnects it
            // means it.
            self.net.disconnect(peer);
            return;
        };
        wanted.remove(&wanting);
        if wanted.is_empty() {
            self.links.wanted.remove(&peer);
            self.net.disconnect(peer);
        }
    }

    /// One part of the node needs a link no more. It lives on until it is seen
    /// to be of no use: what was just sent must arrive, and others may use it.
    pub(super) fn want_no_more(&mut self, wanting: Wanting, peer: PeerId) {
        if let Some(wanted) = self.links.wanted.get_mut(&peer) {
            wanted.remove(&wanting);
            if wanted.is_empty() {
                self.links.wanted.remove(&peer);
            }
        }
    }

    /// One part of the node has given a link up; it is closed unless another
    /// needs it.
    pub(super) fn let_go(&mut self, wanting: Wanting, peer: PeerId) {
        self.want_no_more(wanting, peer);
        if !self.links.wanted.contains_key(&peer) && !self.is_needed(peer) {
            self.net.disconnect(peer);
        }
    }

    fn tell_link(&mut self, wanting: Wanting, peer: PeerId, link: Link) {
        let now = self.now();
        match wanting {
            Wanting::HubClient => self.hub_client.handle_link(now, peer, link),
            Wanting::HubServer => {
                if let Some(hub) = &mut self.hub_server {
                    hub.handle_link(now, peer, link);
                }
            }
            Wanting::Flood => {
                if let Some(flood) = &mut self.flood {
                    flood.core().handle_link(now, peer, link);
                }
            }
            Wanting::Supernode => {
                if let Some(tiers) = &mut self.supernode {
                    tiers.core().handle_link(now, peer, link);
                }
            }
            Wanting::Dht => {
                if let Some(ring) = &mut self.dht {
                    ring.core().handle_link(now, peer, link);
                }
            }
            Wanting::Downloads => self.downloads.handle_link(now, peer, link),
            Wanting::Kept => self.keeping.downloads.handle_link(now, peer, link),
            Wanting::Uploads => self.uploads.handle_link(now, peer, link),
            Wanting::User => {}
        }
    }

    fn tell_link_to_all(&mut self, peer: PeerId, link: Link) {
        for wanting in [
            Wanting::HubClient,
            Wanting::HubServer,
            Wanting::Flood,
            Wanting::Supernode,
            Wanting::Dht,
            Wanting::Downloads,
            Wanting::Kept,
            Wanting::Uploads,
        ] {
            self.tell_link(wanting, peer, link);
        }
    }

    fn on_up(&mut self, peer: PeerId, remote: Vec<SocketAddr>) {
        let now = self.now();
        self.links.up.insert(peer);
        self.links.failures.remove(&peer);
        if let Some(named) = self.links.named.get_mut(&peer) {
            *named = Named {
                pause: REDIAL_MIN,
                dial_at: None,
            };
        }
        let addresses = remote.clone();
        self.flood_command(FloodCommand::Seen { peer, addresses });
        let addresses = remote.clone();
        self.supernode_command(SupernodeCommand::Seen { peer, addresses });
        let addresses = remote.clone();
        self.dht_command(DhtCommand::Seen { peer, addresses });
        self.tell_link_to_all(peer, Link::Up);
        if let Some(hub) = &mut self.hub_server {
            let addresses = remote;
            hub.handle_command(now, HubServerCommand::Seen { peer, addresses });
        }
        self.ask_waiting(peer);
    }

    pub(super) fn handle_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Up { peer, remote, .. } => self.on_up(peer, remote),
            NetEvent::Down { peer, reason } => {
                tracing::debug!(peer = %peer.short(), %reason, "link down");
                self.links.up.remove(&peer);
                // Whoever wants it still dials again.
                self.links.wanted.remove(&peer);
                self.tell_link_to_all(peer, Link::Down);
                self.drop_streams(peer);
                self.redial_later(peer);
            }
            NetEvent::Unreachable { peer, reason } => {
                tracing::debug!(peer = %peer.short(), %reason, "unreachable");
                let reason = reason.to_string();
                self.refuse_waiting(peer, &reason);
                self.links.wanted.remove(&peer);
                self.links.note_failure(peer, reason);
                self.tell_link_to_all(peer, Link::Unreachable);
                self.redial_later(peer);
            }
            NetEvent::Message {
                peer,
                channel,
                body,
            } => self.handle_body(peer, channel, &body),
            NetEvent::Transfer { peer, stream } => self.on_transfer(peer, stream),
            NetEvent::Request {
                peer: _,
                kind: RequestKind::BROWSE,
                body,
                reply,
            } => {
                let Some((offset, limit)) = browse::parse_ask(&body) else {
                    return;
                };
                let (total, entries) = self.own_entries(offset, limit);
                tokio::spawn(browse::answer(reply, total, entries));
            }
            // Dropping the reply refuses.
            NetEvent::Request { .. } => {}
            NetEvent::Found(address) => {
                tracing::debug!(%address, "found on the local network");
                if self.links.named.contains_key(&address.peer) {
                    self.dial(Wanting::User, address.peer);
                }
                self.flood_command(FloodCommand::Bootstrap(vec![address.clone()]));
                self.supernode_command(SupernodeCommand::Bootstrap(vec![address.clone()]));
                self.dht_command(DhtCommand::Bootstrap(vec![address]));
            }
        }
    }

    fn handle_body(&mut self, peer: PeerId, channel: Channel, body: &[u8]) {
        let taken = match channel {
            Channel::Hub => self.handle_hub_body(peer, body),
            Channel::Flood => self.handle_flood_body(peer, body),
            Channel::Supernode => self.handle_supernode_body(peer, body),
            Channel::Dht => self.handle_dht_body(peer, body),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => self.links.unknown += 1,
            Err(error) => {
                tracing::info!(peer = %peer.short(), %error, "broke the protocol");
                self.links.malformed += 1;
                self.links.wanted.remove(&peer);
                self.net.disconnect(peer);
            }
        }
    }

    /// Whether anybody here understands the message.
    fn handle_hub_body(&mut self, peer: PeerId, body: &[u8]) -> Result<bool, Malformed> {
        let now = self.now();
        let Decoded::Message(message) = wire::decode::<HubMessage>(body)? else {
            return Ok(false);
        };
        match &mut self.hub_server {
            Some(hub) if message.is_for_hub() => hub.handle_message(now, peer, message),
            // A client that takes this peer for a hub: silence tells it.
            None if message.is_for_hub() => return Ok(false),
            _ => self.hub_client.handle_message(now, peer, message),
        }
        Ok(true)
    }

    fn handle_flood_body(&mut self, peer: PeerId, body: &[u8]) -> Result<bool, Malformed> {
        let now = self.now();
        let Decoded::Message(message) = wire::decode::<FloodMessage>(body)? else {
            return Ok(false);
        };
        let Some(flood) = &mut self.flood else {
            return Ok(false);
        };
        flood.core().handle_message(now, peer, message);
        Ok(true)
    }

    fn handle_supernode_body(&mut self, peer: PeerId, body: &[u8]) -> Result<bool, Malformed> {
        let now = self.now();
        let Decoded::Message(message) = wire::decode::<SupernodeMessage>(body)? else {
            return Ok(false);
        };
        let Some(tiers) = &mut self.supernode else {
            return Ok(false);
        };
        tiers.core().handle_message(now, peer, message);
        Ok(true)
    }

    fn handle_dht_body(&mut self, peer: PeerId, body: &[u8]) -> Result<bool, Malformed> {
        let now = self.now();
        let Decoded::Message(message) = wire::decode::<DhtMessage>(body)? else {
            return Ok(false);
        };
        let Some(ring) = &mut self.dht else {
            return Ok(false);
        };
        ring.core().handle_message(now, peer, message);
        Ok(true)
    }

    pub(super) fn send(&self, peer: PeerId, channel: Channel, body: Vec<u8>) {
        // Lost silently, as the seam says; the network counts it.
        if let Err(error) = self.net.send(peer, channel, Bytes::from(body)) {
            tracing::trace!(peer = %peer.short(), %error, "message not sent");
        }
    }

    fn redial_later(&mut self, peer: PeerId) {
        let now = self.now();
        if let Some(named) = self.links.named.get_mut(&peer) {
            named.dial_at = Some(now + named.pause);
            named.pause = (named.pause * 2).min(REDIAL_MAX);
        }
    }

    pub(super) fn tick_links(&mut self) {
        let now = self.now();
        let due: Vec<PeerId> = self
            .links
            .named
            .iter_mut()
            .filter(|(_, named)| named.dial_at.is_some_and(|at| at <= now))
            .map(|(peer, named)| {
                named.dial_at = None;
                *peer
            })
            .collect();
        for peer in due {
            self.dial(Wanting::User, peer);
        }
        if self.ticks.is_multiple_of(IDLE_TICKS) {
            self.hang_up_idle();
        }
        // A hub has leases for this, and more links than are looked at in
        // passing.
        if self.hub_server.is_none() {
            self.hang_up_dead();
        }
    }

    /// Gives up every dial that is under way.
    pub(super) fn stop_dials(&self) {
        let dialled = self.links.wanted.keys();
        for peer in dialled.filter(|peer| !self.links.is_up(**peer)) {
            self.net.disconnect(*peer);
        }
    }

    /// Gives up links on which nothing comes back.
    fn hang_up_dead(&mut self) {
        let now = self.now();
        let connections = self.net.connections();
        let mut heard = std::mem::take(&mut self.links.heard);
        for connection in connections {
            let (received_bytes, sent_bytes) = (connection.received_bytes, connection.sent_bytes);
            let current = Heard {
                received_bytes,
                sent_bytes,
                at: now,
            };
            let before = heard.remove(&connection.peer);
            let is_owed = |before: &Heard| {
                before.received_bytes == received_bytes && before.sent_bytes != sent_bytes
            };
            let kept = before.filter(is_owed).unwrap_or(current);
            if now - kept.at >= DEAD_AFTER {
                tracing::info!(peer = %connection.peer.short(), "nothing comes back");
                self.net.disconnect(connection.peer);
            } else {
                self.links.heard.insert(connection.peer, kept);
            }
        }
    }

    /// Gives up links that this peer dialled and needs no more: else the sources
    /// of many downloads would one day take every place.
    fn hang_up_idle(&mut self) {
        let now = self.now();
        let dialed = self
            .net
            .connections()
            .into_iter()
            .filter(|connection| connection.dialed);
        let idle: Vec<PeerId> = dialed
            .map(|connection| connection.peer)
            .filter(|peer| !self.is_needed(*peer))
            .collect();
        self.links.idle_since.retain(|peer, _| idle.contains(peer));
        for peer in idle {
            let since = *self.links.idle_since.entry(peer).or_insert(now);
            if now - since >= IDLE_MAX {
                tracing::debug!(peer = %peer.short(), "link not needed any more");
                self.links.wanted.remove(&peer);
                self.net.disconnect(peer);
            }
        }
    }

    pub(super) fn is_needed(&self, peer: PeerId) -> bool {
        let now = self.now();
        let flood = self.flood.as_ref();
        let tiers = self.supernode.as_ref();
        let ring = self.dht.as_ref();
        self.links.named.contains_key(&peer)
            || tiers.is_some_and(|tiers| tiers.tie(peer).is_some())
            || flood.is_some_and(|flood| flood.has_neighbour(peer))
            || ring.is_some_and(|ring| ring.uses(now, peer))
            || self.links.waiting.contains_key(&peer)
            || self.config.hubs.iter().any(|hub| hub.peer == peer)
            || self.has_streams(peer)
    }

    /// Lists a peer's files: at once if it is connected, else when it is.
    pub(super) fn browse(
        &mut self,
        peer: PeerId,
        offset: u64,
        limit: u32,
        reply: Reply<Result<BrowsePage, BrowseError>>,
    ) {
        let waiting = Waiting {
            offset,
            limit,
            reply,
        };
        if self.links.is_up(peer) {
            self.ask(peer, waiting);
            return;
        }
        let queue = self.links.waiting.entry(peer).or_default();
        if queue.len() >= WAITING_MAX {
            let reason = "too many questions wait for it already".to_owned();
            let _ = waiting
                .reply
                .send(Err(BrowseError::Unreachable { peer, reason }));
            return;
        }
        queue.push(waiting);
        self.dial(Wanting::User, peer);
    }

    fn ask(&self, peer: PeerId, waiting: Waiting) {
        let net = self.net.clone();
        tokio::spawn(async move {
            let page = browse::ask(&net, peer, waiting.offset, waiting.limit).await;
            // Who asked may have gone.
            let _ = waiting.reply.send(page);
        });
    }

    fn ask_waiting(&mut self, peer: PeerId) {
        for waiting in self.links.waiting.remove(&peer).unwrap_or_default() {
            self.ask(peer, waiting);
        }
    }

    fn refuse_waiting(&mut self, peer: PeerId, reason: &str) {
        for waiting in self.links.waiting.remove(&peer).unwrap_or_default() {
            let reason = reason.to_owned();
            let _ = waiting
                .reply
                .send(Err(BrowseError::Unreachable { peer, reason }));
        }
    }
}
