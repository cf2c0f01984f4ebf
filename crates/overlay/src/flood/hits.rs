//! Answers on their way back.

use std::net::SocketAddr;

use gannet_base::{PeerAddress, PeerId, Row, Timestamp};

use super::Flood;
use super::message::{
    FloodMessage, HITS_BYTES_MAX, HITS_BYTES_RELAYED_MAX, HITS_MAX, HITS_ROWS_MAX, Hits, SearchId,
    hits_bytes, holder_bytes, peer_address, row_bytes,
};
use super::seen::ORIGIN;
use super::slots::Slot;

impl Flood {
    /// What this peer itself has goes to where the best copy came from.
    pub(super) fn on_answer(&mut self, now: Timestamp, search: SearchId, mut rows: Vec<Row>) {
        let Some(seen) = self.seen.find(search) else {
            return;
        };
        let (back, open) = (seen.back, seen.open);
        if back.slot == ORIGIN {
            return;
        }
        rows.truncate(self.config.rows_per_answer);
        if let Some(open) = self.opens.at_mut(open).filter(|open| open.search == search) {
            let answers = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            open.coverage.answers = open.coverage.answers.saturating_add(answers);
        }
        if let Some(to) = self.neighbours.behind(back) {
            for hits in self.in_messages(rows) {
                self.counters.hits_sent += 1;
                self.outbox
                    .send(to, FloodMessage::Hits(search, Box::new(hits)));
            }
        }
        self.on_answered(now, open);
    }

    /// Cuts rows into messages within their limits.
    fn in_messages(&self, rows: Vec<Row>) -> Vec<Hits> {
        let addresses = self.joining.announced();
        let own = (!addresses.is_empty()).then(|| peer_address(self.me, addresses));
        let own_bytes = own.as_ref().map_or(0, holder_bytes);
        let mut messages: Vec<Hits> = Vec::new();
        let (mut bytes, mut count) = (0, 0);
        for mut row in rows {
            row.hits.truncate(HITS_MAX);
            while row_bytes(&row) + own_bytes > HITS_BYTES_MAX && row.hits.len() > 1 {
                row.hits.pop();
            }
            let (row_bytes, row_hits) = (row_bytes(&row), row.hits.len());
            if row_hits == 0 {
                continue;
            }
            let fits = messages.last().is_some_and(|hits| {
                hits.rows.len() < HITS_ROWS_MAX
                    && count + row_hits <= HITS_MAX
                    && bytes + row_bytes <= HITS_BYTES_MAX
            });
            if !fits {
                (bytes, count) = (own_bytes, 0);
                messages.push(Hits {
                    hops: 0,
                    rows: Vec::new(),
                    addresses: own.iter().cloned().collect(),
                });
            }
            bytes += row_bytes;
            count += row_hits;
            messages.last_mut().expect("one was made").rows.push(row);
        }
        messages
    }

    /// Hits are taken from whom the question was passed on to, and go to whom
    /// it came from.
    pub(super) fn on_hits(
        &mut self,
        now: Timestamp,
        from: Slot,
        search: SearchId,
        mut hits: Box<Hits>,
    ) {
        if self.on_own_hits(now, from, search, &mut hits) {
            return;
        }
        let rows_max = self.config.rows_per_search;
        let serial = self.neighbours.at(from).map(|neighbour| neighbour.serial);
        let known = self.seen.find(search).filter(|seen| {
            seen.asked.contains(from) && serial.is_some_and(|serial| serial <= seen.back.serial)
        });
        let Some(seen) = known else {
            self.counters.hits_unasked += 1;
            self.strike(now, from);
            return;
        };
        let rows = u16::try_from(hits.rows.len()).unwrap_or(u16::MAX);
        let passed = seen.rows.saturating_add(rows);
        let back = seen.back;
        let nowhere = back.slot == ORIGIN || back.slot == from;
        if nowhere || passed > rows_max || hits.hops >= self.config.ttl_max {
            self.counters.hits_dropped += 1;
            return;
        }
        seen.rows = passed;
        let Some(to) = self.neighbours.behind(back) else {
            self.counters.hits_dropped += 1;
            return;
        };
        self.note_seen_address(from, &mut hits);
        hits.hops += 1;
        self.counters.hits_passed += 1;
        self.outbox.send(to, FloodMessage::Hits(search, hits));
    }

    /// Whoever is next to the answerer knows where it really is.
    pub(super) fn note_seen_address(&self, from: Slot, hits: &mut Hits) {
        if hits.hops > 0 {
            return;
        }
        let Some(neighbour) = self.neighbours.at(from) else {
            return;
        };
        let seen = neighbour.care.as_ref().map_or(&[][..], |care| &care.seen);
        if seen.is_empty() {
            return;
        }
        let before = hits.addresses.clone();
        put_first(&mut hits.addresses, neighbour.peer, seen);
        if hits_bytes(hits) > HITS_BYTES_RELAYED_MAX {
            hits.addresses = before;
        }
    }
}

/// Puts these addresses of a peer before those that it names itself.
fn put_first(holders: &mut Vec<PeerAddress>, peer: PeerId, seen: &[SocketAddr]) {
    let position = holders.iter().position(|holder| holder.peer == peer);
    let mut addresses = seen.to_vec();
    match position {
        Some(position) => {
            let named = std::mem::take(&mut holders[position].addresses);
            addresses.extend(named.into_iter().filter(|address| !seen.contains(address)));
            addresses.truncate(PeerAddress::ADDRESSES_MAX);
            holders[position].addresses = addresses;
        }
        None if holders.len() < HITS_MAX => {
            addresses.truncate(PeerAddress::ADDRESSES_MAX);
            holders.push(PeerAddress { peer, addresses });
        }
        None => {}
    }
}
