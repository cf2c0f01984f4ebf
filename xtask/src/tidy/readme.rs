//! Commands in the documents exist.

use std::collections::BTreeSet;

use super::source::has_word;
use super::{Problem, code_spans, tree::Tree};

/// Where the settings are.
const SETTINGS: &str = "crates/node/src/config.rs";
/// Where those of its sections are read.
const SECTIONS: [&str; 2] = ["crates/node/src/tiers.rs", "crates/node/src/ring.rs"];
/// What `cargo xtask` understands; `main.rs` has the same words.
const XTASK_COMMANDS: [&str; 5] = ["tidy", "bench", "compare", "package", "fuzz-smoke"];
/// The document with the table of all settings.
const TABLE: &str = "docs/configuration.md";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let path = "README.md";
    let Some(text) = tree.text(path) else {
        return vec![Problem::new(path, 1, "there is no README.md", "write it")];
    };
    let known = Known::new(tree);
    let mut problems = Vec::new();
    for (line, command) in commands(text) {
        if let Err(what) = known.check(command) {
            let remedy = "show a command that exists";
            problems.push(Problem::new(path, line, what, remedy));
        }
    }
    check_names(tree, (path, text), &mut problems);
    let table = tree.text(TABLE).unwrap_or_default();
    check_settings(tree, table, &mut problems);
    check_names(tree, (TABLE, table), &mut problems);
    problems
}

/// Every setting is in the table.
fn check_settings(tree: &Tree, text: &str, problems: &mut Vec<Problem>) {
    let source = tree.text(SETTINGS).unwrap_or_default();
    let fields = source
        .split_once("pub struct Overrides {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .map_or("", |(fields, _)| fields);
    for line in fields.lines() {
        if let Some((key, _)) = line
            .trim()
            .strip_prefix("pub ")
            .and_then(|field| field.split_once(':'))
            && !text.contains(&format!("| `{key}` |"))
            // A section: its settings have rows of their own.
            && !text.contains(&format!("| `{key}."))
        {
            problems.push(Problem::new(
                TABLE,
                1,
                format!("the setting {key} is not in the table"),
                "add a row for it",
            ));
        }
    }
}

/// Every variable in a document is read, and every flag exists.
fn check_names(tree: &Tree, (path, text): (&str, &str), problems: &mut Vec<Problem>) {
    let source = tree.text(SETTINGS).unwrap_or_default();
    let known = Known::new(tree);
    let sections = SECTIONS.iter().filter_map(|path| tree.text(path));
    let read: Vec<&str> = sections.chain([source]).collect();
    for (line, span) in code_spans(text) {
        let variable = span.starts_with("GANNET_") && !span.contains([' ', '=']);
        let quoted = format!("\"{span}\"");
        let is_read = || read.iter().any(|source| source.contains(&quoted));
        if variable && !is_read() && !known.raw.contains(&quoted) {
            problems.push(Problem::new(
                path,
                line,
                format!("nothing reads {span}"),
                "name a variable that is read",
            ));
        }
        // What follows a flag is its value.
        let flag = span.split(' ').next().unwrap_or(span);
        if flag.starts_with("--") && !known.has_flag(flag) {
            problems.push(Problem::new(
                path,
                line,
                format!("the flag {span} does not exist"),
                "name a flag that exists",
            ));
        }
    }
}

/// Every command line of a document: lines of fenced blocks and code spans that
/// start with a program of ours.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut found: Vec<(usize, &str)> = code_spans(text);
    let mut fenced = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            // What a line shows after `#` is a remark.
            let line = line.split("  #").next().unwrap_or(line);
            found.push((n + 1, line.trim().trim_start_matches("$ ")));
        }
    }
    found.retain(|(_, command)| is_command(command));
    found
}

/// Whether a text is a command line of ours.
pub(super) fn is_command(text: &str) -> bool {
    ["gannet ", "cargo xtask ", "cargo run --release -- "]
        .iter()
        .any(|start| text.starts_with(start))
}

/// What the sources say that can be typed.
#[derive(Debug)]
pub(super) struct Known {
    subcommands: BTreeSet<String>,
    /// The code of the command line, where flags are fields.
    code: String,
    /// The same with strings, where flags have names of their own.
    raw: String,
}

impl Known {
    /// Reads the command line's sources.
    pub(super) fn new(tree: &Tree) -> Self {
        let (mut code, mut raw) = (String::new(), String::new());
        for (path, source) in tree.sources() {
            if path.starts_with("crates/gannet/src/") || path.starts_with("xtask/src/") {
                code.push_str(source.code());
                raw.push_str(source.raw());
            }
        }
        let subcommands = subcommands(&code);
        Self {
            subcommands,
            code,
            raw,
        }
    }

    /// Whether this command line can be typed; if not, what is wrong.
    pub(super) fn check(&self, command: &str) -> Result<(), String> {
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        let rest: Vec<&str> = match program {
            "gannet" => words.collect(),
            _ if command.starts_with("cargo xtask ") => {
                let rest: Vec<&str> = words.skip(1).collect();
                let first = rest.first().copied().unwrap_or_default();
                if !XTASK_COMMANDS.contains(&first) {
                    return Err(format!("`cargo xtask {first}` does not exist"));
                }
                return self.check_flags(&rest);
            }
            _ => words.skip(3).collect(),
        };
        let first = rest.first().copied().unwrap_or_default();
        // A flag of the program itself, or a word that stands for any command.
        let other = first.starts_with('-') || first == "COMMAND";
        if !other && !self.subcommands.contains(first) {
            return Err(format!("`gannet {first}` does not exist"));
        }
        self.check_flags(&rest)
    }

    fn check_flags(&self, words: &[&str]) -> Result<(), String> {
        let wrong = words
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .find(|flag| !self.has_flag(flag));
        wrong.map_or(Ok(()), |flag| {
            Err(format!("the flag {flag} does not exist"))
        })
    }

    /// Whether some command has this flag.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        let name = flag.trim_start_matches('-');
        let name = name.split('=').next().unwrap_or(name);
        let built_in = matches!(name, "help" | "version");
        built_in
            || has_word(&self.code, &name.replace('-', "_"))
            || self.raw.contains(&format!("\"{name}\""))
            || self.raw.contains(&format!("\"--{name}\""))
    }
}

/// The variants of every enum that derives `Subcommand`, as they are typed.
fn subcommands(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("Subcommand)]") {
        let item = &code[at..];
        let Some(open) = item.find('{') else { continue };
        let mut depth = 0_usize;
        for line in item[open..].lines() {
            let word = line.trim();
            if depth == 1 && word.starts_with(|c: char| c.is_ascii_uppercase()) {
                let end = word.find(|c: char| !c.is_alphanumeric());
                found.insert(kebab(&word[..end.unwrap_or(word.len())]));
            }
            for c in line.chars() {
                match c {
                    '{' | '(' => depth += 1,
                    '}' | ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn kebab(variant: &str) -> String {
    let mut text = String::new();
    for c in variant.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::assert_problem;

    const CLI: &str = "#[derive(Debug, Subcommand)]\nenum Command {\n    /// Searches.\n    Search(Args),\n    \
        Completions {\n        shell: Shell,\n    },\n}\nstruct Args { data_dir: PathBuf }\n";

    const CONFIG: &str = "pub struct Overrides {\n    pub network: Option<String>,\n}\n\
        fn f() { read(\"GANNET_NETWORK\") }\n";
    const ROW: &str = "| `network` | `GANNET_NETWORK` | `--data-dir` |\n";

    fn tree(readme: &str, table: &str) -> Tree {
        Tree::of([
            ("README.md", readme),
            (TABLE, table),
            ("crates/gannet/src/cli.rs", CLI),
            (SETTINGS, CONFIG),
        ])
    }

    #[test]
    fn settings_are_in_the_table_and_nothing_else() {
        assert_eq!(check(&tree(ROW, ROW)), []);
        let problems = check(&tree("`GANNET_COLOUR` `--fast`\n", ""));
        assert_problem(&problems, TABLE, 1, "network is not in the table");
        assert_problem(&problems, "README.md", 1, "nothing reads GANNET_COLOUR");
        assert_problem(&problems, "README.md", 1, "--fast");
        assert_eq!(problems.len(), 3, "{problems:#?}");
        let problems = check(&tree("", &format!("{ROW}`GANNET_COLOUR`\n")));
        assert_problem(&problems, TABLE, 2, "nothing reads GANNET_COLOUR");
        assert_eq!(problems.len(), 1, "{problems:#?}");
    }

    #[test]
    fn commands_that_exist_are_fine() {
        let text = "Type `gannet search x --data-dir=y`.\n```\n$ gannet completions bash  # once\n\
            cargo run --release -- search harry\ncargo xtask tidy\n```\n";
        assert_eq!(check(&tree(text, ROW)), []);
    }

    #[test]
    fn commands_that_do_not_exist_fail() {
        let text = "Type `gannet find x`.\n```\ngannet search --fast\ncargo run --release -- shell\n\
            cargo xtask fly\n```\n";
        let problems = check(&tree(text, ROW));
        assert_problem(&problems, "README.md", 1, "gannet find");
        assert_problem(&problems, "README.md", 3, "--fast");
        assert_problem(&problems, "README.md", 4, "gannet shell");
        assert_problem(&problems, "README.md", 5, "xtask fly");
        assert_eq!(problems.len(), 4, "{problems:#?}");
    }
}
