//! Manifests: what they depend on, and that they take from the workspace what
//! the workspace decides.

use std::collections::BTreeSet;

use super::source::has_word;
use super::tree::{Package, Tree};
use super::{Problem, line_where};

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To build the crate, or its build script.
    Normal,
    /// To build its tests and examples.
    Development,
}

/// One entry of a manifest's dependencies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's name.
    pub(super) name: String,
    /// When it is needed.
    pub(super) kind: Kind,
    /// Whether its version comes from the workspace.
    pub(super) from_workspace: bool,
    /// Where it stands.
    pub(super) line: usize,
}

/// Everything that a manifest depends on; nothing if it is no TOML, which
/// [`check`] reports.
pub(super) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let Ok(table) = manifest.parse::<toml::Table>() else {
        return Vec::new();
    };
    let mut found = in_table(manifest, &table);
    let targets = table.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(toml::Table::values) {
        if let Some(target) = target.as_table() {
            found.extend(in_table(manifest, target));
        }
    }
    found
}

fn in_table(manifest: &str, table: &toml::Table) -> Vec<Dependency> {
    let sections = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Normal),
        ("dev-dependencies", Kind::Development),
    ];
    let mut found = Vec::new();
    for (section, kind) in sections {
        let entries = table.get(section).and_then(toml::Value::as_table);
        for (key, value) in entries.into_iter().flatten() {
            let field = |name: &str| value.as_table().and_then(|table| table.get(name));
            found.push(Dependency {
                name: field("package")
                    .and_then(toml::Value::as_str)
                    .unwrap_or(key)
                    .to_owned(),
                kind,
                from_workspace: field("workspace").and_then(toml::Value::as_bool) == Some(true),
                line: line_of_key(manifest, section, key),
            });
        }
    }
    found
}

/// The line of `key` in the section whose header ends with `section`.
fn line_of_key(manifest: &str, section: &str, key: &str) -> usize {
    let mut inside = false;
    for (n, line) in manifest.lines().enumerate() {
        if let Some(header) = line.trim().strip_prefix('[') {
            let name = header.trim_end_matches(']');
            inside = name == section || name.ends_with(&format!(".{section}"));
        } else if inside
            && line
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        {
            return n + 1;
        }
    }
    1
}

/// Keys of `[package]` that the workspace decides.
const FROM_WORKSPACE: [&str; 6] = [
    "version",
    "edition",
    "rust-version",
    "license",
    "authors",
    "publish",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in tree.packages() {
        let path = package.manifest_path;
        let table = match package.manifest.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                problems.push(Problem::new(path, 1, error.message(), "mend the manifest"));
                continue;
            }
        };
        check_inherited(path, package.manifest, &table, &mut problems);
        for dependency in dependencies(package.manifest) {
            if !dependency.from_workspace {
                problems.push(Problem::new(
                    path,
                    dependency.line,
                    format!("{} has a version or path of its own", dependency.name),
                    "put it in [workspace.dependencies] and write `.workspace = true`",
                ));
            }
        }
        check_used(tree, &package, &mut problems);
        let roots = ["lib.rs", "main.rs"].map(|name| format!("{}/src/{name}", package.folder));
        for root in &roots {
            let documented = tree.text(root).is_none_or(|text| text.starts_with("//!"));
            if !documented {
                problems.push(Problem::new(
                    root,
                    1,
                    "the crate does not say what it is",
                    "begin with `//!` and one line on what it is for",
                ));
            }
        }
    }
    problems.extend(check_unused(tree));
    problems
}

/// What a manifest lists is named somewhere in the package.
fn check_used(tree: &Tree, package: &Package<'_>, problems: &mut Vec<Problem>) {
    let inside = format!("{}/", package.folder);
    for dependency in dependencies(package.manifest) {
        let name = dependency.name.replace('-', "_");
        let used = tree
            .sources()
            .filter(|(path, _)| path.starts_with(&inside))
            .any(|(_, source)| has_word(source.code(), &name));
        if !used {
            problems.push(Problem::new(
                package.manifest_path,
                dependency.line,
                format!("{} is listed and not used", dependency.name),
                "remove it",
            ));
        }
    }
}

fn check_inherited(path: &str, text: &str, table: &toml::Table, problems: &mut Vec<Problem>) {
    let inherits = |value: Option<&toml::Value>| {
        value
            .and_then(|value| value.get("workspace"))
            .and_then(toml::Value::as_bool)
            == Some(true)
    };
    let package = table.get("package");
    for key in FROM_WORKSPACE {
        if !inherits(package.and_then(|package| package.get(key))) {
            let line = line_where(text, |line| line.starts_with(key));
            problems.push(Problem::new(
                path,
                line,
                format!("{key} does not come from the workspace"),
                format!("write `{key}.workspace = true`"),
            ));
        }
    }
    if package.and_then(|p| p.get("description")).is_none() {
        problems.push(Problem::new(
            path,
            1,
            "the package has no description",
            "say in one line what it is",
        ));
    }
    let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        problems.push(Problem::new(
            path,
            line_where(text, |line| line.starts_with("[lints")),
            "the crate does not take the workspace's lints",
            "write `[lints]` and `workspace = true`",
        ));
    }
}

/// The names in `[workspace.dependencies]` that are not crates of the house.
pub(super) fn external_dependencies(tree: &Tree) -> BTreeSet<String> {
    let root = tree.text("Cargo.toml").unwrap_or_default();
    let table = root.parse::<toml::Table>().unwrap_or_default();
    table
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(key, _)| key.clone())
        .collect()
}

/// The external dependencies that some member uses.
pub(super) fn used_dependencies(tree: &Tree) -> BTreeSet<String> {
    let used: BTreeSet<String> = tree
        .packages()
        .iter()
        .flat_map(|package| dependencies(package.manifest))
        .map(|dependency| dependency.name)
        .collect();
    &external_dependencies(tree) & &used
}

fn check_unused(tree: &Tree) -> Vec<Problem> {
    let text = tree.text("Cargo.toml").unwrap_or_default();
    (&external_dependencies(tree) - &used_dependencies(tree))
        .into_iter()
        .map(|name| {
            Problem::new(
                "Cargo.toml",
                line_of_key(text, "dependencies", &name),
                format!("no crate uses {name}"),
                "remove it from [workspace.dependencies]",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    const GOOD: &str = "[package]\nname = \"gannet-a\"\ndescription = \"x\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        authors.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n\n\
        [dependencies]\nserde.workspace = true\n";
    const ROOT: &str = "[workspace]\n[workspace.dependencies]\nserde = \"1\"\n";

    #[test]
    fn a_manifest_that_inherits_is_fine() {
        let tree = Tree::of([
            ("Cargo.toml", ROOT),
            ("crates/a/Cargo.toml", GOOD),
            (
                "crates/a/src/lib.rs",
                "//! What it is.\nuse serde::Serialize;\n",
            ),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn deviations_are_found() {
        let bad = GOOD
            .replace("license.workspace = true", "license = \"MIT\"")
            .replace("[lints]\nworkspace = true\n", "")
            .replace("serde.workspace = true", "serde = { version = \"1\" }");
        let root = format!("{ROOT}rayon = \"1\"\n");
        let tree = Tree::of([
            ("Cargo.toml", root.as_str()),
            ("crates/a/Cargo.toml", bad.as_str()),
            ("crates/a/src/lib.rs", "fn f() {}\n"),
        ]);
        let problems = check(&tree);
        let path = "crates/a/Cargo.toml";
        assert_problem(&problems, path, 7, "license");
        assert_problem(&problems, path, 1, "lints");
        assert_problem(&problems, path, 13, "serde");
        assert_problem(&problems, path, 13, "not used");
        assert_problem(&problems, "crates/a/src/lib.rs", 1, "does not say");
        assert_problem(&problems, "Cargo.toml", 4, "no crate uses rayon");
        assert_eq!(problems.len(), 6, "{problems:#?}");
    }

    #[test]
    fn dependencies_of_every_kind_are_seen() {
        let found = dependencies(
            "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"1\"\n\
             [target.'cfg(unix)'.dependencies]\nc = { package = \"d\", workspace = true }\n",
        );
        let names: Vec<_> = found
            .iter()
            .map(|d| (d.name.as_str(), d.kind, d.from_workspace, d.line))
            .collect();
        assert_eq!(
            names,
            [
                ("a", Kind::Normal, true, 2),
                ("b", Kind::Development, false, 4),
                ("d", Kind::Normal, true, 6),
            ]
        );
    }
}
