use std::time::Duration;

use super::super::search::{Churn, Overlay, Params, Report, run};
use super::super::soundness::{check_refused, check_repeats};
use crate::churn::Sessions;

fn small() -> Params {
    Params {
        overlay: Overlay::Dht,
        nodes: 100,
        files: 60,
        copies: 3.0,
        queries: 40,
        interval: Duration::from_millis(200),
        ..Params::default()
    }
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
fn everything_is_found_by_a_handful_of_messages() {
    let report = sound(&Params {
        common_share: 0.33,
        // No list is in parts, at which somebody would have to look again.
        list_max: Some(200),
        ..small()
    });
    assert_eq!(report.overlay, "dht");
    assert_eq!(
        (report.recall, report.ended.enough),
        (1.0, 40),
        "{report:?}"
    );
    // Pages are long enough for all copies.
    assert_eq!(report.copies_found_share, 1.0, "{report:?}");
    // A third of the names, and what else chance gives.
    assert!(report.commonest_word_share > 0.2, "{report:?}");
    let median = report.messages_p50.unwrap();
    assert!(median > 0.0 && median <= 2.0 * 100_f64.log2(), "{report:?}");
    let per_query = report.asks_per_query + report.hits_per_query;
    assert_eq!(report.messages_per_query, per_query);
    assert!(report.asks_per_query >= report.hits_per_query);
    assert!(report.load_max_over_mean >= 1.0, "{report:?}");
    assert_eq!(report.maintenance_messages_per_peer_minute, 0.0);
}

#[test]
fn peers_that_come_and_go_are_found() {
    let sessions = |text| Sessions::parse("--churn", text, None).unwrap();
    let report = sound(&Params {
        nodes: 40,
        files: 30,
        queries: 30,
        churn: Some(Churn {
            online: sessions("exp:1200"),
            offline: sessions("exp:300"),
        }),
        ..small()
    });
    assert!(report.recall > 0.9, "{report:?}");
    assert!(report.maintenance_messages_per_peer_minute > 1.0);
}

#[test]
fn same_seed_same_report() {
    check_repeats(|seed| {
        run(&Params {
            seed,
            nodes: 30,
            files: 20,
            queries: 10,
            ..small()
        })
    });
}

#[test]
fn what_is_impossible_is_told_with_what_is_possible() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Params), words: &str) {
        let mut params = small();
        change(&mut params);
        check_refused(run(&params), words);
    }
    check(|p| p.nodes = 16, "more than the 16 successors");
    check(|p| p.virtual_nodes = 0, "from 1 to 64 nodes");
    check(|p| p.grow = true, "of flood and supernode");
    check(|p| p.common_share = 0.95, "from 0 to 0.9");
    check(|p| p.common_share = f64::NAN, "from 0 to 0.9");
    check(|p| p.queries = 0, "from 1 to");
}
