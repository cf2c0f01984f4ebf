//! Long lists, page by page.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The part, in the list's order.
    pub items: Vec<T>,
    /// How many items come before it.
    pub offset: u64,
    /// How many items the whole list has now.
    pub total: u64,
}
