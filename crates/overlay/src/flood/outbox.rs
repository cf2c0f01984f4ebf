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

#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Pending>);

/// An empty queue with room for more is given back: a hundred thousand peers
/// each keep theirs.
const KEPT_CAPACITY: usize = 4;

impl Outbox {
    pub(crate) fn send(&mut self, to: PeerId, message: FloodMessage) {
        self.put(Output::Send { to, message });
    }

    pub(crate) fn event(&mut self, event: FloodEvent) {
        self.put(Output::Event(event));
    }

    pub(crate) fn put(&mut self, output: Done) {
        self.0.push_back(Pending::Output(output));
    }

    /// A copy for each of these neighbours.
    pub(crate) fn copies(&mut self, ask: Ask, to: SlotSet, neighbours: &Neighbours) {
        let serial = neighbours.joined();
        self.0
            .push_back(Pending::Copies(Copies { ask, to, serial }));
    }

    pub(crate) fn pop(&mut self, neighbours: &Neighbours) -> Option<Done> {
        while let Some(Pending::Copies(copies)) = self.0.front_mut() {
            if let Some(output) = copies.pop(neighbours) {
                return Some(output);
            }
            self.0.pop_front();
        }
        if let Some(Pending::Output(output)) = self.0.pop_front() {
            return Some(output);
        }
        if self.0.capacity() > KEPT_CAPACITY {
            self.0 = VecDeque::new();
        }
        None
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
