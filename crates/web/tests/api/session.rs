//! Browsers: the link, the cookie, and what they may not do.

use gannet_web::{ApiServer, Limits};

use crate::fake::Fake;
use crate::http::{Reply, bare, token};

/// A browser: keeps what it gets and says where it stands.
struct Browser<'a> {
    server: &'a ApiServer,
    cookie: String,
}

impl Browser<'_> {
    async fn send(&self, line: &str, more: &[(&str, &str)], body: &str) -> Reply {
        let mut headers = vec![("Host", self.server.address().to_string())];
        if !self.cookie.is_empty() {
            headers.push(("Cookie", format!("theme=dark; {}", self.cookie)));
        }
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        headers.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
        bare(self.server, line, &headers, body).await
    }

    /// Opens a link: the page, then what its script does.
    async fn open(&mut self, link: &str) -> Reply {
        let (page, code) = link.split_once('#').unwrap();
        let own = format!("http://{}", self.server.address());
        let path = page.strip_prefix(&own).unwrap();
        let none = [("Sec-Fetch-Site", "none")];
        let page = self.send(&format!("GET {path}"), &none, "").await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.head.contains("set-cookie"), "no GET lets anybody in");
        let body = format!(r#"{{"code":"{code}"}}"#);
        let same = [("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())];
        let reply = self.send("POST /api/v1/session", &same, &body).await;
        if let Some(cookie) = reply.head.split("set-cookie: ").nth(1) {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        reply
    }
}

fn browser(server: &ApiServer) -> Browser<'_> {
    Browser {
        server,
        cookie: String::new(),
    }
}

#[tokio::test]
async fn a_link_lets_one_browser_in() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let link = fake.client().await.browser_link().await.unwrap();
    let mut first = browser(&server);
    let reply = first.open(&link).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert!(
        reply.head.contains("; HttpOnly; SameSite=Strict; Path=/; "),
        "{reply:?}"
    );
    let token = token(&server);
    assert!(!reply.head.contains(&token) && !link.contains(&token));
    let status = first.send("GET /api/v1/status", &[], "").await;
    assert_eq!(status.status, 200, "{status:?}");

    let mut second = browser(&server);
    let reply = second.open(&link).await;
    assert_eq!(
        (reply.status, second.cookie.as_str()),
        (403, ""),
        "{reply:?}"
    );
    assert_eq!(reply.problem().kind, "urn:gannet:problem:code");
    assert_eq!(
        second.open(&server.browser_link().unwrap()).await.status,
        204
    );
    assert_ne!(first.cookie, second.cookie);

    let same = [("Sec-Fetch-Site", "same-origin")];
    let reply = first.send("DELETE /api/v1/session", &same, "").await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert!(reply.head.contains("Max-Age=0"), "{reply:?}");
    assert_eq!(first.send("GET /api/v1/status", &[], "").await.status, 401);
    assert_eq!(second.send("GET /api/v1/status", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_cookie_that_a_browser_sends_by_itself_changes_nothing() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let mut browser = browser(&server);
    browser.open(&server.browser_link().unwrap()).await;
    let own = format!("http://{}", server.address());
    let port = server.address().port();
    let neighbour = format!("http://127.0.0.1:{}", port ^ 1);
    let headers: [(&[(&str, &str)], u16); 7] = [
        (&[], 403),
        (&[("Sec-Fetch-Site", "none")], 403),
        (&[("Sec-Fetch-Site", "same-site")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("Origin", &neighbour)], 403),
        (&[("Sec-Fetch-Site", "same-origin")], 200),
        (&[("Origin", &own)], 200),
    ];
    let mut let_in = 0;
    for (headers, status) in headers {
        for line in [
            "POST /api/v1/downloads/1/cancel",
            "DELETE /api/v1/shares?path=/a",
        ] {
            fake.calls();
            let reply = browser.send(line, headers, "").await;
            assert_eq!(reply.status, status, "{line} {headers:?}: {reply:?}");
            assert_eq!(fake.calls().is_empty(), status != 200, "{line} {headers:?}");
            let_in += u32::from(status == 200);
        }
    }
    assert_eq!(let_in, 4);
    // Nor does it help somebody who has it wrong, or a token that is wrong.
    let wrong = [("Authorization", "Bearer 0")];
    assert_eq!(
        browser.send("GET /api/v1/status", &wrong, "").await.status,
        401
    );
    browser.cookie.pop();
    assert_eq!(
        browser.send("GET /api/v1/status", &[], "").await.status,
        401
    );
}

#[tokio::test]
async fn guessing_codes_is_slowed() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let browser = browser(&server);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let reply = browser
            .send("POST /api/v1/session", &[], r#"{"code":"0"}"#)
            .await;
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [[403; 10].as_slice(), &[429; 2]].concat());
    let mut late = self::browser(&server);
    let reply = late.open(&server.browser_link().unwrap()).await;
    assert_eq!(reply.status, 204, "the right one always works");
}

#[tokio::test]
async fn the_page_runs_no_inline_script() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    for path in ["/", "/open", "/api/"] {
        let page = browser(&server).send(&format!("GET {path}"), &[], "").await;
        let scripts = page.body.matches("<script").count();
        let own = page.body.matches("src=\"/assets/").count();
        assert!(scripts >= 2 && own >= scripts, "{path}: {page:?}");
        for inline in ["<style", " style=", " onload=", " onclick=", "javascript:"] {
            assert!(!page.body.contains(inline), "{path}: {inline}");
        }
    }
    let script = browser(&server).send("GET /assets/open.js", &[], "").await;
    assert!(
        script.head.contains("content-type: text/javascript"),
        "{script:?}"
    );
    assert!(
        script.body.contains("history.replaceState"),
        "the code leaves the address"
    );
    let gzip = [("Accept-Encoding", "br, gzip")];
    let small = browser(&server)
        .send("GET /assets/open.js", &gzip, "")
        .await;
    assert!(small.head.contains("content-encoding: gzip"), "{small:?}");
    assert!(!small.body.contains("history"), "{small:?}");
}
