//! Search of a set by an automaton.
//!
//! Matches are read ahead, a group at a time, while the part is borrowed. Between two groups only
//! the rank after the last match is kept, with which the next group begins.

use super::error::SetError;
use super::layer_set::LayerSet;
use super::parts::Parts;
use crate::frozen::{Automaton, FrozenLayer, LayerValue};
use crate::key;
use crate::tree::common_prefix;
use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::ops::{Bound, Range, RangeBounds};
use std::vec;

/// Matches of the first group. Each group has twice as many as the one before it.
const FIRST_GROUP_KEYS: usize = 16;
const MAX_GROUP_KEYS: usize = 1024;

/// An iterator over the keys of a [`LayerSet`](crate::LayerSet) that an automaton matches, in
/// ascending order, as copies, and their values. Returned by
/// [`LayerSet::search`](crate::LayerSet::search) and
/// [`LayerSet::search_range`](crate::LayerSet::search_range).
///
/// If a part cannot be opened, the item is the error, and there are no others after it.
pub struct SetSearch<'s, A, V: LayerValue + ?Sized + 'static = u64> {
    parts: &'s Parts<V>,
    automaton: A,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    /// The numbers of the current part and of those after it.
    rest: Range<usize>,
    /// The current part, and the ranks in it that are not searched yet.
    open: Option<(FrozenLayer<V>, Range<usize>)>,
    group: Group<V::Owned>,
    group_keys: usize,
}

/// Matches that are read ahead.
struct Group<T> {
    /// The keys, one after the other, and where the next one begins.
    keys: Vec<u8>,
    start: usize,
    /// The end of each key, and its value.
    matches: vec::IntoIter<(usize, T)>,
    /// The last value that was lent.
    lent: Option<T>,
}

impl<T> Group<T> {
    /// Returns where the next key is, and its value.
    fn next(&mut self) -> Option<(Range<usize>, T)> {
        let (end, value) = self.matches.next()?;
        Some((mem::replace(&mut self.start, end)..end, value))
    }
}

impl<V: LayerValue + ?Sized + 'static> LayerSet<V> {
    /// Returns an iterator over the keys that an automaton matches, in ascending order, with their
    /// values.
    ///
    /// A part is not opened if the automaton excludes what its keys have in common.
    ///
    /// ```
    /// use fst::automaton::{Automaton, Str};
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-find-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
    /// for (key, value) in [("ab", 1), ("ac", 2), ("ad", 3), ("b", 4)] {
    ///     builder.insert(key, value)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// let found = set.search(Str::new("a").starts_with()).map(|pair| Ok(pair?.1));
    /// assert_eq!(found.collect::<Result<Vec<_>, memkv::SetError>>()?, [1, 2, 3]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn search<A: Automaton>(&self, automaton: A) -> SetSearch<'_, A, V> {
        self.search_range::<A, [u8], _>(automaton, ..)
    }

    /// Returns an iterator like [`search`](Self::search) over the matches in a range of byte
    /// strings.
    ///
    /// A range that ends before it begins is empty. A part outside the range is not opened.
    ///
    /// # Complexity
    /// Two lookups in each part that is opened. No key outside the range is searched.
    ///
    /// ```
    /// use fst::automaton::Subsequence;
    /// use memkv::{LayerSet, LayerSetBuilder, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-in-{}", std::process::id()));
    /// let mut builder = LayerSetBuilder::create(&folder, SetOptions::new().keys_per_part(2))?;
    /// for (key, value) in [("a1", 1), ("b1", 2), ("b2", 3), ("c1", 4), ("d1", 5), ("e1", 6)] {
    ///     builder.insert(key, value)?;
    /// }
    /// builder.finish()?;
    /// let set = LayerSet::open(&folder)?;
    /// let found = set.search_range(Subsequence::new("1"), "b".."d").map(|pair| Ok(pair?.1));
    /// assert_eq!(found.collect::<Result<Vec<_>, memkv::SetError>>()?, [2, 4]);
    /// assert_eq!(set.open_parts(), 2);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn search_range<A, K, R>(&self, automaton: A, range: R) -> SetSearch<'_, A, V>
    where
        A: Automaton,
        K: AsRef<[u8]> + ?Sized,
        R: RangeBounds<K>,
    {
        let (start, end) = key::bounds(&range);
        SetSearch {
            parts: &self.parts,
            automaton,
            rest: self.parts.between(start, end),
            start: start.map(<[u8]>::to_vec),
            end: end.map(<[u8]>::to_vec),
            open: None,
            group: Group {
                keys: Vec::new(),
                start: 0,
                matches: Vec::new().into_iter(),
                lent: None,
            },
            group_keys: FIRST_GROUP_KEYS,
        }
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> SetSearch<'_, A, V> {
    /// Returns whether the automaton may match a key of the part.
    fn may_match(&self, part: usize) -> bool {
        let part = &self.parts.manifest.parts[part];
        let shared = &part.first[..common_prefix(&part.first, &part.last)];
        let automaton = &self.automaton;
        let state = shared.iter().try_fold(automaton.start(), |state, &byte| {
            automaton.can_match(&state).then(|| automaton.accept(&state, byte))
        });
        state.is_some_and(|state| automaton.can_match(&state))
    }

    /// Returns the next key that matches, borrowed until the next call, and its value.
    ///
    /// # Errors
    /// A part that may have it cannot be opened. There are no others after it.
    ///
    /// ```
    /// use fst::automaton::Subsequence;
    /// use memkv::{LayerSet, SetOptions};
    ///
    /// # let folder = std::env::temp_dir().join(format!("memkv-set-ref-{}", std::process::id()));
    /// SetOptions::new().build_external(&folder, [("ab", 1), ("b", 2), ("cab", 3)])?;
    /// let set = LayerSet::open(&folder)?;
    /// let mut found = set.search(Subsequence::new("a"));
    /// let mut sum = 0;
    /// while let Some(pair) = found.next_ref() {
    ///     let (key, value) = pair?;
    ///     assert!(key.ends_with(b"ab"));
    ///     sum += value;
    /// }
    /// assert_eq!(sum, 4);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_ref(&mut self) -> Option<Result<(&[u8], V::Lent<'_>), SetError>> {
        if let Err(error) = self.read_ahead() {
            return Some(Err(error));
        }
        let (key, value) = self.group.next()?;
        Some(Ok((&self.group.keys[key], V::of_owned(self.group.lent.insert(value)))))
    }

    /// Reads the next group if nothing is left of the last one. There is nothing after an error.
    fn read_ahead(&mut self) -> Result<(), SetError> {
        if self.group.matches.len() > 0 {
            return Ok(());
        }
        self.fill().inspect_err(|_| (self.rest, self.open) = (0..0, None))
    }

    /// Reads the next group. It is empty if no part is left.
    fn fill(&mut self) -> Result<(), SetError> {
        while !self.rest.is_empty() {
            if self.open.is_none() && self.may_match(self.rest.start) {
                let layer = self.parts.layer(self.rest.start)?;
                let (start, end) = (self.start.as_ref(), self.end.as_ref());
                let (from, to) =
                    layer.ranks_between(start.map(Vec::as_slice), end.map(Vec::as_slice));
                self.open = Some((layer, from..to));
            }
            let Some((layer, ranks)) = &mut self.open else {
                self.rest.start += 1;
                continue;
            };
            let mut search = layer.search_ranks(&self.automaton, ranks.clone());
            let (keys, mut matches) = (&mut self.group.keys, Vec::new());
            keys.clear();
            while matches.len() < self.group_keys
                && let Some((key, value)) = search.next_ref()
            {
                keys.extend_from_slice(key);
                matches.push((keys.len(), V::own(value)));
            }
            ranks.start = search.rank();
            if matches.len() < self.group_keys {
                self.open = None;
                self.rest.start += 1;
            }
            if !matches.is_empty() {
                self.group_keys = (2 * self.group_keys).min(MAX_GROUP_KEYS);
                (self.group.start, self.group.matches) = (0, matches.into_iter());
                return Ok(());
            }
        }
        Ok(())
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> Iterator for SetSearch<'_, A, V> {
    type Item = Result<(Vec<u8>, V::Owned), SetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.read_ahead() {
            return Some(Err(error));
        }
        self.group.next().map(|(key, value)| Ok((self.group.keys[key].to_vec(), value)))
    }
}

impl<A: Automaton, V: LayerValue + ?Sized + 'static> FusedIterator for SetSearch<'_, A, V> {}

impl<A, V: LayerValue + ?Sized + 'static> fmt::Debug for SetSearch<'_, A, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSearch").field("part", &self.rest.start).finish_non_exhaustive()
    }
}
