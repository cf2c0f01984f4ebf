//! What changes, goes or rots under our eyes.

use std::collections::BTreeMap;
use std::sync::mpsc;

use super::*;

#[test]
fn a_file_that_changes_is_never_served_under_its_old_id() {
    let world = World::new();
    world.share("share");
    let old = world.write("share/f.bin", &big(1));
    world.scan();
    let (sender, events) = mpsc::channel();
    world.store().listen(move |event| drop(sender.send(event)));
    let reader = world.store().open_content(old).unwrap();
    let mut out = b"before".to_vec();
    reader.read_slice(GroupRange::new(0, 2), &mut out).unwrap();
    assert!(!out.starts_with(b"before"));

    // Same length, other bytes, and the old time: only the bytes tell.
    let path = world.path("share/f.bin");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = big(1);
    bytes[50_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    // Groups that have not changed are still right.
    reader
        .read_slice(GroupRange::new(0, 1), &mut Vec::new())
        .unwrap();
    let read = reader.read_slice(GroupRange::new(3, 4), &mut out);
    assert!(
        matches!(read, Err(ReadError::Changed { content }) if content == old),
        "{read:?}"
    );
    assert!(out.is_empty());
    let withdrawn = StoreEvent::Withdrawn {
        content: old,
        path: "share/f.bin".to_owned(),
    };
    assert_eq!(events.recv().unwrap(), withdrawn);
    assert_eq!(
        events.recv().unwrap(),
        StoreEvent::Dirty(vec![path.clone()])
    );
    assert_eq!(world.entries(), NONE);
    assert!(matches!(
        world.store().open_content(old),
        Err(ReadError::NotShared { .. })
    ));

    // The next scan finds it under its new id.
    assert_eq!(world.scan_paths(&["share/f.bin"]), ["+share/f.bin"]);
    assert_eq!(world.read(ContentId::of(&bytes)).unwrap(), bytes);

    // A changed length or time is noticed before any byte is read.
    let now = ContentId::of(&bytes);
    let reader = world.store().open_content(now).unwrap();
    fs::write(&path, b"short").unwrap();
    let read = reader.read_slice(GroupRange::new(0, 1), &mut out);
    assert!(matches!(read, Err(ReadError::Changed { .. })), "{read:?}");
}

#[test]
fn a_file_that_goes_is_withdrawn_when_it_is_asked_for() {
    let world = World::new();
    world.share("share");
    let both = world.write("share/one", b"same");
    world.write("share/two", b"same");
    world.scan();
    fs::remove_file(world.path("share/one")).unwrap();
    assert_eq!(
        world.read(both).unwrap(),
        b"same",
        "the other copy is served"
    );
    assert_eq!(world.entries(), ["share/two"]);
    fs::remove_file(world.path("share/two")).unwrap();
    assert!(matches!(world.read(both), Err(ReadError::Changed { .. })));
    assert_eq!(world.entries(), NONE);
}

#[test]
fn a_damaged_outboard_is_noticed_and_made_anew() {
    let world = World::new();
    world.share("share");
    let id = world.write("share/f.bin", &big(3));
    world.scan();
    let outboard = world.path(&format!("data/outboards/{id}.obao"));
    let good = fs::read(&outboard).unwrap();
    for place in [0, 40, 70, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        fs::write(&outboard, &bad).unwrap();
        let read = world.read(id);
        assert!(
            matches!(read, Err(ReadError::Changed { .. })),
            "byte {place}: {read:?}"
        );
        assert_eq!(world.scan().0, ["+share/f.bin"]);
        assert_eq!(world.read(id).unwrap(), big(3));
        assert_eq!(fs::read(&outboard).unwrap(), good);
    }
    fs::write(&outboard, &good[1..]).unwrap();
    assert!(matches!(world.read(id), Err(ReadError::Changed { .. })));
}

#[test]
fn files_that_change_while_they_are_scanned_are_never_served_wrong() {
    let world = World::new();
    world.share("share");
    let path = world.path("share/busy.bin");
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut n = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                n = n.wrapping_add(1);
                fs::write(&path, vec![n; 200_000]).unwrap();
            }
        });
        let mut served: BTreeMap<bool, u32> = BTreeMap::new();
        for _ in 0..30 {
            world.scan();
            for entry in world.store().entries().unwrap() {
                match world.read(entry.content) {
                    Ok(bytes) => {
                        assert_eq!(ContentId::of(&bytes), entry.content);
                        *served.entry(true).or_default() += 1;
                    }
                    Err(_) => *served.entry(false).or_default() += 1,
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    world.scan();
    let last = fs::read(&path).unwrap();
    assert_eq!(world.read(ContentId::of(&last)).unwrap(), last);
}

#[test]
fn a_link_that_is_swapped_in_is_never_followed() {
    let world = World::new();
    world.share("share");
    let secret = world.write("outside/d/f", b"the secret that must not leave");
    world.write("share/d/f", b"harmless");
    let stop = AtomicBool::new(false);
    let swap = |from: &Path| {
        fs::rename(world.path("share/d"), world.path("aside")).unwrap();
        symlink(from, world.path("share/d")).unwrap();
        fs::remove_file(world.path("share/d")).unwrap();
        fs::rename(world.path("aside"), world.path("share/d")).unwrap();
    };
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap(&world.path("outside/d"));
            }
        });
        for _ in 0..200 {
            world.scan();
            assert!(world.store().open_content(secret).is_err());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_catalogue_survives_reopening_and_is_rebuilt_when_corrupt() {
    let mut world = World::new();
    world.share("share");
    let id = world.write("share/f.bin", &big(7));
    world.scan();
    world.reopen();
    assert_eq!(world.read(id).unwrap(), big(7));
    assert!(world.store().warnings().is_empty());
    world.store = None;
    let catalogue = world.path("data/catalogue.redb");
    let good = fs::read(&catalogue).unwrap();
    let mut torn = good.clone();
    torn.truncate(good.len() / 3);
    let mut flipped = good;
    let middle = flipped.len() / 2;
    flipped[64..middle]
        .iter_mut()
        .for_each(|byte| *byte ^= 0x55);
    for bad in [b"nonsense".repeat(1_000), torn, flipped] {
        fs::write(&catalogue, &bad).unwrap();
        world.store = Some(Store::open(world.config()).unwrap());
        assert_eq!(world.store().warnings().len(), 1);
        assert_eq!(world.scan().0, ["+share/f.bin"], "the shares are kept");
        assert_eq!(world.read(id).unwrap(), big(7));
        world.store = None;
    }
}

#[test]
fn a_share_that_goes_away_is_kept_for_its_return() {
    let mut world = World::new();
    let id = world.write("share/f.bin", &big(1));
    world.share("share");
    world.scan();
    fs::rename(world.path("share"), world.path("elsewhere")).unwrap();
    let (seen, _) = world.scan();
    assert_eq!(seen, ["-share/f.bin"]);
    assert_eq!(world.scan().0.len(), 0, "told once");
    assert_eq!(world.entries(), NONE);
    let info = &world.store().shares().unwrap()[0];
    assert!(
        matches!(info.state, ShareState::Unavailable { .. }),
        "{info:?}"
    );
    assert!(matches!(world.read(id), Err(ReadError::NotShared { .. })));

    // An empty folder in its place looks like a mount point without its disk.
    fs::create_dir(world.path("share")).unwrap();
    world.reopen();
    assert_eq!(world.scan().0.len(), 0);
    fs::remove_dir(world.path("share")).unwrap();
    fs::rename(world.path("elsewhere"), world.path("share")).unwrap();
    let (seen, summary) = world.scan();
    assert_eq!((seen, summary.hashed), (vec!["+share/f.bin".to_owned()], 0));
    assert_eq!(world.read(id).unwrap(), big(1));
}
