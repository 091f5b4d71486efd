//! Coded leaves: leaves whose rests are codes of a symbol table (FSST, `crate::symbols`).
//!
//! ```text
//!  leaf   ┌ info u64 ┬ address of the table ┬ lcp │ first │ len │ codes of the rests ┬ values ┐
//! ```
//!
//! Lcps and first bytes are those of the keys, so a search steps over entries as in any leaf. Only
//! an entry that shares as many bytes with the key as are matched is compared by its codes, symbol
//! by symbol. `len` is the number of bytes of the codes.
//!
//! Codes do not depend on what comes before them. So an edit codes one rest, and the beginning of
//! the next one, and copies all others.

use crate::symbols::{FsstTable, MAX_FSST_BYTES};
use crate::tree::node::coding::{Splice, Stored};
use crate::tree::node::{Gap, Info, MAX_NARROW_LCP, MAX_NARROW_LEN, Node, NodeRef};

/// Bytes of a suffix that an edit may code. A longer one is rare, and takes the slow way.
const MAX_CODED_SUFFIX: usize = 127;
/// Bytes of codes of that many bytes, each of which may be escaped.
const SCRATCH_BYTES: usize = 2 * MAX_CODED_SUFFIX;
/// Bytes of codes of the end of a symbol.
const END_BYTES: usize = 2 * MAX_FSST_BYTES;

// Their number fits into the length of a narrow entry.
const _: () = assert!(SCRATCH_BYTES <= MAX_NARROW_LEN);

/// A few codes, on the stack.
struct Codes<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: usize,
}

impl<const BYTES: usize> Codes<BYTES> {
    const fn new() -> Self {
        Codes { bytes: [0; BYTES], len: 0 }
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends the codes of a string. There are two bytes for each byte of all that is appended.
    #[inline]
    fn append(&mut self, table: &FsstTable, string: &[u8]) {
        self.len += table.encoder().encode(string, &mut self.bytes[self.len..]);
    }
}

/// Codes that an edit makes.
pub(crate) struct Scratch {
    /// Of a suffix.
    rest: Codes<SCRATCH_BYTES>,
    /// Of the end of a symbol.
    end: Codes<END_BYTES>,
}

impl Scratch {
    #[inline(always)]
    pub(crate) const fn new() -> Scratch {
        Scratch { rest: Codes::new(), end: Codes::new() }
    }
}

impl Stored<'_> {
    /// Returns the length of the key, less the strip.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.lcp + usize::from(self.first.is_some()) + self.rest_len()
    }

    /// Returns the length of the rest.
    #[inline(always)]
    pub(crate) fn rest_len(&self) -> usize {
        match self.table {
            None => self.rest.len(),
            Some(table) => table.decoder().len_of(self.rest),
        }
    }

    /// Writes the first bytes of the rest to `out`, which it fills.
    #[inline(always)]
    pub(crate) fn read_rest(&self, out: &mut [u8]) {
        match self.table {
            None => out.copy_from_slice(&self.rest[..out.len()]),
            Some(table) => table.decoder().decode_prefix(self.rest, out),
        }
    }

    /// Appends the rest to `out`, which has room.
    #[inline(always)]
    pub(crate) fn append_rest(&self, out: &mut Vec<u8>) {
        match self.table {
            None => out.extend_from_slice(self.rest),
            Some(table) => table.decoder().append(self.rest, out),
        }
    }
}

impl<'a> NodeRef<'a> {
    /// Returns the table of a coded leaf.
    #[inline(always)]
    pub(crate) fn table(&self) -> Option<&'a FsstTable> {
        if !self.info.is_leaf() || !self.info.is_coded() {
            return None;
        }
        // SAFETY: (N1, N5) since `new`. (N13) The table outlives the leaf.
        Some(unsafe { &*self.node.table() })
    }

    /// Writes the table of this leaf, if it has one, to a copy.
    ///
    /// # Safety
    /// The copy is a live leaf with the same coding (N1), which the caller alone reaches (N4).
    #[inline(always)]
    pub(crate) unsafe fn copy_table(&self, copy: Node) {
        if let Some(table) = self.table() {
            // SAFETY: (N1, N4) by the caller.
            unsafe { copy.set_table(table) };
        }
    }

    /// Returns the length of key `i`, less the strip.
    pub(crate) fn end(&self, i: usize) -> usize {
        match self.table() {
            // The offset of the rest is not needed.
            None if i == 0 && self.info.empty_first() => 0,
            None => self.lcp(i) + 1 + self.len(i),
            Some(_) => self.entry(i, self.offset(i)).end(),
        }
    }

    /// Returns what a coded leaf becomes with `key` inserted at `gap`.
    ///
    /// `None` if that should be found by coding the leaf anew: if the key or the one after it is
    /// long, or the rest of the key is not smaller as codes.
    pub(crate) fn coded_insertion<'s>(
        &self,
        table: &FsstTable,
        key: &[u8],
        gap: Gap,
        scratch: &'s mut Scratch,
    ) -> Option<Splice<'s>> {
        if key.is_empty()
            || gap.lcp > MAX_NARROW_LCP
            || gap.next > MAX_NARROW_LCP
            || key.len() - gap.lcp > MAX_CODED_SUFFIX
        {
            return None;
        }
        let (n, at, rest) = (self.count(), gap.at, &key[gap.lcp + 1..]);
        scratch.rest.append(table, rest);
        let (offset, used) = self.offsets(at);
        let (mut dropped, mut next) = (0, None);
        if at < n && gap.next > self.lcp(at) {
            // The next entry loses the bytes that it shares with the key.
            let entry = self.entry(at, offset);
            let lost = gap.next - entry.lcp - 1;
            let (codes, first) = split_codes(table, entry.rest, lost, &mut scratch.end)?;
            dropped = codes;
            let len = entry.rest.len() - dropped + scratch.end.len;
            next = Some([gap.next as u8, first, u8::try_from(len).ok()?]);
        }
        let used_then = used - dropped + scratch.rest.len + scratch.end.len;
        if scratch.rest.len > rest.len() || used_then > 0xFFFF || n == Info::MAX_COUNT {
            return None;
        }
        let info = self.info.resized(n + 1, used_then, self.info.empty_first());
        let rests = [scratch.rest.get(), scratch.end.get(), &[]];
        Some(Splice { info, at, offset, used, dropped, rests, next })
    }

    /// Returns what a coded leaf becomes without entry `at`. `None` as for
    /// [`coded_insertion`](Self::coded_insertion).
    pub(crate) fn coded_removal<'s>(
        &self,
        table: &FsstTable,
        at: usize,
        scratch: &'s mut Scratch,
    ) -> Option<Splice<'s>> {
        let n = self.count();
        let (offset, used) = self.offsets(at);
        let entry = self.entry(at, offset);
        let mut next = None;
        if at + 1 < n && self.lcp(at + 1) > entry.lcp {
            // The next entry gains the bytes that it shares with this one: the first, and
            // `gained` bytes of the rest.
            let gained = self.lcp(at + 1) - entry.lcp - 1;
            if gained >= MAX_CODED_SUFFIX {
                return None;
            }
            let mut bytes = [0; MAX_CODED_SUFFIX];
            entry.read_rest(&mut bytes[..gained]);
            bytes[gained] = self.first(at + 1);
            scratch.rest.append(table, &bytes[..=gained]);
            let len = u8::try_from(scratch.rest.len + self.len(at + 1)).ok()?;
            next = Some([entry.lcp as u8, self.first(at), len]);
        }
        let dropped = entry.rest.len();
        let empty_first = self.info.empty_first() && at != 0;
        let used_then = used - dropped + scratch.rest.len;
        if used_then > 0xFFFF {
            return None;
        }
        let info = self.info.resized(n - 1, used_then, empty_first);
        Some(Splice {
            info,
            at,
            offset,
            used,
            dropped,
            rests: [scratch.rest.get(), &[], &[]],
            next,
        })
    }
}

/// Divides a coded string after `lost` bytes. Returns how many bytes of codes stand for these and
/// for the byte after them, and that byte. What else these codes stand for is coded anew to `tail`.
fn split_codes(
    table: &FsstTable,
    codes: &[u8],
    lost: usize,
    tail: &mut Codes<END_BYTES>,
) -> Option<(usize, u8)> {
    let (mut at, mut bytes) = (0, 0);
    while at < codes.len() {
        let (word, len, code_len) = table.decoder().symbol_at(codes, at);
        at += code_len;
        if bytes + len > lost {
            let word = word.to_le_bytes();
            let index = lost - bytes;
            tail.append(table, &word[index + 1..len]);
            return Some((at, word[index]));
        }
        bytes += len;
    }
    None
}
