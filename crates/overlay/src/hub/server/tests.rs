//! Tables of single steps.

use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, FileEntry, Media, Publication, Query, seeded_rng, step};

use super::*;
use crate::hub::message::Change;

pub(super) const NOW: Timestamp = Timestamp::from_secs(100);

pub(super) fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn hub(config: ServerConfig) -> HubServer {
    HubServer::new(config, seeded_rng(3))
}

pub(super) fn say(hub: &mut HubServer, from: PeerId, message: HubMessage) -> Vec<HubMessage> {
    say_at(hub, NOW, from, message)
}

/// What the hub sends back to whoever speaks.
pub(super) fn say_at(
    hub: &mut HubServer,
    now: Timestamp,
    from: PeerId,
    message: HubMessage,
) -> Vec<HubMessage> {
    let outputs = step(hub, |hub| hub.handle_message(now, from, message));
    let sent = |output| match output {
        Output::Send { to, message } => {
            assert_eq!(to, from);
            Some(message)
        }
        _ => None,
    };
    outputs.into_iter().filter_map(sent).collect()
}

pub(super) fn hello() -> HubMessage {
    HubMessage::Hello {
        nonce: 1,
        announcement: Announcement::default(),
    }
}

pub(super) fn welcomed(config: ServerConfig, peers: &[PeerId]) -> HubServer {
    let mut hub = hub(config);
    for peer in peers {
        say(&mut hub, *peer, hello());
    }
    hub
}

pub(super) fn put(holder: PeerId, path: &str) -> Change {
    Change::put(&Publication {
        entry: FileEntry {
            content: ContentId::of(path.as_bytes()),
            size: 1,
            path: path.to_owned(),
            media: Media::default(),
        },
        holder,
        expires: WallTime::from_unix_seconds(1_000_000),
        signature: SignatureBytes([0; 64]),
    })
}

pub(super) fn batch(
    hub: &HubServer,
    registration: u64,
    sequence: u32,
    changes: Vec<Change>,
) -> HubMessage {
    HubMessage::Batch {
        epoch: hub.epoch(),
        registration,
        sequence,
        changes,
    }
}

#[track_caller]
fn standing_of(answers: &[HubMessage]) -> (Standing, u32) {
    match answers {
        [
            HubMessage::Ack {
                standing, wait_ms, ..
            },
        ] => (*standing, *wait_ms),
        other => panic!("not one acknowledgement: {other:?}"),
    }
}

#[test]
fn batches_are_applied_in_order_and_once() {
    let one = peer(1);
    let mut hub = welcomed(ServerConfig::default(), &[one]);
    // Registration, sequence, path; then what the hub has: registration, next, entries.
    let cases = [
        ((1, 1, "early"), (0, 0, 0), "nothing has begun"),
        ((1, 0, "a"), (1, 1, 1), "it begins"),
        ((1, 0, "a"), (1, 1, 1), "repeated"),
        ((1, 2, "c"), (1, 1, 1), "one is missing"),
        ((1, 1, "b"), (1, 2, 2), "it goes on"),
        ((3, 1, "x"), (1, 2, 2), "a later one begins with 0"),
        ((3, 0, "x"), (3, 1, 1), "it begins, and the old one is gone"),
        ((2, 0, "y"), (3, 1, 1), "an earlier one comes late"),
        ((1, 2, "c"), (3, 1, 1), "so does its batch"),
    ];
    for ((registration, sequence, path), (number, next, entries), why) in cases {
        let message = batch(&hub, registration, sequence, vec![put(one, path)]);
        let answers = say(&mut hub, one, message);
        let early = matches!(answers[..], [HubMessage::Ack { early: true, .. }]);
        let is_early = [
            "nothing has begun",
            "one is missing",
            "a later one begins with 0",
        ];
        assert_eq!(early, is_early.contains(&why), "{why}");
        let (standing, _) = standing_of(&answers);
        let found = (standing.registration, standing.next, standing.entries);
        assert_eq!(found, (number, next, entries), "{why}");
        assert_eq!(
            hub.status().entries,
            usize::try_from(entries).unwrap(),
            "{why}"
        );
    }
    let stale = HubMessage::Batch {
        epoch: hub.epoch() ^ 1,
        registration: 9,
        sequence: 0,
        changes: vec![],
    };
    let (standing, _) = standing_of(&say(&mut hub, one, stale));
    assert_eq!((standing.epoch, standing.registration), (hub.epoch(), 3));
}

#[test]
fn strangers_are_asked_to_say_hello() {
    let mut hub = hub(ServerConfig::default());
    let ping = HubMessage::Ping {
        nonce: 1,
        announcement: Announcement::default(),
    };
    assert_eq!(say(&mut hub, peer(1), ping), [HubMessage::Lapsed]);
    assert_eq!(hub.status().peers, 0);
    assert!(matches!(
        say(&mut hub, peer(1), hello())[..],
        [HubMessage::Welcome { nonce: 1, .. }]
    ));
    // What a hub says is nothing to say to a hub.
    assert_eq!(say(&mut hub, peer(1), HubMessage::Lapsed), []);
    assert_eq!(hub.status().malformed, 1);
}

#[test]
fn a_goodbye_ends_this_registration_and_no_later_one() {
    let one = peer(1);
    let mut hub = welcomed(ServerConfig::default(), &[one]);
    let message = batch(&hub, 2, 0, vec![put(one, "a")]);
    say(&mut hub, one, message);
    let epoch = hub.epoch();
    for (epoch, registration, peers) in [(epoch, 1, 1), (epoch ^ 1, 2, 1), (epoch, 2, 0)] {
        let goodbye = HubMessage::Goodbye {
            epoch,
            registration,
        };
        say(&mut hub, one, goodbye);
        assert_eq!(hub.status().peers, peers);
    }
    assert_eq!((hub.status().entries, hub.next_deadline()), (0, None));
}

#[test]
fn registering_faster_than_the_budget_is_slowed_down() {
    let one = peer(1);
    let config = ServerConfig {
        registration_bytes_per_second: 1_000,
        registration_burst_bytes: 1_000,
        ..ServerConfig::default()
    };
    let mut hub = welcomed(config, &[one]);
    let changes: Vec<Change> = (0..4).map(|n| put(one, &format!("file {n}"))).collect();
    let first = batch(&hub, 1, 0, changes.clone());
    let second = batch(&hub, 1, 1, changes);
    assert_eq!(standing_of(&say(&mut hub, one, first)).0.next, 1);
    let (standing, wait_ms) = standing_of(&say(&mut hub, one, second.clone()));
    assert_eq!(standing.next, 1);
    assert!((1..1_000).contains(&wait_ms), "{wait_ms}");
    let later = NOW + Duration::from_millis(u64::from(wait_ms) + 1);
    let answers = say_at(&mut hub, later, one, second);
    assert_eq!(
        standing_of(&answers),
        (
            Standing {
                next: 2,
                ..standing_of(&answers).0
            },
            0
        )
    );
}

fn search(request: u64, text: &str, offset: u32, limit: u16) -> HubMessage {
    HubMessage::Search {
        request,
        query: Query::new(text).unwrap(),
        offset,
        limit,
    }
}

#[test]
fn questions_are_answered_then_wait_then_are_refused() {
    let (one, two) = (peer(1), peer(2));
    let config = ServerConfig {
        queries_per_second: 10,
        queries_burst: 2,
        pending_max: 2,
        ..ServerConfig::default()
    };
    let mut hub = welcomed(config, &[one, two]);
    for (request, answered) in [(1, true), (2, true), (3, false), (4, false)] {
        let answers = say(&mut hub, one, search(request, "word", 0, 5));
        assert_eq!(answers.len(), usize::from(answered), "{request}");
    }
    assert_eq!(hub.status().pending, 2);
    // Repeated while it waits: once is enough.
    assert_eq!(say(&mut hub, one, search(4, "word", 0, 5)), []);
    let refused = say(&mut hub, one, search(5, "word", 0, 5));
    let [
        HubMessage::Refused {
            request: Some(5),
            refusal,
        },
    ] = refused[..]
    else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!((refusal.budget, refusal.max), (Budget::Pending, 2));
    assert!(refusal.retry_after_ms > 0);
    assert!(refusal.to_string().contains("ask fewer at once"));
    // The other one's budget is untouched.
    assert_eq!(say(&mut hub, two, search(1, "word", 0, 5)).len(), 1);
    // The waiting ones come at their rate.
    let due = hub.next_deadline().unwrap();
    assert_eq!(due, NOW + Duration::from_millis(100));
    let outputs = step(&mut hub, |hub| hub.handle_timeout(due));
    assert_eq!(outputs.len(), 1);
    assert_eq!(hub.status().pending, 1);
}

#[test]
fn waiting_askers_take_turns() {
    let askers = [peer(1), peer(2), peer(3)];
    let config = ServerConfig {
        queries_per_second: 10,
        queries_burst: 5,
        ..ServerConfig::default()
    };
    let mut hub = welcomed(config, &askers);
    for asker in askers {
        for request in 0..15 {
            say(&mut hub, asker, search(request, "word", 0, 5));
        }
    }
    // After a rest everybody has five answers to come.
    let mut now = NOW + Duration::from_secs(2);
    let mut order = Vec::new();
    while order.len() < 15 {
        for output in step(&mut hub, |hub| hub.handle_timeout(now)) {
            if let Output::Send { to, .. } = output {
                order.push(to);
            }
        }
        now = now.max(hub.next_deadline().unwrap());
    }
    for turn in order.chunks(3) {
        assert_eq!(turn, askers, "{order:?}");
    }
}

#[test]
fn long_answers_are_cut_where_the_next_page_starts() {
    let one = peer(1);
    let mut hub = welcomed(ServerConfig::default(), &[one]);
    let long = "x".repeat(900);
    for sequence in 0..4 {
        let name = |n: u32| format!("{long}/word {}", sequence * 40 + n);
        let changes = (0..40).map(|n| put(one, &name(n))).collect();
        let message = batch(&hub, 1, sequence, changes);
        say(&mut hub, one, message);
    }
    let (mut offset, mut contents, mut pages) = (0, BTreeSet::new(), 0);
    loop {
        let answers = say(
            &mut hub,
            one,
            search(u64::from(offset), "word", offset, 400),
        );
        let [
            HubMessage::Rows {
                rows, total, next, ..
            },
        ] = &answers[..]
        else {
            panic!("not one page: {answers:?}");
        };
        assert!(gannet_base::wire::encode(&answers[0]).len() <= 60_000);
        assert_eq!(*total, 160);
        contents.extend(rows.iter().map(|row| row.content));
        pages += 1;
        match next {
            Some(next) => offset = *next,
            None => break,
        }
    }
    assert_eq!((contents.len(), pages), (160, 4));
}

#[test]
fn each_budget_of_entries_is_named() {
    let (one, two, three) = (peer(1), peer(2), peer(3));
    let config = ServerConfig {
        entries_per_peer_max: 2,
        bytes_per_peer_max: 6_000,
        entries_max: 4,
        ..ServerConfig::default()
    };
    let mut hub = welcomed(config, &[one, two, three]);
    let time = HubServerCommand::WallTime(WallTime::from_unix_seconds(990_000));
    hub.handle_command(NOW, time);
    let expiring = |at: u64| match put(two, "late") {
        Change::Put {
            entry, signature, ..
        } => Change::Put {
            entry,
            expires: WallTime::from_unix_seconds(at),
            signature,
        },
        remove @ Change::Remove { .. } => remove,
    };
    let long = "l".repeat(1_000);
    let wide = [put(two, &long), put(two, &format!("{long}2"))];
    let cases = [
        (two, wide.to_vec(), Budget::Bytes),
        (
            one,
            vec![put(one, "a"), put(one, "b"), put(one, "c")],
            Budget::Entries,
        ),
        (
            three,
            vec![put(three, "d"), put(three, "e")],
            Budget::HubEntries,
        ),
        (two, vec![expiring(980_000)], Budget::Expired),
        (two, vec![expiring(2_000_000)], Budget::Life),
    ];
    for (number, (from, changes, budget)) in (1..).zip(cases) {
        let message = batch(&hub, number, 0, changes);
        let answers = say(&mut hub, from, message);
        let [
            HubMessage::Ack {
                standing,
                refusal: Some(refusal),
                ..
            },
        ] = &answers[..]
        else {
            panic!("nothing refused: {answers:?}");
        };
        assert_eq!((refusal.budget, standing.refused), (budget, 1));
    }
}

/// A supernode has hundreds, and thousands of supernodes are simulated.
#[test]
fn a_session_is_small() {
    let bytes = size_of::<Session>();
    assert!(bytes <= 208, "{bytes}");
}

#[test]
fn leases_follow_the_signs_of_life() {
    let one = peer(1);
    let config = ServerConfig::default();
    let mut hub = welcomed(config.clone(), &[one]);
    assert_eq!(hub.next_deadline(), Some(NOW + config.lease));
    let later = NOW + Duration::from_secs(10);
    say_at(&mut hub, later, one, hello());
    assert_eq!(hub.next_deadline(), Some(later + config.lease));
    hub.handle_link(later, one, Link::Down);
    assert_eq!(hub.next_deadline(), Some(later + config.grace));
    // A second `Down` does not stretch it.
    hub.handle_link(later + Duration::from_secs(5), one, Link::Down);
    assert_eq!(hub.next_deadline(), Some(later + config.grace));
    let outputs = step(&mut hub, |hub| hub.handle_timeout(later + config.grace));
    let left = HubServerEvent::Left {
        peer: one,
        entries: 0,
        reason: LeftReason::LinkLost,
    };
    assert_eq!(outputs, [Output::Event(left)]);
    assert_eq!(hub.next_deadline(), None);
}
