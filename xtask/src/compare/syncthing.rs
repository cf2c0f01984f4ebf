//! Syncthing: one device shares a folder, another that starts with nothing gets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::contest::Contender;
use super::install::{Tool, quiet};
use super::server::{Server, alive, free_port, spawned};
use super::{Bench, content};

const NAME: &str = "syncthing";
const SCRIPT: &str = include_str!("syncthing.py");
/// Longest time until a device has read what it shares.
const SCANNING: Duration = Duration::from_secs(300);
/// What it looks for to know a folder for its own, and makes in an empty one.
const MARKER: &str = ".stfolder";

/// Syncthing with a file, the only one in its folder, or with a folder; none if it
/// cannot be had or does not work.
pub(crate) fn contender<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
) -> Option<Contender<'a>> {
    let program = bench.tools.debian("syncthing", "syncthing", "--version")?;
    let python = bench.tools.python("http.client", "python3")?;
    let made = start(bench, program, python, folder, source);
    made.inspect_err(|error| bench.tools.note_missing(NAME, format!("{error:#}")))
        .ok()
}

fn start<'a>(
    bench: &Bench<'_>,
    program: Tool,
    python: Tool,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Contender<'a>> {
    let place = folder.join(NAME);
    let shared = Shared::new(source)?;
    let sends = Device::new(bench, &program, place.join("sends"))?;
    let receives = Device::new(bench, &program, place.join("receives"))?;
    let address = format!("tcp://127.0.0.1:{}", free_port()?);
    let settings = Settings {
        own: &sends,
        other: &receives,
        listen: &address,
        // It waits to be called.
        other_at: "dynamic",
        kind: "sendonly",
        path: &shared.folder,
        marker: &shared.marker,
    };
    fs::write(sends.home.join("config.xml"), settings.text())?;
    let log = place.join("sends.log");
    let mut command = device_command(&program, &place);
    command.arg("--home").arg(&sends.home).arg("--no-browser");
    let mut server = spawned(&mut command, &log)?;
    bench.interrupt.wait_for("a scan", SCANNING, || {
        alive(&mut server, &log)?;
        Ok(is_scanned(&fs::read_to_string(&log)?).then_some(()))
    })?;
    let script = place.join("syncthing.py");
    fs::write(&script, SCRIPT)?;
    Ok(Contender {
        name: NAME,
        servers: vec![Server::Other(server)],
        result: shared.result.clone(),
        client: Box::new(move |folder| {
            let device = receives.fresh(place.join("run"))?;
            let settings = Settings {
                own: &device,
                other: &sends,
                listen: "tcp://127.0.0.1:0",
                other_at: &address,
                kind: "receiveonly",
                path: folder,
                marker: MARKER,
            };
            fs::write(device.home.join("config.xml"), settings.text())?;
            let mut command = python.command();
            with_environment(&mut command, &place);
            command.arg(&script).arg(&program.path).arg(&device.home);
            command.args([&device.port.to_string(), &device.key]);
            command.arg(folder).arg(shared.files.to_string());
            Ok(command)
        }),
    })
}

/// What is shared.
struct Shared {
    folder: PathBuf,
    /// What is in it: this shows that it is there, and nothing has to be added.
    marker: String,
    files: usize,
    /// What is compared in the end, in the folder that was fetched.
    result: PathBuf,
}

impl Shared {
    fn new(source: &Path) -> anyhow::Result<Self> {
        let files = content::files(source)?.len();
        let (folder, result) = if source.is_dir() {
            (source, Path::new(""))
        } else {
            let name = source.file_name().context("the source has a name")?;
            let folder = source.parent().context("the source lies in a folder")?;
            (folder, Path::new(name))
        };
        let first = fs::read_dir(folder)?
            .next()
            .context("nothing is shared")??;
        let marker = first.file_name().into_string();
        Ok(Self {
            folder: folder.to_owned(),
            marker: marker.ok().context("a name is no UTF-8")?,
            files,
            result: result.to_owned(),
        })
    }
}

/// One that has its keys.
struct Device {
    home: PathBuf,
    id: String,
    /// Where its API listens.
    port: u16,
    /// The right to use it.
    key: String,
}

impl Device {
    fn new(bench: &Bench<'_>, program: &Tool, home: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&home)?;
        let mut command = device_command(program, &home);
        command.arg("generate").arg("--home").arg(&home);
        quiet(&mut command, bench.interrupt)?;
        let made = fs::read_to_string(home.join("config.xml"))?;
        let id = between(&made, "<device id=\"", "\"").context("it has no name for itself")?;
        let key = between(&made, "<apikey>", "<").context("its API has no key")?;
        Ok(Self {
            id: id.to_owned(),
            key: key.to_owned(),
            port: free_port()?,
            home,
        })
    }

    /// The same in another folder, which is made anew: it knows its keys and no more.
    fn fresh(&self, home: PathBuf) -> anyhow::Result<Self> {
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        for name in ["cert.pem", "key.pem"] {
            fs::copy(self.home.join(name), home.join(name))?;
        }
        Ok(Self {
            home,
            id: self.id.clone(),
            port: self.port,
            key: self.key.clone(),
        })
    }
}

fn device_command(program: &Tool, place: &Path) -> Command {
    let mut command = program.command();
    with_environment(&mut command, place);
    command
}

fn with_environment(command: &mut Command, place: &Path) {
    // It keeps nothing there, but looks.
    command.env("HOME", place);
    // A process that watches over it would live on when it is killed.
    command.env("STMONITORED", "yes");
    command.env("STNODEFAULTFOLDER", "yes");
    // What it takes on this kind of machine after it has tried all there are for a second.
    command.env("STHASHING", "minio");
}

/// What one device has in its `config.xml`; what is not in there is as usual.
struct Settings<'a> {
    own: &'a Device,
    other: &'a Device,
    listen: &'a str,
    other_at: &'a str,
    kind: &'a str,
    path: &'a Path,
    marker: &'a str,
}

impl Settings<'_> {
    /// Nothing is found, asked, told or fetched beyond the two; nothing is awaited
    /// that is there already: no watching, no scanning again, no `fsync` after each
    /// file, no low priority, a second between calls.
    fn text(&self) -> String {
        let (own, other) = (&self.own.id, &self.other.id);
        let (port, key) = (self.own.port, &self.own.key);
        let path = escaped(&self.path.to_string_lossy());
        let marker = escaped(self.marker);
        let (kind, listen, other_at) = (self.kind, self.listen, self.other_at);
        format!(
            r#"<configuration version="36">
<folder id="compare" path="{path}" type="{kind}" rescanIntervalS="0" fsWatcherEnabled="false">
  <device id="{own}"/><device id="{other}"/>
  <markerName>{marker}</markerName>
  <minDiskFree unit="%">0</minDiskFree>
  <disableFsync>true</disableFsync>
</folder>
<device id="{own}" compression="never"><address>dynamic</address></device>
<device id="{other}" compression="never"><address>{other_at}</address></device>
<gui enabled="true" tls="false"><address>127.0.0.1:{port}</address><apikey>{key}</apikey></gui>
<options>
  <listenAddress>{listen}</listenAddress>
  <reconnectionIntervalS>1</reconnectionIntervalS>
  <setLowPriority>false</setLowPriority>
  <progressUpdateIntervalS>-1</progressUpdateIntervalS>
  <minHomeDiskFree unit="%">0</minHomeDiskFree>
  <globalAnnounceEnabled>false</globalAnnounceEnabled>
  <localAnnounceEnabled>false</localAnnounceEnabled>
  <relaysEnabled>false</relaysEnabled>
  <natEnabled>false</natEnabled>
  <stunKeepaliveStartS>0</stunKeepaliveStartS>
  <startBrowser>false</startBrowser>
  <urAccepted>-1</urAccepted>
  <crashReportingEnabled>false</crashReportingEnabled>
  <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
</options>
</configuration>
"#
        )
    }
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

/// What stands between two marks for the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// Whether the log of who sends says that all was read.
fn is_scanned(said: &str) -> bool {
    said.contains("Completed initial scan of ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Device {
        Device {
            home: name.into(),
            id: name.to_uppercase(),
            port: 7,
            key: format!("{name}'s key"),
        }
    }

    #[test]
    fn a_device_is_told_whom_to_call_and_what_to_share() {
        let (own, other) = (device("own"), device("other"));
        let settings = Settings {
            own: &own,
            other: &other,
            listen: "tcp://127.0.0.1:1",
            other_at: "tcp://127.0.0.1:2",
            kind: "sendonly",
            path: Path::new("/a \"b\" & <c>"),
            marker: "d&e",
        };
        let text = settings.text();
        let path = between(&text, "path=\"", "\" type");
        assert_eq!(path, Some("/a &quot;b&quot; &amp; &lt;c>"));
        assert_eq!(between(&text, "<markerName>", "</"), Some("d&amp;e"));
        assert_eq!(between(&text, "<apikey>", "</apikey>"), Some("own's key"));
        let called = "<device id=\"OTHER\" compression=\"never\"><address>tcp://127.0.0.1:2<";
        assert!(text.contains(called), "{text}");
    }

    #[test]
    fn what_it_made_for_itself_is_read() {
        let made = "<configuration><folder><device id=\"ABC-DEF\" introducedBy=\"\"/></folder>\
            <device id=\"ABC-DEF\"/><gui><apikey>xyz</apikey></gui></configuration>";
        assert_eq!(between(made, "<device id=\"", "\""), Some("ABC-DEF"));
        assert_eq!(between(made, "<apikey>", "<"), Some("xyz"));
        assert_eq!(between("<device id=\"AB", "<device id=\"", "\""), None);
        assert!(is_scanned(
            "[ABC] 03:05:51 INFO: Completed initial scan of sendonly folder compare\n"
        ));
        assert!(!is_scanned("INFO: Ready to synchronize compare\n"));
    }

    #[test]
    fn files_and_folders_are_shared_as_they_are() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("many");
        fs::create_dir_all(folder.join("inner")).unwrap();
        for name in ["inner/a", "inner/b"] {
            fs::write(folder.join(name), "a").unwrap();
        }
        let shared = Shared::new(&folder).unwrap();
        assert_eq!((shared.files, shared.marker.as_str()), (2, "inner"));
        assert_eq!(
            (shared.folder, shared.result),
            (folder.clone(), PathBuf::new())
        );
        let one = folder.join("inner").join("a");
        fs::remove_file(folder.join("inner/b")).unwrap();
        let shared = Shared::new(&one).unwrap();
        assert_eq!((shared.files, shared.marker.as_str()), (1, "a"));
        assert_eq!(
            (shared.folder, shared.result),
            (folder.join("inner"), "a".into())
        );
    }

    #[test]
    fn a_fresh_device_has_its_keys_and_no_more() {
        let place = tempfile::tempdir().unwrap();
        let own = Device {
            home: place.path().to_owned(),
            ..device("own")
        };
        for name in ["cert.pem", "key.pem", "config.xml"] {
            fs::write(own.home.join(name), name).unwrap();
        }
        let home = place.path().join("run");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("index"), "of an earlier run").unwrap();
        let fresh = own.fresh(home.clone()).unwrap();
        assert_eq!((fresh.id, fresh.port), (own.id, own.port));
        let mut names: Vec<_> = fs::read_dir(home)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["cert.pem", "key.pem"]);
    }
}
