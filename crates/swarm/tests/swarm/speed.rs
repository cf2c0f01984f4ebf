//! The times that the whole program must reach, in virtual time.

use std::time::Duration;

use gannet_base::{ContentId, PeerId, Timestamp};

use crate::harness::{Nature, Sim, content_id, peer_id};

const MIB: u64 = 1 << 20;
const MB: u64 = 1_000_000;
const FAST: u64 = 20 * MB;

/// One fetcher and a source of each of these rates, all with all of a file of
/// `size` bytes.
pub(crate) fn swarm(
    size: u64,
    rates: &[u64],
    latency: Duration,
) -> (Sim, PeerId, ContentId, Vec<PeerId>) {
    let mut sim = Sim::new();
    let content = content_id(1);
    sim.sizes.insert(content, size);
    let fetcher = sim.add_peer(0, 100 * MB, Duration::ZERO);
    let sources: Vec<_> = (1..)
        .zip(rates)
        .map(|(number, rate)| sim.add_peer(number, *rate, latency))
        .collect();
    for source in &sources {
        sim.share(*source, content);
    }
    (sim, fetcher, content, sources)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Bytes that came and were of no use, in thousandths of the content.
fn waste_permille(sim: &Sim, fetcher: PeerId, size: u64) -> u64 {
    let peer = &sim.peers[&fetcher];
    (peer.received_bytes - peer.useful_bytes) * 1_000 / size
}

#[track_caller]
fn fetch(size: u64, rates: &[u64], latency: Duration) -> (Duration, u64) {
    let (mut sim, fetcher, content, sources) = swarm(size, rates, latency);
    sim.fetch(fetcher, content, &sources);
    let took = sim.run_to_end(fetcher, content, Duration::from_secs(3_600));
    (took, waste_permille(&sim, fetcher, size))
}

fn ideal(size: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(size as f64 / rate as f64)
}

#[test]
fn four_sources_give_the_sum_of_their_rates() {
    for latency in [1, 10, 40] {
        let size = 256 * MIB;
        let (took, waste) = fetch(size, &[FAST; 4], ms(latency));
        // To connect (two round trips), to ask, to prove the size.
        let start = ms(2 * latency) * 4;
        let share = (start + ideal(size, 4 * FAST)).as_secs_f64() / took.as_secs_f64();
        println!(
            "latency {latency} ms: {took:?}, {:.1} % of the ideal, waste {waste} permille",
            share * 100.0
        );
        // On a short line, all that included.
        let plain = ideal(size, 4 * FAST).as_secs_f64() / took.as_secs_f64();
        assert!(
            plain >= 0.95 || latency > 10,
            "{plain} of the ideal at {latency} ms"
        );
        assert!(share >= 0.95, "{share} of the ideal at {latency} ms");
        assert!(waste <= 20, "{waste} permille came twice");
    }
}

#[test]
fn one_of_four_dying_half_way_costs_a_tenth_at_most() {
    for (noticed, how) in [
        (ms(50), "its links break"),
        (Duration::from_secs(60), "it falls silent"),
    ] {
        let size = 256 * MIB;
        let (mut sim, fetcher, content, sources) = swarm(size, &[FAST; 4], ms(10));
        sim.fetch(fetcher, content, &sources);
        let half = ideal(size, 4 * FAST) / 2;
        let victim = sources[1];
        sim.at(Timestamp::ZERO + half, move |sim| sim.kill(victim, noticed));
        let took = sim.run_to_end(fetcher, content, Duration::from_secs(100));
        let best = half + ideal(size / 2, 3 * FAST);
        let ratio = took.as_secs_f64() / best.as_secs_f64();
        println!("{how}: {took:?}, {ratio:.3} times the ideal");
        assert!(ratio <= 1.10, "{ratio} times the ideal when {how}");
    }
}

#[test]
fn a_source_at_one_percent_does_not_hold_up_three() {
    let size = 256 * MIB;
    let (without, _) = fetch(size, &[FAST; 3], ms(10));
    let (with, waste) = fetch(size, &[FAST, FAST, FAST, FAST / 100], ms(10));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("{ratio:.3} times the time without it, waste {waste} permille");
    assert!(ratio <= 1.05, "{ratio} times the time without it");
    assert!(waste <= 20);
}

#[test]
fn half_of_24_sources_at_one_percent_do_not_hold_up_the_rest() {
    let (size, rate) = (256 * MIB, 4 * MB);
    let (without, _) = fetch(size, &[rate; 12], ms(20));
    let mixed: Vec<_> = (0..24)
        .map(|n| if n % 2 == 0 { rate } else { rate / 100 })
        .collect();
    let (with, waste) = fetch(size, &mixed, ms(20));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("{ratio:.3} times the time without them, waste {waste} permille");
    assert!(ratio <= 1.2, "{ratio} times the time without them");
    assert!(waste <= 20, "{waste} permille came twice");
}

#[test]
fn half_of_the_sources_stalling_at_a_random_byte() {
    let (size, rate) = (256 * MIB, 4 * MB);
    let (honest, _) = fetch(size, &[rate; 8], ms(10));
    for seed in 0..5_u64 {
        let (mut sim, fetcher, content, sources) = swarm(size, &[rate; 16], ms(10));
        for (n, source) in sources.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
            let byte = (seed * 7_919 + n as u64 * 104_729) * 7_001 % (size / 8);
            sim.peer(*source).nature = Nature::StallAfter(byte);
        }
        sim.fetch(fetcher, content, &sources);
        let took = sim.run_to_end(fetcher, content, Duration::from_secs(3_600));
        let waste = waste_permille(&sim, fetcher, size);
        let ratio = took.as_secs_f64() / honest.as_secs_f64();
        println!(
            "seed {seed}: {took:?}, {ratio:.3} times the honest ones alone, waste {waste} permille"
        );
        assert!(ratio <= 1.3, "{ratio} times the honest ones alone");
        assert!(waste <= 20, "{waste} permille came twice");
    }
}

#[test]
fn drips_in_most_slots_leave_the_honest_their_speed() {
    let (size, rate) = (256 * MIB, 4 * MB);
    let (alone, _) = fetch(size, &[rate; 4], ms(10));
    let mut rates = vec![100; 20];
    rates.extend([rate; 4]);
    let (with, waste) = fetch(size, &rates, ms(10));
    let ratio = with.as_secs_f64() / alone.as_secs_f64();
    println!("{ratio:.3} times the time without drips, waste {waste} permille");
    assert!(ratio <= 1.0 / 0.9, "{ratio} times the time without drips");
}

#[test]
fn a_new_source_speeds_up_a_running_download() {
    let size = 64 * MIB;
    let (mut sim, fetcher, content, sources) = swarm(size, &[FAST / 10, FAST], ms(10));
    sim.fetch(fetcher, content, &sources[..1]);
    let late = sources[1];
    sim.at(Timestamp::from_secs(2), move |sim| {
        sim.command(
            peer_id(0),
            gannet_swarm::DownloadCommand::AddSource {
                content,
                peer: late,
            },
        );
    });
    let took = sim.run_to_end(fetcher, content, Duration::from_secs(60));
    let best = Duration::from_secs(2) + ideal(size - 2 * FAST / 10, FAST + FAST / 10);
    let ratio = took.as_secs_f64() / best.as_secs_f64();
    println!("{took:?}, {ratio:.3} times the ideal");
    assert!(ratio < 1.1, "{ratio} times the ideal");
}

#[test]
fn one_fast_source_is_kept_busy_over_a_long_line() {
    for (rate, latency) in [(250 * MB, 1), (FAST, 100), (MB / 10, 100)] {
        let size = rate * 5;
        let (took, _) = fetch(size, &[rate], ms(latency));
        let share = ideal(size, rate).as_secs_f64() / took.as_secs_f64();
        println!("{rate} B/s, {latency} ms: {share:.3} of the ideal");
        assert!(
            share >= 0.75,
            "{share} of the ideal at {rate} B/s and {latency} ms"
        );
    }
}

#[test]
fn half_of_the_sources_promise_all_and_give_nothing() {
    let (size, rate) = (128 * MIB, 4 * MB);
    let (honest, _) = fetch(size, &[rate; 8], ms(10));
    let (mut sim, fetcher, content, sources) = swarm(size, &[rate; 16], ms(10));
    for source in sources.iter().step_by(2) {
        sim.peer(*source).nature = Nature::StallAfter(64 * 1024);
    }
    sim.fetch(fetcher, content, &sources);
    let took = sim.run_to_end(fetcher, content, Duration::from_secs(3_600));
    let waste = waste_permille(&sim, fetcher, size);
    let ratio = took.as_secs_f64() / honest.as_secs_f64();
    println!("{took:?}, {ratio:.3} times the honest ones alone, waste {waste} permille");
    assert!(ratio <= 1.3, "{ratio} times the honest ones alone");
    assert!(waste <= 20, "{waste} permille came twice");
}
