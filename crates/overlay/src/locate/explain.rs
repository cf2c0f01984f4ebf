//! How a search ended, in figures and in plain words: "nobody has it" as
//! against "I could not ask".

use std::time::Duration;

use super::api::{Overlay, OverlayOutcome};
use crate::flood::{Ending, FloodOutcome};
use crate::hub::{HubOutcome, Outcome};

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
        let mut text = sources.join(" and ");
        for part in silent {
            text.push_str(&format!("; {}", part.phrase()));
        }
        text
    }

    /// No overlay has anybody to ask.
    fn nobody_known(&self) -> String {
        let has = |overlay| self.parts.iter().any(|part| part.overlay == overlay);
        let (why, flag) = match (has(Overlay::Hub), has(Overlay::Flood)) {
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
                Overlay::Flood => "no other peer is known".to_owned(),
            },
            PartEnd::Told(OverlayOutcome::Hub(hubs)) => hub_phrase(hubs),
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

fn flood_phrase(flood: &FloodOutcome) -> String {
    let coverage = &flood.coverage;
    let asked = format!("asked {} by flood", plural(coverage.asked.into(), "peer"));
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
    let missing = missing.join(", ");
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

fn plural(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use gannet_base::PeerId;

    use super::*;
    use crate::flood::Coverage;

    fn part(end: PartEnd) -> Part {
        let overlay = match &end {
            PartEnd::Told(OverlayOutcome::Hub(_)) => Overlay::Hub,
            _ => Overlay::Flood,
        };
        Part {
            overlay,
            end,
            found: 0,
            forged: 0,
            unmatched: 0,
            elapsed: Duration::ZERO,
        }
    }

    fn hubs(answers: &[bool]) -> Part {
        let outcome = |(n, answered): (usize, &bool)| HubOutcome {
            hub: PeerId::from_bytes([u8::try_from(n).unwrap(); 32]),
            outcome: if *answered {
                Outcome::Answered { total: 0 }
            } else {
                Outcome::NoAnswer
            },
            elapsed: Duration::ZERO,
        };
        let hubs = answers.iter().enumerate().map(outcome).collect();
        part(PartEnd::Told(OverlayOutcome::Hub(hubs)))
    }

    fn flood(ending: Ending, asked: u32, silent: u32) -> Part {
        let coverage = Coverage {
            asked,
            silent,
            ..Coverage::default()
        };
        part(PartEnd::Told(OverlayOutcome::Flood(FloodOutcome {
            ending,
            rounds: 1,
            ttl: 2,
            neighbours: 1,
            coverage,
            elapsed: Duration::ZERO,
        })))
    }

    fn unused(overlay: Overlay) -> Part {
        Part {
            overlay,
            ..part(PartEnd::Told(OverlayOutcome::Unused))
        }
    }

    #[track_caller]
    fn check(rows: u32, parts: Vec<Part>, verdict: Verdict, sentence: &str) {
        let explanation = Explanation {
            rows,
            total: rows.into(),
            parts,
            elapsed: Duration::ZERO,
        };
        assert_eq!(explanation.verdict(), verdict, "{explanation:?}");
        assert_eq!(explanation.sentence(), sentence);
    }

    #[test]
    fn with_hubs_only_it_speaks_of_hubs_only() {
        let nothing = || unused(Overlay::Flood);
        let cases = [
            (
                0,
                &[true][..],
                Verdict::Nobody,
                "Nobody has it: asked 1 hub, all answered.",
            ),
            (
                0,
                &[false],
                Verdict::CouldNotAsk,
                "I could not ask: the hub did not answer.",
            ),
            (
                0,
                &[true, false],
                Verdict::Incomplete,
                "Found nothing, but only 1 of 2 hubs answered.",
            ),
            (1, &[true], Verdict::Found, "1 row from 1 of 1 hub."),
            (
                2,
                &[true, false],
                Verdict::Found,
                "2 rows from 1 of 2 hubs.",
            ),
        ];
        for (rows, answers, verdict, sentence) in cases {
            check(rows, vec![hubs(answers), nothing()], verdict, sentence);
        }
    }

    #[test]
    fn nobody_known_says_what_to_start_with() {
        check(
            0,
            vec![unused(Overlay::Hub), unused(Overlay::Flood)],
            Verdict::CouldNotAsk,
            "I could not ask anybody: no hub is named and no other peer is known. \
             Start with --hub or --peer PEER@ADDRESS.",
        );
        check(
            0,
            vec![unused(Overlay::Flood)],
            Verdict::CouldNotAsk,
            "I could not ask anybody: no other peer is known. Start with --peer PEER@ADDRESS.",
        );
    }

    #[test]
    fn a_flood_says_how_far_it_came() {
        check(
            0,
            vec![unused(Overlay::Hub), flood(Ending::Everybody, 12, 0)],
            Verdict::Nobody,
            "Nobody has it: asked 12 peers by flood, everybody within reach.",
        );
        check(
            0,
            vec![flood(Ending::Partial, 3, 2)],
            Verdict::Incomplete,
            "Found nothing, but asked 3 peers by flood, 2 did not report.",
        );
        check(
            0,
            vec![flood(Ending::NoNeighbours, 0, 0)],
            Verdict::CouldNotAsk,
            "I could not ask: flood has no neighbour now.",
        );
        check(
            0,
            vec![flood(Ending::Partial, 0, 2)],
            Verdict::CouldNotAsk,
            "I could not ask: no neighbour answered: 2 did not report.",
        );
    }

    #[test]
    fn one_overlay_may_fail_while_the_other_answers() {
        check(
            0,
            vec![hubs(&[false]), flood(Ending::Everybody, 1, 0)],
            Verdict::Incomplete,
            "Found nothing, but the hub did not answer; asked 1 peer by flood, everybody within \
             reach.",
        );
        check(
            2,
            vec![hubs(&[false]), flood(Ending::Everybody, 4, 0)],
            Verdict::Found,
            "2 rows from 4 peers by flood; the hub did not answer.",
        );
        check(
            2,
            vec![hubs(&[true]), part(PartEnd::Enough)],
            Verdict::Found,
            "2 rows from 1 of 1 hub and flood until it was enough.",
        );
    }

    #[test]
    fn what_was_dropped_is_said() {
        let mut liar = flood(Ending::Enough, 1, 0);
        (liar.forged, liar.unmatched) = (1, 2);
        check(
            0,
            vec![liar],
            Verdict::Incomplete,
            "Found nothing, but asked 1 peer by flood until it was enough. 1 answer dropped: not \
             signed by the peer they name. 2 answers dropped: not what was asked for.",
        );
    }
}
