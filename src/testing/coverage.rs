//! Counts of the paths taken, so that tests can show that they took every one.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// A path worth a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    LeafSplit,
    LopsidedSplit,
    InnerSplit,
    RootSplit,
    Merge,
    Compact,
    Relocated,
    LeafDropped,
    InnerMerge,
    InnerBorrow,
    RootCollapse,
    Wide,
    WideInner,
    TailOpened,
    Appended,
    TailClosed,
    PageDrained,
    SlabFreed,
    LockTaken,
    LockObsolete,
    Restart,
    CursorRenewed,
    CursorLedAnew,
    Published,
    Overwritten,
    Popped,
}

thread_local! {
    static COUNTS: RefCell<BTreeMap<Event, u64>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn hit(event: Event) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(event).or_default() += 1);
}

/// The counts of this thread so far.
pub(crate) fn taken() -> BTreeMap<Event, u64> {
    COUNTS.with_borrow(Clone::clone)
}
