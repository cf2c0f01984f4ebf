//! What a peer has registered: batches in order, each once.

use gannet_base::{PeerId, Publication, Timestamp};
use gannet_index::Inserted;

use super::{HubServer, HubServerEvent};
use crate::hub::chain;
use crate::hub::message::{Budget, Change, HubMessage, Refusal, Standing};

impl HubServer {
    /// How `peer` stands; all zero but the epoch if it is not here.
    pub(super) fn standing(&self, peer: PeerId) -> Standing {
        self.sessions.get(&peer).map_or(
            Standing {
                epoch: self.epoch,
                ..Standing::default()
            },
            |session| session.standing,
        )
    }

    pub(super) fn on_batch(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        (epoch, registration, sequence): (u64, u64, u32),
        changes: Vec<Change>,
    ) {
        let current = self.standing(peer);
        let begins = registration > current.registration && sequence == 0;
        let follows = registration == current.registration && sequence == current.next;
        let ours = epoch == self.epoch;
        if !ours || !(begins || follows) {
            // Repeated, too early, or for another start of this hub.
            let early = (registration, sequence) > (current.registration, current.next);
            self.acknowledge(peer, ours && early, 0, None);
            return;
        }
        let bytes = changes.iter().map(chain::change_bytes).sum::<usize>() as u64;
        if let Some(Err(wait)) = self
            .sessions
            .get_mut(&peer)
            .map(|session| session.registering.take(now, bytes))
        {
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
            let refusal = Refusal {
                budget: Budget::RegistrationRate,
                max: u64::from(self.config.registration_bytes_per_second),
                retry_after_ms: wait_ms,
            };
            self.on_refusal(now, peer, refusal);
            self.acknowledge(peer, false, wait_ms, Some(refusal));
            return;
        }
        if begins {
            let forgotten = self.index.remove_holder(peer);
            self.revision += u64::from(forgotten > 0);
            self.set_standing(
                peer,
                Standing {
                    epoch,
                    registration,
                    chain: chain::start(registration),
                    ..Standing::default()
                },
            );
        }
        self.apply(now, peer, changes);
    }

    fn apply(&mut self, now: Timestamp, peer: PeerId, changes: Vec<Change>) {
        let mut standing = self.standing(peer);
        standing.chain = chain::extend(standing.chain, &changes);
        // Beyond that a registration would need 2^32 batches.
        standing.next = standing.next.saturating_add(1);
        self.revision += u64::from(!changes.is_empty());
        let mut refusal = None;
        for change in changes {
            let refused = match change {
                Change::Put {
                    entry,
                    expires,
                    signature,
                } => self.put(
                    now,
                    &Publication {
                        entry,
                        holder: peer,
                        expires,
                        signature,
                    },
                ),
                Change::Remove { content, path } => {
                    self.index.remove(peer, content, &path);
                    None
                }
            };
            if let Some(reason) = refused {
                standing.refused = standing.refused.saturating_add(1);
                refusal = refusal.or(Some(reason));
            }
        }
        self.set_standing(peer, standing);
        self.recount(peer);
        self.set_speed(peer);
        if let Some(reason) = refusal {
            self.on_refusal(now, peer, reason);
        }
        let entries = usize::try_from(self.standing(peer).entries).unwrap_or(usize::MAX);
        self.event(HubServerEvent::Registered { peer, entries });
        self.acknowledge(peer, false, 0, refusal);
    }

    /// Registers one publication, or says why not.
    ///
    /// The signature is not checked: the link proves who sent it, and whoever
    /// searches verifies it anyway.
    fn put(&mut self, now: Timestamp, publication: &Publication) -> Option<Refusal> {
        if let Some(time) = self.wall_time(now) {
            let (time, expires) = (
                time.as_unix_seconds(),
                publication.expires.as_unix_seconds(),
            );
            let life_max = Publication::LIFE_SECONDS_MAX + Publication::CLOCK_SLACK_SECONDS;
            if expires.saturating_add(Publication::CLOCK_SLACK_SECONDS) < time {
                return Some(Refusal::of(Budget::Expired, 0));
            }
            if expires > time.saturating_add(life_max) {
                return Some(Refusal::of(Budget::Life, 0));
            }
        }
        match self.index.insert(publication) {
            Inserted::New | Inserted::Renewed => None,
            Inserted::Refused(reason) => Some(translate(&reason)),
        }
    }

    fn acknowledge(&mut self, peer: PeerId, early: bool, wait_ms: u32, refusal: Option<Refusal>) {
        let message = HubMessage::Ack {
            standing: self.standing(peer),
            early,
            wait_ms,
            refusal,
        };
        self.send(peer, message);
    }

    fn set_standing(&mut self, peer: PeerId, standing: Standing) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.standing = standing;
        }
    }

    /// Takes over from the index how many entries a peer has.
    pub(super) fn recount(&mut self, peer: PeerId) {
        let entries = self.index.holder_len(peer);
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.standing.entries = u32::try_from(entries).unwrap_or(u32::MAX);
        }
    }
}

fn translate(reason: &gannet_index::Refusal) -> Refusal {
    use gannet_index::Refusal as Reason;
    match reason {
        Reason::Invalid(_) => Refusal::of(Budget::Invalid, 0),
        Reason::Full { max } => Refusal::of(Budget::HubEntries, *max),
        Reason::Holders { max } => Refusal::of(Budget::Peers, *max),
        Reason::HolderEntries { max } => Refusal::of(Budget::Entries, *max),
        Reason::HolderBytes { max } => Refusal::of(Budget::Bytes, *max),
        Reason::Names { max } => Refusal::of(Budget::Names, *max),
    }
}
