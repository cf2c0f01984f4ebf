//! How fast to send into a path that drops what is too much.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::ControllerFactory;
use noq_proto::congestion::{Bbr3Config, CubicConfig, NewRenoConfig};
use serde::Deserialize;
use socket2::SockRef;

/// A round trip below this is that of a neighbour: a loss costs little time there.
// Guess: more than a wired network within a house takes, less than a wireless one.
const NEAR: Duration = Duration::from_millis(2);

/// Whether a peer at this address is so near that controllers for long paths only cost.
pub(crate) fn is_near(address: SocketAddr, round_trip: Duration) -> bool {
    // Over loopback a busy machine answers late.
    address.ip().to_canonical().is_loopback() || round_trip < NEAR
}

/// The congestion controller of both roads: how fast to send into a path that drops what
/// is too much. As text: `auto`, `cubic`, `bbr` or `reno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// By QUIC as [`Cubic`](Self::Cubic), by TCP as the system has it; but where that is BBR,
    /// near peers get cubic: BBR sends at intervals, which costs more there than it gains.
    #[default]
    Auto,
    /// Backs off at every loss (RFC 9438).
    Cubic,
    /// Measures what the path carries, and takes a few losses for noise
    /// (draft-ietf-ccwg-bbr): faster on long paths that lose some, at the price of others.
    Bbr,
    /// Backs off further, and recovers more slowly (RFC 9002 section 7).
    Reno,
}

/// A text that is no [`Congestion`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no congestion controller: write auto, cubic, bbr or reno")]
pub struct ParseCongestionError(String);

impl FromStr for Congestion {
    type Err = ParseCongestionError;

    fn from_str(text: &str) -> Result<Self, ParseCongestionError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cubic" => Ok(Self::Cubic),
            "bbr" => Ok(Self::Bbr),
            "reno" => Ok(Self::Reno),
            _ => Err(ParseCongestionError(text.to_owned())),
        }
    }
}

impl Congestion {
    /// For connections by QUIC.
    pub(crate) fn factory(self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Auto | Self::Cubic => Arc::new(CubicConfig::default()),
            Self::Bbr => Arc::new(Bbr3Config::default()),
            Self::Reno => Arc::new(NewRenoConfig::default()),
        }
    }

    /// Sets it on a TCP socket that is about to connect or to listen; what is accepted
    /// inherits it. Where the system lacks it, the system's own stays.
    ///
    /// Once a socket has begun with BBR, it goes on sending at intervals under any other
    /// controller: hence before it connects, and a listener is set as for near peers.
    pub(crate) fn set(self, socket: &SockRef<'_>, is_near: bool) {
        match self {
            Self::Auto if is_near => spare_near(socket),
            Self::Auto => {}
            Self::Cubic => choose(socket, b"cubic"),
            Self::Bbr => choose(socket, b"bbr"),
            Self::Reno => choose(socket, b"reno"),
        }
    }

    /// Corrects what was accepted from somebody who is not near.
    pub(crate) fn set_far(self, socket: &SockRef<'_>) {
        if self == Self::Auto {
            choose_default(socket);
        }
    }
}

#[cfg(target_os = "linux")]
fn choose(socket: &SockRef<'_>, name: &[u8]) {
    if let Err(error) = socket.set_tcp_congestion(name) {
        tracing::debug!(%error, "the system's congestion controller stays");
    }
}

#[cfg(target_os = "linux")]
fn spare_near(socket: &SockRef<'_>) {
    if socket
        .tcp_congestion()
        .is_ok_and(|name| name.starts_with(b"bbr"))
    {
        choose(socket, b"cubic");
    }
}

/// As a new socket has it.
#[cfg(target_os = "linux")]
fn choose_default(socket: &SockRef<'_>) {
    use socket2::{Domain, Socket, Type};
    let new = Socket::new(Domain::IPV4, Type::STREAM, None);
    if let Ok(name) = new.and_then(|new| new.tcp_congestion()) {
        choose(socket, &name);
    }
}

#[cfg(not(target_os = "linux"))]
fn choose(_: &SockRef<'_>, _: &[u8]) {}

#[cfg(not(target_os = "linux"))]
fn spare_near(_: &SockRef<'_>) {}

#[cfg(not(target_os = "linux"))]
fn choose_default(_: &SockRef<'_>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written_in_files() {
        for (text, expected) in [
            ("auto", Congestion::Auto),
            ("cubic", Congestion::Cubic),
            ("bbr", Congestion::Bbr),
            ("reno", Congestion::Reno),
        ] {
            assert_eq!(text.parse(), Ok(expected));
        }
        let error = "vegas".parse::<Congestion>().unwrap_err();
        assert!(error.to_string().contains("bbr"), "{error}");
    }

    #[test]
    fn near_is_this_machine_or_a_short_round_trip() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (short, long) = (Duration::from_micros(300), Duration::from_millis(20));
        assert!(is_near(at("127.0.0.1:1"), long));
        assert!(is_near(at("[::ffff:127.0.0.1]:1"), long));
        assert!(is_near(at("[::1]:1"), long));
        assert!(is_near(at("192.168.1.2:1"), short));
        assert!(!is_near(at("192.168.1.2:1"), long));
        assert!(!is_near(at("203.0.113.5:1"), long));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_has_what_was_chosen() {
        use socket2::{Domain, Socket, Type};
        use std::net::{TcpListener, TcpStream};

        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Padded with zeros by some systems.
        let name = |socket: &SockRef<'_>| {
            let name = socket.tcp_congestion().unwrap();
            name.split(|byte| *byte == 0).next().unwrap().to_vec()
        };
        let default = name(&SockRef::from(&new()));
        let listener = new();
        // The one that every Linux has.
        Congestion::Reno.set(&SockRef::from(&listener), true);
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(1).unwrap();
        let listener = TcpListener::from(listener);
        let _dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(name(&accepted), b"reno");
        Congestion::Reno.set_far(&accepted);
        assert_eq!(name(&accepted), b"reno");
        Congestion::Auto.set_far(&accepted);
        assert_eq!(name(&accepted), default);

        let far = new();
        Congestion::Auto.set(&SockRef::from(&far), false);
        assert_eq!(name(&SockRef::from(&far)), default);
    }
}
