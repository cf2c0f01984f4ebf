//! The limits and intervals of the store.

use std::time::Duration;

/// How a peer publishes, keeps and looks for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Nodes that hold each record: the first owners of its key. At least 1, at
    /// most the ring's replicas. Too low: records are lost when nodes go. Too
    /// high: memory and traffic, in proportion.
    // Source: reliability.md 4.5: replicas on successors; Kademlia keeps 20, eMule's 10.
    // Measured: what is asked of one list is spread over them. With 500 peers the busiest
    // serves 2.6 times the mean; with three copies and parts of 100 entries, 5.5 times.
    pub copies: usize,
    /// Owners that are asked for each list, of which all but the first only say
    /// what they would answer; where they differ, all are read. 1: an owner that
    /// leaves things out is believed. Too high: each search costs more.
    // Guess: with two, one liar must be both.
    pub readers: usize,
    /// Whether signatures are verified. Off: for laboratories of honest peers, in
    /// which they would take all the time.
    pub checks_signatures: bool,
    /// How long a record is kept after its publisher renewed it, though it may
    /// be signed for longer. Too low: gone when a publisher missed a renewal. Too
    /// high: those who left are found for long.
    // Source: aMule keeps keywords 24 h and sources 5 h.
    pub lease: Duration,
    /// Time between two publications of the same, minus up to an eighth. Less
    /// than half of `lease`.
    // Source: Kademlia's implementations renew at about half of the life.
    pub republish_interval: Duration,
    /// How long words that many own files have wait for others to be published:
    /// by then it is known which of them are split.
    // Guess: some round trips.
    pub common_delay: Duration,
    /// First pause after a failed publication; doubles up to 256 times. Too low: whoever
    /// does not answer is asked again in vain; too high: what peers that join together
    /// share is found late.
    // Guess: a ring that many join is in order again within some stabilisations.
    pub retry_pause: Duration,
    /// Regions of the ring that are published to at once. Too low: publishing is
    /// slow. Too high: bursts.
    // Source: kubo's full sweep uses few workers at once.
    pub publish_parallel: usize,
    /// Own files that are published; further ones are not.
    // Guess: as many as an index takes of one holder.
    pub own_max: usize,
    /// Words of one file that it is published under; later ones are left out. A
    /// file that is found by fewer words than with the other overlays is an
    /// exception of some in a million.
    // Guess: names have ten; a path of greatest length in prose about 200.
    pub words_per_entry_max: usize,
    /// How long an answer may take, dial included, before the next owner is
    /// asked.
    // Guess: a handshake and a round trip across the world, and some.
    pub request_timeout: Duration,
    /// Own searches at once; the next one ends with `TooMany`.
    // Guess: a download list being refreshed.
    pub searches_max: usize,
    /// How long a search may take.
    // Guess: nobody waits longer.
    pub search_timeout: Duration,
    /// Shards of a word that one search reads at once.
    // Measured: with four at once, the 128 parts of a word in a third of 20,000 names took
    // more than 30 s now and then; with 32, searches of 10,000 peers for three of the
    // commonest words did, which are in hundreds of parts each. One is mostly enough, and is
    // tried first. How many more are read at once depends on what was found.
    pub shards_parallel: usize,
    /// Shards that one search reads at most; then it ends as `Partial`.
    // Guess: 2,048 of 35 entries each are all that a word has that is in a third of 200,000
    // names; only who asks for several such words needs them all.
    pub shards_per_search_max: usize,
    /// Pages that one search reads of one list; then it ends as `Partial`.
    // Guess: lists are split long before.
    pub pages_per_list_max: u32,
    /// Entries of one list from which it is split in two, if the ring has more
    /// nodes than `copies`. Too low: common words are in many parts, and
    /// searches for several of them need many messages. Too high: holders of
    /// common words have more to hold and to serve than others.
    // Measured: with 10,000 peers of ten files each, half of the searches need 40 messages
    // or more at 50 (`search_speed 10000 3000 10 dht 0 50`).
    pub list_max: u32,
    /// The same of a part of a split list; what is above `list_max` counts as that. Too
    /// low: who wants all of a word reads many parts. Too high: parts of the commonest
    /// words are loads too large to be spread evenly.
    // Measured: with 500 peers of ten files each the busiest serves 3.8 times the mean at
    // 100, 2.6 times at 64, 2.4 times at 50 (`search_speed 500 3000 10 dht 0`); with 10,000
    // peers 3.1 times at 64, 2.9 times at 50, half of the searches need 20 messages or fewer.
    pub part_max: u32,
    /// Entries of one holder in the list of one word; in each shard of depth b
    /// at most this / 2^b, but always 64. Too low: large collections are cut. Too
    /// high: one identity can fill a word.
    // Guess: collections of which more files have a word are rare.
    pub list_entries_per_holder_max: u32,
    /// Entries of one list beyond which none is taken while it is being split.
    // Guess: four times what starts the split.
    pub list_hard_max: u32,
    /// Postings (an entry under a key) held for others. Too low: refused while
    /// there is room. Too high: memory, about 60 bytes each and 400 for each
    /// entry.
    // Guess: 100 MB.
    pub postings_max: usize,
    /// Postings of one publisher that are held here.
    // Guess: in the smallest rings everybody holds everything.
    pub postings_per_holder_max: u32,
    /// Bytes of entries held for others, each posting counted in full.
    // Guess: of the same order as the memory for postings.
    pub bytes_max: usize,
    /// Postings taken a second from one /24 (IPv6: /56), or from a peer whose
    /// address is not known. Ring neighbours may send eight times as many.
    // Guess: verifying takes 40 µs, so 2 % of a core.
    pub items_per_second: u32,
    /// The same at once after a rest.
    // Guess: two lists that are being handed over.
    pub items_burst: u32,
    /// Sources of stores and searches whose budgets are remembered.
    // Guess: more than talk to one node within a minute.
    pub sources_max: usize,
    /// Searches and other questions answered a second to one /24.
    // Source: queries a neighbour 10/s, burst 50; Guess: more behind one NAT.
    pub asks_per_second: u32,
    /// The same at once after a rest.
    // Guess: a list of downloads being refreshed.
    pub asks_burst: u32,
    /// Time between two comparisons with each replica, give or take a quarter.
    // Guess: two messages a minute and replica.
    pub sync_interval: Duration,
    /// How long who became an owner says that it may lack something though it has
    /// compared, if nobody vouched for what it got. Too low: while rings merge,
    /// searches say that nobody has what is on its way. Too high: where all copies
    /// were lost, searches are called partial for long.
    // Guess: three looks for records that belong elsewhere.
    pub doubt_for: Duration,
    /// How long after a change of the neighbourhood replicas are compared; more
    /// changes meanwhile count as one.
    // Guess: longer than two nodes need to agree on who is where.
    pub settle_delay: Duration,
    /// Time between two looks at records that this peer does not own and that no
    /// owner spoke for lately.
    // Guess: rare outside of merging rings.
    pub stray_interval: Duration,
    /// Time between two looks of a split list at its parts.
    // Guess: lists grow and shrink in hours.
    pub shard_interval: Duration,
    /// Words remembered to be split.
    // Guess: words in more than 1,000 of a million names.
    pub hints_max: usize,
    /// How long that is remembered; what is wrong is noticed sooner.
    // Guess: as lists grow and shrink.
    pub hint_life: Duration,
    /// Regions of the ring whose owners are remembered.
    // Guess: all of a small ring.
    pub regions_max: usize,
    /// How long they are remembered.
    // Guess: shorter than half of those that stay an hour need to leave.
    pub region_life: Duration,
    /// Seconds between two looks for what has expired. What has is not served
    /// any more anyway.
    // Guess: memory can wait.
    pub sweep_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            copies: 8,
            readers: 2,
            checks_signatures: true,
            lease: Duration::from_secs(12 * 3_600),
            republish_interval: Duration::from_secs(5 * 3_600),
            common_delay: Duration::from_secs(2),
            retry_pause: Duration::from_secs(3),
            publish_parallel: 8,
            own_max: 200_000,
            words_per_entry_max: 256,
            request_timeout: Duration::from_secs(3),
            searches_max: 32,
            search_timeout: Duration::from_secs(30),
            shards_parallel: 64,
            shards_per_search_max: 2_048,
            pages_per_list_max: 100,
            list_max: 100,
            part_max: 50,
            list_entries_per_holder_max: 8_192,
            list_hard_max: 4_000,
            postings_max: 1_000_000,
            postings_per_holder_max: 400_000,
            bytes_max: 256 * 1024 * 1024,
            items_per_second: 500,
            items_burst: 10_000,
            sources_max: 1_024,
            asks_per_second: 50,
            asks_burst: 500,
            sync_interval: Duration::from_secs(60),
            doubt_for: Duration::from_secs(180),
            settle_delay: Duration::from_secs(1),
            stray_interval: Duration::from_secs(60),
            shard_interval: Duration::from_secs(120),
            hints_max: 1_024,
            hint_life: Duration::from_secs(6 * 3_600),
            regions_max: 128,
            region_life: Duration::from_secs(300),
            sweep_interval: Duration::from_secs(60),
        }
    }
}
