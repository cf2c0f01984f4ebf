//! Bodies of the fuzz targets: any bytes are fine, and no book is ever wrong.

use std::time::Duration;

use gannet_base::{
    ContentId, Core, GroupRange, GroupSet, Link, PeerId, Timestamp, pump, seeded_rng, wire,
};

use crate::{
    DownloadCommand, Downloads, DownloadsConfig, Have, RefusedReason, ServeFailure,
    TransferMessage, UploadCommand, Uploads, UploadsConfig,
};

/// Most outputs that one input may cause with the small limits used here.
const OUTPUTS_MAX: usize = 5_000;

/// Decoding never panics and round-trips.
pub fn transfer_message(input: &[u8]) {
    wire::fuzz_decode::<TransferMessage>(input);
}

/// Reads choices off the input; zeros when it is used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..240 => u64::from(byte),
            240..250 => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
            _ => u64::MAX - u64::from(self.byte()),
        }
    }

    fn peer(&mut self) -> PeerId {
        PeerId::from_bytes([self.byte() % 4; 32])
    }

    fn content(&mut self) -> ContentId {
        ContentId::from_bytes([self.byte() % 8 / 6; 32])
    }

    fn slice(&mut self) -> GroupRange {
        let len = u64::from(self.byte() % 9);
        // Mostly inside the content that is mostly fetched.
        let start = match self.byte() {
            byte @ 0..230 => {
                return GroupRange::new(u64::from(byte) % 53, u64::from(byte) % 53 + len);
            }
            _ => self.number(),
        };
        GroupRange::new(start, start.saturating_add(len))
    }

    fn groups(&mut self) -> GroupSet {
        (0..self.byte() % 5).map(|_| self.slice()).collect()
    }

    fn have(&mut self) -> Have {
        if self.byte() < 128 {
            Have::Whole
        } else {
            Have::Some(self.groups())
        }
    }

    fn link(&mut self) -> Link {
        match self.byte() % 4 {
            0 => Link::Down,
            1 => Link::Unreachable,
            _ => Link::Up,
        }
    }

    fn message(&mut self) -> TransferMessage {
        let content = self.content();
        match self.byte() % 12 {
            0 => TransferMessage::Ask { content },
            1 | 10 => TransferMessage::Request {
                content,
                slice: self.slice(),
            },
            2 => TransferMessage::Leave { content },
            3 => TransferMessage::Ready {
                content,
                size: self.size(),
                have: self.have(),
            },
            4 => TransferMessage::Queued {
                content,
                position: u32::from(self.byte()),
            },
            5 => TransferMessage::Have {
                content,
                groups: self.groups(),
            },
            6 => TransferMessage::Slice {
                content,
                slice: self.slice(),
                bytes: u32::from(self.byte()) << 12,
            },
            7 => TransferMessage::SliceRefused {
                content,
                slice: self.slice(),
            },
            8 => TransferMessage::Cancel {
                content,
                slice: self.slice(),
            },
            9 => TransferMessage::Given {
                content,
                groups: self.groups(),
            },
            _ => TransferMessage::Refused {
                content,
                reason: self.refused(),
            },
        }
    }

    fn refused(&mut self) -> RefusedReason {
        match self.byte() % 4 {
            0 => RefusedReason::NotShared,
            1 => RefusedReason::QueueFull,
            2 => RefusedReason::Busy,
            _ => RefusedReason::Changed,
        }
    }

    fn size(&mut self) -> u64 {
        match self.byte() {
            0..128 => 1_000_000,
            128..192 => self.number().saturating_mul(16_384),
            _ => self.number(),
        }
    }

    fn pass(&mut self, now: Timestamp) -> Timestamp {
        let byte = u64::from(self.byte());
        now + Duration::from_millis(if byte < 200 { byte } else { byte * 100 })
    }
}

/// Any order of inputs leaves the books of [`Downloads`] right, and what was
/// asked for can be answered at any time.
pub fn downloads_core(input: &[u8]) {
    let mut choices = Choices(input);
    let config = DownloadsConfig {
        downloads_active_max: 2,
        sources_known_max: 5,
        sources_active_max: 3,
        in_flight_bytes_max: 1 << 20,
        ..DownloadsConfig::default()
    };
    let mut core = Downloads::new(config, seeded_rng(1));
    let mut now = Timestamp::ZERO;
    prologue(&mut core, &mut choices);
    // What was asked, to answer as an honest source would.
    let mut asked: Vec<(PeerId, ContentId, GroupRange)> = Vec::new();
    while !choices.0.is_empty() {
        now = choices.pass(now);
        match choices.byte() % 12 {
            0 | 1 => core.handle_message(now, choices.peer(), choices.message()),
            2 => core.handle_link(now, choices.peer(), choices.link()),
            3 | 4 => core.handle_command(now, download_command(&mut choices)),
            5..=10 => {
                let pick = usize::from(choices.byte()) % asked.len().max(1);
                if pick < asked.len() {
                    answer(&mut core, now, &mut choices, asked.swap_remove(pick));
                }
            }
            _ => core.handle_timeout(now),
        }
        let mut outputs = 0;
        pump(&mut core, |output| {
            outputs += 1;
            if let gannet_base::Output::Send {
                to,
                message: TransferMessage::Request { content, slice },
            } = output
            {
                asked.push((to, content, slice));
            }
        });
        assert!(outputs <= OUTPUTS_MAX, "{outputs} outputs for one input");
        core.assert_invariants();
        let _ = core.next_deadline();
    }
    core.handle_timeout(now);
    assert!(
        core.next_deadline().is_none_or(|at| at > now),
        "what was due is done"
    );
}

/// Several sources that have (parts of) something: from nothing, random inputs
/// seldom come so far.
fn prologue(core: &mut Downloads, choices: &mut Choices<'_>) {
    let (now, content, size) = (Timestamp::ZERO, ContentId::from_bytes([0; 32]), 1_000_000);
    let known = choices.byte() < 128;
    let have = choices.groups();
    core.handle_command(
        now,
        DownloadCommand::Start {
            content,
            size_hint: None,
            size: known.then_some(size),
            have,
            priority: 0,
        },
    );
    for number in 0..3 {
        let (peer, have) = (PeerId::from_bytes([number; 32]), choices.have());
        core.handle_link(now, peer, Link::Up);
        core.handle_command(now, DownloadCommand::AddSource { content, peer });
        core.handle_message(
            now,
            peer,
            TransferMessage::Ready {
                content,
                size,
                have,
            },
        );
    }
}

fn answer(
    core: &mut Downloads,
    now: Timestamp,
    choices: &mut Choices<'_>,
    asked: (PeerId, ContentId, GroupRange),
) {
    let (peer, content, slice) = asked;
    if let Some(expected) = core.expected(content, peer, slice) {
        let bytes = u32::try_from(expected.bytes_max).unwrap_or(u32::MAX);
        core.handle_message(
            now,
            peer,
            TransferMessage::Slice {
                content,
                slice,
                bytes,
            },
        );
        core.handle_command(
            now,
            DownloadCommand::Received {
                content,
                peer,
                bytes: bytes.into(),
            },
        );
    }
    core.handle_command(
        now,
        match choices.byte() % 8 {
            0 => DownloadCommand::Corrupt {
                content,
                peer,
                slice,
            },
            1 => DownloadCommand::NotStored {
                content,
                peer,
                slice,
            },
            2 => DownloadCommand::Stored {
                content,
                peer,
                slice,
                groups: choices.slice().intersection(slice).into(),
            },
            _ => DownloadCommand::Stored {
                content,
                peer,
                slice,
                groups: slice.into(),
            },
        },
    );
}

fn download_command(choices: &mut Choices<'_>) -> DownloadCommand {
    let (content, peer) = (choices.content(), choices.peer());
    match choices.byte() % 21 {
        20 => DownloadCommand::Want {
            content,
            groups: (choices.byte() < 200).then(|| choices.groups()),
        },
        0..4 => DownloadCommand::Start {
            content,
            size_hint: None,
            size: (choices.byte() < 50).then(|| choices.size()),
            have: choices.groups(),
            priority: choices.byte(),
        },
        4..10 => DownloadCommand::AddSource { content, peer },
        10 => DownloadCommand::Pause { content },
        11 => DownloadCommand::Resume { content },
        12 => DownloadCommand::Cancel { content },
        13 => DownloadCommand::Watch {
            content,
            first_group: Some(choices.number()),
        },
        14 => DownloadCommand::Received {
            content,
            peer,
            bytes: choices.number(),
        },
        15 => DownloadCommand::Stored {
            content,
            peer,
            slice: choices.slice(),
            groups: choices.groups(),
        },
        16 => DownloadCommand::Corrupt {
            content,
            peer,
            slice: choices.slice(),
        },
        17 => DownloadCommand::StreamClosed { content, peer },
        18 => DownloadCommand::DiskFull { content },
        _ => DownloadCommand::DiskOk { content },
    }
}

/// Any order of inputs leaves the books of [`Uploads`] right.
pub fn uploads_core(input: &[u8]) {
    let mut choices = Choices(input);
    let config = UploadsConfig {
        slots_max: 3,
        queue_max: 6,
        queue_per_peer_max: 2,
        requests_max: 4,
        ..UploadsConfig::default()
    };
    let mut core = Uploads::new(config);
    let mut now = Timestamp::ZERO;
    while !choices.0.is_empty() {
        now = choices.pass(now);
        match choices.byte() % 6 {
            0..3 => core.handle_message(now, choices.peer(), choices.message()),
            3 => core.handle_link(now, choices.peer(), choices.link()),
            4 => core.handle_command(now, upload_command(&mut choices)),
            _ => core.handle_timeout(now),
        }
        let mut outputs = 0;
        pump(&mut core, |_| outputs += 1);
        assert!(outputs <= OUTPUTS_MAX, "{outputs} outputs for one input");
        core.assert_invariants();
        assert!(
            core.status(now).uploads.len() <= 6 + 3,
            "uploads are bounded"
        );
    }
    core.handle_timeout(now);
    assert!(
        core.next_deadline().is_none_or(|at| at > now),
        "what was due is done"
    );
}

fn upload_command(choices: &mut Choices<'_>) -> UploadCommand {
    let (content, to) = (choices.content(), choices.peer());
    match choices.byte() % 11 {
        0..4 => UploadCommand::Offer {
            content,
            size: choices.size(),
            have: choices.have(),
        },
        4 => UploadCommand::NotShared { content },
        5 => UploadCommand::Served {
            to,
            content,
            slice: choices.slice(),
            bytes: choices.number(),
        },
        6 => UploadCommand::ServeFailed {
            to,
            content,
            slice: choices.slice(),
            failure: match choices.byte() % 4 {
                0 => ServeFailure::Changed,
                1 => ServeFailure::NotThere,
                2 => ServeFailure::Unreadable,
                _ => ServeFailure::Stream,
            },
        },
        7 => UploadCommand::Grown {
            content,
            have: choices.have(),
        },
        8 => UploadCommand::StreamClosed { to, content },
        9 => UploadCommand::Gained {
            content,
            groups: choices.groups(),
        },
        _ => UploadCommand::SetSlots {
            slots_max: usize::from(choices.byte() % 4),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..2_000)
    }

    proptest! {
        #[test]
        fn transfer_message_smoke(input in bytes()) {
            super::transfer_message(&input);
        }

        #[test]
        fn downloads_core_smoke(input in bytes()) {
            super::downloads_core(&input);
        }

        #[test]
        fn uploads_core_smoke(input in bytes()) {
            super::uploads_core(&input);
        }
    }
}
