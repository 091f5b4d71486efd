//! The `Packed` codec: a static B+-tree of front-coded keys in one flat buffer.
//!
//! ```text
//!   chunk   ┌ blocks: 16 keys each ┬ nodes over blocks ┬ nodes over nodes ┬ … ┬ root ┬ zeros ┐
//!
//!   node    separators s1 < s2 < …, up to 63, and up to 64 children: child i has the keys from s(i) to below s(i+1)
//!   block   16 keys, each as the bytes it shares with the key before (lcp), and the rest of it in symbols
//! ```
//!
//! A separator is the shortest string that tells the last key of one block from the first of the next: the bytes that they share and
//! one more. The first key of a block is front-coded against the last of the block before: a chunk is one front-coded sequence, and what
//! the first key of a block leaves out is the separator before it, less the last byte.
//!
//! In nodes a search is binary. In a block it knows `m`, the bytes that the searched key shares with the last separator or key that is not
//! greater. What shares more than `m` bytes with the one before it is not greater either; what shares less is greater; only what shares just
//! `m` is compared, from there on. So most keys are passed over by their lcps alone, and of those that are compared only the first codes are decoded.
//!
//! All blocks but the last are full, so a key's place in the tree is its rank.
//!
//! Bayer, Unterauer: "Prefix B-trees", ACM TODS 1977, for shortest separators and nodes that write what all theirs share once.

#![forbid(unsafe_code)]

mod block;
mod chunk;
mod node;
mod prefetch;

pub(crate) use block::KEYS_PER_BLOCK;
pub(crate) use chunk::{PackedChunk, encode};
pub(crate) use node::{Child, IndexTree, IndexTreeBuilder, NODE_PADDING_BYTES};
pub(crate) use prefetch::{prefetch_block, prefetch_node, prefetch_values};
