//! Questions: looping, replayed, too many.

use super::*;

#[test]
fn a_ttl_of_255_counts_as_the_limit() {
    let mut bench = Bench::with_neighbours(config(), 3);
    let limit = bench_limit();
    for (n, (ttl, hops)) in [(255, 0), (255, 7), (limit, 0), (200, 3)]
        .into_iter()
        .enumerate()
    {
        let search = u64::try_from(n).expect("small");
        let outputs = bench.hand(peer(1), ask(search, ttl, hops));
        assert_eq!(asked(&outputs), 1);
        let copies = copies(&outputs);
        assert_eq!(copies.len(), 2, "all but the sender");
        for (_, copy) in copies {
            assert_eq!((copy.ttl, copy.hops), (limit - hops - 1, hops + 1));
        }
    }
    for (ttl, hops) in [(255, 255), (255, limit), (1, 0), (2, limit - 1)] {
        let search = 100 + u64::from(ttl) * 256 + u64::from(hops);
        let outputs = bench.hand(peer(1), ask(search, ttl, hops));
        assert_eq!(
            (asked(&outputs), copies(&outputs).len()),
            (1, 0),
            "{ttl} {hops}"
        );
    }
    let outputs = bench.hand(peer(1), ask(9_999, 0, 0));
    assert_eq!((asked(&outputs), copies(&outputs).len()), (0, 0));
}

fn bench_limit() -> u8 {
    config().ttl_max
}

#[test]
fn a_replayed_question_is_answered_and_passed_on_once() {
    let mut bench = Bench::with_neighbours(config(), 4);
    let mut answered = 0;
    let mut copied = 0;
    for n in 0..4_000_u32 {
        let from = peer(u8::try_from(1 + n % 4).expect("small"));
        let outputs = bench.hand(from, ask(7, 7, 2));
        answered += asked(&outputs);
        copied += copies(&outputs).len();
        assert!(
            n == 0 || outputs.len() <= 1,
            "a report at most: {outputs:?}"
        );
    }
    assert_eq!((answered, copied), (1, 3));
}

/// A liar may raise the TTL or the round of what it sends again, but that costs
/// as much of its budget as a new question.
#[test]
fn a_question_that_grows_is_passed_on_as_the_budget_allows() {
    let config = Config::default();
    let burst = config.questions_burst;
    let mut bench = Bench::with_neighbours(config, 4);
    let mut copied = 0;
    for round in 0..100 {
        for ttl in 1..=255 {
            let FloodMessage::Ask(mut ask) = ask(7, ttl, 0) else {
                unreachable!("it is a question");
            };
            ask.round = round;
            let outputs = bench.hand(peer(1), FloodMessage::Ask(ask));
            copied += copies(&outputs).len();
        }
    }
    let most = 3 * usize::try_from(burst).expect("small");
    assert!((1..=most).contains(&copied), "{copied} copies");
}

#[test]
fn an_own_question_that_comes_back_goes_nowhere() {
    let mut bench = Bench::with_neighbours(config(), 3);
    let (_, outputs) = search(&mut bench, 1, Strategy::Flood { ttl: 3 });
    let (to, own) = copies(&outputs).pop().expect("a copy");
    for round in [0, 1, 200] {
        let looped = Ask {
            ttl: 255,
            hops: 4,
            round,
            ..own.clone()
        };
        let outputs = bench.hand(to, FloodMessage::Ask(looped));
        assert_eq!((asked(&outputs), copies(&outputs).len()), (0, 0));
    }
}

/// One neighbour asks a hundred times as much as all may; the others, within
/// their share, keep their answers.
#[test]
fn a_flood_of_questions_costs_the_others_nothing() {
    let config = Config {
        questions_per_second: 80,
        questions_burst: 80,
        ..Config::default()
    };
    let mut bench = Bench::with_neighbours(config, 8);
    let (mut served, mut wanted, mut taken) = (0, 0, 0_u32);
    let mut search = 0;
    for millis in 0..20_000_u64 {
        bench.run_for(Duration::from_millis(1));
        // 8,000 a second.
        for _ in 0..8 {
            search += 1;
            let outputs = bench.hand(peer(1), ask(search, 3, 0));
            taken += u32::try_from(asked(&outputs)).expect("small");
        }
        // Five a second from each of the seven others.
        if millis % 200 < 7 {
            search += 1;
            wanted += 1;
            let from = peer(u8::try_from(2 + millis % 200).expect("small"));
            served += asked(&bench.hand(from, ask(search, 3, 0)));
        }
    }
    assert_eq!((served, wanted), (700, 700));
    assert!(taken <= 80 + 20 * 80, "{taken} of the flood");
    let blamed = bench.is_neighbour(peer(1));
    let refused: u32 = bench
        .flood
        .status()
        .neighbours
        .iter()
        .map(|info| info.refused_in)
        .sum();
    assert!(refused > 100_000 || !blamed, "{refused} refused");
}
