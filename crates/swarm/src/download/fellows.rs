//! How many sources are enough.
//!
//! Sources that are fetching the content themselves, *fellows*, each serve a few
//! and are served by a few. More than that bring a fetcher nothing that the
//! others do not lose, and each costs: a connection, a place, news of what it
//! has, and the more there are, the smaller is what each sends at a time. So
//! when enough fellows are of use, no more sources are looked for. Whole sources
//! are not counted: what they send is nobody's loss but that of who waits there.

use std::time::Duration;

use gannet_base::Timestamp;

use super::config::DownloadsConfig;
use super::source::Source;
use super::transfer::Download;
use crate::message::Have;

/// A fellow that has had nothing for us for so long is of no use for now.
// Guess: some of the times in which it tells what it has.
const USELESS_AFTER: Duration = Duration::from_secs(2);

impl Download {
    /// Whether one more source is to be connected to.
    pub(super) fn has_place(&self, config: &DownloadsConfig, now: Timestamp) -> bool {
        let counts = self.counts;
        if counts.connecting + counts.ready >= config.sources_active_max
            || counts.queued >= config.sources_queued_max
        {
            return false;
        }
        let useful = |source: &&Source| is_useful_fellow(source, now);
        let fellows = self.sources.values().filter(useful).count();
        // Who is being connected to may be a fellow, or not be there.
        let coming = counts.connecting / 2;
        fellows + coming < config.fellows_max
            && (fellows == 0 || counts.queued < config.fellows_max)
    }

    /// When to look again, if sources are left.
    pub(super) fn place_due(&self, now: Timestamp) -> Option<Timestamp> {
        (self.is_running() && self.counts.spare > 0).then(|| now + USELESS_AFTER)
    }
}

fn is_useful_fellow(source: &Source, now: Timestamp) -> bool {
    let is_busy = !source.requests.is_empty() || now < source.progress + USELESS_AFTER;
    source.is_flowing() && source.have != Have::Whole && is_busy
}

#[cfg(test)]
mod tests {
    use gannet_base::{GROUP_BYTES, GroupSet, Link, Output};

    use super::super::DownloadCommand;
    use super::super::tests::{Bench, C, Out, peer, range};
    use super::*;
    use crate::message::TransferMessage;

    const SIZE: u64 = 10_000 * GROUP_BYTES;

    fn asked(outputs: &[Out]) -> Vec<u8> {
        let ask = |output: &Out| match output {
            Output::Send {
                to,
                message: TransferMessage::Ask { .. },
            } => Some(to.as_bytes()[0]),
            _ => None,
        };
        outputs.iter().filter_map(ask).collect()
    }

    /// Eight sources that have this, then twenty more: who of those is asked.
    fn asked_beside(bench: &mut Bench, have: &Have) -> usize {
        bench.start(C, Some(SIZE));
        for number in 1..=8 {
            bench.source(number, SIZE, have.clone());
        }
        let mut more = 0;
        for number in 9..=28 {
            bench.link(number, Link::Up);
            let add = DownloadCommand::AddSource {
                content: C,
                peer: peer(number),
            };
            more += asked(&bench.command(add)).len();
        }
        more
    }

    #[test]
    fn who_has_enough_fellows_asks_no_more() {
        let part = || Have::Some(GroupSet::from(range(0, 5_000)));
        let mut bench = Bench::new(DownloadsConfig::default());
        assert_eq!(asked_beside(&mut bench, &part()), 0, "eight are of use");
        let mut bench = Bench::new(DownloadsConfig::default());
        let more = asked_beside(&mut bench, &Have::Whole);
        assert!(more > 8, "{more}: whole sources are no fellows");
    }

    #[test]
    fn fellows_that_have_nothing_for_us_are_not_enough() {
        let mut bench = Bench::new(DownloadsConfig::default());
        let nothing = Have::Some(GroupSet::new());
        assert_eq!(
            asked_beside(&mut bench, &nothing),
            0,
            "for a while they are"
        );
        let mut more = 0;
        for _ in 0..5 {
            more += asked(&bench.pass(1_000)).len();
        }
        assert!(more > 8, "{more}");
    }

    #[test]
    fn sources_that_were_named_together_are_asked_in_no_order() {
        let mut bench = Bench::new(DownloadsConfig::default());
        for number in 1..=30 {
            bench.link(number, Link::Up);
        }
        bench.start(C, Some(SIZE));
        // Paused, so that it hears of all before it asks the first.
        bench.command(DownloadCommand::Pause { content: C });
        for number in 1..=30 {
            bench.command(DownloadCommand::AddSource {
                content: C,
                peer: peer(number),
            });
        }
        let asked = asked(&bench.command(DownloadCommand::Resume { content: C }));
        assert_eq!(
            asked.len(),
            16,
            "as many again as are enough: some are not there"
        );
        assert!(asked.iter().any(|number| *number > 20), "{asked:?}");
    }
}
