//! The seam: every protocol is a deterministic state machine of one shape.

use crate::{PeerId, Timestamp};

/// What the transport knows about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Connected: messages can be sent.
    Up,
    /// Was connected, is no more. The peer may still live.
    Down,
    /// A dial that the core asked for failed.
    Unreachable,
}

/// What a core wants done. Outputs are performed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Output<M, E> {
    /// Send `message`. Lost silently if the link is down or its queue is full.
    Send {
        /// The receiver.
        to: PeerId,
        /// The message.
        message: M,
    },
    /// Connect to `peer`; answered by [`Link::Up`] or [`Link::Unreachable`].
    Dial {
        /// Whom to connect to.
        peer: PeerId,
    },
    /// Give up the link. No [`Link::Down`] follows for a link one gave up.
    Disconnect {
        /// Whom to leave.
        peer: PeerId,
    },
    /// Tell the layer above.
    Event(E),
}

/// A protocol as a deterministic state machine.
///
/// A core never reads a clock, never waits and never touches a socket or a
/// file. Time, randomness and everything remote come in through its methods:
///
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link),
///   [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), drained after every input;
/// * timers: [`next_deadline`](Core::next_deadline).
///
/// The run loop of every driver is: wait for the first of a message, a
/// command, a link change and `next_deadline`; call exactly one `handle_*` with
/// the *current* time; drain with [`pump`].
///
/// `now` must never be smaller than in an earlier call.
pub trait Core {
    /// What peers say to each other.
    type Message;
    /// What the layer above asks for. Carries the caller's id where an answer
    /// is expected; events echo it.
    type Command;
    /// What the layer above is told.
    type Event;

    /// Takes a message. Infallible: hostile input is normal input.
    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: Self::Message);
    /// Takes a command from the layer above.
    fn handle_command(&mut self, now: Timestamp, command: Self::Command);
    /// Takes news of a link.
    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link);
    /// Does what is due. An early or spurious call does nothing.
    fn handle_timeout(&mut self, now: Timestamp);
    /// The next thing to do, oldest first. Drain after every `handle_*`.
    fn poll_output(&mut self) -> Option<Output<Self::Message, Self::Event>>;
    /// When [`handle_timeout`](Core::handle_timeout) is next wanted; `None`
    /// when idle. Pure and cheap.
    fn next_deadline(&self) -> Option<Timestamp>;
}

/// Hands every pending output to `sink`, in order. The sink must not block or
/// wait: a send goes to a bounded queue, and a full queue is the driver's to
/// count and to act on.
pub fn pump<C: Core>(core: &mut C, mut sink: impl FnMut(Output<C::Message, C::Event>)) {
    while let Some(output) = core.poll_output() {
        sink(output);
    }
}

/// One input and everything that it caused: for tables of tests.
#[must_use = "the outputs of a step are what it did"]
pub fn step<C: Core>(
    core: &mut C,
    input: impl FnOnce(&mut C),
) -> Vec<Output<C::Message, C::Event>> {
    input(core);
    let mut outputs = Vec::new();
    pump(core, |output| outputs.push(output));
    outputs
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;

    /// Says every message back, one second later.
    #[derive(Default)]
    struct Echo {
        due: VecDeque<(Timestamp, PeerId, u32)>,
        outbox: VecDeque<Output<u32, ()>>,
    }

    impl Core for Echo {
        type Message = u32;
        type Command = ();
        type Event = ();

        fn handle_message(&mut self, now: Timestamp, from: PeerId, message: u32) {
            self.due
                .push_back((now + Duration::from_secs(1), from, message));
        }

        fn handle_command(&mut self, _: Timestamp, (): ()) {
            self.outbox.push_back(Output::Event(()));
        }

        fn handle_link(&mut self, _: Timestamp, peer: PeerId, link: Link) {
            if link == Link::Down {
                self.due.retain(|(_, to, _)| *to != peer);
            }
        }

        fn handle_timeout(&mut self, now: Timestamp) {
            while self.due.front().is_some_and(|(due, ..)| *due <= now) {
                if let Some((_, to, message)) = self.due.pop_front() {
                    self.outbox.push_back(Output::Send { to, message });
                }
            }
        }

        fn poll_output(&mut self) -> Option<Output<u32, ()>> {
            self.outbox.pop_front()
        }

        fn next_deadline(&self) -> Option<Timestamp> {
            self.due.front().map(|(due, ..)| *due)
        }
    }

    #[test]
    fn step_drains_what_an_input_caused() {
        let peer = PeerId::from_bytes([1; 32]);
        let mut echo = Echo::default();
        assert_eq!(
            step(&mut echo, |core| core.handle_message(
                Timestamp::ZERO,
                peer,
                7
            )),
            []
        );
        let due = echo.next_deadline().expect("an answer is due");
        assert_eq!(
            step(&mut echo, |core| core.handle_timeout(Timestamp::ZERO)),
            []
        );
        assert_eq!(
            step(&mut echo, |core| core.handle_timeout(due)),
            [Output::Send {
                to: peer,
                message: 7
            }]
        );
        assert_eq!(
            step(&mut echo, |core| core.handle_command(due, ())),
            [Output::Event(())]
        );
    }
}
