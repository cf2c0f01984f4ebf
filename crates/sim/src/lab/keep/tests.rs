use super::*;

fn small() -> Params {
    Params {
        nodes: 60,
        files: 20,
        size: 1_000_000,
        days: 2.0,
        ..Params::default()
    }
}

#[test]
fn nothing_is_lost_and_the_same_seed_does_the_same() {
    let report = run(&small()).unwrap();
    assert_eq!((report.lost, report.unplaced), (0, 0), "{report:?}");
    assert!(report.available_fraction > 0.99, "{report:?}");
    assert_eq!(report.placed_bytes, 20 * 8 * 1_000_000);
    assert_eq!(run(&small()).unwrap(), report);
}

#[test]
fn waiting_for_who_is_away_saves_bytes() {
    let patient = run(&small()).unwrap();
    let hasty = Params {
        patient: false,
        ..small()
    };
    let hasty = run(&hasty).unwrap();
    assert!(
        patient.repaired_bytes * 2 < hasty.repaired_bytes,
        "{patient:?} {hasty:?}"
    );
}

#[test]
fn what_is_impossible_is_said() {
    /// Spoils one parameter.
    type Change = fn(&mut Params);
    let impossible: [(&str, Change); 6] = [
        ("--nodes", |params| params.nodes = 2),
        ("--files", |params| params.files = 0),
        ("--copies", |params| params.copies = 33),
        ("--leave", |params| params.leave = 1.5),
        ("--days", |params| params.days = 0.0),
        ("--rate", |params| params.rate = 0),
    ];
    for (parameter, change) in impossible {
        let mut params = small();
        change(&mut params);
        assert_eq!(run(&params).unwrap_err().parameter, parameter);
    }
}
