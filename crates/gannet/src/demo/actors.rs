//! The processes: each a `gannet up` or `gannet hub` of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId};
use gannet_web::Client;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// How long a process may take to be up.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// How long a process may take to end.
const DOWN_WITHIN: Duration = Duration::from_secs(15);
/// Lines of a log that are shown when something went wrong.
const LOG_LINES: usize = 12;

/// One process.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    pub(crate) address: PeerAddress,
    pub(crate) client: Client,
    child: Child,
    /// Keeps the process's standard output from filling up.
    _drain: JoinHandle<()>,
}

/// The first line that `gannet up --json` prints.
#[derive(Debug, Deserialize)]
struct Started {
    address: PeerAddress,
}

/// All processes. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Company {
    place: PathBuf,
    program: PathBuf,
    actors: Vec<Actor>,
    /// Everybody that ever was, those who are gone too.
    names: BTreeMap<PeerId, &'static str>,
}

impl Company {
    /// Nobody yet; their files will be in `place`.
    pub(crate) fn new(place: &Path) -> Result<Self, Failure> {
        Ok(Self {
            place: place.to_owned(),
            program: std::env::current_exe()?,
            actors: Vec::new(),
            names: BTreeMap::new(),
        })
    }

    /// Starts a process and waits until it is up. `command` and `flags` are as
    /// they would be typed.
    pub(crate) async fn start(
        &mut self,
        name: &'static str,
        command: &[&str],
        flags: &[String],
    ) -> Result<(), Failure> {
        let data_dir = self.data_dir(name);
        std::fs::create_dir_all(&data_dir)?;
        let mut process = Command::new(&self.program);
        process
            .args(command)
            .args(flags)
            .args(["--json", "--listen", "127.0.0.1:0", "--no-local-discovery"])
            .arg("--data-dir")
            .arg(&data_dir)
            // The user's own configuration must not play along.
            .env_clear()
            .env("HOME", &self.place)
            .envs(std::env::var_os("GANNET_LOG").map(|log| ("GANNET_LOG", log)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(self.log(name))?)
            .kill_on_drop(true);
        // Ctrl-C at the terminal is for the demo, which then ends the others.
        #[cfg(unix)]
        process.process_group(0);
        let mut child = process.spawn()?;
        let stdout = child.stdout.take().expect("it was asked for above");
        let started = tokio::time::timeout(UP_WITHIN, first_line(stdout)).await;
        let Ok(Some((started, drain))) = started else {
            return Err(Failure::failed(format_args!(
                "{name} did not start:\n{}",
                self.tail(name)
            )));
        };
        let client = Client::connect(&data_dir).await.map_err(Failure::failed)?;
        self.names.insert(started.address.peer, name);
        self.actors.push(Actor {
            name,
            address: started.address,
            client,
            child,
            _drain: drain,
        });
        Ok(())
    }

    /// The process of this name.
    ///
    /// # Panics
    ///
    /// If it was not started.
    pub(crate) fn actor(&self, name: &str) -> &Actor {
        self.actors
            .iter()
            .find(|actor| actor.name == name)
            .expect("the play starts everybody before they act")
    }

    /// Everybody, in order of appearance.
    pub(crate) fn actors(&self) -> &[Actor] {
        &self.actors
    }

    /// What the audience calls a peer.
    pub(crate) fn name_of(&self, peer: PeerId) -> String {
        self.names
            .get(&peer)
            .map_or_else(|| peer.short(), |name| (*name).to_owned())
    }

    /// Kills a process as `kill -9` does, and waits until it is gone.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<(), Failure> {
        let at = self.position(name);
        let mut actor = self.actors.remove(at);
        actor.child.kill().await?;
        Ok(())
    }

    /// Asks a process to stop and waits until it has.
    pub(crate) async fn stop(&mut self, name: &str) -> Result<ExitStatus, Failure> {
        let at = self.position(name);
        let mut actor = self.actors.remove(at);
        actor.client.shutdown().await.map_err(Failure::failed)?;
        match tokio::time::timeout(DOWN_WITHIN, actor.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(Failure::failed(format_args!("{name} does not stop"))),
        }
    }

    fn position(&self, name: &str) -> usize {
        self.actors
            .iter()
            .position(|actor| actor.name == name)
            .expect("the play starts everybody before they act")
    }

    /// Kills whoever is left.
    pub(crate) async fn kill_all(&mut self) {
        for actor in &mut self.actors {
            // Whoever has ended by itself cannot be killed.
            let _ = actor.child.kill().await;
        }
        self.actors.clear();
    }

    /// Where a process has its own files.
    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.place.join(name).join("data")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.place.join(name).join("log")
    }

    /// The last lines of a process's log.
    fn tail(&self, name: &str) -> String {
        let log = std::fs::read(self.log(name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// The ends of all logs that are not empty.
    pub(crate) fn logs(&self) -> String {
        let tails = self
            .actors
            .iter()
            .map(|actor| (actor.name, self.tail(actor.name)));
        tails
            .filter(|(_, tail)| !tail.is_empty())
            .map(|(name, tail)| format!("{name}:\n{tail}\n"))
            .collect()
    }
}

/// Reads the line that says that a process is up; goes on reading afterwards.
async fn first_line(stdout: ChildStdout) -> Option<(Started, JoinHandle<()>)> {
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.next_line().await.ok()??;
    let started = serde_json::from_str(&first).ok()?;
    let drain = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some((started, drain))
}
