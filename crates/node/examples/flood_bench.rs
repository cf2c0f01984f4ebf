//! A hundred peers in one process, each with its own socket, key and files, and
//! no hub: how soon searches are answered. Prints its figures as JSON.
//!
//! `flood_bench [PEERS] [QUERIES]`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::path::Path;
use std::time::{Duration, Instant};

use gannet_base::PeerAddress;
use gannet_node::api::SearchUpdate;
use gannet_node::{Node, NodeConfig, Overlay};
use tempfile::TempDir;

/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Files that each peer shares besides those that are searched for.
const FILES: usize = 20;
/// Copies of a common file; rare ones have one.
const COPIES: usize = 10;

/// What one search saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Duration,
    all: Duration,
    end: Duration,
    hops: u32,
    whole: bool,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (peers, queries) = (number(100).max(2), number(60));
    let place = TempDir::new().expect("a place for their files");
    let begun = Instant::now();
    let nodes = network(place.path(), peers).await;
    let neighbours = joined(&nodes).await;
    eprintln!("{peers} peers joined in {:?}", begun.elapsed());
    settled(&nodes).await;
    let mut seen = Vec::new();
    for query in 0..queries {
        let first = ask(&nodes, query).await;
        if !first.whole {
            let again = ask(&nodes, query).await.whole;
            eprintln!("asked again: {}", if again { "found" } else { "not found" });
        }
        seen.push(first);
    }
    report(&seen, peers, neighbours);
    let mut ends = tokio::task::JoinSet::new();
    for node in nodes {
        ends.spawn(async move { node.shutdown().await });
    }
    ends.join_all().await;
}

/// The file that a query is for, and how many have it: every second one is
/// rare.
fn wanted(peers: usize, query: usize) -> (usize, usize) {
    let holder = (query * 37 + 5) % peers;
    (
        holder,
        if query.is_multiple_of(2) {
            1
        } else {
            COPIES.min(peers - 1)
        },
    )
}

fn name(holder: usize, copies: usize) -> String {
    format!("treasure{holder}x{copies}")
}

async fn network(place: &Path, peers: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut addresses: Vec<PeerAddress> = Vec::new();
    for n in 0..peers {
        let dir = place.join(n.to_string());
        let shared = dir.join("shared");
        std::fs::create_dir_all(&shared).expect("a folder");
        for file in 0..FILES {
            let text = format!("file {file} of peer {n}");
            std::fs::write(shared.join(format!("{text}.txt")), &text).expect("a file");
        }
        for holder in 0..peers {
            for copies in [1, COPIES.min(peers - 1)] {
                // The holders of a common file are next to each other in number.
                if (n + peers - holder) % peers < copies {
                    let file = shared.join(format!("{}.bin", name(holder, copies)));
                    std::fs::write(file, name(holder, copies)).expect("a file");
                }
            }
        }
        let mut config = NodeConfig::new(dir.join("data"));
        config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config.local_discovery = false;
        config.overlays = vec![Overlay::Flood];
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

/// Waits until everybody has neighbours and has hashed its files; the mean
/// number of neighbours.
async fn joined(nodes: &[Node]) -> f64 {
    let begun = Instant::now();
    loop {
        let (mut ready, mut neighbours) = (0, 0);
        for node in nodes {
            let status = node.status().await.expect("it runs");
            let flood = status.flood.expect("flood is on");
            let enough = flood.neighbours >= flood.neighbours_target.min(6);
            let few = nodes.len() <= 8 && flood.neighbours > 0;
            let hashed = status.shares.files >= FILES as u64 && status.shares.scanning.is_none();
            ready += usize::from((enough || few) && hashed);
            neighbours += flood.neighbours;
        }
        if ready == nodes.len() {
            return f64::from(neighbours) / nodes.len() as f64;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "{ready} of {} have joined",
            nodes.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await; // tidy: allow(polling with a deadline)
    }
}

/// Waits until files are found wherever they are: neighbours have heard of them.
async fn settled(nodes: &[Node]) {
    let begun = Instant::now();
    for query in 0..10 {
        while !ask(nodes, query).await.whole {
            assert!(begun.elapsed() < DEADLINE, "not everything is found");
        }
    }
}

/// Searches from a peer that has no copy.
async fn ask(nodes: &[Node], query: usize) -> Seen {
    let (holder, copies) = wanted(nodes.len(), query);
    let asker = (holder + nodes.len() / 2 + query % 7) % nodes.len();
    let begun = Instant::now();
    let (_, mut updates) = nodes[asker]
        .search(&name(holder, copies), 50)
        .await
        .expect("a query");
    let mut seen = Seen {
        first: DEADLINE,
        all: DEADLINE,
        end: DEADLINE,
        hops: 0,
        whole: false,
    };
    let mut sources = Vec::new();
    while let Some(update) = updates.recv().await {
        match update {
            SearchUpdate::Row(row) => {
                sources = row.sources.iter().map(|source| source.peer).collect();
                let now = begun.elapsed();
                seen.first = seen.first.min(now);
                if row.sources.len() >= copies && !seen.whole {
                    seen.all = now;
                    seen.whole = true;
                }
                seen.hops = row
                    .found_by
                    .iter()
                    .map(|found| found.hops)
                    .min()
                    .unwrap_or(0);
            }
            SearchUpdate::End(end) => {
                seen.end = begun.elapsed();
                if !seen.whole {
                    let known = |node: &Node| sources.contains(&node.peer_id());
                    let missing = (0..copies).map(|n| (holder + n) % nodes.len());
                    let missing: Vec<usize> = missing.filter(|n| !known(&nodes[*n])).collect();
                    eprintln!(
                        "query {query} of {asker}: not found at {missing:?}: {}",
                        end.explanation
                    );
                }
                break;
            }
        }
    }
    seen
}

fn report(seen: &[Seen], peers: usize, neighbours: f64) {
    let percentile = |of: fn(&Seen) -> Duration, share: f64| {
        let mut values: Vec<f64> = seen
            .iter()
            .map(|seen| of(seen).as_secs_f64() * 1e3)
            .collect();
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a short list"
        )]
        let at = (last as f64 * share).round() as usize;
        values[at.min(last)]
    };
    let whole = seen.iter().filter(|seen| seen.whole).count();
    let hops: u32 = seen.iter().map(|seen| seen.hops).sum();
    let figures = serde_json::json!({
        "peers": peers,
        "queries": seen.len(),
        "neighbours_mean": neighbours,
        "found_whole": whole,
        "nearest_hops_mean": f64::from(hops) / seen.len() as f64,
        "first_row_ms_p50": percentile(|seen| seen.first, 0.5),
        "first_row_ms_max": percentile(|seen| seen.first, 1.0),
        "all_rows_ms_p50": percentile(|seen| seen.all, 0.5),
        "all_rows_ms_max": percentile(|seen| seen.all, 1.0),
        "end_ms_p50": percentile(|seen| seen.end, 0.5),
        "end_ms_max": percentile(|seen| seen.end, 1.0),
    });
    println!("{figures:#}");
}
