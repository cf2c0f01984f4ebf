//! Searches that must end, and what they missed.

use std::time::Duration;

use gannet_base::{Core, Timestamp};

use super::super::people::{People, Trial};
use super::TROUBLE;
use crate::{App, World};

/// Searches that have not ended, each of which must.
#[derive(Debug, Default)]
pub(in crate::lab) struct UnderWay(Vec<Began>);

#[derive(Debug)]
struct Began {
    at: Timestamp,
    searcher: u32,
    id: u64,
}

impl UnderWay {
    /// A search begins.
    pub(in crate::lab) fn add(&mut self, at: Timestamp, searcher: u32, id: u64) {
        self.0.push(Began { at, searcher, id });
    }

    /// Forgets those that are over.
    ///
    /// # Errors
    ///
    /// If one is not, after this time and that of the trouble; or if an answer
    /// was wrong.
    pub(in crate::lab) fn check<C, A>(
        &mut self,
        world: &World<C, A>,
        people: &People,
        longest: Duration,
    ) -> Result<(), String>
    where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        if people.wrong > 0 {
            return Err(format!("{} answers were wrong", people.wrong));
        }
        self.0.retain(|search| {
            let trial = people.trial(search.id);
            trial.outcome.is_none() && !trial.abandoned
        });
        let now = world.now();
        let late = self.0.iter().find(|search| {
            // Who sleeps cannot end a search.
            world.is_running(search.searcher) && now - search.at > longest + TROUBLE
        });
        late.map_or(Ok(()), |Began { at, searcher, id }| {
            Err(format!(
                "search {id} of peer {searcher}, begun at {at}, has not ended at {now}"
            ))
        })
    }
}

/// What a search of the healed network has missed, and whether it came later.
/// `early` is the search as it was at its end.
pub(in crate::lab) fn missed(people: &People, id: u64, early: &Trial) -> String {
    let late = people.trial(id).found.len() - early.found.len();
    let holders = people.library.holders(early.file).iter();
    let missing: Vec<u32> = holders
        .filter(|holder| **holder != early.searcher && !early.found.contains(holder))
        .copied()
        .collect();
    format!(
        "search {id} of peer {} in the healed network of {} found {:?} and not {missing:?}, \
         {late} of them came later; it ended with {:?}",
        early.searcher,
        people.up.len(),
        early.found,
        early.outcome
    )
}
