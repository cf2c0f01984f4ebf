//! What goes wrong between peers.

/// What may happen to a message, each per mille of messages and independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Never arrive.
    pub loss: u16,
    /// Arrive twice, the second time late.
    pub duplication: u16,
    /// Are held up for as much as ten times their latency, and overtaken.
    pub reordering: u16,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
    };

    /// Whether nothing goes wrong.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// In which direction a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes either way.
    Both,
    /// What the inside says does not come out; it hears the outside.
    Mute,
    /// The inside hears nothing; what it says comes out.
    Deaf,
}

/// A set of peers cut off from the others.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// One bit for each peer.
    inside: Vec<u64>,
    cut: Cut,
}

impl Partition {
    pub(crate) fn new(nodes: impl IntoIterator<Item = u32>, cut: Cut) -> Self {
        let mut inside = Vec::new();
        for node in nodes {
            let (word, bit) = place(node);
            if inside.len() <= word {
                inside.resize(word + 1, 0);
            }
            inside[word] |= bit;
        }
        Self { inside, cut }
    }

    fn has(&self, node: u32) -> bool {
        let (word, bit) = place(node);
        self.inside.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Whether a message from one to the other is lost.
    pub(crate) fn stops(&self, from: u32, to: u32) -> bool {
        match (self.has(from), self.has(to)) {
            (true, false) => self.cut != Cut::Deaf,
            (false, true) => self.cut != Cut::Mute,
            _ => false,
        }
    }
}

fn place(node: u32) -> (usize, u64) {
    let word = usize::try_from(node / 64).unwrap_or(usize::MAX);
    (word, 1 << (node % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_symmetric_or_one_way() {
        let table = [
            (Cut::Both, [true, true]),
            (Cut::Mute, [true, false]),
            (Cut::Deaf, [false, true]),
        ];
        for (cut, expected) in table {
            let partition = Partition::new([3, 100], cut);
            assert_eq!([partition.stops(3, 4), partition.stops(4, 3)], expected);
            assert_eq!(
                [partition.stops(100, 1_000), partition.stops(1_000, 100)],
                expected
            );
            assert!(!partition.stops(3, 100) && !partition.stops(4, 5));
        }
    }
}
