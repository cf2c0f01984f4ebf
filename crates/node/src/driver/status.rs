//! What the node says of itself.

use std::time::Duration;

use gannet_base::Timestamp;
use gannet_net::Road;
use gannet_overlay::hub::HubPhase;
use gannet_overlay::locate::Overlay;
use gannet_store::Store;
use gannet_swarm::UploadState;
use tokio::sync::watch;

use super::Driver;
use super::fetching::Streams;
use super::publishing::Publishing;
use crate::api::{
    DhtInfo, DownloadState, FloodInfo, HubInfo, HubServerInfo, PeerInfo, SharesSummary, Status,
    SupernodeInfo, Traffic, UploadInfo,
};

/// Figures, and small things that belong to nobody else.
#[derive(Default)]
pub(crate) struct Tally {
    /// The streams that fetch.
    pub(super) streams: Streams,
    pub(super) next_stream: u64,
    pub(super) publishing: Publishing,
    /// Files and bytes shared, as of the last look.
    pub(super) shared: (u64, u64),
    pub(super) folders: u32,
    pub(super) share_problems: Vec<String>,
    pub(super) scan_problem: Option<String>,
    /// An order to scan was lost: scan everything soon.
    pub(super) scan_missed: bool,
    pub(super) warnings: Vec<String>,
    received_bytes: u64,
    sent_bytes: u64,
    last: (Timestamp, u64, u64),
    down_bytes_per_second: u64,
    up_bytes_per_second: u64,
    /// Counts what has been written, for those who wait for it.
    grown: watch::Sender<u64>,
}

impl Tally {
    /// With what the store repaired while opening, for the user to know.
    pub(crate) fn new(warnings: Vec<String>) -> Self {
        Self {
            warnings,
            ..Self::default()
        }
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.received_bytes += bytes;
        self.grown.send_modify(|times| *times += 1);
    }

    /// Changes when bytes have come.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.sent_bytes += bytes;
    }

    /// Half of the new second, half of what was before: calm enough to read.
    fn measure(&mut self, now: Timestamp) {
        let (then, received, sent) = self.last;
        let micros = u64::try_from((now - then).as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = |bytes: u64| bytes.saturating_mul(1_000_000) / micros;
        let blend = |old: u64, new: u64| if old < 16 { new } else { old / 2 + new / 2 };
        self.down_bytes_per_second = blend(
            self.down_bytes_per_second,
            rate(self.received_bytes - received),
        );
        self.up_bytes_per_second = blend(self.up_bytes_per_second, rate(self.sent_bytes - sent));
        self.last = (now, self.received_bytes, self.sent_bytes);
    }

    /// Counts the shares again; a few records of the catalogue.
    pub(super) fn on_shares_changed(&mut self, store: &Store) {
        let shares = store.shares().unwrap_or_default();
        self.folders = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        self.shared = shares.iter().fold((0, 0), |(files, bytes), share| {
            (files + share.files, bytes + share.bytes)
        });
        self.share_problems = shares
            .iter()
            .filter_map(|share| match &share.state {
                gannet_store::ShareState::Available => None,
                gannet_store::ShareState::Unavailable { reason } => Some(format!(
                    "{} is not shared now: {reason}",
                    share.path.display()
                )),
            })
            .collect();
    }
}

/// Ticks between counts of the shares while nothing says that they changed.
const COUNT_TICKS: u64 = 5;

impl Driver {
    pub(super) fn tick_status(&mut self) {
        let now = self.now();
        self.tally.measure(now);
        let scanning = self
            .scanner
            .as_ref()
            .is_some_and(|scanner| scanner.progress().is_some());
        if scanning && self.ticks.is_multiple_of(COUNT_TICKS) {
            self.tally.on_shares_changed(&self.store);
        }
        if self.tally.scan_missed
            && let Some(scanner) = &self.scanner
        {
            self.tally.scan_missed = !scanner.order(crate::scanner::Order::Scan);
        }
    }

    pub(super) fn status(&mut self) -> Status {
        self.tally.on_shares_changed(&self.store);
        let hubs = self.hub_infos();
        let flood = self.flood_info();
        let supernode = self.supernode_info();
        let dht = self.dht_info();
        let ways = Ways {
            hubs: &hubs,
            flood: flood.as_ref(),
            supernode: supernode.as_ref(),
            dht: dht.as_ref(),
        };
        let problems = self.problems(&ways);
        let overlays = self.config.overlays.iter();
        Status {
            peer: self.peer,
            address: self.address.clone(),
            agent: crate::agent(),
            network: self.config.network.clone(),
            private: self.config.secret_file.is_some(),
            uptime_seconds: self.now().as_micros() / 1_000_000,
            data_dir: self.config.data_dir.clone(),
            download_dir: self.config.download_dir.clone(),
            hubs,
            hub: self.hub_server.as_ref().map(|hub| {
                let status = hub.status();
                HubServerInfo {
                    peers: status.peers as u64,
                    entries: status.entries as u64,
                    contents: status.contents as u64,
                    searches: status.searches,
                }
            }),
            overlays: overlays.map(|overlay| overlay.name().to_owned()).collect(),
            flood,
            supernode,
            dht,
            shares: SharesSummary {
                folders: self.tally.folders,
                files: self.tally.shared.0,
                bytes: self.tally.shared.1,
                ready: self
                    .tally
                    .publishing
                    .is_loading()
                    .then(|| self.own.len() as u64),
                scanning: self.scan_progress(),
            },
            traffic: self.traffic(),
            peers_connected: u32::try_from(self.net.connections().len()).unwrap_or(u32::MAX),
            problems,
        }
    }

    fn hub_infos(&self) -> Vec<HubInfo> {
        let info = |state: gannet_overlay::hub::HubState| {
            let problem = match (state.connected, state.phase, state.last_down) {
                (true, ..) => None,
                (false, _, Some(down)) => Some(self.hub_problem(state.hub, &down.to_string())),
                (false, HubPhase::Dialing | HubPhase::Greeting, None) => {
                    Some("connecting".to_owned())
                }
                (false, _, None) => Some("not connected yet".to_owned()),
            };
            HubInfo {
                hub: state.hub,
                connected: state.connected,
                registered: state.registered as u64,
                answer_ms: state
                    .canary_rtt
                    .map(|rtt: Duration| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
                problem,
            }
        };
        self.hub_client.status().into_iter().map(info).collect()
    }

    fn traffic(&self) -> Traffic {
        let files = self.list.items.values();
        let files = files.filter(|item| item.part_of.is_none());
        let files = files.filter(|item| item.state == DownloadState::Active);
        let folders = self.active_folders();
        let uploads = self.uploads.status(self.now()).uploads;
        let serving = uploads
            .iter()
            .filter(|upload| upload.state == UploadState::Serving)
            .count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let net = self.net.counters();
        Traffic {
            downloads_active: count(files.count() + folders),
            uploads_active: count(serving),
            uploads_queued: count(uploads.len() - serving),
            down_bytes_per_second: self.tally.down_bytes_per_second,
            up_bytes_per_second: self.tally.up_bytes_per_second,
            received_bytes: self.tally.received_bytes,
            sent_bytes: self.tally.sent_bytes,
            tcp_transfers: count(self.net.lanes()),
            tcp_received_bytes: net.lane_bytes_received,
            tcp_sent_bytes: net.lane_bytes_sent,
            tcp_failures: net.lanes_failed,
            tcp_refusals: net.lanes_refused,
        }
    }

    /// What is wrong, each with what to do.
    fn problems(&self, ways: &Ways<'_>) -> Vec<String> {
        let mut problems = self.tally.warnings.clone();
        problems.extend(self.tally.share_problems.iter().cloned());
        if let Some(problem) = &self.tally.scan_problem {
            problems.push(format!("the shares could not be looked through: {problem}"));
        }
        problems.extend(self.nobody_to_ask(ways));
        if self
            .list
            .items
            .values()
            .any(|item| item.state == DownloadState::DiskFull)
        {
            problems.push(format!(
                "the disk with {} is full; make room",
                self.config.download_dir.display()
            ));
        }
        problems
    }

    /// Why searches reach nobody, or not those that they should.
    fn nobody_to_ask(&self, ways: &Ways<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        let others = ways.others();
        if !ways.hubs.is_empty() && ways.hubs.iter().all(|hub| !hub.connected) {
            let left = match others.as_slice() {
                [] => "nothing".to_owned(),
                [one] => format!("only {one}"),
                [first @ .., last] => format!("only {} and {last}", first.join(", ")),
            };
            problems.push(format!(
                "no hub is connected, so {left} can be searched now"
            ));
        }
        problems.extend(ways.problems());
        let knows_somebody = ways.knows_somebody() || !self.known_peers().is_empty();
        let has_somebody = !ways.hubs.is_empty() || !others.is_empty();
        if has_somebody || knows_somebody || self.hub_server.is_some() {
            return problems;
        }
        let hub = self.config.overlays.contains(&Overlay::Hub);
        problems.push(match (hub, ways.has_peers()) {
            (true, false) => {
                "no hub is named, so nothing can be searched; start with --hub PEER@ADDRESS"
                    .to_owned()
            }
            (true, true) => format!(
                "no hub is named and no other peer is known, so nothing can be searched; start \
                 with --hub or --peer PEER@ADDRESS, or let others start with --peer {}",
                self.address
            ),
            (false, _) => format!(
                "no other peer is known: name one with --peer PEER@ADDRESS, or let others start \
                 with --peer {}",
                self.address
            ),
        });
        problems
    }

    pub(super) fn upload_infos(&self) -> Vec<UploadInfo> {
        let uploads = self.uploads.status(self.now()).uploads;
        let info = |upload: gannet_swarm::UploadStatus| {
            let name = match self.own.holders(upload.content, 1) {
                Some(row) => row.hits.first().map(|hit| hit.entry().name().to_owned()),
                None => self.name_of(upload.content),
            };
            UploadInfo {
                peer: upload.peer,
                content: upload.content,
                name: name.unwrap_or_default(),
                queue_position: match upload.state {
                    UploadState::Queued { position } => Some(position),
                    UploadState::Serving | UploadState::LookingUp => None,
                },
                bytes_per_second: upload.rate_bytes_per_second,
                bytes: upload.bytes,
            }
        };
        uploads.into_iter().map(info).collect()
    }

    /// What a content is called that is downloaded, or kept for others.
    fn name_of(&self, content: gannet_base::ContentId) -> Option<String> {
        let item = self.list.items.get(&content);
        let part = self.keeping.parts.get(&content);
        let kept = part.map(|part| part.entry.name().to_owned());
        item.map(|item| item.name.clone()).or(kept)
    }

    pub(super) fn peer_infos(&self) -> Vec<PeerInfo> {
        let info = |connection: gannet_net::ConnectionInfo| PeerInfo {
            peer: connection.peer,
            address: connection.remote,
            relayed: connection.road == Road::Relayed,
            agent: connection.agent,
            round_trip_ms: (!connection.rtt.is_zero())
                .then(|| u64::try_from(connection.rtt.as_millis()).unwrap_or(u64::MAX)),
            sent_bytes: connection.sent_bytes + connection.lane_sent_bytes,
            received_bytes: connection.received_bytes + connection.lane_received_bytes,
            connected_seconds: connection.connected_for.as_secs(),
            is_hub: self
                .config
                .hubs
                .iter()
                .any(|hub| hub.peer == connection.peer),
            is_neighbour: self
                .flood
                .as_ref()
                .is_some_and(|flood| flood.has_neighbour(connection.peer)),
            is_ring_neighbour: self
                .dht
                .as_ref()
                .is_some_and(|ring| ring.is_neighbour(connection.peer)),
            tie: self
                .supernode
                .as_ref()
                .and_then(|tiers| tiers.tie(connection.peer)),
        };
        self.net.connections().into_iter().map(info).collect()
    }
}

/// The ways to find, as far as they are switched on.
struct Ways<'a> {
    hubs: &'a [HubInfo],
    flood: Option<&'a FloodInfo>,
    supernode: Option<&'a SupernodeInfo>,
    dht: Option<&'a DhtInfo>,
}

impl Ways<'_> {
    /// Whom besides hubs can be asked now.
    fn others(&self) -> Vec<&'static str> {
        let ways = [
            (
                "neighbours",
                self.flood.is_some_and(|flood| flood.neighbours > 0),
            ),
            ("supernodes", self.supernode.is_some_and(is_in_reach)),
            ("the ring", self.dht.is_some_and(|dht| dht.joined)),
        ];
        let usable = ways.into_iter().filter(|(_, is_usable)| *is_usable);
        usable.map(|(name, _)| name).collect()
    }

    /// Whether any way leads over other peers.
    fn has_peers(&self) -> bool {
        self.flood.is_some() || self.supernode.is_some() || self.dht.is_some()
    }

    fn knows_somebody(&self) -> bool {
        self.flood.is_some_and(|flood| flood.known_peers > 0)
            || self
                .supernode
                .is_some_and(|supernode| supernode.known_supernodes > 0)
            || self.dht.is_some_and(|dht| dht.known_peers > 0)
    }

    fn problems(&self) -> impl Iterator<Item = String> {
        let flood = self.flood.and_then(|flood| flood.problem.clone());
        let supernode = self.supernode.and_then(|info| info.problem.clone());
        let dht = self.dht.and_then(|dht| dht.problem.clone());
        [flood, supernode, dht].into_iter().flatten()
    }
}

/// Whether there is a supernode to ask, or leaves whose files are known.
fn is_in_reach(supernode: &SupernodeInfo) -> bool {
    let has_home = supernode.homes.iter().any(|home| home.is_live);
    has_home || supernode.links > 0 || supernode.leaves > 0
}
