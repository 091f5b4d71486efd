//! The `Packed` codec: a static B+-tree of front-coded keys in one flat buffer.
//!
//! ```text
//!   chunk   ┌ blocks: 16 keys each ┬ nodes over blocks ┬ nodes over nodes ┬ … ┬ root ┬ zeros ┐
//!
//!   node    up to 63 separators s1 < s2 < …, up to 64 children: child i has keys s(i)..s(i+1)
//!   block   16 keys, each as the bytes shared with the key before (lcp) and the rest in symbols
//! ```
//!
//! A separator is the shortest string that separates the last key of a block from the first key of
//! the next: their shared bytes and one more. The first key of a block is front-coded relative to
//! the last key of the block before. So a chunk is one front-coded sequence, and what the first key
//! of a block leaves out is the separator before it, less its last byte.
//!
//! The search in a node is binary. The search in a block knows `m`, the number of bytes that the
//! searched key shares with the last separator or key that is not greater. A key with an lcp above
//! `m` is not greater either. A key with an lcp below `m` is greater. Only a key whose lcp is `m`
//! is compared, from that byte on. So lcps alone decide about most keys, and only the first codes
//! of the others are decoded.
//!
//! All blocks but the last are full, so the position of a key in the tree is its rank.
//!
//! Bayer, Unterauer: "Prefix B-trees", ACM TODS 1977, for shortest separators and for nodes that
//! store their common prefix once.

mod block;
mod check;
mod chunk;
mod node;
mod prefetch;

pub(crate) use block::KEYS_PER_BLOCK;
pub(crate) use chunk::{PackedChunk, encode, is_possible};
pub(crate) use node::{Child, IndexTree, IndexTreeBuilder, NODE_PADDING_BYTES};
pub(crate) use prefetch::{prefetch_block, prefetch_node, prefetch_values};
