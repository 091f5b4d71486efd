//! Applies changes to a layer: chunks without changes are reused.
//!
//! ```text
//!   base      │ chunk 0 │ chunk 1 │ chunk 2 │ chunk 3 │
//!   changes        ·                     ·
//!   result    │ encoded │ reused  │ encoded │ reused  │
//! ```
//!
//! A chunk takes the changes from its first key up to the first key of the next chunk; the first
//! chunk also takes those before it. Chunks that are encoded again keep the layer's symbols. If
//! most chunks would be encoded anyway, or the layer is empty, the layer is rebuilt with symbols of
//! its own.

use super::assemble::{IndexBuilder, assemble, gather, has_full_bytes};
use super::chunk::{self, Chunk};
use super::cursor::FrozenCursor;
use super::error::FrozenError;
use super::front_coded::{FrontCoded, Stored};
use super::frozen_layer::FrozenLayer;
use super::options::FrozenOptions;
use crate::symbols::{Encoder, Encoders};
use crate::value::ValueKind;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Bytes of chunks that are stored together: fewer than in a build, since the old layer is in
/// memory at the same time.
const GATHERED_BYTES: usize = 8 << 20;

/// A patched layer, and the work that it took.
#[derive(Debug)]
pub(crate) struct Patched {
    pub(crate) layer: FrozenLayer,
    /// Number of chunks that were reused, and number that were encoded.
    pub(crate) reused: usize,
    pub(crate) encoded: usize,
    /// Whether the layer was rebuilt, with new symbols.
    pub(crate) rebuilt: bool,
}

/// A chunk of the result, with its first and its last key.
struct PatchedChunk {
    chunk: Chunk,
    first: Vec<u8>,
    last: Vec<u8>,
    reused: bool,
}

/// Bounds of the keys that consecutive chunks take.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl FrozenLayer {
    /// Returns the layer with changes applied, in parallel by chunks.
    ///
    /// `changes` returns the changes inside some bounds in ascending order: the new value of a key,
    /// or `None` to remove it. It is called at most twice for each chunk. `count` is the
    /// approximate number of changes.
    pub(crate) fn patch<I>(
        &self,
        options: &FrozenOptions,
        count: usize,
        changes: impl Fn(Bounds<'_>) -> I + Sync,
    ) -> Result<Patched, FrozenError>
    where
        I: Iterator<Item = (Vec<u8>, Option<u64>)>,
    {
        options.check()?;
        let few = !self.is_empty() && count <= self.len() / 2 && self.codec() == options.codec;
        let Some(keys) = (if few { Encoder::of(&self.layer.decoder) } else { None }) else {
            return self.rebuild(options, changes((Bound::Unbounded, Bound::Unbounded)));
        };
        let encoders = Encoders { keys: Arc::new(keys), values: None };
        let chunks = &self.layer.chunks;
        let firsts = chunks
            .par_iter()
            .map(|chunk| self.key_at(chunk.start))
            .collect::<Result<Vec<_>, _>>()?;
        let bounds = |part: &Range<usize>| {
            let start = if part.start == 0 {
                Bound::Unbounded
            } else {
                Bound::Included(&firsts[part.start][..])
            };
            (
                start,
                firsts.get(part.end).map_or(Bound::Unbounded, |first| Bound::Excluded(&first[..])),
            )
        };
        let changed: Vec<bool> = (0..chunks.len())
            .into_par_iter()
            .map(|i| changes(bounds(&(i..i + 1))).next().is_some())
            .collect();
        // A small chunk is encoded together with its neighbours if one of them is encoded anyway.
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut keys = 0;
        for (i, chunk) in chunks.iter().enumerate() {
            match parts.last_mut() {
                Some(part)
                    if keys + chunk.len <= options.chunk_keys
                        && (changed[i] || part.clone().any(|i| changed[i])) =>
                {
                    part.end = i + 1;
                    keys += chunk.len;
                }
                _ => {
                    parts.push(i..i + 1);
                    keys = chunk.len;
                }
            }
        }
        let pieces = parts
            .into_par_iter()
            .map(|part| {
                let (from, to) = (&chunks[part.start], &chunks[part.end - 1]);
                if part.len() == 1 && !changed[part.start] {
                    let last = self.key_at(from.start + from.len - 1)?;
                    return Ok(vec![PatchedChunk {
                        chunk: from.share(),
                        first: firsts[part.start].clone(),
                        last,
                        reused: true,
                    }]);
                }
                self.encode(
                    options,
                    &encoders,
                    from.start..to.start + to.len,
                    changes(bounds(&part)),
                )
            })
            .collect::<Result<Vec<_>, FrozenError>>()?;
        join(options, &encoders, pieces.into_iter().flatten())
    }

    fn key_at(&self, rank: usize) -> Result<Vec<u8>, FrozenError> {
        let damaged = || FrozenError::Damaged { part: "content", chunk: self.layer.chunk_at(rank) };
        self.select(rank).map(|(key, _)| key).ok_or_else(damaged)
    }

    /// Encodes the keys of a range of ranks with their changes.
    fn encode(
        &self,
        options: &FrozenOptions,
        encoders: &Encoders,
        ranks: Range<usize>,
        changes: impl Iterator<Item = (Vec<u8>, Option<u64>)>,
    ) -> Result<Vec<PatchedChunk>, FrozenError> {
        let mut pieces = Vec::new();
        let mut pending = FrontCoded::default();
        let mut finish = |pending: FrontCoded| {
            let (first, last) = (pending.first().to_vec(), pending.last().to_vec());
            let chunk = chunk::encode(&pending, encoders, options.form(ValueKind::U64));
            pieces.push(PatchedChunk { chunk, first, last, reused: false });
        };
        // A chunk that has grown is split in halves, so that it is not split again soon.
        let most = options.chunk_keys + options.chunk_keys / 2;
        self.with_changes(ranks, changes, |key, value| {
            if !pending.push(key, Stored::number(value)) {
                return Err(DAMAGED);
            }
            if pending.len() >= most || has_full_bytes(&pending, options) {
                for half in std::mem::take(&mut pending).halves() {
                    finish(half);
                }
            }
            Ok(())
        })?;
        if !pending.is_empty() {
            finish(pending);
        }
        Ok(pieces)
    }

    /// Rebuilds the layer.
    fn rebuild(
        &self,
        options: &FrozenOptions,
        changes: impl Iterator<Item = (Vec<u8>, Option<u64>)>,
    ) -> Result<Patched, FrozenError> {
        let mut builder = options.builder()?;
        // The changes ascend, so a key that the builder refuses is one of the base.
        self.with_changes(0..self.len(), changes, |key, value| {
            builder.insert(key, value).map_err(|error| match error {
                FrozenError::NotAscending { .. }
                | FrozenError::Duplicate { .. }
                | FrozenError::KeyTooLong { .. } => DAMAGED,
                error => error,
            })
        })?;
        let layer = builder.finish()?;
        let encoded = layer.chunks();
        Ok(Patched { layer, reused: 0, encoded, rebuilt: true })
    }

    /// Passes the keys of a range of ranks to `then` in order, with their changes applied.
    fn with_changes<I>(
        &self,
        ranks: Range<usize>,
        changes: I,
        mut then: impl FnMut(&[u8], u64) -> Result<(), FrozenError>,
    ) -> Result<(), FrozenError>
    where
        I: Iterator<Item = (Vec<u8>, Option<u64>)>,
    {
        let mut changes: Peekable<I> = changes.peekable();
        let mut cursor = FrozenCursor::<u64>::at(&self.layer, ranks.start);
        while cursor.rank() < ranks.end {
            let rank = cursor.rank();
            let damaged =
                || FrozenError::Damaged { part: "content", chunk: self.layer.chunk_at(rank) };
            let (key, value) = cursor.next().ok_or_else(damaged)?;
            let mut replaced = false;
            while let Some((change, new)) =
                changes.next_if(|(change, _)| change[..].cmp(key) != Ordering::Greater)
            {
                replaced = change == key;
                new.map_or(Ok(()), |new| then(&change, new))?;
            }
            if !replaced {
                then(key, value)?;
            }
        }
        changes.try_for_each(|(change, new)| new.map_or(Ok(()), |new| then(&change, new)))
    }
}

/// The error of a base whose keys do not ascend, which can be a mapped file only.
const DAMAGED: FrozenError = FrozenError::Damaged { part: "order", chunk: None };

/// Joins the chunks of the result into a layer.
///
/// # Errors
/// The chunks of the base are not in order.
fn join(
    options: &FrozenOptions,
    encoders: &Encoders,
    pieces: impl Iterator<Item = PatchedChunk>,
) -> Result<Patched, FrozenError> {
    let (mut chunks, mut reused) = (Vec::new(), 0);
    let mut index = IndexBuilder::default();
    let mut before: Vec<u8> = Vec::new();
    for PatchedChunk { chunk, first, last, reused: as_it_was } in pieces {
        if !chunks.is_empty() && first <= before {
            return Err(DAMAGED);
        }
        index.push(&before, &first);
        before = last;
        reused += usize::from(as_it_was);
        chunks.push(chunk);
    }
    let encoded = chunks.len() - reused;
    // A part of an older allocation would keep all of it in memory.
    gather(&mut chunks, GATHERED_BYTES);
    let layer = FrozenLayer::of(assemble(options.form(ValueKind::U64), encoders, chunks, index));
    Ok(Patched { layer, reused, encoded, rebuilt: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, SymbolTable};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, u64>;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![
                Just(b"a".to_vec()),
                Just(b"https://www.".to_vec()),
                any::<u8>().prop_map(|b| vec![b])
            ],
            0..4,
        )
        .prop_map(|parts| parts.concat())
    }

    fn patched(
        layer: &FrozenLayer,
        options: &FrozenOptions,
        changes: &BTreeMap<Vec<u8>, Option<u64>>,
        count: usize,
    ) -> Patched {
        let inside = |(start, end): Bounds<'_>| {
            let range = changes.range((start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec)));
            range.map(|(key, value)| (key.clone(), *value)).collect::<Vec<_>>().into_iter()
        };
        layer.patch(options, count, inside).unwrap()
    }

    proptest! {
        #[test]
        fn patches_as_a_btreemap(
            base in proptest::collection::btree_map(key(), any::<u64>(), 0..120),
            rounds in proptest::collection::vec(
                proptest::collection::btree_map(key(), any::<Option<u64>>(), 0..20),
                1..4,
            ),
            chunk in prop_oneof![Just(1usize), Just(3), Just(16), Just(40)],
            kind in 0usize..4,
            rebuild in any::<bool>(),
        ) {
            let options = match kind {
                0 => FrozenOptions::new().symbols(SymbolTable::OnPair),
                1 => FrozenOptions::new().symbols(SymbolTable::Fsst),
                2 => FrozenOptions::new().symbols(SymbolTable::None),
                _ => FrozenOptions::new().codec(Codec::Fst),
            };
            let options = options.chunk_keys(chunk);
            let mut model: Model = base;
            let pairs: Vec<(&Vec<u8>, u64)> =
                model.iter().map(|(key, value)| (key, *value)).collect();
            let mut layer = options.from_sorted(&pairs).unwrap();
            for changes in rounds {
                let count = if rebuild { usize::MAX } else { 0 };
                layer = patched(&layer, &options, &changes, count).layer;
                for (key, value) in &changes {
                    match value {
                        Some(value) => _ = model.insert(key.clone(), *value),
                        None => _ = model.remove(key),
                    }
                }
                let pairs = || model.iter().map(|(key, value)| (key.clone(), *value));
                prop_assert!(layer.iter().eq(pairs()));
                prop_assert!(layer.iter().rev().eq(pairs().rev()));
                for key in model.keys().chain(changes.keys()) {
                    prop_assert_eq!(layer.get(key), model.get(key).copied());
                    prop_assert_eq!(layer.rank(key), model.range::<Vec<u8>, _>(..key).count());
                }
                layer.verify().unwrap();
                let copy = FrozenLayer::from_bytes(layer.to_bytes()).unwrap();
                prop_assert!(copy.iter().eq(layer.iter()));
            }
        }
    }

    fn url(i: usize) -> Vec<u8> {
        format!("https://www.example.org/{:03}/page-{i:06}", i / 300).into_bytes()
    }

    #[test]
    fn chunks_without_changes_are_reused() {
        let options = FrozenOptions::new().chunk_keys(1000);
        let pairs: Vec<(Vec<u8>, u64)> = (0..20_000).map(|i| (url(2 * i), i as u64)).collect();
        let layer = options.from_sorted(&pairs).unwrap();
        // One in the middle of chunk 7, one before all keys, one after all keys.
        let at = |i: usize| (url(i), Some(1));
        let one = patched(&layer, &options, &[at(15_001)].into(), 1);
        assert_eq!((one.reused, one.encoded), (19, 1));
        let ends = patched(
            &layer,
            &options,
            &[(b"a".to_vec(), Some(1)), (b"z".to_vec(), Some(2))].into(),
            2,
        );
        assert_eq!((ends.reused, ends.encoded, ends.layer.len()), (18, 2, 20_002));
        assert_eq!(ends.layer.get("z"), Some(2));
        let none = patched(&layer, &options, &BTreeMap::new(), 0);
        assert_eq!((none.reused, none.encoded), (20, 0));
        assert_eq!(none.layer.to_bytes(), layer.to_bytes());
    }

    #[test]
    fn chunks_that_grow_are_cut_and_small_ones_joined() {
        let options = FrozenOptions::new().chunk_keys(1000);
        let pairs: Vec<(Vec<u8>, u64)> = (0..10_000).map(|i| (url(2 * i), i as u64)).collect();
        let layer = options.from_sorted(&pairs).unwrap();
        let more = patched(
            &layer,
            &options,
            &(0..1000).map(|i| (url(4000 + 2 * i + 1), Some(7))).collect(),
            1000,
        );
        assert_eq!(more.layer.chunks(), 12);
        let lens: Vec<usize> = more.layer.layer.chunks.iter().map(|chunk| chunk.len).collect();
        assert!(lens.iter().all(|len| (500..1500).contains(len)), "{lens:?}");
        // Nine in ten keys are removed; the next change near them joins what is left.
        let gone: BTreeMap<_, _> =
            (0..10_000).filter(|i| i % 10 != 0).map(|i| (url(2 * i), None)).collect();
        let few = patched(&layer, &options, &gone, 1);
        assert_eq!((few.layer.len(), few.layer.chunks()), (1000, 10));
        let joined = patched(
            &few.layer,
            &options,
            &(0..10).map(|i| (url(2000 * i + 1), Some(1))).collect(),
            1,
        );
        assert_eq!((joined.layer.len(), joined.layer.chunks()), (1010, 1));
        let empty = patched(
            &few.layer,
            &options,
            &few.layer.iter().map(|(key, _)| (key, None)).collect(),
            1,
        );
        assert_eq!((empty.layer.len(), empty.layer.chunks(), empty.layer.get("a")), (0, 0, None));
    }
}
