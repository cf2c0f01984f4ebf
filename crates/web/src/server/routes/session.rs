//! Letting a browser in: the link and the cookie.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::super::App;
use super::super::extract::{Answered, JsonBody, Reply};
use super::super::problem::Refusal;
use super::super::sessions::CODE_LIFE;
use crate::client::{CodeBody, SessionLink};

/// Makes a link that lets one browser in.
///
/// It works once, and not for long.
#[utoipa::path(
    post, path = "/api/v1/session/link", tag = "session",
    responses((status = 200, description = "The link.", body = SessionLink))
)]
pub(super) async fn session_link(State(app): State<Arc<App>>) -> Reply<SessionLink> {
    let link = app.sessions.link(Instant::now()).map_err(no_random)?;
    let expires_seconds = CODE_LIFE.as_secs();
    Ok(Answered(SessionLink {
        link,
        expires_seconds,
    }))
}

/// Exchanges the code of a link for a cookie.
///
/// The code is what stands behind `#` in the link.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", security(()), request_body = CodeBody,
    responses((
        status = 204, description = "The browser is let in.",
        headers(("set-cookie" = String, description = "HttpOnly, SameSite=Strict"))
    ))
)]
pub(super) async fn session_begin(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<CodeBody>,
) -> Result<Response, Refusal> {
    let cookie = app.sessions.exchange(&body.code, Instant::now());
    let Some(cookie) = cookie.map_err(no_random)? else {
        app.guard.count_failure()?;
        let detail = "this link was used already or is too old; ask for a new one";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "code", detail).closing());
    };
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Lets this browser in no more.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses((status = 204, description = "Its cookie is worth nothing now."))
)]
pub(super) async fn session_end(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let cookies = headers
        .get(header::COOKIE)
        .map(header::HeaderValue::as_bytes);
    let cookie = app.sessions.end(cookies.unwrap_or_default());
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

fn no_random(error: getrandom::Error) -> Refusal {
    let detail = format!("the system gives no random numbers: {error}");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "random", detail)
}
