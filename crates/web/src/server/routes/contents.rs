//! The bytes of what is here, and of what is still coming.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gannet_base::ContentId;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::App;
use super::super::extract::{Params, invalid};
use super::super::problem::Refusal;
use super::super::range::{Wanted, wanted};
use super::HEADERS;
use crate::Reading;

/// What to call it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContentParams {
    /// The name to save it under, whose ending also says what it is; otherwise what
    /// it is called here.
    name: Option<String>,
}

/// The bytes of a shared file or of a download.
///
/// What has not come yet is waited for, and fetched first: asking for a part moves
/// the download there. Takes one `Range`. Every byte has been verified. A browser
/// saves it, or plays it in a page of this origin; it is never a page itself.
#[utoipa::path(
    get, path = "/api/v1/contents/{content}", tag = "transfers",
    params(("content" = String, Path, description = "Its id."), ContentParams),
    responses(
        (status = 200, description = "All of it.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for.", body = Vec<u8>,
            content_type = "application/octet-stream"),
        (status = 416, description = "There is no such part.",
            headers(("content-range" = String, description = "How long it is"))),
    )
)]
pub(super) async fn content(
    State(app): State<Arc<App>>,
    Path(content): Path<String>,
    Params(params): Params<ContentParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let content: ContentId = content
        .parse()
        .map_err(|_| invalid("this is no content id"))?;
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    // Known only with the length, which may have to be waited for; a player that
    // asks for the end asks again.
    let hint = asked.and_then(first_byte).unwrap_or(0);
    let view = app.peer.view(content, hint).await?;
    let size = view.size();
    let (status, range) = match wanted(asked, size) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let whole = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
        }
    };
    let view = if range.start == hint {
        view
    } else {
        app.peer.view(content, range.start).await?
    };
    let name = params.name.unwrap_or_else(|| view.name().to_owned());
    let mut response = body(view, range.clone()).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type(&name)),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    let mut text = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    text(header::ETAG, format!("\"{content}\""));
    text(
        header::CONTENT_DISPOSITION,
        format!("attachment; filename*=UTF-8''{}", escaped(&name)),
    );
    text(
        header::CONTENT_SECURITY_POLICY,
        format!("{}; sandbox", HEADERS[2].1),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end - 1;
        text(
            header::CONTENT_RANGE,
            format!("bytes {}-{last}/{size}", range.start),
        );
    }
    Ok(response)
}

/// The start of a range that has one.
fn first_byte(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes=")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

/// The bytes as they can be read. An error ends the answer short of its length.
fn body(view: Box<dyn Reading>, range: std::ops::Range<u64>) -> Body {
    let parts = stream::unfold((view, range), async |(mut view, mut range)| {
        if range.is_empty() {
            return None;
        }
        let read = view.read(range.start).await.map(|mut bytes| {
            let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            bytes.truncate(left);
            range.start += bytes.len() as u64;
            bytes
        });
        if let Err(error) = &read {
            tracing::debug!(%error, "a content is not sent to its end");
            range.start = range.end;
        }
        Some((read, (view, range)))
    });
    Body::from_stream(parts)
}

/// What a browser may take it for: only what cannot do anything, whatever is in it.
fn media_type(name: &str) -> &'static str {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref().unwrap_or_default() {
        "mp3" => "audio/mpeg",
        "m4a" | "aac" => "audio/mp4",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" | "m4v" | "mov" => "video/mp4",
        "webm" | "mkv" => "video/webm",
        "ogv" => "video/ogg",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "bmp" => "image/bmp",
        _ => "application/octet-stream",
    }
}

/// A name as RFC 8187 writes it.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for half in [byte >> 4, byte & 15] {
                text.extend(
                    char::from_digit(half.into(), 16).map(|digit| digit.to_ascii_uppercase()),
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_the_header() {
        assert_eq!(escaped("a b\"\r\n;é.mp3"), "a%20b%22%0D%0A%3B%C3%A9.mp3");
    }

    #[test]
    fn what_could_run_is_only_bytes() {
        for name in ["x.html", "x.svg", "x.pdf", "x.xml", "x.js", "x", "mp3", ""] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
        assert_eq!(media_type("x.html.MP3"), "audio/mpeg");
    }
}
