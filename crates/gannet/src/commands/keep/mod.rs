//! `gannet keep`, `gannet kept` and `gannet unkeep`.

mod kept;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use gannet_base::{ContentId, Escaped, GannetLink};
use gannet_node::api::{KeepRequest, KeptFile, ToKeep};

use crate::cli::Target;
use crate::commands::share::absolute;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{DIM, GOOD, Printer, SOSO, count, note, size, span};
use crate::remote::Remote;
use crate::signals::Signals;

pub(crate) use kept::{grant_words, kept};

/// How often it is looked how far the copies are.
const LOOK: Duration = Duration::from_millis(500);
/// Shortest beginning of an id that stands for it.
// Guess: four digits tell a few hundred apart.
const PREFIX_MIN: usize = 4;

/// `keep`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeepArgs {
    #[command(flatten)]
    target: Target,
    /// Files in shared folders, rows of the last search (1 2 5) or links
    #[arg(required = true, value_name = "FILE|N|LINK")]
    files: Vec<String>,
    /// How many peers are to hold each part, 1 to 32 [default: 8]
    #[arg(long, value_name = "R")]
    copies: Option<u8>,
    /// For how many days, 1 to 366 [default: 30]
    #[arg(long, value_name = "D")]
    days: Option<u32>,
    /// Wait no longer when no copy has come for so many seconds; 0: wait for ever.
    /// The running peer goes on in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Do not wait for the copies
    #[arg(long)]
    detach: bool,
}

/// `kept`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeptArgs {
    #[command(flatten)]
    target: Target,
    /// List what this peer holds for others, and for whom
    #[arg(long)]
    held: bool,
    #[command(subcommand)]
    action: Option<KeptAction>,
}

/// What to do with what is held for others.
#[derive(Debug, Clone, Subcommand)]
enum KeptAction {
    /// Hold files, or anything of a peer, for nobody; what is held of it is deleted
    Refuse(Which),
    /// Take refusals back
    Allow(Which),
    /// List what is refused
    Refused,
}

/// Which files or peers.
#[derive(Debug, Clone, Args)]
struct Which {
    /// Ids, or their beginnings as `kept --held` and `kept refused` list them, or
    /// names of files
    #[arg(required = true, value_name = "ID|NAME")]
    what: Vec<String>,
    /// The ids are those of peers
    #[arg(long)]
    keeper: bool,
}

/// `unkeep`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnkeepArgs {
    #[command(flatten)]
    target: Target,
    /// Kept files: ids or their beginnings as `kept` lists them, names, or links
    #[arg(required = true, value_name = "ID|NAME|LINK")]
    what: Vec<String>,
}

/// Has files kept, and waits until there are copies.
pub(crate) async fn keep(args: KeepArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    let mut contents = Vec::new();
    for file in &args.files {
        let request = KeepRequest {
            file: to_keep(file)?,
            copies: args.copies,
            days: args.days,
        };
        contents.push(remote.keep(&request).await?.content);
    }
    let patience = (args.timeout > 0).then(|| Duration::from_secs(args.timeout));
    let end = if args.detach {
        End::Left
    } else {
        wait(&remote, &contents, patience).await?
    };
    let kept = chosen(&remote, &contents).await?;
    if out.wants_json() {
        out.json(&kept)?;
    } else {
        for file in &kept {
            out.line(kept_line(file))?;
        }
    }
    match end {
        End::Placed => Ok(Exit::Done),
        End::Left => {
            note(format_args!(
                "{DIM}the running peer goes on; `gannet kept` shows how far it is{DIM:#}"
            ));
            Ok(Exit::Done)
        }
        End::Stuck => Err(stuck(&remote, &kept).await?),
    }
}

/// How the waiting for copies ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There are as many as there can be.
    Placed,
    /// Nobody waits.
    Left,
    /// Nothing has changed for long.
    Stuck,
}

async fn wait(
    remote: &Remote,
    contents: &[ContentId],
    patience: Option<Duration>,
) -> Result<End, Failure> {
    let mut signals = Signals::listen()?;
    let mut before = Vec::new();
    let mut changed = Instant::now();
    loop {
        let kept = chosen(remote, contents).await?;
        if kept.iter().all(KeptFile::is_placed) {
            return Ok(End::Placed);
        }
        let now: Vec<_> = kept
            .iter()
            .map(|file| (file.copies_online, file.copies_kept, file.blocks_kept))
            .collect();
        if now != before {
            (before, changed) = (now, Instant::now());
        }
        if patience.is_some_and(|patience| changed.elapsed() > patience) {
            return Ok(End::Stuck);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = signals.asked() => return Ok(End::Left),
        }
    }
}

async fn chosen(remote: &Remote, contents: &[ContentId]) -> Result<Vec<KeptFile>, Failure> {
    let mut kept = remote.kept().await?;
    kept.retain(|file| contents.contains(&file.content));
    Ok(kept)
}

/// Why there are not all copies, and what to do.
async fn stuck(remote: &Remote, kept: &[KeptFile]) -> Result<Failure, Failure> {
    let ring = remote.status().await?.dht.unwrap_or_default();
    let missing = kept.iter().filter(|file| !file.is_placed()).count();
    let what = count(missing as u64, "file");
    let mut refused = kept.iter().filter_map(|file| file.refused.as_deref());
    let failure = if ring.successors.is_empty() {
        let text = format_args!("no other peer is on the ring, so nobody can keep {what}");
        Failure::new(Exit::Incomplete, text)
            .next("the copies are made as soon as others come; name one with `gannet up --peer`")
    } else if let Some(reason) = refused.next() {
        let text = format_args!("{what} without all copies: other peers refuse: {reason}");
        Failure::new(Exit::Incomplete, text).next(
            "the running peer goes on asking; fewer --copies may do, or a larger --grant there",
        )
    } else {
        let text = format_args!("{what} without all copies so far");
        Failure::new(Exit::Incomplete, text)
            .next("the running peer goes on; `gannet kept` shows how far it is")
    };
    Ok(failure)
}

/// What was typed: a row's number, a link, an id, or else a path.
fn to_keep(text: &str) -> Result<ToKeep, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(ToKeep::Row {
            search: None,
            number,
        });
    }
    if let Ok(content) = text.parse::<ContentId>() {
        let link = format!("gannet:{content}");
        return Ok(ToKeep::Link { link });
    }
    if text.starts_with("gannet:") {
        let link = text.to_owned();
        return Ok(ToKeep::Link { link });
    }
    let path = absolute(&PathBuf::from(text))?;
    Ok(ToKeep::Path { path })
}

/// One kept file in words.
fn kept_line(file: &KeptFile) -> String {
    let style = if file.is_placed() { GOOD } else { SOSO };
    let few = if file.copies_possible < file.copies {
        format!(
            " {DIM}({} wanted; {} on the ring){DIM:#}",
            file.copies,
            count(file.copies_possible.into(), "other peer"),
        )
    } else {
        format!(" {DIM}of {} wanted{DIM:#}", file.copies)
    };
    format!(
        "keeping {}  {DIM}{}{DIM:#}  {style}{}{style:#}{few}, for {}",
        Escaped(&file.name),
        size(file.size),
        if file.copies_online == 1 {
            "1 copy".to_owned()
        } else {
            format!("{} copies", file.copies_online)
        },
        span(file.seconds_left),
    )
}

/// Has others keep files no more.
pub(crate) async fn unkeep(args: UnkeepArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    let kept = remote.kept().await?;
    let mut ended = Vec::new();
    for text in &args.what {
        let content = find_kept(text, &kept)?;
        let file = remote.unkeep(content).await?;
        if !out.wants_json() {
            out.line(format_args!("no longer keeping {}", Escaped(&file.name)))?;
        }
        ended.push(file);
    }
    if out.wants_json() {
        out.json(&ended)?;
    }
    Ok(Exit::Done)
}

/// Which kept file a text means.
fn find_kept(text: &str, kept: &[KeptFile]) -> Result<ContentId, Failure> {
    if let Ok(content) = text.parse::<ContentId>() {
        return Ok(content);
    }
    if let Ok(link) = text.parse::<GannetLink>() {
        return Ok(link.content);
    }
    let name = Path::new(text).file_name().and_then(|name| name.to_str());
    let is_it = |file: &&KeptFile| {
        let id = file.content.to_string();
        (text.len() >= PREFIX_MIN && id.starts_with(text)) || name == Some(file.name.as_str())
    };
    let found: Vec<ContentId> = kept.iter().filter(is_it).map(|file| file.content).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(
            Failure::failed(format_args!("\"{text}\" is not kept by others"))
                .next("`gannet kept` lists what is"),
        ),
        several => {
            let text = format_args!("\"{text}\" may mean {} files", several.len());
            Err(Failure::usage(text).next("write its id, as `gannet kept` lists it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> KeptFile {
        KeptFile {
            content: ContentId::of(name.as_bytes()),
            name: name.to_owned(),
            path: format!("files/{name}"),
            size: 64_000_000,
            copies: 8,
            copies_kept: 4,
            copies_online: 3,
            copies_possible: 8,
            blocks: 4,
            blocks_kept: 0,
            refused: None,
            expires_unix_seconds: 0,
            seconds_left: 86_400 * 2 + 3_600,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn rows_links_and_paths() {
        assert!(matches!(to_keep("12"), Ok(ToKeep::Row { number: 12, .. })));
        let id = ContentId::of(b"x").to_string();
        for text in [id.clone(), format!("gannet:{id}?name=a")] {
            let Ok(ToKeep::Link { link }) = to_keep(&text) else {
                panic!("{text} is a link")
            };
            assert!(link.starts_with(&format!("gannet:{id}")), "{link}");
        }
        let Ok(ToKeep::Path { path }) = to_keep("./12") else {
            panic!("this is a path")
        };
        assert!(path.is_absolute());
    }

    #[test]
    fn kept_files_read_well_and_stay_text() {
        let mut few = file("harry\u{1b}[2J.bin");
        few.copies_possible = 3;
        let line = plain(&kept_line(&few));
        let expected = "keeping harry\\u{1b}[2J.bin  64.0 MB  3 copies (8 wanted; 3 other peers \
                        on the ring), for 2 d 1 h";
        assert_eq!(line, expected);
        let mut refused = file("b");
        refused.refused = Some("they grant no space".to_owned());
        let table = plain(&kept::kept_table(&[few, refused]).render(None));
        for part in ["4 of 8", "3 other peers on the ring", "refuse: they grant"] {
            assert!(table.contains(part), "{part}\n{table}");
        }
    }

    #[test]
    fn what_is_meant_is_found_by_id_beginning_or_name() {
        let files = [file("a.bin"), file("b.bin")];
        let (a, b) = (files[0].content, files[1].content);
        assert_eq!(find_kept(&a.to_string(), &files), Ok(a));
        assert_eq!(find_kept(&format!("gannet:{b}"), &files), Ok(b));
        assert_eq!(find_kept(&b.to_string()[..10], &files), Ok(b));
        assert_eq!(find_kept("some/where/a.bin", &files), Ok(a));
        assert_eq!(find_kept("c.bin", &files).unwrap_err().exit, Exit::Failed);
        let twins = [file("a.bin"), file("a.bin")];
        assert_eq!(find_kept("a.bin", &twins).unwrap_err().exit, Exit::Usage);
    }
}
