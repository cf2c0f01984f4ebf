//! How a search ended, in figures and in plain words: "nobody has it" as
//! against "I could not ask".

use std::time::Duration;

use super::api::{Overlay, OverlayOutcome};
use crate::dht::{self, DhtOutcome};
use crate::flood::{Coverage, Ending, FloodOutcome};
use crate::hub::{HubOutcome, Outcome};
use crate::supernode::{self, SupernodeOutcome};

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Rows that were found.
    pub rows: u32,
    /// How many contents match in all, as far as anybody knows; at least
    /// `rows`.
    pub total: u64,
    /// What each overlay did, in order of overlay.
    pub parts: Vec<Part>,
    /// From the question to the end.
    pub elapsed: Duration,
}

/// One overlay's part of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which overlay.
    pub overlay: Overlay,
    /// How it ended.
    pub end: PartEnd,
    /// Different contents that it found.
    pub found: u32,
    /// Hits dropped because their holders had not signed them.
    pub forged: u64,
    /// Hits dropped because they are not what was asked for.
    pub unmatched: u64,
    /// From the question to its end.
    pub elapsed: Duration,
}

/// How one overlay's part ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartEnd {
    /// It was done.
    Told(OverlayOutcome),
    /// It was stopped: enough had been found.
    Enough,
    /// It was not done when patience was over.
    Late,
}

/// What a search without rows means, and one with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There are rows.
    Found,
    /// Everybody who can be asked was asked and answered: nobody has it.
    Nobody,
    /// Some did not answer, refused or were not asked: somebody may have it.
    Incomplete,
    /// Nobody could be asked.
    CouldNotAsk,
}

/// How much of an overlay was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is not in use.
    Unused,
    /// Nobody could be asked.
    Nobody,
    /// Some were asked.
    Some,
    /// Everybody within reach was asked and answered.
    Whole,
}

impl Explanation {
    /// What the search means.
    pub fn verdict(&self) -> Verdict {
        let used = || self.used().map(Part::reach);
        if self.rows > 0 {
            Verdict::Found
        } else if used().all(|reach| reach == Reach::Nobody) {
            Verdict::CouldNotAsk
        } else if used().all(|reach| reach == Reach::Whole) {
            Verdict::Nobody
        } else {
            Verdict::Incomplete
        }
    }

    /// Hits dropped because nobody had signed them or nobody had asked for
    /// them.
    pub fn dropped(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| {
            sum.saturating_add(part.forged)
                .saturating_add(part.unmatched)
        })
    }

    fn used(&self) -> impl Iterator<Item = &Part> + Clone {
        let is_used = |part: &&Part| part.reach() != Reach::Unused;
        self.parts.iter().filter(is_used)
    }

    /// Whom the overlays asked that are in use, in plain words; empty if none
    /// is.
    pub fn asked(&self) -> String {
        let asked: Vec<String> = self.used().map(Part::phrase).collect();
        asked.join("; ")
    }

    /// The end in plain words.
    pub fn sentence(&self) -> String {
        let asked = self.asked();
        let mut text = match self.verdict() {
            Verdict::Found => format!("{} from {}.", plural(self.rows.into(), "row"), self.from()),
            Verdict::Nobody => format!("Nobody has it: {asked}."),
            Verdict::Incomplete => format!("Found nothing, but {asked}."),
            Verdict::CouldNotAsk if asked.is_empty() => self.nobody_known(),
            Verdict::CouldNotAsk => format!("I could not ask: {asked}."),
        };
        let sum = |of: fn(&Part) -> u64| self.parts.iter().map(of).fold(0, u64::saturating_add);
        let (forged, unmatched) = (sum(|part| part.forged), sum(|part| part.unmatched));
        if forged > 0 {
            let forged = plural(forged, "answer");
            text.push_str(&format!(
                " {forged} dropped: not signed by the peer they name."
            ));
        }
        if unmatched > 0 {
            let unmatched = plural(unmatched, "answer");
            text.push_str(&format!(" {unmatched} dropped: not what was asked for."));
        }
        text
    }

    /// Where rows come from: who answered, then who did not.
    fn from(&self) -> String {
        let answered = |part: &&Part| part.reach() != Reach::Nobody;
        let sources: Vec<String> = self.used().filter(answered).map(Part::source).collect();
        let silent = self.used().filter(|part| part.reach() == Reach::Nobody);
        let mut text = match sources.as_slice() {
            // Nobody else could be asked, but a supernode has an index.
            [] => "this peer itself".to_owned(),
            [one] => one.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        };
        for part in silent {
            text.push_str(&format!("; {}", part.phrase()));
        }
        text
    }

    /// No overlay has anybody to ask.
    fn nobody_known(&self) -> String {
        let has = |overlay| self.parts.iter().any(|part| part.overlay == overlay);
        let knows_by_peers = [Overlay::Supernode, Overlay::Dht, Overlay::Flood]
            .into_iter()
            .any(has);
        let (why, flag) = match (has(Overlay::Hub), knows_by_peers) {
            (true, false) => ("no hub is named", "--hub"),
            (false, true) => ("no other peer is known", "--peer"),
            (true, true) => (
                "no hub is named and no other peer is known",
                "--hub or --peer",
            ),
            (false, false) => {
                return "I could not ask: too much is being asked already.".to_owned();
            }
        };
        format!("I could not ask anybody: {why}. Start with {flag} PEER@ADDRESS.")
    }
}

impl Part {
    /// How much of the overlay was asked.
    pub fn reach(&self) -> Reach {
        match &self.end {
            PartEnd::Told(OverlayOutcome::Unused) => Reach::Unused,
            PartEnd::Told(OverlayOutcome::Hub(hubs)) => match answered(hubs) {
                _ if hubs.is_empty() => Reach::Unused,
                0 => Reach::Nobody,
                answered if answered == hubs.len() => Reach::Whole,
                _ => Reach::Some,
            },
            PartEnd::Told(OverlayOutcome::Supernode(outcome)) => supernode_reach(outcome),
            PartEnd::Told(OverlayOutcome::Dht(outcome)) => dht_reach(outcome),
            PartEnd::Told(OverlayOutcome::Flood(flood)) => flood_reach(flood),
            PartEnd::Enough => Reach::Some,
            PartEnd::Late if self.found > 0 => Reach::Some,
            PartEnd::Late => Reach::Nobody,
        }
    }

    /// Whom it asked, in plain words, the beginning in lower case.
    pub fn phrase(&self) -> String {
        match &self.end {
            PartEnd::Told(OverlayOutcome::Unused) => match self.overlay {
                Overlay::Hub => "no hub is named".to_owned(),
                Overlay::Supernode | Overlay::Dht | Overlay::Flood => {
                    "no other peer is known".to_owned()
                }
            },
            PartEnd::Told(OverlayOutcome::Hub(hubs)) => hub_phrase(hubs),
            PartEnd::Told(OverlayOutcome::Supernode(outcome)) => supernode_phrase(outcome),
            PartEnd::Told(OverlayOutcome::Dht(outcome)) => dht_phrase(outcome),
            PartEnd::Told(OverlayOutcome::Flood(flood)) => flood_phrase(flood),
            PartEnd::Enough => format!("{} was stopped: enough was found", self.overlay.name()),
            PartEnd::Late => format!("{} was not done in time", self.overlay.name()),
        }
    }

    /// Who answered, as the source of rows.
    fn source(&self) -> String {
        match &self.end {
            PartEnd::Told(OverlayOutcome::Hub(hubs)) => {
                let all = plural(hubs.len() as u64, "hub");
                format!("{} of {all}", answered(hubs))
            }
            PartEnd::Told(OverlayOutcome::Supernode(outcome)) => match supernodes_asked(outcome) {
                0 => "the leaves of this supernode".to_owned(),
                asked => plural(asked, "supernode"),
            },
            PartEnd::Told(OverlayOutcome::Dht(outcome)) => match outcome.answered {
                0 => "this peer's own part of the dht".to_owned(),
                answered => format!("{} by dht", plural(answered.into(), "peer")),
            },
            PartEnd::Told(OverlayOutcome::Flood(flood)) => {
                format!("{} by flood", plural(flood.coverage.asked.into(), "peer"))
            }
            PartEnd::Enough => format!("{} until it was enough", self.overlay.name()),
            PartEnd::Told(OverlayOutcome::Unused) | PartEnd::Late => self.overlay.name().to_owned(),
        }
    }
}

fn answered(hubs: &[HubOutcome]) -> usize {
    let answered = |hub: &&HubOutcome| matches!(hub.outcome, Outcome::Answered { .. });
    hubs.iter().filter(answered).count()
}

fn hub_phrase(hubs: &[HubOutcome]) -> String {
    let all = plural(hubs.len() as u64, "hub");
    match (answered(hubs), hubs.len()) {
        (_, 0) => "no hub is named".to_owned(),
        (0, 1) => "the hub did not answer".to_owned(),
        (0, _) => format!("none of the {all} answered"),
        (a, n) if a == n => format!("asked {all}, all answered"),
        (a, _) => format!("only {a} of {all} answered"),
    }
}

fn flood_reach(flood: &FloodOutcome) -> Reach {
    match flood.ending {
        Ending::NoNeighbours | Ending::TooMany => Reach::Nobody,
        Ending::Partial if flood.coverage.asked == 0 => Reach::Nobody,
        Ending::Everybody => Reach::Whole,
        Ending::Enough | Ending::Horizon | Ending::Partial => Reach::Some,
    }
}

/// Supernodes that looked for it: the one that was asked, if this peer is none
/// itself, and those that the question reached from there.
fn supernodes_asked(outcome: &SupernodeOutcome) -> u64 {
    u64::from(outcome.asked > 0) + u64::from(outcome.answered.coverage.asked)
}

fn supernode_reach(outcome: &SupernodeOutcome) -> Reach {
    use supernode::Ending;
    match outcome.ending {
        Ending::NoSupernode | Ending::TooMany => Reach::Nobody,
        Ending::Everybody if outcome.answered.coverage.is_whole() => Reach::Whole,
        Ending::Everybody | Ending::Enough | Ending::Partial => Reach::Some,
    }
}

fn supernode_phrase(outcome: &SupernodeOutcome) -> String {
    use supernode::Ending;
    let asked = match supernodes_asked(outcome) {
        0 => "looked into what the leaves of this supernode share".to_owned(),
        asked => format!("asked {}", plural(asked, "supernode")),
    };
    let coverage = &outcome.answered.coverage;
    let mut missing = missing_of(coverage);
    if outcome.ending == Ending::Partial && outcome.asked > 1 {
        let other = "one of this peer's own did not answer to the end";
        missing.insert(0, other.to_owned());
    }
    let missing = missing.join(", ");
    match outcome.ending {
        Ending::NoSupernode => "no supernode took the question".to_owned(),
        Ending::TooMany => "too many questions to supernodes run already".to_owned(),
        Ending::Everybody if coverage.is_whole() => format!("{asked}, all that can be reached"),
        Ending::Enough => format!("{asked} until it was enough"),
        Ending::Everybody | Ending::Partial if missing.is_empty() => {
            format!("{asked}, not all")
        }
        Ending::Everybody | Ending::Partial => format!("{asked}, {missing}"),
    }
}

/// Who was not asked, or did not answer, in plain words.
fn missing_of(coverage: &Coverage) -> Vec<String> {
    let mut missing = Vec::new();
    if coverage.silent > 0 {
        missing.push(format!("{} did not report", coverage.silent));
    }
    if coverage.refused > 0 {
        missing.push(format!("{} refused", coverage.refused));
    }
    if coverage.beyond > 0 {
        missing.push(format!("{} more were too far away", coverage.beyond));
    }
    missing
}

fn flood_phrase(flood: &FloodOutcome) -> String {
    let coverage = &flood.coverage;
    let asked = format!("asked {} by flood", plural(coverage.asked.into(), "peer"));
    let missing = missing_of(coverage).join(", ");
    match flood.ending {
        Ending::NoNeighbours => "flood has no neighbour now".to_owned(),
        Ending::TooMany => "too many floods run already".to_owned(),
        Ending::Everybody if coverage.ruled_out > 0 => format!(
            "{asked}, everybody within reach that may have it ({} ruled out)",
            coverage.ruled_out
        ),
        Ending::Everybody => format!("{asked}, everybody within reach"),
        Ending::Enough => format!("{asked} until it was enough"),
        Ending::Partial | Ending::Horizon if missing.is_empty() => {
            format!("{asked}, not everybody")
        }
        Ending::Partial if coverage.asked == 0 => format!("no neighbour answered: {missing}"),
        Ending::Partial | Ending::Horizon => format!("{asked}, {missing}"),
    }
}

fn dht_reach(outcome: &DhtOutcome) -> Reach {
    use dht::Ending;
    match outcome.ending {
        Ending::Alone | Ending::NoWord | Ending::TooMany => Reach::Nobody,
        Ending::Partial if outcome.answered == 0 => Reach::Nobody,
        Ending::Everything => Reach::Whole,
        Ending::Enough | Ending::Partial => Reach::Some,
    }
}

fn dht_phrase(outcome: &DhtOutcome) -> String {
    use dht::Ending;
    let asked = match outcome.asked {
        0 => "looked into this peer's own part of the dht".to_owned(),
        asked => format!("asked {} by dht", plural(asked.into(), "peer")),
    };
    let silent = outcome.asked.saturating_sub(outcome.answered);
    match outcome.ending {
        Ending::Alone => "the dht has no other peer now".to_owned(),
        Ending::NoWord => {
            "the dht looks up whole words, and needs one that must be there".to_owned()
        }
        Ending::TooMany => "too many searches of the dht run already".to_owned(),
        Ending::Everything => format!("{asked}, where all that is shared is listed"),
        Ending::Enough => format!("{asked} until it was enough"),
        Ending::Partial if outcome.asked == 0 => {
            "the peers of the dht that list it were not found".to_owned()
        }
        Ending::Partial if silent > 0 => format!("{asked}, {silent} did not answer"),
        Ending::Partial => format!("{asked}, not all"),
    }
}

fn plural(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
