//! Merges several layers.

use super::builder::FrozenLayerBuilder;
use super::error::FrozenError;
use super::frozen_layer::FrozenLayer;
use super::layer_value::LayerValue;
use super::options::FrozenOptions;

impl<V: LayerValue + ?Sized> FrozenLayer<V> {
    /// Merges layers into a new one. Of equal keys the one of the last layer wins.
    ///
    /// # Complexity
    /// O(keys × layers).
    ///
    /// # Errors
    /// An option is out of its range.
    ///
    /// ```
    /// use memkv::{FrozenLayer, FrozenOptions};
    ///
    /// let old = FrozenLayer::from_sorted(&[("a", 1), ("b", 2)])?;
    /// let new = FrozenLayer::from_sorted(&[("b", 3), ("c", 4)])?;
    /// let merged = FrozenLayer::merge([&old, &new], FrozenOptions::new())?;
    /// assert!(merged.iter().map(|(_, value)| value).eq([1, 3, 4]));
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
    /// keys the one of the last layer wins.
    ///
    /// # Errors
    /// See [`insert`](Self::insert).
    pub fn insert_layers<'a>(
        &mut self,
        layers: impl IntoIterator<Item = &'a FrozenLayer<V>>,
    ) -> Result<(), FrozenError>
    where
        V: 'a,
    {
        let mut union = FrozenLayer::union(layers);
        while let Some((key, values)) = union.next() {
            if let Some((_, value)) = values.last() {
                self.insert(key, V::of_owned(value))?;
            }
        }
        Ok(())
    }
}
