//! Files that others keep for this peer, and what it holds for others.

use std::sync::Arc;

use axum::extract::State;
use gannet_base::{ContentId, PeerId};
use gannet_node::api::{HeldFile, KeepRequest, KeptFile, Refused};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::App;
use super::super::extract::{Answered, JsonBody, Params, Reply, invalid};
use super::super::pages::PageParams;
use super::super::problem::Refusal;
use crate::Page;
use crate::client::Done;

/// Has others keep a file that the peer shares, so that it outlives it.
///
/// May take as long as hashing the file takes. Asked again, the new number of copies
/// and the new end count.
#[utoipa::path(
    post, path = "/api/v1/kept", tag = "kept", request_body = KeepRequest,
    responses((status = 200, description = "How it is kept so far.", body = KeptFile))
)]
pub(super) async fn keep(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<KeepRequest>,
) -> Reply<KeptFile> {
    Ok(Answered(app.peer.keep(request).await?))
}

/// A page of the files that others keep for the peer.
#[utoipa::path(
    get, path = "/api/v1/kept", tag = "kept", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<KeptFile>))
)]
pub(super) async fn kept(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<KeptFile>> {
    Ok(Answered(params.page(app.peer.kept().await?)?))
}

/// Which content.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContentParams {
    /// Its id.
    #[param(value_type = String)]
    content: ContentId,
}

/// Has others keep a file no more.
#[utoipa::path(
    delete, path = "/api/v1/kept", tag = "kept", params(ContentParams),
    responses((status = 200, description = "How it was kept.", body = KeptFile))
)]
pub(super) async fn unkeep(
    State(app): State<Arc<App>>,
    Params(params): Params<ContentParams>,
) -> Reply<KeptFile> {
    Ok(Answered(app.peer.unkeep(params.content).await?))
}

/// A page of the files of which the peer holds parts for others.
#[utoipa::path(
    get, path = "/api/v1/held", tag = "kept", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<HeldFile>))
)]
pub(super) async fn held(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<HeldFile>> {
    Ok(Answered(params.page(app.peer.held().await?)?))
}

/// A page of what the peer refuses to hold.
#[utoipa::path(
    get, path = "/api/v1/held/refused", tag = "kept", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<Refused>))
)]
pub(super) async fn refused(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<Refused>> {
    Ok(Answered(params.page(app.peer.refused().await?)?))
}

/// Holds a content, or anything of a peer, for nobody any more.
///
/// What is held of it is deleted.
#[utoipa::path(
    post, path = "/api/v1/held/refused", tag = "kept", request_body = Refused,
    responses((status = 200, description = "It is refused.", body = Done))
)]
pub(super) async fn refuse(
    State(app): State<Arc<App>>,
    JsonBody(what): JsonBody<Refused>,
) -> Reply<Done> {
    app.peer.refuse(what).await?;
    Ok(Answered(Done {}))
}

/// A refusal: one of the two.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RefusedParams {
    /// A content's id.
    #[param(value_type = Option<String>)]
    content: Option<ContentId>,
    /// A peer's id.
    #[param(value_type = Option<String>)]
    keeper: Option<PeerId>,
}

impl RefusedParams {
    fn refused(self) -> Result<Refused, Refusal> {
        match (self.content, self.keeper) {
            (Some(content), None) => Ok(Refused::Content { content }),
            (None, Some(keeper)) => Ok(Refused::Keeper { keeper }),
            _ => Err(invalid("name either a content or a keeper")),
        }
    }
}

/// Takes a refusal back.
#[utoipa::path(
    delete, path = "/api/v1/held/refused", tag = "kept", params(RefusedParams),
    responses((status = 200, description = "It is not refused.", body = Done))
)]
pub(super) async fn allow(
    State(app): State<Arc<App>>,
    Params(params): Params<RefusedParams>,
) -> Reply<Done> {
    app.peer.allow(params.refused()?).await?;
    Ok(Answered(Done {}))
}
