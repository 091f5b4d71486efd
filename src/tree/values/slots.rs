//! Values of any type under numbers of 32 bits, for many threads: they stay where they are until they leave, and are read without a lock.
//!
//! ```text
//!   slot = 64 * segment + bit         directory             segment
//!                                     used    0b1011        ┌───┬───┬───┬───┬─
//!   stripe ── open segments ────────▶ values ─────────────▶ │ a │ b │   │ d │
//!   (lock)    with a free slot        owner                 └───┴───┴───┴───┴─
//! ```
//!
//! A segment belongs to the stripe of the thread that made it, and only under that stripe's lock slots of it are taken and given back. Threads
//! of different stripes do not meet. The directory is in parts, each twice as long as the one before, so that it never moves. A segment in
//! which no slot is taken goes back to the allocator.

use crate::InsertError;
use crate::sync::stripes::stripe;
use crate::sync::{RwLock, UnsafeCell};
use crossbeam_utils::CachePadded;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, slice_from_raw_parts_mut};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// Slots of a segment. In a model two make many segments.
const SLOTS_PER_SEGMENT: u32 = if cfg!(loom) { 2 } else { 64 };
/// The map of a segment without a free slot.
const FULL_SEGMENT: u64 = u64::MAX >> (u64::BITS - SLOTS_PER_SEGMENT);
/// Parts of the directory: as many as it takes to number all slots by 32 bits.
const DIRECTORY_PARTS: usize = (u32::BITS - SLOTS_PER_SEGMENT.ilog2()) as usize;
/// Segments that there can be.
const MAX_SEGMENTS: u32 = u32::MAX >> (u32::BITS - DIRECTORY_PARTS as u32);
/// Slots that there can be.
const MAX_SLOTS: u64 = MAX_SEGMENTS as u64 * SLOTS_PER_SEGMENT as u64;

/// Room for a value.
type ValueSlot<T> = UnsafeCell<MaybeUninit<T>>;

/// A segment as the directory knows it.
struct Segment<T> {
    /// Its slots; null when there is no segment of this number.
    values: AtomicPtr<ValueSlot<T>>,
    /// Which of them are taken. This, and what follows, changes under the owner's lock.
    used: AtomicU64,
    /// Where it stands among the open segments.
    open_index: AtomicU32,
    owner: AtomicU32,
}

/// The segments of the threads that share a stripe.
#[derive(Default)]
struct OwnSegments {
    /// Those with a free slot. There is room for all.
    open: Vec<u32>,
    count: usize,
}

type Stripe = CachePadded<RwLock<OwnSegments>>;

/// The numbers of segments.
#[derive(Default)]
struct SegmentNumbers {
    /// Those that were used and are free. There is room for all.
    free: Vec<u32>,
    next: u32,
}

/// Values in slots.
pub(crate) struct Slots<T> {
    directory: [OnceLock<Box<[Segment<T>]>>; DIRECTORY_PARTS],
    stripes: Box<[Stripe]>,
    /// Locked last, and for a moment.
    numbers: RwLock<SegmentNumbers>,
    values: PhantomData<T>,
}

/// Makes room for `count` items in all.
fn reserve<I>(items: &mut Vec<I>, count: usize) -> Result<(), InsertError> {
    let failed = |_| InsertError::OutOfMemory { bytes: count.saturating_mul(size_of::<I>()) };
    items.try_reserve(count.saturating_sub(items.len())).map_err(failed)
}

/// Items in a box.
fn try_box<I>(count: usize, item: impl FnMut() -> I) -> Result<Box<[I]>, InsertError> {
    let mut items = Vec::new();
    items
        .try_reserve_exact(count)
        .map_err(|_| InsertError::OutOfMemory { bytes: count.saturating_mul(size_of::<I>()) })?;
    items.resize_with(count, item);
    Ok(items.into_boxed_slice())
}

impl<T> Slots<T> {
    pub(crate) fn new(stripes: usize) -> Self {
        Slots {
            directory: [const { OnceLock::new() }; DIRECTORY_PARTS],
            stripes: (0..stripes)
                .map(|_| CachePadded::new(RwLock::new(OwnSegments::default())))
                .collect(),
            numbers: RwLock::new(SegmentNumbers::default()),
            values: PhantomData,
        }
    }

    /// A segment that there has been.
    #[inline]
    fn segment(&self, number: u32) -> Option<&Segment<T>> {
        let part = (number + 1).ilog2();
        self.directory[part as usize].get()?.get((number + 1 - (1 << part)) as usize)
    }

    /// # Safety
    /// The slot is taken (V1) for as long as the room is used.
    #[inline]
    unsafe fn value_slot(&self, slot: u32) -> &ValueSlot<T> {
        let values = self
            .segment(slot / SLOTS_PER_SEGMENT)
            .map_or(null_mut(), |segment| segment.values.load(Acquire));
        debug_assert!(!values.is_null());
        // SAFETY: (V1) by the caller: so the segment is there, and has room for all its slots.
        unsafe { &*values.add((slot % SLOTS_PER_SEGMENT) as usize) }
    }

    /// Puts a value into a free slot.
    #[inline]
    pub(crate) fn insert(&self, value: T) -> Result<u32, InsertError> {
        let slot = self.take_slot()?;
        // SAFETY: (V1, V2) the slot was taken just now, and nobody else knows of it.
        unsafe { self.value_slot(slot).with_mut(|cell| (*cell).write(value)) };
        Ok(slot)
    }

    /// The value in a slot.
    ///
    /// # Safety
    /// The slot is filled, and is not left while the value is borrowed (V1, V3).
    #[inline]
    pub(crate) unsafe fn get(&self, slot: u32) -> &T {
        // SAFETY: (V1, V3) by the caller.
        unsafe { self.value_slot(slot).with(|cell| (*cell).assume_init_ref()) }
    }

    /// Takes the value out of a slot, which is free then.
    ///
    /// # Safety
    /// The slot is filled, nobody borrows the value, and nobody else takes it out (V4).
    pub(crate) unsafe fn remove(&self, slot: u32) -> T {
        // Models have no debug assertions, and find this error.
        assert!(!cfg!(any(debug_assertions, loom)) || self.is_taken(slot), "a slot is left twice");
        // SAFETY: (V1, V4) by the caller.
        let value = unsafe { self.value_slot(slot).with_mut(|cell| (*cell).assume_init_read()) };
        self.free_slot(slot);
        value
    }

    fn is_taken(&self, slot: u32) -> bool {
        let taken = |segment: &Segment<T>| {
            !segment.values.load(Relaxed).is_null()
                && segment.used.load(Relaxed) & 1 << (slot % SLOTS_PER_SEGMENT) != 0
        };
        self.segment(slot / SLOTS_PER_SEGMENT).is_some_and(taken)
    }

    /// A free slot, which is taken from then on.
    fn take_slot(&self) -> Result<u32, InsertError> {
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

    /// Adds an open segment.
    #[cold]
    fn add_segment(&self, owner: u32, owned: &mut OwnSegments) -> Result<u32, InsertError> {
        reserve(&mut owned.open, owned.count + 1)?;
        let values =
            try_box(SLOTS_PER_SEGMENT as usize, || ValueSlot::<T>::new(MaybeUninit::uninit()))?;
        let number = self.take_number()?;
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

    /// A free number of a segment, with a place in the directory.
    fn take_number(&self) -> Result<u32, InsertError> {
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
            // Under the lock, so nobody else sets it.
            let _ = part_cell.set(try_box(1 << part, entry)?);
        }
        reserve(&mut numbers.free, number as usize + 1)?;
        numbers.next = number + 1;
        Ok(number)
    }

    /// Frees a slot that holds nothing any more.
    fn free_slot(&self, slot: u32) {
        let (number, bit) = (slot / SLOTS_PER_SEGMENT, slot % SLOTS_PER_SEGMENT);
        let Some(segment) = self.segment(number) else { return };
        let mut owned = self.stripes[segment.owner.load(Relaxed) as usize].write();
        let used = segment.used.load(Relaxed);
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
            let values = segment.values.swap(null_mut(), Relaxed);
            // SAFETY: (V5) no slot is taken, so nobody uses the segment, which came from a box of this length.
            drop(unsafe {
                Box::from_raw(slice_from_raw_parts_mut(values, SLOTS_PER_SEGMENT as usize))
            });
            self.numbers.write().free.push(number);
        }
    }

    /// Segments that there are, and the bytes of one; bytes of all else.
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

    /// Says what is wrong, if anything is, given the slots that should be taken. Nobody else fills any meanwhile; threads may leave some that
    /// were retired, so all is looked at under the locks.
    pub(crate) fn check(&self, slots: impl Iterator<Item = u32>) -> Result<(), String> {
        // Before the locks, since the source may collect what was retired.
        let slots: Vec<u32> = slots.collect();
        let owned: Vec<_> = self.stripes.iter().map(|stripe| stripe.read()).collect();
        let next = self.numbers.read().next;
        let mut want = vec![0u64; next as usize];
        for slot in slots {
            let bits = want
                .get_mut((slot / SLOTS_PER_SEGMENT) as usize)
                .ok_or_else(|| format!("slot {slot} is outside"))?;
            if *bits & 1 << (slot % SLOTS_PER_SEGMENT) != 0 {
                return Err(format!("slot {slot} has two keys"));
            }
            *bits |= 1 << (slot % SLOTS_PER_SEGMENT);
        }
        let mut open = 0;
        for (number, want) in (0..next).zip(want) {
            let Some(segment) = self.segment(number) else {
                return Err(format!("segment {number} has no entry"));
            };
            let used =
                if segment.values.load(Relaxed).is_null() { 0 } else { segment.used.load(Relaxed) };
            // What is retired is taken too.
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
    /// Gives the segments back. The values have left, or are forgotten.
    fn drop(&mut self) {
        for segment in self.directory.iter().filter_map(|part| part.get()).flatten() {
            let values = segment.values.swap(null_mut(), Relaxed);
            if !values.is_null() {
                // SAFETY: (V5) nobody else has the slots any more; the segment came from a box of this length.
                drop(unsafe {
                    Box::from_raw(slice_from_raw_parts_mut(values, SLOTS_PER_SEGMENT as usize))
                });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_up_and_are_used_again() {
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
            // SAFETY: (V1, V3) it stays.
            assert_eq!(unsafe { *slots.get(slot) }, 2000 + i);
        }
        assert_eq!(slots.bytes().0, 16);
    }

    #[test]
    fn empty_segments_go_and_their_numbers_are_used_again() {
        let slots = Slots::new(1);
        for step in [71, 73, 77] {
            let all: Vec<u32> = (0..640u32).map(|i| slots.insert(Box::new(i)).unwrap()).collect();
            assert_eq!(slots.bytes().0, 10);
            assert!(all.iter().all(|slot| *slot < 640));
            for i in 0..all.len() {
                // SAFETY: (V4) each once, by this thread alone, in an order of no kind.
                let value = unsafe { slots.remove(all[i * step % 640]) };
                assert_eq!(*value as usize, i * step % 640);
            }
            slots.check([].into_iter()).unwrap();
            assert_eq!(slots.bytes().0, 0);
        }
    }

    #[test]
    fn there_are_as_many_slots_as_numbers() {
        assert_eq!(MAX_SLOTS, (1 << 32) - 64);
        assert_eq!(((MAX_SEGMENTS - 1) + 1).ilog2() as usize, DIRECTORY_PARTS - 1);
        let slots = Slots::new(1);
        let all: Vec<u32> = (0..SLOTS_PER_SEGMENT).map(|i| slots.insert(i).unwrap()).collect();
        // As if all other segments were there.
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
        // An empty segment's number is free again.
        assert_eq!(slots.insert(9), Ok(0));
    }
}
