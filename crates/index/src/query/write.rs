//! From [`Expression`] back to text.

use std::fmt::Write as _;

use super::{Expression, Scope, Term};

impl Expression {
    /// The query in one spelling: folded words, filters behind words, nothing
    /// twice. Queries with equal texts have equal meaning (not always the other
    /// way round), and the text, if it is not too long for a query, parses to
    /// the same expression again.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for clause in &self.clauses {
            if !text.is_empty() {
                text.push(' ');
            }
            if clause.negated {
                text.push('-');
            }
            for (place, term) in clause.any.iter().enumerate() {
                if place > 0 {
                    text.push_str(" OR ");
                }
                write_term(&mut text, term);
            }
        }
        text
    }
}

fn write_term(text: &mut String, term: &Term) {
    let written = match term {
        Term::Words(scope, sequence) => {
            text.push_str(match scope {
                Scope::Anywhere => "",
                Scope::Title => "title:",
                Scope::Artist => "artist:",
                Scope::Album => "album:",
            });
            let mark = if sequence.words.len() > 1 { "\"" } else { "" };
            let star = if sequence.open { "*" } else { "" };
            write!(text, "{mark}{}{mark}{star}", sequence.words.join(" "))
        }
        Term::Kind(kind) => write!(text, "type:{}", kind.name()),
        Term::Extension(extension) => write!(text, "ext:\"{extension}\""),
        Term::Size(range) => write!(text, "size:{range}"),
        Term::Content(content) => write!(text, "hash:{content}"),
    };
    written.expect("writing to a string does not fail");
}
