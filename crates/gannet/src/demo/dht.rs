//! The act with a ring: every word and every content has peers that list it, a
//! publisher dies, and what it shared is found all the same, by word and by
//! hash. Another one has a file kept by the others, and dies too: it is there.

use std::path::Path;
use std::time::Instant;

use gannet_base::PeerId;
use gannet_node::api::{
    DhtInfo, DownloadRequest, KeepRequest, KeptFile, SearchRow, SearchUpdate, Status, ToKeep,
};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::files;
use crate::demo::scenes::{
    SOON, ask, complete, first_row, get, kill, names_of, row_of, search_until, until, verify,
};
use crate::demo::stage::Stage;
use crate::demo::tale::{Cast, Tale};
use crate::exit::Failure;
use crate::output::{Cell, DIM, Layout, Table, count, size};

/// Each is told of the first.
const CAST: Cast = Cast {
    overlay: "dht",
    peers: &["tara", "ugo", "vera", "wim", "xena", "yuri", "zoe"],
    holders: &["ugo", "wim", "zoe"],
    seeker: "vera",
    later: "yuri",
    file: "Compass Rose, a Random Bearing.bin",
    words: "compass rose",
};
/// Who is killed: one who has published the file and sends it.
const VICTIM: &str = CAST.holders[0];
/// Who asks at once.
const HASTY: &str = "xena";
/// Who writes something down, has it kept, and leaves for good.
const WRITER: &str = "xena";
/// What is written, and the words for it.
const LOG: (&str, &str) = ("The Last Log of Xena.bin", "xena log");
/// Its size in bytes: some parts, and never that of the act's other file.
const LOG_BYTES: u64 = (40 << 20) + 8;

/// Plays it. Ends at the first thing that does not hold.
pub(super) async fn play(
    args: &DemoArgs,
    place: &Path,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let tale = Tale::write(args, place, &CAST)?;
    start(&tale, company, stage).await?;
    take_places(company, stage).await?;
    let row = find(&tale, company, stage).await?;
    let dead = company.actor(VICTIM).address.peer;
    let (done, _) = tale.fetch(&row, company, stage, kill_publisher).await?;
    let what = "the others took over, and the file is verified: ";
    tale.verify(&done, what, stage)?;
    heal(dead, company, stage).await?;
    find_by_word(&tale, company, stage).await?;
    find_by_hash(&tale, company, stage).await?;
    let reader = keep(&tale, company, stage).await?;
    outlive(&tale, reader, company, stage).await
}

async fn start(
    tale: &Tale<'_>,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("Now with a ring: seven peers, each told of the first")?;
    stage.say(format_args!(
        "{DIM}the hash of a peer's key is its place on a ring; the hash of a word is a place too, \
         and the\nnext peers there list who shares files with that word. A file of {} is at three \
         of the seven{DIM:#}",
        size(tale.bytes)
    ))?;
    stage.typed(format_args!(
        "gannet up FOLDER --overlay dht --peer {DIM}<the first one's address>{DIM:#}"
    ))?;
    for name in CAST.peers.iter().copied() {
        let through = (name != CAST.peers[0]).then_some(CAST.peers[0]);
        tale.start(name, through, &[], company).await?;
    }
    Ok(())
}

fn ring_of(status: &Status) -> DhtInfo {
    status.dht.clone().unwrap_or_default()
}

/// Whether a peer has everybody else on its ring, and its files listed there.
fn is_settled(status: &Status) -> bool {
    let ring = ring_of(status);
    let others = CAST.peers.len() - 1;
    let is_listed = status.shares.scanning.is_none()
        && ring.published >= status.shares.files
        && ring.pending == 0;
    ring.joined && ring.successors.len() >= others && is_listed
}

async fn take_places(company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    let mut places = Vec::new();
    for name in CAST.peers.iter().copied() {
        let client = &company.actor(name).client;
        let what = format!("{name} to have a place on the ring");
        let status = until(&what, SOON, || client.status(), is_settled).await?;
        places.push((ring_of(&status), name));
    }
    places.sort_by(|(one, _), (other, _)| one.position.cmp(&other.position));
    let mut table = Table::new(&[
        ("place on the ring", Layout::Left),
        ("peer", Layout::Left),
        ("knows as the next", Layout::Left),
    ]);
    let mut in_order = 0;
    for (at, (ring, name)) in places.iter().enumerate() {
        let next = ring.successors.first().map(|next| company.name_of(*next));
        let next = next.unwrap_or_default();
        in_order += usize::from(next == places[(at + 1) % places.len()].1);
        table.row([
            format!("{}…", ring.position.get(..8).unwrap_or_default()).into(),
            Cell::new(name),
            next.into(),
        ]);
    }
    stage.table(&table)?;
    stage.check(
        in_order == CAST.peers.len(),
        "each knows who comes next, all the way round",
    )
}

async fn find(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    stage.step("Vera types two words; she asks where one of them belongs")?;
    // Peers that have just met compare what they list before they vouch for it.
    let is_whole = |update: &SearchUpdate| matches!(update, SearchUpdate::End(end) if end.complete);
    let what = "a list that somebody vouches for";
    search_until(CAST.seeker, CAST.words, what, company, is_whole).await?;
    let (row, end) = tale.find(company, stage, |_| String::new()).await?;
    let mut overlays = end.overlays.iter();
    let reach = overlays.find_map(|overlay| overlay.dht.clone());
    let reach = reach.unwrap_or_default();
    stage.check(
        end.complete,
        format_args!(
            "she had to ask {}, with {} in all; whoever lists a word knows everything with it",
            count(reach.asked.into(), "peer"),
            count(reach.messages.into(), "message")
        ),
    )?;
    Ok(row)
}

async fn kill_publisher(company: &mut Company, stage: &mut Stage<'_>) -> Result<String, Failure> {
    stage.step(format_args!(
        "Meanwhile {VICTIM}, who published it and sends it, is killed; and {HASTY} asks"
    ))?;
    kill(VICTIM, company, stage).await?;
    let first = first_row(HASTY, CAST.words, company, stage).await?;
    let after = first.as_ref().map_or(SOON, |(_, after)| *after);
    stage.check(
        first.is_some(),
        format_args!(
            "what the dead one listed is listed by others too; the first row came after {} ms",
            after.as_millis()
        ),
    )?;
    Ok(VICTIM.to_owned())
}

/// The ring closes where one is missing.
async fn heal(dead: PeerId, company: &Company, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.step("The ring closes")?;
    let knows_not = |status: &Status| {
        let ring = ring_of(status);
        let known =
            |peer: PeerId| ring.predecessor == Some(peer) || ring.successors.contains(&peer);
        ring.joined && !known(dead)
    };
    for name in CAST.living(VICTIM) {
        let client = &company.actor(name).client;
        let what = format!("{name} to notice that {VICTIM} is dead");
        until(&what, SOON, || client.status(), knows_not).await?;
    }
    stage.check(
        true,
        format_args!("nobody has {VICTIM} next to itself any more; the six go all the way round"),
    )
}

/// The dead one's word stands, and the seeker is listed besides.
async fn find_by_word(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("The publisher is gone; what it published is not")?;
    let Cast { later, seeker, .. } = CAST;
    let sources = CAST.holders.len() + 1;
    let (row, _) = tale.search(later, sources, company, stage).await?;
    let names = names_of(&row, company);
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    stage.check(
        has(seeker) && has(VICTIM),
        format_args!(
            "{later} finds it by word; {VICTIM} is listed until its word expires, and {seeker} is \
             a source now"
        ),
    )
}

/// Its hash is a place on the ring, too: who has nothing else fetches it.
async fn find_by_hash(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let later = CAST.later;
    let client = &company.actor(later).client;
    let hash = format!("hash:{}", tale.content);
    let is_it = |update: &SearchUpdate| matches!(update, SearchUpdate::Row(row) if row.content == tale.content);
    search_until(later, &hash, "it by hash", company, is_it).await?;
    let state = ask(later, &hash, company, stage).await?;
    let row = row_of(state.rows, tale.content, stage)?;
    stage.check(
        row.sources.len() > 1,
        format_args!(
            "and by hash: {} are listed where the hash belongs",
            count(row.sources.len() as u64, "source")
        ),
    )?;
    let link = format!("gannet:{}", tale.content);
    stage.typed(format_args!(
        "gannet get 'gannet:{}…'",
        tale.content.short()
    ))?;
    let request = DownloadRequest::Link { link };
    let download = client.download(request).await.map_err(Failure::failed)?;
    let done = complete(client, download.number).await?;
    let what = "a link without a name or a peer is enough; the file is verified: ";
    tale.verify(&done, what, stage)
}

/// Something that nobody else has is given to the others to keep. Returns who of them
/// has least of it.
async fn keep(
    tale: &Tale<'_>,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<&'static str, Failure> {
    stage.step(format_args!(
        "{WRITER} is about to leave for good, and has something that nobody else has"
    ))?;
    let path = tale.write_more(WRITER, LOG.0, LOG_BYTES)?;
    let client = &company.actor(WRITER).client;
    stage.typed(format_args!("gannet keep '{}' --copies 4", LOG.0))?;
    let request = KeepRequest {
        file: ToKeep::Path { path },
        copies: Some(4),
        days: None,
    };
    let begun = Instant::now();
    client.keep(&request).await.map_err(Failure::failed)?;
    let is_kept = |kept: &Vec<KeptFile>| !kept.is_empty() && kept.iter().all(KeptFile::is_placed);
    let kept = until("copies at others", SOON, || client.kept(), is_kept).await?;
    let parts: u32 = kept.iter().map(|file| file.blocks).sum();
    stage.check(
        kept.iter().all(|file| file.copies_online == 4),
        format_args!(
            "{} of {} each, at the peers whose places come after theirs: after {} ms each of them \
             is there four times",
            count(parts.into(), "part"),
            size(gannet_base::BLOCK_BYTES),
            begun.elapsed().as_millis()
        ),
    )?;
    let mut table = Table::new(&[
        ("peer", Layout::Left),
        ("holds for others", Layout::Right),
        ("granted", Layout::Right),
    ]);
    let mut least = (u64::MAX, WRITER);
    for name in CAST.living(VICTIM) {
        let client = &company.actor(name).client;
        let keeping = ring_of(&client.status().await.map_err(Failure::failed)?).keeping;
        if name != WRITER {
            least = least.min((keeping.held_bytes, name));
        }
        table.row([
            Cell::new(name),
            size(keeping.held_bytes).into(),
            size(keeping.grant_bytes).into(),
        ]);
    }
    stage.table(&table)?;
    Ok(least.1)
}

/// The only one who had it is gone, and it is there.
async fn outlive(
    tale: &Tale<'_>,
    reader: &str,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step(format_args!("She is gone; {reader} wants it"))?;
    kill(WRITER, company, stage).await?;
    let content = files::content_of(&tale.path_of(WRITER, LOG.0))?;
    let is_it = |update: &SearchUpdate| matches!(update, SearchUpdate::Row(row) if row.content == content && row.sources.len() > 1);
    search_until(reader, LOG.1, "what was kept", company, is_it).await?;
    let state = ask(reader, LOG.1, company, stage).await?;
    let row = row_of(state.rows, content, stage)?;
    let client = &company.actor(reader).client;
    let download = get(client, &row, stage).await?;
    let done = complete(client, download.number).await?;
    let what = format!("{WRITER} is gone, and what she kept is whole: ");
    verify(&tale.path_of(WRITER, LOG.0), content, &done, what, stage)
}
