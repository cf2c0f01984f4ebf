//! BitTorrent: libtorrent with its Python module, and rqbit. Both are told
//! whom to fetch from; nothing is announced anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use super::contest::Contender;
use super::install::{Tool, quiet};
use super::server::{Server, alive, free_port, spawned};

const SCRIPT: &str = include_str!("torrent.py");
/// Longest time until a seed serves.
pub(super) const SEEDING: Duration = Duration::from_secs(120);

/// libtorrent with so many seeds; none if it cannot be had or does not work.
pub(crate) fn libtorrent<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
    name: &'static str,
    seeds: usize,
) -> Option<Contender<'a>> {
    let python = bench.tools.python("libtorrent", "python3-libtorrent")?;
    let made = with_seeds(bench, &python, folder, source, name, seeds);
    made.inspect_err(|error| bench.tools.note_missing(name, format!("{error:#}")))
        .ok()
}

fn with_seeds<'a>(
    bench: &Bench<'_>,
    python: &Tool,
    folder: &Path,
    source: &Path,
    name: &'static str,
    seeds: usize,
) -> anyhow::Result<Contender<'a>> {
    let place = folder.join(name);
    let torrent = describe(bench, python, &place, source, None)?;
    let script = place.join("torrent.py");
    let shared = source.parent().context("the source lies in a folder")?;
    let mut servers = Vec::new();
    let mut ports = Vec::new();
    for n in 0..seeds {
        let port = place.join(format!("port {n}"));
        let log = place.join(format!("seed {n}.log"));
        let mut command = python.command();
        command
            .arg(&script)
            .arg("seed")
            .arg(&torrent)
            .arg(shared)
            .arg(&port);
        let mut server = spawned(&mut command, &log)?;
        let port = bench.interrupt.wait_for("a seed", SEEDING, || {
            alive(&mut server, &log)?;
            Ok(fs::read_to_string(&port).ok())
        })?;
        ports.push(port);
        servers.push(Server::Other(server));
    }
    let python = python.clone();
    Ok(Contender {
        name,
        servers,
        client: Box::new(move |folder| {
            let mut command = python.command();
            command
                .arg(&script)
                .arg("leech")
                .arg(&torrent)
                .arg(folder)
                .args(&ports);
            Ok(command)
        }),
        result: source.file_name().context("the source is a file")?.into(),
    })
}

/// rqbit with one seed; none if it cannot be had or does not work.
pub(crate) fn rqbit<'a>(bench: &Bench<'_>, folder: &Path, source: &Path) -> Option<Contender<'a>> {
    let rqbit = bench.tools.crates("rqbit", "--version")?;
    // Only to describe the file.
    let python = bench.tools.python("hashlib", "python3-minimal");
    let made = python.context("no Python to describe the file");
    let made = made.and_then(|python| rqbit_seed(bench, &rqbit, &python, folder, source));
    made.inspect_err(|error| bench.tools.note_missing("rqbit", format!("{error:#}")))
        .ok()
}

fn rqbit_seed<'a>(
    bench: &Bench<'_>,
    rqbit: &Tool,
    python: &Tool,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Contender<'a>> {
    let place = folder.join("rqbit");
    let torrent = describe(bench, python, &place, source, None)?;
    // It opens what it seeds for writing, which would make the others read
    // their source anew: so it gets a copy.
    let shared = place.join("shared");
    fs::create_dir_all(&shared)?;
    let name = source.file_name().context("the source is a file")?;
    fs::copy(source, shared.join(name))?;
    let port = free_port()?;
    let log = place.join("seed.log");
    let mut command = rqbit_command(rqbit, &place, Some(port));
    command.args(["download", "--overwrite", "--disable-http-api", "-o"]);
    let mut server = spawned(command.arg(&shared).arg(&torrent), &log)?;
    // It reads and verifies the whole file first.
    bench.interrupt.wait_for("rqbit's seed", SEEDING, || {
        alive(&mut server, &log)?;
        let said = fs::read_to_string(&log)?;
        Ok(is_seeding(&said).then_some(()))
    })?;
    let (rqbit, peer) = (rqbit.clone(), format!("127.0.0.1:{port}"));
    Ok(Contender {
        name: "rqbit",
        servers: vec![Server::Other(server)],
        client: Box::new(move |folder| {
            let mut command = rqbit_command(&rqbit, &place, None);
            command.args(["download", "--exit-on-finish", "--disable-http-api"]);
            command
                .args(["--initial-peers", &peer, "-o"])
                .arg(folder)
                .arg(&torrent);
            Ok(command)
        }),
        result: name.into(),
    })
}

fn rqbit_command(rqbit: &Tool, place: &Path, port: Option<u16>) -> Command {
    let mut command = rqbit.command();
    // It keeps state below the user's folders else.
    command.env("HOME", place).env("XDG_DATA_HOME", place);
    command.args([
        "-v",
        "info",
        "--disable-dht",
        "--disable-lsd",
        "--disable-trackers",
    ]);
    command.args(["--disable-upnp-port-forward", "--listen-ip", "127.0.0.1"]);
    if let Some(port) = port {
        command.args(["--listen-port", &port.to_string()]);
    }
    command
}

/// Whether rqbit's log says that everything is there.
fn is_seeding(said: &str) -> bool {
    said.contains("needed 0,") || said.contains(": 100.00%")
}

/// Writes the torrent's description, with the address of a tracker if there is
/// one, and the script beside it.
pub(super) fn describe(
    bench: &Bench<'_>,
    python: &Tool,
    place: &Path,
    source: &Path,
    tracker: Option<&str>,
) -> anyhow::Result<PathBuf> {
    let script = write_script(place)?;
    let torrent = place.join("source.torrent");
    let mut command = python.command();
    command.arg(&script).arg("make").arg(source).arg(&torrent);
    command.args(tracker);
    quiet(&mut command, bench.interrupt)?;
    Ok(torrent)
}

/// Writes the script that is both ends, and whatever else has to be, into a
/// folder.
pub(super) fn write_script(place: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(place)?;
    let script = place.join("torrent.py");
    fs::write(&script, SCRIPT)?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_ready_when_nothing_is_needed() {
        assert!(is_seeding(
            "Initial check results: have 64.0Mi, needed 0, total selected 64.0Mi"
        ));
        assert!(!is_seeding(
            "Initial check results: have 0, needed 64.0Mi, total"
        ));
        assert!(!is_seeding("[0] initializing 0.00%"));
    }
}
