//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! Every rule is a function from the checkout's text to problems, and has a
//! test with something that passes and something that fails.

mod architecture;
mod arrows;
mod fuzz;
mod manifest;
mod pure;
mod readme;
mod size;
mod source;
mod text;
mod tree;

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use tree::Tree;

/// One thing that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    line: usize,
    what: String,
    remedy: String,
    /// Worth saying, and no reason to fail.
    warning: bool,
}

impl Problem {
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            remedy: remedy.into(),
            warning: false,
        }
    }

    fn into_warning(self) -> Self {
        Self {
            warning: true,
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning: " } else { "" };
        write!(
            f,
            "{}:{}: {kind}{}; {}",
            self.path, self.line, self.what, self.remedy
        )
    }
}

type Rule = (&'static str, fn(&Tree) -> Vec<Problem>);

const RULES: &[Rule] = &[
    ("dependencies point downward", arrows::check),
    ("pure crates stay pure", pure::check),
    ("manifests follow the workspace", manifest::check),
    ("files keep their size", size::check),
    ("no forbidden text", text::check),
    ("ARCHITECTURE.md names what exists", architecture::check),
    ("README.md shows commands that exist", readme::check),
    ("every decoder has a fuzz target", fuzz::check),
];

/// Checks the checkout and says what is wrong; whether nothing is.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let tree = Tree::read(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut failures = 0;
    for (rule, check) in RULES {
        let problems = check(&tree);
        let wrong = problems.iter().filter(|problem| !problem.warning).count();
        failures += wrong;
        let verdict = if wrong == 0 { "ok" } else { "FAILED" };
        println!("{verdict:6} {rule}");
        for problem in &problems {
            println!("       {problem}");
        }
    }
    if failures > 0 {
        println!("tidy: {failures} problems");
    }
    Ok(failures == 0)
}

/// The number of the first line for which `test` holds, or 1.
fn line_where(text: &str, test: impl Fn(&str) -> bool) -> usize {
    text.lines().position(test).map_or(1, |at| at + 1)
}

/// What `` `…` `` spans of Markdown hold, with their lines; fenced blocks are
/// left out.
fn code_spans(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let inside = line.split('`').skip(1).step_by(2);
            spans.extend(inside.map(|span| (n + 1, span)));
        }
    }
    spans
}

#[cfg(test)]
#[track_caller]
fn assert_problem(problems: &[Problem], path: &str, line: usize, word: &str) {
    assert!(
        problems
            .iter()
            .any(|p| p.path == path && p.line == line && p.what.contains(word)),
        "no problem with {word:?} at {path}:{line} among {problems:#?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_like_a_compilers() {
        let problem = Problem::new("a.rs", 3, "it is long", "split it");
        assert_eq!(problem.to_string(), "a.rs:3: it is long; split it");
    }

    #[test]
    fn spans_are_outside_of_fences() {
        let text = "a `b` c `d e`\n```\n`no`\n```\n`f`";
        assert_eq!(code_spans(text), [(1, "b"), (1, "d e"), (5, "f")]);
    }
}
