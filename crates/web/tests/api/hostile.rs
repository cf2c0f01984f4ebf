//! Three hundred hostile requests, no two alike, over real sockets. Each is wrong
//! in one way only and would be answered if that were right.

use std::collections::BTreeSet;

use gannet_web::{ApiServer, Limits};

use crate::fake::Fake;
use crate::guard::FOREIGN_HOSTS;
use crate::http::{exchange, parse, token};

/// Requests of each kind.
const EACH: usize = 50;

/// What is right, to be made wrong.
struct Honest {
    address: String,
    port: u16,
    token: String,
}

impl Honest {
    fn of(server: &ApiServer) -> Self {
        Self {
            address: server.address().to_string(),
            port: server.address().port(),
            token: token(server),
        }
    }

    /// A request with a right `Host` and token, and these headers.
    fn request(&self, line: &str, headers: &[String], body: &str) -> String {
        let own = format!("Host: {}\r\n{}", self.address, self.bearer());
        self.anyone(line, &own, headers, body)
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    fn anyone(&self, line: &str, own: &str, headers: &[String], body: &str) -> String {
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{own}");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request + "\r\n" + body
    }
}

fn hosts(honest: &Honest) -> Vec<String> {
    let line = "GET /api/v1/status";
    let (port, own) = (honest.port.to_string(), &honest.address);
    let named = |names: &[&str]| {
        let hosts = names.iter().map(|name| format!("Host: {name}\r\n"));
        let head = hosts.collect::<String>() + &honest.bearer();
        honest.anyone(line, &head, &[], "")
    };
    let foreign = FOREIGN_HOSTS.iter();
    let foreign = foreign.map(|host| named(&[&host.replace("PORT", &port)]));
    foreign
        .chain([
            named(&[]),
            named(&[own, own]),
            named(&["evil.example", own]),
            honest.request("GET http://evil.example/api/v1/status", &[], ""),
        ])
        .collect()
}

fn origins(honest: &Honest) -> Vec<String> {
    let (own, port) = (&honest.address, honest.port);
    let mut headers: Vec<String> = [
        "",
        "null",
        "*",
        "http://",
        "file://",
        "about:blank",
        "data:",
    ]
    .map(|origin| format!("Origin: {origin}"))
    .into();
    headers.extend(
        [
            format!("https://{own}"),
            format!("HTTP://{own}"),
            format!("ws://{own}"),
            format!("http://{own}/"),
            format!("http://{own}.evil.example"),
            format!("http://{own}@evil.example"),
            format!("http://evil.example/{own}"),
            format!("http://{own} http://evil.example"),
            format!("http://LOCALHOST:{port}"),
            format!("http://localhost.:{port}"),
            "http://localhost".to_owned(),
            "http://evil.example".to_owned(),
            format!("http://evil.example:{port}"),
            format!("http://127.0.0.1:{}", port ^ 1),
            format!("http://0.0.0.0:{port}"),
        ]
        .map(|origin| format!("Origin: {origin}")),
    );
    let sites = ["cross-site", "same-site", "Same-Origin"];
    headers.extend(sites.map(|site| format!("Sec-Fetch-Site: {site}")));
    let asked = headers.iter().flat_map(|header| {
        let json = "Content-Type: application/json".to_owned();
        let body = r#"{"path":"/tmp/x"}"#;
        [
            honest.request("POST /api/v1/shares", &[header.clone(), json], body),
            honest.request(
                "DELETE /api/v1/shares?path=/tmp/x",
                std::slice::from_ref(header),
                "",
            ),
        ]
    });
    asked.collect()
}

fn tokens(honest: &Honest) -> Vec<String> {
    let token = &honest.token;
    let host = format!("Host: {}\r\n", honest.address);
    let ask = |line: &str, header: String| honest.anyone(line, &host, &[header], "");
    let status = "GET /api/v1/status";
    let mut asked = Vec::new();
    for at in 0..24 {
        let wrong = if &token[at..=at] == "0" { "1" } else { "0" };
        let guess = format!("{}{wrong}{}", &token[..at], &token[at + 1..]);
        asked.push(ask(status, format!("Authorization: Bearer {guess}")));
    }
    for length in [0, 1, 8, 16, 31, token.len() - 1] {
        let part = &token[..length];
        asked.push(ask(status, format!("Authorization: Bearer {part}")));
    }
    for value in [
        format!("Bearer {token}0"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer:{token}"),
        format!("Bearer \"{token}\""),
        format!("Basic {token}"),
        format!("Digest {token}"),
        format!("Token {token}"),
        token.clone(),
        token.to_uppercase(),
    ] {
        asked.push(ask(status, format!("Authorization: {value}")));
    }
    for header in [
        "Proxy-Authorization: Bearer",
        "X-Authorization: Bearer",
        "X-Api-Key:",
        "X-Token:",
        "Cookie: token",
        "Cookie: gannet",
    ] {
        let between = if header.starts_with("Cookie") {
            "="
        } else {
            " "
        };
        asked.push(ask(status, format!("{header}{between}{token}")));
    }
    for query in ["token", "access_token", "key"] {
        let line = format!("{status}?{query}={token}");
        asked.push(ask(&line, "Accept: application/json".to_owned()));
    }
    asked
}

fn methods(honest: &Honest) -> Vec<String> {
    let mut asked = Vec::new();
    for path in [
        "downloads/1/cancel",
        "downloads/1/pause",
        "self-test",
        "session/link",
        "shutdown",
    ] {
        for method in [
            "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post",
            "POSTED",
        ] {
            let line = format!("{method} /api/v1/{path}?_method=POST");
            let instead = "X-HTTP-Method-Override: POST".to_owned();
            asked.push(honest.request(&line, &[instead], ""));
        }
    }
    asked
}

fn types(honest: &Honest) -> Vec<String> {
    let mut asked = Vec::new();
    for media_type in [
        "",
        "*/*",
        "application/*",
        "json",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/plain; application/json",
        "text/plain, application/json",
        "text/html",
        "text/json",
        "text/xml",
        "text/javascript",
        "application/javascript",
        "application/jsonp",
        "application/json5",
        "application/json, text/plain",
        "application/json/x",
        "application/ json",
        "application/ld+json",
        "application/problem+json",
        "application/xml",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "image/png",
    ] {
        for (line, body) in [
            ("POST /api/v1/shares", r#"{"path":"/tmp/x"}"#),
            ("POST /api/v1/searches", r#"{"query":"x"}"#),
        ] {
            let header = format!("Content-Type: {media_type}");
            asked.push(honest.request(line, &[header], body));
        }
    }
    asked
}

fn climbs(honest: &Honest) -> Vec<String> {
    let mut asked = Vec::new();
    for climb in [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "..%2f..",
        "..%5c..",
        "....//....",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
    ] {
        for (start, end) in [
            ("/", "etc/passwd"),
            ("/assets", "etc/passwd"),
            ("/assets", "api.json"),
            ("/api/v1/contents", "etc/passwd"),
            ("/api/v1/downloads", "api.json"),
        ] {
            asked.push(honest.request(&format!("GET {start}/{climb}/{end}"), &[], ""));
        }
    }
    asked
}

#[tokio::test]
async fn of_three_hundred_none_is_accepted() {
    let fake = Fake::new();
    let limits = Limits {
        // Guessing is slowed otherwise: that is another test.
        failures_per_minute: u32::MAX,
        ..Limits::default()
    };
    let server = fake.serve(limits).await;
    let honest = Honest::of(&server);
    let kinds: [(&str, Vec<String>, &[u16]); 6] = [
        ("host", hosts(&honest), &[400, 421]),
        ("origin", origins(&honest), &[403]),
        ("token", tokens(&honest), &[400, 401]),
        ("method", methods(&honest), &[404, 405]),
        ("content type", types(&honest), &[415]),
        ("traversal", climbs(&honest), &[400, 404]),
    ];
    let mut different = BTreeSet::new();
    for (kind, requests, refusals) in kinds {
        assert_eq!(requests.len(), EACH, "{kind}");
        for request in requests {
            let reply = parse(&exchange(server.address(), request.as_bytes()).await);
            assert!(refusals.contains(&reply.status), "{request} {reply:?}");
            assert!(!reply.body.contains(&honest.token), "{request} {reply:?}");
            assert!(!reply.body.contains("root:"), "{request} {reply:?}");
            assert_eq!(fake.calls(), Vec::<String>::new(), "{request}");
            different.insert(request);
        }
    }
    assert_eq!(different.len(), 6 * EACH);
    // What was made wrong is right without that.
    let json = "Content-Type: application/json".to_owned();
    for (line, headers, body) in [
        ("GET /api/v1/status", &[][..], ""),
        ("POST /api/v1/self-test", &[][..], ""),
        ("DELETE /api/v1/shares?path=/tmp/x", &[][..], ""),
        ("POST /api/v1/shares", &[json][..], r#"{"path":"/tmp/x"}"#),
    ] {
        let request = honest.request(line, headers, body);
        let reply = parse(&exchange(server.address(), request.as_bytes()).await);
        assert_eq!(reply.status, 200, "{line} {reply:?}");
        assert_eq!(fake.calls().len(), 1, "{line}");
    }
}
