//! `gannet share add|remove|list`.

use std::path::{Path, PathBuf};

use gannet_base::Escaped;
use gannet_node::api::ShareInfo;

use crate::cli::{ShareAction, ShareArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{BAD, Cell, DIM, Layout, Printer, Table, count, size};
use crate::remote::Remote;

/// Does what was asked with the shared folders.
pub(crate) async fn run(args: ShareArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    match args.action {
        ShareAction::Add { folders, force } => {
            let mut added = Vec::new();
            for folder in folders {
                added.push(remote.share_add(absolute(&folder)?, force).await?);
            }
            show_changed("sharing", &added, out)
        }
        ShareAction::Remove { folders } => {
            let mut removed = Vec::new();
            for folder in folders {
                removed.push(remote.share_remove(absolute(&folder)?).await?);
            }
            show_changed("no longer sharing", &removed, out)
        }
        ShareAction::List => {
            let shares = remote.shares().await?;
            if out.wants_json() {
                out.json(&shares)?;
            } else if shares.is_empty() {
                out.line("nothing is shared; share a folder with `gannet share add FOLDER`")?;
            } else {
                out.table(&table(&shares))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// The path as the running peer, which has another current directory, must
/// hear it.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format_args!("\"{}\" is no path: {error}", path.display())))
}

fn show_changed(verb: &str, changed: &[ShareInfo], out: &mut Printer) -> Outcome {
    if out.wants_json() {
        out.json(&changed)?;
        return Ok(Exit::Done);
    }
    for share in changed {
        let path = share.path.display().to_string();
        out.line(format_args!(
            "{verb} {}  {DIM}{}, {}{DIM:#}",
            Escaped(&path),
            count(share.files, "file"),
            size(share.bytes)
        ))?;
    }
    Ok(Exit::Done)
}

fn table(shares: &[ShareInfo]) -> Table {
    let mut table = Table::new(&[
        ("folder", Layout::Cut),
        ("shown as", Layout::Cut),
        ("files", Layout::Right),
        ("size", Layout::Right),
        ("problem", Layout::Cut),
    ]);
    for share in shares {
        table.row([
            share.path.display().to_string().into(),
            Cell::new(&share.name),
            share.files.to_string().into(),
            size(share.bytes).into(),
            Cell::new(share.problem.as_deref().unwrap_or_default()).style(BAD),
        ]);
    }
    table
}
