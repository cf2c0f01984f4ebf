//! Settings of the dht overlay: what a user may choose of it.

use std::time::Duration;

use gannet_overlay::dht;
use serde::Deserialize;

use crate::ConfigError;
use crate::Space;
use crate::config::{in_range, one};

/// Time between two looks for entries that belong to others by now. While a
/// network grows from a few peers, all who list a word may have come after it was
/// published: until then, those before them have it, and are not asked.
// Guess: as long as a user may wait for the peer that was started a moment ago.
const STRAY_INTERVAL: Duration = Duration::from_secs(10);

/// How a peer takes part in the dht overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtConfig {
    /// Whether it has a place on the ring, and keeps lists for others. Without
    /// one it still publishes and searches: right for a peer that others cannot
    /// connect to, and for one that is there for a minute only.
    pub member: bool,
    /// Peers after it on the ring that it knows, 2 to 64. Too few: the ring
    /// breaks when many go at once. Too many: more upkeep.
    pub successors: u32,
    /// Peers that keep each list, 1 to 32, at most `successors`. Too few: lists
    /// get lost when those go at once. Too many: each publication costs more
    /// messages.
    pub copies: u32,
    /// Places on the ring, 1 to 32. More than one for a machine that can do
    /// more than others: it gets so many times as much to keep.
    pub virtual_nodes: u32,
    /// Disk space granted to others for files that are to outlive their
    /// publishers, bytes; 0: none. What is over is dropped at the next start.
    pub grant: u64,
}

impl Default for DhtConfig {
    fn default() -> Self {
        let core = dht::Config::default();
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            member: true,
            successors: small(core.ring.successors),
            copies: small(core.store.copies),
            virtual_nodes: 1,
            grant: core.keep.grant_bytes,
        }
    }
}

impl DhtConfig {
    /// What the core is to do.
    pub(crate) fn core(&self) -> dht::Config {
        let default = dht::Config::default();
        let ring = dht::ring::Config {
            successors: self.successors as usize,
            is_member_wished: self.member,
            ..default.ring
        };
        let store = dht::store::Config {
            copies: self.copies as usize,
            stray_interval: STRAY_INTERVAL,
            ..(*default.store).clone()
        };
        let keep = dht::keep::Config {
            grant_bytes: self.grant,
            ..(*default.keep).clone()
        };
        dht::Config {
            virtual_nodes: u8::try_from(self.virtual_nodes).unwrap_or(u8::MAX),
            ring,
            store: store.into(),
            keep: keep.into(),
            ..default
        }
    }

    /// Most files that others keep for this peer.
    pub(crate) fn kept_max(&self) -> usize {
        self.core().keep.kept_max
    }

    pub(crate) fn apply(&mut self, from: &DhtOverrides) -> Result<(), ConfigError> {
        if let Some(member) = from.member {
            self.member = member;
        }
        if let Some(successors) = from.successors {
            self.successors = in_range("dht.successors", successors, 2, 64)?;
        }
        let copies_max = self.successors.min(32);
        if let Some(copies) = from.copies {
            self.copies = in_range("dht.copies", copies, 1, copies_max)?;
        }
        self.copies = self.copies.min(copies_max);
        if let Some(virtual_nodes) = from.virtual_nodes {
            self.virtual_nodes = in_range("dht.virtual_nodes", virtual_nodes, 1, 32)?;
        }
        if let Some(Space(grant)) = from.grant {
            self.grant = grant;
        }
        Ok(())
    }
}

/// The section `dht` of the configuration file; see [`DhtConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DhtOverrides {
    /// See [`DhtConfig::member`].
    pub member: Option<bool>,
    /// See [`DhtConfig::successors`].
    pub successors: Option<u32>,
    /// See [`DhtConfig::copies`].
    pub copies: Option<u32>,
    /// See [`DhtConfig::virtual_nodes`].
    pub virtual_nodes: Option<u32>,
    /// See [`DhtConfig::grant`].
    pub grant: Option<Space>,
}

impl DhtOverrides {
    /// `self`, overruled by what `stronger` sets.
    pub(crate) fn merge(self, stronger: Self) -> Self {
        Self {
            member: stronger.member.or(self.member),
            successors: stronger.successors.or(self.successors),
            copies: stronger.copies.or(self.copies),
            virtual_nodes: stronger.virtual_nodes.or(self.virtual_nodes),
            grant: stronger.grant.or(self.grant),
        }
    }

    pub(crate) fn from_environment(
        read: &impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        const MEMBER: &str = "GANNET_DHT_MEMBER";
        const SUCCESSORS: &str = "GANNET_DHT_SUCCESSORS";
        const COPIES: &str = "GANNET_DHT_COPIES";
        const VIRTUAL_NODES: &str = "GANNET_DHT_VIRTUAL_NODES";
        const GRANT: &str = "GANNET_DHT_GRANT";
        Ok(Self {
            member: one(MEMBER, read(MEMBER))?,
            successors: one(SUCCESSORS, read(SUCCESSORS))?,
            copies: one(COPIES, read(COPIES))?,
            virtual_nodes: one(VIRTUAL_NODES, read(VIRTUAL_NODES))?,
            grant: one(GRANT, read(GRANT))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_the_core() {
        let mut config = DhtConfig::default();
        let overrides = DhtOverrides {
            member: Some(false),
            successors: Some(4),
            copies: None,
            virtual_nodes: Some(3),
            grant: Some(Space(5_000)),
        };
        config.apply(&overrides).unwrap();
        assert_eq!(config.copies, 4.min(DhtConfig::default().copies));
        let core = config.core();
        assert_eq!((core.ring.successors, core.virtual_nodes), (4, 3));
        assert!(!core.ring.is_member_wished && core.store.copies <= 4);
        assert_eq!(core.keep.grant_bytes, 5_000);
        let many = DhtOverrides {
            copies: Some(5),
            ..DhtOverrides::default()
        };
        let error = config.apply(&many).unwrap_err().to_string();
        assert!(error.contains("dht.copies must be from 1 to 4"), "{error}");
    }

    #[test]
    fn the_environment_has_them_too() {
        let read = |name| match name {
            "GANNET_DHT_MEMBER" => Some("false".to_owned()),
            "GANNET_DHT_COPIES" => Some("2".to_owned()),
            "GANNET_DHT_GRANT" => Some("10GB".to_owned()),
            _ => None,
        };
        let overrides = DhtOverrides::from_environment(&read).unwrap();
        assert_eq!(overrides.member, Some(false));
        assert_eq!((overrides.copies, overrides.successors), (Some(2), None));
        assert_eq!(overrides.grant, Some(Space(10_000_000_000)));
        let wrong = |name| (name == "GANNET_DHT_MEMBER").then(|| "perhaps".to_owned());
        let error = DhtOverrides::from_environment(&wrong).unwrap_err();
        assert!(error.to_string().contains("GANNET_DHT_MEMBER"), "{error}");
    }
}
