//! The simulator: a queue of events over the lines, the cores of every peer, a
//! model of store and driver, and the checks that hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::DefaultHasher;
use std::time::Duration;

use gannet_base::{ContentId, Core, GroupRange, GroupSet, Link, PeerId, Timestamp, seeded_rng};
use gannet_swarm::{
    DownloadCommand, DownloadEvent, Downloads, DownloadsConfig, TransferMessage, UploadCommand,
    Uploads, UploadsConfig,
};

use crate::lines::{Sent, StreamId, Uplink};

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Honest,
    /// Sends wrong bytes once it has sent this many right ones.
    CorruptAfter(u64),
    /// Sends nothing more at all once it has sent this many bytes, but keeps
    /// its links.
    StallAfter(u64),
    /// Claims another size.
    LiesAboutSize(u64),
    /// Grants a slot and refuses every slice.
    RefusesSlices,
    /// Announces more bytes than any encoding has.
    TooMany,
    /// Announces, and sends, half of a slice.
    TooFew,
    /// Sends slices that nobody asked for.
    OtherSlices,
    /// Never answers.
    Silent,
    /// Has only some groups but claims all.
    ClaimsAll,
}

/// One peer, its cores and its disk.
pub(crate) struct Peer {
    pub(crate) downloads: Downloads,
    pub(crate) uploads: Uploads,
    pub(crate) nature: Nature,
    pub(crate) bytes_per_second: u64,
    pub(crate) latency: Duration,
    /// What it can serve, by content.
    pub(crate) disk: BTreeMap<ContentId, GroupSet>,
    pub(crate) alive: bool,
    pub(crate) sent_bytes: u64,
    pub(crate) uplink: Uplink,
    pub(crate) wakes: [Timestamp; 2],
    /// What it is receiving, by stream.
    pub(crate) receiving: BTreeMap<StreamId, Receiving>,
    pub(crate) banned: BTreeSet<(ContentId, PeerId)>,
    pub(crate) requested: BTreeMap<ContentId, u64>,
    pub(crate) received_bytes: u64,
    /// Of those, the ones of groups that were not here, once verified.
    pub(crate) useful_bytes: u64,
    pub(crate) completed: BTreeMap<ContentId, Timestamp>,
    pub(crate) events: Vec<(Timestamp, DownloadEvent)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiving {
    pub(crate) slice: GroupRange,
    pub(crate) got: u64,
    pub(crate) total: u64,
    pub(crate) read: bool,
}

pub(crate) enum Happening {
    ToServer(StreamId, TransferMessage),
    ToFetcher(StreamId, Sent),
    ServerSide(StreamId),
    Transmit(PeerId),
    Wake(PeerId, usize),
    Linked(PeerId, PeerId, Link),
    Script(Box<dyn FnOnce(&mut Sim)>),
}

pub(crate) struct Sim {
    pub(crate) now: Timestamp,
    pub(crate) sizes: BTreeMap<ContentId, u64>,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    pub(crate) seq: u64,
    /// The open stream of each server, fetcher and content.
    pub(crate) streams: BTreeMap<(PeerId, PeerId, ContentId), StreamId>,
    pub(crate) links: BTreeSet<(PeerId, PeerId)>,
    pub(crate) trace: DefaultHasher,
    pub(crate) steps: u64,
}

pub(crate) fn peer_id(number: u16) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    PeerId::from_bytes(bytes)
}

pub(crate) fn content_id(number: u8) -> ContentId {
    ContentId::from_bytes([number; 32])
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::ZERO,
            sizes: BTreeMap::new(),
            peers: BTreeMap::new(),
            queue: BTreeMap::new(),
            seq: 0,
            streams: BTreeMap::new(),
            links: BTreeSet::new(),
            trace: DefaultHasher::new(),
            steps: 0,
        }
    }

    /// A peer with an uplink; it shares nothing yet.
    pub(crate) fn add_peer(
        &mut self,
        number: u16,
        bytes_per_second: u64,
        latency: Duration,
    ) -> PeerId {
        let id = peer_id(number);
        self.add_peer_with(
            id,
            bytes_per_second,
            latency,
            DownloadsConfig::default(),
            UploadsConfig::default(),
        );
        id
    }

    pub(crate) fn add_peer_with(
        &mut self,
        id: PeerId,
        bytes_per_second: u64,
        latency: Duration,
        config: DownloadsConfig,
        uploads: UploadsConfig,
    ) {
        let number = u64::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]));
        let peer = Peer {
            downloads: Downloads::new(config, seeded_rng(number)),
            uploads: Uploads::new(uploads),
            nature: Nature::Honest,
            bytes_per_second,
            latency,
            disk: BTreeMap::new(),
            alive: true,
            sent_bytes: 0,
            uplink: Uplink::default(),
            wakes: [Timestamp::MAX; 2],
            receiving: BTreeMap::new(),
            banned: BTreeSet::new(),
            requested: BTreeMap::new(),
            received_bytes: 0,
            useful_bytes: 0,
            completed: BTreeMap::new(),
            events: Vec::new(),
        };
        self.peers.insert(id, peer);
    }

    pub(crate) fn peer(&mut self, id: PeerId) -> &mut Peer {
        self.peers.get_mut(&id).unwrap()
    }

    /// `id` has all of `content`.
    pub(crate) fn share(&mut self, id: PeerId, content: ContentId) {
        let whole = GroupSet::whole(self.sizes[&content]);
        self.peer(id).disk.insert(content, whole);
    }

    pub(crate) fn at(&mut self, time: Timestamp, script: impl FnOnce(&mut Self) + 'static) {
        self.schedule(time, Happening::Script(Box::new(script)));
    }

    pub(crate) fn schedule(&mut self, time: Timestamp, happening: Happening) {
        self.seq += 1;
        self.queue.insert((time.max(self.now), self.seq), happening);
    }

    /// Starts a download that knows these sources.
    pub(crate) fn fetch(&mut self, id: PeerId, content: ContentId, sources: &[PeerId]) {
        let have = self
            .peer(id)
            .disk
            .get(&content)
            .cloned()
            .unwrap_or_default();
        let size = (!have.is_empty()).then(|| self.sizes[&content]);
        self.command(
            id,
            DownloadCommand::Start {
                content,
                size_hint: None,
                size,
                have,
                priority: 0,
            },
        );
        for peer in sources {
            self.command(
                id,
                DownloadCommand::AddSource {
                    content,
                    peer: *peer,
                },
            );
        }
    }

    pub(crate) fn command(&mut self, id: PeerId, command: DownloadCommand) {
        let now = self.now;
        if self.peer(id).alive {
            self.peer(id).downloads.handle_command(now, command);
            self.drain(id);
        }
    }

    pub(crate) fn upload_command(&mut self, id: PeerId, command: UploadCommand) {
        let now = self.now;
        if self.peer(id).alive {
            self.peer(id).uploads.handle_command(now, command);
            self.drain(id);
        }
    }

    /// The process dies; its links break, noticed after `noticed`.
    pub(crate) fn kill(&mut self, id: PeerId, noticed: Duration) {
        self.peer(id).alive = false;
        self.peer(id).uplink.clear();
        self.cut(id, noticed);
    }

    /// Breaks all links of a peer.
    pub(crate) fn cut(&mut self, id: PeerId, noticed: Duration) {
        let links: Vec<_> = self
            .links
            .iter()
            .filter(|(a, b)| *a == id || *b == id)
            .copied()
            .collect();
        for (a, b) in links {
            self.links.remove(&(a, b));
            self.schedule(self.now + noticed, Happening::Linked(a, b, Link::Down));
        }
        let streams: Vec<_> = self.streams.values().copied().collect();
        for stream in streams
            .into_iter()
            .filter(|s| s.server == id || s.fetcher == id)
        {
            self.streams
                .remove(&(stream.server, stream.fetcher, stream.content));
            self.peer(stream.server).uplink.drop_stream(stream);
            self.abort_receiving(stream);
        }
    }

    /// Starts a killed peer again: a new process with the same disk.
    pub(crate) fn restart(&mut self, id: PeerId, config: DownloadsConfig) {
        let peer = self.peer(id);
        peer.alive = true;
        peer.downloads = Downloads::new(config, seeded_rng(77));
        peer.uploads = Uploads::new(UploadsConfig::default());
        peer.wakes = [Timestamp::MAX; 2];
        peer.uplink = Uplink::default();
    }

    /// Runs until `done` or `until`; true if done.
    pub(crate) fn run(&mut self, until: Timestamp, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let Some(((at, seq), _)) = self.queue.first_key_value() else {
                return false;
            };
            let (at, seq) = (*at, *seq);
            if at > until {
                self.now = until;
                return false;
            }
            self.now = at;
            let happening = self.queue.remove(&(at, seq)).unwrap();
            self.steps += 1;
            assert!(self.steps < 20_000_000, "the simulation does not end");
            self.happen(happening);
        }
    }

    /// Runs until `id` has completed `content`; how long it took in all.
    #[track_caller]
    pub(crate) fn run_to_end(
        &mut self,
        id: PeerId,
        content: ContentId,
        until: Duration,
    ) -> Duration {
        let done = self.run(Timestamp::ZERO + until, |sim| {
            sim.peers[&id].completed.contains_key(&content)
        });
        let status = self.peers[&id].downloads.status(self.now, content);
        assert!(done, "not complete after {until:?}: {status:?}");
        self.peers[&id].completed[&content] - Timestamp::ZERO
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Script(script) => script(self),
            Happening::Wake(id, core) => {
                let now = self.now;
                let peer = self.peer(id);
                if !peer.alive || peer.wakes[core] > now {
                    return;
                }
                peer.wakes[core] = Timestamp::MAX;
                if core == 0 {
                    peer.downloads.handle_timeout(now);
                } else {
                    peer.uploads.handle_timeout(now);
                }
                self.drain(id);
            }
            Happening::Linked(a, b, link) => {
                for (id, other) in [(a, b), (b, a)] {
                    let now = self.now;
                    if self.peer(id).alive {
                        self.peer(id).downloads.handle_link(now, other, link);
                        self.peer(id).uploads.handle_link(now, other, link);
                        self.drain(id);
                    }
                }
            }
            Happening::ToServer(stream, message) => self.on_server(stream, message),
            Happening::ServerSide(stream) => {
                let (to, content) = (stream.fetcher, stream.content);
                self.peer(stream.server).uplink.drop_stream(stream);
                self.upload_command(stream.server, UploadCommand::StreamClosed { to, content });
            }
            Happening::Transmit(id) => self.transmit(id),
            Happening::ToFetcher(stream, sent) => self.on_fetcher(stream, sent),
        }
    }

    pub(crate) fn is_open(&self, stream: StreamId) -> bool {
        self.streams
            .get(&(stream.server, stream.fetcher, stream.content))
            == Some(&stream)
    }

    pub(crate) fn latency(&self, a: PeerId, b: PeerId) -> Duration {
        self.peers[&a].latency + self.peers[&b].latency
    }
}
