//! The running peer: drives the cores over connections and files.
//!
//! **Problem.** The protocols are pure state machines, the store blocks, the
//! network is asynchronous; somebody has to bring them together and stay
//! responsive.
//!
//! **Goals.** One driver task owns every core and does one thing at a time;
//! bytes move in tasks of their own and never through the driver. Everything
//! that a user can ask is a method of [`Node`].
//!
//! **Non-goals.** Protocol decisions: they are in `overlay` and `swarm`.
//!
//! **Invariant.** The driver never waits for a peer or for a disk.

pub mod api;
mod browse;
mod buffers;
mod clock;
mod config;
mod driver;
mod error;
mod fetch;
mod gather;
mod handle;
mod identity;
mod keeping;
mod limiter;
mod machine;
mod page;
pub mod reference;
mod remembered;
mod report;
mod ring;
mod scanner;
mod searches;
mod serve;
mod settings;
mod space;
mod start;
mod tiers;
mod verify;
mod viewing;

pub use config::{
    ConfigError, NodeConfig, Overrides, ParseRateError, Rate, default_config_path, default_data_dir,
};
pub use error::{
    BrowseError, DownloadError, KeepError, LinkError, SearchError, ShareError, StartError, Stopped,
};
pub use gannet_net::{BulkRoad, Congestion};
pub use gannet_overlay::locate::{Overlay, ParseOverlayError};
pub use handle::Node;
pub use page::SettingsError;
pub use ring::{DhtConfig, DhtOverrides};
pub use space::{ParseSpaceError, Space};
pub use tiers::{ParseRoleError, RoleWish, SupernodeConfig, SupernodeOverrides};
pub use viewing::{View, ViewError};

/// What the program calls itself to other peers.
fn agent() -> String {
    format!("gannet/{}", env!("CARGO_PKG_VERSION"))
}

/// Bodies of the fuzz targets: each takes any bytes and must return.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::browse::fuzz as browse_message;
}
