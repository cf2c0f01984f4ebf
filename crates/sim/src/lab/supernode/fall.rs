//! Many supernodes die at once: how their leaves fare, and who is left.

use std::time::Duration;

use gannet_overlay::supernode::Role;

use super::super::index;
use super::network::{Network, STILL};
use super::public::Peer;
use crate::{draw, node_of, stats};

/// How long the time before is watched.
const BEFORE: Duration = Duration::from_secs(60);
/// How long the recovery is watched at most, and at least.
const AFTER_MAX: Duration = Duration::from_secs(300);
const AFTER_MIN: Duration = Duration::from_secs(60);
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(250);
/// Over which attempts to connect are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fall {
    /// Supernodes that were killed.
    pub(super) killed: u32,
    /// Leaves whose primary was.
    pub(super) bereaved: u64,
    /// Seconds until each of those that found another had it, ascending.
    pub(super) rehomed: Vec<f64>,
    /// Supernodes that were not killed and stopped being one while somebody
    /// looked for a place.
    pub(super) secondary_losses: u64,
    /// Attempts a second at a survivor before it, on average.
    pub(super) before_per_s: f64,
    /// The same in the worst window after it.
    pub(super) peak_per_s: f64,
    /// At the one that had most of them, in its worst window.
    pub(super) worst_per_s: f64,
}

impl Fall {
    /// How many times as many attempts there are; nothing if there were none
    /// before.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.before_per_s > 0.0).then(|| self.peak_per_s / self.before_per_s)
    }
}

/// Kills this share of the supernodes, and watches.
pub(super) fn fall<P: Peer>(network: &mut Network<P>, share: f64) -> Fall {
    network.world.app_mut().dials.fill(0);
    network.pass(BEFORE);
    let mut fall = Fall::default();
    let supernodes = network.supernodes();
    let count = share * stats::share(supernodes.len() as u64, 1);
    let count = usize::try_from(draw::whole(count.round())).unwrap_or(usize::MAX);
    let victims = network.some_of(supernodes.clone(), count);
    let survivors: Vec<u32> = supernodes
        .into_iter()
        .filter(|node| !victims.contains(node))
        .collect();
    (fall.before_per_s, _) = rates(network, &survivors, BEFORE);
    let mut bereaved = bereaved(network, &victims);
    fall.bereaved = bereaved.len() as u64;
    fall.killed = u32::try_from(victims.len()).expect("at most all peers");
    for victim in victims {
        network.crash(victim);
    }
    watch(network, &survivors, &mut bereaved, &mut fall);
    fall.rehomed.sort_by(f64::total_cmp);
    fall
}

/// The leaves whose primary is one of these.
fn bereaved<P: Peer>(network: &Network<P>, victims: &[u32]) -> Vec<u32> {
    let up = network.up().into_iter();
    let has_lost = |leaf: &u32| {
        let core = network.world.core(*leaf).map(Peer::supernode);
        let core = core.filter(|core| core.role() == Role::Leaf);
        let primary = core.and_then(|core| core.homes().next()).and_then(node_of);
        primary.is_some_and(|primary| victims.contains(&primary))
    };
    up.filter(has_lost).collect()
}

/// Attempts a second since they were last counted: on average, and the most.
fn rates<P: Peer>(network: &mut Network<P>, survivors: &[u32], time: Duration) -> (f64, f64) {
    let dials = &mut network.world.app_mut().dials;
    let counts = survivors.iter().map(|node| u64::from(dials[index(*node)]));
    let (sum, most) = counts.fold((0, 0), |(sum, most), n| (sum + n, n.max(most)));
    dials.fill(0);
    let seconds = time.as_secs_f64();
    (
        stats::share(sum, survivors.len() as u64) / seconds,
        stats::share(most, 1) / seconds,
    )
}

fn watch<P: Peer>(
    network: &mut Network<P>,
    survivors: &[u32],
    bereaved: &mut Vec<u32>,
    fall: &mut Fall,
) {
    let began = network.world.now();
    let mut window = began;
    let mut changes = network.world.app().role_changes;
    let mut still_since = began;
    network.world.app_mut().resigned.clear();
    loop {
        network.run_until(network.world.now() + LOOK);
        let looked_for = network.census.unserved > 0;
        network.census.take(&network.world);
        let now = network.world.now();
        let resigned = std::mem::take(&mut network.world.app_mut().resigned);
        if looked_for || network.census.unserved > 0 {
            fall.secondary_losses += resigned.len() as u64;
        }
        bereaved.retain(|leaf| {
            let Some(peer) = network.world.core(*leaf) else {
                return false;
            };
            let is_home = peer.supernode().role() == Role::Supernode
                || network.census.primary(&network.world, *leaf).is_some();
            if is_home {
                fall.rehomed.push((now - began).as_secs_f64());
            }
            !is_home
        });
        if now - window >= WINDOW {
            let (mean, most) = rates(network, survivors, now - window);
            fall.peak_per_s = fall.peak_per_s.max(mean);
            fall.worst_per_s = fall.worst_per_s.max(most);
            window = now;
        }
        if network.world.app().role_changes != changes || network.census.unserved > 0 {
            changes = network.world.app().role_changes;
            still_since = now;
        }
        let is_over = bereaved.is_empty() && now - still_since >= STILL && now - began >= AFTER_MIN;
        if is_over || now - began >= AFTER_MAX {
            return;
        }
    }
}
