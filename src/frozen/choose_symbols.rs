//! Chooses the symbols of a layer from a sample of its keys.

use super::codec::Codec;
use super::front_coded::FrontCoded;
use super::options::{FrozenOptions, SymbolTable};
use super::packed::KEYS_PER_BLOCK;
use super::symbols::{Encoder, Sample, SymbolKind};
use rayon::prelude::*;

/// Bytes of the samples that tables are trained on.
const FSST_SAMPLE_BYTES: usize = 1 << 17;
/// Bytes of a given sample that a table of FSST is trained on.
const FSST_GIVEN_SAMPLE_BYTES: usize = 1 << 20;
const ONPAIR_SAMPLE_BYTES: usize = 6 << 20;
/// Bytes of the sample on which the kinds of symbols are compared.
const TRIAL_SAMPLE_BYTES: usize = 1 << 18;

pub(super) fn needs_no_sample(options: &FrozenOptions) -> bool {
    options.codec == Codec::Fst || options.symbols == SymbolTable::None
}

/// Returns about `bytes` of the chunks' suffixes: those of every n-th block.
fn sample(chunks: &[FrontCoded], bytes: usize, offset: usize) -> Sample {
    let all: usize = chunks.iter().map(FrontCoded::suffix_bytes).sum();
    let step = (all / bytes).max(1);
    let mut sample = Sample::default();
    let mut block = 0;
    for chunk in chunks {
        for first in (0..chunk.len()).step_by(KEYS_PER_BLOCK) {
            if block % step == offset % step {
                for i in first..chunk.len().min(first + KEYS_PER_BLOCK) {
                    sample.push(chunk.entry(i).1);
                }
            }
            block += 1;
        }
    }
    sample
}

pub(super) fn choose_symbols(options: &FrozenOptions, held: &[FrontCoded]) -> Encoder {
    if needs_no_sample(options) {
        return Encoder::train(SymbolKind::Plain, &Sample::default(), 0);
    }
    let held_bytes = held.iter().map(FrontCoded::suffix_bytes).sum();
    let all = match options.sample {
        Some(_) => options.sampled_bytes.try_into().unwrap_or(usize::MAX),
        None => held_bytes,
    };
    let train = |kind: SymbolKind| match &options.sample {
        Some(sample) if kind == SymbolKind::Fsst => {
            Encoder::train(kind, &sample.thinned(FSST_GIVEN_SAMPLE_BYTES), all)
        }
        Some(sample) => Encoder::train(kind, sample, all),
        None => Encoder::train(
            kind,
            &sample(
                held,
                if kind == SymbolKind::Fsst { FSST_SAMPLE_BYTES } else { ONPAIR_SAMPLE_BYTES },
                0,
            ),
            all,
        ),
    };
    match options.symbols {
        SymbolTable::None => train(SymbolKind::Plain),
        SymbolTable::Fsst => train(SymbolKind::Fsst),
        SymbolTable::OnPair => train(SymbolKind::OnPair),
        SymbolTable::Auto => {
            let trial = match &options.sample {
                Some(sample) => sample.thinned(TRIAL_SAMPLE_BYTES),
                None => sample(held, TRIAL_SAMPLE_BYTES, 1),
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
