//! What each device of the flood overlay is worth: the same searches in the
//! same network, with one device after the other switched off.

use gannet_overlay::flood::Strategy;
use serde::Serialize;

use super::{EventHash, search};
use crate::{Fingerprint, Impossible, Latency};

/// The network and the searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Peers.
    pub nodes: u32,
    /// Neighbours of each.
    pub degree: u32,
    /// Files.
    pub files: u32,
    /// Copies of each, as a share of the peers.
    pub copies_share: f64,
    /// Searches in each line of the table.
    pub queries: u32,
    /// TTL of the plain flood that everything is compared with.
    pub ttl: u8,
    /// How long links take.
    pub latency: Latency,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 10_000,
            degree: 8,
            files: 1_000,
            copies_share: 0.01,
            queries: 50,
            ttl: 7,
            latency: search::Params::default().latency,
            seed: 1,
        }
    }
}

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers.
    pub nodes: u32,
    /// Neighbours of each.
    pub degree: u32,
    /// Copies of a file, on average.
    pub copies: f64,
    /// One line for each choice of devices; the first is the plain flood.
    pub lines: Vec<Line>,
    /// Things that happened, in all of them.
    pub events: u64,
    /// The hash over all of them.
    pub event_hash: EventHash,
}

/// One choice of devices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// In words.
    pub devices: String,
    /// The share of the searches that found the file.
    pub recall: f64,
    /// Messages of a search.
    pub messages_per_query: f64,
    /// The same, as a share of what the plain flood took.
    pub of_plain: f64,
    /// Bytes of a search.
    pub bytes_per_query: f64,
    /// Milliseconds to the first answer, of half of the searches.
    pub first_hit_ms_p50: Option<f64>,
    /// The same of 99 of 100.
    pub first_hit_ms_p99: Option<f64>,
    /// Milliseconds to the end, of half of the searches.
    pub end_ms_p50: Option<f64>,
}

/// Searches with each choice of devices.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    if params.ttl == 0 {
        return Err(Impossible::new("--ttl", 0, "a TTL is from 1 to 255"));
    }
    let copies = f64::from(params.nodes) * params.copies_share;
    let full = search::Params {
        nodes: params.nodes,
        degree: Some(params.degree),
        files: params.files,
        copies,
        queries: params.queries,
        latency: params.latency.clone(),
        seed: params.seed,
        ..search::Params::default()
    };
    let mut hash = Fingerprint::default();
    let mut report = Report {
        nodes: params.nodes,
        degree: params.degree,
        copies,
        lines: Vec::new(),
        events: 0,
        event_hash: EventHash(0),
    };
    for (devices, choice) in choices(params, &full) {
        let found = search::run(&choice)?;
        hash.add(found.event_hash.0, found.events);
        report.events += found.events;
        let plain = report.lines.first();
        let plain = plain.map_or(found.messages_per_query, |line| line.messages_per_query);
        report.lines.push(Line {
            devices,
            recall: found.recall,
            messages_per_query: found.messages_per_query,
            of_plain: found.messages_per_query / plain.max(1.0),
            bytes_per_query: found.bytes_per_query,
            first_hit_ms_p50: found.first_hit_ms_p50,
            first_hit_ms_p99: found.first_hit_ms_p99,
            end_ms_p50: found.end_ms_p50,
        });
    }
    report.event_hash = EventHash(hash.value());
    Ok(report)
}

fn choices(params: &Params, full: &search::Params) -> Vec<(String, search::Params)> {
    let ttl = params.ttl;
    let flood = || Strategy::Flood { ttl };
    let plain = search::Params {
        strategy: flood(),
        tables: false,
        reports: false,
        revisit: false,
        ..full.clone()
    };
    let with = |name: &str, change: &dyn Fn(&mut search::Params), from: &search::Params| {
        let mut choice = from.clone();
        change(&mut choice);
        (name.to_owned(), choice)
    };
    vec![
        (format!("plain flood, TTL {ttl}"), plain.clone()),
        with("plain flood with tables", &|p| p.tables = true, &plain),
        with("ring, tables, reports", &|_| {}, full),
        with("- without the ring", &|p| p.strategy = flood(), full),
        with("- without tables", &|p| p.tables = false, full),
        with("- without reports", &|p| p.reports = false, full),
        with("- without later copies", &|p| p.revisit = false, full),
        with(
            "dynamic, tables, reports",
            &|p| p.strategy = Strategy::Dynamic,
            full,
        ),
        with(
            "dynamic without tables",
            &|p| {
                p.strategy = Strategy::Dynamic;
                p.tables = false;
            },
            full,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_and_tables_take_a_tenth_of_the_messages() {
        let params = Params {
            nodes: 2_000,
            files: 300,
            queries: 20,
            ..Params::default()
        };
        let report = run(&params).unwrap();
        let line = |name: &str| {
            let found = report.lines.iter().find(|line| line.devices == name);
            found.unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(report.lines.len(), 9);
        assert!(
            report.lines.iter().all(|line| line.recall == 1.0),
            "{report:?}"
        );
        let full = line("ring, tables, reports");
        assert!(full.of_plain <= 0.1, "{full:?}");
        for name in ["- without the ring", "- without tables"] {
            let without = line(name);
            assert!(
                without.messages_per_query > full.messages_per_query,
                "{without:?}"
            );
        }
    }
}
