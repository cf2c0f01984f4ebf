//! Bodies of the fuzz targets: any bytes are fine, nothing panics, nothing
//! outgrows its limits, and every search ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::wire::{Decoded, decode, encode, fuzz_decode};
use gannet_base::{
    Core as _, Hit, Link, Output, PeerAddress, PeerId, Row, Timestamp, pump, seeded_rng,
};

use super::message::{Answered, Machine, Place, Roster, Score, SupernodeMessage, Wish};
use super::{Config, Ending, RoleWish, Supernode, SupernodeCommand, SupernodeEvent};
use crate::flood::{self, FloodMessage, Hits};
use crate::fuzz::{Choices, Kinds};
use crate::hub::{Announcement, HubCounts, HubMessage, Limits, Standing};

/// How many others there are.
const PEERS: u8 = 6;
/// Most outputs that one input may cause with the limits used here.
const OUTPUTS_MAX: usize = 4_000;
/// Characters of the whole state as text.
const STATE_MAX: usize = 1_000_000;
/// Wake-ups within which every search ends when nobody says anything any more.
const WAKE_UPS_MAX: u32 = 50_000;

/// Decodes `input` as a message.
pub fn supernode_message(input: &[u8]) {
    fuzz_decode::<SupernodeMessage>(input);
}

/// A conversation of a peer of small limits with others, who say anything.
pub fn supernode(input: &[u8]) {
    let _ = talk(input);
}

fn config(role: RoleWish) -> Config {
    Config {
        role,
        leaves_max: 3,
        supernodes_min: 2,
        known_max: 6,
        leaf_known_max: 6,
        knocks_per_second: 5,
        searches_max: 3,
        leaf_searches_max: 4,
        search_timeout: Duration::from_secs(30),
        tenure_min: Duration::from_secs(1),
        flood: Arc::new(flood::Config {
            neighbours_target: 2,
            seen_max: 24,
            open_max: 8,
            known_max: 6,
            bootstrap_max: 3,
            ..flood::Config::default()
        }),
        ..Config::default()
    }
}

impl Choices<'_> {
    /// Anybody, this peer itself included.
    fn anybody(&mut self) -> PeerId {
        PeerId::from_bytes([self.below(1 + PEERS); 32])
    }

    fn acquaintance(&mut self) -> PeerAddress {
        PeerAddress {
            peer: self.anybody(),
            addresses: Vec::new(),
        }
    }

    fn acquaintances(&mut self) -> Vec<PeerAddress> {
        (0..self.below(4)).map(|_| self.acquaintance()).collect()
    }

    fn score(&mut self) -> Score {
        let large = |byte: u8| u32::from(byte) << (byte % 24);
        Score {
            uptime_s: large(self.byte()),
            machine: Machine {
                upload_kib: large(self.byte()),
                memory_mib: large(self.byte()),
            },
            stability: self.byte(),
            reachable: self.flag(),
            willing: self.flag(),
        }
    }

    fn hits(&mut self) -> Hits {
        let holder = self.anybody();
        let publication = self.publication(holder);
        let row = Row {
            content: publication.entry.content,
            holders: 1,
            hits: vec![Hit { publication }],
        };
        Hits {
            hops: self.below(9),
            rows: vec![row; usize::from(self.flag())],
            addresses: self.acquaintances(),
        }
    }

    fn ending(&mut self) -> Ending {
        match self.below(5) {
            0 => Ending::Enough,
            1 => Ending::Everybody,
            2 => Ending::Partial,
            3 => Ending::NoSupernode,
            _ => Ending::TooMany,
        }
    }
}

struct Talk {
    core: Supernode,
    now: Timestamp,
    dialled: Vec<PeerId>,
    /// What was said to others, so that answers can echo it.
    said: Vec<(PeerId, SupernodeMessage)>,
    running: BTreeSet<u64>,
    next: u64,
    kinds: Kinds,
}

fn talk(input: &[u8]) -> Kinds {
    let mut choices = Choices::new(input);
    let role = match choices.below(4) {
        0 => RoleWish::Force,
        1 => RoleWish::Forbid,
        _ => RoleWish::Automatic,
    };
    let me = PeerId::from_bytes([0; 32]);
    let mut talk = Talk {
        core: Supernode::new(me, config(role), seeded_rng(1)),
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
            1..=3 => {
                self.now = self.core.next_deadline().map_or(now, |due| due.max(now));
                self.core.handle_timeout(self.now);
            }
            4 => self.core.handle_link(now, choices.peer(PEERS), Link::Up),
            5 => {
                let link = [Link::Down, Link::Unreachable][usize::from(choices.flag())];
                self.core.handle_link(now, choices.peer(PEERS), link);
            }
            6 | 7 => {
                if let Some(peer) = self.dialled.pop() {
                    self.core.handle_link(now, peer, Link::Up);
                }
            }
            8 => self.command(choices),
            9 => {
                let from = choices.peer(PEERS);
                if let Some(message) = choices.raw() {
                    self.hand_over(from, message);
                }
            }
            10..=12 => {
                if let Some((from, said)) = self.said.pop() {
                    let answer = answer(choices, said);
                    self.hand_over(from, answer);
                }
            }
            _ => {
                let from = choices.peer(PEERS);
                let message = something(choices);
                self.hand_over(from, message);
            }
        }
    }

    fn hand_over(&mut self, from: PeerId, message: SupernodeMessage) {
        // Only what can come over a wire comes.
        if let Ok(Decoded::Message(message)) = decode::<SupernodeMessage>(&encode(&message)) {
            self.core.handle_message(self.now, from, message);
        }
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let command = match choices.below(10) {
            0..=2 => {
                self.next += 1;
                self.running.insert(self.next);
                SupernodeCommand::Search {
                    id: self.next,
                    wanted: choices.wanted(),
                    enough: choices.below(3).into(),
                }
            }
            3 => {
                self.running.remove(&self.next);
                SupernodeCommand::Cancel { id: self.next }
            }
            4 => SupernodeCommand::Bootstrap(choices.acquaintances()),
            5 => {
                let me = PeerId::from_bytes([0; 32]);
                SupernodeCommand::Publish(vec![choices.publication(me)])
            }
            6 => SupernodeCommand::Busy(choices.flag()),
            7 => SupernodeCommand::Seen {
                peer: choices.peer(PEERS),
                addresses: Vec::new(),
            },
            8 => SupernodeCommand::Forged {
                via: choices.peer(PEERS),
                hops: choices.below(3),
            },
            _ => SupernodeCommand::DeadSource {
                via: choices.peer(PEERS),
                hops: choices.below(3),
            },
        };
        self.core.handle_command(self.now, command);
    }

    fn drain(&mut self) {
        let mut outputs = Vec::new();
        pump(&mut self.core, |output| outputs.push(output));
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs", outputs.len());
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    self.kinds.note(&message);
                    self.said.push((to, message));
                    if self.said.len() > 64 {
                        self.said.remove(0);
                    }
                }
                Output::Dial { peer } => self.dialled.push(peer),
                Output::Disconnect { .. } => {}
                Output::Event(SupernodeEvent::Ended { id, .. }) => {
                    assert!(self.running.remove(&id), "search {id} ended twice");
                }
                Output::Event(_) => {}
            }
        }
    }

    fn fall_silent(&mut self) {
        assert!(format!("{:?}", self.core).len() <= STATE_MAX);
        for _ in 0..WAKE_UPS_MAX {
            if self.running.is_empty() {
                return;
            }
            let due = self.core.next_deadline().expect("searches have deadlines");
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            self.drain();
        }
        panic!("searches {:?} never end", self.running);
    }
}

/// What an honest peer would answer, more or less.
fn answer(choices: &mut Choices<'_>, said: SupernodeMessage) -> SupernodeMessage {
    match said {
        SupernodeMessage::Knock { nonce, .. } => SupernodeMessage::Place(Box::new(Place {
            nonce,
            is_supernode: choices.flag(),
            room: choices.flag(),
            needed: choices.below(4) == 0,
            supernodes: choices.acquaintances(),
        })),
        SupernodeMessage::Search { request, .. } if choices.flag() => SupernodeMessage::Rows {
            request,
            hits: Box::new(choices.hits()),
        },
        SupernodeMessage::Search { request, .. } => SupernodeMessage::Ended {
            request,
            ending: choices.ending(),
            answered: Box::new(Answered::default()),
        },
        SupernodeMessage::Hub(HubMessage::Hello { nonce, .. }) => {
            SupernodeMessage::Hub(HubMessage::Welcome {
                nonce,
                limits: Limits {
                    lease_seconds: 30,
                    entries_max: 10,
                    queries_per_second: 10,
                    window_batches: 2,
                },
                standing: Standing::default(),
                counts: HubCounts::default(),
            })
        }
        SupernodeMessage::Hub(HubMessage::Ping { nonce, .. }) => {
            SupernodeMessage::Hub(HubMessage::Pong {
                nonce,
                standing: Standing::default(),
                counts: HubCounts::default(),
            })
        }
        SupernodeMessage::Flood(FloodMessage::Hello { .. }) => {
            SupernodeMessage::Flood(FloodMessage::Hello {
                addresses: Vec::new(),
                neighbours: choices.below(4).into(),
            })
        }
        _ => something(choices),
    }
}

fn something(choices: &mut Choices<'_>) -> SupernodeMessage {
    match choices.below(16) {
        0 => SupernodeMessage::Knock {
            nonce: 1,
            wish: match choices.below(4) {
                0 => Wish::Primary,
                1 => Wish::Backup,
                2 => Wish::List,
                _ => Wish::Heir {
                    of: choices.anybody(),
                },
            },
            insists: choices.flag(),
        },
        1 | 2 => SupernodeMessage::Hub(HubMessage::Hello {
            nonce: 1,
            announcement: Announcement::default(),
        }),
        3 => SupernodeMessage::Card {
            is_primary: choices.flag(),
            score: choices.score(),
        },
        4 => SupernodeMessage::Roster(Arc::new(Roster {
            heirs: choices.acquaintances(),
            supernodes: choices.acquaintances(),
        })),
        5 => SupernodeMessage::Promote,
        6 => SupernodeMessage::Decline,
        7 => SupernodeMessage::Move,
        8 => SupernodeMessage::Load {
            leaves: choices.byte().into(),
            leaves_max: choices.byte().into(),
            score: choices.score(),
        },
        9 => SupernodeMessage::DialBack {
            peer: choices.acquaintance(),
        },
        10 => SupernodeMessage::Reached,
        11 => SupernodeMessage::DialledBack {
            peer: choices.anybody(),
            reached: choices.flag(),
        },
        12 | 13 => SupernodeMessage::Search {
            request: choices.below(9).into(),
            wanted: choices.wanted(),
            enough: choices.byte().into(),
        },
        14 => SupernodeMessage::Cancel {
            request: choices.below(9).into(),
        },
        _ => SupernodeMessage::Flood(FloodMessage::Hello {
            addresses: Vec::new(),
            neighbours: choices.below(4).into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::random;

    #[test]
    fn random_conversations_get_everywhere() {
        let mut kinds = Kinds::default();
        for seed in 0..1_200 {
            kinds.extend(talk(&random::input(seed, 1_800)));
        }
        kinds.check_all(&[
            "Hub",
            "Flood",
            "Knock",
            "Place",
            "Card",
            "Roster",
            "Promote",
            "Decline",
            "Load",
            "DialBack",
            "Reached",
            "DialledBack",
            "Search",
            "Rows",
            "Ended",
        ]);
    }
}
