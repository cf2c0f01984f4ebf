//! What others would use instead, from public packages: it stays under
//! `target/tools`, and nothing on the system changes.
//!
//! Debian's packages are fetched with those they need and unpacked, not
//! installed: that takes no rights and starts no services.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::server::{spawned, tail};
use crate::bench::scratch::Interrupt;
use crate::bench::tool;

/// A program that is there.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    /// The file to run.
    pub(crate) path: PathBuf,
    /// Where packages were unpacked.
    unpacked: PathBuf,
}

impl Tool {
    /// A command that finds the libraries unpacked beside it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.envs(self.environment());
        command
    }

    /// The variables that it takes to find its libraries.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        if !self.path.starts_with(&self.unpacked) && !is_python(&self.path) {
            return Vec::new();
        }
        let usr = self.unpacked.join("usr");
        let libraries = usr
            .join("lib")
            .join(format!("{}-linux-gnu", std::env::consts::ARCH));
        vec![
            ("LD_LIBRARY_PATH", libraries),
            ("PYTHONPATH", usr.join("lib/python3/dist-packages")),
        ]
    }
}

fn is_python(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "python3")
}

/// Finds programs, and installs those that are missing.
pub(crate) struct Tools<'a> {
    home: PathBuf,
    interrupt: &'a Interrupt,
    /// What each is, by name: asked for once.
    versions: RefCell<BTreeMap<String, String>>,
    /// Why some are not there.
    missing: RefCell<BTreeMap<String, String>>,
}

impl<'a> Tools<'a> {
    /// Tools beside the build output of the checkout.
    pub(crate) fn new(root: &Path, interrupt: &'a Interrupt) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self {
            home: root
                .join(target.unwrap_or_else(|| "target".into()))
                .join("tools"),
            interrupt,
            versions: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// Where they are.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Names and versions of what was found.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.versions.borrow().clone()
    }

    /// Names of what was not found, and why.
    pub(crate) fn missing(&self) -> BTreeMap<String, String> {
        self.missing.borrow().clone()
    }

    /// Notes a version that was learned otherwise.
    pub(crate) fn note_version(&self, name: &str, version: String) {
        self.versions.borrow_mut().insert(name.to_owned(), version);
    }

    /// Notes that something is missing, or why it dropped out.
    pub(crate) fn note_missing(&self, name: &str, reason: String) {
        eprintln!("  without {name}: {reason}");
        self.missing.borrow_mut().insert(name.to_owned(), reason);
    }

    /// A program of Debian, asked for its version with `flag` unless that is
    /// empty; none if it cannot be had, which is noted.
    pub(crate) fn debian(&self, program: &str, package: &str, flag: &str) -> Option<Tool> {
        let found = self.find(program).map_or_else(
            || {
                self.unpack(package)?;
                let found = self.find(program);
                found.with_context(|| format!("package {package} has no {program}"))
            },
            Ok,
        );
        self.checked(program, found, flag)
    }

    /// A program of crates.io.
    pub(crate) fn crates(&self, program: &str, flag: &str) -> Option<Tool> {
        let path = self.home.join("bin").join(program);
        let install = || -> anyhow::Result<Tool> {
            if !path.exists() {
                eprintln!("  installing {program} (some minutes)");
                let mut command = Command::new(env!("CARGO"));
                // In the tools' own place: the checkout's settings are not for them.
                std::fs::create_dir_all(&self.home)?;
                command
                    .current_dir(&self.home)
                    .args(["install", "--locked", "--quiet"]);
                command.arg(program).arg("--root").arg(&self.home);
                command.env("CARGO_TARGET_DIR", self.home.join("build"));
                let installed = tool::output(&mut command, self.interrupt);
                // Gigabytes that nobody needs again.
                let _ = std::fs::remove_dir_all(self.home.join("build"));
                installed?;
            }
            Ok(self.tool(path.clone()))
        };
        self.checked(program, install(), flag)
    }

    /// Python with a module of Debian.
    pub(crate) fn python(&self, module: &str, package: &str) -> Option<Tool> {
        let python = || -> anyhow::Result<Tool> {
            let system = Path::new("/usr/bin/python3");
            if !system.exists() {
                self.unpack("python3-minimal")?;
            }
            let own = self.home.join("debian/usr/bin/python3");
            let tool = self.tool(if system.exists() {
                system.to_owned()
            } else {
                own
            });
            let version = "sys.version.split()[0]";
            let ask =
                format!("import sys, {module} as m; print(getattr(m, '__version__', {version}))");
            if self.ask(&tool, &["-c", &ask]).is_err() {
                self.unpack(package)?;
            }
            let version = self.ask(&tool, &["-c", &ask])?;
            if package.contains(module) {
                self.note_version(module, version);
            }
            Ok(tool)
        };
        python()
            .inspect_err(|error| self.note_missing(module, format!("{error:#}")))
            .ok()
    }

    fn checked(&self, program: &str, found: anyhow::Result<Tool>, flag: &str) -> Option<Tool> {
        let checked = found.and_then(|tool| {
            if !flag.is_empty() {
                self.note_version(program, self.ask(&tool, &[flag])?);
            }
            Ok(tool)
        });
        checked
            .inspect_err(|error| self.note_missing(program, format!("{error:#}")))
            .ok()
    }

    fn tool(&self, path: PathBuf) -> Tool {
        Tool {
            path,
            unpacked: self.home.join("debian"),
        }
    }

    fn find(&self, program: &str) -> Option<Tool> {
        let unpacked = self.home.join("debian/usr");
        let own = [unpacked.join("bin"), unpacked.join("sbin")];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = own.into_iter().chain(std::env::split_paths(&path));
        let places = places.chain(["/usr/sbin".into()]);
        let mut files = places.map(|place| place.join(program));
        files
            .find(|file| file.is_file())
            .map(|file| self.tool(file))
    }

    /// The first line of what a program says about itself.
    fn ask(&self, tool: &Tool, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tool.command();
        let asked = command.args(arguments).stdin(Stdio::null()).output();
        let asked = asked.with_context(|| format!("cannot start {}", tool.path.display()))?;
        self.interrupt.check()?;
        let [out, err] = [asked.stdout, asked.stderr].map(|said| first_line(&said));
        if !asked.status.success() {
            bail!("{} does not run: {err}", tool.path.display());
        }
        Ok(if out.is_empty() { err } else { out })
    }

    /// Fetches a package and what it needs beyond what the system has, and
    /// unpacks all of it.
    fn unpack(&self, package: &str) -> anyhow::Result<()> {
        let archives = self.home.join("archives");
        std::fs::create_dir_all(archives.join("partial"))?;
        if self.fetch(package, &archives).is_err() {
            // Machines may have no lists yet; without the right to fetch them
            // the second try says what is wrong.
            let _ = quiet(
                Command::new("apt-get").args(["-q", "update"]),
                self.interrupt,
            );
            self.fetch(package, &archives)?;
        }
        for entry in std::fs::read_dir(&archives)? {
            let archive = entry?.path();
            if archive
                .extension()
                .is_some_and(|extension| extension == "deb")
            {
                let mut command = Command::new("dpkg-deb");
                command
                    .arg("-x")
                    .arg(&archive)
                    .arg(self.home.join("debian"));
                quiet(&mut command, self.interrupt)?;
                std::fs::remove_file(archive)?;
            }
        }
        Ok(())
    }

    fn fetch(&self, package: &str, archives: &Path) -> anyhow::Result<()> {
        let mut command = Command::new("apt-get");
        let place = format!("Dir::Cache::archives={}", archives.display());
        command.args(["-q", "-y", "--no-install-recommends", "--download-only"]);
        command.args(["-o", &place, "-o", "Debug::NoLocking=1"]);
        quiet(command.args(["install", package]), self.interrupt)
            .with_context(|| format!("apt-get does not give the package {package}"))
    }
}

/// Runs a command whose output nobody wants unless it fails.
pub(crate) fn quiet(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let mut child = spawned(command, log.path())?;
    let patience = std::time::Duration::from_secs(1_800);
    let status = interrupt.wait_for("a tool", patience, || Ok(child.0.try_wait()?))?;
    if !status.success() {
        let name = command.get_program().display();
        bail!("{name}: {status}{}", tail(log.path()));
    }
    Ok(())
}

fn first_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    said.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_path_is_taken_and_its_version_noted() {
        let folder = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::quiet();
        let tools = Tools {
            home: folder.path().to_owned(),
            ..Tools::new(folder.path(), &interrupt)
        };
        let cargo = tools.debian("cargo", "cargo", "--version").unwrap();
        assert!(cargo.environment().is_empty());
        assert!(tools.versions()["cargo"].starts_with("cargo "));
        assert!(tools.missing().is_empty());
    }

    #[test]
    fn what_was_unpacked_finds_its_libraries() {
        let tool = Tool {
            path: "/t/debian/usr/bin/aria2c".into(),
            unpacked: "/t/debian".into(),
        };
        let variables = tool.environment();
        assert_eq!(variables[0].0, "LD_LIBRARY_PATH");
        assert!(variables[0].1.starts_with("/t/debian/usr/lib"));
    }

    #[test]
    fn failures_say_what_the_tool_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no luck >&2; exit 1"]);
        let error = quiet(&mut command, &Interrupt::quiet()).unwrap_err();
        assert!(error.to_string().contains("no luck"), "{error}");
    }
}
