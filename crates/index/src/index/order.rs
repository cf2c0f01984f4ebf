//! Whether the words of a query stand in its order, from their [`Places`].

use super::chunk::{Dense, Low, Part, PartSet, Places, has_bit};
use super::intersect::gallop;
use super::postings::{Posting, View};

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

/// Follows entries, ascending numbers that are in all views, through these in
/// the order of the query.
pub(super) fn follow(views: &[View<'_>], lows: &[u16], tracks: &mut Vec<Track>) {
    tracks.clear();
    tracks.resize(lows.len(), Track::START);
    for view in views {
        let pairs = lows.iter().copied();
        match view {
            View::Ids(list) => {
                let pairs = pairs.zip(tracks.iter_mut());
                follow_list(list, pairs, Posting::low, |one| one.places);
            }
            View::Lows(list) => {
                let pairs = pairs.zip(tracks.iter_mut());
                follow_list(list, pairs, Low::low, |one| one.places);
            }
            View::Dense(dense) => {
                follow_dense(dense, lows, tracks);
            }
        }
    }
}

/// Of bitmaps one bit tells; only what is in none of them is looked for in the
/// lists.
fn follow_dense(dense: &Dense, lows: &[u16], tracks: &mut [Track]) {
    let mut rest = Vec::new();
    let mut rest_at = Vec::new();
    for (at, &low) in lows.iter().enumerate() {
        let mut parts = dense.parts.iter();
        let part = parts.find(|part| match &part.set {
            PartSet::Bits(bits) => has_bit(&bits.words, low),
            PartSet::List(_) => false,
        });
        if let Some(part) = part {
            tracks[at] = tracks[at].step(part.places);
        } else {
            rest.push(low);
            rest_at.push(at);
        }
    }
    if rest.is_empty() {
        return;
    }
    for Part { places, set } in &dense.parts {
        let PartSet::List(list) = set else {
            continue;
        };
        let mut step = |place: usize| {
            let at = rest_at[place];
            tracks[at] = tracks[at].step(*places);
        };
        if list.len() < rest.len() {
            common(list, &rest).for_each(step);
        } else {
            let mut at = 0;
            for (place, &low) in rest.iter().enumerate() {
                at = gallop(list, at, low, &|low| *low);
                if list.get(at) == Some(&low) {
                    step(place);
                }
            }
        }
    }
}

/// The places in `long` of what is in both.
pub(super) fn common(short: &[u16], long: &[u16]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    short.iter().filter_map(move |low| {
        at = gallop(long, at, *low, &|low| *low);
        (long.get(at) == Some(low)).then_some(at)
    })
}

fn follow_list<'a, T>(
    list: &[T],
    pairs: impl Iterator<Item = (u16, &'a mut Track)>,
    low: impl Fn(&T) -> u16,
    places: impl Fn(&T) -> Places,
) {
    let mut at = 0;
    for (wanted, track) in pairs {
        at = gallop(list, at, wanted, &low);
        if let Some(found) = list.get(at) {
            *track = track.step(places(found));
        }
    }
}

/// Of two words, at least one of them a bitmap, and of numbers that have both:
/// those that are perhaps in order; the others are surely not. Nothing if it is
/// better to follow them all.
///
/// A common word mostly stands at few places. Where it stands elsewhere is soon
/// looked through; for all the rest, the other word's place alone decides.
pub(super) fn suspects(views: &[View<'_>], lows: &[u16]) -> Option<Vec<u16>> {
    let (dense, list, dense_first) = match views {
        [View::Dense(dense), list @ (View::Ids(_) | View::Lows(_))] => (dense, list, true),
        [list @ (View::Ids(_) | View::Lows(_)), View::Dense(dense)] => (dense, list, false),
        _ => return None,
    };
    let mut found = Vec::new();
    // Of the places where it usually stands: the earliest first, the latest last.
    let mut usual: Option<(u8, u8)> = None;
    for Part { places, set } in &dense.parts {
        match set {
            PartSet::List(few) if few.len() <= lows.len() / 8 => {
                found.extend(common(few, lows).map(|place| lows[place]));
            }
            _ => {
                let (first, last) = usual.unwrap_or((Places::FAR, 0));
                usual = Some((first.min(places.first()), last.max(places.last())));
            }
        }
    }
    if let Some((first, last)) = usual {
        if !dense_first && last == Places::FAR {
            return None;
        }
        let perhaps = |places: Places| {
            if dense_first {
                places.last() == Places::FAR || places.last() > first
            } else {
                places.first() < last
            }
        };
        match list {
            _ if !dense_first && last == 0 => {}
            View::Ids(list) => keep_suspects(
                list,
                lows,
                Posting::low,
                |one| perhaps(one.places),
                &mut found,
            ),
            View::Lows(list) => {
                keep_suspects(list, lows, Low::low, |one| perhaps(one.places), &mut found);
            }
            View::Dense(_) => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn keep_suspects<T>(
    list: &[T],
    lows: &[u16],
    low: impl Fn(&T) -> u16,
    perhaps: impl Fn(&T) -> bool,
    found: &mut Vec<u16>,
) {
    let mut at = 0;
    for &wanted in lows {
        at = gallop(list, at, wanted, &low);
        if list.get(at).is_some_and(&perhaps) {
            found.push(wanted);
        }
    }
}

/// Of two words, the parts whose places alone tell this of their order, for
/// all numbers that are in both.
pub(super) fn pairs<'a>(
    first: &'a Dense,
    second: &'a Dense,
    order: Order,
) -> impl Iterator<Item = (&'a PartSet, &'a PartSet)> {
    first.parts.iter().flat_map(move |a| {
        let behind = Track::START.step(a.places);
        let fits = move |b: &&Part| behind.step(b.places).order() == order;
        second.parts.iter().filter(fits).map(|b| (&a.set, &b.set))
    })
}
