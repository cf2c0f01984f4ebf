//! Questions to all hubs at once, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId, Query, Row, Timestamp};
use gannet_index::Expression;

use super::connection::Phase;
use super::health::Rtt;
use super::log::Revision;
use super::{HubClient, HubClientEvent, HubOutcome, Outcome, RequestId};
use crate::hub::address::is_dialable;
use crate::hub::message::{Budget, HolderAddresses, HubMessage, Refusal};

/// A page: rows, addresses of their holders, total, where the next starts.
pub(super) type PageOfRows = (Vec<Row>, Vec<HolderAddresses>, u64, Option<u32>);

/// What the caller wants found.
#[derive(Debug)]
enum Goal {
    Matches {
        query: Query,
        expression: Expression,
    },
    Holders {
        content: ContentId,
    },
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    goal: Goal,
    limit: u32,
    started: Timestamp,
    pub(super) deadline: Timestamp,
    parts: BTreeMap<PeerId, Part>,
}

/// One hub's part in a search.
#[derive(Debug, Default)]
struct Part {
    /// Once it is over.
    ended: Option<(Outcome, Duration)>,
    /// It is under way, as this question.
    request: Option<u64>,
    /// What came from this hub; at most the limit.
    seen: BTreeSet<ContentId>,
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Ask {
    hub: PeerId,
    purpose: Purpose,
    message: HubMessage,
    asked_at: Timestamp,
    attempts: u32,
    pub(super) resend_at: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Purpose {
    Page { id: RequestId, offset: u32 },
    Canary { canary: Revision, number: u64 },
}

impl HubClient {
    pub(super) fn on_search(&mut self, now: Timestamp, id: RequestId, query: Query, limit: u32) {
        let goal = Expression::parse(&query).map(|expression| Goal::Matches { query, expression });
        self.start(now, id, goal.ok(), limit);
    }

    pub(super) fn on_sources(&mut self, now: Timestamp, id: RequestId, content: ContentId) {
        self.start(now, id, Some(Goal::Holders { content }), 1);
    }

    /// Starts a search at all hubs. Without a goal, or beyond the limit, it
    /// ends at once, refused in the hubs' place.
    fn start(&mut self, now: Timestamp, id: RequestId, goal: Option<Goal>, limit: u32) {
        self.on_cancel(id);
        let searches_max = self.config.searches_max;
        let refusal = if goal.is_none() {
            Some(Refusal::of(Budget::Invalid, 0))
        } else if self.searches.len() >= searches_max {
            Some(Refusal::of(Budget::Pending, searches_max))
        } else {
            None
        };
        let (Some(goal), None) = (goal, refusal) else {
            let reason = refusal.unwrap_or(Refusal::of(Budget::Invalid, 0));
            let refused = |hub| HubOutcome {
                hub,
                outcome: Outcome::Refused { reason },
                elapsed: Duration::ZERO,
            };
            let asked = self.hubs.ids().map(refused).collect();
            self.event(HubClientEvent::Ended { id, asked });
            return;
        };
        let hubs: Vec<PeerId> = self.hubs.ids().collect();
        let search = Search {
            goal,
            limit: limit.clamp(1, self.config.rows_max.max(1)),
            started: now,
            deadline: now + self.config.search_timeout,
            parts: hubs.iter().map(|hub| (*hub, Part::default())).collect(),
        };
        self.searches.insert(id, search);
        for hub in hubs {
            match self.hubs.get(hub).map(|state| &state.phase) {
                Some(Phase::Live) => self.ask_page(now, hub, id, 0),
                // Asked when it is welcomed.
                Some(Phase::Dialing { .. } | Phase::Greeting(_)) => {}
                Some(Phase::Resting { .. }) | None => {
                    self.end_part(now, id, hub, Outcome::NotConnected);
                }
            }
        }
        self.end_if_over(id);
    }

    pub(super) fn on_cancel(&mut self, id: RequestId) {
        if let Some(search) = self.searches.remove(&id) {
            for part in search.parts.values() {
                if let Some(request) = part.request {
                    self.asks.remove(&request);
                }
            }
        }
    }

    /// A hub has come up: what waited for it is asked.
    pub(super) fn ask_waiting(&mut self, now: Timestamp, hub: PeerId) {
        let waits = |part: &Part| part.ended.is_none() && part.request.is_none();
        let waiting: Vec<RequestId> = self
            .searches
            .iter()
            .filter(|(_, search)| search.parts.get(&hub).is_some_and(waits))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.ask_page(now, hub, id, 0);
        }
    }

    fn ask_page(&mut self, now: Timestamp, hub: PeerId, id: RequestId, offset: u32) {
        let request = self.next_request;
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let Some(part) = search.parts.get_mut(&hub) else {
            return;
        };
        let seen = u32::try_from(part.seen.len()).unwrap_or(u32::MAX);
        let wanted = search.limit.saturating_sub(seen).max(1);
        let message = match &search.goal {
            Goal::Matches { query, .. } => HubMessage::Search {
                request,
                query: query.clone(),
                offset,
                limit: u16::try_from(wanted)
                    .unwrap_or(u16::MAX)
                    .min(self.config.page_rows.max(1)),
            },
            Goal::Holders { content } => HubMessage::Sources {
                request,
                content: *content,
            },
        };
        part.request = Some(request);
        self.ask(now, hub, Purpose::Page { id, offset }, message);
    }

    pub(super) fn ask_for_canary(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        (canary, number): (Revision, u64),
        content: ContentId,
    ) {
        let request = self.next_request;
        let message = HubMessage::Sources { request, content };
        self.ask(now, hub, Purpose::Canary { canary, number }, message);
    }

    /// Sends a question whose number is `next_request`.
    fn ask(&mut self, now: Timestamp, hub: PeerId, purpose: Purpose, message: HubMessage) {
        let ask = Ask {
            hub,
            purpose,
            message: message.clone(),
            asked_at: now,
            attempts: 1,
            resend_at: now + self.question_pause(hub, 0),
        };
        self.asks.insert(self.next_request, Box::new(ask));
        self.next_request = self.next_request.wrapping_add(1);
        self.send(hub, message);
    }

    /// How long to wait for an answer before asking again. Users wait for
    /// searches: a lost page is asked for again soon, then less often.
    pub(super) fn question_pause(&self, hub: PeerId, attempts: u32) -> Duration {
        let rtt = self.hubs.get(hub).and_then(|state| state.canary_rtt);
        let rtt = rtt.map(Rtt::duration);
        let first = (rtt.unwrap_or_default() * 4).max(self.config.resend_min);
        (first * (1 << attempts.min(10))).min(self.config.answer_timeout)
    }

    pub(super) fn on_rows(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        request: u64,
        offset: u32,
        page: PageOfRows,
    ) {
        // Late, repeated, or never asked for: the first is common, so nobody
        // is blamed.
        let Some(ask) = self.asks.get(&request).filter(|ask| ask.hub == hub) else {
            return;
        };
        let (purpose, asked_at) = (ask.purpose, ask.asked_at);
        match purpose {
            Purpose::Canary { canary, number } => {
                self.asks.remove(&request);
                self.on_canary_answer(now, hub, (canary, number, asked_at), &page.0);
            }
            Purpose::Page { id, offset: asked } if asked == offset => {
                self.asks.remove(&request);
                self.on_page(now, hub, id, offset, page);
            }
            Purpose::Page { .. } => self.on_strike(now, hub),
        }
    }

    fn on_page(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        id: RequestId,
        offset: u32,
        (rows, addresses, total, next): PageOfRows,
    ) {
        let Some(search) = self.searches.get_mut(&id) else {
            return;
        };
        let Some(part) = search.parts.get_mut(&hub) else {
            return;
        };
        part.request = None;
        let came = rows.len();
        let room = usize::try_from(search.limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(part.seen.len());
        let mut good: Vec<Row> = Vec::new();
        let mut bad = 0;
        for mut row in rows {
            if !is_sound(&row) {
                bad += 1;
                continue;
            }
            match &search.goal {
                Goal::Matches { expression, .. } => {
                    row.hits.retain(|hit| expression.matches(hit.entry()));
                }
                Goal::Holders { content } => row.hits.retain(|_| row.content == *content),
            }
            if row.hits.is_empty() {
                bad += 1;
            } else if good.len() < room && part.seen.insert(row.content) {
                good.push(row);
            }
        }
        let full = good.len() >= room;
        // A later version may match a little differently; a page with nothing
        // right in it is nonsense.
        let nonsense = came > 0 && bad == came;
        if !good.is_empty() {
            let addresses = addresses_of(&good, addresses);
            let rows = good;
            self.event(HubClientEvent::Rows {
                id,
                hub,
                rows,
                addresses,
            });
        }
        // Rows that come with each further page: nobody can be kept asking.
        let advanced = next.filter(|next| *next > offset && came > 0 && !nonsense && !full);
        match advanced {
            Some(next) => self.ask_page(now, hub, id, next),
            None => self.end_part(now, id, hub, Outcome::Answered { total }),
        }
        if nonsense {
            self.on_strike(now, hub);
        }
        self.end_if_over(id);
    }

    pub(super) fn on_question_refused(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        request: u64,
        refusal: Refusal,
    ) {
        let Some(ask) = self.asks.get_mut(&request).filter(|ask| ask.hub == hub) else {
            return;
        };
        match ask.purpose {
            // Alive, and busy with us: as good as an answer.
            Purpose::Canary { .. } => {
                self.asks.remove(&request);
                self.end_canary(hub);
            }
            Purpose::Page { id, .. } => {
                let again_at = now + refusal.retry_after();
                let deadline = self.searches.get(&id).map(|search| search.deadline);
                let patient = refusal.retry_after_ms > 0 && deadline.is_some_and(|d| again_at < d);
                if patient {
                    ask.resend_at = again_at;
                } else {
                    self.asks.remove(&request);
                    self.end_part(now, id, hub, Outcome::Refused { reason: refusal });
                    self.end_if_over(id);
                }
            }
        }
    }

    /// A hub is not there any more: whatever it was asked stays unanswered.
    pub(super) fn on_hub_gone(&mut self, now: Timestamp, hub: PeerId) {
        self.asks.retain(|_, ask| ask.hub != hub);
        self.end_canary(hub);
        let ids: Vec<RequestId> = self.searches.keys().copied().collect();
        for id in ids {
            let asked = self
                .searches
                .get(&id)
                .and_then(|search| search.parts.get(&hub))
                .is_some_and(|part| part.request.is_some());
            let outcome = if asked {
                Outcome::NoAnswer
            } else {
                Outcome::NotConnected
            };
            self.end_part(now, id, hub, outcome);
            self.end_if_over(id);
        }
    }

    fn end_part(&mut self, now: Timestamp, id: RequestId, hub: PeerId, outcome: Outcome) {
        if let Some(search) = self.searches.get_mut(&id)
            && let Some(part) = search.parts.get_mut(&hub)
            && part.ended.is_none()
        {
            part.request = None;
            part.seen.clear();
            part.ended = Some((outcome, now - search.started));
        }
    }

    fn end_if_over(&mut self, id: RequestId) {
        let over = |search: &Search| search.parts.values().all(|part| part.ended.is_some());
        if !self.searches.get(&id).is_some_and(over) {
            return;
        }
        let Some(search) = self.searches.remove(&id) else {
            return;
        };
        let asked = search
            .parts
            .into_iter()
            .filter_map(|(hub, part)| {
                let (outcome, elapsed) = part.ended?;
                Some(HubOutcome {
                    hub,
                    outcome,
                    elapsed,
                })
            })
            .collect();
        self.event(HubClientEvent::Ended { id, asked });
    }

    pub(super) fn on_searches_timeout(&mut self, now: Timestamp) {
        let due: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.resend_at <= now)
            .map(|(request, _)| *request)
            .collect();
        for request in due {
            self.on_ask_timeout(now, request);
        }
        let late: Vec<RequestId> = self
            .searches
            .iter()
            .filter(|(_, search)| search.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.on_search_timeout(now, id);
        }
    }

    fn on_ask_timeout(&mut self, now: Timestamp, request: u64) {
        let Some(ask) = self.asks.get(&request) else {
            return;
        };
        let (hub, purpose, attempts) = (ask.hub, ask.purpose, ask.attempts);
        let unanswered = now - ask.asked_at;
        if unanswered < self.config.silence_max {
            let pause = self.question_pause(hub, attempts);
            if let Some(ask) = self.asks.get_mut(&request) {
                ask.attempts += 1;
                ask.resend_at = (now + pause).min(ask.asked_at + self.config.silence_max);
                let message = ask.message.clone();
                self.send(hub, message);
            }
            return;
        }
        self.asks.remove(&request);
        match purpose {
            Purpose::Canary { .. } => {
                self.on_down(now, hub, super::DownReason::Silent { unanswered });
            }
            Purpose::Page { id, .. } => {
                self.end_part(now, id, hub, Outcome::NoAnswer);
                self.end_if_over(id);
                self.suspect(now, hub);
            }
        }
    }

    fn on_search_timeout(&mut self, now: Timestamp, id: RequestId) {
        let Some(search) = self.searches.get(&id) else {
            return;
        };
        let open: Vec<(PeerId, Option<u64>)> = search
            .parts
            .iter()
            .filter(|(_, part)| part.ended.is_none())
            .map(|(hub, part)| (*hub, part.request))
            .collect();
        for (hub, request) in open {
            match request {
                Some(request) => {
                    self.asks.remove(&request);
                    self.end_part(now, id, hub, Outcome::NoAnswer);
                    self.suspect(now, hub);
                }
                None => self.end_part(now, id, hub, Outcome::NotConnected),
            }
        }
        self.end_if_over(id);
    }

    /// A question was not answered: is the hub there at all?
    fn suspect(&mut self, now: Timestamp, hub: PeerId) {
        if let Some(state) = self.hubs.get_mut(hub).filter(|state| state.is_live()) {
            state.keepalive.ask_soon(now);
        }
    }

    pub(super) fn on_pause_searches(&mut self, now: Timestamp) {
        for ask in self.asks.values_mut() {
            ask.attempts = 0;
            ask.asked_at = now;
            ask.resend_at = now;
        }
        for search in self.searches.values_mut() {
            search.deadline = search.deadline.max(now);
        }
    }
}

/// Whether a row says anything at all: one content, distinct holders, as many
/// as it claims.
fn is_sound(row: &Row) -> bool {
    let mut holders = BTreeSet::new();
    let named = u32::try_from(row.hits.len()).unwrap_or(u32::MAX);
    named <= row.holders
        && row.hits.iter().all(|hit| {
            hit.entry().content == row.content
                && hit.entry().validate().is_ok()
                && holders.insert(hit.holder())
        })
}

/// The addresses of these rows' holders that can be dialled at all.
fn addresses_of(rows: &[Row], addresses: Vec<HolderAddresses>) -> Vec<PeerAddress> {
    let mut wanted: BTreeSet<PeerId> = rows
        .iter()
        .flat_map(|row| &row.hits)
        .map(gannet_base::Hit::holder)
        .collect();
    addresses
        .into_iter()
        .filter(|one| wanted.remove(&one.holder))
        .map(|one| PeerAddress {
            peer: one.holder,
            addresses: one.addresses.into_iter().filter(is_dialable).collect(),
        })
        .filter(|one| !one.addresses.is_empty())
        .collect()
}
