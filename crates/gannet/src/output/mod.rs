//! What goes to the terminal, and how.

mod size;
mod table;

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub(crate) use size::{count, milliseconds, percent, playing_time, size, span, speed};
pub(crate) use table::{Cell, Layout, Table};

/// Titles.
pub(crate) const HEAD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// It worked.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Not yet, or not quite.
pub(crate) const SOSO: Style = AnsiColor::Yellow.on_default();
/// It failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Standard output: lines for people or JSON for programs. Colours come off
/// when it is not a terminal or when `NO_COLOR` is set. Errors are returned, so
/// that a reader that goes away (`| head`) ends the command quietly.
pub(crate) struct Printer {
    out: Box<dyn Write + Send>,
    json: bool,
    width: Option<usize>,
}

impl Printer {
    /// Standard output.
    pub(crate) fn stdout(json: bool) -> Self {
        let width = terminal_size::terminal_size_of(io::stdout())
            .map(|(width, _)| usize::from(width.0))
            .filter(|width| *width > 0);
        Self {
            out: Box::new(anstream::AutoStream::auto(io::stdout())),
            json,
            width,
        }
    }

    /// Whether JSON is wanted.
    pub(crate) const fn wants_json(&self) -> bool {
        self.json
    }

    /// Columns of the terminal; `None` if it is none.
    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a line. Texts from strangers in it must have been escaped.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Writes a table, if it has rows.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        let text = table.render(self.width);
        if text.is_empty() {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }
}

/// Whether progress can be drawn: standard error is a terminal.
pub(crate) fn can_draw() -> bool {
    io::stderr().is_terminal()
}

/// Says something that is not the result on standard error, where it does not
/// disturb a pipe. There is nobody to tell if that fails.
pub(crate) fn note(text: impl Display) {
    let mut err = anstream::AutoStream::auto(io::stderr());
    let _ = writeln!(err, "{text}");
}

/// Names and their values, one a line, aligned. The values must be safe to
/// show.
pub(crate) fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = lines
        .iter()
        .map(|(name, value)| format!("{DIM}{name:width$}{DIM:#}  {value}"))
        .collect();
    lines.join("\n")
}
