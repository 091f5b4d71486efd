//! Ranges over delta, frozen delta and base.
//!
//! A range reads ahead, a group of keys at a time, from the current state, by a merge of its parts.
//! If several parts have a key, the uppermost decides; a key with a tombstone is skipped. Between
//! groups a range keeps only the last key that it returned, after which the next group begins: no
//! pin, no old delta and no old base. So it does not matter that the state is replaced.
//!
//! A key that is present for the whole scan is in every state, and the group that reaches it has it
//! once. The delta may change while a group is read. It may get an entry for a key after the merge
//! has passed it: the merge then found the key below. It may lose the entry of a key: the key is
//! then absent.

#![forbid(unsafe_code)]

use super::change::Change;
use super::delta::Changes;
use super::state::{Core, State};
use crate::face::sealed::Sealed;
use crate::face::{Ends, Keys, OwnedEnds, Range, Values};
use crate::key;
use crate::sync::own_changes::LastChange;
use crate::{FrozenLayer, FrozenRange};
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

/// Keys of the first group. Each group has twice as many as the one before it.
const FIRST_GROUP_KEYS: usize = 32;
const MAX_GROUP_KEYS: usize = 256;

/// The rest of a range, and the end from which it is read.
#[derive(Clone, Copy)]
struct Rest<'r> {
    start: Bound<&'r [u8]>,
    end: Bound<&'r [u8]>,
    back: bool,
}

impl Rest<'_> {
    fn contains(&self, key: &[u8]) -> bool {
        (self.start, self.end).contains(key)
    }
}

/// A group of keys that were read ahead.
#[derive(Clone)]
struct Group {
    keys: Vec<u8>,
    /// The end of each key in `keys`, and its value.
    entries: Vec<(usize, u64)>,
    /// Index of the next entry to return.
    next: usize,
    /// Keys that the group was to have.
    size: usize,
    /// The last change of the thread that read the group.
    last_change: LastChange,
}

impl Group {
    fn new() -> Self {
        let last_change = LastChange::NONE;
        Group { keys: Vec::new(), entries: Vec::new(), next: 0, size: 0, last_change }
    }

    fn push(&mut self, key: &[u8], value: u64) {
        self.keys.extend_from_slice(key);
        self.entries.push((self.keys.len(), value));
    }

    /// Returns whether the group has a key left, and this thread has changed nothing since.
    fn is_ready(&self) -> bool {
        self.next < self.entries.len() && self.last_change == LastChange::of_this_thread()
    }

    fn peek(&self) -> Option<(&[u8], u64)> {
        let &(end, value) = self.entries.get(self.next)?;
        let start = self.next.checked_sub(1).map_or(0, |before| self.entries[before].0);
        Some((&self.keys[start..end], value))
    }

    /// Reads the next group.
    fn fill(&mut self, core: &Core<FrozenLayer>, rest: Rest<'_>) {
        let is_interrupted = self.next < self.entries.len();
        self.keys.clear();
        self.entries.clear();
        self.next = 0;
        self.size = if self.size == 0 || is_interrupted {
            FIRST_GROUP_KEYS
        } else {
            MAX_GROUP_KEYS.min(2 * self.size)
        };
        self.last_change = LastChange::of_this_thread();
        if key::is_empty(rest.start, rest.end) {
            return;
        }
        core.with(|state| merge(state, rest, self.size, |key, value| self.push(key, value)));
    }
}

/// A part of the state, and its next key.
struct Source<'s> {
    part: Part<'s>,
    key: Vec<u8>,
    /// What the part has for `key`, or `None` at the end of the range.
    change: Option<Change>,
}

enum Part<'s> {
    Delta(Box<Changes<'s>>),
    Base(Box<FrozenRange<'s>>),
}

impl<'s> Source<'s> {
    fn new(part: Part<'s>, back: bool) -> Self {
        let mut source = Source { part, key: Vec::new(), change: None };
        source.step(back);
        source
    }

    fn step(&mut self, back: bool) {
        let found = match &mut self.part {
            Part::Delta(changes) => changes.step(back),
            Part::Base(range) => {
                range.ends.step(back).map(|(key, value)| (key, Change::Stored(value)))
            }
        };
        self.change = found.map(|(key, change)| {
            self.key.clear();
            self.key.extend_from_slice(key);
            change
        });
    }
}

/// Passes the first keys of a range to `take`, at most `limit`.
fn merge(
    state: &State<FrozenLayer>,
    Rest { start, end, back }: Rest<'_>,
    limit: usize,
    mut take: impl FnMut(&[u8], u64),
) {
    let deltas = [Some(&state.delta), state.frozen_delta.as_ref()];
    let deltas =
        deltas.into_iter().flatten().map(|delta| Part::Delta(Box::new(delta.range(start, end))));
    let base = Part::Base(Box::new(state.base.range::<[u8], _>((start, end))));
    // The uppermost part comes first.
    let mut sources: Vec<Source<'_>> =
        deltas.chain([base]).map(|part| Source::new(part, back)).collect();
    let mut count = 0;
    while count < limit {
        sources.retain(|source| source.change.is_some());
        let order = |a: &Source<'_>, b: &Source<'_>| {
            if back { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) }
        };
        // `min_by` returns the first of equal elements: the uppermost part that has the key.
        let Some(first) = (0..sources.len()).min_by(|&a, &b| order(&sources[a], &sources[b]))
        else {
            return;
        };
        if let Some(Change::Stored(value)) = sources[first].change {
            take(&sources[first].key, value);
            count += 1;
        }
        for other in first + 1..sources.len() {
            if order(&sources[first], &sources[other]) == Ordering::Equal {
                sources[other].step(back);
            }
        }
        sources[first].step(back);
    }
}

/// An iterator over the keys of a range, as copies, and their values. Ascending; from the back,
/// descending.
///
/// Returned by [`HybridStore::range`](crate::HybridStore::range),
/// [`prefix`](crate::HybridStore::prefix) and [`iter`](crate::HybridStore::iter).
/// [`next_ref`](Range::next_ref) and [`next_back_ref`](Range::next_back_ref) return the same keys
/// without a copy.
///
/// # Guarantees
/// * A key that is present for the whole scan is returned exactly once and in order, also if the
///   store is compacted. A key that is inserted or removed during the scan may be returned or not.
/// * What the scanning thread itself changed before a step, the step sees.
/// * A range reads up to 256 keys ahead. A returned value was current at some moment since the call
///   that returned the key up to 256 positions before it, or since the range was created.
/// * Between calls it holds back no memory, so it may be kept for any time.
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
pub type HybridRange<'s> = Range<HybridEnds<'s>>;

/// An iterator over the keys of a [`HybridStore`](crate::HybridStore). Returned by
/// [`HybridStore::keys`](crate::HybridStore::keys).
pub type HybridKeys<'s> = Keys<HybridEnds<'s>>;

/// An iterator over the values of a [`HybridStore`](crate::HybridStore). Returned by
/// [`HybridStore::values`](crate::HybridStore::values).
pub type HybridValues<'s> = Values<HybridEnds<'s>>;

/// Both ends of a range of a [`HybridStore`](crate::HybridStore).
#[expect(missing_debug_implementations, reason = "no user holds one")]
#[derive(Clone)]
pub struct HybridEnds<'s> {
    core: &'s Core<FrozenLayer>,
    /// The bounds of the range, or the last keys that were returned from its ends.
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    front: Group,
    back: Group,
    done: bool,
}

/// Moves a bound past a key that is returned. Returns the copy of the key.
fn move_past<'b>(bound: &'b mut Bound<Vec<u8>>, key: &[u8]) -> &'b [u8] {
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

impl<'s> HybridEnds<'s> {
    pub(super) fn new(core: &'s Core<FrozenLayer>, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Self {
        let done = key::is_empty(start, end);
        let (start, end) = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
        HybridEnds { core, start, end, front: Group::new(), back: Group::new(), done }
    }
}

impl Sealed for HybridEnds<'_> {}

impl Ends for HybridEnds<'_> {
    type Value<'w>
        = u64
    where
        Self: 'w;

    fn step(&mut self, back: bool) -> Option<(&[u8], u64)> {
        if self.done {
            return None;
        }
        let HybridEnds { core, start, end, front, back: from_back, done } = self;
        let group = if back { from_back } else { front };
        let rest = Rest {
            start: start.as_ref().map(Vec::as_slice),
            end: end.as_ref().map(Vec::as_slice),
            back,
        };
        if !group.is_ready() {
            group.fill(core, rest);
        }
        // The other end may have returned what this group read ahead.
        let Some((key, value)) = group.peek().filter(|(key, _)| rest.contains(key)) else {
            *done = true;
            return None;
        };
        let key = move_past(if back { end } else { start }, key);
        group.next += 1;
        Some((key, value))
    }
}

impl OwnedEnds for HybridEnds<'_> {
    type Owned = u64;

    fn own(value: u64) -> u64 {
        value
    }
}
