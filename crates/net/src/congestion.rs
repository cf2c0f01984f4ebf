//! How fast to send into a path that drops what is too much.

use std::str::FromStr;
use std::sync::Arc;

use iroh::endpoint::ControllerFactory;
use noq_proto::congestion::{Bbr3Config, CubicConfig, NewRenoConfig};
use serde::Deserialize;
use tokio::net::TcpStream;

/// The congestion controller of both roads: how fast to send into a path that drops what
/// is too much. As text: `auto`, `cubic`, `bbr` or `reno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// By QUIC as [`Cubic`](Self::Cubic), by TCP as the system has it.
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

    /// Sets it on a TCP connection. Where the system lacks it, the system's own stays.
    pub(crate) fn set(self, tcp: &TcpStream) {
        let name: &[u8] = match self {
            Self::Auto => return,
            Self::Cubic => b"cubic",
            Self::Bbr => b"bbr",
            Self::Reno => b"reno",
        };
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(tcp).set_tcp_congestion(name) {
            tracing::debug!(?self, %error, "the system's congestion controller stays");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (tcp, name);
    }
}

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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_has_what_was_chosen() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        // The one that every Linux has.
        Congestion::Reno.set(&tcp);
        let name = socket2::SockRef::from(&tcp).tcp_congestion().unwrap();
        assert!(name.starts_with(b"reno"), "{name:?}");
    }
}
