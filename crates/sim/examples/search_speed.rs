//! Speed and memory of the laboratory: searches in a network of flood peers, or on a ring.
//!
//! `cargo run --release -p gannet-sim --example search_speed [-- NODES
//! [QUERIES [COPIES [KIND [ZIPF [LIST [VIRTUAL]]]]]]]`: defaults 100000, 100, 10, `ring`,
//! 0.82, and as many entries of a list and nodes of a peer as everywhere; KIND is `ring`,
//! `dynamic`, `dht` (of one to four words, one of them in a third of all names, 20 answers
//! wanted, searches 20 ms apart), or a TTL for a plain flood without tables and reports.

#![allow(clippy::print_stdout, reason = "a program")]

mod speed;

use std::time::Duration;

use gannet_overlay::flood::Strategy;
use gannet_sim::lab::search::{Overlay, Params, run};

use speed::{memory_kib, number, timed};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let nodes = number(&mut arguments, 100_000);
    let queries = number(&mut arguments, 100);
    let copies = number(&mut arguments, 10);
    let kind = arguments.next().unwrap_or_else(|| "ring".to_owned());
    let mut params = Params {
        nodes,
        files: nodes,
        copies: f64::from(copies),
        queries,
        ..Params::default()
    };
    match kind.as_str() {
        "ring" => {}
        "dht" => {
            params.overlay = Overlay::Dht;
            params.words = (1, 4);
            params.enough = 20;
            params.common_share = 0.33;
            params.interval = Duration::from_millis(20);
        }
        "dynamic" => params.strategy = Strategy::Dynamic,
        ttl => {
            let ttl = ttl.parse().expect("ring, dynamic, dht or a TTL");
            params.strategy = Strategy::Flood { ttl };
            params.tables = false;
            params.reports = false;
        }
    }
    if let Some(zipf) = arguments.next() {
        params.zipf = zipf.parse().expect("an exponent");
    }
    if let Some(list) = arguments.next() {
        params.list_max = Some(list.parse().expect("a number of entries"));
    }
    if let Some(virtual_nodes) = arguments.next() {
        params.virtual_nodes = virtual_nodes.parse().expect("nodes of each peer");
    }
    let before = memory_kib("VmRSS:");
    let (report, seconds) = timed(|| run(&params).expect("these are possible"));
    println!(
        "{}",
        serde_json::to_string_pretty(&report).expect("plain data")
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rate = report.events as f64 / seconds / 1e6;
    let peak = memory_kib("VmHWM:").saturating_sub(before);
    let each = peak * 1024 / u64::from(nodes);
    println!("{seconds:.2} s, {rate:.2} million events a second, at most {each} bytes a peer");
}
