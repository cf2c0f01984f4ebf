//! Routing tables that lie, break or never end.

use gannet_overlay::flood::PATCH_BYTES_MAX;

use super::*;

/// Slots 0 to 255 of a table of 256: a first one, then gaps of none.
fn everything() -> Vec<u8> {
    let mut flips = vec![0, 0];
    flips.extend([0xff; 31]);
    flips.push(0x7f);
    flips
}

#[test]
fn a_table_that_matches_everything_is_as_good_as_none() {
    let mut bench = Bench::with_neighbours(config(), 3);
    bench.hand(peer(1), table(0, Some(8), everything()));
    bench.hand(peer(2), table(0, Some(8), Vec::new()));
    let status = bench.flood.status();
    let has_table = |n| {
        let info = status.neighbours.iter().find(|info| info.peer == peer(n));
        info.is_some_and(|info| info.has_table)
    };
    assert_eq!([1, 2, 3].map(has_table), [false, true, false]);
    let (_, outputs) = search(&mut bench, 1, Strategy::Flood { ttl: 1 });
    let to: Vec<PeerId> = copies(&outputs).into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        to,
        [peer(1), peer(3)],
        "only who shares nothing is ruled out"
    );
}

#[test]
fn broken_tables_cost_the_link() {
    for flips in [vec![99, 1], vec![3, 0xff, 0xff, 0x7f], vec![0; 40]] {
        let mut bench = Bench::with_neighbours(config(), 2);
        let mut left = None;
        for n in 0..100 {
            let outputs = bench.hand(peer(1), table(n, Some(8), flips.clone()));
            left = left.or(lost(&outputs, peer(1)));
        }
        assert_eq!(left, Some(DownReason::Misbehaved), "{flips:?}");
        assert!(bench.is_neighbour(peer(2)));
    }
}

/// The longest patches, for the largest tables, as fast as they come.
#[test]
fn a_flood_of_tables_is_cut_off() {
    let mut bench = Bench::with_neighbours(config(), 2);
    let mut flips = vec![0, 0];
    flips.resize(PATCH_BYTES_MAX, 0xff);
    for n in 0..2_000 {
        let reset = (n == 0).then_some(21);
        bench.hand(peer(1), table(n, reset, flips.clone()));
    }
    assert!(bench.is_neighbour(peer(2)));
    let outputs = bench.hand(peer(2), ask(1, 3, 0));
    assert_eq!(asked(&outputs), 1);
}
