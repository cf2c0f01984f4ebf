//! Dependencies between the crates of the house point downward only.

use super::manifest::{self, Kind};
use super::{Problem, tree::Tree};

/// Which crates of the house each crate may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("index", &["base"]),
    ("overlay", &["base", "index"]),
    ("swarm", &["base"]),
    ("store", &["base"]),
    ("net", &["base"]),
    (
        "node",
        &["base", "index", "overlay", "swarm", "store", "net"],
    ),
    ("web", &["base", "node"]),
    ("gannet", &["base", "node", "sim", "web"]),
    ("sim", &["base", "index", "overlay", "swarm"]),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Automation may use everything, and nothing uses it.
    for package in tree.packages().iter().filter(|p| p.name != "xtask") {
        let path = package.manifest_path;
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            problems.push(Problem::new(
                path,
                1,
                format!("the crate {} has no place in the house", package.name),
                "say in ARROWS (xtask/src/tidy/arrows.rs) what it may use",
            ));
            continue;
        };
        for dependency in manifest::dependencies(package.manifest) {
            let Some(target) = own_crate(&dependency.name) else {
                continue;
            };
            if !allowed.contains(&target) {
                let kind = match dependency.kind {
                    Kind::Normal => "depends on",
                    Kind::Development => "is tested with",
                };
                problems.push(Problem::new(
                    path,
                    dependency.line,
                    format!("{} {kind} {target}, which is not below it", package.name),
                    "move what is needed down, or hand it in from above",
                ));
            }
        }
    }
    problems
}

/// The folder name of a crate of the house.
fn own_crate(package: &str) -> Option<&str> {
    match package {
        "gannet" | "xtask" => Some(package),
        _ => package.strip_prefix("gannet-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    #[test]
    fn downward_is_fine() {
        let tree = Tree::of([
            (
                "crates/overlay/Cargo.toml",
                "[dependencies]\ngannet-base.workspace = true\ngannet-index.workspace = true\n",
            ),
            (
                "xtask/Cargo.toml",
                "[dependencies]\ngannet-node.workspace = true\n",
            ),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn upward_and_unknown_fail() {
        let tree = Tree::of([
            (
                "crates/index/Cargo.toml",
                "[dependencies]\ngannet-base.workspace = true\ngannet-overlay.workspace = true\n",
            ),
            (
                "crates/net/Cargo.toml",
                "[dev-dependencies]\ngannet-store.workspace = true\n",
            ),
            ("crates/attic/Cargo.toml", "[dependencies]\n"),
        ]);
        let problems = check(&tree);
        assert_problem(&problems, "crates/index/Cargo.toml", 3, "overlay");
        assert_problem(&problems, "crates/net/Cargo.toml", 2, "store");
        assert_problem(&problems, "crates/attic/Cargo.toml", 1, "no place");
        assert_eq!(problems.len(), 3);
    }
}
