//! Which part of a content a caller wants.

use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no header, or one that may be passed over.
    All,
    /// A part, never empty.
    Part(Range<u64>),
    /// A part that there is not.
    Nothing,
}

/// Reads the header for a content of `size` bytes. Several parts at once, and what
/// is not understood, count as everything.
// Source: RFC 9110, section 14.2.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header
        .and_then(|header| header.trim().strip_prefix("bytes="))
        .and_then(|part| part.split_once('-'))
    else {
        return Wanted::All;
    };
    let number = |text: &str| text.trim().parse::<u64>();
    let range = match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Ok(last) => size.saturating_sub(last)..size,
            Err(_) => return Wanted::All,
        },
        (first, "") => match number(first) {
            Ok(first) => first..size,
            Err(_) => return Wanted::All,
        },
        (first, last) => match (number(first), number(last)) {
            (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::All,
        },
    };
    if range.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_the_standard_says() {
        for (header, size, expected) in [
            ("bytes=0-", 10, Wanted::Part(0..10)),
            ("bytes=3-5", 10, Wanted::Part(3..6)),
            ("bytes=3-99", 10, Wanted::Part(3..10)),
            ("bytes=9-9", 10, Wanted::Part(9..10)),
            ("bytes=-4", 10, Wanted::Part(6..10)),
            ("bytes=-40", 10, Wanted::Part(0..10)),
            ("bytes=5-18446744073709551615", 10, Wanted::Part(5..10)),
            ("bytes=10-", 10, Wanted::Nothing),
            ("bytes=-0", 10, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=5-3", 10, Wanted::All),
            ("bytes=0-1,3-4", 10, Wanted::All),
            ("bytes=", 10, Wanted::All),
            ("bytes=x-", 10, Wanted::All),
            ("lines=0-1", 10, Wanted::All),
            ("", 10, Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), size), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
    }
}
