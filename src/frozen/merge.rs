//! Merges several layers.

use super::builder::FrozenLayerBuilder;
use super::cursor::FrozenCursor;
use super::error::FrozenError;
use super::external::duplicate::Duplicates;
use super::external::merge::{self, Source};
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
            left: layer.len(),
            duplicates,
            value: Vec::new(),
        });
        merge::read(sources.collect(), duplicates, |key, value, taken| {
            progress(taken);
            self.insert_stored(key, value)
        })
    }
}

/// The keys of a layer.
struct LayerSource<'a, V: LayerValue + ?Sized> {
    cursor: FrozenCursor<'a, V>,
    /// The number of keys that follow.
    left: usize,
    duplicates: Duplicates,
    value: Vec<u8>,
}

impl<V: LayerValue + ?Sized> Source for LayerSource<'_, V> {
    fn advance(&mut self) -> Result<bool, FrozenError> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let damaged = FrozenError::Damaged { part: "content of a merged layer", chunk: None };
        let (_, value) = self.cursor.next().ok_or(damaged)?;
        self.value.clear();
        self.duplicates.encode(V::stored(value), |bytes| self.value.extend_from_slice(bytes));
        Ok(true)
    }

    fn record(&self) -> (&[u8], &[u8]) {
        (self.cursor.passed_key(), &self.value)
    }
}
