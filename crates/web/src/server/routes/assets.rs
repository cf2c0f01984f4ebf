//! The page and its files.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::super::assets::{self, PAGE_POLICY};
use super::super::problem::Refusal;

fn page(text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, text).into_response()
}

/// The page.
///
/// It says nothing of the peer by itself; what it shows, it asks with the cookie.
#[utoipa::path(
    get, path = "/", tag = "page", security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub(super) async fn index() -> Response {
    page(assets::INDEX)
}

/// The page to try the API.
#[utoipa::path(
    get, path = "/api/", tag = "page", security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub(super) async fn try_page() -> Response {
    page(assets::TRY)
}

/// The page behind a link that lets a browser in.
#[utoipa::path(
    get, path = "/open", tag = "session", security(()),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub(super) async fn open_page() -> Response {
    page(assets::OPEN)
}

/// A script, style or picture of the page.
#[utoipa::path(
    get, path = "/assets/{name}", tag = "page", security(()),
    params(("name" = String, Path, description = "Which.")),
    responses((
        status = 200, description = "The file.",
        content((String = "text/javascript"), (String = "text/css"), (String = "image/svg+xml"))
    ))
)]
pub(super) async fn asset(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Some(asset) = assets::asset(&name) else {
        let detail = "the page has no such file";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "unknown-asset", detail));
    };
    let media_type = [(header::CONTENT_TYPE, asset.media_type)];
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let takes_gzip = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|names| names.split(',').any(|name| name.trim() == "gzip"));
    Ok(if takes_gzip {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        (media_type, encoding, asset.gzip.clone()).into_response()
    } else {
        (media_type, asset.text).into_response()
    })
}
