//! What a page asks of a node, besides what the command line asks.

use gannet_base::{ContentId, PeerId, Row};

use crate::Node;
use crate::api::{
    Check, DownloadInfo, RingMap, SelfTest, Settings, SettingsChange, SharedFiles, Verdict,
};
use crate::error::{DownloadError, SearchError, Stopped};
use crate::handle::{Reply, Request, Started};
use crate::viewing::{Opened, ViewId};

/// Why settings stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number is outside its range.
    #[error("{name} must be from {min} to {max}, not {found}")]
    Range {
        /// Which setting.
        name: &'static str,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
        /// What was asked for.
        found: u64,
    },
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What the page asks of the driver.
#[derive(Debug)]
pub(crate) enum PageRequest {
    /// A search that is not the latest one for who asks for that.
    SearchAside {
        query: String,
        limit: u32,
        reply: Reply<Result<Started, SearchError>>,
    },
    Settings(Reply<Settings>),
    ChangeSettings {
        change: SettingsChange,
        reply: Reply<Result<Settings, SettingsError>>,
    },
    Prioritise {
        number: u32,
        priority: u8,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    },
    SharedFiles {
        offset: u64,
        limit: u32,
        reply: Reply<SharedFiles>,
    },
    RingMap(Reply<RingMap>),
    /// How many of the connections were made by the other side.
    Visitors(Reply<u32>),
    /// Looks for this peer's own files as others would: which overlays name it.
    Findable(Reply<Findable>),
    View {
        content: ContentId,
        first_group: u64,
        reply: Reply<Opened>,
    },
    Unview {
        content: ContentId,
        view: ViewId,
    },
}

/// What looking for an own file has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findable {
    /// Whether there is a file to look for.
    pub(crate) has_file: bool,
    /// Overlays that named this peer as a source of it.
    pub(crate) named_by: Vec<String>,
    /// Overlays that were asked and did not.
    pub(crate) silent: Vec<String>,
}

impl Node {
    async fn ask_page<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> PageRequest,
    ) -> Result<T, Stopped> {
        self.ask(|reply| Request::Page(request(reply))).await
    }

    /// [`Node::search`] for who asks by itself again and again: it does not become
    /// the latest search, to which users refer by row.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn search_aside(&self, query: &str, limit: u32) -> Result<Started, SearchError> {
        let query = query.to_owned();
        self.ask_page(|reply| PageRequest::SearchAside {
            query,
            limit,
            reply,
        })
        .await?
    }

    /// What of the configuration may change while it runs, as it is now.
    ///
    /// # Errors
    ///
    /// If the node has stopped; so for all that follow.
    pub async fn settings(&self) -> Result<Settings, Stopped> {
        self.ask_page(PageRequest::Settings).await
    }

    /// Changes settings at once. They are kept over restarts, until the
    /// configuration itself says something else than it does now.
    ///
    /// # Errors
    ///
    /// If a value is out of range; nothing is changed then.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings, SettingsError> {
        self.ask_page(|reply| PageRequest::ChangeSettings { change, reply })
            .await?
    }

    /// Moves a download before (or behind) others of lower (or higher) priority
    /// while more want to run than may.
    ///
    /// # Errors
    ///
    /// If there is no such download.
    pub async fn prioritise(
        &self,
        number: u32,
        priority: u8,
    ) -> Result<DownloadInfo, DownloadError> {
        self.ask_page(|reply| PageRequest::Prioritise {
            number,
            priority,
            reply,
        })
        .await?
    }

    /// At most `limit` (1 to 1,000; clamped) of this peer's shared files from
    /// `offset` on.
    pub async fn shared_files(&self, offset: u64, limit: u32) -> Result<SharedFiles, Stopped> {
        self.ask_page(|reply| PageRequest::SharedFiles {
            offset,
            limit,
            reply,
        })
        .await
    }

    /// Whom this peer points to on the ring.
    pub async fn ring_map(&self) -> Result<RingMap, Stopped> {
        self.ask_page(PageRequest::RingMap).await
    }

    /// Answers "am I connected, can I be reached, am I found?", the last by
    /// looking for one of the own files. Takes as long as a search.
    pub async fn self_test(&self) -> Result<SelfTest, Stopped> {
        let status = self.status().await?;
        let visitors = self.ask_page(PageRequest::Visitors).await?;
        let findable = self.ask_page(PageRequest::Findable).await?;
        Ok(SelfTest {
            checks: vec![
                connected(&status),
                reachable(&status, visitors),
                found(&status, &findable),
            ],
        })
    }
}

fn check(question: &str, verdict: Verdict, answer: impl Into<String>) -> Check {
    Check {
        question: question.to_owned(),
        verdict,
        answer: answer.into(),
    }
}

fn connected(status: &crate::api::Status) -> Check {
    let question = "Am I connected?";
    let peers = status.peers_connected;
    match (peers, status.problems.first()) {
        (0, None) => check(
            question,
            Verdict::No,
            "No other peer is connected. Name one in the settings, or start another on this \
             network.",
        ),
        (0, Some(problem)) => check(question, Verdict::No, sentence(problem)),
        (_, None) => check(
            question,
            Verdict::Yes,
            format!("To {}.", plural(peers, "peer")),
        ),
        (_, Some(problem)) => {
            let answer = format!("To {}, but: {}", plural(peers, "peer"), sentence(problem));
            check(question, Verdict::Partly, answer)
        }
    }
}

fn reachable(status: &crate::api::Status, visitors: u32) -> Check {
    let question = "Can others reach me?";
    let is_proven = status
        .supernode
        .as_ref()
        .is_some_and(|one| one.is_reachable);
    if visitors > 0 {
        let answer = format!("Connections that others made: {visitors}.");
        check(question, Verdict::Yes, answer)
    } else if is_proven {
        check(
            question,
            Verdict::Yes,
            "Another peer has tried it, and it works.",
        )
    } else if status.peers_connected > 0 {
        check(
            question,
            Verdict::Partly,
            "Nobody has yet connected to this peer without being called first. If that stays so \
             for hours, forward its UDP port in the router.",
        )
    } else {
        check(question, Verdict::No, "Nobody is connected who could try.")
    }
}

fn found(status: &crate::api::Status, findable: &Findable) -> Check {
    let question = "Are my files found?";
    if !findable.has_file {
        let answer = "Nothing is shared yet: add a folder in the library.";
        return check(question, Verdict::Partly, answer);
    }
    let answers_neighbours = status
        .flood
        .as_ref()
        .is_some_and(|flood| flood.neighbours > 0);
    let mut ways = findable.named_by.clone();
    if answers_neighbours && !ways.iter().any(|way| way == "flood") {
        ways.push("flood".to_owned());
    }
    let silent = findable.silent.iter().filter(|way| !ways.contains(way));
    let silent: Vec<&str> = silent.map(String::as_str).collect();
    let via = |ways: &[String]| ways.join(", ");
    match (ways.is_empty(), silent.is_empty()) {
        (true, _) => check(
            question,
            Verdict::No,
            "A search for one of them, asked as others would, did not name this peer.",
        ),
        (false, true) => {
            let answer = format!("A search for one of them leads here, by {}.", via(&ways));
            check(question, Verdict::Yes, answer)
        }
        (false, false) => {
            let answer = format!(
                "A search for one of them leads here by {}, not by {}.",
                via(&ways),
                silent.join(", ")
            );
            check(question, Verdict::Partly, answer)
        }
    }
}

fn plural(count: u32, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// A problem's words as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

/// Whether an answer names a peer as one that shares a content: not only that
/// somebody does.
pub(crate) fn names(rows: &[Row], content: ContentId, peer: PeerId) -> bool {
    let rows = rows.iter().filter(|row| row.content == content);
    rows.flat_map(|row| &row.hits)
        .any(|hit| hit.publication.holder == peer)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use gannet_base::{FileEntry, Hit, Media, Publication, WallTime};

    use super::*;

    fn row(bytes: &[u8], holders: &[&SigningKey]) -> Row {
        let content = ContentId::of(bytes);
        let entry = FileEntry {
            content,
            size: 7,
            path: "share/song.mp3".to_owned(),
            media: Media::default(),
        };
        let until = WallTime::from_unix_seconds(1_000_000);
        let hit = |key: &&SigningKey| Hit {
            publication: Publication::sign(entry.clone(), until, key),
        };
        Row {
            content,
            holders: u32::try_from(holders.len()).unwrap(),
            hits: holders.iter().map(hit).collect(),
        }
    }

    #[test]
    fn the_copy_of_another_peer_is_no_proof() {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let own = row(b"song", &[&keys[0]]).hits[0].publication.holder;
        let song = ContentId::of(b"song");
        assert!(!names(&[], song, own));
        assert!(!names(&[row(b"song", &[&keys[1]])], song, own));
        assert!(!names(&[row(b"noise", &[&keys[0]])], song, own));
        assert!(names(&[row(b"song", &[&keys[1], &keys[0]])], song, own));
    }
}
