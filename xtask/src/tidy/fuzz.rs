//! Every decoder has a fuzz target, whose body is in the library beside it.

use std::collections::BTreeSet;

use super::source::Source;
use super::{Problem, line_where, tree::Tree};

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/fuzz_targets/";
/// The body for message types, which takes the type as its parameter.
const GENERIC_BODY: &str = "fuzz_decode";
const SMOKE: &str = "xtask/src/bin/fuzz_smoke.rs";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let listed = listed_targets(tree, &mut problems);
    let smoke = tree.text(SMOKE).unwrap_or_default();
    let mut called = BTreeSet::new();
    for (path, source) in tree.sources().filter(|(path, _)| path.starts_with(TARGETS)) {
        let name = path[TARGETS.len()..].trim_end_matches(".rs");
        if !listed.contains(name) {
            problems.push(Problem::new(
                path,
                1,
                format!("the target {name} is not in {MANIFEST}"),
                "add a [[bin]] for it",
            ));
        }
        if !smoke.contains(&format!("\"{name}\"")) {
            problems.push(Problem::new(
                path,
                1,
                format!("the smoke run leaves {name} out"),
                format!("add it to the table in {SMOKE}"),
            ));
        }
        called.extend(check_body(tree, path, source, &mut problems));
    }
    let aliases = aliases(tree);
    for (path, line, krate, body) in bodies(tree) {
        let renamed = aliases
            .iter()
            .filter(|alias| alias.krate == krate && alias.body == body)
            .any(|alias| called.contains(&(krate.clone(), alias.name.clone())));
        if !renamed && !called.contains(&(krate.clone(), body.clone())) {
            problems.push(Problem::new(
                &path,
                line,
                format!("no fuzz target runs `{body}` of {krate}"),
                format!("add one to {TARGETS}"),
            ));
        }
    }
    for alias in &aliases {
        if !called.contains(&(alias.krate.clone(), alias.name.clone())) {
            problems.push(Problem::new(
                &alias.path,
                alias.line,
                format!("no fuzz target runs `{}` of {}", alias.name, alias.krate),
                format!("add one to {TARGETS}"),
            ));
        }
    }
    problems
}

/// The names in the manifest; each must have its file.
fn listed_targets(tree: &Tree, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let Some(text) = tree.text(MANIFEST) else {
        problems.push(Problem::new(
            MANIFEST,
            1,
            "there is no such file",
            "write it",
        ));
        return BTreeSet::new();
    };
    let table: toml::Table = text.parse().unwrap_or_default();
    let bins = table.get("bin").and_then(toml::Value::as_array);
    let names: BTreeSet<String> = bins
        .into_iter()
        .flatten()
        .filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned))
        .collect();
    for name in &names {
        let file = format!("{TARGETS}{name}.rs");
        if !tree.exists(&file) {
            problems.push(Problem::new(
                MANIFEST,
                line_where(text, |line| line.contains(&format!("\"{name}\""))),
                format!("the target {name} has no file {file}"),
                "write it, or remove the [[bin]]",
            ));
        }
    }
    names
}

/// Which bodies a target runs, as crate and function; each must exist.
fn check_body(
    tree: &Tree,
    path: &str,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let mut called = Vec::new();
    for (line, code, _) in source.lines() {
        for (at, _) in code.match_indices("gannet_") {
            let end = code[at..]
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .map_or(code.len(), |length| at + length);
            let name = code[at..end].trim_end_matches(':');
            let name = name.trim_start_matches("gannet_");
            let (Some((krate, _)), Some((_, body))) =
                (name.split_once("::"), name.rsplit_once("::"))
            else {
                continue;
            };
            if !name.contains("::fuzz") {
                continue;
            }
            let defined = bodies(tree).any(|(_, _, k, b)| k == krate && b == body)
                || (krate == "base" && body == GENERIC_BODY);
            let renamed = aliases(tree)
                .iter()
                .any(|alias| alias.krate == krate && alias.name == body);
            if !defined && !renamed {
                problems.push(Problem::new(
                    path,
                    line,
                    format!("{krate} has no public `{body}`"),
                    "call the body that the library has now",
                ));
            }
            called.push((krate.to_owned(), body.to_owned()));
        }
    }
    if called.is_empty() {
        problems.push(Problem::new(
            path,
            1,
            "the target runs no body of a library",
            "put the body beside the decoder and call it",
        ));
    }
    called
}

/// A body that a library hands out under another name.
struct Alias {
    path: String,
    line: usize,
    krate: String,
    body: String,
    name: String,
}

/// Every `pub use …::fuzz… as name;`.
fn aliases(tree: &Tree) -> Vec<Alias> {
    let mut found = Vec::new();
    for (path, source) in tree
        .sources()
        .filter(|(path, _)| path.starts_with("crates/"))
    {
        let krate = path.split('/').nth(1).unwrap_or_default();
        for (line, code, _) in source.lines() {
            if let Some(item) = code.trim().strip_prefix("pub use ")
                && let Some((from, name)) = item.trim_end_matches(';').split_once(" as ")
                && let Some(body) = from.rsplit("::").next().filter(|b| b.starts_with("fuzz"))
            {
                found.push(Alias {
                    path: path.to_owned(),
                    line,
                    krate: krate.to_owned(),
                    body: body.to_owned(),
                    name: name.to_owned(),
                });
            }
        }
    }
    found
}

/// The bodies in the libraries: file, line, crate and function.
fn bodies(tree: &Tree) -> impl Iterator<Item = (String, usize, String, String)> {
    tree.sources()
        .filter(|(path, _)| path.starts_with("crates/"))
        .flat_map(|(path, source)| {
            let krate = path.split('/').nth(1).unwrap_or_default().to_owned();
            let in_fuzz_file = path.ends_with("/fuzz.rs");
            source.lines().filter_map(move |(line, code, _)| {
                let rest = code.trim_start().strip_prefix("pub fn ")?;
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
                let name = &rest[..end];
                // A generic body is run by those that give it a type.
                let generic = rest[end..].starts_with('<');
                ((name.starts_with("fuzz") || in_fuzz_file) && !generic)
                    .then(|| (path.to_owned(), line, krate.clone(), name.to_owned()))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    #[test]
    fn a_target_with_a_body_is_fine() {
        let tree = Tree::of([
            (
                MANIFEST,
                "[[bin]]\nname = \"link\"\n[[bin]]\nname = \"header\"\n",
            ),
            (
                "fuzz/fuzz_targets/link.rs",
                "fuzz_target!(|data: &[u8]| gannet_base::link::fuzz(data));\n",
            ),
            ("crates/base/src/link.rs", "pub fn fuzz(input: &[u8]) {}\n"),
            (
                "fuzz/fuzz_targets/header.rs",
                "fuzz_target!(|data: &[u8]| gannet_net::fuzz::header(data));\n",
            ),
            (
                "crates/net/src/lib.rs",
                "pub mod fuzz {\n    pub use crate::wire::fuzz_header as header;\n}\n",
            ),
            (
                "crates/net/src/wire.rs",
                "pub fn fuzz_header(input: &[u8]) {}\n",
            ),
            (SMOKE, "(\"link\", fuzz), (\"header\", fuzz)"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn gaps_are_found() {
        let tree = Tree::of([
            (MANIFEST, "[[bin]]\nname = \"gone\"\n"),
            (
                "fuzz/fuzz_targets/link.rs",
                "fuzz_target!(|data: &[u8]| gannet_base::link::fuzz_link(data));\n",
            ),
            (
                "fuzz/fuzz_targets/own.rs",
                "fuzz_target!(|data: &[u8]| {});\n",
            ),
            (
                "crates/base/src/link.rs",
                "\npub fn fuzz(input: &[u8]) {}\n",
            ),
        ]);
        let problems = check(&tree);
        let target = "fuzz/fuzz_targets/link.rs";
        assert_problem(&problems, MANIFEST, 2, "no file");
        assert_problem(&problems, target, 1, "not in");
        assert_problem(&problems, target, 1, "smoke");
        assert_problem(&problems, target, 1, "no public `fuzz_link`");
        assert_problem(&problems, "fuzz/fuzz_targets/own.rs", 1, "runs no body");
        assert_problem(&problems, "crates/base/src/link.rs", 2, "no fuzz target");
    }
}
