//! Blocks of keys.
//!
//! ```text
//!   0   the least lcp; 255: the block is wide
//!   1   the least number of codes, at most 63; + 64: lcps are short; + 128: numbers are short
//!   2   lcp of each key minus the least: 16 nibbles, the low one of a byte first;
//!           short: 16 times 2 bits
//!       number of codes of each key minus the least: the same
//!       lcps whose nibble is 15 (short: whose bits are 3), a byte each; then such numbers of codes
//!       codes of the suffix of each key
//!
//!   wide: 255, lcp[n], number of codes[n], u32 each, then the codes
//! ```

use crate::frozen::decoded_block::KeySink;
use crate::symbols::{Coder, Encoder};
use crate::tree::{LANES, checked_candidates, checked_sum};
use crate::words::{u32_at, u64_at};
use std::cmp::Ordering;

/// Keys of a block.
pub(crate) const KEYS_PER_BLOCK: usize = 16;
const _: () = assert!(KEYS_PER_BLOCK == LANES);
const WIDE_BLOCK: u8 = 255;
const SHORT_LCPS: u8 = 64;
const SHORT_LENS: u8 = 128;
const MAX_LEN_BASE: usize = 63;
/// Bytes of the smallest block, without codes.
pub(super) const MIN_BLOCK_BYTES: usize = 2 + 2 * KEYS_PER_BLOCK / 4;

/// Appends a block of keys, each given as its lcp and its suffix.
pub(super) fn write<'a>(
    keys: impl Iterator<Item = (usize, &'a [u8])>,
    encoder: &Encoder,
    out: &mut Vec<u8>,
    codes: &mut Vec<u8>,
) {
    codes.clear();
    let (mut lcps, mut lens) = ([0usize; KEYS_PER_BLOCK], [0usize; KEYS_PER_BLOCK]);
    let mut n = 0;
    for (lcp, suffix) in keys {
        let start = codes.len();
        encoder.encode(suffix, codes);
        lcps[n] = lcp;
        lens[n] = (codes.len() - start) / encoder.code_bytes();
        n += 1;
    }
    let (lcps, lens) = (&lcps[..n], &lens[..n]);
    if lcps.iter().chain(lens).any(|&x| x >= WIDE_BLOCK.into()) {
        out.push(WIDE_BLOCK);
        for x in lcps.iter().chain(lens) {
            out.extend_from_slice(&(*x as u32).to_le_bytes());
        }
    } else {
        let least = |lengths: &[usize]| lengths.iter().min().copied().unwrap_or(0);
        let (lcp_base, len_base) = (least(lcps), least(lens).min(MAX_LEN_BASE));
        let (short_lcps, short_lens) = (is_short(lcps, lcp_base), is_short(lens, len_base));
        let flags =
            if short_lcps { SHORT_LCPS } else { 0 } | if short_lens { SHORT_LENS } else { 0 };
        out.extend_from_slice(&[lcp_base as u8, len_base as u8 | flags]);
        write_fields(lcps, lcp_base, short_lcps, out);
        write_fields(lens, len_base, short_lens, out);
        write_escapes(lcps, lcp_base, short_lcps, out);
        write_escapes(lens, len_base, short_lens, out);
    }
    out.extend_from_slice(codes);
}

/// Returns the field that marks a length too large for a field.
fn escape(short: bool) -> usize {
    if short { 3 } else { 15 }
}

/// Returns whether lengths take fewer bytes with two bits each and more escapes.
fn is_short(lengths: &[usize], base: usize) -> bool {
    let escapes = |short: bool| lengths.iter().filter(|&&x| x - base >= escape(short)).count();
    KEYS_PER_BLOCK / 4 + escapes(true) < KEYS_PER_BLOCK / 2 + escapes(false)
}

fn write_fields(lengths: &[usize], base: usize, short: bool, out: &mut Vec<u8>) {
    let bits = if short { 2 } else { 4 };
    let fields = lengths
        .iter()
        .rev()
        .fold(0u64, |word, &x| word << bits | (x - base).min(escape(short)) as u64);
    out.extend_from_slice(&fields.to_le_bytes()[..KEYS_PER_BLOCK * bits / 8]);
}

fn write_escapes(lengths: &[usize], base: usize, short: bool, out: &mut Vec<u8>) {
    out.extend(lengths.iter().filter(|&&x| x - base >= escape(short)).map(|&x| x as u8));
}

/// The lengths of a block that is not wide: lcps, then numbers of codes.
struct Lengths {
    all: [[u8; KEYS_PER_BLOCK]; 2],
    /// Offset of the codes.
    codes: usize,
}

/// Spreads sixteen nibbles to bytes, eight in each word.
#[inline(always)]
fn spread(nibbles: u64) -> [u64; 2] {
    [nibbles & 0xFFFF_FFFF, nibbles >> 32].map(|half| {
        let x = (half | half << 16) & 0x0000_FFFF_0000_FFFF;
        let x = (x | x << 8) & 0x00FF_00FF_00FF_00FF;
        (x | x << 4) & 0x0F0F_0F0F_0F0F_0F0F
    })
}

/// The lowest bit of each nibble.
const NIBBLE_LOW_BITS: u64 = 0x1111_1111_1111_1111;

/// Reads the fields at `at`. Returns them as nibbles, with zeros for escapes; the lowest bit of
/// each nibble that is an escape; and the offset after the fields.
#[inline(always)]
fn fields(block: &[u8], at: usize, short: bool) -> Option<(u64, u64, usize)> {
    if short {
        let x = u64::from(u32_at(block, at)?);
        let x = (x | x << 16) & 0x0000_FFFF_0000_FFFF;
        let x = (x | x << 8) & 0x00FF_00FF_00FF_00FF;
        let x = (x | x << 4) & 0x0F0F_0F0F_0F0F_0F0F;
        let x = (x | x << 2) & 0x3333_3333_3333_3333;
        let escapes = x & x >> 1 & NIBBLE_LOW_BITS;
        return Some((x & !(escapes * 3), escapes, at + KEYS_PER_BLOCK / 4));
    }
    let x = u64_at(block, at)?;
    let pairs = x & x >> 1;
    let escapes = pairs & pairs >> 2 & NIBBLE_LOW_BITS;
    Some((x & !(escapes * 15), escapes, at + KEYS_PER_BLOCK / 2))
}

/// Returns base + nibble of each key as bytes, with the bytes at `at` in place of escapes; and the
/// offset after these.
#[inline(always)]
fn lengths(
    block: &[u8],
    mut at: usize,
    nibbles: u64,
    base: u8,
    mut escapes: u64,
) -> Option<([u8; KEYS_PER_BLOCK], usize)> {
    let mut all = [0; KEYS_PER_BLOCK];
    let base = u64::from(base) * 0x0101_0101_0101_0101;
    for (out, word) in all.as_chunks_mut::<8>().0.iter_mut().zip(spread(nibbles)) {
        *out = word.wrapping_add(base).to_le_bytes();
    }
    while escapes != 0 {
        all[(escapes.trailing_zeros() as usize / 4) & (KEYS_PER_BLOCK - 1)] = *block.get(at)?;
        at += 1;
        escapes &= escapes - 1;
    }
    Some((all, at))
}

impl Lengths {
    #[inline(always)]
    fn read(block: &[u8]) -> Option<Self> {
        let &[lcp_base, flags] = block.first_chunk()?;
        let (lcps, escaped_lcps, at) = fields(block, 2, flags & SHORT_LCPS != 0)?;
        let (lens, escaped_lens, at) = fields(block, at, flags & SHORT_LENS != 0)?;
        let (lcps, at) = lengths(block, at, lcps, lcp_base, escaped_lcps)?;
        let (lens, codes) = lengths(block, at, lens, flags & MAX_LEN_BASE as u8, escaped_lens)?;
        Some(Lengths { all: [lcps, lens], codes })
    }

    #[inline(always)]
    fn lcp(&self, i: usize) -> usize {
        self.all[0][i & (KEYS_PER_BLOCK - 1)].into()
    }

    #[inline(always)]
    fn len(&self, i: usize) -> usize {
        self.all[1][i & (KEYS_PER_BLOCK - 1)].into()
    }

    /// Returns the keys whose lcp is at most `m`, as a bit mask.
    #[inline(always)]
    fn at_most(&self, m: usize) -> u32 {
        checked_candidates(self.all.as_flattened(), 0, KEYS_PER_BLOCK, m.min(255) as u8, 0)
            .unwrap_or(0) as u32
    }

    /// Returns the number of codes of the keys before `i`.
    #[inline(always)]
    fn before(&self, i: usize) -> usize {
        checked_sum(self.all.as_flattened(), KEYS_PER_BLOCK, i).unwrap_or(0)
    }
}

/// Finds `key` among the `n` keys of the block: `Ok` with its position, or `Err` with that of the
/// first greater key.
///
/// `m` is the number of bytes that `key` shares with the separator before the block.
#[inline(always)]
pub(super) fn search<C: Coder>(
    block: &[u8],
    n: usize,
    coder: C,
    key: &[u8],
    m: usize,
) -> Option<Result<usize, usize>> {
    search_passing(block, n, coder, key, m, |_, _, _, _| ())
}

/// Passes the keys of the block that are prefixes of `key` to `each`, with their positions and
/// lengths, the longest first, until it returns something.
pub(super) fn prefixes<C: Coder, R>(
    block: &[u8],
    n: usize,
    coder: C,
    key: &[u8],
    m: usize,
    mut each: impl FnMut(usize, usize) -> Option<R>,
) -> Option<R> {
    let (mut found, mut count) = ([(0, 0); KEYS_PER_BLOCK], 0);
    let place = search_passing(block, n, coder, key, m, |i, code, at, shared| {
        if coder.decoded_len(code) == Some(shared)
            && let Some(next) = found.get_mut(count)
        {
            *next = (i, at + shared);
            count += 1;
        }
    })?;
    if let Ok(i) = place
        && let Some(next) = found.get_mut(count)
    {
        *next = (i, key.len());
        count += 1;
    }
    found.get(..count)?.iter().rev().find_map(|&(i, len)| each(i, len))
}

/// Finds `key` as [`search`] does. Passes each key that is compared and is less to `less`: its
/// position, codes and lcp, and how many bytes the codes share with the rest of `key`.
#[inline(always)]
fn search_passing<C: Coder>(
    block: &[u8],
    n: usize,
    coder: C,
    key: &[u8],
    m: usize,
    mut less: impl FnMut(usize, &[u8], usize, usize),
) -> Option<Result<usize, usize>> {
    if *block.first()? == WIDE_BLOCK {
        return search_wide(block, n, coder, key, m, less);
    }
    let lengths = Lengths::read(block)?;
    // The first key begins with the separator less its last byte. That byte follows its lcp.
    let mut m = m.min(lengths.lcp(0));
    let mut left = !(u32::MAX << n);
    loop {
        let candidates = lengths.at_most(m) & left;
        if candidates == 0 {
            return Some(Err(n));
        }
        let i = candidates.trailing_zeros() as usize;
        if lengths.lcp(i) < m {
            return Some(Err(i));
        }
        let start = lengths.codes + lengths.before(i) * C::CODE_BYTES;
        let code = block.get(start..)?.get(..lengths.len(i) * C::CODE_BYTES)?;
        let (shared, order) = coder.compare(code, key.get(m..)?);
        match order {
            Ordering::Equal => return Some(Ok(i)),
            Ordering::Greater => return Some(Err(i)),
            Ordering::Less => {
                less(i, code, m, shared);
                m += shared;
            }
        }
        left &= !1 << i;
    }
}

#[cold]
fn search_wide<C: Coder>(
    block: &[u8],
    n: usize,
    coder: C,
    key: &[u8],
    m: usize,
    mut less: impl FnMut(usize, &[u8], usize, usize),
) -> Option<Result<usize, usize>> {
    let mut m = m.min(u32_at(block, 1)? as usize);
    let mut at = 1 + 8 * n;
    for i in 0..n {
        let lcp = u32_at(block, 1 + 4 * i)? as usize;
        let code = block
            .get(at..)?
            .get(..(u32_at(block, 1 + 4 * (n + i))? as usize).checked_mul(C::CODE_BYTES)?)?;
        at += code.len();
        if lcp > m {
            continue;
        }
        if lcp < m {
            return Some(Err(i));
        }
        let (shared, order) = coder.compare(code, key.get(m..)?);
        match order {
            Ordering::Equal => return Some(Ok(i)),
            Ordering::Greater => return Some(Err(i)),
            Ordering::Less => {
                less(i, code, m, shared);
                m += shared;
            }
        }
    }
    Some(Err(n))
}

/// Returns the lcp of the first key: the number of bytes that must be known to decode the block.
#[inline(always)]
pub(super) fn first_lcp(block: &[u8]) -> Option<usize> {
    match *block.first()? {
        WIDE_BLOCK => Some(u32_at(block, 1)? as usize),
        _ => Some(Lengths::read(block)?.lcp(0)),
    }
}

/// Returns the bytes of the block that are not codes.
pub(super) fn header(block: &[u8], n: usize) -> Option<usize> {
    match *block.first()? {
        WIDE_BLOCK => Some(1 + 8 * n),
        _ => Some(Lengths::read(block)?.codes),
    }
}

/// Decodes the block's `n` keys into `decoded`, which knows the bytes that the first key's lcp
/// leaves out. Returns the bytes of the block.
#[inline(always)]
pub(super) fn read<C: Coder>(
    block: &[u8],
    n: usize,
    coder: C,
    decoded: &mut impl KeySink,
) -> Option<usize> {
    if *block.first()? == WIDE_BLOCK {
        let mut at = 1 + 8 * n;
        for i in 0..n {
            let lcp = u32_at(block, 1 + 4 * i)? as usize;
            let code = block
                .get(at..)?
                .get(..(u32_at(block, 1 + 4 * (n + i))? as usize).checked_mul(C::CODE_BYTES)?)?;
            at += code.len();
            decoded.push(lcp, code.len() / C::CODE_BYTES * C::MAX_BYTES_PER_CODE, |out| {
                coder.decode(code, out)
            })?;
        }
        return Some(at);
    }
    let lengths = Lengths::read(block)?;
    let mut rest = block.get(lengths.codes..)?;
    for i in 0..n {
        let (code, after) = rest.split_at_checked(lengths.len(i) * C::CODE_BYTES)?;
        rest = after;
        decoded.push(lengths.lcp(i), lengths.len(i) * C::MAX_BYTES_PER_CODE, |out| {
            coder.decode(code, out)
        })?;
    }
    Some(block.len() - rest.len())
}
