//! What can be set, and the reasons for what is.

use std::sync::Arc;
use std::time::Duration;

use crate::{flood, hub};

/// Which role a peer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoleWish {
    /// Whatever the network needs.
    #[default]
    Automatic,
    /// A supernode, always.
    Force,
    /// A leaf, always.
    Forbid,
}

/// How a peer of the supernode overlay behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which role it may have.
    pub role: RoleWish,
    /// Whether a leaf keeps a backup. Off: for laboratories, to show what it is
    /// worth.
    pub backup: bool,
    /// Whether a supernode refuses leaves beyond its places. Off: for
    /// laboratories.
    pub shedding: bool,
    /// Leaves that may be registered at this peer as a supernode, as primary or
    /// as backup. Too low: more supernodes than needed. Too high: memory, about
    /// 2 KiB and 250 bytes an entry, and work.
    // Source: gtk-gnutella 300, LimeWire 40, KaZaA 60 to 160.
    pub leaves_max: u16,
    /// Share of the places, per cent, beyond which backups find no room. Too
    /// high: who lost everything finds none. Too low: supernodes half empty.
    // Guess: a third of all primaries can be lost at once.
    pub backup_share: u8,
    /// Load, per cent of the places, from which newcomers are sent on to others
    /// with room, where such are known. Must be less than `promote_share`: loads
    /// even out before more supernodes are made.
    // Guess: a bit.
    pub referral_share: u8,
    /// Load, per cent of the places, from which more supernodes are made. Too
    /// low: many supernodes. Too high: newcomers are sent around.
    // Guess: with two registrations a leaf, room for half of the primaries.
    pub promote_share: u8,
    /// Load below which, here and around, the weakest stand down. Must be less
    /// than half of `referral_share`, or roles change to and fro.
    // Guess: a third of it, and a bit.
    pub demote_share: u8,
    /// Supernodes below which a network is too small for two tiers: everybody
    /// who can be is a supernode.
    // Source: KaZaA's supernodes kept 30 to 50 links.
    pub supernodes_min: u16,
    /// Time between two looks at the own load and the neighbours'.
    // Guess: a crowd that comes at once is placed within a minute.
    pub tier_interval: Duration,
    /// Leaves that are asked at once to be supernodes.
    // Guess: with `tier_interval` the network can double in some seconds.
    pub promotions_max: usize,
    /// How long a peer stays in a role, at least, before it leaves it because
    /// there are too many supernodes; doubles each time, up to 64 times. Too
    /// low: roles change to and fro.
    // Guess: shorter than gtk-gnutella's 30 minutes; a network of a day is young.
    pub tenure_min: Duration,
    /// How long a supernode that stands down keeps serving while its leaves find
    /// other places.
    // Guess: some times what finding one takes.
    pub stand_down: Duration,
    /// Time between two messages of load to the neighbours.
    // Guess: loads change in minutes.
    pub load_interval: Duration,
    /// Supernodes that a supernode remembers, and tells others of. Too low: who
    /// lost theirs is told of few. Too high: memory, about 100 bytes each.
    // Source: KaZaA's ordinary nodes kept 200.
    pub known_max: usize,
    /// Supernodes that a leaf remembers, besides those that the user named and those
    /// that its own two name in their rosters, twenty each. Too low: those are all it
    /// can turn to when its own ones are gone. Too high: memory, 64 bytes each and as
    /// many again where addresses are known.
    // Measured: with it a simulated leaf takes less than 2 KiB, and 2,000 peers find
    // new places when nine in ten supernodes die (the examples `leaf_weight` and
    // `supernode_speed` of the laboratory).
    pub leaf_known_max: usize,
    /// How recently a supernode must have been heard of to be told of.
    // Guess: three refreshes.
    pub fresh: Duration,
    /// Supernodes that a newcomer asks for a place at once.
    // Source: KaZaA tried five.
    pub knocks_max: usize,
    /// How long an answer to a knock, dial included, may take.
    // Guess: a handshake and a round trip across the world.
    pub knock_timeout: Duration,
    /// Longest random pause before a leaf that lost all its supernodes asks for
    /// a place. Too low: those that are left are overrun. Too high: no service.
    // Measured: `gannet lab supernode --kill 0.6`.
    pub orphan_jitter: Duration,
    /// Longest random pause before a leaf that lost one of two asks for another.
    // Measured: as above.
    pub backup_jitter: Duration,
    /// Longest pause between two attempts of a leaf without a place.
    // Guess: a crowd spreads over it.
    pub orphan_pause_max: Duration,
    /// How long a peer looks for a place before it becomes a supernode by
    /// itself; a share of it is added for those less fit.
    // Guess: longer than asking everybody in a list takes.
    pub alone_after: Duration,
    /// Time between two refreshes of the list of supernodes, each at a random
    /// one of them.
    // Guess: of twenty, half are heard of within ten minutes.
    pub refresh_interval: Duration,
    /// Time between two rosters to a leaf, if nothing changed.
    // Guess: heirs come and go in minutes.
    pub roster_interval: Duration,
    /// How long a supernode that was useless, or named dead sources, is left
    /// alone.
    // Guess: long enough not to pay.
    pub ban: Duration,
    /// Sources named by one supernode that may be dead before it is left.
    // Source: three dead sources demote (G-03).
    pub dead_sources_max: u32,
    /// Times that a peer is dialled back for others, a second.
    // Guess: newcomers of a small town.
    pub dial_backs_per_second: u32,
    /// Time within which a dial back must be answered.
    // Guess: as a knock, with room.
    pub dial_back_timeout: Duration,
    /// Least time between two dial backs of the same leaf.
    // Guess: routers are not reconfigured more often.
    pub dial_back_interval: Duration,
    /// Knocks answered a second; more are dropped.
    // Guess: a crowd of a thousand is heard within ten seconds.
    pub knocks_per_second: u32,
    /// Own searches at once; the next one ends at once with `TooMany`.
    // Guess: a download list being refreshed.
    pub searches_max: usize,
    /// Searches of leaves under way at once at a supernode; more are refused.
    // Guess: each leaf one.
    pub leaf_searches_max: usize,
    /// Searches a second that one leaf gets for long.
    // Guess: faster than anybody types, with room for sources of downloads.
    pub searches_per_second: u32,
    /// Searches of one leaf in one go after a rest.
    // Guess: twice that.
    pub searches_burst: u32,
    /// How long the first answer of a supernode may take before another one is
    /// asked as well.
    // Guess: several round trips across the world.
    pub answer_timeout: Duration,
    /// How long a search may take in all.
    // Guess: people give up sooner.
    pub search_timeout: Duration,
    /// How long a search waits for a first supernode.
    // Guess: a start takes a second or two.
    pub place_wait: Duration,
    /// Hits in one row of an answer from the index.
    // Guess: enough to start a download; asking for the content brings more.
    pub hits_per_row: usize,
    /// How a leaf treats its supernodes: keep-alives, registration.
    pub client: Arc<hub::ClientConfig>,
    /// How a supernode treats its leaves. `peers_max` is set from `leaves_max`.
    pub server: hub::ServerConfig,
    /// How supernodes treat each other.
    pub flood: Arc<flood::Config>,
}

impl Default for Config {
    fn default() -> Self {
        let server = hub::ServerConfig {
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            ..hub::ServerConfig::default()
        };
        Self {
            role: RoleWish::Automatic,
            backup: true,
            shedding: true,
            leaves_max: 300,
            backup_share: 80,
            referral_share: 50,
            promote_share: 60,
            demote_share: 22,
            supernodes_min: 30,
            tier_interval: Duration::from_secs(2),
            promotions_max: 2,
            tenure_min: Duration::from_secs(60),
            stand_down: Duration::from_secs(10),
            load_interval: Duration::from_secs(10),
            known_max: 200,
            leaf_known_max: 4,
            fresh: Duration::from_secs(180),
            knocks_max: 5,
            knock_timeout: Duration::from_secs(2),
            orphan_jitter: Duration::from_secs(3),
            backup_jitter: Duration::from_secs(45),
            orphan_pause_max: Duration::from_secs(8),
            alone_after: Duration::from_secs(12),
            refresh_interval: Duration::from_secs(30),
            roster_interval: Duration::from_secs(60),
            ban: Duration::from_secs(600),
            dead_sources_max: 3,
            dial_backs_per_second: 10,
            dial_back_timeout: Duration::from_secs(5),
            dial_back_interval: Duration::from_secs(600),
            knocks_per_second: 200,
            searches_max: 64,
            leaf_searches_max: 1_024,
            searches_per_second: 10,
            searches_burst: 20,
            answer_timeout: Duration::from_secs(2),
            search_timeout: Duration::from_secs(90),
            place_wait: Duration::from_secs(5),
            hits_per_row: 8,
            client: Arc::new(hub::ClientConfig {
                hubs_max: 2,
                keepalive_interval: Duration::from_secs(4),
                answer_timeout: Duration::from_secs(1),
                silence_max: Duration::from_secs(3),
                dial_timeout: Duration::from_secs(3),
                // Source: what `server` takes of one peer; more would be remembered
                // for nothing.
                entries_max: server.entries_per_peer_max,
                ..hub::ClientConfig::default()
            }),
            server,
            flood: Arc::new(flood::Config {
                // Source: KaZaA's supernodes kept 30 to 50 links.
                neighbours_target: 40,
                strategy: flood::Strategy::Likely,
                // Guess: thirty lost links are replaced within a minute or two, half of
                // them by the others.
                seek_pause: Duration::from_secs(4),
                rows_per_search: 2_000,
                searches_max: 1_100,
                // Guess: two halves of a network find each other within a minute.
                backoff_max: Duration::from_secs(30),
                ..flood::Config::default()
            }),
        }
    }
}
