//! `gannet man` and `gannet config`: documents that are made from what the
//! program itself is made of.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use gannet_node::reference;
use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Printer;

#[derive(Serialize)]
struct Pages {
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    text: &'a str,
}

/// Prints the manual page, or writes one for every command into a folder.
pub(crate) fn run(folder: Option<&Path>, out: &mut Printer) -> Outcome {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let made = clap_mangen::Man::new(Cli::command()).render(&mut page);
        made.map_err(Failure::failed)?;
        let page = String::from_utf8(page).map_err(Failure::failed)?;
        return document(&page, out);
    };
    let failed =
        |error| Failure::failed(format_args!("cannot write {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "1"))
        .collect();
    files.sort();
    if out.wants_json() {
        out.json(&Pages { files })?;
    } else {
        for file in files {
            out.line(gannet_base::Escaped(&file.display().to_string()))?;
        }
    }
    Ok(Exit::Done)
}

/// Prints every setting there is.
pub(crate) fn config(markdown: bool, out: &mut Printer) -> Outcome {
    let text = match markdown {
        true => reference::page(),
        false => reference::file(),
    };
    document(&text, out)
}

fn document(text: &str, out: &mut Printer) -> Outcome {
    if out.wants_json() {
        out.json(&Document { text })?;
    } else {
        out.line(text.trim_end())?;
    }
    Ok(Exit::Done)
}
