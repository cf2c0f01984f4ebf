//! What becomes of what cores want done.

use std::time::Duration;

use gannet_base::{Core, PeerId, Rng, Timestamp, seeded_rng};
use rand_core::Rng as _;

use super::happening::Happening;
use super::pipes::Pipes;
use super::wires::Wires;
use super::{App, Stats};
use crate::faults::Partition;
use crate::{Calendar, Fingerprint, LinkModel, Mode, node_of};

/// Everything but the cores and what is above them.
pub(super) struct Net<C: Core> {
    pub(super) now: Timestamp,
    pub(super) queue: Calendar<Happening<C>>,
    pub(super) model: LinkModel,
    pub(super) partitions: Vec<Partition>,
    pub(super) wires: Wires,
    pub(super) pipes: Pipes,
    pub(super) stats: Stats,
    pub(super) fingerprint: Fingerprint,
    pub(super) nodes: u32,
    seed: u64,
    rng: Rng,
}

impl<C> Net<C>
where
    C: Core,
{
    pub(super) fn new(seed: u64, model: LinkModel) -> Self {
        Self {
            now: Timestamp::ZERO,
            queue: Calendar::new(),
            partitions: Vec::new(),
            wires: Wires::default(),
            pipes: Pipes::new(model.bandwidth, model.queue_bytes_max),
            model,
            stats: Stats::default(),
            fingerprint: Fingerprint::default(),
            nodes: 0,
            seed,
            rng: seeded_rng(seed),
        }
    }

    /// Notes that a core is given something.
    pub(super) fn count(&mut self, from: u32, to: u32, kind: u16) {
        self.stats.events += 1;
        let ends = u64::from(from) << 32 | u64::from(to);
        let when = self.now.as_micros() ^ u64::from(kind) << 48;
        self.fingerprint.add(when, ends);
    }

    pub(super) fn latency(&self, a: u32, b: u32) -> Duration {
        self.model.latency.between(self.seed, a, b)
    }

    /// Evenly from zero to `most`.
    fn draw(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let drawn = (u128::from(self.rng.next_u64()) * (u128::from(micros) + 1)) >> 64;
        Duration::from_micros(u64::try_from(drawn).unwrap_or(u64::MAX))
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.rng.next_u64() % 1_000 < u64::from(per_mille)
    }

    pub(super) fn is_cut(&self, from: u32, to: u32) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.any(|partition| partition.stops(from, to))
    }

    pub(super) fn known(&self, peer: PeerId) -> Option<u32> {
        node_of(peer).filter(|node| *node < self.nodes)
    }

    /// Whether a message that has come belongs to a link that still is.
    pub(super) fn carries(&mut self, from: u32, to: u32, epoch: u32) -> bool {
        self.model.mode == Mode::Open
            || self
                .wires
                .end(to, from)
                .is_some_and(|end| end.epoch == epoch)
    }
}

impl<C> Net<C>
where
    C: Core,
    C::Message: Clone,
{
    /// Sends a message, or loses it as the faults have it.
    pub(super) fn send<A: App<C>>(
        &mut self,
        app: &A,
        from: u32,
        peer: PeerId,
        message: C::Message,
    ) {
        let Some(to) = self.known(peer) else {
            self.stats.unheard += 1;
            return;
        };
        let epoch = match self.model.mode {
            Mode::Open => 0,
            Mode::Connected => match self.wires.end(from, to) {
                Some(end) if end.told => end.epoch,
                _ => {
                    self.stats.unheard += 1;
                    return;
                }
            },
        };
        let size = app.size(&message);
        self.stats.messages += 1;
        self.stats.bytes += u64::from(size);
        let mut leaves = self.now;
        if self.pipes.limited() {
            match self.pipes.send(from, self.now, size) {
                Some(at) => leaves = at,
                None => {
                    self.stats.overflowed += 1;
                    return;
                }
            }
        }
        if !self.partitions.is_empty() && self.is_cut(from, to) {
            self.stats.cut += 1;
            return;
        }
        let faults = self.model.faults;
        if faults.is_none() {
            self.carry(from, to, epoch, message, leaves, false);
            return;
        }
        if self.chance(faults.loss) {
            self.stats.lost += 1;
            return;
        }
        if self.chance(faults.duplication) {
            self.carry(from, to, epoch, message.clone(), leaves, true);
        }
        let late = self.chance(faults.reordering);
        self.carry(from, to, epoch, message, leaves, late);
    }

    fn carry(
        &mut self,
        from: u32,
        to: u32,
        epoch: u32,
        message: C::Message,
        leaves: Timestamp,
        late: bool,
    ) {
        let mut takes = if self.model.redrawn {
            let seed = self.rng.next_u64();
            self.model.latency.between(seed, from, to)
        } else {
            self.latency(from, to)
        };
        if self.model.jitter > Duration::ZERO {
            takes += self.draw(self.model.jitter);
        }
        if late {
            takes += self.draw(takes.saturating_mul(9));
        }
        let mut at = leaves + takes;
        if !late && self.model.mode == Mode::Connected {
            at = self.in_order(from, to, at);
        }
        let happening = if self.pipes.limited() {
            Happening::Queued {
                from,
                to,
                epoch,
                message,
            }
        } else {
            Happening::Message {
                from,
                to,
                epoch,
                message,
            }
        };
        self.queue.push(at, happening);
    }
}
