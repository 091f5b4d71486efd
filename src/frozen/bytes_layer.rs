//! Layers of byte strings as values.

use super::builder::FrozenLayerBuilder;
use super::error::FrozenError;
use super::freeze::{collect, fail};
use super::front_coded::Stored;
use super::frozen_layer::FrozenLayer;
use super::options::FrozenOptions;
use crate::{ArenaArt, BuildError};

/// A [`FrozenLayer`] whose values are byte strings of any length, such as records of text.
///
/// It has the methods of any layer that are generic over values: those named `_as` and `typed`,
/// such as [`open_as`](FrozenLayer::open_as), with
/// [`from_sorted_bytes`](FrozenLayer::from_sorted_bytes) in the place of `from_sorted_as`. Where
/// others return a copy of a value, it is a `Vec<u8>`; where they lend one, as cursors and
/// [`get_many_with`](FrozenLayer::get_many_with) do, a `&[u8]` that is valid until the next step.
///
/// Values are compressed in groups of many thousands by symbols of their own: a table that is
/// trained on a sample of all values, and with which each value is written by itself. So a lookup
/// decodes one value and no other. A value that would not get smaller is stored as it is.
///
/// A value has at most [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN) bytes. Symbols of up to 15 bytes suit
/// records of some 10 to 10,000 bytes that resemble each other. Documents of many kilobytes are
/// smaller if the caller compresses each with a general codec.
///
/// ```
/// use memkv::{BytesLayer, FrozenLayer};
///
/// let pages: BytesLayer = FrozenLayer::from_sorted_bytes(&[
///     ("https://example.org/", "200 text/html 1256"),
///     ("https://example.org/logo", "200 image/png 9317"),
/// ])?;
/// assert_eq!(pages.get("https://example.org/logo").unwrap(), b"200 image/png 9317");
///
/// let mut cursor = pages.cursor();
/// assert_eq!(cursor.next(), Some((&b"https://example.org/"[..], &b"200 text/html 1256"[..])));
/// assert_eq!(BytesLayer::from_bytes_as(pages.to_bytes())?, pages);
/// # Ok::<(), memkv::FrozenError>(())
/// ```
///
/// # Source
/// Boncz, Neumann, Leis: "FSST: fast random access string compression", VLDB 2020; Gargiulo,
/// Venturini: "OnPair: short strings compression for fast random access", 2025.
pub type BytesLayer = FrozenLayer<[u8]>;

/// A builder of a [`BytesLayer`].
///
/// ```
/// let mut builder = memkv::BytesLayerBuilder::typed()?;
/// builder.insert("a", b"first")?;
/// builder.insert("b", b"")?;
/// assert_eq!(builder.finish()?.get("a").unwrap(), b"first");
/// # Ok::<(), memkv::FrozenError>(())
/// ```
pub type BytesLayerBuilder = FrozenLayerBuilder<[u8]>;

impl FrozenLayer<[u8]> {
    /// Builds a layer of byte strings in parallel from keys in strictly ascending order.
    ///
    /// The result is the same, byte for byte, for any number of threads.
    ///
    /// # Errors
    /// Returns the first key that is not greater than the key before it, or is too long or has too
    /// long a value, with its position.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted_bytes(&[("a", "x"), ("b", "y")])?;
    /// assert_eq!(layer.get("b"), Some(b"y".to_vec()));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_sorted_bytes<K, B>(pairs: &[(K, B)]) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]> + Sync,
        B: AsRef<[u8]> + Sync,
    {
        FrozenOptions::new().from_sorted_bytes(pairs)
    }

    /// Builds a layer of byte strings from keys in any order, which are first sorted in parallel.
    /// Of equal keys the last one wins, unless the option
    /// [`on_duplicate`](FrozenOptions::on_duplicate) has another rule.
    ///
    /// # Errors
    /// A key or a value is too long.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_unsorted_bytes(vec![("b", "x"), ("a", "y")])?;
    /// assert_eq!(layer.first_key_value(), Some((b"a".to_vec(), b"y".to_vec())));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn from_unsorted_bytes<K, B>(pairs: Vec<(K, B)>) -> Result<Self, FrozenError>
    where
        K: AsRef<[u8]> + Send + Sync,
        B: AsRef<[u8]> + Send + Sync,
    {
        FrozenOptions::new().from_unsorted_bytes(pairs)
    }

    /// Appends the value of `key` to `out`, and returns whether the key is present. It allocates
    /// nothing but room in `out`.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted_bytes(&[("a", "x")])?;
    /// let mut out = b"value: ".to_vec();
    /// assert!(layer.get_into("a", &mut out));
    /// assert!(!layer.get_into("b", &mut out));
    /// assert_eq!(out, b"value: x");
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn get_into(&self, key: impl AsRef<[u8]>, out: &mut Vec<u8>) -> bool {
        self.layer.value_of(key.as_ref()).and_then(|at| at.append_to(out)).is_some()
    }

    /// Copies the layer to a map that can be changed.
    ///
    /// # Complexity
    /// O(keys), with an allocation for each value.
    ///
    /// # Errors
    /// There is not enough memory for the map, or the layer is damaged and its keys do not ascend.
    ///
    /// ```
    /// let layer = memkv::FrozenLayer::from_sorted_bytes(&[("a", "x")])?;
    /// let mut map = layer.thaw().unwrap();
    /// map.insert("b", b"y".to_vec());
    /// assert_eq!(memkv::BytesLayer::from(&map).len(), 2);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn thaw(&self) -> Result<ArenaArt<Vec<u8>>, BuildError> {
        ArenaArt::from_sorted(self)
    }
}

impl FrozenOptions {
    /// Builds a layer like [`FrozenLayer::from_sorted_bytes`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_sorted_bytes<K, B>(&self, pairs: &[(K, B)]) -> Result<BytesLayer, FrozenError>
    where
        K: AsRef<[u8]> + Sync,
        B: AsRef<[u8]> + Sync,
    {
        self.of_sorted(pairs, |value: &&B| Stored::bytes((*value).as_ref()))
    }

    /// Builds a layer like [`FrozenLayer::from_unsorted_bytes`], with these options.
    ///
    /// # Errors
    /// See there; or an option is out of its range.
    pub fn from_unsorted_bytes<K, B>(&self, pairs: Vec<(K, B)>) -> Result<BytesLayer, FrozenError>
    where
        K: AsRef<[u8]> + Send + Sync,
        B: AsRef<[u8]> + Send + Sync,
    {
        // Byte strings have no sums.
        self.of_unsorted(pairs, |value: &&B| Stored::bytes((*value).as_ref()), |_, _| ())
    }
}

impl<K: AsRef<[u8]>, B: AsRef<[u8]>> FromIterator<(K, B)> for FrozenLayer<[u8]> {
    /// Builds a layer from pairs in any order. Of equal keys the last one wins.
    ///
    /// Keys that ascend take memory as a [`FrozenLayerBuilder`] does. From the first one that does
    /// not, all are collected in an [`ArenaArt`].
    ///
    /// # Panics
    /// A key or a value is too long, or there is not enough memory.
    ///
    /// ```
    /// let layer: memkv::BytesLayer = [("b", "x"), ("a", "y")].into_iter().collect();
    /// assert!(layer.keys().eq([b"a", b"b"]));
    /// ```
    fn from_iter<I: IntoIterator<Item = (K, B)>>(pairs: I) -> Self {
        collect::<_, _, [u8]>(pairs.into_iter(), B::as_ref, |sorted, rest| {
            let mut map: ArenaArt<Vec<u8>> = sorted.into_iter().collect();
            map.extend(rest.map(|(key, value)| (key, value.as_ref().to_vec())));
            (&map).into()
        })
    }
}

impl<T: AsRef<[u8]>> ArenaArt<T> {
    /// Builds a [`BytesLayer`] from the map's keys and values, which are encoded in parallel.
    ///
    /// # Complexity
    /// O(keys).
    ///
    /// # Panics
    /// A value is longer than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN).
    ///
    /// ```
    /// let map = memkv::ArenaArt::from([("a", "first"), ("b", "second")]);
    /// let layer = map.freeze();
    /// assert_eq!(layer.get("b").unwrap(), b"second");
    /// ```
    pub fn freeze(&self) -> BytesLayer {
        self.into()
    }
}

impl<T: AsRef<[u8]>> From<&ArenaArt<T>> for FrozenLayer<[u8]> {
    /// Does what [`ArenaArt::freeze`] does, and panics as it does.
    fn from(map: &ArenaArt<T>) -> Self {
        let mut builder = FrozenLayerBuilder::typed().unwrap_or_else(fail);
        let mut range = map.iter();
        while let Some((key, value)) = range.next_ref() {
            builder.insert(key, value.as_ref()).unwrap_or_else(fail);
        }
        builder.finish().unwrap_or_else(fail)
    }
}
