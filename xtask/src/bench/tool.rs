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
    // What cargo says about this package to this program: build scripts that
    // look at it (ring's does) would run again, and all that depends on them.
    let said = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    for (name, _) in std::env::vars_os() {
        let is_said = name
            .to_str()
            .is_some_and(|name| said.iter().any(|s| name.starts_with(s)));
        if is_said {
            command.env_remove(name);
        }
    }
    command
}

/// What the benchmarks of this workspace run.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The program itself.
    pub(crate) gannet: PathBuf,
    /// A bare stream of the transport.
    pub(crate) stream: PathBuf,
    /// The benchmark of the store.
    pub(crate) store: PathBuf,
    /// Many peers in one process.
    pub(crate) flood: PathBuf,
    /// Peers on a ring in one process.
    pub(crate) dht: PathBuf,
}

/// Builds all of [`Programs`] at once, whichever are wanted: a build of one
/// package chooses the features of what all depend on for this package, so that
/// builds one after the other would each begin anew.
pub(crate) fn programs(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Programs> {
    let packages = ["gannet", "gannet-net", "gannet-node", "gannet-store"];
    let mut what: Vec<&str> = packages
        .iter()
        .flat_map(|name| ["--package", name])
        .collect();
    what.extend(["--bin", "gannet"]);
    what.extend(["--example", "stream_bench"]);
    what.extend(["--example", "flood_bench"]);
    what.extend(["--example", "dht_bench"]);
    what.extend(["--bench", "store"]);
    let built = build_all(root, &what, interrupt)?;
    let find = |name: &str| {
        let path = built.iter().find(|(target, _)| target == name);
        path.map(|(_, path)| path.clone())
            .with_context(|| format!("cargo built no {name}"))
    };
    Ok(Programs {
        gannet: find("gannet")?,
        stream: find("stream_bench")?,
        store: find("store")?,
        flood: find("flood_bench")?,
        dht: find("dht_bench")?,
    })
}

/// Builds an optimised program and says where it is.
pub(crate) fn build(root: &Path, what: &[&str], interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let built = build_all(root, what, interrupt)?.pop();
    let (_, path) = built.with_context(|| format!("cargo built nothing to run from {what:?}"))?;
    Ok(path)
}

/// Names and places of what was built.
fn build_all(
    root: &Path,
    what: &[&str],
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut command = cargo(root);
    command
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
        ])
        .args(what);
    Ok(executables(&output(&mut command, interrupt)?))
}

/// The executables in the messages of cargo.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str().map(PathBuf::from)?))
        })
        .collect()
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
    fn executables_are_found_among_the_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"base\"},\"executable\":null}\n\
            {\"target\":{\"name\":\"gannet\"},\"executable\":\"/t/gannet\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let found = [("gannet".to_owned(), PathBuf::from("/t/gannet"))];
        assert_eq!(executables(messages), found);
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
