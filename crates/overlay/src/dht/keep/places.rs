//! The ring around this peer, as keeping sees it.

use super::Neighbourhood;
use crate::dht::position::Position;
use crate::dht::ring::Contact;
use crate::dht::store::Around;

impl Neighbourhood for Vec<Around> {
    fn is_member(&self) -> bool {
        self.iter().any(|node| !node.successors.is_empty())
    }

    fn nodes(&self) -> usize {
        self.len()
    }

    fn position(&self, node: usize) -> Position {
        self.get(node)
            .map_or_else(Position::default, |node| node.me.position)
    }

    fn successors(&self, node: usize) -> &[Contact] {
        self.get(node).map_or(&[], |node| &node.successors)
    }

    fn before(&self, node: usize) -> Position {
        let node = self.get(node);
        let before = node.and_then(|node| node.predecessor.as_ref());
        let before = before.or(node.map(|node| &node.me));
        before.map_or_else(Position::default, |before| before.position)
    }

    fn node_of(&self, key: Position) -> Option<usize> {
        self.iter().position(|node| node.owns(key))
    }
}
