//! The handshake, as bytes: who may be in this network.
//!
//! Each side sends one greeting, the dialler first. It proves that the sender
//! knows the network's name and secret without showing either: both go into
//! keyed BLAKE3 hashes over the two peers' ids, the sender's role and keying
//! material exported from the TLS session (RFC 5705). A greeting is worth
//! nothing on another connection, in the other direction, or to another peer.
//!
//! Whoever is greeted can try guesses at a weak name or secret offline; a
//! random secret of 16 bytes or more is out of reach.

use gannet_base::{PeerId, sanitise_line};
use serde::{Deserialize, Serialize};

use crate::Network;

/// The version of the protocol inside a connection. Greetings may grow at
/// their end without a new version.
const VERSION: u32 = 1;

/// Longest greeting accepted, bytes.
// Guess: four times what this version sends.
pub(crate) const GREETING_BYTES_MAX: usize = 1_024;

/// Longest name of a program, bytes.
// Guess: a name, a version and a platform.
const AGENT_BYTES_MAX: usize = 64;

/// What the keying material is exported under.
pub(crate) const EXPORT_LABEL: &[u8] = b"EXPORTER-gannet-1-handshake";

const NAME_CONTEXT: &str = "gannet 2026-11 network name";
const SECRET_CONTEXT: &str = "gannet 2026-11 network secret";
const NAME_TAG: &[u8] = b"gannet/1 network\0";
const PROOF_TAG: &[u8] = b"gannet/1 member \0";

/// A life of the process at the other end; random, so that a restart shows.
pub(crate) type Instance = [u8; 16];

/// Which side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Dialer,
    Acceptor,
}

/// The connection that a greeting belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) dialer: PeerId,
    pub(crate) acceptor: PeerId,
    /// Keying material of the TLS session: the same on both sides, unlike any
    /// other connection's.
    pub(crate) keying: [u8; 32],
}

/// Why a greeting is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It does not decode.
    Malformed,
    /// It is of another version.
    Version,
    /// Another network's name.
    WrongNetwork,
    /// Another secret, or one where there should be none, or none.
    WrongSecret,
}

/// What each side says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    version: u32,
    /// The sender's life.
    pub(crate) instance: Instance,
    /// A number that grows with every greeting of that life: tells which of
    /// two connections the sender made later.
    pub(crate) sequence: u64,
    network: [u8; 32],
    proof: Option<[u8; 32]>,
    /// What the sender's program calls itself.
    pub(crate) agent: String,
}

/// A network's name and secret as keys.
#[derive(Clone)]
pub(crate) struct NetworkKeys {
    name: [u8; 32],
    secret: Option<[u8; 32]>,
}

impl std::fmt::Debug for NetworkKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkKeys").finish_non_exhaustive()
    }
}

impl NetworkKeys {
    pub(crate) fn new(network: &Network) -> Self {
        Self {
            name: blake3::derive_key(NAME_CONTEXT, network.name.as_bytes()),
            secret: network
                .secret
                .as_ref()
                .map(|secret| blake3::derive_key(SECRET_CONTEXT, secret)),
        }
    }

    /// A short name for the network that tells members nothing new and others
    /// nothing: for announcing on the local network.
    pub(crate) fn alias(&self) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.name);
        hasher.update(b"gannet/1 alias\0");
        if let Some(secret) = &self.secret {
            hasher.update(secret);
        }
        hasher.finalize().to_hex()[..8].to_owned()
    }

    /// The greeting of the side `role` on this connection.
    pub(crate) fn greeting(
        &self,
        session: &Session,
        role: Role,
        instance: Instance,
        sequence: u64,
        agent: &str,
    ) -> Greeting {
        Greeting {
            version: VERSION,
            instance,
            sequence,
            network: *tag(&self.name, NAME_TAG, session, role).as_bytes(),
            proof: self
                .secret
                .as_ref()
                .map(|secret| *tag(secret, PROOF_TAG, session, role).as_bytes()),
            agent: clean_agent(agent),
        }
    }

    /// Reads the greeting of the side `role` and checks that it may be here.
    pub(crate) fn check(
        &self,
        session: &Session,
        role: Role,
        bytes: &[u8],
    ) -> Result<Greeting, Rejected> {
        let mut greeting = Greeting::decode(bytes)?;
        // Comparing `blake3::Hash`es takes the same time wherever they differ.
        if tag(&self.name, NAME_TAG, session, role) != blake3::Hash::from(greeting.network) {
            return Err(Rejected::WrongNetwork);
        }
        let is_member = match (&self.secret, greeting.proof) {
            (None, None) => true,
            (Some(secret), Some(proof)) => {
                tag(secret, PROOF_TAG, session, role) == blake3::Hash::from(proof)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !is_member {
            return Err(Rejected::WrongSecret);
        }
        greeting.agent = clean_agent(&greeting.agent);
        Ok(greeting)
    }
}

impl Greeting {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a greeting is plain data, which always encodes")
    }

    /// What follows the known fields is from a later version and passed over.
    fn decode(bytes: &[u8]) -> Result<Self, Rejected> {
        if bytes.len() > GREETING_BYTES_MAX {
            return Err(Rejected::Malformed);
        }
        let malformed = |_| Rejected::Malformed;
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(Rejected::Version);
        }
        let (greeting, _) = postcard::take_from_bytes::<Self>(bytes).map_err(malformed)?;
        Ok(greeting)
    }
}

/// The keyed hash that ties a key to a connection and a side of it. Every part
/// has a fixed length, so no two inputs run together.
fn tag(key: &[u8; 32], domain: &[u8], session: &Session, role: Role) -> blake3::Hash {
    blake3::Hasher::new_keyed(key)
        .update(domain)
        .update(match role {
            Role::Dialer => b"d",
            Role::Acceptor => b"a",
        })
        .update(session.dialer.as_bytes())
        .update(session.acceptor.as_bytes())
        .update(&session.keying)
        .finalize()
}

/// One line, at most [`AGENT_BYTES_MAX`] bytes, cut between characters.
fn clean_agent(agent: &str) -> String {
    let mut clean = sanitise_line(agent);
    clean.truncate(clean.floor_char_boundary(AGENT_BYTES_MAX));
    clean
}

/// Body of the fuzz target `handshake`: any bytes are a greeting or not, no
/// stranger's passes, and what decodes encodes to something that decodes to
/// the same.
pub fn fuzz(input: &[u8]) {
    let keys = NetworkKeys::new(&Network {
        name: "fuzz".to_owned(),
        secret: Some(b"not in the input".to_vec()),
    });
    let session = Session {
        dialer: PeerId::from_bytes([1; 32]),
        acceptor: PeerId::from_bytes([2; 32]),
        keying: [3; 32],
    };
    assert!(keys.check(&session, Role::Dialer, input).is_err());
    if let Ok(greeting) = Greeting::decode(input) {
        assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(name: &str, secret: Option<&str>) -> NetworkKeys {
        NetworkKeys::new(&Network {
            name: name.to_owned(),
            secret: secret.map(|secret| secret.as_bytes().to_vec()),
        })
    }

    fn session() -> Session {
        Session {
            dialer: PeerId::from_bytes([1; 32]),
            acceptor: PeerId::from_bytes([2; 32]),
            keying: [3; 32],
        }
    }

    fn hello(keys: &NetworkKeys) -> Greeting {
        keys.greeting(&session(), Role::Dialer, [4; 16], 5, "test/1")
    }

    #[track_caller]
    fn check(ours: &NetworkKeys, theirs: &NetworkKeys, expected: Result<(), Rejected>) {
        let judged = ours.check(&session(), Role::Dialer, &hello(theirs).encode());
        assert_eq!(judged.map(|_| ()), expected);
    }

    #[test]
    fn members_pass_and_others_learn_which_of_the_two_is_wrong() {
        let open = keys("reef", None);
        let private = keys("reef", Some("s"));
        check(&open, &open, Ok(()));
        check(&private, &private, Ok(()));
        check(&open, &keys("lagoon", None), Err(Rejected::WrongNetwork));
        check(
            &private,
            &keys("lagoon", Some("s")),
            Err(Rejected::WrongNetwork),
        );
        check(
            &private,
            &keys("reef", Some("t")),
            Err(Rejected::WrongSecret),
        );
        check(&private, &open, Err(Rejected::WrongSecret));
        check(&open, &private, Err(Rejected::WrongSecret));
    }

    #[test]
    fn a_greeting_is_worth_nothing_elsewhere() {
        let private = keys("reef", Some("s"));
        let bytes = hello(&private).encode();
        assert!(private.check(&session(), Role::Dialer, &bytes).is_ok());
        let elsewhere = [
            (
                Session {
                    keying: [9; 32],
                    ..session()
                },
                Role::Dialer,
            ),
            (
                Session {
                    dialer: PeerId::from_bytes([9; 32]),
                    ..session()
                },
                Role::Dialer,
            ),
            (
                Session {
                    acceptor: PeerId::from_bytes([9; 32]),
                    ..session()
                },
                Role::Dialer,
            ),
            (session(), Role::Acceptor),
        ];
        for (session, role) in elsewhere {
            assert_eq!(
                private.check(&session, role, &bytes),
                Err(Rejected::WrongNetwork)
            );
        }
    }

    #[test]
    fn neither_name_nor_secret_is_in_a_greeting() {
        let bytes = hello(&keys("a-network-name", Some("a-long-secret"))).encode();
        let shows = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(!shows("a-network-name") && !shows("a-long-secret"));
        assert!(bytes.len() * 4 <= GREETING_BYTES_MAX);
    }

    #[test]
    fn later_versions_may_append_and_others_are_told_apart() {
        let open = keys("reef", None);
        let mut bytes = hello(&open).encode();
        bytes.extend_from_slice(b"what a later version adds");
        assert!(open.check(&session(), Role::Dialer, &bytes).is_ok());
        bytes[0] = 2;
        assert_eq!(
            open.check(&session(), Role::Dialer, &bytes),
            Err(Rejected::Version)
        );
        assert_eq!(
            open.check(&session(), Role::Dialer, &hello(&open).encode()[..40]),
            Err(Rejected::Malformed)
        );
        let long = vec![1; GREETING_BYTES_MAX + 1];
        assert_eq!(
            open.check(&session(), Role::Dialer, &long),
            Err(Rejected::Malformed)
        );
    }

    #[test]
    fn agents_are_made_harmless() {
        let open = keys("reef", None);
        let mut greeting = hello(&open);
        greeting.agent = format!("a\u{1b}[2J\n{}", "é".repeat(100));
        let read = open
            .check(&session(), Role::Dialer, &greeting.encode())
            .unwrap();
        assert!(read.agent.starts_with("a[2J é"), "{}", read.agent);
        assert!(read.agent.len() <= AGENT_BYTES_MAX);
    }

    #[test]
    fn aliases_tell_networks_apart_and_fit_a_service_name() {
        let aliases = [
            keys("reef", None),
            keys("reef", Some("s")),
            keys("sea", None),
        ]
        .map(|keys| keys.alias());
        assert!(aliases.iter().all(|alias| alias.len() == 8));
        assert_ne!(aliases[0], aliases[1]);
        assert_ne!(aliases[0], aliases[2]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(input in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&input);
        }

        #[test]
        fn no_altered_greeting_passes(at in 17usize..100, bit in 0u8..8) {
            // From byte 18 on: the sequence, the network's tag, the proof, the agent.
            let private = keys("reef", Some("s"));
            let mut bytes = hello(&private).encode();
            let proofs = 18..bytes.len() - "test/1".len() - 1;
            if proofs.contains(&at) {
                bytes[at] ^= 1 << bit;
                prop_assert!(private.check(&session(), Role::Dialer, &bytes).is_err());
            }
        }
    }
}
