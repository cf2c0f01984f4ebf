//! Answers on their way back.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use gannet_base::{PeerAddress, PeerId, Row, Timestamp};

use super::Flood;
use super::message::{
    FloodMessage, HITS_BYTES_MAX, HITS_BYTES_RELAYED_MAX, HITS_MAX, HITS_ROWS_MAX, Hits, ROW_BYTES,
    SearchId, hit_bytes, hits_bytes, holder_bytes, peer_address, rows_weight,
};
use super::seen::ORIGIN;
use super::slots::Slot;

/// Cuts rows into messages within their limits, in order, each with the
/// addresses of the holders that it names. `address_of` says where a holder can
/// be reached: at nowhere is as good as `None`. Rows without hits are left out;
/// of a row that fits no message the last hits are.
pub(crate) fn hits_messages(
    rows: Vec<Row>,
    address_of: impl Fn(PeerId) -> Option<PeerAddress>,
) -> Vec<Hits> {
    let mut done: Vec<Hits> = Vec::new();
    let mut filling = Filling::default();
    for mut row in rows {
        row.hits.truncate(HITS_MAX);
        if row.hits.is_empty() {
            continue;
        }
        if let Err(row) = filling.put(row, &address_of) {
            done.extend(std::mem::take(&mut filling).finish());
            // Into an empty message goes as much of it as fits.
            let _ = filling.put(row, &address_of);
        }
    }
    done.extend(filling.finish());
    done
}

/// A message that is being filled.
#[derive(Default)]
struct Filling {
    rows: Vec<Row>,
    addresses: Vec<PeerAddress>,
    /// Holders whose addresses were looked up.
    named: BTreeSet<PeerId>,
    hits: usize,
    bytes: usize,
}

impl Filling {
    /// Puts in a row with its holders, or gives it back if there is no room. In
    /// an empty message there is room for at least one hit; the rest is cut.
    fn put(
        &mut self,
        mut row: Row,
        address_of: impl Fn(PeerId) -> Option<PeerAddress>,
    ) -> Result<(), Row> {
        if self.rows.len() >= HITS_ROWS_MAX || self.hits + row.hits.len() > HITS_MAX {
            return Err(row);
        }
        let addresses_before = self.addresses.len();
        let mut bytes = self.bytes + ROW_BYTES;
        let mut fitting = 0;
        for hit in &row.hits {
            let holder = hit.holder();
            let address = self.named.insert(holder).then(|| address_of(holder));
            let mut address = address.flatten().filter(|one| !one.addresses.is_empty());
            if let Some(address) = &mut address {
                address.addresses.truncate(PeerAddress::ADDRESSES_MAX);
            }
            bytes += hit_bytes(hit) + address.as_ref().map_or(0, holder_bytes);
            if bytes > HITS_BYTES_MAX {
                break;
            }
            self.addresses.extend(address);
            fitting += 1;
        }
        if fitting < row.hits.len() && !self.rows.is_empty() {
            // This message is full, so that nobody asks any more who was named.
            self.addresses.truncate(addresses_before);
            return Err(row);
        }
        row.hits.truncate(fitting);
        self.bytes = bytes;
        self.hits += fitting;
        self.rows.push(row);
        Ok(())
    }

    fn finish(self) -> Option<Hits> {
        (!self.rows.is_empty()).then_some(Hits {
            hops: 0,
            rows: self.rows,
            addresses: self.addresses,
        })
    }
}

impl Flood {
    /// What this peer has, or those for whom it answers, goes to where the best
    /// copy came from.
    pub(super) fn on_answer(
        &mut self,
        now: Timestamp,
        search: SearchId,
        mut rows: Vec<Row>,
        mut addresses: Vec<PeerAddress>,
    ) {
        let Some(seen) = self.seen.find(search) else {
            return;
        };
        let (back, open) = (seen.back, seen.open);
        if back.slot == ORIGIN {
            return;
        }
        rows.retain(|row| !row.hits.is_empty());
        rows.truncate(self.config.rows_per_answer);
        if let Some(open) = self.opens.at_mut(open).filter(|open| open.search == search) {
            let answers = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            open.coverage.answers = open.coverage.answers.saturating_add(answers);
        }
        if let Some(to) = self.neighbours.behind(back) {
            addresses.sort_by_key(|address| address.peer);
            let own = self.joining.announced();
            let address_of =
                |holder| match addresses.binary_search_by_key(&holder, |address| address.peer) {
                    Ok(position) => Some(addresses[position].clone()),
                    Err(_) => (holder == self.me).then(|| peer_address(holder, own)),
                };
            for hits in hits_messages(rows, address_of) {
                self.counters.hits_sent += 1;
                self.outbox
                    .send(to, FloodMessage::Hits(search, Box::new(hits)));
            }
        }
        self.on_answered(now, open);
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
        let passed = seen.rows.saturating_add(rows_weight(&hits.rows));
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

    /// Whoever is next to the answerer knows where it really is; to say so makes
    /// sense only if it has something itself.
    pub(super) fn note_seen_address(&self, from: Slot, hits: &mut Hits) {
        if hits.hops > 0 {
            return;
        }
        let Some(neighbour) = self.neighbours.at(from) else {
            return;
        };
        let seen = neighbour.care.as_ref().map_or(&[][..], |care| &care.seen);
        let mut named = hits.rows.iter().flat_map(|row| &row.hits);
        if seen.is_empty() || !named.any(|hit| hit.holder() == neighbour.peer) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gannet_base::wire::{SignatureBytes, WireMessage as _, encode};
    use gannet_base::{ContentId, FileEntry, Hit, Media, Output, Publication, WallTime};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::flood::tests::row as one_row;
    use crate::flood::tests::{ask, command, config, fixed, hits as answer, id, reports, say};
    use crate::flood::{Config, FloodCommand};

    /// A long path has long titles too.
    fn hit(content: ContentId, holder: u8, path_bytes: usize) -> Hit {
        let text = (path_bytes > 500).then(|| "t".repeat(256));
        Hit {
            publication: Publication {
                entry: FileEntry {
                    content,
                    size: u64::MAX,
                    path: "p".repeat(path_bytes),
                    media: Media {
                        title: text.clone(),
                        artist: text.clone(),
                        album: text,
                        ..Media::default()
                    },
                },
                holder: PeerId::from_bytes([holder; 32]),
                expires: WallTime::from_unix_seconds(u64::MAX),
                signature: SignatureBytes([9; 64]),
            },
        }
    }

    fn row(number: usize, hits: Vec<(u8, usize)>) -> Row {
        let content = ContentId::of(&number.to_le_bytes());
        let hits = hits.into_iter();
        Row {
            content,
            holders: 77,
            hits: hits.map(|(of, bytes)| hit(content, of, bytes)).collect(),
        }
    }

    /// A third of all are reachable nowhere, and some at more addresses than
    /// are told of.
    fn address_of(holder: PeerId) -> Option<PeerAddress> {
        let number = holder.as_bytes()[0];
        let address = |n| SocketAddr::from(([0xfd, 0, 0, 0, 0, 0, 0, n], 65_535));
        (!number.is_multiple_of(3)).then(|| PeerAddress {
            peer: holder,
            addresses: (0..u16::from(number % 11)).map(address).collect(),
        })
    }

    #[track_caller]
    fn check(rows: Vec<Row>, may_cut: bool) -> Vec<Hits> {
        let messages = hits_messages(rows.clone(), address_of);
        for hits in &messages {
            let message = FloodMessage::Hits(SearchId(u64::MAX), Box::new(hits.clone()));
            assert_eq!(message.validate(), Ok(()));
            assert!(hits_bytes(hits) <= HITS_BYTES_MAX);
            encode(&message);
            let holders: BTreeSet<PeerId> = hits
                .rows
                .iter()
                .flat_map(|row| &row.hits)
                .map(Hit::holder)
                .collect();
            let expected: BTreeMap<PeerId, Vec<SocketAddr>> = holders
                .into_iter()
                .filter_map(address_of)
                .filter(|one| !one.addresses.is_empty())
                .map(|one| (one.peer, one.addresses.into_iter().take(8).collect()))
                .collect();
            let named: BTreeMap<PeerId, Vec<SocketAddr>> = hits
                .addresses
                .iter()
                .map(|one| (one.peer, one.addresses.clone()))
                .collect();
            assert_eq!(named.len(), hits.addresses.len(), "each once");
            assert_eq!(named, expected);
        }
        let sent: Vec<&Row> = messages.iter().flat_map(|hits| &hits.rows).collect();
        let wanted: Vec<&Row> = rows.iter().filter(|row| !row.hits.is_empty()).collect();
        assert_eq!(sent.len(), wanted.len());
        for (sent, wanted) in sent.into_iter().zip(wanted) {
            assert_eq!((sent.content, sent.holders), (wanted.content, 77));
            let count = sent.hits.len();
            assert!(count > 0 && (may_cut || count == wanted.hits.len().min(HITS_MAX)));
            assert_eq!(sent.hits, wanted.hits[..count]);
        }
        messages
    }

    #[test]
    fn messages_are_filled() {
        let rows = |count: usize, hits: u8| -> Vec<Row> {
            let hits = |_| (1..=hits).map(|holder| (holder, 30)).collect();
            (0..count).map(|n| row(n, hits(n))).collect()
        };
        // Rows, hits of each; messages.
        for (count, hits, expected) in [(0, 1, 0), (20, 1, 1), (21, 1, 2), (5, 8, 1), (6, 8, 2)] {
            assert_eq!(check(rows(count, hits), false).len(), expected);
        }
        assert_eq!(check(rows(3, 0), false).len(), 0);
        // More hits than a message may have; more bytes than it may have.
        assert_eq!(check(rows(1, 99), false)[0].rows[0].hits.len(), HITS_MAX);
        let long = (1..=40).map(|holder| (holder, 1_024)).collect();
        let cut = check(vec![row(0, long)], true)[0].rows[0].hits.len();
        assert!((25..35).contains(&cut), "{cut}");
    }

    #[test]
    fn an_answer_for_others_says_where_they_are() {
        let at = |n: u8, port: u16| PeerAddress {
            peer: id(n),
            addresses: vec![([10, 0, 0, n], port).into()],
        };
        let mut flood = fixed(config(), &[1]);
        command(&mut flood, FloodCommand::Announce(at(0, 4_000).addresses));
        say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 1)));
        let mut both = one_row(5);
        both.holders = 9;
        both.hits.push(one_row(0).hits.remove(0));
        both.hits[1].publication.entry = both.hits[0].entry().clone();
        let mut none = one_row(6);
        none.hits.clear();
        // Each message names its own; who has no address or no row is not named.
        let rows = (10..29).map(one_row).chain([none, both, one_row(4)]);
        let answer = FloodCommand::Answer {
            search: SearchId(7),
            rows: rows.collect(),
            addresses: vec![at(8, 1_024), at(5, 5_000), at(12, 2_000)],
        };
        let outputs = command(&mut flood, answer);
        let told: Vec<(usize, Vec<PeerAddress>)> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Send {
                    message: FloodMessage::Hits(_, hits),
                    ..
                } => Some((hits.rows.len(), hits.addresses.clone())),
                _ => None,
            })
            .collect();
        let expected = [
            (20, vec![at(12, 2_000), at(5, 5_000), at(0, 4_000)]),
            (1, Vec::new()),
        ];
        assert_eq!(told, expected);
        let [(.., coverage)] = reports(&outputs)[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!(coverage.answers, 21, "what is not sent is not missed");
    }

    #[test]
    fn rows_of_many_hits_count_as_several() {
        let config = Config {
            rows_per_search: 11,
            ..config()
        };
        let mut flood = fixed(config, &[1, 2]);
        say(&mut flood, 1, FloodMessage::Ask(ask(7, 0, 3)));
        let rows = |count: usize| {
            let mut full = one_row(2);
            let hit = full.hits[0].clone();
            full.hits.resize(count, hit);
            answer(7, 0, vec![full])
        };
        // Hits in one row; whether it is passed on.
        for (count, passed) in [(8, 1), (40, 1), (40, 1), (1, 0)] {
            assert_eq!(say(&mut flood, 2, rows(count)).len(), passed, "{count}");
        }
    }

    proptest! {
        #[test]
        fn messages_keep_their_limits_and_lose_nothing(
            rows in vec(vec((any::<u8>(), 1..300_usize), 0..50), 0..60),
        ) {
            let rows = rows.into_iter().enumerate().map(|(n, hits)| row(n, hits));
            check(rows.collect(), false);
        }

        #[test]
        fn long_rows_are_cut(
            rows in vec(vec((any::<u8>(), 900..1_025_usize), 30..50), 0..5),
        ) {
            let rows = rows.into_iter().enumerate().map(|(n, hits)| row(n, hits));
            check(rows.collect(), true);
        }
    }
}
