//! Builds a layer from a parallel iterator.

use super::assemble::{GATHERED_BYTES, IndexBuilder, assemble, gather, is_full};
use super::choose_symbols::choose_symbols;
use super::chunk::{self, Chunk};
use super::error::FrozenError;
use super::front_coded::{FrontCoded, Stored, check_lens};
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use super::options::FrozenOptions;
use rayon::prelude::*;
use std::convert::Infallible;

/// The chunks of one part of the input, up to the first error.
#[derive(Default)]
struct InputPart {
    chunks: Vec<FrontCoded>,
    error: Option<FrozenError>,
}

impl InputPart {
    fn add(&mut self, options: &FrozenOptions, position: u64, key: &[u8], value: Stored<'_>) {
        if let Err(error) = check_lens(position, key, value) {
            self.error = Some(error);
            return;
        }
        if !push(&mut self.chunks, options, key, options.kept(value)) {
            let before = self.chunks.last().map_or(&[][..], FrontCoded::last);
            self.error = Some(FrozenError::not_ascending(position, key, before));
        }
    }
}

/// Appends a key to the last chunk, or to a new one. Returns false if the key is not greater than
/// all before.
fn push(
    chunks: &mut Vec<FrontCoded>,
    options: &FrozenOptions,
    key: &[u8],
    value: Stored<'_>,
) -> bool {
    match chunks.last_mut() {
        Some(chunk) if !is_full(chunk, options) => chunk.push(key, value),
        last => {
            let ascends = last.is_none_or(|last| last.last() < key);
            if ascends {
                let mut chunk = FrontCoded::default();
                chunk.push(key, value);
                chunks.push(chunk);
            }
            ascends
        }
    }
}

/// Builds a layer from a parallel iterator; each part of the input is one chunk unless its keys or
/// values take too many bytes. `stored` returns what is stored of a value.
pub(super) fn from_par_sorted<K, V, T, I>(
    options: &FrozenOptions,
    pairs: I,
    stored: impl Fn(&T) -> Stored<'_> + Sync,
) -> Result<FrozenLayer<V>, FrozenError>
where
    K: AsRef<[u8]>,
    V: LayerValue + ?Sized,
    I: IndexedParallelIterator<Item = (K, T)>,
{
    let add = |mut part: InputPart, (position, (key, value)): (usize, (K, T))| {
        if part.error.is_none() {
            part.add(options, position as u64, key.as_ref(), stored(&value));
        }
        part
    };
    let parts: Vec<InputPart> =
        pairs.enumerate().fold_chunks(options.chunk_keys, InputPart::default, add).collect();
    let mut pendings: Vec<FrontCoded> = Vec::with_capacity(parts.len());
    let (mut position, mut in_place) = (0, true);
    for InputPart { chunks, error } in parts {
        if let Some((last, first)) = pendings.last().zip(chunks.first())
            && last.last() >= first.first()
        {
            return Err(FrozenError::not_ascending(position, first.first(), last.last()));
        }
        position += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        error.map_or(Ok(()), Err)?;
        for chunk in chunks {
            // After a chunk that ended early, all later chunks begin elsewhere than their parts.
            if in_place {
                in_place = chunk.len() == options.chunk_keys;
                pendings.push(chunk);
            } else {
                let _: Result<(), Infallible> = chunk.for_each(|key, value| {
                    _ = push(&mut pendings, options, key, value);
                    Ok(())
                });
            }
        }
    }
    let mut index = IndexBuilder::default();
    let mut before: &[u8] = &[];
    for pending in &pendings {
        index.push(before, pending.first());
        before = pending.last();
    }
    let encoders = choose_symbols(options, V::STORED, &pendings);
    let form = options.form(V::STORED);
    let mut chunks: Vec<Chunk> =
        pendings.into_par_iter().map(|pending| chunk::encode(&pending, &encoders, form)).collect();
    gather(&mut chunks, GATHERED_BYTES);
    Ok(FrozenLayer::of(assemble(form, &encoders, chunks, index)))
}
