//! Room on the disk.

use std::io;
use std::path::Path;

use crate::Store;

impl Store {
    /// Bytes that may still be written to the disk of the download folder, or
    /// of its nearest parent that exists.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.inner.config.download_dir)
    }
}

/// Bytes free on the disk of a folder, or of its nearest parent that exists.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let exists = folder.ancestors().find(|ancestor| ancestor.exists());
    let stat = rustix::fs::statvfs(exists.unwrap_or(folder))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use crate::{Store, StoreConfig};

    #[test]
    fn room_is_told_before_the_folder_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(dir.path().join("data"), dir.path().join("not/there"));
        let store = Store::open(config).unwrap();
        assert!(store.free_bytes().unwrap() > 0);
    }
}
