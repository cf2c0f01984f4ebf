//! Hashing: content id and outboard of a file in one pass.
//!
//! The file is cut into units, whole subtrees of the BLAKE3 tree. Threads take
//! units in file order, so that a disk sees one forward read however many
//! threads there are, and write each unit's pairs where they belong. The pairs
//! above the units follow at the end. Memory: a unit's bytes per thread and
//! 32 bytes per unit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blake3::hazmat::ChainingValue;
use gannet_base::{ContentId, GROUP_BYTES, groups_in};
use rayon::ThreadPool;

use crate::backend::{ReadAt, read_exact};
use crate::outboard::{
    GROUP_LEN, Node, PAIR_BYTES, PAIR_BYTES_64, group_hash, join, outboard_bytes, parent_hash,
};

/// Groups of a unit; a power of two.
// Measured: 512 KiB stays in the second-level cache between the read and the hash.
const UNIT_GROUPS: u64 = 32;
const UNIT_BYTES: u64 = UNIT_GROUPS * GROUP_BYTES;
const UNIT_LEN: usize = 32 * GROUP_LEN;
const _: () = assert!(UNIT_GROUPS.is_power_of_two() && UNIT_LEN as u64 == UNIT_BYTES);

/// From this size on a file is hashed by all threads together; smaller ones
/// are hashed one per thread.
// Guess: sixteen units, so that no thread waits long for another.
pub(crate) const PARALLEL_BYTES_MIN: u64 = 16 * UNIT_BYTES;

/// Who is asked before each read: it counts, waits to keep to a rate, and says
/// whether to go on.
pub(crate) trait Pace: Sync {
    /// Waits until `bytes` more may be read; false to stop.
    fn take(&self, bytes: u64) -> bool;
}

/// Why a file was not hashed.
#[derive(Debug)]
pub(crate) enum HashError {
    /// It was told to stop.
    Stopped,
    /// The file could not be read, or is shorter than it was.
    Read(io::Error),
    /// The outboard could not be written.
    Outboard(io::Error),
}

/// Hashes the first `size` bytes of `file`. `outboard`, if given, receives the
/// pairs; contents of one group have none. `pool`, if given, is used whole.
pub(crate) fn hash_file(
    file: &File,
    size: u64,
    outboard: Option<&File>,
    pool: Option<&ThreadPool>,
    pace: &dyn Pace,
) -> Result<ContentId, HashError> {
    // A hint; whoever does not take it loses only time.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    hash_bytes(file, size, outboard, pool, pace)
}

/// As [`hash_file`], of bytes that may lie in many files.
pub(crate) fn hash_bytes(
    file: &dyn ReadAt,
    size: u64,
    outboard: Option<&File>,
    pool: Option<&ThreadPool>,
    pace: &dyn Pace,
) -> Result<ContentId, HashError> {
    if let Some(outboard) = outboard {
        outboard
            .set_len(outboard_bytes(size))
            .map_err(HashError::Outboard)?;
    }
    let job = Job {
        file,
        size,
        outboard,
        pace,
        next: AtomicU64::new(0),
        failed: AtomicBool::new(false),
        done: Mutex::new(Ok(Vec::new())),
    };
    match pool {
        Some(pool) => {
            pool.broadcast(|_| job.work());
        }
        None => job.work(),
    }
    let mut units = job.done.into_inner().expect("no worker panicked")?;
    units.sort_unstable_by_key(|(unit, _)| *unit);
    if let [(_, only)] = units.as_slice() {
        return Ok(ContentId::from_bytes(*only));
    }
    let root = above_units(Node::root(size), &units, outboard).map_err(HashError::Outboard)?;
    Ok(ContentId::from_bytes(root))
}

struct Job<'a> {
    file: &'a dyn ReadAt,
    size: u64,
    outboard: Option<&'a File>,
    pace: &'a dyn Pace,
    next: AtomicU64,
    failed: AtomicBool,
    /// Number and hash of each unit that is done, or the first failure.
    done: Mutex<Result<Vec<(u64, ChainingValue)>, HashError>>,
}

impl Job<'_> {
    /// Takes units until there are none.
    fn work(&self) {
        let units = groups_in(self.size).div_ceil(UNIT_GROUPS);
        let mut done = Vec::new();
        let mut buffers = Buffers::default();
        let failure = loop {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            if unit >= units || self.failed.load(Ordering::Relaxed) {
                break None;
            }
            match self.unit(unit, &mut buffers) {
                Ok(hash) => done.push((unit, hash)),
                Err(error) => break Some(error),
            }
        };
        let mut all = self.done.lock().expect("no worker panicked");
        if let Some(error) = failure {
            self.failed.store(true, Ordering::Relaxed);
            if all.is_ok() {
                *all = Err(error);
            }
        } else if let Ok(all) = all.as_mut() {
            all.append(&mut done);
        }
    }

    fn unit(&self, unit: u64, buffers: &mut Buffers) -> Result<ChainingValue, HashError> {
        let start = unit * UNIT_BYTES;
        let length = (self.size - start).min(UNIT_BYTES);
        if !self.pace.take(length) {
            return Err(HashError::Stopped);
        }
        let length = usize::try_from(length).expect("a unit is short");
        buffers.bytes.resize(length.max(buffers.bytes.len()), 0);
        let bytes = &mut buffers.bytes[..length];
        read_exact(self.file, bytes, start).map_err(HashError::Read)?;

        let node = unit_node(self.size, unit);
        let is_root = node.groups == groups_in(self.size);
        buffers.groups.clear();
        for (n, group) in bytes.chunks(GROUP_LEN).enumerate() {
            let whole = is_root && node.groups == 1;
            buffers
                .groups
                .push(group_hash(node.first + n as u64, group, whole));
        }
        if buffers.groups.is_empty() {
            buffers.groups.push(group_hash(0, &[], true));
        }
        buffers
            .pairs
            .resize((buffers.groups.len() - 1) * PAIR_BYTES, 0);
        let hash = fill(&buffers.groups, &mut buffers.pairs, is_root);
        if let Some(outboard) = self.outboard {
            outboard
                .write_all_at(&buffers.pairs, node.pair * PAIR_BYTES_64)
                .map_err(HashError::Outboard)?;
        }
        Ok(hash)
    }
}

#[derive(Default)]
struct Buffers {
    bytes: Vec<u8>,
    groups: Vec<ChainingValue>,
    pairs: Vec<u8>,
}

/// The node of a unit.
fn unit_node(size: u64, unit: u64) -> Node {
    let first = unit * UNIT_GROUPS;
    let mut node = Node::root(size);
    while node.groups > UNIT_GROUPS {
        let (left, right) = node.children();
        node = if first < right.first { left } else { right };
    }
    node
}

/// Fills in the pairs of a subtree in pre-order and returns its hash.
fn fill(groups: &[ChainingValue], pairs: &mut [u8], is_root: bool) -> ChainingValue {
    if let [only] = groups {
        return *only;
    }
    let left = groups.len().next_power_of_two() / 2;
    let (top, below) = pairs
        .split_first_chunk_mut::<PAIR_BYTES>()
        .expect("n groups have n - 1 pairs");
    let (left_pairs, right_pairs) = below.split_at_mut((left - 1) * PAIR_BYTES);
    *top = join(
        fill(&groups[..left], left_pairs, false),
        fill(&groups[left..], right_pairs, false),
    );
    parent_hash(top, is_root)
}

/// Writes the pairs above the units and returns the hash of `node`, whose
/// units are `units`.
fn above_units(
    node: Node,
    units: &[(u64, ChainingValue)],
    outboard: Option<&File>,
) -> io::Result<ChainingValue> {
    if let [(_, only)] = units {
        return Ok(*only);
    }
    let (left, right) = node.children();
    let split = usize::try_from(left.groups / UNIT_GROUPS).expect("units fit in memory");
    let pair = join(
        above_units(left, &units[..split], outboard)?,
        above_units(right, &units[split..], outboard)?,
    );
    if let Some(outboard) = outboard {
        outboard.write_all_at(&pair, node.pair * PAIR_BYTES_64)?;
    }
    Ok(parent_hash(&pair, node.pair == 0))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bao_tree::BlockSize;
    use bao_tree::io::outboard::PreOrderMemOutboard;

    use super::*;
    use crate::slice::tests::{SIZES, bytes};

    struct Unhindered;
    impl Pace for Unhindered {
        fn take(&self, _bytes: u64) -> bool {
            true
        }
    }

    struct StopsAfter(AtomicU64);
    impl Pace for StopsAfter {
        fn take(&self, _bytes: u64) -> bool {
            self.0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
        }
    }

    fn check(size: u64, pool: Option<&ThreadPool>) {
        let data = bytes(size);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        let outboard = tempfile::tempfile().unwrap();
        let content = hash_file(&file, size, Some(&outboard), pool, &Unhindered).unwrap();
        assert_eq!(content, ContentId::of(&data), "{size}");
        let reference = PreOrderMemOutboard::create(&data, BlockSize::from_chunk_log(4));
        let mut written = vec![0; reference.data.len()];
        outboard.read_exact_at(&mut written, 0).unwrap();
        assert!(written == reference.data, "outboard of {size} bytes");
        assert_eq!(outboard.metadata().unwrap().len(), outboard_bytes(size));
    }

    #[test]
    fn ids_and_outboards_are_those_of_the_references() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let units = [1_u64, 2, 3, 4, 5, 7, 8, 9, 21];
        let around = units
            .into_iter()
            .flat_map(|n| [n * UNIT_BYTES - 1, n * UNIT_BYTES, n * UNIT_BYTES + 1]);
        for size in SIZES.into_iter().chain(around) {
            check(size, None);
            check(size, Some(&pool));
        }
    }

    #[test]
    fn it_stops_when_told_and_says_when_the_file_is_short() {
        let size = 5 * UNIT_BYTES;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes(size - 1)).unwrap();
        let pace = StopsAfter(AtomicU64::new(2));
        let stopped = hash_file(&file, size, None, None, &pace);
        assert!(matches!(stopped, Err(HashError::Stopped)), "{stopped:?}");
        let short = hash_file(&file, size, None, None, &Unhindered);
        assert!(
            matches!(&short, Err(HashError::Read(e)) if e.kind() == io::ErrorKind::UnexpectedEof),
            "{short:?}"
        );
    }
}
