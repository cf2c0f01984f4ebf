//! What a match is.

use gannet_base::{ContentId, FileEntry, FileKind};

use super::{Clause, Closeness, Expression, Scope, Sequence, Term};
use crate::tokenize::Tokens;

/// The words of an entry: those of its path, title, artist and album. A buffer
/// to be used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntryTokens {
    tokens: Tokens,
    /// Where the words of path, title, artist and album end.
    ends: [usize; 4],
}

impl EntryTokens {
    /// Takes the words of an entry. The path may come in pieces that were cut
    /// at slashes.
    pub(crate) fn fill<'a>(
        &mut self,
        path: impl IntoIterator<Item = &'a str>,
        texts: [Option<&str>; 3],
    ) {
        self.tokens.clear();
        path.into_iter()
            .for_each(|piece| self.tokens.push_text(piece));
        self.ends[0] = self.tokens.len();
        for (end, text) in self.ends[1..].iter_mut().zip(texts) {
            text.into_iter()
                .for_each(|text| self.tokens.push_text(text));
            *end = self.tokens.len();
        }
    }

    /// Takes the words of an entry.
    pub(crate) fn fill_from(&mut self, entry: &FileEntry) {
        let media = &entry.media;
        let texts = [&media.title, &media.artist, &media.album];
        self.fill(path_pieces(&entry.path), texts.map(|text| text.as_deref()));
    }

    /// All words.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter()
    }

    /// The places of the words of this scope: sections that no phrase crosses.
    fn sections(&self, scope: Scope) -> impl Iterator<Item = (usize, usize)> {
        let [path, title, artist, album] = self.ends;
        let all = [(0, path), (path, title), (title, artist), (artist, album)];
        let (from, to) = match scope {
            Scope::Anywhere => (0, 4),
            Scope::Title => (1, 2),
            Scope::Artist => (2, 3),
            Scope::Album => (3, 4),
        };
        all.into_iter().take(to).skip(from)
    }

    /// The first place, at or behind `start`, where the sequence stands.
    /// `whole`: an open last word must be met exactly.
    fn find(&self, scope: Scope, words: &Sequence, start: usize, whole: bool) -> Option<usize> {
        for (from, to) in self.sections(scope) {
            let mut place = from.max(start);
            while place + words.words.len() <= to {
                if self.stands_at(words, place, whole) {
                    return Some(place);
                }
                place += 1;
            }
        }
        None
    }

    fn stands_at(&self, words: &Sequence, place: usize, whole: bool) -> bool {
        words.flagged().enumerate().all(|(offset, (word, open))| {
            let found = self.tokens.word(place + offset);
            if open && !whole {
                found.starts_with(word)
            } else {
                found == word
            }
        })
    }
}

impl Tokens {
    /// The words that an entry is found by: those of its path, title, artist
    /// and album. Whoever sums up the words of entries sums up these; a long
    /// path has more of them than [`tokenize`](crate::tokenize) gives for it.
    pub fn of_entry(entry: &FileEntry) -> Self {
        let mut tokens = EntryTokens::default();
        tokens.fill_from(entry);
        tokens.tokens
    }
}

/// An entry as matching sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) tokens: &'a EntryTokens,
    /// The last component of the path.
    pub(crate) name: &'a str,
    pub(crate) size: u64,
    pub(crate) content: ContentId,
}

impl Term {
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Words(scope, words) => subject.tokens.find(*scope, words, 0, false).is_some(),
            Self::Kind(kind) => kind_of(subject.name) == *kind,
            Self::Extension(extension) => has_extension(subject.name, extension),
            Self::Size(range) => range.contains(subject.size),
            Self::Content(content) => subject.content == *content,
        }
    }
}

impl Clause {
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        self.any.iter().any(|term| term.matches(subject)) != self.negated
    }

    /// The alternatives that ranking looks at; none if one is not a word.
    fn ranked(&self) -> impl Iterator<Item = &Sequence> {
        let all_words = |term: &Term| matches!(term, Term::Words(Scope::Anywhere, _));
        let ranked = !self.negated && self.any.iter().all(all_words);
        self.any
            .iter()
            .filter(move |_| ranked)
            .filter_map(|term| match term {
                Term::Words(_, words) => Some(words),
                _ => None,
            })
    }

    pub(crate) fn is_ranked(&self) -> bool {
        self.ranked().next().is_some()
    }
}

impl Expression {
    /// Whether the entry matches. Slow and obvious: this is the definition of
    /// a match, the index only finds matches sooner. Also what to check an
    /// answer from a stranger against. Time is the product of the lengths.
    pub fn matches(&self, entry: &FileEntry) -> bool {
        self.closeness(entry).is_some()
    }

    /// How closely the entry matches; nothing if it does not match.
    pub fn closeness(&self, entry: &FileEntry) -> Option<Closeness> {
        let mut tokens = EntryTokens::default();
        tokens.fill_from(entry);
        let subject = Subject {
            tokens: &tokens,
            name: entry.name(),
            size: entry.size,
            content: entry.content,
        };
        let all = self.clauses.iter().all(|clause| clause.matches(&subject));
        all.then(|| self.closeness_of(&tokens))
    }

    /// The words of a query that is nothing but whole words that may stand
    /// anywhere, in its order.
    pub(crate) fn plain_words(&self) -> Option<Vec<&str>> {
        let word = |clause: &'_ Clause| match clause.any.as_slice() {
            [Term::Words(Scope::Anywhere, words)] if !clause.negated && !words.open => {
                words.words.len() == 1
            }
            _ => false,
        };
        let all = self.clauses.iter().all(word);
        all.then(|| self.required_words().collect())
    }

    /// Whether all matches are equally close.
    pub(crate) fn has_one_closeness(&self) -> bool {
        let mut ranked = self.clauses.iter().filter(|clause| clause.is_ranked());
        let open = |clause: &Clause| clause.ranked().any(|words| words.open);
        ranked.next().is_none_or(|clause| !open(clause)) && ranked.next().is_none()
    }

    /// How closely an entry that matches does so.
    pub(crate) fn closeness_of(&self, tokens: &EntryTokens) -> Closeness {
        let mut next = Some(0);
        for clause in self.clauses.iter().filter(|clause| clause.is_ranked()) {
            let found_from = |start| {
                clause
                    .ranked()
                    .filter_map(|words| {
                        let place = tokens.find(Scope::Anywhere, words, start, true)?;
                        Some(place + words.words.len())
                    })
                    .min()
            };
            next = match next.and_then(found_from) {
                Some(end) => Some(end),
                None if found_from(0).is_some() => None,
                None => return Closeness::Prefix,
            };
        }
        if next.is_some() {
            Closeness::InOrder
        } else {
            Closeness::Whole
        }
    }
}

/// The path in the pieces that the index keeps: folder and name.
pub(crate) fn path_pieces(path: &str) -> [&str; 2] {
    path.rsplit_once('/')
        .map_or(["", path], |(folder, name)| [folder, name])
}

fn kind_of(name: &str) -> FileKind {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.is_empty() => {
            FileKind::of_extension(extension)
        }
        _ => FileKind::Other,
    }
}

/// Whether the name ends in a dot and this text, in any case, and starts with
/// something else.
fn has_extension(name: &str, extension: &str) -> bool {
    let ends = |name: &str| {
        let stem = name
            .strip_suffix(extension)
            .and_then(|name| name.strip_suffix('.'));
        stem.is_some_and(|stem| !stem.is_empty())
    };
    if name.is_ascii() {
        ends(&name.to_ascii_lowercase())
    } else {
        ends(&name.to_lowercase())
    }
}
