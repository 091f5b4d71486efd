//! `FrozenLayer`: checks what no lookup can check.

use super::error::FrozenError;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use super::limits::KeyBounds;
use crate::sync::parallel::in_pool;
use rayon::prelude::*;

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Verifies every chunk in parallel: its checksum, and that it has as many keys as it should
    /// have, in order. Then compares the chunks with each other and with their index. Reads and
    /// decodes everything.
    ///
    /// # Errors
    /// Returns the first chunk that is damaged, or else another damaged part.
    pub fn verify(&self) -> Result<(), FrozenError> {
        let layer = &*self.layer;
        let damaged = |part, chunk| FrozenError::Damaged { part, chunk };
        let checked: Vec<Option<KeyBounds>> =
            in_pool(|| layer.chunks.par_iter().map(|chunk| layer.check(chunk)).collect());
        let chunks: Vec<KeyBounds> = checked
            .into_iter()
            .enumerate()
            .map(|(i, bounds)| bounds.ok_or(damaged("content", Some(i))))
            .collect::<Result<_, _>>()?;
        for (i, pair) in chunks.windows(2).enumerate() {
            if pair[0].last >= pair[1].first {
                return Err(damaged("order", Some(i + 1)));
            }
        }
        self.check_index(&chunks).ok_or(damaged("index of chunks", None))
    }

    /// Returns `None` if a search in the index of chunks could miss a chunk.
    fn check_index(&self, chunks: &[KeyBounds]) -> Option<()> {
        let (tree, index) = (self.layer.index_tree, self.layer.index.as_slice());
        if tree.check(index, chunks.len())? != 0 {
            return None;
        }
        for i in 0..chunks.len() {
            if tree.child(index, i)? != i {
                return None;
            }
            if i > 0 {
                let separator = tree.separator_parts(index, i)?;
                let is_between = is_greater(separator, &chunks[i - 1].last)
                    && !is_greater(separator, &chunks[i].first);
                is_between.then_some(())?;
            }
        }
        Some(())
    }
}

/// Returns whether a string in two parts is greater than a key.
fn is_greater([prefix, rest]: [&[u8]; 2], key: &[u8]) -> bool {
    match key.split_at_checked(prefix.len()) {
        Some((start, end)) => (prefix, rest) > (start, end),
        None => *prefix > *key,
    }
}
