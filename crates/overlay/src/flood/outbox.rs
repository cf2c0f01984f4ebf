//! What is to be done, oldest first.

use std::collections::VecDeque;

use gannet_base::{Output, PeerId};

use super::api::FloodEvent;
use super::message::{Ask, FloodMessage};
use super::neighbours::Neighbours;
use super::slots::SlotSet;

type Done = Output<FloodMessage, FloodEvent>;

/// One question to several neighbours takes one entry: it is copied when it is
/// taken out.
#[derive(Debug)]
enum Pending {
    Output(Done),
    Copies(Copies),
}

#[derive(Debug)]
struct Copies {
    ask: Ask,
    to: SlotSet,
    /// Neighbours that had joined when it was put in.
    serial: u32,
}

/// A queue. Most inputs cause one or two outputs: those need no memory of their
/// own.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The oldest two; the second may outlast the first.
    first: Option<Pending>,
    second: Option<Pending>,
    /// Empty unless the second is there or was.
    more: VecDeque<Pending>,
}

impl Outbox {
    pub(crate) fn send(&mut self, to: PeerId, message: FloodMessage) {
        self.put(Output::Send { to, message });
    }

    pub(crate) fn event(&mut self, event: FloodEvent) {
        self.put(Output::Event(event));
    }

    pub(crate) fn put(&mut self, output: Done) {
        self.push(Pending::Output(output));
    }

    /// A copy for each of these neighbours.
    pub(crate) fn copies(&mut self, ask: Ask, to: SlotSet, neighbours: &Neighbours) {
        let serial = neighbours.joined();
        self.push(Pending::Copies(Copies { ask, to, serial }));
    }

    fn push(&mut self, pending: Pending) {
        if !self.more.is_empty() {
            self.more.push_back(pending);
        } else if self.second.is_some() {
            // Memory that is hardly ever needed is given back.
            self.more = VecDeque::from([pending]);
        } else if self.first.is_some() {
            self.second = Some(pending);
        } else {
            self.first = Some(pending);
        }
    }

    pub(crate) fn pop(&mut self, neighbours: &Neighbours) -> Option<Done> {
        loop {
            let oldest = match (&mut self.first, &mut self.second) {
                (first @ Some(_), _) => first,
                (None, second @ Some(_)) => second,
                (None, None) => {
                    self.second = self.more.pop_front();
                    if self.second.is_none() {
                        if self.more.capacity() > 0 {
                            self.more = VecDeque::new();
                        }
                        return None;
                    }
                    continue;
                }
            };
            match oldest.take() {
                Some(Pending::Output(output)) => return Some(output),
                Some(Pending::Copies(mut copies)) => {
                    if let Some(output) = copies.pop(neighbours) {
                        *oldest = Some(Pending::Copies(copies));
                        return Some(output);
                    }
                }
                None => {}
            }
        }
    }
}

impl Copies {
    fn pop(&mut self, neighbours: &Neighbours) -> Option<Done> {
        while let Some(slot) = self.to.pop() {
            let Some(neighbour) = neighbours.at(slot) else {
                continue;
            };
            if neighbour.serial <= self.serial {
                let message = FloodMessage::Ask(self.ask.clone());
                return Some(Output::Send {
                    to: neighbour.peer,
                    message,
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_oldest_comes_first(steps in proptest::collection::vec(any::<bool>(), 0..60)) {
            let neighbours = Neighbours::new(1);
            let (mut outbox, mut model) = (Outbox::default(), VecDeque::new());
            for (id, is_put) in (0..).zip(steps) {
                if is_put {
                    let event = FloodEvent::NeighbourUp {
                        peer: PeerId::from_bytes([id; 32]),
                    };
                    outbox.event(event.clone());
                    model.push_back(Output::Event(event));
                } else {
                    prop_assert_eq!(outbox.pop(&neighbours), model.pop_front());
                }
            }
            while let Some(next) = model.pop_front() {
                prop_assert_eq!(outbox.pop(&neighbours), Some(next));
            }
            prop_assert_eq!(outbox.pop(&neighbours), None);
        }
    }
}
