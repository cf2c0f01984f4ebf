//! Steps of one peer.

use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, Core as _, FileEntry, Hit, Link, Media, Output, PeerAddress, PeerId, Publication,
    Query, Row, Timestamp, WallTime, seeded_rng, step,
};

use super::*;

type Done = Output<FloodMessage, FloodEvent>;

const T0: Timestamp = Timestamp::from_secs(100);

pub(super) fn id(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

pub(super) fn config() -> Config {
    Config {
        tables: false,
        ..Config::default()
    }
}

/// Peer 0 with these fixed neighbours.
pub(super) fn fixed(config: Config, neighbours: &[u8]) -> Flood {
    let mut flood = Flood::new(id(0), config, seeded_rng(1));
    let neighbours = neighbours.iter().map(|n| id(*n)).collect();
    let outputs = command(&mut flood, FloodCommand::Fixed(neighbours));
    assert_eq!(outputs, []);
    flood
}

/// Peer 0 that these have greeted.
fn joined(config: Config, neighbours: &[u8]) -> Flood {
    let mut flood = Flood::new(id(0), config, seeded_rng(1));
    for n in neighbours {
        let outputs = say(&mut flood, *n, hello(8));
        assert!(outputs.iter().any(|output| matches!(
            output,
            Output::Send {
                message: FloodMessage::Welcome(_),
                ..
            }
        )));
    }
    flood
}

fn hello(neighbours: u16) -> FloodMessage {
    FloodMessage::Hello {
        addresses: Vec::new(),
        neighbours,
    }
}

pub(super) fn say(flood: &mut Flood, from: u8, message: FloodMessage) -> Vec<Done> {
    step(flood, |flood| flood.handle_message(T0, id(from), message))
}

pub(super) fn command(flood: &mut Flood, command: FloodCommand) -> Vec<Done> {
    step(flood, |flood| flood.handle_command(T0, command))
}

fn words(text: &str) -> Wanted {
    Wanted::Words(Query::new(text).unwrap())
}

pub(super) fn ask(search: u64, round: u8, ttl: u8) -> Ask {
    Ask {
        search: SearchId(search),
        round,
        ttl,
        hops: 1,
        report: true,
        again: false,
        question: Question::from(words("harry potter")),
    }
}

/// To whom the question goes, with which TTL and hops.
fn copies(outputs: &[Done]) -> Vec<(u8, u8, u8)> {
    let copies = outputs.iter().filter_map(|output| match output {
        Output::Send {
            to,
            message: FloodMessage::Ask(ask),
        } => Some((to.as_bytes()[0], ask.ttl, ask.hops)),
        _ => None,
    });
    copies.collect()
}

/// Reports: to whom, on which round and TTL, what.
pub(super) fn reports(outputs: &[Done]) -> Vec<(u8, u8, u8, Coverage)> {
    let reports = outputs.iter().filter_map(|output| match output {
        Output::Send {
            to,
            message:
                FloodMessage::Report {
                    round,
                    ttl,
                    coverage,
                    ..
                },
        } => Some((to.as_bytes()[0], *round, *ttl, *coverage)),
        _ => None,
    });
    reports.collect()
}

fn is_asked(outputs: &[Done]) -> bool {
    let asked = |output: &Done| matches!(output, Output::Event(FloodEvent::Asked { .. }));
    outputs.iter().any(asked)
}

fn asked(asked: u32) -> Coverage {
    Coverage {
        asked,
        ..Coverage::default()
    }
}

fn report(search: u64, round: u8, ttl: u8, coverage: Coverage) -> FloodMessage {
    FloodMessage::Report {
        search: SearchId(search),
        round,
        ttl,
        coverage,
    }
}

pub(super) fn row(n: u8) -> Row {
    let entry = FileEntry {
        content: ContentId::of(&[n]),
        size: 1,
        path: format!("harry potter {n}.txt"),
        media: Media::default(),
    };
    Row {
        content: entry.content,
        holders: 1,
        hits: vec![Hit {
            publication: Publication {
                entry,
                holder: id(n),
                expires: WallTime::from_unix_seconds(1),
                signature: SignatureBytes([0; 64]),
            },
        }],
    }
}

pub(super) fn hits(search: u64, hops: u8, rows: Vec<Row>) -> FloodMessage {
    let hits = Hits {
        hops,
        rows,
        addresses: Vec::new(),
    };
    FloodMessage::Hits(SearchId(search), Box::new(hits))
}

#[test]
fn messages_and_peers_are_small() {
    assert!(
        size_of::<FloodMessage>() <= 40,
        "{}",
        size_of::<FloodMessage>()
    );
    assert!(size_of::<FloodEvent>() <= 96, "{}", size_of::<FloodEvent>());
    assert!(
        size_of::<neighbours::Neighbour>() <= 88,
        "{}",
        size_of::<neighbours::Neighbour>()
    );
    assert!(size_of::<seen::Seen>() <= 32, "{}", size_of::<seen::Seen>());
    assert!(size_of::<Flood>() <= 1_200, "{}", size_of::<Flood>());
}

#[test]
fn the_first_copy_is_answered_and_passed_on_and_the_others_are_reported() {
    let mut flood = fixed(config(), &[1, 2, 3]);
    let outputs = say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 3)));
    assert!(is_asked(&outputs));
    assert_eq!(copies(&outputs), [(2, 2, 2), (3, 2, 2)]);
    assert_eq!(reports(&outputs), []);
    // The same again, and with less to go: seen.
    for ttl in [3, 2] {
        let outputs = say(&mut flood, 2, FloodMessage::Ask(ask(7, 0, ttl)));
        assert_eq!(reports(&outputs), [(2, 0, ttl, Coverage::default())]);
        assert_eq!(outputs.len(), 1);
    }
    // One that may go further: passed on, not answered; whoever sent the first
    // has nothing more to expect.
    let outputs = say(&mut flood, 2, FloodMessage::Ask(ask(7, 0, 4)));
    assert!(!is_asked(&outputs));
    assert_eq!(copies(&outputs), [(1, 3, 2), (3, 3, 2)]);
    assert_eq!(reports(&outputs), [(1, 0, 3, Coverage::default())]);
    // Reports to the first copies count whom they asked, once.
    assert_eq!(say(&mut flood, 3, report(7, 0, 2, asked(5))), []);
    assert_eq!(say(&mut flood, 3, report(7, 0, 3, asked(2))), []);
    assert_eq!(say(&mut flood, 3, report(7, 0, 3, asked(2))), []);
    let outputs = say(&mut flood, 1, report(7, 0, 3, asked(10)));
    assert_eq!(reports(&outputs), [(2, 0, 4, asked(1 + 5 + 2 + 10))]);
    assert_eq!(flood.status().open, 0);
}

#[test]
fn classic_peers_drop_what_they_have_seen_in_the_round() {
    let classic = Config {
        revisit: false,
        ..config()
    };
    let mut flood = fixed(classic, &[1, 2, 3]);
    say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 3)));
    let outputs = say(&mut flood, 2, FloodMessage::Ask(ask(7, 0, 9)));
    assert_eq!(copies(&outputs), []);
    let outputs = say(&mut flood, 2, FloodMessage::Ask(ask(7, 1, 3)));
    assert_eq!(copies(&outputs).len(), 2);
    assert!(!is_asked(&outputs));
}

#[test]
fn ttl_and_hops_are_bounded() {
    let cases = [
        // TTL, hops; TTL and hops of the copies.
        (255, 0, Some((14, 1))),
        (255, 3, Some((11, 4))),
        (255, 255, None),
        (9, 14, None),
        (1, 0, None),
        (2, 0, Some((1, 1))),
    ];
    for (n, (ttl, hops, copy)) in cases.into_iter().enumerate() {
        let mut flood = fixed(config(), &[1, 2]);
        let ask = Ask {
            ttl,
            hops,
            ..ask(n as u64, 0, 1)
        };
        let outputs = say(&mut flood, 1, FloodMessage::Ask(ask));
        assert!(is_asked(&outputs));
        let expected: Vec<_> = copy.iter().map(|(ttl, hops)| (2, *ttl, *hops)).collect();
        assert_eq!(copies(&outputs), expected, "TTL {ttl}, {hops} hops");
    }
    let mut flood = fixed(config(), &[1, 2]);
    assert_eq!(say(&mut flood, 1, FloodMessage::Ask(ask(1, 0, 0))), []);
    assert_eq!(flood.status().neighbours[0].strikes, 1);
}

#[test]
fn a_report_follows_the_own_answer() {
    let mut flood = fixed(config(), &[1, 2]);
    let outputs = say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 1)));
    assert_eq!((outputs.len(), is_asked(&outputs)), (1, true));
    let beyond = Coverage {
        beyond: 1,
        answers: 45,
        ..asked(1)
    };
    let answer = FloodCommand::Answer {
        search: SearchId(7),
        rows: (0..45).map(row).collect(),
        addresses: Vec::new(),
    };
    let outputs = command(&mut flood, answer);
    let rows: Vec<usize> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send {
                message: FloodMessage::Hits(_, hits),
                ..
            } => Some(hits.rows.len()),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [20, 20, 5]);
    assert_eq!(reports(&outputs), [(1, 0, 1, beyond)]);
    assert_eq!(outputs.len(), 4, "the report is the last");
    // Nobody answers: the next wake-up is due at once.
    say(&mut flood, 2, FloodMessage::Ask(ask(8, 0, 1)));
    assert_eq!(flood.next_deadline(), Some(T0));
    let outputs = step(&mut flood, |flood| flood.handle_timeout(T0));
    assert_eq!(
        reports(&outputs),
        [(
            2,
            0,
            1,
            Coverage {
                answers: 0,
                ..beyond
            }
        )]
    );
    assert_eq!(flood.next_deadline(), None);
}

#[test]
fn what_is_not_reported_in_time_is_silent() {
    let mut flood = fixed(config(), &[1, 2, 3, 4]);
    say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 3)));
    say(&mut flood, 2, report(7, 0, 2, asked(9)));
    let lost = |flood: &mut Flood| flood.handle_link(T0, id(3), Link::Down);
    assert_eq!(step(&mut flood, lost), []);
    let due = flood.next_deadline().unwrap();
    assert_eq!(due, T0 + Duration::from_secs(3));
    assert_eq!(step(&mut flood, |flood| flood.handle_timeout(T0)), []);
    let outputs = step(&mut flood, |flood| flood.handle_timeout(due));
    let silent = Coverage {
        silent: 2,
        ..asked(10)
    };
    assert_eq!(reports(&outputs), [(1, 0, 3, silent)]);
    assert_eq!(say(&mut flood, 4, report(7, 0, 2, asked(9))), []);
    assert_eq!(flood.status().counters.reports_unasked, 1);
}

#[test]
fn questions_over_the_budget_are_refused_and_not_remembered() {
    let tight = Config {
        questions_per_second: 1,
        questions_burst: 4,
        ..config()
    };
    let mut flood = fixed(tight, &[1, 2]);
    let mut refused = Vec::new();
    for search in 0..10 {
        let outputs = say(&mut flood, 1, FloodMessage::Ask(ask(search, 0, 1)));
        let is_refused = reports(&outputs).iter().any(|(.., c)| c.refused == 1);
        assert_ne!(is_refused, is_asked(&outputs));
        refused.extend(is_refused.then_some(search));
    }
    assert!(refused.len() >= 6, "{refused:?}");
    // Whoever else brings one of them is served.
    let outputs = say(&mut flood, 2, FloodMessage::Ask(ask(9, 0, 1)));
    assert!(is_asked(&outputs));
}

#[test]
fn hits_go_back_the_way_the_question_came() {
    let mut flood = fixed(config(), &[1, 2, 3]);
    command(
        &mut flood,
        FloodCommand::Seen {
            peer: id(2),
            addresses: vec!["10.0.0.2:7".parse().unwrap()],
        },
    );
    say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 3)));
    let outputs = say(&mut flood, 2, hits(7, 0, vec![row(2)]));
    let [
        Output::Send {
            to,
            message: FloodMessage::Hits(SearchId(7), passed),
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!((*to, passed.hops), (id(1), 1));
    let seen = PeerAddress {
        peer: id(2),
        addresses: vec!["10.0.0.2:7".parse().unwrap()],
    };
    assert_eq!(passed.addresses, [seen], "where the answerer was seen");
    // It answers for somebody else: nobody wants to know where it is itself.
    let outputs = say(&mut flood, 2, hits(7, 0, vec![row(4)]));
    let [
        Output::Send {
            message: FloodMessage::Hits(_, passed),
            ..
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert_eq!(passed.addresses, []);
    // From whom it was not passed on to, or for what nobody asked.
    assert_eq!(say(&mut flood, 1, hits(7, 0, vec![row(1)])), []);
    assert_eq!(say(&mut flood, 3, hits(8, 0, vec![row(1)])), []);
    let status = flood.status();
    assert_eq!(status.counters.hits_unasked, 2);
    assert_eq!(status.neighbours.iter().map(|n| n.strikes).sum::<u16>(), 2);
    // Too far, too many.
    assert_eq!(say(&mut flood, 2, hits(7, 255, vec![row(2)])), []);
    let passed = (0..100)
        .filter(|_| !say(&mut flood, 2, hits(7, 1, vec![row(2); 20])).is_empty())
        .count();
    assert_eq!(passed, 49);
}

#[test]
fn liars_are_expelled_and_refused() {
    let mut flood = joined(config(), &[1, 2]);
    let mut outputs = Vec::new();
    for _ in 0..16 {
        outputs = say(&mut flood, 1, hits(8, 0, vec![row(1)]));
    }
    let down = FloodEvent::NeighbourDown {
        peer: id(1),
        reason: DownReason::Misbehaved,
    };
    assert!(outputs.contains(&Output::Event(down)));
    assert!(outputs.contains(&Output::Disconnect { peer: id(1) }));
    let busy = FloodMessage::Busy { peers: Vec::new() };
    let refused = Output::Send {
        to: id(1),
        message: busy,
    };
    assert_eq!(say(&mut flood, 1, hello(0)), [refused]);
    assert_eq!(flood.status().neighbours.len(), 1);
}

#[test]
fn an_own_search_takes_hits_and_ends_after_the_layer_above_had_its_say() {
    let mut flood = fixed(config(), &[1, 2]);
    let outputs = command(
        &mut flood,
        FloodCommand::Search {
            id: 5,
            wanted: words("harry"),
            enough: 2,
            strategy: Some(Strategy::Flood { ttl: 4 }),
        },
    );
    assert_eq!(copies(&outputs), [(1, 4, 0), (2, 4, 0)]);
    let Output::Send {
        message: FloodMessage::Ask(asked),
        ..
    } = &outputs[0]
    else {
        panic!("{outputs:?}");
    };
    let search = asked.search.0;
    // It comes back: it goes nowhere.
    let outputs = say(
        &mut flood,
        2,
        FloodMessage::Ask(Ask {
            ttl: 255,
            round: 9,
            ..asked.clone()
        }),
    );
    assert_eq!((copies(&outputs), is_asked(&outputs)), (vec![], false));
    let outputs = say(&mut flood, 1, hits(search, 2, vec![row(7), row(8)]));
    assert!(matches!(
        &outputs[..],
        [Output::Event(FloodEvent::Rows { id: 5, hops: 3, rows, .. })] if rows.len() == 2
    ));
    // They were forged: it goes on.
    command(
        &mut flood,
        FloodCommand::Forged {
            via: id(1),
            hops: 1,
        },
    );
    assert_eq!(step(&mut flood, |flood| flood.handle_timeout(T0)), []);
    say(&mut flood, 2, hits(search, 0, vec![row(7), row(8)]));
    let outputs = step(&mut flood, |flood| flood.handle_timeout(T0));
    let [Output::Event(FloodEvent::Ended { id: 5, outcome })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!((outcome.ending, outcome.neighbours), (Ending::Enough, 2));
    // What comes late is nobody's fault.
    assert_eq!(say(&mut flood, 2, hits(search, 0, vec![row(9)])), []);
    assert_eq!(flood.status().counters.hits_unasked, 0);
    assert_eq!(flood.next_deadline(), None);
}

#[test]
fn greetings_are_granted_up_to_a_quarter_more_than_wanted() {
    let mut flood = joined(config(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let outputs = say(&mut flood, 11, hello(0));
    let [
        Output::Send {
            message: FloodMessage::Busy { peers },
            ..
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert!(!peers.is_empty() && peers.iter().all(|peer| peer.peer != id(11)));
    assert_eq!(flood.status().neighbours.len(), 10);
    // Again from a neighbour: welcome as before.
    let outputs = say(&mut flood, 3, hello(0));
    assert_eq!(outputs.len(), 1);
    assert_eq!(flood.status().neighbours.len(), 10);
}

#[test]
fn what_nobody_waits_for_changes_nothing() {
    let mut flood = joined(config(), &[1]);
    let peers = vec![PeerAddress {
        peer: id(9),
        addresses: Vec::new(),
    }];
    let welcome = Welcome {
        addresses: Vec::new(),
        peers: peers.clone(),
    };
    let unasked = [
        (2, FloodMessage::Welcome(Box::new(welcome))),
        (
            2,
            FloodMessage::Busy {
                peers: peers.clone(),
            },
        ),
        (
            2,
            FloodMessage::Bye {
                peers: peers.clone(),
            },
        ),
        (
            2,
            FloodMessage::Pong {
                nonce: 0,
                peers: peers.clone(),
            },
        ),
        (1, FloodMessage::Pong { nonce: 0, peers }),
        (2, FloodMessage::Ask(ask(1, 0, 3))),
        (2, hits(1, 0, vec![row(2)])),
    ];
    for (from, message) in unasked {
        assert_eq!(say(&mut flood, from, message), []);
    }
    let status = flood.status();
    assert_eq!((status.neighbours.len(), status.known_peers), (1, 1));
    // Who believes to be a neighbour is told that it is none.
    let outputs = say(&mut flood, 2, FloodMessage::Ping { nonce: 4 });
    assert!(matches!(
        &outputs[..],
        [Output::Send {
            message: FloodMessage::Bye { .. },
            ..
        }]
    ));
}

#[test]
fn dead_candidates_are_tried_ever_less() {
    let mut flood = Flood::new(id(0), config(), seeded_rng(3));
    let named = PeerAddress {
        peer: id(1),
        addresses: vec!["10.0.0.1:7".parse().unwrap()],
    };
    let mut outputs = command(&mut flood, FloodCommand::Bootstrap(vec![named.clone()]));
    let (mut now, mut dials) = (T0, 0);
    while now < T0 + Duration::from_secs(3_600) {
        if outputs.contains(&Output::Dial { peer: id(1) }) {
            assert_eq!(
                outputs[0],
                Output::Event(FloodEvent::Addresses(named.clone()))
            );
            dials += 1;
            outputs = step(&mut flood, |flood| {
                flood.handle_link(now, id(1), Link::Unreachable);
            });
            continue;
        }
        assert_eq!(outputs, []);
        now = flood.next_deadline().expect("it never gives up");
        outputs = step(&mut flood, |flood| flood.handle_timeout(now));
    }
    assert!((15..40).contains(&dials), "{dials} dials in an hour");
}
