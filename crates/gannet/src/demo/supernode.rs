//! The act with supernodes: two of seven peers become directories for the
//! others, by nobody's order, and one of them dies in the middle of a search
//! and a download.

use std::path::Path;
use std::time::{Duration, Instant};

use gannet_base::PeerId;
use gannet_node::api::{Role, SearchRow, Status};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::scenes::{LOOK, SOON, first_row, kill, until};
use crate::demo::stage::Stage;
use crate::demo::tale::{Cast, Tale};
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, size};

/// Each is told of the first.
const CAST: Cast = Cast {
    overlay: "supernode",
    peers: &["mona", "nina", "omar", "petra", "quinn", "rosa", "sven"],
    holders: &["omar", "quinn", "rosa"],
    seeker: "petra",
    later: "sven",
    file: "Treasure Island Map, a Random Chart.bin",
    words: "treasure island",
};
/// Those who find no supernode, and become one.
const FIRST: [&str; 2] = [CAST.peers[0], CAST.peers[1]];
/// How many supernodes make two tiers here, and that a busy machine does not
/// matter.
const SETTINGS: &str = "[supernode]\nsupernodes_min = 2\nload_max = 0\n";
/// How long the play waits for another supernode.
const ANOTHER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes that may come twice: at the very end a slice is asked of two sources.
const ENDGAME_BYTES: u64 = 1 << 20;

/// Plays it. Ends at the first thing that does not hold.
pub(super) async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let tale = Tale::write(args, place, &CAST)?;
    start(&tale, place, company, stage).await?;
    take_places(company, stage).await?;
    let row = find(&tale, company, stage).await?;
    let (done, victim) = tale.fetch(&row, company, stage, kill_supernode).await?;
    stage.check(
        done.received_bytes <= tale.bytes + ENDGAME_BYTES,
        "the download went on meanwhile, and nothing was fetched twice",
    )?;
    tale.verify(&done, "the file is verified: ", stage)?;
    heal(&victim, company, stage).await?;
    tale.find_again(&victim, company, stage).await
}

async fn start(
    tale: &Tale<'_>,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("Now with supernodes: seven peers, each told of the first")?;
    stage.say(format_args!(
        "{DIM}a supernode keeps a directory of what its leaves share, and asks other supernodes; \
         nobody\nappoints them. Large networks have one for some hundred leaves; two are enough \
         for this one.\nA file of {} is at three of the seven{DIM:#}",
        size(tale.bytes)
    ))?;
    stage.typed(format_args!(
        "gannet up FOLDER --overlay supernode --peer {DIM}<the first one's address>{DIM:#}"
    ))?;
    let settings = place.join("two-tiers.toml");
    std::fs::write(&settings, SETTINGS)?;
    let settings = settings.display().to_string();
    for name in CAST.peers.iter().copied() {
        let through = (name != FIRST[0]).then_some(FIRST[0]);
        let flags = ["--config", &settings];
        tale.start(name, through, &flags, company).await?;
        // The first two have the network to themselves for a moment.
        if FIRST.contains(&name) {
            let client = &company.actor(name).client;
            let is_one = |status: &Status| role_of(status) == Role::Supernode;
            let what = format!("{name} to be a supernode");
            until(&what, SOON, || client.status(), is_one).await?;
        }
    }
    Ok(())
}

fn role_of(status: &Status) -> Role {
    let supernode = status.supernode.as_ref();
    supernode.map_or(Role::Leaf, |supernode| supernode.role)
}

/// The supernodes of a leaf that answer, the one that it asks first.
fn homes_of(status: &Status) -> Vec<PeerId> {
    let supernode = status.supernode.as_ref();
    let homes = supernode.map(|supernode| supernode.homes.as_slice());
    let live = homes.unwrap_or_default().iter().filter(|home| home.is_live);
    live.map(|home| home.supernode).collect()
}

/// Waits until every peer is a supernode or has so many, and shows it; how
/// many supernodes there are.
async fn show_places(
    who: &[&'static str],
    homes_min: usize,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<Vec<&'static str>, Failure> {
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("role", Layout::Left),
        ("registered at", Layout::Left),
        ("and at, for the case of need", Layout::Left),
    ]);
    let mut supernodes = Vec::new();
    for name in who.iter().copied() {
        let client = &company.actor(name).client;
        let has_place = |status: &Status| {
            let is_placed =
                role_of(status) == Role::Supernode || homes_of(status).len() >= homes_min;
            is_placed && status.shares.scanning.is_none()
        };
        let what = format!("{name} to have a place");
        let status = until(&what, SOON, || client.status(), has_place).await?;
        let role = role_of(&status);
        if role == Role::Supernode {
            supernodes.push(name);
        }
        let homes = homes_of(&status);
        let home = |at: usize| homes.get(at).map(|home| company.name_of(*home));
        table.row([
            Cell::new(name),
            role.name().to_owned().into(),
            home(0).unwrap_or_default().into(),
            home(1).unwrap_or_default().into(),
        ]);
    }
    stage.table(&table)?;
    Ok(supernodes)
}

async fn take_places(company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let supernodes = show_places(CAST.peers, 2, company, stage).await?;
    stage.check(
        supernodes.len() == 2,
        format_args!(
            "{} found no supernode and became one; the other five register their files at both",
            supernodes.join(" and ")
        ),
    )
}

async fn find(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    stage.step("Petra types two words; her supernode looks into its directory")?;
    let (row, end) = tale.find(company, stage, |_| String::new()).await?;
    let reach = end
        .overlays
        .iter()
        .find_map(|overlay| overlay.supernode.clone());
    let reach = reach.unwrap_or_default();
    stage.check(
        reach.own == 1,
        format_args!(
            "one question to one supernode, which asked {} more",
            reach.asked
        ),
    )?;
    Ok(row)
}

/// Kills the supernode that the seeker asks, and lets her ask before anybody
/// can know.
async fn kill_supernode(company: &mut Company, stage: &mut Stage<'_>) -> Result<String, Failure> {
    let status = company.actor(CAST.seeker).client.status().await;
    let homes = homes_of(&status.map_err(Failure::failed)?);
    let name = |at: usize| homes.get(at).map(|home| company.name_of(*home));
    let (Some(victim), Some(backup)) = (name(0), name(1)) else {
        return Err(Failure::failed("petra has lost a supernode too early"));
    };
    stage.step(format_args!(
        "Meanwhile {victim}, her supernode, is killed; and she asks something"
    ))?;
    kill(&victim, company, stage).await?;
    let first = first_row(CAST.seeker, CAST.words, company, stage).await?;
    let via = first.as_ref().map(|(row, after)| {
        let via = row.found_by.first().map(|found| company.name_of(found.via));
        (via.unwrap_or_default(), after.as_millis())
    });
    let (via, millis) = via.unwrap_or_default();
    stage.check(
        via == backup,
        format_args!(
            "the question went to the dead and was asked again at {backup}, who has registered \
             everything too:\n     the first row came after {millis} ms"
        ),
    )?;
    Ok(victim)
}

/// Everybody has a place again.
async fn heal(victim: &str, company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("The network heals")?;
    let living = CAST.living(victim);
    for name in &living {
        let client = &company.actor(name).client;
        let without_victim = |status: &Status| {
            let mut homes = homes_of(status).into_iter();
            homes.all(|home| company.name_of(home) != victim)
        };
        let what = format!("{name} to notice that {victim} is dead");
        until(&what, SOON, || client.status(), without_victim).await?;
    }
    wait_for_another(victim, company).await?;
    let supernodes = show_places(&living, 1, company, stage).await?;
    let new: Vec<&str> = supernodes
        .iter()
        .filter(|name| !FIRST.contains(name))
        .copied()
        .collect();
    let what = if new.is_empty() {
        "everybody has a supernode that lives".to_owned()
    } else {
        let new = new.join(" and ");
        format!("everybody has a supernode that lives; {new} became one in the place of {victim}")
    };
    stage.check(!supernodes.is_empty(), what)
}

/// Waits a while for somebody to take the place of the dead: the one that is
/// left has room for all, so there is no hurry.
async fn wait_for_another(victim: &str, company: &Company) -> Result<(), Failure> {
    let left = FIRST.iter().find(|name| **name != victim);
    let left = &company.actor(left.unwrap_or(&FIRST[0])).client;
    let begun = Instant::now();
    while begun.elapsed() < ANOTHER_WITHIN {
        let status = left.status().await.map_err(Failure::failed)?;
        if status.supernode.is_some_and(|info| info.links > 0) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
