//! A Rust file seen in two ways: as it is, and with comments and the insides
//! of strings blanked out, so that looking for a name finds code only.

use std::ops::Range;

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    raw: String,
    code: String,
    test_lines: Vec<Range<usize>>,
    /// Names of modules in files of their own that exist only in tests.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    /// Takes a file's text.
    pub(crate) fn new(raw: &str) -> Self {
        let code = mask(raw);
        let (test_lines, test_modules) = test_parts(&code);
        Self {
            raw: raw.to_owned(),
            code,
            test_lines,
            test_modules,
        }
    }

    /// The text as it is.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// The text without comments and the insides of strings.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Line number (from 1), the line as code and the line as it is.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.code
            .lines()
            .zip(self.raw.lines())
            .enumerate()
            .map(|(n, (code, raw))| (n + 1, code, raw))
    }

    /// Whether this line (from 1) is inside an item under `#[cfg(test)]`.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.iter().any(|range| range.contains(&line))
    }

    /// Whether a `// tidy: allow(reason)` on this line (from 1), or alone on
    /// the line before, excuses it.
    pub(crate) fn is_allowed(&self, line: usize) -> bool {
        let mut around = self.raw.lines().skip(line.saturating_sub(2)).take(2);
        let (before, here) = if line == 1 {
            (None, around.next())
        } else {
            (around.next(), around.next())
        };
        here.is_some_and(has_allowance)
            || before.is_some_and(|text| text.trim().starts_with("//") && has_allowance(text))
    }
}

/// Whether a line carries an allowance with a reason in it.
fn has_allowance(line: &str) -> bool {
    line.split_once("// tidy: allow(")
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .is_some_and(|(reason, _)| !reason.trim().is_empty())
}

/// Whether `name` occurs in `text` with no letter, digit or `_` around it.
pub(crate) fn has_word(text: &str, name: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
    text.match_indices(name).any(|(at, _)| {
        let after = &text[at + name.len()..];
        let needs_start = name.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let needs_end = name.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        (!needs_start || edge(text[..at].chars().next_back()))
            && (!needs_end || edge(after.chars().next()))
    })
}

/// Blanks comments and the insides of strings and characters; keeps every line
/// break.
fn mask(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let (keep, blank) = piece(rest, before);
        out.push_str(&rest[..keep]);
        for c in rest[keep..keep + blank].chars() {
            out.push(if c == '\n' { '\n' } else { ' ' });
        }
        let taken = keep + blank;
        before = rest[..taken].chars().next_back().unwrap_or(first);
        rest = &rest[taken..];
    }
    out
}

/// How many bytes at the start of `rest` to keep, and how many after them to
/// blank; together at least one.
fn piece(rest: &str, before: char) -> (usize, usize) {
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, block_comment(rest));
    }
    let in_word = before.is_alphanumeric() || before == '_';
    if !in_word && let Some(found) = raw_string(rest) {
        return found;
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return (1, string_inside(inside));
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        return (1, char_inside(inside));
    }
    (rest.chars().next().map_or(1, char::len_utf8), 0)
}

/// Length of a block comment, which may nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// A raw string's opening and inside with closing: `r"…"`, `br##"…"##`.
fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let marks = ["br", "cr", "r"].into_iter().find_map(|prefix| {
        let tail = rest.strip_prefix(prefix)?;
        let hashes = tail.len() - tail.trim_start_matches('#').len();
        tail[hashes..]
            .starts_with('"')
            .then_some((prefix.len() + hashes + 1, hashes))
    });
    let (open, hashes) = marks?;
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = &rest[open..];
    let blank = inside
        .find(&close)
        .map_or(inside.len(), |at| at + close.len());
    Some((open, blank))
}

/// Length of a string's inside and its closing quote.
fn string_inside(inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    inside.len()
}

/// Length of a character's inside and its closing quote; 0 for a lifetime.
fn char_inside(inside: &str) -> usize {
    let mut chars = inside.char_indices();
    match chars.next() {
        Some((_, '\\')) => inside[1..]
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '\'')
            .map_or(0, |(at, _)| at + 2),
        Some((_, c)) if inside[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 1,
        _ => 0,
    }
}

/// Lines of items under `#[cfg(test)]`, and the names of modules that are in
/// files of their own.
fn test_parts(code: &str) -> (Vec<Range<usize>>, Vec<String>) {
    let (mut lines, mut modules) = (Vec::new(), Vec::new());
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        from = start + "#[cfg(test)]".len();
        let item = &code[from..];
        let (semicolon, brace) = (item.find(';'), item.find('{'));
        let length = match (semicolon, brace) {
            (Some(semicolon), brace) if brace.is_none_or(|brace| semicolon < brace) => {
                modules.extend(module_name(&item[..semicolon]));
                semicolon + 1
            }
            (_, Some(brace)) => brace + block(&item[brace..]),
            _ => item.len(),
        };
        let line_of = |at: usize| code[..at].matches('\n').count() + 1;
        from += length;
        lines.push(line_of(start)..line_of(from) + 1);
    }
    (lines, modules)
}

/// The name in `… mod name`.
fn module_name(item: &str) -> Option<String> {
    let mut words = item.split_whitespace();
    words.find(|word| *word == "mod")?;
    words.next().map(str::to_owned)
}

/// Length of a block that starts with its brace.
fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, code: &str) {
        assert_eq!(Source::new(raw).code(), code);
    }

    #[test]
    fn comments_and_strings_are_blank() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check(r#"x("a\"b", 'c', '\'', 1)"#, r#"x("     , '  , '   , 1)"#);
        check("r#\"a\"b\"# + c", "r#\"      + c");
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    }

    #[test]
    fn test_items_are_found() {
        let source = Source::new(
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\"; }\n}\nfn c() {}\n#[cfg(test)]\nmod sim;\n",
        );
        let tests: Vec<usize> = (1..=8).filter(|n| source.is_test_line(*n)).collect();
        assert_eq!(tests, [2, 3, 4, 5, 7, 8]);
        assert_eq!(source.test_modules, ["sim"]);
    }

    #[test]
    fn allowances_need_a_reason() {
        let source = Source::new(
            "a // tidy: allow(never iterated)\nb // tidy: allow()\n// tidy: allow(why)\nc\nd\n",
        );
        let allowed: Vec<bool> = (1..=5).map(|n| source.is_allowed(n)).collect();
        assert_eq!(allowed, [true, false, true, true, false]);
    }

    #[test]
    fn words_have_edges() {
        assert!(has_word("use x::HashMap;", "HashMap"));
        assert!(!has_word("MyHashMap", "HashMap"));
        assert!(!has_word("HashMaps", "HashMap"));
        assert!(has_word("std::fs::read", "std::fs"));
        assert!(has_word("thread::spawn", "thread::"));
    }
}
