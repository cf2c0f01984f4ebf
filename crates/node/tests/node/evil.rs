//! Sources that lie, and a file that changes while it is served.

use std::time::Duration;

use gannet_base::wire::{self, Decoded};
use gannet_base::{ContentId, GannetLink, LinkKind, PeerAddress};
use gannet_net::{Net, NetConfig, NetEvent, TransferStream};
use gannet_node::NodeConfig;
use gannet_node::api::{DownloadRequest, DownloadState};
use gannet_swarm::{Have, TransferMessage};

use crate::support::{
    download_is, hub, noise, on_both_roads, road, sharer, sharer_with, start, until,
};

on_both_roads! {
    wrong_bytes,
    too_few_bytes,
    too_many_bytes,
    no_bytes,
    a_wrong_size,
    a_size_that_would_fill_the_disk,
    a_file_that_changes_while_it_is_served,
}

/// What a source does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evil {
    WrongBytes,
    TooFew,
    TooMany,
    Nothing,
    /// Claims another size.
    WrongSize,
    /// Claims a size that would fill any disk.
    HugeSize,
}

/// Runs an evil source of `size` bytes of `content`.
async fn evil(content: ContentId, size: u64, evil: Evil) -> (Net, PeerAddress) {
    let seed = 100 + evil as u8;
    let mut config = NetConfig::new([seed; 32], NodeConfig::DEFAULT_NETWORK);
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.local_discovery = false;
    config.bulk_road = road();
    let (net, mut events) = Net::bind(config).await.unwrap();
    let address = PeerAddress {
        peer: net.peer_id(),
        addresses: net.addresses(),
    };
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let NetEvent::Transfer { stream, .. } = event {
                tokio::spawn(serve(stream, content, size, evil));
            }
        }
    });
    (net, address)
}

async fn serve(mut stream: TransferStream, content: ContentId, size: u64, evil: Evil) {
    let claimed = match evil {
        Evil::WrongSize => size + 1,
        Evil::HugeSize => 1 << 49,
        _ => size,
    };
    while let Ok(Some(frame)) = stream.receiver.frame(wire::FRAME_BYTES_MAX).await {
        let sent = match wire::decode(&frame) {
            Ok(Decoded::Message(TransferMessage::Ask { .. })) => {
                let ready = TransferMessage::Ready {
                    content,
                    size: claimed,
                    have: Have::Whole,
                };
                stream.sender.send_frame(&wire::encode(&ready)).await
            }
            Ok(Decoded::Message(TransferMessage::Request { slice, .. }))
                if evil != Evil::Nothing =>
            {
                let range = slice.bytes(claimed);
                let due = u32::try_from(range.end - range.start).unwrap() + 64;
                let bytes = match evil {
                    Evil::TooFew => due.saturating_sub(70).max(1),
                    Evil::TooMany => due + 10_000_000,
                    _ => due,
                };
                let header = TransferMessage::Slice {
                    content,
                    slice,
                    bytes,
                };
                let _ = stream.sender.send_frame(&wire::encode(&header)).await;
                stream
                    .sender
                    .send_bytes(vec![0x5a; bytes as usize].into())
                    .await
            }
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn despite(kind: Evil) {
    let hub = hub().await;
    let bytes = noise(3_000_000, 10 + kind as u64);
    let content = ContentId::of(&bytes);
    let good = sharer(&hub, &[("good.bin", bytes.clone())]).await;
    let (_net, bad) = evil(content, bytes.len() as u64, kind).await;
    let alice = start(|_| {}).await;
    let ask = |peers| {
        let link = GannetLink {
            content,
            kind: LinkKind::File,
            name: Some("x".to_owned()),
            size: None,
            peers,
        };
        DownloadRequest::Link {
            link: link.to_string(),
        }
    };
    // The evil one first, alone: it must not make anything look done.
    let started = alice.node.download(ask(vec![bad])).await.unwrap();
    until("the evil one was asked", async || {
        let info = alice.node.downloads().await.unwrap().remove(0);
        assert_eq!(info.have_bytes, 0, "{kind:?}");
        let source = info.sources.first()?;
        matches!(
            source.state.as_str(),
            "banned" | "resting" | "sending" | "ready" | "stalled"
        )
        .then_some(())
    })
    .await;
    alice
        .node
        .download(ask(vec![good.address().await]))
        .await
        .unwrap();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(
        std::fs::read(done.path.unwrap()).unwrap() == bytes,
        "{kind:?}"
    );
}

async fn wrong_bytes() {
    despite(Evil::WrongBytes).await;
}

async fn too_few_bytes() {
    despite(Evil::TooFew).await;
}

async fn too_many_bytes() {
    despite(Evil::TooMany).await;
}

async fn no_bytes() {
    despite(Evil::Nothing).await;
}

async fn a_wrong_size() {
    despite(Evil::WrongSize).await;
}

async fn a_size_that_would_fill_the_disk() {
    despite(Evil::HugeSize).await;
}

/// The file's new bytes must never arrive under the old id.
async fn a_file_that_changes_while_it_is_served() {
    let hub = hub().await;
    let bytes = noise(9_000_000, 30);
    let content = ContentId::of(&bytes);
    let limit = |config: &mut NodeConfig| config.limit_up = Some(3_000_000);
    let fickle = sharer_with(&hub, &[("fickle.bin", bytes.clone())], limit).await;
    let alice = start(|_| {}).await;
    let link = |peers| {
        let link = GannetLink {
            content,
            kind: LinkKind::File,
            name: None,
            size: None,
            peers,
        };
        DownloadRequest::Link {
            link: link.to_string(),
        }
    };
    let started = alice
        .node
        .download(link(vec![fickle.address().await]))
        .await
        .unwrap();
    until("some of it has come", async || {
        (alice.node.downloads().await.unwrap()[0].have_bytes > 1_000_000).then_some(())
    })
    .await;
    // In place, the same length: only the bytes and the time differ.
    std::fs::write(fickle.shared().join("fickle.bin"), noise(9_000_000, 31)).unwrap();
    until("the source is dropped", async || {
        let info = alice.node.downloads().await.unwrap().remove(0);
        (info.state == DownloadState::Waiting && info.bytes_per_second == 0).then_some(())
    })
    .await;
    let faithful = sharer(&hub, &[("faithful.bin", bytes.clone())]).await;
    alice
        .node
        .download(link(vec![faithful.address().await]))
        .await
        .unwrap();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    assert!(done.elapsed_ms < u64::try_from(Duration::from_secs(60).as_millis()).unwrap());
}
