//! The hub cores: registering, searching, serving as a hub.

use gannet_base::{Core as _, Output, PeerAddress, PeerId};
use gannet_net::Channel;
use gannet_overlay::dht::DhtCommand;
use gannet_overlay::flood::FloodCommand;
use gannet_overlay::hub::{
    HubClientCommand, HubClientEvent, HubMessage, HubServerCommand, HubServerEvent,
};
use gannet_overlay::locate::{Overlay, OverlayOutcome};
use gannet_overlay::supernode::SupernodeCommand;

use super::Driver;
use super::links::Wanting;
use crate::api::NodeEvent;
use crate::clock::wall_time;

/// A hub answers itself: one hop.
const HUB_HOPS: u8 = 1;
/// Ticks between looks at the own addresses.
const ADDRESS_TICKS: u64 = 10;
/// Ticks between tellings of the calendar's time.
const WALL_TICKS: u64 = 60;

impl Driver {
    pub(super) fn begin_hubs(&mut self) {
        let now = self.now();
        if let Some(hub) = &mut self.hub_server {
            hub.handle_command(now, HubServerCommand::WallTime(wall_time()));
        }
        let mut hubs: Vec<PeerId> = Vec::new();
        if !self.config.overlays.contains(&Overlay::Hub) {
            // Named, and not to be used.
            self.config.hubs.clear();
        }
        for address in &self.config.hubs {
            if address.peer != self.peer && !hubs.contains(&address.peer) {
                self.net.add_user_addresses(address.clone());
                hubs.push(address.peer);
            }
        }
        self.announce();
        self.hub_client
            .handle_command(now, HubClientCommand::Hubs(hubs));
    }

    pub(super) fn end_hubs(&mut self) {
        let now = self.now();
        self.hub_client.handle_command(now, HubClientCommand::Leave);
        if let Some(hub) = &mut self.hub_server {
            hub.handle_command(now, HubServerCommand::Close);
        }
    }

    fn announce(&mut self) {
        let command = HubClientCommand::Announce {
            addresses: self.address.addresses.clone(),
            upload_bytes_per_second: self.config.limit_up,
        };
        self.hub_client.handle_command(self.clock.now(), command);
        self.flood_command(FloodCommand::Announce(self.address.addresses.clone()));
        self.supernode_command(SupernodeCommand::Announce {
            addresses: self.address.addresses.clone(),
            upload_bytes_per_second: self.config.limit_up,
        });
        self.dht_command(DhtCommand::Announce(self.address.addresses.clone()));
    }

    pub(super) fn tick_hubs(&mut self) {
        let now = self.now();
        if self.ticks.is_multiple_of(ADDRESS_TICKS) {
            let address = own_address(self.peer, self.net.addresses());
            if address != self.address {
                self.address = address;
                self.announce();
                self.tell(NodeEvent::AddressChanged {
                    address: self.address.clone(),
                });
            }
        }
        if self.ticks.is_multiple_of(WALL_TICKS)
            && let Some(hub) = &mut self.hub_server
        {
            hub.handle_command(now, HubServerCommand::WallTime(wall_time()));
        }
    }

    pub(super) fn on_hub_client_output(&mut self, output: Output<HubMessage, HubClientEvent>) {
        match output {
            Output::Send { to, message } => {
                self.send(to, Channel::Hub, gannet_base::wire::encode(&message));
            }
            Output::Dial { peer } => self.dial(Wanting::HubClient, peer),
            Output::Disconnect { peer } => self.hang_up(Wanting::HubClient, peer),
            Output::Event(event) => self.on_hub_client_event(event),
        }
    }

    fn on_hub_client_event(&mut self, event: HubClientEvent) {
        match event {
            HubClientEvent::HubUp { hub } => {
                tracing::info!(hub = %hub.short(), "hub up");
                self.tell(NodeEvent::HubUp { hub });
            }
            HubClientEvent::HubDown { hub, reason } => {
                let reason = self.hub_problem(hub, &reason.to_string());
                tracing::info!(hub = %hub.short(), %reason, "hub down");
                self.tell(NodeEvent::HubDown { hub, reason });
            }
            HubClientEvent::Registered { hub, entries } => {
                tracing::debug!(hub = %hub.short(), entries, "registered");
            }
            HubClientEvent::RegistrationRefused {
                hub,
                entries,
                reason,
            } => {
                tracing::warn!(hub = %hub.short(), entries, %reason, "registration refused");
            }
            HubClientEvent::PublishRefused {
                invalid,
                excess,
                entries_max,
            } => {
                tracing::warn!(invalid, excess, entries_max, "entries not published");
            }
            HubClientEvent::Rows {
                id,
                hub,
                rows,
                addresses,
            } => {
                self.on_unverified(id, Overlay::Hub, (hub, HUB_HOPS), rows, addresses);
            }
            HubClientEvent::Ended { id, asked } => {
                self.on_overlay_ended(id, Overlay::Hub, OverlayOutcome::Hub(asked));
            }
        }
    }

    /// A hub's trouble in the words that help most: why the dial failed, if it
    /// did.
    pub(super) fn hub_problem(&self, hub: PeerId, reason: &str) -> String {
        match self.links.failures.get(&hub) {
            Some(failure) => format!("{reason}: {failure}"),
            None => reason.to_owned(),
        }
    }

    pub(super) fn on_hub_server_output(&mut self, output: Output<HubMessage, HubServerEvent>) {
        match output {
            Output::Send { to, message } => {
                self.send(to, Channel::Hub, gannet_base::wire::encode(&message));
            }
            Output::Dial { peer } => self.dial(Wanting::HubServer, peer),
            Output::Disconnect { peer } => self.hang_up(Wanting::HubServer, peer),
            Output::Event(event) => match event {
                HubServerEvent::Joined { peer } => tracing::info!(peer = %peer.short(), "joined"),
                HubServerEvent::Registered { peer, entries } => {
                    tracing::debug!(peer = %peer.short(), entries, "registered");
                }
                HubServerEvent::Left {
                    peer,
                    entries,
                    reason,
                } => {
                    tracing::info!(peer = %peer.short(), entries, ?reason, "left");
                }
                HubServerEvent::Refused { peer, reason } => {
                    tracing::info!(peer = %peer.short(), %reason, "refused");
                }
                HubServerEvent::Flooding { peer, dropped } => {
                    tracing::warn!(peer = %peer.short(), dropped, "flooding");
                }
            },
        }
    }
}

/// The address to give to others: as many as one may have.
pub(crate) fn own_address(peer: PeerId, mut addresses: Vec<std::net::SocketAddr>) -> PeerAddress {
    addresses.truncate(PeerAddress::ADDRESSES_MAX);
    PeerAddress { peer, addresses }
}
