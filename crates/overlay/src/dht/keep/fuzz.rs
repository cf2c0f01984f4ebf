//! Body of the fuzz target: a conversation with a peer that keeps files.

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    BLOCK_BYTES, BlockId, ContentId, FileEntry, KeepOrder, KeepRelease, Media, PeerAddress, PeerId,
    Timestamp, WallTime, seeded_rng,
};
use std::sync::Arc;
use std::time::Duration;

use super::{
    BlockList, ClaimList, Config, Copies, Keep, KeepCommand, KeepEvent, KeepMessage, KeepOutput,
    Mate, Neighbourhood, Refusal, RefusalReason, Role,
};
use crate::dht::position::Position;
use crate::dht::ring::Contact;
use crate::fuzz::Choices;

/// The calendar at the beginning, seconds.
const BEGINNING: u64 = 1_800_000_000;
/// Peers, with the one that is talked to.
const PEERS: u8 = 12;

struct Places(Vec<Contact>, PeerId);

impl Places {
    fn new(me: PeerId) -> Self {
        let peers = (0..PEERS).map(|n| Contact::new(PeerId::from_bytes([n; 32]), 0));
        let mut ring: Vec<_> = peers.collect();
        let position = Position::of_peer(me, 0);
        ring.sort_unstable_by_key(|contact| position.distance_to(contact.position));
        ring.retain(|contact| contact.peer != me);
        Self(ring, me)
    }
}

impl Neighbourhood for Places {
    fn is_member(&self) -> bool {
        true
    }

    fn nodes(&self) -> usize {
        1
    }

    fn position(&self, _: usize) -> Position {
        Position::of_peer(self.1, 0)
    }

    fn successors(&self, _: usize) -> &[Contact] {
        &self.0
    }

    fn before(&self, _: usize) -> Position {
        self.0
            .last()
            .map_or_else(Position::default, |last| last.position)
    }

    fn node_of(&self, key: Position) -> Option<usize> {
        // Half of all keys, so that both halves of the protocol are talked to.
        key.0.is_multiple_of(2).then_some(0)
    }
}

fn content(choices: &mut Choices<'_>) -> ContentId {
    ContentId::from_bytes([choices.below(3); 32])
}

fn order(choices: &mut Choices<'_>) -> KeepOrder {
    let issued = WallTime::from_unix_seconds(BEGINNING + u64::from(choices.below(3)) * 40_000);
    KeepOrder {
        entry: FileEntry {
            content: content(choices),
            size: u64::from(choices.below(4)) * BLOCK_BYTES + 7,
            path: "a".to_owned(),
            media: Media::default(),
        },
        copies: choices.below(6),
        issued,
        expires: issued.plus_seconds(u64::from(choices.below(4)) * 86_400),
        keeper: choices.peer(PEERS),
        signature: SignatureBytes([0; 64]),
    }
}

fn blocks(choices: &mut Choices<'_>) -> Vec<u32> {
    (0..choices.below(4))
        .map(|_| choices.below(5).into())
        .collect()
}

fn lists(choices: &mut Choices<'_>) -> Vec<BlockList> {
    let list = |choices: &mut Choices<'_>| BlockList {
        content: content(choices),
        blocks: blocks(choices),
    };
    (0..choices.below(3)).map(|_| list(choices)).collect()
}

fn mates(choices: &mut Choices<'_>) -> Vec<(u32, Vec<Mate>)> {
    let mate = |choices: &mut Choices<'_>| Mate {
        tag: [choices.below(PEERS); 8],
        returns: choices.below(3),
        minutes: choices.byte().into(),
    };
    let list = (0..choices.below(4)).map(|_| mate(choices)).collect();
    vec![(choices.below(5).into(), list)]
}

fn claim(choices: &mut Choices<'_>) -> KeepMessage {
    let role = match choices.below(4) {
        0 => Role::Fetches,
        1 => Role::Keeps {
            fresh: choices.flag(),
        },
        _ => Role::Holds,
    };
    let mut lists = lists(choices);
    let lists = lists.drain(..).map(|list| ClaimList {
        list,
        role,
        stamp: choices.below(2).into(),
        mates: mates(choices),
    });
    let lists = lists.collect();
    KeepMessage::Claim {
        at: choices
            .flag()
            .then(|| WallTime::from_unix_seconds(BEGINNING)),
        returns: choices.below(3),
        again: choices.flag(),
        addresses: choices.addresses(),
        lists,
    }
}

fn message(choices: &mut Choices<'_>) -> KeepMessage {
    match choices.below(13) {
        0 | 1 => claim(choices),
        12 => KeepMessage::Call {
            after: Position(u128::from(choices.byte()) << 120),
            upto: Position(u128::from(choices.byte()) << 120),
        },
        2 => KeepMessage::Noted {
            at: choices
                .flag()
                .then(|| WallTime::from_unix_seconds(choices.number())),
            unknown: lists(choices),
            elsewhere: lists(choices),
            spare: lists(choices),
            mates: vec![(content(choices), mates(choices))],
            copies: vec![(
                content(choices),
                vec![(choices.below(5).into(), Copies::default())],
            )],
        },
        3 => KeepMessage::Orders(vec![order(choices)]),
        4 | 5 => KeepMessage::Offer {
            orders: vec![order(choices)],
            blocks: blocks(choices),
            sources: vec![PeerAddress {
                peer: choices.peer(PEERS),
                addresses: choices.addresses(),
            }],
        },
        6 => KeepMessage::Answer {
            content: content(choices),
            taken: blocks(choices),
            refused: vec![(choices.below(5).into(), RefusalReason::NoGrant)],
        },
        7 => KeepMessage::Dropped(lists(choices)),
        8 => KeepMessage::Moved(lists(choices)),
        9 => KeepMessage::Release {
            release: KeepRelease {
                content: content(choices),
                keeper: choices.peer(PEERS),
                issued: WallTime::from_unix_seconds(BEGINNING + u64::from(choices.below(9))),
                signature: SignatureBytes([0; 64]),
            },
            blocks: blocks(choices),
        },
        10 => KeepMessage::Challenge {
            nonce: choices.below(4).into(),
            block: block(choices),
        },
        _ => KeepMessage::Proof {
            nonce: choices.number(),
            proof: choices.flag().then_some([0; 32]),
        },
    }
}

fn block(choices: &mut Choices<'_>) -> BlockId {
    BlockId {
        content: content(choices),
        index: choices.below(5).into(),
    }
}

fn command(choices: &mut Choices<'_>, me: PeerId) -> KeepCommand {
    match choices.below(8) {
        0 => KeepCommand::Grant {
            bytes: u64::from(choices.below(6)) * BLOCK_BYTES,
        },
        1 => KeepCommand::Keep(Box::new(KeepOrder {
            keeper: me,
            ..order(choices)
        })),
        2 => KeepCommand::Unkeep(Box::new(KeepRelease {
            content: content(choices),
            keeper: me,
            issued: WallTime::from_unix_seconds(BEGINNING + 80_000),
            signature: SignatureBytes([0; 64]),
        })),
        3 => KeepCommand::Held(block(choices)),
        4 => KeepCommand::FetchFailed(block(choices)),
        5 => KeepCommand::Lost(block(choices)),
        6 => KeepCommand::Refuse(Refusal::Content(content(choices))),
        _ => KeepCommand::Allow(Refusal::Content(content(choices))),
    }
}

/// Talks to a peer as the input says: it must not panic, hold more than it grants, nor
/// fetch what it holds.
pub fn keep(input: &[u8]) {
    let mut choices = Choices::new(input);
    let config = Arc::new(Config {
        checks_signatures: false,
        ..Config::default()
    });
    let me = PeerId::from_bytes([0; 32]);
    let places = Places::new(me);
    let mut keep = Keep::new(me, config, seeded_rng(choices.number()));
    let mut now = Timestamp::from_secs(1);
    keep.set_wall_time(now, WallTime::from_unix_seconds(BEGINNING));
    let mut lookups = Vec::new();
    while !choices.is_empty() {
        now = now + Duration::from_millis(u64::from(choices.byte()) * 2_000);
        match choices.below(8) {
            0..4 => {
                let from = choices.peer(PEERS);
                keep.handle_message(now, from, message(&mut choices), &places);
            }
            4 => keep.handle_command(now, command(&mut choices, me), &places),
            5 => keep.on_unreachable(now, choices.peer(PEERS)),
            6 => {
                if let Some(id) = choices.one_of(&lookups) {
                    let found = choices
                        .flag()
                        .then(|| (places.position(0), places.0.clone()));
                    keep.on_located(now, id, found, &places);
                }
            }
            _ => {
                keep.on_neighbourhood(now);
                now = keep.next_deadline().map_or(now, |due| due.max(now));
            }
        }
        keep.handle_timeout(now, &places);
        while let Some(output) = keep.poll() {
            match output {
                KeepOutput::Send { to, message } => {
                    assert_ne!(to.peer, me, "it does not write to itself");
                    let bytes = gannet_base::wire::encode(&message);
                    let back = gannet_base::wire::decode::<KeepMessage>(&bytes);
                    assert!(
                        back.is_ok(),
                        "what it says keeps to its own limits: {back:?}"
                    );
                }
                KeepOutput::Locate { id, .. } => lookups.push(id),
                KeepOutput::Event(KeepEvent::Fetch { groups, .. }) => assert!(!groups.is_empty()),
                KeepOutput::Event(_) => {}
            }
        }
        let counts = keep.counts();
        assert!(
            counts.held_bytes <= counts.grant_bytes,
            "no more than is granted"
        );
        let held: u64 = keep.held().map(|held| held.bytes).sum();
        assert_eq!(held, counts.held_bytes, "the books are right");
        assert!(
            keep.next_deadline().is_none_or(|due| due > now),
            "what was due is done"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::random;

    #[test]
    fn random_conversations() {
        for seed in 0..400 {
            keep(&random::input(seed, 1_500));
        }
    }
}
