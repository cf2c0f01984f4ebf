//! `gannet keep`, `gannet kept` and `gannet unkeep`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use gannet_base::{ContentId, Escaped, GannetLink, PeerId};
use gannet_node::api::{HeldFile, KeepRequest, KeepingInfo, KeptFile, Refused, ToKeep};

use crate::cli::Target;
use crate::commands::share::absolute;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Cell, DIM, GOOD, Layout, Printer, SOSO, Table, count, note, size, span};
use crate::remote::Remote;
use crate::signals::Signals;

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

/// Lists what is kept, by others or for them, and what is not to be.
pub(crate) async fn kept(args: KeptArgs, out: &mut Printer) -> Outcome {
    let remote = Remote::connect(&args.target).await?;
    match args.action {
        Some(KeptAction::Refuse(which)) => change(&remote, &which, true, out).await,
        Some(KeptAction::Allow(which)) => change(&remote, &which, false, out).await,
        Some(KeptAction::Refused) => list_refused(&remote, out).await,
        None if args.held => list_held(&remote, out).await,
        None => list_kept(&remote, out).await,
    }
}

async fn list_kept(remote: &Remote, out: &mut Printer) -> Outcome {
    let kept = remote.kept().await?;
    if out.wants_json() {
        out.json(&kept)?;
    } else if kept.is_empty() {
        out.line("others keep nothing for you; `gannet keep FILE` has them keep a file")?;
    } else {
        out.table(&kept_table(&kept))?;
    }
    Ok(Exit::Done)
}

fn kept_table(kept: &[KeptFile]) -> Table {
    let mut table = Table::new(&[
        ("id", Layout::Left),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("copies", Layout::Right),
        ("online", Layout::Right),
        ("left", Layout::Right),
        ("why", Layout::Cut),
    ]);
    for file in kept {
        let style = if file.is_placed() { GOOD } else { SOSO };
        table.row([
            file.content.short().into(),
            Cell::new(&file.name),
            size(file.size).into(),
            format!("{} of {}", file.copies_kept, file.copies).into(),
            Cell::new(file.copies_online.to_string()).style(style),
            span(file.seconds_left).into(),
            Cell::new(why(file)),
        ]);
    }
    table
}

/// Why there are fewer copies than wanted.
fn why(file: &KeptFile) -> String {
    if file.copies_online >= file.copies {
        return String::new();
    }
    if let Some(reason) = &file.refused {
        return format!("others refuse: {reason}");
    }
    if file.copies_possible < file.copies {
        let others = count(file.copies_possible.into(), "other peer");
        return format!("{others} on the ring");
    }
    String::new()
}

async fn list_held(remote: &Remote, out: &mut Printer) -> Outcome {
    let held = remote.held().await?;
    let ring = remote.status().await?.dht;
    if out.wants_json() {
        out.json(&held)?;
        return Ok(Exit::Done);
    }
    let Some(ring) = ring else {
        out.line("nothing is held for others: the dht overlay is off; --overlay switches it on")?;
        return Ok(Exit::Done);
    };
    if !held.is_empty() {
        out.table(&held_table(&held))?;
    }
    out.line(format_args!("{DIM}{}{DIM:#}", grant_words(&ring.keeping)))?;
    Ok(Exit::Done)
}

/// How much of the granted space is taken, in words.
pub(crate) fn grant_words(keeping: &KeepingInfo) -> String {
    if keeping.grant_bytes == 0 && keeping.held_blocks == 0 {
        return "no space is granted to others; --grant gives some".to_owned();
    }
    format!(
        "holds {} of others: {} of {} granted",
        count(keeping.held_blocks, "part"),
        size(keeping.held_bytes),
        size(keeping.grant_bytes)
    )
}

fn held_table(held: &[HeldFile]) -> Table {
    let mut table = Table::new(&[
        ("id", Layout::Left),
        ("name", Layout::Cut),
        ("size", Layout::Right),
        ("parts", Layout::Right),
        ("coming", Layout::Right),
        ("takes", Layout::Right),
        ("for", Layout::Left),
        ("left", Layout::Right),
    ]);
    for file in held {
        let keepers: Vec<String> = file
            .orders
            .iter()
            .map(|order| order.keeper.short())
            .collect();
        let left = file.orders.iter().map(|order| order.seconds_left).max();
        let coming = match file.blocks_coming {
            0 => String::new(),
            coming => coming.to_string(),
        };
        table.row([
            file.content.short().into(),
            Cell::new(&file.name),
            size(file.size).into(),
            format!("{} of {}", file.blocks_held, file.blocks).into(),
            coming.into(),
            size(file.bytes).into(),
            keepers.join(", ").into(),
            left.map(span).unwrap_or_default().into(),
        ]);
    }
    table
}

async fn list_refused(remote: &Remote, out: &mut Printer) -> Outcome {
    let refused = remote.refused().await?;
    if out.wants_json() {
        out.json(&refused)?;
    } else if refused.is_empty() {
        out.line("nothing is refused")?;
    }
    if !out.wants_json() {
        for what in &refused {
            out.line(refused_words(*what))?;
        }
    }
    Ok(Exit::Done)
}

fn refused_words(what: Refused) -> String {
    match what {
        Refused::Content { content } => format!("file  {content}"),
        Refused::Keeper { keeper } => format!("peer  {keeper}"),
    }
}

async fn change(remote: &Remote, which: &Which, refuse: bool, out: &mut Printer) -> Outcome {
    let known = known(&remote.held().await?, &remote.refused().await?);
    let mut changed = Vec::new();
    for text in &which.what {
        let what = find(text, which.keeper, &known)?;
        if refuse {
            remote.refuse(what).await?;
        } else {
            remote.allow(what).await?;
        }
        if !out.wants_json() {
            let verb = if refuse { "refused" } else { "allowed" };
            out.line(format_args!("{verb}  {}", refused_words(what)))?;
        }
        changed.push(what);
    }
    if out.wants_json() {
        out.json(&changed)?;
    }
    Ok(Exit::Done)
}

/// Everything that could be meant, and what it is called.
fn known(held: &[HeldFile], refused: &[Refused]) -> Vec<(Refused, String, String)> {
    let mut known = Vec::new();
    let id = |what: Refused| match what {
        Refused::Content { content } => content.to_string(),
        Refused::Keeper { keeper } => keeper.to_string(),
    };
    for file in held {
        let content = file.content;
        let what = Refused::Content { content };
        known.push((what, id(what), file.name.clone()));
        for order in &file.orders {
            let keeper = order.keeper;
            let what = Refused::Keeper { keeper };
            known.push((what, id(what), String::new()));
        }
    }
    known.extend(refused.iter().map(|what| (*what, id(*what), String::new())));
    known
}

/// What a text means: a whole id, the beginning of one that is known, or a name.
fn find(text: &str, keeper: bool, known: &[(Refused, String, String)]) -> Result<Refused, Failure> {
    let is_right = |what: Refused| !keeper || matches!(what, Refused::Keeper { .. });
    let mut found: Vec<Refused> = Vec::new();
    for (what, id, name) in known.iter().filter(|(what, ..)| is_right(*what)) {
        let is_it = (text.len() >= PREFIX_MIN && id.starts_with(text)) || name == text;
        if is_it && !found.contains(what) {
            found.push(*what);
        }
    }
    match found.as_slice() {
        [one] => return Ok(*one),
        [] => {}
        _ => {
            let text = format_args!("\"{text}\" may mean {} things", found.len());
            return Err(Failure::usage(text).next("write more of its id"));
        }
    }
    let whole = if keeper {
        text.parse::<PeerId>()
            .ok()
            .map(|keeper| Refused::Keeper { keeper })
    } else {
        text.parse::<ContentId>()
            .ok()
            .map(|content| Refused::Content { content })
    };
    whole.ok_or_else(|| {
        Failure::usage(format_args!(
            "\"{text}\" is nothing that is held or refused"
        ))
        .next("`gannet kept --held` and `gannet kept refused` list what there is")
    })
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
    use gannet_node::api::HeldOrder;

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
        let table = plain(&kept_table(&[few, refused]).render(None));
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

        let keeper = PeerId::from_bytes([7; 32]);
        let held = HeldFile {
            content: a,
            name: "a.bin".to_owned(),
            path: "x/a.bin".to_owned(),
            size: 5,
            blocks: 1,
            blocks_held: 1,
            blocks_coming: 0,
            bytes: 5,
            orders: vec![HeldOrder {
                keeper,
                copies: 8,
                expires_unix_seconds: 0,
                seconds_left: 5,
            }],
        };
        let known = known(&[held], &[Refused::Content { content: b }]);
        let content = |content| Ok(Refused::Content { content });
        assert_eq!(find("a.bin", false, &known), content(a));
        assert_eq!(find(&b.to_string()[..8], false, &known), content(b));
        assert_eq!(find("0707", false, &known), Ok(Refused::Keeper { keeper }));
        assert_eq!(
            find(&"07".repeat(32), true, &[]),
            Ok(Refused::Keeper { keeper })
        );
        assert_eq!(find("beef", false, &known).unwrap_err().exit, Exit::Usage);
    }
}
