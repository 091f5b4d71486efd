//! Reads all keys of a map or a layer in parallel, range by range, and passes them on in order.

use super::front_coded::FrontCoded;
use super::front_coded::Stored;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use crate::face::{Divide, span};
use crate::load::ordered_parallel;
use crate::{ConcurrentArt, FastArt, ShardedArt, Value};
use std::ops::Bound;

/// Approximate number of keys of a range.
const KEYS_PER_RANGE: usize = 1 << 14;
/// Bytes of front-coded keys that a thread reads ahead. The rest of a longer range is read when its
/// turn comes.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// A map that becomes a layer.
pub(super) trait Ranges: Divide {
    /// Passes the keys of a range to `visit` in order, with what is stored of their values, until
    /// it returns false.
    fn visit(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        visit: impl FnMut(&[u8], Stored<'_>) -> bool,
    );
}

macro_rules! ranges {
    ([$($generic:tt)*] $type:ty, $value:ty) => {
        impl<$($generic)*> Ranges for $type {
            fn visit(
                &self,
                start: Bound<&[u8]>,
                end: Bound<&[u8]>,
                mut visit: impl FnMut(&[u8], Stored<'_>) -> bool,
            ) {
                let mut range = self.between(start, end);
                while let Some((key, value)) = range.next_ref()
                    && visit(key, <$value>::stored(value))
                {}
            }
        }
    };
}

ranges!([V: Value + Sync] FastArt<V>, V);
ranges!([V: Value + Sync] ConcurrentArt<V>, V);
ranges!([V: Value + Sync] ShardedArt<V>, V);
ranges!([V: LayerValue + ?Sized] FrozenLayer<V>, V);

/// Passes all keys to `take` in order, in parts that the threads of rayon's pool read ahead.
pub(super) fn read_all<E>(
    source: &impl Ranges,
    mut take: impl FnMut(FrontCoded) -> Result<(), E>,
) -> Result<(), E> {
    let points = source.split_points(source.key_count() / KEYS_PER_RANGE + 1);
    // Reads a part of a range. Returns it, whether it is the whole rest of the range, and, in a
    // damaged layer, the first key that is not greater than the key before.
    let read = |range: usize, start: Bound<&[u8]>| {
        let (mut part, mut whole, mut wrong) = (FrontCoded::default(), true, FrontCoded::default());
        source.visit(start, span(&points, range).1, |key, value| {
            whole = part.suffix_bytes() < READ_AHEAD_BYTES;
            whole && (part.push(key, value) || !wrong.push(key, value))
        });
        (part, whole, wrong)
    };
    let first = |range: usize| (range, read(range, span(&points, range).0));
    ordered_parallel(
        0..points.len() + 1,
        rayon::current_num_threads(),
        first,
        |(range, (mut part, mut whole, mut wrong))| {
            while !whole {
                let last = part.last().to_vec();
                take(part)?;
                (part, whole, wrong) = read(range, Bound::Excluded(&last));
            }
            take(part)?;
            // The builder refuses it.
            take(wrong)
        },
    )
}
