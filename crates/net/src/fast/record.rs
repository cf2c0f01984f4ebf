//! The record layer of TLS 1.3 (RFC 8446, section 5), each direction by itself.
//!
//! rustls makes the connection and keeps its secrets; this does what a kernel
//! with TLS would do with them, through the same interface. It spares the lock
//! that both directions of a rustls connection would share, and two copies of
//! every byte. The cipher is rustls's own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ClientConnectionData;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage,
};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
    Tls13CipherSuite,
};

/// Bytes of content in a full record.
pub(super) const RECORD_BYTES_MAX: usize = 16_384;
/// Bytes before the ciphertext of a record.
pub(super) const HEADER_BYTES: usize = 5;
/// Bytes of ciphertext in a record at most (RFC 8446, section 5.2).
const CIPHERTEXT_BYTES_MAX: usize = RECORD_BYTES_MAX + 256;
/// Bytes of the largest record.
pub(super) const WIRE_BYTES_MAX: usize = HEADER_BYTES + CIPHERTEXT_BYTES_MAX;

/// Records sent with one key.
// Source: RFC 8446, section 5.5: 2^24.5 full records of AES-GCM; an eighth of it,
// 32 GiB.
const RECORDS_PER_KEY: u64 = 1 << 21;

/// `KeyUpdate(update_not_requested)` (RFC 8446, section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// What a record turned out not to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordError {
    /// It is too long, or of a kind that has no place here.
    Unexpected,
    /// It was not made with the key: somebody altered it.
    Forged,
    /// The other side closed the connection in good order.
    Closed,
}

/// A rustls connection after its handshake, whichever side.
pub(super) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// The next keys of both directions.
struct Keys {
    suite: &'static Tls13CipherSuite,
    kernel: Mutex<Kernel>,
}

/// Encrypts what is sent.
pub(super) struct Sealer {
    keys: Arc<Keys>,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
    records_per_key: u64,
}

/// Decrypts what is received.
pub(super) struct Opener {
    keys: Arc<Keys>,
    decrypter: Box<dyn MessageDecrypter>,
    sequence: u64,
}

/// Both directions of a connection that has been made.
pub(super) fn layers(
    suite: SupportedCipherSuite,
    secrets: rustls::ExtractedSecrets,
    kernel: Kernel,
) -> Option<(Sealer, Opener)> {
    let suite = suite.tls13()?;
    let keys = Arc::new(Keys {
        suite,
        kernel: Mutex::new(kernel),
    });
    let (key, iv) = parts(secrets.tx.1)?;
    let sealer = Sealer {
        keys: keys.clone(),
        encrypter: suite.aead_alg.encrypter(key, iv),
        sequence: secrets.tx.0,
        records_per_key: RECORDS_PER_KEY,
    };
    let (key, iv) = parts(secrets.rx.1)?;
    let opener = Opener {
        keys,
        decrypter: suite.aead_alg.decrypter(key, iv),
        sequence: secrets.rx.0,
    };
    Some((sealer, opener))
}

fn parts(secrets: ConnectionTrafficSecrets) -> Option<(AeadKey, Iv)> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Some((key, iv)),
        _ => None,
    }
}

impl Keys {
    fn next(&self, for_sending: bool) -> Option<(AeadKey, Iv)> {
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = match (&mut *kernel, for_sending) {
            (Kernel::Client(kernel), true) => kernel.update_tx_secret(),
            (Kernel::Client(kernel), false) => kernel.update_rx_secret(),
            (Kernel::Server(kernel), true) => kernel.update_tx_secret(),
            (Kernel::Server(kernel), false) => kernel.update_rx_secret(),
        };
        parts(secrets.ok()?.1)
    }
}

impl Sealer {
    /// The records for this content: at most one more than it fills, as a key
    /// is changed now and then. `None` if the connection must not go on.
    pub(super) fn seal(
        &mut self,
        content: &OutboundChunks<'_>,
        out: &mut Vec<Vec<u8>>,
    ) -> Option<()> {
        let mut left = content.clone();
        while !left.is_empty() {
            if self.sequence >= self.records_per_key {
                let update = OutboundChunks::Single(&KEY_UPDATE);
                out.push(self.record(ContentType::Handshake, update)?);
                let (key, iv) = self.keys.next(true)?;
                self.encrypter = self.keys.suite.aead_alg.encrypter(key, iv);
                self.sequence = 0;
            }
            let (now, later) = left.split_at(RECORD_BYTES_MAX.min(left.len()));
            out.push(self.record(ContentType::ApplicationData, now)?);
            left = later;
        }
        Some(())
    }

    fn record(&mut self, typ: ContentType, payload: OutboundChunks<'_>) -> Option<Vec<u8>> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_3,
            payload,
        };
        let sealed = self.encrypter.encrypt(message, self.sequence).ok()?;
        self.sequence += 1;
        Some(sealed.encode())
    }

    #[cfg(test)]
    pub(super) fn change_keys_every(&mut self, records: u64) {
        self.records_per_key = records;
    }
}

impl Opener {
    /// How many bytes the record at the front of `bytes` has, header included;
    /// `None` if that is not there yet.
    pub(super) fn record_bytes(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let is_data = ContentType::from(header[0]) == ContentType::ApplicationData;
        if !is_data || length > CIPHERTEXT_BYTES_MAX {
            return Err(RecordError::Unexpected);
        }
        Ok(Some(HEADER_BYTES + length))
    }

    /// Decrypts one whole record where it is; empty if it held no content.
    pub(super) fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a [u8], RecordError> {
        let message = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            &mut record[HEADER_BYTES..],
        );
        let plain = self
            .decrypter
            .decrypt(message, self.sequence)
            .map_err(|_| RecordError::Forged)?;
        self.sequence += 1;
        match plain.typ {
            ContentType::ApplicationData => Ok(plain.payload),
            ContentType::Handshake if plain.payload == KEY_UPDATE => {
                let (key, iv) = self.keys.next(false).ok_or(RecordError::Unexpected)?;
                self.decrypter = self.keys.suite.aead_alg.decrypter(key, iv);
                self.sequence = 0;
                Ok(&[])
            }
            ContentType::Alert
                if plain.payload.get(1) == Some(&u8::from(AlertDescription::CloseNotify)) =>
            {
                Err(RecordError::Closed)
            }
            _ => Err(RecordError::Unexpected),
        }
    }
}

/// Never shows a key.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// Never shows a key.
impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
