//! `size:` filters.

use super::QueryError;

/// Sizes from `from` to `to` bytes, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SizeRange {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl SizeRange {
    /// What stands behind `size:`.
    pub(crate) fn parse(value: &str) -> Result<Self, QueryError> {
        let size = |text: &str| bytes(text, value);
        let range = if let Some((from, to)) = value.split_once("..") {
            if from.is_empty() && to.is_empty() {
                return Err(bad(value));
            }
            Self {
                from: if from.is_empty() { 0 } else { size(from)? },
                to: if to.is_empty() { u64::MAX } else { size(to)? },
            }
        } else if let Some(text) = value.strip_prefix(">=") {
            Self {
                from: size(text)?,
                to: u64::MAX,
            }
        } else if let Some(text) = value.strip_prefix('>') {
            let from = size(text)?.checked_add(1);
            Self {
                from: from.ok_or_else(|| overflow(value))?,
                to: u64::MAX,
            }
        } else if let Some(text) = value.strip_prefix("<=") {
            Self {
                from: 0,
                to: size(text)?,
            }
        } else if let Some(text) = value.strip_prefix('<') {
            let to = size(text)?.checked_sub(1);
            Self {
                from: 0,
                to: to.ok_or_else(|| empty(value))?,
            }
        } else {
            let exact = size(value)?;
            Self {
                from: exact,
                to: exact,
            }
        };
        if range.from > range.to {
            Err(empty(value))
        } else {
            Ok(range)
        }
    }

    pub(crate) fn contains(self, size: u64) -> bool {
        (self.from..=self.to).contains(&size)
    }
}

impl std::fmt::Display for SizeRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from, self.to) {
            (from, u64::MAX) => write!(f, "{from}.."),
            (from, to) => write!(f, "{from}..{to}"),
        }
    }
}

fn bad(value: &str) -> QueryError {
    QueryError::BadSize {
        value: value.to_owned(),
    }
}

fn overflow(value: &str) -> QueryError {
    QueryError::SizeOverflow {
        value: value.to_owned(),
    }
}

fn empty(value: &str) -> QueryError {
    QueryError::EmptySize {
        value: value.to_owned(),
    }
}

/// `1.5GB` and the like. Exact: no floating point; a fraction of a byte is cut.
fn bytes(text: &str, value: &str) -> Result<u64, QueryError> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale: u128 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(bad(value)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(bad(value));
    }
    // More digits than this are beyond a byte in any unit.
    let fraction = &fraction[..fraction.len().min(12)];
    let digits = |text: &str| -> u128 {
        text.bytes().fold(0, |sum: u128, digit| {
            sum.saturating_mul(10)
                .saturating_add(u128::from(digit - b'0'))
        })
    };
    let places = u32::try_from(fraction.len()).expect("at most twelve digits");
    let below = digits(fraction) * scale / 10_u128.pow(places);
    let total = digits(whole).saturating_mul(scale).saturating_add(below);
    u64::try_from(total).map_err(|_| overflow(value))
}
