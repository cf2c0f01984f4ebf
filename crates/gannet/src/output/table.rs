//! Tables that fit the terminal. Every cell is escaped: most of them hold texts
//! from strangers.

use std::fmt::Write as _;

use anstyle::Style;
use gannet_base::Escaped;
use unicode_width::UnicodeWidthChar as _;

use crate::output::HEAD;

/// Columns between two cells.
const GAP: usize = 2;
/// Narrowest that a column is cut to, terminal columns.
// Guess: seven letters and an ellipsis still tell most names apart.
const NARROWEST: usize = 8;

/// How a column is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Left; never cut.
    Left,
    /// Right, as numbers are; never cut.
    Right,
    /// Left; cut in the middle when the terminal is narrow, so that a name
    /// keeps its ending.
    Cut,
}

/// One cell: a text and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with this text, escaped.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: Escaped(text.as_ref()).to_string(),
            style: Style::new(),
        }
    }

    /// The same in another style.
    #[must_use]
    pub(crate) fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A table; empty columns are left out.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Layout)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&'static str, Layout)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// If it has not one cell per column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        assert_eq!(N, self.columns.len(), "one cell per column");
        self.rows.push(cells.into());
    }

    /// The table in at most `width` terminal columns (as far as the columns
    /// that may be cut allow), without a line end after the last row. `None`:
    /// as wide as it gets.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::new(title).style(HEAD))
            .collect();
        for (n, row) in std::iter::once(&titles).chain(&self.rows).enumerate() {
            if n > 0 {
                text.push('\n');
            }
            self.render_row(row, &widths, &mut text);
        }
        text
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], text: &mut String) {
        // Spaces are written late, so that no line ends with them.
        let mut owed = 0;
        for ((cell, width), (_, layout)) in row.iter().zip(widths).zip(&self.columns) {
            if *width == 0 {
                continue;
            }
            let shown = cut_middle(&cell.text, *width);
            let pad = width.saturating_sub(width_of(&shown));
            let (before, after) = match layout {
                Layout::Right => (pad, 0),
                Layout::Left | Layout::Cut => (0, pad),
            };
            owed += before;
            if !shown.is_empty() {
                let style = cell.style;
                write!(text, "{:owed$}{style}{shown}{style:#}", "").expect("a String takes all");
                owed = 0;
            }
            owed += after + GAP;
        }
    }

    /// The columns' widths; 0 for one without content.
    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let content = self
                    .rows
                    .iter()
                    .map(|row| width_of(&row[column].text))
                    .max();
                match content.unwrap_or(0) {
                    0 => 0,
                    content => content.max(width_of(self.columns[column].0)),
                }
            })
            .collect();
        let Some(most) = width else {
            return widths;
        };
        // Takes from the widest column that may be cut, one at a time: tables
        // are a few hundred columns wide at most.
        loop {
            let shown = widths.iter().filter(|width| **width > 0).count();
            let total = widths.iter().sum::<usize>() + shown.saturating_sub(1) * GAP;
            let widest = (0..widths.len())
                .filter(|n| self.columns[*n].1 == Layout::Cut && widths[*n] > NARROWEST)
                .max_by_key(|n| widths[*n]);
            match widest {
                Some(widest) if total > most => {
                    let next = (0..widths.len())
                        .filter(|n| *n != widest && self.columns[*n].1 == Layout::Cut)
                        .map(|n| widths[n])
                        .max()
                        .unwrap_or(0)
                        .max(NARROWEST);
                    let excess = total - most;
                    let step = (widths[widest].saturating_sub(next)).clamp(1, excess);
                    widths[widest] -= step;
                }
                _ => return widths,
            }
        }
    }
}

/// Terminal columns that a text takes.
fn width_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text in at most `width` terminal columns: beginning, `…`, end. The
/// beginning gets two thirds.
pub(crate) fn cut_middle(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(1) else {
        return String::new();
    };
    let tail_room = room / 3;
    let mut head = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > room - tail_room {
            break;
        }
        used += wide;
        head.push(c);
    }
    let mut tail = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let wide = c.width().unwrap_or(0);
        if used + wide > tail_room {
            break;
        }
        used += wide;
        tail.push(c);
    }
    head.push('…');
    head.extend(tail.into_iter().rev());
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(names: &[&str]) -> Table {
        let mut table = Table::new(&[
            ("#", Layout::Right),
            ("name", Layout::Cut),
            ("none", Layout::Left),
            ("size", Layout::Right),
        ]);
        for (n, name) in names.iter().enumerate() {
            table.row([
                (n + 1).to_string().into(),
                name.into(),
                "".into(),
                "1.0 kB".into(),
            ]);
        }
        table
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let shown = plain(&table(&["a", "漢字.txt"]).render(None));
        assert_eq!(
            shown,
            "#  name        size\n1  a         1.0 kB\n2  漢字.txt  1.0 kB"
        );
        assert_eq!(plain(&table(&[]).render(Some(80))), "");
    }

    #[test]
    fn hostile_names_stay_text() {
        let long = "x".repeat(300);
        let shown = table(&["\u{1b}[2J\u{1b}]0;owned\u{7}", "a\u{202e}gpj.exe", &long]);
        let shown = plain(&shown.render(Some(60)));
        assert!(shown.contains("\\u{1b}[2J\\u{1b}]0;owned\\u{7}"), "{shown}");
        assert!(shown.contains("a\\u{202e}gpj.exe"), "{shown}");
        for line in shown.lines() {
            assert!(width_of(line) <= 60, "{line}");
            assert!(line.chars().all(|c| !c.is_control()), "{line}");
        }
    }

    #[test]
    fn names_keep_their_ending_when_cut() {
        assert_eq!(cut_middle("harry potter.flac", 12), "harry po…lac");
        assert_eq!(cut_middle("short", 5), "short");
        assert_eq!(cut_middle("anything", 1), "…");
        assert_eq!(cut_middle("anything", 0), "");
    }

    proptest! {
        #[test]
        fn never_wider_than_asked(
            names in prop::collection::vec("\\PC{0,80}|[a-z\u{1b}\u{202e}漢]{0,300}", 0..6),
            width in 30_usize..200,
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let shown = plain(&table(&names).render(Some(width)));
            for line in shown.lines() {
                prop_assert!(width_of(line) <= width, "{line}");
                prop_assert!(!line.ends_with(' ') || line.trim().is_empty() || names.iter().any(|n| n.ends_with(' ')));
            }
        }

        #[test]
        fn cutting_fits(text in "\\PC{0,60}", width in 0_usize..40) {
            prop_assert!(width_of(&cut_middle(&text, width)) <= width);
        }
    }
}
