//! The few file operations that downloads need, behind a trait, so that tests
//! can make each of them fail or lose power.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, RenameFlags, renameat_with};

/// Which file it is, whatever its name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct FileId {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// A file system.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory and its parents, readable by the owner alone.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens a regular file for reading and writing, without following a link.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a file that was not there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Which file has this name.
    fn id(&self, path: &Path) -> io::Result<FileId>;
    /// The bytes of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Renames, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; fails with `AlreadyExists` if the new name is taken.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory survive power loss.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Reads and writes may be short.
pub(crate) trait DiskFile: fmt::Debug + Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn id(&self) -> io::Result<FileId>;
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Makes the file `size` bytes long. Fails if there is no room for them, and
    /// keeps it from others where that takes no time.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Gives the room of these bytes back, where the file system can: they read as
    /// zeros then.
    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Makes the bytes survive power loss.
    fn sync(&self) -> io::Result<()>;
}

/// Bytes that can be read from anywhere in them. Reads may be short.
pub(crate) trait ReadAt: Sync {
    fn read_some(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;
}

impl<T: DiskFile + ?Sized> ReadAt for T {
    fn read_some(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.read_at(buffers, offset)
    }
}

impl ReadAt for File {
    fn read_some(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::preadv(self, buffers, offset)?)
    }
}

/// Fills `buffers` one after the other from `offset` on, however short the
/// reads are. The slices are consumed.
pub(crate) fn read_all(
    file: &(impl ReadAt + ?Sized),
    mut buffers: &mut [IoSliceMut<'_>],
    mut offset: u64,
) -> io::Result<()> {
    IoSliceMut::advance_slices(&mut buffers, 0);
    while !buffers.is_empty() {
        let some = buffers.len().min(BUFFERS_MAX);
        match file.read_some(&mut buffers[..some], offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                IoSliceMut::advance_slices(&mut buffers, n);
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `bytes`.
pub(crate) fn read_exact(
    file: &(impl ReadAt + ?Sized),
    bytes: &mut [u8],
    offset: u64,
) -> io::Result<()> {
    read_all(file, &mut [IoSliceMut::new(bytes)], offset)
}

/// Most buffers that one read or write takes.
// Source: IOV_MAX of Linux.
const BUFFERS_MAX: usize = 1_024;

/// Writes all of `buffers` side by side from `offset` on, however short the
/// writes are. The slices are consumed.
pub(crate) fn write_all(
    file: &dyn DiskFile,
    mut buffers: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut buffers, 0);
    while !buffers.is_empty() {
        let some = &buffers[..buffers.len().min(BUFFERS_MAX)];
        match file.write_at(some, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                IoSlice::advance_slices(&mut buffers, n);
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Replaces a small file so that after power loss either the old or the new
/// bytes are there.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".new");
    let new = path.with_file_name(name);
    match disk.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&new)?;
    write_all(file.as_ref(), &mut [IoSlice::new(bytes)], 0)?;
    file.sync()?;
    disk.rename(&new, path)?;
    disk.sync_dir(parent(path))
}

/// The directory of a file.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Whether an error says that the disk, or the user's part of it, is full.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The system's files.
#[derive(Debug)]
pub(crate) struct RealDisk;

/// Longest small file that is read whole.
// Guess: the groups of a file of 1 TiB in the worst order fit.
const SMALL_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl RealDisk {
    fn open_file(&self, path: &Path) -> io::Result<RealFile> {
        let file = options().open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file",
            ));
        }
        Ok(RealFile(file))
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.open_file(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = options().create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        let stat = fs::symlink_metadata(path)?;
        Ok(FileId {
            dev: stat.dev(),
            ino: stat.ino(),
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        options()
            .write(false)
            .open(path)?
            .take(SMALL_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(error) if lacks(error) => rename_new_by_link(from, to),
            Err(error) => Err(error.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

fn options() -> OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).expect("flags are small"));
    options
}

/// Whether the file system does not know the operation.
fn lacks(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&error)
}

/// For file systems that cannot refuse to replace: a link never replaces, and
/// where there are no links either, a file of one's own keeps the name.
fn rename_new_by_link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => return fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    options().create_new(true).open(to)?;
    fs::rename(from, to)
}

#[derive(Debug)]
pub(crate) struct RealFile(pub(crate) File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn id(&self) -> io::Result<FileId> {
        let stat = self.0.metadata()?;
        Ok(FileId {
            dev: stat.dev(),
            ino: stat.ino(),
        })
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::preadv(&self.0, buffers, offset)?)
    }

    fn write_at(&self, bytes: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, bytes, offset)?)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if size > self.len()? {
            self.reserve(size)?;
        }
        self.0.set_len(size)
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.0, flags, offset, bytes) {
            Err(error) if !lacks(error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The system's files, of which only parts are ever filled: no room is reserved for
/// the rest.
#[derive(Debug)]
pub(crate) struct SparseDisk;

impl Disk for SparseDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open_file(path)?;
        Ok(Box::new(SparseFile(file)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = options().create_new(true).open(path)?;
        Ok(Box::new(SparseFile(RealFile(file))))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        RealDisk.id(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct SparseFile(RealFile);

impl DiskFile for SparseFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn id(&self) -> io::Result<FileId> {
        self.0.id()
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffers, offset)
    }

    fn write_at(&self, bytes: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.0.0.set_len(size)
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.0.punch(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl RealFile {
    /// In memory, reserving would be as slow as writing, and everything waits
    /// for it: there it is only asked whether there is room now.
    fn reserve(&self, size: u64) -> io::Result<()> {
        if self.is_in_memory() {
            let stat = rustix::fs::fstatvfs(&self.0)?;
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let is_limited = stat.f_blocks > 0;
            if is_limited && free < size.saturating_sub(self.len()?) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(error) if lacks(error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(&self) -> bool {
        // Source: TMPFS_MAGIC of linux/magic.h.
        const TMPFS: rustix::fs::FsWord = 0x0102_1994;
        rustix::fs::fstatfs(&self.0).is_ok_and(|stat| stat.f_type == TMPFS)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_in_memory(&self) -> bool {
        false
    }
}

/// A path as bytes, for a record.
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}

/// A path out of a record.
pub(crate) fn bytes_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renaming_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            dir.path().join("a"),
            dir.path().join("b"),
            dir.path().join("c"),
        );
        for rename in [
            (|from, to| RealDisk.rename_new(from, to)) as fn(&Path, &Path) -> io::Result<()>,
            rename_new_by_link,
        ] {
            fs::write(&a, b"new").unwrap();
            fs::write(&b, b"old").unwrap();
            let taken = rename(&a, &b).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&b).unwrap(), b"old");
            rename(&a, &c).unwrap();
            assert!(!a.exists());
            assert_eq!(fs::read(&c).unwrap(), b"new");
            fs::remove_file(&c).unwrap();
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn files_in_memory_are_not_filled_but_must_fit() {
        let on_disk = tempfile::tempdir().unwrap();
        let in_memory = tempfile::tempdir_in("/dev/shm").unwrap();
        for dir in [&on_disk, &in_memory] {
            let path = dir.path().join("f");
            let file = RealDisk.create(&path).unwrap();
            file.allocate(100_000).unwrap();
            assert_eq!(file.len().unwrap(), 100_000);
        }
        let path = in_memory.path().join("f");
        assert_eq!(fs::metadata(&path).unwrap().blocks(), 0);
        let file = RealDisk.open(&path).unwrap();
        let error = file.allocate(1 << 60).unwrap_err();
        assert!(is_disk_full(&error), "{error}");
        assert_eq!(file.len().unwrap(), 100_000);
    }

    #[test]
    fn links_and_special_files_are_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link, fifo) = (
            dir.path().join("real"),
            dir.path().join("link"),
            dir.path().join("fifo"),
        );
        fs::write(&real, b"x").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        rustix::fs::mkfifoat(CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        assert!(RealDisk.open(&real).is_ok());
        assert!(RealDisk.open(&link).is_err());
        assert!(RealDisk.open(&fifo).is_err());
        assert!(RealDisk.create(&link).is_err());
    }

    #[test]
    fn many_buffers_are_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&dir.path().join("f")).unwrap();
        let parts: Vec<Vec<u8>> = (0..3_000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let mut buffers: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        write_all(file.as_ref(), &mut buffers, 5).unwrap();
        let mut read = vec![0; 12_000];
        read_exact(file.as_ref(), &mut read, 5).unwrap();
        assert_eq!(read, parts.concat());
        let past_the_end = read_exact(file.as_ref(), &mut read, 6).unwrap_err();
        assert_eq!(past_the_end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
