//! What is above the cores: it hears what they tell, and counts.

use gannet_base::{Core, Timestamp};
use gannet_overlay::flood::{self, FloodOutcome};
use gannet_overlay::supernode::{
    Ending, Role, Supernode, SupernodeCommand, SupernodeEvent, SupernodeMessage, SupernodeOutcome,
};

use super::super::index;
use super::super::library::Library;
use super::super::people::People;
use super::wire;
use crate::App;

/// A core that is a peer of the overlay, or has one in it.
pub(super) trait Peer:
    Core<Message = SupernodeMessage, Command = SupernodeCommand, Event = SupernodeEvent>
{
    /// The peer of the overlay.
    fn supernode(&self) -> &Supernode;
}

impl Peer for Supernode {
    fn supernode(&self) -> &Supernode {
        self
    }
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Public {
    pub(super) people: People,
    /// What each said last that it is.
    role: Vec<Role>,
    /// Links to other supernodes that each has.
    degree: Vec<u32>,
    /// The sum of them.
    pub(super) links: u64,
    /// Times that a role changed.
    pub(super) role_changes: u64,
    /// Those that stopped being supernodes while they were up, in order.
    pub(super) resigned: Vec<u32>,
    /// Attempts to get a place or a link, by who was asked.
    pub(super) dials: Vec<u32>,
}

impl Public {
    pub(super) fn new(library: Library, nodes: u32) -> Self {
        let mut people = People::new(library, nodes);
        // Nobody has arrived.
        people.up.fill(false);
        let nodes = index(nodes);
        Self {
            people,
            role: vec![Role::Leaf; nodes],
            degree: vec![0; nodes],
            links: 0,
            role_changes: 0,
            resigned: Vec::new(),
            dials: vec![0; nodes],
        }
    }

    /// A peer is up.
    pub(super) fn on_start(&mut self, node: u32) {
        self.people.up[index(node)] = true;
        self.role[index(node)] = Role::Leaf;
    }

    /// A peer is down.
    pub(super) fn on_crash(&mut self, node: u32) {
        self.people.on_crash(node);
        let role = std::mem::replace(&mut self.role[index(node)], Role::Leaf);
        self.role_changes += u64::from(role == Role::Supernode);
        self.links -= u64::from(std::mem::take(&mut self.degree[index(node)]));
    }

    fn on_role(&mut self, node: u32, role: Role) {
        let before = std::mem::replace(&mut self.role[index(node)], role);
        if before != role {
            self.role_changes += 1;
            if role == Role::Leaf {
                self.resigned.push(node);
            }
        }
    }
}

/// How a search ended, in the terms of the flood overlay.
fn outcome(outcome: &SupernodeOutcome) -> FloodOutcome {
    FloodOutcome {
        ending: match outcome.ending {
            Ending::Enough => flood::Ending::Enough,
            Ending::Everybody => flood::Ending::Everybody,
            Ending::Partial => flood::Ending::Partial,
            Ending::NoSupernode => flood::Ending::NoNeighbours,
            Ending::TooMany => flood::Ending::TooMany,
        },
        rounds: outcome.answered.rounds,
        ttl: outcome.answered.ttl,
        neighbours: outcome.asked,
        coverage: outcome.answered.coverage,
        elapsed: outcome.elapsed,
    }
}

impl<P: Peer> App<P> for Public {
    fn on_event(
        &mut self,
        now: Timestamp,
        node: u32,
        event: SupernodeEvent,
        _: &mut Vec<SupernodeCommand>,
    ) {
        match event {
            SupernodeEvent::Role(role) => self.on_role(node, role),
            SupernodeEvent::NeighbourUp { .. } => {
                self.degree[index(node)] += 1;
                self.links += 1;
            }
            SupernodeEvent::NeighbourDown { .. } => {
                let degree = &mut self.degree[index(node)];
                self.links -= u64::from(*degree > 0);
                *degree = degree.saturating_sub(1);
            }
            SupernodeEvent::Rows { id, hops, rows, .. } => {
                self.people.on_rows(now, id, hops, &rows);
            }
            SupernodeEvent::Ended { id, outcome: ended } => {
                self.people.on_ended(id, outcome(&ended));
            }
            _ => {}
        }
    }

    fn size(&self, message: &SupernodeMessage) -> u32 {
        wire::size(message)
    }

    fn kind(&self, message: &SupernodeMessage) -> u8 {
        wire::kind(message)
    }

    fn on_dialled(&mut self, _: Timestamp, _: u32, to: u32) {
        self.dials[index(to)] += 1;
    }

    fn on_message(&mut self, _: Timestamp, _: u32, to: u32, message: &SupernodeMessage) {
        if self.people.counting {
            let purpose = wire::purpose(message);
            self.people.count(to, purpose, wire::size(message));
        }
    }
}
