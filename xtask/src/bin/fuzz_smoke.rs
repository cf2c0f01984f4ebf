//! Gives every fuzz body random and damaged input for a while: a smoke test
//! that needs no nightly toolchain. It follows no coverage; the targets in
//! `fuzz/` do.
//!
//! The inputs are the same in every run, so a failure comes back; it prints the
//! input, which belongs into a test of the library then.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool talks to the terminal"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gannet_base::wire::{self, SignatureBytes};
use gannet_base::{
    ContentId, FileEntry, GannetLink, GroupRange, GroupSet, Hit, LinkKind, Media, PeerAddress,
    PeerId, Publication, Query, Row, WallTime,
};
use gannet_overlay::flood::{Ask, Coverage, FloodMessage, Hits, Patch, SearchId, Wanted, Welcome};
use gannet_swarm::{Have, RefusedReason, TransferMessage};

/// How long all targets together take when nobody says.
const SECONDS: u32 = 10;
/// Inputs that each target gets, however slow it is.
const INPUTS_MIN: u64 = 500;
/// Longest random input, bytes.
const INPUT_BYTES_MAX: u64 = 2_048;
/// An input that takes this long, without optimisation, is an attack.
const SLOW: Duration = Duration::from_secs(5);

/// A decoder: what it is called, its body, and valid inputs to damage.
struct Target {
    name: &'static str,
    body: fn(&[u8]),
    seeds: Vec<Vec<u8>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let seconds = match words.as_slice() {
        [] => Some(SECONDS),
        ["--seconds", number] => number.parse().ok(),
        _ => None,
    };
    let Some(seconds) = seconds else {
        eprintln!("usage: fuzz_smoke [--seconds N]");
        return ExitCode::from(2);
    };
    let targets = targets();
    let share = Duration::from_secs(seconds.into())
        / u32::try_from(targets.len()).expect("the table is short");
    let failed = targets.iter().filter(|target| !run(target, share)).count();
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("{failed} fuzz bodies failed");
        ExitCode::FAILURE
    }
}

/// Feeds one target for a while; whether it survived.
fn run(target: &Target, time: Duration) -> bool {
    let from = Instant::now();
    let mut inputs = 0;
    for n in 0.. {
        if n >= INPUTS_MIN && from.elapsed() >= time {
            break;
        }
        let input = Source::new(target.name, n).input(&target.seeds);
        let began = Instant::now();
        let survived = catch_unwind(AssertUnwindSafe(|| (target.body)(&input)));
        let took = began.elapsed();
        if survived.is_err() || took > SLOW {
            let how = if survived.is_err() {
                "panicked".to_owned()
            } else {
                format!("took {} s", took.as_secs())
            };
            eprintln!("{}: input {n} {how}: {}", target.name, hexadecimal(&input));
            return false;
        }
        inputs = n + 1;
    }
    println!("{:20} {inputs:>9} inputs", target.name);
    true
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the choices of one input come from: splitmix64, seeded by target and
/// number.
struct Source(u64);

impl Source {
    fn new(name: &str, n: u64) -> Self {
        let seed = name.bytes().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Self(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place in something of this length, its end included.
    fn place(&mut self, length: usize) -> usize {
        let end = u64::try_from(length).expect("lengths fit") + 1;
        usize::try_from(self.below(end)).expect("it is no larger than the length")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One input: random, or a valid one with some damage.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if seeds.is_empty() || self.below(4) == 0 {
            return self.random();
        }
        let mut input = self.pick(seeds).clone();
        for _ in 0..self.below(5) {
            self.damage(&mut input, seeds);
        }
        input
    }

    fn pick<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &seeds[self.place(seeds.len() - 1)]
    }

    /// Random bytes: short ones more often, and small numbers more often, since
    /// those are variants and lengths.
    fn random(&mut self) -> Vec<u8> {
        let longest = 1 << self.below(INPUT_BYTES_MAX.ilog2().into());
        let small = self.below(2) == 0;
        (0..self.below(longest + 1))
            .map(|_| {
                let byte = self.byte();
                if small { byte % 12 } else { byte }
            })
            .collect()
    }

    fn damage(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.place(input.len());
        match self.below(7) {
            0 => input.truncate(at),
            1 => {
                let byte = self.byte();
                input.insert(at, byte);
            }
            2 if at < input.len() => input[at] ^= 1 << self.below(8),
            3 if at < input.len() => input[at] = self.byte(),
            // The largest numbers in the encoding of varints.
            4 => {
                let end = (at + 1).min(input.len());
                let number = if self.below(2) == 0 { 5 } else { 10 };
                let mut bytes = vec![0xff; number];
                bytes[number - 1] = 1;
                input.splice(at..end, bytes);
            }
            // A piece again.
            5 => {
                let end = at + self.place((input.len() - at).min(64));
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            // The end of another.
            _ => {
                let other = self.pick(seeds);
                let from = self.place(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}

fn targets() -> Vec<Target> {
    use gannet_net::fuzz as net;
    use gannet_node::fuzz as node;
    use gannet_overlay::dht::fuzz as dht;
    use gannet_overlay::flood::fuzz as flood;
    use gannet_overlay::hub::fuzz as hub;
    use gannet_overlay::supernode::fuzz as supernode;
    use gannet_store::fuzz as store;
    use gannet_swarm::fuzz as swarm;
    use gannet_web::fuzz as web;

    let new = |name, body, seeds| Target { name, body, seeds };
    vec![
        new("link", gannet_base::link::fuzz, links()),
        new("hub_message", hub::hub_message, vec![]),
        new("hub_server", hub::hub_server, vec![]),
        new("hub_client", hub::hub_client, vec![]),
        new("dht_ring", dht::dht_ring, vec![]),
        new(
            "dht_store",
            gannet_overlay::dht::store::fuzz::dht_store,
            vec![],
        ),
        new("dht_keep", gannet_overlay::dht::keep::fuzz::keep, vec![]),
        new("dht_message", dht::dht_message, vec![]),
        new("flood", flood::flood, vec![]),
        new("flood_message", flood::flood_message, flood_messages()),
        new("flood_table", flood::flood_table, vec![]),
        new("supernode", supernode::supernode, vec![]),
        new("supernode_message", supernode::supernode_message, vec![]),
        new("query", gannet_index::fuzz_query, queries()),
        new(
            "transfer_message",
            swarm::transfer_message,
            transfer_messages(),
        ),
        new("downloads", swarm::downloads_core, vec![]),
        new("uploads", swarm::uploads_core, vec![]),
        new("stream_header", net::stream_header, vec![]),
        new("road_offer", net::road_offer, vec![]),
        new("handshake", net::handshake, vec![]),
        new("browse_message", node::browse_message, vec![]),
        new("slice_decoder", store::slice_decoder, vec![]),
        new("catalogue_record", store::catalogue_record, vec![]),
        new("sanitise", store::sanitise, names()),
        new("manifest", store::manifest, manifests()),
        new("sse", web::sse, events()),
    ]
}

fn links() -> Vec<Vec<u8>> {
    let address = format!("{}@10.0.0.1:7,[::1]:8", PeerId::from_bytes([7; 32]));
    let link = GannetLink {
        content: ContentId::of(b"content"),
        kind: LinkKind::File,
        name: Some("Harry & Potter, 1.flac".to_owned()),
        size: Some(1 << 40),
        peers: vec![address.parse().expect("it is an address")],
    };
    vec![link.to_string().into_bytes()]
}

fn queries() -> Vec<Vec<u8>> {
    let query = "harry \"the potter\" -stone OR pot* type:audio ext:flac size:>10MB size:1GB..4GB \
                 artist:\"a b\" title:c album:d hash:";
    let whole = format!("{query}{}", ContentId::of(b"content"));
    vec![
        whole.into_bytes(),
        "für 魔法 ＡＢＣ 10x".as_bytes().to_vec(),
    ]
}

fn names() -> Vec<Vec<u8>> {
    let names = [
        "../../.ssh/authorized_keys",
        "CON.txt",
        "a\u{202e}gpj.exe",
        "\u{1b}]0;x\u{7}",
        "e\u{301}.tar.gz ",
    ];
    names.map(|name| name.as_bytes().to_vec()).to_vec()
}

/// The list of a folder with an empty file.
fn manifests() -> Vec<Vec<u8>> {
    let mut bytes = b"gannet folder 1\n\x06Folder\x01\x07a/b.txt\x00".to_vec();
    bytes.extend_from_slice(ContentId::of(b"").as_bytes());
    vec![bytes]
}

/// A stream of events; the first byte says how it is cut.
fn events() -> Vec<Vec<u8>> {
    let stream =
        "\x04id: 7\nevent: row\r\ndata: {\"a\":1}\ndata: b\n\n: still here\n\nretry: 9\r\r";
    vec![stream.as_bytes().to_vec()]
}

fn flood_messages() -> Vec<Vec<u8>> {
    let peer = PeerId::from_bytes([7; 32]);
    let addresses = vec!["10.0.0.1:7".parse().expect("it is an address")];
    let peers = vec![PeerAddress {
        peer,
        addresses: addresses.clone(),
    }];
    let question = Query::new("harry \"the potter\" pot*").expect("it is a query");
    let ask = |wanted: Wanted| {
        FloodMessage::Ask(Ask {
            search: SearchId(1 << 40),
            round: 2,
            ttl: 7,
            hops: 1,
            report: true,
            again: false,
            question: wanted.into(),
        })
    };
    let patch = Patch {
        sequence: 3,
        reset: Some(9),
        last: true,
        flips: vec![2, 5, 0xff, 0x31],
    };
    [
        FloodMessage::Hello {
            addresses: addresses.clone(),
            neighbours: 3,
        },
        FloodMessage::Welcome(Box::new(Welcome {
            addresses,
            peers: peers.clone(),
        })),
        FloodMessage::Pong { nonce: 9, peers },
        ask(Wanted::Words(question)),
        ask(Wanted::Content(ContentId::of(b"content"))),
        FloodMessage::Hits(SearchId(7), Box::new(flood_hits())),
        FloodMessage::Report {
            search: SearchId(7),
            round: 1,
            ttl: 3,
            coverage: Coverage::default(),
        },
        FloodMessage::Table(Box::new(patch)),
    ]
    .iter()
    .map(wire::encode)
    .collect()
}

fn flood_hits() -> Hits {
    let content = ContentId::of(b"content");
    let entry = FileEntry {
        content,
        size: 1 << 30,
        path: "Harry Potter/1.flac".to_owned(),
        media: Media::default(),
    };
    let publication = Publication {
        entry,
        holder: PeerId::from_bytes([7; 32]),
        expires: WallTime::from_unix_seconds(1 << 32),
        signature: SignatureBytes([3; 64]),
    };
    Hits {
        hops: 2,
        rows: vec![Row {
            content,
            holders: 1,
            hits: vec![Hit { publication }],
        }],
        addresses: vec![],
    }
}

fn transfer_messages() -> Vec<Vec<u8>> {
    let content = ContentId::of(b"content");
    let slice = GroupRange { start: 3, end: 9 };
    let groups: GroupSet = [slice, GroupRange { start: 20, end: 21 }]
        .into_iter()
        .collect();
    [
        TransferMessage::Ask { content },
        TransferMessage::Request { content, slice },
        TransferMessage::Ready {
            content,
            size: 1 << 30,
            have: Have::Some(groups.clone()),
        },
        TransferMessage::Queued {
            content,
            position: 3,
        },
        TransferMessage::Have { content, groups },
        TransferMessage::Slice {
            content,
            slice,
            bytes: 100_000,
        },
        TransferMessage::Refused {
            content,
            reason: RefusedReason::QueueFull,
        },
    ]
    .iter()
    .map(wire::encode)
    .collect()
}
