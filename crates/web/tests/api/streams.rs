//! Streams of lists.

use gannet_web::{ApiServer, Limits};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fake::{DEADLINE, Fake};
use crate::http::token;
use crate::samples::peer_id;

/// A stream of events, read by hand.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn open(server: &ApiServer, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            server.address(),
            token(server)
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.0.read_line(&mut line)).await;
        let read = read.expect("a line in time").unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event, with its data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line().await?;
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

#[tokio::test]
async fn downloads_are_followed() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    fake.have_downloads(2);
    let mut events = Events::open(&server, "/api/v1/downloads/events").await;
    for number in [1, 2] {
        let (name, item) = events.next().await.unwrap();
        assert_eq!((name.as_str(), &item["number"]), ("item", &number.into()));
        assert_eq!(item["name"], "name");
    }
    let (name, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["count"]), ("listed", &2.into()));
    // Only what changes is told: number 3 comes next, and none before it again.
    fake.have_downloads(3);
    let (name, item) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &item["number"]), ("item", &3.into()));
    fake.have_downloads(2);
    let (name, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["key"]), ("gone", &3.into()));
    let closed = async {
        server.close().await;
        while events.next().await.is_some() {}
    };
    timeout(DEADLINE, closed).await.expect("the stream ends");
}

#[tokio::test]
async fn peers_are_followed() {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let mut events = Events::open(&server, "/api/v1/peers/events").await;
    let (name, item) = events.next().await.unwrap();
    assert_eq!(name, "item");
    assert_eq!(item["peer"], peer_id().to_string());
    assert_eq!(events.next().await.unwrap().0, "listed");
}
