//! Checks transducers from files. The `fst` crate trusts its input: forged bytes could make it
//! panic or loop without end.
//!
//! ```text
//!   transducer      ┌ header, 16 bytes ┬ nodes, children before parents ┬ footer, 20 bytes ┐
//!   one transition  ┌ output ┬ delta ┬ widths of these ┬ input, if not in the kind
//!                                                      ┬ kind: 128 + input ┐
//!   one transition to the node before                  ┌ input, if not in the kind
//!                                                      ┬ kind: 192 + input ┐
//!   other nodes     ┌ final output ┬ outputs ┬ deltas ┬ inputs ┬ index, if over 32 ┬ widths
//!                   ┬ transitions, if not in the kind ┬ kind: transitions, + 64 if final ┐
//! ```
//!
//! The address of a node is that of its last byte. The address of a child is the node's first byte
//! minus the delta. Delta 0 leads to address 0, where a key ends. Transitions are stored in
//! descending order.
//!
//! Nodes are adjacent, so a walk from the root back to the header finds each node and shows that it
//! is inside. Then the keys that end at or below each node are counted, children first, and their
//! bytes. A node without a key is invalid. The output of a transition must be the number of keys
//! before it. So outputs are positions, no sum of outputs exceeds the number of keys, and every
//! walk soon meets a key.
//!
//! Few bytes can stand for very many keys, also in a transducer that was built from them. The limit
//! of a chunk's bytes bounds what a walk takes.

use super::limits::MAX_CHUNK_BYTES;
use crate::MAX_KEY_LEN;
use crate::io::bytes::Bytes;
use crate::words::u64_at;
use fst::raw::Fst;

const HEADER_BYTES: usize = 16;
const FOOTER_BYTES: usize = 20;
const VERSION: u64 = 3;
/// Most transitions of a node without an index.
const MAX_UNINDEXED_TRANSITIONS: usize = 32;

/// The keys at and below a node, without what is above it.
#[derive(Clone, Copy)]
struct KeysBelow {
    keys: u32,
    bytes: u32,
}

/// Opens a transducer if it is valid and has `keys` keys. O(bytes), with eight bytes of memory for
/// each byte during the call.
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
    // The keys of the node at each address. A node that is not counted yet has 1.
    let mut below = vec![KeysBelow { keys: 0, bytes: 0 }; end];
    below[0].keys = 1;
    let mut start = end;
    while start > HEADER_BYTES {
        below[start - 1].keys = 1;
        start = Transitions::read(data, start - 1)?.start;
    }
    let fst = Fst::new(bytes.clone()).ok()?;
    for address in HEADER_BYTES..end {
        if below[address].keys != 0 {
            below[address] = count(data, &fst, address, &below)?;
        }
    }
    let all = below[root];
    // The last key may be longer than all others.
    let last = last_key(&fst).len();
    let is_short = last <= MAX_KEY_LEN && all.bytes as usize - last < MAX_CHUNK_BYTES;
    (all.keys as usize == keys && is_short).then_some(fst)
}

/// Returns the greatest key of a valid transducer.
pub(super) fn last_key(fst: &Fst<Bytes>) -> Vec<u8> {
    let (mut node, mut key) = (fst.root(), Vec::new());
    while let Some(last) = node.len().checked_sub(1) {
        let transition = node.transition(last);
        key.push(transition.inp);
        node = fst.node(transition.addr);
    }
    key
}

/// Returns the keys at or below a node whose children are valid, or `None` if it is invalid.
fn count(
    data: &[u8],
    fst: &Fst<Bytes>,
    address: usize,
    counted: &[KeysBelow],
) -> Option<KeysBelow> {
    let (transitions, node) = (Transitions::read(data, address)?, fst.node(address));
    let (mut keys, mut bytes) = (u32::from(node.is_final()), 0u32);
    let mut before = None;
    for i in 0..transitions.count {
        let child = transitions.child(data, i)?;
        let below = counted.get(child).filter(|below| below.keys > 0)?;
        let transition = node.transition(i);
        let follows = before < Some(transition.inp)
            && transition.out.value() == u64::from(keys)
            && transition.addr == child;
        if !follows || node.find_input(transition.inp) != Some(i) {
            return None;
        }
        before = Some(transition.inp);
        keys = keys.checked_add(below.keys)?;
        // One byte more for each of them.
        bytes = bytes.checked_add(below.bytes)?.checked_add(below.keys)?;
    }
    let is_index_right = transitions.count <= MAX_UNINDEXED_TRANSITIONS
        || (0..=255).filter(|&byte| node.find_input(byte).is_some()).count() == transitions.count;
    let is_valid = keys > 0 && is_index_right && node.final_output().value() == 0;
    is_valid.then_some(KeysBelow { keys, bytes })
}

/// The transitions of a node.
struct Transitions {
    count: usize,
    /// Offset of the node's first byte.
    start: usize,
    deltas: usize,
    /// Bytes of a delta; 0 if the only transition leads to the node before.
    width: usize,
}

impl Transitions {
    /// Reads the node at an address, if all of it is after the header.
    fn read(data: &[u8], address: usize) -> Option<Self> {
        let kind = *data.get(address)?;
        let (low, has_byte) = (usize::from(kind & 63), usize::from(kind & 63 == 0));
        let before = address.checked_sub(has_byte)?;
        let widths_at = before.checked_sub(1)?;
        let (width, output) =
            (usize::from(data[widths_at] >> 4), usize::from(data[widths_at] & 15));
        let (count, inputs_and_index, outputs) = match kind >> 6 {
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
        let deltas = widths_at.checked_sub(inputs_and_index + count * width)?;
        let start = deltas.checked_sub(outputs * output).filter(|&start| start >= HEADER_BYTES)?;
        Some(Transitions { count, start, deltas, width })
    }

    /// Returns the address to which a transition leads, which is before the node.
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
