//! Bodies of the fuzz targets: they take any bytes and must not panic.

use gannet_base::{ContentId, GroupRange, groups_in};

use crate::catalogue::FileRecord;
use crate::names::sanitise_name;
use crate::slice::{encoded_bytes, is_slice_of, steps, verify};

/// Decodes a slice of a small content that the input describes.
pub fn slice_decoder(input: &[u8]) {
    let Some((head, encoded)) = input.split_first_chunk::<10>() else {
        return;
    };
    let size = u64::from(u32::from_le_bytes([head[0], head[1], head[2], 0]));
    let start = u64::from(u16::from_le_bytes([head[4], head[5]])) % groups_in(size);
    let slice = GroupRange::new(start, start + 1 + u64::from(head[6] % 8));
    if !is_slice_of(slice, size) {
        return;
    }
    let steps = steps(size, slice);
    let length = encoded_bytes(size, slice, &steps);
    // The root that makes the first step verify, so that more than one is seen.
    let mut encoded = encoded.to_vec();
    encoded.resize(usize::try_from(length).expect("a slice is short"), head[7]);
    let content = match encoded.first_chunk::<64>() {
        Some(pair) if groups_in(size) > 1 => {
            ContentId::from_bytes(crate::outboard::parent_hash(pair, true))
        }
        _ => ContentId::of(&encoded),
    };
    if let Ok(verified) = verify(content, size, slice, &steps, &encoded) {
        let bytes: usize = verified.groups.iter().map(|group| group.len()).sum();
        assert_eq!(bytes + verified.pairs.len() * 64, encoded.len());
    }
}

/// Decodes a record of the catalogue, a download's and the list of shares'.
pub fn catalogue_record(input: &[u8]) {
    if let Some(record) = FileRecord::decode(input) {
        assert_eq!(FileRecord::decode(&record.encode()), Some(record));
    }
    crate::download::fuzz_record(input);
}

/// Decodes the list of a folder.
pub fn manifest(input: &[u8]) {
    crate::collection::fuzz(input);
}

/// Makes a name safe, twice.
pub fn sanitise(input: &[u8]) {
    let once = sanitise_name(&String::from_utf8_lossy(input));
    assert!(!once.is_empty() && once.len() <= 240 && !once.contains(['/', '\\', '\0']));
    assert_eq!(sanitise_name(&once), once);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn any_bytes(input in prop::collection::vec(any::<u8>(), 0..4_096)) {
            super::slice_decoder(&input);
            super::catalogue_record(&input);
            super::sanitise(&input);
            super::manifest(&input);
        }
    }
}
