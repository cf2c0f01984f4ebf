use gannet_base::wire::SignatureBytes;
use gannet_base::{FileEntry, Hit, Media, Publication, WallTime, step};
use proptest::prelude::*;

use super::*;
use crate::dht::{self, DhtOutcome};
use crate::flood::{Coverage, Ending, FloodOutcome};
use crate::hub::HubOutcome;
use crate::supernode::{self, SupernodeOutcome};

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn hit(holder: u8, path: &str, content: &str) -> Hit {
    let entry = FileEntry {
        content: ContentId::of(content.as_bytes()),
        size: 7,
        path: path.to_owned(),
        media: Media::default(),
    };
    // Signatures are verified before answers come here.
    Hit {
        publication: Publication {
            entry,
            holder: peer(holder),
            expires: WallTime::from_unix_seconds(60),
            signature: SignatureBytes([0; 64]),
        },
    }
}

fn row(content: &str, hits: Vec<Hit>) -> Row {
    Row {
        content: ContentId::of(content.as_bytes()),
        holders: u32::try_from(hits.len()).unwrap(),
        hits,
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Two overlays of different kinds: one answers at once, one widens.
const TWO: [Overlay; 2] = [Overlay::Hub, Overlay::Flood];

fn locate() -> Locate {
    with_overlays(Config::default(), &TWO)
}

fn with_overlays(config: Config, overlays: &[Overlay]) -> Locate {
    let mut locate = Locate::new(config);
    let overlays = LocateCommand::Overlays(overlays.to_vec());
    assert_eq!(command(&mut locate, 0, overlays), []);
    locate
}

fn command(locate: &mut Locate, millis: u64, command: LocateCommand) -> Vec<LocateEvent> {
    let outputs = step(locate, |locate| locate.handle_command(at(millis), command));
    outputs.into_iter().map(event).collect()
}

fn event(output: Output<Infallible, LocateEvent>) -> LocateEvent {
    match output {
        Output::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

fn search(locate: &mut Locate, id: LocateId, words: &str) -> Vec<LocateEvent> {
    let query = Query::new(words).unwrap();
    let search = LocateCommand::Search {
        id,
        query,
        rows_max: 100,
    };
    command(locate, 0, search)
}

fn rows(
    locate: &mut Locate,
    millis: u64,
    overlay: Overlay,
    via: u8,
    rows: Vec<Row>,
) -> Vec<LocateEvent> {
    let rows = LocateCommand::Rows {
        id: 1,
        overlay,
        via: peer(via),
        hops: 2,
        rows,
        forged: 0,
    };
    command(locate, millis, rows)
}

fn ended(locate: &mut Locate, millis: u64, outcome: OverlayOutcome) -> Vec<LocateEvent> {
    let overlay = match &outcome {
        OverlayOutcome::Hub(_) => Overlay::Hub,
        OverlayOutcome::Supernode(_) => Overlay::Supernode,
        OverlayOutcome::Dht(_) => Overlay::Dht,
        _ => Overlay::Flood,
    };
    let ended = LocateCommand::Ended {
        id: 1,
        overlay,
        outcome,
    };
    command(locate, millis, ended)
}

fn hub_answered(total: u64) -> OverlayOutcome {
    OverlayOutcome::Hub(vec![HubOutcome {
        hub: peer(200),
        outcome: Outcome::Answered { total },
        elapsed: Duration::ZERO,
    }])
}

fn hub_died() -> OverlayOutcome {
    OverlayOutcome::Hub(vec![HubOutcome {
        hub: peer(200),
        outcome: Outcome::NoAnswer,
        elapsed: Duration::ZERO,
    }])
}

fn flood_ended(ending: Ending, asked: u32) -> OverlayOutcome {
    OverlayOutcome::Flood(FloodOutcome {
        ending,
        rounds: 1,
        ttl: 3,
        neighbours: 1,
        coverage: Coverage {
            asked,
            ..Coverage::default()
        },
        elapsed: Duration::ZERO,
    })
}

fn dht_ended(asked: u32) -> OverlayOutcome {
    OverlayOutcome::Dht(DhtOutcome {
        ending: dht::Ending::Everything,
        asked,
        answered: asked,
        hops: 3,
        messages: 2 * asked,
        elapsed: Duration::ZERO,
    })
}

#[track_caller]
fn the_row(events: &[LocateEvent]) -> &LocatedRow {
    match events {
        [LocateEvent::Row { row, .. }, ..] => row,
        other => panic!("no row first in {other:?}"),
    }
}

#[track_caller]
fn the_end(events: &[LocateEvent]) -> &Explanation {
    match events.last() {
        Some(LocateEvent::Ended { explanation, .. }) => explanation,
        other => panic!("no end but {other:?}"),
    }
}

#[test]
fn every_overlay_is_asked_at_once_and_the_first_row_told_at_once() {
    let mut locate = locate();
    let asked = search(&mut locate, 1, "x");
    let overlays: Vec<Overlay> = asked
        .iter()
        .filter_map(|event| match event {
            LocateEvent::Ask { overlay, .. } => Some(*overlay),
            _ => None,
        })
        .collect();
    assert_eq!(overlays, TWO);
    let hits = vec![hit(1, "s/x", "x"), hit(2, "s/x", "x")];
    let first = rows(&mut locate, 5, Overlay::Flood, 9, vec![row("x", hits)]);
    let found = the_row(&first);
    assert_eq!((found.holders, found.sources.len()), (2, 2));
    assert_eq!(found.found_by[0].after, Duration::from_millis(5));

    // The same content by the other road: one row, with all sources.
    let hits = vec![hit(2, "s/x", "x"), hit(3, "s/y x", "x")];
    let second = rows(&mut locate, 7, Overlay::Hub, 200, vec![row("x", hits)]);
    let found = the_row(&second);
    assert_eq!((found.position, found.sources.len()), (0, 3));
    let by: Vec<Overlay> = found.found_by.iter().map(|found| found.overlay).collect();
    assert_eq!(by, [Overlay::Flood, Overlay::Hub]);
    assert_eq!(found.entry.path, "s/x", "what most call it");

    assert_eq!(ended(&mut locate, 8, hub_answered(1)), []);
    let end = ended(&mut locate, 9, flood_ended(Ending::Everybody, 4));
    let explanation = the_end(&end);
    assert_eq!(
        explanation.sentence(),
        "1 row from 1 of 1 hub and 4 peers by flood."
    );
    assert!(locate.is_empty() && locate.next_deadline().is_none());
}

/// A nearer answer through the same peer may be verified later than a farther
/// one.
#[test]
fn a_finder_is_as_near_as_its_nearest_answer() {
    let mut locate = locate();
    let _ = search(&mut locate, 1, "x");
    let mut by_hops = |hops| {
        let rows = LocateCommand::Rows {
            id: 1,
            overlay: Overlay::Flood,
            via: peer(9),
            hops,
            rows: vec![row("x", vec![hit(1, "s/x", "x")])],
            forged: 0,
        };
        let told = command(&mut locate, 7, rows);
        let one = told.first().map(|_| the_row(&told).found_by.clone());
        one.map(|by| (by.len(), by[0].hops, by[0].after))
    };
    assert_eq!(by_hops(3), Some((1, 3, Duration::from_millis(7))));
    assert_eq!(by_hops(4), None, "nothing new");
    assert_eq!(by_hops(5), None, "nothing new");
    assert_eq!(by_hops(2), Some((1, 2, Duration::from_millis(7))));
}

#[test]
fn a_hub_that_dies_does_not_end_the_search() {
    let mut locate = locate();
    let _ = search(&mut locate, 1, "x");
    assert_eq!(ended(&mut locate, 3, hub_died()), []);
    let found = row("x", vec![hit(1, "s/x", "x")]);
    assert_eq!(
        rows(&mut locate, 4, Overlay::Flood, 9, vec![found]).len(),
        1
    );
    let end = ended(&mut locate, 5, flood_ended(Ending::Everybody, 4));
    let explanation = the_end(&end);
    assert_eq!(explanation.verdict(), Verdict::Found);
    assert_eq!(
        explanation.sentence(),
        "1 row from 4 peers by flood; the hub did not answer."
    );
}

#[test]
fn what_nobody_asked_for_is_dropped_and_counted() {
    let mut locate = locate();
    let _ = search(&mut locate, 1, "harry potter");
    let spam = row("virus", vec![hit(1, "s/buy now.exe", "virus")]);
    let mut other = row("good", vec![hit(1, "s/harry potter", "good")]);
    other.hits.push(hit(2, "s/harry potter", "another content"));
    let found = rows(&mut locate, 1, Overlay::Flood, 9, vec![spam, other]);
    assert_eq!(found.len(), 1);
    assert_eq!(the_row(&found).sources.len(), 1);
    let _ = ended(&mut locate, 2, flood_ended(Ending::Everybody, 1));
    let end = ended(&mut locate, 2, hub_answered(0));
    let flood = &the_end(&end).parts[1];
    assert_eq!((flood.unmatched, flood.found), (2, 1));
    assert_eq!(the_end(&end).dropped(), 2);
}

#[test]
fn enough_from_the_hub_stops_the_flood() {
    let config = Config {
        enough: 2,
        ..Config::default()
    };
    let mut locate = with_overlays(config, &TWO);
    let _ = search(&mut locate, 1, "x");
    let two = vec![
        row("a", vec![hit(1, "x a", "a")]),
        row("b", vec![hit(1, "x b", "b")]),
    ];
    // Flood alone has enough: it knows by itself.
    assert_eq!(
        rows(&mut locate, 1, Overlay::Flood, 9, two.clone()).len(),
        2
    );
    assert_eq!(rows(&mut locate, 1, Overlay::Hub, 200, two).len(), 2);
    let end = ended(&mut locate, 2, hub_answered(2));
    let forget = LocateEvent::Forget {
        id: 1,
        overlay: Overlay::Flood,
    };
    assert_eq!(end[0], forget);
    assert_eq!(the_end(&end).parts[1].end, PartEnd::Enough);
}

fn supernode_ended(ending: supernode::Ending) -> OverlayOutcome {
    OverlayOutcome::Supernode(SupernodeOutcome {
        ending,
        asked: 1,
        answered: supernode::Answered::default(),
        elapsed: Duration::ZERO,
    })
}

#[test]
fn all_are_asked_and_a_row_names_each_that_found_it() {
    let mut locate = with_overlays(Config::default(), &Overlay::ALL);
    assert_eq!(search(&mut locate, 1, "x").len(), Overlay::ALL.len());
    let mut last = None;
    for overlay in Overlay::ALL.into_iter().rev() {
        let hits = vec![hit(1, "s/x", "x")];
        let told = rows(&mut locate, 5, overlay, 9, vec![row("x", hits)]);
        last = Some(the_row(&told).clone());
    }
    let by = last.unwrap().found_by;
    let by: Vec<Overlay> = by.iter().map(|found| found.overlay).collect();
    let reversed = [
        Overlay::Flood,
        Overlay::Dht,
        Overlay::Supernode,
        Overlay::Hub,
    ];
    assert_eq!(by, reversed);
    assert_eq!(ended(&mut locate, 6, hub_answered(1)), []);
    let part = supernode_ended(supernode::Ending::Everybody);
    assert_eq!(ended(&mut locate, 7, part), []);
    assert_eq!(ended(&mut locate, 7, dht_ended(2)), []);
    let end = ended(&mut locate, 8, flood_ended(Ending::Everybody, 4));
    assert_eq!(
        the_end(&end).sentence(),
        "1 row from 1 of 1 hub, 1 supernode, 2 peers by dht and 4 peers by flood."
    );
}

/// Two that widen: the one that is done and has enough stops the other.
#[test]
fn enough_from_the_supernodes_stops_the_flood() {
    let config = Config {
        enough: 1,
        ..Config::default()
    };
    let mut locate = with_overlays(config, &[Overlay::Supernode, Overlay::Flood]);
    let _ = search(&mut locate, 1, "x");
    let found = row("x", vec![hit(1, "s/x", "x")]);
    assert_eq!(
        rows(&mut locate, 1, Overlay::Supernode, 9, vec![found]).len(),
        1
    );
    let end = ended(&mut locate, 2, supernode_ended(supernode::Ending::Enough));
    let forget = LocateEvent::Forget {
        id: 1,
        overlay: Overlay::Flood,
    };
    assert_eq!(end[0], forget);
    assert_eq!(the_end(&end).parts[1].end, PartEnd::Enough);
}

#[test]
fn overlays_are_named_as_they_are_typed() {
    for overlay in Overlay::ALL {
        assert_eq!(overlay.name().parse(), Ok(overlay));
    }
    let error = "tor".parse::<Overlay>().unwrap_err().to_string();
    assert!(error.ends_with("hub, supernode, dht and flood"), "{error}");
}

#[test]
fn a_search_ends_though_an_overlay_does_not() {
    let mut locate = locate();
    let _ = search(&mut locate, 1, "x");
    assert_eq!(ended(&mut locate, 3, hub_answered(0)), []);
    let deadline = locate.next_deadline().unwrap();
    let early = step(&mut locate, |locate| locate.handle_timeout(at(10)));
    assert_eq!(early, []);
    let late = step(&mut locate, |locate| locate.handle_timeout(deadline));
    let late: Vec<LocateEvent> = late.into_iter().map(event).collect();
    assert!(matches!(late[0], LocateEvent::Forget { .. }), "{late:?}");
    assert_eq!(the_end(&late).verdict(), Verdict::Incomplete);
    // What comes later is for nobody.
    let found = row("x", vec![hit(1, "s/x", "x")]);
    assert_eq!(
        rows(&mut locate, 40_000, Overlay::Flood, 9, vec![found]),
        []
    );
    let end = ended(&mut locate, 40_000, flood_ended(Ending::Everybody, 1));
    assert_eq!(end, []);
}

#[test]
fn sources_are_only_those_of_the_content() {
    let mut locate = locate();
    let content = ContentId::of(b"wanted");
    let _ = command(&mut locate, 0, LocateCommand::Sources { id: 1, content });
    let wrong = row("other", vec![hit(1, "s/x", "other")]);
    assert_eq!(rows(&mut locate, 1, Overlay::Flood, 9, vec![wrong]), []);
    let right = row("wanted", vec![hit(1, "s/any name", "wanted")]);
    let found = rows(&mut locate, 1, Overlay::Flood, 9, vec![right]);
    assert_eq!(the_row(&found).sources[0].path, "s/any name");
}

#[test]
fn cancelled_and_refused_searches_leave_nothing() {
    let mut locate = locate();
    let _ = search(&mut locate, 1, "x");
    let cancelled = command(&mut locate, 1, LocateCommand::Cancel { id: 1 });
    assert_eq!(cancelled.len(), 2, "both overlays are told: {cancelled:?}");
    assert!(locate.is_empty());
    for id in 0..300 {
        let _ = search(&mut locate, id, "x");
    }
    assert_eq!(locate.len(), Config::default().searches_max);
    let refused = search(&mut locate, 1_000, "x");
    assert_eq!(the_end(&refused).verdict(), Verdict::CouldNotAsk);
    assert!(the_end(&refused).sentence().contains("too much"));
}

#[test]
fn with_nothing_switched_on_it_ends_at_once() {
    let mut locate = Locate::new(Config::default());
    let end = search(&mut locate, 1, "x");
    assert_eq!(the_end(&end).verdict(), Verdict::CouldNotAsk);
}

/// An answer: overlay, answerer, and for each hit whether it matches, its
/// content and its holder.
type Answer = (bool, u8, Vec<(bool, u8, u8)>);

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let hits = prop::collection::vec((prop::bool::weighted(0.8), 0..4_u8, 0..5_u8), 0..5);
    prop::collection::vec((any::<bool>(), 0..3_u8, hits), 0..12)
}

fn rows_of(hits: &[(bool, u8, u8)]) -> Vec<Row> {
    let one = |(matches, content, holder): &(bool, u8, u8)| {
        let word = if *matches { "word" } else { "spam" };
        let content = format!("content {content}");
        row(&content, vec![hit(*holder + 1, word, &content)])
    };
    hits.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: a row for each content that somebody
    /// has, with all its holders, and one end.
    #[test]
    fn rows_are_what_was_answered(answers in answers()) {
        let mut expected: BTreeMap<ContentId, BTreeSet<PeerId>> = BTreeMap::new();
        let mut locate = locate();
        let mut shown: BTreeMap<u32, LocatedRow> = BTreeMap::new();
        let mut events = search(&mut locate, 1, "word");
        for (hub, via, hits) in &answers {
            let overlay = if *hub { Overlay::Hub } else { Overlay::Flood };
            for row in rows_of(hits) {
                if row.hits[0].entry().path == "word" {
                    expected.entry(row.content).or_default().insert(row.hits[0].holder());
                }
            }
            events.extend(rows(&mut locate, 1, overlay, *via, rows_of(hits)));
        }
        let rows_end = events.len();
        events.extend(ended(&mut locate, 2, hub_answered(0)));
        events.extend(ended(&mut locate, 2, flood_ended(Ending::Everybody, 3)));
        for event in &events[..rows_end] {
            if let LocateEvent::Row { row, .. } = event {
                shown.insert(row.position, (**row).clone());
            }
        }
        let found: BTreeMap<ContentId, BTreeSet<PeerId>> = shown
            .values()
            .map(|row| {
                let peers = row.sources.iter().map(|source| source.peer);
                (row.entry.content, peers.collect())
            })
            .collect();
        prop_assert_eq!(&found, &expected);
        let positions: Vec<u32> = shown.keys().copied().collect();
        let count = u32::try_from(expected.len()).unwrap();
        prop_assert_eq!(positions, (0..count).collect::<Vec<_>>());
        let ends = events.iter().filter(|event| matches!(event, LocateEvent::Ended { .. }));
        prop_assert_eq!(ends.count(), 1);
        prop_assert_eq!(the_end(&events).rows, count);
    }
}

#[test]
fn same_inputs_same_trace() {
    let run = || {
        let mut locate = locate();
        let mut events = search(&mut locate, 1, "x");
        for overlay in TWO {
            let hits = vec![hit(1, "x", "x"), hit(2, "x", "x")];
            events.extend(rows(&mut locate, 3, overlay, 1, vec![row("x", hits)]));
        }
        events.extend(ended(&mut locate, 5, hub_died()));
        events.extend(ended(&mut locate, 6, flood_ended(Ending::Partial, 2)));
        events
    };
    assert_eq!(run(), run());
}
