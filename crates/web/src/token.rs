//! The token, and the file that hands it to those who may use it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use gannet_base::PeerId;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::API_FILE;

/// 256 random bits in hexadecimal: whoever has them may do everything.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Token(String);

impl Token {
    /// A new one from the system's random source.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }

    /// The text that goes after `Bearer`.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token; takes as long for a near miss as for
    /// a far one.
    pub(crate) fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The file with the token that opens the metrics and nothing else. It stays the
/// same, so that a Prometheus server can be given it once.
pub(crate) const METRICS_TOKEN_FILE: &str = "metrics.token";

/// Reads the token for the metrics, or makes one if there is none that can be
/// used.
pub(crate) fn metrics_token(data_dir: &Path) -> io::Result<Token> {
    let path = data_dir.join(METRICS_TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = text.trim();
            let bytes = HEXLOWER.decode(text.as_bytes());
            if bytes.is_ok_and(|bytes| bytes.len() == 32) {
                return Ok(Token(text.to_owned()));
            }
            fs::remove_file(&path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => fs::remove_file(&path)?,
        Err(error) => return Err(error),
    }
    let token = Token::random().map_err(io::Error::other)?;
    let mut file = create_private(&path)?;
    file.write_all(token.text().as_bytes())?;
    file.sync_all()?;
    Ok(token)
}

/// What `api.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ApiFile {
    /// Where the API listens.
    pub(crate) address: SocketAddr,
    /// What to show there.
    pub(crate) token: Token,
    /// The process that listens.
    pub(crate) pid: u32,
    /// The peer that it is, as it is written everywhere.
    #[serde(with = "as_text")]
    pub(crate) peer: PeerId,
}

/// A peer id as its text, whatever its own form in JSON is.
mod as_text {
    use gannet_base::PeerId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(peer: &PeerId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(peer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PeerId, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl ApiFile {
    /// Where the file is.
    pub(crate) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(API_FILE)
    }

    /// Reads it.
    pub(crate) fn read(data_dir: &Path) -> io::Result<Self> {
        let text = fs::read(Self::path(data_dir))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Puts it into place in one step; nobody else can read it at any moment,
    /// and a reader sees the old one or the new one.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<PathBuf> {
        let path = Self::path(data_dir);
        let beside = path.with_extension("json.new");
        // Left over from a crash: the data directory has one owner at a time.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let text = serde_json::to_vec(self).map_err(io::Error::from)?;
        let mut file = create_private(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &path)?;
        Ok(path)
    }

    /// Removes it, unless another process has put its own there since.
    pub(crate) fn remove(&self, data_dir: &Path) {
        let ours = Self::read(data_dir)
            .is_ok_and(|found| found.token.matches(self.token.text().as_bytes()));
        if ours
            && let Err(error) = fs::remove_file(Self::path(data_dir))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "cannot remove {API_FILE}");
        }
    }
}

/// A new file that only its owner may read, from its first moment on.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(token: Token) -> ApiFile {
        ApiFile {
            address: SocketAddr::from(([127, 0, 0, 1], 7)),
            token,
            pid: 1,
            peer: PeerId::from_bytes([3; 32]),
        }
    }

    #[test]
    fn tokens_are_256_random_bits_and_compare_whole() {
        let token = Token::random().unwrap();
        assert_eq!(HEXLOWER.decode(token.text().as_bytes()).unwrap().len(), 32);
        let text = token.text().to_owned();
        assert!(token.matches(text.as_bytes()));
        for wrong in [
            "",
            &text[1..],
            &text[..63],
            &format!("{text}0"),
            &text.to_uppercase(),
        ] {
            assert!(wrong == text || !token.matches(wrong.as_bytes()), "{wrong}");
        }
        assert!(!token.matches(Token::random().unwrap().text().as_bytes()));
        assert!(!format!("{token:?}").contains(&text));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_replaces_what_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = ApiFile::path(dir.path());
        fs::write(&path, "old, and readable by everybody").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(path.with_extension("json.new"), "left over").unwrap();
        let ours = file(Token::random().unwrap());
        assert_eq!(ours.write(dir.path()).unwrap(), path);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let read = ApiFile::read(dir.path()).unwrap();
        assert_eq!(read.token.text(), ours.token.text());
    }

    #[test]
    fn the_token_for_metrics_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(METRICS_TOKEN_FILE);
        let first = metrics_token(dir.path()).unwrap();
        assert_eq!(metrics_token(dir.path()).unwrap().text(), first.text());
        for wrong in [&b""[..], b"secret", b"\xff\xff"] {
            fs::write(&path, wrong).unwrap();
            let next = metrics_token(dir.path()).unwrap();
            assert_eq!(next.text().len(), 64);
            assert_eq!(fs::read_to_string(&path).unwrap(), next.text());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let ours = file(Token::random().unwrap());
        let theirs = file(Token::random().unwrap());
        ours.write(dir.path()).unwrap();
        theirs.write(dir.path()).unwrap();
        ours.remove(dir.path());
        assert!(ApiFile::path(dir.path()).exists());
        theirs.remove(dir.path());
        assert!(!ApiFile::path(dir.path()).exists());
        theirs.remove(dir.path());
    }
}
