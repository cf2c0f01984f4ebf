//! How much memory a leaf takes.

use gannet_overlay::supernode::{Role, Supernode};

use super::{LEASES, Params, grow, plain};
use crate::Impossible;

/// Most leaves that are weighed.
const WEIGHED_MAX: usize = 2_000;

/// What leaves of a settled network weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// How many were weighed.
    pub leaves: usize,
    /// Bytes of one, on average.
    pub mean_bytes: f64,
    /// Bytes of the heaviest.
    pub max_bytes: u64,
    /// Bytes of that average that are the core itself and not what it points
    /// to.
    pub core_bytes: usize,
}

/// Grows a network and weighs leaves that share nothing, once it has settled.
/// `allocated` says how many bytes the program has allocated and not freed.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn weigh(params: &Params, allocated: fn() -> u64) -> Result<Weight, Impossible> {
    params.check()?;
    let mut network = plain(params);
    grow(params, &mut network);
    network.settle(params.patience);
    network.pass(LEASES);
    let core_bytes = size_of::<Supernode>();
    let mut weights = Vec::with_capacity(WEIGHED_MAX);
    for node in 0..params.nodes {
        let core = network.world.core(node);
        let is_bare = network
            .world
            .app()
            .people
            .library
            .publications(node)
            .is_empty();
        if !is_bare || core.is_none_or(|core| core.role() != Role::Leaf) {
            continue;
        }
        let core = network.world.crash(node);
        let before = allocated();
        drop(core);
        let heap = before.saturating_sub(allocated());
        weights.push(heap + u64::try_from(core_bytes).unwrap_or(u64::MAX));
        if weights.len() == WEIGHED_MAX {
            break;
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "some thousand times some thousand"
    )]
    let mean_bytes = weights.iter().sum::<u64>() as f64 / weights.len().max(1) as f64;
    Ok(Weight {
        leaves: weights.len(),
        mean_bytes,
        max_bytes: weights.into_iter().max().unwrap_or(0),
        core_bytes,
    })
}
