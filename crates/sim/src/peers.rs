//! Peers of the laboratory: numbers from 0 on, dressed as peer ids.

use gannet_base::PeerId;

use crate::fingerprint::mixed;

/// The id of the peer with this number. Ids are spread evenly, so that nothing
/// depends on the order in which peers were made, and the number is in them.
pub fn peer_id(node: u32) -> PeerId {
    let spread = mixed(u64::from(node) + 1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[28..].copy_from_slice(&node.to_be_bytes());
    PeerId::from_bytes(bytes)
}

/// The number of the peer with this id; nothing if [`peer_id`] did not make it.
pub fn node_of(peer: PeerId) -> Option<u32> {
    let bytes = peer.as_bytes();
    let (_, number) = bytes.split_last_chunk()?;
    let node = u32::from_be_bytes(*number);
    let (spread, zeros) = bytes.split_first_chunk()?;
    let is_ours = u64::from_be_bytes(*spread) == mixed(u64::from(node) + 1);
    (is_ours && zeros[..20] == [0; 20]).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_are_one_to_one() {
        for node in [0, 1, 2, 255, 256, 99_999, u32::MAX] {
            assert_eq!(node_of(peer_id(node)), Some(node));
        }
        assert_eq!(node_of(PeerId::from_bytes([7; 32])), None);
        assert_eq!(node_of(PeerId::from_bytes([0; 32])), None);
        let mut ids: Vec<_> = (0..1_000).map(peer_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1_000);
        let low = ids.iter().filter(|id| id.as_bytes()[0] < 128).count();
        assert!(
            (400..600).contains(&low),
            "{low} of 1,000 in the lower half"
        );
    }
}
