//! What this core does for the keeping of files: a part that is only there once
//! somebody wants something kept, for most peers of a laboratory never do.

use gannet_base::{PeerId, Timestamp, seeded_rng};

use super::Dht;
use super::api::DhtEvent;
use super::keep::{Keep, KeepCommand, KeepMessage, KeepOutput};
use super::message::DhtMessage;
use super::parts::Asker;
use super::ring::{Contact, Found};

impl Dht {
    /// The files that are kept for others, and own ones that others keep; nothing as
    /// long as there were none.
    pub fn keep(&self) -> Option<&Keep> {
        self.keep.as_deref()
    }

    fn keep_mut(&mut self) -> &mut Keep {
        let (me, config, seed) = (self.me, &self.config.keep, self.keep_seed);
        let (calendar, addresses) = (self.calendar, &self.addresses);
        self.keep.get_or_insert_with(|| {
            let mut keep = Keep::new(me, config.clone(), seeded_rng(seed));
            keep.set_addresses(addresses);
            if let Some((time, told_at)) = calendar {
                keep.set_wall_time(told_at, time);
            }
            Box::new(keep)
        })
    }

    pub(super) fn on_keep_command(&mut self, now: Timestamp, command: KeepCommand) {
        let places = std::mem::take(&mut self.places);
        self.keep_mut().handle_command(now, command, &places);
        self.places = places;
    }

    pub(super) fn on_keep_message(&mut self, now: Timestamp, from: PeerId, message: KeepMessage) {
        let places = std::mem::take(&mut self.places);
        self.keep_mut().handle_message(now, from, message, &places);
        self.places = places;
    }

    pub(super) fn on_keep_timeout(&mut self, now: Timestamp) {
        if let Some(keep) = &mut self.keep {
            keep.handle_timeout(now, &self.places);
        }
    }

    pub(super) fn on_keep_located(&mut self, now: Timestamp, id: u64, found: Option<Found>) {
        if let Some(keep) = &mut self.keep {
            let found = found.map(|found| (found.predecessor.position, found.owners));
            keep.on_located(now, id, found, &self.places);
        }
    }

    /// Performs what keeping wants done. Returns whether there was anything.
    pub(super) fn settle_keep(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while let Some(output) = self.keep.as_mut().and_then(|keep| keep.poll()) {
            any = true;
            match output {
                KeepOutput::Send { to, message } => {
                    self.post(now, &Contact::of(&to), DhtMessage::Keep(message));
                }
                KeepOutput::Locate { id, key } => self.locate(now, (Asker::Keep, id), (key, 1)),
                KeepOutput::Event(event) => self.event(DhtEvent::Keep(event)),
            }
        }
        any
    }
}
