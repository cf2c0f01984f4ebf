//! Where time enters: the only clock that the cores ever see.

use std::time::{Duration, SystemTime};

use gannet_base::{Timestamp, WallTime};
use tokio::time::Instant;

/// Counts from the node's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Timestamp {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Timestamp::from_micros(micros)
    }

    /// When a deadline of a core falls due, for sleeping until then.
    pub(crate) fn instant(self, deadline: Timestamp) -> Instant {
        // A deadline beyond what the system's clock can name is never reached:
        // a day ahead is looked at again then.
        let ahead = deadline
            .saturating_since(self.now())
            .min(Duration::from_secs(24 * 3600));
        Instant::now() + ahead
    }
}

/// The calendar's time; 1970 if the system's clock is set before that.
pub(crate) fn wall_time() -> WallTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_unix_seconds(since.as_secs())
}
