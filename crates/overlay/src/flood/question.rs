//! What a search asks for, understood once and shared by every copy of it.

use std::sync::Arc;

use gannet_base::{ContentId, Query};
use gannet_index::Expression;
use serde::{Deserialize, Serialize};

use super::key::{content_key, word_key};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// Files that match a query.
    Words(Query),
    /// Holders of one content.
    Content(ContentId),
}

/// What is looked for, with what every peer on the way needs of it. Cheap to
/// clone: copies share it. On the wire it is its [`Wanted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wanted", into = "Wanted")]
pub struct Question(Arc<Understood>);

#[derive(Debug, PartialEq, Eq)]
struct Understood {
    wanted: Wanted,
    expression: Option<Expression>,
    keys: Box<[u32]>,
}

impl Question {
    /// What is looked for.
    pub fn wanted(&self) -> &Wanted {
        &self.0.wanted
    }

    /// The query, understood; `None` if content is looked for, or if this
    /// version does not understand the query, which then matches nothing here.
    pub fn expression(&self) -> Option<&Expression> {
        self.0.expression.as_ref()
    }

    /// Keys that the routing table of every peer with a match has: to be asked
    /// of it before the question is sent there. May be none; then nothing can be
    /// ruled out.
    pub fn keys(&self) -> &[u32] {
        &self.0.keys
    }
}

impl From<Wanted> for Question {
    fn from(wanted: Wanted) -> Self {
        let expression = match &wanted {
            Wanted::Words(query) => Expression::parse(query).ok(),
            Wanted::Content(_) => None,
        };
        let mut keys: Vec<u32> = match (&wanted, &expression) {
            (Wanted::Content(content), _) => vec![content_key(*content)],
            (_, Some(expression)) => expression
                .required_words()
                .map(word_key)
                .chain(expression.required_content().map(content_key))
                .collect(),
            (_, None) => Vec::new(),
        };
        keys.sort_unstable();
        keys.dedup();
        Self(Arc::new(Understood {
            wanted,
            expression,
            keys: keys.into_boxed_slice(),
        }))
    }
}

impl From<Question> for Wanted {
    fn from(question: Question) -> Self {
        question.0.wanted.clone()
    }
}
