//! Small records in files of their own: a magic, a version, a checksum and the
//! postcard encoding of the record.

use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: &[u8; 8] = b"gannet\r\n";
const HEADER_BYTES: usize = 8 + 4 + 32;

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// Too short, another magic, a wrong checksum, or not a record inside.
    #[error("it is damaged")]
    Damaged,
    /// A version that this program does not know.
    #[error("it has version {found}")]
    Version { found: u32 },
}

/// The file of a record.
pub(crate) fn seal<T: Serialize>(version: u32, record: &T) -> Vec<u8> {
    let payload =
        postcard::to_stdvec(record).expect("records are plain data, which always encodes");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&payload).as_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// The record of a file.
pub(crate) fn unseal<T: DeserializeOwned>(version: u32, bytes: &[u8]) -> Result<T, Broken> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Broken::Damaged)?;
    let (found, rest) = rest.split_first_chunk::<4>().ok_or(Broken::Damaged)?;
    let (checksum, payload) = rest.split_first_chunk::<32>().ok_or(Broken::Damaged)?;
    let found = u32::from_le_bytes(*found);
    if blake3::hash(payload) != *checksum {
        return Err(Broken::Damaged);
    }
    if found != version {
        return Err(Broken::Version { found });
    }
    postcard::from_bytes(payload).map_err(|_| Broken::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let record = ("name".to_owned(), vec![1_u64, 2, 3]);
        let bytes = seal(1, &record);
        assert_eq!(unseal(1, &bytes), Ok(record.clone()));
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[place] ^= 1 << bit;
                assert!(
                    unseal::<(String, Vec<u64>)>(1, &bad).is_err(),
                    "byte {place}"
                );
            }
            assert!(unseal::<(String, Vec<u64>)>(1, &bytes[..place]).is_err());
        }
        assert_eq!(
            unseal::<(String, Vec<u64>)>(1, &seal(2, &record)),
            Err(Broken::Version { found: 2 })
        );
    }

    #[test]
    fn the_format_stays() {
        let bytes = seal(1, &("a", 1_u8));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "67616e6e65740d0a",
                "01000000",
                "b4955c6b95fe87872267c9c2b64f36bd75ab0c31c2f0b0a9bcb2c43dfdeb6cf5",
                "016101"
            )
        );
    }
}
