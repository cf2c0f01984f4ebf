//! The act with a hub, step by step.

use std::path::{Path, PathBuf};

use gannet_base::ContentId;
use gannet_node::api::SearchRow;

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::files::{self, BIG_HOLDERS, BIG_NAME, Placed, SHARERS};
use crate::demo::scenes::{SOON, ask, complete, folder_of, get, names_of, row_of, until};
use crate::demo::stage::Stage;
use crate::demo::transfer;
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, count, size};
use crate::progress::final_line;

/// What each holder of the big file may send, as `--limit-up` takes it: slow
/// enough to watch.
const LIMIT_UP: &str = "14M";

/// What the play is about.
#[derive(Debug)]
pub(super) struct Props {
    /// The files of the folder.
    pub(super) files: Vec<Placed>,
    /// The big file.
    pub(super) big: PathBuf,
    /// Its length in bytes.
    pub(super) big_bytes: u64,
    /// Its id.
    pub(super) big_content: ContentId,
}

/// Plays everything. Ends at the first thing that does not hold.
pub(super) async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let props = prepare(args, place, stage)?;
    start(place, company, stage).await?;
    register(&props, company, stage).await?;
    fetch_small(&props, company, stage).await?;
    let row = find_big(&props, company, stage).await?;
    transfer::fetch_big(&props, &row, company, stage).await?;
    stop(company, stage).await
}

fn prepare(args: &DemoArgs, place: &Path, stage: &mut Stage<'_>) -> Result<Props, Failure> {
    stage.step("Who shares what")?;
    let folder = match super::folder(args)? {
        Some(folder) => folder,
        None => {
            let folder = place.join("generated");
            files::generate(&folder)?;
            folder
        }
    };
    let files = files::of_folder(&folder)?;
    if files.is_empty() {
        return Err(Failure::usage(format_args!(
            "{} has no files to play with",
            folder.display()
        ))
        .next("name another folder, or run it where none is: it then makes its own files"));
    }
    files::hand_out(&files, |name| folder_of(place, name))?;
    let big = place.join(BIG_NAME);
    files::write_big(&big, args.big << 20)?;
    for holder in BIG_HOLDERS {
        files::link_or_copy(&big, &folder_of(place, holder).join(BIG_NAME))?;
    }
    stage.say(format_args!(
        "{} of {}, each given to two of five peers; and one file\nof {} that four of them have:",
        count(u64::try_from(files.len()).unwrap_or(u64::MAX), "file"),
        folder.display(),
        size(args.big << 20)
    ))?;
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("files", Layout::Right),
        ("and", Layout::Left),
    ]);
    for name in SHARERS {
        let own = files.iter().filter(|file| file.holders.contains(&name));
        let has_big = BIG_HOLDERS.contains(&name);
        table.row([
            Cell::new(name),
            own.count().to_string().into(),
            Cell::new(if has_big { BIG_NAME } else { "" }),
        ]);
    }
    stage.table(&table)?;
    let everybody = files::sharers(&files);
    stage.check(
        everybody == SHARERS.len().min(files.len() * 2),
        format_args!("{everybody} peers have files of the folder"),
    )?;
    let big_content = files::content_of(&big)?;
    Ok(Props {
        files,
        big,
        big_bytes: args.big << 20,
        big_content,
    })
}

/// A hub, five sharers and frank, who knows nobody.
async fn start(place: &Path, company: &mut Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("A hub and six peers start, and each gets an address")?;
    company.start("hub", &["hub"], &[]).await?;
    let hub = company.actor("hub").address.to_string();
    stage.typed("gannet hub")?;
    stage.typed(format_args!(
        "gannet up FOLDER --hub {DIM}<the hub's address>{DIM:#}"
    ))?;
    for name in SHARERS {
        let folder = folder_of(place, name).display().to_string();
        let mut flags = vec!["--hub".to_owned(), hub.clone()];
        if BIG_HOLDERS.contains(&name) {
            flags.extend(["--limit-up".to_owned(), LIMIT_UP.to_owned()]);
        }
        company.start(name, &["up", &folder], &flags).await?;
    }
    company.start("frank", &["up"], &[]).await?;
    let mut table = Table::new(&[
        ("who", Layout::Left),
        ("identity (a public key)", Layout::Left),
        ("address, this time", Layout::Left),
    ]);
    let mut reachable = 0_u64;
    for actor in company.actors() {
        reachable += u64::from(!actor.address.addresses.is_empty());
        let addresses: Vec<String> = actor
            .address
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        table.row([
            Cell::new(actor.name),
            format!("{}…", actor.address.peer.short()).into(),
            addresses.join(" ").into(),
        ]);
    }
    stage.table(&table)?;
    stage.check(reachable == 7, "all seven can be reached")
}

async fn register(props: &Props, company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("They register their files at the hub")?;
    let mut total = 0;
    for name in SHARERS {
        let client = &company.actor(name).client;
        let what = format!("{name} to have registered its files");
        let status = until(
            &what,
            SOON,
            || client.status(),
            |status| {
                status.shares.scanning.is_none()
                    && status.shares.files > 0
                    && status
                        .hubs
                        .iter()
                        .all(|hub| hub.registered == status.shares.files)
            },
        )
        .await?;
        total += status.shares.files;
    }
    let hub = &company.actor("hub").client;
    let status = until(
        "the hub to know all files",
        SOON,
        || hub.status(),
        |status| {
            status
                .hub
                .as_ref()
                .is_some_and(|hub| hub.entries == total && hub.peers >= 5)
        },
    )
    .await?;
    let known = status.hub.unwrap_or_default();
    let placed = u64::try_from(props.files.len() * 2 + BIG_HOLDERS.len()).unwrap_or(u64::MAX);
    if total < placed {
        stage.say(format_args!(
            "{DIM}{} not shared: keys and the like never are{DIM:#}",
            count(placed - total, "file")
        ))?;
    }
    stage.check(
        known.entries == total && total > 0,
        format_args!(
            "the hub knows {} of {} peers, {}; it holds their names, not their bytes",
            count(known.entries, "file"),
            SHARERS.len(),
            count(known.contents, "different content")
        ),
    )
}

/// A file of the folder, found by a word of its name.
async fn fetch_small(
    props: &Props,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let Some((file, word)) = files::findable(&props.files) else {
        return Ok(());
    };
    stage.step("Alice types a word; the hub finds who has such files")?;
    let content = files::content_of(&file.path)?;
    let state = ask("alice", &word, company, stage).await?;
    let row = state.rows.iter().find(|row| row.content == content);
    let Some(row) = row else {
        return stage.check(false, format_args!("{} is found", file.name.display()));
    };
    stage.check(
        row.holders >= 2,
        format_args!("found at {} and {}", file.holders[0], file.holders[1]),
    )?;
    let alice = &company.actor("alice").client;
    let download = get(alice, row, stage).await?;
    let done = complete(alice, download.number).await?;
    stage.say(final_line(&done))?;
    let path = done.path.unwrap_or_default();
    stage.check(
        std::fs::read(&path)? == std::fs::read(&file.path)?,
        "byte for byte the same as the original",
    )
}

async fn find_big(
    props: &Props,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    stage.step("Alice looks for something bigger")?;
    let state = ask("alice", "harry potter", company, stage).await?;
    let row = row_of(state.rows, props.big_content, stage)?;
    let names = names_of(&row, company);
    stage.check(
        row.holders == 4 && names == BIG_HOLDERS,
        format_args!(
            "one row for one content, with its four sources: {}",
            names.join(", ")
        ),
    )?;
    Ok(row)
}

async fn stop(company: &mut Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("Everybody stops in good order")?;
    let hub = company
        .actor("hub")
        .client
        .status()
        .await
        .map_err(Failure::failed)?;
    let searches = hub.hub.as_ref().map_or(0, |hub| hub.searches);
    stage.check(
        hub.traffic.sent_bytes == 0 && hub.traffic.received_bytes == 0,
        format_args!(
            "the hub answered {searches} questions and not one byte of a file went through it"
        ),
    )?;
    stage.typed("gannet stop")?;
    let names: Vec<&'static str> = company
        .actors()
        .iter()
        .rev()
        .map(|actor| actor.name)
        .collect();
    let mut clean = 0;
    for name in &names {
        let status = company.stop(name).await?;
        let left = company.data_dir(name).join(gannet_web::API_FILE).exists();
        clean += usize::from(status.success() && !left);
    }
    stage.check(
        clean == names.len(),
        format_args!("{clean} processes said goodbye and ended with exit code 0"),
    )
}
