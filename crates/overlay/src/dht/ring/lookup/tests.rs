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

/// Whoever lies a few nodes before the key knows all from there on: those in between need
/// not be asked as well, and those before wide gaps are not asked by everybody.
#[test]
fn who_tells_of_enough_owners_is_the_last_to_be_asked() {
    let (me, now) = (at(10), Timestamp::from_secs(1));
    let owners = vec![at(120), at(130), at(140), at(150)];
    let look_up = |enough: usize, confirms: bool| {
        let purpose = (1, Purpose::Caller(1));
        let mut lookup = Lookup::new(purpose, Position(100), now, (1, confirms));
        lookup.settle_for(enough, 0);
        let (closer, none) = (vec![at(60)], Vec::new());
        lookup.begin(
            Some(&me),
            Step {
                closer,
                owners: none,
            },
        );
        let pace = (1, Duration::from_secs(9));
        let mut asked = Vec::new();
        while let Some(Ask::Find(place, to, _)) = lookup.next(now, pace, &Suspicion::NONE) {
            asked.push(to.position.0);
            let is_first = to == at(60);
            let closer = if is_first {
                vec![at(90), at(80)]
            } else {
                Vec::new()
            };
            let owners = owners.clone();
            lookup.on_step(place, Step { closer, owners });
        }
        (asked, lookup)
    };
    let (asked, mut lookup) = look_up(4, false);
    let found = lookup.result(now).expect("it led somewhere");
    assert_eq!((asked, found.predecessor), (vec![60], at(60)));
    assert_eq!((found.from, found.owners), (Position(90), owners.clone()));
    assert_eq!(look_up(5, false).0, [60, 90], "too few are told of");
    assert_eq!(look_up(4, true).0, [60, 90], "it is to be certain");
}

/// Those before wide gaps were asked by everybody who looked for what lies behind: whoever
/// lies a few nodes before the key does as well, and any of them is drawn.
#[test]
fn of_the_last_nodes_before_a_key_any_is_asked() {
    let (me, now) = (at(10), Timestamp::from_secs(1));
    let look_up = |draw: usize, told: Vec<Contact>| {
        let purpose = (1, Purpose::Caller(1));
        let mut lookup = Lookup::new(purpose, Position(100), now, (1, false));
        lookup.settle_for(2, draw);
        let (closer, owners) = (vec![at(60)], Vec::new());
        lookup.begin(Some(&me), Step { closer, owners });
        let pace = (1, Duration::from_secs(9));
        let mut asked = Vec::new();
        while let Some(Ask::Find(place, to, _)) = lookup.next(now, pace, &Suspicion::NONE) {
            asked.push(to.position.0);
            let (closer, owners) = if to == at(60) {
                (vec![at(90), at(80), at(70)], told.clone())
            } else {
                (Vec::new(), vec![at(120), at(130)])
            };
            lookup.on_step(place, Step { closer, owners });
        }
        (asked, lookup.result(now).expect("it led somewhere").from)
    };
    let drawn = |draw: usize| look_up(draw, vec![at(120)]);
    let nearest = Position(90);
    assert_eq!(drawn(0), (vec![60, 90], nearest));
    assert_eq!(drawn(1), (vec![60, 80], nearest));
    assert_eq!(drawn(5), (vec![60, 70], nearest));
    // Who knows of no owners may know of few nodes before the key.
    assert_eq!(look_up(1, Vec::new()), (vec![60, 90], nearest));
}
