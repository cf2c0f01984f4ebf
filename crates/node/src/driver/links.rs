//! Links: which peers are connected, who wants them so, and the peers that the
//! user named.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use gannet_base::wire::{self, Decoded};
use gannet_base::{Core as _, Link, PeerId, Timestamp};
use gannet_net::{Channel, Dialed, NetEvent, RequestKind};
use gannet_overlay::hub::{HubMessage, HubServerCommand};

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
    Downloads,
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

/// What is known of links.
#[derive(Default)]
pub(crate) struct Links {
    up: BTreeSet<PeerId>,
    wanted: BTreeMap<PeerId, BTreeSet<Wanting>>,
    named: BTreeMap<PeerId, Named>,
    waiting: BTreeMap<PeerId, Vec<Waiting>>,
    /// Since when links were seen to be of no use.
    idle_since: BTreeMap<PeerId, Timestamp>,
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

    fn tell_link(&mut self, wanting: Wanting, peer: PeerId, link: Link) {
        let now = self.now();
        match wanting {
            Wanting::HubClient => self.hub_client.handle_link(now, peer, link),
            Wanting::HubServer => {
                if let Some(hub) = &mut self.hub_server {
                    hub.handle_link(now, peer, link);
                }
            }
            Wanting::Downloads => self.downloads.handle_link(now, peer, link),
            Wanting::Uploads => self.uploads.handle_link(now, peer, link),
            Wanting::User => {}
        }
    }

    fn tell_link_to_all(&mut self, peer: PeerId, link: Link) {
        for wanting in [
            Wanting::HubClient,
            Wanting::HubServer,
            Wanting::Downloads,
            Wanting::Uploads,
        ] {
            self.tell_link(wanting, peer, link);
        }
    }

    pub(super) fn handle_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Up { peer, remote, .. } => {
                self.links.up.insert(peer);
                self.links.failures.remove(&peer);
                if let Some(named) = self.links.named.get_mut(&peer) {
                    *named = Named {
                        pause: REDIAL_MIN,
                        dial_at: None,
                    };
                }
                self.tell_link_to_all(peer, Link::Up);
                let now = self.now();
                if let Some(hub) = &mut self.hub_server {
                    hub.handle_command(
                        now,
                        HubServerCommand::Seen {
                            peer,
                            addresses: remote,
                        },
                    );
                }
                self.ask_waiting(peer);
            }
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
            }
        }
    }

    fn handle_body(&mut self, peer: PeerId, channel: Channel, body: &[u8]) {
        let now = self.now();
        if channel != Channel::Hub {
            self.links.unknown += 1;
            return;
        }
        match wire::decode::<HubMessage>(body) {
            Ok(Decoded::Message(message)) if message.is_for_hub() => match &mut self.hub_server {
                Some(hub) => hub.handle_message(now, peer, message),
                // A client that takes this peer for a hub: silence tells it.
                None => self.links.unknown += 1,
            },
            Ok(Decoded::Message(message)) => self.hub_client.handle_message(now, peer, message),
            Ok(Decoded::Unknown { .. }) => self.links.unknown += 1,
            Err(error) => {
                tracing::info!(peer = %peer.short(), %error, "broke the protocol");
                self.links.malformed += 1;
                self.links.wanted.remove(&peer);
                self.net.disconnect(peer);
            }
        }
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

    fn is_needed(&self, peer: PeerId) -> bool {
        self.links.named.contains_key(&peer)
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
