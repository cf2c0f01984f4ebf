//! Searches at a supernode: of its leaves, and its own. The own index first,
//! then the other supernodes.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_base::{Core as _, PeerAddress, PeerId, Row, Timestamp};

use super::api::RequestId;
use super::message::{Answered, SupernodeMessage};
use super::office::Office;
use super::{Ending, Supernode, SupernodeEvent};
use crate::flood::{self, FloodCommand, FloodOutcome, Question, SearchId, Wanted, hits_messages};

/// Rows of one answer from the own index.
const ROWS_MAX: usize = 200;

/// Whose search it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// This peer's own.
    Own(RequestId),
    /// A leaf's, with its number.
    Leaf(PeerId, u64),
}

#[derive(Debug)]
struct Proxied {
    asker: Asker,
    wanted: Wanted,
    /// What is still missing of what would be enough.
    enough: u32,
    own_rows: u32,
    /// Times that it was asked again.
    retries: u32,
    /// When it is asked again, if it waits for that.
    retry_at: Option<Timestamp>,
}

/// Times that a search is asked again which lost somebody on its way.
// Guess: links that were lost are replaced within seconds.
const RETRIES: u32 = 2;
/// Pause before that.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Searches that are out among the supernodes, by their number there.
#[derive(Debug, Default)]
pub(super) struct Answering {
    proxied: BTreeMap<flood::RequestId, Proxied>,
    next: flood::RequestId,
}

impl Answering {
    fn find(&self, asker: Asker) -> Option<flood::RequestId> {
        let mut all = self.proxied.iter();
        let (id, _) = all.find(|(_, proxied)| proxied.asker == asker)?;
        Some(*id)
    }

    /// When the next search is to be asked again.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let all = self.proxied.values();
        all.filter_map(|proxied| proxied.retry_at).min()
    }

    /// This peer's own searches that are out.
    pub(super) fn own(&self) -> impl Iterator<Item = RequestId> {
        self.proxied
            .values()
            .filter_map(|proxied| match proxied.asker {
                Asker::Own(id) => Some(id),
                Asker::Leaf(..) => None,
            })
    }
}

impl Supernode {
    /// A leaf asks.
    pub(super) fn on_leaf_search(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        (wanted, enough): (Wanted, u32),
    ) {
        let asker = Asker::Leaf(from, request);
        let searches_max = self.config.leaf_searches_max;
        let Some(office) = &mut self.office else {
            self.end_search(now, asker, Ending::NoSupernode, Answered::default());
            return;
        };
        let allowed = match office.leaves.get_mut(&from) {
            Some(card) => card.searches.take(now, 1).is_ok(),
            None => false,
        };
        let is_repeated = office.answering.find(asker).is_some();
        if is_repeated {
            return;
        }
        if !allowed || office.answering.proxied.len() >= searches_max {
            self.counters.dropped += 1;
            self.end_search(now, asker, Ending::TooMany, Answered::default());
            return;
        }
        self.counters.leaf_searches += 1;
        self.search_here(now, asker, wanted, enough);
    }

    /// An own search, on a supernode.
    pub(super) fn search_own(
        &mut self,
        now: Timestamp,
        id: RequestId,
        wanted: Wanted,
        enough: u32,
    ) {
        self.search_here(now, Asker::Own(id), wanted, enough);
    }

    fn search_here(&mut self, now: Timestamp, asker: Asker, wanted: Wanted, enough: u32) {
        let Some(office) = &mut self.office else {
            return;
        };
        let question = Question::from(wanted.clone());
        let (rows, addresses) = office.hub.look_up(&question, ROWS_MAX);
        let found = match &wanted {
            Wanted::Words(_) => rows.len(),
            Wanted::Content(_) => rows.iter().map(|row| row.hits.len()).sum(),
        };
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        let me = self.me;
        self.pass_rows(asker, me, 0, (rows, addresses), true);
        let answered = Answered {
            own_rows: found,
            ..Answered::default()
        };
        let enough = enough.max(1);
        if found >= enough {
            self.end_search(now, asker, Ending::Enough, answered);
            return;
        }
        let Some(office) = &mut self.office else {
            return;
        };
        office.answering.next += 1;
        let id = office.answering.next;
        let proxied = Proxied {
            asker,
            wanted,
            enough: enough - found,
            own_rows: found,
            retries: 0,
            retry_at: None,
        };
        office.answering.proxied.insert(id, proxied);
        self.ask_flood(now, id);
    }

    fn ask_flood(&mut self, now: Timestamp, id: flood::RequestId) {
        let office = self.office.as_mut();
        let proxied = office.and_then(|office| office.answering.proxied.get_mut(&id));
        if let Some(proxied) = proxied {
            proxied.retry_at = None;
            let command = FloodCommand::Search {
                id,
                wanted: proxied.wanted.clone(),
                enough: proxied.enough,
                strategy: None,
            };
            self.flood_command(now, command);
        }
    }

    pub(super) fn on_timeout_answering(&mut self, now: Timestamp) {
        let Some(office) = &self.office else {
            return;
        };
        if office.answering.due().is_none_or(|due| due > now) {
            return;
        }
        let is_due = |proxied: &Proxied| proxied.retry_at.is_some_and(|at| at <= now);
        let due: Vec<flood::RequestId> = office
            .answering
            .proxied
            .iter()
            .filter(|(_, proxied)| is_due(proxied))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.ask_flood(now, id);
        }
    }

    /// Stops a leaf's search.
    pub(super) fn on_leaf_cancel(&mut self, now: Timestamp, from: PeerId, request: u64) {
        self.stop(now, Asker::Leaf(from, request));
    }

    pub(super) fn stop_own(&mut self, now: Timestamp, id: RequestId) {
        self.stop(now, Asker::Own(id));
    }

    fn stop(&mut self, now: Timestamp, asker: Asker) {
        let Some(office) = &mut self.office else {
            return;
        };
        if let Some(id) = office.answering.find(asker) {
            office.answering.proxied.remove(&id);
            self.flood_command(now, FloodCommand::Cancel { id });
        }
    }

    /// Rows go to whoever asked. A leaf hears of the own index's in any case:
    /// it knows then that it is being served.
    fn pass_rows(
        &mut self,
        asker: Asker,
        via: PeerId,
        hops: u8,
        (rows, addresses): (Vec<Row>, Vec<PeerAddress>),
        also_none: bool,
    ) {
        match asker {
            Asker::Own(id) => {
                if !rows.is_empty() {
                    self.event(SupernodeEvent::Rows {
                        id,
                        via,
                        hops,
                        rows,
                        addresses,
                    });
                }
            }
            Asker::Leaf(to, request) => {
                let address = |peer: PeerId| {
                    let mut all = addresses.iter();
                    all.find(|address| address.peer == peer).cloned()
                };
                let mut messages = hits_messages(rows, address);
                if messages.is_empty() && also_none {
                    messages.push(flood::Hits {
                        hops: 0,
                        rows: Vec::new(),
                        addresses: Vec::new(),
                    });
                }
                for mut hits in messages {
                    hits.hops = hops;
                    let hits = Box::new(hits);
                    self.send(to, SupernodeMessage::Rows { request, hits });
                }
            }
        }
    }

    fn end_search(&mut self, now: Timestamp, asker: Asker, ending: Ending, answered: Answered) {
        match asker {
            Asker::Own(id) => self.finish_search(now, id, ending, answered),
            Asker::Leaf(to, request) => self.send(
                to,
                SupernodeMessage::Ended {
                    request,
                    ending,
                    answered: Box::new(answered),
                },
            ),
        }
    }

    pub(super) fn on_flood_rows(
        &mut self,
        (id, via, hops): (flood::RequestId, PeerId, u8),
        rows: Vec<Row>,
        addresses: Vec<PeerAddress>,
    ) {
        let Some(office) = &self.office else {
            return;
        };
        if let Some(proxied) = office.answering.proxied.get(&id) {
            let asker = proxied.asker;
            self.pass_rows(asker, via, hops, (rows, addresses), false);
        }
    }

    pub(super) fn on_flood_ended(
        &mut self,
        now: Timestamp,
        id: flood::RequestId,
        outcome: &FloodOutcome,
    ) {
        let Some(office) = &mut self.office else {
            return;
        };
        let is_alone = self.book.fresh(now, self.config.fresh) == 0;
        let is_broken = match outcome.ending {
            flood::Ending::Partial | flood::Ending::Horizon => outcome.coverage.silent > 0,
            flood::Ending::NoNeighbours => !is_alone,
            _ => false,
        };
        if let Some(proxied) = office.answering.proxied.get_mut(&id)
            && is_broken
            && proxied.retries < RETRIES
        {
            proxied.retries += 1;
            proxied.retry_at = Some(now + RETRY_PAUSE);
            return;
        }
        let Some(proxied) = office.answering.proxied.remove(&id) else {
            return;
        };
        let ending = match outcome.ending {
            flood::Ending::Enough => Ending::Enough,
            flood::Ending::Everybody => Ending::Everybody,
            flood::Ending::Horizon | flood::Ending::Partial => Ending::Partial,
            flood::Ending::NoNeighbours if is_alone => Ending::Everybody,
            flood::Ending::NoNeighbours => Ending::Partial,
            flood::Ending::TooMany => Ending::TooMany,
        };
        let answered = Answered {
            own_rows: proxied.own_rows,
            coverage: outcome.coverage,
            rounds: outcome.rounds,
            ttl: outcome.ttl,
        };
        self.end_search(now, proxied.asker, ending, answered);
    }

    /// Another supernode asks.
    pub(super) fn on_flood_asked(
        &mut self,
        now: Timestamp,
        search: SearchId,
        question: &Question,
        rows_max: usize,
    ) {
        let Some(office) = &mut self.office else {
            return;
        };
        let (rows, addresses) = office.hub.look_up(question, rows_max);
        let command = FloodCommand::Answer {
            search,
            rows,
            addresses,
        };
        office.flood.handle_command(now, command);
    }

    /// The office closes: own searches that were out begin anew, at whoever
    /// serves this leaf then.
    pub(super) fn searches_from_office(&mut self, office: &Office) {
        for id in office.answering.own() {
            if let Some(search) = self.asking.get_mut(&id) {
                search.restart();
            }
        }
    }
}
