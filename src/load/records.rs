//! The input of a load: records in blocks, each identified by its block and a 32-bit position in
//! it.

#![forbid(unsafe_code)]

use crate::tree::prefetch;
use crate::value::Value;
use rayon::prelude::*;
use std::io::BufRead;
use std::marker::PhantomData;
use std::ops::Range;

/// Records that several threads read.
pub(crate) trait Records<V>: Sync {
    /// Returns the number of blocks.
    fn blocks(&self) -> usize;

    /// Returns the approximate number of records.
    fn approx_len(&self) -> usize;

    /// Calls `visit` with the position and key of each record of a block, in order.
    fn each(&self, block: usize, visit: impl FnMut(u32, &[u8]));

    /// Returns the record at a position.
    fn get(&self, block: usize, at: u32) -> (&[u8], V);

    /// Prefetches a record that is needed soon: what leads to its key, or, if `next`, the key.
    fn prefetch(&self, block: usize, at: u32, next: bool);

    /// Returns the key of a random record, chosen by the random number `word`.
    ///
    /// Subtracts the bytes that it reads from `budget`. Returns `None` if there is no record, or
    /// none is found within the budget.
    fn some_key(&self, word: u64, budget: &mut usize) -> Option<&[u8]>;
}

/// Returns a number below `count`, from a random word.
fn below(word: u64, count: usize) -> usize {
    ((u128::from(word) * count as u128) >> 64) as usize
}

/// The pairs of a slice.
pub(crate) struct Pairs<'p, K, V>(pub(crate) &'p [(K, V)]);

/// Pairs of a block.
const PAIRS_PER_BLOCK: usize = 1 << 17;
/// Records between a prefetch and its use.
pub(super) const PREFETCH_DISTANCE: usize = 12;

impl<K: AsRef<[u8]> + Sync, V: Value + Sync> Records<V> for Pairs<'_, K, V> {
    fn blocks(&self) -> usize {
        self.0.len().div_ceil(PAIRS_PER_BLOCK)
    }

    fn approx_len(&self) -> usize {
        self.0.len()
    }

    fn each(&self, block: usize, mut visit: impl FnMut(u32, &[u8])) {
        let pairs = &self.0[block * PAIRS_PER_BLOCK..];
        for (at, (key, _)) in (0..).zip(pairs.iter().take(PAIRS_PER_BLOCK)) {
            if let Some((key, _)) = pairs.get(at as usize + PREFETCH_DISTANCE) {
                prefetch(key.as_ref().as_ptr());
            }
            visit(at, key.as_ref());
        }
    }

    fn get(&self, block: usize, at: u32) -> (&[u8], V) {
        let (key, value) = &self.0[block * PAIRS_PER_BLOCK + at as usize];
        (key.as_ref(), *value)
    }

    fn prefetch(&self, block: usize, at: u32, next: bool) {
        let pair = &self.0[block * PAIRS_PER_BLOCK + at as usize];
        prefetch(if next { pair.0.as_ref().as_ptr() } else { (&raw const *pair).cast() });
    }

    fn some_key(&self, word: u64, _: &mut usize) -> Option<&[u8]> {
        self.0.get(below(word, self.0.len())).map(|(key, _)| key.as_ref())
    }
}

/// The lines of a text, from which a function makes records.
pub(crate) struct Text<'t, V, F> {
    text: &'t [u8],
    /// Of whole lines.
    blocks: Vec<Range<usize>>,
    approx_len: usize,
    parse: F,
    values: PhantomData<fn() -> V>,
}

/// Bytes of a block of text. The line at its end is added whole.
pub(super) const TEXT_BLOCK_BYTES: usize = 4 << 20;
/// Bytes at the start of a text in which lines are counted, to estimate their number.
const COUNTED_BYTES: usize = 16 << 10;

/// Returns the length of the first line of a text, without its `\n`.
#[inline]
fn line_len(text: &[u8]) -> usize {
    // Reading a slice never fails.
    let len = { text }.skip_until(b'\n').unwrap_or(0);
    len - usize::from(text[..len].last() == Some(&b'\n'))
}

/// Returns the lines of a text, without their `\n`, each with its offset.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let (at, line) = (start, &rest[..line_len(rest)]);
        start += line.len() + 1;
        Some((at, line))
    })
}

impl<'t, V: Value, F: Fn(&'t [u8], u64) -> (&'t [u8], V) + Sync> Text<'t, V, F> {
    pub(crate) fn new(text: &'t [u8], parse: F) -> Self {
        let (mut blocks, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let end = (start + TEXT_BLOCK_BYTES).min(text.len());
            let end = (end + line_len(&text[end..]) + 1).min(text.len());
            blocks.push(start..end);
            start = end;
        }
        let counted = &text[..text.len().min(COUNTED_BYTES)];
        let lines = counted.iter().filter(|&&byte| byte == b'\n').count().max(1);
        let approx_len =
            (text.len() as u128 * lines as u128 / counted.len().max(1) as u128) as usize;
        Text { text, blocks, approx_len, parse, values: PhantomData }
    }

    fn record(&self, start: usize, end: usize) -> (&'t [u8], V) {
        (self.parse)(&self.text[start..end], start as u64)
    }
}

impl<'t, V: Value, F: Fn(&'t [u8], u64) -> (&'t [u8], V) + Sync> Records<V> for Text<'t, V, F> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn approx_len(&self) -> usize {
        self.approx_len
    }

    fn each(&self, block: usize, mut visit: impl FnMut(u32, &[u8])) {
        let block = self.blocks[block].clone();
        for (at, line) in lines(&self.text[block.clone()]) {
            visit(at as u32, (self.parse)(line, (block.start + at) as u64).0);
        }
    }

    fn get(&self, block: usize, at: u32) -> (&[u8], V) {
        let Range { start, end } = self.blocks[block].clone();
        let start = start + at as usize;
        self.record(start, start + line_len(&self.text[start..end]))
    }

    fn prefetch(&self, block: usize, at: u32, next: bool) {
        if !next {
            prefetch(self.text[self.blocks[block].start + at as usize..].as_ptr());
        }
    }

    fn some_key(&self, word: u64, budget: &mut usize) -> Option<&[u8]> {
        if self.text.is_empty() {
            return None;
        }
        // Returns the end of the line that contains a byte, if it is found within the budget.
        let mut end = |at: usize| {
            let len = line_len(&self.text[at..self.text.len().min(at + *budget)]);
            *budget -= len;
            (*budget > 0).then_some(at + len)
        };
        // The line after the one with a random byte; after the last line, the first.
        let start = end(below(word, self.text.len()))? + 1;
        let start = if start < self.text.len() { start } else { 0 };
        Some(self.record(start, end(start)?).0)
    }
}

/// Copies of the pairs of a parallel iterator, in order.
pub(crate) struct Gathered<V> {
    blocks: Vec<Block<V>>,
    /// For each block, the number of pairs up to its end.
    ends: Vec<usize>,
}

/// Copies of neighbouring pairs.
pub(super) struct Block<V> {
    bytes: Vec<u8>,
    /// The end of each key in `bytes`.
    ends: Vec<u32>,
    values: Vec<V>,
}

/// Bytes of keys, and also keys, at which a block is full.
const GATHERED_BLOCK_BYTES: usize = 1 << 20;

impl<V: Value + Send> Gathered<V> {
    pub(crate) fn new<K: AsRef<[u8]>>(pairs: impl IntoParallelIterator<Item = (K, V)>) -> Self {
        let add = |mut blocks: Vec<Block<V>>, (key, value): (K, V)| {
            Block::push(&mut blocks, key.as_ref(), value);
            blocks
        };
        let shrunk = |mut blocks: Vec<Block<V>>| {
            blocks.last_mut().into_iter().for_each(Block::shrink);
            blocks
        };
        Self::of_blocks(pairs.into_par_iter().fold(Vec::new, add).flat_map_iter(shrunk).collect())
    }

    pub(super) fn of_blocks(blocks: Vec<Block<V>>) -> Self {
        let mut end = 0;
        let ends = blocks.iter().map(|block| {
            end += block.ends.len();
            end
        });
        Gathered { ends: ends.collect(), blocks }
    }
}

impl<V> Block<V> {
    /// Adds a pair to the last of some blocks, or to a new one if that is full.
    pub(super) fn push(blocks: &mut Vec<Block<V>>, key: &[u8], value: V) {
        let full = |block: &Block<V>| {
            block.bytes.len().max(block.ends.len()) >= GATHERED_BLOCK_BYTES
                || block.bytes.len() + key.len() > u32::MAX as usize
        };
        if blocks.last().is_none_or(full) {
            blocks.last_mut().into_iter().for_each(Block::shrink);
            blocks.push(Block { bytes: Vec::new(), ends: Vec::new(), values: Vec::new() });
        }
        if let Some(block) = blocks.last_mut() {
            block.bytes.extend_from_slice(key);
            block.ends.push(block.bytes.len() as u32);
            block.values.push(value);
        }
    }

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    fn key(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }
}

impl<V: Value + Sync> Records<V> for Gathered<V> {
    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn approx_len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn each(&self, block: usize, mut visit: impl FnMut(u32, &[u8])) {
        let block = &self.blocks[block];
        (0..block.ends.len()).for_each(|i| visit(i as u32, block.key(i)));
    }

    fn get(&self, block: usize, at: u32) -> (&[u8], V) {
        let block = &self.blocks[block];
        (block.key(at as usize), block.values[at as usize])
    }

    fn prefetch(&self, block: usize, at: u32, next: bool) {
        let block = &self.blocks[block];
        if next {
            prefetch(block.key(at as usize).as_ptr());
        } else {
            prefetch((&raw const block.ends[at as usize]).cast());
            prefetch((&raw const block.values[at as usize]).cast());
        }
    }

    fn some_key(&self, word: u64, _: &mut usize) -> Option<&[u8]> {
        // By pairs, not by blocks, since blocks may differ in size.
        let i = below(word, *self.ends.last()?);
        let block = self.ends.partition_point(|&end| end <= i);
        let start = block.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(self.blocks[block].key(i - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_lines(text: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let records = Text::new(text, |line, at| (line, at));
        let mut all = Vec::new();
        for block in 0..records.blocks() {
            records.each(block, |at, key| {
                assert_eq!(records.get(block, at).0, key);
                all.push((key.to_vec(), records.get(block, at).1));
            });
        }
        all
    }

    #[test]
    fn lines_are_separated() {
        assert!(all_lines(b"").is_empty());
        assert_eq!(all_lines(b"\n"), [(vec![], 0)]);
        assert_eq!(all_lines(b"a"), [(b"a".to_vec(), 0)]);
        assert_eq!(
            all_lines(b"a\n\nb\r\n"),
            [(b"a".to_vec(), 0), (vec![], 2), (b"b\r".to_vec(), 3)]
        );
        assert_eq!(all_lines(b"a\nbc"), [(b"a".to_vec(), 0), (b"bc".to_vec(), 2)]);
    }

    #[test]
    fn blocks_end_with_lines() {
        let text: Vec<u8> = (0..1_200_000).flat_map(|i| format!("{i}\n").into_bytes()).collect();
        assert!(text.len() > 2 * TEXT_BLOCK_BYTES);
        let all = all_lines(&text);
        assert_eq!(all.len(), 1_200_000);
        assert!(all.iter().enumerate().all(|(i, (key, at))| *key == i.to_string().into_bytes()
            && text[*at as usize..].starts_with(key)));
    }

    #[test]
    fn sampling_a_text_reads_no_more_than_its_budget() {
        let long = [vec![b'x'; 5000], b"\n".to_vec()].concat();
        for text in [&b"\n"[..], b"a", b"a\nb\n", &long, &[&long[..], b"a\n", &long].concat()] {
            let records = Text::new(text, |line, at| (line, at));
            for word in (0..200u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                let mut budget = 20_000;
                let key = records.some_key(word, &mut budget).unwrap();
                assert!(text.split(|b| *b == b'\n').any(|line| line == key));
                assert!(20_000 - budget >= key.len());
                let mut budget = 4000;
                let key = records.some_key(word, &mut budget);
                assert!(key.is_none_or(|key| key.len() < 4000) && budget <= 4000);
            }
        }
        assert_eq!(Text::new(b"", |line, at| (line, at)).some_key(7, &mut 100), None);
    }

    #[test]
    fn all_gathered_pairs_are_equally_likely_in_a_sample() {
        // Most blocks have one pair, since a filter leaves little.
        let gathered = Gathered::new(
            (0..1_000_000u64)
                .into_par_iter()
                .filter(|i| *i < 1000 || i % 50_000 == 0)
                .map(|i| (i.to_be_bytes(), i)),
        );
        let keys = 1000 + 19;
        let words = (0..100_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let small = words
            .filter(|word| gathered.some_key(*word, &mut 0).unwrap() < &1000u64.to_be_bytes()[..])
            .count();
        assert!((small * keys).abs_diff(1000 * 100_000) < 100_000 * 10, "{small}");
    }

    #[test]
    fn pairs_are_gathered_in_order() {
        let gathered = Gathered::new((0..300_000u64).into_par_iter().map(|i| (i.to_be_bytes(), i)));
        let mut next = 0u64;
        for block in 0..gathered.blocks() {
            gathered.each(block, |at, key| {
                assert_eq!(
                    (key, gathered.get(block, at)),
                    (&next.to_be_bytes()[..], (&next.to_be_bytes()[..], next))
                );
                next += 1;
            });
        }
        assert_eq!(next, 300_000);
    }
}
