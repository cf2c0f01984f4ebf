//! Opening a data directory.

use super::*;

/// Format of the data directory. A later one is refused, an earlier one is
/// brought up to date.
const FORMAT: u32 = 2;
/// The earliest format that there was.
const FORMAT_FIRST: u32 = 1;

const STAMP_PREFIX: &str = "gannet-store ";

impl Inner {
    pub(super) fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        make_private_dir(&config.data_dir).map_err(failed(&config.data_dir))?;
        let data_dir = config
            .data_dir
            .canonicalize()
            .map_err(failed(&config.data_dir))?;
        let lock = DirLock::take(&data_dir)?;
        let mut warnings = Vec::new();
        if let Some(backup) = check_stamp(&data_dir)? {
            warnings.push(format!(
                "the data directory was brought up to date; as it was before it is in {}, which \
                 can be deleted",
                backup.display()
            ));
        }
        let opened = Catalogue::open(
            &data_dir.join("catalogue.redb"),
            config.catalogue_cache_bytes,
        )?;
        if let Some(aside) = opened.moved_to {
            warnings.push(format!(
                "the catalogue of shared files was damaged; it was moved to {} and is built anew",
                aside.display()
            ));
        }
        let shares = load_shares(&data_dir, &mut warnings)?;
        let outboard_dir = data_dir.join("outboards");
        let outboards = Outboards::open(outboard_dir.clone()).map_err(failed(&outboard_dir))?;
        let download_dir =
            std::path::absolute(&config.download_dir).map_err(failed(&config.download_dir))?;
        let downloads = Downloads::new(
            Arc::new(RealDisk),
            data_dir.join("downloads"),
            download_dir.clone(),
        );
        let kept_dir = data_dir.join("kept");
        let kept = Downloads::new(Arc::new(SparseDisk), kept_dir.clone(), kept_dir).lending();
        let parts_dir = data_dir.join("parts");
        let parts = Downloads::new(Arc::new(RealDisk), parts_dir, download_dir);
        let shelf_dir = data_dir.join("collections");
        let shelf = Shelf::open(shelf_dir.clone()).map_err(failed(&shelf_dir))?;
        Ok(Self {
            data_dir,
            parts,
            shelf,
            fetched: OpenCollections::default(),
            catalogue: opened.catalogue,
            outboards,
            downloads,
            kept,
            shares: RwLock::new(shares),
            sharing: Mutex::new(()),
            scanning: Mutex::new(()),
            pool: OnceLock::new(),
            listener: RwLock::new(None),
            warnings,
            config,
            _lock: lock,
        })
    }

    /// Puts away downloads that were complete when an earlier run ended.
    pub(super) fn put_away(&self) -> Result<(), OpenError> {
        let half = match self.downloads.half_finished() {
            Ok(half) => half,
            Err(error) => {
                tracing::warn!(%error, "downloads of an earlier run were not looked at");
                return Ok(());
            }
        };
        for (content, path) in half {
            if let Err(error) = self.adopt(content, path) {
                tracing::warn!(%content, %error, "a finished download is not shared");
            }
        }
        Ok(())
    }
}

/// The list of shares; a damaged one is put aside, and the user told.
fn load_shares(data_dir: &Path, warnings: &mut Vec<String>) -> Result<Shares, OpenError> {
    let path = data_dir.join("shares");
    let failed = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    match Shares::load(&path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let aside = data_dir.join("shares.corrupt");
            fs::rename(&path, &aside).map_err(failed)?;
            warnings.push(format!(
                "the list of shares was damaged; it was moved to {}: share your folders again",
                aside.display()
            ));
            Ok(Shares::default())
        }
        loaded => loaded.map_err(failed),
    }
}

pub(super) fn make_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Checks the version stamp; writes one into a new directory, and brings an
/// earlier one up to date. Where the backup is, if that was done.
fn check_stamp(data_dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    let path = data_dir.join("version");
    let stamp = || {
        let text = format!("{STAMP_PREFIX}{FORMAT}\n");
        let path = data_dir.join("version");
        crate::backend::replace(&RealDisk, &path, text.as_bytes())
            .map_err(|source| OpenError::Io { path, source })
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return stamp().map(|()| None);
        }
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            return Err(OpenError::Stamp { path });
        }
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let found = text
        .trim_end()
        .strip_prefix(STAMP_PREFIX)
        .and_then(|number| number.parse::<u32>().ok());
    match found {
        Some(FORMAT) => Ok(None),
        Some(found @ FORMAT_FIRST..FORMAT) => {
            let failed = |source| OpenError::Io {
                path: data_dir.to_owned(),
                source,
            };
            let backup = upgrade::back_up(data_dir, found).map_err(failed)?;
            for format in found..FORMAT {
                upgrade::step(data_dir, format).map_err(failed)?;
            }
            stamp().map(|()| Some(backup))
        }
        Some(found) if found > FORMAT => Err(OpenError::NewerVersion {
            path: data_dir.to_owned(),
            found,
            known: FORMAT,
        }),
        _ => Err(OpenError::Stamp { path }),
    }
}
