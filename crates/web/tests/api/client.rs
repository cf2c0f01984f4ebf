//! The client against the server, and against what is none.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::PeerAddress;
use gannet_node::api::{DownloadRequest, KeepRequest, NodeEvent, SearchUpdate, ToKeep};
use gannet_web::{
    ApiServer, Client, ClientError, Limits, Peer, SearchStream, ServeError, ServeOptions, Timeouts,
    serve,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::fake::{DEADLINE, Fake};
use crate::samples::{connected, end, held, kept, peer_id, row, upload};

async fn served() -> (Fake, ApiServer, Client) {
    let fake = Fake::new();
    let server = fake.serve(Limits::default()).await;
    let client = fake.client().await;
    (fake, server, client)
}

#[tokio::test]
async fn calls_arrive_and_answers_come_back() {
    let (fake, _server, client) = served().await;
    assert_eq!(client.peer_id(), peer_id());
    assert_eq!(client.process_id(), std::process::id());
    assert_eq!(client.status().await.unwrap(), fake.status().await.unwrap());
    let link = "gannet:x?name=a&b c".to_owned();
    let info = client
        .download(DownloadRequest::Link { link })
        .await
        .unwrap();
    assert_eq!(
        client.downloads().await.unwrap(),
        std::slice::from_ref(&info)
    );
    assert_eq!(client.pause(1).await.unwrap(), info);
    assert_eq!(client.resume(1).await.unwrap(), info);
    assert_eq!(client.cancel(1).await.unwrap(), info);
    assert_eq!(client.uploads().await.unwrap(), [upload()]);
    assert_eq!(client.peers().await.unwrap(), [connected()]);
    assert_eq!(client.shares().await.unwrap(), []);
    let addresses = vec!["[::1]:7".parse().unwrap(), "127.0.0.1:8".parse().unwrap()];
    let peer = PeerAddress {
        peer: peer_id(),
        addresses,
    };
    assert_eq!(client.browse(&peer, 1, 2).await.unwrap().peer, peer_id());
    let content = kept().content;
    let request = KeepRequest {
        file: ToKeep::Path { path: "/a".into() },
        copies: Some(3),
        days: None,
    };
    assert_eq!(client.keep(&request).await.unwrap(), kept());
    assert_eq!(client.kept().await.unwrap(), [kept()]);
    assert_eq!(client.unkeep(content).await.unwrap(), kept());
    assert_eq!(client.held().await.unwrap(), [held()]);
    fake.calls();
    for what in client.refused().await.unwrap() {
        client.refuse(what).await.unwrap();
        client.allow(what).await.unwrap();
        let calls = fake.calls();
        let expected = [format!("refuse {what:?}"), format!("allow {what:?}")];
        assert!(calls.ends_with(&expected), "{calls:?}");
    }
    fake.calls();

    let path = "/mu sic/ä?&=%41+".as_ref();
    assert_eq!(client.share_add(path, true).await.unwrap().path, path);
    assert_eq!(client.share_remove(path).await.unwrap().path, path);
    client.link("file".as_ref()).await.unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        fake.calls(),
        [
            format!("share_add {} true", path.display()),
            format!("share_remove {}", path.display()),
            format!("link {}", here.join("file").display()),
        ]
    );
}

#[tokio::test]
async fn lists_longer_than_a_page_come_whole() {
    let (fake, _server, client) = served().await;
    for count in [0, 9_999, 10_000, 10_001, 20_000] {
        fake.have_downloads(count);
        let numbers = client.downloads().await.unwrap();
        let numbers = numbers.iter().map(|one| one.number);
        assert!(numbers.eq(1..=count), "{count}");
    }
}

#[tokio::test]
async fn refusals_come_back_in_the_peers_words() {
    let (_fake, _server, client) = served().await;
    let error = client.pause(9).await.unwrap_err();
    let words = "there is no download 9; `gannet downloads` lists them";
    assert_eq!(
        (error.to_string().as_str(), error.status()),
        (words, Some(404))
    );
    let error = client.search_stream("-x", 1).await.unwrap_err();
    assert_eq!(error.to_string(), "a search needs a word to look for");
    let ClientError::Problem(problem) = error else {
        panic!("{error}");
    };
    assert_eq!(problem.kind, "urn:gannet:problem:query");
}

/// All updates up to the end.
async fn rest(mut stream: SearchStream) -> Vec<SearchUpdate> {
    let mut updates = Vec::new();
    let all = async {
        while let Some(update) = stream.next().await.unwrap() {
            updates.push(update);
        }
    };
    timeout(DEADLINE, all).await.expect("the search ends");
    updates
}

#[tokio::test]
async fn a_search_is_followed_row_by_row() {
    let (fake, _server, client) = served().await;
    let mut stream = client.search_stream("x", 9).await.unwrap();
    let id = stream.id();
    for name in ["one", "one more", "one more"] {
        fake.update(id, SearchUpdate::Row(row(1, name))).await;
    }
    let mut name = String::new();
    // Rows that change quickly may come as their last state only.
    while name != "one more" {
        let next = timeout(DEADLINE, stream.next()).await.unwrap();
        let Some(SearchUpdate::Row(row)) = next.unwrap() else {
            panic!("a row");
        };
        name = row.name;
    }
    // Somebody else comes later and gets what was there.
    let late = client.search_follow(id).await.unwrap();
    assert_eq!(late.id(), id);
    fake.update(id, SearchUpdate::Row(row(2, "two\nlines")))
        .await;
    fake.update(id, SearchUpdate::End(end())).await;
    let two = SearchUpdate::Row(row(2, "two\nlines"));
    let all = [
        SearchUpdate::Row(row(1, "one more")),
        two.clone(),
        SearchUpdate::End(end()),
    ];
    assert_eq!(rest(late).await, all);
    assert_eq!(rest(stream).await, all[1..]);
    // And when it is over, everything at once.
    assert_eq!(rest(client.search_follow(id).await.unwrap()).await, all);
    let state = client.search_state(None).await.unwrap().unwrap();
    assert_eq!(
        (state.id, state.rows.len(), state.end),
        (id, 2, Some(end()))
    );
    assert_eq!(client.search_state(Some(77)).await.unwrap(), None);
}

#[tokio::test]
async fn a_search_that_nobody_streams_can_be_followed() {
    let (fake, _server, client) = served().await;
    let first = client.search("x", 1).await.unwrap();
    // Started past the API, its receiver elsewhere.
    let (second, _receiver) = fake.search("y", 1).await.unwrap();
    for id in [first, second] {
        let stream = client.search_follow(id).await.unwrap();
        fake.update(id, SearchUpdate::Row(row(1, "one"))).await;
        fake.update(id, SearchUpdate::End(end())).await;
        let updates = rest(stream).await;
        assert_eq!(
            updates,
            [SearchUpdate::Row(row(1, "one")), SearchUpdate::End(end())]
        );
    }
    let list = client.searches().await.unwrap();
    let list: Vec<_> = list
        .iter()
        .map(|one| (one.id, one.rows, one.ended))
        .collect();
    assert_eq!(list, [(second, 1, true), (first, 1, true)]);
}

#[tokio::test]
async fn events_arrive_until_the_peer_stops() {
    let (fake, server, client) = served().await;
    let mut events = client.events().await.unwrap();
    let mut follower = client.search_stream("x", 1).await.unwrap();
    let event = NodeEvent::HubDown {
        hub: peer_id(),
        reason: "line\r\nline".to_owned(),
    };
    assert_eq!(fake.tell(event.clone()), 1);
    let next = timeout(DEADLINE, events.next()).await.unwrap();
    assert_eq!(next.unwrap(), Some(event));

    let token_path = server.token_path().to_owned();
    timeout(DEADLINE, client.shutdown()).await.unwrap().unwrap();
    assert!(!token_path.exists(), "another peer may start at once");
    let next = timeout(DEADLINE, events.next()).await.unwrap();
    assert_eq!(next.unwrap(), None);
    let broken = timeout(DEADLINE, follower.next()).await.unwrap();
    assert!(
        matches!(broken, Err(ClientError::Broken { .. })),
        "{broken:?}"
    );
    timeout(DEADLINE, server.close()).await.unwrap();
    let gone = client.status().await;
    assert!(
        matches!(gone, Err(ClientError::NotRunning { .. })),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_slow_reader_of_events_loses_the_oldest() {
    let (fake, _server, client) = served().await;
    let mut events = client.events().await.unwrap();
    for files in 0..20_000 {
        fake.tell(NodeEvent::ScanFinished { files, bytes: 0 });
    }
    let mut last = None;
    while last != Some(19_999) {
        let next = timeout(DEADLINE, events.next()).await.unwrap();
        let Some(NodeEvent::ScanFinished { files, .. }) = next.unwrap() else {
            panic!("an event");
        };
        assert!(last < Some(files), "in order");
        last = Some(files);
    }
}

#[tokio::test]
async fn the_file_holds_what_a_client_needs() {
    let (fake, server, _) = served().await;
    let path = server.token_path().to_owned();
    assert_eq!(path, fake.data_dir().join("api.json"));
    let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(file["address"], server.address().to_string());
    assert_eq!(file["pid"], std::process::id());
    assert_eq!(file["peer"], peer_id().to_string());
    assert_eq!(file["token"].as_str().unwrap().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    server.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn where_it_must_not_listen_is_said() {
    let (fake, server, _) = served().await;
    let taken = server.address();
    let error = serve(fake.clone(), taken).await.unwrap_err();
    assert!(matches!(error, ServeError::AddressInUse { address } if address == taken));
    assert!(
        error.to_string().contains("in use by another program"),
        "{error}"
    );
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = serve(fake.clone(), everywhere).await.unwrap_err();
    assert!(matches!(error, ServeError::NotLoopback { .. }), "{error}");
    // Neither has touched the file of the one that runs.
    fake.client().await.status().await.unwrap();
    server.close().await;
    let options = ServeOptions {
        allow_remote: true,
        ..everywhere.into()
    };
    let _server = serve(fake.clone(), options).await.unwrap();
    fake.client().await.status().await.unwrap();
}

/// Connects to a data directory whose `api.json` is `file`.
async fn connect(file: &str) -> ClientError {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("api.json"), file).unwrap();
    let timeouts = Timeouts {
        answer: Duration::from_millis(300),
        ..Timeouts::default()
    };
    Client::connect_with(dir.path(), timeouts)
        .await
        .unwrap_err()
}

fn file(address: SocketAddr) -> String {
    let peer = peer_id().to_string();
    json!({"address": address, "token": "t", "pid": 1, "peer": peer}).to_string()
}

/// A listener that answers everybody with `answer`, or not at all.
async fn impostor(answer: Option<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(answer) = &answer {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            } else {
                held.push(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn why_there_is_nobody_to_ask_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::connect(dir.path()).await.unwrap_err();
    assert!(matches!(&error, ClientError::NotRunning { data_dir } if data_dir == dir.path()));
    assert!(error.to_string().contains("gannet up"), "{error}");

    for wrong in ["", "{", "{}", r#"{"address":"nowhere"}"#] {
        let error = connect(wrong).await;
        assert!(matches!(error, ClientError::File { .. }), "{error:?}");
    }
    // A peer that crashed leaves its file, and nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = connect(&file(gone)).await;
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error:?}");

    let (_fake, server, _) = served().await;
    let error = connect(&file(server.address())).await;
    assert!(
        matches!(error, ClientError::Unauthorised { .. }),
        "{error:?}"
    );

    let silent = impostor(None).await;
    let error = connect(&file(silent)).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    let next = r#"{"version":2,"agent":"gannet/9","peer":"p","pid":1}"#;
    for (status, body) in [("200 OK", "hello"), ("404 Not Found", ""), ("200 OK", next)] {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        let error = connect(&file(impostor(Some(answer)).await)).await;
        assert!(
            matches!(error, ClientError::Version { .. }),
            "{body}: {error:?}"
        );
    }
    let error = connect(&file(impostor(Some("SSH-2.0\r\n".to_owned())).await)).await;
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
}
