//! Other programs that a benchmark builds and runs.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::scratch::Interrupt;

/// A child process that dies with its owner.
#[derive(Debug)]
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // Both fail only if the child is gone, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end and returns what it printed; its standard error
/// goes to ours.
pub(crate) fn output(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let mut child = Owned(child);
    let mut pipe = child.0.stdout.take().expect("it was asked for");
    // Reading beside the wait: a full pipe would stop the child for ever.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let day = Duration::from_secs(24 * 3600);
    let status = interrupt.wait_for(&shown, day, || Ok(child.0.try_wait()?))?;
    let text = reader.join().expect("reading does not panic")?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(text)
}

/// Cargo, in the checkout.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root);
    command
}

/// Builds an optimised program or example and says where it is.
pub(crate) fn build(root: &Path, what: &[&str], interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let mut command = cargo(root);
    command
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
        ])
        .args(what);
    let messages = output(&mut command, interrupt)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .with_context(|| format!("cargo built nothing to run from {what:?}"))
}

/// The last JSON document that a program printed, one to a line or the whole.
pub(crate) fn last_json(text: &str) -> anyhow::Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    text.lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .with_context(|| format!("no JSON in {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_die_with_their_owner_and_with_the_run() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        let watched = process.exists();
        drop(Owned(child));
        assert!(!process.exists());
        let interrupt = Interrupt::raised();
        let error = output(Command::new("sleep").arg("600"), &interrupt).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
        assert_eq!(watched, cfg!(target_os = "linux"));
    }

    #[test]
    fn failures_and_output_are_told_apart() {
        let calm = Interrupt::quiet();
        let text = output(Command::new("echo").arg("hello"), &calm).unwrap();
        assert_eq!(text, "hello\n");
        assert!(output(&mut Command::new("false"), &calm).is_err());
    }

    #[test]
    fn json_is_found_behind_other_lines() {
        assert_eq!(last_json("{\n\"a\": 1\n}").unwrap()["a"], 1);
        assert_eq!(
            last_json("warming up\n{\"a\":1}\n{\"a\":2}\n").unwrap()["a"],
            2
        );
        assert!(last_json("nothing").is_err());
    }
}
