//! The laboratory's contracts: what programs may rely on in its JSON, figures
//! that theory knows exactly, the same output for the same seed, and plain
//! words about what is impossible.

use serde_json::Value;

use crate::harness::{Place, Said};

/// Runs `gannet lab` with these words, as they would be typed.
#[track_caller]
fn lab(place: &Place, typed: &str) -> Said {
    let words: Vec<&str> = typed.split_whitespace().collect();
    place.run(&[&["lab"], &words[..]].concat())
}

#[track_caller]
fn json(place: &Place, typed: &str) -> Value {
    let said = lab(place, &format!("{typed} --json"));
    said.expect(0, &[]);
    said.json()
}

/// Every field is there and is a number (or what else is said).
#[track_caller]
fn has_numbers(report: &Value, fields: &[&str]) {
    for field in fields {
        assert!(report[field].is_number(), "{field}: {report}");
    }
    assert!(report["event_hash"].is_string(), "{report}");
}

/// Reach, messages and duplicates of a flood.
#[track_caller]
fn check_flood(place: &Place, typed: &str, expected: [u64; 3]) {
    let report = json(place, &format!("flood {typed}"));
    let found = ["reach", "messages", "duplicates"].map(|field| report[field].as_u64().unwrap());
    assert_eq!(found, expected, "{typed}");
}

#[test]
fn floods_are_what_theory_says() {
    let place = Place::new();
    // Torus: reach 2t(t+1), messages 4+6t(t-1), duplicates 4(t-1)^2.
    check_flood(
        &place,
        "--graph torus:64x64 --source 0 --ttl 5",
        [60, 124, 64],
    );
    check_flood(
        &place,
        "--graph torus:64x64 --source 4095 --ttl 5",
        [60, 124, 64],
    );
    check_flood(
        &place,
        "--graph torus:64x64 --source 2080 --ttl 1",
        [4, 4, 0],
    );
    // Hypercube: reach sum C(n,i), messages n + (n-1) sum C(n,l).
    check_flood(
        &place,
        "--graph hypercube:12 --source 7 --ttl 2",
        [78, 144, 66],
    );
    // The whole of any graph: messages 2E-(N-1), duplicates 2E-2(N-1).
    let all = "--source 17 --ttl 255";
    check_flood(
        &place,
        &format!("--graph hypercube:12 {all}"),
        [4_095, 45_057, 40_962],
    );
    check_flood(
        &place,
        &format!("--graph grid:30x30 {all}"),
        [899, 2_581, 1_682],
    );
    check_flood(
        &place,
        &format!("--graph regular:500,6 {all}"),
        [499, 2_501, 2_002],
    );
    // A tree of degree 4 as far as it goes: 52 within 3 hops, no duplicates.
    let mut edges = String::from("# a tree\n");
    for node in 1..=160_u32 {
        let parent = if node <= 4 { 0 } else { (node - 2) / 3 };
        edges += &format!("{parent} {node}\n");
    }
    place.folder("graphs", &[("tree", edges.as_bytes())]);
    check_flood(
        &place,
        "--graph file:graphs/tree --source 0 --ttl 3",
        [52, 52, 0],
    );
}

#[test]
fn the_same_seed_prints_the_same() {
    let place = Place::new();
    for typed in [
        "flood --graph random:300,5 --source 3 --ttl 4 --latency exp:50 --json",
        "churn --session weibull:0.5,600 --nodes 200 --at 4000 --json",
        "search --nodes 60 --degree 4 --files 20 --copies 3 --queries 5 --json",
        "swarm --peers 4 --size 1M --json",
        "join --nodes 20 --json",
        "churn --session exp:600 --nodes 200 --at 4000",
    ] {
        let print = |seed: u32| {
            let said = lab(&place, &format!("{typed} --seed {seed}"));
            said.expect(0, &[]);
            said.out
        };
        let one = print(1);
        assert_eq!(one, print(1), "{typed}");
        assert_ne!(one, print(2), "{typed}");
        let plain = lab(&place, typed);
        plain.expect(0, &[]);
        assert_eq!(one, plain.out, "the seed is 1 if none is named: {typed}");
    }
}

#[test]
fn reports_have_the_promised_fields() {
    let place = Place::new();
    let flood = json(&place, "flood --graph grid:5x5 --source 12 --ttl 3");
    has_numbers(
        &flood,
        &["nodes", "edges", "reach", "messages", "duplicates"],
    );
    assert!(flood["speed"].is_null(), "{flood}");
    let typed = "churn --session exp:3600 --nodes 5000 --at 10000 --speed";
    let churn = json(&place, typed);
    let fields = ["online", "stay_1h", "mean_residual_s", "session_median_s"];
    has_numbers(&churn, &fields);
    for age in ["600", "3600", "18000", "86400"] {
        assert!(churn["age_cdf"][age].is_number(), "{age}: {churn}");
    }
    assert_eq!(churn["online"], 5_000);
    let near = |field: &Value, wanted: f64| {
        let found = field.as_f64().unwrap();
        assert!((found / wanted - 1.0).abs() < 0.1, "{found}, not {wanted}");
    };
    near(&churn["age_cdf"]["3600"], 1.0 - (-1.0_f64).exp());
    near(&churn["stay_1h"], (-1.0_f64).exp());
    near(&churn["mean_residual_s"], 3_600.0);
    near(&churn["session_median_s"], 3_600.0 * std::f64::consts::LN_2);
    let speed = &churn["speed"];
    assert!(speed["wall_seconds"].is_number() && speed["events_per_second"].is_number());
    assert_eq!(
        speed["resident_bytes"].is_number(),
        cfg!(target_os = "linux")
    );
}

/// Asking everybody takes 2E-(N-1) questions, whoever asks.
#[test]
fn a_search_without_devices_is_a_flood() {
    let place = Place::new();
    let typed = "search --overlay flood --nodes 200 --degree 6 --files 10 --copies 3 --queries 4 \
         --zipf 0.8 --ttl 15 --no-qrp --no-reports --latency equal --enough 1000";
    let report = json(&place, typed);
    assert_eq!(report["asks_per_query"], 1_001.0, "{report}");
    assert_eq!(report["recall"], 1.0, "{report}");
    assert_eq!(report["copies_found_share"], 1.0, "{report}");
}

#[test]
fn searches_swarms_and_crowds_have_the_promised_fields() {
    let place = Place::new();
    let network = "search --nodes 200 --degree 6 --files 10 --copies 8 --queries 4 --zipf 0.8";
    for strategy in [
        "",
        "--ring 1,2,3",
        "--dynamic",
        "--ttl 4 --no-qrp",
        "--churn exp:600",
    ] {
        let report = json(&place, &format!("{network} {strategy}"));
        let fields = [
            "recall",
            "messages_per_query",
            "bytes_per_query",
            "first_hit_ms_p50",
            "first_hit_ms_p99",
            "hops_mean",
            "load_p50",
            "load_p99",
            "load_max",
        ];
        has_numbers(&report, &fields);
        assert_eq!(report["queries"], 4, "{strategy}: {report}");
    }
    let swarm = json(
        &place,
        "swarm --peers 6 --seeds 1 --size 2M --up 500K --down 2M --die 0.2",
    );
    has_numbers(
        &swarm,
        &["complete", "seconds", "ideal_seconds", "seed_copies_sent"],
    );
    // The one seed sends it once: 2 MB at 500 kB a second.
    assert_eq!(swarm["ideal_seconds"], 4.0, "{swarm}");
    assert_eq!(swarm["complete"], 5, "one of six crashes: {swarm}");
    let join = json(&place, "join --nodes 40");
    has_numbers(&join, &["nodes", "edges", "degree_mean", "degree_max_ever"]);
    assert_eq!(join["connected"], true, "{join}");
    let seeds = json(&place, "seeds --from 3 --count 1");
    has_numbers(&seeds, &["passed", "crashes", "troubled_recall"]);
    assert_eq!(seeds["passed"], 1, "{seeds}");
    let typed = "devices --nodes 100 --degree 5 --files 10 --copies-share 0.1 --queries 3";
    let attack = json(&place, "attack --nodes 20 --queries 4");
    has_numbers(&attack, &["recall_in_peace", "recall_under_attack", "kept"]);
    let devices = json(&place, typed);
    assert!(devices["lines"].as_array().unwrap().len() > 5, "{devices}");
    for line in devices["lines"].as_array().unwrap() {
        assert!(
            line["recall"].is_number() && line["of_plain"].is_number(),
            "{line}"
        );
    }
}

#[test]
fn people_get_a_table_and_a_picture() {
    let place = Place::new();
    let said = lab(
        &place,
        "flood --graph torus:16x16 --source 0 --ttl 3 --plot a.svg",
    );
    said.expect(0, &["nodes", "256", "new nodes", "duplicates", "a.svg"]);
    let svg = std::fs::read_to_string(place.path("a.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("TTL 3"), "{svg}");
    let said = lab(&place, "churn --session exp:60 --nodes 10 --at 60 --speed");
    said.expect(0, &["expected", "mean residual", "events a second"]);
    let typed = "churn --session exp:60 --nodes 10 --at 60 --plot missing/a.svg";
    lab(&place, typed).expect(1, &["cannot write missing/a.svg"]);
}

#[test]
fn sessions_from_a_list() {
    let place = Place::new();
    place.folder(
        "lists",
        &[("good", b"60\n120 # two\n\n600\n"), ("bad", b"60\nlong\n")],
    );
    let report = json(
        &place,
        "churn --session trace:lists/good --nodes 2000 --at 9000",
    );
    assert_eq!(report["session_median_s"], 120.0, "{report}");
    let typed = "churn --session trace:lists/bad --nodes 2000 --at 9000";
    lab(&place, typed).expect(2, &["line 2", "one length a line"]);
}

/// What is typed, and two things that must be said about it.
const IMPOSSIBLE: &str = "
    flood --source 0 --ttl 2 --graph ring:5 => --graph ring:5 | torus:ROWSxCOLUMNS
    flood --source 0 --ttl 2 --graph hypercube:25 => hypercube:25 | 1 to 24
    flood --source 0 --ttl 2 --graph regular:5,3 => regular:5,3 | must be even
    flood --source 0 --ttl 2 --graph regular:5,5 => regular:5,5 | from 1 to 4
    flood --source 0 --ttl 2 --graph random:10,20 => random:10,20 | at most 9
    flood --source 0 --ttl 2 --graph file:graphs/bad => line 2 | two node ids
    flood --source 0 --ttl 2 --graph file:graphs/sparse => --source 0 | 5 to 20
    flood --source 0 --ttl 2 --graph grid:5x5 --latency slow => --latency slow | exp:
    flood --graph grid:5x5 --source 25 --ttl 2 => --source 25 | 0 to 24
    flood --graph grid:5x5 --source 0 --ttl 0 => --ttl 0 | 1 to 255
    flood --graph grid:5x5 --source 0 --ttl 256 => --ttl 256 | 1 to 255
    flood --graph grid:5x5 --source 0 --ttl -1 => -1 | usage
    flood --graph grid:5x5 --ttl 1 => --source | usage
    churn --session exp:0 --nodes 5 --at 9 => --session exp:0 | above 0
    churn --session exp:9 --nodes 0 --at 9 => --nodes 0 | from 1
    churn --session exp:9 --nodes 5 --at=-9 => --at -9 | from 0
    churn --session exp:1 --nodes 1000000 --at 1e9 => --at | at most
    churn --session exp:1 --offline x --nodes 1 --at 1 => --offline x | exp:
    search --nodes 1 => --nodes 1 | from 2
    search --ring 3,2 => --ring 3,2 | TTLs that grow
    search --overlay hub => hub | possible values: flood
    search --ttl 3 --dynamic => --ttl | cannot be used
    swarm --seeds 0 => --seeds 0 | at least 1
    swarm --size much => --size | such as 5000000
    swarm --latency exp:5 => --latency exp:5 | uniform
    join --nodes 1 => --nodes 1 | from 2
    join --interval=-1 => --interval -1 | from 0
    seeds --count 0 => --count 0 | at least one
    devices --ttl 0 => --ttl 0 | 1 to 255
    nothing => nothing | unrecognized
    attack --nodes 3 => --nodes 3 | from 10
";

#[test]
fn what_is_impossible_is_told_with_what_is_possible() {
    let place = Place::new();
    let graphs: [(&str, &[u8]); 2] = [("bad", b"0 1\n1 2 3\n"), ("sparse", b"5 10\n10 20\n")];
    place.folder("graphs", &graphs);
    let mut count = 0;
    for line in IMPOSSIBLE.lines().filter(|line| !line.trim().is_empty()) {
        let (typed, words) = line.split_once(" => ").unwrap();
        let (one, two) = words.split_once(" | ").unwrap();
        lab(&place, typed).expect(2, &[one, two]);
        count += 1;
    }
    assert_eq!(count, 31);
    let missing = "flood --source 0 --ttl 2 --graph file:graphs/none";
    lab(&place, missing).expect(1, &["cannot read graphs/none"]);
}

/// The contracts of the structured overlay's laboratory, and what theory knows.
#[test]
fn rings_are_what_theory_says() {
    let place = Place::new();
    let path = json(
        &place,
        "chord-path --nodes 256 --successors 1 --lookups 4000",
    );
    let fields = [
        "path_mean",
        "path_p01",
        "path_p50",
        "path_p99",
        "build_seconds",
        "lookups_per_second",
    ];
    has_numbers(&path, &fields);
    assert!(path["path_histogram"].is_array(), "{path}");
    // Half of log2 N, less 0.15.
    let mean = path["path_mean"].as_f64().unwrap();
    assert!((mean - 3.85).abs() < 0.15, "{path}");
    assert_eq!(path["failures"], 0);

    let fail = json(
        &place,
        "chord-fail --nodes 200 --successors 20 --fail 0.5 --lookups 300",
    );
    let fields = [
        "path_mean",
        "path_p01",
        "path_p99",
        "timeouts_mean",
        "timeouts_p01",
        "timeouts_p99",
        "failures",
    ];
    has_numbers(&fail, &fields);
    assert_eq!(fail["failures"], 0, "{fail}");

    let load = json(
        &place,
        "chord-load --nodes 100 --keys 1000 --virtual 4 --seeds 2",
    );
    let fields = [
        "p01_over_mean",
        "p50_over_mean",
        "p99_over_mean",
        "max_over_mean",
    ];
    has_numbers(&load, &fields);
    assert_eq!(load["moved_elsewhere"], 0);

    let check = json(&place, "chord-check --ids 4 --successors 2");
    assert_eq!(check["states"], 2_577);
    assert_eq!(check["transitions"], 12_224);
    assert_eq!(check["violations"], 0);
}

#[test]
fn rings_change_and_stay_rings() {
    let place = Place::new();
    let churn = json(
        &place,
        "chord-churn --nodes 40 --successors 8 --rate 0.02 --lookups 40 --warm-up 30 \
         --stabilise 15,45 --delay exp:50ms --timeout 500ms --seed 3",
    );
    let fields = [
        "path_mean",
        "timeouts_mean",
        "failures_per_10000",
        "invariant_violations",
    ];
    has_numbers(&churn, &fields);
    let heal = json(
        &place,
        "chord-heal --nodes 30 --successors 6 --split 0.5 --seconds 90",
    );
    let fields = ["merge_seconds", "recall_after"];
    has_numbers(&heal, &fields);
    assert_eq!(heal["merged"], true);
    assert_eq!(heal["recall_each_side"].as_array().map(Vec::len), Some(2));
    for wrong in [
        "chord-path --nodes 1",
        "chord-fail --fail 1.5",
        "chord-churn --stabilise 15",
        "chord-heal --split 2",
        "chord-load --virtual 0",
        "chord-check --ids 2",
    ] {
        let said = lab(&place, wrong);
        said.expect(2, &["impossible"]);
    }
}
