//! Mistakes and misfortunes: each has words that say what to do.

use gannet_base::ContentId;
use gannet_node::api::{DownloadRequest, DownloadState};
use gannet_node::{DownloadError, Node, SearchError, StartError};

use crate::support::{config, hub, row, search, start, temp_dir, until};

async fn refused(config: gannet_node::NodeConfig) -> StartError {
    match Node::start(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_node_from_starting() {
    let running = start(|_| {}).await;
    let same = config(running.dir.path());
    assert!(
        matches!(refused(same).await, StartError::InUse { pid, .. } if pid == std::process::id())
    );

    let dir = temp_dir();
    let mut taken = config(dir.path());
    taken.listen = running.node.status().await.unwrap().address.addresses;
    assert!(matches!(
        refused(taken).await,
        StartError::AddressInUse { .. }
    ));

    let mut missing = config(dir.path());
    missing.shares = vec![dir.path().join("not there")];
    let error = refused(missing).await.to_string();
    assert!(
        error.contains("not there") && error.contains("does not exist"),
        "{error}"
    );

    let mut secret = config(dir.path());
    secret.secret_file = Some(dir.path().join("no secret"));
    assert!(matches!(
        refused(secret).await,
        StartError::SecretFile { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_with_other_secrets_or_names_do_not_mix() {
    let secrets = temp_dir();
    let secret = |name: &str| {
        let path = secrets.path().join(name);
        std::fs::write(&path, format!("the secret of {name}\n")).unwrap();
        path
    };
    let hub = start(|config| {
        config.hub_server = true;
        config.secret_file = Some(secret("ours"));
    })
    .await;
    let address = hub.address().await;
    let cases: [(&str, Option<&str>, Option<&str>); 3] = [
        ("secret is not the same", Some("theirs"), None),
        ("secret is not the same", None, None),
        ("another network", Some("ours"), Some("elsewhere")),
    ];
    for (words, name, network) in cases {
        let address = address.clone();
        let peer = start(|config| {
            config.hubs = vec![address];
            config.secret_file = name.map(secret);
            if let Some(network) = network {
                config.network = network.to_owned();
            }
        })
        .await;
        until(&format!("it hears that {words}"), async || {
            let status = peer.node.status().await.unwrap();
            let problem = status.hubs[0].problem.clone().unwrap_or_default();
            assert!(!status.hubs[0].connected);
            problem.contains(words).then_some(())
        })
        .await;
    }
    let friend = start(|config| {
        config.hubs = vec![address];
        config.secret_file = Some(secret("ours"));
    })
    .await;
    until("a member is let in", async || {
        friend.node.status().await.unwrap().hubs[0]
            .connected
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_numbers_that_mean_nothing() {
    let hub = hub().await;
    let address = hub.address().await;
    let peer = start(|config| config.hubs = vec![address]).await;
    for query in ["", "-word", "type:audio", "size:>1", "???"] {
        let error = peer.node.search(query, 10).await.err();
        assert!(
            matches!(error, Some(SearchError::Query(_))),
            "{query:?}: {error:?}"
        );
    }
    let row = row(1);
    let unknown = peer.node.download(row.clone()).await;
    assert!(
        matches!(unknown, Err(DownloadError::UnknownSearch { .. })),
        "{unknown:?}"
    );
    until("the hub is up", async || {
        peer.node.status().await.unwrap().hubs[0]
            .connected
            .then_some(())
    })
    .await;
    let (rows, explanation) = search(&peer, "nothing like it").await;
    assert!(rows.is_empty());
    assert_eq!(explanation, "Nobody has it: asked 1 hub, all answered.");
    let unknown = peer.node.download(row).await;
    assert!(
        matches!(unknown, Err(DownloadError::UnknownRow { rows: 0, .. })),
        "{unknown:?}"
    );
    let unknown = peer.node.pause(7).await;
    assert!(
        matches!(unknown, Err(DownloadError::UnknownDownload { number: 7 })),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_nobody_has_waits_and_says_whom_it_asked() {
    let hub = hub().await;
    let address = hub.address().await;
    let peer = start(|config| config.hubs = vec![address]).await;
    until("the hub is up", async || {
        peer.node.status().await.unwrap().hubs[0]
            .connected
            .then_some(())
    })
    .await;
    let link = format!("gannet:{}", ContentId::of(b"nobody has this"));
    peer.node
        .download(DownloadRequest::Link { link })
        .await
        .unwrap();
    until("it says whom it asked", async || {
        let info = peer.node.downloads().await.unwrap().remove(0);
        assert_ne!(info.state, DownloadState::Complete);
        let reason = info.reason.unwrap_or_default();
        (info.state == DownloadState::Waiting && reason.contains("asked 1 hub, all answered"))
            .then_some(())
    })
    .await;
}
