//! What processes have used, by proc(5): processor time and memory.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use anyhow::Context as _;

/// Processor time of a process so far, its ended children not included.
pub(crate) fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    Ok(seconds(read(pid)?.own))
}

/// Processor time so far of a process, of its descendants that live, and of
/// those that ended and were waited for.
pub(crate) fn family_seconds(pid: u32) -> anyhow::Result<f64> {
    let mut stats = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("this needs /proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            // Processes may end while they are listed.
            && let Ok(stat) = read(pid)
        {
            stats.insert(pid, stat);
        }
    }
    Ok(seconds(family_ticks(pid, &stats)))
}

/// Processor time of all children of this process that have ended.
pub(crate) fn ended_children_seconds() -> anyhow::Result<f64> {
    Ok(seconds(read(std::process::id())?.ended))
}

/// Resident memory of a process.
pub(crate) fn resident_megabytes(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = parse_resident(&text).context("/proc has another form than expected")?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// A line of `/proc/PID/stat`; times in ticks of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    /// Of children that ended and were waited for, and of theirs.
    ended: u64,
}

fn read(pid: u32) -> anyhow::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("this needs /proc")?;
    parse(&text).context("/proc has another form than expected")
}

/// Fields 4 and 14 to 17 of proc(5).
fn parse(stat: &str) -> Option<Stat> {
    // The name in brackets may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let mut times = fields.skip(9).map(|field| field.parse::<u64>().ok());
    let mut pair = || Some(times.next()?? + times.next()??);
    Some(Stat {
        parent,
        own: pair()?,
        ended: pair()?,
    })
}

fn family_ticks(pid: u32, stats: &BTreeMap<u32, Stat>) -> u64 {
    let own = stats.get(&pid).map_or(0, |stat| stat.own + stat.ended);
    let children = stats.iter().filter(|(_, stat)| stat.parent == pid);
    own + children
        .map(|(child, _)| family_ticks(*child, stats))
        .sum::<u64>()
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    static PER_SECOND: OnceLock<f64> = OnceLock::new();
    let per_second = PER_SECOND.get_or_init(|| {
        let asked = std::process::Command::new("getconf")
            .arg("CLK_TCK")
            .output();
        let told = asked.ok().and_then(|asked| {
            let text = String::from_utf8(asked.stdout).ok()?;
            text.trim().parse().ok()
        });
        // What Linux has told programs on every architecture of today.
        told.unwrap_or(100.0)
    });
    ticks as f64 / per_second
}

fn parse_resident(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_right() {
        let line = "42 (a (b) c) S 7 2 3 4 5 6 7 8 9 10 100 23 5 6 20 0";
        let expected = Stat {
            parent: 7,
            own: 123,
            ended: 11,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("42 (x) S 1"), None);
        assert_eq!(
            parse_resident("Name:\tx\nVmRSS:\t   2048 kB\nVmData: 1 kB\n"),
            Some(2048.0)
        );
    }

    #[test]
    fn families_are_descendants_living_and_ended() {
        let stat = |parent, own, ended| Stat { parent, own, ended };
        let stats = BTreeMap::from([
            (1, stat(0, 1_000, 1_000)),
            (10, stat(1, 1, 20)),
            (11, stat(10, 300, 0)),
            (12, stat(11, 4_000, 0)),
            (13, stat(1, 50_000, 0)),
        ]);
        assert_eq!(family_ticks(10, &stats), 4_321);
        assert_eq!(family_ticks(99, &stats), 0);
    }

    #[test]
    fn our_own_figures_are_plausible() {
        let own = resident_megabytes(std::process::id()).unwrap();
        assert!((0.5..10_000.0).contains(&own), "{own}");
        let alone = processor_seconds(std::process::id()).unwrap();
        assert!((0.0..1_000.0).contains(&alone), "{alone}");
        assert!(family_seconds(std::process::id()).unwrap() >= alone);
        assert!(ended_children_seconds().unwrap() >= 0.0);
    }
}
