//! Answers of strangers: what nobody signed is taken out.

use gannet_base::{Row, WallTime};

/// Answers whose signatures have been checked.
#[derive(Debug)]
pub(crate) struct CheckedRows {
    /// Rows without the hits that were wrong.
    pub(crate) rows: Vec<Row>,
    /// How many hits were wrong.
    pub(crate) dropped: u64,
}

/// Checks an answer: every hit signed by its holder, in date, and of its row's
/// content. About 40 µs a hit: not for the driver's own task.
pub(crate) fn check_rows(rows: Vec<Row>, now: WallTime) -> CheckedRows {
    let mut dropped = 0;
    let rows = rows
        .into_iter()
        .filter_map(|mut row| {
            let before = row.hits.len();
            let content = row.content;
            row.hits.retain(|hit| {
                hit.entry().content == content && hit.publication.verify(now).is_ok()
            });
            dropped += u64::try_from(before - row.hits.len()).unwrap_or(u64::MAX);
            (!row.hits.is_empty()).then_some(row)
        })
        .collect();
    CheckedRows { rows, dropped }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use gannet_base::{ContentId, FileEntry, Hit, Media, Publication};

    use super::*;

    const NOW: WallTime = WallTime::from_unix_seconds(1_000_000);

    fn row(name: &str, keys: &[u8]) -> Row {
        let hit = |key: &u8| {
            let entry = FileEntry {
                content: ContentId::of(name.as_bytes()),
                size: 7,
                path: format!("share/{name}"),
                media: Media::default(),
            };
            let key = SigningKey::from_bytes(&[*key; 32]);
            Hit {
                publication: Publication::sign(entry, NOW.plus_seconds(60), &key),
            }
        };
        Row {
            content: ContentId::of(name.as_bytes()),
            holders: u32::try_from(keys.len()).unwrap(),
            hits: keys.iter().map(hit).collect(),
        }
    }

    #[test]
    fn what_the_holder_did_not_sign_is_dropped() {
        let mut forged = row("x", &[1, 2]);
        forged.hits[0].publication.entry.size = 8;
        let mut swapped = row("y", &[3]);
        swapped.content = ContentId::of(b"z");
        let checked = check_rows(vec![forged, swapped], NOW);
        assert_eq!((checked.rows.len(), checked.dropped), (1, 2));
        assert_eq!(checked.rows[0].hits.len(), 1);
    }
}
