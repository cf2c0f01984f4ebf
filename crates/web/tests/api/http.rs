//! HTTP by hand, so that what no client would send can be sent.

use std::net::SocketAddr;

use gannet_web::{ApiServer, Problem};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fake::DEADLINE;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn problem(&self) -> Problem {
        let has_type = self.head.contains("content-type: application/problem+json");
        assert!(has_type, "{self:?}");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        problem
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other side may close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("the server closes");
    answer
}

pub(crate) fn parse(answer: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

pub(crate) fn token(server: &ApiServer) -> String {
    let file: Value = serde_json::from_slice(&std::fs::read(server.token_path()).unwrap()).unwrap();
    file["token"].as_str().unwrap().to_owned()
}

/// A request with the given headers and nothing else but what ends it.
pub(crate) async fn bare(
    server: &ApiServer,
    line: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Reply {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    parse(&exchange(server.address(), request.as_bytes()).await)
}

/// An honest request.
pub(crate) async fn honest(server: &ApiServer, line: &str, body: &str) -> Reply {
    let mut headers = vec![
        ("Host", server.address().to_string()),
        ("Authorization", format!("Bearer {}", token(server))),
    ];
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    bare(server, line, &headers, body).await
}
