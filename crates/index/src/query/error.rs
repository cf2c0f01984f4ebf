//! Why a text is not a query.

use gannet_base::ParseIdError;

use super::Expression;

/// Why a query has no meaning. Every text says what to type instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing in the query narrows it to entries that have some word: it would
    /// match nearly everything, and no index could find it. Add a word.
    #[error(
        "the query has no word to look for: add one that the file's name must have \
         (filters and -words only narrow what words find)"
    )]
    NoPositiveWord,
    /// A quotation mark was opened and not closed.
    #[error("a quotation mark is not closed: write \"the phrase\" or leave the mark out")]
    OpenQuote,
    /// There is nothing to choose from on one side of an `OR`.
    #[error("OR stands between two words: write `this OR that`, or `or` for the word")]
    DanglingOr,
    /// `a OR -b` would match nearly everything.
    #[error("a -word cannot be one side of OR: it would match nearly everything")]
    NegatedAlternative,
    /// There are more terms than [`Expression::TERMS_MAX`].
    #[error("the query has more than {} terms: use fewer", Expression::TERMS_MAX)]
    TooManyTerms,
    /// The terms have more words than [`Expression::WORDS_MAX`].
    #[error("the query has more than {} words: use fewer", Expression::WORDS_MAX)]
    TooManyWords,
    /// `type:` is followed by something that is no kind of file.
    #[error(
        "type:{value} is unknown: it is one of audio, video, image, document, archive, program, \
         other"
    )]
    UnknownKind {
        /// What was typed.
        value: String,
    },
    /// A filter has nothing, or no letter or digit, behind its colon.
    #[error("{field}: needs a value right behind the colon, as in `{field}:{example}`")]
    EmptyFilter {
        /// The filter's name.
        field: &'static str,
        /// A value that it would take.
        example: &'static str,
    },
    /// `size:` is followed by something that is no size.
    #[error(
        "size:{value} is no size: write `size:>10MB`, `size:<=700MiB`, `size:1GB..4GB` or \
         `size:..5kB`"
    )]
    BadSize {
        /// What was typed.
        value: String,
    },
    /// The size is larger than any file can be (2^64 - 1 bytes).
    #[error("size:{value} is larger than any file")]
    SizeOverflow {
        /// What was typed.
        value: String,
    },
    /// `size:` asks for more than itself: its lower end is above its upper one.
    #[error("size:{value} is empty: the smaller size comes first")]
    EmptySize {
        /// What was typed.
        value: String,
    },
    /// `hash:` is not followed by a content id.
    #[error("hash: needs a whole content id: {0}")]
    BadContentId(#[from] ParseIdError),
}
