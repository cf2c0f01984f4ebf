//! The routes: each is one method of the node, and each carries its description.
//!
//! All are registered through [`OpenApiRouter`], which takes path and method out
//! of the description; a test holds the router against it.

#![allow(unused_qualifications, reason = "utoipa writes them")]

mod about;
mod assets;
mod contents;
mod events;
mod kept;
mod page;
mod peers;
mod searches;
mod session;
mod shares;
mod transfers;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::header::{self, HeaderValue};
use hyper::{StatusCode, Uri};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guard::Trusted;
use super::problem::Refusal;
use super::{App, openapi};

/// Where the metrics are.
pub(super) const METRICS: &str = "/metrics";

/// Where the page's files are; any name.
pub(super) const ASSETS: &str = "/assets/{name}";

/// The routes that need no token: nothing of the peer is to be seen there, and
/// nothing is done but exchanging a code for a cookie.
pub(super) const PUBLIC: [(&str, &str); 6] = [
    ("GET", "/"),
    ("GET", "/api/"),
    ("GET", ASSETS),
    ("GET", "/healthz"),
    ("GET", "/open"),
    ("POST", "/api/v1/session"),
];

/// Headers of every answer.
pub(super) const HEADERS: [(header::HeaderName, &str); 8] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    // A page widens it by what it needs.
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
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        header::HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// All routes with their descriptions.
pub(super) fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(about::health))
        .routes(routes!(about::metrics))
        .routes(routes!(about::about))
        .routes(routes!(about::description))
        .routes(routes!(about::status))
        .routes(routes!(about::shutdown))
        .routes(routes!(assets::index))
        .routes(routes!(assets::try_page))
        .routes(routes!(assets::asset))
        .routes(routes!(assets::open_page))
        .routes(routes!(session::session_begin, session::session_end))
        .routes(routes!(session::session_link))
        .routes(routes!(searches::searches, searches::search))
        .routes(routes!(searches::search_latest))
        .routes(routes!(searches::search_state))
        .routes(routes!(searches::search_events))
        .routes(routes!(transfers::downloads, transfers::download))
        .routes(routes!(transfers::download_events))
        .routes(routes!(transfers::download_state))
        .routes(routes!(transfers::pause))
        .routes(routes!(transfers::resume))
        .routes(routes!(transfers::cancel))
        .routes(routes!(transfers::uploads))
        .routes(routes!(peers::peers))
        .routes(routes!(peers::peer_events))
        .routes(routes!(peers::browse))
        .routes(routes!(
            shares::shares,
            shares::share_add,
            shares::share_remove
        ))
        .routes(routes!(shares::link))
        .routes(routes!(kept::keep, kept::kept, kept::unkeep))
        .routes(routes!(kept::held))
        .routes(routes!(kept::refuse, kept::refused, kept::allow))
        .routes(routes!(events::events))
        .routes(routes!(contents::content))
        .routes(routes!(page::settings, page::change_settings))
        .routes(routes!(page::self_test))
        .routes(routes!(page::ring))
        .routes(routes!(page::files))
        .routes(routes!(page::prioritise))
}

/// All routes behind the guard.
pub(super) fn router(app: Arc<App>) -> Router {
    let (routes, _) = described().split_for_parts();
    routes
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
    app.counts.answered(response.status());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        if name == header::CONTENT_SECURITY_POLICY {
            headers.entry(name).or_insert(value);
        } else {
            headers.insert(name, value);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(router: &Router<Arc<App>>) -> Vec<String> {
        let text = format!("{router:?}");
        let quoted = text.split('"').skip(1).step_by(2);
        let paths = quoted.filter(|text| text.starts_with('/'));
        paths.map(str::to_owned).collect()
    }

    /// The paths of a router, as it shows itself, in order.
    fn paths(router: &Router<Arc<App>>) -> Vec<String> {
        let mut paths = shown(router);
        // Every router shows two more for what is not there.
        for own in shown(&Router::new()) {
            let place = paths.iter().position(|path| *path == own);
            paths.swap_remove(place.unwrap());
        }
        paths.sort();
        paths
    }

    #[test]
    fn every_route_of_the_router_is_described() {
        let (router, document) = described().split_for_parts();
        let mut described: Vec<_> = document.paths.paths.keys().cloned().collect();
        described.sort();
        assert_eq!(paths(&router), described);
        let more = router.route("/undescribed", axum::routing::get(async || ""));
        assert!(
            paths(&more).contains(&"/undescribed".to_owned()),
            "the router tells all"
        );
    }
}
