use gannet_base::PeerId;

use super::*;
use crate::flood::Coverage;

fn part(end: PartEnd) -> Part {
    let overlay = match &end {
        PartEnd::Told(OverlayOutcome::Hub(_)) => Overlay::Hub,
        _ => Overlay::Flood,
    };
    Part {
        overlay,
        end,
        found: 0,
        forged: 0,
        unmatched: 0,
        elapsed: Duration::ZERO,
    }
}

fn hubs(answers: &[bool]) -> Part {
    let outcome = |(n, answered): (usize, &bool)| HubOutcome {
        hub: PeerId::from_bytes([u8::try_from(n).unwrap(); 32]),
        outcome: if *answered {
            Outcome::Answered { total: 0 }
        } else {
            Outcome::NoAnswer
        },
        elapsed: Duration::ZERO,
    };
    let hubs = answers.iter().enumerate().map(outcome).collect();
    part(PartEnd::Told(OverlayOutcome::Hub(hubs)))
}

fn flood(ending: Ending, asked: u32, silent: u32) -> Part {
    let coverage = Coverage {
        asked,
        silent,
        ..Coverage::default()
    };
    part(PartEnd::Told(OverlayOutcome::Flood(FloodOutcome {
        ending,
        rounds: 1,
        ttl: 2,
        neighbours: 1,
        coverage,
        elapsed: Duration::ZERO,
    })))
}

fn supernodes(ending: supernode::Ending, own: u32, beyond: Coverage) -> Part {
    let outcome = SupernodeOutcome {
        ending,
        asked: own,
        answered: supernode::Answered {
            coverage: beyond,
            ..supernode::Answered::default()
        },
        elapsed: Duration::ZERO,
    };
    Part {
        overlay: Overlay::Supernode,
        ..part(PartEnd::Told(OverlayOutcome::Supernode(outcome)))
    }
}

fn ring(ending: dht::Ending, asked: u32, answered: u32) -> Part {
    let outcome = DhtOutcome {
        ending,
        asked,
        answered,
        hops: 4,
        messages: 12,
        elapsed: Duration::ZERO,
    };
    Part {
        overlay: Overlay::Dht,
        ..part(PartEnd::Told(OverlayOutcome::Dht(outcome)))
    }
}

fn unused(overlay: Overlay) -> Part {
    Part {
        overlay,
        ..part(PartEnd::Told(OverlayOutcome::Unused))
    }
}

#[track_caller]
fn check(rows: u32, parts: Vec<Part>, verdict: Verdict, sentence: &str) {
    let explanation = Explanation {
        rows,
        total: rows.into(),
        parts,
        elapsed: Duration::ZERO,
    };
    assert_eq!(explanation.verdict(), verdict, "{explanation:?}");
    assert_eq!(explanation.sentence(), sentence);
}

#[test]
fn with_hubs_only_it_speaks_of_hubs_only() {
    let nothing = || unused(Overlay::Flood);
    let cases = [
        (
            0,
            &[true][..],
            Verdict::Nobody,
            "Nobody has it: asked 1 hub, all answered.",
        ),
        (
            0,
            &[false],
            Verdict::CouldNotAsk,
            "I could not ask: the hub did not answer.",
        ),
        (
            0,
            &[true, false],
            Verdict::Incomplete,
            "Found nothing, but only 1 of 2 hubs answered.",
        ),
        (1, &[true], Verdict::Found, "1 row from 1 of 1 hub."),
        (
            2,
            &[true, false],
            Verdict::Found,
            "2 rows from 1 of 2 hubs.",
        ),
    ];
    for (rows, answers, verdict, sentence) in cases {
        check(rows, vec![hubs(answers), nothing()], verdict, sentence);
    }
}

#[test]
fn nobody_known_says_what_to_start_with() {
    check(
        0,
        vec![unused(Overlay::Hub), unused(Overlay::Flood)],
        Verdict::CouldNotAsk,
        "I could not ask anybody: no hub is named and no other peer is known. \
         Start with --hub or --peer PEER@ADDRESS.",
    );
    check(
        0,
        vec![unused(Overlay::Flood)],
        Verdict::CouldNotAsk,
        "I could not ask anybody: no other peer is known. Start with --peer PEER@ADDRESS.",
    );
}

#[test]
fn a_flood_says_how_far_it_came() {
    check(
        0,
        vec![unused(Overlay::Hub), flood(Ending::Everybody, 12, 0)],
        Verdict::Nobody,
        "Nobody has it: asked 12 peers by flood, everybody within reach.",
    );
    check(
        0,
        vec![flood(Ending::Partial, 3, 2)],
        Verdict::Incomplete,
        "Found nothing, but asked 3 peers by flood, 2 did not report.",
    );
    check(
        0,
        vec![flood(Ending::NoNeighbours, 0, 0)],
        Verdict::CouldNotAsk,
        "I could not ask: flood has no neighbour now.",
    );
    check(
        0,
        vec![flood(Ending::Partial, 0, 2)],
        Verdict::CouldNotAsk,
        "I could not ask: no neighbour answered: 2 did not report.",
    );
}

#[test]
fn supernodes_say_how_far_they_came() {
    use supernode::Ending;
    let asked = |asked| Coverage {
        asked,
        ..Coverage::default()
    };
    let cases = [
        (
            supernodes(Ending::Everybody, 1, asked(11)),
            Verdict::Nobody,
            "Nobody has it: asked 12 supernodes, all that can be reached.",
        ),
        (
            supernodes(Ending::Everybody, 0, asked(0)),
            Verdict::Nobody,
            "Nobody has it: looked into what the leaves of this supernode share, all that can \
             be reached.",
        ),
        (
            supernodes(
                Ending::Everybody,
                1,
                Coverage {
                    ruled_out: 2,
                    ..asked(3)
                },
            ),
            Verdict::Incomplete,
            "Found nothing, but asked 4 supernodes, not all.",
        ),
        (
            supernodes(
                Ending::Partial,
                2,
                Coverage {
                    silent: 1,
                    ..asked(3)
                },
            ),
            Verdict::Incomplete,
            "Found nothing, but asked 4 supernodes, one of this peer's own did not answer to \
             the end, 1 did not report.",
        ),
        (
            supernodes(Ending::NoSupernode, 0, asked(0)),
            Verdict::CouldNotAsk,
            "I could not ask: no supernode took the question.",
        ),
    ];
    for (part, verdict, sentence) in cases {
        check(0, vec![unused(Overlay::Hub), part], verdict, sentence);
    }
    check(
        2,
        vec![
            hubs(&[true]),
            supernodes(Ending::Enough, 1, asked(0)),
            flood(super::Ending::Everybody, 4, 0),
        ],
        Verdict::Found,
        "2 rows from 1 of 1 hub, 1 supernode and 4 peers by flood.",
    );
    check(
        1,
        vec![unused(Overlay::Supernode)],
        Verdict::Found,
        "1 row from this peer itself.",
    );
}

#[test]
fn the_ring_says_whom_it_asked() {
    use dht::Ending;
    let cases = [
        (
            ring(Ending::Everything, 1, 1),
            Verdict::Nobody,
            "Nobody has it: asked 1 peer by dht, where all that is shared is listed.",
        ),
        (
            ring(Ending::Everything, 0, 0),
            Verdict::Nobody,
            "Nobody has it: looked into this peer's own part of the dht, where all that is shared \
             is listed.",
        ),
        (
            ring(Ending::Partial, 3, 2),
            Verdict::Incomplete,
            "Found nothing, but asked 3 peers by dht, 1 did not answer.",
        ),
        (
            ring(Ending::Partial, 2, 2),
            Verdict::Incomplete,
            "Found nothing, but asked 2 peers by dht, not all.",
        ),
        (
            ring(Ending::Partial, 2, 0),
            Verdict::CouldNotAsk,
            "I could not ask: asked 2 peers by dht, 2 did not answer.",
        ),
        (
            ring(Ending::Partial, 0, 0),
            Verdict::CouldNotAsk,
            "I could not ask: the peers of the dht that list it were not found.",
        ),
        (
            ring(Ending::Alone, 0, 0),
            Verdict::CouldNotAsk,
            "I could not ask: the dht has no other peer now.",
        ),
        (
            ring(Ending::TooMany, 0, 0),
            Verdict::CouldNotAsk,
            "I could not ask: too many searches of the dht run already.",
        ),
    ];
    for (part, verdict, sentence) in cases {
        check(0, vec![unused(Overlay::Hub), part], verdict, sentence);
    }
    check(
        2,
        vec![
            unused(Overlay::Supernode),
            ring(Ending::Enough, 2, 1),
            flood(super::Ending::Everybody, 4, 0),
        ],
        Verdict::Found,
        "2 rows from 1 peer by dht and 4 peers by flood.",
    );
    check(
        1,
        vec![ring(Ending::Everything, 0, 0)],
        Verdict::Found,
        "1 row from this peer's own part of the dht.",
    );
    check(
        0,
        vec![unused(Overlay::Dht)],
        Verdict::CouldNotAsk,
        "I could not ask anybody: no other peer is known. Start with --peer PEER@ADDRESS.",
    );
}

#[test]
fn one_overlay_may_fail_while_the_other_answers() {
    check(
        0,
        vec![hubs(&[false]), flood(Ending::Everybody, 1, 0)],
        Verdict::Incomplete,
        "Found nothing, but the hub did not answer; asked 1 peer by flood, everybody within \
         reach.",
    );
    check(
        2,
        vec![hubs(&[false]), flood(Ending::Everybody, 4, 0)],
        Verdict::Found,
        "2 rows from 4 peers by flood; the hub did not answer.",
    );
    check(
        2,
        vec![hubs(&[true]), part(PartEnd::Enough)],
        Verdict::Found,
        "2 rows from 1 of 1 hub and flood until it was enough.",
    );
}

#[test]
fn what_was_dropped_is_said() {
    let mut liar = flood(Ending::Enough, 1, 0);
    (liar.forged, liar.unmatched) = (1, 2);
    check(
        0,
        vec![liar],
        Verdict::Incomplete,
        "Found nothing, but asked 1 peer by flood until it was enough. 1 answer dropped: not \
         signed by the peer they name. 2 answers dropped: not what was asked for.",
    );
}
