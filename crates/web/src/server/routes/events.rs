//! What happens at the peer.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gannet_node::api::NodeEvent;

use super::super::problem::Refusal;
use super::super::{App, sse};

/// Follows what happens at the peer from now on.
///
/// An `event` for each; `missed` with a number if the reader was too slow for
/// some.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "peer",
    responses((
        status = 200, description = "The events.", body = NodeEvent,
        content_type = "text/event-stream"
    ))
)]
pub(super) async fn events(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let permit = sse::permit(&app)?;
    Ok(sse::events(&app, app.peer.events(), permit))
}
