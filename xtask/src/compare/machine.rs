//! What it was measured on.

use std::fs;

use serde::Serialize;

/// The machine, as far as it says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// The name of the processor.
    pub(crate) processor: String,
    /// Threads that it runs at once.
    pub(crate) cores: usize,
    /// Memory, GiB.
    pub(crate) gibibytes: f64,
    /// The kernel and its version.
    pub(crate) kernel: String,
    /// The congestion control of TCP.
    pub(crate) congestion: String,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            gibibytes: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|total| kibibytes(&total))
                .map_or(0.0, |total| total / f64::from(1 << 20)),
            kernel: format!("{} {}", std::env::consts::OS, kernel.trim()),
            congestion: congestion.trim().to_owned(),
        }
    }

    /// One line about it.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, {:.0} GiB, {}, TCP with {}; both ends of everything share it",
            self.processor, self.cores, self.gibibytes, self.kernel, self.congestion
        )
    }
}

/// The value behind the first line `NAME : VALUE`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn kibibytes(text: &str) -> Option<f64> {
    text.strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC: x\nMemTotal:   1048576 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC: x"));
        let total = field(text, "MemTotal").unwrap();
        assert_eq!(kibibytes(&total), Some(1_048_576.0));
        assert_eq!(field(text, "flags"), None);
        assert!(Machine::here().cores > 0);
    }
}
