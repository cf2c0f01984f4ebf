//! What the peer is, how it is, and its end.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gannet_node::api::Status;
use hyper::header;

use super::super::App;
use super::super::extract::{Answered, Reply};
use super::super::metrics;
use super::super::problem::Refusal;
use crate::API_VERSION;
use crate::client::{About, Done};

/// Whether the API answers.
///
/// Needs no token and says nothing of the peer.
#[utoipa::path(
    get, path = "/healthz", tag = "peer", security(()),
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
pub(super) async fn health() -> &'static str {
    "ok"
}

/// Figures for Prometheus.
///
/// Takes the token in `metrics.token` as well, which opens nothing else.
#[utoipa::path(
    get, path = "/metrics", tag = "peer",
    responses((
        status = 200, description = "The text format of Prometheus.", body = String,
        content_type = "text/plain"
    ))
)]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let downloads = app.peer.downloads().await?;
    let kept = app.peer.kept().await?;
    let text = metrics::text(&app, &app.peer.status().await?, &downloads, &kept);
    let media_type = [(header::CONTENT_TYPE, metrics::MEDIA_TYPE)];
    Ok((media_type, text).into_response())
}

/// Which version of the API this is, and whose.
#[utoipa::path(
    get, path = "/api/v1", tag = "peer",
    responses((status = 200, description = "Version and peer.", body = About))
)]
pub(super) async fn about(State(app): State<Arc<App>>) -> Answered<About> {
    Answered(About {
        version: API_VERSION,
        agent: concat!("gannet/", env!("CARGO_PKG_VERSION")).to_owned(),
        peer: app.peer.peer_id().to_string(),
        pid: std::process::id(),
    })
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "peer",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value))
)]
pub(super) async fn description() -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    (media_type, crate::openapi_json()).into_response()
}

/// How the peer is.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "peer",
    responses((status = 200, description = "All that it says of itself.", body = Status))
)]
pub(super) async fn status(State(app): State<Arc<App>>) -> Reply<Status> {
    Ok(Answered(app.peer.status().await?))
}

/// Stops the peer in good order.
///
/// Answers when it has stopped. It goes on if the caller does not wait.
#[utoipa::path(
    post, path = "/api/v1/shutdown", tag = "peer",
    responses((status = 200, description = "It has stopped.", body = Done))
)]
pub(super) async fn shutdown(State(app): State<Arc<App>>) -> Answered<Done> {
    let stopping = Arc::clone(&app);
    let stopped = tokio::spawn(async move {
        stopping.peer.shutdown().await;
        // Before the answer, so that who has it may start another peer at once.
        stopping.file.remove(stopping.peer.data_dir());
        stopping.closing.cancel();
    });
    // A panic in it is logged by the runtime and says that it has stopped too.
    let _ = stopped.await;
    Answered(Done {})
}
