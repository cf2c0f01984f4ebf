//! The dht core: the place on the ring, what is listed there, and what is
//! looked up.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{Core as _, Output, PeerAddress, PeerId, Timestamp};
use gannet_net::Channel;
use gannet_overlay::dht::keep::Keep;
use gannet_overlay::dht::{Dht, DhtCommand, DhtEvent, DhtMessage, DhtOutcome, Ending};
use gannet_overlay::flood::Wanted;
use gannet_overlay::locate::{LocateId, Overlay, OverlayOutcome};

use super::Driver;
use super::links::Wanting;
use crate::api::{DhtInfo, NodeEvent};
use crate::clock::wall_time;

/// Ticks between tellings of the calendar's time.
const WALL_TICKS: u64 = 60;
/// How long a peer that is on no ring counts as about to be on one: searches
/// wait for it so long.
// Guess: some dials, and what joining takes.
const JOIN_WITHIN: Duration = Duration::from_secs(5);

/// The dht core and what belongs to it.
pub(crate) struct Ring {
    core: Dht,
    /// Whether it wants a place of its own.
    is_member: bool,
    is_joined: bool,
    /// Searches that wait for a ring.
    waiting: Vec<(LocateId, Wanted, u32)>,
    /// Until when being on no ring is nothing unusual.
    joining_until: Timestamp,
}

impl Ring {
    /// On no ring yet.
    pub(crate) fn new(core: Dht, is_member: bool) -> Self {
        Self {
            core,
            is_member,
            is_joined: false,
            waiting: Vec::new(),
            joining_until: Timestamp::ZERO,
        }
    }

    pub(super) fn core(&mut self) -> &mut Dht {
        &mut self.core
    }

    pub(super) fn rings(&self) -> &[gannet_overlay::dht::ring::Ring] {
        self.core.rings()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }

    pub(super) fn remembered(&self) -> Vec<PeerAddress> {
        self.core.remembered()
    }

    /// Whether it is on a ring; without a place of its own, whether it has met
    /// somebody who is.
    pub(super) fn is_joined(&self) -> bool {
        let knows = |node: &gannet_overlay::dht::ring::Ring| node.status().contacts > 0;
        self.is_joined || (!self.is_member && self.core.rings().iter().any(knows))
    }

    /// Whether a peer is just before or after this one.
    pub(super) fn is_neighbour(&self, peer: PeerId) -> bool {
        let mut nodes = self.core.rings().iter();
        nodes.any(|node| {
            let next = node.successors().next();
            let mut near = node.predecessor().into_iter().chain(next);
            near.any(|one| one.peer == peer)
        })
    }

    /// What is kept, for others and by others.
    pub(super) fn keep(&self) -> Option<&Keep> {
        self.core.keep()
    }

    /// Whether it wants a place of its own.
    pub(super) fn is_member(&self) -> bool {
        self.is_member
    }

    /// How many other peers it has after it: all, while there are few.
    pub(super) fn others(&self) -> usize {
        let nodes = self.core.rings().iter();
        let peers = nodes.flat_map(|node| node.successors().map(|next| next.peer));
        peers.collect::<BTreeSet<_>>().len()
    }

    /// Whether the link to a peer was of use lately.
    pub(super) fn uses(&self, now: Timestamp, peer: PeerId) -> bool {
        self.core.uses_link(now, peer)
    }
}

impl Driver {
    pub(super) fn begin_dht(&mut self) {
        let now = self.now();
        let known = self.known_peers();
        self.dht_command(DhtCommand::WallTime(wall_time()));
        let own = self.address.addresses.clone();
        self.dht_command(DhtCommand::Announce(own));
        self.begin_keep();
        if let Some(ring) = &mut self.dht {
            ring.joining_until = now + JOIN_WITHIN;
            ring.core.handle_command(now, DhtCommand::Bootstrap(known));
        }
    }

    /// Hands over what is kept here and says goodbye. What is worth remembering
    /// must have been asked for before: see [`Driver::remember`].
    pub(super) fn end_dht(&mut self) {
        self.dht_command(DhtCommand::Leave);
    }

    pub(super) fn dht_command(&mut self, command: DhtCommand) {
        let now = self.clock.now();
        if let Some(ring) = &mut self.dht {
            ring.core.handle_command(now, command);
        }
    }

    pub(super) fn tick_dht(&mut self) {
        if self.ticks.is_multiple_of(WALL_TICKS) {
            self.dht_command(DhtCommand::WallTime(wall_time()));
        }
        let now = self.now();
        let ring = self.dht.as_ref();
        if ring.is_some_and(|ring| now >= ring.joining_until) {
            self.look_up_waiting();
        }
    }

    pub(super) fn on_dht_output(&mut self, output: Output<DhtMessage, DhtEvent>) {
        match output {
            Output::Send { to, message } => {
                self.send(to, Channel::Dht, gannet_base::wire::encode(&message));
            }
            Output::Dial { peer } => self.dial(Wanting::Dht, peer),
            Output::Disconnect { peer } => self.want_no_more(Wanting::Dht, peer),
            Output::Event(event) => self.on_dht_event(event),
        }
    }

    fn on_dht_event(&mut self, event: DhtEvent) {
        match event {
            DhtEvent::Joined(is_joined) => self.on_joined(is_joined),
            DhtEvent::Rows {
                id,
                via,
                hops,
                rows,
                addresses,
            } => self.on_unverified(id, Overlay::Dht, (via, hops), rows, addresses),
            DhtEvent::Ended { id, outcome } => self.on_ring_ended(id, outcome),
            DhtEvent::Keep(event) => self.on_keep_event(event),
            // Nobody here looks keys up.
            DhtEvent::Located { .. } => {}
            DhtEvent::Addresses(address) => {
                if address.peer != self.peer {
                    self.net.add_addresses(address);
                }
            }
        }
    }

    fn on_joined(&mut self, is_joined: bool) {
        let now = self.now();
        tracing::info!(is_joined, "ring");
        let Some(ring) = &mut self.dht else { return };
        if ring.is_joined == is_joined {
            return;
        }
        ring.is_joined = is_joined;
        if is_joined {
            self.look_up_waiting();
            self.look_for_sources_soon();
            self.tell(NodeEvent::RingJoined);
        } else {
            ring.joining_until = now + JOIN_WITHIN;
            self.tell(NodeEvent::RingLost);
        }
    }

    /// Asks on the ring: at once, or when this peer is on one.
    pub(super) fn ask_ring(&mut self, id: LocateId, wanted: Wanted, enough: u32) {
        let now = self.now();
        let knows_somebody = self.knows_ring_peers();
        let Some(ring) = &mut self.dht else {
            self.on_overlay_ended(id, Overlay::Dht, OverlayOutcome::Unused);
            return;
        };
        let is_ready = !ring.is_member || now >= ring.joining_until;
        if ring.is_joined || (knows_somebody && is_ready) {
            self.dht_command(DhtCommand::Search { id, wanted, enough });
        } else if knows_somebody {
            ring.waiting.push((id, wanted, enough));
        } else {
            self.on_overlay_ended(id, Overlay::Dht, OverlayOutcome::Unused);
        }
    }

    /// Whether there is anybody to make a ring with.
    fn knows_ring_peers(&self) -> bool {
        let ring = self.dht.as_ref();
        ring.is_some_and(|ring| ring.is_joined || !ring.remembered().is_empty())
            || !self.known_peers().is_empty()
    }

    fn look_up_waiting(&mut self) {
        let waiting = self.dht.as_mut().map(|ring| &mut ring.waiting);
        for (id, wanted, enough) in waiting.map(std::mem::take).unwrap_or_default() {
            self.dht_command(DhtCommand::Search { id, wanted, enough });
        }
    }

    /// Nobody waits for the answers any more.
    pub(super) fn forget_on_ring(&mut self, id: LocateId) {
        if let Some(ring) = &mut self.dht {
            ring.waiting.retain(|(waiting, ..)| *waiting != id);
        }
        self.dht_command(DhtCommand::Cancel { id });
    }

    pub(super) fn dht_info(&self) -> Option<DhtInfo> {
        let ring = self.dht.as_ref()?;
        let status = ring.core.status();
        let node = status.nodes.first()?;
        let is_joining = self.now() < ring.joining_until;
        let is_lost = !ring.is_joined() && !is_joining && self.knows_ring_peers();
        let problem = is_lost.then(|| {
            "on no ring: none of the peers that are known can be reached now; name another with \
             --peer PEER@ADDRESS"
                .to_owned()
        });
        Some(DhtInfo {
            joined: ring.is_joined(),
            is_member: ring.is_member,
            position: node.me.position.to_string(),
            predecessor: node.predecessor.as_ref().map(|before| before.peer),
            successors: node.successors.iter().map(|next| next.peer).collect(),
            successors_target: self.config.dht.successors,
            known_peers: ring.remembered().len() as u64,
            peers_estimated: status.size_estimate,
            entries: status.store.postings as u64,
            entry_bytes: status.store.bytes as u64,
            published: status.store.files as u64,
            pending: status.store.keys_pending as u64,
            answered: status.store.counters.served,
            keeping: self.keeping_info(),
            problem,
        })
    }

    /// "Everything was seen" must not be said by who knows nobody.
    fn on_ring_ended(&mut self, id: LocateId, outcome: DhtOutcome) {
        let outcome = if outcome.ending == Ending::Alone && !self.knows_ring_peers() {
            OverlayOutcome::Unused
        } else {
            OverlayOutcome::Dht(outcome)
        };
        self.on_overlay_ended(id, Overlay::Dht, outcome);
    }
}
