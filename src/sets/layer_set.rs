//! `LayerSet`: opening and lookups.

use super::error::SetError;
use super::manifest::{Manifest, SetPart};
use super::parts::{Opening, Parts, Place};
use super::scan::SetRange;
use crate::frozen::{FrozenLayer, FrozenUsage, LayerValue};
use crate::io::dir::Dir;
use crate::key::{self, Prefixed};
use crate::sync::parallel::in_pool;
use crate::tree::common_prefix;
use rayon::prelude::*;
use std::fmt;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

/// Keys of a batch that one thread looks up, at least and at most: enough for a part to get several
/// at a time, whose cache misses overlap.
const MIN_KEYS_PER_TASK: usize = 1 << 13;
const MAX_KEYS_PER_TASK: usize = 1 << 20;
const KEYS_PER_PART_OF_TASK: usize = 64;

/// An immutable ordered map in a folder: layers whose key ranges follow each other, the *parts*,
/// and a manifest that names them.
///
/// It is for more keys than one file is good for: parts are built, copied and replaced by
/// themselves, and only those that are needed are opened. A [`LayerSetBuilder`] makes it. The
/// manifest has the range of each part, so a key between two parts is absent without a file being
/// opened, and a lookup opens one part at most.
///
/// ```
/// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
///
/// # let folder = std::env::temp_dir().join(format!("memkv-set-{}", std::process::id()));
/// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
/// for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
///     builder.insert(key, value)?;
/// }
/// builder.finish()?;
///
/// let set: LayerSet = LayerSet::open(&folder)?;
/// assert_eq!((set.len(), set.parts().len()), (3, 2));
/// assert_eq!((set.get("c")?, set.get("d")?), (Some(3), None));
/// assert_eq!(set.get_many(&["b", "x", "a"])?, [Some(2), None, Some(1)]);
/// for pair in set.range("b"..) {
///     let (_key, value) = pair?;
///     assert!(value >= 2);
/// }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Guarantees
/// * A set is what its manifest says, from when it is opened to the next
///   [`refresh`](Self::refresh), also while builders append to the folder or replace the manifest.
/// * A part that is missing, short, damaged or of another range is an error that names it. It is
///   never taken for absent keys.
/// * A clone shares the open parts, and costs O(1). Any number of threads may read.
///
/// # Open parts
/// [`open`](Self::open) reads a part into memory, and verifies it, when it is first needed;
/// [`open_mapped`](Self::open_mapped) maps it. At most 1,024 parts are open, or as many as
/// [`limit_open_parts`](Self::limit_open_parts) says. Beyond that, one that was not used lately is
/// closed.
///
/// # Errors
/// Methods that look into parts return an error if a part cannot be opened.
///
/// # Complexity
/// A lookup is one in a table of boundaries, O(log parts), and one in a
/// [`FrozenLayer`](crate::FrozenLayer). Opening a set reads its manifest, and no part.
///
/// [`set_format`](crate::set_format) describes the manifest.
///
/// [`LayerSetBuilder`]: crate::LayerSetBuilder
pub struct LayerSet<V: ?Sized = u64> {
    pub(super) parts: Arc<Parts<V>>,
}

impl<V: ?Sized> Clone for LayerSet<V> {
    fn clone(&self) -> Self {
        LayerSet { parts: Arc::clone(&self.parts) }
    }
}

impl LayerSet {
    /// Opens the set of layers in a folder. Its parts are read and verified when they are first
    /// needed.
    ///
    /// # Errors
    /// The folder or its manifest cannot be read, the manifest is damaged, or the values are of
    /// another type than `u64`, which [`open_as`](Self::open_as) reads.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, SetError> {
        Self::open_as(folder)
    }
}

impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Opens a set with values of this type, as [`open`](LayerSet::open) does for `u64`.
    ///
    /// # Errors
    /// The folder or its manifest cannot be read, the manifest is damaged, or the values are of
    /// another type.
    pub fn open_as(folder: impl AsRef<Path>) -> Result<Self, SetError> {
        Self::open_with(folder.as_ref(), Opening::Read)
    }

    pub(crate) fn open_with(folder: &Path, opening: Opening) -> Result<Self, SetError> {
        let dir = Arc::new(Dir::open(folder)?);
        let manifest = Manifest::read_as(&dir, V::STORED)?;
        Ok(LayerSet { parts: Arc::new(Parts::new(dir, manifest, opening)) })
    }

    /// Reads the manifest again, and returns whether it has changed. Parts that are still named
    /// stay open.
    ///
    /// Clones of this set keep the manifest that they have.
    ///
    /// # Errors
    /// See [`open_as`](Self::open_as). The set is then unchanged.
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-new-{}", std::process::id()));
    /// LayerSetBuilder::create(&folder, SetOptions::new())?.finish()?;
    /// let mut set = LayerSet::open(&folder)?;
    /// let mut builder = LayerSetBuilder::append(&folder, SetOptions::new())?;
    /// builder.insert("a", 1)?;
    /// builder.finish()?;
    /// assert_eq!(set.get("a")?, None);
    /// assert!(set.refresh()?);
    /// assert_eq!(set.get("a")?, Some(1));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refresh(&mut self) -> Result<bool, SetError> {
        let manifest = Manifest::read_as(&self.parts.dir, V::STORED)?;
        if manifest.1 == self.parts.bytes {
            return Ok(false);
        }
        let parts = Parts::new(Arc::clone(&self.parts.dir), manifest, self.parts.opening);
        parts.take_over(&self.parts);
        self.parts = Arc::new(parts);
        Ok(true)
    }

    /// Returns the number of keys. O(parts).
    pub fn len(&self) -> u64 {
        self.parts.manifest.keys()
    }

    /// Returns whether the set has no key.
    pub fn is_empty(&self) -> bool {
        self.parts.count() == 0
    }

    /// Returns the parts, in the order of their keys. A set without keys has none.
    pub fn parts(&self) -> &[SetPart] {
        &self.parts.manifest.parts
    }

    /// Returns the number of records that had the key of another one when the set was built.
    pub fn duplicates(&self) -> u64 {
        self.parts.manifest.duplicates
    }

    /// Returns the first key of each part but the first one, in order: the keys that divide work on
    /// all keys as the parts do.
    pub fn boundaries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.parts().iter().skip(1).map(|part| &*part.first)
    }

    /// Returns the number of the part that has a key, if the set has it. It is `None` for a key
    /// outside the ranges of all parts. It opens no part.
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-route-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
    /// for key in ["a", "c", "k", "m"] {
    ///     builder.insert(key, 1)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// assert!(set.boundaries().eq([b"k"]));
    /// assert_eq!(["b", "d", "m"].map(|key| set.route(key)), [Some(0), None, Some(1)]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route(&self, key: impl AsRef<[u8]>) -> Option<usize> {
        match self.parts.place(key.as_ref()) {
            Place::In(part) => Some(part),
            Place::Before(_) => None,
        }
    }

    /// Sets how many parts may be open at once, at least one, for this set and its clones. Parts
    /// that are being read stay open beyond that.
    pub fn limit_open_parts(&self, parts: usize) {
        self.parts.limit_open(parts);
    }

    /// Returns the number of open parts.
    pub fn open_parts(&self) -> usize {
        self.parts.open_count()
    }

    /// Returns the size of the open parts in bytes, together. The index includes the manifest.
    ///
    /// Clones of the set share all of it. Symbols that parts have in common are counted once. A
    /// part that is closed while a scan reads it is not counted.
    ///
    /// # Complexity
    /// O(parts), and O(chunks) of the open ones.
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-usage-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(1000))?;
    /// for i in 0..2500u64 {
    ///     builder.insert(format!("{i:04}"), i)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// assert_eq!(set.memory_usage().keys, 0);
    /// set.get("0000")?;
    /// assert!(set.memory_usage().total() < 10 * 1000);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn memory_usage(&self) -> FrozenUsage {
        self.parts.memory_usage()
    }

    /// Returns the value of `key`.
    ///
    /// # Errors
    /// The part that should have the key cannot be opened.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<V::Owned>, SetError> {
        let key = key.as_ref();
        match self.parts.part_of(key) {
            Some(part) => self.parts.with(part, |layer| layer.get(key)),
            None => Ok(None),
        }
    }

    /// Returns whether the set has `key`.
    ///
    /// # Errors
    /// The part that should have the key cannot be opened.
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, SetError> {
        let key = key.as_ref();
        match self.parts.part_of(key) {
            Some(part) => self.parts.with(part, |layer| layer.contains_key(key)),
            None => Ok(false),
        }
    }

    /// Returns the values of many keys, in the order of the keys.
    ///
    /// Keys are grouped by their parts. From some ten thousand keys on, groups are looked up in
    /// parallel.
    ///
    /// # Errors
    /// One of the parts that are needed cannot be opened.
    pub fn get_many<K>(&self, keys: &[K]) -> Result<Vec<Option<V::Owned>>, SetError>
    where
        K: AsRef<[u8]> + Sync,
        V::Owned: Send,
    {
        self.ask_many(keys, |layer, keys| layer.get_many(keys), || None)
    }

    /// Returns whether the set has each of many keys, in the order of the keys, like
    /// [`get_many`](Self::get_many).
    ///
    /// # Errors
    /// One of the parts that are needed cannot be opened.
    pub fn contains_many<K>(&self, keys: &[K]) -> Result<Vec<bool>, SetError>
    where
        K: AsRef<[u8]> + Sync,
    {
        self.ask_many(keys, |layer, keys| layer.contains_many(keys), || false)
    }

    /// Asks each part for its keys among many. `absent` is the answer for a key outside all parts.
    fn ask_many<K, T>(
        &self,
        keys: &[K],
        ask: impl Fn(&FrozenLayer<V>, &[&[u8]]) -> Vec<T> + Sync,
        absent: impl Fn() -> T,
    ) -> Result<Vec<T>, SetError>
    where
        K: AsRef<[u8]> + Sync,
        T: Send,
    {
        let mut answers: Vec<T> = Vec::with_capacity(keys.len());
        answers.resize_with(keys.len(), absent);
        let answer = |(keys, answers): (&[K], &mut [T])| {
            let Groups { order, ends } = self.group(keys);
            let (mut asked, mut start) = (Vec::new(), 0);
            for (part, end) in ends.into_iter().enumerate().filter(|&(_, end)| end > 0) {
                let group = &order[start..end as usize];
                asked.clear();
                asked.extend(group.iter().map(|&i| keys[i as usize].as_ref()));
                let found = self.parts.with(part, |layer| ask(layer, &asked))?;
                for (&i, found) in group.iter().zip(found) {
                    answers[i as usize] = found;
                }
                start = end as usize;
            }
            Ok::<(), SetError>(())
        };
        let keys_per_task = (self.parts.count() * KEYS_PER_PART_OF_TASK)
            .clamp(MIN_KEYS_PER_TASK, MAX_KEYS_PER_TASK);
        if keys.len() <= keys_per_task {
            answer((keys, &mut answers))?;
        } else {
            let tasks = keys.par_chunks(keys_per_task).zip(answers.par_chunks_mut(keys_per_task));
            in_pool(|| tasks.try_for_each(answer))?;
        }
        Ok(answers)
    }

    /// Returns the number of keys that are less than `key`, which need not be in the set.
    ///
    /// # Errors
    /// The part that should have the key cannot be opened.
    ///
    /// ```
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-rank-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
    /// for key in ["a", "b", "c"] {
    ///     builder.insert(key, 1)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// assert_eq!((set.rank("c")?, set.rank("x")?), (2, 3));
    /// assert_eq!(set.select(1)?, Some((b"b".to_vec(), 1)));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rank(&self, key: impl AsRef<[u8]>) -> Result<u64, SetError> {
        let key = key.as_ref();
        match self.parts.place(key) {
            Place::In(part) => {
                let rank = self.parts.with(part, |layer| layer.rank(key))?;
                Ok(self.parts.start(part) + rank as u64)
            }
            Place::Before(part) => Ok(self.parts.start(part)),
        }
    }

    /// Returns the key of a rank and its value. See [`rank`](Self::rank).
    ///
    /// # Errors
    /// The part of that rank cannot be opened.
    pub fn select(&self, rank: u64) -> Result<Option<(Vec<u8>, V::Owned)>, SetError> {
        match self.parts.part_of_rank(rank) {
            None => Ok(None),
            Some(part) => {
                let rank = (rank - self.parts.start(part)) as usize;
                self.parts.with(part, |layer| layer.select(rank))
            }
        }
    }

    /// Returns the least key and its value.
    ///
    /// # Errors
    /// The first part cannot be opened.
    pub fn first_key_value(&self) -> Result<Option<(Vec<u8>, V::Owned)>, SetError> {
        self.select(0)
    }

    /// Returns the greatest key and its value.
    ///
    /// # Errors
    /// The last part cannot be opened.
    pub fn last_key_value(&self) -> Result<Option<(Vec<u8>, V::Owned)>, SetError> {
        self.len().checked_sub(1).map_or(Ok(None), |last| self.select(last))
    }

    /// Returns the longest key of the set that is a prefix of `key`, as a slice of `key`, and its
    /// value.
    ///
    /// # Errors
    /// A part that may have such a key cannot be opened.
    ///
    /// # Complexity
    /// That of [`FrozenLayer::get_longest_prefix`], for each part that may have a prefix of the
    /// key: at most one for each byte of `key`. No other part is opened.
    pub fn get_longest_prefix<'k, K: AsRef<[u8]> + ?Sized>(
        &self,
        key: &'k K,
    ) -> Result<Option<(&'k [u8], V::Owned)>, SetError> {
        let mut key = key.as_ref();
        loop {
            let shorter = match self.parts.place(key) {
                Place::In(part) => {
                    let found = self.parts.with(part, |layer| layer.get_longest_prefix(key))?;
                    if found.is_some() {
                        return Ok(found);
                    }
                    key::prefix_below(key, &self.parts()[part].first)
                }
                // A prefix of the key that is less than another key is a prefix of that, too.
                Place::Before(part) => part.checked_sub(1).map(|before| {
                    let last = &self.parts()[before].last;
                    &key[..common_prefix(last, key)]
                }),
            };
            let Some(shorter) = shorter else { return Ok(None) };
            key = shorter;
        }
    }

    /// Returns an iterator over all keys and values, in ascending order; from the back, descending.
    ///
    /// Its items are results: see [`SetRange`].
    pub fn iter(&self) -> SetRange<'_, V> {
        self.range::<[u8], _>(..)
    }

    /// Returns an iterator over the keys in a range of byte strings, and their values. A range that
    /// ends before it begins is empty.
    ///
    /// Its items are results: see [`SetRange`].
    pub fn range<K: AsRef<[u8]> + ?Sized, R: RangeBounds<K>>(&self, range: R) -> SetRange<'_, V> {
        let (start, end) = key::bounds(&range);
        SetRange::new(&self.parts, start, end)
    }

    /// Returns an iterator over the keys that begin with `prefix`, and their values.
    ///
    /// Its items are results: see [`SetRange`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> SetRange<'_, V> {
        self.range(Prefixed::by(&prefix))
    }

    /// Groups the keys of a task by the parts that may have them.
    fn group<K: AsRef<[u8]>>(&self, keys: &[K]) -> Groups {
        const NONE: u32 = u32::MAX;
        let part_of = |key: &K| self.parts.part_of(key.as_ref()).map_or(NONE, |part| part as u32);
        let parts: Vec<u32> = keys.iter().map(part_of).collect();
        let mut ends = vec![0u32; self.parts.count()];
        parts.iter().filter(|&&part| part != NONE).for_each(|&part| ends[part as usize] += 1);
        // The number of keys of a part becomes the place of the first one.
        let mut sum = 0;
        let mut nexts: Vec<u32> = Vec::with_capacity(ends.len());
        for end in &mut ends {
            nexts.push(sum);
            sum += *end;
            *end = if *end == 0 { 0 } else { sum };
        }
        let mut order = vec![0; sum as usize];
        for (i, &part) in parts.iter().enumerate().filter(|&(_, &part)| part != NONE) {
            let next = &mut nexts[part as usize];
            order[*next as usize] = i as u32;
            *next += 1;
        }
        Groups { order, ends }
    }
}

/// The keys of a task, grouped by parts.
struct Groups {
    /// The positions of the keys of the first part, then those of the second, and so on.
    order: Vec<u32>,
    /// For each part, the number of positions up to its last, or 0 if it has none.
    ends: Vec<u32>,
}

impl<'s, V: LayerValue + ?Sized + 'static> IntoIterator for &'s LayerSet<V> {
    type Item = Result<(Vec<u8>, V::Owned), SetError>;
    type IntoIter = SetRange<'s, V>;

    fn into_iter(self) -> SetRange<'s, V> {
        self.iter()
    }
}

impl<V: LayerValue + ?Sized + 'static> fmt::Debug for LayerSet<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerSet")
            .field("folder", &self.parts.dir.path())
            .field("len", &self.len())
            .field("parts", &self.parts.count())
            .finish_non_exhaustive()
    }
}
