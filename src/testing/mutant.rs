//! Mutants: deliberate errors that a model must find, one at a time.
//!
//! In a model the test thread chooses one. Elsewhere `mutant!` is the constant `false`.

/// A deliberate error.
#[cfg(any(memkv_loom, memkv_shuttle))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A new child is published without release.
    SlotRelaxed,
    /// A node is unlocked without release.
    UnlockRelaxed,
    /// A value is read without acquire.
    ValueReadRelaxed,
    /// A slot is locked without comparing its child.
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
    /// A slot is locked although its node is obsolete.
    ParentNotChecked,
    /// A node is replaced while slots of it are locked.
    SlotsNotAwaited,
    /// Two orders are missing: lock a slot, then check its node; lock a node, then check its slots.
    NotInOrder,
    /// A node is freed at once instead of retired.
    FreedAtOnce,
    /// A reader does not pin.
    ReaderNotPinned,
    /// The slots of an obsolete node are cleared.
    ObsoleteSlotsCleared,
    /// An edit ends without a fence.
    NoFence,
    /// A scan does not look whether its thread has made changes.
    OwnChangesUnseen,
    /// A scan goes on from a path of an earlier era.
    EraNotCompared,
    /// A scan goes on from a path with obsolete nodes.
    PathNotChecked,
    /// A scan that found the tree empty looks for its last leaf.
    RootReadAgain,
    /// A pop does not check that its leaf is still the first or last.
    PopFromAnyLeaf,
    /// A delta is frozen while writers hold stripes.
    StripesNotLocked,
    /// A writer loads the state before it locks its key.
    StateLoadedEarly,
    /// The frozen delta is dropped before its changes are in the base.
    FrozenDeltaDroppedEarly,
    /// A value of the second map is used without reading the first again.
    EscapedReadOnce,
    /// A value is dropped at once instead of retired.
    ValueDroppedAtOnce,
    /// A shard is not locked while keys are moved out of it.
    ShardNotLocked,
    /// The first shard is not locked while keys are copied to it.
    FirstShardNotLocked,
    /// Keys are removed from a shard before the table leads to their new shard.
    RemovedFirst,
    /// A joined shard is taken out of the table before its keys are copied.
    JoinedBeforeCopied,
    /// The last key of a shard is read before the shard is locked, to add a shard after it.
    LastKeyReadEarly,
    /// A reader does not check that its table is current.
    TableNotChecked,
    /// A writer does not check that its table is current.
    WriterNotChecked,
    /// A sharded map is cleared shard by shard.
    ClearedOneByOne,
    /// A scan does not check that its table is current.
    ScanNotChecked,
    /// An empty shard at the end of a sharded map is removed while writers use it.
    EndShardNotLocked,
    /// A pop replaces the table beside another thread that does.
    AdminNotLocked,
    /// A heap takes back a cell without checking that it owns the cell's slab.
    OwnerNotChecked,
    /// Slabs get another owner without the lock of the heap that owned them.
    OldHeapNotLocked,
    /// Slabs get another owner without the lock of the heap that is to own them.
    NewHeapNotLocked,
    /// A heap or cache is unlocked without release.
    SpinUnlockRelaxed,
    /// A ripe batch is queued although no thread of its stripe exists.
    RipeForNoThread,
    /// A ripe batch is freed before it leaves its queue.
    FreedInQueue,
    /// The bytes of a ripe batch are counted after another thread can have freed it.
    RipeBytesCountedLate,
    /// The last thread of a stripe frees the ripe batches before it is counted out.
    CountedOutLate,
    /// A value slot is freed before its value is read.
    SlotFreedFirst,
    /// A value slot is freed under the lock of the thread's stripe instead of its segment's.
    SlotFreedInOwnStripe,
    /// A segment's occupied slots are read before its stripe is locked.
    SegmentReadBeforeLock,
    /// The number of a segment can be used again before the segment is freed.
    NumberFreedFirst,
}

#[cfg(any(memkv_loom, memkv_shuttle))]
mod chosen {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Chooses the mutant for models that this thread runs.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }

    #[cfg(memkv_loom)]
    pub(crate) fn is_any() -> bool {
        CHOSEN.get().is_some()
    }
}

#[cfg(any(memkv_loom, memkv_shuttle))]
pub use chosen::choose;
#[cfg(any(memkv_loom, memkv_shuttle))]
pub(crate) use chosen::is;
#[cfg(memkv_loom)]
pub(crate) use chosen::is_any;

/// Returns whether this mutant is chosen.
#[cfg(any(memkv_loom, memkv_shuttle))]
macro_rules! mutant {
    ($name:ident) => {
        $crate::testing::mutant::is($crate::testing::mutant::Mutant::$name)
    };
}
#[cfg(not(any(memkv_loom, memkv_shuttle)))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}
