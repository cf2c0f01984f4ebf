//! A web server and what fetches from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Bench;
use super::contest::{Client, Contender};
use super::install::{Tool, quiet};
use super::server::{Server, free_port, is_root, listens, spawned};

/// curl and aria2, each with a server of its own, as far as they are there.
/// `source` is the only file of its folder.
pub(crate) fn contenders<'a>(
    bench: &Bench<'_>,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Vec<Contender<'a>>> {
    let mut found = Vec::new();
    let Some(nginx) = bench.tools.debian("nginx", "nginx-light", "-v") else {
        return Ok(found);
    };
    let shared = source.parent().context("the source lies in a folder")?;
    let name = source.file_name().context("the source is a file")?;
    let result = PathBuf::from(name);
    let name = name.to_str().context("the name is no UTF-8")?.to_owned();
    let web =
        |place: &str, is_secure| Web::start(bench, &nginx, &folder.join(place), shared, is_secure);
    if let Some(curl) = bench.tools.debian("curl", "curl", "--version") {
        for (label, is_secure) in [("curl http", false), ("curl https", true)] {
            let web = web(label, is_secure)?;
            found.push(Contender {
                name: label,
                client: web.curl(curl.clone(), &name),
                servers: vec![web.server],
                result: result.clone(),
            });
        }
    }
    if let Some(aria) = bench.tools.debian("aria2c", "aria2", "--version") {
        let web = web("aria2", false)?;
        found.push(Contender {
            name: "aria2, 8 connections",
            client: web.aria(aria, &name),
            servers: vec![web.server],
            result,
        });
    }
    Ok(found)
}

struct Web {
    server: Server,
    /// Up to the name of a file.
    url: String,
    certificate: Option<PathBuf>,
}

impl Web {
    fn start(
        bench: &Bench<'_>,
        nginx: &Tool,
        place: &Path,
        shared: &Path,
        is_secure: bool,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(place)?;
        let port = free_port()?;
        let certificate = is_secure.then(|| place.join("certificate.pem"));
        let mut listen = format!("listen 127.0.0.1:{port};");
        if let Some(certificate) = &certificate {
            let key = place.join("key.pem");
            make_certificate(bench, certificate, &key)?;
            listen = format!(
                "listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.3;\n\
                 ssl_certificate \"{}\"; ssl_certificate_key \"{}\";\n\
                 ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
                certificate.display(),
                key.display()
            );
        }
        let settings = place.join("nginx.conf");
        fs::write(&settings, settings_text(place, shared, &listen))?;
        let mut command = nginx.command();
        command
            .arg("-p")
            .arg(place)
            .arg("-c")
            .arg(&settings)
            .args(["-e", "stderr"]);
        let server = spawned(&mut command, &place.join("nginx.log"))?;
        listens(bench, port)?;
        let scheme = if is_secure { "https" } else { "http" };
        Ok(Self {
            server: Server::Other(server),
            url: format!("{scheme}://127.0.0.1:{port}/"),
            certificate,
        })
    }

    fn curl<'a>(&self, curl: Tool, name: &str) -> Client<'a> {
        let (url, name) = (format!("{}{name}", self.url), name.to_owned());
        let certificate = self.certificate.clone();
        Box::new(move |folder| {
            let mut command = curl.command();
            command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
            if let Some(certificate) = &certificate {
                command.arg("--cacert").arg(certificate);
            }
            command.arg("--output").arg(folder.join(&name)).arg(&url);
            Ok(command)
        })
    }

    fn aria<'a>(&self, aria: Tool, name: &str) -> Client<'a> {
        let (url, name) = (format!("{}{name}", self.url), name.to_owned());
        Box::new(move |folder| {
            let mut command = aria.command();
            command.args([
                "--no-conf",
                "--quiet",
                "--file-allocation=none",
                "--no-proxy=*",
            ]);
            command.args(["-x8", "-s8", "-k1M", "--allow-overwrite=true", "-o", &name]);
            command.arg("-d").arg(folder).arg(&url);
            Ok(command)
        })
    }
}

/// One process that serves and no more: with a master above it a killed server
/// would leave its workers behind.
fn settings_text(place: &Path, shared: &Path, listen: &str) -> String {
    let place = place.display();
    let user = if is_root() { "user root;" } else { "" };
    format!(
        "daemon off; master_process off; pid \"{place}/nginx.pid\"; {user}\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on;\n\
         client_body_temp_path \"{place}/a\"; proxy_temp_path \"{place}/b\";\n\
         fastcgi_temp_path \"{place}/c\"; uwsgi_temp_path \"{place}/d\"; scgi_temp_path \"{place}/e\";\n\
         server {{ {listen}\n root \"{}\"; }} }}\n",
        shared.display()
    )
}

fn make_certificate(bench: &Bench<'_>, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    command.args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]);
    command.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    command.arg("-keyout").arg(key).arg("-out").arg(certificate);
    quiet(&mut command, bench.interrupt)
}
