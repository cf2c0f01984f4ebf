//! Bodies of the fuzz targets: bytes become a conversation with a peer, and whatever
//! is said, nothing panics, nothing outgrows its limits, and every lookup ends.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::wire::{Decoded, decode, encode, fuzz_decode};
use gannet_base::{Core as _, Link, Output, PeerAddress, PeerId, Timestamp, pump, seeded_rng};

use super::message::DhtMessage;
use super::position::Position;
use super::ring::{
    self, CLIENT, Card, Contact, Entry, Members, RingBody, RingMessage, State, Step,
};
use super::{Config, Dht, DhtCommand, DhtEvent};
use crate::fuzz::{Choices, Kinds};

/// How many others there are.
const PEERS: u8 = 7;
/// Most outputs that one input may cause with the limits used here.
const OUTPUTS_MAX: usize = 2_000;
/// Characters of the whole routing as text.
const STATE_MAX: usize = 500_000;
/// Wake-ups within which every lookup ends when nobody says anything any more.
const WAKE_UPS_MAX: u32 = 20_000;

/// Decodes `input` as a message.
pub fn dht_message(input: &[u8]) {
    fuzz_decode::<DhtMessage>(input);
}

/// A conversation about routing, of a peer of small limits with others who say
/// anything.
pub fn dht_ring(input: &[u8]) {
    let _ = talk(input);
}

fn config(is_member_wished: bool, virtual_nodes: u8) -> Config {
    Config {
        virtual_nodes,
        links_max: 6,
        dial_queue_max: 3,
        ring: ring::Config {
            successors: 2,
            is_member_wished,
            contacts_max: 4,
            passive_max: 3,
            lookups_max: 2,
            lookups_waiting_max: 2,
            confirms_owner: true,
            ..ring::Config::default()
        },
        ..Config::default()
    }
}

impl Choices<'_> {
    fn contact(&mut self) -> Contact {
        let index = [0, 0, 0, 1, CLIENT][usize::from(self.below(5))];
        Contact::new(PeerId::from_bytes([self.below(PEERS + 1); 32]), index)
    }

    fn contacts(&mut self) -> Vec<Contact> {
        (0..self.below(5)).map(|_| self.contact()).collect()
    }

    fn place(&mut self) -> Position {
        let near = self.contact().position;
        near.plus(u128::from(self.below(3)).wrapping_sub(1))
    }

    fn state(&mut self) -> State {
        let successors = self.contacts().into_iter().map(Entry::Node);
        let mut successors: Vec<Entry> = successors.collect();
        if self.flag() {
            successors.push(Entry::Padding(self.place()));
        }
        State {
            predecessor: self.flag().then(|| self.contact()),
            successors,
            addresses: self.addresses(),
        }
    }

    fn step(&mut self) -> Step {
        Step {
            closer: self.contacts(),
            owners: self.contacts(),
        }
    }

    fn members(&mut self, nonce: u32) -> Members {
        Members {
            nonce,
            wants_answer: self.flag(),
            is_small: self.flag(),
            addresses: self.addresses(),
            members: self.contacts(),
        }
    }
}

struct Talk {
    core: Dht,
    now: Timestamp,
    dialled: Vec<PeerId>,
    /// What was said to others, so that answers can echo it.
    said: Vec<(PeerId, RingMessage)>,
    running: BTreeSet<u64>,
    next: u64,
    kinds: Kinds,
}

fn talk(input: &[u8]) -> Kinds {
    let mut choices = Choices::new(input);
    let config = config(choices.below(5) != 0, 1 + choices.below(2));
    let me = PeerId::from_bytes([0; 32]);
    let mut talk = Talk {
        core: Dht::new(me, config, seeded_rng(1)),
        now: Timestamp::ZERO,
        dialled: Vec::new(),
        said: Vec::new(),
        running: BTreeSet::new(),
        next: 0,
        kinds: Kinds::default(),
    };
    while !choices.is_empty() {
        talk.step(&mut choices);
        talk.drain();
    }
    talk.fall_silent();
    talk.kinds
}

impl Talk {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        match choices.below(16) {
            0 => {
                self.now = now + Duration::from_millis(u64::from(choices.byte()) * 50);
                self.core.handle_timeout(self.now);
            }
            1 | 2 => {
                self.now = self.core.next_deadline().map_or(now, |due| due.max(now));
                self.core.handle_timeout(self.now);
            }
            3 => self.core.handle_link(now, choices.peer(PEERS), Link::Up),
            4 => {
                let link = [Link::Down, Link::Unreachable][usize::from(choices.flag())];
                self.core.handle_link(now, choices.peer(PEERS), link);
            }
            5 | 6 => {
                if let Some(peer) = self.dialled.pop() {
                    self.core.handle_link(now, peer, Link::Up);
                }
            }
            7 => self.command(choices),
            8 => {
                let from = choices.peer(PEERS);
                if let Some(message) = choices.raw::<DhtMessage>() {
                    self.core.handle_message(now, from, message);
                }
            }
            9..=13 => {
                if let Some((from, said)) = self.said.pop() {
                    let body = answer(choices, &said.body);
                    self.hand_over(from, (said.to, said.from), body);
                }
            }
            _ => {
                let from = choices.peer(PEERS);
                let indices = (choices.contact().index, choices.below(3));
                let body = something(choices);
                self.hand_over(from, indices, body);
            }
        }
    }

    fn hand_over(&mut self, from: PeerId, (index, to): (u8, u8), body: RingBody) {
        let message = DhtMessage::Ring(RingMessage {
            from: index,
            to,
            body,
        });
        // Only what can come over a wire comes.
        if let Ok(Decoded::Message(message)) = decode::<DhtMessage>(&encode(&message)) {
            self.core.handle_message(self.now, from, message);
        }
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let command = match choices.below(8) {
            0 | 1 => {
                let known = choices.contacts();
                let peers = known.iter().map(|contact| PeerAddress {
                    peer: contact.peer,
                    addresses: Vec::new(),
                });
                DhtCommand::Bootstrap(peers.collect())
            }
            2 => DhtCommand::Announce(choices.addresses()),
            3 => DhtCommand::Cancel {
                id: u64::from(choices.below(9)),
            },
            4 if choices.below(8) == 0 => DhtCommand::Leave,
            _ => {
                self.next += 1;
                self.running.insert(self.next);
                DhtCommand::Lookup {
                    id: self.next,
                    key: choices.place(),
                    paths: choices.below(4),
                }
            }
        };
        if let DhtCommand::Cancel { id } = command {
            self.running.remove(&id);
        }
        self.core.handle_command(self.now, command);
    }

    fn drain(&mut self) {
        let mut count = 0;
        let (said, dialled) = (&mut self.said, &mut self.dialled);
        let (running, kinds) = (&mut self.running, &mut self.kinds);
        pump(&mut self.core, |output| {
            count += 1;
            match output {
                Output::Send { to, message } => {
                    let bytes = encode(&message);
                    assert!(matches!(
                        decode::<DhtMessage>(&bytes),
                        Ok(Decoded::Message(_))
                    ));
                    if let DhtMessage::Ring(message) = message {
                        kinds.note(&message.body);
                        said.push((to, message));
                    }
                }
                Output::Dial { peer } => dialled.push(peer),
                Output::Event(event) => {
                    kinds.note(&event);
                    if let DhtEvent::Located { id, .. } = event {
                        assert!(running.remove(&id), "a lookup ends once: {id}");
                    }
                }
                Output::Disconnect { .. } => {}
            }
        });
        assert!(count < OUTPUTS_MAX, "one input caused {count} outputs");
        said.truncate(64);
        let state = format!("{:?}", self.core.rings()).len();
        assert!(state < STATE_MAX, "{state} characters of state");
    }

    /// Nobody says anything any more.
    fn fall_silent(&mut self) {
        for _ in 0..WAKE_UPS_MAX {
            if self.running.is_empty() {
                return;
            }
            let due = self.core.next_deadline().expect("lookups have deadlines");
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            self.drain();
        }
        panic!("lookups {:?} never end", self.running);
    }
}

/// What an honest peer would answer, more or less.
fn answer(choices: &mut Choices<'_>, said: &RingBody) -> RingBody {
    let state = Box::new(choices.state());
    match *said {
        RingBody::Ping { nonce, digest } => RingBody::Pong {
            nonce,
            digest: if choices.flag() { digest } else { 0 },
        },
        RingBody::Ask { nonce } | RingBody::Join { nonce, .. } => match choices.below(6) {
            0 => RingBody::Busy { nonce },
            1 => RingBody::Refused { nonce },
            _ => RingBody::State { nonce, state },
        },
        RingBody::Look { nonce } => RingBody::State { nonce, state },
        RingBody::Find { nonce, .. } => RingBody::Step {
            nonce,
            step: Box::new(choices.step()),
        },
        RingBody::Probe { nonce, .. } => RingBody::Probed {
            nonce,
            answers: choices.flag().then(|| choices.flag()),
        },
        RingBody::Members(ref members) => {
            let told = choices.members(members.nonce);
            RingBody::Members(Box::new(Members {
                wants_answer: false,
                ..told
            }))
        }
        _ => something(choices),
    }
}

fn something(choices: &mut Choices<'_>) -> RingBody {
    let nonce = choices.short();
    match choices.below(12) {
        0 => RingBody::Ping {
            nonce,
            digest: choices.number(),
        },
        1 => RingBody::Ask { nonce },
        2 => RingBody::Look { nonce },
        3 => RingBody::Notify(Box::new(Card {
            addresses: choices.addresses(),
            predecessors: (0..choices.below(4)).map(|_| choices.place()).collect(),
        })),
        4 => RingBody::Hint,
        5 => RingBody::Find {
            nonce,
            key: choices.place(),
            before: choices.place(),
        },
        6 => RingBody::Join {
            nonce,
            addresses: choices.addresses(),
        },
        7 | 8 => RingBody::Members(Box::new(choices.members(nonce))),
        9 => RingBody::Probe {
            nonce,
            node: Box::new(choices.contact()),
        },
        10 => RingBody::Meet {
            node: Box::new(choices.contact()),
        },
        _ => RingBody::Leave {
            state: Box::new(choices.state()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::random;

    #[test]
    fn random_conversations_get_everywhere() {
        let mut kinds = Kinds::default();
        for seed in 0..600 {
            kinds.extend(talk(&random::input(seed, 1_500)));
        }
        kinds.check_all(&[
            "Ping", "Pong", "Ask", "Look", "State", "Busy", "Refused", "Notify", "Find", "Step",
            "Join", "Members", "Probe", "Probed", "Leave", "Located", "Joined",
        ]);
    }
}
