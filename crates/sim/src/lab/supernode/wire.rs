//! How long messages of the supernode overlay are on the wire, and what they
//! are for.

use gannet_base::wire::{FRAME_HEADER_BYTES, encode};
use gannet_overlay::hub::HubMessage;
use gannet_overlay::supernode::SupernodeMessage;

use super::super::flood_wire;
use super::super::people::Purpose;

/// Bytes of the message in its frame.
pub(super) fn size(message: &SupernodeMessage) -> u32 {
    match message {
        // The variant's number comes before what travels among supernodes.
        SupernodeMessage::Flood(message) => flood_wire::size(message) + 1,
        other => u32::try_from(FRAME_HEADER_BYTES + encode(other).len()).unwrap_or(u32::MAX),
    }
}

/// A number for each kind: of what is inside, for what is wrapped.
pub(super) fn kind(message: &SupernodeMessage) -> u8 {
    match message {
        SupernodeMessage::Hub(message) => 0x40 + hub_kind(message),
        SupernodeMessage::Flood(message) => 0x20 + flood_wire::kind(message),
        SupernodeMessage::Knock { .. } => 2,
        SupernodeMessage::Place(_) => 3,
        SupernodeMessage::Card { .. } => 4,
        SupernodeMessage::Roster(_) => 5,
        SupernodeMessage::Promote => 6,
        SupernodeMessage::Decline => 7,
        SupernodeMessage::Move => 8,
        SupernodeMessage::Load { .. } => 9,
        SupernodeMessage::DialBack { .. } => 10,
        SupernodeMessage::Reached => 11,
        SupernodeMessage::DialledBack { .. } => 12,
        SupernodeMessage::Search { .. } => 13,
        SupernodeMessage::Cancel { .. } => 14,
        SupernodeMessage::Rows { .. } => 15,
        SupernodeMessage::Ended { .. } => 16,
    }
}

fn hub_kind(message: &HubMessage) -> u8 {
    match message {
        HubMessage::Hello { .. } => 0,
        HubMessage::Ping { .. } => 1,
        HubMessage::Batch { .. } => 2,
        HubMessage::Search { .. } => 3,
        HubMessage::Sources { .. } => 4,
        HubMessage::Goodbye { .. } => 5,
        HubMessage::Welcome { .. } => 6,
        HubMessage::Pong { .. } => 7,
        HubMessage::Ack { .. } => 8,
        HubMessage::Rows { .. } => 9,
        HubMessage::Refused { .. } => 10,
        HubMessage::Lapsed => 11,
    }
}

/// What the message is for. What goes over the hub's own messages is upkeep:
/// leaves ask by those only whether the hub still knows.
pub(super) fn purpose(message: &SupernodeMessage) -> Purpose {
    match message {
        SupernodeMessage::Flood(message) => flood_wire::purpose(message),
        SupernodeMessage::Search { .. } | SupernodeMessage::Cancel { .. } => Purpose::Question,
        SupernodeMessage::Rows { .. } => Purpose::Answer,
        SupernodeMessage::Ended { .. } => Purpose::Report,
        _ => Purpose::Upkeep,
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::Query;
    use gannet_overlay::flood::{Ask, Coverage, FloodMessage, Question, SearchId, Wanted};
    use gannet_overlay::supernode::Wish;

    use super::*;

    #[test]
    fn what_is_reckoned_is_what_is_sent() {
        let wanted = Wanted::Words(Query::new("a few words").unwrap());
        let ask = FloodMessage::Ask(Ask {
            search: SearchId(u64::MAX / 3),
            round: 1,
            ttl: 4,
            hops: 2,
            report: true,
            again: false,
            question: Question::from(wanted.clone()),
        });
        let report = FloodMessage::Report {
            search: SearchId(77),
            round: 0,
            ttl: 3,
            coverage: Coverage {
                asked: 300,
                ..Coverage::default()
            },
        };
        let knock = SupernodeMessage::Knock {
            nonce: 5,
            wish: Wish::Backup,
            insists: false,
        };
        let search = SupernodeMessage::Search {
            request: 1,
            wanted,
            enough: 1,
        };
        let purposes = [
            Purpose::Question,
            Purpose::Report,
            Purpose::Upkeep,
            Purpose::Question,
        ];
        let messages = [
            SupernodeMessage::Flood(ask),
            SupernodeMessage::Flood(report),
            knock,
            search,
        ];
        for (message, expected) in messages.iter().zip(purposes) {
            let sent = FRAME_HEADER_BYTES + encode(message).len();
            assert_eq!(size(message), u32::try_from(sent).unwrap());
            assert_eq!(purpose(message), expected);
        }
    }
}
