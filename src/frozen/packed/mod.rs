//! The `Packed` codec: a static B+-tree of front-coded keys in one flat buffer.
//!
//! ```text
//!   chunk   ┌ header ┬ blocks: 16 keys each ┬ nodes over blocks ┬ nodes over nodes ┬ … ┬ root ┬ zeros ┐
//!
//!   node    separators s1 < s2 < …, up to 63, and up to 64 children: child i has the keys from s(i) to below s(i+1)
//!   block   16 keys, each as the bytes it shares with the key before (lcp), and the rest of it in symbols
//! ```
//!
//! A separator is the shortest string that tells the last key of one block from the first of the next: the bytes that they share and
//! one more. It is front-coded against the separator before it, in whatever node that is, and so is the first key of a block against the
//! last of the block before: a chunk is one front-coded sequence, with an index into it.
//!
//! A search knows `m`, the bytes that the searched key shares with the last separator or key that is not greater. From there on, what shares
//! more than `m` bytes with the one before it is not greater either; what shares less is greater; and of what shares just `m`, the next byte decides. So
//! entries are passed over by their lcps alone, and each byte of the key is compared about once on the whole way from the root to the block.
//!
//! All blocks but the last are full, so a key's place in the tree is its rank.
//!
//! Bayer, Unterauer: "Prefix B-trees", ACM TODS 1977, for shortest separators and front-coded nodes.

mod block;
mod chunk;
mod node;

pub(crate) use block::BLOCK;
pub(crate) use chunk::{PackedChunk, encode};
pub(crate) use node::{Child, PADDING, Tree, TreeBuilder};
