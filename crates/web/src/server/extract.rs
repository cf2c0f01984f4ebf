//! What routes take out of a request, and how they answer.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::http::request::Parts;
use hyper::{StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::App;
use super::guard::too_large;
use super::problem::Refusal;

/// What was asked is not well formed.
pub(super) fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "request", detail)
}

/// A JSON body, bounded in length and time.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let bytes_max = app.limits.body_bytes_max;
        let body = Limited::new(request.into_body(), bytes_max).collect();
        let Ok(body) = timeout(app.limits.body_timeout, body).await else {
            let detail = "the body took too long";
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail).closing());
        };
        let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => too_large(u64::try_from(bytes_max).unwrap_or(u64::MAX)),
            Err(error) => invalid(format!("the body broke off: {error}")).closing(),
        })?;
        let body = body.to_bytes();
        // The decoder takes a list for an object whose keys are left out.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(invalid("the body is not a JSON object".to_owned()));
        }
        let value = serde_json::from_slice(&body);
        value
            .map(Self)
            .map_err(|error| invalid(format!("the body is not what it should be: {error}")))
    }
}

/// The query of the address.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|error| invalid(error.body_text()))
    }
}

/// The one number in the path.
#[derive(Debug)]
pub(super) struct Number<T>(pub(super) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Number<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let number = text.ok().and_then(|Path(text)| text.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| invalid("the number in the path is none"))
    }
}

/// A path that means the same here as where it was written.
pub(super) fn absolute(path: PathBuf) -> Result<PathBuf, Refusal> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(invalid(format!(
        "{} is not an absolute path",
        path.display()
    )))
}

/// An answer in JSON.
#[derive(Debug)]
pub(super) struct Answered<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Answered<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let media_type = [(header::CONTENT_TYPE, "application/json")];
                (media_type, Body::from(body)).into_response()
            }
            Err(error) => {
                let detail = format!("the answer cannot be written as JSON: {error}");
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "unwritable", detail)
                    .into_response()
            }
        }
    }
}

/// What most routes return.
pub(super) type Reply<T> = Result<Answered<T>, Refusal>;
