//! Other peers.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gannet_base::PeerAddress;
use gannet_node::api::{BrowsePage, PeerInfo};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::changes::{self, PEERS_INTERVAL};
use super::super::extract::{Answered, Params, Reply};
use super::super::pages::PageParams;
use super::super::problem::Refusal;
use super::super::{App, sse};
use crate::Page;

/// A page of who is connected.
#[utoipa::path(
    get, path = "/api/v1/peers", tag = "peers", params(PageParams),
    responses((status = 200, description = "The page.", body = Page<PeerInfo>))
)]
pub(super) async fn peers(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
) -> Reply<Page<PeerInfo>> {
    Ok(Answered(params.page(app.peer.peers().await?)?))
}

/// Follows who is connected.
///
/// An `item` for each that is there, then one `listed`; later an `item` for each
/// that is new or has changed, and a `gone` for each that is no more.
#[utoipa::path(
    get, path = "/api/v1/peers/events", tag = "peers",
    responses((
        status = 200, description = "Their events.", body = PeerInfo,
        content_type = "text/event-stream"
    ))
)]
pub(super) async fn peer_events(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    let list = async |app: Arc<App>| app.peer.peers().await;
    let key = |peer: &PeerInfo| peer.peer;
    // Connections come and go without an event; what peers are to each other can wait.
    let shows = |_: &_| false;
    Ok(changes::follow(
        &app,
        permit,
        PEERS_INTERVAL,
        shows,
        list,
        key,
    ))
}

/// Whose shares, and which part of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BrowseParams {
    /// Whose: an id, or an id, `@` and addresses.
    #[param(value_type = String)]
    peer: PeerAddress,
    /// The first entry, from 0.
    #[serde(default, deserialize_with = "crate::server::pages::offset")]
    #[param(default = 0)]
    offset: u64,
    /// Most entries.
    #[serde(default = "BrowseParams::limit")]
    #[param(default = 100)]
    limit: u32,
}

impl BrowseParams {
    // Guess: some screens full.
    fn limit() -> u32 {
        100
    }
}

/// A page of what another peer shares.
#[utoipa::path(
    get, path = "/api/v1/peers/browse", tag = "peers", params(BrowseParams),
    responses((status = 200, description = "The page.", body = BrowsePage))
)]
pub(super) async fn browse(
    State(app): State<Arc<App>>,
    Params(params): Params<BrowseParams>,
) -> Reply<BrowsePage> {
    let page = app.peer.browse(&params.peer, params.offset, params.limit);
    Ok(Answered(page.await?))
}
