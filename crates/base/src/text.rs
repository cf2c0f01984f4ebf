//! Texts from strangers: made fit for a terminal, a log or one line.

use std::fmt;

/// Shows an untrusted text without letting it steer the terminal: control
/// characters, direction marks and other invisible ones come out as `\u{…}`.
///
/// ```
/// use gannet_base::Escaped;
/// assert_eq!(Escaped("a\u{202e}gpj.exe").to_string(), "a\\u{202e}gpj.exe");
/// assert_eq!(Escaped("naïve.txt").to_string(), "naïve.txt");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            if is_deceptive(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Whether a character has no picture of its own or moves its neighbours:
/// controls, direction marks and overrides, zero-width ones, line and paragraph
/// separators, byte order mark, private use, tags, variation selectors beyond
/// the first sixteen.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// A text with every deceptive character dropped and white space folded: for
/// names that a user will see in places that cannot escape.
pub fn sanitise_line(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_deceptive(*c))
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "\u{1b}[2J\u{9b}31m\rx\u{8}\u{7f}\u{200d}\n";
        let shown = Escaped(hostile).to_string();
        assert!(
            shown.chars().all(|c| !c.is_control() && c != '\u{200d}'),
            "{shown}"
        );
        assert_eq!(sanitise_line("  a\t\u{1b}[1m b\u{202e} "), "a [1m b");
    }
}
