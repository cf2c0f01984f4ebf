//! The driver: one task that owns every core.
//!
//! It waits for the first of a network event, a request, a report and a
//! deadline; gives it to exactly one core (or to all, for news of a link); and
//! drains what the cores want done. It never waits for a peer or a disk: what
//! may take long is a task or a thread, which reports.

mod dht;
mod downloads;
mod fetching;
mod flood;
mod folders;
mod hub;
mod keep;
mod known;
mod links;
mod page;
mod publishing;
mod questions;
mod requests;
mod settings;
mod shares;
mod sources;
mod status;
mod supernode;
mod uploads;

use std::time::Duration;

use ed25519_dalek::SigningKey;
use gannet_base::{Core, Output, PeerAddress, PeerId, Timestamp, pump};
use gannet_index::Index;
use gannet_net::{Net, NetEvent};
use gannet_overlay::hub::{HubClient, HubServer};
use gannet_overlay::locate::{Locate, LocateCommand};
use gannet_store::{Store, Watcher};
use gannet_swarm::{Downloads, Uploads};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::NodeConfig;
use crate::api::NodeEvent;
use crate::clock::Clock;
use crate::fetch::FetchContext;
use crate::handle::Request;
use crate::keeping::Keeping;
use crate::report::{REPORTS_MAX, Report, Whose};
use crate::scanner::{Finding, Scanner};
use crate::searches::Searches;
use crate::serve::{Arrival, ServeContext};

pub(crate) use dht::Ring;
pub(crate) use downloads::DownloadList;
pub(crate) use fetching::Streams;
pub(crate) use flood::Flooding;
pub(crate) use folders::Folders;
pub(crate) use hub::own_address;
pub(crate) use links::Links;
pub(crate) use page::Pages;
pub(crate) use questions::Questions;
pub(crate) use shares::refused;
pub(crate) use sources::Named;
pub(crate) use status::Tally;
pub(crate) use supernode::Tiers;
pub(crate) use uploads::Serving;

/// How often small things are looked after: checkpoints, speeds, addresses.
const TICK: Duration = Duration::from_secs(1);
/// Longest that anything may keep a node from ending.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reports taken at once.
const REPORTS_AT_ONCE: usize = 256;

/// Everything that the driver owns. Split by concern over the files of this
/// folder; here is only the run loop.
pub(crate) struct Driver {
    pub(crate) config: NodeConfig,
    pub(crate) clock: Clock,
    pub(crate) key: SigningKey,
    pub(crate) peer: PeerId,
    pub(crate) net: Net,
    pub(crate) store: Store,
    pub(crate) hub_client: HubClient,
    pub(crate) hub_server: Option<HubServer>,
    /// `None`: switched off.
    pub(crate) flood: Option<Flooding>,
    /// `None`: switched off.
    pub(crate) supernode: Option<Tiers>,
    /// `None`: switched off.
    pub(crate) dht: Option<Ring>,
    /// Who named sources, to be held to it.
    pub(crate) named: Named,
    /// What the file of remembered peers has.
    pub(crate) remembered: Vec<PeerAddress>,
    pub(crate) locate: Locate,
    pub(crate) downloads: Downloads,
    /// What is kept for others.
    pub(crate) keeping: Keeping,
    pub(crate) uploads: Uploads,
    /// What this peer shares itself.
    pub(crate) own: Index,
    /// The downloads that it shares while they run. Apart from the others: what
    /// is not whole is not "had", and not listed for those who browse.
    pub(crate) partial: Index,
    pub(crate) searches: Searches,
    pub(crate) list: DownloadList,
    pub(crate) folders: Folders,
    pub(crate) serving: Serving,
    pub(crate) links: Links,
    pub(crate) questions: Questions,
    pub(crate) scanner: Option<Scanner>,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) fetch: FetchContext,
    pub(crate) serve: ServeContext,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) arrivals: mpsc::Sender<(PeerId, Arrival)>,
    pub(crate) tally: Tally,
    pub(crate) pages: Pages,
    pub(crate) address: PeerAddress,
    pub(crate) next_tick: Timestamp,
    pub(crate) ticks: u64,
    pub(crate) stopping: bool,
    /// Everything that runs beside the driver and holds files.
    pub(crate) tasks: TaskTracker,
}

/// Where the driver's inputs come from.
pub(crate) struct Inputs {
    pub(crate) net: mpsc::Receiver<NetEvent>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) arrivals: mpsc::Receiver<(PeerId, Arrival)>,
    pub(crate) findings: mpsc::Receiver<Finding>,
}

/// The report channel, made before the driver: store and scanner report too.
pub(crate) fn report_channel() -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    mpsc::channel(REPORTS_MAX)
}

impl Driver {
    /// Runs until told to stop, then cleans up; `stopped` turns true at the
    /// very end.
    pub(crate) async fn run(mut self, mut inputs: Inputs, stopped: watch::Sender<bool>) {
        self.begin();
        self.drain();
        let mut reports = Vec::with_capacity(REPORTS_AT_ONCE);
        while !self.stopping {
            let wake = self.clock.instant(self.next_deadline());
            tokio::select! {
                event = inputs.net.recv() => match event {
                    Some(event) => self.handle_net(event),
                    // The network is gone for good: so is this peer.
                    None => self.stopping = true,
                },
                request = inputs.requests.recv() => match request {
                    Some(Request::Shutdown) | None => self.stopping = true,
                    Some(request) => self.handle_request(request),
                },
                _ = inputs.reports.recv_many(&mut reports, REPORTS_AT_ONCE) => {
                    self.handle_reports(&mut reports);
                }
                Some((peer, arrival)) = inputs.arrivals.recv() => {
                    self.on_arrival(peer, arrival);
                }
                // One at a time: what others want does not wait for a million files.
                Some(finding) = inputs.findings.recv() => {
                    self.on_finding(finding);
                    // The connections' tasks may wait for this thread.
                    tokio::task::yield_now().await;
                }
                () = tokio::time::sleep_until(wake) => self.handle_timeout(),
            }
            self.drain();
        }
        self.end(&mut inputs).await;
        let tasks = self.tasks.clone();
        drop((self, inputs));
        tasks.close();
        // The data directory is free for another node when the last of them is
        // done.
        if tokio::time::timeout(PATIENCE, tasks.wait()).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        // Nobody has to be there to hear it.
        let _ = stopped.send(true);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn begin(&mut self) {
        let overlays = LocateCommand::Overlays(self.config.overlays.clone());
        self.locate.handle_command(self.clock.now(), overlays);
        self.begin_hubs();
        self.begin_flood();
        self.begin_supernode();
        self.begin_dht();
        self.begin_downloads();
        self.begin_folders();
        self.begin_links();
        self.begin_shares();
        self.next_tick = self.now() + TICK;
    }

    fn next_deadline(&self) -> Timestamp {
        [
            self.hub_client.next_deadline(),
            self.hub_server.as_ref().and_then(HubServer::next_deadline),
            self.flood.as_ref().and_then(Flooding::next_deadline),
            self.supernode.as_ref().and_then(Tiers::next_deadline),
            self.dht.as_ref().and_then(Ring::next_deadline),
            self.locate.next_deadline(),
            self.downloads.next_deadline(),
            self.keeping.downloads.next_deadline(),
            self.uploads.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_tick, Timestamp::min)
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.hub_client.handle_timeout(now);
        if let Some(hub) = &mut self.hub_server {
            hub.handle_timeout(now);
        }
        if let Some(flood) = &mut self.flood {
            flood.core().handle_timeout(now);
        }
        if let Some(tiers) = &mut self.supernode {
            tiers.core().handle_timeout(now);
        }
        if let Some(ring) = &mut self.dht {
            ring.core().handle_timeout(now);
        }
        self.locate.handle_timeout(now);
        self.downloads.handle_timeout(now);
        self.keeping.downloads.handle_timeout(now);
        self.uploads.handle_timeout(now);
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.ticks += 1;
            self.on_tick();
        }
    }

    fn on_tick(&mut self) {
        self.tick_status();
        self.tick_downloads();
        self.tick_folders();
        self.tick_links();
        self.tick_hubs();
        self.tick_publishing();
        self.tick_flood();
        self.tick_supernode();
        self.tick_dht();
        self.tick_keep();
        self.tick_known();
    }

    fn handle_reports(&mut self, reports: &mut Vec<Report>) {
        for report in reports.drain(..) {
            match report {
                Report::Shares(changes) => self.on_shares(changes),
                Report::Fetch {
                    whose,
                    content,
                    peer,
                    stream,
                    news,
                } => match whose {
                    Whose::Own => self.on_fetch_news(content, peer, stream, news),
                    Whose::Kept => self.on_kept_news(content, peer, stream, news),
                },
                Report::Serve {
                    content,
                    peer,
                    stream,
                    news,
                } => {
                    self.on_serve_news(content, peer, stream, news);
                }
                Report::Created {
                    wish,
                    result,
                    reply,
                } => {
                    self.on_created(wish, result, reply);
                }
                Report::Opened { content, result } => self.on_opened(content, result),
                Report::Rows {
                    id,
                    overlay,
                    via,
                    hops,
                    checked,
                } => self.on_verified(id, overlay, (via, hops), checked),
                Report::Watching(watcher) => self.on_watching(watcher),
                Report::Store(event) => self.on_store_event(event),
                Report::Checkpoint { content, result } => self.on_checkpoint(content, result),
                Report::Finished { content, result } => self.on_finished(content, result),
                Report::Room { content, room } => self.on_room(content, room),
                Report::Kept(news) => self.on_kept_report(news),
                Report::Folder(news) => self.on_folder_news(news),
                Report::ToKeep {
                    result,
                    wish,
                    reply,
                } => self.on_to_keep(result, wish, reply),
            }
        }
    }

    /// Does what the cores want done, until none wants anything.
    fn drain(&mut self) {
        loop {
            let hub = outputs(Some(&mut self.hub_client));
            let server = outputs(self.hub_server.as_mut());
            let flood = outputs(self.flood.as_mut().map(Flooding::core));
            let supernode = outputs(self.supernode.as_mut().map(Tiers::core));
            let dht = outputs(self.dht.as_mut().map(Ring::core));
            let locate = outputs(Some(&mut self.locate));
            let downloads = outputs(Some(&mut self.downloads));
            let kept = outputs(Some(&mut self.keeping.downloads));
            let uploads = outputs(Some(&mut self.uploads));
            let is_idle = hub.is_empty()
                && server.is_empty()
                && flood.is_empty()
                && supernode.is_empty()
                && dht.is_empty()
                && locate.is_empty()
                && downloads.is_empty()
                && kept.is_empty()
                && uploads.is_empty();
            if is_idle {
                return;
            }
            for output in hub {
                self.on_hub_client_output(output);
            }
            for output in server {
                self.on_hub_server_output(output);
            }
            for output in flood {
                self.on_flood_output(output);
            }
            for output in supernode {
                self.on_supernode_output(output);
            }
            for output in dht {
                self.on_dht_output(output);
            }
            for output in locate {
                self.on_locate_output(output);
            }
            for output in downloads {
                self.on_download_output(output);
            }
            for output in kept {
                self.on_kept_output(output);
            }
            for output in uploads {
                self.on_upload_output(output);
            }
        }
    }

    fn tell(&self, event: NodeEvent) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// Leaves in good order: hubs are told, what downloads have is committed,
    /// connections are closed, the scanner's thread has ended.
    async fn end(&mut self, inputs: &mut Inputs) {
        inputs.requests.close();
        let remember = self.remember();
        self.end_hubs();
        self.end_flood();
        self.end_supernode();
        self.end_dht();
        self.drain();
        self.watcher = None;
        let scanner = self.scanner.as_mut().and_then(Scanner::stop);
        // The scanner may be waiting for room.
        inputs.findings.close();
        while inputs.findings.try_recv().is_ok() {}
        inputs.reports.close();
        while inputs.reports.try_recv().is_ok() {}
        let saved = self.save_downloads();
        let folders = self.end_folders();
        let keeping = self.end_keep();
        let files = self.tasks.spawn_blocking(move || {
            saved();
            folders();
            remember();
            let _ = keeping.map(std::thread::JoinHandle::join);
            scanner.map(std::thread::JoinHandle::join)
        });
        if files.await.is_err() {
            tracing::error!("saving the downloads failed at the end");
        }
        // Closing would wait for dials that are under way.
        self.stop_dials();
        if tokio::time::timeout(PATIENCE, self.net.close())
            .await
            .is_err()
        {
            tracing::warn!("connections did not close in time");
        }
    }
}

/// What a core wants done now.
fn outputs<C: Core>(core: Option<&mut C>) -> Vec<Output<C::Message, C::Event>> {
    let mut outputs = Vec::new();
    if let Some(core) = core {
        pump(core, |output| outputs.push(output));
    }
    outputs
}
