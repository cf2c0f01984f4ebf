//! `gannet completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Printer;

#[derive(Serialize)]
struct Completions {
    shell: String,
    script: String,
}

/// Prints the completion script.
pub(crate) fn run(shell: Shell, out: &mut Printer) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gannet", &mut script);
    let script = String::from_utf8(script).map_err(Failure::failed)?;
    if out.wants_json() {
        out.json(&Completions {
            shell: shell.to_string(),
            script,
        })?;
    } else {
        out.line(script.trim_end())?;
    }
    Ok(Exit::Done)
}
