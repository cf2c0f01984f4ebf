//! The supernode core: which supernodes have this peer, which leaves it has,
//! and what it is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{Core as _, Output, PeerAddress, PeerId, Timestamp};
use gannet_net::Channel;
use gannet_overlay::flood::Wanted;
use gannet_overlay::locate::{LocateId, Overlay, OverlayOutcome};
use gannet_overlay::supernode::{
    Answered, Ending, LossReason, Machine, Role, Supernode, SupernodeCommand, SupernodeEvent,
    SupernodeMessage, SupernodeOutcome,
};

use super::Driver;
use super::links::Wanting;
use crate::api::{self, HomeInfo, NodeEvent, SupernodeInfo, Tie};
use crate::clock::wall_time;
use crate::machine::{self, Busyness};
use crate::tiers::SupernodeConfig;

/// Ticks between tellings of the calendar's time and of what the machine is.
const MACHINE_TICKS: u64 = 60;
/// Ticks between looks at how busy the machine is.
const LOAD_TICKS: u64 = 5;
/// How long a peer without supernodes, links and leaves counts as about to have
/// some: searches wait for the first of them so long.
// Guess: some dials, greetings and knocks.
const JOIN_WITHIN: Duration = Duration::from_secs(5);
/// How long a leaf may look for a supernode before that is a problem.
// Guess: some knocks and a registration.
const UNASSIGNED_SECONDS: u64 = 5;

/// How many others a peer has to do with, against how many it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// None.
    Alone,
    /// As a supernode: fewer links than wanted.
    Few,
    /// All that it wants.
    Enough,
}

/// The supernode core and what belongs to it.
pub(crate) struct Tiers {
    core: Supernode,
    links: BTreeSet<PeerId>,
    links_target: usize,
    leaves: BTreeSet<PeerId>,
    /// Searches that wait for anybody to ask.
    waiting: Vec<(LocateId, Wanted, u32)>,
    /// Until when knowing of others and having none is nothing unusual.
    joining_until: Timestamp,
    busyness: Busyness,
}

impl Tiers {
    /// In no role yet.
    pub(crate) fn new(core: Supernode, config: &SupernodeConfig) -> Self {
        Self {
            core,
            links: BTreeSet::new(),
            links_target: config.links as usize,
            leaves: BTreeSet::new(),
            waiting: Vec::new(),
            joining_until: Timestamp::ZERO,
            busyness: Busyness::new(config.load_max),
        }
    }

    pub(super) fn core(&mut self) -> &mut Supernode {
        &mut self.core
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }

    pub(super) fn remembered(&self, now: Timestamp) -> Vec<PeerAddress> {
        self.core.remembered(now)
    }

    /// What a peer is to this one.
    pub(super) fn tie(&self, peer: PeerId) -> Option<Tie> {
        if let Some(at) = self.core.homes().position(|home| home == peer) {
            return Some(if at == 0 { Tie::Primary } else { Tie::Backup });
        }
        if self.links.contains(&peer) {
            return Some(Tie::Link);
        }
        self.leaves.contains(&peer).then_some(Tie::Leaf)
    }

    /// A supernode with neither leaves nor others: it has its own files only.
    fn is_alone(&self) -> bool {
        self.core.role() == Role::Supernode && !self.has_ties()
    }

    pub(super) fn standing(&self) -> Standing {
        match self.core.role() {
            _ if !self.has_ties() => Standing::Alone,
            Role::Supernode if self.links.len() < self.links_target => Standing::Few,
            Role::Supernode | Role::Leaf => Standing::Enough,
        }
    }

    fn has_ties(&self) -> bool {
        let has_home = self.core.homes().next().is_some();
        has_home || !self.links.is_empty() || !self.leaves.is_empty()
    }
}

impl Driver {
    pub(super) fn begin_supernode(&mut self) {
        let now = self.now();
        self.announce_machine();
        // All of them at once: who is told of nobody begins a network.
        let known = self.known_peers();
        if let Some(tiers) = &mut self.supernode {
            tiers.joining_until = now + JOIN_WITHIN;
            let command = SupernodeCommand::Bootstrap(known);
            tiers.core.handle_command(now, command);
        }
    }

    /// Says goodbye to supernodes and leaves.
    pub(super) fn end_supernode(&mut self) {
        self.supernode_command(SupernodeCommand::Leave);
    }

    pub(super) fn supernode_command(&mut self, command: SupernodeCommand) {
        let now = self.clock.now();
        if let Some(tiers) = &mut self.supernode {
            tiers.core.handle_command(now, command);
        }
    }

    fn announce_machine(&mut self) {
        let upload = self.config.limit_up.unwrap_or(0) / 1_024;
        let machine = Machine {
            upload_kib: u32::try_from(upload).unwrap_or(u32::MAX),
            memory_mib: machine::memory_mib(),
        };
        self.supernode_command(SupernodeCommand::WallTime(wall_time()));
        self.supernode_command(SupernodeCommand::Machine(machine));
    }

    pub(super) fn tick_supernode(&mut self) {
        if self.ticks.is_multiple_of(MACHINE_TICKS) {
            self.announce_machine();
        }
        if self.ticks.is_multiple_of(LOAD_TICKS)
            && let Some(load) = machine::load_percent()
            && let Some(tiers) = &mut self.supernode
            && let Some(is_busy) = tiers.busyness.measure(load)
        {
            tracing::info!(load, is_busy, "load of this machine");
            self.supernode_command(SupernodeCommand::Busy(is_busy));
        }
        let now = self.now();
        let tiers = self.supernode.as_ref();
        if tiers.is_some_and(|tiers| now >= tiers.joining_until) {
            self.ask_waiting_at_supernodes();
        }
    }

    pub(super) fn on_supernode_output(&mut self, output: Output<SupernodeMessage, SupernodeEvent>) {
        match output {
            Output::Send { to, message } => {
                let body = gannet_base::wire::encode(&message);
                self.send(to, Channel::Supernode, body);
            }
            Output::Dial { peer } => self.dial(Wanting::Supernode, peer),
            Output::Disconnect { peer } => self.let_go(Wanting::Supernode, peer),
            Output::Event(event) => self.on_supernode_event(event),
        }
    }

    fn on_supernode_event(&mut self, event: SupernodeEvent) {
        match event {
            SupernodeEvent::Role(role) => self.on_role(role),
            SupernodeEvent::Assigned {
                supernode,
                is_primary,
            } => self.on_assigned(supernode, is_primary),
            SupernodeEvent::Lost { supernode, reason } => self.on_supernode_lost(supernode, reason),
            SupernodeEvent::RegistrationRefused {
                supernode,
                entries,
                reason,
            } => {
                let supernode = supernode.short();
                tracing::warn!(supernode, entries, %reason, "registration refused");
            }
            SupernodeEvent::PublishRefused { entries } => {
                // They come many at a time: once is enough.
                if !std::mem::replace(&mut self.tally.publishing.told_excess, true) {
                    tracing::warn!(entries, "entries not published at supernodes");
                }
            }
            SupernodeEvent::NeighbourUp { peer } => self.note_tie(peer, true, |t| &mut t.links),
            SupernodeEvent::NeighbourDown { peer } => self.note_tie(peer, false, |t| &mut t.links),
            SupernodeEvent::LeafUp { peer } => self.note_tie(peer, true, |t| &mut t.leaves),
            SupernodeEvent::LeafDown { peer } => self.note_tie(peer, false, |t| &mut t.leaves),
            SupernodeEvent::Rows {
                id,
                via,
                hops,
                rows,
                addresses,
            } => self.on_unverified(id, Overlay::Supernode, (via, hops), rows, addresses),
            SupernodeEvent::Ended { id, outcome } => self.on_supernodes_ended(id, outcome),
            SupernodeEvent::Addresses(address) => {
                if address.peer != self.peer {
                    self.net.add_addresses(address);
                }
            }
        }
    }

    fn on_role(&mut self, role: Role) {
        let now = self.now();
        let role = role_of(role);
        tracing::info!(role = role.name(), "role");
        if let Some(tiers) = &mut self.supernode {
            tiers.joining_until = now + JOIN_WITHIN;
            // A leaf has neither; and what a new supernode gets, it is told of.
            tiers.links.clear();
            tiers.leaves.clear();
        }
        self.tell(NodeEvent::RoleChanged { role });
    }

    fn on_assigned(&mut self, supernode: PeerId, is_primary: bool) {
        tracing::info!(supernode = %supernode.short(), is_primary, "registered at a supernode");
        self.ask_waiting_at_supernodes();
        if is_primary {
            // It may know sources that the one before did not.
            self.look_for_sources_soon();
        }
        self.tell(NodeEvent::SupernodeUp {
            supernode,
            is_primary,
        });
    }

    fn on_supernode_lost(&mut self, supernode: PeerId, reason: LossReason) {
        let words = loss_words(reason);
        tracing::info!(supernode = %supernode.short(), words, "supernode lost");
        self.look_for_sources_soon();
        let reason = words.to_owned();
        self.tell(NodeEvent::SupernodeDown { supernode, reason });
    }

    fn note_tie(
        &mut self,
        peer: PeerId,
        is_up: bool,
        which: impl FnOnce(&mut Tiers) -> &mut BTreeSet<PeerId>,
    ) {
        let Some(tiers) = &mut self.supernode else {
            return;
        };
        let ties = which(tiers);
        if is_up {
            ties.insert(peer);
        } else {
            ties.remove(&peer);
        }
        tracing::debug!(peer = %peer.short(), is_up, ties = ties.len(), "leaf or linked supernode");
        if is_up {
            self.ask_waiting_at_supernodes();
        }
    }

    /// Asks the supernodes: at once, or when there is one.
    pub(super) fn ask_supernodes(&mut self, id: LocateId, wanted: Wanted, enough: u32) {
        let now = self.now();
        let knows_somebody = !self.known_peers().is_empty();
        let Some(tiers) = &mut self.supernode else {
            self.on_overlay_ended(id, Overlay::Supernode, OverlayOutcome::Unused);
            return;
        };
        if tiers.has_ties() {
            self.ask_core(id, wanted, enough);
        } else if !knows_somebody && tiers.core.status(now).known_peers == 0 {
            self.on_overlay_ended(id, Overlay::Supernode, OverlayOutcome::Unused);
        } else if now < tiers.joining_until {
            tiers.waiting.push((id, wanted, enough));
        } else {
            self.ask_core(id, wanted, enough);
        }
    }

    fn ask_waiting_at_supernodes(&mut self) {
        let waiting = self.supernode.as_mut().map(|tiers| &mut tiers.waiting);
        for (id, wanted, enough) in waiting.map(std::mem::take).unwrap_or_default() {
            self.ask_core(id, wanted, enough);
        }
    }

    /// That a lone supernode has a file itself is no answer.
    fn ask_core(&mut self, id: LocateId, wanted: Wanted, enough: u32) {
        if self.supernode.as_ref().is_some_and(Tiers::is_alone) {
            let outcome = SupernodeOutcome {
                ending: Ending::NoSupernode,
                asked: 0,
                answered: Answered::default(),
                elapsed: Duration::ZERO,
            };
            self.on_supernodes_ended(id, outcome);
        } else {
            self.supernode_command(SupernodeCommand::Search { id, wanted, enough });
        }
    }

    /// Nobody waits for the answers any more.
    pub(super) fn forget_at_supernodes(&mut self, id: LocateId) {
        if let Some(tiers) = &mut self.supernode {
            tiers.waiting.retain(|(waiting, ..)| *waiting != id);
        }
        self.supernode_command(SupernodeCommand::Cancel { id });
    }

    /// "Everybody was asked" must not be said by who knows nobody.
    fn on_supernodes_ended(&mut self, id: LocateId, mut outcome: SupernodeOutcome) {
        let is_alone = self.supernode.as_ref().is_some_and(Tiers::is_alone);
        let outcome = if is_alone && self.known_peers().is_empty() {
            OverlayOutcome::Unused
        } else {
            if is_alone {
                outcome.ending = Ending::NoSupernode;
            }
            OverlayOutcome::Supernode(outcome)
        };
        self.on_overlay_ended(id, Overlay::Supernode, outcome);
    }

    pub(super) fn supernode_info(&self) -> Option<SupernodeInfo> {
        let tiers = self.supernode.as_ref()?;
        let status = tiers.core.status(self.now());
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let unassigned = status.unassigned_since.map(|since| self.now() - since);
        let homes = status.homes.iter().enumerate().map(|(at, home)| HomeInfo {
            supernode: home.supernode,
            is_primary: at == 0,
            is_live: home.is_live,
            registered: home.registered as u64,
        });
        let wish = &self.config.supernode;
        let mut info = SupernodeInfo {
            role: role_of(status.role),
            wish: wish.role,
            homes: homes.collect(),
            unassigned_seconds: unassigned.map(|since| since.as_secs()),
            leaves: count(tiers.leaves.len()),
            leaves_max: wish.leaves_max,
            links: count(tiers.links.len()),
            links_target: wish.links,
            known_supernodes: status.known_supernodes as u64,
            entries: status.hub.map_or(0, |hub| hub.entries as u64),
            leaf_searches: status.counters.leaf_searches,
            is_reachable: status.score.reachable,
            is_busy: tiers.busyness.is_busy(),
            promotions: status.counters.promotions,
            elections: status.counters.elections,
            demotions: status.counters.demotions,
            lost: status.counters.lost,
            problem: None,
        };
        info.problem = self.supernode_problem(&info);
        Some(info)
    }

    /// Why nobody can be asked this way, if somebody should be.
    fn supernode_problem(&self, info: &SupernodeInfo) -> Option<String> {
        let knows_somebody = !self.known_peers().is_empty() || info.known_supernodes > 0;
        match info.role {
            api::Role::Leaf => {
                let seconds = info.unassigned_seconds?;
                (knows_somebody && seconds >= UNASSIGNED_SECONDS).then(|| {
                    format!(
                        "no supernode has this peer for {seconds} s: {} known, none answers or has \
                         room; it goes on trying, or name another peer with --peer PEER@ADDRESS",
                        info.known_supernodes
                    )
                })
            }
            api::Role::Supernode => {
                let is_alone = info.links == 0 && info.leaves == 0;
                (is_alone && knows_somebody).then(|| {
                    "this supernode is alone: none of the peers that are known can be reached now; \
                     name another with --peer PEER@ADDRESS"
                        .to_owned()
                })
            }
        }
    }
}

fn role_of(role: Role) -> api::Role {
    match role {
        Role::Leaf => api::Role::Leaf,
        Role::Supernode => api::Role::Supernode,
    }
}

fn loss_words(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Gone => "it is gone or answers nothing",
        LossReason::Useless => "it answers wrongly",
        LossReason::Refused => "it has no room or stands down",
        LossReason::Replaced => "another one is used instead",
    }
}
