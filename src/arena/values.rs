//! The arena: values of any type under numbers of 32 bits, packed without holes.
//!
//! ```text
//!   slot = 64 * segment + bit         segment   used     0b1011      slots 0, 1, 3 are occupied
//!                                               values   [a, b, d]   adjacent; the index of d is
//!   open ─▶ segment ─next─▶ segment                                  the count of used bits below
//! ```
//!
//! A free slot takes a bit and no memory for a value. So a value needs neither an `Option` nor a
//! link beside it, and the free list, which is a list of segments with a free slot, needs no
//! unions. Occupying or freeing a slot moves the values after it in its segment, at most 63. In a
//! full segment, as most are, the index of a value is its slot's bit.

use crate::error::InsertError;
use crate::tree::prefetch;

/// Slots of a segment: the bits of its map.
const SLOTS: usize = u64::BITS as usize;

/// Segments that 32 bits can number the slots of.
const SEGMENTS: usize = 1 << (u32::BITS - SLOTS.ilog2());

/// Values an arena can hold.
pub(super) const LIMIT: u64 = 1 << u32::BITS;

/// Ends the list of open segments.
const NONE: u32 = u32::MAX;

struct Segment<T> {
    /// The values of the occupied slots, in order.
    values: Vec<T>,
    /// A bit for each occupied slot.
    used: u64,
    /// The next segment with a free slot, where this one has any.
    next: u32,
}

/// Values under numbers that stay the same until they are removed.
#[expect(missing_debug_implementations, reason = "no user holds one")]
pub struct Arena<T> {
    segments: Vec<Segment<T>>,
    /// The first segment with a free slot.
    open: u32,
    len: usize,
}

fn place(slot: u32) -> (usize, u32) {
    (slot as usize / SLOTS, slot % SLOTS as u32)
}

/// Where among the values of a segment the one of slot `bit` is, or would be.
#[inline]
fn position(used: u64, bit: u32) -> usize {
    (used & ((1 << bit) - 1)).count_ones() as usize
}

/// Makes room for `more` items, and for no others.
fn reserve<I>(items: &mut Vec<I>, more: usize) -> Result<(), InsertError> {
    items.try_reserve_exact(more).map_err(|_| InsertError::OutOfMemory {
        bytes: (items.len() + more).saturating_mul(size_of::<I>()),
    })
}

impl<T> Segment<T> {
    /// Makes room for one more value.
    fn grow(&mut self) -> Result<(), InsertError> {
        let len = self.values.len();
        if len < self.values.capacity() {
            return Ok(());
        }
        reserve(&mut self.values, (len / 2).max(4).min(SLOTS - len))
    }

    /// Frees unused capacity where a third is empty. Without memory for the smaller allocation the
    /// larger one is kept.
    fn trim(&mut self) {
        let len = self.values.len();
        if len == 0 {
            self.values = Vec::new();
        } else if size_of::<T>() > 0 && self.values.capacity() - len > len / 2 + 4 {
            let mut smaller = Vec::new();
            if reserve(&mut smaller, len + len / 8).is_ok() {
                smaller.append(&mut self.values);
                self.values = smaller;
            }
        }
    }
}

impl<T> Arena<T> {
    pub(super) const fn new() -> Self {
        Arena { segments: Vec::new(), open: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the value in an occupied slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &T {
        let (segment, bit) = place(slot);
        let segment = &self.segments[segment];
        &segment.values[position(segment.used, bit)]
    }

    /// Prefetches the value in an occupied slot.
    #[inline]
    pub(super) fn prefetch(&self, slot: u32) {
        prefetch(std::ptr::from_ref(self.get(slot)).cast());
    }

    /// Returns the value in an occupied slot.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut T {
        let (segment, bit) = place(slot);
        let segment = &mut self.segments[segment];
        &mut segment.values[position(segment.used, bit)]
    }

    /// Returns a free slot with capacity for a value. It stays the same until it is filled or
    /// another slot is freed.
    #[inline]
    pub(super) fn reserve(&mut self) -> Result<u32, InsertError> {
        self.reserve_in(SEGMENTS)
    }

    /// [`reserve`](Self::reserve) with at most `limit` segments.
    fn reserve_in(&mut self, limit: usize) -> Result<u32, InsertError> {
        if self.open == NONE {
            self.add_segment(limit)?;
        }
        let segment = &mut self.segments[self.open as usize];
        segment.grow()?;
        Ok(self.open * SLOTS as u32 + segment.used.trailing_ones())
    }

    #[cold]
    fn add_segment(&mut self, limit: usize) -> Result<(), InsertError> {
        let count = self.segments.len();
        if count >= limit {
            return Err(InsertError::TooManyKeys { limit: LIMIT });
        }
        if count == self.segments.capacity() {
            // By an eighth: what doubling leaves empty would be a byte a key.
            reserve(&mut self.segments, count / 8 + 1)?;
        }
        let mut values = Vec::new();
        reserve(&mut values, (self.len / 8).clamp(4, SLOTS))?;
        self.segments.push(Segment { values, used: 0, next: NONE });
        self.open = count as u32;
        Ok(())
    }

    /// Puts `value` into the slot that was reserved last.
    #[inline]
    pub(super) fn fill(&mut self, slot: u32, value: T) {
        let (id, bit) = place(slot);
        let segment = &mut self.segments[id];
        debug_assert!(id == self.open as usize && segment.used & (1 << bit) == 0);
        segment.values.insert(position(segment.used, bit), value);
        segment.used |= 1 << bit;
        self.len += 1;
        if segment.used == u64::MAX {
            self.open = std::mem::replace(&mut segment.next, NONE);
        }
    }

    /// Stores `value`, and returns its slot.
    pub(super) fn add(&mut self, value: T) -> Result<u32, InsertError> {
        let slot = self.reserve()?;
        self.fill(slot, value);
        Ok(slot)
    }

    /// Removes and returns the value of an occupied slot. Frees all memory with the last value.
    pub(super) fn remove(&mut self, slot: u32) -> T {
        let (id, bit) = place(slot);
        let segment = &mut self.segments[id];
        debug_assert!(segment.used & (1 << bit) != 0);
        let value = segment.values.remove(position(segment.used, bit));
        if segment.used == u64::MAX {
            segment.next = std::mem::replace(&mut self.open, id as u32);
        }
        segment.used &= !(1 << bit);
        segment.trim();
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        }
        value
    }

    /// Returns the values of many occupied and distinct slots, in the order of `slots`.
    ///
    /// O(n log n) for n slots, with 16 bytes for each while it runs.
    pub(super) fn disjoint_mut(&mut self, slots: impl Iterator<Item = u32>) -> Vec<Option<&mut T>> {
        // Sorted by segment and slot, so that iterators can hand the borrows out.
        let mut sorted: Vec<(u32, u32)> = slots.zip(0..).collect();
        sorted.sort_unstable();
        let mut found: Vec<Option<&mut T>> = sorted.iter().map(|_| None).collect();
        let (mut segments, mut passed) = (self.segments.iter_mut(), 0);
        for group in sorted.chunk_by(|a, b| place(a.0).0 == place(b.0).0) {
            let id = place(group[0].0).0;
            let Some(segment) = segments.nth(id - passed) else { break };
            passed = id + 1;
            let (mut values, mut before) = (segment.values.iter_mut(), 0);
            for &(slot, nth) in group {
                let at = position(segment.used, place(slot).1);
                found[nth as usize] = values.nth(at - before);
                before = at + 1;
            }
        }
        found
    }

    /// Copies all values, each in its slot.
    pub(super) fn try_clone(&self) -> Result<Self, InsertError>
    where
        T: Clone,
    {
        let mut copy = Arena { segments: Vec::new(), open: self.open, len: self.len };
        reserve(&mut copy.segments, self.segments.len())?;
        for segment in &self.segments {
            let mut values = Vec::new();
            reserve(&mut values, segment.values.len())?;
            values.extend(segment.values.iter().cloned());
            copy.segments.push(Segment { values, used: segment.used, next: segment.next });
        }
        Ok(copy)
    }

    /// Returns the bytes allocated for values, and the bytes of the segments' own fields, in
    /// O(segments).
    pub(super) fn bytes(&self) -> (usize, usize) {
        let room: usize = self
            .segments
            .iter()
            .map(|segment| segment.values.capacity().saturating_mul(size_of::<T>()))
            .sum();
        (room, self.segments.capacity() * size_of::<Segment<T>>())
    }

    /// Checks the invariants, given the slots that must be occupied, and returns a description of
    /// the first violation.
    pub(super) fn check(&self, slots: impl Iterator<Item = u32>) -> Result<(), String> {
        let mut used = vec![0u64; self.segments.len()];
        for slot in slots {
            let (segment, bit) = place(slot);
            let map =
                used.get_mut(segment).ok_or_else(|| format!("slot {slot} is outside the arena"))?;
            if *map & (1 << bit) != 0 {
                return Err(format!("slot {slot} has two keys"));
            }
            *map |= 1 << bit;
        }
        let mut open = 0;
        for (id, (segment, used)) in self.segments.iter().zip(&used).enumerate() {
            if segment.used != *used || segment.values.len() != used.count_ones() as usize {
                return Err(format!(
                    "segment {id} has {} values in {:b}, keys for {used:b}",
                    segment.values.len(),
                    segment.used
                ));
            }
            open += usize::from(segment.used != u64::MAX);
        }
        let (mut at, mut listed) = (self.open, 0);
        while let Some(segment) = self
            .segments
            .get(at as usize)
            .filter(|segment| segment.used != u64::MAX && listed <= open)
        {
            at = segment.next;
            listed += 1;
        }
        if at != NONE || listed != open {
            return Err(format!("{open} segments have free slots, {listed} are listed, then {at}"));
        }
        let len: usize = self.segments.iter().map(|segment| segment.values.len()).sum();
        if len != self.len {
            return Err(format!("{len} values, counted {}", self.len));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_up_and_are_used_again() {
        let mut arena = Arena::new();
        let slots: Vec<u32> = (0..1000u32).map(|i| arena.add(i).unwrap()).collect();
        assert_eq!(slots, (0..1000).collect::<Vec<_>>());
        for i in (0..1000).filter(|i| i % 3 != 0) {
            assert_eq!(arena.remove(i), i);
        }
        arena.check((0..1000).step_by(3)).unwrap();
        let segments = arena.segments.len();
        for i in 0..600 {
            let slot = arena.add(2000 + i).unwrap();
            assert_eq!(*arena.get(slot), 2000 + i);
            *arena.get_mut(slot) += 1;
        }
        assert!((0..1000).step_by(3).all(|i| *arena.get(i) == i));
        assert_eq!((arena.segments.len(), arena.len()), (segments, 934));
    }

    #[test]
    fn more_slots_than_there_are_numbers_are_refused() {
        assert_eq!(SEGMENTS as u64 * SLOTS as u64, LIMIT);
        assert_eq!(place(u32::MAX), (SEGMENTS - 1, 63));
        let mut arena = Arena::new();
        for i in 0..128 {
            let slot = arena.reserve_in(2).unwrap();
            arena.fill(slot, i);
        }
        assert_eq!(arena.reserve_in(2), Err(InsertError::TooManyKeys { limit: 1 << 32 }));
        arena.check(0..128).unwrap();
        assert_eq!(arena.remove(77), 77);
        assert_eq!(arena.reserve_in(2), Ok(77));
    }

    #[test]
    fn borrows_are_disjoint_and_in_order() {
        let mut arena = Arena::new();
        (0..500u32).for_each(|i| _ = arena.add(i));
        (0..500).filter(|i| i % 5 == 1).for_each(|i| _ = arena.remove(i));
        let slots: Vec<u32> =
            (0..500).map(|i| i * 7 % 500).filter(|i| i % 5 != 1 && i / 64 != 3).collect();
        let mut found = arena.disjoint_mut(slots.iter().copied());
        assert!(found.iter().map(|value| **value.as_ref().unwrap()).eq(slots.iter().copied()));
        found.iter_mut().flatten().for_each(|value| **value += 1000);
        assert!(
            (0..500)
                .filter(|i| i % 5 != 1)
                .all(|i| *arena.get(i) == i + if i / 64 == 3 { 0 } else { 1000 })
        );
    }

    #[test]
    fn values_of_no_size_have_slots_too() {
        let mut arena = Arena::new();
        (0..300).for_each(|_| _ = arena.add(()));
        (0..299).for_each(|i| arena.remove(i));
        arena.check([299].into_iter()).unwrap();
        assert_eq!(arena.bytes().0, 0);
        arena.remove(299);
        assert_eq!(arena.bytes(), (0, 0));
    }
}
