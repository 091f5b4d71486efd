//! The cursor of all maps.

use super::sealed::Sealed;
use std::fmt;

/// What a [`Cursor`] steps over. Sealed.
pub trait Walk: Sealed {
    /// The value of a step.
    type Value<'w>
    where
        Self: 'w;

    /// Moves before the first key that is at least `key`, or with `after` greater than it.
    #[doc(hidden)]
    fn seek(&mut self, key: &[u8], after: bool);

    /// Moves after the last key.
    #[doc(hidden)]
    fn seek_to_last(&mut self);

    /// Steps over the next key, or with `back` over the previous one.
    #[doc(hidden)]
    fn step(&mut self, back: bool) -> Option<(&[u8], Self::Value<'_>)>;

    /// Adds to the cursor's `Debug` output what is known of its position.
    #[doc(hidden)]
    fn describe(&self, _output: &mut fmt::DebugStruct<'_, '_>) {}
}

/// A position between two keys of a map, which steps in both directions and can seek any key.
///
/// The key that it returns is a slice of its own buffer, valid until the next step. So a scan
/// allocates nothing for each key, but a cursor is no [`Iterator`].
///
/// ```
/// let map: memkv::FastArt = (0..100u64).map(|i| (format!("{i:02}"), i)).collect();
/// let mut cursor = map.cursor();
/// cursor.seek("42");
/// let mut sum = 0;
/// while let Some((key, value)) = cursor.next() {
///     if key >= b"50" { break }
///     sum += value;
/// }
/// assert_eq!(sum, (42..50).sum::<u64>());
/// ```
///
/// A key cannot outlive its step:
///
/// ```compile_fail,E0499
/// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// cursor.next();
/// assert!(first.is_some());
/// ```
///
/// ```
/// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
/// let mut cursor = map.cursor();
/// let first = cursor.next();
/// assert!(first.is_some());
/// cursor.next();
/// ```
///
/// Nor can a cursor outlive its map:
///
/// ```compile_fail,E0505
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// drop(map);
/// assert!(cursor.next().is_some());
/// ```
///
/// ```
/// let map = memkv::ConcurrentArt::from([("a", 1u64)]);
/// let mut cursor = map.cursor();
/// assert!(cursor.next().is_some());
/// drop(cursor);
/// drop(map);
/// ```
#[derive(Clone)]
pub struct Cursor<W> {
    pub(crate) walk: W,
}

impl<W: Walk> Cursor<W> {
    /// Creates a cursor at the position of `walk`.
    pub(crate) fn new(walk: W) -> Self {
        Cursor { walk }
    }

    /// Moves before the first key that is at least `key`.
    #[inline]
    pub fn seek(&mut self, key: impl AsRef<[u8]>) {
        self.walk.seek(key.as_ref(), false);
    }

    /// Moves before the first key that is greater than `key`.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// cursor.seek_after("a");
    /// assert_eq!(cursor.next(), Some((&b"b"[..], 2)));
    /// ```
    #[inline]
    pub fn seek_after(&mut self, key: impl AsRef<[u8]>) {
        self.walk.seek(key.as_ref(), true);
    }

    /// Moves before the first key of the map.
    pub fn seek_to_first(&mut self) {
        self.walk.seek(&[], false);
    }

    /// Moves after the last key of the map.
    ///
    /// ```
    /// let map = memkv::FastArt::from([("a", 1u64), ("b", 2)]);
    /// let mut cursor = map.cursor();
    /// cursor.seek_to_last();
    /// assert_eq!(cursor.prev(), Some((&b"b"[..], 2)));
    /// cursor.seek_to_first();
    /// assert_eq!(cursor.next(), Some((&b"a"[..], 1)));
    /// ```
    pub fn seek_to_last(&mut self) {
        self.walk.seek_to_last();
    }

    /// Steps over the next key, and returns it with its value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the key borrows from the cursor")]
    pub fn next(&mut self) -> Option<(&[u8], W::Value<'_>)> {
        self.walk.step(false)
    }

    /// Steps back over the previous key, and returns it with its value.
    #[inline]
    pub fn prev(&mut self) -> Option<(&[u8], W::Value<'_>)> {
        self.walk.step(true)
    }
}

impl<W: Walk> fmt::Debug for Cursor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Cursor");
        self.walk.describe(&mut output);
        output.finish_non_exhaustive()
    }
}
