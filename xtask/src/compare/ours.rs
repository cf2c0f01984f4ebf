//! Gannet, as a user runs it: peers that share, and `gannet get LINK`.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::contest::{Client, Contender};
use super::server::Server;
use crate::bench::peer::{Lab, Peer};
use crate::bench::tool;

/// Fetches `source` from so many peers that share the folder `shared` of so
/// many files, each.
pub(crate) fn contender<'a>(
    lab: &'a Lab<'a>,
    name: &'static str,
    shared: &Path,
    source: &'a Path,
    peers: usize,
) -> anyhow::Result<Contender<'a>> {
    let folder = shared.to_str().context("a folder is no UTF-8")?;
    let peers = (0..peers)
        .map(|n| {
            let peer = lab.start(&format!("{name} {n}"), "up", &[folder])?;
            lab.registered(&peer, 1, 0)?;
            Ok(peer)
        })
        .collect::<anyhow::Result<Vec<Peer>>>()?;
    let mut link = peers
        .first()
        .context("there must be a source")?
        .link(source)?;
    for other in &peers[1..] {
        link.push_str("&peer=");
        link.push_str(&other.address);
    }
    let result = source.file_name().context("the source is a file")?;
    Ok(Contender {
        name,
        servers: peers.into_iter().map(Server::Peer).collect(),
        client: get(lab, link),
        result: result.into(),
    })
}

/// `gannet get LINK` with no peer running and nothing known from before.
pub(crate) fn get<'a>(lab: &'a Lab<'a>, link: String) -> Client<'a> {
    let data = lab.folder.join("data of get");
    Box::new(move |folder| {
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let mut command = lab.command();
        command
            .args(["get", "--no-local-discovery", "--data-dir"])
            .arg(&data);
        command.arg("--output").arg(folder).arg(&link);
        Ok(command)
    })
}

/// A peer that shares one folder of so many files, and the link to all of it,
/// as `gannet link FOLDER` prints it.
pub(crate) fn shared_folder(
    lab: &Lab<'_>,
    name: &str,
    source: &Path,
    files: u64,
) -> anyhow::Result<(Peer, String)> {
    let folder = source.to_str().context("a folder is no UTF-8")?;
    let peer = lab.start(name, "up", &[folder])?;
    lab.registered(&peer, files, 0)?;
    let data = lab.folder.join(name);
    let mut command = lab.command();
    command.args(["link", "--data-dir"]).arg(data).arg(source);
    let printed = tool::output(&mut command, lab.interrupt)?;
    let links: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("gannet:"))
        .collect();
    match links.as_slice() {
        [link] => Ok((peer, (*link).to_owned())),
        _ => bail!(
            "`gannet link FOLDER` printed {} links, not one",
            links.len()
        ),
    }
}
