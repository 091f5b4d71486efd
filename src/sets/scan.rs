//! Ranges of a set, from both ends.

use super::error::SetError;
use super::parts::Parts;
use crate::frozen::{FrozenError, FrozenIntoIter, LayerValue};
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, Range};

/// An iterator over a range of a [`LayerSet`](crate::LayerSet), from both ends. Its items are keys,
/// as copies, and their values.
///
/// A part is opened when the iterator gets to it. If that fails, the item is the error, and there
/// are no others after it. The part is kept open until the iterator has left it.
///
/// ```
/// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
///
/// # let folder = std::env::temp_dir().join(format!("memkv-set-scan-{}", std::process::id()));
/// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(1))?;
/// for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
///     builder.insert(key, value)?;
/// }
/// builder.finish()?;
/// let set = LayerSet::open(&folder)?;
///
/// let values: Result<Vec<u64>, _> = set.iter().map(|pair| pair.map(|(_, value)| value)).collect();
/// assert_eq!(values?, [1, 2, 3]);
///
/// // Without a copy of each key, from the back.
/// let mut range = set.range(.."c");
/// while let Some(pair) = range.next_back_ref() {
///     let (key, _value) = pair?;
///     assert!(key < b"c");
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SetRange<'s, V: ?Sized = u64> {
    parts: &'s Parts<V>,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    /// The parts between those of the two ends.
    rest: Range<usize>,
    front: Option<Open<V>>,
    back: Option<Open<V>>,
}

/// The end of a range that has a part open.
enum End {
    Own,
    Other,
}

/// The rest of a part.
struct Open<V: ?Sized> {
    part: usize,
    keys: FrozenIntoIter<V>,
}

impl<V: ?Sized> Clone for Open<V> {
    fn clone(&self) -> Self {
        Open { part: self.part, keys: self.keys.clone() }
    }
}

impl<V: ?Sized> Clone for SetRange<'_, V> {
    fn clone(&self) -> Self {
        SetRange {
            parts: self.parts,
            start: self.start.clone(),
            end: self.end.clone(),
            rest: self.rest.clone(),
            front: self.front.clone(),
            back: self.back.clone(),
        }
    }
}

impl<'s, V: LayerValue + ?Sized + 'static> SetRange<'s, V> {
    pub(super) fn new(parts: &'s Parts<V>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let rest = parts.between(start, end);
        let (start, end) = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
        SetRange { parts, start, end, rest, front: None, back: None }
    }

    /// Opens a part, of which the keys between the bounds are left.
    fn open(&self, part: usize) -> Result<Open<V>, SetError> {
        let layer = self.parts.layer(part)?;
        let (start, end) = (self.start.as_ref(), self.end.as_ref());
        let keys = layer.owned_range(start.map(Vec::as_slice), end.map(Vec::as_slice));
        Ok(Open { part, keys })
    }

    /// Opens the next part of an end. Returns whether a key is left there, or in what the other end
    /// has open.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, from_back: bool) -> Result<Option<End>, SetError> {
        loop {
            let next = if from_back { self.rest.next_back() } else { self.rest.next() };
            let Some(part) = next else {
                let other = if from_back { &self.front } else { &self.back };
                let is_left = other.as_ref().is_some_and(|open| open.keys.len() > 0);
                return Ok(is_left.then_some(End::Other));
            };
            let opened = self.open(part).inspect_err(|_| {
                // There is nothing after an error.
                (self.rest, self.front, self.back) = (0..0, None, None);
            })?;
            let is_left = opened.keys.len() > 0;
            *(if from_back { &mut self.back } else { &mut self.front }) = Some(opened);
            if is_left {
                return Ok(Some(End::Own));
            }
        }
    }

    // Always, and as one function: a result that is passed through another takes a third longer.
    #[inline(always)]
    fn step(&mut self, from_back: bool) -> Option<Result<(&[u8], V::Lent<'_>), SetError>> {
        let own = if from_back { &self.back } else { &self.front };
        let mut at_back = from_back;
        if own.as_ref().is_none_or(|open| open.keys.len() == 0) {
            match self.advance(from_back) {
                Ok(Some(End::Own)) => {}
                Ok(Some(End::Other)) => at_back = !from_back,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let open = if at_back { &mut self.back } else { &mut self.front }.as_mut()?;
        let found = if from_back { open.keys.next_back_ref() } else { open.keys.next_ref() };
        match found {
            Some(found) => Some(Ok(found)),
            // A damaged chunk ends the keys of a layer before their number is reached.
            None => Some(Err(damaged(self.parts, open.part))),
        }
    }

    /// Returns the next key, borrowed until the next call, and its value.
    ///
    /// # Errors
    /// The part that has it cannot be opened, or is damaged.
    #[inline]
    pub fn next_ref(&mut self) -> Option<Result<(&[u8], V::Lent<'_>), SetError>> {
        self.step(false)
    }

    /// Returns the next key from the back, borrowed until the next call, and its value.
    ///
    /// # Errors
    /// The part that has it cannot be opened, or is damaged.
    #[inline]
    pub fn next_back_ref(&mut self) -> Option<Result<(&[u8], V::Lent<'_>), SetError>> {
        self.step(true)
    }
}

/// Returns the error of a part that is damaged.
#[cold]
fn damaged<V: LayerValue + ?Sized + 'static>(parts: &Parts<V>, part: usize) -> SetError {
    SetError::Layer {
        part: parts.dir.path_of(&parts.manifest.parts[part].path),
        error: FrozenError::Damaged { part: "content", chunk: None },
    }
}

impl<V: LayerValue + ?Sized + 'static> Iterator for SetRange<'_, V> {
    type Item = Result<(Vec<u8>, V::Owned), SetError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.step(false).map(|found| found.map(|(key, value)| (key.to_vec(), V::own(value))))
    }
}

impl<V: LayerValue + ?Sized + 'static> DoubleEndedIterator for SetRange<'_, V> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true).map(|found| found.map(|(key, value)| (key.to_vec(), V::own(value))))
    }
}

impl<V: LayerValue + ?Sized + 'static> FusedIterator for SetRange<'_, V> {}

impl<V: ?Sized> fmt::Debug for SetRange<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound =
            |bound: &Bound<Vec<u8>>| bound.as_ref().map(|key| key.escape_ascii().to_string());
        f.debug_struct("SetRange")
            .field("start", &bound(&self.start))
            .field("end", &bound(&self.end))
            .finish_non_exhaustive()
    }
}
