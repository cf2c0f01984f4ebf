//! `gannet downloads [list|pause|resume|cancel]`.

use gannet_base::Escaped;
use gannet_node::api::{DownloadInfo, DownloadState};

use crate::cli::{DownloadsAction, DownloadsNumbers};
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
pub(crate) async fn run(action: DownloadsAction, out: &mut Printer) -> Outcome {
    match action {
        DownloadsAction::List(list) => {
            let remote = Remote::connect(&list.target).await?;
            let downloads = remote.downloads().await?;
            if list.watch && downloads.iter().any(|download| !is_over(download)) {
                return watch(remote, &downloads, out).await;
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
        DownloadsAction::Pause(which) => change(which, Change::Pause, out).await,
        DownloadsAction::Resume(which) => change(which, Change::Resume, out).await,
        DownloadsAction::Cancel(which) => change(which, Change::Cancel, out).await,
    }
}

/// Whether nothing will happen to it by itself.
pub(crate) fn is_over(download: &DownloadInfo) -> bool {
    matches!(
        download.state,
        DownloadState::Complete | DownloadState::Failed
    )
}

async fn watch(remote: Remote, downloads: &[DownloadInfo], out: &mut Printer) -> Outcome {
    let numbers = downloads
        .iter()
        .filter(|download| !is_over(download))
        .map(|download| download.number);
    Follow::new(numbers.collect(), None)
        .run(&Running::There(Box::new(remote)), out)
        .await
}

async fn change(which: DownloadsNumbers, change: Change, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&which.target).await?;
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
