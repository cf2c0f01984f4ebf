//! The hub cores: registering, searching, serving as a hub.

use gannet_base::{Core as _, Output, PeerAddress, PeerId, Publication, Row};
use gannet_index::Inserted;
use gannet_net::Channel;
use gannet_overlay::hub::{
    HubClientCommand, HubClientEvent, HubMessage, HubOutcome, HubServerCommand, HubServerEvent,
    Outcome,
};

use super::Driver;
use super::links::Wanting;
use crate::api::{Asked, NodeEvent};
use crate::clock::wall_time;
use crate::report::{Purpose, Report, SharedChange};
use crate::scanner::Order;
use crate::searches::{CheckedRows, check_rows};

/// Ticks between looks at the own addresses.
const ADDRESS_TICKS: u64 = 10;
/// Ticks between tellings of the calendar's time.
const WALL_TICKS: u64 = 60;
/// Ticks until everything is signed anew.
const RENEW_TICKS: u64 = Publication::LIFE_SECONDS_MAX / 2;

impl Driver {
    pub(super) fn begin_hubs(&mut self) {
        let now = self.now();
        if let Some(hub) = &mut self.hub_server {
            hub.handle_command(now, HubServerCommand::WallTime(wall_time()));
        }
        let mut hubs: Vec<PeerId> = Vec::new();
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
        if self.ticks.is_multiple_of(RENEW_TICKS)
            && let Some(scanner) = &self.scanner
            && !scanner.order(Order::Publish)
        {
            tracing::warn!("publications were not renewed: the scanner is busy");
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
                self.on_hub_rows(id, hub, rows, addresses);
            }
            HubClientEvent::Ended { id, asked } => self.on_hub_ended(id, &asked),
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

    fn on_hub_rows(&mut self, id: u64, hub: PeerId, rows: Vec<Row>, addresses: Vec<PeerAddress>) {
        let Some(purpose) = self.questions.purposes.get(&id).copied() else {
            return;
        };
        for address in addresses {
            if address.peer != self.peer {
                self.net.add_addresses(address);
            }
        }
        if let Purpose::Search(search) = purpose {
            self.searches.on_checking(search);
        }
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let checked = check_rows(rows, wall_time());
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Rows {
                purpose,
                via: hub,
                checked,
            });
        });
    }

    pub(super) fn on_rows(&mut self, purpose: Purpose, via: PeerId, checked: CheckedRows) {
        let now = self.now();
        // One message, one mistake, however many of its hits are wrong.
        if checked.dropped > 0 {
            self.hub_client
                .handle_command(now, HubClientCommand::Forged { hub: via });
        }
        match purpose {
            Purpose::Search(search) => {
                let own = &self.own;
                self.searches.on_rows(now, search, via, checked, |content| {
                    own.holders(content, 1).is_some()
                });
            }
            Purpose::Sources(content) => {
                let peers = checked.rows.iter().filter(|row| row.content == content);
                let peers: Vec<PeerId> = peers
                    .flat_map(|row| row.hits.iter().map(gannet_base::Hit::holder))
                    .collect();
                self.add_sources(content, peers);
            }
        }
    }

    fn on_hub_ended(&mut self, id: u64, asked: &[HubOutcome]) {
        match self.questions.purposes.remove(&id) {
            Some(Purpose::Search(search)) => {
                let total = asked.iter().map(total_of).max().unwrap_or(0);
                let asked = asked.iter().map(|asked| self.describe(asked)).collect();
                self.searches.on_end(search, asked, total);
            }
            Some(Purpose::Sources(content)) => {
                let asked: Vec<Asked> = asked.iter().map(|asked| self.describe(asked)).collect();
                self.on_asked(content, &asked);
            }
            None => {}
        }
    }

    fn describe(&self, asked: &HubOutcome) -> Asked {
        let (answered, outcome) = match &asked.outcome {
            Outcome::Answered { total } => (true, format!("answered: {total} in all")),
            Outcome::Refused { reason } => (false, format!("refused: {reason}")),
            Outcome::NoAnswer => (false, "did not answer".to_owned()),
            Outcome::NotConnected => (false, self.hub_problem(asked.hub, "is not connected")),
        };
        Asked {
            overlay: "hub".to_owned(),
            peer: asked.hub,
            answered,
            outcome,
            milliseconds: u64::try_from(asked.elapsed.as_millis()).unwrap_or(u64::MAX),
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

    /// Takes a change of the shares into the own index, for the hubs to be told
    /// of all changes together.
    pub(super) fn collect_change(
        &mut self,
        change: SharedChange,
        published: &mut Vec<Publication>,
        withdrawn: &mut Vec<(gannet_base::ContentId, String)>,
    ) {
        match change {
            SharedChange::Published(publication) => {
                // What was withdrawn and comes back within one batch must end as
                // published.
                let key = (publication.entry.content, publication.entry.path.as_str());
                withdrawn.retain(|(content, path)| (*content, path.as_str()) != key);
                if let Inserted::Refused(reason) = self.own.insert(&publication) {
                    tracing::debug!(
                        path = publication.entry.path,
                        ?reason,
                        "not in the own index"
                    );
                }
                published.push(*publication);
            }
            SharedChange::Withdrawn(content, path) => {
                published.retain(|publication| {
                    publication.entry.content != content || publication.entry.path != path
                });
                self.own.remove(self.peer, content, &path);
                if self.own.holders(content, 1).is_none() {
                    self.withdraw_content(content);
                }
                withdrawn.push((content, path));
            }
        }
    }

    pub(super) fn announce_changes(
        &mut self,
        published: Vec<Publication>,
        withdrawn: Vec<(gannet_base::ContentId, String)>,
    ) {
        let now = self.now();
        if !withdrawn.is_empty() {
            self.hub_client
                .handle_command(now, HubClientCommand::Withdraw(withdrawn));
        }
        if !published.is_empty() {
            self.hub_client
                .handle_command(now, HubClientCommand::Publish(published));
        }
    }
}

fn total_of(asked: &HubOutcome) -> u64 {
    match asked.outcome {
        Outcome::Answered { total } => total,
        Outcome::Refused { .. } | Outcome::NoAnswer | Outcome::NotConnected => 0,
    }
}

/// The address to give to others: as many as one may have.
pub(crate) fn own_address(peer: PeerId, mut addresses: Vec<std::net::SocketAddr>) -> PeerAddress {
    addresses.truncate(PeerAddress::ADDRESSES_MAX);
    PeerAddress { peer, addresses }
}
