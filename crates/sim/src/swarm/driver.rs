//! What the node's driver does, without bytes: streams, serving, news.

use std::time::Duration;

use gannet_base::{Core as _, GroupRange, GroupSet, Output, Timestamp};
use gannet_swarm::{
    DownloadCommand, DownloadEvent, Have, TransferMessage, UploadCommand, UploadEvent,
};

use super::peer::Fetching;
use super::stream::{Cargo, Job, Packet, message_bytes};
use super::{CONTENT, Event, Swarm, node_of};
use crate::peer_id;

/// How often arriving bytes are reported.
// Source: the node's driver.
const RECEIVED_EVERY: Duration = Duration::from_millis(150);

impl Swarm {
    /// Does all that the cores of a peer want done, and wakes it in time.
    pub(super) fn drain(&mut self, node: u32) {
        loop {
            let peer = self.node_mut(node);
            if let Some(output) = peer.downloads.poll_output() {
                self.on_download_output(node, output);
            } else if let Some(output) = peer.uploads.poll_output() {
                self.on_upload_output(node, output);
            } else {
                break;
            }
        }
        self.send_next(node);
        self.arm(node);
    }

    fn arm(&mut self, node: u32) {
        let soonest = self.now + Duration::from_micros(1);
        let peer = self.node_mut(node);
        let deadlines = [peer.downloads.next_deadline(), peer.uploads.next_deadline()];
        let Some(at) = deadlines.into_iter().flatten().min() else {
            return;
        };
        let at = at.max(soonest);
        if peer.wake_at.is_none_or(|wake| at < wake) {
            peer.wake_at = Some(at);
            self.schedule(at, Event::Wake { node });
        }
    }

    fn on_download_output(&mut self, node: u32, output: Output<TransferMessage, DownloadEvent>) {
        match output {
            Output::Send { to, message } => self.say(node, node_of(to), message),
            Output::Dial { peer } => {
                let (from, to) = (node, node_of(peer));
                let at = self.now + self.latency(from, to);
                self.schedule(at, Event::Dialled { from, to });
            }
            Output::Disconnect { .. } => {}
            Output::Event(event) => self.on_download_event(node, event),
        }
    }

    /// A fetcher's message; an ask opens a stream if there is none.
    fn say(&mut self, node: u32, to: u32, message: TransferMessage) {
        let now = self.now;
        let asks = matches!(message, TransferMessage::Ask { .. });
        if asks && !self.node(node).fetching.contains_key(&to) {
            self.streams += 1;
            let fetching = Fetching {
                stream: self.streams,
                unreported: 0,
                reported: now,
            };
            self.node_mut(node).fetching.insert(to, fetching);
        }
        let Some(fetching) = self.node(node).fetching.get(&to) else {
            return;
        };
        let stream = fetching.stream;
        self.tally.messages += 1;
        self.tally.message_bytes += u64::from(message_bytes(&message));
        let at = now + self.latency(node, to);
        let from = node;
        self.schedule(
            at,
            Event::ToSource {
                from,
                to,
                stream,
                message,
            },
        );
    }

    fn on_download_event(&mut self, node: u32, event: DownloadEvent) {
        match event {
            DownloadEvent::SizeProven { .. } => {
                self.node_mut(node).proven = true;
                self.announce(node);
            }
            DownloadEvent::Complete { .. } => self.on_complete(node),
            DownloadEvent::NeedSources { .. } => self.ask_tracker(node),
            DownloadEvent::Close { peer, .. } => {
                let to = node_of(peer);
                if let Some(fetching) = self.node_mut(node).fetching.remove(&to) {
                    let (from, stream) = (node, fetching.stream);
                    let at = self.now + self.latency(from, to);
                    self.schedule(at, Event::FetcherGone { from, to, stream });
                }
            }
            DownloadEvent::SourceDropped { .. } => self.tally.dropped_sources += 1,
            DownloadEvent::Progress { .. } | DownloadEvent::StateChanged { .. } => {}
        }
    }

    fn on_complete(&mut self, node: u32) {
        let (now, size) = (self.now, self.config.size);
        let peer = self.node_mut(node);
        let whole = peer.have.is_whole(size);
        peer.finished = Some(now);
        let command = DownloadCommand::Cancel { content: CONTENT };
        peer.downloads.handle_command(now, command);
        self.tally.wrong += u64::from(!whole);
        self.tally.unfinished -= 1;
        self.grow(node, Have::Whole);
    }

    fn grow(&mut self, node: u32, have: Have) {
        let now = self.now;
        let content = CONTENT;
        let command = UploadCommand::Grown { content, have };
        self.node_mut(node).uploads.handle_command(now, command);
    }

    fn on_upload_output(&mut self, node: u32, output: Output<TransferMessage, UploadEvent>) {
        let (now, size) = (self.now, self.config.size);
        match output {
            Output::Send { to, message } => {
                self.tally.messages += 1;
                self.tally.message_bytes += u64::from(message_bytes(&message));
                self.enqueue(node, node_of(to), Job::Message(message));
            }
            Output::Event(UploadEvent::Lookup { content, .. }) => {
                let peer = self.node_mut(node);
                let command = if peer.proven {
                    let have = peer.offer(size);
                    UploadCommand::Offer {
                        content,
                        size,
                        have,
                    }
                } else {
                    UploadCommand::NotShared { content }
                };
                peer.uploads.handle_command(now, command);
            }
            Output::Event(UploadEvent::Serve { to, slice, .. }) => {
                self.tally.wrong += u64::from(!self.node(node).have.contains_range(slice));
                self.enqueue(node, node_of(to), Job::Slice(slice));
            }
            Output::Event(UploadEvent::Close { to, .. }) => {
                let peer = self.node_mut(node);
                if let Some(number) = peer.serving.remove(&node_of(to)) {
                    if let Some(stream) = peer.streams.get_mut(&number) {
                        stream.closing = true;
                    }
                    self.queue_up(node, number);
                }
            }
            Output::Dial { .. } | Output::Disconnect { .. } => {}
        }
    }

    fn enqueue(&mut self, node: u32, to: u32, job: Job) {
        let peer = self.node_mut(node);
        let Some(number) = peer.serving.get(&to).copied() else {
            return;
        };
        if let Some(stream) = peer.streams.get_mut(&number) {
            stream.push(job);
        }
        self.queue_up(node, number);
    }

    /// Puts a stream in line for the uplink if it has anything to send and its
    /// window is open.
    fn queue_up(&mut self, node: u32, number: u64) {
        let Some(stream) = self.node(node).streams.get(&number) else {
            return;
        };
        let round_trip = self.latency(node, stream.to) * 2;
        let window = self.config.window + self.node(node).up.in_time(round_trip);
        let peer = self.node_mut(node);
        if let Some(stream) = peer.streams.get_mut(&number)
            && stream.has_more()
            && stream.on_the_way < window
            && !stream.in_line
        {
            stream.in_line = true;
            peer.line.push_back(number);
        }
    }

    /// Starts on the next packet if the uplink is free.
    fn send_next(&mut self, node: u32) {
        let (now, size) = (self.now, self.config.size);
        let peer = self.node_mut(node);
        if peer.sending.is_some() {
            return;
        }
        while let Some(number) = peer.line.pop_front() {
            let Some(stream) = peer.streams.get_mut(&number) else {
                continue;
            };
            stream.in_line = false;
            let Some((cargo, bytes)) = stream.next(size) else {
                continue;
            };
            stream.on_the_way += u64::from(bytes);
            let packet = Packet {
                from: node,
                to: stream.to,
                stream: number,
                bytes,
                cargo,
            };
            if matches!(packet.cargo, Cargo::End) {
                peer.streams.remove(&number);
            }
            peer.sending = Some(packet);
            let at = peer.up.pass(now, bytes);
            self.schedule(at, Event::Sent { node });
            self.queue_up(node, number);
            return;
        }
    }

    pub(super) fn on_sent(&mut self, node: u32) {
        let now = self.now;
        let peer = self.node_mut(node);
        let Some(packet) = peer.sending.take().filter(|_| peer.alive) else {
            return;
        };
        if let Cargo::Part {
            slice,
            last: true,
            total,
            ..
        } = packet.cargo
            && peer.serving.get(&packet.to) == Some(&packet.stream)
        {
            let command = UploadCommand::Served {
                to: peer_id(packet.to),
                content: CONTENT,
                slice,
                bytes: u64::from(total),
            };
            peer.uploads.handle_command(now, command);
        }
        let at = now + self.latency(packet.from, packet.to);
        self.schedule(at, Event::Arrived(packet));
        self.drain(node);
    }

    pub(super) fn on_arrived(&mut self, packet: Packet) {
        let now = self.now;
        let peer = self.node_mut(packet.to);
        if peer.alive {
            let at = peer.down.pass(now, packet.bytes);
            self.schedule(at, Event::Received(packet));
        }
    }

    pub(super) fn on_received(&mut self, packet: Packet) {
        let (from, to, number) = (packet.from, packet.to, packet.stream);
        if !self.node(to).alive {
            return;
        }
        if let Some(stream) = self.node_mut(from).streams.get_mut(&number) {
            stream.on_the_way = stream.on_the_way.saturating_sub(u64::from(packet.bytes));
            self.queue_up(from, number);
            self.send_next(from);
        }
        let fetching = self.node(to).fetching.get(&from);
        if fetching.is_some_and(|fetching| fetching.stream == number) {
            self.on_cargo(to, from, packet);
            self.drain(to);
        }
    }

    fn on_cargo(&mut self, node: u32, from: u32, packet: Packet) {
        let (now, source) = (self.now, peer_id(from));
        let content = CONTENT;
        let peer = self.node_mut(node);
        match packet.cargo {
            Cargo::Message(message) => peer.downloads.handle_message(now, source, message),
            Cargo::End => {
                peer.fetching.remove(&from);
                let peer_id = source;
                let command = DownloadCommand::StreamClosed {
                    content,
                    peer: peer_id,
                };
                peer.downloads.handle_command(now, command);
            }
            Cargo::Part {
                slice,
                first,
                last,
                total,
            } => {
                if first {
                    let bytes = total;
                    let header = TransferMessage::Slice {
                        content,
                        slice,
                        bytes,
                    };
                    peer.downloads.handle_message(now, source, header);
                }
                self.on_part(node, from, packet.bytes, last);
                if last {
                    self.on_slice(node, from, slice);
                }
            }
        }
    }

    fn on_part(&mut self, node: u32, from: u32, bytes: u32, last: bool) {
        let now = self.now;
        let peer = self.node_mut(node);
        let Some(fetching) = peer.fetching.get_mut(&from) else {
            return;
        };
        fetching.unreported += u64::from(bytes);
        if last || now >= fetching.reported + RECEIVED_EVERY {
            fetching.reported = now;
            let bytes = std::mem::take(&mut fetching.unreported);
            let command = DownloadCommand::Received {
                content: CONTENT,
                peer: peer_id(from),
                bytes,
            };
            peer.downloads.handle_command(now, command);
        }
    }

    fn on_slice(&mut self, node: u32, from: u32, slice: GroupRange) {
        let (now, size) = (self.now, self.config.size);
        let groups = GroupSet::from(slice);
        let peer = self.node_mut(node);
        let fresh = groups.difference(&peer.have).bytes(size);
        peer.have.insert(slice);
        let command = DownloadCommand::Stored {
            content: CONTENT,
            peer: peer_id(from),
            slice,
            groups: groups.clone(),
        };
        peer.downloads.handle_command(now, command);
        let gained = UploadCommand::Gained {
            content: CONTENT,
            groups: groups.clone(),
        };
        peer.uploads.handle_command(now, gained);
        self.tally.fresh_bytes += fresh;
        self.tally.stored_bytes += groups.bytes(size);
        self.tally.slices += 1;
        if self.tally.all_out.is_none() {
            self.tally.out.insert(slice);
            self.tally.all_out = self.tally.out.is_whole(size).then_some(now);
        }
    }

    /// The link is gone, and all streams with it. The cores hear of the link.
    pub(super) fn forget_streams(&mut self, node: u32, other: u32) {
        let peer = self.node_mut(node);
        peer.fetching.remove(&other);
        if peer.serving.remove(&other).is_some() {
            peer.streams.retain(|_, stream| stream.to != other);
        }
    }

    /// When the last of the living was done.
    pub(super) fn last_finish(&self) -> Option<Timestamp> {
        let finished = self.nodes.iter().filter(|peer| peer.alive);
        finished.filter_map(|peer| peer.finished).max()
    }
}
