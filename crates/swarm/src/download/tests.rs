//! Step tables: one input, and everything that it caused.

use std::time::Duration;

use gannet_base::{
    ContentId, Core, GROUP_BYTES, GroupRange, GroupSet, Link, Output, PeerId, Timestamp,
    seeded_rng, step,
};

use super::*;
use crate::message::{Have, RefusedReason};

type Out = Output<TransferMessage, DownloadEvent>;

const C: ContentId = ContentId::from_bytes([9; 32]);

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn range(start: u64, end: u64) -> GroupRange {
    GroupRange::new(start, end)
}

struct Bench {
    core: Downloads,
    now: Timestamp,
}

impl Bench {
    fn new(config: DownloadsConfig) -> Self {
        Self {
            core: Downloads::new(config, seeded_rng(1)),
            now: ms(1_000),
        }
    }

    fn step(&mut self, input: impl FnOnce(&mut Downloads, Timestamp)) -> Vec<Out> {
        let now = self.now;
        let outputs = step(&mut self.core, |core| input(core, now));
        self.core.assert_invariants();
        outputs
    }

    fn command(&mut self, command: DownloadCommand) -> Vec<Out> {
        self.step(|core, now| core.handle_command(now, command))
    }

    fn message(&mut self, from: u8, message: TransferMessage) -> Vec<Out> {
        self.step(|core, now| core.handle_message(now, peer(from), message))
    }

    fn start(&mut self, content: ContentId, size: Option<u64>) -> Vec<Out> {
        let have = GroupSet::new();
        self.command(DownloadCommand::Start {
            content,
            size_hint: None,
            size,
            have,
            priority: 0,
        })
    }

    fn link(&mut self, number: u8, link: Link) -> Vec<Out> {
        self.step(|core, now| core.handle_link(now, peer(number), link))
    }

    /// A linked source that has a slot for us.
    fn source(&mut self, number: u8, size: u64, have: Have) -> Vec<Out> {
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

    fn stored(&mut self, from: u8, slice: GroupRange) -> Vec<Out> {
        self.command(DownloadCommand::Stored {
            content: C,
            peer: peer(from),
            slice,
            groups: slice.into(),
        })
    }

    fn pass(&mut self, millis: u64) -> Vec<Out> {
        self.now = self.now + Duration::from_millis(millis);
        self.step(|core, now| core.handle_timeout(now))
    }

    fn state(&self, content: ContentId) -> DownloadState {
        self.core.status(self.now, content).expect("started").state
    }

    fn source_state(&self, number: u8) -> Option<SourceState> {
        let status = self.core.status(self.now, C).expect("started");
        status
            .sources
            .iter()
            .find(|source| source.peer == peer(number))
            .map(|source| source.state)
    }
}

fn requests(outputs: &[Out]) -> Vec<(PeerId, GroupRange)> {
    let request = |output: &Out| match output {
        Output::Send {
            to,
            message: TransferMessage::Request { slice, .. },
        } => Some((*to, *slice)),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

fn sends(outputs: &[Out], number: u8, message: &TransferMessage) -> bool {
    let expected = Output::Send {
        to: peer(number),
        message: message.clone(),
    };
    outputs.contains(&expected)
}

fn dropped(outputs: &[Out]) -> Vec<(PeerId, DropReason, bool)> {
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

#[test]
fn sources_beyond_the_limit_wait_until_one_drops() {
    let mut bench = Bench::new(DownloadsConfig {
        sources_active_max: 2,
        sources_known_max: 4,
        ..DownloadsConfig::default()
    });
    bench.start(C, None);
    let mut dials = Vec::new();
    for number in 1..=6 {
        dials.extend(bench.command(DownloadCommand::AddSource {
            content: C,
            peer: peer(number),
        }));
    }
    dials.retain(|output| matches!(output, Output::Dial { .. }));
    assert_eq!(
        dials,
        [
            Output::Dial { peer: peer(1) },
            Output::Dial { peer: peer(2) }
        ]
    );
    assert_eq!(bench.source_state(3), Some(SourceState::Spare));
    assert_eq!(bench.source_state(5), None, "as many are known as may be");
    let outputs = bench.link(1, Link::Unreachable);
    assert_eq!(
        dropped(&outputs),
        [(peer(1), DropReason::Unreachable, true)]
    );
    assert!(outputs.contains(&Output::Dial { peer: peer(3) }));
}

#[test]
fn failures_are_tried_again_ever_more_seldom_and_then_forgotten() {
    let mut bench = Bench::new(DownloadsConfig {
        failures_max: 5,
        ..DownloadsConfig::default()
    });
    bench.start(C, None);
    bench.command(DownloadCommand::AddSource {
        content: C,
        peer: peer(1),
    });
    let mut waits = Vec::new();
    loop {
        bench.link(1, Link::Unreachable);
        let Some(SourceState::BackOff { until }) = bench.source_state(1) else {
            break;
        };
        waits.push(until - bench.now);
        let millis = u64::try_from((until - bench.now).as_millis()).expect("short") + 1;
        let outputs = bench.pass(millis);
        assert!(outputs.contains(&Output::Dial { peer: peer(1) }));
    }
    assert_eq!(bench.source_state(1), None);
    assert_eq!(waits.len(), 4);
    for (doublings, wait) in waits.into_iter().enumerate() {
        let most = Duration::from_secs(2 << doublings);
        assert!(most / 2 <= wait && wait <= most, "{wait:?} of {most:?}");
    }
}

#[test]
fn a_queue_is_kept_warm_and_a_silent_one_is_left() {
    let mut bench = Bench::new(DownloadsConfig::default());
    bench.start(C, None);
    bench.link(1, Link::Up);
    bench.command(DownloadCommand::AddSource {
        content: C,
        peer: peer(1),
    });
    bench.message(
        1,
        TransferMessage::Queued {
            content: C,
            position: 7,
        },
    );
    assert_eq!(
        bench.source_state(1),
        Some(SourceState::Queued { position: 7 })
    );
    assert_eq!(bench.state(C), DownloadState::Waiting(WaitReason::Queued));
    assert!(sends(
        &bench.pass(60_001),
        1,
        &TransferMessage::Ask { content: C }
    ));
    bench.message(
        1,
        TransferMessage::Queued {
            content: C,
            position: 3,
        },
    );
    assert!(sends(
        &bench.pass(60_001),
        1,
        &TransferMessage::Ask { content: C }
    ));
    assert_eq!(
        dropped(&bench.pass(20_001)),
        [(peer(1), DropReason::Silent, true)]
    );
}

#[test]
fn refusals_have_their_reasons() {
    let mut bench = Bench::new(DownloadsConfig::default());
    bench.start(C, None);
    for (number, reason) in (1..).zip([
        RefusedReason::NotShared,
        RefusedReason::QueueFull,
        RefusedReason::Changed,
    ]) {
        bench.link(number, Link::Up);
        bench.command(DownloadCommand::AddSource {
            content: C,
            peer: peer(number),
        });
        let outputs = bench.message(number, TransferMessage::Refused { content: C, reason });
        assert_eq!(
            dropped(&outputs),
            [(peer(number), DropReason::Refused(reason), true)]
        );
    }
    assert_eq!(bench.state(C), DownloadState::Waiting(WaitReason::Refused));
}

#[test]
fn a_watched_file_comes_in_order() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 400 * GROUP_BYTES;
    bench.start(C, Some(size));
    bench.command(DownloadCommand::Watch {
        content: C,
        first_group: Some(100),
    });
    let mut asked = requests(&bench.source(1, size, Have::Whole));
    let mut next = 100;
    while let Some((_, slice)) = (!asked.is_empty()).then(|| asked.remove(0)) {
        assert_eq!(slice.start, next);
        next = if slice.end == 400 { 0 } else { slice.end };
        bench.now = bench.now + Duration::from_millis(1);
        asked.extend(requests(&bench.stored(1, slice)));
    }
    assert_eq!(next, 100, "then what lies before");
    assert_eq!(bench.state(C), DownloadState::Complete);
}

#[test]
fn limits_on_bytes_in_flight_hold_and_room_is_shared() {
    let config = DownloadsConfig {
        in_flight_bytes_max: 1 << 20,
        ..DownloadsConfig::default()
    };
    let mut bench = Bench::new(config);
    let (size, other) = (4_000 * GROUP_BYTES, ContentId::from_bytes([8; 32]));
    bench.start(C, Some(size));
    bench.start(other, Some(size));
    let mut asked = Vec::new();
    for number in 1..=4 {
        asked.extend(requests(&bench.source(number, size, Have::Whole)));
    }
    let total: u64 = asked
        .iter()
        .map(|(_, slice)| slice.len() * GROUP_BYTES)
        .sum();
    assert!(total <= (1 << 20) + 8 * GROUP_BYTES, "{total}");
    bench.link(5, Link::Up);
    bench.command(DownloadCommand::AddSource {
        content: other,
        peer: peer(5),
    });
    let outputs = bench.message(
        5,
        TransferMessage::Ready {
            content: other,
            size,
            have: Have::Whole,
        },
    );
    assert_eq!(requests(&outputs), [], "no room");
    let (from, slice) = asked[0];
    let outputs = bench.command(DownloadCommand::Stored {
        content: C,
        peer: from,
        slice,
        groups: slice.into(),
    });
    let another = bench.command(DownloadCommand::Stored {
        content: C,
        peer: asked[1].0,
        slice: asked[1].1,
        groups: asked[1].1.into(),
    });
    let mut both = requests(&outputs);
    both.extend(requests(&another));
    assert!(
        both.iter().any(|(to, _)| *to == peer(5)),
        "the other has its turn: {both:?}"
    );
}

#[test]
fn an_idle_source_takes_over_what_a_slow_one_would_bring_late() {
    let mut bench = Bench::new(DownloadsConfig::default());
    let size = 64 * GROUP_BYTES;
    bench.start(C, Some(size));
    let slow = requests(&bench.source(1, size, Have::Whole));
    let mut fast = requests(&bench.source(2, size, Have::Whole));
    let mut cancelled = 0;
    for _ in 0..400 {
        bench.now = bench.now + Duration::from_millis(5);
        let outputs = match fast.pop() {
            Some((_, slice)) => bench.stored(2, slice),
            None => bench.pass(100),
        };
        let to_slow = |output: &&Out| matches!(output, Output::Send { to, message: TransferMessage::Cancel { .. } } if *to == peer(1));
        cancelled += outputs.iter().filter(to_slow).count();
        fast.extend(
            requests(&outputs)
                .into_iter()
                .filter(|(to, _)| *to == peer(2)),
        );
    }
    assert_eq!(bench.state(C), DownloadState::Complete);
    assert_eq!(
        cancelled,
        slow.len(),
        "the slow one need not send any of it"
    );
}

#[test]
fn more_important_downloads_go_first() {
    let mut bench = Bench::new(DownloadsConfig {
        downloads_active_max: 1,
        ..DownloadsConfig::default()
    });
    let [a, b, c] = [1, 2, 3].map(|byte| ContentId::from_bytes([byte; 32]));
    for (content, priority) in [(a, 0), (b, 0), (c, 9)] {
        let have = GroupSet::new();
        bench.command(DownloadCommand::Start {
            content,
            size_hint: None,
            size: None,
            have,
            priority,
        });
        bench.command(DownloadCommand::AddSource {
            content,
            peer: peer(1),
        });
    }
    assert_eq!(bench.state(b), DownloadState::Waiting(WaitReason::Turn));
    bench.command(DownloadCommand::Cancel { content: a });
    assert_eq!(
        bench.state(c),
        DownloadState::Waiting(WaitReason::Connecting)
    );
    assert_eq!(bench.state(b), DownloadState::Waiting(WaitReason::Turn));
    bench.command(DownloadCommand::Pause { content: c });
    assert_eq!(
        bench.state(b),
        DownloadState::Waiting(WaitReason::Connecting)
    );
    assert_eq!(bench.state(c), DownloadState::Paused);
}
