//! What one side tells the other on the QUIC connection so that it can come by
//! TCP: on which port, under which name, and what to show there.

use gannet_base::wire::FRAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Names an offer and the lane that comes of it. It is the first thing on the
/// TCP connection, in the clear: random, known to both sides only, used once.
pub(crate) type Name = [u8; 16];

/// What the dialler shows once the lane is encrypted.
pub(super) type Proof = [u8; 16];

/// Longest offer accepted, bytes.
// Guess: eight times what this version sends.
pub(super) const OFFER_BYTES_MAX: usize = 512;
const _: () = assert!(OFFER_BYTES_MAX <= FRAME_BYTES_MAX);

/// Most ports in an offer: one for each address that is listened on.
pub(super) const PORTS_MAX: usize = crate::BindError::LISTEN_MAX;

/// An offer of a lane. It may grow at its end without a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) name: Name,
    pub(super) proof: Proof,
    /// TCP ports to try in this order, at the address that the QUIC packets
    /// come from; never 0, at most [`PORTS_MAX`].
    pub(super) ports: Vec<u16>,
}

impl Offer {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("an offer is plain data, which always encodes")
    }

    /// What follows the known fields is from a later version and passed over.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > OFFER_BYTES_MAX {
            return None;
        }
        let (offer, _) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let is_valid = !offer.ports.is_empty()
            && offer.ports.len() <= PORTS_MAX
            && offer.ports.iter().all(|port| *port != 0);
        is_valid.then_some(offer)
    }
}

/// Body of the fuzz target `road_offer`: any bytes are an offer or not, and
/// what decodes encodes to something that decodes to the same.
pub fn fuzz(input: &[u8]) {
    if let Some(offer) = Offer::decode(input) {
        assert!(offer.ports.len() <= PORTS_MAX && !offer.ports.contains(&0));
        assert_eq!(Offer::decode(&offer.encode()), Some(offer));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(ports: &[u16]) -> Offer {
        Offer {
            name: [1; 16],
            proof: [2; 16],
            ports: ports.to_vec(),
        }
    }

    #[test]
    fn offers_round_trip_and_may_grow() {
        let usual = offer(&[7411, 65_535]);
        let mut bytes = usual.encode();
        assert!(bytes.len() * 8 <= OFFER_BYTES_MAX);
        bytes.extend_from_slice(b"what a later version adds");
        assert_eq!(Offer::decode(&bytes), Some(usual));
        bytes.resize(OFFER_BYTES_MAX + 1, 0);
        assert_eq!(Offer::decode(&bytes), None);
    }

    #[test]
    fn ports_are_some_and_few_and_real() {
        for wrong in [&[][..], &[0], &[1, 0], &[1; PORTS_MAX + 1]] {
            assert_eq!(Offer::decode(&offer(wrong).encode()), None, "{wrong:?}");
        }
        assert!(Offer::decode(&offer(&[1; PORTS_MAX]).encode()).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_offer_or_not(input in prop::collection::vec(any::<u8>(), 0..80)) {
            fuzz(&input);
        }
    }
}
