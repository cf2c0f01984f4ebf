//! Forged, over, misplaced and too much.

use std::time::Duration;

use gannet_base::wire::{Decoded, decode, encode};
use gannet_base::{PeerId, Publication, WallTime};

use super::town::{LIFE, TODAY, Town, config, entry, key, peer, signed, with_store};
use crate::dht::store::{
    Found, Item, Load, Mode, Place, Record, Refusal, Shard, StoreMessage, Word,
};
use crate::dht::{DhtMessage, Position};

fn stranger() -> PeerId {
    peer(999)
}

fn potter() -> Place {
    Place::Word(Word::from("potter"), Shard::ROOT)
}

/// What becomes of publications that a stranger brings to everybody.
fn bring(town: &mut Town, publications: Vec<Publication>, place: &Place) -> usize {
    let ids: Vec<PeerId> = town.peers.keys().copied().collect();
    let before = stored(town);
    for to in ids {
        let items = publications.iter().map(|publication| Item {
            record: Record::new(publication.clone(), Vec::new()),
            age_s: 0,
            places: vec![place.clone()],
        });
        let load = Load {
            items: items.collect(),
            marks: Vec::new(),
        };
        let message = StoreMessage::Store {
            request: 5,
            mode: Mode::Copy,
            load: Box::new(load),
        };
        town.say(stranger(), to, message);
    }
    stored(town) - before
}

fn stored(town: &Town) -> usize {
    town.peers
        .values()
        .map(|dht| dht.status().store.postings)
        .sum()
}

/// Says that it has nothing, and is sure of it.
fn says_nothing(message: &StoreMessage) -> Option<StoreMessage> {
    let StoreMessage::Search { request, .. } = message else {
        return None;
    };
    let nothing = Found::Entries {
        records: Vec::new(),
        next: None,
        total: 0,
        digest: 0,
        listed: 0,
        is_sure: true,
    };
    Some(StoreMessage::Answer {
        request: *request,
        found: Box::new(nothing),
        hints: Vec::new(),
    })
}

/// As those are who hold copies, in the moment in which the first has it already.
#[test]
fn that_there_is_nothing_is_asked_of_who_is_responsible() {
    let mut town = Town::settled(config(), 40);
    let path = "Films/Harry Potter 1.mkv";
    town.publish(1, &[path]);
    town.rest();
    let first = |key: Position| {
        let all = (0..40).map(peer);
        all.min_by_key(|peer| key.distance_to(Position::of_peer(*peer, 0)))
    };
    let firsts = [
        first(Position::of_content(entry(path).content)).unwrap(),
        first(Shard::ROOT.key(&Word::from("potter"))).unwrap(),
    ];
    town.liars = (0..40)
        .map(peer)
        .filter(|one| !firsts.contains(one))
        .collect();
    town.lie(says_nothing);
    let askers = (10..30).filter(|n| !town.holding().contains(&peer(*n)));
    let askers: Vec<u16> = askers.collect();
    assert!(askers.len() > 3);
    for asker in askers {
        assert_eq!(town.sources(asker, path).paths.len(), 1);
        assert_eq!(town.find(asker, "potter").paths.len(), 1);
    }
}

#[test]
fn only_what_is_signed_and_not_over_and_belongs_there_is_stored() {
    #[track_caller]
    fn check(publication: Publication, place: &Place, is_taken: bool) {
        let mut town = Town::settled(config(), 12);
        let taken = bring(&mut town, vec![publication], place);
        assert_eq!(taken > 0, is_taken, "{taken}");
    }
    let good = signed(1, "x/harry potter.txt", LIFE);
    check(good.clone(), &potter(), true);
    check(good.clone(), &Place::Sources, true);
    let mut forged = good.clone();
    forged.entry.size += 1;
    check(forged, &potter(), false);
    let mut stolen = good.clone();
    stolen.holder = stranger();
    check(stolen, &potter(), false);
    let mut unsigned = good.clone();
    unsigned.signature = gannet_base::wire::SignatureBytes([0; 64]);
    check(unsigned, &potter(), false);
    // Replayed when it is over; signed for ever; ten years away.
    let at = |expires| {
        let expires = WallTime::from_unix_seconds(expires);
        Publication::sign(entry("x/harry potter.txt"), expires, &key(1))
    };
    check(at(TODAY - 10), &potter(), false);
    check(at(TODAY + 30 * 24 * 3_600), &potter(), false);
    check(at(TODAY + 10 * 365 * 24 * 3_600), &potter(), false);
    // Under a word that it has not, in a part of the list that is none.
    check(
        good.clone(),
        &Place::Word(Word::from("voldemort"), Shard::ROOT),
        false,
    );
    let wrong = Shard::ROOT.halves().unwrap();
    let wrong = wrong
        .into_iter()
        .find(|half| !half.holds(good.entry.content))
        .unwrap();
    check(good, &Place::Word(Word::from("potter"), wrong), false);
}

#[test]
fn quotas_hold() {
    let config = with_store(|store| {
        store.list_entries_per_holder_max = 100;
        store.postings_per_holder_max = 150;
        store.checks_signatures = false;
        // Nothing is split meanwhile.
        store.list_max = 200;
    });
    let mut town = Town::settled(config, 5);
    let many = |from: u16, word: &str| -> Vec<Publication> {
        (from..from + 50)
            .map(|n| signed(1, &format!("x/{word} {n}.txt"), LIFE))
            .collect()
    };
    let mut taken = 0;
    for batch in 0..4 {
        taken += bring(&mut town, many(batch * 50, "potter"), &potter());
    }
    assert_eq!(taken, 5 * 100, "so many of one holder in one list");
    let weasley = Place::Word(Word::from("weasley"), Shard::ROOT);
    let mut more = 0;
    for batch in 0..4 {
        more += bring(&mut town, many(batch * 50, "weasley"), &weasley);
    }
    assert_eq!(more, 5 * 50, "so many of one holder");
    let other: Vec<Publication> = (0..50)
        .map(|n| signed(2, &format!("x/potter {n}.txt"), LIFE))
        .collect();
    assert_eq!(bring(&mut town, other, &potter()), 5 * 50);
}

#[test]
fn who_floods_is_told_to_wait() {
    let config = with_store(|store| {
        store.items_per_second = 10;
        store.items_burst = 100;
        store.checks_signatures = false;
    });
    let mut town = Town::settled(config, 30);
    let batch = |n: u16| -> Vec<Publication> {
        (n..n + 50)
            .map(|n| signed(n, &format!("x/potter {n}.txt"), LIFE))
            .collect()
    };
    // A stranger, to a node that is not its neighbour.
    let mut taken = 0;
    for round in 0..10 {
        taken += bring(&mut town, batch(round * 50), &potter());
    }
    let holding = town.holding().len();
    assert!(taken <= holding * 110, "{taken} at {holding}");
    assert!(taken >= holding * 50);
}

#[test]
fn a_liars_answer_is_not_the_last_word() {
    let mut town = Town::settled(config(), 30);
    for n in 0..10 {
        town.publish(n, &[&format!("x/harry potter {n}.txt")]);
    }
    town.rest();
    let root = Position::of_word("potter", 0);
    let owner = town.peers.values().find(|dht| dht.rings()[0].owns(root));
    let owner = owner.unwrap().rings()[0].me().peer;
    town.liars.insert(owner);
    // It says that there is nothing, and is sure.
    town.lie(says_nothing);
    for asker in 10..30 {
        if peer(asker) != owner {
            let answer = town.find(asker, "potter");
            assert_eq!(answer.paths.len(), 10, "{:?}", answer.outcome);
        }
    }
    // It makes up what is not signed.
    town.lie(|message| {
        let StoreMessage::Search { request, .. } = message else {
            return None;
        };
        let mut forged = signed(1, "x/harry potter 99.txt", LIFE);
        forged.holder = stranger();
        let lie = Found::Entries {
            records: vec![Record::new(forged, Vec::new())],
            next: None,
            total: 1,
            digest: 1,
            listed: 1,
            is_sure: true,
        };
        Some(StoreMessage::Answer {
            request: *request,
            found: Box::new(lie),
            hints: Vec::new(),
        })
    });
    for asker in 10..30 {
        if peer(asker) != owner {
            let answer = town.find(asker, "potter");
            assert_eq!(answer.paths.len(), 10, "{:?}", answer.outcome);
            assert!(!answer.holders.contains(&stranger()));
        }
    }
}

/// A machine whose clock is ten years ahead loses what it holds, and nobody else
/// loses anything.
#[test]
fn a_clock_ten_years_off_harms_nobody_else() {
    let mut town = Town::settled(config(), 30);
    for n in 0..10 {
        town.publish(n, &[&format!("x/harry potter {n}.txt")]);
    }
    town.rest();
    for off in town.holding().into_iter().take(5) {
        let later = WallTime::from_unix_seconds(TODAY + 10 * 365 * 24 * 3_600);
        town.tell(off, crate::dht::DhtCommand::WallTime(later));
    }
    town.run(Duration::from_secs(300));
    let asker = (10..30).find(|n| {
        let status = town.peers[&peer(*n)].status().store;
        status.counters.expired == 0
    });
    let answer = town.find(asker.unwrap(), "potter");
    assert_eq!(answer.paths.len(), 10, "{:?}", answer.outcome);
}

#[test]
fn messages_survive_the_wire() {
    let record = Record::new(
        signed(1, "x/harry potter.txt", LIFE),
        vec![([10, 0, 0, 1], 4_000).into()],
    );
    let item = Item {
        record,
        age_s: 77,
        places: vec![Place::Sources, potter()],
    };
    let message = DhtMessage::Store(StoreMessage::Store {
        request: 5,
        mode: Mode::Publish,
        load: Box::new(Load {
            items: vec![item],
            marks: Vec::new(),
        }),
    });
    assert_eq!(decode(&encode(&message)), Ok(Decoded::Message(message)));
    let refusal = Refusal::Split { bits: 3 };
    let refused = crate::dht::store::Refused {
        item: 1,
        place: 2,
        why: refusal,
    };
    let message = DhtMessage::Store(StoreMessage::Stored {
        request: 9,
        refused: vec![refused],
        hints: Vec::new(),
    });
    assert_eq!(decode(&encode(&message)), Ok(Decoded::Message(message)));
}
