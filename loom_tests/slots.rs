//! Models of value slots that threads of two stripes fill and free. The first thread to use them
//! has the stripe of the thread that filled them before, or the other one.

use crate::shared::{model, models, pair};
use memkv::{FilledSlot, ModelSlots, mutant::Mutant::*};
use std::sync::{Arc, Mutex};

models! {
    slots_freed_and_insert: [SlotFreedFirst, SlotFreedInOwnStripe, SegmentReadBeforeLock];
    segment_freed_and_insert: [SegmentReadBeforeLock, NumberFreedFirst];
    slots_freed_by_both: [SlotFreedInOwnStripe, SegmentReadBeforeLock];
}

type Slots = ModelSlots<u64>;

/// Value slots with the values below `count`, and these slots. A segment has two.
fn filled(count: u64) -> (Slots, Vec<FilledSlot>) {
    let slots = Slots::default();
    let filled = (0..count).map(|i| slots.insert(i)).collect();
    (slots, filled)
}

/// Inserts a value for the main thread to find.
fn insert(slots: &Slots, value: u64, to: &Mutex<Vec<(FilledSlot, u64)>>) {
    let slot = slots.insert(value);
    assert_eq!(*slots.get(&slot), value);
    to.lock().unwrap().push((slot, value));
}

/// Checks the slots, of which these are filled, and removes their values.
fn whole(slots: Slots, filled: Vec<(FilledSlot, u64)>) {
    slots.check(&filled.iter().map(|(slot, _)| slot).collect::<Vec<_>>()).unwrap();
    for (slot, value) in filled {
        assert_eq!(slots.remove(slot), value);
    }
    assert_eq!(slots.segments(), 0, "an empty segment is not freed");
}

/// Runs a thread that removes these values, and one that inserts others.
fn remove_and_insert(
    slots: Slots,
    removed: Vec<(FilledSlot, u64)>,
    left: Vec<(FilledSlot, u64)>,
    inserted: &'static [u64],
) {
    let left = Arc::new(Mutex::new(left));
    let to = Arc::clone(&left);
    let slots = pair(
        slots,
        |slots| {
            for (slot, value) in removed {
                assert_eq!(slots.remove(slot), value);
            }
        },
        move |slots| inserted.iter().for_each(|&value| insert(slots, value, &to)),
    );
    let left = std::mem::take(&mut *left.lock().unwrap());
    whole(slots, left);
}

/// One slot of a full segment is freed, and one of a segment that has another free one.
fn slots_freed_and_insert() {
    let (slots, filled) = filled(3);
    let mut filled: Vec<_> = filled.into_iter().zip(0..).collect();
    let removed = vec![filled.remove(0), filled.remove(1)];
    remove_and_insert(slots, removed, filled, &[7, 8]);
}

/// The only segment is freed, whose number the other thread may use again.
fn segment_freed_and_insert() {
    let (slots, filled) = filled(2);
    let filled = filled.into_iter().zip(0..).collect();
    remove_and_insert(slots, filled, Vec::new(), &[7]);
}

/// Two threads free the slots of two segments.
fn slots_freed_by_both() {
    let (slots, filled) = filled(4);
    let mut filled: Vec<_> = filled.into_iter().zip(0..).collect();
    let others = vec![filled.remove(0), filled.remove(1)];
    let remove = |filled: Vec<(FilledSlot, u64)>| {
        move |slots: &Slots| {
            filled.into_iter().for_each(|(slot, value)| assert_eq!(slots.remove(slot), value))
        }
    };
    whole(pair(slots, remove(filled), remove(others)), Vec::new());
}
