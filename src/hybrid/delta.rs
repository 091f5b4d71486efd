//! The changes since the base was built: for each changed key its value, or a tombstone.
//!
//! A [`ConcurrentArt`] from keys to words. Every `u64` is a value, so two words have a second
//! meaning:
//!
//! | word | meaning |
//! |---|---|
//! | `REMOVED` | a tombstone: the key is absent, whatever is below |
//! | `ESCAPED` | the value is one of these two words; a second map has it under the same key |
//! | any other | the value |
//!
//! # Why a read returns a value that was current
//! Changes of one key are made one after the other: a writer holds the key's stripe of the
//! [lock](crate::sync::striped_lock). A change to one of the two values first stores it in the
//! second map, then writes `ESCAPED` to the first map. If the first map has `ESCAPED` already, the
//! store in the second map is the change. A change to any other value writes the first map, then
//! clears the second. So while the first map has `ESCAPED`, the second has the current value.
//!
//! A read that finds `ESCAPED` reads a value `v` from the second map, then reads the first map
//! again. If the first map no longer has `ESCAPED`, another change has been made, and the read
//! begins again. If it has, let `W` be the change that stored `v`.
//!
//! * `W` took effect before the second read of the first map. Then `v` was current when it was
//!   read, unless a later change had been made by then that had not reached the second map; in that
//!   case `v` was current at the first read of the first map.
//! * `W` had not taken effect at the second read of the first map, though it had stored `v`. Then
//!   the first map did not have `ESCAPED` from before `W` began until that read: a contradiction.

#![forbid(unsafe_code)]

use super::change::{Change, ChangeLog};
use crate::concurrent::Range;
use crate::face::Ends;
use crate::sync::wait;
use crate::{ConcurrentArt, InsertError};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

const REMOVED: u64 = u64::MAX;
const ESCAPED: u64 = u64::MAX - 1;

/// Changes, and the log that they are recorded in.
pub(crate) struct Delta {
    words: ConcurrentArt<u64>,
    escaped: ConcurrentArt<u64>,
    log: OnceLock<Arc<dyn ChangeLog>>,
}

impl Delta {
    pub(crate) fn new() -> Self {
        Delta { words: ConcurrentArt::new(), escaped: ConcurrentArt::new(), log: OnceLock::new() }
    }

    /// Returns ascending keys that divide the changes into about `ranges` ranges.
    #[cfg(feature = "storage")]
    pub(crate) fn split_points(&self, ranges: usize) -> Vec<Vec<u8>> {
        crate::face::Divide::split_points(&self.words, ranges)
    }

    /// Records all further changes in `log`.
    pub(crate) fn log_to(&self, log: Arc<dyn ChangeLog>) {
        // It is called once, before the delta is shared or when a store is opened.
        let _ = self.log.set(log);
    }

    pub(crate) fn log(&self) -> Option<&Arc<dyn ChangeLog>> {
        self.log.get()
    }

    /// Returns the change of `key`, or `None` if the delta has none.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Change> {
        let word = self.words.get(key)?;
        if word < ESCAPED { Some(Change::Stored(word)) } else { self.get_special(key, word) }
    }

    #[cold]
    fn get_special(&self, key: &[u8], mut word: u64) -> Option<Change> {
        for round in 0.. {
            match word {
                REMOVED => return Some(Change::Removed),
                ESCAPED => {
                    let value = self.escaped.get(key);
                    if !mutant!(EscapedReadOnce) {
                        word = self.words.get(key)?;
                    }
                    if word == ESCAPED
                        && let Some(value) = value
                    {
                        return Some(Change::Stored(value));
                    }
                    wait(round);
                }
                value => return Some(Change::Stored(value)),
            }
        }
        unreachable!("the rounds do not end")
    }

    /// Returns the length of the longest changed key that is a prefix of `key`.
    pub(crate) fn longest_prefix(&self, key: &[u8]) -> Option<usize> {
        self.words.get_longest_prefix(key).map(|(prefix, _)| prefix.len())
    }

    /// Returns the changes of many keys, in the order of `keys`.
    pub(crate) fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<Change>> {
        let words = self.words.get_many(keys);
        let change = |(key, word): (&K, Option<u64>)| match word {
            Some(word) if word < ESCAPED => Some(Change::Stored(word)),
            Some(word) => self.get_special(key.as_ref(), word),
            None => None,
        };
        keys.iter().zip(words).map(change).collect()
    }

    /// Stores a change of `key`. The caller holds the key's stripe.
    pub(crate) fn set(&self, key: &[u8], change: Change) -> Result<(), InsertError> {
        match change {
            Change::Stored(value) if value >= ESCAPED => {
                self.escaped.try_insert(key, value)?;
                self.words.try_insert(key, ESCAPED)?;
            }
            _ => {
                let before = self.words.try_insert(key, change.value().unwrap_or(REMOVED))?;
                self.clear_escaped(key, before);
            }
        }
        Ok(())
    }

    /// Removes the change of `key`. The caller holds the key's stripe.
    pub(crate) fn forget(&self, key: &[u8]) -> Result<(), InsertError> {
        let before = self.words.try_remove(key)?;
        self.clear_escaped(key, before);
        Ok(())
    }

    fn clear_escaped(&self, key: &[u8], before: Option<u64>) {
        if before == Some(ESCAPED) {
            // If memory is lacking, an entry stays that no read uses.
            let _ = self.escaped.try_remove(key);
        }
    }

    /// Returns the number of changed keys. Exact while no thread writes.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns whether the delta has no change.
    ///
    /// It looks for a key. While other threads write, the count may be 0 although a key is present
    /// all the time.
    pub(crate) fn is_empty(&self) -> bool {
        self.range(Bound::Unbounded, Bound::Unbounded).step(false).is_none()
    }

    /// Returns the bytes that the delta takes, without retired memory.
    pub(crate) fn bytes(&self) -> usize {
        let of = |map: &ConcurrentArt<u64>| {
            let usage = map.memory_usage();
            usage.total() - usage.retired
        };
        of(&self.words) + of(&self.escaped)
    }

    /// Frees retired memory that can be freed.
    pub(crate) fn reclaim(&self) {
        self.words.reclaim();
        self.escaped.reclaim();
    }

    /// Returns the changes between two bounds in order.
    pub(crate) fn range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Changes<'_> {
        Changes { delta: self, range: self.words.range::<[u8], _>((start, end)), key: Vec::new() }
    }
}

/// Changes in ascending order, or from the back. Between steps it holds nothing back.
pub(crate) struct Changes<'d> {
    delta: &'d Delta,
    range: Range<'d, u64>,
    key: Vec<u8>,
}

impl Changes<'_> {
    /// Returns the next change, with `back` from the other end. The key is borrowed until the next
    /// call.
    pub(crate) fn step(&mut self, back: bool) -> Option<(&[u8], Change)> {
        let change = loop {
            let (key, word) = self.range.ends.step(back)?;
            self.key.clear();
            self.key.extend_from_slice(key);
            let change = if word < ESCAPED {
                Some(Change::Stored(word))
            } else {
                self.delta.get_special(&self.key, word)
            };
            // A change that was forgotten after its word was read is of a key that is absent below.
            if let Some(change) = change {
                break change;
            }
        };
        Some((&self.key, change))
    }
}

impl Iterator for Changes<'_> {
    type Item = (Vec<u8>, Change);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false).map(|(key, change)| (key.to_vec(), change))
    }
}
