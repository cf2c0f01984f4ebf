//! Counting, and reading the clock's results.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Measures processor time of all threads of this process, so that what else
/// runs on the machine does not count. It leaves out waiting, which is to the
/// advantage of whoever waits for threads of its own.
pub struct Stopwatch(Duration);

impl Stopwatch {
    pub fn start() -> Self {
        Self(now())
    }

    pub fn elapsed(&self) -> Duration {
        now().saturating_sub(self.0)
    }
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What a run of queries came to.
#[derive(Default)]
pub struct Queries {
    times: Vec<Duration>,
    /// Processor time of them all.
    pub total: Duration,
    rows: usize,
    incomplete: usize,
    empty: usize,
}

impl Queries {
    pub fn add(&mut self, time: Duration, rows: usize, complete: bool) {
        self.times.push(time);
        self.rows += rows;
        self.incomplete += usize::from(!complete);
        self.empty += usize::from(rows == 0);
    }

    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.total.as_secs_f64()
    }

    /// The time that this share of the queries kept below, in microseconds of
    /// the clock on the wall.
    pub fn quantile_micros(&self, share: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = ((times.len() - 1) as f64 * share) as usize;
        times[place].as_secs_f64() * 1e6
    }

    pub fn incomplete_share(&self) -> f64 {
        self.incomplete as f64 / self.times.len() as f64
    }

    pub fn empty_share(&self) -> f64 {
        self.empty as f64 / self.times.len() as f64
    }

    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// Resident memory of this process (`VmRSS`).
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A table of figures, or one line of JSON.
#[derive(Default)]
pub struct Report {
    lines: Vec<(String, String, f64)>,
}

impl Report {
    /// `name` is the JSON key, `text` what people read.
    pub fn add(&mut self, name: &str, text: &str, figure: f64) {
        self.lines.push((name.to_owned(), text.to_owned(), figure));
    }

    pub fn print(&self, json: bool) {
        if json {
            let fields: Vec<String> = self
                .lines
                .iter()
                .map(|(name, _, figure)| format!("\"{name}\":{figure:.3}"))
                .collect();
            println!("{{{}}}", fields.join(","));
        } else {
            for (_, text, figure) in &self.lines {
                println!("{figure:>14.2}  {text}");
            }
        }
    }
}
