use std::time::Duration;

use gannet_base::{BlockId, PeerAddress, PeerId};

use super::bench::{BEGINNING, Bench, content, order, order_at, peer, release};
use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn block(index: u32) -> BlockId {
    BlockId {
        content: content(),
        index,
    }
}

/// Twenty peers, of which the first keeps a file of so many blocks.
fn placed(blocks: u64, copies: u8) -> Bench {
    let mut bench = Bench::new(20, Config::default());
    let wish = Box::new(order(0, blocks, copies, 30));
    bench.command(peer(0), KeepCommand::Keep(wish));
    bench.run(MINUTE);
    bench
}

#[test]
fn a_file_is_placed_within_a_minute() {
    let mut bench = placed(3, 8);
    for index in 0..3 {
        let mut expected = bench.places(peer(0)).owners(block(index));
        expected.retain(|id| *id != peer(0));
        expected.truncate(8);
        expected.sort_unstable();
        assert_eq!(
            bench.on_disk(block(index)),
            expected,
            "the first eight owners but the keeper"
        );
    }
    let status = bench.status(peer(0)).unwrap();
    assert_eq!((status.blocks, status.blocks_kept), (3, 3));
    assert_eq!((status.copies_min, status.online_min), (8, 8));
    let serves = |event: &&(PeerId, KeepEvent)| matches!(event.1, KeepEvent::Serve(_));
    let holders = bench.disks.values().filter(|disk| !disk.here.is_empty());
    assert_eq!(bench.events.iter().filter(serves).count(), holders.count());
}

#[test]
fn few_peers_make_as_many_copies_as_they_are_and_the_keeper_knows_soon() {
    let mut bench = Bench::new(4, Config::default());
    let wish = Box::new(order(0, 3, 8, 30));
    bench.command(peer(0), KeepCommand::Keep(wish));
    bench.run(5);
    for index in 0..3 {
        assert_eq!(bench.on_disk(block(index)).len(), 3);
    }
    let status = bench.status(peer(0)).unwrap();
    assert_eq!((status.copies_min, status.online_min), (3, 3));
    assert_eq!((status.blocks_kept, status.refused), (0, None));
    // More come: they get theirs, and it is asked for ever more seldom.
    let before = bench.sent;
    bench.run(HOUR);
    assert!(bench.sent - before < 1_000, "{}", bench.sent - before);
    for n in 4..12 {
        bench.start(peer(n));
    }
    bench.run(HOUR);
    assert_eq!(bench.status(peer(0)).unwrap().online_min, 8);
}

#[test]
fn it_outlives_its_keeper_and_costs_nothing_while_all_is_well() {
    let mut bench = placed(2, 4);
    bench.stop(peer(0));
    bench.run(HOUR);
    let before = bench.on_disk(block(0));
    let sent = bench.sent;
    bench.run(DAY);
    assert_eq!(bench.on_disk(block(0)), before);
    // A claim and its answer every ten minutes for each of two blocks, twice that with
    // the jitter and proofs.
    let claims = 2 * 2 * 4 * 2 * 24 * 6;
    assert!(bench.sent - sent < claims, "{} messages", bench.sent - sent);
}

#[test]
fn a_restart_costs_nothing() {
    let mut bench = placed(1, 8);
    bench.run(HOUR);
    let before = bench.on_disk(block(0));
    for id in before.iter().copied().filter(|id| *id != peer(0)) {
        bench.stop(id);
        bench.run(10 * MINUTE);
        bench.start(id);
        bench.run(20 * MINUTE);
    }
    assert_eq!(bench.on_disk(block(0)), before);
}

#[test]
fn who_is_gone_for_good_is_replaced() {
    let mut bench = placed(1, 8);
    bench.run(HOUR);
    let holders = bench.on_disk(block(0));
    let gone: Vec<_> = holders
        .into_iter()
        .filter(|id| *id != peer(0))
        .take(3)
        .collect();
    for id in &gone {
        bench.stop(*id);
        bench.disks.remove(id);
    }
    bench.run(40 * MINUTE);
    assert!(
        bench.online_with(block(0)).len() >= 8,
        "{:?}",
        bench.online_with(block(0))
    );
    // The keeper is asked again within the hour.
    bench.run(HOUR);
    assert_eq!(bench.status(peer(0)).unwrap().copies_min, 8);
}

#[test]
fn who_has_come_back_before_is_waited_for_and_counts_again() {
    let mut bench = placed(1, 4);
    bench.run(HOUR);
    let holders = bench.on_disk(block(0));
    for id in &holders {
        bench.stop(*id);
        bench.run(MINUTE);
        bench.start(*id);
        bench.run(MINUTE);
    }
    bench.run(HOUR);
    assert_eq!(bench.on_disk(block(0)), holders);
    // One is away for hours: nothing happens.
    let away = holders.into_iter().find(|id| *id != peer(0)).unwrap();
    bench.stop(away);
    bench.run(12 * HOUR);
    assert_eq!(bench.on_disk(block(0)).len(), 4);
    // A day and more: a copy is made; and when it comes back, there is one more.
    bench.run(14 * HOUR);
    assert_eq!(bench.online_with(block(0)).len(), 4);
    bench.start(away);
    bench.run(HOUR);
    assert_eq!(bench.online_with(block(0)).len(), 5);
}

#[test]
fn an_heir_hears_of_everything_at_once() {
    let mut bench = placed(1, 8);
    bench.run(HOUR);
    let owners = bench.places(peer(0)).owners(block(0));
    bench.stop(owners[0]);
    bench.run(MINUTE);
    let heir = bench.nodes.get(&owners[1]).unwrap();
    assert!(heir.wards.get(&block(0)).unwrap().holders.len() >= 6);
    // A newcomer right before it, too.
    bench.start(owners[0]);
    bench.run(MINUTE);
    let first = bench.nodes.get(&owners[0]).unwrap();
    assert!(first.wards.get(&block(0)).unwrap().holders.len() >= 7);
}

#[test]
fn few_copies_online_are_too_few() {
    let mut bench = placed(1, 8);
    bench.run(HOUR);
    let holders = bench.on_disk(block(0));
    for id in &holders {
        bench.stop(*id);
        bench.run(MINUTE);
        bench.start(*id);
    }
    bench.run(HOUR);
    let seven: Vec<_> = holders
        .into_iter()
        .filter(|id| *id != peer(0))
        .take(7)
        .collect();
    seven.iter().for_each(|id| bench.stop(*id));
    bench.run(40 * MINUTE);
    assert!(
        bench.online_with(block(0)).len() >= 4,
        "half of what is wanted"
    );
}

#[test]
fn releasing_frees_everybody() {
    let mut bench = placed(3, 8);
    // One holder sleeps through it, and comes back with its copy.
    let away = bench
        .on_disk(block(0))
        .into_iter()
        .find(|id| *id != peer(0))
        .unwrap();
    bench.run(HOUR);
    bench.stop(away);
    bench.run(HOUR);
    let word = Box::new(release(0, BEGINNING + 2 * HOUR));
    bench.command(peer(0), KeepCommand::Unkeep(word));
    bench.run(MINUTE);
    assert!((0..3).all(|index| bench.online_with(block(index)).is_empty()));
    bench.stop(peer(0));
    bench.run(DAY);
    bench.start(away);
    bench.run(DAY);
    for index in 0..3 {
        assert_eq!(
            bench.on_disk(block(index)),
            [],
            "nobody took it from who came back"
        );
    }
}

#[test]
fn only_the_keeper_can_release() {
    let mut bench = placed(1, 4);
    let holders = bench.on_disk(block(0));
    let forged = {
        let mut forged = release(0, BEGINNING + HOUR);
        forged.signature = release(1, BEGINNING + HOUR).signature;
        forged
    };
    for word in [
        forged,
        release(1, BEGINNING + HOUR),
        release(0, BEGINNING - 1),
    ] {
        for n in 0..20 {
            let blocks = vec![0];
            let release = word.clone();
            bench.message(peer(9), peer(n), KeepMessage::Release { release, blocks });
        }
    }
    bench.run(HOUR);
    assert_eq!(bench.on_disk(block(0)), holders);
}

#[test]
fn an_order_ends_and_can_be_renewed() {
    for renewed in [false, true] {
        let mut bench = Bench::new(12, Config::default());
        bench.command(peer(0), KeepCommand::Keep(Box::new(order(0, 1, 4, 2))));
        bench.run(DAY);
        if renewed {
            let wish = order_at(0, (1, 4), BEGINNING + DAY, 30);
            bench.command(peer(0), KeepCommand::Keep(Box::new(wish)));
            bench.run(HOUR);
            bench.stop(peer(0));
        }
        bench.run(2 * DAY);
        let left = bench.online_with(block(0)).len();
        assert_eq!(left >= 4, renewed, "{left} copies are left");
        assert!(renewed || left == 0, "{left} copies are left");
    }
}

#[test]
fn a_wrong_clock_drops_nothing_early_and_nothing_late() {
    let ten_years = i64::try_from(3_650 * DAY).unwrap();
    for skew in [ten_years, -ten_years] {
        let mut bench = Bench::new(10, Config::default());
        bench.command(peer(0), KeepCommand::Keep(Box::new(order(0, 6, 6, 1))));
        bench.run(HOUR);
        let holders = bench.on_disk(block(0));
        let off = holders.iter().copied().find(|id| *id != peer(0)).unwrap();
        bench.stop(off);
        bench.skews.insert(off, skew);
        bench.start(off);
        bench.run(20 * HOUR);
        assert!(bench.online_with(block(0)).contains(&off), "not early");
        bench.run(8 * DAY);
        assert!(!bench.online_with(block(0)).contains(&off), "not late");
    }
}

#[test]
fn grants_and_shares_are_kept() {
    let config = Config {
        grant_bytes: 3 * gannet_base::BLOCK_BYTES,
        keeper_permille_max: 700,
        ..Config::default()
    };
    let mut bench = Bench::new(10, config);
    bench.command(peer(0), KeepCommand::Keep(Box::new(order(0, 12, 4, 30))));
    bench.run(10 * MINUTE);
    let size = order(0, 12, 4, 30).entry.size;
    let share = 3 * gannet_base::BLOCK_BYTES / 1_000 * 700;
    for (id, disk) in &bench.disks {
        let bytes = disk.here.iter().map(|id| id.bytes(size)).sum::<u64>();
        assert!(bytes <= share, "{id} holds more than this keeper's share");
    }
    let status = bench.status(peer(0)).unwrap();
    assert!(status.blocks_kept < 12);
    assert_eq!(status.refused, Some(RefusalReason::KeeperShare));
    // The owner grants nothing any more.
    let held = |bench: &Bench| bench.disks.get(&peer(3)).unwrap().here.len();
    assert!(held(&bench) > 0);
    bench.command(peer(3), KeepCommand::Grant { bytes: 0 });
    assert_eq!(held(&bench), 0);
    bench.run(HOUR);
    assert_eq!(held(&bench), 0);
}

#[test]
fn the_owner_sees_and_refuses() {
    let mut bench = placed(1, 4);
    let holders = bench.on_disk(block(0));
    let unwilling = holders.iter().copied().find(|id| *id != peer(0)).unwrap();
    let seen: Vec<_> = bench.nodes.get(&unwilling).unwrap().held().collect();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].entry.name(), seen[0].bytes), ("a film", 100_000));
    assert_eq!(seen[0].orders[0].keeper, peer(0));
    for refusal in [Refusal::Content(content()), Refusal::Keeper(peer(0))] {
        bench.command(unwilling, KeepCommand::Refuse(refusal));
        assert!(!bench.on_disk(block(0)).contains(&unwilling));
        bench.run(HOUR);
        assert_eq!(bench.on_disk(block(0)).len(), 4, "others took its place");
        assert!(!bench.on_disk(block(0)).contains(&unwilling));
    }
}

#[test]
fn nothing_unsigned_is_held() {
    let mut bench = Bench::new(6, Config::default());
    let mut forged = order(0, 1, 4, 30);
    forged.copies = 5;
    let early = order_at(0, (1, 4), BEGINNING + 2 * DAY, 30);
    let late = order_at(0, (1, 4), BEGINNING - 9 * DAY, 8);
    for wish in [forged, early, late] {
        for n in 0..6 {
            let offer = KeepMessage::Offer {
                orders: vec![wish.clone()],
                blocks: vec![0],
                sources: vec![PeerAddress {
                    peer: peer(0),
                    addresses: Vec::new(),
                }],
            };
            bench.message(peer(1), peer(n), offer);
        }
        bench.run(MINUTE);
    }
    let fetches = |event: &(PeerId, KeepEvent)| matches!(event.1, KeepEvent::Fetch { .. });
    assert!(!bench.events.iter().any(fetches));
}

#[test]
fn who_lies_about_holding_is_found_out() {
    for audits in [true, false] {
        let config = Config {
            audits,
            audit_interval: Duration::from_secs(HOUR),
            ..Config::default()
        };
        let mut bench = Bench::new(20, config);
        bench.command(peer(0), KeepCommand::Keep(Box::new(order(0, 1, 6, 30))));
        bench.run(MINUTE);
        let owners = bench.places(peer(0)).owners(block(0));
        // Not the responsible node: nobody checks that one but its heirs.
        for liar in &owners[1..4] {
            bench.liars.insert(*liar);
        }
        bench.run(4 * HOUR);
        let honest = bench.online_with(block(0));
        let honest = honest.iter().filter(|id| !bench.liars.contains(id)).count();
        let found: u64 = bench
            .nodes
            .values()
            .map(|keep| keep.counts().disbelieved)
            .sum();
        assert_eq!(
            (honest >= 6, found >= 3),
            (audits, audits),
            "{honest} {found}"
        );
    }
}

#[test]
fn same_seed_same_trace() {
    let run = || {
        let mut bench = placed(3, 5);
        bench.stop(peer(4));
        bench.run(HOUR);
        bench.start(peer(4));
        bench.run(5 * HOUR);
        (bench.events, bench.sent)
    };
    assert_eq!(run(), run());
}

/// Everybody comes and goes at random, some for good; what was placed can still be
/// had, and nobody holds more than it grants.
#[test]
fn nothing_is_lost_while_peers_come_and_go() {
    use rand_core::Rng as _;
    for seed in 0..3 {
        let mut rng = gannet_base::seeded_rng(seed);
        let mut bench = Bench::new(30, Config::default());
        bench.command(peer(0), KeepCommand::Keep(Box::new(order(0, 2, 6, 30))));
        bench.run(MINUTE);
        bench.stop(peer(0));
        bench.disks.remove(&peer(0));
        for n in 30..40 {
            bench.start(peer(n));
        }
        for _ in 0..300 {
            let id = peer(u8::try_from(1 + rng.next_u32() % 39).unwrap());
            if bench.nodes.contains_key(&id) {
                bench.stop(id);
                if rng.next_u32().is_multiple_of(10) {
                    bench.disks.remove(&id);
                }
            } else {
                bench.start(id);
            }
            bench.run(5 * MINUTE + u64::from(rng.next_u32() % 600));
        }
        for index in 0..2 {
            assert!(
                !bench.on_disk(block(index)).is_empty(),
                "seed {seed}: block {index} is lost"
            );
        }
        for keep in bench.nodes.values() {
            assert!(keep.counts().held_bytes <= keep.counts().grant_bytes);
        }
    }
}
