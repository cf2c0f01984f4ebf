//! The picker against a slow and obvious one.

use std::collections::BTreeSet;

use gannet_base::{GroupRange, GroupSet, seeded_rng};
use proptest::prelude::*;

use super::plan::{Plan, Want};
use crate::message::Have;

const GROUPS: u64 = 48;

/// Every group by itself.
#[derive(Debug, Default)]
struct Model {
    open: BTreeSet<u64>,
    sources: Vec<GroupSet>,
}

impl Model {
    fn availability(&self, group: u64) -> usize {
        self.sources
            .iter()
            .filter(|set| set.contains(group))
            .count()
    }

    fn offered(&self, have: &Have) -> Vec<u64> {
        let has = |group: &u64| have.contains_range(GroupRange::new(*group, *group + 1));
        self.open.iter().copied().filter(has).collect()
    }

    fn check(&self, have: &Have, want: Want, max: u64, picked: Option<GroupRange>) {
        let offered = self.offered(have);
        let Some(slice) = picked else {
            assert!(offered.is_empty(), "{offered:?} could have been picked");
            return;
        };
        assert!(!slice.is_empty() && slice.len() <= max, "{slice:?}");
        for group in slice.start..slice.end {
            assert!(
                offered.contains(&group),
                "{group} is not open, or the source lacks it"
            );
        }
        match want {
            Want::InOrder(from) => {
                let after = offered.iter().find(|group| **group >= from);
                assert_eq!(Some(&slice.start), after.or(offered.first()));
            }
            Want::Rarest(cursor) => {
                let rarest = offered.iter().map(|group| self.availability(*group)).min();
                for group in slice.start..slice.end {
                    assert_eq!(
                        Some(self.availability(group)),
                        rarest,
                        "{group} is not the rarest"
                    );
                }
                let stay = cursor.filter(|group| offered.contains(group));
                if let Some(cursor) = stay.filter(|group| Some(self.availability(*group)) == rarest)
                {
                    assert_eq!(slice.start, cursor, "a source goes on where it left off");
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Open(GroupRange),
    Close(GroupRange),
    Join(GroupSet),
    Part(usize),
    Pick(Have, Want, u32),
}

fn range() -> impl Strategy<Value = GroupRange> {
    (0..GROUPS, 1_u64..12)
        .prop_map(|(start, len)| GroupRange::new(start, (start + len).min(GROUPS)))
}

fn groups() -> impl Strategy<Value = GroupSet> {
    prop::collection::vec(range(), 1..6).prop_map(|ranges| ranges.into_iter().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let have = prop_oneof![Just(Have::Whole), groups().prop_map(Have::Some)];
    let want = prop_oneof![
        (0..GROUPS).prop_map(Want::InOrder),
        prop::option::of(0..GROUPS).prop_map(Want::Rarest),
    ];
    prop_oneof![
        2 => range().prop_map(Step::Open),
        1 => range().prop_map(Step::Close),
        2 => groups().prop_map(Step::Join),
        1 => any::<usize>().prop_map(Step::Part),
        4 => (have, want, 0_u32..5).prop_map(|(have, want, log)| Step::Pick(have, want, log)),
    ]
}

proptest! {
    #[test]
    fn picks_are_open_offered_and_the_rarest(steps in prop::collection::vec(step(), 1..80)) {
        let (mut plan, mut model) = (Plan::new(GROUPS), Model::default());
        let mut rng = seeded_rng(7);
        for step in steps {
            match step {
                Step::Open(range) => {
                    plan.open(range);
                    model.open.extend(range.start..range.end);
                }
                Step::Close(range) => {
                    plan.close(range);
                    model.open.retain(|group| !(range.start..range.end).contains(group));
                }
                Step::Join(set) => {
                    plan.gain(&set);
                    model.sources.push(set);
                }
                Step::Part(which) => {
                    if !model.sources.is_empty() {
                        let set = model.sources.swap_remove(which % model.sources.len());
                        plan.lose(&set);
                    }
                }
                Step::Pick(have, want, log) => {
                    let picked = plan.pick(&have, want, 1 << log, &mut rng);
                    model.check(&have, want, 1 << log, picked);
                    if let Some(slice) = picked {
                        plan.close(slice);
                        model.open.retain(|group| !(slice.start..slice.end).contains(group));
                    }
                }
            }
            prop_assert_eq!(plan.open_groups(), model.open.len() as u64);
        }
        // When everybody has left, no border of theirs is remembered.
        for set in std::mem::take(&mut model.sources) {
            plan.lose(&set);
        }
        prop_assert_eq!(plan.borders(), 1);
    }
}

#[test]
fn a_huge_content_is_picked_from_in_no_time() {
    // 100 GB, and 16 partial sources of many pieces.
    let groups = 6_500_000;
    let mut plan = Plan::new(groups);
    let mut rng = seeded_rng(1);
    plan.open(GroupRange::new(0, groups));
    let sets: Vec<GroupSet> = (0..16)
        .map(|n| {
            (0..250)
                .map(|k| GroupRange::new(k * 24_000 + n * 400, k * 24_000 + n * 400 + 4_000))
                .collect()
        })
        .collect();
    for set in &sets {
        plan.gain(set);
    }
    assert!(
        plan.borders() <= 2 * 16 * 250 + 1,
        "memory is bounded by what sources told"
    );
    let mut picked = 0;
    for set in sets.iter().cycle().take(1_000) {
        let slice = plan.pick(&Have::Some(set.clone()), Want::Rarest(None), 64, &mut rng);
        let slice = slice.expect("there is plenty");
        picked += slice.len();
        plan.close(slice);
    }
    assert_eq!(plan.open_groups(), groups - picked);
}

/// Fetchers of one source do not see each other's newest requests. Where a run
/// of open groups begins, another is at work: whoever came down on what is
/// taken and went on to there would ask for the same.
#[test]
fn a_new_start_is_not_where_another_is_at_work() {
    let mut plan = Plan::new(1_000);
    plan.open(GroupRange::new(600, 1_000));
    let mut rng = seeded_rng(1);
    let mut starts = BTreeSet::new();
    let mut at_the_border = 0;
    for _ in 0..200 {
        let slice = plan.pick(&Have::Whole, Want::Rarest(None), 4, &mut rng);
        let slice = slice.expect("400 groups are open");
        at_the_border += u32::from(slice.start == 600);
        starts.insert(slice.start);
    }
    assert!(at_the_border < 10, "{at_the_border} of 200");
    assert!(starts.len() > 60, "anywhere: {starts:?}");
    let slice = plan.pick(&Have::Whole, Want::Rarest(Some(600)), 4, &mut rng);
    assert_eq!(
        slice,
        Some(GroupRange::new(600, 604)),
        "who is there goes on"
    );
}
