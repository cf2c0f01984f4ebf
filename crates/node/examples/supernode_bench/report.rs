//! The figures, as a table or as JSON.

use serde_json::Value;

/// Prints them.
pub(crate) fn report(figures: &Value, json: bool) {
    if json {
        println!("{figures:#}");
        return;
    }
    let number = |of: &Value, name: &str| of[name].as_f64().unwrap_or(f64::NAN);
    let pinned = if figures["supernode_on_one_processor"] == true {
        "kept on one processor"
    } else {
        "NOT kept on one processor: there is no taskset"
    };
    println!(
        "a supernode, {pinned}; {} leaves, {} entries, registered in {:.1} s ({:.1} s of CPU)",
        figures["leaves"],
        figures["entries"],
        number(figures, "registering_seconds"),
        number(figures, "registering_cpu_seconds"),
    );
    println!(
        "resident: {:.1} MiB empty, {:.1} registered, {:.1} after the searches, {:.1} at most",
        number(figures, "resident_mib_empty"),
        number(figures, "resident_mib_registered"),
        number(figures, "resident_mib_after_searches"),
        number(figures, "resident_mib_peak"),
    );
    println!(
        "words       answers/s  of a CPU  per CPU s   rows    bytes   p50 ms   p99 ms  failed"
    );
    for round in figures["searches"].as_array().into_iter().flatten() {
        println!(
            "{:<10} {:>10.0} {:>8.0}% {:>10.0} {:>6.1} {:>8.0} {:>8.2} {:>8.2} {:>7.0}",
            round["words"].as_str().unwrap_or_default(),
            number(round, "answered_per_second"),
            number(round, "processor_share") * 100.0,
            number(round, "answered_per_cpu_second"),
            number(round, "rows_mean"),
            number(round, "answer_bytes_mean"),
            number(round, "answer_ms_p50"),
            number(round, "answer_ms_p99"),
            number(round, "refused") + number(round, "otherwise"),
        );
    }
}
