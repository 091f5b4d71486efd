//! A node for models: loom's atomics in a struct, and the payload in a cell of the pool.
//!
//! Loom's atomics cannot be laid over raw bytes. The payload is in an `UnsafeCell` that reports
//! each access to loom.

use crate::pool;
use crate::symbols::FsstTable;
use crate::tree::node::{HEADER_BYTES, Info, Lock, Slot};
use crate::value::Bits;
use loom::alloc::Track;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicPtr, AtomicU64};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

pub(crate) type SlotPtr = *mut u8;
pub(crate) type RawSlot = AtomicPtr<u8>;

thread_local! {
    /// Whether leaves count as sparse, or inner nodes.
    static SPARSE: std::cell::Cell<Option<bool>> = const { std::cell::Cell::new(None) };
}

/// Runs `relocate` so that it moves the leaves, or the inner nodes.
pub(crate) fn with_sparse<R>(leaves: bool, relocate: impl FnOnce() -> R) -> R {
    SPARSE.set(Some(leaves));
    let result = relocate();
    SPARSE.set(None);
    result
}

/// The parts of a node.
struct Parts {
    lock: Lock,
    /// Not modelled, and so not in the lock's word. It is written and published together with the
    /// payload, which is modelled.
    info: std::sync::atomic::AtomicU64,
    slots: Box<[Slot]>,
    /// Each value widened to a word.
    values: Box<[AtomicU64]>,
    /// The first byte of the cell.
    payload: UnsafeCell<NonNull<u8>>,
    /// Set if a mutant keeps freed nodes, so that a later use is found.
    freed: std::cell::Cell<bool>,
    /// Fails the model if a node is not freed.
    track: std::cell::Cell<Option<Track<()>>>,
}

/// The address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Node(NonNull<Parts>);

// SAFETY: (N7) an address. Whatever follows it is `unsafe`, and for its caller to justify.
unsafe impl Send for Node {}
// SAFETY: (N7) as above.
unsafe impl Sync for Node {}

impl Node {
    pub(crate) fn from_ptr(ptr: NonNull<u8>) -> Node {
        Node(ptr.cast())
    }

    pub(crate) fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    /// Returns the node's address, for a prefetch.
    pub(crate) fn address(self) -> *const u8 {
        self.as_ptr()
    }

    pub(crate) fn alloc<B: Bits>(info: Info, bytes: usize) -> Option<(Node, usize)> {
        let cell = pool::alloc(bytes)?;
        // Bytes that must be written are not zero before, so that a missing write is found.
        // SAFETY: (N4, N6) the cell has `bytes` bytes and is ours alone.
        unsafe {
            cell.ptr.as_ptr().write_bytes(0xEE, bytes);
            cell.ptr.as_ptr().add(info.padding_at()).write_bytes(0, bytes - info.padding_at());
        }
        let parts = Box::new(Parts {
            lock: Lock::new(0),
            info: std::sync::atomic::AtomicU64::new(info.with_origin(cell.origin).0),
            slots: (0..info.slots()).map(|_| Slot::empty()).collect(),
            values: (0..info.values()).map(|_| AtomicU64::new(0)).collect(),
            payload: UnsafeCell::new(cell.ptr),
            freed: std::cell::Cell::new(false),
            track: std::cell::Cell::new(Some(Track::new(()))),
        });
        Some((Node(NonNull::from(Box::leak(parts))), cell.size))
    }

    /// Returns `true` if the model chose this kind of node to move: its pool has no pages.
    ///
    /// # Safety
    /// The node is live (N1).
    pub(crate) unsafe fn is_sparse<B: Bits>(self) -> bool {
        // SAFETY: (N1) by the caller.
        SPARSE.get() == Some(Info(unsafe { self.info_word() }).is_leaf())
    }

    pub(crate) unsafe fn free(self, info: Info, bytes: usize, _: bool) -> usize {
        if crate::testing::mutant::is_any() && std::thread::panicking() {
            // The model has found the error. Another panic would abort the process.
            return bytes;
        }
        // SAFETY: (N2, P3) by the caller; `alloc` leaked the box and took the cell.
        unsafe {
            // A reader that should have ended conflicts with this write.
            let cell = self.parts().payload.with_mut(|cell| *cell);
            if crate::testing::mutant::is_any() {
                // The model must find the error, not crash.
                assert!(!self.parts().freed.replace(true), "a node is freed twice");
                self.parts().track.take();
                return pool::usable_size(cell, bytes, info.origin());
            }
            drop(Box::from_raw(self.0.as_ptr()));
            pool::free(cell, bytes, info.origin())
        }
    }

    unsafe fn parts<'a>(self) -> &'a Parts {
        // SAFETY: (N1) by the caller.
        unsafe { self.0.as_ref() }
    }

    /// Returns the parts of a node that must not have been freed.
    unsafe fn live_parts<'a>(self) -> &'a Parts {
        // SAFETY: (N1) by the caller.
        let parts = unsafe { self.parts() };
        assert!(!parts.freed.get(), "Causality violation: a node is read after it was freed");
        parts
    }

    /// Returns the bytes of the payload's cell.
    ///
    /// # Safety
    /// The node is live (N1), and a node of `bytes` bytes.
    pub(crate) unsafe fn cell_size(self, info: Info, bytes: usize) -> usize {
        // SAFETY: (N1, P3) by the caller.
        unsafe { self.parts().payload.with(|cell| pool::usable_size(*cell, bytes, info.origin())) }
    }

    /// Returns the info word, which has the lock.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`.
    pub(crate) unsafe fn lock<'a>(self) -> &'a Lock {
        // SAFETY: (N1) by the caller.
        unsafe { &self.live_parts().lock }
    }

    pub(crate) unsafe fn info_word(self) -> u64 {
        // SAFETY: (N1) by the caller.
        unsafe { self.parts() }.info.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) unsafe fn set_info_word(self, word: u64) {
        // SAFETY: (N1) by the caller.
        unsafe { self.parts() }.info.store(word, std::sync::atomic::Ordering::Relaxed);
    }

    /// Returns the plain bytes after the header.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`, and its payload has been written (N5).
    pub(crate) unsafe fn payload<'a>(self, info: Info) -> &'a [u8] {
        // SAFETY: (N1, N5, N6) by the caller.
        unsafe {
            let at = self.live_parts().payload.with(|cell| (*cell).as_ptr().add(info.payload_at()));
            std::slice::from_raw_parts(at, info.payload_len())
        }
    }

    /// Returns the words of all heads of an inner node.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`, and its heads have been written (N5).
    pub(crate) unsafe fn heads<'a>(self, info: Info) -> &'a [i64] {
        // SAFETY: (N1, N5, N6) by the caller.
        unsafe {
            let at = self.live_parts().payload.with(|cell| (*cell).as_ptr().add(HEADER_BYTES));
            std::slice::from_raw_parts(at.cast(), info.words())
        }
    }

    /// Returns the address of the heads, to write them.
    ///
    /// # Safety
    /// The node is live (N1), and the caller alone reaches it (N4).
    pub(crate) unsafe fn heads_mut(self) -> *mut i64 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.parts().payload.with_mut(|cell| (*cell).as_ptr().add(HEADER_BYTES).cast()) }
    }

    /// Returns the address of a leaf's payload, to read it and what follows it in the leaf.
    ///
    /// # Safety
    /// The leaf is live (N1), its payload has been written (N5), and begins at `payload_at`.
    pub(crate) unsafe fn payload_ptr(self, payload_at: usize) -> *const u8 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.live_parts().payload.with(|cell| (*cell).as_ptr().add(payload_at)) }
    }

    /// Returns the address of the table of a coded leaf.
    ///
    /// # Safety
    /// The node is a live coded leaf (N1), and the address has been written (N5).
    pub(crate) unsafe fn table(self) -> *const FsstTable {
        // SAFETY: (N1, N5, N6) by the caller; the address follows the info word.
        unsafe { self.payload_ptr(HEADER_BYTES).cast::<*const FsstTable>().read() }
    }

    /// Writes the address of the table of a coded leaf.
    ///
    /// # Safety
    /// The node is a live coded leaf (N1), and the caller alone reaches it (N4).
    pub(crate) unsafe fn set_table(self, table: *const FsstTable) {
        // SAFETY: (N1, N4, N6) by the caller.
        unsafe { self.heads_mut().cast::<*const FsstTable>().write(table) };
    }

    /// Returns the payload's address, to write it.
    ///
    /// # Safety
    /// The node is live (N1), and the caller alone reaches it (N4) or is its only writer (N3).
    pub(crate) unsafe fn payload_mut(self, info: Info) -> *mut u8 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.parts().payload.with_mut(|cell| (*cell).as_ptr().add(info.payload_at())) }
    }

    /// Returns the slot of child `i`.
    ///
    /// # Safety
    /// The node is a live inner node (N1) for `'a` and has more than `i` slots (N6).
    pub(crate) unsafe fn slot<'a>(self, _: Info, i: usize) -> &'a Slot {
        // SAFETY: (N1) by the caller.
        unsafe { &self.parts().slots[i] }
    }

    pub(crate) unsafe fn load_value<B: Bits>(self, _: Info, i: usize) -> B {
        // SAFETY: (N1) by the caller.
        B::of_word(unsafe { self.parts() }.values[i].load(if mutant!(ValueReadRelaxed) {
            Relaxed
        } else {
            Acquire
        }))
    }

    /// Returns value `i`. A model's values have no offset.
    pub(crate) unsafe fn load_value_from<B: Bits>(self, _: usize, i: usize) -> B {
        // SAFETY: (N1) by the caller.
        unsafe { self.load_value(self.info(), i) }
    }

    pub(crate) unsafe fn store_value<B: Bits>(self, _: Info, i: usize, value: B) {
        // SAFETY: (N1) by the caller.
        unsafe { self.parts() }.values[i].store(value.to_word(), Release);
    }

    /// Copies values between two leaves: `to[j..j + n] = from[i..i + n]`.
    ///
    /// # Safety
    /// Both are live and distinct leaves of `B` with capacity for these values (N1, N6). No value
    /// of `from` changes during the call (N3), and no other thread can reach `to` (N4).
    pub(crate) unsafe fn copy_values<B: Bits>(
        from: Node,
        fi: Info,
        i: usize,
        to: Node,
        ti: Info,
        j: usize,
        n: usize,
    ) {
        for k in 0..n {
            // SAFETY: (N1, N3, N4) by the caller.
            unsafe { to.store_value::<B>(ti, j + k, from.load_value::<B>(fi, i + k)) };
        }
    }

    /// Moves values within a leaf: `self[j..j + n] = self[i..i + n]`.
    ///
    /// # Safety
    /// The node is a live leaf of `B` with capacity for these values (N1, N6), and the caller alone
    /// reads and writes it (N3).
    pub(crate) unsafe fn move_values<B: Bits>(self, info: Info, i: usize, j: usize, n: usize) {
        for k in 0..n {
            let k = if i < j { n - 1 - k } else { k };
            // SAFETY: (N1, N3) by the caller.
            unsafe { self.store_value::<B>(info, j + k, self.load_value::<B>(info, i + k)) };
        }
    }
}

/// Copies of leaves, which are nodes too.
#[derive(Default)]
pub(crate) struct LeafCopies {
    /// Each with its bytes.
    nodes: Vec<(Node, usize)>,
}

impl LeafCopies {
    /// Drops all copies.
    pub(crate) fn clear(&mut self, _: usize) {
        for (node, bytes) in self.nodes.drain(..) {
            // SAFETY: (N2, N11) it is freed once, with the size that it was allocated with.
            unsafe { node.free(node.info(), bytes, false) };
        }
    }

    /// Returns the bytes of all copies.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Adds room for a leaf of `B`, and returns where it is. Its padding is zeroed.
    pub(crate) fn add<B: Bits>(&mut self, info: Info) -> usize {
        let bytes = info.size::<B>();
        let (node, _) = Node::alloc::<B>(info, bytes).expect("a model has memory");
        self.nodes.push((node, bytes));
        self.nodes.len() - 1
    }

    /// Returns the leaf at `at`, which is live until the next change of the copies (N11).
    pub(crate) fn get(&mut self, at: usize) -> Node {
        self.nodes[at].0
    }
}

impl Drop for LeafCopies {
    fn drop(&mut self) {
        self.clear(0);
    }
}
