//! What the peer of the tests tells.

use std::net::SocketAddr;
use std::path::Path;

use gannet_base::{ContentId, Dimensions, FileKind, Media, PeerAddress, PeerId};
use gannet_node::api::{
    Asked, DhtInfo, DhtReach, DownloadInfo, DownloadSource, DownloadState, FloodInfo, FloodReach,
    FoundBy, HeldFile, HeldOrder, HomeInfo, HubInfo, HubServerInfo, KeptFile, OverlayEnd, PeerInfo,
    ScanProgress, SearchEnd, SearchRow, SharesSummary, SourceInfo, Status, SupernodeInfo,
    SupernodeReach, Tie, Traffic, UploadInfo,
};

pub(crate) fn peer_id() -> PeerId {
    PeerId::from_bytes([7; 32])
}

pub(crate) fn content() -> ContentId {
    ContentId::of(b"content")
}

pub(crate) fn row(number: u32, name: &str) -> SearchRow {
    SearchRow {
        number,
        content: content(),
        name: name.to_owned(),
        size: u64::MAX,
        kind: FileKind::from_name("audio").unwrap(),
        media: media(),
        holders: 2,
        sources: vec![SourceInfo {
            peer: peer_id(),
            path: "music/x".to_owned(),
        }],
        found_by: vec![FoundBy {
            overlay: "hub".to_owned(),
            via: peer_id(),
            hops: 1,
            milliseconds: 2,
        }],
        have: false,
    }
}

pub(crate) fn media() -> Media {
    Media {
        title: Some("<b>title</b>".to_owned()),
        dimensions: Some(Dimensions {
            width: 3,
            height: 2,
        }),
        ..Media::default()
    }
}

pub(crate) fn end() -> SearchEnd {
    SearchEnd {
        asked: vec![Asked {
            overlay: "hub".to_owned(),
            peer: peer_id(),
            answered: true,
            outcome: "nothing".to_owned(),
            milliseconds: 1,
        }],
        overlays: vec![OverlayEnd {
            flood: Some(FloodReach::default()),
            supernode: Some(SupernodeReach::default()),
            dht: Some(DhtReach::default()),
            ..OverlayEnd::default()
        }],
        total: 2,
        explanation: "two\nlines, and an é".to_owned(),
        ..SearchEnd::default()
    }
}

pub(crate) fn download(number: u32) -> DownloadInfo {
    DownloadInfo {
        number,
        content: content(),
        name: "name".to_owned(),
        size: Some(3),
        files: None,
        have_bytes: 2,
        received_bytes: 1,
        pieces: "a".repeat(64),
        priority: 0,
        state: DownloadState::Active,
        reason: None,
        bytes_per_second: 5,
        seconds_left: Some(1),
        sources: vec![DownloadSource {
            peer: peer_id(),
            state: "queued".to_owned(),
            queue_position: Some(2),
            bytes_per_second: 3,
            bytes: 4,
            reason: None,
        }],
        path: Some("/d/name".into()),
        elapsed_ms: 9,
    }
}

pub(crate) fn upload() -> UploadInfo {
    UploadInfo {
        peer: peer_id(),
        content: content(),
        name: "name".to_owned(),
        queue_position: None,
        bytes_per_second: 1,
        bytes: 2,
    }
}

pub(crate) fn kept() -> KeptFile {
    KeptFile {
        content: content(),
        name: "name".to_owned(),
        path: "music/name".to_owned(),
        size: 20_000_000,
        copies: 8,
        copies_kept: 4,
        copies_online: 3,
        copies_possible: 8,
        blocks: 2,
        blocks_kept: 0,
        refused: Some("they grant no space".to_owned()),
        expires_unix_seconds: 2_000_000_000,
        seconds_left: 86_400,
    }
}

pub(crate) fn held() -> HeldFile {
    HeldFile {
        content: content(),
        name: "<b>name</b>".to_owned(),
        path: "x/<b>name</b>".to_owned(),
        size: 20_000_000,
        blocks: 2,
        blocks_held: 1,
        blocks_coming: 1,
        bytes: 20_000_000,
        orders: vec![HeldOrder {
            keeper: peer_id(),
            copies: 8,
            expires_unix_seconds: 2_000_000_000,
            seconds_left: 86_400,
        }],
    }
}

pub(crate) fn connected() -> PeerInfo {
    PeerInfo {
        peer: peer_id(),
        address: Some(SocketAddr::from(([127, 0, 0, 1], 7))),
        relayed: false,
        agent: "<script>".to_owned(),
        round_trip_ms: Some(1),
        sent_bytes: 2,
        received_bytes: 3,
        connected_seconds: 4,
        is_hub: false,
        is_neighbour: true,
        is_ring_neighbour: false,
        tie: Some(Tie::Link),
    }
}

pub(crate) fn status(data_dir: &Path) -> Status {
    Status {
        peer: peer_id(),
        address: PeerAddress {
            peer: peer_id(),
            addresses: Vec::new(),
        },
        agent: "gannet/0".to_owned(),
        network: "test".to_owned(),
        private: false,
        uptime_seconds: 1,
        data_dir: data_dir.to_owned(),
        download_dir: "/d".into(),
        hubs: vec![HubInfo {
            hub: peer_id(),
            connected: true,
            registered: 1,
            answer_ms: Some(2),
            problem: None,
        }],
        hub: Some(HubServerInfo::default()),
        overlays: vec!["hub".to_owned()],
        flood: Some(FloodInfo::default()),
        supernode: Some(SupernodeInfo {
            homes: vec![HomeInfo {
                supernode: peer_id(),
                is_primary: true,
                is_live: true,
                registered: 1,
            }],
            ..SupernodeInfo::default()
        }),
        dht: Some(DhtInfo {
            predecessor: Some(peer_id()),
            successors: vec![peer_id()],
            ..DhtInfo::default()
        }),
        shares: SharesSummary {
            scanning: Some(ScanProgress::default()),
            ..SharesSummary::default()
        },
        traffic: Traffic::default(),
        peers_connected: 0,
        problems: vec!["none, really".to_owned()],
    }
}
