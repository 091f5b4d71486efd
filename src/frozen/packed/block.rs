//! Blocks of keys.
//!
//! ```text
//!   0   base: the least lcp; 255: the block is wide
//!   1   of each key lcp − base, a nibble, the even key's the low one; 15: see below                  8 bytes
//!   9   of each key its codes, a nibble; 15: see below                                               8 bytes
//!  17   the lcps whose nibble is 15, a byte each; then the numbers of codes whose nibble is 15       a byte each
//!       the codes of each key behind its lcp
//!
//!   wide: base, lcp[n], codes[n], u32 each, and the codes
//! ```

use crate::frozen::bytes::u32_at;
use crate::frozen::run::Run;
use crate::frozen::symbols::{Coder, Encoder};
use crate::raw::{LANES, checked_candidates, checked_sum};
use std::cmp::Ordering;

/// Keys of a block.
pub(crate) const BLOCK: usize = 16;
const _: () = assert!(BLOCK == LANES);
const HEADER: usize = 1 + BLOCK;
const WIDE: u8 = 255;
/// The nibble of what does not fit one.
const ESCAPE: u8 = 15;

/// Appends a block of keys, of which each has its lcp and the bytes behind it.
pub(super) fn write<'a>(keys: impl Iterator<Item = (usize, &'a [u8])>, encoder: &Encoder, out: &mut Vec<u8>, codes: &mut Vec<u8>) {
    codes.clear();
    let (mut lcps, mut lens) = ([0usize; BLOCK], [0usize; BLOCK]);
    let mut n = 0;
    for (lcp, suffix) in keys {
        let start = codes.len();
        encoder.encode(suffix, codes);
        lcps[n] = lcp;
        lens[n] = (codes.len() - start) / encoder.unit();
        n += 1;
    }
    if lcps.iter().chain(&lens).any(|&x| x >= WIDE.into()) {
        out.push(WIDE);
        for x in lcps[..n].iter().chain(&lens[..n]) {
            out.extend_from_slice(&(*x as u32).to_le_bytes());
        }
    } else {
        let base = lcps[..n].iter().min().copied().unwrap_or(0);
        out.push(base as u8);
        // Keys that are not there: as if they were like the base.
        let nibble = |x: usize| x.min(ESCAPE.into()) as u8;
        let lcp_nibbles: [u8; BLOCK] = std::array::from_fn(|i| nibble(lcps[i].saturating_sub(base)));
        let len_nibbles = lens.map(nibble);
        for nibbles in [&lcp_nibbles, &len_nibbles] {
            out.extend(nibbles.as_chunks::<2>().0.iter().map(|[low, high]| low | high << 4));
        }
        for (nibbles, values) in [(&lcp_nibbles, &lcps), (&len_nibbles, &lens)] {
            out.extend(nibbles.iter().zip(values).filter(|(nibble, _)| **nibble == ESCAPE).map(|(_, &x)| x as u8));
        }
    }
    out.extend_from_slice(codes);
}

/// The lengths of a narrow block: lcps, then numbers of codes.
struct Lengths {
    all: [u8; 2 * BLOCK],
    /// Where the codes begin.
    codes: usize,
}

#[inline(always)]
fn unpack(nibbles: &[u8; BLOCK / 2], out: &mut [u8]) {
    for (pair, &byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(nibbles) {
        *pair = [byte & 15, byte >> 4];
    }
}

/// Puts in place of escapes what stands at `at`, and gives where that ends.
#[inline(always)]
fn patch(block: &[u8], mut at: usize, out: &mut [u8], mut escaped: u32) -> Option<usize> {
    while escaped != 0 {
        *out.get_mut(escaped.trailing_zeros() as usize)? = *block.get(at)?;
        at += 1;
        escaped &= escaped - 1;
    }
    Some(at)
}

/// Which nibbles are escapes, in order. Both words hold eight bytes of nibbles.
#[inline(always)]
fn escapes(nibbles: &[u8; BLOCK]) -> u32 {
    let mut mask = 0;
    for (i, &nibble) in nibbles.iter().enumerate() {
        mask |= u32::from(nibble == ESCAPE) << i;
    }
    mask
}

impl Lengths {
    #[inline(always)]
    fn read(block: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = block.first_chunk()?;
        let mut all = [0; 2 * BLOCK];
        let (lcps, lens) = all.split_at_mut(BLOCK);
        let (lcps, lens): (&mut [u8; BLOCK], &mut [u8; BLOCK]) = (lcps.first_chunk_mut()?, lens.first_chunk_mut()?);
        unpack(header[1..].first_chunk()?, lcps);
        unpack(header[1 + BLOCK / 2..].first_chunk()?, lens);
        let (escaped_lcps, escaped_lens) = (escapes(lcps), escapes(lens));
        for lcp in lcps.iter_mut() {
            *lcp = lcp.wrapping_add(header[0]);
        }
        let at = patch(block, HEADER, lcps, escaped_lcps)?;
        let codes = patch(block, at, lens, escaped_lens)?;
        Some(Lengths { all, codes })
    }

    #[inline(always)]
    fn lcp(&self, i: usize) -> usize {
        self.all[i & (BLOCK - 1)].into()
    }

    #[inline(always)]
    fn len(&self, i: usize) -> usize {
        self.all[BLOCK + (i & (BLOCK - 1))].into()
    }

    /// The keys whose lcp is at most `m`.
    #[inline(always)]
    fn at_most(&self, m: usize) -> u32 {
        checked_candidates(&self.all, 0, BLOCK, m.min(255) as u8, 0).unwrap_or(0) as u32
    }

    /// Codes of the keys before `i`.
    #[inline(always)]
    fn before(&self, i: usize) -> usize {
        checked_sum(&self.all, BLOCK, i).unwrap_or(0)
    }
}

/// Finds `key` among the block's `n` keys: `Ok` with its place, or `Err` with that of the first greater one. `m` is how many bytes it shares
/// with the separator before the block.
#[inline(always)]
pub(super) fn search<C: Coder>(block: &[u8], n: usize, coder: C, key: &[u8], m: usize) -> Option<Result<usize, usize>> {
    if *block.first()? == WIDE {
        return search_wide(block, n, coder, key, m);
    }
    let lengths = Lengths::read(block)?;
    // The first key begins with the separator's bytes but the last, and has that one behind its lcp.
    let mut m = m.min(lengths.lcp(0));
    let mut left = !(u32::MAX << n);
    loop {
        let hits = lengths.at_most(m) & left;
        if hits == 0 {
            return Some(Err(n));
        }
        let i = hits.trailing_zeros() as usize;
        if lengths.lcp(i) < m {
            return Some(Err(i));
        }
        let start = lengths.codes + lengths.before(i) * C::UNIT;
        let code = block.get(start..)?.get(..lengths.len(i) * C::UNIT)?;
        let (shared, order) = coder.compare(code, key.get(m..)?);
        match order {
            Ordering::Equal => return Some(Ok(i)),
            Ordering::Greater => return Some(Err(i)),
            Ordering::Less => m += shared,
        }
        left &= !1 << i;
    }
}

#[cold]
fn search_wide<C: Coder>(block: &[u8], n: usize, coder: C, key: &[u8], m: usize) -> Option<Result<usize, usize>> {
    let mut m = m.min(u32_at(block, 1)? as usize);
    let mut at = 1 + 8 * n;
    for i in 0..n {
        let lcp = u32_at(block, 1 + 4 * i)? as usize;
        let code = block.get(at..)?.get(..(u32_at(block, 1 + 4 * (n + i))? as usize).checked_mul(C::UNIT)?)?;
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
            Ordering::Less => m += shared,
        }
    }
    Some(Err(n))
}

/// The lcp of the first key: how many bytes have to be known to read the block.
#[inline(always)]
pub(super) fn first_lcp(block: &[u8]) -> Option<usize> {
    match *block.first()? {
        WIDE => Some(u32_at(block, 1)? as usize),
        _ => Some(Lengths::read(block)?.lcp(0)),
    }
}

/// Reads the block's `n` keys into `run`, of which `prefix` holds what the first one's lcp leaves out.
#[inline(always)]
pub(super) fn read<C: Coder>(block: &[u8], n: usize, coder: C, run: &mut Run) -> Option<()> {
    if *block.first()? == WIDE {
        let mut at = 1 + 8 * n;
        for i in 0..n {
            let lcp = u32_at(block, 1 + 4 * i)? as usize;
            let code = block.get(at..)?.get(..(u32_at(block, 1 + 4 * (n + i))? as usize).checked_mul(C::UNIT)?)?;
            at += code.len();
            run.push(lcp, |out| coder.append(code, out))?;
        }
        return Some(());
    }
    let lengths = Lengths::read(block)?;
    let mut rest = block.get(lengths.codes..)?;
    for i in 0..n {
        let (code, behind) = rest.split_at_checked(lengths.len(i) * C::UNIT)?;
        rest = behind;
        run.push(lengths.lcp(i), |out| coder.append(code, out))?;
    }
    Some(())
}
