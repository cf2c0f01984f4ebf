//! A network that shrinks: all but a few go, half of them without a word.

use gannet_overlay::supernode::SupernodeCommand;

use super::network::{Network, TICK};
use super::public::Peer;
use crate::{draw, stats};

/// The share of the peers that go in a second, when there are few: faster than
/// that no network loses its peers without falling.
// Guess: half of them in half a minute.
const SHARE_MAX: f64 = 0.02;

/// What came of it.
#[derive(Debug)]
pub(super) struct Shrunk {
    /// Peers that are left.
    pub(super) left: u32,
}

/// Lets peers go, so many a second at most, until so many are left.
pub(super) fn shrink<P: Peer>(network: &mut Network<P>, to: u32, per_second: f64) -> Shrunk {
    loop {
        let up = network.up();
        let count = stats::share(up.len() as u64, 1);
        let most = usize::try_from(to).unwrap_or(usize::MAX);
        let surplus = up.len().saturating_sub(most);
        if surplus == 0 {
            let left = u32::try_from(up.len()).expect("at most all peers");
            return Shrunk { left };
        }
        let going = (count * SHARE_MAX).min(per_second).max(1.0);
        let going = usize::try_from(draw::whole(going))
            .unwrap_or(1)
            .min(surplus);
        for node in network.some_of(up, going) {
            if network.chance() {
                network.world.command(node, SupernodeCommand::Leave);
            }
            network.crash(node);
        }
        network.pass(TICK);
    }
}
