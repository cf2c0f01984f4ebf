//! The big file: four sources, one of them killed, and a peer that fetches
//! from the fetcher meanwhile.

use std::time::Duration;

use gannet_base::GannetLink;
use gannet_node::api::{DownloadInfo, DownloadRequest, DownloadState, SearchRow};

use crate::demo::actors::Company;
use crate::demo::files;
use crate::demo::scenes::{LOOK, complete, get, kill, look, verify};
use crate::demo::stage::Stage;
use crate::demo::steps::Props;
use crate::exit::Failure;
use crate::output::{can_draw, percent, size, speed};
use crate::progress::{Bars, source_line};

/// Longest that the transfer may take.
// Guess: ten times what it takes when all is well.
const WITHIN: Duration = Duration::from_secs(60);
/// When frank begins, per cent of alice's download.
const FRANK_AT: u64 = 20;
/// When carol is killed.
const KILL_AT: u64 = 50;
/// When the sources are shown again.
const TELL_AT: u64 = 75;
/// Who is killed.
const VICTIM: &str = "carol";

/// What was seen of the transfer while it ran.
#[derive(Debug, Default)]
struct Seen {
    /// Frank's download at frank's.
    frank: Option<u32>,
    /// Bytes that alice had when the victim was killed.
    killed: Option<u64>,
    /// Whether the sources were shown afterwards.
    told: bool,
    /// Bytes that alice had sent to frank while she was still fetching.
    served_meanwhile: u64,
    /// How far alice was then, per cent.
    served_at: u64,
}

/// Fetches the big file as alice, and all that happens meanwhile.
pub(super) async fn fetch_big(
    props: &Props,
    row: &SearchRow,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.step("Alice fetches the big file from its four sources at once")?;
    let alice = company.actor("alice").client.clone();
    let download = get(&alice, row, stage).await?;
    let mut seen = Seen::default();
    let names = company
        .actors()
        .iter()
        .map(|one| (one.address.peer, one.name.to_owned()));
    let names = names.collect();
    let mut bars = (can_draw() && stage.is_for_people()).then(|| Bars::with_names(names));
    let done = loop {
        let now = look(&alice, download.number, WITHIN).await?;
        if now.state == DownloadState::Complete {
            break now;
        }
        if let Some(bars) = &mut bars {
            bars.update(&now);
        }
        if let (true, Some(bars)) = (acts_now(&now, &seen), &mut bars) {
            bars.clear();
        }
        happen(&now, props, &mut seen, company, stage).await?;
        tokio::time::sleep(LOOK).await;
    };
    if let Some(bars) = &mut bars {
        bars.clear();
    }
    finish(props, &done, &seen, company, stage).await
}

fn done_percent(download: &DownloadInfo) -> u64 {
    download
        .size
        .map_or(0, |whole| percent(download.have_bytes, whole))
}

/// Whether something is about to be told, so that bars must make room.
fn acts_now(now: &DownloadInfo, seen: &Seen) -> bool {
    let at = done_percent(now);
    (seen.frank.is_none() && at >= FRANK_AT)
        || (seen.killed.is_none() && at >= KILL_AT)
        || (!seen.told && at >= TELL_AT)
}

/// What happens at this point of alice's download.
async fn happen(
    now: &DownloadInfo,
    props: &Props,
    seen: &mut Seen,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let at = done_percent(now);
    if seen.frank.is_none() && at >= FRANK_AT {
        tell_sources(now, company, stage)?;
        let givers = now.sources.iter().filter(|source| source.bytes > 0).count();
        stage.check(
            givers >= 3,
            format_args!("{givers} sources send different parts of it"),
        )?;
        seen.frank = Some(start_frank(props, at, company, stage).await?);
    }
    if seen.killed.is_none() && at >= KILL_AT {
        stage.step(format_args!("Half way, {VICTIM} is killed"))?;
        kill(VICTIM, company, stage).await?;
        seen.killed = Some(now.have_bytes);
    }
    if !seen.told && at >= TELL_AT {
        tell_sources(now, company, stage)?;
        seen.told = true;
    }
    if seen.frank.is_some() {
        look_at_frank(now.number, seen, company).await?;
    }
    Ok(())
}

/// Notes what alice has sent to frank, as long as she is fetching herself.
async fn look_at_frank(number: u32, seen: &mut Seen, company: &Company) -> Result<(), Failure> {
    let frank = company.actor("frank").address.peer;
    let alice = &company.actor("alice").client;
    let uploads = alice.uploads().await.map_err(Failure::failed)?;
    let to_frank = uploads.iter().filter(|upload| upload.peer == frank);
    let served = to_frank.map(|upload| upload.bytes).sum();
    // Asked after the upload: what she had sent while she is incomplete now,
    // she had sent while she was incomplete.
    let downloads = alice.downloads().await.map_err(Failure::failed)?;
    let fetching = downloads.iter().find(|one| one.number == number);
    let at = fetching.map_or(100, done_percent);
    if at < 100 && served > seen.served_meanwhile {
        seen.served_meanwhile = served;
        seen.served_at = at;
    }
    Ok(())
}

fn tell_sources(
    now: &DownloadInfo,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.say(format_args!(
        "at {} %: {} of {}, {}",
        done_percent(now),
        size(now.have_bytes),
        size(now.size.unwrap_or_default()),
        speed(now.bytes_per_second)
    ))?;
    for source in &now.sources {
        let name = company.name_of(source.peer);
        stage.say(format_args!("  {}", source_line(&name, source)))?;
    }
    Ok(())
}

/// Frank gets a link that names alice and nobody else.
async fn start_frank(
    props: &Props,
    at: u64,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<u32, Failure> {
    stage.step(format_args!(
        "Meanwhile frank, who knows only alice, fetches it from her: she has {at} % of it"
    ))?;
    let link = GannetLink {
        content: props.big_content,
        kind: gannet_base::LinkKind::File,
        name: None,
        size: None,
        peers: vec![company.actor("alice").address.clone()],
    };
    stage.typed(format_args!(
        "gannet get 'gannet:{}…?peer={}…'",
        link.content.short(),
        link.peers[0].peer.short()
    ))?;
    let link = link.to_string();
    let frank = &company.actor("frank").client;
    let download = frank
        .download(DownloadRequest::Link { link })
        .await
        .map_err(Failure::failed)?;
    Ok(download.number)
}

/// What came of it.
async fn finish(
    props: &Props,
    done: &DownloadInfo,
    seen: &Seen,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let Some(killed_at) = seen.killed else {
        return stage.check(
            false,
            "the transfer lasted long enough to kill a source half way",
        );
    };
    stage.check(
        done.have_bytes == props.big_bytes && killed_at < props.big_bytes,
        format_args!(
            "the others took over: the missing {} came without {VICTIM}",
            size(props.big_bytes - killed_at)
        ),
    )?;
    stage.step("The result is verified")?;
    verify(&props.big, props.big_content, done, "", stage)?;
    stage.check(
        seen.served_meanwhile > 0,
        format_args!(
            "alice had already sent {} of it to frank when she was at {} % herself",
            size(seen.served_meanwhile),
            seen.served_at
        ),
    )?;
    let number = seen.frank.unwrap_or_default();
    let franks = complete(&company.actor("frank").client, number).await?;
    let path = franks.path.clone().unwrap_or_default();
    let alice = company.actor("alice").address.peer;
    let only_alice = franks
        .sources
        .iter()
        .all(|source| source.peer == alice || source.bytes == 0);
    stage.check(
        files::content_of(&path)? == props.big_content && only_alice,
        "frank has it too, every byte from alice",
    )
}
