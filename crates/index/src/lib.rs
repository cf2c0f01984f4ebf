//! Words: one tokenizer, one query language, one inverted index.
//!
//! **Problem.** Everybody who keeps a list of files (a peer its own, a hub or
//! a supernode those of its peers, a ring node those of a word) must give the
//! same answer to the same query.
//!
//! **Goals.** [`tokenize`] decides what a word is; [`Expression`] what a query
//! means and what matches it; [`Index`] finds the matches among millions of
//! entries in microseconds, ranks them, groups them by content, and forgets a
//! holder that leaves in less than a microsecond an entry.
//!
//! **Non-goals.** Checking signatures (who registers entries does), leases,
//! files, networks, a clock.
//!
//! **Invariant.** Same inputs, same results, in the same order; every input
//! may come from a stranger, so everything is bounded by [`Config`].

mod config;
mod fuzz;
mod index;
mod query;
mod tokenize;

pub use config::Config;
#[doc(hidden)]
pub use fuzz::fuzz_query;
pub use index::{Holdings, Index, Inserted, Page, Refusal, Rows};
pub use query::{Closeness, Expression, QueryError};
pub use tokenize::{Tokens, tokenize};
