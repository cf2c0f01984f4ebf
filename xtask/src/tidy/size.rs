//! Files stay small enough to be read in one go.

use super::{Problem, tree::Tree};

/// Lines from which a file is worth splitting.
const WARN_LINES: usize = 600;
/// Lines that no file may exceed.
const FAIL_LINES: usize = 800;

/// Files that may be longer, up to so many lines, and why. The cap may only go
/// down.
const LONGER: &[(&str, usize, &str)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    check_with(tree, LONGER)
}

fn check_with(tree: &Tree, longer: &[(&str, usize, &str)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, source) in tree.sources() {
        let lines = source.raw().lines().count();
        let cap = longer
            .iter()
            .find(|(listed, ..)| *listed == path)
            .map(|(_, cap, _)| *cap);
        let remedy = "split it by concern: dispatch in mod.rs, one file per concern";
        let problem = Problem::new(path, lines, format!("the file has {lines} lines"), remedy);
        match cap {
            Some(cap) if lines <= cap => {}
            None if lines <= WARN_LINES => {}
            None if lines <= FAIL_LINES => problems.push(problem.into_warning()),
            _ => problems.push(problem),
        }
    }
    for (path, ..) in longer.iter().filter(|(path, ..)| !tree.exists(path)) {
        problems.push(Problem::new(
            "xtask/src/tidy/size.rs",
            1,
            format!("LONGER lists {path}, which is gone"),
            "remove the entry",
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        "x\n".repeat(count)
    }

    #[test]
    fn long_files_warn_then_fail_unless_listed() {
        let texts = [600, 601, 801, 900, 901].map(lines);
        let tree = Tree::of([
            ("comfortable.rs", &texts[0]),
            ("warned.rs", &texts[1]),
            ("failed.rs", &texts[2]),
            ("table.rs", &texts[3]),
            ("outgrown.rs", &texts[4]),
        ]);
        let longer = [
            ("table.rs", 900, "a table"),
            ("outgrown.rs", 900, "a table"),
            ("gone.rs", 900, "a table"),
        ];
        let found: Vec<(String, bool)> = check_with(&tree, &longer)
            .into_iter()
            .map(|problem| (problem.path, problem.warning))
            .collect();
        let expected = [
            ("failed.rs", false),
            ("outgrown.rs", false),
            ("warned.rs", true),
            ("xtask/src/tidy/size.rs", false),
        ];
        assert_eq!(found, expected.map(|(path, w)| (path.to_owned(), w)));
    }
}
