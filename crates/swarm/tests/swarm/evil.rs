//! Sources that lie. In every case: nothing unverified is counted, the liar is
//! dropped for the right reason, and the download completes from whoever is
//! honest.

use std::time::Duration;

use gannet_base::{GROUP_BYTES, Timestamp};
use gannet_swarm::{DownloadEvent, DropReason, RefusedReason};

use crate::harness::{Nature, Sim, content_id};
use crate::speed::swarm;

const MIB: u64 = 1 << 20;
const RATE: u64 = 8 * MIB;

fn latency() -> Duration {
    Duration::from_millis(10)
}

fn drops(sim: &Sim, fetcher: gannet_base::PeerId) -> Vec<DropReason> {
    let reason = |(_, event): &(Timestamp, DownloadEvent)| match event {
        DownloadEvent::SourceDropped { reason, .. } => Some(*reason),
        _ => None,
    };
    sim.peers[&fetcher]
        .events
        .iter()
        .filter_map(reason)
        .collect()
}

/// A liar first, two honest sources after it.
#[track_caller]
fn check(size: u64, nature: Nature, expected: impl Fn(DropReason) -> bool) {
    let (mut sim, fetcher, content, sources) = swarm(size, &[RATE; 3], latency());
    sim.peer(sources[0]).nature = nature;
    sim.fetch(fetcher, content, &sources[..1]);
    let rest = sources[1..].to_vec();
    // The liar alone must not be believed, however long.
    assert!(!sim.run(Timestamp::from_secs(30), |sim| {
        sim.peers[&fetcher].completed.contains_key(&content)
    }));
    for peer in rest {
        sim.command(
            fetcher,
            gannet_swarm::DownloadCommand::AddSource { content, peer },
        );
    }
    sim.run_to_end(fetcher, content, Duration::from_secs(120));
    let dropped = drops(&sim, fetcher);
    assert!(
        dropped.iter().any(|reason| expected(*reason)),
        "{nature:?}: {dropped:?}"
    );
    let honest = dropped.iter().filter(|reason| !expected(**reason)).count();
    assert_eq!(honest, 0, "{nature:?}: {dropped:?}");
}

#[test]
fn every_kind_of_liar_is_found_out() {
    let size = 6 * MIB + 17;
    check(size, Nature::CorruptAfter(0), |reason| {
        matches!(reason, DropReason::Corrupt { .. })
    });
    check(size, Nature::CorruptAfter(MIB), |reason| {
        matches!(reason, DropReason::Corrupt { .. })
    });
    check(size, Nature::TooMany, |reason| {
        reason == DropReason::Protocol
    });
    check(size, Nature::OtherSlices, |reason| {
        reason == DropReason::Protocol
    });
    check(size, Nature::Silent, |reason| reason == DropReason::Silent);
    check(size, Nature::TooFew, |reason| {
        reason == DropReason::Protocol
    });
    check(size, Nature::StallAfter(MIB), |reason| {
        reason == DropReason::Stalled
    });
    check(size, Nature::RefusesSlices, |reason| {
        reason == DropReason::Refused(RefusedReason::Busy)
    });
}

#[test]
fn lies_about_the_size_reserve_nothing_and_are_pinned() {
    let size = 3 * MIB + 5;
    let groups = size.div_ceil(GROUP_BYTES) * GROUP_BYTES;
    for lie in [
        0,
        1,
        size - 1,
        size + 1,
        groups,
        groups + 1,
        2 * size,
        1 << 49,
        1 << 50,
        1 << 63,
        u64::MAX,
    ] {
        check(size, Nature::LiesAboutSize(lie), |reason| {
            matches!(reason, DropReason::Corrupt { .. } | DropReason::WrongSize { .. } | DropReason::Protocol)
                // Our own serving side refuses to offer what cannot be.
                || reason == DropReason::Refused(RefusedReason::NotShared)
        });
    }
}

#[test]
fn ninety_nine_corrupt_and_one_honest() {
    let size = 4 * MIB;
    let (mut sim, fetcher, content, sources) = swarm(size, &[RATE; 100], latency());
    for source in &sources[..99] {
        sim.peer(*source).nature = Nature::CorruptAfter(0);
    }
    sim.fetch(fetcher, content, &sources);
    let took = sim.run_to_end(fetcher, content, Duration::from_secs(60));
    let banned = sim.peers[&fetcher].banned.len();
    let received = sim.peers[&fetcher].received_bytes;
    println!("{took:?}, {banned} banned, {received} bytes came for {size}");
    // At worst one slice of first size from each.
    assert!(
        received <= size * 11 / 10 + 99 * (4 * 8 * (GROUP_BYTES + 704)),
        "{received}"
    );
}

#[test]
fn wrong_bytes_for_one_content_lower_the_trust_in_another() {
    let (mut sim, fetcher, content, sources) = swarm(2 * MIB, &[RATE; 2], latency());
    let others = [content_id(2), content_id(3)];
    for other in others {
        sim.sizes.insert(other, 2 * MIB);
        sim.share(sources[0], other);
        sim.share(sources[1], other);
    }
    sim.peer(sources[0]).nature = Nature::CorruptAfter(0);
    sim.fetch(fetcher, content, &sources);
    sim.run_to_end(fetcher, content, Duration::from_secs(60));
    sim.fetch(fetcher, others[0], &sources);
    sim.run_to_end(fetcher, others[0], Duration::from_secs(60));
    sim.fetch(fetcher, others[1], &sources[..1]);
    let until = sim.now + Duration::from_secs(30);
    assert!(!sim.run(until, |sim| {
        sim.peers[&fetcher].completed.contains_key(&others[1])
    }));
    assert!(drops(&sim, fetcher).contains(&DropReason::Distrusted));
}

#[test]
fn claiming_all_and_having_a_part_is_no_harm() {
    let size = 8 * MIB;
    let (mut sim, fetcher, content, sources) = swarm(size, &[RATE; 3], latency());
    for (n, source) in sources.iter().enumerate().take(2) {
        let part = gannet_base::GroupRange::new(n as u64 * 200, n as u64 * 200 + 100);
        sim.peer(*source).nature = Nature::ClaimsAll;
        sim.peer(*source).disk.insert(content, part.into());
    }
    sim.fetch(fetcher, content, &sources);
    sim.run_to_end(fetcher, content, Duration::from_secs(30));
}
