//! The commands, one file each.

pub(crate) mod browse;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod downloads;
pub(crate) mod get;
pub(crate) mod keep;
pub(crate) mod lab;
pub(crate) mod link;
pub(crate) mod lists;
pub(crate) mod man;
pub(crate) mod oneshot;
pub(crate) mod open;
pub(crate) mod search;
pub(crate) mod share;
pub(crate) mod status;
pub(crate) mod up;
