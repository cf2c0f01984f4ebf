//! What can be served: asked of the driver once, kept while somebody wants it.

use std::collections::BTreeMap;

use gannet_base::{ContentId, GroupSet, Timestamp};

use super::queue::Key;
use super::slot::Stage;
use super::{Timer, Uploads};
use crate::message::{Have, RefusedReason, SIZE_BYTES_MAX, TransferMessage, longest_runs};
use crate::runs::Runs;

/// A content that can be served.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) size: u64,
    pub(super) have: Have,
    /// What was asked for by those who fetch it now or did so lately; at most
    /// as many runs as fit a message.
    pub(super) given: Runs,
}

/// What is known of the contents that somebody wants now.
#[derive(Debug, Default)]
pub(super) struct Contents {
    offers: BTreeMap<ContentId, Offer>,
    /// Being looked up; true: the driver was asked.
    lookups: BTreeMap<ContentId, bool>,
}

impl Contents {
    pub(super) fn is_known(&self, content: ContentId) -> bool {
        self.offers.contains_key(&content)
    }

    pub(super) fn offer(&self, content: ContentId) -> Option<&Offer> {
        self.offers.get(&content)
    }

    /// Whether only a part of it is there.
    pub(super) fn is_partial(&self, content: ContentId) -> bool {
        let offer = self.offers.get(&content);
        offer.is_some_and(|offer| offer.have != Have::Whole)
    }

    pub(super) fn offer_mut(&mut self, content: ContentId) -> Option<&mut Offer> {
        self.offers.get_mut(&content)
    }

    /// Notes that it is to be looked up. False if there are too many lookups.
    pub(super) fn look_up(&mut self, content: ContentId, lookups_max: usize) -> bool {
        if !self.lookups.contains_key(&content) {
            if self.lookups.len() >= lookups_max {
                return false;
            }
            self.lookups.insert(content, false);
        }
        true
    }

    /// Whether the driver is yet to be asked; from now on it is.
    pub(super) fn announce(&mut self, content: ContentId) -> bool {
        self.lookups
            .get_mut(&content)
            .is_some_and(|asked| !std::mem::replace(asked, true))
    }

    fn forget(&mut self, content: ContentId) {
        self.offers.remove(&content);
        self.lookups.remove(&content);
    }
}

impl Uploads {
    pub(super) fn on_offer(&mut self, now: Timestamp, content: ContentId, size: u64, have: Have) {
        if size > SIZE_BYTES_MAX {
            self.on_not_shared(now, content);
            return;
        }
        self.contents.lookups.remove(&content);
        let waiting = self.uploads_for(content);
        if waiting.is_empty() {
            return;
        }
        let given = Runs::default();
        self.contents
            .offers
            .insert(content, Offer { size, have, given });
        for key in waiting {
            let stage = self.uploads.get(&key).map(|upload| upload.stage);
            if matches!(stage, Some(Stage::LookingUp { .. })) {
                self.enqueue(now, key);
            }
        }
    }

    pub(super) fn on_not_shared(&mut self, now: Timestamp, content: ContentId) {
        self.end_all(now, content, RefusedReason::NotShared);
    }

    /// It is not what it was: nobody gets any more of it.
    pub(super) fn withdraw(&mut self, now: Timestamp, content: ContentId) {
        self.end_all(now, content, RefusedReason::Changed);
    }

    fn end_all(&mut self, now: Timestamp, content: ContentId, reason: RefusedReason) {
        for key in self.uploads_for(content) {
            self.end(now, key, Some(reason));
        }
        self.contents.forget(content);
    }

    pub(super) fn on_grown(&mut self, now: Timestamp, content: ContentId, have: Have) {
        let Some(offer) = self
            .contents
            .offers
            .get_mut(&content)
            .filter(|offer| offer.have != have)
        else {
            return;
        };
        offer.have = have;
        self.tell_growth(now, content);
    }

    /// Some groups of a partial content have come.
    pub(super) fn on_gained(&mut self, now: Timestamp, content: ContentId, groups: &GroupSet) {
        let Some(offer) = self.contents.offers.get_mut(&content) else {
            return;
        };
        let Have::Some(have) = &mut offer.have else {
            return;
        };
        let before = have.len();
        groups.runs().iter().for_each(|run| have.insert(*run));
        if have.len() == before {
            return;
        }
        if have.is_whole(offer.size) {
            offer.have = Have::Whole;
        }
        self.tell_growth(now, content);
    }

    fn tell_growth(&mut self, now: Timestamp, content: ContentId) {
        for key in self.uploads_for(content) {
            if let Some(upload) = self
                .uploads
                .get_mut(&key)
                .filter(|upload| upload.is_serving())
            {
                upload.stale_have = true;
                self.tell_have(now, key);
            }
        }
    }

    /// Tells what there is, if that is due.
    pub(super) fn tell_have(&mut self, now: Timestamp, key: Key) {
        let (Some(upload), Some(offer)) = (self.uploads.get_mut(&key), self.contents.offer(key.1))
        else {
            return;
        };
        let due = upload.told_have + upload.have_interval(&self.config, &offer.have);
        if !upload.stale_have || !upload.is_serving() {
            return;
        }
        if now < due {
            self.timers.arm(Timer::Upload(key), due);
            return;
        }
        upload.stale_have = false;
        upload.told_have = now;
        let groups = match &offer.have {
            Have::Whole => GroupSet::whole(offer.size),
            Have::Some(groups) => longest_runs(groups),
        };
        self.send(
            key.0,
            TransferMessage::Have {
                content: key.1,
                groups,
            },
        );
    }

    /// Forgets a content that nobody wants: the next who asks causes a fresh
    /// look at the disk.
    pub(super) fn forget_unwanted(&mut self, content: ContentId) {
        if self.uploads_for(content).is_empty() {
            self.contents.forget(content);
        }
    }

    fn uploads_for(&self, content: ContentId) -> Vec<Key> {
        self.uploads
            .keys()
            .filter(|key| key.1 == content)
            .copied()
            .collect()
    }
}
