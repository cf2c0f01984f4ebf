//! Putting a source on a ring of local nodes and getting it from there.

use std::process::Command;

use anyhow::Context as _;

use super::Bench;
use super::contest::order;
use crate::bench::report::{Figure, Target, median, spread};
use crate::bench::scratch;
use crate::bench::suites::{Run, number_fields};
use crate::bench::tool;

const PEERS: u32 = 50;
/// Sources that each program puts and gets in a run.
const TRIPS: u32 = 100;
/// How many times as fast as the others we promise to be.
const RATIO: f64 = 2.0;

/// Names and the keys of their medians of put and get, milliseconds.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("gannet", "put_ms_p50", "get_ms_p50"),
    ("mainline", "mainline_put_ms_p50", "mainline_get_ms_p50"),
    ("libp2p-kad", "kad_put_ms_p50", "kad_get_ms_p50"),
];

/// Everything about rings.
pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let manifest = ["--manifest-path", "bench/dht/Cargo.toml"];
    let note = |error: &anyhow::Error| {
        let tools = bench.tools;
        tools.note_missing("mainline, libp2p-kad", format!("{error:#}"));
    };
    let others = tool::build(bench.root, &manifest, bench.interrupt)
        .inspect_err(note)
        .ok();
    if others.is_some() {
        bench.note_locked("bench/dht/Cargo.lock", &["mainline", "libp2p-kad"])?;
    }
    let folder = scratch::folder()?;
    let command = |name: &str| -> Option<Command> {
        let mut command = if name == PROGRAMS[0].0 {
            Command::new(&bench.programs.dht)
        } else {
            let mut command = Command::new(others.as_ref()?);
            command.arg(name);
            command
        };
        command
            .args([PEERS.to_string(), TRIPS.to_string()])
            .env("TMPDIR", folder.path());
        Some(command)
    };
    let mut runs: Vec<Vec<Run>> = PROGRAMS.iter().map(|_| Vec::new()).collect();
    for round in 0..bench.options.runs {
        for place in order(round, PROGRAMS.len()) {
            let (name, put, get) = PROGRAMS[place];
            if let Some(mut command) = command(name) {
                let run = times(&tool::output(&mut command, bench.interrupt)?)?;
                let ms = |key: &str| run.get(key).copied().unwrap_or_default();
                eprintln!("  {name}: put {:.2} ms, get {:.2} ms", ms(put), ms(get));
                runs[place].push(run);
            }
        }
    }
    figures(&runs)
}

/// What a program says; ours has the times among others.
fn times(text: &str) -> anyhow::Result<Run> {
    let said = tool::last_json(text)?;
    number_fields(said.get("sources").unwrap_or(&said))
}

fn figures(runs: &[Vec<Run>]) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for what in ["put", "get"] {
        let mut times = Vec::new();
        for ((name, put, get), runs) in PROGRAMS.iter().zip(runs) {
            let key = if what == "put" { put } else { get };
            let found = runs.iter().map(|run| run.get(*key).copied());
            let found: Option<Vec<f64>> = found.collect();
            let found = found.with_context(|| format!("{name} does not report {key}"))?;
            if !found.is_empty() {
                let figure = Figure::new(
                    "dht",
                    &format!("{PEERS} peers: {what}, {name}"),
                    median(&found),
                    "ms",
                );
                figures.push(figure.note(format!("medians of {TRIPS}; {}", spread(&found))));
                times.push((*name, found));
            }
        }
        let Some(((_, ours), others)) = times.split_first() else {
            continue;
        };
        for (name, theirs) in others {
            let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| b / a).collect();
            let what = format!("{PEERS} peers: {what}, {name}'s time ÷ gannet's");
            let figure = Figure::new("dht", &what, median(&ratios), "");
            figures.push(figure.target(Target::AtLeast(RATIO)).note(spread(&ratios)));
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_wherever_they_stand() {
        for said in [
            r#"{"peers": 2, "sources": {"put_ms_p50": 1.5}}"#,
            r#"{"put_ms_p50": 1.5}"#,
        ] {
            assert_eq!(times(said).unwrap()["put_ms_p50"], 1.5);
        }
    }

    #[test]
    fn times_are_beside_those_of_the_same_round() {
        let run = |put: &str, a: f64, get: &str, b: f64| {
            Run::from([(put.to_owned(), a), (get.to_owned(), b)])
        };
        let [ours, theirs, _] = PROGRAMS else {
            panic!("three programs")
        };
        let runs = [
            vec![run(ours.1, 1.0, ours.2, 2.0), run(ours.1, 3.0, ours.2, 2.0)],
            vec![
                run(theirs.1, 4.0, theirs.2, 2.0),
                run(theirs.1, 6.0, theirs.2, 3.0),
            ],
            Vec::new(),
        ];
        let found: Vec<f64> = figures(&runs).unwrap().iter().map(|f| f.measured).collect();
        assert_eq!(found, [2.0, 5.0, 3.0, 2.0, 2.5, 1.25]);
    }
}
