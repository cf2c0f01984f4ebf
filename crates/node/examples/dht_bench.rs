//! Sixty-four peers on one ring in one process, each with its own socket, key
//! and files: how soon a word is found, and how soon a source that was just put
//! on the ring is got from there. Prints its figures as JSON.
//!
//! `dht_bench [PEERS] [QUERIES]`
//!
//! The peers are [`Node`]s. Sources are put by one more peer that is only the
//! core and the network, because a node publishes when it has hashed a file,
//! and hashing is not what is measured: a put takes until who is responsible for
//! the content has said that it has the record (the words of the name follow, and
//! are not waited for), a get until another peer, a node, has the row with its
//! signature verified.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use gannet_base::wire::{self, Decoded};
use gannet_base::{
    ContentId, Core as _, FileEntry, Link, Media, Output, PeerAddress, Publication, Timestamp,
    WallTime, pump, seeded_rng,
};
use gannet_net::{Channel, Dialed, Net, NetConfig, NetEvent};
use gannet_node::api::SearchUpdate;
use gannet_node::{Node, NodeConfig, Overlay};
use gannet_overlay::dht::{Config, Dht, DhtCommand, DhtEvent, DhtMessage};
use rand_core::Rng as _;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Files that each peer shares.
const FILES: usize = 20;

/// What one search saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Duration,
    end: Duration,
    hops: u32,
    is_found: bool,
}

/// What one source took to be put and to be got.
#[derive(Debug, Clone, Copy)]
struct Trip {
    put: Duration,
    get: Duration,
    is_found: bool,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (peers, queries) = (number(64).max(2), number(60).max(1));
    let place = TempDir::new().expect("a place for their files");
    let begun = Instant::now();
    let nodes = network(place.path(), peers).await;
    joined(&nodes).await;
    let ready = begun.elapsed();
    eprintln!("{peers} peers joined and published in {ready:?}");
    let through = nodes[0].status().await.expect("it runs").address;
    let publisher = publisher(through).await;
    let mut rare = Vec::new();
    let mut two = Vec::new();
    let mut trips = Vec::new();
    for query in 0..queries {
        let (holder, asker) = (query * 37 % peers, (query * 23 + 7) % peers);
        let word = word(holder * FILES + query % FILES);
        rare.push(ask(&nodes[asker], &word).await);
        // A word that everybody has, and a rare one.
        let words = format!("shared {word}");
        two.push(ask(&nodes[asker], &words).await);
        trips.push(put_and_get(&publisher, &nodes[asker], query).await);
    }
    report(peers, ready, &rare, &two, &trips);
    let mut ends = tokio::task::JoinSet::new();
    for node in nodes {
        ends.spawn(async move { node.shutdown().await });
    }
    ends.join_all().await;
}

async fn network(place: &Path, peers: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut addresses: Vec<PeerAddress> = Vec::new();
    for n in 0..peers {
        let dir = place.join(n.to_string());
        let shared = dir.join("shared");
        std::fs::create_dir_all(&shared).expect("a folder");
        for file in 0..FILES {
            let text = word(n * FILES + file);
            std::fs::write(shared.join(format!("{text}.txt")), &text).expect("a file");
        }
        let mut config = NodeConfig::new(dir.join("data"));
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.local_discovery = false;
        config.overlays = vec![Overlay::Dht];
        config.shares = vec![shared];
        // Each is told of one that was there before.
        let through = addresses.get(n * 37 % n.max(1));
        config.peers = through.into_iter().cloned().collect();
        let node = Node::start(config).await.expect("a peer starts");
        addresses.push(node.status().await.expect("it runs").address);
        nodes.push(node);
    }
    nodes
}

/// A word that one file has: in letters only, because digits are words apart.
fn word(number: usize) -> String {
    let digits = number.to_string().into_bytes();
    let letters = digits.into_iter().map(|digit| digit - b'0' + b'a');
    format!(
        "treasure{}",
        String::from_utf8_lossy(&letters.collect::<Vec<u8>>())
    )
}

/// Waits until everybody is on the ring and has all its files listed there.
async fn joined(nodes: &[Node]) {
    let begun = Instant::now();
    loop {
        let mut ready = 0;
        for node in nodes {
            let dht = node.status().await.expect("it runs").dht;
            let dht = dht.expect("the overlay is on");
            let is_whole = dht.successors.len() + 1 >= nodes.len().min(8);
            let is_listed = dht.published >= FILES as u64 && dht.pending == 0;
            ready += usize::from(dht.joined && is_whole && is_listed);
        }
        if ready == nodes.len() {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "only {ready} are ready");
        tokio::time::sleep(Duration::from_millis(200)).await; // tidy: allow(polling with a deadline)
    }
}

/// Searches, and waits for the end.
async fn ask(node: &Node, words: &str) -> Seen {
    let begun = Instant::now();
    let (_, mut updates) = node.search(words, 50).await.expect("a query");
    let mut seen = Seen {
        first: DEADLINE,
        end: DEADLINE,
        hops: 0,
        is_found: false,
    };
    while let Some(update) = updates.recv().await {
        match update {
            SearchUpdate::Row(row) => {
                seen.first = seen.first.min(begun.elapsed());
                seen.hops = row.found_by.first().map_or(0, |found| found.hops);
                seen.is_found = true;
            }
            SearchUpdate::End(end) => {
                seen.end = begun.elapsed();
                if !seen.is_found {
                    eprintln!("{words}: {}", end.explanation);
                }
                break;
            }
        }
    }
    seen
}

/// A new source: from the command to publish it until who is responsible has it;
/// then until another peer knows it.
async fn put_and_get(publisher: &mpsc::Sender<Put>, node: &Node, number: usize) -> Trip {
    let (done, is_done) = oneshot::channel();
    let (rest, is_rest_done) = oneshot::channel();
    let begun = Instant::now();
    let put = Put { number, done, rest };
    publisher.send(put).await.expect("the publisher is there");
    is_done.await.expect("it is put");
    let put = begun.elapsed();
    let begun = Instant::now();
    let seen = ask(node, &format!("hash:{}", content(number))).await;
    // What follows is measured alone.
    is_rest_done.await.expect("its words are put");
    Trip {
        put,
        get: seen.first.min(begun.elapsed()),
        is_found: seen.is_found,
    }
}

fn content(number: usize) -> ContentId {
    ContentId::of(format!("put {number}").as_bytes())
}

/// A source to put.
struct Put {
    number: usize,
    /// To be told when the source is listed.
    done: oneshot::Sender<()>,
    /// To be told when its words are as well.
    rest: oneshot::Sender<()>,
}

/// A peer that only publishes: the core and the network, without the rest.
struct Publisher {
    net: Net,
    core: Dht,
    key: SigningKey,
    began: Instant,
    is_joined: bool,
    /// Whom to tell when the source is listed, and when its words are.
    waiting: Option<oneshot::Sender<()>>,
    waiting_for_words: Option<oneshot::Sender<()>>,
}

async fn publisher(through: PeerAddress) -> mpsc::Sender<Put> {
    let mut rng = seeded_rng(1);
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let mut config = NetConfig::new(secret, NodeConfig::DEFAULT_NETWORK);
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.local_discovery = false;
    let (net, mut events) = Net::bind(config).await.expect("a socket");
    net.add_user_addresses(through.clone());
    let core = Dht::new(net.peer_id(), Config::default(), rng);
    let mut publisher = Publisher {
        net,
        core,
        key: SigningKey::from_bytes(&secret),
        began: Instant::now(),
        is_joined: false,
        waiting: None,
        waiting_for_words: None,
    };
    publisher.command(DhtCommand::WallTime(wall_time()));
    publisher.command(DhtCommand::Announce(publisher.net.addresses()));
    publisher.command(DhtCommand::Bootstrap(vec![through]));
    let (sender, mut puts) = mpsc::channel::<Put>(1);
    let (joined, is_joined) = oneshot::channel();
    tokio::spawn(async move {
        let mut joined = Some(joined);
        loop {
            publisher.drain();
            if publisher.is_joined
                && let Some(joined) = joined.take()
            {
                // Who waits may have gone.
                let _ = joined.send(());
            }
            let wake = tokio::time::Instant::from_std(publisher.wake());
            tokio::select! {
                event = events.recv() => {
                    publisher.handle_net(event.expect("the network is there"));
                }
                put = puts.recv() => match put {
                    Some(put) => publisher.put(put),
                    None => return,
                },
                () = tokio::time::sleep_until(wake) => {
                    let now = publisher.now();
                    publisher.core.handle_timeout(now);
                }
            }
        }
    });
    let joined = tokio::time::timeout(DEADLINE, is_joined).await;
    joined.expect("it joins in time").expect("it joins");
    sender
}

fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallTime::from_unix_seconds(since.expect("after 1970").as_secs())
}

impl Publisher {
    fn now(&self) -> Timestamp {
        let micros = self.began.elapsed().as_micros();
        Timestamp::from_micros(u64::try_from(micros).expect("not so long"))
    }

    fn command(&mut self, command: DhtCommand) {
        self.core.handle_command(self.now(), command);
    }

    fn wake(&self) -> Instant {
        let latest = Instant::now() + Duration::from_secs(60);
        let due = self.core.next_deadline();
        due.map_or(latest, |due| self.began + (due - Timestamp::ZERO))
            .min(latest)
    }

    fn put(&mut self, put: Put) {
        let entry = FileEntry {
            content: content(put.number),
            size: 7,
            path: format!("put/novelty {}.txt", put.number),
            media: Media::default(),
        };
        let expires = wall_time().plus_seconds(Publication::LIFE_SECONDS_MAX / 2);
        let publication = Publication::sign(entry, expires, &self.key);
        self.waiting = Some(put.done);
        self.waiting_for_words = Some(put.rest);
        self.command(DhtCommand::Publish(vec![publication]));
    }

    fn handle_net(&mut self, event: NetEvent) {
        let now = self.now();
        match event {
            NetEvent::Up { peer, remote, .. } => {
                let addresses = remote;
                self.command(DhtCommand::Seen { peer, addresses });
                self.core.handle_link(now, peer, Link::Up);
            }
            NetEvent::Down { peer, .. } => self.core.handle_link(now, peer, Link::Down),
            NetEvent::Unreachable { peer, .. } => {
                self.core.handle_link(now, peer, Link::Unreachable);
            }
            NetEvent::Message { peer, body, .. } => {
                let message = wire::decode::<DhtMessage>(&body).expect("well formed");
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
                break;
            }
            for output in outputs.drain(..) {
                match output {
                    Output::Send { to, message } => {
                        let body = Bytes::from(wire::encode(&message));
                        if let Err(error) = self.net.send(to, Channel::Dht, body) {
                            eprintln!("a message was lost: {error}");
                        }
                    }
                    Output::Dial { peer } => {
                        if self.net.dial(peer) == Dialed::Connected {
                            self.core.handle_link(self.now(), peer, Link::Up);
                        }
                    }
                    Output::Disconnect { peer } => self.net.disconnect(peer),
                    Output::Event(DhtEvent::Addresses(address)) => self.net.add_addresses(address),
                    Output::Event(DhtEvent::Joined(is_joined)) => self.is_joined = is_joined,
                    Output::Event(_) => {}
                }
            }
        }
        let pending = self.core.status().store;
        let source = self.waiting.take_if(|_| pending.sources_pending == 0);
        let words = self
            .waiting_for_words
            .take_if(|_| pending.keys_pending == 0);
        for done in [source, words].into_iter().flatten() {
            // Who waits may have gone.
            let _ = done.send(());
        }
    }
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn searched(seen: &[Seen]) -> serde_json::Value {
    let of = |of: fn(&Seen) -> Duration| seen.iter().map(|seen| millis(of(seen))).collect();
    let (first, end): (Vec<f64>, Vec<f64>) = (of(|seen| seen.first), of(|seen| seen.end));
    let hops: u32 = seen.iter().map(|seen| seen.hops).sum();
    serde_json::json!({
        "searches": seen.len(),
        "found": seen.iter().filter(|seen| seen.is_found).count(),
        "hops_mean": f64::from(hops) / seen.len() as f64,
        "first_row_ms_p50": percentile(first.clone(), 50),
        "first_row_ms_p99": percentile(first, 99),
        "end_ms_p50": percentile(end.clone(), 50),
        "end_ms_p99": percentile(end, 99),
    })
}

fn report(peers: usize, ready: Duration, rare: &[Seen], two: &[Seen], trips: &[Trip]) {
    let of = |of: fn(&Trip) -> Duration| trips.iter().map(|trip| millis(of(trip))).collect();
    let (put, get): (Vec<f64>, Vec<f64>) = (of(|trip| trip.put), of(|trip| trip.get));
    let both: Vec<f64> = of(|trip| trip.put + trip.get);
    let figures = serde_json::json!({
        "peers": peers,
        "files_each": FILES,
        "ready_seconds": ready.as_secs_f64(),
        "one_rare_word": searched(rare),
        "a_common_and_a_rare_word": searched(two),
        "sources": {
            "put": trips.len(),
            "got": trips.iter().filter(|trip| trip.is_found).count(),
            "put_ms_p50": percentile(put.clone(), 50),
            "put_ms_p99": percentile(put, 99),
            "get_ms_p50": percentile(get.clone(), 50),
            "get_ms_p99": percentile(get, 99),
            "put_then_get_ms_p50": percentile(both.clone(), 50),
            "put_then_get_ms_p99": percentile(both, 99),
        },
    });
    println!("{figures:#}");
}
