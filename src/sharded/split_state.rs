//! The state of a shard split.

#![forbid(unsafe_code)]

use super::table::Shard;
use crate::tree::RawTree;
use crate::value::Bits;
use std::sync::Arc;

/// State that belongs to the thread that replaces the table.
pub(super) struct Admin<B: Bits> {
    /// The split in progress, of which writers make steps.
    pub(super) split: Option<Split<B>>,
}

impl<B: Bits> Admin<B> {
    pub(super) fn new() -> Self {
        Admin { split: None }
    }
}

/// A split in progress. It has ended if the two shards are no longer neighbours.
pub(super) struct Split<B: Bits> {
    pub(super) old: Arc<Shard<B>>,
    pub(super) new: Arc<Shard<B>>,
    pub(super) until: Until,
    pub(super) begun: bool,
}

/// The condition at which a split ends.
pub(super) enum Until {
    /// The boundary is this key.
    Boundary(Vec<u8>),
    /// The new shard has this many keys, or as many as the old one.
    Keys(usize),
}

impl<B: Bits> Split<B> {
    pub(super) fn of(old: &Arc<Shard<B>>, until: Until) -> Self {
        Split { old: Arc::clone(old), new: Shard::new(RawTree::new()), until, begun: false }
    }
}
