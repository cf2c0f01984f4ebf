//! What a source does where many fetch the same of it.

use std::time::Duration;

use gannet_base::{GroupSet, Output};

use super::tests::{Bench, C, SIZE, given, peer, queued, range, send};
use super::*;
use crate::message::Have;

#[test]
fn a_slot_for_which_a_part_is_too_little_goes_to_the_next() {
    let config = UploadsConfig {
        slots_max: 1,
        ..UploadsConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.message(1, TransferMessage::Ask { content: C });
    bench.command(UploadCommand::Offer {
        content: C,
        size: SIZE,
        have: Have::Some(range(0, 8).into()),
    });
    assert_eq!(bench.pass(3), [], "nobody waits");
    assert_eq!(bench.ask(2, C), [queued(2, 1)]);
    let outputs = bench.pass(2);
    assert!(
        matches!(outputs[0], Output::Send { to, message: TransferMessage::Ready { .. } } if to == peer(2)),
        "{outputs:?}"
    );
    assert_eq!(outputs[1], queued(1, 1), "the first waits in its turn");
}

#[test]
fn what_one_asked_for_is_told_to_the_others() {
    let config = UploadsConfig {
        slots_max: 2,
        ..UploadsConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.ask(1, C);
    bench.ask(2, C);
    bench.request(1, 0, 8);
    bench.request(1, 8, 16);
    bench.request(2, 0, 4);
    assert_eq!(
        bench.pass(1),
        [send(2, given(0, 16))],
        "together, and only what is new"
    );
    let slice = range(100, 104);
    assert_eq!(
        bench.message(2, TransferMessage::Request { content: C, slice })[0],
        send(1, given(100, 104)),
        "at once if it is due"
    );
    assert_eq!(bench.pass(1), [], "once");
    bench.command(UploadCommand::StreamClosed {
        to: peer(2),
        content: C,
    });
    let mut all = GroupSet::from(range(0, 16));
    all.insert(slice);
    let all = TransferMessage::Given {
        content: C,
        groups: all,
    };
    assert_eq!(
        bench.ask(3, C)[0],
        send(3, all),
        "all of it to who comes late"
    );
}

fn gained(start: u64, end: u64) -> UploadCommand {
    UploadCommand::Gained {
        content: C,
        groups: range(start, end).into(),
    }
}

/// Peer 1 has a slot where groups 0 to 8 are.
fn partial() -> Bench {
    let mut bench = Bench::new(UploadsConfig::default());
    bench.message(1, TransferMessage::Ask { content: C });
    bench.command(UploadCommand::Offer {
        content: C,
        size: SIZE,
        have: Have::Some(range(0, 8).into()),
    });
    bench
}

fn wait(bench: &mut Bench, millis: u64) -> Vec<Output<TransferMessage, UploadEvent>> {
    bench.now = bench.now + Duration::from_millis(millis);
    bench.pass(0)
}

fn news(end: u64) -> Output<TransferMessage, UploadEvent> {
    let groups = range(0, end).into();
    send(1, TransferMessage::Have { content: C, groups })
}

#[test]
fn who_waits_for_news_hears_them_soon_and_who_is_busy_later() {
    let mut bench = partial();
    assert_eq!(bench.command(gained(8, 10)), [], "too soon");
    assert_eq!(bench.command(gained(10, 12)), []);
    assert_eq!(wait(&mut bench, 60), [news(12)], "together");
    assert_eq!(bench.command(gained(4, 12)), [], "that is no news");
    assert_eq!(wait(&mut bench, 1_000), []);
    bench.request(1, 0, 8);
    wait(&mut bench, 60);
    assert_eq!(
        bench.command(gained(12, 13)),
        [news(13)],
        "the last was long ago"
    );
    assert_eq!(bench.command(gained(13, 14)), []);
    assert_eq!(wait(&mut bench, 60), [], "it has something to wait for");
    assert_eq!(wait(&mut bench, 1_000), [news(14)]);
}

#[test]
fn what_has_grown_whole_is_whole() {
    let mut bench = partial();
    bench.command(gained(0, groups_in(SIZE)));
    let outputs = bench.ask(2, C);
    let whole = |output: &Output<_, _>| {
        matches!(
            output,
            Output::Send {
                message: TransferMessage::Ready {
                    have: Have::Whole,
                    ..
                },
                ..
            }
        )
    };
    assert!(outputs.iter().any(whole), "{outputs:?}");
}

#[test]
fn what_a_part_was_asked_for_is_told_to_nobody() {
    let mut bench = partial();
    bench.ask(2, C);
    bench.request(1, 0, 4);
    bench.request(2, 4, 8);
    let told = bench.pass(1);
    let is_given = |output: &Output<_, _>| {
        matches!(
            output,
            Output::Send {
                message: TransferMessage::Given { .. },
                ..
            }
        )
    };
    assert!(!told.iter().any(is_given), "{told:?}");
}
