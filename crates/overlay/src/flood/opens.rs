//! Questions that were passed on and whose reports are awaited.

use gannet_base::Timestamp;

use super::message::{Coverage, SearchId};
use super::seen::{Back, ORIGIN};
use super::slots::SlotSet;

/// One copy of a question, until it is reported on.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) search: SearchId,
    /// Who has not reported.
    pub(crate) waiting: SlotSet,
    /// When it is reported on all the same.
    pub(crate) due: Timestamp,
    /// To whom.
    pub(crate) back: Back,
    pub(crate) coverage: Coverage,
    pub(crate) round: u8,
    /// Of the copy, as it came: the report says it.
    pub(crate) ttl: u8,
    /// Of the copies that were passed on: their reports say it.
    pub(crate) ttl_sent: u8,
}

impl Open {
    /// Whether this peer is the one that searches.
    pub(crate) fn is_own(&self) -> bool {
        self.back.slot == ORIGIN
    }
}

/// All of them. Whoever removes one must correct the index of the one that takes
/// its place.
#[derive(Debug, Default)]
pub(crate) struct Opens {
    list: Vec<Open>,
    /// Not later than the first deadline.
    due: Option<Timestamp>,
}

/// As many as this are looked through for an exact deadline.
const FEW: usize = 8;

impl Opens {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Not later than the first deadline: a wake-up in vain does no harm.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Adds one; its index.
    pub(crate) fn push(&mut self, open: Open) -> u32 {
        self.due = Some(self.due.map_or(open.due, |due| due.min(open.due)));
        self.list.push(open);
        u32::try_from(self.list.len() - 1).expect("their number is limited")
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Open> {
        self.list.get_mut(usize::try_from(index).ok()?)
    }

    /// Removes one, and says which search took its place.
    pub(crate) fn remove(&mut self, index: u32) -> Option<(Open, Option<SearchId>)> {
        let index = usize::try_from(index).ok()?;
        if index >= self.list.len() {
            return None;
        }
        let open = self.list.swap_remove(index);
        let moved = self.list.get(index).map(|open| open.search);
        if self.list.is_empty() {
            self.due = None;
            if self.list.capacity() > FEW {
                self.list = Vec::new();
            }
        } else if self.due == Some(open.due) && self.list.len() <= FEW {
            self.find_due();
        }
        Some((open, moved))
    }

    /// The last one before `end` of which this holds, by index. Removing it
    /// leaves those before it where they are.
    pub(crate) fn last_before(&self, end: u32, holds: impl Fn(&Open) -> bool) -> Option<u32> {
        let end = usize::try_from(end)
            .unwrap_or(usize::MAX)
            .min(self.list.len());
        let index = self.list[..end].iter().rposition(holds)?;
        u32::try_from(index).ok()
    }

    /// The index of a search's, looked for in all.
    pub(crate) fn position(&self, is: impl Fn(&Open) -> bool) -> Option<u32> {
        let index = self.list.iter().position(is)?;
        u32::try_from(index).ok()
    }

    pub(crate) fn find_due(&mut self) {
        self.due = self.list.iter().map(|open| open.due).min();
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.list.iter_mut()
    }
}
