//! Bringing a data directory of an earlier version up to date.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Copies aside what a step might spoil: the files that lie directly in the
/// data directory. Hash trees and parts of downloads are not among them; they
/// are verified whenever they are used.
///
/// A copy that an interrupted upgrade left is made anew: as long as the stamp is
/// the old one, the originals are still there.
pub(super) fn back_up(data_dir: &Path, format: u32) -> io::Result<PathBuf> {
    let backup = data_dir.join(format!("backup-of-format-{format}"));
    let unfinished = data_dir.join("backup-unfinished");
    for old in [&unfinished, &backup] {
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    super::opening::make_private_dir(&unfinished)?;
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != "lock" {
            let copy = unfinished.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            fs::File::open(&copy)?.sync_all()?;
        }
    }
    fs::rename(&unfinished, &backup)?;
    fs::File::open(data_dir)?.sync_all()?;
    Ok(backup)
}

/// What has to be done to a directory of this format so that it is one of the
/// next. Done again after a crash, it must do no harm.
pub(super) fn step(data_dir: &Path, from: u32) -> io::Result<()> {
    match from {
        // Format 2 can hold parts that are kept for others. A version that knows
        // nothing of them must not run on them: it would not keep its word.
        1 => super::opening::make_private_dir(&data_dir.join("kept")),
        _ => Err(io::Error::other("nobody knows this format")),
    }
}

#[cfg(test)]
mod tests {
    use crate::{OpenError, Store, StoreConfig};

    #[test]
    fn an_older_directory_is_brought_up_to_date_and_can_be_had_back() {
        let dir = tempfile::tempdir().unwrap();
        let (data, share) = (dir.path().join("data"), dir.path().join("share"));
        std::fs::create_dir(&share).unwrap();
        std::fs::write(share.join("a"), b"hello").unwrap();
        let config = || StoreConfig::new(data.clone(), dir.path().join("finished"));
        let store = Store::open(config()).unwrap();
        store.add_share(&share, false).unwrap();
        drop(store);
        std::fs::write(data.join("version"), "gannet-store 1\n").unwrap();
        std::fs::write(data.join("identity.key"), b"key").unwrap();
        std::fs::create_dir(data.join("backup-unfinished")).unwrap();

        let store = Store::open(config()).unwrap();
        assert_eq!(store.shares().unwrap().len(), 1);
        let told = store.warnings().join(" ");
        assert!(told.contains("backup-of-format-1"), "{told}");
        drop(store);
        let backup = data.join("backup-of-format-1");
        for name in ["identity.key", "version", "shares", "catalogue.redb"] {
            assert!(backup.join(name).is_file(), "{name}");
        }
        let was = std::fs::read_to_string(backup.join("version")).unwrap();
        assert_eq!(was, "gannet-store 1\n");
        let now = std::fs::read_to_string(data.join("version")).unwrap();
        assert_eq!(now, "gannet-store 2\n");
        assert!(Store::open(config()).unwrap().warnings().is_empty());
    }

    #[test]
    fn what_nobody_knows_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("version"), "gannet-store 0\n").unwrap();
        let config = StoreConfig::new(data.clone(), dir.path().join("finished"));
        let error = Store::open(config).unwrap_err();
        assert!(matches!(error, OpenError::Stamp { .. }), "{error}");
        assert_eq!(
            std::fs::read_dir(&data).unwrap().count(),
            2,
            "lock and stamp"
        );
    }
}
