//! The numbers of fetching.

use std::time::Duration;

/// Limits and times of [`Downloads`](super::Downloads).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadsConfig {
    /// Downloads that fetch at the same time. Too low: bandwidth unused when
    /// sources are slow. Too high: many files half done, none finished.
    pub downloads_active_max: usize,
    /// Sources remembered per download. Too low: good ones are forgotten. Too
    /// high: memory, about 500 bytes each.
    pub sources_known_max: usize,
    /// Sources dialled, asked or sending at once, per download. Too low: slow
    /// when each source is slow. Too high: connections and upload slots taken
    /// from others for no gain.
    pub sources_active_max: usize,
    /// Sources that fetch it themselves and are of use, per download, with which
    /// no more sources are asked. Too low: what is rare comes late. Too high:
    /// places taken from others, and connections for no gain.
    pub fellows_max: usize,
    /// Sources in whose queues to wait beside those, per download. Too low:
    /// long waits. Too high: queues everywhere filled with us.
    pub sources_queued_max: usize,
    /// Bytes asked for and not yet written, all downloads together. Too low:
    /// fast links idle. Too high: memory in the driver, and much asked again
    /// after a failure.
    pub in_flight_bytes_max: u64,
    /// The same for one source of one download. Must be at least one group.
    pub source_in_flight_bytes_max: u64,
    /// Groups of the largest slice. Too low: many requests and more proof
    /// bytes. Too high: coarse sharing among sources.
    pub slice_groups_max: u64,
    /// Groups of the first slices of a source of unknown speed. Too low: slow
    /// start. Too high: a slow source holds much for long.
    pub slice_groups_initial: u64,
    /// A slice is as much as its source delivers in this time. Too short: many
    /// small requests. Too long: a slow source holds a slice for long.
    pub slice_duration: Duration,
    /// A slice of fewer than [`slice_groups_thrifty`](Self::slice_groups_thrifty)
    /// groups may take its source this long, if that is longer. Too short: a
    /// slow source sends a twentieth more, for proofs. Too long: as above.
    pub slice_duration_thrifty: Duration,
    /// See [`slice_duration_thrifty`](Self::slice_duration_thrifty).
    pub slice_groups_thrifty: u64,
    /// A source is asked for as much as it delivers in two round trips and this
    /// time. Too short: it idles when either end hiccups. Too long: much is in
    /// flight at the end and has to be moved.
    pub pipeline_duration: Duration,
    /// Shortest silence of a source with requests that counts as a stall. Too
    /// short: hiccups count. Too long: slices hang.
    pub stall_min: Duration,
    /// Longest silence that is borne, however slow the source, and the time for
    /// an answer to `Ask`.
    pub stall_max: Duration,
    /// Time over which a source must reach
    /// [`useful_bytes_per_second_min`](Self::useful_bytes_per_second_min).
    pub useful_window: Duration,
    /// A source slower than this is dropped while there are others, bytes per
    /// second. Too low: a drip holds a place. Too high: honest slow links are
    /// cut off.
    pub useful_bytes_per_second_min: u64,
    /// Longest wait before more sources are asked to prove the size beside
    /// silent ones; near ones get less. Too short: a group fetched twice. Too
    /// long: silent sources delay the start.
    pub size_hedge: Duration,
    /// Sources that may be proving the size at once.
    pub size_trials_max: usize,
    /// A request is moved if that brings it home at least this much earlier.
    /// Too short: needless moves. Too long: idle sources at the end.
    pub steal_gain_min: Duration,
    /// Bytes that may come twice by moving requests that are already being
    /// answered, in thousandths of the content. Too low: the end waits for
    /// slow sources. Too high: waste.
    pub duplicate_permille_max: u64,
    /// First wait before a failed source is tried again; doubles with each
    /// failure.
    pub retry_min: Duration,
    /// Longest such wait.
    pub retry_max: Duration,
    /// Failures in a row after which a source is forgotten.
    pub failures_max: u32,
    /// How often a place in a source's queue is asked after. Too short: noise.
    /// Too long: a source that forgot us is noticed late.
    pub queue_refresh: Duration,
    /// How often a change of what a partial source has is taken in. Too short:
    /// a chatty source costs time. Too long: new groups are used late.
    pub have_interval: Duration,
    /// The same while nothing is asked of that source. Too short: as above. Too
    /// long: in a swarm, sources idle that have something new.
    pub have_interval_idle: Duration,
    /// First wait between two
    /// [`NeedSources`](super::DownloadEvent::NeedSources); doubles.
    pub need_sources_min: Duration,
    /// Longest such wait.
    pub need_sources_max: Duration,
    /// Shortest time between two [`Progress`](super::DownloadEvent::Progress)
    /// of a download.
    pub progress_interval: Duration,
    /// Contents for which a peer may send wrong bytes before it is used for
    /// none. Too low: one bad disk block costs a source. Too high: a
    /// vandal costs one slice per content.
    pub corrupt_contents_max: u32,
    /// How long wrong bytes are remembered.
    pub distrust_duration: Duration,
}

impl Default for DownloadsConfig {
    fn default() -> Self {
        Self {
            // Guess: between Transmission (5) and aMule (20).
            downloads_active_max: 8,
            // Source: aMule keeps at most 300 sources a file; more here, because they are cheap.
            sources_known_max: 512,
            // Guess: enough to fill a line from slow sources.
            sources_active_max: 32,
            // Derived: each serves 8 by default (`UploadsConfig::slots_max`), so each can have 8.
            fellows_max: 8,
            // Guess: as many again.
            sources_queued_max: 32,
            // Guess: two thirds of libtorrent's disk queue of 100 MiB.
            in_flight_bytes_max: 64 << 20,
            // Guess: 16 ms at 1 GB/s, a quarter of all.
            source_in_flight_bytes_max: 16 << 20,
            // Guess: 1 MiB; 64 parents of proof are 0.4 %.
            slice_groups_max: 64,
            // Guess: 128 KiB.
            slice_groups_initial: 8,
            // Guess: 1 MiB at 20 MB/s.
            slice_duration: Duration::from_millis(50),
            // Guess: 4 groups at 128 KiB/s.
            slice_duration_thrifty: Duration::from_millis(500),
            // Measured: a swarm of 64 is as fast with 8 as with 4, which take a quarter more requests; with 16
            // it is slower, as each is passed on when it is whole.
            slice_groups_thrifty: 8,
            // Guess: longer than a disk's or a scheduler's hiccup.
            pipeline_duration: Duration::from_millis(100),
            // Guess: longer than a Wi-Fi roam.
            stall_min: Duration::from_secs(2),
            // Source: libtorrent's piece_timeout is 20 s.
            stall_max: Duration::from_secs(20),
            // Guess: together with the rate below, 120 KiB.
            useful_window: Duration::from_secs(30),
            // Guess: a modem's rate.
            useful_bytes_per_second_min: 4 * 1024,
            // Guess: several round trips on the same continent.
            size_hedge: Duration::from_millis(500),
            // Guess: all that may be active, in five doublings.
            size_trials_max: 32,
            // Guess: about a round trip.
            steal_gain_min: Duration::from_millis(50),
            // Source: at most 2 % waste is the aim; half of it for this.
            duplicate_permille_max: 10,
            // Guess.
            retry_min: Duration::from_secs(2),
            // Guess: `locate` brings better news sooner.
            retry_max: Duration::from_secs(300),
            // Guess: about a quarter of an hour of failures.
            failures_max: 10,
            // Guess.
            queue_refresh: Duration::from_secs(60),
            // Measured: a swarm of 64 takes 45 s with this or the double, 49 s with 1 s.
            have_interval: Duration::from_millis(250),
            // Derived: a little less than a source tells it, so that no news waits for the next.
            have_interval_idle: Duration::from_millis(40),
            // Guess.
            need_sources_min: Duration::from_secs(10),
            // Guess.
            need_sources_max: Duration::from_secs(300),
            // Guess: smoother than the eye needs.
            progress_interval: Duration::from_millis(200),
            // Guess: one bad block may be chance, two contents are not.
            corrupt_contents_max: 2,
            // Source: libtorrent-like ban of an hour for proven bad bytes.
            distrust_duration: Duration::from_secs(3_600),
        }
    }
}
