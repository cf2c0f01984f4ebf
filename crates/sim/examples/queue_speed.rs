//! Speed of the calendar beside a binary heap: the hold model, in which each
//! step takes the earliest entry out and puts one in, exponentially later.
//!
//! `cargo run --release -p gannet-sim --example queue_speed [-- MILLIONS]`:
//! steps for each line, default 4 million.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gannet_base::{Rng, Timestamp, seeded_rng};
use gannet_sim::Calendar;
use rand_core::Rng as _;

/// What hangs on an entry: as much as a small message.
type Load = [u64; 6];

fn main() {
    let millions = std::env::args().nth(1).map_or(4, |millions| {
        millions.parse().expect("MILLIONS is a number")
    });
    println!("pending   load   calendar    heap   million steps a second");
    for pending in [1_000, 10_000, 100_000, 1_000_000] {
        let steps = millions * 1_000_000;
        line(pending, steps, 0_u64);
        line(pending, steps, Load::default());
    }
}

fn line<T: Copy + Ord>(pending: u64, steps: u64, load: T) {
    let calendar = calendar(pending, steps, load);
    let heap = heap(pending, steps, load);
    let bytes = size_of::<T>();
    println!("{pending:>7} {bytes:>6} {calendar:>10.2} {heap:>7.2}");
}

/// A delay with a mean of 100 ms, in microseconds.
fn delay(rng: &mut Rng) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    let unit = (rng.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
    let micros = (-(1.0 - unit).ln() * 100_000.0).round();
    u64::try_from(Duration::from_secs_f64(micros / 1e6).as_micros()).expect("a short delay")
}

fn rate(steps: u64, began: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    let steps = steps as f64;
    steps / began.elapsed().as_secs_f64() / 1e6
}

fn calendar<T: Copy>(pending: u64, steps: u64, load: T) -> f64 {
    let mut rng = seeded_rng(1);
    let mut calendar = Calendar::new();
    for _ in 0..pending {
        calendar.push(Timestamp::from_micros(delay(&mut rng)), load);
    }
    let began = Instant::now();
    for _ in 0..steps {
        let (at, load) = calendar.pop_until(Timestamp::MAX).expect("never empty");
        let at = at + Duration::from_micros(delay(&mut rng));
        calendar.push(at, black_box(load));
    }
    rate(steps, began)
}

fn heap<T: Copy + Ord>(pending: u64, steps: u64, load: T) -> f64 {
    let mut rng = seeded_rng(1);
    let mut heap = BinaryHeap::new();
    for number in 0..pending {
        heap.push(Reverse((delay(&mut rng), number, load)));
    }
    let began = Instant::now();
    for number in 0..steps {
        let Reverse((at, _, load)) = heap.pop().expect("never empty");
        heap.push(Reverse((at + delay(&mut rng), number, black_box(load))));
    }
    rate(steps, began)
}
