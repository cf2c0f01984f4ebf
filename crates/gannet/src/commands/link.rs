//! `gannet link FILE`.

use crate::cli::LinkArgs;
use crate::commands::share::absolute;
use crate::exit::{Exit, Outcome};
use crate::output::{Printer, SOSO, note};
use crate::remote::Remote;

/// Prints the links of files, one a line.
pub(crate) async fn run(args: LinkArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    let mut links = Vec::new();
    for file in &args.files {
        let link = remote.link(absolute(file)?).await?;
        if !out.wants_json() {
            out.line(&link.link)?;
            if !link.shared {
                note(format_args!(
                    "{SOSO}this file is in no shared folder, so nobody can fetch it by this link; \
                     share its folder with `gannet share add`{SOSO:#}"
                ));
            }
        }
        links.push(link);
    }
    if out.wants_json() {
        out.json(&links)?;
    }
    Ok(Exit::Done)
}
