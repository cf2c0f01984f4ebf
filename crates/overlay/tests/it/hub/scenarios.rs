//! One story each.

use std::time::Duration;

use gannet_base::{ContentId, Timestamp};
use gannet_overlay::hub::{Budget, HubServerEvent};
use gannet_overlay::hub::{
    ClientConfig, DownReason, HubClientCommand, HubClientEvent, LeftReason, Outcome, ServerConfig,
};

use super::{News, Order, Town, publication, start_hub, start_peer, town};
use crate::harness::{Faults, peer};

const MINUTE: Duration = Duration::from_secs(60);

/// A town with hubs 201… and peers 1…, everybody connected to every hub.
fn settled(hubs: u8, peers: u8, faults: Faults) -> Town {
    let mut town = town(7, faults);
    let ids: Vec<_> = (0..hubs).map(|n| peer(201 + n)).collect();
    for id in &ids {
        start_hub(&mut town, *id, ServerConfig::default());
    }
    for n in 1..=peers {
        start_peer(&mut town, peer(n), ClientConfig::default(), &ids);
    }
    for n in 1..=peers {
        town.run_until_holds("every hub is up", MINUTE, |town| {
            town.core(peer(n))
                .peer()
                .status()
                .iter()
                .all(|hub| hub.connected)
        });
    }
    town
}

fn paths(rows: &[gannet_base::Row]) -> Vec<&str> {
    let mut paths: Vec<&str> = rows
        .iter()
        .flat_map(|row| &row.hits)
        .map(|hit| hit.entry().path.as_str())
        .collect();
    paths.sort_unstable();
    paths
}

#[test]
fn register_search_sources_withdraw() {
    let mut town = settled(1, 2, Faults::NONE);
    town.publish(peer(1), &["m/Harry Potter.epub", "m/other.txt"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);

    let (rows, asked) = town.search(peer(2), "harry potter", 10);
    assert_eq!(paths(&rows), ["m/Harry Potter.epub"]);
    assert_eq!(asked[0].outcome, Outcome::Answered { total: 1 });

    let content = ContentId::of(b"m/Harry Potter.epub");
    town.order(peer(2), HubClientCommand::Sources { id: 5, content });
    let (rows, _) = town.await_answer(peer(2), 5);
    assert_eq!(rows[0].holders, 1);
    assert_eq!(rows[0].hits[0].holder(), peer(1));

    let gone = vec![(content, "m/Harry Potter.epub".to_owned())];
    town.order(peer(1), HubClientCommand::Withdraw(gone));
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    let (rows, asked) = town.search(peer(2), "harry", 10);
    assert!(rows.is_empty());
    assert_eq!(asked[0].outcome, Outcome::Answered { total: 0 });
}

#[test]
fn answers_come_with_verified_addresses_only() {
    let mut town = settled(1, 2, Faults::NONE);
    let announce = |text: &str| text.parse().expect("an address");
    town.order(
        peer(1),
        HubClientCommand::Announce {
            addresses: vec![announce("10.0.0.9:4000"), announce("8.8.8.8:4000")],
            upload_bytes_per_second: Some(1_000_000),
        },
    );
    town.publish(peer(1), &["a/b"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    let id = 9;
    let query = super::query("b");
    town.order(
        peer(2),
        HubClientCommand::Search {
            id,
            query,
            limit: 5,
        },
    );
    town.run_for(Duration::from_secs(1));
    let addresses = town
        .take_events(peer(2))
        .into_iter()
        .find_map(|event| match event {
            HubClientEvent::Rows { addresses, .. } => Some(addresses),
            _ => None,
        });
    let addresses = addresses.expect("there were rows");
    assert_eq!(addresses[0].peer, peer(1));
    assert_eq!(
        addresses[0].addresses,
        [super::address_of(peer(1)), announce("10.0.0.9:4000")]
    );
}

#[test]
fn pages_bring_everything_once_in_ranking_order() {
    let mut town = settled(1, 2, Faults::HEAVY);
    let names: Vec<String> = (0..1_000)
        .map(|n| format!("music/{}/song {n:04}.flac", "long name ".repeat(20)))
        .collect();
    let publications = names
        .iter()
        .map(|name| publication(peer(1), name))
        .collect();
    town.order(peer(1), HubClientCommand::Publish(publications));
    town.await_registered(peer(1), &[peer(201)], MINUTE * 5);
    let (rows, asked) = town.search(peer(2), "song", 5_000);
    assert_eq!(asked[0].outcome, Outcome::Answered { total: 1_000 });
    let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(paths(&rows), expected);
    let (rows, _) = town.search(peer(2), "song", 37);
    assert_eq!(rows.len(), 37);
}

#[test]
fn a_hub_restart_is_repaired() {
    let mut town = settled(1, 2, Faults::NONE);
    town.publish(peer(1), &["a/one", "a/two"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    town.crash(peer(201));
    town.run_for(Duration::from_secs(5));
    let down = town.take_events(peer(1));
    assert!(down.contains(&HubClientEvent::HubDown {
        hub: peer(201),
        reason: DownReason::LinkLost
    }));
    let (rows, asked) = town.search(peer(2), "one", 10);
    assert!(rows.is_empty());
    assert_eq!(asked[0].outcome, Outcome::NotConnected);
    start_hub(&mut town, peer(201), ServerConfig::default());
    let took = town.await_registered(peer(1), &[peer(201)], MINUTE);
    assert!(took < Duration::from_secs(20), "{took:?}");
    town.run_until_holds("the searcher is back too", MINUTE, |town| {
        town.core(peer(2)).peer().status()[0].connected
    });
    assert_eq!(paths(&town.search(peer(2), "one", 10).0), ["a/one"]);
}

#[test]
fn a_hub_that_forgot_is_repaired_at_the_next_keepalive() {
    // The same link, but the hub's process lost everything: no `Down` comes.
    let mut town = settled(1, 1, Faults::NONE);
    town.publish(peer(1), &["a/one", "a/two"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    start_hub(&mut town, peer(201), ServerConfig::default());
    let interval = ClientConfig::default().keepalive_interval;
    town.run_for(interval + Duration::from_secs(2));
    assert_eq!(town.core(peer(201)).hub().status().entries, 2);
    assert!(town.is_registered(peer(1), &[peer(201)]));
}

#[test]
fn one_of_two_hubs_dies_in_mid_search() {
    let mut town = settled(2, 2, Faults::NONE);
    let names: Vec<String> = (0..600)
        .map(|n| format!("x/{} song {n}", "y".repeat(500)))
        .collect();
    let publications = names
        .iter()
        .map(|name| publication(peer(1), name))
        .collect();
    town.order(peer(1), HubClientCommand::Publish(publications));
    town.await_registered(peer(1), &[peer(201), peer(202)], MINUTE);
    let query = super::query("song");
    town.order(
        peer(2),
        HubClientCommand::Search {
            id: 3,
            query,
            limit: 1_000,
        },
    );
    town.run_until_holds("a page of the first hub", MINUTE, |town| {
        town.events.iter().any(|(_, _, news)| {
            matches!(news, News::Peer(HubClientEvent::Rows { hub, .. }) if *hub == peer(201))
        })
    });
    town.crash(peer(201));
    let began = town.now;
    let (rows, asked) = town.await_answer(peer(2), 3);
    assert!(town.now - began <= Duration::from_secs(10));
    let outcome = |hub| {
        asked
            .iter()
            .find(|one| one.hub == hub)
            .map(|one| one.outcome)
    };
    assert_eq!(outcome(peer(201)), Some(Outcome::NoAnswer));
    assert_eq!(outcome(peer(202)), Some(Outcome::Answered { total: 600 }));
    let mut found = paths(&rows);
    found.dedup();
    assert_eq!(found.len(), 600);
    // The next search does not wait for the dead one.
    town.run_for(Duration::from_secs(5));
    let began = town.now;
    let (rows, _) = town.search(peer(2), "song", 10);
    assert_eq!(rows.len(), 10);
    assert!(town.now - began < Duration::from_secs(1));
}

#[test]
fn a_silent_hub_is_noticed_left_and_used_again() {
    let mut town = settled(1, 1, Faults::NONE);
    town.run_for(MINUTE * 2);
    town.set_mute(peer(201), true);
    town.take_events(peer(1));
    let silent = |town: &mut Town| {
        town.events.iter().any(|(_, _, news)| {
            let News::Peer(HubClientEvent::HubDown { reason, .. }) = news else {
                return false;
            };
            matches!(reason, DownReason::Silent { .. })
        })
    };
    let took = town.run_until_holds("it is noticed", MINUTE, silent);
    assert!(took <= Duration::from_secs(26), "{took:?}");
    town.run_for(MINUTE * 3);
    // It is greeted again and again, less and less often.
    let attempts = town
        .take_events(peer(1))
        .into_iter()
        .filter(|event| {
            let HubClientEvent::HubDown { reason, .. } = event else {
                return false;
            };
            *reason == DownReason::NoWelcome
        })
        .count();
    assert!((2..12).contains(&attempts), "{attempts}");
    town.set_mute(peer(201), false);
    town.run_until_holds("it is used again", MINUTE * 6, |town| {
        town.core(peer(1)).peer().status()[0].connected
    });
}

#[test]
fn a_search_hastens_the_notice_of_silence() {
    let mut town = settled(1, 1, Faults::NONE);
    town.run_for(MINUTE);
    town.set_mute(peer(201), true);
    let (_, asked) = town.search(peer(1), "word", 10);
    assert_eq!(asked[0].outcome, Outcome::NoAnswer);
    let left = |town: &mut Town| !town.core(peer(1)).peer().status()[0].connected;
    town.run_until_holds("it is left", Duration::from_secs(11), left);
}

#[test]
fn a_peer_that_comes_back_in_time_registers_nothing_again() {
    let mut town = settled(1, 2, Faults::NONE);
    let names: Vec<String> = (0..5_000).map(|n| format!("f/{n}")).collect();
    let publications = names
        .iter()
        .map(|name| publication(peer(1), name))
        .collect();
    town.order(peer(1), HubClientCommand::Publish(publications));
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    town.set_cut(peer(1), peer(201), true);
    town.run_for(Duration::from_secs(3));
    town.set_cut(peer(1), peer(201), false);
    town.publish(peer(1), &["f/new"]);
    let before = town.sent;
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    assert!(town.sent - before < 20, "{}", town.sent - before);
    assert_eq!(town.core(peer(201)).hub().status().entries, 5_001);
}

#[test]
fn who_is_gone_is_not_found_for_long() {
    let mut town = settled(1, 2, Faults::NONE);
    town.publish(peer(1), &["a/one"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    town.crash(peer(1));
    let config = ServerConfig::default();
    town.run_for(Faults::NONE.notice + config.grace + Duration::from_secs(1));
    assert!(town.search(peer(2), "one", 10).0.is_empty());
    let left = town.events.iter().find_map(|(_, _, news)| match news {
        News::Hub(HubServerEvent::Left {
            reason, entries, ..
        }) => Some((*reason, *entries)),
        _ => None,
    });
    assert_eq!(left, Some((LeftReason::LinkLost, 1)));
    let status = town.core(peer(201)).hub().status();
    assert_eq!((status.peers, status.entries, status.holders), (1, 0, 0));
}

#[test]
fn who_goes_mute_loses_the_lease() {
    let mut town = settled(1, 1, Faults::NONE);
    town.publish(peer(1), &["a/one"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    town.set_mute(peer(1), true);
    town.run_for(ServerConfig::default().lease + Duration::from_secs(1));
    assert_eq!(town.core(peer(201)).hub().status().entries, 0);
}

#[test]
fn a_goodbye_frees_everything_at_once() {
    let mut town = settled(2, 1, Faults::NONE);
    town.publish(peer(1), &["a/one"]);
    town.await_registered(peer(1), &[peer(201), peer(202)], MINUTE);
    town.order(peer(1), HubClientCommand::Leave);
    town.run_for(Duration::from_secs(1));
    for hub in [201, 202] {
        assert_eq!(town.core(peer(hub)).hub().status().peers, 0);
    }
    assert!(town.core(peer(1)).peer().status().is_empty());
}

#[test]
fn a_hundred_thousand_entries_pass_a_lossy_queue() {
    let faults = Faults {
        gap: Duration::from_millis(2),
        loss: 100,
        reordering: 50,
        duplication: 50,
        ..Faults::NONE
    };
    let mut town = settled(1, 1, faults);
    let publications = (0..100_000)
        .map(|n| {
            publication(
                peer(1),
                &format!("archive/{:02}/file number {n}.dat", n % 100),
            )
        })
        .collect();
    town.order(peer(1), HubClientCommand::Publish(publications));
    let registered = |town: &mut Town| {
        let told = HubClientEvent::Registered {
            hub: peer(201),
            entries: 100_000,
        };
        town.events.contains(&(town.now, peer(1), News::Peer(told)))
    };
    let took = town.run_until_holds("all is registered", MINUTE * 10, registered);
    assert!(town.is_registered(peer(1), &[peer(201)]));
    let status = town.core(peer(201)).hub().status();
    assert_eq!(status.entries, 100_000);
    assert_eq!(town.dropped_by_queues, 0, "the window keeps queues short");
    assert!(took < MINUTE * 3, "{took:?}");
}

#[test]
fn a_slow_uplink_is_not_flooded_nor_taken_for_silence() {
    // About 1 Mbit/s: a batch takes 0.4 s, a whole window more than 3 s.
    let slow = Faults {
        gap: Duration::from_millis(400),
        ..Faults::NONE
    };
    let mut town = settled(1, 1, slow);
    let long = "long name ".repeat(20);
    let publications = (0..5_000)
        .map(|n| publication(peer(1), &format!("music/{long}/{n}.flac")))
        .collect();
    town.take_events(peer(1));
    let before = town.sent;
    town.order(peer(1), HubClientCommand::Publish(publications));
    let took = town.await_registered(peer(1), &[peer(201)], MINUTE * 5);
    let sent = town.sent - before;
    // 38 batches, as many acknowledgements, a few keep-alives and repetitions.
    assert!(sent < 120, "{sent}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let down = |event: &HubClientEvent| matches!(event, HubClientEvent::HubDown { .. });
    assert!(!town.take_events(peer(1)).iter().any(down));
}

#[test]
fn a_peer_over_its_budget_is_told_which() {
    let mut town = town(7, Faults::NONE);
    let config = ServerConfig {
        entries_per_peer_max: 10,
        ..ServerConfig::default()
    };
    start_hub(&mut town, peer(201), config);
    start_peer(&mut town, peer(1), ClientConfig::default(), &[peer(201)]);
    town.run_for(Duration::from_secs(1));
    let names: Vec<String> = (0..15).map(|n| format!("f/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    town.publish(peer(1), &names);
    town.run_for(Duration::from_secs(1));
    let refused = town
        .take_events(peer(1))
        .into_iter()
        .find_map(|event| match event {
            HubClientEvent::RegistrationRefused {
                entries, reason, ..
            } => Some((entries, reason)),
            _ => None,
        });
    let (entries, reason) = refused.expect("it is told");
    assert_eq!(
        (entries, reason.budget, reason.max),
        (5, Budget::Entries, 10)
    );
    let text = reason.to_string();
    assert!(
        text.contains("at most 10 entries") && text.contains("share fewer"),
        "{text}"
    );
    // Sharing fewer gets the others in, at a later keep-alive.
    for name in &names[..6] {
        let gone = vec![(ContentId::of(name.as_bytes()), (*name).to_owned())];
        town.order(peer(1), HubClientCommand::Withdraw(gone));
    }
    let all_in = |town: &mut Town| town.core(peer(201)).hub().status().entries == 9;
    let patience = ClientConfig::default().repair_interval + MINUTE;
    town.run_until_holds("the others are in", patience, all_in);
}

#[test]
fn a_full_hub_sends_peers_away_and_others_serve_them() {
    let mut town = town(7, Faults::NONE);
    let config = ServerConfig {
        peers_max: 2,
        ..ServerConfig::default()
    };
    start_hub(&mut town, peer(201), config);
    start_hub(&mut town, peer(202), ServerConfig::default());
    for n in 1..=4 {
        start_peer(
            &mut town,
            peer(n),
            ClientConfig::default(),
            &[peer(201), peer(202)],
        );
        town.publish(peer(n), &["a/one"]);
        town.run_for(Duration::from_secs(1));
    }
    assert_eq!(town.core(peer(201)).hub().status().peers, 2);
    assert_eq!(town.core(peer(202)).hub().status().peers, 4);
    let events = town.take_events(peer(4));
    let refused = events.iter().find_map(|event| match event {
        HubClientEvent::HubDown {
            hub,
            reason: DownReason::Refused(refusal),
        } => Some((*hub, *refusal)),
        _ => None,
    });
    let (hub, refusal) = refused.expect("it is told");
    assert_eq!((hub, refusal.budget), (peer(201), Budget::Peers));
    let until = town.now + (refusal.retry_after() - Duration::from_secs(2));
    town.run_until(until);
    assert!(
        town.take_events(peer(4)).is_empty(),
        "it does not knock before"
    );
    let (rows, _) = town.search(peer(4), "one", 10);
    assert_eq!(rows[0].holders, 4);
}

#[test]
fn a_flood_does_not_starve_the_others() {
    let mut town = settled(1, 3, Faults::NONE);
    town.publish(peer(1), &["a/one"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    let (mut worst, end) = (Duration::ZERO, town.now + Duration::from_secs(20));
    let mut request = 0;
    while town.now < end {
        for _ in 0..100 {
            request += 1;
            let query = super::query("one");
            let flood = gannet_overlay::hub::HubMessage::Search {
                request,
                query,
                offset: 0,
                limit: 100,
            };
            town.inject(peer(2), peer(201), flood);
        }
        let began = town.now;
        let (rows, _) = town.search(peer(3), "one", 10);
        assert_eq!(rows.len(), 1);
        worst = worst.max(town.now - began);
        town.run_for(Duration::from_millis(100));
    }
    assert!(worst < Duration::from_millis(100), "{worst:?}");
    let config = ServerConfig::default();
    let own = 20_000 / 140 * 2;
    let fair = u64::from(config.queries_per_second) * 21 + u64::from(config.queries_burst) + own;
    let status = town.core(peer(201)).hub().status();
    assert!(status.searches < fair, "{status:?}");
    assert!(status.dropped > 1_000, "{status:?}");
    let flooding = |(_, _, news): &(Timestamp, _, News)| {
        matches!(news, News::Hub(HubServerEvent::Flooding { .. }))
    };
    assert!(town.events.iter().any(flooding));
}

#[test]
fn a_machine_that_slept_blames_nobody() {
    let mut town = settled(1, 2, Faults::NONE);
    town.publish(peer(1), &["a/one"]);
    town.await_registered(peer(1), &[peer(201)], MINUTE);
    town.take_events(peer(1));
    // The peer's machine sleeps: the hub ends its lease, the peer is back at once.
    town.set_asleep(peer(1), true);
    town.run_for(MINUTE * 2);
    assert_eq!(town.core(peer(201)).hub().status().entries, 0);
    town.set_asleep(peer(1), false);
    town.run_for(Duration::from_secs(2));
    assert_eq!(town.core(peer(201)).hub().status().entries, 1);
    let down = |event: &HubClientEvent| matches!(event, HubClientEvent::HubDown { .. });
    assert!(!town.take_events(peer(1)).iter().any(down));
    // The hub's machine sleeps, shorter than a lease: nobody is forgotten.
    town.set_asleep(peer(201), true);
    town.run_for(Duration::from_secs(80));
    town.set_asleep(peer(201), false);
    town.run_for(Duration::from_secs(40));
    assert_eq!(paths(&town.search(peer(2), "one", 10).0), ["a/one"]);
}

#[test]
fn publications_end_by_the_hubs_own_calendar() {
    let mut town = settled(1, 2, Faults::NONE);
    let mut short = publication(peer(1), "a/short");
    short.expires = super::START.plus_seconds(100);
    let mut stale = publication(peer(1), "a/stale");
    stale.expires = super::START.plus_seconds(0);
    stale.expires =
        gannet_base::WallTime::from_unix_seconds(stale.expires.as_unix_seconds() - 7_200);
    let mut eternal = publication(peer(1), "a/eternal");
    eternal.expires = super::START.plus_seconds(100 * 365 * 24 * 3600);
    let lasting = publication(peer(1), "a/lasting");
    let all = vec![short, stale, eternal, lasting];
    town.order(peer(1), HubClientCommand::Publish(all));
    town.run_for(Duration::from_secs(2));
    assert_eq!(
        paths(&town.search(peer(2), "a", 10).0),
        ["a/lasting", "a/short"]
    );
    // Both clocks' slack later.
    town.run_for(Duration::from_secs(100 + 3_600 + 120));
    assert_eq!(paths(&town.search(peer(2), "a", 10).0), ["a/lasting"]);
}

#[test]
fn a_closing_hub_says_so() {
    let mut town = settled(1, 1, Faults::NONE);
    town.command(
        peer(201),
        Order::Hub(gannet_overlay::hub::HubServerCommand::Close),
    );
    town.run_for(Duration::from_secs(1));
    let closing = town.take_events(peer(1)).into_iter().any(|event| {
        let HubClientEvent::HubDown {
            reason: DownReason::Refused(refusal),
            ..
        } = event
        else {
            return false;
        };
        refusal.budget == Budget::Closing
    });
    assert!(closing);
}
