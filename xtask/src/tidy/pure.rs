//! Pure crates touch nothing: same inputs and same seed give the same outputs.

use super::manifest::{self, Kind};
use super::source::{Source, has_word};
use super::tree::{Package, Tree};
use super::{Problem, line_where};

/// The crates that touch nothing.
const PURE: &[&str] = &["base", "index", "overlay", "swarm", "sim"];

/// What a pure crate may be built from, besides the crates below it, and why
/// each is harmless.
const MAY_USE: &[(&str, &str)] = &[
    ("blake3", "a function of its input"),
    ("data-encoding", "a function of its input"),
    (
        "ed25519-dalek",
        "keys and signatures without a random source",
    ),
    ("hashbrown", "maps with a fixed hasher, never iterated"),
    ("postcard", "a function of its input"),
    ("rand_chacha", "generators that are seeded by the caller"),
    ("rand_core", "the traits of those generators"),
    ("rustc-hash", "a hasher without a seed"),
    ("serde", "derives"),
    ("thiserror", "derives"),
    ("unicode-normalization", "tables"),
];

/// What the source of a pure crate may not name outside tests, and whose
/// business it is.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "only `store` touches files"),
    ("TcpStream", "only `net` touches sockets"),
    ("TcpListener", "only `net` touches sockets"),
    ("UdpSocket", "only `net` touches sockets"),
    ("Instant::now", "time enters through `now`"),
    (
        "SystemTime::now",
        "wall-clock time enters through a command",
    ),
    ("thread::", "a core has no threads and never waits"),
    ("std::env", "settings enter through the core's `Config`"),
    ("std::process", "a core starts nothing"),
    ("tokio", "only `node`, `net` and `web` await"),
    ("async fn", "a core never waits"),
    (
        "HashMap",
        "its order differs from run to run; use a BTreeMap",
    ),
    (
        "HashSet",
        "its order differs from run to run; use a BTreeSet",
    ),
    ("RandomState", "it is seeded by the system"),
    ("getrandom", "randomness enters as a seeded generator"),
    ("OsRng", "randomness enters as a seeded generator"),
    ("thread_rng", "randomness enters as a seeded generator"),
    ("rand::rng", "randomness enters as a seeded generator"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = check_clippy_files(tree);
    for package in tree.packages() {
        if PURE.contains(&package.name.as_str()) {
            check_dependencies(&package, &mut problems);
            let inside = format!("{}/src/", package.folder);
            for (path, source) in tree.sources().filter(|(path, _)| path.starts_with(&inside)) {
                check_source(tree, path, source, &mut problems);
            }
        }
    }
    problems
}

fn check_dependencies(package: &Package<'_>, problems: &mut Vec<Problem>) {
    for dependency in manifest::dependencies(package.manifest) {
        let known = dependency.name.starts_with("gannet-")
            || MAY_USE.iter().any(|(name, _)| *name == dependency.name);
        if dependency.kind == Kind::Normal && !known {
            problems.push(Problem::new(
                package.manifest_path,
                dependency.line,
                format!("the pure crate {} uses {}", package.name, dependency.name),
                "if it touches nothing, add it with the reason to MAY_USE (xtask/src/tidy/pure.rs)",
            ));
        }
    }
}

fn check_source(tree: &Tree, path: &str, source: &Source, problems: &mut Vec<Problem>) {
    for (line, code, _) in source.lines() {
        if tree.is_test(path, line) || source.is_allowed(line) {
            continue;
        }
        for (name, reason) in FORBIDDEN.iter().filter(|(name, _)| has_word(code, name)) {
            problems.push(Problem::new(
                path,
                line,
                format!("`{name}` in a pure crate"),
                format!("{reason}, or excuse the line with `// tidy: allow(reason)`"),
            ));
        }
    }
}

/// A crate's clippy.toml replaces the root's, so it repeats it; a pure crate
/// has one that forbids the clock and hash-ordered maps.
fn check_clippy_files(tree: &Tree) -> Vec<Problem> {
    let root: toml::Table = parse(tree.text("clippy.toml").unwrap_or_default());
    let mut problems = Vec::new();
    for package in tree.packages() {
        let path = format!("{}/clippy.toml", package.folder);
        let pure = PURE.contains(&package.name.as_str());
        let Some(text) = tree.text(&path) else {
            if pure {
                problems.push(Problem::new(
                    &path,
                    1,
                    format!("the pure crate {} has no clippy.toml", package.name),
                    "copy that of another pure crate",
                ));
            }
            continue;
        };
        let own = parse(text);
        for (key, value) in &root {
            if own.get(key) != Some(value) {
                problems.push(Problem::new(
                    &path,
                    line_where(text, |line| line.starts_with(key.as_str())),
                    format!("{key} is not as in the root's clippy.toml"),
                    format!("write `{key} = {value}`: this file replaces the root's"),
                ));
            }
        }
        let bans = ["std::time::Instant::now", "std::time::SystemTime::now"]
            .into_iter()
            .chain(["std::collections::HashMap", "std::collections::HashSet"]);
        for ban in bans.filter(|ban| pure && !text.contains(&format!("\"{ban}\""))) {
            problems.push(Problem::new(
                &path,
                1,
                format!("{ban} is not disallowed"),
                "repeat the bans of the other pure crates",
            ));
        }
    }
    problems
}

fn parse(text: &str) -> toml::Table {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    const CLIPPY: &str = "lines = 70\ndisallowed-methods = [\"std::time::Instant::now\", \
        \"std::time::SystemTime::now\"]\ndisallowed-types = [\"std::collections::HashMap\", \
        \"std::collections::HashSet\"]\n";

    #[test]
    fn a_pure_crate_is_fine() {
        let tree = Tree::of([
            ("clippy.toml", "lines = 70\n"),
            ("crates/swarm/clippy.toml", CLIPPY),
            (
                "crates/swarm/Cargo.toml",
                "[dependencies]\ngannet-base.workspace = true\nserde.workspace = true\n\
                 [dev-dependencies]\nproptest.workspace = true\n",
            ),
            (
                "crates/swarm/src/lib.rs",
                "//! No Instant::now here.\n\
                 use std::collections::HashMap; // tidy: allow(fixed hasher, never iterated)\n\
                 #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
            ),
            (
                "crates/store/Cargo.toml",
                "[dependencies]\nnotify = \"1\"\n",
            ),
            ("crates/store/src/lib.rs", "use std::fs;\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn what_touches_the_world_fails() {
        let tree = Tree::of([
            ("clippy.toml", "lines = 70\n"),
            (
                "crates/swarm/clippy.toml",
                "lines = 100\ndisallowed-methods = [\"std::time::Instant::now\", \
                 \"std::time::SystemTime::now\"]\ndisallowed-types = [\"std::collections::HashSet\"]\n",
            ),
            (
                "crates/swarm/Cargo.toml",
                "[dependencies]\ntokio.workspace = true\n",
            ),
            (
                "crates/swarm/src/lib.rs",
                "use std::fs;\nlet t = Instant::now();\nlet m: HashMap<u8, u8>;\nthread::sleep(x);\n\
                 getrandom::fill(b);\n",
            ),
            ("crates/base/Cargo.toml", "[dependencies]\n"),
        ]);
        let problems = check(&tree);
        let lib = "crates/swarm/src/lib.rs";
        assert_problem(&problems, "crates/swarm/Cargo.toml", 2, "tokio");
        assert_problem(&problems, "crates/swarm/clippy.toml", 1, "lines");
        assert_problem(&problems, "crates/swarm/clippy.toml", 1, "HashMap");
        assert_problem(&problems, "crates/base/clippy.toml", 1, "no clippy.toml");
        assert_problem(&problems, lib, 1, "std::fs");
        assert_problem(&problems, lib, 2, "Instant::now");
        assert_problem(&problems, lib, 3, "HashMap");
        assert_problem(&problems, lib, 4, "thread::");
        assert_problem(&problems, lib, 5, "getrandom");
        assert_eq!(problems.len(), 9, "{problems:#?}");
    }
}
