//! Every route, and every error's answer.

use gannet_web::{ApiServer, Limits};

use crate::fake::Fake;
use crate::http::honest;
use crate::samples::peer_id;

#[tokio::test]
async fn every_method_of_the_node_has_a_route() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let browse = format!(
        "GET /api/v1/peers/browse?peer={}%40127.0.0.1%3A7&offset=3&limit=4",
        peer_id()
    );
    let routes = [
        ("GET /api/v1", "", ""),
        ("GET /api/v1/status", "", "status"),
        (
            "POST /api/v1/searches",
            r#"{"query":"x","limit":5}"#,
            "search x 5",
        ),
        ("POST /api/v1/searches", r#"{"query":"y"}"#, "search y 100"),
        (
            "POST /api/v1/searches",
            r#"{"query":"z","aside":true}"#,
            "aside",
        ),
        ("GET /api/v1/searches/1", "", "search_state Some(1)"),
        ("GET /api/v1/searches/latest", "", "search_state None"),
        ("GET /api/v1/searches", "", "search_state None"),
        (
            "POST /api/v1/downloads",
            r#"{"from":"link","link":"l"}"#,
            "download Link { link: \"l\" }",
        ),
        ("GET /api/v1/downloads", "", "downloads"),
        ("GET /api/v1/downloads/1", "", "downloads"),
        ("POST /api/v1/downloads/1/pause", "", "pause 1"),
        ("POST /api/v1/downloads/1/resume", "{}", "resume 1"),
        ("POST /api/v1/downloads/1/cancel", "", "cancel 1"),
        ("GET /api/v1/uploads", "", "uploads"),
        ("GET /api/v1/peers", "", "peers"),
        (&browse, "", "browse 1 3 4"),
        ("GET /api/v1/shares", "", "shares"),
        (
            "POST /api/v1/shares",
            r#"{"path":"/a"}"#,
            "share_add /a false",
        ),
        (
            "POST /api/v1/shares",
            r#"{"path":"/a","force":true}"#,
            "share_add /a true",
        ),
        (
            "DELETE /api/v1/shares?path=%2Fa%20b",
            "",
            "share_remove /a b",
        ),
        ("POST /api/v1/links", r#"{"path":"/f"}"#, "link /f"),
    ];
    each_calls(&fake, &server, &routes).await;
    // Streams and the shutdown have tests of their own.
}

#[tokio::test]
async fn what_the_page_asks_has_a_route() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let routes = [
        ("GET /api/v1/settings", "", "settings"),
        (
            "POST /api/v1/settings",
            r#"{"limit_up":5}"#,
            "change_settings SettingsChange { limit_up: Some(5), limit_down: None, upload_slots: \
             None, hubs: None }",
        ),
        ("POST /api/v1/self-test", "", "self_test"),
        ("GET /api/v1/ring", "", "ring_map"),
        ("GET /api/v1/files", "", "shared_files 0 100"),
        ("GET /api/v1/files?offset=3&limit=4", "", "shared_files 3 4"),
        (
            "POST /api/v1/downloads/1/priority",
            r#"{"priority":7}"#,
            "prioritise 7 1",
        ),
    ];
    each_calls(&fake, &server, &routes).await;
}

/// Each of these, a line and a body, is answered and has the peer called so.
async fn each_calls(fake: &Fake, server: &ApiServer, routes: &[(&str, &str, &str)]) {
    for &(line, body, call) in routes {
        let reply = honest(server, line, body).await;
        assert!([200, 201].contains(&reply.status), "{line}: {reply:?}");
        assert!(
            reply.head.contains("content-type: application/json"),
            "{line}"
        );
        let calls = fake.calls();
        assert!(
            call.is_empty() || calls.iter().any(|one| one == call),
            "{line}: {calls:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_list_is_what_was_asked_for() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    fake.have_downloads(1_500);
    for (query, first, count) in [
        ("", 1, 1_000),
        ("?limit=2", 1, 2),
        ("?offset=1499&limit=2", 1_500, 1),
        ("?offset=1500", 0, 0),
        ("?offset=9223372036854775807&limit=10000", 0, 0),
        ("?limit=10000", 1, 1_500),
    ] {
        let line = format!("GET /api/v1/downloads{query}");
        let page = honest(&server, &line, "").await;
        let page: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        let items = page["items"].as_array().unwrap();
        assert_eq!(
            (items.len(), &page["total"]),
            (count, &1_500.into()),
            "{query}"
        );
        let number = items
            .first()
            .map_or(0, |item| item["number"].as_u64().unwrap());
        assert_eq!(number, first, "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let big = format!(r#"{{"query":"{}"}}"#, "x".repeat(64 << 10));
    let cases = [
        ("GET /none", "", 404, "unknown-route"),
        ("GET /assets/none.js", "", 404, "unknown-asset"),
        ("GET /api/v1/contents/none", "", 400, "request"),
        ("GET /api/v1/files?limit=x", "", 400, "request"),
        (
            "POST /api/v1/settings",
            r#"{"upload_slots":101}"#,
            400,
            "range",
        ),
        ("POST /api/v1/settings", r#"{"limit":1}"#, 400, "request"),
        ("GET /api/v1/nothing", "", 404, "unknown-route"),
        ("GET /api/v2/status", "", 404, "unknown-route"),
        ("POST /api/v1/status", "", 405, "method"),
        ("GET /api/v1/downloads/1/pause", "", 405, "method"),
        ("GET /api/v1/shutdown", "", 405, "method"),
        ("OPTIONS /api/v1/shares", "", 405, "method"),
        ("GET /api/v1/downloads/x", "", 400, "request"),
        ("GET /api/v1/downloads/99999999999", "", 400, "request"),
        ("GET /api/v1/downloads/7", "", 404, "unknown-download"),
        ("POST /api/v1/downloads/-1/pause", "", 400, "request"),
        (
            "POST /api/v1/downloads/7/pause",
            "",
            404,
            "unknown-download",
        ),
        ("POST /api/v1/downloads/2/pause", "", 409, "download-over"),
        ("GET /api/v1/searches/7", "", 404, "unknown-search"),
        ("GET /api/v1/searches/latest", "", 404, "unknown-search"),
        ("GET /api/v1/searches/7/events", "", 404, "unknown-search"),
        ("POST /api/v1/searches", r#"{"query":"-x"}"#, 400, "query"),
        ("POST /api/v1/searches", r#"{"qeury":"x"}"#, 400, "request"),
        ("POST /api/v1/searches", "", 400, "request"),
        ("POST /api/v1/searches", "{", 400, "request"),
        ("POST /api/v1/searches", &big, 413, "body-too-large"),
        (
            "POST /api/v1/downloads",
            r#"{"from":"row","number":1,"search":null}"#,
            404,
            "unknown-search",
        ),
        ("GET /api/v1/peers/browse?peer=nobody", "", 400, "request"),
        ("GET /api/v1/peers/browse", "", 400, "request"),
        (
            "POST /api/v1/shares",
            r#"{"path":"relative"}"#,
            400,
            "request",
        ),
        ("POST /api/v1/links", r#"{"path":"../x"}"#, 400, "request"),
        ("DELETE /api/v1/shares?path=x", "", 400, "request"),
        ("DELETE /api/v1/shares?path=/unknown", "", 404, "not-shared"),
        ("GET /api/v1/shares", "{}", 400, "request"),
        ("GET /api/v1/shares?limit=0", "", 400, "request"),
        ("GET /api/v1/shares?limit=10001", "", 400, "request"),
        ("GET /api/v1/peers?offset=-1", "", 400, "request"),
        ("GET /api/v1/peers?page=1", "", 400, "request"),
    ];
    for (line, body, status, kind) in cases {
        let reply = honest(&server, line, body).await;
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        let problem = reply.problem();
        assert_eq!(problem.kind, format!("urn:gannet:problem:{kind}"), "{line}");
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
    }
}
