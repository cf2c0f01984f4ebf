//! `gannet demo`: the whole journey on one machine, with real processes, real
//! connections and real files.
//!
//! Every step checks what it shows; the first that does not hold ends the demo
//! with exit code 1. Processes and files are gone afterwards, whatever happens.

mod actors;
mod dht;
mod files;
mod flood;
mod scenes;
mod stage;
mod steps;
mod supernode;
mod tale;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::cli::{Acts, DemoArgs};
use crate::demo::actors::Company;
use crate::demo::stage::Stage;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{DIM, Printer, note};
use crate::signals::Signals;

/// Longest that the whole may take.
// Guess: twelve times what it takes on two idle cores.
const DEADLINE: Duration = Duration::from_secs(180);

/// Plays the journey.
pub(crate) async fn run(args: DemoArgs, out: &mut Printer) -> Outcome {
    let mut signals = Signals::listen()?;
    let place = tempfile::Builder::new()
        .prefix("gannet-demo-")
        .tempdir()
        .map_err(|error| Failure::failed(format_args!("cannot make a folder: {error}")))?;
    let mut stage = Stage::new(out);
    let mut company = Company::new(place.path())?;
    let played = tokio::select! {
        played = play(&args, place.path(), &mut company, &mut stage) => played,
        () = signals.asked() => Err(Failure::new(Exit::Incomplete, "the demo was interrupted")),
        () = tokio::time::sleep(DEADLINE) => Err(Failure::new(
            Exit::Incomplete,
            format_args!("the demo took more than {} s", DEADLINE.as_secs()),
        )),
    };
    let logs = if played.is_err() {
        company.logs()
    } else {
        String::new()
    };
    // A process that is still there holds files open: first the one, then the
    // other.
    company.kill_all().await;
    drop(company);
    let cleared = clear(place, args.keep);
    stage.end(&played)?;
    if !logs.is_empty() {
        note(format_args!("what the peers logged:\n{logs}"));
    }
    played?;
    cleared?;
    Ok(Exit::Done)
}

/// The acts that are wanted. Ends at the first thing that does not hold.
async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.say(format_args!(
        "{DIM}Gannet finds files among peers and fetches them from many at once. Here is the whole \
         journey\non this machine: every peer below is a process of its own, with its own \
         identity and files.{DIM:#}"
    ))?;
    let plays = |act: Acts| args.overlay == act || args.overlay == Acts::All;
    if plays(Acts::Hub) {
        steps::play(args, place, company, stage).await?;
    }
    if plays(Acts::Flood) {
        flood::play(args, place, company, stage).await?;
    }
    if plays(Acts::Supernode) {
        supernode::play(args, place, company, stage).await?;
    }
    if plays(Acts::Dht) {
        dht::play(args, place, company, stage).await?;
    }
    Ok(())
}

/// Deletes the demo's files, or says where they are.
fn clear(place: TempDir, keep: bool) -> Result<(), Failure> {
    if keep {
        note(format_args!(
            "the demo's files are in {}",
            place.keep().display()
        ));
        return Ok(());
    }
    let path: PathBuf = place.path().to_owned();
    place
        .close()
        .map_err(|error| Failure::failed(format_args!("cannot delete {}: {error}", path.display())))
}

/// The folder to play with: the one that was named, or the current one if it
/// belongs to a repository. `None`: files are generated.
fn folder(args: &DemoArgs) -> Result<Option<PathBuf>, Failure> {
    if let Some(folder) = &args.folder {
        if !folder.is_dir() {
            return Err(Failure::usage(format_args!(
                "{} is not a folder",
                folder.display()
            )));
        }
        return Ok(Some(folder.clone()));
    }
    let here = std::env::current_dir()?;
    let is_repository = here.ancestors().any(|dir: &Path| dir.join(".git").exists());
    Ok(is_repository.then_some(here))
}
