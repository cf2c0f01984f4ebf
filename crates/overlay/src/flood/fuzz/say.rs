//! Things to say, picked by the input.

use gannet_base::{Hit, PeerAddress, PeerId, Row};

use super::PEERS;
use crate::flood::{Ask, Coverage, FloodMessage, SearchId, Strategy, Wanted, Welcome};
use crate::fuzz::Choices;

impl Choices<'_> {
    pub(super) fn search(&mut self) -> SearchId {
        SearchId(self.number())
    }

    pub(super) fn peers(&mut self) -> Vec<PeerAddress> {
        let count = self.below(24);
        let peer = |choices: &mut Self| {
            // Strangers who do not exist, too; and whoever is being told.
            let peer = PeerId::from_bytes([choices.below(60); 32]);
            let addresses = choices.addresses();
            PeerAddress { peer, addresses }
        };
        (0..count).map(|_| peer(self)).collect()
    }

    pub(super) fn welcome(&mut self) -> FloodMessage {
        FloodMessage::Welcome(Box::new(Welcome {
            addresses: self.addresses(),
            peers: self.peers(),
        }))
    }

    /// Words, or a content.
    pub(crate) fn wanted(&mut self) -> Wanted {
        match self.below(3) {
            0 => Wanted::Content(self.content()),
            _ => Wanted::Words(self.query()),
        }
    }

    pub(super) fn strategy(&mut self) -> Option<Strategy> {
        match self.below(5) {
            0 => Some(Strategy::Flood { ttl: self.byte() }),
            1 => Some(Strategy::Dynamic),
            2 => {
                let count = self.below(4);
                Some(Strategy::Rings {
                    ttls: (0..count).map(|_| self.byte()).collect(),
                    widen: self.below(2) == 0,
                })
            }
            _ => None,
        }
    }

    pub(super) fn rows(&mut self) -> Vec<Row> {
        let count = self.below(30);
        (0..count).map(|_| self.row()).collect()
    }

    pub(super) fn row(&mut self) -> Row {
        let content = self.content();
        let count = self.below(4);
        let hit = |choices: &mut Self| {
            let holder = choices.peer(PEERS);
            let mut publication = choices.publication(holder);
            publication.entry.content = content;
            Hit { publication }
        };
        Row {
            content,
            holders: self.short(),
            hits: (0..count).map(|_| hit(self)).collect(),
        }
    }

    pub(super) fn report(&mut self, heard: Option<&Ask>) -> FloodMessage {
        let coverage = Coverage {
            asked: self.short(),
            ruled_out: self.short(),
            beyond: self.short(),
            refused: u32::from(self.below(2)),
            silent: u32::from(self.below(2)),
            answers: self.short(),
        };
        // Often the right one.
        let echo = heard.filter(|_| self.below(8) > 0);
        FloodMessage::Report {
            search: echo.map_or_else(|| self.search(), |ask| ask.search),
            round: echo.map_or_else(|| self.byte(), |ask| ask.round),
            ttl: echo.map_or_else(|| self.byte(), |ask| ask.ttl),
            coverage: match self.below(4) {
                0 => Coverage {
                    asked: 1,
                    ..Coverage::default()
                },
                _ => coverage,
            },
        }
    }

    /// A new question, or one that was heard before, turned back.
    pub(super) fn ask(&mut self, heard: Option<Ask>) -> Ask {
        let fresh = Ask {
            search: self.search(),
            round: self.below(4),
            ttl: self.byte(),
            hops: self.below(9),
            report: self.below(2) == 0,
            again: self.below(2) == 0,
            question: self.wanted().into(),
        };
        match heard {
            Some(ask) if self.below(3) == 0 => Ask {
                ttl: fresh.ttl,
                hops: fresh.hops,
                ..ask
            },
            _ => fresh,
        }
    }
}
