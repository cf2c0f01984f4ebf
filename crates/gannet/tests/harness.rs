//! Starting, asking and killing processes. Everything waits for a condition
//! with a deadline that fails the test.

use std::future::Future;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gannet_base::PeerAddress;
use gannet_node::api::{DownloadInfo, Status};
use gannet_web::{Client, ClientError};
use serde_json::Value;
use tempfile::TempDir;

/// Longest that one condition may take: a deadline, never a pause.
pub(crate) const SOON: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// A place for one test, with a home of its own.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The one JSON document that it printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the exit code, and that every word is in what it said.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let said = format!("{}{}", self.out, self.err).to_lowercase();
        for word in words {
            assert!(
                said.contains(&word.to_lowercase()),
                "no \"{word}\" in {self:?}"
            );
        }
        assert!(!said.contains("panicked"), "{self:?}");
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A folder with these files.
    pub(crate) fn folder(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, bytes) in files {
            std::fs::write(folder.join(file), bytes).unwrap();
        }
        folder
    }

    /// The program, in an environment where only this place exists.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let mut child = Running(self.command(arguments).spawn().unwrap());
        let out = read_all(child.0.stdout.take().unwrap());
        let err = read_all(child.0.stderr.take().unwrap());
        let status = child.wait(SOON, &format!("{arguments:?}"));
        Said {
            code: status.code(),
            out: out.recv().unwrap(),
            err: err.recv().unwrap(),
        }
    }

    /// Runs a command that talks to the peer of this name.
    #[track_caller]
    pub(crate) fn ask(&self, peer: &str, arguments: &[&str]) -> Said {
        let data_dir = self.path(peer);
        let mut all = vec![arguments[0], "--data-dir", data_dir.to_str().unwrap()];
        all.extend(&arguments[1..]);
        self.run(&all)
    }

    /// Starts a peer or hub of this name on a port of its own.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Peer {
        let data_dir = self.path(name);
        let mut all = arguments.to_vec();
        let flags = [
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--no-local-discovery",
            "--data-dir",
        ];
        all.extend(flags);
        all.push(data_dir.to_str().unwrap());
        let process = self.watch(&all);
        let started = process.line("started");
        Peer {
            address: started["address"].as_str().unwrap().parse().unwrap(),
            data_dir,
            process,
        }
    }

    /// Starts a peer with this overlay only, which joins through another one.
    #[track_caller]
    pub(crate) fn join(
        &self,
        name: &str,
        overlay: &str,
        through: Option<&Peer>,
        more: &[&str],
    ) -> Peer {
        let mut flags = vec!["up", "--overlay", overlay];
        let through = through.map(Peer::address);
        if let Some(address) = &through {
            flags.extend(["--peer", address]);
        }
        flags.extend(more);
        self.start(name, &flags)
    }

    /// Starts a search at a peer, and tells its rows as they come.
    pub(crate) fn watch_search(&self, peer: &Peer, words: &str) -> Process {
        let data_dir = peer.data_dir.to_str().unwrap();
        let flags = ["--watch", "--json", "--data-dir", data_dir];
        self.watch(&[&["search", words], &flags[..]].concat())
    }

    /// Starts to fetch the first row of a peer's latest search, and waits until
    /// more than a mebibyte is there.
    pub(crate) async fn watch_get(&self, peer: &Peer) -> Process {
        let data_dir = peer.data_dir.to_str().unwrap();
        let get = self.watch(&["get", "1", "--json", "--data-dir", data_dir]);
        let client = peer.client().await;
        let has_begun = |all: &Vec<DownloadInfo>| all.iter().any(|one| one.have_bytes > 1 << 20);
        until("beginning", || client.downloads(), has_begun).await;
        get
    }

    /// Starts a command that tells what happens in lines of JSON.
    pub(crate) fn watch(&self, arguments: &[&str]) -> Process {
        let mut child = Running(self.command(arguments).spawn().unwrap());
        let err = read_all(child.0.stderr.take().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                // Whoever does not listen any more has heard enough.
                let _ = tell.send(line);
            }
        });
        Process { child, told, err }
    }
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    #[track_caller]
    fn wait(&mut self, within: Duration, what: &str) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < within, "{what} does not end");
            std::thread::sleep(LOOK); // tidy: allow(polling with a deadline)
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that tells what happens in lines of JSON. Dropping it kills it
/// with SIGKILL.
pub(crate) struct Process {
    child: Running,
    told: mpsc::Receiver<String>,
    err: mpsc::Receiver<String>,
}

impl Process {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait(SOON, "the process")
    }

    /// The next line of this type; others are passed over.
    #[track_caller]
    pub(crate) fn line(&self, kind: &str) -> Value {
        let start = Instant::now();
        loop {
            let left = SOON.saturating_sub(start.elapsed());
            let line = match self.told.recv_timeout(left) {
                Ok(line) => line,
                Err(gone) => panic!("no \"{kind}\", {gone}: {:?}", self.err.try_recv()),
            };
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["type"] == kind {
                return value;
            }
        }
    }

    /// Waits until it has fetched these bytes, some of them from this peer;
    /// what it said at the end.
    #[track_caller]
    pub(crate) fn got(&mut self, bytes: &[u8], from: &Peer) -> Value {
        let end = self.line("end");
        assert_eq!(self.ended().code(), Some(0), "{end}");
        let from = from.address.peer.to_string();
        let sources = end["download"]["sources"].as_array().unwrap();
        let sent = |source: &Value| source["peer"] == from.as_str() && source["bytes"] != 0;
        assert!(sources.iter().any(sent), "{end}");
        let path = end["download"]["path"].as_str().unwrap();
        assert!(std::fs::read(path).unwrap() == bytes, "{end}");
        end
    }

    /// Sends it a signal by name, as `kill` does.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

/// A running peer or hub. Dropping it kills it with SIGKILL.
pub(crate) struct Peer {
    pub(crate) address: PeerAddress,
    pub(crate) data_dir: PathBuf,
    pub(crate) process: Process,
}

impl Peer {
    /// What others type after `--hub`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.data_dir).await.unwrap()
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

/// Asks until the answer is as wanted, or fails.
pub(crate) async fn until<T: std::fmt::Debug, F>(
    what: &str,
    ask: impl Fn() -> F,
    wanted: impl Fn(&T) -> bool,
) -> T
where
    F: Future<Output = Result<T, ClientError>>,
{
    let start = Instant::now();
    loop {
        let answer = ask().await.unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(
            start.elapsed() < SOON,
            "no {what}; the last answer was {answer:#?}"
        );
        tokio::time::sleep(LOOK).await; // tidy: allow(polling with a deadline)
    }
}

/// Waits until something holds that no peer can be asked for, or fails.
#[track_caller]
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "no {what}");
        std::thread::sleep(LOOK); // tidy: allow(polling with a deadline)
    }
}

/// Waits until all hubs of a peer have accepted it.
pub(crate) async fn joined(client: &Client) {
    until(
        "hub",
        || client.status(),
        |status| !status.hubs.is_empty() && status.hubs.iter().all(|hub| hub.connected),
    )
    .await;
}

/// Waits until a peer has registered this many files at every hub.
pub(crate) async fn registered(client: &Client, files: u64) {
    until(
        "registration",
        || client.status(),
        |status| {
            status.shares.files == files
                && !status.hubs.is_empty()
                && status.hubs.iter().all(|hub| hub.registered == files)
        },
    )
    .await;
}

/// Waits until a peer shares so many files, all hashed.
pub(crate) async fn shares(client: &Client, files: u64) {
    let shared = |status: &Status| status.shares.files == files && status.shares.scanning.is_none();
    until("scan", || client.status(), shared).await;
}

/// Searches until it is found: what has just been shared, or healed, may take
/// a moment to be known.
#[track_caller]
pub(crate) fn find(place: &Place, peer: &str, words: &str) -> Value {
    let start = Instant::now();
    loop {
        let said = place.ask(peer, &["search", "--json", words]);
        if said.code == Some(0) {
            return said.json();
        }
        assert!(start.elapsed() < SOON, "{words} is not found: {said:?}");
    }
}

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut noise: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| word()).collect();
    noise.truncate(bytes);
    noise
}

/// The files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
