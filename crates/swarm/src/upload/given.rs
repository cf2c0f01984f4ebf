//! Telling fetchers of one content what the others of them asked for, so that
//! each asks for something else and the source need not send anything twice
//! before it has sent everything once.

use gannet_base::{GroupRange, Timestamp};

use super::queue::Key;
use super::{Timer, Uploads};
use crate::message::{HAVE_RUNS_MAX, TransferMessage, longest_runs};

impl Uploads {
    /// `key` asked for `slice`: the others with a slot hear of what is new of
    /// it.
    pub(super) fn note_given(&mut self, now: Timestamp, key: Key, slice: GroupRange) {
        if self.contents.is_partial(key.1) {
            // Those who fetch from it hear of what each other has; it is whole
            // sources that alone have what is rare.
            return;
        }
        let Some(offer) = self.contents.offer_mut(key.1) else {
            return;
        };
        let fresh = offer.given.gaps(slice);
        if fresh.is_empty() || offer.given.pieces() >= HAVE_RUNS_MAX {
            return;
        }
        offer.given.insert(slice);
        let others = self.slots.keys().filter(|peer| **peer != key.0);
        let others: Vec<Key> = others.map(|peer| (*peer, key.1)).collect();
        for other in others {
            let serving = self.uploads.get_mut(&other);
            let Some(upload) = serving.filter(|upload| upload.is_serving()) else {
                continue;
            };
            for run in &fresh {
                upload.untold_given.insert(*run);
            }
            self.tell_given(now, other);
        }
    }

    /// Tells what others asked for, if that is due.
    pub(super) fn tell_given(&mut self, now: Timestamp, key: Key) {
        let Some(upload) = self.uploads.get(&key) else {
            return;
        };
        if upload.untold_given.is_empty() || !upload.is_serving() {
            return;
        }
        let due = upload.told_given + self.config.given_interval;
        if now < due {
            self.timers.arm(Timer::Upload(key), due);
        } else {
            self.send_given(now, key);
        }
    }

    pub(super) fn send_given(&mut self, now: Timestamp, key: Key) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        if upload.untold_given.is_empty() {
            return;
        }
        upload.told_given = now;
        let groups = longest_runs(&std::mem::take(&mut upload.untold_given).to_set());
        let (to, content) = key;
        self.send(to, TransferMessage::Given { content, groups });
    }
}
