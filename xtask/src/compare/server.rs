//! Programs that run beside: how they start, what they say, where they listen.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Bench;
use crate::bench::peer::Peer;
use crate::bench::tool::Owned;

/// What serves: a process that is killed when dropped.
#[derive(Debug)]
pub(crate) enum Server {
    /// Ours.
    Peer(Peer),
    /// Somebody else's.
    Other(Owned),
}

impl Server {
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Peer(peer) => peer.pid(),
            Self::Other(other) => other.0.id(),
        }
    }
}

/// Starts a program that says into a file what it has to say.
pub(crate) fn spawned(command: &mut Command, log: &Path) -> anyhow::Result<Owned> {
    let writer = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let child = command.spawn();
    let name = command.get_program().display();
    Ok(Owned(
        child.with_context(|| format!("cannot start {name}"))?,
    ))
}

/// An error if a server has ended.
pub(crate) fn alive(server: &mut Owned, log: &Path) -> anyhow::Result<()> {
    if let Some(status) = server.0.try_wait()? {
        bail!("it ended at once: {status}{}", tail(log));
    }
    Ok(())
}

/// The end of what a program said, to be added to a message.
pub(crate) fn tail(log: &Path) -> String {
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    if last.is_empty() {
        return String::new();
    }
    format!(": {}", last.join(" / "))
}

/// Whether this process may do everything, by the owner of its own folder.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Waits until somebody listens.
pub(crate) fn listens(bench: &Bench<'_>, port: u16) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let patience = Duration::from_secs(30);
    bench.interrupt.wait_for("a server", patience, || {
        Ok(TcpStream::connect(address).ok().map(|_| ()))
    })
}
