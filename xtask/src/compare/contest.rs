//! Programs that do the same work, taking turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::content;
use super::server::{Server, spawned, tail};
use crate::bench::scratch::Interrupt;
use crate::bench::usage;

/// Longest time that one program may take for one run.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes the command that fetches into a folder and ends when all is there.
pub(crate) type Client<'a> = Box<dyn Fn(&Path) -> anyhow::Result<Command> + 'a>;

/// One program at one work.
pub(crate) struct Contender<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// What must run meanwhile; its processor time counts.
    pub(crate) servers: Vec<Server>,
    /// What is measured, from its start to its end.
    pub(crate) client: Client<'a>,
    /// Where in the folder the result is then.
    pub(crate) result: PathBuf,
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// On the wall.
    pub(crate) seconds: f64,
    /// Of the processor, both ends together.
    pub(crate) processor: f64,
}

/// What came of a program: its runs, or why there are none.
pub(crate) type Outcome = Result<Vec<Sample>, String>;

/// Where and how often.
#[derive(Debug)]
pub(crate) struct Contest<'a> {
    /// What is fetched: a file or a folder.
    pub(crate) source: &'a Path,
    /// A folder to fetch into.
    pub(crate) place: &'a Path,
    /// Rounds.
    pub(crate) runs: usize,
    /// Whether to stop.
    pub(crate) interrupt: &'a Interrupt,
}

/// Who is when in a round of `count`: each comes first as often as the others.
pub(crate) fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

impl Contest<'_> {
    /// Each round runs every program once. A program that fails is out.
    pub(crate) fn run(&self, contenders: &[Contender<'_>]) -> anyhow::Result<Vec<Outcome>> {
        let mut outcomes: Vec<Outcome> = contenders.iter().map(|_| Ok(Vec::new())).collect();
        for round in 0..self.runs {
            for place in order(round, contenders.len()) {
                let contender = &contenders[place];
                let Ok(samples) = &mut outcomes[place] else {
                    continue;
                };
                match self.once(contender, round == 0) {
                    Ok(sample) => {
                        eprintln!(
                            "  {} of {}: {:.2} s, {:.2} s of processor, {}",
                            round + 1,
                            self.runs,
                            sample.seconds,
                            sample.processor,
                            contender.name,
                        );
                        samples.push(sample);
                    }
                    Err(error) => {
                        self.interrupt.check()?;
                        eprintln!("  {} failed: {error:#}", contender.name);
                        outcomes[place] = Err(format!("{error:#}"));
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// One fetch; what came is compared with the source byte by byte if
    /// `is_compared`, and by its size else.
    fn once(&self, contender: &Contender<'_>, is_compared: bool) -> anyhow::Result<Sample> {
        let folder = self.place.join("fetched");
        if folder.exists() {
            // Of one that failed.
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let log = self.place.join("client.log");
        let mut command = (contender.client)(&folder)?;
        content::warm(self.place, self.source)?;
        let before = self.processor(contender)?;
        let seconds = timed(&mut command, &log, self.interrupt)?;
        let processor = self.processor(contender)? - before;
        let got = folder.join(&contender.result);
        if is_compared {
            content::same(self.source, &got)?;
        } else {
            content::same_size(self.source, &got)?;
        }
        fs::remove_dir_all(&folder)?;
        Ok(Sample { seconds, processor })
    }

    fn processor(&self, contender: &Contender<'_>) -> anyhow::Result<f64> {
        let servers = contender.servers.iter().map(Server::pid);
        let served: f64 = servers
            .map(usage::family_seconds)
            .sum::<anyhow::Result<f64>>()?;
        Ok(served + usage::ended_children_seconds()?)
    }
}

/// Runs a command to its end and says how many seconds it took.
fn timed(command: &mut Command, log: &Path, interrupt: &Interrupt) -> anyhow::Result<f64> {
    let from = Instant::now();
    let mut child = spawned(command, log)?;
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        interrupt.check()?;
        if from.elapsed() > PATIENCE {
            bail!("not done after {} s{}", PATIENCE.as_secs(), tail(log));
        }
        // A child's end cannot be waited for with a deadline. Small files take some tens
        // of milliseconds.
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = from.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{status}{}", tail(log));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(name: &'static str, script: &'static str) -> Contender<'static> {
        Contender {
            name,
            servers: Vec::new(),
            client: Box::new(move |folder| {
                let mut command = Command::new("sh");
                command.current_dir(folder).args(["-c", script]);
                Ok(command)
            }),
            result: "f".into(),
        }
    }

    #[test]
    fn everybody_comes_first_in_turn() {
        let rounds: Vec<Vec<usize>> = (0..4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn who_fails_leaves_nothing_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::write(&source, "abc").unwrap();
        let contest = Contest {
            source: &source,
            place: folder.path(),
            runs: 1,
            interrupt: &Interrupt::quiet(),
        };
        let outcomes = contest
            .run(&[
                contender("broken", "printf abc > f; exit 3"),
                contender("next", "test ! -e f && printf abc > f"),
            ])
            .unwrap();
        assert!(outcomes[0].is_err());
        assert!(outcomes[1].is_ok(), "{:?}", outcomes[1]);
    }

    #[test]
    fn who_fails_or_cheats_is_out_and_the_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::write(&source, "abc").unwrap();
        let contest = Contest {
            source: &source,
            place: folder.path(),
            runs: 3,
            interrupt: &Interrupt::quiet(),
        };
        let outcomes = contest
            .run(&[
                contender("good", "printf abc > f"),
                contender("wrong", "printf abd > f"),
                contender("short", "printf ab > f"),
                contender("broken", "echo alas; exit 3"),
            ])
            .unwrap();
        assert_eq!(outcomes[0].as_ref().unwrap().len(), 3);
        for (outcome, word) in outcomes[1..].iter().zip(["differ", "bytes", "alas"]) {
            let reason = outcome.as_ref().unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
