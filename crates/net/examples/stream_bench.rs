//! How much of a bare QUIC stream a `TransferStream` moves, over loopback.
//!
//! `cargo run --release -p gannet-net --example stream_bench [MIB] [ROUNDS]`
//!
//! Both ends run in this process. A round measures every case once, in turn;
//! the ratio is taken within a round and its median is printed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gannet_base::{PeerAddress, PeerId};
use gannet_net::{Dialed, Net, NetConfig, NetEvent, TransportTuning};
use iroh::endpoint::{MtuDiscoveryConfig, QuicTransportConfig, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};

const BLOCK: usize = 1 << 20;
const MTUS: [u16; 3] = [1_452, 8_952, 65_487];

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let blocks: usize = arguments.next().unwrap_or(512);
    let rounds: usize = arguments.next().unwrap_or(5);
    let block = Bytes::from(vec![0x5a; BLOCK]);
    let mut rates = vec![Vec::new(); MTUS.len() * 2];
    for _ in 0..rounds {
        for (n, mtu_max) in MTUS.into_iter().enumerate() {
            let tuning = TransportTuning {
                mtu_max,
                ..TransportTuning::default()
            };
            rates[2 * n].push(rate(blocks, bare(&tuning, &block, blocks).await));
            rates[2 * n + 1].push(rate(blocks, transfer(&tuning, &block, blocks).await));
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut report = format!("{blocks} MiB, {rounds} rounds, medians\n");
    for (n, mtu_max) in MTUS.into_iter().enumerate() {
        let (bare, ours) = (&rates[2 * n], &rates[2 * n + 1]);
        let ratios = ours
            .iter()
            .zip(bare)
            .map(|(ours, bare)| ours / bare)
            .collect();
        report += &format!(
            "datagrams up to {mtu_max:>5}: bare {:>6.0} MB/s, transfer {:>6.0} MB/s, ratio {:.3}\n",
            median(bare.clone()),
            median(ours.clone()),
            median(ratios),
        );
    }
    std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes()).expect("stdout is open");
}

/// MB/s.
fn rate(blocks: usize, took: Duration) -> f64 {
    let megabytes = u32::try_from(blocks).expect("few blocks");
    f64::from(megabytes) * 1.048_576 / took.as_secs_f64()
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn endpoint(tuning: &TransportTuning) -> Endpoint {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(tuning.mtu_max);
    let transport = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(64))
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(tuning.stream_window))
        .receive_window(VarInt::from_u32(tuning.connection_window))
        .send_window(tuning.send_window.into())
        .mtu_discovery_config(Some(mtu))
        .build();
    Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .transport_config(transport)
        .alpns(vec![b"bench".to_vec()])
        .clear_ip_transports()
        .bind_addr(loopback())
        .expect("an address")
        .bind()
        .await
        .expect("a socket")
}

/// A stream as iroh gives it: the sender's blocks are not copied, the receiver
/// copies into a buffer, as any user must who wants a block in one piece.
async fn bare(tuning: &TransportTuning, block: &Bytes, blocks: usize) -> Duration {
    let (a, b) = (endpoint(tuning).await, endpoint(tuning).await);
    let to = EndpointAddr::new(b.id()).with_ip_addr(b.bound_sockets()[0]);
    let accepting = b.clone();
    let receiving = tokio::spawn(async move {
        let incoming = accepting.accept().await.expect("a connection");
        let connection = incoming.await.expect("a handshake");
        let (_send, mut recv) = connection.accept_bi().await.expect("a stream");
        let mut buffer = vec![0; BLOCK];
        for _ in 0..blocks {
            recv.read_exact(&mut buffer).await.expect("a block");
        }
        connection
    });
    let connection = a.connect(to, b"bench").await.expect("a connection");
    let (mut send, _recv) = connection.open_bi().await.expect("a stream");
    let started = Instant::now();
    for _ in 0..blocks {
        send.write_chunk(block.clone()).await.expect("a write");
    }
    let connection_there = receiving.await.expect("no panic");
    let took = started.elapsed();
    drop(connection_there);
    tokio::join!(a.close(), b.close());
    took
}

/// The same blocks, each behind a frame, through this crate.
async fn transfer(tuning: &TransportTuning, block: &Bytes, blocks: usize) -> Duration {
    let config = || NetConfig {
        listen: vec![loopback()],
        local_discovery: false,
        transport: tuning.clone(),
        ..NetConfig::new(SecretKey::generate().to_bytes(), "bench")
    };
    let (a, mut events_a) = Net::bind(config()).await.expect("a socket");
    let (b, mut events_b) = Net::bind(config()).await.expect("a socket");
    let to: PeerId = b.peer_id();
    a.add_user_addresses(PeerAddress {
        peer: to,
        addresses: b.addresses(),
    });
    assert_eq!(a.dial(to), Dialed::Started);
    while !matches!(events_a.recv().await, Some(NetEvent::Up { .. })) {}
    let receiving = tokio::spawn(async move {
        let mut stream = loop {
            if let Some(NetEvent::Transfer { stream, .. }) = events_b.recv().await {
                break stream;
            }
        };
        let mut buffer = Vec::with_capacity(BLOCK);
        for _ in 0..blocks {
            let header = stream.receiver.frame(8).await.expect("a frame");
            assert!(header.is_some());
            buffer.clear();
            stream
                .receiver
                .bytes(BLOCK, &mut buffer)
                .await
                .expect("a block");
        }
        stream
    });
    let mut stream = a.open_transfer(to).await.expect("a stream");
    let started = Instant::now();
    for n in 0..blocks {
        let header = n.to_le_bytes();
        stream.sender.send_frame(&header).await.expect("a write");
        stream
            .sender
            .send_bytes(block.clone())
            .await
            .expect("a write");
    }
    let stream_there = receiving.await.expect("no panic");
    let took = started.elapsed();
    drop(stream_there);
    tokio::join!(a.close(), b.close());
    took
}
