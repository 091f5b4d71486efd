//! `FrozenLayerWriter`: a builder that writes to any writer.

use super::builder::FrozenLayerBuilder;
use super::error::FrozenError;
use super::format;
use super::layer_value::LayerValue;
use super::options::FrozenOptions;
use std::fmt;
use std::io::Write;

/// Builds a layer from keys in ascending order like a [`FrozenLayerBuilder`], and writes the bytes
/// of its file to any writer, such as a socket, an encoder or a `Vec<u8>`.
///
/// Chunks are written as they are encoded, and take no memory afterwards. The writer gets large
/// pieces, so it needs no buffer.
///
/// ```
/// use memkv::{FrozenLayer, FrozenLayerWriter, FrozenOptions};
///
/// let mut writer = FrozenLayerWriter::new(Vec::new(), FrozenOptions::new())?;
/// writer.insert("a", 1)?;
/// let bytes: Vec<u8> = writer.finish()?;
/// assert_eq!(FrozenLayer::from_bytes(bytes)?.get("a"), Some(1));
/// # Ok::<(), memkv::FrozenError>(())
/// ```
pub struct FrozenLayerWriter<W: Write, V: ?Sized = u64> {
    builder: FrozenLayerBuilder<V>,
    out: Out<W>,
}

/// A writer, and its error once it has failed.
struct Out<W> {
    writer: W,
    failed: Option<FrozenError>,
}

impl<W: Write> Out<W> {
    /// Returns the error of an earlier write.
    fn check(&self) -> Result<(), FrozenError> {
        self.failed.as_ref().map_or(Ok(()), |failed| Err(failed.copy()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FrozenError> {
        let written = self.writer.write_all(bytes).map_err(FrozenError::Writer);
        written.inspect_err(|error| self.failed = Some(error.copy()))
    }
}

impl<W: Write> FrozenLayerWriter<W> {
    /// Creates a builder that writes to `writer`.
    ///
    /// # Errors
    /// An option is out of its range, or the writer fails.
    pub fn new(writer: W, options: FrozenOptions) -> Result<Self, FrozenError> {
        Self::new_as(writer, options)
    }
}

impl<W: Write, V: LayerValue + ?Sized> FrozenLayerWriter<W, V> {
    /// Creates a builder for values of this type that writes to `writer`.
    ///
    /// # Errors
    /// An option is out of its range, or the writer fails.
    ///
    /// ```
    /// use memkv::{BytesLayer, FrozenLayerWriter, FrozenOptions};
    ///
    /// let mut bytes = Vec::new();
    /// let mut writer = FrozenLayerWriter::<_, [u8]>::new_as(&mut bytes, FrozenOptions::new())?;
    /// writer.insert("a", b"first")?;
    /// writer.finish()?;
    /// assert_eq!(BytesLayer::from_bytes_as(bytes)?.get("a").unwrap(), b"first");
    /// # Ok::<(), memkv::FrozenError>(())
    /// ```
    pub fn new_as(writer: W, options: FrozenOptions) -> Result<Self, FrozenError> {
        let builder = FrozenLayerBuilder::typed_with(options)?;
        let mut out = Out { writer, failed: None };
        out.write(&format::header(V::STORED))?;
        Ok(FrozenLayerWriter { builder, out })
    }

    /// Returns the number of keys inserted so far.
    pub fn len(&self) -> u64 {
        self.builder.len()
    }

    /// Returns whether no key was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Inserts a key like [`FrozenLayerBuilder::insert`].
    ///
    /// # Errors
    /// See there. The writer fails: later calls return the same error.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: V::Lent<'_>) -> Result<(), FrozenError> {
        self.out.check()?;
        self.builder.insert(key, value)?;
        self.builder.drain(|bytes| self.out.write(bytes))
    }

    /// Completes the layer, flushes the writer and returns it.
    ///
    /// # Errors
    /// The writer fails or has failed before, or this process is a fork of the builder's.
    pub fn finish(mut self) -> Result<W, FrozenError> {
        self.out.check()?;
        let layer = self.builder.complete_drained()?;
        // Those that were written before have no bytes here.
        layer.chunks.iter().try_for_each(|chunk| self.out.write(chunk.data.as_slice()))?;
        self.out.write(&format::trailer(&layer))?;
        self.out.writer.flush().map_err(FrozenError::Writer)?;
        Ok(self.out.writer)
    }
}

impl<W: Write, V: ?Sized> fmt::Debug for FrozenLayerWriter<W, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenLayerWriter").field("builder", &self.builder).finish_non_exhaustive()
    }
}
