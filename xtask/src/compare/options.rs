//! What the caller wants.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// Fewest runs of which a median says something.
const RUNS: usize = 5;
/// The file that is fetched, MiB, unless sizes are named.
const SIZES: [u64; 2] = [64, 2_048];
/// Files of the work `start`, unless a number is named.
const FILES: u64 = 1_000_000;

/// Where files lie while they are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In memory.
    Memory,
    /// On a disk.
    Disk,
}

impl Place {
    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// How the table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Columns for a terminal.
    Plain,
    /// A document for the web and for notes.
    Markdown,
    /// One JSON document.
    Json,
}

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Works to run; all if empty.
    pub(crate) works: Vec<String>,
    /// How often each program runs.
    pub(crate) runs: usize,
    /// Sizes of the file that is fetched, MiB.
    pub(crate) sizes: Vec<u64>,
    /// Where it lies.
    pub(crate) places: Vec<Place>,
    /// Files of the work `start`.
    pub(crate) files: u64,
    /// A folder on a disk to work in.
    pub(crate) work_dir: Option<PathBuf>,
    /// How the table is printed.
    pub(crate) form: Form,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(arguments: &[&str], works: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            works: Vec::new(),
            runs: RUNS,
            sizes: Vec::new(),
            places: Vec::new(),
            files: FILES,
            work_dir: None,
            form: Form::Plain,
        };
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            let mut value = || {
                rest.next()
                    .with_context(|| format!("{argument} needs a value"))
            };
            match argument {
                "--runs" => options.runs = number(value()?)?,
                "--size" => options.sizes.push(mebibytes(value()?)?),
                "--files" => options.files = number(value()?)?,
                "--place" => options.places.push(place(value()?)?),
                "--work-dir" => options.work_dir = Some(value()?.into()),
                "--json" => options.form = Form::Json,
                "--markdown" => options.form = Form::Markdown,
                work if works.contains(&work) => options.works.push(work.to_owned()),
                other => bail!(
                    "compare does not know {other}: works are {}; flags are --runs N, --size SIZE, \
                     --place memory|disk, --files N, --work-dir DIR, --json, --markdown",
                    works.join(", ")
                ),
            }
        }
        if options.sizes.is_empty() {
            options.sizes = SIZES.to_vec();
        }
        if options.places.is_empty() {
            options.places = vec![Place::Memory, Place::Disk];
        }
        if options.runs == 0 || options.files == 0 {
            bail!("there must be one run and one file at least");
        }
        Ok(options)
    }

    /// Whether a work shall run.
    pub(crate) fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|wanted| wanted == work)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> anyhow::Result<T> {
    let parsed = text.parse().ok();
    parsed.with_context(|| format!("{text} is no number that fits"))
}

fn place(text: &str) -> anyhow::Result<Place> {
    match text {
        "memory" => Ok(Place::Memory),
        "disk" => Ok(Place::Disk),
        _ => bail!("a place is memory or disk, not {text}"),
    }
}

/// `64M` and `2G` as MiB.
fn mebibytes(text: &str) -> anyhow::Result<u64> {
    let (digits, times) = match text.strip_suffix('G') {
        Some(digits) => (digits, 1_024),
        None => (text.strip_suffix('M').unwrap_or(text), 1),
    };
    let size = number::<u64>(digits)?.checked_mul(times);
    size.filter(|size| *size > 0)
        .with_context(|| format!("{text} is no size such as 64M or 2G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: &[&str] = &["one", "four"];

    #[test]
    fn without_arguments_everything_is_measured() {
        let options = Options::parse(&[], WORKS).unwrap();
        assert!(options.wants("one") && options.wants("four"));
        assert_eq!((options.runs, options.files), (RUNS, FILES));
        assert_eq!(options.sizes, SIZES);
        assert_eq!(options.places, [Place::Memory, Place::Disk]);
    }

    #[test]
    fn arguments_are_taken() {
        let line = "four --runs 7 --size 64M --size 2G --place disk --json --work-dir /x";
        let words: Vec<&str> = line.split(' ').collect();
        let options = Options::parse(&words, WORKS).unwrap();
        assert!(options.wants("four") && !options.wants("one"));
        assert_eq!(
            (options.runs, options.sizes.as_slice()),
            (7, &[64, 2_048][..])
        );
        assert_eq!(options.places, [Place::Disk]);
        assert_eq!(options.form, Form::Json);
        assert_eq!(options.work_dir, Some(PathBuf::from("/x")));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "five",
            "--runs",
            "--runs x",
            "--runs 0",
            "--size 0M",
            "--place moon",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(Options::parse(&words, WORKS).is_err(), "{line}");
        }
    }
}
