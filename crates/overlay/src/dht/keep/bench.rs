//! A small network for tests: true owners, messages that take 20 ms, blocks that take a
//! second.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use gannet_base::{
    BLOCK_BYTES, BlockId, ContentId, FileEntry, KeepOrder, KeepRelease, Media, PeerId, Timestamp,
    WallTime, seeded_rng,
};

use super::*;

/// The calendar at the beginning, seconds.
pub(super) const BEGINNING: u64 = 1_800_000_000;

/// A peer's key; its id is the public half.
pub(super) fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(super) fn peer(n: u8) -> PeerId {
    PeerId::from_bytes(key(n).verifying_key().to_bytes())
}

pub(super) fn content() -> ContentId {
    ContentId::of(b"a film")
}

/// An order of peer `n` for a file of so many blocks.
pub(super) fn order(n: u8, blocks: u64, copies: u8, days: u64) -> KeepOrder {
    order_at(n, (blocks, copies), BEGINNING, days)
}

pub(super) fn order_at(n: u8, (blocks, copies): (u64, u8), issued: u64, days: u64) -> KeepOrder {
    let entry = FileEntry {
        content: content(),
        size: (blocks - 1) * BLOCK_BYTES + 100_000,
        path: "films/a film".to_owned(),
        media: Media::default(),
    };
    let issued = WallTime::from_unix_seconds(issued);
    let expires = issued.plus_seconds(days * 24 * 3600);
    KeepOrder::sign(entry, copies, (issued, expires), &key(n))
}

pub(super) fn release(n: u8, issued: u64) -> KeepRelease {
    KeepRelease::sign(content(), WallTime::from_unix_seconds(issued), &key(n))
}

/// The true ring as one peer sees it.
pub(super) struct Places {
    ring: Vec<Contact>,
    after: Vec<Contact>,
    before: Position,
    me: Contact,
}

impl Places {
    pub(super) fn new(me: PeerId, alive: impl Iterator<Item = PeerId>) -> Self {
        let mut ring: Vec<_> = alive.map(|peer| Contact::new(peer, 0)).collect();
        ring.sort_unstable_by_key(|contact| contact.position);
        let me = Contact::new(me, 0);
        let mut after = ring.clone();
        after.retain(|contact| contact.peer != me.peer);
        after.sort_unstable_by_key(|contact| me.position.distance_to(contact.position));
        let before = after.last().map_or(me.position, |last| last.position);
        after.truncate(16);
        Self {
            ring,
            after,
            before,
            me,
        }
    }

    /// Who is responsible for a block, and who comes after.
    pub(super) fn owners(&self, block: BlockId) -> Vec<PeerId> {
        let key = Position::of_block(block.content, block.index);
        let (_, owners) = self.located(key);
        owners.iter().map(|owner| owner.peer).collect()
    }

    /// The node before a key, and the owners.
    fn located(&self, key: Position) -> (Position, Vec<Contact>) {
        let mut owners = self.ring.clone();
        owners.sort_unstable_by_key(|contact| key.distance_to(contact.position));
        let before = owners.last().map_or(key, |contact| contact.position);
        owners.truncate(16);
        (before, owners)
    }
}

impl Neighbourhood for Places {
    fn is_member(&self) -> bool {
        self.ring.len() > 1
    }

    fn nodes(&self) -> usize {
        1
    }

    fn position(&self, _: usize) -> Position {
        self.me.position
    }

    fn successors(&self, _: usize) -> &[Contact] {
        &self.after
    }

    fn before(&self, _: usize) -> Position {
        self.before
    }

    fn node_of(&self, key: Position) -> Option<usize> {
        self.me.position.owns(self.before, key).then_some(0)
    }
}

enum Item {
    Message(PeerId, PeerId, KeepMessage),
    Located(PeerId, u64, Position),
    Fetched(PeerId, BlockId, Vec<PeerId>),
}

/// What a peer has besides its `Keep`.
#[derive(Default, Clone)]
pub(super) struct Disk {
    pub(super) saved: KeepSaved,
    pub(super) here: BTreeSet<BlockId>,
}

pub(super) struct Bench {
    pub(super) now: Timestamp,
    pub(super) nodes: BTreeMap<PeerId, Keep>,
    pub(super) disks: BTreeMap<PeerId, Disk>,
    /// How far each one's clock is off, seconds.
    pub(super) skews: BTreeMap<PeerId, i64>,
    /// Peers that say that they have what they have not.
    pub(super) liars: BTreeSet<PeerId>,
    pub(super) events: Vec<(PeerId, KeepEvent)>,
    pub(super) sent: u64,
    pub(super) config: Config,
    queue: BTreeMap<(Timestamp, u64), Item>,
    /// What each peer sees of the ring, until somebody comes or goes.
    known: BTreeMap<PeerId, Rc<Places>>,
    seq: u64,
}

impl Bench {
    pub(super) fn new(peers: u8, config: Config) -> Self {
        let mut bench = Self {
            now: Timestamp::ZERO,
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            skews: BTreeMap::new(),
            liars: BTreeSet::new(),
            events: Vec::new(),
            sent: 0,
            config,
            queue: BTreeMap::new(),
            known: BTreeMap::new(),
            seq: 0,
        };
        for n in 0..peers {
            bench.start(peer(n));
        }
        bench
    }

    pub(super) fn places(&mut self, me: PeerId) -> Rc<Places> {
        let alive = self.nodes.keys().copied();
        let known = self.known.entry(me);
        Rc::clone(known.or_insert_with(|| Rc::new(Places::new(me, alive))))
    }

    /// A peer comes, with what it had on its disk if it was here before.
    pub(super) fn start(&mut self, id: PeerId) {
        let mut seed = [0; 8];
        seed.copy_from_slice(&id.as_bytes()[..8]);
        let rng = seeded_rng(u64::from_le_bytes(seed) ^ self.now.as_micros());
        let mut keep = Keep::new(id, self.config.clone(), rng);
        keep.set_wall_time(self.now, self.clock_of(id));
        self.nodes.insert(id, keep);
        self.known.clear();
        if let Some(disk) = self.disks.get(&id).cloned() {
            let command = KeepCommand::Restore {
                saved: Box::new(disk.saved),
                here: disk.here.into_iter().collect(),
            };
            self.command(id, command);
        }
        self.disks.entry(id).or_default();
        self.on_neighbourhood();
    }

    /// A peer goes without a word.
    pub(super) fn stop(&mut self, id: PeerId) {
        self.nodes.remove(&id);
        self.known.clear();
        self.on_neighbourhood();
    }

    fn on_neighbourhood(&mut self) {
        for keep in self.nodes.values_mut() {
            keep.on_neighbourhood(self.now);
        }
    }

    fn clock_of(&self, id: PeerId) -> WallTime {
        let passed = (self.now - Timestamp::ZERO).as_secs();
        let skew = self.skews.get(&id).copied().unwrap_or(0);
        WallTime::from_unix_seconds((BEGINNING + passed).checked_add_signed(skew).unwrap())
    }

    pub(super) fn command(&mut self, to: PeerId, command: KeepCommand) {
        let places = self.places(to);
        let now = self.now;
        let keep = self.nodes.get_mut(&to).expect("it is there");
        keep.handle_command(now, command, &*places);
        self.drain(to);
    }

    pub(super) fn message(&mut self, from: PeerId, to: PeerId, message: KeepMessage) {
        let places = self.places(to);
        let now = self.now;
        if let Some(keep) = self.nodes.get_mut(&to) {
            keep.handle_message(now, from, message, &*places);
            self.drain(to);
        } else if let Some(keep) = self.nodes.get_mut(&from) {
            keep.on_unreachable(now, to);
            self.drain(from);
        }
    }

    fn push(&mut self, after: Duration, item: Item) {
        self.seq += 1;
        self.queue.insert((self.now + after, self.seq), item);
    }

    fn drain(&mut self, id: PeerId) {
        while let Some(output) = self.nodes.get_mut(&id).and_then(Keep::poll) {
            match output {
                KeepOutput::Send { to, message } => {
                    use gannet_base::wire::{Decoded, decode, encode};
                    assert_ne!(to.peer, id, "nobody sends to itself");
                    let decoded = decode::<KeepMessage>(&encode(&message));
                    assert_eq!(decoded, Ok(Decoded::Message(message.clone())));
                    self.sent += 1;
                    let item = Item::Message(id, to.peer, message);
                    self.push(Duration::from_millis(20), item);
                }
                KeepOutput::Locate { id: lookup, key } => {
                    self.push(Duration::from_millis(60), Item::Located(id, lookup, key));
                }
                KeepOutput::Event(event) => self.on_event(id, event),
            }
        }
    }

    fn on_event(&mut self, id: PeerId, event: KeepEvent) {
        match &event {
            KeepEvent::Fetch { block, from, .. } => {
                let from = from.iter().map(|from| from.peer).collect();
                self.push(Duration::from_secs(1), Item::Fetched(id, *block, from));
            }
            KeepEvent::Drop { block, .. } => {
                self.disks.entry(id).or_default().here.remove(block);
            }
            KeepEvent::Changed => {
                let saved = self.nodes.get(&id).map(Keep::saved).unwrap_or_default();
                self.disks.entry(id).or_default().saved = saved;
            }
            KeepEvent::Prove {
                id: number,
                content,
                groups,
                nonce,
                prover,
            } => {
                // The bytes of a group are its number.
                let bytes = [content.as_bytes().as_slice(), &groups.start.to_le_bytes()].concat();
                let mut digest = proof(*nonce, *prover, &bytes);
                if self.liars.contains(&id) && *prover == id {
                    digest[0] ^= 1;
                }
                let (id, number) = (id, *number);
                self.events.push((id, event));
                let command = KeepCommand::Proof {
                    id: number,
                    proof: Some(digest),
                };
                self.command(id, command);
                return;
            }
            _ => {}
        }
        self.events.push((id, event));
    }

    /// Who has a block on its disk, here or away.
    pub(super) fn on_disk(&self, block: BlockId) -> Vec<PeerId> {
        let disks = self.disks.iter();
        let have = disks.filter(|(_, disk)| disk.here.contains(&block));
        have.map(|(id, _)| *id).collect()
    }

    /// Who is online and has a block.
    pub(super) fn online_with(&self, block: BlockId) -> Vec<PeerId> {
        let mut have = self.on_disk(block);
        have.retain(|id| self.nodes.contains_key(id));
        have
    }

    fn fetched(&mut self, id: PeerId, block: BlockId, from: &[PeerId]) {
        if !self.nodes.contains_key(&id) {
            return;
        }
        let has = |from: &PeerId| {
            let keeper = self
                .nodes
                .get(from)
                .is_some_and(|keep| keep.kept.contains_key(&block.content));
            keeper || self.online_with(block).contains(from)
        };
        if from.iter().any(has) {
            self.disks.entry(id).or_default().here.insert(block);
            self.command(id, KeepCommand::Held(block));
        } else {
            self.command(id, KeepCommand::FetchFailed(block));
        }
    }

    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let deadlines = self.nodes.iter();
            let deadlines = deadlines.filter_map(|(id, keep)| Some((keep.next_deadline()?, *id)));
            let timer = deadlines.min().map(|(at, id)| (at.max(self.now), id));
            let item = self.queue.keys().next().copied();
            match (item, timer) {
                (Some((at, seq)), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = at;
                    match self.queue.remove(&(at, seq)) {
                        Some(Item::Message(from, to, message)) => self.message(from, to, message),
                        Some(Item::Located(id, lookup, key)) => self.located(id, lookup, key),
                        Some(Item::Fetched(id, block, from)) => self.fetched(id, block, &from),
                        None => {}
                    }
                }
                (_, Some((at, id))) if at <= end => {
                    self.now = at;
                    let places = self.places(id);
                    if let Some(keep) = self.nodes.get_mut(&id) {
                        keep.handle_timeout(at, &*places);
                        let next = keep.next_deadline();
                        assert!(next.is_none_or(|next| next > at), "it does what is due");
                    }
                    self.drain(id);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn located(&mut self, id: PeerId, lookup: u64, key: Position) {
        let places = self.places(id);
        let found = Some(places.located(key));
        let now = self.now;
        if let Some(keep) = self.nodes.get_mut(&id) {
            keep.on_located(now, lookup, found, &*places);
            self.drain(id);
        }
    }

    /// The last thing that was said of an own file.
    pub(super) fn status(&self, id: PeerId) -> Option<KeepStatus> {
        let said = self.events.iter().rev();
        let mut said = said.filter_map(|(who, event)| match event {
            KeepEvent::Status(status) if *who == id => Some(*status),
            _ => None,
        });
        said.next()
    }
}
