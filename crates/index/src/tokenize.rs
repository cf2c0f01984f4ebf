//! The one tokenizer.
//!
//! **Problem.** A sharer indexes `Björk – Jóga (Live '97).FLAC`, a searcher
//! types `bjork joga 97`. Both texts must come to the same words, on every
//! peer and in every overlay, or the same query finds different things.
//!
//! **What it does**, in this order: Unicode compatibility decomposition
//! (NFKD); marks that only decorate a letter are dropped (the accents of Latin,
//! Greek and Cyrillic, Hebrew points, Arabic vowel signs: the vowel signs of
//! Indic scripts and the voicing marks of kana stay, they make another letter);
//! case folding; canonical composition of what is left. Then it cuts: at
//! everything that is neither letter nor digit, and between a letter and a
//! digit (`S01E02` is `s 01 e 02`). Chinese, Japanese and Korean, which do not
//! put spaces between words or attach endings to them, come as overlapping
//! pairs of characters; a single one between others stands for itself.
//!
//! **Bounds.** A word is cut after [`Tokens::WORD_BYTES_MAX`] bytes, a text
//! after [`Tokens::WORDS_PER_TEXT_MAX`] words, on both sides alike. Time is
//! linear in the length of the text.
//!
//! **Invariant.** Tokenizing the words, joined by spaces, gives the same words.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The words of a text, in order. A buffer to be used again: clearing keeps
/// the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    text: String,
    spans: Vec<(usize, usize)>,
}

/// The words of a text.
///
/// ```
/// let words = gannet_index::tokenize("Björk – Jóga (S01E02).FLAC");
/// let words: Vec<&str> = words.iter().collect();
/// assert_eq!(words, ["bjork", "joga", "s", "01", "e", "02", "flac"]);
/// ```
pub fn tokenize(text: &str) -> Tokens {
    let mut tokens = Tokens::default();
    tokens.push_text(text);
    tokens
}

impl Tokens {
    /// Longest word, bytes of UTF-8; the rest of a longer one is ignored.
    // Guess: the longest words of languages written with spaces have about 40 letters.
    pub const WORD_BYTES_MAX: usize = 48;
    /// Most words of one text; further ones are ignored.
    // Guess: a path of the greatest length in ordinary prose has about 200.
    pub const WORDS_PER_TEXT_MAX: usize = 256;

    /// How many words.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The words in the order of the text, repeated ones repeatedly.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.spans.iter().map(|&span| self.slice(span))
    }

    /// The word at this place.
    pub(crate) fn word(&self, place: usize) -> &str {
        self.slice(self.spans[place])
    }

    fn slice(&self, (start, end): (usize, usize)) -> &str {
        &self.text[start..end]
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Appends the words of one more text.
    pub fn push_text(&mut self, text: &str) {
        let start = self.text.len();
        if text.is_ascii() {
            self.text.push_str(text);
            self.text[start..].make_ascii_lowercase();
        } else {
            let folded = text.nfkd().filter(|c| !is_dropped(*c)).flat_map(fold);
            self.text.extend(folded.nfc());
        }
        let spans_max = self.spans.len() + Self::WORDS_PER_TEXT_MAX;
        if text.is_ascii() {
            self.cut_ascii(start, spans_max);
        } else {
            self.cut_unicode(start, spans_max);
        }
    }

    /// Cuts what lies behind `start`, all of it lower-case ASCII.
    fn cut_ascii(&mut self, start: usize, spans_max: usize) {
        let mut open: Option<(usize, Class)> = None;
        let bytes = self.text.as_bytes();
        for (place, byte) in bytes.iter().enumerate().skip(start) {
            let class = match byte {
                b'a'..=b'z' => Class::Letter,
                b'0'..=b'9' => Class::Digit,
                _ => Class::Other,
            };
            match open {
                Some((_, same)) if same == class => continue,
                Some((from, _)) => self
                    .spans
                    .push((from, place.min(from + Self::WORD_BYTES_MAX))),
                None => {}
            }
            if self.spans.len() == spans_max {
                return;
            }
            open = (class != Class::Other).then_some((place, class));
        }
        if let Some((from, _)) = open {
            let end = bytes.len().min(from + Self::WORD_BYTES_MAX);
            self.spans.push((from, end));
        }
    }

    /// Cuts what lies behind `start`: folded text of any script.
    fn cut_unicode(&mut self, start: usize, spans_max: usize) {
        let mut open: Option<Run> = None;
        for (offset, c) in self.text[start..].char_indices() {
            let place = start + offset;
            let end = place + c.len_utf8();
            let class = class(c);
            match &mut open {
                Some(run) if run.class == class => run.extend(&mut self.spans, place, end),
                _ => {
                    open.take()
                        .into_iter()
                        .for_each(|run| run.close(&mut self.spans));
                    open = (class != Class::Other).then_some(Run {
                        class,
                        start: place,
                        last: place,
                        end,
                    });
                }
            }
            if self.spans.len() >= spans_max {
                self.spans.truncate(spans_max);
                return;
            }
        }
        open.into_iter().for_each(|run| run.close(&mut self.spans));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// A character of a script that is cut into pairs.
    Pair,
    Other,
}

/// A run of characters of one class.
struct Run {
    class: Class,
    start: usize,
    /// Where its last character starts.
    last: usize,
    /// Where what counts of it ends.
    end: usize,
}

impl Run {
    fn extend(&mut self, spans: &mut Vec<(usize, usize)>, place: usize, end: usize) {
        if self.class == Class::Pair {
            spans.push((self.last, end));
            self.last = place;
            self.end = end;
        } else if self.end == place && end - self.start <= Tokens::WORD_BYTES_MAX {
            self.end = end;
        }
    }

    fn close(self, spans: &mut Vec<(usize, usize)>) {
        if self.class != Class::Pair || self.last == self.start {
            spans.push((self.start, self.end));
        }
    }
}

/// Case folding of a decomposed character: down, up, and down again, which
/// brings together what has one capital (`σ` and `ς`, `i` and `ı`; `ẞ`, `ß` and
/// `ss`).
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// Whether a character only decorates the one before it or joins its
/// neighbours invisibly.
fn is_dropped(c: char) -> bool {
    matches!(c,
        // Combining diacritical marks of all blocks.
        '\u{0300}'..='\u{036f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        // Cyrillic, Hebrew and Arabic ones.
        | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}' | '\u{05c2}'
        | '\u{05c4}' | '\u{05c5}' | '\u{05c7}' | '\u{0610}'..='\u{061a}' | '\u{064b}'..='\u{065f}'
        | '\u{0670}' | '\u{06d6}'..='\u{06dc}' | '\u{06df}'..='\u{06e4}' | '\u{0640}'
        // Soft hyphen, joiners, byte order mark, variation selectors.
        | '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether the character belongs to a script that is cut into pairs.
pub(crate) fn is_pair(c: char) -> bool {
    matches!(c,
        '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{3105}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3fffd}')
        && c.is_alphanumeric()
}

fn class(c: char) -> Class {
    if is_pair(c) {
        Class::Pair
    } else if c.is_numeric() {
        Class::Digit
    } else if c.is_alphabetic() || is_combining_mark(c) {
        Class::Letter
    } else {
        Class::Other
    }
}
