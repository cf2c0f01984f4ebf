//! Watching downloads until they are over.

use std::time::{Duration, Instant};

use gannet_node::api::{DownloadInfo, DownloadState};
use serde::Serialize;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Printer, can_draw, note};
use crate::progress::{Bars, final_line, may_send, state_word};
use crate::remote::Running;
use crate::signals::Signals;

/// How long the peer is not asked again, at least and at most; in between a quarter of
/// what it has taken so far, so that nobody waits much longer than it takes.
// Guess: smooth to the eye; each costs a local request.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// How long a download may be without any source before it is given up.
// Guess: hubs answer in milliseconds; peers that start at the same time take some seconds to register.
const NO_SOURCE_MAX: Duration = Duration::from_secs(10);

/// What JSON says of a download that is watched.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    /// It has changed.
    Progress { download: &'a DownloadInfo },
    /// This command watches it no more.
    End {
        download: &'a DownloadInfo,
        exit_code: u8,
    },
}

/// Why watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Every download is complete, failed or paused.
    Over,
    /// No byte came for as long as the user allows, or nobody has it.
    GaveUp,
    /// The user does not want to wait.
    Interrupted,
}

/// Watches downloads.
#[derive(Debug)]
pub(crate) struct Follow {
    numbers: Vec<u32>,
    patience: Option<Duration>,
}

/// When something last moved.
#[derive(Debug)]
struct Watchdog {
    have: u64,
    moved: Instant,
    had_source: Instant,
}

impl Follow {
    /// The downloads to watch, and how long they may stand still all together
    /// before they are given up.
    pub(crate) fn new(numbers: Vec<u32>, patience: Option<Duration>) -> Self {
        Self { numbers, patience }
    }

    /// Watches until all are over, or no byte comes for too long, or the user
    /// interrupts.
    pub(crate) async fn run(&self, running: &Running, out: &mut Printer) -> Outcome {
        let mut signals = Signals::listen()?;
        let mut bars = (can_draw() && !out.wants_json()).then(Bars::default);
        let watched = self.watch(running, &mut signals, bars.as_mut(), out).await;
        if let Some(bars) = &mut bars {
            bars.clear();
        }
        let (ended, downloads) = watched?;
        let all_answered = ended == Ended::GaveUp && running.all_answer().await?;
        let mut worst = Exit::Done;
        for download in &downloads {
            let exit = exit_of(download, all_answered);
            worst = worse(worst, exit);
            if out.wants_json() {
                out.json(&Line::End {
                    download,
                    exit_code: exit.code(),
                })?;
            } else {
                out.line(final_line(download))?;
            }
        }
        if worst != Exit::Done && worst != Exit::Failed {
            note(advice(ended, running));
        }
        Ok(worst)
    }

    async fn watch(
        &self,
        running: &Running,
        signals: &mut Signals,
        mut bars: Option<&mut Bars>,
        out: &mut Printer,
    ) -> Result<(Ended, Vec<DownloadInfo>), Failure> {
        let mut before: Vec<DownloadInfo> = Vec::new();
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(begun);
        loop {
            let mut downloads = running.downloads().await?;
            downloads.retain(|download| self.numbers.contains(&download.number));
            if downloads.len() < self.numbers.len() {
                return Err(Failure::failed("a download was cancelled elsewhere"));
            }
            for download in &downloads {
                let old = before.iter().find(|old| old.number == download.number);
                if out.wants_json() && old != Some(download) {
                    out.json(&Line::Progress { download })?;
                }
                match &mut bars {
                    Some(bars) => bars.update(download),
                    None if !out.wants_json() => note_change(old, download),
                    None => {}
                }
            }
            if downloads.iter().all(is_settled) {
                return Ok((Ended::Over, downloads));
            }
            if watchdog.is_tired(&downloads, self.patience, Instant::now()) {
                return Ok((Ended::GaveUp, downloads));
            }
            before = downloads;
            tokio::select! {
                () = signals.asked() => return Ok((Ended::Interrupted, before)),
                () = tokio::time::sleep((begun.elapsed() / 4).clamp(INTERVALS.0, INTERVALS.1)) => {}
            }
        }
    }
}

impl Watchdog {
    fn new(now: Instant) -> Self {
        Self {
            have: 0,
            moved: now,
            had_source: now,
        }
    }

    /// Whether to give up.
    fn is_tired(
        &mut self,
        downloads: &[DownloadInfo],
        patience: Option<Duration>,
        now: Instant,
    ) -> bool {
        let have = downloads.iter().map(|download| download.have_bytes).sum();
        if have != self.have {
            self.have = have;
            self.moved = now;
        }
        let has_source = |download: &DownloadInfo| {
            !is_settled(download) && download.sources.iter().any(may_send)
        };
        if downloads.iter().any(has_source) {
            self.had_source = now;
        }
        patience.is_some_and(|patience| {
            now.duration_since(self.moved) >= patience
                || now.duration_since(self.had_source.max(self.moved))
                    >= patience.min(NO_SOURCE_MAX)
        })
    }
}

/// Whether waiting for it makes no sense.
fn is_settled(download: &DownloadInfo) -> bool {
    matches!(
        download.state,
        DownloadState::Complete | DownloadState::Failed | DownloadState::Paused
    )
}

/// Where nothing can be drawn, changes of state are told.
fn note_change(old: Option<&DownloadInfo>, download: &DownloadInfo) {
    let told = old.map(|old| (old.state, &old.reason));
    if told == Some((download.state, &download.reason)) || is_settled(download) {
        return;
    }
    let reason = download.reason.as_deref().unwrap_or_default();
    let colon = if reason.is_empty() { "" } else { ": " };
    note(format_args!(
        "{}  {}{colon}{}",
        gannet_base::Escaped(&download.name),
        state_word(download.state),
        gannet_base::Escaped(reason)
    ));
}

/// `all_answered`: the wait was given up although everybody answers, so that
/// "no source" means that nobody has it.
fn exit_of(download: &DownloadInfo, all_answered: bool) -> Exit {
    match download.state {
        DownloadState::Complete => Exit::Done,
        DownloadState::Failed => Exit::Failed,
        _ if all_answered && download.have_bytes == 0 && download.sources.is_empty() => {
            Exit::NothingFound
        }
        _ => Exit::Incomplete,
    }
}

/// Failed is worse than incomplete, incomplete than nothing found.
fn worse(a: Exit, b: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Done => 0,
        Exit::NothingFound => 1,
        Exit::Incomplete => 2,
        _ => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

fn advice(ended: Ended, running: &Running) -> &'static str {
    match (ended, running) {
        (Ended::Over, _) => "it is paused; `gannet downloads resume N` lets it go on",
        (_, Running::There(_)) => {
            "the running peer goes on with it; `gannet downloads` shows how far it is, \
             `gannet downloads cancel N` gives it up"
        }
        (_, Running::Here(_)) => {
            "what came is kept; run the same command again to go on where it stopped"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::download;

    #[test]
    fn patience_ends_when_nothing_moves() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let patience = Some(Duration::from_secs(60));
        let mut watchdog = Watchdog::new(start);
        let mut one = download(1, "a");
        let check = |watchdog: &mut Watchdog, one: &DownloadInfo, now| {
            watchdog.is_tired(std::slice::from_ref(one), patience, now)
        };
        assert!(!check(&mut watchdog, &one, at(59)));
        one.have_bytes = 1;
        assert!(!check(&mut watchdog, &one, at(61)));
        assert!(!check(&mut watchdog, &one, at(120)));
        assert!(check(&mut watchdog, &one, at(121)));
        assert!(!Watchdog::new(start).is_tired(&[one], None, at(1_000_000)));
    }

    #[test]
    fn without_sources_patience_is_short() {
        let start = Instant::now();
        let mut one = download(1, "a");
        one.sources
            .iter_mut()
            .for_each(|source| source.state = "resting".to_owned());
        let mut watchdog = Watchdog::new(start);
        let patience = Some(Duration::from_secs(60));
        assert!(!watchdog.is_tired(&[one.clone()], patience, start + NO_SOURCE_MAX / 2));
        assert!(watchdog.is_tired(&[one.clone()], patience, start + NO_SOURCE_MAX));
    }

    #[test]
    fn the_worst_decides() {
        let mut done = download(1, "a");
        done.state = DownloadState::Complete;
        let mut failed = download(2, "b");
        failed.state = DownloadState::Failed;
        let running = download(3, "c");
        assert_eq!(exit_of(&done, false), Exit::Done);
        assert_eq!(exit_of(&failed, true), Exit::Failed);
        assert_eq!(exit_of(&running, true), Exit::Incomplete);
        let mut nowhere = running;
        nowhere.sources.clear();
        assert_eq!(exit_of(&nowhere, true), Exit::NothingFound);
        assert_eq!(exit_of(&nowhere, false), Exit::Incomplete);
        nowhere.have_bytes = 1;
        assert_eq!(exit_of(&nowhere, true), Exit::Incomplete);
        assert_eq!(worse(Exit::Failed, Exit::Incomplete), Exit::Failed);
        assert_eq!(worse(Exit::Done, Exit::NothingFound), Exit::NothingFound);
    }

    #[test]
    fn lines_are_tagged() {
        let download = download(1, "a");
        let line = Line::End {
            download: &download,
            exit_code: 5,
        };
        let text = serde_json::to_string(&line).unwrap();
        assert!(
            text.starts_with("{\"type\":\"end\",\"download\":{\"number\":1"),
            "{text}"
        );
        assert!(text.ends_with("\"exit_code\":5}"), "{text}");
    }
}
