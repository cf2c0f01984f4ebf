//! Errors as `application/problem+json` (RFC 9457), read and written.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an error answer says.
// Source: RFC 9457, section 3.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What went wrong, for programs: `urn:gannet:problem:` and a word or two
    /// with hyphens, such as `unknown-download`. These do not change within a
    /// version of the API.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status code's own words.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What went wrong and what to do, in plain words.
    pub detail: String,
}

impl Problem {
    /// What every [`Problem::kind`] starts with.
    pub const KIND_PREFIX: &'static str = "urn:gannet:problem:";
    /// The media type of a problem.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
