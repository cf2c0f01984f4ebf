//! How long messages of the flood overlay are on the wire.
//!
//! Questions and reports are nearly all there is, so theirs is reckoned and
//! not encoded.

use gannet_base::ContentId;
use gannet_base::wire::{FRAME_HEADER_BYTES, encode};
use gannet_overlay::flood::{Ask, Coverage, FloodMessage, Wanted};

use super::people::Purpose;

/// Bytes of the message in its frame.
pub(crate) fn size(message: &FloodMessage) -> u32 {
    let body = match message {
        FloodMessage::Ask(ask) => 1 + ask_size(ask),
        FloodMessage::Report {
            search, coverage, ..
        } => 3 + varint(search.0) + coverage_size(coverage),
        other => encode(other).len(),
    };
    u32::try_from(FRAME_HEADER_BYTES + body).unwrap_or(u32::MAX)
}

/// The variant's number.
pub(crate) fn kind(message: &FloodMessage) -> u8 {
    match message {
        FloodMessage::Hello { .. } => 0,
        FloodMessage::Welcome(_) => 1,
        FloodMessage::Busy { .. } => 2,
        FloodMessage::Bye { .. } => 3,
        FloodMessage::Ping { .. } => 4,
        FloodMessage::Pong { .. } => 5,
        FloodMessage::Ask(_) => 6,
        FloodMessage::Hits(..) => 7,
        FloodMessage::Report { .. } => 8,
        FloodMessage::Table(_) => 9,
    }
}

/// What the message is for.
pub(crate) fn purpose(message: &FloodMessage) -> Purpose {
    match message {
        FloodMessage::Ask(_) => Purpose::Question,
        FloodMessage::Hits(..) => Purpose::Answer,
        FloodMessage::Report { .. } => Purpose::Report,
        _ => Purpose::Upkeep,
    }
}

fn ask_size(ask: &Ask) -> usize {
    let wanted = match ask.question.wanted() {
        Wanted::Words(query) => {
            let length = query.text().len();
            varint(length as u64) + length
        }
        Wanted::Content(_) => size_of::<ContentId>(),
    };
    // Round, TTL, hops, report, again, and which kind of thing is wanted.
    varint(ask.search.0) + 5 + 1 + wanted
}

fn coverage_size(coverage: &Coverage) -> usize {
    let Coverage {
        asked,
        ruled_out,
        beyond,
        refused,
        silent,
        answers,
    } = *coverage;
    [asked, ruled_out, beyond, refused, silent, answers]
        .into_iter()
        .map(|number| varint(u64::from(number)))
        .sum()
}

/// Bytes of a number as postcard writes it, seven bits in each.
fn varint(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).expect("at most 10")
}

#[cfg(test)]
mod tests {
    use gannet_base::Query;
    use gannet_overlay::flood::{Question, SearchId};
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = FloodMessage> {
        let number = || prop_oneof![0..200_u32, any::<u32>()];
        let search = || prop_oneof![0..200_u64, any::<u64>()].prop_map(SearchId);
        let wanted = prop_oneof![
            "[a-z ]{0,80}[a-z]".prop_map(|text| Wanted::Words(Query::new(&text).expect("a word"))),
            any::<[u8; 32]>().prop_map(|bytes| Wanted::Content(ContentId::from_bytes(bytes))),
        ];
        let ask = (search(), any::<[u8; 3]>(), any::<[bool; 2]>(), wanted).prop_map(
            |(search, [round, ttl, hops], [report, again], wanted)| {
                FloodMessage::Ask(Ask {
                    search,
                    round,
                    ttl,
                    hops,
                    report,
                    again,
                    question: Question::from(wanted),
                })
            },
        );
        let numbers = std::array::from_fn::<_, 6, _>(|_| number());
        let report = (search(), any::<[u8; 2]>(), numbers).prop_map(
            |(search, [round, ttl], [asked, ruled_out, beyond, refused, silent, answers])| {
                FloodMessage::Report {
                    search,
                    round,
                    ttl,
                    coverage: Coverage {
                        asked,
                        ruled_out,
                        beyond,
                        refused,
                        silent,
                        answers,
                    },
                }
            },
        );
        prop_oneof![ask, report]
    }

    proptest! {
        #[test]
        fn what_is_reckoned_is_what_is_sent(message in message()) {
            let sent = FRAME_HEADER_BYTES + encode(&message).len();
            prop_assert_eq!(size(&message), u32::try_from(sent).expect("short"));
            let first = u32::from(encode(&message)[0]);
            prop_assert_eq!(u32::from(kind(&message)), first);
        }
    }
}
