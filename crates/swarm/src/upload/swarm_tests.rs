//! What a source does where many fetch the same of it.

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
