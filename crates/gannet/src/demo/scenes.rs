//! What the acts share: looking until something is so, searching as one of the
//! peers, watching a download.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gannet_base::ContentId;
use gannet_node::api::{
    DownloadInfo, DownloadRequest, DownloadState, SearchRow, SearchState, SearchUpdate,
};
use gannet_web::{Client, ClientError};

use crate::commands::search;
use crate::demo::actors::Company;
use crate::demo::files;
use crate::demo::stage::Stage;
use crate::exit::Failure;
use crate::output::speed;
use crate::progress::{final_line, source_line};

/// Longest that one thing may take to come true.
// Guess: ten times what it takes when all is well.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// How often it is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Where a peer's shared files are.
pub(super) fn folder_of(place: &Path, name: &str) -> PathBuf {
    place.join(name).join("files")
}

/// The row of a content, which must be there.
pub(super) fn row_of(
    rows: Vec<SearchRow>,
    content: ContentId,
    stage: &mut Stage<'_>,
) -> Result<SearchRow, Failure> {
    match rows.into_iter().find(|row| row.content == content) {
        Some(row) => Ok(row),
        None => {
            stage.check(false, "the file is among the rows")?;
            Err(Failure::failed("the file was not found"))
        }
    }
}

/// Who has it, as the audience calls them, in order of name.
pub(super) fn names_of(row: &SearchRow, company: &Company) -> Vec<String> {
    let sources = row.sources.iter();
    let mut names: Vec<String> = sources.map(|source| company.name_of(source.peer)).collect();
    names.sort();
    names
}

/// Searches as this peer and shows what it would see.
pub(super) async fn ask(
    who: &str,
    words: &str,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<SearchState, Failure> {
    stage.typed(format_args!("gannet search {words}"))?;
    let client = &company.actor(who).client;
    let mut stream = client
        .search_stream(words, 10)
        .await
        .map_err(Failure::failed)?;
    let mut state = SearchState {
        id: stream.id(),
        query: words.to_owned(),
        rows: Vec::new(),
        end: None,
    };
    while let Some(update) = stream.next().await.map_err(Failure::failed)? {
        let is_end = matches!(update, SearchUpdate::End(_));
        search::apply(&mut state, update);
        if is_end {
            break;
        }
    }
    stage.table(&search::table(&state.rows))?;
    if let Some(end) = &state.end {
        stage.say(search::explanation(end, state.rows.len()))?;
    }
    Ok(state)
}

/// Searches as this peer, again and again, until an update is as wanted.
pub(super) async fn search_until(
    who: &str,
    words: &str,
    what: &str,
    company: &Company,
    wanted: impl Fn(&SearchUpdate) -> bool,
) -> Result<(), Failure> {
    let client = &company.actor(who).client;
    let begun = Instant::now();
    loop {
        let mut stream = client
            .search_stream(words, 10)
            .await
            .map_err(Failure::failed)?;
        while let Some(update) = stream.next().await.map_err(Failure::failed)? {
            if wanted(&update) {
                return Ok(());
            }
        }
        if begun.elapsed() > SOON {
            return Err(Failure::failed(format_args!("{who} does not find {what}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Searches as this peer until the first row is there; how long that took.
pub(super) async fn first_row(
    who: &str,
    words: &str,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<Option<(SearchRow, Duration)>, Failure> {
    stage.typed(format_args!("gannet search {words} --watch"))?;
    let client = &company.actor(who).client;
    let begun = Instant::now();
    let mut stream = client
        .search_stream(words, 10)
        .await
        .map_err(Failure::failed)?;
    while let Some(update) = stream.next().await.map_err(Failure::failed)? {
        if let SearchUpdate::Row(row) = update {
            return Ok(Some((row, begun.elapsed())));
        }
    }
    Ok(None)
}

/// Kills a process as it would be typed.
pub(super) async fn kill(
    victim: &str,
    company: &mut Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.typed(format_args!("kill -9 {victim}"))?;
    company.kill(victim).await
}

/// Begins to fetch a row of the latest search.
pub(super) async fn get(
    client: &Client,
    row: &SearchRow,
    stage: &mut Stage<'_>,
) -> Result<DownloadInfo, Failure> {
    stage.typed(format_args!("gannet get {}", row.number))?;
    let request = DownloadRequest::Row {
        search: None,
        number: row.number,
    };
    client.download(request).await.map_err(Failure::failed)
}

/// A download as it is now: fails if it failed, is gone, or has taken longer
/// than this.
pub(super) async fn look(
    client: &Client,
    number: u32,
    within: Duration,
) -> Result<DownloadInfo, Failure> {
    let downloads = client.downloads().await.map_err(Failure::failed)?;
    let now = downloads.into_iter().find(|one| one.number == number);
    let now = now.ok_or_else(|| Failure::failed("the download is gone"))?;
    if now.state == DownloadState::Failed {
        let reason = now.reason.unwrap_or_default();
        return Err(Failure::failed(format_args!(
            "the download failed: {reason}"
        )));
    }
    if now.state != DownloadState::Complete && Duration::from_millis(now.elapsed_ms) > within {
        return Err(Failure::failed(format_args!(
            "the transfer takes more than {} s; it is at {now:#?}",
            within.as_secs()
        )));
    }
    Ok(now)
}

/// The sources of a download that have sent something, at least so many.
pub(super) fn check_senders(
    now: &DownloadInfo,
    senders_min: usize,
    company: &Company,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let senders = now.sources.iter().filter(|source| source.bytes > 0);
    for source in senders.clone() {
        let name = company.name_of(source.peer);
        stage.say(format_args!("  {}", source_line(&name, source)))?;
    }
    let senders = senders.count();
    stage.check(
        senders >= senders_min,
        format_args!(
            "{senders} sources send different parts of it, {} together",
            speed(now.bytes_per_second)
        ),
    )
}

/// A finished download is what the original is, and what its id says.
pub(super) fn verify(
    original: &Path,
    content: ContentId,
    done: &DownloadInfo,
    what: impl Display,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.say(final_line(done))?;
    let path = done.path.clone().unwrap_or_default();
    let found = files::content_of(&path)?;
    stage.check(
        found == content && found == files::content_of(original)?,
        format_args!("{what}its BLAKE3 hash is its id, {}…", found.short()),
    )
}

/// The finished download.
pub(super) async fn complete(client: &Client, number: u32) -> Result<DownloadInfo, Failure> {
    loop {
        let now = look(client, number, SOON).await?;
        if now.state == DownloadState::Complete {
            return Ok(now);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks until the answer is as wanted.
pub(super) async fn until<T: Debug, F>(
    what: &str,
    within: Duration,
    ask: impl Fn() -> F,
    wanted: impl Fn(&T) -> bool,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let start = Instant::now();
    loop {
        let answer = ask().await.map_err(Failure::failed)?;
        if wanted(&answer) {
            return Ok(answer);
        }
        if start.elapsed() > within {
            return Err(Failure::failed(format_args!(
                "waited {} s for {what}; the last answer was {answer:#?}",
                within.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
