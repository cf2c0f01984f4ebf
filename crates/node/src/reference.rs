//! Every setting there is, described: what the configuration reference is made
//! of.

use std::fmt::Write as _;

/// One key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name, behind its section's and a dot where it is in one.
    pub key: &'static str,
    /// The flag of `gannet up` that sets it, if one does.
    pub flag: Option<&'static str>,
    /// What it does, in plain words.
    pub what: &'static str,
    /// What it is where nobody sets it.
    pub default: Preset,
}

/// What a setting is where nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// This value, as the file has it.
    Is(&'static str),
    /// Nothing, or what the machine says; and a value to copy.
    Otherwise {
        /// In plain words.
        words: &'static str,
        /// A value, as the file has it.
        example: &'static str,
    },
}

const fn is(
    key: &'static str,
    flag: Option<&'static str>,
    default: &'static str,
    what: &'static str,
) -> Setting {
    Setting {
        key,
        flag,
        what,
        default: Preset::Is(default),
    }
}

const fn otherwise(
    key: &'static str,
    flag: Option<&'static str>,
    (words, example): (&'static str, &'static str),
    what: &'static str,
) -> Setting {
    Setting {
        key,
        flag,
        what,
        default: Preset::Otherwise { words, example },
    }
}

/// An address to copy: an id is 64 digits.
const ADDRESS: &str =
    "[\"ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6@192.0.2.7:7411\"]";

/// All settings, in the order of the reference. Those of a section follow one
/// another, after all that are in none.
pub const SETTINGS: &[Setting] = &[
    otherwise(
        "data_dir",
        Some("--data-dir"),
        ("~/.local/share/gannet", "\"/srv/gannet\""),
        "Where the peer keeps its key, its catalogue and the hash trees. One running peer each.",
    ),
    otherwise(
        "download_dir",
        Some("--download-dir"),
        ("`finished` in the data directory", "\"/srv/downloads\""),
        "Where finished downloads land.",
    ),
    otherwise(
        "shares",
        Some("folders after `up`"),
        ("none", "[\"/srv/music\", \"/srv/books\"]"),
        "Folders to share besides those that are remembered.",
    ),
    otherwise(
        "hubs",
        Some("--hub"),
        ("none", ADDRESS),
        "Hubs to register at and to search.",
    ),
    otherwise(
        "peers",
        Some("--peer"),
        ("none", ADDRESS),
        "Peers to join by, and to keep a connection to.",
    ),
    is(
        "overlays",
        Some("--overlay"),
        "[\"hub\", \"supernode\", \"flood\"]",
        "Ways to find and be found: `hub` (directory servers), `supernode` (directories that peers \
         elect), `dht` (a ring on which every word has its peers), `flood` (neighbours that pass \
         questions on).",
    ),
    is(
        "neighbours",
        Some("--neighbours"),
        "8",
        "Neighbours to have, 1 to 50. Too few: questions travel further. Too many: each costs more \
         messages.",
    ),
    otherwise(
        "listen",
        Some("--listen"),
        (
            "any port, every interface",
            "[\"0.0.0.0:7411\", \"[::]:7411\"]",
        ),
        "Addresses and UDP ports to listen on; port 0 is any. The TCP port is the same if it is \
         free.",
    ),
    is(
        "network",
        Some("--network"),
        "\"gannet\"",
        "The network's name; peers of other networks are refused.",
    ),
    otherwise(
        "secret_file",
        Some("--secret-file"),
        ("none: not private", "\"/etc/gannet/club.secret\""),
        "A file with the network's secret; peers without it are refused.",
    ),
    is(
        "limit_up",
        Some("--limit-up"),
        "\"unlimited\"",
        "Most bytes a second sent: `500K`, `20M`, `1.5MiB`.",
    ),
    is(
        "limit_down",
        Some("--limit-down"),
        "\"unlimited\"",
        "Most bytes a second received.",
    ),
    is(
        "limit_hashing",
        None,
        "\"unlimited\"",
        "Most bytes a second read for hashing.",
    ),
    is(
        "upload_slots",
        Some("--upload-slots"),
        "8",
        "Peers served at once, 1 to 100. More: each gets less.",
    ),
    is(
        "bulk_road",
        None,
        "\"auto\"",
        "How the bytes of files travel: `auto` (large files by TCP where it gets through), `quic` \
         (no TCP port at all), `tcp` (from the first byte).",
    ),
    is(
        "congestion",
        None,
        "\"auto\"",
        "How fast to send into a path that drops what is too much: `auto` (cubic, and by TCP what \
         the system has, but no bbr to near peers), `cubic`, `bbr` (faster on long paths that lose some), `reno`.",
    ),
    otherwise(
        "tcp_port",
        None,
        ("the one listened on", "7411"),
        "The TCP port that others are to dial, where a router passes another one on.",
    ),
    is(
        "local_discovery",
        Some("--no-local-discovery"),
        "true",
        "Whether to look for peers on the local network, and be found there.",
    ),
    otherwise(
        "relays",
        None,
        ("none", "[\"https://relay.example.org\"]"),
        "Relays to use, such as an iroh-relay of your own.",
    ),
    is(
        "api_listen",
        Some("--api-listen"),
        "\"127.0.0.1:0\"",
        "Where page and API listen; it is for this machine, so keep to loopback.",
    ),
    is(
        "supernode.role",
        Some("--role"),
        "\"auto\"",
        "Whether to be a supernode: `auto` (as the network needs), `force` (always), `forbid` \
         (never).",
    ),
    is(
        "supernode.leaves_max",
        None,
        "300",
        "Leaves taken as a supernode, 1 to 2,000. More: memory, connections and work.",
    ),
    is(
        "supernode.links",
        None,
        "40",
        "Links to other supernodes as one, 1 to 200.",
    ),
    is(
        "supernode.supernodes_min",
        None,
        "30",
        "Supernodes below which every peer that can be is one, 1 to 1,000.",
    ),
    is(
        "supernode.load_max",
        None,
        "80",
        "Load of the machine, per cent of its processors, above which it takes no more leaves; 0: \
         never.",
    ),
    is(
        "dht.member",
        None,
        "true",
        "Whether to have a place on the ring and list for others. Without one it still publishes \
         and searches: right for a peer that others cannot connect to.",
    ),
    is(
        "dht.successors",
        None,
        "16",
        "Peers after it on the ring that it knows, 2 to 64. Too few: the ring breaks when many go \
         at once.",
    ),
    is(
        "dht.copies",
        None,
        "8",
        "Peers that keep each list, 1 to 32, at most `successors`.",
    ),
    is(
        "dht.virtual_nodes",
        None,
        "1",
        "Places on the ring, 1 to 32; more for a stronger machine.",
    ),
    is(
        "dht.grant",
        Some("--grant"),
        "\"1GB\"",
        "Disk space granted to others for files that are to outlive their publishers: `10GB`, \
         `500M`, `none`.",
    ),
];

impl Setting {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        // One word: it names one or several, as the flag does.
        let key = match self.key {
            "overlays" => "overlay",
            key => key,
        };
        format!("GANNET_{}", key.replace('.', "_").to_ascii_uppercase())
    }

    fn value(&self) -> &'static str {
        match self.default {
            Preset::Is(value) => value,
            Preset::Otherwise { example, .. } => example,
        }
    }
}

/// A configuration file with every setting in it, each as a comment with its
/// default, or with an example where there is none.
pub fn file() -> String {
    let mut text = String::from(
        "# Settings of gannet. Each can come from this file, from the environment\n\
         # and from a flag; the later wins. Take away the # before those to change.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (within, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if within != section {
            section = within;
            let _ = writeln!(text, "\n[{section}]");
        }
        text.push('\n');
        for line in textwrapped(setting.what, 76) {
            let _ = writeln!(text, "# {line}");
        }
        if let Preset::Otherwise { words, .. } = setting.default {
            let _ = writeln!(text, "# Default: {words}. For example:");
        }
        let _ = writeln!(text, "#{name} = {}", setting.value());
    }
    text
}

/// The settings as a page in Markdown.
pub fn page() -> String {
    let mut text = String::from(
        "# Configuration\n\nEach setting can come from a file, from the environment and from a flag \
         of `gannet up`; the later wins. `gannet config` prints a file with all of them; this page is \
         `gannet config --markdown`.\n\n| key in the file | environment | flag | meaning | default |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let flag = match setting.flag {
            Some(flag) if flag.starts_with('-') => format!("`{flag}`"),
            other => other.unwrap_or_default().to_owned(),
        };
        let default = match setting.default {
            Preset::Is(value) => format!("`{}`", value.trim_matches('"')),
            Preset::Otherwise { words, .. } => words.to_owned(),
        };
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {flag} | {} | {default} |",
            setting.key,
            setting.variable(),
            setting.what.replace('|', "\\|")
        );
    }
    text
}

/// Lines of at most `width` characters, broken between words.
fn textwrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{NodeConfig, Overrides};

    /// The names that a table of the file may have, by the reader's own word.
    fn known(section: &str) -> BTreeSet<String> {
        let text = match section {
            "" => "no_such_key = 1".to_owned(),
            section => format!("[{section}]\nno_such_key = 1"),
        };
        let error = toml::from_str::<Overrides>(&text).unwrap_err().to_string();
        let (_, names) = error.split_once("expected one of").expect("it names them");
        let names = names.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_setting_is_described_and_no_other() {
        let mut all = known("");
        for section in ["supernode", "dht"] {
            assert!(all.remove(section));
            let keys = known(section).into_iter();
            all.extend(keys.map(|key| format!("{section}.{key}")));
        }
        let described: BTreeSet<String> = SETTINGS.iter().map(|one| one.key.to_owned()).collect();
        assert_eq!(described.len(), SETTINGS.len());
        assert_eq!(described, all);
    }

    /// The file with the settings taken in that `wanted` wants.
    fn with(wanted: impl Fn(&Setting) -> bool) -> String {
        let mut text = file();
        for setting in SETTINGS.iter().filter(|setting| wanted(setting)) {
            let name = setting.key.rsplit('.').next().unwrap();
            let line = format!("#{name} = {}\n", setting.value());
            assert_eq!(text.matches(&line).count(), 1, "{line}");
            text = text.replace(&line, &line[1..]);
        }
        text
    }

    fn resolved(text: &str) -> NodeConfig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let flags = Overrides {
            data_dir: Some("/d".into()),
            ..Overrides::default()
        };
        NodeConfig::resolve(Some(&path), |_| None, flags).unwrap()
    }

    #[test]
    fn defaults_are_what_they_are_said_to_be() {
        let untouched = resolved(&file());
        assert_eq!(untouched, NodeConfig::new("/d".into()));
        let written = resolved(&with(|setting| matches!(setting.default, Preset::Is(_))));
        assert_eq!(written, untouched);
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == page(),
            "run: cargo run -- config --markdown > docs/configuration.md"
        );
    }

    #[test]
    fn examples_can_be_used() {
        let config = resolved(&with(|_| true));
        assert_eq!(config.hubs.len(), 1);
        assert_eq!(config.tcp_port.map(u16::from), Some(7411));
        assert_eq!(config.listen.len(), 2);
    }

    #[test]
    fn each_variable_is_read() {
        for setting in SETTINGS {
            let value = setting
                .value()
                .trim_matches(['[', ']'])
                .replace([',', '"'], "");
            let asked = std::cell::Cell::new(false);
            let look_up = |name: &str| {
                (name == setting.variable()).then(|| {
                    asked.set(true);
                    value.clone()
                })
            };
            let flags = Overrides {
                data_dir: Some("/d".into()),
                ..Overrides::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let empty = dir.path().join("config.toml");
            std::fs::write(&empty, "").unwrap();
            let resolved = NodeConfig::resolve(Some(&empty), look_up, flags);
            assert!(asked.get(), "{}", setting.variable());
            assert!(resolved.is_ok(), "{}: {resolved:?}", setting.key);
        }
    }
}
