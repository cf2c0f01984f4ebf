//! What is looked at, one after the other.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gannet_node::api::{Role, Status};
use gannet_node::{BulkRoad, ConfigError, NodeConfig, default_config_path};

use super::Finding;
use crate::exit::Failure;
use crate::output::{count, size, span};

/// Free space below which downloads will soon stop.
const SPACE_LITTLE: u64 = 2_000_000_000;
/// Free space below which nothing works.
const SPACE_NONE: u64 = 50_000_000;
/// This program is younger than that: 2026-01-01.
const OLDEST: Duration = Duration::from_secs(1_767_225_600);
/// How far in the future a file of the peer's own may be: clocks are set by
/// seconds, not by days.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// What the settings come to.
pub(super) fn configuration(
    file: Option<PathBuf>,
    resolved: Result<NodeConfig, ConfigError>,
) -> (Option<NodeConfig>, Finding) {
    const WHAT: &str = "configuration";
    match resolved {
        Ok(config) => {
            let file = file.or_else(|| default_config_path().filter(|path| path.exists()));
            let found = match file {
                Some(path) => format!("{} can be read", path.display()),
                None => "no file; defaults, environment and flags".to_owned(),
            };
            (Some(config), Finding::good(WHAT, found))
        }
        Err(error) => {
            let remedy = "put it right; `gannet config` prints every setting there is";
            (None, Finding::bad(WHAT, error.to_string(), remedy))
        }
    }
}

/// Whether a peer runs, and what it says of itself.
pub(super) fn running(status: &Result<Option<Status>, Failure>) -> Finding {
    const WHAT: &str = "running peer";
    match status {
        Ok(Some(status)) => Finding::good(
            WHAT,
            format!(
                "{}, up for {}",
                status.peer.short(),
                span(status.uptime_seconds)
            ),
        ),
        Ok(None) => Finding::warning(WHAT, "none", "start one: `gannet up FOLDER`"),
        Err(failure) => Finding::bad(
            WHAT,
            failure.message.clone(),
            "stop it with Ctrl-C or `kill`, and start it again",
        ),
    }
}

/// Whether the peer can keep what it has to.
pub(super) fn data_dir(dir: &Path, is_running: bool) -> Finding {
    const WHAT: &str = "data directory";
    let name = dir.display();
    if !dir.exists() {
        let parent = dir.ancestors().find(|one| one.is_dir());
        return match parent.map(tempfile::tempfile_in) {
            Some(Ok(_)) => Finding::good(WHAT, format!("{name}, to be made at the first start")),
            _ => Finding::bad(
                WHAT,
                format!("{name} cannot be made"),
                "name another one with --data-dir, or ask who owns the folder above",
            ),
        };
    }
    if let Err(error) = tempfile::tempfile_in(dir) {
        let remedy = "make it writable for you, or name another one with --data-dir";
        return Finding::bad(
            WHAT,
            format!("{name} cannot be written to: {error}"),
            remedy,
        );
    }
    if let Some(mode) = mode(dir).filter(|mode| mode & 0o077 != 0) {
        return Finding::warning(
            WHAT,
            format!(
                "{name} can be looked into by others (mode {:o})",
                mode & 0o777
            ),
            format!("it holds the peer's key: chmod 700 '{name}'"),
        );
    }
    let whose = if is_running { ", in use" } else { "" };
    Finding::good(WHAT, format!("{name}{whose}"))
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(path.metadata().ok()?.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

/// Whether there is room for downloads and for the catalogue.
pub(super) fn space(config: &NodeConfig) -> Vec<Finding> {
    let places = [
        ("disk for data", &config.data_dir),
        ("disk for downloads", &config.download_dir),
    ];
    places
        .into_iter()
        .map(|(what, place)| {
            let exists = place.ancestors().find(|one| one.exists());
            let free = exists.map(rustix::fs::statvfs);
            match free {
                Some(Ok(stat)) => room(what, stat.f_bavail.saturating_mul(stat.f_frsize)),
                Some(Err(error)) => Finding::bad(
                    what,
                    format!("{} cannot be looked at: {error}", place.display()),
                    "name another place with --data-dir or --download-dir",
                ),
                None => Finding::bad(
                    what,
                    format!("{} is nowhere", place.display()),
                    "name another place with --data-dir or --download-dir",
                ),
            }
        })
        .collect()
}

fn room(what: &'static str, free: u64) -> Finding {
    let found = format!("{} free", size(free));
    let remedy = "make room, or name another disk with --data-dir and --download-dir";
    match free {
        ..SPACE_NONE => Finding::bad(what, found, remedy),
        SPACE_NONE..SPACE_LITTLE => Finding::warning(what, found, remedy),
        _ => Finding::good(what, found),
    }
}

/// Whether the clock can be right: what is shared is signed with a date.
pub(super) fn clock(dir: &Path) -> Finding {
    let now = SystemTime::now();
    let newest = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    clock_at(now, newest.max())
}

fn clock_at(now: SystemTime, newest: Option<SystemTime>) -> Finding {
    const WHAT: &str = "clock";
    let remedy = "set it, or let the system set it (timedatectl set-ntp true): what is shared is \
                  signed with a date, and others drop what is out of date";
    if now < SystemTime::UNIX_EPOCH + OLDEST {
        return Finding::bad(WHAT, "it is before this program was made", remedy);
    }
    let ahead = newest.and_then(|newest| newest.duration_since(now).ok());
    match ahead.filter(|ahead| *ahead > AHEAD_MAX) {
        Some(ahead) => Finding::bad(
            WHAT,
            format!(
                "it is {} behind what it was when this peer last ran",
                span(ahead.as_secs())
            ),
            remedy,
        ),
        None => Finding::good(WHAT, "it can be right"),
    }
}

/// Whether the network's secret is there, and is one.
pub(super) fn secret(config: &NodeConfig) -> Option<Finding> {
    const WHAT: &str = "secret";
    let path = config.secret_file.as_ref()?;
    let name = path.display();
    Some(match std::fs::read(path) {
        Err(error) => Finding::bad(
            WHAT,
            format!("{name} cannot be read: {error}"),
            "copy it from another peer of the network, or leave --secret-file away",
        ),
        Ok(bytes) if bytes.trim_ascii().is_empty() => Finding::bad(
            WHAT,
            format!("{name} is empty"),
            "copy it from another peer of the network",
        ),
        Ok(_) if mode(path).is_some_and(|mode| mode & 0o044 != 0) => Finding::warning(
            WHAT,
            format!("{name} can be read by others on this machine"),
            format!("chmod 600 '{name}'"),
        ),
        Ok(_) => Finding::good(WHAT, format!("{name} is there")),
    })
}

/// Whether the folders that are to be shared are there.
pub(super) fn shares(config: &NodeConfig) -> Vec<Finding> {
    let folders = config.shares.iter();
    folders
        .map(|folder| {
            let name = folder.display();
            match std::fs::read_dir(folder) {
                Ok(_) => Finding::good("shared folder", format!("{name} can be read")),
                Err(error) => Finding::bad(
                    "shared folder",
                    format!("{name} cannot be read: {error}"),
                    "name the folder as it is now, or take it out of `shares`",
                ),
            }
        })
        .collect()
}

/// Whether the ports are free, while no peer of this data directory has them.
pub(super) fn ports(config: &NodeConfig) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for address in &config.listen {
        findings.push(port(
            "UDP port",
            *address,
            UdpSocket::bind(address).map(drop),
        ));
        if config.bulk_road != BulkRoad::Quic && address.port() != 0 {
            let bound = TcpListener::bind(address).map(drop);
            let mut tcp = port("TCP port", *address, bound);
            if tcp.verdict == super::Verdict::Bad {
                // Another one is taken then.
                tcp.verdict = super::Verdict::Warning;
            }
            findings.push(tcp);
        }
    }
    if config.api_listen.port() != 0 {
        let bound = TcpListener::bind(config.api_listen).map(drop);
        findings.push(port("page and API", config.api_listen, bound));
    }
    if !config.api_listen.ip().is_loopback() {
        findings.push(Finding::warning(
            "page and API",
            format!("{} is open to other machines", config.api_listen),
            "keep `api_listen` to 127.0.0.1; reach it from elsewhere through ssh -L",
        ));
    }
    findings
}

fn port(what: &'static str, address: SocketAddr, bound: std::io::Result<()>) -> Finding {
    match bound {
        Ok(()) => Finding::good(what, format!("{address} is free")),
        Err(error) => Finding::bad(
            what,
            format!("{address} cannot be had: {error}"),
            format!(
                "stop what has it (`ss -lnp | grep :{}` tells), or name another with --listen",
                address.port()
            ),
        ),
    }
}

/// How the running peer is connected.
pub(super) fn network(status: &Status) -> Vec<Finding> {
    let mut findings = vec![peers(status)];
    for hub in &status.hubs {
        let name = hub.hub.short();
        findings.push(match hub.connected {
            true => Finding::good(
                "hub",
                format!("{name} has {}", count(hub.registered, "file of yours")),
            ),
            false => Finding::bad(
                "hub",
                match &hub.problem {
                    Some(problem) => format!("{name}: {problem}"),
                    None => format!("{name} is not connected"),
                },
                "is it up, and is its address right? Try from here: `nc -uz HOST PORT`",
            ),
        });
    }
    findings.extend(reach(status));
    let problems = status.problems.iter();
    findings.extend(problems.map(|problem| {
        let remedy = "see there; `gannet status` says more";
        Finding::warning("problem", problem.clone(), remedy)
    }));
    findings
}

fn peers(status: &Status) -> Finding {
    match status.peers_connected {
        0 => Finding::warning(
            "connections",
            "nobody is connected",
            "name somebody with --peer or --hub; on a local network peers find each other by \
             themselves unless a firewall stops multicast (UDP port 5353)",
        ),
        some => Finding::good(
            "connections",
            format!("{} connected", count(some.into(), "peer")),
        ),
    }
}

/// Whether others get through to this peer, as far as somebody has tried.
fn reach(status: &Status) -> Option<Finding> {
    const WHAT: &str = "reachable";
    let tiers = status.supernode.as_ref()?;
    if tiers.is_reachable {
        return Some(Finding::good(
            WHAT,
            "somebody dialled this peer and got through",
        ));
    }
    // Nobody else is there to try it.
    if status.peers_connected == 0 || tiers.role == Role::Supernode {
        return None;
    }
    Some(Finding::warning(
        WHAT,
        "nobody has got through to this peer from outside yet",
        "let the UDP port of `gannet status` through the router and the firewall to this machine; \
         downloads and searches work without it, others reach you less",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_that_cannot_be_right() {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let hour = Duration::from_secs(3_601);
        assert_eq!(clock_at(then, None).verdict, Verdict::Good);
        assert_eq!(clock_at(then, Some(then - hour)).verdict, Verdict::Good);
        assert_eq!(clock_at(then, Some(then + hour)).verdict, Verdict::Bad);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(clock_at(old, None).verdict, Verdict::Bad);
    }

    #[test]
    fn little_room_is_told() {
        for (free, verdict) in [
            (1, Verdict::Bad),
            (SPACE_NONE, Verdict::Warning),
            (SPACE_LITTLE, Verdict::Good),
        ] {
            assert_eq!(room("disk", free).verdict, verdict, "{free}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_bad() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = NodeConfig::new("/nowhere".into());
        config.listen = vec![taken.local_addr().unwrap()];
        config.bulk_road = BulkRoad::Quic;
        let found = ports(&config);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, Verdict::Bad, "{found:?}");
        drop(taken);
        assert_eq!(ports(&config)[0].verdict, Verdict::Good);
    }

    #[test]
    fn folders_and_secrets_that_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::new(dir.path().join("data"));
        assert_eq!(secret(&config), None);
        config.secret_file = Some(dir.path().join("secret"));
        config.shares = vec![dir.path().to_owned(), dir.path().join("gone")];
        assert_eq!(secret(&config).unwrap().verdict, Verdict::Bad);
        std::fs::write(dir.path().join("secret"), " \n").unwrap();
        assert_eq!(secret(&config).unwrap().verdict, Verdict::Bad);
        std::fs::write(dir.path().join("secret"), "word").unwrap();
        assert_ne!(secret(&config).unwrap().verdict, Verdict::Bad);
        let verdicts: Vec<_> = shares(&config).iter().map(|one| one.verdict).collect();
        assert_eq!(verdicts, [Verdict::Good, Verdict::Bad]);
        assert_eq!(data_dir(&config.data_dir, false).verdict, Verdict::Good);
        assert!(space(&config).iter().all(|one| one.found.contains("free")));
    }
}
