//! A real supernode on one core, with some hundred leaves: how much memory it
//! takes and how many searches a second it answers. Prints a table, or JSON.
//!
//! `supernode_bench [--leaves N] [--files N] [--seconds N] [--json]`
//!
//! The supernode is a [`Node`] in a process of its own (this program again, as
//! `supernode_bench supernode N`), kept on the first processor with `taskset`
//! where that exists. The leaves are in this process, on the other processors
//! if there are some: each has its own key, its own QUIC endpoint on loopback
//! and the leaf side of the supernode core, and publishes signed entries of
//! files that nobody has. What leaves ask costs them too, and everything else
//! on the machine costs both: besides searches a second, the program says what
//! share of its processor the supernode had, and what a whole one would do.
//!
//! Two rounds of searches: two of a file's words, taken blindly, and the two
//! rarest of them, as who wants that file would type. No leaf asks faster than
//! its budget allows (10 a second), so 300 leaves ask 3,000 times at most.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use gannet_base::wire::{self, Decoded};
use gannet_base::{
    ContentId, Core as _, FileEntry, Link, Media, Output, PeerAddress, Publication, Query, Rng,
    Timestamp, WallTime, pump, seeded_rng,
};
use gannet_net::{Channel, Dialed, Net, NetConfig, NetEvent};
use gannet_node::{Node, NodeConfig, Overlay, RoleWish};
use gannet_overlay::flood::Wanted;
use gannet_overlay::supernode::{
    Config, Ending, RoleWish as CoreWish, Supernode, SupernodeCommand, SupernodeEvent,
    SupernodeMessage,
};
use rand_core::Rng as _;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc, watch};

/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// Different words of all paths.
const WORDS: usize = 8_000;
/// The word of rank n is drawn in proportion to n to the minus this.
const ZIPF: f64 = 0.8;
/// Leaves that register at once: a network grows, it does not appear.
const REGISTERING: usize = 32;
/// Time between two searches of one leaf: its budget for long.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Searches of one leaf that wait for their answers.
const OUTSTANDING: usize = 4;
/// Leaves ask so long before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut leaves, mut files, mut seconds, mut json) = (300, 1_000, 10, false);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().expect("a number follows");
            text.parse::<u32>().expect("a number")
        };
        match argument.as_str() {
            "supernode" => return supernode(number()),
            "--leaves" => leaves = number(),
            "--files" => files = number(),
            "--seconds" => seconds = number().max(1),
            "--json" => json = true,
            other => panic!("unknown argument {other}"),
        }
    }
    measure(leaves, files, Duration::from_secs(seconds.into()), json);
}

/// The child: a supernode until its standard input ends. It prints its address,
/// then entries and leaves for each line that it reads.
fn supernode(leaves: u32) {
    let place = TempDir::new().expect("a place for its key");
    let mut config = NodeConfig::new(place.path().join("data"));
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.local_discovery = false;
    config.overlays = vec![Overlay::Supernode];
    config.supernode.role = RoleWish::Force;
    config.supernode.supernodes_min = 1;
    // The machine is busy with the leaves.
    config.supernode.load_max = 0;
    config.supernode.leaves_max = leaves;
    let runtime = runtime();
    let node = runtime.block_on(Node::start(config)).expect("it starts");
    let status = runtime.block_on(node.status()).expect("it runs");
    println!("{}", status.address);
    for line in std::io::stdin().lines() {
        line.expect("standard input is readable");
        let status = runtime.block_on(node.status()).expect("it runs");
        let tier = status.supernode.expect("the overlay is on");
        println!("{} {}", tier.entries, tier.leaves);
    }
    runtime.block_on(node.shutdown());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads start")
}

/// The parent's view of the supernode.
struct Process {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: PeerAddress,
    is_pinned: bool,
}

impl Process {
    fn start(leaves: u32) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let is_pinned = taskset(&["-c", "0", "true"]);
        let mut command = if is_pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let mut child = command
            .args(["supernode", &leaves.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the supernode starts");
        let asks = child.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("it says its address");
        let address = line.trim().parse().expect("an address");
        Self {
            child,
            asks,
            answers,
            address,
            is_pinned,
        }
    }

    /// Its entries and its leaves.
    fn status(&mut self) -> (usize, usize) {
        writeln!(self.asks).expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let (entries, leaves) = line.trim().split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        (number(entries), number(leaves))
    }

    /// A line of `/proc/PID/status`, in MiB.
    fn memory_mib(&self, name: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }

    /// Seconds of a processor that it has had.
    fn cpu_seconds(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // After the name, which may have anything in it.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        // A hundred ticks a second, everywhere.
        ticks
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum::<f64>()
            / 100.0
    }

    fn end(mut self) {
        drop(self.asks);
        self.child.wait().expect("it ends");
    }
}

/// Whether `taskset` with these arguments did what it should.
fn taskset(arguments: &[&str]) -> bool {
    let mut command = Command::new("taskset");
    let command = command.args(arguments).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The words of all paths, and how they are drawn.
struct Vocabulary {
    sums: Vec<f64>,
}

impl Vocabulary {
    fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=u32::try_from(WORDS).expect("some thousand"))
            .map(|rank| {
                sum += f64::from(rank).powf(-ZIPF);
                sum
            })
            .collect();
        Self { sums }
    }

    /// The rank of a word.
    fn draw(&self, rng: &mut Rng) -> usize {
        let all = self.sums[WORDS - 1];
        let at = f64::from(rng.next_u32()) / f64::from(u32::MAX) * all;
        self.sums.partition_point(|sum| *sum < at).min(WORDS - 1)
    }

    /// The words of a file: two to five different ones, by rank.
    fn file(&self, number: u64) -> Vec<usize> {
        let mut rng = seeded_rng(number);
        let count = 2 + below(&mut rng, 4);
        let mut words = Vec::new();
        while words.len() < count {
            let word = self.draw(&mut rng);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    let number = rng.next_u64() % bound as u64;
    usize::try_from(number).expect("less than the bound")
}

/// A word that can be spoken: two syllables of its own and one that many share.
fn word(rank: usize) -> String {
    let syllable = |number: usize| {
        let consonant = b"bcdfghjklmnprstvwxyz"[number % 20];
        let vowel = b"aeiou"[number / 20 % 5];
        [char::from(consonant), char::from(vowel)]
    };
    let parts = [rank % 100, rank / 100, rank % 7];
    parts.into_iter().flat_map(syllable).collect()
}

fn path(words: &[usize]) -> String {
    const KINDS: [(&str, &str); 5] = [
        ("Music", "flac"),
        ("Films", "mkv"),
        ("Books", "epub"),
        ("Pictures", "jpg"),
        ("Software", "zip"),
    ];
    let (folder, extension) = KINDS[words[0] % KINDS.len()];
    let words: Vec<String> = words.iter().map(|rank| word(*rank)).collect();
    // Longer names have a folder for the first two.
    let (above, name) = words.split_at(if words.len() > 3 { 2 } else { 0 });
    let above = if above.is_empty() {
        String::new()
    } else {
        above.join(" ") + "/"
    };
    format!("{folder}/{above}{}.{extension}", name.join(" "))
}

/// What leaves do, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Quiet,
    Any,
    Rarest,
}

#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    refused: u32,
    otherwise: u32,
    rows: u64,
    bytes: u64,
    micros: Vec<u32>,
}

/// What all leaves share.
struct Common {
    vocabulary: Vocabulary,
    files: u64,
    all_files: u64,
    supernode: PeerAddress,
    registering: Semaphore,
    tally: Mutex<Tally>,
}

impl Common {
    fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a leaf with this number shares.
    fn publications(&self, leaf: u64, key: &SigningKey) -> Vec<Publication> {
        let numbers = leaf * self.files..(leaf + 1) * self.files;
        let expires = wall_time().plus_seconds(Publication::LIFE_SECONDS_MAX / 2);
        let entries = numbers.map(|number| FileEntry {
            content: ContentId::of(&number.to_le_bytes()),
            size: seeded_rng(number).next_u64() % 1_000_000_000,
            path: path(&self.vocabulary.file(number)),
            media: Media::default(),
        });
        entries
            .map(|entry| Publication::sign(entry, expires, key))
            .collect()
    }
}

fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallTime::from_unix_seconds(since.expect("after 1970").as_secs())
}

/// A leaf: the core and the network, without the rest of a node.
struct Leaf {
    common: Arc<Common>,
    net: Net,
    core: Supernode,
    rng: Rng,
    began: Instant,
    round: Round,
    next_ask: Instant,
    next_id: u64,
    outstanding: BTreeMap<u64, Instant>,
}

async fn leaf(common: Arc<Common>, number: u64, mut rounds: watch::Receiver<Round>) {
    let mut rng = seeded_rng(number ^ 0x6c65_6166 << 32);
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let mut config = NetConfig::new(secret, NodeConfig::DEFAULT_NETWORK);
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.local_discovery = false;
    let (net, mut events) = Net::bind(config).await.expect("a socket");
    let core = Config {
        role: CoreWish::Forbid,
        ..Config::default()
    };
    let core = Supernode::new(net.peer_id(), core, seeded_rng(rng.next_u64()));
    let shared = common.clone();
    let permit = shared.registering.acquire().await.expect("never closed");
    let mut permit = Some(permit);
    let mut leaf = Leaf {
        common,
        net,
        core,
        rng,
        began: Instant::now(),
        round: Round::Quiet,
        next_ask: Instant::now(),
        next_id: 0,
        outstanding: BTreeMap::new(),
    };
    leaf.begin(number, &SigningKey::from_bytes(&secret));
    loop {
        leaf.drain();
        let wake = tokio::time::Instant::from_std(leaf.wake());
        tokio::select! {
            event = events.recv() => leaf.handle_net(event.expect("the network is there")),
            changed = rounds.changed() => {
                changed.expect("the measurement goes on");
                leaf.on_round(*rounds.borrow_and_update());
            }
            () = tokio::time::sleep_until(wake) => leaf.handle_timeout(),
        }
        if permit.is_some() && leaf.is_registered() {
            permit = None;
        }
    }
}

impl Leaf {
    fn now(&self) -> Timestamp {
        let micros = self.began.elapsed().as_micros();
        Timestamp::from_micros(u64::try_from(micros).expect("not so long"))
    }

    fn command(&mut self, command: SupernodeCommand) {
        self.core.handle_command(self.now(), command);
    }

    fn begin(&mut self, number: u64, key: &SigningKey) {
        let publications = self.common.publications(number, key);
        let supernode = self.common.supernode.clone();
        self.net.add_user_addresses(supernode.clone());
        self.command(SupernodeCommand::WallTime(wall_time()));
        self.command(SupernodeCommand::Announce {
            addresses: self.net.addresses(),
            upload_bytes_per_second: None,
        });
        self.command(SupernodeCommand::Publish(publications));
        self.command(SupernodeCommand::Bootstrap(vec![supernode]));
    }

    fn is_registered(&self) -> bool {
        let homes = self.core.status(self.now()).homes;
        let all = usize::try_from(self.common.files).expect("some thousand");
        homes.iter().any(|home| home.registered >= all)
    }

    /// When something is due, a search too unless enough of them wait.
    fn wake(&self) -> Instant {
        let latest = Instant::now() + Duration::from_secs(60);
        let core = self.core.next_deadline();
        let core = core.map_or(latest, |due| self.began + (due - Timestamp::ZERO));
        let may_ask = self.round != Round::Quiet && self.outstanding.len() < OUTSTANDING;
        let ask = if may_ask { self.next_ask } else { latest };
        core.min(ask).min(latest)
    }

    fn on_round(&mut self, round: Round) {
        self.round = round;
        let micros = below(&mut self.rng, 100_000) as u64;
        self.next_ask = Instant::now() + Duration::from_micros(micros);
    }

    fn handle_timeout(&mut self) {
        self.core.handle_timeout(self.now());
        let now = Instant::now();
        let is_due = self.round != Round::Quiet && now >= self.next_ask;
        if is_due && self.outstanding.len() < OUTSTANDING {
            // Some of what it is behind is made up for: the budget allows it.
            self.next_ask = (self.next_ask + ASK_EVERY).max(now - 4 * ASK_EVERY);
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Instant) {
        let file = self.rng.next_u64() % self.common.all_files;
        let mut words = self.common.vocabulary.file(file);
        if self.round == Round::Rarest {
            words.sort_unstable_by_key(|rank| std::cmp::Reverse(*rank));
        }
        let text = format!("{} {}", word(words[0]), word(words[1]));
        let wanted = Wanted::Words(Query::new(&text).expect("two words"));
        let id = self.next_id;
        self.next_id += 1;
        self.outstanding.insert(id, now);
        let enough = 1;
        self.command(SupernodeCommand::Search { id, wanted, enough });
    }

    fn handle_net(&mut self, event: NetEvent) {
        let now = self.now();
        match event {
            NetEvent::Up { peer, remote, .. } => {
                let addresses = remote;
                self.command(SupernodeCommand::Seen { peer, addresses });
                self.core.handle_link(now, peer, Link::Up);
            }
            NetEvent::Down { peer, reason } => {
                eprintln!("a leaf lost its link: {reason}");
                self.core.handle_link(now, peer, Link::Down);
            }
            NetEvent::Unreachable { peer, reason } => {
                eprintln!("a leaf did not reach the supernode: {reason}");
                self.core.handle_link(now, peer, Link::Unreachable);
            }
            NetEvent::Message { peer, body, .. } => {
                self.common.tally(|tally| tally.bytes += body.len() as u64);
                let message = wire::decode::<SupernodeMessage>(&body).expect("well formed");
                if let Decoded::Message(message) = message {
                    self.core.handle_message(now, peer, message);
                }
            }
            NetEvent::Transfer { .. } | NetEvent::Request { .. } | NetEvent::Found(_) => {}
        }
    }

    fn drain(&mut self) {
        let mut outputs = Vec::new();
        loop {
            pump(&mut self.core, |output| outputs.push(output));
            if outputs.is_empty() {
                return;
            }
            for output in outputs.drain(..) {
                match output {
                    Output::Send { to, message } => {
                        let body = Bytes::from(wire::encode(&message));
                        if let Err(error) = self.net.send(to, Channel::Supernode, body) {
                            eprintln!("a leaf's message was lost: {error}");
                        }
                    }
                    Output::Dial { peer } => {
                        if self.net.dial(peer) == Dialed::Connected {
                            self.core.handle_link(self.now(), peer, Link::Up);
                        }
                    }
                    Output::Disconnect { peer } => self.net.disconnect(peer),
                    Output::Event(event) => self.on_event(event),
                }
            }
        }
    }

    fn on_event(&mut self, event: SupernodeEvent) {
        match event {
            SupernodeEvent::Rows { rows, .. } => {
                self.common.tally(|tally| tally.rows += rows.len() as u64);
            }
            SupernodeEvent::Ended { id, outcome } => {
                let asked_at = self.outstanding.remove(&id).expect("it was asked");
                let micros = u32::try_from(asked_at.elapsed().as_micros()).unwrap_or(u32::MAX);
                let has_rows = outcome.answered.own_rows > 0;
                self.common.tally(|tally| match outcome.ending {
                    Ending::Enough if has_rows => {
                        tally.answered += 1;
                        tally.micros.push(micros);
                    }
                    Ending::TooMany => tally.refused += 1,
                    _ => tally.otherwise += 1,
                });
            }
            SupernodeEvent::Lost { reason, .. } => eprintln!("a leaf lost its place: {reason:?}"),
            SupernodeEvent::RegistrationRefused {
                entries, reason, ..
            } => panic!("{entries} entries were refused: {reason:?}"),
            SupernodeEvent::PublishRefused { entries } => panic!("{entries} entries are wrong"),
            SupernodeEvent::Addresses(address) => self.net.add_addresses(address),
            _ => {}
        }
    }
}

fn measure(leaves: u32, files: u32, window: Duration, json: bool) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut process = Process::start(leaves);
    // Before there are threads: they inherit it.
    let others = format!("1-{}", processors.saturating_sub(1));
    let own = std::process::id().to_string();
    let is_apart = process.is_pinned && processors > 1 && taskset(&["-cp", &others, &own]);
    let empty_mib = process.memory_mib("VmRSS:");
    let common = Arc::new(Common {
        vocabulary: Vocabulary::new(),
        files: files.into(),
        all_files: u64::from(leaves) * u64::from(files),
        supernode: process.address.clone(),
        registering: Semaphore::new(REGISTERING),
        tally: Mutex::default(),
    });
    let runtime = runtime();
    let (round, rounds) = watch::channel(Round::Quiet);
    let (ends, mut ended) = mpsc::unbounded_channel();
    for number in 0..leaves {
        let leaf = runtime.spawn(leaf(common.clone(), number.into(), rounds.clone()));
        let ends = ends.clone();
        runtime.spawn(async move { ends.send(leaf.await) });
    }
    let begun = Instant::now();
    registered(&mut process, &common, || ended.try_recv().is_ok());
    let (registering_s, registering_cpu) = (begun.elapsed().as_secs_f64(), process.cpu_seconds());
    pause(Duration::from_secs(3));
    let full_mib = process.memory_mib("VmRSS:");
    let mut searches = Vec::new();
    for (kind, name) in [(Round::Any, "any two"), (Round::Rarest, "two rarest")] {
        round.send_replace(kind);
        pause(WARM_UP);
        searches.push(searched(&process, &common, window, name));
        round.send_replace(Round::Quiet);
        pause(WARM_UP);
    }
    assert!(ended.try_recv().is_err(), "a leaf ended");
    let figures = serde_json::json!({
        "leaves": leaves,
        "files": files,
        "entries": process.status().0,
        "supernode_on_one_processor": process.is_pinned,
        "leaves_on_others": is_apart,
        "processors": processors,
        "registering_seconds": registering_s,
        "registering_cpu_seconds": registering_cpu,
        "resident_mib_empty": empty_mib,
        "resident_mib_registered": full_mib,
        "resident_mib_after_searches": process.memory_mib("VmRSS:"),
        "resident_mib_peak": process.memory_mib("VmHWM:"),
        "searches": searches,
    });
    report(&figures, json);
    runtime.shutdown_background();
    process.end();
}

fn pause(time: Duration) {
    std::thread::sleep(time); // tidy: allow(a measurement lasts as long as it lasts)
}

/// Waits until the supernode has every entry.
fn registered(process: &mut Process, common: &Common, mut has_failed: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut told = begun;
    loop {
        let (entries, leaves) = process.status();
        if entries as u64 >= common.all_files {
            return;
        }
        assert!(!has_failed(), "a leaf ended");
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{entries} entries of {leaves} leaves");
        }
        assert!(begun.elapsed() < DEADLINE, "{entries} entries so far");
        pause(Duration::from_millis(250));
    }
}

/// Counts for a while what leaves are answered.
fn searched(process: &Process, common: &Common, window: Duration, name: &str) -> serde_json::Value {
    drop(common.take_tally());
    let (begun, cpu) = (Instant::now(), process.cpu_seconds());
    pause(window);
    let mut tally = common.take_tally();
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = process.cpu_seconds() - cpu;
    tally.micros.sort_unstable();
    let percentile = |percent: usize| {
        let at = tally.micros.len().saturating_sub(1) * percent / 100;
        f64::from(tally.micros.get(at).copied().unwrap_or(0)) / 1e3
    };
    let answered = f64::from(tally.answered);
    serde_json::json!({
        "words": name,
        "answered_per_second": answered / seconds,
        "processor_share": cpu / seconds,
        "answered_per_cpu_second": answered / cpu,
        "refused": tally.refused,
        "otherwise": tally.otherwise,
        "rows_mean": tally.rows as f64 / answered,
        "answer_bytes_mean": tally.bytes as f64 / answered,
        "answer_ms_p50": percentile(50),
        "answer_ms_p99": percentile(99),
    })
}

fn report(figures: &serde_json::Value, json: bool) {
    if json {
        println!("{figures:#}");
        return;
    }
    let number = |of: &serde_json::Value, name: &str| of[name].as_f64().unwrap_or(f64::NAN);
    let pinned = if figures["supernode_on_one_processor"] == true {
        "kept on one processor"
    } else {
        "NOT kept on one processor: there is no taskset"
    };
    println!(
        "a supernode, {pinned}; {} leaves, {} entries, registered in {:.1} s ({:.1} s of CPU)",
        figures["leaves"],
        figures["entries"],
        number(figures, "registering_seconds"),
        number(figures, "registering_cpu_seconds"),
    );
    println!(
        "resident: {:.1} MiB empty, {:.1} registered, {:.1} after the searches, {:.1} at most",
        number(figures, "resident_mib_empty"),
        number(figures, "resident_mib_registered"),
        number(figures, "resident_mib_after_searches"),
        number(figures, "resident_mib_peak"),
    );
    println!(
        "words       answers/s  of a CPU  per CPU s   rows    bytes   p50 ms   p99 ms  failed"
    );
    for round in figures["searches"].as_array().into_iter().flatten() {
        println!(
            "{:<10} {:>10.0} {:>8.0}% {:>10.0} {:>6.1} {:>8.0} {:>8.2} {:>8.2} {:>7.0}",
            round["words"].as_str().unwrap_or_default(),
            number(round, "answered_per_second"),
            number(round, "processor_share") * 100.0,
            number(round, "answered_per_cpu_second"),
            number(round, "rows_mean"),
            number(round, "answer_bytes_mean"),
            number(round, "answer_ms_p50"),
            number(round, "answer_ms_p99"),
            number(round, "refused") + number(round, "otherwise"),
        );
    }
}
