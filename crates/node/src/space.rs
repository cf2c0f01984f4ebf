//! Amounts of disk space, as people write them.

use std::str::FromStr;

use serde::Deserialize;

/// An amount of disk space in bytes as people write it: `10GB`, `500M`, `1.5TiB`,
/// `none`. Powers of 1000; with `i`, of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space(pub u64);

/// A text that is no amount of space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an amount of space: write it like 10GB, 500M or 1.5TiB, or `none`")]
pub struct ParseSpaceError(String);

impl FromStr for Space {
    type Err = ParseSpaceError;

    fn from_str(text: &str) -> Result<Self, ParseSpaceError> {
        let wrong = || ParseSpaceError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        if lower == "none" {
            return Ok(Self(0));
        }
        let digits = lower
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let factor: f64 = match unit.strip_suffix('b').unwrap_or(unit) {
            "" => 1.0,
            "k" => 1e3,
            "m" => 1e6,
            "g" => 1e9,
            "t" => 1e12,
            "ki" => 1024.0,
            "mi" => 1024_f64.powi(2),
            "gi" => 1024_f64.powi(3),
            "ti" => 1024_f64.powi(4),
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        // A thousand times the largest disks; below that a float counts bytes.
        if !(0.0..=1e15).contains(&bytes) {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let bytes = bytes as u64;
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("none", 0),
            ("500", 500),
            ("10GB", 10_000_000_000),
            ("10 gb", 10_000_000_000),
            ("1.5TiB", 1_649_267_441_664),
            ("64Mi", 67_108_864),
            ("2k", 2_000),
        ] {
            assert_eq!(text.parse(), Ok(Space(bytes)), "{text}");
        }
        for wrong in ["", "much", "-1", "1X", "1e30", "..", "NaN", "9999999TB"] {
            assert!(wrong.parse::<Space>().is_err(), "{wrong}");
        }
    }
}
