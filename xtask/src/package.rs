//! Everything that a package of the program has in it, and the package.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Builds the program, lets it write its manual pages and completions into
/// `target/release/package`, and makes a Debian package if `cargo-deb` is there.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let built = cargo(root)
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "gannet",
            "--bin",
            "gannet",
        ])
        .status()?;
    if !built.success() {
        return Ok(false);
    }
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    };
    let program = target.join("release/gannet");
    // Below `release`, as only what lies there is looked for in the target folder.
    let folder = target.join("release/package");
    let manual = folder.join("man");
    if manual.exists() {
        // No page of a command that is gone.
        fs::remove_dir_all(&manual)?;
    }
    fs::create_dir_all(&manual)?;
    output(Command::new(&program).arg("man").arg(&manual))?;
    compress(&manual)?;
    for (shell, name) in [
        ("bash", "gannet.bash"),
        ("zsh", "_gannet"),
        ("fish", "gannet.fish"),
    ] {
        let script = output(Command::new(&program).args(["completions", shell]))?;
        fs::write(folder.join(name), script)?;
    }
    println!("manual pages and completions are in {}", folder.display());
    let there = cargo(root)
        .args(["deb", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !there.success() {
        println!("no Debian package: `cargo install cargo-deb --locked` is needed for it");
        return Ok(true);
    }
    let made = cargo(root)
        .args(["deb", "--no-build", "--package", "gannet"])
        .status()?;
    Ok(made.success())
}

/// Cargo as a user would start it. What the cargo that runs this has told it of this
/// package would be a change to build scripts that look at it (ring's), and everything
/// would be compiled anew.
fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let is_told =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_told) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// As Debian's policy wants manual pages: without a name or time inside, so that the
/// same text is the same file.
fn compress(manual: &Path) -> anyhow::Result<()> {
    let pages = fs::read_dir(manual)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    output(Command::new("gzip").arg("-9n").args(pages))?;
    Ok(())
}

fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
