use super::super::soundness::{check_refused, check_repeats};
use super::*;

fn small() -> Params {
    Params {
        nodes: 600,
        degree: Some(6),
        files: 1_000,
        copies: 3.0,
        queries: 60,
        ..Params::default()
    }
}

fn flood(ttl: u8) -> Strategy {
    Strategy::Flood { ttl }
}

#[track_caller]
fn sound(params: &Params) -> Report {
    let report = run(params).unwrap();
    assert_eq!(
        (report.wrong, report.denied, report.ended.never),
        (0, 0, 0),
        "{report:?}"
    );
    assert_eq!(report.queries + report.abandoned, u64::from(params.queries));
    report
}

#[test]
fn whatever_the_devices_everything_is_found() {
    let mut messages = Vec::new();
    for (strategy, tables, reports) in [
        (flood(15), false, false),
        (flood(15), false, true),
        (Params::default().strategy, false, true),
        (Params::default().strategy, true, true),
        (Params::default().strategy, true, false),
        (Strategy::Dynamic, true, true),
    ] {
        let report = sound(&Params {
            strategy,
            tables,
            reports,
            ..small()
        });
        assert_eq!(report.recall, 1.0, "{report:?}");
        messages.push(report.messages_per_query);
    }
    assert!(messages[2] < messages[1] / 2.0, "rings: {messages:?}");
    assert!(messages[3] < messages[2] / 2.0, "tables: {messages:?}");
}

/// One copy each: whoever may widen fully finds it, and all say how they ended.
#[test]
fn rare_files_are_found_by_whoever_may_widen() {
    let rare = Params {
        copies: 1.0,
        ..small()
    };
    let wide = sound(&rare);
    assert_eq!((wide.recall, wide.ended.enough), (1.0, 60));
    let narrow = sound(&Params {
        strategy: Strategy::Rings {
            ttls: vec![1, 2],
            widen: false,
        },
        ..rare
    });
    assert!(narrow.recall < 0.5, "{}", narrow.recall);
    assert_eq!(narrow.ended.enough + narrow.ended.horizon, 60);
}

#[test]
fn lost_messages_end_no_search_silently() {
    let report = sound(&Params {
        loss: 50,
        ..small()
    });
    assert!(report.recall > 0.95, "{}", report.recall);
}

#[test]
fn peers_that_come_and_go_are_found() {
    let sessions = |text| Sessions::parse("--churn", text, None).unwrap();
    let report = sound(&Params {
        nodes: 300,
        churn: Some(Churn {
            online: sessions("exp:600"),
            offline: sessions("exp:300"),
        }),
        copies: 6.0,
        queries: 100,
        ..small()
    });
    assert!(report.recall > 0.9, "{report:?}");
    assert!(report.degree_mean > 4.0, "{}", report.degree_mean);
}

#[test]
fn same_seed_same_report() {
    check_repeats(|seed| run(&Params { seed, ..small() }));
}

#[test]
fn what_is_impossible_is_told_with_what_is_possible() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Params), words: &str) {
        let mut params = small();
        change(&mut params);
        check_refused(run(&params), words);
    }
    check(|p| p.nodes = 1, "from 2 to");
    check(|p| p.degree = Some(600), "from 1 to 599");
    check(|p| p.degree = Some(0), "from 1 to 599");
    check(|p| p.copies = 0.5, "from 1 to 599");
    check(|p| p.copies = f64::NAN, "from 1 to 599");
    check(|p| p.files = 0, "from 1 to");
    check(|p| p.files = u32::MAX, "from 1 to");
    check(|p| p.queries = 0, "from 1 to");
    check(|p| p.zipf = -1.0, "from 0 to 10");
    check(|p| p.loss = 1_000, "from 0 to 900");
}
