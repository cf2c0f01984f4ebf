//! Chord: how long its ways are, what failures and comings and goings do to it,
//! how its rings merge, and every ring of five places tried out.
//!
//! Where a network stands still its cores are driven without a world: nothing
//! lies between them (`bare`). Whether pointers are as they must be is told by
//! an oracle outside the cores.

mod bare;
pub mod check;
pub mod churn;
mod crowd;
pub mod fail;
pub mod heal;
mod lawful;
pub(super) mod layout;
pub mod load;
mod network;
mod oracle;
pub mod path;
pub(super) mod seeds;
mod still;
mod tally;
mod watch;
