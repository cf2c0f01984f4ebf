//! A peer's own searches: at its primary, at the backup if that falls silent,
//! at whoever comes next if both are gone.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::api::RequestId;
use super::message::{Answered, SupernodeMessage};
use super::{Ending, Supernode, SupernodeEvent, SupernodeOutcome};
use crate::flood::{Hits, Wanted};

/// Supernodes that one search is asked at, one after the other.
const ASKED_MAX: u32 = 6;

/// One supernode that was asked.
#[derive(Debug)]
struct Asked {
    peer: PeerId,
    request: u64,
    /// Its first answer is due by then; nothing if it came, or another was asked
    /// in its stead.
    first_by: Option<Timestamp>,
    /// It has said that it is done, or nothing at all.
    is_over: bool,
}

/// A search under way.
#[derive(Debug)]
pub(super) struct OwnSearch {
    wanted: Wanted,
    enough: u32,
    began: Timestamp,
    until: Timestamp,
    /// Waits for a supernode until then.
    waits_until: Option<Timestamp>,
    asked: Vec<Asked>,
    asked_count: u32,
    /// What the last one said that gave up.
    last: Option<(Ending, Answered)>,
}

impl OwnSearch {
    fn due(&self) -> Timestamp {
        let firsts = self.asked.iter().filter_map(|asked| asked.first_by);
        firsts
            .chain(self.waits_until)
            .fold(self.until, Timestamp::min)
    }

    /// It is to be asked again from the beginning.
    pub(super) fn restart(&mut self) {
        self.asked.clear();
        self.waits_until = Some(self.until);
    }
}

impl Supernode {
    pub(super) fn asking_due(&self) -> Option<Timestamp> {
        self.asking.values().map(OwnSearch::due).min()
    }

    pub(super) fn on_search(&mut self, now: Timestamp, id: RequestId, wanted: Wanted, enough: u32) {
        if self.asking.len() >= self.config.searches_max || self.asking.contains_key(&id) {
            let outcome = SupernodeOutcome {
                ending: Ending::TooMany,
                asked: 0,
                answered: Answered::default(),
                elapsed: Duration::ZERO,
            };
            self.event(SupernodeEvent::Ended { id, outcome });
            return;
        }
        let search = OwnSearch {
            wanted: wanted.clone(),
            enough,
            began: now,
            until: now + self.config.search_timeout,
            waits_until: None,
            asked: Vec::new(),
            asked_count: 0,
            last: None,
        };
        self.asking.insert(id, search);
        if self.office.is_some() {
            self.search_own(now, id, wanted, enough);
        } else {
            self.ask_next(now, id);
        }
    }

    /// Asks a live supernode that was not asked yet, or waits for one.
    fn ask_next(&mut self, now: Timestamp, id: RequestId) {
        let Some(search) = self.asking.get_mut(&id) else {
            return;
        };
        let is_asked = |peer: PeerId| search.asked.iter().any(|asked| asked.peer == peer);
        let next = self
            .homes
            .iter()
            .find(|home| home.is_live && !is_asked(home.peer))
            .map(|home| home.peer);
        let Some(peer) = next.filter(|_| search.asked_count < ASKED_MAX) else {
            if search.asked.is_empty() && search.waits_until.is_none() {
                search.waits_until = Some(now + self.config.place_wait);
            }
            return;
        };
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1);
        search.waits_until = None;
        search.asked_count += 1;
        search.asked.push(Asked {
            peer,
            request,
            first_by: Some(now + self.config.answer_timeout),
            is_over: false,
        });
        let (wanted, enough) = (search.wanted.clone(), search.enough);
        let message = SupernodeMessage::Search {
            request,
            wanted,
            enough,
        };
        self.send(peer, message);
    }

    /// There is a supernode, or another one.
    pub(super) fn ask_waiting(&mut self, now: Timestamp) {
        let waiting: Vec<RequestId> = self
            .asking
            .iter()
            .filter(|(_, search)| search.asked.is_empty() && search.waits_until.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.ask_next(now, id);
        }
    }

    /// A supernode is gone: what it was asked is asked elsewhere.
    pub(super) fn ask_elsewhere(&mut self, now: Timestamp, lost: PeerId) {
        let mut concerned = Vec::new();
        for (id, search) in self.asking.iter_mut() {
            let before = search.asked.len();
            search.asked.retain(|asked| asked.peer != lost);
            if search.asked.len() < before {
                concerned.push(*id);
            }
        }
        for id in concerned {
            self.ask_next(now, id);
            self.finish_if_over(now, id);
        }
    }

    /// Nobody who was asked has more to say.
    fn finish_if_over(&mut self, now: Timestamp, id: RequestId) {
        let search = self.asking.get(&id);
        let last = search.and_then(|search| {
            let is_over = search.asked.iter().all(|asked| asked.is_over);
            search.last.filter(|_| is_over && !search.asked.is_empty())
        });
        if let Some((ending, answered)) = last {
            self.finish_search(now, id, ending, answered);
        }
    }

    /// This peer is a supernode now: its searches go on here.
    pub(super) fn searches_to_office(&mut self, now: Timestamp) {
        let all: Vec<(RequestId, Wanted, u32)> = self
            .asking
            .iter_mut()
            .map(|(id, search)| {
                search.restart();
                search.waits_until = None;
                (*id, search.wanted.clone(), search.enough)
            })
            .collect();
        for (id, wanted, enough) in all {
            self.search_own(now, id, wanted, enough);
        }
    }

    fn search_asked(&mut self, from: PeerId, request: u64) -> Option<(RequestId, &mut OwnSearch)> {
        let is_it = |asked: &Asked| asked.peer == from && asked.request == request;
        let mut all = self.asking.iter_mut();
        let (id, search) = all.find(|(_, search)| search.asked.iter().any(is_it))?;
        Some((*id, search))
    }

    pub(super) fn on_rows(&mut self, from: PeerId, request: u64, hits: Hits) {
        let Some((id, search)) = self.search_asked(from, request) else {
            self.counters.dropped += 1;
            return;
        };
        for asked in search.asked.iter_mut().filter(|asked| asked.peer == from) {
            asked.first_by = None;
            asked.is_over = false;
        }
        if !hits.rows.is_empty() {
            self.event(SupernodeEvent::Rows {
                id,
                via: from,
                hops: hits.hops.saturating_add(1),
                rows: hits.rows,
                addresses: hits.addresses,
            });
        }
    }

    pub(super) fn on_ended(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        (ending, answered): (Ending, Answered),
    ) {
        let Some((id, search)) = self.search_asked(from, request) else {
            return;
        };
        for asked in &mut search.asked {
            asked.is_over |= asked.peer == from;
        }
        match ending {
            Ending::Enough | Ending::Everybody => self.finish_search(now, id, ending, answered),
            Ending::Partial | Ending::NoSupernode | Ending::TooMany => {
                // The other one may come further.
                search.last = Some((ending, answered));
                self.ask_next(now, id);
                self.finish_if_over(now, id);
            }
        }
    }

    pub(super) fn finish_search(
        &mut self,
        now: Timestamp,
        id: RequestId,
        ending: Ending,
        answered: Answered,
    ) {
        let Some(search) = self.asking.remove(&id) else {
            return;
        };
        self.cancel_asked(&search);
        let outcome = SupernodeOutcome {
            ending,
            asked: search.asked_count,
            answered,
            elapsed: now - search.began,
        };
        self.event(SupernodeEvent::Ended { id, outcome });
    }

    fn cancel_asked(&mut self, search: &OwnSearch) {
        for asked in search.asked.iter().filter(|asked| !asked.is_over) {
            let request = asked.request;
            self.send(asked.peer, SupernodeMessage::Cancel { request });
        }
    }

    pub(super) fn on_cancel(&mut self, now: Timestamp, id: RequestId) {
        if let Some(search) = self.asking.remove(&id) {
            self.cancel_asked(&search);
            self.stop_own(now, id);
        }
    }

    pub(super) fn on_timeout_asking(&mut self, now: Timestamp) {
        if self.asking_due().is_none_or(|due| due > now) {
            return;
        }
        let due: Vec<RequestId> = self
            .asking
            .iter()
            .filter(|(_, search)| search.due() <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.on_search_due(now, id);
        }
    }

    fn on_search_due(&mut self, now: Timestamp, id: RequestId) {
        let Some(search) = self.asking.get_mut(&id) else {
            return;
        };
        if search.until <= now {
            let (_, answered) = search
                .last
                .unwrap_or((Ending::Partial, Answered::default()));
            let ending = if search.asked_count == 0 && self.office.is_none() {
                Ending::NoSupernode
            } else {
                Ending::Partial
            };
            self.stop_own(now, id);
            self.finish_search(now, id, ending, answered);
            return;
        }
        if search.waits_until.is_some_and(|at| at <= now) {
            let (ending, answered) = search
                .last
                .unwrap_or((Ending::NoSupernode, Answered::default()));
            self.finish_search(now, id, ending, answered);
            return;
        }
        let mut silent = Vec::new();
        for asked in &mut search.asked {
            if asked.first_by.is_some_and(|at| at <= now) {
                // Nobody waits for it any more, unless it answers after all.
                asked.first_by = None;
                asked.is_over = true;
                silent.push(asked.peer);
            }
        }
        self.ask_next(now, id);
        for peer in silent {
            self.on_dead_source(now, peer, 0);
        }
        self.finish_if_over(now, id);
    }
}
