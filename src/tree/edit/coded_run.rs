//! Parts: neighbouring keys as they stand in nodes, for the node that is to have them.
//!
//! ```text
//!   a part:  lead, a key written out │ the entries behind it in some node, from..to
//! ```
//!
//! Where a node is put together from parts, only their leads are coded anew: of the other entries the arrays and the suffix bytes are copied, the
//! shared lengths less what the new node strips more. So a leaf is split, or merged with another, for the price of a few copies. What does
//! not fit a narrow node is left to a run, which can do everything.

use crate::tree::edit::decoded::Sequence;
use crate::tree::edit::pending::{Failed, NewNodes, try_copy};
use crate::tree::node::coding::{Gap, NARROW_LCP, NARROW_LEN, NodeRef};
use crate::tree::node::layout::{Info, Kind, Node};
use crate::tree::node::simd;
use crate::value::Bits;

struct Part<'a> {
    lead: Vec<u8>,
    /// Bytes that the lead shares with the key before it.
    lcp: usize,
    keys: NodeRef<'a>,
    from: usize,
    to: usize,
}

impl Part<'_> {
    fn len(&self) -> usize {
        1 + self.to - self.from
    }
}

/// Neighbouring keys of narrow nodes.
pub(crate) struct Parts<'a> {
    parts: Vec<Part<'a>>,
}

/// What one part gives to a node: a lead, and the entries behind it.
struct Piece<'p, 'a> {
    lead: std::borrow::Cow<'p, [u8]>,
    lcp: usize,
    keys: &'p NodeRef<'a>,
    from: usize,
    to: usize,
}

impl<'a> Parts<'a> {
    /// No keys yet, but room for this many nodes' or key's.
    pub(crate) fn new(parts: usize) -> Result<Self, Failed> {
        let mut list = Vec::new();
        list.try_reserve_exact(parts)?;
        Ok(Parts { parts: list })
    }

    /// Appends the entries `from..to` of a node behind the bytes that it strips. The first of them shares `lcp` bytes with the key before.
    fn push(
        &mut self,
        keys: &NodeRef<'a>,
        stripped: &[u8],
        from: usize,
        to: usize,
        lcp: usize,
    ) -> Result<(), Failed> {
        if from < to {
            let mut lead = try_copy(&stripped[..keys.strip()])?;
            keys.decode(from, &mut lead)?;
            self.parts.push(Part { lead, lcp, keys: *keys, from: from + 1, to });
        }
        Ok(())
    }

    /// Appends the keys of a node. `false`: it is wide.
    pub(crate) fn append(&mut self, keys: &NodeRef<'a>, stripped: &[u8]) -> Result<bool, Failed> {
        if keys.info.is_wide() {
            return Ok(false);
        }
        let before = self.len();
        self.push(keys, stripped, 0, keys.count(), 0)?;
        if before > 0 && self.len() > before {
            let last = self.key(before - 1)?;
            if let Some(part) = self.parts.last_mut() {
                part.lcp = simd::common_prefix(&last, &part.lead);
            }
        }
        Ok(true)
    }

    /// Appends the keys of a node and among them another, less the bytes that the node strips. `false`: the node is wide, or would be.
    pub(crate) fn append_with(
        &mut self,
        keys: &NodeRef<'a>,
        stripped: &[u8],
        (gap, key): (Gap, &[u8]),
    ) -> Result<bool, Failed> {
        if keys.info.is_wide() {
            return Ok(false);
        }
        let strip = keys.strip();
        self.push(keys, stripped, 0, gap.at, 0)?;
        let mut lead = try_copy(&stripped[..strip])?;
        lead.try_reserve_exact(key.len())?;
        lead.extend_from_slice(key);
        let lcp = if gap.at == 0 { 0 } else { strip + gap.lcp };
        self.parts.push(Part { lead, lcp, keys: *keys, from: 0, to: 0 });
        self.push(keys, stripped, gap.at, keys.count(), strip + gap.next)?;
        Ok(true)
    }

    /// The part of key `i`, and which of it that is: 0 is the lead.
    fn find(&self, mut i: usize) -> (&Part<'a>, usize) {
        for part in &self.parts {
            if i < part.len() {
                return (part, i);
            }
            i -= part.len();
        }
        unreachable!("an index below the length")
    }

    fn key(&self, i: usize) -> Result<Vec<u8>, Failed> {
        let (part, i) = self.find(i);
        if i == 0 {
            return try_copy(&part.lead);
        }
        let mut key = try_copy(&part.lead[..part.keys.strip()])?;
        part.keys.decode(part.from + i - 1, &mut key)?;
        Ok(key)
    }

    /// What the parts give to a node of the keys `from..to`.
    fn pieces(&self, from: usize, to: usize) -> Result<Vec<Piece<'_, 'a>>, Failed> {
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(self.parts.len())?;
        let mut start = 0;
        for part in &self.parts {
            let (first, last) = (from.max(start), to.min(start + part.len()));
            if first < last {
                let i = first - start;
                let lead = if i == 0 {
                    std::borrow::Cow::Borrowed(&part.lead[..])
                } else {
                    self.key(first)?.into()
                };
                let lcp = if first == from { 0 } else { part.lcp };
                pieces.push(Piece {
                    lead,
                    lcp,
                    keys: &part.keys,
                    from: part.from + i,
                    to: part.from + last - start - 1,
                });
            }
            start += part.len();
        }
        Ok(pieces)
    }
}

impl Sequence for Parts<'_> {
    fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        for part in &self.parts {
            each(part.lcp, part.lead.len() - part.lcp);
            let strip = part.keys.strip();
            (part.from..part.to).for_each(|i| each(strip + part.keys.lcp(i), 1 + part.keys.len(i)));
        }
    }

    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed> {
        let (part, j) = self.find(i);
        let lcp =
            if j == 0 { part.lcp } else { part.keys.strip() + part.keys.lcp(part.from + j - 1) };
        let mut key = self.key(i)?;
        key.truncate(lcp + 1);
        Ok(key)
    }

    fn node<B: Bits>(
        &self,
        kind: Kind,
        made: &mut NewNodes<'_, B>,
        from: usize,
        to: usize,
        strip: usize,
    ) -> Result<Option<Node>, Failed> {
        let pieces = self.pieces(from, to)?;
        if strip > Info::NARROW_STRIP {
            return Ok(None);
        }
        let mut rest = 0;
        for (i, piece) in pieces.iter().enumerate() {
            let shared = if i == 0 { strip } else { piece.lcp };
            let len = (piece.lead.len() - shared).saturating_sub(1);
            // Where the node strips less than the one the entries come from, they share more here.
            let more = piece.keys.strip().saturating_sub(strip);
            let most = if more > 0 {
                (piece.from..piece.to).map(|j| piece.keys.lcp(j)).max().unwrap_or(0)
            } else {
                0
            };
            if shared - strip > NARROW_LCP || len > NARROW_LEN || most + more > NARROW_LCP {
                return Ok(None);
            }
            rest += len + piece.keys.offset(piece.to) - piece.keys.offset(piece.from);
        }
        if rest > 0xFFFF {
            return Ok(None);
        }
        let empty_first = pieces.first().is_some_and(|piece| piece.lead.len() == strip);
        let n = to - from;
        let info = Info::narrow(kind, n, n, rest, strip, empty_first);
        let node = made.alloc(info)?;
        // SAFETY: (N4, N5, N6) the node is ours alone and written in full; its shape is that of the lengths summed up above.
        unsafe {
            let payload = node.payload_mut(info);
            let (mut at, mut to) = (0, payload.add(3 * n));
            for (i, piece) in pieces.iter().enumerate() {
                let shared = if i == 0 { strip } else { piece.lcp };
                let (&first, tail) = piece.lead[shared..].split_first().unwrap_or((&0, &[]));
                payload.add(at).write((shared - strip) as u8);
                payload.add(n + at).write(first);
                payload.add(2 * n + at).write(tail.len() as u8);
                to.copy_from_nonoverlapping(tail.as_ptr(), tail.len());
                to = to.add(tail.len());
                at += 1;
                let many = piece.to - piece.from;
                let [lcps, firsts, lens, rests] = piece.keys.arrays(piece.from, piece.to);
                for (j, lcp) in lcps.iter().enumerate() {
                    payload
                        .add(at + j)
                        .write((usize::from(*lcp) + piece.keys.strip() - strip) as u8);
                }
                payload.add(n + at).copy_from_nonoverlapping(firsts.as_ptr(), many);
                payload.add(2 * n + at).copy_from_nonoverlapping(lens.as_ptr(), many);
                to.copy_from_nonoverlapping(rests.as_ptr(), rests.len());
                to = to.add(rests.len());
                at += many;
            }
        }
        Ok(Some(node))
    }
}
