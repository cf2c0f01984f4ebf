//! Reading a slice off the disk in the order in which it is encoded.

use std::io::{self, IoSliceMut};

use gannet_base::{GROUP_BYTES, GroupRange};

use crate::backend::{DiskFile, ReadAt, read_all, read_exact};
use crate::outboard::{PAIR_BYTES, PAIR_BYTES_64};
use crate::slice::{Step, encoded_bytes, group_len};

/// Makes `out` the encoding of `slice`, whose steps are `steps`. Nothing of it
/// is checked. A content of one group needs no outboard.
///
/// The data is one read, scattered to where each group belongs; the pairs are
/// one read per run of neighbours.
pub(crate) fn gather(
    data: &(impl ReadAt + ?Sized),
    outboard: Option<&dyn DiskFile>,
    size: u64,
    slice: GroupRange,
    steps: &[Step],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let bytes = usize::try_from(encoded_bytes(size, slice, steps)).expect("a slice is short");
    // Whatever was in it is overwritten: only what it lacks has to be zeroed.
    out.resize(bytes, 0);
    let mut rest = out.as_mut_slice();
    let mut groups = Vec::with_capacity(steps.len());
    let mut pairs = Vec::with_capacity(steps.len());
    for step in steps {
        match *step {
            Step::Parent { node, .. } => {
                let (pair, after) = rest
                    .split_first_chunk_mut::<PAIR_BYTES>()
                    .expect("the length was computed from the steps");
                rest = after;
                pairs.push((node.pair, pair));
            }
            Step::Leaf { group } => {
                let (bytes, after) = rest.split_at_mut(group_len(size, group));
                rest = after;
                groups.push(IoSliceMut::new(bytes));
            }
        }
    }
    read_all(data, &mut groups, slice.start * GROUP_BYTES)?;
    let mut run_bytes = Vec::new();
    for run in pairs.chunk_by_mut(|a, b| a.0 + 1 == b.0) {
        let outboard = outboard.ok_or(io::ErrorKind::NotFound)?;
        run_bytes.resize(run.len() * PAIR_BYTES, 0);
        read_exact(outboard, &mut run_bytes, run[0].0 * PAIR_BYTES_64)?;
        for ((_, pair), bytes) in run.iter_mut().zip(run_bytes.chunks_exact(PAIR_BYTES)) {
            pair.copy_from_slice(bytes);
        }
    }
    Ok(())
}
