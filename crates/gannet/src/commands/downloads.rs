//! `gannet downloads [list|pause|resume|cancel]`.

use gannet_base::Escaped;
use gannet_node::api::{DownloadInfo, DownloadState};

use crate::cli::{DownloadsAction, DownloadsArgs, Numbers};
use crate::exit::{Exit, Outcome};
use crate::output::{
    BAD, Cell, DIM, GOOD, Layout, Printer, SOSO, Table, percent, size, span, speed,
};
use crate::progress::{Follow, state_word};
use crate::remote::{Remote, Running};

/// What to do to a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Cancel,
}

/// Does what was asked with the downloads.
pub(crate) async fn run(args: DownloadsArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    match args.action {
        None => list(remote, args.watch, out).await,
        Some(DownloadsAction::List { watch }) => list(remote, watch || args.watch, out).await,
        Some(DownloadsAction::Pause(which)) => change(&remote, which, Change::Pause, out).await,
        Some(DownloadsAction::Resume(which)) => change(&remote, which, Change::Resume, out).await,
        Some(DownloadsAction::Cancel(which)) => change(&remote, which, Change::Cancel, out).await,
    }
}

async fn list(remote: Remote, watch: bool, out: &mut Printer) -> Outcome {
    let downloads = remote.downloads().await?;
    let running: Vec<u32> = downloads
        .iter()
        .filter(|download| !is_over(download))
        .map(|download| download.number)
        .collect();
    if watch && !running.is_empty() {
        let running_peer = Running::There(Box::new(remote));
        return Follow::new(running, None).run(&running_peer, out).await;
    }
    if out.wants_json() {
        out.json(&downloads)?;
    } else if downloads.is_empty() {
        out.line("no downloads; `gannet search` finds files, `gannet get` fetches them")?;
    } else {
        out.table(&table(&downloads))?;
    }
    Ok(Exit::Done)
}

/// Whether nothing will happen to it by itself.
fn is_over(download: &DownloadInfo) -> bool {
    matches!(
        download.state,
        DownloadState::Complete | DownloadState::Failed
    )
}

async fn change(remote: &Remote, which: Numbers, change: Change, out: &mut Printer) -> Outcome {
    let mut changed = Vec::new();
    for number in which.numbers {
        let download = remote.change(number, change).await?;
        if !out.wants_json() {
            let verb = match change {
                Change::Pause => "paused",
                Change::Resume => "goes on",
                Change::Cancel => "cancelled",
            };
            out.line(format_args!(
                "{number}  {}  {verb} {DIM}at {}{DIM:#}",
                Escaped(&download.name),
                size(download.have_bytes)
            ))?;
        }
        changed.push(download);
    }
    if out.wants_json() {
        out.json(&changed)?;
    }
    Ok(Exit::Done)
}

fn table(downloads: &[DownloadInfo]) -> Table {
    let mut table = Table::new(&[
        ("#", Layout::Right),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("done", Layout::Right),
        ("speed", Layout::Right),
        ("left", Layout::Right),
        ("sources", Layout::Right),
        ("state", Layout::Left),
        ("why", Layout::Cut),
    ]);
    for download in downloads {
        let moves = download.state == DownloadState::Active;
        let state = Cell::new(state_word(download.state)).style(match download.state {
            DownloadState::Complete | DownloadState::Active => GOOD,
            DownloadState::Failed => BAD,
            DownloadState::Waiting | DownloadState::Paused | DownloadState::DiskFull => SOSO,
        });
        let done = match download.size {
            Some(size) => format!("{} %", percent(download.have_bytes, size)),
            None => String::new(),
        };
        let sending = download.sources.iter().filter(|s| s.state == "sending");
        let why = match (&download.reason, &download.path) {
            (Some(reason), _) => reason.clone(),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => String::new(),
        };
        table.row([
            download.number.to_string().into(),
            Cell::new(&download.name),
            download.size.map(size).unwrap_or_default().into(),
            done.into(),
            Cell::new(if moves {
                speed(download.bytes_per_second)
            } else {
                String::new()
            }),
            download.seconds_left.map(span).unwrap_or_default().into(),
            Cell::new(if moves {
                format!("{}/{}", sending.count(), download.sources.len())
            } else {
                String::new()
            }),
            state,
            Cell::new(why),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::download;

    #[test]
    fn the_list_says_how_far_and_why() {
        let mut running = download(1, "harry\u{1b}[2J potter.bin");
        running.have_bytes = 50;
        running.bytes_per_second = 12_000_000;
        running.seconds_left = Some(3);
        let mut waiting = download(2, "b");
        waiting.state = DownloadState::Waiting;
        waiting.reason = Some("nobody has it\u{202e}".to_owned());
        let mut done = download(3, "c");
        done.state = DownloadState::Complete;
        done.have_bytes = 100;
        done.path = Some("/d/c".into());
        let shown = table(&[running, waiting, done]).render(None);
        let shown = anstream::adapter::strip_str(&shown).to_string();
        for part in [
            "harry\\u{1b}[2J potter.bin",
            "50 %",
            "12.0 MB/s",
            "1/2",
            "waiting",
            "nobody has it\\u{202e}",
            "100 %",
            "/d/c",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
    }
}
