//! What is shared, as others find it: the own index, signatures, and what
//! hubs, supernodes and the ring are told.
//!
//! Whoever searches checks signatures, so an entry of the own index needs none
//! until an answer names it. Those that others register are signed in the
//! scanner's thread.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, Core as _, FileEntry, PeerId, Publication, Row, WallTime};
use gannet_index::{Index, Inserted};
use gannet_overlay::dht::DhtCommand;
use gannet_overlay::hub::HubClientCommand;
use gannet_overlay::supernode::SupernodeCommand;

use super::Driver;
use crate::api::ScanProgress;
use crate::clock::wall_time;
use crate::report::SharedChange;
use crate::scanner::{Finding, Order, Scanner, sign_at};

/// Ticks until everything that is registered is signed anew.
const RENEW_TICKS: u64 = Publication::LIFE_SECONDS_MAX / 2;
/// What lives no longer than this is signed anew before it is given as an
/// answer.
const ANSWER_LIFE_SECONDS: u64 = Publication::LIFE_SECONDS_MAX / 4;
/// Expiry of what is not signed.
const UNSIGNED: WallTime = WallTime::from_unix_seconds(0);

/// How far the own files are known.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    /// While the catalogue is being read: what was withdrawn meanwhile, which
    /// may yet come out of it.
    loading: Option<BTreeSet<(ContentId, String)>>,
    /// The first scan waits until the shares are watched: what changes before
    /// is seen by it, what changes after is told.
    scan_waits: bool,
    /// The user was told that some supernode takes not all.
    pub(super) told_excess: bool,
}

impl Publishing {
    /// Whether files that were shared before this peer started are not all
    /// found yet.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some()
    }
}

impl Driver {
    /// Everything that is known of the own files is found and registered; then
    /// it is checked.
    pub(super) fn begin_shares(&mut self) {
        let Some(scanner) = &self.scanner else { return };
        self.tally.publishing.loading = Some(BTreeSet::new());
        self.tally.on_shares_changed(&self.store);
        let files = usize::try_from(self.tally.shared.0).unwrap_or(usize::MAX);
        self.own.reserve(self.peer, files);
        self.tally.publishing.scan_waits = files > 0;
        // They fit: the queue is empty.
        let _ = scanner.order(Order::Load);
        let _ = scanner.order(Order::Sign);
        if files == 0 {
            // There is nothing to find before; hashing takes long enough.
            let _ = scanner.order(Order::Scan);
            self.watch();
        }
    }

    /// The shares are watched, or cannot be.
    pub(super) fn begin_scan(&mut self) {
        let waited = std::mem::take(&mut self.tally.publishing.scan_waits);
        if let Some(scanner) = self.scanner.as_ref().filter(|_| waited) {
            self.tally.scan_missed |= !scanner.order(Order::Scan);
        }
    }

    /// How far the scan is that runs or is about to.
    pub(super) fn scan_progress(&self) -> Option<ScanProgress> {
        let running = self.scanner.as_ref().and_then(Scanner::progress);
        let waits = self.tally.publishing.scan_waits;
        running.or_else(|| waits.then(ScanProgress::default))
    }

    pub(super) fn on_finding(&mut self, finding: Finding) {
        match finding {
            Finding::Loaded(files) => self.on_loaded(files),
            Finding::LoadEnd => {
                self.tally.publishing.loading = None;
                if self.tally.publishing.scan_waits {
                    self.watch();
                }
            }
            Finding::Signed(publications) => self.on_signed(publications),
            Finding::Changed(changes) => self.on_shares(changes),
            Finding::Scanned(summary) => self.on_scanned(summary),
        }
    }

    fn on_loaded(&mut self, files: Vec<FileEntry>) {
        let withdrawn = self.tally.publishing.loading.take().unwrap_or_default();
        for file in files {
            let is_gone =
                !withdrawn.is_empty() && withdrawn.contains(&(file.content, file.path.clone()));
            if !is_gone {
                self.find_here(unsigned(file, self.peer));
            }
        }
        self.tally.publishing.loading = Some(withdrawn);
        self.on_own_changed();
    }

    /// Files that are in the own index, if nobody withdrew them meanwhile.
    fn on_signed(&mut self, mut publications: Vec<Publication>) {
        publications.retain(|publication| self.own.renew(publication));
        self.announce_changes(publications, Vec::new());
    }

    /// Takes changes of the shares into the own index and tells others of them.
    pub(super) fn on_shares(&mut self, changes: Vec<SharedChange>) {
        let (mut published, mut withdrawn) = (Vec::new(), Vec::new());
        for change in changes {
            self.collect_change(change, &mut published, &mut withdrawn);
        }
        self.announce_changes(published, withdrawn);
    }

    /// Takes one change into the own index, for others to be told of all
    /// changes together.
    fn collect_change(
        &mut self,
        change: SharedChange,
        published: &mut Vec<Publication>,
        withdrawn: &mut Vec<(ContentId, String)>,
    ) {
        self.on_own_changed();
        match change {
            SharedChange::Published(publication) => {
                // What was withdrawn and comes back within one batch must end as
                // published.
                let key = (publication.entry.content, publication.entry.path.as_str());
                withdrawn.retain(|(content, path)| (*content, path.as_str()) != key);
                published.push(self.find_here(*publication));
            }
            SharedChange::Found(entry) => {
                self.find_here(unsigned(*entry, self.peer));
            }
            SharedChange::Withdrawn(content, path) => {
                published.retain(|publication| {
                    publication.entry.content != content || publication.entry.path != path
                });
                self.own.remove(self.peer, content, &path);
                if self.own.holders(content, 1).is_none() {
                    self.withdraw_content(content);
                }
                if let Some(loading) = &mut self.tally.publishing.loading {
                    loading.insert((content, path.clone()));
                }
                withdrawn.push((content, path));
            }
        }
    }

    fn find_here(&mut self, publication: Publication) -> Publication {
        if let Inserted::Refused(reason) = self.own.insert(&publication) {
            let path = &publication.entry.path;
            tracing::debug!(path, ?reason, "not in the own index");
        }
        publication
    }

    /// Tells hubs, supernodes and the ring what is shared from now on, and what no more.
    pub(super) fn announce_changes(
        &mut self,
        published: Vec<Publication>,
        withdrawn: Vec<(ContentId, String)>,
    ) {
        let now = self.now();
        let has_hubs = !self.config.hubs.is_empty();
        if !withdrawn.is_empty() {
            if has_hubs {
                let command = HubClientCommand::Withdraw(withdrawn.clone());
                self.hub_client.handle_command(now, command);
            }
            self.supernode_command(SupernodeCommand::Withdraw(withdrawn.clone()));
            self.dht_command(DhtCommand::Withdraw(withdrawn));
        }
        if !published.is_empty() {
            if has_hubs {
                let command = HubClientCommand::Publish(published.clone());
                self.hub_client.handle_command(now, command);
            }
            self.supernode_command(SupernodeCommand::Publish(published.clone()));
            self.dht_command(DhtCommand::Publish(published));
        }
    }

    pub(super) fn tick_publishing(&self) {
        if !self.ticks.is_multiple_of(RENEW_TICKS) {
            return;
        }
        self.renew_folders();
        if let Some(scanner) = &self.scanner
            && !scanner.order(Order::Sign)
        {
            tracing::warn!("publications were not renewed: the scanner is busy");
        }
    }

    /// Signs what an answer from the own index names, as far as that was not
    /// done lately.
    pub(super) fn sign_answer(&mut self, rows: &mut [Row]) {
        sign_rows(&mut self.own, &self.key, wall_time(), rows);
    }
}

/// Signs what ends soon or is not signed, and notes the signatures in the index
/// that the rows are from.
fn sign_rows(own: &mut Index, key: &SigningKey, now: WallTime, rows: &mut [Row]) {
    let good_until = now.plus_seconds(ANSWER_LIFE_SECONDS);
    for hit in rows.iter_mut().flat_map(|row| &mut row.hits) {
        if hit.publication.expires < good_until {
            hit.publication = sign_at(now, hit.publication.entry.clone(), key);
            own.renew(&hit.publication);
        }
    }
}

/// For the own index alone: nobody else would believe it.
fn unsigned(entry: FileEntry, holder: PeerId) -> Publication {
    Publication {
        entry,
        holder,
        expires: UNSIGNED,
        signature: SignatureBytes([0; 64]),
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::{Media, Query};
    use gannet_index::{Config, Expression, Page};

    use super::*;

    const DAY: u64 = 24 * 3_600;

    fn rows(index: &Index) -> Vec<Row> {
        let expression = Expression::parse(&Query::new("hello").unwrap()).unwrap();
        index.search(&expression, Page::default()).rows
    }

    /// What is answered at this time.
    fn answer(index: &mut Index, key: &SigningKey, now: WallTime) -> Publication {
        let mut rows = rows(index);
        sign_rows(index, key, now, &mut rows);
        assert_eq!(rows.len(), 1);
        let publication = rows[0].hits[0].publication.clone();
        assert_eq!(publication.verify(now), Ok(()));
        publication
    }

    #[test]
    fn answers_are_signed_when_they_are_given_and_again_before_they_end() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let holder = PeerId::from_bytes(key.verifying_key().to_bytes());
        let entry = FileEntry {
            content: ContentId::of(b"hello"),
            size: 5,
            path: "share/hello.txt".to_owned(),
            media: Media::default(),
        };
        let start = WallTime::from_unix_seconds(1_000_000_000);
        let mut index = Index::new(Config::default());
        assert_eq!(index.insert(&unsigned(entry, holder)), Inserted::New);
        let not_signed = &rows(&index)[0].hits[0].publication;
        assert!(not_signed.verify(start).is_err());

        let first = answer(&mut index, &key, start);
        assert_eq!(rows(&index)[0].hits[0].publication, first, "remembered");
        assert_eq!(answer(&mut index, &key, start.plus_seconds(5 * DAY)), first);
        let late = start.plus_seconds(6 * DAY);
        let second = answer(&mut index, &key, late);
        assert_eq!(
            second.expires,
            late.plus_seconds(Publication::LIFE_SECONDS_MAX)
        );
        assert_eq!(index.len(), 1);
    }
}
