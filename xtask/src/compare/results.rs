//! The figures of a run, with where and with what they were measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::contest::{Outcome, Sample};
use super::machine::Machine;
use super::options::Form;
use crate::bench::report::{self, Figure, Target, median, spread};

/// Everything that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    /// The machine.
    pub(crate) machine: Machine,
    /// Runs of each program at each work.
    pub(crate) runs: usize,
    /// Programs and what they call themselves.
    pub(crate) versions: BTreeMap<String, String>,
    /// Programs and works that are not in the figures, and why.
    pub(crate) missing: BTreeMap<String, String>,
    /// Where installed programs stay.
    pub(crate) tools: PathBuf,
    /// How long everything took.
    pub(crate) minutes: f64,
    /// The figures.
    pub(crate) figures: Vec<Figure>,
}

impl Results {
    /// Prints everything.
    pub(crate) fn print(&self, form: Form) -> anyhow::Result<()> {
        match form {
            Form::Plain => print!("{}{}", report::table(&self.figures), self.circumstances("")),
            Form::Markdown => print!(
                "{}\n{}",
                report::markdown(&self.figures),
                self.circumstances("* ")
            ),
            Form::Json => println!("{}", serde_json::to_string_pretty(self)?),
        }
        Ok(())
    }

    fn circumstances(&self, bullet: &str) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            writeln!(text, "{bullet}{words}").expect("a String takes everything");
        };
        line(format_args!("machine: {}", self.machine.line()));
        for (name, version) in &self.versions {
            line(format_args!("with {name}: {version}"));
        }
        for (name, reason) in &self.missing {
            line(format_args!("without {name}: {reason}"));
        }
        line(format_args!(
            "took {:.0} minutes; installed programs stay in {}",
            self.minutes,
            self.tools.display()
        ));
        text
    }
}

/// What is to be learned from a contest.
#[derive(Debug)]
pub(crate) struct Contested<'a> {
    /// The work.
    pub(crate) part: &'static str,
    /// What was fetched, such as `64 MiB, memory`.
    pub(crate) case: String,
    /// Names of who took part; the first is ours.
    pub(crate) names: Vec<&'static str>,
    /// What came of them.
    pub(crate) outcomes: &'a [Outcome],
    /// How much was fetched.
    pub(crate) bytes: u64,
    /// How many times as fast as whom we promise to be.
    pub(crate) promises: &'a [(&'static str, f64)],
}

impl Contested<'_> {
    /// Rates of all, processor time of all, and our rate over the others', taken
    /// within each round.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (name, samples) in self.finished() {
            let rates: Vec<f64> = samples.iter().map(|run| self.rate(run)).collect();
            let loads: Vec<f64> = samples.iter().map(|run| self.load(run)).collect();
            let note = format!(
                "{}; {:.2} s, {:.2} processor seconds a GiB",
                spread(&rates),
                median(&samples.iter().map(|run| run.seconds).collect::<Vec<f64>>()),
                median(&loads)
            );
            figures.push(self.figure(name, median(&rates), "MB/s").note(note));
        }
        if let Some(Ok(ours)) = self.outcomes.first() {
            figures.extend(self.ratios(ours));
        }
        figures
    }

    /// Our processor time, beside a bound of its own and beside another's.
    pub(crate) fn processor(&self, most: f64, than: &str) -> Vec<Figure> {
        let Some(Ok(ours)) = self.outcomes.first() else {
            return Vec::new();
        };
        let loads: Vec<f64> = ours.iter().map(|run| self.load(run)).collect();
        let what = format!("{}, processor a GiB", self.names[0]);
        let mut figures = vec![
            self.figure(&what, median(&loads), "s")
                .target(Target::AtMost(most))
                .note(spread(&loads)),
        ];
        for (name, theirs) in self.finished().filter(|(name, _)| *name == than) {
            let ratios = paired(ours, theirs, |ours, theirs| {
                ours.processor / theirs.processor.max(1e-3)
            });
            figures.push(
                self.figure(&format!("{what} ÷ {name}"), median(&ratios), "")
                    .target(Target::AtMost(1.0))
                    .note(spread(&ratios)),
            );
        }
        figures
    }

    fn ratios(&self, ours: &[Sample]) -> Vec<Figure> {
        let others = self.finished().filter(|(name, _)| *name != self.names[0]);
        let ratios = others.map(|(name, theirs)| {
            let ratios = paired(ours, theirs, |ours, theirs| theirs.seconds / ours.seconds);
            let what = format!("{} ÷ {name}", self.names[0]);
            let figure = self
                .figure(&what, median(&ratios), "")
                .note(spread(&ratios));
            match self.promises.iter().find(|(promised, _)| *promised == name) {
                Some((_, least)) => figure.target(Target::AtLeast(*least)),
                None => figure,
            }
        });
        ratios.collect()
    }

    fn finished(&self) -> impl Iterator<Item = (&'static str, &[Sample])> {
        let outcomes = self.names.iter().zip(self.outcomes);
        outcomes.filter_map(|(name, outcome)| Some((*name, outcome.as_deref().ok()?)))
    }

    fn figure(&self, what: &str, measured: f64, unit: &str) -> Figure {
        Figure::new(self.part, &format!("{}: {what}", self.case), measured, unit)
    }

    #[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
    fn rate(&self, run: &Sample) -> f64 {
        self.bytes as f64 / 1e6 / run.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
    fn load(&self, run: &Sample) -> f64 {
        run.processor / (self.bytes as f64 / f64::from(1 << 30))
    }
}

/// One number for each round.
fn paired(ours: &[Sample], theirs: &[Sample], of: fn(&Sample, &Sample) -> f64) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(a, b)| of(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(seconds: [f64; 3], processor: f64) -> Outcome {
        let run = |seconds| Sample { seconds, processor };
        Ok(seconds.map(run).to_vec())
    }

    #[test]
    fn rates_and_ratios_within_rounds() {
        let outcomes = [
            runs([1.0, 2.0, 4.0], 1.0),
            runs([2.0, 2.0, 12.0], 4.0),
            Err("it failed".to_owned()),
        ];
        let contested = Contested {
            part: "one",
            case: "1 GiB, disk".to_owned(),
            names: vec!["gannet", "curl", "aria2"],
            outcomes: &outcomes,
            bytes: 1 << 30,
            promises: &[("curl", 2.5)],
        };
        let figures = contested.figures();
        let found: Vec<(&str, f64)> = figures
            .iter()
            .map(|figure| {
                (
                    figure.what.as_str(),
                    (figure.measured * 10.0).round() / 10.0,
                )
            })
            .collect();
        let expected = [
            ("1 GiB, disk: gannet", 536.9),
            ("1 GiB, disk: curl", 536.9),
            ("1 GiB, disk: gannet ÷ curl", 2.0),
        ];
        assert_eq!(found, expected);
        assert!(!figures[2].is_met());
        let processor = contested.processor(2.0, "curl");
        let found: Vec<f64> = processor.iter().map(|figure| figure.measured).collect();
        assert_eq!(found, [1.0, 0.25]);
        assert!(processor.iter().all(Figure::is_met));
    }
}
