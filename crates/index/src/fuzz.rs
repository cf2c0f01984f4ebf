//! The body of the fuzz target of the query language.

use gannet_base::{ContentId, FileEntry, Media, Query};

use crate::{Expression, Tokens, tokenize};

/// Understands any bytes as a query, and checks what must always hold.
///
/// # Panics
///
/// If it does not hold.
#[doc(hidden)]
pub fn fuzz_query(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let tokens = tokenize(&text);
    assert!(
        tokens.len() <= Tokens::WORDS_PER_TEXT_MAX,
        "words are bounded"
    );
    for word in tokens.iter() {
        assert!(
            !word.is_empty() && word.len() <= Tokens::WORD_BYTES_MAX,
            "words are bounded"
        );
    }
    let Ok(query) = Query::new(&text) else {
        return;
    };
    let Ok(expression) = Expression::parse(&query) else {
        return;
    };
    assert!(
        expression.required_words().count() <= Expression::WORDS_MAX,
        "queries are bounded"
    );
    let canonical = expression.canonical();
    if let Ok(query) = Query::new(&canonical) {
        let again = Expression::parse(&query);
        assert_eq!(
            again.as_ref(),
            Ok(&expression),
            "{canonical:?} means the same"
        );
    }
    let entry = FileEntry {
        content: ContentId::from_bytes([0; 32]),
        size: 1_000,
        path: text.into_owned(),
        media: Media::default(),
    };
    assert_eq!(
        expression.matches(&entry),
        expression.closeness(&entry).is_some()
    );
}
