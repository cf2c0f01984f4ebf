//! Proofs that holders hold what they say.
//!
//! A responsible node that has a block itself asks another holder for a digest of a
//! part of it that only chance chooses, and makes the same digest of its own copy. Own
//! bytes are checked against the content id when they are read, so if the digests
//! differ it is the other who has not got them. Nothing but the digest is sent.

use std::collections::BTreeMap;

use gannet_base::{BlockId, GroupRange, PeerId, Timestamp};
use rand_core::Rng as _;

use super::api::KeepEvent;
use super::holding::State;
use super::message::KeepMessage;
use super::ward::Stage;
use super::{Keep, Neighbourhood};

/// Groups of a block that are proved at a time.
// Guess: 64 KiB: a cheap read, and nobody can answer who lacks a part worth mentioning
// for long.
const GROUPS: u64 = 4;
/// Checks under way at once.
const CHECKS_MAX: usize = 16;
/// Challenges of others that are being answered at once.
// Guess: each is a read.
const ANSWERS_MAX: usize = 16;
/// How long both sides may take.
// Guess: a disk that has to wake up.
const PROOF_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// What a holder that has a part of a block can say and nobody else: a digest of the
/// challenge's `nonce`, the prover, and the bytes of the groups that
/// [`KeepEvent::Prove`] names.
pub fn proof(nonce: u64, prover: PeerId, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("gannet keep proof 1");
    hasher.update(&nonce.to_le_bytes());
    hasher.update(prover.as_bytes());
    hasher.update(bytes);
    *hasher.finalize().as_bytes()
}

/// Which groups of a block of a content of `size` bytes a challenge is about.
fn challenged(nonce: u64, block: BlockId, size: u64) -> GroupRange {
    let groups = block.groups(size);
    let places = groups.len().saturating_sub(GROUPS) + 1;
    let start = groups.start + nonce % places;
    GroupRange::new(start, (start + GROUPS).min(groups.end))
}

/// A copy that is being checked.
#[derive(Debug)]
struct Check {
    nonce: u64,
    block: BlockId,
    peer: PeerId,
    until: Timestamp,
    theirs: Option<[u8; 32]>,
    /// Waits for the own digest until then.
    mine: Option<[u8; 32]>,
}

/// Checks under way, and challenges of others.
#[derive(Debug, Default)]
pub(super) struct Audits {
    checks: Vec<Check>,
    /// Event number → whom to answer, and the challenge.
    answers: BTreeMap<u64, (PeerId, u64, Timestamp)>,
    next: u64,
}

impl Keep {
    /// Checks the copy whose last proof is oldest, if it is old enough.
    pub(super) fn audit(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        self.audits.checks.retain(|check| now < check.until);
        self.audits.answers.retain(|_, (.., until)| now < *until);
        if !self.config.audits || self.audits.checks.len() >= CHECKS_MAX {
            return;
        }
        let Some((block, peer)) = self.least_proved(now, places) else {
            return;
        };
        let Some(size) = self.orders.entry(block.content).map(|entry| entry.size) else {
            return;
        };
        let nonce = self.rng.next_u64();
        self.audits.checks.push(Check {
            nonce,
            block,
            peer,
            until: now + PROOF_MAX,
            theirs: None,
            mine: None,
        });
        if let Some(holder) = self
            .wards
            .get_mut(&block)
            .and_then(|ward| ward.holder(peer))
        {
            // Asked once is enough for now, whether it answers or not.
            holder.proved = Some(now);
        }
        self.send(Self::bare(peer), KeepMessage::Challenge { nonce, block });
        // The number of an own check is its nonce; those of answers count up from 0.
        self.event(KeepEvent::Prove {
            id: nonce,
            content: block.content,
            groups: challenged(nonce, block, size),
            nonce,
            prover: peer,
        });
    }

    fn least_proved(
        &self,
        now: Timestamp,
        places: &dyn Neighbourhood,
    ) -> Option<(BlockId, PeerId)> {
        let own = |block: &BlockId| {
            let holding = self.holdings.blocks.get(block);
            holding.is_some_and(|holding| holding.state == State::Here)
        };
        let wards = self.wards.iter().filter(|(block, _)| own(block));
        let mut oldest = None;
        for (block, ward) in wards {
            let Some(node) = places.node_of(ward.key) else {
                continue;
            };
            let horizon = self.horizon(node, places);
            for holder in &ward.holders {
                let online = super::ward::Ward::sight(holder, now, &horizon, &self.config).online;
                let due = match holder.proved {
                    Some(proved) => proved + self.config.audit_interval,
                    None => holder.since,
                };
                if holder.stage == Stage::Here && holder.at.peer != self.me && online && due <= now
                {
                    let found = (due, *block, holder.at.peer);
                    oldest = Some(oldest.map_or(found, |other: (_, _, _)| other.min(found)));
                }
            }
        }
        oldest.map(|(_, block, peer)| (block, peer))
    }

    /// Somebody wants a proof.
    pub(super) fn on_challenge(
        &mut self,
        now: Timestamp,
        from: PeerId,
        nonce: u64,
        block: BlockId,
    ) {
        let here = self.holdings.blocks.get(&block);
        let here = here.filter(|holding| holding.state == State::Here);
        let size = self.orders.entry(block.content).map(|entry| entry.size);
        let (Some(_), Some(size)) = (here, size) else {
            let proof = None;
            self.send(Self::bare(from), KeepMessage::Proof { nonce, proof });
            return;
        };
        if self.audits.answers.len() >= ANSWERS_MAX {
            // No answer is not a wrong one.
            return;
        }
        let id = self.audits.next;
        self.audits.next = id.wrapping_add(1);
        let until = now + PROOF_MAX;
        self.audits.answers.insert(id, (from, nonce, until));
        self.event(KeepEvent::Prove {
            id,
            content: block.content,
            groups: challenged(nonce, block, size),
            nonce,
            prover: self.me,
        });
    }

    /// The layer above has read what it was asked to.
    pub(super) fn on_own_proof(&mut self, now: Timestamp, id: u64, proof: Option<[u8; 32]>) {
        if let Some((peer, nonce, _)) = self.audits.answers.remove(&id) {
            self.send(Self::bare(peer), KeepMessage::Proof { nonce, proof });
            return;
        }
        let Some(place) = self
            .audits
            .checks
            .iter()
            .position(|check| check.nonce == id)
        else {
            return;
        };
        match proof {
            Some(proof) => {
                if let Some(check) = self.audits.checks.get_mut(place) {
                    check.mine = Some(proof);
                }
                self.conclude(now, place);
            }
            // The own copy cannot be read: nothing can be said of others.
            None => drop(self.audits.checks.swap_remove(place)),
        }
    }

    /// A holder proves that it holds, or does not.
    pub(super) fn on_proof(
        &mut self,
        now: Timestamp,
        from: PeerId,
        nonce: u64,
        proof: Option<[u8; 32]>,
    ) {
        let own = |check: &Check| check.nonce == nonce && check.peer == from;
        let Some(place) = self.audits.checks.iter().position(own) else {
            return;
        };
        match proof {
            Some(proof) => {
                if let Some(check) = self.audits.checks.get_mut(place) {
                    check.theirs = Some(proof);
                }
                self.conclude(now, place);
            }
            None => {
                let check = self.audits.checks.swap_remove(place);
                self.disbelieve(now, check.block, from);
            }
        }
    }

    fn conclude(&mut self, now: Timestamp, place: usize) {
        let Some(check) = self.audits.checks.get(place) else {
            return;
        };
        let (Some(mine), Some(theirs)) = (check.mine, check.theirs) else {
            return;
        };
        let check = self.audits.checks.swap_remove(place);
        if mine != theirs {
            self.disbelieve(now, check.block, check.peer);
        }
    }

    /// A copy is none.
    fn disbelieve(&mut self, now: Timestamp, block: BlockId, peer: PeerId) {
        let until = now + 2 * self.config.audit_interval;
        if let Some(ward) = self.wards.get_mut(&block) {
            ward.refuse(peer, until, true);
            self.disbelieved += 1;
            self.dirty.insert(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::{BLOCK_BYTES, ContentId};

    use super::*;

    #[test]
    fn challenges_stay_within_the_block() {
        let content = ContentId::of(b"x");
        for size in [
            0,
            1,
            50_000,
            BLOCK_BYTES - 1,
            BLOCK_BYTES,
            3 * BLOCK_BYTES + 70_000,
        ] {
            for index in 0..BlockId::count(size) {
                let block = BlockId { content, index };
                for nonce in [0, 1, 7, 1_000, u64::MAX] {
                    let groups = challenged(nonce, block, size);
                    assert!(!groups.is_empty() && groups.len() <= GROUPS);
                    assert_eq!(groups.intersection(block.groups(size)), groups);
                }
            }
        }
    }

    #[test]
    fn a_proof_cannot_be_passed_on() {
        let (a, b) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let proofs = [
            proof(1, a, b"bytes"),
            proof(2, a, b"bytes"),
            proof(1, b, b"bytes"),
            proof(1, a, b"other"),
        ];
        let mut different = proofs.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), proofs.len());
        assert_eq!(proof(1, a, b"bytes"), proofs[0]);
    }
}
