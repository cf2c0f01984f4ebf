//! The upload core: streams that serve, and the contents they are served from.

use std::collections::BTreeMap;
use std::sync::Arc;

use gannet_base::{ContentId, Core as _, GroupRange, Output, PeerId};
use gannet_net::TransferStream;
use gannet_store::{ContentReader, Coverage, ReadError};
use gannet_swarm::{Have, ServeFailure, TransferMessage, UploadCommand, UploadEvent};

use super::Driver;
use super::links::Wanting;
use crate::report::{Report, ServeNews};
use crate::serve::{Arrival, Job, ServeHandle, accept};

/// Contents kept open for serving. Each holds two files open.
// Guess: more than there are slots and queue places that are asked of at once.
const OPEN_MAX: usize = 64;

/// What serves.
#[derive(Default)]
pub(crate) struct Serving {
    streams: BTreeMap<(PeerId, ContentId), ServeHandle>,
    open: BTreeMap<ContentId, Open>,
    next_stream: u64,
    uses: u64,
}

struct Open {
    reader: Arc<ContentReader>,
    used: u64,
}

impl Driver {
    pub(super) fn on_transfer(&mut self, peer: PeerId, stream: TransferStream) {
        self.serving.next_stream += 1;
        let number = self.serving.next_stream;
        accept(
            self.serve.clone(),
            peer,
            number,
            stream,
            self.arrivals.clone(),
        );
    }

    pub(super) fn on_arrival(&mut self, peer: PeerId, arrival: Arrival) {
        let now = self.now();
        let key = (peer, arrival.content);
        if self.serving.streams.insert(key, arrival.handle).is_some() {
            // A second stream for the same content takes the place of the first.
            let command = UploadCommand::StreamClosed {
                to: peer,
                content: arrival.content,
            };
            self.uploads.handle_command(now, command);
        }
        self.uploads.handle_message(now, peer, arrival.first);
    }

    pub(super) fn on_serve_news(
        &mut self,
        content: ContentId,
        peer: PeerId,
        stream: u64,
        news: ServeNews,
    ) {
        let known = self.serving.streams.get(&(peer, content));
        if known.is_none_or(|handle| handle.stream != stream) {
            return;
        }
        let now = self.now();
        match news {
            ServeNews::Message(message) => self.uploads.handle_message(now, peer, message),
            ServeNews::Served { slice, bytes } => {
                self.tally.sent(bytes);
                let command = UploadCommand::Served {
                    to: peer,
                    content,
                    slice,
                    bytes,
                };
                self.uploads.handle_command(now, command);
            }
            ServeNews::Failed { slice, failure } => {
                if failure == ServeFailure::Changed {
                    if self.reoffer_pack(content) {
                        return;
                    }
                    self.check_part(content);
                }
                let command = UploadCommand::ServeFailed {
                    to: peer,
                    content,
                    slice,
                    failure,
                };
                self.uploads.handle_command(now, command);
            }
            ServeNews::Closed => {
                self.serving.streams.remove(&(peer, content));
                let command = UploadCommand::StreamClosed { to: peer, content };
                self.uploads.handle_command(now, command);
            }
        }
    }

    /// A file of a pack has changed: the rest is offered when it is asked for
    /// next. False if it is no pack.
    fn reoffer_pack(&mut self, content: ContentId) -> bool {
        let open = self.serving.open.get(&content);
        let is_pack = open.is_some_and(|open| open.reader.is_collected());
        if is_pack {
            self.serving.open.remove(&content);
            // Nothing is wrong with those who have it: they soon ask again.
            self.uploads
                .handle_command(self.clock.now(), UploadCommand::NotShared { content });
        }
        is_pack
    }

    pub(super) fn on_upload_output(&mut self, output: Output<TransferMessage, UploadEvent>) {
        match output {
            Output::Send { to, message } => {
                self.serve_job(to, message.content(), Job::Message(message));
            }
            Output::Dial { peer } => self.dial(Wanting::Uploads, peer),
            Output::Disconnect { peer } => self.hang_up(Wanting::Uploads, peer),
            Output::Event(UploadEvent::Lookup { content, .. }) => self.look_up(content),
            Output::Event(UploadEvent::Serve { to, content, slice }) => {
                self.serve_slice(to, content, slice);
            }
            Output::Event(UploadEvent::Close { to, content }) => {
                self.serving.streams.remove(&(to, content));
            }
        }
    }

    fn serve_job(&mut self, to: PeerId, content: ContentId, job: Job) {
        let Some(handle) = self.serving.streams.get(&(to, content)) else {
            return;
        };
        if !handle.send(job) {
            self.serving.streams.remove(&(to, content));
            let command = UploadCommand::StreamClosed { to, content };
            self.uploads.handle_command(self.clock.now(), command);
        }
    }

    fn serve_slice(&mut self, to: PeerId, content: ContentId, slice: GroupRange) {
        self.serving.uses += 1;
        let used = self.serving.uses;
        let Some(open) = self.serving.open.get_mut(&content) else {
            // Pushed out by others since it was offered: it must be opened
            // again, and the fetcher asks again.
            let failure = ServeFailure::Unreadable;
            let command = UploadCommand::ServeFailed {
                to,
                content,
                slice,
                failure,
            };
            self.uploads.handle_command(self.clock.now(), command);
            self.look_up(content);
            return;
        };
        open.used = used;
        let reader = Arc::clone(&open.reader);
        self.serve_job(to, content, Job::Slice(slice, reader));
    }

    fn look_up(&self, content: ContentId) {
        let store = self.store.clone();
        let reports = self.reports.clone();
        self.tasks.spawn_blocking(move || {
            let result = store.open_content(content).map(Arc::new);
            // The driver is gone only when everything is.
            let _ = reports.blocking_send(Report::Opened { content, result });
        });
    }

    pub(super) fn on_opened(
        &mut self,
        content: ContentId,
        result: Result<Arc<ContentReader>, ReadError>,
    ) {
        let now = self.now();
        let command = match result {
            Ok(reader) => {
                let (size, have) = (reader.size(), have_of(reader.have()));
                self.keep_open(content, reader);
                UploadCommand::Offer {
                    content,
                    size,
                    have,
                }
            }
            Err(error) => {
                tracing::debug!(content = %content.short(), %error, "not served");
                self.check_part(content);
                UploadCommand::NotShared { content }
            }
        };
        self.uploads.handle_command(now, command);
    }

    fn keep_open(&mut self, content: ContentId, reader: Arc<ContentReader>) {
        self.serving.uses += 1;
        let open = Open {
            reader,
            used: self.serving.uses,
        };
        self.serving.open.insert(content, open);
        if self.serving.open.len() > OPEN_MAX {
            let oldest = self.serving.open.iter().min_by_key(|(_, open)| open.used);
            if let Some(oldest) = oldest.map(|(content, _)| *content) {
                self.serving.open.remove(&oldest);
            }
        }
    }

    /// A content is not shared any more under any path.
    pub(super) fn withdraw_content(&mut self, content: ContentId) {
        self.serving.open.remove(&content);
        self.uploads
            .handle_command(self.clock.now(), UploadCommand::Withdrawn { content });
    }

    /// A partial download has grown: whoever fetches it here may want to know.
    pub(super) fn offer_growth(&mut self, content: ContentId, have: Have) {
        self.uploads
            .handle_command(self.clock.now(), UploadCommand::Grown { content, have });
    }

    /// A finished download lies somewhere else now.
    pub(super) fn reopen(&mut self, content: ContentId) {
        if self.serving.open.remove(&content).is_some() {
            self.look_up(content);
        }
    }

    /// Whether anything is being fetched from or served to a peer.
    pub(super) fn has_streams(&self, peer: PeerId) -> bool {
        let first = (peer, ContentId::from_bytes([0; 32]));
        let of_peer = |key: Option<&(PeerId, ContentId)>| key.is_some_and(|key| key.0 == peer);
        of_peer(
            self.serving
                .streams
                .range(first..)
                .next()
                .map(|(key, _)| key),
        ) || of_peer(self.tally.streams.range(first..).next().map(|(key, _)| key))
            || of_peer(
                self.keeping
                    .streams
                    .range(first..)
                    .next()
                    .map(|(key, _)| key),
            )
    }

    pub(super) fn drop_serving(&mut self, peer: PeerId) {
        self.serving.streams.retain(|(to, _), _| *to != peer);
    }
}

fn have_of(coverage: Coverage) -> Have {
    match coverage {
        Coverage::Whole => Have::Whole,
        Coverage::Groups(groups) => Have::Some(groups),
    }
}
