//! What is drawn of a download: its name, a bar, a line per source.

use std::collections::BTreeMap;

use gannet_base::{Escaped, PeerId};
use gannet_node::api::{DownloadInfo, DownloadSource, DownloadState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::{BAD, DIM, GOOD, HEAD, SOSO, count, milliseconds, percent, size, span, speed};

/// Most sources that get a line of their own.
// Guess: with the bar and the name it fits a terminal of 24 lines.
const SOURCES_SHOWN: usize = 12;
/// Columns of the bar.
const BAR: u64 = 24;

/// The drawing of some downloads. Nothing is drawn when standard error is no
/// terminal.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    multi: MultiProgress,
    lines: BTreeMap<u32, Vec<ProgressBar>>,
    names: BTreeMap<PeerId, String>,
}

impl Bars {
    /// Bars that call these peers by name instead of by the beginning of their
    /// id.
    pub(crate) fn with_names(names: BTreeMap<PeerId, String>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    /// Draws a download as it is now, in the place that it had.
    pub(crate) fn update(&mut self, download: &DownloadInfo) {
        let mut texts = texts(download, &self.names);
        if anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never {
            for text in &mut texts {
                *text = anstream::adapter::strip_str(text).to_string();
            }
        }
        // A download's lines stay together: new ones go after its last.
        let shown = self.lines.entry(download.number).or_default();
        while shown.len() > texts.len() {
            let bar = shown.pop().expect("the loop's condition says so");
            self.multi.remove(&bar);
        }
        for (n, text) in texts.into_iter().enumerate() {
            if n == shown.len() {
                let bar = ProgressBar::new_spinner().with_style(style());
                let bar = match shown.last() {
                    Some(last) => self.multi.insert_after(last, bar),
                    None => self.multi.add(bar),
                };
                shown.push(bar);
            }
            shown[n].set_message(text);
        }
    }

    /// Takes everything off the screen.
    pub(crate) fn clear(&mut self) {
        for bar in self.lines.values().flatten() {
            bar.finish_and_clear();
        }
        self.lines.clear();
        // Whether the terminal took it matters to nobody.
        let _ = self.multi.clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").expect("the template is right")
}

/// The lines of a download.
fn texts(download: &DownloadInfo, names: &BTreeMap<PeerId, String>) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{DIM}{}{DIM:#} {HEAD}{}{HEAD:#}",
            download.number,
            Escaped(&download.name)
        ),
        format!("  {}", progress_line(download)),
    ];
    if download.state == DownloadState::Active || download.state == DownloadState::Waiting {
        let sources = &download.sources;
        lines.extend(sources.iter().take(SOURCES_SHOWN).map(|source| {
            let name = names.get(&source.peer).cloned();
            let name = name.unwrap_or_else(|| source.peer.short());
            format!("    {}", source_line(&name, source))
        }));
        if sources.len() > SOURCES_SHOWN {
            let more = sources.len() - SOURCES_SHOWN;
            lines.push(format!("    {DIM}and {more} more{DIM:#}"));
        }
    }
    lines
}

/// `━━━━━╺───  53 %  106.1 of 201.3 MB  48.1 MB/s  2 s left`.
fn progress_line(download: &DownloadInfo) -> String {
    let have = size(download.have_bytes);
    let mut parts = match download.size {
        Some(whole) => {
            let percent = percent(download.have_bytes, whole);
            vec![
                bar(percent),
                format!("{percent:>3} %"),
                format!("{have} of {}", size(whole)),
            ]
        }
        None => vec![bar(0), have, "size not known yet".to_owned()],
    };
    match download.state {
        DownloadState::Active => {
            parts.push(format!(
                "{GOOD}{}{GOOD:#}",
                speed(download.bytes_per_second)
            ));
            parts.extend(
                download
                    .seconds_left
                    .map(|left| format!("{} left", span(left))),
            );
        }
        state => parts.push(format!("{SOSO}{}{SOSO:#}", state_word(state))),
    }
    if let Some(reason) = &download.reason {
        parts.push(format!("{SOSO}{}{SOSO:#}", Escaped(reason)));
    }
    parts.join("  ")
}

fn bar(percent: u64) -> String {
    let full = usize::try_from(percent * BAR / 100).expect("at most the bar's columns");
    let rest = usize::try_from(BAR).expect("a handful") - full;
    format!(
        "{GOOD}{}{GOOD:#}{DIM}{}{DIM:#}",
        "━".repeat(full),
        "─".repeat(rest)
    )
}

/// Whether a source sends, or may before long: it is neither resting after a
/// failure nor banned.
pub(crate) fn may_send(source: &DownloadSource) -> bool {
    !matches!(source.state.as_str(), "resting" | "banned")
}

/// `3f2a9c01bd  sending     12.1 MB/s  31.2 MB`. The name must be safe to show.
pub(crate) fn source_line(name: &str, source: &DownloadSource) -> String {
    let style = match source.state.as_str() {
        "sending" => GOOD,
        "banned" => BAD,
        _ => SOSO,
    };
    let state = match source.queue_position {
        Some(position) => format!("place {position} in its queue"),
        None => Escaped(&source.state).to_string(),
    };
    let mut line = format!("{DIM}{name:<10}{DIM:#}  {style}{state:<9}{style:#}");
    if source.bytes > 0 || source.state == "sending" {
        line.push_str(&format!(
            "  {:>11}  {:>9}",
            speed(source.bytes_per_second),
            size(source.bytes)
        ));
    }
    if let Some(reason) = &source.reason {
        line.push_str(&format!("  {SOSO}{}{SOSO:#}", Escaped(reason)));
    }
    line
}

/// A download's state in a word.
pub(crate) fn state_word(state: DownloadState) -> &'static str {
    match state {
        DownloadState::Active => "active",
        DownloadState::Waiting => "waiting",
        DownloadState::Paused => "paused",
        DownloadState::DiskFull => "disk full",
        DownloadState::Complete => "complete",
        DownloadState::Failed => "failed",
    }
}

/// The last word on a download.
pub(crate) fn final_line(download: &DownloadInfo) -> String {
    let name = Escaped(&download.name);
    let whole = download.size.unwrap_or(download.have_bytes);
    match (download.state, &download.path) {
        (DownloadState::Complete, path) => {
            let givers = download.sources.iter().filter(|s| s.bytes > 0).count();
            let path = path
                .as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            let from = match givers {
                0 => String::new(),
                givers => format!(
                    " from {}",
                    count(u64::try_from(givers).unwrap_or(u64::MAX), "source")
                ),
            };
            let rate = download
                .received_bytes
                .saturating_mul(1_000)
                .checked_div(download.elapsed_ms)
                .filter(|_| download.received_bytes > 0)
                .map(|rate| {
                    format!(
                        " in {} ({})",
                        milliseconds(download.elapsed_ms),
                        speed(rate)
                    )
                })
                .unwrap_or_default();
            format!(
                "{GOOD}complete{GOOD:#}  {name}  {}{from}{rate}, verified\n  {}",
                size(whole),
                Escaped(&path)
            )
        }
        (state, _) => {
            let style = if state == DownloadState::Failed {
                BAD
            } else {
                SOSO
            };
            let reason = download
                .reason
                .as_ref()
                .map(|reason| format!(": {}", Escaped(reason)))
                .unwrap_or_default();
            format!(
                "{style}{}{style:#}  {name}{reason}  {DIM}{} so far{DIM:#}",
                state_word(state),
                size(download.have_bytes)
            )
        }
    }
}
