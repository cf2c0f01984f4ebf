//! Folders as the user sees them: one download each.

use std::collections::BTreeMap;

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, PeerId};
use gannet_swarm::WaitReason;

use super::{Folder, Phase};
use crate::api::{DownloadInfo, DownloadSource, DownloadState, NodeEvent};
use crate::driver::Driver;
use crate::driver::downloads::Item;
use crate::driver::page::pieces;

/// Missing files that are named.
const NAMES_MAX: usize = 3;

impl Driver {
    /// Notes how a folder is, and tells of it if that is another than before.
    pub(in crate::driver) fn refresh_folder(&mut self, id: ContentId) {
        let Some(folder) = self.folders.list.get(&id) else {
            return;
        };
        if folder.path.is_some() {
            return;
        }
        let (state, reason) = self.folder_state(folder);
        let now = self.now();
        let Some(folder) = self.folders.list.get_mut(&id) else {
            return;
        };
        let changed = folder.state != state || folder.reason != reason;
        folder.state = state;
        folder.reason.clone_from(&reason);
        if state == DownloadState::Failed {
            folder.ended.get_or_insert(now);
        }
        let number = folder.number;
        if changed {
            self.tell(NodeEvent::DownloadChanged {
                number,
                state,
                reason,
            });
        }
    }

    fn folder_state(&self, folder: &Folder) -> (DownloadState, Option<String>) {
        if let Phase::Failed(reason) = folder.gather.phase() {
            return (DownloadState::Failed, Some(reason.clone()));
        }
        if folder.gather.is_paused() {
            return (DownloadState::Paused, None);
        }
        if folder.gather.is_full() {
            let reason = format!(
                "the disk with {} is full; make room, it goes on by itself",
                self.config.download_dir.display()
            );
            return (DownloadState::DiskFull, Some(reason));
        }
        let items = folder.running.keys();
        let items: Vec<&Item> = items
            .filter_map(|content| self.list.items.get(content))
            .collect();
        let is = |state| items.iter().find(|item| item.state == state);
        if folder.gather.is_busy() || is(DownloadState::Active).is_some() {
            return (DownloadState::Active, None);
        }
        for state in [DownloadState::DiskFull, DownloadState::Failed] {
            if let Some(item) = is(state) {
                return (state, item.reason.clone());
            }
        }
        let waiting = is(DownloadState::Waiting);
        let reason = waiting.and_then(|item| item.reason.clone());
        let missing = waiting
            .filter(|item| item.why == Some(WaitReason::NothingOffered))
            .and_then(|item| missing(folder, item));
        let reason = match (reason, missing) {
            (Some(reason), Some(missing)) => Some(format!("{reason}; {missing}")),
            (reason, _) => reason,
        };
        (DownloadState::Waiting, reason)
    }

    /// Folders of which bytes are coming.
    pub(in crate::driver) fn active_folders(&self) -> usize {
        let folders = self.folders.list.values();
        folders
            .filter(|folder| folder.state == DownloadState::Active)
            .count()
    }

    /// A folder for display.
    pub(in crate::driver) fn folder_info(&self, id: ContentId) -> Option<DownloadInfo> {
        let now = self.now();
        let folder = self.folders.list.get(&id)?;
        let manifest = folder.download.manifest();
        let size = manifest.as_ref().map(|manifest| manifest.bytes());
        let size = size.or(folder.size_hint);
        let running = |content: &ContentId| self.list.items.get(content);
        let parts = folder.running.iter().filter(|(_, part)| part.is_some());
        let items = parts.filter_map(|(content, _)| running(content));
        let coming: u64 = items
            .map(|item| item.size.map_or(0, |size| item.have.bytes(size)))
            .sum();
        let have_bytes = match (folder.path.is_some(), size) {
            (true, Some(size)) => size,
            _ => folder.stored_bytes + coming,
        };
        let statuses = folder.running.keys();
        let rate = statuses
            .filter_map(|content| self.downloads.status(now, *content))
            .map(|status| status.rate_bytes_per_second)
            .sum();
        let received = folder.running.keys().filter_map(running);
        let received: u64 = received.map(|item| item.received_bytes).sum();
        let left = size.map(|size| size.saturating_sub(have_bytes));
        Some(DownloadInfo {
            number: folder.number,
            content: id,
            name: folder.download.name(),
            size,
            files: Some(manifest.map_or(0, |manifest| manifest.files().len() as u64)),
            have_bytes,
            received_bytes: folder.received_bytes + received,
            pieces: self.folder_pieces(folder),
            priority: folder.priority,
            state: folder.state,
            reason: folder.reason.clone(),
            bytes_per_second: rate,
            seconds_left: left.filter(|_| rate > 0).map(|left| left.div_ceil(rate)),
            sources: self.folder_sources(folder),
            path: folder.path.clone(),
            elapsed_ms: u64::try_from((folder.ended.unwrap_or(now) - folder.started).as_millis())
                .unwrap_or(u64::MAX),
        })
    }

    /// How much of each 64th is here, the parts one behind the other.
    fn folder_pieces(&self, folder: &Folder) -> String {
        let Some(manifest) = folder.download.manifest() else {
            return String::new();
        };
        let mut have = GroupSet::new();
        let mut start = 0;
        for (number, part) in manifest.parts().iter().enumerate() {
            let groups = part.size.div_ceil(GROUP_BYTES);
            if folder.path.is_some() || folder.gather.is_stored(number) {
                have.insert(GroupRange::new(start, start + groups));
            } else if folder.running.get(&part.content) == Some(&Some(number))
                && let Some(item) = self.list.items.get(&part.content)
            {
                for run in item.have.runs() {
                    have.insert(GroupRange::new(start + run.start, start + run.end));
                }
            }
            start += groups;
        }
        if start == 0 {
            // Nothing but empty files.
            return pieces(&GroupSet::whole(1), 1);
        }
        pieces(&have, start * GROUP_BYTES)
    }

    /// Who sends what of it, and who has sent some.
    fn folder_sources(&self, folder: &Folder) -> Vec<DownloadSource> {
        let mut sources: BTreeMap<PeerId, DownloadSource> = BTreeMap::new();
        for content in folder.running.keys() {
            for source in self.sources_of(*content) {
                match sources.get_mut(&source.peer) {
                    None => drop(sources.insert(source.peer, source)),
                    Some(known) => {
                        known.bytes += source.bytes;
                        known.bytes_per_second += source.bytes_per_second;
                        if source.bytes_per_second > 0 || known.state == "spare" {
                            known.state = source.state;
                            known.reason = source.reason;
                            known.queue_position = source.queue_position;
                        }
                    }
                }
            }
        }
        for (peer, bytes) in &folder.senders {
            let idle = || DownloadSource {
                peer: *peer,
                state: "ready".to_owned(),
                queue_position: None,
                bytes_per_second: 0,
                bytes: 0,
                reason: None,
            };
            sources.entry(*peer).or_insert_with(idle).bytes += bytes;
        }
        sources.into_values().collect()
    }
}

/// Which files of a pack nobody offers.
fn missing(folder: &Folder, item: &Item) -> Option<String> {
    let manifest = folder.download.manifest()?;
    let content = item.download.as_ref()?.content();
    let number = folder.running.get(&content).copied().flatten()?;
    let part = &manifest.parts()[number];
    let mut names = Vec::new();
    let (mut start, mut files) = (0, 0_usize);
    for file in manifest.files_of(part) {
        let groups = GroupRange::new(
            start / GROUP_BYTES,
            (start + file.size).div_ceil(GROUP_BYTES),
        );
        start += file.size;
        if !item.have.contains_range(groups) {
            files += 1;
            if names.len() < NAMES_MAX {
                names.push(file.path.as_str());
            }
        }
    }
    let more = match files.saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (files > 0).then(|| {
        format!(
            "files that have changed or are gone at the source, or lie beside such: {}{more}",
            names.join(", ")
        )
    })
}
