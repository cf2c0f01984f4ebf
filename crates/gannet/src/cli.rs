//! The command line: what can be typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gannet_base::PeerAddress;
use gannet_node::{DhtOverrides, Overlay, Overrides, Rate, RoleWish, Space, SupernodeOverrides};

use crate::commands::keep::{KeepArgs, KeptArgs, UnkeepArgs};
use crate::commands::lab::LabArgs;
use crate::exit::EXIT_CODES;

/// Find and fetch files among peers, with no server that has to be trusted.
#[derive(Debug, Parser)]
#[command(
    name = "gannet",
    version,
    arg_required_else_help = true,
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Print JSON: one document, or one object a line where things happen over
    /// time
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to log on standard error: error, warn, info, debug, trace, or
    /// targets such as gannet_node=debug
    #[arg(
        long,
        global = true,
        env = "GANNET_LOG",
        value_name = "FILTER",
        default_value = "warn",
        hide_default_value = true,
        help_heading = "Logging"
    )]
    pub(crate) log: String,
    /// Log as JSON lines
    #[arg(long, global = true, help_heading = "Logging")]
    pub(crate) log_json: bool,
}

/// Which running peer to talk to.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The data directory of the peer to talk to [default: the user's]
    // Global, so that `share add` and the like take it in either place.
    #[arg(long, env = "GANNET_DATA_DIR", value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a hub: a directory where peers register and search
    Hub(UpArgs),
    /// Run a peer: share folders, serve others, keep running
    Up(UpFolders),
    /// Search hubs, supernodes, the ring and neighbours for files
    ///
    /// All words must match. "a phrase" keeps words together, -word leaves out,
    /// OR offers a choice, word* matches beginnings; filters: type:audio,
    /// ext:flac, size:>10MB, size:1GB..4GB, artist:, title:, album:, hash:ID.
    Search(SearchArgs),
    /// Download rows of the last search, or links
    ///
    /// A link works with no peer running too: it is fetched at once and the
    /// command ends when the file is there.
    Get(GetArgs),
    /// Share folders, or stop sharing them
    Share(ShareArgs),
    /// List, watch, pause, resume or cancel downloads
    Downloads(DownloadsArgs),
    /// List whom this peer serves and who waits
    Uploads(Target),
    /// List the connected peers
    Peers(Target),
    /// List what a peer shares
    Browse(BrowseArgs),
    /// Print the link to a shared file or folder, to be given to others
    ///
    /// The link to a folder is to what is in it now: after a change, it is another.
    Link(LinkArgs),
    /// Have the peers of the ring keep shared files, so that they outlive this one
    Keep(KeepArgs),
    /// List the files that others keep for this peer, or what it holds for others
    Kept(KeptArgs),
    /// Have others keep files no more
    Unkeep(UnkeepArgs),
    /// Show how the running peer is
    Status(Target),
    /// Open the running peer's page in a browser
    ///
    /// Prints a link that lets one browser in, once and within an hour, and gives
    /// it to the browser.
    Open(OpenArgs),
    /// Ask the running peer to stop
    Stop(Target),
    /// Look for what is in the way: configuration, disk, clock, ports,
    /// connections; and say what to do about it
    Doctor(UpArgs),
    /// Print every setting there is, as a configuration file to copy
    Config {
        /// As a table in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print the manual page, or write one for every command
    Man {
        /// A folder for the pages
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Play the whole journey with real peers on this machine: with a hub, with
    /// neighbours only, with supernodes, and with a ring
    Demo(DemoArgs),
    /// Experiment with thousands of simulated peers; nothing touches the network
    Lab(LabArgs),
}

/// `up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpFolders {
    /// Folders to share, besides those that are remembered
    #[arg(value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) up: UpArgs,
}

/// `up` and `hub`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpArgs {
    /// Where the peer keeps its identity and catalogue; one peer at a time
    /// [default: the user's]
    #[arg(long, env = "GANNET_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where finished downloads land
    #[arg(long, value_name = "DIR")]
    download_dir: Option<PathBuf>,
    /// Address and port to listen on; repeat for several; port 0 is any
    #[arg(long, value_name = "IP:PORT")]
    listen: Vec<SocketAddr>,
    /// A peer to join the network through; repeat for several
    #[arg(long, value_name = "PEER@IP:PORT")]
    peer: Vec<PeerAddress>,
    /// A hub to register at and to search; repeat for several
    #[arg(long, value_name = "PEER@IP:PORT")]
    hub: Vec<PeerAddress>,
    /// The ways to find and be found: hub (directory servers), supernode
    /// (directories that peers elect), dht (a ring on which every word has its
    /// peers), flood (neighbours that pass questions on) [default: hub,
    /// supernode, flood]
    #[arg(
        long,
        env = "GANNET_OVERLAY",
        hide_env_values = true,
        value_name = "NAMES",
        value_delimiter = ','
    )]
    overlay: Vec<Overlay>,
    /// Whether to be a supernode, at which others register: auto (as the
    /// network needs), force (always), forbid (never) [default: auto]
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleWish>,
    /// Disk space granted to others for files that are to outlive their
    /// publishers, such as 10GB; none: nothing is held [default: 1GB]
    #[arg(long, value_name = "SPACE")]
    grant: Option<Space>,
    /// How many neighbours to have, 1 to 50 [default: 8]
    #[arg(long, value_name = "N")]
    neighbours: Option<u32>,
    /// The network's name; peers of other networks are refused
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// A file with the network's secret; peers without it are refused
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Most bytes a second sent, such as 500K or 20M
    #[arg(long, value_name = "RATE")]
    limit_up: Option<Rate>,
    /// Most bytes a second received
    #[arg(long, value_name = "RATE")]
    limit_down: Option<Rate>,
    /// The configuration file [default: the user's, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the API listens; it is for this machine, so keep to loopback
    #[arg(long, value_name = "IP:PORT")]
    api_listen: Option<SocketAddr>,
    /// How many peers are served at once, 1 to 100
    #[arg(long, value_name = "N")]
    upload_slots: Option<u32>,
    /// Do not look for peers on the local network, and do not be found there
    #[arg(long)]
    no_local_discovery: bool,
}

impl UpArgs {
    /// The flags as settings.
    pub(crate) fn overrides(self, shares: Vec<PathBuf>) -> Overrides {
        Overrides {
            data_dir: self.data_dir,
            download_dir: self.download_dir,
            listen: self.listen,
            peers: self.peer,
            hubs: self.hub,
            overlays: self.overlay,
            neighbours: self.neighbours,
            supernode: SupernodeOverrides {
                role: self.role,
                ..SupernodeOverrides::default()
            },
            dht: DhtOverrides {
                grant: self.grant,
                ..DhtOverrides::default()
            },
            network: self.network,
            secret_file: self.secret_file,
            limit_up: self.limit_up,
            limit_down: self.limit_down,
            local_discovery: self.no_local_discovery.then_some(false),
            upload_slots: self.upload_slots,
            api_listen: self.api_listen,
            shares,
            ..Overrides::default()
        }
    }
}

/// `search`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The words to search for
    #[arg(required = true, value_name = "WORDS")]
    pub(crate) words: Vec<String>,
    /// Most rows to show
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Print rows as they arrive
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `get`.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Rows of the last search (1 2 5), links (gannet:…) or content ids
    #[arg(required = true, value_name = "N|LINK")]
    pub(crate) wanted: Vec<String>,
    /// Where to put the file or folder when no peer is running [default: here]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Give up when nothing has come for so many seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
    /// Leave the download to the running peer and return at once
    #[arg(long)]
    pub(crate) detach: bool,
    /// A hub to ask, when no peer is running; repeat for several
    #[arg(long, value_name = "PEER@IP:PORT")]
    pub(crate) hub: Vec<PeerAddress>,
    /// A peer to join the network through, when no peer is running; repeat for
    /// several
    #[arg(long, value_name = "PEER@IP:PORT")]
    pub(crate) peer: Vec<PeerAddress>,
    /// The configuration file, when no peer is running
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Do not look for peers on the local network, when no peer is running
    #[arg(long)]
    pub(crate) no_local_discovery: bool,
}

/// `share`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) action: ShareAction,
}

/// What to do with shares.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ShareAction {
    /// Share folders from now on
    Add {
        /// The folders
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
        /// Share what is refused for safety's sake, such as a home directory
        #[arg(long)]
        force: bool,
    },
    /// Share folders no more; no file is touched
    Remove {
        /// The folders
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// List the shared folders
    List,
}

/// `downloads`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DownloadsArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Keep showing them until all are over
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(subcommand)]
    pub(crate) action: Option<DownloadsAction>,
}

/// What to do with downloads.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DownloadsAction {
    /// List downloads; so does `downloads` alone
    List {
        /// Keep showing them until all are over
        #[arg(long)]
        watch: bool,
    },
    /// Pause downloads; they keep what they have
    Pause(Numbers),
    /// Let paused downloads go on
    Resume(Numbers),
    /// Give downloads up and delete what they have; finished files stay
    Cancel(Numbers),
}

/// Which downloads.
#[derive(Debug, Clone, Args)]
pub(crate) struct Numbers {
    /// The downloads' numbers
    #[arg(required = true, value_name = "N")]
    pub(crate) numbers: Vec<u32>,
}

/// `open`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the link and start no browser
    #[arg(long)]
    pub(crate) print: bool,
}

/// `browse`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BrowseArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The peer: its id or address, or the beginning of the id of one that is
    /// connected or was found by the last search
    #[arg(value_name = "PEER")]
    pub(crate) peer: String,
    /// Most files to list; 0: all
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) limit: u64,
    /// How many files to skip
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u64,
}

/// `link`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LinkArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The files and folders
    #[arg(required = true, value_name = "FILE|FOLDER")]
    pub(crate) files: Vec<PathBuf>,
}

/// The acts of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acts {
    /// With a hub
    Hub,
    /// With neighbours only
    Flood,
    /// With supernodes that peers elect
    Supernode,
    /// With a ring on which every word has its peers
    Dht,
    /// One after the other
    All,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// The folder whose files play [default: the current one if it is a
    /// repository, else generated files]
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Which ways of finding to play
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub(crate) overlay: Acts,
    /// Keep the demo's files, and say where they are
    #[arg(long)]
    pub(crate) keep: bool,
    /// Size of the big file, MiB
    #[arg(long, value_name = "MIB", default_value_t = 192, hide = true,
          value_parser = clap::value_parser!(u64).range(8..=4_096))]
    pub(crate) big: u64,
}

/// The arguments put in an order in which `search` takes `-word` as a word:
/// its long options first, then `--`, then everything else as it was typed.
/// Arguments of other commands are left alone.
pub(crate) fn search_words_last(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let arguments: Vec<OsString> = arguments.collect();
    let command = Cli::command();
    let Some(at) = command_at(&command, &arguments).filter(|at| arguments[*at] == "search") else {
        return arguments;
    };
    let search = command
        .find_subcommand("search")
        .expect("it is declared above");
    let mut options = Vec::new();
    let mut words = Vec::new();
    let mut rest = arguments[at + 1..].iter().cloned();
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--") => words.extend(rest.by_ref()),
            Some("-h") => options.push(argument),
            Some(text) if text.starts_with("--") => {
                let takes_value = takes_value(&command, search, &text[2..]);
                options.push(argument);
                if takes_value {
                    options.extend(rest.next());
                }
            }
            _ => words.push(argument),
        }
    }
    let mut ordered = arguments[..=at].to_vec();
    ordered.extend(options);
    if !words.is_empty() {
        ordered.push("--".into());
        ordered.extend(words);
    }
    ordered
}

/// Where the command's name is: the first argument after the program that is
/// no option and no option's value.
fn command_at(command: &clap::Command, arguments: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        let Some(option) = argument.to_str().and_then(|text| text.strip_prefix("--")) else {
            return Some(at);
        };
        at += 1 + usize::from(takes_value(command, command, option));
    }
    None
}

/// Whether the option of this name takes the next argument as its value.
fn takes_value(root: &clap::Command, command: &clap::Command, name: &str) -> bool {
    root.get_arguments()
        .chain(command.get_arguments())
        .any(|argument| argument.get_long() == Some(name) && argument.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let arguments = line.split(' ').map(OsString::from);
        Cli::try_parse_from(search_words_last(arguments))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn search_takes_words_that_start_with_a_dash() {
        let cases = [
            ("gannet search harry -potter", "harry -potter", false, 50),
            (
                "gannet search -potter harry --json",
                "-potter harry",
                true,
                50,
            ),
            (
                "gannet --json search a OR -b --limit 3 c",
                "a OR -b c",
                true,
                3,
            ),
            ("gannet --log info search --limit=7 a", "a", false, 7),
            ("gannet search a -- --json", "a --json", false, 50),
        ];
        for (line, words, json, limit) in cases {
            let cli = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let Command::Search(search) = cli.command else {
                panic!("{line} is a search")
            };
            assert_eq!(search.words.join(" "), words, "{line}");
            assert_eq!(cli.common.json, json, "{line}");
            assert_eq!(search.limit, limit, "{line}");
        }
        for wrong in [
            "gannet search",
            "gannet search --nope a",
            "gannet search --limit",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_of_up_become_settings() {
        let peer = "07".repeat(32);
        let line = format!(
            "gannet up /music /books --data-dir /d --hub {peer}@10.0.0.1:7 --hub {peer} \
             --limit-up 20M --listen 127.0.0.1:0 --no-local-discovery --network film \
             --overlay supernode,hub --role forbid --grant 10GB"
        );
        let Command::Up(up) = parse(&line).unwrap().command else {
            panic!("it is `up`")
        };
        let settings = up.up.overrides(up.folders);
        assert_eq!(settings.shares, ["/music", "/books"].map(PathBuf::from));
        assert_eq!(settings.hubs.len(), 2);
        assert_eq!(settings.limit_up, Some(Rate(Some(20_000_000))));
        assert_eq!(settings.local_discovery, Some(false));
        assert_eq!(settings.network.as_deref(), Some("film"));
        assert_eq!(settings.limit_down, None);
        assert_eq!(settings.overlays, [Overlay::Supernode, Overlay::Hub]);
        assert_eq!(settings.supernode.role, Some(RoleWish::Forbid));
        assert_eq!(settings.dht.grant, Some(Space(10_000_000_000)));
        assert!(parse("gannet up --role boss").is_err());
    }

    #[test]
    fn downloads_lists_unless_told_otherwise() {
        let downloads = |line: &str| match parse(line).map(|cli| cli.command) {
            Ok(Command::Downloads(downloads)) => downloads,
            other => panic!("{line}: {other:?}"),
        };
        assert!(downloads("gannet downloads").action.is_none());
        assert!(downloads("gannet downloads --watch").watch);
        let list = downloads("gannet downloads list --watch").action;
        assert!(matches!(list, Some(DownloadsAction::List { watch: true })));
        for line in [
            "gannet downloads pause 1 2 --data-dir /d",
            "gannet downloads --data-dir /d pause 1 2",
        ] {
            let pause = downloads(line);
            assert_eq!(pause.target.data_dir, Some("/d".into()), "{line}");
            let Some(DownloadsAction::Pause(which)) = pause.action else {
                panic!("{line} is a pause")
            };
            assert_eq!(which.numbers, [1, 2]);
        }
        for wrong in [
            "gannet downloads pause",
            "gannet downloads pause one",
            "gannet get",
            "gannet share",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
