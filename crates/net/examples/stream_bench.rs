//! How much a `TransferStream` moves over loopback by either road, beside a bare
//! QUIC stream and plain TCP.
//!
//! `cargo run --release -p gannet-net --example stream_bench [MIB] [ROUNDS] [CASE…]`
//!
//! The receiving end is a process of its own, as it is in real use. A round
//! measures every case once, in turn; ratios are taken within a round, to the
//! first case, and their medians printed. Cases are `bare` (QUIC), `quic` and
//! `tcp` (both through this crate) and `plain` (TCP without encryption); all
//! unless some are named. `quic:bbr` is one with that congestion controller.

mod transfers;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gannet_base::PeerAddress;
use gannet_net::TransportTuning;
use iroh::endpoint::{MtuDiscoveryConfig, QuicTransportConfig, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use transfers::{BLOCK, median, rate};

const CASES: [&str; 4] = ["bare", "quic", "tcp", "plain"];

#[tokio::main]
async fn main() {
    // On a worker, as everything in a real peer is: the thread that waits for
    // this future would be one more to wake for each step.
    tokio::spawn(run()).await.expect("no panic");
}

async fn run() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, case, blocks] = arguments.as_slice()
        && role == "receive"
    {
        let blocks = blocks.parse().expect("a number");
        return match case.as_str() {
            "bare" => receive_bare(blocks).await,
            "plain" => receive_plain(blocks).await,
            _ => receive_transfer(case, blocks).await,
        };
    }
    let (mut numbers, mut cases) = (Vec::new(), Vec::new());
    for argument in &arguments {
        match argument.parse::<usize>() {
            Ok(number) => numbers.push(number),
            Err(_) => cases.push(argument.as_str()),
        }
    }
    if cases.is_empty() {
        cases = CASES.to_vec();
    }
    let blocks = numbers.first().copied().unwrap_or(1024);
    let rounds = numbers.get(1).copied().unwrap_or(5);
    let block = Bytes::from(vec![0x5a; BLOCK]);
    let mut rates = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (rates, case) in rates.iter_mut().zip(&cases) {
            let took = match *case {
                "bare" => send_bare(&block, blocks).await,
                "plain" => send_plain(&block, blocks).await,
                case => send_transfer(case, blocks).await,
            };
            rates.push(rate(blocks, took));
        }
    }
    let mut report = format!("{blocks} MiB, {rounds} rounds, medians\n");
    for (case, rates) in cases.iter().zip(&rates) {
        report += &format!("{case} {:.0} MB/s\n", median(rates.clone()));
    }
    for (case, others) in cases.iter().zip(&rates).skip(1) {
        let ratios = others.iter().zip(&rates[0]).map(|(one, first)| one / first);
        let ratio = median(ratios.collect());
        report += &format!("{case} is {ratio:.3} of {}\n", cases[0]);
    }
    say(&report);
}

fn say(text: &str) {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes()).expect("stdout is open");
    stdout.flush().expect("stdout is open");
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The process with the receiving end, and what it printed: its id and address.
fn start_receiver(case: &str, blocks: usize) -> (Child, String, SocketAddr) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    let (child, line) = transfers::start(command.args(["receive", case, &blocks.to_string()]));
    let (id, address) = line.split_once(' ').expect("an id and an address");
    (child, id.to_owned(), address.parse().expect("an address"))
}

/// The transport of [`Net`], without anything on top.
async fn endpoint() -> Endpoint {
    let tuning = TransportTuning::default();
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(tuning.mtu_max);
    let transport = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(64))
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(tuning.stream_window))
        .receive_window(VarInt::from_u32(tuning.connection_window))
        .send_window(tuning.send_window.into())
        .datagram_receive_buffer_size(None)
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

/// A stream as iroh gives it: blocks are not copied, neither here nor there.
async fn send_bare(block: &Bytes, blocks: usize) -> Duration {
    let (mut child, id, address) = start_receiver("bare", blocks);
    let id: EndpointId = id.parse().expect("an id");
    let to = EndpointAddr::new(id).with_ip_addr(address);
    let endpoint = endpoint().await;
    let connection = endpoint.connect(to, b"bench").await.expect("a connection");
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    let started = Instant::now();
    for _ in 0..blocks {
        send.write_chunk(block.clone()).await.expect("a write");
    }
    recv.read_exact(&mut [0]).await.expect("the last word");
    let took = started.elapsed();
    endpoint.close().await;
    child.wait().expect("a child");
    took
}

async fn receive_bare(blocks: usize) {
    let endpoint = endpoint().await;
    say(&format!(
        "{} {}\n",
        endpoint.id(),
        endpoint.bound_sockets()[0]
    ));
    let incoming = endpoint.accept().await.expect("a connection");
    let connection = incoming.await.expect("a handshake");
    let (mut send, mut recv) = connection.accept_bi().await.expect("a stream");
    let mut pieces: [Bytes; 32] = Default::default();
    let mut left = blocks * BLOCK;
    while left > 0 {
        let count = recv.read_many_chunks(&mut pieces).await.expect("pieces");
        for piece in &mut pieces[..count.expect("more to come")] {
            left -= piece.len();
            *piece = Bytes::new();
        }
    }
    send.write_all(&[1]).await.expect("a write");
    connection.closed().await;
    endpoint.close().await;
}

/// TCP as the system gives it.
async fn send_plain(block: &Bytes, blocks: usize) -> Duration {
    let (mut child, _, address) = start_receiver("plain", blocks);
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    let started = Instant::now();
    for _ in 0..blocks {
        tcp.write_all(block).await.expect("a write");
    }
    tcp.read_exact(&mut [0]).await.expect("the last word");
    let took = started.elapsed();
    child.wait().expect("a child");
    took
}

async fn receive_plain(blocks: usize) {
    let listener = TcpListener::bind(loopback()).await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    say(&format!("plain {address}\n"));
    let (mut tcp, _) = listener.accept().await.expect("a connection");
    let mut buffer = vec![0; 256 * 1024];
    let mut left = blocks * BLOCK;
    while left > 0 {
        left -= tcp.read(&mut buffer).await.expect("bytes");
    }
    tcp.write_all(&[1]).await.expect("a write");
}

/// The same blocks, each behind a frame, through this crate.
async fn send_transfer(case: &str, blocks: usize) -> Duration {
    let (mut child, id, address) = start_receiver(case, blocks);
    let to = PeerAddress {
        peer: id.parse().expect("an id"),
        addresses: vec![address],
    };
    let took = transfers::send(transfers::net(case, loopback()).await, to, blocks).await;
    child.wait().expect("a child");
    took
}

async fn receive_transfer(case: &str, blocks: usize) {
    let (net, events) = transfers::net(case, loopback()).await;
    say(&format!("{} {}\n", net.peer_id(), net.addresses()[0]));
    transfers::receive((net, events), blocks).await;
}
