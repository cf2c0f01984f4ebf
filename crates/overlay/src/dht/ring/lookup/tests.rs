use gannet_base::PeerId;

use super::*;

fn at(position: u128) -> Contact {
    let n = u8::try_from(position).expect("small");
    Contact {
        position: Position(position),
        ..Contact::new(PeerId::from_bytes([n; 32]), 0)
    }
}

/// Searches once said that there was nothing, though all that hold the list had it: who
/// comes after a node that was silent was taken for the owner of that node's keys too.
#[test]
fn what_a_silent_node_owns_is_not_the_next_ones() {
    let (me, now) = (at(10), Timestamp::from_secs(1));
    let mut lookup = Lookup::new((1, Purpose::Caller(1)), Position(100), now, (1, false));
    let owners = vec![at(120), at(130)];
    let step = Step {
        closer: vec![at(80), at(60)],
        owners: owners.clone(),
    };
    lookup.begin(Some(&me), step);
    let pace = (1, Duration::from_secs(9));
    let mut asked = Vec::new();
    while let Some(Ask::Find(place, to, _)) = lookup.next(now, pace, &Suspicion::NONE) {
        asked.push(to.position.0);
        if to == at(80) {
            lookup.on_failed(place, true);
        } else {
            let closer = Vec::new();
            let owners = owners.clone();
            lookup.on_step(place, Step { closer, owners });
        }
    }
    assert_eq!(asked, [80, 60]);
    assert!(lookup.is_over());
    let found = lookup.result(now).expect("it led somewhere");
    assert_eq!((found.predecessor, found.owners), (at(60), owners));
    assert_eq!(found.from, Position(80));
}
