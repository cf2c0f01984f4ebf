//! Hits and reports: unasked, forged, oversized.

use gannet_base::wire::{Decoded, WireMessage as _, decode, encode};
use gannet_overlay::flood::{Coverage, Ending, HITS_MAX, PATCH_BYTES_MAX, PEERS_LISTED_MAX};

use super::*;

#[test]
fn hits_that_nobody_asked_for_are_dropped_and_held_against_their_sender() {
    let mut bench = Bench::with_neighbours(config(), 4);
    bench.hand(peer(2), ask(7, 3, 0));
    let mut left = None;
    for n in 0..100 {
        // Nobody asked; and: the asker itself, whom nobody asked.
        let forged = if n % 2 == 0 {
            SearchId(99)
        } else {
            SearchId(7)
        };
        let outputs = bench.hand(peer(2), hits(forged, 9));
        assert_eq!(rows(&outputs), 0);
        let passed = |output: &&_| {
            matches!(
                output,
                Output::Send {
                    message: FloodMessage::Hits(..),
                    ..
                }
            )
        };
        assert_eq!(outputs.iter().filter(passed).count(), 0);
        left = left.or(lost(&outputs, peer(2)));
    }
    assert_eq!(left, Some(DownReason::Misbehaved));
    assert!(!bench.is_neighbour(peer(2)) && bench.is_neighbour(peer(3)));
    // It is not taken back at once.
    let outputs = bench.greet(peer(2));
    assert!(!bench.is_neighbour(peer(2)), "{outputs:?}");
}

/// Late answers are nobody's fault.
#[test]
fn hits_for_a_search_that_is_over_are_dropped_without_blame() {
    let mut bench = Bench::with_neighbours(config(), 3);
    let (search, _) = search(&mut bench, 1, Strategy::Flood { ttl: 2 });
    bench.order(FloodCommand::Cancel { id: 1 });
    for n in 0..100 {
        let outputs = bench.hand(peer(1), hits(search, n));
        assert_eq!(rows(&outputs), 0);
    }
    assert!(bench.is_neighbour(peer(1)));
}

#[test]
fn forged_reports_do_not_end_a_search() {
    let mut bench = Bench::with_neighbours(config(), 3);
    let (search, _) = search(&mut bench, 1, Strategy::Flood { ttl: 3 });
    let report = |round, ttl, asked| FloodMessage::Report {
        search,
        round,
        ttl,
        coverage: Coverage {
            asked,
            ..Coverage::default()
        },
    };
    let ended = |outputs: &Outputs| {
        outputs.iter().find_map(|output| match output {
            Output::Event(FloodEvent::Ended { outcome, .. }) => Some(*outcome),
            _ => None,
        })
    };
    for _ in 0..5 {
        for message in [
            report(0, 3, u32::MAX),
            report(1, 3, 1),
            report(0, 9, u32::MAX),
        ] {
            let outputs = bench.hand(peer(1), message);
            assert_eq!(ended(&outputs), None);
        }
    }
    assert_eq!(ended(&bench.hand(peer(2), report(0, 3, u32::MAX))), None);
    let last = bench.hand(peer(3), report(0, 3, 5));
    let outcome = ended(&last).expect("all have reported");
    assert_eq!(outcome.coverage.asked, u32::MAX, "sums saturate");
    assert_eq!(outcome.ending, Ending::Everybody);
}

/// A neighbour answers with as much as a message may hold: what its relay adds
/// must not make the relay a culprit at the next hop.
#[test]
fn a_full_message_of_hits_still_fits_after_a_relay() {
    let mut bench = Bench::with_neighbours(config(), 2);
    bench.order(FloodCommand::Seen {
        peer: peer(2),
        addresses: vec![([10, 0, 0, 1], 7).into(); PeerAddress::ADDRESSES_MAX],
    });
    // All hits with titles of this length, and one with a longer path.
    let message = |title: usize, padding: usize| {
        let mut full = row(2);
        let entry = &mut full.hits[0].publication.entry;
        entry.path = "p".repeat(900);
        entry.media.title = Some("t".repeat(title));
        entry.media.album = Some("a".repeat(256));
        let hit = full.hits[0].clone();
        full.hits.resize(HITS_MAX, hit);
        let padded = &mut full.hits[0].publication.entry;
        padded.path.extend(std::iter::repeat_n('p', padding));
        let hits = Hits {
            hops: 0,
            rows: vec![full],
            addresses: Vec::new(),
        };
        FloodMessage::Hits(SearchId(7), Box::new(hits))
    };
    let fits = |title, padding| message(title, padding).validate().is_ok();
    let title = (0..256).rfind(|title| fits(*title, 0)).expect("some fit");
    let padding = (0..100)
        .rfind(|padding| fits(title, *padding))
        .expect("some fit");
    assert!(!fits(title, padding + 1), "it is as long as can be");
    bench.hand(peer(1), ask(7, 3, 0));
    let outputs = bench.hand(peer(2), message(title, padding));
    let relayed = outputs.iter().filter_map(|output| match output {
        Output::Send { to, message } if *to == peer(1) => Some(message.validate()),
        _ => None,
    });
    assert_eq!(relayed.collect::<Vec<_>>(), [Ok(())]);
}

/// Whatever list is too long does not decode.
#[test]
fn oversized_messages_do_not_decode() {
    let address = "10.0.0.1:7".parse().expect("it is an address");
    let long = |rows: usize, hits_each: usize, addresses: usize| {
        let mut one = row(3);
        let hit = one.hits[0].clone();
        one.hits.resize(hits_each, hit);
        Hits {
            hops: 0,
            rows: vec![one; rows],
            addresses: dead(1, addresses),
        }
    };
    let crowded = PeerAddress {
        peer: peer(9),
        addresses: vec![address; PeerAddress::ADDRESSES_MAX + 1],
    };
    let boxed = |hits| FloodMessage::Hits(SearchId(1), Box::new(hits));
    for message in [
        FloodMessage::Hello {
            addresses: vec![address; PeerAddress::ADDRESSES_MAX + 1],
            neighbours: 0,
        },
        FloodMessage::Busy {
            peers: dead(1, PEERS_LISTED_MAX + 1),
        },
        FloodMessage::Pong {
            nonce: 1,
            peers: vec![crowded],
        },
        boxed(long(21, 1, 0)),
        boxed(long(1, 41, 0)),
        boxed(long(1, 0, 0)),
        boxed(long(1, 1, 41)),
        table(0, Some(8), vec![0; PATCH_BYTES_MAX + 1]),
        table(0, Some(7), Vec::new()),
        table(0, Some(22), Vec::new()),
    ] {
        let bytes = encode(&message);
        let decoded = decode::<FloodMessage>(&bytes);
        assert!(decoded.is_err(), "{message:?}");
    }
    let good = boxed(long(20, 2, 40));
    assert_eq!(decode(&encode(&good)), Ok(Decoded::Message(good)));
}
