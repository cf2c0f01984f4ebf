//! What the peer shares.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use gannet_node::api::{LinkInfo, ShareInfo};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::App;
use super::super::extract::{Answered, JsonBody, Params, Reply, absolute};
use super::super::pages::PageParams;
use crate::Page;
use crate::client::PathBody;

/// A page of the shared folders.
#[utoipa::path(
    get, path = "/api/v1/shares", tag = "shares", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<ShareInfo>))
)]
pub(super) async fn shares(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<ShareInfo>> {
    Ok(Answered(params.page(app.peer.shares().await?)?))
}

/// Shares a folder from now on.
#[utoipa::path(
    post, path = "/api/v1/shares", tag = "shares", request_body = PathBody,
    responses((status = 200, description = "The folder.", body = ShareInfo))
)]
pub(super) async fn share_add(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<PathBody>,
) -> Reply<ShareInfo> {
    let path = absolute(body.path)?;
    Ok(Answered(app.peer.share_add(path, body.force).await?))
}

/// Which folder.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShareParams {
    /// Its absolute path.
    #[param(value_type = String)]
    path: PathBuf,
}

/// Shares a folder no more.
#[utoipa::path(
    delete, path = "/api/v1/shares", tag = "shares", params(ShareParams),
    responses((status = 200, description = "What was shared.", body = ShareInfo))
)]
pub(super) async fn share_remove(
    State(app): State<Arc<App>>,
    Params(params): Params<ShareParams>,
) -> Reply<ShareInfo> {
    let path = absolute(params.path)?;
    Ok(Answered(app.peer.share_remove(path).await?))
}

/// Makes a link to a file.
///
/// May take as long as hashing the file takes.
#[utoipa::path(
    post, path = "/api/v1/links", tag = "shares", request_body = PathBody,
    responses((status = 200, description = "The link.", body = LinkInfo))
)]
pub(super) async fn link(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody<PathBody>,
) -> Reply<LinkInfo> {
    Ok(Answered(app.peer.link(absolute(body.path)?).await?))
}
