//! The life of links: dialled, answered, given up, broken.
//!
//! A dial travels to the other end, which takes it at once; the answer travels
//! back. Both ends may dial at the same time: then the dial of the peer with
//! the lower number counts, if both arrive. A dial that is not answered in time
//! fails, whatever the reason.

use gannet_base::{Core, Link, PeerId, Timestamp};

use super::happening::{Happening, News};
use super::net::Net;
use super::wires::End;
use crate::Mode;

impl<C: Core> Net<C> {
    /// Not before what was sent earlier along the same link.
    pub(super) fn in_order(&mut self, from: u32, to: u32, at: Timestamp) -> Timestamp {
        match self.wires.end(from, to) {
            Some(end) => {
                end.last = end.last.max(at);
                end.last
            }
            None => at,
        }
    }

    fn announce(&mut self, at: Timestamp, to: u32, peer: u32, epoch: u32, news: News) {
        let happening = Happening::News {
            to,
            peer,
            epoch,
            news,
        };
        self.queue.push(at, happening);
    }

    /// News that travels from one end to the other.
    fn announce_from(&mut self, from: u32, to: u32, epoch: u32, news: News) {
        if self.is_cut(from, to) {
            return;
        }
        let at = self.now + self.latency(from, to);
        let at = self.in_order(from, to, at);
        self.announce(at, to, from, epoch, news);
    }

    /// A core wants a link.
    pub(super) fn dial(&mut self, from: u32, peer: PeerId) {
        let gives_up = self.now + self.model.dial_timeout;
        let Some(to) = self.known(peer).filter(|to| *to != from) else {
            self.queue
                .push(gives_up, Happening::Nobody { to: from, peer });
            return;
        };
        if self.model.mode == Mode::Open {
            self.announce(self.now, from, to, 0, News::Answered);
            return;
        }
        match self.wires.end(from, to) {
            Some(end) if end.told => {
                let epoch = end.epoch;
                self.announce(self.now, from, to, epoch, News::Answered);
            }
            Some(_) => {}
            None => {
                let epoch = self.wires.next_epoch();
                self.put_end(from, to, epoch, false);
                self.announce(gives_up, from, to, epoch, News::GaveUp);
                if self.is_cut(to, from) || self.is_cut(from, to) {
                    self.on_dial_lost(from, to, epoch);
                } else {
                    self.announce_from(from, to, epoch, News::Dialled);
                }
            }
        }
    }

    /// A core gives a link, or a dial, up.
    pub(super) fn disconnect(&mut self, from: u32, peer: PeerId) {
        let Some(to) = self.known(peer) else {
            return;
        };
        let Some(epoch) = self.wires.end(from, to).map(|end| end.epoch) else {
            return;
        };
        self.announce_from(from, to, epoch, News::Closed);
        self.wires.remove(from, to, epoch);
    }

    /// Makes a link at once. False if both had it already.
    pub(super) fn connect(&mut self, a: u32, b: u32) -> bool {
        if self.model.mode == Mode::Open {
            return true;
        }
        if self.wires.end(a, b).is_some_and(|end| end.told) {
            return false;
        }
        let epoch = self.wires.next_epoch();
        self.put_end(a, b, epoch, true);
        self.put_end(b, a, epoch, true);
        true
    }

    fn put_end(&mut self, node: u32, peer: u32, epoch: u32, told: bool) {
        let end = End {
            peer,
            epoch,
            told,
            lost: false,
            last: self.now,
        };
        self.wires.put(node, end);
    }

    /// Nobody is there to take this dial.
    pub(super) fn on_dial_lost(&mut self, from: u32, to: u32, epoch: u32) {
        let end = self.wires.end(from, to);
        if let Some(end) = end.filter(|end| end.epoch == epoch) {
            end.lost = true;
        }
    }

    /// A peer dies: its links are gone, and the other ends will notice.
    pub(super) fn break_links(&mut self, node: u32) {
        if self.model.mode == Mode::Open {
            return;
        }
        let at = self.now + self.model.notice;
        for end in self.wires.take(node) {
            self.announce(at, end.peer, node, end.epoch, News::Broken);
        }
    }

    /// A partition begins: the ends of the links across it will notice.
    pub(super) fn sever_links(&mut self) {
        let across: Vec<_> = self
            .wires
            .all()
            .filter(|(node, end)| self.is_cut(*node, end.peer) || self.is_cut(end.peer, *node))
            .map(|(node, end)| (node, end.peer, end.epoch))
            .collect();
        let at = self.now + self.model.notice;
        for (node, peer, epoch) in across {
            self.announce(at, node, peer, epoch, News::Severed);
        }
    }

    /// What a core hears of news.
    pub(super) fn on_news(&mut self, to: u32, peer: u32, epoch: u32, news: News) -> Vec<Link> {
        if self.model.mode == Mode::Open {
            return vec![Link::Up];
        }
        let end = self.wires.end(to, peer).copied();
        let same = end.filter(|end| end.epoch == epoch);
        match news {
            News::Dialled => self.on_dialled(to, peer, epoch, end),
            News::Answered => match (same, end) {
                (Some(_), _) => {
                    if let Some(end) = self.wires.end(to, peer) {
                        end.told = true;
                    }
                    vec![Link::Up]
                }
                (None, None) => {
                    // It was given up meanwhile; the other end must not believe in it.
                    self.announce_from(to, peer, epoch, News::Closed);
                    Vec::new()
                }
                (None, Some(_)) => Vec::new(),
            },
            News::GaveUp if same.is_some_and(|end| !end.told) => {
                self.wires.remove(to, peer, epoch);
                vec![Link::Unreachable]
            }
            News::Severed if !self.is_cut(to, peer) && !self.is_cut(peer, to) => Vec::new(),
            News::Closed | News::Broken | News::Severed => {
                match self.wires.remove(to, peer, epoch) {
                    Some(end) if end.told => vec![Link::Down],
                    Some(_) => vec![Link::Unreachable],
                    None => Vec::new(),
                }
            }
            News::GaveUp => Vec::new(),
        }
    }

    fn on_dialled(&mut self, to: u32, peer: u32, epoch: u32, end: Option<End>) -> Vec<Link> {
        let heard = match end {
            Some(end) if !end.told && !end.lost && to < peer => return Vec::new(),
            // The peer has forgotten the link that we believe in.
            Some(end) if end.told => vec![Link::Down, Link::Up],
            _ => vec![Link::Up],
        };
        self.put_end(to, peer, epoch, true);
        self.announce_from(to, peer, epoch, News::Answered);
        heard
    }
}
