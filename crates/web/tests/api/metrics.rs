//! Figures for Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use gannet_node::api::SearchUpdate;
use gannet_web::{ApiServer, Limits};
use serde_json::Value;
use tokio::time::timeout;

use crate::fake::{DEADLINE, Fake};
use crate::http::{bare, honest};
use crate::samples::{end, row};

const DASHBOARD: &str = include_str!("../../../../contrib/grafana/gannet.json");

/// The kind and the samples of each metric, read as the format says.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
fn read(text: &str) -> BTreeMap<String, (String, Vec<(String, f64)>)> {
    let mut metrics = BTreeMap::new();
    let mut last = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(words.ends_with('.'), "{line}");
            last = name.to_owned();
            let new = metrics.insert(last.clone(), (String::new(), Vec::new()));
            assert!(new.is_none(), "{name} twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, last);
            metrics.get_mut(name).unwrap().0 = kind.to_owned();
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let (kind, samples) = metrics.get_mut(&last).unwrap();
            let name = sample.split('{').next().unwrap();
            let suffix = name.strip_prefix(last.as_str()).unwrap();
            let is_right = match kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            assert!(is_right, "{line}");
            samples.push((sample.to_owned(), value));
        }
    }
    metrics
}

async fn scrape(server: &ApiServer) -> BTreeMap<String, (String, Vec<(String, f64)>)> {
    let reply = honest(server, "GET /metrics", "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(
        reply
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{reply:?}"
    );
    read(&reply.body)
}

#[tokio::test]
async fn names_follow_the_conventions() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let metrics = scrape(&server).await;
    assert!(metrics.len() > 45, "{}", metrics.len());
    for (name, (kind, samples)) in &metrics {
        assert!(name.starts_with("gannet_") && !samples.is_empty(), "{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(plain), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(
            ["counter", "gauge", "histogram"].contains(&kind.as_str()),
            "{name}"
        );
        for part in ["_ms", "_milliseconds", "_kb", "_mb", "_percent"] {
            assert!(!name.contains(part), "{name}: base units only");
        }
        let different: BTreeSet<_> = samples.iter().map(|(sample, _)| sample).collect();
        assert_eq!(different.len(), samples.len(), "{name}");
    }
}

#[tokio::test]
async fn figures_are_those_of_the_peer_and_the_api() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    fake.have_downloads(3);
    let client = fake.client().await;
    for rows in [1, 0] {
        let mut stream = client.search_stream("x", 5).await.unwrap();
        let id = stream.id();
        for number in 1..=rows {
            fake.update(id, SearchUpdate::Row(row(number, "name")))
                .await;
        }
        fake.update(id, SearchUpdate::End(end())).await;
        while timeout(DEADLINE, stream.next())
            .await
            .unwrap()
            .unwrap()
            .is_some()
        {}
    }
    let _open = client.events().await.unwrap();
    bare(&server, "GET /healthz", &[], "").await;
    let metrics = scrape(&server).await;
    let all: BTreeMap<_, _> = metrics
        .into_values()
        .flat_map(|(_, samples)| samples)
        .collect();
    for (sample, value) in [
        ("gannet_uptime_seconds", 1.0),
        ("gannet_problems", 1.0),
        ("gannet_downloads{state=\"active\"}", 3.0),
        ("gannet_downloads{state=\"failed\"}", 0.0),
        ("gannet_hubs{connected=\"true\"}", 1.0),
        ("gannet_hubs{connected=\"false\"}", 0.0),
        ("gannet_supernode_homes", 1.0),
        ("gannet_dht_successors", 1.0),
        ("gannet_keep_own_files_short", 1.0),
        ("gannet_searches_total", 2.0),
        ("gannet_searches_empty_total", 1.0),
        ("gannet_search_first_row_seconds_count", 1.0),
        ("gannet_search_duration_seconds_count", 2.0),
        ("gannet_search_duration_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("gannet_api_streams", 1.0),
        ("gannet_api_requests_total{code=\"4xx\"}", 1.0),
        // The client's first question, two searches and the events.
        ("gannet_api_requests_total{code=\"2xx\"}", 4.0),
    ] {
        assert_eq!(all.get(sample), Some(&value), "{sample}");
    }
    assert!(all["gannet_api_connections_total"] >= 5.0);
    assert!(all["gannet_api_connections"] >= 2.0);
}

#[tokio::test]
async fn the_token_for_metrics_opens_nothing_else() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let path = server.token_path().with_file_name("metrics.token");
    let token = std::fs::read_to_string(path).unwrap();
    let headers = [
        ("Host", server.address().to_string()),
        ("Authorization", format!("Bearer {token}")),
    ];
    let mut answers = Vec::new();
    for line in [
        "GET /metrics",
        "GET /metrics/",
        "GET /api/v1/status",
        "POST /api/v1/session/link",
    ] {
        answers.push(bare(&server, line, &headers, "").await.status);
    }
    assert_eq!(answers, [200, 401, 401, 401]);
    let nobody = bare(&server, "GET /metrics", &headers[..1], "").await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn the_dashboard_shows_what_there_is() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let known: BTreeSet<_> = scrape(&server).await.into_keys().collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut used = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let words = target["expr"].as_str().unwrap();
            let words = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            used.extend(words.filter(|word| word.starts_with("gannet_")));
        }
    }
    assert!(used.len() > 20, "{used:?}");
    for name in &known {
        let is_of_ring = name.starts_with("gannet_dht_") || name.starts_with("gannet_keep_");
        assert!(!is_of_ring || used.contains(name.as_str()), "{name}");
    }
    for name in used {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(known.contains(name) || known.contains(base), "{name}");
    }
}
