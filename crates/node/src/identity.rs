//! The peer's key: made once, kept in the data directory, mode 0600.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

/// The key file's name in the data directory.
const FILE: &str = "identity.key";

/// Reads the peer's key, or makes one. The file holds the 32 secret bytes.
///
/// A file of another length is an error, never overwritten: it may be
/// somebody's identity.
pub(crate) fn load_or_create(data_dir: &Path) -> Result<SigningKey, (PathBuf, io::Error)> {
    let path = data_dir.join(FILE);
    read_or_create(&path).map_err(|error| (path, error))
}

fn read_or_create(path: &Path) -> io::Result<SigningKey> {
    match fs::File::open(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(33).read_to_end(&mut bytes)?;
            let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the key file is not 32 bytes long",
                )
            })?;
            Ok(SigningKey::from_bytes(&bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<SigningKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    // Under another name first: a key cut short by a crash must not be taken
    // for one.
    let half = path.with_extension("key.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&half)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    Ok(SigningKey::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        let again = load_or_create(dir.path()).unwrap();
        assert_eq!(first.to_bytes(), again.to_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(FILE))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, [1; 31]).unwrap();
        assert!(load_or_create(dir.path()).is_err());
        assert_eq!(fs::read(&path).unwrap(), [1; 31]);
    }
}
