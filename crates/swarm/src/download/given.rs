//! What sources gave to others.
//!
//! The fetchers of one whole source do not see what the others of them ask it
//! for before that has come round as a partial source's news. Each would ask
//! for much that a neighbour could give it a moment later, and the source would
//! send the content twice before it has sent it once. So sources tell, and what
//! was given counts as if one more partial source had it.

use gannet_base::{GroupRange, GroupSet, PeerId};

use super::source::Source;
use super::transfer::Download;
use crate::message::HAVE_RUNS_MAX;

impl Download {
    /// A source says what it gave to others since it last said so.
    pub(super) fn on_given(&mut self, peer: PeerId, groups: &GroupSet) {
        let plan = self.proven.as_mut().map(|proven| &mut proven.plan);
        let source = self.sources.get_mut(&peer);
        let Some(source) = source.filter(|source| source.has_stream()) else {
            return;
        };
        let fresh = note(source, groups);
        if has_company(source, &fresh) {
            source.cursor = None;
        }
        if let Some(plan) = plan.filter(|_| source.given_counted) {
            plan.gain(&fresh);
        }
    }
}

/// Whether others are where we are: they were given what we asked for as well,
/// or what we would ask for next. News of each other come too late for both, so
/// that two who both went on would ask for the same to the end.
fn has_company(source: &Source, given: &GroupSet) -> bool {
    let asked = source.requests.iter().map(|request| request.range);
    let next = source.cursor.map(|at| GroupRange::new(at, at + 1));
    asked.chain(next).any(|range| {
        let after = given.runs().partition_point(|run| run.end <= range.start);
        given
            .runs()
            .get(after)
            .is_some_and(|run| run.start < range.end)
    })
}

/// Notes what is new of it, as long as that is not in too many pieces.
fn note(source: &mut Source, groups: &GroupSet) -> GroupSet {
    let mut fresh = GroupSet::new();
    for run in groups.runs() {
        if source.given.pieces() >= HAVE_RUNS_MAX {
            break;
        }
        for gap in source.given.gaps(*run) {
            source.given.insert(gap);
            fresh.insert(gap);
        }
    }
    fresh
}

#[cfg(test)]
mod tests {
    use gannet_base::{GROUP_BYTES, Output};

    use super::super::tests::{Bench, C, peer, range, requests};
    use super::super::{DownloadCommand, DownloadsConfig};
    use super::*;
    use crate::message::{Have, TransferMessage};

    const SIZE: u64 = 1_000 * GROUP_BYTES;

    fn given(groups: GroupSet) -> TransferMessage {
        TransferMessage::Given { content: C, groups }
    }

    /// A source that said what it gave, then had a slot for us: what is asked.
    fn asked_after(groups: GroupSet) -> Vec<GroupRange> {
        let mut bench = Bench::new(DownloadsConfig::default());
        bench.start(C, Some(SIZE));
        bench.link(1, gannet_base::Link::Up);
        bench.command(DownloadCommand::AddSource {
            content: C,
            peer: peer(1),
        });
        bench.message(1, given(groups));
        let outputs = bench.message(
            1,
            TransferMessage::Ready {
                content: C,
                size: SIZE,
                have: Have::Whole,
            },
        );
        let request = |output| match output {
            Output::Send {
                message: TransferMessage::Request { slice, .. },
                ..
            } => Some(slice),
            _ => None,
        };
        outputs.into_iter().filter_map(request).collect()
    }

    #[test]
    fn what_others_were_given_is_asked_for_last() {
        let mut groups = GroupSet::from(range(0, 500));
        groups.insert(range(600, 1_000));
        let asked = asked_after(groups);
        assert!(!asked.is_empty());
        for slice in asked {
            assert!(slice.start >= 500 && slice.end <= 600, "{slice:?}");
        }
        let all = asked_after(GroupSet::whole(SIZE));
        assert!(!all.is_empty(), "last is not never");
    }

    #[test]
    fn who_is_where_others_are_goes_elsewhere() {
        let mut bench = Bench::new(DownloadsConfig::default());
        bench.start(C, Some(SIZE));
        let asked = requests(&bench.source(1, SIZE, Have::Whole));
        let (first, last) = (asked[0].1, asked[asked.len() - 1].1);
        // Another was given the same, and will ask for what follows.
        bench.message(1, given(last.into()));
        let next = requests(&bench.stored(1, first));
        assert!(!next.is_empty());
        for (_, slice) in next {
            assert!(
                slice.start > last.end || slice.end < first.start,
                "{slice:?}"
            );
        }
    }

    #[test]
    fn lies_about_it_cost_little() {
        let mut bench = Bench::new(DownloadsConfig::default());
        bench.start(C, Some(SIZE));
        bench.source(1, SIZE, Have::Whole);
        for round in 0..20 {
            let scattered = (0..1_000).map(|n| {
                let start = round * 2_000_000 + n * 3;
                GroupRange::new(start, start + 1)
            });
            bench.message(1, given(scattered.collect()));
            bench.message(2, given(GroupSet::whole(SIZE)));
        }
        let download = bench.core.downloads.get(&C).expect("started");
        let source = download.sources.get(&peer(1)).expect("added");
        assert!(source.given.pieces() <= HAVE_RUNS_MAX + 1);
        bench.message(1, given(GroupSet::whole(u64::MAX)));
        bench.link(1, gannet_base::Link::Down);
    }
}
