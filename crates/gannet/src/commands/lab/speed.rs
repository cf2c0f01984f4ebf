//! How fast an experiment went, and how much memory it took. These figures
//! depend on the machine, so they are shown only when asked for.

use std::time::Instant;

use serde::Serialize;

use crate::output::size;

/// What the machine says about a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Speed {
    /// By the clock on the wall.
    wall_seconds: f64,
    events_per_second: f64,
    /// The most memory that was resident during the run, beyond what was before
    /// it; nothing where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes_per_peer: Option<u64>,
}

/// The beginning of a run.
pub(super) struct Watch {
    start: Instant,
    resident: Option<u64>,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
            resident: memory("VmRSS:"),
        }
    }

    /// The end of a run of so many events with so many peers.
    pub(super) fn stop(&self, events: u64, peers: u64) -> Speed {
        let wall_seconds = self.start.elapsed().as_secs_f64();
        let peak = memory("VmHWM:");
        let resident_bytes = peak
            .zip(self.resident)
            .map(|(peak, before)| peak.saturating_sub(before));
        #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let events = events as f64;
        Speed {
            wall_seconds,
            events_per_second: (events / wall_seconds.max(1e-9)).round(),
            resident_bytes,
            resident_bytes_per_peer: resident_bytes.and_then(|bytes| bytes.checked_div(peers)),
        }
    }
}

impl Speed {
    /// For people.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("wall clock", format!("{:.2} s", self.wall_seconds)),
            ("events a second", format!("{:.0}", self.events_per_second)),
        ];
        if let (Some(all), Some(each)) = (self.resident_bytes, self.resident_bytes_per_peer) {
            let text = format!("{}, {each} bytes a peer", size(all));
            facts.push(("resident at most", text));
        }
        facts
    }
}

/// A line of what Linux tells about this process, in bytes.
pub(super) fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_speed() {
        let watch = Watch::start();
        let speed = watch.stop(1_000, 10);
        assert!(speed.events_per_second > 0.0);
        assert_eq!(speed.resident_bytes.is_some(), cfg!(target_os = "linux"));
        let shown = speed.facts();
        assert_eq!(shown[0].0, "wall clock");
    }
}
