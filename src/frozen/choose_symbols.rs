//! Chooses the symbols of a layer from a sample of its keys.

use super::codec::Codec;
use super::front_coded::FrontCoded;
use super::options::{FrozenOptions, GivenSample, SymbolTable};
use super::packed::KEYS_PER_BLOCK;
use crate::symbols::{Encoder, Encoders, Sample, SymbolKind};
use crate::value::ValueKind;
use rayon::prelude::*;
use std::sync::Arc;

/// Bytes of the samples that tables are trained on.
const FSST_SAMPLE_BYTES: usize = 1 << 17;
/// Bytes of a given sample that a table of FSST is trained on.
const FSST_GIVEN_SAMPLE_BYTES: usize = 1 << 20;
const ONPAIR_SAMPLE_BYTES: usize = 6 << 20;
/// Bytes of the sample on which the kinds of symbols are compared.
const TRIAL_SAMPLE_BYTES: usize = 1 << 18;

/// Bytes of a value from which symbols are trained: its beginning stands for the rest.
const MAX_SAMPLED_VALUE_BYTES: usize = 4 << 10;

/// Returns whether the symbols can be chosen before any key is known.
pub(super) fn needs_no_keys(options: &FrozenOptions, kind: ValueKind) -> bool {
    let given = options.encoders.as_ref();
    let keys_are_known =
        keys_need_no_symbols(options) || given.is_some() || options.sample.is_some();
    let values_are_known = kind != ValueKind::Bytes
        || values_need_no_symbols(options)
        || given.is_some_and(|given| given.values.is_some())
        || options.value_sample.is_some();
    keys_are_known && values_are_known
}

fn keys_need_no_symbols(options: &FrozenOptions) -> bool {
    options.codec == Codec::Fst || options.symbols == SymbolTable::None
}

fn values_need_no_symbols(options: &FrozenOptions) -> bool {
    options.symbols == SymbolTable::None || !options.has_values()
}

/// Strings of chunks that are encoded with a table.
#[derive(Clone, Copy)]
enum Strings {
    Suffixes,
    Values,
}

impl Strings {
    /// Returns the bytes of these strings.
    fn bytes(self, chunks: &[FrontCoded]) -> usize {
        let bytes = |chunk: &FrontCoded| match self {
            Strings::Suffixes => chunk.suffix_bytes(),
            Strings::Values => chunk.value_bytes().len(),
        };
        chunks.iter().map(bytes).sum()
    }

    /// Returns the bytes from which symbols can be trained.
    fn sampled_bytes(self, chunks: &[FrontCoded]) -> usize {
        let bytes = |chunk: &FrontCoded| match self {
            Strings::Suffixes => chunk.suffix_bytes(),
            Strings::Values => chunk.stored().map(|value| beginning(value.bytes).len()).sum(),
        };
        chunks.iter().map(bytes).sum()
    }
}

/// Returns the bytes of a value from which symbols are trained.
fn beginning(value: &[u8]) -> &[u8] {
    &value[..value.len().min(MAX_SAMPLED_VALUE_BYTES)]
}

/// Returns about `bytes` of the chunks' strings: those of every n-th block.
fn sample(chunks: &[FrontCoded], strings: Strings, bytes: usize, offset: usize) -> Sample {
    let blocks: usize = chunks.iter().map(|chunk| chunk.len().div_ceil(KEYS_PER_BLOCK)).sum();
    // Of few blocks with many bytes one is taken.
    let step = (strings.sampled_bytes(chunks) / bytes).clamp(1, blocks.max(1));
    let mut sample = Sample::default();
    let mut block = 0;
    for chunk in chunks {
        let mut stored = chunk.stored();
        for first in (0..chunk.len()).step_by(KEYS_PER_BLOCK) {
            let end = chunk.len().min(first + KEYS_PER_BLOCK);
            let is_sampled = block % step == offset % step;
            match strings {
                Strings::Suffixes if is_sampled => {
                    (first..end).for_each(|i| sample.push(chunk.entry(i).1));
                }
                Strings::Suffixes => {}
                Strings::Values => stored.by_ref().take(end - first).for_each(|value| {
                    if is_sampled {
                        sample.push(beginning(value.bytes));
                    }
                }),
            }
            block += 1;
        }
    }
    sample
}

/// Chooses the symbols of a layer's keys, and of its values if they are byte strings.
pub(super) fn choose_symbols(
    options: &FrozenOptions,
    kind: ValueKind,
    held: &[FrontCoded],
) -> Encoders {
    let none = || Encoder::train(SymbolKind::Plain, &Sample::default(), 0);
    let given = options.encoders.as_ref();
    let keys = match given {
        _ if keys_need_no_symbols(options) => Arc::new(none()),
        Some(given) => Arc::clone(&given.keys),
        None => Arc::new(choose(options.symbols, Strings::Suffixes, options.sample.as_ref(), held)),
    };
    let values =
        (kind == ValueKind::Bytes).then(|| match given.and_then(|given| given.values.as_ref()) {
            _ if values_need_no_symbols(options) => Arc::new(none()),
            Some(values) => Arc::clone(values),
            None => {
                let sample = options.value_sample.as_ref();
                Arc::new(choose(options.symbols, Strings::Values, sample, held))
            }
        });
    Encoders { keys, values }
}

/// Chooses the symbols for some strings, from a sample or from those of the chunks.
fn choose(
    symbols: SymbolTable,
    strings: Strings,
    given: Option<&GivenSample>,
    held: &[FrontCoded],
) -> Encoder {
    let all = match given {
        Some(given) => given.bytes.try_into().unwrap_or(usize::MAX),
        None => strings.bytes(held),
    };
    let train = |kind: SymbolKind| {
        let taken = |bytes| sample(held, strings, bytes, 0);
        match (given, kind) {
            (Some(given), SymbolKind::Fsst) => {
                Encoder::train(kind, &given.strings.thinned(FSST_GIVEN_SAMPLE_BYTES), all)
            }
            (Some(given), _) => Encoder::train(kind, &given.strings, all),
            (None, SymbolKind::Fsst) => Encoder::train(kind, &taken(FSST_SAMPLE_BYTES), all),
            (None, _) => Encoder::train(kind, &taken(ONPAIR_SAMPLE_BYTES), all),
        }
    };
    match symbols {
        SymbolTable::None => train(SymbolKind::Plain),
        SymbolTable::Fsst => train(SymbolKind::Fsst),
        SymbolTable::OnPair => train(SymbolKind::OnPair),
        SymbolTable::Auto => {
            let trial = match given {
                Some(given) => given.strings.thinned(TRIAL_SAMPLE_BYTES),
                None => sample(held, strings, TRIAL_SAMPLE_BYTES, 1),
            };
            let size = |encoder: &Encoder| {
                let mut codes = Vec::new();
                trial.iter().for_each(|string| encoder.encode(string, &mut codes));
                codes.len() as u128 * all.max(1) as u128 / trial.bytes().max(1) as u128
                    + encoder.heap_bytes() as u128
            };
            let encoders = [SymbolKind::Plain, SymbolKind::Fsst, SymbolKind::OnPair]
                .into_par_iter()
                .map(train)
                .collect::<Vec<_>>();
            encoders.into_iter().min_by_key(size).expect("there are three encoders")
        }
    }
}
