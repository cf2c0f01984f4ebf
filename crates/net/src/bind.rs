//! Opens the sockets, with everything public switched off unless named.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use iroh::endpoint::{
    BindOpts, Builder, IdleTimeout, MtuDiscoveryConfig, PortmapperConfig, QuicTransportConfig,
    VarInt, presets,
};
use iroh::{Endpoint, RelayMode, RelayUrl, SecretKey};

use crate::wire::ALPN;
use crate::{BindError, NetConfig};

/// Streams in one direction that a peer may open: one for each channel, and
/// room for a later version's.
const UNI_STREAMS_MAX: u32 = 8;

/// The relays' addresses.
pub(crate) fn relays(config: &NetConfig) -> Result<Vec<RelayUrl>, BindError> {
    config
        .relays
        .iter()
        .map(|url| {
            url.parse()
                .map_err(|_| BindError::Relay { url: url.clone() })
        })
        .collect()
}

/// Opens the endpoint.
pub(crate) async fn bind(config: &NetConfig, relays: &[RelayUrl]) -> Result<Endpoint, BindError> {
    // `Minimal` sets the cryptography and nothing else: no relay, no lookup.
    let builder = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&config.secret_key))
        .alpns(vec![ALPN.to_vec()])
        .transport_config(transport(config))
        .portmapper_config(PortmapperConfig::Disabled)
        .clear_address_lookup()
        .relay_mode(if relays.is_empty() {
            RelayMode::Disabled
        } else {
            RelayMode::custom(relays.iter().cloned())
        });
    let builder = listen(builder.clear_ip_transports(), &config.listen)?;
    builder
        .bind()
        .await
        .map_err(|error| explain(&error, &config.listen))
}

fn transport(config: &NetConfig) -> QuicTransportConfig {
    let tuning = &config.transport;
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(tuning.mtu_max);
    let idle = u32::try_from(config.limits.idle_timeout.as_millis()).unwrap_or(u32::MAX);
    QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(config.limits.streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(tuning.stream_window))
        .receive_window(VarInt::from_u32(tuning.connection_window))
        .send_window(tuning.send_window.into())
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(config.congestion.factory())
        .datagram_receive_buffer_size(None)
        .build()
}

fn listen(mut builder: Builder, listen: &[SocketAddr]) -> Result<Builder, BindError> {
    if listen.is_empty() {
        let any = [
            (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), true),
            // There are machines without IPv6.
            (SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), false),
        ];
        for (address, is_required) in any {
            let options = BindOpts::default().set_is_required(is_required);
            builder = add(builder, address, options)?;
        }
        return Ok(builder);
    }
    let (mut first, mut further) = (Vec::new(), Vec::new());
    for (n, address) in listen.iter().enumerate() {
        let is_first = !listen[..n]
            .iter()
            .any(|earlier| earlier.is_ipv4() == address.is_ipv4());
        if n >= BindError::LISTEN_MAX || (!is_first && address.ip().is_unspecified()) {
            return Err(BindError::Conflict { address: *address });
        }
        // The first of each family sends to everywhere, the others to their
        // own network.
        let prefix = match (is_first, address.ip()) {
            (true, _) => 0,
            (false, IpAddr::V4(v4)) if v4.is_loopback() => 8,
            (false, IpAddr::V6(v6)) if v6.is_loopback() => 128,
            (false, IpAddr::V4(_)) => 24,
            (false, IpAddr::V6(_)) => 64,
        };
        let list = if is_first { &mut first } else { &mut further };
        list.push((*address, BindOpts::default().set_prefix_len(prefix)));
    }
    // iroh takes no socket of a family after the one that sends everywhere.
    for (address, options) in further.into_iter().chain(first) {
        builder = add(builder, address, options)?;
    }
    Ok(builder)
}

fn add(builder: Builder, address: SocketAddr, options: BindOpts) -> Result<Builder, BindError> {
    builder
        .bind_addr_with_opts(address, options)
        .map_err(|_| BindError::Conflict { address })
}

/// Finds out which address was to blame.
fn explain(error: &iroh::endpoint::BindError, listen: &[SocketAddr]) -> BindError {
    for address in listen {
        let address = *address;
        match UdpSocket::bind(address).map_err(|error| error.kind()) {
            Err(io::ErrorKind::AddrInUse) => return BindError::AddressInUse { address },
            Err(io::ErrorKind::AddrNotAvailable) => {
                return BindError::AddressUnavailable { address };
            }
            Err(io::ErrorKind::PermissionDenied) => return BindError::Forbidden { address },
            _ => {}
        }
    }
    BindError::Socket {
        cause: error.to_string(),
    }
}

/// Where others can dial this endpoint: for each socket its own address or,
/// where that stands for all, the machine's; loopback last.
pub(crate) fn addresses(endpoint: &Endpoint) -> Vec<SocketAddr> {
    let sockets = endpoint.bound_sockets();
    let own = sockets.iter().copied().filter(|s| !s.ip().is_unspecified());
    let loopback = sockets.iter().filter(|s| s.ip().is_unspecified()).map(|s| {
        let ip = match s {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
        };
        SocketAddr::new(ip, s.port())
    });
    let mut addresses: Vec<SocketAddr> = endpoint.addr().ip_addrs().copied().collect();
    addresses.extend(own);
    addresses.extend(loopback);
    addresses.sort_by_key(|address| (rank(address.ip()), address.is_ipv6(), *address));
    addresses.dedup();
    addresses
}

/// Likeliest to work for others first.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        ip if ip.is_loopback() => 3,
        IpAddr::V4(v4) if v4.is_link_local() => 2,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 2,
        ip if crate::limits::is_local(ip) => 1,
        _ => 0,
    }
}
