//! `cargo xtask compare`: what a user would pick instead, on the same bytes,
//! taking turns, beside what was promised.
//!
//! Everything runs on this machine and over loopback; only what must be
//! installed is fetched, from Debian's packages and crates.io, and stays under
//! `target/tools`.

mod content;
mod contest;
mod dht;
mod install;
mod machine;
mod one;
mod options;
mod ours;
mod results;
mod sendme;
mod server;
mod small;
mod ssh;
mod start;
mod swarm;
mod syncthing;
mod torrent;
mod transmission;
mod web;

use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use crate::bench::peer::Lab;
use crate::bench::report::{Figure, Target};
use crate::bench::scratch::{self, Interrupt};
use crate::bench::tool::{self, Programs};
use crate::bench::{suites, transfer};
use contest::{Contender, Outcome};
use install::Tools;
use machine::Machine;
use options::{Options, Place};
use results::Results;

/// What every work needs.
struct Bench<'a> {
    root: &'a Path,
    options: &'a Options,
    tools: &'a Tools<'a>,
    programs: &'a Programs,
    interrupt: &'a Interrupt,
}

type Work = (&'static str, fn(&Bench<'_>) -> anyhow::Result<Vec<Figure>>);

const WORKS: &[Work] = &[
    ("one", one::one),
    ("four", one::four),
    ("quic", quic),
    ("hash", hash),
    ("index", index),
    ("small", small::run),
    ("dht", dht::run),
    ("swarm64", swarm::run),
    ("start", start::run),
];

/// Runs the works that were named, or all; whether every target was met.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let names: Vec<&str> = WORKS.iter().map(|(name, _)| *name).collect();
    let options = Options::parse(arguments, &names)?;
    let interrupt = Interrupt::register()?;
    let begun = Instant::now();
    let tools = Tools::new(root, &interrupt);
    let programs = tool::programs(root, &interrupt)?;
    let bench = Bench {
        root,
        options: &options,
        tools: &tools,
        programs: &programs,
        interrupt: &interrupt,
    };
    let mut figures = Vec::new();
    for (name, work) in WORKS.iter().filter(|(name, _)| options.wants(name)) {
        eprintln!("compare {name} …");
        match work(&bench) {
            Ok(found) => figures.extend(found),
            Err(error) => {
                interrupt.check()?;
                tools.note_missing(name, format!("the work failed: {error:#}"));
            }
        }
    }
    let results = Results {
        machine: Machine::here(),
        runs: options.runs,
        versions: tools.versions(),
        missing: tools.missing(),
        tools: tools.home().to_owned(),
        minutes: begun.elapsed().as_secs_f64() / 60.0,
        figures,
    };
    results.print(options.form)?;
    // Who failed was not compared, so nothing was shown to be met.
    Ok(results.figures.iter().all(Figure::is_met) && !results.figures.is_empty())
}

impl Bench<'_> {
    /// A folder of the run that vanishes with its owner.
    fn folder(&self, place: Place) -> anyhow::Result<TempDir> {
        match place {
            Place::Memory => scratch::folder(),
            Place::Disk => {
                let named = self.options.work_dir.clone();
                let parent = named.unwrap_or_else(|| self.tools.home().join("work"));
                std::fs::create_dir_all(&parent)?;
                scratch::folder_in(&parent)
            }
        }
    }

    /// Our peers, with what they keep in this folder.
    fn lab<'b>(&'b self, folder: &'b Path) -> Lab<'b> {
        Lab {
            program: self.programs.gannet.clone(),
            folder,
            interrupt: self.interrupt,
        }
    }

    /// Notes who took part and failed.
    fn note_failures(&self, case: &str, contenders: &[Contender<'_>], outcomes: &[Outcome]) {
        for (contender, outcome) in contenders.iter().zip(outcomes) {
            if let Err(reason) = outcome {
                let name = format!("{} ({case})", contender.name);
                self.tools.note_missing(&name, reason.clone());
            }
        }
    }

    /// Notes the versions of crates that a benchmark beside ours is built with.
    fn note_locked(&self, lock: &str, packages: &[&str]) -> anyhow::Result<()> {
        let lock = std::fs::read_to_string(self.root.join(lock))?;
        for (name, version) in locked(&lock, packages)? {
            self.tools.note_version(&name, version);
        }
        Ok(())
    }

    /// A file to fetch, in a folder of its own.
    fn source(&self, folder: &Path, mebibytes: u64) -> anyhow::Result<PathBuf> {
        let shared = folder.join("shared");
        std::fs::create_dir_all(&shared)?;
        scratch::write_file(shared.join("source.bin"), mebibytes)
    }
}

/// The sure road beside a bare stream of the same library.
fn quic(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    transfer::roads(bench.programs, bench.options.runs, bench.interrupt)
        .map(|figures| renamed(figures, "quic"))
}

/// Hashing a library, beside b3sum.
fn hash(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let runs = bench.options.runs;
    let figures = suites::store_runs(bench.root, &bench.programs.store, runs, bench.interrupt)?;
    let wanted = ["hashing", "hash_mb_per_s"];
    let found = figures
        .into_iter()
        .filter(|figure| wanted.iter().any(|word| figure.what.starts_with(word)))
        .map(|figure| match figure.target {
            Some(_) => figure.target(Target::AtLeast(0.95)),
            None => figure,
        });
    Ok(renamed(found.collect(), "hash"))
}

/// The word index, beside tantivy.
fn index(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let runs = bench.options.runs;
    let figures = suites::index_runs(bench.root, runs, bench.interrupt)?;
    bench.note_locked("bench/tantivy/Cargo.lock", &["tantivy"])?;
    Ok(figures.into_iter().filter(is_beside_tantivy).collect())
}

/// Whether a figure of the index was promised, or is tantivy's beside one that was.
fn is_beside_tantivy(figure: &Figure) -> bool {
    let beside = [
        "tantivy_bytes_per_entry",
        "tantivy_queries_per_s",
        "tantivy_join_one_ms",
        "tantivy_leave_one_ms",
        "ours_join_one_ms",
        "ours_leave_one_ms",
    ];
    figure.target.is_some() || beside.contains(&figure.what.as_str())
}

/// The versions that a `Cargo.lock` has of some packages.
fn locked(lock: &str, packages: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
    let lock: toml::Table = lock.parse()?;
    let all = lock.get("package").and_then(toml::Value::as_array);
    let named = all.into_iter().flatten().filter_map(|package| {
        let name = package.get("name")?.as_str()?;
        let version = package.get("version")?.as_str()?;
        let is_wanted = packages.contains(&name);
        is_wanted.then(|| (name.to_owned(), version.to_owned()))
    });
    Ok(named.collect())
}

fn renamed(mut figures: Vec<Figure>, part: &'static str) -> Vec<Figure> {
    for figure in &mut figures {
        figure.part = part;
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_index_what_was_promised_and_what_is_beside_it_is_shown() {
        let figure = |what| Figure::new("index", what, 1.0, "");
        let promised = figure("queries, times tantivy's").target(Target::AtLeast(1.0));
        assert!(is_beside_tantivy(&promised));
        assert!(is_beside_tantivy(&figure("tantivy_queries_per_s")));
        assert!(!is_beside_tantivy(&figure("ours_query_max_us")));
    }

    #[test]
    fn versions_are_found_in_lock_files() {
        let lock = "version = 4\n[[package]]\nname = \"tantivy-common\"\nversion = \"0.7.0\"\n\
            [[package]]\nname = \"tantivy\"\nversion = \"0.22.1\"\n";
        let found = locked(lock, &["tantivy", "other"]).unwrap();
        assert_eq!(found, [("tantivy".to_owned(), "0.22.1".to_owned())]);
        assert!(locked("no lock", &["tantivy"]).is_err());
    }
}
