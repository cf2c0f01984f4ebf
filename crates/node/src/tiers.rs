//! Settings of the supernode overlay: what a user may choose of it.

use std::str::FromStr;
use std::time::Duration;

use gannet_overlay::{flood, supernode};
use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::config::{in_range, one};

/// Time between two pings of a linked supernode. QUIC would notice its death
/// too, but only after half a minute.
// Guess: 40 links make some hundred bytes a second of it.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a linked supernode may leave pings unanswered.
// Guess: two pings and a little.
const SILENCE_MAX: Duration = Duration::from_secs(12);

/// Which role a peer may have. As text: `auto`, `force` or `forbid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleWish {
    /// Whatever the network needs.
    #[default]
    Auto,
    /// A supernode, always.
    Force,
    /// A leaf, always.
    Forbid,
}

/// A text that is no [`RoleWish`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no role: write auto, force (a supernode, always) or forbid (never one)")]
pub struct ParseRoleError(String);

impl FromStr for RoleWish {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        match text {
            "auto" => Ok(Self::Auto),
            "force" => Ok(Self::Force),
            "forbid" => Ok(Self::Forbid),
            _ => Err(ParseRoleError(text.to_owned())),
        }
    }
}

/// How a peer takes part in the supernode overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupernodeConfig {
    /// Which role it may have.
    pub role: RoleWish,
    /// Leaves that it takes as a supernode, 1 to 2,000. Too few: more
    /// supernodes than needed. Too many: memory, connections and work.
    pub leaves_max: u32,
    /// Other supernodes that it is linked to as one, 1 to 200. Too few:
    /// questions go further. Too many: each costs more messages.
    pub links: u32,
    /// Supernodes below which every peer that can be is one, 1 to 1,000. Too
    /// few: those that there are carry everything. Too many: small networks
    /// have no leaves.
    pub supernodes_min: u32,
    /// Load of this machine, per cent of its processors, above which it takes
    /// no more leaves; 0: never, at most 1,000. Too low: it takes none though
    /// it could. Too high: searches of leaves are slow.
    pub load_max: u32,
}

impl Default for SupernodeConfig {
    fn default() -> Self {
        let core = supernode::Config::default();
        Self {
            role: RoleWish::default(),
            leaves_max: core.leaves_max.into(),
            links: core.flood.neighbours_target.into(),
            supernodes_min: core.supernodes_min.into(),
            // Guess: some room for what a leaf asks at once.
            load_max: 80,
        }
    }
}

impl SupernodeConfig {
    /// What the core is to do.
    pub(crate) fn core(&self) -> supernode::Config {
        let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        let default = supernode::Config::default();
        let links = flood::Config {
            neighbours_target: small(self.links),
            ping_interval: PING_INTERVAL,
            silence_max: SILENCE_MAX,
            ..(*default.flood).clone()
        };
        supernode::Config {
            role: match self.role {
                RoleWish::Auto => supernode::RoleWish::Automatic,
                RoleWish::Force => supernode::RoleWish::Force,
                RoleWish::Forbid => supernode::RoleWish::Forbid,
            },
            leaves_max: small(self.leaves_max),
            supernodes_min: small(self.supernodes_min),
            flood: links.into(),
            ..default
        }
    }

    /// Connections that it may need as a supernode, besides those of everybody.
    pub(crate) fn connections(&self) -> usize {
        if self.role == RoleWish::Forbid {
            return 0;
        }
        // A link may be on its way out while the next one is made.
        let needed = self.leaves_max.saturating_add(self.links.saturating_mul(2));
        usize::try_from(needed).unwrap_or(usize::MAX)
    }

    pub(crate) fn apply(&mut self, from: &SupernodeOverrides) -> Result<(), ConfigError> {
        if let Some(role) = from.role {
            self.role = role;
        }
        if let Some(leaves_max) = from.leaves_max {
            self.leaves_max = in_range("supernode.leaves_max", leaves_max, 1, 2_000)?;
        }
        if let Some(links) = from.links {
            self.links = in_range("supernode.links", links, 1, 200)?;
        }
        if let Some(supernodes_min) = from.supernodes_min {
            self.supernodes_min = in_range("supernode.supernodes_min", supernodes_min, 1, 1_000)?;
        }
        if let Some(load_max) = from.load_max {
            self.load_max = in_range("supernode.load_max", load_max, 0, 1_000)?;
        }
        Ok(())
    }
}

/// The section `supernode` of the configuration file; see [`SupernodeConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupernodeOverrides {
    /// See [`SupernodeConfig::role`].
    pub role: Option<RoleWish>,
    /// See [`SupernodeConfig::leaves_max`].
    pub leaves_max: Option<u32>,
    /// See [`SupernodeConfig::links`].
    pub links: Option<u32>,
    /// See [`SupernodeConfig::supernodes_min`].
    pub supernodes_min: Option<u32>,
    /// See [`SupernodeConfig::load_max`].
    pub load_max: Option<u32>,
}

impl SupernodeOverrides {
    /// `self`, overruled by what `stronger` sets.
    pub(crate) fn merge(self, stronger: Self) -> Self {
        Self {
            role: stronger.role.or(self.role),
            leaves_max: stronger.leaves_max.or(self.leaves_max),
            links: stronger.links.or(self.links),
            supernodes_min: stronger.supernodes_min.or(self.supernodes_min),
            load_max: stronger.load_max.or(self.load_max),
        }
    }

    pub(crate) fn from_environment(
        read: &impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        const ROLE: &str = "GANNET_SUPERNODE_ROLE";
        const LEAVES_MAX: &str = "GANNET_SUPERNODE_LEAVES_MAX";
        const LINKS: &str = "GANNET_SUPERNODE_LINKS";
        const SUPERNODES_MIN: &str = "GANNET_SUPERNODE_SUPERNODES_MIN";
        const LOAD_MAX: &str = "GANNET_SUPERNODE_LOAD_MAX";
        Ok(Self {
            role: one(ROLE, read(ROLE))?,
            leaves_max: one(LEAVES_MAX, read(LEAVES_MAX))?,
            links: one(LINKS, read(LINKS))?,
            supernodes_min: one(SUPERNODES_MIN, read(SUPERNODES_MIN))?,
            load_max: one(LOAD_MAX, read(LOAD_MAX))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_as_people_write_them() {
        assert_eq!("force".parse(), Ok(RoleWish::Force));
        assert_eq!("auto".parse(), Ok(RoleWish::Auto));
        assert_eq!("forbid".parse(), Ok(RoleWish::Forbid));
        let error = "boss".parse::<RoleWish>().unwrap_err().to_string();
        assert!(error.contains("auto, force"), "{error}");
    }

    #[test]
    fn settings_reach_the_core_and_make_room() {
        let mut config = SupernodeConfig::default();
        let overrides = SupernodeOverrides {
            role: Some(RoleWish::Force),
            leaves_max: Some(7),
            links: Some(3),
            supernodes_min: Some(2),
            load_max: None,
        };
        config.apply(&overrides).unwrap();
        let core = config.core();
        assert_eq!(core.role, supernode::RoleWish::Force);
        assert_eq!((core.leaves_max, core.supernodes_min), (7, 2));
        assert_eq!(core.flood.neighbours_target, 3);
        assert_eq!(config.connections(), 13);
        config.role = RoleWish::Forbid;
        assert_eq!(config.connections(), 0);
        let many = SupernodeOverrides {
            links: Some(201),
            ..SupernodeOverrides::default()
        };
        let error = config.apply(&many).unwrap_err().to_string();
        assert!(error.contains("1 to 200"), "{error}");
    }
}
