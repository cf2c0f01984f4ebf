//! The download of a folder as a small state machine: first its manifest, then
//! its parts, a few at a time, at last its name.
//!
//! It touches nothing: the driver tells it what happened and does the
//! [`Step`]s that come out. Parts are known by their numbers in the manifest.
//!
//! **Invariant.** A step that came out is answered once, by the input that its
//! variant names, or by [`Gather::on_trouble`]; until then it does not come out
//! again.

use std::collections::{BTreeMap, VecDeque};

/// Parts that are fetched at once. Too few: nobody sends while the next one is
/// asked for. Too many: more lies half-done, and is to be fetched again by
/// those who fetch from here.
// Derived: a source grants two slots; as many wait in its queue.
pub(crate) const PARTS_AT_ONCE: usize = 4;
/// Parts that are taken apart at once.
// Guess: all threads work on each.
const STORING_AT_ONCE: usize = 1;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begin to fetch the manifest; [`Gather::on_manifest_fetched`] follows.
    BeginManifest,
    /// Read the manifest; [`Gather::on_manifest`] follows.
    TakeManifest,
    /// Begin to fetch a part; [`Gather::on_begun`] follows.
    Begin(usize),
    /// Put the files of a part in place; [`Gather::on_stored`] follows.
    Store(usize),
    /// Give the folder its name; [`Gather::on_finished`] follows.
    Finish,
}

/// What became of a part that was to be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It was here.
    Stored,
    /// It is being fetched; [`Gather::on_fetched`] follows.
    Fetching,
    /// Another download fetches the same content: it is tried again at
    /// [`Gather::on_tick`].
    Blocked,
}

/// How far it is as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What is in the folder is not known.
    Manifest,
    /// Parts are being fetched and put in place.
    Parts,
    /// All parts are in place.
    Finishing,
    /// The folder has its name.
    Complete,
    /// It cannot go on, for this reason.
    Failed(String),
}

/// What is going on with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Beginning,
    Fetching,
    Blocked,
    Fetched,
    Storing,
}

/// What kept a step from being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The disk is full: the step comes again after [`Gather::on_room`].
    DiskFull,
    /// The bytes are not all there any more: they are fetched again.
    Incomplete,
    /// It cannot go on; only the user can have it try again. Whatever is being
    /// fetched is to be dropped.
    Failed(String),
}

/// The download of a folder.
#[derive(Debug)]
pub(crate) struct Gather {
    phase: Phase,
    /// Where it was when it failed.
    failed_in: Option<Phase>,
    paused: bool,
    /// Steps wait for room on the disk.
    full: bool,
    /// The parts that are stored; none before the manifest is known.
    stored: Vec<bool>,
    left: usize,
    /// No part before it waits to be begun.
    next: usize,
    doing: BTreeMap<usize, Doing>,
    steps: VecDeque<Step>,
    /// Steps that are to come out again when there is room.
    again: Vec<Step>,
}

impl Gather {
    /// A new one; `stored` says which parts are stored, if the manifest is here
    /// already.
    pub(crate) fn new(stored: Option<Vec<bool>>, paused: bool) -> Self {
        let mut gather = Self {
            phase: Phase::Manifest,
            failed_in: None,
            paused,
            full: false,
            stored: Vec::new(),
            left: 0,
            next: 0,
            doing: BTreeMap::new(),
            steps: VecDeque::new(),
            again: Vec::new(),
        };
        match stored {
            Some(stored) => gather.set_parts(stored),
            None => gather.steps.push_back(Step::BeginManifest),
        }
        gather
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it waits for room on the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Complete | Phase::Failed(_))
    }

    /// Whether something is being done here, other than waiting for sources.
    pub(crate) fn is_busy(&self) -> bool {
        let busy = |doing: &Doing| !matches!(doing, Doing::Fetching | Doing::Blocked);
        self.phase == Phase::Finishing || self.doing.values().any(busy)
    }

    pub(crate) fn is_stored(&self, part: usize) -> bool {
        self.stored.get(part) == Some(&true)
    }

    /// What is to be done next, in order.
    pub(crate) fn poll(&mut self) -> Option<Step> {
        if matches!(self.phase, Phase::Failed(_)) {
            return None;
        }
        if self.paused {
            // What is here may be put in place all the same; nothing new begins.
            let is_new = |step: &Step| matches!(step, Step::BeginManifest | Step::Begin(_));
            let at = self.steps.iter().position(|step| !is_new(step))?;
            return self.steps.remove(at);
        }
        self.begin_more();
        self.steps.pop_front()
    }

    fn begin_more(&mut self) {
        if self.phase != Phase::Parts || self.full {
            return;
        }
        while self.doing.len() < PARTS_AT_ONCE && self.next < self.stored.len() {
            let part = self.next;
            self.next += 1;
            if !self.stored[part] {
                self.doing.insert(part, Doing::Beginning);
                self.steps.push_back(Step::Begin(part));
            }
        }
    }

    fn set_parts(&mut self, stored: Vec<bool>) {
        self.left = stored.iter().filter(|stored| !**stored).count();
        self.stored = stored;
        self.phase = Phase::Parts;
        self.look_for_the_end();
    }

    fn look_for_the_end(&mut self) {
        if self.phase == Phase::Parts && self.left == 0 {
            self.phase = Phase::Finishing;
            self.steps.push_back(Step::Finish);
        }
    }

    /// All bytes of the manifest are here.
    pub(crate) fn on_manifest_fetched(&mut self) {
        if self.phase == Phase::Manifest && !self.steps.contains(&Step::TakeManifest) {
            self.steps.push_back(Step::TakeManifest);
        }
    }

    /// The manifest is read; which of its parts are stored already.
    pub(crate) fn on_manifest(&mut self, stored: Vec<bool>) {
        if self.phase == Phase::Manifest {
            self.set_parts(stored);
        }
    }

    pub(crate) fn on_begun(&mut self, part: usize, begun: Begun) {
        match begun {
            Begun::Stored => self.on_stored(part),
            Begun::Fetching => self.set(part, Doing::Beginning, Doing::Fetching),
            Begun::Blocked => self.set(part, Doing::Beginning, Doing::Blocked),
        }
    }

    /// All bytes of a part are here.
    pub(crate) fn on_fetched(&mut self, part: usize) {
        self.set(part, Doing::Fetching, Doing::Fetched);
        self.store_more();
    }

    fn store_more(&mut self) {
        let storing = |doing: &&Doing| **doing == Doing::Storing;
        while self.doing.values().filter(storing).count() < STORING_AT_ONCE {
            let fetched = self
                .doing
                .iter_mut()
                .find(|(_, doing)| **doing == Doing::Fetched);
            let Some((part, doing)) = fetched else { return };
            *doing = Doing::Storing;
            self.steps.push_back(Step::Store(*part));
        }
    }

    /// The files of a part are in place.
    pub(crate) fn on_stored(&mut self, part: usize) {
        if self.doing.remove(&part).is_none() {
            return;
        }
        self.stored[part] = true;
        self.left -= 1;
        self.store_more();
        self.look_for_the_end();
    }

    pub(crate) fn on_finished(&mut self) {
        if self.phase == Phase::Finishing {
            self.phase = Phase::Complete;
        }
    }

    /// A step could not be done.
    pub(crate) fn on_trouble(&mut self, step: Step, trouble: Trouble) {
        if self.is_over() {
            return;
        }
        match (trouble, step) {
            (Trouble::Failed(reason), _) => {
                self.failed_in = Some(std::mem::replace(&mut self.phase, Phase::Failed(reason)));
                self.again.push(step);
            }
            (Trouble::DiskFull, _) => {
                self.full = true;
                self.again.push(step);
            }
            (Trouble::Incomplete, Step::Store(part)) => {
                self.doing.insert(part, Doing::Beginning);
                self.steps.push_back(Step::Begin(part));
                self.store_more();
            }
            (Trouble::Incomplete, Step::TakeManifest) => {
                self.steps.push_back(Step::BeginManifest);
            }
            (Trouble::Incomplete, _) => self.again.push(step),
        }
    }

    /// The disk may have room again.
    pub(crate) fn on_room(&mut self) {
        self.full = false;
        self.steps.extend(self.again.drain(..));
    }

    /// Now and then: parts that others are fetching are tried again.
    pub(crate) fn on_tick(&mut self) {
        for (part, doing) in &mut self.doing {
            if *doing == Doing::Blocked {
                *doing = Doing::Beginning;
                self.steps.push_back(Step::Begin(*part));
            }
        }
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on, also after a failure: with the step that failed.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        if let Some(phase) = self.failed_in.take() {
            self.phase = phase;
            self.begin_again();
            self.look_for_the_end();
        }
        self.on_room();
    }

    /// After a failure nothing is being fetched any more.
    fn begin_again(&mut self) {
        for (part, doing) in &mut self.doing {
            let step = Step::Begin(*part);
            if *doing != Doing::Storing {
                *doing = Doing::Beginning;
                if !self.steps.contains(&step) && !self.again.contains(&step) {
                    self.steps.push_back(step);
                }
            }
        }
    }

    fn set(&mut self, part: usize, from: Doing, to: Doing) {
        if let Some(doing) = self.doing.get_mut(&part)
            && *doing == from
        {
            *doing = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn steps(gather: &mut Gather) -> Vec<Step> {
        std::iter::from_fn(|| gather.poll()).collect()
    }

    #[test]
    fn manifest_parts_name() {
        let mut gather = Gather::new(None, false);
        assert_eq!(steps(&mut gather), [Step::BeginManifest]);
        gather.on_manifest_fetched();
        gather.on_manifest_fetched();
        assert_eq!(steps(&mut gather), [Step::TakeManifest]);
        gather.on_manifest(vec![false, true, false]);
        assert_eq!(steps(&mut gather), [Step::Begin(0), Step::Begin(2)]);
        gather.on_begun(0, Begun::Fetching);
        gather.on_begun(2, Begun::Stored);
        assert!(!gather.is_busy());
        gather.on_fetched(0);
        assert_eq!(steps(&mut gather), [Step::Store(0)]);
        assert!(gather.is_busy());
        gather.on_stored(0);
        assert_eq!(steps(&mut gather), [Step::Finish]);
        gather.on_finished();
        assert_eq!(*gather.phase(), Phase::Complete);
        assert_eq!(steps(&mut gather), []);
    }

    #[test]
    fn a_few_at_a_time_and_one_is_put_in_place() {
        let mut gather = Gather::new(Some(vec![false; 9]), false);
        assert_eq!(steps(&mut gather).len(), PARTS_AT_ONCE);
        for part in 0..PARTS_AT_ONCE {
            gather.on_begun(part, Begun::Fetching);
        }
        gather.on_fetched(2);
        gather.on_fetched(1);
        assert_eq!(steps(&mut gather), [Step::Store(2)]);
        gather.on_stored(2);
        let next = Step::Begin(PARTS_AT_ONCE);
        assert_eq!(steps(&mut gather), [Step::Store(1), next]);
    }

    #[test]
    fn paused_nothing_begins() {
        let mut gather = Gather::new(Some(vec![false; 9]), false);
        steps(&mut gather);
        gather.on_begun(0, Begun::Fetching);
        gather.pause();
        gather.on_fetched(0);
        assert_eq!(steps(&mut gather), [Step::Store(0)]);
        gather.on_stored(0);
        assert_eq!(steps(&mut gather), []);
        gather.resume();
        assert_eq!(steps(&mut gather), [Step::Begin(PARTS_AT_ONCE)]);
        let mut gather = Gather::new(None, true);
        assert_eq!(steps(&mut gather), []);
        gather.resume();
        assert_eq!(steps(&mut gather), [Step::BeginManifest]);
    }

    #[test]
    fn a_full_disk_waits_and_a_failure_is_tried_again_by_the_user() {
        let mut gather = Gather::new(Some(vec![false]), false);
        steps(&mut gather);
        gather.on_begun(0, Begun::Fetching);
        gather.on_fetched(0);
        assert_eq!(steps(&mut gather), [Step::Store(0)]);
        gather.on_trouble(Step::Store(0), Trouble::DiskFull);
        assert!(gather.is_full());
        assert_eq!(steps(&mut gather), []);
        gather.on_room();
        assert_eq!(steps(&mut gather), [Step::Store(0)]);
        gather.on_trouble(Step::Store(0), Trouble::Incomplete);
        assert_eq!(steps(&mut gather), [Step::Begin(0)]);
        gather.on_begun(0, Begun::Stored);
        assert_eq!(steps(&mut gather), [Step::Finish]);
        gather.on_trouble(Step::Finish, Trouble::Failed("no".to_owned()));
        assert_eq!(*gather.phase(), Phase::Failed("no".to_owned()));
        gather.on_tick();
        assert_eq!(steps(&mut gather), []);
        gather.resume();
        assert_eq!(steps(&mut gather), [Step::Finish]);
    }

    #[test]
    fn what_others_fetch_is_waited_for() {
        let mut gather = Gather::new(Some(vec![false]), false);
        assert_eq!(steps(&mut gather), [Step::Begin(0)]);
        gather.on_begun(0, Begun::Blocked);
        assert_eq!(steps(&mut gather), []);
        gather.on_tick();
        assert_eq!(steps(&mut gather), [Step::Begin(0)]);
        gather.on_tick();
        assert_eq!(steps(&mut gather), []);
    }

    proptest! {
        /// Whatever happens in whatever order: every part is stored once, and
        /// the end comes.
        #[test]
        fn all_parts_are_stored_and_then_it_ends(
            parts in 0_usize..30,
            choices in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..10), 2_000),
        ) {
            let mut gather = Gather::new(None, false);
            // Steps that are not answered, and parts that are coming.
            let (mut open, mut coming) = (Vec::new(), Vec::new());
            let mut stored = vec![0; parts];
            for (which, what) in choices {
                open.extend(steps(&mut gather));
                if !coming.is_empty() && what < 3 {
                    gather.on_fetched(coming.swap_remove(which.index(coming.len())));
                    continue;
                }
                if open.is_empty() {
                    gather.on_tick();
                    gather.on_room();
                    continue;
                }
                let step = open.swap_remove(which.index(open.len()));
                match (step, what) {
                    (Step::Begin(_) | Step::Store(_) | Step::Finish, 9) => {
                        gather.on_trouble(step, Trouble::DiskFull);
                    }
                    (Step::Store(_), 8) => gather.on_trouble(step, Trouble::Incomplete),
                    (_, 7) => {
                        gather.on_trouble(step, Trouble::Failed("no".to_owned()));
                        prop_assert_eq!(gather.poll(), None);
                        coming.clear();
                        open.retain(|step| !matches!(step, Step::Begin(_)));
                        gather.resume();
                    }
                    (Step::BeginManifest, _) => gather.on_manifest_fetched(),
                    (Step::TakeManifest, _) => gather.on_manifest(vec![false; parts]),
                    (Step::Begin(part), 6) => gather.on_begun(part, Begun::Blocked),
                    (Step::Begin(part), 5) => {
                        stored[part] += 1;
                        gather.on_begun(part, Begun::Stored);
                    }
                    (Step::Begin(part), _) => {
                        coming.push(part);
                        gather.on_begun(part, Begun::Fetching);
                    }
                    (Step::Store(part), _) => {
                        stored[part] += 1;
                        gather.on_stored(part);
                    }
                    (Step::Finish, _) => gather.on_finished(),
                }
            }
            prop_assert_eq!(stored, vec![1; parts]);
            prop_assert_eq!(gather.phase(), &Phase::Complete);
        }
    }
}
