//! The checkout as text: read once, so that a rule is a function of strings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::source::Source;

/// Files larger than this are data, not text.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Every text file of the checkout, by its path from the root with `/` between
/// the components.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    sources: BTreeMap<String, Source>,
    /// Files of which every line is a test.
    test_files: BTreeSet<String>,
}

impl Tree {
    /// Reads what lies under `root`, without build output and git's own files.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        Ok(Self::new(files))
    }

    /// A tree of these files.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self::new(
            files
                .into_iter()
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .collect(),
        )
    }

    fn new(files: BTreeMap<String, String>) -> Self {
        let sources: BTreeMap<String, Source> = files
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| (path.clone(), Source::new(text)))
            .collect();
        let under_test: Vec<String> = sources
            .iter()
            .flat_map(|(path, source)| {
                let folder = module_folder(path);
                let modules = source.test_modules.iter();
                modules.map(move |name| format!("{folder}{name}"))
            })
            .collect();
        let test_files = sources
            .keys()
            .filter(|path| {
                is_test_path(path)
                    || under_test.iter().any(|module| {
                        path.strip_prefix(module.as_str())
                            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
                    })
            })
            .cloned()
            .collect();
        Self {
            files,
            sources,
            test_files,
        }
    }

    /// Every file: path and text.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file: path and source.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources
            .iter()
            .map(|(path, source)| (path.as_str(), source))
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is a file or folder with this path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.contains_key(path) || {
            let folder = format!("{path}/");
            self.files
                .range(folder.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&folder))
        }
    }

    /// Whether line `line` (from 1) of this file runs only in tests.
    pub(crate) fn is_test(&self, path: &str, line: usize) -> bool {
        self.test_files.contains(path)
            || self
                .sources
                .get(path)
                .is_some_and(|source| source.is_test_line(line))
    }

    /// The folders of the workspace's packages: `crates/*` and `xtask`.
    pub(crate) fn packages(&self) -> Vec<Package<'_>> {
        self.files
            .iter()
            .filter_map(|(path, text)| {
                let folder = path.strip_suffix("/Cargo.toml")?;
                let name = match folder.split('/').collect::<Vec<_>>().as_slice() {
                    ["crates", name] => name,
                    ["xtask"] => "xtask",
                    _ => return None,
                };
                let name = name.to_owned();
                Some(Package {
                    name,
                    folder: folder.to_owned(),
                    manifest_path: path,
                    manifest: text,
                })
            })
            .collect()
    }
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    /// The folder's name, which is the crate's name without `gannet-`.
    pub(crate) name: String,
    /// Its folder, from the root.
    pub(crate) folder: String,
    /// Its manifest's path.
    pub(crate) manifest_path: &'a str,
    /// Its manifest's text.
    pub(crate) manifest: &'a str,
}

fn read_folder(root: &Path, prefix: &str, into: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(prefix))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_output(&name) {
            read_folder(root, &format!("{path}/"), into)?;
        } else if kind.is_file() && entry.metadata()?.len() <= FILE_BYTES_MAX {
            // What is not UTF-8 is not text: no rule reads it.
            if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                into.insert(path, text);
            }
        }
    }
    Ok(())
}

/// Folders that tools write and nobody commits.
fn is_output(name: &str) -> bool {
    matches!(
        name,
        ".git" | "target" | "corpus" | "artifacts" | "node_modules"
    ) || name.starts_with("target-")
}

fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches"))
}

/// Where the files of a file's submodules lie: `src/` for `src/lib.rs`,
/// `src/hub/` for `src/hub.rs`.
fn module_folder(path: &str) -> String {
    let (folder, name) = path
        .rsplit_once('/')
        .map_or(("", path), |(folder, name)| (folder, name));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => format!("{folder}/"),
        _ => format!("{folder}/{}/", name.trim_end_matches(".rs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_exist_and_nothing_else() {
        let tree = Tree::of([("crates/base/src/lib.rs", "//! x"), ("a-b", "")]);
        assert!(tree.exists("crates/base/"));
        assert!(tree.exists("crates/base/src/lib.rs"));
        assert!(!tree.exists("crates/bas"));
        assert!(!tree.exists("a"));
    }

    #[test]
    fn modules_under_cfg_test_are_tests_wherever_they_lie() {
        let tree = Tree::of([
            (
                "crates/a/src/lib.rs",
                "mod real;\n#[cfg(test)]\nmod harness;\n",
            ),
            ("crates/a/src/real.rs", "fn f() {}\n"),
            ("crates/a/src/harness.rs", "fn f() {}\n"),
            ("crates/a/src/harness/part.rs", "fn f() {}\n"),
            ("crates/a/tests/whole.rs", "fn f() {}\n"),
        ]);
        assert!(!tree.is_test("crates/a/src/real.rs", 1));
        assert!(tree.is_test("crates/a/src/harness.rs", 1));
        assert!(tree.is_test("crates/a/src/harness/part.rs", 1));
        assert!(tree.is_test("crates/a/tests/whole.rs", 1));
    }

    #[test]
    fn packages_are_the_members_of_the_workspace() {
        let tree = Tree::of([
            ("Cargo.toml", ""),
            ("fuzz/Cargo.toml", ""),
            ("crates/base/Cargo.toml", ""),
            ("xtask/Cargo.toml", ""),
        ]);
        let names: Vec<String> = tree.packages().into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["base", "xtask"]);
    }
}
