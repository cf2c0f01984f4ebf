//! Finding by a directory: peers register what they share, the hub searches,
//! peers transfer directly among themselves.
//!
//! **Problem.** A hub forgets (it restarts, it sheds load), messages get lost
//! (send queues are bounded), peers vanish without a word, and either side may
//! be broken or hostile. Nobody should have to notice.
//!
//! **Goals.** What a peer registered is found within seconds of the hub being
//! reachable again, without the whole list being sent again when nothing was
//! lost; what it did not register, or registered before it vanished, is not
//! found. A hub that is connected but useless is noticed and left. A
//! greedy peer meets its own budget, not its neighbours' patience.
//!
//! **Non-goals.** Transfers through the hub; trust in the hub: whether a
//! publication is its holder's is for the searcher to verify.
//!
//! **Invariant.** A hub's holdings for a peer are the result of a prefix of the
//! changes that this peer sent, applied in order and once each.
//!
//! # How registration stays right
//!
//! A client keeps a *log*: the latest change for every entry it shares, oldest
//! first. A *registration* is a pass over that log, cut into numbered batches.
//! The hub applies batches strictly in order and answers with its
//! [`Standing`]: which registration, how many batches, and a digest chained
//! over all of them. At most a window of batches is under way; what is not
//! acknowledged in time is sent again from there. So loss, duplication and
//! reordering cost time only.
//!
//! Every keep-alive brings the standing too. A hub that restarted has another
//! epoch and no registration; one that lost something has another digest or
//! too few entries: the client begins a new registration, which replaces the
//! old one. A client that lost its link and comes back within the grace period
//! finds its standing unchanged and goes on where it stopped.
//!
//! # How a useless hub is noticed
//!
//! With each keep-alive the client asks the hub for the sources of one of its
//! own entries, in the words of an ordinary question. No answer, or an answer
//! without the entry: the hub is left, with a reason, and tried again after a
//! random delay whose bound doubles.

mod address;
mod bucket;
mod chain;
mod client;
mod config;
#[doc(hidden)]
pub mod fuzz;
mod message;
mod server;

pub(crate) use address::{is_dialable, is_private};
pub(crate) use bucket::Bucket;
pub use client::{
    DownReason, HubClient, HubClientCommand, HubClientEvent, HubOutcome, HubPhase, HubState,
    Outcome, RequestId,
};
pub use config::{ClientConfig, ServerConfig};
pub use message::{
    Announcement, Budget, Change, HolderAddresses, HubCounts, HubMessage, Limits, Refusal, Standing,
};
pub use server::{HubServer, HubServerCommand, HubServerEvent, HubStatus, LeftReason};
