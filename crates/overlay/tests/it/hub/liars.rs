//! Hubs that work and say something else.

use std::time::Duration;

use gannet_base::{Rng, Timestamp};
use gannet_overlay::hub::{ClientConfig, DownReason, HubClientEvent, HubMessage, ServerConfig};
use rand_core::Rng as _;

use super::{News, Town, Twist, publication, start_hub, start_liar, start_peer, town};
use crate::harness::{Faults, peer};

const MINUTE: Duration = Duration::from_secs(60);

/// A town with a lying hub 201 and an honest one 202.
fn town_with(twist: Twist) -> Town {
    let mut town = town(11, Faults::NONE);
    start_liar(&mut town, peer(201), twist);
    start_hub(&mut town, peer(202), ServerConfig::default());
    let config = ClientConfig::default();
    for n in [1, 2] {
        start_peer(&mut town, peer(n), config.clone(), &[peer(201), peer(202)]);
        town.publish(peer(n), &["a/one", "b/two words"]);
    }
    town
}

fn reasons(town: &Town) -> Vec<(Timestamp, DownReason)> {
    let down = |(at, id, news): &(Timestamp, _, News)| match news {
        News::Peer(HubClientEvent::HubDown { hub, reason })
            if *hub == peer(201) && *id == peer(1) =>
        {
            Some((*at, *reason))
        }
        _ => None,
    };
    town.events.iter().filter_map(down).collect()
}

/// The honest hub serves, whatever the other one does.
fn still_found(town: &mut Town) {
    let (rows, asked) = town.search(peer(1), "one", 10);
    assert!(rows.iter().any(|row| row.holders == 2), "{asked:?}");
}

#[test]
fn a_hub_that_takes_in_but_never_finds_is_left() {
    let forgetful: Twist = |_, message| match message {
        HubMessage::Rows { request, .. } => HubMessage::Rows {
            request,
            offset: 0,
            rows: vec![],
            addresses: vec![],
            total: 0,
            next: None,
        },
        other => other,
    };
    let mut town = town_with(forgetful);
    town.run_for(Duration::from_secs(20));
    let first = reasons(&town);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].1, DownReason::WrongAnswer);
    // It is tried again, less and less often, each time at the price of a
    // registration.
    town.run_for(MINUTE * 60);
    let tries = reasons(&town).len();
    assert!((5..60).contains(&tries), "{tries}");
    still_found(&mut town);
}

#[test]
fn a_hub_that_only_answers_keep_alives_is_left() {
    let deaf: Twist = |_, message| match message {
        HubMessage::Rows { .. } | HubMessage::Refused { .. } => HubMessage::Lapsed,
        other => other,
    };
    let mut town = town_with(deaf);
    town.run_for(MINUTE * 2);
    let first = reasons(&town);
    assert!(matches!(first[0].1, DownReason::Silent { .. }), "{first:?}");
    still_found(&mut town);
}

#[test]
fn a_hub_that_never_takes_in_is_left() {
    let full: Twist = |_, message| match message {
        HubMessage::Ack { mut standing, .. } => {
            standing.next = 0;
            HubMessage::Ack {
                standing,
                early: false,
                wait_ms: 0,
                refusal: None,
            }
        }
        HubMessage::Pong { nonce, counts, .. } => HubMessage::Pong {
            nonce,
            standing: Default::default(),
            counts,
        },
        other => other,
    };
    let mut town = town_with(full);
    town.run_until_holds("it is left", MINUTE * 5, |town| !reasons(town).is_empty());
    still_found(&mut town);
}

/// Any message with any numbers, and some of the rows of the true answer
/// broken.
fn nonsense(rng: &mut Rng, message: HubMessage) -> HubMessage {
    let odd = |rng: &mut Rng| match rng.next_u32() % 4 {
        0 => u64::MAX,
        1 => 0,
        _ => rng.next_u64(),
    };
    let short = |rng: &mut Rng| u32::try_from(odd(rng) >> 32).unwrap_or(0);
    match message {
        HubMessage::Welcome {
            nonce,
            mut limits,
            mut standing,
            counts,
        } => {
            limits.lease_seconds = short(rng);
            limits.window_batches = u16::try_from(short(rng) >> 16).unwrap_or(0);
            standing.registration = odd(rng);
            standing.next = short(rng);
            HubMessage::Welcome {
                nonce,
                limits,
                standing,
                counts,
            }
        }
        HubMessage::Ack { mut standing, .. } => {
            standing.next = short(rng);
            HubMessage::Ack {
                standing,
                early: false,
                wait_ms: short(rng),
                refusal: None,
            }
        }
        HubMessage::Rows {
            request,
            mut rows,
            addresses,
            ..
        } => {
            rows.push(gannet_base::Row {
                content: gannet_base::ContentId::of(b"?"),
                holders: short(rng),
                hits: vec![gannet_base::Hit {
                    publication: publication(peer(77), "never/asked for"),
                }],
            });
            HubMessage::Rows {
                request: if rng.next_u32().is_multiple_of(2) {
                    odd(rng)
                } else {
                    request
                },
                offset: short(rng) % 2,
                rows,
                addresses,
                total: odd(rng),
                next: Some(short(rng)),
            }
        }
        HubMessage::Pong { counts, .. } if rng.next_u32().is_multiple_of(2) => HubMessage::Pong {
            nonce: odd(rng),
            standing: Default::default(),
            counts,
        },
        other => other,
    }
}

#[test]
fn a_hub_that_answers_nonsense_is_left_and_harms_nobody() {
    let mut town = town_with(nonsense);
    let mut told = Vec::new();
    for _ in 0..40 {
        town.run_for(Duration::from_secs(7));
        told.extend(reasons(&town));
        town.events.clear();
        let (rows, _) = town.search(peer(1), "one", 10);
        let mut hits = rows.iter().flat_map(|row| &row.hits);
        assert!(hits.all(|hit| hit.entry().path == "a/one"), "{rows:?}");
        assert!(rows.iter().any(|row| row.holders == 2));
    }
    let nonsense = told
        .iter()
        .filter(|(_, reason)| *reason == DownReason::Nonsense);
    assert!(nonsense.count() > 2, "{told:?}");
    let state = format!("{:?}", town.core(peer(1)).peer()).len();
    assert!(state < 50_000, "the client's state has {state} characters");
}
