//! The changes since the base was built: of each changed key its value, or that it is gone.
//!
//! A [`ConcurrentArt`] from keys to words. Every `u64` is a value, so two words have a second meaning:
//!
//! | word | means |
//! |---|---|
//! | `REMOVED` | a tombstone: the key is gone, whatever is below |
//! | `ESCAPED` | the value is one of these two words, and stands under the same key in a second map |
//! | any other | the value |
//!
//! # Why a read sees a value that was there
//! Changes of one key come one after the other: who makes one holds the key's stripe of the [gate](crate::gate). A change to such a value
//! stores it in the second map first, and then says `ESCAPED` in the first, unless that says so already; then storing it is the change. A change to
//! anything else writes the first map, and afterwards clears the second. So while the first map says `ESCAPED`, the second has the current value.
//!
//! A read that meets `ESCAPED` takes a value `v` out of the second map, and looks whether the first still says `ESCAPED`; if not, it begins again,
//! since another change has been made. If it does, let `W` be the change that stored `v`. Either `W` had taken effect before the first look or
//! between the looks, and then `v` was current at some time between them: when `v` was taken, or, if a later change was made before
//! that one but had not reached the second map, at the first look. Or `W` had stored `v`, but had not taken effect at the second look: then the first
//! map did not say `ESCAPED`, from before `W` began until then.

#![forbid(unsafe_code)]

use super::journal::Journal;
use crate::concurrent::Range;
use crate::sync::wait;
use crate::{ConcurrentArt, InsertError};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

const REMOVED: u64 = u64::MAX;
const ESCAPED: u64 = u64::MAX - 1;

/// What a delta says about a key: its value, or none, if it is gone.
pub(crate) type Change = Option<u64>;

/// Changes, and where they are logged.
pub(crate) struct Delta {
    words: ConcurrentArt<u64>,
    escaped: ConcurrentArt<u64>,
    journal: OnceLock<Arc<dyn Journal>>,
}

impl Delta {
    pub(crate) fn new() -> Self {
        Delta {
            words: ConcurrentArt::new(),
            escaped: ConcurrentArt::new(),
            journal: OnceLock::new(),
        }
    }

    /// From here on changes are logged there.
    pub(crate) fn log_to(&self, journal: Arc<dyn Journal>) {
        // Nobody sets it twice.
        let _ = self.journal.set(journal);
    }

    pub(crate) fn journal(&self) -> Option<&Arc<dyn Journal>> {
        self.journal.get()
    }

    /// What it says about a key, if anything.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Change> {
        let word = self.words.get(key)?;
        if word < ESCAPED { Some(Some(word)) } else { self.get_special(key, word) }
    }

    #[cold]
    fn get_special(&self, key: &[u8], mut word: u64) -> Option<Change> {
        for round in 0.. {
            match word {
                REMOVED => return Some(None),
                ESCAPED => {
                    let value = self.escaped.get(key);
                    if !mutant!(EscapedReadOnce) {
                        word = self.words.get(key)?;
                    }
                    if word == ESCAPED && value.is_some() {
                        return Some(value);
                    }
                    wait(round);
                }
                value => return Some(Some(value)),
            }
        }
        unreachable!("the rounds do not end")
    }

    /// Of many keys what [`get`](Self::get) says, in their order.
    pub(crate) fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<Change>> {
        let words = self.words.get_many(keys);
        let change = |(key, word): (&K, Option<u64>)| match word {
            Some(word) if word < ESCAPED => Some(Some(word)),
            Some(word) => self.get_special(key.as_ref(), word),
            None => None,
        };
        keys.iter().zip(words).map(change).collect()
    }

    /// Says something else about a key, whose stripe the caller holds.
    pub(crate) fn set(&self, key: &[u8], change: Change) -> Result<(), InsertError> {
        match change {
            Some(value) if value >= ESCAPED => {
                self.escaped.try_insert(key, value)?;
                self.words.try_insert(key, ESCAPED)?;
            }
            _ => {
                let before = self.words.try_insert(key, change.unwrap_or(REMOVED))?;
                self.clear_escaped(key, before);
            }
        }
        Ok(())
    }

    /// Says nothing about a key any more, whose stripe the caller holds.
    pub(crate) fn forget(&self, key: &[u8]) -> Result<(), InsertError> {
        let before = self.words.try_remove(key)?;
        self.clear_escaped(key, before);
        Ok(())
    }

    fn clear_escaped(&self, key: &[u8], before: Option<u64>) {
        if before == Some(ESCAPED) {
            // What is left there for want of memory, nobody reads.
            let _ = self.escaped.try_remove(key);
        }
    }

    /// Keys it says something about; exact when nobody changes it.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it says nothing about any key. Looks for one: while others write, their count may be 0 though a key is there all the time.
    pub(crate) fn is_empty(&self) -> bool {
        self.range(Bound::Unbounded, Bound::Unbounded).step(false).is_none()
    }

    /// Bytes it takes, without what is retired.
    pub(crate) fn bytes(&self) -> usize {
        let of = |map: &ConcurrentArt<u64>| {
            let usage = map.memory_usage();
            usage.total() - usage.retired
        };
        of(&self.words) + of(&self.escaped)
    }

    /// Frees what can be freed.
    pub(crate) fn flush(&self) {
        self.words.reclaim();
        self.escaped.reclaim();
    }

    /// What it says about the keys between two bounds, in order, for who takes long.
    pub(crate) fn batches(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Batches<'_> {
        Batches {
            delta: self,
            start: start.map(<[u8]>::to_vec),
            end: end.map(<[u8]>::to_vec),
            batch: Vec::new().into_iter(),
        }
    }

    /// What it says about the keys between two bounds, in order.
    pub(crate) fn range(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Changes<'_> {
        Changes { delta: self, range: self.words.range::<[u8], _>((start, end)), key: Vec::new() }
    }
}

/// Changes in order, or from the back. Keeps its thread pinned.
pub(crate) struct Changes<'d> {
    delta: &'d Delta,
    range: Range<'d, u64>,
    key: Vec<u8>,
}

impl Changes<'_> {
    /// The next change; with `back`, from the other end. The key is lent until the next call.
    pub(crate) fn step(&mut self, back: bool) -> Option<(&[u8], Change)> {
        let change = loop {
            let (key, word) = if back { self.range.lend_back() } else { self.range.lend() }?;
            self.key.clear();
            self.key.extend_from_slice(key);
            let change = if word < ESCAPED {
                Some(Some(word))
            } else {
                self.delta.get_special(&self.key, word)
            };
            // One that is gone meanwhile was of a key that nothing below knows.
            if let Some(change) = change {
                break change;
            }
        };
        Some((&self.key, change))
    }
}

/// Changes in order, read ahead in batches: between these it holds no pin, however long its user takes.
pub(crate) struct Batches<'d> {
    delta: &'d Delta,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    batch: std::vec::IntoIter<(Vec<u8>, Change)>,
}

/// Changes of a batch.
const BATCH: usize = 256;

impl Iterator for Batches<'_> {
    type Item = (Vec<u8>, Change);

    fn next(&mut self) -> Option<Self::Item> {
        self.batch.next().or_else(|| {
            let mut changes = self.delta.range(
                self.start.as_ref().map(Vec::as_slice),
                self.end.as_ref().map(Vec::as_slice),
            );
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Some((key, change)) = changes.step(false)
            {
                batch.push((key.to_vec(), change));
            }
            self.start = Bound::Excluded(batch.last()?.0.clone());
            self.batch = batch.into_iter();
            self.batch.next()
        })
    }
}
