//! Step tables: one input, and everything that it caused.

use std::time::Duration;

use gannet_base::{
    ContentId, Core, GROUP_BYTES, GroupRange, GroupSet, Link, Output, PeerId, Timestamp, step,
};

use super::*;
use crate::message::Have;

pub(super) type Out = Output<TransferMessage, UploadEvent>;

pub(super) const C: ContentId = ContentId::from_bytes([9; 32]);
pub(super) const SIZE: u64 = 1_000 * GROUP_BYTES;

pub(super) fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

fn content(number: u8) -> ContentId {
    ContentId::from_bytes([number; 32])
}

pub(super) fn send(to: u8, message: TransferMessage) -> Out {
    Output::Send {
        to: peer(to),
        message,
    }
}

fn ready(to: u8, content: ContentId) -> Out {
    send(
        to,
        TransferMessage::Ready {
            content,
            size: SIZE,
            have: Have::Whole,
        },
    )
}

pub(super) fn queued(to: u8, position: u32) -> Out {
    send(
        to,
        TransferMessage::Queued {
            content: C,
            position,
        },
    )
}

pub(super) fn given(start: u64, end: u64) -> TransferMessage {
    TransferMessage::Given {
        content: C,
        groups: range(start, end).into(),
    }
}

fn refused(to: u8, reason: RefusedReason) -> [Out; 2] {
    [
        send(to, TransferMessage::Refused { content: C, reason }),
        Output::Event(UploadEvent::Close {
            to: peer(to),
            content: C,
        }),
    ]
}

pub(super) struct Bench {
    core: Uploads,
    pub(super) now: Timestamp,
}

impl Bench {
    pub(super) fn new(config: UploadsConfig) -> Self {
        Self {
            core: Uploads::new(config),
            now: Timestamp::from_secs(1),
        }
    }

    /// One slot, taken by peer 1.
    fn taken(config: UploadsConfig) -> Self {
        let mut bench = Self::new(UploadsConfig {
            slots_max: 1,
            ..config
        });
        assert_eq!(bench.ask(1, C), [ready(1, C)]);
        bench
    }

    pub(super) fn step(&mut self, input: impl FnOnce(&mut Uploads, Timestamp)) -> Vec<Out> {
        let now = self.now;
        let outputs = step(&mut self.core, |core| input(core, now));
        self.core.assert_invariants();
        outputs
    }

    pub(super) fn message(&mut self, from: u8, message: TransferMessage) -> Vec<Out> {
        self.step(|core, now| core.handle_message(now, peer(from), message))
    }

    pub(super) fn command(&mut self, command: UploadCommand) -> Vec<Out> {
        self.step(|core, now| core.handle_command(now, command))
    }

    /// Asks; a lookup is answered with the whole content.
    pub(super) fn ask(&mut self, from: u8, content: ContentId) -> Vec<Out> {
        let outputs = self.message(from, TransferMessage::Ask { content });
        if outputs
            == [Output::Event(UploadEvent::Lookup {
                content,
                peer: peer(from),
            })]
        {
            return self.command(UploadCommand::Offer {
                content,
                size: SIZE,
                have: Have::Whole,
            });
        }
        outputs
    }

    pub(super) fn request(&mut self, from: u8, start: u64, end: u64) -> Vec<GroupRange> {
        let slice = GroupRange::new(start, end);
        serves(&self.message(from, TransferMessage::Request { content: C, slice }))
    }

    fn served(&mut self, to: u8, start: u64, end: u64) -> Vec<GroupRange> {
        let slice = GroupRange::new(start, end);
        let bytes = slice.len() * GROUP_BYTES;
        serves(&self.command(UploadCommand::Served {
            to: peer(to),
            content: C,
            slice,
            bytes,
        }))
    }

    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Out> {
        self.now = self.now + Duration::from_secs(seconds);
        self.step(|core, now| core.handle_timeout(now))
    }
}

fn serves(outputs: &[Out]) -> Vec<GroupRange> {
    let serve = |output: &Out| match output {
        Output::Event(UploadEvent::Serve { slice, .. }) => Some(*slice),
        _ => None,
    };
    outputs.iter().filter_map(serve).collect()
}

pub(super) fn range(start: u64, end: u64) -> GroupRange {
    GroupRange::new(start, end)
}

#[test]
fn a_content_is_looked_up_once_for_all_who_ask() {
    let mut bench = Bench::new(UploadsConfig::default());
    let lookup = Output::Event(UploadEvent::Lookup {
        content: C,
        peer: peer(1),
    });
    assert_eq!(
        bench.message(1, TransferMessage::Ask { content: C }),
        [lookup]
    );
    assert_eq!(bench.message(2, TransferMessage::Ask { content: C }), []);
    let offer = UploadCommand::Offer {
        content: C,
        size: SIZE,
        have: Have::Whole,
    };
    assert_eq!(bench.command(offer), [ready(1, C), ready(2, C)]);
    assert_eq!(bench.ask(3, C), [ready(3, C)]);
    for number in 1..=3 {
        bench.message(number, TransferMessage::Leave { content: C });
    }
    let lookup = Output::Event(UploadEvent::Lookup {
        content: C,
        peer: peer(4),
    });
    assert_eq!(
        bench.message(4, TransferMessage::Ask { content: C }),
        [lookup],
        "looked at afresh"
    );
    let outputs = bench.command(UploadCommand::NotShared { content: C });
    assert_eq!(outputs, refused(4, RefusedReason::NotShared));
}

#[test]
fn the_queue_has_places_and_moves() {
    let mut bench = Bench::taken(UploadsConfig::default());
    assert_eq!(bench.ask(2, C), [queued(2, 1)]);
    assert_eq!(bench.ask(3, C), [queued(3, 2)]);
    assert_eq!(bench.ask(4, C), [queued(4, 3)]);
    assert_eq!(
        bench.message(4, TransferMessage::Ask { content: C }),
        [queued(4, 3)]
    );
    let outputs = bench.message(1, TransferMessage::Leave { content: C });
    assert_eq!(
        outputs,
        [
            ready(2, C),
            Output::Event(UploadEvent::Close {
                to: peer(1),
                content: C
            })
        ]
    );
    assert_eq!(bench.pass(5), [queued(3, 1), queued(4, 2)]);
    assert_eq!(bench.pass(5), [], "nothing has changed");
    assert_eq!(
        bench.command(UploadCommand::StreamClosed {
            to: peer(2),
            content: C
        }),
        [ready(3, C)]
    );
    assert_eq!(
        bench.step(|core, now| core.handle_link(now, peer(3), Link::Down)),
        [ready(4, C)]
    );
    let status = bench.core.status(bench.now);
    assert_eq!(status.uploads.len(), 1);
    assert_eq!(status.uploads[0].state, UploadState::Serving);
}

#[test]
fn no_peer_crowds_out_the_others() {
    let config = UploadsConfig {
        slots_max: 3,
        slots_per_peer_max: 2,
        queue_per_peer_max: 4,
        ..UploadsConfig::default()
    };
    let mut bench = Bench::new(config);
    for number in 1..=4 {
        bench.ask(1, content(number));
    }
    let outputs = bench.ask(1, content(5));
    assert!(matches!(
        outputs[0],
        Output::Send {
            message: TransferMessage::Refused {
                reason: RefusedReason::QueueFull,
                ..
            },
            ..
        }
    ));
    assert_eq!(
        bench.ask(2, C),
        [ready(2, C)],
        "the third slot is for others"
    );
    assert_eq!(
        bench.ask(3, C),
        [queued(3, 2)],
        "after one of the first peer, before its other"
    );
    assert_eq!(
        bench.message(
            1,
            TransferMessage::Leave {
                content: content(1)
            }
        )[0],
        ready(1, content(3))
    );
    assert_eq!(
        bench.message(
            1,
            TransferMessage::Leave {
                content: content(2)
            }
        )[0],
        ready(3, C),
        "in turn"
    );
}

#[test]
fn the_queue_ends_somewhere() {
    let mut bench = Bench::taken(UploadsConfig {
        queue_max: 2,
        ..UploadsConfig::default()
    });
    bench.ask(2, C);
    bench.ask(3, C);
    assert_eq!(bench.ask(4, C), refused(4, RefusedReason::QueueFull));
}

#[test]
fn slices_are_served_in_order_and_a_few_at_a_time() {
    let mut bench = Bench::taken(UploadsConfig::default());
    assert_eq!(bench.request(1, 0, 4), [range(0, 4)]);
    assert_eq!(bench.request(1, 4, 8), [range(4, 8)]);
    assert_eq!(bench.request(1, 8, 12), []);
    assert_eq!(bench.request(1, 12, 16), []);
    assert_eq!(bench.served(1, 0, 4), [range(8, 12)]);
    let cancel = |start, end| TransferMessage::Cancel {
        content: C,
        slice: range(start, end),
    };
    let gone = TransferMessage::SliceRefused {
        content: C,
        slice: range(12, 16),
    };
    assert_eq!(bench.message(1, cancel(12, 16)), [send(1, gone)]);
    assert_eq!(bench.message(1, cancel(8, 12)), [], "it is being served");
    assert_eq!(bench.served(1, 4, 8), []);
    assert_eq!(bench.served(1, 99, 100), [], "that was never asked for");
    bench.ask(2, C);
    assert_eq!(bench.request(2, 0, 4), [], "no slot, no slice");
}

#[test]
fn requests_have_limits() {
    let config = UploadsConfig {
        requests_max: 3,
        ..UploadsConfig::default()
    };
    let busy = refused(1, RefusedReason::Busy).to_vec();
    let mut bench = Bench::taken(config.clone());
    for start in [0, 10, 20] {
        bench.request(1, start, start + 10);
    }
    let slice = range(30, 40);
    assert_eq!(
        bench.message(1, TransferMessage::Request { content: C, slice }),
        busy
    );
    for slice in [
        range(0, 1_001),
        range(1_000, 1_001),
        range(5, 5),
        range(0, 257),
        range(0, u64::MAX),
    ] {
        let mut bench = Bench::taken(config.clone());
        assert_eq!(
            bench.message(1, TransferMessage::Request { content: C, slice }),
            busy,
            "{slice:?}"
        );
    }
    let mut bench = Bench::taken(UploadsConfig {
        requests_bytes_max: 20 * GROUP_BYTES,
        ..config
    });
    bench.request(1, 0, 15);
    let slice = range(15, 30);
    assert_eq!(
        bench.message(1, TransferMessage::Request { content: C, slice }),
        busy
    );
}

#[test]
fn many_tiny_requests_are_slowed_and_large_ones_are_not() {
    let mut bench = Bench::taken(UploadsConfig {
        tiny_requests_per_second: 10,
        ..UploadsConfig::default()
    });
    let serve = |bench: &mut Bench, groups: u64, millis: u64| {
        let mut count = 0;
        for n in 0..100 {
            bench.now = bench.now + Duration::from_millis(millis);
            let mut next = bench.request(1, n * 8, n * 8 + groups);
            next.extend(serves(&bench.step(|core, now| core.handle_timeout(now))));
            while let Some(slice) = next.pop() {
                count += 1;
                next.extend(bench.served(1, slice.start, slice.end));
            }
            if bench.core.status(bench.now).uploads.is_empty() {
                bench.ask(1, C);
            }
        }
        count
    };
    assert_eq!(serve(&mut bench, 8, 10), 100);
    let tiny = serve(&mut bench, 1, 10);
    assert!(
        (25..=35).contains(&tiny),
        "{tiny} in a second, twenty at once and ten"
    );
}

#[test]
fn a_slot_held_for_nothing_is_taken_back() {
    let mut bench = Bench::taken(UploadsConfig::default());
    assert_eq!(bench.pass(20), [], "nobody else wants it");
    bench.ask(2, C);
    let mut expected = refused(1, RefusedReason::Busy).to_vec();
    expected.push(ready(2, C));
    assert_eq!(bench.pass(5), expected);
    assert_eq!(bench.pass(119), []);
    assert_eq!(
        bench.pass(5),
        refused(2, RefusedReason::Busy),
        "not for ever either"
    );
    assert_eq!(bench.core.next_deadline(), None, "at rest");
}

#[test]
fn a_fetcher_that_does_not_read_loses_its_slot() {
    let mut bench = Bench::taken(UploadsConfig::default());
    bench.request(1, 0, 4);
    bench.pass(100);
    bench.command(UploadCommand::Wrote {
        to: peer(1),
        content: C,
    });
    assert_eq!(bench.pass(100), []);
    assert_eq!(bench.pass(20), refused(1, RefusedReason::Busy));
}

#[test]
fn a_turn_ends_if_others_wait() {
    let config = UploadsConfig {
        turn_bytes: 8 * GROUP_BYTES,
        turn_duration: Duration::from_secs(60),
        ..UploadsConfig::default()
    };
    let mut bench = Bench::taken(config);
    bench.request(1, 0, 8);
    bench.served(1, 0, 8);
    bench.now = bench.now + Duration::from_secs(61);
    for start in [8, 16, 24] {
        bench.request(1, start, start + 8);
    }
    bench.served(1, 8, 16);
    bench.ask(2, C);
    let served = |slice| UploadCommand::Served {
        to: peer(1),
        content: C,
        slice,
        bytes: 1,
    };
    let mut outputs = bench.command(served(range(16, 24)));
    outputs.extend(bench.command(served(range(24, 32))));
    let given = send(2, given(0, 32));
    let others = [given, ready(2, C), queued(1, 1)];
    assert_eq!(
        outputs, others,
        "what was begun was finished, then the other"
    );
}

#[test]
fn partial_contents_grow_and_tell_so_now_and_then() {
    let mut bench = Bench::new(UploadsConfig::default());
    bench.message(1, TransferMessage::Ask { content: C });
    let part = |end| Have::Some(GroupSet::from(range(0, end)));
    let outputs = bench.command(UploadCommand::Offer {
        content: C,
        size: SIZE,
        have: part(10),
    });
    assert_eq!(
        outputs,
        [send(
            1,
            TransferMessage::Ready {
                content: C,
                size: SIZE,
                have: part(10)
            }
        )]
    );
    let slice = range(8, 12);
    let lacking = TransferMessage::SliceRefused { content: C, slice };
    assert_eq!(
        bench.message(1, TransferMessage::Request { content: C, slice }),
        [send(1, lacking)]
    );
    assert_eq!(
        bench.command(UploadCommand::Grown {
            content: C,
            have: part(11)
        }),
        [],
        "too soon"
    );
    assert_eq!(
        bench.command(UploadCommand::Grown {
            content: C,
            have: part(12)
        }),
        []
    );
    let groups = GroupSet::from(range(0, 12));
    assert_eq!(
        bench.pass(2),
        [send(1, TransferMessage::Have { content: C, groups })]
    );
    assert_eq!(bench.request(1, 8, 12), [slice]);
}

#[test]
fn a_changed_file_is_nobodys_any_more() {
    for by_driver in [true, false] {
        let mut bench = Bench::taken(UploadsConfig::default());
        bench.ask(2, C);
        bench.request(1, 0, 4);
        let outputs = bench.command(if by_driver {
            UploadCommand::Withdrawn { content: C }
        } else {
            let failure = ServeFailure::Changed;
            UploadCommand::ServeFailed {
                to: peer(1),
                content: C,
                slice: range(0, 4),
                failure,
            }
        });
        for number in [1, 2] {
            for expected in refused(number, RefusedReason::Changed) {
                assert!(outputs.contains(&expected), "{outputs:?}");
            }
        }
        assert_eq!(bench.core.status(bench.now).uploads, []);
    }
}

#[test]
fn a_slice_that_cannot_be_read_is_refused_and_the_next_served() {
    let mut bench = Bench::taken(UploadsConfig::default());
    for start in [0, 4, 8] {
        bench.request(1, start, start + 4);
    }
    let failure = ServeFailure::Unreadable;
    let slice = range(0, 4);
    let outputs = bench.command(UploadCommand::ServeFailed {
        to: peer(1),
        content: C,
        slice,
        failure,
    });
    assert_eq!(
        outputs[0],
        send(1, TransferMessage::SliceRefused { content: C, slice })
    );
    assert_eq!(serves(&outputs), [range(8, 12)]);
}

#[test]
fn the_number_of_slots_changes_while_running() {
    let mut bench = Bench::taken(UploadsConfig::default());
    bench.ask(2, C);
    bench.ask(3, C);
    assert_eq!(
        bench.command(UploadCommand::SetSlots { slots_max: 2 }),
        [ready(2, C)]
    );
    assert_eq!(bench.command(UploadCommand::SetSlots { slots_max: 1 }), []);
    bench.message(1, TransferMessage::Leave { content: C });
    let status = bench.core.status(bench.now);
    let states: Vec<_> = status.uploads.iter().map(|upload| upload.state).collect();
    assert_eq!(
        states,
        [UploadState::Serving, UploadState::Queued { position: 1 }]
    );
}
