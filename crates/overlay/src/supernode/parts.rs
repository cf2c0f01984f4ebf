//! The cores inside: what they want done, and what they are told.

use std::net::SocketAddr;

use gannet_base::{Core as _, Link, Output, PeerId, Timestamp, WallTime};

use super::wires::User;
use super::{Supernode, SupernodeEvent, SupernodeMessage};
use crate::flood::{FloodCommand, FloodEvent, FloodMessage};
use crate::hub::{HubClientEvent, HubMessage, HubServerCommand, HubServerEvent};

type ClientOutput = Output<HubMessage, HubClientEvent>;
type HubOutput = Output<HubMessage, HubServerEvent>;
type FloodOutput = Output<FloodMessage, FloodEvent>;

impl Supernode {
    /// Does what the cores inside want done, until none wants anything.
    pub(super) fn settle(&mut self, now: Timestamp) {
        loop {
            if let Some(output) = self.client.poll_output() {
                self.on_client_output(now, output);
                continue;
            }
            let Some(office) = &mut self.office else {
                return;
            };
            if let Some(output) = office.hub.poll_output() {
                self.on_hub_output(now, output);
            } else if let Some(output) = office.flood.poll_output() {
                self.on_flood_output(now, output);
            } else {
                return;
            }
        }
    }

    fn on_client_output(&mut self, now: Timestamp, output: ClientOutput) {
        match output {
            // A supernode is registered at itself.
            Output::Send { to, message } if to == self.me => {
                if let Some(office) = &mut self.office {
                    office.hub.handle_message(now, to, message);
                }
            }
            Output::Send { to, message } => self.send(to, SupernodeMessage::Hub(message)),
            Output::Dial { peer } if peer == self.me => {
                self.client.handle_link(now, peer, Link::Up);
            }
            Output::Dial { peer } => {
                if self.wires.take(peer, User::Client) {
                    self.output(Output::Dial { peer });
                }
            }
            Output::Disconnect { peer } => self.wires.release(now, peer, User::Client),
            Output::Event(event) => self.on_client_event(now, event),
        }
    }

    fn on_hub_output(&mut self, now: Timestamp, output: HubOutput) {
        match output {
            Output::Send { to, message } if to == self.me => {
                self.client.handle_message(now, to, message);
            }
            Output::Send { to, message } => self.send(to, SupernodeMessage::Hub(message)),
            // It never dials.
            Output::Dial { .. } => {}
            Output::Disconnect { peer } => {
                self.output(Output::Disconnect { peer });
                self.on_link(now, peer, Link::Down);
            }
            Output::Event(HubServerEvent::Joined { peer }) => self.on_leaf_joined(now, peer),
            Output::Event(HubServerEvent::Left { peer, .. }) => self.on_leaf_left(peer),
            Output::Event(
                HubServerEvent::Registered { .. }
                | HubServerEvent::Refused { .. }
                | HubServerEvent::Flooding { .. },
            ) => {}
        }
    }

    fn on_flood_output(&mut self, now: Timestamp, output: FloodOutput) {
        match output {
            Output::Send { to, message } => self.send(to, SupernodeMessage::Flood(message)),
            Output::Dial { peer } => {
                if self.wires.take(peer, User::Flood) {
                    self.output(Output::Dial { peer });
                }
            }
            Output::Disconnect { peer } => self.wires.release(now, peer, User::Flood),
            Output::Event(event) => self.on_flood_event(now, event),
        }
    }

    fn on_flood_event(&mut self, now: Timestamp, event: FloodEvent) {
        match event {
            FloodEvent::Asked {
                search,
                question,
                rows_max,
            } => self.on_flood_asked(now, search, &question, rows_max),
            FloodEvent::Rows {
                id,
                via,
                hops,
                rows,
                addresses,
            } => self.on_flood_rows((id, via, hops), rows, addresses),
            FloodEvent::Ended { id, outcome } => self.on_flood_ended(now, id, &outcome),
            FloodEvent::NeighbourUp { peer } => self.on_neighbour_up(now, peer),
            FloodEvent::NeighbourDown { peer, reason } => {
                self.on_neighbour_down(now, peer, reason);
            }
            FloodEvent::Addresses(address) => {
                self.learn(now, &address);
                self.event(SupernodeEvent::Addresses(address));
            }
        }
    }

    pub(super) fn flood_command(&mut self, now: Timestamp, command: FloodCommand) {
        if let Some(office) = &mut self.office {
            office.flood.handle_command(now, command);
        }
    }

    pub(super) fn on_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        let is_up = link == Link::Up;
        let was_up = self.wires.is_up(peer);
        if is_up {
            if self.wires.on_up(peer) {
                self.facts.on_link(false);
                // Whoever links to a supernode dials it.
                self.facts.reachable |= self.office.is_some() && !self.wires.is_own(peer);
            }
        } else {
            // Links of others, downloads say, come and go.
            let was_used = self.wires.is_used(peer);
            self.wires.on_gone(peer);
            if was_up && was_used {
                self.facts.on_link(true);
            }
        }
        self.client.handle_link(now, peer, link);
        if let Some(office) = &mut self.office {
            office.hub.handle_link(now, peer, link);
            office.flood.handle_link(now, peer, link);
        }
        self.on_link_seek(now, peer, is_up);
        self.on_link_dial_back(now, peer, is_up);
        if link == Link::Down && !self.is_home(peer) {
            self.ask_elsewhere(now, peer);
        }
    }

    /// Gives up links that this side dialled and nobody needs.
    pub(super) fn give_up_idle(&mut self, now: Timestamp) {
        while let Some(peer) = self.wires.pop_idle(now) {
            self.output(Output::Disconnect { peer });
            self.client.handle_link(now, peer, Link::Down);
            if let Some(office) = &mut self.office {
                office.hub.handle_link(now, peer, Link::Down);
                office.flood.handle_link(now, peer, Link::Down);
            }
        }
    }

    /// It says that it is a supernode, or acts like one.
    pub(super) fn heard(&mut self, now: Timestamp, peer: PeerId) {
        self.book.heard(now, peer);
        self.book.seen(peer, self.wires.seen(peer));
    }

    pub(super) fn on_seen(&mut self, now: Timestamp, peer: PeerId, addresses: Vec<SocketAddr>) {
        self.wires.saw(peer, &addresses);
        self.book.seen(peer, &addresses);
        self.tell_seen(now, peer, addresses);
    }

    /// The office learns where a peer is.
    pub(super) fn tell_seen(&mut self, now: Timestamp, peer: PeerId, addresses: Vec<SocketAddr>) {
        if let Some(office) = &mut self.office {
            let command = HubServerCommand::Seen {
                peer,
                addresses: addresses.clone(),
            };
            office.hub.handle_command(now, command);
            let command = FloodCommand::Seen { peer, addresses };
            office.flood.handle_command(now, command);
        }
    }

    pub(super) fn on_wall_time(&mut self, now: Timestamp, time: WallTime) {
        self.calendar = Some((time, now));
        if let Some(office) = &mut self.office {
            let command = HubServerCommand::WallTime(time);
            office.hub.handle_command(now, command);
        }
    }
}
