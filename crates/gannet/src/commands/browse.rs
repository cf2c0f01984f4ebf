//! `gannet browse PEER`.

use std::collections::BTreeSet;

use gannet_base::{FileEntry, PeerAddress, PeerId};
use gannet_node::api::BrowsePage;

use crate::cli::BrowseArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, DIM, Layout, Printer, Table, count, playing_time, size};
use crate::remote::Remote;

/// Entries asked for at once.
const PAGE: u32 = 500;
/// Fewest digits that name a peer.
const PREFIX_MIN: usize = 4;

/// Lists what a peer shares.
pub(crate) async fn run(args: BrowseArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    let peer = named_peer(&remote, &args.peer).await?;
    let wanted = if args.limit == 0 {
        u64::MAX
    } else {
        args.limit
    };
    let mut list = BrowsePage {
        peer: peer.peer,
        entries: Vec::new(),
        total: 0,
    };
    loop {
        let done = u64::try_from(list.entries.len()).unwrap_or(u64::MAX);
        let limit = u32::try_from(wanted - done).unwrap_or(PAGE).min(PAGE);
        let page = remote
            .browse(&peer, args.offset.saturating_add(done), limit)
            .await?;
        list.total = page.total;
        let came = page.entries.len();
        list.entries.extend(page.entries);
        let done = u64::try_from(list.entries.len()).unwrap_or(u64::MAX);
        if came == 0 || done >= wanted || args.offset.saturating_add(done) >= list.total {
            break;
        }
    }
    if out.wants_json() {
        out.json(&list)?;
        return Ok(Exit::Done);
    }
    out.table(&table(&list.entries))?;
    let shown = u64::try_from(list.entries.len()).unwrap_or(u64::MAX);
    let note = if shown < list.total {
        format!(
            "{shown} of {}; --offset and --limit show the rest",
            count(list.total, "file")
        )
    } else {
        count(list.total, "file")
    };
    out.line(format_args!(
        "{DIM}{} shares {note}{DIM:#}",
        peer.peer.short()
    ))?;
    Ok(Exit::Done)
}

/// The peer that a text names: an id, an address, or the beginning of an id
/// that the running peer has seen.
async fn named_peer(remote: &Remote, text: &str) -> Result<PeerAddress, Failure> {
    let wrong = match text.parse::<PeerAddress>() {
        Ok(peer) => return Ok(peer),
        Err(wrong) => wrong,
    };
    if text.len() < PREFIX_MIN || !text.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(
            Failure::usage(format_args!("\"{text}\" names no peer: {wrong}")).next(
                "give its id, its address, or the beginning of its id as `gannet peers` shows",
            ),
        );
    }
    let mut known: BTreeSet<PeerId> = remote.peers().await?.iter().map(|p| p.peer).collect();
    if let Some(search) = remote.search_state(None).await? {
        let sources = search.rows.iter().flat_map(|row| &row.sources);
        known.extend(sources.map(|source| source.peer));
    }
    one_of(&known, text).map(|peer| PeerAddress {
        peer,
        addresses: Vec::new(),
    })
}

fn one_of(known: &BTreeSet<PeerId>, prefix: &str) -> Result<PeerId, Failure> {
    let prefix = prefix.to_ascii_lowercase();
    let mut fitting = known
        .iter()
        .filter(|peer| peer.to_string().starts_with(&prefix));
    match (fitting.next(), fitting.next()) {
        (Some(peer), None) => Ok(*peer),
        (Some(_), Some(_)) => Err(Failure::usage(format_args!(
            "several peers' ids begin with {prefix}"
        ))
        .next("give more digits")),
        (None, _) => Err(Failure::new(
            Exit::NothingFound,
            format_args!(
                "no peer that is connected or was found has an id beginning with {prefix}"
            ),
        )
        .next("give the whole id; `gannet peers` lists who is connected")),
    }
}

fn table(entries: &[FileEntry]) -> Table {
    let mut table = Table::new(&[
        ("file", Layout::Cut),
        ("size", Layout::Right),
        ("kind", Layout::Left),
        ("length", Layout::Right),
        ("content", Layout::Left),
    ]);
    for entry in entries {
        let length = entry.media.duration_seconds.map(playing_time);
        table.row([
            Cell::new(&entry.path),
            size(entry.size).into(),
            Cell::new(entry.kind().name()),
            length.unwrap_or_default().into(),
            Cell::new(entry.content.short()).style(DIM),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use gannet_base::{ContentId, Media};

    use super::*;

    #[test]
    fn a_prefix_names_one_peer_or_says_why_not() {
        let known: BTreeSet<PeerId> = [[0xab; 32], [0xac; 32]].map(PeerId::from_bytes).into();
        assert_eq!(one_of(&known, "ABAB"), Ok(PeerId::from_bytes([0xab; 32])));
        assert_eq!(one_of(&known, "a").unwrap_err().exit, Exit::Usage);
        assert_eq!(one_of(&known, "ffff").unwrap_err().exit, Exit::NothingFound);
    }

    #[test]
    fn hostile_paths_stay_text() {
        let entry = FileEntry {
            content: ContentId::of(b"x"),
            size: 1,
            path: "a/\u{1b}]0;x\u{7}\u{202e}gpj.exe".to_owned(),
            media: Media::default(),
        };
        let shown = table(&[entry]).render(None);
        assert!(
            shown.contains("a/\\u{1b}]0;x\\u{7}\\u{202e}gpj.exe"),
            "{shown}"
        );
    }
}
