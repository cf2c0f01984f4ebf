//! Putting sources on local networks of other distributed hash tables, and
//! getting them: what `dht_bench` of Gannet's node measures on its ring.
//!
//! ```text
//! cargo run --release --manifest-path bench/dht/Cargo.toml -- mainline|libp2p-kad [PEERS] [TRIPS]
//! ```
//!
//! All peers are in this process and talk over loopback. It prints the medians
//! in milliseconds as JSON.

mod kad;
mod theirs;

use std::time::Duration;

use anyhow::{Result, bail};

/// What one source took.
pub struct Trip {
    pub put: Duration,
    pub get: Duration,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| -> Result<usize> {
        Ok(arguments
            .get(place)
            .map(|text| text.parse())
            .transpose()?
            .unwrap_or(default)
            .max(2))
    };
    let (peers, trips) = (number(1, 50)?, number(2, 100)?);
    let (name, found) = match arguments.first().map(String::as_str) {
        Some("mainline") => ("mainline", theirs::trips(peers, trips)?),
        Some("libp2p-kad") => ("kad", kad::trips(peers, trips)?),
        _ => bail!("say mainline or libp2p-kad, then how many peers and how many sources"),
    };
    let median = |of: fn(&Trip) -> Duration| {
        let mut times: Vec<Duration> = found.iter().map(of).collect();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    println!(
        "{{\"{name}_put_ms_p50\": {:.3}, \"{name}_get_ms_p50\": {:.3}, \"{name}_trips\": {}}}",
        median(|trip| trip.put),
        median(|trip| trip.get),
        found.len()
    );
    Ok(())
}
