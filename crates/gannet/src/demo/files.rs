//! The files that the demo plays with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use gannet_base::ContentId;

use crate::exit::Failure;

/// The peers that share the folder's files.
pub(crate) const SHARERS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
/// Those of them that have the big file.
pub(crate) const BIG_HOLDERS: [&str; 4] = ["bob", "carol", "dave", "erin"];
/// What the big file is called.
pub(crate) const BIG_NAME: &str = "Harry Potter and the Goblet of Random Bytes.bin";

/// Most files taken of a folder.
const FILES_MAX: usize = 500;
/// Most bytes taken of a folder.
const BYTES_MAX: u64 = 256 << 20;
/// Largest file taken of a folder.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// A file and who shares it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Where the original is.
    pub(crate) path: PathBuf,
    /// Its path below the folder.
    pub(crate) name: PathBuf,
    /// Who shares it: two of [`SHARERS`].
    pub(crate) holders: [&'static str; 2],
}

/// Files of a folder by name, without what starts with a dot, build outputs,
/// links and large files.
pub(crate) fn of_folder(folder: &Path) -> Result<Vec<Placed>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let here = folder.join(&below);
        let entries = fs::read_dir(&here).map_err(|error| {
            Failure::failed(format_args!("cannot read {}: {error}", here.display()))
        })?;
        for entry in entries {
            let entry = entry?;
            let file_name = entry.file_name();
            let name = file_name.to_string_lossy();
            let kind = entry.file_type()?;
            if name.starts_with('.') || name == "target" || name == "node_modules" {
                continue;
            }
            if kind.is_dir() {
                folders.push(below.join(&file_name));
            } else if kind.is_file() {
                let size = entry.metadata()?.len();
                if (1..=FILE_BYTES_MAX).contains(&size) {
                    found.push((below.join(&file_name), size));
                }
            }
        }
    }
    found.sort();
    let mut bytes = 0;
    let fitting = found.into_iter().take(FILES_MAX).take_while(|(_, size)| {
        bytes += size;
        bytes <= BYTES_MAX
    });
    Ok(fitting
        .enumerate()
        .map(|(n, (name, _))| Placed {
            path: folder.join(&name),
            name,
            holders: holders(n),
        })
        .collect())
}

/// Two different sharers; all pairs come up.
fn holders(n: usize) -> [&'static str; 2] {
    let first = n % SHARERS.len();
    let step = 1 + n / SHARERS.len() % (SHARERS.len() - 1);
    [SHARERS[first], SHARERS[(first + step) % SHARERS.len()]]
}

/// Writes a few dozen small texts.
pub(crate) fn generate(folder: &Path) -> Result<(), Failure> {
    const BIRDS: [&str; 6] = [
        "gannet",
        "puffin",
        "cormorant",
        "tern",
        "petrel",
        "albatross",
    ];
    const WHAT: [&str; 6] = ["diary", "measurements", "recipe", "map", "letters", "songs"];
    fs::create_dir_all(folder)?;
    for (n, bird) in BIRDS.iter().enumerate() {
        for (m, what) in WHAT.iter().enumerate() {
            let ending = ["txt", "md", "csv"][(n + m) % 3];
            let lines: String = (1..200 * (n + 1))
                .map(|line| format!("{bird} {what}, line {line}, {}\n", line * (m + 3)))
                .collect();
            fs::write(folder.join(format!("{bird} {what}.{ending}")), lines)?;
        }
    }
    Ok(())
}

/// Puts the files into the folders of their holders, below `place`.
pub(crate) fn hand_out(
    files: &[Placed],
    folder_of: impl Fn(&str) -> PathBuf,
) -> Result<(), Failure> {
    for name in SHARERS {
        fs::create_dir_all(folder_of(name))?;
    }
    for file in files {
        for holder in file.holders {
            link_or_copy(&file.path, &folder_of(holder).join(&file.name))?;
        }
    }
    Ok(())
}

/// A second name for the file where the file system can, else a copy.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).map_err(|error| {
            Failure::failed(format_args!("cannot copy {}: {error}", from.display()))
        })?;
    }
    Ok(())
}

/// Writes `bytes` bytes that do not repeat, the same every time.
pub(crate) fn write_big(path: &Path, bytes: u64) -> Result<(), Failure> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    // SplitMix64: quick, and nothing compresses it.
    let mut state = 0x6761_6e6e_6574_u64;
    for _ in 0..bytes / 8 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        file.write_all(&(word ^ (word >> 31)).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// The id of the bytes that are in a file now.
pub(crate) fn content_of(path: &Path) -> Result<ContentId, Failure> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(ContentId::from_bytes(*hasher.finalize().as_bytes()))
}

/// A file that alice does not share, and a word that finds it: one of letters
/// that is in as few names as possible, the longest of those.
pub(crate) fn findable(files: &[Placed]) -> Option<(&Placed, String)> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for word in files.iter().flat_map(words) {
        *names.entry(word).or_default() += 1;
    }
    let strange = files.iter().filter(|file| !file.holders.contains(&"alice"));
    strange
        .flat_map(|file| words(file).into_iter().map(move |word| (file, word)))
        .max_by_key(|(_, word)| (Reverse(names[word]), word.len()))
}

/// The different words of a file's path, of at least four ASCII letters.
fn words(file: &Placed) -> BTreeSet<String> {
    let path = file.name.with_extension("");
    let path = path.to_string_lossy();
    path.split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() >= 4)
        .map(str::to_lowercase)
        .collect()
}

/// How many different sharers the files have.
pub(crate) fn sharers(files: &[Placed]) -> usize {
    let all: BTreeSet<&str> = files.iter().flat_map(|file| file.holders).collect();
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_two_places_and_everybody_shares() {
        let pairs: BTreeSet<_> = (0..20).map(holders).collect();
        assert_eq!(pairs.len(), 20, "all ordered pairs of five");
        assert!(pairs.iter().all(|[a, b]| a != b));
    }

    #[test]
    fn a_folder_is_taken_without_what_is_hidden_or_built() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path()).unwrap();
        for (name, bytes) in [
            (".hidden", "x"),
            ("target/out", "x"),
            ("sub/in.txt", "x"),
            ("empty", ""),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let files = of_folder(dir.path()).unwrap();
        assert_eq!(files.len(), 37);
        assert_eq!(sharers(&files), 5);
        let (file, word) = findable(&files).unwrap();
        assert!(file.name.to_string_lossy().contains(&word));

        let out = tempfile::tempdir().unwrap();
        hand_out(&files, |name| out.path().join(name)).unwrap();
        for file in &files {
            for holder in file.holders {
                let copy = out.path().join(holder).join(&file.name);
                assert_eq!(fs::read(copy).unwrap(), fs::read(&file.path).unwrap());
            }
        }
    }

    #[test]
    fn the_big_file_is_the_same_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        write_big(&path, 1 << 16).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1 << 16);
        assert_eq!(content_of(&path).unwrap(), ContentId::of(&bytes));
        let words: BTreeSet<&[u8]> = bytes.chunks(8).collect();
        assert_eq!(words.len(), 1 << 13, "nothing repeats");
    }
}
