//! Reading all keys of a map or a layer in parallel, range by range, and handing them out in order.

#![forbid(unsafe_code)]

use super::front_coded::FrontCoded;
use super::frozen_layer::FrozenLayer;
use crate::load::ordered_parallel;
use crate::value::Bits;
use crate::{ConcurrentArt, FastArt, ShardedArt, Value};
use std::ops::Bound;

/// Keys of a range, about.
const KEYS_PER_RANGE: usize = 1 << 14;
/// Bytes of keys, front-coded, that a thread reads ahead: the rest of a range that has more is read when its turn comes.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// What has keys in order.
pub(super) trait Ranges: Sync {
    fn len(&self) -> usize;

    /// Ascending keys that divide all of them into so many ranges, or fewer.
    fn bounds(&self, ranges: usize) -> Vec<Vec<u8>>;

    /// Hands out the keys of a range in order, with their values as words, for as long as `visit` wants more.
    fn visit(&self, start: Bound<&[u8]>, end: Bound<&[u8]>, visit: impl FnMut(&[u8], u64) -> bool);
}

macro_rules! ranges {
    ([$($generic:tt)*] $type:ty) => {
        impl<$($generic)*> Ranges for $type {
            fn len(&self) -> usize {
                self.len()
            }

            fn bounds(&self, ranges: usize) -> Vec<Vec<u8>> {
                self.bounds(ranges)
            }

            fn visit(&self, start: Bound<&[u8]>, end: Bound<&[u8]>, mut visit: impl FnMut(&[u8], u64) -> bool) {
                let mut range = self.range::<[u8], _>((start, end));
                while range.lend().is_some_and(|(key, value)| visit(key, value.into_bits().to_word())) {}
            }
        }
    };
}

ranges!([V: Value + Sync] FastArt<V>);
ranges!([V: Value + Sync] ConcurrentArt<V>);
ranges!([V: Value + Sync] ShardedArt<V>);
ranges!([] FrozenLayer);

/// Hands out all keys in order, in parts that the threads of rayon's pool read ahead.
pub(super) fn read_all<E>(
    source: &impl Ranges,
    mut take: impl FnMut(FrontCoded) -> Result<(), E>,
) -> Result<(), E> {
    let bounds = source.bounds(source.len() / KEYS_PER_RANGE + 1);
    let end = |range: usize| {
        bounds.get(range).map_or(Bound::Unbounded, |bound| Bound::Excluded(&bound[..]))
    };
    // A part of a range, whether it is all of the rest, and the key behind it if that is not greater, as in a damaged layer.
    let read = |range: usize, start: Bound<&[u8]>| {
        let (mut part, mut whole, mut wrong) = (FrontCoded::default(), true, FrontCoded::default());
        source.visit(start, end(range), |key, value| {
            whole = part.suffix_bytes() < READ_AHEAD_BYTES;
            whole && (part.push(key, value) || !wrong.push(key, value))
        });
        (part, whole, wrong)
    };
    let first = |range: usize| {
        let start = range
            .checked_sub(1)
            .map_or(Bound::Unbounded, |before| Bound::Included(&bounds[before][..]));
        (range, read(range, start))
    };
    ordered_parallel(
        0..bounds.len() + 1,
        rayon::current_num_threads(),
        first,
        |(range, (mut part, mut whole, mut wrong))| {
            while !whole {
                let last = part.last().to_vec();
                take(part)?;
                (part, whole, wrong) = read(range, Bound::Excluded(&last));
            }
            take(part)?;
            // To be refused.
            take(wrong)
        },
    )
}
