//! What holds between any two inputs; for tests and fuzzing.

use gannet_base::{GroupRange, GroupSet};

use super::Downloads;
use super::claims::Claims;
use super::shared::Shared;
use super::source::{Phase, Request};
use super::transfer::{Counts, Download, Proven};
use crate::message::Have;

impl Downloads {
    /// Checks the books of every download. Costs a pass over everything.
    ///
    /// # Panics
    ///
    /// If a book is wrong: a bug.
    #[doc(hidden)]
    pub fn assert_invariants(&self) {
        let mut in_flight = 0;
        for download in self.downloads.values() {
            download.assert_invariants(&self.shared);
            let wanted = download.requests().filter(|request| request.wanted);
            in_flight += wanted.map(|request| request.bytes).sum::<u64>();
        }
        assert_eq!(
            in_flight, self.shared.in_flight_bytes,
            "bytes in flight of all downloads"
        );
        let busy = self
            .downloads
            .values()
            .filter(|download| download.busy)
            .count();
        assert_eq!(busy, self.shared.busy, "busy downloads");
    }
}

impl Download {
    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.sources.values().flat_map(|source| &source.requests)
    }

    fn assert_invariants(&self, cx: &Shared) {
        let mut counts = Counts::default();
        for source in self.sources.values() {
            match source.phase {
                Phase::Spare => counts.spare += 1,
                Phase::Dialing { .. } | Phase::Asked { .. } => counts.connecting += 1,
                Phase::Queued { .. } => counts.queued += 1,
                Phase::Ready { .. } => counts.ready += 1,
                Phase::BackOff { .. } | Phase::Banned => {}
            }
            assert!(
                source.is_ready() || source.requests.is_empty(),
                "only the ready owe"
            );
            let asked: u64 = source.requests.iter().map(|request| request.bytes).sum();
            assert_eq!(asked, source.in_flight_bytes, "bytes in flight of a source");
        }
        assert_eq!(counts, self.counts, "sources by phase");
        assert!(
            self.sources.len() <= cx.config.sources_known_max,
            "sources are bounded"
        );
        assert_eq!(self.busy, counts.connecting + counts.ready > 0, "busy");
        if let Some(proven) = &self.proven {
            self.assert_groups(proven);
        } else {
            assert!(
                self.claims.is_empty(),
                "nothing is fetched before the size is proven"
            );
        }
    }

    /// Every wanted group is exactly one of: here, in flight, open; others may be here
    /// or in flight.
    fn assert_groups(&self, proven: &Proven) {
        let whole = GroupRange::whole(proven.size);
        let here = proven.have.to_set();
        let claimed: GroupSet = self.claims.iter().map(|claim| claim.range).collect();
        let open = proven.plan.open_set();
        let sum = here.len() + claimed.len() + open.len();
        let claims: u64 = self.claims.iter().map(|claim| claim.range.len()).sum();
        assert_eq!(claims, claimed.len(), "claims are apart");
        let union: GroupSet = [&here, &claimed, &open]
            .iter()
            .flat_map(|set| set.runs().iter().copied())
            .collect();
        let all = GroupSet::from(whole);
        let wanted = self
            .wanted
            .as_ref()
            .map_or(all.clone(), |wanted| wanted.intersection(&all));
        assert!(
            wanted.difference(&union).is_empty(),
            "every wanted group is somewhere"
        );
        assert!(
            union.difference(&all).is_empty(),
            "no group is beyond the end"
        );
        assert!(
            open.difference(&wanted).is_empty(),
            "only what is wanted is open"
        );
        assert_eq!(sum, union.len(), "no group is in two places");
        assert_eq!(open.len(), proven.plan.open_groups(), "open groups");
        assert_eq!(here.bytes(proven.size), proven.have_bytes, "bytes here");
        let partial = self
            .sources
            .values()
            .filter_map(|source| match &source.have {
                Have::Some(groups) if source.counted => Some(groups),
                _ => None,
            });
        // All groups of a small content; of a large one where sets begin and end.
        let given: Vec<GroupSet> = self
            .sources
            .values()
            .filter(|source| source.given_counted)
            .map(|source| source.given.to_set())
            .collect();
        let sets = partial.clone().chain(&given);
        let borders = sets.clone().flat_map(|set| set.runs().to_vec());
        let borders = borders.flat_map(|run| [run.start, run.end - 1]);
        let groups = borders.chain(0..whole.end.min(100));
        for group in groups.filter(|group| *group < whole.end) {
            let counted = sets.clone().filter(|set| set.contains(group)).count();
            let known = proven.plan.availability(group);
            assert_eq!(u32::try_from(counted), Ok(known), "who has {group}");
        }
        self.assert_claims();
    }

    /// Claims and requests name each other.
    fn assert_claims(&self) {
        for (peer, source) in &self.sources {
            for request in source.requests.iter().filter(|request| request.wanted) {
                let claim = self
                    .claims
                    .iter()
                    .find(|claim| claim.range == request.range);
                let held = claim.is_some_and(|claim| claim.holders.contains(peer));
                assert!(held, "what is wanted of a source is claimed");
            }
        }
        for claim in self.claims.iter() {
            assert!((1..=Claims::HOLDERS_MAX).contains(&claim.holders.len()));
            for holder in &claim.holders {
                let source = self.sources.get(holder).expect("a holder is a source");
                let asked = |request: &Request| request.wanted && request.range == claim.range;
                assert!(source.requests.iter().any(asked), "a holder was asked");
            }
        }
    }
}
