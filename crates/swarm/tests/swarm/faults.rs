//! Links that break, peers that crash and return, sources that hold parts: first
//! a phase in which anything happens and nothing wrong may (safety: checked by
//! the harness after every step), then one in which an honest complete source
//! stays reachable and the download must end (liveness).

use std::hash::Hasher;
use std::time::Duration;

use gannet_base::{GroupRange, GroupSet, PeerId, Timestamp, groups_in, seeded_rng};
use gannet_swarm::{
    DownloadCommand, DownloadEvent, DownloadState, DownloadsConfig, UploadsConfig, WaitReason,
};
use proptest::prelude::*;

use crate::harness::{Nature, Sim, content_id, peer_id};
use crate::speed::swarm;

const MIB: u64 = 1 << 20;

/// A swarm of everything, drawn from a seed. Returns the trace's fingerprint.
fn storm(seed: u64) -> u64 {
    let mut rng = seeded_rng(seed);
    let mut draw = move |below: u64| rng.next_u64() % below;
    let size = match draw(6) {
        0 => 0,
        1 => 1,
        2 => 16_384,
        3 => 16_385,
        4 => 3 * MIB + draw(99),
        _ => 20 * MIB,
    };
    let rates: Vec<_> = (0..3 + draw(10)).map(|_| 20_000 << draw(10)).collect();
    let (mut sim, fetcher, content, sources) = swarm(size, &rates, Duration::from_millis(5));
    let groups = groups_in(size);
    for source in &sources {
        let nature = match draw(10) {
            0 => Nature::CorruptAfter(draw(MIB)),
            1 => Nature::StallAfter(draw(2 * MIB)),
            2 => Nature::LiesAboutSize(draw(2 * size.max(1) + 2)),
            3 => Nature::TooMany,
            4 => Nature::TooFew,
            5 => Nature::Silent,
            _ => Nature::Honest,
        };
        // A lie that is the truth is none.
        let truth = nature == Nature::LiesAboutSize(size);
        sim.peer(*source).nature = if truth { Nature::Honest } else { nature };
        if nature == Nature::Honest && draw(2) == 0 {
            let start = draw(groups);
            let part = GroupRange::new(start, start + 1 + draw(groups - start));
            sim.peer(*source).disk.insert(content, part.into());
        }
        if draw(4) == 0 {
            let (at, peer) = (Timestamp::from_millis(draw(8_000)), *source);
            let noticed = Duration::from_millis(1 << draw(15));
            sim.at(at, move |sim| sim.kill(peer, noticed));
            if draw(2) == 0 {
                let back = at + Duration::from_millis(draw(8_000));
                sim.at(back, move |sim| {
                    sim.restart(peer, DownloadsConfig::default());
                });
            }
        }
        if draw(4) == 0 {
            let (at, peer) = (Timestamp::from_millis(draw(8_000)), *source);
            sim.at(at, move |sim| sim.cut(peer, Duration::from_millis(20)));
        }
    }
    sim.fetch(fetcher, content, &sources);
    let safe_until = Timestamp::from_secs(10);
    sim.run(safe_until, |_| false);
    let honest = sim.add_peer(999, 4 * MIB, Duration::from_millis(5));
    sim.share(honest, content);
    sim.command(
        fetcher,
        DownloadCommand::AddSource {
            content,
            peer: honest,
        },
    );
    sim.run_to_end(fetcher, content, Duration::from_secs(600));
    watchdog_was_right(&sim, fetcher);
    sim.trace.finish()
}

/// Every stretch of a minute without progress had a state that says why.
fn watchdog_was_right(sim: &Sim, fetcher: PeerId) {
    let (mut active, mut moved) = (false, Timestamp::ZERO);
    for (at, event) in &sim.peers[&fetcher].events {
        if active {
            assert!(
                *at - moved <= Duration::from_secs(60),
                "active without progress until {at}"
            );
        }
        match event {
            DownloadEvent::StateChanged { state, .. } => {
                active = *state == DownloadState::Active;
                moved = *at;
            }
            DownloadEvent::Progress { .. } => moved = *at,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn any_storm_passes(seed: u64) {
        storm(seed);
    }
}

#[test]
fn same_seed_same_trace() {
    for seed in [1, 2, 3] {
        assert_eq!(storm(seed), storm(seed), "seed {seed}");
    }
    assert_ne!(storm(1), storm(2));
}

#[test]
fn sizes_by_regime() {
    let near = |groups: u64| [groups * 16_384 - 1, groups * 16_384, groups * 16_384 + 1];
    let sizes = [
        vec![0, 1],
        near(1).to_vec(),
        near(2).to_vec(),
        near(8).to_vec(),
        near(9).to_vec(),
        near(64).to_vec(),
        near(1_000).to_vec(),
    ];
    for size in sizes.concat() {
        let (mut sim, fetcher, content, sources) =
            swarm(size, &[4 * MIB; 2], Duration::from_millis(1));
        sim.fetch(fetcher, content, &sources);
        sim.run_to_end(fetcher, content, Duration::from_secs(60));
    }
}

#[test]
fn a_killed_fetcher_asks_for_nothing_again() {
    let size = 32 * MIB;
    let (mut sim, fetcher, content, sources) = swarm(size, &[4 * MIB; 3], Duration::from_millis(5));
    sim.fetch(fetcher, content, &sources);
    for second in 1..=2 {
        sim.run(Timestamp::from_secs(second), |_| false);
        sim.kill(fetcher, Duration::from_millis(10));
        let until = sim.now + Duration::from_millis(50);
        sim.run(until, |_| false);
        sim.restart(fetcher, DownloadsConfig::default());
        // The harness fails if a request names a group that is on disk.
        sim.fetch(fetcher, content, &sources);
    }
    sim.run_to_end(fetcher, content, Duration::from_secs(60));
}

#[test]
fn parts_that_make_a_whole_suffice() {
    let size = 16 * MIB;
    let (mut sim, fetcher, content, sources) = swarm(size, &[4 * MIB; 4], Duration::from_millis(5));
    let groups = groups_in(size);
    for (n, source) in sources.iter().enumerate() {
        let part: GroupSet = (0..groups)
            .filter(|group| group % 4 == n as u64 || group % 8 == 0)
            .map(|group| GroupRange::new(group, group + 1))
            .collect();
        sim.peer(*source).disk.insert(content, part);
    }
    sim.fetch(fetcher, content, &sources);
    sim.run_to_end(fetcher, content, Duration::from_secs(60));
}

#[test]
fn fetchers_serve_each_other_while_they_fetch() {
    let mut sim = Sim::new();
    let (content, size) = (content_id(1), 32 * MIB);
    sim.sizes.insert(content, size);
    let seed = sim.add_peer(100, 4 * MIB, Duration::from_millis(5));
    sim.share(seed, content);
    let fetchers: Vec<_> = (1..=4)
        .map(|n| sim.add_peer(n, 4 * MIB, Duration::from_millis(5)))
        .collect();
    for fetcher in &fetchers {
        let mut sources: Vec<_> = fetchers
            .iter()
            .filter(|other| *other != fetcher)
            .copied()
            .collect();
        sources.push(seed);
        sim.fetch(*fetcher, content, &sources);
    }
    let all = fetchers.clone();
    let done = sim.run(Timestamp::from_secs(120), |sim| {
        all.iter()
            .all(|fetcher| sim.peers[fetcher].completed.contains_key(&content))
    });
    assert!(done);
    let last = fetchers
        .iter()
        .map(|fetcher| sim.peers[fetcher].completed[&content])
        .max();
    println!(
        "four fetchers, one seed: {last:?}; the seed sent {}",
        sim.peers[&seed].sent_bytes
    );
    // Alone the seed would need 32 s for all four.
    assert!(
        last.is_some_and(|last| last < Timestamp::from_secs(20)),
        "{last:?}"
    );
    assert!(
        sim.peers[&seed].sent_bytes < 2 * size,
        "the seed sent most of it once"
    );
}

#[test]
fn a_queue_moves_and_everybody_is_served() {
    let mut sim = Sim::new();
    let (content, size) = (content_id(1), 2 * MIB);
    sim.sizes.insert(content, size);
    let source = peer_id(100);
    let uploads = UploadsConfig {
        slots_max: 2,
        ..UploadsConfig::default()
    };
    sim.add_peer_with(
        source,
        8 * MIB,
        Duration::from_millis(5),
        DownloadsConfig::default(),
        uploads,
    );
    sim.share(source, content);
    for number in 1..=12 {
        let fetcher = sim.add_peer(number, MIB, Duration::from_millis(5));
        sim.fetch(fetcher, content, &[source]);
    }
    let done = sim.run(Timestamp::from_secs(60), |sim| {
        (1..=12).all(|number| sim.peers[&peer_id(number)].completed.contains_key(&content))
    });
    assert!(done, "{:?}", sim.peers[&source].uploads.status(sim.now));
}

#[test]
fn nobody_to_fetch_from_has_a_name() {
    let (mut sim, fetcher, content, sources) = swarm(MIB, &[MIB; 2], Duration::from_millis(5));
    sim.fetch(fetcher, content, &[]);
    let state = |sim: &Sim| {
        sim.peers[&fetcher]
            .downloads
            .status(sim.now, content)
            .unwrap()
            .state
    };
    assert_eq!(state(&sim), DownloadState::Waiting(WaitReason::NoSources));
    sim.kill(sources[0], Duration::ZERO);
    sim.command(
        fetcher,
        DownloadCommand::AddSource {
            content,
            peer: sources[0],
        },
    );
    assert_eq!(state(&sim), DownloadState::Waiting(WaitReason::Connecting));
    sim.run(Timestamp::from_secs(1), |_| false);
    assert_eq!(state(&sim), DownloadState::Waiting(WaitReason::Unreachable));
    let asked = |event: &(Timestamp, DownloadEvent)| {
        matches!(
            event.1,
            DownloadEvent::NeedSources {
                why: WaitReason::Unreachable,
                ..
            }
        )
    };
    assert!(sim.peers[&fetcher].events.iter().any(asked));
    sim.restart(sources[0], DownloadsConfig::default());
    sim.run_to_end(fetcher, content, Duration::from_secs(30));
}

#[test]
fn pause_disk_full_and_resume() {
    let (mut sim, fetcher, content, sources) =
        swarm(16 * MIB, &[4 * MIB; 2], Duration::from_millis(5));
    sim.fetch(fetcher, content, &sources);
    let state = |sim: &Sim| {
        sim.peers[&fetcher]
            .downloads
            .status(sim.now, content)
            .unwrap()
            .state
    };
    sim.run(Timestamp::from_millis(500), |_| false);
    assert_eq!(state(&sim), DownloadState::Active);
    sim.command(fetcher, DownloadCommand::DiskFull { content });
    sim.run(Timestamp::from_secs(3), |_| false);
    assert_eq!(state(&sim), DownloadState::Waiting(WaitReason::DiskFull));
    let before = sim.peers[&fetcher].received_bytes;
    sim.run(Timestamp::from_secs(6), |_| false);
    assert_eq!(
        sim.peers[&fetcher].received_bytes, before,
        "nothing comes while there is no room"
    );
    sim.command(fetcher, DownloadCommand::Pause { content });
    sim.command(fetcher, DownloadCommand::DiskOk { content });
    assert_eq!(state(&sim), DownloadState::Paused);
    sim.command(fetcher, DownloadCommand::Resume { content });
    sim.run_to_end(fetcher, content, Duration::from_secs(30));
}
