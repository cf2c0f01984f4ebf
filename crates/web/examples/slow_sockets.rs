//! A crowd of slow sockets on the API of a peer: how fast an honest caller is
//! answered meanwhile, and when the last of the crowd is closed. Prints its
//! figures as JSON.
//!
//! `slow_sockets [SOCKETS]`
//!
//! A quarter of the crowd each: says nothing; sends its head a byte at a time;
//! sends its body a byte at a time; asks once, reads slowly and stays. Each that
//! is closed is counted and does not come back. The honest caller makes a new
//! connection for each question, as `gannet status` does.

#![allow(clippy::print_stdout, reason = "a program")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gannet_node::{Node, NodeConfig};
use gannet_web::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between the bytes of a slow socket.
const PACE: Duration = Duration::from_millis(500);
/// Between the questions of the honest caller.
const ASK: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let sockets = std::env::args().nth(1);
    let sockets = sockets.map_or(1_000, |text| text.parse().expect("a number of sockets"));
    let dir = tempfile::tempdir().expect("a folder for the peer");
    let mut config = NodeConfig::new(dir.path().join("data"));
    config.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.local_discovery = false;
    let api_listen = config.api_listen;
    let node = Node::start(config).await.expect("a peer starts");
    let server = gannet_web::serve(node.clone(), api_listen).await;
    let server = server.expect("its API is served");
    let client = Client::connect(node.data_dir()).await.expect("it answers");

    let quiet = honest(&client, 100).await;
    let address = server.address();
    let crowd = join_all((0..sockets).map(|n| timeout(DEADLINE, slow(address, n % 4))));
    let crowd = tokio::spawn(crowd);
    let mut crowded = Vec::new();
    while !crowd.is_finished() {
        crowded.extend(honest(&client, 10).await);
    }
    let crowd = crowd.await.expect("no panic");
    let mut left_open = [0; 4];
    for (n, closed) in crowd.iter().enumerate() {
        left_open[n % 4] += u32::from(closed.is_err());
    }
    let last = crowd.iter().flatten().max().copied().unwrap_or_default();
    println!(
        "{{\"sockets\": {}, \"left_open\": {left_open:?}, \"last_closed_ms\": {}, \"honest\": {}, \"honest_p50_ms\": {:.2}, \
         \"honest_p99_ms\": {:.2}, \"honest_max_ms\": {:.2}, \"quiet_p99_ms\": {:.2}}}",
        crowd.len(),
        last.as_millis(),
        crowded.len(),
        percentile(&mut crowded, 50),
        percentile(&mut crowded, 99),
        percentile(&mut crowded, 100),
        percentile(&mut quiet.clone(), 99),
    );
    server.close().await;
    node.shutdown().await;
}

/// How long each of so many questions took.
async fn honest(client: &Client, questions: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(questions);
    let mut pace = interval(ASK);
    for _ in 0..questions {
        pace.tick().await;
        let start = Instant::now();
        client.status().await.expect("an honest caller is answered");
        took.push(start.elapsed());
    }
    took
}

/// That part of the times is not longer, in milliseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times
        .get(place)
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// One slow socket, until it is closed; says after how long.
async fn slow(address: SocketAddr, kind: usize) -> Duration {
    let start = Instant::now();
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return start.elapsed();
    };
    let head = format!("Host: {address}\r\n");
    let (at_once, slowly) = match kind {
        0 => (String::new(), ""),
        1 => ("GET /healthz HTTP/1.1\r\n".to_owned(), "x-slow: 1\r\n"),
        2 => (
            format!(
                "POST /api/v1/session HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
                 Content-Length: 60000\r\n\r\n"
            ),
            " ",
        ),
        _ => (format!("GET /healthz HTTP/1.1\r\n{head}\r\n"), ""),
    };
    if stream.write_all(at_once.as_bytes()).await.is_err() {
        return start.elapsed();
    }
    let mut bytes = slowly.bytes().cycle();
    let mut pace = interval(PACE);
    let mut read = [0; 256];
    loop {
        pace.tick().await;
        // Reading is slow too: once in a while, and only if there is something.
        let is_closed = match timeout(Duration::from_millis(1), stream.read(&mut read)).await {
            Ok(Ok(0) | Err(_)) => true,
            Ok(Ok(_)) | Err(_) => false,
        };
        if is_closed {
            return start.elapsed();
        }
        if let Some(byte) = bytes.next()
            && stream.write_all(&[byte]).await.is_err()
        {
            return start.elapsed();
        }
    }
}
