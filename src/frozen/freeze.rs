//! `FrozenLayer`: constructors from pairs and maps, and the way back to a map.

use super::builder::FrozenLayerBuilder;
use super::error::FrozenError;
use super::external::duplicate::Duplicates;
use super::front_coded::Stored;
use super::frozen_layer::FrozenLayer;
use super::layer::Layer;
use super::layer_value::LayerValue;
use super::number::unpack;
use super::options::{FrozenOptions, SymbolTable};
use super::par_build;
use super::ranges::{self, Ranges};
use crate::fast::Sorted;
use crate::symbols::{Encoder, Encoders};
use crate::sync::parallel::in_pool;
use crate::{ConcurrentArt, FastArt, FastSet, ShardedArt, Value};
use rayon::prelude::*;
use std::sync::Arc;

impl FrozenLayer {
    /// Builds a layer in parallel from keys in strictly ascending order.
    ///
    /// The result is the same, byte for byte, for any number of threads.
    ///
    /// # Errors
    /// Returns the first key that is not greater than the key before it, or is too long, with its
    /// position.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// assert_eq!(layer.len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_sorted<K: AsRef<[u8]> + Sync>(pairs: &[(K, u64)]) -> Result<Self, FrozenError> {
        FrozenOptions::new().from_sorted(pairs)
    }

    /// Builds a layer from keys in any order, which are first sorted in parallel. Of equal keys the
    /// last one wins.
    ///
    /// # Errors
    /// A key is too long.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_unsorted(vec![("b", 2), ("a", 1), ("b", 3)])?;
    /// assert_eq!((layer.get("a"), layer.get("b")), (Some(1), Some(3)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Send + Sync>(
        pairs: Vec<(K, u64)>,
    ) -> Result<Self, FrozenError> {
        FrozenOptions::new().from_unsorted(pairs)
    }

    /// Builds a layer from a parallel iterator over keys in strictly ascending order.
    ///
    /// Keys may be made in parallel and are needed only once. Until the symbols are chosen, all
    /// keys are in memory, front-coded, with 16 bytes for each.
    ///
    /// # Errors
    /// See [`from_sorted`](Self::from_sorted).
    ///
    /// ```
    /// use rayon::prelude::*;
    ///
    /// let pairs = (0..1000u32).into_par_iter().map(|i| (format!("{i:03}"), u64::from(i)));
    /// let layer = memkv::FrozenLayer::from_par_sorted(pairs)?;
    /// assert_eq!(layer.get("007"), Some(7));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_par_sorted<K, I>(pairs: I) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]>,
        I: IntoParallelIterator<Item = (K, u64)>,
        I::Iter: IndexedParallelIterator,
    {
        FrozenOptions::new().from_par_sorted(pairs)
    }
}

impl<V: Value + Send> FrozenLayer<V> {
    /// Builds a layer of values of this type like [`from_sorted`](FrozenLayer::from_sorted).
    ///
    /// # Errors
    /// See there.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted_as(&[("a", -1.5f32), ("b", 2.0)])?;
    /// assert_eq!(layer.get("a"), Some(-1.5));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_sorted_as<K>(pairs: &[(K, V)]) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]> + Sync,
        V: Sync,
    {
        FrozenOptions::new().from_sorted_as(pairs)
    }

    /// Builds a layer from any iterator over keys in strictly ascending order.
    ///
    /// It takes memory as a [`FrozenLayerBuilder`] does.
    ///
    /// # Errors
    /// Returns the first key that is not greater than the key before it, or is too long, with its
    /// position.
    ///
    /// ```
    /// let pairs = (0..1000u64).map(|i| (format!("{i:03}"), i));
    /// let layer = memkv::FrozenLayer::from_sorted_iter(pairs)?;
    /// assert_eq!(layer.get("007"), Some(7));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_sorted_iter<K: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FrozenError> {
        FrozenOptions::new().from_sorted_iter(pairs)
    }

    /// Builds a layer of values of this type like [`from_unsorted`](FrozenLayer::from_unsorted).
    ///
    /// # Errors
    /// See there.
    pub fn from_unsorted_as<K>(pairs: Vec<(K, V)>) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]> + Send + Sync,
        V: Sync,
    {
        FrozenOptions::new().from_unsorted_as(pairs)
    }

    /// Builds a layer of values of this type like
    /// [`from_par_sorted`](FrozenLayer::from_par_sorted).
    ///
    /// # Errors
    /// See there.
    pub fn from_par_sorted_as<K, I>(pairs: I) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]>,
        I: IntoParallelIterator<Item = (K, V)>,
        I::Iter: IndexedParallelIterator,
    {
        FrozenOptions::new().from_par_sorted_as(pairs)
    }
}

impl<K: AsRef<[u8]>, V: Value> FromIterator<(K, V)> for FrozenLayer<V> {
    /// Builds a layer from pairs in any order. Of equal keys the last one wins.
    ///
    /// Keys that ascend take memory as a [`FrozenLayerBuilder`] does. From the first one that does
    /// not, all are collected in a [`FastArt`].
    ///
    /// # Panics
    /// A key is too long, or there is not enough memory.
    ///
    /// ```
    /// let layer: memkv::FrozenLayer<i32> = [("b", -2), ("a", 1)].into_iter().collect();
    /// assert!(layer.iter().eq([(b"a".to_vec(), 1), (b"b".to_vec(), -2)]));
    /// ```
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        collect(
            pairs.into_iter(),
            |value| *value,
            |sorted: Self, rest| {
                let mut map: FastArt<V> = sorted.into_iter().collect();
                map.extend(rest);
                // These ascend.
                map.into_iter().collect()
            },
        )
    }
}

/// Builds a layer from pairs that ascend. From the first one that does not, passes the layer of
/// those before it and all others to `merge`.
pub(super) fn collect<K, T, V>(
    mut pairs: impl Iterator<Item = (K, T)>,
    lend: impl Fn(&T) -> V::Lent<'_>,
    merge: impl FnOnce(FrozenLayer<V>, &mut dyn Iterator<Item = (K, T)>) -> FrozenLayer<V>,
) -> FrozenLayer<V>
where
    K: AsRef<[u8]>,
    V: LayerValue + ?Sized,
{
    let mut builder = FrozenLayerBuilder::<V>::typed().unwrap_or_else(fail);
    while let Some((key, value)) = pairs.next() {
        match builder.insert(&key, lend(&value)) {
            Ok(()) => {}
            Err(FrozenError::NotAscending { .. } | FrozenError::Duplicate { .. }) => {
                let sorted = builder.finish().unwrap_or_else(fail);
                return merge(sorted, &mut std::iter::once((key, value)).chain(pairs));
            }
            Err(error) => fail(error),
        }
    }
    builder.finish().unwrap_or_else(fail)
}

pub(super) fn fail<T>(error: FrozenError) -> T {
    panic!("{error}")
}

impl<V: Value> FrozenLayer<V> {
    /// Copies the layer to a map that can be changed.
    ///
    /// This thread builds the map bottom-up while others decode the keys.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// # Errors
    /// There is not enough memory for the map, or the layer is damaged and its keys do not ascend.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let mut map = layer.thaw().unwrap();
    /// map.insert("b", 2);
    /// assert_eq!(memkv::FrozenLayer::from(&map).len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn thaw(&self) -> Result<FastArt<V>, crate::BuildError>
    where
        V: Send,
    {
        in_pool(|| {
            let mut sorted = Sorted::with_coder(None);
            ranges::read_all(self, |part| {
                part.for_each(|key, value| sorted.push(key, unpack(value.number)))
            })?;
            sorted.finish()
        })
    }
}

impl FrozenOptions {
    /// Takes over the symbols of a layer, those of its keys and those of its values if they are
    /// byte strings, instead of training others.
    ///
    /// For layers of similar keys, such as the parts of a large set: a builder need not train, and
    /// keeps no keys until it has. A table that no builder of this library makes, which only a
    /// crafted file has, is not taken over. [`symbols`](Self::symbols) undoes this.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenOptions};
    ///
    /// let key = |i| format!("https://example.org/{i:06}");
    /// let pairs: Vec<_> = (0..10_000).map(|i| (key(i), i)).collect();
    /// let whole = FrozenLayer::from_sorted(&pairs)?;
    /// let options = FrozenOptions::new().symbols_of(&whole);
    /// let part = options.from_sorted(&pairs[..100])?;
    /// assert_eq!(part.symbols(), whole.symbols());
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    #[must_use]
    pub fn symbols_of<V: LayerValue + ?Sized>(mut self, layer: &FrozenLayer<V>) -> Self {
        let Layer { decoder, value_decoder, .. } = &*layer.layer;
        let of = |decoder| Encoder::of(decoder).map(Arc::new);
        if let Some(keys) = of(decoder) {
            let values = value_decoder.as_ref().and_then(of);
            self = self.symbols(SymbolTable::Auto);
            self.encoders = Some(Encoders { keys, values });
        }
        self
    }

    /// Creates a builder that makes a layer in memory.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn builder(&self) -> Result<FrozenLayerBuilder, FrozenError> {
        FrozenLayerBuilder::with_options(self.clone())
    }

    /// Creates a builder for values of a type, which makes a layer in memory.
    ///
    /// # Errors
    /// An option is out of its range.
    pub fn builder_as<V: LayerValue + ?Sized>(&self) -> Result<FrozenLayerBuilder<V>, FrozenError> {
        FrozenLayerBuilder::typed_with(self.clone())
    }

    /// Builds a layer like [`FrozenLayer::from_sorted`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_sorted<K: AsRef<[u8]> + Sync>(
        &self,
        pairs: &[(K, u64)],
    ) -> Result<FrozenLayer, FrozenError> {
        self.from_sorted_as(pairs)
    }

    /// Builds a layer like [`FrozenLayer::from_sorted_as`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_sorted_as<K, V>(&self, pairs: &[(K, V)]) -> Result<FrozenLayer<V>, FrozenError>
    where
        K: AsRef<[u8]> + Sync,
        V: Value + Send + Sync,
    {
        self.of_sorted(pairs, |&&value: &&V| V::stored(value))
    }

    /// Builds a layer like [`FrozenLayer::from_sorted_iter`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_sorted_iter<K: AsRef<[u8]>, V: Value>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<FrozenLayer<V>, FrozenError> {
        let mut builder = self.builder_as()?;
        pairs.into_iter().try_for_each(|(key, value)| builder.insert(key, value))?;
        builder.finish()
    }

    /// Builds a layer from keys in ascending order. `stored` returns what is stored of a value.
    pub(super) fn of_sorted<K, T, V>(
        &self,
        pairs: &[(K, T)],
        stored: impl for<'v> Fn(&'v &T) -> Stored<'v> + Sync + Send,
    ) -> Result<FrozenLayer<V>, FrozenError>
    where
        K: AsRef<[u8]> + Sync,
        T: Sync,
        V: LayerValue + ?Sized,
    {
        self.check()?;
        self.in_pool(|| {
            let pairs = pairs.par_iter().map(|(key, value)| (key, value));
            par_build::from_par_sorted(self, pairs, stored)
        })?
    }

    /// Builds a layer like [`FrozenLayer::from_par_sorted`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_par_sorted<K, I>(&self, pairs: I) -> Result<FrozenLayer, FrozenError>
    where
        K: AsRef<[u8]>,
        I: IntoParallelIterator<Item = (K, u64)>,
        I::Iter: IndexedParallelIterator,
    {
        self.from_par_sorted_as(pairs)
    }

    /// Builds a layer like [`FrozenLayer::from_par_sorted_as`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_par_sorted_as<K, V, I>(&self, pairs: I) -> Result<FrozenLayer<V>, FrozenError>
    where
        K: AsRef<[u8]>,
        V: Value + Send,
        I: IntoParallelIterator<Item = (K, V)>,
        I::Iter: IndexedParallelIterator,
    {
        let pairs = pairs.into_par_iter();
        self.check()?;
        self.in_pool(|| par_build::from_par_sorted(self, pairs, |&value: &V| V::stored(value)))?
    }

    /// Builds a layer like [`FrozenLayer::from_unsorted`], with these options. Of equal keys, the
    /// rule of [`on_duplicate`](Self::on_duplicate) decides.
    ///
    /// # Errors
    /// See there; an option is out of its range; or, by the rule, a key is repeated or the sum of
    /// its values does not fit.
    ///
    /// ```
    /// use memkv::{Codec, FrozenOptions};
    ///
    /// let layer = FrozenOptions::new().codec(Codec::Fst).from_unsorted(vec![("b", 2), ("a", 1)])?;
    /// assert_eq!(layer.first_key_value(), Some((b"a".to_vec(), 1)));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_unsorted<K: AsRef<[u8]> + Send + Sync>(
        &self,
        pairs: Vec<(K, u64)>,
    ) -> Result<FrozenLayer, FrozenError> {
        self.from_unsorted_as(pairs)
    }

    /// Builds a layer like [`FrozenLayer::from_unsorted_as`], with these options. Of equal keys,
    /// the rule of [`on_duplicate`](Self::on_duplicate) decides.
    ///
    /// # Errors
    /// See [`from_unsorted`](Self::from_unsorted); or sums were asked for, of a type that has none.
    pub fn from_unsorted_as<K, V>(&self, pairs: Vec<(K, V)>) -> Result<FrozenLayer<V>, FrozenError>
    where
        K: AsRef<[u8]> + Send + Sync,
        V: Value + Send + Sync,
    {
        self.of_unsorted(
            pairs,
            |&&value: &&V| V::stored(value),
            |value, number| *value = unpack(number),
        )
    }

    /// Builds a layer from keys in any order. `stored` returns what is stored of a value, and `set`
    /// changes it to the one for which a number stands, which is a sum.
    pub(super) fn of_unsorted<K, T, V>(
        &self,
        mut pairs: Vec<(K, T)>,
        stored: impl for<'v> Fn(&'v &T) -> Stored<'v> + Sync + Send,
        set: impl Fn(&mut T, u64) + Send,
    ) -> Result<FrozenLayer<V>, FrozenError>
    where
        K: AsRef<[u8]> + Send + Sync,
        T: Send + Sync,
        V: LayerValue + ?Sized,
    {
        self.check()?;
        let duplicates = Duplicates::new(self.on_duplicate, V::STORED)?;
        self.in_pool(|| {
            pairs.par_sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
            // The sort is stable: equal keys are in the order of the input.
            duplicates.unite(&mut pairs, &stored, set)?;
            let pairs = pairs.par_iter().map(|(key, value)| (key, value));
            par_build::from_par_sorted(self, pairs, stored)
        })?
    }
}

/// Builds a layer from the keys of a map.
fn freeze<V: Value>(map: &impl Ranges) -> FrozenLayer<V> {
    in_pool(|| {
        let mut builder = FrozenLayerBuilder::typed().expect("the default options are valid");
        ranges::read_all(map, |part| builder.insert_all(&part))
            .expect("a map's keys ascend and are not too long");
        builder.finish().expect("writes to memory do not fail")
    })
}

impl<V: Value + Sync> FastArt<V> {
    /// Builds a [`FrozenLayer`] from the map's keys and values, read and encoded in parallel.
    /// [`FrozenLayer::thaw`] is the way back.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let layer = map.freeze();
    /// assert_eq!(layer.get("b"), Some(2));
    /// assert_eq!(layer.thaw()?, map);
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn freeze(&self) -> FrozenLayer<V> {
        self.into()
    }
}

impl FastSet {
    /// Builds a [`FrozenLayer`] of the set's keys, like [`FastArt::freeze`].
    ///
    /// ```
    /// use memkv::FastSet;
    ///
    /// let set = FastSet::from(["a", "b"]);
    /// let layer = set.freeze();
    /// assert!(layer.contains_key("b"));
    /// assert_eq!(FastSet::from(layer.thaw()?), set);
    /// # Ok::<(), memkv::BuildError>(())
    /// ```
    pub fn freeze(&self) -> FrozenLayer<()> {
        self.into()
    }
}

impl<V: Value + Sync> ConcurrentArt<V> {
    /// Builds a [`FrozenLayer`] from the map's keys and values, like [`FastArt::freeze`].
    ///
    /// # Guarantees
    /// While other threads change the map, the layer has every key that is in the map
    /// during the whole call. It may have a key that is inserted or removed during the call. A
    /// value is the one at the time when its key is read.
    ///
    /// ```
    /// let map = memkv::ConcurrentArt::from([("a", 1u64), ("b", 2)]);
    /// assert!(map.freeze().iter().eq(map.iter()));
    /// ```
    pub fn freeze(&self) -> FrozenLayer<V> {
        self.into()
    }
}

impl<V: Value + Sync> ShardedArt<V> {
    /// Builds a [`FrozenLayer`] from the map's keys and values, like [`ConcurrentArt::freeze`].
    ///
    /// ```
    /// let map = memkv::ShardedArt::from([("a", 1u64), ("b", 2)]);
    /// assert!(map.freeze().iter().eq(map.iter()));
    /// ```
    pub fn freeze(&self) -> FrozenLayer<V> {
        self.into()
    }
}

impl<V: Value + Sync> From<&FastArt<V>> for FrozenLayer<V> {
    /// Does what [`FastArt::freeze`] does.
    fn from(map: &FastArt<V>) -> Self {
        freeze(map)
    }
}

impl From<&FastSet> for FrozenLayer<()> {
    /// Does what [`FastSet::freeze`] does.
    fn from(set: &FastSet) -> Self {
        freeze(set.as_map())
    }
}

impl<V: Value + Sync> From<&ConcurrentArt<V>> for FrozenLayer<V> {
    /// Does what [`ConcurrentArt::freeze`] does.
    fn from(map: &ConcurrentArt<V>) -> Self {
        freeze(map)
    }
}

impl<V: Value + Sync> From<&ShardedArt<V>> for FrozenLayer<V> {
    /// Does what [`ShardedArt::freeze`] does.
    fn from(map: &ShardedArt<V>) -> Self {
        freeze(map)
    }
}
