//! Keeping files: what the core wants held, listed, proved and remembered. Fetching it
//! is in `fetch`, what the user asks for in `user`.

mod fetch;
mod user;

use std::time::Duration;

use gannet_base::{BlockId, ContentId, Core as _, FileEntry, GroupRange, PeerId};
use gannet_overlay::dht::DhtCommand;
use gannet_overlay::dht::keep::{KeepCommand, KeepEvent, KeepStatus};
use gannet_swarm::{DownloadCommand, Have};

use super::Driver;
use crate::api::{KeepingInfo, NodeEvent};
use crate::keeping::{Job, Listed, Restored, Stage, listed_entry};
use crate::report::KeptNews;
use crate::scanner::sign;

/// How old a listing may become before it is signed anew: half of its life.
const RELIST_AFTER: Duration = Duration::from_secs(gannet_base::Publication::LIFE_SECONDS_MAX / 2);
/// Ticks between looks for listings that are old.
const RELIST_TICKS: u64 = 60;
/// Listings signed anew at once: each takes some 20 µs of the driver's time.
const RELIST_AT_ONCE: usize = 256;

impl Driver {
    pub(super) fn keep_command(&mut self, command: KeepCommand) {
        self.dht_command(DhtCommand::Keep(command));
    }

    /// Tells the core what an earlier run left, and what is granted now.
    pub(super) fn begin_keep(&mut self) {
        let restored = self.keeping.restored.take().unwrap_or_default();
        if self.dht.is_none() {
            return;
        }
        let now = self.now();
        let Restored {
            saved,
            here,
            parts,
            problem,
        } = restored;
        self.tally.warnings.extend(problem);
        for (block, entry) in &here {
            let part = self.keeping.part(now, entry);
            part.blocks.insert(block.index, Stage::Here);
        }
        for content in parts {
            // What nobody wants any more, and what was cut short.
            self.retain(content);
        }
        if let Some(saved) = saved {
            self.keep_command(KeepCommand::Restore {
                saved: Box::new(saved),
                here: here.into_iter().map(|(block, _)| block).collect(),
            });
        }
        let bytes = self.config.dht.grant;
        self.keep_command(KeepCommand::Grant { bytes });
    }

    pub(super) fn on_keep_event(&mut self, event: KeepEvent) {
        match event {
            KeepEvent::Fetch {
                block, entry, from, ..
            } => self.on_keep_fetch(block, &entry, from),
            KeepEvent::Drop { block, reason, .. } => {
                tracing::info!(
                    content = %block.content.short(), index = block.index, ?reason, "not kept any more"
                );
                self.forget_block(block);
            }
            KeepEvent::Serve(entry) => self.list_kept(&entry),
            KeepEvent::Withdraw(entry) => self.unlist_kept(entry.content),
            KeepEvent::Status(status) => self.on_keep_status(status),
            KeepEvent::Changed => {
                self.keeping.is_stale = true;
                self.save_kept();
            }
            KeepEvent::Prove {
                id,
                content,
                groups,
                nonce,
                prover,
            } => self.prove(id, content, groups, (nonce, prover)),
        }
    }

    fn prove(
        &mut self,
        id: u64,
        content: ContentId,
        groups: GroupRange,
        (nonce, prover): (u64, PeerId),
    ) {
        self.keeping.disk.send(Job::Prove {
            id,
            content,
            groups,
            nonce,
            prover,
        });
    }

    fn on_keep_status(&self, status: KeepStatus) {
        let content = status.content;
        let Some(name) = self.kept_name(content) else {
            return;
        };
        self.tell(NodeEvent::KeptChanged {
            content,
            name,
            copies: status.copies,
            copies_kept: status.copies_min,
            copies_online: status.online_min,
        });
    }

    /// Writes down what is to be remembered, unless that is being done.
    fn save_kept(&mut self) {
        let keep = self.dht.as_ref().and_then(super::Ring::keep);
        let Some(keep) = keep.filter(|_| self.keeping.is_stale && !self.keeping.is_saving) else {
            return;
        };
        let saved = Box::new(keep.saved());
        self.keeping.is_stale = false;
        self.keeping.is_saving = true;
        self.keeping.disk.send(Job::Save(saved));
    }

    /// Whether everything is written down. If not, it is begun: nothing waits for the next
    /// time that the core tells of changes.
    fn is_kept_saved(&mut self) -> bool {
        self.keeping.is_stale = self.is_kept_stale();
        self.save_kept();
        !self.keeping.is_saving && !self.keeping.is_stale
    }

    fn is_kept_stale(&self) -> bool {
        let keep = self.dht.as_ref().and_then(super::Ring::keep);
        self.keeping.is_stale || keep.is_some_and(gannet_overlay::dht::keep::Keep::has_changed)
    }

    /// At the end: the last that is remembered goes after everything else. The thread
    /// is to be waited for.
    pub(super) fn end_keep(&mut self) -> Option<std::thread::JoinHandle<()>> {
        let keep = self.dht.as_ref().and_then(super::Ring::keep);
        if let Some(keep) = keep.filter(|_| self.is_kept_stale()) {
            let saved = Box::new(keep.saved());
            self.keeping.disk.send(Job::Save(saved));
        }
        self.keeping.disk.stop()
    }

    pub(super) fn on_kept_report(&mut self, news: KeptNews) {
        match news {
            KeptNews::Opened {
                content,
                number,
                result,
            } => self.on_part_opened(content, number, result),
            KeptNews::Committed(committed) => self.on_committed(committed),
            KeptNews::Checked {
                content,
                number,
                have,
            } => {
                let Some(part) = self.keeping.current(content, number) else {
                    return;
                };
                let here = part.at(|stage| stage == Stage::Here);
                let lost = here
                    .into_iter()
                    .filter(|index| !part.is_covered(*index, &have));
                for index in lost.collect::<Vec<_>>() {
                    tracing::warn!(content = %content.short(), index, "a kept part is not good any more");
                    self.lose_block(BlockId { content, index }, true);
                }
            }
            KeptNews::Proof { id, content, proof } => {
                if proof.is_none() {
                    self.check_part(content);
                }
                self.keep_command(KeepCommand::Proof { id, proof });
            }
            KeptNews::Lent { content } => self.on_lent(content),
            KeptNews::Saved(result) => self.on_saved(result),
        }
    }

    /// What waited for it goes on, for better or worse.
    fn on_saved(&mut self, result: Result<(), String>) {
        self.keeping.is_saving = false;
        if let Err(error) = result {
            tracing::error!(error, "what is kept is not remembered");
            // Tried again with the next change.
            self.keeping.is_stale = true;
        } else {
            self.save_kept();
        }
        if self.keeping.is_saving {
            return;
        }
        for answer in std::mem::take(&mut self.keeping.unanswered) {
            answer();
        }
        for committed in std::mem::take(&mut self.keeping.committed) {
            self.hold_committed(committed);
        }
    }

    /// A read of a content went wrong: if it is kept, what is still good of it?
    pub(super) fn check_part(&mut self, content: ContentId) {
        if let Some(part) = self.keeping.parts.get(&content) {
            let number = part.number;
            self.keeping.disk.send(Job::Check { content, number });
        }
    }

    /// A block is not here, through no wish of anybody; `was_here`, or was to come.
    fn lose_block(&mut self, block: BlockId, was_here: bool) {
        self.forget_block(block);
        self.keep_command(if was_here {
            KeepCommand::Lost(block)
        } else {
            KeepCommand::FetchFailed(block)
        });
    }

    /// A block is wanted no more: its room is given back.
    fn forget_block(&mut self, block: BlockId) {
        let content = block.content;
        if let Some(part) = self.keeping.parts.get_mut(&content) {
            part.blocks.remove(&block.index);
            if part.blocks.is_empty() {
                self.stop_fetching_part(content);
                self.keeping.parts.remove(&content);
            }
        }
        self.retain(content);
        if self.is_served_otherwise(content) {
            return;
        }
        match self.keeping.parts.get(&content) {
            None => self.withdraw_content(content),
            Some(_) => {
                self.want_part(content);
                self.tell_growth(content);
            }
        }
    }

    /// Has everything of a content deleted that is not wanted.
    fn retain(&mut self, content: ContentId) {
        let part = self.keeping.parts.get(&content);
        let groups = part.map(crate::keeping::Part::groups).unwrap_or_default();
        self.keeping.disk.send(Job::Retain { content, groups });
    }

    /// Whether the user shares or downloads a content, which is then what others get.
    fn is_served_otherwise(&self, content: ContentId) -> bool {
        self.own.holders(content, 1).is_some() || self.is_downloading(content)
    }

    /// Whether the user downloads a content now.
    fn is_downloading(&self, content: ContentId) -> bool {
        let item = self.list.items.get(&content);
        item.is_some_and(|item| item.download.is_some())
    }

    /// Whoever fetches a kept content here hears what there is of it.
    fn tell_growth(&mut self, content: ContentId) {
        if self.is_served_otherwise(content) {
            return;
        }
        let Some(part) = self.keeping.parts.get(&content) else {
            return;
        };
        let mut have = part.groups();
        if !part.is_whole() {
            have = match &part.download {
                Some(download) => have.intersection(&download.have()),
                None => return,
            };
        }
        let have = Have::of(&have, part.entry.size);
        self.offer_growth(content, have);
    }

    /// Others may find a kept content here from now on.
    fn list_kept(&mut self, entry: &FileEntry) {
        let signed_at = self.now();
        let entry = listed_entry(entry);
        self.unlist_kept(entry.content);
        let listed = Listed {
            entry: entry.clone(),
            signed_at,
        };
        self.keeping.listed.insert(entry.content, listed);
        let publication = sign(entry, &self.key);
        let _ = self.partial.insert(&publication);
        self.on_own_changed();
        self.announce_changes(vec![publication], Vec::new());
    }

    fn unlist_kept(&mut self, content: ContentId) {
        if let Some(Listed { entry, .. }) = self.keeping.listed.remove(&content) {
            self.partial.remove(self.peer, content, &entry.path);
            self.on_own_changed();
            self.announce_changes(Vec::new(), vec![(content, entry.path)]);
        }
    }

    pub(super) fn tick_keep(&mut self) {
        self.tick_parts();
        if self.ticks.is_multiple_of(RELIST_TICKS) {
            self.relist();
        }
    }

    /// Signs anew what was signed long ago.
    fn relist(&mut self) {
        let now = self.now();
        let listed = self.keeping.listed.values_mut();
        let old = listed.filter(|listed| now - listed.signed_at > RELIST_AFTER);
        let mut publications = Vec::new();
        for listed in old.take(RELIST_AT_ONCE) {
            listed.signed_at = now;
            publications.push(sign(listed.entry.clone(), &self.key));
        }
        for publication in &publications {
            let _ = self.partial.insert(publication);
        }
        self.announce_changes(publications, Vec::new());
    }

    /// What is kept, in sum.
    pub(super) fn keeping_info(&self) -> KeepingInfo {
        let keep = self.dht.as_ref().and_then(super::Ring::keep);
        let counts = keep.map(gannet_overlay::dht::keep::Keep::counts);
        let counts = counts.unwrap_or_default();
        KeepingInfo {
            grant_bytes: counts.grant_bytes,
            held_bytes: counts.held_bytes,
            held_blocks: counts.held_blocks as u64,
            kept_files: counts.kept as u64,
            looked_after: counts.wards as u64,
            disbelieved: counts.disbelieved,
        }
    }

    /// A command to the core that fetches what is kept.
    fn kept_download(&mut self, command: DownloadCommand) {
        let now = self.clock.now();
        self.keeping.downloads.handle_command(now, command);
    }
}
