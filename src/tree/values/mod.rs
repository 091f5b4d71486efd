//! A shared tree whose values may be of any type: the tree has the number of a slot for each key, the slots have the values.
//!
//! A value is put into a slot before the tree gets the slot's number, so who finds the number finds the value. Whoever takes a number out of the
//! tree, by a change that the tree makes one of, retires the value: it is dropped, and the slot free, when no thread that could have found it is
//! pinned any more. So while a thread is pinned no number that it found stands for another value, and numbers can be compared for the values.

mod slots;

use crate::InsertError;
use crate::reclaim::{self, Pin, RetiredKind};
use crate::tree::RawTree;
use crate::tree::edit::mode::{Expected, Outcome};
use crate::tree::node::layout::Usage;
use crate::tree::read::cursor::OwnedCursors;
use crate::tree::shared::cursor::SharedCursor;
use crate::tree::shared::{SharedTree, stripes};
use crossbeam_utils::CachePadded;
use slots::Slots;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

/// Keeps the slots for values that are retired. One for each stripe of threads, so that these do not count in the same place.
struct Keep<T>(CachePadded<Arc<Slots<T>>>);

/// A shared tree of values.
pub(crate) struct ValueTree<T: Send + Sync + 'static> {
    index: SharedTree<u32>,
    slots: Arc<Slots<T>>,
    keeps: Box<[Arc<Keep<T>>]>,
}

/// Drops a value. A panic ends here (V6): the thread may be doing anything when it comes to drop what another one retired.
fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value)))
        // Which might panic in its turn.
        && let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic)))
    {
        std::mem::forget(panic);
    }
}

impl<T: Send + Sync + 'static> ValueTree<T> {
    pub(crate) fn new() -> Self {
        let stripes = if cfg!(loom) { 1 } else { stripes() };
        let slots = Arc::new(Slots::new(stripes));
        let keeps =
            (0..stripes).map(|_| Arc::new(Keep(CachePadded::new(Arc::clone(&slots))))).collect();
        ValueTree { index: SharedTree::new(RawTree::new()), slots, keeps }
    }

    /// A tree of these pairs; of those with the same key the last.
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
                    // SAFETY: (V4) the tree has one owner, so a number that did not get into it, or is in it no more, is nobody else's.
                    drop_quietly(unsafe { slots.remove(removed) });
                }
                result?;
            }
            Ok::<_, InsertError>(())
        })?;
        Ok(built)
    }

    /// The tree as a thread that is pinned sees it.
    #[inline]
    pub(crate) fn pinned<'p>(&'p self, pin: &'p Pin) -> PinnedTree<'p, T> {
        PinnedTree { tree: self, pin, brand: PhantomData }
    }

    /// Does something under a pin, and keeps the pin with the value that comes of it.
    #[inline]
    pub(crate) fn with_pin<E>(
        &self,
        pin: Pin,
        work: impl for<'p> FnOnce(PinnedTree<'p, T>) -> Result<Option<ValueRef<'p, T>>, E>,
    ) -> Result<Option<Ref<'_, T>>, E> {
        let value = work(self.pinned(&pin))?.map(|value| NonNull::from(value.value));
        Ok(value.map(|value| Ref { value, _pin: pin, map: PhantomData }))
    }

    /// Has the value in a slot dropped when nobody can be reading it.
    ///
    /// # Safety
    /// The caller's change took the slot's number out of the tree (V4).
    unsafe fn retire(&self, pin: &Pin, slot: u32) {
        if mutant!(ValueDroppedAtOnce) {
            // SAFETY: (V4) but for the readers, whom the model finds.
            return drop_quietly(unsafe { self.slots.remove(slot) });
        }
        let keep = Arc::clone(&self.keeps[crate::sync::stripes::stripe() % self.keeps.len()]);
        // SAFETY: (R3, V4) the closure owns its handle, and the slot with the value, which may be dropped anywhere and at any time, since it
        // is `Send` and `'static`.
        unsafe {
            pin.retire(RetiredKind::Value, size_of::<T>(), move || {
                let value = keep.0.remove(slot);
                crate::sync::deferred::run_or_defer(move || drop_quietly(value));
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Removes every key at one moment.
    pub(crate) fn clear(&self, pin: &Pin) -> Result<(), InsertError> {
        // SAFETY: (V4) each value that was in the tree at that moment is handed out once.
        self.index.clear(pin, |slot| unsafe { self.retire(pin, slot) })
    }

    /// Removes the keys whose values `keep` says no of, unless they get another value meanwhile.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&[u8], &T) -> bool,
    ) -> Result<(), InsertError> {
        let mut cursor = ValueCursor::new(self);
        cursor.seek(&[], false);
        while let Some((key, slot)) = cursor.raw.next() {
            // SAFETY: (V1, V3) the number was found under the cursor's pin, which is not renewed before the next step.
            if !keep(key, unsafe { self.slots.get(slot) }) {
                self.pinned(&reclaim::pin_to_write()).change(key, Expected::Value(slot), None)?;
            }
        }
        Ok(())
    }

    pub(crate) fn reclaim(&self) {
        self.index.reclaim();
    }

    /// What the index takes: nodes, and the rest.
    pub(crate) fn index_usage(&self) -> (Usage, usize) {
        (self.index.usage(), self.index.heap_bytes())
    }

    /// Bytes of the slots, and of what is about them.
    pub(crate) fn slot_bytes(&self) -> (usize, usize) {
        let (segments, each, rest) = self.slots.bytes();
        (segments * each, rest + self.keeps.len() * size_of::<Keep<T>>())
    }

    /// Says what is wrong, if anything is. Nobody changes it meanwhile.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.index.check(&crate::reclaim::pin())?;
        let mut cursor = SharedCursor::new(&self.index);
        cursor.seek(&[], false);
        self.slots.check(std::iter::from_fn(|| cursor.next().map(|(_, slot)| slot)))
    }

    fn drain(&mut self) -> Drain<T> {
        let index = std::mem::replace(&mut self.index, SharedTree::new(RawTree::new()));
        Drain { cursors: OwnedCursors::new(index.into_raw()), slots: Arc::clone(&self.slots) }
    }

    /// The pairs, for one owner.
    pub(crate) fn into_drain(mut self) -> Drain<T> {
        self.drain()
    }
}

impl<T: Send + Sync + 'static> Drop for ValueTree<T> {
    fn drop(&mut self) {
        drop(self.drain());
    }
}

/// A value of a tree, lent as long as the thread stays pinned. From an [`PinnedTree`] of the very same lifetime, and from no other.
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
    #[inline]
    pub(crate) fn get(self) -> &'p T {
        self.value
    }

    /// What the tree must have for a change of just this value.
    #[inline]
    pub(crate) fn expected(self) -> Expected<u32> {
        Expected::Value(self.slot)
    }
}

/// What came of a change.
pub(crate) struct Change<'p, T> {
    /// The value at that moment, before the change.
    pub(crate) before: Option<ValueRef<'p, T>>,
    /// The value then, or the new one back if another was expected.
    pub(crate) after: Result<Option<ValueRef<'p, T>>, Option<T>>,
}

/// A tree, and a pin of this thread. Invariant in its lifetime, so that what is lent under a pin is not taken for something else.
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
    /// The value of a number that the tree held since the thread is pinned.
    ///
    /// # Safety
    /// It did (V3).
    #[inline]
    unsafe fn value_ref(self, slot: u32) -> ValueRef<'p, T> {
        // SAFETY: (V1, V3) by the caller.
        ValueRef { value: unsafe { self.tree.slots.get(slot) }, slot, brand: PhantomData }
    }

    #[inline]
    pub(crate) fn get(self, key: &[u8]) -> Option<ValueRef<'p, T>> {
        // SAFETY: (V3) the number comes from the tree.
        self.tree.index.get(self.pin, key).map(|slot| unsafe { self.value_ref(slot) })
    }

    #[inline]
    pub(crate) fn contains(self, key: &[u8]) -> bool {
        self.tree.index.contains(self.pin, key)
    }

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

    /// Gives `key` a new value, or none, if its value is as expected. An error drops the new value.
    pub(crate) fn change(
        self,
        key: &[u8],
        expected: Expected<u32>,
        new: Option<T>,
    ) -> Result<Change<'p, T>, InsertError> {
        let ValueTree { index, slots, .. } = self.tree;
        let new = new.map(|value| slots.insert(value)).transpose()?;
        // SAFETY: (V4) a number that did not get into the tree is ours alone; one that this change took out of it is ours to retire. (V3) The
        // others come from the tree.
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

    /// Removes the least key, or the greatest, and gives its value; the key is in `key` then.
    pub(crate) fn pop(
        self,
        last: bool,
        key: &mut Vec<u8>,
    ) -> Result<Option<ValueRef<'p, T>>, InsertError> {
        let slot = self.tree.index.pop(self.pin, last, key)?;
        Ok(slot.map(|slot| {
            // SAFETY: (V3, V4) the pop took the number out of the tree.
            unsafe {
                let lent = self.value_ref(slot);
                self.tree.retire(self.pin, slot);
                lent
            }
        }))
    }
}

/// A value of a map that threads share, lent for as long as this lives.
///
/// It keeps its thread pinned, so that the value is not dropped, also if another thread replaces or removes it meanwhile. Holding it for long
/// holds back what all maps retire. It is not `Send`, and cannot outlive its map.
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
        // SAFETY: (V3) the value was lent under the pin, which lasts as long as this does.
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

/// A position in a tree of values.
pub(crate) struct ValueCursor<'t, T: Send + Sync + 'static> {
    raw: SharedCursor<'t, u32>,
    slots: &'t Slots<T>,
}

impl<'t, T: Send + Sync + 'static> ValueCursor<'t, T> {
    /// A cursor behind all entries.
    pub(crate) fn new(tree: &'t ValueTree<T>) -> Self {
        ValueCursor { raw: SharedCursor::new(&tree.index), slots: &tree.slots }
    }

    pub(crate) fn seek(&mut self, target: &[u8], behind: bool) {
        self.raw.seek(target, behind);
    }

    pub(crate) fn seek_end(&mut self) {
        self.raw.seek_end();
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.raw.key()
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<(&[u8], &T)> {
        // SAFETY: (V1, V3) the number was found under the cursor's pin, which is not renewed while the value is borrowed.
        self.raw.next().map(|(key, slot)| (key, unsafe { self.slots.get(slot) }))
    }

    #[inline]
    pub(crate) fn previous(&mut self) -> Option<(&[u8], &T)> {
        // SAFETY: (V1, V3) as above.
        self.raw.previous().map(|(key, slot)| (key, unsafe { self.slots.get(slot) }))
    }
}

/// What was in a tree, for one owner, who takes it from both ends.
pub(crate) struct Drain<T: Send + Sync + 'static> {
    cursors: OwnedCursors<u32>,
    slots: Arc<Slots<T>>,
}

impl<T: Send + Sync + 'static> Drain<T> {
    pub(crate) fn left(&self) -> usize {
        self.cursors.left()
    }

    pub(crate) fn next(&mut self) -> Option<(&[u8], T)> {
        // SAFETY: (V4) each number is handed out once, and nobody else has the tree.
        self.cursors.next().map(|(key, slot)| (key, unsafe { self.slots.remove(slot) }))
    }

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
