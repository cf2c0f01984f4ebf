//! Finding without any directory: neighbours pass questions on.
//!
//! **Problem.** Gnutella showed that search needs no server, and what it costs:
//! floods that do not scale, searches that fail although the file is there, and
//! one greedy neighbour that starves the others.
//!
//! **Goals.** Questions that go only as far as needed and, on their last hop,
//! only where a match may be; a searcher who is told how far its question came,
//! so that "nobody has it" and "I could not ask" are told apart; a network that
//! stays whole and random while peers come and go.
//!
//! **Non-goals.** Transfers; trust in answers: whether a publication is its
//! holder's, and matches, is for the layer above to verify.
//!
//! **Invariant.** A peer answers a search once in a round, and after the first
//! round only when asked to. It passes on a copy only if it is of a later round
//! than all before, or has a larger TTL than those of its round: each copy that
//! comes in causes at most one for each other neighbour, and is paid for out of
//! the sender's budget.
//!
//! # One rule of forwarding
//!
//! A peer keeps, for each search, the latest round and the largest TTL with
//! which it has seen it in that. A copy is passed on if its round is later or its
//! TTL larger, and answered if it is the first. So the next, wider ring of a
//! search goes through whom it has asked before and is answered only by the new;
//! and a question that came on a slow short path gets as far as its TTL says.
//!
//! # Reports
//!
//! Every copy is reported on to whom it came from: at once and empty if it goes
//! nowhere new, else when everybody it was passed on to has reported, or time is
//! up. The sums of the reports tell the searcher how many were asked, why others
//! were not, and how many rows were sent back. If fewer arrived, or somebody did
//! not report, the next round asks for the answers of earlier ones again.

mod api;
mod book;
mod budget;
mod care;
mod config;
mod estimate;
mod exchange;
#[doc(hidden)]
pub mod fuzz;
mod hits;
mod joining;
mod key;
mod message;
mod neighbours;
mod opens;
mod outbox;
mod question;
mod questions;
mod searches;
mod seen;
mod slots;
mod status;
mod strategy;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gannet_base::{Core, Link, Output, PeerId, Rng, Timestamp};
use rand_core::Rng as _;

use budget::FairBudget;
use joining::Joining;
use neighbours::Neighbours;
use opens::Opens;
use outbox::Outbox;
use searches::Searches;
use seen::SeenTable;
use table::Table;

pub use api::{DownReason, Ending, FloodCommand, FloodEvent, FloodOutcome, RequestId, Strategy};
pub(crate) use book::{jittered, merge};
pub use config::Config;
pub use exchange::SharedTable;
pub(crate) use hits::hits_messages;
pub use key::{content_key, entry_keys, word_key};
pub(crate) use message::check_hits;
pub use message::{
    Ask, Coverage, FloodMessage, HITS_MAX, HITS_ROWS_MAX, Hits, PATCH_BYTES_MAX, PEERS_LISTED_MAX,
    Patch, SearchId, TABLE_BITS, Welcome,
};
pub use question::{Question, Wanted};
pub(crate) use searches::below;
pub use status::{Counters, FloodStatus, NeighbourInfo};

/// A peer of the flood overlay, as a [`Core`].
///
/// * getters: [`status`](Self::status), [`remembered`](Self::remembered);
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link), [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), [`next_deadline`](Core::next_deadline).
///
/// ```
/// use gannet_base::{ContentId, Core as _, PeerId, Timestamp, pump, seeded_rng};
/// use gannet_overlay::flood::{Config, Ending, Flood, FloodCommand, FloodEvent, Wanted};
///
/// let me = PeerId::from_bytes([1; 32]);
/// let mut flood = Flood::new(me, Config::default(), seeded_rng(7));
/// let search = FloodCommand::Search {
///     id: 1,
///     wanted: Wanted::Content(ContentId::of(b"a file")),
///     enough: 1,
///     strategy: None,
/// };
/// flood.handle_command(Timestamp::ZERO, search);
/// let mut ending = None;
/// pump(&mut flood, |output| {
///     if let gannet_base::Output::Event(FloodEvent::Ended { outcome, .. }) = output {
///         ending = Some(outcome.ending);
///     }
/// });
/// assert_eq!(ending, Some(Ending::NoNeighbours));
/// ```
#[derive(Debug)]
// What every message needs comes first and together: with a hundred thousand
// peers, a line of memory that is touched is a line that must be fetched.
#[repr(C)]
pub struct Flood {
    neighbours: Neighbours,
    seen: SeenTable,
    outbox: Outbox,
    opens: Opens,
    searches: Searches,
    /// When to send pieces of tables.
    tables_at: Option<Timestamp>,
    /// When to ping the neighbours, and when to look for others.
    ping_at: Option<Timestamp>,
    seek_at: Option<Timestamp>,
    config: Arc<Config>,
    /// What neighbours may ask; none if there is no limit.
    budget: Option<Box<FairBudget>>,
    counters: Counters,
    joining: Box<Joining>,
    /// What this peer shares.
    table: Option<Arc<Table>>,
    /// What the next table will be made of.
    keys: Option<Box<[u32]>>,
    me: PeerId,
    rng: Rng,
}

impl Flood {
    /// A peer with no neighbours and no files. `rng` must differ between two
    /// starts: what cannot be guessed is drawn from it. Many peers of one
    /// process may share their configuration.
    pub fn new(me: PeerId, config: impl Into<Arc<Config>>, mut rng: Rng) -> Self {
        let config = config.into();
        let mut flood = Self {
            neighbours: Neighbours::new(rng.next_u64()),
            seen: SeenTable::new(rng.next_u64()),
            opens: Opens::default(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            budget: None,
            searches: Searches::default(),
            joining: Box::default(),
            table: None,
            keys: None,
            tables_at: None,
            ping_at: None,
            seek_at: None,
            config,
            me,
            rng,
        };
        flood.make_budget(flood.config.neighbours_max());
        flood
    }

    /// A budget for so many neighbours, if there is a limit.
    fn make_budget(&mut self, places: usize) {
        let (rate, burst) = (
            self.config.questions_per_second,
            self.config.questions_burst,
        );
        let places = u16::try_from(places.max(1)).unwrap_or(u16::MAX);
        self.budget = (rate > 0).then(|| Box::new(FairBudget::new(rate, burst, places)));
    }

    /// A message that only neighbours send.
    fn on_neighbourly(&mut self, now: Timestamp, from: PeerId, message: FloodMessage) {
        let Some(slot) = self.neighbours.find(from) else {
            self.counters.strangers += 1;
            return;
        };
        match message {
            FloodMessage::Ask(ask) => self.on_ask(now, slot, from, ask),
            FloodMessage::Report {
                search,
                round,
                ttl,
                coverage,
            } => self.on_report(now, slot, (search, round, ttl), coverage),
            FloodMessage::Hits(search, hits) => self.on_hits(now, slot, search, hits),
            FloodMessage::Table(patch) => self.on_table(now, slot, &patch),
            FloodMessage::Bye { peers } if !self.joining.fixed => self.on_bye(now, slot, peers),
            FloodMessage::Pong { nonce, peers } => self.on_pong(now, slot, nonce, peers),
            _ => {}
        }
    }
}

impl Core for Flood {
    type Message = FloodMessage;
    type Command = FloodCommand;
    type Event = FloodEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: FloodMessage) {
        match message {
            FloodMessage::Hello {
                addresses,
                neighbours,
            } => self.on_hello(now, from, addresses, neighbours),
            FloodMessage::Welcome(welcome) => self.on_welcome(now, from, *welcome),
            FloodMessage::Busy { peers } => self.on_busy(now, from, peers),
            FloodMessage::Ping { nonce } => self.on_ping(now, from, nonce),
            message => self.on_neighbourly(now, from, message),
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: FloodCommand) {
        match command {
            FloodCommand::Bootstrap(peers) => self.on_bootstrap(now, peers),
            FloodCommand::Announce(addresses) => self.on_announce(addresses),
            FloodCommand::Seen { peer, addresses } => self.on_seen_at(peer, addresses),
            FloodCommand::Keys(keys) => self.on_keys(now, keys),
            FloodCommand::Search {
                id,
                wanted,
                enough,
                strategy,
            } => self.on_search(now, id, wanted, enough, strategy),
            FloodCommand::Cancel { id } => self.on_cancel(id),
            FloodCommand::Answer {
                search,
                rows,
                addresses,
            } => self.on_answer(now, search, rows, addresses),
            FloodCommand::Forged { via, hops } => self.on_forged(now, via, hops),
            FloodCommand::Fixed(peers) => self.on_fixed(now, peers),
            FloodCommand::Leave => self.on_leave(now),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.on_link(now, peer, link);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.on_timeout_opens(now);
        self.on_timeout_searches(now);
        self.on_timeout_tables(now);
        self.on_timeout_care(now);
        if self.seek_at.is_some_and(|due| due <= now) {
            self.seek(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<FloodMessage, FloodEvent>> {
        self.outbox.pop(&self.neighbours)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.opens.due(),
            self.searches.due(),
            self.tables_at,
            self.ping_at,
            self.seek_at,
        ];
        deadlines.into_iter().flatten().min()
    }
}
