//! Step tables: one input, and everything that it caused.

use std::time::Duration;

use gannet_base::{
    ContentId, Core, GROUP_BYTES, GroupRange, GroupSet, Link, Output, PeerId, Timestamp,
    seeded_rng, step,
};

use super::*;
use crate::message::Have;

pub(super) type Out = Output<TransferMessage, DownloadEvent>;

pub(super) const C: ContentId = ContentId::from_bytes([9; 32]);

pub(super) fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

pub(super) fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn range(start: u64, end: u64) -> GroupRange {
    GroupRange::new(start, end)
}

pub(super) struct Bench {
    pub(super) core: Downloads,
    pub(super) now: Timestamp,
}

impl Bench {
    pub(super) fn new(config: DownloadsConfig) -> Self {
        Self {
            core: Downloads::new(config, seeded_rng(1)),
            now: ms(1_000),
        }
    }

    pub(super) fn step(&mut self, input: impl FnOnce(&mut Downloads, Timestamp)) -> Vec<Out> {
        let now = self.now;
        let outputs = step(&mut self.core, |core| input(core, now));
        self.core.assert_invariants();
        outputs
    }

    pub(super) fn command(&mut self, command: DownloadCommand) -> Vec<Out> {
        self.step(|core, now| core.handle_command(now, command))
    }

    pub(super) fn message(&mut self, from: u8, message: TransferMessage) -> Vec<Out> {
        self.step(|core, now| core.handle_message(now, peer(from), message))
    }

    pub(super) fn start(&mut self, content: ContentId, size: Option<u64>) -> Vec<Out> {
        let have = GroupSet::new();
        self.command(DownloadCommand::Start {
            content,
            size_hint: None,
            size,
            have,
            priority: 0,
        })
    }

    pub(super) fn link(&mut self, number: u8, link: Link) -> Vec<Out> {
        self.step(|core, now| core.handle_link(now, peer(number), link))
    }

    /// A linked source that has a slot for us.
    pub(super) fn source(&mut self, number: u8, size: u64, have: Have) -> Vec<Out> {
        self.link(number, Link::Up);
        self.command(DownloadCommand::AddSource {
            content: C,
            peer: peer(number),
        });
        self.message(
            number,
            TransferMessage::Ready {
                content: C,
                size,
                have,
            },
        )
    }

    pub(super) fn stored(&mut self, from: u8, slice: GroupRange) -> Vec<Out> {
        self.command(DownloadCommand::Stored {
            content: C,
            peer: peer(from),
            slice,
            groups: slice.into(),
        })
    }

    pub(super) fn pass(&mut self, millis: u64) -> Vec<Out> {
        self.now = self.now + Duration::from_millis(millis);
        self.step(|core, now| core.handle_timeout(now))
    }

    pub(super) fn state(&self, content: ContentId) -> DownloadState {
        self.core.status(self.now, content).expect("started").state
    }

    pub(super) fn source_state(&self, number: u8) -> Option<SourceState> {
        let status = self.core.status(self.now, C).expect("started");
        status
            .sources
            .iter()
            .find(|source| source.peer == peer(number))
            .map(|source| source.state)
    }
}

pub(super) fn requests(outputs: &[Out]) -> Vec<(PeerId, GroupRange)> {
    let request = |output: &Out| match output {
        Output::Send {
            to,
            message: TransferMessage::Request { slice, .. },
        } => Some((*to, *slice)),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

pub(super) fn sends(outputs: &[Out], number: u8, message: &TransferMessage) -> bool {
    let expected = Output::Send {
        to: peer(number),
        message: message.clone(),
    };
    outputs.contains(&expected)
}

pub(super) fn dropped(outputs: &[Out]) -> Vec<(PeerId, DropReason, bool)> {
    let drop = |output: &Out| match output {
        Output::Event(DownloadEvent::SourceDropped {
            peer,
            reason,
            retry_at,
            ..
        }) => Some((*peer, *reason, retry_at.is_some())),
        _ => None,
    };
    outputs.iter().filter_map(drop).collect()
}

#[test]
fn from_start_to_size_to_slices_to_the_end() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let waiting = DownloadState::Waiting(WaitReason::NoSources);
    assert_eq!(
        bench.start(C, None),
        [
            Output::Event(DownloadEvent::StateChanged {
                content: C,
                state: waiting
            }),
            Output::Event(DownloadEvent::NeedSources {
                content: C,
                why: WaitReason::NoSources
            }),
        ]
    );
    let outputs = bench.command(DownloadCommand::AddSource {
        content: C,
        peer: peer(1),
    });
    assert_eq!(outputs[0], Output::Dial { peer: peer(1) });
    assert!(sends(
        &bench.link(1, Link::Up),
        1,
        &TransferMessage::Ask { content: C }
    ));
    let size = 40 * GROUP_BYTES + 1;
    let outputs = bench.message(
        1,
        TransferMessage::Ready {
            content: C,
            size,
            have: Have::Whole,
        },
    );
    assert_eq!(
        requests(&outputs),
        [(peer(1), range(40, 41))],
        "the last group alone, first"
    );
    let outputs = bench.stored(1, range(40, 41));
    assert!(outputs.contains(&Output::Event(DownloadEvent::SizeProven {
        content: C,
        size
    })));
    let mut asked = requests(&outputs);
    assert!(asked.len() >= 2, "at least two are outstanding: {asked:?}");
    let mut outputs = Vec::new();
    while let Some((_, slice)) = asked.pop() {
        outputs = bench.stored(1, slice);
        asked.extend(requests(&outputs));
    }
    assert!(sends(&outputs, 1, &TransferMessage::Leave { content: C }));
    assert!(outputs.contains(&Output::Event(DownloadEvent::Close {
        content: C,
        peer: peer(1)
    })));
    assert!(outputs.contains(&Output::Event(DownloadEvent::Complete { content: C })));
    assert_eq!(bench.state(C), DownloadState::Complete);
}

#[test]
fn a_small_or_empty_content_is_asked_for_whole() {
    for (size, groups) in [(0, 1), (1, 1), (3 * GROUP_BYTES, 3)] {
        let mut bench = Bench::new(DownloadsConfig::default());
        bench.start(C, None);
        let outputs = bench.source(1, size, Have::Whole);
        assert_eq!(requests(&outputs), [(peer(1), range(0, groups))]);
        bench.stored(1, range(0, groups));
        assert_eq!(bench.state(C), DownloadState::Complete);
    }
}

#[test]
fn only_what_is_wanted_is_fetched() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 40 * GROUP_BYTES;
    bench.start(C, Some(size));
    let part: GroupSet = [range(3, 9), range(39, 40)].into_iter().collect();
    let want = |groups| DownloadCommand::Want { content: C, groups };
    bench.command(want(Some(part.clone())));
    let asked = requests(&bench.source(1, size, Have::Whole));
    let groups: GroupSet = asked.iter().map(|(_, slice)| *slice).collect();
    assert_eq!(groups, part);
    for (_, slice) in asked {
        bench.stored(1, slice);
    }
    assert_eq!(bench.state(C), DownloadState::Complete);
    // More is wanted, then all.
    let more: GroupSet = [range(3, 12)].into_iter().collect();
    bench.command(want(Some(more)));
    assert_ne!(bench.state(C), DownloadState::Complete);
    let asked = requests(&bench.source(2, size, Have::Whole));
    assert!(
        asked
            .iter()
            .all(|(_, slice)| slice.start >= 9 && slice.end <= 12)
    );
    let all = requests(&bench.command(want(None)));
    let groups: GroupSet = asked.iter().chain(&all).map(|(_, slice)| *slice).collect();
    assert!(groups.intersection(&part).is_empty());
    // Nothing is wanted any more but what is here.
    bench.command(want(Some(part)));
    assert_eq!(bench.state(C), DownloadState::Complete);
}

#[test]
fn a_resumed_download_asks_only_for_what_is_missing() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 20 * GROUP_BYTES;
    let have: GroupSet = [range(0, 7), range(9, 20)].into_iter().collect();
    bench.command(DownloadCommand::Start {
        content: C,
        size_hint: None,
        size: Some(size),
        have,
        priority: 0,
    });
    let asked = requests(&bench.source(1, size, Have::Whole));
    let groups: GroupSet = asked.iter().map(|(_, slice)| *slice).collect();
    assert_eq!(groups, range(7, 9).into());
    let whole = GroupSet::whole(size);
    let other = ContentId::from_bytes([1; 32]);
    bench.command(DownloadCommand::Start {
        content: other,
        size_hint: None,
        size: Some(size),
        have: whole,
        priority: 0,
    });
    assert_eq!(bench.state(other), DownloadState::Complete);
}

#[test]
fn wrong_bytes_ban_for_good_and_the_rest_is_asked_elsewhere() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 64 * GROUP_BYTES;
    bench.start(C, Some(size));
    let asked = requests(&bench.source(1, size, Have::Whole));
    bench.source(2, size, Have::Whole);
    let slice = asked[0].1;
    let outputs = bench.command(DownloadCommand::Corrupt {
        content: C,
        peer: peer(1),
        slice,
    });
    assert_eq!(
        dropped(&outputs),
        [(peer(1), DropReason::Corrupt { slice }, false)]
    );
    assert_eq!(bench.source_state(1), Some(SourceState::Banned));
    assert_eq!(
        bench.command(DownloadCommand::AddSource {
            content: C,
            peer: peer(1)
        }),
        []
    );
    let status = bench.core.status(bench.now, C).expect("started");
    assert_eq!(status.sources[0].in_flight_bytes, 0);
}

#[test]
fn what_arrived_of_a_slice_is_kept_and_the_rest_asked_again() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 64 * GROUP_BYTES;
    bench.start(C, Some(size));
    let asked = requests(&bench.source(1, size, Have::Whole));
    let slice = asked[0].1;
    let part = range(slice.start, slice.start + 3);
    bench.command(DownloadCommand::Stored {
        content: C,
        peer: peer(1),
        slice,
        groups: part.into(),
    });
    let status = bench.core.status(bench.now, C).expect("started");
    assert_eq!(status.have, part.into());
    let outputs = bench.command(DownloadCommand::StreamClosed {
        content: C,
        peer: peer(1),
    });
    assert_eq!(dropped(&outputs), [(peer(1), DropReason::Lost, true)]);
    let again = requests(&bench.source(2, size, Have::Whole));
    assert!(
        again
            .iter()
            .all(|(_, slice)| slice.intersection(part).is_empty())
    );
}

#[test]
fn slices_that_come_to_nothing_do_not_go_on_for_ever() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 640 * GROUP_BYTES;
    bench.start(C, Some(size));
    let mut asked = requests(&bench.source(1, size, Have::Whole));
    for turn in 0..3 {
        let slice = asked.remove(0).1;
        let outputs = bench.command(DownloadCommand::NotStored {
            content: C,
            peer: peer(1),
            slice,
        });
        asked.extend(requests(&outputs));
        assert_eq!(
            dropped(&outputs).len(),
            usize::from(turn == 2),
            "after {turn}"
        );
    }
}

#[test]
fn headers_nobody_asked_for_or_of_impossible_length_are_a_breach() {
    let size = 64 * GROUP_BYTES;
    let header = |slice, bytes| TransferMessage::Slice {
        content: C,
        slice,
        bytes,
    };
    for which in 0..3 {
        let mut bench = Bench::new(DownloadsConfig::default());
        bench.start(C, Some(size));
        let slice = requests(&bench.source(1, size, Have::Whole))[0].1;
        let expected = bench
            .core
            .expected(C, peer(1), slice)
            .expect("it was asked for");
        let bytes = |bytes: u64| u32::try_from(bytes).expect("small");
        let message = match which {
            0 => header(range(slice.start, slice.start + 1), 20_000),
            1 => header(slice, bytes(expected.bytes_max + 1)),
            _ => header(slice, bytes(expected.bytes_min - 1)),
        };
        let outputs = bench.message(1, message);
        assert_eq!(dropped(&outputs), [(peer(1), DropReason::Protocol, false)]);
    }
}
