//! Who is on the ring, known outside the cores, and how lookups went.

use std::collections::BTreeMap;

use gannet_base::Timestamp;
use gannet_overlay::dht::{Dht, DhtCommand, DhtEvent, DhtMessage, Located, LookupCost, Position};

use super::super::index;
use super::watch::Watch;
use crate::{App, node_of};

/// A lookup that has begun.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) asker: u32,
    pub(super) key: Position,
    pub(super) began: Timestamp,
    pub(super) ended: Option<Ended>,
}

/// One that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Whether the first live one of the owners that it named was the member that is
    /// responsible at that moment.
    pub(super) is_right: bool,
    pub(super) cost: LookupCost,
}

/// All peers.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Those that live and have a place on the ring.
    members: BTreeMap<Position, u32>,
    /// Each peer's position, and on which side of a partition it is.
    peers: Vec<(Position, bool)>,
    is_split: bool,
    pub(super) trials: Vec<Trial>,
    /// Those that have neither ended nor been abandoned.
    pub(super) running: usize,
    /// What must hold of the ring, if it is looked at.
    pub(super) watch: Option<Watch>,
    /// Answers that are wrong whatever has happened: owners that do not follow the
    /// key in order, or nobody at all.
    pub(super) malformed: u64,
}

impl Crowd {
    /// Peers with these numbers come to be, 0 first. None is a member yet.
    pub(super) fn add_peer(&mut self) {
        let number = u32::try_from(self.peers.len()).expect("numbers have 32 bits");
        let position = Position::of_peer(crate::peer_id(number), 0);
        self.peers.push((position, false));
    }

    /// This one has its place, or has none any more.
    pub(super) fn set_member(&mut self, peer: u32, is_member: bool) {
        let (position, _) = self.peers[index(peer)];
        if is_member {
            self.members.insert(position, peer);
        } else {
            self.members.remove(&position);
        }
    }

    /// This one has died: its lookups will not end.
    pub(super) fn on_crash(&mut self, now: Timestamp, peer: u32) {
        self.set_member(peer, false);
        if let Some(watch) = &mut self.watch {
            watch.lose(now, peer);
        }
        for trial in &mut self.trials {
            if trial.asker == peer && trial.ended.is_none() {
                trial.asker = u32::MAX;
                self.running -= 1;
            }
        }
    }

    /// The members in order.
    pub(super) fn members(&self) -> impl Iterator<Item = u32> {
        self.members.values().copied()
    }

    /// How many members there are.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// From now on these are cut off from the others.
    pub(super) fn split(&mut self, inside: &[u32]) {
        for peer in inside {
            self.peers[index(*peer)].1 = true;
        }
        self.is_split = true;
    }

    /// All is one again.
    pub(super) fn unite(&mut self) {
        self.is_split = false;
    }

    /// On which side of the partition a peer is, or was.
    pub(super) fn side(&self, peer: u32) -> bool {
        self.peers[index(peer)].1
    }

    /// Who is responsible for a key, of those that `asker` can reach.
    fn owner(&self, asker: u32, key: Position) -> Option<u32> {
        let from = self.members.range(key..).chain(self.members.range(..key));
        let mut peers = from.map(|(_, peer)| *peer);
        peers.find(|peer| self.can_reach(asker, *peer))
    }

    fn can_reach(&self, asker: u32, peer: u32) -> bool {
        !self.is_split || self.side(asker) == self.side(peer)
    }

    /// A lookup begins; what to tell the core.
    pub(super) fn begin(&mut self, now: Timestamp, asker: u32, key: Position) -> DhtCommand {
        let id = self.trials.len() as u64;
        self.trials.push(Trial {
            asker,
            key,
            began: now,
            ended: None,
        });
        self.running += 1;
        DhtCommand::Lookup { id, key, paths: 1 }
    }

    fn on_located(&mut self, id: u64, found: Option<Located>, cost: LookupCost) {
        let place = usize::try_from(id).expect("it is in a list");
        let (asker, key) = (self.trials[place].asker, self.trials[place].key);
        if self.trials[place].ended.is_some() || asker == u32::MAX {
            return;
        }
        self.malformed += u64::from(found.as_ref().is_some_and(|found| !is_sound(key, found)));
        let owners = found.map_or_else(Vec::new, |found| found.owners);
        let mut owners = owners.iter().filter_map(|owner| node_of(owner.peer));
        let is_live = |peer: &u32| {
            let (position, _) = self.peers[index(*peer)];
            self.members.get(&position) == Some(peer) && self.can_reach(asker, *peer)
        };
        let first = owners.find(is_live);
        let is_right = first.is_some() && first == self.owner(asker, key);
        self.trials[place].ended = Some(Ended { is_right, cost });
        self.running -= 1;
    }
}

/// Whether owners follow the key, each once, in order.
fn is_sound(key: Position, found: &Located) -> bool {
    let positions = found
        .owners
        .iter()
        .map(|owner| Position::of_peer(owner.peer, 0));
    let after: Vec<u128> = positions.map(|at| key.distance_to(at)).collect();
    !after.is_empty() && after.is_sorted_by(|a, b| a < b)
}

impl App<Dht> for Crowd {
    fn on_event(&mut self, _: Timestamp, node: u32, event: DhtEvent, _: &mut Vec<DhtCommand>) {
        match event {
            DhtEvent::Joined(is_member) => self.set_member(node, is_member),
            DhtEvent::Located { id, found, cost } => self.on_located(id, found, cost),
            _ => {}
        }
    }

    fn after(&mut self, now: Timestamp, node: u32, core: &Dht) {
        if let Some(watch) = &mut self.watch {
            watch.see(now, node, &core.rings()[0]);
        }
    }

    fn size(&self, _: &DhtMessage) -> u32 {
        // Bandwidth is without limit here.
        0
    }
}
