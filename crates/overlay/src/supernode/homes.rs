//! A leaf's supernodes: the primary, which is asked, and the warm backup.

use std::sync::Arc;

use gannet_base::{Core as _, PeerId, Timestamp};

use super::message::{Roster, SupernodeMessage};
use super::wires::User;
use super::{LossReason, Role, Supernode, SupernodeEvent};
use crate::flood::jittered;
use crate::hub::{DownReason, HubClientCommand, HubClientEvent};

/// A supernode at which this leaf is registered, or about to be.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) peer: PeerId,
    /// It has welcomed this peer and answers.
    pub(super) is_live: bool,
    /// The link broke. Not yet given up: that is one observation only.
    is_suspect: bool,
    /// It says that it will end: another is looked for meanwhile.
    pub(super) is_moving: bool,
    /// Was welcomed there.
    was_live: bool,
}

/// Supernodes lost lately that are remembered, for claims of other leaves.
const GONE_MAX: usize = 4;

impl Supernode {
    /// The one to ask: the primary if it is live, else whoever is.
    pub(super) fn live_home(&self) -> Option<PeerId> {
        let live = self.homes.iter().find(|home| home.is_live);
        live.map(|home| home.peer)
    }

    pub(super) fn is_home(&self, peer: PeerId) -> bool {
        self.homes.iter().any(|home| home.peer == peer)
    }

    fn home(&mut self, peer: PeerId) -> Option<&mut Home> {
        self.homes.iter_mut().find(|home| home.peer == peer)
    }

    /// Registers at another supernode: in the place of one that will end, or as
    /// one more.
    pub(super) fn take_home(&mut self, now: Timestamp, peer: PeerId) {
        if self.is_home(peer) {
            return;
        }
        self.homes.reserve_exact(1);
        self.homes.push(Home {
            peer,
            is_live: false,
            is_suspect: false,
            is_moving: false,
            was_live: false,
        });
        if self.homes.len() > 2
            && let Some(place) = self.homes.iter().position(|home| home.is_moving)
        {
            let moving = self.homes.remove(place);
            self.tell_lost(now, moving.peer, LossReason::Refused);
        }
        self.homes.truncate(2);
        self.wires.note(peer, User::Client);
        self.name_homes(now);
    }

    /// Tells the client where to be registered.
    pub(super) fn name_homes(&mut self, now: Timestamp) {
        let hubs = if self.office.is_some() {
            vec![self.me]
        } else {
            self.homes.iter().map(|home| home.peer).collect()
        };
        self.client
            .handle_command(now, HubClientCommand::Hubs(hubs));
    }

    pub(super) fn on_client_event(&mut self, now: Timestamp, event: HubClientEvent) {
        match event {
            HubClientEvent::HubUp { hub } if hub != self.me => self.on_home_up(now, hub),
            HubClientEvent::HubDown { hub, reason } if hub != self.me => {
                self.on_home_down(now, hub, reason);
            }
            HubClientEvent::RegistrationRefused {
                hub,
                entries,
                reason,
            } => self.event(SupernodeEvent::RegistrationRefused {
                supernode: hub,
                entries,
                reason,
            }),
            HubClientEvent::PublishRefused {
                invalid, excess, ..
            } => self.event(SupernodeEvent::PublishRefused {
                entries: invalid.saturating_add(excess),
            }),
            // Searches are not asked through the client.
            HubClientEvent::HubUp { .. }
            | HubClientEvent::HubDown { .. }
            | HubClientEvent::Registered { .. }
            | HubClientEvent::Rows { .. }
            | HubClientEvent::Ended { .. } => {}
        }
    }

    fn on_home_up(&mut self, now: Timestamp, peer: PeerId) {
        let Some(home) = self.home(peer) else {
            return;
        };
        home.is_live = true;
        home.is_suspect = false;
        home.was_live = true;
        self.heard(now, peer);
        // Who answers is asked: a primary that is not there yet, or no more,
        // can be the backup when it comes.
        if !self.homes[0].is_live {
            self.homes.swap(0, 1);
        }
        let is_primary = self.homes[0].peer == peer;
        self.event(SupernodeEvent::Assigned {
            supernode: peer,
            is_primary,
        });
        self.send_cards(now);
        self.on_placed(now);
        self.ask_waiting(now);
    }

    fn on_home_down(&mut self, now: Timestamp, peer: PeerId, reason: DownReason) {
        let Some(home) = self.home(peer) else {
            return;
        };
        let was_live = std::mem::take(&mut home.is_live);
        match reason {
            // The client dials again by itself: that is the second observation.
            DownReason::LinkLost if was_live && !home.is_suspect => {
                home.is_suspect = true;
                self.use_other(now, peer);
                self.check_homes(now);
            }
            DownReason::LinkLost | DownReason::Unreachable | DownReason::NoWelcome => {
                self.lose_home(now, peer, LossReason::Gone);
            }
            DownReason::Silent { .. } => {
                self.lose_home(now, peer, LossReason::Gone);
                self.doubt(now, peer);
            }
            DownReason::Refused(_) => self.lose_home(now, peer, LossReason::Refused),
            DownReason::WrongAnswer | DownReason::Nonsense | DownReason::Stalled => {
                self.lose_home(now, peer, LossReason::Useless);
            }
        }
    }

    /// Asks whoever is left whether it is there: they may have gone together.
    fn check_homes(&mut self, now: Timestamp) {
        self.client.handle_command(now, HubClientCommand::Check);
    }

    /// The warm backup becomes the primary.
    fn use_other(&mut self, now: Timestamp, lost: PeerId) {
        if self.homes.len() == 2 && self.homes[0].peer == lost && self.homes[1].is_live {
            self.homes.swap(0, 1);
            self.event(SupernodeEvent::Assigned {
                supernode: self.homes[0].peer,
                is_primary: true,
            });
            self.send_cards(now);
        }
        self.ask_elsewhere(now, lost);
    }

    /// A supernode is this leaf's no more.
    pub(super) fn lose_home(&mut self, now: Timestamp, peer: PeerId, reason: LossReason) {
        let Some(place) = self.homes.iter().position(|home| home.peer == peer) else {
            return;
        };
        let was_primary = place == 0;
        self.use_other(now, peer);
        let Some(place) = self.homes.iter().position(|home| home.peer == peer) else {
            return;
        };
        let home = self.homes.remove(place);
        match reason {
            LossReason::Gone => {
                self.book.failed(now, &mut self.rng.wake(), peer);
                self.note_gone(now, peer);
            }
            LossReason::Useless => {
                self.counters.banned += 1;
                self.book.ban(now, &self.config, peer);
            }
            LossReason::Refused => self.book.is_full(now, peer),
            LossReason::Replaced => {}
        }
        self.name_homes(now);
        self.check_homes(now);
        if home.was_live {
            self.tell_lost(now, peer, reason);
        } else {
            self.wires.release(now, peer, User::Client);
        }
        self.on_unplaced(now, was_primary && home.was_live);
    }

    fn tell_lost(&mut self, now: Timestamp, supernode: PeerId, reason: LossReason) {
        self.counters.lost += 1;
        self.wires.release(now, supernode, User::Client);
        self.event(SupernodeEvent::Lost { supernode, reason });
    }

    fn note_gone(&mut self, now: Timestamp, peer: PeerId) {
        self.gone.retain(|(gone, _)| *gone != peer);
        if self.gone.len() >= GONE_MAX {
            self.gone.remove(0);
        }
        self.gone.reserve_exact(1);
        self.gone.push((peer, now));
    }

    /// How many supernodes of this leaf went within that time.
    pub(super) fn gone_lately(&self, now: Timestamp, within: std::time::Duration) -> usize {
        let lately = self.gone.iter().filter(|(_, at)| now - *at <= within);
        lately.count()
    }

    /// Tells the homes what they are to this leaf, and what it is.
    pub(super) fn send_cards(&mut self, now: Timestamp) {
        let score = self.facts.score(now);
        let live: Vec<(usize, PeerId)> = self
            .homes
            .iter()
            .enumerate()
            .filter(|(_, home)| home.is_live)
            .map(|(place, home)| (place, home.peer))
            .collect();
        for (place, to) in live {
            let is_primary = place == 0;
            self.send(to, SupernodeMessage::Card { is_primary, score });
        }
    }

    pub(super) fn on_roster(&mut self, now: Timestamp, from: PeerId, roster: Arc<Roster>) {
        if !self.is_home(from) {
            self.counters.dropped += 1;
            return;
        }
        self.heard(now, from);
        self.learn_listed(now, &roster.supernodes);
        if self.seek.orphan_since.is_none() {
            let is_primary = self.homes[0].peer == from;
            self.seek.rosters.put(from, roster, is_primary);
        }
    }

    /// A supernode will end. It serves until there is another.
    pub(super) fn on_move(&mut self, now: Timestamp, from: PeerId) {
        let Some(home) = self.home(from) else {
            return;
        };
        home.is_moving = true;
        self.book.is_none(now, from);
        if self.homes.len() == 2 {
            if self.homes[0].peer == from && self.homes[1].is_live {
                self.homes.swap(0, 1);
                self.event(SupernodeEvent::Assigned {
                    supernode: self.homes[0].peer,
                    is_primary: true,
                });
                self.send_cards(now);
            }
            if self.homes[1].peer == from {
                self.lose_home(now, from, LossReason::Replaced);
                return;
            }
        }
        let jitter = jittered(&mut self.rng.wake(), self.config.orphan_jitter);
        self.seek_by(now + jitter);
    }

    /// A holder that was named has nothing, or a question found no answer.
    pub(super) fn on_dead_source(&mut self, now: Timestamp, via: PeerId, hops: u8) {
        // What comes from further away is not the supernode's own word.
        if self.role() == Role::Leaf
            && hops <= 1
            && self.is_home(via)
            && self.book.blame(now, &self.config, via)
        {
            self.lose_home(now, via, LossReason::Useless);
        }
    }
}
