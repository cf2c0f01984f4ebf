//! The act without a hub: peers that know one other each, a question that goes
//! from neighbour to neighbour, and one of them that dies.

use std::path::Path;
use std::time::{Duration, Instant};

use gannet_base::PeerId;
use gannet_node::api::{DownloadInfo, DownloadState, PeerInfo, SearchRow, Status};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::scenes::{
    LOOK, SOON, Tale, check_senders, first_row, folder_of, get, look, names_of, until,
};
use crate::demo::stage::Stage;
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, count, size};

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
/// What each holder may send, as `--limit-up` takes it: slow enough to watch.
const LIMIT_UP: &str = "5M";
/// When a source is killed, per cent of the download.
const KILL_AT: u64 = 25;
/// How long peers may look for a second neighbour before the play goes on with
/// one.
const SECOND_WITHIN: Duration = Duration::from_millis(1_500);
/// Plays it. Ends at the first thing that does not hold.
pub(super) async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let tale = Tale::write(args, place, NAME, WORDS, (&PEERS, &HOLDERS))?;
    start(&tale, place, company, stage).await?;
    join(company, stage).await?;
    let row = find(&tale, company, stage).await?;
    let (done, victim) = fetch(&tale, &row, company, stage).await?;
    let what = "the others took over, and the file is verified: ";
    tale.verify(&done, what, stage)?;
    heal(&tale, victim, company, stage).await
}

async fn start(
    tale: &Tale,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("Now without any hub: six peers, each told of one other")?;
    stage.say(format_args!(
        "{DIM}a file of {} is at three of them; two neighbours each make a network of some \
         depth{DIM:#}",
        size(tale.bytes)
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

async fn find(tale: &Tale, company: &Company, stage: &mut Stage<'_>) -> Result<SearchRow, Failure> {
    stage.step("Gwen types two words; the question goes from neighbour to neighbour")?;
    // Neighbours hear of new files within some seconds.
    tale.found_by(SEEKER, HOLDERS.len(), company).await?;
    let (row, end) = tale.ask(SEEKER, company, stage).await?;
    let names = names_of(&row, company);
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
    tale: &Tale,
    row: &SearchRow,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(DownloadInfo, &'static str), Failure> {
    stage.step("She fetches it from all three at once")?;
    let seeker = company.actor(SEEKER).client.clone();
    let download = get(&seeker, row, stage).await?;
    let mut victim = None;
    loop {
        let now = look(&seeker, download.number, SOON).await?;
        if now.state == DownloadState::Complete {
            return match victim {
                Some(victim) => Ok((now, victim)),
                None => Err(Failure::failed(
                    "the download was over before a source could be killed",
                )),
            };
        }
        if victim.is_none() && now.have_bytes * 100 >= tale.bytes * KILL_AT {
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
    check_senders(now, 2, company, stage)?;
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
    stage.say(format_args!("{DIM}jack asks at once:{DIM:#}"))?;
    let first = first_row("jack", WORDS, company, stage).await?;
    let after = first.as_ref().map_or(SOON, |(_, after)| *after);
    stage.check(
        first.is_some(),
        format_args!(
            "the question goes around the dead; the first row came after {} ms",
            after.as_millis()
        ),
    )
}

/// Nobody takes the dead for a neighbour any more, and searches find the new
/// source.
async fn heal(
    tale: &Tale,
    victim: &str,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("The network heals")?;
    for name in PEERS.into_iter().filter(|name| *name != victim) {
        let client = &company.actor(name).client;
        let living = |peers: &Vec<PeerInfo>| {
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
    tale.found_by("hugo", others + 1, company).await?;
    let (row, _) = tale.ask("hugo", company, stage).await?;
    let names = names_of(&row, company);
    stage.check(
        names.iter().any(|name| name == SEEKER) && names.len() == others + 1,
        format_args!(
            "hugo finds it too, and gwen is a source now: {}",
            names.join(", ")
        ),
    )
}
