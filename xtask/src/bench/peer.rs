//! Real peers: processes of the released program on loopback.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::http::Api;
use super::scratch::Interrupt;
use super::tool::Owned;

/// How long a peer may take to start, and to reach its hub.
const START: Duration = Duration::from_secs(30);
/// How long a scan may take.
const SCAN: Duration = Duration::from_secs(300);

/// Where peers live and what they run.
#[derive(Debug)]
pub(crate) struct Lab<'a> {
    /// The released program.
    pub(crate) program: PathBuf,
    /// A folder of the run.
    pub(crate) folder: &'a Path,
    /// Whether to stop.
    pub(crate) interrupt: &'a Interrupt,
}

/// One running peer; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Owned,
    /// Its API.
    pub(crate) api: Api,
    /// How others reach it.
    pub(crate) address: String,
}

impl Lab<'_> {
    /// The program without any of the user's own settings.
    pub(crate) fn command(&self) -> Command {
        let mut program = Command::new(&self.program);
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("GANNET_")) {
            program.env_remove(variable);
        }
        program
            .env("HOME", self.folder)
            .env("XDG_CONFIG_HOME", self.folder);
        program
    }

    /// Starts a peer with a data directory of this name. `command` is `hub` or
    /// `up`.
    pub(crate) fn start(
        &self,
        name: &str,
        command: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Peer> {
        let data = self.folder.join(name);
        let downloads = data.join("finished");
        fs::create_dir_all(&data)?;
        let log = File::create(data.join("bench.log"))?;
        let child = self
            .command()
            .args([command, "--listen", "127.0.0.1:0", "--no-local-discovery"])
            .arg("--data-dir")
            .arg(&data)
            .arg("--download-dir")
            .arg(&downloads)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut process = Owned(child);
        let file = data.join("api.json");
        let what = format!("the API of {name}");
        let (api, address) = self.interrupt.wait_for(&what, START, || {
            if let Some(status) = process.0.try_wait()? {
                let log = fs::read_to_string(data.join("bench.log"))?;
                bail!("{name} ended at once: {status}\n{log}");
            }
            Ok(read_api(&file, process.0.id()))
        })?;
        Ok(Peer {
            process,
            api,
            address,
        })
    }

    /// Waits until a peer has scanned `files` files and registered them at
    /// `hubs` hubs.
    pub(crate) fn registered(&self, peer: &Peer, files: u64, hubs: usize) -> anyhow::Result<()> {
        self.interrupt.wait_for("scan and registration", SCAN, || {
            let status = peer.api.get("/status")?;
            let shares = &status["shares"];
            let scanned = shares["files"].as_u64() == Some(files) && shares["scanning"].is_null();
            let known = status["hubs"].as_array().is_some_and(|known| {
                let ready = known.iter().filter(|hub| {
                    hub["connected"] == true && hub["registered"].as_u64() == Some(files)
                });
                ready.count() >= hubs
            });
            Ok((scanned && known).then_some(()))
        })
    }

    /// Fetches a link and says how long it took, from the request to the file
    /// under its final name. `watch` sees the bytes in place and their total
    /// every 20 ms.
    pub(crate) fn fetch(
        &self,
        peer: &Peer,
        link: &str,
        size: u64,
        mut watch: impl FnMut(Duration, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        let from = Instant::now();
        peer.api
            .post("/downloads", &json!({ "from": "link", "link": link }))?;
        let patience = Duration::from_secs(600);
        let path = self.interrupt.wait_for("the download", patience, || {
            let downloads = peer.api.list("/downloads")?;
            let download = downloads.first().context("the download is gone")?;
            watch(
                from.elapsed(),
                download["have_bytes"].as_u64().unwrap_or_default(),
            )?;
            match download["state"].as_str() {
                Some("complete") => Ok(download["path"].as_str().map(PathBuf::from)),
                Some("failed") => bail!("the download failed: {}", download["reason"]),
                _ => Ok(None),
            }
        })?;
        let elapsed = from.elapsed();
        let found = fs::metadata(&path)?.len();
        if found != size {
            bail!("{} has {found} bytes, not {size}", path.display());
        }
        fs::remove_file(&path)?;
        Ok(elapsed)
    }
}

impl Peer {
    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends it without a goodbye.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end in good order, and waits until it has.
    pub(crate) fn stop(mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.api.post("/shutdown", &json!({}))?;
        let patience = Duration::from_secs(120);
        interrupt.wait_for("the end of a peer", patience, || {
            Ok(self.process.0.try_wait()?)
        })?;
        Ok(())
    }

    /// The link to one of its files.
    pub(crate) fn link(&self, file: &Path) -> anyhow::Result<String> {
        let answer = self.api.post("/links", &json!({ "path": file }))?;
        let link = answer["link"].as_str();
        Ok(link.context("the answer has no link")?.to_owned())
    }
}

/// API and address of the peer with this process, once it has said both.
fn read_api(file: &Path, pid: u32) -> Option<(Api, String)> {
    let value: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    if value["pid"].as_u64() != Some(u64::from(pid)) {
        return None;
    }
    let api = Api {
        address: value["address"].as_str()?.parse().ok()?,
        token: value["token"].as_str()?.to_owned(),
    };
    let status = api.get("/status").ok()?;
    let address = status["address"].as_str()?.to_owned();
    // Without a socket address nobody can reach it yet.
    address.contains('@').then_some((api, address))
}
