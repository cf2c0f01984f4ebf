//! Transmission's client for the command line, from one seed.
//!
//! It takes no peers from whoever starts it, so a little tracker names the seed,
//! and it refuses peers at 127.0.0.1: both ends listen at an own address of this
//! machine, where packets take the same way, and refuse everybody else's.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::Bench;
use super::contest::Contender;
use super::install::Tool;
use super::server::{Server, alive, free_port, spawned};
use super::torrent::{SEEDING, describe, write_script};

const NAME: &str = "transmission";
/// Larger files take minutes a run: from one peer it asks for up to 512 blocks of
/// 16 KiB about once a second.
const MEBIBYTES_MAX: u64 = 256;
/// What it runs when all is there: its way to end then.
const AT_THE_END: &str = "#!/bin/sh\nkill -INT \"$CLIENT\"\n";

/// Transmission with one seed; none if it cannot be had or does not work.
pub(crate) fn contender<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
    mebibytes: u64,
) -> Option<Contender<'a>> {
    if mebibytes > MEBIBYTES_MAX {
        let reason = "left out: from one peer it fetches some 8 MB/s".to_owned();
        let name = format!("{NAME} ({mebibytes} MiB)");
        bench.tools.note_missing(&name, reason);
        return None;
    }
    let program = bench
        .tools
        .debian("transmission-cli", "transmission-cli", "-V")?;
    let python = bench.tools.python("http.server", "python3")?;
    let made = start(bench, program, &python, folder, source);
    made.inspect_err(|error| bench.tools.note_missing(NAME, format!("{error:#}")))
        .ok()
}

fn start<'a>(
    bench: &Bench<'_>,
    program: Tool,
    python: &Tool,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Contender<'a>> {
    let place = folder.join(NAME);
    let script = write_script(&place)?;
    let client = Client {
        program,
        address: own_address()?,
        at_the_end: at_the_end(bench)?,
    };
    let port = free_port()?;
    let (listens_at, log) = (place.join("tracker port"), place.join("tracker.log"));
    let mut command = python.command();
    command.arg(&script).arg("track").arg(&listens_at);
    command.args([client.address.to_string(), port.to_string()]);
    let mut tracker = spawned(&mut command, &log)?;
    let tracker_port = bench.interrupt.wait_for("a tracker", SEEDING, || {
        alive(&mut tracker, &log)?;
        Ok(fs::read_to_string(&listens_at).ok())
    })?;
    let announce = format!("http://127.0.0.1:{tracker_port}/announce");
    let torrent = describe(bench, python, &place, source, Some(&announce))?;
    let shared = source.parent().context("the source lies in a folder")?;
    let seed_log = place.join("seed.log");
    let mut command = client.command(&place.join("seed"), shared, port)?;
    let mut seed = spawned(command.arg(&torrent), &seed_log)?;
    // It reads and verifies the whole file first.
    bench
        .interrupt
        .wait_for("transmission's seed", SEEDING, || {
            alive(&mut seed, &seed_log)?;
            Ok(has_seed(&fs::read_to_string(&log)?).then_some(()))
        })?;
    Ok(Contender {
        name: NAME,
        servers: vec![Server::Other(seed), Server::Other(tracker)],
        client: Box::new(move |folder| {
            let home = place.join("client");
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            let mut command = client.command(&home, folder, free_port()?)?;
            command.arg("--finish").arg(&client.at_the_end);
            command.arg(&torrent);
            Ok(command)
        }),
        result: source.file_name().context("the source is a file")?.into(),
    })
}

/// How it is run.
struct Client {
    program: Tool,
    address: Ipv4Addr,
    at_the_end: PathBuf,
}

impl Client {
    /// With what it keeps in `home`, which is made; a torrent is yet to be named.
    fn command(&self, home: &Path, folder: &Path, port: u16) -> anyhow::Result<Command> {
        let refused = home.join("blocklists");
        fs::create_dir_all(&refused)?;
        fs::write(refused.join("others"), others(self.address))?;
        let settings = settings(self.address).to_string();
        fs::write(home.join("settings.json"), settings)?;
        // Its script is told whom to end.
        let mut command = Command::new("sh");
        command
            .args(["-c", "export CLIENT=$$; exec \"$@\"", "sh"])
            .arg(&self.program.path)
            .envs(self.program.environment())
            // Its settings are in `home`; the tracker is on this machine.
            .env("HOME", home)
            .env("no_proxy", "127.0.0.1");
        command.arg("--config-dir").arg(home);
        command.arg("--port").arg(port.to_string());
        command.arg("--download-dir").arg(folder);
        Ok(command)
    }
}

fn settings(address: Ipv4Addr) -> serde_json::Value {
    json!({
        "bind-address-ipv4": address.to_string(),
        "bind-address-ipv6": "::1",
        "blocklist-enabled": true,
        "dht-enabled": false,
        // Not encrypted where the other end agrees.
        "encryption": 0,
        "lpd-enabled": false,
        "peer-port-random-on-start": false,
        "pex-enabled": false,
        "port-forwarding-enabled": false,
        "rpc-enabled": false,
        "utp-enabled": false,
    })
}

/// Everybody but one, as its lists of whom to refuse say it.
fn others(address: Ipv4Addr) -> String {
    let number = u32::from(address);
    let ranges = [
        number.checked_sub(1).map(|end| (0_u32, end)),
        number.checked_add(1).map(|start| (start, u32::MAX)),
    ];
    let ranges = ranges.into_iter().flatten();
    ranges
        .map(|(start, end)| (Ipv4Addr::from(start), Ipv4Addr::from(end)))
        .map(|(start, end)| format!("others:{start}-{end}\n"))
        .collect()
}

/// The address that this machine sends from, were it to send.
fn own_address() -> anyhow::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // An address for documentation (RFC 5737): nothing is sent.
    socket
        .connect((Ipv4Addr::new(198, 51, 100, 1), 9))
        .context("it refuses peers at 127.0.0.1, and this machine has no other address")?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Ok(address),
        address => bail!("it refuses peers at {address}"),
    }
}

/// The script, where programs may be run: folders in memory may forbid that.
fn at_the_end(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let script = bench.tools.home().join("transmission-is-done");
    fs::write(&script, AT_THE_END)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// Whether the tracker's log has somebody start who needs nothing.
fn has_seed(said: &str) -> bool {
    said.lines()
        .any(|line| line.contains("left=0&") && line.contains("event=started"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_else_is_refused() {
        let list = others(Ipv4Addr::new(10, 0, 0, 255));
        let expected = "others:0.0.0.0-10.0.0.254\nothers:10.0.1.0-255.255.255.255\n";
        assert_eq!(list, expected);
    }

    #[test]
    fn a_seed_has_started_when_it_needs_nothing() {
        let line = |left: &str, event: &str| {
            format!("10.0.0.1 - \"GET /announce?left={left}&numwant=80&event={event} HTTP/1.1\"\n")
        };
        assert!(has_seed(&(line("67", "started") + &line("0", "started"))));
        assert!(!has_seed(
            &(line("67108864", "started") + &line("0", "stopped"))
        ));
        assert!(!has_seed(&line("10", "started")));
        assert!(!has_seed(""));
    }
}
