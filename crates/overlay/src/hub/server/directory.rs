//! The hub as a part of something larger, which asks it directly.

use std::collections::BTreeSet;

use gannet_base::{PeerAddress, PeerId, Row, Timestamp};
use gannet_index::Page;

use super::{HubServer, LeftReason};
use crate::flood::{self, HITS_MAX, Wanted, content_key, word_key};

impl HubServer {
    /// What the hub has of what is looked for, at most `rows_max` rows with
    /// [`hits_per_row`](crate::hub::ServerConfig::hits_per_row) hits each, or
    /// holders of a content as many as one message of a flood may name; and
    /// where the holders named can be reached, each at most once, those of whom
    /// that is not known left out. No budget is charged: whoever asks has one.
    pub fn look_up(
        &mut self,
        question: &flood::Question,
        rows_max: usize,
    ) -> (Vec<Row>, Vec<PeerAddress>) {
        self.counters.searches += 1;
        let mut rows = match (question.wanted(), question.expression()) {
            (Wanted::Content(content), _) => {
                let row = self.index.holders(*content, HITS_MAX);
                row.into_iter().take(rows_max).collect()
            }
            (Wanted::Words(_), Some(expression)) => {
                let page = Page {
                    offset: 0,
                    limit: u32::try_from(rows_max).unwrap_or(u32::MAX),
                    hits_per_row: u32::try_from(self.config.hits_per_row.max(1))
                        .unwrap_or(u32::MAX),
                };
                self.index.search(expression, page).rows
            }
            (Wanted::Words(_), None) => Vec::new(),
        };
        rows.retain(|row| !row.hits.is_empty());
        let hits = rows.iter().flat_map(|row| &row.hits);
        let holders: BTreeSet<PeerId> = hits.map(gannet_base::Hit::holder).collect();
        let addresses = holders
            .into_iter()
            .map(|peer| PeerAddress {
                peer,
                addresses: self.addresses_of(peer),
            })
            .filter(|one| !one.addresses.is_empty())
            .collect();
        (rows, addresses)
    }

    /// Whether a peer was welcomed and has not left.
    pub fn is_here(&self, peer: PeerId) -> bool {
        self.sessions.contains_key(&peer)
    }

    /// Who is here, each with how many entries it has registered, in the order
    /// of their ids.
    pub fn registered(&self) -> impl Iterator<Item = (PeerId, usize)> {
        self.sessions.iter().map(|(peer, session)| {
            let entries = usize::try_from(session.standing.entries);
            (*peer, entries.unwrap_or(usize::MAX))
        })
    }

    /// How many entries a peer has registered; 0 if it is not here.
    pub fn entries_of(&self, peer: PeerId) -> usize {
        self.index.holder_len(peer)
    }

    /// The keys of everything that is registered, for a routing table of the
    /// flood; in no meaningful order, and some may come twice. Costs time in
    /// proportion to the words and contents.
    pub fn keys(&self) -> Vec<u32> {
        let words = self.index.words().map(word_key);
        words
            .chain(self.index.contents().map(content_key))
            .collect()
    }

    /// A number that grows whenever something was registered or is no more.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Ends a peer's session as if it had said goodbye: its entries go at once.
    /// It is not told.
    pub fn dismiss(&mut self, now: Timestamp, peer: PeerId) {
        self.on_time(now);
        self.end_session(peer, LeftReason::Goodbye);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gannet_base::{ContentId, Core as _, Output, Query, WallTime, step};

    use super::*;
    use crate::flood::{Question, entry_keys};
    use crate::hub::message::{Announcement, Change, HubMessage};
    use crate::hub::server::tests::{NOW, batch, hello, peer, put, say, say_at, welcomed};
    use crate::hub::{HubServerCommand, HubServerEvent, ServerConfig};

    fn words(text: &str) -> Question {
        Wanted::Words(Query::new(text).unwrap()).into()
    }

    fn content(path: &str) -> Question {
        Wanted::Content(ContentId::of(path.as_bytes())).into()
    }

    /// A hub at which so many peers have the same file, and peer 1 another one.
    fn filled(config: ServerConfig, peers: u8) -> HubServer {
        let all: Vec<PeerId> = (1..=peers).map(peer).collect();
        let mut hub = welcomed(config, &all);
        for one in all {
            let mut changes = vec![put(one, "harry/common")];
            changes.extend((one == peer(1)).then(|| put(one, "harry/rare")));
            let message = batch(&hub, 1, 0, changes);
            say(&mut hub, one, message);
        }
        hub
    }

    #[track_caller]
    fn check(hub: &mut HubServer, question: &Question, rows_max: usize, hits: &[usize]) {
        let (rows, _) = hub.look_up(question, rows_max);
        let found: Vec<usize> = rows.iter().map(|row| row.hits.len()).collect();
        assert_eq!(found, hits);
    }

    #[test]
    fn it_looks_up_words_and_contents() {
        let config = ServerConfig {
            hits_per_row: 3,
            ..ServerConfig::default()
        };
        let hub = &mut filled(config, 50);
        check(hub, &words("harry common"), 9, &[3]);
        check(hub, &words("harry"), 9, &[3, 1]);
        check(hub, &words("harry"), 1, &[3]);
        check(hub, &words("potter"), 9, &[]);
        check(hub, &words("size:>1"), 9, &[]);
        check(hub, &content("harry/common"), 9, &[HITS_MAX]);
        check(hub, &content("harry/rare"), 9, &[1]);
        check(hub, &content("harry/rare"), 0, &[]);
        check(hub, &content("nothing"), 9, &[]);
        assert_eq!(hub.status().searches, 9);
    }

    #[test]
    fn holders_are_named_once_with_where_they_were_seen() {
        let mut hub = filled(ServerConfig::default(), 3);
        let at = |n: u8| vec![([10, 0, 0, n], 4_000).into()];
        for n in [1, 2] {
            let seen = HubServerCommand::Seen {
                peer: peer(n),
                addresses: at(n),
            };
            hub.handle_command(NOW, seen);
        }
        let (rows, addresses) = hub.look_up(&words("harry"), 9);
        assert_eq!(rows.len(), 2);
        let expected = [1, 2].map(|n| PeerAddress {
            peer: peer(n),
            addresses: at(n),
        });
        assert_eq!(addresses, expected);
        // What a peer says itself counts too, if it is of the own network.
        let announcement = Announcement {
            addresses: [at(3), vec![([8, 8, 8, 8], 4_000).into()]].concat(),
            upload_bytes_per_second: None,
        };
        say(
            &mut hub,
            peer(3),
            HubMessage::Ping {
                nonce: 1,
                announcement,
            },
        );
        let (_, addresses) = hub.look_up(&content("harry/common"), 9);
        assert_eq!(addresses.len(), 3);
        assert_eq!(addresses[2].addresses, at(3));
    }

    #[test]
    fn it_says_who_is_here_and_with_what_keys() {
        let mut hub = filled(ServerConfig::default(), 2);
        say(&mut hub, peer(9), hello());
        let registered: Vec<(PeerId, usize)> = hub.registered().collect();
        assert_eq!(registered, [(peer(1), 2), (peer(2), 1), (peer(9), 0)]);
        assert_eq!((hub.is_here(peer(9)), hub.is_here(peer(8))), (true, false));
        let entries: Vec<usize> = (1..4).map(|n| hub.entries_of(peer(n))).collect();
        assert_eq!(entries, [2, 1, 0]);
        let mut expected = Vec::new();
        for path in ["harry/common", "harry/rare"] {
            if let Change::Put { entry, .. } = put(peer(1), path) {
                entry_keys(&entry, &mut expected);
            }
        }
        let keys: BTreeSet<u32> = hub.keys().into_iter().collect();
        assert_eq!(keys, expected.into_iter().collect());
    }

    #[test]
    fn the_revision_follows_the_index() {
        let mut hub = filled(ServerConfig::default(), 2);
        let mut before = hub.revision();
        assert!(before > 0);
        let mut changed = |hub: &HubServer| {
            let after = hub.revision();
            let changed = after > before;
            before = after;
            changed
        };
        let first = batch(&hub, 1, 1, vec![put(peer(2), "more")]);
        say(&mut hub, peer(2), first.clone());
        assert!(changed(&hub), "a batch");
        say(&mut hub, peer(2), first);
        assert!(!changed(&hub), "repeated");
        hub.look_up(&words("harry"), 9);
        say(&mut hub, peer(3), hello());
        assert!(!changed(&hub), "a greeting");
        let anew = batch(&hub, 2, 0, Vec::new());
        say(&mut hub, peer(2), anew);
        assert!(changed(&hub), "a new registration drops the old one");
        assert_eq!(step(&mut hub, |hub| hub.dismiss(NOW, peer(3))).len(), 1);
        assert!(!changed(&hub), "it had nothing");
        let outputs = step(&mut hub, |hub| hub.dismiss(NOW, peer(1)));
        let left = HubServerEvent::Left {
            peer: peer(1),
            entries: 2,
            reason: LeftReason::Goodbye,
        };
        assert_eq!(outputs, [Output::Event(left)]);
        assert!(changed(&hub), "somebody left");
        assert!(!hub.is_here(peer(1)) && hub.is_here(peer(2)));
        assert_eq!(step(&mut hub, |hub| hub.dismiss(NOW, peer(1))), []);
        // Past its time, by the calendar.
        let third = batch(&hub, 2, 1, vec![put(peer(2), "old")]);
        say(&mut hub, peer(2), third);
        assert!(changed(&hub), "a batch");
        let time = HubServerCommand::WallTime(WallTime::from_unix_seconds(2_000_000));
        hub.handle_command(NOW, time);
        for minute in 1..=3 {
            let now = NOW + Duration::from_secs(minute * 60 - 30);
            say_at(&mut hub, now, peer(2), hello());
            hub.handle_timeout(now);
        }
        assert_eq!(hub.entries_of(peer(2)), 0);
        assert!(changed(&hub), "it expired");
    }
}
