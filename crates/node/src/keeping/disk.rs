//! The thread that does the disk work of what is kept, one thing after the other.

use std::path::PathBuf;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;

use gannet_base::{ContentId, GroupRange, GroupSet, PeerId};
use gannet_overlay::dht::keep::{self, KeepSaved};
use gannet_store::{Coverage, Download, Store};
use tokio::sync::mpsc;

use super::saved;
use crate::report::{Committed, KeptNews, Report};

/// Room on the disk that what is kept for others leaves to its owner, bytes.
// Guess: a system with less than that left is in trouble.
const ROOM_LEFT_MIN: u64 = 256 * 1024 * 1024;

/// Something to be done on the disk.
#[derive(Debug)]
pub(crate) enum Job {
    /// Open a part, and take these groups from what is here already.
    Open {
        content: ContentId,
        number: u64,
        groups: GroupSet,
        /// How large all of these groups are, bytes.
        bytes: u64,
    },
    /// Make blocks survive power loss.
    Commit {
        download: Download,
        number: u64,
        blocks: Vec<u32>,
    },
    /// Give up everything of a content but these groups.
    Retain {
        content: ContentId,
        groups: GroupSet,
    },
    /// See what of a content is still good.
    Check { content: ContentId, number: u64 },
    /// Prove that these groups are here.
    Prove {
        id: u64,
        content: ContentId,
        groups: GroupRange,
        nonce: u64,
        prover: PeerId,
    },
    /// Give the user's download what is kept of the content.
    Lend(Download),
    /// Remember.
    Save(Box<KeepSaved>),
}

/// What the thread needs.
#[derive(Debug, Clone)]
pub(crate) struct DiskContext {
    pub(crate) store: Store,
    pub(crate) data_dir: PathBuf,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// The driver's hold on the thread, which starts with the first job. Dropping it ends
/// the thread after what is queued.
#[derive(Debug)]
pub(crate) struct Disk {
    context: DiskContext,
    running: Option<(blocking::Sender<Job>, JoinHandle<()>)>,
}

impl Disk {
    pub(crate) fn new(context: DiskContext) -> Self {
        Self {
            context,
            running: None,
        }
    }

    /// Queues a job. There are a few for each block at most, and the core bounds
    /// those.
    pub(crate) fn send(&mut self, job: Job) {
        if self.running.is_none() {
            let (jobs, queue) = blocking::channel();
            let context = self.context.clone();
            let thread = std::thread::Builder::new()
                .name("gannet-keeping".to_owned())
                .spawn(move || {
                    while let Ok(job) = queue.recv() {
                        context.perform(job);
                    }
                });
            match thread {
                Ok(thread) => self.running = Some((jobs, thread)),
                Err(error) => tracing::error!(%error, "no thread for what is kept"),
            }
        }
        if let Some((jobs, _)) = &self.running {
            // The thread ends after its queue does.
            let _ = jobs.send(job);
        }
    }

    /// Ends the thread after what is queued; to be waited for off the driver's task.
    pub(crate) fn stop(&mut self) -> Option<JoinHandle<()>> {
        self.running.take().map(|(_, thread)| thread)
    }
}

impl DiskContext {
    fn perform(&self, job: Job) {
        match job {
            Job::Open {
                content,
                number,
                groups,
                bytes,
            } => {
                let result = self.open(content, &groups, bytes);
                self.report(KeptNews::Opened {
                    content,
                    number,
                    result,
                });
            }
            Job::Commit {
                download,
                number,
                blocks,
            } => {
                let result = download.checkpoint().map_err(|error| error.to_string());
                self.report(KeptNews::Committed(Committed {
                    content: download.content(),
                    number,
                    blocks,
                    result,
                }));
            }
            Job::Retain { content, groups } => self.retain(content, &groups),
            Job::Check { content, number } => {
                let reader = self.store.open_part(content);
                let have = reader.map(|reader| groups_of(reader.have(), reader.size()));
                let have = have.unwrap_or_default();
                self.report(KeptNews::Checked {
                    content,
                    number,
                    have,
                });
            }
            Job::Prove {
                id,
                content,
                groups,
                nonce,
                prover,
            } => {
                let bytes = self.read(content, groups);
                let proof = bytes.map(|bytes| keep::proof(nonce, prover, &bytes));
                self.report(KeptNews::Proof { id, content, proof });
            }
            Job::Lend(download) => self.lend(&download),
            Job::Save(saved) => {
                let result = saved::save(&self.data_dir, &saved);
                let result = result.map_err(|error| error.to_string());
                self.report(KeptNews::Saved(result));
            }
        }
    }

    fn report(&self, news: KeptNews) {
        // The driver is gone only when everything is.
        let _ = self.reports.blocking_send(Report::Kept(news));
    }

    fn open(&self, content: ContentId, groups: &GroupSet, bytes: u64) -> Result<Download, String> {
        let room = self.store.part_room_bytes();
        let room = room.map_err(|error| error.to_string())?;
        let download = self.store.keep_part(content);
        let download = download.map_err(|error| error.to_string())?;
        let here = download
            .size()
            .map_or(0, |size| download.have().intersection(groups).bytes(size));
        if room < bytes.saturating_sub(here).saturating_add(ROOM_LEFT_MIN) {
            return Err("the disk is nearly full".to_owned());
        }
        if let Ok(reader) = self.store.open_content(content) {
            let here = groups_of(reader.have(), reader.size()).intersection(groups);
            // What cannot be taken from here is fetched from others.
            if !here.difference(&download.have()).is_empty()
                && let Err(error) = download.copy_from(&reader, &here)
            {
                tracing::debug!(content = %content.short(), %error, "not copied");
            }
        }
        Ok(download)
    }

    fn retain(&self, content: ContentId, groups: &GroupSet) {
        match self.store.retain_part(content, groups) {
            Ok(()) | Err(gannet_store::DownloadError::Unknown { .. }) => {}
            Err(error) => {
                tracing::warn!(content = %content.short(), %error, "its room is not given back");
            }
        }
    }

    fn read(&self, content: ContentId, groups: GroupRange) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let reader = self.store.open_content(content).ok()?;
        let read = reader.read_data(groups, &mut bytes);
        if let Err(error) = &read {
            tracing::info!(content = %content.short(), %error, "a proof cannot be given");
        }
        read.ok().map(|()| bytes)
    }

    fn lend(&self, download: &Download) {
        let content = download.content();
        if let Ok(reader) = self.store.open_part(content) {
            let here = groups_of(reader.have(), reader.size());
            if let Err(error) = download.copy_from(&reader, &here) {
                tracing::warn!(content = %content.short(), %error, "not copied");
            }
        }
        self.report(KeptNews::Lent { content });
    }
}

fn groups_of(coverage: Coverage, size: u64) -> GroupSet {
    match coverage {
        Coverage::Whole => GroupSet::whole(size),
        Coverage::Groups(groups) => groups,
    }
}
