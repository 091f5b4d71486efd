//! A node as raw bytes from the pool.

use crate::pool;
use crate::symbols::FsstTable;
use crate::sync::point;
use crate::tree::node::{HEADER_BYTES, Info, Lock, Slot};
use crate::value::Bits;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

pub(crate) type SlotPtr = *mut u8;
pub(crate) type RawSlot = AtomicPtr<u8>;

/// The address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Node(NonNull<u8>);

// SAFETY: (N7) an address. Whatever follows it is `unsafe`, and for its caller to justify.
unsafe impl Send for Node {}
// SAFETY: (N7) as above.
unsafe impl Sync for Node {}

impl Node {
    pub(crate) fn from_ptr(ptr: NonNull<u8>) -> Node {
        Node(ptr)
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// Returns the address of the node's bytes, for a prefetch.
    #[inline(always)]
    pub(crate) fn address(self) -> *const u8 {
        self.0.as_ptr()
    }

    pub(crate) fn alloc<B: Bits>(info: Info, bytes: usize) -> Option<(Node, usize)> {
        let cell = pool::alloc(bytes)?;
        let ptr = cell.ptr.as_ptr();
        // The payload's padding and the slots are zeroed. Suffixes and values need not be, since
        // the caller always writes them in full.
        // SAFETY: (N4, N6) the cell has `bytes` bytes, is aligned for every field and is ours.
        unsafe {
            ptr.cast::<Lock>().write(Lock::new(info.with_origin(cell.origin).0));
            let from = info.padding_at();
            let end = if info.is_leaf() { info.values_at::<B>() } else { bytes };
            ptr.add(from).write_bytes(0, end - from);
            if !info.is_leaf() {
                let slots = info.slots_at();
                ptr.add(slots).write_bytes(0, info.payload_at() - slots);
            }
        }
        Some((Node(cell.ptr), cell.size))
    }

    /// Frees the node, and returns the bytes of its cell. With `late` the cell is cached, since
    /// this thread may soon allocate a node of a shared tree.
    pub(crate) unsafe fn free(self, info: Info, bytes: usize, late: bool) -> usize {
        // SAFETY: (N2, P3) by the caller: pointer, origin and size are those of the allocation.
        unsafe {
            if late {
                pool::free_to_cache(self.0, bytes, info.origin())
            } else {
                pool::free(self.0, bytes, info.origin())
            }
        }
    }

    /// Returns the bytes of the node's cell.
    ///
    /// # Safety
    /// The node is live (N1), and a node of `bytes` bytes.
    pub(crate) unsafe fn cell_size(self, info: Info, bytes: usize) -> usize {
        // SAFETY: (N1, P3) by the caller.
        unsafe { pool::usable_size(self.0, bytes, info.origin()) }
    }

    /// Returns `true` if moving the node would help to free memory.
    ///
    /// # Safety
    /// The node is live (N1), and a leaf of `B` if it is a leaf.
    pub(crate) unsafe fn is_sparse<B: Bits>(self) -> bool {
        // SAFETY: (N1) by the caller; the cell is the node's.
        unsafe {
            let info = self.info();
            pool::is_sparse(self.0, info.size::<B>(), info.origin())
        }
    }

    /// Returns the info word, which has the lock.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn lock<'a>(self) -> &'a Lock {
        // SAFETY: (N1, N6) by the caller; `Lock` is a transparent atomic word, and the node begins
        // with one.
        unsafe { &*self.as_ptr().cast::<Lock>() }
    }

    #[inline(always)]
    pub(crate) unsafe fn info_word(self) -> u64 {
        // SAFETY: (N1) by the caller.
        unsafe { self.lock() }.word()
    }

    #[inline(always)]
    pub(crate) unsafe fn set_info_word(self, word: u64) {
        // SAFETY: (N1, N3) by the caller.
        unsafe { self.lock() }.set_word(word);
    }

    /// Returns the plain bytes after the header.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`, and its payload has been written (N5).
    #[inline(always)]
    pub(crate) unsafe fn payload<'a>(self, info: Info) -> &'a [u8] {
        // SAFETY: (N1, N5, N6) by the caller.
        unsafe {
            let at = self.as_ptr().add(info.payload_at());
            std::slice::from_raw_parts(at, info.payload_len())
        }
    }

    /// Returns the words of all heads of an inner node.
    ///
    /// # Safety
    /// The node is live (N1) for `'a`, and its heads have been written (N5).
    #[inline(always)]
    pub(crate) unsafe fn heads<'a>(self, info: Info) -> &'a [i64] {
        // SAFETY: (N1, N5, N6) by the caller; the heads follow the info word, so they are aligned.
        unsafe { std::slice::from_raw_parts(self.as_ptr().add(HEADER_BYTES).cast(), info.words()) }
    }

    /// Returns the address of the heads, to write them.
    ///
    /// # Safety
    /// The node is live (N1), and the caller alone reaches it (N4).
    #[inline(always)]
    pub(crate) unsafe fn heads_mut(self) -> *mut i64 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.as_ptr().add(HEADER_BYTES).cast() }
    }

    /// Returns the address of a leaf's payload, to read it and what follows it in the leaf.
    ///
    /// # Safety
    /// The leaf is live (N1), its payload has been written (N5), and begins at `payload_at`.
    #[inline(always)]
    pub(crate) unsafe fn payload_ptr(self, payload_at: usize) -> *const u8 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.as_ptr().add(payload_at) }
    }

    /// Returns the address of the table of a coded leaf.
    ///
    /// # Safety
    /// The node is a live coded leaf (N1), and the address has been written (N5).
    #[inline(always)]
    pub(crate) unsafe fn table(self) -> *const FsstTable {
        // SAFETY: (N1, N5, N6) by the caller; the address follows the info word.
        unsafe { self.as_ptr().add(HEADER_BYTES).cast::<*const FsstTable>().read() }
    }

    /// Writes the address of the table of a coded leaf.
    ///
    /// # Safety
    /// The node is a live coded leaf (N1), and the caller alone reaches it (N4).
    #[inline(always)]
    pub(crate) unsafe fn set_table(self, table: *const FsstTable) {
        // SAFETY: (N1, N4, N6) by the caller.
        unsafe { self.as_ptr().add(HEADER_BYTES).cast::<*const FsstTable>().write(table) };
    }

    /// Returns the payload's address, to write it.
    ///
    /// # Safety
    /// The node is live (N1), and the caller alone reaches it (N4) or is its only writer (N3).
    #[inline(always)]
    pub(crate) unsafe fn payload_mut(self, info: Info) -> *mut u8 {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.as_ptr().add(info.payload_at()) }
    }

    /// Returns the slot of child `i`.
    ///
    /// # Safety
    /// The node is a live inner node (N1) for `'a` and has more than `i` slots (N6).
    #[inline(always)]
    pub(crate) unsafe fn slot<'a>(self, info: Info, i: usize) -> &'a Slot {
        debug_assert!(i < info.slots());
        // SAFETY: (N1, N6) by the caller; `Slot` is a transparent atomic pointer.
        unsafe { &*self.as_ptr().add(info.slots_at()).cast::<Slot>().add(i) }
    }

    #[inline(always)]
    pub(crate) unsafe fn load_value<B: Bits>(self, info: Info, i: usize) -> B {
        // SAFETY: (N1, N6) by the caller.
        unsafe { self.load_value_from(info.values_at::<B>(), i) }
    }

    /// Returns value `i` of the values at the offset `values_at`, the leaf's own.
    #[inline(always)]
    pub(crate) unsafe fn load_value_from<B: Bits>(self, values_at: usize, i: usize) -> B {
        point();
        // SAFETY: (N1, N6) by the caller.
        unsafe {
            let at = self.as_ptr().add(values_at + i * B::SIZE);
            B::of_word(match B::SIZE {
                0 => 0,
                1 => AtomicU8::from_ptr(at).load(Acquire).into(),
                2 => AtomicU16::from_ptr(at.cast()).load(Acquire).into(),
                4 => AtomicU32::from_ptr(at.cast()).load(Acquire).into(),
                _ => AtomicU64::from_ptr(at.cast()).load(Acquire),
            })
        }
    }

    #[inline(always)]
    pub(crate) unsafe fn store_value<B: Bits>(self, info: Info, i: usize, value: B) {
        point();
        let word = value.to_word();
        // SAFETY: (N1, N6) by the caller.
        unsafe {
            let at = self.as_ptr().add(info.values_at::<B>() + i * B::SIZE);
            match B::SIZE {
                0 => {}
                1 => AtomicU8::from_ptr(at).store(word as u8, Release),
                2 => AtomicU16::from_ptr(at.cast()).store(word as u16, Release),
                4 => AtomicU32::from_ptr(at.cast()).store(word as u32, Release),
                _ => AtomicU64::from_ptr(at.cast()).store(word, Release),
            }
        }
    }

    /// Copies values between two leaves: `to[j..j + n] = from[i..i + n]`.
    ///
    /// # Safety
    /// Both are live and distinct leaves of `B` with capacity for these values (N1, N6). No value
    /// of `from` changes during the call (N3), and no other thread can reach `to` (N4).
    #[inline(always)]
    pub(crate) unsafe fn copy_values<B: Bits>(
        from: Node,
        fi: Info,
        i: usize,
        to: Node,
        ti: Info,
        j: usize,
        n: usize,
    ) {
        point();
        debug_assert!(i + n <= fi.values() && j + n <= ti.values());
        // SAFETY: (N1, N3, N4, N6) by the caller.
        unsafe {
            let src = from.as_ptr().add(fi.values_at::<B>() + i * B::SIZE);
            let dst = to.as_ptr().add(ti.values_at::<B>() + j * B::SIZE);
            std::ptr::copy_nonoverlapping(src, dst, n * B::SIZE);
        }
    }

    /// Moves values within a leaf: `self[j..j + n] = self[i..i + n]`.
    ///
    /// # Safety
    /// The node is a live leaf of `B` with capacity for these values (N1, N6), and the caller alone
    /// reads and writes it (N3).
    #[inline(always)]
    pub(crate) unsafe fn move_values<B: Bits>(self, info: Info, i: usize, j: usize, n: usize) {
        debug_assert!(i.max(j) + n <= info.values());
        // SAFETY: (N1, N3, N6) by the caller.
        unsafe {
            let values = self.as_ptr().add(info.values_at::<B>());
            values.add(i * B::SIZE).copy_to(values.add(j * B::SIZE), n * B::SIZE);
        }
    }
}

/// A word of [`LeafCopies`]. On 32-bit x86 a `u64` would be aligned to 4 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Word(MaybeUninit<u64>);

const _: () = assert!(align_of::<Word>() >= align_of::<AtomicU64>() && size_of::<Word>() == 8);

/// Words of the second block of [`LeafCopies`], for a few leaves.
const SECOND_BLOCK_WORDS: usize = 640;

/// Copies of leaves, in memory of their own.
#[derive(Default)]
pub(crate) struct LeafCopies {
    /// Bytes of a copy that no field covers are not written.
    words: Vec<Word>,
}

impl LeafCopies {
    /// Drops all copies. Frees their memory if it is above `max_bytes`.
    pub(crate) fn clear(&mut self, max_bytes: usize) {
        self.words.clear();
        self.words.shrink_to(max_bytes / size_of::<Word>());
    }

    /// Returns the bytes of all copies.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Adds room for a leaf of `B`, and returns where it is. Its padding is zeroed.
    pub(crate) fn add<B: Bits>(&mut self, info: Info) -> usize {
        let (at, bytes) = (self.words.len(), info.size::<B>());
        let end = at + bytes.div_ceil(size_of::<Word>());
        if at == 0 && self.words.capacity() < end {
            // There is nothing to move to a larger block. Most scans need no third one.
            let least = if self.words.capacity() == 0 { 0 } else { SECOND_BLOCK_WORDS };
            self.words = Vec::with_capacity(end.max(least));
        }
        self.words.reserve(end - at);
        // SAFETY: (N11) there is room, and the words may be unwritten.
        unsafe { self.words.set_len(end) };
        let ptr = self.get(at).as_ptr();
        // SAFETY: (N6, N11) the copy has the bytes that its info says, and is ours.
        unsafe {
            ptr.cast::<Lock>().write(Lock::new(info.0));
            let from = info.padding_at();
            ptr.add(from).write_bytes(0, info.values_at::<B>() - from);
        }
        at
    }

    /// Returns the leaf at `at`, which is live until the next change of the copies (N11).
    pub(crate) fn get(&mut self, at: usize) -> Node {
        Node(NonNull::from(&mut self.words[at..]).cast())
    }
}
