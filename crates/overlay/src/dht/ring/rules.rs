//! Chord that is correct: what its operations do to the pointers of a node.
//!
//! **Problem.** No published version of Chord keeps its ring in one piece under
//! joins and failures.
//!
//! **Goals.** The operations of the corrected protocol, each as one atomic step on
//! the pointers of one node, with no messages, no time and no other state: the
//! running overlay and an exhaustive model checker call the same functions.
//!
//! **Non-goals.** When an operation is begun, how another node is read, how its
//! death is told from silence.
//!
//! **Invariant.** With at least r + 1 nodes in ideal order to begin with, at most
//! as many failures as leave every node a live successor and r + 1 nodes that no
//! list skips, and no false report of a death, the nodes stay one ordered ring.
//!
//! Source: Zave, *Reasoning about Identifier Spaces: How to Make Chord Correct*,
//! 2017, sections 4 and 5. Deviation: a list ends where it comes round to its own
//! node (`adopt`, below); with r + 1 nodes that no list skips it never does.

use crate::dht::position::Position;

/// An entry of a list: a node, or a place that is known to be nobody's.
pub trait Node: Clone + PartialEq {
    /// Where it is.
    fn position(&self) -> Position;

    /// The entry that stands for nobody, just after this one. (Where places are so
    /// few that somebody is there, that is no harm: it skips nobody.)
    fn padding_after(&self) -> Self;
}

/// Whether `x` lies strictly between `a` and `b`, going clockwise.
pub fn between<N: Node>(a: &N, x: &N, b: &N) -> bool {
    x.position().is_between(a.position(), b.position())
}

/// What a node knows of the ring: all that the proof is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointers<N> {
    /// The node itself.
    pub me: N,
    /// The nodes after it, nearest first: always as many as the ring's r.
    pub successors: Vec<N>,
    /// The node before it; itself if it knows of none.
    pub predecessor: N,
    /// Half of a stabilisation was done: this node is to be asked next.
    pub saved: Option<N>,
    /// Of those that said that they may be the predecessor, the one that lies
    /// nearest; to be looked at by [`Pointers::rectify`].
    pub candidate: Option<N>,
}

/// What a node tells of itself when it is asked: read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a, N> {
    /// Who answers.
    pub node: &'a N,
    /// Its predecessor; itself if it knows of none.
    pub predecessor: &'a N,
    /// Its successors.
    pub successors: &'a [N],
}

/// What follows a step of stabilisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use]
pub enum Next<N> {
    /// Tell this node that it may have a new predecessor. The operation is over.
    Notify(N),
    /// Ask this node, which is now [`Pointers::saved`].
    Ask(N),
}

impl<N: Node> Pointers<N> {
    /// The ideal pointers of the node at `place` of `members`, which are in circular
    /// order, without repetition. With at least r + 1 members this is a ring to begin
    /// with; with fewer, the lists are padded.
    ///
    /// # Panics
    ///
    /// If `place` is beyond the end, or `r` is 0.
    pub fn ideal(members: &[N], place: usize, r: usize) -> Self {
        assert!(r > 0, "a list has at least one entry");
        let count = members.len();
        let me = members[place].clone();
        let others = (1..count).map(|step| members[(place + step) % count].clone());
        let mut pointers = Self {
            successors: others.take(r).collect(),
            predecessor: members[(place + count - 1) % count].clone(),
            me,
            saved: None,
            candidate: None,
        };
        pointers.pad(r);
        pointers
    }

    /// What others read.
    pub fn view(&self) -> View<'_, N> {
        View {
            node: &self.me,
            predecessor: &self.predecessor,
            successors: &self.successors,
        }
    }

    /// Whether `newcomer` can join right after this node.
    pub fn may_precede(&self, newcomer: &N) -> bool {
        between(&self.me, newcomer, &self.successors[0])
    }

    /// Join: the pointers of `me` after it has asked `member`, which
    /// [may precede](Self::may_precede) it. The whole list at once.
    pub fn joined(me: N, member: View<'_, N>) -> Self {
        let r = member.successors.len();
        let mut pointers = Self {
            predecessor: member.node.clone(),
            successors: Vec::with_capacity(r),
            saved: None,
            candidate: None,
            me,
        };
        pointers.extend(member.successors.iter(), r);
        pointers.pad(r);
        pointers
    }

    /// Whether a stabilisation may begin.
    pub fn may_stabilise(&self) -> bool {
        self.saved.is_none()
    }

    /// `StabilizeFromSuccessor`: the first successor answered.
    pub fn on_successor_answer(&mut self, answer: View<'_, N>) -> Next<N> {
        let (node, before) = (answer.node, answer.predecessor);
        self.adopt(answer);
        if before != node && between(&self.me, before, node) {
            self.saved = Some(before.clone());
            return Next::Ask(before.clone());
        }
        Next::Notify(node.clone())
    }

    /// `StabilizeFromSuccessor`: the first successor is dead.
    pub fn on_successor_dead(&mut self) -> Next<N> {
        let r = self.successors.len();
        if r == 1 {
            // The next one after it would be padding anyway.
            self.successors[0] = self.successors[0].padding_after();
        } else {
            self.successors.remove(0);
            self.pad(r);
        }
        Next::Notify(self.successors[0].clone())
    }

    /// `StabilizeFromPredecessor`: the [saved](Self::saved) node answered.
    pub fn on_saved_answer(&mut self, answer: View<'_, N>) -> Next<N> {
        self.saved = None;
        self.adopt(answer);
        Next::Notify(self.successors[0].clone())
    }

    /// `StabilizeFromPredecessor`: the [saved](Self::saved) node is dead.
    pub fn on_saved_dead(&mut self) -> Next<N> {
        self.saved = None;
        Next::Notify(self.successors[0].clone())
    }

    /// Somebody may be the predecessor: kept for [`Self::rectify`], unless a better
    /// one is kept already.
    pub fn on_notify(&mut self, from: N) {
        let is_better = match &self.candidate {
            Some(kept) => between(kept, &from, &self.me),
            None => from != self.me,
        };
        if is_better {
            self.candidate = Some(from);
        }
    }

    /// Whether [`Self::rectify`] depends on the predecessor being alive.
    pub fn is_predecessor_in_doubt(&self) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| {
            *candidate != self.predecessor && !between(&self.predecessor, candidate, &self.me)
        })
    }

    /// `Rectify`: looks at the candidate. Whether the predecessor changed.
    pub fn rectify(&mut self, predecessor_lives: bool) -> bool {
        let in_doubt = self.is_predecessor_in_doubt();
        let Some(candidate) = self.candidate.take() else {
            return false;
        };
        if candidate == self.predecessor || (in_doubt && predecessor_lives) {
            return false;
        }
        self.predecessor = candidate;
        true
    }

    /// Merge: a node of a ring that was apart, just asked, lies between this one and
    /// its first successor: it becomes that successor. Whether it did.
    // Source: after Shafaat, Ghodsi, Haridi, Dealing with network partitions in
    // structured overlay networks, 2009: both steps end so.
    pub fn merge(&mut self, answer: View<'_, N>) -> Option<Next<N>> {
        if !self.may_stabilise() || !between(&self.me, answer.node, &self.successors[0]) {
            return None;
        }
        self.adopt(answer);
        Some(Next::Notify(self.successors[0].clone()))
    }

    /// Takes over the list of a node that was just asked, and puts the node before it.
    /// Ends where the list comes round to this node, or goes back: what follows would
    /// be padding to the end.
    fn adopt(&mut self, answer: View<'_, N>) {
        let r = self.successors.len();
        self.successors.clear();
        self.extend(std::iter::once(answer.node).chain(answer.successors), r);
        self.pad(r);
    }

    fn extend<'a>(&mut self, entries: impl Iterator<Item = &'a N>, r: usize)
    where
        N: 'a,
    {
        let here = self.me.position();
        let mut reached = 0;
        for entry in entries {
            let distance = here.distance_to(entry.position());
            if self.successors.len() == r || distance <= reached {
                // The newcomer itself may head the list, if it was here before.
                if distance == 0 && self.successors.is_empty() {
                    continue;
                }
                break;
            }
            reached = distance;
            self.successors.push(entry.clone());
        }
    }

    fn pad(&mut self, r: usize) {
        while self.successors.len() < r {
            let last = self.successors.last().unwrap_or(&self.me);
            self.successors.push(last.padding_after());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of a space with 8 places.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Id(u8);

    impl Node for Id {
        fn position(&self) -> Position {
            Position(self.0.into())
        }

        fn padding_after(&self) -> Self {
            Self((self.0 + 1) % 8)
        }
    }

    fn ring(members: &[u8], r: usize) -> Vec<Pointers<Id>> {
        let members: Vec<Id> = members.iter().copied().map(Id).collect();
        let places = 0..members.len();
        places
            .map(|place| Pointers::ideal(&members, place, r))
            .collect()
    }

    #[test]
    fn an_ideal_ring_stays_as_it_is() {
        let nodes = ring(&[0, 2, 5, 7], 3);
        for (place, node) in nodes.iter().enumerate() {
            let next = &nodes[(place + 1) % 4];
            let mut after = node.clone();
            assert_eq!(
                after.on_successor_answer(next.view()),
                Next::Notify(next.me)
            );
            assert_eq!(after, *node);
            let mut notified = next.clone();
            notified.on_notify(node.me);
            assert!(!notified.is_predecessor_in_doubt() && !notified.rectify(false));
            assert_eq!(notified, *next);
        }
    }

    #[test]
    fn a_newcomer_is_found_by_both_neighbours() {
        let mut nodes = ring(&[0, 2, 5], 2);
        assert!(nodes[1].may_precede(&Id(3)) && !nodes[0].may_precede(&Id(3)));
        let mut newcomer = Pointers::joined(Id(3), nodes[1].view());
        assert_eq!(newcomer.successors, [Id(5), Id(0)]);
        assert_eq!(newcomer.predecessor, Id(2));
        assert_eq!(
            newcomer.on_successor_answer(nodes[2].view()),
            Next::Notify(Id(5))
        );
        nodes[2].on_notify(Id(3));
        assert!(nodes[2].rectify(true), "it is nearer");
        let five = nodes[2].clone();
        assert_eq!(
            nodes[1].on_successor_answer(five.view()),
            Next::Ask(Id(3)),
            "not adopted before it was asked"
        );
        assert!(!nodes[1].may_stabilise());
        assert_eq!(
            nodes[1].on_saved_answer(newcomer.view()),
            Next::Notify(Id(3))
        );
        assert_eq!(nodes[1].successors, [Id(3), Id(5)]);
    }

    #[test]
    fn the_dead_are_replaced_by_the_next_and_padding() {
        let mut node = ring(&[0, 2, 5, 6], 3).remove(0);
        assert_eq!(node.on_successor_dead(), Next::Notify(Id(5)));
        assert_eq!(node.successors, [Id(5), Id(6), Id(7)]);
        node.saved = Some(Id(3));
        assert_eq!(node.on_saved_dead(), Next::Notify(Id(5)));
        assert_eq!(node.saved, None);
    }

    #[test]
    fn a_predecessor_is_given_up_only_when_it_is_dead() {
        let mut node = ring(&[0, 2, 5], 2).remove(2);
        node.on_notify(Id(0));
        assert!(node.is_predecessor_in_doubt());
        assert!(!node.rectify(true));
        node.on_notify(Id(7));
        node.on_notify(Id(0));
        node.on_notify(Id(7));
        assert_eq!(node.candidate, Some(Id(0)), "the nearest is kept");
        assert!(node.rectify(false));
        assert_eq!(node.predecessor, Id(0));
    }

    #[test]
    fn a_list_ends_where_it_comes_round() {
        let mut nodes = ring(&[0, 4], 3);
        let four = nodes.remove(1);
        assert_eq!(four.successors, [Id(0), Id(1), Id(2)]);
        let mut zero = nodes.remove(0);
        let before = zero.clone();
        assert_eq!(zero.on_successor_answer(four.view()), Next::Notify(Id(4)));
        assert_eq!(zero, before);
    }

    #[test]
    fn rings_merge_at_the_gap() {
        let mut zero = ring(&[0, 4, 6], 2).remove(0);
        let other = ring(&[1, 3, 7], 2);
        assert_eq!(zero.merge(other[2].view()), None);
        assert_eq!(zero.merge(other[0].view()), Some(Next::Notify(Id(1))));
        assert_eq!(zero.successors, [Id(1), Id(3)]);
    }
}
