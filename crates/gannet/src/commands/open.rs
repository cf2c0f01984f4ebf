//! `gannet open`: the page in a browser.

use std::process::{Command, Stdio};

use serde::Serialize;

use crate::cli::OpenArgs;
use crate::exit::{Exit, Outcome};
use crate::output::{DIM, Printer, note};
use crate::remote::Remote;

/// What JSON says.
#[derive(Debug, Serialize)]
struct Opened<'a> {
    /// The link. It works once, within an hour.
    link: &'a str,
    /// Whether a browser was asked to open it.
    browser: bool,
}

/// Prints a link that lets one browser in, and gives it to the user's.
pub(crate) async fn run(args: OpenArgs, out: &mut Printer) -> Outcome {
    let link = Remote::connect(&args.target).await?.browser_link().await?;
    let browser = !args.print && start_browser(&link);
    if out.wants_json() {
        let link = &link;
        out.json(&Opened { link, browser })?;
        return Ok(Exit::Done);
    }
    out.line(&link)?;
    if !browser && !args.print {
        note(format_args!(
            "{DIM}no browser could be started; open the link in one on this machine{DIM:#}"
        ));
    }
    Ok(Exit::Done)
}

/// Asks the desktop to show an address. The link is seen by whoever may list this
/// user's processes for a moment; it works once, and the browser is quicker.
fn start_browser(link: &str) -> bool {
    let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(target_os = "windows") {
        // Not `start`, which belongs to a shell.
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some()
    {
        ("xdg-open", &[])
    } else {
        // Without a display there is no browser to be seen.
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(link);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
