//! The tables agree with each other and with a plain map, whatever is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use gannet_base::Media;
use proptest::prelude::*;

use super::*;

fn open(dir: &Path) -> Catalogue {
    let opened = Catalogue::open(&dir.join("catalogue.redb"), 1 << 20).unwrap();
    assert_eq!(opened.moved_to, None);
    opened.catalogue
}

fn record(content: u8, ino: u64) -> FileRecord {
    FileRecord {
        content: ContentId::from_bytes([content; 32]),
        stamp: Stamp {
            dev: 0,
            ino,
            size: u64::from(content) * 10,
            mtime_ns: 7,
        },
        media: Media::default(),
    }
}

fn place(share: ShareId, path: &str) -> Place {
    Place::new(share, path)
}

type Model = BTreeMap<Place, FileRecord>;

/// Every question that the tables answer, asked of both.
fn assert_agrees(catalogue: &Catalogue, model: &Model) {
    let snapshot = catalogue.snapshot().unwrap();
    for share in 1..=3 {
        let records: Vec<_> = snapshot.share(share).unwrap().map(Result::unwrap).collect();
        let expected: Vec<_> = model
            .iter()
            .filter(|(place, _)| place.share == share)
            .map(|(place, record)| (place.clone(), Some(record.clone())))
            .collect();
        assert_eq!(records, expected);
        let bytes = expected
            .iter()
            .map(|(_, record)| record.as_ref().unwrap().stamp.size)
            .sum();
        assert_eq!(
            snapshot.counts(share).unwrap(),
            (expected.len() as u64, bytes)
        );
    }
    for content in 0..6 {
        let content = ContentId::from_bytes([content; 32]);
        let places: BTreeSet<_> = snapshot.places(content).unwrap().into_iter().collect();
        let expected: BTreeSet<_> = model
            .iter()
            .filter(|(_, record)| record.content == content)
            .map(|(place, _)| place.clone())
            .collect();
        assert_eq!(snapshot.holds(content).unwrap(), !expected.is_empty());
        assert_eq!(places, expected);
    }
    for share in 1..=3 {
        for ino in 0..6 {
            let stamp = record(1, ino).stamp;
            if let Some(found) = snapshot.moved(share, &stamp).unwrap() {
                assert_eq!(found.stamp, stamp);
                assert!(
                    model
                        .iter()
                        .any(|(place, record)| place.share == share && *record == found)
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn tables_agree(batches in prop::collection::vec(prop::collection::vec(
        (1_u32..4, 0_usize..5, prop::option::of((0_u8..6, 0_u64..6)), any::<bool>()), 0..8), 0..8))
    {
        let dir = tempfile::tempdir().unwrap();
        let mut catalogue = open(dir.path());
        let mut model = Model::new();
        for batch in batches {
            let before = model.clone();
            let mut changes = Vec::new();
            for (share, path, put, reopen) in batch {
                let place = place(share, ["a", "a/b", "a-b", "b", ""][path]);
                match put {
                    Some((content, ino)) => {
                        let record = record(content, ino);
                        model.insert(place.clone(), record.clone());
                        changes.push(Change::Put(place, record));
                    }
                    None => {
                        model.remove(&place);
                        changes.push(Change::Remove(place, None));
                    }
                }
                if reopen && changes.len() == 1 {
                    drop(catalogue);
                    catalogue = open(dir.path());
                }
            }
            let applied = catalogue.apply(&changes).unwrap();
            assert_agrees(&catalogue, &model);
            // The effects lead from the one state to the other.
            let mut shown = before.clone();
            for effect in applied.effects {
                match effect {
                    Effect::Added(place, record) => drop(shown.insert(place, record)),
                    Effect::Removed(place, record) => {
                        let removed = shown.remove(&place).unwrap();
                        prop_assert_eq!(removed.content, record.content);
                    }
                }
            }
            let seen = |model: &Model| model.iter().map(|(p, r)| (p.clone(), r.content)).collect::<Vec<_>>();
            prop_assert_eq!(seen(&shown), seen(&model));
            let held: BTreeSet<_> = model.values().map(|record| record.content).collect();
            for record in before.values() {
                let orphan = applied.orphans.contains(&record.content);
                prop_assert_eq!(orphan, !held.contains(&record.content));
            }
        }
    }
}

#[test]
fn a_removal_on_condition_spares_a_newer_record() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = open(dir.path());
    let (old, new) = (record(1, 1), record(2, 2));
    let at = place(1, "a");
    catalogue
        .apply(&[Change::Put(at.clone(), new.clone())])
        .unwrap();
    let spared = catalogue
        .apply(&[Change::Remove(at.clone(), Some(old))])
        .unwrap();
    assert!(spared.effects.is_empty());
    let removed = catalogue
        .apply(&[Change::Remove(at.clone(), Some(new.clone()))])
        .unwrap();
    assert_eq!(removed.effects, [Effect::Removed(at, new)]);
}

#[test]
fn every_damaged_page_is_noticed_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue = open(dir.path());
    let changes: Vec<_> = (0..200)
        .map(|n| Change::Put(place(1, &format!("file {n}")), record(1, n)))
        .collect();
    catalogue.apply(&changes).unwrap();
    drop(catalogue);
    let path = dir.path().join("catalogue.redb");
    let good = fs::read(&path).unwrap();
    let mut noticed = 0;
    let places: Vec<_> = (0..good.len()).step_by(4_096 - 7).collect();
    for place in &places {
        let mut bad = good.clone();
        bad[*place] ^= 0xff;
        fs::write(&path, &bad).unwrap();
        let opened = Catalogue::open(&path, 1 << 20).unwrap();
        // Either it was moved aside, or the byte did not matter.
        if opened.moved_to.is_some() {
            noticed += 1;
        } else {
            let records = opened.catalogue.snapshot().unwrap();
            assert_eq!(records.share(1).unwrap().map(Result::unwrap).count(), 200);
        }
    }
    assert!(noticed > 0, "none of {} places mattered", places.len());
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(
        CatalogueError::from(redb::Error::Io(full)),
        CatalogueError::DiskFull
    ));
    let other = CatalogueError::from(redb::Error::PreviousIo);
    assert!(matches!(other, CatalogueError::Database(_)));
}
