//! `gannet peers` and `gannet uploads`.

use gannet_node::api::{PeerInfo, Tie, UploadInfo};

use crate::cli::Target;
use crate::exit::{Exit, Outcome};
use crate::output::{Cell, DIM, Layout, Printer, Table, milliseconds, size, span, speed};
use crate::remote::Remote;

/// Lists the connected peers.
pub(crate) async fn peers(target: &Target, out: &mut Printer) -> Outcome {
    let peers = Remote::connect(target).await?.peers().await?;
    if out.wants_json() {
        out.json(&peers)?;
    } else if peers.is_empty() {
        out.line(
            "no peer is connected; start with `--hub` or `--peer` and the address of somebody",
        )?;
    } else {
        out.table(&peers_table(&peers))?;
    }
    Ok(Exit::Done)
}

/// Lists whom this peer serves.
pub(crate) async fn uploads(target: &Target, out: &mut Printer) -> Outcome {
    let uploads = Remote::connect(target).await?.uploads().await?;
    if out.wants_json() {
        out.json(&uploads)?;
    } else if uploads.is_empty() {
        out.line("nobody is fetching anything from you")?;
    } else {
        out.table(&uploads_table(&uploads))?;
    }
    Ok(Exit::Done)
}

fn peers_table(peers: &[PeerInfo]) -> Table {
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("", Layout::Left),
        ("address", Layout::Left),
        ("round trip", Layout::Right),
        ("sent", Layout::Right),
        ("received", Layout::Right),
        ("connected", Layout::Right),
        ("program", Layout::Cut),
    ]);
    for peer in peers {
        let address = match peer.address {
            _ if peer.relayed => "over a relay".to_owned(),
            Some(address) => address.to_string(),
            None => String::new(),
        };
        table.row([
            peer.peer.short().into(),
            what_it_is(peer).into(),
            address.into(),
            peer.round_trip_ms
                .map(milliseconds)
                .unwrap_or_default()
                .into(),
            size(peer.sent_bytes).into(),
            size(peer.received_bytes).into(),
            span(peer.connected_seconds).into(),
            Cell::new(&peer.agent).style(DIM),
        ]);
    }
    table
}

/// What a peer is to this one, in words.
fn what_it_is(peer: &PeerInfo) -> String {
    let words = [
        peer.is_hub.then_some("hub"),
        peer.tie.map(|tie| match tie {
            Tie::Primary => "its supernode",
            Tie::Backup => "its backup supernode",
            Tie::Leaf => "leaf",
            Tie::Link => "supernode",
        }),
        peer.is_neighbour.then_some("neighbour"),
        peer.is_ring_neighbour.then_some("next on the ring"),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    words.join(", ")
}

fn uploads_table(uploads: &[UploadInfo]) -> Table {
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("file", Layout::Cut),
        ("state", Layout::Left),
        ("speed", Layout::Right),
        ("sent", Layout::Right),
    ]);
    for upload in uploads {
        let state = match upload.queue_position {
            None => "sending".to_owned(),
            Some(position) => format!("place {position} in the queue"),
        };
        table.row([
            upload.peer.short().into(),
            Cell::new(&upload.name),
            state.into(),
            speed(upload.bytes_per_second).into(),
            size(upload.bytes).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use gannet_base::{ContentId, PeerId};

    use super::*;

    #[test]
    fn what_strangers_announce_is_escaped() {
        let hostile = "\u{1b}[31mred\u{202e}";
        let peer = PeerInfo {
            peer: PeerId::from_bytes([1; 32]),
            address: Some(([10, 0, 0, 1], 7).into()),
            relayed: false,
            agent: hostile.to_owned(),
            round_trip_ms: Some(3),
            sent_bytes: 1_000,
            received_bytes: 0,
            connected_seconds: 61,
            is_hub: true,
            is_neighbour: true,
            is_ring_neighbour: true,
            tie: Some(Tie::Backup),
        };
        let upload = UploadInfo {
            peer: peer.peer,
            content: ContentId::of(b"x"),
            name: hostile.to_owned(),
            queue_position: Some(2),
            bytes_per_second: 0,
            bytes: 5,
        };
        let peers = peers_table(&[peer]).render(Some(170));
        let peers = anstream::adapter::strip_str(&peers).to_string();
        assert!(peers.contains("0101010101"), "{peers}");
        assert!(
            peers.contains("hub, its backup supernode, neighbour, next on the ring"),
            "{peers}"
        );
        assert!(peers.contains("\\u{1b}[31mred\\u{202e}"), "{peers}");
        let uploads = uploads_table(&[upload]).render(None);
        assert!(uploads.contains("place 2 in the queue"), "{uploads}");
        assert!(uploads.contains("\\u{1b}[31mred\\u{202e}"), "{uploads}");
    }
}
