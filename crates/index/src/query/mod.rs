//! The query language.
//!
//! | typed | finds |
//! |---|---|
//! | `harry potter` | both words, anywhere in the path, title, artist or album |
//! | `"harry potter"` | the words next to each other, in this order |
//! | `S01E02`, `AC/DC` | what the tokenizer cuts is a phrase: `"s 01 e 02"`, `"ac dc"` |
//! | `pott*` | words that start so; at the end of a phrase also: `"harry pott*"` |
//! | `harry OR ron` | either; binds closer than the space: `potter harry OR ron` |
//! | `-stone` | entries without it; also `-"a phrase"`, `-pre*`, `-type:video` |
//! | `type:audio` | by kind; several: `type:audio,video` |
//! | `ext:flac` | by the end of the name; `ext:tar.gz` and `ext:mp3,ogg` too |
//! | `size:>10MB` | `>`, `>=`, `<`, `<=`, `1GB..4GB`, `1GB..`, `..4GB`, `1234` |
//! | `title:waterloo` | in the title only; also `artist:` and `album:`, phrases and prefixes too |
//! | `hash:<content id>` | one content, under whatever name |
//!
//! kB, MB, GB, TB count in thousands, KiB, MiB, GiB, TiB in 1024. A colon
//! behind anything else is punctuation. One Chinese, Japanese or Korean
//! character alone finds what has it before another such character, or alone,
//! but not at the end of a run of them. At least one part of a query must be a
//! word (or `hash:`) that every match has: an index finds words, filters only
//! narrow.

mod error;
pub(crate) mod matching;
mod parse;
mod size;
mod write;

use gannet_base::{ContentId, FileKind, Query};

pub use error::QueryError;
pub(crate) use matching::{EntryTokens, Subject};
pub(crate) use size::SizeRange;

/// How closely an entry matches a query: the first criterion of ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    /// Some word of the query is only the beginning of a word of the entry.
    Prefix,
    /// All words are there as whole words.
    Whole,
    /// All words are there as whole words, and in the query's order.
    InOrder,
}

/// A query, understood. Make it with [`Expression::parse`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expression {
    /// All must hold, in the order typed. At least one is anchored.
    pub(crate) clauses: Vec<Clause>,
}

/// One part of a query: some alternative must hold, or none if negated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Clause {
    pub(crate) negated: bool,
    /// Never empty.
    pub(crate) any: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Term {
    Words(Scope, Sequence),
    Kind(FileKind),
    /// Lower case, without the dot before it.
    Extension(String),
    Size(SizeRange),
    Content(ContentId),
}

/// Words next to each other, in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sequence {
    /// Tokens; never empty.
    pub(crate) words: Vec<String>,
    /// The last one may go on.
    pub(crate) open: bool,
}

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    Anywhere,
    Title,
    Artist,
    Album,
}

impl Expression {
    /// Most terms (words, phrases, filters) of a query, alternatives counted.
    // Guess: three times what people type; the cost of a query grows with it.
    pub const TERMS_MAX: usize = 16;
    /// Most words of all terms together, as the tokenizer counts.
    // Guess: the name of a film as it is pasted has up to 30.
    pub const WORDS_MAX: usize = 48;

    /// Understands a query.
    ///
    /// # Errors
    ///
    /// The first thing that makes no sense.
    pub fn parse(query: &Query) -> Result<Self, QueryError> {
        parse::parse(query.text())
    }

    /// Whole words, as the tokenizer makes them, that every match has in its
    /// path, title, artist or album: what a summary of somebody's words can be
    /// asked for before the query is sent. Beginnings of words, alternatives
    /// and exclusions are left out, so there may be none; a word may come twice.
    pub fn required_words(&self) -> impl Iterator<Item = &str> {
        self.clauses
            .iter()
            .filter(|clause| !clause.negated)
            .filter_map(|clause| match clause.any.as_slice() {
                [Term::Words(_, sequence)] => Some(sequence),
                _ => None,
            })
            .flat_map(Sequence::flagged)
            .filter(|(_, open)| !open)
            .map(|(word, _)| word)
    }

    /// Of a query without such words: whole words of each of some alternatives, one of
    /// which every match has, all of its words. Nothing if there are no alternatives of
    /// which each has a whole word.
    pub fn alternative_words(&self) -> Option<Vec<Vec<&str>>> {
        let positive = self.clauses.iter().filter(|clause| !clause.negated);
        let found =
            positive.filter_map(|clause| clause.any.iter().map(Term::whole_words).collect());
        found.min_by_key(|alternatives: &Vec<Vec<&str>>| alternatives.len())
    }

    /// The content that every match has; nothing if matches may differ in it.
    /// Of a query that asks for two contents at once, which nothing matches,
    /// one of them.
    pub fn required_content(&self) -> Option<ContentId> {
        self.clauses
            .iter()
            .filter(|clause| !clause.negated)
            .find_map(|clause| match clause.any.as_slice() {
                [Term::Content(content)] => Some(*content),
                _ => None,
            })
    }
}

impl Term {
    /// Its whole words, if it has some.
    fn whole_words(&self) -> Option<Vec<&str>> {
        let Self::Words(_, sequence) = self else {
            return None;
        };
        let whole = sequence.flagged().filter(|(_, open)| !open);
        let whole: Vec<&str> = whole.map(|(word, _)| word).collect();
        (!whole.is_empty()).then_some(whole)
    }
}

impl Clause {
    /// Whether deciding it takes the words of an entry.
    pub(crate) fn has_words(&self) -> bool {
        self.any.iter().any(|term| matches!(term, Term::Words(..)))
    }

    /// Whether every alternative can be found in an index by itself.
    pub(crate) fn is_anchored(&self) -> bool {
        let findable = |term: &Term| matches!(term, Term::Words(..) | Term::Content(_));
        !self.negated && self.any.iter().all(findable)
    }
}

impl Sequence {
    /// The words, each with whether it may go on.
    pub(crate) fn flagged(&self) -> impl Iterator<Item = (&str, bool)> {
        let last = self.words.len() - 1;
        self.words
            .iter()
            .enumerate()
            .map(move |(place, word)| (word.as_str(), self.open && place == last))
    }
}

#[cfg(test)]
mod tests;
