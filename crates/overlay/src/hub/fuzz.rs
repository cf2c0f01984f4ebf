//! Bodies of the fuzz targets: bytes become a conversation with one side, and
//! whatever is said, nothing panics, nothing outgrows its limits, and every
//! answer fits the wire.

use std::time::Duration;

use gannet_base::wire::{WireMessage as _, encode, fuzz_decode};
use gannet_base::{Core, Hit, Link, Output, PeerId, Row, Timestamp, WallTime, pump, seeded_rng};

use super::{
    Announcement, Budget, Change, ClientConfig, HolderAddresses, HubClient, HubClientCommand,
    HubClientEvent, HubCounts, HubMessage, HubServer, HubServerCommand, Limits, Refusal,
    ServerConfig, Standing,
};
use crate::fuzz::Choices;

/// How many others there are.
const PEERS: u8 = 6;

/// Decodes `input` as a message.
pub fn hub_message(input: &[u8]) {
    fuzz_decode::<HubMessage>(input);
}

impl Choices<'_> {
    fn announcement(&mut self) -> Announcement {
        Announcement {
            addresses: self.addresses(),
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
    let mut choices = Choices::new(input);
    let mut hub = HubServer::new(config.clone(), seeded_rng(1));
    let mut now = Timestamp::ZERO;
    while !choices.is_empty() {
        let from = choices.peer(PEERS);
        match choices.below(16) {
            0 => {
                now = now + Duration::from_millis(choices.number().min(1 << 20) * 700);
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
                    HubServerCommand::WallTime(WallTime::from_unix_seconds(choices.number()));
                hub.handle_command(now, command);
            }
            5 => {
                let addresses = choices.addresses();
                let command = HubServerCommand::Seen {
                    peer: from,
                    addresses,
                };
                hub.handle_command(now, command);
            }
            6 => {
                if let Some(message) = choices.raw() {
                    hub.handle_message(now, from, message);
                }
            }
            _ => {
                let message = to_hub(&mut choices, hub.epoch());
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

fn to_hub(choices: &mut Choices<'_>, epoch: u64) -> HubMessage {
    let nonce = choices.number();
    let request = nonce;
    match choices.below(8) {
        0 => HubMessage::Hello {
            nonce,
            announcement: choices.announcement(),
        },
        1 => HubMessage::Ping {
            nonce,
            announcement: choices.announcement(),
        },
        2 => HubMessage::Search {
            request,
            query: choices.query(),
            offset: choices.short(),
            limit: u16::try_from(choices.number()).unwrap_or(u16::MAX),
        },
        3 => HubMessage::Sources {
            request,
            content: choices.content(),
        },
        4 if choices.below(4) == 0 => HubMessage::Goodbye {
            epoch,
            registration: choices.number(),
        },
        _ => HubMessage::Batch {
            epoch: if choices.byte() == 255 { 0 } else { epoch },
            registration: choices.number(),
            sequence: choices.short(),
            changes: choices.changes(),
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

    fn standing(&self, choices: &mut Choices<'_>) -> Standing {
        let mut standing = self.honest;
        (standing.entries, standing.refused) = (choices.short(), choices.short());
        match choices.byte() {
            255 => standing.epoch = choices.number(),
            250..=254 => standing.registration = choices.number(),
            245..=249 => standing.next = choices.short(),
            240..=244 => standing.chain = [choices.byte(); 16],
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
    let mut choices = Choices::new(input);
    let mut client = HubClient::new(config.clone(), seeded_rng(1));
    let hubs = vec![PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32])];
    let mut now = Timestamp::ZERO;
    let mut heard = Heard::default();
    client.handle_command(now, HubClientCommand::Hubs(hubs));
    while !choices.is_empty() {
        let from = PeerId::from_bytes([1 + choices.below(3); 32]);
        match choices.below(16) {
            0 => {
                now = now + Duration::from_millis(choices.number().min(1 << 20) * 700);
                client.handle_timeout(now);
            }
            1 | 2 => {
                if let Some(due) = client.next_deadline() {
                    now = now.max(due);
                    client.handle_timeout(now);
                }
            }
            3 => client.handle_link(now, from, Link::Up),
            4 if choices.below(4) == 0 => client.handle_link(now, from, Link::Down),
            5 if choices.below(4) == 0 => client.handle_link(now, from, Link::Unreachable),
            6..=8 => {
                let command = order(&mut choices);
                client.handle_command(now, command);
            }
            9 => {
                if let Some(message) = choices.raw() {
                    client.handle_message(now, from, message);
                }
            }
            _ => {
                let message = to_client(&mut choices, &heard);
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

fn order(choices: &mut Choices<'_>) -> HubClientCommand {
    let own = PeerId::from_bytes([9; 32]);
    let id = u64::from(choices.below(6));
    match choices.below(11) {
        0..=2 => {
            let publications = (0..choices.below(5)).map(|_| choices.publication(own));
            HubClientCommand::Publish(publications.collect())
        }
        3 | 4 => HubClientCommand::Withdraw(vec![(choices.content(), choices.path())]),
        5 | 6 => HubClientCommand::Search {
            id,
            query: choices.query(),
            limit: choices.short(),
        },
        7 => HubClientCommand::Sources {
            id,
            content: choices.content(),
        },
        8 => HubClientCommand::Cancel { id },
        9 => HubClientCommand::Check,
        _ => HubClientCommand::Announce {
            addresses: choices.addresses(),
            upload_bytes_per_second: None,
        },
    }
}

fn to_client(choices: &mut Choices<'_>, heard: &Heard) -> HubMessage {
    let refusal = Refusal {
        budget: Budget::Pending,
        max: choices.number(),
        retry_after_ms: choices.short(),
    };
    let standing = heard.standing(choices);
    let counts = HubCounts::default();
    let nonce = heard.nonce;
    match choices.below(12) {
        0..=2 => HubMessage::Welcome {
            nonce,
            limits: Limits {
                lease_seconds: choices.short(),
                entries_max: choices.short(),
                queries_per_second: choices.short(),
                window_batches: u16::try_from(choices.number()).unwrap_or(u16::MAX),
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
            early: choices.below(2) == 0,
            wait_ms: if choices.below(4) == 0 {
                choices.short()
            } else {
                0
            },
            refusal: (choices.below(2) == 0).then_some(refusal),
        },
        7 => HubMessage::Lapsed,
        8 => HubMessage::Refused {
            request: (choices.below(4) > 0).then_some(heard.request),
            refusal,
        },
        _ => rows(choices, heard),
    }
}

fn rows(choices: &mut Choices<'_>, heard: &Heard) -> HubMessage {
    let mut rows = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..choices.below(12) {
        let content = choices.content();
        let mut hits = Vec::new();
        for _ in 0..choices.below(3) {
            let holder = choices.peer(PEERS);
            let mut publication = choices.publication(holder);
            if choices.below(8) > 0 {
                publication.entry.content = content;
            }
            addresses.push(HolderAddresses {
                holder,
                addresses: choices.addresses(),
            });
            hits.push(Hit { publication });
        }
        rows.push(Row {
            content,
            holders: choices.short(),
            hits,
        });
    }
    HubMessage::Rows {
        request: heard.request,
        offset: if choices.below(8) == 0 {
            choices.short()
        } else {
            heard.offset
        },
        rows,
        addresses,
        total: choices.number(),
        next: (choices.below(2) == 0).then(|| heard.offset.saturating_add(choices.short())),
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::decode;
    use rand_core::Rng as _;

    use super::*;
    use crate::fuzz::{Kinds, random};

    /// Runs `body` on random bytes and gathers the kinds of what came of it.
    fn kinds<T: std::fmt::Debug>(body: fn(&[u8]) -> Vec<T>) -> Kinds {
        let mut kinds = Kinds::default();
        for seed in 0..400 {
            let outcome = body(&random::input(seed, 4_000));
            outcome.iter().for_each(|one| kinds.note(one));
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
            let mut bytes = encode(&to_hub(&mut Choices::new(&input), 7));
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
        kinds.check_all(&["Ack", "Lapsed", "Pong", "Refused", "Rows", "Welcome"]);
    }

    #[test]
    fn hub_client_smoke() {
        let kinds = kinds(converse_with_client);
        kinds.check_all(&[
            "Ended",
            "HubDown",
            "HubUp",
            "PublishRefused",
            "Registered",
            "RegistrationRefused",
            "Rows",
        ]);
    }
}
