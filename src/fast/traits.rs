//! The traits of the standard collections, for `FastArt`.

use super::FastArt;
use super::iter::{IntoEnds, IntoIter, IntoKeys, IntoValues, Iter};
use crate::error::{InsertError, fail, or_fail};
use crate::face::{OwnedEnds, Range};
use crate::tree::{Builder, LeafCoder, MAX_KEY_LEN, common_prefix};
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

impl<V: Value> Default for FastArt<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Value> Clone for FastArt<V> {
    fn clone(&self) -> Self {
        or_fail(self.try_clone())
    }
}

impl<V: Value + fmt::Debug> fmt::Debug for FastArt<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

impl<V: Value + PartialEq> PartialEq for FastArt<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().equals(other.iter())
    }
}

impl<V: Value + Eq> Eq for FastArt<V> {}

impl<V: Value + PartialOrd> PartialOrd for FastArt<V> {
    /// Compares the pairs of both maps in ascending order, as `BTreeMap` does.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        compare(self.iter(), other.iter(), |a, b| a.partial_cmp(&b))
    }
}

impl<V: Value + Ord> Ord for FastArt<V> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.iter(), other.iter(), |a, b| Some(a.cmp(&b))).expect("values have an order")
    }
}

/// Compares the pairs of two ranges in lexicographic order.
pub(crate) fn compare<E: OwnedEnds>(
    mut left: Range<E>,
    mut right: Range<E>,
    values: impl Fn(E::Owned, E::Owned) -> Option<Ordering>,
) -> Option<Ordering> {
    loop {
        let order = match (left.next_ref(), right.next_ref()) {
            (None, None) => return Some(Ordering::Equal),
            (None, Some(_)) => Some(Ordering::Less),
            (Some(_), None) => Some(Ordering::Greater),
            (Some(a), Some(b)) => match a.0.cmp(b.0) {
                Ordering::Equal => values(E::own(a.1), E::own(b.1)),
                order => Some(order),
            },
        };
        if order != Some(Ordering::Equal) {
            return order;
        }
    }
}

impl<V: Value + Hash> Hash for FastArt<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.iter(), self.len(), state);
    }
}

/// Hashes the number of keys of a range, then its pairs.
pub(crate) fn hash<E: OwnedEnds<Owned: Hash>>(
    mut range: Range<E>,
    len: usize,
    state: &mut impl Hasher,
) {
    state.write_usize(len);
    while let Some((key, value)) = range.next_ref() {
        key.hash(state);
        E::own(value).hash(state);
    }
}

impl<K: AsRef<[u8]>, V: Value> FromIterator<(K, V)> for FastArt<V> {
    /// Builds bottom-up while the keys ascend, and inserts the rest.
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs = pairs.into_iter();
        let (mut map, unsorted) = Self::ascending(&mut pairs);
        map.extend(unsorted.into_iter().chain(pairs));
        map
    }
}

impl<V: Value> FastArt<V> {
    /// Builds bottom-up while the keys ascend, and returns the first pair that does not.
    #[track_caller]
    pub(crate) fn ascending<K: AsRef<[u8]>>(
        pairs: &mut impl Iterator<Item = (K, V)>,
    ) -> (Self, Option<(K, V)>) {
        let mut builder = Builder::new(LeafCoder::of_default());
        let mut unsorted = None;
        for (key, value) in pairs {
            let bytes = key.as_ref();
            if bytes.len() > MAX_KEY_LEN {
                fail(InsertError::KeyTooLong { len: bytes.len() });
            }
            match builder.push(bytes, common_prefix(builder.last(), bytes), value.into_bits()) {
                Ok(true) => {}
                Ok(false) => {
                    unsorted = Some((key, value));
                    break;
                }
                Err(failed) => fail(InsertError::from(failed)),
            }
        }
        (Self::of(or_fail(builder.finish().map_err(InsertError::from))), unsorted)
    }
}

impl<K: AsRef<[u8]>, V: Value> Extend<(K, V)> for FastArt<V> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K: AsRef<[u8]>, V: Value, const N: usize> From<[(K, V); N]> for FastArt<V> {
    #[track_caller]
    fn from(pairs: [(K, V); N]) -> Self {
        Self::from_iter(pairs)
    }
}

impl<K: AsRef<[u8]>, V: Value> From<BTreeMap<K, V>> for FastArt<V> {
    /// Builds bottom-up if `K` has the order of its bytes.
    #[track_caller]
    fn from(pairs: BTreeMap<K, V>) -> Self {
        Self::from_iter(pairs)
    }
}

impl<V: Value> IntoIterator for FastArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        IntoIter { ends: self.into_ends() }
    }
}

impl<'a, V: Value> IntoIterator for &'a FastArt<V> {
    type Item = (Vec<u8>, V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

impl<V: Value> FastArt<V> {
    /// Converts the map into both ends of all keys.
    pub(crate) fn into_ends(self) -> IntoEnds<V> {
        IntoEnds::new(self.tree)
    }

    /// Converts the map into an iterator over its keys, in ascending order.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.into_keys().eq([b"a", b"b"]));
    /// ```
    pub fn into_keys(self) -> IntoKeys<V> {
        IntoKeys { iter: self.into_iter() }
    }

    /// Converts the map into an iterator over its values, in the order of their keys.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("b", 2u64), ("a", 1)]);
    /// assert!(map.into_values().eq([1, 2]));
    /// ```
    pub fn into_values(self) -> IntoValues<V> {
        IntoValues { iter: self.into_iter() }
    }
}
