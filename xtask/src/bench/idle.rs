//! A peer at rest: what it costs to leave it running.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::peer::{Lab, Peer};
use super::report::{Figure, Target};
use super::scratch::{self, Interrupt};
use super::tool;

const PART: &str = "idle";
const FILES: u64 = 10_000;
const NEIGHBOURS: usize = 10;
/// From the end of the scan until measuring starts.
const SETTLE: Duration = Duration::from_secs(10);
/// How long is measured.
const REST: Duration = Duration::from_secs(30);

/// Everything about resting.
pub(crate) fn run(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    let program = tool::programs(root, interrupt)?.gannet;
    let folder = scratch::folder()?;
    let shared = folder.path().join("shared");
    write_files(&shared)?;
    let lab = Lab {
        program,
        folder: folder.path(),
        interrupt,
    };
    let hub = lab.start("hub", "hub", &[])?;
    let folder = shared.to_str().context("the folder is no UTF-8")?;
    let peer = lab.start("rests", "up", &[folder, "--hub", &hub.address])?;
    lab.registered(&peer, FILES, 1)?;
    let neighbours = (1..NEIGHBOURS)
        .map(|n| neighbour(&lab, n, &hub, &peer))
        .collect::<anyhow::Result<Vec<Peer>>>()?;
    let linked = || -> anyhow::Result<usize> { Ok(peer.api.list("/peers")?.len()) };
    interrupt.wait_for("ten neighbours", Duration::from_secs(30), || {
        Ok((linked()? >= NEIGHBOURS).then_some(()))
    })?;
    interrupt.pause(SETTLE)?;
    let (from, ticks_before) = (Instant::now(), ticks(peer.pid())?);
    interrupt.pause(REST)?;
    let used = seconds(ticks(peer.pid())? - ticks_before)?;
    let share = used / from.elapsed().as_secs_f64();
    let resident = resident_megabytes(peer.pid())?;
    let note = format!(
        "{FILES} files, {} neighbours at the end, {} s",
        linked()?,
        REST.as_secs()
    );
    drop(neighbours);
    Ok(vec![
        Figure::new(PART, "resident memory", resident, "MB")
            .target(Target::AtMost(60.0))
            .note(note.clone()),
        Figure::new(PART, "share of one core", share * 100.0, "%")
            .target(Target::AtMost(1.0))
            .note(note),
    ])
}

/// A peer at the same hub that is linked to `peer`, because it has asked what
/// is shared there.
fn neighbour(lab: &Lab<'_>, n: usize, hub: &Peer, peer: &Peer) -> anyhow::Result<Peer> {
    let name = format!("neighbour-{n}");
    let arguments = ["--hub", &hub.address, "--peer", &peer.address];
    let neighbour = lab.start(&name, "up", &arguments)?;
    let asked = format!("/peers/browse?peer={}&offset=0&limit=1", peer.address);
    neighbour.api.get(&asked)?;
    Ok(neighbour)
}

fn write_files(shared: &Path) -> anyhow::Result<()> {
    for n in 0..FILES {
        let folder = shared.join(format!("folder {}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::write(
            folder.join(format!("file number {n}.txt")),
            format!("what is in file {n}\n"),
        )?;
    }
    Ok(())
}

/// Processor time that a process has used, in ticks of the system.
fn ticks(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("this part needs /proc")?;
    parse_ticks(&text).context("/proc has another form than expected")
}

/// Fields 14 and 15 of proc(5): time in user mode and in the kernel.
fn parse_ticks(stat: &str) -> Option<u64> {
    // The name in brackets may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
fn seconds(ticks: u64) -> anyhow::Result<f64> {
    let asked = std::process::Command::new("getconf")
        .arg("CLK_TCK")
        .output();
    let text = String::from_utf8(asked.context("cannot run getconf")?.stdout)?;
    let per_second: f64 = text.trim().parse()?;
    Ok(ticks as f64 / per_second)
}

fn resident_megabytes(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = parse_resident(&text).context("/proc has another form than expected")?;
    Ok(kibibytes * 1024.0 / 1e6)
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
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 100 23 0 0 20 0";
        assert_eq!(parse_ticks(stat), Some(123));
        assert_eq!(parse_ticks("42 (x) S 1"), None);
        assert_eq!(
            parse_resident("Name:\tx\nVmRSS:\t   2048 kB\nVmData: 1 kB\n"),
            Some(2048.0)
        );
    }

    #[test]
    fn our_own_memory_is_plausible() {
        let own = resident_megabytes(std::process::id()).unwrap();
        assert!((0.5..10_000.0).contains(&own), "{own}");
        assert!(seconds(ticks(std::process::id()).unwrap()).unwrap() >= 0.0);
    }
}
