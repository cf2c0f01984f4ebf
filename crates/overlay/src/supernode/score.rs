//! Who would do best as a supernode.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::message::{Machine, Score};

/// Uptime beyond what was seen that is taken on trust.
// Guess: enough to tell an hour from a day later, too little to lie for.
const UPTIME_TRUSTED: Duration = Duration::from_secs(600);
/// Uploads above this count as this, KiB a second: a gigabit line.
const UPLOAD_MAX_KIB: u32 = 128 << 10;
/// Memory above this counts as this, MiB.
const MEMORY_MAX_MIB: u32 = 16 << 10;

impl Score {
    /// What of a claim is believed of a peer that has been a leaf here for so
    /// long: what cannot be checked is capped, and whether it can be reached is
    /// for others to say.
    pub(super) fn believed(self, tenure: Duration, reachable: bool) -> Self {
        let uptime_max = (tenure + UPTIME_TRUSTED).as_secs();
        let uptime_max = u32::try_from(uptime_max).unwrap_or(u32::MAX);
        Self {
            uptime_s: self.uptime_s.min(uptime_max),
            machine: Machine {
                upload_kib: self.machine.upload_kib.min(UPLOAD_MAX_KIB),
                memory_mib: self.machine.memory_mib.min(MEMORY_MAX_MIB),
            },
            stability: self.stability.min(100),
            reachable,
            willing: self.willing,
        }
    }

    /// The whole as a number: more is better; a doubling of anything counts for
    /// about the same. Being reachable outweighs all else.
    // Source: gtk-gnutella asks for uptime, reachability, bandwidth and memory.
    pub fn value(self) -> u32 {
        let doublings = |amount: u32| amount.saturating_add(1).ilog2();
        let capped = self.machine;
        let reachable = if self.reachable { 1_000 } else { 0 };
        reachable
            + 10 * doublings(self.uptime_s / 60)
            + 6 * doublings(capped.upload_kib.min(UPLOAD_MAX_KIB))
            + 4 * doublings(capped.memory_mib.min(MEMORY_MAX_MIB))
            + u32::from(self.stability.min(100)) / 2
    }
}

/// The order of fitness, alike for all who know the same: higher values first,
/// among equals in an order that nobody chooses and that differs from one
/// `salt` to the next.
pub(super) fn fitness(score: Score, salt: PeerId, peer: PeerId) -> (u32, u64) {
    let mut hasher = blake3::Hasher::new_derive_key("gannet supernode 2026 order of equals");
    hasher.update(salt.as_bytes());
    hasher.update(peer.as_bytes());
    let hash = hasher.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    (score.value(), u64::from_le_bytes(bytes))
}

/// What this peer can say of itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) started: Option<Timestamp>,
    pub(super) machine: Machine,
    /// Somebody dialled this peer and said so.
    pub(super) reachable: bool,
    pub(super) willing: bool,
    /// Links that broke, and links there were.
    broken: u32,
    links: u32,
}

impl Facts {
    pub(super) fn new(willing: bool) -> Self {
        Self {
            willing,
            ..Self::default()
        }
    }

    pub(super) fn on_link(&mut self, broke: bool) {
        if broke {
            self.broken = self.broken.saturating_add(1);
        } else {
            self.links = self.links.saturating_add(1);
        }
    }

    pub(super) fn score(&self, now: Timestamp) -> Score {
        let up = self.started.map_or(Duration::ZERO, |started| now - started);
        let kept = u64::from(self.links.saturating_sub(self.broken));
        let stability = (kept * 100).checked_div(u64::from(self.links));
        Score {
            uptime_s: u32::try_from(up.as_secs()).unwrap_or(u32::MAX),
            machine: self.machine,
            stability: stability.map_or(100, |share| u8::try_from(share).unwrap_or(100)),
            reachable: self.reachable,
            willing: self.willing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(uptime_s: u32, upload_kib: u32, reachable: bool) -> Score {
        Score {
            uptime_s,
            machine: Machine {
                upload_kib,
                memory_mib: 1_024,
            },
            stability: 100,
            reachable,
            willing: true,
        }
    }

    /// Whoever claims the most gains no more than ten minutes of uptime and a
    /// fast line.
    #[test]
    fn claims_are_capped() {
        let liar = Score {
            uptime_s: u32::MAX,
            machine: Machine {
                upload_kib: u32::MAX,
                memory_mib: u32::MAX,
            },
            stability: 255,
            reachable: true,
            willing: true,
        };
        let believed = liar.believed(Duration::from_secs(60), false);
        assert_eq!(believed.uptime_s, 660);
        assert!(!believed.reachable);
        assert!(believed.value() < score(0, 0, true).value());
        let honest = score(86_400, UPLOAD_MAX_KIB, true);
        let known = honest.believed(Duration::from_secs(86_400), true);
        assert!(known.value() > liar.believed(Duration::ZERO, true).value());
    }

    #[test]
    fn more_is_better() {
        assert!(score(7_200, 100, true).value() > score(3_600, 100, true).value());
        assert!(score(3_600, 200, true).value() > score(3_600, 99, true).value());
        assert!(score(0, 0, true).value() > score(u32::MAX, 1_000, false).value());
    }

    #[test]
    fn equals_stand_in_an_order_that_the_salt_decides() {
        let peers: Vec<PeerId> = (0..50).map(|n| PeerId::from_bytes([n; 32])).collect();
        let order = |salt: u8| {
            let salt = PeerId::from_bytes([salt; 32]);
            let mut peers = peers.clone();
            peers.sort_by_key(|peer| fitness(score(0, 0, true), salt, *peer));
            peers
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let best = fitness(score(3_600, 0, true), peers[0], peers[1]);
        assert!(
            peers
                .iter()
                .all(|peer| fitness(score(0, 0, true), peers[0], *peer) < best)
        );
    }
}
