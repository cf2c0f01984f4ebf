//! sendme, without relays.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use super::contest::Contender;
use super::server::{Server, alive, spawned};

/// Serves a file or folder; none if the program cannot be had or does not work.
pub(crate) fn contender<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
) -> Option<Contender<'a>> {
    let made = start(bench, folder, source);
    made.unwrap_or_else(|error| {
        bench.tools.note_missing("sendme", format!("{error:#}"));
        None
    })
}

fn start<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Option<Contender<'a>>> {
    let Some(sendme) = bench.tools.crates("sendme", "--version") else {
        return Ok(None);
    };
    let place = folder.join("sendme");
    fs::create_dir_all(&place)?;
    let log = place.join("sendme.log");
    let mut command = sendme.command();
    command
        .current_dir(&place)
        .args(["send", "--relay", "disabled", "--no-progress"]);
    command.args([
        "--ticket-type",
        "addresses",
        "--magic-ipv4-addr",
        "127.0.0.1:0",
    ]);
    command.arg(source);
    let mut server = spawned(&mut command, &log)?;
    let patience = Duration::from_secs(300);
    let ticket = bench.interrupt.wait_for("sendme's ticket", patience, || {
        alive(&mut server, &log)?;
        Ok(ticket(&fs::read_to_string(&log)?))
    })?;
    Ok(Some(Contender {
        name: "sendme",
        servers: vec![Server::Other(server)],
        client: Box::new(move |folder| {
            let mut command = sendme.command();
            command
                .current_dir(folder)
                .args(["receive", "--relay", "disabled", "--no-progress"]);
            command.args(["--magic-ipv4-addr", "127.0.0.1:0", &ticket]);
            Ok(command)
        }),
        result: source.file_name().context("the source has a name")?.into(),
    }))
}

/// What stands behind `sendme receive`, once the line is whole.
fn ticket(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("sendme receive ")?;
    let (line, _) = rest.split_once('\n')?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_is_read_when_its_line_is_whole() {
        let said = "imported file x\nto get this data, use\nsendme receive blobabc\n";
        assert_eq!(ticket(said).as_deref(), Some("blobabc"));
        assert_eq!(ticket("sendme receive blob"), None);
        assert_eq!(ticket("imported\n"), None);
    }
}
