//! What the page asks besides: settings, own files, the ring, a self-test.

use std::sync::Arc;

use axum::extract::State;
use gannet_node::api::{DownloadInfo, RingMap, SelfTest, Settings, SettingsChange, SharedFiles};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::App;
use super::super::extract::{Answered, JsonBody, Number, Params, Reply, invalid};

/// What may change while the peer runs.
#[utoipa::path(
    get, path = "/api/v1/settings", tag = "peer",
    responses((status = 200, description = "The settings.", body = Settings))
)]
pub(super) async fn settings(State(app): State<Arc<App>>) -> Reply<Settings> {
    Ok(Answered(app.peer.settings().await?))
}

/// Changes settings at once.
///
/// What is left out stays. They are kept over restarts, until the configuration
/// itself says something else.
#[utoipa::path(
    post, path = "/api/v1/settings", tag = "peer", request_body = SettingsChange,
    responses((status = 200, description = "The settings now.", body = Settings))
)]
pub(super) async fn change_settings(
    State(app): State<Arc<App>>,
    JsonBody(change): JsonBody<SettingsChange>,
) -> Reply<Settings> {
    Ok(Answered(app.peer.change_settings(change).await?))
}

/// Tests whether this peer is connected, can be reached and is found.
///
/// Takes as long as a search.
#[utoipa::path(
    post, path = "/api/v1/self-test", tag = "peer",
    responses((status = 200, description = "Questions with their answers.", body = SelfTest))
)]
pub(super) async fn self_test(State(app): State<Arc<App>>) -> Reply<SelfTest> {
    Ok(Answered(app.peer.self_test().await?))
}

/// Whom this peer points to on the ring.
#[utoipa::path(
    get, path = "/api/v1/ring", tag = "peers",
    responses((status = 200, description = "The pointers.", body = RingMap))
)]
pub(super) async fn ring(State(app): State<Arc<App>>) -> Reply<RingMap> {
    Ok(Answered(app.peer.ring_map().await?))
}

/// Most files in one answer.
// Guess: each takes below a kilobyte.
const FILES_MAX: u32 = 1_000;

/// Which of the own files.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FilesParams {
    /// The first file, from 0.
    #[serde(default, deserialize_with = "crate::server::pages::offset")]
    #[param(default = 0)]
    offset: u64,
    /// Most files.
    #[serde(default = "FilesParams::limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
}

impl FilesParams {
    // Guess: some screens full.
    fn limit() -> u32 {
        100
    }
}

/// What this peer shares, with links.
#[utoipa::path(
    get, path = "/api/v1/files", tag = "shares", params(FilesParams),
    responses((status = 200, description = "The files, in order of path.", body = SharedFiles))
)]
pub(super) async fn files(
    State(app): State<Arc<App>>,
    Params(params): Params<FilesParams>,
) -> Reply<SharedFiles> {
    if !(1..=FILES_MAX).contains(&params.limit) {
        return Err(invalid(format!("limit is from 1 to {FILES_MAX}")));
    }
    let files = app.peer.shared_files(params.offset, params.limit);
    Ok(Answered(files.await?))
}

/// Which priority.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorityBody {
    /// Higher before lower; 0 as a rule.
    priority: u8,
}

/// Moves a download before others.
///
/// It matters while more want to run than may.
#[utoipa::path(
    post, path = "/api/v1/downloads/{number}/priority", tag = "transfers",
    params(("number" = u32, Path, description = "Its number.")), request_body = PriorityBody,
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn prioritise(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
    JsonBody(body): JsonBody<PriorityBody>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.prioritise(number, body.priority).await?))
}
