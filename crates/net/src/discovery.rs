//! Finding peers on the local network by multicast DNS.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use gannet_base::{PeerAddress, PeerId};
use iroh::Endpoint;
use iroh::address_lookup::EndpointInfo;
use iroh_mdns_address_lookup::{DiscoveryEvent, MdnsAddressLookup};
use tracing::{debug, warn};

use crate::NetEvent;
use crate::book::Voucher;
use crate::endpoint::Shared;

/// How often peers on the local network hear of each other. Too low: chatter;
/// too high: a newcomer is found late.
// Guess: a newcomer is found while its user looks for the list of peers.
const CADENCE: Duration = Duration::from_secs(2);

/// Announces this peer under the service of its network and looks for others.
/// `None` where multicast does not work: everything else goes on without.
pub(crate) fn start(endpoint: &Endpoint, alias: &str) -> Option<MdnsAddressLookup> {
    let service = format!("gannet-{alias}");
    let lookup = MdnsAddressLookup::builder()
        .service_name(service)
        .discovery_cadence(CADENCE)
        .build(endpoint.id())
        .inspect_err(|error| {
            warn!(%error, "local discovery does not work here; going on without it");
        })
        .ok()?;
    endpoint.address_lookup().ok()?.add(lookup.clone());
    Some(lookup)
}

/// Puts what is found into the address book and reports it, until the peer's
/// networking ends.
pub(crate) async fn watch(lookup: MdnsAddressLookup, shared: Weak<Shared>) {
    let mut events = lookup.subscribe().await;
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let DiscoveryEvent::Discovered { endpoint_info, .. } = event else {
            continue;
        };
        on_discovered(&shared, &endpoint_info);
    }
}

fn on_discovered(shared: &Arc<Shared>, info: &EndpointInfo) {
    let found = PeerAddress {
        peer: PeerId::from_bytes(*info.endpoint_id.as_bytes()),
        addresses: info
            .data
            .ip_addrs()
            .copied()
            .take(PeerAddress::ADDRESSES_MAX)
            .collect(),
    };
    if shared.book().add(&found, Voucher::Hearsay) && !shared.try_emit(NetEvent::Found(found)) {
        // It is in the book all the same.
        debug!("the node is busy: a peer found nearby is not reported");
    }
}
