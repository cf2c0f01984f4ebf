//! `gannet get N|LINK…`.

use std::time::Duration;

use gannet_base::{ContentId, Escaped, GannetLink, LinkKind};
use gannet_node::api::{DownloadInfo, DownloadRequest};
use serde::Serialize;

use crate::cli::GetArgs;
use crate::commands::oneshot;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{DIM, GOOD, Printer};
use crate::progress::Follow;
use crate::remote::{Remote, Running, Started};

/// One thing to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A row of the last search.
    Row(u32),
    /// A link.
    Link(GannetLink),
}

/// What JSON says before progress.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    /// The file is there already.
    Have { message: &'a str },
    /// It was left to the running peer.
    Started { download: &'a DownloadInfo },
}

/// Downloads what was asked for.
pub(crate) async fn run(args: GetArgs, out: &mut Printer) -> Outcome {
    let wanted = args
        .wanted
        .iter()
        .map(|text| wanted(text))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(remote) = Remote::find(&args.target).await? else {
        return oneshot::run(&args, wanted, out).await;
    };
    if args.output.is_some() {
        return Err(Failure::usage(
            "--output is for downloads with no peer running; the running peer has its own folder",
        )
        .next("`gannet status` shows where its downloads land"));
    }
    download(&Running::There(Box::new(remote)), wanted, &args, out).await
}

/// Starts the downloads and follows them.
pub(crate) async fn download(
    running: &Running,
    wanted: Vec<Wanted>,
    args: &GetArgs,
    out: &mut Printer,
) -> Outcome {
    let mut numbers = Vec::new();
    for wanted in wanted {
        let request = match wanted {
            Wanted::Row(number) => DownloadRequest::Row {
                search: None,
                number,
            },
            Wanted::Link(link) => DownloadRequest::Link {
                link: link.to_string(),
            },
        };
        match running.download(request).await? {
            Started::Have(message) if out.wants_json() => {
                out.json(&Line::Have { message: &message })?;
            }
            Started::Have(message) => {
                out.line(format_args!("{GOOD}done{GOOD:#}  {}", Escaped(&message)))?;
            }
            Started::Running(download) if args.detach && out.wants_json() => {
                out.json(&Line::Started {
                    download: &download,
                })?;
            }
            Started::Running(download) if args.detach => out.line(format_args!(
                "started download {}  {}  {DIM}`gannet downloads` shows how far it is{DIM:#}",
                download.number,
                Escaped(&download.name)
            ))?,
            Started::Running(download) => numbers.push(download.number),
        }
    }
    if numbers.is_empty() {
        return Ok(Exit::Done);
    }
    let patience = (args.timeout > 0).then(|| Duration::from_secs(args.timeout));
    Follow::new(numbers, patience).run(running, out).await
}

/// A row's number, a link, or a bare content id.
fn wanted(text: &str) -> Result<Wanted, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(Wanted::Row(number));
    }
    if let Ok(content) = text.parse::<ContentId>() {
        return Ok(Wanted::Link(GannetLink {
            content,
            kind: LinkKind::File,
            name: None,
            size: None,
            peers: Vec::new(),
        }));
    }
    text.parse().map(Wanted::Link).map_err(|wrong| {
        Failure::usage(format_args!(
            "\"{text}\" is neither a row's number nor a link: {wrong}"
        ))
        .next("`gannet search` numbers its rows; links are printed by `gannet link FILE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_links_and_ids() {
        let content = ContentId::of(b"x");
        assert_eq!(wanted("12"), Ok(Wanted::Row(12)));
        let Ok(Wanted::Link(link)) = wanted(&content.to_string()) else {
            panic!("an id is a link without hints")
        };
        assert_eq!(link.content, content);
        let text = format!("gannet:{content}?name=a%20b&size=3");
        assert!(matches!(wanted(&text), Ok(Wanted::Link(link)) if link.size == Some(3)));
        for wrong in ["", "-1", "magnet:?xt=1", "gannet:12", "4294967296"] {
            let failure = wanted(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{wrong}");
            assert!(failure.next.is_some());
        }
    }
}
