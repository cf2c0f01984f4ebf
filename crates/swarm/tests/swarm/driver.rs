//! The driver's half of the simulator: performs what cores want done, models
//! the store, and checks what must hold after every step.

use gannet_base::{ContentId, Core, GROUP_BYTES, GroupRange, GroupSet, Link, Output, PeerId, pump};
use gannet_swarm::{
    DownloadCommand, DownloadEvent, DownloadState, DropReason, Have, TransferMessage,
    UploadCommand, UploadEvent, slice_bytes_max,
};
use std::hash::Hash;
use std::time::Duration;

use crate::harness::{Happening, Nature, Receiving, Sim};
use crate::lines::{Item, Sent, StreamId};

impl Sim {
    /// Performs the outputs of both cores of `id`.
    pub(crate) fn drain(&mut self, id: PeerId) {
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
        if !self.steps.is_multiple_of(64) {
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
                self.push(id, to, message.content(), Item::Message(message));
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
                self.push(id, to, content, Item::Close);
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

    pub(crate) fn on_server(&mut self, stream: StreamId, message: TransferMessage) {
        let now = self.now;
        let peer = self.peer(stream.server);
        if peer.alive && peer.nature != Nature::Silent {
            peer.uploads.handle_message(now, stream.fetcher, message);
            self.drain(stream.server);
        }
    }

    /// The uplink of `id` is free: the next thing goes out.
    pub(crate) fn transmit(&mut self, id: PeerId) {
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

    pub(crate) fn on_fetcher(&mut self, stream: StreamId, sent: Sent) {
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
            chunk @ Sent::Chunk { .. } => self.on_chunk(stream, &chunk),
        }
    }

    fn on_chunk(&mut self, stream: StreamId, chunk: &Sent) {
        let (id, content, peer) = (stream.fetcher, stream.content, stream.server);
        let Sent::Chunk {
            slice,
            bytes,
            total,
            first,
            last,
            good,
        } = *chunk
        else {
            return;
        };
        let now = self.now;
        if first {
            let downloads = &mut self.peer(id).downloads;
            let read = downloads.expected(content, peer, slice).is_some();
            let bytes = u32::try_from(total).unwrap();
            let header = TransferMessage::Slice {
                content,
                slice,
                bytes,
            };
            downloads.handle_message(now, peer, header);
            let receiving = Receiving {
                slice,
                got: 0,
                total,
                read,
            };
            self.peer(id).receiving.insert(stream, receiving);
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
                peer,
                bytes,
            },
        );
        if last && self.is_open(stream) {
            self.on_slice_arrived(stream, good);
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
        if !good || expected.size != self.sizes[&content] {
            self.command(
                id,
                DownloadCommand::Corrupt {
                    content,
                    peer,
                    slice,
                },
            );
        } else {
            let useful = self.fresh_part(id, content, slice, receiving.total);
            self.peer(id).useful_bytes += useful;
            self.store(id, content, peer, slice, slice.into());
        }
    }

    /// The driver keeps what arrived whole of a slice that broke off.
    pub(crate) fn abort_receiving(&mut self, stream: StreamId) {
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
            let part = GroupRange::new(slice.start, end);
            let useful = self.fresh_part(id, content, part, receiving.got);
            self.peer(id).useful_bytes += useful;
            self.store(id, content, peer, slice, part.into());
        }
    }

    /// How many of `bytes` for `slice` are for groups that are not here yet.
    fn fresh_part(&self, id: PeerId, content: ContentId, slice: GroupRange, bytes: u64) -> u64 {
        let here = self.peers[&id]
            .disk
            .get(&content)
            .cloned()
            .unwrap_or_default();
        here.gaps_in(slice).len() * bytes / slice.len()
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
