//! Tables on their way between neighbours.

use std::sync::Arc;

use super::{Table, gaps, positions};
use crate::flood::message::{PATCH_BYTES_MAX, Patch, TABLE_BITS};

/// After so many changes a table is sent anew: a patch that was lost is made
/// good for some day.
// Guess: costs a few per cent of what the changes cost.
const UPDATES_MAX: u8 = 32;

/// Why a patch is refused: its sender breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// The flips do not decode: only a broken or hostile peer sends such.
    #[error("the flips do not decode")]
    Code,
    /// A slot lies outside the table: only a broken or hostile peer names one.
    #[error("a slot lies outside a table of {slots}")]
    Position {
        /// Slots of the table.
        slots: u32,
    },
    /// The table would be larger or smaller than the protocol allows.
    #[error("a table of 2^{bits} slots is not allowed")]
    Bits {
        /// What was asked for.
        bits: u8,
    },
    /// The patch is longer than [`PATCH_BYTES_MAX`].
    #[error("a patch of {bytes} bytes is too long")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

/// The sending end: what one neighbour knows of our table, and what is on its
/// way there. Cheap: tables are shared between neighbours.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// What the neighbour has; nothing before the first, and while a table is
    /// sent anew.
    known: Option<Arc<Table>>,
    /// What it is to have.
    wanted: Option<Arc<Table>>,
    /// What is being sent.
    going: Option<Going>,
    sequence: u32,
    /// Changes since the table was last sent anew.
    updates: u8,
}

#[derive(Debug)]
struct Going {
    target: Arc<Table>,
    /// The first slot that was not looked at yet.
    from: u32,
    /// Of the code.
    k: u8,
    /// Whether the next patch begins anew.
    reset: bool,
}

impl Outgoing {
    /// Says which table the neighbour is to have. What is being sent is
    /// finished first.
    pub(crate) fn aim(&mut self, table: Arc<Table>) {
        self.wanted = Some(table);
    }

    /// Whether nothing is left to send.
    pub(crate) fn is_done(&self) -> bool {
        self.going.is_none() && self.wanted.is_none()
    }

    /// The next piece, to be sent before the next call; nothing when done. The
    /// caller paces: pieces are up to [`PATCH_BYTES_MAX`] long.
    pub(crate) fn next_patch(&mut self) -> Option<Patch> {
        let going = match self.going.take() {
            Some(going) => going,
            None => self.start()?,
        };
        let (patch, rest) = going.patch(self.known.as_deref(), self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        match rest {
            Some(rest) => self.going = Some(rest),
            None => self.known = Some(going.target),
        }
        Some(patch)
    }

    /// Begins with the wanted table, if the neighbour does not have it.
    fn start(&mut self) -> Option<Going> {
        let target = self.wanted.take()?;
        if let Some(known) = &self.known
            && known.bits == target.bits
            && self.updates < UPDATES_MAX
        {
            let flips = positions::merge(known.positions(0), target.positions(0)).count();
            let flips = u32::try_from(flips).expect("a table has fewer than 2^32 slots");
            if flips == 0 {
                return None;
            }
            if flips < target.set {
                self.updates += 1;
                return Some(Going::new(target, flips, false));
            }
        }
        self.known = None;
        self.updates = 0;
        let set = target.set;
        Some(Going::new(target, set, true))
    }
}

impl Going {
    fn new(target: Arc<Table>, flips: u32, reset: bool) -> Self {
        Self {
            k: gaps::suiting(flips, target.slots_all()),
            target,
            from: 0,
            reset,
        }
    }

    /// One piece, and what comes behind it.
    fn patch(&self, known: Option<&Table>, sequence: u32) -> (Patch, Option<Self>) {
        let target = self.target.positions(self.from);
        let (flips, next) = match known {
            Some(known) => {
                let flips = positions::merge(known.positions(self.from), target);
                gaps::encode(flips, self.k, PATCH_BYTES_MAX)
            }
            None => gaps::encode(target, self.k, PATCH_BYTES_MAX),
        };
        let patch = Patch {
            sequence,
            reset: self.reset.then_some(self.target.bits),
            last: next.is_none(),
            flips,
        };
        let rest = next.map(|from| Self {
            target: Arc::clone(&self.target),
            from,
            k: self.k,
            reset: false,
        });
        (patch, rest)
    }
}

/// The receiving end: a neighbour's table as its patches make it.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// Nothing before the first reset, and after a patch was lost.
    table: Option<Table>,
    whole: bool,
    /// The number that the next patch must have, if it is not a reset.
    next: u32,
}

impl Incoming {
    /// Takes a patch. Time and memory are in proportion to its length, the
    /// memory in all at most [`Table::BYTES_MAX`]. A patch that does not follow
    /// the one before it loses the table until the next reset; that is no
    /// error, links lose messages.
    ///
    /// # Errors
    ///
    /// If the neighbour breaks the protocol. The table is lost then.
    pub(crate) fn apply(&mut self, patch: &Patch) -> Result<(), PatchError> {
        let applied = self.try_apply(patch);
        if applied.is_err() {
            *self = Self::default();
        }
        applied
    }

    fn try_apply(&mut self, patch: &Patch) -> Result<(), PatchError> {
        let bytes = patch.flips.len();
        if bytes > PATCH_BYTES_MAX {
            return Err(PatchError::TooLong { bytes });
        }
        self.whole = false;
        match patch.reset {
            Some(bits) if TABLE_BITS.contains(&bits) => self.table = Some(Table::empty(bits)),
            Some(bits) => return Err(PatchError::Bits { bits }),
            None if patch.sequence != self.next => self.table = None,
            None => {}
        }
        self.next = patch.sequence.wrapping_add(1);
        if let Some(table) = &mut self.table {
            let flips = gaps::decode(&patch.flips, table.slots_all())?;
            table.flip(&flips);
            self.whole = patch.last;
        }
        Ok(())
    }

    /// The table, if it is known, whole, and worth asking: one that is more
    /// than half full is not.
    pub(crate) fn whole(&self) -> Option<&Table> {
        let table = self.table.as_ref().filter(|_| self.whole)?;
        (!table.is_crowded()).then_some(table)
    }

    /// Bytes that it takes besides itself.
    pub(crate) fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, Table::bytes)
    }
}
