//! A stream of blocks from one peer to another, each behind a frame.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gannet_base::{PeerAddress, PeerId};
use gannet_net::{Dialed, Net, NetConfig, NetEvent};
use iroh::SecretKey;
use tokio::sync::mpsc::Receiver;

pub(crate) const BLOCK: usize = 1 << 20;

pub(crate) async fn net(change: impl FnOnce(&mut NetConfig)) -> (Net, Receiver<NetEvent>) {
    let mut config = NetConfig {
        local_discovery: false,
        ..NetConfig::new(SecretKey::generate().to_bytes(), "bench")
    };
    change(&mut config);
    Net::bind(config).await.expect("a socket")
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
