//! Whether what was fetched is what was shared.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const BLOCK: usize = 1 << 20;

/// An error unless two files, or the files of two folders, are equal.
pub(crate) fn same(expected: &Path, got: &Path) -> anyhow::Result<()> {
    same_size(expected, got)?;
    for (name, _) in files(expected)? {
        same_bytes(&expected.join(&name), &got.join(&name))?;
    }
    Ok(())
}

/// An error unless names and sizes are equal.
pub(crate) fn same_size(expected: &Path, got: &Path) -> anyhow::Result<()> {
    let (expected, found) = (files(expected)?, files(got)?);
    let bytes = |files: &BTreeMap<PathBuf, u64>| files.values().sum::<u64>();
    if expected != found {
        bail!(
            "{} files of {} bytes came, not {} of {}",
            found.len(),
            bytes(&found),
            expected.len(),
            bytes(&expected)
        );
    }
    Ok(())
}

/// Has the machine hold as much memory as a copy of these files takes in this folder,
/// and lets go of it. A virtual machine that gives free memory back to its host gets it
/// again page by page, which would be charged to whoever comes first.
pub(crate) fn warm(folder: &Path, files_at: &Path) -> anyhow::Result<()> {
    let bytes: u64 = files(files_at)?.values().sum();
    let path = folder.join("warm");
    // A fifth more: some is in use for other things.
    let mut noughts = io::repeat(0).take(bytes + bytes / 5);
    io::copy(
        &mut noughts,
        &mut io::BufWriter::with_capacity(BLOCK, File::create(&path)?),
    )?;
    Ok(fs::remove_file(path)?)
}

/// Sizes by path below a folder; a file by itself has the empty path.
pub(super) fn files(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let about =
            fs::metadata(&path).with_context(|| format!("nothing came as {}", path.display()))?;
        if about.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        } else {
            found.insert(path.strip_prefix(root)?.to_owned(), about.len());
        }
    }
    Ok(found)
}

fn same_bytes(expected: &Path, got: &Path) -> anyhow::Result<()> {
    let open = |path: &Path| {
        // The empty path behind the name of a file reads as a folder's.
        let path: PathBuf = path.components().collect();
        File::open(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (mut ours, mut theirs) = (open(expected)?, open(got)?);
    let mut blocks = [vec![0; BLOCK], vec![0; BLOCK]];
    loop {
        let [a, b] = &mut blocks;
        let (a, b) = (fill(&mut ours, a)?, fill(&mut theirs, b)?);
        if a != b {
            bail!("bytes differ in {}", got.display());
        }
        if a.is_empty() {
            return Ok(());
        }
    }
}

/// Reads until the block is full or the file at its end.
fn fill<'a>(file: &mut File, block: &'a mut [u8]) -> anyhow::Result<&'a [u8]> {
    let mut len = 0;
    while len < block.len() {
        match file.read(&mut block[len..])? {
            0 => break,
            more => len += more,
        }
    }
    Ok(&block[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_compared() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.join("inner")).unwrap();
            fs::write(path.join("inner/a"), vec![7; BLOCK + 1]).unwrap();
            fs::write(path.join("b"), "b").unwrap();
            path
        };
        let (one, other) = (folder("one"), folder("other"));
        same(&one, &other).unwrap();
        same(&one.join("b"), &other.join("b")).unwrap();
        let mut changed = vec![7; BLOCK + 1];
        changed[BLOCK] = 8;
        fs::write(other.join("inner/a"), changed).unwrap();
        same_size(&one, &other).unwrap();
        assert!(same(&one, &other).is_err());
        fs::write(other.join("c"), "").unwrap();
        assert!(same_size(&one, &other).is_err());
        assert!(same(&one, &place.path().join("none")).is_err());
    }
}
