//! What the audience sees: headings, lines and checks.

use std::fmt::Display;
use std::time::Instant;

use serde::Serialize;

use crate::exit::Failure;
use crate::output::{BAD, DIM, GOOD, HEAD, Printer, Table};

/// What JSON says, one object a line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    /// A step begins.
    Step { step: u32, title: String },
    /// Something that is shown and not checked.
    Note { step: u32, text: String },
    /// Something that had to hold.
    Check { step: u32, held: bool, what: String },
    /// The demo is over.
    End { held: bool, milliseconds: u64 },
}

/// Tells the audience what happens and checks that it does.
pub(crate) struct Stage<'a> {
    out: &'a mut Printer,
    step: u32,
    checks: u32,
    start: Instant,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(out: &'a mut Printer) -> Self {
        Self {
            out,
            step: 0,
            checks: 0,
            start: Instant::now(),
        }
    }

    /// Whether people are watching, not programs.
    pub(crate) fn is_for_people(&self) -> bool {
        !self.out.wants_json()
    }

    /// Begins the next step.
    pub(crate) fn step(&mut self, title: impl Display) -> Result<(), Failure> {
        self.step += 1;
        if self.out.wants_json() {
            self.out.json(&Line::Step {
                step: self.step,
                title: title.to_string(),
            })?;
        } else {
            self.out
                .line(format_args!("\n{HEAD}{}. {title}{HEAD:#}", self.step))?;
        }
        Ok(())
    }

    /// Shows something. Texts from strangers in it must have been escaped.
    pub(crate) fn say(&mut self, text: impl Display) -> Result<(), Failure> {
        let text = text.to_string();
        if self.out.wants_json() {
            self.out.json(&Line::Note {
                step: self.step,
                text: anstream::adapter::strip_str(&text).to_string(),
            })?;
            return Ok(());
        }
        for line in text.lines() {
            self.out.line(format_args!("   {line}"))?;
        }
        Ok(())
    }

    /// Shows a command as it would be typed.
    pub(crate) fn typed(&mut self, command: impl Display) -> Result<(), Failure> {
        self.say(format_args!("{DIM}${DIM:#} {command}"))
    }

    /// Shows a table.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let width = self.out.width().map(|width| width.saturating_sub(3));
        self.say(table.render(width))
    }

    /// Says that something holds, or fails.
    pub(crate) fn check(&mut self, held: bool, what: impl Display) -> Result<(), Failure> {
        self.checks += 1;
        if self.out.wants_json() {
            self.out.json(&Line::Check {
                step: self.step,
                held,
                what: what.to_string(),
            })?;
        } else if held {
            self.out.line(format_args!("   {GOOD}✓{GOOD:#} {what}"))?;
        } else {
            self.out.line(format_args!("   {BAD}✗{BAD:#} {what}"))?;
        }
        if held {
            return Ok(());
        }
        Err(Failure::failed(format_args!(
            "step {} did not hold: {what}",
            self.step
        )))
    }

    /// The last line.
    pub(crate) fn end(&mut self, played: &Result<(), Failure>) -> Result<(), Failure> {
        let milliseconds = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let held = played.is_ok();
        if self.out.wants_json() {
            self.out.json(&Line::End { held, milliseconds })?;
        } else if held {
            self.out.line(format_args!(
                "\n{GOOD}Every step held:{GOOD:#} {} checks in {}.{} s; nothing is left behind.",
                self.checks,
                milliseconds / 1_000,
                milliseconds % 1_000 / 100
            ))?;
        }
        Ok(())
    }
}
