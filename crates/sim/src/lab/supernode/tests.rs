use super::super::search::{self, Overlay};
use super::super::soundness::{check_refused, check_repeats};
use super::*;

fn small() -> Params {
    Params {
        nodes: 150,
        leaves_max: 20,
        files: 150,
        copies: 3.0,
        queries: 20,
        supernodes_min: 6,
        ..Params::default()
    }
}

#[track_caller]
fn sound(params: &Params) -> Report {
    let report = run(params).unwrap();
    assert_eq!(
        (report.wrong, report.denied, report.never, report.unassigned),
        (0, 0, 0, 0),
        "{report:?}"
    );
    assert_eq!(report.broken_rules, Vec::<String>::new());
    report
}

#[test]
fn two_tiers_come_about_and_find_everything() {
    let report = sound(&small());
    assert!(report.supernodes >= 6 && report.leaves > 0, "{report:?}");
    assert_eq!(report.supernodes + report.leaves, 150);
    assert_eq!((report.recall_before, report.recall_one), (1.0, 1.0));
    assert!(report.leaves_per_supernode_max <= 20, "{report:?}");
    assert!(report.longest_unassigned_s <= 30.0, "{report:?}");
    assert!(report.settled_s.is_some(), "{report:?}");
}

#[test]
fn everybody_finds_another_place_after_a_fall() {
    let report = sound(&Params {
        kill: Some(0.5),
        ..small()
    });
    assert!(report.killed > 0 && report.bereaved > 0, "{report:?}");
    assert_eq!(report.rehomed_fraction, Some(1.0), "{report:?}");
    assert_eq!(report.recall_after, Some(1.0), "{report:?}");
    assert_eq!(report.secondary_losses, 0, "{report:?}");
}

#[test]
fn a_network_grows_from_one_and_shrinks_to_ten() {
    let report = sound(&Params {
        shrink_to: Some(10),
        bootstrap_single: true,
        queries: 3,
        ..small()
    });
    assert_eq!(report.shrunk_to, Some(10));
    assert!(report.longest_without_service_s <= 60.0, "{report:?}");
}

#[test]
fn the_usual_searches_run_over_two_tiers() {
    let report = search::run(&search::Params {
        overlay: Overlay::Supernode,
        nodes: 150,
        leaves_max: 20,
        files: 150,
        copies: 3.0,
        queries: 30,
        ..search::Params::default()
    })
    .unwrap();
    assert_eq!(report.overlay, "supernode");
    assert_eq!(
        (report.recall, report.wrong, report.ended.never),
        (1.0, 0, 0),
        "{report:?}"
    );
}

#[test]
fn same_seed_same_report() {
    check_repeats(|seed| {
        run(&Params {
            nodes: 60,
            kill: Some(0.3),
            queries: 5,
            seed,
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
    check(|p| p.nodes = 0, "from 1 to");
    check(|p| p.leaves_max = 0, "from 1 to 10000");
    check(|p| p.copies = 0.5, "from 1 to 149");
    check(|p| p.files = 0, "from 1 to");
    check(|p| p.queries = 2_000_000, "from 0 to");
    check(|p| p.zipf = -1.0, "from 0 to 10");
    check(|p| p.kill = Some(1.5), "from 0 to 1");
    check(|p| p.arrivals_per_second = Some(0.0), "from 0.001");
    check(|p| p.shrink_to = Some(151), "at most the 150");
    check(|p| p.loss = 1_000, "from 0 to 900");
}
