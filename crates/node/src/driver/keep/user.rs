//! What the user asks about files that are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gannet_base::{ContentId, FileEntry, GannetLink, KeepOrder, KeepRelease, WallTime};
use gannet_overlay::dht::keep::{KeepCommand, KeptInfo, Refusal, RefusalReason};

use super::super::{Driver, Ring};
use crate::api::{HeldFile, HeldOrder, KeepRequest, KeptFile, Refused, ToKeep};
use crate::clock::wall_time;
use crate::error::{KeepError, LinkError};
use crate::handle::{KeepingRequest, Reply};
use crate::report::{KeepWish, Report, SharedChange};
use crate::scanner::sign;

/// Days if the user says nothing.
// Guess: a month; who still wants it then says so again.
const DAYS_DEFAULT: u32 = 30;
/// Longest that a file can be kept, days.
const DAYS_MAX: u32 = 366;
const DAY_SECONDS: u64 = 24 * 3600;

const _: () = assert!(DAYS_MAX as u64 * DAY_SECONDS <= KeepOrder::LIFE_SECONDS_MAX);

impl Driver {
    pub(in super::super) fn handle_keeping(&mut self, request: KeepingRequest) {
        match request {
            KeepingRequest::Keep { request, reply } => self.keep(request, reply),
            KeepingRequest::Kept(reply) => drop(reply.send(self.kept_files())),
            KeepingRequest::Unkeep { content, reply } => {
                let released = self.unkeep(content);
                self.answer_when_saved(move || drop(reply.send(released)));
            }
            KeepingRequest::Held(reply) => drop(reply.send(self.held_files())),
            KeepingRequest::Refuse { what, reply } => {
                let done = self.command_if_on(KeepCommand::Refuse(refusal(what)));
                self.answer_when_saved(move || drop(reply.send(done)));
            }
            KeepingRequest::Allow { what, reply } => {
                let done = self.command_if_on(KeepCommand::Allow(refusal(what)));
                self.answer_when_saved(move || drop(reply.send(done)));
            }
            KeepingRequest::Refused(reply) => {
                let keep = self.dht.as_ref().and_then(Ring::keep);
                let refusals = keep.map(|keep| keep.refusals());
                let refused = refusals.unwrap_or_default().iter();
                drop(reply.send(refused.map(|refusal| refused_of(*refusal)).collect()));
            }
        }
    }

    fn command_if_on(&mut self, command: KeepCommand) -> Result<(), KeepError> {
        if self.dht.is_none() {
            return Err(KeepError::Off);
        }
        self.keep_command(command);
        Ok(())
    }

    fn keep(&mut self, request: KeepRequest, reply: Reply<Result<KeptFile, KeepError>>) {
        let wish = match self.checked_wish(&request) {
            Ok(wish) => wish,
            Err(error) => return drop(reply.send(Err(error))),
        };
        match request.file {
            ToKeep::Path { path } => self.look_up_to_keep(path, wish, reply),
            ToKeep::Row { search, number } => {
                let entry = self.row_to_keep(search, number);
                self.answer_keep(entry, wish, reply);
            }
            ToKeep::Link { link } => {
                let entry = link.parse().map_err(KeepError::from);
                let entry = entry.and_then(|link: GannetLink| {
                    let name = link.name.unwrap_or_else(|| link.content.to_string());
                    self.shared_entry(link.content, name)
                });
                self.answer_keep(entry, wish, reply);
            }
        }
    }

    fn checked_wish(&self, request: &KeepRequest) -> Result<KeepWish, KeepError> {
        let ring = self.dht.as_ref().ok_or(KeepError::Off)?;
        if !ring.is_member() {
            return Err(KeepError::NoPlace);
        }
        let copies = request.copies.unwrap_or(KeepOrder::COPIES_DEFAULT);
        if !(1..=KeepOrder::COPIES_MAX).contains(&copies) {
            let most = KeepOrder::COPIES_MAX;
            let text = format!("there can be from 1 to {most} copies, not {copies}");
            return Err(KeepError::Bounds(text));
        }
        let days = request.days.unwrap_or(DAYS_DEFAULT);
        if !(1..=DAYS_MAX).contains(&days) {
            let text = format!("a file can be kept for 1 to {DAYS_MAX} days, not {days}");
            return Err(KeepError::Bounds(text));
        }
        Ok(KeepWish { copies, days })
    }

    /// A path may have to be hashed first.
    fn look_up_to_keep(
        &self,
        path: PathBuf,
        wish: KeepWish,
        reply: Reply<Result<KeptFile, KeepError>>,
    ) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = store.link_target(&path);
            let result = result.map_err(|error| match error {
                gannet_store::LinkError::NotShared { .. } => LinkError::NotShared { path },
                error => LinkError::Unreadable {
                    path,
                    reason: error.to_string(),
                },
            });
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::ToKeep {
                result,
                wish,
                reply,
            });
        });
    }

    pub(in super::super) fn on_to_keep(
        &mut self,
        result: Result<FileEntry, LinkError>,
        wish: KeepWish,
        reply: Reply<Result<KeptFile, KeepError>>,
    ) {
        if let Ok(entry) = &result {
            // It may have been hashed just now: it is found by its words from now on.
            let publication = Box::new(sign(entry.clone(), &self.key));
            self.on_shares(vec![SharedChange::Published(publication)]);
        }
        self.answer_keep(result.map_err(KeepError::from), wish, reply);
    }

    fn row_to_keep(&self, search: Option<u64>, number: u32) -> Result<FileEntry, KeepError> {
        let unknown = KeepError::UnknownSearch { number };
        let state = self.searches.state(search).ok_or(unknown)?;
        let mut rows = state.rows.iter();
        let row = rows.find(|row| row.number == number);
        let row = row.ok_or_else(|| KeepError::UnknownRow {
            number,
            query: state.query.clone(),
            rows: state.rows.len(),
        })?;
        self.shared_entry(row.content, row.name.clone())
    }

    /// The entry of a content that this peer shares.
    fn shared_entry(&self, content: ContentId, name: String) -> Result<FileEntry, KeepError> {
        let row = self.own.holders(content, 1);
        let hit = row.and_then(|row| row.hits.into_iter().next());
        let entry = hit.map(|hit| hit.publication.entry);
        entry.ok_or(KeepError::NotHere { name })
    }

    fn answer_keep(
        &mut self,
        entry: Result<FileEntry, KeepError>,
        wish: KeepWish,
        reply: Reply<Result<KeptFile, KeepError>>,
    ) {
        let kept = entry.and_then(|entry| self.order(entry, wish));
        self.answer_when_saved(move || drop(reply.send(kept)));
    }

    /// What a user is told is done is done, whatever happens next.
    fn answer_when_saved(&mut self, answer: impl FnOnce() + Send + 'static) {
        if self.is_kept_saved() {
            answer();
        } else {
            self.keeping.unanswered.push(Box::new(answer));
        }
    }

    fn order(&mut self, entry: FileEntry, wish: KeepWish) -> Result<KeptFile, KeepError> {
        let content = entry.content;
        let issued = self.next_word(content);
        let expires = issued.plus_seconds(u64::from(wish.days) * DAY_SECONDS);
        let order = KeepOrder::sign(entry, wish.copies, (issued, expires), &self.key);
        order.check()?;
        let max = self.config.dht.kept_max();
        self.keep_command(KeepCommand::Keep(Box::new(order)));
        self.drain();
        self.kept_file(content).ok_or(KeepError::TooMany { max })
    }

    /// When an order or release for a content is signed: now, and after the last one.
    fn next_word(&self, content: ContentId) -> WallTime {
        let keep = self.dht.as_ref().and_then(Ring::keep);
        let last = keep.and_then(|keep| keep.latest_word(content));
        let after = last.map(|last| last.plus_seconds(1));
        after.map_or_else(wall_time, |after| after.max(wall_time()))
    }

    fn unkeep(&mut self, content: ContentId) -> Result<KeptFile, KeepError> {
        if self.dht.is_none() {
            return Err(KeepError::Off);
        }
        let kept = self.kept_file(content);
        let kept = kept.ok_or(KeepError::NotKept { content })?;
        let release = KeepRelease::sign(content, self.next_word(content), &self.key);
        self.keep_command(KeepCommand::Unkeep(Box::new(release)));
        self.drain();
        Ok(kept)
    }

    fn kept_files(&self) -> Vec<KeptFile> {
        let keep = self.dht.as_ref().and_then(Ring::keep);
        let kept = keep.iter().flat_map(|keep| keep.kept());
        kept.map(|info| self.describe_kept(&info)).collect()
    }

    fn kept_file(&self, content: ContentId) -> Option<KeptFile> {
        let mut kept = self.dht.as_ref().and_then(Ring::keep)?.kept();
        let info = kept.find(|info| info.order.entry.content == content)?;
        Some(self.describe_kept(&info))
    }

    /// What one of this peer's kept files is called.
    pub(super) fn kept_name(&self, content: ContentId) -> Option<String> {
        let mut kept = self.dht.as_ref().and_then(Ring::keep)?.kept();
        let info = kept.find(|info| info.order.entry.content == content)?;
        Some(info.order.entry.name().to_owned())
    }

    fn describe_kept(&self, info: &KeptInfo) -> KeptFile {
        let (order, status) = (&info.order, &info.status);
        let others = self.dht.as_ref().map_or(0, Ring::others);
        let target = self.config.dht.successors as usize;
        // Beyond what it sees there are more.
        let others = if others < target { others } else { usize::MAX };
        KeptFile {
            content: order.entry.content,
            name: order.entry.name().to_owned(),
            path: order.entry.path.clone(),
            size: order.entry.size,
            copies: order.copies,
            copies_kept: status.copies_min,
            copies_online: status.online_min,
            copies_possible: u8::try_from(others)
                .unwrap_or(u8::MAX)
                .clamp(1, order.copies),
            blocks: status.blocks,
            blocks_kept: status.blocks_kept,
            refused: status.refused.map(|reason| reason_text(reason).to_owned()),
            expires_unix_seconds: order.expires.as_unix_seconds(),
            seconds_left: seconds_left(order.expires),
        }
    }

    fn held_files(&self) -> Vec<HeldFile> {
        let keep = self.dht.as_ref().and_then(Ring::keep);
        let mut files: BTreeMap<ContentId, HeldFile> = BTreeMap::new();
        for held in keep.iter().flat_map(|keep| keep.held()) {
            let file = files.entry(held.block.content);
            let file = file.or_insert_with(|| HeldFile {
                content: held.entry.content,
                name: held.entry.name().to_owned(),
                path: held.entry.path.clone(),
                size: held.entry.size,
                blocks: gannet_base::BlockId::count(held.entry.size),
                blocks_held: 0,
                blocks_coming: 0,
                bytes: 0,
                orders: held.orders.iter().map(held_order).collect(),
            });
            if held.is_here {
                file.blocks_held += 1;
            } else {
                file.blocks_coming += 1;
            }
            file.bytes += held.bytes;
        }
        files.into_values().collect()
    }
}

fn seconds_left(until: WallTime) -> u64 {
    let now = wall_time().as_unix_seconds();
    until.as_unix_seconds().saturating_sub(now)
}

fn held_order(order: &KeepOrder) -> HeldOrder {
    HeldOrder {
        keeper: order.keeper,
        copies: order.copies,
        expires_unix_seconds: order.expires.as_unix_seconds(),
        seconds_left: seconds_left(order.expires),
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Content { content } => Refusal::Content(content),
        Refused::Keeper { keeper } => Refusal::Keeper(keeper),
    }
}

fn refused_of(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Content(content) => Refused::Content { content },
        Refusal::Keeper(keeper) => Refused::Keeper { keeper },
    }
}

fn reason_text(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::NoGrant => "they grant no space",
        RefusalReason::Full => "the space that they grant is full",
        RefusalReason::KeeperShare => "one peer may fill half of the space that they grant",
        RefusalReason::Unwanted => "their owners do not want it",
        RefusalReason::Order => "their clocks say that it is over or has not begun",
        RefusalReason::Released => "they were told that it is to be kept no more",
        RefusalReason::Far => "they are too far away on the ring",
        RefusalReason::Busy => "they have enough to do",
    }
}
