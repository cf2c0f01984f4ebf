//! A folder of many small files, fetched as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::contest::{Contender, Contest};
use super::results::Contested;
use super::server::Server;
use super::{Bench, ours, sendme, ssh, syncthing};
use crate::bench::peer::Lab;
use crate::bench::report::Figure;

const FILES: u64 = 10_000;
const FILE_BYTES: usize = 10_000;
const FILES_PER_FOLDER: u64 = 100;

/// Everything about small files.
pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for place in &bench.options.places {
        let folder = bench.folder(*place)?;
        let source = write_files(folder.path())?;
        let lab = bench.lab(folder.path());
        let mut contenders = Vec::new();
        match collection(&lab, &source) {
            Ok(ours) => contenders.push(ours),
            Err(error) => {
                let reason = format!("this gannet has no collections: {error:#}");
                bench.tools.note_missing("gannet at small files", reason);
            }
        }
        contenders.extend(sendme::contender(bench, folder.path(), &source));
        contenders.extend(ssh::rsync(bench, folder.path(), &source));
        contenders.extend(syncthing::contender(bench, folder.path(), &source));
        let contest = Contest {
            source: &source,
            place: folder.path(),
            runs: bench.options.runs,
            interrupt: bench.interrupt,
        };
        let case = format!("{FILES} files of 10 KB, {}", place.name());
        let outcomes = contest.run(&contenders)?;
        bench.note_failures(&case, &contenders, &outcomes);
        let contested = Contested {
            part: "small",
            case,
            names: contenders.iter().map(|contender| contender.name).collect(),
            outcomes: &outcomes,
            bytes: FILES * u64::try_from(FILE_BYTES)?,
            promises: &[("sendme", 10.0), ("rsync over ssh", 2.0)],
        };
        let is_ours = contenders.first().is_some_and(|first| first.name == OURS);
        figures.extend(contested.figures().into_iter().filter(|figure| {
            // Without ours, the others beside each other are not the question.
            is_ours || !figure.what.contains('÷')
        }));
    }
    Ok(figures)
}

const OURS: &str = "gannet";

/// A peer that shares the folder, and the link to it.
fn collection<'a>(lab: &'a Lab<'a>, source: &'a Path) -> anyhow::Result<Contender<'a>> {
    let (peer, link) = ours::shared_folder(lab, OURS, source, FILES)?;
    Ok(Contender {
        name: OURS,
        servers: vec![Server::Peer(peer)],
        client: ours::get(lab, link),
        result: source.file_name().expect("it was named").into(),
    })
}

/// No two alike.
fn write_files(folder: &Path) -> anyhow::Result<PathBuf> {
    let source = folder.join("many-files");
    for n in 0..FILES {
        let inner = source.join(format!("folder {}", n / FILES_PER_FOLDER));
        if n % FILES_PER_FOLDER == 0 {
            fs::create_dir_all(&inner)?;
        }
        let mut bytes = format!("what is in file {n}\n").repeat(FILE_BYTES / 16 + 1);
        bytes.truncate(FILE_BYTES);
        fs::write(inner.join(format!("file {n}.txt")), bytes)?;
    }
    Ok(source)
}
