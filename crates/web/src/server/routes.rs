//! The routes: each is one method of the node.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gannet_base::PeerAddress;
use gannet_node::api::{
    BrowsePage, DownloadInfo, DownloadRequest, LinkInfo, PeerInfo, SearchState, ShareInfo, Status,
    UploadInfo,
};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{StatusCode, Uri};
use serde::Deserialize;

use super::extract::{Answered, JsonBody, Number, Params, Reply, absolute};
use super::guard::Trusted;
use super::problem::Refusal;
use super::{App, sse};
use crate::API_VERSION;
use crate::client::{About, PathBody, SearchBody, SearchSummary, Started};

/// The route that needs no token.
pub(super) const HEALTH: &str = "/healthz";

/// Headers of every answer.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// All routes behind the guard.
pub(super) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/", get(about))
        .route("/status", get(status))
        .route("/searches", get(searches).post(search))
        .route("/searches/latest", get(search_latest))
        .route("/searches/{id}", get(search_state))
        .route("/searches/{id}/events", get(search_events))
        .route("/downloads", get(downloads).post(download))
        .route("/downloads/{number}", get(download_state))
        .route("/downloads/{number}/pause", post(pause))
        .route("/downloads/{number}/resume", post(resume))
        .route("/downloads/{number}/cancel", post(cancel))
        .route("/uploads", get(uploads))
        .route("/peers", get(peers))
        .route("/peers/browse", get(browse))
        .route("/shares", get(shares).post(share_add).delete(share_remove))
        .route("/links", post(link))
        .route("/events", get(events))
        .route("/shutdown", post(shutdown));
    Router::new()
        .route(HEALTH, get(async || "ok"))
        .nest(&format!("/api/v{API_VERSION}"), api)
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let stranger = Arc::default();
    let trusted = parts.extensions.get::<Arc<Trusted>>().unwrap_or(&stranger);
    let mut response = match app.guard.check(&parts, trusted) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            tracing::debug!(status = %refusal.status, "an API request was refused");
            refusal.into_response()
        }
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn unknown_route(uri: Uri) -> Refusal {
    let detail = format!("there is no route {}", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, "unknown-route", detail)
}

async fn unknown_method() -> Refusal {
    let detail = "this route does not take this method";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
}

async fn about(State(app): State<Arc<App>>) -> Answered<About> {
    Answered(About {
        version: API_VERSION,
        agent: concat!("gannet/", env!("CARGO_PKG_VERSION")).to_owned(),
        peer: app.peer.peer_id().to_string(),
        pid: std::process::id(),
    })
}

async fn status(State(app): State<Arc<App>>) -> Reply<Status> {
    Ok(Answered(app.peer.status().await?))
}

async fn searches(State(app): State<Arc<App>>) -> Reply<Vec<SearchSummary>> {
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

async fn search(
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
    let (id, updates) = app.peer.search(&body.query, body.limit).await?;
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

async fn search_latest(State(app): State<Arc<App>>) -> Reply<SearchState> {
    let state = app.peer.search_state(None).await?;
    state.map(Answered).ok_or_else(unknown_search)
}

async fn search_state(State(app): State<Arc<App>>, Number(id): Number<u64>) -> Reply<SearchState> {
    let state = app.peer.search_state(Some(id)).await?;
    state.map(Answered).ok_or_else(unknown_search)
}

async fn search_events(
    State(app): State<Arc<App>>,
    Number(id): Number<u64>,
) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    let feed = app.searches.open(&app.peer, id).await?;
    let feed = feed.ok_or_else(unknown_search)?;
    Ok(sse::search(&app, feed, permit))
}

async fn download(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<DownloadRequest>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.download(request).await?))
}

async fn downloads(State(app): State<Arc<App>>) -> Reply<Vec<DownloadInfo>> {
    Ok(Answered(app.peer.downloads().await?))
}

async fn download_state(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
) -> Reply<DownloadInfo> {
    let downloads = app.peer.downloads().await?;
    let found = downloads.into_iter().find(|one| one.number == number);
    let unknown = gannet_node::DownloadError::UnknownDownload { number };
    found.map(Answered).ok_or_else(|| unknown.into())
}

async fn pause(State(app): State<Arc<App>>, Number(number): Number<u32>) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.pause(number).await?))
}

async fn resume(State(app): State<Arc<App>>, Number(number): Number<u32>) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.resume(number).await?))
}

async fn cancel(State(app): State<Arc<App>>, Number(number): Number<u32>) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.cancel(number).await?))
}

async fn uploads(State(app): State<Arc<App>>) -> Reply<Vec<UploadInfo>> {
    Ok(Answered(app.peer.uploads().await?))
}

async fn peers(State(app): State<Arc<App>>) -> Reply<Vec<PeerInfo>> {
    Ok(Answered(app.peer.peers().await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowseParams {
    peer: PeerAddress,
    #[serde(default)]
    offset: u64,
    #[serde(default = "BrowseParams::limit")]
    limit: u32,
}

impl BrowseParams {
    // Guess: some screens full.
    fn limit() -> u32 {
        100
    }
}

async fn browse(
    State(app): State<Arc<App>>,
    Params(params): Params<BrowseParams>,
) -> Reply<BrowsePage> {
    let page = app.peer.browse(&params.peer, params.offset, params.limit);
    Ok(Answered(page.await?))
}

async fn shares(State(app): State<Arc<App>>) -> Reply<Vec<ShareInfo>> {
    Ok(Answered(app.peer.shares().await?))
}

async fn share_add(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<PathBody>,
) -> Reply<ShareInfo> {
    let path = absolute(body.path)?;
    Ok(Answered(app.peer.share_add(path, body.force).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareParams {
    path: PathBuf,
}

async fn share_remove(
    State(app): State<Arc<App>>,
    Params(params): Params<ShareParams>,
) -> Reply<ShareInfo> {
    let path = absolute(params.path)?;
    Ok(Answered(app.peer.share_remove(path).await?))
}

async fn link(State(app): State<Arc<App>>, JsonBody(body): JsonBody<PathBody>) -> Reply<LinkInfo> {
    Ok(Answered(app.peer.link(absolute(body.path)?).await?))
}

async fn events(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    Ok(sse::events(&app, app.peer.events(), permit))
}

/// Answers when the peer has stopped. It goes on if the caller does not wait.
async fn shutdown(State(app): State<Arc<App>>) -> Answered<serde_json::Value> {
    let stopping = Arc::clone(&app);
    let stopped = tokio::spawn(async move {
        stopping.peer.shutdown().await;
        // Before the answer, so that who has it may start another peer at once.
        stopping.file.remove(stopping.peer.data_dir());
        stopping.closing.cancel();
    });
    // A panic in it is logged by the runtime and says that it has stopped too.
    let _ = stopped.await;
    Answered(serde_json::json!({}))
}
