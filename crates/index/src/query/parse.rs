//! From text to [`Expression`].

use gannet_base::FileKind;

use super::{Clause, Expression, QueryError, Scope, Sequence, SizeRange, Term};
use crate::tokenize;
use crate::tokenize::is_pair;

/// Names before a colon that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Words(Scope),
    Kind,
    Extension,
    Size,
    Hash,
}

const FIELDS: [(&str, Field, &str); 7] = [
    ("title", Field::Words(Scope::Title), "waterloo"),
    ("artist", Field::Words(Scope::Artist), "abba"),
    ("album", Field::Words(Scope::Album), "arrival"),
    ("type", Field::Kind, "audio"),
    ("ext", Field::Extension, "flac"),
    ("size", Field::Size, ">10MB"),
    ("hash", Field::Hash, "64 hexadecimal digits"),
];

/// A term as it was typed.
struct Raw<'a> {
    negated: bool,
    field: Option<(&'static str, Field, &'static str)>,
    text: &'a str,
    quoted: bool,
    /// A `*` follows.
    open: bool,
}

pub(super) fn parse(text: &str) -> Result<Expression, QueryError> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut terms = 0;
    let mut words = 0;
    let mut or_pending = false;
    let mut rest = text;
    while let Some(raw) = next_raw(&mut rest)? {
        if raw.is_or() {
            if or_pending || clauses.is_empty() {
                return Err(QueryError::DanglingOr);
            }
            or_pending = true;
            continue;
        }
        let negated = raw.negated;
        let alternatives = raw.terms()?;
        if alternatives.is_empty() {
            continue;
        }
        terms += alternatives.len();
        words += alternatives.iter().map(Term::words_len).sum::<usize>();
        if terms > Expression::TERMS_MAX {
            return Err(QueryError::TooManyTerms);
        }
        if words > Expression::WORDS_MAX {
            return Err(QueryError::TooManyWords);
        }
        match clauses.last_mut() {
            Some(last) if or_pending => {
                if negated || last.negated {
                    return Err(QueryError::NegatedAlternative);
                }
                last.any.extend(alternatives);
            }
            // None of several is each of them not.
            _ if negated => clauses.extend(alternatives.into_iter().map(|term| Clause {
                negated,
                any: vec![term],
            })),
            _ => clauses.push(Clause {
                negated,
                any: alternatives,
            }),
        }
        or_pending = false;
    }
    if or_pending {
        return Err(QueryError::DanglingOr);
    }
    simplify(&mut clauses);
    if !clauses.iter().any(Clause::is_anchored) {
        return Err(QueryError::NoPositiveWord);
    }
    Ok(Expression { clauses })
}

/// Brings what means the same into one form: nothing twice, alternatives
/// sorted, first the words (their order counts in ranking), then all else,
/// sorted.
fn simplify(clauses: &mut Vec<Clause>) {
    let mut words: Vec<Clause> = Vec::with_capacity(clauses.len());
    let mut others: Vec<Clause> = Vec::new();
    for mut clause in clauses.drain(..) {
        clause.any.sort();
        clause.any.dedup();
        if !clause.is_ranked() {
            others.push(clause);
        } else if !words.contains(&clause) {
            words.push(clause);
        }
    }
    others.sort();
    others.dedup();
    words.append(&mut others);
    *clauses = words;
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„')
}

/// Takes the next term off the front.
fn next_raw<'a>(rest: &mut &'a str) -> Result<Option<Raw<'a>>, QueryError> {
    let mut text = rest.trim_start();
    if text.is_empty() {
        return Ok(None);
    }
    let negated = text.starts_with('-');
    if negated {
        text = &text[1..];
    }
    let field = field_of(text);
    if let Some((name, ..)) = field {
        text = &text[name.len() + 1..];
    }
    let quoted = text.starts_with(is_quote);
    let (content, mut behind) = if quoted {
        let mut inner = text.chars();
        inner.next();
        let inner = inner.as_str();
        let end = inner.find(is_quote).ok_or(QueryError::OpenQuote)?;
        let mut behind = inner[end..].chars();
        behind.next();
        (&inner[..end], behind.as_str())
    } else {
        let end = text
            .find(|c: char| c.is_whitespace() || is_quote(c))
            .unwrap_or(text.len());
        text.split_at(end)
    };
    let mut open = content.ends_with('*') && !quoted;
    if quoted && let Some(after) = behind.strip_prefix('*') {
        open = true;
        behind = after;
    }
    *rest = behind;
    Ok(Some(Raw {
        negated,
        field,
        text: content,
        quoted,
        open,
    }))
}

fn field_of(text: &str) -> Option<(&'static str, Field, &'static str)> {
    let (name, _) = text.split_once(':')?;
    FIELDS
        .into_iter()
        .find(|(field, ..)| field.eq_ignore_ascii_case(name))
}

impl Raw<'_> {
    fn is_or(&self) -> bool {
        !self.negated && !self.quoted && self.field.is_none() && self.text == "OR"
    }

    /// What it means: alternatives; none if it is nothing but punctuation.
    fn terms(&self) -> Result<Vec<Term>, QueryError> {
        let Some((name, field, example)) = self.field else {
            let words = self.sequence();
            return Ok(words
                .map(|words| Term::Words(Scope::Anywhere, words))
                .into_iter()
                .collect());
        };
        let value = self.text.trim();
        let nothing = QueryError::EmptyFilter {
            field: name,
            example,
        };
        if value.is_empty() {
            return Err(nothing);
        }
        match field {
            Field::Words(scope) => match self.sequence() {
                Some(words) => Ok(vec![Term::Words(scope, words)]),
                None => Err(nothing),
            },
            Field::Kind => list(value, nothing, |part| {
                let unknown = || QueryError::UnknownKind {
                    value: part.to_owned(),
                };
                FileKind::from_name(part)
                    .map(Term::Kind)
                    .ok_or_else(unknown)
            }),
            Field::Extension => list(value, nothing, |part| {
                Ok(Term::Extension(part.trim_start_matches('.').to_lowercase()))
            }),
            Field::Size => Ok(vec![Term::Size(SizeRange::parse(value)?)]),
            Field::Hash => Ok(vec![Term::Content(value.parse()?)]),
        }
    }

    fn sequence(&self) -> Option<Sequence> {
        let words: Vec<String> = tokenize(self.text).iter().map(str::to_owned).collect();
        let lone = match words.as_slice() {
            [] => return None,
            [word] => word.chars().all(is_pair) && word.chars().count() == 1,
            _ => false,
        };
        // Of a text in pairs no word has one character only, unless that
        // stands alone: one character is looked for as the first of a pair.
        Some(Sequence {
            words,
            open: self.open || lone,
        })
    }
}

/// `a,b,c`.
fn list(
    value: &str,
    nothing: QueryError,
    term: impl Fn(&str) -> Result<Term, QueryError>,
) -> Result<Vec<Term>, QueryError> {
    let parts = value.split(',').map(str::trim);
    let parts: Vec<&str> = parts
        .filter(|part| !part.trim_matches('.').is_empty())
        .collect();
    if parts.is_empty() {
        return Err(nothing);
    }
    parts.into_iter().map(term).collect()
}

impl Term {
    fn words_len(&self) -> usize {
        match self {
            Self::Words(_, sequence) => sequence.words.len(),
            _ => 0,
        }
    }
}
