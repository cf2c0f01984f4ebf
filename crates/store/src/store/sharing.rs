//! Adding, removing and scanning shares.

use std::collections::BTreeMap;

use super::*;
use crate::deny;

/// Records that are removed in one commit.
const REMOVE_BATCH: usize = 4_096;

impl Inner {
    fn shares_path(&self) -> PathBuf {
        self.data_dir.join("shares")
    }

    /// Changes the list of shares and saves it; nothing changes if it cannot
    /// be saved.
    fn change_shares<T>(&self, change: impl FnOnce(&mut Shares) -> T) -> Result<T, CatalogueError> {
        let _sharing = self.sharing.lock().expect("no holder panicked");
        let mut shares = self.with_shares(Clone::clone);
        let result = change(&mut shares);
        shares.save(&self.shares_path()).map_err(redb::Error::Io)?;
        *self.shares.write().expect("no holder of shares panicked") = shares;
        Ok(result)
    }

    pub(super) fn available_names(&self) -> BTreeMap<ShareId, String> {
        self.with_shares(|shares| {
            let mut names = shares.names();
            names.retain(|id, _| {
                shares
                    .get(*id)
                    .is_some_and(|share| share.unavailable.is_none())
            });
            names
        })
    }

    fn info(&self, share: &Share) -> Result<ShareInfo, CatalogueError> {
        let (files, bytes) = self.catalogue.counts(share.id)?;
        Ok(ShareInfo {
            path: share.root(),
            name: share.name.clone(),
            files,
            bytes,
            state: match &share.unavailable {
                None => ShareState::Available,
                Some(reason) => ShareState::Unavailable {
                    reason: reason.clone(),
                },
            },
        })
    }

    pub(super) fn share_infos(&self) -> Result<Vec<ShareInfo>, CatalogueError> {
        let shares = self.with_shares(|shares| shares.list.clone());
        shares.iter().map(|share| self.info(share)).collect()
    }

    pub(super) fn add_share(&self, path: &Path, forced: bool) -> Result<ShareInfo, ShareError> {
        let (root, kind, ino) = share::check_root(path, forced, &self.data_dir)?;
        let share = self.change_shares(|shares| {
            let same = shares
                .list
                .iter()
                .find(|share| share.kind != ShareKind::Downloads && share.root() == root);
            match same {
                Some(share) => Err(ShareError::AlreadyShared {
                    path: root.clone(),
                    name: share.name.clone(),
                }),
                None => Ok(shares.add(&root, kind, ino)),
            }
        })??;
        Ok(self.info(&share)?)
    }

    pub(super) fn remove_share(
        &self,
        path: &Path,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ShareInfo, ShareError> {
        // A share whose folder is gone has no canonical path any more.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let canonical = path.canonicalize().unwrap_or_else(|_| absolute.clone());
        let find = |shares: &Shares| {
            let mut list = shares.list.iter();
            list.find(|share| share.root() == canonical || share.root() == absolute)
                .cloned()
        };
        let Some(share) = self.with_shares(find) else {
            return Err(ShareError::NotShared {
                path: path.to_owned(),
            });
        };
        let info = self.info(&share)?;
        self.remove_records(&share, sink)?;
        self.change_shares(|shares| shares.list.retain(|other| other.id != share.id))?;
        Ok(info)
    }

    fn remove_records(
        &self,
        share: &Share,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<(), CatalogueError> {
        let tells = share.unavailable.is_none();
        self.clear_share(share.id, &mut |effects| {
            let gone = effects.iter().filter_map(|effect| match effect {
                Effect::Removed(place, record) => Some(ShareChange::Removed {
                    content: record.content,
                    path: share::display_path(&share.name, &place.path),
                }),
                Effect::Added(..) => None,
            });
            if tells {
                sink(gone.collect());
            }
        })
    }

    fn clear_share(
        &self,
        share: ShareId,
        tell: &mut dyn FnMut(&[Effect]),
    ) -> Result<(), CatalogueError> {
        let mut orphans = Vec::new();
        loop {
            let mut batch = Vec::new();
            for item in self.catalogue.snapshot()?.share(share)?.take(REMOVE_BATCH) {
                batch.push(Change::Remove(item?.0, None));
            }
            if batch.is_empty() {
                break;
            }
            let applied = self.catalogue.apply(&batch)?;
            tell(&applied.effects);
            orphans.extend(applied.orphans);
        }
        let snapshot = self.catalogue.snapshot()?;
        self.outboards
            .sweep(orphans, |content| snapshot.holds(content))
    }

    /// Marks a share as not there, or there again. Returns whether it was
    /// available before.
    pub(crate) fn set_unavailable(
        &self,
        id: ShareId,
        reason: Option<String>,
        root_ino: Option<u64>,
    ) -> Result<bool, CatalogueError> {
        self.change_shares(|shares| {
            let Some(share) = shares.list.iter_mut().find(|share| share.id == id) else {
                return false;
            };
            let was_available = share.unavailable.is_none();
            share.unavailable = reason;
            share.root_ino = root_ino.unwrap_or(share.root_ino);
            was_available
        })
    }

    pub(super) fn scan(
        &self,
        control: &ScanControl,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ScanSummary, ScanError> {
        let _scanning = self.scanning.lock().expect("no scan panicked");
        let shares = self.with_shares(|shares| shares.list.clone());
        let scopes: Vec<_> = shares
            .into_iter()
            .map(|share| Scope {
                share,
                path: Vec::new(),
            })
            .collect();
        let summary = scan::run(self, &scopes, control, sink)?;
        if !summary.cancelled {
            self.tidy()?;
        }
        Ok(summary)
    }

    /// Removes what a kill may have left: records of shares that are no more,
    /// outboards of contents that are no more.
    fn tidy(&self) -> Result<(), ScanError> {
        for share in self.catalogue.snapshot()?.shares()? {
            if self.with_shares(|shares| shares.get(share).is_none()) {
                self.clear_share(share, &mut |_| {})?;
            }
        }
        let contents = self
            .outboards
            .contents()
            .map_err(|source| ScanError::Outboard {
                path: self.outboards.dir().to_owned(),
                source,
            })?;
        let snapshot = self.catalogue.snapshot()?;
        self.outboards
            .sweep(contents, |content| snapshot.holds(content))?;
        Ok(())
    }

    pub(crate) fn scan_paths(
        &self,
        paths: &[PathBuf],
        control: &ScanControl,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ScanSummary, ScanError> {
        let _scanning = self.scanning.lock().expect("no scan panicked");
        let scopes: Vec<_> = self.with_shares(|shares| {
            let scopes = paths.iter().flat_map(|path| scopes_of(shares, path));
            scopes.collect()
        });
        scan::run(self, &scopes, control, sink)
    }

    pub(super) fn link_target(&self, path: &Path) -> Result<FileEntry, LinkError> {
        let unreadable = |source| LinkError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let not_shared = || LinkError::NotShared {
            path: path.to_owned(),
        };
        let full = path.canonicalize().map_err(unreadable)?;
        let (share, below) = self.share_of(&full).ok_or_else(not_shared)?;
        let root = Arc::new(Root::open(&share).map_err(unreadable)?);
        let open = root.open_file(&below).map_err(unreadable)?;
        let place = Place::new(share.id, below);
        let known = self.catalogue.snapshot()?.record(&place)?;
        let record = match known.filter(|record| record.stamp == open.stamp) {
            Some(record) => record,
            None => {
                let candidate = Candidate {
                    stamp: open.stamp,
                    full,
                    place: place.clone(),
                    root,
                };
                self.hash_now(&candidate).map_err(|error| match error {
                    Unhashed::File(error) => unreadable(error),
                    Unhashed::Stopped => unreadable(io::ErrorKind::Interrupted.into()),
                    Unhashed::Outboard(error) => LinkError::Scan(error),
                })?
            }
        };
        Ok(share::entry(&share.name, &place.path, record))
    }

    /// The share of a file that may be shared, and its path below the root.
    pub(crate) fn share_of(&self, full: &Path) -> Option<(Share, Vec<u8>)> {
        let share = self.with_shares(|shares| match shares.holding(full) {
            Some(share) => Some(share.clone()),
            None => shares.get(DOWNLOADS_SHARE).cloned(),
        })?;
        let below = share.relative(full)?;
        if share.kind == ShareKind::Downloads {
            let place = Place::new(share.id, below.clone());
            self.catalogue.snapshot().ok()?.record(&place).ok()??;
        }
        let hidden = self.config.share_hidden;
        let mut parts: Vec<_> = below.split(|byte| *byte == b'/').collect();
        let name = parts.pop().filter(|name| !name.is_empty());
        let denied = parts
            .iter()
            .any(|part| deny::folder(part, hidden).is_some())
            || name.is_some_and(|name| deny::file(name, hidden).is_some());
        (!denied && !full.starts_with(&self.data_dir)).then_some((share, below))
    }

    /// Hashes and commits one file in this thread.
    fn hash_now(&self, candidate: &Candidate) -> Result<FileRecord, Unhashed> {
        let (control, stop) = (
            ScanControl::new(),
            std::sync::atomic::AtomicBool::new(false),
        );
        let pace = Paced::new(&control, &stop, None);
        let record = hash_candidate(&self.outboards, candidate, Some(self.pool()), &pace)?;
        let put = Change::Put(candidate.place.clone(), record.clone());
        let applied = self.catalogue.apply(&[put]);
        self.outboards.unpin(record.content);
        for effect in applied
            .map_err(|error| Unhashed::Outboard(error.into()))?
            .effects
        {
            if let (Effect::Removed(..), Some(ShareChange::Removed { content, path })) =
                (&effect, self.shown(&effect))
            {
                self.tell(StoreEvent::Withdrawn { content, path });
            }
        }
        Ok(record)
    }
}

/// The parts of shares at and under a path.
fn scopes_of(shares: &Shares, path: &Path) -> Vec<Scope> {
    // The path may be gone, or a link: its folder says where it really is.
    let full = match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    };
    let mut scopes: Vec<_> = shares
        .list
        .iter()
        .filter(|share| share.root().starts_with(&full))
        .map(|share| Scope {
            share: share.clone(),
            path: Vec::new(),
        })
        .collect();
    if let Some(share) = shares.holding(&full)
        && let Some(below) = share.relative(&full).filter(|below| !below.is_empty())
    {
        scopes.push(Scope {
            share: share.clone(),
            path: below,
        });
    }
    // Finished downloads are few and looked at one by one.
    let downloads = shares.get(DOWNLOADS_SHARE);
    scopes.extend(
        downloads
            .filter(|share| full != share.root() && full.starts_with(share.root()))
            .map(|share| Scope {
                share: share.clone(),
                path: Vec::new(),
            }),
    );
    scopes
}

impl Inner {
    /// Takes a finished download in: it is shared from now on.
    pub(crate) fn adopt(
        &self,
        content: ContentId,
        path: PathBuf,
    ) -> Result<Finished, DownloadError> {
        let failed = |source| DownloadError::Io {
            path: path.clone(),
            source,
        };
        let full = path.canonicalize().map_err(failed)?;
        let share = match self.share_of(&full) {
            Some((share, _)) if share.kind != ShareKind::Downloads => share,
            _ => self.downloads_share(crate::backend::parent(&full))?,
        };
        let below = share.relative(&full).unwrap_or_default();
        let root = Root::open(&share).map_err(failed)?;
        let open = root.open_file(&below).map_err(failed)?;
        let record = FileRecord {
            content,
            stamp: open.stamp,
            // What a stranger has just sent is not parsed.
            media: gannet_base::Media::default(),
        };
        let outboard = self.downloads.outboard(content);
        let pinned = if open.stamp.size > gannet_base::GROUP_BYTES {
            self.outboards.place_file(&outboard, content)
        } else {
            self.outboards.pin(content);
            let _ = fs::remove_file(&outboard);
            Ok(())
        };
        pinned.map_err(|source| DownloadError::Io {
            path: outboard,
            source,
        })?;
        let place = Place::new(share.id, below);
        let applied = self
            .catalogue
            .apply(&[Change::Put(place.clone(), record.clone())]);
        self.outboards.unpin(content);
        applied?;
        self.downloads.close(content);
        Ok(Finished {
            entry: share::entry(&share.name, &place.path, record),
            path,
        })
    }

    /// The share of finished downloads, in this download folder.
    pub(crate) fn downloads_share(&self, dir: &Path) -> Result<Share, CatalogueError> {
        let known = self.with_shares(|shares| shares.get(DOWNLOADS_SHARE).cloned());
        match known {
            Some(share) if share.root() == dir => Ok(share),
            // The download folder is another one now; the entries of the old
            // one go with the next scan.
            _ => self.change_shares(|shares| {
                shares.list.retain(|share| share.id != DOWNLOADS_SHARE);
                shares.add(dir, ShareKind::Downloads, 0)
            }),
        }
    }
}
