//! Whether the words of a query stand in its order, from their [`Places`].

use super::chunk::{Low, Places, has_bit};
use super::common::{Common, gallop};
use super::dense::Dense;
use super::postings::View;

/// What places tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Yes,
    No,
    /// The entry must be read: some word is too far behind, or occurs more
    /// than twice.
    Unknown,
}

/// Goes through the words of the query for one entry: each must stand at or
/// behind the end of the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Track {
    /// The next word must not be before; nothing if there is no such place.
    early: Option<u8>,
    /// From here on it is certainly not too early; nothing if that cannot be
    /// said.
    late: Option<u8>,
}

impl Track {
    pub(super) const START: Self = Self {
        early: Some(0),
        late: Some(0),
    };

    pub(super) fn step(self, places: Places) -> Self {
        let (first, last) = (places.first(), places.last());
        let is_far = |place| place == Places::FAR;
        let early = self.early.and_then(|early| {
            if first >= early {
                Some(first + 1)
            } else if is_far(last) || last >= early {
                Some(early + 1)
            } else {
                None
            }
        });
        // Behind a place that is only known to be far, nothing is certain.
        let behind = |place: u8| if is_far(place) { u8::MAX } else { place + 1 };
        let late = self.late.and_then(|late| {
            if first >= late {
                Some(behind(first))
            } else {
                (last >= late).then(|| behind(last))
            }
        });
        Self { early, late }
    }

    pub(super) fn order(self) -> Order {
        match (self.early, self.late) {
            (None, _) => Order::No,
            (_, Some(_)) => Order::Yes,
            _ => Order::Unknown,
        }
    }
}

/// Whether two words stand in order: what two steps of a [`Track`] tell.
pub(super) fn order_of(first: Places, second: Places) -> Order {
    if second.last() > first.first() {
        Order::Yes
    } else if second.last() == Places::FAR {
        Order::Unknown
    } else {
        Order::No
    }
}

/// Follows these of the common numbers, which ascend, through all views in the
/// order of the query.
pub(super) fn follow(views: &[View<'_>], common: &Common, chosen: &[u16], tracks: &mut Vec<Track>) {
    tracks.clear();
    tracks.resize(chosen.len(), Track::START);
    let mut lows = Vec::new();
    for (view, column) in views.iter().zip(&common.columns) {
        if let View::Dense(dense) = view {
            if lows.is_empty() {
                lows.extend(chosen.iter().map(|at| common.lows[usize::from(*at)]));
            }
            follow_dense(dense, &lows, tracks);
        } else {
            for (at, track) in chosen.iter().zip(tracks.iter_mut()) {
                *track = track.step(column[usize::from(*at)]);
            }
        }
    }
}

/// Of common places one bit tells; only what is in none of those is looked for
/// in the rest.
fn follow_dense(dense: &Dense, lows: &[u16], tracks: &mut [Track]) {
    let mut at = 0;
    for (low, track) in lows.iter().zip(tracks) {
        let mut common = dense.common.iter();
        if let Some(part) = common.find(|part| has_bit(&part.bits.words, *low)) {
            *track = track.step(part.places);
        } else {
            at = gallop(&dense.rest, at, *low, &Low::low);
            if let Some(one) = dense.rest.get(at) {
                *track = track.step(one.places);
            }
        }
    }
}

/// Of two words, not both of them bitmaps, and of what they have in common
/// from the place `from` on: the places of what is perhaps in order; the others
/// are surely not. Nothing if it is better to follow them all.
pub(super) fn suspects(views: &[View<'_>], common: &Common, from: usize) -> Option<Vec<u16>> {
    let column = |place: usize| &common.columns[place][from..];
    match views {
        [View::Dense(_), View::Dense(_)] => None,
        [View::Dense(dense), _] => {
            let lows = &common.lows[from..];
            Some(suspects_behind(dense, lows, column(1), from))
        }
        [_, View::Dense(dense)] => {
            let lows = &common.lows[from..];
            suspects_before(dense, lows, column(0), from)
        }
        [_, _] => {
            let pairs = column(0).iter().zip(column(1));
            Some(chosen(from, pairs, |(first, second)| {
                order_of(*first, *second) != Order::No
            }))
        }
        _ => None,
    }
}

/// Likewise if the first word is common: it mostly stands at few places, so
/// that the second one's place alone decides; the rest is looked through.
fn suspects_behind(dense: &Dense, lows: &[u16], second: &[Places], from: usize) -> Vec<u16> {
    let earliest = dense.common.iter().map(|part| part.places.first()).min();
    let found = match earliest {
        Some(first) => {
            let first = Places::new(usize::from(first), usize::from(first));
            chosen(from, second.iter(), |second| {
                order_of(first, *second) != Order::No
            })
        }
        None => Vec::new(),
    };
    add_rest(found, dense, lows, from, |first, at| {
        order_of(first, second[at])
    })
}

/// Likewise if the second word is common.
fn suspects_before(dense: &Dense, lows: &[u16], first: &[Places], from: usize) -> Option<Vec<u16>> {
    let latest = dense.common.iter().map(|part| part.places.last()).max();
    let found = match latest {
        Some(Places::FAR) => return None,
        Some(0) | None => Vec::new(),
        Some(last) => {
            let second = Places::new(usize::from(last), usize::from(last));
            chosen(from, first.iter(), |first| {
                order_of(*first, second) != Order::No
            })
        }
    };
    Some(add_rest(found, dense, lows, from, |second, at| {
        order_of(first[at], second)
    }))
}

/// Adds those of which the common word stands at one of its rarer places.
fn add_rest(
    mut found: Vec<u16>,
    dense: &Dense,
    lows: &[u16],
    from: usize,
    order: impl Fn(Places, usize) -> Order,
) -> Vec<u16> {
    let before = found.len();
    let mut add = |one: &Low, at: usize| {
        if order(one.places, at) != Order::No {
            found.push(u16::try_from(from + at).expect("a chunk has 65,536 places"));
        }
    };
    let rest = &dense.rest;
    let mut at = 0;
    if rest.len() < lows.len() {
        for one in rest {
            at = gallop(lows, at, one.low(), &|low| *low);
            if lows.get(at) == Some(&one.low()) {
                add(one, at);
            }
        }
    } else {
        for (place, low) in lows.iter().enumerate() {
            at = gallop(rest, at, *low, &Low::low);
            if let Some(one) = rest.get(at).filter(|one| one.low() == *low) {
                add(one, place);
            }
        }
    }
    if before > 0 && found.len() > before {
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// The places, counted from `from`, of what passes the test.
fn chosen<T>(
    from: usize,
    list: impl ExactSizeIterator<Item = T>,
    test: impl Fn(T) -> bool,
) -> Vec<u16> {
    let mut found = vec![0; list.len()];
    let mut end = 0;
    let first = u16::try_from(from).expect("a chunk has 65,536 places");
    for (place, item) in (first..=u16::MAX).zip(list) {
        found[end] = place;
        end += usize::from(test(item));
    }
    found.truncate(end);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_are_told_apart_as_by_steps() {
        let all = || (0..=15).flat_map(|first| (first..=15).map(move |last| (first, last)));
        let mut seen = [0; 3];
        for ((a, b), (c, d)) in all().flat_map(|one| all().map(move |other| (one, other))) {
            let (first, second) = (Places::new(a, b), Places::new(c, d));
            let order = Track::START.step(first).step(second).order();
            assert_eq!(order_of(first, second), order, "{first:?} {second:?}");
            seen[order as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }
}
