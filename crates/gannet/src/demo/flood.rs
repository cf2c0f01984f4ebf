//! The act without a hub: peers that know one other each, a question that goes
//! from neighbour to neighbour, and one of them that dies.

use std::path::Path;
use std::time::{Duration, Instant};

use gannet_base::PeerId;
use gannet_node::api::{PeerInfo, SearchRow, Status};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::scenes::{SOON, first_row, kill, until};
use crate::demo::stage::Stage;
use crate::demo::tale::{Cast, Tale};
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, count, size};

/// Each is told of the one before.
const CAST: Cast = Cast {
    overlay: "flood",
    peers: &["gwen", "hugo", "iris", "jack", "kate", "liam"],
    holders: &["iris", "kate", "liam"],
    seeker: "gwen",
    later: "hugo",
    file: "Flotsam and Jetsam, a Random Tale.bin",
    words: "flotsam jetsam",
};
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
    let tale = Tale::write(args, place, &CAST)?;
    start(&tale, company, stage).await?;
    join(company, stage).await?;
    let row = find(&tale, company, stage).await?;
    let (done, victim) = tale.fetch(&row, company, stage, kill_source).await?;
    let what = "the others took over, and the file is verified: ";
    tale.verify(&done, what, stage)?;
    heal(&victim, company, stage).await?;
    tale.find_again(&victim, company, stage).await
}

async fn start(
    tale: &Tale<'_>,
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
    let mut before = None;
    for name in CAST.peers {
        let flags = ["--neighbours", "2"];
        tale.start(name, before, &flags, company).await?;
        before = Some(*name);
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
    for (n, name) in CAST.peers.iter().copied().enumerate() {
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
            Cell::new(if n == 0 { "" } else { CAST.peers[n - 1] }),
            names.join(", ").into(),
        ]);
    }
    stage.table(&table)?;
    stage.check(
        linked == CAST.peers.len(),
        "all six are in one network, and nobody is in charge of it",
    )
}

async fn find(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    stage.step("Gwen types two words; the question goes from neighbour to neighbour")?;
    let (row, end) = tale.find(company, stage, how_far).await?;
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

/// How far away those are who have it.
fn how_far(row: &SearchRow) -> String {
    let hops = row.found_by.iter().map(|found| found.hops);
    let (nearest, furthest) = (hops.clone().min(), hops.max());
    format!(
        ": the nearest {}, the furthest {} away",
        nearest.unwrap_or_default(),
        count(furthest.unwrap_or_default().into(), "hop")
    )
}

/// Kills a source that is a neighbour, if one is.
async fn kill_source(company: &mut Company, stage: &mut Stage<'_>) -> Result<String, Failure> {
    let own = neighbours_of(CAST.seeker, company).await?;
    let is_neighbour = |name: &&str| own.contains(&company.actor(name).address.peer);
    let mut holders = CAST.holders.iter().copied();
    let neighbour = holders.clone().find(is_neighbour);
    let victim = neighbour.or(holders.next_back()).unwrap_or_default();
    stage.step(format_args!(
        "Meanwhile {victim}, who is a source and a neighbour, is killed"
    ))?;
    kill(victim, company, stage).await?;
    // The question goes around the dead: others answer, and the search says
    // who did not.
    found_rows_of_others(company, stage).await?;
    Ok(victim.to_owned())
}

/// Searches at once, while others still take the dead for a neighbour.
async fn found_rows_of_others(company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.say(format_args!("{DIM}jack asks at once:{DIM:#}"))?;
    let first = first_row("jack", CAST.words, company, stage).await?;
    let after = first.as_ref().map_or(SOON, |(_, after)| *after);
    stage.check(
        first.is_some(),
        format_args!(
            "the question goes around the dead; the first row came after {} ms",
            after.as_millis()
        ),
    )
}

/// Nobody takes the dead for a neighbour any more.
async fn heal(victim: &str, company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("The network heals")?;
    for name in CAST.living(victim) {
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
    )
}
