//! `gannet search WORDS…`.

use gannet_base::{Escaped, Media};
use gannet_node::api::{FoundBy, OverlayEnd, SearchEnd, SearchRow, SearchState, SearchUpdate};

use crate::cli::SearchArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{
    Cell, DIM, GOOD, HEAD, Layout, Printer, SOSO, Table, milliseconds, playing_time, size,
};
use crate::remote::Remote;

/// Searches and shows what comes.
pub(crate) async fn run(args: SearchArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    let words = args.words.join(" ");
    let mut search = remote.search(&words, args.limit).await?;
    let mut state = SearchState {
        id: search.id(),
        query: words,
        rows: Vec::new(),
        end: None,
    };
    while let Some(update) = search.next().await? {
        if args.watch {
            show_update(&update, out)?;
        }
        apply(&mut state, update);
    }
    let Some(end) = &state.end else {
        return Err(Failure::new(
            Exit::NoPeer,
            "the peer stopped before the search ended",
        ));
    };
    match (out.wants_json(), args.watch) {
        (true, true) => {}
        (true, false) => out.json(&state)?,
        (false, watch) => {
            if !watch {
                out.table(&table(&state.rows))?;
            }
            out.line(explanation(end, state.rows.len()))?;
        }
    }
    Ok(exit(&state.rows, end))
}

/// Puts a step of a search into its state.
pub(crate) fn apply(state: &mut SearchState, update: SearchUpdate) {
    match update {
        SearchUpdate::End(end) => state.end = Some(end),
        SearchUpdate::Row(row) => {
            match state
                .rows
                .binary_search_by_key(&row.number, |row| row.number)
            {
                Ok(at) => state.rows[at] = row,
                Err(at) => state.rows.insert(at, row),
            }
        }
    }
}

fn show_update(update: &SearchUpdate, out: &mut Printer) -> std::io::Result<()> {
    if out.wants_json() {
        return out.json(update);
    }
    let SearchUpdate::Row(row) = update else {
        return Ok(());
    };
    out.line(format_args!(
        "{HEAD}{:>3}{HEAD:#}  {}  {DIM}{}, {}, {} {}{DIM:#}",
        row.number,
        Escaped(&row.name),
        size(row.size),
        row.kind.name(),
        sources(row.holders),
        found_by(&row.found_by),
    ))
}

fn sources(holders: u32) -> String {
    crate::output::count(holders.into(), "source")
}

/// Nothing found is one thing, nobody asked another.
fn exit(rows: &[SearchRow], end: &SearchEnd) -> Exit {
    if !rows.is_empty() {
        Exit::Done
    } else if end.complete {
        Exit::NothingFound
    } else {
        Exit::Incomplete
    }
}

/// The rows as a table.
pub(crate) fn table(rows: &[SearchRow]) -> Table {
    let mut table = Table::new(&[
        ("#", Layout::Right),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("kind", Layout::Left),
        ("sources", Layout::Right),
        ("about", Layout::Cut),
        ("found by", Layout::Left),
    ]);
    for row in rows {
        let about = if row.have {
            Cell::new("you have it").style(GOOD)
        } else {
            Cell::new(about(&row.media))
        };
        table.row([
            Cell::new(row.number.to_string()).style(HEAD),
            Cell::new(&row.name),
            size(row.size).into(),
            Cell::new(row.kind.name()),
            row.holders.to_string().into(),
            about,
            Cell::new(found_by(&row.found_by)).style(DIM),
        ]);
    }
    table
}

/// Title, artist, album, playing time, dimensions: what is known of them.
fn about(media: &Media) -> String {
    let mut parts = Vec::new();
    match (&media.artist, &media.title) {
        (Some(artist), Some(title)) => parts.push(format!("{artist}: {title}")),
        (Some(one), None) | (None, Some(one)) => parts.push(one.clone()),
        (None, None) => {}
    }
    parts.extend(media.album.clone());
    parts.extend(media.duration_seconds.map(playing_time));
    parts.extend(
        media
            .dimensions
            .map(|dimensions| format!("{}×{}", dimensions.width, dimensions.height)),
    );
    parts.join(", ")
}

/// The quickest finder of each overlay: `hub 3f2a9c01bd, 4 ms; flood, 3 hops,
/// 20 ms`.
fn found_by(found: &[FoundBy]) -> String {
    let mut quickest: Vec<&FoundBy> = Vec::new();
    for found in found {
        match quickest.iter_mut().find(|q| q.overlay == found.overlay) {
            Some(known) if found.milliseconds < known.milliseconds => *known = found,
            Some(_) => {}
            None => quickest.push(found),
        }
    }
    quickest.sort_by_key(|found| found.milliseconds);
    let words: Vec<String> = quickest.into_iter().map(finder).collect();
    words.join("; ")
}

fn finder(found: &FoundBy) -> String {
    let after = milliseconds(found.milliseconds);
    match found.overlay.as_str() {
        "hub" => format!("hub {}, {after}", found.via.short()),
        other => format!(
            "{}, {}, {after}",
            Escaped(other),
            crate::output::count(found.hops.into(), "hop")
        ),
    }
}

/// How the search ended: the sentence, then whom each overlay asked.
pub(crate) fn explanation(end: &SearchEnd, rows: usize) -> String {
    let style = if rows > 0 { DIM } else { SOSO };
    let mut text = format!("{style}{}{style:#}", Escaped(&end.explanation));
    for asked in &end.asked {
        let style = if asked.answered { DIM } else { SOSO };
        text.push_str(&format!(
            "\n{style}  {} {}: {}, {}{style:#}",
            Escaped(&asked.overlay),
            asked.peer.short(),
            Escaped(&asked.outcome),
            milliseconds(asked.milliseconds)
        ));
    }
    for overlay in &end.overlays {
        // Hubs have a line each already.
        if overlay.used && overlay.overlay != "hub" {
            let style = if overlay.complete || rows > 0 {
                DIM
            } else {
                SOSO
            };
            text.push_str(&format!("\n{style}  {}{style:#}", overlay_line(overlay)));
        }
    }
    if end.dropped > 0 {
        text.push_str(&format!(
            "\n{SOSO}  {} dropped: not signed, or not what was asked for{SOSO:#}",
            crate::output::count(end.dropped, "answer")
        ));
    }
    text
}

fn overlay_line(end: &OverlayEnd) -> String {
    let mut text = format!("{}: {}", Escaped(&end.overlay), Escaped(&end.outcome));
    if let Some(flood) = end.flood.as_ref().filter(|flood| flood.rounds > 0) {
        text.push_str(&format!(
            "; {} through {}, allowed {}",
            crate::output::count(flood.rounds.into(), "round"),
            crate::output::count(flood.neighbours.into(), "neighbour"),
            crate::output::count(flood.hops_max.into(), "hop")
        ));
    }
    if let Some(reach) = end.supernode.as_ref().filter(|reach| reach.rounds > 0) {
        text.push_str(&format!(
            "; {} among supernodes, allowed {}",
            crate::output::count(reach.rounds.into(), "round"),
            crate::output::count(reach.hops_max.into(), "hop")
        ));
    }
    if let Some(reach) = end.dht.as_ref().filter(|reach| reach.messages > 0) {
        text.push_str(&format!(
            "; {} away at most, {}",
            crate::output::count(reach.hops_max.into(), "hop"),
            crate::output::count(reach.messages.into(), "message")
        ));
    }
    text.push_str(&format!(", {}", milliseconds(end.milliseconds)));
    text
}

#[cfg(test)]
mod tests {
    use gannet_base::{ContentId, Dimensions, FileKind, PeerId};
    use gannet_node::api::{Asked, FloodReach, SupernodeReach};

    use super::*;

    fn row(number: u32, name: &str) -> SearchRow {
        SearchRow {
            number,
            content: ContentId::of(name.as_bytes()),
            name: name.to_owned(),
            size: 201_326_592,
            kind: FileKind::Program,
            media: Media::default(),
            holders: 4,
            sources: Vec::new(),
            found_by: vec![FoundBy {
                overlay: "hub".to_owned(),
                via: PeerId::from_bytes([2; 32]),
                hops: 1,
                milliseconds: 3,
            }],
            have: false,
        }
    }

    fn end(answered: bool) -> SearchEnd {
        SearchEnd {
            asked: vec![Asked {
                overlay: "hub".to_owned(),
                peer: PeerId::from_bytes([2; 32]),
                answered,
                outcome: "\u{1b}c0 found".to_owned(),
                milliseconds: 3,
            }],
            overlays: vec![OverlayEnd {
                overlay: "flood".to_owned(),
                used: true,
                complete: answered,
                outcome: "asked 4 peers".to_owned(),
                flood: Some(FloodReach {
                    asked: 4,
                    rounds: 2,
                    hops_max: 2,
                    neighbours: 1,
                    ..FloodReach::default()
                }),
                milliseconds: 9,
                ..OverlayEnd::default()
            }],
            complete: answered,
            total: 0,
            dropped: 2,
            explanation: "nobody has it\u{202e}".to_owned(),
        }
    }

    #[test]
    fn rows_read_well_and_stay_text() {
        let mut song = row(2, "a\u{202e}gpj.flac\u{1b}[2J");
        song.media.artist = Some("Abba".to_owned());
        song.media.title = Some("\u{9b}31mWaterloo".to_owned());
        song.media.duration_seconds = Some(187);
        let mut picture = row(3, &"x".repeat(300));
        picture.media.dimensions = Some(Dimensions {
            width: 640,
            height: 480,
        });
        let mut owned = row(4, "mine");
        owned.have = true;
        let rows = [row(1, "harry potter.bin"), song, picture, owned];
        let render = |width| {
            let shown = table(&rows).render(width);
            anstream::adapter::strip_str(&shown).to_string()
        };
        let shown = render(None);
        for part in [
            "harry potter.bin",
            "201.3 MB",
            "hub 0202020202, 3 ms",
            "Abba: \\u{9b}31mWaterloo, 3:07",
            "a\\u{202e}gpj.flac\\u{1b}[2J",
            "640×480",
            "you have it",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        let narrow = render(Some(100));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 100),
            "{narrow}"
        );
    }

    #[test]
    fn a_row_names_the_quickest_of_each_overlay() {
        let found = |overlay: &str, hops, milliseconds| FoundBy {
            overlay: overlay.to_owned(),
            via: PeerId::from_bytes([2; 32]),
            hops,
            milliseconds,
        };
        let by = [
            found("flood", 3, 20),
            found("flood", 1, 9),
            found("hub", 1, 4),
        ];
        assert_eq!(found_by(&by), "hub 0202020202, 4 ms; flood, 1 hop, 9 ms");
        assert_eq!(found_by(&[]), "");
    }

    #[test]
    fn the_end_says_whom_it_asked() {
        let text = anstream::adapter::strip_str(&explanation(&end(true), 0)).to_string();
        assert_eq!(
            text,
            "nobody has it\\u{202e}\n  hub 0202020202: \\u{1b}c0 found, 3 ms\n  \
             flood: asked 4 peers; 2 rounds through 1 neighbour, allowed 2 hops, 9 ms\n  \
             2 answers dropped: not signed, or not what was asked for"
        );
    }

    #[test]
    fn supernodes_say_how_far_they_came() {
        let mut end = end(true);
        end.asked.clear();
        end.dropped = 0;
        end.overlays = vec![OverlayEnd {
            overlay: "supernode".to_owned(),
            used: true,
            complete: true,
            outcome: "asked 3 supernodes".to_owned(),
            supernode: Some(SupernodeReach {
                own: 1,
                asked: 2,
                rounds: 1,
                hops_max: 1,
                ..SupernodeReach::default()
            }),
            milliseconds: 9,
            ..OverlayEnd::default()
        }];
        let text = anstream::adapter::strip_str(&explanation(&end, 0)).to_string();
        let line = "supernode: asked 3 supernodes; 1 round among supernodes, allowed 1 hop, 9 ms";
        assert!(text.ends_with(line), "{text}");
    }

    #[test]
    fn nobody_has_it_is_not_nobody_asked() {
        assert_eq!(exit(&[row(1, "a")], &end(false)), Exit::Done);
        assert_eq!(exit(&[], &end(true)), Exit::NothingFound);
        assert_eq!(exit(&[], &end(false)), Exit::Incomplete);
        assert_eq!(exit(&[], &SearchEnd::default()), Exit::Incomplete);
    }

    #[test]
    fn later_rows_replace_earlier_ones_of_their_number() {
        let mut state = SearchState {
            id: 1,
            query: "a".to_owned(),
            rows: Vec::new(),
            end: None,
        };
        for (number, name) in [(2, "b"), (1, "a"), (2, "c")] {
            apply(&mut state, SearchUpdate::Row(row(number, name)));
        }
        apply(&mut state, SearchUpdate::End(end(true)));
        let names: Vec<&str> = state.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(state.end, Some(end(true)));
    }
}
