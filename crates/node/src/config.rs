//! Configuration: defaults, a file, the environment and flags, in that order of
//! growing force.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::{BaseStrategy as _, choose_base_strategy};
use gannet_base::PeerAddress;
use gannet_net::{BulkRoad, Congestion};
use gannet_overlay::locate::Overlay;
use serde::Deserialize;

use crate::ring::{DhtConfig, DhtOverrides};
use crate::tiers::{SupernodeConfig, SupernodeOverrides};

/// A rate in bytes a second as people write it: `500K`, `20M`, `1.5G`,
/// `unlimited`. Powers of 1000; a trailing `B`, `/s` or `iB` (powers of 1024)
/// is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a rate: write bytes a second like 500K, 20M or 1.5MiB, or `unlimited`")]
pub struct ParseRateError(String);

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let wrong = || ParseRateError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        if matches!(lower.as_str(), "unlimited" | "none" | "off") {
            return Ok(Self(None));
        }
        let body = lower.strip_suffix("/s").unwrap_or(&lower);
        let digits = body
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(body.len());
        let (number, unit) = body.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let factor: f64 = match unit.trim() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "ki" | "kib" => 1024.0,
            "mi" | "mib" => 1024.0 * 1024.0,
            "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(wrong()),
        };
        let rate = number * factor;
        // Below one byte a second nothing would ever move; above 10^15 the sum
        // of a day would not fit.
        if !(1.0..=1e15).contains(&rate) {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let rate = rate as u64;
        Ok(Self(Some(rate)))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Everything that a node needs to know to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where the node keeps its key, catalogue, outboards and log. One node at
    /// a time.
    pub data_dir: PathBuf,
    /// Where finished downloads land.
    pub download_dir: PathBuf,
    /// Addresses to listen on; port 0 is any. Empty: any port, every interface,
    /// IPv4 and IPv6.
    pub listen: Vec<SocketAddr>,
    /// Peers to know from the start.
    pub peers: Vec<PeerAddress>,
    /// Hubs to register at and to search.
    pub hubs: Vec<PeerAddress>,
    /// The overlays to find and be found by. Without `hub`, hubs that are named
    /// are left alone; without `flood`, there are no neighbours; without
    /// `supernode`, neither supernodes nor leaves; without `dht`, no ring.
    pub overlays: Vec<Overlay>,
    /// How it takes part in the supernode overlay.
    pub supernode: SupernodeConfig,
    /// How it takes part in the dht overlay.
    pub dht: DhtConfig,
    /// Neighbours to have, 1 to 50. Too few: questions travel further, and a
    /// peer that goes may cut the network. Too many: every question costs more
    /// messages.
    pub neighbours: u32,
    /// The network's name. Peers of other networks are refused.
    pub network: String,
    /// A file whose content (white space at its ends cut off) is the network's
    /// secret; peers without it are refused.
    pub secret_file: Option<PathBuf>,
    /// Most content bytes a second sent, all peers together.
    pub limit_up: Option<u64>,
    /// Most content bytes a second received, all downloads together.
    pub limit_down: Option<u64>,
    /// Whether to be a hub.
    pub hub_server: bool,
    /// Folders to share besides those remembered in the data directory.
    pub shares: Vec<PathBuf>,
    /// Whether to scan, watch and register shares. Off for a single download.
    pub scan: bool,
    /// Whether to look for peers on the local network, and be found there.
    pub local_discovery: bool,
    /// Relays to use (URLs); empty: none.
    pub relays: Vec<String>,
    /// By which road the bytes of files go.
    pub bulk_road: BulkRoad,
    /// The congestion controller of both roads.
    pub congestion: Congestion,
    /// The TCP port that others are told to dial, where a router passes another
    /// one on to this peer.
    pub tcp_port: Option<NonZeroU16>,
    /// How many peers are served at once.
    pub upload_slots: u32,
    /// Most bytes a second read for hashing; `None`: as fast as it goes.
    pub limit_hashing: Option<u64>,
    /// Where the API listens. Loopback unless you know what you do.
    pub api_listen: SocketAddr,
}

impl NodeConfig {
    /// The network that peers belong to when none is named.
    pub const DEFAULT_NETWORK: &'static str = "gannet";
    /// Slots when none are named.
    // Source: libtorrent unchokes 8, Nicotine+ has 3 slots.
    pub const DEFAULT_UPLOAD_SLOTS: u32 = 8;
    /// Neighbours when no number is named.
    // Source: 5 to 8 neighbours connect random networks of any size.
    pub const DEFAULT_NEIGHBOURS: u32 = 8;

    /// The overlays that are switched on when none is named.
    pub const DEFAULT_OVERLAYS: [Overlay; 3] = [Overlay::Hub, Overlay::Supernode, Overlay::Flood];

    /// The defaults for this data directory: no hubs, no peers, any port, local
    /// discovery on, downloads in `finished` inside it.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            download_dir: data_dir.join("finished"),
            data_dir,
            listen: Vec::new(),
            peers: Vec::new(),
            hubs: Vec::new(),
            overlays: Self::DEFAULT_OVERLAYS.to_vec(),
            supernode: SupernodeConfig::default(),
            dht: DhtConfig::default(),
            neighbours: Self::DEFAULT_NEIGHBOURS,
            network: Self::DEFAULT_NETWORK.to_owned(),
            secret_file: None,
            limit_up: None,
            limit_down: None,
            hub_server: false,
            shares: Vec::new(),
            scan: true,
            local_discovery: true,
            relays: Vec::new(),
            bulk_road: BulkRoad::default(),
            congestion: Congestion::default(),
            tcp_port: None,
            upload_slots: Self::DEFAULT_UPLOAD_SLOTS,
            limit_hashing: None,
            api_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// Settings that one source gives; what is `None` or empty it leaves alone. The
/// configuration file has exactly these keys.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// See [`NodeConfig::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// See [`NodeConfig::download_dir`].
    pub download_dir: Option<PathBuf>,
    /// See [`NodeConfig::listen`].
    pub listen: Vec<SocketAddr>,
    /// See [`NodeConfig::peers`].
    pub peers: Vec<PeerAddress>,
    /// See [`NodeConfig::hubs`].
    pub hubs: Vec<PeerAddress>,
    /// See [`NodeConfig::overlays`].
    pub overlays: Vec<Overlay>,
    /// See [`NodeConfig::neighbours`].
    pub neighbours: Option<u32>,
    /// See [`NodeConfig::supernode`].
    pub supernode: SupernodeOverrides,
    /// See [`NodeConfig::dht`].
    pub dht: DhtOverrides,
    /// See [`NodeConfig::network`].
    pub network: Option<String>,
    /// See [`NodeConfig::secret_file`].
    pub secret_file: Option<PathBuf>,
    /// See [`NodeConfig::limit_up`].
    pub limit_up: Option<Rate>,
    /// See [`NodeConfig::limit_down`].
    pub limit_down: Option<Rate>,
    /// See [`NodeConfig::local_discovery`].
    pub local_discovery: Option<bool>,
    /// See [`NodeConfig::relays`].
    pub relays: Vec<String>,
    /// See [`NodeConfig::bulk_road`].
    pub bulk_road: Option<BulkRoad>,
    /// See [`NodeConfig::congestion`].
    pub congestion: Option<Congestion>,
    /// See [`NodeConfig::tcp_port`].
    pub tcp_port: Option<NonZeroU16>,
    /// See [`NodeConfig::upload_slots`].
    pub upload_slots: Option<u32>,
    /// See [`NodeConfig::limit_hashing`].
    pub limit_hashing: Option<Rate>,
    /// See [`NodeConfig::api_listen`].
    pub api_listen: Option<SocketAddr>,
    /// See [`NodeConfig::shares`].
    pub shares: Vec<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be; the text has line and column.
    #[error("the configuration {} is wrong: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// An environment variable is wrong.
    #[error("the environment variable {name} is wrong: {message}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Neither flag nor environment names a data directory, and there is no
    /// home to put one in.
    #[error("there is no home directory; name a data directory with --data-dir")]
    NoHome,
    /// A number is outside its range.
    #[error("{name} must be from {min} to {max}, not {found}")]
    Range {
        /// Which setting.
        name: &'static str,
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
        /// What was given.
        found: u32,
    },
}

/// The configuration file that is read when none is named:
/// `$XDG_CONFIG_HOME/gannet/config.toml` or what the system has for it.
pub fn default_config_path() -> Option<PathBuf> {
    Some(
        choose_base_strategy()
            .ok()?
            .config_dir()
            .join("gannet")
            .join("config.toml"),
    )
}

/// The data directory when none is named: `$XDG_DATA_HOME/gannet` or what the
/// system has for it.
pub fn default_data_dir() -> Option<PathBuf> {
    Some(choose_base_strategy().ok()?.data_dir().join("gannet"))
}

impl NodeConfig {
    /// Puts the sources together. `file` must exist if it is given; otherwise
    /// the default file is read if there is one. `environment` looks a variable
    /// up; the variables are `GANNET_` and the setting's name in capitals
    /// (`GANNET_OVERLAY` for the overlays, `GANNET_SUPERNODE_ROLE` for `role` in
    /// the section `supernode`), lists separated by spaces.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place.
    pub fn resolve(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: Overrides,
    ) -> Result<Self, ConfigError> {
        let from_file = match file {
            Some(path) => read_file(path)?,
            None => match default_config_path().filter(|path| path.exists()) {
                Some(path) => read_file(&path)?,
                None => Overrides::default(),
            },
        };
        let merged = from_file.merge(from_environment(environment)?).merge(flags);
        let data_dir = merged
            .data_dir
            .clone()
            .or_else(default_data_dir)
            .ok_or(ConfigError::NoHome)?;
        let mut config = Self::new(data_dir);
        config.apply(merged)?;
        Ok(config)
    }

    fn apply(&mut self, from: Overrides) -> Result<(), ConfigError> {
        if let Some(download_dir) = from.download_dir {
            self.download_dir = download_dir;
        }
        self.listen = from.listen;
        self.peers = from.peers;
        self.hubs = from.hubs;
        self.relays = from.relays;
        self.shares = from.shares;
        self.secret_file = from.secret_file;
        self.limit_up = from.limit_up.and_then(|rate| rate.0);
        self.limit_down = from.limit_down.and_then(|rate| rate.0);
        self.limit_hashing = from.limit_hashing.and_then(|rate| rate.0);
        if let Some(network) = from.network {
            self.network = network;
        }
        if let Some(local_discovery) = from.local_discovery {
            self.local_discovery = local_discovery;
        }
        if let Some(api_listen) = from.api_listen {
            self.api_listen = api_listen;
        }
        if !from.overlays.is_empty() {
            self.overlays = from.overlays;
        }
        self.tcp_port = from.tcp_port;
        if let Some(road) = from.bulk_road {
            self.bulk_road = road;
        }
        if let Some(congestion) = from.congestion {
            self.congestion = congestion;
        }
        if let Some(slots) = from.upload_slots {
            self.upload_slots = in_range("upload_slots", slots, 1, 100)?;
        }
        if let Some(neighbours) = from.neighbours {
            self.neighbours = in_range("neighbours", neighbours, 1, 50)?;
        }
        self.supernode.apply(&from.supernode)?;
        self.dht.apply(&from.dht)
    }
}

pub(crate) fn in_range(
    name: &'static str,
    found: u32,
    min: u32,
    max: u32,
) -> Result<u32, ConfigError> {
    if (min..=max).contains(&found) {
        return Ok(found);
    }
    Err(ConfigError::Range {
        name,
        min,
        max,
        found,
    })
}

impl Overrides {
    /// `self`, overruled by what `stronger` sets.
    #[must_use]
    pub fn merge(self, stronger: Self) -> Self {
        fn list<T>(weak: Vec<T>, strong: Vec<T>) -> Vec<T> {
            if strong.is_empty() { weak } else { strong }
        }
        Self {
            data_dir: stronger.data_dir.or(self.data_dir),
            download_dir: stronger.download_dir.or(self.download_dir),
            listen: list(self.listen, stronger.listen),
            peers: list(self.peers, stronger.peers),
            hubs: list(self.hubs, stronger.hubs),
            overlays: list(self.overlays, stronger.overlays),
            neighbours: stronger.neighbours.or(self.neighbours),
            supernode: self.supernode.merge(stronger.supernode),
            dht: self.dht.merge(stronger.dht),
            network: stronger.network.or(self.network),
            secret_file: stronger.secret_file.or(self.secret_file),
            limit_up: stronger.limit_up.or(self.limit_up),
            limit_down: stronger.limit_down.or(self.limit_down),
            local_discovery: stronger.local_discovery.or(self.local_discovery),
            relays: list(self.relays, stronger.relays),
            bulk_road: stronger.bulk_road.or(self.bulk_road),
            congestion: stronger.congestion.or(self.congestion),
            tcp_port: stronger.tcp_port.or(self.tcp_port),
            upload_slots: stronger.upload_slots.or(self.upload_slots),
            limit_hashing: stronger.limit_hashing.or(self.limit_hashing),
            api_listen: stronger.api_listen.or(self.api_listen),
            shares: list(self.shares, stronger.shares),
        }
    }
}

fn read_file(path: &Path) -> Result<Overrides, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|error| ConfigError::Wrong {
        path: path.to_owned(),
        message: error.to_string(),
    })
}

fn from_environment(look_up: impl Fn(&str) -> Option<String>) -> Result<Overrides, ConfigError> {
    let read = |name: &'static str| look_up(name).filter(|value| !value.is_empty());
    Ok(Overrides {
        data_dir: read("GANNET_DATA_DIR").map(PathBuf::from),
        download_dir: read("GANNET_DOWNLOAD_DIR").map(PathBuf::from),
        listen: words("GANNET_LISTEN", read("GANNET_LISTEN"))?,
        peers: words("GANNET_PEERS", read("GANNET_PEERS"))?,
        hubs: words("GANNET_HUBS", read("GANNET_HUBS"))?,
        overlays: words(
            "GANNET_OVERLAY",
            // As the flag takes them, too.
            read("GANNET_OVERLAY").map(|names| names.replace(',', " ")),
        )?,
        neighbours: one("GANNET_NEIGHBOURS", read("GANNET_NEIGHBOURS"))?,
        supernode: SupernodeOverrides::from_environment(&read)?,
        dht: DhtOverrides::from_environment(&read)?,
        network: read("GANNET_NETWORK"),
        secret_file: read("GANNET_SECRET_FILE").map(PathBuf::from),
        limit_up: one("GANNET_LIMIT_UP", read("GANNET_LIMIT_UP"))?,
        limit_down: one("GANNET_LIMIT_DOWN", read("GANNET_LIMIT_DOWN"))?,
        local_discovery: one("GANNET_LOCAL_DISCOVERY", read("GANNET_LOCAL_DISCOVERY"))?,
        relays: words("GANNET_RELAYS", read("GANNET_RELAYS"))?,
        bulk_road: one("GANNET_BULK_ROAD", read("GANNET_BULK_ROAD"))?,
        congestion: one("GANNET_CONGESTION", read("GANNET_CONGESTION"))?,
        tcp_port: one("GANNET_TCP_PORT", read("GANNET_TCP_PORT"))?,
        upload_slots: one("GANNET_UPLOAD_SLOTS", read("GANNET_UPLOAD_SLOTS"))?,
        limit_hashing: one("GANNET_LIMIT_HASHING", read("GANNET_LIMIT_HASHING"))?,
        api_listen: one("GANNET_API_LISTEN", read("GANNET_API_LISTEN"))?,
        shares: words("GANNET_SHARES", read("GANNET_SHARES"))?,
    })
}

pub(crate) fn one<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    value: Option<String>,
) -> Result<Option<T>, ConfigError> {
    value
        .map(|value| value.parse())
        .transpose()
        .map_err(|error: T::Err| ConfigError::Environment {
            name,
            message: error.to_string(),
        })
}

fn words<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    value: Option<String>,
) -> Result<Vec<T>, ConfigError> {
    value
        .iter()
        .flat_map(|value| value.split_whitespace())
        .map(|word| word.parse())
        .collect::<Result<_, _>>()
        .map_err(|error: T::Err| ConfigError::Environment {
            name,
            message: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_people_write_them() {
        for (text, rate) in [
            ("500", Some(500)),
            ("500K", Some(500_000)),
            ("1.5MiB/s", Some(1_572_864)),
            ("20 MB".replace(' ', "").as_str(), Some(20_000_000)),
            ("unlimited", None),
        ] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for wrong in ["", "fast", "-1", "0", "1X", "1e30", "..", "NaN"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_beat_environment_beats_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(
            &file,
            "data_dir = '/d'\nnetwork = 'file'\nlimit_up = '1M'\nbulk_road = 'tcp'\ntcp_port = 7411\nupload_slots = 3\nlisten = ['127.0.0.1:1']
             overlays = ['hub']\nneighbours = 4\n[supernode]\nrole = 'force'\nlinks = 30
             [dht]\ncopies = 3",
        )
        .unwrap();
        let environment = |name: &str| match name {
            "GANNET_NETWORK" => Some("environment".to_owned()),
            "GANNET_LIMIT_UP" => Some("2M".to_owned()),
            "GANNET_BULK_ROAD" => Some("quic".to_owned()),
            "GANNET_OVERLAY" => Some("flood,hub".to_owned()),
            "GANNET_SUPERNODE_ROLE" => Some("forbid".to_owned()),
            _ => None,
        };
        let flags = Overrides {
            network: Some("flag".to_owned()),
            ..Overrides::default()
        };
        let config = NodeConfig::resolve(Some(&file), environment, flags).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/d"));
        assert_eq!(config.network, "flag");
        assert_eq!(config.limit_up, Some(2_000_000));
        assert_eq!(config.upload_slots, 3);
        assert_eq!(config.bulk_road, BulkRoad::Quic);
        assert_eq!(config.tcp_port.map(NonZeroU16::get), Some(7411));
        assert_eq!(config.listen.len(), 1);
        assert_eq!(config.overlays, [Overlay::Flood, Overlay::Hub]);
        assert_eq!(config.neighbours, 4);
        assert_eq!(config.supernode.role, crate::RoleWish::Forbid);
        assert_eq!(config.supernode.links, 30);
        assert_eq!(config.dht.copies, 3);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "netwrok = 'x'").unwrap();
        let none = |_: &str| None;
        let error = NodeConfig::resolve(Some(&file), none, Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("netwrok"), "{error}");
        let hubs = |name: &str| (name == "GANNET_HUBS").then(|| "nobody".to_owned());
        std::fs::write(&file, "").unwrap();
        let error = NodeConfig::resolve(Some(&file), hubs, Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("GANNET_HUBS"), "{error}");
        let overlay = |name: &str| (name == "GANNET_OVERLAY").then(|| "tor".to_owned());
        let error = NodeConfig::resolve(Some(&file), overlay, Overrides::default()).unwrap_err();
        assert!(
            error.to_string().contains("supernode, dht and flood"),
            "{error}"
        );
        let road = |name: &str| (name == "GANNET_BULK_ROAD").then(|| "rail".to_owned());
        let error = NodeConfig::resolve(Some(&file), road, Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("auto, quic"), "{error}");
        std::fs::write(&file, "neighbours = 51").unwrap();
        let error = NodeConfig::resolve(Some(&file), none, Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("1 to 50"), "{error}");
    }
}
