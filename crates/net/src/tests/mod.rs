//! Real connections over loopback, every wait with a deadline that fails.

mod bulk;
mod crowd;
mod hostile;
mod lanes;
mod links;
mod roads;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Channel, DialError, Dialed, DownReason, Limits, Net, NetConfig, NetEvent};

/// What no wait of a healthy test takes, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer of the test network on loopback.
fn config(seed: u8) -> NetConfig {
    NetConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        local_discovery: false,
        ..NetConfig::new([seed; 32], "test")
    }
}

fn with_limits(seed: u8, change: impl FnOnce(&mut Limits)) -> NetConfig {
    let mut config = config(seed);
    change(&mut config.limits);
    config
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("took too long")
}

struct Peer {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
}

impl Peer {
    async fn start(config: NetConfig) -> Self {
        let (net, events) = Net::bind(config).await.unwrap();
        Self { net, events }
    }

    async fn plain(seed: u8) -> Self {
        Self::start(config(seed)).await
    }

    fn id(&self) -> PeerId {
        self.net.peer_id()
    }

    fn address(&self) -> PeerAddress {
        PeerAddress {
            peer: self.id(),
            addresses: self.net.addresses(),
        }
    }

    async fn next(&mut self) -> NetEvent {
        soon(self.events.recv()).await.expect("the network lives")
    }

    fn expect_silence(&mut self) {
        if let Ok(event) = self.events.try_recv() {
            panic!("unexpected {event:?}");
        }
    }

    /// Dials without waiting for what comes of it.
    fn dial(&self, other: &Self) {
        self.net.add_user_addresses(other.address());
        assert_eq!(self.net.dial(other.id()), Dialed::Started);
    }

    async fn expect_up(&mut self, who: PeerId) {
        match self.next().await {
            NetEvent::Up { peer, remote, .. } => {
                assert_eq!(peer, who);
                assert!(remote.iter().all(|a| a.ip().is_loopback()) && !remote.is_empty());
            }
            other => panic!("expected up, found {other:?}"),
        }
    }

    async fn expect_down(&mut self, who: PeerId, why: DownReason) {
        match self.next().await {
            NetEvent::Down { peer, reason } => assert_eq!((peer, reason), (who, why)),
            other => panic!("expected down, found {other:?}"),
        }
    }

    async fn expect_unreachable(&mut self, who: PeerId, why: DialError) {
        match self.next().await {
            NetEvent::Unreachable { peer, reason } => assert_eq!((peer, reason), (who, why)),
            other => panic!("expected unreachable, found {other:?}"),
        }
    }

    async fn expect_message(&mut self, who: PeerId, on: Channel, what: &[u8]) {
        match self.next().await {
            NetEvent::Message {
                peer,
                channel,
                body,
            } => {
                assert_eq!((peer, channel), (who, on));
                assert_eq!(&body[..], what);
            }
            other => panic!("expected a message, found {other:?}"),
        }
    }

    fn send(&self, to: &Self, body: &'static [u8]) {
        let body = bytes::Bytes::from_static(body);
        self.net.send(to.id(), Channel::Hub, body).unwrap();
    }

    /// One message each way.
    async fn talk(&mut self, other: &mut Self) {
        self.send(other, b"there");
        other.send(self, b"and back");
        other
            .expect_message(self.id(), Channel::Hub, b"there")
            .await;
        self.expect_message(other.id(), Channel::Hub, b"and back")
            .await;
    }

    /// Waits for a condition that some event or none will announce.
    async fn until(&self, holds: impl Fn(&Net) -> bool) {
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        soon(async {
            while !holds(&self.net) {
                poll.tick().await;
            }
        })
        .await;
    }
}

/// Two connected peers.
async fn pair(a: NetConfig, b: NetConfig) -> (Peer, Peer) {
    let (mut a, mut b) = (Peer::start(a).await, Peer::start(b).await);
    a.dial(&b);
    a.expect_up(b.id()).await;
    b.expect_up(a.id()).await;
    (a, b)
}

/// A loopback port where nobody answers, for as long as the socket is kept.
fn dead_port() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn secret(config: NetConfig, secret: &str) -> NetConfig {
    let mut config = config;
    config.network.secret = Some(secret.as_bytes().to_vec());
    config
}
