//! The simulator: a queue of events over the lines, the cores of every peer, a
//! model of store and driver, and the checks that hold after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash};
use std::time::Duration;

use gannet_base::{
    ContentId, Core, GROUP_BYTES, GroupRange, GroupSet, Link, Output, PeerId, Timestamp, pump,
    seeded_rng,
};
use gannet_swarm::{
    DownloadCommand, DownloadEvent, DownloadState, Downloads, DownloadsConfig, DropReason, Have,
    TransferMessage, UploadCommand, UploadEvent, Uploads, UploadsConfig, slice_bytes_max,
};

use crate::lines::{Item, Sent, StreamId, Uplink};

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
    uplink: Uplink,
    wakes: [Timestamp; 2],
    /// What it is receiving, by stream.
    receiving: BTreeMap<StreamId, Receiving>,
    pub(crate) banned: BTreeSet<(ContentId, PeerId)>,
    pub(crate) requested: BTreeMap<ContentId, u64>,
    pub(crate) received_bytes: u64,
    pub(crate) completed: BTreeMap<ContentId, Timestamp>,
    pub(crate) events: Vec<(Timestamp, DownloadEvent)>,
}

#[derive(Debug, Clone, Copy)]
struct Receiving {
    slice: GroupRange,
    got: u64,
    total: u64,
    read: bool,
}

enum Happening {
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
    seq: u64,
    /// The open stream of each server, fetcher and content.
    streams: BTreeMap<(PeerId, PeerId, ContentId), StreamId>,
    links: BTreeSet<(PeerId, PeerId)>,
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

    fn schedule(&mut self, time: Timestamp, happening: Happening) {
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

    fn is_open(&self, stream: StreamId) -> bool {
        self.streams
            .get(&(stream.server, stream.fetcher, stream.content))
            == Some(&stream)
    }

    fn latency(&self, a: PeerId, b: PeerId) -> Duration {
        self.peers[&a].latency + self.peers[&b].latency
    }

    /// Performs the outputs of both cores of `id`.
    fn drain(&mut self, id: PeerId) {
        let mut outputs = Vec::new();
        pump(&mut self.peer(id).downloads, |output| outputs.push(output));
        for output in outputs {
            format!("{id:?} {} {output:?}", self.now).hash(&mut self.trace);
            self.perform_download(id, output);
        }
        let mut outputs = Vec::new();
        pump(&mut self.peer(id).uploads, |output| outputs.push(output));
        for output in outputs {
            format!("{id:?} {} {output:?}", self.now).hash(&mut self.trace);
            self.perform_upload(id, output);
        }
        self.check(id);
        let deadlines = {
            let peer = &self.peers[&id];
            [peer.downloads.next_deadline(), peer.uploads.next_deadline()]
        };
        for (core, deadline) in deadlines.into_iter().enumerate() {
            let Some(at) = deadline else { continue };
            assert!(
                at >= self.now || self.peers[&id].wakes[core] <= self.now,
                "a deadline is in the past"
            );
            if at < self.peers[&id].wakes[core] {
                self.peer(id).wakes[core] = at;
                self.schedule(at, Happening::Wake(id, core));
            }
        }
    }

    /// What must hold at all times.
    fn check(&self, id: PeerId) {
        let peer = &self.peers[&id];
        if self.steps % 64 != 0 {
            return;
        }
        peer.downloads.assert_invariants();
        peer.uploads.assert_invariants();
        for content in peer.downloads.contents() {
            let status = peer.downloads.status(self.now, content).unwrap();
            let disk = peer.disk.get(&content).cloned().unwrap_or_default();
            if status.size.is_some() {
                assert_eq!(status.have, disk, "counted is what is on disk");
            }
            if status.state == DownloadState::Complete {
                assert!(disk.is_whole(self.sizes[&content]));
            }
        }
    }

    fn perform_download(&mut self, id: PeerId, output: Output<TransferMessage, DownloadEvent>) {
        match output {
            Output::Dial { peer } => {
                let alive = self.peers.get(&peer).is_some_and(|peer| peer.alive);
                let link = if alive { Link::Up } else { Link::Unreachable };
                if alive {
                    self.links.insert((id.min(peer), id.max(peer)));
                    let at = self.now + 2 * self.latency(id, peer);
                    self.schedule(at, Happening::Linked(id, peer, link));
                } else {
                    let now = self.now;
                    self.at(now + Duration::from_millis(300), move |sim| {
                        let now = sim.now;
                        sim.peer(id)
                            .downloads
                            .handle_link(now, peer, Link::Unreachable);
                        sim.drain(id);
                    });
                }
            }
            Output::Disconnect { .. } => panic!("downloads leave no links"),
            Output::Send { to, message } => {
                self.check_request(id, to, &message);
                let key = (to, id, message.content());
                if matches!(message, TransferMessage::Ask { .. })
                    && !self.streams.contains_key(&key)
                {
                    let stream = StreamId {
                        server: to,
                        fetcher: id,
                        content: message.content(),
                        number: self.seq,
                    };
                    self.streams.insert(key, stream);
                }
                if let Some(stream) = self.streams.get(&key).copied() {
                    let at = self.now + self.latency(id, to);
                    self.schedule(at, Happening::ToServer(stream, message));
                }
            }
            Output::Event(event) => self.on_event(id, event),
        }
    }

    fn check_request(&mut self, id: PeerId, to: PeerId, message: &TransferMessage) {
        let content = message.content();
        if let TransferMessage::Request { slice, .. } = message {
            let size = self.sizes[&content];
            let peer = self.peer(id);
            assert!(
                !peer.banned.contains(&(content, to)),
                "asked of a banned peer"
            );
            let disk = peer.disk.get(&content).cloned().unwrap_or_default();
            let again = disk.intersection(&(*slice).into());
            assert!(again.is_empty(), "{again:?} is here and asked for again");
            let bytes = slice.bytes(size);
            *peer.requested.entry(content).or_default() += bytes.end - bytes.start;
        }
        if let TransferMessage::Ask { .. } = message {
            assert!(
                !self.peer(id).banned.contains(&(content, to)),
                "asked a banned peer"
            );
        }
    }

    fn on_event(&mut self, id: PeerId, event: DownloadEvent) {
        let now = self.now;
        match &event {
            DownloadEvent::Close { content, peer } => self.close_from_fetcher(*peer, id, *content),
            DownloadEvent::Complete { content } => {
                self.peer(id).completed.insert(*content, now);
            }
            DownloadEvent::SourceDropped {
                content,
                peer,
                reason:
                    DropReason::Corrupt { .. } | DropReason::WrongSize { .. } | DropReason::Protocol,
                retry_at,
            } => {
                assert_eq!(*retry_at, None);
                self.peer(id).banned.insert((*content, *peer));
            }
            DownloadEvent::SizeProven { content, size } => assert_eq!(*size, self.sizes[content]),
            _ => {}
        }
        self.peer(id).events.push((now, event));
    }

    fn close_from_fetcher(&mut self, server: PeerId, fetcher: PeerId, content: ContentId) {
        if let Some(stream) = self.streams.remove(&(server, fetcher, content)) {
            self.peer(fetcher).receiving.remove(&stream);
            let at = self.now + self.latency(server, fetcher);
            self.schedule(at, Happening::ServerSide(stream));
        }
    }

    fn perform_upload(&mut self, id: PeerId, output: Output<TransferMessage, UploadEvent>) {
        match output {
            Output::Send { to, message } => {
                self.push(id, to, message.content(), Item::Message(message))
            }
            Output::Event(UploadEvent::Lookup { content, .. }) => {
                let command = self.look_up(id, content);
                self.upload_command(id, command);
            }
            Output::Event(UploadEvent::Serve { to, content, slice }) => {
                let item = self.read(id, content, slice);
                match item {
                    Some(item) => self.push(id, to, content, item),
                    None => {
                        let failure = gannet_swarm::ServeFailure::NotThere;
                        self.upload_command(
                            id,
                            UploadCommand::ServeFailed {
                                to,
                                content,
                                slice,
                                failure,
                            },
                        );
                    }
                }
            }
            Output::Event(UploadEvent::Close { to, content }) => {
                self.push(id, to, content, Item::Close)
            }
            Output::Dial { .. } | Output::Disconnect { .. } => panic!("uploads touch no links"),
        }
    }

    fn look_up(&mut self, id: PeerId, content: ContentId) -> UploadCommand {
        let size = self.sizes[&content];
        let peer = self.peer(id);
        let size_told = match peer.nature {
            Nature::LiesAboutSize(lie) => lie,
            _ => size,
        };
        let whole = matches!(peer.nature, Nature::LiesAboutSize(_) | Nature::ClaimsAll);
        match peer.disk.get(&content) {
            Some(_) if whole => UploadCommand::Offer {
                content,
                size: size_told,
                have: Have::Whole,
            },
            Some(groups) => UploadCommand::Offer {
                content,
                size,
                have: Have::of(groups, size),
            },
            None => UploadCommand::NotShared { content },
        }
    }

    /// What the store of `id` gives for a slice.
    fn read(&mut self, id: PeerId, content: ContentId, slice: GroupRange) -> Option<Item> {
        let size = self.sizes[&content];
        let peer = self.peer(id);
        let lies = matches!(peer.nature, Nature::LiesAboutSize(_));
        let there = peer
            .disk
            .get(&content)
            .is_some_and(|groups| groups.contains_range(slice));
        if peer.nature == Nature::RefusesSlices || !(there || lies) {
            return None;
        }
        let data = slice.bytes(size);
        let exact = data.end - data.start + 64 * (slice.len() + 10);
        let good = match peer.nature {
            Nature::CorruptAfter(bytes) => peer.sent_bytes < bytes,
            Nature::LiesAboutSize(_) => false,
            _ => true,
        };
        let (slice, bytes) = match peer.nature {
            Nature::TooMany => (slice, slice_bytes_max(slice, size) + 1),
            Nature::TooFew => (slice, (exact / 2).max(1)),
            Nature::OtherSlices => (GroupRange::new(slice.start, slice.end + 1), exact),
            _ => (slice, exact.min(slice_bytes_max(slice, size)).max(1)),
        };
        Some(Item::Slice {
            slice,
            bytes,
            rest: bytes,
            good,
        })
    }

    fn push(&mut self, server: PeerId, fetcher: PeerId, content: ContentId, item: Item) {
        let Some(stream) = self.streams.get(&(server, fetcher, content)).copied() else {
            return;
        };
        self.peer(server).uplink.push(stream, item);
        if !self.peer(server).uplink.sending {
            self.peer(server).uplink.sending = true;
            let now = self.now;
            self.schedule(now, Happening::Transmit(server));
        }
    }

    fn on_server(&mut self, stream: StreamId, message: TransferMessage) {
        let now = self.now;
        let peer = self.peer(stream.server);
        if peer.alive && peer.nature != Nature::Silent {
            peer.uploads.handle_message(now, stream.fetcher, message);
            self.drain(stream.server);
        }
    }

    /// The uplink of `id` is free: the next thing goes out.
    fn transmit(&mut self, id: PeerId) {
        let now = self.now;
        let peer = self.peer(id);
        peer.uplink.sending = false;
        if !peer.alive
            || matches!(peer.nature, Nature::StallAfter(bytes) if peer.sent_bytes >= bytes)
        {
            return;
        }
        let Some((stream, sent)) = peer.uplink.pop() else {
            return;
        };
        peer.uplink.sending = true;
        let bytes = if let Sent::Chunk { bytes, .. } = sent {
            bytes
        } else {
            0
        };
        peer.sent_bytes += bytes;
        let micros = (bytes * 1_000_000).div_ceil(peer.bytes_per_second);
        let free = now + Duration::from_micros(micros);
        let arrival = free + self.latency(id, stream.fetcher);
        self.schedule(free, Happening::Transmit(id));
        let (to, content) = (stream.fetcher, stream.content);
        if let Sent::Chunk {
            slice,
            total,
            last: true,
            ..
        } = sent
        {
            self.at(free, move |sim| {
                sim.upload_command(
                    id,
                    UploadCommand::Served {
                        to,
                        content,
                        slice,
                        bytes: total,
                    },
                );
            });
        }
        self.schedule(arrival, Happening::ToFetcher(stream, sent));
    }

    fn on_fetcher(&mut self, stream: StreamId, sent: Sent) {
        if !self.is_open(stream) || !self.peer(stream.fetcher).alive {
            return;
        }
        let (id, content, server) = (stream.fetcher, stream.content, stream.server);
        let now = self.now;
        match sent {
            Sent::Message(message) => {
                self.peer(id).downloads.handle_message(now, server, message);
                self.drain(id);
            }
            Sent::Close => {
                self.streams.remove(&(server, id, content));
                self.abort_receiving(stream);
                self.command(
                    id,
                    DownloadCommand::StreamClosed {
                        content,
                        peer: server,
                    },
                );
            }
            Sent::Chunk {
                slice,
                bytes,
                total,
                first,
                last,
                good,
            } => {
                if first {
                    let read = self
                        .peer(id)
                        .downloads
                        .expected(content, server, slice)
                        .is_some();
                    let header = TransferMessage::Slice {
                        content,
                        slice,
                        bytes: u32::try_from(total).unwrap(),
                    };
                    self.peer(id).downloads.handle_message(now, server, header);
                    self.peer(id).receiving.insert(
                        stream,
                        Receiving {
                            slice,
                            got: 0,
                            total,
                            read,
                        },
                    );
                    self.drain(id);
                }
                if !self.is_open(stream) {
                    return;
                }
                self.peer(id).received_bytes += bytes;
                if let Some(receiving) = self.peer(id).receiving.get_mut(&stream) {
                    receiving.got += bytes;
                }
                self.command(
                    id,
                    DownloadCommand::Received {
                        content,
                        peer: server,
                        bytes,
                    },
                );
                if last && self.is_open(stream) {
                    self.on_slice_arrived(stream, good);
                }
            }
        }
    }

    fn on_slice_arrived(&mut self, stream: StreamId, good: bool) {
        let (id, content, peer) = (stream.fetcher, stream.content, stream.server);
        let Some(receiving) = self.peer(id).receiving.remove(&stream).filter(|r| r.read) else {
            return;
        };
        let slice = receiving.slice;
        let Some(expected) = self.peer(id).downloads.expected(content, peer, slice) else {
            return;
        };
        let data = slice.bytes(self.sizes[&content]);
        if receiving.total < data.end - data.start {
            self.command(
                id,
                DownloadCommand::NotStored {
                    content,
                    peer,
                    slice,
                },
            );
        } else if !good || expected.size != self.sizes[&content] {
            self.command(
                id,
                DownloadCommand::Corrupt {
                    content,
                    peer,
                    slice,
                },
            );
        } else {
            self.store(id, content, peer, slice, slice.into());
        }
    }

    /// The driver keeps what arrived whole of a slice that broke off.
    fn abort_receiving(&mut self, stream: StreamId) {
        let (id, content, peer) = (stream.fetcher, stream.content, stream.server);
        let Some(receiving) = self.peer(id).receiving.remove(&stream).filter(|r| r.read) else {
            return;
        };
        let whole = receiving.got / (GROUP_BYTES + 640);
        let slice = receiving.slice;
        let end = (slice.start + whole).min(slice.end);
        let honest = matches!(
            self.peer(peer).nature,
            Nature::Honest | Nature::StallAfter(_)
        );
        if end > slice.start && end < slice.end && honest && self.peer(id).alive {
            self.store(
                id,
                content,
                peer,
                slice,
                GroupRange::new(slice.start, end).into(),
            );
        }
    }

    fn store(
        &mut self,
        id: PeerId,
        content: ContentId,
        peer: PeerId,
        slice: GroupRange,
        groups: GroupSet,
    ) {
        let size = self.sizes[&content];
        let disk = self.peer(id).disk.entry(content).or_default();
        for run in groups.runs() {
            disk.insert(*run);
        }
        let have = Have::of(disk, size);
        self.command(
            id,
            DownloadCommand::Stored {
                content,
                peer,
                slice,
                groups,
            },
        );
        self.upload_command(id, UploadCommand::Grown { content, have });
    }
}
