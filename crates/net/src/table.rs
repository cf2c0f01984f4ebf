//! Which connection to each peer counts, when both dial at once, when a peer
//! comes back before its old connection was missed, and when one is taking
//! leave while the next is at the door.
//!
//! The rule, the same on both sides:
//!
//! * A side greets on a connection that it dialled only while it has none, and
//!   every greeting of one life carries a greater number than those before.
//! * While both have greeted and neither has been answered, the connection
//!   dialled by the peer with the smaller id is kept.
//! * Once a connection is up, a newcomer replaces it if it comes from another
//!   life of the peer, or greets with a greater number than the peer did on
//!   the present one: the peer had given that one up. Otherwise the newcomer
//!   is a leftover of dialling at once and is refused.
//!
//! Pure: `C` stands for a connection, `D` for what stops a dial.

use std::collections::BTreeMap;

use gannet_base::PeerId;

use crate::handshake::Instance;

/// Every connection and dial of the process. Bounded by the census, which
/// admits each before it comes here.
#[derive(Debug)]
pub(crate) struct Table<C, D> {
    me: PeerId,
    sequence: u64,
    next_id: u64,
    peers: BTreeMap<PeerId, Slot<C, D>>,
}

#[derive(Debug)]
struct Slot<C, D> {
    up: Option<Up<C>>,
    /// The connection before, until its end has been reported.
    leaving: Option<(u64, C)>,
    dial: Option<Dial<D>>,
}

#[derive(Debug)]
struct Up<C> {
    id: u64,
    connection: C,
    instance: Instance,
    sequence: u64,
}

#[derive(Debug)]
struct Dial<D> {
    id: u64,
    has_greeted: bool,
    stop: D,
}

/// What a request to dial comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialStep {
    /// Nothing to do.
    Connected,
    /// One is under way.
    UnderWay,
    /// Begin, under this id.
    Begin(u64),
}

/// Permission to greet or to answer a greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Names the connection towards the table.
    pub(crate) id: u64,
    /// The number of this side's greeting.
    pub(crate) sequence: u64,
}

/// A connection that now counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entered<C> {
    /// The one before: close it, and wait until its end has been reported.
    pub(crate) predecessor: Option<C>,
    /// Whether the one before was still up.
    pub(crate) has_replaced: bool,
}

impl<C: Clone, D> Table<C, D> {
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            me,
            sequence: 0,
            next_id: 0,
            peers: BTreeMap::new(),
        }
    }

    /// The connection to the peer, if it is up.
    pub(crate) fn up(&self, peer: PeerId) -> Option<&C> {
        Some(&self.peers.get(&peer)?.up.as_ref()?.connection)
    }

    /// Every connection that is up, in order of peer.
    pub(crate) fn all(&self) -> impl Iterator<Item = &C> {
        self.peers
            .values()
            .filter_map(|slot| Some(&slot.up.as_ref()?.connection))
    }

    /// Somebody wants a connection to the peer.
    pub(crate) fn dial(&mut self, peer: PeerId, stop: D) -> DialStep {
        self.next_id += 1;
        let id = self.next_id;
        let slot = self.slot(peer);
        if slot.up.is_some() {
            return DialStep::Connected;
        }
        if slot.dial.is_some() {
            return DialStep::UnderWay;
        }
        slot.dial = Some(Dial {
            id,
            has_greeted: false,
            stop,
        });
        DialStep::Begin(id)
    }

    /// The dial is encrypted and may greet, unless it has become superfluous.
    pub(crate) fn greet(&mut self, peer: PeerId, dial: u64) -> Option<Pass> {
        let slot = self.peers.get_mut(&peer)?;
        let current = slot.dial.as_mut().filter(|current| current.id == dial)?;
        current.has_greeted = true;
        self.sequence += 1;
        Some(Pass {
            id: dial,
            sequence: self.sequence,
        })
    }

    /// The dial was answered. `None` if it has become superfluous meanwhile.
    pub(crate) fn enter_dialed(
        &mut self,
        peer: PeerId,
        pass: Pass,
        instance: Instance,
        sequence: u64,
        connection: C,
    ) -> Option<Entered<C>> {
        let slot = self.peers.get_mut(&peer)?;
        slot.dial.take_if(|current| current.id == pass.id)?;
        Some(slot.enter(Up {
            id: pass.id,
            connection,
            instance,
            sequence,
        }))
    }

    /// A peer that dialled has greeted. `None` if its connection is a leftover
    /// of dialling at once; otherwise `connect` makes it count.
    pub(crate) fn enter_accepted(
        &mut self,
        peer: PeerId,
        instance: Instance,
        sequence: u64,
        connect: impl FnOnce(Pass) -> C,
    ) -> Option<(Pass, Entered<C>)> {
        let ours_first = self.me < peer;
        let slot = self.slot(peer);
        if let Some(up) = &slot.up {
            let is_newer = up.instance != instance || sequence > up.sequence;
            if !is_newer {
                return None;
            }
        }
        if slot.dial.as_ref().is_some_and(|dial| dial.has_greeted) && ours_first {
            return None;
        }
        slot.dial = None;
        self.next_id += 1;
        self.sequence += 1;
        let pass = Pass {
            id: self.next_id,
            sequence: self.sequence,
        };
        let up = Up {
            id: pass.id,
            connection: connect(pass),
            instance,
            sequence,
        };
        Some((pass, self.slot(peer).enter(up)))
    }

    /// The dial came to nothing. Whether anybody still waits for it.
    pub(crate) fn dial_failed(&mut self, peer: PeerId, dial: u64) -> bool {
        let Some(slot) = self.peers.get_mut(&peer) else {
            return false;
        };
        let is_current = slot.dial.take_if(|current| current.id == dial).is_some();
        self.tidy(peer);
        is_current
    }

    /// What stops the dial that is under way, if one is.
    pub(crate) fn dial_under_way(&self, peer: PeerId) -> Option<&D> {
        Some(&self.peers.get(&peer)?.dial.as_ref()?.stop)
    }

    /// The connection does not count any more; its end is yet to be reported.
    pub(crate) fn leave(&mut self, peer: PeerId, id: u64) {
        if let Some(slot) = self.peers.get_mut(&peer)
            && let Some(up) = slot.up.take_if(|up| up.id == id)
        {
            slot.leaving = Some((id, up.connection));
        }
    }

    /// The end of the connection has been reported.
    pub(crate) fn gone(&mut self, peer: PeerId, id: u64) {
        if let Some(slot) = self.peers.get_mut(&peer) {
            slot.leaving.take_if(|(leaving, _)| *leaving == id);
        }
        self.tidy(peer);
    }

    fn slot(&mut self, peer: PeerId) -> &mut Slot<C, D> {
        self.peers.entry(peer).or_insert(Slot {
            up: None,
            leaving: None,
            dial: None,
        })
    }

    fn tidy(&mut self, peer: PeerId) {
        let is_empty = self
            .peers
            .get(&peer)
            .is_some_and(|slot| slot.up.is_none() && slot.leaving.is_none() && slot.dial.is_none());
        if is_empty {
            self.peers.remove(&peer);
        }
    }
}

impl<C: Clone, D> Slot<C, D> {
    fn enter(&mut self, newcomer: Up<C>) -> Entered<C> {
        let previous = self.up.replace(newcomer);
        let has_replaced = previous.is_some();
        let predecessor = match previous {
            Some(up) => {
                // Each waits for the one before it, so the youngest is enough.
                self.leaving = Some((up.id, up.connection.clone()));
                Some(up.connection)
            }
            None => self
                .leaving
                .as_ref()
                .map(|(_, connection)| connection.clone()),
        };
        Entered {
            predecessor,
            has_replaced,
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
