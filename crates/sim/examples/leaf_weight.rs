//! Memory of a leaf in the laboratory of two tiers, every allocation counted.
//!
//! `cargo run --release -p gannet-sim --example leaf_weight [-- NODES
//! [LEAVES_MAX [KNOWN_MAX]]]`: defaults 20000, 100 and the length of lists that is usual.
//! Leaves that share nothing are weighed: what files take comes on top.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unsafe_code, reason = "an allocator that counts")]

mod speed;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use gannet_sim::lab::supernode::{Params, weigh};

use speed::{memory_kib, number, timed};

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: all work is the system's; only sizes are noted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let nodes = number(&mut arguments, 20_000);
    let usual = u32::try_from(Params::default().known_max).expect("a short list");
    let params = Params {
        nodes,
        leaves_max: u16::try_from(number(&mut arguments, 100)).expect("places"),
        known_max: usize::try_from(number(&mut arguments, usual)).expect("a list"),
        // Most share nothing.
        files: (nodes / 10).max(1),
        copies: 1.0,
        queries: 0,
        ..Params::default()
    };
    let allocated = || ALLOCATED.load(Ordering::Relaxed);
    let (weight, seconds) = timed(|| weigh(&params, allocated).expect("possible parameters"));
    println!("{weight:#?}");
    println!(
        "{seconds:.1} s, at most {} MiB",
        memory_kib("VmHWM:") / 1_024
    );
}
