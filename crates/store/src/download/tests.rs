//! Downloads on disks that fail and lose power.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, groups_in};
use proptest::prelude::*;

use super::faults::{Crash, FakeDisk};
use super::partial::{Partial, Paths};
use crate::slice::tests::{Reference, bytes};
use crate::{DownloadError, WriteError};

const STATE_DIR: &str = "/data/downloads";
const DOWNLOAD_DIR: &str = "/downloads";

#[derive(Clone)]
struct Case {
    data: Reference,
    content: ContentId,
    disk: FakeDisk,
}

impl Case {
    fn new(size: u64) -> Self {
        let data = bytes(size);
        Self {
            content: ContentId::of(&data),
            data: Reference::new(data),
            disk: FakeDisk::new(),
        }
    }

    /// The same content on another disk.
    fn on(&self, disk: FakeDisk) -> Self {
        Self {
            disk,
            ..self.clone()
        }
    }

    fn size(&self) -> u64 {
        self.data.data.len() as u64
    }

    fn create(&self) -> Result<Partial, DownloadError> {
        let paths = Paths::new(Path::new(STATE_DIR), DOWNLOAD_DIR.into(), self.content);
        Partial::create(
            Arc::new(self.disk.clone()),
            self.content,
            "name.bin".to_owned(),
            paths,
        )
    }

    fn open(&self) -> Result<Partial, DownloadError> {
        open(&self.disk, self.content)
    }

    fn write(&self, partial: &Partial, slice: GroupRange) -> Result<GroupSet, WriteError> {
        partial.write_slice(self.size(), slice, &self.data.slice(slice))
    }

    fn fill(&self, partial: &Partial) {
        for slice in script(self.size()) {
            self.write(partial, slice).unwrap();
        }
    }

    fn part(&self) -> PathBuf {
        Path::new(DOWNLOAD_DIR).join(format!(".gannet-partial/{}.part", self.content))
    }
}

fn open(disk: &FakeDisk, content: ContentId) -> Result<Partial, DownloadError> {
    let disk = Arc::new(disk.clone());
    let place = (Path::new(DOWNLOAD_DIR), false);
    Partial::open(disk, Path::new(STATE_DIR), place, content)
}

/// Slices of two groups: the last, then every third, until all are there.
fn script(size: u64) -> Vec<GroupRange> {
    let groups = groups_in(size);
    let last = (groups - 1) / 2;
    let order = (0..3).flat_map(|first| (first..last).step_by(3));
    [last]
        .into_iter()
        .chain(order)
        .map(|n| GroupRange::new(2 * n, (2 * n + 2).min(groups)))
        .collect()
}

/// What every group that a partial file claims must be: readable and right.
fn assert_claims_verify(case: &Case, partial: &Partial) {
    for run in partial.have().runs() {
        for group in run.start..run.end {
            let slice = GroupRange::new(group, group + 1);
            let steps = crate::slice::steps(case.size(), slice);
            let mut encoded = Vec::new();
            partial.gather(slice, &steps, &mut encoded).unwrap();
            assert_eq!(encoded, case.data.slice(slice), "group {group}");
        }
    }
}

#[test]
fn sizes_of_every_regime_arrive() {
    for size in crate::slice::tests::SIZES {
        let case = Case::new(size);
        let partial = case.create().unwrap();
        case.fill(&partial);
        assert_claims_verify(&case, &partial);
        let path = partial.place().unwrap();
        assert_eq!(path, Path::new("/downloads/name.bin"));
        assert_eq!(case.disk.bytes(&path).unwrap(), *case.data.data);
    }
}

#[test]
fn the_size_must_be_proven_first() {
    let case = Case::new(10 * GROUP_BYTES);
    let partial = case.create().unwrap();
    let first = case.write(&partial, GroupRange::new(0, 2));
    assert!(matches!(first, Err(WriteError::SizeUnproven)), "{first:?}");
    let last = GroupRange::new(9, 10);
    let encoded = case.data.slice(last);
    for claimed in [case.size() - 1, 9 * GROUP_BYTES + 1] {
        let lie = partial.write_slice(claimed, last, &encoded);
        assert!(lie.is_err(), "{lie:?}");
        assert_eq!(partial.size(), None);
    }
    assert_eq!(case.write(&partial, last).unwrap(), last.into());
    assert_eq!(partial.size(), Some(case.size()));
    let other = partial.write_slice(case.size() + 1, last, &encoded);
    assert!(
        matches!(other, Err(WriteError::SizeMismatch { .. })),
        "{other:?}"
    );
    partial.set_size(case.size()).unwrap();
    assert!(partial.set_size(5).is_err());
}

/// A process that is killed loses nothing that it wrote: the next one knows
/// every verified group, those too that no checkpoint covers.
#[test]
fn a_kill_between_checkpoints_costs_nothing() {
    let case = Case::new(40 * GROUP_BYTES + 5);
    let partial = case.create().unwrap();
    let script = script(case.size());
    for (n, slice) in script.iter().take(15).enumerate() {
        case.write(&partial, *slice).unwrap();
        if n == 4 {
            partial.checkpoint().unwrap();
        }
    }
    let written = partial.have();
    drop(partial);
    let again = case.open().unwrap();
    assert_eq!(again.have(), written);
    assert_claims_verify(&case, &again);

    // Killed again before anything else happened: still known.
    drop(again);
    let again = case.open().unwrap();
    assert_eq!(again.have(), written);
    // A list that says more than is true costs some reading and nothing else.
    drop(again);
    let everything = [0_u64.to_le_bytes(), groups_in(case.size()).to_le_bytes()].concat();
    let recent = Path::new(STATE_DIR).join(format!("{}.recent", case.content));
    case.disk.put(&recent, &everything);
    let again = case.open().unwrap();
    assert_claims_verify(&case, &again);
}

#[test]
fn wrong_slices_change_nothing() {
    let case = Case::new(40 * GROUP_BYTES + 9);
    let partial = case.create().unwrap();
    partial.set_size(case.size()).unwrap();
    let slice = GroupRange::new(4, 9);
    let good = case.data.slice(slice);
    let write = |encoded: &[u8]| partial.write_slice(case.size(), slice, encoded);
    for place in (0..good.len()).step_by(997) {
        let mut bad = good.clone();
        bad[place] ^= 0x80;
        let refused = write(&bad);
        assert!(
            matches!(refused, Err(WriteError::Corrupt { group }) if slice.start <= group && group < slice.end),
            "byte {place}: {refused:?}"
        );
    }
    assert!(matches!(
        write(&good[..good.len() - 1]),
        Err(WriteError::Truncated { .. })
    ));
    assert!(matches!(
        write(&[]),
        Err(WriteError::Truncated { bytes: 0, .. })
    ));
    assert!(matches!(
        write(&[good.as_slice(), b"x"].concat()),
        Err(WriteError::TooLong { .. })
    ));
    for (start, end) in [(5, 5), (40, 42), (9, 4), (0, u64::MAX)] {
        let out = partial.write_slice(case.size(), GroupRange::new(start, end), &good);
        assert!(matches!(out, Err(WriteError::OutOfRange { .. })), "{out:?}");
    }
    assert!(partial.have().is_empty());
    assert!(
        case.disk
            .bytes(&case.part())
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    write(&good).unwrap();
    assert_eq!(partial.have(), slice.into());
}

/// Runs the script with a checkpoint after every third slice, then finishes.
/// Returns what the last checkpoint that succeeded covered.
fn run(case: &Case) -> GroupSet {
    let mut covered = GroupSet::new();
    let Ok(partial) = case.create() else {
        return covered;
    };
    for (n, slice) in script(case.size()).into_iter().enumerate() {
        let _ = case.write(&partial, slice);
        if n % 3 == 2 {
            let have = partial.have();
            if partial.checkpoint().is_ok() {
                covered = have;
            }
        }
    }
    if partial.place().is_ok() {
        covered = GroupSet::whole(case.size());
    }
    covered
}

/// After a crash: no claim is wrong, no checkpoint is lost, the download can be
/// completed.
fn assert_survives(case: &Case, disk: FakeDisk, covered: &GroupSet, what: &str) {
    let case = case.on(disk);
    let final_path = Path::new("/downloads/name.bin");
    let partial = match case.open() {
        Ok(partial) => partial,
        Err(DownloadError::Unknown { .. }) if covered.is_empty() => case.create().unwrap(),
        Err(error) => panic!("{what}: {error}"),
    };
    if matches!(partial.shown().state, super::DownloadState::Finished { .. }) {
        assert_eq!(
            case.disk.bytes(final_path).unwrap(),
            *case.data.data,
            "{what}"
        );
        return;
    }
    assert_claims_verify(&case, &partial);
    if partial.is_half_finished() {
        assert_eq!(
            case.disk.bytes(final_path).unwrap(),
            *case.data.data,
            "{what}"
        );
    } else {
        let lost = covered.difference(&partial.have());
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        case.fill(&partial);
    }
    let path = partial.place().unwrap();
    assert_eq!(case.disk.bytes(&path).unwrap(), *case.data.data, "{what}");
    assert!(
        case.open().unwrap().place().is_err(),
        "{what}: finished twice"
    );
}

#[test]
fn a_crash_before_any_operation_leaves_no_wrong_claim() {
    let size = 21 * GROUP_BYTES + 300;
    let clean = Case::new(size);
    assert!(run(&clean).is_whole(size));
    let operations = clean.disk.operations();
    assert!(operations > 60, "{operations}");
    let mut points = 0;
    for at in 0..operations {
        let case = clean.on(FakeDisk::new());
        case.disk.crash_at(at);
        let covered = run(&case);
        assert!(case.disk.is_down());
        let seeds = (0..3).map(|n| Crash::Some(at * 31 + n + 1));
        for crash in [Crash::Nothing, Crash::Everything].into_iter().chain(seeds) {
            let what = format!("power lost before operation {at}, {crash:?}");
            assert_survives(&case, case.disk.reboot(crash), &covered, &what);
            points += 1;
        }
    }
    assert_eq!(points, operations * 5);
}

#[test]
fn any_operation_may_fail() {
    let size = 21 * GROUP_BYTES + 300;
    let clean = Case::new(size);
    run(&clean);
    for at in 1..=clean.disk.operations() {
        let kind = [io::ErrorKind::StorageFull, io::ErrorKind::Other][usize::from(at % 2 == 0)];
        let case = clean.on(FakeDisk::new());
        case.disk.fail_at(at, kind);
        let covered = run(&case);
        // The program is killed, or power is lost, after the failure.
        for crash in [Crash::Everything, Crash::Nothing, Crash::Some(at)] {
            let what = format!("operation {at} failed with {kind}, then {crash:?}");
            assert_survives(&case, case.disk.reboot(crash), &covered, &what);
        }
    }
}

#[test]
fn a_full_disk_is_said_and_waited_for() {
    let case = Case::new(10 * GROUP_BYTES);
    let partial = case.create().unwrap();
    let last = GroupRange::new(8, 10);
    // Reserving room fails; nothing is claimed.
    case.disk
        .fail_at(case.disk.operations() + 3, io::ErrorKind::StorageFull);
    let full = case.write(&partial, last);
    assert!(matches!(full, Err(WriteError::DiskFull)), "{full:?}");
    assert_eq!((partial.size(), partial.have()), (None, GroupSet::new()));
    case.write(&partial, last).unwrap();
    case.disk
        .fail_at(case.disk.operations() + 1, io::ErrorKind::QuotaExceeded);
    let full = case.write(&partial, GroupRange::new(0, 2));
    assert!(matches!(full, Err(WriteError::DiskFull)), "{full:?}");
    assert_eq!(partial.have(), last.into());
    case.fill(&partial);
    partial.place().unwrap();
}

#[test]
fn what_a_failed_sync_may_have_lost_is_fetched_again() {
    let case = Case::new(10 * GROUP_BYTES);
    let partial = case.create().unwrap();
    let (last, next) = (GroupRange::new(8, 10), GroupRange::new(0, 4));
    case.write(&partial, last).unwrap();
    partial.checkpoint().unwrap();
    case.write(&partial, next).unwrap();
    case.disk
        .fail_at(case.disk.operations() + 1, io::ErrorKind::Other);
    let failed = partial.checkpoint();
    assert!(
        matches!(failed, Err(DownloadError::SyncFailed { .. })),
        "{failed:?}"
    );
    assert_eq!(partial.have(), last.into());
    // The disk says that all is well now; it is not asked about the old bytes.
    partial.checkpoint().unwrap();
    let case = case.on(case.disk.reboot(Crash::Nothing));
    let partial = case.open().unwrap();
    assert_eq!(partial.have(), last.into());
    assert_claims_verify(&case, &partial);
}

#[test]
fn short_reads_and_writes_make_no_difference() {
    let case = Case::new(5 * GROUP_BYTES + 1);
    case.disk.short();
    let partial = case.create().unwrap();
    case.fill(&partial);
    assert_claims_verify(&case, &partial);
    partial.checkpoint().unwrap();
    let reopened = case.open().unwrap();
    assert!(reopened.have().is_whole(case.size()));
    assert_eq!(
        case.disk.bytes(&reopened.place().unwrap()).unwrap(),
        *case.data.data
    );
}

#[test]
fn rot_in_what_an_earlier_run_wrote_is_found_before_the_file_gets_its_name() {
    let case = Case::new(12 * GROUP_BYTES);
    let partial = case.create().unwrap();
    case.fill(&partial);
    partial.checkpoint().unwrap();
    case.disk.flip(&case.part(), 5 * 16_384 + 77);
    let partial = case.open().unwrap();
    let incomplete = partial.place();
    assert!(
        matches!(incomplete, Err(DownloadError::Incomplete { missing: 1 })),
        "{incomplete:?}"
    );
    assert!(!partial.has(GroupRange::new(5, 6)));
    case.write(&partial, GroupRange::new(5, 6)).unwrap();
    assert_eq!(
        case.disk.bytes(&partial.place().unwrap()).unwrap(),
        *case.data.data
    );
}

#[test]
fn a_damaged_record_is_rebuilt_from_what_verifies() {
    let case = Case::new(12 * GROUP_BYTES + 5);
    let partial = case.create().unwrap();
    case.fill(&partial);
    partial.checkpoint().unwrap();
    drop(partial);
    case.disk.flip(
        &Path::new(STATE_DIR).join(format!("{}.state", case.content)),
        50,
    );
    case.disk.flip(&case.part(), 0);
    let partial = case.open().unwrap();
    assert_eq!(partial.size(), Some(case.size()));
    assert_eq!(partial.have(), GroupRange::new(1, 13).into());
}

#[test]
fn parts_that_are_gone_or_cut_are_not_claimed() {
    for (part_bytes, kept) in [(None, 0), (Some(3 * 16_384 + 9), 3)] {
        let case = Case::new(12 * GROUP_BYTES);
        let partial = case.create().unwrap();
        case.fill(&partial);
        partial.checkpoint().unwrap();
        let part = case.disk.bytes(&case.part()).unwrap();
        crate::backend::Disk::remove(&case.disk, &case.part()).unwrap();
        if let Some(length) = part_bytes {
            case.disk.put(&case.part(), &part[..length]);
        }
        let partial = case.open().unwrap();
        assert_eq!(partial.have().len(), kept);
        case.fill(&partial);
        assert_eq!(
            case.disk.bytes(&partial.place().unwrap()).unwrap(),
            *case.data.data
        );
    }
}

#[test]
fn names_that_are_taken_are_left_alone() {
    let case = Case::new(100);
    case.disk.put(Path::new("/downloads/name.bin"), b"mine");
    case.disk
        .put(Path::new("/downloads/name (2).bin"), b"mine too");
    let partial = case.create().unwrap();
    case.fill(&partial);
    assert_eq!(
        partial.place().unwrap(),
        Path::new("/downloads/name (3).bin")
    );
    assert_eq!(
        case.disk.bytes(Path::new("/downloads/name.bin")).unwrap(),
        b"mine"
    );
    let over = case.write(&partial, GroupRange::new(0, 1));
    assert!(matches!(over, Err(WriteError::Over)), "{over:?}");
}

#[test]
fn a_discarded_download_leaves_nothing() {
    let case = Case::new(100_000);
    let partial = case.create().unwrap();
    case.fill(&partial);
    partial.checkpoint().unwrap();
    partial.discard().unwrap();
    assert!(case.disk.names().is_empty());
    assert!(matches!(case.open(), Err(DownloadError::Unknown { .. })));
    partial.checkpoint().unwrap();
    assert!(matches!(
        case.write(&partial, GroupRange::new(0, 1)),
        Err(WriteError::Over)
    ));
    assert!(case.disk.names().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any slices in any order, with checkpoints, crashes and failures between.
    #[test]
    fn any_history_keeps_the_promise(
        size in 1_u64..600_000,
        steps in prop::collection::vec((0_u64..40, 1_u64..6, 0_u8..8, any::<u64>()), 1..30),
    ) {
        let mut case = Case::new(size);
        let mut partial = case.create().unwrap();
        partial.set_size(size).unwrap();
        let (mut written, mut committed) = (GroupSet::new(), GroupSet::new());
        let mut ever = GroupSet::new();
        for (start, length, action, seed) in steps {
            let groups = groups_in(size);
            let start = start % groups;
            let slice = GroupRange::new(start, (start + length).min(groups));
            match action {
                0 => {
                    partial.checkpoint().unwrap();
                    committed = written.clone();
                }
                1 => {
                    case.disk = case.disk.reboot(Crash::Some(seed));
                    partial = case.open().unwrap();
                    // All that was committed is there; what came after may be.
                    let have = partial.have();
                    prop_assert!(committed.difference(&have).is_empty());
                    prop_assert!(have.difference(&ever).is_empty());
                    written = have;
                }
                2 => {
                    case.disk.fail_at(case.disk.operations() + 1 + seed % 4, io::ErrorKind::Other);
                    if partial.checkpoint().is_ok() {
                        committed = written.clone();
                    } else {
                        written = partial.have();
                        // The record may have been replaced before the failure.
                        prop_assert!(committed.difference(&written).is_empty());
                        case.disk.fail_at(u64::MAX, io::ErrorKind::Other);
                        partial.checkpoint().unwrap();
                        committed = written.clone();
                    }
                    case.disk.fail_at(u64::MAX, io::ErrorKind::Other);
                }
                _ => {
                    case.write(&partial, slice).unwrap();
                    written.insert(slice);
                    ever.insert(slice);
                }
            }
            assert_claims_verify(&case, &partial);
        }
    }
}
