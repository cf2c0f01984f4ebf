//! Which page of a list a caller wants.

use serde::{Deserialize, Deserializer, de};
use utoipa::IntoParams;

use super::extract::invalid;
use super::problem::Refusal;
use crate::Page;

/// Most items of a page.
// Guess: a page of peers stays below 10 MB.
pub(crate) const PAGE_ITEMS_MAX: u32 = 10_000;

/// Furthest that a page may begin: as far as other languages count.
const OFFSET_MAX: u64 = i64::MAX.unsigned_abs();

/// Reads where a page begins.
pub(super) fn offset<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let offset = u64::deserialize(from)?;
    if offset > OFFSET_MAX {
        let wrong = format!("offset is from 0 to {OFFSET_MAX}");
        return Err(de::Error::custom(wrong));
    }
    Ok(offset)
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// How many items to leave out first.
    #[serde(default, deserialize_with = "offset")]
    #[param(default = 0)]
    offset: u64,
    /// Most items.
    #[serde(default = "PageParams::limit")]
    #[param(default = 1000, minimum = 1, maximum = 10000)]
    limit: u32,
}

impl PageParams {
    // Guess: most lists whole, and a screen full many times over.
    fn limit() -> u32 {
        1_000
    }

    /// That part of `items`.
    pub(super) fn page<T>(&self, items: Vec<T>) -> Result<Page<T>, Refusal> {
        if !(1..=PAGE_ITEMS_MAX).contains(&self.limit) {
            return Err(invalid(format!("limit is from 1 to {PAGE_ITEMS_MAX}")));
        }
        let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let take = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Ok(Page {
            items: items.into_iter().skip(skip).take(take).collect(),
            offset: self.offset,
            total,
        })
    }
}
