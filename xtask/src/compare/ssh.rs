//! rsync over ssh: a server of our own with keys that are thrown away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::Bench;
use super::contest::Contender;
use super::install::{Tool, quiet};
use super::server::{Server, free_port, is_root, listens, spawned};

/// rsync of a folder; none if it cannot be had or does not work.
pub(crate) fn rsync<'a>(bench: &Bench<'_>, folder: &Path, source: &Path) -> Option<Contender<'a>> {
    let tools = bench.tools;
    let programs = Programs {
        rsync: tools.debian("rsync", "rsync", "--version")?,
        ssh: tools.debian("ssh", "openssh-client", "-V")?,
        keygen: tools.debian("ssh-keygen", "openssh-client", "")?,
        sshd: tools.debian("sshd", "openssh-server", "")?,
    };
    programs
        .contender(bench, &folder.join("ssh"), source)
        .inspect_err(|error| tools.note_missing("rsync over ssh", format!("{error:#}")))
        .ok()
}

struct Programs {
    rsync: Tool,
    ssh: Tool,
    keygen: Tool,
    sshd: Tool,
}

impl Programs {
    fn contender<'a>(
        self,
        bench: &Bench<'_>,
        place: &Path,
        source: &Path,
    ) -> anyhow::Result<Contender<'a>> {
        fs::create_dir_all(place)?;
        for key in ["host", "user"] {
            let mut command = self.keygen.command();
            command
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(place.join(key));
            quiet(&mut command, bench.interrupt)?;
        }
        fs::copy(place.join("user.pub"), place.join("allowed"))?;
        let port = free_port()?;
        let settings = place.join("sshd.conf");
        fs::write(&settings, settings_text(place, port))?;
        let server = spawned(&mut self.daemon(place, &settings)?, &place.join("sshd.log"))?;
        listens(bench, port)?;
        let libraries = self.rsync.environment();
        let libraries = libraries
            .iter()
            .map(|(name, value)| format!("{name}={}", value.display()));
        let there = libraries.collect::<Vec<String>>().join(" ");
        let there = format!("--rsync-path=env {there} {}", self.rsync.path.display());
        let shell = format!(
            "{} -F /dev/null -p {port} -i {}/user -o BatchMode=yes -o LogLevel=ERROR \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            self.ssh.path.display(),
            place.display()
        );
        let from = format!("127.0.0.1:{}", source.display());
        let rsync = self.rsync;
        Ok(Contender {
            name: "rsync over ssh",
            servers: vec![Server::Other(server)],
            client: Box::new(move |folder| {
                let mut command = rsync.command();
                command
                    .args(["--archive", "--rsh", &shell, &there, &from])
                    .arg(folder);
                Ok(command)
            }),
            result: source.file_name().context("the source has a name")?.into(),
        })
    }

    /// Run by root, sshd wants a folder and a user that its package makes: it
    /// gets them in a view of the files that only it has.
    fn daemon(&self, place: &Path, settings: &Path) -> anyhow::Result<Command> {
        let mut own = self.sshd.command();
        own.args(["-D", "-e", "-f"]).arg(settings);
        if !is_root() {
            return Ok(own);
        }
        let users = place.join("passwd");
        let mut known = fs::read_to_string("/etc/passwd")?;
        if !known.lines().any(|line| line.starts_with("sshd:")) {
            known.push_str("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n");
        }
        fs::write(&users, known)?;
        fs::set_permissions(&users, fs::Permissions::from_mode(0o644))?;
        let script = "mount --bind \"$1\" /etc/passwd && mount -t tmpfs none /run && \
            mkdir /run/sshd && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&users);
        command.envs(self.sshd.environment());
        command.arg(own.get_program()).args(own.get_args());
        Ok(command)
    }
}

fn settings_text(place: &Path, port: u16) -> String {
    let place = place.display();
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host\nPidFile none\n\
         AuthorizedKeysFile {place}/allowed\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
    )
}
