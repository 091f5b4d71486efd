//! Training: finds the symbols with which a sample takes the fewest codes.
//!
//! In each generation the sample is parsed with the current symbols. Each symbol and each pair of
//! adjacent symbols is weighted by the bytes that it stands for. The heaviest ones are the next
//! generation, so lengths double from one generation to the next.
//!
//! Boncz, Neumann, Leis: "FSST: fast random access string compression", VLDB 2020, for this
//! bottom-up scheme; Gargiulo, Venturini: "OnPair: short strings compression for fast random
//! access", 2025, for dictionaries of 65,536 entries of up to 16 bytes.

use super::table::{Match, Symbol};
#[cfg(feature = "parallel")]
use rayon::prelude::*;
use std::collections::TryReserveError;
use std::ops::Range;

/// The steps of the generations, counted back from the last one: only every n-th string is parsed,
/// as long as `Limits::min_bytes` bytes are. Early generations need less, since shorter symbols are
/// more frequent.
const SAMPLE_STEPS: [usize; 6] = [1, 1, 4, 8, 16, 32];
/// Least number of occurrences of a symbol that is kept for the next generation.
const MIN_COUNT_TO_KEEP: u32 = 2;

/// Strings to train with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes of strings whose pairs are in memory at once, if they are limited. A larger sample is
    /// parsed several times, for some of the pairs each time, with the same result.
    pass_bytes: Option<usize>,
}

impl Sample {
    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// Pushes a string, if there is memory for it.
    pub(crate) fn try_push(&mut self, string: &[u8]) -> Result<(), TryReserveError> {
        self.bytes.try_reserve(string.len())?;
        self.ends.try_reserve(1)?;
        self.push(string);
        Ok(())
    }

    /// Creates an empty sample with room for some strings of some bytes together.
    pub(crate) fn with_capacity(strings: usize, bytes: usize) -> Self {
        let (bytes, ends) = (Vec::with_capacity(bytes), Vec::with_capacity(strings));
        Sample { bytes, ends, pass_bytes: None }
    }

    /// Limits the bytes of strings whose pairs are in memory at once, for training with less
    /// memory. The symbols do not depend on it.
    pub(crate) fn limit_pass(&mut self, bytes: usize) {
        self.pass_bytes = Some(bytes.max(1));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Returns about `bytes` bytes of the strings: every n-th one.
    pub(crate) fn thinned(&self, bytes: usize) -> Self {
        let mut thinned = Sample::default();
        let step = (self.bytes() / bytes.max(1)).max(1);
        self.iter().step_by(step).for_each(|string| thinned.push(string));
        thinned
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn range(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        range.map(|i| {
            &self.bytes[i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]]
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.range(0..self.len())
    }
}

/// Limits of a table.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Most symbols.
    pub(super) symbols: usize,
    /// Most bytes of a symbol.
    pub(super) len: usize,
    /// Whether every single byte is a symbol. If not, a byte without a symbol is escaped.
    pub(super) all_bytes: bool,
    pub(super) generations: usize,
    /// Bytes that each generation parses at least, if the sample has as many.
    pub(super) min_bytes: usize,
    /// Least number of occurrences of a symbol in the last generation.
    pub(super) least: u32,
    /// Whether other threads help. If not, all memory is reserved before it is used.
    pub(super) is_parallel: bool,
}

/// Most times that a sample is parsed in one generation.
const MAX_PASSES: usize = 16;
/// Strings that one task parses. A smaller sample is parsed by the calling thread alone.
const STRINGS_PER_TASK: usize = 1 << 12;
/// Items from which on they are sorted in parallel.
#[cfg(feature = "parallel")]
const ITEMS_TO_SORT_IN_PARALLEL: usize = 1 << 18;

/// Result of a parse: the number of occurrences of each code, and the pairs of adjacent codes.
struct Parse {
    counts: Vec<u32>,
    pairs: Vec<u32>,
}

/// The pairs that a parse returns: those whose first code has this remainder.
#[derive(Clone, Copy)]
struct Pass {
    number: usize,
    passes: usize,
}

/// Parses every `step`-th string. Codes from the number of symbols on are bytes without a symbol.
/// Without a pass it returns no pairs.
fn parse<M: Match>(
    sample: &Sample,
    matcher: &M,
    (step, pass): (usize, Option<Pass>),
    is_parallel: bool,
) -> Result<Parse, TryReserveError> {
    let known = matcher.symbols().len();
    let groups = sample.len().div_ceil(STRINGS_PER_TASK * step);
    let fold = |mut all: Parse, part: usize| {
        let Parse { counts, pairs } = &mut all;
        let first = part * STRINGS_PER_TASK * step;
        for string in
            sample.range(first..sample.len().min(first + STRINGS_PER_TASK * step)).step_by(step)
        {
            let mut before = None;
            matcher.parse(string, |code, byte| {
                let code = code.unwrap_or(known + usize::from(byte));
                counts[code] += 1;
                if let (Some(before), Some(pass)) = (before, pass)
                    && (pass.passes == 1 || before % pass.passes == pass.number)
                {
                    pairs.push(pair(before, code));
                }
                before = Some(code);
            });
        }
        all
    };
    #[cfg(feature = "parallel")]
    if is_parallel && groups > 1 {
        let empty = || Parse { counts: vec![0u32; known + 256], pairs: Vec::new() };
        // The order of the pairs does not matter.
        let join = |mut all: Parse, part: Parse| {
            all.counts.iter_mut().zip(part.counts).for_each(|(sum, count)| *sum += count);
            all.pairs.extend_from_slice(&part.pairs);
            all
        };
        let mut all = (0..groups).into_par_iter().fold(empty, fold).reduce(empty, join);
        sort_by_key(&mut all.pairs, |&pair| pair, true);
        return Ok(all);
    }
    let mut first = Parse { counts: Vec::new(), pairs: Vec::new() };
    first.counts.try_reserve_exact(known + 256)?;
    first.counts.resize(known + 256, 0);
    if !is_parallel && pass.is_some() {
        // A string has less pairs than bytes.
        let strings = sample.iter().step_by(step);
        first.pairs.try_reserve_exact(strings.map(<[u8]>::len).sum())?;
    }
    let mut all = (0..groups).fold(first, fold);
    sort_by_key(&mut all.pairs, |&pair| pair, is_parallel);
    Ok(all)
}

/// Sorts items, in parallel if they are many and other threads may help.
fn sort_by_key<T: Send, K: Ord + Send>(
    items: &mut [T],
    key: impl Fn(&T) -> K + Sync,
    is_parallel: bool,
) {
    #[cfg(feature = "parallel")]
    if is_parallel && items.len() > ITEMS_TO_SORT_IN_PARALLEL {
        return items.par_sort_unstable_by_key(key);
    }
    #[cfg(not(feature = "parallel"))]
    let _ = is_parallel;
    items.sort_unstable_by_key(key);
}

fn pair(before: usize, code: usize) -> u32 {
    (before as u32) << 16 | code as u32
}

/// Finds the symbols. Fails only if other threads do not help, for lack of memory.
pub(super) fn train<M: Match>(sample: &Sample, limits: Limits) -> Result<M, TryReserveError> {
    let singles = || (0..=u8::MAX).map(|byte| Symbol::of(&[byte]));
    let first = if limits.all_bytes { singles().collect() } else { Vec::new() };
    let mut matcher = M::try_new(first)?;
    for generation in 1..=limits.generations {
        let left = limits.generations - generation;
        let step = SAMPLE_STEPS[left.min(SAMPLE_STEPS.len() - 1)]
            .min(sample.bytes() / limits.min_bytes)
            .max(1);
        let passes = sample
            .pass_bytes
            .map_or(1, |bytes| (sample.bytes() / step / bytes).clamp(1, MAX_PASSES));
        let parse = |number: usize| {
            let pass = (left > 0).then_some(Pass { number, passes });
            parse(sample, &matcher, (step, pass), limits.is_parallel)
        };
        let Parse { counts, mut pairs } = parse(0)?;
        let least = if left > 1 { MIN_COUNT_TO_KEEP } else { limits.least };
        let known = matcher.symbols().len();
        let symbol = |code: usize| {
            if code < known { matcher.symbols()[code] } else { Symbol::of(&[(code - known) as u8]) }
        };
        let mut gains: Vec<(Symbol, u64)> = Vec::new();
        let mut add = |symbol: Symbol, count: u32| {
            if count >= least || symbol.len() == 1 {
                gains.try_reserve(1)?;
                gains.push((symbol, u64::from(count) * symbol.len() as u64));
            }
            Ok::<_, TryReserveError>(())
        };
        for (code, &count) in counts.iter().enumerate() {
            if count > 0 {
                // An escaped byte takes two codes.
                let weight = if symbol(code).len() == 1 && !limits.all_bytes { 8 } else { 1 };
                add(symbol(code), count.saturating_mul(weight))?;
            }
        }
        for number in 1..=passes {
            for equal in pairs.chunk_by(|a, b| a == b) {
                let [a, b] = [equal[0] >> 16, equal[0] & 0xFFFF].map(|code| symbol(code as usize));
                add(a.join(b, limits.len), equal.len() as u32)?;
                if !limits.all_bytes && b.len() > 1 {
                    add(a.join(b.head(), limits.len), equal.len() as u32)?;
                }
            }
            pairs = Vec::new();
            if left > 0 && number < passes {
                pairs = parse(number)?.pairs;
            }
        }
        // Several pairs may make the same symbol.
        sort_by_key(&mut gains, |gain| gain.0, limits.is_parallel);
        gains.dedup_by(|next, gain| {
            let same = next.0 == gain.0;
            gain.1 += if same { next.1 } else { 0 };
            same
        });
        let mut symbols: Vec<Symbol> = Vec::new();
        if limits.all_bytes {
            symbols.extend(singles());
            gains.retain(|(symbol, _)| symbol.len() > 1);
        }
        let most = limits.symbols - symbols.len();
        if most < gains.len() {
            // Ties are broken by the order of the symbols.
            gains.select_nth_unstable_by(most, |a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            gains.truncate(most);
        }
        symbols.try_reserve(gains.len())?;
        symbols.extend(gains.into_iter().map(|(symbol, _)| symbol));
        matcher = M::try_new(symbols)?;
    }
    Ok(matcher)
}
