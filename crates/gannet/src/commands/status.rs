//! `gannet status` and `gannet stop`.

use gannet_base::Escaped;
use gannet_node::RoleWish;
use gannet_node::api::{
    DhtInfo, FloodInfo, HomeInfo, HubInfo, KeepingInfo, Role, ScanProgress, Status, SupernodeInfo,
    Traffic,
};
use serde::Serialize;

use crate::cli::Target;
use crate::commands::keep::grant_words;
use crate::exit::{Exit, Outcome};
use crate::output::{
    BAD, DIM, GOOD, Printer, SOSO, count, facts, milliseconds, percent, size, span, speed,
};
use crate::remote::Remote;

/// Shows how the running peer is.
pub(crate) async fn status(target: &Target, out: &mut Printer) -> Outcome {
    let status = Remote::connect(target).await?.status().await?;
    if out.wants_json() {
        out.json(&status)?;
    } else {
        out.line(render(&status))?;
    }
    Ok(Exit::Done)
}

/// What `gannet stop` did.
#[derive(Serialize)]
struct StopReport {
    stopped: bool,
}

/// Asks the running peer to stop and waits until it has.
pub(crate) async fn stop(target: &Target, out: &mut Printer) -> Outcome {
    Remote::connect(target).await?.stop().await?;
    if out.wants_json() {
        out.json(&StopReport { stopped: true })?;
    } else {
        out.line("stopped")?;
    }
    Ok(Exit::Done)
}

fn render(status: &Status) -> String {
    let private = if status.private { ", private" } else { "" };
    let mut lines = vec![
        ("peer", status.peer.to_string()),
        ("address", status.address.to_string()),
        (
            "program",
            format!(
                "{}, up for {}",
                Escaped(&status.agent),
                span(status.uptime_seconds)
            ),
        ),
        (
            "network",
            format!(
                "{}{private}, {} connected",
                Escaped(&status.network),
                count(status.peers_connected.into(), "peer")
            ),
        ),
    ];
    lines.extend(status.hubs.iter().map(|hub| ("hub", hub_line(hub))));
    if let Some(supernode) = &status.supernode {
        lines.push(("role", role_line(supernode)));
        if supernode.role == Role::Leaf {
            lines.push(("supernodes", homes_line(supernode)));
        }
    }
    if let Some(dht) = &status.dht {
        lines.push(("dht", dht_line(dht)));
        lines.push(("keeping", keeping_line(&dht.keeping)));
    }
    if let Some(flood) = &status.flood {
        lines.push(("flood", flood_line(flood)));
    }
    if let Some(hub) = &status.hub {
        let line = format!(
            "is one: {}, {} of {}, {} answered",
            count(hub.peers, "peer"),
            count(hub.entries, "file"),
            count(hub.contents, "different content"),
            plural(hub.searches, "search", "searches"),
        );
        lines.push(("hub", line));
    }
    let shares = &status.shares;
    let mut shared = format!(
        "{} in {}, {}",
        count(shares.files, "file"),
        count(shares.folders.into(), "folder"),
        size(shares.bytes)
    );
    if let Some(ready) = shares.ready {
        // Looking through them comes after that.
        shared.push_str(&format!("  {DIM}{ready} of them found so far{DIM:#}"));
    } else if let Some(scan) = &shares.scanning {
        shared.push_str(&scan_words(scan));
    }
    lines.push(("shares", shared));
    lines.extend(traffic_lines(&status.traffic));
    for (name, path) in [
        ("data", &status.data_dir),
        ("downloads", &status.download_dir),
    ] {
        lines.push((name, Escaped(&path.display().to_string()).to_string()));
    }
    for problem in &status.problems {
        lines.push(("problem", format!("{BAD}{}{BAD:#}", Escaped(problem))));
    }
    facts(&lines)
}

fn traffic_lines(traffic: &Traffic) -> [(&'static str, String); 2] {
    let down = (
        "down",
        format!(
            "{}, {}, {} so far",
            count(traffic.downloads_active.into(), "download"),
            speed(traffic.down_bytes_per_second),
            size(traffic.received_bytes)
        ),
    );
    let up = (
        "up",
        format!(
            "{}, {} waiting, {}, {} so far",
            count(traffic.uploads_active.into(), "upload"),
            traffic.uploads_queued,
            speed(traffic.up_bytes_per_second),
            size(traffic.sent_bytes)
        ),
    );
    [down, up]
}

/// One hub in words.
pub(crate) fn hub_line(hub: &HubInfo) -> String {
    let id = hub.hub.short();
    if hub.connected {
        let answer = hub.answer_ms.map_or_else(String::new, |answer| {
            format!(", answers in {}", milliseconds(answer))
        });
        return format!(
            "{id}  {GOOD}connected{GOOD:#}, {} registered{answer}",
            count(hub.registered, "file")
        );
    }
    let problem = hub.problem.as_deref().unwrap_or("not connected yet");
    format!("{id}  {SOSO}{}{SOSO:#}", Escaped(problem))
}

/// The neighbours in words.
pub(crate) fn flood_line(flood: &FloodInfo) -> String {
    let neighbours = match flood.neighbours {
        0 => format!("{SOSO}no neighbour yet{SOSO:#}"),
        n => format!(
            "{GOOD}{}{GOOD:#} of {} wanted",
            count(n.into(), "neighbour"),
            flood.neighbours_target
        ),
    };
    format!(
        "{neighbours}, {} known, {} of others looked into",
        count(flood.known_peers, "other peer"),
        count(flood.questions, "question")
    )
}

/// The place on the ring in words.
pub(crate) fn dht_line(dht: &DhtInfo) -> String {
    let known = count(dht.known_peers, "other peer");
    if !dht.joined {
        return format!("{SOSO}on no ring yet{SOSO:#}, {known} known");
    }
    let pending = match dht.pending {
        0 => String::new(),
        pending => format!(" ({} to come)", count(pending, "list")),
    };
    let published = format!("{} listed there{pending}", count(dht.published, "file"));
    let entries = plural(dht.entries, "entry", "entries");
    if !dht.is_member {
        return format!("{GOOD}uses a ring{GOOD:#} without a place on it, {published}");
    }
    format!(
        "{GOOD}on a ring{GOOD:#} of about {}, {} of {} wanted, {published}, lists {} of \
         others ({}), {} answered; {known} known",
        count(dht.peers_estimated, "peer"),
        count(dht.successors.len() as u64, "successor"),
        dht.successors_target,
        entries,
        size(dht.entry_bytes),
        count(dht.answered, "question"),
    )
}

/// What is kept in words.
fn keeping_line(keeping: &KeepingInfo) -> String {
    let own = match keeping.kept_files {
        0 => String::new(),
        files => format!("{} kept by others, ", count(files, "file")),
    };
    format!("{own}{}", grant_words(keeping))
}

/// The role between supernodes and leaves in words.
pub(crate) fn role_line(info: &SupernodeInfo) -> String {
    let known = count(info.known_supernodes, "supernode");
    let chosen = match info.wish {
        RoleWish::Auto => "",
        RoleWish::Force | RoleWish::Forbid => ", as configured",
    };
    match info.role {
        Role::Leaf => {
            let reachable = if info.is_reachable {
                ", fit to be a supernode"
            } else {
                ""
            };
            format!("leaf{chosen}{reachable}; {known} known")
        }
        Role::Supernode => {
            let style = if info.links + info.leaves > 0 {
                GOOD
            } else {
                DIM
            };
            let busy = if info.is_busy {
                ", busy: takes no more leaves now"
            } else {
                ""
            };
            format!(
                "{style}supernode{style:#}{chosen}: {} of at most {}, {} of {} wanted, {} in its \
                 index, {} answered{busy}; {known} known",
                plural(info.leaves.into(), "leaf", "leaves"),
                info.leaves_max,
                count(info.links.into(), "link"),
                info.links_target,
                count(info.entries, "file"),
                plural(info.leaf_searches, "search", "searches"),
            )
        }
    }
}

/// A leaf's supernodes in words.
pub(crate) fn homes_line(info: &SupernodeInfo) -> String {
    if info.homes.is_empty() {
        let since = info
            .unassigned_seconds
            .map_or_else(String::new, |seconds| format!(", for {}", span(seconds)));
        return format!("{SOSO}none yet{since}{SOSO:#}");
    }
    let homes: Vec<String> = info.homes.iter().map(home_words).collect();
    homes.join("; ")
}

fn home_words(home: &HomeInfo) -> String {
    let what = if home.is_primary { "asks" } else { "backup" };
    let id = home.supernode.short();
    if home.is_live {
        let files = count(home.registered, "file");
        format!("{what} {GOOD}{id}{GOOD:#}, {files} registered")
    } else {
        format!("{what} {id}, {SOSO}no answer now{SOSO:#}")
    }
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn scan_words(scan: &ScanProgress) -> String {
    let whole = scan.bytes_hashed.saturating_add(scan.bytes_left);
    format!(
        "  {DIM}hashing: {} %, {} left{DIM:#}",
        percent(scan.bytes_hashed, whole),
        size(scan.bytes_left)
    )
}

#[cfg(test)]
mod tests {
    use gannet_base::{PeerAddress, PeerId};
    use gannet_node::api::{HubServerInfo, SharesSummary};

    use super::*;

    fn a_leaf() -> SupernodeInfo {
        SupernodeInfo {
            role: Role::Leaf,
            homes: vec![
                HomeInfo {
                    supernode: PeerId::from_bytes([4; 32]),
                    is_primary: true,
                    is_live: true,
                    registered: 3,
                },
                HomeInfo {
                    supernode: PeerId::from_bytes([5; 32]),
                    is_primary: false,
                    is_live: false,
                    registered: 0,
                },
            ],
            known_supernodes: 7,
            is_reachable: true,
            ..SupernodeInfo::default()
        }
    }

    fn on_a_ring() -> DhtInfo {
        DhtInfo {
            joined: true,
            is_member: true,
            successors: vec![PeerId::from_bytes([6; 32])],
            successors_target: 16,
            known_peers: 2,
            peers_estimated: 2,
            entries: 1,
            entry_bytes: 200,
            published: 3,
            pending: 5,
            answered: 4,
            keeping: KeepingInfo {
                grant_bytes: 1_000_000_000,
                held_bytes: 48_000_000,
                held_blocks: 3,
                kept_files: 2,
                ..KeepingInfo::default()
            },
            ..DhtInfo::default()
        }
    }

    fn a_status() -> Status {
        let peer = PeerId::from_bytes([1; 32]);
        let address = PeerAddress {
            peer,
            addresses: vec![([127, 0, 0, 1], 7).into()],
        };
        Status {
            peer,
            address,
            agent: "gannet/0.1.0".to_owned(),
            network: "film\u{1b}[2J".to_owned(),
            private: true,
            uptime_seconds: 75,
            data_dir: "/d".into(),
            download_dir: "/d/finished".into(),
            hubs: vec![
                HubInfo {
                    hub: PeerId::from_bytes([2; 32]),
                    connected: true,
                    registered: 1,
                    answer_ms: Some(4),
                    problem: None,
                },
                HubInfo {
                    hub: PeerId::from_bytes([3; 32]),
                    connected: false,
                    registered: 0,
                    answer_ms: None,
                    problem: Some("no answer".to_owned()),
                },
            ],
            hub: Some(HubServerInfo {
                peers: 2,
                entries: 10,
                contents: 9,
                searches: 1,
            }),
            overlays: vec!["hub".to_owned(), "flood".to_owned()],
            flood: Some(FloodInfo {
                neighbours: 3,
                neighbours_target: 8,
                known_peers: 20,
                questions: 1,
                problem: None,
            }),
            supernode: Some(a_leaf()),
            dht: Some(on_a_ring()),
            shares: SharesSummary {
                folders: 1,
                files: 3,
                bytes: 4_000,
                ready: None,
                scanning: Some(ScanProgress {
                    files_seen: 4,
                    files_hashed: 1,
                    bytes_hashed: 1_000,
                    bytes_left: 3_000,
                }),
            },
            traffic: Traffic::default(),
            peers_connected: 1,
            problems: vec!["the disk is full".to_owned()],
        }
    }

    #[test]
    fn a_status_reads_well() {
        let text = anstream::adapter::strip_str(&render(&a_status())).to_string();
        for part in [
            "film\\u{1b}[2J, private, 1 peer connected",
            "0202020202  connected, 1 file registered, answers in 4 ms",
            "0303030303  no answer",
            "is one: 2 peers, 10 files of 9 different contents, 1 search answered",
            "3 neighbours of 8 wanted, 20 other peers known, 1 question of others looked into",
            "on a ring of about 2 peers, 1 successor of 16 wanted, 3 files listed there (5 lists to \
             come), lists 1 entry of others (200 B), 4 questions answered; 2 other peers known",
            "2 files kept by others, holds 3 parts of others: 48.0 MB of 1.0 GB granted",
            "leaf, fit to be a supernode; 7 supernodes known",
            "asks 0404040404, 3 files registered; backup 0505050505, no answer now",
            "3 files in 1 folder, 4.0 kB  hashing: 25 %, 3.0 kB left",
            "problem     the disk is full",
            "@127.0.0.1:7",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_start_with_many_files_reads_well() {
        let mut status = a_status();
        status.shares.ready = Some(2);
        let text = anstream::adapter::strip_str(&render(&status)).to_string();
        let part = "3 files in 1 folder, 4.0 kB  2 of them found so far\n";
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn places_on_the_ring_read_well() {
        let plain = |info: &DhtInfo| anstream::adapter::strip_str(&dht_line(info)).to_string();
        let mut info = on_a_ring();
        info.is_member = false;
        assert_eq!(
            plain(&info),
            "uses a ring without a place on it, 3 files listed there (5 lists to come)"
        );
        info.joined = false;
        assert_eq!(plain(&info), "on no ring yet, 2 other peers known");
    }

    #[test]
    fn roles_read_well() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        let mut info = SupernodeInfo {
            role: Role::Supernode,
            wish: RoleWish::Force,
            leaves: 1,
            leaves_max: 300,
            links: 2,
            links_target: 40,
            entries: 1_000,
            leaf_searches: 2,
            known_supernodes: 3,
            is_busy: true,
            ..SupernodeInfo::default()
        };
        assert_eq!(
            plain(role_line(&info)),
            "supernode, as configured: 1 leaf of at most 300, 2 links of 40 wanted, 1000 files in \
             its index, 2 searches answered, busy: takes no more leaves now; 3 supernodes known"
        );
        info.role = Role::Leaf;
        info.unassigned_seconds = Some(3);
        assert_eq!(plain(homes_line(&info)), "none yet, for 3 s");
    }
}
