//! A node: its bytes, its lock, its keys, and the vector instructions that search them.
//!
//! * `info`: the info word: the kind of a node and the sizes of its parts.
//! * `layout`: the parts of a node, and how nodes are counted.
//! * `memory`: the bytes of a node (`memory_std`), or what stands for them in a model
//!   (`memory_loom`).
//! * `lock`: the lock in a node's first word. `slot`: the pointers to children, with their locks.
//! * `coding`: front-coded keys: decode, copies with one key more or less. `search`: the search.
//! * `heads`: the first bytes of an inner node's separators, as words that are searched first.
//! * `coded`: leaves whose rests are coded by a symbol table.
//! * `in_place`: leaves with room to spare, and edits of their entries in place.
//! * `simd`: compares of many bytes at a time.

pub(crate) mod coded;
pub(crate) mod coding;
pub(crate) mod heads;
pub(crate) mod in_place;
pub(crate) mod info;
pub(crate) mod layout;
pub(crate) mod lock;
#[cfg(memkv_loom)]
mod memory_loom;
#[cfg(not(memkv_loom))]
mod memory_std;
mod search;
pub(crate) mod simd;
pub(crate) mod slot;

/// The memory of a node, or what stands for it in a model.
pub(crate) mod memory {
    #[cfg(memkv_loom)]
    pub(crate) use super::memory_loom::*;
    #[cfg(not(memkv_loom))]
    pub(crate) use super::memory_std::*;
}
pub(crate) use coded::Scratch;
pub(crate) use coding::{
    Gap, MAX_NARROW_LCP, MAX_NARROW_LEN, NodeRef, PREFETCHED_INNER_LINES, PREFETCHED_LINES, Resized,
};
pub(crate) use info::{HEADER_BYTES, Info, Kind, WORD_BYTES};
pub(crate) use layout::Usage;
pub(crate) use lock::Lock;
pub(crate) use memory::{LeafCopies, Node, RawSlot, SlotPtr};
pub(crate) use slot::{Child, Slot, SlotRef};
