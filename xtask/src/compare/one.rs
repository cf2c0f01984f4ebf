//! One file from one source, and from four, to a file.

use std::path::Path;

use super::Bench;
use super::contest::{Contender, Contest};
use super::options::Place;
use super::results::Contested;
use super::{ours, sendme, syncthing, torrent, transmission, web};
use crate::bench::peer::Lab;
use crate::bench::report::Figure;
use crate::bench::scratch;

/// Processor seconds a GiB, both ends together, that we promise to keep below.
const PROCESSOR: f64 = 2.0;

/// One source.
pub(crate) fn one(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    each_case(bench, |case| {
        let mut contenders = vec![case.ours("gannet", 1)?];
        contenders.extend(web::contenders(bench, case.folder, case.source)?);
        let (folder, source) = (case.folder, case.source);
        contenders.extend(torrent::libtorrent(bench, folder, source, "libtorrent", 1));
        contenders.extend(torrent::rqbit(bench, folder, source));
        contenders.extend(sendme::contender(bench, folder, source));
        let mebibytes = case.mebibytes;
        contenders.extend(transmission::contender(bench, folder, source, mebibytes));
        contenders.extend(syncthing::contender(bench, folder, source));
        let promises = [
            ("curl http", 1.0),
            ("curl https", 1.6),
            ("libtorrent", 2.5),
            ("rqbit", 4.0),
            ("sendme", 9.0),
        ];
        case.run("one", &contenders, &promises, true)
    })
}

/// Four sources on this machine.
pub(crate) fn four(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    each_case(bench, |case| {
        let mut contenders = vec![case.ours("gannet, 4 sources", 4)?];
        contenders.push(case.ours("gannet, 1 source", 1)?);
        let name = "libtorrent, 4 seeds";
        contenders.extend(torrent::libtorrent(
            bench,
            case.folder,
            case.source,
            name,
            4,
        ));
        let promises = [("gannet, 1 source", 1.0), (name, 2.5)];
        case.run("four", &contenders, &promises, false)
    })
}

/// One size at one place.
struct Case<'a> {
    bench: &'a Bench<'a>,
    lab: &'a Lab<'a>,
    folder: &'a Path,
    source: &'a Path,
    mebibytes: u64,
    place: Place,
}

/// The contest for each place and size.
fn each_case(
    bench: &Bench<'_>,
    contest: impl Fn(&Case<'_>) -> anyhow::Result<Vec<Figure>>,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for place in &bench.options.places {
        for mebibytes in &bench.options.sizes {
            eprintln!("  {mebibytes} MiB, {}", place.name());
            let folder = bench.folder(*place)?;
            let source = bench.source(folder.path(), *mebibytes)?;
            let lab = bench.lab(folder.path());
            figures.extend(contest(&Case {
                bench,
                lab: &lab,
                folder: folder.path(),
                source: &source,
                mebibytes: *mebibytes,
                place: *place,
            })?);
        }
    }
    Ok(figures)
}

impl Case<'_> {
    fn ours(&self, name: &'static str, peers: usize) -> anyhow::Result<Contender<'_>> {
        let shared = self.source.parent().expect("it lies in a folder of ours");
        ours::contender(self.lab, name, shared, self.source, peers)
    }

    fn run(
        &self,
        part: &'static str,
        contenders: &[Contender<'_>],
        promises: &[(&'static str, f64)],
        is_load_promised: bool,
    ) -> anyhow::Result<Vec<Figure>> {
        // In a virtual machine the first use of a page is work of the host: the
        // files to come get pages that were in use a moment ago.
        let touched = self.folder.join("touched");
        std::fs::remove_file(scratch::write_file(touched, self.mebibytes)?)?;
        let contest = Contest {
            source: self.source,
            place: self.folder,
            runs: self.bench.options.runs,
            interrupt: self.bench.interrupt,
        };
        let case = format!("{} MiB, {}", self.mebibytes, self.place.name());
        let outcomes = contest.run(contenders)?;
        self.bench.note_failures(&case, contenders, &outcomes);
        let contested = Contested {
            part,
            case,
            names: contenders.iter().map(|contender| contender.name).collect(),
            outcomes: &outcomes,
            bytes: self.mebibytes << 20,
            promises,
        };
        let mut figures = contested.figures();
        if is_load_promised {
            figures.extend(contested.processor(PROCESSOR, "curl https"));
        }
        Ok(figures)
    }
}
