//! Whether a transducer can be trusted: the `fst` crate believes what it reads. From bytes that were made to do so it would panic, or walk
//! for ever.
//!
//! ```text
//!   transducer     ┌ header, 16 bytes ┬ nodes, children before parents, the root last ┬ footer, 20 bytes ┐
//!   node, one transition  ┌ output ┬ delta ┬ widths of these ┬ input, if not in the kind ┬ kind: 128 + input ┐
//!   to the one before                                ┌ input, if not in the kind ┬ kind: 192 + input ┐
//!   other nodes    ┌ final output ┬ outputs ┬ deltas ┬ inputs ┬ index, over 32 ┬ widths ┬ transitions, if not in kind ┬ kind: transitions, 64 if final ┐
//! ```
//! A node's address is that of its last byte, and its child's is where the node begins, less the delta; delta 0 leads to address 0, where a
//! key ends. Transitions stand in descending order.
//!
//! Nodes lie side by side, so from the root back to the header each is found, and known to be inside. Then, children first, the keys are
//! counted that end at each node or below. There is one, or the node is good for nothing; and the output of a transition is the number of keys
//! before it. So places are those of the keys, no sum of outputs is greater than the number of keys, and no walk goes on for long without
//! meeting a key.

#![forbid(unsafe_code)]

use crate::io::bytes::{Bytes, u64_at};
use fst::raw::Fst;

const HEADER_BYTES: usize = 16;
const FOOTER_BYTES: usize = 20;
const VERSION: u64 = 3;
/// Transitions of a node that has no index yet.
const MAX_UNINDEXED_TRANSITIONS: usize = 32;

/// A transducer of as many keys as it should have, if it can be trusted. O(bytes); takes four bytes of memory for each meanwhile.
pub(super) fn open(bytes: Bytes, keys: usize) -> Option<Fst<Bytes>> {
    let data = bytes.as_slice();
    let end = data.len().checked_sub(FOOTER_BYTES).filter(|&end| end >= HEADER_BYTES)?;
    let root = if end == HEADER_BYTES { 0 } else { end - 1 };
    if u64_at(data, 0)? != VERSION
        || u64_at(data, end)? != keys as u64
        || u64_at(data, end + 8)? != root as u64
    {
        return None;
    }
    // Keys from each address on. Where a node is that is not counted yet, one stands for them.
    let mut counts = vec![0u32; end];
    counts[0] = 1;
    let mut start = end;
    while start > HEADER_BYTES {
        counts[start - 1] = 1;
        start = Transitions::read(data, start - 1)?.start;
    }
    let fst = Fst::new(bytes.clone()).ok()?;
    for address in HEADER_BYTES..end {
        if counts[address] != 0 {
            counts[address] = count(data, &fst, address, &counts)?;
        }
    }
    (counts[root] as usize == keys).then_some(fst)
}

/// Keys that end at a node or below, if it is right, and its children were.
fn count(data: &[u8], fst: &Fst<Bytes>, address: usize, counts: &[u32]) -> Option<u32> {
    let (transitions, node) = (Transitions::read(data, address)?, fst.node(address));
    let mut count = u32::from(node.is_final());
    let mut before = None;
    for i in 0..transitions.count {
        let child = transitions.child(data, i)?;
        let below = *counts.get(child).filter(|&&below| below > 0)?;
        let transition = node.transition(i);
        let follows = before < Some(transition.inp)
            && transition.out.value() == u64::from(count)
            && transition.addr == child;
        if !follows || node.find_input(transition.inp) != Some(i) {
            return None;
        }
        before = Some(transition.inp);
        count = count.checked_add(below)?;
    }
    let is_index_right = transitions.count <= MAX_UNINDEXED_TRANSITIONS
        || (0..=255).filter(|&byte| node.find_input(byte).is_some()).count() == transitions.count;
    (count > 0 && is_index_right && node.final_output().value() == 0).then_some(count)
}

/// The transitions from a node.
struct Transitions {
    count: usize,
    /// Where the node begins.
    start: usize,
    deltas: usize,
    /// Bytes of a delta; none where the only transition leads to the node before.
    width: usize,
}

impl Transitions {
    /// Those of the node at an address, if all of it is behind the header.
    fn read(data: &[u8], address: usize) -> Option<Self> {
        let kind = *data.get(address)?;
        let (low, has_byte) = (usize::from(kind & 63), usize::from(kind & 63 == 0));
        let before = address.checked_sub(has_byte)?;
        let widths_at = before.checked_sub(1)?;
        let (width, output) =
            (usize::from(data[widths_at] >> 4), usize::from(data[widths_at] & 15));
        let (count, behind, outputs) = match kind >> 6 {
            3 => {
                return (before >= HEADER_BYTES).then_some(Transitions {
                    count: 1,
                    start: before,
                    deltas: before,
                    width: 0,
                });
            }
            2 => (1, 0, 1),
            is_final => {
                let count = match (low, data[before]) {
                    (0, 1) => 256,
                    (0, count) => usize::from(count),
                    (count, _) => count,
                };
                (
                    count,
                    count + if count > MAX_UNINDEXED_TRANSITIONS { 256 } else { 0 },
                    count + usize::from(is_final),
                )
            }
        };
        if width > 8 || output > 8 || (width == 0 && count > 0) {
            return None;
        }
        let deltas = widths_at.checked_sub(behind + count * width)?;
        let start = deltas.checked_sub(outputs * output).filter(|&start| start >= HEADER_BYTES)?;
        Some(Transitions { count, start, deltas, width })
    }

    /// The address that a transition leads to, which is before the node.
    fn child(&self, data: &[u8], i: usize) -> Option<usize> {
        if self.width == 0 {
            return self.start.checked_sub(1);
        }
        let at = self.deltas + (self.count - 1 - i) * self.width;
        let delta =
            data.get(at..at + self.width)?.iter().rev().try_fold(0usize, |delta, &byte| {
                Some(delta.checked_mul(256)? + usize::from(byte))
            })?;
        if delta == 0 { Some(0) } else { self.start.checked_sub(delta) }
    }
}
