//! A shared tree with values of any type. The tree maps each key to the number of a value slot, and
//! the slot has the value.
//!
//! A value is written into a slot before the tree gets the slot's number, so a thread that finds
//! the number finds the value. The edit that removes a number from the tree retires the value. The
//! value is dropped, and its slot freed, once no thread that could have found it is pinned. So
//! while a thread is pinned, no number that it found stands for another value, and two values can
//! be compared by their numbers.
//!
//! * `slots`: the value slots.
//! * `model`: value slots without a tree, for loom.

#[cfg(memkv_loom)]
mod model;
mod slots;

use crate::InsertError;
use crate::reclaim::{self, Pin, RetiredKind};
use crate::sync::stripes::STRIPES;
use crate::tree::RawTree;
use crate::tree::edit::{Expected, Outcome};
use crate::tree::node::Usage;
use crate::tree::read::cursors::OwnedCursors;
use crate::tree::shared::scan::{PinnedSource, Scan};
use crate::tree::shared::{SharedTree, stripes};
use crossbeam_utils::CachePadded;
#[cfg(memkv_loom)]
pub use model::{FilledSlot, ModelSlots};
use slots::Slots;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::{Bound, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

/// Keeps the slots alive for retired values. Each stripe of threads has its own, so that threads of
/// different stripes do not count references in the same cache line.
struct SlotsHandle<T>(CachePadded<Arc<Slots<T>>>);

/// A shared tree with values of any type.
pub(crate) struct ValueTree<T: Send + Sync + 'static> {
    index: SharedTree<u32>,
    slots: Arc<Slots<T>>,
    handles: Box<[Arc<SlotsHandle<T>>]>,
}

/// Drops a value, and catches a panic of its drop (V6). The value may have been retired by another
/// thread, and this thread may be in the middle of any operation.
fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value)))
        // The drop of a panic's payload may panic too.
        && let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic)))
    {
        std::mem::forget(panic);
    }
}

impl<T: Send + Sync + 'static> ValueTree<T> {
    pub(crate) fn new() -> Self {
        let stripes = if cfg!(memkv_loom) { STRIPES } else { stripes() };
        let slots = Arc::new(Slots::new(stripes));
        let handles = (0..stripes)
            .map(|_| Arc::new(SlotsHandle(CachePadded::new(Arc::clone(&slots)))))
            .collect();
        ValueTree { index: SharedTree::new(RawTree::new()), slots, handles }
    }

    /// Builds a tree of `pairs`. Of pairs with the same key the last one counts.
    ///
    /// # Errors
    /// An error of an insert. It drops all values.
    pub(crate) fn build<K: AsRef<[u8]>>(
        pairs: impl Iterator<Item = (K, T)>,
    ) -> Result<Self, InsertError> {
        let mut built = Self::new();
        let slots = &built.slots;
        built.index.edit_exclusive(|index| {
            for (key, value) in pairs {
                let slot = slots.insert(value)?;
                let (removed, result) = match index.insert(key.as_ref(), slot) {
                    Ok(old) => (old, Ok(())),
                    Err(error) => (Some(slot), Err(error)),
                };
                if let Some(removed) = removed {
                    // SAFETY: (V4) the tree has one owner, so no other thread knows a number that
                    // is not in the tree, or no longer.
                    drop_quietly(unsafe { slots.remove(removed) });
                }
                result?;
            }
            Ok::<_, InsertError>(())
        })?;
        Ok(built)
    }

    /// Returns the tree of the numbers.
    pub(crate) fn index(&self) -> &SharedTree<u32> {
        &self.index
    }

    /// Returns the value of the entry that a scan of this tree has passed: the one that it found
    /// there, or, if that may have been dropped, the current one.
    pub(crate) fn get_passed(&self, scan: &Scan<u32>) -> Option<Ref<'_, T>> {
        let Ok(found) = self.with_pin(reclaim::pin(), |at| {
            let slot = scan.live_value(&self.index, at.pin.era());
            // SAFETY: (V3, R7) the scan found the number in this tree, in the same era.
            let value = slot.map(|slot| unsafe { at.value_ref(slot) });
            Ok::<_, Infallible>(value.or_else(|| at.get(scan.key())))
        });
        found
    }

    /// Returns the tree together with a pin of this thread.
    #[inline]
    pub(crate) fn pinned<'p>(&'p self, pin: &'p Pin) -> PinnedTree<'p, T> {
        PinnedTree { tree: self, pin, brand: PhantomData }
    }

    /// Runs `work` under `pin`, and returns the value that it found together with the pin.
    #[inline]
    pub(crate) fn with_pin<E>(
        &self,
        pin: Pin,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Result<Option<ValueRef<'p, T>>, E>,
    ) -> Result<Option<Ref<'_, T>>, E> {
        let value = work(self.pinned(&pin))?.map(|value| NonNull::from(value.value));
        Ok(value.map(|value| Ref { value, _pin: pin, map: PhantomData }))
    }

    /// Retires the value in a slot: it is dropped once no thread can read it.
    ///
    /// # Safety
    /// The caller's edit removed the slot's number from the tree (V4).
    unsafe fn retire(&self, pin: &Pin, slot: u32) {
        if mutant!(ValueDroppedAtOnce) {
            // SAFETY: (V4) except that readers may remain, which the model finds.
            return drop_quietly(unsafe { self.slots.remove(slot) });
        }
        let handle = Arc::clone(&self.handles[crate::sync::stripes::stripe() % self.handles.len()]);
        // SAFETY: (R3, V4) the closure owns its handle and the slot. The value is `Send` and
        // `'static`, so any thread may drop it at any time.
        unsafe {
            pin.retire(RetiredKind::Value, size_of::<T>(), move || {
                let value = handle.0.remove(slot);
                crate::sync::deferred::run_or_defer(move || drop_quietly(value));
            });
        }
    }

    /// Returns the number of keys. It is exact if no thread edits the tree.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Removes every key at one moment.
    pub(crate) fn clear(&self, pin: &Pin) -> Result<(), InsertError> {
        // SAFETY: (V4) the clear passes on each number that it removed, once.
        self.index.clear(pin, |slot| unsafe { self.retire(pin, slot) })
    }

    /// Removes the entries for which `keep` returns `false`. An entry whose value is replaced in
    /// the meantime stays.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&[u8], &T) -> bool,
    ) -> Result<(), InsertError> {
        let (mut scan, mut index) = (Scan::new(), PinnedSource::new(&self.index));
        while let Some((key, slot)) = scan.step(&mut index, false, Bound::Unbounded) {
            // SAFETY: (V1, V3) the number was found under the pin, which is not renewed before the
            // next step.
            if !keep(key, unsafe { self.slots.get(slot) }) {
                self.pinned(&reclaim::pin_to_write()).change(key, Expected::Value(slot), None)?;
            }
        }
        Ok(())
    }

    /// Frees the retired memory that can be freed.
    pub(crate) fn reclaim(&self) {
        self.index.reclaim();
    }

    /// Returns what the nodes of the index take, and its other bytes on the heap.
    pub(crate) fn index_usage(&self) -> (Usage, usize) {
        (self.index.usage(), self.index.heap_bytes())
    }

    /// Returns the bytes of the segments, and the bytes of all that manages them.
    pub(crate) fn slot_bytes(&self) -> (usize, usize) {
        let (segments, each, rest) = self.slots.bytes();
        (segments * each, rest + self.handles.len() * size_of::<SlotsHandle<T>>())
    }

    /// Checks the tree and its slots, and that each key has a slot of its own.
    ///
    /// # Errors
    /// A description of the first violation.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.index.check(&crate::reclaim::pin())?;
        let (mut scan, mut index) = (Scan::new(), &self.index);
        let next = || scan.step(&mut index, false, Bound::Unbounded).map(|(_, slot)| slot);
        self.slots.check(std::iter::from_fn(next))
    }

    /// Takes the entries out of the tree.
    fn drain(&mut self) -> Drain<T> {
        let index = std::mem::replace(&mut self.index, SharedTree::new(RawTree::new()));
        Drain { cursors: OwnedCursors::new(index.into_raw()), slots: Arc::clone(&self.slots) }
    }

    /// Returns the entries, for one owner.
    pub(crate) fn into_drain(mut self) -> Drain<T> {
        self.drain()
    }
}

impl<T: Send + Sync + 'static> Drop for ValueTree<T> {
    fn drop(&mut self) {
        drop(self.drain());
    }
}

/// A value of a tree, borrowed for as long as a pin lasts.
///
/// It is invariant in its lifetime, so it belongs to a [`PinnedTree`] of exactly this lifetime
/// (V3).
pub(crate) struct ValueRef<'p, T> {
    value: &'p T,
    slot: u32,
    brand: PhantomData<fn(&'p ()) -> &'p ()>,
}

impl<T> Clone for ValueRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ValueRef<'_, T> {}

impl<'p, T> ValueRef<'p, T> {
    /// Returns the value.
    #[inline]
    pub(crate) fn get(self) -> &'p T {
        self.value
    }

    /// Returns the condition for a change of exactly this value.
    #[inline]
    pub(crate) fn expected(self) -> Expected<u32> {
        Expected::Value(self.slot)
    }
}

/// The outcome of a change.
pub(crate) struct Change<'p, T> {
    /// The value before the change.
    pub(crate) before: Option<ValueRef<'p, T>>,
    /// The value after the change, or, if the expected value was not there, the new value back.
    pub(crate) after: Result<Option<ValueRef<'p, T>>, Option<T>>,
}

/// A tree together with a pin of this thread.
///
/// It is invariant in its lifetime, so that a value borrowed under one pin cannot be used with
/// another (V3).
pub(crate) struct PinnedTree<'p, T: Send + Sync + 'static> {
    tree: &'p ValueTree<T>,
    pin: &'p Pin,
    brand: PhantomData<fn(&'p ()) -> &'p ()>,
}

impl<T: Send + Sync + 'static> Clone for PinnedTree<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for PinnedTree<'_, T> {}

impl<'p, T: Send + Sync + 'static> PinnedTree<'p, T> {
    /// Returns the value in a slot.
    ///
    /// # Safety
    /// The slot's number was in the tree at some time since the thread was pinned (V3).
    #[inline]
    unsafe fn value_ref(self, slot: u32) -> ValueRef<'p, T> {
        // SAFETY: (V1, V3) by the caller.
        ValueRef { value: unsafe { self.tree.slots.get(slot) }, slot, brand: PhantomData }
    }

    /// Returns the value of `key`.
    #[inline]
    pub(crate) fn get(self, key: &[u8]) -> Option<ValueRef<'p, T>> {
        // SAFETY: (V3) the number comes from the tree.
        self.tree.index.get(self.pin, key).map(|slot| unsafe { self.value_ref(slot) })
    }

    /// Returns the length of the longest key that is a prefix of `key`, and its value.
    pub(crate) fn longest_prefix(self, key: &[u8]) -> Option<(usize, ValueRef<'p, T>)> {
        let (len, slot) = self.tree.index.read(self.pin).longest_prefix(key)?;
        // SAFETY: (V3) the number comes from the tree.
        Some((len, unsafe { self.value_ref(slot) }))
    }

    /// Returns the lengths of all keys that are prefixes of `key`, the shortest first.
    pub(crate) fn prefix_lens(self, key: &[u8]) -> Vec<usize> {
        let found = self.tree.index.read(self.pin).ascending_prefixes(key);
        found.into_iter().map(|(len, _)| len).collect()
    }

    /// Returns whether `key` is present.
    #[inline]
    pub(crate) fn contains(self, key: &[u8]) -> bool {
        self.tree.index.contains(self.pin, key)
    }

    /// Looks up many keys in groups, and passes their values to `out` in order.
    pub(crate) fn get_many<'k>(
        self,
        keys: impl Iterator<Item = &'k [u8]>,
        mut out: impl FnMut(Option<ValueRef<'p, T>>),
    ) {
        // SAFETY: (V3) as in `get`.
        self.tree
            .index
            .get_many(self.pin, keys, |slot| out(slot.map(|slot| unsafe { self.value_ref(slot) })));
    }

    /// Replaces the value of `key` with `new`, or removes the key, if its value is as expected.
    ///
    /// # Errors
    /// An error of the edit. It drops the new value.
    pub(crate) fn change(
        self,
        key: &[u8],
        expected: Expected<u32>,
        new: Option<T>,
    ) -> Result<Change<'p, T>, InsertError> {
        let ValueTree { index, slots, .. } = self.tree;
        let new = new.map(|value| slots.insert(value)).transpose()?;
        // SAFETY: (V4) no other thread knows a number that did not get into the tree, and a number
        // that this change removed is retired only here. (V3) The others come from the tree.
        unsafe {
            match index.change(self.pin, key, expected, new) {
                Ok(Outcome { old, done: true }) => {
                    let before = old.map(|slot| self.value_ref(slot));
                    if let Some(slot) = old {
                        self.tree.retire(self.pin, slot);
                    }
                    Ok(Change { before, after: Ok(new.map(|slot| self.value_ref(slot))) })
                }
                Ok(Outcome { old, done: false }) => Ok(Change {
                    before: old.map(|slot| self.value_ref(slot)),
                    after: Err(new.map(|slot| slots.remove(slot))),
                }),
                Err(error) => {
                    if let Some(slot) = new {
                        drop_quietly(slots.remove(slot));
                    }
                    Err(error)
                }
            }
        }
    }

    /// Removes the first entry, or the last, writes its key to `key`, and returns its value.
    pub(crate) fn pop(
        self,
        last: bool,
        key: &mut Vec<u8>,
    ) -> Result<Option<ValueRef<'p, T>>, InsertError> {
        let slot = self.tree.index.pop(self.pin, last, key)?;
        Ok(slot.map(|slot| {
            // SAFETY: (V3, V4) the pop removed the number from the tree.
            unsafe {
                let value = self.value_ref(slot);
                self.tree.retire(self.pin, slot);
                value
            }
        }))
    }
}

/// A borrowed value of a [`ConcurrentArenaArt`](crate::ConcurrentArenaArt).
///
/// It keeps its thread pinned, so the value is not dropped even if a thread replaces or removes it.
/// It is not `Send` and cannot outlive its map.
///
/// **Warning:** while it lives, no memory that any map retires can be freed. Drop it soon.
///
/// # Examples
///
/// ```
/// let map = memkv::ConcurrentArenaArt::from([("a", "x".to_string())]);
/// let value = map.get("a").unwrap();
/// map.remove("a");
/// assert_eq!(value.len(), 1);
/// ```
pub struct Ref<'m, T> {
    value: NonNull<T>,
    _pin: Pin,
    map: PhantomData<&'m T>,
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: (V3) the value was found under the pin, which lives as long as `self`.
        unsafe { self.value.as_ref() }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Ref<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// A scan that lends values. It keeps its thread pinned.
pub(crate) struct ValueCursor<'t, T: Send + Sync + 'static> {
    scan: Scan<u32>,
    index: PinnedSource<'t, u32>,
    slots: &'t Slots<T>,
}

impl<'t, T: Send + Sync + 'static> ValueCursor<'t, T> {
    /// Creates a cursor before all entries.
    pub(crate) fn new(tree: &'t ValueTree<T>) -> Self {
        let index = PinnedSource::new(&tree.index);
        ValueCursor { scan: Scan::new(), index, slots: &tree.slots }
    }

    /// Moves before the first entry whose key is at least `target`, or with `after` greater than
    /// it.
    pub(crate) fn seek(&mut self, target: &[u8], after: bool) {
        self.scan.seek(target, after);
    }

    /// Moves after the last entry.
    pub(crate) fn seek_end(&mut self) {
        self.scan.seek_end();
    }

    /// Passes the next entry, or the previous one, and returns it.
    #[inline]
    pub(crate) fn step(&mut self, back: bool) -> Option<(&[u8], &T)> {
        let (key, slot) = self.scan.step(&mut self.index, back, Bound::Unbounded)?;
        // SAFETY: (V1, V3) the number was found under the cursor's pin, which is not renewed while
        // the value is borrowed.
        Some((key, unsafe { self.slots.get(slot) }))
    }
}

/// The entries of a tree for one owner, taken from both ends.
pub(crate) struct Drain<T: Send + Sync + 'static> {
    cursors: OwnedCursors<u32>,
    slots: Arc<Slots<T>>,
}

impl<T: Send + Sync + 'static> Drain<T> {
    /// Returns how many entries are left.
    pub(crate) fn left(&self) -> usize {
        self.cursors.left()
    }

    /// Takes the first of the entries left.
    pub(crate) fn next(&mut self) -> Option<(&[u8], T)> {
        // SAFETY: (V4) the cursors return each number once, and no other thread has the tree.
        self.cursors.next().map(|(key, slot)| (key, unsafe { self.slots.remove(slot) }))
    }

    /// Takes the last of the entries left.
    pub(crate) fn previous(&mut self) -> Option<(&[u8], T)> {
        // SAFETY: (V4) as above.
        self.cursors.previous().map(|(key, slot)| (key, unsafe { self.slots.remove(slot) }))
    }
}

impl<T: Send + Sync + 'static> Drop for Drain<T> {
    fn drop(&mut self) {
        while let Some((_, value)) = self.next() {
            drop_quietly(value);
        }
    }
}
