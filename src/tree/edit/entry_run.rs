//! Entry runs: consecutive entries of nodes, copied into a new node without decoding them.
//!
//! ```text
//!   a source:  lead, a whole key │ the entries after it in some node, from..to
//! ```
//!
//! Where a node is made from entry runs, only their leads are coded anew. Of the other entries the
//! arrays and the suffix bytes are copied, and the shared lengths adjusted to the strip of the new
//! node. So a split or a merge of leaves costs a few copies. What does not fit a narrow node is
//! left to [`DecodedKeys`](crate::tree::edit::decoded::DecodedKeys), which can make every node; so
//! are leaves that are not coded by the map's newest symbol table, once it has one.

use crate::symbols::FsstTable;
use crate::tree::edit::{Failed, NewNodes, SortedKeys, try_copy};
use crate::tree::node::{Gap, Info, Kind, MAX_NARROW_LCP, MAX_NARROW_LEN, Node, NodeRef, simd};
use crate::value::Bits;
use std::borrow::Cow;
use std::ops::Range;

/// A lead, and the entries after it in its node.
struct RunSource<'a> {
    lead: Vec<u8>,
    /// Bytes that the lead shares with the key before it.
    lcp: usize,
    /// The bytes of the lead that follow these, as they are stored, or a few more.
    suffix: usize,
    keys: NodeRef<'a>,
    from: usize,
    to: usize,
}

impl<'a> RunSource<'a> {
    fn len(&self) -> usize {
        1 + self.to - self.from
    }

    /// Returns the codes of the rest of key `i`, which is `key`, where it shares `lcp` bytes.
    fn codes(
        &self,
        table: &FsstTable,
        i: usize,
        lcp: usize,
        key: &[u8],
    ) -> Result<Cow<'a, [u8]>, Failed> {
        if let Some(at) = (self.from + i).checked_sub(1)
            && lcp == self.keys.strip() + self.keys.lcp(at)
        {
            // It has them in its node.
            return Ok(self.keys.entry(at, self.keys.offset(at)).rest.into());
        }
        let rest = key.get(lcp + 1..).unwrap_or_default();
        let mut codes = Vec::new();
        codes.try_reserve_exact(2 * rest.len())?;
        table.encoder().append(rest, &mut codes);
        Ok(codes.into())
    }
}

/// Consecutive keys of narrow nodes, all coded by one symbol table, or none.
pub(crate) struct EntryRun<'a> {
    sources: Vec<RunSource<'a>>,
    table: Option<&'a FsstTable>,
}

/// What one source contributes to a node: a lead, and the entries after it.
struct RunSlice<'s, 'a> {
    lead: Cow<'s, [u8]>,
    lcp: usize,
    /// The codes of the lead's rest, if the run is coded.
    codes: Cow<'s, [u8]>,
    keys: &'s NodeRef<'a>,
    from: usize,
    to: usize,
}

impl RunSlice<'_, '_> {
    /// Returns the first byte of the lead after those that it shares, and the rest as it is stored.
    fn suffix(&self, shared: usize, is_coded: bool) -> (u8, &[u8]) {
        let (&first, rest) = self.lead[shared..].split_first().unwrap_or((&0, &[]));
        (first, if is_coded { &self.codes } else { rest })
    }
}

impl<'a> EntryRun<'a> {
    /// Creates an empty run with room for the keys of this many nodes, coded by a table if there is
    /// one. A single key counts as a node.
    pub(crate) fn new(sources: usize, table: Option<&'a FsstTable>) -> Result<Self, Failed> {
        let mut list = Vec::new();
        list.try_reserve_exact(sources)?;
        Ok(EntryRun { sources: list, table })
    }

    /// Returns whether the run can have entries of this node.
    fn takes(&self, keys: &NodeRef<'_>) -> bool {
        let address = |table: Option<&FsstTable>| table.map(std::ptr::from_ref);
        !keys.info.is_wide() && address(keys.table()) == address(self.table)
    }

    /// Appends some entries of a node. `stripped` begins with the bytes that the node strips. The
    /// first of the entries shares `lcp` bytes with the key before.
    fn push(
        &mut self,
        keys: &NodeRef<'a>,
        stripped: &[u8],
        entries: Range<usize>,
        lcp: usize,
    ) -> Result<(), Failed> {
        let Range { start, end } = entries;
        if start < end {
            let lead = keys.key(start, stripped)?;
            let suffix = match self.table {
                None => lead.len() - lcp,
                // A node strips about as many bytes of the first key as its node does.
                Some(_) => 1 + keys.len(start) + if lcp == 0 { keys.strip() } else { 0 },
            };
            let (keys, from, to) = (*keys, start + 1, end);
            self.sources.push(RunSource { lead, lcp, suffix, keys, from, to });
        }
        Ok(())
    }

    /// Appends the keys of a node. Returns `false` if it is wide or coded otherwise.
    pub(crate) fn append(&mut self, keys: &NodeRef<'a>, stripped: &[u8]) -> Result<bool, Failed> {
        if !self.takes(keys) {
            return Ok(false);
        }
        let before = self.len();
        self.push(keys, stripped, 0..keys.count(), 0)?;
        if before > 0 && self.len() > before {
            let last = self.key(before - 1)?;
            if let Some(source) = self.sources.last_mut() {
                source.lcp = simd::common_prefix(&last, &source.lead);
                source.suffix = source.suffix.saturating_sub(source.lcp);
            }
        }
        Ok(true)
    }

    /// Appends the keys of a node, and among them another key less the bytes that the node strips.
    /// Returns `false` if the node is wide or coded otherwise.
    pub(crate) fn append_with(
        &mut self,
        keys: &NodeRef<'a>,
        stripped: &[u8],
        (gap, key): (Gap, &[u8]),
    ) -> Result<bool, Failed> {
        if !self.takes(keys) {
            return Ok(false);
        }
        let strip = keys.strip();
        self.push(keys, stripped, 0..gap.at, 0)?;
        let mut lead = Vec::new();
        lead.try_reserve_exact(strip + key.len())?;
        lead.extend_from_slice(&stripped[..strip]);
        lead.extend_from_slice(key);
        let lcp = if gap.at == 0 { 0 } else { strip + gap.lcp };
        let suffix = lead.len() - lcp;
        self.sources.push(RunSource { lead, lcp, suffix, keys: *keys, from: 0, to: 0 });
        self.push(keys, stripped, gap.at..keys.count(), strip + gap.next)?;
        Ok(true)
    }

    /// Returns the source of key `i`, and the key's position in it. Position 0 is the lead.
    fn find(&self, mut i: usize) -> (&RunSource<'a>, usize) {
        for source in &self.sources {
            if i < source.len() {
                return (source, i);
            }
            i -= source.len();
        }
        unreachable!("an index below the length")
    }

    fn key(&self, i: usize) -> Result<Vec<u8>, Failed> {
        let (source, i) = self.find(i);
        if i == 0 {
            return try_copy(&source.lead);
        }
        Ok(source.keys.key(source.from + i - 1, &source.lead)?)
    }

    /// Returns what the sources contribute to a node of some of the keys less their first `strip`
    /// bytes.
    fn slices(&self, keys: Range<usize>, strip: usize) -> Result<Vec<RunSlice<'_, 'a>>, Failed> {
        let mut slices = Vec::new();
        slices.try_reserve_exact(self.sources.len())?;
        let mut start = 0;
        for source in &self.sources {
            let (first, last) = (keys.start.max(start), keys.end.min(start + source.len()));
            if first < last {
                let i = first - start;
                let lead =
                    if i == 0 { Cow::Borrowed(&source.lead[..]) } else { self.key(first)?.into() };
                let lcp = if first == keys.start { strip } else { source.lcp };
                let codes = match self.table {
                    Some(table) => source.codes(table, i, lcp, &lead)?,
                    None => Cow::default(),
                };
                slices.push(RunSlice {
                    lead,
                    lcp,
                    codes,
                    keys: &source.keys,
                    from: source.from + i,
                    to: source.from + last - start - 1,
                });
            }
            start += source.len();
        }
        Ok(slices)
    }
}

/// Returns the shape of a narrow node of `n` keys that are in `slices`, less their first `strip`
/// bytes. Returns `None` if a length does not fit.
fn shape(
    slices: &[RunSlice<'_, '_>],
    kind: Kind,
    n: usize,
    strip: usize,
    is_coded: bool,
) -> Option<Info> {
    if strip > Info::MAX_NARROW_STRIP {
        return None;
    }
    let mut rest = 0;
    for slice in slices {
        let shared = slice.lcp;
        let len = slice.suffix(shared, is_coded).1.len();
        // Where the node strips less than the one the entries come from, they share more here.
        let more = slice.keys.strip().saturating_sub(strip);
        let max_lcp = if more > 0 {
            (slice.from..slice.to).map(|j| slice.keys.lcp(j)).max().unwrap_or(0)
        } else {
            0
        };
        if shared - strip > MAX_NARROW_LCP
            || len > MAX_NARROW_LEN
            || max_lcp + more > MAX_NARROW_LCP
        {
            return None;
        }
        rest += len + slice.keys.offset(slice.to) - slice.keys.offset(slice.from);
    }
    let empty_first = slices.first().is_some_and(|slice| slice.lead.len() == strip);
    let info = || Info::narrow(kind, n, rest, strip, empty_first);
    (rest <= 0xFFFF).then(|| if is_coded { info().coded() } else { info() })
}

impl SortedKeys for EntryRun<'_> {
    fn len(&self) -> usize {
        self.sources.iter().map(RunSource::len).sum()
    }

    fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        for source in &self.sources {
            each(source.lcp, source.suffix);
            let (keys, strip) = (&source.keys, source.keys.strip());
            (source.from..source.to).for_each(|i| each(strip + keys.lcp(i), 1 + keys.len(i)));
        }
    }

    fn separator(&self, i: usize) -> Result<Vec<u8>, Failed> {
        let (source, j) = self.find(i);
        let keys = &source.keys;
        let lcp = if j == 0 { source.lcp } else { keys.strip() + keys.lcp(source.from + j - 1) };
        let mut key = self.key(i)?;
        key.truncate(lcp + 1);
        Ok(key)
    }

    fn node<B: Bits>(
        &self,
        kind: Kind,
        pending: &mut NewNodes<'_, B>,
        keys: Range<usize>,
        strip: usize,
    ) -> Result<Option<Node>, Failed> {
        let n = keys.len();
        let (slices, is_coded) = (self.slices(keys, strip)?, self.table.is_some());
        let Some(exact) = shape(&slices, kind, n, strip, is_coded) else { return Ok(None) };
        let (node, info) = pending.alloc(exact)?;
        let cap = info.capacity();
        // SAFETY: (N4, N5, N6, N13) the node is ours alone and written in full; its shape is that
        // of the lengths that `shape` summed up. The table is one of the map's.
        unsafe {
            let payload = node.payload_mut(info);
            let (mut at, mut to) = (0, payload.add(3 * cap));
            if let Some(table) = self.table {
                node.set_table(table);
            }
            for slice in &slices {
                let shared = slice.lcp;
                let (first, tail) = slice.suffix(shared, is_coded);
                payload.add(at).write((shared - strip) as u8);
                payload.add(cap + at).write(first);
                payload.add(2 * cap + at).write(tail.len() as u8);
                to.copy_from_nonoverlapping(tail.as_ptr(), tail.len());
                to = to.add(tail.len());
                at += 1;
                let many = slice.to - slice.from;
                let [lcps, firsts, lens, rests] = slice.keys.arrays(slice.from, slice.to);
                let stripped = slice.keys.strip();
                for (j, lcp) in lcps.iter().enumerate() {
                    payload.add(at + j).write((usize::from(*lcp) + stripped - strip) as u8);
                }
                payload.add(cap + at).copy_from_nonoverlapping(firsts.as_ptr(), many);
                payload.add(2 * cap + at).copy_from_nonoverlapping(lens.as_ptr(), many);
                to.copy_from_nonoverlapping(rests.as_ptr(), rests.len());
                to = to.add(rests.len());
                at += many;
            }
            node.zero_room(info, exact);
        }
        Ok(Some(node))
    }
}
