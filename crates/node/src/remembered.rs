//! Peers to come back to: a file in the data directory, so that a peer finds
//! the network again when those that the user named are gone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use gannet_base::PeerAddress;
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "peers.json";
/// Longest file that is read.
// Guess: each peer takes at most 400 bytes.
const BYTES_MAX: u64 = 512 * 1024;
/// Most peers kept.
// Source: Gnutella clients cached some hundred hosts.
const PEERS_MAX: usize = 200;
/// The format; another one is not read.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// Those that were of most use first.
    peers: Vec<String>,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// The peers of the last run, best first. A file that cannot be read is as
/// good as none: it is only a hint.
pub(crate) fn load(data_dir: &Path) -> Vec<PeerAddress> {
    let path = path(data_dir);
    match read(&path) {
        Ok(peers) => peers,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "remembered peers are not used");
            Vec::new()
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<PeerAddress>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    let document: Document = serde_json::from_slice(&bytes)?;
    if document.version != VERSION {
        let what = "it is of another version";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    // One line that is damaged does not spoil the others.
    let parsed = document.peers.iter().filter_map(|text| text.parse().ok());
    Ok(parsed.take(PEERS_MAX).collect())
}

/// The lists of several overlays as one, each peer once: by turns, so that the
/// best of all are kept; then those from before, while there is room.
pub(crate) fn merge(lists: &[Vec<PeerAddress>], before: &[PeerAddress]) -> Vec<PeerAddress> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let by_turns = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
    let mut known = BTreeSet::new();
    by_turns
        .chain(before)
        .filter(|address| known.insert(address.peer))
        .take(PEERS_MAX)
        .cloned()
        .collect()
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
/// May block.
pub(crate) fn save(data_dir: &Path, peers: &[PeerAddress]) -> io::Result<()> {
    let document = Document {
        version: VERSION,
        peers: peers
            .iter()
            .take(PEERS_MAX)
            .map(ToString::to_string)
            .collect(),
    };
    let path = path(data_dir);
    let half = path.with_extension("json.new");
    let mut file = File::create(&half)?;
    file.write_all(&serde_json::to_vec_pretty(&document)?)?;
    file.sync_all()?;
    fs::rename(&half, &path)
}

#[cfg(test)]
mod tests {
    use gannet_base::PeerId;

    use super::*;

    fn peer(n: u8) -> PeerAddress {
        PeerAddress {
            peer: PeerId::from_bytes([n; 32]),
            addresses: vec![([10, 0, 0, n], 7).into()],
        }
    }

    #[test]
    fn what_is_saved_is_loaded_again_in_order() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()), []);
        let peers: Vec<PeerAddress> = (0..=250).map(peer).collect();
        save(dir.path(), &peers[..3]).unwrap();
        save(dir.path(), &peers).unwrap();
        assert_eq!(load(dir.path()), peers[..PEERS_MAX]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn several_lists_become_one_by_turns() {
        let one = vec![peer(1), peer(2), peer(3)];
        let two = vec![peer(3), peer(4)];
        let three = vec![peer(6)];
        let merged = [peer(1), peer(3), peer(6), peer(2), peer(4), peer(5)];
        let lists = [one, two.clone(), three];
        assert_eq!(merge(&lists, &[peer(2), peer(5)]), merged);
        assert_eq!(merge(&[Vec::new(), two.clone()], &[]), two);
        let many: Vec<PeerAddress> = (0..=250).map(peer).collect();
        assert_eq!(merge(&[many, vec![peer(255)]], &two).len(), PEERS_MAX);
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = path(dir.path());
        let long = format!("{{\"version\":1,\"peers\":[\"{}\"]}}", "x".repeat(600_000));
        let cases = [
            "",
            "{",
            "[]",
            "{\"version\":2,\"peers\":[]}",
            "{\"version\":1,\"peers\":7}",
            &long,
        ];
        for text in cases {
            fs::write(&file, text).unwrap();
            assert_eq!(load(dir.path()), [], "{}", &text[..text.len().min(40)]);
        }
        let good = peer(1);
        let half = format!("{{\"version\":1,\"peers\":[\"nonsense\",\"{good}\"]}}");
        fs::write(&file, half).unwrap();
        assert_eq!(load(dir.path()), [good]);
    }
}
