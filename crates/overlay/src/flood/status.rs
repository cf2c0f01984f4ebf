//! What can be looked at from outside.

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::Flood;

/// How it stands with the overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodStatus {
    /// The neighbours; no particular order.
    pub neighbours: Vec<NeighbourInfo>,
    /// Peers that are known, neighbours among them.
    pub known_peers: usize,
    /// Whether there is a neighbour.
    pub joined: bool,
    /// Questions remembered.
    pub seen: usize,
    /// Questions whose reports are awaited.
    pub open: usize,
    /// Own searches under way.
    pub searches: usize,
    /// Slots of the own routing table that are set.
    pub table_slots: u32,
    /// What happened since the start.
    pub counters: Counters,
}

/// How it stands with a neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourInfo {
    /// Who.
    pub peer: PeerId,
    /// Since when.
    pub since: Timestamp,
    /// Whether this side dialled.
    pub dialled: bool,
    /// Whether its routing table is whole and worth asking.
    pub has_table: bool,
    /// Which part of that table is set, 0 to 1.
    pub table_fill: f64,
    /// Questions that came from it, without copies of what had been seen.
    pub queries_in: u32,
    /// Those of them that were over its budget.
    pub refused_in: u32,
    /// Broken rules that are held against it.
    pub strikes: u16,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Own searches.
    pub searches: u64,
    /// Questions of others that were answered or passed on.
    pub questions: u64,
    /// Copies of what had been seen, going no further.
    pub duplicates: u64,
    /// Copies sent.
    pub copies: u64,
    /// Copies that were not sent because a routing table rules a match out.
    pub ruled_out: u64,
    /// Questions that were over a budget.
    pub refused: u64,
    /// Messages of hits sent for own files.
    pub hits_sent: u64,
    /// Messages of hits passed back.
    pub hits_passed: u64,
    /// Messages of hits for own searches.
    pub hits_taken: u64,
    /// Messages of hits that were too many, too far or whose way back is gone.
    pub hits_dropped: u64,
    /// Messages of hits that nobody had asked for.
    pub hits_unasked: u64,
    /// Reports taken.
    pub reports: u64,
    /// Reports that nobody waits for: late, repeated or invented.
    pub reports_unasked: u64,
    /// Pongs, welcomes and refusals that nobody waits for.
    pub unasked: u64,
    /// Messages from peers that are no neighbours.
    pub strangers: u64,
    /// Messages beyond what one neighbour, or all greetings, may send.
    pub dropped: u64,
    /// Neighbours expelled.
    pub expelled: u64,
    /// Peers dialled.
    pub dials: u64,
    /// Pieces of the own routing table sent.
    pub patches: u64,
}

impl Flood {
    /// How many peers are known that were not tried in vain lately, neighbours
    /// among them.
    pub fn promising_peers(&self) -> usize {
        self.joining.book.promising()
    }

    /// How it stands. Costs time in proportion to the neighbours and the peers
    /// known.
    pub fn status(&self) -> FloodStatus {
        let neighbours = self.neighbours.iter().map(|neighbour| {
            let table = neighbour.knowledge.table();
            NeighbourInfo {
                peer: neighbour.peer,
                since: neighbour.since,
                dialled: neighbour.care.as_ref().is_some_and(|care| care.dialled),
                has_table: table.is_some(),
                table_fill: table.map_or(0.0, |table| table.fill()),
                queries_in: neighbour.questions_in,
                refused_in: neighbour.refused_in,
                strikes: neighbour.strikes,
            }
        });
        FloodStatus {
            neighbours: neighbours.collect(),
            known_peers: self.joining.book.len(),
            joined: self.neighbours.len() > 0,
            seen: self.seen.len(),
            open: self.opens.len(),
            searches: self.searches.len(),
            table_slots: self.table.as_ref().map_or(0, |table| table.len()),
            counters: self.counters,
        }
    }

    /// Peers to remember beyond the end of the process: the neighbours, then
    /// others, the likeliest to live first. At most
    /// [`Config::known_max`](super::Config::known_max) and the neighbours.
    pub fn remembered(&self) -> Vec<PeerAddress> {
        let all = self.joining.book.remembered();
        let is_neighbour = |peer: &PeerAddress| self.neighbours.find(peer.peer).is_some();
        let (mut first, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_neighbour);
        first.extend(rest);
        first
    }
}
