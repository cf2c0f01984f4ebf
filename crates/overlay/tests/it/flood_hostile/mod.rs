//! What strangers may do to a flood peer, and what it costs.

mod answers;
mod crowds;
mod liars;
mod questions;
mod tables;

use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, Core as _, FileEntry, Hit, Link, Media, Output, PeerAddress, PeerId, Publication,
    Query, Row, Timestamp, WallTime, seeded_rng, step,
};
use gannet_overlay::flood::{
    Ask, Config, DownReason, Flood, FloodCommand, FloodEvent, FloodMessage, Hits, Patch, SearchId,
    Strategy, Wanted,
};

use crate::harness::peer;

pub(super) type Outputs = Vec<Output<FloodMessage, FloodEvent>>;

/// One peer, whose neighbours are played by the test.
pub(super) struct Bench {
    pub(super) flood: Flood,
    pub(super) now: Timestamp,
}

impl Bench {
    /// With neighbours 1 to `count`.
    pub(super) fn with_neighbours(config: Config, count: u8) -> Self {
        let mut bench = Self {
            flood: Flood::new(peer(0), config, seeded_rng(1)),
            now: Timestamp::ZERO,
        };
        for n in 1..=count {
            let outputs = bench.greet(peer(n));
            assert!(
                outputs
                    .iter()
                    .any(|output| matches!(output, Output::Event(FloodEvent::NeighbourUp { .. }))),
                "{outputs:?}"
            );
        }
        bench
    }

    pub(super) fn greet(&mut self, from: PeerId) -> Outputs {
        let now = self.now;
        let mut outputs = step(&mut self.flood, |flood| {
            flood.handle_link(now, from, Link::Up);
        });
        outputs.extend(self.hand(
            from,
            FloodMessage::Hello {
                addresses: Vec::new(),
                neighbours: 1,
            },
        ));
        outputs
    }

    pub(super) fn hand(&mut self, from: PeerId, message: FloodMessage) -> Outputs {
        let now = self.now;
        step(&mut self.flood, |flood| {
            flood.handle_message(now, from, message);
        })
    }

    pub(super) fn order(&mut self, command: FloodCommand) -> Outputs {
        let now = self.now;
        step(&mut self.flood, |flood| flood.handle_command(now, command))
    }

    /// Everything that is due until then; the neighbours stay alive.
    pub(super) fn run_for(&mut self, duration: Duration) -> Outputs {
        let until = self.now + duration;
        let mut outputs = Vec::new();
        while let Some(due) = self.flood.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let now = self.now;
            let some = step(&mut self.flood, |flood| flood.handle_timeout(now));
            for output in some {
                if let Output::Send {
                    to,
                    message: FloodMessage::Ping { nonce },
                } = &output
                {
                    let peers = Vec::new();
                    let pong = FloodMessage::Pong {
                        nonce: *nonce,
                        peers,
                    };
                    outputs.extend(self.hand(*to, pong));
                }
                outputs.push(output);
            }
        }
        self.now = until;
        outputs
    }

    pub(super) fn is_neighbour(&self, who: PeerId) -> bool {
        let status = self.flood.status();
        status.neighbours.iter().any(|info| info.peer == who)
    }
}

pub(super) fn config() -> Config {
    Config {
        questions_per_second: 0,
        ..Config::default()
    }
}

pub(super) fn words(text: &str) -> Wanted {
    Wanted::Words(Query::new(text).expect("it is a query"))
}

pub(super) fn ask(search: u64, ttl: u8, hops: u8) -> FloodMessage {
    FloodMessage::Ask(Ask {
        search: SearchId(search),
        round: 0,
        ttl,
        hops,
        report: true,
        again: false,
        question: words("harry potter").into(),
    })
}

pub(super) fn row(n: u8) -> Row {
    let content = ContentId::from_bytes([n; 32]);
    let publication = Publication {
        entry: FileEntry {
            content,
            size: 1_000,
            path: "harry potter".to_owned(),
            media: Media::default(),
        },
        holder: peer(n),
        expires: WallTime::from_unix_seconds(1 << 40),
        signature: SignatureBytes([0; 64]),
    };
    Row {
        content,
        holders: 1,
        hits: vec![Hit { publication }],
    }
}

pub(super) fn hits(search: SearchId, n: u8) -> FloodMessage {
    let hits = Hits {
        hops: 0,
        rows: vec![row(n)],
        addresses: Vec::new(),
    };
    FloodMessage::Hits(search, Box::new(hits))
}

pub(super) fn table(sequence: u32, reset: Option<u8>, flips: Vec<u8>) -> FloodMessage {
    FloodMessage::Table(Box::new(Patch {
        sequence,
        reset,
        last: true,
        flips,
    }))
}

/// Peers that do not exist.
pub(super) fn dead(seed: u32, count: usize) -> Vec<PeerAddress> {
    let one = |n: usize| {
        let mut id = [200; 32];
        id[..4].copy_from_slice(&seed.to_le_bytes());
        id[4..12].copy_from_slice(&n.to_le_bytes());
        PeerAddress {
            peer: PeerId::from_bytes(id),
            addresses: vec![([10, 9, 8, 7], 6).into()],
        }
    };
    (0..count).map(one).collect()
}

/// The copies of questions among the outputs.
pub(super) fn copies(outputs: &Outputs) -> Vec<(PeerId, Ask)> {
    let copy = |output: &Output<FloodMessage, FloodEvent>| match output {
        Output::Send {
            to,
            message: FloodMessage::Ask(ask),
        } => Some((*to, ask.clone())),
        _ => None,
    };
    outputs.iter().filter_map(copy).collect()
}

pub(super) fn asked(outputs: &Outputs) -> usize {
    let is_asked = |output: &&_| matches!(output, Output::Event(FloodEvent::Asked { .. }));
    outputs.iter().filter(is_asked).count()
}

pub(super) fn rows(outputs: &Outputs) -> usize {
    let is_rows = |output: &&_| matches!(output, Output::Event(FloodEvent::Rows { .. }));
    outputs.iter().filter(is_rows).count()
}

pub(super) fn lost(outputs: &Outputs, who: PeerId) -> Option<DownReason> {
    outputs.iter().find_map(|output| match output {
        Output::Event(FloodEvent::NeighbourDown { peer, reason }) if *peer == who => Some(*reason),
        _ => None,
    })
}

pub(super) fn search(bench: &mut Bench, id: u64, strategy: Strategy) -> (SearchId, Outputs) {
    let outputs = bench.order(FloodCommand::Search {
        id,
        wanted: words("harry potter"),
        enough: 3,
        strategy: Some(strategy),
    });
    let (_, ask) = copies(&outputs).pop().expect("somebody is asked");
    (ask.search, outputs)
}
