//! Things to say, picked by the input.

use std::net::SocketAddr;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, FileEntry, Hit, Media, PeerAddress, PeerId, Publication, Query, Row, WallTime,
};

use super::Choices;
use crate::flood::{Ask, Coverage, FloodMessage, SearchId, Strategy, Wanted, Welcome};

impl Choices<'_> {
    pub(super) fn one_of<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        let place = usize::from(self.byte()) % among.len().max(1);
        among.get(place).cloned()
    }

    pub(super) fn peer(&mut self) -> PeerId {
        PeerId::from_bytes([1 + self.below(8); 32])
    }

    pub(super) fn content(&mut self) -> ContentId {
        ContentId::from_bytes([self.below(12); 32])
    }

    pub(super) fn search(&mut self) -> SearchId {
        SearchId(self.number())
    }

    pub(super) fn addresses(&mut self) -> Vec<SocketAddr> {
        let count = self.below(9);
        (0..count).map(|n| ([10, 0, 0, n], 4_000).into()).collect()
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

    pub(super) fn wanted(&mut self) -> Wanted {
        let texts = [
            "word",
            "folder word",
            "wor*",
            "\"word 3\" -a",
            "type:audio",
            "(",
        ];
        match self.one_of(&texts).map(Query::new) {
            Some(Ok(query)) if self.below(3) > 0 => Wanted::Words(query),
            _ => Wanted::Content(self.content()),
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
            let path = match choices.byte() {
                200.. => "long/".to_owned() + &"word ".repeat(190) + "end",
                n => format!("folder/word {}", n % 12),
            };
            Hit {
                publication: Publication {
                    entry: FileEntry {
                        content,
                        size: choices.number(),
                        path,
                        media: Media::default(),
                    },
                    holder: choices.peer(),
                    expires: WallTime::from_unix_seconds(choices.number()),
                    signature: SignatureBytes([choices.byte(); 64]),
                },
            }
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
