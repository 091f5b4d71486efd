//! Ranges over delta, sealed delta and base.
//!
//! A range reads ahead, a batch of keys at a time, from the state of that moment, by a merge of the parts; of a key that several have, the uppermost
//! counts, and one with a tombstone is passed over. Between batches it holds nothing but the last key it handed out, behind
//! which the next batch begins: no pin, no old delta or base. It does not matter to it that parts are replaced meanwhile.
//!
//! A key that is there all the while is in each state, and in whichever batch reaches it, once. While a batch is read, the delta may change: it
//! may get an entry for a key after the merge has passed it, which then came from below, or lose the entry of a key, which is then gone.

#![forbid(unsafe_code)]

use super::delta::{Change, Changes};
use super::state::{Core, State};
use crate::{FrozenLayer, FrozenRange};
use std::cmp::Ordering;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

/// Keys of the first batch and of later ones, at most.
const FIRST: usize = 32;
const MOST: usize = 256;

/// Some keys that were read ahead.
#[derive(Default)]
struct Batch {
    keys: Vec<u8>,
    /// Where each key ends, and its value.
    entries: Vec<(usize, u64)>,
    at: usize,
    size: usize,
}

impl Batch {
    fn push(&mut self, key: &[u8], value: u64) {
        self.keys.extend_from_slice(key);
        self.entries.push((self.keys.len(), value));
    }

    fn next(&self) -> Option<(&[u8], u64)> {
        let &(end, value) = self.entries.get(self.at)?;
        let start = self.at.checked_sub(1).map_or(0, |before| self.entries[before].0);
        Some((&self.keys[start..end], value))
    }

    /// Reads the next batch.
    fn fill(
        &mut self,
        core: &Core<FrozenLayer>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        back: bool,
    ) {
        self.keys.clear();
        self.entries.clear();
        self.at = 0;
        self.size = if self.size == 0 { FIRST } else { MOST.min(2 * self.size) };
        core.with(|state| {
            merge(state, start, end, back, self.size, |key, value| self.push(key, value))
        });
    }
}

/// One of the parts, and its next key.
struct Side<'s> {
    part: Part<'s>,
    key: Vec<u8>,
    /// What the part says of the key; none where there is no further key.
    change: Option<Change>,
}

enum Part<'s> {
    Delta(Changes<'s>),
    Base(FrozenRange<'s>),
}

impl<'s> Side<'s> {
    fn new(part: Part<'s>, back: bool) -> Self {
        let mut side = Side { part, key: Vec::new(), change: None };
        side.step(back);
        side
    }

    fn step(&mut self, back: bool) {
        let found = match &mut self.part {
            Part::Delta(changes) => changes.step(back),
            Part::Base(range) => (if back { range.lend_back() } else { range.lend() })
                .map(|(key, value)| (key, Some(value))),
        };
        self.change = found.map(|(key, change)| {
            self.key.clear();
            self.key.extend_from_slice(key);
            change
        });
    }
}

/// Hands on the first keys of a range, at most so many.
fn merge(
    state: &State<FrozenLayer>,
    start: Bound<&[u8]>,
    end: Bound<&[u8]>,
    back: bool,
    most: usize,
    mut then: impl FnMut(&[u8], u64),
) {
    let deltas = [Some(&state.delta), state.sealed.as_ref()];
    let deltas = deltas.into_iter().flatten().map(|delta| Part::Delta(delta.range(start, end)));
    let base = Part::Base(state.base.range::<[u8], _>((start, end)));
    // The uppermost first.
    let mut sides: Vec<Side<'_>> = deltas.chain([base]).map(|part| Side::new(part, back)).collect();
    let mut count = 0;
    while count < most {
        sides.retain(|side| side.change.is_some());
        let order =
            |a: &Side<'_>, b: &Side<'_>| if back { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) };
        // Of equal ones, the first.
        let Some(first) = (0..sides.len()).min_by(|&a, &b| order(&sides[a], &sides[b])) else {
            return;
        };
        if let Some(Some(value)) = sides[first].change {
            then(&sides[first].key, value);
            count += 1;
        }
        for other in first + 1..sides.len() {
            if order(&sides[first], &sides[other]) == Ordering::Equal {
                sides[other].step(back);
            }
        }
        sides[first].step(back);
    }
}

/// The keys inside a range, as copies, with their values; ascending, from the back descending. From
/// [`HybridStore::range`](crate::HybridStore::range), [`prefix`](crate::HybridStore::prefix) and [`iter`](crate::HybridStore::iter).
///
/// A key that is there for the whole of a scan is yielded exactly once and in order, also through compactions; one that comes or
/// goes meanwhile may be or not. It reads ahead: a value is one that the key had at some moment since the call that handed out the key up to 256
/// places before, or since the range was made. Between calls it holds nothing back, and may be kept for any time.
///
/// [`lend`](Self::lend) and [`lend_back`](Self::lend_back) give the same keys without a copy.
///
/// ```
/// let store = memkv::HybridStore::new();
/// for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
///     store.insert(key, value)?;
/// }
/// let mut range = store.iter();
/// assert_eq!(range.next(), Some((b"a".to_vec(), 1)));
/// store.compact()?;
/// assert_eq!(range.next_back(), Some((b"c".to_vec(), 3)));
/// assert_eq!(range.next(), Some((b"b".to_vec(), 2)));
/// assert_eq!(range.next(), None);
/// # Ok::<(), memkv::HybridError>(())
/// ```
pub struct HybridRange<'s> {
    core: &'s Core<FrozenLayer>,
    /// Where the range begins and ends, or the last keys that were handed out from both ends.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    front: Batch,
    back: Batch,
    done: bool,
}

fn is_inside(key: &[u8], start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    let after = match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= &start[..],
        Bound::Excluded(start) => key > &start[..],
    };
    after
        && match end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
        }
}

/// Notes that a key was handed out. Gives the copy of it.
fn pass<'b>(bound: &'b mut Bound<Vec<u8>>, key: &[u8]) -> &'b [u8] {
    if let Bound::Excluded(last) = bound {
        last.clear();
        last.extend_from_slice(key);
    } else {
        *bound = Bound::Excluded(key.to_vec());
    }
    match bound {
        Bound::Excluded(last) => last,
        _ => &[],
    }
}

impl<'s> HybridRange<'s> {
    pub(super) fn new(core: &'s Core<FrozenLayer>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let done = crate::key::is_empty(start, end);
        let (start, end) = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
        HybridRange { core, start, end, front: Batch::default(), back: Batch::default(), done }
    }

    /// The next key, lent until the next call, and its value.
    pub fn lend(&mut self) -> Option<(&[u8], u64)> {
        self.step(false)
    }

    /// The next key from the back, lent until the next call, and its value.
    pub fn lend_back(&mut self) -> Option<(&[u8], u64)> {
        self.step(true)
    }

    fn step(&mut self, back: bool) -> Option<(&[u8], u64)> {
        if self.done {
            return None;
        }
        let HybridRange { core, start, end, front, back: behind, done } = self;
        let batch = if back { behind } else { front };
        let (from, to) = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        if batch.next().is_none() && !crate::key::is_empty(from, to) {
            batch.fill(core, from, to, back);
        }
        // What was read ahead may have been handed out from the other end since.
        let Some((key, value)) = batch.next().filter(|(key, _)| is_inside(key, start, end)) else {
            *done = true;
            return None;
        };
        let key = pass(if back { end } else { start }, key);
        batch.at += 1;
        Some((key, value))
    }
}

impl Iterator for HybridRange<'_> {
    type Item = (Vec<u8>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|(key, value)| (key.to_vec(), value))
    }

    fn count(mut self) -> usize {
        let mut count = 0;
        while self.lend().is_some() {
            count += 1;
        }
        count
    }

    fn last(mut self) -> Option<Self::Item> {
        self.next_back()
    }
}

impl DoubleEndedIterator for HybridRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.lend_back().map(|(key, value)| (key.to_vec(), value))
    }
}

impl FusedIterator for HybridRange<'_> {}

impl fmt::Debug for HybridRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridRange").finish_non_exhaustive()
    }
}
