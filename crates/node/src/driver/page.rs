//! What a page asks: own files, the ring, whether this peer is found, and looking
//! at what is still coming.

use std::collections::BTreeMap;

use gannet_base::{ContentId, Core as _, GroupSet, Row, groups_in};
use gannet_overlay::locate::{Explanation, LocateCommand, Overlay, PartEnd, Reach};
use gannet_swarm::DownloadCommand;

use super::Driver;
use super::shares::link_info;
use crate::api::{DownloadInfo, Pointer, RingMap, RingPlace, Settings, SharedFile, SharedFiles};
use crate::error::DownloadError;
use crate::handle::Reply;
use crate::page::{Findable, PageRequest, names};
use crate::report::Purpose;
use crate::viewing::{Opened, ViewId};

/// Parts of a download whose progress is told apart.
const PIECES: u64 = 64;
/// Most files told at once.
const FILES_MAX: u32 = 1_000;
/// The priority of what somebody looks at.
const PRIORITY_VIEWED: u8 = u8::MAX;

/// What the driver remembers for the page.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// What the configuration said before anybody changed settings.
    pub(super) configured: Settings,
    /// The latest view of each content that somebody looks at.
    views: BTreeMap<ContentId, ViewId>,
    next_view: ViewId,
    /// Who wants to know whether this peer is found, by number.
    tests: BTreeMap<u64, Test>,
    next_test: u64,
}

impl Pages {
    /// Nobody looks at anything yet.
    pub(crate) fn new(configured: Settings) -> Self {
        Self {
            configured,
            ..Self::default()
        }
    }
}

#[derive(Debug)]
struct Test {
    content: ContentId,
    found: Findable,
    reply: Reply<Findable>,
}

impl Driver {
    pub(super) fn handle_page_request(&mut self, request: PageRequest) {
        match request {
            PageRequest::SearchAside {
                query,
                limit,
                reply,
            } => {
                let started = self.search(&query, limit);
                if let Ok((id, _)) = &started {
                    self.searches.set_aside(*id);
                }
                drop(reply.send(started));
            }
            PageRequest::Settings(reply) => drop(reply.send(self.settings())),
            PageRequest::ChangeSettings { change, reply } => {
                drop(reply.send(self.change_settings(change)));
            }
            PageRequest::Prioritise {
                number,
                priority,
                reply,
            } => drop(reply.send(self.prioritise(number, priority))),
            PageRequest::SharedFiles {
                offset,
                limit,
                reply,
            } => drop(reply.send(self.shared_files(offset, limit))),
            PageRequest::RingMap(reply) => drop(reply.send(self.ring_map())),
            PageRequest::Visitors(reply) => {
                let connections = self.net.connections();
                let visitors = connections.iter().filter(|one| !one.dialed).count();
                // Whoever asked may have gone.
                let _ = reply.send(u32::try_from(visitors).unwrap_or(u32::MAX));
            }
            PageRequest::Findable(reply) => self.look_for_own(reply),
            PageRequest::View {
                content,
                first_group,
                reply,
            } => {
                let opened = self.view(content, first_group);
                if let Err(opened) = reply.send(opened) {
                    self.unview(content, opened.view);
                }
            }
            PageRequest::Unview { content, view } => self.unview(content, view),
        }
    }

    fn prioritise(&mut self, number: u32, priority: u8) -> Result<DownloadInfo, DownloadError> {
        let unknown = DownloadError::UnknownDownload { number };
        if let Some(folder) = self.find_folder(number) {
            return self.prioritise_folder(folder, priority).ok_or(unknown);
        }
        let content = self.list.find(number).ok_or_else(|| unknown.clone())?;
        if let Some(item) = self.list.items.get_mut(&content) {
            item.priority = priority;
            // To be remembered with the next checkpoint.
            item.dirty = true;
        }
        if !self.pages.views.contains_key(&content) {
            let command = DownloadCommand::Prioritise { content, priority };
            self.downloads.handle_command(self.clock.now(), command);
        }
        self.info(content).ok_or(unknown)
    }

    fn shared_files(&self, offset: u64, limit: u32) -> SharedFiles {
        let (total, entries) = self.own_entries(offset, limit.clamp(1, FILES_MAX));
        let file = |entry| {
            let link = link_info(&entry, self.address.clone()).link;
            SharedFile { entry, link }
        };
        SharedFiles {
            files: entries.into_iter().map(file).collect(),
            total,
        }
    }

    fn ring_map(&self) -> RingMap {
        let nodes = self.dht.as_ref().map(|ring| ring.rings());
        let Some(node) = nodes.and_then(<[_]>::first) else {
            return RingMap::default();
        };
        let before = node.predecessor().map(|one| (one, Pointer::Predecessor));
        let after = node.successors().map(|one| (one, Pointer::Successor));
        let fingers = node.fingers().map(|one| (one, Pointer::Finger));
        let mut places: BTreeMap<String, RingPlace> = BTreeMap::new();
        // Who is several of these is shown as the nearest.
        for (contact, pointer) in before.into_iter().chain(after).chain(fingers) {
            let position = contact.position.to_string();
            places.entry(position.clone()).or_insert(RingPlace {
                peer: contact.peer,
                position,
                pointer,
            });
        }
        RingMap {
            position: node.is_member().then(|| node.me().position.to_string()),
            places: places.into_values().collect(),
        }
    }

    /// Asks all overlays who has an own file.
    fn look_for_own(&mut self, reply: Reply<Findable>) {
        let (_, entries) = self.own_entries(0, 1);
        let Some(entry) = entries.into_iter().next() else {
            drop(reply.send(Findable::default()));
            return;
        };
        self.pages.next_test += 1;
        let number = self.pages.next_test;
        let found = Findable {
            has_file: true,
            ..Findable::default()
        };
        // Who asks and goes again leaves nothing behind for long.
        self.pages.tests.retain(|_, test| !test.reply.is_closed());
        let content = entry.content;
        let test = Test {
            content,
            found,
            reply,
        };
        self.pages.tests.insert(number, test);
        self.ask_overlays(Purpose::Findable(number), |id| LocateCommand::Sources {
            id,
            content,
        });
    }

    /// What an overlay answers by itself: merged with what others say, it would be
    /// found by all of them.
    pub(super) fn on_findable_rows(&mut self, number: u64, overlay: Overlay, rows: &[Row]) {
        let Some(test) = self.pages.tests.get_mut(&number) else {
            return;
        };
        let name = overlay.name().to_owned();
        let is_named = names(rows, test.content, self.peer);
        if is_named && !test.found.named_by.contains(&name) {
            test.found.named_by.push(name);
        }
    }

    pub(super) fn on_findable_end(&mut self, number: u64, explanation: &Explanation) {
        let Some(mut test) = self.pages.tests.remove(&number) else {
            return;
        };
        let asked = explanation.parts.iter();
        // Whose answer was not waited for has not kept silent: enough others have the
        // same file.
        let asked =
            asked.filter(|part| part.reach() != Reach::Unused && part.end != PartEnd::Enough);
        for part in asked {
            let name = part.overlay.name().to_owned();
            // Neighbours look into their own files: none of them names this peer.
            if part.overlay != Overlay::Flood && !test.found.named_by.contains(&name) {
                test.found.silent.push(name);
            }
        }
        drop(test.reply.send(test.found));
    }

    fn view(&mut self, content: ContentId, first_group: u64) -> Opened {
        self.pages.next_view += 1;
        let view = self.pages.next_view;
        self.pages.views.insert(content, view);
        self.watch_from(content, Some(first_group), PRIORITY_VIEWED);
        let shared = self.own.holders(content, 1);
        let shared = shared.and_then(|row| Some(row.hits.first()?.entry().name().to_owned()));
        let item = self.list.items.get(&content);
        Opened {
            view,
            is_known: item.is_some() || shared.is_some(),
            name: item
                .map(|item| item.name.clone())
                .or(shared)
                .unwrap_or_default(),
            store: self.store.clone(),
            grown: self.tally.grown(),
        }
    }

    fn unview(&mut self, content: ContentId, view: ViewId) {
        if self.pages.views.get(&content) != Some(&view) {
            return;
        }
        self.pages.views.remove(&content);
        let wished = self.list.items.get(&content).map(|item| item.priority);
        self.watch_from(content, None, wished.unwrap_or(0));
    }

    /// Has a download, if it is one, fetch in order from a group on.
    fn watch_from(&mut self, content: ContentId, first_group: Option<u64>, priority: u8) {
        let now = self.clock.now();
        let watch = DownloadCommand::Watch {
            content,
            first_group,
        };
        self.downloads.handle_command(now, watch);
        let prioritise = DownloadCommand::Prioritise { content, priority };
        self.downloads.handle_command(now, prioritise);
    }
}

/// How much of each part of a content is here: a hexadecimal digit each.
pub(super) fn pieces(have: &GroupSet, size: u64) -> String {
    let groups = groups_in(size).max(1);
    let digit = |share: u64| char::from_digit(u32::try_from(share).unwrap_or(15), 16);
    let mut runs = have.runs().iter().peekable();
    let mut text = String::with_capacity(64);
    for piece in 0..PIECES {
        let start = piece * groups / PIECES;
        let end = ((piece + 1) * groups).div_ceil(PIECES).max(start + 1);
        while runs.next_if(|run| run.end <= start).is_some() {}
        let mut here = 0;
        for run in runs.clone().take_while(|run| run.start < end) {
            here += run.end.min(end) - run.start.max(start);
        }
        // Some is never nothing, and all but some is never all.
        let share = if here == end - start {
            15
        } else {
            (here * 15).div_ceil(end - start).min(14)
        };
        text.extend(digit(share));
    }
    text
}

#[cfg(test)]
mod tests {
    use gannet_base::{GROUP_BYTES, GroupRange};

    use super::*;

    fn shown(runs: &[(u64, u64)], groups: u64) -> String {
        let have = runs.iter().map(|&(start, end)| GroupRange::new(start, end));
        pieces(&have.collect(), groups * GROUP_BYTES)
    }

    #[test]
    fn pieces_say_what_is_here() {
        assert_eq!(shown(&[], 6_400), "0".repeat(64));
        assert_eq!(shown(&[(0, 6_400)], 6_400), "f".repeat(64));
        assert_eq!(shown(&[(0, 1)], 1), "f".repeat(64));
        assert_eq!(shown(&[], 0), "0".repeat(64));
        let half = "f".repeat(32) + &"0".repeat(32);
        assert_eq!(shown(&[(0, 3_200)], 6_400), half);
        assert_eq!(shown(&[(0, 1)], 2), half);
        let one_of_a_hundred = "1".to_owned() + &"0".repeat(63);
        assert_eq!(shown(&[(7, 8)], 6_400), one_of_a_hundred);
        let all_but_one = "e".to_owned() + &"0".repeat(63);
        assert_eq!(shown(&[(0, 7), (8, 100)], 6_400), all_but_one);
        let last = "0".repeat(63) + "f";
        assert_eq!(shown(&[(6_300, 6_400)], 6_400), last);
    }
}
