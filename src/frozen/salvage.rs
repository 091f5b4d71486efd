//! What is whole of a damaged layer.

use super::cursor::FrozenCursor;
use super::error::FrozenError;
use super::format;
use super::frozen_layer::FrozenLayer;
use super::layer::Layer;
use super::options::FrozenOptions;
use crate::io::bytes::Bytes;
use crate::value::ValueKind;

/// What is whole of a layer, and what is not.
pub(crate) struct Salvaged {
    pub(crate) layer: FrozenLayer,
    pub(crate) lost: Vec<LostKeys>,
}

/// Keys that follow each other, and cannot be read.
pub(crate) struct LostKeys {
    pub(crate) count: u64,
    /// The keys before and after them.
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) before: Option<Vec<u8>>,
}

/// Reads the chunks of a layer that are whole.
///
/// # Errors
/// Returns an error if header or trailer are damaged: without them, chunks cannot be told apart.
/// Or the values are no `u64`.
pub(crate) fn salvage(bytes: Vec<u8>) -> Result<Salvaged, FrozenError> {
    let layer = format::parse(&Bytes::from_vec(bytes))?;
    if layer.kind != ValueKind::U64 {
        return Err(FrozenError::Values { found: layer.kind, expected: ValueKind::U64 });
    }
    let mut builder = FrozenOptions::new().builder()?;
    let mut lost: Vec<LostKeys> = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    for number in 0..layer.chunks.len() {
        let chunk = &layer.chunks[number];
        match chunk_pairs(&layer, number, last.as_deref()) {
            Some(pairs) => {
                for (key, value) in &pairs {
                    builder.insert(key, *value)?;
                }
                if let Some(lost) = lost.last_mut().filter(|lost| lost.before.is_none()) {
                    lost.before = pairs.first().map(|(key, _)| key.clone());
                }
                last = pairs.into_iter().next_back().map(|(key, _)| key).or(last);
            }
            None => match lost.last_mut().filter(|lost| lost.before.is_none()) {
                Some(lost) => lost.count += chunk.len as u64,
                None => {
                    let (count, after) = (chunk.len as u64, last.clone());
                    lost.push(LostKeys { count, after, before: None });
                }
            },
        }
    }
    Ok(Salvaged { layer: builder.finish()?, lost })
}

/// Returns the pairs of a chunk, or `None` if it is damaged or does not follow the key `last`.
fn chunk_pairs(layer: &Layer, number: usize, last: Option<&[u8]>) -> Option<Vec<(Vec<u8>, u64)>> {
    let chunk = &layer.chunks[number];
    layer.check(chunk)?;
    let mut cursor = FrozenCursor::<u64>::at(layer, chunk.start);
    let mut pairs: Vec<(Vec<u8>, u64)> = Vec::new();
    for _ in 0..chunk.len {
        let (key, value) = cursor.next()?;
        let before = pairs.last().map(|(key, _)| &key[..]).or(last);
        if key.len() > crate::MAX_KEY_LEN || before.is_some_and(|before| key <= before) {
            return None;
        }
        pairs.push((key.to_vec(), value));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers in other layers, such as heads of byte strings, are not taken for values.
    #[test]
    fn layers_of_other_values_are_not_read_as_numbers() {
        let strings = FrozenLayer::from_sorted_bytes(&[("a", "x")]).unwrap();
        let signed = FrozenLayer::from_sorted_as(&[("a", -1i64)]).unwrap();
        for bytes in [strings.to_bytes(), signed.to_bytes()] {
            assert!(matches!(salvage(bytes), Err(FrozenError::Values { .. })));
        }
        let numbers = FrozenLayer::from_sorted(&[("a", 1)]).unwrap();
        assert!(salvage(numbers.to_bytes()).is_ok_and(|salvaged| salvaged.layer == numbers));
    }
}
