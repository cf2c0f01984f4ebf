//! How much a `TransferStream` moves over a path with delay, loss and a rate, by either
//! road and with each congestion controller.
//!
//! `cargo run --release -p gannet-net --example path_bench [-- MILLISECONDS PER_CENT
//! MBIT [MIB [ROUNDS [CASE…]]]]`: a round trip of 40 ms, 0.1 % of packets lost each way,
//! 200 Mbit/s, 32 MiB, three rounds. Cases are a road and a controller, `quic:bbr`.
//!
//! Linux, and root: it makes two network namespaces with a path between them, and
//! removes them; if it is killed, `ip netns del` removes what `ip netns` lists. Everything
//! goes through the path, what the system does for TCP too.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(unsafe_code, reason = "a system call that no library has")]

#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
#[path = "../transfers/mod.rs"]
mod transfers;

fn main() {
    #[cfg(target_os = "linux")]
    run::main();
    #[cfg(not(target_os = "linux"))]
    println!("this needs Linux");
}
