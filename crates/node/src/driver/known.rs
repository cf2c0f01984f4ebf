//! The peers to come back to: named by the user, and remembered from before by
//! every overlay that keeps such a list.

use gannet_base::PeerAddress;

use gannet_overlay::dht::DhtCommand;
use gannet_overlay::supernode::SupernodeCommand;

use super::supernode::Standing;
use super::{Driver, Flooding, Ring};
use crate::remembered;

/// Ticks between looks whether other peers are worth remembering.
const REMEMBER_TICKS: u64 = 10;
/// Ticks between attempts at peers from before, while there is nobody.
// Guess: what a dial takes.
const ALONE_TICKS: u64 = 5;
/// Ticks between such attempts while there are fewer others than wanted: parts
/// of a network that lost each other become one again.
// Guess: a few dials a minute.
const FEW_TICKS: u64 = 20;
/// Peers tried at once.
const TRIED_AT_ONCE: usize = 3;

impl Driver {
    /// Whom to begin with, this peer itself left out: those that the user
    /// named, then those remembered.
    pub(super) fn known_peers(&self) -> Vec<PeerAddress> {
        let named = self.config.peers.iter();
        let all = named.chain(&self.remembered);
        all.filter(|at| at.peer != self.peer).cloned().collect()
    }

    pub(super) fn tick_known(&mut self) {
        if self.ticks.is_multiple_of(REMEMBER_TICKS) {
            let remember = self.remember();
            self.tasks.spawn_blocking(remember);
        }
        let is_off_ring = self.dht.as_ref().is_some_and(|ring| !ring.is_joined());
        let pause = match self.supernode.as_ref().map(|tiers| tiers.standing()) {
            _ if is_off_ring => ALONE_TICKS,
            Some(Standing::Alone) => ALONE_TICKS,
            Some(Standing::Few) => FEW_TICKS,
            Some(Standing::Enough) | None => return,
        };
        if self.ticks.is_multiple_of(pause) {
            self.try_known(self.ticks / pause);
        }
    }

    /// Tries some of those that are known and not linked now, by turns: the cores
    /// forget who did not answer, but whoever was there once may be back.
    fn try_known(&mut self, turn: u64) {
        let mut known = self.known_peers();
        known.retain(|address| !self.links.is_up(address.peer));
        if known.is_empty() {
            return;
        }
        let turns = known.len().div_ceil(TRIED_AT_ONCE) as u64;
        let skipped = usize::try_from(turn % turns).unwrap_or(0) * TRIED_AT_ONCE;
        let some = known.into_iter().skip(skipped).take(TRIED_AT_ONCE);
        let some: Vec<PeerAddress> = some.collect();
        self.supernode_command(SupernodeCommand::Bootstrap(some.clone()));
        self.dht_command(DhtCommand::Bootstrap(some));
    }

    /// Writes down whom to come back to, if that has changed. The peers are
    /// those of now; writing is for a task that may block.
    pub(super) fn remember(&mut self) -> impl FnOnce() + Send + 'static {
        let data_dir = self.config.data_dir.clone();
        let now = self.now();
        let supernodes = self.supernode.as_ref().map(|tiers| tiers.remembered(now));
        let neighbours = self.flood.as_ref().map(Flooding::remembered);
        let ring = self.dht.as_ref().map(Ring::remembered);
        let lists = [supernodes, neighbours, ring].map(Option::unwrap_or_default);
        let peers = remembered::merge(&lists, &self.remembered);
        let changed = peers != self.remembered;
        if changed {
            self.remembered.clone_from(&peers);
        }
        move || {
            if changed && let Err(error) = remembered::save(&data_dir, &peers) {
                tracing::warn!(%error, "other peers are not remembered");
            }
        }
    }
}
