//! Who wants what kept, and who does not any more.

use std::collections::BTreeMap;

use gannet_base::{ContentId, FileEntry, KeepOrder, KeepRelease, PeerId, Timestamp, WallTime};

use super::api::RefusalReason;
use super::calendar::Calendar;
use super::config::Config;
use super::message::ORDERS_OF_CONTENT_MAX;
use crate::hub::Bucket;

/// How long a release is remembered by those who never saw the order, seconds.
// Guess: a month, as long as most orders.
const RELEASE_SECONDS: u64 = 31 * 24 * 3600;

/// A release, and what it is remembered for.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) release: KeepRelease,
    pub(super) until: WallTime,
    /// Blocks whose responsible nodes are to know it.
    pub(super) blocks: Vec<u32>,
    /// When they are told next, and how often they were.
    pub(super) announce: (Timestamp, u32),
}

/// All orders and releases that this node knows.
#[derive(Debug)]
pub(super) struct Orders {
    wanted: BTreeMap<ContentId, Vec<KeepOrder>>,
    pub(super) releases: BTreeMap<(ContentId, PeerId), Remembered>,
    /// Signatures checked.
    budget: Bucket,
}

impl Orders {
    pub(super) fn new(config: &Config) -> Self {
        let rate = config.orders_per_second;
        Self {
            wanted: BTreeMap::new(),
            releases: BTreeMap::new(),
            budget: Bucket::new(rate, rate.saturating_mul(10), Timestamp::ZERO),
        }
    }

    /// The orders for a content; none if nobody wants it.
    pub(super) fn of(&self, content: ContentId) -> &[KeepOrder] {
        self.wanted.get(&content).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_wanted(&self, content: ContentId) -> bool {
        self.wanted.contains_key(&content)
    }

    /// What the content is, as its first keeper says.
    pub(super) fn entry(&self, content: ContentId) -> Option<&FileEntry> {
        self.of(content).first().map(|order| &order.entry)
    }

    /// How many copies are wanted: what the most demanding keeper wants.
    pub(super) fn copies(&self, content: ContentId) -> u8 {
        let copies = self.of(content).iter().map(|order| order.copies);
        copies.max().unwrap_or(0)
    }

    /// A digest of the orders for a content: two nodes with the same digest have
    /// nothing to tell each other. 0 for none.
    pub(super) fn stamp(&self, content: ContentId) -> u64 {
        let orders = self.of(content);
        if orders.is_empty() {
            return 0;
        }
        let mut hasher = blake3::Hasher::new_derive_key("gannet keep stamp 1");
        for order in orders {
            hasher.update(order.keeper.as_bytes());
            hasher.update(&order.issued.as_unix_seconds().to_le_bytes());
        }
        let mut stamp = [0; 8];
        hasher.finalize_xof().fill(&mut stamp);
        u64::from_le_bytes(stamp).max(1)
    }

    /// Takes an order if it is signed, current, not released, and there is room.
    /// Returns whether anything is new. With `proven`, an order for another size
    /// than the one that is known is refused.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        order: &KeepOrder,
        calendar: &Calendar,
        (config, proven): (&Config, bool),
    ) -> Result<bool, RefusalReason> {
        let content = order.entry.content;
        let known = self.of(content);
        if known.contains(order) {
            return Ok(false);
        }
        let later =
            |other: &KeepOrder| other.keeper == order.keeper && other.issued >= order.issued;
        if known.iter().any(later) {
            return Ok(false);
        }
        if !calendar.is_current(now, order) {
            return Err(RefusalReason::Order);
        }
        if self.release_of(order).is_some() {
            return Err(RefusalReason::Released);
        }
        let sizes_differ = |other: &KeepOrder| other.entry.size != order.entry.size;
        let conflict = known.iter().any(sizes_differ);
        if (conflict && proven) || (known.is_empty() && self.wanted.len() >= config.contents_max) {
            return Err(RefusalReason::Busy);
        }
        if config.checks_signatures {
            self.budget.take(now, 1).map_err(|_| RefusalReason::Busy)?;
            order.verify_signed().map_err(|_| RefusalReason::Order)?;
        } else if order.check().is_err() {
            return Err(RefusalReason::Order);
        }
        let orders = self.wanted.entry(content).or_default();
        if conflict {
            orders.clear();
        }
        orders.retain(|other| other.keeper != order.keeper);
        orders.push(order.clone());
        // Those that end last stay, and everybody keeps the same ones.
        orders.sort_unstable_by_key(|order| (std::cmp::Reverse(order.expires), order.keeper));
        orders.truncate(ORDERS_OF_CONTENT_MAX);
        orders.sort_unstable_by_key(|order| order.keeper);
        Ok(orders.contains(order))
    }

    /// As [`Orders::admit`], for what this node wrote itself.
    pub(super) fn restore(&mut self, order: KeepOrder) {
        let orders = self.wanted.entry(order.entry.content).or_default();
        orders.retain(|other| other.keeper != order.keeper);
        orders.push(order);
        orders.sort_unstable_by_key(|order| order.keeper);
    }

    /// The release that ends this order, if there is one.
    pub(super) fn release_of(&self, order: &KeepOrder) -> Option<&KeepRelease> {
        let known = self.releases.get(&(order.entry.content, order.keeper))?;
        known.release.ends(order).then_some(&known.release)
    }

    /// The releases for a content.
    pub(super) fn releases_of(&self, content: ContentId) -> impl Iterator<Item = &KeepRelease> {
        let first = PeerId::from_bytes([0; 32]);
        let last = PeerId::from_bytes([0xff; 32]);
        let known = self.releases.range((content, first)..=(content, last));
        known.map(|(_, known)| &known.release)
    }

    /// Whether a release is signed and new, and may be remembered.
    pub(super) fn accepts(
        &mut self,
        now: Timestamp,
        release: &KeepRelease,
        config: &Config,
    ) -> bool {
        let id = (release.content, release.keeper);
        let newer = |known: &Remembered| known.release.issued >= release.issued;
        if self.releases.get(&id).is_some_and(newer) {
            return false;
        }
        // What ends nothing that is known here may not push out what did.
        let ends = self
            .of(release.content)
            .iter()
            .any(|order| release.ends(order));
        let is_full = self.releases.len() >= config.releases_max;
        if is_full && !ends && !self.releases.contains_key(&id) {
            return false;
        }
        if config.checks_signatures
            && (self.budget.take(now, 1).is_err() || release.verify().is_err())
        {
            return false;
        }
        if is_full && !self.releases.contains_key(&id) {
            self.forget_one();
        }
        true
    }

    /// Whether somebody wants the content for whom this release is of no account.
    pub(super) fn is_wanted_beyond(&self, release: &KeepRelease) -> bool {
        let mut orders = self.of(release.content).iter();
        orders.any(|order| !release.ends(order))
    }

    /// Obeys a release, and remembers it for these blocks.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        release: &KeepRelease,
        blocks: Vec<u32>,
        own_clock: Option<WallTime>,
    ) {
        let mut ended = self.of(release.content).iter();
        let ended = ended.find(|order| release.ends(order));
        let until = ended.map(|order| order.expires).unwrap_or_else(|| {
            let since = own_clock.unwrap_or(release.issued);
            since.plus_seconds(RELEASE_SECONDS)
        });
        let remembered = Remembered {
            release: release.clone(),
            until,
            blocks,
            announce: (now, 0),
        };
        self.releases
            .insert((release.content, release.keeper), remembered);
        if let Some(orders) = self.wanted.get_mut(&release.content) {
            orders.retain(|order| !release.ends(order));
        }
        self.forget_unwanted();
    }

    fn forget_one(&mut self) {
        let soonest = self.releases.iter().min_by_key(|(_, known)| known.until);
        if let Some(id) = soonest.map(|(id, _)| *id) {
            self.releases.remove(&id);
        }
    }

    /// Contents that nobody wants any more, for all orders are over.
    pub(super) fn over(&self, now: Timestamp, calendar: &Calendar) -> Vec<ContentId> {
        let over = |orders: &Vec<KeepOrder>| {
            let mut orders = orders.iter();
            orders.all(|order| calendar.is_over(now, order))
        };
        let wanted = self.wanted.iter().filter(|(_, orders)| over(orders));
        wanted.map(|(content, _)| *content).collect()
    }

    /// Forgets what is over, and orders for contents that nobody here has to do with.
    pub(super) fn clean(
        &mut self,
        now: Timestamp,
        calendar: &Calendar,
        is_used: impl Fn(ContentId) -> bool,
    ) {
        self.wanted.retain(|content, orders| {
            orders.retain(|order| !calendar.is_over(now, order));
            is_used(*content)
        });
        self.forget_unwanted();
        let own = calendar.own(now);
        self.releases
            .retain(|_, known| own.is_none_or(|own| known.until >= own));
    }

    fn forget_unwanted(&mut self) {
        self.wanted.retain(|_, orders| !orders.is_empty());
    }
}
