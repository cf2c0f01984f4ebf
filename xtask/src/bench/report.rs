//! Figures, their targets and how they are shown.

use std::fmt::Write as _;

use serde::Serialize;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// The part that it belongs to.
    pub(crate) part: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// How much.
    pub(crate) measured: f64,
    /// Of what.
    pub(crate) unit: String,
    /// What was promised, if anything was.
    pub(crate) target: Option<Target>,
    /// Circumstances worth knowing.
    pub(crate) note: String,
}

impl Figure {
    /// A figure without a target.
    pub(crate) fn new(part: &'static str, what: &str, measured: f64, unit: &str) -> Self {
        Self {
            part,
            what: what.to_owned(),
            measured,
            unit: unit.to_owned(),
            target: None,
            note: String::new(),
        }
    }

    /// The same with a target.
    pub(crate) fn target(self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// The same with circumstances.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }

    /// Whether the target was met; a figure without one is.
    pub(crate) fn is_met(&self) -> bool {
        match self.target {
            None => true,
            Some(Target::AtLeast(least)) => self.measured >= least,
            Some(Target::AtMost(most)) => self.measured <= most,
        }
    }
}

/// The middle of the values, or the mean of the two in the middle.
///
/// # Panics
///
/// If there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// Smallest and largest of the values, as a note.
pub(crate) fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} runs, {} to {}", values.len(), show(least), show(most))
}

/// What the columns are.
const HEAD: [&str; 6] = ["part", "what", "target", "measured", "", "note"];

/// The figures as a table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(figures.iter().map(cells));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let line = row
            .iter()
            .zip(&widths)
            .fold(String::new(), |mut line, (cell, width)| {
                write!(line, "{cell:width$}  ").expect("a String takes everything");
                line
            });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The figures as a table in Markdown.
pub(crate) fn markdown(figures: &[Figure]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for figure in figures {
        let cells = cells(figure).map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | ")).expect("a String takes everything");
    }
    text
}

/// One row.
fn cells(figure: &Figure) -> [String; 6] {
    let target = match figure.target {
        None => String::new(),
        Some(Target::AtLeast(least)) => format!("≥ {}", show(least)),
        Some(Target::AtMost(most)) => format!("≤ {}", show(most)),
    };
    let verdict = match figure.target {
        None => "",
        Some(_) if figure.is_met() => "ok",
        Some(_) => "MISSED",
    };
    [
        figure.part.to_owned(),
        figure.what.clone(),
        target,
        format!("{} {}", show(figure.measured), figure.unit)
            .trim_end()
            .to_owned(),
        verdict.to_owned(),
        figure.note.clone(),
    ]
}

/// A number with about three digits that matter.
fn show(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 10.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn targets_include_their_bound() {
        let figure = Figure::new("idle", "memory", 60.0, "MB");
        assert!(figure.is_met());
        assert!(figure.clone().target(Target::AtMost(60.0)).is_met());
        assert!(!figure.clone().target(Target::AtMost(59.9)).is_met());
        assert!(figure.clone().target(Target::AtLeast(60.0)).is_met());
        assert!(!figure.target(Target::AtLeast(60.1)).is_met());
    }

    #[test]
    fn the_table_says_what_was_missed() {
        let figures = [
            Figure::new("transfer", "four sources", 71.25, "MB/s").target(Target::AtLeast(76.0)),
            Figure::new("idle", "memory", 40.0, "MB")
                .target(Target::AtMost(60.0))
                .note("one run"),
        ];
        let expected = "\
part      what          target  measured           note
transfer  four sources  ≥ 76.0  71.2 MB/s  MISSED
idle      memory        ≤ 60.0  40.0 MB    ok      one run
";
        assert_eq!(table(&figures), expected);
        let expected = "\
| part | what | target | measured |  | note |
|---|---|---|---|---|---|
| transfer | four sources | ≥ 76.0 | 71.2 MB/s | MISSED |  |
| idle | memory | ≤ 60.0 | 40.0 MB | ok | one run |
";
        assert_eq!(markdown(&figures), expected);
    }
}
