//! Settings that change while the peer runs.

use gannet_base::Core as _;
use gannet_swarm::UploadCommand;

use super::Driver;
use crate::api::{Settings, SettingsChange};
use crate::page::SettingsError;
use crate::settings::{self, Kept};

/// Most hubs.
// Guess: more than anybody runs for one network.
const HUBS_MAX: usize = 16;
/// Lowest limit but none: below, what others wait for never comes.
const RATE_MIN: u64 = 1_000;
/// Highest limit: that of the configuration file.
const RATE_MAX: u64 = 1_000_000_000_000_000;

impl Driver {
    pub(super) fn settings(&self) -> Settings {
        settings::of(&self.config)
    }

    pub(super) fn change_settings(
        &mut self,
        change: SettingsChange,
    ) -> Result<Settings, SettingsError> {
        check(&change)?;
        let mut new = self.settings();
        new.limit_up = change.limit_up.unwrap_or(new.limit_up);
        new.limit_down = change.limit_down.unwrap_or(new.limit_down);
        new.upload_slots = change.upload_slots.unwrap_or(new.upload_slots);
        new.hubs = change.hubs.unwrap_or(new.hubs);
        let hubs_changed = new.hubs != self.config.hubs;
        settings::apply(&mut self.config, &new);
        let now = self.clock.now();
        self.serve.limiter.set_rate(self.config.limit_up);
        self.fetch.limiter.set_rate(self.config.limit_down);
        let slots_max = self.config.upload_slots as usize;
        self.uploads
            .handle_command(now, UploadCommand::SetSlots { slots_max });
        if hubs_changed {
            self.begin_hubs();
        }
        self.keep_settings();
        Ok(self.settings())
    }

    fn keep_settings(&self) {
        let kept = Kept {
            configured: self.pages.configured.clone(),
            chosen: self.settings(),
        };
        let data_dir = self.config.data_dir.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = settings::save(&data_dir, &kept) {
                tracing::warn!(%error, "the settings are not remembered");
            }
        });
    }
}

fn check(change: &SettingsChange) -> Result<(), SettingsError> {
    let range = |name, found: Option<u64>, min, max, none_is_zero: bool| match found {
        Some(0) if none_is_zero => Ok(()),
        Some(found) if !(min..=max).contains(&found) => Err(SettingsError::Range {
            name,
            min,
            max,
            found,
        }),
        _ => Ok(()),
    };
    range("limit_up", change.limit_up, RATE_MIN, RATE_MAX, true)?;
    range("limit_down", change.limit_down, RATE_MIN, RATE_MAX, true)?;
    range(
        "upload_slots",
        change.upload_slots.map(u64::from),
        1,
        100,
        false,
    )?;
    let hubs = change.hubs.as_ref().map(|hubs| hubs.len() as u64);
    range("the number of hubs", hubs, 0, HUBS_MAX as u64, true)
}
