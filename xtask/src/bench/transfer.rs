//! Transfers between real processes over loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::peer::{Lab, Peer};
use super::report::{Figure, Target, median, spread};
use super::scratch::{self, Interrupt};
use super::tool::{self, Programs};

const PART: &str = "transfer";
/// The file, MiB.
const FILE_MEBIBYTES: u64 = 1024;
const FILE_BYTES: u64 = FILE_MEBIBYTES << 20;
/// Runs beside the bare stream.
const PAIRS: usize = 5;
/// Runs with limited sources, each some 15 seconds.
const RUNS: usize = 3;
/// What each limited source sends, bytes a second, and as its flag says it.
const LIMIT: f64 = 20e6;
const LIMIT_FLAG: &str = "20M";
/// One percent of it.
const CRAWL_FLAG: &str = "200K";

/// Everything about transfers.
pub(crate) fn run(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    let programs = tool::programs(root, interrupt)?;
    let folder = scratch::folder()?;
    let files = Files::make(folder.path())?;
    let lab = lab(&programs, folder.path(), interrupt);
    let bench = Bench::start(&lab, &files)?;
    let mut figures = bench.one_source(&programs.stream, PAIRS)?;
    // Three sources stay for everything that follows: each start reads the file.
    let steady = (0..3)
        .map(|n| bench.source(&format!("steady-{n}"), Some(LIMIT_FLAG)))
        .collect::<anyhow::Result<Vec<Peer>>>()?;
    figures.push(bench.four_sources(&steady[0])?);
    figures.push(bench.one_dies(&steady[0])?);
    figures.push(bench.one_crawls(&steady[0])?);
    Ok(figures)
}

/// One unlimited source by either road, and streams without a program around
/// them.
pub(crate) fn roads(
    programs: &Programs,
    runs: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Figure>> {
    let folder = scratch::folder()?;
    let files = Files::make(folder.path())?;
    let lab = lab(programs, folder.path(), interrupt);
    Bench::start(&lab, &files)?.one_source(&programs.stream, runs)
}

fn lab<'a>(programs: &Programs, folder: &'a Path, interrupt: &'a Interrupt) -> Lab<'a> {
    Lab {
        program: programs.gannet.clone(),
        folder,
        interrupt,
    }
}

/// What is shared.
struct Files {
    shared: PathBuf,
    file: PathBuf,
}

impl Files {
    fn make(folder: &Path) -> anyhow::Result<Self> {
        let shared = folder.join("shared");
        std::fs::create_dir(&shared)?;
        let file = scratch::write_file(shared.join("one gibibyte.bin"), FILE_MEBIBYTES)?;
        Ok(Self { shared, file })
    }
}

struct Bench<'a> {
    lab: &'a Lab<'a>,
    hub: Peer,
    shared: &'a Path,
    file: &'a Path,
}

impl<'a> Bench<'a> {
    fn start(lab: &'a Lab<'a>, files: &'a Files) -> anyhow::Result<Self> {
        Ok(Self {
            hub: lab.start("hub", "hub", &[])?,
            lab,
            shared: &files.shared,
            file: &files.file,
        })
    }
}

impl Bench<'_> {
    fn source(&self, name: &str, limit: Option<&str>) -> anyhow::Result<Peer> {
        let limit: &[&str] = match &limit {
            Some(limit) => &["--limit-up", limit],
            None => &[],
        };
        self.source_with(name, limit)
    }

    fn source_with(&self, name: &str, flags: &[&str]) -> anyhow::Result<Peer> {
        let mut arguments = vec![text(self.shared)?, "--hub", &self.hub.address];
        arguments.extend(flags);
        let peer = self.lab.start(name, "up", &arguments)?;
        self.lab.registered(&peer, 1, 1)?;
        Ok(peer)
    }

    /// A downloader that has nothing yet.
    fn downloader(&self, name: &str) -> anyhow::Result<Peer> {
        let peer = self.lab.start(name, "up", &["--hub", &self.hub.address])?;
        self.lab.registered(&peer, 0, 1)?;
        Ok(peer)
    }

    /// One fetch by a fresh downloader, seconds.
    fn fetch(
        &self,
        name: &str,
        source: &Peer,
        watch: impl FnMut(Duration, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let link = source.link(self.file)?;
        let downloader = self.downloader(name)?;
        self.touch_memory()?;
        let time = self.lab.fetch(&downloader, &link, FILE_BYTES, watch);
        drop(downloader);
        std::fs::remove_dir_all(self.lab.folder.join(name))?;
        Ok(time?.as_secs_f64())
    }

    /// In a virtual machine the first use of a page is work of the host, several
    /// times as much as using it: the file to come shall get pages that were in
    /// use a moment ago, as on a machine of one's own.
    fn touch_memory(&self) -> anyhow::Result<()> {
        let path = self.lab.folder.join("touched");
        std::fs::remove_file(scratch::write_file(path, FILE_MEBIBYTES)?)?;
        Ok(())
    }

    /// One unlimited source by either road, beside bare streams: QUIC as the
    /// library gives it, and TCP as the system does, without encryption.
    fn one_source(&self, stream: &Path, runs: usize) -> anyhow::Result<Vec<Figure>> {
        let source = self.source("alone", None)?;
        // Who serves by QUIC only is fetched from by QUIC only.
        let settings = self.lab.folder.join("quic.toml");
        std::fs::write(&settings, "bulk_road = \"quic\"\n")?;
        // A hub of its own: each download shall find one source and no more.
        let apart = Bench {
            hub: self.lab.start("hub of QUIC", "hub", &[])?,
            ..*self
        };
        let sure = apart.source_with("alone by QUIC", &["--config", text(&settings)?])?;
        let mut rates: [Vec<f64>; 4] = Default::default();
        for n in 0..runs {
            let ours = megabytes(FILE_BYTES) / self.fetch(&format!("one-{n}"), &source, ignore)?;
            let quic = megabytes(FILE_BYTES) / apart.fetch(&format!("quic-{n}"), &sure, ignore)?;
            let [bare, plain] = self.bare_streams(stream)?;
            eprintln!(
                "  one source {ours:.0} MB/s, by QUIC {quic:.0}, bare QUIC {bare:.0}, TCP {plain:.0}"
            );
            for (rates, rate) in rates.iter_mut().zip([ours, quic, bare, plain]) {
                rates.push(rate);
            }
        }
        let [ours, quic, bare, plain] = &rates;
        let ratio = |what: &str, of: &[f64], to: &[f64]| {
            let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
            Figure::new(PART, what, median(&ratios), "").note(spread(&ratios))
        };
        let rate = |what: &str, rates: &[f64]| {
            Figure::new(PART, what, median(rates), "MB/s").note(spread(rates))
        };
        Ok(vec![
            rate("one source", ours),
            rate("one source by QUIC", quic),
            rate("bare QUIC stream", bare),
            rate("plain TCP", plain),
            ratio("one source ÷ bare QUIC stream", ours, bare).target(Target::AtLeast(1.5)),
            ratio("one source by QUIC ÷ bare QUIC stream", quic, bare).target(Target::AtLeast(0.9)),
            ratio("one source ÷ plain TCP", ours, plain),
        ])
    }

    /// Rates of a bare QUIC stream and of plain TCP.
    fn bare_streams(&self, program: &Path) -> anyhow::Result<[f64; 2]> {
        let mut command = Command::new(program);
        let size = FILE_MEBIBYTES.to_string();
        let arguments = [&size, "1", "bare", "plain"];
        let text = tool::output(command.args(arguments), self.lab.interrupt)?;
        Ok([stream_rate(&text, "bare")?, stream_rate(&text, "plain")?])
    }

    /// Four limited sources: the three that stay, and one more.
    fn four_sources(&self, steady: &Peer) -> anyhow::Result<Figure> {
        let fourth = self.source("fourth", Some(LIMIT_FLAG))?;
        let mut rates = Vec::new();
        for n in 0..RUNS {
            let time = self.fetch(&format!("four-{n}"), steady, ignore)?;
            rates.push(megabytes(FILE_BYTES) / time);
            eprintln!("  four sources {:.1} MB/s", rates[n]);
        }
        drop(fourth);
        Ok(
            Figure::new(PART, "four sources of 20 MB/s", median(&rates), "MB/s")
                .target(Target::AtLeast(76.0))
                .note(spread(&rates)),
        )
    }

    /// Four limited sources, one killed half way; beside four until then and
    /// three from then on.
    fn one_dies(&self, steady: &Peer) -> anyhow::Result<Figure> {
        let mut ratios = Vec::new();
        for n in 0..RUNS {
            let mut victim = Some(self.source(&format!("dying-{n}"), Some(LIMIT_FLAG))?);
            let mut at_kill = 0;
            let time = self.fetch(&format!("dies-{n}"), steady, |_, have| {
                if have >= FILE_BYTES / 2
                    && let Some(mut victim) = victim.take()
                {
                    victim.kill();
                    at_kill = have;
                }
                Ok(())
            })?;
            ratios.push(time / ideal_with_a_death(at_kill));
            eprintln!("  one dies: {:.3} of the ideal time", ratios[n]);
        }
        Ok(Figure::new(
            PART,
            "one of four dies half way: time ÷ ideal",
            median(&ratios),
            "",
        )
        .target(Target::AtMost(1.10))
        .note(spread(&ratios)))
    }

    /// Three limited sources and one at a hundredth, beside the three alone.
    fn one_crawls(&self, steady: &Peer) -> anyhow::Result<Figure> {
        let mut ratios = Vec::new();
        for n in 0..RUNS {
            let without = self.fetch(&format!("three-{n}"), steady, ignore)?;
            let crawler = self.source(&format!("crawler-{n}"), Some(CRAWL_FLAG))?;
            let with = self.fetch(&format!("crawl-{n}"), steady, ignore)?;
            drop(crawler);
            ratios.push(with / without);
            eprintln!("  one crawls: {:.3} of the time without it", ratios[n]);
        }
        Ok(Figure::new(
            PART,
            "one of four at 1 %: time ÷ without it",
            median(&ratios),
            "",
        )
        .target(Target::AtMost(1.05))
        .note(spread(&ratios)))
    }
}

fn ignore(_: Duration, _: u64) -> anyhow::Result<()> {
    Ok(())
}

/// Bytes as 10^6 bytes.
#[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Seconds that four sources at the limit need up to `at_kill` and three from
/// there.
fn ideal_with_a_death(at_kill: u64) -> f64 {
    let left = FILE_BYTES.saturating_sub(at_kill);
    (megabytes(at_kill) / 4.0 + megabytes(left) / 3.0) / (LIMIT / 1e6)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a folder is no UTF-8")
}

/// MB/s in what the stream's benchmark prints: a line `bare 250 MB/s`.
fn stream_rate(text: &str, case: &str) -> anyhow::Result<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(case)?.strip_suffix(" MB/s"))
        .and_then(|rate| rate.trim().parse().ok())
        .with_context(|| format!("no rate of {case} in {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_of_the_bare_streams_are_found() {
        let text = "512 MiB, 1 rounds, medians\nbare 254 MB/s\nplain 1800 MB/s\n";
        assert!((stream_rate(text, "bare").unwrap() - 254.0).abs() < 1e-9);
        assert!((stream_rate(text, "plain").unwrap() - 1800.0).abs() < 1e-9);
        assert!(stream_rate("nothing", "bare").is_err());
    }

    #[test]
    fn the_ideal_is_four_then_three() {
        let whole = megabytes(FILE_BYTES);
        assert!((ideal_with_a_death(FILE_BYTES) - whole / 80.0).abs() < 1e-9);
        assert!((ideal_with_a_death(0) - whole / 60.0).abs() < 1e-9);
        let half = ideal_with_a_death(FILE_BYTES / 2);
        assert!((half - (whole / 160.0 + whole / 120.0)).abs() < 1e-9);
    }
}
