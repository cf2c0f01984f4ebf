//! Strangers, and thousands of them.

use gannet_overlay::flood::{Coverage, PEERS_LISTED_MAX};

use super::*;

#[test]
fn who_is_no_neighbour_is_not_served() {
    let mut bench = Bench::with_neighbours(config(), 2);
    let (search, _) = search(&mut bench, 1, Strategy::Flood { ttl: 2 });
    let now = bench.now;
    let stranger = peer(77);
    let _ = step(&mut bench.flood, |flood| {
        flood.handle_link(now, stranger, Link::Up);
    });
    let patch = Patch {
        sequence: 0,
        reset: Some(8),
        last: true,
        flips: Vec::new(),
    };
    for message in [
        ask(5, 7, 0),
        hits(search, 4),
        FloodMessage::Report {
            search,
            round: 0,
            ttl: 2,
            coverage: Coverage::default(),
        },
        FloodMessage::Table(Box::new(patch)),
    ] {
        let outputs = bench.hand(stranger, message);
        assert_eq!(
            (asked(&outputs), rows(&outputs), copies(&outputs).len()),
            (0, 0, 0)
        );
    }
    assert_eq!(bench.flood.status().neighbours.len(), 2);
}

#[test]
fn thousands_of_greetings_make_no_more_neighbours_than_allowed() {
    let config = config();
    let most = usize::from(config.neighbours_target) * 2;
    let known_max = config.known_max + config.bootstrap_max;
    let mut bench = Bench::with_neighbours(config, 1);
    for n in 0..5_000_u32 {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&n.to_le_bytes());
        let stranger = PeerId::from_bytes(id);
        bench.greet(stranger);
        bench.hand(
            stranger,
            FloodMessage::Bye {
                peers: dead(n, PEERS_LISTED_MAX),
            },
        );
        if n % 100 == 0 {
            bench.run_for(Duration::from_millis(500));
        }
        let status = bench.flood.status();
        assert!(status.neighbours.len() <= most);
        assert!(
            status.known_peers <= known_max,
            "{} known",
            status.known_peers
        );
    }
    let state = format!("{:?}", bench.flood).len();
    assert!(state < 1_000_000, "{state} characters");
}
