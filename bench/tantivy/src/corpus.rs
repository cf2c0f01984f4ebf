//! The corpus: every Debian package a peer that shares the package's files.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, WallTime};

/// Paths by holder, in few large allocations: what is freed while reading must
/// not hide in the allocator, or the index would seem to take less memory.
pub struct Corpus {
    text: String,
    files: Vec<File>,
    /// Where it came from.
    pub source: String,
}

struct File {
    holder: u64,
    start: u32,
    len: u16,
}

/// A seeded stream of numbers (splitmix64).
pub struct Draw(pub u64);

impl Draw {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

impl Corpus {
    /// `entries` paths of the `Contents` indexes of apt; of a made-up
    /// distribution if there are none.
    pub fn load(entries: usize) -> Result<Self> {
        let lists = contents_files()?;
        if lists.is_empty() {
            return Ok(Self::synthetic(entries));
        }
        // A seventh of the packages has about a million paths; take whole
        // packages, chosen by the hash of their names, until there are enough.
        for part in [7, 3, 1] {
            let mut corpus = Self {
                text: String::new(),
                files: Vec::new(),
                source: String::new(),
            };
            for list in &lists {
                corpus
                    .read(list, part)
                    .with_context(|| format!("reading {}", list.display()))?;
            }
            if corpus.files.len() >= entries || part == 1 {
                corpus.files.sort_by_key(|file| (file.holder, file.start));
                corpus.files.truncate(entries);
                let names: Vec<_> = lists.iter().filter_map(|list| list.file_name()).collect();
                corpus.source = format!("Debian {names:?}");
                return Ok(corpus);
            }
        }
        bail!("unreachable: the last part is everything")
    }

    fn read(&mut self, list: &Path, part: u64) -> Result<()> {
        let mut child = None;
        let plain: Box<dyn Read> = if list.extension().is_some_and(|end| end == "lz4") {
            let mut process = Command::new("/usr/lib/apt/apt-helper")
                .arg("cat-file")
                .arg(list)
                .stdout(Stdio::piped())
                .spawn()?;
            let output = process.stdout.take().context("a piped output")?;
            child = Some(process);
            Box::new(output)
        } else {
            Box::new(std::fs::File::open(list)?)
        };
        let mut lines = BufReader::with_capacity(1 << 20, plain);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            if let Ok(text) = std::str::from_utf8(&line) {
                self.read_line(text.trim_end(), part);
            }
            line.clear();
        }
        if let Some(mut child) = child {
            child.wait()?;
        }
        Ok(())
    }

    /// `path    section/package,section/package`.
    fn read_line(&mut self, line: &str, part: u64) {
        let Some((path, packages)) = line.rsplit_once(char::is_whitespace) else {
            return;
        };
        let path = path.trim_end();
        for package in packages.split(',') {
            let holder = hash(package);
            if holder % part == 0 && !path.is_empty() && path.len() <= FileEntry::PATH_BYTES_MAX {
                self.add(holder, path);
            }
        }
    }

    fn add(&mut self, holder: u64, path: &str) {
        self.files.push(File {
            holder,
            start: self.text.len() as u32,
            len: path.len() as u16,
        });
        self.text.push_str(path);
    }

    /// Paths of the same shape: a few words everywhere, most words rare.
    fn synthetic(entries: usize) -> Self {
        let mut corpus = Self {
            text: String::new(),
            files: Vec::new(),
            source: "SYNTHETIC (no Contents index of apt found: apt-get install apt-file && \
                     apt-file update)"
                .to_owned(),
        };
        let mut draw = Draw(1);
        let roots = [
            "usr/share/doc",
            "usr/share/locale",
            "usr/lib/python3",
            "usr/include",
            "etc",
        ];
        let mut holder = 0;
        while corpus.files.len() < entries {
            holder += 1;
            let package = format!("package{:x}", mix(holder) % 40_000);
            let shared = draw.below(300) + 1;
            for _ in 0..shared.min(entries - corpus.files.len()) {
                let rank = 1.0 / (draw.below(1_000_000) as f64 / 1e6 + 2.5e-6);
                let root = roots[draw.below(roots.len())];
                let (folder, file) = (rank as u64, draw.below(4_000));
                corpus.add(
                    mix(holder),
                    &format!("{root}/{package}/w{folder:x}/module-{file:x}.py"),
                );
            }
        }
        corpus
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn path_bytes(&self) -> usize {
        self.files.iter().map(|file| usize::from(file.len)).sum()
    }

    pub fn path(&self, number: usize) -> &str {
        let file = &self.files[number];
        &self.text[file.start as usize..][..usize::from(file.len)]
    }

    /// The files of each holder.
    pub fn holders(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut from = 0;
        self.files
            .chunk_by(|a, b| a.holder == b.holder)
            .map(move |files| {
                from += files.len();
                from - files.len()..from
            })
    }

    /// What the holder of this file would publish. The signature is noise: an
    /// index keeps it and does not look at it.
    pub fn publication(&self, number: usize) -> Publication {
        let path = self.path(number);
        let mut draw = Draw(self.files[number].holder ^ number as u64);
        let mut signature = [0; 64];
        for part in signature.chunks_mut(8) {
            part.copy_from_slice(&draw.number().to_le_bytes());
        }
        Publication {
            entry: FileEntry {
                content: ContentId::of(path.as_bytes()),
                size: draw.number() % 1_000_000,
                path: path.to_owned(),
                media: Media::default(),
            },
            holder: self.holder(number),
            expires: WallTime::from_unix_seconds(2_000_000_000),
            signature: SignatureBytes(signature),
        }
    }

    pub fn holder(&self, number: usize) -> PeerId {
        let mut draw = Draw(self.files[number].holder);
        let mut id = [0; 32];
        for part in id.chunks_mut(8) {
            part.copy_from_slice(&draw.number().to_le_bytes());
        }
        PeerId::from_bytes(id)
    }
}

/// `GANNET_CONTENTS` (one path or several, separated by colons), or what
/// `apt-file update` left.
fn contents_files() -> Result<Vec<PathBuf>> {
    if let Ok(paths) = std::env::var("GANNET_CONTENTS") {
        return Ok(paths.split(':').map(PathBuf::from).collect());
    }
    let mut found = Vec::new();
    for file in std::fs::read_dir("/var/lib/apt/lists")
        .into_iter()
        .flatten()
    {
        let path = file?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains("_Contents-"))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
