//! Gannet on the command line.
//!
//! **Problem.** A user wants to find and fetch files, and to know what is going
//! on, from a terminal or a script.
//!
//! **Goals.** Every command says in plain words what happened and what to do
//! next, has a documented exit code, and speaks JSON when asked. Nothing that a
//! stranger wrote can steer the terminal.
//!
//! **Non-goals.** Doing anything itself: `up` and `hub` run a `node`, the other
//! commands ask a running one over its API. Only `get LINK` with no peer
//! running starts a node of its own, for one download.
//!
//! **Invariant.** Standard output carries results only; notes, progress and
//! logs go to standard error.

mod cli;
mod commands;
mod demo;
mod exit;
mod logs;
mod output;
mod progress;
mod remote;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::exit::{Failure, Outcome};
use crate::output::{Printer, note};

fn main() -> ExitCode {
    let arguments = cli::search_words_last(std::env::args_os());
    // clap ends the process itself on --help, --version (0) and mistakes (2).
    let cli = Cli::parse_from(arguments);
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                note(&failure);
            }
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Outcome {
    logs::start(&cli.common.log, cli.common.log_json)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("cannot start threads: {error}")))?;
    let mut out = Printer::stdout(cli.common.json);
    let outcome = runtime.block_on(dispatch(cli.command, &mut out));
    // A disk operation that hangs must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

async fn dispatch(command: Command, out: &mut Printer) -> Outcome {
    use commands::{
        browse, completions, doctor, downloads, get, keep, lab, link, lists, man, open, search,
        share, status, up,
    };
    match command {
        Command::Hub(up) => up::hub(up, out).await,
        Command::Up(up) => up::peer(up, out).await,
        Command::Search(search) => search::run(search, out).await,
        Command::Get(get) => get::run(get, out).await,
        Command::Share(share) => share::run(share, out).await,
        Command::Downloads(downloads) => downloads::run(downloads, out).await,
        Command::Uploads(target) => lists::uploads(&target, out).await,
        Command::Peers(target) => lists::peers(&target, out).await,
        Command::Browse(browse) => browse::run(browse, out).await,
        Command::Link(link) => link::run(link, out).await,
        Command::Keep(keep) => keep::keep(keep, out).await,
        Command::Kept(kept) => keep::kept(kept, out).await,
        Command::Unkeep(unkeep) => keep::unkeep(unkeep, out).await,
        Command::Status(target) => status::status(&target, out).await,
        Command::Open(args) => open::run(args, out).await,
        Command::Stop(target) => status::stop(&target, out).await,
        Command::Doctor(args) => doctor::run(args, out).await,
        Command::Config { markdown } => man::config(markdown, out),
        Command::Man { folder } => man::run(folder.as_deref(), out),
        Command::Completions { shell } => completions::run(shell, out),
        Command::Demo(demo) => demo::run(demo, out).await,
        Command::Lab(lab) => lab::run(lab, out),
    }
}
