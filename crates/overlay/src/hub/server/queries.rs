//! Questions: each peer's in turn, within its own budget.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId, Query, Row, Timestamp};
use gannet_index::{Expression, Page, Rows};

use super::HubServer;
use crate::hub::address::is_dialable;
use crate::hub::chain::publication_bytes;
use crate::hub::config::ANSWER_BYTES_LIMIT;
use crate::hub::message::{
    Budget, HolderAddresses, HubMessage, PAGE_ROWS_MAX, ROW_HITS_MAX, Refusal,
};

/// A row's bytes besides its hits: content, count, length.
const ROW_BYTES: usize = 32 + 5 + 5;
/// Upper bound of one address's encoding: family, IPv6, port.
const ADDRESS_BYTES: usize = 1 + 16 + 3;

/// Something a peer wants to know.
#[derive(Debug, Clone)]
pub(super) struct Question {
    request: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Search {
        query: Query,
        offset: u32,
        limit: u16,
    },
    Sources {
        content: ContentId,
    },
}

impl Question {
    pub(super) fn search(request: u64, query: Query, offset: u32, limit: u16) -> Self {
        Self {
            request,
            what: What::Search {
                query,
                offset,
                limit,
            },
        }
    }

    pub(super) fn sources(request: u64, content: ContentId) -> Self {
        Self {
            request,
            what: What::Sources { content },
        }
    }
}

impl HubServer {
    pub(super) fn on_question(&mut self, now: Timestamp, peer: PeerId, question: Question) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        // Asked again because the answer takes long: it waits already.
        if session
            .questions
            .iter()
            .any(|waiting| waiting.request == question.request)
        {
            return;
        }
        if session.questions.len() >= self.config.pending_max {
            let (rate, max) = (self.config.queries_per_second, self.config.pending_max);
            let waiting_ms = max as u64 * 1_000 / u64::from(rate.max(1));
            let refusal = Refusal {
                budget: Budget::Pending,
                max: max as u64,
                retry_after_ms: u32::try_from(waiting_ms).unwrap_or(u32::MAX),
            };
            self.refuse(now, peer, question.request, refusal);
            return;
        }
        session.questions.push(question);
        if session.questions.len() == 1 {
            self.set_questions_due(peer, now);
            self.answer_next(now, peer);
        }
    }

    /// Answers what the askers' budgets allow by now, one question of each
    /// peer in turn.
    pub(super) fn answer_waiting(&mut self, now: Timestamp) {
        while let Some((due, peer)) = self.waiting.first().copied()
            && due <= now
        {
            self.answer_next(now, peer);
        }
    }

    /// Answers a peer's first question if its budget allows, and says when the
    /// next one is due: later than everybody who is due by now.
    fn answer_next(&mut self, now: Timestamp, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        match session.queries.take(now, 1) {
            Ok(()) => {
                let first = !session.questions.is_empty();
                let question = first.then(|| session.questions.remove(0));
                if session.questions.is_empty() {
                    // Most peers ask rarely, and there are many.
                    session.questions = Vec::new();
                }
                // After everybody else who is due now.
                self.set_questions_due(peer, now + Duration::from_micros(1));
                if let Some(question) = question {
                    self.answer(now, peer, question);
                }
            }
            Err(wait) => self.set_questions_due(peer, now + wait),
        }
    }

    pub(super) fn set_questions_due(&mut self, peer: PeerId, due: Timestamp) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            self.waiting.remove(&(session.questions_due, peer));
            session.questions_due = due;
            if !session.questions.is_empty() {
                self.waiting.insert((due, peer));
            }
        }
    }

    fn refuse(&mut self, now: Timestamp, peer: PeerId, request: u64, refusal: Refusal) {
        self.on_refusal(now, peer, refusal);
        let message = HubMessage::Refused {
            request: Some(request),
            refusal,
        };
        self.send(peer, message);
    }

    fn answer(&mut self, now: Timestamp, peer: PeerId, question: Question) {
        self.counters.searches += 1;
        let request = question.request;
        match question.what {
            What::Search {
                query,
                offset,
                limit,
            } => match Expression::parse(&query) {
                Ok(expression) => self.answer_search(peer, request, &expression, offset, limit),
                Err(_) => self.refuse(now, peer, request, Refusal::of(Budget::Invalid, 0)),
            },
            What::Sources { content } => {
                let row = self.index.holders(content, ROW_HITS_MAX);
                let rows = row.into_iter().collect::<Vec<_>>();
                let total = rows.len() as u64;
                self.send_rows(peer, request, 0, rows, total, None);
            }
        }
    }

    fn answer_search(
        &mut self,
        peer: PeerId,
        request: u64,
        expression: &Expression,
        offset: u32,
        limit: u16,
    ) {
        let limit = u32::from(limit).min(u32::try_from(PAGE_ROWS_MAX).unwrap_or(u32::MAX));
        let page = Page {
            offset,
            limit,
            hits_per_row: u32::try_from(self.config.hits_per_row.max(1)).unwrap_or(u32::MAX),
        };
        let Rows { rows, total, .. } = self.index.search(expression, page);
        let found = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(found);
        let next = (found > 0 && u64::from(end) < total).then_some(end);
        self.send_rows(peer, request, offset, rows, total, next);
    }

    /// Sends the first rows that fit one message; where they end, `next` says.
    fn send_rows(
        &mut self,
        peer: PeerId,
        request: u64,
        offset: u32,
        rows: Vec<Row>,
        total: u64,
        mut next: Option<u32>,
    ) {
        let mut room = self.config.answer_bytes_max.min(ANSWER_BYTES_LIMIT);
        let mut taken: Vec<Row> = Vec::new();
        let mut addresses = Vec::new();
        let mut named = BTreeSet::new();
        for mut row in rows {
            let before = (room, addresses.len());
            room = room.saturating_sub(ROW_BYTES);
            let hits = std::mem::take(&mut row.hits);
            let wanted = hits.len();
            for hit in hits {
                let holder = hit.holder();
                let known = if named.contains(&holder) {
                    None
                } else {
                    Some(self.addresses_of(holder)).filter(|known| !known.is_empty())
                };
                let known_bytes = known
                    .as_ref()
                    .map_or(0, |known| 32 + 1 + known.len() * ADDRESS_BYTES);
                let bytes = publication_bytes(&hit.publication) + known_bytes;
                if bytes > room {
                    break;
                }
                room -= bytes;
                named.insert(holder);
                addresses.extend(known.map(|addresses| HolderAddresses { holder, addresses }));
                row.hits.push(hit);
            }
            // Only the first row may be cut short: the others can come whole
            // in the next message.
            let whole = row.hits.len() == wanted;
            if !whole && !taken.is_empty() {
                addresses.truncate(before.1);
                let sent = u32::try_from(taken.len()).unwrap_or(u32::MAX);
                next = Some(offset.saturating_add(sent));
                break;
            }
            taken.push(row);
        }
        let message = HubMessage::Rows {
            request,
            offset,
            rows: taken,
            addresses,
            total,
            next,
        };
        self.send(peer, message);
    }

    /// Where a holder can be reached: where it was seen, then what it claims
    /// of its own network.
    pub(crate) fn addresses_of(&self, holder: PeerId) -> Vec<std::net::SocketAddr> {
        let seen = self.seen.get(&holder).into_iter().flatten();
        let seen = seen.filter(|address| is_dialable(address));
        let announced = self
            .sessions
            .get(&holder)
            .map(|session| session.addresses.iter());
        let mut addresses: Vec<std::net::SocketAddr> = Vec::new();
        for address in seen.chain(announced.into_iter().flatten()) {
            if addresses.len() < PeerAddress::ADDRESSES_MAX && !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses
    }
}
