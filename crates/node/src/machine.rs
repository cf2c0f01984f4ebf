//! What this machine is and how busy it is, as far as the system tells.
//!
//! Only where there is a `/proc`; elsewhere nothing is known, and that is said
//! so: no number stands for "unknown" but 0.

/// Memory that programs could have now, MiB; 0 if that is unknown.
pub(crate) fn memory_mib() -> u32 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    parse_memory(&text).unwrap_or(0)
}

/// How much there was to do in the last minute, per cent of what all
/// processors can do; `None` if that is unknown.
pub(crate) fn load_percent() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let processors = std::thread::available_parallelism().ok()?;
    parse_load(&text, u32::try_from(processors.get()).ok()?)
}

fn parse_memory(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

/// In whole numbers: the first figure has two digits behind the point.
fn parse_load(text: &str, processors: u32) -> Option<u32> {
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let whole: u32 = whole.parse().ok()?;
    let hundredths: u32 = hundredths.get(..2)?.parse().ok()?;
    let percent = whole.checked_mul(100)?.checked_add(hundredths)?;
    percent.checked_div(processors)
}

/// Whether a machine counts as busy: not at every small change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busyness {
    /// Load above which it is busy, per cent; 0: it never is.
    load_max: u32,
    is_busy: bool,
}

impl Busyness {
    /// Not busy yet.
    pub(crate) fn new(load_max: u32) -> Self {
        Self {
            load_max,
            is_busy: false,
        }
    }

    /// Takes a measurement; whether that changes anything, and to what.
    pub(crate) fn measure(&mut self, load: u32) -> Option<bool> {
        let enough = self.load_max - self.load_max / 4;
        let is_busy = self.load_max > 0
            && if self.is_busy {
                load > enough
            } else {
                load > self.load_max
            };
        let has_changed = is_busy != self.is_busy;
        self.is_busy = is_busy;
        has_changed.then_some(is_busy)
    }

    /// What the last measurement said.
    pub(crate) fn is_busy(self) -> bool {
        self.is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let text = "MemTotal:       16314096 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(parse_memory(text), Some(2_048));
        assert_eq!(parse_memory("MemTotal: 1 kB"), None);
        assert_eq!(parse_memory("MemAvailable: much"), None);
        assert_eq!(parse_load("1.60 0.9 0.5 2/300 9", 2), Some(80));
        assert_eq!(parse_load("12.05 0 0", 1), Some(1_205));
        for wrong in ["", "x.yz", "1", "1.", "1.6"] {
            assert_eq!(parse_load(wrong, 2), None, "{wrong}");
        }
        assert_eq!(parse_load("1.60", 0), None);
    }

    #[test]
    fn busy_is_not_told_at_every_small_change() {
        let mut busyness = Busyness::new(80);
        let loads = [10, 80, 81, 79, 61, 60, 81, 0];
        let told: Vec<Option<bool>> = loads.iter().map(|load| busyness.measure(*load)).collect();
        let changes = [
            None,
            None,
            Some(true),
            None,
            None,
            Some(false),
            Some(true),
            Some(false),
        ];
        assert_eq!(told, changes);
        assert_eq!(Busyness::new(0).measure(1_000), None);
    }
}
