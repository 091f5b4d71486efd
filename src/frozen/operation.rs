//! Unions, intersections and differences of layers, as streams.

use super::cursor::FrozenCursor;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use std::cmp::Ordering;
use std::fmt;

/// The values of a key of a [`FrozenStream`], each with the number of its layer.
pub type LayerValues<'v, V = u64> = &'v [(usize, V)];

/// Which keys an operation returns.
#[derive(Clone, Copy)]
enum Operation {
    Union,
    Intersection,
    /// Of the first layer and the others.
    Difference,
    /// Of keys that are in an odd number of layers.
    SymmetricDifference,
}

/// A stream of the keys that a set operation of some layers returns, in ascending order, each with
/// its values.
///
/// Returned by [`FrozenLayer::union`], [`intersection`](FrozenLayer::intersection),
/// [`difference`](FrozenLayer::difference) and
/// [`symmetric_difference`](FrozenLayer::symmetric_difference). It takes memory for one block of
/// keys a layer, and reads each layer once.
///
/// Each value comes with the number of its layer, in the order of the layers. The key and the
/// values are slices of the stream's own buffers, valid until the next call, so a stream allocates
/// nothing for each key, but is no [`Iterator`].
pub struct FrozenStream<'a, V: LayerValue + ?Sized = u64> {
    operation: Operation,
    cursors: Vec<FrozenCursor<'a, V>>,
    key: Vec<u8>,
    /// The numbers of the layers that have the key.
    found: Vec<usize>,
    values: Vec<(usize, V::Owned)>,
}

impl<'a, V: LayerValue + ?Sized> FrozenStream<'a, V> {
    fn new(operation: Operation, layers: impl IntoIterator<Item = &'a FrozenLayer<V>>) -> Self
    where
        V: 'a,
    {
        let cursors = layers.into_iter().map(FrozenLayer::cursor).collect();
        let (key, found, values) = (Vec::new(), Vec::new(), Vec::new());
        FrozenStream { operation, cursors, key, found, values }
    }

    /// Returns the next key, and its values with the numbers of their layers.
    #[expect(clippy::should_implement_trait, reason = "the key borrows from the stream")]
    pub fn next(&mut self) -> Option<(&[u8], LayerValues<'_, V::Owned>)> {
        loop {
            self.find()?;
            let found = self.found.len();
            let is_wanted = match self.operation {
                Operation::Union => true,
                Operation::Intersection => found == self.cursors.len(),
                Operation::Difference => self.found == [0],
                Operation::SymmetricDifference => found % 2 == 1,
            };
            let is_read = is_wanted && self.read_values();
            if is_read || !is_wanted {
                for &number in &self.found {
                    let cursor = &mut self.cursors[number];
                    cursor.seek_to_rank(cursor.rank() + 1);
                }
            }
            if is_read {
                return Some((&self.key, &self.values));
            }
        }
    }

    /// Finds the least key that is left, and the layers that have it. Returns `None` if there is
    /// none, or none that could be wanted.
    fn find(&mut self) -> Option<()> {
        self.found.clear();
        for (number, cursor) in self.cursors.iter_mut().enumerate() {
            let Some((_, key)) = cursor.peek_shared() else {
                match self.operation {
                    Operation::Intersection => return None,
                    Operation::Difference if number == 0 => return None,
                    _ => continue,
                }
            };
            let order = if self.found.is_empty() { Ordering::Less } else { key.cmp(&self.key) };
            if order == Ordering::Less {
                self.key.clear();
                self.key.extend_from_slice(key);
                self.found.clear();
            }
            if order != Ordering::Greater {
                self.found.push(number);
            }
        }
        (!self.found.is_empty()).then_some(())
    }

    /// Reads the values of the key: only those of wanted keys, and once, since a byte string is
    /// decoded. A layer ends at a damaged one. Returns whether none is.
    fn read_values(&mut self) -> bool {
        self.values.clear();
        for &number in &self.found {
            let cursor = &mut self.cursors[number];
            let value = cursor.peek().map(|(_, value)| V::own(value));
            let Some(value) = value else {
                cursor.seek_to_rank(usize::MAX);
                return false;
            };
            self.values.push((number, value));
        }
        true
    }
}

impl<V: LayerValue + ?Sized> fmt::Debug for FrozenStream<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenStream").field("layers", &self.cursors.len()).finish_non_exhaustive()
    }
}

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Returns a stream of the keys that are in any of the layers.
    ///
    /// # Complexity
    /// O(keys × layers), as for the other operations.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// let a = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let b = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let mut union = FrozenLayer::union([&a, &b]);
    /// assert_eq!(union.next(), Some((&b"a"[..], &[(0, 1)][..])));
    /// assert_eq!(union.next(), Some((&b"b"[..], &[(0, 2), (1, 3)][..])));
    /// assert_eq!(union.next(), Some((&b"c"[..], &[(1, 4)][..])));
    /// assert_eq!(union.next(), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn union<'a>(layers: impl IntoIterator<Item = &'a Self>) -> FrozenStream<'a, V>
    where
        V: 'a,
    {
        FrozenStream::new(Operation::Union, layers)
    }

    /// Returns a stream of the keys that are in all of the layers.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// let a = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let b = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let mut both = FrozenLayer::intersection([&a, &b]);
    /// assert_eq!(both.next(), Some((&b"b"[..], &[(0, 2), (1, 3)][..])));
    /// assert_eq!(both.next(), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn intersection<'a>(layers: impl IntoIterator<Item = &'a Self>) -> FrozenStream<'a, V>
    where
        V: 'a,
    {
        FrozenStream::new(Operation::Intersection, layers)
    }

    /// Returns a stream of the keys that are in the first of the layers and in no other.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// let a = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let b = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let mut only = FrozenLayer::difference([&a, &b]);
    /// assert_eq!(only.next(), Some((&b"a"[..], &[(0, 1)][..])));
    /// assert_eq!(only.next(), None);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn difference<'a>(layers: impl IntoIterator<Item = &'a Self>) -> FrozenStream<'a, V>
    where
        V: 'a,
    {
        FrozenStream::new(Operation::Difference, layers)
    }

    /// Returns a stream of the keys that are in an odd number of the layers: of two layers, those
    /// that are in one of them.
    ///
    /// ```
    /// use memkv::FrozenLayer;
    ///
    /// let a = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let b = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let mut either = FrozenLayer::symmetric_difference([&a, &b]);
    /// assert_eq!(either.next(), Some((&b"a"[..], &[(0, 1)][..])));
    /// assert_eq!(either.next(), Some((&b"c"[..], &[(1, 4)][..])));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn symmetric_difference<'a>(
        layers: impl IntoIterator<Item = &'a Self>,
    ) -> FrozenStream<'a, V>
    where
        V: 'a,
    {
        FrozenStream::new(Operation::SymmetricDifference, layers)
    }
}
