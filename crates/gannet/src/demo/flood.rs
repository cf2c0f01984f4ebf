//! The act without a hub: peers that know one other each, a question that goes
//! from neighbour to neighbour, and one of them that dies.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gannet_base::{ContentId, PeerId};
use gannet_node::api::{DownloadInfo, DownloadRequest, DownloadState, SearchRow, Status};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::files;
use crate::demo::stage::Stage;
use crate::demo::steps::{SOON, ask, folder_of, until};
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, count, size, speed};
use crate::progress::{final_line, source_line};

/// The peers, each of which is told of the one before.
const PEERS: [&str; 6] = ["gwen", "hugo", "iris", "jack", "kate", "liam"];
/// Who searches.
const SEEKER: &str = "gwen";
/// Those who have the file.
const HOLDERS: [&str; 3] = ["iris", "kate", "liam"];
/// What it is called.
const NAME: &str = "Flotsam and Jetsam, a Random Tale.bin";
/// What is searched for.
const WORDS: &str = "flotsam jetsam";
/// Its size, as a share of the big file of the other act.
const SHARE: u64 = 4;
/// What each holder may send, as `--limit-up` takes it: slow enough to watch.
const LIMIT_UP: &str = "5M";
/// When a source is killed, per cent of the download.
const KILL_AT: u64 = 25;
/// How long peers may look for a second neighbour before the play goes on with
/// one.
const SECOND_WITHIN: Duration = Duration::from_millis(1_500);
/// How often the transfer is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What this act is about.
struct Props {
    path: PathBuf,
    bytes: u64,
    content: ContentId,
}

/// Plays it. Ends at the first thing that does not hold.
pub(super) async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let props = prepare(args, place)?;
    start(&props, place, company, stage).await?;
    join(company, stage).await?;
    let row = find(&props, company, stage).await?;
    let (done, victim) = fetch(&props, &row, company, stage).await?;
    verify(&props, &done, stage)?;
    heal(&props, victim, company, stage).await
}

fn prepare(args: &DemoArgs, place: &Path) -> Result<Props, Failure> {
    let bytes = (args.big << 20) / SHARE;
    let path = place.join(NAME);
    files::write_big(&path, bytes)?;
    for name in PEERS {
        std::fs::create_dir_all(folder_of(place, name))?;
    }
    for holder in HOLDERS {
        files::link_or_copy(&path, &folder_of(place, holder).join(NAME))?;
    }
    let content = files::content_of(&path)?;
    Ok(Props {
        path,
        bytes,
        content,
    })
}

async fn start(
    props: &Props,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("Now without any hub: six peers, each told of one other")?;
    stage.say(format_args!(
        "{DIM}a file of {} is at three of them; two neighbours each make a network of some \
         depth{DIM:#}",
        size(props.bytes)
    ))?;
    stage.typed(format_args!(
        "gannet up FOLDER --overlay flood --neighbours 2 --peer {DIM}<another peer's \
         address>{DIM:#}"
    ))?;
    let mut before: Option<String> = None;
    for name in PEERS {
        let folder = folder_of(place, name).display().to_string();
        let mut flags: Vec<String> = ["--overlay", "flood", "--neighbours", "2"]
            .map(str::to_owned)
            .to_vec();
        if let Some(address) = before {
            flags.extend(["--peer".to_owned(), address]);
        }
        if HOLDERS.contains(&name) {
            flags.extend(["--limit-up".to_owned(), LIMIT_UP.to_owned()]);
        }
        company.start(name, &["up", &folder], &flags).await?;
        before = Some(company.actor(name).address.to_string());
    }
    Ok(())
}

fn neighbours(status: &Status) -> u32 {
    status.flood.as_ref().map_or(0, |flood| flood.neighbours)
}

/// Who the neighbours of a peer are.
async fn neighbours_of(name: &str, company: &Company) -> Result<Vec<PeerId>, Failure> {
    let peers = company.actor(name).client.peers().await;
    let peers = peers.map_err(Failure::failed)?.into_iter();
    Ok(peers
        .filter(|peer| peer.is_neighbour)
        .map(|peer| peer.peer)
        .collect())
}

async fn join(company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let second_by = Instant::now() + SECOND_WITHIN;
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("joined through", Layout::Left),
        ("neighbours now", Layout::Left),
    ]);
    let mut linked = 0;
    for (n, name) in PEERS.into_iter().enumerate() {
        let client = &company.actor(name).client;
        let ready = |status: &Status| {
            let enough = if Instant::now() < second_by { 2 } else { 1 };
            neighbours(status) >= enough && status.shares.scanning.is_none()
        };
        let what = format!("{name} to have neighbours");
        until(&what, SOON, || client.status(), ready).await?;
        let own = neighbours_of(name, company).await?;
        linked += usize::from(!own.is_empty());
        let names: Vec<String> = own.into_iter().map(|peer| company.name_of(peer)).collect();
        table.row([
            Cell::new(name),
            Cell::new(if n == 0 { "" } else { PEERS[n - 1] }),
            names.join(", ").into(),
        ]);
    }
    stage.table(&table)?;
    stage.check(
        linked == PEERS.len(),
        "all six are in one network, and nobody is in charge of it",
    )
}

/// The row of the file as this peer finds it, once so many sources are known.
async fn found_by(
    who: &str,
    sources: usize,
    props: &Props,
    company: &Company,
) -> Result<(), Failure> {
    let client = &company.actor(who).client;
    let begun = Instant::now();
    loop {
        let mut stream = client
            .search_stream(WORDS, 10)
            .await
            .map_err(Failure::failed)?;
        while let Some(update) = stream.next().await.map_err(Failure::failed)? {
            if let gannet_node::api::SearchUpdate::Row(row) = update
                && row.content == props.content
                && row.sources.len() >= sources
            {
                return Ok(());
            }
        }
        if begun.elapsed() > SOON {
            return Err(Failure::failed(format_args!(
                "{who} does not find {sources} sources"
            )));
        }
    }
}

async fn find(
    props: &Props,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    stage.step("Gwen types two words; the question goes from neighbour to neighbour")?;
    // Neighbours hear of new files within some seconds.
    found_by(SEEKER, HOLDERS.len(), props, company).await?;
    let state = ask(SEEKER, WORDS, company, stage).await?;
    let end = state.end.unwrap_or_default();
    let row = state
        .rows
        .into_iter()
        .find(|row| row.content == props.content);
    let Some(row) = row else {
        stage.check(false, "the file is found")?;
        return Err(Failure::failed("the file was not found"));
    };
    let mut names: Vec<String> = row
        .sources
        .iter()
        .map(|source| company.name_of(source.peer))
        .collect();
    names.sort();
    let hops = row.found_by.iter().map(|found| found.hops);
    let (nearest, furthest) = (hops.clone().min(), hops.max());
    let (nearest, furthest) = (
        nearest.unwrap_or_default(),
        count(furthest.unwrap_or_default().into(), "hop"),
    );
    stage.check(
        names == HOLDERS && row.found_by.iter().all(|found| found.overlay == "flood"),
        format_args!(
            "found at {}: the nearest {nearest}, the furthest {furthest} away",
            names.join(", ")
        ),
    )?;
    let reach = end
        .overlays
        .iter()
        .find_map(|overlay| overlay.flood.clone());
    let reach = reach.unwrap_or_default();
    stage.check(
        end.complete,
        format_args!(
            "the search knows how far it came: {} asked, {} ruled out beforehand, none silent",
            count(reach.asked.into(), "peer"),
            reach.ruled_out
        ),
    )?;
    Ok(row)
}

/// Fetches it; meanwhile a source is killed that is a neighbour, if one is.
async fn fetch(
    props: &Props,
    row: &SearchRow,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(DownloadInfo, &'static str), Failure> {
    stage.step("She fetches it from all three at once")?;
    stage.typed(format_args!("gannet get {}", row.number))?;
    let seeker = company.actor(SEEKER).client.clone();
    let request = DownloadRequest::Row {
        search: None,
        number: row.number,
    };
    let download = seeker.download(request).await.map_err(Failure::failed)?;
    let begun = Instant::now();
    let mut victim = None;
    loop {
        let downloads = seeker.downloads().await.map_err(Failure::failed)?;
        let now = downloads
            .into_iter()
            .find(|one| one.number == download.number)
            .ok_or_else(|| Failure::failed("gwen's download is gone"))?;
        if matches!(now.state, DownloadState::Complete | DownloadState::Failed) {
            let Some(victim) = victim.filter(|_| now.state == DownloadState::Complete) else {
                let reason = now.reason.unwrap_or_default();
                return Err(Failure::failed(format_args!(
                    "the download was over before a source could be killed, or failed: {reason}"
                )));
            };
            return Ok((now, victim));
        }
        if begun.elapsed() > SOON {
            return Err(Failure::failed(format_args!(
                "the transfer takes too long; it is at {now:#?}"
            )));
        }
        if victim.is_none() && now.have_bytes * 100 >= props.bytes * KILL_AT {
            victim = Some(kill_source(&now, company, stage).await?);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn kill_source(
    now: &DownloadInfo,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<&'static str, Failure> {
    let senders = now.sources.iter().filter(|source| source.bytes > 0);
    for source in senders.clone() {
        let name = company.name_of(source.peer);
        stage.say(format_args!("  {}", source_line(&name, source)))?;
    }
    let senders = senders.count();
    stage.check(
        senders >= 2,
        format_args!(
            "{senders} sources send different parts of it, {} together",
            speed(now.bytes_per_second)
        ),
    )?;
    let own = neighbours_of(SEEKER, company).await?;
    let is_neighbour = |name: &&str| own.contains(&company.actor(name).address.peer);
    let victim = HOLDERS
        .into_iter()
        .find(is_neighbour)
        .unwrap_or(HOLDERS[HOLDERS.len() - 1]);
    stage.step(format_args!(
        "Meanwhile {victim}, who is a source and a neighbour, is killed"
    ))?;
    stage.typed(format_args!("kill -9 {victim}"))?;
    company.kill(victim).await?;
    // The question goes around the dead: others answer, and the search says
    // who did not.
    found_rows_of_others(company, stage).await?;
    Ok(victim)
}

/// Searches at once, while others still take the dead for a neighbour.
async fn found_rows_of_others(company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let client = &company.actor("jack").client;
    stage.say(format_args!("{DIM}jack asks at once:{DIM:#}"))?;
    stage.typed(format_args!("gannet search {WORDS} --watch"))?;
    let begun = Instant::now();
    let mut stream = client
        .search_stream(WORDS, 10)
        .await
        .map_err(Failure::failed)?;
    let mut first = None;
    while let Some(update) = stream.next().await.map_err(Failure::failed)? {
        if let gannet_node::api::SearchUpdate::Row(row) = update {
            first = Some(row);
            break;
        }
    }
    stage.check(
        first.is_some(),
        format_args!(
            "the question goes around the dead; the first row came after {} ms",
            begun.elapsed().as_millis()
        ),
    )
}

fn verify(props: &Props, done: &DownloadInfo, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.say(final_line(done))?;
    let path = done.path.clone().unwrap_or_default();
    let found = files::content_of(&path)?;
    stage.check(
        found == props.content && found == files::content_of(&props.path)?,
        format_args!(
            "the others took over, and the file is verified: its BLAKE3 hash is its id, {}…",
            found.short()
        ),
    )
}

/// Nobody takes the dead for a neighbour any more, and searches find the new
/// source.
async fn heal(
    props: &Props,
    victim: &str,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("The network heals")?;
    for name in PEERS.into_iter().filter(|name| *name != victim) {
        let client = &company.actor(name).client;
        let living = |peers: &Vec<gannet_node::api::PeerInfo>| {
            let mut own = peers.iter().filter(|peer| peer.is_neighbour).peekable();
            own.peek().is_some() && own.all(|peer| company.name_of(peer.peer) != victim)
        };
        let what = format!("{name} to notice that {victim} is dead");
        until(&what, SOON, || client.peers(), living).await?;
    }
    stage.check(
        true,
        format_args!("nobody takes {victim} for a neighbour any more; the five have each other"),
    )?;
    let others = HOLDERS.iter().filter(|name| **name != victim).count();
    found_by("hugo", others + 1, props, company).await?;
    let state = ask("hugo", WORDS, company, stage).await?;
    let row = state.rows.first();
    let sources = row.map(|row| row.sources.as_slice()).unwrap_or_default();
    let mut names: Vec<String> = sources
        .iter()
        .map(|source| company.name_of(source.peer))
        .collect();
    names.sort();
    stage.check(
        names.iter().any(|name| name == SEEKER) && names.len() == others + 1,
        format_args!(
            "hugo finds it too, and gwen is a source now: {}",
            names.join(", ")
        ),
    )
}
