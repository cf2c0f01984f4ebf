//! Automation for developers: `cargo xtask tidy`, `cargo xtask bench`, `cargo
//! xtask compare`, `cargo xtask package`, `cargo xtask fuzz-smoke`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool talks to the terminal"
)]

mod bench;
mod compare;
mod package;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  tidy                     check the rules of the house that no compiler knows
  bench [PART] [--json]    measure, with targets; PART is index, store, transfer, idle, flood or all
  compare [WORK…]          measure beside what others use, installed under target/tools: some 50
                           minutes for all of one, four, quic, hash, index, small, dht, swarm64,
                           start;
                           --runs N, --size 64M, --place memory|disk, --files N, --work-dir DIR,
                           --json, --markdown
  package                  build, write manual pages and completions, and make a Debian package
  fuzz-smoke [--seconds N] give every decoder random and damaged input for N seconds in all";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["tidy"] => tidy::run(&root()),
        ["bench", rest @ ..] => bench::run(&root(), rest),
        ["compare", rest @ ..] => compare::run(&root(), rest),
        ["fuzz-smoke", rest @ ..] => fuzz_smoke(&root(), rest),
        ["package"] => package::run(&root()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The checkout: where the workspace's manifest is.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
        .to_owned()
}

/// Builds and runs the driver of the fuzz bodies, which depends on every crate:
/// a binary of its own, so that `tidy` builds in seconds.
fn fuzz_smoke(root: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    match arguments {
        [] => {}
        ["--seconds", number] if number.parse::<u32>().is_ok() => {}
        _ => bail!("fuzz-smoke takes nothing but `--seconds N`"),
    }
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["run", "--quiet", "--package", "xtask", "--features", "fuzz"])
        .args(["--bin", "fuzz_smoke", "--"])
        .args(arguments)
        .status()
        .context("cannot start cargo")?;
    Ok(status.success())
}
