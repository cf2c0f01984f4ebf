//! The flood core: neighbours, questions that pass by, what others may know of
//! the own files.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gannet_base::{Core as _, Output, PeerAddress, PeerId, Row, Timestamp};
use gannet_index::{Index, Page};
use gannet_net::Channel;
use gannet_overlay::flood::{
    DownReason, Flood, FloodCommand, FloodEvent, FloodMessage, Question, SearchId, Wanted,
    content_key, word_key,
};
use gannet_overlay::locate::{LocateId, Overlay, OverlayOutcome};

use super::Driver;
use super::links::Wanting;
use crate::api::{FloodInfo, NodeEvent};

/// How long a peer without neighbours counts as about to have some: searches
/// wait for the first one so long.
// Guess: some dials and greetings.
const JOIN_WITHIN: Duration = Duration::from_secs(5);
/// Least time between two summaries of the own files.
// Guess: what a folder being scanned adds in that time comes at once.
const KEYS_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How many times as long as a summary took nothing is summarised again: of a
/// million files it takes some ten milliseconds.
// Guess: two per cent of the driver's time.
const KEYS_REST: u32 = 50;
/// When the own files are summarised though hashing still goes on.
// Guess: a first look at large collections takes hours.
const FIRST_KEYS_WITHIN: Timestamp = Timestamp::from_secs(60);

/// The flood core and what belongs to it.
pub(crate) struct Flooding {
    core: Flood,
    neighbours: BTreeSet<PeerId>,
    /// Searches that wait for the first neighbour.
    waiting: Vec<(LocateId, Wanted, u32)>,
    /// Until when having no neighbours is nothing unusual.
    joining_until: Timestamp,
    /// The own files have changed since they were last summarised.
    keys_stale: bool,
    keys_at: Timestamp,
    keys_told: bool,
    questions: u64,
}

impl Flooding {
    /// Without neighbours.
    pub(crate) fn new(core: Flood) -> Self {
        Self {
            core,
            neighbours: BTreeSet::new(),
            waiting: Vec::new(),
            joining_until: Timestamp::ZERO,
            keys_stale: true,
            keys_at: Timestamp::ZERO,
            keys_told: false,
            questions: 0,
        }
    }

    pub(super) fn core(&mut self) -> &mut Flood {
        &mut self.core
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }

    pub(super) fn remembered(&self) -> Vec<PeerAddress> {
        self.core.remembered()
    }

    pub(super) fn has_neighbour(&self, peer: PeerId) -> bool {
        self.neighbours.contains(&peer)
    }
}

impl Driver {
    pub(super) fn begin_flood(&mut self) {
        let now = self.now();
        let own = self.address.addresses.clone();
        let known = self.known_peers();
        let Some(flood) = &mut self.flood else { return };
        flood.joining_until = now + JOIN_WITHIN;
        let commands = [FloodCommand::Announce(own), FloodCommand::Bootstrap(known)];
        for command in commands {
            flood.core.handle_command(now, command);
        }
    }

    /// Says goodbye to the neighbours. What is worth remembering must have been
    /// asked for before: see [`Driver::remember`].
    pub(super) fn end_flood(&mut self) {
        self.flood_command(FloodCommand::Leave);
    }

    pub(super) fn flood_command(&mut self, command: FloodCommand) {
        let now = self.clock.now();
        if let Some(flood) = &mut self.flood {
            flood.core.handle_command(now, command);
        }
    }

    pub(super) fn on_flood_output(&mut self, output: Output<FloodMessage, FloodEvent>) {
        match output {
            Output::Send { to, message } => {
                self.send(to, Channel::Flood, gannet_base::wire::encode(&message));
            }
            Output::Dial { peer } => self.dial(Wanting::Flood, peer),
            Output::Disconnect { peer } => self.want_no_more(Wanting::Flood, peer),
            Output::Event(event) => self.on_flood_event(event),
        }
    }

    fn on_flood_event(&mut self, event: FloodEvent) {
        match event {
            FloodEvent::Asked {
                search,
                question,
                rows_max,
            } => self.answer_flood(search, &question, rows_max),
            FloodEvent::Rows {
                id,
                via,
                hops,
                rows,
                addresses,
            } => self.on_unverified(id, Overlay::Flood, (via, hops), rows, addresses),
            FloodEvent::Ended { id, outcome } => {
                self.on_overlay_ended(id, Overlay::Flood, OverlayOutcome::Flood(outcome));
            }
            FloodEvent::NeighbourUp { peer } => self.on_neighbour_up(peer),
            FloodEvent::NeighbourDown { peer, reason } => self.on_neighbour_down(peer, reason),
            FloodEvent::Addresses(address) => {
                if address.peer != self.peer {
                    self.net.add_addresses(address);
                }
            }
        }
    }

    fn on_neighbour_up(&mut self, peer: PeerId) {
        tracing::info!(peer = %peer.short(), "neighbour up");
        if let Some(flood) = &mut self.flood {
            flood.neighbours.insert(peer);
        }
        self.ask_waiting_searches();
        self.tell(NodeEvent::NeighbourUp { peer });
    }

    fn on_neighbour_down(&mut self, peer: PeerId, reason: DownReason) {
        let now = self.now();
        let words = down_words(reason);
        tracing::info!(peer = %peer.short(), words, "neighbour down");
        if let Some(flood) = &mut self.flood {
            flood.neighbours.remove(&peer);
            if flood.neighbours.is_empty() {
                flood.joining_until = now + JOIN_WITHIN;
            }
        }
        if reason == DownReason::Misbehaved && !self.is_needed(peer) {
            self.net.disconnect(peer);
        }
        let reason = words.to_owned();
        self.tell(NodeEvent::NeighbourDown { peer, reason });
    }

    /// Asks the neighbours: at once, or when there is one.
    pub(super) fn ask_neighbours(&mut self, id: LocateId, wanted: Wanted, enough: u32) {
        let now = self.now();
        let Some(flood) = &mut self.flood else {
            self.on_overlay_ended(id, Overlay::Flood, OverlayOutcome::Unused);
            return;
        };
        let knows_nobody = flood.neighbours.is_empty() && flood.core.status().known_peers == 0;
        if knows_nobody {
            self.on_overlay_ended(id, Overlay::Flood, OverlayOutcome::Unused);
        } else if flood.neighbours.is_empty() && now < flood.joining_until {
            flood.waiting.push((id, wanted, enough));
        } else {
            let strategy = None;
            self.flood_command(FloodCommand::Search {
                id,
                wanted,
                enough,
                strategy,
            });
        }
    }

    fn ask_waiting_searches(&mut self) {
        let waiting = self.flood.as_mut().map(|flood| &mut flood.waiting);
        for (id, wanted, enough) in waiting.map(std::mem::take).unwrap_or_default() {
            let strategy = None;
            self.flood_command(FloodCommand::Search {
                id,
                wanted,
                enough,
                strategy,
            });
        }
    }

    /// A search is forgotten before it was asked.
    pub(super) fn forget_waiting(&mut self, id: LocateId) {
        if let Some(flood) = &mut self.flood {
            flood.waiting.retain(|(waiting, ..)| *waiting != id);
        }
    }

    fn answer_flood(&mut self, search: SearchId, question: &Question, rows_max: usize) {
        if let Some(flood) = &mut self.flood {
            flood.questions += 1;
        }
        // Downloads under way are found as they are at hubs.
        let mut rows = answers(&self.own, question, rows_max);
        self.sign_answer(&mut rows);
        for row in answers(&self.partial, question, rows_max) {
            if rows.len() < rows_max && rows.iter().all(|known| known.content != row.content) {
                rows.push(row);
            }
        }
        // Also if there are none: the report waits for it.
        self.flood_command(FloodCommand::Answer {
            search,
            rows,
            addresses: Vec::new(),
        });
    }

    /// The own files have changed.
    pub(super) fn on_own_changed(&mut self) {
        if let Some(flood) = &mut self.flood {
            flood.keys_stale = true;
        }
    }

    pub(super) fn tick_flood(&mut self) {
        let now = self.now();
        let scanning = self.tally.publishing.is_loading() || self.scan_progress().is_some();
        let Some(flood) = &mut self.flood else { return };
        // Until the first look through the files is over, a summary would rule
        // out what is there and not known yet; without one nothing is.
        let is_early = !flood.keys_told && scanning && now < FIRST_KEYS_WITHIN;
        if flood.keys_stale && !is_early && now >= flood.keys_at {
            let begun = Instant::now();
            let keys = keys_of(&[&self.own, &self.partial]);
            flood.keys_stale = false;
            flood.keys_told = true;
            flood.core.handle_command(now, FloodCommand::Keys(keys));
            flood.keys_at = now + (begun.elapsed() * KEYS_REST).max(KEYS_INTERVAL_MIN);
        }
        if now >= flood.joining_until {
            self.ask_waiting_searches();
        }
    }

    pub(super) fn flood_info(&self) -> Option<FloodInfo> {
        let flood = self.flood.as_ref()?;
        let status = flood.core.status();
        let neighbours = u32::try_from(status.neighbours.len()).unwrap_or(u32::MAX);
        let is_joining = self.now() < flood.joining_until;
        let problem = (neighbours == 0 && !is_joining && status.known_peers > 0).then(|| {
            "no neighbours: none of the peers that are known can be reached now; name another with \
             --peer PEER@ADDRESS"
                .to_owned()
        });
        Some(FloodInfo {
            neighbours,
            neighbours_target: self.config.neighbours,
            known_peers: status.known_peers as u64,
            questions: flood.questions,
            problem,
        })
    }
}

/// What an index has for a question.
fn answers(index: &Index, question: &Question, rows_max: usize) -> Vec<Row> {
    match (question.wanted(), question.expression()) {
        (Wanted::Content(content), _) => index.holders(*content, 1).into_iter().collect(),
        (Wanted::Words(_), Some(expression)) => {
            let page = Page {
                offset: 0,
                limit: u32::try_from(rows_max).unwrap_or(u32::MAX),
                hits_per_row: 1,
            };
            index.search(expression, page).rows
        }
        // Words that this version does not understand.
        (Wanted::Words(_), None) => Vec::new(),
    }
}

/// The keys of everything that these have.
fn keys_of(indexes: &[&Index]) -> Vec<u32> {
    let mut keys = Vec::new();
    for index in indexes {
        keys.extend(index.words().map(word_key));
        keys.extend(index.contents().map(content_key));
    }
    keys
}

fn down_words(reason: DownReason) -> &'static str {
    match reason {
        DownReason::Lost => "the connection broke",
        DownReason::Silent => "it answers nothing",
        DownReason::Left => "it said goodbye",
        DownReason::Misbehaved => "it breaks the rules",
        DownReason::Surplus => "there are enough others",
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::wire::SignatureBytes;
    use gannet_base::{ContentId, FileEntry, Media, Publication, Query, WallTime};
    use gannet_overlay::flood::entry_keys;

    use super::*;

    fn index(paths: &[&str]) -> Index {
        let mut index = Index::new(gannet_index::Config::default());
        for path in paths {
            let media = Media {
                artist: Some("Ágætis Byrjun".to_owned()),
                ..Media::default()
            };
            let _ = index.insert(&Publication {
                entry: FileEntry {
                    content: ContentId::of(path.as_bytes()),
                    size: 1,
                    path: (*path).to_owned(),
                    media,
                },
                holder: PeerId::from_bytes([1; 32]),
                expires: WallTime::from_unix_seconds(1),
                signature: SignatureBytes([0; 64]),
            });
        }
        index
    }

    /// The table rules nothing out that the index has: its keys are those that
    /// the overlay derives from entries.
    #[test]
    fn keys_are_those_of_the_entries() {
        let index = index(&["Music/Süß S01E02.flac", "Books/哈利波特.txt", "a/b"]);
        let mut expected = Vec::new();
        for publication in index
            .holdings(PeerId::from_bytes([1; 32]), 0, 10)
            .publications
        {
            entry_keys(&publication.entry, &mut expected);
        }
        let keys: BTreeSet<u32> = keys_of(&[&index]).into_iter().collect();
        assert_eq!(keys, expected.into_iter().collect::<BTreeSet<u32>>());
    }

    #[test]
    fn answers_by_words_and_by_content() {
        let index = index(&["Music/Harry.flac", "Music/Potter.flac", "Music/x.flac"]);
        let ask = |wanted: Wanted, rows_max| answers(&index, &wanted.into(), rows_max).len();
        let words = |text: &str| Wanted::Words(Query::new(text).unwrap());
        assert_eq!(ask(words("flac"), 10), 3);
        assert_eq!(ask(words("flac"), 2), 2);
        assert_eq!(ask(words("harry"), 10), 1);
        assert_eq!(ask(words("harry potter"), 10), 0);
        assert_eq!(ask(words("-what"), 10), 0, "not a question");
        let content = ContentId::of(b"Music/x.flac");
        assert_eq!(ask(Wanted::Content(content), 10), 1);
        assert_eq!(ask(Wanted::Content(ContentId::of(b"?")), 10), 0);
    }
}
