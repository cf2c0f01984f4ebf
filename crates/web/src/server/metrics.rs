//! Figures in the text format of Prometheus.
//!
//! Names follow its conventions: base units (seconds, bytes), counters end in
//! `_total`, a label tells kinds of the same thing apart.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gannet_node::api::{
    DhtInfo, DownloadInfo, DownloadState, FloodInfo, HubServerInfo, KeepingInfo, KeptFile, Role,
    Status, SupernodeInfo,
};
use hyper::StatusCode;

use super::App;

/// The format's media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets of durations, in milliseconds.
// Guess: from an index in memory to a search of many hops that waits for the
// slowest.
const BUCKETS_MS: [u64; 12] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// Not cumulative; the last is for all that took longer.
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub(super) fn note(&self, took: Duration) {
        let millis = took.as_millis();
        let bucket = BUCKETS_MS.partition_point(|&end| u128::from(end) < millis);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What the API counts by itself.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By the first digit of the status, from 1.
    answers: [AtomicU64; 5],
    /// Connections taken.
    pub(super) connections: AtomicU64,
    /// Connections that are open.
    pub(super) connections_open: AtomicU64,
    /// Connections refused or cut for want of room.
    pub(super) connections_cut: AtomicU64,
    /// Searches followed from their start.
    pub(super) searches: AtomicU64,
    /// Those of them that ended without a row.
    pub(super) searches_empty: AtomicU64,
    /// From their start to the first row.
    pub(super) first_row: Durations,
    /// From their start to their end.
    pub(super) search: Durations,
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5);
        count(&self.answers[class - 1]);
    }
}

/// The text as it grows.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP gannet_{name} {help}"));
        self.line(format_args!("# TYPE gannet_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes everything");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Into<u64>) {
        self.head(name, "gauge", help);
        self.line(format_args!("gannet_{name} {}", value.into()));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(format_args!("gannet_{name} {value}"));
    }

    /// One value for each of `values` of a label. None of ours needs escaping.
    fn labelled<'a>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            self.line(format_args!("gannet_{name}{{{label}=\"{of}\"}} {value}"));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, durations: &Durations) {
        self.head(name, "histogram", help);
        let mut so_far = 0;
        let mut bucket = |text: &mut Self, end: &str, count: &AtomicU64| {
            so_far += count.load(Ordering::Relaxed);
            text.line(format_args!(
                "gannet_{name}_bucket{{le=\"{end}\"}} {so_far}"
            ));
            so_far
        };
        for (end, count) in BUCKETS_MS.iter().zip(&durations.buckets) {
            let end = Duration::from_millis(*end).as_secs_f64();
            bucket(self, &end.to_string(), count);
        }
        let count = bucket(self, "+Inf", &durations.buckets[BUCKETS_MS.len()]);
        let sum = Duration::from_micros(durations.micros.load(Ordering::Relaxed));
        self.line(format_args!("gannet_{name}_sum {}", sum.as_secs_f64()));
        self.line(format_args!("gannet_{name}_count {count}"));
    }
}

/// All figures.
pub(super) fn text(
    app: &App,
    status: &Status,
    downloads: &[DownloadInfo],
    kept: &[KeptFile],
) -> String {
    let mut text = Text::default();
    text.labelled(
        ("build_info", "gauge", "Which version this is; always 1."),
        "version",
        [(env!("CARGO_PKG_VERSION"), 1)],
    );
    text.gauge(
        "uptime_seconds",
        "Time since the start.",
        status.uptime_seconds,
    );
    let problems = u64::try_from(status.problems.len()).unwrap_or(u64::MAX);
    text.gauge(
        "problems",
        "Things wrong now, as gannet status names them.",
        problems,
    );
    transfers(&mut text, status, downloads);
    shares(&mut text, status);
    hubs(&mut text, status);
    if let Some(hub) = &status.hub {
        hub_server(&mut text, hub);
    }
    if let Some(flood) = &status.flood {
        self::flood(&mut text, flood);
    }
    if let Some(supernode) = &status.supernode {
        self::supernode(&mut text, supernode);
    }
    if let Some(dht) = &status.dht {
        self::dht(&mut text, dht);
        keeping(&mut text, &dht.keeping, kept);
    }
    api(&mut text, app);
    text.0
}

fn transfers(text: &mut Text, status: &Status, downloads: &[DownloadInfo]) {
    let traffic = &status.traffic;
    text.counter(
        "received_bytes_total",
        "Content received and verified.",
        traffic.received_bytes,
    );
    text.counter("sent_bytes_total", "Content sent.", traffic.sent_bytes);
    let states = [
        ("active", DownloadState::Active),
        ("waiting", DownloadState::Waiting),
        ("paused", DownloadState::Paused),
        ("diskfull", DownloadState::DiskFull),
        ("complete", DownloadState::Complete),
        ("failed", DownloadState::Failed),
    ];
    let counts = states.map(|(name, state)| {
        let count = downloads.iter().filter(|one| one.state == state).count();
        (name, u64::try_from(count).unwrap_or(u64::MAX))
    });
    text.labelled(
        ("downloads", "gauge", "Downloads by state."),
        "state",
        counts,
    );
    let uploads = [
        ("active", traffic.uploads_active.into()),
        ("queued", traffic.uploads_queued.into()),
    ];
    let head = ("uploads", "gauge", "Peers that are served or wait for it.");
    text.labelled(head, "state", uploads);
    text.gauge(
        "peers_connected",
        "Connected peers.",
        status.peers_connected,
    );
}

fn shares(text: &mut Text, status: &Status) {
    let shares = &status.shares;
    text.gauge("shared_folders", "Shared folders.", shares.folders);
    text.gauge("shared_files", "Shared files.", shares.files);
    text.gauge("shared_bytes", "Their bytes.", shares.bytes);
    let left = shares.scanning.as_ref().map_or(0, |scan| scan.bytes_left);
    text.gauge("unhashed_bytes", "Bytes still to be hashed.", left);
}

fn hubs(text: &mut Text, status: &Status) {
    let up = status.hubs.iter().filter(|hub| hub.connected).count();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let connected = [
        ("true", count(up)),
        ("false", count(status.hubs.len() - up)),
    ];
    let head = ("hubs", "gauge", "Hubs that this peer was told to use.");
    text.labelled(head, "connected", connected);
    let registered: u64 = status.hubs.iter().map(|hub| hub.registered).sum();
    text.gauge(
        "hub_registered_files",
        "Files registered at hubs.",
        registered,
    );
}

fn hub_server(text: &mut Text, hub: &HubServerInfo) {
    text.gauge("hub_server_peers", "Peers registered here.", hub.peers);
    text.gauge(
        "hub_server_entries",
        "Entries registered here.",
        hub.entries,
    );
    text.gauge("hub_server_contents", "Contents among them.", hub.contents);
    text.counter(
        "hub_server_searches_total",
        "Searches answered.",
        hub.searches,
    );
}

fn flood(text: &mut Text, flood: &FloodInfo) {
    text.gauge("flood_neighbours", "Neighbours.", flood.neighbours);
    text.gauge(
        "flood_known_peers",
        "Peers to fall back on.",
        flood.known_peers,
    );
    text.counter(
        "flood_questions_total",
        "Questions of others looked into.",
        flood.questions,
    );
}

fn supernode(text: &mut Text, supernode: &SupernodeInfo) {
    let is_supernode = supernode.role == Role::Supernode;
    text.gauge(
        "supernode_role",
        "1 for a supernode, 0 for a leaf.",
        is_supernode,
    );
    let live = supernode.homes.iter().filter(|home| home.is_live).count();
    let live = u64::try_from(live).unwrap_or(u64::MAX);
    text.gauge(
        "supernode_homes",
        "Supernodes that answer for this leaf.",
        live,
    );
    text.gauge(
        "supernode_leaves",
        "Leaves registered here.",
        supernode.leaves,
    );
    text.gauge(
        "supernode_links",
        "Links to other supernodes.",
        supernode.links,
    );
    text.gauge(
        "supernode_entries",
        "Files in its index.",
        supernode.entries,
    );
    text.counter(
        "supernode_leaf_searches_total",
        "Searches of leaves.",
        supernode.leaf_searches,
    );
    text.counter(
        "supernode_promotions_total",
        "Times that it became a supernode.",
        supernode.promotions,
    );
    text.counter(
        "supernode_demotions_total",
        "Times that it stood down.",
        supernode.demotions,
    );
    text.counter(
        "supernode_lost_total",
        "Supernodes of its own that it lost.",
        supernode.lost,
    );
}

fn dht(text: &mut Text, dht: &DhtInfo) {
    text.gauge(
        "dht_joined",
        "Whether it is on a ring with others.",
        dht.joined,
    );
    let successors = u64::try_from(dht.successors.len()).unwrap_or(u64::MAX);
    text.gauge(
        "dht_successors",
        "Peers after it that it knows.",
        successors,
    );
    text.gauge(
        "dht_ring_peers",
        "Peers of the ring, estimated.",
        dht.peers_estimated,
    );
    text.gauge("dht_entries", "Entries listed for others.", dht.entries);
    text.gauge("dht_entry_bytes", "Their bytes.", dht.entry_bytes);
    text.gauge(
        "dht_published_files",
        "Own files on the ring.",
        dht.published,
    );
    text.gauge(
        "dht_pending_lists",
        "Lists that they are not in yet.",
        dht.pending,
    );
    text.counter(
        "dht_answered_total",
        "Questions for lists answered.",
        dht.answered,
    );
}

fn keeping(text: &mut Text, keeping: &KeepingInfo, kept: &[KeptFile]) {
    let granted = "Disk space granted to others.";
    text.gauge("keep_grant_bytes", granted, keeping.grant_bytes);
    text.gauge("keep_held_bytes", "Of that, taken.", keeping.held_bytes);
    text.gauge(
        "keep_held_blocks",
        "Parts of files held for others.",
        keeping.held_blocks,
    );
    text.gauge(
        "keep_own_files",
        "Own files that others keep.",
        keeping.kept_files,
    );
    let short = kept.iter().filter(|file| file.copies_online < file.copies);
    text.gauge(
        "keep_own_files_short",
        "Those of them with fewer copies online than wanted.",
        u64::try_from(short.count()).unwrap_or(u64::MAX),
    );
    text.gauge(
        "keep_looked_after_blocks",
        "Parts of files whose copies this peer looks after.",
        keeping.looked_after,
    );
    text.counter(
        "keep_disbelieved_total",
        "Copies of others that turned out not to be there.",
        keeping.disbelieved,
    );
}

fn api(text: &mut Text, app: &App) {
    let counts = &app.counts;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.counter(
        "searches_total",
        "Searches started over the API.",
        load(&counts.searches),
    );
    text.counter(
        "searches_empty_total",
        "Those of them that ended without a row.",
        load(&counts.searches_empty),
    );
    text.histogram(
        "search_first_row_seconds",
        "From the start of a search to its first row.",
        &counts.first_row,
    );
    text.histogram(
        "search_duration_seconds",
        "From the start of a search to its end.",
        &counts.search,
    );
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter();
    let answers = classes.zip(counts.answers.iter().map(load));
    let head = (
        "api_requests_total",
        "counter",
        "Requests by the class of their answer.",
    );
    text.labelled(head, "code", answers);
    text.counter(
        "api_connections_total",
        "Connections taken.",
        load(&counts.connections),
    );
    text.counter(
        "api_connections_cut_total",
        "Connections refused or cut for want of room.",
        load(&counts.connections_cut),
    );
    text.gauge(
        "api_connections",
        "Connections that are open.",
        load(&counts.connections_open),
    );
    let streams = app.limits.streams_max - app.streams.available_permits();
    let streams = u64::try_from(streams).unwrap_or(u64::MAX);
    text.gauge("api_streams", "Streams of events that are open.", streams);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for millis in [0, 5, 6, 30_000, 30_001] {
            durations.note(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        text.histogram("x_seconds", "X.", &durations);
        for line in [
            "gannet_x_seconds_bucket{le=\"0.005\"} 2",
            "gannet_x_seconds_bucket{le=\"0.01\"} 3",
            "gannet_x_seconds_bucket{le=\"10\"} 3",
            "gannet_x_seconds_bucket{le=\"30\"} 4",
            "gannet_x_seconds_bucket{le=\"+Inf\"} 5",
            "gannet_x_seconds_sum 60.012",
            "gannet_x_seconds_count 5",
        ] {
            assert!(text.0.lines().any(|one| one == line), "{line}: {}", text.0);
        }
    }
}
