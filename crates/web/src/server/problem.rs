//! Which error is which answer.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gannet_node::{
    BrowseError, DownloadError, KeepError, LinkError, SearchError, SettingsError, ShareError,
    Stopped, ViewError,
};
use hyper::{StatusCode, header};

use crate::Problem;

/// An error on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    kind: &'static str,
    detail: String,
    /// Whether the connection ends with it, because what follows on it cannot be
    /// trusted.
    close: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            close: false,
        }
    }

    pub(super) fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("{}{}", Problem::KIND_PREFIX, self.kind),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let body = serde_json::to_vec(&problem).expect("strings and a number are JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, header::HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, Problem::MEDIA_TYPE);
        match self.status {
            StatusCode::UNAUTHORIZED => set(header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::TOO_MANY_REQUESTS => set(header::RETRY_AFTER, "60"),
            _ => None,
        };
        if self.close {
            set(header::CONNECTION, "close");
        }
        response
    }
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "stopped", stopped.to_string())
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        let (status, kind) = match &error {
            SearchError::Query(_) => (StatusCode::BAD_REQUEST, "query"),
            SearchError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-searches"),
            SearchError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<DownloadError> for Refusal {
    fn from(error: DownloadError) -> Self {
        let (status, kind) = match &error {
            DownloadError::UnknownSearch { .. } => (StatusCode::NOT_FOUND, "unknown-search"),
            DownloadError::UnknownRow { .. } => (StatusCode::NOT_FOUND, "unknown-row"),
            DownloadError::UnknownDownload { .. } => (StatusCode::NOT_FOUND, "unknown-download"),
            DownloadError::Link(_) => (StatusCode::BAD_REQUEST, "link"),
            DownloadError::AlreadyHave { .. } => (StatusCode::CONFLICT, "already-have"),
            DownloadError::PartOf { .. } => (StatusCode::CONFLICT, "part-of-a-folder"),
            DownloadError::Over { .. } => (StatusCode::CONFLICT, "download-over"),
            DownloadError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-downloads"),
            DownloadError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
            DownloadError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<ShareError> for Refusal {
    fn from(error: ShareError) -> Self {
        let (status, kind) = match &error {
            ShareError::Refused { .. } => (StatusCode::BAD_REQUEST, "share-refused"),
            ShareError::NotShared { .. } => (StatusCode::NOT_FOUND, "not-shared"),
            ShareError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<BrowseError> for Refusal {
    fn from(error: BrowseError) -> Self {
        let (status, kind) = match &error {
            BrowseError::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "peer-unreachable"),
            BrowseError::Nonsense { .. } => (StatusCode::BAD_GATEWAY, "peer-nonsense"),
            BrowseError::Refused { .. } => (StatusCode::FORBIDDEN, "peer-refused"),
            BrowseError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        let (status, kind) = match &error {
            LinkError::Unreadable { .. } => (StatusCode::BAD_REQUEST, "unreadable"),
            LinkError::Folder { .. } => (StatusCode::BAD_REQUEST, "not-to-be-linked"),
            LinkError::NotShared { .. } => (StatusCode::CONFLICT, "not-shared"),
            LinkError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<KeepError> for Refusal {
    fn from(error: KeepError) -> Self {
        let (status, kind) = match error {
            KeepError::Off => (StatusCode::CONFLICT, "overlay-off"),
            KeepError::NoPlace => (StatusCode::CONFLICT, "no-place"),
            KeepError::Link(link) => return link.into(),
            KeepError::UnknownSearch { .. } => (StatusCode::NOT_FOUND, "unknown-search"),
            KeepError::UnknownRow { .. } => (StatusCode::NOT_FOUND, "unknown-row"),
            KeepError::NoLink(_) => (StatusCode::BAD_REQUEST, "link"),
            KeepError::NotHere { .. } => (StatusCode::CONFLICT, "not-here"),
            KeepError::Bounds(_) => (StatusCode::BAD_REQUEST, "bounds"),
            KeepError::Order(_) => (StatusCode::CONFLICT, "not-to-be-kept"),
            KeepError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-kept"),
            KeepError::NotKept { .. } => (StatusCode::NOT_FOUND, "not-kept"),
            KeepError::Stopped(stopped) => return stopped.into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        let (status, kind) = match &error {
            SettingsError::Range { .. } => (StatusCode::BAD_REQUEST, "range"),
            SettingsError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        let (status, kind) = match &error {
            ViewError::Unknown { .. } => (StatusCode::NOT_FOUND, "unknown-content"),
            ViewError::Beyond { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range"),
            ViewError::Changed => (StatusCode::CONFLICT, "changed"),
            ViewError::Stalled => (StatusCode::GATEWAY_TIMEOUT, "stalled"),
            ViewError::Unreadable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
            ViewError::Stopped(stopped) => return (*stopped).into(),
        };
        Self::new(status, kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::path::PathBuf;

    use gannet_base::{ContentId, InvalidKeep, ParseLinkError, PeerId};

    use super::*;

    /// The status, the detail, and what the detail must be.
    fn problem(error: impl Into<Refusal> + Display) -> (u16, String, String) {
        let words = error.to_string();
        let refusal = error.into();
        assert!(!refusal.kind.contains(' '));
        (refusal.status.as_u16(), refusal.detail, words)
    }

    #[test]
    fn every_error_is_an_answer_with_its_own_words() {
        let peer = PeerId::from_bytes([1; 32]);
        let path = || PathBuf::from("/p");
        let reason = || "because".to_owned();
        let number = 3;
        let cases = [
            (problem(Stopped), 503),
            (problem(SearchError::Query(reason())), 400),
            (problem(SearchError::TooMany { running: 9 }), 429),
            (problem(SearchError::Stopped(Stopped)), 503),
            (problem(DownloadError::UnknownSearch { number }), 404),
            (
                problem(DownloadError::UnknownRow {
                    number,
                    query: reason(),
                    rows: 2,
                }),
                404,
            ),
            (problem(DownloadError::UnknownDownload { number }), 404),
            (problem(DownloadError::Link(ParseLinkError::Size)), 400),
            (problem(DownloadError::AlreadyHave { path: path() }), 409),
            (
                problem(DownloadError::Over {
                    number,
                    state: "failed",
                }),
                409,
            ),
            (problem(DownloadError::TooMany { max: 5 }), 429),
            (problem(DownloadError::Store(reason())), 500),
            (problem(DownloadError::Stopped(Stopped)), 503),
            (
                problem(ShareError::Refused {
                    path: path(),
                    reason: reason(),
                }),
                400,
            ),
            (problem(ShareError::NotShared { path: path() }), 404),
            (problem(ShareError::Stopped(Stopped)), 503),
            (
                problem(BrowseError::Unreachable {
                    peer,
                    reason: reason(),
                }),
                502,
            ),
            (problem(BrowseError::Nonsense { peer }), 502),
            (problem(BrowseError::Refused { peer }), 403),
            (problem(BrowseError::Stopped(Stopped)), 503),
            (
                problem(LinkError::Unreadable {
                    path: path(),
                    reason: reason(),
                }),
                400,
            ),
            (problem(LinkError::NotShared { path: path() }), 409),
            (problem(LinkError::Stopped(Stopped)), 503),
        ];
        check(&cases);
    }

    #[track_caller]
    fn check(cases: &[((u16, String, String), u16)]) {
        for ((status, detail, expected), code) in cases {
            assert_eq!((status, detail), (code, expected));
        }
    }

    #[test]
    fn so_is_every_error_about_what_is_kept() {
        let number = 3;
        let path = PathBuf::from("/p");
        let cases = [
            (problem(KeepError::Off), 409),
            (problem(KeepError::NoPlace), 409),
            (problem(KeepError::Link(LinkError::NotShared { path })), 409),
            (problem(KeepError::UnknownSearch { number }), 404),
            (problem(KeepError::NoLink(ParseLinkError::Size)), 400),
            (
                problem(KeepError::NotHere {
                    name: "x".to_owned(),
                }),
                409,
            ),
            (problem(KeepError::Bounds("so many".to_owned())), 400),
            (problem(KeepError::Order(InvalidKeep::Life)), 409),
            (problem(KeepError::TooMany { max: 5 }), 429),
            (
                problem(KeepError::NotKept {
                    content: ContentId::of(b"x"),
                }),
                404,
            ),
            (problem(KeepError::Stopped(Stopped)), 503),
        ];
        check(&cases);
    }

    #[test]
    fn what_the_page_asks_is_refused_in_words_too() {
        let reason = || "because".to_owned();
        let cases = [
            (
                problem(SettingsError::Range {
                    name: "x",
                    min: 1,
                    max: 2,
                    found: 3,
                }),
                400,
            ),
            (problem(SettingsError::Stopped(Stopped)), 503),
            (
                problem(ViewError::Unknown {
                    content: ContentId::of(b"x"),
                }),
                404,
            ),
            (problem(ViewError::Beyond { offset: 2, size: 1 }), 416),
            (problem(ViewError::Changed), 409),
            (problem(ViewError::Stalled), 504),
            (problem(ViewError::Unreadable(reason())), 500),
            (problem(ViewError::Stopped(Stopped)), 503),
        ];
        for ((status, detail, expected), code) in cases {
            assert_eq!((status, detail), (code, expected));
        }
    }
}
