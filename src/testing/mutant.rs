//! Errors that a model must find, one at a time. In a model the test thread chooses one; elsewhere there is none, and the compiler sees it.

/// What is done wrongly.
#[cfg(any(loom, shuttle))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A new child is published without release.
    SlotRelaxed,
    /// A lock is given back without release.
    UnlockRelaxed,
    /// A value is read without acquire.
    ValueReadRelaxed,
    /// A slot is locked whatever it leads to by then.
    ChildNotCompared,
    /// A leaf that is replaced is not locked while its values are copied.
    LeafNotLocked,
    /// A leaf that is replaced can still be locked.
    LeafNotObsolete,
    /// An inner node that is replaced is not locked while its children are copied.
    InnerNotLocked,
    /// An inner node that is replaced can still be locked.
    InnerNotObsolete,
    /// A value is overwritten without the leaf's lock.
    OverwriteUnlocked,
    /// The slot is not locked.
    SlotNotLocked,
    /// A slot is locked in a node that is replaced.
    OwnerNotChecked,
    /// A node is replaced while slots of it are locked.
    SlotsNotAwaited,
    /// Locking a slot and looking at its owner, and locking a node and looking at its slots, are in no order.
    NotInOrder,
    /// A node is freed when it is taken out of the tree.
    FreedAtOnce,
    /// Reading takes no pin.
    ReaderNotPinned,
    /// The slots of a node that is replaced are cleared.
    FrozenSlotsCleared,
    /// A change ends without a fence.
    NoFence,
    /// A scan reads on in a leaf that was replaced.
    ScanReadsOn,
    /// A leaf that was popped from may be another by then.
    PopFromAnyLeaf,
    /// A delta is sealed while writers are inside.
    GateNotClosed,
    /// A writer loads the state before it holds the stripe of its key.
    StateLoadedEarly,
    /// The sealed delta goes before its changes are in the base.
    SealedDroppedEarly,
    /// A value of the second map is taken without another look at the first.
    EscapedReadOnce,
    /// A value is dropped when it is taken out of the tree.
    ValueDroppedAtOnce,
    /// The gate of a shard stays open while keys are moved out of it.
    GateOpen,
    /// The first shard stays open while keys are copied to it.
    FirstNotClosed,
    /// Keys are removed from a shard before the table leads to the other one.
    RemovedFirst,
    /// A reader does not look whether the table that led it was replaced.
    TableNotChecked,
    /// A writer does not look whether the table that led it was replaced.
    WriterNotChecked,
    /// A map of shards is cleared one shard after the other.
    ClearedOneByOne,
    /// A scan does not look whether the table that led it was replaced.
    ScanNotChecked,
}

#[cfg(any(loom, shuttle))]
mod chosen {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Chooses the error for models that this thread runs.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }

    #[cfg(loom)]
    pub(crate) fn is_any() -> bool {
        CHOSEN.get().is_some()
    }
}

#[cfg(loom)]
pub use crate::reclaim::plain;
#[cfg(any(loom, shuttle))]
pub use chosen::choose;
#[cfg(any(loom, shuttle))]
pub(crate) use chosen::is;
#[cfg(loom)]
pub(crate) use chosen::is_any;

/// Whether this error is to be made.
#[cfg(any(loom, shuttle))]
macro_rules! mutant {
    ($name:ident) => {
        $crate::testing::mutant::is($crate::testing::mutant::Mutant::$name)
    };
}
#[cfg(not(any(loom, shuttle)))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}
