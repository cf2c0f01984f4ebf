use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

type Sides = Table<&'static str, ()>;

const LIFE: Instance = [1; 16];
const NEXT_LIFE: Instance = [2; 16];

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

/// The peer that side 0 or 1 of the model talks to.
fn other(side: usize) -> PeerId {
    [peer(2), peer(1)][side]
}

fn begin(table: &mut Sides, to: PeerId) -> u64 {
    match table.dial(to, ()) {
        DialStep::Begin(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dial_goes_up_once_and_later_dials_find_it() {
    let mut a = Sides::new(peer(1));
    let dial = begin(&mut a, peer(2));
    assert_eq!(a.dial(peer(2), ()), DialStep::UnderWay);
    assert!(a.up(peer(2)).is_none());
    let pass = a.greet(peer(2), dial).unwrap();
    let entered = a.enter_dialed(peer(2), pass, LIFE, 1, "x").unwrap();
    assert_eq!((entered.predecessor, entered.has_replaced), (None, false));
    assert_eq!(a.up(peer(2)), Some(&"x"));
    assert_eq!(a.dial(peer(2), ()), DialStep::Connected);
    assert!(
        !a.dial_failed(peer(2), dial),
        "nobody waits for it any more"
    );
    a.leave(peer(2), pass.id);
    assert!(a.up(peer(2)).is_none());
    a.gone(peer(2), pass.id);
    assert!(a.peers.is_empty());
}

#[test]
fn of_two_greetings_that_cross_the_smaller_ids_is_kept() {
    let (mut small, mut great) = (Sides::new(peer(1)), Sides::new(peer(2)));
    let (from_small, from_great) = (begin(&mut small, peer(2)), begin(&mut great, peer(1)));
    let small_pass = small.greet(peer(2), from_small).unwrap();
    let great_pass = great.greet(peer(1), from_great).unwrap();
    assert!(
        small
            .enter_accepted(peer(2), NEXT_LIFE, great_pass.sequence, |_| "y")
            .is_none()
    );
    let (answer, _) = great
        .enter_accepted(peer(1), LIFE, small_pass.sequence, |_| "x")
        .unwrap();
    assert!(!great.dial_failed(peer(1), from_great), "it is connected");
    assert!(
        great
            .enter_dialed(peer(1), great_pass, LIFE, 9, "y")
            .is_none()
    );
    small
        .enter_dialed(peer(2), small_pass, NEXT_LIFE, answer.sequence, "x")
        .unwrap();
    assert_eq!(
        (small.up(peer(2)), great.up(peer(1))),
        (Some(&"x"), Some(&"x"))
    );
}

#[test]
fn a_leftover_greeting_does_not_replace_but_a_later_one_does() {
    let (mut small, mut great) = (Sides::new(peer(1)), Sides::new(peer(2)));
    let from_great = begin(&mut great, peer(1));
    let leftover = great.greet(peer(1), from_great).unwrap();
    let from_small = begin(&mut small, peer(2));
    let pass = small.greet(peer(2), from_small).unwrap();
    let (answer, _) = great
        .enter_accepted(peer(1), LIFE, pass.sequence, |_| "x")
        .unwrap();
    small
        .enter_dialed(peer(2), pass, NEXT_LIFE, answer.sequence, "x")
        .unwrap();
    assert!(
        small
            .enter_accepted(peer(2), NEXT_LIFE, leftover.sequence, |_| "y")
            .is_none()
    );
    // Now the greater one loses the connection and dials again.
    great.leave(peer(1), answer.id);
    let again = begin(&mut great, peer(1));
    let later = great.greet(peer(1), again).unwrap();
    let (_, entered) = small
        .enter_accepted(peer(2), NEXT_LIFE, later.sequence, |_| "z")
        .unwrap();
    assert_eq!(
        (entered.predecessor, entered.has_replaced),
        (Some("x"), true)
    );
    assert_eq!(small.up(peer(2)), Some(&"z"));
}

#[test]
fn a_restarted_peer_replaces_its_old_connection_whatever_its_numbers() {
    let mut a = Sides::new(peer(1));
    a.enter_accepted(peer(2), LIFE, 1_000, |_| "old").unwrap();
    let (_, entered) = a.enter_accepted(peer(2), NEXT_LIFE, 1, |_| "new").unwrap();
    assert_eq!(
        (entered.predecessor, entered.has_replaced),
        (Some("old"), true)
    );
    assert!(
        a.enter_accepted(peer(2), NEXT_LIFE, 1, |_| "again")
            .is_none(),
        "the same greeting twice"
    );
}

#[test]
fn a_newcomer_waits_for_the_one_that_is_leaving() {
    let mut a = Sides::new(peer(1));
    let (old, _) = a.enter_accepted(peer(2), LIFE, 1, |_| "old").unwrap();
    a.leave(peer(2), old.id);
    let (_, entered) = a.enter_accepted(peer(2), LIFE, 2, |_| "new").unwrap();
    assert_eq!(
        (entered.predecessor, entered.has_replaced),
        (Some("old"), false)
    );
    a.gone(peer(2), old.id);
    assert_eq!(a.up(peer(2)), Some(&"new"));
}

#[test]
fn a_dial_that_has_not_greeted_gives_way() {
    let mut small = Sides::new(peer(1));
    let dial = begin(&mut small, peer(2));
    assert!(small.enter_accepted(peer(2), LIFE, 1, |_| "y").is_some());
    assert_eq!(small.greet(peer(2), dial), None);
    assert!(!small.dial_failed(peer(2), dial));
}

/// Two sides, messages between them delayed at will: each connection carries a
/// greeting one way and an answer or a refusal back.
#[derive(Debug, Clone, Copy)]
enum Packet {
    Greeting { dial: u64, sequence: u64 },
    Answer { pass: Pass, sequence: u64 },
    Refusal { dial: u64 },
}

#[derive(Debug, Clone)]
enum Step {
    Dial(usize),
    Greet(usize),
    Deliver(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..2).prop_map(Step::Dial),
        (0usize..2).prop_map(Step::Greet),
        (0usize..2, 0usize..100).prop_map(|(to, which)| Step::Deliver(to, which)),
    ]
}

proptest! {
    /// However dials, greetings and answers interleave, once everything has
    /// arrived both sides have the same connection or neither has any.
    #[test]
    fn both_sides_keep_the_same_one(steps in prop::collection::vec(step(), 1..40)) {
        // A connection is named by who dialled it and that side's dial.
        let mut sides = [Table::<(usize, u64), ()>::new(peer(1)), Table::new(peer(2))];
        let lives = [LIFE, NEXT_LIFE];
        let mut inboxes: [VecDeque<Packet>; 2] = Default::default();
        let mut dials: [Option<u64>; 2] = [None; 2];
        let mut passes: [Vec<Pass>; 2] = Default::default();
        let rest = (0..60).map(|n| {
            let side = n % 2;
            if n < 4 { Step::Greet(side) } else { Step::Deliver(side, 0) }
        });
        let mut dialed = false;
        for step in steps.into_iter().chain(rest) {
            match step {
                Step::Dial(me) => if let DialStep::Begin(id) = sides[me].dial(other(me), ()) {
                    dials[me] = Some(id);
                    dialed = true;
                },
                Step::Greet(me) => if let Some(dial) = dials[me].take()
                    && let Some(pass) = sides[me].greet(other(me), dial) {
                    passes[me].push(pass);
                    inboxes[1 - me].push_back(Packet::Greeting { dial, sequence: pass.sequence });
                },
                Step::Deliver(me, which) => {
                    let waiting = inboxes[me].len();
                    if waiting == 0 { continue; }
                    // Different connections overtake each other.
                    let packet = inboxes[me].remove(which % waiting).unwrap();
                    let other = other(me);
                    match packet {
                        Packet::Greeting { dial, sequence } => {
                            let entered = sides[me].enter_accepted(other, lives[1 - me], sequence, |_| (1 - me, dial));
                            inboxes[1 - me].push_back(match entered {
                                Some((pass, _)) => Packet::Answer {
                                    pass: Pass { id: dial, sequence: 0 },
                                    sequence: pass.sequence,
                                },
                                None => Packet::Refusal { dial },
                            });
                        }
                        Packet::Answer { pass, sequence } => {
                            let greeted = *passes[me].iter().find(|p| p.id == pass.id).unwrap();
                            sides[me].enter_dialed(other, greeted, lives[1 - me], sequence, (me, pass.id));
                        }
                        Packet::Refusal { dial } => { sides[me].dial_failed(other, dial); }
                    }
                }
            }
        }
        prop_assert!(inboxes.iter().all(VecDeque::is_empty));
        let up = [sides[0].up(peer(2)).copied(), sides[1].up(peer(1)).copied()];
        prop_assert_eq!(up[0], up[1]);
        prop_assert_eq!(up[0].is_some(), dialed);
    }
}
