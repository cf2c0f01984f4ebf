//! The supernode: a process of its own, and the parent's view of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use gannet_base::PeerAddress;
use gannet_node::{Node, NodeConfig, Overlay, RoleWish};
use tempfile::TempDir;

use crate::runtime;

/// The child: a supernode until its standard input ends. It prints its address,
/// then entries and leaves for each line that it reads.
pub(crate) fn supernode(leaves: u32) {
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

/// The parent's view of the supernode.
pub(crate) struct Process {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: PeerAddress,
    pub(crate) is_pinned: bool,
}

impl Process {
    pub(crate) fn start(leaves: u32) -> Self {
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
    pub(crate) fn status(&mut self) -> (usize, usize) {
        writeln!(self.asks).expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let (entries, leaves) = line.trim().split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        (number(entries), number(leaves))
    }

    /// A line of `/proc/PID/status`, in MiB.
    pub(crate) fn memory_mib(&self, name: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }

    /// Seconds of a processor that it has had.
    pub(crate) fn cpu_seconds(&self) -> f64 {
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

    pub(crate) fn end(mut self) {
        drop(self.asks);
        self.child.wait().expect("it ends");
    }
}

/// Whether `taskset` with these arguments did what it should.
pub(crate) fn taskset(arguments: &[&str]) -> bool {
    let mut command = Command::new("taskset");
    let command = command.args(arguments).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
