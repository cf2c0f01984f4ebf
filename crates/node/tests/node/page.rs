//! What a page asks: settings, own files, a self-test, and looking at what is
//! still coming.

use std::collections::BTreeMap;

use gannet_base::ContentId;
use gannet_node::api::{DownloadInfo, DownloadRequest, DownloadState, SettingsChange, Verdict};
use gannet_node::{Node, SettingsError, ViewError};

use crate::support::{download_is, found, hub, noise, row, sharer, sharer_with, start, until};

/// A source that sends this much in a second.
const SLOW: u64 = 400_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_looked_at_comes_first() {
    let hub = hub().await;
    let bytes = noise(6_000_000, 1);
    let files = [("film.mp4", bytes.clone())];
    let slow = sharer_with(&hub, &files, |config| config.limit_up = Some(SLOW)).await;
    let address = hub.address().await;
    let alice = start(|config| config.hubs = vec![address]).await;
    let (rows, _) = found(&alice, "film").await;
    let content = rows[0].content;
    let started = alice.node.download(row(1)).await.unwrap();

    // At once, before even the length is known.
    let mut view = alice.node.view(content, 0).await.unwrap();
    assert_eq!((view.size(), view.name()), (6_000_000, "film.mp4"));
    let first = view.read(5).await.unwrap();
    assert_eq!(first, bytes[5..5 + first.len()]);

    // A player that seeks: the old view may end after the new one began.
    let far = 5_000_000;
    let mut sought = alice.node.view(content, far).await.unwrap();
    drop(view);
    let mut at = far;
    while at < 5_200_000 {
        let part = sought.read(at).await.unwrap();
        let here = usize::try_from(at).unwrap();
        assert_eq!(part, bytes[here..here + part.len()]);
        at += part.len() as u64;
    }
    let info = &alice.node.downloads().await.unwrap()[0];
    assert!(info.have_bytes < 5_000_000, "it did not wait for the rest");
    assert_eq!(info.pieces.len(), 64);
    assert!(
        info.pieces.contains('0') && info.pieces.contains('f'),
        "{}",
        info.pieces
    );
    let error = sought.read(6_000_000).await.unwrap_err();
    assert!(matches!(error, ViewError::Beyond { .. }), "{error}");

    // Whole, it reads on, in the same view and in a new one.
    let fast = SettingsChange {
        limit_up: Some(0),
        ..SettingsChange::default()
    };
    slow.node.change_settings(fast).await.unwrap();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert_eq!(done.pieces, "f".repeat(64));
    let last = sought.read(5_999_999).await.unwrap();
    assert_eq!(last, bytes[5_999_999..]);
    let mut anew = alice.node.view(content, 0).await.unwrap();
    let start = anew.read(0).await.unwrap();
    assert_eq!(start, bytes[..start.len()]);

    let unknown = ContentId::of(b"nobody has this");
    let error = alice.node.view(unknown, 0).await.unwrap_err();
    assert_eq!(error, ViewError::Unknown { content: unknown });
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_hold_at_once_and_over_restarts() {
    let first = hub().await;
    let second = hub().await;
    let address = first.address().await;
    let dir = crate::support::temp_dir();
    let mut config = crate::support::config(dir.path());
    config.hubs = vec![address];
    let node = Node::start(config.clone()).await.unwrap();
    let before = node.settings().await.unwrap();
    assert_eq!((before.limit_down, before.upload_slots), (0, 8));

    for (slots, limit_up) in [(0, None), (101, None), (5, Some(3))] {
        let change = SettingsChange {
            upload_slots: Some(slots),
            limit_up,
            ..SettingsChange::default()
        };
        let refused = node.change_settings(change).await;
        assert!(
            matches!(refused, Err(SettingsError::Range { .. })),
            "{slots}"
        );
    }
    assert_eq!(node.settings().await.unwrap(), before, "all or nothing");

    let change = SettingsChange {
        limit_down: Some(5_000_000),
        hubs: Some(vec![second.address().await]),
        ..SettingsChange::default()
    };
    let now = node.change_settings(change).await.unwrap();
    assert_eq!((now.limit_down, now.upload_slots), (5_000_000, 8));
    until("the other hub is used", async || {
        let hubs = node.status().await.unwrap().hubs;
        let only = hubs.len() == 1 && hubs[0].hub == second.node.peer_id();
        (only && hubs[0].connected).then_some(())
    })
    .await;
    node.shutdown().await;

    let node = Node::start(config.clone()).await.unwrap();
    assert_eq!(node.settings().await.unwrap(), now);
    node.shutdown().await;

    config.limit_down = Some(7_000_000);
    let node = Node::start(config).await.unwrap();
    let then = node.settings().await.unwrap();
    assert_eq!(
        then.limit_down, 7_000_000,
        "the configuration says something new"
    );
    assert_eq!(then.hubs, now.hubs);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_downloads_holds_over_restarts() {
    let dir = crate::support::temp_dir();
    let config = crate::support::config(dir.path());
    let node = Node::start(config.clone()).await.unwrap();
    for name in ["first", "second"] {
        let link = format!("gannet:{}?name={name}", ContentId::of(name.as_bytes()));
        node.download(DownloadRequest::Link { link }).await.unwrap();
    }
    let priorities = async |node: &Node| {
        let downloads = node.downloads().await.unwrap();
        let one = |info: &DownloadInfo| (info.content, info.priority);
        downloads.iter().map(one).collect::<BTreeMap<_, _>>()
    };
    let second = ContentId::of(b"second");
    let downloads = node.downloads().await.unwrap();
    let info = downloads.iter().find(|info| info.content == second);
    let number = info.unwrap().number;
    node.prioritise(number, 2).await.unwrap();
    let before = priorities(&node).await;
    assert_eq!((before[&second], before[&ContentId::of(b"first")]), (2, 0));
    node.shutdown().await;

    let node = Node::start(config).await.unwrap();
    assert_eq!(priorities(&node).await, before);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_knows_whether_it_is_found() {
    let hub = hub().await;
    let bob = sharer(
        &hub,
        &[("song.mp3", noise(50_000, 2)), ("a.txt", noise(10, 3))],
    )
    .await;
    let test = bob.node.self_test().await.unwrap();
    let verdicts: Vec<_> = test.checks.iter().map(|check| check.verdict).collect();
    assert_eq!(verdicts[0], Verdict::Yes, "{test:?}");
    assert_eq!(verdicts[2], Verdict::Yes, "{test:?}");
    assert!(test.checks[2].answer.contains("hub"), "{test:?}");

    let files = bob.node.shared_files(0, 10).await.unwrap();
    assert_eq!((files.total, files.files.len()), (2, 2));
    assert!(
        files.files[0]
            .link
            .contains(&bob.node.peer_id().to_string())
    );
    let rest = bob.node.shared_files(1, 10).await.unwrap();
    assert_eq!(rest.files, files.files[1..]);

    let alone = start(|_| {}).await;
    let test = alone.node.self_test().await.unwrap();
    assert_eq!(test.checks[0].verdict, Verdict::No, "{test:?}");
    assert_eq!(test.checks[1].verdict, Verdict::No, "{test:?}");
    assert_eq!(
        alone.node.ring_map().await.unwrap(),
        gannet_node::api::RingMap::default()
    );
}
