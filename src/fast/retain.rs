//! `retain` in batches: a walk collects keys, which are removed between two batches.

use super::FastArt;
use crate::tree::WriteCursor;
use crate::value::Value;

/// The most keys that a batch collects, and the most bytes of them.
const NOTED: (usize, usize) = (1024, 1 << 16);

/// The state of a walk over a map between two batches.
pub(crate) struct Retain {
    /// The walk continues at the first key that is at least this one; `None` at the end.
    from: Option<Vec<u8>>,
    /// The collected keys, concatenated.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Retain {
    pub(crate) fn new() -> Self {
        Retain { from: Some(Vec::new()), bytes: Vec::new(), ends: Vec::new() }
    }

    /// Calls `keep`, which may change values, for the next keys, and collects those to remove.
    /// Returns `false` at the end of the walk.
    pub(crate) fn note<V: Value>(
        &mut self,
        map: &mut FastArt<V>,
        mut keep: impl FnMut(&[u8], &mut V) -> bool,
    ) -> bool {
        self.bytes.clear();
        self.ends.clear();
        let Some(mut from) = self.from.take() else { return false };
        let mut cursor = WriteCursor::new(&mut map.tree, &from);
        while let Some((key, bits)) = cursor.next() {
            let mut value = V::from_bits(bits);
            let kept = keep(key, &mut value);
            if !kept {
                self.bytes.extend_from_slice(key);
                self.ends.push(self.bytes.len());
            }
            let full = self.ends.len() == NOTED.0 || self.bytes.len() >= NOTED.1;
            if full {
                from.clear();
                from.extend_from_slice(key);
                from.push(0);
            }
            if kept {
                cursor.set(value.into_bits());
            }
            if full {
                self.from = Some(from);
                break;
            }
        }
        true
    }

    /// Returns the keys of the last batch, in ascending order.
    pub(crate) fn noted(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.bytes[std::mem::replace(&mut start, end)..end])
    }
}
