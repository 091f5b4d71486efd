//! Merges several layers.

use super::builder::FrozenLayerBuilder;
use super::cursor::FrozenCursor;
use super::error::FrozenError;
use super::external::duplicate::Duplicates;
use super::external::merge::{LoserTree, Source};
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use super::options::FrozenOptions;

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Merges layers into a new one. Of equal keys the one of the last layer wins, unless the
    /// option [`on_duplicate`](FrozenOptions::on_duplicate) has another rule.
    ///
    /// # Complexity
    /// O(keys × log layers).
    ///
    /// # Errors
    /// See [`insert_layers`](FrozenLayerBuilder::insert_layers); or an option is out of its range.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenOptions, OnDuplicate};
    ///
    /// let old = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let new = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let merged = FrozenLayer::merge([&old, &new], FrozenOptions::new())?;
    /// assert!(merged.iter().map(|(_, value)| value).eq([1, 3, 4]));
    /// let sums = FrozenOptions::new().on_duplicate(OnDuplicate::Sum);
    /// assert_eq!(FrozenLayer::merge([&old, &new], sums)?.get("b"), Some(5));
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn merge<'a>(
        layers: impl IntoIterator<Item = &'a FrozenLayer<V>>,
        options: FrozenOptions,
    ) -> Result<Self, FrozenError>
    where
        V: 'a,
    {
        let mut builder = FrozenLayerBuilder::typed_with(options)?;
        builder.insert_layers(layers)?;
        builder.finish()
    }
}

impl<V: LayerValue + ?Sized> FrozenLayerBuilder<V> {
    /// Adds all keys of some layers, which must be greater than the keys added before. Of equal
    /// keys the one of the last layer wins, unless the option
    /// [`on_duplicate`](FrozenOptions::on_duplicate) has another rule.
    ///
    /// # Errors
    /// See [`insert`](Self::insert). A layer is damaged; or, by the rule, a key is repeated, the
    /// sum of its values does not fit, or their type has no sums.
    pub fn insert_layers<'a>(
        &mut self,
        layers: impl IntoIterator<Item = &'a FrozenLayer<V>>,
    ) -> Result<(), FrozenError>
    where
        V: 'a,
    {
        self.insert_layers_with(layers, |_| ())
    }

    /// Adds all keys of some layers like [`insert_layers`](Self::insert_layers), and passes to
    /// `progress`, before each key, the number of keys that were read from the layers.
    ///
    /// # Errors
    /// See [`insert_layers`](Self::insert_layers).
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenLayerBuilder};
    ///
    /// let a = FrozenLayer::from_sorted(&[("a", 1)])?;
    /// let b = FrozenLayer::from_sorted(&[("b", 2)])?;
    /// let (mut builder, mut read) = (FrozenLayerBuilder::new()?, Vec::new());
    /// builder.insert_layers_with([&a, &b], |keys| read.push(keys))?;
    /// assert_eq!(read, [0, 1]);
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn insert_layers_with<'a>(
        &mut self,
        layers: impl IntoIterator<Item = &'a FrozenLayer<V>>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), FrozenError>
    where
        V: 'a,
    {
        let duplicates = Duplicates::new(self.options().on_duplicate, V::STORED)?;
        let sources = layers.into_iter().map(|layer| LayerSource {
            cursor: layer.cursor(),
            next: 0,
            len: layer.len(),
        });
        let mut tree = LoserTree::new(sources.collect())?;
        loop {
            let taken = tree.taken();
            if duplicates.keeps_last() {
                while tree.is_tied() {
                    tree.step()?;
                }
            }
            let is_tied = tree.is_tied();
            let Some(source) = tree.least() else { return Ok(()) };
            progress(taken);
            if is_tied && !duplicates.keeps_first() {
                self.insert_combined(&mut tree, duplicates)?;
                continue;
            }
            let (key, value) = source.record()?;
            self.insert_stored(key, V::stored(value))?;
            let mut is_next_tied = is_tied;
            tree.step()?;
            while is_next_tied {
                is_next_tied = tree.is_tied();
                tree.step()?;
            }
        }
    }

    /// Adds the least key, which several layers have, with what the rule makes of its values.
    fn insert_combined(
        &mut self,
        tree: &mut LoserTree<LayerSource<'_, V>>,
        duplicates: Duplicates,
    ) -> Result<(), FrozenError> {
        let (mut key, mut combined, mut is_next) = (Vec::new(), None::<Vec<u8>>, true);
        while is_next && let Some(source) = tree.least() {
            let (source_key, value) = source.record()?;
            duplicates.encode(V::stored(value), |value| match &mut combined {
                Some(combined) => duplicates.combine(&key, combined, value),
                None => {
                    key.extend_from_slice(source_key);
                    combined = Some(value.to_vec());
                    Ok(())
                }
            })?;
            is_next = tree.is_tied();
            tree.step()?;
        }
        let combined = combined.unwrap_or_default();
        self.insert_stored(&key, duplicates.stored(&key, &combined)?)
    }
}

/// The keys of a layer. The cursor stands before the current one.
struct LayerSource<'a, V: LayerValue + ?Sized> {
    cursor: FrozenCursor<'a, V>,
    /// The rank of the key after the current one.
    next: usize,
    len: usize,
}

const DAMAGED: FrozenError =
    FrozenError::Damaged { part: "content of a merged layer", chunk: None };

impl<V: LayerValue + ?Sized> LayerSource<'_, V> {
    /// Returns the current key and its value.
    #[inline]
    fn record(&mut self) -> Result<(&[u8], V::Lent<'_>), FrozenError> {
        self.cursor.peek().ok_or(DAMAGED)
    }
}

impl<V: LayerValue + ?Sized> Source for LayerSource<'_, V> {
    #[inline]
    fn advance(&mut self) -> Result<bool, FrozenError> {
        if self.next == self.len {
            return Ok(false);
        }
        self.cursor.seek_to_rank(self.next);
        self.next += 1;
        self.cursor.peek_shared().ok_or(DAMAGED)?;
        Ok(true)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.cursor.peeked_key()
    }
}
