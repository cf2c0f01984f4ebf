//! What must hold of a ring, told from the pointers of all its members at one
//! moment. Knows nothing of the overlay but those.
//!
//! Source: Zave, *Reasoning about Identifier Spaces: How to Make Chord Correct*,
//! 2017: the invariant of section 5, and what follows from it.

use std::fmt;

use gannet_overlay::dht::Position;

/// A member as it sees the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where it is.
    pub(crate) at: Position,
    /// The nodes after it, nearest first. Those that are no members count as
    /// dead.
    pub(crate) successors: Vec<Position>,
    /// The node before it.
    pub(crate) predecessor: Option<Position>,
}

/// What must hold. The first two are the invariant, and the others follow from
/// them; they are looked at nevertheless, because they say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// Every member has a live successor in its list.
    LiveSuccessor,
    /// There are more than r principals: members that nobody's list skips.
    Principals,
    /// A member is not in its own list, and nobody is there twice.
    NoDuplicates,
    /// Lists go round in order.
    OrderedLists,
    /// Somebody comes back to himself along first live successors.
    AtLeastOneRing,
    /// All who do are on the same ring.
    AtMostOneRing,
    /// No member of the ring lies between another one and its first live
    /// successor.
    OrderedRing,
    /// Everybody comes to the ring along first live successors.
    ConnectedAppendages,
    /// Every principal is on the ring.
    PrincipalsOnRing,
}

/// All of them.
pub(crate) const PROPERTIES: [Property; 9] = [
    Property::LiveSuccessor,
    Property::Principals,
    Property::NoDuplicates,
    Property::OrderedLists,
    Property::AtLeastOneRing,
    Property::AtMostOneRing,
    Property::OrderedRing,
    Property::ConnectedAppendages,
    Property::PrincipalsOnRing,
];

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LiveSuccessor => "a member without a live successor",
            Self::Principals => "too few members that nobody skips",
            Self::NoDuplicates => "a node twice in a list",
            Self::OrderedLists => "a list out of order",
            Self::AtLeastOneRing => "no ring",
            Self::AtMostOneRing => "several rings",
            Self::OrderedRing => "a ring out of order",
            Self::ConnectedAppendages => "a member that does not lead to the ring",
            Self::PrincipalsOnRing => "a member that nobody skips beside the ring",
        })
    }
}

/// What of it all does not hold, in the order of [`PROPERTIES`]; each once.
/// Members are in the order of their positions. `principals_min` is r + 1, or
/// less where there never were as many.
///
/// Costs one step for each entry of each list, more where lists skip much.
pub(crate) fn violations(members: &[Member], principals_min: usize) -> Vec<Property> {
    if members.is_empty() {
        return Vec::new();
    }
    let lists = Lists::read(members);
    let rings = Rings::find(&lists.first);
    let principals = lists.skipped.iter().filter(|skipped| !**skipped).count();
    broken([
        lists.first.iter().all(Option::is_some),
        principals >= principals_min,
        !lists.repeated,
        !lists.disordered,
        rings.count > 0,
        rings.count < 2,
        rings.are_ordered(&lists.first),
        rings.leads.iter().all(|leads| *leads),
        (0..members.len()).all(|place| lists.skipped[place] || rings.on[place]),
    ])
}

/// Whether what must hold does, whichever of these lists that are `coming` have been
/// taken over already: each is of the node there, a member or one that is about to be.
/// There is at least one member.
pub(crate) fn holds_with(
    members: &[Member],
    coming: &[(Position, Vec<Position>)],
    principals_min: usize,
) -> bool {
    let mut lists = Lists::read(members);
    let mut coming = coming.iter();
    let all_lead = coming.all(|(at, list)| lists.read_list(members, *at, list).is_some());
    let principals = lists.skipped.iter().filter(|skipped| !**skipped).count();
    all_lead && principals >= principals_min && violations(members, principals_min).is_empty()
}

/// What does not hold, given what does, in the order of [`PROPERTIES`].
pub(super) fn broken(holds: [bool; PROPERTIES.len()]) -> Vec<Property> {
    let all = PROPERTIES.into_iter().zip(holds);
    all.filter_map(|(property, holds)| (!holds).then_some(property))
        .collect()
}

/// Whether everybody's list is of the next `r` members, or of all others where
/// there are fewer, and everybody's predecessor the one before.
pub(crate) fn is_ideal(members: &[Member], r: usize) -> bool {
    let count = members.len();
    let listed = r.min(count.saturating_sub(1));
    (0..count).all(|place| {
        let member = &members[place];
        let after = (1..=listed).map(|step| &members[(place + step) % count].at);
        let before = members[(place + count - 1) % count].at;
        member.successors.len() >= listed
            && member.successors.iter().take(listed).eq(after)
            && (count == 1 || member.predecessor == Some(before))
    })
}

/// Whether somebody is in a list twice, or in its own.
pub(super) fn is_repeated(at: Position, list: &[Position]) -> bool {
    let mut sorted = list.to_vec();
    sorted.push(at);
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether a list goes round once at most.
pub(super) fn is_in_order(at: Position, list: &[Position]) -> bool {
    let mut reached = 0;
    list.iter().all(|entry| {
        let before = std::mem::replace(&mut reached, at.distance_to(*entry));
        before < reached
    })
}

/// What the lists of all members say.
struct Lists {
    /// Of each member the place of its first live successor.
    first: Vec<Option<usize>>,
    /// Whether somebody skips it.
    skipped: Vec<bool>,
    repeated: bool,
    disordered: bool,
}

impl Lists {
    fn read(members: &[Member]) -> Self {
        let mut lists = Self {
            first: vec![None; members.len()],
            skipped: vec![false; members.len()],
            repeated: false,
            disordered: false,
        };
        for place in 0..members.len() {
            lists.read_one(members, place);
        }
        lists
    }

    fn read_one(&mut self, members: &[Member], place: usize) {
        let Member { at, successors, .. } = &members[place];
        self.first[place] = self.read_list(members, *at, successors);
    }

    /// The place of the first live one in this list.
    fn read_list(&mut self, members: &[Member], at: Position, list: &[Position]) -> Option<usize> {
        let count = members.len();
        self.repeated |= is_repeated(at, list);
        self.disordered |= !is_in_order(at, list);
        let mut first = None;
        let mut before = at;
        // The first member after `before`, going round.
        let mut next = members.partition_point(|member| member.at <= at) % count;
        for entry in list {
            for _ in 0..count {
                if !members[next].at.is_between(before, *entry) {
                    break;
                }
                self.skipped[next] = true;
                next = (next + 1) % count;
            }
            // This is the first member at or after the entry.
            if members[next].at == *entry {
                first.get_or_insert(next);
                next = (next + 1) % count;
            }
            before = *entry;
        }
        first
    }
}

/// The rings that first live successors make.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) count: usize,
    /// Of each member whether it is on one.
    pub(super) on: Vec<bool>,
    /// Whether it comes to one.
    pub(super) leads: Vec<bool>,
}

impl Rings {
    /// Of each member the place of its first live successor.
    pub(super) fn find(first: &[Option<usize>]) -> Self {
        let mut rings = Self {
            count: 0,
            on: vec![false; first.len()],
            leads: vec![false; first.len()],
        };
        // On which walk each member was met first; 0 is on none.
        let mut met = vec![0; first.len()];
        for start in 0..first.len() {
            let walk = start + 1;
            let mut way = Vec::new();
            let mut at = Some(start);
            while let Some(place) = at.filter(|place| met[*place] == 0) {
                met[place] = walk;
                way.push(place);
                at = first[place];
            }
            let leads = match at {
                Some(place) if met[place] == walk => {
                    rings.count += 1;
                    let begins = way.iter().position(|on| *on == place);
                    for place in &way[begins.expect("it was met on this walk")..] {
                        rings.on[*place] = true;
                    }
                    true
                }
                Some(place) => rings.leads[place],
                None => false,
            };
            for place in way {
                rings.leads[place] = leads;
            }
        }
        rings
    }

    /// Whether nobody on a ring lies between two who follow one another on one.
    pub(super) fn are_ordered(&self, first: &[Option<usize>]) -> bool {
        let on: Vec<usize> = (0..first.len()).filter(|place| self.on[*place]).collect();
        // Nobody between: who follows is the next of all that are on one.
        let after = on.iter().skip(1).chain(on.first());
        on.iter()
            .zip(after)
            .all(|(place, next)| first[*place] == Some(*next))
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;
    use crate::draw;

    fn member(at: u128, successors: &[u128], predecessor: u128) -> Member {
        Member {
            at: Position(at),
            successors: successors.iter().copied().map(Position).collect(),
            predecessor: Some(Position(predecessor)),
        }
    }

    fn ideal(count: u128, r: u128) -> Vec<Member> {
        let one = |n| {
            let after: Vec<u128> = (1..=r).map(|step| (n + step) % count * 10).collect();
            member(n * 10, &after, (n + count - 1) % count * 10)
        };
        (0..count).map(one).collect()
    }

    #[track_caller]
    fn check(members: &[Member], expected: &[Property]) {
        assert_eq!(violations(members, 3), expected);
        assert_eq!(slowly(members, 3), expected);
    }

    #[test]
    fn an_ideal_ring_has_nothing_wrong() {
        for count in 3..9 {
            check(&ideal(count, 2), &[]);
            assert!(is_ideal(&ideal(count, 2), 2));
        }
        let mut late = ideal(5, 2);
        late[3].predecessor = Some(Position(10));
        check(&late, &[]);
        assert!(!is_ideal(&late, 2));
        assert_eq!(violations(&[], 3), []);
    }

    #[test]
    fn each_property_can_be_broken() {
        let mut members = ideal(5, 2);
        members[0].successors = vec![Position(11), Position(12)];
        let lost = [
            Property::LiveSuccessor,
            Property::AtLeastOneRing,
            Property::ConnectedAppendages,
            Property::PrincipalsOnRing,
        ];
        check(&members, &lost);
        let mut members = ideal(4, 2);
        members[0].successors = vec![Position(10), Position(10)];
        let broken = violations(&members, 3);
        assert!(broken.contains(&Property::NoDuplicates) && broken.contains(&Property::Principals));
        let mut members = ideal(5, 2);
        members[0].successors = vec![Position(20), Position(10)];
        assert!(violations(&members, 3).contains(&Property::OrderedLists));
        // Every second one on a ring of its own.
        let two = |n: u128| member(n * 10, &[(n + 2) % 6 * 10, (n + 4) % 6 * 10], 0);
        let members: Vec<Member> = (0..6).map(two).collect();
        let broken = violations(&members, 3);
        assert!(broken.contains(&Property::AtMostOneRing));
        assert!(!broken.contains(&Property::ConnectedAppendages));
        // Round twice before it closes.
        let three = |n: u128| member(n * 10, &[(n + 3) % 7 * 10, (n + 4) % 7 * 10], 0);
        let members: Vec<Member> = (0..7).map(three).collect();
        assert!(violations(&members, 3).contains(&Property::OrderedRing));
    }

    #[test]
    fn lists_on_their_way_count() {
        let members = ideal(4, 2);
        assert!(holds_with(&members, &[], 3) && holds_with(&members, &[], 4));
        let list = |at: u128, list: &[u128]| {
            let list = list.iter().copied().map(Position).collect();
            (Position(at), list)
        };
        let skips_one = list(0, &[20, 30]);
        assert!(holds_with(&members, std::slice::from_ref(&skips_one), 3));
        assert!(!holds_with(&members, &[skips_one, list(10, &[30, 0])], 3));
        let newcomer = list(15, &[20, 30]);
        assert!(holds_with(&members, std::slice::from_ref(&newcomer), 4));
        let leads_nowhere = list(0, &[1, 2]);
        assert!(!holds_with(&members, &[leads_nowhere], 3));
    }

    /// The definitions, spelt out.
    fn slowly(members: &[Member], principals_min: usize) -> Vec<Property> {
        let count = members.len();
        let first = |place: usize| {
            let mut list = members[place].successors.iter();
            list.find_map(|entry| members.iter().position(|member| member.at == *entry))
        };
        let steps = |place: usize, many: usize| (0..many).try_fold(place, |place, _| first(place));
        let extended = |place: usize| -> Vec<Position> {
            let list = members[place].successors.iter().copied();
            std::iter::once(members[place].at).chain(list).collect()
        };
        let skips = |place: usize, at: Position| {
            let list = extended(place);
            list.windows(2).any(|pair| at.is_between(pair[0], pair[1]))
        };
        let principal = |place: usize| (0..count).all(|other| !skips(other, members[place].at));
        let on = |place: usize| (1..=count).any(|many| steps(place, many) == Some(place));
        let reaches = |a: usize, b: usize| (0..=count).any(|many| steps(a, many) == Some(b));
        let mut all = (0..count).collect::<Vec<_>>();
        all.retain(|place| on(*place));
        let ring = all;
        let holds = |property| match property {
            Property::LiveSuccessor => (0..count).all(|place| first(place).is_some()),
            Property::Principals => {
                (0..count).filter(|place| principal(*place)).count() >= principals_min
            }
            Property::NoDuplicates => (0..count).all(|place| {
                let list = extended(place);
                (0..list.len()).all(|a| (0..a).all(|b| list[a] != list[b]))
            }),
            Property::OrderedLists => (0..count).all(|place| {
                let list = extended(place);
                (1..list.len()).all(|later| {
                    (1..later).all(|between| list[between].is_between(list[0], list[later]))
                        && list[later] != list[0]
                })
            }),
            Property::AtLeastOneRing => !ring.is_empty(),
            Property::AtMostOneRing => ring.iter().all(|a| ring.iter().all(|b| reaches(*a, *b))),
            Property::OrderedRing => ring.iter().all(|a| {
                let b = first(*a).unwrap();
                let (from, to) = (members[*a].at, members[b].at);
                ring.iter().all(|c| !members[*c].at.is_between(from, to))
            }),
            Property::ConnectedAppendages => {
                (0..count).all(|a| ring.iter().any(|b| reaches(a, *b)))
            }
            Property::PrincipalsOnRing => (0..count).all(|place| !principal(place) || on(place)),
        };
        let mut all = PROPERTIES.to_vec();
        all.retain(|property| !holds(*property));
        all
    }

    #[test]
    fn the_fast_way_is_the_slow_way() {
        let mut rng = seeded_rng(1);
        let mut broken = [0_u32; PROPERTIES.len()];
        for _ in 0..3_000 {
            let count = 1 + draw::below(&mut rng, 7);
            let mut places: Vec<u128> = (0..12).collect();
            draw::shuffle(&mut rng, &mut places);
            let mut at: Vec<u128> = places[..usize::try_from(count).unwrap()].to_vec();
            at.sort_unstable();
            let members: Vec<Member> = at
                .iter()
                .map(|at| {
                    let mut entries: Vec<u128> = (0..2)
                        .map(|_| u128::from(draw::below(&mut rng, 12)))
                        .collect();
                    if draw::below(&mut rng, 4) > 0 {
                        entries.sort_unstable_by_key(|entry| (entry + 12 - at - 1) % 12);
                    }
                    member(*at, &entries, 0)
                })
                .collect();
            let found = violations(&members, 3);
            assert_eq!(found, slowly(&members, 3), "{members:?}");
            for property in found {
                let place = PROPERTIES.iter().position(|known| *known == property);
                broken[place.unwrap()] += 1;
            }
        }
        assert!(broken.iter().all(|count| *count > 10), "{broken:?}");
    }
}
