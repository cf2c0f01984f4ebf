//! Sources of downloads: when more are looked for, and whose word it was that
//! there are some.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gannet_base::{ContentId, PeerId, Row, Timestamp};
use gannet_overlay::supernode::SupernodeCommand;
use gannet_swarm::{DropReason, RefusedReason};

use super::Driver;
use super::downloads::Item;
use crate::api::DownloadState;

/// First pause between two looks for more sources of a download that runs;
/// doubles up to [`LOOK_MAX`].
// Guess: whoever has it joins within seconds or not soon.
const LOOK_MIN: Duration = Duration::from_secs(5);
/// Longest such pause.
// Guess: a few questions an hour for each download.
const LOOK_MAX: Duration = Duration::from_secs(300);
/// How soon others are looked for when a source is gone, or a supernode that
/// names sources; but not more often than every [`LOOK_MIN`].
// Guess: what else is gone with it shows within that time.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// Looks in one tick: many downloads must not ask all at once.
// Guess: half of what a supernode answers a leaf.
const LOOKS_PER_TICK: usize = 5;
/// Sources with which a download looks for no more.
// Guess: half of what is used at once (32).
const SOURCES_ENOUGH: usize = 16;
/// Sources of which is known who named them.
// Guess: some screens of rows.
const NAMED_MAX: usize = 4_096;
/// Good sources of one supernode that count against dead ones, at most.
// Guess: half of all peers cannot reach each other; some luck evens out.
const CREDIT_MAX: u8 = 8;
/// Supernodes with such credit.
// Guess: each peer has to do with forty at most.
const CREDITED_MAX: usize = 256;

/// When more sources of one download are looked for.
#[derive(Debug)]
pub(super) struct Looks {
    /// The next time, while it runs.
    at: Timestamp,
    /// The pause after that.
    pause: Duration,
    /// The next time, also while it waits: something has changed.
    soon: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Looks {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            at: now + LOOK_MIN,
            pause: LOOK_MIN,
            soon: None,
            last: None,
        }
    }

    fn look_soon(&mut self, now: Timestamp) {
        let earliest = self.last.map_or(now, |last| last + LOOK_MIN);
        let soon = earliest.max(now + LOOK_SOON);
        self.pause = LOOK_MIN;
        self.soon = Some(self.soon.map_or(soon, |at| at.min(soon)));
    }

    fn is_due(&self, now: Timestamp, state: DownloadState) -> bool {
        let is_soon = self.soon.is_some_and(|at| at <= now);
        match state {
            DownloadState::Active => is_soon || self.at <= now,
            // The core asks by itself, ever more seldom.
            DownloadState::Waiting => is_soon,
            _ => false,
        }
    }

    fn on_look(&mut self, now: Timestamp) {
        self.at = now + self.pause;
        self.pause = (self.pause * 2).min(LOOK_MAX);
        self.soon = None;
        self.last = Some(now);
    }
}

impl Item {
    /// A source is gone: others are looked for soon.
    pub(super) fn look_soon(&mut self, now: Timestamp) {
        self.looks.look_soon(now);
    }
}

/// Who named sources, of those that supernodes named: they are held to it.
///
/// A source that is dead is no proof: it may have died just now, or be behind a
/// router that lets nobody in. So each that is good makes up for one that is not.
#[derive(Debug, Default)]
pub(crate) struct Named {
    by: BTreeMap<(ContentId, PeerId), (PeerId, u8)>,
    order: VecDeque<(ContentId, PeerId)>,
    credit: BTreeMap<PeerId, u8>,
}

impl Named {
    /// Notes what came by this way, with so many hops. The nearest word counts, the
    /// latest of those: that others repeat it is no excuse.
    pub(super) fn note(&mut self, rows: &[Row], (via, hops): (PeerId, u8)) {
        for row in rows {
            for hit in &row.hits {
                let key = (row.content, hit.holder());
                match self.by.entry(key) {
                    Entry::Vacant(free) => {
                        free.insert((via, hops));
                        self.order.push_back(key);
                    }
                    Entry::Occupied(mut known) if hops <= known.get().1 => {
                        known.insert((via, hops));
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        while self.order.len() > NAMED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by.remove(&oldest);
            }
        }
    }

    /// A source has sent something.
    fn praise(&mut self, content: ContentId, source: PeerId) {
        let Some((via, _)) = self.take(content, source) else {
            return;
        };
        if self.credit.len() >= CREDITED_MAX && !self.credit.contains_key(&via) {
            self.credit.pop_first();
        }
        let credit = self.credit.entry(via).or_default();
        *credit = credit.saturating_add(1).min(CREDIT_MAX);
    }

    /// A source is dead: who is to blame for it, if nothing makes up for it.
    fn blame(&mut self, content: ContentId, source: PeerId) -> Option<(PeerId, u8)> {
        let (via, hops) = self.take(content, source)?;
        match self.credit.get_mut(&via) {
            Some(credit) if *credit > 0 => {
                *credit -= 1;
                None
            }
            _ => Some((via, hops)),
        }
    }

    /// Who named this source; it counts once.
    fn take(&mut self, content: ContentId, source: PeerId) -> Option<(PeerId, u8)> {
        let key = (content, source);
        let found = self.by.remove(&key)?;
        self.order.retain(|known| *known != key);
        Some(found)
    }
}

impl Driver {
    /// Downloads look for more sources, less and less often, as long as they
    /// have fewer than are of use at once.
    pub(super) fn look_for_sources(&mut self) {
        let now = self.now();
        let mut wanting = Vec::new();
        for (content, item) in &mut self.list.items {
            if wanting.len() < LOOKS_PER_TICK && item.looks.is_due(now, item.state) {
                item.looks.on_look(now);
                wanting.push(*content);
            }
        }
        for content in wanting {
            let status = self.downloads.status(now, content);
            if status.is_some_and(|status| status.sources.len() < SOURCES_ENOUGH) {
                self.ask_for_sources(content);
            }
        }
    }

    /// Who names sources is gone, or is another one now.
    pub(super) fn look_for_sources_soon(&mut self) {
        let now = self.now();
        for item in self.list.items.values_mut() {
            item.look_soon(now);
        }
    }

    /// A source has sent something: good for who named it.
    pub(super) fn on_good_source(&mut self, content: ContentId, source: PeerId) {
        self.named.praise(content, source);
    }

    /// A source was asked and is of no use: if it has sent nothing, and a
    /// supernode named it, the core hears of that.
    pub(super) fn hold_to_account(
        &mut self,
        content: ContentId,
        source: PeerId,
        reason: DropReason,
    ) {
        let is_dead = matches!(
            reason,
            DropReason::Unreachable | DropReason::Refused(RefusedReason::NotShared)
        );
        if !is_dead {
            return;
        }
        let Some((via, hops)) = self.named.blame(content, source) else {
            return;
        };
        // Without a link to who named it, it may be this peer that is cut off.
        if self.links.is_up(via) {
            tracing::debug!(via = %via.short(), source = %source.short(), "named a dead source");
            self.supernode_command(SupernodeCommand::DeadSource { via, hops });
        }
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::SignatureBytes;
    use gannet_base::{FileEntry, Hit, Media, Publication, WallTime};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_loss_is_looked_into_soon_but_not_again_and_again() {
        let mut looks = Looks::new(at(0));
        assert!(!looks.is_due(at(4), DownloadState::Active));
        assert!(looks.is_due(at(5), DownloadState::Active));
        assert!(!looks.is_due(at(5), DownloadState::Waiting));
        looks.on_look(at(5));
        looks.look_soon(at(20));
        assert!(!looks.is_due(at(20), DownloadState::Waiting));
        assert!(looks.is_due(at(21), DownloadState::Waiting));
        assert!(!looks.is_due(at(21), DownloadState::Paused));
        looks.on_look(at(21));
        for second in 22..26 {
            looks.look_soon(at(second));
            assert!(!looks.is_due(at(second), DownloadState::Active));
        }
        assert!(looks.is_due(at(26), DownloadState::Active));
    }

    fn row(content: &str, holders: &[u8]) -> Row {
        let hit = |holder: &u8| Hit {
            publication: Publication {
                entry: FileEntry {
                    content: ContentId::of(content.as_bytes()),
                    size: 1,
                    path: content.to_owned(),
                    media: Media::default(),
                },
                holder: PeerId::from_bytes([*holder; 32]),
                expires: WallTime::from_unix_seconds(1),
                signature: SignatureBytes([0; 64]),
            },
        };
        Row {
            content: ContentId::of(content.as_bytes()),
            holders: u32::try_from(holders.len()).unwrap(),
            hits: holders.iter().map(hit).collect(),
        }
    }

    #[test]
    fn who_named_a_source_is_known_once_and_not_for_ever() {
        let mut named = Named::default();
        let via = |n: u8| (PeerId::from_bytes([n; 32]), 1);
        named.note(&[row("x", &[1, 2])], via(7));
        named.note(&[row("x", &[2])], via(8));
        let (further, _) = via(9);
        named.note(&[row("x", &[1, 2])], (further, 2));
        let x = ContentId::of(b"x");
        let source = |n: u8| PeerId::from_bytes([n; 32]);
        assert_eq!(named.take(x, source(1)), Some(via(7)));
        assert_eq!(named.take(x, source(1)), None, "it counts once");
        assert_eq!(
            named.take(x, source(2)),
            Some(via(8)),
            "the latest of the nearest"
        );
        assert_eq!(named.order.len(), 0);
        named.note(&[row("x", &[1, 2, 3, 4])], via(7));
        named.praise(x, source(1));
        named.praise(x, source(1));
        assert_eq!(named.blame(x, source(2)), None, "one was good");
        assert_eq!(named.blame(x, source(3)), Some(via(7)));
        assert_eq!(named.blame(x, source(3)), None, "it counts once");
        assert_eq!(named.blame(x, source(4)), Some(via(7)));
        for n in 0..NAMED_MAX + 10 {
            named.note(&[row(&n.to_string(), &[1])], via(7));
        }
        assert_eq!((named.by.len(), named.order.len()), (NAMED_MAX, NAMED_MAX));
        assert_eq!(named.take(ContentId::of(b"0"), source(1)), None);
        assert_eq!(named.take(ContentId::of(b"10"), source(1)), Some(via(7)));
    }
}
