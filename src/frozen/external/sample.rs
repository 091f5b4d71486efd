//! The keys that symbols are chosen from, which depend on the set of keys alone.
//!
//! Symbols are trained on what follows the prefix that a key shares with the one before. So a
//! sample has spans: neighbours in the sorted set of all keys. The spans begin at the keys with
//! the least hashes: a bottom-k sketch, which is the same whatever part of the input was seen
//! first, and from which the number of keys can be estimated.
//!
//! Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.

use super::duplicate::Duplicates;
use super::merge::{Merger, RecordSource};
use crate::frozen::error::FrozenError;
use crate::frozen::options::GivenSample;
use crate::symbols::Sample;
use crate::tree::common_prefix;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Spans of a sample.
const SPANS: usize = 1 << 14;
/// Most keys of a span.
const KEYS_PER_SPAN: usize = 24;
/// Bytes of what is left of the keys after which a span ends. It has at most twice as many.
const BYTES_PER_SPAN: usize = 480;
/// Bytes of a span's values, if they are byte strings, from which symbols are chosen.
const VALUE_BYTES_PER_SPAN: usize = 480;
/// Bytes of a key that are hashed, and that are kept as the start of a span.
const MAX_START_BYTES: usize = 1 << 9;
/// Spans that one task reads.
const SPANS_PER_TASK: usize = 1 << 8;

/// The starts of a sample's spans: those of all keys seen that have the least hashes.
#[derive(Debug, Default)]
pub(super) struct Starts {
    least: BTreeSet<(u64, Box<[u8]>)>,
    /// The greatest hash of `least` once it is full.
    limit: Option<u64>,
}

impl Starts {
    /// Takes a key into account.
    #[inline]
    pub(super) fn see(&mut self, key: &[u8]) {
        let start = &key[..key.len().min(MAX_START_BYTES)];
        let hash = hash(start);
        if self.limit.is_none_or(|limit| hash <= limit) {
            self.insert(hash, start);
        }
    }

    #[cold]
    fn insert(&mut self, hash: u64, start: &[u8]) {
        self.least.insert((hash, start.into()));
        if self.least.len() > SPANS {
            self.least.pop_last();
        }
        if self.least.len() == SPANS {
            self.limit = self.least.last().map(|(hash, _)| *hash);
        }
    }

    /// Returns the approximate number of different keys that were seen.
    fn keys(&self) -> u128 {
        match self.limit {
            None => self.least.len() as u128,
            Some(limit) => ((SPANS as u128) << 64) / (u128::from(limit) + 1),
        }
    }

    /// Reads the sample from sources of all keys that were seen, which `sources` returns anew for
    /// each task.
    pub(super) fn read<S: Seek>(
        self,
        duplicates: Duplicates,
        sources: impl Fn() -> Vec<S> + Sync,
    ) -> Result<KeySample, FrozenError> {
        let keys = self.keys();
        let mut starts: Vec<Box<[u8]>> = self.least.into_iter().map(|(_, start)| start).collect();
        starts.par_sort_unstable();
        let parts = (0..starts.len().div_ceil(SPANS_PER_TASK)).into_par_iter().map(|task| {
            let first = task * SPANS_PER_TASK;
            let end = starts.len().min(first + SPANS_PER_TASK);
            let after = starts.get(end).map(|start| &start[..]);
            read_spans(sources(), duplicates, &starts[first..end], after)
        });
        let parts = parts.collect::<Result<Vec<Spans>, FrozenError>>()?;
        let count = parts.iter().map(|part| part.suffixes.len()).sum::<usize>() as u128;
        let stands_for = |bytes: u128| {
            let all = bytes * keys.max(count) / count.max(1);
            all.try_into().unwrap_or(u64::MAX)
        };
        let value_bytes = parts.iter().map(|part| u128::from(part.value_bytes)).sum();
        let (suffixes, values): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.suffixes, part.values)).unzip();
        let strings = joined(suffixes);
        let bytes = stands_for(strings.bytes() as u128);
        let values = duplicates
            .are_bytes()
            .then(|| GivenSample { strings: joined(values), bytes: stands_for(value_bytes) });
        Ok(KeySample { keys: GivenSample { strings, bytes }, values })
    }
}

/// Returns the strings of several samples.
fn joined(parts: Vec<Sample>) -> Sample {
    let count = parts.iter().map(Sample::len).sum();
    let mut sample = Sample::with_capacity(count, parts.iter().map(Sample::bytes).sum());
    for part in parts {
        part.iter().for_each(|string| sample.push(string));
    }
    sample
}

/// A sample of the keys, and of their values if they are byte strings.
#[derive(Debug)]
pub(super) struct KeySample {
    pub(super) keys: GivenSample,
    pub(super) values: Option<GivenSample>,
}

/// What was read of some spans.
struct Spans {
    /// What is left of the keys after the prefix that they share with the one before.
    suffixes: Sample,
    /// Parts of values that are byte strings.
    values: Sample,
    /// Bytes of the values of the same keys.
    value_bytes: u64,
}

/// A source that can be set to any key.
pub(super) trait Seek: RecordSource {
    /// Steps to the first key that is not less than `target`. Returns `false` if there is none. A
    /// target must not be less than those of earlier calls.
    fn seek(&mut self, target: &[u8]) -> Result<bool, FrozenError>;
}

/// Reads the spans that begin at `starts`. A span ends where the next one begins, so that each
/// key counts once; `after` is the start that follows.
///
/// The first key of a span counts only if the span before ends with it: the key before is not
/// known otherwise.
fn read_spans<S: Seek>(
    sources: Vec<S>,
    duplicates: Duplicates,
    starts: &[Box<[u8]>],
    after: Option<&[u8]>,
) -> Result<Spans, FrozenError> {
    let most_bytes = starts.len() * BYTES_PER_SPAN;
    let mut spans = Spans {
        suffixes: Sample::with_capacity(starts.len() * KEYS_PER_SPAN, most_bytes),
        values: Sample::default(),
        value_bytes: 0,
    };
    // Numbers are not looked at, whatever the rule makes of them.
    let rule = if duplicates.are_bytes() { duplicates } else { Duplicates::first() };
    let mut merger = Merger::unset(sources, Some(rule));
    let mut before = Vec::new();
    let mut follows = false;
    for (number, start) in starts.iter().enumerate() {
        if !follows {
            merger.set(|source| source.seek(start))?;
            let Some((key, _)) = merger.next()? else { break };
            before.clear();
            before.extend_from_slice(key);
        }
        let end = starts.get(number + 1).map(|start| &start[..]).or(after);
        let (mut keys, mut bytes, mut value_bytes) = (1, 0, 0);
        follows = end.is_some_and(|end| *before >= *end);
        while !follows && keys < KEYS_PER_SPAN && bytes < BYTES_PER_SPAN {
            let Some((key, value)) = merger.next()? else { return Ok(spans) };
            let shared = common_prefix(&before, key);
            let suffix = &key[shared..];
            let suffix = &suffix[..suffix.len().min(BYTES_PER_SPAN)];
            spans.suffixes.push(suffix);
            if duplicates.are_bytes() {
                spans.value_bytes += value.len() as u64;
                if value_bytes < VALUE_BYTES_PER_SPAN {
                    let part = some_part(value, VALUE_BYTES_PER_SPAN - value_bytes, hash(key));
                    spans.values.push(part);
                    value_bytes += part.len();
                }
            }
            before.truncate(shared);
            before.extend_from_slice(&key[shared..]);
            (keys, bytes) = (keys + 1, bytes + suffix.len());
            follows = end.is_some_and(|end| *key >= *end);
        }
    }
    Ok(spans)
}

/// Returns at most `most` bytes of a string, from a place that `random` decides.
fn some_part(string: &[u8], most: usize, random: u64) -> &[u8] {
    let len = string.len().min(most);
    let at = (random % (string.len() - len + 1) as u64) as usize;
    &string[at..at + len]
}

/// Returns a hash whose bits all depend on all bytes.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    let (mut words, mut state) = (bytes.chunks_exact(8), bytes.len() as u64);
    for word in words.by_ref() {
        state = mix(state ^ u64::from_le_bytes(word.try_into().expect("8 bytes")));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    state = mix(state ^ u64::from_le_bytes(last));
    mix(state ^ state >> 29)
}

/// Multiplies by an odd number, whose high bits then come down.
#[inline]
fn mix(word: u64) -> u64 {
    let product = word.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::{Duplicates, GivenSample, KEYS_PER_SPAN, SPANS, Sample, Starts};
    use crate::frozen::external::arena::Arena;

    fn sample(keys: &[Vec<u8>], order: impl Fn(usize) -> usize, arenas: usize) -> (Sample, u64) {
        let mut starts = Starts::default();
        let each = keys.len().div_ceil(arenas).max(1);
        let mut parts = Vec::new();
        let mixed: Vec<&Vec<u8>> = (0..keys.len()).map(|i| &keys[order(i)]).collect();
        for keys in mixed.chunks(each) {
            let mut arena = Arena::with_room(keys.iter().map(|key| key.len() + 64).sum()).unwrap();
            keys.iter().for_each(|key| assert!(arena.push(key, &[])));
            keys.iter().for_each(|key| starts.see(key));
            arena.sort();
            parts.push(arena);
        }
        let read = starts.read(Duplicates::first(), || parts.iter().map(Arena::reader).collect());
        let GivenSample { strings, bytes } = read.unwrap().keys;
        (strings, bytes)
    }

    fn keys(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|i| format!("key/{:09}", i * 7).into_bytes()).collect()
    }

    #[test]
    fn depends_on_the_set_alone() {
        for count in [0, 1, 2, 1000, 20_000, 400_000] {
            let keys = keys(count);
            let (ascending, bytes) = sample(&keys, |i| i, 1);
            let mixed = sample(&keys, |i| i * 7919 % count, 7);
            assert!(ascending.iter().eq(mixed.0.iter()), "{count}");
            assert_eq!(bytes, mixed.1);
        }
    }

    #[test]
    fn stands_for_all_keys() {
        let keys = keys(400_000);
        let (sample, bytes) = sample(&keys, |i| i, 1);
        let count = sample.iter().count();
        assert!(count <= SPANS * KEYS_PER_SPAN && count > SPANS * KEYS_PER_SPAN / 2);
        let all: usize = keys
            .windows(2)
            .map(|pair| pair[1].len() - crate::tree::common_prefix(&pair[0], &pair[1]))
            .sum();
        assert!((all as f64 / bytes as f64 - 1.0).abs() < 0.1, "{all} {bytes}");
    }

    #[test]
    fn has_all_of_few_keys() {
        let (sample, bytes) = sample(&keys(1000), |i| i, 3);
        assert_eq!(sample.iter().count(), 999);
        assert_eq!(bytes, sample.bytes() as u64 * 1000 / 999);
    }

    #[test]
    fn keys_that_share_more_than_a_start_has_are_one_start() {
        let keys: Vec<Vec<u8>> =
            (10..99).map(|i| [&vec![b'x'; 5000][..], i.to_string().as_bytes()].concat()).collect();
        let (sample, _) = sample(&keys, |i| i, 2);
        assert_eq!(sample.iter().count(), KEYS_PER_SPAN - 1);
    }
}
