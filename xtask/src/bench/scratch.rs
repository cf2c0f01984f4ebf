//! Leaving nothing behind: folders and processes that go with their owner, also
//! when the run fails or is interrupted.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tempfile::TempDir;

/// Whether somebody asked the run to end. Everything that waits asks it, so
/// that destructors run and clean up.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes Ctrl-C and requests to end over.
    pub(crate) fn register() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .context("cannot watch for Ctrl-C")?;
        }
        Ok(Self(flag))
    }

    /// One that nothing raises.
    #[cfg(test)]
    pub(crate) fn quiet() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// One that was raised.
    #[cfg(test)]
    pub(crate) fn raised() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// An error if the run shall end.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Lets time pass.
    pub(crate) fn pause(&self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        self.check()
    }

    /// Asks `probe` every 20 ms until it has an answer.
    ///
    /// # Errors
    ///
    /// If it has none in time, if it fails, or if the run is interrupted.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        time: Duration,
        mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            if let Some(answer) = probe()? {
                return Ok(answer);
            }
            if Instant::now() > end {
                bail!("waited {} s in vain for {what}", time.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A folder that vanishes with its owner: in memory if the system has a place
/// for that, so that disks do not enter the figures.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    folder_in(&parent)
}

/// The same at a place of the caller's choice.
pub(crate) fn folder_in(parent: &Path) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("gannet-bench-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a folder in {}", parent.display()))
}

/// Writes a file of `mebibytes` MiB in which no two MiB are alike.
pub(crate) fn write_file(path: PathBuf, mebibytes: u64) -> anyhow::Result<PathBuf> {
    let mut block = Vec::with_capacity(1 << 20);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while block.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    let mut file = File::create(&path)?;
    for n in 0..mebibytes {
        block[..8].copy_from_slice(&n.to_le_bytes());
        file.write_all(&block)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_an_answer_a_deadline_or_an_interrupt() {
        let calm = Interrupt::quiet();
        let mut asked = 0;
        let answer = calm.wait_for("three", Duration::from_secs(60), || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer.unwrap(), 3);
        let vain = calm.wait_for("nothing", Duration::ZERO, || Ok(None::<()>));
        assert!(vain.unwrap_err().to_string().contains("nothing"));
        let day = Duration::from_secs(86_400);
        assert!(Interrupt::raised().pause(day).is_err());
    }

    #[test]
    fn files_have_their_length_and_folders_vanish() {
        let folder = folder().unwrap();
        let file = write_file(folder.path().join("f"), 2).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes.len(), 2 << 20);
        assert_ne!(bytes[..1 << 20], bytes[1 << 20..]);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
