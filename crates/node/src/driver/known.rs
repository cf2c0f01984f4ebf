//! The peers to come back to: named by the user, and remembered from before by
//! every overlay that keeps such a list.

use gannet_base::PeerAddress;

use super::{Driver, Flooding};
use crate::remembered;

/// Ticks between looks whether other peers are worth remembering.
const REMEMBER_TICKS: u64 = 10;

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
    }

    /// Writes down whom to come back to, if that has changed. The peers are
    /// those of now; writing is for a task that may block.
    pub(super) fn remember(&mut self) -> impl FnOnce() + Send + 'static {
        let data_dir = self.config.data_dir.clone();
        let now = self.now();
        let supernodes = self.supernode.as_ref().map(|tiers| tiers.remembered(now));
        let neighbours = self.flood.as_ref().map(Flooding::remembered);
        let peers = remembered::merge(
            &supernodes.unwrap_or_default(),
            &neighbours.unwrap_or_default(),
        );
        // Nobody is worth less than who was there before.
        let changed = !peers.is_empty() && peers != self.remembered;
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
