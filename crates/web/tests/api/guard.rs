//! Whom the API refuses.

use gannet_web::Limits;

use crate::fake::Fake;
use crate::http::{bare, exchange, honest, parse, token};

/// Every other way to name this machine or to pretend to: none is let in.
pub(crate) const FOREIGN_HOSTS: [&str; 46] = [
    "",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "localhost:",
    "localhost:80",
    "localhost:PORT0",
    "localhost:0PORT",
    "localhost:+PORT",
    "localhost: PORT",
    "localhost :PORT",
    "localhost:PORT:PORT",
    "localhost.:PORT",
    "LOCALHOST:PORT",
    "Localhost:PORT",
    "ſocalhost:PORT",
    "127.0.0.1.:PORT",
    "127.0.0.1.evil.example:PORT",
    "localhost.evil.example:PORT",
    "evil.example",
    "evil.example:PORT",
    "evil.example:80",
    "user@localhost:PORT",
    "user:password@127.0.0.1:PORT",
    "127.0.0.1:PORT@evil.example",
    "[::1%lo]:PORT",
    "[::1%25lo]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "::1:PORT",
    "[::]:PORT",
    "0.0.0.0:PORT",
    "127.0.0.2:PORT",
    "127.1:PORT",
    "127.0.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "017700000001:PORT",
    "127.0.0.1:PORT/",
    "127.0.0.1:PORT?",
    "127.0.0.1:PORT#",
    "http://127.0.0.1:PORT",
    "127.0.0.1:PORT,evil.example",
    "evil.example,127.0.0.1:PORT",
    "*",
    "null",
];

#[tokio::test]
async fn only_its_own_names_are_answered() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let port = server.address().port().to_string();
    let bearer = format!("Bearer {}", token(&server));
    let ask = async |line: &str, hosts: &[&str]| {
        let mut headers = vec![("Authorization", bearer.clone())];
        headers.extend(
            hosts
                .iter()
                .map(|host| ("Host", host.replace("PORT", &port))),
        );
        bare(&server, line, &headers, "").await
    };
    let mut refused = 0;
    for host in FOREIGN_HOSTS {
        for line in ["GET /api/v1/status", "GET /healthz"] {
            let reply = ask(line, &[host]).await;
            assert_eq!(reply.status, 421, "{host}: {reply:?}");
            assert_eq!(reply.problem().title, "Misdirected Request");
            refused += 1;
        }
    }
    let own = "127.0.0.1:PORT";
    for (line, hosts, status) in [
        ("GET /healthz", &[][..], 400),
        ("GET /healthz", &[own, own][..], 400),
        ("GET /healthz", &[own, "evil.example"][..], 400),
        ("GET http://evil.example/healthz", &[own][..], 421),
        (
            "GET http://evil.example/healthz",
            &["evil.example"][..],
            421,
        ),
    ] {
        assert_eq!(ask(line, hosts).await.status, status, "{line} {hosts:?}");
        refused += 1;
    }
    assert_eq!(refused, 2 * 46 + 5);
    assert_eq!(fake.calls(), Vec::<String>::new());

    for host in [
        "127.0.0.1:PORT",
        "localhost:PORT",
        "[::1]:PORT",
        "  localhost:PORT  ",
    ] {
        assert_eq!(
            ask("GET /api/v1/status", &[host]).await.status,
            200,
            "{host}"
        );
    }
    let absolute = format!("GET http://localhost:{port}/healthz");
    assert_eq!(ask(&absolute, &[own]).await.status, 200);
}

// What is asked for, and whether each value of each header is right.
const LINES: [(&str, &str); 4] = [
    ("POST /api/v1/searches", r#"{"query":"x"}"#),
    ("POST /api/v1/shares", r#"{"path":"/tmp/x"}"#),
    ("POST /api/v1/downloads/1/cancel", ""),
    ("DELETE /api/v1/shares?path=/tmp/x", ""),
];
const TYPES: [(Option<&str>, bool); 8] = [
    (None, false),
    (Some("application/json"), true),
    (Some("application/json; charset=utf-8"), true),
    (Some("text/plain"), false),
    (Some("application/x-www-form-urlencoded"), false),
    (Some("multipart/form-data"), false),
    (Some("text/plain; application/json"), false),
    (Some("application/jsonp"), false),
];
const SITES: [(Option<&str>, bool); 5] = [
    (None, true),
    (Some("same-origin"), true),
    (Some("none"), true),
    (Some("same-site"), false),
    (Some("cross-site"), false),
];

/// Method × content type × origin × site × token: let in if nothing is wrong.
#[tokio::test]
async fn a_page_of_another_site_gets_nothing_done() {
    let fake = Fake::new();
    let limits = Limits {
        failures_per_minute: u32::MAX,
        ..Limits::default()
    };
    let server = fake.serve(limits).await;
    let own = server.address().to_string();
    let (port, token) = (server.address().port(), token(&server));
    let origins = [
        (None, true),
        (Some(format!("http://{own}")), true),
        (Some(format!("http://localhost:{port}")), true),
        (Some(format!("https://{own}")), false),
        (Some("http://evil.example".to_owned()), false),
        (Some(format!("http://{own}.evil.example")), false),
        (Some("null".to_owned()), false),
        (Some(String::new()), false),
        (Some(format!("http://127.0.0.1:{}", port ^ 1)), false),
    ];
    let tokens = [
        (Some(format!("Bearer {token}")), true),
        (Some(format!("Bearer {}", token.to_uppercase())), false),
        (None, false),
    ];
    let (mut asked, mut let_in) = (0, 0);
    for (line, body) in LINES {
        for (media_type, type_right) in TYPES {
            for (origin, origin_right) in &origins {
                for (site, site_right) in SITES {
                    for (bearer, token_right) in &tokens {
                        let all = [
                            ("Host", Some(own.clone())),
                            ("Content-Type", media_type.map(str::to_owned)),
                            ("Origin", origin.clone()),
                            ("Sec-Fetch-Site", site.map(str::to_owned)),
                            ("Authorization", bearer.clone()),
                        ];
                        let headers: Vec<_> = all
                            .into_iter()
                            .filter_map(|(name, value)| Some((name, value?)))
                            .collect();
                        let reply = bare(&server, line, &headers, body).await;
                        let no_type = media_type.is_none() && body.is_empty();
                        let expected = match () {
                            () if !origin_right || !site_right => 403,
                            () if !token_right => 401,
                            () if !type_right && !no_type => 415,
                            () if line == "POST /api/v1/searches" => 201,
                            () => 200,
                        };
                        assert_eq!(reply.status, expected, "{line} {headers:?}");
                        let calls = fake.calls();
                        assert_eq!(calls.is_empty(), expected > 299, "{line} {headers:?}");
                        asked += 1;
                        let_in += u32::from(expected < 299);
                    }
                }
            }
        }
    }
    assert_eq!(
        (asked, let_in),
        (4 * 8 * 9 * 5 * 3, (2 * 2 + 2 * 3) * 3 * 3)
    );
}

#[tokio::test]
async fn only_the_token_opens() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let token = token(&server);
    let host = ("Host", server.address().to_string());
    let ask = async |line: &str, authorization: Option<String>| {
        let mut headers = vec![host.clone()];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        bare(&server, line, &headers, "").await
    };
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer {}", &token[1..]),
        format!("Bearer {token}0"),
        format!("Bearer  {token}"),
        format!("Bearer é{token}"),
    ];
    for authorization in wrong {
        let reply = ask("GET /api/v1/status", Some(authorization.clone())).await;
        assert_eq!(reply.status, 401, "{authorization}");
        assert!(reply.head.contains("www-authenticate: Bearer"));
        assert!(!reply.body.contains(&token));
    }
    // No token in the address, and unknown routes tell strangers nothing.
    for line in [
        "/api/v1/status?token=TOKEN",
        "/none",
        "/assets",
        "/assets/",
        "/assets/app.js/x",
        "/api",
        "/api/v1/none",
        "/%68ealthz",
    ] {
        let line = format!("GET {}", line.replace("TOKEN", &token));
        assert_eq!(ask(&line, None).await.status, 401, "{line}");
    }
    assert_eq!(fake.calls(), Vec::<String>::new());
    let health = ask("GET /healthz", None).await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    assert_eq!(
        ask("GET /api/v1/status", Some(format!("bearer {token}")))
            .await
            .status,
        200
    );
}

/// No route reads a file, so there is nowhere to climb to; and what is shared is
/// judged by the node, which gets a path as it was written or not at all.
#[tokio::test]
async fn paths_that_climb_lead_nowhere() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let mut refused = 0;
    for climb in [
        "..",
        "../..",
        "%2e%2e",
        "..%2f..",
        "%2e%2e%2f%2e%2e",
        "..%5c..",
        "....//....",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
        ";/..",
        ".",
    ] {
        for start in [
            "/",
            "/open/",
            "/assets/",
            "/api/v1/contents/",
            "/api/v1/",
            "/api/v1/downloads/",
        ] {
            for end in ["/etc/passwd", "/api.json"] {
                let line = format!("GET {start}{climb}{end}");
                let reply = honest(&server, &line, "").await;
                assert!([400, 404].contains(&reply.status), "{line}: {reply:?}");
                assert!(!reply.body.contains("root:"), "{line}");
                assert!(!reply.body.contains(&token(&server)), "{line}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 12 * 6 * 2);
    assert_eq!(fake.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn guessing_is_slowed_and_locks_nobody_out() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let headers = [
        ("Host", server.address().to_string()),
        ("Authorization", "Bearer guess".to_owned()),
    ];
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(
            bare(&server, "GET /api/v1/status", &headers, "")
                .await
                .status,
        );
    }
    let slowed = statuses.iter().filter(|&&status| status == 429).count();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)));
    assert_eq!(slowed, 2, "{statuses:?}");
    assert_eq!(honest(&server, "GET /api/v1/status", "").await.status, 200);
}

#[tokio::test]
async fn where_a_request_ends_is_never_in_doubt() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let head = format!(
        "POST /api/v1/downloads/1/pause HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n",
        server.address(),
        token(&server)
    );
    let smuggled = "GET /api/v1/peers HTTP/1.1\r\n\r\n";
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ] {
        let request = format!("{head}{framing}\r\n0\r\n\r\n{smuggled}");
        let answer = exchange(server.address(), request.as_bytes()).await;
        let answers = String::from_utf8_lossy(&answer)
            .matches("HTTP/1.1 ")
            .count();
        assert_eq!((parse(&answer).status, answers), (400, 1), "{framing}");
    }
    let http2 = exchange(server.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(http2.is_empty() || parse(&http2).status >= 400);
    assert_eq!(fake.calls(), Vec::<String>::new());
}
