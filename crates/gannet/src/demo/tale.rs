//! What the acts without a hub have in common: a cast, of whom some have a
//! file; one searches for it and fetches it from all of them; somebody is
//! killed meanwhile; and when the others have got over it, one more finds it.
//!
//! An act says how its peers join, who is killed and how the network heals.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use gannet_base::ContentId;
use gannet_node::api::{DownloadInfo, DownloadState, SearchEnd, SearchRow, SearchUpdate};

use crate::cli::DemoArgs;
use crate::demo::actors::Company;
use crate::demo::files;
use crate::demo::scenes::{
    LOOK, SOON, ask, check_senders, folder_of, get, look, names_of, row_of, search_until, verify,
};
use crate::demo::stage::Stage;
use crate::exit::Failure;

/// The file of an act, as a share of the big file of the act with a hub.
const SHARE: u64 = 4;
/// What each holder may send, as `--limit-up` takes it: slow enough to watch.
const LIMIT_UP: &str = "5M";
/// When somebody is killed, per cent of the download.
const KILL_AT: u64 = 25;
/// Sources that must have sent something by then.
const SENDERS_MIN: usize = 2;

/// Who plays, and what about.
#[derive(Debug)]
pub(super) struct Cast {
    /// The one overlay that they use, as `--overlay` takes it.
    pub(super) overlay: &'static str,
    /// Everybody, in the order in which they start.
    pub(super) peers: &'static [&'static str],
    /// Those who have the file, in order of name.
    pub(super) holders: &'static [&'static str],
    /// Who searches and fetches.
    pub(super) seeker: &'static str,
    /// Who searches when all is over.
    pub(super) later: &'static str,
    /// What the file is called.
    pub(super) file: &'static str,
    /// What is searched for.
    pub(super) words: &'static str,
}

impl Cast {
    /// Everybody but the one who was killed.
    pub(super) fn living(&self, victim: &str) -> Vec<&'static str> {
        let living = self.peers.iter().filter(|name| **name != victim);
        living.copied().collect()
    }
}

/// The file of an act, and who plays with it.
#[derive(Debug)]
pub(super) struct Tale<'a> {
    cast: &'a Cast,
    place: &'a Path,
    /// Where the original is.
    path: PathBuf,
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// Its id.
    pub(super) content: ContentId,
}

impl<'a> Tale<'a> {
    /// Writes the file and gives it to its holders; everybody gets a folder.
    pub(super) fn write(args: &DemoArgs, place: &'a Path, cast: &'a Cast) -> Result<Self, Failure> {
        let bytes = (args.big << 20) / SHARE;
        let path = place.join(cast.file);
        files::write_big(&path, bytes)?;
        for peer in cast.peers {
            std::fs::create_dir_all(folder_of(place, peer))?;
        }
        for holder in cast.holders {
            files::link_or_copy(&path, &folder_of(place, holder).join(cast.file))?;
        }
        let content = files::content_of(&path)?;
        Ok(Self {
            cast,
            place,
            path,
            bytes,
            content,
        })
    }

    /// Starts one of the cast, who is told of another one and of nobody else.
    pub(super) async fn start(
        &self,
        name: &'static str,
        through: Option<&str>,
        flags: &[&str],
        company: &mut Company,
    ) -> Result<(), Failure> {
        let folder = folder_of(self.place, name).display().to_string();
        let mut all = vec!["--overlay", self.cast.overlay];
        all.extend(flags);
        let through = through.map(|other| company.actor(other).address.to_string());
        if let Some(address) = &through {
            all.extend(["--peer", address]);
        }
        if self.cast.holders.contains(&name) {
            all.extend(["--limit-up", LIMIT_UP]);
        }
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        company.start(name, &["up", &folder], &all).await
    }

    /// Puts another file into the folder of one of the cast.
    pub(super) fn write_more(&self, who: &str, name: &str, bytes: u64) -> Result<PathBuf, Failure> {
        let path = self.path_of(who, name);
        files::write_big(&path, bytes)?;
        Ok(path)
    }

    /// Where a file of one of the cast is.
    pub(super) fn path_of(&self, who: &str, name: &str) -> PathBuf {
        folder_of(self.place, who).join(name)
    }

    /// The seeker finds it at all its holders. `detail` is what this overlay
    /// adds to where it was found.
    pub(super) async fn find(
        &self,
        company: &Company,
        stage: &mut Stage<'_>,
        detail: impl FnOnce(&SearchRow) -> String,
    ) -> Result<(SearchRow, SearchEnd), Failure> {
        let Cast {
            overlay,
            holders,
            seeker,
            ..
        } = self.cast;
        let (row, end) = self.search(seeker, holders.len(), company, stage).await?;
        let names = names_of(&row, company);
        stage.check(
            names == *holders && row.found_by.iter().all(|found| found.overlay == *overlay),
            format_args!("found at {}{}", names.join(", "), detail(&row)),
        )?;
        Ok((row, end))
    }

    /// The seeker fetches it; meanwhile, when sources have begun to send,
    /// somebody is killed. The finished download, and who was killed.
    pub(super) async fn fetch(
        &self,
        row: &SearchRow,
        company: &mut Company,
        stage: &mut Stage<'_>,
        kill: impl AsyncFnOnce(&mut Company, &mut Stage<'_>) -> Result<String, Failure>,
    ) -> Result<(DownloadInfo, String), Failure> {
        stage.step("She fetches it from all of them at once")?;
        let seeker = company.actor(self.cast.seeker).client.clone();
        let download = get(&seeker, row, stage).await?;
        let mut kill = Some(kill);
        let mut victim = None;
        loop {
            let now = look(&seeker, download.number, SOON).await?;
            if now.state == DownloadState::Complete {
                let victim = victim.ok_or_else(|| {
                    Failure::failed("the download was over before anybody could be killed")
                })?;
                return Ok((now, victim));
            }
            if now.have_bytes * 100 >= self.bytes * KILL_AT
                && let Some(kill) = kill.take()
            {
                check_senders(&now, SENDERS_MIN, company, stage)?;
                victim = Some(kill(company, stage).await?);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The finished download is the file.
    pub(super) fn verify(
        &self,
        done: &DownloadInfo,
        what: impl Display,
        stage: &mut Stage<'_>,
    ) -> Result<(), Failure> {
        verify(&self.path, self.content, done, what, stage)
    }

    /// When all is over, it is found at those who live and have it, and the
    /// seeker is one of them.
    pub(super) async fn find_again(
        &self,
        victim: &str,
        company: &Company,
        stage: &mut Stage<'_>,
    ) -> Result<(), Failure> {
        let Cast { later, seeker, .. } = self.cast;
        let holders = self.cast.holders.iter();
        let sources = 1 + holders.filter(|name| **name != victim).count();
        let (row, _) = self.search(later, sources, company, stage).await?;
        let names = names_of(&row, company);
        stage.check(
            names.iter().any(|name| name == seeker) && names.len() == sources,
            format_args!(
                "{later} finds it too, and {seeker} is a source now: {}",
                names.join(", ")
            ),
        )
    }

    /// Waits until this peer finds so many sources, since news takes some
    /// seconds to spread; then searches again, and shows what it sees.
    pub(super) async fn search(
        &self,
        who: &str,
        sources: usize,
        company: &Company,
        stage: &mut Stage<'_>,
    ) -> Result<(SearchRow, SearchEnd), Failure> {
        let what = format!("{sources} sources");
        let has_sources = |update: &SearchUpdate| {
            matches!(update, SearchUpdate::Row(row)
                if row.content == self.content && row.sources.len() >= sources)
        };
        search_until(who, self.cast.words, &what, company, has_sources).await?;
        let state = ask(who, self.cast.words, company, stage).await?;
        let row = row_of(state.rows, self.content, stage)?;
        Ok((row, state.end.unwrap_or_default()))
    }
}
