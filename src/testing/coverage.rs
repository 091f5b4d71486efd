//! Coverage: counts of the paths taken, so that a test can assert that it took each of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// A path that a test must take.
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
    LeafOpened,
    InsertedInPlace,
    RemovedInPlace,
    Appended,
    LeafClosed,
    PageDrained,
    SlabFreed,
    LockTaken,
    LockObsolete,
    Restart,
    ScanContinued,
    ScanReadAgain,
    Published,
    TablePublished,
    LeafCoded,
    CodedSplit,
    Overwritten,
    Popped,
}

thread_local! {
    static COUNTS: RefCell<BTreeMap<Event, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts an event of this thread.
pub(crate) fn hit(event: Event) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(event).or_default() += 1);
}

/// Returns the counts of this thread so far.
pub(crate) fn taken() -> BTreeMap<Event, u64> {
    COUNTS.with_borrow(Clone::clone)
}
