//! One program at a time per data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::OpenError;

/// Held as long as the store is open. The system lets go of it when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of a data directory.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join("lock");
        let failed = |source: io::Error| OpenError::Io {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = (&file).take(32).read_to_string(&mut text);
                return Err(OpenError::InUse {
                    path: data_dir.to_owned(),
                    pid: read.ok().and_then(|_| text.trim().parse().ok()),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let refused = DirLock::take(dir.path()).unwrap_err();
        let mine = std::process::id();
        assert!(
            matches!(refused, OpenError::InUse { pid: Some(pid), .. } if pid == mine),
            "{refused:?}"
        );
        drop(first);
        DirLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_stale_file_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "99999999999999\n").unwrap();
        DirLock::take(dir.path()).unwrap();
    }
}
