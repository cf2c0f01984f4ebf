//! What a searcher asks and what it is answered.

use serde::{Deserialize, Serialize};

use crate::{ContentId, FileEntry, PeerId, Publication};

/// A query that is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// There is nothing but white space. Type a word.
    #[error("the query is empty: type at least one word")]
    Empty,
    /// The query is longer than [`Query::BYTES_MAX`]. Use fewer words.
    #[error(
        "the query has {bytes} bytes, at most {} are allowed",
        Query::BYTES_MAX
    )]
    Length {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// The words of a query as the user typed them. The index gives them their
/// meaning; every overlay carries them unchanged, so that all agree on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Query(String);

impl Query {
    /// Longest query, bytes of UTF-8.
    // Source: gtk-gnutella forwards at most 256.
    pub const BYTES_MAX: usize = 256;

    /// The query with this text, white space at its ends cut off.
    ///
    /// # Errors
    ///
    /// If it is empty or too long.
    pub fn new(text: &str) -> Result<Self, InvalidQuery> {
        let text = text.trim();
        match text.len() {
            0 => Err(InvalidQuery::Empty),
            bytes if bytes > Self::BYTES_MAX => Err(InvalidQuery::Length { bytes }),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Query {
    type Error = InvalidQuery;

    fn try_from(text: String) -> Result<Self, InvalidQuery> {
        Self::new(&text)
    }
}

impl From<Query> for String {
    fn from(query: Query) -> Self {
        query.0
    }
}

/// One answer: a file that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// What the holder published, signed by it.
    pub publication: Publication,
}

impl Hit {
    /// The file.
    pub fn entry(&self) -> &FileEntry {
        &self.publication.entry
    }

    /// Who has it.
    pub fn holder(&self) -> PeerId {
        self.publication.holder
    }
}

/// All answers for one content: one row of a list of results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The content that every hit of the row has.
    pub content: ContentId,
    /// How many peers have it, as far as the answerer knows; at least as many
    /// as `hits` names.
    pub holders: u32,
    /// Some of them, best first, each peer at most once.
    pub hits: Vec<Hit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_bounded_on_every_way_in() {
        assert_eq!(Query::new("  \t"), Err(InvalidQuery::Empty));
        assert_eq!(
            Query::new(" harry potter ").map(String::from),
            Ok("harry potter".to_owned())
        );
        let long = "é".repeat(129);
        assert_eq!(Query::new(&long), Err(InvalidQuery::Length { bytes: 258 }));
        let wire = postcard::to_stdvec(&long).expect("a string encodes");
        assert!(postcard::from_bytes::<Query>(&wire).is_err());
    }
}
