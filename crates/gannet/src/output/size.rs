//! Sizes, speeds and times as people read them. Powers of 1000.

/// A number of bytes: `0 B`, `999 B`, `1.0 kB`, `201.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, rounded half up; what rounds to 1000.0 moves up.
    let mut unit = 0;
    let mut divisor: u128 = 1;
    let tenths = |divisor: u128| (u128::from(bytes) * 10 + divisor / 2) / divisor;
    while tenths(divisor) >= 10_000 && unit + 1 < UNITS.len() {
        divisor *= 1_000;
        unit += 1;
    }
    let tenths = tenths(divisor);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Bytes a second: `12.5 MB/s`.
pub(crate) fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A time span: `5 s`, `2 min 5 s`, `3 h 2 min`, `4 d 1 h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Milliseconds: `12 ms`, `3.4 s`, then as [`span`].
pub(crate) fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => span(milliseconds / 1_000),
    }
}

/// Playing time: `3:07`, `1:02:03`.
pub(crate) fn playing_time(seconds: u32) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    if hours == 0 {
        format!("{minutes}:{:02}", seconds % 60)
    } else {
        format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60)
    }
}

/// How much of `whole` is `part`, in whole per cent, rounded down: 100 only
/// when it is all.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 100;
    }
    let percent = u128::from(part.min(whole)) * 100 / u128::from(whole);
    u64::try_from(percent).expect("a part of the whole is at most 100 per cent")
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_049, "1.0 kB"),
            (1_050, "1.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (201_326_592, "201.3 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3_599, "59 min 59 s"),
            (3_600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(milliseconds(999), "999 ms");
        assert_eq!(milliseconds(1_099), "1.0 s");
        assert_eq!(milliseconds(61_000), "1 min 1 s");
        assert_eq!(playing_time(187), "3:07");
        assert_eq!(playing_time(3_723), "1:02:03");
    }

    #[test]
    fn parts_and_counts() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(999, 1_000), 99);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
        assert_eq!(percent(7, 3), 100);
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "peer"), "0 peers");
    }
}
