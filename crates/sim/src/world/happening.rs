//! What can happen to a peer.

use gannet_base::{Core, Link, PeerId};

/// Kinds of events, for the fingerprint; messages are these and their kind.
pub(super) const WAKE: u16 = 0;
pub(super) const COMMAND: u16 = 1;
pub(super) const MESSAGE: u16 = 0x100;

pub(super) fn link_kind(link: Link) -> u16 {
    match link {
        Link::Up => 2,
        Link::Down => 3,
        Link::Unreachable => 4,
    }
}

/// One thing that will happen.
pub(super) enum Happening<C: Core> {
    /// A message is there.
    Message {
        from: u32,
        to: u32,
        epoch: u32,
        message: C::Message,
    },
    /// A message is at the receiver's end of the line, which is narrow.
    Queued {
        from: u32,
        to: u32,
        epoch: u32,
        message: C::Message,
    },
    /// The core's deadline, unless that has moved.
    Wake { to: u32 },
    /// A command that was given ahead of its time.
    Command { to: u32, command: Box<C::Command> },
    /// Something about a link.
    News {
        to: u32,
        peer: u32,
        epoch: u32,
        news: News,
    },
    /// A dial to somebody who does not exist has taken too long.
    Nobody { to: u32, peer: PeerId },
}

/// What may be the matter with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The peer dials.
    Dialled,
    /// The peer took the dial.
    Answered,
    /// The dial has taken too long, unless it was answered.
    GaveUp,
    /// The peer gave the link up.
    Closed,
    /// The peer crashed, which is noticed now.
    Broken,
    /// A partition is noticed, if there still is one.
    Severed,
}

impl<C: Core> Happening<C> {
    /// To whom it happens.
    pub(super) fn to(&self) -> u32 {
        match self {
            Self::Message { to, .. }
            | Self::Queued { to, .. }
            | Self::Wake { to }
            | Self::Command { to, .. }
            | Self::News { to, .. }
            | Self::Nobody { to, .. } => *to,
        }
    }

    /// From whom, to whom, and what, if it is a message.
    pub(super) fn message(&self) -> Option<(u32, u32, &C::Message)> {
        match self {
            Self::Message {
                from, to, message, ..
            }
            | Self::Queued {
                from, to, message, ..
            } => Some((*from, *to, message)),
            _ => None,
        }
    }
}
