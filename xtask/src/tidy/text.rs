//! Text that nothing committed may contain.

use super::source::has_word;
use super::{Problem, tree::Tree};

/// Unfinished work, in code.
const UNFINISHED_CODE: [&str; 3] = ["todo!(", "unimplemented!(", "#[ignore"];
/// Unfinished work, anywhere.
const UNFINISHED_TEXT: [&str; 2] = [concat!("FIX", "ME"), concat!("X", "XX")];
/// Places of one machine.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/t", "mp/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];
/// Waiting for time to pass instead of for a condition.
const SLEEPS: [&str; 2] = ["thread::sleep", "time::sleep"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| *path != "Cargo.lock") {
        for (n, line) in text.lines().enumerate() {
            check_any_line(tree, path, n + 1, line, &mut problems);
        }
    }
    for (path, source) in tree.sources() {
        for (line, code, _) in source.lines() {
            for found in UNFINISHED_CODE.iter().filter(|word| code.contains(**word)) {
                problems.push(Problem::new(
                    path,
                    line,
                    format!("`{found}`: unfinished work"),
                    "finish it, or take it out",
                ));
            }
            let test = tree.is_test(path, line) && !source.is_allowed(line);
            for found in SLEEPS.iter().filter(|word| test && has_word(code, word)) {
                problems.push(Problem::new(
                    path,
                    line,
                    format!("`{found}` in a test"),
                    "wait for the condition with a deadline; excuse the one place that polls \
                     with `// tidy: allow(reason)`",
                ));
            }
        }
    }
    problems
}

fn check_any_line(tree: &Tree, path: &str, n: usize, line: &str, problems: &mut Vec<Problem>) {
    for found in UNFINISHED_TEXT.iter().filter(|word| has_word(line, word)) {
        problems.push(Problem::new(
            path,
            n,
            format!("{found}: unfinished work"),
            "finish it, or write an issue",
        ));
    }
    if tree.is_test(path, n) {
        return;
    }
    for found in MACHINE_PATHS.iter().filter(|part| names_path(line, part)) {
        problems.push(Problem::new(
            path,
            n,
            format!("{found} is a place on one machine"),
            "ask the system for the place, or take it as an argument",
        ));
    }
}

/// Whether `line` has the absolute path `part`, and not as the middle of a
/// longer path or address.
fn names_path(line: &str, part: &str) -> bool {
    line.match_indices(part).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    #[test]
    fn finished_portable_text_is_fine() {
        let tree = Tree::of([
            (
                "crates/a/src/lib.rs",
                "//! It says todo!( in a comment.\nlet s = \"todo!(\";\nthread::sleep(x);\n",
            ),
            (
                "crates/a/tests/it.rs",
                "let p = \"/tmp/x\";\n// tidy: allow(the one place that polls)\nthread::sleep(x);\n",
            ),
            ("README.md", "See ./work/x and https://a.example/home/x.\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn forbidden_text_fails() {
        let tree = Tree::of([
            (
                "crates/a/src/lib.rs",
                "fn f() { todo!() }\n#[cfg(test)]\nmod tests {\n#[ignore]\nfn g() { thread::sleep(x) }\n}\n",
            ),
            (
                "run",
                concat!("cd /wo", "rk/x\n# FIX", "ME: later\nls /t", "mp/y\n"),
            ),
        ]);
        let problems = check(&tree);
        assert_problem(&problems, "crates/a/src/lib.rs", 1, "todo!(");
        assert_problem(&problems, "crates/a/src/lib.rs", 4, "#[ignore");
        assert_problem(&problems, "crates/a/src/lib.rs", 5, "thread::sleep");
        assert_problem(&problems, "run", 1, "one machine");
        assert_problem(&problems, "run", 2, "unfinished");
        assert_problem(&problems, "run", 3, "one machine");
        assert_eq!(problems.len(), 6, "{problems:#?}");
    }
}
