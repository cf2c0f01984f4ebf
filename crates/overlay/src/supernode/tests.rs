//! A small network, delivered at once and in order: the story of a supernode's
//! life and death, step by step. Time, loss and crowds are the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, Core as _, FileEntry, Link, Media, Output, PeerAddress, PeerId, Publication, Query,
    Timestamp, WallTime, pump, seeded_rng,
};

use super::*;
use crate::flood::Wanted;

const LATENCY: Duration = Duration::from_millis(20);

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn address(n: u8) -> PeerAddress {
    PeerAddress {
        peer: peer(n),
        addresses: vec![place(peer(n))],
    }
}

/// Where a peer is.
fn place(peer: PeerId) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, peer.as_bytes()[0]], 4_000))
}

fn publication(holder: u8, path: &str) -> Publication {
    Publication {
        entry: FileEntry {
            content: ContentId::of(path.as_bytes()),
            size: 1_000,
            path: path.to_owned(),
            media: Media::default(),
        },
        holder: peer(holder),
        expires: WallTime::from_unix_seconds(2_000_000_000),
        signature: SignatureBytes([0; 64]),
    }
}

enum Due {
    Message(PeerId, PeerId, SupernodeMessage),
    Link(PeerId, PeerId, Link),
}

/// Every message takes 20 ms; dead peers swallow them. Who does not know where
/// a peer is cannot dial it.
struct Town {
    now: Timestamp,
    peers: BTreeMap<PeerId, Supernode>,
    links: BTreeSet<(PeerId, PeerId)>,
    due: VecDeque<(Timestamp, Due)>,
    events: Vec<(PeerId, SupernodeEvent)>,
    /// Who was told where whom is.
    told: BTreeSet<(PeerId, PeerId)>,
    config: Arc<Config>,
}

impl Town {
    fn new(config: Config) -> Self {
        Self {
            now: Timestamp::from_secs(1),
            peers: BTreeMap::new(),
            links: BTreeSet::new(),
            due: VecDeque::new(),
            events: Vec::new(),
            told: BTreeSet::new(),
            config: Arc::new(config),
        }
    }

    fn join(&mut self, n: u8, knows: &[u8]) {
        let core = Supernode::new(peer(n), self.config.clone(), seeded_rng(n.into()));
        self.peers.insert(peer(n), core);
        for known in knows {
            self.told.insert((peer(n), peer(*known)));
        }
        let known = knows.iter().copied().map(address).collect();
        self.command(n, SupernodeCommand::Bootstrap(known));
    }

    fn command(&mut self, n: u8, command: SupernodeCommand) {
        let now = self.now;
        self.peers
            .get_mut(&peer(n))
            .unwrap()
            .handle_command(now, command);
        self.drain(peer(n));
    }

    fn drain(&mut self, id: PeerId) {
        let mut outputs = Vec::new();
        pump(self.peers.get_mut(&id).unwrap(), |output| {
            outputs.push(output);
        });
        let at = self.now + LATENCY;
        for output in outputs {
            match output {
                Output::Send { to, message } if self.links.contains(&pair(id, to)) => {
                    self.due.push_back((at, Due::Message(id, to, message)));
                }
                Output::Send { .. } => {}
                Output::Dial { peer }
                    if self.peers.contains_key(&peer) && self.told.contains(&(id, peer)) =>
                {
                    self.told.insert((peer, id));
                    self.links.insert(pair(id, peer));
                    self.due.push_back((at, Due::Link(peer, id, Link::Up)));
                    self.due.push_back((at, Due::Link(id, peer, Link::Up)));
                }
                Output::Dial { peer } => {
                    self.due
                        .push_back((at, Due::Link(id, peer, Link::Unreachable)));
                }
                Output::Disconnect { peer } => {
                    if self.links.remove(&pair(id, peer)) {
                        self.due.push_back((at, Due::Link(peer, id, Link::Down)));
                    }
                }
                Output::Event(event) => {
                    if let SupernodeEvent::Addresses(address) = &event
                        && address.addresses.contains(&place(address.peer))
                    {
                        self.told.insert((id, address.peer));
                    }
                    self.events.push((id, event));
                }
            }
        }
    }

    /// Dies without a word: its links are noticed only by silence.
    fn kill(&mut self, n: u8) {
        self.peers.remove(&peer(n));
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let wakes = self.peers.iter().filter_map(|(id, core)| {
                let at = core.next_deadline()?;
                Some((at.max(self.now), *id))
            });
            let wake = wakes.min();
            let message = self.due.front().map(|(at, _)| *at);
            let next = [message, wake.map(|(at, _)| at)]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = next;
            if message == Some(next) {
                let Some((_, due)) = self.due.pop_front() else {
                    return;
                };
                self.deliver(due);
            } else if let Some((_, id)) = wake {
                self.peers.get_mut(&id).unwrap().handle_timeout(next);
                self.drain(id);
            }
        }
    }

    fn deliver(&mut self, due: Due) {
        let now = self.now;
        let to = match &due {
            Due::Message(_, to, _) | Due::Link(to, ..) => *to,
        };
        let Some(core) = self.peers.get_mut(&to) else {
            return;
        };
        match due {
            Due::Message(from, _, message) => core.handle_message(now, from, message),
            Due::Link(_, other, link) => {
                if link == Link::Up {
                    let addresses = vec![place(other)];
                    let peer = other;
                    core.handle_command(now, SupernodeCommand::Seen { peer, addresses });
                }
                core.handle_link(now, other, link);
            }
        }
        self.drain(to);
    }

    fn role(&self, n: u8) -> Role {
        self.peers[&peer(n)].role()
    }

    fn homes(&self, n: u8) -> Vec<PeerId> {
        self.peers[&peer(n)].homes().collect()
    }

    fn supernodes(&self) -> Vec<PeerId> {
        let all = self.peers.iter();
        all.filter(|(_, core)| core.role() == Role::Supernode)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Asks for words; who holds what was found, and how it ended.
    fn search(&mut self, n: u8, words: &str) -> (BTreeSet<PeerId>, SupernodeOutcome) {
        self.events.clear();
        self.command(
            n,
            SupernodeCommand::Search {
                id: 1,
                wanted: Wanted::Words(Query::new(words).unwrap()),
                enough: 100,
            },
        );
        self.run(60);
        let mut found = BTreeSet::new();
        let mut end = None;
        for (id, event) in &self.events {
            match event {
                SupernodeEvent::Rows { rows, .. } if *id == peer(n) => {
                    let hits = rows.iter().flat_map(|row| &row.hits);
                    found.extend(hits.map(gannet_base::Hit::holder));
                }
                SupernodeEvent::Ended { outcome, .. } if *id == peer(n) => end = Some(*outcome),
                _ => {}
            }
        }
        (found, end.expect("a search ends"))
    }
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}

/// Two tiers begin with the fourth peer.
fn small() -> Config {
    Config {
        supernodes_min: 3,
        leaves_max: 10,
        tenure_min: Duration::from_secs(3_600),
        ..Config::default()
    }
}

fn town(config: Config, peers: u8) -> Town {
    let mut town = Town::new(config);
    town.join(1, &[]);
    town.run(2);
    for n in 2..=peers {
        town.join(n, &[1]);
        town.run(1);
        town.command(
            n,
            SupernodeCommand::Publish(vec![publication(n, &format!("file of number{n}.txt"))]),
        );
    }
    town.run(40);
    town
}

#[test]
fn the_first_is_a_supernode_and_so_are_all_of_a_small_network() {
    let mut town = town(Config::default(), 3);
    assert_eq!(town.supernodes().len(), 3);
    let (found, outcome) = town.search(3, "file");
    assert_eq!(found, BTreeSet::from([peer(2), peer(3)]));
    assert_eq!(outcome.ending, Ending::Everybody);
    let (found, _) = town.search(1, "number3");
    assert_eq!(found, BTreeSet::from([peer(3)]));
}

#[test]
fn others_become_leaves_of_two_and_find_everything() {
    let mut town = town(small(), 9);
    assert_eq!(town.supernodes(), [peer(1), peer(2), peer(3)]);
    for n in 4..=9 {
        assert_eq!(town.role(n), Role::Leaf);
        assert_eq!(town.homes(n).len(), 2, "{n}");
    }
    let leaves: usize = town.peers.values().map(|core| core.leaves().count()).sum();
    assert_eq!(leaves, 12, "each leaf at two");
    let (found, outcome) = town.search(9, "file");
    assert_eq!(found, (2..=9).map(peer).collect());
    assert_eq!(outcome.ending, Ending::Everybody);
    assert_eq!(outcome.asked, 1);
    let wanted = Wanted::Content(ContentId::of(b"file of number5.txt"));
    town.events.clear();
    let id = 2;
    let enough = 1;
    town.command(9, SupernodeCommand::Search { id, wanted, enough });
    town.run(20);
    assert!(
        town.events
            .iter()
            .any(|(_, event)| matches!(event, SupernodeEvent::Rows { id: 2, .. }))
    );
}

#[test]
fn the_backup_serves_at_once_when_the_primary_dies() {
    let mut town = town(small(), 9);
    let primary = town.homes(9)[0];
    let backup = town.homes(9)[1];
    let n = (1..=9).find(|n| peer(*n) == primary).unwrap();
    town.kill(n);
    town.run(10);
    assert_eq!(town.homes(9)[0], backup);
    town.run(60);
    // Two supernodes are too few: leaves are asked to serve.
    assert!(town.supernodes().len() >= 3);
    for n in (4..=9).filter(|n| town.role(*n) == Role::Leaf) {
        assert_eq!(town.homes(n).len(), 2, "another backup was found");
    }
    let (found, _) = town.search(9, "file");
    let expected: BTreeSet<PeerId> = (2..=9).map(peer).filter(|id| *id != primary).collect();
    assert_eq!(found, expected);
}

/// All supernodes die at once: an heir takes over, and nobody is left alone.
#[test]
fn leaves_elect_one_of_themselves_when_all_supernodes_die() {
    let mut town = town(small(), 9);
    for n in 1..=3 {
        town.kill(n);
    }
    town.run(60);
    assert!(!town.supernodes().is_empty());
    for n in 4..=9 {
        let placed = town.role(n) == Role::Supernode || !town.homes(n).is_empty();
        assert!(placed, "{n}");
    }
    let elections: u64 = town
        .peers
        .values()
        .map(|core| core.status(town.now).counters.elections)
        .sum();
    assert!(elections > 0);
    // Who became one in a calamity does not soon stand down: others still look for
    // places.
    let mut offices = town.peers.values().filter_map(|core| core.office.as_ref());
    assert!(offices.any(|office| office.tier.is_troubled(town.now)));
    let (found, outcome) = town.search(9, "file");
    assert_eq!(found, (4..=9).map(peer).collect());
    assert_eq!(outcome.ending, Ending::Everybody);
}

#[test]
fn a_search_survives_the_death_of_the_supernode_that_it_was_asked_at() {
    let mut town = town(small(), 9);
    let primary = town.homes(9)[0];
    let n = (1..=9).find(|n| peer(*n) == primary).unwrap();
    town.kill(n);
    let (found, outcome) = town.search(9, "number8");
    assert_eq!(found, BTreeSet::from([peer(8)]));
    assert!(outcome.asked >= 2);
}

#[test]
fn who_is_forbidden_to_serve_does_not_and_says_so() {
    let mut town = Town::new(Config {
        role: RoleWish::Forbid,
        ..small()
    });
    town.join(1, &[]);
    town.run(60);
    assert_eq!(town.role(1), Role::Leaf);
    let (found, outcome) = town.search(1, "file");
    assert_eq!((found.len(), outcome.ending), (0, Ending::NoSupernode));
}

/// A leaf's supernode that names dead sources is left and remembered.
#[test]
fn three_dead_sources_cost_a_supernode_its_leaf() {
    let mut town = town(small(), 9);
    let primary = town.homes(9)[0];
    for _ in 0..3 {
        let via = primary;
        town.command(9, SupernodeCommand::DeadSource { via, hops: 1 });
    }
    town.run(400);
    assert!(!town.homes(9).contains(&primary));
    assert_eq!(town.homes(9).len(), 2);
}

/// A leaf whose short book has two peers that the user named and one that lives, and
/// which was told of ten more.
fn told_leaf() -> (Timestamp, Supernode) {
    let now = Timestamp::from_secs(100);
    let config = Config {
        leaf_known_max: 1,
        ..Config::default()
    };
    let mut leaf = Supernode::new(peer(1), config, seeded_rng(1));
    for n in [2, 3] {
        leaf.book.name(now, &address(n));
    }
    leaf.heard(now, peer(4));
    let roster = Roster {
        heirs: Vec::new(),
        supernodes: (10..20).map(address).collect(),
    };
    leaf.seek.rosters.put(peer(30), Arc::new(roster), true);
    (now, leaf)
}

#[test]
fn a_list_is_asked_of_anybody_and_not_only_of_a_short_book() {
    let (now, mut leaf) = told_leaf();
    let mut asked = BTreeSet::new();
    for _ in 0..100 {
        asked.extend(
            leaf.some_known(now, 1, Wish::List)
                .iter()
                .map(|one| one.peer),
        );
        leaf.seek.rosters.begin_again();
    }
    let all: BTreeSet<PeerId> = (2..5).chain(10..20).map(peer).collect();
    assert_eq!(asked, all);
}

#[test]
fn a_place_is_asked_first_of_who_may_have_one_and_last_of_who_was_only_named() {
    let (now, mut leaf) = told_leaf();
    let mut asked = |count: usize| -> Vec<PeerId> {
        let all = leaf.some_known(now, count, Wish::Primary);
        all.into_iter().map(|one| one.peer).collect()
    };
    assert_eq!(asked(1), [peer(4)]);
    let mut all = asked(13);
    assert_eq!(all[0], peer(4));
    all[1..11].sort();
    all[11..].sort();
    assert_eq!(all[1..11], (10..20).map(peer).collect::<Vec<_>>());
    assert_eq!(all[11..], [peer(2), peer(3)]);
    // Of one without room the roster's come first, and what it says of others counts.
    leaf.book.is_full(now, peer(4));
    leaf.seek.rosters.begin_again();
    let first = leaf.some_known(now, 1, Wish::Backup)[0].peer;
    assert!(first != peer(4), "{first:?}");
    leaf.learn_listed(now, &[address(5), address(6)]);
    let likely = leaf.some_known(now, 1, Wish::Backup)[0].peer;
    assert_eq!(likely, peer(5), "the first of the list is the best");
}

#[test]
fn who_becomes_a_supernode_links_to_those_whom_its_own_ones_named() {
    let (now, mut leaf) = told_leaf();
    leaf.begin(now);
    leaf.promote(now, tier::Why::Elected);
    let office = leaf.office.as_ref().unwrap();
    assert!(office.flood.promising_peers() >= 10);
}

#[test]
fn a_leaf_remembers_also_whom_its_supernodes_named() {
    let (now, leaf) = told_leaf();
    let remembered: Vec<PeerId> = leaf.remembered(now).iter().map(|one| one.peer).collect();
    assert_eq!(remembered[0], peer(4), "the likeliest to live");
    assert_eq!(remembered.len(), 13);
}

/// A hundred thousand of them are simulated at once, in 2 KiB each.
#[test]
fn a_leaf_is_small() {
    assert!(size_of::<Supernode>() <= 720, "{}", size_of::<Supernode>());
    assert!(Config::default().leaf_known_max <= 4);
}
