//! A file system in memory that fails and loses power on request.
//!
//! What a real disk promises is all that it keeps: bytes survive a crash if
//! their file was synced after them, names if their directory was. Of what was
//! not synced a crash keeps nothing, everything, or some of it, torn.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::backend::{Disk, DiskFile, FileId, parent};

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Nothing,
    Everything,
    /// Some of it, by this seed.
    Some(u64),
}

#[derive(Debug, Clone)]
pub(super) struct FakeDisk(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<u64, Bytes>,
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the last sync, oldest first.
    renames: Vec<Rename>,
    next_file: u64,
    /// Operations that change something or sync it, so far.
    operations: u64,
    /// The operation that fails, and how; later ones work again.
    fail: Option<(u64, io::ErrorKind)>,
    /// The operation before which power is lost.
    crash: Option<u64>,
    /// Whether reads and writes are as short as they can be.
    short: bool,
}

#[derive(Debug, Clone)]
struct Rename {
    removed: Option<PathBuf>,
    added: Option<(PathBuf, u64)>,
}

#[derive(Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Writes since the last sync, oldest first.
    writes: Vec<(u64, Vec<u8>)>,
}

impl FakeDisk {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    pub(super) fn operations(&self) -> u64 {
        self.with(|world| world.operations)
    }

    pub(super) fn fail_at(&self, operation: u64, kind: io::ErrorKind) {
        self.with(|world| world.fail = Some((operation, kind)));
    }

    pub(super) fn crash_at(&self, operation: u64) {
        self.with(|world| world.crash = Some(operation));
    }

    pub(super) fn short(&self) {
        self.with(|world| world.short = true);
    }

    pub(super) fn is_down(&self) -> bool {
        self.with(|world| world.crash.is_some_and(|at| world.operations >= at))
    }

    /// The disk as it is when power is back.
    pub(super) fn reboot(&self, crash: Crash) -> Self {
        let world = self.0.lock().unwrap();
        let mut random = match crash {
            Crash::Some(seed) => seed | 1,
            _ => 1,
        };
        let mut chance = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random >> 11
        };
        let mut after = World {
            next_file: world.next_file,
            ..World::default()
        };
        for (number, bytes) in &world.files {
            let mut kept = bytes.synced.clone();
            for (offset, write) in &bytes.writes {
                let length = match crash {
                    Crash::Nothing => 0,
                    Crash::Everything => write.len(),
                    // Lost, whole, or torn.
                    Crash::Some(_) => match chance() % 3 {
                        0 => 0,
                        1 => write.len(),
                        _ => usize::try_from(chance()).unwrap() % (write.len() + 1),
                    },
                };
                put(&mut kept, *offset, &write[..length]);
            }
            after.files.insert(
                *number,
                Bytes {
                    now: kept.clone(),
                    synced: kept,
                    writes: Vec::new(),
                },
            );
        }
        after.names = world.synced_names.clone();
        let kept = match crash {
            Crash::Nothing => 0,
            Crash::Everything => world.renames.len(),
            Crash::Some(_) => usize::try_from(chance()).unwrap() % (world.renames.len() + 1),
        };
        for rename in &world.renames[..kept] {
            rename.apply(&mut after.names);
        }
        after.synced_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// All of a file.
    pub(super) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|world| {
            let number = world.names.get(path)?;
            Some(world.files[number].now.clone())
        })
    }

    pub(super) fn names(&self) -> Vec<PathBuf> {
        self.with(|world| world.names.keys().cloned().collect())
    }

    pub(super) fn flip(&self, path: &Path, place: usize) {
        self.with(|world| {
            let number = world.names[path];
            world.files.get_mut(&number).unwrap().now[place] ^= 1;
        });
    }

    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let file = self.open(path).or_else(|_| self.create(path)).unwrap();
        crate::backend::write_all(file.as_ref(), &mut [IoSlice::new(bytes)], 0).unwrap();
        file.sync().unwrap();
        self.sync_dir(parent(path)).unwrap();
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        if let Some(path) = &self.removed {
            names.remove(path);
        }
        if let Some((path, number)) = &self.added {
            names.insert(path.clone(), *number);
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        let added = self.added.as_ref().map(|(path, _)| path);
        self.removed
            .iter()
            .chain(added)
            .any(|path| parent(path) == dir)
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    let start = usize::try_from(offset).unwrap();
    if bytes.len() < start + new.len() {
        bytes.resize(start + new.len(), 0);
    }
    bytes[start..start + new.len()].copy_from_slice(new);
}

impl World {
    /// Counts an operation, and fails it if it is its turn.
    fn operation(&mut self) -> io::Result<()> {
        if self.crash.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("no power"));
        }
        self.operations += 1;
        match self.fail {
            Some((at, kind)) if at == self.operations => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn number(&self, path: &Path) -> io::Result<u64> {
        let number = self.names.get(path).copied();
        number.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, rename: Rename) {
        rename.apply(&mut self.names);
        self.renames.push(rename);
    }
}

impl Disk for FakeDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.with(World::operation)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = self.with(|world| world.number(path))?;
        Ok(Box::new(FakeFile(self.clone(), number)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = self.with(|world| {
            world.operation()?;
            if world.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            world.next_file += 1;
            let number = world.next_file;
            world.files.insert(number, Bytes::default());
            world.rename(Rename {
                removed: None,
                added: Some((path.to_owned(), number)),
            });
            Ok::<_, io::Error>(number)
        })?;
        Ok(Box::new(FakeFile(self.clone(), number)))
    }

    fn id(&self, path: &Path) -> io::Result<FileId> {
        let ino = self.with(|world| world.number(path))?;
        Ok(FileId { dev: 1, ino })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.bytes(path)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|world| {
            world.operation()?;
            let number = world.number(from)?;
            world.rename(Rename {
                removed: Some(from.to_owned()),
                added: Some((to.to_owned(), number)),
            });
            Ok(())
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.with(|world| world.names.contains_key(to)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|world| {
            world.operation()?;
            world.number(path)?;
            world.rename(Rename {
                removed: Some(path.to_owned()),
                added: None,
            });
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.with(|world| {
            world.operation()?;
            // A journal keeps the order: what came before is kept too.
            let last = world.renames.iter().rposition(|rename| rename.touches(dir));
            let kept = last.map_or(0, |last| last + 1);
            for rename in world.renames.drain(..kept) {
                rename.apply(&mut world.synced_names);
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct FakeFile(FakeDisk, u64);

impl FakeFile {
    fn with<T>(&self, act: impl FnOnce(&mut World, u64) -> T) -> T {
        self.0.with(|world| act(world, self.1))
    }
}

impl DiskFile for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|world, number| world.files[&number].now.len() as u64))
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId {
            dev: 1,
            ino: self.1,
        })
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.with(|world, number| {
            let start = usize::try_from(offset).unwrap();
            let bytes = world.files[&number].now.get(start..).unwrap_or_default();
            let Some(first) = buffers.iter_mut().find(|buffer| !buffer.is_empty()) else {
                return Ok(0);
            };
            let most = if world.short { 1 } else { first.len() };
            let length = bytes.len().min(most);
            first[..length].copy_from_slice(&bytes[..length]);
            Ok(length)
        })
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.with(|world, number| {
            world.operation()?;
            let mut bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.to_vec()).collect();
            if world.short {
                bytes.truncate(1_000);
            }
            let file = world.files.get_mut(&number).unwrap();
            put(&mut file.now, offset, &bytes);
            let length = bytes.len();
            file.writes.push((offset, bytes));
            Ok(length)
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.with(|world, number| {
            world.operation()?;
            let size = usize::try_from(size).unwrap();
            let file = world.files.get_mut(&number).unwrap();
            file.now.resize(size, 0);
            file.synced.resize(size, 0);
            Ok(())
        })
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.with(|world, number| {
            world.operation()?;
            let zeros = vec![0; usize::try_from(bytes).unwrap()];
            put(
                &mut world.files.get_mut(&number).unwrap().now,
                offset,
                &zeros,
            );
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|world, number| {
            let outcome = world.operation();
            let file = world.files.get_mut(&number).unwrap();
            match outcome {
                Ok(()) => {
                    file.synced = file.now.clone();
                    file.writes.clear();
                    Ok(())
                }
                // What a failed sync was given is lost, and the next one does
                // not say so: the worst that real kernels do.
                Err(error) => {
                    file.writes.clear();
                    Err(error)
                }
            }
        })
    }
}
