//! What is remembered of what is kept: a file in the data directory, replaced as a
//! whole, and looked at together with the parts on the disk at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gannet_base::{BlockId, ContentId, FileEntry, GroupRange, GroupSet, groups_in};
use gannet_overlay::dht::keep::KeepSaved;
use gannet_store::Store;
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "keep.json";
/// The format; a later one is refused.
const VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
struct Document {
    saved: KeepSaved,
}

/// What every version begins with.
#[derive(Debug, Deserialize)]
struct Version {
    version: u32,
}

/// The same, to be written.
#[derive(Debug, Serialize)]
struct Writing<'a> {
    version: u32,
    saved: &'a KeepSaved,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// What it remembered; nothing if there was no earlier run.
    pub(crate) saved: Option<KeepSaved>,
    /// The blocks of it that are on the disk, with the file's entry.
    pub(crate) here: Vec<(BlockId, FileEntry)>,
    /// All contents of which something is on the disk.
    pub(crate) parts: Vec<ContentId>,
    /// What is wrong with it, in plain words.
    pub(crate) problem: Option<String>,
}

/// Looks at what an earlier run left. May block.
///
/// # Errors
///
/// If it is there and cannot be read: it must not be overwritten.
pub(crate) fn restore(store: &Store, data_dir: &Path) -> Result<Restored, (PathBuf, io::Error)> {
    let path = data_dir.join(FILE);
    let mut restored = match fs::read(&path) {
        Ok(bytes) => read(&path, &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Restored::default(),
        Err(error) => return Err((path, error)),
    };
    let records = store.kept_parts().unwrap_or_else(|error| {
        tracing::error!(%error, "what is kept for others cannot be read");
        Vec::new()
    });
    restored.parts = records.iter().map(|record| record.content).collect();
    let parts: BTreeMap<ContentId, (Option<u64>, GroupSet)> = records
        .into_iter()
        .map(|record| (record.content, (record.size, record.have)))
        .collect();
    if let Some(saved) = &restored.saved {
        restored.here = blocks_here(saved, |content| parts.get(&content));
    }
    Ok(restored)
}

fn read(path: &Path, bytes: &[u8]) -> Result<Restored, (PathBuf, io::Error)> {
    let failed = |error| (path.to_owned(), error);
    let version = serde_json::from_slice::<Version>(bytes).map(|found| found.version);
    if version.as_ref().is_ok_and(|version| *version > VERSION) {
        let what = "a newer Gannet has written it; use that version";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    let document = version.and_then(|_| serde_json::from_slice::<Document>(bytes));
    let problem = match document {
        Ok(Document { saved }) => {
            return Ok(Restored {
                saved: Some(saved),
                ..Restored::default()
            });
        }
        Err(error) => error,
    };
    let aside = path.with_extension("json.corrupt");
    fs::rename(path, &aside).map_err(failed)?;
    let problem = format!(
        "the list of kept files was damaged ({problem}); it was moved to {}: keep your files again",
        aside.display()
    );
    tracing::error!(problem);
    Ok(Restored {
        problem: Some(problem),
        ..Restored::default()
    })
}

/// The blocks that are whole on the disk, with the proof of the size.
fn blocks_here<'a>(
    saved: &KeepSaved,
    part: impl Fn(ContentId) -> Option<&'a (Option<u64>, GroupSet)>,
) -> Vec<(BlockId, FileEntry)> {
    let entries: BTreeMap<ContentId, &FileEntry> = saved
        .orders
        .iter()
        .map(|order| (order.entry.content, &order.entry))
        .collect();
    let mut known = BTreeSet::new();
    let mut here = Vec::new();
    for block in &saved.blocks {
        let Some(entry) = entries.get(&block.content) else {
            continue;
        };
        let Some((size, have)) = part(block.content) else {
            continue;
        };
        let last = groups_in(entry.size);
        let last = GroupRange::new(last - 1, last);
        let groups = block.groups(entry.size);
        let is_here = *size == Some(entry.size)
            && !groups.is_empty()
            && have.contains_range(groups)
            && have.contains_range(last);
        if is_here && known.insert(*block) {
            here.push((*block, (*entry).clone()));
        }
    }
    here
}

/// Replaces the file as a whole: a crash leaves the old one or the new one. May
/// block.
pub(crate) fn save(data_dir: &Path, saved: &KeepSaved) -> io::Result<()> {
    let document = Writing {
        version: VERSION,
        saved,
    };
    let path = data_dir.join(FILE);
    let half = path.with_extension("json.new");
    let mut file = File::create(&half)?;
    file.write_all(&serde_json::to_vec(&document)?)?;
    file.sync_all()?;
    fs::rename(&half, &path)?;
    // The name, too, must survive.
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use gannet_base::{BLOCK_BYTES, KeepOrder, KeepRelease, Media, WallTime};
    use gannet_overlay::dht::keep::Refusal;
    use gannet_store::StoreConfig;

    use super::*;

    fn saved() -> KeepSaved {
        let key = SigningKey::from_bytes(&[1; 32]);
        let at = WallTime::from_unix_seconds;
        let entry = FileEntry {
            content: ContentId::of(b"x"),
            size: BLOCK_BYTES + 50_000,
            path: "films/x".to_owned(),
            media: Media::default(),
        };
        let order = KeepOrder::sign(entry, 8, (at(1), at(1_000)), &key);
        let content = order.entry.content;
        let release = KeepRelease::sign(content, at(5), &key);
        KeepSaved {
            returns: 3,
            blocks: vec![BlockId { content, index: 0 }, BlockId { content, index: 1 }],
            kept: vec![order.clone()],
            releases: vec![(release, at(9), vec![0, 1])],
            refusals: vec![Refusal::Keeper(order.keeper), Refusal::Content(content)],
            orders: vec![order],
        }
    }

    fn store(dir: &Path) -> Store {
        Store::open(StoreConfig::new(dir.join("data"), dir.join("down"))).unwrap()
    }

    #[test]
    fn what_is_saved_is_restored() {
        let dir = tempfile::tempdir().unwrap();
        let (store, data) = (store(dir.path()), dir.path().join("data"));
        assert_eq!(restore(&store, &data).unwrap().saved, None);
        save(&data, &saved()).unwrap();
        let restored = restore(&store, &data).unwrap();
        assert_eq!(restored.saved, Some(saved()));
        assert!(restored.here.is_empty(), "nothing is on the disk");
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let (store, data) = (store(dir.path()), dir.path().join("data"));
        for text in ["", "{", "{\"version\":0,\"saved\":null}"] {
            fs::write(data.join(FILE), text).unwrap();
            let restored = restore(&store, &data).unwrap();
            assert!(restored.saved.is_none() && restored.problem.is_some());
            assert!(data.join("keep.json.corrupt").exists() && !data.join(FILE).exists());
        }
        let document = serde_json::json!({ "version": 2, "other": "than now" });
        fs::write(data.join(FILE), document.to_string()).unwrap();
        let (_, error) = restore(&store, &data).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
        assert!(data.join(FILE).exists());
    }

    #[test]
    fn blocks_that_are_not_whole_are_not_here() {
        let saved = saved();
        let size = BLOCK_BYTES + 50_000;
        let last = GroupRange::new(1_027, 1_028);
        #[track_caller]
        fn check(saved: &KeepSaved, part: (Option<u64>, GroupSet), expected: &[u32]) {
            let here = blocks_here(saved, |_| Some(&part));
            let here: Vec<u32> = here.iter().map(|(block, _)| block.index).collect();
            assert_eq!(here, expected);
        }
        let first: GroupSet = [GroupRange::new(0, 1_024), last].into_iter().collect();
        check(&saved, (Some(size), GroupSet::whole(size)), &[0, 1]);
        check(&saved, (Some(size), first.clone()), &[0]);
        check(&saved, (Some(size + 1), first.clone()), &[]);
        check(&saved, (None, first), &[]);
        let unproven = GroupSet::from(GroupRange::new(0, 1_024));
        check(&saved, (Some(size), unproven), &[]);
    }
}
