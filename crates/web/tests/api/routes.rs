//! Every route, and every error's answer.

use gannet_web::Limits;

use crate::fake::{Fake, peer_id};
use crate::http::{bare, honest};

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
    for (line, body, call) in routes {
        let reply = honest(&server, line, body).await;
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
    // Streams and the shutdown have tests of their own.
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let big = format!(r#"{{"query":"{}"}}"#, "x".repeat(64 << 10));
    let cases = [
        ("GET /", "", 404, "unknown-route"),
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
    ];
    for (line, body, status, kind) in cases {
        let reply = honest(&server, line, body).await;
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        let problem = reply.problem();
        assert_eq!(problem.kind, format!("urn:gannet:problem:{kind}"), "{line}");
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_tame_browsers() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let host = server.address().to_string();
    let mut replies = Vec::new();
    for line in [
        "GET /healthz",
        "GET /api/v1/status",
        "GET /nothing",
        "PUT /api/v1/shares",
    ] {
        replies.push(honest(&server, line, "").await);
        replies.push(bare(&server, line, &[("Host", host.clone())], "").await);
        replies.push(bare(&server, line, &[("Host", "evil.example".to_owned())], "").await);
    }
    assert_eq!(replies.len(), 12);
    for reply in replies {
        for header in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
        ] {
            assert!(reply.head.contains(header), "{header}: {reply:?}");
        }
        assert!(!reply.head.contains("access-control-"), "{reply:?}");
    }
}
