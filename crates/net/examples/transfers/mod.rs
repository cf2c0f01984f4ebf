//! A stream of blocks from one peer to another, each behind a frame.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gannet_base::{PeerAddress, PeerId};
use gannet_net::{Dialed, Net, NetConfig, NetEvent};
use iroh::SecretKey;
use tokio::sync::mpsc::Receiver;

pub(crate) const BLOCK: usize = 1 << 20;

/// A peer for a case: a road, and a congestion controller after a colon.
pub(crate) async fn net(case: &str, listen: SocketAddr) -> (Net, Receiver<NetEvent>) {
    let (road, congestion) = case.split_once(':').unwrap_or((case, "auto"));
    let congestion = congestion.parse();
    let config = NetConfig {
        listen: vec![listen],
        local_discovery: false,
        bulk_road: road.parse().expect("a road"),
        congestion: congestion.expect("a congestion controller"),
        ..NetConfig::new(SecretKey::generate().to_bytes(), "bench")
    };
    Net::bind(config).await.expect("a socket")
}

/// Starts a program; with the first line that it prints.
pub(crate) fn start(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it was asked for"))
        .read_line(&mut line)
        .expect("a line");
    (child, line.trim().to_owned())
}

/// Sends so many blocks; how long that took, all of them received.
pub(crate) async fn send(
    (net, mut events): (Net, Receiver<NetEvent>),
    to: PeerAddress,
    blocks: usize,
) -> Duration {
    let block = Bytes::from(vec![0x5a; BLOCK]);
    let peer: PeerId = to.peer;
    net.add_user_addresses(to);
    assert_eq!(net.dial(peer), Dialed::Started);
    while !matches!(events.recv().await, Some(NetEvent::Up { .. })) {}
    let mut stream = net.open_transfer(peer).await.expect("a stream");
    let started = Instant::now();
    for n in 0..blocks {
        let header = n.to_le_bytes();
        let sent = stream.sender.send_frame_and_bytes(&header, block.clone());
        sent.await.expect("a write");
    }
    let last_word = stream.receiver.frame(1).await.expect("the last word");
    assert!(last_word.is_some());
    let took = started.elapsed();
    net.close().await;
    took
}

pub(crate) async fn receive((net, mut events): (Net, Receiver<NetEvent>), blocks: usize) {
    let mut stream = loop {
        if let Some(NetEvent::Transfer { stream, .. }) = events.recv().await {
            break stream;
        }
    };
    let mut buffer = Vec::with_capacity(BLOCK);
    for _ in 0..blocks {
        let header = stream.receiver.frame(8).await.expect("a frame");
        assert!(header.is_some());
        buffer.clear();
        let received = stream.receiver.bytes(BLOCK, &mut buffer).await;
        received.expect("a block");
    }
    stream.sender.send_frame(&[1]).await.expect("a write");
    while !matches!(events.recv().await, Some(NetEvent::Down { .. }) | None) {}
    net.close().await;
}

/// MB/s.
pub(crate) fn rate(blocks: usize, took: Duration) -> f64 {
    let megabytes = u32::try_from(blocks).expect("few blocks");
    f64::from(megabytes) * 1.048_576 / took.as_secs_f64()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
