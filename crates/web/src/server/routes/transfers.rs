//! Downloads and uploads.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gannet_node::DownloadError;
use gannet_node::api::{DownloadInfo, DownloadRequest, NodeEvent, UploadInfo};

use super::super::changes::{self, DOWNLOADS_INTERVAL};
use super::super::extract::{Answered, JsonBody, Number, Params, Reply};
use super::super::pages::PageParams;
use super::super::problem::Refusal;
use super::super::{App, sse};
use crate::Page;

/// Starts a download, or returns the one that runs already.
#[utoipa::path(
    post, path = "/api/v1/downloads", tag = "transfers", request_body = DownloadRequest,
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn download(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<DownloadRequest>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.download(request).await?))
}

/// A page of all downloads, by number.
#[utoipa::path(
    get, path = "/api/v1/downloads", tag = "transfers", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<DownloadInfo>))
)]
pub(super) async fn downloads(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<DownloadInfo>> {
    Ok(Answered(params.page(app.peer.downloads().await?)?))
}

/// Follows all downloads.
///
/// An `item` for each that is there, then one `listed`; later an `item` for each
/// that is new or has changed, and a `gone` for each that is no more.
#[utoipa::path(
    get, path = "/api/v1/downloads/events", tag = "transfers",
    responses((
        status = 200, description = "Their events.", body = DownloadInfo,
        content_type = "text/event-stream"
    ))
)]
pub(super) async fn download_events(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    let list = async |app: Arc<App>| app.peer.downloads().await;
    let key = |download: &DownloadInfo| download.number;
    let shows = |event: &NodeEvent| {
        matches!(
            event,
            NodeEvent::DownloadChanged { .. } | NodeEvent::DownloadComplete { .. }
        )
    };
    let interval = DOWNLOADS_INTERVAL;
    Ok(changes::follow(&app, permit, interval, shows, list, key))
}

/// One download.
#[utoipa::path(
    get, path = "/api/v1/downloads/{number}", tag = "transfers",
    params(("number" = u32, Path, description = "Its number.")),
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn download_state(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
) -> Reply<DownloadInfo> {
    let downloads = app.peer.downloads().await?;
    let found = downloads.into_iter().find(|one| one.number == number);
    let unknown = DownloadError::UnknownDownload { number };
    found.map(Answered).ok_or_else(|| unknown.into())
}

/// Pauses a download; it keeps what it has.
#[utoipa::path(
    post, path = "/api/v1/downloads/{number}/pause", tag = "transfers",
    params(("number" = u32, Path, description = "Its number.")),
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.pause(number).await?))
}

/// Lets a paused or failed download go on.
#[utoipa::path(
    post, path = "/api/v1/downloads/{number}/resume", tag = "transfers",
    params(("number" = u32, Path, description = "Its number.")),
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.resume(number).await?))
}

/// Gives a download up and deletes what it has.
#[utoipa::path(
    post, path = "/api/v1/downloads/{number}/cancel", tag = "transfers",
    params(("number" = u32, Path, description = "Its number.")),
    responses((status = 200, description = "The download.", body = DownloadInfo))
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Number(number): Number<u32>,
) -> Reply<DownloadInfo> {
    Ok(Answered(app.peer.cancel(number).await?))
}

/// A page of whom the peer serves, and who waits.
#[utoipa::path(
    get, path = "/api/v1/uploads", tag = "transfers", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<UploadInfo>))
)]
pub(super) async fn uploads(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<UploadInfo>> {
    Ok(Answered(params.page(app.peer.uploads().await?)?))
}
