//! TLS 1.3 with the keys that peers have anyway (RFC 7250): each side expects
//! one key and accepts no other.

use std::io;
use std::sync::Arc;

use gannet_base::PeerId;
use iroh::SecretKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, alg_id};
use rustls::server::UnbufferedServerConnection;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey, public_key_to_spki};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    InvalidMessage, PeerIncompatible, ServerConfig, SignatureAlgorithm, SignatureScheme,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::record::{self, Kernel, Opener, Sealer};

/// The name of the protocol in the TLS handshake.
const ALPN: &[u8] = b"gannet-lane/1";

/// Most bytes of a handshake that are waiting to be understood. A whole one has
/// less than one kilobyte each way.
const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;

/// A connection that has been made.
#[derive(Debug)]
pub(super) struct Encrypted {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
    /// Content that came with the end of the handshake.
    pub(super) early: Vec<u8>,
    /// Records behind that, as they came.
    pub(super) unread: Vec<u8>,
}

/// Makes a connection as the side that dialled.
pub(super) async fn dial(
    tcp: &mut TcpStream,
    key: &SecretKey,
    peer: PeerId,
) -> io::Result<Encrypted> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Only::new(peer)))
        .with_client_cert_resolver(Arc::new(Own::new(key)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_secret_extraction = true;
    // Not sent: the key is what is checked.
    let name = ServerName::try_from("gannet.invalid").map_err(io::Error::other)?;
    let connection =
        UnbufferedClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    handshake(tcp, Connection::Client(connection)).await
}

/// Makes a connection as the side that was dialled.
pub(super) async fn accept(
    tcp: &mut TcpStream,
    key: &SecretKey,
    peer: PeerId,
) -> io::Result<Encrypted> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(Only::new(peer)))
        .with_cert_resolver(Arc::new(Own::new(key)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.enable_secret_extraction = true;
    let connection = UnbufferedServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
    handshake(tcp, Connection::Server(connection)).await
}

/// AES-128 is as fast as it gets where processors have it built in; without,
/// ChaCha20 is. The dialling side's order counts.
fn provider() -> Arc<CryptoProvider> {
    let mut suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    if !has_aes() {
        suites.reverse();
    }
    Arc::new(CryptoProvider {
        cipher_suites: suites,
        ..ring::default_provider()
    })
}

fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    return false;
}

enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What a handshake needs next.
enum Step {
    /// To be asked again.
    Again,
    /// What has been encoded must be sent.
    Send,
    /// More from the other side.
    Receive,
    /// Nothing: it is done.
    Done,
}

async fn handshake(tcp: &mut TcpStream, mut connection: Connection) -> io::Result<Encrypted> {
    let (mut incoming, mut outgoing, mut early) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let (discard, next) = match &mut connection {
            Connection::Client(client) => step(
                client.process_tls_records(&mut incoming),
                &mut outgoing,
                &mut early,
            ),
            Connection::Server(server) => step(
                server.process_tls_records(&mut incoming),
                &mut outgoing,
                &mut early,
            ),
        };
        incoming.drain(..discard);
        match next.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Step::Again => {}
            Step::Send => {
                tcp.write_all(&outgoing).await?;
                outgoing.clear();
            }
            Step::Receive => {
                if incoming.len() >= HANDSHAKE_BYTES_MAX {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let mut piece = [0; 2048];
                let bytes = tcp.read(&mut piece).await?;
                if bytes == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                incoming.extend_from_slice(&piece[..bytes]);
            }
            Step::Done => break,
        }
    }
    let (sealer, opener) = split(connection).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Encrypted {
        sealer,
        opener,
        early,
        unread: incoming,
    })
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    early: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { discard, state } = status;
    let next = state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(mut data) => {
            let start = outgoing.len();
            outgoing.resize(start + 1024, 0);
            let mut encoded = data.encode(&mut outgoing[start..]);
            if let Err(EncodeError::InsufficientSize(needed)) = encoded {
                outgoing.resize(start + needed.required_size, 0);
                encoded = data.encode(&mut outgoing[start..]);
            }
            let bytes = encoded.map_err(|error| Error::General(error.to_string()))?;
            outgoing.truncate(start + bytes);
            Ok(Step::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Send)
        }
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                early.extend_from_slice(record?.payload);
            }
            Ok(Step::Again)
        }
        ConnectionState::BlockedHandshake => Ok(Step::Receive),
        ConnectionState::WriteTraffic(_) => Ok(Step::Done),
        // Closed before it began, or data before it could be trusted.
        _ => Err(Error::InvalidMessage(InvalidMessage::UnexpectedMessage(
            "a handshake that ended early",
        ))),
    });
    (discard, next)
}

fn split(connection: Connection) -> Option<(Sealer, Opener)> {
    let (secrets, kernel) = match connection {
        Connection::Client(client) => {
            let (secrets, kernel) = client.dangerous_into_kernel_connection().ok()?;
            (secrets, Kernel::Client(kernel))
        }
        Connection::Server(server) => {
            let (secrets, kernel) = server.dangerous_into_kernel_connection().ok()?;
            (secrets, Kernel::Server(kernel))
        }
    };
    let suite = match &kernel {
        Kernel::Client(kernel) => kernel.negotiated_cipher_suite(),
        Kernel::Server(kernel) => kernel.negotiated_cipher_suite(),
    };
    record::layers(suite, secrets, kernel)
}

/// This peer's key as a certificate.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl Own {
    fn new(key: &SecretKey) -> Self {
        let key = OwnKey(key.clone());
        let spki = public_key_to_spki(&alg_id::ED25519, key.0.public().as_bytes());
        let certificate = CertificateDer::from(spki.to_vec());
        Self(Arc::new(CertifiedKey::new(
            vec![certificate],
            Arc::new(key),
        )))
    }
}

impl rustls::client::ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl rustls::server::ResolvesServerCert for Own {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct OwnKey(SecretKey);

impl SigningKey for OwnKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(
            &alg_id::ED25519,
            self.0.public().as_bytes(),
        ))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for OwnKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts one peer's key and no other.
#[derive(Debug)]
struct Only {
    key: SubjectPublicKeyInfoDer<'static>,
}

impl Only {
    fn new(peer: PeerId) -> Self {
        Self {
            key: public_key_to_spki(&alg_id::ED25519, peer.as_bytes()),
        }
    }

    fn check(
        &self,
        shown: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if shown.as_ref() == self.key.as_ref() && further.is_empty() {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn check_signature(
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms)
    }
}

fn no_tls12() -> Error {
    PeerIncompatible::Tls12NotOffered.into()
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(shown, further)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Only {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(shown, further)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::check_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
