//! The peers, and the perfect ring under them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gannet_base::wire::{FRAME_HEADER_BYTES, SignatureBytes, encode};
use gannet_base::{
    BlockId, ContentId, FileEntry, KeepOrder, Media, PeerId, Rng, Timestamp, WallTime, fork_rng,
    seeded_rng,
};
use gannet_overlay::dht::Position;
use gannet_overlay::dht::keep::{
    Config, Keep, KeepCommand, KeepEvent, KeepMessage, KeepOutput, KeepSaved, Neighbourhood, proof,
};
use gannet_overlay::dht::ring::Contact;

use super::{Params, Report};
use crate::churn::duration;
use crate::fingerprint::Fingerprint;
use crate::lab::{EventHash, index};
use crate::{Calendar, draw, node_of, peer_id, stats};

/// The calendar at the beginning, seconds since 1970.
const BEGINNING: u64 = 1_800_000_000;
/// Successors that a peer knows.
const SUCCESSORS: usize = 16;
/// How long a message takes.
const LATENCY: Duration = Duration::from_millis(50);
/// How long a lookup takes.
const LOOKUP: Duration = Duration::from_millis(400);
/// How long a dial takes that fails.
const DIAL: Duration = Duration::from_secs(5);
/// How long keepers stay.
const KEEPERS_STAY: Duration = Duration::from_secs(2 * 3600);
/// Most keepers.
const KEEPERS_MAX: u32 = 64;
/// Time between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// Looks from one point of the curve to the next.
const POINT_EVERY: u64 = 12;
/// Of so many messages one is encoded to know its length.
const MEASURED: u64 = 32;

enum Event {
    Message(u32, u32, Box<KeepMessage>),
    Unreachable(u32, u32, PeerId),
    Located(u32, u32, u64, Position),
    Fetched(u32, u32, BlockId, Vec<PeerId>),
    Timer(u32, u32),
    /// A peer comes or goes.
    Turn(u32),
    KeepersGo,
    Look,
}

#[derive(Default)]
struct Node {
    id: u32,
    keep: Option<Keep>,
    saved: KeepSaved,
    here: BTreeSet<BlockId>,
    is_new: bool,
    /// Counts its sessions: what was meant for an earlier one is lost.
    epoch: u32,
    wake: Option<Timestamp>,
}

/// What one peer sees of the ring.
struct Places<'a> {
    ring: &'a BTreeMap<Position, PeerId>,
    me: PeerId,
    position: Position,
    before: Position,
    after: OnceCell<Vec<Contact>>,
}

impl<'a> Places<'a> {
    fn new(ring: &'a BTreeMap<Position, PeerId>, me: PeerId) -> Self {
        let position = Position::of_peer(me, 0);
        let before = ring
            .range(..position)
            .next_back()
            .or_else(|| ring.last_key_value());
        Self {
            ring,
            me,
            position,
            before: before.map_or(position, |(before, _)| *before),
            after: OnceCell::new(),
        }
    }
}

/// Nodes from a place on, in order.
fn from(ring: &BTreeMap<Position, PeerId>, key: Position) -> impl Iterator<Item = Contact> + '_ {
    let around = ring.range(key..).chain(ring.range(..key));
    around.map(|(_, peer)| Contact::new(*peer, 0))
}

impl Neighbourhood for Places<'_> {
    fn is_member(&self) -> bool {
        self.ring.len() > 1
    }

    fn nodes(&self) -> usize {
        1
    }

    fn position(&self, _: usize) -> Position {
        self.position
    }

    fn successors(&self, _: usize) -> &[Contact] {
        self.after.get_or_init(|| {
            let after = from(self.ring, self.position.plus(1));
            let others = after.filter(|contact| contact.peer != self.me);
            others.take(SUCCESSORS).collect()
        })
    }

    fn before(&self, _: usize) -> Position {
        self.before
    }

    fn node_of(&self, key: Position) -> Option<usize> {
        self.position.owns(self.before, key).then_some(0)
    }
}

/// What is counted.
#[derive(Default)]
struct Counts {
    messages: u64,
    measured_bytes: u64,
    lookups: u64,
    placed_bytes: u64,
    moved_bytes: u64,
    looks: u64,
    online: u64,
    blocks_seen: u64,
    available: u64,
    online_copies: u64,
    held_bytes_max: u64,
    departures: u64,
    for_good: u64,
    events: u64,
}

/// Everybody.
pub(super) struct Network<'a> {
    params: &'a Params,
    config: Arc<Config>,
    now: Timestamp,
    calendar: Calendar<Event>,
    nodes: Vec<Node>,
    /// Peers by their place among `nodes`.
    slots: BTreeMap<u32, u32>,
    next_id: u32,
    ring: BTreeMap<Position, PeerId>,
    /// Copies that were ever made of each block.
    made: BTreeMap<BlockId, u64>,
    keepers: u32,
    rng: Rng,
    counts: Counts,
    curve: Vec<[f64; 3]>,
    hash: Fingerprint,
}

impl<'a> Network<'a> {
    pub(super) fn new(params: &'a Params) -> Self {
        let keepers = params.files.min(KEEPERS_MAX);
        let mut config = Config {
            checks_signatures: false,
            grant_bytes: params.grant,
            ..Config::default()
        };
        if !params.patient {
            config.away_max = Duration::ZERO;
            config.away_new = Duration::ZERO;
        }
        let mut network = Self {
            params,
            config: Arc::new(config),
            now: Timestamp::ZERO,
            calendar: Calendar::new(),
            nodes: Vec::new(),
            slots: BTreeMap::new(),
            next_id: 0,
            ring: BTreeMap::new(),
            made: BTreeMap::new(),
            keepers,
            rng: seeded_rng(params.seed),
            counts: Counts::default(),
            curve: Vec::new(),
            hash: Fingerprint::default(),
        };
        network.populate();
        network.place();
        network
    }

    /// The steady state: some are online, some are away.
    fn populate(&mut self) {
        let (on, off) = (self.params.session.mean(), self.params.offline.mean());
        for slot in 0..self.params.nodes + self.keepers {
            let is_keeper = slot >= self.params.nodes;
            self.nodes.push(Node {
                is_new: is_keeper || draw::unit(&mut self.rng) < self.params.leave,
                ..Node::default()
            });
            self.name(slot);
            if is_keeper {
                self.start(slot);
                self.command(slot, KeepCommand::Grant { bytes: 0 });
                continue;
            }
            let away = draw::unit(&mut self.rng) * (on + off) >= on;
            let sessions = if away {
                &self.params.offline
            } else {
                &self.params.session
            };
            let left = sessions.sample_under_way(&mut self.rng).residual;
            self.push(duration(left), Event::Turn(slot));
            if !away {
                self.start(slot);
            }
        }
        self.push(KEEPERS_STAY, Event::KeepersGo);
        self.push(LOOK_EVERY, Event::Look);
    }

    /// A new peer in this slot.
    fn name(&mut self, slot: u32) {
        let id = self.next_id;
        self.next_id += 1;
        self.slots.insert(id, slot);
        self.nodes[index(slot)].id = id;
    }

    /// Keepers order everything.
    fn place(&mut self) {
        let life = WallTime::from_unix_seconds(BEGINNING).plus_seconds(330 * 86_400);
        for file in 0..self.params.files {
            let slot = self.params.nodes + file % self.keepers;
            let content = ContentId::of(&file.to_le_bytes());
            let order = KeepOrder {
                entry: FileEntry {
                    content,
                    size: self.params.size,
                    path: format!("files/file {file}"),
                    media: Media::default(),
                },
                copies: self.params.copies,
                issued: WallTime::from_unix_seconds(BEGINNING),
                expires: life,
                keeper: peer_id(self.nodes[index(slot)].id),
                signature: SignatureBytes([0; 64]),
            };
            for index in 0..order.blocks() {
                self.made.insert(BlockId { content, index }, 0);
            }
            self.command(slot, KeepCommand::Keep(Box::new(order)));
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = Timestamp::ZERO + time;
        while let Some((at, event)) = self.calendar.pop_until(end) {
            self.now = at;
            self.counts.events += 1;
            self.on(event);
        }
        self.now = end;
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.calendar.push(self.now + after, event);
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Message(from, to, message) => self.on_message(from, to, *message),
            Event::Unreachable(slot, epoch, peer) => {
                self.with(slot, Some(epoch), |keep, now, _| {
                    keep.on_unreachable(now, peer);
                });
            }
            Event::Located(slot, epoch, id, key) => {
                self.with(slot, Some(epoch), |keep, now, places| {
                    let owners: Vec<_> = from(places.ring, key).take(SUCCESSORS).collect();
                    let before = places.ring.range(..key).next_back();
                    let before = before.or_else(|| places.ring.last_key_value());
                    let found = before.map(|(before, _)| (*before, owners));
                    keep.on_located(now, id, found, places);
                });
            }
            Event::Fetched(slot, epoch, block, from) => self.on_fetched(slot, epoch, block, &from),
            Event::Timer(slot, epoch) => {
                let node = &mut self.nodes[index(slot)];
                if node.epoch == epoch && node.wake.is_some_and(|wake| wake <= self.now) {
                    node.wake = None;
                    self.with(slot, Some(epoch), |keep, now, places| {
                        keep.handle_timeout(now, places);
                    });
                }
            }
            Event::Turn(slot) => self.on_turn(slot),
            Event::KeepersGo => {
                for slot in self.params.nodes..self.params.nodes + self.keepers {
                    self.stop(slot);
                }
            }
            Event::Look => self.look(),
        }
    }

    /// Lets a peer that is online do something.
    fn with(
        &mut self,
        slot: u32,
        epoch: Option<u32>,
        act: impl FnOnce(&mut Keep, Timestamp, &Places<'_>),
    ) {
        let node = &mut self.nodes[index(slot)];
        let Some(keep) = &mut node.keep else { return };
        if epoch.is_some_and(|epoch| epoch != node.epoch) {
            return;
        }
        let places = Places::new(&self.ring, peer_id(node.id));
        act(keep, self.now, &places);
        self.drain(slot);
    }

    fn command(&mut self, slot: u32, command: KeepCommand) {
        self.with(slot, None, |keep, now, places| {
            keep.handle_command(now, command, places);
        });
    }

    fn drain(&mut self, slot: u32) {
        while let Some(output) = self.nodes[index(slot)].keep.as_mut().and_then(Keep::poll) {
            let epoch = self.nodes[index(slot)].epoch;
            match output {
                KeepOutput::Send { to, message } => self.send(slot, to.peer, message),
                KeepOutput::Locate { id, key } => {
                    self.counts.lookups += 1;
                    self.push(LOOKUP, Event::Located(slot, epoch, id, key));
                }
                KeepOutput::Event(event) => self.on_event(slot, event),
            }
        }
        let node = &mut self.nodes[index(slot)];
        let due = node.keep.as_ref().and_then(Keep::next_deadline);
        if let Some(due) = due.map(|due| due.max(self.now))
            && node.wake.is_none_or(|wake| due < wake)
        {
            node.wake = Some(due);
            let epoch = node.epoch;
            self.calendar.push(due, Event::Timer(slot, epoch));
        }
    }

    fn send(&mut self, slot: u32, to: PeerId, message: KeepMessage) {
        self.counts.messages += 1;
        if self.counts.messages.is_multiple_of(MEASURED) {
            let bytes = encode(&message).len() + FRAME_HEADER_BYTES;
            self.counts.measured_bytes += bytes as u64;
        }
        let sender = self.nodes[index(slot)].id;
        if let Some(to) = node_of(to) {
            self.push(LATENCY, Event::Message(sender, to, Box::new(message)));
        }
    }

    fn on_message(&mut self, sender: u32, to: u32, message: KeepMessage) {
        self.hash.add(
            self.now.as_micros(),
            u64::from(sender) << 32 | u64::from(to),
        );
        let online = |slots: &BTreeMap<u32, u32>, nodes: &[Node], id: u32| {
            let slot = slots.get(&id).copied();
            slot.filter(|slot| nodes[index(*slot)].keep.is_some())
        };
        if let Some(slot) = online(&self.slots, &self.nodes, to) {
            self.with(slot, None, |keep, now, places| {
                keep.handle_message(now, peer_id(sender), message, places);
            });
        } else if let Some(slot) = online(&self.slots, &self.nodes, sender) {
            let epoch = self.nodes[index(slot)].epoch;
            self.push(DIAL, Event::Unreachable(slot, epoch, peer_id(to)));
        }
    }

    fn on_event(&mut self, slot: u32, event: KeepEvent) {
        match event {
            KeepEvent::Fetch { block, from, .. } => {
                let epoch = self.nodes[index(slot)].epoch;
                let from = from.into_iter().map(|from| from.peer).collect();
                let bytes = float(block.bytes(self.params.size));
                let takes = duration(bytes / float(self.params.rate));
                self.push(takes, Event::Fetched(slot, epoch, block, from));
            }
            KeepEvent::Drop { block, .. } => {
                self.nodes[index(slot)].here.remove(&block);
            }
            KeepEvent::Changed => {
                let node = &mut self.nodes[index(slot)];
                node.saved = node.keep.as_ref().map(Keep::saved).unwrap_or_default();
            }
            KeepEvent::Prove {
                id,
                groups,
                nonce,
                prover,
                ..
            } => {
                let proof = Some(proof(nonce, prover, &groups.start.to_le_bytes()));
                self.command(slot, KeepCommand::Proof { id, proof });
            }
            KeepEvent::Serve(_) | KeepEvent::Withdraw(_) | KeepEvent::Status(_) => {}
        }
    }

    fn on_fetched(&mut self, slot: u32, epoch: u32, block: BlockId, from: &[PeerId]) {
        let node = &self.nodes[index(slot)];
        if node.keep.is_none() || node.epoch != epoch {
            return;
        }
        let has = |peer: &PeerId| {
            let slot = node_of(*peer).and_then(|id| self.slots.get(&id).copied());
            slot.is_some_and(|slot| {
                let node = &self.nodes[index(slot)];
                let is_keeper = slot >= self.params.nodes;
                node.keep.is_some() && (is_keeper || node.here.contains(&block))
            })
        };
        if !from.iter().any(has) {
            self.command(slot, KeepCommand::FetchFailed(block));
            return;
        }
        let bytes = block.bytes(self.params.size);
        self.counts.moved_bytes += bytes;
        let made = self.made.entry(block).or_default();
        *made += 1;
        if *made <= u64::from(self.params.copies) {
            self.counts.placed_bytes += bytes;
        }
        self.nodes[index(slot)].here.insert(block);
        self.command(slot, KeepCommand::Held(block));
    }

    /// A peer comes or goes.
    fn on_turn(&mut self, slot: u32) {
        let sessions = if self.nodes[index(slot)].keep.is_some() {
            self.stop(slot);
            self.counts.departures += 1;
            if draw::unit(&mut self.rng) < self.params.leave {
                self.counts.for_good += 1;
                let node = &mut self.nodes[index(slot)];
                (node.saved, node.here, node.is_new) =
                    (KeepSaved::default(), BTreeSet::new(), true);
                self.slots.remove(&node.id);
                self.name(slot);
            }
            &self.params.offline
        } else {
            self.start(slot);
            &self.params.session
        };
        let lasts = sessions.sample(&mut self.rng);
        self.push(duration(lasts), Event::Turn(slot));
    }

    fn start(&mut self, slot: u32) {
        let rng = fork_rng(&mut self.rng);
        let node = &mut self.nodes[index(slot)];
        let peer = peer_id(node.id);
        let mut keep = Keep::new(peer, Arc::clone(&self.config), rng);
        let passed = (self.now - Timestamp::ZERO).as_secs();
        let clock = WallTime::from_unix_seconds(BEGINNING).plus_seconds(passed);
        keep.set_wall_time(self.now, clock);
        node.keep = Some(keep);
        node.epoch += 1;
        node.wake = None;
        self.ring.insert(Position::of_peer(peer, 0), peer);
        if !std::mem::replace(&mut node.is_new, false) {
            let command = KeepCommand::Restore {
                saved: Box::new(node.saved.clone()),
                here: node.here.iter().copied().collect(),
            };
            self.command(slot, command);
        }
        self.tell_around(Position::of_peer(peer, 0));
    }

    /// Without a word.
    fn stop(&mut self, slot: u32) {
        let node = &mut self.nodes[index(slot)];
        node.keep = None;
        let position = Position::of_peer(peer_id(node.id), 0);
        self.ring.remove(&position);
        self.tell_around(position);
    }

    /// The ring around a place has changed.
    fn tell_around(&mut self, position: Position) {
        let before = self.ring.range(..position).rev();
        let before = before.chain(self.ring.range(position..).rev()).take(2);
        let after = self.ring.range(position..).chain(&self.ring).take(2);
        let peers: BTreeSet<PeerId> = before.chain(after).map(|(_, peer)| *peer).collect();
        for peer in peers {
            let slot = node_of(peer).and_then(|id| self.slots.get(&id).copied());
            if let Some(slot) = slot {
                self.with(slot, None, |keep, now, _| keep.on_neighbourhood(now));
            }
        }
    }

    fn look(&mut self) {
        self.push(LOOK_EVERY, Event::Look);
        if self.now <= Timestamp::ZERO + KEEPERS_STAY {
            return;
        }
        let mut copies: BTreeMap<BlockId, u64> = BTreeMap::new();
        for node in &self.nodes {
            let Some(keep) = &node.keep else { continue };
            self.counts.online += 1;
            let held = keep.counts().held_bytes;
            self.counts.held_bytes_max = self.counts.held_bytes_max.max(held);
            for block in &node.here {
                *copies.entry(*block).or_default() += 1;
            }
        }
        self.counts.looks += 1;
        self.counts.blocks_seen += self.made.len() as u64;
        self.counts.available += copies.len() as u64;
        let all = copies.values().sum::<u64>();
        self.counts.online_copies += all;
        if self.counts.looks % POINT_EVERY == 1 {
            let blocks = self.made.len() as u64;
            let days = (self.now - Timestamp::ZERO).as_secs_f64() / 86_400.0;
            let available = stats::share(copies.len() as u64, blocks);
            self.curve
                .push([days, stats::share(all, blocks), available]);
        }
    }

    pub(super) fn report(&self) -> Report {
        let mut on_disk: BTreeMap<BlockId, u64> = BTreeMap::new();
        for block in self.nodes.iter().flat_map(|node| &node.here) {
            *on_disk.entry(*block).or_default() += 1;
        }
        let (params, counts) = (self.params, &self.counts);
        let blocks = self.made.len() as u64;
        let wanted = u64::from(params.copies);
        let unplaced = self.made.values().filter(|made| **made < wanted).count() as u64;
        let repaired = counts.moved_bytes - counts.placed_bytes;
        let node_days = f64::from(params.nodes) * params.days;
        let daily = |count: u64| float(count) / node_days;
        Report {
            nodes: params.nodes,
            online_mean: stats::ratio(float(counts.online), counts.looks),
            files: params.files,
            blocks,
            copies: params.copies,
            days: params.days,
            lost: blocks - on_disk.len() as u64,
            unplaced,
            placed_bytes: counts.placed_bytes,
            repaired_bytes: repaired,
            bytes_per_node_per_day: daily(counts.moved_bytes),
            repaired_bytes_per_node_per_day: daily(repaired),
            control_bytes_per_node_per_day: daily(counts.measured_bytes * MEASURED),
            messages_per_node_per_day: daily(counts.messages),
            lookups_per_node_per_day: daily(counts.lookups),
            available_fraction: stats::share(counts.available, counts.blocks_seen),
            online_copies_mean: stats::share(counts.online_copies, counts.blocks_seen),
            disk_copies_mean: stats::share(on_disk.values().sum(), blocks),
            held_bytes_max: counts.held_bytes_max,
            departures: counts.departures,
            departures_for_good: counts.for_good,
            events: counts.events,
            event_hash: EventHash(self.hash.value()),
            curve: self.curve.clone(),
        }
    }
}

/// A count for a quotient.
fn float(count: u64) -> f64 {
    stats::share(count, 1)
}
