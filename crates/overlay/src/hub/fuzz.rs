//! Bodies of the fuzz targets: bytes become a conversation with one side, and
//! whatever is said, nothing panics, nothing outgrows its limits, and every
//! answer fits the wire.

use std::time::Duration;

use gannet_base::wire::{Decoded, SignatureBytes, WireMessage as _, decode, encode, fuzz_decode};
use gannet_base::{
    ContentId, Core, FileEntry, Hit, Link, Media, Output, PeerId, Publication, Query, Row,
    Timestamp, WallTime, pump, seeded_rng,
};

use super::{
    Announcement, Budget, Change, ClientConfig, HolderAddresses, HubClient, HubClientCommand,
    HubClientEvent, HubCounts, HubMessage, HubServer, HubServerCommand, Limits, Refusal,
    ServerConfig, Standing,
};

/// Decodes `input` as a message.
pub fn hub_message(input: &[u8]) {
    fuzz_decode::<HubMessage>(input);
}

/// Bytes taken one by one; zero when they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let first = self.0.first().copied().unwrap_or(0);
        self.0 = self.0.get(1..).unwrap_or_default();
        first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    /// Small numbers mostly, extreme ones now and then.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::from(u32::MAX),
            253 => 1 << 40,
            small => u64::from(small % 16),
        }
    }

    fn short(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    fn peer(&mut self) -> PeerId {
        PeerId::from_bytes([1 + self.below(6); 32])
    }

    fn content(&mut self) -> ContentId {
        ContentId::from_bytes([self.below(12); 32])
    }

    fn path(&mut self) -> String {
        match self.byte() {
            255 => "long/".to_owned() + &"word ".repeat(200),
            n => format!("folder/word {}", n % 12),
        }
    }

    fn publication(&mut self, holder: PeerId) -> Publication {
        Publication {
            entry: FileEntry {
                content: self.content(),
                size: self.number(),
                path: self.path(),
                media: Media::default(),
            },
            holder,
            expires: WallTime::from_unix_seconds(self.number()),
            signature: SignatureBytes([self.byte(); 64]),
        }
    }

    fn query(&mut self) -> Query {
        let texts = [
            "word",
            "folder word",
            "\"word 3\"",
            "-word",
            "wor*",
            "hash:x",
        ];
        let text = texts[usize::from(self.below(6))];
        Query::new(text).expect("the texts above are queries")
    }

    fn announcement(&mut self) -> Announcement {
        let addresses = (0..self.below(9)).map(|n| ([10, 0, 0, n], 4_000).into());
        Announcement {
            addresses: addresses.collect(),
            upload_bytes_per_second: Some(self.number()),
        }
    }

    fn changes(&mut self) -> Vec<Change> {
        let holder = PeerId::from_bytes([0; 32]);
        (0..self.below(6))
            .map(|_| match self.below(3) {
                0 => Change::Remove {
                    content: self.content(),
                    path: self.path(),
                },
                _ => Change::put(&self.publication(holder)),
            })
            .collect()
    }

    /// A message that is only bytes.
    fn raw(&mut self) -> Option<HubMessage> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        match decode(bytes) {
            Ok(Decoded::Message(message)) => Some(message),
            Ok(Decoded::Unknown { .. }) | Err(_) => None,
        }
    }
}

/// Drains a core; every message must fit the wire.
fn drain<C: Core<Message = HubMessage>>(core: &mut C) -> (Vec<HubMessage>, Vec<C::Event>) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    pump(core, |output| match output {
        Output::Send { message, .. } => {
            encode(&message);
            assert_eq!(message.validate(), Ok(()));
            sent.push(message);
        }
        Output::Event(event) => events.push(event),
        Output::Dial { .. } | Output::Disconnect { .. } => {}
    });
    let outputs = sent.len() + events.len();
    assert!(outputs < 1_000, "one input caused {outputs} outputs");
    (sent, events)
}

/// A conversation with a hub of small limits.
pub fn hub_server(input: &[u8]) {
    converse_with_hub(input);
}

/// The conversation; all that the hub sent.
fn converse_with_hub(input: &[u8]) -> Vec<HubMessage> {
    let mut all_sent = Vec::new();
    let config = ServerConfig {
        peers_max: 3,
        entries_per_peer_max: 8,
        entries_max: 16,
        pending_max: 3,
        queries_per_second: 2,
        queries_burst: 2,
        messages_per_second: 20,
        registration_bytes_per_second: 200,
        registration_burst_bytes: 4_000,
        ..ServerConfig::default()
    };
    let mut bytes = Bytes(input);
    let mut hub = HubServer::new(config.clone(), seeded_rng(1));
    let mut now = Timestamp::ZERO;
    while !bytes.is_empty() {
        let from = bytes.peer();
        match bytes.below(16) {
            0 => {
                now = now + Duration::from_millis(bytes.number().min(1 << 20) * 700);
                hub.handle_timeout(now);
            }
            1 => {
                if let Some(due) = hub.next_deadline() {
                    now = now.max(due);
                    hub.handle_timeout(now);
                }
            }
            2 => hub.handle_link(now, from, Link::Down),
            3 => hub.handle_link(now, from, Link::Up),
            4 => {
                let command =
                    HubServerCommand::WallTime(WallTime::from_unix_seconds(bytes.number()));
                hub.handle_command(now, command);
            }
            5 => {
                let addresses = bytes.announcement().addresses;
                let command = HubServerCommand::Seen {
                    peer: from,
                    addresses,
                };
                hub.handle_command(now, command);
            }
            6 => {
                if let Some(message) = bytes.raw() {
                    hub.handle_message(now, from, message);
                }
            }
            _ => {
                let message = to_hub(&mut bytes, hub.epoch());
                hub.handle_message(now, from, message);
            }
        }
        all_sent.extend(drain(&mut hub).0);
        let status = hub.status();
        assert!(status.peers <= config.peers_max);
        assert!(status.entries <= config.entries_max);
        assert!(status.entries <= status.peers * config.entries_per_peer_max);
        assert!(status.pending <= config.peers_max * config.pending_max);
    }
    all_sent
}

fn to_hub(bytes: &mut Bytes<'_>, epoch: u64) -> HubMessage {
    let nonce = bytes.number();
    let request = nonce;
    match bytes.below(8) {
        0 => HubMessage::Hello {
            nonce,
            announcement: bytes.announcement(),
        },
        1 => HubMessage::Ping {
            nonce,
            announcement: bytes.announcement(),
        },
        2 => HubMessage::Search {
            request,
            query: bytes.query(),
            offset: bytes.short(),
            limit: u16::try_from(bytes.number()).unwrap_or(u16::MAX),
        },
        3 => HubMessage::Sources {
            request,
            content: bytes.content(),
        },
        4 if bytes.below(4) == 0 => HubMessage::Goodbye {
            epoch,
            registration: bytes.number(),
        },
        _ => HubMessage::Batch {
            epoch: if bytes.byte() == 255 { 0 } else { epoch },
            registration: bytes.number(),
            sequence: bytes.short(),
            changes: bytes.changes(),
        },
    }
}

/// What a client said last: answers echo it.
#[derive(Default)]
struct Heard {
    nonce: u64,
    request: u64,
    offset: u32,
    /// As an honest hub that took everything would stand.
    honest: Standing,
}

impl Heard {
    fn hear(&mut self, message: &HubMessage) {
        match message {
            HubMessage::Hello { nonce, .. } | HubMessage::Ping { nonce, .. } => self.nonce = *nonce,
            HubMessage::Search {
                request, offset, ..
            } => (self.request, self.offset) = (*request, *offset),
            HubMessage::Sources { request, .. } => (self.request, self.offset) = (*request, 0),
            HubMessage::Batch {
                epoch,
                registration,
                sequence,
                changes,
            } => {
                let honest = &mut self.honest;
                if *sequence == 0 {
                    honest.epoch = *epoch;
                    honest.registration = *registration;
                    honest.next = 0;
                    honest.chain = super::chain::start(*registration);
                }
                if *registration == honest.registration && *sequence == honest.next {
                    honest.next += 1;
                    honest.chain = super::chain::extend(honest.chain, changes);
                }
            }
            _ => {}
        }
    }

    fn standing(&self, bytes: &mut Bytes<'_>) -> Standing {
        let mut standing = self.honest;
        (standing.entries, standing.refused) = (bytes.short(), bytes.short());
        match bytes.byte() {
            255 => standing.epoch = bytes.number(),
            250..=254 => standing.registration = bytes.number(),
            245..=249 => standing.next = bytes.short(),
            240..=244 => standing.chain = [bytes.byte(); 16],
            _ => {}
        }
        standing
    }
}

/// A conversation of a client of small limits with two hubs.
pub fn hub_client(input: &[u8]) {
    converse_with_client(input);
}

/// The conversation; all that the client told the layer above.
fn converse_with_client(input: &[u8]) -> Vec<HubClientEvent> {
    let mut told = Vec::new();
    let config = ClientConfig {
        entries_max: 10,
        removals_max: 3,
        searches_max: 3,
        rows_max: 20,
        page_rows: 5,
        batch_bytes_max: 400,
        window_batches: 3,
        ..ClientConfig::default()
    };
    let mut bytes = Bytes(input);
    let mut client = HubClient::new(config.clone(), seeded_rng(1));
    let hubs = vec![PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32])];
    let mut now = Timestamp::ZERO;
    let mut heard = Heard::default();
    client.handle_command(now, HubClientCommand::Hubs(hubs));
    while !bytes.is_empty() {
        let from = PeerId::from_bytes([1 + bytes.below(3); 32]);
        match bytes.below(16) {
            0 => {
                now = now + Duration::from_millis(bytes.number().min(1 << 20) * 700);
                client.handle_timeout(now);
            }
            1 | 2 => {
                if let Some(due) = client.next_deadline() {
                    now = now.max(due);
                    client.handle_timeout(now);
                }
            }
            3 => client.handle_link(now, from, Link::Up),
            4 if bytes.below(4) == 0 => client.handle_link(now, from, Link::Down),
            5 if bytes.below(4) == 0 => client.handle_link(now, from, Link::Unreachable),
            6..=8 => {
                let command = order(&mut bytes);
                client.handle_command(now, command);
            }
            9 => {
                if let Some(message) = bytes.raw() {
                    client.handle_message(now, from, message);
                }
            }
            _ => {
                let message = to_client(&mut bytes, &heard);
                client.handle_message(now, from, message);
            }
        }
        let (sent, events) = drain(&mut client);
        sent.iter().for_each(|message| heard.hear(message));
        told.extend(events);
        assert!(client.published() <= config.entries_max);
    }
    // All of its state, as text: it does not grow with the conversation.
    let state = format!("{client:?}").len();
    assert!(state < 400_000, "the state has {state} characters");
    told
}

fn order(bytes: &mut Bytes<'_>) -> HubClientCommand {
    let own = PeerId::from_bytes([9; 32]);
    let id = u64::from(bytes.below(6));
    match bytes.below(11) {
        0..=2 => {
            let publications = (0..bytes.below(5)).map(|_| bytes.publication(own));
            HubClientCommand::Publish(publications.collect())
        }
        3 | 4 => HubClientCommand::Withdraw(vec![(bytes.content(), bytes.path())]),
        5 | 6 => HubClientCommand::Search {
            id,
            query: bytes.query(),
            limit: bytes.short(),
        },
        7 => HubClientCommand::Sources {
            id,
            content: bytes.content(),
        },
        8 => HubClientCommand::Cancel { id },
        9 => HubClientCommand::Check,
        _ => HubClientCommand::Announce {
            addresses: bytes.announcement().addresses,
            upload_bytes_per_second: None,
        },
    }
}

fn to_client(bytes: &mut Bytes<'_>, heard: &Heard) -> HubMessage {
    let refusal = Refusal {
        budget: Budget::Pending,
        max: bytes.number(),
        retry_after_ms: bytes.short(),
    };
    let standing = heard.standing(bytes);
    let counts = HubCounts::default();
    let nonce = heard.nonce;
    match bytes.below(12) {
        0..=2 => HubMessage::Welcome {
            nonce,
            limits: Limits {
                lease_seconds: bytes.short(),
                entries_max: bytes.short(),
                queries_per_second: bytes.short(),
                window_batches: u16::try_from(bytes.number()).unwrap_or(u16::MAX),
            },
            standing,
            counts,
        },
        3 | 4 => HubMessage::Pong {
            nonce,
            standing,
            counts,
        },
        5 | 6 => HubMessage::Ack {
            standing,
            early: bytes.below(2) == 0,
            wait_ms: if bytes.below(4) == 0 {
                bytes.short()
            } else {
                0
            },
            refusal: (bytes.below(2) == 0).then_some(refusal),
        },
        7 => HubMessage::Lapsed,
        8 => HubMessage::Refused {
            request: (bytes.below(4) > 0).then_some(heard.request),
            refusal,
        },
        _ => rows(bytes, heard),
    }
}

fn rows(bytes: &mut Bytes<'_>, heard: &Heard) -> HubMessage {
    let mut rows = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..bytes.below(12) {
        let content = bytes.content();
        let mut hits = Vec::new();
        for _ in 0..bytes.below(3) {
            let holder = bytes.peer();
            let mut publication = bytes.publication(holder);
            if bytes.below(8) > 0 {
                publication.entry.content = content;
            }
            addresses.push(HolderAddresses {
                holder,
                addresses: bytes.announcement().addresses.into_iter().take(8).collect(),
            });
            hits.push(Hit { publication });
        }
        rows.push(Row {
            content,
            holders: bytes.short(),
            hits,
        });
    }
    HubMessage::Rows {
        request: heard.request,
        offset: if bytes.below(8) == 0 {
            bytes.short()
        } else {
            heard.offset
        },
        rows,
        addresses,
        total: bytes.number(),
        next: (bytes.below(2) == 0).then(|| heard.offset.saturating_add(bytes.short())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_core::Rng as _;

    use super::*;

    /// Runs `body` on random bytes and gathers the kinds of what came of it.
    fn kinds<T: std::fmt::Debug>(body: fn(&[u8]) -> Vec<T>) -> BTreeSet<String> {
        let mut kinds = BTreeSet::new();
        for seed in 0..400 {
            let mut rng = seeded_rng(seed);
            let length = usize::try_from(rng.next_u64() % 4_000).expect("small");
            let mut input = vec![0; length];
            rng.fill_bytes(&mut input);
            for one in body(&input) {
                let text = format!("{one:?}");
                let kind = text.split_whitespace().next().unwrap_or_default();
                kinds.insert(kind.to_owned());
            }
        }
        kinds
    }

    #[test]
    fn hub_message_smoke() {
        let mut decoded = 0;
        for seed in 0..2_000 {
            let mut rng = seeded_rng(seed);
            let mut input = vec![0; 200];
            rng.fill_bytes(&mut input);
            hub_message(&input);
            // A good message with one byte changed goes deeper.
            let mut bytes = encode(&to_hub(&mut Bytes(&input), 7));
            let place = usize::try_from(rng.next_u64()).unwrap_or(0) % bytes.len();
            bytes[place] ^= 1 << (seed % 8);
            hub_message(&bytes);
            decoded += u64::from(decode::<HubMessage>(&bytes).is_ok());
        }
        assert!((200..1_900).contains(&decoded), "{decoded}");
    }

    #[test]
    fn hub_server_smoke() {
        let kinds = kinds(converse_with_hub);
        let all = ["Ack", "Lapsed", "Pong", "Refused", "Rows", "Welcome"];
        assert_eq!(kinds, all.map(str::to_owned).into());
    }

    #[test]
    fn hub_client_smoke() {
        let kinds = kinds(converse_with_client);
        let all = [
            "Ended",
            "HubDown",
            "HubUp",
            "PublishRefused",
            "Registered",
            "RegistrationRefused",
            "Rows",
        ];
        assert_eq!(kinds, all.map(str::to_owned).into());
    }
}
