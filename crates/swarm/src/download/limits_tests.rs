//! Step tables of limits, waiting and order.

use std::time::Duration;

use gannet_base::{ContentId, GROUP_BYTES, GroupSet, Link, Output};

use super::tests::{Bench, C, Out, dropped, peer, requests, sends};
use super::*;
use crate::message::{Have, RefusedReason};

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
    // Both were named at once, so either may be next.
    let next = [3, 4].map(|number| Output::Dial { peer: peer(number) });
    let dialled = outputs.iter().filter(|output| next.contains(output));
    assert_eq!(dialled.count(), 1, "{outputs:?}");
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
