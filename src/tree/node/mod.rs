//! A node: its bytes, its lock, its keys, and the vector instructions that search them.
//!
//! * `layout`: the info word, the parts of a node, slots and how nodes are counted.
//! * `memory_std`, `memory_loom`: where a node's bytes are, or what stands for them in a model.
//! * `lock`: the lock in a node's first word.
//! * `slot`: a child slot with the lock of its parent.
//! * `coding`: front-coded keys: search, decode, insert in place.
//! * `simd`: compares of many bytes at a time.

pub(crate) mod coding;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod simd;
pub(crate) mod slot;
