//! Searches.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gannet_node::api::{SearchState, SearchUpdate};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::super::extract::{Answered, JsonBody, Number, Reply};
use super::super::problem::Refusal;
use super::super::{App, sse};
use crate::API_VERSION;
use crate::client::{SearchBody, SearchSummary, Started};

/// The searches that the peer still knows, the latest first.
///
/// Only the last few are kept.
#[utoipa::path(
    get, path = "/api/v1/searches", tag = "searches",
    responses((status = 200, description = "The searches.", body = [SearchSummary]))
)]
pub(super) async fn searches(State(app): State<Arc<App>>) -> Reply<Vec<SearchSummary>> {
    let latest = app.peer.search_state(None).await?;
    let mut ids = app.searches.recent();
    ids.extend(latest.map(|latest| latest.id));
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let mut summaries = Vec::new();
    for id in ids {
        // The node may have forgotten it since.
        if let Some(state) = app.peer.search_state(Some(id)).await? {
            summaries.push(SearchSummary {
                id,
                query: state.query,
                rows: state.rows.len(),
                ended: state.end.is_some(),
            });
        }
    }
    Ok(Answered(summaries))
}

/// Starts a search.
///
/// Asked for `text/event-stream`, it answers with the search's events as
/// `/api/v1/searches/{id}/events` does.
#[utoipa::path(
    post, path = "/api/v1/searches", tag = "searches", request_body = SearchBody,
    responses(
        (status = 200, description = "Its events.", body = SearchUpdate,
            content_type = "text/event-stream"),
        (status = 201, description = "It runs.", body = Started,
            headers(("location" = String, description = "Where its rows are"))),
    )
)]
pub(super) async fn search(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Response, Refusal> {
    let accept = headers.get(header::ACCEPT);
    let streamed = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    // Before the search: it must not run for nobody.
    let permit = streamed.then(|| sse::permit(&app)).transpose()?;
    let started = if body.aside {
        app.peer.search_aside(&body.query, body.limit)
    } else {
        app.peer.search(&body.query, body.limit)
    };
    let (id, updates) = started.await?;
    let feed = app.searches.start(&app.peer, id, updates);
    if let Some(permit) = permit {
        return Ok(sse::search(&app, feed, permit));
    }
    let location = format!("/api/v{API_VERSION}/searches/{id}");
    let location = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, location, Answered(Started { id })).into_response())
}

fn unknown_search() -> Refusal {
    let detail = "there is no such search, or it is forgotten: only the latest are kept";
    Refusal::new(StatusCode::NOT_FOUND, "unknown-search", detail)
}

/// The latest search as far as it has come.
#[utoipa::path(
    get, path = "/api/v1/searches/latest", tag = "searches",
    responses((status = 200, description = "Its rows, and its end if it has come.", body = SearchState))
)]
pub(super) async fn search_latest(State(app): State<Arc<App>>) -> Reply<SearchState> {
    let state = app.peer.search_state(None).await?;
    state.map(Answered).ok_or_else(unknown_search)
}

/// A search as far as it has come.
#[utoipa::path(
    get, path = "/api/v1/searches/{id}", tag = "searches",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "Its rows, and its end if it has come.", body = SearchState))
)]
pub(super) async fn search_state(
    State(app): State<Arc<App>>,
    Number(id): Number<u64>,
) -> Reply<SearchState> {
    let state = app.peer.search_state(Some(id)).await?;
    state.map(Answered).ok_or_else(unknown_search)
}

/// Follows a search.
///
/// First `started` with its number, then a `row` for each that is there, is new
/// or has changed, then `end`, and the stream is over.
#[utoipa::path(
    get, path = "/api/v1/searches/{id}/events", tag = "searches",
    params(("id" = u64, Path, description = "Its number.")),
    responses((
        status = 200, description = "Its events.", body = SearchUpdate,
        content_type = "text/event-stream"
    ))
)]
pub(super) async fn search_events(
    State(app): State<Arc<App>>,
    Number(id): Number<u64>,
) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    let feed = app.searches.open(&app.peer, id).await?;
    let feed = feed.ok_or_else(unknown_search)?;
    Ok(sse::search(&app, feed, permit))
}
