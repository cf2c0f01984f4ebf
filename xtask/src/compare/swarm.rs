//! Many peers behind one limited seed: simulated, and real ones over loopback.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{Bench, content};
use crate::bench::peer::Peer;
use crate::bench::report::{Figure, Target, median, spread};
use crate::bench::scratch;
use crate::bench::suites::numbers;
use crate::bench::tool;

const PART: &str = "swarm64";
const PEERS: usize = 64;
const MEBIBYTES: u64 = 64;
/// What the seed sends, bytes a second, and as its flag says it.
const LIMITS: [(f64, &str); 2] = [(20e6, "20M"), (5e6, "5M")];
/// Times the fluid bound.
const TIME: Target = Target::AtMost(1.25);
/// Copies that the seed sends.
const COPIES: Target = Target::AtMost(1.2);
const PATIENCE: Duration = Duration::from_secs(600);

/// Everything about the swarm.
pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = simulated(bench)?;
    for (rate, flag) in LIMITS {
        let mut runs = Vec::new();
        for _ in 0..bench.options.runs {
            let run = real(bench, flag)?;
            eprintln!(
                "  seed of {flag}B/s: {:.2} s, {:.2} copies",
                run.seconds, run.copies
            );
            runs.push(run);
        }
        let of = |what: fn(&Run) -> f64| runs.iter().map(what).collect::<Vec<f64>>();
        let bound = bytes() / rate;
        let times: Vec<f64> = runs.iter().map(|run| run.seconds / bound).collect();
        let loads = of(|run| run.processor);
        // The slower seed is for information: two cores may not verify and copy as much as
        // the bound of the faster one asks for.
        let is_promised = rate > 10e6;
        let case = |what: &str| format!("loopback, seed of {flag}B/s: {what}");
        let note = format!(
            "{}; {PEERS} peers, bound {bound:.1} s; {:.1} processor seconds",
            spread(&times),
            median(&loads)
        );
        let mut time = Figure::new(PART, &case("time ÷ bound"), median(&times), "").note(note);
        let copies = of(|run| run.copies);
        let mut sent = Figure::new(
            PART,
            &case("copies that the seed sends"),
            median(&copies),
            "",
        )
        .note(spread(&copies));
        if is_promised {
            (time, sent) = (time.target(TIME), sent.target(COPIES));
        }
        figures.extend([time, sent]);
    }
    Ok(figures)
}

fn simulated(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let folder = scratch::folder()?;
    let mut command = bench.lab(folder.path()).command();
    let rate = "20000000";
    command.args(["lab", "swarm", "--json", "--up", rate, "--down", "80000000"]);
    command.args([
        "--peers",
        &PEERS.to_string(),
        "--size",
        &(MEBIBYTES << 20).to_string(),
    ]);
    let found = numbers(&tool::output(&mut command, bench.interrupt)?)?;
    let figure = |key: &str, what: &str| -> anyhow::Result<Figure> {
        let value = found
            .get(key)
            .with_context(|| format!("the lab does not report {key}"))?;
        Ok(Figure::new(
            PART,
            &format!("simulated, all send 20 MB/s: {what}"),
            *value,
            "",
        ))
    };
    Ok(vec![
        figure("times_ideal", "time ÷ bound")?.target(TIME),
        figure("seed_copies_sent", "copies that the seed sends")?.target(COPIES),
    ])
}

/// What came of one swarm.
struct Run {
    seconds: f64,
    copies: f64,
    processor: f64,
}

/// One swarm of real peers, all told to fetch at once.
fn real(bench: &Bench<'_>, limit: &str) -> anyhow::Result<Run> {
    let folder = scratch::folder()?;
    let source = bench.source(folder.path(), MEBIBYTES)?;
    let lab = bench.lab(folder.path());
    let hub = lab.start("hub", "hub", &[])?;
    let shared = source.parent().and_then(|shared| shared.to_str());
    let shared = shared.context("a folder is no UTF-8")?;
    let seed = lab.start(
        "seed",
        "up",
        &[shared, "--hub", &hub.address, "--limit-up", limit],
    )?;
    lab.registered(&seed, 1, 1)?;
    let peers = (0..PEERS)
        .map(|n| lab.start(&format!("peer {n}"), "up", &["--hub", &hub.address]))
        .collect::<anyhow::Result<Vec<Peer>>>()?;
    for peer in &peers {
        lab.registered(peer, 0, 1)?;
    }
    let link = seed.link(&source)?;
    let before = processor(&peers, &seed)?;
    let from = Instant::now();
    for peer in &peers {
        peer.api
            .post("/downloads", &json!({ "from": "link", "link": link }))?;
    }
    let mut waiting: Vec<&Peer> = peers.iter().collect();
    bench.interrupt.wait_for("the swarm", PATIENCE, || {
        // Asking all of them all the time would be work beside theirs.
        while let Some(peer) = waiting.last() {
            if !is_complete(peer)? {
                return Ok(None);
            }
            waiting.pop();
        }
        Ok(Some(()))
    })?;
    let seconds = from.elapsed().as_secs_f64();
    for n in 0..PEERS {
        let finished = lab.folder.join(format!("peer {n}")).join("finished");
        let first = fs::read_dir(&finished)?.next().context("nothing came")??;
        content::same(&source, &first.path())?;
    }
    Ok(Run {
        seconds,
        copies: sent(&seed)? / bytes(),
        processor: processor(&peers, &seed)? - before,
    })
}

fn is_complete(peer: &Peer) -> anyhow::Result<bool> {
    let downloads = peer.api.list("/downloads")?;
    let download = downloads.first().context("the download is gone")?;
    match download["state"].as_str() {
        Some("failed") => bail!("the download failed: {}", download["reason"]),
        state => Ok(state == Some("complete")),
    }
}

fn processor(peers: &[Peer], seed: &Peer) -> anyhow::Result<f64> {
    let pids = peers.iter().chain([seed]).map(Peer::pid);
    pids.map(crate::bench::usage::processor_seconds).sum()
}

/// Content that a peer has sent, bytes.
fn sent(peer: &Peer) -> anyhow::Result<f64> {
    let status: Value = peer.api.get("/status")?;
    let sent = status["traffic"]["sent_bytes"].as_f64();
    sent.with_context(|| format!("the status does not say what was sent: {status}"))
}

#[expect(clippy::cast_precision_loss, reason = "a file of MiB")]
fn bytes() -> f64 {
    (MEBIBYTES << 20) as f64
}
