//! The state of a shard split or join.

#![forbid(unsafe_code)]

use super::table::Shard;
use crate::value::Bits;
use std::sync::Arc;

/// State that belongs to the thread that replaces the table.
pub(super) struct Admin<B: Bits> {
    /// The split or join in progress, of which writers make steps.
    pub(super) transfer: Option<Transfer<B>>,
    /// The keys of the map when all sizes were last looked at; 0 if they never were.
    pub(super) keys: usize,
    /// The shards then.
    pub(super) shards: usize,
    /// The writes of a thread between two checks, as of then.
    pub(super) writes_per_check: usize,
    /// Whether an empty shard was to be added since then, but there are too many.
    pub(super) is_room_needed: bool,
}

impl<B: Bits> Admin<B> {
    pub(super) fn new() -> Self {
        Admin { transfer: None, keys: 0, shards: 0, writes_per_check: 0, is_room_needed: false }
    }
}

/// Moves the first keys of a shard to the one before it, in steps. It has ended if the two are no
/// longer neighbours.
pub(super) struct Transfer<B: Bits> {
    pub(super) old: Arc<Shard<B>>,
    pub(super) new: Arc<Shard<B>>,
    pub(super) until: Until,
    /// Whether the new shard is in the table.
    pub(super) begun: bool,
}

/// The condition at which a transfer ends.
pub(super) enum Until {
    /// The boundary is this key.
    Boundary(Vec<u8>),
    /// The new shard has this many keys, or as many as the old one.
    Keys(usize),
    /// The old shard has no key, and is taken out of the table.
    Joined,
}

impl<B: Bits> Transfer<B> {
    /// Splits a shard: a new one gets its first keys.
    pub(super) fn split(old: &Arc<Shard<B>>, until: Until) -> Self {
        Transfer { old: Arc::clone(old), new: Shard::empty_like(old), until, begun: false }
    }

    /// Joins two neighbours: the first gets all keys.
    pub(super) fn join(first: &Arc<Shard<B>>, second: &Arc<Shard<B>>) -> Self {
        let (old, new) = (Arc::clone(second), Arc::clone(first));
        Transfer { old, new, until: Until::Joined, begun: true }
    }
}
