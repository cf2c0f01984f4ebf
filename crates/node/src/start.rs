//! Starting: everything that can fail at the start, in the order in which it is
//! cheapest to fail.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Rng, Timestamp, fork_rng, seeded_rng};
use gannet_index::Index;
use gannet_net::{BindError, Net, NetConfig, Network};
use gannet_overlay::dht::Dht;
use gannet_overlay::flood::Flood;
use gannet_overlay::hub::{ClientConfig, HubClient, HubServer, ServerConfig};
use gannet_overlay::locate::{Locate, Overlay};
use gannet_overlay::supernode::Supernode;
use gannet_store::{OpenError, Store, StoreConfig, StoreEvent};
use gannet_swarm::{Downloads, DownloadsConfig, Uploads, UploadsConfig};
use rand_core::Rng as _;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::driver::{Driver, Flooding, Inputs, Ring, Tiers, own_address, refused, report_channel};
use crate::fetch::FetchContext;
use crate::keeping::{Disk, DiskContext, Keeping, Restored};
use crate::limiter::Limiter;
use crate::report::Report;
use crate::scanner::{FINDINGS_MAX, Finding, Scanner};
use crate::serve::ServeContext;
use crate::{Node, NodeConfig, ShareError, StartError, identity};

/// Requests waiting for the driver; whoever asks more waits.
const REQUESTS_MAX: usize = 256;
/// Events kept for a listener that is behind.
const EVENTS_MAX: usize = 256;
/// New streams waiting for the driver.
const ARRIVALS_MAX: usize = 256;
/// Time between two pings of a neighbour. QUIC would notice its death too, but
/// only after half a minute.
// Guess: some hundred bytes a second.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a neighbour may leave pings unanswered.
// Guess: two pings and a little.
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// Longest secret read from a file.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Starts a node; see [`Node::start`].
pub(crate) async fn start(mut config: NodeConfig) -> Result<Node, StartError> {
    let configured = crate::settings::restore(&mut config);
    let secret = config.secret_file.as_deref().map(read_secret).transpose()?;
    let (reports, report_queue) = report_channel();
    let (store, key, remembered, restored) = open(config.clone(), reports.clone()).await?;
    let bound = Net::bind(net_config(&config, key.to_bytes(), secret)).await;
    let (net, net_events) = bound.map_err(bind_error)?;
    let peer = net.peer_id();
    let clock = Clock::start();
    let tasks = TaskTracker::new();
    let (fetch, serve) = streams(clock, &config, &net, &reports, &tasks);
    let (arrivals, arrival_queue) = mpsc::channel(ARRIVALS_MAX);
    let (requests, request_queue) = mpsc::channel(REQUESTS_MAX);
    let (events, (stopped, ended)) = (broadcast::Sender::new(EVENTS_MAX), watch::channel(false));
    let mut rng = seeded_rng(os_seed());
    let (hub_client, hub_server) = hubs(&config, &mut rng);
    let (scanner, findings) = scanner(&config, &store, &key);
    let data_dir = config.data_dir.clone();
    let node = Node::new(peer, data_dir, requests, events.clone(), ended);
    let driver = Driver {
        clock,
        peer,
        hub_client,
        hub_server,
        flood: flood(&config, peer, &mut rng),
        supernode: supernode(&config, peer, &mut rng),
        dht: dht(&config, peer, &mut rng),
        named: crate::driver::Named::default(),
        remembered,
        locate: Locate::new(gannet_overlay::locate::Config::default()),
        downloads: Downloads::new(DownloadsConfig::default(), fork_rng(&mut rng)),
        keeping: keeping(&config, &store, &reports, restored, &mut rng),
        uploads: Uploads::new(uploads_config(&config)),
        own: Index::new(own_index_config(&mut rng)),
        partial: Index::new(own_index_config(&mut rng)),
        searches: crate::searches::Searches::default(),
        list: crate::driver::DownloadList::default(),
        folders: crate::driver::Folders::default(),
        serving: crate::driver::Serving::default(),
        links: crate::driver::Links::default(),
        questions: crate::driver::Questions::default(),
        scanner,
        watcher: None,
        fetch,
        serve,
        events,
        reports,
        arrivals,
        tally: crate::driver::Tally::new(store.warnings().to_vec()),
        pages: crate::driver::Pages::new(configured),
        address: own_address(peer, net.addresses()),
        next_tick: Timestamp::ZERO,
        ticks: 0,
        stopping: false,
        tasks,
        config,
        key,
        net,
        store,
    };
    let inputs = Inputs {
        net: net_events,
        requests: request_queue,
        reports: report_queue,
        arrivals: arrival_queue,
        findings,
    };
    tokio::spawn(driver.run(inputs, stopped));
    Ok(node)
}

fn scanner(
    config: &NodeConfig,
    store: &Store,
    key: &ed25519_dalek::SigningKey,
) -> (Option<Scanner>, mpsc::Receiver<Finding>) {
    let (sender, findings) = mpsc::channel(FINDINGS_MAX);
    let is_on = |overlay| config.overlays.contains(&overlay);
    let has_hubs = is_on(Overlay::Hub) && !config.hubs.is_empty();
    let takes = [
        has_hubs.then(|| ClientConfig::default().entries_max),
        is_on(Overlay::Supernode).then(|| config.supernode.core().client.entries_max),
        is_on(Overlay::Dht).then(|| config.dht.core().store.own_max),
    ];
    let signed_max = takes.into_iter().flatten().max().unwrap_or(0);
    let start = || Scanner::start(store.clone(), key.clone(), signed_max, sender);
    (config.scan.then(start), findings)
}

/// The cores that find.
fn hubs(config: &NodeConfig, rng: &mut Rng) -> (HubClient, Option<HubServer>) {
    let client = HubClient::new(ClientConfig::default(), fork_rng(rng));
    let server = config
        .hub_server
        .then(|| HubServer::new(ServerConfig::default(), fork_rng(rng)));
    (client, server)
}

fn supernode(config: &NodeConfig, peer: PeerId, rng: &mut Rng) -> Option<Tiers> {
    let is_on = config.overlays.contains(&Overlay::Supernode);
    is_on.then(|| {
        let core = Supernode::new(peer, config.supernode.core(), fork_rng(rng));
        Tiers::new(core, &config.supernode)
    })
}

fn dht(config: &NodeConfig, peer: PeerId, rng: &mut Rng) -> Option<Ring> {
    let is_on = config.overlays.contains(&Overlay::Dht);
    is_on.then(|| {
        let core = Dht::new(peer, config.dht.core(), fork_rng(rng));
        Ring::new(core, config.dht.member)
    })
}

fn flood(config: &NodeConfig, peer: PeerId, rng: &mut Rng) -> Option<Flooding> {
    let is_on = config.overlays.contains(&Overlay::Flood);
    is_on.then(|| {
        let settings = gannet_overlay::flood::Config {
            neighbours_target: u16::try_from(config.neighbours).unwrap_or(u16::MAX),
            ping_interval: PING_INTERVAL,
            silence_max: SILENCE_MAX,
            ..gannet_overlay::flood::Config::default()
        };
        Flooding::new(Flood::new(peer, settings, fork_rng(rng)))
    })
}

/// What is kept for others.
fn keeping(
    config: &NodeConfig,
    store: &Store,
    reports: &mpsc::Sender<Report>,
    restored: Restored,
    rng: &mut Rng,
) -> Keeping {
    let context = DiskContext {
        store: store.clone(),
        data_dir: config.data_dir.clone(),
        reports: reports.clone(),
    };
    let downloads = Downloads::new(DownloadsConfig::default(), fork_rng(rng));
    Keeping::new(downloads, Disk::new(context), restored)
}

/// What the streams of either direction share.
fn streams(
    clock: Clock,
    config: &NodeConfig,
    net: &Net,
    reports: &mpsc::Sender<Report>,
    tasks: &TaskTracker,
) -> (FetchContext, ServeContext) {
    let limiter = |rate| Arc::new(Limiter::new(clock, rate));
    let buffers = Buffers::default();
    let fetch = FetchContext {
        net: net.clone(),
        reports: reports.clone(),
        limiter: limiter(config.limit_down),
        buffers: buffers.clone(),
        tasks: tasks.clone(),
    };
    let serve = ServeContext {
        reports: reports.clone(),
        limiter: limiter(config.limit_up),
        buffers,
        tasks: tasks.clone(),
    };
    (fetch, serve)
}

/// What the data directory holds.
type Opened = (Store, ed25519_dalek::SigningKey, Vec<PeerAddress>, Restored);

async fn open(config: NodeConfig, reports: mpsc::Sender<Report>) -> Result<Opened, StartError> {
    let data_dir = config.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || open_files(&config, reports)).await;
    opened.unwrap_or_else(|error| {
        let reason = error.to_string();
        Err(StartError::DataDir { data_dir, reason })
    })
}

/// The store, the key, the remembered peers, and the shares that the
/// configuration names.
fn open_files(config: &NodeConfig, reports: mpsc::Sender<Report>) -> Result<Opened, StartError> {
    let mut store_config = StoreConfig::new(&config.data_dir, &config.download_dir);
    store_config.scan_bytes_per_second = config.limit_hashing;
    let store = Store::open(store_config).map_err(|error| open_error(&config.data_dir, error))?;
    let unusable = |(path, error): (std::path::PathBuf, std::io::Error)| StartError::DataDir {
        data_dir: path,
        reason: error.to_string(),
    };
    let key = identity::load_or_create(&config.data_dir).map_err(unusable)?;
    let restored = crate::keeping::restore(&store, &config.data_dir).map_err(unusable)?;
    for path in &config.shares {
        match store.add_share(path, false) {
            Ok(_) | Err(gannet_store::ShareError::AlreadyShared { .. }) => {}
            Err(error) => {
                let error: ShareError = refused(path.clone(), &error);
                return Err(StartError::Share(error));
            }
        }
    }
    store.listen(move |event: StoreEvent| {
        // Called from whatever thread noticed, which must not wait: what does
        // not fit now is found by the next scan.
        if reports.try_send(Report::Store(event)).is_err() {
            tracing::warn!("a change of the shares was noticed and could not be reported");
        }
    });
    let remembered = crate::remembered::load(&config.data_dir);
    Ok((store, key, remembered, restored))
}

fn open_error(data_dir: &Path, error: OpenError) -> StartError {
    let data_dir = data_dir.to_owned();
    match error {
        OpenError::InUse { pid, .. } => StartError::InUse {
            data_dir,
            pid: pid.unwrap_or(0),
        },
        OpenError::NewerVersion { found, known, .. } => StartError::NewerVersion {
            data_dir,
            found,
            known,
        },
        error => StartError::DataDir {
            data_dir,
            reason: error.to_string(),
        },
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, StartError> {
    use std::io::Read as _;
    let wrong = |reason: String| StartError::SecretFile {
        path: path.to_owned(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(wrong(format!("it is longer than {SECRET_BYTES_MAX} bytes")));
    }
    let secret = bytes.trim_ascii();
    if secret.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(secret.to_vec())
}

fn net_config(config: &NodeConfig, secret_key: [u8; 32], secret: Option<Vec<u8>>) -> NetConfig {
    let mut net = NetConfig::new(secret_key, config.network.clone());
    net.listen.clone_from(&config.listen);
    net.network = Network {
        name: config.network.clone(),
        secret,
    };
    net.local_discovery = config.local_discovery;
    net.relays.clone_from(&config.relays);
    net.bulk_road = config.bulk_road;
    net.tcp_port = config.tcp_port;
    net.congestion = config.congestion;
    if config.overlays.contains(&Overlay::Supernode) {
        net.limits.connections_max += config.supernode.connections();
    }
    net.agent = crate::agent();
    net
}

fn bind_error(error: BindError) -> StartError {
    match error {
        BindError::AddressInUse { address } => StartError::AddressInUse { address },
        error => StartError::Network {
            reason: error.to_string(),
        },
    }
}

fn uploads_config(config: &NodeConfig) -> UploadsConfig {
    UploadsConfig {
        slots_max: config.upload_slots as usize,
        ..UploadsConfig::default()
    }
}

/// The own index has one holder, whose files are bounded by the store alone.
fn own_index_config(rng: &mut Rng) -> gannet_index::Config {
    let default = gannet_index::Config::default();
    gannet_index::Config {
        entries_per_holder_max: default.entries_max,
        bytes_per_holder_max: usize::MAX,
        hash_seed: rng.next_u64(),
        ..default
    }
}

/// A seed from the system: the only randomness that is not a core's own.
fn os_seed() -> u64 {
    let mut seed = [0; 8];
    // A system without randomness has no keys either: the clock is then as good.
    if getrandom::fill(&mut seed).is_err() {
        return crate::clock::wall_time().as_unix_seconds();
    }
    u64::from_le_bytes(seed)
}
