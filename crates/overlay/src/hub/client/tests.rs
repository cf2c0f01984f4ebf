//! Tables of single steps.

use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, FileEntry, Hit, Media, Publication, Query, Row, WallTime, seeded_rng, step,
};

use super::*;
use crate::hub::chain;
use crate::hub::message::{Change, HolderAddresses, HubCounts, Limits, Standing};

const NOW: Timestamp = Timestamp::from_secs(100);
const EPOCH: u64 = 77;

type Outputs = Vec<Output<HubMessage, HubClientEvent>>;

fn hub() -> PeerId {
    PeerId::from_bytes([201; 32])
}

fn publication(holder: u8, path: &str) -> Publication {
    Publication {
        entry: FileEntry {
            content: ContentId::of(path.as_bytes()),
            size: 1,
            path: path.to_owned(),
            media: Media::default(),
        },
        holder: PeerId::from_bytes([holder; 32]),
        expires: WallTime::from_unix_seconds(1_000_000),
        signature: SignatureBytes([0; 64]),
    }
}

fn order(client: &mut HubClient, command: HubClientCommand) -> Outputs {
    step(client, |client| client.handle_command(NOW, command))
}

fn hear(client: &mut HubClient, now: Timestamp, message: HubMessage) -> Outputs {
    step(client, |client| client.handle_message(now, hub(), message))
}

fn sent(outputs: &Outputs) -> Vec<&HubMessage> {
    let message = |output| match output {
        &Output::Send { to, ref message } if to == hub() => Some(message),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

fn downs(outputs: &Outputs) -> Vec<DownReason> {
    let reason = |output: &Output<HubMessage, HubClientEvent>| match output {
        Output::Event(HubClientEvent::HubDown { reason, .. }) => Some(*reason),
        _ => None,
    };
    outputs.iter().filter_map(reason).collect()
}

fn standing(registration: u64, next: u32, chain: [u8; 16], entries: u32) -> Standing {
    Standing {
        epoch: EPOCH,
        registration,
        next,
        chain,
        entries,
        refused: 0,
    }
}

fn ack(standing: Standing) -> HubMessage {
    HubMessage::Ack {
        standing,
        early: false,
        wait_ms: 0,
        refusal: None,
    }
}

/// A client that greets its hub, and the greeting's nonce.
fn greeting() -> (HubClient, u64) {
    let mut client = HubClient::new(ClientConfig::default(), seeded_rng(4));
    let dialled = order(&mut client, HubClientCommand::Hubs(vec![hub()]));
    assert_eq!(dialled, [Output::Dial { peer: hub() }]);
    let outputs = step(&mut client, |client| {
        client.handle_link(NOW, hub(), Link::Up);
    });
    let [HubMessage::Hello { nonce, .. }] = sent(&outputs)[..] else {
        panic!("no greeting: {outputs:?}");
    };
    let nonce = *nonce;
    (client, nonce)
}

fn welcome(nonce: u64, standing: Standing) -> HubMessage {
    HubMessage::Welcome {
        nonce,
        limits: Limits {
            lease_seconds: 60,
            entries_max: 1_000,
            queries_per_second: 10,
            window_batches: 8,
        },
        standing,
        counts: HubCounts::default(),
    }
}

/// A client with one entry, registered as number 5.
fn registered() -> (HubClient, [u8; 16]) {
    let (mut client, nonce) = greeting();
    order(
        &mut client,
        HubClientCommand::Publish(vec![publication(1, "a/one")]),
    );
    let before = standing(4, 9, [1; 16], 3);
    let outputs = hear(&mut client, NOW, welcome(nonce, before));
    assert!(outputs.contains(&Output::Event(HubClientEvent::HubUp { hub: hub() })));
    let expected = HubMessage::Batch {
        epoch: EPOCH,
        registration: 5,
        sequence: 0,
        changes: vec![Change::put(&publication(1, "a/one"))],
    };
    assert_eq!(sent(&outputs), [&expected]);
    let changes = [Change::put(&publication(1, "a/one"))];
    let chain = chain::extend(chain::start(5), &changes);
    let outputs = hear(&mut client, NOW, ack(standing(5, 1, chain, 1)));
    let told = HubClientEvent::Registered {
        hub: hub(),
        entries: 1,
    };
    assert_eq!(outputs, [Output::Event(told)]);
    (client, chain)
}

#[test]
fn only_the_answer_to_the_greeting_is_a_welcome() {
    let (mut client, nonce) = greeting();
    let wrong = welcome(nonce ^ 1, Standing::default());
    assert_eq!(hear(&mut client, NOW, wrong), []);
    assert!(!client.status()[0].connected);
    let stranger = PeerId::from_bytes([3; 32]);
    let message = welcome(nonce, Standing::default());
    let outputs = step(&mut client, |client| {
        client.handle_message(NOW, stranger, message);
    });
    assert_eq!(outputs, []);
    let right = welcome(nonce, Standing::default());
    assert_eq!(hear(&mut client, NOW, right).len(), 1);
    assert!(client.status()[0].connected);
}

#[test]
fn a_peer_without_entries_registers_nothing() {
    let (mut client, nonce) = greeting();
    let outputs = hear(&mut client, NOW, welcome(nonce, Standing::default()));
    assert!(sent(&outputs).is_empty());
    // Unless the hub has some of an earlier run: they are replaced by none.
    let (mut client, nonce) = greeting();
    let stale = standing(4, 9, [1; 16], 3);
    let outputs = hear(&mut client, NOW, welcome(nonce, stale));
    let empty = HubMessage::Batch {
        epoch: EPOCH,
        registration: 5,
        sequence: 0,
        changes: vec![],
    };
    assert_eq!(sent(&outputs), [&empty]);
}

/// The registration that a message made the client begin, if any.
#[track_caller]
fn begun(outputs: &Outputs) -> Option<u64> {
    match sent(outputs)[..] {
        [] => None,
        [
            HubMessage::Batch {
                registration,
                sequence: 0,
                ..
            },
        ] => Some(*registration),
        _ => panic!("{outputs:?}"),
    }
}

/// What `standing` makes a registered client begin: in an acknowledgement, and
/// in the answer to a keep-alive.
fn begun_by(standing: Standing) -> (Option<u64>, Option<u64>) {
    let (mut client, _) = registered();
    let after_ack = begun(&hear(&mut client, NOW, ack(standing)));

    let (mut client, _) = registered();
    let due = client.next_deadline().unwrap();
    let outputs = step(&mut client, |client| client.handle_timeout(due));
    let [HubMessage::Ping { nonce, .. }, HubMessage::Sources { .. }] = sent(&outputs)[..] else {
        panic!("no keep-alive with canary: {outputs:?}");
    };
    let pong = HubMessage::Pong {
        nonce: *nonce,
        standing,
        counts: HubCounts::default(),
    };
    let after_pong = begun(&hear(&mut client, due, pong.clone()));
    assert_eq!(
        hear(&mut client, due, pong),
        [],
        "repeated, it says nothing"
    );
    (after_ack, after_pong)
}

#[test]
fn standings_that_do_not_fit_begin_a_new_registration() {
    let (_, chain) = registered();
    let restarted = Standing {
        epoch: 78,
        ..Standing::default()
    };
    let cases = [
        (standing(5, 1, chain, 1), (None, None), "all is well"),
        (
            standing(5, 0, chain::start(5), 0),
            (None, Some(6)),
            "fell back",
        ),
        (
            standing(5, 1, [9; 16], 1),
            (Some(6), Some(6)),
            "another history",
        ),
        (
            standing(5, 2, chain, 1),
            (Some(6), Some(6)),
            "more than was sent",
        ),
        (
            standing(4, 9, [1; 16], 3),
            (None, Some(5)),
            "an earlier one",
        ),
        (
            standing(8, 1, chain, 1),
            (Some(9), Some(9)),
            "somebody else's",
        ),
        (
            standing(5, 1, chain, 0),
            (None, Some(6)),
            "an entry is gone",
        ),
        (restarted, (None, Some(1)), "a restart"),
    ];
    for (standing, expected, why) in cases {
        assert_eq!(begun_by(standing), expected, "{why}");
    }
}

#[test]
fn a_hub_that_always_lies_is_left() {
    let (mut client, _) = registered();
    let strikes_max = ClientConfig::default().strikes_max;
    for strike in 1..=strikes_max {
        let outputs = hear(&mut client, NOW, ack(standing(99, 1, [9; 16], 1)));
        let left = strike == strikes_max;
        assert_eq!(downs(&outputs).len(), usize::from(left));
        assert_eq!(outputs.contains(&Output::Disconnect { peer: hub() }), left);
        // It names ever larger numbers.
        if let [HubMessage::Batch { registration, .. }] = sent(&outputs)[..] {
            assert_eq!(*registration, 100);
            hear(&mut client, NOW, ack(standing(u64::MAX, 1, [9; 16], 1)));
            return assert!(!client.status()[0].connected);
        }
    }
}

#[test]
fn canaries_tell_right_from_wrong() {
    let row = |holder: u8, holders: u32| Row {
        content: ContentId::of(b"a/one"),
        holders,
        hits: vec![Hit {
            publication: publication(holder, "a/one"),
        }],
    };
    let cases = [
        (vec![row(1, 1)], None, "it is there"),
        (vec![], Some(DownReason::WrongAnswer), "nothing"),
        (
            vec![row(2, 1)],
            Some(DownReason::WrongAnswer),
            "only somebody else's",
        ),
        (vec![row(2, 9)], None, "more holders than are named"),
    ];
    for (rows, down, why) in cases {
        let (mut client, _) = registered();
        let due = client.next_deadline().unwrap();
        let outputs = step(&mut client, |client| client.handle_timeout(due));
        let request = sent(&outputs)
            .into_iter()
            .find_map(|message| match message {
                HubMessage::Sources { request, content } => {
                    assert_eq!(*content, ContentId::of(b"a/one"));
                    Some(*request)
                }
                _ => None,
            });
        let answer = HubMessage::Rows {
            request: request.unwrap(),
            offset: 0,
            total: 1,
            rows,
            addresses: vec![],
            next: None,
        };
        let outputs = hear(&mut client, due, answer);
        assert_eq!(downs(&outputs), Vec::from_iter(down), "{why}");
    }
}

/// What comes of one page of an answer to `word`, limit 2: the contents told,
/// and whether another page is asked.
fn page(rows: Vec<Row>, addresses: Vec<HolderAddresses>, next: Option<u32>) -> (Outputs, u64) {
    let (mut client, _) = registered();
    let query = Query::new("word").unwrap();
    let search = HubClientCommand::Search {
        id: 1,
        query,
        limit: 2,
    };
    let outputs = order(&mut client, search);
    let [HubMessage::Search { request, .. }] = sent(&outputs)[..] else {
        panic!("nothing asked: {outputs:?}");
    };
    let request = *request;
    let answer = HubMessage::Rows {
        request,
        offset: 0,
        rows,
        addresses,
        total: 9,
        next,
    };
    let outputs = hear(&mut client, NOW, answer.clone());
    assert_eq!(
        hear(&mut client, NOW, answer),
        [],
        "a repeated answer says nothing"
    );
    (outputs, request)
}

#[test]
fn rows_that_were_not_asked_for_are_dropped() {
    let row = |path: &str| Row {
        content: ContentId::of(path.as_bytes()),
        holders: 1,
        hits: vec![Hit {
            publication: publication(2, path),
        }],
    };
    let other_content = Row {
        content: ContentId::of(b"x"),
        ..row("word 1")
    };
    let boasting = Row {
        holders: 0,
        ..row("word 1")
    };
    let nobody = Row {
        hits: vec![],
        ..row("word 1")
    };
    let mut twice = row("word 1");
    twice.holders = 2;
    twice.hits.push(twice.hits[0].clone());
    let mut upward = row("word 1");
    upward.hits[0].publication.entry.path = "../word".to_owned();
    let cases = [
        (vec![row("word 1"), row("word 2")], 2, "fine"),
        (vec![row("word 1"), row("word 1")], 1, "a content twice"),
        (
            vec![row("word 1"), row("word 2"), row("word 3")],
            2,
            "more than wanted",
        ),
        (vec![row("word 1"), row("other")], 1, "no match"),
        (vec![other_content], 0, "another content's hit"),
        (vec![boasting], 0, "more hits than holders"),
        (vec![nobody], 0, "no hit"),
        (vec![twice], 0, "a holder twice"),
        (vec![upward], 0, "an invalid entry"),
    ];
    for (rows, good, why) in cases {
        let (outputs, _) = page(rows, vec![], None);
        let told: usize = outputs
            .iter()
            .map(|output| match output {
                Output::Event(HubClientEvent::Rows { rows, .. }) => rows.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(told, good, "{why}");
        let ended = matches!(
            outputs.last(),
            Some(Output::Event(HubClientEvent::Ended { id: 1, .. }))
        );
        assert!(ended, "{why}: {outputs:?}");
    }
}

#[test]
fn further_pages_are_asked_for_until_the_limit() {
    let hit = |holder| Hit {
        publication: publication(holder, "word 1"),
    };
    let row = || Row {
        content: ContentId::of(b"word 1"),
        holders: 2,
        hits: vec![hit(2), hit(4)],
    };
    let victim: std::net::SocketAddr = "93.184.216.34:443".parse().unwrap();
    let fine: std::net::SocketAddr = "93.184.216.34:4433".parse().unwrap();
    let named = |holder: u8| HolderAddresses {
        holder: PeerId::from_bytes([holder; 32]),
        addresses: vec![victim, fine],
    };
    let (outputs, first) = page(vec![row()], vec![named(2), named(3)], Some(1));
    let [
        HubMessage::Search {
            request,
            offset: 1,
            limit: 1,
            ..
        },
    ] = sent(&outputs)[..]
    else {
        panic!("no further page: {outputs:?}");
    };
    assert_ne!(*request, first);
    let Output::Event(HubClientEvent::Rows { addresses, .. }) = &outputs[0] else {
        panic!("no rows: {outputs:?}");
    };
    let expected = PeerAddress {
        peer: PeerId::from_bytes([2; 32]),
        addresses: vec![fine],
    };
    assert_eq!(
        addresses,
        &[expected],
        "no service's port, no holder of nothing"
    );
    // A page that does not go forward is the last.
    let (outputs, _) = page(vec![row()], vec![], Some(0));
    assert!(sent(&outputs).is_empty());
}

#[test]
fn what_cannot_be_asked_ends_at_once() {
    let (mut client, _) = registered();
    let ended = |outputs: Outputs| match &outputs[..] {
        [Output::Event(HubClientEvent::Ended { asked, .. })] => asked[0].outcome,
        _ => panic!("{outputs:?}"),
    };
    let query = Query::new("-word").unwrap();
    let search = HubClientCommand::Search {
        id: 1,
        query,
        limit: 2,
    };
    assert!(matches!(
        ended(order(&mut client, search)),
        Outcome::Refused { .. }
    ));
    step(&mut client, |client| {
        client.handle_link(NOW, hub(), Link::Down);
    })
    .clear();
    let content = ContentId::of(b"x");
    let sources = HubClientCommand::Sources { id: 2, content };
    assert_eq!(ended(order(&mut client, sources)), Outcome::NotConnected);
}

#[test]
fn publications_are_checked_before_they_leave() {
    let mut client = HubClient::new(
        ClientConfig {
            entries_max: 2,
            ..ClientConfig::default()
        },
        seeded_rng(4),
    );
    let all = vec![
        publication(1, "a/one"),
        publication(2, "a/two"),
        publication(1, "../up"),
        publication(1, "a/two"),
        publication(1, "a/three"),
        publication(1, "a/one"),
    ];
    let outputs = order(&mut client, HubClientCommand::Publish(all));
    let refused = HubClientEvent::PublishRefused {
        invalid: 2,
        excess: 1,
        entries_max: 2,
    };
    assert_eq!(outputs, [Output::Event(refused)]);
    assert_eq!(client.published(), 2);
}

#[test]
fn refusals_that_come_one_by_one_are_told_as_they_double() {
    let (mut client, nonce) = greeting();
    order(
        &mut client,
        HubClientCommand::Publish(vec![publication(1, "a/0")]),
    );
    let mut welcome = welcome(nonce, standing(4, 9, [1; 16], 3));
    if let HubMessage::Welcome { limits, .. } = &mut welcome {
        limits.entries_max = 1;
    }
    hear(&mut client, NOW, welcome);
    let chain = chain::extend(chain::start(5), &[Change::put(&publication(1, "a/0"))]);
    let mut told = Vec::new();
    for n in 1..=20 {
        let path = format!("a/{n}");
        let command = HubClientCommand::Publish(vec![publication(1, &path)]);
        let mut outputs = order(&mut client, command);
        outputs.extend(hear(&mut client, NOW, ack(standing(5, 1, chain, 1))));
        for output in outputs {
            if let Output::Event(HubClientEvent::RegistrationRefused { entries, .. }) = output {
                told.push(entries);
            }
        }
    }
    assert_eq!(told, [1, 2, 4, 8, 16]);
}

#[test]
fn keep_alives_come_at_a_quarter_of_the_lease() {
    let (client, _) = registered();
    let due = client.next_deadline().unwrap() - NOW;
    let interval = ClientConfig::default().keepalive_interval;
    assert!(due <= interval && due >= interval * 7 / 8, "{due:?}");
    let (mut client, nonce) = greeting();
    let mut short = welcome(nonce, Standing::default());
    if let HubMessage::Welcome { limits, .. } = &mut short {
        limits.lease_seconds = 8;
    }
    hear(&mut client, NOW, short);
    assert!(client.next_deadline().unwrap() - NOW <= Duration::from_secs(2));
}
