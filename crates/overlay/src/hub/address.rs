//! Which addresses may be handed to strangers to dial.

use std::net::{IpAddr, SocketAddr};

/// Whether an address that a peer merely claims may be passed on. Only those
/// that lead nowhere beyond the asker's own network: otherwise a hub could be
/// made to point its peers at anybody.
pub(crate) fn is_private(address: &SocketAddr) -> bool {
    is_dialable(address)
        && match address.ip() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => {
                ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        }
}

/// Whether an address can be a peer's at all: a single host, and no port that
/// belongs to a service of the system (a victim's web or mail server).
pub(crate) fn is_dialable(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() >= 1_024 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_claims_and_single_hosts_pass() {
        let cases = [
            ("127.0.0.1:4000", true, true),
            ("10.1.2.3:4000", true, true),
            ("192.168.1.9:1023", false, false),
            ("169.254.3.4:4000", true, true),
            ("93.184.216.34:4000", true, false),
            ("93.184.216.34:443", false, false),
            ("0.0.0.0:4000", false, false),
            ("255.255.255.255:4000", false, false),
            ("224.0.0.1:4000", false, false),
            ("[::1]:4000", true, true),
            ("[fd00::1]:4000", true, true),
            ("[fe80::1]:4000", true, true),
            ("[2001:db8::1]:4000", true, false),
            ("[::]:4000", false, false),
            ("[ff02::1]:4000", false, false),
            ("[::ffff:0.0.0.0]:4000", false, false),
        ];
        for (text, dialable, private) in cases {
            let address = text.parse().expect("the case is an address");
            assert_eq!(is_dialable(&address), dialable, "{text}");
            assert_eq!(is_private(&address), private, "{text}");
        }
    }
}
