//! The bytes of contents, and what a browser may do with them.

use gannet_base::ContentId;
use gannet_web::{ApiServer, Limits};

use crate::fake::{Fake, TEXT};
use crate::http::{Reply, bare, honest, token};
use crate::samples::content;

async fn part(server: &ApiServer, line: &str, range: &str) -> Reply {
    let headers = [
        ("Host", server.address().to_string()),
        ("Authorization", format!("Bearer {}", token(server))),
        ("Range", range.to_owned()),
    ];
    bare(server, line, &headers, "").await
}

#[tokio::test]
async fn a_part_is_what_was_asked_for() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let line = format!("GET /api/v1/contents/{}", content());
    let whole = honest(&server, &line, "").await;
    assert_eq!((whole.status, whole.body.as_str()), (200, TEXT));
    assert!(whole.head.contains("accept-ranges: bytes"), "{whole:?}");
    let end = TEXT.len();
    for (range, from, to) in [
        ("bytes=0-", 0, end),
        ("bytes=5-9", 5, 10),
        ("bytes=-4", end - 4, end),
        ("bytes=7-7", 7, 8),
    ] {
        fake.calls();
        let reply = part(&server, &line, range).await;
        assert_eq!((reply.status, reply.body.as_str()), (206, &TEXT[from..to]));
        let said = format!("content-range: bytes {from}-{}/{end}", to - 1);
        assert!(reply.head.contains(&said), "{reply:?}");
        let length = format!("content-length: {}", to - from);
        assert!(reply.head.contains(&length), "{reply:?}");
        // Where it is read is where the download goes on.
        let calls = fake.calls();
        assert_eq!(calls.last(), Some(&format!("view {from}")), "{calls:?}");
    }
    let beyond = part(&server, &line, "bytes=1000-").await;
    assert_eq!((beyond.status, beyond.body.as_str()), (416, ""));
    let size = format!("content-range: bytes */{end}");
    assert!(beyond.head.contains(&size), "{beyond:?}");
    let unknown = format!("GET /api/v1/contents/{}", ContentId::of(b"other"));
    let unknown = honest(&server, &unknown, "").await.problem();
    assert_eq!(unknown.kind, "urn:gannet:problem:unknown-content");
    let line = "GET /api/v1/contents/..%2f..%2fetc%2fpasswd";
    assert_eq!(honest(&server, line, "").await.status, 400);
}

#[tokio::test]
async fn a_hostile_file_is_no_page() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let line = format!("GET /api/v1/contents/{}", content());
    for name in [
        "",
        "?name=x.html",
        "?name=x.svg",
        "?name=%0D%0AX-Evil:%201.html",
    ] {
        let reply = honest(&server, &format!("{line}{name}"), "").await;
        let head = reply.head.to_ascii_lowercase();
        for header in [
            "content-type: application/octet-stream",
            "content-disposition: attachment; filename*=utf-8''",
            "x-content-type-options: nosniff",
            "; sandbox",
        ] {
            assert!(head.contains(header), "{name}: {header}: {head}");
        }
        assert!(!head.contains("\nx-evil"), "{head}");
        assert!(!head.contains("script>"), "{head}");
    }
    let stranger = [("Host", server.address().to_string())];
    assert_eq!(bare(&server, &line, &stranger, "").await.status, 401);
}
