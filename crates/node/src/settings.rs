//! Settings that a user has changed while the peer ran: a file in the data
//! directory.
//!
//! Beside what was chosen, it says what the configuration said then. Who changes
//! the configuration later means it: what it says newly wins.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::NodeConfig;
use crate::api::Settings;

/// The file's name in the data directory.
const FILE: &str = "settings.json";
/// Longest file that is read.
const BYTES_MAX: u64 = 64 * 1024;

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What the configuration said when something was chosen last.
    pub(crate) configured: Settings,
    /// What was chosen.
    pub(crate) chosen: Settings,
}

/// The settings that a configuration has.
pub(crate) fn of(config: &NodeConfig) -> Settings {
    Settings {
        limit_up: config.limit_up.unwrap_or(0),
        limit_down: config.limit_down.unwrap_or(0),
        upload_slots: config.upload_slots,
        hubs: config.hubs.clone(),
    }
}

/// Puts settings into a configuration.
pub(crate) fn apply(config: &mut NodeConfig, settings: &Settings) {
    let limit = |rate: u64| (rate > 0).then_some(rate);
    config.limit_up = limit(settings.limit_up);
    config.limit_down = limit(settings.limit_down);
    config.upload_slots = settings.upload_slots;
    config.hubs.clone_from(&settings.hubs);
}

/// What counts: what was chosen, where the configuration says what it said then.
pub(crate) fn merge(now: &Settings, kept: &Kept) -> Settings {
    fn pick<T: PartialEq + Clone>(now: &T, then: &T, chosen: &T) -> T {
        if now == then { chosen } else { now }.clone()
    }
    let (then, chosen) = (&kept.configured, &kept.chosen);
    Settings {
        limit_up: pick(&now.limit_up, &then.limit_up, &chosen.limit_up),
        limit_down: pick(&now.limit_down, &then.limit_down, &chosen.limit_down),
        upload_slots: pick(&now.upload_slots, &then.upload_slots, &chosen.upload_slots)
            .clamp(1, 100),
        hubs: pick(&now.hubs, &then.hubs, &chosen.hubs),
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Puts what was chosen earlier into the configuration. A file that cannot be read
/// is as good as none. Returns what the configuration says by itself.
pub(crate) fn restore(config: &mut NodeConfig) -> Settings {
    let configured = of(config);
    let path = path(&config.data_dir);
    match read(&path) {
        Ok(kept) => {
            let merged = merge(&configured, &kept);
            apply(config, &merged);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "settings made earlier are not used");
        }
    }
    configured
}

fn read(path: &Path) -> io::Result<Kept> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
pub(crate) fn save(data_dir: &Path, kept: &Kept) -> io::Result<()> {
    let path = path(data_dir);
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(limit_up: u64, upload_slots: u32) -> Settings {
        Settings {
            limit_up,
            upload_slots,
            ..Settings::default()
        }
    }

    #[test]
    fn what_was_chosen_counts_until_the_configuration_changes() {
        let kept = Kept {
            configured: settings(5, 8),
            chosen: settings(7, 3),
        };
        assert_eq!(merge(&settings(5, 8), &kept), settings(7, 3));
        assert_eq!(merge(&settings(6, 8), &kept), settings(6, 3));
        assert_eq!(merge(&settings(0, 9), &kept), settings(0, 9));
    }

    #[test]
    fn settings_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::new(dir.path().to_owned());
        let configured = of(&config);
        restore(&mut config);
        assert_eq!(of(&config), configured, "nothing was chosen yet");
        let chosen = Settings {
            limit_down: 1_000,
            ..configured.clone()
        };
        let kept = Kept {
            configured,
            chosen: chosen.clone(),
        };
        save(dir.path(), &kept).unwrap();
        restore(&mut config);
        assert_eq!(of(&config), chosen);
        fs::write(path(dir.path()), "{").unwrap();
        let before = config.clone();
        restore(&mut config);
        assert_eq!(config, before, "a damaged file is none");
    }
}
