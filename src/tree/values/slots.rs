//! Value slots: values of any type under 32-bit numbers, for many threads. A value does not move
//! until it is removed, and is read without a lock.
//!
//! ```text
//!   number = 64 * segment + bit       directory             segment
//!                                     used    0b1011        ┌───┬───┬───┬───┬─
//!   stripe ── open segments ────────▶ values ─────────────▶ │ a │ b │   │ d │
//!   (lock)    with a free slot        owner                 └───┴───┴───┴───┴─
//! ```
//!
//! A segment belongs to the stripe of the thread that allocated it. Its slots are allocated and
//! freed under the lock of this stripe only, so threads of different stripes insert without
//! contention. The directory consists of parts, each twice as long as the one before, so that it
//! never moves. A segment without an occupied slot is freed.

use crate::InsertError;
use crate::sync::stripes::stripe;
use crate::sync::{RwLock, UnsafeCell, wait};
use crossbeam_utils::CachePadded;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, slice_from_raw_parts_mut};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Slots of a segment. In a model there are two, so that few values need many segments.
const SLOTS_PER_SEGMENT: u32 = if cfg!(memkv_loom) { 2 } else { 64 };
/// `Segment::used` of a segment without a free slot.
const FULL_SEGMENT: u64 = u64::MAX >> (u64::BITS - SLOTS_PER_SEGMENT);
/// Parts of the directory, enough for all slots that 32 bits can number.
const DIRECTORY_PARTS: usize = (u32::BITS - SLOTS_PER_SEGMENT.ilog2()) as usize;
/// The most segments that the parts of the directory have entries for.
const MAX_SEGMENTS: u32 = u32::MAX >> (u32::BITS - DIRECTORY_PARTS as u32);
/// The most slots, and so the most values.
const MAX_SLOTS: u64 = MAX_SEGMENTS as u64 * SLOTS_PER_SEGMENT as u64;

/// The memory of one value.
type ValueSlot<T> = UnsafeCell<MaybeUninit<T>>;

/// An entry of the directory.
struct Segment<T> {
    /// The slots of the segment. Null if the segment is not allocated.
    values: AtomicPtr<ValueSlot<T>>,
    /// A bit for each occupied slot. This field and those below change under the lock of `owner`.
    used: AtomicU64,
    /// Index in `StripeSegments::open`, if a slot is free.
    open_index: AtomicU32,
    /// The stripe that the segment belongs to.
    owner: AtomicU32,
}

impl<T> Segment<T> {
    /// Frees the slots, if the segment is allocated.
    ///
    /// # Safety
    /// No slot is occupied, or no other thread has the slots (V5).
    unsafe fn free(&self) {
        let values = self.values.swap(null_mut(), Relaxed);
        if !values.is_null() {
            let values = slice_from_raw_parts_mut(values, SLOTS_PER_SEGMENT as usize);
            // SAFETY: (V5) as the caller promises. The slots came from a box of this length.
            drop(unsafe { Box::from_raw(values) });
        }
    }
}

/// The segments of one stripe.
#[derive(Default)]
struct StripeSegments {
    /// The segments with a free slot. The capacity is at least `count`, so that freeing a slot does
    /// not allocate.
    open: Vec<u32>,
    /// Segments of the stripe.
    count: usize,
}

type Stripe = CachePadded<RwLock<StripeSegments>>;

/// The numbers of segments.
#[derive(Default)]
struct SegmentNumbers {
    /// Numbers that were used and are free. The capacity is at least `next`, so that freeing a
    /// segment does not allocate.
    free: Vec<u32>,
    /// The first number that was never used.
    next: u32,
}

/// The value slots of one tree.
pub(crate) struct Slots<T> {
    directory: [OnceLock<Box<[Segment<T>]>>; DIRECTORY_PARTS],
    stripes: Box<[Stripe]>,
    /// Its lock is taken after that of a stripe, and no lock is taken after it.
    numbers: RwLock<SegmentNumbers>,
    values: PhantomData<T>,
}

/// Reserves capacity for `count` items in all.
fn reserve<I>(items: &mut Vec<I>, count: usize) -> Result<(), InsertError> {
    let failed = |_| InsertError::OutOfMemory { bytes: count.saturating_mul(size_of::<I>()) };
    items.try_reserve(count.saturating_sub(items.len())).map_err(failed)
}

/// Allocates a boxed slice of `count` items.
fn try_box<I>(count: usize, item: impl FnMut() -> I) -> Result<Box<[I]>, InsertError> {
    let mut items = Vec::new();
    items
        .try_reserve_exact(count)
        .map_err(|_| InsertError::OutOfMemory { bytes: count.saturating_mul(size_of::<I>()) })?;
    items.resize_with(count, item);
    Ok(items.into_boxed_slice())
}

impl<T> Slots<T> {
    /// Creates slots for threads of this many stripes.
    pub(crate) fn new(stripes: usize) -> Self {
        Slots {
            directory: [const { OnceLock::new() }; DIRECTORY_PARTS],
            stripes: (0..stripes)
                .map(|_| CachePadded::new(RwLock::new(StripeSegments::default())))
                .collect(),
            numbers: RwLock::new(SegmentNumbers::default()),
            values: PhantomData,
        }
    }

    /// Returns the directory's entry for a segment.
    #[inline]
    fn segment(&self, number: u32) -> Option<&Segment<T>> {
        let part = (number + 1).ilog2();
        self.directory[part as usize].get()?.get((number + 1 - (1 << part)) as usize)
    }

    /// Returns the memory of a slot.
    ///
    /// # Safety
    /// The slot stays occupied (V1) for as long as the reference is used.
    #[inline]
    unsafe fn value_slot(&self, slot: u32) -> &ValueSlot<T> {
        let values = self
            .segment(slot / SLOTS_PER_SEGMENT)
            .map_or(null_mut(), |segment| segment.values.load(Acquire));
        // Models are built without debug assertions, but have to find this error.
        assert!(!cfg!(any(debug_assertions, memkv_loom)) || !values.is_null(), "no such segment");
        // SAFETY: (V1) as the caller promises, so the segment is allocated and has this slot.
        unsafe { &*values.add((slot % SLOTS_PER_SEGMENT) as usize) }
    }

    /// Writes a value into a free slot, and returns the slot's number.
    ///
    /// # Errors
    /// [`OutOfMemory`](InsertError::OutOfMemory), or [`TooManyKeys`](InsertError::TooManyKeys) if
    /// all [`MAX_SLOTS`] slots are occupied. The value is dropped.
    #[inline]
    pub(crate) fn insert(&self, value: T) -> Result<u32, InsertError> {
        let slot = self.allocate_slot()?;
        // SAFETY: (V1, V2) the slot was allocated just now, and no other thread knows its number.
        unsafe { self.value_slot(slot).with_mut(|cell| (*cell).write(value)) };
        Ok(slot)
    }

    /// Returns the value in a slot.
    ///
    /// # Safety
    /// The slot is filled, and its value is not removed while it is borrowed (V1, V3).
    #[inline]
    pub(crate) unsafe fn get(&self, slot: u32) -> &T {
        #[cfg(memkv_loom)]
        if crate::testing::mutant::is_any() {
            assert!(self.is_occupied(slot), "Causality violation: a removed value is read");
        }
        // SAFETY: (V1, V3) as the caller promises.
        unsafe { self.value_slot(slot).with(|cell| (*cell).assume_init_ref()) }
    }

    /// Removes the value from a slot, and frees the slot.
    ///
    /// # Safety
    /// The slot is filled, the value is not borrowed, and it is removed only once (V4).
    pub(crate) unsafe fn remove(&self, slot: u32) -> T {
        // Models are built without debug assertions, but have to find this error.
        assert!(
            !cfg!(any(debug_assertions, memkv_loom)) || self.is_occupied(slot),
            "a value is removed from its slot twice"
        );
        if mutant!(SlotFreedFirst) {
            self.free_slot(slot);
        }
        // SAFETY: (V1, V4) as the caller promises.
        let value = unsafe { self.value_slot(slot).with_mut(|cell| (*cell).assume_init_read()) };
        if !mutant!(SlotFreedFirst) {
            self.free_slot(slot);
        }
        value
    }

    fn is_occupied(&self, slot: u32) -> bool {
        let occupied = |segment: &Segment<T>| {
            !segment.values.load(Relaxed).is_null()
                && segment.used.load(Relaxed) & 1 << (slot % SLOTS_PER_SEGMENT) != 0
        };
        self.segment(slot / SLOTS_PER_SEGMENT).is_some_and(occupied)
    }

    /// Allocates a slot, and returns its number.
    fn allocate_slot(&self) -> Result<u32, InsertError> {
        let owner = stripe() % self.stripes.len();
        let mut owned = self.stripes[owner].write();
        let number = match owned.open.last() {
            Some(&number) => number,
            None => self.add_segment(owner as u32, &mut owned)?,
        };
        let Some(segment) = self.segment(number) else {
            return Err(InsertError::TooManyKeys { limit: MAX_SLOTS });
        };
        let used = segment.used.load(Relaxed);
        let bit = used.trailing_ones();
        segment.used.store(used | 1 << bit, Relaxed);
        if used | 1 << bit == FULL_SEGMENT {
            owned.open.pop();
        }
        Ok(number * SLOTS_PER_SEGMENT + bit)
    }

    /// Adds a segment without an occupied slot, and returns its number.
    #[cold]
    fn add_segment(&self, owner: u32, owned: &mut StripeSegments) -> Result<u32, InsertError> {
        reserve(&mut owned.open, owned.count + 1)?;
        let values =
            try_box(SLOTS_PER_SEGMENT as usize, || ValueSlot::<T>::new(MaybeUninit::uninit()))?;
        let number = self.allocate_number()?;
        if let Some(segment) = self.segment(number) {
            segment.used.store(0, Relaxed);
            segment.owner.store(owner, Relaxed);
            segment.open_index.store(owned.open.len() as u32, Relaxed);
            segment.values.store(Box::into_raw(values).cast(), Release);
        }
        owned.open.push(number);
        owned.count += 1;
        Ok(number)
    }

    /// Allocates a segment number, which has an entry in the directory.
    fn allocate_number(&self) -> Result<u32, InsertError> {
        let mut numbers = self.numbers.write();
        if let Some(number) = numbers.free.pop() {
            return Ok(number);
        }
        let number = numbers.next;
        if number >= MAX_SEGMENTS {
            return Err(InsertError::TooManyKeys { limit: MAX_SLOTS });
        }
        let part = (number + 1).ilog2();
        let entry = || Segment {
            values: AtomicPtr::new(null_mut()),
            used: AtomicU64::new(0),
            open_index: AtomicU32::new(0),
            owner: AtomicU32::new(0),
        };
        let part_cell = &self.directory[part as usize];
        if part_cell.get().is_none() {
            // The lock is held, so no other thread sets it.
            let _ = part_cell.set(try_box(1 << part, entry)?);
        }
        reserve(&mut numbers.free, number as usize + 1)?;
        numbers.next = number + 1;
        Ok(number)
    }

    /// Frees a slot whose value was removed.
    fn free_slot(&self, slot: u32) {
        let (number, bit) = (slot / SLOTS_PER_SEGMENT, slot % SLOTS_PER_SEGMENT);
        let Some(segment) = self.segment(number) else { return };
        let owner = if mutant!(SlotFreedInOwnStripe) {
            stripe() % self.stripes.len()
        } else {
            segment.owner.load(Relaxed) as usize
        };
        let early = mutant!(SegmentReadBeforeLock).then(|| segment.used.load(Relaxed));
        let mut owned = self.stripes[owner].write();
        let used = early.unwrap_or_else(|| segment.used.load(Relaxed));
        let left = used & !(1 << bit);
        segment.used.store(left, Relaxed);
        if used == FULL_SEGMENT {
            segment.open_index.store(owned.open.len() as u32, Relaxed);
            owned.open.push(number);
        }
        if left == 0 {
            let at = segment.open_index.load(Relaxed);
            owned.open.swap_remove(at as usize);
            if let Some(moved) = owned.open.get(at as usize).and_then(|&moved| self.segment(moved))
            {
                moved.open_index.store(at, Relaxed);
            }
            owned.count -= 1;
            if mutant!(NumberFreedFirst) {
                self.numbers.write().free.push(number);
                // A segment's atomics are not loom's, which would run no other thread here.
                wait(0);
            }
            // SAFETY: (V5) no slot is occupied.
            unsafe { segment.free() };
            if !mutant!(NumberFreedFirst) {
                self.numbers.write().free.push(number);
            }
        }
    }

    /// Returns the number of allocated segments, the bytes of one, and the bytes of all else.
    pub(crate) fn bytes(&self) -> (usize, usize, usize) {
        let (mut segments, mut lists) = (0, self.stripes.len() * size_of::<Stripe>());
        for stripe in &self.stripes {
            let owned = stripe.read();
            segments += owned.count;
            lists += owned.open.capacity() * size_of::<u32>();
        }
        lists += self.numbers.read().free.capacity() * size_of::<u32>();
        lists += self
            .directory
            .iter()
            .filter_map(|part| part.get())
            .map(|part| size_of_val(&**part))
            .sum::<usize>();
        (
            segments,
            SLOTS_PER_SEGMENT as usize * size_of::<ValueSlot<T>>(),
            lists + size_of::<Self>(),
        )
    }

    /// Checks the segments, given the slots whose numbers are in the tree.
    ///
    /// No thread may insert values at the same time. Threads may remove retired values, so the
    /// check holds all locks.
    ///
    /// # Errors
    /// A description of the first violation.
    pub(crate) fn check(&self, slots: impl Iterator<Item = u32>) -> Result<(), String> {
        // Before the locks are taken, since the iterator may free retired values.
        let slots: Vec<u32> = slots.collect();
        let owned: Vec<_> = self.stripes.iter().map(|stripe| stripe.read()).collect();
        let next = self.numbers.read().next;
        let mut want = vec![0u64; next as usize];
        for slot in slots {
            let bits = want
                .get_mut((slot / SLOTS_PER_SEGMENT) as usize)
                .ok_or_else(|| format!("slot {slot} is in no segment"))?;
            if *bits & 1 << (slot % SLOTS_PER_SEGMENT) != 0 {
                return Err(format!("slot {slot} has two keys"));
            }
            *bits |= 1 << (slot % SLOTS_PER_SEGMENT);
        }
        let mut open = 0;
        for (number, want) in (0..next).zip(want) {
            let Some(segment) = self.segment(number) else {
                return Err(format!("segment {number} is not in the directory"));
            };
            let used =
                if segment.values.load(Relaxed).is_null() { 0 } else { segment.used.load(Relaxed) };
            // The slots of retired values are occupied too.
            if used & want != want {
                return Err(format!("segment {number} has {used:b}, and keys for {want:b}"));
            }
            if used != 0 && used != FULL_SEGMENT {
                open += 1;
                let owner = &owned[segment.owner.load(Relaxed) as usize];
                if owner.open.get(segment.open_index.load(Relaxed) as usize) != Some(&number) {
                    return Err(format!("segment {number} is not listed as open"));
                }
            }
        }
        let listed: usize = owned.iter().map(|owned| owned.open.len()).sum();
        if open == listed {
            Ok(())
        } else {
            Err(format!("{open} segments are open, {listed} are listed"))
        }
    }
}

impl<T> Drop for Slots<T> {
    /// Frees the segments. Values that were not removed are leaked.
    fn drop(&mut self) {
        for segment in self.directory.iter().filter_map(|part| part.get()).flatten() {
            // SAFETY: (V5) no other thread has the slots.
            unsafe { segment.free() };
        }
    }
}

#[cfg(all(test, not(memkv_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_up_and_are_reused() {
        let slots = Slots::new(1);
        let all: Vec<u32> = (0..1000u32).map(|i| slots.insert(i).unwrap()).collect();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(slots.bytes().0, 16);
        for i in (0..1000).filter(|i| i % 3 != 0) {
            // SAFETY: (V4) each once, by this thread alone.
            assert_eq!(unsafe { slots.remove(i) }, i);
        }
        slots.check((0..1000).step_by(3)).unwrap();
        for i in 0..600 {
            let slot = slots.insert(2000 + i).unwrap();
            assert!(slot < 1024 && slot % 3 != 0);
            // SAFETY: (V1, V3) the value is not removed.
            assert_eq!(unsafe { *slots.get(slot) }, 2000 + i);
        }
        assert_eq!(slots.bytes().0, 16);
    }

    #[test]
    fn empty_segments_are_freed_and_their_numbers_reused() {
        let slots = Slots::new(1);
        for step in [71, 73, 77] {
            let all: Vec<u32> = (0..640u32).map(|i| slots.insert(Box::new(i)).unwrap()).collect();
            assert_eq!(slots.bytes().0, 10);
            assert!(all.iter().all(|slot| *slot < 640));
            for i in 0..all.len() {
                // SAFETY: (V4) each once, by this thread alone, in a scattered order.
                let value = unsafe { slots.remove(all[i * step % 640]) };
                assert_eq!(*value as usize, i * step % 640);
            }
            slots.check([].into_iter()).unwrap();
            assert_eq!(slots.bytes().0, 0);
        }
    }

    #[test]
    fn an_insert_fails_once_all_slots_are_occupied() {
        assert_eq!(MAX_SLOTS, (1 << 32) - 64);
        assert_eq!(((MAX_SEGMENTS - 1) + 1).ilog2() as usize, DIRECTORY_PARTS - 1);
        let slots = Slots::new(1);
        let all: Vec<u32> = (0..SLOTS_PER_SEGMENT).map(|i| slots.insert(i).unwrap()).collect();
        // As if all other segments were allocated.
        slots.numbers.write().next = MAX_SEGMENTS;
        assert_eq!(slots.insert(7), Err(InsertError::TooManyKeys { limit: MAX_SLOTS }));
        // SAFETY: (V4) once, by this thread alone.
        assert_eq!(unsafe { slots.remove(all[5]) }, 5);
        assert_eq!(slots.insert(7), Ok(all[5]));
        assert_eq!(slots.insert(8), Err(InsertError::TooManyKeys { limit: MAX_SLOTS }));
        for slot in all {
            // SAFETY: (V4) each once, by this thread alone.
            unsafe { slots.remove(slot) };
        }
        // The number of an empty segment is free again.
        assert_eq!(slots.insert(9), Ok(0));
    }
}
