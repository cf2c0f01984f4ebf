//! `gannet up` and `gannet hub`: a peer that runs until it is told to stop.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use gannet_base::{Escaped, PeerAddress, PeerId};
use gannet_node::api::{DownloadState, NodeEvent, Role, Status};
use gannet_node::{Node, NodeConfig};
use gannet_web::ApiServer;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::{UpArgs, UpFolders};
use crate::commands::share::absolute;
use crate::commands::status::{dht_line, flood_line, homes_line, hub_line, role_line};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{BAD, DIM, GOOD, HEAD, Printer, SOSO, count, facts, note, size};
use crate::progress::state_word;
use crate::signals::Signals;

/// What JSON says of a running peer, one object a line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    /// It runs. The first line.
    Started {
        peer: PeerId,
        address: &'a PeerAddress,
        api: String,
        api_file: &'a Path,
        status: &'a Status,
    },
    /// It has stopped in good order. The last line.
    Stopped {},
    /// Something happened; the event has its own `type`.
    #[serde(untagged)]
    Event {
        #[serde(flatten)]
        event: &'a NodeEvent,
        unix_milliseconds: u64,
    },
}

/// Runs a peer.
pub(crate) async fn peer(args: UpFolders, out: &mut Printer) -> Outcome {
    let file = args.up.config.clone();
    let folders = args
        .folders
        .iter()
        .map(|folder| absolute(folder))
        .collect::<Result<_, _>>()?;
    let flags = args.up.overrides(folders);
    let config = NodeConfig::resolve(file.as_deref(), |name| std::env::var(name).ok(), flags)?;
    run(config, out).await
}

/// Runs a hub.
pub(crate) async fn hub(args: UpArgs, out: &mut Printer) -> Outcome {
    let file = args.config.clone();
    let flags = args.overrides(Vec::new());
    let mut config = NodeConfig::resolve(file.as_deref(), |name| std::env::var(name).ok(), flags)?;
    config.hub_server = true;
    run(config, out).await
}

async fn run(mut config: NodeConfig, out: &mut Printer) -> Outcome {
    // Whoever reads of these places may be elsewhere.
    for place in [&mut config.data_dir, &mut config.download_dir] {
        *place = absolute(place)?;
    }
    let mut signals = Signals::listen()?;
    let api_listen = config.api_listen;
    let node = tokio::select! {
        node = Node::start(config) => node?,
        () = signals.asked() => return Ok(Exit::Done),
    };
    let served = gannet_web::serve(node.clone(), api_listen).await;
    let (lived, api) = match served {
        Ok(api) => (live(&node, &api, &mut signals, out).await, Some(api)),
        Err(error) => (Err(Failure::failed(error)), None),
    };
    let stop = async {
        node.shutdown().await;
        // Whoever asked over the API hears that it is done.
        if let Some(api) = api {
            api.close().await;
        }
    };
    // The second Ctrl-C does not wait.
    let clean = tokio::select! {
        () = stop => true,
        () = signals.asked() => false,
    };
    lived?;
    if !clean {
        return Err(Failure::new(Exit::Incomplete, "stopped at once, as asked")
            .next("nothing is lost; the next start checks more than usual"));
    }
    if out.wants_json() {
        out.json(&Line::Stopped {})?;
    } else {
        out.line("stopped")?;
    }
    Ok(Exit::Done)
}

/// Tells what happens, until somebody stops the node.
async fn live(
    node: &Node,
    api: &ApiServer,
    signals: &mut Signals,
    out: &mut Printer,
) -> Result<(), Failure> {
    let mut events = node.events();
    greet(&node.status().await?, api, out)?;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => tell(&event, out)?,
                Err(RecvError::Lagged(missed)) => {
                    tracing::info!(missed, "events came too fast to show");
                }
                Err(RecvError::Closed) => break,
            },
            () = node.stopped() => break,
            () = signals.asked() => {
                if !out.wants_json() {
                    note(format_args!("{DIM}stopping; once more to stop at once{DIM:#}"));
                }
                break;
            }
        }
    }
    Ok(())
}

fn greet(status: &Status, api: &ApiServer, out: &mut Printer) -> std::io::Result<()> {
    let url = format!("http://{}/api/v{}", api.address(), gannet_web::API_VERSION);
    if out.wants_json() {
        return out.json(&Line::Started {
            peer: status.peer,
            address: &status.address,
            api: url,
            api_file: api.token_path(),
            status,
        });
    }
    out.line(greeting(status, &url))?;
    match api.browser_link() {
        Ok(link) => out.line(page_line(&link)),
        // The page can be had later, with `gannet open`.
        Err(error) => {
            tracing::warn!(%error, "no link to the page");
            Ok(())
        }
    }
}

/// Where the page is; for one browser, once.
fn page_line(link: &str) -> String {
    format!(
        "{HEAD}page{HEAD:#}   {link}\n{DIM}       for one browser, once, within an hour; another link with: gannet open{DIM:#}"
    )
}

/// What a user sees first.
fn greeting(status: &Status, url: &str) -> String {
    let is_hub = status.hub.is_some();
    let private = if status.private { ", private" } else { "" };
    let mut lines = vec![
        ("peer", status.peer.to_string()),
        ("address", format!("{HEAD}{}{HEAD:#}", status.address)),
        ("API", url.to_owned()),
        ("network", format!("{}{private}", Escaped(&status.network))),
        (
            "data",
            Escaped(&status.data_dir.display().to_string()).to_string(),
        ),
    ];
    if !is_hub {
        lines.push((
            "downloads",
            Escaped(&status.download_dir.display().to_string()).to_string(),
        ));
        lines.extend(status.hubs.iter().map(|hub| ("hub", hub_line(hub))));
    }
    if let Some(flood) = status.flood.as_ref().filter(|flood| flood.known_peers > 0) {
        lines.push(("flood", flood_line(flood)));
    }
    if let Some(supernode) = &status.supernode {
        // A peer that was named is asked only now: see the events.
        match supernode.role {
            Role::Supernode => lines.push(("role", role_line(supernode))),
            Role::Leaf if supernode.homes.is_empty() => {}
            Role::Leaf => lines.push(("supernodes", homes_line(supernode))),
        }
    }
    // A peer that was named is asked only now: see the events.
    if let Some(dht) = status.dht.as_ref().filter(|dht| dht.joined) {
        lines.push(("dht", dht_line(dht)));
    }
    if !is_hub || status.shares.folders > 0 {
        let shares = &status.shares;
        let known = if shares.files > 0 || shares.scanning.is_none() {
            format!("{}, {}", count(shares.files, "file"), size(shares.bytes))
        } else {
            "looking through them".to_owned()
        };
        let folders = match shares.folders {
            0 => "nothing; share with `gannet share add FOLDER`".to_owned(),
            folders => format!("{}: {known}", count(folders.into(), "folder")),
        };
        lines.push(("shares", folders));
    }
    let (what, flag) = if is_hub {
        ("hub", "--hub")
    } else {
        ("peer", "--peer")
    };
    format!(
        "{HEAD}Gannet is up{HEAD:#} {DIM}as a {what}; Ctrl-C stops it{DIM:#}\n{}\n{DIM}others join \
         with: gannet up FOLDER {flag} {}{DIM:#}",
        facts(&lines),
        status.address
    )
}

fn tell(event: &NodeEvent, out: &mut Printer) -> std::io::Result<()> {
    if out.wants_json() {
        let unix_milliseconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            });
        return out.json(&Line::Event {
            event,
            unix_milliseconds,
        });
    }
    out.line(event_line(event))
}

/// One event in words.
fn event_line(event: &NodeEvent) -> String {
    match event {
        NodeEvent::HubUp { hub } => {
            format!("{GOOD}hub {} connected{GOOD:#}", hub.short())
        }
        NodeEvent::HubDown { hub, reason } => {
            format!(
                "{SOSO}hub {} lost: {}{SOSO:#}",
                hub.short(),
                Escaped(reason)
            )
        }
        NodeEvent::NeighbourUp { peer } => {
            format!("{GOOD}neighbour {} joined{GOOD:#}", peer.short())
        }
        NodeEvent::NeighbourDown { peer, reason } => {
            format!(
                "{DIM}neighbour {} is gone: {}{DIM:#}",
                peer.short(),
                Escaped(reason)
            )
        }
        NodeEvent::RoleChanged { role } => role_words(*role),
        NodeEvent::SupernodeUp {
            supernode,
            is_primary,
        } => {
            let what = if *is_primary { "" } else { " as the backup" };
            let supernode = supernode.short();
            format!("{GOOD}registered at supernode {supernode}{what}{GOOD:#}")
        }
        NodeEvent::SupernodeDown { supernode, reason } => format!(
            "{SOSO}supernode {} is no longer this leaf's: {}{SOSO:#}",
            supernode.short(),
            Escaped(reason)
        ),
        NodeEvent::RingJoined => format!("{GOOD}on a ring with others{GOOD:#}"),
        NodeEvent::RingLost => format!("{SOSO}on no ring with others any more{SOSO:#}"),
        NodeEvent::ScanFinished { files, bytes } => {
            format!("sharing {}, {}", count(*files, "file"), size(*bytes))
        }
        NodeEvent::DownloadComplete { number, path, .. } => {
            let path = path.display().to_string();
            format!(
                "{GOOD}download {number} is complete:{GOOD:#} {}",
                Escaped(&path)
            )
        }
        NodeEvent::DownloadChanged {
            number,
            state,
            reason,
        } => state_words(*number, *state, reason.as_deref()),
        NodeEvent::KeptChanged {
            name,
            copies,
            copies_online,
            ..
        } => format!(
            "{DIM}{} is kept: {copies_online} of {copies} copies online{DIM:#}",
            Escaped(name)
        ),
        NodeEvent::SourceBanned { number, peer } => format!(
            "{SOSO}download {number}: {} sent wrong bytes and is not asked again{SOSO:#}",
            peer.short()
        ),
        NodeEvent::AddressChanged { address } => {
            format!("the address is now {HEAD}{address}{HEAD:#}")
        }
    }
}

fn role_words(role: Role) -> String {
    match role {
        Role::Leaf => format!("{DIM}now a leaf: supernodes answer for it{DIM:#}"),
        Role::Supernode => {
            format!("{GOOD}now a supernode:{GOOD:#} others may register their files here")
        }
    }
}

fn state_words(number: u32, state: DownloadState, reason: Option<&str>) -> String {
    let style = match state {
        DownloadState::Failed | DownloadState::DiskFull => BAD,
        _ => DIM,
    };
    let reason = reason
        .map(|reason| format!(": {}", Escaped(reason)))
        .unwrap_or_default();
    format!(
        "{style}download {number} is {}{reason}{style:#}",
        state_word(state)
    )
}

#[cfg(test)]
mod tests {
    use gannet_base::ContentId;

    use super::*;

    #[test]
    fn a_ring_is_told_of() {
        let plain = |event| anstream::adapter::strip_str(&event_line(&event)).to_string();
        assert_eq!(plain(NodeEvent::RingJoined), "on a ring with others");
        let lost = "on no ring with others any more";
        assert_eq!(plain(NodeEvent::RingLost), lost);
    }

    #[test]
    fn events_read_well_and_stay_text() {
        let peer = PeerId::from_bytes([1; 32]);
        let content = ContentId::of(b"x");
        let cases = [
            (NodeEvent::HubUp { hub: peer }, "hub 0101010101 connected"),
            (
                NodeEvent::HubDown {
                    hub: peer,
                    reason: "gone\u{1b}[2J".to_owned(),
                },
                "hub 0101010101 lost: gone\\u{1b}[2J",
            ),
            (
                NodeEvent::NeighbourUp { peer },
                "neighbour 0101010101 joined",
            ),
            (
                NodeEvent::NeighbourDown {
                    peer,
                    reason: "it said goodbye\u{1b}".to_owned(),
                },
                "neighbour 0101010101 is gone: it said goodbye\\u{1b}",
            ),
            (
                NodeEvent::RoleChanged {
                    role: Role::Supernode,
                },
                "now a supernode: others may register their files here",
            ),
            (
                NodeEvent::SupernodeUp {
                    supernode: peer,
                    is_primary: false,
                },
                "registered at supernode 0101010101 as the backup",
            ),
            (
                NodeEvent::SupernodeDown {
                    supernode: peer,
                    reason: "it is gone\u{1b}".to_owned(),
                },
                "supernode 0101010101 is no longer this leaf's: it is gone\\u{1b}",
            ),
            (
                NodeEvent::DownloadComplete {
                    number: 1,
                    content,
                    path: "/d/a\u{202e}b".into(),
                },
                "download 1 is complete: /d/a\\u{202e}b",
            ),
            (
                NodeEvent::DownloadChanged {
                    number: 1,
                    state: DownloadState::DiskFull,
                    reason: None,
                },
                "download 1 is disk full",
            ),
            (
                NodeEvent::ScanFinished {
                    files: 1,
                    bytes: 1_000,
                },
                "sharing 1 file, 1.0 kB",
            ),
        ];
        for (event, text) in cases {
            let line = event_line(&event);
            assert_eq!(anstream::adapter::strip_str(&line).to_string(), text);
        }
    }

    #[test]
    fn json_lines_have_one_type_each() {
        let event = NodeEvent::HubUp {
            hub: PeerId::from_bytes([1; 32]),
        };
        let line = Line::Event {
            event: &event,
            unix_milliseconds: 5,
        };
        let value = serde_json::to_value(&line).unwrap();
        assert_eq!(value["type"], "hub_up");
        assert_eq!(value["unix_milliseconds"], 5);
        assert_eq!(value["hub"], "01".repeat(32));
        let stopped = serde_json::to_value(Line::Stopped {}).unwrap();
        assert_eq!(stopped["type"], "stopped");
    }
}
