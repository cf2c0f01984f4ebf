//! Who is here and until when.

use gannet_base::{PeerId, Timestamp};

use super::{HubServer, HubServerEvent, LeftReason, Session};
use crate::hub::bucket::Bucket;
use crate::hub::message::Standing;

impl HubServer {
    pub(super) fn join(&mut self, now: Timestamp, peer: PeerId) {
        let config = &self.config;
        let lease_until = now + config.lease;
        let messages = config.messages_per_second;
        let session = Session {
            linked: true,
            lease_until,
            addresses: Box::default(),
            upload_bytes_per_second: 0,
            standing: Standing {
                epoch: self.epoch,
                ..Standing::default()
            },
            queries: Bucket::new(config.queries_per_second, config.queries_burst, now),
            messages: Bucket::new(messages, messages, now),
            registering: Bucket::new(
                config.registration_bytes_per_second,
                config.registration_burst_bytes,
                now,
            ),
            dropped: 0,
            questions: Vec::new(),
            questions_due: Timestamp::ZERO,
            refusal_told_at: None,
        };
        self.leases.insert((lease_until, peer));
        self.sessions.insert(peer, Box::new(session));
    }

    /// A sign of life: the lease starts anew.
    pub(super) fn renew(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.linked = true;
        }
        self.set_lease(peer, now + self.config.lease);
    }

    fn set_lease(&mut self, peer: PeerId, until: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&peer)
            && session.lease_until != until
        {
            self.leases.remove(&(session.lease_until, peer));
            session.lease_until = until;
            self.leases.insert((until, peer));
        }
    }

    /// The peer may be back in a moment, under another address: its entries
    /// stay for a while. Its questions would be answered to nobody.
    pub(super) fn on_link_down(&mut self, now: Timestamp, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            self.seen.remove(&peer);
            return;
        };
        session.linked = false;
        session.questions = Vec::new();
        self.waiting.remove(&(session.questions_due, peer));
        let until = session.lease_until.min(now + self.config.grace);
        self.set_lease(peer, until);
    }

    /// A goodbye that was overtaken by a later registration is no more true.
    pub(super) fn on_goodbye(&mut self, peer: PeerId, epoch: u64, registration: u64) {
        let current = self.standing(peer).registration;
        if epoch == self.epoch && registration >= current {
            self.end_session(peer, LeftReason::Goodbye);
        }
    }

    /// Forgets everything about a peer.
    pub(super) fn end_session(&mut self, peer: PeerId, reason: LeftReason) {
        let Some(session) = self.sessions.remove(&peer) else {
            return;
        };
        self.leases.remove(&(session.lease_until, peer));
        self.waiting.remove(&(session.questions_due, peer));
        if !session.linked {
            self.seen.remove(&peer);
        }
        let entries = self.index.remove_holder(peer);
        self.revision += u64::from(entries > 0);
        self.event(HubServerEvent::Left {
            peer,
            entries,
            reason,
        });
    }

    pub(super) fn end_leases(&mut self, now: Timestamp) {
        while let Some((due, peer)) = self.leases.first().copied()
            && due <= now
        {
            let linked = self.sessions.get(&peer).is_some_and(|s| s.linked);
            let reason = if linked {
                LeftReason::Silent
            } else {
                LeftReason::LinkLost
            };
            self.end_session(peer, reason);
        }
    }

    /// This machine slept. Whoever was here then may have kept its lease with
    /// messages that lie unread: nobody's lease ends before these were read.
    pub(super) fn on_pause(&mut self, now: Timestamp) {
        let until = now + self.config.grace;
        let early: Vec<PeerId> = self
            .leases
            .iter()
            .take_while(|(due, _)| *due < until)
            .map(|(_, peer)| *peer)
            .collect();
        for peer in early {
            self.set_lease(peer, until);
        }
    }

    /// Ends publications past their time, by this machine's own calendar.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if now < self.expiry_at {
            return;
        }
        self.expiry_at = now + self.config.expiry_interval;
        let Some(time) = self.wall_time(now) else {
            return;
        };
        if self.index.expire(time) == 0 {
            return;
        }
        self.revision += 1;
        let holders: Vec<PeerId> = self.sessions.keys().copied().collect();
        for peer in holders {
            self.recount(peer);
        }
    }
}
