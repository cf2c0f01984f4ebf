//! Slow, greedy and many callers.

use std::time::{Duration, Instant};

use gannet_node::api::ShareInfo;
use gannet_web::{ApiServer, ClientError, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::fake::{DEADLINE, Fake};
use crate::http::{exchange, honest, parse, token};

fn short() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        write_timeout: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// Sends `bytes` one by one until the server closes; says how long that took
/// and what it said.
async fn drip(server: &ApiServer, at_once: &str, bytes: &[u8]) -> (Duration, Vec<u8>) {
    let start = Instant::now();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(at_once.as_bytes()).await.unwrap();
    let slow = async {
        if bytes.is_empty() {
            return std::future::pending().await;
        }
        let mut pace = interval(Duration::from_millis(20));
        for byte in bytes.iter().cycle() {
            pace.tick().await;
            if writer.write_all(&[*byte]).await.is_err() {
                return std::future::pending().await;
            }
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        // An error is a reset: closed as well.
        _ = reader.read_to_end(&mut answer) => {}
        () = slow => {}
        () = tokio::time::sleep(DEADLINE) => panic!("the server holds on to a slow caller"), // tidy: allow(the deadline itself)
    }
    (start.elapsed(), answer)
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_cut_off() {
    let fake = Fake::new();
    let server = fake.serve(short()).await;
    let (elapsed, _) = drip(&server, "", b"GET /api/v1/status HTTP/1.1\r\nX-Slow: 1\r\n").await;
    assert!(elapsed >= short().header_timeout, "{elapsed:?}");
    let head = format!(
        "POST /api/v1/searches HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        server.address(),
        token(&server)
    );
    let (elapsed, answer) = drip(&server, &head, b"{").await;
    assert!(elapsed >= short().body_timeout, "{elapsed:?}");
    assert_eq!(parse(&answer).status, 408);
    assert_eq!(fake.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let fake = Fake::new();
    let server = fake.serve(short()).await;
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n",
        server.address()
    );
    // It asks for keep-alive, so that only the deadline closes it.
    let answer = exchange(server.address(), request.as_bytes()).await;
    assert_eq!(parse(&answer).status, 200);
    assert_eq!(exchange(server.address(), b"").await, b"");
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_cut_off() {
    let fake = Fake::new();
    let share = ShareInfo {
        path: "/p".into(),
        name: "x".repeat(3000),
        files: 0,
        bytes: 0,
        problem: None,
    };
    // More than the sockets' buffers take.
    fake.fill_shares(vec![share; 10_000]);
    let limits = Limits {
        close_timeout: 10 * DEADLINE,
        ..short()
    };
    let server = fake.serve(limits).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/shares?limit=10000 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        server.address(),
        token(&server)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // The answer has begun. Closing waits for it to end, which only the
    // deadline brings about.
    stream.readable().await.unwrap();
    timeout(DEADLINE, server.close())
        .await
        .expect("the answer is given up");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() < 30_000_000, "{}", answer.len());
}

#[tokio::test]
async fn heads_are_bounded() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let start = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n", server.address());
    for (many, long) in [(100, 1), (1, 20_000), (60, 400)] {
        let header = format!("X: {}\r\n", "y".repeat(long)).repeat(many);
        let answer = exchange(server.address(), format!("{start}{header}\r\n").as_bytes()).await;
        assert!(
            answer.is_empty() || parse(&answer).status == 431,
            "{many} {long}"
        );
    }
    let plain = format!("{start}Connection: close\r\n\r\n");
    let answer = exchange(server.address(), plain.as_bytes()).await;
    assert_eq!(parse(&answer).status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let head = format!(
        "POST /api/v1/searches HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 65537\r\n\r\n",
        server.address(),
        token(&server)
    );
    let answer = exchange(server.address(), head.as_bytes()).await;
    assert_eq!(parse(&answer).status, 413);
    let fits = format!(r#"{{"query":"{}"}}"#, "x".repeat((64 << 10) - 12));
    assert_eq!(fits.len(), 64 << 10);
    assert_eq!(
        honest(&server, "POST /api/v1/searches", &fits).await.status,
        201
    );
}

#[tokio::test]
async fn strangers_make_room_and_friends_do_not() {
    let fake = Fake::new();
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let server = fake.serve(limits).await;
    let client = fake.client().await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    // Far below the header timeout, so it is the limit that closes them.
    let start = Instant::now();
    client.status().await.unwrap();
    for mut stream in idle.drain(..8) {
        let mut nothing = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut nothing))
            .await
            .unwrap();
    }
    assert!(start.elapsed() < Limits::default().header_timeout);
    drop(idle);

    let one = client.events().await.unwrap();
    let _two = client.events().await.unwrap();
    match client.status().await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.status, 503),
        // The refusal may be lost when the connection is reset.
        other => assert!(
            matches!(other, Err(ClientError::Broken { .. })),
            "{other:?}"
        ),
    }
    drop(one);
    eventually(async || client.status().await.is_ok()).await;
}

#[tokio::test]
async fn honest_callers_get_through_a_crowd_of_slow_ones() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let client = fake.client().await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // Those that are cut off already are no loss.
        let _ = stream.write_all(b"G").await;
        crowd.push(stream);
    }
    for _ in 0..20 {
        client.status().await.unwrap();
    }
}

/// The crowd of `examples/slow_sockets.rs`, small and with little patience.
#[tokio::test]
async fn every_slow_socket_is_closed_and_honest_callers_do_not_notice() {
    let fake = Fake::new();
    let server = fake.serve(short()).await;
    let client = fake.client().await;
    let host = server.address();
    let body = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: 60000\r\n\r\n"
    );
    let rest = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let kinds: [(&str, &[u8]); 4] = [
        ("", b"GET /api/v1/status HTTP/1.1\r\nX-Slow: 1\r\n"),
        (&body, b"{"),
        // Asks, reads, and stays.
        (&rest, b""),
        ("", b""),
    ];
    let crowd = (0..80).map(|n| drip(&server, kinds[n % 4].0, kinds[n % 4].1));
    let crowd = futures_util::future::join_all(crowd);
    let honest = async {
        let mut pace = interval(Duration::from_millis(5));
        loop {
            pace.tick().await;
            client.status().await.unwrap();
        }
    };
    let closed = tokio::select! {
        closed = crowd => closed,
        never = honest => never,
    };
    assert_eq!(closed.len(), 80);
    for (elapsed, _) in closed {
        assert!(
            elapsed >= short().header_timeout,
            "by its deadline: {elapsed:?}"
        );
    }
}

#[tokio::test]
async fn streams_are_counted() {
    let fake = Fake::new();
    let limits = Limits {
        streams_max: 1,
        ..Limits::default()
    };
    let _server = fake.serve(limits).await;
    let client = fake.client().await;
    let events = client.events().await.unwrap();
    fake.calls();
    let error = client.search_stream("x", 1).await.unwrap_err();
    assert_eq!(error.status(), Some(429), "{error}");
    assert_eq!(
        fake.calls(),
        Vec::<String>::new(),
        "no search runs for nobody"
    );
    drop(events);
    eventually(async || client.events().await.is_ok()).await;
}

/// Waits until `condition` holds, which must be soon.
async fn eventually(condition: impl AsyncFn() -> bool) {
    let all = async {
        let mut pace = interval(Duration::from_millis(10));
        while !condition().await {
            pace.tick().await;
        }
    };
    timeout(DEADLINE, all).await.expect("it becomes true");
}
