//! A peer at rest: what it costs to leave it running.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::peer::{Lab, Peer};
use super::report::{Figure, Target};
use super::scratch::{self, Interrupt};
use super::tool;
use super::usage;

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
    let (from, before) = (Instant::now(), usage::processor_seconds(peer.pid())?);
    interrupt.pause(REST)?;
    let used = usage::processor_seconds(peer.pid())? - before;
    let share = used / from.elapsed().as_secs_f64();
    let resident = usage::resident_megabytes(peer.pid())?;
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
