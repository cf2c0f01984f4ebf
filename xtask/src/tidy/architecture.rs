//! ARCHITECTURE.md names what exists, and gives a reason for every dependency.

use std::collections::{BTreeMap, BTreeSet};

use super::readme::{Known, is_command};
use super::{Problem, code_spans, manifest, tree::Tree};

const FILE: &str = "ARCHITECTURE.md";
const LINES_MAX: usize = 200;
/// Fewest words that can be a reason.
const REASON_WORDS_MIN: usize = 3;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let Some(text) = tree.text(FILE) else {
        return vec![Problem::new(FILE, 1, "there is no such file", "write it")];
    };
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(Problem::new(
            FILE,
            LINES_MAX + 1,
            format!("it has {lines} lines, more than {LINES_MAX}"),
            "leave out what the code says itself",
        ));
    }
    let names = Names::new(tree);
    for (line, span) in code_spans(text) {
        if let Some(gone) = names.missing(tree, span) {
            problems.push(Problem::new(
                FILE,
                line,
                format!("`{span}` names {gone}, which is not in the checkout"),
                "name what is there now",
            ));
        }
    }
    check_dependencies(tree, text, &mut problems);
    problems
}

/// What can be named.
struct Names {
    /// Every word of code, modules included.
    words: BTreeSet<String>,
    known: Known,
}

impl Names {
    fn new(tree: &Tree) -> Self {
        let mut words: BTreeSet<String> = manifest::external_dependencies(tree);
        for package in tree.packages() {
            words.insert(format!("gannet-{}", package.name));
            words.insert(package.name);
        }
        for (path, source) in tree.sources() {
            words.extend(path.trim_end_matches(".rs").split('/').map(str::to_owned));
            let code = source
                .code()
                .split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.extend(code.filter(|word| !word.is_empty()).map(str::to_owned));
        }
        let known = Known::new(tree);
        Self { words, known }
    }

    /// The part of a span that does not exist, if there is one.
    fn missing<'a>(&self, tree: &Tree, span: &'a str) -> Option<&'a str> {
        if is_command(span) {
            return self.known.check(span).is_err().then_some(span);
        }
        if span.starts_with("--") {
            return (!self.known.has_flag(span)).then_some(span);
        }
        if self.is_path(tree, span) || self.words.contains(span) {
            return None;
        }
        let name = span
            .split(['(', '<', '!', '{'])
            .next()
            .unwrap_or(span)
            .trim();
        let segments = name.split("::");
        if span.contains(['/', ' ']) || name.is_empty() {
            let somewhere = tree
                .sources()
                .any(|(_, source)| source.raw().contains(span));
            return (!somewhere).then_some(span);
        }
        segments.into_iter().find(|segment| !self.is_name(segment))
    }

    fn is_name(&self, segment: &str) -> bool {
        match segment.strip_suffix('*') {
            Some(start) => self
                .words
                .range(start.to_owned()..)
                .next()
                .is_some_and(|word| word.starts_with(start)),
            None => self.words.contains(segment),
        }
    }

    /// Whether the span is a file or folder, from the root or from a crate's
    /// sources.
    fn is_path(&self, tree: &Tree, span: &str) -> bool {
        !span.is_empty()
            && (tree.exists(span)
                || tree
                    .packages()
                    .iter()
                    .any(|package| tree.exists(&format!("{}/src/{span}", package.folder))))
    }
}

/// The section on dependencies has a line with a reason for each dependency
/// that is used, and for nothing else.
fn check_dependencies(tree: &Tree, text: &str, problems: &mut Vec<Problem>) {
    let used = manifest::used_dependencies(tree);
    let mut explained = BTreeMap::new();
    let mut heading = None;
    for (n, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            let this = line.to_lowercase().contains("dependencies");
            heading = if this { Some(n + 1) } else { heading };
            if !this && heading.is_some() {
                break;
            }
        } else if heading.is_some()
            && let Some(item) = line.strip_prefix("* ").or_else(|| line.strip_prefix("- "))
            && let Some((names, reason)) = item.split_once(':')
        {
            let words = reason.split_whitespace().count();
            let names = names.split('`').skip(1).step_by(2);
            explained.extend(names.map(|name| (name.to_owned(), (n + 1, words))));
        }
    }
    for name in used.iter().filter(|name| !explained.contains_key(*name)) {
        problems.push(Problem::new(
            FILE,
            heading.unwrap_or(1),
            format!("the dependency {name} has no reason"),
            format!("add a line \"* `{name}`: why\" to the section on dependencies"),
        ));
    }
    for (name, (line, words)) in &explained {
        if !used.contains(name) {
            problems.push(Problem::new(
                FILE,
                *line,
                format!("{name} is explained and not used"),
                "remove it",
            ));
        } else if *words < REASON_WORDS_MIN {
            problems.push(Problem::new(
                FILE,
                *line,
                format!("the reason for {name} says nothing"),
                "say what it does for us",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    fn tree(text: &str) -> Tree {
        Tree::of([
            (FILE, text),
            (
                "Cargo.toml",
                "[workspace.dependencies]\nserde = \"1\"\ngannet-base = { path = \"crates/base\" }\n",
            ),
            (
                "crates/base/Cargo.toml",
                "[dependencies]\nserde.workspace = true\n",
            ),
            (
                "crates/base/src/core.rs",
                "pub trait Core { fn handle_link(); }\nconst V: &str = \"/api/v1\";\n",
            ),
        ])
    }

    const REASONS: &str = "## Dependencies\n* `serde`: derives the wire encoding\n";

    #[test]
    fn names_that_exist_are_fine() {
        let text = format!(
            "`Core` in `crates/base`, `core.rs`, `base::core`, `handle_*`, `Core::handle_link()`, \
             `/api/v1`.\n{REASONS}"
        );
        assert_eq!(check(&tree(&text)), []);
    }

    #[test]
    fn names_that_are_gone_fail() {
        let text = format!(
            "`Heart`\n`crates/attic/`\n`Core::handle_mail`\n`poll_*`\n`gannet dance`\n{REASONS}"
        );
        let problems = check(&tree(&text));
        assert_problem(&problems, FILE, 1, "Heart");
        assert_problem(&problems, FILE, 2, "attic");
        assert_problem(&problems, FILE, 3, "handle_mail");
        assert_problem(&problems, FILE, 4, "poll_");
        assert_problem(&problems, FILE, 5, "dance");
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }

    #[test]
    fn dependencies_have_reasons_and_nothing_else_has() {
        let unexplained = check(&tree("# Title\n"));
        assert_problem(&unexplained, FILE, 1, "serde has no reason");
        let empty = check(&tree("## Dependencies\n* `serde`: it is\n"));
        assert_problem(&empty, FILE, 2, "says nothing");
        let stale = check(&tree(&format!("{REASONS}* `base`: we like its name\n")));
        assert_problem(&stale, FILE, 3, "not used");
    }

    #[test]
    fn length_is_bounded() {
        let text = format!("{REASONS}{}", "x\n".repeat(LINES_MAX));
        assert_problem(&check(&tree(&text)), FILE, LINES_MAX + 1, "lines");
    }
}
